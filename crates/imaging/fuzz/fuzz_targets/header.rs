//! The header check of any bytes, and the plan of what it finds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use picresize_imaging::inspect;
use picresize_imaging_fuzz::{limits, options};

fuzz_target!(|bytes: &[u8]| {
    let limits = limits();
    if let Ok(source) = inspect(bytes, &limits) {
        assert!(source.width() > 0 && source.height() > 0 && source.frames() > 0);
        let _ = source.plan(&options(&[("width", "24")]), &limits);
    }
});
