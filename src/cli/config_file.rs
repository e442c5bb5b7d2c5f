//! The flag that names the settings file.

use std::path::PathBuf;

use crate::settings::{Settings, SettingsError};

/// Where the settings come from.
#[derive(Debug, clap::Args)]
pub(super) struct ConfigFile {
    /// The settings file; picresize.example.toml explains each setting [default: picresize.toml,
    /// if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    pub(super) fn load(&self) -> Result<Settings, SettingsError> {
        Settings::load(self.config.as_deref())
    }
}
