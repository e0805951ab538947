//! From a manifest to what its job has stored.
//!
//! Owns: opening a job's state to look at it; finding a checkpoint or savepoint by the name that people give it.
//! Never: makes, changes or deletes anything there. It may be read while the job runs.

use std::future::Future;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use streamjob_checkpoint::bundle::BundleError;
use streamjob_checkpoint::checkpoint::Checkpoint;
use streamjob_checkpoint::ids::Epoch;
use streamjob_checkpoint::log::{Log, LogError};
use streamjob_checkpoint::record::{Record, Stored};
use streamjob_checkpoint::savepoint::{self, Savepoint, SavepointError};
use streamjob_checkpoint::store::{StateStore, StoreError};
use streamjob_crds::ManifestErrors;
use streamjob_plan::{LocationPlan, Plan};
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};

use super::Exit;
use super::args::RestorePoint;
use super::checkpoints::view::restorable;
use super::manifest;
use crate::runtime::location;

/// Why a job's state cannot be looked at.
#[derive(Debug, Error)]
pub(super) enum StateError {
    /// The manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestErrors),
    /// There is none.
    #[error(
        "{job} has no state in {folder}: run it first with `streamjob run`, or give `spec.state.location` the value that \
         it ran with"
    )]
    NoState {
        /// The job.
        job: String,
        /// Where it would be.
        folder: String,
    },
    /// There is none.
    #[error(
        "there is no state in {folder}: name the folder that holds `log/`, which is the location and in it the job's name \
         (of a job on a cluster `<namespace>.<name>`), or the `spec.state.id` of its manifest"
    )]
    NothingThere {
        /// The folder.
        folder: String,
    },
    /// It has only just begun.
    #[error(
        "{job} has no checkpoint yet: wait for the first one, or see why there is none in the log of the job"
    )]
    NoCheckpoint {
        /// The job.
        job: String,
    },
    /// Not that one.
    #[error("{job} has no checkpoint {epoch}: it was deleted in its time, or never was; {there}")]
    NoEpoch {
        /// The job.
        job: String,
        /// Which.
        epoch: Epoch,
        /// Which ones there are.
        there: String,
    },
    /// Not that one.
    #[error("there is no savepoint {named}: neither among those in {folder}, nor as a folder; {there}")]
    NoSavepoint {
        /// What was asked for.
        named: String,
        /// The job's savepoints.
        folder: String,
        /// Which ones there are.
        there: String,
    },
    /// State that the manifest does not fit.
    #[error(
        "{field} has changed since {point} was written: it was `{old}` and is `{new}`, which that state does not fit: \
         put it back (a run that begins with nothing, `--fresh --discard-state`, may have any)"
    )]
    Changed {
        /// The checkpoint or savepoint.
        point: String,
        /// Of the manifest.
        field: String,
        /// As the checkpoint has it.
        old: String,
        /// As the manifest has it.
        new: String,
    },
    /// A fresh start over state.
    #[error(
        "{job} has state, which --fresh would give up: {lost}; run it without --fresh to go on from it, or add --discard-state to give it up"
    )]
    WouldLose {
        /// The job.
        job: String,
        /// What is in it.
        lost: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A savepoint.
    #[error(transparent)]
    Savepoint(#[from] SavepointError),
    /// An object.
    #[error(transparent)]
    Object(#[from] BundleError),
    /// No thread to read with.
    #[error("cannot begin to read: {0}; raise the limits of threads and open files, or end other programs")]
    Runtime(#[from] io::Error),
}

/// A job and what it has stored.
pub(super) struct JobState {
    pub(super) job: String,
    /// Unless the state was named, and not the manifest.
    pub(super) plan: Option<Plan>,
    pub(super) store: StateStore,
    pub(super) log: Log,
    runtime: Runtime,
}

/// A checkpoint or savepoint.
pub(super) struct Point {
    /// As people name it.
    pub(super) name: String,
    /// Where its objects are.
    pub(super) store: StateStore,
    /// What it says.
    pub(super) checkpoint: Checkpoint,
    /// The record that it is in, unless it is a savepoint.
    pub(super) record: Option<Record>,
    /// The savepoint that it is.
    pub(super) savepoint: Option<Savepoint>,
}

impl StateError {
    /// The job has not run yet.
    pub(super) fn no_state(plan: &Plan) -> Self {
        Self::NoState { job: plan.job.clone(), folder: plan.state.location.to_string() }
    }

    /// How a command that meets it ends.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Manifest(_) => Exit::Mistake,
            Self::NoState { .. }
            | Self::NothingThere { .. }
            | Self::NoCheckpoint { .. }
            | Self::NoEpoch { .. }
            | Self::NoSavepoint { .. }
            | Self::Changed { .. }
            | Self::WouldLose { .. }
            | Self::Store(_)
            | Self::Log(_)
            | Self::Savepoint(_)
            | Self::Object(_)
            | Self::Runtime(_) => Exit::Failed,
        }
    }
}

impl JobState {
    /// Opens the state of a manifest's job, or the state that lies in a folder or behind a URL.
    pub(super) fn open(path: &Path) -> Result<Self, StateError> {
        match path.to_str().filter(|text| text.contains("://") || path.is_dir()) {
            Some(text) => Self::at(&location::named(text)?),
            None => Self::of(manifest::compile(path)?),
        }
    }

    fn at(location: &LocationPlan) -> Result<Self, StateError> {
        let store = match location::open_to_read(location) {
            Err(error) if error.is_missing() => {
                return Err(StateError::NothingThere { folder: location.to_string() });
            }
            opened => opened?,
        };
        let job = store.shown().rsplit('/').next().unwrap_or_default().to_owned();
        Ok(Self { job, plan: None, log: Log::new(store.clone()), store, runtime: reader()? })
    }

    /// Opens the state of a job.
    pub(super) fn of(plan: Plan) -> Result<Self, StateError> {
        let runtime = reader()?;
        let store = match location::open_to_read(&plan.state.location) {
            Ok(store) => store,
            Err(error) if error.is_missing() => return Err(StateError::no_state(&plan)),
            Err(error) => return Err(error.into()),
        };
        let log = Log::new(store.clone());
        Ok(Self { job: plan.job.clone(), plan: Some(plan), store, log, runtime })
    }

    /// What waits for answers of the store.
    pub(super) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Waits for an answer of the store.
    pub(super) fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        self.runtime.block_on(answer)
    }

    /// All records that are left, oldest first; at least one.
    pub(super) fn records(&self) -> Result<Vec<Stored>, StateError> {
        let records = self.wait(self.log.records())?;
        if records.is_empty() { Err(self.nothing()) } else { Ok(records) }
    }

    fn nothing(&self) -> StateError {
        match &self.plan {
            Some(plan) => StateError::no_state(plan),
            None => StateError::NothingThere { folder: self.store.shown().to_owned() },
        }
    }

    /// The checkpoint or savepoint of this name; without one, the checkpoint that a start would go on from.
    pub(super) fn find(&self, named: Option<&RestorePoint>) -> Result<Point, StateError> {
        match named {
            None => self.checkpoint(None),
            Some(RestorePoint::Epoch(epoch)) => self.checkpoint(Some(*epoch)),
            Some(RestorePoint::Savepoint(named)) => self.savepoint(named),
        }
    }

    /// The checkpoint of an epoch, or the one that a start would go on from.
    pub(super) fn checkpoint(&self, epoch: Option<Epoch>) -> Result<Point, StateError> {
        let stored = self.records()?;
        let records: Vec<&Record> = stored.iter().map(|stored| &stored.record).collect();
        let record = match epoch {
            None => newest(&records).ok_or_else(|| StateError::NoCheckpoint { job: self.job.clone() })?,
            Some(epoch) => of_epoch(&records, epoch).ok_or_else(|| self.no_epoch(epoch, &records))?,
        };
        let checkpoint = record.checkpoint().expect("records without a checkpoint are not found").clone();
        Ok(Point {
            name: format!("epoch {}", checkpoint.epoch),
            store: self.store.clone(),
            checkpoint,
            record: Some(record.clone()),
            savepoint: None,
        })
    }

    fn no_epoch(&self, epoch: Epoch, records: &[&Record]) -> StateError {
        let mut there: Vec<_> = epochs(records).iter().map(Epoch::to_string).collect();
        there.dedup();
        let there = match there.as_slice() {
            [] => "there is none yet".to_owned(),
            [only] => format!("there is {only}"),
            several => format!("there are {}", several.join(", ")),
        };
        StateError::NoEpoch { job: self.job.clone(), epoch, there }
    }

    /// A savepoint of this job by its id, or any savepoint by its folder.
    fn savepoint(&self, named: &str) -> Result<Point, StateError> {
        let is_id = !named.contains(['/', '\\']);
        let own = savepoint::folder(&self.store, named).ok().filter(|_| is_id);
        if let Some(store) = own {
            match self.wait(savepoint::open(&store)) {
                Ok(opened) => return Ok(savepoint_point(store, opened)),
                // It may be a folder instead.
                Err(SavepointError::Incomplete { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        match savepoint_in(named) {
            Ok(store) => {
                let opened = self.wait(savepoint::open(&store))?;
                Ok(savepoint_point(store, opened))
            }
            Err(error) if error.is_missing() => Err(self.no_savepoint(named)),
            Err(error) => Err(error.into()),
        }
    }

    fn no_savepoint(&self, named: &str) -> StateError {
        let found = self.wait(savepoint::list(&self.store)).unwrap_or_default();
        let ids: Vec<_> = found.into_iter().map(|found| found.id).collect();
        let there = if ids.is_empty() {
            "the job has none".to_owned()
        } else {
            format!("there are {}", ids.join(", "))
        };
        StateError::NoSavepoint {
            named: named.to_owned(),
            folder: format!("{}/savepoints", self.store.shown()),
            there,
        }
    }
}

/// A savepoint that is named by its folder or URL.
pub(super) fn savepoint_in(folder: &str) -> Result<StateStore, StoreError> {
    location::open_to_read(&location::named(folder)?)
}

pub(super) fn savepoint_point(store: StateStore, opened: Savepoint) -> Point {
    Point {
        name: format!("savepoint {}", store.shown()),
        store,
        checkpoint: opened.checkpoint.clone(),
        record: None,
        savepoint: Some(opened),
    }
}

/// The record that a start would begin at, if it has a checkpoint.
pub(super) fn newest<'a>(records: &[&'a Record]) -> Option<&'a Record> {
    let begins_at = records.last()?.begins_at;
    records.iter().copied().find(|record| record.seq == begins_at && record.checkpoint().is_some())
}

/// The record of an epoch. The Epoch itself rather than the Final that repeats it.
fn of_epoch<'a>(records: &[&'a Record], epoch: Epoch) -> Option<&'a Record> {
    let has = |record: &Record| record.checkpoint().is_some_and(|checkpoint| checkpoint.epoch == epoch);
    restorable(records).find(|record| has(record))
}

fn epochs(records: &[&Record]) -> Vec<Epoch> {
    restorable(records).filter_map(|record| Some(record.checkpoint()?.epoch)).collect()
}

/// The first field of the fingerprint that is not as a checkpoint has it.
pub(super) fn check_fingerprint(
    point: &str,
    checkpoint: &Checkpoint,
    plan: &Plan,
    matters: impl Fn(&str) -> bool,
) -> Result<(), StateError> {
    let (old, new) = (&checkpoint.fingerprint, plan.fingerprint());
    let fields = old.keys().chain(new.keys()).filter(|field| matters(field));
    let changed = fields.min_by_key(|field| (old.get(*field) == new.get(*field), (*field).clone()));
    let value = |value: Option<&String>| value.map_or_else(|| "nothing".to_owned(), String::clone);
    match changed {
        Some(field) if old.get(field) != new.get(field) => Err(StateError::Changed {
            point: point.to_owned(),
            field: field.clone(),
            old: value(old.get(field)),
            new: value(new.get(field)),
        }),
        Some(_) | None => Ok(()),
    }
}

/// What waits for the answers of a store.
pub(super) fn reader() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// The wall clock, for ages.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
