//! Converts colours: pixels with an embedded profile to sRGB, and CMYK to RGB. Profiles of high dynamic
//! range are mapped to that of sRGB.

use moxcms::{ColorProfile, DataColorSpace, Layout as CmsLayout, TransformOptions};

use crate::raster::{Layout, Raster, Samples, plain_cmyk_to_rgb};

mod cicp;
mod curve;
mod hdr;
mod srgb;
#[cfg(feature = "jxl")]
mod wide;

pub(crate) use cicp::Cicp;
use hdr::ToneMap;
#[cfg(feature = "jxl")]
pub(crate) use wide::Wide;

/// Pixels passed to the colour engine at once; limits the second buffer it needs.
const PIXELS_AT_ONCE: usize = 1 << 16;
/// A profile that changes no probe colour by more than this is treated as sRGB.
const SRGB_TOLERANCE: u8 = 1;

/// Entries of a profile's tag table. The specification has about 60 tags (ICC.1:2022, section 9).
const MAX_TAGS: u32 = 100;
/// How many times the bytes of a profile its tags may have. Tags may share their data: a table for two
/// rendering intents, a curve for three channels.
const MOST_TAG_BYTES: u64 = 8;
/// The memory of a profile while it is applied, per byte of it, by measurement: its tables in the
/// precision in which they are computed. Those of a small profile have a fixed size.
const APPLIED: u64 = 8;

/// A parsed profile whose colour space matches its picture.
pub(crate) struct Profile(Conversion);

enum Conversion {
    ByProfile(Box<ColorProfile>),
    ToneMap(ToneMap),
}

impl Profile {
    /// Reads an ICC profile. Returns `None` if it is damaged, does not match `layout`, or describes
    /// sRGB: then there is nothing to convert.
    pub(crate) fn read(icc: Option<&[u8]>, layout: Layout) -> Option<Self> {
        let icc = icc.filter(|icc| is_modest(icc))?;
        let profile = ColorProfile::new_from_slice(icc).ok()?;
        let expected = match layout {
            Layout::Gray | Layout::GrayAlpha => DataColorSpace::Gray,
            Layout::Rgb | Layout::Rgba => DataColorSpace::Rgb,
            Layout::Cmyk => DataColorSpace::Cmyk,
        };
        if profile.color_space != expected {
            return None;
        }
        if layout != Layout::Cmyk {
            if let Some(map) = ToneMap::of(&profile) {
                return Some(Self(Conversion::ToneMap(map)));
            }
            if is_srgb(&profile, layout) {
                return None;
            }
        }
        Some(Self(Conversion::ByProfile(Box::new(profile))))
    }
}

/// Whether a profile says that it describes samples of this layout.
pub(crate) fn describes(icc: &[u8], layout: Layout) -> bool {
    // The data colour space (ICC.1:2022, 7.2.6).
    let expected = match layout {
        Layout::Gray | Layout::GrayAlpha => b"GRAY",
        Layout::Rgb | Layout::Rgba => b"RGB ",
        Layout::Cmyk => b"CMYK",
    };
    icc.get(16..20) == Some(expected)
}

/// The memory of applying a profile.
pub(crate) fn profile_bytes(icc: Option<&[u8]>) -> u64 {
    icc.map_or(0, |icc| icc.len() as u64 * APPLIED)
}

/// Whether a profile's tags do not multiply its bytes: many tags that share their data take a parser
/// many times as long, and much memory.
fn is_modest(icc: &[u8]) -> bool {
    const TABLE: usize = 128;
    let long = |at: usize| icc.get(at..).and_then(|rest| rest.first_chunk());
    let long = |at: usize| long(at).map(|four| u32::from_be_bytes(*four));
    let Some(count) = long(TABLE) else {
        return false;
    };
    let sizes = (0..count.min(MAX_TAGS)).map(|index| long(TABLE + 4 + 12 * index as usize + 8));
    let bytes: u64 = sizes.flatten().map(u64::from).sum();
    count <= MAX_TAGS && bytes <= MOST_TAG_BYTES * icc.len() as u64
}

/// Whether a profile is equivalent to sRGB.
fn is_srgb(profile: &ColorProfile, layout: Layout) -> bool {
    const STEPS: [u8; 9] = [0, 10, 32, 64, 96, 128, 160, 208, 255];
    let probe: Vec<u8> = match layout {
        Layout::Gray | Layout::GrayAlpha => STEPS.to_vec(),
        _ => STEPS
            .iter()
            .flat_map(|&r| STEPS.iter().map(move |&g| (r, g)))
            .flat_map(|(r, g)| STEPS.iter().flat_map(move |&b| [r, g, b]))
            .collect(),
    };
    let pixels = probe.len() / opaque(layout).channels();
    let mut converted = vec![0; pixels * 3];
    if transform_u8(profile, opaque(layout), &probe, &mut converted).is_err() {
        return false;
    }
    let expected: Vec<u8> = match opaque(layout) {
        Layout::Gray => probe.iter().flat_map(|&y| [y, y, y]).collect(),
        _ => probe,
    };
    converted
        .iter()
        .zip(&expected)
        .all(|(converted, expected)| converted.abs_diff(*expected) <= SRGB_TOLERANCE)
}

fn opaque(layout: Layout) -> Layout {
    match layout {
        Layout::GrayAlpha => Layout::Gray,
        Layout::Rgba => Layout::Rgb,
        other => other,
    }
}

/// Converts pixels to sRGB by their profile, or by a simple formula for CMYK without a profile.
/// Gray stays gray. Alpha is unchanged.
///
/// # Errors
///
/// If the profile cannot be applied because a required table is missing.
pub(crate) fn to_srgb(raster: Raster, profile: Option<&Profile>) -> Result<Raster, String> {
    let profile = match profile {
        None if raster.layout == Layout::Cmyk => return Ok(plain_rgb(raster)),
        None => return Ok(raster),
        Some(Profile(Conversion::ToneMap(map))) => return map.apply(raster),
        Some(Profile(Conversion::ByProfile(profile))) => profile,
    };
    match raster.layout {
        Layout::Gray | Layout::GrayAlpha => gray_to_srgb(raster, profile),
        Layout::Cmyk => {
            let raster = raster.into_u8();
            let ink = raster.bytes();
            let mut rgb = vec![0; ink.len() / 4 * 3];
            for (ink, rgb) in ink
                .chunks(PIXELS_AT_ONCE * 4)
                .zip(rgb.chunks_mut(PIXELS_AT_ONCE * 3))
            {
                transform_u8(profile, Layout::Cmyk, ink, rgb)?;
            }
            Ok(Raster::from_u8(
                raster.width,
                raster.height,
                Layout::Rgb,
                rgb,
            ))
        }
        Layout::Rgb | Layout::Rgba => rgb_to_srgb(raster, profile),
    }
}

fn rgb_to_srgb(mut raster: Raster, profile: &ColorProfile) -> Result<Raster, String> {
    let layout = cms_layout(raster.layout);
    let channels = raster.layout.channels();
    let srgb = ColorProfile::new_srgb();
    let options = TransformOptions::default();
    match &mut raster.samples {
        Samples::U8(values) => {
            let transform = profile
                .create_transform_8bit(layout, &srgb, layout, options)
                .map_err(|error| error.to_string())?;
            let mut source = Vec::new();
            for part in values.chunks_mut(PIXELS_AT_ONCE * channels) {
                source.clear();
                source.extend_from_slice(part);
                transform
                    .transform(&source, part)
                    .map_err(|error| error.to_string())?;
            }
        }
        Samples::U16(values) => {
            let transform = profile
                .create_transform_16bit(layout, &srgb, layout, options)
                .map_err(|error| error.to_string())?;
            let mut source = Vec::new();
            for part in values.chunks_mut(PIXELS_AT_ONCE * channels) {
                source.clear();
                source.extend_from_slice(part);
                transform
                    .transform(&source, part)
                    .map_err(|error| error.to_string())?;
            }
        }
        Samples::F32(_) => return Err("linear pixels have no profile".to_owned()),
    }
    Ok(raster)
}

/// Converts gray with a look-up table from the profile's gray levels to those of sRGB.
fn gray_to_srgb(mut raster: Raster, profile: &ColorProfile) -> Result<Raster, String> {
    let levels: Vec<u8> = (0..=255).collect();
    let mut colors = vec![0; 256 * 3];
    transform_u8(profile, Layout::Gray, &levels, &mut colors)?;
    let table: Vec<u8> = colors.as_chunks::<3>().0.iter().map(|rgb| rgb[1]).collect();
    let channels = raster.layout.channels();
    match &mut raster.samples {
        Samples::U8(values) => {
            for value in values.iter_mut().step_by(channels) {
                *value = table[usize::from(*value)];
            }
        }
        Samples::U16(values) => {
            for value in values.iter_mut().step_by(channels) {
                // Interpolates linearly between two of the 256 levels.
                let (low, part) = (usize::from(*value / 257), u32::from(*value % 257));
                let high = (low + 1).min(255);
                *value =
                    (u32::from(table[low]) * (257 - part) + u32::from(table[high]) * part) as u16;
            }
        }
        Samples::F32(_) => return Err("linear pixels have no profile".to_owned()),
    }
    Ok(raster)
}

/// Converts 8-bit pixels to sRGB triples.
fn transform_u8(
    profile: &ColorProfile,
    layout: Layout,
    source: &[u8],
    rgb: &mut [u8],
) -> Result<(), String> {
    profile
        .create_transform_8bit(
            cms_layout(layout),
            &ColorProfile::new_srgb(),
            CmsLayout::Rgb,
            TransformOptions::default(),
        )
        .and_then(|transform| transform.transform(source, rgb))
        .map_err(|error| error.to_string())
}

fn cms_layout(layout: Layout) -> CmsLayout {
    match layout {
        Layout::Gray => CmsLayout::Gray,
        Layout::GrayAlpha => CmsLayout::GrayAlpha,
        Layout::Rgb => CmsLayout::Rgb,
        // The colour engine takes four inks in the shape of Rgba.
        Layout::Rgba | Layout::Cmyk => CmsLayout::Rgba,
    }
}

fn plain_rgb(raster: Raster) -> Raster {
    let raster = raster.into_u8();
    let rgb = raster
        .bytes()
        .as_chunks::<4>()
        .0
        .iter()
        .flat_map(|&ink| plain_cmyk_to_rgb(ink))
        .collect();
    Raster::from_u8(raster.width, raster.height, Layout::Rgb, rgb)
}
