//! What the fuzz targets share: limits under which a case takes milliseconds, and the checks that
//! every picture must pass.

use libfuzzer_sys::Corpus;
use picresize_imaging::{
    Format, ImagingError, Limits, Plan, ResizeOptions, Source, inspect, sniff,
};

pub mod differential;
mod request;
mod tagged;

pub use request::options_from;
pub use tagged::{encode_jpeg, tagged};

/// Limits under which a case is fast. They also hold back a case whose cost is only bounded by
/// limits, so that such a case is no finding.
pub fn limits() -> Limits {
    Limits {
        max_side: 2_000,
        max_source_pixels: 1 << 20,
        max_result_pixels: 1 << 18,
        max_frames: 20,
        max_memory_bytes: 64 << 20,
        max_result_bytes: 4 << 20,
        max_metadata_bytes: 1 << 16,
        max_seconds: 2,
    }
}

/// Options from `key=value` pairs that are known to be valid.
pub fn options(pairs: &[(&str, &str)]) -> ResizeOptions {
    ResizeOptions::from_pairs(pairs.iter().copied()).expect("the pairs are valid")
}

/// The requests that between them use every way to decode a picture of this format.
fn requests(format: Format) -> Vec<ResizeOptions> {
    const SMALL: [(&str, &str); 3] = [("width", "24"), ("height", "24"), ("fit", "inside")];
    let with = |pairs: &[(&str, &str)]| options(&[SMALL.as_slice(), pairs].concat());
    let mut requests = vec![with(&[("format", "png")])];
    match format {
        // Planes; pixels without shrink-on-load; planes at full size.
        Format::Jpeg => {
            requests.push(with(&[]));
            requests.push(with(&[("format", "png"), ("filter", "nearest")]));
            requests.push(options(&[("width", "200"), ("enlarge", "false")]));
        }
        // Planes, or every frame.
        Format::Webp => requests.push(with(&[])),
        // Every frame.
        Format::Gif | Format::Png => requests.push(with(&[("format", "gif")])),
        _ => {}
    }
    requests
}

/// Inspects a picture of one format, and resizes it in every way that this format has. Other
/// formats are rejected, so that they stay out of the corpus.
pub fn decode(format: Format, bytes: &[u8]) -> Corpus {
    if sniff(bytes).ok() != Some(format) {
        return Corpus::Reject;
    }
    let limits = limits();
    let Ok(source) = inspect(bytes, &limits) else {
        return Corpus::Keep;
    };
    for request in requests(format) {
        resize(&source, bytes, &request);
    }
    let _ = source.fingerprint(bytes, &limits);
    Corpus::Keep
}

/// Plans and resizes. A result must be a picture of the planned format and size.
pub fn resize(source: &Source, bytes: &[u8], request: &ResizeOptions) {
    let limits = limits();
    let plan = match source.plan(request, &limits) {
        Ok(plan) => plan,
        Err(ImagingError::TooLarge(_) | ImagingError::Option(_)) => return,
        Err(error) => panic!("a plan is refused by a limit or an option, not by: {error}"),
    };
    if let Ok(resized) = plan.resize(bytes) {
        check(&plan, &resized.bytes);
    }
}

fn check(plan: &Plan, result: &[u8]) {
    let written = inspect(result, &Limits::default()).expect("a result can be read");
    assert_eq!(written.format(), plan.format());
    assert_eq!(
        (written.width(), written.height()),
        (plan.width(), plan.height())
    );
}
