//! Ends a state for good: finds the head, and appends Deleted above it.
//!
//! Owns: whose state may be ended, and by whom: nobody who has been replaced.
//! Never: deletes anything; that comes when the record is in the log.

use std::sync::Arc;

use super::append::{Append, Appended};
use super::find_head::{FindHead, Head};
use super::permit::following;
use super::start::{Refusal, check_owner};
use super::{Action, Answer, Machine, Step};
use crate::ids::{Generation, WriterId};
use crate::record::{Body, Owner, Record, Stored};

/// An end that someone asked for.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct DeleteRequest {
    /// Whose state it must be.
    pub owner: Owner,
    /// The last incarnation that may have written it. The end is that of the next.
    pub incarnation: u64,
    /// A random number of this process.
    pub writer: WriterId,
    /// The wall clock.
    pub now_ms: i64,
}

/// An end that is not in the log yet. What comes of it is the Deleted record; `None`: there is no log.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Delete {
    request: DeleteRequest,
    /// As in a start: only what a second look finds again is true.
    doubted: Option<Refusal>,
    at: At,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum At {
    Finding(FindHead),
    /// There is no record; is there anything else?
    LookingForData,
    Appending(Append),
    Done(Box<Result<Option<Arc<Stored>>, Refusal>>),
}

impl Delete {
    /// The end that was asked for.
    pub fn new(request: DeleteRequest) -> Self {
        Self { request, doubted: None, at: At::Finding(FindHead::new()) }
    }

    fn own(&self) -> Generation {
        Generation { incarnation: self.request.incarnation + 1, attempt: 1 }
    }

    fn found(&mut self, head: Head) -> At {
        let head = match head {
            Head::None => return At::LookingForData,
            Head::Unreadable(record) => return self.refuse(Refusal::Unreadable { record }),
            Head::At(head) => head,
        };
        let (by, own) = (head.record.generation, self.own());
        if let Err(refusal) = check_owner(&head.record.owner, &self.request.owner, None) {
            return self.refuse(refusal);
        }
        let ended = head.record.body == Body::Deleted && head.record.begins_at == head.record.seq;
        if by == own && ended {
            return At::Done(Box::new(Ok(Some(head))));
        }
        if by >= own {
            return self.refuse(Refusal::Fenced { by, own });
        }
        At::Appending(Append::new(Arc::new(Stored::new(self.record(&head)))))
    }

    fn record(&self, head: &Stored) -> Record {
        let mut record = following(head, Body::Deleted);
        record.generation = self.own();
        record.writer = self.request.writer;
        record.at_ms = self.request.now_ms;
        // What is before it will be gone: no start may need it.
        record.begins_at = record.seq;
        record.unpublished = None;
        record
    }

    fn refuse(&mut self, refusal: Refusal) -> At {
        if self.doubted.as_ref() == Some(&refusal) {
            return At::Done(Box::new(Err(refusal)));
        }
        self.doubted = Some(refusal);
        At::Finding(FindHead::new())
    }

    fn appended(&mut self, append: &Append, appended: Appended) -> At {
        match appended {
            Appended::Mine => At::Done(Box::new(Ok(Some(append.record().clone())))),
            // Whether that was someone newer is seen at the next look.
            Appended::Lost { .. } => At::Finding(FindHead::new()),
        }
    }
}

impl Machine for Delete {
    type Outcome = Result<Option<Arc<Stored>>, Refusal>;

    fn step(&self) -> Step<Self::Outcome> {
        match &self.at {
            At::Finding(find) => match find.step() {
                Step::Ask(action) => Step::Ask(action),
                Step::Done(head) => unreachable!("{head:?} was taken when it was found"),
            },
            At::LookingForData => Step::Ask(Action::AnyData),
            At::Appending(append) => match append.step() {
                Step::Ask(action) => Step::Ask(action),
                Step::Done(appended) => unreachable!("{appended:?} was taken when it was known"),
            },
            At::Done(outcome) => Step::Done((**outcome).clone()),
        }
    }

    fn on(&mut self, answer: Answer) {
        self.at = match (self.at.clone(), answer) {
            (At::Finding(mut find), answer) => {
                find.on(answer);
                match find.step() {
                    Step::Ask(_) => At::Finding(find),
                    Step::Done(head) => self.found(head),
                }
            }
            (At::Appending(mut append), answer) => {
                append.on(answer);
                match append.step() {
                    Step::Ask(_) => At::Appending(append),
                    Step::Done(appended) => self.appended(&append, appended),
                }
            }
            (at, Answer::Unknown) => at,
            (At::LookingForData, Answer::Data(false)) => At::Done(Box::new(Ok(None))),
            // Without a record nobody can say whose objects they are.
            (At::LookingForData, Answer::Data(true)) => self.refuse(Refusal::LogLost),
            (at, answer) => panic!("{answer:?} is no answer to {at:?}"),
        };
    }
}
