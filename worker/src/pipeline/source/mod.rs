//! Where rows come from: files, topics and the generator.
//!
//! Owns: the list of partitions, how each is opened, and that what is read on is what it was.
//! Never: decodes bytes; the decoder is handed in.

mod files;
mod generator;
mod kafka;
#[cfg(test)]
mod resume;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use streamjob_checkpoint::checkpoint::{FileIdentity, PartitionState, PartitionStatus, SourcePosition};
use streamjob_checkpoint::outage::Outage;
use streamjob_plan::{FilesPlan, GeneratorPlan, SourceKind, SourcePlan};
use tracing::warn;

use self::files::FilesReader;
use self::generator::Generator;
use self::kafka::{KafkaReader, Topics};
use crate::pipeline::clock::Clock;
use crate::pipeline::records::MakeDecoder;
pub use crate::pipeline::records::{
    BadRecord, DecodedRows, PartitionReader, Position, Progress, Read, SourceError,
};

/// One partition of the source, not yet opened.
#[derive(Clone)]
pub struct Partition {
    state: PartitionState,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Files { decoder: MakeDecoder },
    Kafka { schema: SchemaRef, topics: Arc<Topics> },
    Generator { generator: Generator, partition: u32 },
}

/// What partitions are opened with.
#[derive(Clone)]
pub struct With {
    /// What generators go by.
    pub clock: Arc<dyn Clock>,
    /// What turns bytes into rows.
    pub decoder: MakeDecoder,
    /// Where it is noted if brokers do not answer.
    pub outage: Arc<Outage>,
}

/// The partitions of a source: files sorted by name, generators by number. A partition's index in this list is its id.
///
/// Files are looked up now and opened later. A generator's clock starts now.
pub fn open(source: &SourcePlan, with: With) -> Result<Vec<Partition>, SourceError> {
    let states = match &source.kind {
        SourceKind::Files(plan) => files_states(plan)?,
        SourceKind::Kafka(plan) => kafka::states(plan, &with.outage)?,
        SourceKind::Generator(plan) => {
            let position = SourcePosition::Row { row: 0, started_ms: with.clock.now_ms() };
            (0..plan.partitions).map(|id| state(generator::name(id), Vec::new(), position)).collect()
        }
    };
    partitions(source, with, states)
}

/// The partitions that a checkpoint has, in its order; [`Partition::state`] gives back what is in it.
///
/// Files that are not read to their end must be there and be what they were. Files that match the patterns and are not
/// in the checkpoint are told of, once, and not read.
pub fn reopen(
    source: &SourcePlan,
    with: With,
    states: &[PartitionState],
) -> Result<Vec<Partition>, SourceError> {
    match &source.kind {
        SourceKind::Files(plan) => {
            for state in states {
                files::check(unfinished(state)?)?;
            }
            tell_of_new_files(plan, states);
        }
        SourceKind::Kafka(plan) => kafka::check(plan, states, &with.outage)?,
        SourceKind::Generator(plan) => check_generator(plan, states)?,
    }
    partitions(source, with, states.to_vec())
}

/// The partitions that came since those of a checkpoint were found, at their beginning: of topics that have no end.
pub fn grown(
    source: &SourcePlan,
    states: &[PartitionState],
    outage: &Arc<Outage>,
) -> Result<Vec<PartitionState>, SourceError> {
    match &source.kind {
        SourceKind::Kafka(plan) => kafka::grown(plan, states, outage),
        SourceKind::Files(_) | SourceKind::Generator(_) => Ok(Vec::new()),
    }
}

/// That a pattern of a files source matches files now. Opens none.
pub fn matches_files(pattern: &str) -> Result<(), SourceError> {
    files::list(&[pattern.to_owned()]).map(drop)
}

fn files_states(plan: &FilesPlan) -> Result<Vec<PartitionState>, SourceError> {
    let paths = files::list(&plan.patterns)?;
    let found = paths.iter().map(|path| files::identity(path)).collect::<Result<Vec<_>, _>>()?;
    let groups = match plan.one_partition {
        true => vec![found],
        false => found.into_iter().map(|file| vec![file]).collect(),
    };
    let position = SourcePosition::File { file: 0, byte: 0, line: 1, record: 0 };
    Ok(groups.into_iter().map(|files| state(files[0].path.clone(), files, position)).collect())
}

fn state(name: String, files: Vec<FileIdentity>, position: SourcePosition) -> PartitionState {
    PartitionState {
        name,
        files,
        topic: None,
        position,
        max_timestamp_ms: None,
        status: PartitionStatus::Active,
    }
}

fn partitions(
    source: &SourcePlan,
    With { clock, decoder, outage }: With,
    states: Vec<PartitionState>,
) -> Result<Vec<Partition>, SourceError> {
    let generator = match &source.kind {
        SourceKind::Files(_) | SourceKind::Kafka(_) => None,
        SourceKind::Generator(plan) => {
            let started_ms = states.first().map_or_else(|| clock.now_ms(), started);
            Some(Generator::new(plan, &source.schema, clock, started_ms))
        }
    };
    let topics = match &source.kind {
        SourceKind::Kafka(plan) => Some(Arc::new(Topics::new(plan, &states, outage)?)),
        SourceKind::Files(_) | SourceKind::Generator(_) => None,
    };
    let partition = |(id, state)| {
        let kind = match (&generator, &topics) {
            (Some(generator), _) => Kind::Generator { generator: generator.clone(), partition: id },
            (None, Some(topics)) => {
                Kind::Kafka { schema: Arc::clone(&source.schema), topics: Arc::clone(topics) }
            }
            (None, None) => Kind::Files { decoder: Arc::clone(&decoder) },
        };
        Partition { state, kind }
    };
    Ok((0..).zip(states).map(partition).collect())
}

fn started(state: &PartitionState) -> i64 {
    match state.position {
        SourcePosition::Row { started_ms, .. } => started_ms,
        SourcePosition::File { .. } | SourcePosition::Topic { .. } => {
            unreachable!("a generator's positions were checked")
        }
    }
}

/// The files of a partition that are not read to their end.
fn unfinished(state: &PartitionState) -> Result<&[FileIdentity], SourceError> {
    let cause = match state.position {
        SourcePosition::File { file, .. } => match state.files.get(file as usize..) {
            Some(files) if !state.files.is_empty() => return Ok(files),
            Some(_) | None => format!("{} has no file number {file}", state.name),
        },
        SourcePosition::Row { .. } | SourcePosition::Topic { .. } => format!("{} is not a file", state.name),
    };
    Err(SourceError::Foreign { cause })
}

fn check_generator(plan: &GeneratorPlan, states: &[PartitionState]) -> Result<(), SourceError> {
    if states.len() != plan.partitions as usize {
        let cause = format!("a generator with {} partitions, not {}", states.len(), plan.partitions);
        return Err(SourceError::Foreign { cause });
    }
    let file = states.iter().find(|state| match state.position {
        SourcePosition::File { .. } | SourcePosition::Topic { .. } => true,
        SourcePosition::Row { .. } => false,
    });
    match file {
        Some(state) => {
            Err(SourceError::Foreign { cause: format!("{} is no row of a generator", state.name) })
        }
        None => Ok(()),
    }
}

fn tell_of_new_files(plan: &FilesPlan, states: &[PartitionState]) {
    // Patterns that match nothing any more are fine: what was finished may have been moved away.
    let Ok(paths) = files::list(&plan.patterns) else { return };
    let known: BTreeSet<&Path> =
        states.iter().flat_map(|state| &state.files).map(|file| Path::new(&file.path)).collect();
    let new: Vec<_> = paths.iter().filter(|path| !known.contains(path.as_path())).collect();
    if let Some(first) = new.first() {
        warn!(
            files = new.len(),
            first = %first.display(),
            "files that came after the job began are not read; to read them, begin anew with --fresh --discard-state"
        );
    }
}

impl Partition {
    /// The file's name, the first file's if there are several, `topic/3`, or `generator-3`.
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// What a checkpoint has of it when nothing is read: its files as they are, and where it begins. Of a reopened one
    /// what the checkpoint had.
    pub fn state(&self) -> PartitionState {
        self.state.clone()
    }

    /// Opens it where its state says. Reads the header, if the format has one.
    pub fn open(&self) -> Result<Box<dyn PartitionReader>, SourceError> {
        self.open_at(&self.state.position)
    }

    /// Opens it at a position that [`PartitionReader::next_position`] gave. Plain files seek there, compressed ones are
    /// decompressed up to it.
    ///
    /// A position of another kind of source is a bug of the caller.
    pub fn open_at(&self, position: &SourcePosition) -> Result<Box<dyn PartitionReader>, SourceError> {
        match (&self.kind, *position) {
            (Kind::Files { decoder }, SourcePosition::File { file, byte, line, record }) => {
                let at = files::At { file: file as usize, byte, line, record };
                Ok(Box::new(FilesReader::open(self.state.files.clone(), at, decoder())?))
            }
            (Kind::Generator { generator, partition }, SourcePosition::Row { row, started_ms }) => {
                assert_eq!(started_ms, generator.started_ms(), "all partitions of a generator start at once");
                Ok(Box::new(generator.open(*partition, row)))
            }
            (Kind::Kafka { schema, topics }, SourcePosition::Topic { offset }) => {
                let (topic, _) = kafka::of(&self.state)?;
                Ok(Box::new(KafkaReader::open(topic, offset, schema, topics)))
            }
            (Kind::Files { .. }, SourcePosition::Row { .. } | SourcePosition::Topic { .. })
            | (Kind::Kafka { .. }, SourcePosition::File { .. } | SourcePosition::Row { .. })
            | (Kind::Generator { .. }, SourcePosition::File { .. } | SourcePosition::Topic { .. }) => {
                unreachable!("reopen checks that positions are those of the source")
            }
        }
    }
}
