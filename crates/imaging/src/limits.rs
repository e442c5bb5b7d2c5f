//! What one picture may cost: its sizes, its frames, its memory and the bytes of its result.

/// What one picture may cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Pixels of one side of a result.
    pub max_side: u32,
    /// Pixels of a source, all frames together.
    pub max_source_pixels: u64,
    /// Pixels of a result, all frames together.
    pub max_result_pixels: u64,
    /// Frames of an animation.
    pub max_frames: u32,
    /// Estimated bytes of memory while one picture is worked on.
    pub max_memory_bytes: u64,
    /// Bytes of an encoded result.
    pub max_result_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_side: 20_000,
            max_source_pixels: 100_000_000,
            max_result_pixels: 50_000_000,
            max_frames: 500,
            max_memory_bytes: 1 << 30,
            max_result_bytes: 64 << 20,
        }
    }
}
