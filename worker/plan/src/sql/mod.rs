//! From SQL text to a compiled expression.
//!
//! Owns: parsing, planning and coercion by DataFusion, with checked arithmetic and constants computed once.
//! Never: evaluates a row.

mod functions;
mod message;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Schema, SchemaRef};
use datafusion_common::tree_node::{Transformed, TreeNode};
use datafusion_common::{DFSchema, DataFusionError, Result as DataFusionResult, ScalarValue};
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion_expr::{BinaryExpr, Expr, ExprSchemable, Operator};
use datafusion_optimizer::analyzer::type_coercion::TypeCoercionRewriter;
use datafusion_physical_expr::execution_props::ExecutionProps;
use datafusion_physical_expr::expressions::{BinaryExpr as PhysicalBinary, Literal};
use datafusion_physical_expr::{PhysicalExpr, create_physical_expr};
use datafusion_sql::parser::DFParser;
use datafusion_sql::planner::{ParserOptions, PlannerContext, SqlToRel};

use crate::expr::Expression;
use crate::types;
use functions::Functions;

pub(crate) use message::{arrow_failure, failure};

/// An expression that fits its columns, not yet bound to a batch layout.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    /// As the manifest has it.
    pub(crate) sql: String,
    /// The names of the columns it reads.
    pub(crate) columns: Vec<String>,
    /// The type it gives, after the cast to the nearest column type.
    pub(crate) output: DataType,
    logical: Expr,
}

/// Why an expression cannot be planned.
#[derive(Debug)]
pub(crate) enum PlanFailure {
    /// What is wrong, in a sentence.
    Wrong(String),
    /// It reads a column whose own expression is wrong: nothing can be said about it.
    Unknown,
}

impl Planned {
    /// Parses and plans an expression over these columns. `broken` names columns whose types are not known.
    pub(crate) fn new(sql: &str, columns: &Schema, broken: &[String]) -> Result<Self, PlanFailure> {
        let text = sql.trim();
        if text.is_empty() {
            return Err(PlanFailure::Wrong("the expression is empty; write a SQL expression".to_owned()));
        }
        functions::check_size(text).map_err(|why| {
            PlanFailure::Wrong(format!("`{}…`: {why}", &text[..text.floor_char_boundary(40)]))
        })?;
        let parsed = DFParser::parse_sql_into_expr(text)
            .map_err(|error| PlanFailure::Wrong(message::planning(text, &error, &known(columns, broken))))?;
        if let Some(alias) = parsed.alias {
            let why = format!("`{text}`: `AS {alias}` is not allowed here; the manifest names the column");
            return Err(PlanFailure::Wrong(why));
        }
        let names =
            functions::check(&parsed.expr).map_err(|why| PlanFailure::Wrong(format!("`{text}`: {why}")))?;
        if names.iter().any(|name| broken.contains(name)) {
            return Err(PlanFailure::Unknown);
        }
        plan(text, parsed.expr, columns)
            .map_err(|error| PlanFailure::Wrong(message::planning(text, &error, &known(columns, broken))))
    }

    /// The expression that is nothing but this column.
    pub(crate) fn column(name: &str, output: DataType) -> Self {
        let logical = Expr::Column(datafusion_common::Column::new_unqualified(name));
        Self { sql: name.to_owned(), columns: vec![name.to_owned()], output, logical }
    }

    /// The name of the column, if the expression is nothing but a column.
    pub(crate) fn as_column(&self) -> Option<&str> {
        if let Expr::Column(column) = &self.logical { Some(&column.name) } else { None }
    }

    /// Binds the expression to a batch layout, which must hold the columns it reads.
    pub(crate) fn bind(&self, layout: &SchemaRef) -> Result<Expression, String> {
        let physical = bind(&self.logical, layout)
            .map_err(|error| message::planning(&self.sql, &error, &known(layout, &[])))?;
        Ok(Expression { sql: self.sql.clone(), output: self.output.clone(), physical })
    }
}

fn known<'a>(columns: &'a Schema, broken: &'a [String]) -> Vec<&'a str> {
    columns.fields().iter().map(|column| column.name()).chain(broken).map(String::as_str).collect()
}

fn plan(
    text: &str,
    parsed: datafusion_sql::sqlparser::ast::Expr,
    columns: &Schema,
) -> DataFusionResult<Planned> {
    let schema = DFSchema::try_from(columns.clone())?;
    let options =
        ParserOptions::new().with_enable_ident_normalization(false).with_map_string_types_to_utf8view(false);
    let provider = Functions::new();
    let planner = SqlToRel::new_with_options(&provider, options);
    let logical = planner.sql_to_expr(parsed, &schema, &mut PlannerContext::new())?;
    let logical = coerce(logical, &schema)?;
    let logical = logical.transform_up(|expr| rewrite(expr, &schema))?.data;
    let logical = coerce(logical, &schema)?;
    let output = types::nearest_type(&logical.get_type(&schema)?);
    // Binding finds what planning lets pass, such as a constant that does not fit.
    let physical = bind(&logical, &Arc::new(columns.clone()))?;
    if let Some(constant) = physical.downcast_ref::<Literal>() {
        types::to_type(constant.value().to_array()?, &output)
            .map_err(|cause| DataFusionError::Execution(cause.to_string()))?;
    }
    let mut names: Vec<String> =
        logical.column_refs().into_iter().map(|column| column.name.clone()).collect();
    names.sort();
    names.dedup();
    Ok(Planned { sql: text.to_owned(), columns: names, output, logical })
}

fn coerce(expr: Expr, schema: &DFSchema) -> DataFusionResult<Expr> {
    Ok(expr.rewrite(&mut TypeCoercionRewriter::new(schema))?.data)
}

/// Functions that DataFusion has only as a rewrite into other expressions (`coalesce`, `nvl`), and negation with a
/// check, which DataFusion's own lacks. Its whole simplifier is not used: it computes constants with arithmetic that wraps.
fn rewrite(expr: Expr, schema: &DFSchema) -> DataFusionResult<Transformed<Expr>> {
    if let Expr::ScalarFunction(ScalarFunction { func, args }) = expr {
        let context = SimplifyContext::builder().with_schema(Arc::new(schema.clone())).build();
        return Ok(match func.simplify(args, &context)? {
            ExprSimplifyResult::Simplified(simpler) => Transformed::yes(simpler),
            ExprSimplifyResult::Original(args) => {
                Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args }))
            }
        });
    }
    if let Expr::Negative(value) = expr {
        let found = value.get_type(schema)?;
        if !found.is_signed_integer() {
            return Ok(Transformed::no(Expr::Negative(value)));
        }
        let zero = Expr::Literal(ScalarValue::new_zero(&found)?, None);
        let minus = BinaryExpr::new(Box::new(zero), Operator::Minus, value);
        return Ok(Transformed::yes(Expr::BinaryExpr(minus)));
    }
    Ok(Transformed::no(expr))
}

fn bind(logical: &Expr, layout: &SchemaRef) -> DataFusionResult<Arc<dyn PhysicalExpr>> {
    let schema = DFSchema::try_from(layout.as_ref().clone())?;
    let physical =
        create_physical_expr(logical, &schema, &ExecutionProps::new(), &PhysicalPlanningContext::default())?;
    let checked = physical.transform_up(|expr| Ok(checked(expr)))?.data;
    Ok(checked.transform_up(folded)?.data)
}

/// Arithmetic that fails on overflow instead of wrapping.
fn checked(expr: Arc<dyn PhysicalExpr>) -> Transformed<Arc<dyn PhysicalExpr>> {
    match expr.downcast_ref::<PhysicalBinary>() {
        Some(binary) => Transformed::yes(Arc::new(binary.clone().with_fail_on_overflow(true))),
        None => Transformed::no(expr),
    }
}

/// Computes an expression of constants once. One that fails would fail for every row: that is a mistake.
fn folded(expr: Arc<dyn PhysicalExpr>) -> DataFusionResult<Transformed<Arc<dyn PhysicalExpr>>> {
    let children = expr.children();
    if children.is_empty() || !children.iter().all(|child| child.is::<Literal>()) {
        return Ok(Transformed::no(expr));
    }
    let one_row = RecordBatchOptions::new().with_row_count(Some(1));
    let rows = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &one_row)?;
    let value = ScalarValue::try_from_array(&expr.evaluate(&rows)?.into_array(1)?, 0)?;
    Ok(Transformed::yes(Arc::new(Literal::new(value))))
}
