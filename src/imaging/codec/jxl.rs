//! JPEG XL by `jxl-oxide`. It is only read.

use jxl_oxide::frame::Encoding;
use jxl_oxide::{AllocTracker, InitializeResult, JxlImage, PixelFormat};

use crate::imaging::estimate;
use crate::imaging::metadata::Metadata;
use crate::imaging::orientation::Orientation;
use crate::imaging::raster::{Layout, Raster, sample_count};

use super::Header;

/// Bytes given to the decoder at once while the header is looked for.
const STEP: usize = 4096;

/// Reads the headers of the image and its frames.
pub(super) fn header(bytes: &[u8]) -> Result<Header, String> {
    let mut waiting = JxlImage::builder().build_uninit();
    let mut parts = bytes.chunks(STEP);
    for part in parts.by_ref() {
        waiting.feed_bytes(part).map_err(|e| e.to_string())?;
        match waiting.try_init().map_err(|e| e.to_string())? {
            InitializeResult::NeedMoreData(more) => waiting = more,
            InitializeResult::Initialized(mut image) => {
                for part in parts {
                    image.feed_bytes(part).map_err(|e| e.to_string())?;
                }
                return describe(&image);
            }
        }
    }
    Err("it is cut short".to_owned())
}

/// Whether the picture is computed in floating point: lossy ones and repacked JPEGs are, lossless
/// ones stay integers.
fn is_float(image: &JxlImage) -> bool {
    let mut frames = (0..image.num_loaded_frames()).filter_map(|index| image.frame(index));
    image.image_header().metadata.xyb_encoded
        || !image.is_loading_done()
        || frames.any(|frame| frame.header().encoding == Encoding::VarDct)
}

fn describe(image: &JxlImage) -> Result<Header, String> {
    let layout = match image.pixel_format() {
        PixelFormat::Gray => Layout::Gray,
        PixelFormat::Graya => Layout::GrayAlpha,
        PixelFormat::Rgb => Layout::Rgb,
        PixelFormat::Rgba => Layout::Rgba,
        PixelFormat::Cmyk | PixelFormat::Cmyka => {
            return Err("its pixels are CMYK, which is not read".to_owned());
        }
    };
    let depth = image.image_header().metadata.bit_depth.bits_per_sample();
    let bits = if depth > 8 { 16 } else { 8 };
    let (width, height) = (image.width(), image.height());
    Ok(Header {
        width,
        height,
        frames: 1,
        layout,
        bits,
        shrinks: false,
        planar_bytes: None,
        decoder_bytes: estimate::jxl_decoder(width, height, layout, bits, is_float(image)),
        // The decoder turns the picture itself.
        reduced_decoder_bytes: None,
        orientation: Orientation::default(),
        metadata: Metadata {
            exif: None,
            xmp: None,
            icc: Some(image.rendered_icc()),
        },
    })
}

/// Decodes the first frame, upright, in 8 or 16 bits.
pub(super) fn decode(bytes: &[u8], header: &Header) -> Result<Raster, String> {
    let image = JxlImage::builder()
        .alloc_tracker(AllocTracker::with_limit(most_reserved(header)))
        .read(bytes)
        .map_err(|error| error.to_string())?;
    if !image.is_loading_done() {
        return Err("it is cut short".to_owned());
    }
    let render = image.render_frame(0).map_err(|error| error.to_string())?;
    let mut stream = render.stream();
    let (width, height, layout) = (stream.width(), stream.height(), header.layout);
    if (width, height) != (header.width, header.height)
        || stream.channels() as usize != layout.channels()
    {
        return Err("its frame differs from its header".to_owned());
    }
    let count = sample_count(width, height, layout.channels());
    if header.bits == 16 {
        let mut samples = vec![0_u16; count];
        stream.write_to_buffer(&mut samples);
        Ok(Raster::from_u16(width, height, layout, samples))
    } else {
        let mut samples = vec![0_u8; count];
        stream.write_to_buffer(&mut samples);
        Ok(Raster::from_u8(width, height, layout, samples))
    }
}

/// The decoder's own count is of what it reserves, of which it uses a part.
fn most_reserved(header: &Header) -> usize {
    const LEAST: u64 = 1 << 20;
    usize::try_from(LEAST + 3 * header.decoder_bytes).unwrap_or(usize::MAX)
}
