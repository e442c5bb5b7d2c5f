//! The pipeline as its users call it: bytes and options in, bytes out.

#![allow(clippy::unwrap_used, reason = "what fails, fails the test")]

mod avif;
mod bitmaps;
mod bmp;
mod bytes;
mod corpus;
mod documentation;
mod duration;
mod fingerprint;
mod flaws;
mod formats;
mod hdr;
mod heic;
mod heif;
mod heif_file;
#[cfg(target_os = "linux")]
mod hostile;
#[cfg(target_os = "linux")]
mod hostile_containers;
mod hostile_heif;
mod hostile_jxl;
mod ico;
mod jpeg;
mod jpeg_flaws;
mod jpeg_sampling;
mod jpeg_writer;
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
mod reports;
mod rights;
mod support;
mod tiff;
mod tiffs;
