//! Reads what retention must know, and looks once more whether it still leads.
//!
//! Owns: the order of those questions: who leads is asked last.
//! Never: deletes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::plan::{Facts, Known, Plan};
use crate::ids::{Generation, Seq};
use crate::protocol::{Action, Answer, CommitPermit, Machine, Step};

/// A look at the log, by its leader.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Look {
    head: Seq,
    own: Generation,
    retain: usize,
    pins: BTreeSet<Seq>,
    known: BTreeMap<Seq, Known>,
    listed: Arc<[Seq]>,
    data: Option<Vec<String>>,
    at: At,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum At {
    Listing,
    Reading(Seq),
    ListingData,
    AskingWhoLeads,
    Done(Seen),
}

/// What there is to delete.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Seen {
    /// This.
    Plan(Box<Plan>),
    /// There is a record behind the leader's last one.
    Overtaken,
}

impl Look {
    /// By who holds this permit. `data`: objects are listed too.
    pub fn new(permit: &CommitPermit, retain: usize, pins: BTreeSet<Seq>, data: bool) -> Self {
        let head = permit.head();
        let known = BTreeMap::from([(head.record.seq, Known::of(head))]);
        Self {
            head: head.record.seq,
            own: permit.generation(),
            retain,
            pins,
            known,
            listed: Arc::default(),
            data: data.then(Vec::new),
            at: At::Listing,
        }
    }

    /// The same with what an earlier look has read.
    pub fn knowing(mut self, known: BTreeMap<Seq, Known>) -> Self {
        let older = known.into_iter().filter(|(seq, _)| *seq < self.head);
        self.known.extend(older);
        self
    }

    /// What was read, of what is still there.
    pub fn into_known(mut self) -> BTreeMap<Seq, Known> {
        self.known.retain(|seq, _| *seq == self.head || self.listed.binary_search(seq).is_ok());
        self.known
    }

    fn facts(&self) -> Facts<'_> {
        Facts {
            head: self.head,
            own: self.own,
            retain: self.retain,
            pins: &self.pins,
            known: &self.known,
            listed: &self.listed,
            data: self.data.as_deref().unwrap_or_default(),
        }
    }

    /// The record to read next.
    fn next_read(&self) -> At {
        let facts = self.facts();
        let unread = facts.keep_from().map(|keep_from| facts.unread(keep_from));
        match unread {
            Err(seq) | Ok(Some(seq)) => At::Reading(seq),
            Ok(None) if self.data.is_some() => At::ListingData,
            Ok(None) => At::AskingWhoLeads,
        }
    }

    fn plan(&self) -> Plan {
        let facts = self.facts();
        let keep_from = facts.keep_from().unwrap_or(Seq::FIRST);
        facts.plan(keep_from)
    }
}

impl Machine for Look {
    type Outcome = Seen;

    fn step(&self) -> Step<Seen> {
        match &self.at {
            At::Listing => Step::Ask(Action::List(Seq::FIRST)),
            At::Reading(seq) => Step::Ask(Action::Get(*seq)),
            At::ListingData => Step::Ask(Action::ListData),
            At::AskingWhoLeads => Step::Ask(Action::List(self.head.next())),
            At::Done(seen) => Step::Done(seen.clone()),
        }
    }

    fn on(&mut self, answer: Answer) {
        self.at = match (self.at.clone(), answer) {
            (at, Answer::Unknown) => at,
            (At::Listing, Answer::Listed(listed)) => {
                let (own, newer): (Vec<Seq>, Vec<Seq>) =
                    listed.into_iter().partition(|seq| *seq <= self.head);
                self.listed = own.into();
                if newer.is_empty() { self.next_read() } else { At::Done(Seen::Overtaken) }
            }
            (At::Reading(_), Answer::Got(found)) => {
                self.known.insert(found.record.seq, Known::of(&found));
                self.next_read()
            }
            // Deleted by the leader before, who was slow.
            (At::Reading(seq), Answer::Absent) => {
                self.listed = self.listed.iter().copied().filter(|&listed| listed != seq).collect();
                self.next_read()
            }
            (At::ListingData, Answer::Objects(objects)) => {
                self.data = Some(objects);
                At::AskingWhoLeads
            }
            (At::AskingWhoLeads, Answer::Listed(newer)) if newer.is_empty() => {
                At::Done(Seen::Plan(Box::new(self.plan())))
            }
            (At::AskingWhoLeads, Answer::Listed(_)) => At::Done(Seen::Overtaken),
            (at, answer) => panic!("{answer:?} is no answer to {at:?}"),
        };
    }
}
