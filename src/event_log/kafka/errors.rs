//! Turns librdkafka's errors into a kind of [`LogError`], with a message for the operator.

use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::event_log::LogError;

/// Remembers the last error that a client reported in the background, because a failed call often
/// only returns "timed out".
#[derive(Clone, Debug, Default)]
pub(super) struct LastError {
    last: Arc<Mutex<Option<(RDKafkaErrorCode, String)>>>,
}

impl ConsumerContext for LastError {}

impl ClientContext for LastError {
    fn error(&self, error: KafkaError, reason: &str) {
        if let Some(code) = error.rdkafka_error_code() {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            // A refusal is followed by "all brokers are down", which would hide the cause.
            if !last.as_ref().is_some_and(|(code, _)| is_refusal(*code)) {
                *last = Some((code, reason.to_owned()));
            }
        }
        tracing::debug!(%error, reason, "Kafka");
    }
}

impl LastError {
    /// Explains an error to the operator.
    pub(super) fn explain(&self, error: KafkaError) -> LogError {
        let last = self
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match last {
            Some((RDKafkaErrorCode::Authentication, reason)) => LogError::Misconfigured(format!(
                "Kafka refused the credentials in kafka.properties: {reason}"
            )),
            Some((RDKafkaErrorCode::SSL, reason)) => LogError::Misconfigured(format!(
                "the TLS connection to Kafka failed: {reason}; check kafka.properties"
            )),
            Some((_, reason)) => LogError::Unavailable(format!("{error}: {reason}").into()),
            None => error.into(),
        }
    }
}

fn is_refusal(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL
    )
}

impl From<KafkaError> for LogError {
    fn from(error: KafkaError) -> Self {
        match error {
            KafkaError::ClientConfig(_, reason, key, _) => Self::Misconfigured(format!(
                "librdkafka refuses kafka.properties.{}: {reason}",
                key.replace('.', "_")
            )),
            KafkaError::ClientCreation(reason) => Self::Misconfigured(format!(
                "the settings do not make a working Kafka client: {reason}"
            )),
            _ => Self::Unavailable(Box::new(error)),
        }
    }
}
