//! Makes a committed epoch's output appear.
//!
//! Owns: reading an outbox back and writing what is in it to its targets, files before records; asking who leads before
//! producers are made.
//! Never: publishes what it was not told to: the coordinator answers for the commit.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crossbeam_channel::Receiver;
use streamjob_checkpoint::checkpoint::Object;
use streamjob_checkpoint::ids::{Epoch, Generation, Lineage};
use streamjob_checkpoint::log::Log;
use streamjob_checkpoint::outbox::{OutboxChunk, read_outbox};
use streamjob_checkpoint::retry::Retries;
use streamjob_checkpoint::store::StateStore;
use tokio::sync::{Mutex, MutexGuard};

use super::super::RunError;
use super::super::messages::Publication;
use crate::durability::Calls;
use crate::durability::outbox::OutboxBudget;
use crate::metrics::JobMetrics;
use crate::pipeline::sink::{
    self, FilePublisher, KafkaPublication, KafkaPublisher, PublishedFile, SinkError, Target,
};

/// An epoch that is committed.
#[derive(Debug)]
pub(super) struct Publish {
    /// Its output.
    pub output: Publication,
    /// Whether this process put it into the outbox, so that the budget has it.
    pub own: bool,
}

/// What came of publishing an epoch.
pub(super) type Published = Result<Out, RunError>;

/// An epoch that is published.
#[derive(Debug)]
pub(super) struct Out {
    pub(super) lineage: Lineage,
    pub(super) epoch: Epoch,
    pub(super) files: Vec<(Target, PublishedFile)>,
    /// Progress of what is published next will be in the sink's topic from this offset on.
    pub(super) progress: Option<u64>,
}

/// Publishes, on a thread of its own.
pub(super) struct PublishThread {
    pub(super) publisher: Publisher,
    pub(super) budget: Arc<OutboxBudget>,
    pub(super) metrics: Arc<JobMetrics>,
    pub(super) calls: Calls,
    /// The slots of the job; what an earlier parallelism had beyond them is published once and closed.
    pub(super) slots: u32,
}

impl PublishThread {
    /// Runs until the senders of `epochs` are gone.
    pub(super) fn run(self, epochs: &Receiver<Publish>, mut say: impl FnMut(Published)) {
        match self.calls.wait(self.publisher.prepare()) {
            Some(Ok(())) => {}
            Some(Err(error)) => return say(Err(error)),
            None => return,
        }
        while let Ok(Publish { output, own }) = epochs.recv() {
            // However long it takes: processing goes on meanwhile, until the budget is used.
            let Some(files) = self.calls.wait(self.publisher.publish(&output)) else { return };
            if own && files.is_ok() {
                let parts = output.outbox.iter().flat_map(|outbox| &outbox.parts);
                self.budget.release(parts.map(|part| part.bytes).sum());
                self.metrics.unpublished_bytes.store(self.budget.unpublished(), Relaxed);
            }
            self.publisher.close_from(self.slots);
            let (lineage, epoch, progress) = (output.lineage, output.epoch, self.publisher.progress_from());
            say(files.map(|files| Out { lineage, epoch, files, progress }));
        }
    }
}

/// Reads outboxes back and writes what is in them to their targets.
pub(in crate::runtime) struct Publisher {
    /// Where outboxes are; as long as it goes on when a call fails, the publisher does when a file cannot be written.
    pub store: StateStore,
    /// What tries again when output cannot be written.
    pub retries: Retries,
    /// Where their rows go that become files.
    pub files: FilePublisher,
    /// Where their rows go that become records; `None`: nowhere.
    pub topics: Option<Mutex<KafkaPublisher>>,
    /// Whose right it is to publish.
    pub generation: Generation,
}

impl Publisher {
    /// Finds out what was published before. Nobody who published before us can any more when it returns.
    pub(in crate::runtime) async fn prepare(&self) -> Result<(), RunError> {
        self.retries.run(self.store.patience(), || self.try_prepare()).await
    }

    /// Slots from this one on publish nothing more.
    pub(super) fn close_from(&self, slot: u32) {
        if let Some(topics) = &self.topics {
            topics.try_lock().expect("nothing is being published").close_from(slot);
        }
    }

    fn progress_from(&self) -> Option<u64> {
        let topics = self.topics.as_ref()?;
        topics.try_lock().expect("nothing is being published").progress_from()
    }

    async fn try_prepare(&self) -> Result<(), RunError> {
        match &self.topics {
            Some(topics) => self.prepared(topics).await.map(drop),
            None => Ok(()),
        }
    }

    async fn prepared<'a>(
        &self,
        topics: &'a Mutex<KafkaPublisher>,
    ) -> Result<MutexGuard<'a, KafkaPublisher>, RunError> {
        let mut topics = topics.lock().await;
        if !topics.is_ready() {
            // Before our producers end those of others: who has taken over is not to be disturbed.
            let head = Log::new(self.store.clone()).head().await?;
            match head.map(|head| head.record.generation) {
                Some(by) if by > self.generation => return Err(RunError::Fenced { by }),
                Some(_) | None => topics.prepare().await?,
            }
        }
        Ok(topics)
    }

    /// Makes the output of an epoch appear. Once more, it changes nothing.
    pub(in crate::runtime) async fn publish(
        &self,
        output: &Publication,
    ) -> Result<Vec<(Target, PublishedFile)>, RunError> {
        self.retries.run(self.store.patience(), || self.try_publish(output)).await
    }

    async fn try_publish(&self, output: &Publication) -> Result<Vec<(Target, PublishedFile)>, RunError> {
        let mut topics = match &self.topics {
            Some(topics) => Some(self.prepared(topics).await?),
            None => None,
        };
        let mut into = Into {
            files: self.files.begin(output.lineage.to_string(), output.epoch.0),
            topics: topics.as_mut().map(|topics| begin(topics, output)).transpose()?,
        };
        for outbox in &output.outbox {
            let object = output.objects.iter().find(|object| object.name == outbox.object);
            let object = object.expect("a validated checkpoint names the objects of its outbox");
            self.copy(object, &mut into).await?;
        }
        let files = into.files.finish()?;
        if let Some(topics) = into.topics {
            topics.commit().await?;
        }
        Ok(files)
    }

    async fn copy(&self, object: &Object, into: &mut Into<'_>) -> Result<(), RunError> {
        let read = |error| RunError::Outbox { source: Box::new(error) };
        let mut outbox = read_outbox(&self.store, object).await.map_err(read)?;
        while let Some(rows) = outbox.next().await.map_err(read)? {
            for OutboxChunk { slot, target: name, rows, record } in rows.chunks() {
                let target = Target::named(name);
                let target = target.ok_or_else(|| SinkError::Target { name: name.to_owned() })?;
                match &mut into.topics {
                    Some(topics) if topics.takes(target) => topics.send((target, slot), &record).await?,
                    Some(_) | None => into.files.write(target, slot, rows, record.value)?,
                }
            }
        }
        Ok(())
    }
}

/// Where an epoch goes.
struct Into<'a> {
    files: sink::Publication<'a>,
    topics: Option<KafkaPublication<'a>>,
}

fn begin<'a>(
    topics: &'a mut KafkaPublisher,
    output: &Publication,
) -> Result<KafkaPublication<'a>, SinkError> {
    let parts = output.outbox.iter().flat_map(|outbox| &outbox.parts);
    let ours = parts.filter(|part| Target::named(&part.target).is_some_and(|target| topics.takes(target)));
    let slots: Vec<u32> = ours.map(|part| part.slot).collect();
    topics.begin(output.epoch.0, slots)
}
