//! The errors in the coded data of a scan.

/// An error in the coded data.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("its data contains an invalid Huffman code")]
    Code,
    #[error("a block has more than 64 coefficients")]
    Block,
    #[error("it is cut short")]
    Short,
    #[error("a quantization table is missing")]
    QuantizationTable,
    #[error("a Huffman table is missing")]
    HuffmanTable,
    #[error("a scan has an invalid range of coefficients")]
    Scan,
    #[error("a restart marker is missing")]
    Restart,
    #[error("{0} bytes of its data are unexpected")]
    Stray(usize),
}
