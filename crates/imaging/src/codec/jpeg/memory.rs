//! Estimates the memory of libjpeg-turbo and of the project's own JPEG decoder and encoder.

use crate::codec::encode_options::{EncodeOptions, EncodedPixels};
use crate::planes::Eighths;

use super::frame::{Component, Frame};
use super::markers::Markers;
use super::reduced::progressive::{FIRST_BYTES, KEPT};
use super::spec::{CHOICE_EFFORT, FULL_COLOR_QUALITY};

/// Bytes of a block's coefficients.
const BLOCK_BYTES: u64 = 64 * 2;

/// libjpeg holds two bytes for each coefficient of the whole picture if the file has several scans,
/// and rows of blocks otherwise.
pub(super) fn libjpeg_decoder_bytes(markers: &Markers) -> u64 {
    let (columns, all_rows) = markers.frame.mcus();
    let rows = match markers.has_several_scans() {
        true => all_rows,
        // The context rows of the colour converter and the upsampler.
        false => 3,
    };
    let blocks_of_mcu: usize = markers.frame.components.iter().map(Component::area).sum();
    columns as u64 * rows as u64 * blocks_of_mcu as u64 * BLOCK_BYTES
}

/// A decoder that holds the samples and the coefficients of the whole picture.
pub(super) fn whole_bytes(frame: &Frame) -> u64 {
    let (columns, rows) = frame.mcus();
    let blocks_of_mcu: usize = frame.components.iter().map(Component::area).sum();
    let coefficients = columns as u64 * rows as u64 * blocks_of_mcu as u64 * BLOCK_BYTES;
    let samples = frame.width as u64 * frame.height as u64 * frame.components.len() as u64;
    let coefficients = if frame.is_progressive {
        coefficients
    } else {
        0
    };
    samples + coefficients
}

/// The project's own decoder, for planes of one to four eighths, holds a run of coded data between
/// two markers. For progressive pictures it also holds the required coefficients of each block, and
/// one word for the others.
pub(super) fn reduced_decoder_bytes(markers: &Markers, eighths: Eighths) -> u64 {
    let longest_run = markers.longest_run as u64;
    let blocks = match markers.has_several_scans() {
        true => libjpeg_decoder_bytes(markers) / BLOCK_BYTES,
        false => 0,
    };
    // One sample per block is its DC coefficient; scans of other coefficients are not read.
    if eighths.brightness == 1 && blocks > 0 {
        return longest_run.min(blocks * FIRST_BYTES as u64) + blocks * 2;
    }
    let components = &markers.frame.components;
    let all: usize = components.iter().map(Component::area).sum();
    let brightness = components.first().map_or(1, Component::area);
    let brightness_blocks = blocks * brightness as u64 / all.max(1) as u64;
    let color_blocks = blocks - brightness_blocks;
    let block = |eighths: u32| 2 * KEPT[eighths as usize - 1] as u64 + 8;
    longest_run
        + brightness_blocks * block(eighths.brightness)
        + color_blocks * block(eighths.color)
}

/// The planes, four-byte tokens for two fifths of the samples, and the output. Above the fastest
/// efforts also the coefficients, as floats for one component and as integers for all, and more
/// tokens.
pub(crate) fn planes_encoder_bytes(options: &EncodeOptions, pixels: EncodedPixels) -> u64 {
    let is_plain = options.progressive != Some(true) && options.effort < CHOICE_EFFORT;
    // A quality that is sought may be any.
    let has_full_color = options.full_color || options.quality >= FULL_COLOR_QUALITY;
    pixels.count
        * match (is_plain, has_full_color) {
            (true, false) => 5,
            (true, true) => 11,
            (false, false) => 15,
            (false, true) => 25,
        }
}

/// The planes that are made from pixels, and their encoder. The pixels may be needed again.
pub(crate) fn encoder_bytes(options: &EncodeOptions, pixels: EncodedPixels) -> u64 {
    pixels.count * 2 + planes_encoder_bytes(options, pixels)
}
