//! The convolution and the AV1 encoder that `picresize-imaging` calls, compiled once.
//!
//! Generic code is compiled in the crate that names its types. The two libraries behind these
//! functions are generic over pixels, and compiling them takes longer than all of
//! `picresize-imaging`. Here that happens once, not after every change of the library and again for
//! each of its test programs. No function here is generic, and none does more than pass
//! pictures to them and put the encoded parts into a file.

#![warn(missing_docs)]

#[cfg(feature = "avif")]
pub mod avif;
pub mod convolution;
