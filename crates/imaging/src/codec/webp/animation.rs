//! Animated WebP: the calls into libwebp's animation decoder and encoder. They are unsafe because
//! no safe wrapper exists; see `ffi`.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ptr::NonNull;

use libwebp_sys::{
    WEBP_CSP_MODE, WEBP_MUX_ABI_VERSION, WebPAnimDecoder, WebPAnimDecoderDelete,
    WebPAnimDecoderGetInfo, WebPAnimDecoderGetNext, WebPAnimDecoderHasMoreFrames,
    WebPAnimDecoderNew, WebPAnimDecoderOptionsInit, WebPAnimEncoder, WebPAnimEncoderAdd,
    WebPAnimEncoderAssemble, WebPAnimEncoderDelete, WebPAnimEncoderNewInternal,
    WebPAnimEncoderOptionsInitInternal, WebPAnimInfo, WebPData, WebPDataClear,
};

use crate::animation::{Frame, FrameSink, Frames};
use crate::codec::encode_options::EncodeOptions;
use crate::codec::header::Header;
use crate::metadata::Metadata;
use crate::raster::{Layout, Raster, sample_count};

use super::{chunks, ffi};

/// The frames of an animation.
pub(crate) struct WebpFrames<'a> {
    decoder: NonNull<WebPAnimDecoder>,
    width: u32,
    height: u32,
    plays: u32,
    left: u32,
    /// The end time of the previous frame, in milliseconds.
    shown_until: i32,
    /// The decoder reads from these bytes as long as it lives.
    bytes: PhantomData<&'a [u8]>,
}

impl<'a> WebpFrames<'a> {
    pub(crate) fn new(bytes: &'a [u8], header: &Header) -> Result<Self, String> {
        let data = WebPData {
            bytes: bytes.as_ptr(),
            size: bytes.len(),
        };
        // SAFETY: the options are initialised by libwebp before they are read; `data` describes
        // `bytes`, which the decoder's lifetime keeps borrowed.
        let decoder = unsafe {
            let mut options = std::mem::zeroed();
            if WebPAnimDecoderOptionsInit(&raw mut options) == 0 {
                return Err("the libwebp version is wrong".to_owned());
            }
            options.color_mode = WEBP_CSP_MODE::MODE_RGBA;
            options.use_threads = 0;
            WebPAnimDecoderNew(&raw const data, &raw const options)
        };
        let damaged = || "its frames are damaged or cut short".to_owned();
        let decoder = NonNull::new(decoder).ok_or_else(damaged)?;
        let mut frames = Self {
            decoder,
            width: header.width,
            height: header.height,
            plays: 0,
            left: 0,
            shown_until: 0,
            bytes: PhantomData,
        };
        let mut info = WebPAnimInfo::default();
        // SAFETY: the decoder is alive, `info` outlives the call.
        let known = unsafe { WebPAnimDecoderGetInfo(frames.decoder.as_ptr(), &raw mut info) };
        if known == 0 || (info.canvas_width, info.canvas_height) != (header.width, header.height) {
            return Err(damaged());
        }
        frames.plays = info.loop_count;
        frames.left = info.frame_count;
        if frames.left < header.frames {
            return Err(damaged());
        }
        Ok(frames)
    }
}

impl Frames for WebpFrames<'_> {
    fn next_frame(&mut self) -> Result<Option<Frame>, String> {
        // SAFETY: the decoder is alive.
        if unsafe { WebPAnimDecoderHasMoreFrames(self.decoder.as_ptr()) } == 0 {
            return if self.left == 0 {
                Ok(None)
            } else {
                Err("it is cut short".to_owned())
            };
        }
        let mut canvas = std::ptr::null_mut();
        let mut until = 0;
        // SAFETY: the decoder is alive, both places outlive the call.
        let decoded = unsafe {
            WebPAnimDecoderGetNext(self.decoder.as_ptr(), &raw mut canvas, &raw mut until)
        };
        if decoded == 0 || canvas.is_null() {
            return Err("a frame is damaged".to_owned());
        }
        let count = sample_count(self.width, self.height, 4);
        // SAFETY: libwebp's canvas has four bytes for each of `width × height` pixels, which
        // `new` has compared, and stays until the next call.
        let pixels = unsafe { std::slice::from_raw_parts(canvas, count) }.to_vec();
        let delay_ms = until.saturating_sub(self.shown_until).max(0) as u32;
        self.shown_until = until;
        self.left = self.left.saturating_sub(1);
        Ok(Some(Frame {
            raster: Raster::from_u8(self.width, self.height, Layout::Rgba, pixels),
            delay_ms,
        }))
    }

    fn plays(&self) -> u32 {
        self.plays
    }
}

impl Drop for WebpFrames<'_> {
    fn drop(&mut self) {
        // SAFETY: the decoder is alive, and is not used afterwards.
        unsafe { WebPAnimDecoderDelete(self.decoder.as_ptr()) };
    }
}

/// An animation that is being written.
pub(crate) struct WebpSink {
    encoder: NonNull<WebPAnimEncoder>,
    size: (u32, u32),
    options: EncodeOptions,
    /// The start time of the next frame, in milliseconds.
    begins_at: i32,
    metadata: Metadata,
}

impl WebpSink {
    pub(crate) fn new(
        size: (u32, u32),
        plays: u32,
        options: &EncodeOptions,
        metadata: &Metadata,
    ) -> Result<Self, String> {
        // SAFETY: the options are initialised by libwebp before they are read.
        let encoder = unsafe {
            let mut settings = std::mem::zeroed();
            let version = WEBP_MUX_ABI_VERSION as i32;
            if WebPAnimEncoderOptionsInitInternal(&raw mut settings, version) == 0 {
                return Err("the libwebp version is wrong".to_owned());
            }
            settings.anim_params.loop_count = plays.min(u32::from(u16::MAX)) as i32;
            WebPAnimEncoderNewInternal(size.0 as i32, size.1 as i32, &raw const settings, version)
        };
        let no_room = || "there is not enough memory".to_owned();
        Ok(Self {
            encoder: NonNull::new(encoder).ok_or_else(no_room)?,
            size,
            options: *options,
            begins_at: 0,
            metadata: metadata.clone(),
        })
    }
}

impl FrameSink for WebpSink {
    fn add(&mut self, frame: Frame) -> Result<(), String> {
        let config = ffi::config(&self.options)?;
        let pixels = frame.raster.bytes();
        let mut picture = ffi::Picture::import(pixels, Layout::Rgba, self.size, true)?;
        // SAFETY: encoder, picture and config are alive and initialised; libwebp copies.
        let added = unsafe {
            WebPAnimEncoderAdd(
                self.encoder.as_ptr(),
                picture.as_mut_ptr(),
                self.begins_at,
                &raw const config,
            )
        };
        if added == 0 {
            return Err("libwebp rejected a frame".to_owned());
        }
        let delay = i32::try_from(frame.delay_ms).unwrap_or(i32::MAX);
        self.begins_at = self.begins_at.saturating_add(delay);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Vec<u8>, String> {
        let mut data = WebPData::default();
        // SAFETY: a null frame marks the end of the last one; encoder and data are alive. The
        // assembled bytes are copied before libwebp's are freed.
        let bytes = unsafe {
            let encoder = self.encoder.as_ptr();
            let ended = WebPAnimEncoderAdd(
                encoder,
                std::ptr::null_mut(),
                self.begins_at,
                std::ptr::null(),
            );
            if ended == 0 || WebPAnimEncoderAssemble(encoder, &raw mut data) == 0 {
                return Err("libwebp cannot join the frames".to_owned());
            }
            let bytes = std::slice::from_raw_parts(data.bytes, data.size).to_vec();
            WebPDataClear(&mut data);
            bytes
        };
        Ok(chunks::with_metadata(
            bytes,
            self.size,
            false,
            &self.metadata,
        ))
    }
}

impl Drop for WebpSink {
    fn drop(&mut self) {
        // SAFETY: the encoder is alive, and is not used afterwards.
        unsafe { WebPAnimEncoderDelete(self.encoder.as_ptr()) };
    }
}
