//! Windows: rows in, one result for each window and key out.
//!
//! Owns: when a window fires, what is late, and the state of open windows.
//! Never: decides what the watermark is, or waits.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod conformance;
mod data;
mod divide;
mod emitted;
mod firing;
mod frozen;
mod merge;
mod operator;
mod restored;
mod slice;
#[cfg(test)]
mod tests;
mod tumbling;

use arrow::datatypes::DataType;

use crate::aggregate::{AggregateError, AggregateSpec};
use crate::key::KeyError;

pub use data::{KeyedRows, Partials};
pub use emitted::{Emitted, RestoredSlice, SliceStatus};
pub use frozen::{Frozen, FrozenKind, FrozenSlice, StateChunk, StateCodec, StateScan};
pub use operator::{WindowOperator, WindowStats};
pub use restored::{LayerBuilder, RestoredLayer};
pub use tumbling::{CutFinder, Tumbling};

pub(crate) use divide::{Division, Rule};
pub(crate) use slice::{Adding, Side, add_rows};

/// What is computed per window and key.
#[derive(Clone, Debug)]
pub struct WindowSpec {
    /// The windows.
    pub tumbling: Tumbling,
    /// How long after its end a window still takes rows, each of which gives an updated result.
    pub allowed_lateness_ms: i64,
    /// What is computed, from the columns of [`KeyedRows::rows`].
    pub aggregates: Vec<AggregateSpec>,
    /// The columns that make a key.
    pub key_types: Vec<DataType>,
}

/// A window that cannot be computed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WindowError {
    /// A sum that does not fit.
    #[error(
        "aggregate `{aggregate}` does not fit {data_type} in the window from {window_start} to {window_end} ms; \
         give it `overflow: Null`, or make its input a Decimal with `select`"
    )]
    Overflow {
        /// The aggregate.
        aggregate: String,
        /// Of its result.
        data_type: DataType,
        /// Of the window.
        window_start: i64,
        /// Of the window.
        window_end: i64,
    },
    /// An aggregate that is not defined.
    #[error(transparent)]
    Aggregate(#[from] AggregateError),
    /// Key columns that cannot be a key.
    #[error(transparent)]
    Key(#[from] KeyError),
}
