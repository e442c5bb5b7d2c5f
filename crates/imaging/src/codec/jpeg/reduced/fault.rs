//! What can be wrong with the coded data of a scan.

/// What is wrong with coded data.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("its data holds a code that stands for nothing")]
    Code,
    #[error("a block has more than 64 coefficients")]
    Block,
    #[error("it is cut short")]
    Short,
    #[error("a quantization table is missing")]
    QuantizationTable,
    #[error("a Huffman table is missing")]
    HuffmanTable,
    #[error("a scan holds coefficients that do not belong together")]
    Scan,
    #[error("a restart marker is missing")]
    Restart,
    #[error("{0} bytes of its data belong to nothing")]
    Stray(usize),
}
