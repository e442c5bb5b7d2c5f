//! The text of a settings file. After a line `---` come environment variables, one on each line.
//! Settings that can be read are accepted or refused by their check, and can be used.
#![no_main]

use std::time::Instant;

use libfuzzer_sys::{Corpus, fuzz_target};
use picresize::settings::{Settings, SettingsError, fuzzing};
use picresize_fuzz::bounded;

/// The reader keeps each value of the file with its key and the name of its source.
const BYTES_PER_BYTE: usize = 1000;

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok(input) = std::str::from_utf8(input) else {
        return Corpus::Reject;
    };
    let (file, variables) = input.split_once("\n---\n").unwrap_or((input, ""));
    let variables = variables.lines().filter_map(|line| line.split_once('='));
    let variables = variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let read = bounded(input.len(), BYTES_PER_BYTE, 1 << 20, || {
        fuzzing::read(file, variables)
    });
    match read {
        Ok(settings) => use_settings(&settings),
        Err(error) => check_error(&error),
    }
    Corpus::Keep
});

fn use_settings(settings: &Settings) {
    for outcome in [settings.check(), settings.check_shared("api")] {
        if let Err(error) = outcome {
            check_error(&error);
        }
    }
    let times = [
        settings.keep().unwrap_or_default(),
        settings.remember(),
        settings.kafka_retention(),
        settings.sweep_interval(),
        settings.header_timeout(),
        settings.idle_timeout(),
        settings.write_timeout(),
        settings.body_timeout(),
        settings.body_pause(),
        settings.memory_wait(),
        settings.grace(),
    ];
    let now = Instant::now();
    for time in times {
        assert!(now.checked_add(time * 3).is_some());
    }
    // In other units, too, numbers stay as large.
    if settings.check().is_ok() {
        let limits = settings.imaging_limits();
        assert!(settings.max_record_bytes() >= settings.limits.max_picture_bytes);
        assert!(settings.max_body_bytes() >= settings.limits.max_picture_bytes);
        assert!(limits.max_memory_bytes >= settings.worker.memory_mib);
    }
    assert!(!format!("{settings:?}").is_empty());
}

fn check_error(error: &SettingsError) {
    assert!(!error.to_string().is_empty());
}
