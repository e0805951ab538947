//! Appends one record: the only way in which anything is committed.
//!
//! Owns: what a lost answer, a record in our place and a create after a deletion mean.
//! Never: gives up: whoever runs it may, and then nobody knows what became of the record.

use std::sync::Arc;

use super::{Action, Answer, Machine, Step};
use crate::ids::Seq;
use crate::planted::{self, Bug};
use crate::record::Stored;

/// A record on its way into the log.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Append {
    record: Arc<Stored>,
    at: At,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum At {
    Creating,
    /// Something is in its place, or no answer came: whose record is there?
    ReadingBack,
    /// It is in the log. Is it the newest?
    Checking,
    /// It is not: this one is. Whose is it?
    ReadingNewest(Seq),
    Done(Appended),
}

/// What came of it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Appended {
    /// It is the head.
    Mine,
    /// Someone else is where it would be, or beyond.
    Lost {
        /// One of their records.
        to: Arc<Stored>,
    },
}

impl Append {
    /// Of this record, at its place.
    pub fn new(record: Arc<Stored>) -> Self {
        Self { record, at: At::Creating }
    }

    /// What is appended.
    pub fn record(&self) -> &Arc<Stored> {
        &self.record
    }

    fn created() -> At {
        if planted::is(Bug::NoVoidCheck) { At::Done(Appended::Mine) } else { At::Checking }
    }

    /// A 409 or a lost answer may look like this too: only reading it tells.
    fn exists(&self) -> At {
        if planted::is(Bug::ExistsIsSuccess) {
            return At::Done(Appended::Mine);
        }
        if planted::is(Bug::ExistsIsFenced) {
            return At::Done(Appended::Lost { to: self.record.clone() });
        }
        At::ReadingBack
    }

    fn read_back(&self, found: Arc<Stored>) -> At {
        let (own, other) = (&self.record, &found);
        if own.hash == other.hash {
            return At::Checking;
        }
        assert!(
            own.record.writer != other.record.writer,
            "writer {} has written two records {}",
            own.record.writer,
            own.record.seq
        );
        At::Done(Appended::Lost { to: found })
    }

    /// A listing from behind our place. If there is anything, our record took the place of one that was used and
    /// deleted while we were stalled: it is no part of the log.
    fn checked(&self, behind: &[Seq]) -> At {
        match behind.iter().rfind(|&&seq| seq > self.record.record.seq) {
            Some(&newest) => At::ReadingNewest(newest),
            None => At::Done(Appended::Mine),
        }
    }
}

impl Machine for Append {
    type Outcome = Appended;

    fn step(&self) -> Step<Appended> {
        let own = self.record.record.seq;
        match &self.at {
            At::Creating => Step::Ask(Action::Create(self.record.clone())),
            At::ReadingBack => Step::Ask(Action::Get(own)),
            At::Checking => Step::Ask(Action::List(own.next())),
            At::ReadingNewest(seq) => Step::Ask(Action::Get(*seq)),
            At::Done(appended) => Step::Done(appended.clone()),
        }
    }

    fn on(&mut self, answer: Answer) {
        self.at = match (self.at.clone(), answer) {
            (At::Creating, Answer::Created) => Self::created(),
            (At::Creating, Answer::Exists) => self.exists(),
            (At::Creating, Answer::Unknown) => At::ReadingBack,
            (At::ReadingBack, Answer::Got(found)) => self.read_back(found),
            // Not there, though it may still come: the same record once more cannot do harm.
            (At::ReadingBack, Answer::Absent) => At::Creating,
            (At::Checking, Answer::Listed(behind)) => self.checked(&behind),
            (At::ReadingNewest(_), Answer::Got(newest)) => At::Done(Appended::Lost { to: newest }),
            // Collected meanwhile, so there are still newer ones.
            (At::ReadingNewest(_), Answer::Absent) => At::Checking,
            (at, Answer::Unknown) => at,
            (at, answer) => panic!("{answer:?} is no answer to {at:?}"),
        };
    }
}
