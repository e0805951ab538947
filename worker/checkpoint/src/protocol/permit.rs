//! The right to commit, and the records that it makes.
//!
//! Owns: what each record carries forward; that an epoch is published before the next one commits.
//! Never: comes from anywhere but a claim that is in the log.

use std::sync::Arc;

use crate::checkpoint::Checkpoint;
use crate::ids::{Epoch, Generation, Lineage, Seq};
use crate::planted::{self, Bug};
use crate::record::{Body, Operation, Record, Stored};

/// What is committed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Commit {
    /// A checkpoint.
    Epoch(Box<Checkpoint>),
    /// The incarnation has ended as it was asked to.
    Final {
        /// The last checkpoint, without its outbox.
        checkpoint: Box<Checkpoint>,
        /// All input was read.
        finished: bool,
        /// Who asked for it, and what came of it.
        operation: Option<Operation>,
    },
}

/// A commit that no permit makes: a mistake of the caller.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refused {
    /// Epoch numbers only grow.
    #[error("epoch {epoch} cannot be committed after epoch {last}: epoch numbers only grow")]
    OldEpoch {
        /// The number.
        epoch: Epoch,
        /// The greatest one used.
        last: Epoch,
    },
    /// The output of the epoch before comes first.
    #[error("epoch {epoch} cannot be committed before the output of epoch {unpublished} is published")]
    Unpublished {
        /// The number.
        epoch: Epoch,
        /// Whose output is missing.
        unpublished: Epoch,
    },
    /// A Final record publishes nothing, and ends with the last epoch.
    #[error(
        "the end of an incarnation must be its last epoch, {last}, without its outbox; it is epoch {epoch}"
    )]
    NotTheLast {
        /// The number.
        epoch: Epoch,
        /// The greatest one used.
        last: Epoch,
    },
    /// Nothing follows Final.
    #[error("generation {generation} has ended: it commits nothing more")]
    Ended {
        /// Whose permit it is.
        generation: Generation,
    },
    /// What became of the commit before is not known.
    #[error("record {seq} is not resolved: commit the same again")]
    Unresolved {
        /// The record.
        seq: Seq,
    },
}

/// An epoch whose output may not be out yet.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Unpublished {
    seq: Seq,
    lineage: Lineage,
    epoch: Epoch,
}

/// Proof that this process has claimed the log, and where it stands in it. Only a claim makes one.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone, Eq, Hash, PartialEq))]
pub struct CommitPermit {
    head: Arc<Stored>,
    pending: Option<Arc<Stored>>,
    unpublished: Option<Unpublished>,
    progress_from: Option<u64>,
    lost_to: Option<Generation>,
}

impl CommitPermit {
    /// Of the claim that is now in the log.
    pub(super) fn of_claim(claim: Arc<Stored>, inherited: Option<&Stored>) -> Self {
        let unpublished = inherited.map(Unpublished::of);
        let progress_from = claim.record.progress_from;
        Self { head: claim, pending: None, unpublished, progress_from, lost_to: None }
    }

    /// Whose permit it is.
    pub fn generation(&self) -> Generation {
        self.head.record.generation
    }

    /// The life of the state that it writes.
    pub fn lineage(&self) -> Lineage {
        self.head.record.lineage
    }

    /// The greatest epoch number used in the lineage; `None` before epoch 0.
    pub fn last_epoch(&self) -> Option<Epoch> {
        self.head.record.last_epoch
    }

    /// The last record that it wrote.
    pub fn head(&self) -> &Stored {
        &self.head
    }

    /// Who has taken over, as far as this permit has seen.
    pub fn lost_to(&self) -> Option<Generation> {
        self.lost_to
    }

    /// The output of this epoch is out: the next may commit. Says `false` if it was not waited for.
    pub fn published(&mut self, lineage: Lineage, epoch: Epoch) -> bool {
        let waited = self.unpublished.is_some_and(|open| open.lineage == lineage && open.epoch == epoch);
        if waited {
            self.unpublished = None;
        }
        waited
    }

    /// All output so far is out, and progress of what follows will be in the sink's topic from this offset on.
    pub fn note_progress(&mut self, from: u64) {
        self.progress_from = Some(from);
    }

    /// The record to append. What is asked for again while it is not resolved is the very same record.
    pub(crate) fn prepare(&mut self, commit: &Commit, at_ms: i64) -> Result<Arc<Stored>, Refused> {
        if let Some(pending) = &self.pending {
            let same = commit.is_in(&pending.record);
            return if same { Ok(pending.clone()) } else { Err(self.unresolved(pending)) };
        }
        self.check(commit)?;
        let record = Arc::new(Stored::new(self.record_of(commit, at_ms)));
        self.pending = Some(record.clone());
        Ok(record)
    }

    /// The record that was prepared is in the log.
    pub(crate) fn committed(&mut self) -> Arc<Stored> {
        let record = self.pending.take().expect("only what was prepared is committed");
        assert!(self.head.record.seq.next() == record.record.seq, "a permit appends at the head");
        if record.record.unpublished == Some(record.record.seq) {
            self.unpublished = Some(Unpublished::of(&record));
        }
        self.head = record.clone();
        record
    }

    /// Someone else's record is where this permit's would be.
    pub(crate) fn lost(&mut self, to: Generation) {
        self.lost_to = Some(to);
    }

    fn unresolved(&self, pending: &Stored) -> Refused {
        Refused::Unresolved { seq: pending.record.seq }
    }

    fn check(&self, commit: &Commit) -> Result<(), Refused> {
        let last = self.last_epoch();
        let (Commit::Epoch(checkpoint) | Commit::Final { checkpoint, .. }) = commit;
        let epoch = checkpoint.epoch;
        if let Body::Final { .. } = self.head.record.body {
            return Err(Refused::Ended { generation: self.generation() });
        }
        // Epoch 0 has no output of its own: it may go before that of an older lineage.
        let first = epoch == Epoch(0) && checkpoint.outbox.is_empty();
        let early = first || planted::is(Bug::CommitBeforePublish);
        if let Some(open) = self.unpublished.filter(|_| !early) {
            return Err(Refused::Unpublished { epoch, unpublished: open.epoch });
        }
        match (commit, last) {
            (Commit::Epoch(_), Some(last)) if epoch <= last => Err(Refused::OldEpoch { epoch, last }),
            (Commit::Final { .. }, last) if last != Some(epoch) || !checkpoint.outbox.is_empty() => {
                Err(Refused::NotTheLast { epoch, last: last.unwrap_or_default() })
            }
            (Commit::Epoch(_) | Commit::Final { .. }, _) => Ok(()),
        }
    }

    fn record_of(&self, commit: &Commit, at_ms: i64) -> Record {
        let mut record = following(&self.head, commit.body());
        record.at_ms = at_ms;
        if let Commit::Epoch(checkpoint) = commit {
            record.last_epoch = Some(checkpoint.epoch);
        }
        if let Commit::Final { operation: Some(operation), .. } = commit {
            record.operation = Some(operation.clone());
        }
        record.begins_at = record.seq;
        record.progress_from = self.progress_from;
        record.unpublished = match commit {
            Commit::Epoch(checkpoint) if !checkpoint.outbox.is_empty() => Some(record.seq),
            Commit::Epoch(_) | Commit::Final { .. } => self.unpublished.map(|open| open.seq),
        };
        record
    }
}

impl Unpublished {
    fn of(stored: &Stored) -> Self {
        let record = &stored.record;
        let epoch = record.checkpoint().map(|checkpoint| checkpoint.epoch).unwrap_or_default();
        Self { seq: record.seq, lineage: record.lineage, epoch }
    }
}

impl Commit {
    fn body(&self) -> Body {
        match self {
            Self::Epoch(checkpoint) => Body::Epoch { checkpoint: checkpoint.clone() },
            Self::Final { checkpoint, finished, .. } => {
                Body::Final { checkpoint: checkpoint.clone(), finished: *finished }
            }
        }
    }

    fn is_in(&self, record: &Record) -> bool {
        let asked = match self {
            Self::Epoch(_) => None,
            Self::Final { operation, .. } => operation.as_ref(),
        };
        self.body() == record.body && asked.is_none_or(|asked| record.operation.as_ref() == Some(asked))
    }
}

/// A record behind another, by the same writer, with all that is carried forward.
pub(super) fn following(head: &Stored, body: Body) -> Record {
    Record { seq: head.record.seq.next(), previous: Some(head.hash), body, ..head.record.clone() }
}
