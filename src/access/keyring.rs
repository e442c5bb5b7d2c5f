//! The keys of a service: a file with a line for each key, and the same lines in a setting.
//!
//! ```text
//! backend tenant=shop may=post,read expires=2027-01-01T00:00:00Z sha256=9f86…
//! ```
//!
//! Empty lines, and lines that begin with `#`, are left alone.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use subtle::ConstantTimeEq;

use super::key::KeyText;
use super::permission::Permissions;
use crate::operation::{Digest, Tenant};
use crate::private;

/// The most characters of a key's name.
const MOST_NAME: usize = 63;

/// What is known of a key. Its text is not.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// What people call it: it is in logs and lists.
    pub name: String,
    pub tenant: Tenant,
    pub may: Permissions,
    /// When it ends; `None` means never.
    pub expires_at: Option<Timestamp>,
    pub digest: Digest,
}

/// Why keys cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("line {line} of the keys: {reason}")]
    Line { line: usize, reason: String },
    #[error("two keys have the name {0:?}")]
    Twice(String),
    #[error("there is no key with the name {0:?}")]
    Unknown(String),
    #[error("the file of keys {}: {error}", path.display())]
    File {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
}

/// Keys that may be used.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Keyring(Vec<Key>);

impl Key {
    /// A key with this name.
    ///
    /// # Errors
    ///
    /// The name cannot be written in the file.
    pub fn new(name: &str, text: &KeyText) -> Result<Self, String> {
        Ok(Self {
            name: checked_name(name)?,
            tenant: Tenant::default(),
            may: Permissions::of_a_client(),
            expires_at: None,
            digest: text.digest(),
        })
    }

    /// Whether it has ended.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    fn parse(line: &str) -> Result<Self, String> {
        let mut words = line.split_ascii_whitespace();
        let name = checked_name(words.next().unwrap_or_default())?;
        let (mut tenant, mut may, mut expires_at, mut digest) = (None, None, None, None);
        for word in words {
            let (key, value) = word
                .split_once('=')
                .ok_or_else(|| format!("{word:?} is not of the form key=value"))?;
            let problem = |error: &dyn std::fmt::Display| format!("{key}: {error}");
            match key {
                "tenant" => tenant = Some(value.parse().map_err(|e| problem(&e))?),
                "may" => may = Some(value.parse().map_err(|e| problem(&e))?),
                "expires" => expires_at = Some(value.parse().map_err(|e| problem(&e))?),
                "sha256" => digest = Some(value.parse().map_err(|e| problem(&e))?),
                _ => {
                    return Err(format!(
                        "{key:?} is not known: expected tenant, may, expires or sha256"
                    ));
                }
            }
        }
        Ok(Self {
            name,
            tenant: tenant.unwrap_or_default(),
            may: may.unwrap_or_else(Permissions::of_a_client),
            expires_at,
            digest: digest.ok_or("it has no sha256")?,
        })
    }

    /// The line of the key in a file.
    pub fn line(&self) -> String {
        let mut line = format!("{} tenant={} may={}", self.name, self.tenant, self.may);
        if let Some(end) = self.expires_at {
            let _ = write!(line, " expires={end}");
        }
        let _ = write!(line, " sha256={}", self.digest);
        line
    }
}

fn checked_name(name: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    if name.is_empty() || name.len() > MOST_NAME || !name.chars().all(is_plain) {
        let name: String = name.chars().take(80).collect();
        return Err(format!(
            "{name:?} is not the name of a key: expected 1 to {MOST_NAME} letters, digits, \"-\", \
             \"_\", \".\" and \"@\""
        ));
    }
    Ok(name.to_owned())
}

impl Keyring {
    /// Reads the lines of a file, or of a setting, where semicolons may separate them too.
    ///
    /// # Errors
    ///
    /// Which line is wrong.
    pub fn parse(text: &str) -> Result<Self, KeyFileError> {
        let mut keys: Vec<Key> = Vec::new();
        for (index, line) in text.split(['\n', ';']).enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = Key::parse(line).map_err(|reason| KeyFileError::Line {
                line: index + 1,
                reason,
            })?;
            keys.push(key);
        }
        Self::of(keys)
    }

    /// These keys and those.
    ///
    /// # Errors
    ///
    /// Two of them have the same name.
    pub fn with(mut self, others: Self) -> Result<Self, KeyFileError> {
        self.0.extend(others.0);
        Self::of(self.0)
    }

    fn of(keys: Vec<Key>) -> Result<Self, KeyFileError> {
        for (index, key) in keys.iter().enumerate() {
            if keys[..index].iter().any(|other| other.name == key.name) {
                return Err(KeyFileError::Twice(key.name.clone()));
            }
        }
        Ok(Self(keys))
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All keys, also those that have ended.
    pub fn keys(&self) -> &[Key] {
        &self.0
    }

    /// The key with this text, unless it has ended. It always takes the time of comparing with all.
    pub fn find(&self, text: &KeyText, now: Timestamp) -> Option<&Key> {
        let digest = text.digest();
        let mut found = None;
        for key in &self.0 {
            if bool::from(key.digest.bytes().ct_eq(digest.bytes())) {
                found = Some(key);
            }
        }
        found.filter(|key| !key.has_expired(now))
    }
}

/// A file of keys.
#[derive(Clone, Debug)]
pub struct KeyFile(PathBuf);

impl KeyFile {
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Its keys. A file that is not there has none.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn read(&self) -> Result<Keyring, KeyFileError> {
        Keyring::parse(&self.text()?)
    }

    /// Adds a key.
    ///
    /// # Errors
    ///
    /// Its name is taken, or the file cannot be changed.
    pub fn add(&self, key: &Key) -> Result<(), KeyFileError> {
        self.change(|text| {
            let others = Keyring::parse(text)?;
            others.with(Keyring(vec![key.clone()]))?;
            let mut text = text.trim_end().to_owned();
            if !text.is_empty() {
                text.push('\n');
            }
            Ok(format!("{text}{}\n", key.line()))
        })
    }

    /// Removes the key with this name.
    ///
    /// # Errors
    ///
    /// There is none, or the file cannot be changed.
    pub fn revoke(&self, name: &str) -> Result<(), KeyFileError> {
        self.change(|text| {
            Keyring::parse(text)?;
            let is_of_key = |line: &&str| line.split_ascii_whitespace().next() == Some(name);
            if !text.lines().any(|line| is_of_key(&line)) {
                return Err(KeyFileError::Unknown(name.chars().take(80).collect()));
            }
            let kept = text.lines().filter(|line| !is_of_key(line));
            Ok(kept.map(|line| format!("{line}\n")).collect())
        })
    }

    fn text(&self) -> Result<String, KeyFileError> {
        match fs::read_to_string(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            other => other.map_err(|error| self.fault(error)),
        }
    }

    /// Replaces the file at once, so that nobody reads half of it. One process at a time does so.
    fn change(
        &self,
        change: impl FnOnce(&str) -> Result<String, KeyFileError>,
    ) -> Result<(), KeyFileError> {
        let folder = match self.0.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        private::make_folder(folder).map_err(|error| self.fault(error))?;
        // The folder itself is the lock: the file is replaced.
        let lock = File::open(folder).map_err(|error| self.fault(error))?;
        lock.lock().map_err(|error| self.fault(error))?;
        let text = change(&self.text()?)?;
        let write = || {
            let file = private::write_temporary(folder, text.as_bytes())?;
            file.persist(&self.0).map_err(|error| error.error)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|error| self.fault(error))
    }

    fn fault(&self, error: io::Error) -> KeyFileError {
        let path = self.0.clone();
        KeyFileError::File { path, error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_added_found_and_revoked() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::at(folder.path().join("new/keys"));
        assert!(file.read().unwrap().is_empty());
        let (text, other) = (KeyText::generate().unwrap(), KeyText::generate().unwrap());
        let mut key = Key::new("backend", &text).unwrap();
        key.tenant = "shop".parse().unwrap();
        file.add(&key).unwrap();
        fs::write(file.path(), format!("# ours\n\n{}\n", key.line())).unwrap();
        file.add(&Key::new("other", &other).unwrap()).unwrap();
        let now = Timestamp::now();
        assert_eq!(file.read().unwrap().find(&text, now), Some(&key));
        assert!(matches!(file.add(&key), Err(KeyFileError::Twice(_))));
        file.revoke("backend").unwrap();
        let left = file.read().unwrap();
        assert_eq!(left.find(&text, now), None);
        assert!(left.find(&other, now).is_some());
        assert!(matches!(
            file.revoke("backend"),
            Err(KeyFileError::Unknown(_))
        ));
        assert!(
            fs::read_to_string(file.path())
                .unwrap()
                .starts_with("# ours\n")
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(file.path()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_key_ends_at_its_time() {
        let text = KeyText::generate().unwrap();
        let mut key = Key::new("backend", &text).unwrap();
        key.expires_at = Some("2026-01-01T00:00:00Z".parse().unwrap());
        let ring = Keyring::parse(&key.line()).unwrap();
        assert_eq!(ring.keys(), [key]);
        let (before, after) = ("2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z");
        assert!(ring.find(&text, before.parse().unwrap()).is_some());
        assert!(ring.find(&text, after.parse().unwrap()).is_none());
    }

    #[test]
    fn a_wrong_line_is_named() {
        let digest = Digest::of(b"key");
        for (text, named) in [
            ("backend", "line 1"),
            ("\n# note\na/b sha256=1", "line 3"),
            ("backend sha256=12", "sha256"),
            ("backend may=all", "may"),
            ("backend tenant=A", "tenant"),
            ("backend expires=soon", "expires"),
            ("backend since=2026", "since"),
        ] {
            let error = Keyring::parse(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text:?} gives {error:?}");
        }
        let twice = format!("a sha256={digest};a sha256={digest}");
        assert!(matches!(
            Keyring::parse(&twice),
            Err(KeyFileError::Twice(_))
        ));
    }
}
