//! Reads the settings: defaults, then a TOML file, then environment variables; the later wins.
//! Flags come last: the commands set them on the [`Settings`] that were read here.

use std::path::Path;

use config::{Config, ConfigError, Environment, File, FileFormat, Map, Source, Value};

use super::sections::Settings;

/// The file that is read when no other is named.
pub const DEFAULT_FILE: &str = "picresize.toml";

/// The section that holds what the log and the table are kept in, and its former name.
const STORAGE: &str = "storage";
const FORMER_STORAGE: &str = "engine";

/// A setting that is unknown, malformed or makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error(transparent)]
    Read(#[from] ConfigError),
    #[error("the setting {key} {problem}")]
    Value { key: &'static str, problem: String },
}

impl Settings {
    /// Reads the settings: `file`, or [`DEFAULT_FILE`] if there is one, and the environment.
    ///
    /// # Errors
    ///
    /// The first setting that can't be accepted, by name. Flags come later, so the caller
    /// [checks](Self::check) the settings once they are set.
    pub fn load(file: Option<&Path>) -> Result<Self, SettingsError> {
        let file = match file {
            Some(path) => File::from(path).format(FileFormat::Toml),
            None => File::new(DEFAULT_FILE, FileFormat::Toml).required(false),
        };
        Self::read(file, environment())
    }

    /// Reads the sources; what `environment` sets wins over `file`.
    pub(super) fn read(
        file: impl Source + Clone + Send + Sync + 'static,
        environment: impl Source + Clone + Send + Sync + 'static,
    ) -> Result<Self, SettingsError> {
        let settings = Config::builder()
            .add_source(Renamed(file))
            .add_source(Renamed(environment))
            .build()?;
        Ok(settings.try_deserialize()?)
    }
}

/// The settings of the environment. All of them are text, which a setting of another type parses:
/// parsed here, the text `007` would become the number 7.
pub(super) fn environment() -> Environment {
    Environment::with_prefix("PICRESIZE")
        .prefix_separator("__")
        .separator("__")
}

/// A source in which the section of the storage may have its former name. Sections are renamed
/// before the sources are laid over each other, so that either name wins over an earlier source.
#[derive(Clone, Debug)]
struct Renamed<S>(S);

impl<S: Source + Clone + Send + Sync + 'static> Source for Renamed<S> {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let found = self.0.collect()?;
        let has = |section| found.keys().any(|key| key_in(key, section).is_some());
        if has(STORAGE) && has(FORMER_STORAGE) {
            return Err(ConfigError::Message(format!(
                "the sections {STORAGE} and {FORMER_STORAGE} are both set: {FORMER_STORAGE} is \
                 the former name of {STORAGE}, so move its settings there"
            )));
        }
        Ok(found
            .into_iter()
            .map(|(key, value)| match key_in(&key, FORMER_STORAGE) {
                Some(rest) => (format!("{STORAGE}{rest}"), value),
                None => (key, value),
            })
            .collect())
    }
}

/// What follows the section's name in a key: nothing for the section itself, `.log` for a setting
/// in it. None for a key of another section.
fn key_in<'a>(key: &'a str, section: &str) -> Option<&'a str> {
    let rest = key.strip_prefix(section)?;
    (rest.is_empty() || rest.starts_with('.')).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{LogKind, TableKind};

    fn read(file: &str, variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let environment = environment().source(Some(variables));
        Settings::read(File::from_str(file, FileFormat::Toml), environment)
    }

    #[test]
    fn the_storage_may_have_its_former_name() {
        const LOG: &str = "PICRESIZE__STORAGE__LOG";
        const FORMER_LOG: &str = "PICRESIZE__ENGINE__LOG";
        const FORMER_TABLE: &str = "PICRESIZE__ENGINE__TABLE";
        for (file, variables) in [
            ("[storage]\nlog = \"kafka\"\ntable = \"mysql\"", &[][..]),
            ("[engine]\nlog = \"kafka\"\ntable = \"mysql\"", &[]),
            ("", &[(FORMER_LOG, "kafka"), (FORMER_TABLE, "mysql")]),
            // The environment wins over the file, whichever name each has.
            (
                "[engine]\nlog = \"embedded\"\ntable = \"mysql\"",
                &[(LOG, "kafka")],
            ),
            (
                "[storage]\nlog = \"embedded\"\ntable = \"mysql\"",
                &[(FORMER_LOG, "kafka")],
            ),
        ] {
            let storage = read(file, variables).unwrap().storage;
            assert_eq!(storage.log, LogKind::Kafka, "{file:?} {variables:?}");
            assert_eq!(storage.table, TableKind::Mysql, "{file:?} {variables:?}");
        }
    }

    #[test]
    fn both_names_of_the_storage_in_one_place_are_refused() {
        let both = "[storage]\nlog = \"kafka\"\n[engine]\nlog = \"embedded\"";
        let error = read(both, &[]).unwrap_err().to_string();
        assert!(error.contains("storage and engine are both set"), "{error}");
        let both = [
            ("PICRESIZE__STORAGE__LOG", "kafka"),
            ("PICRESIZE__ENGINE__TABLE", "mysql"),
        ];
        let error = read("", &both).unwrap_err().to_string();
        assert!(error.contains("storage and engine are both set"), "{error}");
    }

    #[test]
    fn only_whole_names_are_renamed() {
        let error = read("[engines]\n", &[]).unwrap_err().to_string();
        assert!(error.contains("engines"), "{error}");
        let error = read("[engine]\nlogs = 1", &[]).unwrap_err().to_string();
        assert!(error.contains("logs"), "{error}");
    }
}
