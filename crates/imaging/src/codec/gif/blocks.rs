//! Walks over the blocks of a GIF file without decoding them (GIF89a specification, appendix B).

use crate::limits::Limits;
use crate::metadata;
use crate::raster::pixel_count;

/// What the blocks contain.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    pub(super) width: u16,
    pub(super) height: u16,
    /// The number of frames, complete or not; at least 1.
    pub(super) frames: u32,
    /// Pixels of the largest frame.
    pub(super) largest_frame: u64,
    /// Pixels of all frames.
    all_frames: u64,
    /// Whether a frame uses the disposal method "restore to previous".
    pub(super) restores: bool,
    /// The profile in the `ICCRGBG1012` extension.
    pub(super) icc: Option<Vec<u8>>,
}

/// Walks to the trailer, or to the end of the bytes if the first frame has started.
///
/// # Errors
///
/// If the file ends before the data of the first frame, if the profile is above the limit, or if frames
/// larger than the screen have more pixels than the limit.
pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<Blocks, String> {
    let cut = || "it is cut short".to_owned();
    let (screen, rest) = bytes.split_first_chunk::<13>().ok_or_else(cut)?;
    let mut blocks = Blocks {
        width: u16::from_le_bytes([screen[6], screen[7]]),
        height: u16::from_le_bytes([screen[8], screen[9]]),
        frames: 0,
        largest_frame: 0,
        all_frames: 0,
        restores: false,
        icc: None,
    };
    let mut rest = rest.get(color_table(screen[10])..).ok_or_else(cut)?;
    let mut icc = None;
    while let Some(after) = block(rest, &mut blocks, &mut icc) {
        rest = after;
    }
    if blocks.frames == 0 {
        return Err(match rest {
            [] | [0x21 | 0x2c, ..] => cut(),
            [0x3b, ..] => "it has no frame".to_owned(),
            [other, ..] => format!("0x{other:02x} is not the start of a block"),
        });
    }
    if let Some(icc) = icc {
        let length = sub_blocks_of(icc).map(<[u8]>::len).sum();
        metadata::check_stored_profile(length, limits)?;
        let mut joined = Vec::with_capacity(length);
        sub_blocks_of(icc).for_each(|block| joined.extend_from_slice(block));
        blocks.icc = Some(joined);
    }
    let screen = pixel_count(blocks.width.into(), blocks.height.into());
    if blocks.largest_frame > screen && blocks.all_frames > limits.max_source_pixels {
        return Err(format!(
            "its frames have {} pixels, many of them beyond the screen; the limit is {}",
            blocks.all_frames, limits.max_source_pixels
        ));
    }
    Ok(blocks)
}

/// Skips one block. Returns `None` at the trailer, at the end of the bytes, or at an invalid block.
/// `icc` becomes the sub-blocks of a profile, the last one if there are several.
fn block<'a>(bytes: &'a [u8], blocks: &mut Blocks, icc: &mut Option<&'a [u8]>) -> Option<&'a [u8]> {
    match bytes {
        // Graphic control extension: three bits of disposal method; 3 is "restore to previous".
        [0x21, 0xf9, rest @ ..] => {
            let packed = rest.get(1)?;
            blocks.restores |= (packed >> 2) & 7 == 3;
            sub_blocks(rest)
        }
        [0x21, 0xff, rest @ ..] => {
            let after = sub_blocks(rest)?;
            if let Some(data) = rest.strip_prefix(b"\x0bICCRGBG1012") {
                *icc = Some(data);
            }
            Some(after)
        }
        [0x21, _label, rest @ ..] => sub_blocks(rest),
        [0x2c, rest @ ..] => {
            let (descriptor, rest) = rest.split_first_chunk::<9>()?;
            let data = rest.get(color_table(descriptor[8]) + 1..)?;
            let side =
                |at: usize| u64::from(u16::from_le_bytes([descriptor[at], descriptor[at + 1]]));
            let pixels = side(4) * side(6);
            blocks.largest_frame = blocks.largest_frame.max(pixels);
            blocks.all_frames += pixels;
            blocks.frames += 1;
            sub_blocks(data)
        }
        _ => None,
    }
}

/// The sub-blocks, to the first that is empty or cut short.
fn sub_blocks_of(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first()?;
        let (block, rest) = rest.split_at_checked(usize::from(*length))?;
        bytes = rest;
        (!block.is_empty()).then_some(block)
    })
}

/// The size in bytes of the colour table that these packed fields declare.
fn color_table(packed: u8) -> usize {
    if packed & 0x80 == 0 {
        0
    } else {
        3 << ((packed & 7) + 1)
    }
}

fn sub_blocks(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (length, rest) = bytes.split_first()?;
        bytes = rest.get(usize::from(*length)..)?;
        if *length == 0 {
            return Some(bytes);
        }
    }
}
