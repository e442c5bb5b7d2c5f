//! HEIC (HEVC in HEIF): decodes with the system's libheif. Writing is not supported.

use crate::codec::boxes;
use crate::codec::boxes::items::{self, Items};
use crate::codec::decoder::{Decoder, ParsedPicture};
use crate::codec::header::Header;
use crate::codec::ycbcr::{self, Coding, Window, YcbcrPlanes};
use crate::format::Format;
use crate::limits::Limits;
use crate::metadata::Metadata;
use crate::raster::{Layout, Raster, sample_count};

mod hevc;
mod libheif;
mod memory;

use hevc::CodedPictures;
pub(super) use libheif::preload;
use libheif::{Channel, Image, ImageHandle, Plane};

/// A HEIC file whose container was read.
#[derive(Debug)]
struct Heic {
    coded: CodedPictures,
}

/// The coding that MIAF defines for pictures that don't declare one (ISO/IEC 23000-22, 7.3.6.4).
const MIAF_DEFAULT: Coding = Coding {
    primaries: 1,
    transfer: 13,
    matrix: 6,
    full_range: true,
};

/// Reads the container. Its items are checked before libheif sees them.
pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Result<ParsedPicture, String> {
    let items = Items::read(bytes);
    if items.is_err() && items::has_no_items(bytes) {
        // libheif says what kind of file this is instead.
        ImageHandle::open(bytes)?;
    }
    let items = items?;
    let coded = hevc::coded(&items)?;
    let picture = ImageHandle::open(bytes)?;
    let layout = match (coded.chroma_format == 0, picture.has_alpha()) {
        (true, false) => Layout::Gray,
        (true, true) => Layout::GrayAlpha,
        (false, false) => Layout::Rgb,
        (false, true) => Layout::Rgba,
    };
    let bits = picture
        .bits()
        .ok_or("the number of bits per sample is missing")?;
    let bits = if bits > 8 { 16 } else { 8 };
    let most = limits.max_metadata_bytes;
    let icc = picture.icc(most)?;
    // libheif applies the rotation in the container's boxes, which is the only valid one: the EXIF
    // orientation must be ignored (ISO/IEC 23008-12). So the orientation stays upright.
    let header = Header::new(Format::Heic, picture.size(), layout, bits);
    let decoder_bytes = memory::decoder_bytes(&header, picture.stored_size(), coded, bytes.len());
    let header = Header {
        decoder_bytes,
        kept_bytes: decoder_bytes / 3,
        metadata: Metadata {
            exif: picture
                .metadata(c"Exif", None, most)
                .and_then(|item| boxes::exif_of_item(&item)),
            xmp: picture.metadata(c"mime", Some(c"application/rdf+xml"), most),
            icc: icc.or_else(|| {
                let is_gray = matches!(layout, Layout::Gray | Layout::GrayAlpha);
                picture.coding()?.profile(is_gray)
            }),
            ..Metadata::default()
        },
        ..header
    };
    Ok(ParsedPicture::new(header, Heic { coded }))
}

impl Decoder for Heic {
    fn decode(
        &self,
        bytes: &[u8],
        header: &Header,
        _shrink: u32,
        _smooth: bool,
    ) -> Result<Raster, String> {
        decode(bytes, header, self.coded)
    }
}

/// Decodes to any layout except Cmyk, upright. Samples of more than 8 bits become 16-bit.
fn decode(bytes: &[u8], header: &Header, coded: CodedPictures) -> Result<Raster, String> {
    let picture = ImageHandle::open(bytes)?;
    let decoded = sample_count(header.width, header.height, 1) as u64;
    let memory = header.decoder_bytes + decoded * u64::from(header.pixel_bytes());
    let image = picture.decode(most_side(&picture, coded), memory)?;
    let alpha = match header.layout.has_alpha() {
        true => Some(plane(&image, Channel::Alpha, header)?),
        false => None,
    };
    let premultiplied = alpha.is_some() && picture.is_premultiplied();
    let coding = image.coding().unwrap_or(MIAF_DEFAULT);
    let Some(colors) = colors(&image, coding) else {
        let mut planes = vec![plane(&image, Channel::Luma, header)?];
        for channel in [Channel::Blueness, Channel::Redness] {
            planes.extend(image.plane(channel));
        }
        let color = copied(&planes, coding)?;
        // Alpha always has the full range.
        let alpha = alpha
            .map(|alpha| copied(&[alpha], MIAF_DEFAULT))
            .transpose()?;
        drop(image);
        let (alpha, layout) = (alpha.as_ref(), header.layout);
        let whole = Window::whole(color.size());
        return Ok(ycbcr::to_raster(
            &color,
            alpha,
            layout,
            whole,
            premultiplied,
        ));
    };
    // A gray picture has three identical planes.
    let count = match header.layout {
        Layout::Gray | Layout::GrayAlpha => 1,
        _ => 3,
    };
    let planes = colors[..count].iter();
    let planes = planes.map(|&channel| plane(&image, channel, header));
    let mut planes = planes.collect::<Result<Vec<_>, _>>()?;
    planes.extend(alpha);
    let raster = interleaved(&planes, header);
    Ok(match premultiplied {
        true => raster.with_straight_alpha(),
        false => raster,
    })
}

/// The longest side that the picture or a part of it may have. Blocks extend beyond the edge by
/// less than 64 pixels.
fn most_side(picture: &ImageHandle<'_>, coded: CodedPictures) -> u32 {
    let (width, height) = picture.stored_size();
    let part = coded.largest;
    width.max(height).max(part.0).max(part.1).saturating_add(64)
}

/// The red, green and blue planes, if the picture has them: libheif before 1.19 always returns
/// these, and a lossless picture may be stored this way.
fn colors(image: &Image, coding: Coding) -> Option<[Channel; 3]> {
    if image.plane(Channel::Red).is_some() {
        return Some([Channel::Red, Channel::Green, Channel::Blue]);
    }
    let is_stored_so = coding.matrix == ycbcr::IDENTITY
        && coding.full_range
        && image.plane(Channel::Redness).is_some();
    is_stored_so.then_some([Channel::Redness, Channel::Luma, Channel::Blueness])
}

/// A plane at full resolution.
fn plane<'a>(image: &'a Image, channel: Channel, header: &Header) -> Result<Plane<'a>, String> {
    let plane = image.plane(channel);
    let plane = plane.ok_or_else(|| format!("the plane {channel:?} is missing"))?;
    if (plane.width, plane.height) != (header.width, header.height) {
        return Err("its planes differ in size".to_owned());
    }
    let has_its_depth = (plane.bits > 8) == (header.bits > 8) || matches!(channel, Channel::Alpha);
    if !matches!(plane.bits, 8..=16) || !has_its_depth {
        return Err("its planes differ from its header".to_owned());
    }
    Ok(plane)
}

/// Interleaves planes of the header's size.
fn interleaved(planes: &[Plane<'_>], header: &Header) -> Raster {
    let (width, height, layout) = (header.width, header.height, header.layout);
    if header.bits == 8 {
        let samples = join(planes, header, |sample| sample as u8);
        Raster::from_u8(width, height, layout, samples)
    } else {
        Raster::from_u16(width, height, layout, join(planes, header, |sample| sample))
    }
}

/// The samples of all pixels; `finish` converts each from the header's bit depth.
fn join<T: Copy + Default>(
    planes: &[Plane<'_>],
    header: &Header,
    finish: impl Fn(u16) -> T,
) -> Vec<T> {
    let channels = planes.len();
    let row = header.width as usize * channels;
    let mut samples = vec![T::default(); sample_count(header.width, header.height, channels)];
    for (y, row) in (0..header.height).zip(samples.chunks_exact_mut(row)) {
        for (channel, plane) in planes.iter().enumerate() {
            let places = row.iter_mut().skip(channel).step_by(channels);
            for (place, sample) in places.zip(plane.row(y)) {
                *place = finish(scaled(sample, plane.bits, header.bits));
            }
        }
    }
    samples
}

/// Scales a sample to another bit depth, rounded.
fn scaled(sample: u16, from: u8, to: u8) -> u16 {
    if from == to {
        return sample;
    }
    let (from, to) = ((1_u32 << from) - 1, (1_u32 << to) - 1);
    ((u32::from(sample).min(from) * to + from / 2) / from) as u16
}

/// Copies the luma plane and, if there are three planes, the chroma planes.
fn copied(planes: &[Plane<'_>], coding: Coding) -> Result<YcbcrPlanes, String> {
    let bits = planes[0].bits;
    // H.265 supports up to 16 bits; decoders support the still picture profiles of up to 12 bits.
    if bits > 12 || planes.iter().any(|plane| plane.bits != bits) {
        return Err("its planes have an unsupported number of bits".to_owned());
    }
    let planes = planes.iter().map(|plane| ycbcr::Plane {
        width: plane.width,
        height: plane.height,
        samples: (0..plane.height).flat_map(|y| plane.row(y)).collect(),
    });
    Ok(YcbcrPlanes {
        bits,
        planes: planes.collect(),
        coding,
    })
}
