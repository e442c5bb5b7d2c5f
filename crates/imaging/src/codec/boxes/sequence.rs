//! Finds the first picture of an image sequence, which lies in tracks as those of a film do (ISO/IEC
//! 14496-12, 8.3 to 8.7, and 23008-12, 7). Such a file may also have the picture as an item; this is
//! for those without.

use super::boxes;
use super::items::{Items, Property, Sample, limited};
use super::reader::Reader;

/// The most tracks. A sequence has one for colours and one for alpha.
const MOST_TRACKS: usize = 64;
/// What comes before the boxes in the description of a picture (12.1.3.2).
const DESCRIPTION: usize = 78;

/// The first picture, and its alpha channel, as items; `None` if the file is no sequence.
pub(crate) fn first_picture(file: &[u8]) -> Result<Option<Items<'_>>, String> {
    let Some(moov) = child(file, b"moov") else {
        return Ok(None);
    };
    let tracks = limited(moov, "moov")?.into_iter();
    let tracks = tracks.filter(|(name, _)| *name == b"trak");
    let tracks: Vec<_> = tracks.map(|(_, track)| track).take(MOST_TRACKS).collect();
    let color = first_of(file, &tracks, &[b"pict", b"vide"])?;
    let alpha = first_of(file, &tracks, &[b"auxv"])?;
    Ok(color.map(|color| Items::of_samples(color, alpha)))
}

/// The first sample of the first track with one of these handlers.
fn first_of<'a>(
    file: &'a [u8],
    tracks: &[&'a [u8]],
    handlers: &[&[u8; 4]],
) -> Result<Option<Sample<'a>>, String> {
    for track in tracks {
        let Some(media) = child(track, b"mdia") else {
            continue;
        };
        let handler = child(media, b"hdlr").and_then(|hdlr| hdlr.get(8..12));
        if !handlers
            .iter()
            .any(|wanted| Some(wanted.as_slice()) == handler)
        {
            continue;
        }
        let table = child(media, b"minf").and_then(|minf| child(minf, b"stbl"));
        let sample = table.and_then(|table| sample(file, table));
        let sample = sample.ok_or("the first picture of its sequence is not in the file")?;
        return Ok(Some(sample));
    }
    Ok(None)
}

fn sample<'a>(file: &'a [u8], table: &'a [u8]) -> Option<Sample<'a>> {
    let stsd = child(table, b"stsd")?.get(8..)?;
    let (kind, description) = boxes(stsd).next()?;
    let inside = limited(description.get(DESCRIPTION..)?, "stsd").ok()?;
    // An auxiliary track names its purpose as an auxiliary item does, in another box.
    let as_property = |(name, payload): Property<'a>| match name {
        b"auxi" => (b"auxC", payload),
        _ => (name, payload),
    };
    let properties: Vec<Property<'a>> = inside.into_iter().map(as_property).collect();
    let start = usize::try_from(first_offset(table)?).ok()?;
    let size = usize::try_from(first_size(table)?).ok()?;
    Some(Sample {
        kind: *kind,
        data: file.get(start..start.checked_add(size)?)?,
        properties,
    })
}

/// Where the first sample starts in the file.
fn first_offset(table: &[u8]) -> Option<u64> {
    let (offsets, size) = match child(table, b"stco") {
        Some(offsets) => (offsets, 4),
        None => (child(table, b"co64")?, 8),
    };
    Reader(offsets.get(8..)?).number(size)
}

fn first_size(table: &[u8]) -> Option<u64> {
    let mut reader = Reader(child(table, b"stsz")?.get(4..)?);
    match reader.number(4)? {
        0 => {
            reader.number(4)?;
            reader.number(4)
        }
        size => Some(size),
    }
}

fn child<'a>(bytes: &'a [u8], name: &[u8; 4]) -> Option<&'a [u8]> {
    let mut found = boxes(bytes).take(MOST_BOXES);
    found.find_map(|(found, payload)| (found == name).then_some(payload))
}

/// The most boxes among which one is searched.
const MOST_BOXES: usize = 4096;
