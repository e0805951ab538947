//! Tests of expressions against the values that they must give.
//!
//! Owns: what SQL means here.
//! Never: goes through a manifest.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray, TimestampMillisecondArray, UInt32Array,
};
use arrow::compute::take_record_batch;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::{PlanFailure, Planned};
use crate::types;

/// 2013-01-31T23:59:59.500Z.
const INSTANT_MS: i64 = 1_359_676_799_500;

/// Three rows: ordinary values, all null, extreme values.
fn rows() -> RecordBatch {
    let decimals = Decimal128Array::from(vec![Some(1234), None, Some(-5)]);
    let instants = [Some(INSTANT_MS * 1000 + 7), None, Some(-1)];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("a", Arc::new(Int64Array::from(vec![Some(7), None, Some(i64::MIN)]))),
        ("b", Arc::new(Int64Array::from(vec![Some(2), None, Some(0)]))),
        ("n", Arc::new(Int64Array::from(vec![None, None, None]))),
        ("small", Arc::new(Int32Array::from(vec![Some(3), None, Some(i32::MIN)]))),
        ("f", Arc::new(Float64Array::from(vec![Some(1.5), None, Some(f64::NAN)]))),
        ("s", Arc::new(StringArray::from(vec![Some("Hello, Wörld"), None, Some("")]))),
        ("nothing", Arc::new(StringArray::from(vec![None::<&str>, None, None]))),
        ("userId", Arc::new(StringArray::from(vec![Some("u1"), None, Some("u2")]))),
        ("user id", Arc::new(StringArray::from(vec![Some("spaced"), None, Some("")]))),
        ("flag", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("d", Arc::new(Date32Array::from(vec![Some(15_736), None, Some(-719_162)]))),
        (
            "ts",
            Arc::new(TimestampMillisecondArray::from(vec![
                Some(INSTANT_MS),
                None,
                Some(-62_135_596_800_000),
            ])),
        ),
        ("z", Arc::new(TimestampMicrosecondArray::from(instants.to_vec()).with_timezone("+00:00"))),
        ("price", Arc::new(decimals.with_precision_and_scale(10, 2).expect("12.34 has four digits"))),
    ];
    let options = columns.into_iter().map(|(name, values)| (name, values, true));
    RecordBatch::try_from_iter_with_nullable(options).expect("the columns are equally long")
}

/// `value: Type`, or `fails: why`, for one row.
fn value(sql: &str, row: u32) -> String {
    let rows = take_record_batch(&rows(), &UInt32Array::from(vec![row])).expect("the row exists");
    let planned = match Planned::new(sql, &rows.schema(), &[]) {
        Ok(planned) => planned,
        Err(PlanFailure::Wrong(why)) => return format!("refused: {why}"),
        Err(PlanFailure::Unknown) => return "unknown".to_owned(),
    };
    let bound = planned.bind(&rows.schema()).expect("what is planned can be bound");
    match bound.evaluate(&rows) {
        Err(why) => format!("fails: {why}"),
        Ok(values) => {
            let options = FormatOptions::default().with_null("null");
            let formatter = ArrayFormatter::try_new(&values, &options).expect("every type can be shown");
            format!("{}: {}", formatter.value(0), types::name(values.data_type()))
        }
    }
}

/// Compares all lines of a table at once.
fn check(row: u32, table: &[(&str, &str)]) {
    let found: Vec<String> = table.iter().map(|(sql, _)| format!("{sql} => {}", value(sql, row))).collect();
    let expected: Vec<String> = table.iter().map(|(sql, value)| format!("{sql} => {value}")).collect();

    assert_eq!(found.join("\n"), expected.join("\n"), "\n{}\n", found.join("\n"));
}

#[test]
fn arithmetic_and_logic_give_what_sql_says() {
    check(
        0,
        &[
            ("a + b", "9: Int64"),
            ("a / b", "3: Int64"),
            ("a % b", "1: Int64"),
            ("-a", "-7: Int64"),
            ("a * f", "10.5: Float64"),
            ("a / 2.0", "3.5: Float64"),
            ("small + 1", "4: Int64"),
            ("small * small", "9: Int32"),
            ("price * 2", "24.68: Decimal(31, 2)"),
            ("price + price", "24.68: Decimal(11, 2)"),
            ("abs(-a)", "7: Int64"),
            ("round(f)", "2.0: Float64"),
            ("floor(f)", "1.0: Float64"),
            ("sqrt(4.0)", "2.0: Float64"),
            ("greatest(a, b)", "7: Int64"),
            ("least(a, b)", "2: Int64"),
            ("a > b AND flag", "true: Boolean"),
            ("NOT flag", "false: Boolean"),
            ("a = 7.0", "true: Boolean"),
            ("a BETWEEN 1 AND 7", "true: Boolean"),
            ("a IN (1, 2, 7)", "true: Boolean"),
            ("CASE WHEN a > 5 THEN 'big' ELSE 'small' END", "big: String"),
            ("CAST(a AS VARCHAR)", "7: String"),
            ("CAST('42' AS BIGINT)", "42: Int64"),
            ("CAST(f AS BIGINT)", "1: Int64"),
            ("TRY_CAST(s AS BIGINT)", "null: Int64"),
            ("a <> 0 AND 10 / a > 0", "true: Boolean"),
        ],
    );
}

#[test]
fn nulls_follow_three_valued_logic() {
    check(
        0,
        &[
            ("n + 1", "null: Int64"),
            ("n > 1", "null: Boolean"),
            ("n > 1 OR flag", "true: Boolean"),
            ("n > 1 AND NOT flag", "false: Boolean"),
            ("n IS NULL", "true: Boolean"),
            ("n IS DISTINCT FROM a", "true: Boolean"),
            ("n IN (1, 2)", "null: Boolean"),
            ("a NOT IN (1, NULL)", "null: Boolean"),
            ("coalesce(n, a)", "7: Int64"),
            ("nvl(n, 5)", "5: Int64"),
            ("nullif(a, 7)", "null: Int64"),
            ("s || nothing", "null: String"),
            ("concat(s, nothing)", "Hello, Wörld: String"),
            ("CASE WHEN n > 1 THEN 1 ELSE 2 END", "2: Int64"),
        ],
    );
}

#[test]
fn strings_are_counted_in_characters() {
    check(
        0,
        &[
            ("lower(s)", "hello, wörld: String"),
            ("upper(s)", "HELLO, WÖRLD: String"),
            ("length(s)", "12: Int32"),
            ("octet_length(s)", "13: Int32"),
            ("substr(s, 1, 5)", "Hello: String"),
            ("substring(s FROM 8)", "Wörld: String"),
            ("split_part(s, ', ', 2)", "Wörld: String"),
            ("s || '!'", "Hello, Wörld!: String"),
            ("trim('  x ')", "x: String"),
            ("s LIKE 'Hello%'", "true: Boolean"),
            ("s ILIKE 'hello%'", "true: Boolean"),
            ("s ~ '^Hello'", "true: Boolean"),
            ("regexp_replace(s, '[a-z]+', '_')", "H_, Wörld: String"),
            ("starts_with(s, 'Hello')", "true: Boolean"),
            ("position('W' IN s)", "8: Int32"),
            ("replace(s, 'l', 'L')", "HeLLo, WörLd: String"),
            ("lpad(CAST(small AS VARCHAR), 3, '0')", "003: String"),
            ("encode('hi', 'hex')", "6869: String"),
            ("string_to_array(s, ', ')", "[Hello, Wörld]: list of String"),
            ("array_length(string_to_array(s, ' '))", "2: Int64"),
            ("array_to_string([1, 2], '-')", "1-2: String"),
            ("string_to_array(s, ', ')[1]", "Hello: String"),
            ("userId", "u1: String"),
            ("\"userId\" = 'u1'", "true: Boolean"),
            ("\"user id\"", "spaced: String"),
            ("UPPER(\"user id\")", "SPACED: String"),
        ],
    );
}

#[test]
fn dates_and_times_keep_their_units() {
    check(
        0,
        &[
            ("ts", "2013-01-31T23:59:59.500: TimestampMillis"),
            ("date_trunc('hour', ts)", "2013-01-31T23:00:00: TimestampMillis"),
            ("date_part('year', ts)", "2013: Int32"),
            ("EXTRACT(month FROM d)", "1: Int32"),
            ("CAST(ts AS DATE)", "2013-01-31: Date"),
            ("CAST(ts AS BIGINT)", "1359676799500: Int64"),
            ("ts > TIMESTAMP '2013-01-01 00:00:00'", "true: Boolean"),
            ("ts > '2013-01-01'", "true: Boolean"),
            ("d = DATE '2013-01-31'", "true: Boolean"),
            ("ts + INTERVAL '1 hour'", "2013-02-01T00:59:59.500: TimestampMillis"),
            ("TIMESTAMP '9999-12-31 00:00:00'", "9999-12-31T00:00:00: TimestampMicros"),
            ("to_timestamp_millis(1500)", "1970-01-01T00:00:01.500: TimestampMillis"),
            ("to_timestamp('2013-01-31T00:00:00')", "2013-01-31T00:00:00: TimestampMicros"),
            ("z", "2013-01-31T23:59:59.500007Z: TimestampRfc3339"),
            ("date_trunc('day', z)", "2013-01-31T00:00:00Z: TimestampRfc3339"),
            ("to_char(d, '%Y/%m')", "2013/01: String"),
        ],
    );
}

#[test]
fn what_has_no_value_fails() {
    check(
        2,
        &[
            ("10 / b", "fails: `10 / b`: division by zero"),
            ("10 % b", "fails: `10 % b`: division by zero"),
            ("a - 1", "fails: `a - 1`: the result does not fit its type"),
            ("a * 2", "fails: `a * 2`: the result does not fit its type"),
            ("-a", "fails: `-a`: the result does not fit its type"),
            ("abs(a)", "fails: `abs(a)`: the result does not fit its type"),
            (
                "9223372036854775807 + 1 > b",
                "refused: `9223372036854775807 + 1 > b`: a constant in it cannot be computed: the result does not fit its type",
            ),
            ("small - 1", "-2147483649: Int64"),
            (
                "CAST(a AS INT)",
                "fails: `CAST(a AS INT)`: can't cast value -9223372036854775808 to type Int32",
            ),
            (
                "CAST('x' AS BIGINT)",
                "refused: `CAST('x' AS BIGINT)`: a constant in it cannot be computed: cannot cast string 'x' to value of Int64 type",
            ),
            ("10 / 0", "refused: `10 / 0`: a constant in it cannot be computed: division by zero"),
            ("f / b", "NaN: Float64"),
            ("b <> 0 AND 10 / b > 1", "false: Boolean"),
            ("CASE WHEN b = 0 THEN 0 ELSE 10 / b END", "0: Int64"),
            ("coalesce(b, 10 / b)", "0: Int64"),
            ("ts < TIMESTAMP '2013-01-01 00:00:00'", "true: Boolean"),
            (
                "18446744073709551615",
                "refused: `18446744073709551615`: a constant in it cannot be computed: can't cast value 18446744073709551615 to type Int64",
            ),
        ],
    );
}

#[test]
fn a_long_chain_is_refused_and_a_long_list_is_not() {
    let chain = vec!["b"; 100_000].join(" + ");
    let brackets = format!("{}b{}", "(".repeat(1000), ")".repeat(1000));
    let list = (0..5000).map(|i| i.to_string()).collect::<Vec<_>>().join(", ");

    assert!(value(&chain, 0).contains("99999 operators are more than 200: split it with `select`"));
    assert!(value(&brackets, 0).contains("nested too deeply"));
    assert_eq!(value(&format!("a IN ({list})"), 0), "true: Boolean");
}

#[test]
fn everything_is_null_of_null() {
    let all = [
        "a + b",
        "a / b",
        "-a",
        "abs(a)",
        "upper(s)",
        "s || 'x'",
        "length(s)",
        "date_trunc('day', ts)",
        "NOT flag",
    ];

    let found: Vec<String> = all.iter().map(|sql| value(sql, 1)).collect();

    assert!(found.iter().all(|value| value.starts_with("null: ")), "{found:?}");
}
