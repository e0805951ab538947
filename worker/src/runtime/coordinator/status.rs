//! What people get to know of checkpoints.
//!
//! Owns: which note becomes which metric and which line of the log.
//! Never: decides.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::event::{Committed, Note};
use crate::metrics::{CheckpointStep, JobMetrics, LastCheckpoint};
use crate::pipeline::clock::Clock;
use crate::runtime::figures::Figures;
use crate::runtime::messages::Times;

/// Keeps metrics and log up to date.
pub(super) struct Status {
    metrics: Arc<JobMetrics>,
    clock: Arc<dyn Clock>,
    /// What the attempts before had counted.
    before: Figures,
    unresolved: bool,
}

impl Status {
    pub(super) fn new(metrics: Arc<JobMetrics>, clock: Arc<dyn Clock>) -> Self {
        Self { before: Figures::of(&metrics), metrics, clock, unresolved: false }
    }

    pub(super) fn on(&mut self, note: Note) {
        let checkpoints = &self.metrics.checkpoints;
        match note {
            Note::Started { epoch, last } => {
                checkpoints.set_step(CheckpointStep::Collecting);
                tracing::debug!(%epoch, last, "barrier");
            }
            Note::Collected { epoch } => {
                checkpoints.set_step(CheckpointStep::Committing);
                tracing::debug!(%epoch, "all parts are stored");
            }
            Note::Committed(committed) => self.on_committed(&committed),
            Note::Published { epoch } => {
                checkpoints.set_step(CheckpointStep::Idle);
                self.metrics.epochs_published.store(epoch.0, Relaxed);
                tracing::debug!(%epoch, "published");
            }
            Note::Abandoned { epoch, cause, in_a_row } => {
                checkpoints.set_step(CheckpointStep::Idle);
                checkpoints.failed.fetch_add(1, Relaxed);
                tracing::warn!(%epoch, in_a_row, cause, "abandoned a checkpoint; the next one holds its data");
            }
            Note::Unresolved { cause, pause } => {
                self.unresolved = true;
                checkpoints.unresolved.store(true, Relaxed);
                tracing::warn!(
                    cause,
                    again_in_ms = pause.as_millis() as u64,
                    "nobody knows whether the log has a record; processing goes on, nothing is published before it is known"
                );
            }
            Note::Counted(figures) => figures.show(&self.before, &self.metrics),
            Note::Ignored { worker, generation } => {
                tracing::warn!(worker, %generation, "ignored a message of another attempt");
            }
        }
    }

    fn on_committed(&mut self, committed: &Committed) {
        if std::mem::take(&mut self.unresolved) {
            self.metrics.checkpoints.unresolved.store(false, Relaxed);
            tracing::info!(epoch = %committed.epoch, "the log has the record");
        }
        let Committed { epoch, duration, commit, times, .. } = *committed;
        let (waited_for, _) = longest(times, commit);
        self.metrics.checkpoints.set_last(LastCheckpoint {
            epoch: epoch.0,
            seq: self.metrics.standing.head().0,
            committed_at: Instant::now(),
            committed_ms: self.clock.now_ms(),
            duration,
            waited_for,
            bytes_written: committed.bytes_written,
            bytes_total: committed.bytes_total,
        });
        self.metrics.checkpoints.set_step(CheckpointStep::Publishing);
        tracing::debug!(
            epoch = epoch.0,
            bytes = committed.bytes_written,
            keys = committed.keys_written,
            state_bytes = committed.state_written,
            duration_ms = duration.as_secs_f64() * 1e3,
            align_ms = times.align_ms,
            encode_ms = times.encode_ms,
            upload_ms = times.upload_ms,
            commit_ms = commit.as_secs_f64() * 1e3,
            "checkpoint committed"
        );
    }
}

/// What a checkpoint waited for longest.
fn longest(times: Times, commit: Duration) -> (&'static str, u64) {
    let commit = ("commit", commit.as_millis() as u64);
    let parts = [("barrier", times.align_ms), ("encoding", times.encode_ms), ("upload", times.upload_ms)];
    parts.into_iter().fold(commit, |longest, part| if part.1 > longest.1 { part } else { longest })
}
