//! What the decoder makes of a picture's colours.
//!
//! The data of a lossy picture is independent of its colour space. The decoder would make sRGB of it
//! first, with all colours that sRGB lacks moved, and only then convert it. So for pictures in another
//! space, it gets a conversion that makes colours which have room for those of every usual space.

use std::error::Error;

use jxl_oxide::color::{
    ColourEncoding, ColourSpace, EnumColourEncoding, Primaries, RenderingIntent, TransferFunction,
    WhitePoint,
};
use jxl_oxide::{ColorManagementSystem, HdrType, JxlImage, PreparedTransform};

use crate::color::Wide;

/// Requests the colours that the decoder shall make.
pub(super) fn request(image: &mut JxlImage) -> Result<(), String> {
    match wanted(image) {
        Wanted::Own => {}
        Wanted::Hdr(tf) => image.request_color_encoding(EnumColourEncoding {
            colour_space: ColourSpace::Rgb,
            white_point: WhitePoint::D65,
            primaries: Primaries::Bt2100,
            tf,
            rendering_intent: RenderingIntent::Relative,
        }),
        Wanted::Wide => {
            let profile = Wide::profile().ok_or("the profile of its colours cannot be made")?;
            image.set_cms(ToWide);
            let requested = image.request_icc(&profile);
            requested.map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// Whether the decoder makes colours of more than 8 bits, whatever the depth of the picture.
pub(super) fn needs_depth(image: &JxlImage) -> bool {
    !matches!(wanted(image), Wanted::Own)
}

/// The profile of the decoded pixels. Those of a lossless picture are the stored ones, so its own
/// profile describes them best: the decoder's copy lacks the tables.
pub(super) fn profile(image: &JxlImage) -> Vec<u8> {
    let is_stored = !image.image_header().metadata.xyb_encoded;
    match image.original_icc() {
        Some(icc) if is_stored => icc.to_vec(),
        _ => image.rendered_icc(),
    }
}

/// Whether the decoder can describe the colours by a profile. For others it would panic.
pub(super) fn has_profile(encoding: &ColourEncoding) -> bool {
    let ColourEncoding::Enum(encoding) = encoding else {
        return true;
    };
    let is_known = matches!(encoding.colour_space, ColourSpace::Rgb | ColourSpace::Grey);
    is_known
        && !matches!(
            encoding.tf,
            TransferFunction::Unknown | TransferFunction::Gamma { g: 0, .. }
        )
}

/// The colours that the decoder shall make.
enum Wanted {
    /// Those of the picture itself.
    Own,
    /// High dynamic range, of which the picture has a profile.
    Hdr(TransferFunction),
    Wide,
}

fn wanted(image: &JxlImage) -> Wanted {
    let metadata = &image.image_header().metadata;
    if !metadata.xyb_encoded {
        return Wanted::Own;
    }
    let hdr = image.hdr_type().map(|kind| match kind {
        HdrType::Pq => TransferFunction::Pq,
        HdrType::Hlg => TransferFunction::Hlg,
    });
    match (&metadata.colour_encoding, hdr) {
        (ColourEncoding::IccProfile(ColourSpace::Grey), _) => Wanted::Own,
        (ColourEncoding::IccProfile(_), Some(transfer)) => Wanted::Hdr(transfer),
        (ColourEncoding::IccProfile(_), None) => Wanted::Wide,
        (ColourEncoding::Enum(_), Some(_)) => Wanted::Own,
        (ColourEncoding::Enum(encoding), None) => {
            let has_room = encoding.colour_space == ColourSpace::Grey
                || (encoding.primaries == Primaries::Srgb
                    && encoding.white_point == WhitePoint::D65);
            match has_room {
                true => Wanted::Own,
                false => Wanted::Wide,
            }
        }
    }
}

/// Converts to the wide colours, whatever the profiles say.
struct ToWide;

impl ColorManagementSystem for ToWide {
    fn prepare_transform(
        &self,
        _: &[u8],
        _: &[u8],
        _: RenderingIntent,
    ) -> Result<Box<dyn PreparedTransform>, Box<dyn Error + Send + Sync>> {
        Ok(Box::new(Wide::new()))
    }
}

impl PreparedTransform for Wide {
    fn num_input_channels(&self) -> usize {
        3
    }

    fn num_output_channels(&self) -> usize {
        3
    }

    fn transform(&self, planes: &mut [&mut [f32]]) -> Result<(), Box<dyn Error + Send + Sync>> {
        match planes {
            [red, green, blue, ..] => self.convert(red, green, blue),
            _ => return Err("its colours are not red, green and blue".into()),
        }
        Ok(())
    }
}
