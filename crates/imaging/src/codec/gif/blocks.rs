//! Walks over the blocks of a GIF file without decoding them (GIF89a specification, appendix B).

/// What the blocks contain.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    pub(super) width: u16,
    pub(super) height: u16,
    /// The number of frames, complete or not; at least 1.
    pub(super) frames: u32,
    /// Pixels of the largest frame.
    pub(super) largest_frame: u64,
    /// Whether a frame uses the disposal method "restore to previous".
    pub(super) restores: bool,
    /// The profile in the `ICCRGBG1012` extension.
    pub(super) icc: Option<Vec<u8>>,
}

/// Walks to the trailer, or to the end of the bytes if the first frame has started.
///
/// # Errors
///
/// If the file ends before the data of the first frame.
pub(super) fn read(bytes: &[u8]) -> Result<Blocks, String> {
    let cut = || "it is cut short".to_owned();
    let (screen, rest) = bytes.split_first_chunk::<13>().ok_or_else(cut)?;
    let mut blocks = Blocks {
        width: u16::from_le_bytes([screen[6], screen[7]]),
        height: u16::from_le_bytes([screen[8], screen[9]]),
        frames: 0,
        largest_frame: 0,
        restores: false,
        icc: None,
    };
    let mut rest = rest.get(color_table(screen[10])..).ok_or_else(cut)?;
    while let Some(after) = block(rest, &mut blocks) {
        rest = after;
    }
    if blocks.frames == 0 {
        return Err(match rest {
            [] | [0x21 | 0x2c, ..] => cut(),
            [0x3b, ..] => "it has no frame".to_owned(),
            [other, ..] => format!("0x{other:02x} is not the start of a block"),
        });
    }
    Ok(blocks)
}

/// Skips one block. Returns `None` at the trailer, at the end of the bytes, or at an invalid block.
fn block<'a>(bytes: &'a [u8], blocks: &mut Blocks) -> Option<&'a [u8]> {
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
                blocks.icc = Some(joined(data));
            }
            Some(after)
        }
        [0x21, _label, rest @ ..] => sub_blocks(rest),
        [0x2c, rest @ ..] => {
            let (descriptor, rest) = rest.split_first_chunk::<9>()?;
            let data = rest.get(color_table(descriptor[8]) + 1..)?;
            let side =
                |at: usize| u64::from(u16::from_le_bytes([descriptor[at], descriptor[at + 1]]));
            blocks.largest_frame = blocks.largest_frame.max(side(4) * side(6));
            blocks.frames += 1;
            sub_blocks(data)
        }
        _ => None,
    }
}

/// The bytes of all sub-blocks, joined.
fn joined(mut bytes: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    while let Some((length, rest)) = bytes.split_first() {
        let Some((block, rest)) = rest.split_at_checked(usize::from(*length)) else {
            break;
        };
        if block.is_empty() {
            break;
        }
        data.extend(block);
        bytes = rest;
    }
    data
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
