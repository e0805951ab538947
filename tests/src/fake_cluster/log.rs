//! The log of a state, in memory: what workers of all incarnations have written.
//!
//! Owns: seqs, claims, epochs, ends, and who may append.
//! Never: trusts whoever appends; a worker that was overtaken is told so.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// What a record is.
#[derive(Clone, Debug, PartialEq)]
pub enum RecordKind {
    /// Begins a life of the state.
    Genesis,
    /// A worker takes the log over.
    Claim {
        /// The restore that it does, if one was asked for.
        restore: Option<String>,
    },
    /// A checkpoint.
    Epoch(i64),
    /// The incarnation has ended for good.
    Final {
        /// The operation that asked for it; empty at the end of input.
        operation: String,
    },
    /// Everything before is gone.
    Deleted,
}

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its place.
    pub seq: i64,
    /// Who wrote it.
    pub generation: (i64, i64),
    /// What it says.
    pub kind: RecordKind,
}

/// Why a worker may not go on.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    /// As in a termination message.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// The incarnation that is in the way.
    pub incarnation: Option<i64>,
}

impl Refused {
    pub(crate) fn termination(&self) -> Value {
        let mut text = json!({"reason": self.reason, "message": self.message, "retryable": false});
        if let Some(incarnation) = self.incarnation {
            text["incarnation"] = json!(incarnation);
        }
        text
    }
}

/// How a worker was told to start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StartAs {
    /// From the operator.
    pub incarnation: i64,
    /// `latest`, `nothing` or the URI of a savepoint.
    pub restore: String,
    /// Runs once.
    pub request: Option<String>,
    /// The least head.
    pub floor: Option<i64>,
    /// Who the state belongs to: cluster, namespace and name.
    pub owner: String,
    /// Who it may belong to besides.
    pub take_over: Option<String>,
}

/// The log of one state ID.
#[derive(Clone, Debug, Default)]
pub struct Log {
    records: Vec<Record>,
    owner: Option<String>,
}

/// The logs of a store, by state ID.
pub type Logs = BTreeMap<String, Log>;

impl Log {
    /// All records.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The newest seq; 0 for none.
    pub fn head(&self) -> i64 {
        self.records.last().map_or(0, |record| record.seq)
    }

    /// The greatest generation that ever claimed.
    pub fn generation(&self) -> (i64, i64) {
        self.records.iter().map(|record| record.generation).max().unwrap_or_default()
    }

    /// The Final of an incarnation.
    pub fn end_of(&self, incarnation: i64) -> Option<&Record> {
        let is_end = |record: &&Record| {
            matches!(record.kind, RecordKind::Final { .. }) && record.generation.0 == incarnation
        };
        self.records.iter().find(is_end)
    }

    /// The newest epoch.
    pub fn epoch(&self) -> i64 {
        let epochs = self.records.iter().rev().filter_map(|record| match record.kind {
            RecordKind::Epoch(epoch) => Some(epoch),
            RecordKind::Genesis
            | RecordKind::Claim { .. }
            | RecordKind::Final { .. }
            | RecordKind::Deleted => None,
        });
        epochs.max().unwrap_or(0)
    }

    /// Whether there is a state.
    pub fn has_state(&self) -> bool {
        self.records.last().is_some_and(|record| record.kind != RecordKind::Deleted)
    }

    fn last_request(&self) -> Option<&str> {
        self.records.iter().rev().find_map(|record| match &record.kind {
            RecordKind::Claim { restore } => restore.as_deref(),
            RecordKind::Genesis | RecordKind::Epoch(_) | RecordKind::Final { .. } | RecordKind::Deleted => {
                None
            }
        })
    }

    /// A worker starts: its attempt, or why it may not.
    pub fn claim(&mut self, start: &StartAs) -> Result<i64, Refused> {
        let refuse = |reason, message: String| Err(Refused { reason, message, incarnation: None });
        let (leader, attempt) = self.generation();
        let owner = self.owner.as_deref().unwrap_or(&start.owner);
        if owner != start.owner && start.take_over.as_deref() != Some(owner) {
            return refuse(
                "StateOwned",
                format!("the state belongs to {owner}, and this is {}", start.owner),
            );
        }
        if leader > start.incarnation {
            let message = format!("incarnation {leader} has claimed the state");
            return Err(Refused { reason: "Fenced", message, incarnation: Some(leader) });
        }
        if self.end_of(start.incarnation).is_some() {
            return refuse("Fenced", "this incarnation has ended".to_owned());
        }
        if start.floor.is_some_and(|floor| floor > self.head()) {
            return refuse("StateMissing", format!("the head {} is below {:?}", self.head(), start.floor));
        }
        let generation = (start.incarnation, if leader == start.incarnation { attempt + 1 } else { 1 });
        let is_done = start.request.is_some() && self.last_request() == start.request.as_deref();
        if start.restore == "nothing" && !is_done && self.has_state() {
            if start.request.is_none() {
                return refuse("StateExists", "there is a state, and the start is from nothing".to_owned());
            }
            self.append(generation, RecordKind::Deleted);
        }
        if !self.has_state() {
            self.append(generation, RecordKind::Genesis);
        }
        self.owner = Some(start.owner.clone());
        self.append(generation, RecordKind::Claim { restore: start.request.clone() });
        Ok(generation.1)
    }

    /// A worker that leads appends; one that was overtaken is told.
    pub fn commit(&mut self, generation: (i64, i64), kind: RecordKind) -> Result<i64, Refused> {
        let leader = self.generation();
        let ended = self.end_of(generation.0).is_some();
        if leader != generation || ended {
            let message = format!("{leader:?} leads, not {generation:?}");
            return Err(Refused { reason: "Fenced", message, incarnation: Some(leader.0) });
        }
        Ok(self.append(generation, kind))
    }

    /// The janitor: everything is gone.
    pub fn delete(&mut self, incarnation: i64) -> Result<(), Refused> {
        let (leader, _) = self.generation();
        if leader > incarnation + 1 {
            let message = format!("incarnation {leader} has claimed the state");
            return Err(Refused { reason: "Fenced", message, incarnation: Some(leader) });
        }
        if self.has_state() {
            self.append((incarnation + 1, 1), RecordKind::Deleted);
        }
        Ok(())
    }

    fn append(&mut self, generation: (i64, i64), kind: RecordKind) -> i64 {
        let seq = self.head() + 1;
        self.records.push(Record { seq, generation, kind });
        seq
    }
}
