//! Says what librdkafka's errors mean: what an operator must mend, what a caller must do, and what
//! librdkafka mends by itself.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use tokio::sync::Notify;

use crate::event_log::LogError;

/// How long an error explains calls that fail later.
const REMEMBERED: Duration = Duration::from_secs(60);

/// Remembers the last error that a client reported in the background, because a failed call often
/// only returns "timed out".
#[derive(Clone, Debug, Default)]
pub(super) struct LastError {
    last: Arc<Mutex<Option<Reported>>>,
    contacts: Arc<Contacts>,
    /// Notified when no broker can be reached.
    alarm: Arc<Notify>,
}

/// How attempts to connect ended, since the client was created.
#[derive(Debug, Default)]
struct Contacts {
    /// Somebody listened, and closed the connection.
    closed: AtomicU32,
    /// Nobody listened.
    refused: AtomicU32,
}

#[derive(Clone, Debug)]
struct Reported {
    fault: Fault,
    reason: String,
    at: Instant,
}

/// Who must mend an error of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Nobody: the broker can't be reached now.
    Away,
    Credentials,
    Tls,
}

/// What a consumer must do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// Go on: librdkafka mends it, and this is for information.
    GoOn,
    /// Tell the caller.
    Report,
    /// Create a new client: this one has ended.
    Rejoin,
}

impl ConsumerContext for LastError {}

impl ClientContext for LastError {
    fn error(&self, error: KafkaError, reason: &str) {
        self.note(&error, reason);
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.note_log(level, facility, message);
    }
}

impl LastError {
    /// One that notifies `alarm`.
    pub(super) fn with_alarm(alarm: Arc<Notify>) -> Self {
        Self {
            alarm,
            ..Self::default()
        }
    }

    /// Notes what a client reported.
    pub(super) fn note(&self, error: &KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "Kafka");
        let Some(code) = error.rdkafka_error_code() else {
            return;
        };
        if code == Code::AllBrokersDown {
            self.alarm.notify_one();
        }
        self.count_contact(reason);
        let reported = Reported {
            fault: fault(code, reason),
            reason: in_words(code, reason),
            at: Instant::now(),
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // "All brokers are down" follows any other error, which would hide its cause.
        let hides = code == Code::AllBrokersDown || reported.fault == Fault::Away;
        let is_refusal = |last: &Reported| last.fault != Fault::Away;
        let keep = last.as_ref().is_some_and(|last| {
            last.at.elapsed() < REMEMBERED
                && (code == Code::AllBrokersDown || (hides && is_refusal(last)))
        });
        if !keep {
            *last = Some(reported);
        }
    }

    /// Notes what librdkafka logged. A connection that a broker closes is no error for it.
    pub(super) fn note_log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // What is logged is repeated for each broker and each attempt, and says nothing else that
        // errors do not say. So it is for debugging.
        tracing::debug!(target: "librdkafka", ?level, facility, "{message}");
        if facility == "FAIL" && self.count_contact(message) {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            last.get_or_insert_with(|| Reported {
                fault: Fault::Away,
                reason: message.to_owned(),
                at: Instant::now(),
            });
        }
    }

    /// Counts how an attempt to connect ended. Returns whether the connection was closed.
    fn count_contact(&self, reason: &str) -> bool {
        let closed = is_closed(reason);
        if closed {
            self.contacts.closed.fetch_add(1, Ordering::Relaxed);
        } else if is_refused(reason) {
            self.contacts.refused.fetch_add(1, Ordering::Relaxed);
        }
        closed
    }

    /// A call succeeded, so nothing that came before explains the next failure.
    pub(super) fn forget(&self) {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }

    /// What the operator must mend, if that is what the client reported last.
    pub(super) fn refusal(&self) -> Option<LogError> {
        let Reported { fault, reason, .. } = self.recent()?;
        let sentence = match fault {
            Fault::Away => return None,
            Fault::Credentials => format!(
                "Kafka refused the credentials: {reason}; check sasl_mechanisms, sasl_username and \
                 sasl_password in kafka.properties, and that kafka.bootstrap_servers names a port \
                 with SASL"
            ),
            Fault::Tls => format!(
                "the TLS connection to Kafka failed: {reason}; check ssl_ca_location and the other \
                 ssl_… of kafka.properties, and that kafka.bootstrap_servers names a port with TLS"
            ),
        };
        Some(LogError::Misconfigured(sentence))
    }

    /// What the operator must mend if every broker closes the connection during its set-up, as one
    /// does that expects another security protocol. A broker that is starting refuses connections
    /// instead.
    pub(super) fn wrong_protocol(&self) -> Option<LogError> {
        let closed = self.contacts.closed.load(Ordering::Relaxed);
        let refused = self.contacts.refused.load(Ordering::Relaxed);
        if closed == 0 || refused > 0 {
            return None;
        }
        let reason = self.reason().unwrap_or_default();
        Some(LogError::Misconfigured(format!(
            "the brokers close connections while they are set up: {reason}; set security_protocol \
             in kafka.properties to that of the port in kafka.bootstrap_servers (plaintext, ssl, \
             sasl_plaintext or sasl_ssl)"
        )))
    }

    /// Explains an error of a call to the operator.
    pub(super) fn explain(&self, error: KafkaError) -> LogError {
        if let Some(refusal) = self.refusal() {
            return refusal;
        }
        match self.recent() {
            Some(Reported { reason, .. }) => {
                let what = match error {
                    KafkaError::MetadataFetch(_) => "no broker answers".to_owned(),
                    error => error.to_string(),
                };
                LogError::Unavailable(format!("{what}: {reason}").into())
            }
            None => error.into(),
        }
    }

    /// The last reason why a broker could not be reached.
    pub(super) fn reason(&self) -> Option<String> {
        self.recent().map(|reported| reported.reason)
    }

    fn recent(&self) -> Option<Reported> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.clone()
            .filter(|reported| reported.at.elapsed() < REMEMBERED)
    }
}

/// The reason in librdkafka's words. It counts each bootstrap address as a broker of its own, so
/// its number of brokers is left out.
fn in_words(code: Code, reason: &str) -> String {
    match code {
        Code::AllBrokersDown => "no broker can be reached".to_owned(),
        _ => reason.to_owned(),
    }
}

/// Whether somebody listened, and closed the connection while it was set up.
fn is_closed(reason: &str) -> bool {
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    says(&[
        "Disconnected",
        "closed by peer",
        "Broken pipe",
        "Connection reset",
    ]) && says(&[
        "state UP",
        "state SSL_HANDSHAKE",
        "state APIVERSION_QUERY",
        "security.protocol",
    ])
}

/// Whether nobody listened.
fn is_refused(reason: &str) -> bool {
    [
        "Connection refused",
        "Failed to resolve",
        "No route to host",
        "unreachable",
    ]
    .iter()
    .any(|word| reason.contains(word))
}

/// A broker that stops in the middle of a handshake also fails it, so what is said counts, not
/// only the kind.
fn fault(code: Code, reason: &str) -> Fault {
    let says = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    let cut = says(&[
        "Disconnected",
        "disconnected",
        "Connection reset",
        "closed by peer",
        "timed out",
        "unexpected eof",
    ]);
    match code {
        Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism
            if !cut || says(&["handshake"]) =>
        {
            Fault::Credentials
        }
        Code::SSL if !cut => Fault::Tls,
        _ => Fault::Away,
    }
}

/// What a consumer must do about an error that it received instead of an event.
pub(super) fn reaction(error: &KafkaError) -> Reaction {
    if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
        return Reaction::Rejoin;
    }
    match error.rdkafka_error_code() {
        Some(Code::Fatal | Code::FencedInstanceId | Code::InvalidGroupId) => Reaction::Rejoin,
        Some(
            Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::InvalidTopic
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::SSL
            | Code::BadMessage
            | Code::BadCompression
            | Code::InvalidMessage
            | Code::InconsistentGroupProtocol,
        ) => Reaction::Report,
        _ => Reaction::GoOn,
    }
}

/// The sentence for an error that concerns a topic or a group.
pub(super) fn refused(error: &KafkaError, topic: &str, group: &str) -> Option<LogError> {
    let sentence = match error.rdkafka_error_code()? {
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::InvalidTopic => {
            format!("the topic {topic} does not exist: run `picresize migrate`")
        }
        Code::TopicAuthorizationFailed => {
            format!("the Kafka user may not use the topic {topic}: grant Read, Write and Describe")
        }
        Code::GroupAuthorizationFailed => {
            format!("the Kafka user may not use the consumer group {group}: grant Read")
        }
        Code::ClusterAuthorizationFailed => {
            "the Kafka user may not write idempotently: grant IdempotentWrite on the cluster"
                .to_owned()
        }
        Code::InconsistentGroupProtocol => format!(
            "the consumer group {group} has members of another program or version: stop them, or \
             set another worker.group"
        ),
        _ => return None,
    };
    Some(LogError::Misconfigured(sentence))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_goes_on_after_what_librdkafka_mends() {
        for code in [
            Code::AllBrokersDown,
            Code::BrokerTransportFailure,
            Code::Resolve,
            Code::OperationTimedOut,
            Code::NotCoordinator,
            Code::CoordinatorLoadInProgress,
            Code::LeaderNotAvailable,
            Code::NotLeaderForPartition,
            Code::RebalanceInProgress,
            Code::UnknownMemberId,
            Code::PollExceeded,
            Code::AutoOffsetReset,
        ] {
            let error = KafkaError::MessageConsumption(code);
            assert_eq!(reaction(&error), Reaction::GoOn, "{code:?}");
        }
    }

    #[test]
    fn a_consumer_reports_what_somebody_must_mend() {
        for code in [
            Code::UnknownTopicOrPartition,
            Code::TopicAuthorizationFailed,
            Code::GroupAuthorizationFailed,
            Code::Authentication,
        ] {
            let error = KafkaError::MessageConsumption(code);
            assert_eq!(reaction(&error), Reaction::Report, "{code:?}");
        }
        let fatal = KafkaError::MessageConsumptionFatal(Code::FencedInstanceId);
        assert_eq!(reaction(&fatal), Reaction::Rejoin);
    }

    #[test]
    fn a_cause_is_not_hidden_by_what_follows_it() {
        let last = LastError::default();
        let note = |code, reason| last.note(&KafkaError::Global(code), reason);
        note(Code::BrokerTransportFailure, "a:1: connection refused");
        note(Code::AllBrokersDown, "6/6 brokers are down");
        let error = || KafkaError::MetadataFetch(Code::OperationTimedOut);
        let sentence = last.explain(error()).to_string();
        assert!(sentence.contains("a:1: connection refused"), "{sentence}");
        note(Code::Authentication, "a:1: authentication failed");
        note(Code::BrokerTransportFailure, "a:1: connection refused");
        assert!(matches!(
            last.explain(error()),
            LogError::Misconfigured(sentence) if sentence.contains("sasl_password")
        ));
        last.forget();
        assert!(last.explain(error()).is_transient());
    }

    #[test]
    fn brokers_are_not_counted_twice() {
        let last = LastError::default();
        let error = KafkaError::Global(Code::AllBrokersDown);
        last.note(&error, "6/6 brokers are down");
        assert_eq!(last.reason().as_deref(), Some("no broker can be reached"));
    }

    #[test]
    fn a_port_of_another_protocol_is_told_from_a_broker_that_is_away() {
        let closed = "ssl://a:1/bootstrap: Disconnected: SSL connection closed by peer (after 20ms \
                      in state SSL_HANDSHAKE)";
        let broken = "a:1/bootstrap: Send failed: Broken pipe (after 0ms in state UP)";
        let refused = "a:1/bootstrap: Connect to a:1 failed: Connection refused (after 0ms in \
                       state CONNECT)";
        let note = |last: &LastError, reason| {
            last.note(&KafkaError::Global(Code::BrokerTransportFailure), reason);
        };
        for reason in [closed, broken] {
            let last = LastError::default();
            assert!(last.wrong_protocol().is_none());
            note(&last, reason);
            let sentence = last.wrong_protocol().unwrap().to_string();
            assert!(sentence.contains("set security_protocol"), "{sentence}");
            note(&last, refused);
            assert!(last.wrong_protocol().is_none());
        }
    }

    #[test]
    fn a_handshake_that_a_stopping_broker_cut_is_no_misconfiguration() {
        let cut = "ssl://a:1/1: SSL handshake failed: Disconnected: connecting to a broker";
        assert_eq!(fault(Code::SSL, cut), Fault::Away);
        let wrong = "ssl://a:1/1: SSL handshake failed: certificate verify failed";
        assert_eq!(fault(Code::SSL, wrong), Fault::Tls);
    }
}
