//! Makes a committed epoch's output appear.
//!
//! Owns: reading an outbox back and writing what is in it to its targets.
//! Never: publishes what it was not told to: the coordinator answers for the commit.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crossbeam_channel::Receiver;
use streamjob_checkpoint::checkpoint::Object;
use streamjob_checkpoint::ids::{Epoch, Lineage};
use streamjob_checkpoint::outbox::read_outbox;
use streamjob_checkpoint::store::StateStore;

use super::super::RunError;
use super::super::messages::Publication;
use crate::durability::Calls;
use crate::durability::outbox::OutboxBudget;
use crate::metrics::JobMetrics;
use crate::pipeline::sink::{self, FilePublisher, PublishedFile, SinkError, Target};

/// An epoch that is committed.
#[derive(Debug)]
pub(super) struct Publish {
    /// Its output.
    pub output: Publication,
    /// Whether this process put it into the outbox, so that the budget has it.
    pub own: bool,
}

/// What came of publishing an epoch.
pub(super) type Published = Result<(Lineage, Epoch, Vec<(Target, PublishedFile)>), RunError>;

/// Publishes, on a thread of its own.
pub(super) struct PublishThread {
    pub(super) publisher: Publisher,
    pub(super) budget: Arc<OutboxBudget>,
    pub(super) metrics: Arc<JobMetrics>,
    pub(super) calls: Calls,
}

impl PublishThread {
    /// Runs until the senders of `epochs` are gone.
    pub(super) fn run(self, epochs: &Receiver<Publish>, mut say: impl FnMut(Published)) {
        while let Ok(Publish { output, own }) = epochs.recv() {
            // However long it takes: processing goes on meanwhile, until the budget is used.
            let Some(files) = self.calls.wait(self.publisher.publish(&output)) else { return };
            if own && files.is_ok() {
                let parts = output.outbox.iter().flat_map(|outbox| &outbox.parts);
                self.budget.release(parts.map(|part| part.bytes).sum());
                self.metrics.unpublished_bytes.store(self.budget.unpublished(), Relaxed);
            }
            say(files.map(|files| (output.lineage, output.epoch, files)));
        }
    }
}

/// Reads outboxes back and writes what is in them to their targets.
pub(in crate::runtime) struct Publisher {
    /// Where outboxes are; as long as it goes on when a call fails, the publisher does when a file cannot be written.
    pub store: StateStore,
    /// Where their rows go.
    pub files: FilePublisher,
}

impl Publisher {
    /// Makes the output of an epoch appear. Once more, it changes nothing.
    pub(in crate::runtime) async fn publish(
        &self,
        output: &Publication,
    ) -> Result<Vec<(Target, PublishedFile)>, RunError> {
        self.store.retries().run(self.store.patience(), || self.try_publish(output)).await
    }

    async fn try_publish(&self, output: &Publication) -> Result<Vec<(Target, PublishedFile)>, RunError> {
        let mut publication = self.files.begin(output.lineage.to_string(), output.epoch.0);
        for outbox in &output.outbox {
            let object = output.objects.iter().find(|object| object.name == outbox.object);
            let object = object.expect("a validated checkpoint names the objects of its outbox");
            self.copy(object, &mut publication).await?;
        }
        Ok(publication.finish()?)
    }

    async fn copy(&self, object: &Object, publication: &mut sink::Publication<'_>) -> Result<(), RunError> {
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
