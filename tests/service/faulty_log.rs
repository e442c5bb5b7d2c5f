//! A service whose log has a fault.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use picresize::event::Record;
use picresize::event_log::{
    Consumer, ErasureOutcome, EventLog, EventPosition, LogError, Reader, Start, Topic,
};
use picresize::settings::Settings;
use picresize::storage::Storage;

use crate::support::TestServer;

/// What goes wrong when a record is appended.
#[async_trait]
pub(crate) trait AppendFault: fmt::Debug + Send + Sync {
    /// Called before each append, which fails if this does.
    async fn before_append(&self, topic: Topic) -> Result<(), LogError>;
}

/// A service on an embedded log with this fault.
pub(crate) async fn serve(
    fault: Arc<dyn AppendFault>,
    change: impl FnOnce(&mut Settings),
) -> TestServer {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    settings.data.folder = folder.path().join("data");
    change(&mut settings);
    let mut storage = Storage::open(&settings).await.unwrap();
    storage.log = Arc::new(FaultyLog {
        log: storage.log,
        fault,
    });
    TestServer::start_on(storage, settings, folder).await
}

#[derive(Debug)]
struct FaultyLog {
    log: Arc<dyn EventLog>,
    fault: Arc<dyn AppendFault>,
}

#[async_trait]
impl EventLog for FaultyLog {
    async fn append(&self, topic: Topic, record: Record) -> Result<EventPosition, LogError> {
        self.fault.before_append(topic).await?;
        self.log.append(topic, record).await
    }

    async fn subscribe(&self, topic: Topic, group: &str) -> Result<Box<dyn Consumer>, LogError> {
        self.log.subscribe(topic, group).await
    }

    async fn read(&self, topic: Topic, start: &Start) -> Result<Box<dyn Reader>, LogError> {
        self.log.read(topic, start).await
    }

    async fn erase(
        &self,
        topic: Topic,
        position: EventPosition,
    ) -> Result<ErasureOutcome, LogError> {
        self.log.erase(topic, position).await
    }

    async fn trim(&self, before: Timestamp, group: &str, most: u32) -> Result<u64, LogError> {
        self.log.trim(before, group, most).await
    }

    async fn has_finished(
        &self,
        topic: Topic,
        group: &str,
        time: Timestamp,
    ) -> Result<bool, LogError> {
        self.log.has_finished(topic, group, time).await
    }

    async fn ping(&self) -> Result<(), LogError> {
        self.log.ping().await
    }
}
