//! What an error means to whoever watches the job on a cluster.
//!
//! Owns: from each error of the worker to a reason, a message that names no row, and whether starting again may help.
//! Never: decides whether another attempt is made here and now: each error says that of itself.

use streamjob_checkpoint::bundle::BundleError;
use streamjob_checkpoint::log::{CommitError, LogError};
use streamjob_checkpoint::protocol::Refusal;
use streamjob_checkpoint::record::RecordError;
use streamjob_checkpoint::retry::{Passing, with_causes};
use streamjob_checkpoint::savepoint::SavepointError;
use streamjob_checkpoint::store::StoreError;
use streamjob_crds::Reason;
use streamjob_crds::worker::Termination;

use super::termination::{failure, fenced};
use crate::kafka::{ConfigError, TopicError};
use crate::pipeline::records::SourceError;
use crate::pipeline::sink::{KafkaSinkError, SinkError};
use crate::runtime::RunError;

/// Why a job cannot start or go on.
pub(super) fn of_run(error: &RunError) -> Termination {
    let may_pass = error.may_pass();
    match error {
        // What stands in the record may be secret; its columns and types are those of the manifest.
        RunError::BadRecord { file, place, cause } => failure(
            Reason::BadRecord,
            format!(
                "{file}:{place}: {}; mend what writes such records, or set `spec.pipeline.source.badRecords.action` to Skip or \
                 DeadLetter",
                cause.without_values()
            ),
            false,
        ),
        RunError::Source(error) => of_source(error),
        RunError::Sink(error) => of_sink(error),
        RunError::Log(error) => of_log(error),
        RunError::Store(error)
        | RunError::Location { source: error }
        | RunError::Commit(CommitError::Unresolved(error)) => of_store(error),
        RunError::Fenced { by } | RunError::Commit(CommitError::Fenced { by }) => {
            fenced(by.incarnation, format!("generation {by} has taken over; this one publishes nothing more"))
        }
        RunError::Commit(CommitError::Record(error)) => of_record(error),
        RunError::Outbox { source } => of_bundle(source),
        RunError::OutboxWrite { cause, .. } => failure(Reason::StoreUnavailable, cause.clone(), true),
        RunError::Restore { cause } => failure(Reason::StateDamaged, cause.clone(), false),
        RunError::Checkpoint => failure(Reason::StateDamaged, error.to_string(), false),
        // A sum that does not fit: the message names aggregate and window.
        RunError::Window(_) => failure(Reason::BadRecord, with_causes(error), false),
        RunError::Key(_) => failure(Reason::PipelineRejected, with_causes(error), false),
        RunError::Worker { .. }
        | RunError::Commit(CommitError::Late | CommitError::Refused(_))
        | RunError::Protocol { .. }
        | RunError::WorkerProcess { .. }
        | RunError::Thread { .. }
        | RunError::Panicked { .. } => failure(Reason::Internal, with_causes(error), may_pass),
    }
}

/// A log that cannot be read, or a start that it refuses.
pub(super) fn of_log(error: &LogError) -> Termination {
    match error {
        LogError::Refused(refusal) => of_refusal(refusal),
        LogError::Record(error) => of_record(error),
        LogError::NoRecord { .. } => failure(Reason::StateDamaged, error.to_string(), false),
        LogError::Store(error) => of_store(error),
    }
}

/// A start that the log refuses. Their own messages are for the command line.
pub(super) fn of_refusal(refusal: &Refusal) -> Termination {
    match refusal {
        Refusal::StateOwned { owner, asked } => failure(
            Reason::StateOwned,
            format!(
                "spec.state: the state belongs to {owner}, and this is {asked}: give this job another `location`, or delete \
                 it and create it anew with another `id`; or, if the other never comes back, take its state over with \
                 `kubectl streamjob restore {} --namespace {} --from Latest --take-over {owner}`",
                asked.name, asked.namespace
            ),
            false,
        ),
        Refusal::FingerprintChanged { field, old, new } => failure(
            Reason::StateIncompatible,
            format!(
                "{field}: `{old}` when the state was written, `{new}` now: change it back, or restore from Nothing"
            ),
            false,
        ),
        Refusal::SinkChanged { target, old, new } => failure(
            Reason::SinkChanged,
            format!(
                "spec.pipeline.sink: the output of {target} went to `{old}` and would go to `{new}`, but the job has not \
                 ended there: change it back until a hand-over is complete"
            ),
            false,
        ),
        Refusal::Fenced { by, own } => {
            fenced(by.incarnation, format!("generation {by} has taken over; this start would be {own}"))
        }
        Refusal::Ended { incarnation } => {
            fenced(*incarnation, format!("incarnation {incarnation} has ended and is never started again"))
        }
        Refusal::StateExists { epoch } => failure(
            Reason::StateExists,
            format!("there is state up to epoch {epoch}, and the job was to begin with nothing"),
            false,
        ),
        Refusal::BelowFloor { head, floor } => failure(
            Reason::StateMissing,
            format!(
                "spec.state.location: the log ends with record {head}, but it had come to {floor}: an old copy, or another \
                 place"
            ),
            false,
        ),
        Refusal::LogLost | Refusal::RecordLost { .. } | Refusal::NotLinked { .. } => {
            failure(Reason::StateDamaged, refusal.to_string(), false)
        }
        Refusal::Unreadable { .. } => failure(Reason::StateDamaged, refusal.to_string(), true),
    }
}

/// A store that does not do what it is asked.
pub(super) fn of_store(error: &StoreError) -> Termination {
    let message = with_causes(error);
    let retryable = error.may_pass();
    match error {
        denied if denied.is_denied() => failure(Reason::StoreDenied, message, true),
        StoreError::BadLocation { .. } if message.contains("AWS_") => {
            failure(Reason::SecretMissing, message, false)
        }
        StoreError::BadLocation { .. } | StoreError::Unfit { .. } | StoreError::BadName { .. } => {
            failure(Reason::ConfigurationInvalid, format!("spec.state.location: {message}"), false)
        }
        StoreError::Missing { .. } | StoreError::Short { .. } | StoreError::NameTaken { .. } => {
            failure(Reason::StateDamaged, message, false)
        }
        StoreError::Denied { .. }
        | StoreError::TimedOut { .. }
        | StoreError::Full { .. }
        | StoreError::Answered { .. }
        | StoreError::Failed { .. } => failure(Reason::StoreUnavailable, message, retryable),
    }
}

/// A savepoint that cannot be begun with.
pub(super) fn of_savepoint(error: &SavepointError) -> Termination {
    match error {
        SavepointError::Store(error) => of_store(error),
        SavepointError::Object(error) => of_bundle(error),
        SavepointError::Incomplete { .. } | SavepointError::BadId { .. } => {
            failure(Reason::SavepointNotFound, error.to_string(), false)
        }
        SavepointError::TooNew { .. } => failure(Reason::StateNewer, error.to_string(), false),
        SavepointError::Damaged { .. }
        | SavepointError::Exists { .. }
        | SavepointError::NoCheckpoint { .. } => failure(Reason::StateDamaged, error.to_string(), false),
    }
}

fn of_record(error: &RecordError) -> Termination {
    match error {
        RecordError::Damaged { .. } => failure(Reason::StateDamaged, error.to_string(), false),
        RecordError::TooNew { .. } => failure(Reason::StateNewer, error.to_string(), false),
    }
}

fn of_bundle(error: &BundleError) -> Termination {
    match error {
        BundleError::Store(error) => of_store(error),
        BundleError::TooNew { .. } => failure(Reason::StateNewer, error.to_string(), false),
        BundleError::Damaged { .. } | BundleError::Encode { .. } => {
            failure(Reason::StateDamaged, with_causes(error), false)
        }
    }
}

/// A source that cannot be read.
pub(super) fn of_source(error: &SourceError) -> Termination {
    let message = with_causes(error);
    match error {
        SourceError::Topic(error) => of_topic(error, "spec.pipeline.source.kafka"),
        SourceError::Kafka(error) => of_config(error, "spec.pipeline.source.kafka.cluster"),
        SourceError::Gone { .. } | SourceError::Changed { .. } | SourceError::EndsBefore { .. } => {
            failure(Reason::SourceDataLost, message, false)
        }
        SourceError::Foreign { .. } => failure(Reason::StateIncompatible, message, false),
        SourceError::Thread { .. } => failure(Reason::Internal, message, true),
        SourceError::NoMatch { .. }
        | SourceError::Pattern { .. }
        | SourceError::Open { .. }
        | SourceError::Read { .. }
        | SourceError::Compression { .. }
        | SourceError::Folder { .. }
        | SourceError::Name { .. }
        | SourceError::Header { .. } => failure(
            Reason::PipelineRejected,
            format!("spec.pipeline.source.files: {message}"),
            error.may_pass(),
        ),
    }
}

/// A topic that cannot be used; `field` is the cluster's user in the manifest.
pub(super) fn of_topic(error: &TopicError, field: &str) -> Termination {
    let message = format!("{field}: {}", with_causes(error));
    let retryable = error.may_pass();
    match error {
        TopicError::Refused { .. } => failure(Reason::KafkaDenied, message, true),
        TopicError::Missing { .. } => failure(Reason::TopicMissing, message, false),
        TopicError::NoOffset { .. } | TopicError::NoPartition { .. } | TopicError::OutOfRange { .. } => {
            failure(Reason::PipelineRejected, message, false)
        }
        TopicError::Gone { .. }
        | TopicError::Recreated { .. }
        | TopicError::Lost { .. }
        | TopicError::BeyondEnd { .. }
        | TopicError::Damaged { .. } => failure(Reason::SourceDataLost, message, false),
        TopicError::Grown { .. } | TopicError::Failed { .. } => {
            failure(Reason::KafkaUnavailable, message, retryable)
        }
    }
}

/// A client of Kafka that cannot be set up.
pub(super) fn of_config(error: &ConfigError, field: &str) -> Termination {
    let message = format!("{field}: {}", with_causes(error));
    match error {
        ConfigError::File { .. }
        | ConfigError::Text { .. }
        | ConfigError::Environment { .. }
        | ConfigError::Empty { .. } => failure(Reason::SecretMissing, message, false),
        ConfigError::Refused { .. } | ConfigError::Client { .. } => {
            failure(Reason::PipelineRejected, message, false)
        }
    }
}

/// Output that cannot be written.
pub(super) fn of_sink(error: &SinkError) -> Termination {
    let message = with_causes(error);
    match error {
        SinkError::Kafka(error) => of_kafka_sink(error),
        SinkError::Folder { .. } => failure(Reason::SinkBlocked, message, error.may_pass()),
        SinkError::KafkaConfig(error) => of_config(error, "spec.pipeline.sink.kafka.cluster"),
        SinkError::OlderThanOutput { .. } => failure(Reason::StateOlderThanOutput, message, false),
        // Not with the key, nor with the name that a row holds.
        SinkError::RecordTooLarge { topic, bytes, bytes_max, .. } => failure(
            Reason::BadRecord,
            format!("a record for the topic `{topic}` has {bytes} bytes, and {bytes_max} are allowed"),
            false,
        ),
        SinkError::TopicName { fault } => failure(
            Reason::BadRecord,
            format!(
                "spec.pipeline.sink.kafka.topicField: a result names no topic to write to: {}; map such values with `select`, or \
                 leave the rows out with `where`",
                fault.without_values()
            ),
            false,
        ),
        SinkError::Target { .. } => failure(Reason::StateIncompatible, message, false),
        SinkError::Encode(_) => failure(Reason::PipelineRejected, message, false),
        SinkError::Io { .. }
        | SinkError::ForeignFolder { .. }
        | SinkError::ReaderGone
        | SinkError::Stdout(_) => failure(Reason::SinkBlocked, message, error.may_pass()),
    }
}

fn of_kafka_sink(error: &KafkaSinkError) -> Termination {
    let message = format!("spec.pipeline.sink.kafka: {}", with_causes(error));
    match error {
        KafkaSinkError::Cluster(error) => of_topic(error, "spec.pipeline.sink.kafka"),
        KafkaSinkError::Call { .. } => failure(Reason::KafkaUnavailable, message, error.may_pass()),
        KafkaSinkError::Refused { .. } => failure(Reason::KafkaDenied, message, true),
        KafkaSinkError::NoTopic { .. } => failure(Reason::TopicMissing, message, false),
        KafkaSinkError::ProgressTopic { .. } | KafkaSinkError::ProgressLost { .. } => {
            failure(Reason::SinkProgressUnknown, message, false)
        }
        KafkaSinkError::ProgressUnknown { .. } => failure(Reason::SinkProgressUnknown, message, true),
        KafkaSinkError::ProgressTooNew { .. } => failure(Reason::StateNewer, message, false),
        KafkaSinkError::OlderThanOutput { .. } => failure(Reason::StateOlderThanOutput, message, false),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use streamjob_checkpoint::ids::{Generation, Seq};
    use streamjob_checkpoint::record::Owner;
    use streamjob_plan::Cause;

    use super::*;

    #[test]
    fn what_stands_in_a_record_is_not_told() {
        let bad = RunError::BadRecord {
            file: Arc::from("clicks/3"),
            place: 17,
            cause: Cause::quoting(
                "column `n`: expected Int64, found `canary`",
                "column `n`: expected Int64, found text",
            ),
        };
        let large = RunError::Sink(SinkError::RecordTooLarge {
            topic: "out".to_owned(),
            key: "canary".to_owned(),
            bytes: 9,
            bytes_max: 8,
        });
        let named =
            RunError::Sink(SinkError::TopicName { fault: Cause::quoting("`canary` is read", "it is read") });

        let told = [bad, large, named].map(|error| of_run(&error));

        let of_column = "clicks/3:17: column `n`: expected Int64, found text; ";
        assert!(told[0].message.starts_with(of_column), "{:?}", told[0]);
        assert!(told[2].message.contains("names no topic to write to: it is read; "), "{:?}", told[2]);
        for told in told {
            assert_eq!((told.reason, told.retryable), (Reason::BadRecord, false));
            assert!(!told.message.contains("canary"), "{told:?}");
        }
    }

    #[test]
    fn refusals_name_a_field_and_no_command_line() {
        let generation = |incarnation| Generation { incarnation, attempt: 1 };
        let owner = Owner { cluster: "c".into(), namespace: "n".into(), name: "j".into() };
        let asked = Owner { cluster: "d".into(), ..owner.clone() };
        let field = "spec.pipeline.window.tumbling.size".to_owned();
        let changed = |field| Refusal::FingerprintChanged { field, old: "10s".into(), new: "20s".into() };
        let cases = [
            (
                Refusal::StateOwned { owner, asked: Box::new(asked) },
                Reason::StateOwned,
                "`kubectl streamjob restore j --namespace n --from Latest --take-over c/n/j`",
            ),
            (changed(field), Reason::StateIncompatible, "spec.pipeline.window.tumbling.size"),
            (
                Refusal::BelowFloor { head: Seq(3), floor: Seq(9) },
                Reason::StateMissing,
                "spec.state.location",
            ),
            (Refusal::Fenced { by: generation(9), own: generation(8) }, Reason::Fenced, "generation 9-1"),
        ];
        for (refusal, reason, words) in cases {
            let told = of_refusal(&refusal);

            assert_eq!(told.reason, reason);
            assert!(told.message.contains(words), "{told:?}");
            let of_streamjob = ["--fresh", "--discard-state", "Ctrl-C"];
            assert!(!of_streamjob.iter().any(|word| told.message.contains(word)), "{told:?}");
        }
        let by = of_refusal(&Refusal::Fenced { by: generation(9), own: generation(8) });
        assert_eq!(by.incarnation, Some(9));
    }
}
