//! The log of a job's state, as far as an operator can tell: who claimed it, what was committed, what ended.
//!
//! Owns: the fence: a greater incarnation wins, an ended one never comes back.
//! Never: fails by itself; the cluster says when it cannot be reached.

use std::collections::BTreeSet;

use crate::world::Fingerprint;

/// One state in a store.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    pub(super) head: i64,
    pub(super) epoch: i64,
    /// Who claimed it last.
    pub(super) owner: i64,
    /// Incarnations that ended with a Final.
    pub(super) ended: BTreeSet<i64>,
    /// What the state was made with; None before the first row.
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) restored: Option<String>,
    pub(super) deleted: bool,
    /// Each start: incarnation, the epoch it began with, and what it was told.
    pub(super) starts: Vec<(i64, i64, String)>,
    pub(super) finished: bool,
}

/// Why a start is refused.
pub(super) enum Refusal {
    Fenced(i64),
    Missing,
    Incompatible,
}

/// What a start is told.
#[derive(Clone, Debug)]
pub(super) struct Begin {
    pub(super) incarnation: i64,
    pub(super) restore: String,
    pub(super) request: Option<String>,
    pub(super) floor: i64,
    pub(super) fingerprint: Fingerprint,
}

impl Log {
    /// A worker takes the log; it may do so again after a restart. Ok(false): its incarnation has ended.
    pub(super) fn claim(&mut self, begin: &Begin) -> Result<bool, Refusal> {
        if self.owner > begin.incarnation {
            return Err(Refusal::Fenced(self.owner));
        }
        if self.ended.contains(&begin.incarnation) {
            return Ok(false);
        }
        if self.head < begin.floor {
            return Err(Refusal::Missing);
        }
        let done = begin.request.is_none() || begin.request == self.restored;
        let from = if done { "latest" } else { begin.restore.as_str() };
        match from {
            "nothing" => {
                self.epoch = 0;
                self.fingerprint = None;
                self.head += 1;
            }
            "latest" => {
                let other = self.fingerprint.as_ref().is_some_and(|made| *made != begin.fingerprint);
                if other && !self.deleted {
                    return Err(Refusal::Incompatible);
                }
            }
            uri => {
                self.epoch = uri.rsplit('/').next().and_then(|epoch| epoch.parse().ok()).unwrap_or(self.epoch)
            }
        }
        if !done {
            self.restored.clone_from(&begin.request);
        }
        if self.deleted {
            (self.epoch, self.deleted) = (0, false);
        }
        self.fingerprint = Some(begin.fingerprint.clone());
        self.owner = begin.incarnation;
        self.head += 1;
        self.starts.push((begin.incarnation, self.epoch, from.to_owned()));
        Ok(true)
    }

    /// Commits an epoch; an incarnation that is fenced cannot.
    pub(super) fn commit(&mut self, incarnation: i64) -> Result<(i64, i64), i64> {
        if self.owner != incarnation || self.ended.contains(&incarnation) {
            return Err(self.owner);
        }
        self.head += 1;
        self.epoch += 1;
        Ok((self.epoch, self.head))
    }

    /// The last checkpoint of an incarnation, and its end.
    pub(super) fn end(&mut self, incarnation: i64) -> Result<(i64, i64), i64> {
        let last = self.commit(incarnation)?;
        self.ended.insert(incarnation);
        self.head += 1;
        Ok(last)
    }

    /// What a janitor does.
    pub(super) fn delete(&mut self, incarnation: i64) {
        self.owner = self.owner.max(incarnation + 1);
        self.head += 1;
        self.deleted = true;
        self.epoch = 0;
        self.fingerprint = None;
    }
}
