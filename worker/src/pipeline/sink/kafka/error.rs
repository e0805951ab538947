//! What goes wrong when records leave for a topic.
//!
//! Owns: the remedy for each cause, and whether it may pass.
//! Never: shows a secret.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use streamjob_checkpoint::retry::Passing;
use thiserror::Error;

use crate::kafka::TopicError;

/// Why records could not be published. None of the epoch is visible to readers of committed records.
#[derive(Debug, Error)]
pub enum KafkaSinkError {
    /// A call of the cluster.
    #[error("cannot {action}: {cause}")]
    Call {
        /// What was tried, in words.
        action: String,
        /// What librdkafka says.
        cause: KafkaError,
    },
    /// The cluster refuses, or knows this client no longer.
    #[error(
        "Kafka at {servers} refuses: {reason}; check `tls` and `sasl` of the cluster, and the user's rights"
    )]
    Refused {
        /// The brokers.
        servers: String,
        /// What it says.
        reason: String,
    },
    /// What is asked of it at the start.
    #[error(transparent)]
    Cluster(#[from] TopicError),
    /// A topic that is not there.
    #[error("the topic `{topic}`, which `{field}` names, is not there; create it and run again")]
    NoTopic {
        /// Which.
        topic: String,
        /// What names it.
        field: String,
    },
    /// The topic of progress cannot be relied on.
    #[error("the topic `{topic}` {what}; {remedy}")]
    ProgressTopic {
        /// Its name.
        topic: &'static str,
        /// What is wrong with it.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Someone else's transaction stays open and hides what is behind it.
    #[error(
        "what this job has published cannot be known yet: a transaction of another producer is open in \
         `{topic}` below offset {high}; waiting for it to end"
    )]
    ProgressUnknown {
        /// The topic of progress.
        topic: &'static str,
        /// Its end.
        high: i64,
    },
    /// The topic of progress is not the one that was written to.
    #[error(
        "`{topic}` ends at offset {high}, but this job's progress had come to {from}: the topic was deleted and made anew, so \
         nobody knows whether the output of the last epoch is out; restore the topic, or look into the output and go on on \
         purpose with `streamjob run --from EPOCH`, which puts out again what followed it"
    )]
    ProgressLost {
        /// The topic of progress.
        topic: &'static str,
        /// What the log says.
        from: i64,
        /// Its end.
        high: i64,
    },
    /// A progress record that another build wrote.
    #[error(
        "`{topic}` holds `{value}` at offset {offset}, which this build does not understand; run the newer build"
    )]
    ProgressTooNew {
        /// The topic of progress.
        topic: &'static str,
        /// Where.
        offset: i64,
        /// What stands there.
        value: String,
    },
    /// The state has been replaced by an older one.
    #[error(
        "epoch {published} of slot {slot} is published, but the newest record of the state's log is of epoch {newest}: \
         the state is older than its output, and going on would publish again; put the missing records back, or go back \
         on purpose with `streamjob run --from EPOCH`, which puts out again what followed it, or begin anew with \
         `streamjob run --fresh --discard-state`"
    )]
    OlderThanOutput {
        /// Which slot.
        slot: u32,
        /// What it has published.
        published: u64,
        /// What the state knows of.
        newest: u64,
    },
}

impl KafkaSinkError {
    /// A call that failed.
    pub(super) fn call(action: impl Into<String>) -> impl FnOnce(KafkaError) -> Self {
        let action = action.into();
        move |cause| Self::Call { action, cause }
    }
}

impl Passing for KafkaSinkError {
    fn may_pass(&self) -> bool {
        match self {
            // What the broker refuses for its content it will refuse again. All else is brokers, rights, time.
            Self::Call { cause, .. } => !matches!(
                cause.rdkafka_error_code(),
                Some(
                    RDKafkaErrorCode::MessageSizeTooLarge
                        | RDKafkaErrorCode::InvalidMessageSize
                        | RDKafkaErrorCode::InvalidRecord
                        | RDKafkaErrorCode::UnsupportedVersion
                        | RDKafkaErrorCode::UnsupportedFeature
                )
            ),
            // Passwords and certificates are read again with the next try.
            Self::Refused { .. } | Self::ProgressUnknown { .. } => true,
            Self::Cluster(error) => error.may_pass(),
            Self::NoTopic { .. }
            | Self::ProgressTopic { .. }
            | Self::ProgressLost { .. }
            | Self::ProgressTooNew { .. }
            | Self::OlderThanOutput { .. } => false,
        }
    }
}
