//! What a quality of 1 to 100 means to the encoder.

/// Qualities, and those of the encoder that give photographs of 512 pixels the likeness
/// (SSIMULACRA2) that these qualities had with the encoder before it, rav1e.
const SAME_LIKENESS: [(u8, u8); 7] = [
    (1, 1),
    (50, 31),
    (65, 42),
    (80, 53),
    (89, 72),
    (95, 84),
    (100, 99),
];

/// The encoder's quality: interpolated, so that it grows with the requested one.
pub(super) fn of_encoder(quality: u8) -> u8 {
    let pairs = SAME_LIKENESS.windows(2);
    let mut pairs = pairs.filter(|pair| quality <= pair[1].0);
    let Some(&[(low, from), (high, to)]) = pairs.next() else {
        return SAME_LIKENESS[SAME_LIKENESS.len() - 1].1;
    };
    let along = u32::from(quality.saturating_sub(low));
    let (span, rise) = (u32::from(high - low), u32::from(to - from));
    from + ((along * rise + span / 2) / span) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_higher_quality_is_never_lower() {
        let all: Vec<u8> = (1..=100).map(of_encoder).collect();
        assert!(all.is_sorted());
        assert_eq!((all[0], all[49], all[79], all[99]), (1, 31, 53, 99));
    }
}
