//! Turns a StreamJob into a plan: typed operators with resolved columns and expressions.
//!
//! Owns: names, types and SQL; the only crate that knows DataFusion.
//! Never: opens a file, a socket or a clock.

#![forbid(unsafe_code)]

mod cause;
mod compile;
mod error;
mod event_time;
mod explain;
mod expr;
mod kafka;
mod plan;
mod sql;
mod steps;
mod transforms;
mod types;

pub use cause::Cause;
pub use compile::compile;
pub use error::PlanErrors;
pub use event_time::{EventTimeExpr, EventTimes};
pub use explain::explain;
pub use kafka::{
    KafkaClusterPlan, KafkaOutputPlan, KafkaRoute, KafkaSaslPlan, KafkaSourcePlan, KafkaStart, KafkaTlsPlan,
    KafkaUntil, MetadataColumn, PayloadPlan, SecretPlan,
};
pub use plan::{
    BadRecordsPlan, ColumnGenerator, EventTimePlan, FilesPlan, FormatPlan, GeneratedValue, GeneratorPlan,
    LatePlan, LocationPlan, NumberText, Plan, SinkKind, SinkPlan, SourceKind, SourcePlan, StatePlan,
    WindowPlan,
};
pub use transforms::{Rejected, Transformed, Transforms};
