//! Who may use the service: keys in the `Authorization` header, and the secrets that sign links.

use std::fmt;
use std::fs::Metadata;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use jiff::Timestamp;

use super::guard::Guard;
use super::problem::{Kind, Problem};
use crate::access::{
    KeyFile, KeyFileError, KeyText, Keyring, MalformedSecret, Permission, Permissions, Secrets,
};
use crate::operation::Tenant;
use crate::settings::{AccessMode, Settings, TableKind};

/// How often to look whether the file of keys has changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Why nobody could be let in, or too many could.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error(
        "server.listen is {0}, which other machines can reach, and there is no key: make one with \
         `picresize keys add NAME`, or set access.mode to open if everybody may use the service"
    )]
    NoKey(SocketAddr),
    #[error(
        "there are keys, and access.secrets is empty: give all servers the same secret of at least \
         32 random characters, which signs links"
    )]
    NoSecret,
    #[error("access.keys: {0}")]
    Setting(#[source] KeyFileError),
    #[error(transparent)]
    File(#[from] KeyFileError),
    #[error("access.secrets: {0}")]
    Secrets(#[from] MalformedSecret),
    #[error("the file {0} with the secret that signs links: {1}")]
    SecretFile(String, #[source] std::io::Error),
}

/// The keys and secrets of this service.
#[derive(Debug)]
pub struct Access {
    without_key: WithoutKey,
    file: Option<KeyFile>,
    from_settings: Keyring,
    keys: RwLock<Arc<Keyring>>,
    pub(super) secrets: Secrets,
    pub(super) guard: Arc<Guard>,
}

/// Who may do everything without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WithoutKey {
    Everybody,
    /// Everybody, until there is a key: only this machine can reach the service.
    ThisMachine,
    Nobody,
}

/// What tells one version of a file from another.
type Version = Option<(Option<std::time::SystemTime>, u64, u64)>;

impl Access {
    /// Reads keys and secrets. `address` is where the service listens.
    ///
    /// # Errors
    ///
    /// They cannot be read, or others could reach the service without a key.
    pub fn open(settings: &Settings, address: SocketAddr) -> Result<Self, AccessError> {
        let file = settings.keys_file().map(KeyFile::at);
        let from_settings = Keyring::parse(&settings.access.keys).map_err(AccessError::Setting)?;
        let keys = join(file.as_ref(), &from_settings)?;
        let is_open = settings.access.mode == AccessMode::Open;
        let is_reachable = !address.ip().is_loopback();
        if keys.is_empty() && is_reachable && !is_open {
            return Err(AccessError::NoKey(address));
        }
        let mut secrets = Secrets::parse(&settings.access.secrets)?;
        if secrets.is_empty() {
            if settings.storage.table == TableKind::Embedded {
                let path = settings.data.folder.join("secret");
                let named = |error| AccessError::SecretFile(path.display().to_string(), error);
                secrets = Secrets::open(&path).map_err(named)?;
            } else if !keys.is_empty() {
                return Err(AccessError::NoSecret);
            }
        }
        let access = &settings.access;
        // Other machines know the service by names that it does not know.
        let guard = Guard::new(
            &access.allowed_hosts,
            &access.allowed_origins,
            !is_reachable,
        );
        Ok(Self {
            guard: Arc::new(guard),
            without_key: match (is_open, is_reachable) {
                (true, _) => WithoutKey::Everybody,
                (false, false) => WithoutKey::ThisMachine,
                (false, true) => WithoutKey::Nobody,
            },
            file,
            from_settings,
            keys: RwLock::new(Arc::new(keys)),
            secrets,
        })
    }

    /// Reads the file of keys again whenever it changes, for ever.
    pub(super) async fn watch(&self) {
        let Some(file) = &self.file else {
            return std::future::pending().await;
        };
        let mut known = version(file);
        let mut has_failed = false;
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let now = version(file);
            if now == known && !has_failed {
                continue;
            }
            known = now;
            match join(Some(file), &self.from_settings) {
                Ok(keys) => {
                    tracing::info!(target: "audit", keys = keys.keys().len(), "the keys were read");
                    *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
                    has_failed = false;
                }
                Err(error) if !has_failed => {
                    tracing::error!(%error, "the keys cannot be read; those from before still hold");
                    has_failed = true;
                }
                Err(_) => {}
            }
        }
    }

    /// Who sends a request with these headers.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = given.next() else {
            let is_let_in = match self.without_key {
                WithoutKey::Everybody => true,
                WithoutKey::ThisMachine => keys.is_empty(),
                WithoutKey::Nobody => false,
            };
            if is_let_in {
                return Ok(Caller::anybody());
            }
            return Err(Problem::unauthenticated(
                "send a key: `Authorization: Bearer KEY`",
            ));
        };
        let text = value.to_str().ok().filter(|_| given.next().is_none());
        let key = text
            .and_then(|text| text.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .and_then(|(_, key)| KeyText::parse(key.trim()).ok())
            .ok_or_else(|| {
                Problem::unauthenticated("the Authorization header has no key of this service")
            })?;
        let found = keys.find(&key, Timestamp::now()).ok_or_else(|| {
            Problem::unauthenticated("the key is unknown, was revoked, or has ended")
        })?;
        Ok(Caller {
            tenant: found.tenant.clone(),
            name: found.name.clone(),
            may: found.may,
        })
    }
}

fn join(file: Option<&KeyFile>, from_settings: &Keyring) -> Result<Keyring, KeyFileError> {
    match file {
        Some(file) => file.read()?.with(from_settings.clone()),
        None => Ok(from_settings.clone()),
    }
}

fn version(file: &KeyFile) -> Version {
    let metadata = std::fs::metadata(file.path()).ok()?;
    Some((metadata.modified().ok(), metadata.len(), inode(&metadata)))
}

fn inode(metadata: &Metadata) -> u64 {
    #[cfg(unix)]
    {
        std::os::unix::fs::MetadataExt::ino(metadata)
    }
    #[cfg(not(unix))]
    {
        let _ = metadata;
        0
    }
}

/// Who sends a request.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) tenant: Tenant,
    /// The name of the key.
    pub(super) name: String,
    may: Permissions,
}

impl Caller {
    /// Whoever sends a request without a key, where that is allowed.
    fn anybody() -> Self {
        Self {
            tenant: Tenant::default(),
            name: "nobody".to_owned(),
            may: Permissions::all(),
        }
    }

    /// Refuses what the key may not be used for.
    pub(super) fn must(&self, permission: Permission) -> Result<(), Problem> {
        if self.may.include(permission) {
            return Ok(());
        }
        Err(Problem::new(
            Kind::Forbidden,
            format!(
                "the key {} may not be used for this: it may {}, and this needs {}",
                self.name,
                self.may,
                permission.name()
            ),
        ))
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
