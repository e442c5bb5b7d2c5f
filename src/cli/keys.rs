//! `picresize keys`: makes, lists and revokes the keys with which clients use the service.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};

use super::config_file::ConfigFile;
use super::usage::Usage;
use crate::access::{Key, KeyFile, KeyText, Permissions};
use crate::operation::Tenant;

/// Make, list and revoke the keys of clients
///
/// The keys are in a file (access.keys_file). A running service sees a change within a second.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Keys {
    Add(Add),
    List(List),
    Revoke(Revoke),
}

/// Make a key, and print it once
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  picresize keys add backend
      A key of the tenant default, which may do all that a client needs
  picresize keys add uploads --tenant shop --may post --expires 90d
      A key that may only post pictures, for 90 days
  picresize keys add ci --setting
      Prints the line for access.keys too, and changes no file")]
pub(super) struct Add {
    #[command(flatten)]
    place: Place,
    /// What people call the key: it is in lists and logs
    #[arg(value_name = "NAME")]
    name: String,
    /// Whom the operations of this key belong to; no tenant sees those of another
    #[arg(long, value_name = "TENANT", default_value_t)]
    tenant: Tenant,
    /// What the key may be used for: post, read, erase, lookup, operate, with commas between
    #[arg(long, value_name = "LIST", default_value_t = Permissions::of_a_client())]
    may: Permissions,
    /// When the key ends: a time such as 2027-01-31T00:00:00Z, or a number of days such as 90d
    #[arg(long, value_name = "TIME", value_parser = end)]
    expires: Option<Timestamp>,
    /// Print a line for the setting access.keys, and change no file
    #[arg(long)]
    setting: bool,
}

/// List the keys: their names, tenants, what they may be used for, and when they end
#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    place: Place,
}

/// Revoke a key: requests with it are refused from then on
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  picresize keys revoke backend")]
pub(super) struct Revoke {
    #[command(flatten)]
    place: Place,
    #[arg(value_name = "NAME")]
    name: String,
}

/// Where the keys are.
#[derive(Debug, clap::Args)]
struct Place {
    #[command(flatten)]
    config: ConfigFile,
    /// The folder of the embedded log and table, which has the keys too
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Place {
    fn file(&self) -> Result<KeyFile> {
        let mut settings = self.config.load()?;
        if let Some(data) = &self.data {
            settings.data.folder.clone_from(data);
        }
        settings.check()?;
        let path = settings.keys_file().ok_or_else(|| {
            Usage(
                "no file of keys is named: set access.keys_file, or use `picresize keys add NAME \
                 --setting` and set access.keys"
                    .to_owned(),
            )
        })?;
        Ok(KeyFile::at(path))
    }
}

impl Keys {
    pub(super) fn run(self) -> Result<ExitCode> {
        match self {
            Self::Add(command) => command.run()?,
            Self::List(command) => command.run()?,
            Self::Revoke(command) => command.run()?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Add {
    fn run(self) -> Result<()> {
        let text = KeyText::generate().context("cannot make a key")?;
        let mut key = Key::new(&self.name, &text).map_err(Usage)?;
        key.tenant = self.tenant;
        key.may = self.may;
        key.expires_at = self.expires;
        if self.setting {
            eprintln!("A line for access.keys:\n{}\n", key.line());
        } else {
            let file = self.place.file()?;
            file.add(&key)?;
            eprintln!(
                "Added to {}. This is the only time that the key is shown:",
                file.path().display()
            );
        }
        println!("{}", text.expose());
        Ok(())
    }
}

impl List {
    fn run(self) -> Result<()> {
        let keys = self.place.file()?.read()?;
        let now = Timestamp::now();
        println!("{:<20} {:<16} {:<32} END", "NAME", "TENANT", "MAY");
        for key in keys.keys() {
            let end = match key.expires_at {
                Some(end) if key.has_expired(now) => format!("{end} (has ended)"),
                Some(end) => end.to_string(),
                None => "never".to_owned(),
            };
            let (name, tenant, may) = (&key.name, key.tenant.name(), key.may.to_string());
            println!("{name:<20} {tenant:<16} {may:<32} {end}");
        }
        Ok(())
    }
}

impl Revoke {
    fn run(self) -> Result<()> {
        let file = self.place.file()?;
        file.revoke(&self.name)?;
        eprintln!("Revoked {} in {}.", self.name, file.path().display());
        Ok(())
    }
}

/// A time, or a number of days from now.
fn end(text: &str) -> Result<Timestamp, String> {
    let now = Timestamp::now();
    let end = match text.strip_suffix('d').and_then(|days| days.parse().ok()) {
        Some(days @ 1..=36_500) => {
            let later = now.checked_add(SignedDuration::from_hours(24 * days));
            later.map_err(|error| error.to_string())?
        }
        Some(_) => return Err("expected 1d to 36500d".to_owned()),
        None => text.parse().map_err(|_| {
            "expected a time such as 2027-01-31T00:00:00Z, or days such as 90d".to_owned()
        })?,
    };
    if end <= now {
        return Err(format!("{end} is not in the future"));
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_ends_in_the_future() {
        let now = Timestamp::now();
        let days = end("90d").unwrap().duration_since(now).as_hours();
        assert!((90 * 24 - 1..=90 * 24).contains(&days), "{days}");
        assert_eq!(
            end("2099-01-31T00:00:00Z").unwrap().to_string(),
            "2099-01-31T00:00:00Z"
        );
        for wrong in [
            "0d",
            "-1d",
            "90",
            "soon",
            "2020-01-01T00:00:00Z",
            "99999d",
            "",
        ] {
            assert!(end(wrong).is_err(), "{wrong}");
        }
    }
}
