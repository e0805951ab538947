//! What the state of a job depends on, as text.
//!
//! Owns: which fields are in it and how each is written. The texts are kept in logs: they never change.
//! Never: has a field that may change while state is kept.

use std::collections::BTreeMap;

use arrow::datatypes::Schema;
use streamjob_core::aggregate::{AggregateSpec, Overflow};
use streamjob_crds::{ColumnFrom, Pipeline, Transform};

use crate::explain::duration;
use crate::{FilesPlan, GeneratedValue, GeneratorPlan, KafkaSourcePlan, NumberText, Plan, SourceKind, types};

const PATH: &str = "spec.pipeline";

/// Field of the manifest to its value. `reads` are the columns that results are computed from.
pub(super) fn of(plan: &Plan, pipeline: &Pipeline, reads: &Schema) -> BTreeMap<String, String> {
    let mut fields = Fields::default();
    match &plan.source.kind {
        SourceKind::Files(files) => from_files(files, &mut fields),
        SourceKind::Kafka(kafka) => from_kafka(kafka, reads, &mut fields),
        SourceKind::Generator(generator) => from_generator(generator, plan, reads, &mut fields),
    }
    for column in reads.fields() {
        fields.put(format!("source.columns.{}", column.name()), types::name(column.data_type()));
    }
    let expr = &plan.event_time.expr;
    fields.put("eventTime", format!("{} {}", expr.sql(), types::name(expr.value_type())));
    for (i, step) in pipeline.transforms.iter().enumerate() {
        fields.put(format!("transforms[{i}]"), transform(step));
    }
    fields.put("keyBy", key(plan));
    fields.put("window.tumbling.size", duration(plan.window.size_ms));
    fields.put("window.tumbling.offset", duration(plan.window.offset_ms));
    for (i, spec) in plan.aggregates.iter().enumerate() {
        fields.put(format!("aggregates[{i}]"), aggregate(spec, plan));
    }
    fields.0
}

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Fields {
    fn put(&mut self, field: impl AsRef<str>, value: impl Into<String>) {
        self.0.insert(format!("{PATH}.{}", field.as_ref()), value.into());
    }
}

fn from_files(files: &FilesPlan, fields: &mut Fields) {
    fields.put("source", "files");
    fields.put("source.files.urls", files.patterns.join(", "));
    fields.put("source.files.order", if files.one_partition { "Name" } else { "none" });
}

/// Not the cluster's addresses, which may change: partitions are known by their topics' ids.
fn from_kafka(kafka: &KafkaSourcePlan, reads: &Schema, fields: &mut Fields) {
    fields.put("source", "kafka");
    let mut topics: Vec<&str> = kafka.topics.iter().map(String::as_str).collect();
    topics.sort_unstable();
    fields.put("source.kafka.topics", topics.join(", "));
    for column in kafka.metadata.iter().filter(|column| reads.index_of(&column.name).is_ok()) {
        let header = match column.from {
            ColumnFrom::Header => format!(" {}", column.header),
            ColumnFrom::Key
            | ColumnFrom::Timestamp
            | ColumnFrom::Topic
            | ColumnFrom::Partition
            | ColumnFrom::Offset => String::new(),
        };
        fields.put(format!("source.columns.{}.from", column.name), format!("{:?}{header}", column.from));
    }
}

/// Not the pace: which rows there are does not depend on it.
fn from_generator(generator: &GeneratorPlan, plan: &Plan, reads: &Schema, fields: &mut Fields) {
    fields.put("source", "generator");
    fields.put("source.generator.seed", generator.seed.to_string());
    fields.put("source.generator.partitions", generator.partitions.to_string());
    let rows = generator.rows.map_or("endless".to_owned(), |rows| rows.to_string());
    fields.put("source.generator.rows", rows);
    for (field, column) in plan.source.schema.fields().iter().zip(&generator.columns) {
        if reads.index_of(field.name()).is_ok() {
            let value = format!("column {}: {}", column.index, generated(&column.value));
            fields.put(format!("source.generator.columns.{}", field.name()), value);
        }
    }
}

fn generated(value: &GeneratedValue) -> String {
    match value {
        GeneratedValue::Sequence { start, step, modulo, text } => {
            let modulo = modulo.map_or(String::new(), |modulo| format!(" modulo {modulo}"));
            format!("sequence from {start} by {step}{modulo}{}", number_text(text))
        }
        GeneratedValue::UniformInt { min, max, text } => {
            format!("uniform {min} to {max}{}", number_text(text))
        }
        GeneratedValue::UniformFloat { min, max } => format!("uniform {min:?} to {max:?}"),
        GeneratedValue::Zipf { values, exponent, text } => {
            format!("zipf of {values}, exponent {exponent:?}{}", number_text(text))
        }
        GeneratedValue::Choice { values, weights } => {
            let choice = |(value, weight): (&Option<String>, &u32)| match value {
                Some(value) => format!("{value:?} x {weight}"),
                None => format!("null x {weight}"),
            };
            let choices: Vec<String> = values.iter().zip(weights).map(choice).collect();
            format!("choice of {}", choices.join(", "))
        }
        GeneratedValue::Timestamp { start_ms, rows_per_second, disorder_ms } => {
            let start = start_ms.map_or("the start of the job".to_owned(), |start| format!("{start}ms"));
            format!("timestamp from {start}, {rows_per_second} rows per second, disorder {disorder_ms}ms")
        }
    }
}

fn number_text(text: &Option<NumberText>) -> String {
    text.as_ref().map_or(String::new(), |text| format!(", as {:?} and {} digits", text.prefix, text.digits))
}

fn transform(step: &Transform) -> String {
    if let Some(filter) = &step.filter {
        return format!("where {}", filter.trim());
    }
    if let Some(columns) = &step.select {
        let columns = columns.iter().map(|column| format!("{} = {}", column.name, column.expr.trim()));
        return format!("select {}", columns.collect::<Vec<_>>().join(", "));
    }
    let flat_map = step.flat_map.as_ref().expect("validation leaves one kind of transform");
    format!("flatMap {} = {}", flat_map.column, flat_map.expr.trim())
}

fn key(plan: &Plan) -> String {
    let output = plan.transforms.output();
    let column = |&column: &usize| {
        let field = output.field(column);
        format!("{} {}", field.name(), types::name(field.data_type()))
    };
    plan.key.iter().map(column).collect::<Vec<_>>().join(", ")
}

fn aggregate(spec: &AggregateSpec, plan: &Plan) -> String {
    let input = spec.input.as_ref().map_or(String::new(), |(column, found)| {
        format!("{} {}", plan.transforms.output().field(*column).name(), types::name(found))
    });
    let overflow = match spec.overflow {
        Overflow::Fail => "",
        Overflow::Null => ", null on overflow",
    };
    format!("{} = {}({input}){overflow}", spec.name, spec.function)
}
