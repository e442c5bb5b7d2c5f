//! The whole resize: options from the first bytes, a picture in the others.
#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use picresize_imaging::inspect;
use picresize_imaging_fuzz::{limits, options_from, resize};

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some((options, bytes)) = options_from(input) else {
        return Corpus::Reject;
    };
    let Ok(source) = inspect(bytes, &limits()) else {
        return Corpus::Reject;
    };
    resize(&source, bytes, &options);
    Corpus::Keep
});
