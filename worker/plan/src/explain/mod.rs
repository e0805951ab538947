//! A plan as text, for people.
//!
//! Owns: what `streamjob explain` prints.
//! Never: decides anything.

mod kafka;
mod text;

#[cfg(test)]
mod tests;

use arrow::datatypes::Schema;
use streamjob_core::aggregate::{AggregateSpec, Overflow};
use streamjob_core::key_group::{KEY_GROUPS, range_of};

use crate::steps::{Step, StepKind};
use crate::{
    BadRecordsPlan, FilesPlan, FormatPlan, GeneratorPlan, LatePlan, Plan, SinkKind, SourceKind, StatePlan,
    types,
};
pub(crate) use text::duration;
use text::{Text, count, generated};

/// More slots than this are not listed one by one.
const SLOTS_LISTED: u32 = 16;

/// The operators of a plan in their order, with the columns and types after each, and which slot owns which keys.
pub fn explain(plan: &Plan) -> String {
    let mut text = Text::default();
    text.entry("job", &plan.job);
    source(plan, &mut text);
    event_time(plan, &mut text);
    for (i, step) in plan.transforms.steps().iter().enumerate() {
        transform(&format!("transform {}", i + 1), step, &mut text);
    }
    carried(plan, &mut text);
    key(plan, &mut text);
    window(plan, &mut text);
    aggregates(plan, &mut text);
    text.entry("result", &sink(plan));
    columns(&plan.result, &mut text);
    state(&plan.state, &mut text);
    slots(plan.parallelism, &mut text);
    text.finish()
}

fn source(plan: &Plan, text: &mut Text) {
    let mut metadata = 0;
    let declared = match &plan.source.kind {
        SourceKind::Files(files) => {
            from_files(files, text);
            &files.declared
        }
        SourceKind::Kafka(from) => {
            kafka::source(from, text);
            metadata = from.metadata.len();
            &from.declared
        }
        SourceKind::Generator(generator) => {
            from_generator(generator, text);
            &generator.declared
        }
    };
    text.line(&match &plan.source.bad_records {
        BadRecordsPlan::Fail => "a bad record stops the job".to_owned(),
        BadRecordsPlan::Skip => "bad records are skipped and counted".to_owned(),
        BadRecordsPlan::DeadLetter { folder } => format!("bad records are written to {}", folder.display()),
        BadRecordsPlan::DeadLetterTopic { topic } => format!("bad records are written to topic {topic}"),
    });
    let schema = &plan.source.schema;
    let skipped: Vec<&str> =
        declared.iter().map(String::as_str).filter(|name| schema.index_of(name).is_err()).collect();
    let read = format!("reads {} of {}", schema.fields().len(), count(declared.len() + metadata, "column"));
    text.line(&if skipped.is_empty() { read } else { format!("{read}; skips {}", skipped.join(", ")) });
    match &plan.source.kind {
        SourceKind::Files(_) => columns(schema, text),
        SourceKind::Kafka(from) => kafka::columns(schema, from, text),
        SourceKind::Generator(generator) => {
            let made = schema.fields().iter().zip(&generator.columns).map(|(field, column)| {
                vec![field.name().clone(), types::name(field.data_type()), generated(&column.value)]
            });
            text.table(made.collect());
        }
    }
}

fn from_files(files: &FilesPlan, text: &mut Text) {
    let partitions = if files.one_partition {
        "all files, by name, are one partition"
    } else {
        "each file is a partition"
    };
    text.entry("source", &format!("files, {}; {partitions}", format_of(&files.format)));
    for pattern in &files.patterns {
        text.line(&format!("  {pattern}"));
    }
}

fn from_generator(generator: &GeneratorPlan, text: &mut Text) {
    let rows = generator.rows.map_or("endless".to_owned(), |rows| format!("{rows} rows"));
    let rate = match generator.rows_per_second {
        None => "as fast as they are taken".to_owned(),
        Some(rate) => format!("{rate} rows per second"),
    };
    let partitions = count(generator.partitions as usize, "partition");
    text.entry("source", &format!("generator, {rows}, {rate}; {partitions}, seed {}", generator.seed));
}

fn format_of(format: &FormatPlan) -> String {
    match format {
        FormatPlan::Json => "JSON lines".to_owned(),
        FormatPlan::Csv { header, delimiter, nulls } => {
            let header = if *header { "with header" } else { "without header" };
            let nulls: Vec<String> = nulls.iter().map(|null| format!("{null:?}")).collect();
            let nulls = if nulls.is_empty() { "nothing".to_owned() } else { nulls.join(" or ") };
            format!("CSV {header}, fields divided by {:?}, null is {nulls}", char::from(*delimiter))
        }
    }
}

fn event_time(plan: &Plan, text: &mut Text) {
    let event_time = &plan.event_time;
    let expr = &event_time.expr;
    text.entry("event time", &format!("{}  {}", expr.sql(), types::name(expr.value_type())));
    text.line(&match event_time.max_out_of_orderness_ms {
        0 => "each partition is in order".to_owned(),
        bound => format!("rows are at most {} out of order", duration(bound)),
    });
    text.line(&match event_time.idle_timeout_ms {
        0 => "a partition without new rows holds time back for ever".to_owned(),
        timeout => format!("a partition without new rows holds time back for {}", duration(timeout)),
    });
    if let Some(drift) = event_time.max_drift_ms {
        let drift = duration(drift);
        text.line(&format!(
            "a partition more than {drift} ahead of the others waits until they have caught up"
        ));
    }
    if let Some(bound) = event_time.max_future_ms {
        text.line(&format!("a row more than {} ahead of the clock is a bad record", duration(bound)));
    }
}

fn transform(title: &str, step: &Step, text: &mut Text) {
    match &step.kind {
        StepKind::Where { predicate, .. } => text.entry(title, &format!("where {}", predicate.sql)),
        StepKind::FlatMap { column, list, .. } => {
            text.entry(title, &format!("flatMap {column}: a row for each of {}", list.sql));
        }
        StepKind::Select { columns, unused } => {
            text.entry(title, "select");
            if !unused.is_empty() {
                text.line(&format!("not computed, as nothing uses it: {}", unused.join(", ")));
            }
            let selected = step.output.fields().iter().zip(columns).map(|(field, column)| {
                vec![field.name().clone(), types::name(field.data_type()), format!("= {}", column.sql)]
            });
            text.table(selected.collect());
            return;
        }
    }
    columns(&step.output, text);
}

/// Source columns that go along only for late rows.
fn carried(plan: &Plan, text: &mut Text) {
    let after = plan.transforms.steps().last().map_or(plan.transforms.input(), |step| &step.output);
    let fields = &plan.transforms.output().fields()[after.fields().len()..];
    if !fields.is_empty() {
        text.entry("carried", "for late rows: the columns of the source as they were");
        columns(&Schema::new(fields.to_vec()), text);
    }
}

fn columns(schema: &Schema, text: &mut Text) {
    let fields = schema.fields().iter();
    text.table(fields.map(|field| vec![field.name().clone(), types::name(field.data_type())]).collect());
}

fn key(plan: &Plan, text: &mut Text) {
    let output = plan.transforms.output();
    let names: Vec<&str> = plan.key.iter().map(|&column| output.field(column).name().as_str()).collect();
    text.entry("key", &names.join(", "));
    let bytes = match plan.key.as_slice() {
        [column] if *output.field(*column).data_type() == arrow::datatypes::DataType::Utf8 => {
            "the bytes of the text"
        }
        _ => "the columns' canonical bytes, in value order",
    };
    text.line(&format!("{bytes}; null is a key of its own; XXH3-64 of them gives the key group"));
}

fn window(plan: &Plan, text: &mut Text) {
    let window = &plan.window;
    let offset = match window.offset_ms {
        0 => String::new(),
        offset => format!(", offset {}", duration(offset)),
    };
    text.entry("window", &format!("tumbling {}{offset}", duration(window.size_ms)));
    if window.allowed_lateness_ms > 0 {
        let lateness = duration(window.allowed_lateness_ms);
        text.line(&format!("stays open {lateness} after it fired; each late row updates its result"));
    }
    text.line(&match &window.late {
        LatePlan::Drop => "late rows are dropped and counted".to_owned(),
        LatePlan::Files { folder } => format!("late rows are written to {}", folder.display()),
        LatePlan::Kafka { topic } => format!("late rows are written to topic {topic}"),
    });
}

fn aggregates(plan: &Plan, text: &mut Text) {
    text.entry("aggregates", "");
    let output = plan.transforms.output();
    let rows = plan.aggregates.iter().map(|aggregate| {
        let input = aggregate.input.as_ref().map_or("rows".to_owned(), |(column, found)| {
            format!("{} {}", output.field(*column).name(), types::name(found))
        });
        let result = plan.result.field_with_name(&aggregate.name).expect("each aggregate is a result column");
        let call = format!("{}({input})", aggregate.function);
        vec![
            aggregate.name.clone(),
            types::name(result.data_type()),
            format!("= {call}{}", overflow(aggregate)),
        ]
    });
    text.table(rows.collect());
}

fn overflow(aggregate: &AggregateSpec) -> &'static str {
    match aggregate.overflow {
        Overflow::Fail => "",
        Overflow::Null => ", null when it does not fit",
    }
}

fn sink(plan: &Plan) -> String {
    let format = format_of(&plan.sink.format);
    match &plan.sink.kind {
        SinkKind::Files { folder } => format!("{format}, to files in {}", folder.display()),
        SinkKind::Kafka { topic, route } => {
            let output = plan.kafka_output.as_ref().expect("a topic is written to by an output");
            let route = kafka::route(route, &plan.result);
            format!("{format}, to topic {topic}{route} at {}", kafka::output(output))
        }
        SinkKind::Stdout => format!("{format}, to standard output"),
        SinkKind::Blackhole => "counted and thrown away".to_owned(),
    }
}

fn state(state: &StatePlan, text: &mut Text) {
    text.entry("state", &format!("in {}", state.location));
    let (interval, timeout) = (millis(state.interval_ms), millis(state.timeout_ms));
    text.line(&format!(
        "a checkpoint every {interval}, abandoned after {timeout}; {} are kept",
        state.retain
    ));
}

fn millis(length: u64) -> String {
    duration(i64::try_from(length).expect("validation keeps durations small"))
}

fn slots(parallelism: u32, text: &mut Text) {
    text.entry("slots", &format!("{parallelism}, which share {KEY_GROUPS} key groups"));
    let row = |slot: u32| {
        let range = range_of(slot, parallelism);
        vec![format!("slot {slot}"), format!("{} to {}", range.start, range.end - 1)]
    };
    if parallelism <= SLOTS_LISTED {
        return text.table((0..parallelism).map(row).collect());
    }
    let last = parallelism - 1;
    text.table(vec![row(0), row(1), vec!["…".to_owned()], row(last)]);
}
