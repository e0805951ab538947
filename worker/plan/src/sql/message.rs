//! What DataFusion reports, in words that fit a manifest.
//!
//! Owns: the translation of planning errors and of failures on a row.
//! Never: shows DataFusion's or Arrow's names for types.

use arrow::error::ArrowError;
use datafusion_common::{DataFusionError, SchemaError};
use datafusion_sql::sqlparser::parser::ParserError;

use crate::Cause;
use crate::error::unknown_column;

const CONVERT: &str = "convert one of them with CAST(… AS …)";
/// A value in a message may be a whole record.
const CHARS_MAX: usize = 300;
/// What DataFusion puts in front of the messages of its parts.
const PREFIXES: [&str; 5] = [
    "Error during planning: ",
    "Execution error: ",
    "Internal error: ",
    "This feature is not implemented: ",
    "Arrow error: ",
];
/// Arrow's names of types, longer ones first, and those of the manifest.
const TYPES: [(&str, &str); 16] = [
    ("LargeUtf8", "String"),
    ("Utf8View", "String"),
    ("Utf8", "String"),
    ("Timestamp(s)", "TimestampSeconds"),
    ("Timestamp(ms)", "TimestampMillis"),
    ("Timestamp(µs)", "TimestampMicros"),
    ("Timestamp(ns)", "TimestampNanos"),
    ("Timestamp(µs, \"+00:00\")", "TimestampRfc3339"),
    ("Interval(MonthDayNano)", "interval"),
    ("Interval(DayTime)", "interval"),
    ("Interval(YearMonth)", "interval"),
    ("Date32", "Date"),
    ("Date64", "Date"),
    ("Decimal128(", "Decimal("),
    ("Decimal256(", "Decimal("),
    ("List(non-null ", "List("),
];

/// Why an expression failed on a row, without what stands in the row.
const NOT_COMPUTED: &str = "it cannot be computed from the record's values";

/// Why an expression cannot be planned, in a sentence that begins with it.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is DataFusion's")]
pub(super) fn planning(sql: &str, error: &DataFusionError, known: &[&str]) -> String {
    let why = match root(error) {
        DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
            SchemaError::FieldNotFound { field, .. } => unknown_column(&field.flat_name(), known),
            SchemaError::AmbiguousReference { .. }
            | SchemaError::DuplicateQualifiedField { .. }
            | SchemaError::DuplicateUnqualifiedField { .. } => tidy(&schema.to_string()),
        },
        DataFusionError::SQL(parser, _) => syntax(parser),
        failed @ (DataFusionError::ArrowError(_, _) | DataFusionError::Execution(_)) => {
            format!("a constant in it cannot be computed: {}", failure(failed))
        }
        other => refusal(&tidy(&other.message())),
    };
    format!("`{sql}`: {why}")
}

/// Why an expression failed on a row.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is DataFusion's")]
pub(crate) fn failure(error: &DataFusionError) -> Cause {
    match root(error) {
        DataFusionError::ArrowError(arrow, _) => arrow_failure(arrow),
        other => Cause::quoting(tidy(&other.message()), NOT_COMPUTED),
    }
}

/// Why a function of Arrow failed.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is Arrow's")]
pub(crate) fn arrow_failure(error: &ArrowError) -> Cause {
    match error {
        ArrowError::DivideByZero => Cause::plain("division by zero"),
        ArrowError::ArithmeticOverflow(_) => Cause::plain("the result does not fit its type"),
        ArrowError::CastError(why)
        | ArrowError::ComputeError(why)
        | ArrowError::InvalidArgumentError(why)
        | ArrowError::ParseError(why)
            if why.contains("overflow") =>
        {
            Cause::plain("the result does not fit its type")
        }
        ArrowError::CastError(why) | ArrowError::ParseError(why) => {
            Cause::quoting(tidy(why), "a value cannot be converted to the type")
        }
        ArrowError::ComputeError(why) | ArrowError::InvalidArgumentError(why) => {
            Cause::quoting(tidy(why), NOT_COMPUTED)
        }
        other => Cause::quoting(tidy(&other.to_string()), NOT_COMPUTED),
    }
}

/// The error that the others wrap.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is DataFusion's")]
fn root(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => root(inner),
        DataFusionError::Shared(inner) => root(inner),
        DataFusionError::Collection(errors) => errors.first().map_or(error, root),
        other => other,
    }
}

fn syntax(error: &ParserError) -> String {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
        ParserError::RecursionLimitExceeded => return "nested too deeply: split it with `select`".to_owned(),
    };
    // Expressions have one line, so that only the column says something.
    let text = text
        .replace(" at Line: 1, Column: ", " at character ")
        .replace(" at Line: 1, Column ", " at character ");
    let text = text.replace("Expected: ", "expected ").replace(", found: EOF", ", but the text ends");
    format!("not SQL: {}", lower_first(&text.replace(", found: ", ", found ")))
}

/// A refusal by DataFusion's type rules in our words; one that is not known stays as it is.
fn refusal(text: &str) -> String {
    let after = |start: &str| text.strip_prefix(start);
    if let Some(rest) = after("cannot coerce arithmetic expression ") {
        return format!("there is no {}: {CONVERT}", rest.trim_end_matches(" to valid types"));
    }
    if let Some((_, operation)) = text.split_once("operation ")
        && text.starts_with("cannot infer common")
    {
        return format!("there is no {operation}: {CONVERT}");
    }
    if let Some(rest) = after("there isn't a common type to coerce ") {
        return format!("there is no common type of {}: {CONVERT}", rest.trim_end_matches(" expression"));
    }
    if let Some(function) = after("'").and_then(|rest| rest.strip_suffix("' does not support zero arguments"))
    {
        return format!("`{function}` needs an argument: write one between the brackets");
    }
    if let Some((function, counts)) = after("function '").and_then(|rest| rest.split_once("' expects ")) {
        return format!("`{function}` expects {}", counts.replace("1 arguments", "1 argument"));
    }
    if let Some(rest) = after("failed to coerce arguments to satisfy a call to '")
        && let Some((function, rest)) = rest.split_once("' function: coercion from ")
        && let Some((arguments, _)) = rest.split_once(" to the signature ")
    {
        return format!("`{function}` does not take ({arguments}): convert an argument with CAST(… AS …)");
    }
    if let Some(rest) = after("function '")
        && let Some((function, why)) = rest.split_once("' user-defined coercion failed with: ")
    {
        return format!("`{function}` does not take these arguments: {}", tidy(why));
    }
    if text.starts_with("failed to coerce ")
        && let Some((types, place)) = text.trim_end_matches(" expression").rsplit_once(" in ")
    {
        let types = types.trim_start_matches("failed to coerce ").trim_start_matches("types ");
        return format!(
            "there is no common type of {} in {place}: {CONVERT}",
            types.trim_end_matches(" to common types")
        );
    }
    text.to_owned()
}

/// The first line, without prefixes, with the manifest's names of types, not too long.
fn tidy(message: &str) -> String {
    let mut line = message.lines().next().unwrap_or_default().trim();
    while let Some(rest) = PREFIXES.iter().find_map(|prefix| line.strip_prefix(prefix)) {
        line = rest.trim();
    }
    let mut text = line.to_owned();
    for prefix in PREFIXES {
        text = text.replace(prefix, "");
    }
    for (arrow, ours) in TYPES {
        text = text.replace(arrow, ours);
    }
    let text = lower_first(text.trim_end_matches('.'));
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A sentence that begins with a type keeps its capital.
fn lower_first(text: &str) -> String {
    let word = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let is_type = TYPES.iter().any(|(_, ours)| *ours == word) || word.ends_with(|c: char| c.is_ascii_digit());
    let mut chars = text.chars();
    match chars.next() {
        Some(first) if !is_type && !word.chars().skip(1).any(char::is_uppercase) && word.len() > 1 => {
            first.to_lowercase().chain(chars).collect()
        }
        Some(_) | None => text.to_owned(),
    }
}
