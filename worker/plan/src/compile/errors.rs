//! Tests of what is refused, and how.
//!
//! Owns: the table of mistakes.
//! Never: looks at a plan.

use std::path::Path;

use super::compile;
use super::tests::{CLICKS, PAGES, job};

/// The transforms of the example, to be replaced.
const EVENT_TIME: &str = "    eventTime: {field: ts, maxOutOfOrderness: 1s}\n";

fn messages(text: &str) -> String {
    match compile(&job(text), Path::new("/jobs")) {
        Ok(_) => "compiles".to_owned(),
        Err(errors) => errors.to_string(),
    }
}

fn with_transforms(transforms: &str) -> String {
    CLICKS.replace(EVENT_TIME, &format!("{EVENT_TIME}    transforms: {transforms}\n"))
}

/// Each mistake with what is said about it.
fn report(cases: impl Iterator<Item = (String, String)>) -> String {
    let lines = cases.map(|(mistake, manifest)| {
        let said = messages(&manifest).lines().map(|line| format!("    {line}\n")).collect::<String>();
        format!("{mistake}\n{said}")
    });
    lines.collect()
}

#[test]
fn a_wrong_expression_is_told_with_its_place_and_its_remedy() {
    let conditions = [
        "",
        "value >",
        "value > 0)",
        "vlaue > 0",
        "Value > 0",
        "clicks.value > 0",
        "value",
        "value + 1",
        "page + 1 > 2",
        "page > 1 AND value",
        "value > 'x'",
        "page LIKE 1",
        "upper(value, 1) = 'x'",
        "upper() = 'x'",
        "uper(page) = 'x'",
        "sum(value) > 1",
        "max(value) > 1",
        "row_number() OVER () = 1",
        "lag(value) > 1",
        "random() > 0.5",
        "ts < now()",
        "ts < current_timestamp",
        "uuid() = page",
        "value IN (SELECT 1)",
        "EXISTS (SELECT 1)",
        "value > $1",
        "value > 0 AS big",
        "'open",
        "frobnicate(value) = 1",
        "CAST(value AS FANCY) = 1",
        "value = ANY(page)",
        "NOT page",
        "-page = 1",
        "value BETWEEN 'a' AND ts",
        "CASE WHEN page THEN true END",
        "value; DROP TABLE x",
        "sqrt(page) > 1",
        "date_trunc('day', page) = ts",
        "@x > 1",
        "* > 1",
        "TIMESTAMP(5) '2013-01-01' = ts",
    ];

    let told = report(
        conditions
            .into_iter()
            .map(|sql| (format!("where: {sql}"), with_transforms(&format!("[{{where: {sql:?}}}]")))),
    );

    insta::assert_snapshot!(told);
}

#[test]
fn a_wrong_transform_is_told_with_its_place_and_its_remedy() {
    let transforms = [
        "[{flatMap: {column: word, expr: page}}]",
        "[{flatMap: {column: word, expr: \"split(page, ' ')\"}}]",
        "[{select: [{name: page, expr: 'NULL'}, {name: value, expr: value}]}]",
        "[{select: [{name: page, expr: page}]}]",
        "[{select: [{name: page, expr: pgae}, {name: value, expr: vlaue}]}, {where: 'value > 0'}, {where: 'valeu > 0'}]",
        "[{select: [{name: page, expr: \"string_to_array(page, ' ')\"}, {name: value, expr: value}]}]",
        "[{select: [{name: page, expr: page}, {name: value, expr: \"INTERVAL '1 day'\"}]}]",
        "[{select: [{name: page, expr: page}, {name: value, expr: page}]}]",
        "[{where: 'value > 0'}, {where: 'value'}, {where: 'ts'}]",
    ];

    let told = report(transforms.into_iter().map(|steps| (steps.to_owned(), with_transforms(steps))));

    insta::assert_snapshot!(told);
}

#[test]
fn a_wrong_field_is_told_with_its_place_and_its_remedy() {
    let replaced = [
        ("{field: ts, maxOutOfOrderness: 1s}", "{expr: page}"),
        ("{field: ts, maxOutOfOrderness: 1s}", "{expr: 'value > 1'}"),
        ("{field: ts, maxOutOfOrderness: 1s}", "{expr: 'CAST(value AS INT)'}"),
        ("{field: ts, maxOutOfOrderness: 1s}", "{expr: 'tss'}"),
        ("{field: ts, maxOutOfOrderness: 1s}", "{expr: 'now()'}"),
        ("field: value", "field: referrer"),
        ("function: Sum, field: value", "function: Avg, field: ts"),
        ("clicks-*.jsonl", "clicks-[.jsonl"),
        ("clicks-*.jsonl", "a***b"),
        ("{files: {url: out}}", "{files: {url: .}}"),
        ("{files: {url: out}}", "{files: {url: 'file:///jobs/sub/../'}}"),
        ("clicks-*.jsonl", "**/*.jsonl"),
        ("{files: {url: out}}", "{stdout: {}, format: {csv: {nulls: []}}}"),
        (
            "{tumbling: {size: 10s}}",
            "{tumbling: {size: 10s}, late: {action: SideOutput, files: {url: /jobs/out}}}",
        ),
        ("keyBy: [page]", "keyBy: [paeg]"),
        ("parallelism: 2", "parallelism: 0"),
    ];

    let told =
        report(replaced.into_iter().map(|(from, to)| (format!("{from} -> {to}"), CLICKS.replace(from, to))));

    insta::assert_snapshot!(told);
}

#[test]
fn mistakes_of_all_parts_are_told_at_once() {
    let text = with_transforms(
        "[{where: 'vlaue > 0'}, {select: [{name: page, expr: 'paeg'}, {name: value, expr: page}]}]",
    )
    .replace("clicks-*.jsonl", "clicks-[.jsonl")
    .replace("{field: ts, maxOutOfOrderness: 1s}", "{expr: page}");

    let told = messages(&text);

    insta::assert_snapshot!(told);
}

#[test]
fn a_topic_that_is_named_by_a_number_is_told_with_its_remedy() {
    let said = messages(&PAGES.replace("topicField: to", "topicField: pages"));

    let expected = "spec.pipeline.sink.kafka.topicField: `pages` is an Int64, and a topic is named by a String: convert it \
                    with `select`";
    assert_eq!(said, expected);
}
