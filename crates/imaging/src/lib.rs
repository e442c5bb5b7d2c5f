//! Resizes pictures: bytes and options in, bytes out.
//!
//! The library does no I/O, needs no async runtime and keeps no visible state: the same bytes,
//! options and [`ENGINE_VERSION`] give the same result, in any thread of any program.
//!
//! # One call
//!
//! [`resize`] does everything. [`Limits`] restrict sizes, memory and time; the defaults suit a server.
//!
//! ```
//! use picresize_imaging::{Fit, Format, Limits, ResizeOptions, resize};
//!
//! # let mut photo = b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x04\0\0\0\x02\0\0\0\x01\0\x18\0".to_vec();
//! # photo.resize(54 + 2 * 12, 0);
//! let options = ResizeOptions {
//!     width: Some(100),
//!     height: Some(100),
//!     fit: Fit::Inside,
//!     format: Some(Format::Webp),
//!     ..ResizeOptions::default()
//! };
//! let thumbnail = resize(&photo, &options, &Limits::default())?;
//! assert_eq!((thumbnail.width, thumbnail.height), (100, 50));
//! assert!(thumbnail.bytes.starts_with(b"RIFF"));
//! # Ok::<(), picresize_imaging::ImagingError>(())
//! ```
//!
//! # Three steps
//!
//! Each step can fail, and none does the work of a later one. [`inspect`] reads the header,
//! [`Source::plan`] checks options and limits and estimates memory and time, and [`Plan::resize`]
//! does the work. One source can have many plans.
//!
//! ```
//! use picresize_imaging::{Limits, ResizeOptions, inspect};
//!
//! # let mut photo = b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x04\0\0\0\x02\0\0\0\x01\0\x18\0".to_vec();
//! # photo.resize(54 + 2 * 12, 0);
//! let source = inspect(&photo, &Limits::default())?;
//! assert_eq!((source.width(), source.height()), (4, 2));
//! for width in [2, 8] {
//!     let options = ResizeOptions { width: Some(width), ..ResizeOptions::default() };
//!     let plan = source.plan(&options, &Limits::default())?;
//!     // Wait here until this much memory is free.
//!     assert!(plan.memory_bytes() < 1 << 20);
//!     assert_eq!(plan.resize(&photo)?.width, width);
//! }
//! # Ok::<(), picresize_imaging::ImagingError>(())
//! ```
//!
//! # Options as text
//!
//! [`OPTIONS`] declares every option once: its key, its values and what it does.
//! [`ResizeOptions::from_pairs`] parses options from a command line or a query, and refuses unknown
//! ones.
//!
//! ```
//! use picresize_imaging::{Fit, ResizeOptions};
//!
//! let options = ResizeOptions::from_pairs([("width", "320"), ("fit", "cover")]).unwrap();
//! assert_eq!(options.fit, Fit::Cover);
//! let errors = ResizeOptions::from_pairs([("width", "0")]).unwrap_err();
//! assert_eq!(errors[0].to_string(), "width: 0 is too small; the minimum is 1");
//! ```
//!
//! # Features
//!
//! `avif`, `heic`, `jxl` and `similarity`, all enabled by default. Without its feature, a format is
//! still recognised; the error then names the feature. See [`Format::missing_feature`].
//!
//! # Modules
//!
//! From the outside in. A file imports only from the rows below its own, and from files to the
//! right of it in its own row.
//!
//! | layer | files |
//! |---|---|
//! | other uses of a picture | `similarity`, `fingerprint` |
//! | steps that act on pixels | `pipeline`, `render`, `likeness` |
//! | decisions, from the header alone | `plan`, `duration`, `estimate`, `shrink_on_load` |
//! | the parsed header | `source` |
//! | the formats | `codec`, `sniff` |
//! | operations on pixels | `placeholder`, `planar`, `smart`, `color`, `quantize`, `compose`, `sharpen`, `linear`, `resample`, `animation` |
//! | data | `planes`, `metadata`, `ifd`, `orientation`, `geometry`, `raster` |
//! | vocabulary | `limits`, `error`, `options`, `format` |

#![warn(missing_docs)]

mod animation;
mod codec;
mod color;
mod compose;
mod duration;
mod error;
mod estimate;
mod fingerprint;
mod format;
mod geometry;
mod ifd;
#[cfg(feature = "similarity")]
mod likeness;
mod limits;
mod linear;
mod metadata;
mod options;
mod orientation;
mod pipeline;
mod placeholder;
mod plan;
mod planar;
mod planes;
mod quantize;
mod raster;
mod render;
mod resample;
mod sharpen;
mod shrink_on_load;
#[cfg(feature = "similarity")]
mod similarity;
mod smart;
mod sniff;
mod source;

pub use error::ImagingError;
pub use fingerprint::{Fingerprint, Look, fingerprint};
pub use format::Format;
pub use limits::Limits;
pub use options::{
    Background, ColorPolicy, FieldError, Filter, Fit, Gravity, MetadataPolicy, OPTIONS, OptionSpec,
    Profile, Quality, ResizeOptions, Values,
};
pub use pipeline::{Resized, resize};
pub use placeholder::Placeholder;
pub use plan::{Plan, result_format};
#[cfg(feature = "similarity")]
pub use similarity::{similarity, similarity_bytes};
pub use sniff::sniff;
pub use source::{Source, inspect, preload};

/// Entries for the fuzz targets alone.
#[cfg(feature = "fuzzing")]
pub mod fuzzing {
    pub use crate::codec::differential::{DecodedPlanes, own_jpeg_planes, turbo_jpeg_planes};
}

/// Changes whenever the same input may give different bytes.
pub const ENGINE_VERSION: &str = "5";

/// Compiles and runs the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
