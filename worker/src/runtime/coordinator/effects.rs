//! What the coordinator does outside of itself: appends, lists, deletes, copies.
//!
//! Owns: the tasks that do it, and the permit, which one of them holds at a time.
//! Never: decides; each task ends with one input for the coordinator.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use crossbeam_channel::Sender;
use futures::FutureExt;
use streamjob_checkpoint::ids::{Epoch, Lineage, Seq};
use streamjob_checkpoint::log::{CommitError, Log};
use streamjob_checkpoint::protocol::{Commit, CommitPermit};
use streamjob_checkpoint::record::{Record, Stored};
use streamjob_checkpoint::retention::{Retention, RetentionError, Sweep};
use streamjob_checkpoint::retry::{Patience, Retries, with_causes};
use streamjob_checkpoint::savepoint;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::event::Input;
use super::shell::CoordinatorSetup;
use crate::metrics::JobMetrics;
use crate::pipeline::clock::Clock;
use crate::pipeline::sink::{self, Folder, SinkError, Target};
use crate::runtime::StopFlag;
use crate::runtime::messages::PublishedFile;

/// How long objects stay that nothing names any more: readers of an old checkpoint have that much time.
const GRACE: Duration = Duration::from_secs(10);
/// How long the store has to say who leads, when something else has failed already.
const LEADS_DEADLINE: Duration = Duration::from_secs(5);
/// How long tasks have at the end.
const FINISH_DEADLINE: Duration = Duration::from_secs(2);

/// Does what waits.
pub(super) struct Effects {
    shared: Arc<Shared>,
    retention: Arc<Mutex<Retention>>,
    folders: Arc<BTreeMap<Target, Folder>>,
    answers: Sender<Input>,
    tasks: Handle,
    running: Vec<JoinHandle<()>>,
}

/// What several tasks need.
struct Shared {
    log: Log,
    permit: Mutex<CommitPermit>,
    kept: StdMutex<Kept>,
    metrics: Arc<JobMetrics>,
    clock: Arc<dyn Clock>,
    stop: StopFlag,
    /// What tries again when a folder of the output cannot be written.
    output: Retries,
}

/// The newest epoch of ours, and the records that are being copied.
#[derive(Default)]
struct Kept {
    newest: Option<Arc<Record>>,
    copied: BTreeMap<String, Seq>,
}

impl Effects {
    /// Effects on the world of this setup; what comes of them goes to `answers`.
    pub(super) fn new(setup: CoordinatorSetup, answers: Sender<Input>) -> Self {
        let CoordinatorSetup { plan, log, permit, folders, clock, stop, runtime, metrics, .. } = setup;
        let output = Retries::default().known_to(Arc::clone(&metrics.outages.sink));
        let permit = Mutex::new(permit);
        Self {
            shared: Arc::new(Shared { log, permit, kept: StdMutex::default(), metrics, clock, stop, output }),
            retention: Arc::new(Mutex::new(Retention::new(plan.state.retain, GRACE))),
            folders: Arc::new(folders),
            answers,
            tasks: runtime,
            running: Vec::new(),
        }
    }

    /// Appends a record, but not from `until` on.
    pub(super) fn append(&mut self, commit: Commit, until: Option<Duration>) {
        let shared = Arc::clone(&self.shared);
        self.begin(async move {
            let mut permit = shared.permit.lock().await;
            let ends = matches!(commit, Commit::Final { .. });
            let may = || !ends || shared.stop.may_end(until, || shared.clock.elapsed());
            match shared.log.commit_while(&mut permit, commit, &may).await {
                Ok(stored) => {
                    shared.metrics.standing.reached(stored.record.seq);
                    shared.kept().newest = Some(record_of(&stored));
                    Input::Appended
                }
                Err(CommitError::Fenced { by }) => Input::Fenced { by },
                Err(error @ CommitError::Unresolved(_)) => Input::Unresolved { cause: with_causes(&error) },
                Err(CommitError::Late) => Input::Late,
                Err(error @ CommitError::Refused(_)) => Input::Refused { cause: with_causes(&error) },
                Err(error @ CommitError::Record(_)) => Input::Broken { reason: with_causes(&error) },
            }
        });
    }

    /// Lists the files of an epoch in each folder that got any, and lets the next epoch commit.
    pub(super) fn conclude(
        &mut self,
        (lineage, epoch): (Lineage, Epoch),
        files: Vec<PublishedFile>,
        progress: Option<u64>,
    ) {
        let (shared, folders) = (Arc::clone(&self.shared), Arc::clone(&self.folders));
        self.begin(async move {
            let files = Arc::new(files);
            let list = || {
                let (folders, files) = (Arc::clone(&folders), Arc::clone(&files));
                beside(move || list(&folders, (lineage, epoch), &files))
            };
            let listed = shared.output.run(Patience::Endless, list).await;
            if listed.is_ok() {
                let mut permit = shared.permit.lock().await;
                // Nobody waits for an epoch without output.
                let _waited = permit.published(lineage, epoch);
                if let Some(from) = progress {
                    permit.note_progress(from);
                }
            }
            Input::Concluded(listed.map_err(|error| with_causes(&error)))
        });
    }

    /// Deletes what nobody needs. That it did not work is no reason to stop: a later sweep makes up for it.
    pub(super) fn sweep(&mut self) {
        let (shared, retention) = (Arc::clone(&self.shared), Arc::clone(&self.retention));
        self.begin(async move {
            let pins: BTreeSet<Seq> = shared.kept().copied.values().copied().collect();
            let sweep = Sweep { now: shared.clock.elapsed(), pins: &pins };
            let mut retention = retention.lock().await;
            let permit = shared.permit.lock().await;
            match retention.run(&shared.log, &permit, sweep).await {
                Ok(swept) => {
                    tracing::debug!(
                        records = swept.records,
                        objects = swept.objects,
                        "deleted old checkpoints"
                    );
                    Input::Swept
                }
                Err(RetentionError::Fenced { by }) => Input::Fenced { by },
                Err(error @ (RetentionError::Log(_) | RetentionError::Store(_))) => {
                    tracing::warn!("{}; it is tried again after the next one", with_causes(&error));
                    Input::Swept
                }
            }
        });
    }

    /// Looks whether there is a savepoint of this id already: of an earlier run, or of this one, long ago.
    pub(super) fn find_savepoint(&mut self, id: String) {
        let shared = Arc::clone(&self.shared);
        self.begin(async move {
            let folder = match savepoint::folder(shared.log.store(), &id) {
                Ok(folder) => folder,
                Err(error) => return Input::SavepointTaken { id, result: Err(with_causes(&error)) },
            };
            match savepoint::open(&folder).await {
                Ok(_complete) => {
                    let location = folder.shown().to_owned();
                    Input::SavepointTaken { id, result: Ok(location) }
                }
                // Whatever is wrong with what is there is found when it is written.
                Err(_) => Input::SavepointAsked { id },
            }
        });
    }

    /// Copies the newest epoch.
    pub(super) fn take_savepoint(&mut self, id: String, epoch: Epoch) {
        let shared = Arc::clone(&self.shared);
        let newest = shared.kept().newest.clone();
        let record = newest.expect("a savepoint is of an epoch that is committed");
        let of = record.checkpoint().map(|checkpoint| checkpoint.epoch);
        assert_eq!(of, Some(epoch), "a savepoint is of the newest epoch");
        // From here on, not from when the task runs: a sweep may come in between.
        shared.kept().copied.insert(id.clone(), record.seq);
        self.begin(async move {
            let now_ms = shared.clock.now_ms();
            let taken = savepoint::take(shared.log.store(), &id, now_ms, &record).await;
            shared.kept().copied.remove(&id);
            Input::SavepointTaken { id, result: taken.map_err(|error| with_causes(&error)) }
        });
    }

    /// Finds out who leads. If the store does not say it, whatever else has failed is told.
    pub(super) fn ask_who_leads(&mut self) {
        let shared = Arc::clone(&self.shared);
        self.begin(async move {
            let asked = async {
                let permit = shared.permit.lock().await;
                shared.log.successor(&permit).await
            };
            match tokio::time::timeout(LEADS_DEADLINE, asked).await {
                Ok(Ok(Some(by))) => Input::Fenced { by },
                Ok(Ok(None) | Err(_)) | Err(_) => Input::Leads,
            }
        });
    }

    /// Waits a moment for what is under way; what is not done then breaks off, as in a crash.
    pub(super) fn finish(&mut self) {
        let running = std::mem::take(&mut self.running);
        let aborts: Vec<_> = running.iter().map(JoinHandle::abort_handle).collect();
        let all = async { tokio::time::timeout(FINISH_DEADLINE, futures::future::join_all(running)).await };
        if self.tasks.block_on(all).is_err() {
            aborts.iter().for_each(tokio::task::AbortHandle::abort);
        }
    }

    fn begin(&mut self, task: impl Future<Output = Input> + Send + 'static) {
        self.running.retain(|task| !task.is_finished());
        let answers = self.answers.clone();
        self.running.push(self.tasks.spawn(async move {
            let input = AssertUnwindSafe(task).catch_unwind().await.unwrap_or_else(|_panic| Input::Broken {
                reason: "a task of the coordinator panicked; this is a bug, please report it".to_owned(),
            });
            // The channel has room for more answers than are ever under way; an ended coordinator needs none.
            let _ended = answers.try_send(input);
        }));
    }
}

impl Shared {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn record_of(stored: &Stored) -> Arc<Record> {
    Arc::new(stored.record.clone())
}

/// Does what blocks where it does not hold up other tasks.
async fn beside<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(what).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Writes `_epoch-<n>.json` into each folder that got files.
fn list(
    folders: &BTreeMap<Target, Folder>,
    (lineage, epoch): (Lineage, Epoch),
    files: &[PublishedFile],
) -> Result<(), SinkError> {
    let mut by_target: BTreeMap<&str, Vec<sink::PublishedFile>> = BTreeMap::new();
    for PublishedFile { target, name, rows, bytes } in files {
        let file = sink::PublishedFile { name: name.clone(), rows: *rows, bytes: *bytes };
        by_target.entry(target).or_default().push(file);
    }
    for (target, files) in by_target {
        let folder = Target::named(target).and_then(|target| folders.get(&target));
        let folder = folder.ok_or_else(|| SinkError::Target { name: target.to_owned() })?;
        sink::write_epoch_manifest(&folder.path, &lineage.to_string(), epoch.0, &files)?;
    }
    Ok(())
}
