//! An entry for the fuzz targets in `fuzz/`. Only `scripts/fuzz` compiles it.

use config::{File, FileFormat};

use super::load::{self, SettingsError};
use super::sections::Settings;

/// The settings from the text of a file and from environment variables.
///
/// # Errors
///
/// The first setting that can't be accepted.
pub fn read(file: &str, variables: Vec<(String, String)>) -> Result<Settings, SettingsError> {
    let environment = load::environment().source(Some(variables.into_iter().collect()));
    Settings::read(File::from_str(file, FileFormat::Toml), environment)
}
