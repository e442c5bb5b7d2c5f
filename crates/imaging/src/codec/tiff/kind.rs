//! What the samples of a TIFF mean and how they are stored (TIFF 6.0, sections 3 to 23). What is not
//! read is refused here, by its name.

use super::directory::{Directory, tag};
use super::ycbcr::YCbCr;
use crate::raster::Layout;

/// How the bytes of a strip or tile are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Fax(Fax),
    Lzw,
    Deflate,
    PackBits,
    Jpeg,
    OldJpeg,
    Zstd,
}

/// The kinds of fax data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fax {
    /// Rows of runs that begin on a byte, or on a word.
    Rows { unit_bits: u8 },
    /// ITU-T T.4, with rows that refer to the one above or without.
    Group3 { is_two_dimensional: bool },
    /// ITU-T T.6.
    Group4,
}

/// What the colour samples mean.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Meaning {
    Gray {
        is_inverted: bool,
    },
    Rgb,
    Palette(Vec<[u8; 3]>),
    Inks,
    YCbCr(YCbCr),
    /// CIE L*a*b*: whether a and b are signed, or have an offset.
    Lab {
        is_signed: bool,
    },
}

/// What the first sample after the colours is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alpha {
    None,
    Straight,
    Premultiplied,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Predictor {
    None,
    /// Differences of samples.
    Horizontal,
    /// Differences of the bytes of floats, which are sorted by their place.
    Float,
}

/// How a sample is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Number {
    pub(super) bits: u32,
    /// The values that become black and white, if the samples are floats.
    pub(super) float: Option<(f32, f32)>,
    pub(super) is_little: bool,
}

/// The kind of a picture.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kind {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) meaning: Meaning,
    pub(super) alpha: Alpha,
    /// Samples of a pixel, with those that are not read.
    pub(super) samples: usize,
    pub(super) number: Number,
    /// Whether each sample has strips of its own.
    pub(super) is_separate: bool,
    pub(super) compression: Compression,
    pub(super) predictor: Predictor,
    /// Whether the lowest bit of each byte comes first.
    pub(super) is_reversed: bool,
}

impl Kind {
    /// Reads the fields of the first directory.
    ///
    /// # Errors
    ///
    /// If something is missing, contradicts itself or is not read.
    pub(super) fn read(directory: &Directory<'_>) -> Result<Self, String> {
        let number = |tag: u16, default: u64| directory.number(tag).unwrap_or(default);
        let side = |tag: u16, name: &str| {
            let side = directory
                .number(tag)
                .ok_or(format!("its {name} is missing"))?;
            u32::try_from(side).map_err(|_| format!("its {name} of {side} pixels is too large"))
        };
        let size = (side(tag::WIDTH, "width")?, side(tag::HEIGHT, "height")?);
        // Some writers of old-style JPEG leave out the number of samples.
        let is_ycbcr = directory.number(tag::PHOTOMETRIC) == Some(tag::YCBCR);
        let samples = number(tag::SAMPLES, if is_ycbcr { 3 } else { 1 });
        let samples = usize::try_from(samples)
            .ok()
            .filter(|count| (1..=MAX_SAMPLES).contains(count))
            .ok_or(format!(
                "it has {samples} samples in a pixel; the limit is {MAX_SAMPLES}"
            ))?;
        let compression = compression(directory)?;
        let number_kind = sample_number(directory, samples)?;
        let bits = number_kind.bits;
        let planes = number(tag::PLANES, 1);
        if !matches!(planes, 1 | 2) {
            return Err(format!("its planar configuration {planes} is unknown"));
        }
        let is_separate = planes == tag::SEPARATE && samples > 1;
        let meaning = meaning(directory, compression, bits)?;
        let (alpha, colors) = (
            alpha(directory, samples, meaning.colors())?,
            meaning.colors(),
        );
        if samples < colors {
            return Err(format!(
                "its pixels have {samples} samples, and its colours need {colors}"
            ));
        }
        if meaning == Meaning::Inks && alpha != Alpha::None {
            return Err("inks with alpha are not supported".to_owned());
        }
        if is_separate
            && matches!(compression, Compression::Jpeg | Compression::OldJpeg)
            && number(tag::PHOTOMETRIC, 0) == tag::YCBCR
        {
            return Err("YCbCr in planes of JPEG is not supported".to_owned());
        }
        let predictor = match (number(tag::PREDICTOR, 1), compression) {
            // The others have no predictor.
            (1, _)
            | (
                _,
                Compression::None
                | Compression::PackBits
                | Compression::Fax(_)
                | Compression::Jpeg
                | Compression::OldJpeg,
            ) => Predictor::None,
            (2, _) if matches!(bits, 8 | 16 | 24 | 32 | 64) => Predictor::Horizontal,
            (2, _) => {
                return Err(format!(
                    "a predictor for samples of {bits} bits is not supported"
                ));
            }
            (3, _) if number_kind.float.is_some() => Predictor::Float,
            (other, _) => return Err(format!("its predictor {other} is not supported")),
        };
        let kind = Self {
            width: size.0,
            height: size.1,
            meaning,
            alpha,
            samples,
            number: number_kind,
            is_separate,
            compression,
            predictor,
            is_reversed: number(tag::FILL_ORDER, 1) == 2,
        };
        kind.check()?;
        Ok(kind)
    }

    /// Refuses combinations that are not read.
    fn check(&self) -> Result<(), String> {
        let Number { bits, float, .. } = self.number;
        let is_float = float.is_some();
        match &self.meaning {
            Meaning::Palette(_) if is_float => Err("a palette of floats".to_owned()),
            Meaning::YCbCr(_) | Meaning::Lab { .. } if is_float => {
                Err("floating-point YCbCr and Lab are not supported".to_owned())
            }
            Meaning::YCbCr(_) if bits != 8 => Err(format!(
                "YCbCr with {bits} bits per sample is not supported"
            )),
            Meaning::Lab { .. } if !matches!(bits, 8 | 16) => {
                Err(format!("Lab with {bits} bits per sample is not supported"))
            }
            Meaning::YCbCr(ycbcr)
                if ycbcr.is_subsampled()
                    && (self.is_separate
                        || self.samples != 3
                        || self.predictor != Predictor::None) =>
            {
                Err(
                    "subsampled YCbCr in planes, with more samples or with a predictor is not \
                     supported"
                        .to_owned(),
                )
            }
            _ => self.check_compression(),
        }
    }

    fn check_compression(&self) -> Result<(), String> {
        let bits = self.number.bits;
        match self.compression {
            Compression::Fax(_) if bits != 1 || self.samples != 1 => {
                Err("fax data with more than one bit in a pixel".to_owned())
            }
            Compression::OldJpeg if self.is_separate => {
                Err("old-style JPEG in planes is not supported".to_owned())
            }
            Compression::Jpeg | Compression::OldJpeg if bits != 8 => Err(format!(
                "JPEG data with {bits} bits per sample is not supported, only with 8"
            )),
            _ => Ok(()),
        }
    }

    /// The layout of the decoded picture.
    pub(super) fn layout(&self) -> Layout {
        let has_alpha = self.alpha != Alpha::None;
        match self.meaning {
            Meaning::Inks => Layout::Cmyk,
            Meaning::Gray { .. } if has_alpha => Layout::GrayAlpha,
            Meaning::Gray { .. } => Layout::Gray,
            _ if has_alpha => Layout::Rgba,
            _ => Layout::Rgb,
        }
    }

    /// Bits per decoded sample, 8 or 16.
    pub(super) fn decoded_bits(&self) -> u8 {
        match self.meaning {
            Meaning::Palette(_) | Meaning::Inks => 8,
            _ if self.number.bits <= 8 => 8,
            _ => 16,
        }
    }

    /// Samples of a pixel in a strip or tile.
    pub(super) fn samples_together(&self) -> usize {
        if self.is_separate { 1 } else { self.samples }
    }
}

impl Meaning {
    /// Samples of the colour.
    pub(super) fn colors(&self) -> usize {
        match self {
            Self::Gray { .. } | Self::Palette(_) => 1,
            Self::Inks => 4,
            _ => 3,
        }
    }
}

/// Samples of a pixel. Real pictures have at most a few more than colours.
const MAX_SAMPLES: usize = 64;

fn compression(directory: &Directory<'_>) -> Result<Compression, String> {
    let code = directory.number(tag::COMPRESSION).unwrap_or(1);
    let name = match code {
        1 => return Ok(Compression::None),
        2 => return Ok(Compression::Fax(Fax::Rows { unit_bits: 8 })),
        3 => {
            let is_two_dimensional = directory.number(tag::T4_OPTIONS).unwrap_or(0) & 1 == 1;
            return Ok(Compression::Fax(Fax::Group3 { is_two_dimensional }));
        }
        4 => return Ok(Compression::Fax(Fax::Group4)),
        5 => return Ok(Compression::Lzw),
        6 => return Ok(Compression::OldJpeg),
        tag::JPEG => return Ok(Compression::Jpeg),
        8 | 32_946 => return Ok(Compression::Deflate),
        32_771 => return Ok(Compression::Fax(Fax::Rows { unit_bits: 16 })),
        32_773 => return Ok(Compression::PackBits),
        50_000 => return Ok(Compression::Zstd),
        9 | 10 => "JBIG",
        32_766 => "NeXT",
        32_809 => "ThunderScan",
        32_908 => "Pixar film",
        32_909 => "Pixar log",
        34_661 => "JBIG",
        34_676 | 34_677 => "SGI log",
        33_003 | 33_005 | 34_712 => "JPEG 2000",
        34_887 => "LERC",
        34_892 => "lossy JPEG of DNG",
        34_925 => "LZMA",
        50_001 => "WebP",
        50_002 | 52_546 => "JPEG XL",
        _ => return Err(format!("its compression {code} is unknown")),
    };
    Err(format!(
        "its compression, {name} ({code}), is not supported"
    ))
}

fn sample_number(directory: &Directory<'_>, samples: usize) -> Result<Number, String> {
    // Some writers give more values than there are samples.
    let mut all_bits = directory.numbers(tag::BITS).take(samples);
    let bits = all_bits.next().unwrap_or(1);
    if let Some(other) = all_bits.find(|other| *other != bits) {
        return Err(format!(
            "its samples have {bits} and {other} bits; samples of different sizes are not supported"
        ));
    }
    let format = directory.number(tag::SAMPLE_FORMAT).unwrap_or(1);
    let float = match (format, bits) {
        // Undefined data is what it was before the field existed.
        (1 | 4, 1..=32 | 64) => None,
        // Readers take bytes as they are.
        (2, 8) => None,
        (2, _) => return Err("signed integers are not supported".to_owned()),
        (3, 16 | 24 | 32 | 64) => Some(range(directory)),
        (5 | 6, _) => return Err("complex numbers are not supported".to_owned()),
        (1 | 3 | 4, _) => return Err(format!("samples of {bits} bits are not supported")),
        (other, _) => return Err(format!("its sample format {other} is unknown")),
    };
    Ok(Number {
        bits: bits as u32,
        float,
        is_little: directory.is_little(),
    })
}

/// The least and the largest value of floats, 0 and 1 if the file does not say.
fn range(directory: &Directory<'_>) -> (f32, f32) {
    let least = directory.float(tag::LEAST_VALUE).unwrap_or(0.0);
    let most = directory.float(tag::MOST_VALUE).unwrap_or(1.0);
    match least.is_finite() && most.is_finite() && least < most {
        true => (least, most),
        false => (0.0, 1.0),
    }
}

fn meaning(
    directory: &Directory<'_>,
    compression: Compression,
    bits: u32,
) -> Result<Meaning, String> {
    let code = directory.number(tag::PHOTOMETRIC);
    let name = match code {
        Some(0) => return Ok(Meaning::Gray { is_inverted: true }),
        // A mask of transparency is shown as it is.
        Some(1 | 4) => return Ok(Meaning::Gray { is_inverted: false }),
        // Scanners for fax leave it out.
        None if matches!(compression, Compression::Fax(_)) => {
            return Ok(Meaning::Gray { is_inverted: true });
        }
        None if directory.number(tag::SAMPLES).unwrap_or(1) < 3 => {
            return Ok(Meaning::Gray { is_inverted: false });
        }
        None => return Ok(Meaning::Rgb),
        Some(2) => return Ok(Meaning::Rgb),
        Some(3) => return palette(directory, bits).map(Meaning::Palette),
        Some(tag::SEPARATED) => {
            return match directory.number(tag::INK_SET).unwrap_or(1) {
                1 => Ok(Meaning::Inks),
                other => Err(format!(
                    "inks that are not CMYK (ink set {other}) are not supported"
                )),
            };
        }
        // The JPEG decoder converts them.
        Some(tag::YCBCR) if compression == Compression::Jpeg => return Ok(Meaning::Rgb),
        // Old ones may have a range of their own; their chroma is spread by the JPEG decoder.
        Some(tag::YCBCR) if compression == Compression::OldJpeg => {
            return YCbCr::read(directory).map(|ycbcr| Meaning::YCbCr(ycbcr.spread()));
        }
        Some(tag::YCBCR) => return YCbCr::read(directory).map(Meaning::YCbCr),
        Some(8) => return Ok(Meaning::Lab { is_signed: true }),
        Some(9) => return Ok(Meaning::Lab { is_signed: false }),
        Some(10) => "ITU Lab",
        Some(32_803) => "colour filter array",
        Some(32_844 | 32_845) => "LogLuv",
        Some(34_892) => "linear raw",
        Some(51_177) => "depth",
        Some(52_527) => "photometric mask",
        Some(code) => return Err(format!("its photometric interpretation {code} is unknown")),
    };
    Err(format!("its colours, {name}, are not supported"))
}

/// The colours of a palette. Some writers use 8 bits of the 16.
fn palette(directory: &Directory<'_>, bits: u32) -> Result<Vec<[u8; 3]>, String> {
    if !matches!(bits, 1..=8 | 16) {
        return Err(format!("a palette of {bits} bits is not supported"));
    }
    let count = 1 << bits;
    let values: Vec<u64> = directory.numbers(tag::COLOR_MAP).take(3 * count).collect();
    if values.len() < 3 * count {
        return Err(format!(
            "its palette has {} values, not {}",
            values.len(),
            3 * count
        ));
    }
    let shift = if values.iter().all(|value| *value < 256) {
        0
    } else {
        8
    };
    let color = |index: usize| [0, 1, 2].map(|part| (values[part * count + index] >> shift) as u8);
    Ok((0..count).map(color).collect())
}

fn alpha(directory: &Directory<'_>, samples: usize, colors: usize) -> Result<Alpha, String> {
    if samples <= colors {
        return Ok(Alpha::None);
    }
    match directory.number(tag::EXTRA_SAMPLES) {
        Some(0) => Ok(Alpha::None),
        Some(1) => Ok(Alpha::Premultiplied),
        // Without the field, and with a value that nobody knows, readers take it for alpha.
        Some(_) => Ok(Alpha::Straight),
        None if samples == colors + 1 => Ok(Alpha::Straight),
        None => Err(format!(
            "its pixels have {samples} samples, and it does not say what those after the {colors} \
             of the colour are"
        )),
    }
}
