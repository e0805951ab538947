//! What a client says of itself while it works.
//!
//! Owns: telling what went wrong, once for each reason and while; remembering it for whoever asks why nothing comes.
//! Never: ends anything: librdkafka tries again by itself.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tracing::{debug, warn};

use super::{may_pass, unreachable};

/// The same is not told again before this.
const TOLD_AGAIN: Duration = Duration::from_secs(30);

/// Before this, what follows from a trouble has come.
const FOLLOWS: Duration = Duration::from_secs(5);

/// The context of all our clients.
#[derive(Debug, Default)]
pub struct Watch {
    last: Mutex<Option<Trouble>>,
}

#[derive(Clone, Debug)]
struct Trouble {
    code: Option<RDKafkaErrorCode>,
    reason: String,
    at: Instant,
    told: Instant,
}

impl Watch {
    /// What went wrong last, if that is not longer ago than this.
    pub fn trouble(&self, within: Duration) -> Option<(Option<RDKafkaErrorCode>, String)> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|last| last.at.elapsed() <= within).map(|last| (last.code, last.reason.clone()))
    }

    /// What no time mends, unless someone does: a password, a certificate.
    pub fn refusal(&self, within: Duration) -> Option<String> {
        let (code, reason) = self.trouble(within)?;
        code.is_some_and(|code| !may_pass(code)).then_some(reason)
    }

    fn note(&self, code: Option<RDKafkaErrorCode>, reason: &str) {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // It follows from what was said of the last broker.
        if let (Some(RDKafkaErrorCode::AllBrokersDown), Some(last)) = (code, &mut *last)
            && now.duration_since(last.at) < FOLLOWS
        {
            last.at = now;
            return;
        }
        let told = last.as_ref().filter(|last| last.code == code).map(|last| last.told);
        let tell = told.is_none_or(|told| now.duration_since(told) >= TOLD_AGAIN);
        if tell {
            warn!(
                reason = unreachable(reason),
                "Kafka does not answer as it should; the job waits and tries again"
            );
        }
        let told = if tell { now } else { told.unwrap_or(now) };
        *last = Some(Trouble { code, reason: reason.to_owned(), at: now, told });
    }
}

impl ClientContext for Watch {
    fn log(&self, _level: RDKafkaLogLevel, facility: &str, message: &str) {
        debug!(facility, message, "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        // A broker that refuses a certificate does so after the handshake, by an alert: to librdkafka the connection broke.
        let refused = reason.contains("SSL alert number").then_some(RDKafkaErrorCode::SSL);
        self.note(refused.or(error.rdkafka_error_code()), reason);
    }
}

impl ConsumerContext for Watch {}
