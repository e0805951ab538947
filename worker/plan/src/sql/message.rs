//! What DataFusion reports, in words that fit a manifest.
//!
//! Owns: the translation of planning errors and of failures on a row.
//! Never: shows DataFusion's or Arrow's names for types.

use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use datafusion_common::{DataFusionError, SchemaError};

use crate::error::unknown_column;

/// Why an expression cannot be planned, in a sentence that begins with it.
pub(super) fn planning(sql: &str, error: &DataFusionError, columns: &Schema) -> String {
    let root = error.find_root();
    if let DataFusionError::SchemaError(schema, _) = root
        && let SchemaError::FieldNotFound { field, .. } = schema.as_ref()
    {
        let known: Vec<&str> = columns.fields().iter().map(|column| column.name().as_str()).collect();
        return format!("`{sql}`: {}", unknown_column(&field.name, known));
    }
    format!("`{sql}`: {}", tidy(&root.message()))
}

/// Why an expression failed on a row.
pub(crate) fn failure(error: &DataFusionError) -> String {
    let root = error.find_root();
    if let DataFusionError::ArrowError(arrow, _) = root {
        return match arrow.as_ref() {
            ArrowError::DivideByZero => "division by zero".to_owned(),
            ArrowError::ArithmeticOverflow(_) => "the result is too large for its type".to_owned(),
            other => tidy(&other.to_string()),
        };
    }
    tidy(&root.message())
}

fn tidy(message: &str) -> String {
    message.lines().next().unwrap_or_default().trim().to_owned()
}
