//! JPEG of every kind, made in code by libjpeg-turbo's encoder.
use turbojpeg::{Colorspace, Compressor, Decompressor, Image, PixelFormat, Subsamp};

/// How a JPEG is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) colorspace: Colorspace,
    pub(crate) subsamp: Subsamp,
    pub(crate) progressive: bool,
    pub(crate) arithmetic: bool,
    /// Restart markers after each row of MCUs.
    pub(crate) restarts: bool,
    /// Whether the Adobe marker stays in the file if libjpeg writes one.
    pub(crate) adobe: bool,
}

const PLAIN: Kind = Kind {
    name: "4:2:0",
    colorspace: Colorspace::YCbCr,
    subsamp: Subsamp::Sub2x2,
    progressive: false,
    arithmetic: false,
    restarts: false,
    adobe: true,
};

const fn sampled(name: &'static str, subsamp: Subsamp) -> Kind {
    Kind {
        name,
        subsamp,
        ..PLAIN
    }
}

const fn colored(name: &'static str, colorspace: Colorspace, subsamp: Subsamp) -> Kind {
    Kind {
        name,
        colorspace,
        subsamp,
        ..PLAIN
    }
}

pub(crate) const KINDS: &[Kind] = &[
    PLAIN,
    sampled("4:4:4", Subsamp::None),
    sampled("4:2:2", Subsamp::Sub2x1),
    sampled("4:4:0", Subsamp::Sub1x2),
    sampled("4:1:1", Subsamp::Sub4x1),
    sampled("4:4:1", Subsamp::Sub1x4),
    colored("gray", Colorspace::Gray, Subsamp::Gray),
    colored("RGB", Colorspace::RGB, Subsamp::None),
    Kind {
        name: "progressive",
        progressive: true,
        ..PLAIN
    },
    Kind {
        name: "progressive 4:4:4",
        progressive: true,
        ..sampled("", Subsamp::None)
    },
    Kind {
        name: "arithmetic",
        arithmetic: true,
        ..PLAIN
    },
    Kind {
        name: "arithmetic progressive",
        arithmetic: true,
        progressive: true,
        ..PLAIN
    },
    Kind {
        name: "restarts",
        restarts: true,
        ..PLAIN
    },
    colored("CMYK", Colorspace::CMYK, Subsamp::None),
    Kind {
        adobe: false,
        ..colored("CMYK without Adobe", Colorspace::CMYK, Subsamp::None)
    },
    colored("YCCK", Colorspace::YCCK, Subsamp::None),
    colored("YCCK 4:2:0", Colorspace::YCCK, Subsamp::Sub2x2),
];

impl Kind {
    pub(crate) fn is_ink(&self) -> bool {
        matches!(self.colorspace, Colorspace::CMYK | Colorspace::YCCK)
    }

    fn pixel_format(&self) -> PixelFormat {
        if self.is_ink() {
            PixelFormat::CMYK
        } else {
            PixelFormat::RGB
        }
    }

    /// Encodes Rgb pixels; kinds with CMYK convert them by the simple formula.
    pub(crate) fn encode(&self, rgb: &[u8], size: (u32, u32)) -> Vec<u8> {
        if self.restarts {
            return self.with_restarts(rgb, size);
        }
        let samples = if self.is_ink() {
            self.ink(rgb)
        } else {
            rgb.to_vec()
        };
        let jpeg = self.compress(&samples, size);
        if self.adobe {
            return jpeg;
        }
        without(&jpeg, |marker, _| marker == 0xee)
    }

    fn compress(&self, samples: &[u8], (width, height): (u32, u32)) -> Vec<u8> {
        let mut compressor = Compressor::new().unwrap();
        compressor.set_quality(95).unwrap();
        compressor.set_colorspace(self.colorspace).unwrap();
        compressor.set_subsamp(self.subsamp).unwrap();
        compressor.set_progressive(self.progressive).unwrap();
        compressor.set_arithmetic(self.arithmetic).unwrap();
        let format = self.pixel_format();
        let image = Image {
            pixels: samples,
            width: width as usize,
            pitch: width as usize * format.size(),
            height: height as usize,
            format,
        };
        compressor.compress_to_vec(image).unwrap()
    }

    /// Cyan, magenta, yellow and black. They are stored inverted, with Adobe's marker and without.
    fn ink(&self, rgb: &[u8]) -> Vec<u8> {
        let (pixels, _) = rgb.as_chunks::<3>();
        pixels
            .iter()
            .flat_map(|&[r, g, b]| {
                let white = r.max(g).max(b);
                let ink = |value: u8| {
                    let without = (u32::from(value) * 255).checked_div(white.into());
                    255 - without.unwrap_or(255) as u8
                };
                [ink(r), ink(g), ink(b), 255 - white]
            })
            .map(|ink| 255 - ink)
            .collect()
    }

    /// Encodes each row of MCUs separately, because a decoder starts anew at a restart marker, and
    /// joins the rows.
    fn with_restarts(&self, rgb: &[u8], (width, height): (u32, u32)) -> Vec<u8> {
        let unit = self.subsamp.mcu_height();
        let rows = rgb.chunks(width as usize * 3 * unit);
        let mut joined = Vec::new();
        for (number, row) in rows.enumerate() {
            let row_height = (row.len() / (width as usize * 3)) as u32;
            let strip = self.compress(row, (width, row_height));
            let (header, data) = strip.split_at(data_start(&strip));
            if number == 0 {
                let across = (width as usize).div_ceil(self.subsamp.mcu_width()) as u16;
                joined = header.to_vec();
                for (marker, start, _) in segments(&strip).into_iter().rev() {
                    match marker {
                        // The interval is defined before the start of scan (T.81, B.2.4.4).
                        0xda => {
                            let [high, low] = across.to_be_bytes();
                            let interval = [0xff, 0xdd, 0, 4, high, low];
                            joined.splice(start..start, interval);
                        }
                        0xc0 => {
                            let height = (height as u16).to_be_bytes();
                            joined[start + 5..start + 7].copy_from_slice(&height);
                        }
                        _ => {}
                    }
                }
            } else {
                joined.extend([0xff, 0xd0 + (number as u8 - 1) % 8]);
            }
            joined.extend(&data[..data.len() - 2]);
        }
        joined.extend([0xff, 0xd9]);
        joined
    }
}

/// The markers up to the scan, each with its start and end.
pub(crate) fn segments(jpeg: &[u8]) -> Vec<(u8, usize, usize)> {
    let mut segments = Vec::new();
    let mut at = 2;
    loop {
        assert_eq!(jpeg[at], 0xff);
        let marker = jpeg[at + 1];
        let length = u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]);
        let end = at + 2 + usize::from(length);
        segments.push((marker, at, end));
        if marker == 0xda {
            return segments;
        }
        at = end;
    }
}

/// The start of the first scan's data.
pub(crate) fn data_start(jpeg: &[u8]) -> usize {
    let segments = segments(jpeg);
    segments[segments.len() - 1].2
}

/// The picture without the segments with this marker and payload.
pub(crate) fn without(jpeg: &[u8], unwanted: impl Fn(u8, &[u8]) -> bool) -> Vec<u8> {
    let mut kept = jpeg[..2].to_vec();
    for (marker, start, end) in segments(jpeg) {
        if !unwanted(marker, &jpeg[start + 4..end]) {
            kept.extend(&jpeg[start..end]);
        }
    }
    kept.extend(&jpeg[data_start(jpeg)..]);
    kept
}

/// Decodes at full size with libjpeg-turbo, to the Rgb pixels that a viewer shows.
pub(crate) fn decode(jpeg: &[u8]) -> ((u32, u32), Vec<u8>) {
    let mut decompressor = Decompressor::new().unwrap();
    let header = decompressor.read_header(jpeg).unwrap();
    let ink = matches!(header.colorspace, Colorspace::CMYK | Colorspace::YCCK);
    let format = if ink {
        PixelFormat::CMYK
    } else {
        PixelFormat::RGB
    };
    let pitch = header.width * format.size();
    let mut pixels = vec![0; pitch * header.height];
    let image = Image {
        pixels: pixels.as_mut_slice(),
        width: header.width,
        pitch,
        height: header.height,
        format,
    };
    decompressor.decompress(jpeg, image).unwrap();
    if ink {
        let (inks, _) = pixels.as_chunks::<4>();
        let light = |value: u8| u32::from(value);
        pixels = inks
            .iter()
            .flat_map(|&[c, m, y, k]| [c, m, y].map(|ink| (light(ink) * light(k) + 127) / 255))
            .map(|value| value as u8)
            .collect();
    }
    ((header.width as u32, header.height as u32), pixels)
}
