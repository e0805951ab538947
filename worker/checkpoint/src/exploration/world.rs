//! The whole world of the exploration: a store, what is still on its way to it, two processes, and what must hold.
//!
//! Owns: what the store does with a request; the invariants.
//! Never: decides anything that a process decides.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::process::Process;
use crate::ids::{Epoch, Generation, Lineage, Seq};
use crate::planted::{self, Bug};
use crate::protocol::{Action, Answer};
use crate::record::{Body, Record, Stored};

/// How much may happen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) starts: [u8; 2],
    pub(super) commits: u8,
    pub(super) faults: u8,
    pub(super) crashes: u8,
    pub(super) retain: usize,
    /// Objects outlive their last record by longer than a restore takes.
    pub(super) grace: bool,
}

/// A state of the world.
#[derive(Clone, Debug, Hash)]
pub(super) struct World {
    pub(super) log: BTreeMap<Seq, Arc<Stored>>,
    pub(super) data: BTreeSet<String>,
    /// Requests whose sender does not wait any more: each lands at any time, or never.
    pub(super) late: Vec<Late>,
    pub(super) processes: [Process; 2],
    pub(super) faults: u8,
    pub(super) crashes: u8,
    /// Every record that was ever the head: the truth, known to nobody in the world.
    pub(super) chain: Arc<Vec<Arc<Stored>>>,
    pub(super) published: BTreeMap<(Lineage, Epoch), String>,
    pub(super) broken: Option<String>,
}

/// A request on its way.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Late {
    Create(ByHash),
    DeleteRecord(Seq),
    DeleteObject(String),
}

/// A record, ordered by its hash.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct ByHash(pub(super) Arc<Stored>);

impl Ord for ByHash {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.hash.cmp(&other.0.hash)
    }
}

impl PartialOrd for ByHash {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl World {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            log: BTreeMap::new(),
            data: BTreeSet::new(),
            late: Vec::new(),
            processes: [Process::default(), Process::default()],
            faults: bounds.faults,
            crashes: bounds.crashes,
            chain: Arc::default(),
            published: BTreeMap::new(),
            broken: None,
        }
    }

    /// Notes what must not happen.
    pub(super) fn must(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && self.broken.is_none() {
            self.broken = Some(what());
        }
    }

    /// All that a store may answer to this, each with what becomes of the world.
    pub(super) fn answers(&self, action: &Action) -> Vec<(World, Answer)> {
        let mut all = Vec::new();
        let mut now = self.clone();
        let answer = now.apply(action);
        all.push((now, answer));
        if self.faults == 0 {
            return all;
        }
        let mut unanswered = self.clone();
        unanswered.faults -= 1;
        if let Action::Create(record) = action {
            let mut applied = unanswered.clone();
            applied.apply(action);
            let mut late = unanswered.clone();
            late.send(Late::Create(ByHash(record.clone())));
            all.extend([applied, late].map(|world| (world, Answer::Unknown)));
            // S3 says so when two creates meet, even if neither has landed.
            all.push((unanswered.clone(), Answer::Exists));
        }
        all.push((unanswered, Answer::Unknown));
        all
    }

    fn apply(&mut self, action: &Action) -> Answer {
        match action {
            Action::List(from) => Answer::Listed(self.log.range(*from..).map(|(seq, _)| *seq).collect()),
            Action::AnyData => Answer::Data(!self.data.is_empty()),
            Action::ListData => Answer::Objects(self.data.iter().cloned().collect()),
            Action::Get(seq) => {
                self.log.get(seq).map_or(Answer::Absent, |record| Answer::Got(record.clone()))
            }
            Action::Create(record) => {
                if self.create(record) {
                    Answer::Created
                } else {
                    Answer::Exists
                }
            }
        }
    }

    pub(super) fn send(&mut self, late: Late) {
        self.late.push(late);
        self.late.sort();
    }

    pub(super) fn land(&mut self, at: usize) {
        match self.late.remove(at) {
            Late::Create(record) => {
                self.create(&record.0);
            }
            Late::DeleteRecord(seq) => self.delete_record(seq),
            Late::DeleteObject(name) => self.delete_object(&name),
        }
    }

    pub(super) fn delete_record(&mut self, seq: Seq) {
        self.log.remove(&seq);
    }

    pub(super) fn delete_object(&mut self, name: &str) {
        self.data.remove(name);
    }

    fn create(&mut self, record: &Arc<Stored>) -> bool {
        let seq = record.record.seq;
        if self.log.contains_key(&seq) && !planted::is(Bug::CreateWithoutCondition) {
            return false;
        }
        self.log.insert(seq, record.clone());
        let next = self.chain.last().map_or(Seq::FIRST, |head| head.record.seq.next());
        self.must(seq <= next, || format!("record {seq} is created behind the head, which is before {next}"));
        // Below the head: a create after a deletion, which is void.
        if seq == next {
            self.check_append(record);
            Arc::make_mut(&mut self.chain).push(record.clone());
        }
        true
    }

    /// What must hold of a record that becomes the head.
    fn check_append(&mut self, new: &Arc<Stored>) {
        let head = self.chain.last().cloned();
        let record = &new.record;
        let (generation, seq) = (record.generation, record.seq);
        let linked = head.as_ref().is_none_or(|head| new.follows(head));
        self.must(linked, || format!("record {seq} does not name the hash of the one before"));
        let grown = head.as_ref().is_none_or(|head| head.record.generation <= generation);
        self.must(grown, || format!("record {seq} by {generation} follows one of a later generation"));
        let mut before = self.chain.iter().rev().skip_while(|stored| stored.record.owner == record.owner);
        let given_up = before.any(|stored| stored.record.owner == record.owner);
        self.must(!given_up, || format!("record {seq} is of an owner whose state another has taken over"));
        match &record.body {
            Body::Genesis { base } => {
                let after_nothing = head.as_ref().is_none_or(|head| head.record.body == Body::Deleted);
                let after_nothing = after_nothing || base.is_some();
                self.must(after_nothing, || format!("record {seq} begins with nothing where state exists"));
                self.check_claim(new);
            }
            Body::Claim { .. } | Body::Deleted => self.check_claim(new),
            Body::Epoch { checkpoint } => {
                let epoch = checkpoint.epoch;
                let last = head.as_ref().and_then(|head| head.record.last_epoch);
                self.must(last < Some(epoch), || format!("epoch {epoch} follows epoch {last:?}"));
                if epoch > Epoch(0) {
                    self.check_all_published(seq);
                }
                self.check_objects(new);
            }
            Body::Final { .. } => self.check_all_published(seq),
        }
    }

    fn check_claim(&mut self, new: &Stored) {
        let own = new.record.generation;
        let ended = |record: &Arc<Stored>| {
            matches!(record.record.body, Body::Final { .. })
                && record.record.generation.incarnation == own.incarnation
        };
        let again = self.chain.iter().any(ended);
        self.must(!again, || format!("incarnation {} claims again after its end", own.incarnation));
    }

    fn check_all_published(&mut self, before: Seq) {
        let open = self.chain.iter().find_map(|stored| {
            let Body::Epoch { checkpoint } = &stored.record.body else { return None };
            let key = (stored.record.lineage, checkpoint.epoch);
            (!checkpoint.outbox.is_empty() && !self.published.contains_key(&key)).then_some(checkpoint.epoch)
        });
        self.must(open.is_none(), || {
            format!("record {before} commits before the output of epoch {open:?} is published")
        });
    }

    fn check_objects(&mut self, stored: &Stored) {
        let (there, seq) = (self.has_objects(stored), stored.record.seq);
        self.must(there, || format!("record {seq} names an object that is gone"));
    }

    pub(super) fn has_objects(&self, stored: &Stored) -> bool {
        let checkpoint = stored.record.checkpoint();
        checkpoint
            .is_none_or(|checkpoint| checkpoint.objects.iter().all(|object| self.data.contains(&object.name)))
    }

    pub(super) fn leader(&self) -> Option<Generation> {
        self.chain.last().map(|head| head.record.generation)
    }

    /// What must hold in every state: what is retained is there, with every object that it names.
    pub(super) fn check(&mut self, retain: usize) {
        let chain = self.chain.clone();
        let Some(head) = chain.last() else { return };
        let keep_from = keep_from(&chain, head, retain);
        for stored in chain.iter().rev().take_while(|stored| stored.record.seq >= keep_from) {
            let seq = stored.record.seq;
            let there = self.log.get(&seq).is_some_and(|found| found.hash == stored.hash);
            self.must(there, || {
                format!("record {seq} is gone, and {keep_from} and what follows are retained")
            });
            self.check_objects(stored);
        }
        let begins_at = beginning(&self.chain).map(|stored| stored.record.seq);
        self.must(begins_at == Some(head.record.begins_at) || head.record.body == Body::Deleted, || {
            format!("record {} says that a start begins at {}", head.record.seq, head.record.begins_at)
        });
    }

    /// A process has published this.
    pub(super) fn publish(&mut self, stored: &Stored) {
        let Body::Epoch { checkpoint } = &stored.record.body else {
            self.must(false, || "something is published that is no epoch".to_owned());
            return;
        };
        let seq = stored.record.seq;
        let in_chain = self.chain.iter().any(|found| found.hash == stored.hash);
        self.must(in_chain, || format!("record {seq} is published, but it is not in the log"));
        self.check_objects(stored);
        let content =
            checkpoint.outbox.iter().map(|outbox| outbox.object.as_str()).collect::<Vec<_>>().join(" ");
        let epoch = checkpoint.epoch;
        let before = self.published.insert((stored.record.lineage, epoch), content.clone());
        self.must(before.is_none_or(|before| before == content), || {
            format!("epoch {epoch} is published twice, differently")
        });
    }
}

/// The oldest record that is retained, by the words of the design.
fn keep_from(chain: &[Arc<Stored>], head: &Stored, retain: usize) -> Seq {
    let given_up = |record: &Record| matches!(record.body, Body::Genesis { base: None } | Body::Deleted);
    let own = chain.iter().rev().take_while(|stored| !given_up(&stored.record));
    let epochs = own.filter(|stored| matches!(stored.record.body, Body::Epoch { .. })).take(retain);
    let oldest = epochs.last().map_or(head.record.seq, |stored| stored.record.seq);
    oldest.min(head.record.begins_at).min(head.record.unpublished.unwrap_or(oldest))
}

/// The newest record that a start begins at, by the words of the design.
pub(super) fn beginning(chain: &[Arc<Stored>]) -> Option<&Arc<Stored>> {
    chain.iter().rev().find(|stored| match &stored.record.body {
        Body::Genesis { .. } | Body::Epoch { .. } | Body::Final { .. } | Body::Claim { base: Some(_) } => {
            true
        }
        Body::Claim { base: None } | Body::Deleted => false,
    })
}
