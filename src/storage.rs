//! Opens the log and the table that the settings name, and prepares them for use.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};

use crate::event_log::embedded::EmbeddedLog;
use crate::event_log::kafka::{KafkaLog, KafkaOptions, TopicOptions};
use crate::event_log::{EventLog, LogError};
use crate::picture_store::embedded::EmbeddedStore;
use crate::picture_store::mysql::{MysqlOptions, MysqlStore, TlsMode};
use crate::picture_store::{PictureStore, StoreError};
use crate::private;
use crate::settings::{LogKind, Settings, TableKind, Tls};

pub(crate) mod check;

/// The files of an embedded log and table in their folder.
const LOG_FILE: &str = "log.sqlite";
const TABLE_FILE: &str = "pictures.sqlite";
/// The pauses between attempts to reach the log or the table at the start.
const PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_jitter()
    .with_min_delay(Duration::from_millis(500))
    .with_max_delay(Duration::from_secs(3))
    .without_max_times();

/// An open log and table, ready to be shared.
#[derive(Clone, Debug)]
pub struct Storage {
    pub log: Arc<dyn EventLog>,
    pub store: Arc<dyn PictureStore>,
    /// The disk of the embedded files, if there are some.
    disk: Option<Disk>,
    /// Locked as long as the folder is in use.
    _folder: Option<Arc<DataFolder>>,
}

/// Why the log and the table cannot be opened. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error(
        "{} is in use by another picresize process: stop that process, or use another folder with \
         --data",
        .0.display()
    )]
    InUse(PathBuf),
    #[error("the data folder {} cannot be used", .path.display())]
    Folder {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "{} contains no log: give the folder of `picresize serve` with --data",
        .0.display()
    )]
    NoLog(PathBuf),
    /// Results would be lost silently if the table was simply made anew.
    #[error(
        "{table} is missing or empty, although {log} has events: run `picresize replay rebuild \
         --data {folder}` to make it again from the log, or restore it from a backup",
        table = .0.join(TABLE_FILE).display(),
        log = .0.join(LOG_FILE).display(),
        folder = .0.display()
    )]
    LostTable(PathBuf),
    /// Accepted requests would be lost silently if the log was simply made anew.
    #[error(
        "{log} is missing or empty, although {table} has operations: restore it from a backup, or \
         move {table} away to begin anew",
        table = .0.join(TABLE_FILE).display(),
        log = .0.join(LOG_FILE).display()
    )]
    LostLog(PathBuf),
    /// The disk of the embedded files is nearly full.
    #[error("{0}")]
    Shortage(String),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl StorageError {
    /// Whether trying again can help, because a server does not answer.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Log(error) => error.is_transient(),
            Self::Store(error) => error.is_transient(),
            Self::InUse(_)
            | Self::Folder { .. }
            | Self::NoLog(_)
            | Self::LostTable(_)
            | Self::LostLog(_)
            | Self::Shortage(_) => false,
        }
    }
}

impl Storage {
    /// Opens the log and the table. Embedded files are created if they are missing.
    ///
    /// # Errors
    ///
    /// See [`StorageError`].
    pub async fn open(settings: &Settings) -> Result<Self, StorageError> {
        let folder = if is_embedded(settings) {
            Some(Arc::new(DataFolder::own(&settings.data.folder)?))
        } else {
            None
        };
        check_files(settings).await?;
        Ok(Self {
            log: open_log(settings).await?,
            store: open_store(settings).await?,
            disk: Disk::of(settings),
            _folder: folder,
        })
    }

    /// Opens an existing log and table beside the processes that use them. An embedded folder is
    /// not locked, because only the process that consumes from its log needs the lock. SQLite makes
    /// the writers of two processes wait for each other.
    ///
    /// # Errors
    ///
    /// See [`StorageError`].
    pub async fn open_beside(settings: &Settings) -> Result<Self, StorageError> {
        let folder = &settings.data.folder;
        if settings.storage.log == LogKind::Embedded && !folder.join(LOG_FILE).exists() {
            return Err(StorageError::NoLog(folder.clone()));
        }
        Ok(Self {
            log: open_log(settings).await?,
            store: open_store(settings).await?,
            disk: Disk::of(settings),
            _folder: None,
        })
    }

    /// Ends the use of the log and the table. Whoever copies the embedded files after that has
    /// everything.
    pub async fn close(&self) {
        self.log.close().await;
        self.store.close().await;
    }

    /// Says what is wrong if the disk of the embedded files is nearly full. A log that cannot be
    /// written still answers `ping`.
    pub async fn shortage(&self) -> Option<String> {
        let disk = self.disk.clone()?;
        let looking = tokio::task::spawn_blocking(move || disk.shortage());
        looking.await.ok().flatten()
    }

    /// Like [`open`](Self::open), but waits for servers that do not answer yet.
    ///
    /// # Errors
    ///
    /// Errors that waiting does not fix.
    pub async fn open_patiently(settings: &Settings) -> Result<Self, StorageError> {
        patiently(|| Self::open(settings)).await
    }

    /// Creates or alters the table and the topics. Waits for servers that do not answer yet.
    /// Returns one line for each thing that was done or was already right.
    ///
    /// # Errors
    ///
    /// Errors that waiting does not fix.
    pub async fn migrate(settings: &Settings) -> Result<Vec<String>, StorageError> {
        let mut report = Vec::new();
        match settings.storage.table {
            TableKind::Embedded => report.push("table: embedded; `serve` creates it".to_owned()),
            TableKind::Mysql => {
                let options = mysql_options(settings, true);
                report.extend(
                    patiently(|| async { Ok(MysqlStore::migrate(&options).await?) }).await?,
                );
            }
        }
        match settings.storage.log {
            LogKind::Embedded => report.push("log: embedded; `serve` creates it".to_owned()),
            LogKind::Kafka => {
                let options = kafka_options(settings);
                let topics = TopicOptions {
                    partitions: settings.kafka.partitions,
                    replication: settings.kafka.replication,
                    min_insync_replicas: settings.kafka.min_insync_replicas,
                    retention: settings.kafka_retention(),
                };
                report.extend(
                    patiently(|| async { Ok(KafkaLog::migrate(&options, topics).await?) }).await?,
                );
            }
        }
        Ok(report)
    }
}

/// Whether the log or the table is a file in the data folder.
fn is_embedded(settings: &Settings) -> bool {
    settings.storage.log == LogKind::Embedded || settings.storage.table == TableKind::Embedded
}

/// Refuses a data folder that has lost one of its two files. Creates neither.
async fn check_files(settings: &Settings) -> Result<(), StorageError> {
    let folder = &settings.data.folder;
    // SQLite takes an empty file for a new one.
    let is_there = |file| std::fs::metadata(folder.join(file)).is_ok_and(|file| file.len() > 0);
    let both = (LogKind::Embedded, TableKind::Embedded);
    if (settings.storage.log, settings.storage.table) != both {
        return Ok(());
    }
    match (is_there(LOG_FILE), is_there(TABLE_FILE)) {
        (true, false)
            if !EmbeddedLog::open(&folder.join(LOG_FILE))?
                .is_empty()
                .await? =>
        {
            Err(StorageError::LostTable(folder.clone()))
        }
        (false, true)
            if !EmbeddedStore::open(&folder.join(TABLE_FILE))?
                .is_empty()
                .await? =>
        {
            Err(StorageError::LostLog(folder.clone()))
        }
        _ => Ok(()),
    }
}

async fn open_log(settings: &Settings) -> Result<Arc<dyn EventLog>, LogError> {
    Ok(match settings.storage.log {
        LogKind::Embedded => {
            let path = settings.data.folder.join(LOG_FILE);
            Arc::new(EmbeddedLog::open(&path)?)
        }
        LogKind::Kafka => Arc::new(KafkaLog::open(kafka_options(settings)).await?),
    })
}

async fn open_store(settings: &Settings) -> Result<Arc<dyn PictureStore>, StoreError> {
    Ok(match settings.storage.table {
        TableKind::Embedded => {
            let path = settings.data.folder.join(TABLE_FILE);
            Arc::new(EmbeddedStore::open(&path)?)
        }
        TableKind::Mysql => Arc::new(MysqlStore::open(mysql_options(settings, false)).await?),
    })
}

/// Retries until the attempt succeeds or fails permanently.
async fn patiently<T, F>(attempt: impl FnMut() -> F) -> Result<T, StorageError>
where
    F: Future<Output = Result<T, StorageError>>,
{
    attempt
        .retry(PAUSES)
        .when(StorageError::is_transient)
        .notify(|error, _| tracing::warn!(%error, "not available yet; trying again"))
        .await
}

fn kafka_options(settings: &Settings) -> KafkaOptions {
    let kafka = &settings.kafka;
    KafkaOptions {
        bootstrap_servers: kafka.bootstrap_servers.clone(),
        requests_topic: kafka.requests_topic.clone(),
        events_topic: kafka.events_topic.clone(),
        dead_letters_topic: kafka.dead_letters_topic.clone(),
        max_record_bytes: settings.max_record_bytes(),
        prefetch_bytes: kafka.prefetch_mib.saturating_mul(1 << 20),
        append_timeout: Duration::from_millis(kafka.append_timeout_ms),
        min_insync_replicas: kafka.min_insync_replicas,
        properties: kafka.properties.clone(),
    }
}

/// How to connect to the table, as the user of `migrate` or as the normal user.
fn mysql_options(settings: &Settings, migrating: bool) -> MysqlOptions {
    let (mysql, limits) = (&settings.mysql, &settings.limits);
    let (user, password) = if migrating && !mysql.migration_user.is_empty() {
        (&mysql.migration_user, &mysql.migration_password)
    } else {
        (&mysql.user, &mysql.password)
    };
    MysqlOptions {
        host: mysql.host.clone(),
        port: mysql.port,
        database: mysql.database.clone(),
        user: user.clone(),
        password: password.clone(),
        tls: match mysql.tls {
            Tls::Off => TlsMode::Off,
            Tls::Required => TlsMode::Required,
            Tls::Verified => TlsMode::Verified,
        },
        ca_file: Some(mysql.ca_file.clone()).filter(|path| !path.as_os_str().is_empty()),
        connections: mysql.connections,
        max_picture_bytes: limits.max_picture_bytes.max(limits.max_result_bytes),
    }
}

/// The disk that holds the embedded files.
#[derive(Clone, Debug)]
struct Disk {
    folder: PathBuf,
    min_free_mib: u64,
}

impl Disk {
    fn of(settings: &Settings) -> Option<Self> {
        let min_free_mib = settings.data.min_free_mib;
        (is_embedded(settings) && min_free_mib > 0).then(|| Self {
            folder: settings.data.folder.clone(),
            min_free_mib,
        })
    }

    /// The same disk, asked for at another folder, because its own is missing.
    fn at(self, folder: PathBuf) -> Self {
        Self { folder, ..self }
    }

    /// What is wrong if there is too little free space.
    fn shortage(&self) -> Option<String> {
        let (folder, least) = (self.folder.display(), self.min_free_mib);
        match free_mib(&self.folder) {
            Ok(free) if free < least => Some(format!(
                "the disk of {folder} has {free} MiB free; data.min_free_mib is {least}"
            )),
            Ok(_) => None,
            Err(error) => Some(format!("the data folder {folder} cannot be used: {error}")),
        }
    }
}

/// The free space of a folder's disk that this process may use.
fn free_mib(folder: &Path) -> std::io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize) >> 20)
}

/// A data folder that is locked by this process. The lock ends with the process, even if it is
/// killed.
#[derive(Debug)]
struct DataFolder {
    _lock: File,
}

impl DataFolder {
    fn own(path: &Path) -> Result<Self, StorageError> {
        let unusable = |source| StorageError::Folder {
            path: path.to_owned(),
            source,
        };
        private::make_folder(path).map_err(unusable)?;
        let lock = private::open_file(&path.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StorageError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }
}
