//! The calls into libwebp for its luma and chroma planes. They are unsafe for the reason given in
//! `ffi`.
#![allow(unsafe_code)]

use libwebp_sys::{
    WEBP_CSP_MODE, WebPDecode, WebPDecoderConfig, WebPEncode, WebPMemoryWrite, WebPPicture,
    WebPYUVABuffer,
};

use crate::codec::encode_options::EncodeOptions;
use crate::planes::Planes;

use super::ffi::{Features, Picture, Writer, check, config, explain, wrong_version};

/// The chroma subsampling of lossy WebP: luma samples per chroma sample (RFC 9649, section 2.5).
pub(super) const SAMPLING: (u32, u32) = (2, 2);

/// Decodes a lossy still picture without alpha. `smooth` enables the loop filter; decoding without
/// it takes an eighth less time.
pub(super) fn decode(bytes: &[u8], features: &Features, smooth: bool) -> Result<Planes, String> {
    let mut planes = Planes::new(features.width, features.height, Some(SAMPLING));
    let mut config = WebPDecoderConfig::new().map_err(wrong_version)?;
    config.options.bypass_filtering = i32::from(!smooth);
    config.output.colorspace = WEBP_CSP_MODE::MODE_YUV;
    config.output.is_external_memory = 1;
    let (y_stride, uv_stride) = strides(&planes);
    let [y, u, v] = planes.split_mut();
    config.output.u.YUVA = WebPYUVABuffer {
        y: y.as_mut_ptr(),
        u: u.as_mut_ptr(),
        v: v.as_mut_ptr(),
        a: std::ptr::null_mut(),
        y_stride,
        u_stride: uv_stride,
        v_stride: uv_stride,
        a_stride: 0,
        y_size: y.len(),
        u_size: u.len(),
        v_size: v.len(),
        a_size: 0,
    };
    // SAFETY: pointer and length are those of one slice; the output buffers are three parts of
    // `planes`, whose lengths libwebp checks against strides and height before it writes, and
    // they outlive the call.
    check(unsafe { WebPDecode(bytes.as_ptr(), bytes.len(), &raw mut config) })?;
    planes.repeat_edges();
    Ok(planes)
}

/// Encodes planes with the chroma subsampling [`SAMPLING`].
pub(super) fn encode(planes: &Planes, options: &EncodeOptions) -> Result<Vec<u8>, String> {
    assert_eq!(planes.color, Some(SAMPLING), "lossy WebP has one sampling");
    let config = config(options)?;
    let mut picture = Picture(WebPPicture::new().map_err(wrong_version)?);
    let (y_stride, uv_stride) = strides(planes);
    let [y, u, v] = planes.split();
    picture.0.width = planes.width as i32;
    picture.0.height = planes.height as i32;
    picture.0.use_argb = 0;
    picture.0.y = y.as_ptr().cast_mut();
    picture.0.u = u.as_ptr().cast_mut();
    picture.0.v = v.as_ptr().cast_mut();
    picture.0.y_stride = y_stride;
    picture.0.uv_stride = uv_stride;
    let mut writer = Writer::new();
    picture.0.writer = Some(WebPMemoryWrite);
    picture.0.custom_ptr = (&raw mut writer.0).cast();
    // SAFETY: config and picture were initialised by libwebp; the planes have the sizes that
    // width, height and strides tell, outlive the call, and are only read: libwebp writes into
    // planes only to blend alpha away, and there is none. The writer outlives the call and is of
    // the type that `WebPMemoryWrite` expects.
    if unsafe { WebPEncode(&raw const config, &raw mut picture.0) } == 0 {
        return Err(explain(picture.0.error_code));
    }
    Ok(writer.bytes().to_vec())
}

fn strides(planes: &Planes) -> (i32, i32) {
    (planes.size_of(0).0 as i32, planes.size_of(1).0 as i32)
}
