//! Where the truth is kept: checkpoints, the log that commits them, and what may be deleted.
//!
//! Owns: every byte that a job leaves in its store, and the protocol by which it is written; `FORMAT.md` describes both.
//! Never: knows a pipeline stage, a manifest or a thread.

pub mod bundle;
pub mod checkpoint;
pub mod erase;
#[cfg(test)]
mod exploration;
pub mod fail_point;
pub mod ids;
pub mod log;
pub mod outage;
pub mod outbox;
pub mod planted;
pub mod protocol;
pub mod record;
pub mod retention;
pub mod retry;
pub mod savepoint;
pub mod store;
pub mod transition;
pub mod verify;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod sample;
