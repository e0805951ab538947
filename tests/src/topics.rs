//! The topics that a trial's job reads and writes.
//!
//! Owns: making them, writing the input, reading what was published, and in which epoch that was.
//! Never: reads with anything of the product.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::checker::{Difference, Input, Published};
use crate::feed::Feed;
use crate::kafka::{Cluster, Producing, Record};
use crate::timeline::{Happening, Timeline};

/// Where the product says what it has published.
pub const PROGRESS: &str = "__streamjob_progress";

/// Partitions of the topic of results.
const OUT_PARTITIONS: i32 = 3;

/// An input, an output and the late rows. Clones are the same topics.
#[derive(Clone)]
pub struct Topics {
    cluster: Arc<Cluster>,
    name: String,
    /// Where the job finds the brokers it reads from, and those it writes to.
    source: String,
    sink: String,
    /// What the job sets of librdkafka.
    properties: Vec<(&'static str, String)>,
}

/// A record that says what is published.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Progress {
    /// The life of the state.
    pub lineage: String,
    /// The slot.
    pub slot: u32,
    /// What it has published.
    pub epoch: u64,
    /// When it was sent.
    pub at_ms: i64,
}

/// What became of a job's transactions.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Transactions {
    /// Committed ones.
    pub commits: u64,
    /// Aborted ones.
    pub aborts: u64,
    /// How often a producer was taken over by its successor.
    pub fences: u64,
    /// Outboxes of a slot that a successor has sent.
    pub republished: u64,
    /// Those that a successor found published.
    pub found: u64,
}

#[derive(Deserialize)]
struct Value {
    epoch: u64,
}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topics").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Topics {
    /// New topics of a cluster, with names that no others have.
    pub fn new(cluster: &Arc<Cluster>) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self::named(cluster, &format!("trial-{}", NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    /// Those that begin with this name.
    pub fn named(cluster: &Arc<Cluster>, name: &str) -> Self {
        let direct = cluster.bootstrap();
        Self {
            cluster: Arc::clone(cluster),
            name: name.to_owned(),
            source: direct.clone(),
            sink: direct,
            properties: Vec::new(),
        }
    }

    /// The job reads and writes through a door.
    pub fn behind(self, door: usize) -> Self {
        let behind = self.cluster.bootstrap_behind(door);
        Self { source: behind.clone(), sink: behind, ..self }
    }

    /// The job writes through a door, and reads without one.
    pub fn writing_behind(self, door: usize) -> Self {
        Self { sink: self.cluster.bootstrap_behind(door), ..self }
    }

    /// With one more setting of librdkafka.
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.properties.push((name, value.to_string()));
        self
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The topic of the input.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The topic of results.
    pub fn out(&self) -> String {
        format!("{}-out", self.name)
    }

    /// The topic of late rows.
    pub fn late(&self) -> String {
        format!("{}-late", self.name)
    }

    /// Makes them, and writes the input.
    pub fn create(&self, feed: &Feed) -> Result<()> {
        self.cluster.create_topic(&self.name, i32::try_from(feed.partitions)?, &[])?;
        self.cluster.create_topic(&self.out(), OUT_PARTITIONS, &[])?;
        self.cluster.create_topic(&self.late(), 1, &[])?;
        let how = Producing { codec: Some("lz4"), transaction: None };
        for partition in 0..feed.partitions {
            let rows: Vec<Record> =
                (0..feed.rows).map(|index| Record::of(feed.row(partition, index).line())).collect();
            self.cluster.produce(&self.name, i32::try_from(partition)?, &rows, how)?;
        }
        Ok(())
    }

    /// The manifest's `source` without format and columns, `late` and `sink`.
    pub(crate) fn manifest(&self) -> [String; 3] {
        let properties: Vec<String> = self
            .properties
            .iter()
            .map(|(name, value)| format!("{{name: {name}, value: \"{value}\"}}"))
            .collect();
        let cluster = |servers: &str| {
            format!("cluster: {{bootstrapServers: \"{servers}\", properties: [{}]}}", properties.join(", "))
        };
        [
            format!("kafka: {{{}, topics: [{}], until: Latest}}", cluster(&self.source), self.name),
            format!("kafka: {{topic: {}}}", self.late()),
            format!("kafka: {{{}, topic: {}}}, format: {{json: {{}}}}", cluster(&self.sink), self.out()),
        ]
    }

    /// The input as it is stored.
    pub(crate) fn input(&self, partitions: u32, bound_ms: i64) -> Result<Input> {
        let mut texts = vec![String::new(); partitions as usize];
        for read in self.cluster.consume(&self.name)? {
            let text = &mut texts[usize::try_from(read.partition)?];
            *text += std::str::from_utf8(read.record.payload.as_deref().context("a payload")?)?;
            text.push('\n');
        }
        Input::of_texts(&texts, bound_ms)
    }

    /// What readers of committed records see, but for what was published with progress that does not count.
    pub(crate) fn published(
        &self,
        lineages: &BTreeSet<String>,
        counts: impl Fn(&Progress) -> bool,
        found: &mut Vec<Difference>,
    ) -> Result<Published> {
        let progress = self.progress(lineages)?;
        let read = |topic: &str| -> Result<Vec<(u64, String)>> {
            let mut lines = Vec::new();
            for read in self.cluster.consume(topic)? {
                let at_ms = read.record.timestamp_ms.unwrap_or(0);
                // Records of an epoch are sent before its progress, and epochs one after the other.
                let with = progress.iter().find(|progress| progress.at_ms >= at_ms);
                if with.is_none_or(&counts) {
                    let payload = read.record.payload.context("a payload")?;
                    lines.push((with.map_or(0, |with| with.epoch), String::from_utf8(payload)?));
                }
            }
            Ok(lines)
        };
        Ok(Published::of_lines(&read(&self.out())?, &read(&self.late())?, found))
    }

    /// What is published of these lives, in order.
    pub fn progress(&self, lineages: &BTreeSet<String>) -> Result<Vec<Progress>> {
        let mut progress = Vec::new();
        for read in self.cluster.consume(PROGRESS)? {
            let key = String::from_utf8(read.record.key.context("a key")?)?;
            let (lineage, slot) = key.rsplit_once('/').context("lineage/slot")?;
            if lineages.contains(lineage) {
                let value: Value = serde_json::from_slice(&read.record.payload.context("a value")?)?;
                let at_ms = read.record.timestamp_ms.context("a time")?;
                let (lineage, slot) = (lineage.to_owned(), slot.parse()?);
                progress.push(Progress { lineage, slot, epoch: value.epoch, at_ms });
            }
        }
        progress.sort_by_key(|progress| progress.at_ms);
        Ok(progress)
    }

    /// Adds what was published to a timeline, and counts.
    pub(crate) fn account(&self, timeline: &mut Timeline) -> Result<Transactions> {
        let progress = self.progress(&timeline.lineages())?;
        let mut markers = self.cluster.markers(&self.out())?;
        markers.extend(self.cluster.markers(&self.late())?);
        let (mut republished, mut found) = (0, 0);
        for (claimed_ms, epoch) in timeline.inherited() {
            for of_epoch in progress.iter().filter(|progress| progress.epoch == epoch) {
                let by_successor = of_epoch.at_ms >= claimed_ms;
                republished += u64::from(by_successor);
                found += u64::from(!by_successor);
            }
        }
        let ends: BTreeSet<_> = markers.iter().filter(|marker| !marker.committed).collect();
        let producers: BTreeSet<i64> = markers.iter().map(|marker| marker.producer).collect();
        let terms: BTreeSet<(i64, i16)> =
            markers.iter().map(|marker| (marker.producer, marker.epoch)).collect();
        timeline.merge(progress.iter().map(|progress| {
            let at = SystemTime::UNIX_EPOCH + Duration::from_millis(progress.at_ms.unsigned_abs());
            let folder = format!("{}, slot {}", self.name, progress.slot);
            (at, Happening::Published { epoch: progress.epoch, folder })
        }));
        Ok(Transactions {
            commits: progress.len() as u64,
            aborts: ends.len() as u64,
            fences: (terms.len() - producers.len()) as u64,
            republished,
            found,
        })
    }
}

impl Transactions {
    /// Both.
    pub fn plus(self, other: Self) -> Self {
        Self {
            commits: self.commits + other.commits,
            aborts: self.aborts + other.aborts,
            fences: self.fences + other.fences,
            republished: self.republished + other.republished,
            found: self.found + other.found,
        }
    }
}
