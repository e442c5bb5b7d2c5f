//! Makes options from arbitrary bytes.

use picresize_imaging::{Format, OPTIONS, ResizeOptions, Values};

/// Options from the first bytes of an input, and the other bytes. Each byte chooses a value of one
/// option, in the order of the table of options. `None` if the input is too short, or if neither a
/// width nor a height was chosen.
pub fn options_from(input: &[u8]) -> Option<(ResizeOptions, &[u8])> {
    let (choices, rest) = input.split_at_checked(OPTIONS.len())?;
    let pairs = OPTIONS
        .iter()
        .zip(choices)
        // Even bytes leave an option out.
        .filter(|(_, choice)| *choice % 2 == 1)
        .map(|(option, choice)| (option.key, value(&option.values, choice / 2)));
    let options = ResizeOptions::from_pairs(pairs).ok()?;
    Some((options, rest))
}

/// A value that is allowed; `choice` is at most 127.
fn value(values: &Values, choice: u8) -> String {
    let pick = |words: &[&str]| words[usize::from(choice) % words.len()].to_owned();
    match values {
        Values::Words(words) => {
            let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            pick(&words)
        }
        // Sizes, and the bytes of a result.
        Values::Whole { least, most } if *most >= u64::from(u32::MAX) => {
            let number = match choice {
                0..64 => u64::from(choice),
                _ => u64::from(choice - 63).pow(2),
            };
            number.max(*least).to_string()
        }
        Values::Whole { least, most } => {
            (least + u64::from(choice) * (most - least) / 127).to_string()
        }
        Values::Color => pick(&["#08f", "#10203040", "#ffffff", "black", "transparent"]),
        Values::Quality => pick(&["1", "50", "80", "95", "100", "auto", "auto:40", "auto:90"]),
        Values::Format => {
            let writable = Format::ALL
                .into_iter()
                .filter(|format| format.is_writable());
            let names: Vec<&str> = writable.map(Format::name).collect();
            pick(&names)
        }
    }
}
