//! What a process of the exploration does while it leads.
//!
//! Owns: its checkpoints, and which of what retention has found is due.
//! Never: decides what the production machines decide.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::world::{Bounds, World};
use crate::checkpoint::{Checkpoint, Object, OutboxObject};
use crate::ids::{Epoch, Hash, Seq};
use crate::protocol::{Append, Commit, CommitPermit};
use crate::record::Stored;
use crate::retention::{Known, Look, Plan};

#[derive(Clone, Debug, Hash)]
pub(super) struct Leading {
    pub(super) permit: CommitPermit,
    pub(super) checkpoint: Option<Box<Checkpoint>>,
    pub(super) known: BTreeMap<Seq, Known>,
    /// Objects to delete when the grace is over.
    pub(super) unnamed: BTreeSet<String>,
    /// What workers upload for the next epoch while this one is swept.
    pub(super) ahead: Option<String>,
    pub(super) commits: u8,
    pub(super) work: Work,
}

#[derive(Clone, Debug, Hash)]
pub(super) enum Work {
    Publishing(Arc<Stored>),
    Uploading,
    Committing(Append),
    Looking(Box<Look>),
    Deleting { records: Vec<Seq>, objects: Vec<String> },
}

impl Leading {
    /// The next checkpoint, its object uploaded; after the last one, the end.
    pub(super) fn upload(&mut self, world: &mut World, bounds: Bounds) -> Commit {
        let last = self.checkpoint.clone();
        if self.commits == bounds.commits {
            let mut checkpoint = last.expect("an epoch was committed");
            checkpoint.epoch = self.permit.last_epoch().expect("an epoch was committed");
            checkpoint.outbox.clear();
            return Commit::Final { checkpoint, finished: false, operation: None };
        }
        self.commits += 1;
        let epoch = self.permit.last_epoch().map_or(Epoch(0), Epoch::next);
        let name = self.next_name();
        let mut objects = last.map(|checkpoint| checkpoint.objects).unwrap_or_default();
        // The chain of an old object ends when it is compacted: here, after two epochs.
        objects.drain(..objects.len().saturating_sub(1));
        let mut outbox = Vec::new();
        if epoch > Epoch(0) {
            if self.ahead.take().is_none() {
                world.data.insert(name.clone());
            }
            objects.push(Object { name: name.clone(), bytes: 1, hash: Hash(0) });
            outbox.push(OutboxObject { object: name, parts: Vec::new() });
        }
        Commit::Epoch(Box::new(Checkpoint { epoch, objects, outbox, ..empty() }))
    }

    fn next_name(&self) -> String {
        let epoch = self.permit.last_epoch().map_or(Epoch(0), Epoch::next);
        format!("data/{}/{epoch}-{}", self.permit.generation(), self.permit.head().record.writer.0)
    }

    /// The output of an older lineage that epoch 0 went before.
    pub(super) fn inherited(&self, world: &World) -> Option<Arc<Stored>> {
        let unpublished = self.permit.head().record.unpublished?;
        world.log.get(&unpublished).cloned()
    }

    pub(super) fn look(&mut self, world: &mut World, bounds: Bounds) {
        if self.commits < bounds.commits {
            let name = self.next_name();
            world.data.insert(name.clone());
            self.ahead = Some(name);
        }
        let known = std::mem::take(&mut self.known);
        let first = known.is_empty();
        let look = Look::new(&self.permit, bounds.retain, BTreeSet::new(), first).knowing(known);
        self.work = Work::Looking(Box::new(look));
    }

    /// What this sweep deletes: with a grace, objects wait for a later one.
    pub(super) fn due(&mut self, plan: Plan, bounds: Bounds, restores: bool) -> (Vec<Seq>, Vec<String>) {
        if !bounds.grace {
            return (plan.records, plan.objects.into_iter().collect());
        }
        let waited = std::mem::take(&mut self.unnamed);
        let (now, later): (BTreeSet<_>, BTreeSet<_>) = waited.into_iter().partition(|_| !restores);
        self.unnamed = later;
        self.unnamed.extend(plan.objects);
        self.unnamed.retain(|name| !now.contains(name));
        (plan.records, now.into_iter().filter(|name| !plan.kept.contains(name)).collect())
    }

    pub(super) fn delete(&mut self, records: Vec<Seq>, objects: Vec<String>) {
        let nothing = records.is_empty() && objects.is_empty();
        self.work = if nothing { Work::Uploading } else { Work::Deleting { records, objects } };
    }
}

fn empty() -> Checkpoint {
    Checkpoint {
        epoch: Epoch(0),
        parallelism: 1,
        fingerprint: BTreeMap::new(),
        spec_hash: Hash(0),
        partitions: Vec::new(),
        operators: Vec::new(),
        slices: Vec::new(),
        outbox: Vec::new(),
        objects: Vec::new(),
        counters: crate::checkpoint::Counters::default(),
    }
}
