//! Makes hostile pictures: small files that ask for much memory or time.

use libdeflater::{CompressionLvl, Compressor, Crc};

use crate::pictures::{make, opaque, png as png_of};

const SIGNATURE: usize = 8;
/// Signature, `IHDR` with its length and checksum.
const AFTER_HEADER: usize = SIGNATURE + 12 + 13;

/// A zlib stream.
pub(crate) fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(CompressionLvl::best());
    let mut compressed = vec![0; compressor.zlib_compress_bound(bytes.len())];
    let length = compressor.zlib_compress(bytes, &mut compressed).unwrap();
    compressed.truncate(length);
    compressed
}

fn chunk((name, payload): &([u8; 4], Vec<u8>)) -> Vec<u8> {
    let checked = [name.as_slice(), payload].concat();
    let mut crc = Crc::new();
    crc.update(&checked);
    let length = (payload.len() as u32).to_be_bytes();
    [&length, checked.as_slice(), &crc.sum().to_be_bytes()].concat()
}

/// A PNG with more chunks after its header.
pub(crate) fn png(png: &[u8], chunks: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    let chunks: Vec<u8> = chunks.iter().flat_map(chunk).collect();
    [&png[..AFTER_HEADER], &chunks, &png[AFTER_HEADER..]].concat()
}

/// The payload of an `iTXt` chunk with an XMP packet that is not compressed.
pub(crate) fn plain_xmp(length: usize) -> Vec<u8> {
    [b"XML:com.adobe.xmp\0\0\0\0\0".to_vec(), vec![b' '; length]].concat()
}

/// A square PNG of Rgba.
pub(crate) fn rgba(side: u32) -> Vec<u8> {
    png_of(
        side,
        side,
        png::ColorType::Rgba,
        &vec![9; (side * side * 4) as usize],
    )
}

/// An animated PNG whose second frame has another size than the canvas.
pub(crate) fn apng(size: (u32, u32), frame: (u32, u32)) -> Vec<u8> {
    let control = |number: u32, size: (u32, u32)| {
        let mut payload = Vec::new();
        for value in [number, size.0, size.1, 0, 0] {
            payload.extend(value.to_be_bytes());
        }
        payload.extend([0, 1, 0, 10, 0, 0]);
        (*b"fcTL", payload)
    };
    let still = opaque(size.0, size.1);
    let start = png(
        &still,
        &[(*b"acTL", vec![0, 0, 0, 2, 0, 0, 0, 0]), control(0, size)],
    );
    let rows = zlib(&vec![0; (frame.0 as usize * 3 + 1) * frame.1 as usize]);
    let data = (*b"fdAT", [&2_u32.to_be_bytes(), rows.as_slice()].concat());
    let more: Vec<u8> = [control(1, frame), data].iter().flat_map(chunk).collect();
    let end = start.len() - 12;
    [&start[..end], &more, &start[end..]].concat()
}

/// An ICO with one picture whose directory says that it has `side` pixels a side.
pub(crate) fn ico(side: u8, picture: &[u8]) -> Vec<u8> {
    let mut file = vec![0, 0, 1, 0, 1, 0, side, side, 0, 0, 1, 0, 32, 0];
    file.extend((picture.len() as u32).to_le_bytes());
    file.extend(22_u32.to_le_bytes());
    file.extend(picture);
    file
}

/// An EXIF block of `count` fields of a type that share one value of `values` zeros.
pub(crate) fn exif(count: u16, kind: u16, values: u32) -> Vec<u8> {
    let start = 8 + 2 + u32::from(count) * 12 + 4;
    let unit = match kind {
        3 => 2,
        5 => 8,
        _ => 1,
    };
    let mut block = b"MM\0\x2a\0\0\0\x08".to_vec();
    block.extend(count.to_be_bytes());
    for _ in 0..count {
        // Artist, which is kept with every policy.
        block.extend(0x013b_u16.to_be_bytes());
        block.extend(kind.to_be_bytes());
        block.extend((values / unit).to_be_bytes());
        block.extend(start.to_be_bytes());
    }
    block.extend(0_u32.to_be_bytes());
    block.resize(block.len() + values as usize, 0);
    block
}

/// An EXIF block whose directory is also that of EXIF, of GPS, of interoperability and the next one.
pub(crate) fn exif_to_itself() -> Vec<u8> {
    let mut block = b"MM\0\x2a\0\0\0\x08\x03\xe8".to_vec();
    for index in 0..1_000 {
        let tag = [0x8769_u16, 0x8825, 0xa005][index % 3];
        block.extend(tag.to_be_bytes());
        block.extend([0, 4, 0, 0, 0, 1, 0, 0, 0, 8]);
    }
    block.extend([0, 0, 0, 8]);
    block
}

pub(crate) fn jpeg(width: u32, height: u32) -> Vec<u8> {
    make(&opaque(width, height), "width=40 format=jpeg").bytes
}

fn segment(marker: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u16 + 2).to_be_bytes();
    [&[0xff, marker], length.as_slice(), payload].concat()
}

/// A JPEG with more segments at its start.
pub(crate) fn with_segments(jpeg: &[u8], marker: u8, payloads: &[Vec<u8>]) -> Vec<u8> {
    let segments: Vec<u8> = payloads
        .iter()
        .flat_map(|payload| segment(marker, payload))
        .collect();
    let (start, rest) = jpeg.split_at(jpeg.len().min(2));
    [start, &segments, rest].concat()
}

/// A JPEG with more segments before its end marker.
pub(crate) fn with_segments_at_the_end(jpeg: &[u8], marker: u8, payloads: &[Vec<u8>]) -> Vec<u8> {
    let end = jpeg.len() - 2;
    let segments = with_segments(&[], marker, payloads);
    [&jpeg[..end], &segments, &jpeg[end..]].concat()
}

/// The start of a JPEG of one component, without its data.
pub(crate) fn jpeg_header(width: u16, height: u16) -> Vec<u8> {
    let (width, height) = (width.to_be_bytes(), height.to_be_bytes());
    let frame = [8, height[0], height[1], width[0], width[1], 1, 1, 0x11, 0];
    [
        vec![0xff, 0xd8],
        segment(0xc0, &frame),
        segment(0xda, &[1, 1, 0, 0, 63, 0]),
    ]
    .concat()
}

/// A progressive JPEG of one component with many empty scans: one code, of one bit, that ends a band
/// of 32,767 blocks.
pub(crate) fn scans(width: u16, height: u16, count: usize) -> Vec<u8> {
    let (w, h) = (width.to_be_bytes(), height.to_be_bytes());
    let frame = [8, h[0], h[1], w[0], w[1], 1, 1, 0x11, 0];
    let table = |kind: u8, symbol: u8| {
        let mut payload = vec![kind, 1];
        payload.resize(17, 0);
        payload.push(symbol);
        segment(0xc4, &payload)
    };
    let blocks = usize::from(width).div_ceil(8) * usize::from(height).div_ceil(8);
    let mut file = vec![0xff, 0xd8];
    file.extend(segment(0xdb, &[vec![0], vec![1; 64]].concat()));
    file.extend(segment(0xc2, &frame));
    file.extend(table(0, 0));
    file.extend(table(0x10, 0xe0));
    file.extend(segment(0xda, &[1, 1, 0, 0, 0, 0]));
    file.resize(file.len() + blocks.div_ceil(8), 0);
    for scan in 0..count {
        let band = (scan % 63 + 1) as u8;
        file.extend(segment(0xda, &[1, 1, 0, band, band, 0]));
        file.resize(file.len() + (blocks / 16_384 + 1) * 2, 0);
    }
    file.extend([0xff, 0xd9]);
    file
}

/// An extended WebP of 40 × 30 with more chunks.
pub(crate) fn webp(chunks: &[([u8; 4], Vec<u8>)]) -> Vec<u8> {
    let still = make(&opaque(40, 30), "width=40 format=webp").bytes;
    let extended = [&[0x2c_u8, 0, 0, 0], [39, 0, 0, 29, 0, 0].as_slice()].concat();
    let mut all = vec![(*b"VP8X", extended)];
    all.extend(chunks.iter().cloned());
    riff(&all, &still[12..])
}

/// An animated WebP with a frame of another size than its canvas.
pub(crate) fn animated_webp(canvas: (u32, u32), frame: (u32, u32)) -> Vec<u8> {
    let still = make(&opaque(40, 30), "width=40 format=webp").bytes;
    let three = |value: u32| value.to_le_bytes()[..3].to_vec();
    let extended = [vec![2, 0, 0, 0], three(canvas.0 - 1), three(canvas.1 - 1)].concat();
    let part = [
        three(0),
        three(0),
        three(frame.0 - 1),
        three(frame.1 - 1),
        vec![0; 4],
    ]
    .concat();
    let frame = (*b"ANMF", [part, still[12..].to_vec()].concat());
    riff(
        &[
            (*b"VP8X", extended),
            (*b"ANIM", vec![0; 6]),
            frame.clone(),
            frame,
        ],
        &[],
    )
}

fn riff(chunks: &[([u8; 4], Vec<u8>)], more: &[u8]) -> Vec<u8> {
    let mut body = b"WEBP".to_vec();
    for (name, payload) in chunks {
        body.extend(name);
        body.extend((payload.len() as u32).to_le_bytes());
        body.extend(payload);
        body.resize(body.len().next_multiple_of(2), 0);
    }
    body.extend(more);
    [b"RIFF", (body.len() as u32).to_le_bytes().as_slice(), &body].concat()
}

/// A GIF with frames of these sizes, each with the data of a single pixel.
pub(crate) fn gif(screen: (u16, u16), frames: &[(u16, u16)], icc: Option<&[u8]>) -> Vec<u8> {
    let size = |(width, height): (u16, u16)| [width.to_le_bytes(), height.to_le_bytes()].concat();
    let mut file = [
        b"GIF89a".as_slice(),
        &size(screen),
        &[0x80, 0, 0, 0, 0, 0, 9, 9, 9],
    ]
    .concat();
    if let Some(icc) = icc {
        file.extend(b"\x21\xff\x0bICCRGBG1012");
        for block in icc.chunks(255) {
            file.push(block.len() as u8);
            file.extend(block);
        }
        file.push(0);
    }
    for frame in frames {
        file.extend([0x2c, 0, 0, 0, 0]);
        file.extend(size(*frame));
        // Clear, the first colour, end: codes of three bits.
        file.extend([0, 2, 2, 0x44, 0x01, 0]);
    }
    file.push(0x3b);
    file
}

/// A BMP without complete data.
pub(crate) fn bmp(width: u32, height: u32, bits: u16, compression: u32) -> Vec<u8> {
    let colors = if compression == u32::MAX { u32::MAX } else { 1 };
    let mut file = b"BM".to_vec();
    for value in [100, 0, 58, 40, width, height] {
        file.extend(u32::to_le_bytes(value));
    }
    file.extend([1_u16, bits].map(u16::to_le_bytes).concat());
    for value in [compression.min(1), 0, 0, 0, colors, 0] {
        file.extend(u32::to_le_bytes(value));
    }
    file.extend([9, 9, 9, 0]);
    // RLE: a few pixels, and the end.
    file.extend([3, 0, 0, 1]);
    file
}

/// The value of a TIFF field.
#[derive(Clone, Debug)]
pub(crate) enum TiffValue {
    Number(u32),
    /// Stored after the directory.
    Bytes(Vec<u8>),
}

/// Tag, type, count and value.
pub(crate) type TiffField = (u16, u16, u32, TiffValue);

/// A TIFF of 10 × 10 gray pixels whose fields are replaced, and followed, by these. A picture with
/// tiles has no strips.
pub(crate) fn tiff(fields: &[TiffField]) -> Vec<u8> {
    use TiffValue::Number;
    let is_tiled = fields.iter().any(|(tag, ..)| *tag == 324);
    let plain = [
        (256, 10),
        (257, 10),
        (258, 8),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, 10),
        (279, 100),
    ];
    let mut all: Vec<TiffField> = plain
        .into_iter()
        .filter(|(tag, _)| !(is_tiled && matches!(tag, 273 | 278 | 279)))
        .map(|(tag, value)| (tag, 4, 1, Number(value)))
        .collect();
    for field in fields {
        all.retain(|(tag, ..)| *tag != field.0);
        all.push(field.clone());
    }
    all.sort_by_key(|(tag, ..)| *tag);
    let mut values = 8 + 100 + 2 + all.len() * 12 + 4;
    let mut file = b"II\x2a\0".to_vec();
    file.extend(108_u32.to_le_bytes());
    file.resize(108, 7);
    file.extend((all.len() as u16).to_le_bytes());
    let mut after = Vec::new();
    for (tag, kind, count, value) in all {
        file.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        file.extend(count.to_le_bytes());
        let value = match value {
            Number(value) => value,
            TiffValue::Bytes(bytes) => {
                let start = values as u32;
                values += bytes.len();
                after.extend(bytes);
                start
            }
        };
        file.extend(value.to_le_bytes());
    }
    file.extend(0_u32.to_le_bytes());
    file.extend(after);
    file
}

/// A TIFF whose strip is the value of the field of its offsets.
pub(crate) fn tiff_of_one_strip(fields: &[TiffField]) -> Vec<u8> {
    let mut file = tiff(fields);
    // The field must say one offset, not bytes.
    let entry = (110..)
        .step_by(12)
        .find(|&at| file[at..at + 2] == 273_u16.to_le_bytes());
    let at = entry.unwrap() + 2;
    file[at..at + 6].copy_from_slice(&[4, 0, 1, 0, 0, 0]);
    file
}

/// A BigTIFF whose directory says that it has `count` entries.
pub(crate) fn big_tiff(count: u64) -> Vec<u8> {
    let start = [b"II\x2b\0\x08\0\0\0".as_slice(), &16_u64.to_le_bytes()].concat();
    [start, count.to_le_bytes().to_vec(), vec![0; 400]].concat()
}

/// A TIFF whose one strip is this JPEG.
pub(crate) fn tiff_jpeg(jpeg: &[u8], fields: &[TiffField]) -> Vec<u8> {
    let file = tiff(fields);
    let start = (file.len() + 2 * 12) as u32;
    let number = |tag, value| (tag, 4, 1, TiffValue::Number(value));
    let strip = [
        number(259, 7),
        number(273, start),
        number(279, jpeg.len() as u32),
    ];
    let mut file = tiff(&[fields, &strip].concat());
    file.resize(start as usize, 0);
    file.extend(jpeg);
    file
}

/// A TIFF whose next directory is its first one.
pub(crate) fn tiff_to_itself() -> Vec<u8> {
    let mut file = tiff(&[]);
    let end = file.len();
    file[end - 4..].copy_from_slice(&108_u32.to_le_bytes());
    file
}

/// A profile of an Rgb display whose tags all are one table, filled to a length.
pub(crate) fn profile(table: &[u8], tags: &[[u8; 4]], length: usize) -> Vec<u8> {
    let mut profile = vec![0; 128];
    profile[8] = 4;
    profile[12..24].copy_from_slice(b"mntrRGB XYZ ");
    profile[36..40].copy_from_slice(b"acsp");
    profile.extend((tags.len() as u32).to_be_bytes());
    let start = profile.len() + tags.len() * 12;
    let rest = length.saturating_sub(start).max(table.len());
    for tag in tags {
        profile.extend(tag);
        profile.extend((start as u32).to_be_bytes());
        profile.extend((rest as u32).to_be_bytes());
    }
    profile.extend(table);
    profile.resize(start + rest, 0);
    let size = (profile.len() as u32).to_be_bytes();
    profile[..4].copy_from_slice(&size);
    profile
}

/// A table of three inputs, three outputs and 60 points a side.
pub(crate) fn lut() -> Vec<u8> {
    let mut table = b"mft1\0\0\0\0\x03\x03\x3c\0".to_vec();
    for index in 0..9 {
        table.extend(if index % 4 == 0 { [0, 1, 0, 0] } else { [0; 4] });
    }
    let curve: Vec<u8> = (0..=255).collect();
    table.extend(curve.repeat(3));
    table.resize(table.len() + 60 * 60 * 60 * 3, 100);
    table.extend(curve.repeat(3));
    table
}

/// A text in 60,000 languages that is one string.
pub(crate) fn words() -> Vec<u8> {
    let count = 60_000_u32;
    let start = 16 + count * 12;
    let mut table = b"mluc\0\0\0\0".to_vec();
    table.extend(count.to_be_bytes());
    table.extend(12_u32.to_be_bytes());
    for _ in 0..count {
        table.extend(b"enUS");
        table.extend(150_000_u32.to_be_bytes());
        table.extend(start.to_be_bytes());
    }
    table
}

/// A curve that says it has as many points as the profile has room for.
pub(crate) fn curve() -> Vec<u8> {
    [b"curv\0\0\0\0".as_slice(), &440_000_u32.to_be_bytes()].concat()
}
