//! The pipeline as its users call it: bytes and options in, bytes out.

#![allow(clippy::unwrap_used, reason = "what fails, fails the test")]

mod bytes;
mod corpus;
mod documentation;
mod duration;
mod fingerprint;
mod formats;
mod heic;
mod heif;
#[cfg(target_os = "linux")]
mod hostile;
#[cfg(target_os = "linux")]
mod hostile_containers;
mod hostile_heif;
mod hostile_jxl;
mod jpeg;
mod jpegs;
mod libheif;
mod libjxl;
mod light;
mod likeness;
mod made;
#[cfg(target_os = "linux")]
mod memory;
mod options;
mod pictures;
mod plan;
mod support;
