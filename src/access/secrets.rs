//! Secrets of the service, which sign links and tickets and make identifiers of idempotency keys.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::private;

/// The fewest characters of a secret.
const SECRET_CHARACTERS: usize = 32;
const RANDOM_BYTES: usize = 32;

/// What a signature is for. A signature for one purpose never holds for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    IdempotencyKey,
    Link,
    Ticket,
}

impl Purpose {
    fn label(self) -> &'static str {
        match self {
            Self::IdempotencyKey => "picresize idempotency key 1",
            Self::Link => "picresize link 1",
            Self::Ticket => "picresize ticket 1",
        }
    }
}

/// Secrets, the current one first. The others are former ones that still hold.
#[derive(Clone, Debug, Default)]
pub struct Secrets(Vec<SecretString>);

/// A text that is not a list of secrets. It is not repeated.
#[derive(Debug, thiserror::Error)]
#[error("one of the secrets has {0} characters; each needs at least {SECRET_CHARACTERS}")]
pub struct MalformedSecret(usize);

impl Secrets {
    /// Reads secrets with commas between.
    ///
    /// # Errors
    ///
    /// One of them is too short.
    pub fn parse(text: &SecretString) -> Result<Self, MalformedSecret> {
        let text = text.expose_secret().trim();
        if text.is_empty() {
            return Ok(Self::default());
        }
        let mut secrets = Vec::new();
        for secret in text.split(',').map(str::trim) {
            let characters = secret.chars().count();
            if characters < SECRET_CHARACTERS {
                return Err(MalformedSecret(characters));
            }
            secrets.push(secret.into());
        }
        Ok(Self(secrets))
    }

    /// Reads the secret in a file that only this user may read; makes the file if there is none.
    ///
    /// # Errors
    ///
    /// The file cannot be read or made, or has no secret.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.custom_flags(libc::O_NOFOLLOW);
        }
        let mut text = String::new();
        match options.open(path) {
            Ok(mut file) => {
                file.read_to_string(&mut text)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                text = random()?;
                let folder = path.parent().unwrap_or(Path::new("."));
                private::make_folder(folder)?;
                let file = private::write_temporary(folder, text.as_bytes())?;
                // Another process may have made it meanwhile; then its secret counts.
                if file.persist_noclobber(path).is_err() {
                    text = fs::read_to_string(path)?;
                }
            }
            Err(error) => return Err(error),
        }
        let secrets = Self::parse(&text.into()).map_err(io::Error::other)?;
        if secrets.is_empty() {
            return Err(io::Error::other("the file is empty"));
        }
        Ok(secrets)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The signature of some parts by the current secret; `None` if there is no secret.
    pub fn sign(&self, purpose: Purpose, parts: &[&[u8]]) -> Option<[u8; 32]> {
        let mac = mac(self.0.first()?, purpose, parts);
        Some(mac.finalize().into_bytes().into())
    }

    /// The signatures by all secrets, the current one first.
    pub fn signatures(&self, purpose: Purpose, parts: &[&[u8]]) -> Vec<[u8; 32]> {
        let macs = self.0.iter().map(|secret| mac(secret, purpose, parts));
        macs.map(|mac| mac.finalize().into_bytes().into()).collect()
    }

    /// Whether one of the secrets made this signature. It takes the same time for every wrong one.
    pub fn verify(&self, purpose: Purpose, parts: &[&[u8]], signature: &[u8]) -> bool {
        let mut macs = self.0.iter().map(|secret| mac(secret, purpose, parts));
        macs.any(|mac| mac.verify_slice(signature).is_ok())
    }
}

fn mac(secret: &SecretString, purpose: Purpose, parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
        .expect("a secret of HMAC may have any length");
    let label = purpose.label().as_bytes();
    for part in std::iter::once(&label).chain(parts) {
        // With the lengths, other parts never give the same bytes.
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac
}

fn random() -> io::Result<String> {
    let mut bytes = [0; RANDOM_BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(text: &str) -> Secrets {
        Secrets::parse(&text.to_owned().into()).unwrap()
    }

    #[test]
    fn a_former_secret_still_holds() {
        let (old, new) = ("o".repeat(32), "n".repeat(40));
        let parts: [&[u8]; 2] = [b"one", b"two"];
        let signature = secrets(&old).sign(Purpose::Link, &parts).unwrap();
        let both = secrets(&format!("{new}, {old}"));
        assert!(both.verify(Purpose::Link, &parts, &signature));
        assert_ne!(both.sign(Purpose::Link, &parts).unwrap(), signature);
        assert_eq!(both.signatures(Purpose::Link, &parts)[1], signature);
        assert!(!secrets(&new).verify(Purpose::Link, &parts, &signature));
    }

    #[test]
    fn a_signature_holds_only_for_what_was_signed() {
        let secrets = secrets(&"s".repeat(32));
        let signature = secrets.sign(Purpose::Link, &[b"one", b"two"]).unwrap();
        assert!(!secrets.verify(Purpose::Ticket, &[b"one", b"two"], &signature));
        assert!(!secrets.verify(Purpose::Link, &[b"onet", b"wo"], &signature));
        assert!(!secrets.verify(Purpose::Link, &[b"one", b"two"], &signature[..31]));
        assert!(!Secrets::default().verify(Purpose::Link, &[], &[0; 32]));
        assert!(Secrets::default().sign(Purpose::Link, &[]).is_none());
    }

    #[test]
    fn a_short_secret_is_refused_and_not_repeated() {
        let error = Secrets::parse(&"hush".to_owned().into()).unwrap_err();
        assert!(!error.to_string().contains("hush"));
        assert!(secrets(" ").is_empty());
    }

    #[test]
    fn a_file_keeps_its_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let sign = || {
            Secrets::open(&path)
                .unwrap()
                .sign(Purpose::Link, &[])
                .unwrap()
        };
        assert_eq!(sign(), sign());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            let link = folder.path().join("link");
            std::os::unix::fs::symlink(&path, &link).unwrap();
            assert!(Secrets::open(&link).is_err());
        }
        fs::write(&path, "").unwrap();
        assert!(Secrets::open(&path).is_err());
    }
}
