//! Reads the frame header of a JPEG file (ITU-T T.81, B.2.2).

/// One colour component of the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Component {
    pub(super) id: u8,
    /// Horizontal sampling factor, 1 to 4.
    pub(super) across: usize,
    /// Vertical sampling factor, 1 to 4.
    pub(super) down: usize,
    /// The number of its quantization table.
    pub(super) quantization: usize,
}

impl Component {
    /// Samples, or blocks, per MCU.
    pub(super) fn area(&self) -> usize {
        self.across * self.down
    }
}

/// The content of a start-of-frame segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Bits per sample.
    pub(super) bits: u8,
    /// At least one.
    pub(super) components: Vec<Component>,
    pub(super) is_progressive: bool,
    pub(super) is_lossless: bool,
    /// The codes are Huffman codes, not arithmetic codes, and the samples are DCT-coded.
    pub(super) is_huffman: bool,
    pub(super) is_arithmetic: bool,
    /// The picture is refined from a smaller one (T.81, annex J).
    pub(super) is_hierarchical: bool,
}

/// Whether a marker is a start of frame; 0xc4, 0xc8 and 0xcc have other meanings.
pub(super) fn is_start_of_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf)
}

impl Frame {
    /// Reads the payload of a start-of-frame segment.
    ///
    /// # Errors
    ///
    /// If the payload is cut short or out of range.
    pub(super) fn read(marker: u8, payload: &[u8]) -> Result<Self, String> {
        let cut = || "the frame header is cut short".to_owned();
        let [bits, h0, h1, w0, w1, count, components @ ..] = payload else {
            return Err(cut());
        };
        let (components, _) = components.as_chunks::<3>();
        let components = components.get(..usize::from(*count)).ok_or_else(cut)?;
        if components.is_empty() {
            return Err(cut());
        }
        let component = |&[id, factors, quantization]: &[u8; 3]| {
            let (across, down) = (factors >> 4, factors & 15);
            if !(1..=4).contains(&across) || !(1..=4).contains(&down) {
                return Err(format!(
                    "a sampling factor of {across} × {down} is not between 1 and 4"
                ));
            }
            Ok(Component {
                id,
                across: usize::from(across),
                down: usize::from(down),
                quantization: usize::from(quantization),
            })
        };
        Ok(Self {
            width: usize::from(u16::from_be_bytes([*w0, *w1])),
            height: usize::from(u16::from_be_bytes([*h0, *h1])),
            bits: *bits,
            components: components.iter().map(component).collect::<Result<_, _>>()?,
            is_progressive: matches!(marker, 0xc2 | 0xc6 | 0xca | 0xce),
            is_lossless: matches!(marker, 0xc3 | 0xc7 | 0xcb | 0xcf),
            is_huffman: matches!(marker, 0xc0..=0xc2),
            is_arithmetic: matches!(marker, 0xc9..=0xcb | 0xcd..=0xcf),
            is_hierarchical: matches!(marker, 0xc5..=0xc7 | 0xcd..=0xcf),
        })
    }

    /// Width and height in pixels.
    pub(super) fn size(&self) -> (u32, u32) {
        // Both were read from 16-bit fields.
        (self.width as u32, self.height as u32)
    }

    /// The largest sampling factors, across and down.
    pub(super) fn sampling(&self) -> (usize, usize) {
        let most = |of: fn(&Component) -> usize| self.components.iter().map(of).max().unwrap_or(1);
        (most(|c| c.across), most(|c| c.down))
    }

    /// Columns and rows of MCUs.
    pub(super) fn mcus(&self) -> (usize, usize) {
        let (across, down) = self.sampling();
        (
            self.width.div_ceil(8 * across),
            self.height.div_ceil(8 * down),
        )
    }
}
