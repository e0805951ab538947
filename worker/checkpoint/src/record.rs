//! The records of the log.
//!
//! Owns: their kinds, what each carries forward, and their bytes.
//! Never: reads or writes a store.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoint;
use crate::ids::{Epoch, Generation, Hash, Lineage, Seq, WriterId};

mod bytes;

pub use bytes::{RecordError, Stored};
pub(crate) use bytes::{Version, unwrapped, wrapped};

/// The greatest version of the format that this build writes and reads. What format 1 can say is written in it.
pub const FORMAT: u32 = 2;

/// One record of the log: `log/{seq:020}.json`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Record {
    /// Its place.
    pub seq: Seq,
    /// Of the bytes of the record before; absent in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Hash>,
    /// Who wrote it.
    pub generation: Generation,
    /// Which start of the program wrote it.
    pub writer: WriterId,
    /// The writer's wall clock in epoch milliseconds: for people, nothing depends on it.
    pub at_ms: i64,
    /// The life of the state that it belongs to.
    pub lineage: Lineage,
    /// Lineages that this one goes on from, oldest first: their output may lie beside its own. Since format 2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formerly: Vec<Lineage>,
    /// Whose state it is. Only a start that takes it over changes it, in its claim or Genesis.
    pub owner: Owner,
    /// Where output goes: target to folder. Another one is accepted only after Final.
    pub sink: BTreeMap<String, String>,
    /// The greatest epoch number used in the lineage; absent before epoch 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_epoch: Option<Epoch>,
    /// The record that a start begins at: this one, unless it is a Claim without a base or Deleted.
    pub begins_at: Seq,
    /// The Epoch record whose outbox may not be published yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unpublished: Option<Seq>,
    /// From which offset on the sink's topic of progress tells whether the output of this epoch, or of a later one, is
    /// published. Since format 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress_from: Option<u64>,
    /// The last restore request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<Restore>,
    /// The last operation that someone asked for, such as a savepoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// What it says.
    pub body: Body,
}

/// What a record says.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Body {
    /// A lineage begins: with nothing, or with a restored checkpoint.
    Genesis {
        /// What it begins with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<Box<Checkpoint>>,
    },
    /// A new generation takes over.
    Claim {
        /// A restored checkpoint, in place of the newest: builds before format 2 wrote it. Today a restore is a Genesis.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<Box<Checkpoint>>,
    },
    /// A checkpoint is committed.
    Epoch {
        /// The checkpoint.
        checkpoint: Box<Checkpoint>,
    },
    /// An incarnation has ended as it was asked to; everything is published.
    Final {
        /// The checkpoint to go on from, without an outbox.
        checkpoint: Box<Checkpoint>,
        /// All input was read: there is nothing to go on with.
        finished: bool,
    },
    /// The lineage has ended: its state may be deleted.
    Deleted,
}

/// Whose state it is.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Owner {
    /// The cluster's id, or `local`.
    pub cluster: String,
    /// The namespace, or the manifest's folder.
    pub namespace: String,
    /// The job.
    pub name: String,
}

impl fmt::Display for Owner {
    /// As whoever takes its state over names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, namespace, name } = self;
        write!(f, "{cluster}/{namespace}/{name}")
    }
}

/// A restore that was asked for; it happens once.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Restore {
    /// Of the request.
    pub id: String,
    /// From what: `epoch 12`, a savepoint's location, `nothing`.
    pub from: String,
}

/// Something that was asked for, and what came of it.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Operation {
    /// Of the request.
    pub id: String,
    /// What came of it, such as the savepoint's location.
    pub result: String,
}

impl Record {
    /// The checkpoint that a start goes on from, if this is the record it begins at and there is one.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        match &self.body {
            Body::Genesis { base } | Body::Claim { base } => base.as_deref(),
            Body::Epoch { checkpoint } | Body::Final { checkpoint, .. } => Some(checkpoint),
            Body::Deleted => None,
        }
    }
}
