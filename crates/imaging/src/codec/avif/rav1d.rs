//! The calls into rav1d. It only offers dav1d's C interface, so all unsafe code for AVIF is in this
//! file.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::ptr::NonNull;

use rav1d::include::dav1d::data::Dav1dData;
use rav1d::include::dav1d::dav1d::{Dav1dContext, Dav1dSettings};
use rav1d::include::dav1d::headers::{
    DAV1D_PIXEL_LAYOUT_I400, DAV1D_PIXEL_LAYOUT_I420, DAV1D_PIXEL_LAYOUT_I422,
};
use rav1d::include::dav1d::picture::Dav1dPicture;
use rav1d::src::lib::{
    dav1d_close, dav1d_data_create, dav1d_data_unref, dav1d_default_settings, dav1d_get_picture,
    dav1d_open, dav1d_picture_unref, dav1d_send_data,
};

use crate::codec::ycbcr::{Coding, Plane, YcbcrPlanes};

use super::picture::Tile;

/// Decodes the first picture of a tile on the calling thread: of several layers the best, or the one
/// that the tile names. A frame with more pixels than `most` is refused.
pub(super) fn decode(tile: &Tile<'_>, most: u64) -> Result<YcbcrPlanes, String> {
    let decoder = Decoder::open(most, tile)?;
    decoder.send(&tile.data)?;
    decoder.picture(tile.layer)
}

/// An open decoder.
struct Decoder(Option<Dav1dContext>);

impl Decoder {
    fn open(most_pixels: u64, tile: &Tile<'_>) -> Result<Self, String> {
        let mut settings = MaybeUninit::<Dav1dSettings>::uninit();
        let mut context = None;
        // SAFETY: `dav1d_default_settings` writes every field of the settings, which are alive
        // until `dav1d_open` has copied them; `context` is valid for writing.
        let result = unsafe {
            dav1d_default_settings(NonNull::from(&mut settings).cast());
            let mut settings = settings.assume_init();
            settings.n_threads = 1;
            settings.max_frame_delay = 1;
            settings.operating_point = tile.point.into();
            settings.all_layers = tile.layer.is_some().into();
            settings.frame_size_limit = u32::try_from(most_pixels).unwrap_or(u32::MAX);
            dav1d_open(
                Some(NonNull::from(&mut context)),
                Some(NonNull::from(&mut settings)),
            )
        };
        if result.0 != 0 || context.is_none() {
            return Err("the AV1 decoder cannot be opened".to_owned());
        }
        Ok(Self(context))
    }

    fn send(&self, units: &[u8]) -> Result<(), String> {
        let mut data = Dav1dData::default();
        // SAFETY: `data` is valid for writing; `dav1d_data_create` allocates `units.len()` bytes
        // and gives their start, or null. The context is open.
        let result = unsafe {
            let target = dav1d_data_create(Some(NonNull::from(&mut data)), units.len());
            if target.is_null() {
                return Err("there is not enough memory".to_owned());
            }
            std::ptr::copy_nonoverlapping(units.as_ptr(), target, units.len());
            let result = dav1d_send_data(self.0, Some(NonNull::from(&mut data)));
            dav1d_data_unref(Some(NonNull::from(&mut data)));
            result
        };
        if result.0 != 0 {
            return Err("its AV1 data is damaged".to_owned());
        }
        Ok(())
    }

    /// The first picture, or the first of a layer.
    fn picture(&self, layer: Option<u16>) -> Result<YcbcrPlanes, String> {
        // The second call gives the best layer that is there, if the data ends before the best one
        // that there may be.
        let mut calls = 0..2;
        loop {
            let mut picture = Dav1dPicture::default();
            // SAFETY: the context is open, `picture` is valid for writing.
            let result = unsafe { dav1d_get_picture(self.0, Some(NonNull::from(&mut picture))) };
            let copied = match result.0 {
                0 if layer.is_none_or(|layer| layer == layer_of(&picture)) => Some(copy(&picture)),
                0 => None,
                _ => calls
                    .next()
                    .is_none()
                    .then(|| Err("its AV1 data is damaged or cut short".to_owned())),
            };
            // SAFETY: `dav1d_get_picture` has written `picture`, also if it failed. Its data is not
            // used afterwards.
            unsafe { dav1d_picture_unref(Some(NonNull::from(&mut picture))) };
            if let Some(list) = picture.itut_t35_ref.take() {
                // SAFETY: the function above has put a new, empty list into the emptied picture.
                // Nothing else has it, and nothing else frees it.
                drop(unsafe { list.into_arc() });
            }
            if let Some(copied) = copied {
                return copied;
            }
        }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: the context is from `dav1d_open` and is closed once.
        unsafe { dav1d_close(Some(NonNull::from(&mut self.0))) };
    }
}

/// The spatial layer to which a picture belongs.
fn layer_of(picture: &Dav1dPicture) -> u16 {
    // SAFETY: the picture keeps its frame header alive.
    let header = picture.frame_hdr.map(|header| unsafe { header.as_ref() });
    header.map_or(0, |header| u16::from(header.spatial_id))
}

/// Copies the planes out of the decoder's picture.
fn copy(picture: &Dav1dPicture) -> Result<YcbcrPlanes, String> {
    let (width, height) = (picture.p.w as u32, picture.p.h as u32);
    let layout = picture.p.layout;
    let (halved_x, halved_y) = match layout {
        DAV1D_PIXEL_LAYOUT_I420 => (true, true),
        DAV1D_PIXEL_LAYOUT_I422 => (true, false),
        _ => (false, false),
    };
    let bits = picture.p.bpc as u8;
    let count = if layout == DAV1D_PIXEL_LAYOUT_I400 {
        1
    } else {
        3
    };
    let mut planes = Vec::new();
    for index in 0..count {
        let half = |side: u32, halved: bool| if halved { side.div_ceil(2) } else { side };
        let (width, height) = match index {
            0 => (width, height),
            _ => (half(width, halved_x), half(height, halved_y)),
        };
        let start = picture.data[index].ok_or("the AV1 decoder returned no data for a plane")?;
        let stride = picture.stride[index.min(1)];
        let mut samples = Vec::with_capacity(width as usize * height as usize);
        for row in 0..height as isize {
            // SAFETY: dav1d's pictures have `height` rows of at least `width` samples, `stride`
            // bytes apart (negative for pictures stored from the bottom), of one byte at 8 bits
            // and of two otherwise, aligned to 64 bytes.
            unsafe {
                let row = start.as_ptr().cast::<u8>().offset(row * stride);
                if bits == 8 {
                    let row = std::slice::from_raw_parts(row, width as usize);
                    samples.extend(row.iter().map(|&sample| u16::from(sample)));
                } else {
                    let row = std::slice::from_raw_parts(row.cast::<u16>(), width as usize);
                    samples.extend_from_slice(row);
                }
            }
        }
        planes.push(Plane {
            width,
            height,
            samples,
        });
    }
    let sequence = picture.seq_hdr.ok_or("the AV1 picture has no header")?;
    // SAFETY: the picture keeps its sequence header alive.
    let sequence = unsafe { sequence.as_ref() };
    Ok(YcbcrPlanes {
        bits,
        planes,
        coding: Coding {
            primaries: sequence.pri as u16,
            transfer: sequence.trc as u16,
            matrix: sequence.mtrx as u16,
            full_range: sequence.color_range != 0,
        },
    })
}
