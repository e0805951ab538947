//! Runs a plan on this machine: wiring, slots, coordinator, clock, stop.
//!
//! Owns: the threads of a job, from its start to its end.
//! Never: reads a manifest or prints.

mod bad_records;
mod coordinator;
mod counts;
mod gap;
mod intake;
pub mod messages;
mod outlets;
mod publish;
mod slot;
mod stop;
pub mod transport;
mod wiring;

use std::sync::Arc;
use std::time::Duration;

pub use coordinator::Ending;
pub use stop::StopFlag;
pub use wiring::{Input, Job, inputs};

use crate::pipeline::records::SourceError;
use crate::pipeline::sink::SinkError;

/// How a job is run, beside what its plan says.
#[derive(Clone, Debug)]
pub struct Options {
    /// The most rows that are taken from a partition at once.
    pub batch_rows: usize,
    /// The credit of the channel from one slot to another. More evens out bursts and costs memory.
    pub queue_bytes: usize,
    /// The memory of a slot's pre-aggregation. More catches keys that repeat less often.
    pub preaggregate_bytes: usize,
    /// From one barrier to the next.
    pub epoch_interval: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch_rows: 8_192,
            queue_bytes: 4 << 20,
            preaggregate_bytes: 16 << 20,
            epoch_interval: Duration::from_secs(10),
        }
    }
}

/// Why a job cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A record that cannot be used, under the policy Fail.
    #[error("{file}:{line}: {cause}; mend the record, or set `source.badRecords` to Skip or DeadLetter")]
    BadRecord {
        /// The file, or the generator's partition.
        file: Arc<str>,
        /// From 1.
        line: u64,
        /// Why.
        cause: String,
    },
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The output cannot be written.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// A window cannot be computed.
    #[error(transparent)]
    Window(#[from] streamjob_core::window::WindowError),
    /// A key that cannot be encoded.
    #[error(transparent)]
    Key(#[from] streamjob_core::key::KeyError),
    /// A thread cannot be started.
    #[error("cannot start the thread of slot {slot}; lower `parallelism`")]
    Thread {
        /// Which slot.
        slot: usize,
        /// Why.
        source: std::io::Error,
    },
    /// A bug: a slot's thread panicked.
    #[error("slot {slot} panicked: {message}; this is a bug, please report it")]
    Panicked {
        /// Which slot.
        slot: usize,
        /// What it said.
        message: String,
    },
    /// A bug: all slots left without being told to.
    #[error("all slots have left; this is a bug, please report it")]
    SlotsGone,
}
