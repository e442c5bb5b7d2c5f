//! The blocks of a GIF file (GIF89a specification, appendix B), walked over without decoding.

/// What the blocks tell.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    pub(super) width: u16,
    pub(super) height: u16,
    /// Complete or not, at least 1.
    pub(super) frames: u32,
}

/// Walks to the trailer, or as far as the bytes go once the first frame has begun.
///
/// # Errors
///
/// When the file ends before the first frame's data.
pub(super) fn read(bytes: &[u8]) -> Result<Blocks, String> {
    let cut = || "it is cut short".to_owned();
    let (screen, rest) = bytes.split_first_chunk::<13>().ok_or_else(cut)?;
    let mut blocks = Blocks {
        width: u16::from_le_bytes([screen[6], screen[7]]),
        height: u16::from_le_bytes([screen[8], screen[9]]),
        frames: 0,
    };
    let mut rest = rest.get(color_table(screen[10])..).ok_or_else(cut)?;
    while let Some(after) = block(rest, &mut blocks.frames) {
        rest = after;
    }
    if blocks.frames == 0 {
        return Err(match rest {
            [] | [0x21 | 0x2c, ..] => cut(),
            [0x3b, ..] => "it has no frame".to_owned(),
            [other, ..] => format!("0x{other:02x} begins no block"),
        });
    }
    Ok(blocks)
}

/// Steps over one block; `None` at the trailer, at the end of the bytes or at what is no block.
fn block<'a>(bytes: &'a [u8], frames: &mut u32) -> Option<&'a [u8]> {
    match bytes {
        [0x21, _label, rest @ ..] => sub_blocks(rest),
        [0x2c, rest @ ..] => {
            let (descriptor, rest) = rest.split_first_chunk::<9>()?;
            let data = rest.get(color_table(descriptor[8]) + 1..)?;
            *frames += 1;
            sub_blocks(data)
        }
        _ => None,
    }
}

/// Bytes of the colour table that these packed fields announce.
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
