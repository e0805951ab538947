//! The log in a store: runs the protocol's machines against it.
//!
//! Owns: retries with back-off; what an answer of the store means to the protocol.
//! Never: decides what is appended.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::fail_point;
use crate::ids::{Generation, Seq};
use crate::protocol::{
    Action, Answer, Append, Appended, Begin, Commit, CommitPermit, FindHead, Head, Machine, Refusal, Start,
    StartRequest, Step,
};
use crate::record::{RecordError, Stored};
use crate::store::{Created, StateStore, StoreError};

mod error;

use error::Stuck;
pub use error::{CommitError, LogError};

/// Time, as the log needs it.
#[async_trait]
pub trait Pacer: std::fmt::Debug + Send + Sync {
    /// Waits about this long.
    async fn pause(&self, about: Duration);

    /// The wall clock in epoch milliseconds.
    fn now_ms(&self) -> i64;
}

/// The log of one state.
#[derive(Clone, Debug)]
pub struct Log {
    store: StateStore,
    pacer: Arc<dyn Pacer>,
}

impl Log {
    /// The log in this store.
    pub fn new(store: StateStore, pacer: Arc<dyn Pacer>) -> Self {
        Self { store, pacer }
    }

    /// Where it is.
    pub fn store(&self) -> &StateStore {
        &self.store
    }

    /// The newest record, if there is a log.
    pub async fn head(&self) -> Result<Option<Stored>, LogError> {
        match self.look(&mut FindHead::new()).await? {
            Head::None => Ok(None),
            Head::At(head) => Ok(Some(Arc::unwrap_or_clone(head))),
            Head::Unreadable(record) => Err(Refusal::Unreadable { record }.into()),
        }
    }

    /// A record.
    pub async fn read(&self, seq: Seq) -> Result<Stored, LogError> {
        match self.get(seq).await? {
            Some(stored) => Ok(stored),
            None => {
                Err(LogError::NoRecord { record: seq.object_name(), store: self.store.shown().to_owned() })
            }
        }
    }

    /// The records that lead to the head without a gap, oldest first. Others that lie there were written by who had
    /// lost the log already, or only keep their numbers from being used again.
    pub async fn records(&self) -> Result<Vec<Stored>, LogError> {
        let mut records: Vec<Stored> = self.head().await?.into_iter().collect();
        while let Some(seq) = records.last().and_then(|oldest| oldest.record.seq.before()) {
            let Some(before) = self.get(seq).await? else { break };
            if records.last().is_some_and(|oldest| !oldest.follows(&before)) {
                break;
            }
            records.push(before);
        }
        records.reverse();
        Ok(records)
    }

    /// Claims the log.
    pub async fn begin(&self, start: &StartRequest) -> Result<Start, LogError> {
        let points =
            Points { before: "start.claim.before", after: "start.claim.after", resolved: "start.resolved" };
        let claimed = self.drive(&mut Begin::new(start.clone()), points).await??;
        Ok(claimed.start())
    }

    /// Appends a record. After [`CommitError::Unresolved`] the same must be committed again.
    pub async fn commit(&self, permit: &mut CommitPermit, commit: Commit) -> Result<Stored, CommitError> {
        if let Some(by) = permit.lost_to() {
            return Err(CommitError::Fenced { by });
        }
        let record = permit.prepare(&commit, self.pacer.now_ms())?;
        let points = match commit {
            Commit::Epoch(_) => Points {
                before: "commit.create.before",
                after: "commit.create.after",
                resolved: "commit.resolved",
            },
            Commit::Final { .. } => {
                Points { before: "end.final.before", after: "end.final.after", resolved: "end.resolved" }
            }
        };
        let appended = self.drive(&mut Append::new(record), points).await.map_err(|stuck| match stuck {
            Stuck::Store(error) => CommitError::Unresolved(error),
            Stuck::Record(error) => CommitError::Record(error),
        })?;
        match appended {
            Appended::Mine => Ok(Arc::unwrap_or_clone(permit.committed())),
            Appended::Lost { to } => {
                permit.lost(to.record.generation);
                Err(CommitError::Fenced { by: to.record.generation })
            }
        }
    }

    /// Whether nobody has claimed the log since.
    pub async fn still_leads(&self, permit: &CommitPermit) -> Result<bool, LogError> {
        Ok(permit.lost_to().is_none() && self.successor(permit).await?.is_none())
    }

    /// Who has taken over, if anybody has.
    pub async fn successor(&self, permit: &CommitPermit) -> Result<Option<Generation>, LogError> {
        let own = permit.generation();
        match self.head().await? {
            Some(head)
                if head.record.generation == own && head.record.writer == permit.head().record.writer =>
            {
                Ok(None)
            }
            Some(head) => Ok(Some(head.record.generation)),
            None => Err(Refusal::RecordLost {
                record: permit.head().record.seq,
                needed_by: permit.head().record.seq,
            }
            .into()),
        }
    }

    /// Runs a machine that creates nothing.
    pub(crate) async fn look<M: Machine>(&self, machine: &mut M) -> Result<M::Outcome, LogError> {
        Ok(self.drive(machine, LOOK).await?)
    }

    /// Runs a machine until it is done, or until the store has failed too often in a row.
    async fn drive<M: Machine>(&self, machine: &mut M, points: Points) -> Result<M::Outcome, Stuck> {
        let mut failures = 0;
        let mut creates = 0;
        loop {
            let action = match machine.step() {
                Step::Ask(action) => action,
                Step::Done(outcome) => {
                    hit(points.resolved);
                    return Ok(outcome);
                }
            };
            let creating = matches!(action, Action::Create(_));
            if creating {
                creates += 1;
                hit(points.before);
            }
            let answered = self.ask(&action).await?;
            if creating {
                hit(points.after);
            }
            match answered {
                Ok(answer) => {
                    failures = 0;
                    machine.on(answer);
                }
                Err(error) => {
                    failures += 1;
                    if failures > FAILURES_MAX || is_lasting(&error) {
                        return Err(Stuck::Store(error));
                    }
                    tracing::debug!(%error, failures, "asks the store again");
                    self.pacer.pause(back_off(failures)).await;
                    machine.on(Answer::Unknown);
                }
            }
            if creates > CREATES_MAX {
                return Err(Stuck::Store(self.contradicts()));
            }
        }
    }

    /// What the store says; an error where it says nothing.
    async fn ask(&self, action: &Action) -> Result<Result<Answer, StoreError>, RecordError> {
        Ok(match action {
            Action::List(from) => {
                let after = from.before().map(Seq::object_name);
                let listed = self.store.list("log", after.as_deref()).await;
                listed.map(|listed| {
                    Answer::Listed(listed.iter().filter_map(|found| Seq::of_object(&found.name)).collect())
                })
            }
            Action::AnyData => {
                self.store.list("data", None).await.map(|listed| Answer::Data(!listed.is_empty()))
            }
            Action::ListData => {
                let listed = self.store.list("data", None).await;
                listed.map(|listed| Answer::Objects(listed.into_iter().map(|found| found.name).collect()))
            }
            Action::Get(seq) => {
                self.get_once(*seq).await?.map(|found| found.map_or(Answer::Absent, Answer::Got))
            }
            Action::Create(record) => {
                let seq = record.record.seq;
                match self.store.create(&seq.object_name(), record.record.encode()).await {
                    Created::Created => Ok(Answer::Created),
                    Created::Exists => Ok(Answer::Exists),
                    Created::Unknown(error) => Err(error),
                }
            }
        })
    }

    /// A record, if it is there; tries again as often as a machine would.
    async fn get(&self, seq: Seq) -> Result<Option<Stored>, LogError> {
        let mut failures = 0;
        loop {
            match self.get_once(seq).await? {
                Ok(found) => return Ok(found.map(Arc::unwrap_or_clone)),
                Err(error) => {
                    failures += 1;
                    if failures > FAILURES_MAX || is_lasting(&error) {
                        return Err(LogError::Store(error));
                    }
                    self.pacer.pause(back_off(failures)).await;
                }
            }
        }
    }

    async fn get_once(&self, seq: Seq) -> Result<Result<Option<Arc<Stored>>, StoreError>, RecordError> {
        let name = seq.object_name();
        Ok(match self.store.get(&name).await {
            Ok(bytes) => Ok(Some(Arc::new(Stored::decode(&name, &bytes)?))),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        })
    }

    fn contradicts(&self) -> StoreError {
        StoreError::Unfit {
            store: self.store.shown().to_owned(),
            why: "it says that a record exists and that it does not; use a store that is consistent",
        }
    }
}

/// How often in a row the store may fail. With the pauses between: about five seconds, and the deadlines.
const FAILURES_MAX: u32 = 8;
/// How often a record is created again because it was not there when it was read back.
const CREATES_MAX: u32 = 20;

fn back_off(failures: u32) -> Duration {
    Duration::from_millis(20 << failures.min(6))
}

/// Nothing that time mends.
fn is_lasting(error: &StoreError) -> bool {
    match error {
        StoreError::Denied { .. } | StoreError::Unfit { .. } | StoreError::BadName { .. } => true,
        StoreError::Missing { .. }
        | StoreError::TimedOut { .. }
        | StoreError::Full { .. }
        | StoreError::NameTaken { .. }
        | StoreError::Short { .. }
        | StoreError::Failed { .. } => false,
    }
}

/// The fail points around what a machine creates.
#[derive(Clone, Copy, Debug)]
struct Points {
    before: &'static str,
    after: &'static str,
    resolved: &'static str,
}

/// Of a machine that only looks.
const LOOK: Points = Points { before: "", after: "", resolved: "" };

fn hit(point: &'static str) {
    if !point.is_empty() {
        fail_point::hit(point);
    }
}

/// The clock and timer of the machine. Waits between half and one and a half of what it is asked to.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioPacer;

#[async_trait]
impl Pacer for TokioPacer {
    async fn pause(&self, about: Duration) {
        let [byte, ..] = uuid::Uuid::new_v4().into_bytes();
        tokio::time::sleep(about.mul_f64(0.5 + f64::from(byte) / 255.0)).await;
    }

    fn now_ms(&self) -> i64 {
        jiff::Timestamp::now().as_millisecond()
    }
}
