//! All settings of the service, with their defaults and checks. `picresize.example.toml` explains
//! each one to users; a test checks that the file is complete.
//!
//! `sections` has each section with its defaults. `load` reads the file and the environment, and
//! has the error type; `text` reads settings that must stay text. `checks` refuses values that make
//! no sense, before anything starts. `derived` turns settings into durations and limits.

#![allow(unexpected_cfgs, reason = "scripts/fuzz sets `fuzzing`")]

pub use load::{DEFAULT_FILE, SettingsError};
pub use sections::{
    Access, AccessMode, Data, EventModel, Events, Kafka, Lifecycle, Limits, LogKind, Logs, Mysql,
    Quotas, Retention, Server, Settings, Storage, TableKind, Tls, Worker,
};

mod checks;
mod derived;
#[cfg(fuzzing)]
pub mod fuzzing;
mod load;
mod sections;
mod text;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::SocketAddr;
    use std::path::Path;

    use config::{Config, File, FileFormat, Value, ValueKind};
    use secrecy::ExposeSecret;

    use super::*;

    fn unchecked(text: &str) -> Result<Settings, SettingsError> {
        let no_variables = Config::default();
        Settings::read(File::from_str(text, FileFormat::Toml), no_variables)
    }

    fn read(text: &str) -> Result<Settings, SettingsError> {
        let settings = unchecked(text)?;
        settings.check()?;
        Ok(settings)
    }

    fn example() -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("picresize.example.toml");
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn the_example_file_shows_the_defaults() {
        assert_same(&read(&example()).unwrap(), &Settings::default());
    }

    #[test]
    fn secrets_are_never_shown() {
        let settings = read(
            "[mysql]\npassword = \"hush\"\nmigration_password = \"hush\"\n[access]\nsecrets = \"hush\"\n\
             [kafka.properties]\nsasl_password = \"hush\"",
        )
        .unwrap();
        assert!(secrets(&settings).iter().all(|secret| *secret == "hush"));
        let shown = format!("{settings:?} {settings:#?}");
        assert!(shown.contains("sasl_password"), "{shown}");
        assert!(!shown.contains("hush"), "{shown}");
    }

    #[track_caller]
    fn assert_same(left: &Settings, right: &Settings) {
        // The Debug form shows everything but secrets.
        assert_eq!(format!("{left:#?}"), format!("{right:#?}"));
        assert_eq!(secrets(left), secrets(right));
    }

    fn secrets(settings: &Settings) -> Vec<&str> {
        let passwords = [
            &settings.mysql.password,
            &settings.mysql.migration_password,
            &settings.access.secrets,
        ];
        passwords
            .into_iter()
            .chain(settings.kafka.properties.values())
            .map(ExposeSecret::expose_secret)
            .collect()
    }

    #[test]
    fn the_example_file_explains_every_setting() {
        // The derived Debug form names every field.
        let fields = format!("{:#?}", Settings::default());
        let keys = fields
            .lines()
            .filter_map(|line| line.trim().split_once(": "))
            .filter(|(_, value)| !value.ends_with('{'))
            .map(|(key, _)| key);
        let example = example();
        for key in keys {
            let line = format!("\n{key} = ");
            assert!(example.contains(&line), "{key} is not in the example");
        }
    }

    fn from_environment(variables: &[(String, String)]) -> Result<Settings, SettingsError> {
        let source = variables.iter().cloned().collect();
        let no_file = Config::default();
        Settings::read(no_file, load::environment().source(Some(source)))
    }

    /// Every setting of the example file, with its section and its default.
    fn every_setting() -> Vec<(String, String, ValueKind)> {
        let sections: BTreeMap<String, BTreeMap<String, Value>> = Config::builder()
            .add_source(File::from_str(&example(), FileFormat::Toml))
            .build()
            .unwrap()
            .try_deserialize()
            .unwrap();
        let mut settings = Vec::new();
        for (section, values) in sections {
            for (key, value) in values {
                settings.push((section.clone(), key, value.kind));
            }
        }
        settings
    }

    /// Texts that could be parsed as another type.
    const TEXTS: &[&str] = &[
        "007", "1e5", "true", "0x10", "+1", "no", " 1 ", "1.50", "NaN", "",
    ];

    #[test]
    fn every_setting_is_read_from_the_environment_as_from_a_file() {
        for text in TEXTS {
            let (mut file, mut variables) = (String::new(), Vec::new());
            for (section, key, default) in every_setting() {
                let name = format!("PICRESIZE__{section}__{key}").to_uppercase();
                let (name, value) = match default {
                    ValueKind::I64(number) => (name, (number + 1).to_string()),
                    ValueKind::Boolean(flag) => (name, (!flag).to_string()),
                    ValueKind::Table(_) => {
                        file += &format!("{section}.{key}.sasl_password = \"{text}\"\n");
                        let name = format!("{name}__SASL_PASSWORD");
                        variables.push((name, (*text).to_owned()));
                        continue;
                    }
                    ValueKind::String(default) => {
                        let value = match (section.as_str(), key.as_str()) {
                            ("storage", "log") => "kafka",
                            ("storage", "table") => "mysql",
                            ("mysql", "tls") => "verified",
                            ("access", "mode") => "open",
                            ("events", "model") => "claim-check",
                            _ if default.parse::<SocketAddr>().is_ok() => "127.0.0.1:7",
                            _ => text,
                        };
                        file += &format!("{section}.{key} = \"{value}\"\n");
                        variables.push((name, value.to_owned()));
                        continue;
                    }
                    other => panic!("{section}.{key} is {other:?}"),
                };
                file += &format!("{section}.{key} = {value}\n");
                variables.push((name, value));
            }
            let file = unchecked(&file).unwrap();
            assert_same(&from_environment(&variables).unwrap(), &file);
            assert_eq!(file.data.folder, Path::new(text));
            assert_eq!(file.mysql.password.expose_secret(), *text);
            let property = &file.kafka.properties["sasl_password"];
            assert_eq!(property.expose_secret(), *text);
            assert_eq!(file.limits.max_frames, Limits::default().max_frames + 1);
            assert!(!file.server.reuse_results);
        }
    }

    #[test]
    fn what_is_no_number_is_refused_where_one_is_needed() {
        for (name, value, named) in [
            ("PICRESIZE__MYSQL__PORT", "70000", "mysql.port"),
            ("PICRESIZE__LIMITS__MAX_SIDE", "-1", "limits.max_side"),
            ("PICRESIZE__WORKER__MEMORY_MIB", "1e3", "worker.memory_mib"),
            (
                "PICRESIZE__SERVER__REUSE_RESULTS",
                "perhaps",
                "server.reuse_results",
            ),
        ] {
            let variable = (name.to_owned(), value.to_owned());
            let error = from_environment(&[variable]).unwrap_err().to_string();
            assert!(error.contains(named), "{name}={value} gives {error:?}");
        }
    }

    /// A parsed number no longer shows how it was written: 1_000 and 1000 are equal, and so are 1e5
    /// and 100000.0.
    #[test]
    fn text_without_quotes_is_refused_by_name_and_not_repeated() {
        for (section, key, default) in every_setting() {
            let text = match default {
                ValueKind::String(default) if default.parse::<SocketAddr>().is_err() => {
                    format!("[{section}]\n{key} = ")
                }
                ValueKind::Table(_) => format!("[{section}.{key}]\nx = "),
                _ => continue,
            };
            for value in ["4711", "4711e5", "true"] {
                let error = read(&format!("{text}{value}")).unwrap_err().to_string();
                assert!(
                    error.contains(&format!("{section}.{key}")),
                    "{text}{value} gives {error:?}"
                );
                assert!(!error.contains("4711"), "{error:?} shows a password");
            }
        }
        let error = read("[mysql]\npassword = 4711").unwrap_err().to_string();
        assert!(error.contains("write it in quotes"), "{error}");
    }

    #[test]
    fn wrong_and_unknown_settings_are_refused_by_name() {
        for (text, named) in [
            ("[server]\nlisten = \"here\"", "server.listen"),
            ("[server]\nlisen = \"127.0.0.1:1\"", "lisen"),
            ("[serve]\n", "serve"),
            ("[limits]\nmax_side = -1", "limits.max_side"),
            ("[limits]\nmax_side = 0", "limits.max_side"),
            ("[worker]\nconcurrency = \"many\"", "worker.concurrency"),
            ("[worker]\nconcurrency = 1000000", "worker.concurrency"),
            ("[worker]\ngroup = \"\"", "worker.group"),
            ("[logs]\nfilter = \"a=b=c\"", "logs.filter"),
            ("[storage]\nlog = \"rabbit\"", "rabbit"),
            ("[storage]\nlog = \"kafka\"", "storage.table"),
            ("[kafka]\npartitions = 0", "kafka.partitions"),
            ("[kafka]\nreplication = 1", "kafka.min_insync_replicas"),
            ("[kafka]\nevents_topic = \"\"", "kafka.events_topic"),
            ("[mysql]\ntls = \"perhaps\"", "perhaps"),
            ("[events]\nmodel = \"x\"", "events.model"),
            (
                "[server]\nupload_memory_mib = 1",
                "server.upload_memory_mib",
            ),
            (
                "[server]\nanswer_memory_mib = 1",
                "server.answer_memory_mib",
            ),
            (
                "[server]\nheader_timeout_seconds = 0",
                "server.header_timeout_seconds",
            ),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text:?} gives {error:?}");
        }
    }
}
