//! What may be deleted, given what is there.
//!
//! Owns: the rules.
//! Never: reads or deletes anything.

use std::collections::{BTreeMap, BTreeSet};

use crate::erase::generation_of;
use crate::ids::{Generation, Hash, Seq};
use crate::planted::{self, Bug};
use crate::record::{Body, Stored};

/// What retention must know of a record.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Known {
    seq: Seq,
    hash: Hash,
    previous: Option<Hash>,
    begins_at: Seq,
    unpublished: Option<Seq>,
    kind: Kind,
    names: Vec<String>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Kind {
    /// A life begins; with a base, it goes on from those before, whose checkpoints can be gone back to.
    Genesis {
        restored: bool,
    },
    Epoch,
    Deleted,
    Other,
}

/// What a leader has read before it deletes.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The leader's last record.
    pub head: Seq,
    /// Who leads.
    pub own: Generation,
    /// How many of the newest epochs are kept.
    pub retain: usize,
    /// Records that someone is reading.
    pub pins: &'a BTreeSet<Seq>,
    /// Every record that was read, by place.
    pub known: &'a BTreeMap<Seq, Known>,
    /// Every record that is there.
    pub listed: &'a [Seq],
    /// Objects in `data/`; empty when they were not listed.
    pub data: &'a [String],
}

/// What to delete, in this order: records first, from the oldest on, and objects only when all of those are gone.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Plan {
    /// The oldest record to keep.
    pub keep_from: Seq,
    /// Records.
    pub records: Vec<Seq>,
    /// Objects that nothing names then.
    pub objects: BTreeSet<String>,
    /// Objects that a retained record names.
    pub kept: BTreeSet<String>,
}

impl Known {
    /// Of a record.
    pub fn of(stored: &Stored) -> Self {
        let record = &stored.record;
        let kind = match &record.body {
            Body::Genesis { base } => Kind::Genesis { restored: base.is_some() },
            Body::Epoch { .. } => Kind::Epoch,
            Body::Deleted => Kind::Deleted,
            Body::Claim { .. } | Body::Final { .. } => Kind::Other,
        };
        let objects = record.checkpoint().map(|checkpoint| checkpoint.objects.as_slice()).unwrap_or_default();
        Self {
            seq: record.seq,
            hash: stored.hash,
            previous: record.previous,
            begins_at: record.begins_at,
            unpublished: record.unpublished,
            kind,
            names: objects.iter().map(|object| object.name.clone()).collect(),
        }
    }
}

impl Known {
    /// What it names was released: there is nothing left to do about it.
    pub(super) fn forget_names(&mut self) {
        self.names.clear();
    }
}

impl Facts<'_> {
    /// The oldest record to keep: all from there on are, so that they are linked. `Err`: this record must be read first.
    pub fn keep_from(&self) -> Result<Seq, Seq> {
        let head = self.known.get(&self.head).ok_or(self.head)?;
        let pinned = self.pins.iter().copied().chain(head.unpublished).chain([head.begins_at]);
        let wanted = pinned.min().unwrap_or(head.seq);
        let (mut at, mut epochs) = (head, 0);
        loop {
            epochs += usize::from(at.kind == Kind::Epoch);
            let given_up = matches!(at.kind, Kind::Genesis { restored: false } | Kind::Deleted);
            let enough = epochs >= self.retain || given_up;
            if enough && at.seq <= wanted {
                return Ok(at.seq);
            }
            let Some(before) = at.seq.before().filter(|seq| self.listed.binary_search(seq).is_ok()) else {
                return Ok(at.seq);
            };
            match self.known.get(&before) {
                None => return Err(before),
                // Not part of the log: someone who had lost it wrote it.
                Some(older) if Some(older.hash) != at.previous => return Ok(at.seq),
                Some(older) => at = older,
            }
        }
    }

    /// A record older than those to keep that must be read before it is deleted.
    pub fn unread(&self, keep_from: Seq) -> Option<Seq> {
        self.listed.iter().copied().find(|seq| *seq < keep_from && !self.known.contains_key(seq))
    }

    /// What may go.
    pub fn plan(&self, keep_from: Seq) -> Plan {
        let kept: BTreeSet<String> =
            self.known.range(keep_from..).flat_map(|(_, known)| known.names.clone()).collect();
        let old = || self.listed.iter().filter(|seq| **seq < keep_from).filter_map(|seq| self.known.get(seq));
        let newest =
            |is: fn(Kind) -> bool| self.known.values().rfind(|known| is(known.kind)).map(|known| known.seq);
        // Numbers never start again, so these two stay whatever else goes.
        let is_genesis = |kind| matches!(kind, Kind::Genesis { .. });
        let markers = [newest(is_genesis), newest(|kind| kind == Kind::Deleted)];
        let doomed = old().filter(|known| !markers.contains(&Some(known.seq)));
        let records = doomed.map(|known| known.seq).collect();
        // A marker's objects are not kept: no start begins there any more.
        let named = old().flat_map(|known| known.names.clone());
        let left = self.data.iter().filter(|name| self.is_of_older(name)).cloned();
        let unnamed = |name: &String| planted::is(Bug::RetentionWithoutReferences) || !kept.contains(name);
        let objects = named.chain(left).filter(unnamed).collect();
        Plan { keep_from, records, objects, kept }
    }

    /// Whoever wrote it commits nothing more. What this generation writes may be named by a record that comes.
    fn is_of_older(&self, name: &str) -> bool {
        generation_of(name).is_some_and(|writer| {
            writer < self.own || (writer == self.own && planted::is(Bug::RetentionOfOwnUploads))
        })
    }
}

/// Whether an older generation than this one wrote it, or would have.
pub(super) fn is_of_older(name: &str, own: Generation) -> bool {
    generation_of(name).is_some_and(|writer| writer < own)
}
