//! Unpacks a strip or tile to the bytes of its rows.

use std::borrow::Cow;
use std::io::Read as _;

use libdeflater::{DecompressionError, Decompressor};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use weezl::{BitOrder, LzwStatus, decode::Decoder};

use super::fax;
use super::kind::{Compression, Kind};

/// The rows of a strip or tile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// Pixels of a row.
    pub(super) width: usize,
    pub(super) rows: usize,
    pub(super) row_bytes: usize,
    /// The bytes of a whole strip or tile. The last strip may be stored as a whole one.
    pub(super) most: usize,
}

impl Shape {
    fn bytes(&self) -> usize {
        self.row_bytes * self.rows
    }
}

/// Unpacks the rows. Data that is not compressed is borrowed.
///
/// # Errors
///
/// If it is damaged or cut short.
pub(super) fn unpack<'a>(
    data: &'a [u8],
    kind: &Kind,
    shape: Shape,
) -> Result<Cow<'a, [u8]>, String> {
    // Fax data is read in the order of its bits, and so is everything else.
    let data = match kind.is_reversed {
        true => Cow::Owned(data.iter().map(|byte| byte.reverse_bits()).collect()),
        false => Cow::Borrowed(data),
    };
    let unpacked = match kind.compression {
        Compression::None => return first(data, shape.bytes()),
        Compression::Jpeg | Compression::OldJpeg => return Ok(data),
        Compression::Lzw => lzw(&data, shape.bytes())?,
        Compression::Deflate => inflate(&data, shape)?,
        Compression::PackBits => pack_bits(&data, shape.bytes()),
        Compression::Zstd => zstd(&data, shape.bytes())?,
        Compression::Fax(kind) => {
            // `check` has compared the width.
            let width = u16::try_from(shape.width).map_err(|_| cut())?;
            fax::decode(&data, kind, width, shape.rows)?
        }
    };
    first(Cow::Owned(unpacked), shape.bytes())
}

fn first(data: Cow<'_, [u8]>, count: usize) -> Result<Cow<'_, [u8]>, String> {
    if data.len() < count {
        return Err(cut());
    }
    Ok(match data {
        Cow::Borrowed(data) => Cow::Borrowed(&data[..count]),
        Cow::Owned(mut data) => {
            data.truncate(count);
            Cow::Owned(data)
        }
    })
}

fn cut() -> String {
    "a strip or tile is cut short".to_owned()
}

fn lzw(data: &[u8], count: usize) -> Result<Vec<u8>, String> {
    // Old writers began with the lowest bit, so that the first code, 256 of 9 bits, has a zero byte.
    let is_old = matches!(data, [0, second, ..] if second & 1 == 1);
    let mut decoder = match is_old {
        true => Decoder::new(BitOrder::Lsb, 8),
        false => Decoder::with_tiff_size_switch(BitOrder::Msb, 8),
    };
    let mut unpacked = vec![0; count];
    let (mut read, mut written) = (0, 0);
    while written < count {
        let result = decoder.decode_bytes(&data[read..], &mut unpacked[written..]);
        read += result.consumed_in;
        written += result.consumed_out;
        match result.status {
            Ok(LzwStatus::Ok) if result.consumed_in + result.consumed_out > 0 => {}
            Ok(_) if written < count => return Err(cut()),
            Ok(_) => {}
            Err(error) => return Err(format!("its LZW data is damaged: {error}")),
        }
    }
    Ok(unpacked)
}

fn inflate(data: &[u8], shape: Shape) -> Result<Vec<u8>, String> {
    let mut room = shape.bytes();
    loop {
        let mut unpacked = vec![0; room];
        match Decompressor::new().zlib_decompress(data, &mut unpacked) {
            Ok(length) => {
                unpacked.truncate(length);
                return Ok(unpacked);
            }
            Err(DecompressionError::InsufficientSpace) if room < shape.most => room = shape.most,
            Err(error) => return Err(format!("its deflate data is damaged: {error}")),
        }
    }
}

/// TIFF 6.0, section 9.
fn pack_bits(mut data: &[u8], count: usize) -> Vec<u8> {
    let mut unpacked = Vec::with_capacity(count);
    while let ([length, rest @ ..], true) = (data, unpacked.len() < count) {
        let room = count - unpacked.len();
        match length.cast_signed() {
            // Nothing.
            -128 => data = rest,
            length @ 0.. => {
                let literal = usize::from(length.unsigned_abs()) + 1;
                let part = &rest[..literal.min(rest.len())];
                unpacked.extend_from_slice(&part[..part.len().min(room)]);
                data = &rest[part.len()..];
            }
            length => {
                let repeats = usize::from(length.unsigned_abs()) + 1;
                let Some((byte, after)) = rest.split_first() else {
                    break;
                };
                unpacked.resize(unpacked.len() + repeats.min(room), *byte);
                data = after;
            }
        }
    }
    unpacked
}

/// The largest window of Zstandard data that may be declared for fewer bytes.
const MAX_WINDOW: u64 = 8 << 20;

fn zstd(data: &[u8], count: usize) -> Result<Vec<u8>, String> {
    let damaged = |error: &dyn std::fmt::Display| format!("its Zstandard data is damaged: {error}");
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(MAX_WINDOW.max(count as u64));
    let mut decoder =
        StreamingDecoder::new_with_decoder(data, decoder).map_err(|error| damaged(&error))?;
    let mut unpacked = vec![0; count];
    decoder
        .read_exact(&mut unpacked)
        .map_err(|error| damaged(&error))?;
    Ok(unpacked)
}

/// The memory of the decoder of Zstandard beside the unpacked bytes: what it keeps for later
/// references, which grows by doubling, blocks and tables. A larger window is not touched.
pub(super) fn zstd_bytes(unpacked: u64) -> u64 {
    unpacked.saturating_mul(2).saturating_add(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_bits_are_those_of_the_specification() {
        let packed = b"\xfe\xaa\x02\x80\x00\x2a\xfd\xaa\x03\x80\x00\x2a\x22\xf7\xaa";
        let expected = b"\xaa\xaa\xaa\x80\x00\x2a\xaa\xaa\xaa\xaa\x80\x00\x2a\x22\
            \xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa";
        assert_eq!(pack_bits(packed, 100), expected);
        for count in 0..expected.len() {
            assert_eq!(pack_bits(packed, count), expected[..count]);
        }
        assert_eq!(pack_bits(b"\x80\x05ab", 9), b"ab");
    }
}
