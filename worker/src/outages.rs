//! What a job waits for from outside: its source, its sink, its store.
//!
//! Owns: one outage of each, which whoever asks notes and everyone reads.
//! Never: asks anything itself.

use std::sync::Arc;

use streamjob_checkpoint::outage::Outage;
use streamjob_checkpoint::retry::Failures;

/// What is known of those that a job depends on. Clones are the same.
#[derive(Clone, Debug)]
pub struct Outages {
    /// Where the state is.
    pub store: Arc<Failures>,
    /// Where output goes.
    pub sink: Arc<Failures>,
    /// The brokers that are read from.
    pub source: Arc<Outage>,
}

impl Default for Outages {
    fn default() -> Self {
        Self {
            store: Arc::default(),
            sink: Arc::new(Failures::of(Outage::of("the sink"))),
            source: Arc::new(Outage::of("Kafka (source)")),
        }
    }
}

impl Outages {
    /// All that is waited for now, for how long, and why; `None`: nothing is.
    pub fn waiting_for(&self) -> Option<String> {
        let sink = self.sink.waiting_for().or_else(|| self.sink.outage.waiting_for());
        let all = [self.store.waiting_for(), sink, self.source.waiting_for()];
        let waiting: Vec<String> = all.into_iter().flatten().collect();
        (!waiting.is_empty()).then(|| waiting.join("; "))
    }
}
