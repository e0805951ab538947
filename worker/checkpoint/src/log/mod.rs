//! The log in a store: runs the protocol's machines against it.
//!
//! Owns: what an answer of the store means to the protocol.
//! Never: decides what is appended, or lets the store create a record twice: the machines ask again.

use std::sync::Arc;
use std::time::Duration;

use crate::fail_point;
use crate::ids::{Generation, Seq};
use crate::protocol::{
    Action, Answer, Append, Appended, Begin, Commit, CommitPermit, Delete, DeleteRequest, FindHead, Head,
    Machine, Refusal, Start, StartRequest, Step,
};
use crate::record::{RecordError, Stored};
use crate::retry::Patience;
use crate::store::{Created, StateStore, StoreError};

mod error;

use error::Stuck;
pub use error::{CommitError, LogError};

/// For how long a commit is tried before its caller is told that it is not resolved.
const COMMIT_PATIENCE: Patience = Patience::Within(Duration::from_secs(5));

/// The log of one state.
#[derive(Clone, Debug)]
pub struct Log {
    store: StateStore,
    /// The same, asking once: an answer that is lost is one that the machines know.
    once: StateStore,
}

impl Log {
    /// The log in this store, going on for as long as the store does.
    pub fn new(store: StateStore) -> Self {
        Self { once: store.clone().with_patience(Patience::NONE), store }
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
        let points = Points {
            before: "start.claim.before",
            after: "start.claim.after",
            resolved: "start.resolved",
            may: &always,
        };
        let claimed = self.drive(&mut Begin::new(start.clone()), points, self.store.patience()).await??;
        Ok(claimed.start())
    }

    /// Ends the state for good: whoever leads is fenced, and what is there may be deleted. `None`: there is nothing.
    pub async fn end(&self, request: &DeleteRequest) -> Result<Option<Stored>, LogError> {
        let points = Points {
            before: "delete.create.before",
            after: "delete.create.after",
            resolved: "delete.resolved",
            may: &always,
        };
        let ended = self.drive(&mut Delete::new(request.clone()), points, self.store.patience()).await??;
        Ok(ended.map(Arc::unwrap_or_clone))
    }

    /// Appends a record. After [`CommitError::Unresolved`] the same must be committed again.
    pub async fn commit(&self, permit: &mut CommitPermit, commit: Commit) -> Result<Stored, CommitError> {
        self.commit_while(permit, commit, &always).await
    }

    /// The same, if it may still be written: that is asked immediately before each create. After [`CommitError::Late`] nothing
    /// else may be committed with this permit.
    pub async fn commit_while(
        &self,
        permit: &mut CommitPermit,
        commit: Commit,
        may: &May<'_>,
    ) -> Result<Stored, CommitError> {
        if let Some(by) = permit.lost_to() {
            return Err(CommitError::Fenced { by });
        }
        let record = permit.prepare(&commit, self.store.retries().pacer().now_ms())?;
        let points = match commit {
            Commit::Epoch(_) => Points {
                before: "commit.create.before",
                after: "commit.create.after",
                resolved: "commit.resolved",
                may,
            },
            Commit::Final { .. } => {
                Points { before: "end.final.before", after: "end.final.after", resolved: "end.resolved", may }
            }
        };
        let appended = self.drive(&mut Append::new(record), points, COMMIT_PATIENCE).await;
        let appended = appended.map_err(|stuck| match stuck {
            Stuck::Store(error) => CommitError::Unresolved(error),
            Stuck::Record(error) => CommitError::Record(error),
            Stuck::Late => CommitError::Late,
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
        Ok(self.drive(machine, LOOK, self.store.patience()).await?)
    }

    /// Runs a machine until it is done, or until the store has failed for too long.
    async fn drive<M: Machine>(
        &self,
        machine: &mut M,
        points: Points<'_>,
        patience: Patience,
    ) -> Result<M::Outcome, Stuck> {
        let retries = self.store.retries();
        let mut tries = None;
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
                if !(points.may)() {
                    return Err(Stuck::Late);
                }
            }
            let answered = self.ask(&action).await?;
            if creating {
                hit(points.after);
            }
            match answered {
                Ok(answer) => {
                    tries = None;
                    retries.answered();
                    machine.on(answer);
                }
                Err(error) => {
                    let tries = tries.get_or_insert_with(|| retries.begin(patience));
                    if !retries.wait(tries, &error).await {
                        return Err(Stuck::Store(error));
                    }
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
                let listed = self.once.list("log", after.as_deref()).await;
                listed.map(|listed| {
                    Answer::Listed(listed.iter().filter_map(|found| Seq::of_object(&found.name)).collect())
                })
            }
            Action::AnyData => {
                self.once.list("data", None).await.map(|listed| Answer::Data(!listed.is_empty()))
            }
            Action::ListData => {
                let listed = self.once.list("data", None).await;
                listed.map(|listed| Answer::Objects(listed.into_iter().map(|found| found.name).collect()))
            }
            Action::Get(seq) => {
                get(&self.once, *seq).await?.map(|found| found.map_or(Answer::Absent, Answer::Got))
            }
            Action::Create(record) => {
                let seq = record.record.seq;
                match self.once.create(&seq.object_name(), record.record.encode()).await {
                    Created::Created => Ok(Answer::Created),
                    Created::Exists => Ok(Answer::Exists),
                    Created::Unknown(error) => Err(error),
                }
            }
        })
    }

    /// A record, if it is there.
    async fn get(&self, seq: Seq) -> Result<Option<Stored>, LogError> {
        let found = get(&self.store, seq).await?.map_err(LogError::Store)?;
        Ok(found.map(Arc::unwrap_or_clone))
    }

    fn contradicts(&self) -> StoreError {
        StoreError::Unfit {
            store: self.store.shown().to_owned(),
            why: "it says that a record exists and that it does not; use a store that is consistent",
        }
    }
}

/// How often a record is created again because it was not there when it was read back.
const CREATES_MAX: u32 = 20;

async fn get(store: &StateStore, seq: Seq) -> Result<Result<Option<Arc<Stored>>, StoreError>, RecordError> {
    let name = seq.object_name();
    Ok(match store.get(&name).await {
        Ok(bytes) => Ok(Some(Arc::new(Stored::decode(&name, &bytes)?))),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    })
}

/// Whether something may still be written.
pub type May<'a> = dyn Fn() -> bool + Send + Sync + 'a;

fn always() -> bool {
    true
}

/// What is around the creates of a machine: fail points, and whether there may be one.
#[derive(Clone, Copy)]
struct Points<'a> {
    before: &'static str,
    after: &'static str,
    resolved: &'static str,
    may: &'a May<'a>,
}

/// Of a machine that only looks.
const LOOK: Points<'static> = Points { before: "", after: "", resolved: "", may: &always };

fn hit(point: &'static str) {
    if !point.is_empty() {
        fail_point::hit(point);
    }
}
