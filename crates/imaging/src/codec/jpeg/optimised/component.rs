//! The coefficients of a component, as they are written.

use crate::codec::jpeg::spec::AREA;

/// Quantized coefficients in zigzag order.
pub(super) type Block = [i16; AREA];

/// A component whose coefficients were chosen.
#[derive(Debug)]
pub(super) struct Component {
    /// Blocks that show a part of the picture, across and down.
    pub(super) size: (usize, usize),
    /// Blocks per MCU, across and down.
    pub(super) across: usize,
    pub(super) down: usize,
    /// 0 for luma, 1 for chroma: selects the quantization table.
    pub(super) kind: usize,
    pub(super) blocks: Vec<Block>,
}
