//! The rules between the source and the sink.
//!
//! Owns: transforms, event time, key, window, aggregates, sink.
//! Never: reads an expression beyond seeing that it is not empty.

use super::names::WINDOW_COLUMNS;
use super::{Findings, kafka, names, source, targets};
use crate::{AggregateFunction, EventTime, LateAction, Pipeline, Source, Transform, Window};

const PATH: &str = "spec.pipeline";

pub(super) fn check(findings: &mut Findings, pipeline: &Pipeline) {
    for (i, transform) in pipeline.transforms.iter().enumerate() {
        check_transform(findings, &format!("{PATH}.transforms[{i}]"), transform);
    }
    check_event_time(findings, &pipeline.event_time, &pipeline.source);
    let columns = names::after_transforms(pipeline);
    check_key(findings, &pipeline.key_by, &columns);
    check_window(findings, &pipeline.window);
    check_aggregates(findings, pipeline, &columns);
    check_sink(findings, pipeline);
}

fn check_transform(findings: &mut Findings, path: &str, transform: &Transform) {
    let members = [
        ("where", transform.filter.is_some()),
        ("select", transform.select.is_some()),
        ("flatMap", transform.flat_map.is_some()),
    ];
    findings.exactly_one(path, &members);
    if let Some(filter) = &transform.filter {
        findings.not_blank(format!("{path}.where"), filter, "a SQL condition such as `value > 0`");
    }
    if let Some(select) = &transform.select {
        if select.is_empty() {
            findings.add(format!("{path}.select"), "must not be empty: write at least one column");
        }
        let name_path = |i: usize| format!("{path}.select[{i}].name");
        names::distinct(findings, select.iter().map(|column| column.name.as_str()), "a name", name_path);
        for (i, column) in select.iter().enumerate() {
            findings.not_blank(format!("{path}.select[{i}].expr"), &column.expr, "a SQL expression");
        }
    }
    if let Some(flat_map) = &transform.flat_map {
        findings.not_blank(format!("{path}.flatMap.column"), &flat_map.column, "a name");
        findings.not_blank(
            format!("{path}.flatMap.expr"),
            &flat_map.expr,
            "a SQL expression that gives a list",
        );
    }
}

fn check_event_time(findings: &mut Findings, event_time: &EventTime, source: &Source) {
    let path = format!("{PATH}.eventTime");
    findings
        .exactly_one(&path, &[("field", event_time.field.is_some()), ("expr", event_time.expr.is_some())]);
    if let Some(expr) = &event_time.expr {
        findings.not_blank(format!("{path}.expr"), expr, "a SQL expression");
    }
    if event_time.max_drift.is_some() && source.kafka.is_none() {
        findings.add(format!("{path}.maxDrift"), "only used with `source.kafka`: remove it");
    }
    let Some(field) = &event_time.field else { return };
    findings.not_blank(format!("{path}.field"), field, "the name of a column");
    let columns = names::of_source(source);
    match columns.iter().find(|(name, _)| name == field) {
        Some((_, true)) => {}
        Some((_, false)) => {
            let allowed = "a timestamp, a Date or an Int64 of milliseconds";
            let remedy = "name another column, or convert it with `expr`";
            findings.add(format!("{path}.field"), format!("column `{field}` is not {allowed}: {remedy}"));
        }
        None => {
            let known: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
            names::known(findings, format!("{path}.field"), field, &known);
        }
    }
}

fn check_key(findings: &mut Findings, key: &[String], columns: &[&str]) {
    let path = |i: usize| format!("{PATH}.keyBy[{i}]");
    if key.is_empty() {
        findings.add(format!("{PATH}.keyBy"), "must not be empty: write at least one column");
    }
    names::distinct(findings, key.iter().map(String::as_str), "the name of a column", path);
    for (i, name) in key.iter().enumerate() {
        if WINDOW_COLUMNS.contains(&name.as_str()) {
            let remedy = "give the column another name with `select`";
            findings.add(path(i), format!("`{name}` is already a column of every result: {remedy}"));
        } else {
            names::known(findings, path(i), name, columns);
        }
    }
}

fn check_window(findings: &mut Findings, window: &Window) {
    let (path, tumbling) = (format!("{PATH}.window"), &window.tumbling);
    let size = &tumbling.size;
    if size.millis() == 0 {
        findings.add(
            format!("{path}.tumbling.size"),
            format!("`{size}` is not more than zero: write one such as `10s`"),
        );
    } else if let Some(offset) = &tumbling.offset
        && offset.millis().abs() >= size.millis()
    {
        let message =
            format!("`{offset}` does not lie between -`{size}` and `{size}`: write what remains of it");
        findings.add(format!("{path}.tumbling.offset"), message);
    }
    let Some(late) = &window.late else { return };
    let wanted = (late.action == LateAction::SideOutput).then_some("late");
    let side = targets::Side { files: late.files.is_some(), kafka: late.kafka.is_some() };
    side.check(findings, &format!("{path}.late"), "SideOutput", wanted);
}

fn check_aggregates(findings: &mut Findings, pipeline: &Pipeline, columns: &[&str]) {
    let path = format!("{PATH}.aggregates");
    let aggregates = &pipeline.aggregates;
    if aggregates.is_empty() {
        findings.add(&path, "must not be empty: write at least one, such as `{name: rows, function: Count}`");
    }
    let name_path = |i: usize| format!("{path}[{i}].name");
    names::distinct(
        findings,
        aggregates.iter().map(|aggregate| aggregate.name.as_str()),
        "a name",
        name_path,
    );
    for (i, aggregate) in aggregates.iter().enumerate() {
        let name = &aggregate.name;
        if WINDOW_COLUMNS.contains(&name.as_str()) {
            findings.add(
                name_path(i),
                format!("`{name}` is already a column of every result: write another name"),
            );
        } else if let Some(k) = pipeline.key_by.iter().position(|key| key == name && !key.is_empty()) {
            let message = format!("`{name}` is already a key column, {PATH}.keyBy[{k}]: write another name");
            findings.add(name_path(i), message);
        }
        let function = aggregate.function;
        match &aggregate.field {
            Some(field) if field.is_empty() => {
                findings.add(format!("{path}[{i}].field"), "must not be empty: write the name of a column");
            }
            Some(field) => names::known(findings, format!("{path}[{i}].field"), field, columns),
            None if function != AggregateFunction::Count => {
                let remedy = "only Count goes without; add the column that it is computed from";
                findings.add(format!("{path}[{i}]"), format!("`field` is missing: {remedy}"));
            }
            None => {}
        }
        if aggregate.overflow.is_some() && function != AggregateFunction::Sum {
            findings.add(format!("{path}[{i}].overflow"), "only used with `function: Sum`: remove it");
        }
    }
}

fn check_sink(findings: &mut Findings, pipeline: &Pipeline) {
    let (path, sink) = (format!("{PATH}.sink"), &pipeline.sink);
    let members = [
        ("files", sink.files.is_some()),
        ("kafka", sink.kafka.is_some()),
        ("stdout", sink.stdout.is_some()),
        ("blackhole", sink.blackhole.is_some()),
    ];
    findings.exactly_one(&path, &members);
    if let Some(sink) = &sink.kafka {
        if let Some(cluster) = &sink.cluster {
            kafka::cluster(findings, &format!("{path}.kafka.cluster"), cluster);
        }
        kafka::sink(findings, &format!("{path}.kafka"), sink, &names::of_results(pipeline));
    }
    if let Some(format) = &sink.format {
        source::format(findings, &format!("{path}.format"), format, sink.kafka.is_some());
        if format.raw.is_some() {
            findings.add(format!("{path}.format.raw"), "results have several columns: write another format");
        }
    }
}
