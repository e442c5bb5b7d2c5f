//! Small pictures in formats that the library does not write, and blocks of metadata.

use anyhow::{Result, anyhow};
use picresize_kernels::avif::{BitDepth, Settings};
use zune_core::bit_depth::BitDepth as Depth;
use zune_core::colorspace::ColorSpace;
use zune_core::options::EncoderOptions;
use zune_jpegxl::JxlSimpleEncoder;

pub(crate) const WIDTH: u32 = 24;
pub(crate) const HEIGHT: u32 = 18;

fn sample(x: u32, y: u32, channel: u32) -> u8 {
    match channel {
        0 => (x * 255 / WIDTH) as u8,
        1 => (y * 255 / HEIGHT) as u8,
        2 => ((x / 5 + y / 3) % 2 * 200) as u8,
        _ => 255 - ((x * y) % 255) as u8,
    }
}

fn samples(channels: u32) -> Vec<u8> {
    let pixels = (0..WIDTH * HEIGHT).map(|at| (at % WIDTH, at / WIDTH));
    pixels
        .flat_map(|(x, y)| (0..channels).map(move |channel| sample(x, y, channel)))
        .collect()
}

pub(crate) fn rgb() -> Vec<u8> {
    samples(3)
}

fn twice(samples: &[u8]) -> Vec<u8> {
    samples.iter().flat_map(|&byte| [byte; 2]).collect()
}

pub(crate) fn png(color: png::ColorType, depth: png::BitDepth) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, WIDTH, HEIGHT);
    encoder.set_color(color);
    encoder.set_depth(depth);
    let samples = samples(color.samples() as u32);
    let mut writer = encoder.write_header()?;
    match depth {
        png::BitDepth::Sixteen => writer.write_image_data(&twice(&samples))?,
        _ => writer.write_image_data(&samples)?,
    }
    writer.finish()?;
    Ok(bytes)
}

pub(crate) fn apng() -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, WIDTH, HEIGHT);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_animated(3, 0)?;
    let mut writer = encoder.write_header()?;
    for shift in 0..3 {
        let mut samples = samples(4);
        samples.rotate_left(shift * 40);
        writer.write_image_data(&samples)?;
    }
    writer.finish()?;
    Ok(bytes)
}

/// A bitmap with its file header.
pub(crate) fn bmp(bits: u16) -> Vec<u8> {
    let bitmap = bitmap(bits, HEIGHT);
    let colors = if bits <= 8 { 4 << bits } else { 0 };
    let mut file = b"BM".to_vec();
    file.extend((14 + bitmap.len() as u32).to_le_bytes());
    file.extend([0; 4]);
    file.extend((14_u32 + 40 + colors).to_le_bytes());
    file.extend(bitmap);
    file
}

/// A bitmap of run-length encoded indices: a row is one run, or its pixels as they are.
pub(crate) fn bmp_of_runs() -> Vec<u8> {
    let mut file = bmp(8);
    file.truncate(14 + 40 + 1024);
    file[14 + 16] = 1;
    for y in 0..HEIGHT as u8 {
        match y % 3 {
            0 => file.extend([WIDTH as u8, y]),
            1 => file.extend((0..WIDTH as u8 + 2).map(|x| x.saturating_sub(2) % 9)),
            _ => file.extend([0, 2, 3, 0, 5, y]),
        }
        if y % 3 == 1 {
            let start = file.len() - WIDTH as usize - 2;
            file[start..start + 2].copy_from_slice(&[0, WIDTH as u8]);
        }
        file.extend([0, 0]);
    }
    file.extend([0, 1]);
    file
}

/// A bitmap whose samples have 5, 6 and 5 bits.
pub(crate) fn bmp_of_masks() -> Vec<u8> {
    let mut file = bmp(16);
    file[14 + 16] = 3;
    file[10] += 12;
    let masks = [0xf800_u32, 0x07e0, 0x001f].map(u32::to_le_bytes);
    file.splice(54..54, masks.concat());
    file
}

/// A bitmap of 32 bits as in an icon: its height counts the mask.
pub(crate) fn icon_bmp() -> Vec<u8> {
    let mut bitmap = bitmap(32, HEIGHT * 2);
    bitmap.extend(vec![0; (WIDTH as usize).div_ceil(32) * 4 * HEIGHT as usize]);
    bitmap
}

fn bitmap(bits: u16, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in [
        40,
        WIDTH,
        height,
        1 | u32::from(bits) << 16,
        0,
        0,
        2835,
        2835,
        0,
        0,
    ] {
        bytes.extend(field.to_le_bytes());
    }
    if bits <= 8 {
        for color in 0..1_u32 << bits {
            bytes.extend((color * 0x0003_0507).to_le_bytes());
        }
    }
    let row_bytes = (WIDTH as usize * usize::from(bits)).div_ceil(32) * 4;
    for y in 0..HEIGHT {
        let start = bytes.len();
        for x in 0..WIDTH {
            match bits {
                16 | 24 | 32 => bytes.extend((0..u32::from(bits / 8)).map(|c| sample(x, y, c))),
                _ if x % (8 / u32::from(bits)) == 0 => bytes.push(sample(x, y, 0)),
                _ => {}
            }
        }
        bytes.resize(start + row_bytes, 0);
    }
    bytes
}

/// An icon with one picture.
pub(crate) fn ico(picture: &[u8]) -> Vec<u8> {
    let mut file = vec![
        0,
        0,
        1,
        0,
        1,
        0,
        WIDTH as u8,
        HEIGHT as u8,
        0,
        0,
        1,
        0,
        32,
        0,
    ];
    file.extend((picture.len() as u32).to_le_bytes());
    file.extend(22_u32.to_le_bytes());
    file.extend(picture);
    file
}

pub(crate) fn tiffs() -> Vec<(String, Vec<u8>)> {
    let kinds = [
        ("gray", tiff(&samples(1), 1, 8)),
        ("rgb", tiff(&samples(3), 3, 8)),
        ("rgba", tiff(&samples(4), 4, 8)),
        ("deep", tiff(&twice(&samples(3)), 3, 16)),
    ];
    kinds.map(|(name, file)| (name.to_owned(), file)).into()
}

/// A TIFF of one strip: the samples, the bits of each of them, and the directory.
fn tiff(strip: &[u8], channels: u16, bits: u16) -> Vec<u8> {
    let mut file = b"II*\0\0\0\0\0".to_vec();
    file.extend(strip);
    let bits_at = file.len() as u32;
    file.extend(bits.to_le_bytes().repeat(channels.into()));
    let directory = (file.len() as u32).to_le_bytes();
    file[4..8].copy_from_slice(&directory);
    let bits_or_place = if channels <= 2 { bits.into() } else { bits_at };
    let mut fields: Vec<(u16, u16, u32, u32)> = vec![
        (256, 4, 1, WIDTH),
        (257, 4, 1, HEIGHT),
        (258, 3, channels.into(), bits_or_place),
        (259, 3, 1, 1),
        (262, 3, 1, if channels == 1 { 1 } else { 2 }),
        (273, 4, 1, 8),
        (277, 3, 1, channels.into()),
        (278, 4, 1, HEIGHT),
        (279, 4, 1, strip.len() as u32),
    ];
    if channels == 4 {
        // The fourth sample is alpha.
        fields.push((338, 3, 1, 2));
    }
    file.extend((fields.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in fields {
        file.extend([tag, kind].map(u16::to_le_bytes).concat());
        file.extend([count, value].map(u32::to_le_bytes).concat());
    }
    file.extend([0; 4]);
    file
}

/// Lossless JPEG XL.
pub(crate) fn jxls() -> Result<Vec<(String, Vec<u8>)>> {
    let kinds = [
        ("gray", 1, ColorSpace::Luma),
        ("rgb", 3, ColorSpace::RGB),
        ("rgba", 4, ColorSpace::RGBA),
    ];
    let encode = |(name, channels, colors): (&str, u32, ColorSpace)| {
        let samples = samples(channels);
        let size = (WIDTH as usize, HEIGHT as usize);
        let options = EncoderOptions::new(size.0, size.1, colors, Depth::Eight);
        let mut file = Vec::new();
        JxlSimpleEncoder::new(&samples, options)
            .encode(&mut file)
            .map_err(|error| anyhow!("{error:?}"))?;
        Ok((name.to_owned(), file))
    };
    kinds.into_iter().map(encode).collect()
}

pub(crate) fn deep_avif() -> Result<Vec<u8>> {
    let settings = Settings {
        quality: 60,
        bit_depth: BitDepth::Ten,
        full_color: true,
        is_thorough: false,
        exif: None,
    };
    settings
        .encode_rgb(&rgb(), (WIDTH as usize, HEIGHT as usize))
        .map_err(|error| anyhow!(error))
}

/// An EXIF block: turned by a quarter, by "Ann", with a second directory.
pub(crate) fn exif() -> Vec<u8> {
    let mut exif = b"MM\0*\0\0\0\x08\0\x02".to_vec();
    exif.extend(b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0");
    exif.extend(b"\x01\x3b\0\x02\0\0\0\x04Ann\0");
    exif.extend(38_u32.to_be_bytes());
    exif.extend(b"\0\x01\x82\x98\0\x02\0\0\0\x04Ann\0\0\0\0\0");
    exif
}

/// A zlib stream of one stored block (RFC 1950, RFC 1951).
pub(crate) fn stored_zlib(content: &[u8]) -> Vec<u8> {
    let length = content.len() as u16;
    let (mut low, mut high) = (1_u32, 0_u32);
    for byte in content {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    let mut stream = vec![0x78, 1, 1];
    stream.extend(length.to_le_bytes());
    stream.extend((!length).to_le_bytes());
    stream.extend(content);
    stream.extend((high << 16 | low).to_be_bytes());
    stream
}
