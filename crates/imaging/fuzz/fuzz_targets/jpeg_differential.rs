//! The project's JPEG decoder against libjpeg-turbo.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use picresize_imaging_fuzz::differential;

fuzz_target!(|input: &[u8]| -> Corpus { differential::run(input) });
