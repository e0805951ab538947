//! The source of a job.
//!
//! Owns: which source, its declared columns, formats and policy for bad records.
//! Never: looks whether files exist.

use std::collections::BTreeSet;
use std::path::Path;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use streamjob_crds::{BadRecordAction, BadRecords, Column, FileOrder, FilesSource, Source};

use super::{format, generator, paths, target};
use crate::error::{Problems, unknown_column};
use crate::sql::Planned;
use crate::{BadRecordsPlan, ColumnGenerator, FilesPlan, FormatPlan, GeneratorPlan, SourceKind, types};

const FIELD: &str = "spec.pipeline.source";

/// A source with all declared columns.
pub(super) struct SourceDraft {
    pub(super) kind: Option<KindDraft>,
    pub(super) columns: Option<Schema>,
    pub(super) bad_records: Option<BadRecordsPlan>,
}

/// The kind of source, before it is known which columns are read.
pub(super) enum KindDraft {
    Files(FilesPlan),
    Generator { plan: GeneratorPlan, names: Vec<String> },
}

impl SourceDraft {
    pub(super) fn new(spec: &Source, base: &Path, problems: &mut Problems) -> Self {
        let bad_records = match &spec.bad_records {
            None => Some(BadRecordsPlan::Fail),
            Some(policy) => bad_records(policy, base, problems),
        };
        let (kind, columns) = match (&spec.files, &spec.generator) {
            (Some(files), None) => from_files(spec, files, base, problems),
            (None, Some(generator)) => {
                for (name, set) in [("format", spec.format.is_some()), ("columns", spec.columns.is_some())] {
                    if set {
                        problems
                            .add(format!("{FIELD}.{name}"), "the generator has its own columns; remove this");
                    }
                }
                generator::compile(generator, problems)
            }
            (Some(_), Some(_)) | (None, None) => {
                problems.add(FIELD, "set exactly one of `files` and `generator`");
                (None, None)
            }
        };
        Self { kind, columns, bad_records }
    }

    /// The files that are read.
    pub(super) fn patterns(&self) -> &[String] {
        match &self.kind {
            Some(KindDraft::Files(files)) => &files.patterns,
            Some(KindDraft::Generator { .. }) | None => &[],
        }
    }
}

impl KindDraft {
    /// Only what the columns of the schema need.
    pub(super) fn pruned(self, schema: &SchemaRef) -> SourceKind {
        match self {
            Self::Files(files) => SourceKind::Files(files),
            Self::Generator { plan, names } => {
                let read = |column: &ColumnGenerator| schema.index_of(&names[column.index as usize]).is_ok();
                let columns = plan.columns.into_iter().filter(read).collect();
                SourceKind::Generator(GeneratorPlan { columns, ..plan })
            }
        }
    }
}

fn from_files(
    spec: &Source,
    files: &FilesSource,
    base: &Path,
    problems: &mut Problems,
) -> (Option<KindDraft>, Option<Schema>) {
    let columns = match &spec.columns {
        Some(columns) => declared(columns, problems),
        None => {
            problems.add(FIELD, "`columns` is missing; list the columns to read with name and type");
            None
        }
    };
    let format = match &spec.format {
        Some(format) => format::compile(format, &format!("{FIELD}.format"), problems),
        None => {
            problems.add(FIELD, "`format` is missing; write `format: {json: {}}` or `format: {csv: {}}`");
            None
        }
    };
    let patterns = patterns(&files.urls, base, problems);
    let kind = plan_of_files(patterns, format, columns.as_ref(), files.order);
    (kind, columns)
}

fn plan_of_files(
    patterns: Option<Vec<String>>,
    format: Option<FormatPlan>,
    columns: Option<&Schema>,
    order: Option<FileOrder>,
) -> Option<KindDraft> {
    let one_partition = match order {
        None => false,
        Some(FileOrder::Name) => true,
    };
    let declared = columns?.fields().iter().map(|field| field.name().clone()).collect();
    Some(KindDraft::Files(FilesPlan { patterns: patterns?, one_partition, format: format?, declared }))
}

fn patterns(urls: &[String], base: &Path, problems: &mut Problems) -> Option<Vec<String>> {
    if urls.is_empty() {
        problems.add(format!("{FIELD}.files.urls"), "the list is empty; name at least one file or glob");
        return None;
    }
    let mut patterns = Vec::new();
    for (i, url) in urls.iter().enumerate() {
        let pattern = paths::absolute(url, base).and_then(|path| {
            let pattern = path.to_string_lossy().into_owned();
            match glob::Pattern::new(&pattern) {
                Ok(_) => Ok(pattern),
                Err(error) => Err(format!("`{url}` is not a glob: {}", error.msg)),
            }
        });
        patterns.extend(problems.keep(&format!("{FIELD}.files.urls[{i}]"), pattern));
    }
    (patterns.len() == urls.len()).then_some(patterns)
}

fn declared(columns: &[Column], problems: &mut Problems) -> Option<Schema> {
    let typed = columns.iter().map(|column| (column.name.as_str(), types::declared(column))).collect();
    schema(typed, &format!("{FIELD}.columns"), problems)
}

/// The columns of a source; their names are different and not empty.
pub(super) fn schema(
    columns: Vec<(&str, Result<DataType, String>)>,
    field: &str,
    problems: &mut Problems,
) -> Option<Schema> {
    if columns.is_empty() {
        problems.add(field, "the list is empty; name at least one column");
        return None;
    }
    let count = columns.len();
    let mut seen = BTreeSet::new();
    let mut fields = Vec::new();
    for (i, (name, found)) in columns.into_iter().enumerate() {
        let found = problems.keep(&format!("{field}[{i}]"), found);
        if name.is_empty() {
            problems.add(format!("{field}[{i}].name"), "a column needs a name");
        } else if !seen.insert(name.to_owned()) {
            problems.add(
                format!("{field}[{i}].name"),
                format!("there is already a column `{name}`; names differ"),
            );
        } else {
            fields.extend(found.map(|found| Field::new(name, found, true)));
        }
    }
    (fields.len() == count).then(|| Schema::new(fields))
}

/// A column of the source as an expression.
pub(super) fn column(name: &str, columns: &Schema) -> Result<Planned, String> {
    match columns.field_with_name(name) {
        Ok(field) => Ok(Planned::column(name, field.data_type().clone())),
        Err(_) => Err(unknown_column(name, columns.fields().iter().map(|field| field.name().as_str()))),
    }
}

fn bad_records(policy: &BadRecords, base: &Path, problems: &mut Problems) -> Option<BadRecordsPlan> {
    let field = format!("{FIELD}.badRecords");
    match policy.action {
        BadRecordAction::DeadLetter => {
            let files = target::required(policy.files.as_ref(), &field, "DeadLetter", problems)?;
            let folder = target::folder(files, &field, base, problems)?;
            Some(BadRecordsPlan::DeadLetter { folder })
        }
        BadRecordAction::Fail | BadRecordAction::Skip => {
            if policy.files.is_some() {
                problems.add(
                    format!("{field}.files"),
                    "only DeadLetter writes files; remove this or set the action",
                );
            }
            let fails = policy.action == BadRecordAction::Fail;
            Some(if fails { BadRecordsPlan::Fail } else { BadRecordsPlan::Skip })
        }
    }
}
