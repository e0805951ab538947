//! What the processes of a run have done, and what must hold of it.
//!
//! Owns: the truth: commits, published output; the checks.
//! Never: is seen by a process.

use std::collections::BTreeMap;
use std::ops::Range;

use streamjob_checkpoint::ids::{Epoch, Hash, Lineage, Seq};
use streamjob_checkpoint::log::Log;
use streamjob_checkpoint::protocol::Begun;
use streamjob_checkpoint::record::Stored;
use streamjob_checkpoint::store::StateStore;
use streamjob_checkpoint::verify;

/// What has happened so far.
#[derive(Debug, Default)]
pub(super) struct Truth {
    /// What is known to be in the log, by place.
    committed: BTreeMap<Seq, Hash>,
    /// The newest record with state that is known to be in the log.
    state_at: Seq,
    /// What was published: which rows of the source.
    published: BTreeMap<(Lineage, Epoch), Range<u64>>,
    /// Commits of epochs.
    pub(super) commits: u32,
    /// Epochs that were given up because an upload failed.
    pub(super) abandoned: u32,
    /// Processes that lost the log.
    pub(super) fenced: u32,
}

impl Truth {
    /// A process was told that this record is in the log.
    pub(super) fn committed(&mut self, stored: &Stored) {
        let seq = stored.record.seq;
        let before = self.committed.insert(seq, stored.hash);
        assert!(before.is_none_or(|before| before == stored.hash), "two records {seq} count as committed");
        if stored.record.checkpoint().is_some() {
            self.state_at = self.state_at.max(seq);
        }
    }

    pub(super) fn committed_epoch(&mut self, stored: &Stored) {
        self.committed(stored);
        self.commits += 1;
    }

    /// The newest state that a start must know that begins from now on.
    pub(super) fn state_at(&self) -> Seq {
        self.state_at
    }

    pub(super) fn begun(&mut self, begun: &Begun, state_at: Seq) {
        self.committed(begun.permit.head());
        let from = begun.resumed_from;
        assert!(from >= state_at, "a start begins at {from}, though {state_at} was committed before");
        let fresh = begun.checkpoint.is_none();
        assert!(!fresh || from > state_at, "a start begins with nothing, though record {state_at} has state");
    }

    /// Output of an epoch is out.
    pub(super) fn published(&mut self, lineage: Lineage, epoch: Epoch, rows: Range<u64>) {
        let before = self.published.insert((lineage, epoch), rows.clone());
        assert!(before.is_none_or(|before| before == rows), "epoch {epoch} is published twice, differently");
    }

    /// At the end: every row of every lineage was published once, and all that is retained can be read.
    pub(super) async fn check(&self, log: &Log, store: &StateStore) {
        let records = log.records().await.expect("the healed log is read");
        for stored in &records {
            let seq = stored.record.seq;
            let known = self.committed.get(&seq);
            assert!(
                known.is_none_or(|hash| *hash == stored.hash),
                "record {seq} is not the one that was committed"
            );
        }
        let head = records.last().expect("something was committed");
        assert!(self.committed.keys().next_back() <= Some(&head.record.seq), "a commit is behind the head");
        let checkpoint = head.record.checkpoint().expect("a run ends with Final");
        checkpoint.validate().expect("the last checkpoint is whole");
        let damage = verify::verify(store, checkpoint).await.expect("the healed store is read");
        assert!(damage.is_empty(), "{damage:?}");
        let mut next: BTreeMap<Lineage, u64> = BTreeMap::new();
        for ((lineage, epoch), rows) in &self.published {
            let expected = next.insert(*lineage, rows.end).unwrap_or_default();
            assert!(
                rows.start == expected,
                "epoch {epoch} publishes from row {}, not {expected}",
                rows.start
            );
        }
        let published = next.get(&head.record.lineage).copied().unwrap_or_default();
        assert_eq!(
            published, checkpoint.counters.rows_in,
            "rows that were read and those that were published"
        );
    }
}
