//! AVIF encoding, by `maroontree`, on one thread: the result does not depend on the machine.

use avif_serialize::Aviffy;
use maroontree::{
    BitDepth as Depth, ChromaFormat, EncodeConfig, EncodeError, PlanarImage, Speed, encode_gray8,
    encode_gray10, encode_rgb8, encode_rgb10,
};

/// Bits per stored sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BitDepth {
    /// 8 bits.
    Eight,
    /// 10 bits.
    Ten,
}

/// How a picture is encoded.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Quality of the colours and of the alpha channel, 1 to 100.
    pub quality: u8,
    /// Bits per stored sample.
    pub bit_depth: BitDepth,
    /// Whether chroma is stored at full resolution.
    pub full_color: bool,
    /// Whether the encoder searches longer for fewer bytes.
    pub is_thorough: bool,
    /// EXIF data to store with the picture.
    pub exif: Option<&'a [u8]>,
}

impl Settings<'_> {
    fn config(&self) -> EncodeConfig {
        let chroma = match self.full_color {
            true => ChromaFormat::Yuv444,
            false => ChromaFormat::Yuv420,
        };
        let speed = match self.is_thorough {
            true => Speed::Medium,
            false => Speed::Fast,
        };
        EncodeConfig::new()
            .with_quality(self.quality)
            .with_chroma(chroma)
            .with_speed(speed)
            .with_threads(1)
    }

    /// Encodes rows of red, green and blue, 8 bits per sample, without padding. `size` is the width
    /// and the height in pixels.
    ///
    /// # Errors
    ///
    /// Why the encoder refuses the picture.
    #[inline(never)]
    pub fn encode_rgb(&self, samples: &[u8], size: (usize, usize)) -> Result<Vec<u8>, String> {
        let color = self.color(samples, size).map_err(|error| refused(&error))?;
        Ok(self.file(&color, None, size))
    }

    /// Encodes rows of red, green, blue and alpha, as [`encode_rgb`](Self::encode_rgb) does.
    ///
    /// # Errors
    ///
    /// Why the encoder refuses the picture.
    #[inline(never)]
    pub fn encode_rgba(&self, samples: &[u8], size: (usize, usize)) -> Result<Vec<u8>, String> {
        let (pixels, _) = samples.as_chunks::<4>();
        let mut colors = Vec::with_capacity(pixels.len() * 3);
        let mut last = [0; 3];
        for &[r, g, b, alpha] in pixels {
            // What is not seen costs least if it is like what is beside it.
            if alpha > 0 {
                last = [r, g, b];
            }
            colors.extend(last);
        }
        let color = self.color(&colors, size).map_err(|error| refused(&error))?;
        drop(colors);
        let alpha: Vec<u8> = pixels.iter().map(|pixel| pixel[3]).collect();
        let alpha = self.alpha(&alpha, size).map_err(|error| refused(&error))?;
        Ok(self.file(&color, Some(&alpha), size))
    }

    /// The AV1 data of the colours.
    fn color(&self, samples: &[u8], (width, height): (usize, usize)) -> Encoded {
        let file = match self.bit_depth {
            BitDepth::Eight => {
                let picture =
                    PlanarImage::from_interleaved_rgb(width, height, Depth::Eight, samples)?;
                encode_rgb8(&picture, &self.config())?
            }
            BitDepth::Ten => {
                let samples = with_10_bits(samples);
                let picture =
                    PlanarImage::from_interleaved_rgb(width, height, Depth::Ten, &samples)?;
                encode_rgb10(&picture, &self.config())?
            }
        };
        Ok(av1_of(&file))
    }

    /// The AV1 data of the alpha channel, which is monochrome.
    fn alpha(&self, samples: &[u8], (width, height): (usize, usize)) -> Encoded {
        let file = match self.bit_depth {
            BitDepth::Eight => {
                let picture = PlanarImage::from_luma(width, height, Depth::Eight, samples)?;
                encode_gray8(&picture, &self.config())?
            }
            BitDepth::Ten => {
                let samples = with_10_bits(samples);
                let picture = PlanarImage::from_luma(width, height, Depth::Ten, &samples)?;
                encode_gray10(&picture, &self.config())?
            }
        };
        Ok(av1_of(&file))
    }

    fn file(&self, color: &[u8], alpha: Option<&[u8]>, size: (usize, usize)) -> Vec<u8> {
        let mut file = Aviffy::new();
        let is_deep = self.bit_depth == BitDepth::Ten;
        file.set_seq_profile(u8::from(self.full_color))
            .set_chroma_subsampling((!self.full_color, !self.full_color));
        if let Some(exif) = self.exif {
            file.set_exif(exif.to_vec());
        }
        let depth = if is_deep { 10 } else { 8 };
        file.to_vec(color, alpha, size.0 as u32, size.1 as u32, depth)
    }
}

type Encoded = Result<Vec<u8>, EncodeError>;

fn with_10_bits(samples: &[u8]) -> Vec<u16> {
    let scaled = |&sample: &u8| ((u32::from(sample) * 1023 + 127) / 255) as u16;
    samples.iter().map(scaled).collect()
}

fn refused(error: &EncodeError) -> String {
    format!("the encoder refuses it: {error:?}")
}

/// The AV1 data in a file of one picture without metadata: all of the last box.
fn av1_of(file: &[u8]) -> Vec<u8> {
    let mut rest = file;
    while let Some((size, after)) = rest.split_first_chunk::<4>() {
        let size = u32::from_be_bytes(*size) as usize;
        if size < 8 || size > rest.len() {
            break;
        }
        if after.starts_with(b"mdat") {
            return rest[8..size].to_vec();
        }
        rest = &rest[size..];
    }
    Vec::new()
}
