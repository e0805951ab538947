//! What goes wrong when rows leave the process.
//!
//! Owns: the remedy for each cause.
//! Never: tries again.

use std::io;
use std::path::{Path, PathBuf};

use streamjob_checkpoint::retry::{Passing, io_may_pass};
use streamjob_plan::Cause;
use thiserror::Error;

use super::kafka::KafkaSinkError;
use crate::kafka::ConfigError;
use crate::pipeline::encode::EncodeError;

/// Why rows could not be written. No file under a final name is ever partial.
#[derive(Debug, Error)]
pub enum SinkError {
    /// The folder of a target cannot be used.
    #[error("{field}: {source}")]
    Folder {
        /// What names it in the manifest.
        field: String,
        /// Why.
        source: Box<SinkError>,
    },
    /// The folder, or a file in it, cannot be written.
    #[error("cannot {action} {}: {source}; {}", path.display(), remedy(source))]
    Io {
        /// What was tried, such as `create folder`.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The folder holds output of something else.
    #[error(
        "output folder {} holds `{file}`, which this run did not write: empty the folder or choose another `url`",
        folder.display()
    )]
    ForeignFolder {
        /// The folder.
        folder: PathBuf,
        /// One of the files.
        file: String,
    },
    /// The folder holds output of this state that the state does not know of.
    #[error(
        "output folder {} holds `{file}` of epoch {epoch}, but the newest record of the state's log is of {newest}: the \
         state is older than its output, and going on would publish again; put the missing records back, or go back on \
         purpose with `streamjob run --from EPOCH`, which puts out again what followed it, or empty the folder and begin \
         with `streamjob run --fresh --discard-state`",
        folder.display()
    )]
    OlderThanOutput {
        /// The folder.
        folder: PathBuf,
        /// One of the files.
        file: String,
        /// The epoch that published it.
        epoch: u64,
        /// What the state knows of, in words.
        newest: String,
    },
    /// Whoever read standard output went away: nobody wants more rows, so the job stops cleanly.
    #[error("standard output was closed by its reader")]
    ReaderGone,
    /// Standard output cannot be written.
    #[error("cannot write standard output: {0}")]
    Stdout(#[source] io::Error),
    /// A checkpoint with output for a target that the job does not have.
    #[error(
        "the checkpoint holds output for `{name}`, which the manifest no longer has: run the old manifest once more"
    )]
    Target {
        /// The target.
        name: String,
    },
    /// Records cannot be published.
    #[error(transparent)]
    Kafka(#[from] KafkaSinkError),
    /// A Kafka client cannot be set up.
    #[error(transparent)]
    KafkaConfig(#[from] ConfigError),
    /// A record that no broker takes.
    #[error(
        "a record for the topic `{topic}` with the key `{key}` has {bytes} bytes, and {bytes_max} are allowed; raise \
         `message.max.bytes` in `cluster.properties` and `max.message.bytes` of the topic, or select fewer columns"
    )]
    RecordTooLarge {
        /// The topic.
        topic: String,
        /// The beginning of its key.
        key: String,
        /// Key and value.
        bytes: usize,
        /// What is allowed.
        bytes_max: usize,
    },
    /// A row that names a topic which cannot be written to.
    #[error(
        "`sink.kafka.topicField` of a result names no topic to write to: {fault}; map such values with `select`, or leave the rows out with `where`"
    )]
    TopicName {
        /// What is wrong with the name, and what to do.
        fault: Cause,
    },
    /// The schema has a type without a text form.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl SinkError {
    /// Whether this is no fault but a reason to stop: the reader of standard output has seen enough.
    pub fn is_clean_stop(&self) -> bool {
        match self {
            Self::ReaderGone => true,
            Self::Folder { .. }
            | Self::Io { .. }
            | Self::ForeignFolder { .. }
            | Self::OlderThanOutput { .. }
            | Self::Stdout(_)
            | Self::Target { .. }
            | Self::Kafka(_)
            | Self::KafkaConfig(_)
            | Self::RecordTooLarge { .. }
            | Self::TopicName { .. }
            | Self::Encode(_) => false,
        }
    }

    /// An error of the system on a path.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

impl Passing for SinkError {
    fn waits_for(&self) -> &'static str {
        if matches!(self, Self::Kafka(_)) { "Kafka" } else { "sink" }
    }

    fn may_pass(&self) -> bool {
        match self {
            Self::Folder { source, .. } => source.may_pass(),
            Self::Io { source, .. } => io_may_pass(source.kind()),
            Self::Kafka(error) => error.may_pass(),
            Self::ForeignFolder { .. }
            | Self::OlderThanOutput { .. }
            | Self::ReaderGone
            | Self::Stdout(_)
            | Self::Target { .. }
            | Self::KafkaConfig(_)
            | Self::RecordTooLarge { .. }
            | Self::TopicName { .. }
            | Self::Encode(_) => false,
        }
    }
}

fn remedy(cause: &io::Error) -> &'static str {
    // A wildcard on purpose: the system has many more causes, and for those its own words must do.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is the standard library's and open")]
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space there, or choose another `url` and run again"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "make the folder writable or choose another `url`, then run again"
        }
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            "a `url` must be a folder: move the file away or choose another `url`"
        }
        io::ErrorKind::NotFound => "something removed the folder while the job was writing: run again",
        _ => "choose another `url` if this does not go away",
    }
}
