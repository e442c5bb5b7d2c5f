//! Finds the AV1 data of the picture in a file: one item, or the tiles of a grid, for the colours and
//! for alpha (ISO/IEC 23008-12, 6.6.2, and the AVIF specification, 2 and 4).

use std::borrow::Cow;

use crate::codec::boxes::items::{Item, Items};
use crate::codec::boxes::sequence;
use crate::limits::Limits;
use crate::raster::pixel_count;

use super::obu::{self, Coded};

/// The most tiles. A picture of 100 megapixels has 400 of the usual size.
const MOST_TILES: usize = 4096;
/// The longest chain of identities (`iden`).
const MOST_LEVELS: usize = 8;

/// The AV1 data of a picture.
#[derive(Debug)]
pub(super) struct Picture<'a> {
    pub(super) color: Grid<'a>,
    pub(super) alpha: Option<Grid<'a>>,
    /// Whether the colours are multiplied by alpha.
    pub(super) is_premultiplied: bool,
    /// The items whose properties describe the whole picture, in the order in which they apply.
    pub(super) described_by: Vec<u32>,
    /// The first tile, which may say the colour coding for all.
    pub(super) first_tile: u32,
}

/// Tiles of one size, in rows; a single one if the picture is no grid.
#[derive(Debug)]
pub(super) struct Grid<'a> {
    pub(super) columns: u32,
    rows: u32,
    /// The size of the whole, if the grid says so.
    size: Option<(u32, u32)>,
    pub(super) tiles: Vec<Tile<'a>>,
}

/// The data of one coded picture.
#[derive(Debug)]
pub(super) struct Tile<'a> {
    item: u32,
    pub(super) data: Cow<'a, [u8]>,
    /// The operating point, a choice of layers (`a1op`).
    pub(super) point: u8,
    /// The spatial layer that is the picture (`lsel`), if it is not the best.
    pub(super) layer: Option<u16>,
}

/// Reads the items, or the first picture of an image sequence.
pub(super) fn items(file: &[u8]) -> Result<Items<'_>, String> {
    match Items::read(file) {
        Ok(items) if items.get(items.primary).is_some() => Ok(items),
        Ok(items) => Ok(sequence::first_picture(file)?.unwrap_or(items)),
        Err(reason) => sequence::first_picture(file)?.ok_or(reason),
    }
}

impl<'a> Picture<'a> {
    pub(super) fn find(items: &Items<'a>) -> Result<Self, String> {
        let mut described_by = vec![items.primary];
        let mut item = get(items, items.primary)?;
        while item.kind == *b"iden" {
            if described_by.len() > MOST_LEVELS {
                return Err(format!(
                    "its pictures are derived from each other in more than {MOST_LEVELS} levels"
                ));
            }
            let target = items.targets(b"dimg", item.id).next();
            item = get(items, target.ok_or("its picture is missing")?)?;
            described_by.push(item.id);
        }
        described_by.reverse();
        let color = Grid::of(items, item)?;
        let of_whole = items
            .alpha_channels()
            .find(|(picture, _)| described_by.contains(picture));
        let alpha = match of_whole {
            Some((_, alpha)) => Some(Grid::of(items, get(items, alpha)?)?),
            None => color.alpha_of_tiles(items)?,
        };
        let is_premultiplied = of_whole.is_some_and(|(picture, alpha)| {
            let mut premultiplied_with = items.targets(b"prem", picture);
            premultiplied_with.any(|item| item == alpha)
        });
        Ok(Self {
            first_tile: color.tiles[0].item,
            color,
            alpha,
            is_premultiplied,
            described_by,
        })
    }
}

fn get<'i, 'a>(items: &'i Items<'a>, id: u32) -> Result<&'i Item<'a>, String> {
    items
        .get(id)
        .ok_or_else(|| "its picture is missing".to_owned())
}

impl<'a> Grid<'a> {
    fn of(items: &Items<'a>, item: &Item<'a>) -> Result<Self, String> {
        if item.kind != *b"grid" {
            return Ok(Self {
                columns: 1,
                rows: 1,
                size: None,
                tiles: vec![Tile::of(items, item)?],
            });
        }
        let data = item
            .data()
            .ok_or("the data of its grid is not in the file")?;
        let (columns, rows, size) = layout(&data).ok_or("its grid is cut short")?;
        let count = columns as usize * rows as usize;
        if count > MOST_TILES {
            return Err(format!(
                "it is composed of {count} pictures; the limit is {MOST_TILES}"
            ));
        }
        let ids: Vec<u32> = items.targets(b"dimg", item.id).collect();
        if ids.len() != count {
            return Err(format!(
                "its grid has {columns} × {rows} places, but {} tiles",
                ids.len()
            ));
        }
        let tiles = ids.into_iter().map(|id| Tile::of(items, get(items, id)?));
        Ok(Self {
            columns,
            rows,
            size: Some(size),
            tiles: tiles.collect::<Result<_, _>>()?,
        })
    }

    /// The alpha channels of all tiles, if each has one.
    fn alpha_of_tiles(&self, items: &Items<'a>) -> Result<Option<Self>, String> {
        let mut tiles = Vec::new();
        for tile in &self.tiles {
            let mut channels = items.alpha_channels();
            let Some((_, alpha)) = channels.find(|(picture, _)| *picture == tile.item) else {
                return Ok(None);
            };
            tiles.push(Tile::of(items, get(items, alpha)?)?);
        }
        Ok(Some(Self { tiles, ..*self }))
    }

    /// Reads the headers of all tiles, which must be alike.
    pub(super) fn coded(&self, limits: &Limits) -> Result<Coded, String> {
        let mut all: Option<Coded> = None;
        for tile in &self.tiles {
            let coded = obu::read(&tile.data, tile.point)?;
            match &mut all {
                None => all = Some(coded),
                Some(all) if all.sequence.is_like(&coded.sequence) => {
                    all.frames = all.frames.max(coded.frames);
                    all.sequence.has_grain |= coded.sequence.has_grain;
                }
                Some(_) => return Err("the tiles of its grid differ in kind or size".to_owned()),
            }
        }
        let coded = all.ok_or("its grid has no tiles")?;
        let (width, height) = (coded.sequence.width, coded.sequence.height);
        let tiles = self.tiles.len() as u64;
        let pixels = pixel_count(width, height).saturating_mul(tiles);
        if pixels > limits.max_source_pixels {
            return Err(format!(
                "its coded pictures have {pixels} pixels; the limit is {}",
                limits.max_source_pixels
            ));
        }
        if let Some(whole) = self.size {
            for (whole, tile, count) in
                [(whole.0, width, self.columns), (whole.1, height, self.rows)]
            {
                let covered = u64::from(tile) * u64::from(count);
                let whole = u64::from(whole);
                if whole > covered || whole + u64::from(tile) <= covered {
                    return Err(format!(
                        "its grid of {} × {} tiles of {width} × {height} pixels does not fit its size",
                        self.columns, self.rows
                    ));
                }
            }
            let (halved_x, halved_y) = coded.sequence.halved;
            let is_split = |side: u32, halved: bool, count| halved && count > 1 && side % 2 == 1;
            if is_split(width, halved_x, self.columns) || is_split(height, halved_y, self.rows) {
                return Err("the tiles of its grid split a chroma sample".to_owned());
            }
        }
        Ok(coded)
    }

    /// The size of the whole picture, made of tiles of this size.
    pub(super) fn size(&self, tile: (u32, u32)) -> (u32, u32) {
        self.size.unwrap_or(tile)
    }
}

/// Columns, rows and the size of the whole (ISO/IEC 23008-12, 6.6.2.3.2).
fn layout(data: &[u8]) -> Option<(u32, u32, (u32, u32))> {
    let &[_, flags, rows, columns, ref sides @ ..] = data else {
        return None;
    };
    let (width, height) = sides.split_at_checked(if flags & 1 == 1 { 4 } else { 2 })?;
    let height = height.get(..width.len())?;
    let number = |digits: &[u8]| digits.iter().fold(0, |n, &digit| n << 8 | u32::from(digit));
    let size = (number(width), number(height));
    Some((u32::from(columns) + 1, u32::from(rows) + 1, size))
}

impl<'a> Tile<'a> {
    fn of(items: &Items<'a>, item: &Item<'a>) -> Result<Self, String> {
        if item.kind != *b"av01" {
            let kind = item.kind.escape_ascii();
            return Err(format!(
                "its picture is an item of kind {kind}; only av01 is supported in AVIF, alone and in \
                 grids"
            ));
        }
        let data = item.data();
        let mut tile = Self {
            item: item.id,
            data: data.ok_or("the data of its picture is not in the file")?,
            point: 0,
            layer: None,
        };
        for property in items.properties_of(item.id) {
            match property {
                (b"a1op", [point, ..]) => tile.point = point & 31,
                (b"lsel", [high, low, ..]) => {
                    let layer = u16::from_be_bytes([*high, *low]);
                    tile.layer = (layer != 0xffff).then_some(layer);
                }
                _ => {}
            }
        }
        Ok(tile)
    }
}
