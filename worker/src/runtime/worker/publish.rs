//! Makes a committed epoch's output appear.
//!
//! Owns: reading an outbox back and writing what is in it to its targets.
//! Never: publishes what it was not told to: the coordinator answers for the commit.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crossbeam_channel::Receiver;
use streamjob_checkpoint::checkpoint::{Object, OutboxObject};
use streamjob_checkpoint::ids::{Epoch, Lineage};
use streamjob_checkpoint::outbox::read_outbox;
use streamjob_checkpoint::store::StateStore;
use tokio::runtime::Handle;

use super::super::RunError;
use crate::durability::outbox::OutboxBudget;
use crate::metrics::JobMetrics;
use crate::pipeline::sink::{FilePublisher, Publication, PublishedFile, SinkError, Target};

/// An epoch that is committed.
#[derive(Debug)]
pub(super) struct Publish {
    /// Whose.
    pub lineage: Lineage,
    /// Which.
    pub epoch: Epoch,
    /// What is in its objects.
    pub outbox: Vec<OutboxObject>,
    /// Its objects.
    pub objects: Vec<Object>,
    /// Whether this process put it into the outbox, so that the budget has it.
    pub own: bool,
}

/// What came of publishing an epoch.
pub(super) type Published = Result<(Lineage, Epoch, Vec<(Target, PublishedFile)>), RunError>;

/// Publishes, on a thread of its own.
pub(super) struct PublishThread {
    pub(super) store: StateStore,
    pub(super) files: FilePublisher,
    pub(super) budget: Arc<OutboxBudget>,
    pub(super) metrics: Arc<JobMetrics>,
    pub(super) runtime: Handle,
}

impl PublishThread {
    /// Runs until the senders of `epochs` are gone.
    pub(super) fn run(self, epochs: &Receiver<Publish>, mut say: impl FnMut(Published)) {
        while let Ok(publish) = epochs.recv() {
            let (lineage, epoch) = (publish.lineage, publish.epoch);
            say(self.publish(&publish).map(|files| (lineage, epoch, files)));
        }
    }

    fn publish(&self, publish: &Publish) -> Result<Vec<(Target, PublishedFile)>, RunError> {
        let mut publication = self.files.begin(publish.lineage.to_string(), publish.epoch.0);
        for outbox in &publish.outbox {
            let object = publish.objects.iter().find(|object| object.name == outbox.object);
            let object = object.expect("a validated checkpoint names the objects of its outbox");
            self.runtime.block_on(self.copy(object, &mut publication))?;
        }
        let files = publication.finish()?;
        if publish.own {
            let bytes = publish.outbox.iter().flat_map(|outbox| &outbox.parts).map(|part| part.bytes).sum();
            self.budget.release(bytes);
            self.metrics.unpublished_bytes.store(self.budget.unpublished(), Relaxed);
        }
        Ok(files)
    }

    async fn copy(&self, object: &Object, publication: &mut Publication<'_>) -> Result<(), RunError> {
        let read = |error| RunError::Outbox { source: Box::new(error) };
        let mut outbox = read_outbox(&self.store, object).await.map_err(read)?;
        while let Some(chunk) = outbox.next().await.map_err(read)? {
            let target = Target::named(&chunk.target);
            let target = target.ok_or_else(|| SinkError::Target { name: chunk.target.clone() })?;
            publication.write(target, chunk.slot, chunk.rows, &chunk.value)?;
        }
        Ok(())
    }
}
