//! Reads the headers of a codestream's frames, one after the other, without their data (ISO/IEC
//! 18181-1, annexes D to F). Nothing is kept of a frame but a few numbers, so that memory does not
//! grow with the number of frames.

use std::sync::Arc;

use jxl_bitstream::Bitstream;
use jxl_color::icc::read_icc;
use jxl_frame::filter::{EdgePreservingFilter, Gabor};
use jxl_frame::{Frame, FrameContext, FrameHeader};
use jxl_image::ImageHeader;
use jxl_oxide::JxlThreadPool;
use jxl_oxide::frame::Encoding;
use jxl_oxide_common::Bundle;

use crate::limits::Limits;
use crate::raster::pixel_count;

/// The most frames of a file. Only the first shown frame is decoded; the others are counted.
const MOST_FRAMES: u32 = 20_000;

/// The facts about the frames up to the first that is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frames {
    /// Where the first frame starts in the codestream.
    pub(super) start: usize,
    /// Where the first shown frame ends.
    pub(super) end: usize,
    /// Whether the data of all frames is there.
    pub(super) is_whole: bool,
    /// Whether the decoder computes in floating point. It does for lossy pictures and recompressed
    /// JPEGs, and wherever frames are filtered, enlarged or blended.
    pub(super) is_float: bool,
    /// Bytes of a sample of lossless data.
    pub(super) sample_bytes: u64,
    /// Channels beside the colours: alpha, depth and others.
    pub(super) extra_channels: u64,
    /// Pixels of the frames that are not one frame of the picture's size.
    pub(super) further_pixels: u64,
    /// Pixels of the frames with patches or splines.
    pub(super) drawn_pixels: u64,
    /// The longest chain of frames that build on each other.
    pub(super) chain: u32,
}

/// Reads all headers. Data that is cut short is no error here.
pub(super) fn read(codestream: &[u8], limits: &Limits) -> Result<Frames, String> {
    let (image, mut at) = image_header(codestream, limits)?;
    let metadata = &image.metadata;
    let mut frames = Frames {
        start: at,
        end: at,
        is_whole: false,
        is_float: metadata.xyb_encoded,
        sample_bytes: if metadata.modular_16bit_buffers { 2 } else { 4 },
        extra_channels: metadata.ec_info.len() as u64,
        further_pixels: 0,
        drawn_pixels: 0,
        chain: 0,
    };
    let mut chains = Chains::default();
    let mut is_shown = false;
    let mut count = 0;
    while let Some((frame, end)) = frame_at(codestream, at, &image)? {
        let header = frame.header();
        count += 1;
        if !is_shown {
            if count > limits.max_frames {
                return Err(format!(
                    "it is composed of more than {} frames, which is the limit",
                    limits.max_frames
                ));
            }
            frames.chain = frames.chain.max(chains.add(header));
            frames.add(header, &image, count);
            frames.end = end;
            is_shown = header.is_keyframe();
        }
        if count > MOST_FRAMES {
            return Err(format!(
                "it has more than {MOST_FRAMES} frames, which is the limit"
            ));
        }
        if end > codestream.len() {
            return Ok(frames);
        }
        if header.is_last {
            frames.is_whole = true;
            return Ok(frames);
        }
        at = end;
    }
    // The next header is cut short.
    frames.is_float |= !is_shown;
    Ok(frames)
}

/// The image header, and where the first frame starts.
fn image_header(codestream: &[u8], limits: &Limits) -> Result<(Arc<ImageHeader>, usize), String> {
    let mut bits = Bitstream::new(codestream);
    let image = ImageHeader::parse(&mut bits, ());
    let image = image.map_err(|error| said(error.unexpected_eof(), &error))?;
    if image.metadata.colour_encoding.want_icc() {
        check_profile(&mut bits, limits.max_metadata_bytes)?;
    }
    bits.zero_pad_to_byte()
        .map_err(|error| said(error.unexpected_eof(), &error))?;
    let has_preview = image.metadata.preview.is_some();
    let image = Arc::new(image);
    let at = bits.num_read_bits() / 8;
    if !has_preview {
        return Ok((image, at));
    }
    match frame_at(codestream, at, &image)? {
        Some((_, end)) if end <= codestream.len() => Ok((image, end)),
        _ => Err("it is cut short".to_owned()),
    }
}

/// Skips the compressed colour profile. It may become larger when it is decompressed, so both sizes
/// are limited.
fn check_profile(bits: &mut Bitstream<'_>, most: u64) -> Result<(), String> {
    let too_large = |size: u64| {
        Err(format!(
            "its colour profile has {size} bytes; the limit is {most}"
        ))
    };
    let size = bits.clone().read_u64();
    let size = size.map_err(|error| said(error.unexpected_eof(), &error))?;
    if size > most {
        return too_large(size);
    }
    let compressed = read_icc(bits).map_err(|error| said(error.unexpected_eof(), &error))?;
    // The profile's size comes first, in groups of seven bits.
    let groups = compressed.iter().take(9);
    let mut size = 0;
    for (index, byte) in groups.enumerate() {
        size |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            break;
        }
    }
    if size > most {
        return too_large(size);
    }
    Ok(())
}

/// The frame that starts at an offset, and where its data ends; `None` if its header is cut short.
fn frame_at(
    codestream: &[u8],
    at: usize,
    image: &Arc<ImageHeader>,
) -> Result<Option<(Frame, usize)>, String> {
    let mut bits = Bitstream::new(&codestream[at..]);
    let context = FrameContext {
        image_header: Arc::clone(image),
        tracker: None,
        pool: JxlThreadPool::none(),
    };
    match Frame::parse(&mut bits, context) {
        Ok(frame) => {
            let data = frame.toc().total_byte_size();
            let end = (at + bits.num_read_bits() / 8).saturating_add(data);
            Ok(Some((frame, end)))
        }
        Err(error) if error.unexpected_eof() => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

fn said(is_cut: bool, error: &impl ToString) -> String {
    match is_cut {
        true => "it is cut short".to_owned(),
        false => error.to_string(),
    }
}

impl Frames {
    /// Adds a frame; `count` is its number, starting at 1.
    fn add(&mut self, header: &FrameHeader, image: &ImageHeader, count: u32) {
        let pixels = pixel_count(header.width, header.height);
        let has_picture_size =
            (header.width, header.height) == (image.size.width, image.size.height);
        let is_plain = has_picture_size && count == 1 && header.is_keyframe();
        let is_drawn = header.flags.patches() || header.flags.splines();
        let is_enlarged =
            header.upsampling > 1 || header.ec_upsampling.iter().any(|factor| *factor > 1);
        let is_filtered = matches!(header.restoration_filter.gab, Gabor::Enabled(_))
            || matches!(
                header.restoration_filter.epf,
                EdgePreservingFilter::Enabled(_)
            );
        self.is_float |= header.encoding == Encoding::VarDct
            || is_drawn
            || is_enlarged
            || is_filtered
            || header.flags.noise()
            || !is_plain;
        // A shown frame of the picture's size is the picture.
        if !(has_picture_size && header.is_keyframe()) {
            let stored = match header.lf_level {
                0 => pixels,
                level => pixels >> (6 * level),
            };
            self.further_pixels = self.further_pixels.saturating_add(stored);
        }
        if is_drawn {
            self.drawn_pixels = self.drawn_pixels.saturating_add(pixels);
        }
    }
}

/// How many frames the frame in each slot builds on, itself included. A frame may use all the slots,
/// and the decoder renders all of them.
#[derive(Default)]
struct Chains {
    references: [u32; 4],
    low_frequencies: [u32; 4],
}

impl Chains {
    /// Adds a frame and returns the length of its chain.
    fn add(&mut self, header: &FrameHeader) -> u32 {
        let mut longest = self.references.into_iter().max().unwrap_or_default();
        if header.flags.use_lf_frame()
            && let Some(below) = self.low_frequencies.get(header.lf_level as usize)
        {
            longest = longest.max(*below);
        }
        let own = longest + 1;
        if header.can_reference()
            && let Some(slot) = self.references.get_mut(header.save_as_reference as usize)
        {
            *slot = own;
        }
        if let Some(level) = header.lf_level.checked_sub(1)
            && let Some(slot) = self.low_frequencies.get_mut(level as usize)
        {
            *slot = own;
        }
        own
    }
}
