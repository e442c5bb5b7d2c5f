//! Pictures in, pictures out: a pure function of bytes, request and limits.
//!
//! Nothing here does I/O, knows an async runtime or keeps state that shows: the same bytes,
//! request and [`ENGINE_VERSION`] give the same result in any thread of any role.
//!
//! A caller goes three steps, each of which can refuse: [`inspect`] reads the header,
//! [`Source::plan`] checks request and limits against it and estimates the memory,
//! [`Plan::resize`] does the work. [`resize`] goes all three.
//!
//! The map, from the outside in. Files import only from rows below their own, or what stands
//! before them in their row.
//!
//! | layer | files |
//! |---|---|
//! | other uses of a picture | `similarity`, `fingerprint` |
//! | acting | `pipeline`, `render` |
//! | deciding, from the header alone | `plan`, `estimate`, `shrink_on_load` |
//! | the parsed header | `source` |
//! | the formats | `codec`, `sniff` |
//! | operations on pixels | `planar`, `smart`, `color`, `quantize`, `compose`, `sharpen`, `linear`, `resample`, `animation` |
//! | data | `planes`, `metadata`, `orientation`, `geometry`, `raster` |
//! | words | `limits`, `error`, `options`, `format` |

mod animation;
mod codec;
mod color;
mod compose;
mod error;
mod estimate;
mod fingerprint;
mod format;
mod geometry;
mod limits;
mod linear;
mod metadata;
mod options;
mod orientation;
mod pipeline;
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
pub use fingerprint::{Fingerprint, fingerprint};
pub use format::Format;
pub use limits::Limits;
pub use options::{
    Background, ColorPolicy, FieldError, Filter, Fit, MetadataPolicy, Position, Profile,
    ResizeRequest,
};
pub use pipeline::{Resized, resize};
pub use plan::Plan;
#[cfg(feature = "similarity")]
pub use similarity::{similarity, similarity_bytes};
pub use source::{Source, inspect};

/// Changes whenever the same input could give other bytes.
pub const ENGINE_VERSION: &str = "4";
