//! Where rows come from: files and the generator.
//!
//! Owns: the list of partitions and how each is opened.
//! Never: decodes bytes; the decoder is handed in.

mod files;
mod generator;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use streamjob_plan::{FilesPlan, SourceKind, SourcePlan};

use self::files::{FilesReader, Found};
use self::generator::Generator;
use crate::pipeline::clock::Clock;
use crate::pipeline::records::MakeDecoder;
pub use crate::pipeline::records::{
    BadRecord, DecodedRows, PartitionReader, Position, Progress, Read, SourceError,
};

/// One partition of the source, not yet opened.
#[derive(Clone)]
pub struct Partition {
    name: String,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Files { files: Vec<Found>, decoder: MakeDecoder },
    Generator { generator: Generator, partition: u32 },
}

/// The partitions of a source: files sorted by name, generators by number. A partition's index in this list is its id.
///
/// Files are looked up now and opened later. A generator's clock starts now.
pub fn open(
    source: &SourcePlan,
    clock: Arc<dyn Clock>,
    decoder: MakeDecoder,
) -> Result<Vec<Partition>, SourceError> {
    match &source.kind {
        SourceKind::Files(plan) => files_partitions(plan, &decoder),
        SourceKind::Generator(plan) => {
            let generator = Generator::new(plan, &source.schema, clock);
            let partitions = (0..plan.partitions).map(|partition| Partition {
                name: generator::name(partition),
                kind: Kind::Generator { generator: generator.clone(), partition },
            });
            Ok(partitions.collect())
        }
    }
}

fn files_partitions(plan: &FilesPlan, decoder: &MakeDecoder) -> Result<Vec<Partition>, SourceError> {
    let found = files::list(&plan.patterns)?;
    let groups = match plan.one_partition {
        true => vec![found],
        false => found.into_iter().map(|file| vec![file]).collect(),
    };
    let partitions = groups.into_iter().map(|files| Partition {
        name: files[0].path.to_string_lossy().into_owned(),
        kind: Kind::Files { files, decoder: Arc::clone(decoder) },
    });
    Ok(partitions.collect())
}

impl Partition {
    /// The file's name, the first file's if there are several, or `generator-3`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens it at its beginning. Reads the header, if the format has one.
    pub fn open(&self) -> Result<Box<dyn PartitionReader>, SourceError> {
        match &self.kind {
            Kind::Files { files, decoder } => Ok(Box::new(FilesReader::open(files.clone(), decoder())?)),
            Kind::Generator { generator, partition } => Ok(Box::new(generator.open(*partition))),
        }
    }
}
