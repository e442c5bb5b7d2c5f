//! Adds up what a decoder has to do for a picture that is derived from others: grids of tiles,
//! overlays, copies, alpha channels (ISO/IEC 23008-12, 6.6). A few items that refer to each other
//! can describe more work than any computer can do, so depth and work are limited.

use std::collections::HashMap;

use super::items::{Item, Items};
use super::reader::Reader;

/// The most levels of derived pictures. Cameras use two: a grid and its tiles.
const MOST_LEVELS: u32 = 8;
/// The most coded pictures that are decoded, counted each time.
const MOST_TILES: u64 = 4096;
/// All pictures that are decoded or composed have at most this many times the pixels of the primary
/// one, and [`SPARE_PIXELS`].
const WORK_TIMES: u64 = 6;
const SPARE_PIXELS: u64 = 4 << 20;

/// What the decoder has to do for the primary picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// The coded pictures that are decoded, each once.
    pub(crate) coded: Vec<u32>,
    /// Whether the primary picture is derived from others.
    pub(crate) is_derived: bool,
    /// Pixels of the primary picture when it is composed, if it is derived.
    pub(crate) composed_pixels: u64,
    /// Pixels of the derived pictures that are in memory beside the primary one.
    pub(crate) between_pixels: u64,
}

/// What one picture costs, with all that it is derived from.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    levels: u32,
    tiles: u64,
    pixels: u64,
    /// Pixels of the derived pictures on the most expensive way down.
    held: u64,
    own: u64,
}

/// Adds up the work. `coded_pixels` says how many pixels a coded picture has.
pub(crate) fn work(
    items: &Items<'_>,
    coded_pixels: impl Fn(&Item<'_>) -> u64,
) -> Result<Work, String> {
    let mut walk = Walk {
        items,
        coded_pixels,
        alpha_channels: HashMap::new(),
        costs: HashMap::new(),
    };
    for (picture, alpha) in items.alpha_channels() {
        let all = walk.alpha_channels.entry(picture).or_default();
        all.push(alpha);
    }
    let whole = walk.cost(items.primary, 0)?;
    // Only what the primary picture is made of.
    let mut coded: Vec<_> = walk.costs.keys().copied().collect();
    coded.retain(|id| items.get(*id).is_some_and(|item| !is_derived(item)));
    coded.sort_unstable();
    // A reader may look into the others too.
    for item in items.iter() {
        walk.cost(item.id, 0)?;
    }
    if whole.tiles > MOST_TILES {
        return Err(format!(
            "it is composed of {} pictures; the limit is {MOST_TILES}",
            whole.tiles
        ));
    }
    let (width, height) = items.size_of(items.primary).unwrap_or_default();
    let declared = u64::from(width) * u64::from(height);
    let most = declared
        .saturating_mul(WORK_TIMES)
        .saturating_add(SPARE_PIXELS);
    if whole.pixels > most {
        return Err(format!(
            "the pictures that it is composed of have {} pixels; the limit for {width} × {height} \
             is {most}",
            whole.pixels
        ));
    }
    let is_derived = items.get(items.primary).is_some_and(is_derived);
    Ok(Work {
        coded,
        is_derived,
        composed_pixels: if is_derived { whole.own } else { 0 },
        between_pixels: if is_derived {
            whole.held - whole.own
        } else {
            0
        },
    })
}

fn is_derived(item: &Item<'_>) -> bool {
    matches!(&item.kind, b"grid" | b"iovl" | b"iden" | b"tmap")
}

struct Walk<'a, F> {
    items: &'a Items<'a>,
    coded_pixels: F,
    alpha_channels: HashMap<u32, Vec<u32>>,
    costs: HashMap<u32, Cost>,
}

impl<F: Fn(&Item<'_>) -> u64> Walk<'_, F> {
    /// Every picture is computed once, however often others use it.
    fn cost(&mut self, id: u32, level: u32) -> Result<Cost, String> {
        let known = self.costs.get(&id).copied();
        if level + known.map_or(0, |cost| cost.levels) >= MOST_LEVELS {
            return Err(format!(
                "its pictures are derived from each other in more than {MOST_LEVELS} levels"
            ));
        }
        if let Some(cost) = known {
            return Ok(cost);
        }
        let Some(item) = self.items.get(id) else {
            return Ok(Cost::default());
        };
        let mut parts: Vec<u32> = Vec::new();
        let mut cost = Cost::default();
        let declared = self.items.size_of(id).unwrap_or_default();
        let declared = u64::from(declared.0) * u64::from(declared.1);
        if is_derived(item) {
            parts.extend(self.items.targets(b"dimg", id));
            cost.own = declared.max(composed_pixels(item));
        } else {
            cost.tiles = 1;
            cost.own = declared.max((self.coded_pixels)(item));
        }
        if let Some(alpha) = self.alpha_channels.get(&id) {
            parts.extend(alpha);
        }
        cost.pixels = cost.own;
        for part in parts {
            let part = self.cost(part, level + 1)?;
            cost.levels = cost.levels.max(part.levels + 1);
            cost.tiles = cost.tiles.saturating_add(part.tiles);
            cost.pixels = cost.pixels.saturating_add(part.pixels);
            cost.held = cost.held.max(part.held);
        }
        if is_derived(item) {
            cost.held = cost.held.saturating_add(cost.own);
        }
        self.costs.insert(id, cost);
        Ok(cost)
    }
}

/// The pixels of a grid or an overlay as its own data says.
fn composed_pixels(item: &Item<'_>) -> u64 {
    let size = || {
        let data = item.data()?;
        let flags = data.get(1)?;
        let side = if flags & 1 == 1 { 4 } else { 2 };
        // A grid's rows and columns, or an overlay's background.
        let before = match &item.kind {
            b"grid" => 4,
            b"iovl" => 10,
            _ => return None,
        };
        let mut reader = Reader(data.get(before..)?);
        Some((reader.number(side)?, reader.number(side)?))
    };
    let (width, height) = size().unwrap_or_default();
    width.saturating_mul(height)
}
