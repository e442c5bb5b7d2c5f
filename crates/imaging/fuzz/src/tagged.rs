//! Good pictures with a block of metadata that has arbitrary content.

use std::sync::OnceLock;

use png::chunk::ChunkType;
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

const WIDTH: usize = 16;
const HEIGHT: usize = 12;

/// A picture with one block of metadata; `kind` chooses the format and the block. `None` if the
/// content is too long for it.
pub fn tagged(kind: u8, content: &[u8]) -> Option<Vec<u8>> {
    let picture = match kind % 6 {
        0 => jpeg(0xe1, b"Exif\0\0", content),
        1 => jpeg(0xe2, b"ICC_PROFILE\0\x01\x01", content),
        2 => jpeg(0xe1, b"http://ns.adobe.com/xap/1.0/\0", content),
        // Profiles and text are compressed in PNG, so `content` is a zlib stream at best.
        3 => return Some(png(png::chunk::eXIf, content)),
        4 => return Some(png(png::chunk::iCCP, &[b"name\0\0", content].concat())),
        _ => {
            let text = [b"XML:com.adobe.xmp\0\x01\0\0\0", content].concat();
            return Some(png(png::chunk::iTXt, &text));
        }
    };
    picture
}

fn pixels() -> Vec<u8> {
    (0..WIDTH * HEIGHT * 3).map(|at| (at * 7) as u8).collect()
}

/// A JPEG whose first segment has this marker, signature and content.
fn jpeg(marker: u8, signature: &[u8], content: &[u8]) -> Option<Vec<u8>> {
    static PLAIN: OnceLock<Vec<u8>> = OnceLock::new();
    let plain =
        PLAIN.get_or_init(|| encode_jpeg(&pixels(), (WIDTH, HEIGHT), Subsamp::Sub2x2, false));
    let length = u16::try_from(2 + signature.len() + content.len()).ok()?;
    let segment = [
        &[0xff, marker],
        &length.to_be_bytes()[..],
        signature,
        content,
    ]
    .concat();
    Some([&plain[..2], &segment, &plain[2..]].concat())
}

/// A PNG with a chunk of this kind and content.
fn png(kind: ChunkType, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, WIDTH as u32, HEIGHT as u32);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().expect("the size is valid");
    writer
        .write_chunk(kind, content)
        .expect("memory is large enough");
    writer
        .write_image_data(&pixels())
        .expect("the size is right");
    drop(writer);
    bytes
}

/// Encodes Rgb pixels by libjpeg-turbo.
pub fn encode_jpeg(
    rgb: &[u8],
    (width, height): (usize, usize),
    subsamp: Subsamp,
    progressive: bool,
) -> Vec<u8> {
    let mut compressor = Compressor::new().expect("libjpeg-turbo starts");
    compressor.set_quality(92).expect("the quality is valid");
    compressor
        .set_subsamp(subsamp)
        .expect("the subsampling is valid");
    compressor
        .set_progressive(progressive)
        .expect("libjpeg-turbo is progressive");
    let image = Image {
        pixels: rgb,
        width,
        pitch: width * 3,
        height,
        format: PixelFormat::RGB,
    };
    compressor
        .compress_to_vec(image)
        .expect("the picture is valid")
}
