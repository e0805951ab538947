//! What goes wrong with topics.
//!
//! Owns: which of librdkafka's errors may pass, and the remedy for those that do not.
//! Never: tries again.

use rdkafka::error::RDKafkaErrorCode;
use streamjob_checkpoint::retry::Passing;

/// Whether an error may go away by itself, so that it is waited for.
pub fn may_pass(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    !matches!(
        code,
        Code::Authentication
            | Code::SaslAuthenticationFailed
            | Code::UnsupportedSASLMechanism
            | Code::IllegalSASLState
            | Code::SSL
            | Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::InvalidTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownTopic
            | Code::UnknownPartition
            | Code::UnsupportedVersion
            | Code::UnsupportedFeature
    )
}

/// What librdkafka or the system says of a broker that cannot be reached, with what to do about it.
pub fn unreachable(reason: &str) -> String {
    let has = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    let remedy = if has(&["resolve", "lookup address", "Name or service not known"]) {
        "no host of this name is known here: check `bootstrapServers`, and the name service of this machine"
    } else if has(&["Connection refused"]) {
        "nothing listens there: check the port in `bootstrapServers`, and whether the broker runs"
    } else if has(&[
        "ApiVersion",
        "Disconnected",
        "SSL",
        "tls",
        "Receive failed",
        "an answer that is not one",
        "brokers are down",
    ]) {
        "something listens there and does not answer as such a broker: check the address in `bootstrapServers`, and whether \
         it wants `tls` or `sasl`"
    } else if has(&["timed out", "setup timed out", "No route", "unreachable"]) {
        "nothing answers there: check the address in `bootstrapServers`, and what lies between here and there"
    } else {
        return reason.to_owned();
    };
    format!("{reason}: {remedy}")
}

impl Passing for TopicError {
    fn may_pass(&self) -> bool {
        match self {
            // A password is read again with the next try, and a right may be given back.
            Self::Grown { .. } | Self::Refused { .. } => true,
            Self::Missing { .. }
            | Self::NoOffset { .. }
            | Self::NoPartition { .. }
            | Self::OutOfRange { .. }
            | Self::Gone { .. }
            | Self::Recreated { .. }
            | Self::Lost { .. }
            | Self::BeyondEnd { .. }
            | Self::Damaged { .. }
            | Self::Failed { .. } => false,
        }
    }
}

/// Why a topic cannot be read as it should be.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// The cluster refuses.
    #[error(
        "Kafka at {servers} refuses to {what}: {reason}; check `tls` and `sasl` of the cluster, and the user's rights"
    )]
    Refused {
        /// The brokers.
        servers: String,
        /// What was asked.
        what: String,
        /// What it says.
        reason: String,
    },
    /// No such topic, at the job's beginning.
    #[error("there is no topic `{topic}` at {servers}; create it, or check `source.kafka.topics`")]
    Missing {
        /// Its name.
        topic: String,
        /// The brokers.
        servers: String,
    },
    /// `startOffsets` leaves a partition out.
    #[error("`source.kafka.startOffsets` says nothing of partition {partition} of {topic}; add it")]
    NoOffset {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
    },
    /// `startOffsets` names a partition that is not there.
    #[error(
        "`source.kafka.startOffsets` names partition {partition} of {topic}, which has {partitions}; remove it"
    )]
    NoPartition {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// How many there are.
        partitions: u32,
    },
    /// `startOffsets` has an offset that is not there.
    #[error(
        "`source.kafka.startOffsets` begins partition {partition} of {topic} at {offset}, and it has the offsets {low} \
         to {high}; write one of them"
    )]
    OutOfRange {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// The offset.
        offset: u64,
        /// The oldest that is there.
        low: u64,
        /// Behind the newest.
        high: u64,
    },
    /// A topic that is not read to its end is gone.
    #[error(
        "topic {topic} is gone, and the job had not finished it (SourceTopicGone); nothing was skipped: put it back from a \
         copy, or begin anew with `--fresh --discard-state`"
    )]
    Gone {
        /// Its name.
        topic: String,
    },
    /// There are more partitions: another attempt reads them.
    #[error("topic {topic} has {found} partitions, and {known} of them are read")]
    Grown {
        /// Its name.
        topic: String,
        /// How many are read.
        known: u32,
        /// How many there are.
        found: u32,
    },
    /// Another topic of the same name, or in another cluster.
    #[error(
        "topic {topic} is another one than the job has read ({old}, now {new}): it was deleted and created again, or \
         `bootstrapServers` names another cluster (SourceTopicRecreated); nothing of it was read: begin anew with `--fresh \
         --discard-state`, or point `bootstrapServers` to the old cluster"
    )]
    Recreated {
        /// Its name.
        topic: String,
        /// The id that the job knows.
        old: String,
        /// The id of what is there.
        new: String,
    },
    /// Retention was faster.
    #[error(
        "records {from} to {} of {topic}/{partition} are gone before the job has read them: retention of the topic has passed \
         its position (SourceDataLost); nothing was skipped: begin anew with `--fresh --discard-state`, and give the topic a longer \
         `retention.ms` than the job may be away",
        to - 1
    )]
    Lost {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// The job's position.
        from: u64,
        /// The oldest record that is there.
        to: u64,
    },
    /// The topic is shorter than what was read of it.
    #[error(
        "the job has read {topic}/{partition} up to offset {offset}, and it ends at {end}: the topic has lost records that \
         were acknowledged (an unclean leader election, or a restored copy), and results contain them (SourceTruncated); begin anew \
         with `--fresh --discard-state`"
    )]
    BeyondEnd {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// The job's position.
        offset: u64,
        /// Where the partition ends.
        end: u64,
    },
    /// A record that is not what was written.
    #[error(
        "the records of {topic}/{partition} from offset {offset} on cannot be read: {cause}; the broker's copy is damaged: \
         restore it from a replica, then run again"
    )]
    Damaged {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// Where.
        offset: u64,
        /// What librdkafka says.
        cause: String,
    },
    /// Anything else that does not pass.
    #[error("cannot read {topic}/{partition} at offset {offset}: {cause}")]
    Failed {
        /// The topic.
        topic: String,
        /// The partition.
        partition: u32,
        /// Where.
        offset: u64,
        /// What librdkafka says.
        cause: String,
    },
}
