//! Finds the newest record.
//!
//! Owns: that a listing alone is not believed: the place behind it is probed, and the head is read.
//! Never: takes silence for an empty log.

use std::sync::Arc;

use super::{Action, Answer, Machine, Step};
use crate::ids::Seq;
use crate::planted::{self, Bug};
use crate::record::Stored;

/// How often a listed record may be gone when it is read: retention deletes old ones, never the head.
const RESTARTS_MAX: u8 = 5;

/// The question which record is the newest.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct FindHead {
    at: At,
    restarts: u8,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum At {
    Listing,
    /// Is there one at this place, behind what was found?
    Probing {
        place: Seq,
        found: Found,
    },
    /// The greatest listed one.
    Reading(Seq),
    Done(Head),
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Found {
    Nothing,
    Listed(Seq),
    Read(Arc<Stored>),
}

/// The newest record.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Head {
    /// There is no log.
    None,
    /// This one.
    At(Arc<Stored>),
    /// The listing names it, reads do not find it, and so again and again.
    Unreadable(Seq),
}

impl FindHead {
    /// The question.
    pub fn new() -> Self {
        Self { at: At::Listing, restarts: 0 }
    }

    fn listed(listed: &[Seq]) -> At {
        match listed.last() {
            Some(&newest) => At::Probing { place: newest.next(), found: Found::Listed(newest) },
            None => At::Probing { place: Seq::FIRST, found: Found::Nothing },
        }
    }

    fn probed(found: Found) -> At {
        match found {
            Found::Nothing => At::Done(Head::None),
            Found::Listed(seq) => At::Reading(seq),
            Found::Read(record) => At::Done(Head::At(record)),
        }
    }

    fn gone(&mut self, seq: Seq) -> At {
        self.restarts += 1;
        if self.restarts > RESTARTS_MAX { At::Done(Head::Unreadable(seq)) } else { At::Listing }
    }
}

impl Default for FindHead {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine for FindHead {
    type Outcome = Head;

    fn step(&self) -> Step<Head> {
        match &self.at {
            At::Listing => Step::Ask(Action::List(Seq::FIRST)),
            At::Probing { place, .. } => Step::Ask(Action::Get(*place)),
            At::Reading(seq) => Step::Ask(Action::Get(*seq)),
            At::Done(head) => Step::Done(head.clone()),
        }
    }

    fn on(&mut self, answer: Answer) {
        if answer == Answer::Unknown && !planted::is(Bug::FreshStartOnReadError) {
            return;
        }
        self.at = match (self.at.clone(), answer) {
            (At::Listing, Answer::Listed(listed)) => Self::listed(&listed),
            (At::Probing { .. }, Answer::Got(record)) => {
                At::Probing { place: record.record.seq.next(), found: Found::Read(record) }
            }
            (At::Probing { found, .. }, Answer::Absent) => Self::probed(found),
            (At::Reading(_), Answer::Got(record)) => At::Done(Head::At(record)),
            (At::Reading(seq), Answer::Absent) => self.gone(seq),
            // Only with a planted bug.
            (_, Answer::Unknown) => At::Done(Head::None),
            (at, answer) => panic!("{answer:?} is no answer to {at:?}"),
        };
    }
}
