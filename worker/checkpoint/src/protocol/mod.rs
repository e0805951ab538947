//! The commit protocol as state machines: what to ask of the store next, given what it answered.
//!
//! Owns: finding the head, appending, claiming, the permit that commits, and the end of a state.
//! Never: touches a store, a clock or randomness; [`Log`](crate::log::Log) does, and so does the exploration.

use std::sync::Arc;

use crate::ids::Seq;
use crate::record::Stored;

mod append;
mod begin;
mod decide;
mod delete;
mod find_head;
mod permit;
mod start;
#[cfg(test)]
pub(crate) mod tests;

pub use append::{Append, Appended};
pub use begin::{Begin, Claimed};
pub use delete::{Delete, DeleteRequest};
pub use find_head::{FindHead, Head};
pub use permit::{Commit, CommitPermit, Refused};
pub use start::{BeginAt, Begun, Claimant, Refusal, Start, StartRequest, check_owner};

/// A question to the store.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Action {
    /// Which records are there, from this one on?
    List(Seq),
    /// Is there any object of a checkpoint?
    AnyData,
    /// Which objects of checkpoints are there?
    ListData,
    /// Read this record.
    Get(Seq),
    /// Create this record, if there is none at its place.
    Create(Arc<Stored>),
}

/// What the store answered.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Answer {
    /// These records, in order.
    Listed(Vec<Seq>),
    /// There is some, or none.
    Data(bool),
    /// Objects of these names.
    Objects(Vec<String>),
    /// This record.
    Got(Arc<Stored>),
    /// There is no such record.
    Absent,
    /// It was created.
    Created,
    /// There is one at its place.
    Exists,
    /// No answer, or one that says nothing: what was asked for may have happened, or may happen later.
    Unknown,
}

/// What a machine wants.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Step<T> {
    /// An answer to this.
    Ask(Action),
    /// Nothing more.
    Done(T),
}

/// Something that questions to the store lead to.
pub trait Machine {
    /// What comes of it.
    type Outcome;

    /// What it wants now.
    fn step(&self) -> Step<Self::Outcome>;

    /// Takes the answer to what it asked.
    fn on(&mut self, answer: Answer);
}
