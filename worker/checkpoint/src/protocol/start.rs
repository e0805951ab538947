//! Where a start begins, and what may forbid it.
//!
//! Owns: the question, the answer, and the words of every refusal.
//! Never: reads the log; it is given the records that matter.

use std::collections::BTreeMap;

use crate::checkpoint::Checkpoint;
use crate::ids::{Epoch, Generation, Lineage, Seq, WriterId};
use crate::protocol::CommitPermit;
use crate::record::{Owner, Record, Restore, Stored};

/// What a process wants to begin with.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum BeginAt {
    /// With the newest state; with nothing if there was none yet.
    Latest,
    /// With nothing.
    Nothing {
        /// Even if there is state, which is deleted.
        discard: bool,
        /// Who asked: once, as with `From`. Without one it happens at each start.
        request: Option<Restore>,
    },
    /// With this checkpoint, once: a log that has seen the request goes on with the newest state.
    From {
        /// Who asked, and for what.
        request: Restore,
        /// Its objects are in `data/` already.
        checkpoint: Box<Checkpoint>,
    },
}

impl BeginAt {
    /// Whether it asks for a restore that a log with this head has not seen.
    pub fn restores(&self, head: &Record) -> bool {
        match self {
            Self::From { request, .. } => !is_done(request, head),
            Self::Latest | Self::Nothing { .. } => false,
        }
    }
}

/// Whether this is the last request that a log with this head has seen.
pub(super) fn is_done(request: &Restore, head: &Record) -> bool {
    head.restore.as_ref().is_some_and(|done| done.id == request.id)
}

/// Refuses the state of `owner` to another, unless it is the one whose state is to be taken over.
pub fn check_owner(owner: &Owner, asked: &Owner, take_over: Option<&str>) -> Result<(), Refusal> {
    if owner == asked || take_over.is_some_and(|named| named == owner.to_string()) {
        return Ok(());
    }
    Err(Refusal::StateOwned { owner: owner.clone(), asked: Box::new(asked.clone()) })
}

/// As whom a start claims.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Claimant {
    /// As the incarnation after the newest.
    #[default]
    Next,
    /// As the next attempt of this incarnation: someone else numbers them.
    Incarnation(u64),
    /// As this generation.
    Exactly(Generation),
}

/// A start of a job.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct StartRequest {
    /// Whose state it must be.
    pub owner: Owner,
    /// Whose state it may be besides, as [`Owner`] is written: a start with the newest state makes it its own.
    pub take_over: Option<String>,
    /// Where output goes.
    pub sink: BTreeMap<String, String>,
    /// What state depends on.
    pub fingerprint: BTreeMap<String, String>,
    /// As whom.
    pub claimant: Claimant,
    /// With what.
    pub begin: BeginAt,
    /// The log must have come to here, or it is not the log that was left.
    pub floor: Option<Seq>,
    /// The greatest epoch of which output is known to be out, whatever the log knows: a restore uses greater numbers.
    pub published: Option<Epoch>,
    /// A random number of this start.
    pub writer: WriterId,
    /// A random number, used if a lineage begins.
    pub lineage: Lineage,
    /// The wall clock.
    pub now_ms: i64,
}

/// What came of a start.
#[derive(Debug)]
pub enum Start {
    /// This process leads.
    Begun(Box<Begun>),
    /// All input was read and published before: nothing was claimed.
    Finished(Box<Stored>),
}

/// What a process that leads begins with.
#[derive(Debug)]
pub struct Begun {
    /// The right to commit.
    pub permit: CommitPermit,
    /// What to go on from. Without one, epoch 0 comes first.
    pub checkpoint: Option<Box<Checkpoint>>,
    /// The Epoch record whose outbox is published first.
    pub inherited: Option<Stored>,
    /// The life of the state.
    pub lineage: Lineage,
    /// The record that holds `checkpoint`, or that began the lineage.
    pub resumed_from: Seq,
    /// When that was written, by its writer's clock.
    pub resumed_at_ms: i64,
    /// The head that was found.
    pub head_was: Option<Stored>,
}

/// Why a start may not begin.
#[derive(Clone, Debug, Eq, Hash, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Another job's state.
    #[error(
        "the state belongs to {}: name another job or another state.location, or move the manifest back",
        described(.owner)
    )]
    StateOwned {
        /// Whose it is.
        owner: Owner,
        /// Who wanted it.
        asked: Box<Owner>,
    },
    /// State cannot be read by the changed job.
    #[error(
        "{field} was `{old}` when the state was written and is `{new}` now, which the state does not fit: change it \
         back, or start over with --fresh --discard-state, or give the job another name"
    )]
    FingerprintChanged {
        /// The field of the manifest.
        field: String,
        /// What it was; empty if it was not there.
        old: String,
        /// What it is; empty if it is not there.
        new: String,
    },
    /// The old sink may miss output.
    #[error(
        "the output of {target} went to `{old}` and would go to `{new}` now, but the job has not ended there: start it \
         once more with the old one and stop it with Ctrl-C"
    )]
    SinkChanged {
        /// `results`, `late` or `deadLetters`.
        target: String,
        /// Where it went; empty if nowhere.
        old: String,
        /// Where it would go; empty if nowhere.
        new: String,
    },
    /// A later start leads.
    #[error("fenced: generation {by} has taken over, this start would be {own}; only one process runs a job")]
    Fenced {
        /// Who leads.
        by: Generation,
        /// Who this would be.
        own: Generation,
    },
    /// The incarnation has ended.
    #[error("incarnation {incarnation} has ended and is never started again: start a new one")]
    Ended {
        /// Which.
        incarnation: u64,
    },
    /// A start with nothing would lose state.
    #[error(
        "there is state up to epoch {epoch}: run without --fresh to go on from it, or add --discard-state to delete it"
    )]
    StateExists {
        /// The newest one.
        epoch: Epoch,
    },
    /// The log is older than the one that was left.
    #[error(
        "the log ends with record {head}, but it had come to {floor}: the location is an old copy or another one; \
         name the right state.location"
    )]
    BelowFloor {
        /// How far it goes; 0 if there is none.
        head: Seq,
        /// How far it must go.
        floor: Seq,
    },
    /// There are objects, but no record.
    #[error(
        "there are objects in data/ but no record in log/: the log was deleted; put it back from a copy, or start from \
         a savepoint with --from, or start over with --fresh --discard-state"
    )]
    LogLost,
    /// A record that the head names is gone.
    #[error(
        "{} is gone, and {} needs it: put it back from a copy, or start from a savepoint with --from",
        .record.object_name(), .needed_by.object_name()
    )]
    RecordLost {
        /// Which.
        record: Seq,
        /// The head.
        needed_by: Seq,
    },
    /// A record is not the one that was written after its neighbour.
    #[error("{} does not follow the record before it: the log was put together from several", .record.object_name())]
    NotLinked {
        /// Which.
        record: Seq,
    },
    /// A listing and reads contradict each other again and again.
    #[error("{} is listed but cannot be read: wait until the store is consistent and start again", .record.object_name())]
    Unreadable {
        /// Which.
        record: Seq,
    },
}

fn described(owner: &Owner) -> String {
    let Owner { cluster, namespace, name } = owner;
    if cluster == "local" {
        format!("job {name} of {namespace}")
    } else {
        format!("{namespace}/{name} of {cluster}")
    }
}
