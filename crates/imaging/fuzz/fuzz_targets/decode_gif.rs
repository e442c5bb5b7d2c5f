#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use picresize_imaging::Format;
use picresize_imaging_fuzz::decode;

fuzz_target!(|bytes: &[u8]| -> Corpus { decode(Format::Gif, bytes) });
