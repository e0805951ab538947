//! The rules of sources, formats, columns and bad records.
//!
//! Owns: what `spec.pipeline.source` and every `format` must hold.
//! Never: looks whether a file exists.

use super::{Findings, generator, kafka, names, targets};
use crate::{BadRecordAction, Column, ColumnFrom, ColumnType, CsvFormat, Format, Source};

const PATH: &str = "spec.pipeline.source";
const DIGITS_MAX: u8 = 38;

pub(super) fn check(findings: &mut Findings, source: &Source) {
    let members = [
        ("files", source.files.is_some()),
        ("kafka", source.kafka.is_some()),
        ("generator", source.generator.is_some()),
    ];
    findings.exactly_one(PATH, &members);
    if let Some(files) = &source.files {
        let path = |i: usize| format!("{PATH}.files.urls[{i}]");
        if files.urls.is_empty() {
            findings.add(format!("{PATH}.files.urls"), "must not be empty: write at least one path or glob");
        }
        names::distinct(findings, files.urls.iter().map(String::as_str), "a path or glob", path);
        for (i, url) in files.urls.iter().enumerate() {
            targets::local(findings, path(i), url);
        }
        needs_format_and_columns(findings, source, "files need");
    }
    if let Some(from) = &source.kafka {
        kafka::source(findings, &format!("{PATH}.kafka"), from);
        needs_format_and_columns(findings, source, "kafka needs");
    }
    if let Some(generator) = &source.generator {
        let unfit = "not allowed with `generator`, which makes typed rows: remove it";
        if source.format.is_some() {
            findings.add(format!("{PATH}.format"), unfit);
        }
        if source.columns.is_some() {
            let unfit = "not allowed with `generator`: its columns are in `generator.columns`; remove it";
            findings.add(format!("{PATH}.columns"), unfit);
        }
        generator::check(findings, &format!("{PATH}.generator"), generator);
    }
    if let Some(form) = &source.format {
        let path = format!("{PATH}.format");
        format(findings, &path, form, source.kafka.is_some());
        if form.raw.is_some() && source.kafka.is_none() && source.generator.is_none() {
            findings.add(format!("{path}.raw"), "only used with `kafka`: write another format");
        }
    }
    if let (Some(columns), None) = (&source.columns, &source.generator) {
        check_columns(findings, columns, source);
    }
    if let Some(bad) = &source.bad_records {
        let wanted = (bad.action == BadRecordAction::DeadLetter).then_some("bad");
        let side = targets::Side { files: bad.files.is_some(), kafka: bad.kafka.is_some() };
        side.check(findings, &format!("{PATH}.badRecords"), "DeadLetter", wanted);
    }
}

fn needs_format_and_columns(findings: &mut Findings, source: &Source, who: &str) {
    if source.generator.is_some() {
        return;
    }
    if source.format.is_none() {
        findings
            .add(PATH, format!("`format` is missing: {who} it; add it, such as `format: {{json: {{}}}}`"));
    }
    if source.columns.is_none() {
        let remedy = "add it, such as `columns: [{name: page, type: String}]`";
        findings.add(PATH, format!("`columns` is missing: {who} it; {remedy}"));
    }
}

/// The rules of a format, of the source or of the sink. `kafka`: records are not lines of a file.
pub(super) fn format(findings: &mut Findings, path: &str, format: &Format, kafka: bool) {
    let members =
        [("json", format.json.is_some()), ("csv", format.csv.is_some()), ("raw", format.raw.is_some())];
    findings.exactly_one(path, &members);
    if let Some(csv) = &format.csv {
        if kafka && csv.header == Some(true) {
            let message = "each record of a topic is by itself: remove it";
            findings.add(format!("{path}.csv.header"), message);
        }
        check_csv(findings, &format!("{path}.csv"), csv);
    }
}

fn check_csv(findings: &mut Findings, path: &str, csv: &CsvFormat) {
    let delimiter = csv.delimiter.as_deref().unwrap_or(",");
    match delimiter.as_bytes() {
        [b'"' | b'\n' | b'\r' | 0] => {
            let path = format!("{path}.delimiter");
            findings.add(
                path,
                format!("{delimiter:?} has another meaning in CSV: write one other ASCII character"),
            );
        }
        [byte] if byte.is_ascii() => {}
        [..] => {
            findings.add(
                format!("{path}.delimiter"),
                format!("{delimiter:?} is not one ASCII character: write one"),
            );
        }
    }
    for (i, null) in csv.nulls.iter().flatten().enumerate() {
        if null.contains(['"', '\n', '\r']) || (!delimiter.is_empty() && null.contains(delimiter)) {
            let cause =
                "can never be an unquoted field, as it holds a quote, a line end or the delimiter: remove it";
            findings.add(format!("{path}.nulls[{i}]"), format!("{null:?} {cause}"));
        }
    }
}

fn check_columns(findings: &mut Findings, columns: &[Column], source: &Source) {
    let path = format!("{PATH}.columns");
    if columns.is_empty() {
        findings.add(&path, "must not be empty: write at least one column");
    }
    let name_path = |i: usize| format!("{path}[{i}].name");
    names::distinct(findings, columns.iter().map(|column| column.name.as_str()), "a name", name_path);
    for (i, column) in columns.iter().enumerate() {
        let path = format!("{path}[{i}]");
        check_digits(findings, &path, column);
        check_from(findings, &path, column, source);
    }
    let payload: Vec<&Column> = columns.iter().filter(|column| column.from.is_none()).collect();
    let raw = source.kafka.is_some() && source.format.as_ref().is_some_and(|format| format.raw.is_some());
    let is_text = |column: &&Column| column.column_type == ColumnType::String;
    if raw && (payload.len() > 1 || !payload.iter().all(is_text)) {
        let message =
            "`format: {raw: {}}` gives one column of type String: remove the others, or give them a `from`";
        findings.add(path, message);
    }
}

fn check_from(findings: &mut Findings, path: &str, column: &Column, source: &Source) {
    if source.kafka.is_some() {
        kafka::column(findings, path, column);
    } else if column.from.is_some() {
        findings.add(format!("{path}.from"), "only used with `kafka`: remove it");
    }
    match &column.header {
        Some(header) if column.from == Some(ColumnFrom::Header) => {
            findings.not_blank(format!("{path}.header"), header, "the name of a header, or leave it out");
        }
        Some(_) => findings.add(format!("{path}.header"), "only used with `from: Header`: remove it"),
        None => {}
    }
}

fn check_digits(findings: &mut Findings, path: &str, column: &Column) {
    if column.column_type != ColumnType::Decimal {
        for (field, value) in [("precision", column.precision), ("scale", column.scale)] {
            if value.is_some() {
                findings.add(format!("{path}.{field}"), "only used with `type: Decimal`: remove it");
            }
        }
        return;
    }
    let (precision, scale) = column.decimal_digits();
    if precision == 0 || precision > DIGITS_MAX {
        let message = format!("{precision} is out of range: write a number from 1 to {DIGITS_MAX}");
        findings.add(format!("{path}.precision"), message);
    } else if scale > precision {
        match column.scale {
            Some(_) => findings.add(
                format!("{path}.scale"),
                format!("{scale} digits after the point do not fit into a precision of {precision}: write 0 to {precision}"),
            ),
            None => findings.add(
                path,
                format!("`scale` is missing: its default, {scale}, does not fit into a precision of {precision}; add it, 0 to {precision}"),
            ),
        }
    }
}
