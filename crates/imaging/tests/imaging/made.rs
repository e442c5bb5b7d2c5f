//! Test pictures in formats, or variants of formats, that the library itself cannot write.
use picresize_kernels::avif::{BitDepth, Settings};
use png::ColorType;
use zune_core::bit_depth::BitDepth as Depth;
use zune_core::colorspace::ColorSpace;
use zune_core::options::EncoderOptions;
use zune_jpegxl::JxlSimpleEncoder;

/// Lossless JPEG XL of 8-bit samples; `deep` stores them with 16 bits, each byte twice.
pub(crate) fn jxl(samples: &[u8], size: (u32, u32), color: ColorType, deep: bool) -> Vec<u8> {
    let colors = match color {
        ColorType::Grayscale => ColorSpace::Luma,
        ColorType::GrayscaleAlpha => ColorSpace::LumaA,
        ColorType::Rgb => ColorSpace::RGB,
        _ => ColorSpace::RGBA,
    };
    let twice: Vec<u8> = samples.iter().flat_map(|&byte| [byte; 2]).collect();
    let (samples, depth) = match deep {
        true => (twice.as_slice(), Depth::Sixteen),
        false => (samples, Depth::Eight),
    };
    let options = EncoderOptions::new(size.0 as usize, size.1 as usize, colors, depth);
    let mut file = Vec::new();
    let encoder = JxlSimpleEncoder::new(samples, options);
    encoder.encode(&mut file).unwrap();
    file
}

/// The JPEG XL codestream in its box, which begins at `start` of the file (ISO/IEC 18181-2).
pub(crate) fn boxed_jxl(codestream: &[u8], start: usize) -> Vec<u8> {
    let boxed = |kind: &[u8; 4], content: &[u8]| {
        let size = (8 + content.len() as u32).to_be_bytes();
        [&size, kind, content].concat()
    };
    let signature = boxed(b"JXL ", &[0x0d, 0x0a, 0x87, 0x0a]);
    let kind = boxed(b"ftyp", b"jxl \0\0\0\0jxl ");
    let before = signature.len() + kind.len();
    let filling = boxed(b"xml ", &vec![b' '; start - before - 8]);
    [signature, kind, filling, boxed(b"jxlc", codestream)].concat()
}

/// AVIF of 8-bit Rgb or Rgba samples, nearly lossless; `deep` stores them with 10 bits.
pub(crate) fn avif(samples: &[u8], size: (u32, u32), color: ColorType, deep: bool) -> Vec<u8> {
    let depth = if deep { BitDepth::Ten } else { BitDepth::Eight };
    let settings = Settings {
        quality: 98,
        bit_depth: depth,
        full_color: true,
        is_thorough: false,
        exif: None,
    };
    let size = (size.0 as usize, size.1 as usize);
    let encoded = match color {
        ColorType::Rgba => settings.encode_rgba(samples, size),
        _ => settings.encode_rgb(samples, size),
    };
    encoded.unwrap()
}
