//! Columns by name: duplicates, and which exist where.
//!
//! Owns: the names and event-time fitness of source columns; the names after the transforms.
//! Never: knows the type of an expression.

use std::collections::{HashMap, HashSet};

use super::Findings;
use crate::{Column, ColumnType, GeneratedColumn, Pipeline, Source, UniformColumn, suggest};

/// What every result row has between the key and the aggregates.
pub(super) const WINDOW_COLUMNS: [&str; 2] = ["window_start", "window_end"];

/// Names that must not be empty and must differ from each other; `path(i)` is where the i-th stands.
pub(super) fn distinct<'a>(
    findings: &mut Findings,
    names: impl IntoIterator<Item = &'a str>,
    what: &str,
    path: impl Fn(usize) -> String,
) {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (i, name) in names.into_iter().enumerate() {
        if name.is_empty() {
            findings.add(path(i), format!("must not be empty: write {what}"));
        } else if let Some(&first) = seen.get(name) {
            findings.add(path(i), format!("`{name}` is given twice: it is already at {}", path(first)));
        } else {
            seen.insert(name, i);
        }
    }
}

/// A name that must be one of `known`; nothing is said if it is empty or nothing is known.
pub(super) fn known(findings: &mut Findings, path: String, name: &str, known: &[&str]) {
    if !name.is_empty() && !known.is_empty() && !known.contains(&name) {
        findings.add(path, format!("unknown column `{name}`{}", suggest::hint(name, known)));
    }
}

/// The columns of the source: names, and whether the values can be event times.
pub(super) fn of_source(source: &Source) -> Vec<(&str, bool)> {
    let declared = source.columns.iter().flatten().map(|column| (column.name.as_str(), is_time(column)));
    let generated = source.generator.iter().flat_map(|generator| &generator.columns);
    declared.chain(generated.map(|column| (column.name.as_str(), generates_time(column)))).collect()
}

fn is_time(column: &Column) -> bool {
    match column.column_type {
        ColumnType::Int64
        | ColumnType::Date
        | ColumnType::TimestampSeconds
        | ColumnType::TimestampMillis
        | ColumnType::TimestampMicros
        | ColumnType::TimestampRfc3339 => true,
        ColumnType::String
        | ColumnType::Int32
        | ColumnType::Float32
        | ColumnType::Float64
        | ColumnType::Boolean
        | ColumnType::Decimal => false,
    }
}

fn generates_time(column: &GeneratedColumn) -> bool {
    column.timestamp.is_some()
        || column.sequence.as_ref().is_some_and(|sequence| sequence.prefix.is_none())
        || column.zipf.as_ref().is_some_and(|zipf| zipf.prefix.is_none())
        || column.uniform.as_ref().is_some_and(|uniform| uniform.prefix.is_none() && is_whole(uniform))
}

/// Whether both bounds are written as integers.
pub(super) fn is_whole(uniform: &UniformColumn) -> bool {
    uniform.min.is_i64() && uniform.max.is_i64()
}

/// The names of the columns that the key and the aggregates see; none if a wrong transform leaves that open.
pub(super) fn after_transforms(pipeline: &Pipeline) -> Vec<&str> {
    let mut names: Vec<&str> = of_source(&pipeline.source).into_iter().map(|(name, _)| name).collect();
    for transform in &pipeline.transforms {
        let steps = [transform.filter.is_some(), transform.select.is_some(), transform.flat_map.is_some()];
        if steps.iter().filter(|set| **set).count() != 1 {
            return Vec::new();
        }
        if let Some(select) = &transform.select {
            if select.is_empty() {
                return Vec::new();
            }
            names = select.iter().map(|column| column.name.as_str()).collect();
        }
        if let Some(flat_map) = &transform.flat_map
            && !names.contains(&flat_map.column.as_str())
        {
            names.push(&flat_map.column);
        }
    }
    let mut seen = HashSet::new();
    names.retain(|name| !name.is_empty() && seen.insert(*name));
    names
}

/// The names of a result's columns.
pub(super) fn of_results(pipeline: &Pipeline) -> Vec<&str> {
    let aggregates = pipeline.aggregates.iter().map(|aggregate| aggregate.name.as_str());
    pipeline.key_by.iter().map(String::as_str).chain(WINDOW_COLUMNS).chain(aggregates).collect()
}
