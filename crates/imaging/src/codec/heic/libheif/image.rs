//! A decoded picture of libheif and its planes.

use std::ffi::{c_int, c_void};
use std::ptr::{NonNull, null_mut};

use crate::codec::ycbcr::Coding;

use super::library::{Functions, take_coding};

/// The planes, with their numbers in `heif_channel`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Channel {
    Luma = 0,
    Blueness = 1,
    Redness = 2,
    Red = 3,
    Green = 4,
    Blue = 5,
    Alpha = 6,
}

/// A decoded picture.
pub(crate) struct Image {
    pub(super) functions: &'static Functions,
    pub(super) image: NonNull<c_void>,
}

/// One plane of a decoded picture.
#[derive(Clone, Copy)]
pub(crate) struct Plane<'a> {
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Bits per sample.
    pub(crate) bits: u8,
    /// Bytes per sample: 1 or 2.
    sample_bytes: usize,
    stride: usize,
    bytes: &'a [u8],
}

impl Image {
    /// The colour coding that the container declares, or else the stream.
    pub(crate) fn coding(&self) -> Option<Coding> {
        let mut nclx = null_mut();
        // SAFETY: the image lives and `nclx` is valid for writing.
        unsafe {
            let image = self.image.as_ptr();
            (self.functions.heif_image_get_nclx_color_profile)(image, &raw mut nclx);
        }
        take_coding(self.functions, nclx)
    }

    /// A plane, if the picture has it.
    pub(crate) fn plane(&self, channel: Channel) -> Option<Plane<'_>> {
        let (image, channel) = (self.image.as_ptr(), channel as c_int);
        let mut stride = 0;
        // SAFETY: the image lives and `stride` is valid for writing; the pointer is null for a plane
        // that the picture doesn't have.
        let start = unsafe {
            (self.functions.heif_image_get_plane_readonly)(image, channel, &raw mut stride)
        };
        let start = NonNull::new(start.cast_mut())?;
        // SAFETY: the image lives and has the plane, which some of the functions require.
        let numbers = unsafe {
            [
                (self.functions.heif_image_get_width)(image, channel),
                (self.functions.heif_image_get_height)(image, channel),
                (self.functions.heif_image_get_bits_per_pixel_range)(image, channel),
                (self.functions.heif_image_get_bits_per_pixel)(image, channel),
            ]
        };
        let [width, height, bits, stored_bits] = numbers.map(|n| u32::try_from(n).unwrap_or(0));
        let stride = usize::try_from(stride).ok()?;
        let sample_bytes = stored_bits.div_ceil(8) as usize;
        let row = width as usize * sample_bytes;
        if width == 0 || height == 0 || !matches!(sample_bytes, 1 | 2) || row > stride {
            return None;
        }
        let length = (height as usize - 1) * stride + row;
        // SAFETY: the plane has `height` rows, `stride` bytes apart, of `width` samples. It lives
        // as long as the image, which nothing modifies.
        let bytes = unsafe { std::slice::from_raw_parts(start.as_ptr(), length) };
        Some(Plane {
            width,
            height,
            bits: u8::try_from(bits).ok()?,
            sample_bytes,
            stride,
            bytes,
        })
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // SAFETY: the image is libheif's and is released once.
        unsafe { (self.functions.heif_image_release)(self.image.as_ptr()) };
    }
}

impl<'a> Plane<'a> {
    /// The samples of a row.
    pub(crate) fn row(self, y: u32) -> impl Iterator<Item = u16> + 'a {
        let start = y as usize * self.stride;
        let row = &self.bytes[start..start + self.width as usize * self.sample_bytes];
        row.chunks_exact(self.sample_bytes)
            .map(|sample| match *sample {
                [low, high] => u16::from_ne_bytes([low, high]),
                _ => u16::from(sample[0]),
            })
    }
}
