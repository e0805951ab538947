//! The coordinator role: it starts epochs, commits them, has them published, and decides when the job is over.
//!
//! Owns: the state machine ([`state`]), and the thread around it.
//! Never: touches rows, or state of windows.

pub mod event;
pub mod state;

mod commit;
mod effects;
mod end;
mod epoch;
mod savepoints;
mod shell;
mod status;
mod step;

pub use shell::{CoordinatorSetup, run};

/// How a job ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// All input was read and everything has fired.
    Finished,
    /// Someone asked it to stop; nothing fired early.
    Stopped,
    /// Its process was asked to leave, after a last epoch: another one goes on.
    Left,
    /// The time that it had to hand over or to leave is over.
    OutOfTime,
}

#[cfg(test)]
mod tests;
