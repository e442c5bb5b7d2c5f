//! Reads scan headers and the tables that scans use (ITU-T T.81, annex B.2), as far as the
//! project's own decoder supports them.

use crate::codec::jpeg::frame::{Component, Frame};
use crate::codec::jpeg::spec::AREA;

use super::dct::Scale;
use super::fault::Fault;
use super::huffman::Codes;

/// The tables that scans refer to; later definitions replace earlier ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tables {
    quantization: [Option<[u16; AREA]>; 4],
    /// Huffman tables for DC coefficients.
    differences: [Option<Codes>; 4],
    /// Huffman tables for AC coefficients.
    coefficients: [Option<Codes>; 4],
    /// MCUs between two restart markers; 0 means no restart markers.
    restart_interval: usize,
}

/// A component of a scan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) component: usize,
    pub(crate) differences: usize,
    pub(crate) coefficients: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Scan {
    pub(crate) parts: Vec<Part>,
    /// First and last coefficient, in zigzag order.
    pub(crate) first: usize,
    pub(crate) last: usize,
    /// The successive approximation bit positions of the previous scan and of this one.
    pub(crate) high: u32,
    pub(crate) low: u32,
}

impl Tables {
    /// MCUs between two restart markers, or blocks if the scan has one component.
    pub(super) fn interval(&self) -> usize {
        match self.restart_interval {
            0 => usize::MAX,
            interval => interval,
        }
    }

    /// Reads the tables of a segment, if it has any.
    pub(crate) fn read(&mut self, marker: u8, payload: &[u8]) -> Result<(), String> {
        match marker {
            0xdb => self.read_quantization(payload),
            0xc4 => self.read_huffman(payload),
            0xdd => {
                let interval = payload
                    .first_chunk()
                    .ok_or("a restart interval is cut short")?;
                self.restart_interval = usize::from(u16::from_be_bytes(*interval));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn differences(&self, number: usize) -> Result<&Codes, Fault> {
        let table = self.differences.get(number);
        table.and_then(Option::as_ref).ok_or(Fault::HuffmanTable)
    }

    pub(super) fn coefficients(&self, number: usize) -> Result<&Codes, Fault> {
        let table = self.coefficients.get(number);
        table.and_then(Option::as_ref).ok_or(Fault::HuffmanTable)
    }

    /// Whether there is a quantization table with this number.
    pub(crate) fn has_quantization(&self, number: usize) -> bool {
        self.quantization.get(number).is_some_and(Option::is_some)
    }

    /// The factors of a component's coefficients.
    pub(super) fn scale<const N: usize>(&self, component: &Component) -> Result<Scale, Fault> {
        let table = self.quantization.get(component.quantization);
        let table = table
            .and_then(Option::as_ref)
            .ok_or(Fault::QuantizationTable)?;
        Ok(Scale::new::<N>(table))
    }

    fn read_quantization(&mut self, mut rest: &[u8]) -> Result<(), String> {
        while let Some((kind, after)) = rest.split_first() {
            let width = usize::from(kind >> 4) + 1;
            let slot = self.quantization.get_mut(usize::from(kind & 15));
            let (Some(slot), Some(values), 1..=2) = (slot, after.get(..AREA * width), width) else {
                return Err("a quantization table is damaged".to_owned());
            };
            let value = |bytes: &[u8]| {
                bytes
                    .iter()
                    .fold(0, |high, low| high << 8 | u16::from(*low))
            };
            let mut table = [0; AREA];
            for (to, from) in table.iter_mut().zip(values.chunks_exact(width)) {
                *to = value(from);
            }
            *slot = Some(table);
            rest = &after[values.len()..];
        }
        Ok(())
    }

    fn read_huffman(&mut self, mut rest: &[u8]) -> Result<(), String> {
        while let Some((kind, after)) = rest.split_first() {
            let damaged = || "a Huffman table is damaged".to_owned();
            let (counts, after) = after.split_first_chunk().ok_or_else(damaged)?;
            let count = counts.iter().map(|count| usize::from(*count)).sum();
            let (symbols, after) = after.split_at_checked(count).ok_or_else(damaged)?;
            let slot = usize::from(kind & 15);
            match kind >> 4 {
                0 if slot < 4 => self.differences[slot] = Some(Codes::new(*counts, symbols)?),
                1 if slot < 4 => self.coefficients[slot] = Some(Codes::new(*counts, symbols)?),
                _ => return Err(damaged()),
            }
            rest = after;
        }
        Ok(())
    }
}

impl Scan {
    /// Reads a start of scan (T.81, B.2.3). Returns `None` if it is cut short, or names no component
    /// or one that does not exist.
    pub(crate) fn read(payload: &[u8], frame: &Frame) -> Option<Self> {
        let (count, rest) = payload.split_first()?;
        let (parts, rest) = rest.split_at_checked(usize::from(*count) * 2)?;
        let [first, last, bits, ..] = *rest else {
            return None;
        };
        let (pairs, _) = parts.as_chunks::<2>();
        let mut parts: Vec<Part> = Vec::with_capacity(pairs.len());
        for &[id, tables] in pairs {
            // Components may share an identifier; then they come in order.
            let is_free = |at: &usize| parts.iter().all(|part| part.component != *at);
            let components = frame.components.iter().enumerate();
            let mut named = components.filter(|(_, c)| c.id == id).map(|(at, _)| at);
            parts.push(Part {
                component: named.find(is_free)?,
                differences: usize::from(tables >> 4),
                coefficients: usize::from(tables & 15),
            });
        }
        if parts.is_empty() {
            return None;
        }
        Some(Self {
            parts,
            first: usize::from(first),
            last: usize::from(last),
            high: u32::from(bits >> 4),
            low: u32::from(bits & 15),
        })
    }
}
