//! Checks at the door what every decoder needs: a picture whose header is accepted is refused later
//! for its data only.

use super::frame::{Component, is_start_of_frame};
use super::markers::Markers;
use super::reduced::scan::{Scan, Tables};
use super::segments::segment;

/// Blocks of an MCU (T.81, B.2.3).
const MOST_BLOCKS: usize = 10;

/// Checks the kind of the picture.
///
/// # Errors
///
/// If no decoder of this project reads such pictures.
pub(super) fn check_kind(markers: &Markers) -> Result<(), String> {
    let frame = &markers.frame;
    if frame.is_hierarchical {
        return Err("it is a hierarchical JPEG, which is not supported".to_owned());
    }
    if frame.is_lossless && frame.is_arithmetic {
        return Err(
            "it is a lossless JPEG with arithmetic codes, which is not supported".to_owned(),
        );
    }
    if frame.bits != 8 {
        return Err(format!(
            "its samples have {} bits; only 8 are supported",
            frame.bits
        ));
    }
    let (across, down) = frame.sampling();
    for component in &frame.components {
        if !across.is_multiple_of(component.across) || !down.is_multiple_of(component.down) {
            return Err(format!(
                "its sampling factors {} × {} and {across} × {down} have no whole ratio, which is not \
                 supported",
                component.across, component.down
            ));
        }
    }
    Ok(())
}

/// Checks the tables and the header of the first scan.
///
/// # Errors
///
/// If something is damaged or missing.
pub(super) fn check_tables(bytes: &[u8], markers: &Markers) -> Result<(), String> {
    let frame = &markers.frame;
    let mut tables = Tables::default();
    let mut rest = bytes.get(2..).unwrap_or_default();
    let scan = loop {
        let (marker, payload, after) = segment(rest)?;
        rest = after;
        match marker {
            0xda => break payload,
            _ if is_start_of_frame(marker) => {}
            _ => tables.read(marker, payload)?,
        }
    };
    let scan = Scan::read(scan, frame).ok_or("a scan header is damaged")?;
    let components = scan
        .parts
        .iter()
        .map(|part| &frame.components[part.component]);
    let blocks: usize = components.clone().map(Component::area).sum();
    if scan.parts.len() > 1 && blocks > MOST_BLOCKS {
        return Err(format!(
            "its first scan has {blocks} blocks in a unit; the limit is {MOST_BLOCKS}"
        ));
    }
    if frame.is_lossless {
        return Ok(());
    }
    for component in components {
        if !tables.has_quantization(component.quantization) {
            return Err("a quantization table is missing".to_owned());
        }
    }
    Ok(())
}
