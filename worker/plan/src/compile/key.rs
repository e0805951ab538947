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
    pub(super) fn new(pipeline: &Pipeline, steps: &StepsDraft, problems: &mut Problems) -> Option<Self> {
        let mut fields = Vec::new();
        let mut names = BTreeSet::from(WINDOW_COLUMNS.map(str::to_owned));
        keys(pipeline, steps, &mut fields, problems);
        names.extend(pipeline.key_by.iter().cloned());
        fields.extend(WINDOW_COLUMNS.map(|name| Field::new(name, DataType::Int64, true)));

        if pipeline.aggregates.is_empty() {
            let why = "the list is empty; add for example `{name: rows, function: Count}`";
            problems.add("spec.pipeline.aggregates", why);
        }
        let mut aggregates = Vec::new();
        for (i, aggregate) in pipeline.aggregates.iter().enumerate() {
            let field = format!("spec.pipeline.aggregates[{i}]");
            if !names.insert(aggregate.name.clone()) {
                let why = format!("there is already a result column `{}`; names differ", aggregate.name);
                problems.add(format!("{field}.name"), why);
            }
            let Some(spec) = spec(aggregate, &field, steps, problems) else {
                continue;
            };
            match spec.output_type() {
                Ok(output) => fields.push(Field::new(&aggregate.name, output, true)),
                Err(_) => problems.add(field, undefined(aggregate, &spec)),
            }
            aggregates.push(AggregateDraft { field: aggregate.field.clone(), spec });
        }
        Some(Self { key: pipeline.key_by.clone(), aggregates, result: Arc::new(Schema::new(fields)) })
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

fn keys(pipeline: &Pipeline, steps: &StepsDraft, fields: &mut Vec<Field>, problems: &mut Problems) {
    if pipeline.key_by.is_empty() {
        problems.add("spec.pipeline.keyBy", "the list is empty; name at least one column");
    }
    for (i, name) in pipeline.key_by.iter().enumerate() {
        let field = format!("spec.pipeline.keyBy[{i}]");
        if pipeline.key_by[..i].contains(name) {
            problems.add(&field, format!("`{name}` is already in the key; remove one of them"));
        } else if WINDOW_COLUMNS.contains(&name.as_str()) {
            problems.add(&field, format!("`{name}` is the name of a result column; rename it with `select`"));
        } else if let Some((_, found)) = column(name, &field, steps, problems) {
            fields.push(Field::new(name, found, true));
        }
    }
}

/// A column after the transforms; its type can be a key and an input.
fn column(name: &str, field: &str, steps: &StepsDraft, problems: &mut Problems) -> Option<(usize, DataType)> {
    if steps.broken.iter().any(|broken| broken == name) {
        return None;
    }
    let Ok(index) = steps.columns.index_of(name) else {
        problems.add(
            field,
            unknown_column(name, steps.columns.fields().iter().map(|field| field.name().as_str())),
        );
        return None;
    };
    let found = steps.columns.field(index).data_type();
    if !types::is_column_type(found) {
        let why = format!("`{name}` is a {}; turn it into a column type with `select`", types::name(found));
        problems.add(field, why);
        return None;
    }
    Some((index, found.clone()))
}

fn spec(
    aggregate: &Aggregate,
    field: &str,
    steps: &StepsDraft,
    problems: &mut Problems,
) -> Option<AggregateSpec> {
    let function = function(aggregate.function);
    if aggregate.name.is_empty() {
        problems.add(format!("{field}.name"), "an aggregate needs a name");
    }
    if aggregate.overflow.is_some() && function != Function::Sum {
        problems
            .add(format!("{field}.overflow"), format!("only Sum can overflow, not {function}; remove this"));
    }
    let input = match &aggregate.field {
        Some(name) => Some(column(name, &format!("{field}.field"), steps, problems)?),
        None if function == Function::Count => None,
        None => {
            problems.add(field, format!("{function} needs a `field`; only Count may go without"));
            return None;
        }
    };
    let overflow = match aggregate.overflow {
        None | Some(streamjob_crds::Overflow::Fail) => Overflow::Fail,
        Some(streamjob_crds::Overflow::Null) => Overflow::Null,
    };
    Some(AggregateSpec { name: aggregate.name.clone(), function, input, overflow })
}

fn undefined(aggregate: &Aggregate, spec: &AggregateSpec) -> String {
    let found = spec.input.as_ref().map_or_else(String::new, |(_, found)| types::name(found));
    let column = aggregate.field.as_deref().unwrap_or_default();
    format!(
        "{} needs numbers, but `{column}` is {found}; use an integer, float or Decimal column, or convert it with `select`",
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
