//! The StreamJob API: its types, their defaults, and the checks that need nothing but the manifest.
//!
//! Owns: the shape of a manifest and every rule that can be checked without compiling expressions.
//! Never: talks to a cluster, a file other than the manifest, or DataFusion.

#![forbid(unsafe_code)]

mod bucket;
mod definition;
mod duration;
mod errors;
mod job;
mod kafka;
mod lifecycle;
mod load;
pub mod names;
mod pipeline;
mod pod;
mod quantity;
mod reason;
mod savepoint;
mod sink;
mod source;
mod state;
mod status;
mod suggest;
#[cfg(test)]
mod tests;
mod validate;
pub mod worker;
mod workers;
mod yaml;

pub use bucket::{BucketUrl, StoreKind};
pub use definition::{definitions, lacking, reference};
pub use duration::{Duration, SignedDuration};
pub use errors::{FieldError, ManifestError, ManifestErrors, Position};
pub use job::{Metadata, StreamJob, StreamJobObject, StreamJobSpec};
pub use kafka::{
    Delivery, KafkaClientCertificate, KafkaCluster, KafkaHeader, KafkaProperty, KafkaSasl, KafkaSink,
    KafkaSource, KafkaTarget, KafkaTls, SaslMechanism, SecretSource, StartFrom, StartOffset,
};
pub use lifecycle::{
    Deletion, HandoverMode, LogFormat, Network, NetworkPolicyMode, Observability, Recovery, Restore,
    RestoreFrom, Rollback, StateDeletion, Upgrade, WhenUnhealthy,
};
pub use load::Manifest;
pub use pipeline::{
    Aggregate, AggregateFunction, EventTime, FlatMap, LateAction, LateRows, Overflow, Pipeline, SelectColumn,
    Transform, Tumbling, Window,
};
pub use quantity::Quantity;
pub use reason::Reason;
pub use savepoint::{SavepointObject, SavepointPhase, StreamJobSavepointSpec, StreamJobSavepointStatus};
pub use sink::{BlackholeSink, FilesTarget, Sink, StdoutSink};
pub use source::{
    BadRecordAction, BadRecords, ChoiceColumn, Column, ColumnFrom, ColumnType, CsvFormat, FileOrder,
    FilesSource, Format, GeneratedColumn, GeneratorSource, JsonFormat, RawFormat, SequenceColumn, Source,
    TimestampColumn, UniformColumn, ZipfColumn,
};
pub use state::{Checkpoints, EphemeralState, SecretKey, SecretName, State, StateLocation};
pub use status::{
    CheckpointStatus, ConditionType, Handover, LastSavepoint, Operation, OperationType, ParallelismStatus,
    Phase, Revisions, Step, StreamJobStatus, WorkersStatus,
};
pub use validate::{
    API_VERSION, KIND, KafkaRole, PROGRESS_TOPIC, Place, kafka_property_role, kafka_target_fault, notes,
    validate,
};
pub use workers::{
    EnvironmentVariable, ImagePullPolicy, ImagePullSecret, PodDisruptionBudgetPolicy, Resources,
    WorkerTemplate, Workers,
};
