//! The calls into libwebp for still pictures. They are unsafe because no safe wrapper offers lossy
//! encoding, metadata and animation.
#![allow(unsafe_code)]

use libwebp_sys::{
    VP8StatusCode, WEBP_CSP_MODE, WebPBitstreamFeatures, WebPConfig, WebPDecode, WebPDecoderConfig,
    WebPEncode, WebPEncodingError, WebPGetFeatures, WebPMemoryWrite, WebPMemoryWriter,
    WebPMemoryWriterClear, WebPMemoryWriterInit, WebPPicture, WebPPictureFree,
    WebPPictureImportRGB, WebPPictureImportRGBA, WebPRGBABuffer,
};

use crate::codec::encode_options::EncodeOptions;
use crate::raster::{Layout, sample_count};

/// The effort of the encoder's search, 0 to 6. Half the time of the default, 4.
const METHOD: i32 = 2;
/// The strength of noise shaping, 0 to 100. 3 % fewer bytes than the default, 50, at the same
/// SSIMULACRA2.
const NOISE_SHAPING: i32 = 80;

/// Size and kind of a picture.
#[derive(Clone, Copy, Debug)]
pub(super) struct Features {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) has_alpha: bool,
    /// Whether the picture, or a frame, is or may be coded losslessly.
    pub(super) lossless: bool,
}

impl Features {
    /// Whether the picture is stored only as luma and chroma planes.
    pub(super) fn has_planes(&self) -> bool {
        !self.lossless && !self.has_alpha
    }
}

/// Reads the picture's own header.
pub(super) fn features(bytes: &[u8]) -> Result<Features, String> {
    // SAFETY: the struct is plain integers, for which zero is a value.
    let mut features: WebPBitstreamFeatures = unsafe { std::mem::zeroed() };
    // SAFETY: pointer and length are those of one slice, `features` outlives the call.
    let status = unsafe { WebPGetFeatures(bytes.as_ptr(), bytes.len(), &raw mut features) };
    check(status)?;
    Ok(Features {
        width: features.width as u32,
        height: features.height as u32,
        has_alpha: features.has_alpha != 0,
        // 0 is undefined or mixed, 1 lossy.
        lossless: features.format != 1,
    })
}

/// Decodes a still picture to the samples of a layout, without padding. `smooth` enables the loop
/// filter and the interpolation of chroma; decoding without them takes a fifth less time.
pub(super) fn decode(
    bytes: &[u8],
    layout: Layout,
    (width, height): (u32, u32),
    smooth: bool,
) -> Result<Vec<u8>, String> {
    let count = sample_count(width, height, layout.channels());
    let mut pixels: Vec<u8> = Vec::with_capacity(count);
    let mut config = WebPDecoderConfig::new().map_err(wrong_version)?;
    config.options.bypass_filtering = i32::from(!smooth);
    config.options.no_fancy_upsampling = i32::from(!smooth);
    config.output.colorspace = if layout.has_alpha() {
        WEBP_CSP_MODE::MODE_RGBA
    } else {
        WEBP_CSP_MODE::MODE_RGB
    };
    config.output.is_external_memory = 1;
    config.output.u.RGBA = WebPRGBABuffer {
        rgba: pixels.as_mut_ptr(),
        stride: sample_count(width, 1, layout.channels()) as i32,
        size: count,
    };
    // SAFETY: pointer and length are those of one slice; the output buffer has room for `count`
    // bytes, which libwebp checks against stride and height before it writes, and it outlives the
    // call.
    check(unsafe { WebPDecode(bytes.as_ptr(), bytes.len(), &raw mut config) })?;
    if (config.output.width, config.output.height) != (width as i32, height as i32) {
        return Err("its headers give different sizes".to_owned());
    }
    // SAFETY: as there was no error, libwebp has written every pixel of as many rows and columns.
    unsafe { pixels.set_len(count) };
    Ok(pixels)
}

pub(super) fn check(status: VP8StatusCode) -> Result<(), String> {
    match status {
        VP8StatusCode::VP8_STATUS_OK => Ok(()),
        VP8StatusCode::VP8_STATUS_NOT_ENOUGH_DATA | VP8StatusCode::VP8_STATUS_SUSPENDED => {
            Err("it is cut short".to_owned())
        }
        VP8StatusCode::VP8_STATUS_BITSTREAM_ERROR => Err("its data is damaged".to_owned()),
        VP8StatusCode::VP8_STATUS_OUT_OF_MEMORY => Err("there is not enough memory".to_owned()),
        other => Err(format!("libwebp reports {other:?}")),
    }
}

/// Encodes interleaved Rgb or Rgba samples of a picture of `size`.
pub(super) fn encode(
    pixels: &[u8],
    layout: Layout,
    size: (u32, u32),
    options: &EncodeOptions,
) -> Result<Vec<u8>, String> {
    let config = config(options)?;
    let has_argb = config.lossless != 0 || config.use_sharp_yuv != 0;
    let mut picture = Picture::import(pixels, layout, size, has_argb)?;
    let mut writer = Writer::new();
    picture.0.writer = Some(WebPMemoryWrite);
    picture.0.custom_ptr = (&raw mut writer.0).cast();
    // SAFETY: config and picture were initialised by libwebp, the writer outlives the call and is
    // of the type that `WebPMemoryWrite` expects.
    if unsafe { WebPEncode(&raw const config, picture.as_mut_ptr()) } == 0 {
        return Err(explain(picture.0.error_code));
    }
    Ok(writer.bytes().to_vec())
}

/// Up to this effort, lossy pictures are encoded by a faster search than libwebp's default.
const FAST_EFFORT: u8 = 4;
/// From this effort on, by its most thorough search, and with chroma that is chosen so that the
/// upsampled picture comes closest to the original.
pub(super) const THOROUGH_EFFORT: u8 = 7;
/// libwebp's most thorough search.
const MOST_METHOD: i32 = 6;

/// How to encode. Pixels under full transparency are kept when lossless.
pub(super) fn config(options: &EncodeOptions) -> Result<WebPConfig, String> {
    let mut config = WebPConfig::new().map_err(wrong_version)?;
    let (quality, lossless) = (options.quality, options.lossless);
    config.quality = f32::from(quality);
    config.lossless = i32::from(lossless);
    config.exact = i32::from(lossless);
    if !lossless {
        config.sns_strength = NOISE_SHAPING;
    }
    if options.effort >= THOROUGH_EFFORT {
        config.method = MOST_METHOD;
        config.use_sharp_yuv = i32::from(!lossless);
    } else if !lossless && options.effort <= FAST_EFFORT {
        config.method = METHOD;
        // The faster search needs more bytes at the same quality; a quality one lower compensates
        // for it.
        config.quality = f32::from(if quality < 100 { quality - 1 } else { 100 });
    }
    config.thread_level = 0;
    Ok(config)
}

pub(super) fn wrong_version((): ()) -> String {
    "the libwebp version is wrong".to_owned()
}

pub(super) fn explain(error: WebPEncodingError) -> String {
    format!("libwebp reports {error:?}")
}

/// A picture whose planes libwebp owns.
pub(super) struct Picture(pub(super) WebPPicture);

impl Picture {
    /// Copies interleaved Rgb or Rgba samples; as ARGB if `exact`, otherwise as YUV 4:2:0.
    pub(super) fn import(
        pixels: &[u8],
        layout: Layout,
        (width, height): (u32, u32),
        exact: bool,
    ) -> Result<Self, String> {
        assert_eq!(
            pixels.len(),
            width as usize * height as usize * layout.channels(),
            "the samples fill the picture"
        );
        let mut picture = Self(WebPPicture::new().map_err(wrong_version)?);
        picture.0.width = width as i32;
        picture.0.height = height as i32;
        picture.0.use_argb = i32::from(exact);
        let stride = (width as usize * layout.channels()) as i32;
        // SAFETY: width, height and stride describe `pixels`, by the assertion above; libwebp
        // copies.
        let imported = unsafe {
            match layout {
                Layout::Rgba => WebPPictureImportRGBA(&raw mut picture.0, pixels.as_ptr(), stride),
                Layout::Rgb => WebPPictureImportRGB(&raw mut picture.0, pixels.as_ptr(), stride),
                other => return Err(format!("{other:?} pixels cannot be stored in WebP")),
            }
        };
        if imported == 0 {
            return Err(explain(picture.0.error_code));
        }
        Ok(picture)
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut WebPPicture {
        &raw mut self.0
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        // SAFETY: the picture was initialised by `WebPPicture::new`.
        unsafe { WebPPictureFree(&raw mut self.0) };
    }
}

/// A growing buffer that libwebp owns.
pub(super) struct Writer(pub(super) WebPMemoryWriter);

impl Writer {
    pub(super) fn new() -> Self {
        let mut writer = std::mem::MaybeUninit::uninit();
        // SAFETY: `WebPMemoryWriterInit` sets every field.
        unsafe {
            WebPMemoryWriterInit(writer.as_mut_ptr());
            Self(writer.assume_init())
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        if self.0.mem.is_null() {
            return &[];
        }
        // SAFETY: libwebp has written `size` bytes at `mem`, which live as long as the writer.
        unsafe { std::slice::from_raw_parts(self.0.mem, self.0.size) }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // SAFETY: the writer was initialised, and its memory is freed once.
        unsafe { WebPMemoryWriterClear(&raw mut self.0) };
    }
}
