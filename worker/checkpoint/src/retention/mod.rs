//! Deletes what nobody needs any more.
//!
//! Owns: which records and objects those are, and since when.
//! Never: deletes what a retained record names, what may still be uploaded, or anything at all for who does not lead.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::fail_point;
use crate::ids::{Generation, Seq};
use crate::log::{Log, LogError};
use crate::planted::{self, Bug};
use crate::protocol::CommitPermit;
use crate::retry::with_causes;
use crate::store::StoreError;

mod look;
mod plan;
#[cfg(test)]
mod tests;

pub use look::{Look, Seen};
pub use plan::{Facts, Known, Plan};

/// How many things one run deletes, so that it ends soon.
const DELETIONS_MAX: usize = 200;
/// How often the objects of older generations are listed: a zombie may still write some.
const LISTING_EVERY: Duration = Duration::from_secs(600);

/// What one leader has found to delete.
#[derive(Debug)]
pub struct Retention {
    retain: usize,
    grace: Duration,
    known: BTreeMap<Seq, Known>,
    /// Named by records that are being deleted, or left behind by older generations.
    released: BTreeSet<String>,
    /// Objects that nothing names, and since when.
    unnamed: BTreeMap<String, Duration>,
    listed_at: Option<Duration>,
}

/// One look at the log.
#[derive(Clone, Copy, Debug)]
pub struct Sweep<'a> {
    /// Since some fixed instant, by a clock that never goes back.
    pub now: Duration,
    /// Records that someone is reading.
    pub pins: &'a BTreeSet<Seq>,
}

/// What was deleted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Swept {
    /// Records.
    pub records: u64,
    /// Objects.
    pub objects: u64,
}

/// Why a sweep ended early. What was not deleted is deleted by a later one.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// Someone else has taken over.
    #[error("fenced: generation {by} has taken over")]
    Fenced {
        /// Who leads.
        by: Generation,
    },
    /// The log could not be read.
    #[error("old checkpoints are not deleted")]
    Log(#[source] LogError),
    /// An object could not be listed or deleted.
    #[error("old checkpoints are not deleted")]
    Store(#[source] StoreError),
}

impl Retention {
    /// Keeps the newest `retain` epochs; objects for `grace` after nothing names them any more, for who reads them
    /// beside the job.
    pub fn new(retain: u32, grace: Duration) -> Self {
        Self {
            retain: retain.max(1) as usize,
            grace,
            known: BTreeMap::new(),
            released: BTreeSet::new(),
            unnamed: BTreeMap::new(),
            listed_at: None,
        }
    }

    /// Deletes what can be deleted now; a bounded number of things. Not while a commit is under way.
    pub async fn run(
        &mut self,
        log: &Log,
        permit: &CommitPermit,
        sweep: Sweep<'_>,
    ) -> Result<Swept, RetentionError> {
        let mut swept = Swept::default();
        let Some(plan) = self.look(log, permit, sweep).await? else { return Ok(swept) };
        self.released.extend(plan.objects);
        self.known.range_mut(..plan.keep_from).for_each(|(_, known)| known.forget_names());
        for &seq in plan.records.iter().take(DELETIONS_MAX) {
            fail_point::hit("retention.record.before");
            log.store().delete(&seq.object_name()).await.map_err(RetentionError::Store)?;
            fail_point::hit("retention.record.after");
            self.known.remove(&seq);
            swept.records += 1;
        }
        if plan.records.len() > DELETIONS_MAX {
            return Ok(swept);
        }
        if self.listed_at == Some(sweep.now) {
            abort_uploads(log, permit.generation()).await;
        }
        self.release(&plan.kept, sweep.now);
        for name in self.due(sweep.now) {
            fail_point::hit("retention.object.before");
            log.store().delete(&name).await.map_err(RetentionError::Store)?;
            fail_point::hit("retention.object.after");
            self.unnamed.remove(&name);
            swept.objects += 1;
        }
        Ok(swept)
    }

    async fn look(
        &mut self,
        log: &Log,
        permit: &CommitPermit,
        sweep: Sweep<'_>,
    ) -> Result<Option<Plan>, RetentionError> {
        let listing = self.listed_at.is_none_or(|at| sweep.now.saturating_sub(at) >= LISTING_EVERY);
        let mut look = Look::new(permit, self.retain, sweep.pins.clone(), listing)
            .knowing(std::mem::take(&mut self.known));
        let seen = log.look(&mut look).await;
        self.known = look.into_known();
        match seen.map_err(RetentionError::Log)? {
            Seen::Plan(plan) => {
                self.listed_at = if listing { Some(sweep.now) } else { self.listed_at };
                Ok(Some(*plan))
            }
            Seen::Overtaken => match log.successor(permit).await.map_err(RetentionError::Log)? {
                Some(by) => Err(RetentionError::Fenced { by }),
                None => Ok(None),
            },
        }
    }

    /// No record that is left names what was released, but for the retained ones.
    fn release(&mut self, kept: &BTreeSet<String>, now: Duration) {
        for name in std::mem::take(&mut self.released) {
            self.unnamed.entry(name).or_insert(now);
        }
        if !planted::is(Bug::RetentionWithoutReferences) {
            self.unnamed.retain(|name, _| !kept.contains(name));
        }
    }

    fn due(&self, now: Duration) -> Vec<String> {
        let old = self.unnamed.iter().filter(|(_, since)| now.saturating_sub(**since) >= self.grace);
        old.map(|(name, _)| name.clone()).take(DELETIONS_MAX).collect()
    }
}

/// Uploads of older generations are never ended: whoever began them is fenced.
async fn abort_uploads(log: &Log, own: Generation) {
    match log.store().abort_uploads("data", |name| plan::is_of_older(name, own)).await {
        Ok(Some(aborted)) if aborted > 0 => {
            tracing::info!(aborted, "gave up uploads that a killed process left")
        }
        Ok(_) => {}
        // They cost space, and nothing else depends on them.
        Err(error) => tracing::debug!(cause = with_causes(&error), "unended uploads are not given up"),
    }
}
