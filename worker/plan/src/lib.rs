//! Turns a StreamJob into a plan: typed operators with resolved columns and expressions.
//!
//! Owns: names, types and SQL; the only crate that knows DataFusion.
//! Never: opens a file, a socket or a clock.

mod event_time;
mod plan;
mod transforms;

pub use event_time::{EventTimeExpr, EventTimes};
pub use plan::{
    BadRecordsPlan, ColumnGenerator, EventTimePlan, FilesPlan, FormatPlan, GeneratedValue, GeneratorPlan,
    LatePlan, NumberText, Plan, SinkKind, SinkPlan, SourceKind, SourcePlan, WindowPlan,
};
pub use transforms::{Rejected, Transformed, Transforms};
