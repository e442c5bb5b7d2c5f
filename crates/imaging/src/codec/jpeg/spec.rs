//! Constants of the JPEG standard (ITU-T T.81), and the limits that both decoders apply to unusual
//! files.

/// The maximum number of scans. Files with thousands of scans exist only to exhaust decoders.
pub(super) const MAX_SCANS: u32 = 500;
/// The maximum number of pixels of all scans together: 100 scans of 100 megapixels.
pub(super) const MAX_SCANNED_PIXELS: u64 = 10_000_000_000;
/// Stray bytes after the data of a scan, or before a restart marker, that are no damage; some cameras
/// write them. Before the end of the picture any number is harmless.
pub(super) const HARMLESS_STRAY_BYTES: usize = 16;
/// From this quality on, chroma is always stored at full resolution.
pub(super) const FULL_COLOR_QUALITY: u8 = 90;
/// The same for the SSIMULACRA2 score that a result must have.
pub(super) const FULL_COLOR_SCORE: u8 = 84;
/// From this effort on, results are progressive unless the options say otherwise.
pub(super) const PROGRESSIVE_EFFORT: u8 = 6;
/// From this effort on, coefficients are chosen by rate and distortion.
pub(super) const CHOICE_EFFORT: u8 = 6;

/// Samples, or coefficients, per block.
pub(super) const AREA: usize = 64;
/// The index in rows and columns of each coefficient in zigzag order (T.81, figure A.6).
pub(super) const ZIGZAG: [u8; AREA] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Bits of the longest Huffman code.
pub(super) const LONGEST_CODE: usize = 16;
