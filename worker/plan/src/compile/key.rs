//! The key, the aggregates and the result rows of a job.
//!
//! Owns: that they name columns of fitting types, and the layout of a result.
//! Never: computes.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use streamjob_core::aggregate::{AggregateSpec, Function, Overflow};
use streamjob_crds::{Aggregate, AggregateFunction, Pipeline};

use super::steps::StepsDraft;
use crate::error::{Problems, unknown_column};
use crate::types;

const WINDOW_COLUMNS: [&str; 2] = ["window_start", "window_end"];

/// Key and aggregates by name.
pub(super) struct KeyedDraft {
    key: Vec<String>,
    aggregates: Vec<AggregateDraft>,
    pub(super) result: SchemaRef,
}

struct AggregateDraft {
    field: Option<String>,
    spec: AggregateSpec,
}

impl KeyedDraft {
    pub(super) fn new(pipeline: &Pipeline, steps: &StepsDraft, problems: &mut Problems) -> Self {
        let mut fields = Vec::new();
        for (i, name) in pipeline.key_by.iter().enumerate() {
            let found = column(name, &format!("spec.pipeline.keyBy[{i}]"), steps, problems);
            fields.extend(found.map(|(_, found)| Field::new(name, found, true)));
        }
        fields.extend(WINDOW_COLUMNS.map(|name| Field::new(name, DataType::Int64, true)));
        let mut aggregates = Vec::new();
        for (i, aggregate) in pipeline.aggregates.iter().enumerate() {
            let path = format!("spec.pipeline.aggregates[{i}]");
            let Some(spec) = spec(aggregate, &path, steps, problems) else {
                continue;
            };
            match spec.output_type() {
                Ok(output) => fields.push(Field::new(&aggregate.name, output, true)),
                Err(_) => problems.add(format!("{path}.field"), undefined(aggregate, &spec)),
            }
            aggregates.push(AggregateDraft { field: aggregate.field.clone(), spec });
        }
        Self { key: pipeline.key_by.clone(), aggregates, result: Arc::new(Schema::new(fields)) }
    }

    /// The columns that are read.
    pub(super) fn columns(&self) -> BTreeSet<String> {
        self.key
            .iter()
            .chain(self.aggregates.iter().filter_map(|aggregate| aggregate.field.as_ref()))
            .cloned()
            .collect()
    }

    /// The key's columns, and the aggregates over columns of the layout.
    pub(super) fn resolve(&self, layout: &SchemaRef) -> (Vec<usize>, Vec<AggregateSpec>) {
        let index = |name: &String| layout.index_of(name).expect("the layout has every column that is used");
        let aggregates = self.aggregates.iter().map(|aggregate| {
            let place = |(_, found): &(usize, DataType)| {
                let name = aggregate.field.as_ref().expect("an input has a name");
                (index(name), found.clone())
            };
            AggregateSpec { input: aggregate.spec.input.as_ref().map(place), ..aggregate.spec.clone() }
        });
        (self.key.iter().map(index).collect(), aggregates.collect())
    }
}

/// A column after the transforms; its type can be a key and an input.
fn column(name: &str, path: &str, steps: &StepsDraft, problems: &mut Problems) -> Option<(usize, DataType)> {
    if steps.broken.iter().any(|broken| broken == name) {
        return None;
    }
    let Ok(index) = steps.columns.index_of(name) else {
        problems.add(path, unknown_column(name, &steps.names()));
        return None;
    };
    let found = steps.columns.field(index).data_type();
    if !types::is_column_type(found) {
        let why = format!(
            "`{name}` is a {}: convert it with `select`, to a String for example",
            types::name(found)
        );
        problems.add(path, why);
        return None;
    }
    Some((index, found.clone()))
}

fn spec(
    aggregate: &Aggregate,
    path: &str,
    steps: &StepsDraft,
    problems: &mut Problems,
) -> Option<AggregateSpec> {
    let input = match &aggregate.field {
        None => None,
        Some(name) => Some(column(name, &format!("{path}.field"), steps, problems)?),
    };
    let overflow = match aggregate.overflow {
        None | Some(streamjob_crds::Overflow::Fail) => Overflow::Fail,
        Some(streamjob_crds::Overflow::Null) => Overflow::Null,
    };
    let function = function(aggregate.function);
    Some(AggregateSpec { name: aggregate.name.clone(), function, input, overflow })
}

fn undefined(aggregate: &Aggregate, spec: &AggregateSpec) -> String {
    let found = spec.input.as_ref().map_or_else(String::new, |(_, found)| types::a(found));
    let column = aggregate.field.as_deref().unwrap_or_default();
    format!(
        "{} needs numbers, but `{column}` is {found}: name a column of numbers, or convert it with `select`",
        spec.function
    )
}

fn function(function: AggregateFunction) -> Function {
    match function {
        AggregateFunction::Count => Function::Count,
        AggregateFunction::Sum => Function::Sum,
        AggregateFunction::Min => Function::Min,
        AggregateFunction::Max => Function::Max,
        AggregateFunction::Avg => Function::Avg,
        AggregateFunction::First => Function::First,
        AggregateFunction::Last => Function::Last,
        AggregateFunction::CountDistinct => Function::CountDistinct,
    }
}
