//! Begins a start: finds the head, decides, and claims.
//!
//! Owns: that a claim is decided over the very record that it follows.
//! Never: claims over a record that it has not read.

use std::sync::Arc;

use super::append::{Append, Appended};
use super::decide::{self, Decision, Facts};
use super::find_head::{FindHead, Head};
use super::permit::{CommitPermit, following};
use super::start::{BeginAt, Begun, Refusal, Start, StartRequest};
use super::{Action, Answer, Machine, Step};
use crate::ids::{Generation, Seq};
use crate::planted::{self, Bug};
use crate::record::{Body, Record, Stored};

/// A start that has not begun.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Begin {
    start: StartRequest,
    /// Fixed when the head was first seen: who loses to an equal one does not try a greater one.
    own: Option<Generation>,
    /// Why it was refused after the first look. While a start looks, others go on and delete: only what a second look
    /// finds again is true.
    doubted: Option<Refusal>,
    at: At,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum At {
    Finding(FindHead),
    /// There is no record; is there anything else?
    LookingForData,
    /// Reads the record that the head says a start begins at.
    ReadingBeginning {
        head: Arc<Stored>,
        seq: Seq,
    },
    /// Reads the epoch that may not be published.
    ReadingUnpublished {
        read: Read,
        seq: Seq,
    },
    Appending {
        read: Option<Read>,
        append: Append,
        then: Option<Box<Record>>,
    },
    Done(Box<Result<Claimed, Refusal>>),
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Read {
    head: Arc<Stored>,
    beginning: Arc<Stored>,
    unpublished: Option<Arc<Stored>>,
}

/// What a start has claimed.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Claimed {
    /// The last record that it appended; nothing if all was done before.
    claim: Option<Arc<Stored>>,
    read: Option<Read>,
}

impl Begin {
    /// The start that was asked for.
    pub fn new(start: StartRequest) -> Self {
        Self { start, own: None, doubted: None, at: At::Finding(FindHead::new()) }
    }

    fn found(&mut self, head: Head) -> At {
        let head = match head {
            Head::Unreadable(record) => return At::refused(Refusal::Unreadable { record }),
            Head::None => None,
            Head::At(head) => Some(head),
        };
        self.own.get_or_insert(decide::generation_over(&self.start, head.as_deref()));
        match head {
            None => At::LookingForData,
            Some(head) => {
                let seq = self.detour(&head, None).unwrap_or(head.record.begins_at);
                self.beginning_or_read(head, seq)
            }
        }
    }

    fn beginning_or_read(&mut self, head: Arc<Stored>, seq: Seq) -> At {
        if self.start.begin.restores(&head.record) {
            // Whatever it began at, and be that lost, it begins elsewhere now.
            return self.read_unpublished(head.clone(), head);
        }
        if seq == head.record.seq {
            return self.read_beginning(head.clone(), head);
        }
        At::ReadingBeginning { head, seq }
    }

    fn read_beginning(&mut self, head: Arc<Stored>, beginning: Arc<Stored>) -> At {
        if let Some(seq) = self.detour(&head, Some(&beginning)) {
            return At::ReadingBeginning { head, seq };
        }
        if beginning.record.seq.next() == head.record.seq && !head.follows(&beginning) {
            return self.refuse(Refusal::NotLinked { record: head.record.seq });
        }
        self.read_unpublished(head, beginning)
    }

    fn read_unpublished(&mut self, head: Arc<Stored>, beginning: Arc<Stored>) -> At {
        let read = |unpublished| Read { head: head.clone(), beginning: beginning.clone(), unpublished };
        match head.record.unpublished {
            None => self.decide(Some(read(None)), false),
            Some(seq) if seq == head.record.seq => self.decide(Some(read(Some(head.clone()))), false),
            Some(seq) if seq == beginning.record.seq => {
                self.decide(Some(read(Some(beginning.clone()))), false)
            }
            Some(seq) => At::ReadingUnpublished { read: read(None), seq },
        }
    }

    fn unpublished_lost(&mut self, read: Read, record: Seq) -> At {
        let refusal = Refusal::RecordLost { record, needed_by: read.head.record.seq };
        // Who restores knows that something is lost; output that nobody can read is lost with it.
        if self.doubted.as_ref() == Some(&refusal) && self.start.begin.restores(&read.head.record) {
            return self.decide(Some(read), false);
        }
        self.refuse(refusal)
    }

    fn refuse(&mut self, refusal: Refusal) -> At {
        if self.doubted.as_ref() == Some(&refusal) {
            return At::refused(refusal);
        }
        self.doubted = Some(refusal);
        At::Finding(FindHead::new())
    }

    fn decide(&mut self, read: Option<Read>, any_data: bool) -> At {
        let own = self.own.expect("the head was looked for first");
        let log = read.as_ref().map(|read| (&*read.head, &*read.beginning));
        let decision = match decide::decide(&self.start, own, Facts { log, any_data }) {
            Ok(decision) => decision,
            Err(refusal) => return self.refuse(refusal),
        };
        let head = read.as_ref().map(|read| &*read.head);
        let found = read.as_ref().and_then(|read| Some(read.unpublished.as_ref()?.record.seq));
        let (first, then) = match decision {
            Decision::Finished => return At::Done(Box::new(Ok(Claimed { claim: None, read }))),
            Decision::Claim => (self.record(own, head, Body::Claim { base: None }), None),
            Decision::Genesis { base, discard: false } => {
                let genesis = self.record(own, head, Body::Genesis { base });
                // Output whose record is gone is owed no more.
                (Record { unpublished: found, ..genesis }, None)
            }
            Decision::Genesis { base, discard: true } => {
                let deleted = self.record(own, head, Body::Deleted);
                let genesis = self.record(own, Some(&Stored::new(deleted.clone())), Body::Genesis { base });
                (deleted, Some(Box::new(genesis)))
            }
        };
        At::Appending { read, append: Append::new(Arc::new(Stored::new(first))), then }
    }

    fn record(&self, own: Generation, head: Option<&Stored>, body: Body) -> Record {
        let start = &self.start;
        let mut record = match head {
            Some(head) => following(head, body),
            None => first_record(start, body),
        };
        record.generation = own;
        record.writer = start.writer;
        record.at_ms = start.now_ms;
        record.owner = start.owner.clone();
        // Progress of another sink is in another topic.
        record.progress_from = record.progress_from.filter(|_| record.sink == start.sink);
        record.sink = start.sink.clone();
        let restored = record.checkpoint().map(|checkpoint| checkpoint.epoch);
        match &record.body {
            Body::Genesis { base } => {
                match head.filter(|_| base.is_some()) {
                    // No number means two checkpoints: those before can still be gone back to.
                    Some(head) => {
                        record.formerly.push(head.record.lineage);
                        record.last_epoch = record.last_epoch.max(restored).max(start.published);
                    }
                    None => (record.formerly, record.last_epoch) = (Vec::new(), restored),
                }
                record.lineage = start.lineage;
                record.begins_at = record.seq;
            }
            Body::Claim { .. } | Body::Deleted | Body::Epoch { .. } | Body::Final { .. } => {}
        }
        match (&start.begin, restored) {
            // Also where state is given up: that is not to happen twice either.
            (BeginAt::From { request, .. }, Some(_))
            | (BeginAt::Nothing { request: Some(request), .. }, _) => {
                record.restore = Some(request.clone());
            }
            (BeginAt::From { .. } | BeginAt::Nothing { .. } | BeginAt::Latest, _) => {}
        }
        record
    }

    fn appended(&mut self, append: &Append, appended: Appended) -> At {
        let At::Appending { read, then, .. } = &self.at else { panic!("only what is appended comes back") };
        match appended {
            Appended::Mine => match then {
                Some(next) => {
                    let append = Append::new(Arc::new(Stored::new((**next).clone())));
                    At::Appending { read: read.clone(), append, then: None }
                }
                None => {
                    let claim = Some(append.record().clone());
                    At::Done(Box::new(Ok(Claimed { claim, read: read.clone() })))
                }
            },
            Appended::Lost { to } => {
                let (by, own) = (to.record.generation, append.record().record.generation);
                if by >= own {
                    At::refused(Refusal::Fenced { by, own })
                } else {
                    At::Finding(FindHead::new())
                }
            }
        }
    }

    /// Where a planted bug looks for the beginning instead.
    fn detour(&self, head: &Stored, tried: Option<&Stored>) -> Option<Seq> {
        let begins_at = head.record.begins_at;
        let unpublished = head.record.unpublished == Some(begins_at);
        if planted::is(Bug::FallBackOneCheckpoint) || (planted::is(Bug::RepublishRecomputed) && unpublished) {
            return match tried {
                None => (begins_at > Seq::FIRST).then(|| Seq(begins_at.0 - 1)),
                Some(tried) => (tried.record.checkpoint().is_none() && tried.record.seq < begins_at)
                    .then(|| tried.record.seq.next()),
            };
        }
        if planted::is(Bug::RestoreNewestListed) {
            return match tried {
                None => Some(head.record.seq),
                Some(tried) => (!matches!(tried.record.body, Body::Epoch { .. })
                    && tried.record.seq > Seq::FIRST)
                    .then(|| Seq(tried.record.seq.0 - 1)),
            };
        }
        None
    }
}

impl At {
    fn refused(refusal: Refusal) -> Self {
        Self::Done(Box::new(Err(refusal)))
    }
}

impl Machine for Begin {
    type Outcome = Result<Claimed, Refusal>;

    fn step(&self) -> Step<Self::Outcome> {
        match &self.at {
            At::Finding(find) => match find.step() {
                Step::Ask(action) => Step::Ask(action),
                Step::Done(head) => unreachable!("{head:?} was taken when it was found"),
            },
            At::LookingForData => Step::Ask(Action::AnyData),
            At::ReadingBeginning { seq, .. } | At::ReadingUnpublished { seq, .. } => {
                Step::Ask(Action::Get(*seq))
            }
            At::Appending { append, .. } => match append.step() {
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
            (At::Appending { read, mut append, then }, answer) => {
                append.on(answer);
                match append.step() {
                    Step::Ask(_) => At::Appending { read, append, then },
                    Step::Done(appended) => self.appended(&append, appended),
                }
            }
            (at, Answer::Unknown) => at,
            (At::LookingForData, Answer::Data(any_data)) => self.decide(None, any_data),
            (At::ReadingBeginning { head, .. }, Answer::Got(beginning)) => {
                self.read_beginning(head, beginning)
            }
            (At::ReadingUnpublished { read, .. }, Answer::Got(found)) => {
                self.decide(Some(Read { unpublished: Some(found), ..read }), false)
            }
            (At::ReadingBeginning { head, seq: record }, Answer::Absent) => {
                self.refuse(Refusal::RecordLost { record, needed_by: head.record.seq })
            }
            (At::ReadingUnpublished { read, seq }, Answer::Absent) => self.unpublished_lost(read, seq),
            (at, answer) => panic!("{answer:?} is no answer to {at:?}"),
        };
    }
}

impl Claimed {
    /// What the process begins with.
    pub(crate) fn start(self) -> Start {
        let Some(claim) = self.claim else {
            let read = self.read.expect("what is finished was read");
            return Start::Finished(Box::new(Arc::unwrap_or_clone(read.head)));
        };
        let read = self.read;
        let own = claim.record.begins_at == claim.record.seq;
        let beginning = match &read {
            Some(read) if !own => read.beginning.clone(),
            Some(_) | None => claim.clone(),
        };
        let inherited = read.as_ref().and_then(|read| read.unpublished.as_deref().cloned());
        let inherited = inherited.filter(|unpublished| {
            !planted::is(Bug::RepublishRecomputed) || unpublished.record.seq <= beginning.record.seq
        });
        Start::Begun(Box::new(Begun {
            checkpoint: beginning.record.checkpoint().cloned().map(Box::new),
            lineage: claim.record.lineage,
            resumed_from: beginning.record.seq,
            resumed_at_ms: beginning.record.at_ms,
            head_was: read.map(|read| Arc::unwrap_or_clone(read.head)),
            permit: CommitPermit::of_claim(claim, inherited.as_ref()),
            inherited,
        }))
    }
}

fn first_record(start: &StartRequest, body: Body) -> Record {
    Record {
        seq: Seq::FIRST,
        previous: None,
        generation: Generation::default(),
        writer: start.writer,
        at_ms: start.now_ms,
        lineage: start.lineage,
        formerly: Vec::new(),
        owner: start.owner.clone(),
        sink: start.sink.clone(),
        last_epoch: None,
        begins_at: Seq::FIRST,
        unpublished: None,
        progress_from: None,
        restore: None,
        operation: None,
        body,
    }
}
