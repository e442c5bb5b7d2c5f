//! Decodes the tiles of a picture and puts them together.

use crate::codec::ycbcr::{Plane, YcbcrPlanes};
use crate::raster::sample_count;

use super::picture::Grid;
use super::rav1d;

/// Decodes all tiles to the planes of a picture of this size. A tile with more than `most` pixels is
/// refused.
pub(super) fn decode(grid: &Grid<'_>, size: (u32, u32), most: u64) -> Result<YcbcrPlanes, String> {
    let mut whole = None;
    let mut tile_size = (0, 0);
    for (index, tile) in (0_u32..).zip(&grid.tiles) {
        let tile = rav1d::decode(tile, most)?;
        if grid.tiles.len() == 1 && tile.size() == size {
            return Ok(tile);
        }
        if index == 0 {
            tile_size = tile.size();
            check_cover(grid, tile_size, size)?;
        }
        let whole = whole.get_or_insert_with(|| empty(&tile, size));
        let is_alike = tile.size() == tile_size
            && tile.bits == whole.bits
            && tile.planes.len() == whole.planes.len();
        if !is_alike {
            return Err("the tiles of its grid differ in kind or size".to_owned());
        }
        let (column, row) = (index % grid.columns, index / grid.columns);
        put(whole, &tile, (column, row));
    }
    whole.ok_or_else(|| "its picture is missing".to_owned())
}

/// Refuses tiles that leave a part of the picture without pixels.
fn check_cover(grid: &Grid<'_>, tile: (u32, u32), size: (u32, u32)) -> Result<(), String> {
    let rows = grid.tiles.len() as u64 / u64::from(grid.columns);
    let width = u64::from(grid.columns) * u64::from(tile.0);
    let height = rows * u64::from(tile.1);
    match width < u64::from(size.0) || height < u64::from(size.1) {
        true => Err("its planes differ in size".to_owned()),
        false => Ok(()),
    }
}

/// The planes of a whole whose tiles are like this one.
fn empty(tile: &YcbcrPlanes, (width, height): (u32, u32)) -> YcbcrPlanes {
    let luma = &tile.planes[0];
    let planes = tile.planes.iter().map(|plane| {
        let part = |whole: u32, luma: u32, own: u32| match own < luma {
            true => whole.div_ceil(2),
            false => whole,
        };
        let width = part(width, luma.width, plane.width);
        let height = part(height, luma.height, plane.height);
        Plane {
            width,
            height,
            samples: vec![0; sample_count(width, height, 1)],
        }
    });
    YcbcrPlanes {
        planes: planes.collect(),
        ..*tile
    }
}

/// Copies a tile to its column and row, without what lies beyond the edges.
fn put(whole: &mut YcbcrPlanes, tile: &YcbcrPlanes, (column, row): (u32, u32)) {
    for (whole, tile) in whole.planes.iter_mut().zip(&tile.planes) {
        let left = (column * tile.width) as usize;
        let top = (row * tile.height) as usize;
        let (stride, tile_stride) = (whole.width as usize, tile.width as usize);
        if left >= stride {
            continue;
        }
        let width = tile_stride.min(stride - left);
        let rows = whole.samples.chunks_exact_mut(stride).skip(top);
        for (to, from) in rows.zip(tile.samples.chunks_exact(tile_stride)) {
            to[left..left + width].copy_from_slice(&from[..width]);
        }
    }
}
