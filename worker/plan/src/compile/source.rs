//! The source of a job.
//!
//! Owns: which source, its declared columns and the policy for bad records.
//! Never: looks whether files exist.

use std::path::Path;

use arrow::datatypes::{Field, Schema, SchemaRef};
use streamjob_crds::{BadRecordAction, BadRecords, Column, FileOrder, FilesSource, Source};

use super::{format, generator, kafka, paths, target};
use crate::error::{Problems, unknown_column};
use crate::sql::Planned;
use crate::{BadRecordsPlan, ColumnGenerator, FilesPlan, GeneratorPlan, KafkaSourcePlan, SourceKind, types};

const PATH: &str = "spec.pipeline.source";

/// A source with all declared columns.
pub(super) struct SourceDraft {
    pub(super) kind: KindDraft,
    pub(super) columns: Schema,
    pub(super) bad_records: Option<BadRecordsPlan>,
}

/// The kind of source, before it is known which columns are read.
pub(super) enum KindDraft {
    Files(FilesPlan),
    /// `None`: what is wrong has been told.
    Kafka(Option<Box<KafkaSourcePlan>>),
    Generator {
        plan: GeneratorPlan,
        names: Vec<String>,
    },
}

impl SourceDraft {
    pub(super) fn new(spec: &Source, job: &str, base: &Path, problems: &mut Problems) -> Self {
        let bad_records = match &spec.bad_records {
            None => Some(BadRecordsPlan::Fail),
            Some(policy) => bad_records(policy, base, problems),
        };
        let (kind, columns) = match (&spec.files, &spec.kafka) {
            (Some(files), _) => from_files(spec, files, base, problems),
            (None, Some(topics)) => (
                KindDraft::Kafka(kafka::source(spec, topics, job, base, problems).map(Box::new)),
                declared(spec),
            ),
            (None, None) => {
                let generator = spec.generator.as_ref().expect("validation leaves one kind of source");
                generator::compile(generator, problems)
            }
        };
        Self { kind, columns, bad_records }
    }

    /// The files that are read.
    pub(super) fn patterns(&self) -> &[String] {
        match &self.kind {
            KindDraft::Files(files) => &files.patterns,
            KindDraft::Kafka(_) | KindDraft::Generator { .. } => &[],
        }
    }
}

impl KindDraft {
    /// Only what the columns of the schema need.
    pub(super) fn pruned(self, schema: &SchemaRef) -> SourceKind {
        match self {
            Self::Files(files) => SourceKind::Files(files),
            Self::Kafka(kafka) => {
                let mut kafka = kafka.expect("a draft without problems is complete");
                kafka.metadata.retain(|column| schema.index_of(&column.name).is_ok());
                SourceKind::Kafka(kafka)
            }
            Self::Generator { plan, names } => {
                let read = |column: &ColumnGenerator| schema.index_of(&names[column.index as usize]).is_ok();
                let columns = plan.columns.into_iter().filter(read).collect();
                SourceKind::Generator(GeneratorPlan { columns, declared: names, ..plan })
            }
        }
    }
}

fn from_files(
    spec: &Source,
    files: &FilesSource,
    base: &Path,
    problems: &mut Problems,
) -> (KindDraft, Schema) {
    let columns = declared(spec);
    let format = spec.format.as_ref().expect("validation asks for a format with files");
    let plan = FilesPlan {
        patterns: patterns(&files.urls, base, problems),
        one_partition: match files.order {
            None => false,
            Some(FileOrder::Name) => true,
        },
        format: format::compile(format),
        declared: names(&columns).into_iter().map(str::to_owned).collect(),
    };
    (KindDraft::Files(plan), columns)
}

fn declared(spec: &Source) -> Schema {
    let columns = spec.columns.as_ref().expect("validation asks for columns with files and kafka");
    let field = |column: &Column| Field::new(&column.name, types::declared(column), true);
    Schema::new(columns.iter().map(field).collect::<Vec<_>>())
}

fn patterns(urls: &[String], base: &Path, problems: &mut Problems) -> Vec<String> {
    let mut patterns = Vec::new();
    for (i, url) in urls.iter().enumerate() {
        let pattern = paths::absolute(url, base).and_then(|path| {
            let pattern = path.to_string_lossy().into_owned();
            match glob::Pattern::new(&pattern) {
                Ok(_) => Ok(pattern),
                Err(error) => Err(format!("`{url}` is not a glob: {}", error.msg)),
            }
        });
        patterns.extend(problems.keep(&format!("{PATH}.files.urls[{i}]"), pattern));
    }
    patterns
}

/// A column of the source as an expression.
pub(super) fn column(name: &str, columns: &Schema) -> Result<Planned, String> {
    match columns.field_with_name(name) {
        Ok(field) => Ok(Planned::column(name, field.data_type().clone())),
        Err(_) => Err(unknown_column(name, &names(columns))),
    }
}

pub(super) fn names(columns: &Schema) -> Vec<&str> {
    columns.fields().iter().map(|field| field.name().as_str()).collect()
}

fn bad_records(policy: &BadRecords, base: &Path, problems: &mut Problems) -> Option<BadRecordsPlan> {
    Some(match policy.action {
        BadRecordAction::Fail => BadRecordsPlan::Fail,
        BadRecordAction::Skip => BadRecordsPlan::Skip,
        BadRecordAction::DeadLetter => {
            if let Some(kafka) = &policy.kafka {
                return Some(BadRecordsPlan::DeadLetterTopic { topic: kafka.topic.clone() });
            }
            let files = policy.files.as_ref().expect("validation asks for files or kafka with DeadLetter");
            BadRecordsPlan::DeadLetter { folder: target::folder(files, target::BAD_RECORDS, base, problems)? }
        }
    })
}
