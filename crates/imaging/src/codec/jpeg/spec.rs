//! What the parts of the JPEG codec share: numbers of the standard (ITU-T T.81), and how much of
//! what is unusual both decoders bear.

/// Scans of a progressive picture; files with thousands of them only exist to keep decoders busy.
pub(super) const MAX_SCANS: u32 = 500;
/// Stray bytes before the end marker that some cameras write and that mean no damage.
pub(super) const HARMLESS_STRAY_BYTES: u32 = 16;
/// From this quality on colour is always stored in full resolution.
pub(super) const FULL_COLOR_QUALITY: u8 = 90;

/// Samples of a block, and coefficients.
pub(super) const AREA: usize = 64;
/// The place in rows and columns of each coefficient, as they are stored (T.81, figure A.6).
pub(super) const ZIGZAG: [u8; AREA] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Bits of the longest Huffman code.
pub(super) const LONGEST_CODE: usize = 16;
