//! The rules of the generator and its columns.
//!
//! Owns: bounds, weights, digits, instants.
//! Never: makes a row.

use jiff::Timestamp;

use super::{Findings, PARALLELISM_MAX, names};
use crate::{ChoiceColumn, GeneratedColumn, GeneratorSource, TimestampColumn, UniformColumn, ZipfColumn};

const DIGITS_MAX: u8 = 20;

pub(super) fn check(findings: &mut Findings, path: &str, generator: &GeneratorSource) {
    if let Some(partitions) = generator.partitions {
        findings.range(format!("{path}.partitions"), partitions, PARALLELISM_MAX);
    }
    if generator.rows_per_second == Some(0) {
        findings.add(format!("{path}.rowsPerSecond"), "must be more than 0: leave it out to run flat out");
    }
    let columns = &generator.columns;
    if columns.is_empty() {
        findings.add(format!("{path}.columns"), "must not be empty: write at least one column");
    }
    let name_path = |i: usize| format!("{path}.columns[{i}].name");
    names::distinct(findings, columns.iter().map(|column| column.name.as_str()), "a name", name_path);
    for (i, column) in columns.iter().enumerate() {
        check_column(findings, &format!("{path}.columns[{i}]"), column);
    }
}

fn check_column(findings: &mut Findings, path: &str, column: &GeneratedColumn) {
    let members = [
        ("sequence", column.sequence.is_some()),
        ("uniform", column.uniform.is_some()),
        ("zipf", column.zipf.is_some()),
        ("choice", column.choice.is_some()),
        ("timestamp", column.timestamp.is_some()),
    ];
    findings.exactly_one(path, &members);
    if let Some(sequence) = &column.sequence {
        let path = format!("{path}.sequence");
        if sequence.modulo == Some(0) {
            findings.add(format!("{path}.modulo"), "must be more than 0: leave it out to never start again");
        }
        digits(findings, &path, sequence.prefix.as_deref(), sequence.digits);
    }
    if let Some(uniform) = &column.uniform {
        check_uniform(findings, &format!("{path}.uniform"), uniform);
    }
    if let Some(zipf) = &column.zipf {
        check_zipf(findings, &format!("{path}.zipf"), zipf);
    }
    if let Some(choice) = &column.choice {
        check_choice(findings, &format!("{path}.choice"), choice);
    }
    if let Some(timestamp) = &column.timestamp {
        check_timestamp(findings, &format!("{path}.timestamp"), timestamp);
    }
}

fn digits(findings: &mut Findings, path: &str, prefix: Option<&str>, digits: Option<u8>) {
    let Some(digits) = digits else { return };
    if digits == 0 || digits > DIGITS_MAX {
        let message = format!("{digits} is out of range: write a number from 1 to {DIGITS_MAX}");
        findings.add(format!("{path}.digits"), message);
    }
    if prefix.is_none() {
        findings.add(
            path,
            "`prefix` is missing: `digits` pads the number behind it; add it, such as `prefix: user-`",
        );
    }
}

fn check_uniform(findings: &mut Findings, path: &str, uniform: &UniformColumn) {
    let (min, max) = (&uniform.min, &uniform.max);
    let above = match (min.as_i64(), max.as_i64()) {
        (Some(min), Some(max)) => min > max,
        _ => min.as_f64() > max.as_f64(),
    };
    if above {
        findings.add(format!("{path}.min"), format!("{min} is more than `max`, {max}: swap them"));
    }
    if uniform.prefix.is_some() && !names::is_whole(uniform) {
        let message = "only used with whole numbers: write `min` and `max` without a point, or remove it";
        findings.add(format!("{path}.prefix"), message);
    }
    digits(findings, path, uniform.prefix.as_deref(), uniform.digits);
}

fn check_zipf(findings: &mut Findings, path: &str, zipf: &ZipfColumn) {
    if zipf.values == 0 {
        findings
            .add(format!("{path}.values"), "must be more than 0: write how many different values there are");
    }
    if let Some(exponent) = zipf.exponent.filter(|exponent| *exponent <= 0.0) {
        let remedy = "`uniform` makes values that are equally likely";
        findings.add(format!("{path}.exponent"), format!("{exponent} is not more than 0: {remedy}"));
    }
    digits(findings, path, zipf.prefix.as_deref(), zipf.digits);
}

fn check_choice(findings: &mut Findings, path: &str, choice: &ChoiceColumn) {
    if choice.values.is_empty() {
        findings.add(format!("{path}.values"), "must not be empty: write at least one value");
    }
    let Some(weights) = &choice.weights else { return };
    if weights.len() != choice.values.len() {
        let (weights, values) = (weights.len(), choice.values.len());
        findings.add(
            format!("{path}.weights"),
            format!("{weights} weights for {values} values: write one for each"),
        );
    } else if !weights.is_empty() && weights.iter().all(|weight| *weight == 0) {
        findings.add(format!("{path}.weights"), "all are 0: nothing could be chosen; write one that is more");
    }
}

fn check_timestamp(findings: &mut Findings, path: &str, timestamp: &TimestampColumn) {
    if let Some(start) = &timestamp.start
        && !is_rfc3339(start)
    {
        let message =
            format!("`{start}` is not an RFC 3339 instant: write one such as `2026-01-31T08:00:00Z`");
        findings.add(format!("{path}.start"), message);
    }
    if timestamp.rows_per_second == Some(0) {
        findings.add(format!("{path}.rowsPerSecond"), "must be more than 0: event time would stand still");
    }
}

/// jiff reads more than RFC 3339: time zones in brackets, years beyond 0000-9999, shortened times.
fn is_rfc3339(text: &str) -> bool {
    let year = text.split('-').next().unwrap_or_default();
    let seconds = text.bytes().filter(|b| *b == b':').count() >= 2;
    year.len() == 4 && year != "0000" && seconds && !text.contains('[') && text.parse::<Timestamp>().is_ok()
}
