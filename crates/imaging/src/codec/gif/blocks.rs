//! Walks over the blocks of a GIF file without decoding them (GIF89a specification, appendix B).
//!
//! Files of all ages have flaws that cost no pixel: no trailer, zeros between blocks, frames without
//! pixels. Browsers show them.

use crate::limits::Limits;
use crate::metadata;
use crate::raster::pixel_count;

/// What the blocks contain.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    /// The size of the screen, enlarged for a first frame that stands over it, as browsers do.
    pub(super) width: u32,
    pub(super) height: u32,
    /// The number of frames, complete or not; at least 1.
    pub(super) frames: u32,
    /// Pixels of the largest frame.
    pub(super) largest_frame: u64,
    /// Pixels of all frames.
    all_frames: u64,
    /// Whether a frame uses the disposal method "restore to previous".
    pub(super) restores: bool,
    /// How often the animation plays; 0 means forever.
    pub(super) plays: u32,
    /// The profile in the `ICCRGBG1012` extension.
    pub(super) icc: Option<Vec<u8>>,
}

/// One block.
#[derive(Clone, Copy, Debug)]
pub(super) enum Block<'a> {
    /// The graphic control extension of the next frame.
    Control(Control),
    /// An application extension: its name and its sub-blocks.
    Application(&'a [u8], &'a [u8]),
    Frame(Image<'a>),
    /// Another extension.
    Other,
}

/// What a graphic control extension says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Control {
    /// 0 to 7.
    pub(super) disposal: u8,
    /// Hundredths of a second.
    pub(super) delay: u16,
    /// The transparent index.
    pub(super) transparent: Option<u8>,
}

/// A frame as it is stored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Image<'a> {
    pub(super) left: u16,
    pub(super) top: u16,
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) is_interlaced: bool,
    /// The palette of this frame alone, three bytes a colour.
    pub(super) palette: Option<&'a [u8]>,
    /// Bits of the first codes, without the two special ones.
    pub(super) code_bits: u8,
    /// The sub-blocks of its data.
    pub(super) data: &'a [u8],
    /// Whether the file ends inside of the data.
    pub(super) is_cut: bool,
}

/// Walks to the trailer, to the end of the bytes, or to what is no block.
///
/// # Errors
///
/// If the file ends before the data of the first frame, if the profile is above the limit, or if frames
/// larger than the screen have more pixels than the limit.
pub(super) fn read(bytes: &[u8], limits: &Limits) -> Result<Blocks, String> {
    let cut = || "it is cut short".to_owned();
    let (screen, mut rest) = screen(bytes).ok_or_else(cut)?;
    let mut blocks = Blocks {
        width: screen.width.into(),
        height: screen.height.into(),
        frames: 0,
        largest_frame: 0,
        all_frames: 0,
        restores: false,
        plays: 1,
        icc: None,
    };
    let mut icc = None;
    while let Some((block, after)) = block(rest) {
        rest = after;
        match block {
            Block::Control(control) => blocks.restores |= control.disposal == 3,
            Block::Application(b"ICCRGBG1012", data) => icc = Some(data),
            Block::Application(b"NETSCAPE2.0" | b"ANIMEXTS1.0", data) => {
                if let Some([1, low, high, ..]) = sub_blocks_of(data).next() {
                    // The file gives the number of repetitions after the first play.
                    blocks.plays = match u16::from_le_bytes([*low, *high]) {
                        0 => 0,
                        repeats => u32::from(repeats) + 1,
                    };
                }
            }
            Block::Frame(frame) => blocks.add(&frame),
            Block::Application(..) | Block::Other => {}
        }
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
    let screen = pixel_count(screen.width.into(), screen.height.into());
    if blocks.largest_frame > screen && blocks.all_frames > limits.max_source_pixels {
        return Err(format!(
            "its frames have {} pixels, many of them beyond the screen; the limit is {}",
            blocks.all_frames, limits.max_source_pixels
        ));
    }
    Ok(blocks)
}

impl Blocks {
    fn add(&mut self, frame: &Image<'_>) {
        if self.frames == 0 {
            self.width = self
                .width
                .max(u32::from(frame.left) + u32::from(frame.width));
            self.height = self
                .height
                .max(u32::from(frame.top) + u32::from(frame.height));
        }
        let pixels = pixel_count(frame.width.into(), frame.height.into());
        self.largest_frame = self.largest_frame.max(pixels);
        self.all_frames += pixels;
        self.frames += 1;
    }
}

/// The logical screen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Screen<'a> {
    width: u16,
    height: u16,
    /// The palette of all frames without one of their own.
    pub(super) palette: Option<&'a [u8]>,
}

/// The logical screen, and the blocks after it.
pub(super) fn screen(bytes: &[u8]) -> Option<(Screen<'_>, &[u8])> {
    let (screen, rest) = bytes.split_first_chunk::<13>()?;
    let (palette, rest) = palette(screen[10], rest)?;
    let screen = Screen {
        width: u16::from_le_bytes([screen[6], screen[7]]),
        height: u16::from_le_bytes([screen[8], screen[9]]),
        palette,
    };
    Some((screen, rest))
}

/// The next block and what follows it. Returns `None` at the trailer, at the end of the bytes, or at an
/// invalid block. Zeros between blocks are passed over.
pub(super) fn block(mut bytes: &[u8]) -> Option<(Block<'_>, &[u8])> {
    while let [0, rest @ ..] = bytes {
        bytes = rest;
    }
    match bytes {
        [0x21, 0xf9, rest @ ..] => {
            let (packed, low, high, index) = match rest {
                [_, packed, low, high, index, ..] => (*packed, *low, *high, *index),
                _ => return None,
            };
            let control = Control {
                disposal: packed >> 2 & 7,
                delay: u16::from_le_bytes([low, high]),
                transparent: (packed & 1 == 1).then_some(index),
            };
            Some((Block::Control(control), sub_blocks(rest)?))
        }
        [0x21, 0xff, rest @ ..] => {
            let after = sub_blocks(rest)?;
            let (length, data) = rest.split_first()?;
            let application = data
                .split_at_checked(usize::from(*length))
                .map_or(Block::Other, |(name, data)| Block::Application(name, data));
            Some((application, after))
        }
        [0x21, _label, rest @ ..] => Some((Block::Other, sub_blocks(rest)?)),
        [0x2c, rest @ ..] => {
            let (descriptor, rest) = rest.split_first_chunk::<9>()?;
            let (palette, rest) = palette(descriptor[8], rest)?;
            let (code_bits, data) = rest.split_first()?;
            let short = |at: usize| u16::from_le_bytes([descriptor[at], descriptor[at + 1]]);
            let after = sub_blocks(data);
            let frame = Image {
                left: short(0),
                top: short(2),
                width: short(4),
                height: short(6),
                is_interlaced: descriptor[8] & 0x40 != 0,
                palette,
                code_bits: *code_bits,
                data,
                is_cut: after.is_none(),
            };
            Some((Block::Frame(frame), after.unwrap_or_default()))
        }
        _ => None,
    }
}

/// The palette that packed fields declare, and what follows it.
fn palette(packed: u8, bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    if packed & 0x80 == 0 {
        return Some((None, bytes));
    }
    let (palette, rest) = bytes.split_at_checked(3 << ((packed & 7) + 1))?;
    Some((Some(palette), rest))
}

/// The sub-blocks, to the first that is empty or cut short.
pub(super) fn sub_blocks_of(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first()?;
        let (block, rest) = rest.split_at_checked(usize::from(*length))?;
        bytes = rest;
        (!block.is_empty()).then_some(block)
    })
}

/// What follows the sub-blocks; `None` if they are cut short.
fn sub_blocks(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        let (length, rest) = bytes.split_first()?;
        bytes = rest.get(usize::from(*length)..)?;
        if *length == 0 {
            return Some(bytes);
        }
    }
}
