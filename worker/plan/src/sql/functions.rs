//! The functions that expressions may call.
//!
//! Owns: which functions exist, and the refusal of those that see more than one row or differ from run to run.
//! Never: implements a function.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, FieldRef, TimeUnit};
use datafusion_common::config::ConfigOptions;
use datafusion_common::datatype::DataTypeExt;
use datafusion_common::{Result as DataFusionResult, TableReference, plan_err};
use datafusion_expr::planner::{ContextProvider, ExprPlanner, TypePlanner};
use datafusion_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, Volatility, WindowUDF};
use datafusion_functions::core::planner::CoreFunctionPlanner;
use datafusion_functions::datetime::planner::DatetimeFunctionPlanner;
use datafusion_functions::unicode::planner::UnicodeFunctionPlanner;
use datafusion_functions_nested::planner::{FieldAccessPlanner, NestedFunctionPlanner};
use datafusion_sql::sqlparser::ast::{self, Query, TimezoneInfo, Value, Visit, Visitor};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::tokenizer::{Token, Tokenizer};

use crate::error::nearest;

/// Functions over many rows, by the names that people try.
const AGGREGATES: [&str; 23] = [
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "first_value",
    "grouping",
    "last_value",
    "max",
    "mean",
    "median",
    "min",
    "stddev",
    "string_agg",
    "sum",
    "var",
    "nth_value",
];
/// Functions over a window of rows.
const WINDOWS: [&str; 9] =
    ["cume_dist", "dense_rank", "lag", "lead", "ntile", "percent_rank", "rank", "row_number", "row_num"];
/// Names under which clocks and dice are known elsewhere; DataFusion's own are found by their volatility.
const VOLATILE: [&str; 6] =
    ["current_timestamp", "localtimestamp", "localtime", "rand", "gen_random_uuid", "sysdate"];

/// The most operators in one expression.
const OPERATORS_MAX: usize = 200;

static SCALAR: LazyLock<HashMap<String, Arc<ScalarUDF>>> = LazyLock::new(|| {
    let functions = datafusion_functions::all_default_functions();
    let nested = datafusion_functions_nested::all_default_nested_functions();
    let mut names = HashMap::new();
    for function in functions.into_iter().chain(nested) {
        for alias in function.aliases() {
            names.insert(alias.clone(), Arc::clone(&function));
        }
        names.insert(function.name().to_owned(), function);
    }
    names
});

/// What the planner may use: scalar functions, no tables.
pub(super) struct Functions {
    options: ConfigOptions,
    planners: Vec<Arc<dyn ExprPlanner>>,
}

impl Functions {
    pub(super) fn new() -> Self {
        Self {
            options: ConfigOptions::default(),
            planners: vec![
                Arc::new(CoreFunctionPlanner::default()),
                Arc::new(NestedFunctionPlanner),
                Arc::new(FieldAccessPlanner),
                Arc::new(DatetimeFunctionPlanner),
                Arc::new(UnicodeFunctionPlanner),
            ],
        }
    }
}

impl ContextProvider for Functions {
    fn get_table_source(&self, name: TableReference) -> DataFusionResult<Arc<dyn TableSource>> {
        plan_err!("there is no table {name}")
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.planners
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(Types))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        SCALAR.get(name).cloned()
    }

    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, _name: &str) -> Option<Arc<AggregateUDF>> {
        None
    }

    fn get_window_meta(&self, _name: &str) -> Option<Arc<WindowUDF>> {
        None
    }

    fn get_variable_type(&self, _names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        SCALAR.keys().cloned().collect()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udaf_names(&self) -> Vec<String> {
        Vec::new()
    }

    fn udwf_names(&self) -> Vec<String> {
        Vec::new()
    }
}

/// SQL's TIMESTAMP in microseconds: DataFusion's nanoseconds end in the year 2262.
#[derive(Debug)]
struct Types;

impl TypePlanner for Types {
    fn plan_type_field(&self, sql: &ast::DataType) -> DataFusionResult<Option<FieldRef>> {
        let ast::DataType::Timestamp(precision, zone) = sql else {
            return Ok(None);
        };
        let unit = match precision {
            Some(0) => TimeUnit::Second,
            Some(3) => TimeUnit::Millisecond,
            Some(9) => TimeUnit::Nanosecond,
            None | Some(6) => TimeUnit::Microsecond,
            Some(other) => return plan_err!("TIMESTAMP({other}) does not exist; use 0, 3, 6 or 9"),
        };
        let zone = match zone {
            TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => None,
            TimezoneInfo::WithTimeZone | TimezoneInfo::Tz => Some("+00:00".into()),
        };
        Ok(Some(DataType::Timestamp(unit, zone).into_nullable_field_ref()))
    }
}

/// Refuses a chain of operators so long that planning, which recurses along it, could exhaust the stack.
/// Brackets are limited by the parser, and long lists in `IN (…)` are no chain.
pub(super) fn check_size(text: &str) -> Result<(), String> {
    let tokens = Tokenizer::new(&GenericDialect {}, text).tokenize().unwrap_or_default();
    let operators = tokens.iter().filter(|token| is_operator(token)).count();
    if operators > OPERATORS_MAX {
        return Err(format!("{operators} operators are more than {OPERATORS_MAX}: split it with `select`"));
    }
    Ok(())
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is the parser's")]
fn is_operator(token: &Token) -> bool {
    match token {
        Token::Word(word) => [Keyword::AND, Keyword::OR, Keyword::NOT, Keyword::IS].contains(&word.keyword),
        Token::Number(..) | Token::SingleQuotedString(_) | Token::Whitespace(_) => false,
        Token::Comma | Token::LParen | Token::RParen | Token::LBracket | Token::RBracket => false,
        _ => true,
    }
}

/// Refuses what an expression over one row cannot hold; gives the names of the identifiers in it.
pub(super) fn check(expr: &ast::Expr) -> Result<Vec<String>, String> {
    let mut seen = Seen::default();
    match expr.visit(&mut seen) {
        ControlFlow::Continue(()) => Ok(seen.names),
        ControlFlow::Break(why) => Err(why),
    }
}

#[derive(Default)]
struct Seen {
    names: Vec<String>,
}

impl Visitor for Seen {
    type Break = String;

    fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<String> {
        ControlFlow::Break(
            "a query is not allowed here; an expression sees one row and nothing else".to_owned(),
        )
    }

    fn pre_visit_value(&mut self, value: &ast::ValueWithSpan) -> ControlFlow<String> {
        if let Value::Placeholder(name) = &value.value {
            let why = format!("`{name}` is a parameter without a value; write the value");
            return ControlFlow::Break(why);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<String> {
        if let ast::Expr::Identifier(name) = expr {
            if name.value.starts_with('@') && name.quote_style.is_none() {
                let why = format!("`{name}` is a variable, and there are none; write the value");
                return ControlFlow::Break(why);
            }
            self.names.push(name.value.clone());
        }
        if let ast::Expr::Function(function) = expr
            && let Some(why) = refused(function)
        {
            return ControlFlow::Break(why);
        }
        ControlFlow::Continue(())
    }
}

fn refused(function: &ast::Function) -> Option<String> {
    let name = function.name.to_string().to_lowercase();
    if function.over.is_some() || WINDOWS.contains(&name.as_str()) {
        return Some(format!("`{name}` looks at other rows; an expression sees one row"));
    }
    if AGGREGATES.contains(&name.as_str()) {
        let instead = match name.as_str() {
            "min" => " (the smaller of two values is `least`)",
            "max" => " (the greater of two values is `greatest`)",
            _ => "",
        };
        return Some(format!("`{name}` is computed over many rows; put it under `aggregates`{instead}"));
    }
    let Some(known) = SCALAR.get(&name) else {
        if VOLATILE.contains(&name.as_str()) {
            return Some(volatile(&name));
        }
        return Some(match nearest(&name, SCALAR.keys().map(String::as_str)) {
            Some(near) => format!("there is no function `{name}`; did you mean `{near}`?"),
            None => format!(
                "there is no function `{name}`; the functions are those of DataFusion's SQL reference"
            ),
        });
    };
    (known.signature().volatility != Volatility::Immutable).then(|| volatile(&name))
}

fn volatile(name: &str) -> String {
    format!(
        "`{name}` gives another value each time, but the same input must give the same results; use a column"
    )
}
