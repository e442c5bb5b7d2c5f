//! Estimates the memory of the JPEG XL decoder, in addition to the decoded picture.

use crate::codec::header::Header;
use crate::raster::pixel_count;

use super::frames::Frames;

/// Floating-point planes, always of three colours, in two stages of the decoder, and all channels
/// beside them; for lossless pictures integers and a part of the transforms. Then the frames that
/// the picture is composed of, and the data of all.
pub(super) fn decoder_bytes(header: &Header, frames: &Frames) -> u64 {
    let pixels = pixel_count(header.width, header.height);
    let colors = header.layout.channels() as u64 - u64::from(header.layout.has_alpha());
    let extra = frames.extra_channels;
    let picture = match frames.is_float {
        true => pixels.saturating_mul(26 + 5 * extra),
        false => pixels.saturating_mul((colors + extra) * frames.sample_bytes * 7 / 4),
    };
    let further = frames.further_pixels.saturating_mul((3 + extra) * 8);
    let drawn = frames.drawn_pixels.saturating_mul(2);
    let data = (frames.end - frames.start) as u64;
    picture
        .saturating_add(further)
        .saturating_add(drawn)
        .saturating_add(data)
}

/// What the decoder may reserve: what was estimated and some more for small pictures. It refuses a
/// picture that needs more.
pub(super) fn most_reserved(header: &Header) -> usize {
    let picture = pixel_count(header.width, header.height) * u64::from(header.pixel_bytes());
    let bytes = (1 << 20) + header.decoder_bytes + picture;
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
