//! AVIF encoding, by `ravif`, on one thread: the result does not depend on the machine.

pub use ravif::BitDepth;

use ravif::{Encoder, Img, RGB8, RGBA8};

/// How a picture is encoded.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Quality of the colours and of the alpha channel, 1 to 100.
    pub quality: f32,
    /// Bits per stored sample.
    pub bit_depth: BitDepth,
    /// The encoder's effort, 1 (slow) to 10 (fast).
    pub speed: u8,
    /// EXIF data to store with the picture.
    pub exif: Option<&'a [u8]>,
}

impl Settings<'_> {
    fn encoder(&self) -> Encoder<'_> {
        let encoder = Encoder::new()
            .with_quality(self.quality)
            .with_alpha_quality(self.quality)
            .with_bit_depth(self.bit_depth)
            .with_speed(self.speed)
            .with_num_threads(Some(1));
        match self.exif {
            Some(exif) => encoder.with_exif(exif),
            None => encoder,
        }
    }

    /// Encodes rows of red, green and blue, 8 bits per sample, without padding. `size` is the width
    /// and the height in pixels.
    ///
    /// # Errors
    ///
    /// Why the encoder refuses the picture.
    #[inline(never)]
    pub fn encode_rgb(&self, samples: &[u8], size: (usize, usize)) -> Result<Vec<u8>, String> {
        let (pixels, _) = samples.as_chunks::<3>();
        let pixels: Vec<RGB8> = pixels.iter().map(|&pixel| RGB8::from(pixel)).collect();
        let encoded = self.encoder().encode_rgb(Img::new(&pixels, size.0, size.1));
        Ok(encoded.map_err(|error| error.to_string())?.avif_file)
    }

    /// Encodes rows of red, green, blue and alpha, as [`encode_rgb`](Self::encode_rgb) does.
    ///
    /// # Errors
    ///
    /// Why the encoder refuses the picture.
    #[inline(never)]
    pub fn encode_rgba(&self, samples: &[u8], size: (usize, usize)) -> Result<Vec<u8>, String> {
        let (pixels, _) = samples.as_chunks::<4>();
        let pixels: Vec<RGBA8> = pixels.iter().map(|&pixel| RGBA8::from(pixel)).collect();
        let encoded = self
            .encoder()
            .encode_rgba(Img::new(&pixels, size.0, size.1));
        Ok(encoded.map_err(|error| error.to_string())?.avif_file)
    }
}
