//! What happened to a job, in order: starts, faults, records of the log, published epochs.
//!
//! Owns: finding out from outside, by looking at folders; telling what happened around a difference.
//! Never: takes part in what happens.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::checker::Difference;

/// Events shown before and after the place of a difference.
const AROUND: usize = 6;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Happening {
    /// A process was started.
    Started {
        /// Its process id.
        pid: u32,
        /// With which manifest, arguments and faults.
        how: String,
    },
    /// A process said something that matters.
    Said(String),
    /// A record appeared in the log.
    Record(LogRecord),
    /// `_epoch-<n>.json` appeared in a folder of output.
    Published {
        /// The epoch.
        epoch: u64,
        /// The folder.
        folder: String,
    },
    /// A process was sent a signal.
    Signalled {
        /// To which.
        pid: u32,
        /// What, and why.
        what: String,
    },
    /// Something else failed, or was made to.
    Fault(String),
    /// A process ended.
    Ended {
        /// Which.
        pid: u32,
        /// With a code or a signal.
        how: String,
    },
}

/// A record of the log, as far as the timeline is about it.
#[derive(Clone, Debug)]
pub struct LogRecord {
    /// Its place.
    pub seq: u64,
    /// Its kind: `epoch`, `claim` and so on.
    pub kind: String,
    /// The wall clock of who wrote it.
    pub at_ms: i64,
    /// Who wrote it: incarnation and attempt.
    pub generation: (u64, u64),
    /// The epoch, if it has a checkpoint.
    pub epoch: Option<u64>,
    /// Records read of each partition, if it has a checkpoint.
    pub positions: Vec<u64>,
    /// Whether all partitions have ended.
    pub at_the_end: bool,
    /// The life of the state.
    pub lineage: String,
    /// The record whose output may not be published yet.
    pub unpublished: Option<u64>,
}

/// All that happened.
pub struct Timeline {
    began: Instant,
    events: Vec<(Duration, Happening)>,
    seen: BTreeSet<(String, u64)>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self { began: Instant::now(), events: Vec::new(), seen: BTreeSet::new() }
    }
}

impl Timeline {
    /// Adds an event, now.
    pub fn add(&mut self, what: Happening) {
        self.events.push((self.began.elapsed(), what));
    }

    /// Adds events that were seen by someone else, each at its time.
    pub fn merge(&mut self, events: impl IntoIterator<Item = (SystemTime, Happening)>) {
        let began = SystemTime::now() - self.began.elapsed();
        let since = |at: SystemTime| at.duration_since(began).unwrap_or_default();
        self.events.extend(events.into_iter().map(|(at, what)| (since(at), what)));
        self.events.sort_by_key(|(at, _)| *at);
    }

    /// All events.
    pub fn events(&self) -> impl Iterator<Item = &Happening> {
        self.events.iter().map(|(_, what)| what)
    }

    /// The records of the log that were seen.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = &LogRecord> {
        self.events.iter().filter_map(|(_, what)| match what {
            Happening::Record(record) => Some(record),
            Happening::Started { .. }
            | Happening::Said(_)
            | Happening::Published { .. }
            | Happening::Signalled { .. }
            | Happening::Fault(_)
            | Happening::Ended { .. } => None,
        })
    }

    /// The lives of the state.
    pub fn lineages(&self) -> BTreeSet<String> {
        self.records().map(|record| record.lineage.clone()).collect()
    }

    /// What the log's claims found unpublished, perhaps: when the claim was made, and the epoch.
    pub fn inherited(&self) -> Vec<(i64, u64)> {
        let epoch_of = |seq: u64| self.records().find(|record| record.seq == seq)?.epoch;
        let claims = self.records().filter(|record| record.kind != "epoch");
        claims.filter_map(|claim| Some((claim.at_ms, epoch_of(claim.unpublished?)?))).collect()
    }

    /// Epoch records seen so far.
    pub fn epochs(&self) -> usize {
        self.records().filter(|record| record.kind == "epoch").count()
    }

    /// Looks at the log and at the folders of output, and adds what is new.
    pub fn observe(&mut self, state: &Path, outputs: &[&Path]) {
        for (seq, file) in numbered(&state.join("log"), "", ".json") {
            if self.seen.insert(("log".to_owned(), seq))
                && let Some(record) = read_record(&file)
            {
                self.add(Happening::Record(record));
            }
        }
        for folder in outputs {
            let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            for (epoch, _) in numbered(folder, "_epoch-", ".json") {
                if self.seen.insert((name.clone(), epoch)) {
                    self.add(Happening::Published { epoch, folder: name.clone() });
                }
            }
        }
    }

    /// What happened around a difference, one event a line.
    pub fn around(&self, difference: &Difference) -> String {
        let mut places: BTreeSet<usize> = BTreeSet::new();
        for (place, (_, what)) in self.events.iter().enumerate() {
            if self.concerns(what, difference) {
                places.extend(place.saturating_sub(AROUND)..(place + AROUND + 1).min(self.events.len()));
            }
        }
        if places.is_empty() {
            places.extend(0..self.events.len());
        }
        let shown = places.into_iter().map(|place| {
            let (at, what) = &self.events[place];
            let mark = if self.concerns(what, difference) { '>' } else { ' ' };
            line(*at, mark, what)
        });
        shown.collect()
    }

    /// All that happened, one event a line.
    pub fn history(&self) -> String {
        self.events.iter().map(|(at, what)| line(*at, ' ', what)).collect()
    }

    /// The epochs that published it, and the first record whose positions are behind its row.
    fn concerns(&self, what: &Happening, difference: &Difference) -> bool {
        match what {
            Happening::Record(record) => {
                record.epoch.is_some_and(|epoch| difference.epochs.contains(&epoch))
                    || self.first_behind(difference).is_some_and(|seq| seq == record.seq)
            }
            Happening::Published { epoch, .. } => difference.epochs.contains(epoch),
            Happening::Started { .. }
            | Happening::Said(_)
            | Happening::Signalled { .. }
            | Happening::Fault(_)
            | Happening::Ended { .. } => false,
        }
    }

    fn first_behind(&self, difference: &Difference) -> Option<u64> {
        let (partition, index) = difference.row?;
        let behind = |record: &&LogRecord| {
            record.positions.get(partition as usize).is_some_and(|position| *position > index)
        };
        self.records().find(behind).map(|record| record.seq)
    }

    /// The differences, each with what happened around it; the last few in full at most.
    pub fn report(&self, differences: &[Difference]) -> String {
        const SHOWN: usize = 5;
        let mut text = format!("{} differences\n", differences.len());
        for difference in differences.iter().take(SHOWN) {
            text += &format!("{difference}\n{}", self.around(difference));
        }
        for difference in differences.iter().skip(SHOWN).take(SHOWN) {
            text += &format!("{difference}\n");
        }
        text
    }
}

impl fmt::Display for Happening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { pid, how } => write!(f, "process {pid} starts: {how}"),
            Self::Said(line) => write!(f, "says: {line}"),
            Self::Record(record) => {
                let LogRecord { seq, kind, generation, epoch, positions, .. } = record;
                let epoch = epoch.map_or(String::new(), |epoch| format!(" {epoch}, read {positions:?}"));
                write!(f, "log {seq}: {kind}{epoch}, by {}-{}", generation.0, generation.1)
            }
            Self::Published { epoch, folder } => write!(f, "epoch {epoch} is published in {folder}"),
            Self::Signalled { pid, what } => write!(f, "process {pid}: {what}"),
            Self::Fault(what) => write!(f, "fault: {what}"),
            Self::Ended { pid, how } => write!(f, "process {pid} ends: {how}"),
        }
    }
}

fn line(at: Duration, mark: char, what: &Happening) -> String {
    format!("  {mark} {:9.3} s  {what}\n", at.as_secs_f64())
}

/// The files of a folder whose names are a number between these texts.
fn numbered(folder: &Path, begin: &str, end: &str) -> Vec<(u64, std::path::PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let number = name.strip_prefix(begin)?.strip_suffix(end)?.parse().ok()?;
            Some((number, entry.path()))
        })
        .collect();
    found.sort();
    found
}

/// A record of the log; `None` if it was deleted meanwhile.
pub fn read_record(file: &Path) -> Option<LogRecord> {
    let json: Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    let record = json.get("record")?;
    let (kind, body) = match record.get("body")? {
        Value::Object(body) => body.iter().next().map(|(kind, body)| (kind.clone(), Some(body)))?,
        Value::String(kind) => (kind.clone(), None),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => return None,
    };
    let checkpoint = body.and_then(|body| body.get("checkpoint").or_else(|| body.get("base")));
    let partitions: Vec<&Value> = checkpoint
        .and_then(|checkpoint| checkpoint.get("partitions")?.as_array())
        .map(|partitions| partitions.iter().collect())
        .unwrap_or_default();
    let read = |partition: &&Value| {
        let position = &partition["position"];
        let of = |kind: &str, field: &str| position[kind][field].as_u64();
        of("file", "record").or_else(|| of("row", "row")).or_else(|| of("topic", "offset")).unwrap_or(0)
    };
    let ended = partitions.iter().all(|partition| partition["status"] == "Finished");
    Some(LogRecord {
        seq: record["seq"].as_u64()?,
        kind,
        at_ms: record["atMs"].as_i64()?,
        generation: (
            record["generation"]["incarnation"].as_u64()?,
            record["generation"]["attempt"].as_u64()?,
        ),
        epoch: checkpoint.and_then(|checkpoint| checkpoint.get("epoch")?.as_u64()),
        positions: partitions.iter().map(read).collect(),
        at_the_end: !partitions.is_empty() && ended,
        lineage: record["lineage"].as_str()?.to_owned(),
        unpublished: record["unpublished"].as_u64(),
    })
}
