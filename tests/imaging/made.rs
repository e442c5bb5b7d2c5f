//! Pictures in formats, or forms of them, that the project itself does not write.
#![allow(dead_code)]

use png::ColorType;
use ravif::{BitDepth, Encoder, Img, RGB8, RGBA8};
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
    let encoder = Encoder::new()
        .with_quality(98.0)
        .with_alpha_quality(98.0)
        .with_bit_depth(depth)
        .with_speed(10)
        .with_num_threads(Some(1));
    let (width, height) = (size.0 as usize, size.1 as usize);
    let encoded = if color == ColorType::Rgba {
        let (pixels, _) = samples.as_chunks::<4>();
        let pixels: Vec<RGBA8> = pixels.iter().map(|&p| RGBA8::from(p)).collect();
        encoder.encode_rgba(Img::new(&pixels, width, height))
    } else {
        let (pixels, _) = samples.as_chunks::<3>();
        let pixels: Vec<RGB8> = pixels.iter().map(|&p| RGB8::from(p)).collect();
        encoder.encode_rgb(Img::new(&pixels, width, height))
    };
    encoded.unwrap().avif_file
}

/// The file with the properties `irot` and, if there is one, `imir` for its first item, which is
/// the picture (ISO/IEC 14496-12 and 23008-12).
pub(crate) fn turned_avif(avif: &[u8], turns: u8, mirror: Option<u8>) -> Vec<u8> {
    let mut file = avif.to_vec();
    let meta = find(&file, 0, b"meta");
    let iprp = find(&file, meta + 12, b"iprp");
    let ipco = find(&file, iprp + 8, b"ipco");
    let properties = children(&file, ipco);
    let mut boxes = [&[0, 0, 0, 9][..], b"irot", &[turns]].concat();
    let mut numbers = vec![0x80 | (properties + 1)];
    if let Some(axis) = mirror {
        boxes.extend([&[0, 0, 0, 9][..], b"imir", &[axis]].concat());
        numbers.push(0x80 | (properties + 2));
    }
    // From the end, so that what is found stays where it is.
    let ipma = find(&file, iprp + 8, b"ipma");
    let count = ipma + 8 + 4 + 4 + 2;
    let end = count + 1 + usize::from(file[count]);
    file.splice(end..end, numbers.iter().copied());
    file[count] += numbers.len() as u8;
    grow(&mut file, ipma, numbers.len());
    let end = ipco + size(&file, ipco);
    file.splice(end..end, boxes.iter().copied());
    grow(&mut file, ipco, boxes.len());
    let more = numbers.len() + boxes.len();
    grow(&mut file, iprp, more);
    grow(&mut file, meta, more);
    let iloc = find(&file, meta + 12, b"iloc");
    move_items(&mut file, iloc, more as u32);
    file
}

fn number(file: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(file[at..at + 4].try_into().unwrap())
}

fn size(file: &[u8], at: usize) -> usize {
    number(file, at) as usize
}

fn grow(file: &mut [u8], at: usize, by: usize) {
    let grown = number(file, at) + by as u32;
    file[at..at + 4].copy_from_slice(&grown.to_be_bytes());
}

/// Where a box begins, looked for from `at` among its siblings.
fn find(file: &[u8], mut at: usize, name: &[u8; 4]) -> usize {
    while file[at + 4..at + 8] != *name {
        at += size(file, at);
    }
    at
}

fn children(file: &[u8], at: usize) -> u8 {
    let end = at + size(file, at);
    let mut count = 0;
    let mut child = at + 8;
    while child < end {
        child += size(file, child);
        count += 1;
    }
    count
}

/// Adds to the offsets of all items, as avif-serialize writes them: version 0, four bytes each for
/// offset and length, no base, one extent.
fn move_items(file: &mut [u8], iloc: usize, by: u32) {
    assert_eq!(file[iloc + 8..iloc + 14], [0, 0, 0, 0, 0x44, 0]);
    let count = u16::from_be_bytes([file[iloc + 14], file[iloc + 15]]);
    for item in 0..usize::from(count) {
        let entry = iloc + 16 + item * 14;
        assert_eq!(file[entry + 4..entry + 6], [0, 1]);
        let offset = number(file, entry + 6) + by;
        file[entry + 6..entry + 10].copy_from_slice(&offset.to_be_bytes());
    }
}
