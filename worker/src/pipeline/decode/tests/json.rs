//! Tables for JSON lines.
//!
//! Owns: what each type takes from JSON, and the causes of bad records.
//! Never: relies on which path reads a record; each is read by both.

use super::*;

fn one(kind: &DataType, value: &str) -> Outcome {
    let source = source(&[("v", kind.clone())], FormatPlan::Json);
    // The first record is read carefully, the second as a record that is spelt like it.
    let line = format!("{{\"v\":{value}}}\n");
    let outcome = decode(&source, line.repeat(2).as_bytes(), 8192).unwrap();
    let careful = decode(&source, line.as_bytes(), 8192).unwrap();
    assert_eq!(outcome.rows.first(), careful.rows.first());
    assert_eq!(outcome.rows.first(), outcome.rows.get(1), "{line}");
    careful
}

#[test]
fn each_type_takes_its_values() {
    let decimal = DataType::Decimal128(10, 2);
    let seconds = DataType::Timestamp(TimeUnit::Second, None);
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    let table = [
        (DataType::Utf8, "\"\"", ""),
        (
            DataType::Utf8,
            "\"héllo wörld, a string of more than sixteen\"",
            "héllo wörld, a string of more than sixteen",
        ),
        (DataType::Utf8, r#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00""#, "a\"\\/\u{8}\u{c}\n\r\té😀"),
        (DataType::Utf8, "null", "null"),
        (DataType::Int32, "-2147483648", "-2147483648"),
        (DataType::Int32, "2147483647", "2147483647"),
        (DataType::Int32, "1.0", "1"),
        (DataType::Int64, "0", "0"),
        (DataType::Int64, "-0", "0"),
        (DataType::Int64, "7", "7"),
        (DataType::Int64, "12345678", "12345678"),
        (DataType::Int64, "123456789", "123456789"),
        (DataType::Int64, "-1234567890123456", "-1234567890123456"),
        (DataType::Int64, "12345678901234567", "12345678901234567"),
        (DataType::Int64, "123456789012345678", "123456789012345678"),
        (DataType::Int64, "9223372036854775807", "9223372036854775807"),
        (DataType::Int64, "-9223372036854775808", "-9223372036854775808"),
        (DataType::Int64, "1.0", "1"),
        (DataType::Int64, "1e3", "1000"),
        (DataType::Int64, "1200e-2", "12"),
        (DataType::Int64, "-1.50E+1", "-15"),
        (DataType::Int64, "0.000e999999999999999999999", "0"),
        (DataType::Int64, "null", "null"),
        (DataType::Float32, "0.1", "0.1"),
        (DataType::Float32, "3.4028235e38", "340282350000000000000000000000000000000"),
        (DataType::Float64, "0.1", "0.1"),
        (DataType::Float64, "-0.0", "-0"),
        (DataType::Float64, "1e-400", "0"),
        (DataType::Boolean, "true", "true"),
        (DataType::Boolean, "false", "false"),
        (decimal.clone(), "1.5", "150"),
        (decimal.clone(), "\"-12345678.90\"", "-1234567890"),
        (decimal.clone(), "1.500", "150"),
        (decimal.clone(), "1e2", "10000"),
        (decimal, "0", "0"),
        (
            DataType::Decimal128(38, 0),
            "99999999999999999999999999999999999999",
            "99999999999999999999999999999999999999",
        ),
        (DataType::Date32, "\"1970-01-01\"", "0"),
        (DataType::Date32, "\"0001-01-01\"", "-719162"),
        (DataType::Date32, "\"9999-12-31\"", "2932896"),
        (DataType::Date32, "\"2024-02-29\"", "19782"),
        (seconds, "-1", "-1"),
        (millis(), "1700000000000", "1700000000000"),
        (micros, "1700000000000000", "1700000000000000"),
        (rfc3339(), "\"1970-01-01T00:00:00Z\"", "0"),
        (rfc3339(), "\"2023-11-14T22:13:20.123Z\"", "1700000000123000"),
        (rfc3339(), "\"2023-11-15T03:43:20.123456789+05:30\"", "1700000000123456"),
        (rfc3339(), "\"1969-12-31 23:59:59.9z\"", "-100000"),
        (rfc3339(), "\"0001-01-01T00:00:00Z\"", "-62135596800000000"),
        (rfc3339(), "\"9999-12-31T23:59:59.999999Z\"", "253402300799999999"),
    ];
    for (kind, value, expected) in table {
        let outcome = one(&kind, value);

        assert_eq!(outcome.bad, [], "{kind} {value}");
        assert_eq!(outcome.rows, [[expected]], "{kind} {value}");
    }
}

#[test]
fn each_type_refuses_other_values() {
    let decimal = DataType::Decimal128(10, 2);
    let date = "expected Date (YYYY-MM-DD), found ";
    let instant = "expected TimestampRfc3339 (such as 2026-01-31T08:00:00.123Z), found ";
    let table = [
        (DataType::Utf8, "1", "expected String, found a number".to_owned()),
        (DataType::Utf8, "{\"a\":1}", "expected String, found an object".to_owned()),
        (DataType::Utf8, r#""\ud800""#, "has an escape that is no character".to_owned()),
        (DataType::Int32, "2147483648", "expected Int32, found 2147483648, which is out of range".to_owned()),
        (DataType::Int64, "\"1\"", "expected Int64, found a string".to_owned()),
        (DataType::Int64, "true", "expected Int64, found a boolean".to_owned()),
        (DataType::Int64, "[1]", "expected Int64, found an array".to_owned()),
        (DataType::Int64, "1.5", "expected Int64, found 1.5, which is not whole".to_owned()),
        (
            DataType::Int64,
            "9223372036854775808",
            "expected Int64, found 9223372036854775808, which is out of range".to_owned(),
        ),
        (
            DataType::Int64,
            "1e99999999999",
            "expected Int64, found 1e99999999999, which is out of range".to_owned(),
        ),
        (DataType::Float32, "1e39", "expected Float32, found 1e39, which is out of range".to_owned()),
        (DataType::Float64, "1e309", "expected Float64, found 1e309, which is out of range".to_owned()),
        (DataType::Float64, "\"NaN\"", "expected Float64, found a string".to_owned()),
        (DataType::Boolean, "1", "expected Boolean, found a number".to_owned()),
        (DataType::Boolean, "\"true\"", "expected Boolean, found a string".to_owned()),
        (
            decimal.clone(),
            "1.234",
            "expected Decimal(10, 2), found 1.234, which has more than 2 digits after the point".to_owned(),
        ),
        (
            decimal.clone(),
            "123456789",
            "expected Decimal(10, 2), found 123456789, which is out of range".to_owned(),
        ),
        (decimal.clone(), "\"twelve\"", "expected Decimal(10, 2), found `twelve`".to_owned()),
        (decimal, "false", "expected Decimal(10, 2), found a boolean".to_owned()),
        (DataType::Date32, "\"2023-02-29\"", format!("{date}`2023-02-29`")),
        (DataType::Date32, "\"2023-1-1\"", format!("{date}`2023-1-1`")),
        (DataType::Date32, "\"0000-01-01\"", format!("{date}`0000-01-01`")),
        (DataType::Date32, "19782", format!("{date}a number")),
        (millis(), "\"2023-11-14T22:13:20Z\"", "expected TimestampMillis, found a string".to_owned()),
        (rfc3339(), "1700000000", format!("{instant}a number")),
        (rfc3339(), "\"2023-11-14T22:13:20\"", format!("{instant}`2023-11-14T22:13:20`")),
        (rfc3339(), "\"2023-11-14T24:00:00Z\"", format!("{instant}`2023-11-14T24:00:00Z`")),
        (rfc3339(), "\"2023-11-14T22:13:60Z\"", format!("{instant}`2023-11-14T22:13:60Z`")),
        (rfc3339(), "\"2023-11-14T22:13:20.Z\"", format!("{instant}`2023-11-14T22:13:20.Z`")),
        (rfc3339(), "\"2023-11-14T22:13:20+2:00\"", format!("{instant}`2023-11-14T22:13:20+2:00`")),
        (rfc3339(), "\"0001-01-01T00:00:00+01:00\"", format!("{instant}`0001-01-01T00:00:00+01:00`")),
    ];
    for (kind, value, expected) in table {
        let source = source(&[("v", kind.clone()), ("w", DataType::Int64)], FormatPlan::Json);
        // A good record first, so that the bad one is expected to be spelt like it.
        let text = format!("{{\"v\":null,\"w\":1}}\n{{\"v\":{value},\"w\":2}}\n{{\"v\":null,\"w\":3}}\n");

        let outcome = decode(&source, text.as_bytes(), 8192).unwrap();

        assert_eq!(outcome.bad, [(1, format!("column `v`: {expected}"))], "{kind} {value}");
        assert_eq!(outcome.rows, [["null", "1"], ["null", "3"]]);
    }
}

#[test]
fn lines_that_are_no_objects_are_bad_records() {
    let source = source(&[("v", DataType::Int64)], FormatPlan::Json);
    let deep = format!("{{\"x\":{}{}}}", "[".repeat(128), "]".repeat(128));
    let table: [(&[u8], &str); 22] = [
        (b"[1]", "expected a JSON object, found an array"),
        (b"12", "expected a JSON object, found a number"),
        (b"null", "expected a JSON object, found null"),
        (b"nonsense", "not valid JSON at byte 0: expected a value"),
        (b"{", "not valid JSON at byte 1: expected `\"`"),
        (b"{\"v\"}", "not valid JSON at byte 4: expected `:`"),
        (b"{\"v\":}", "not valid JSON at byte 5: expected a value"),
        (b"{\"v\":1", "not valid JSON at byte 6: expected `,` or `}`"),
        (b"{\"v\":1,}", "not valid JSON at byte 7: expected `\"`"),
        (b"{\"v\":1}}", "not valid JSON at byte 7: expected the end of the line"),
        (b"{\"v\":1} {\"v\":2}", "not valid JSON at byte 8: expected the end of the line"),
        (b"{\"v\":01}", "not valid JSON at byte 6: expected no digit after a leading zero"),
        (b"{\"v\":+1}", "not valid JSON at byte 5: expected a value"),
        (b"{\"v\":1.}", "not valid JSON at byte 7: expected a digit"),
        (b"{\"v\":1e}", "not valid JSON at byte 7: expected a digit"),
        (b"{\"x\":nul}", "not valid JSON at byte 5: expected a value"),
        (b"{\"x\":\"\\x\"}", "not valid JSON at byte 7: expected an escape that JSON knows"),
        (b"{\"x\":\"\\u12g4\"}", "not valid JSON at byte 7: expected four hex digits after `\\u`"),
        (b"{\"x\":\"a\tb\"}", "not valid JSON at byte 7: expected no control character in a string"),
        (b"{\"x\":\"\xFF\"}", "not UTF-8 text at byte 6"),
        (b"\xFF\xFE{\0\"\0", "not UTF-8 text at byte 0"),
        (
            deep.as_bytes(),
            "not valid JSON at byte 132: expected at most 128 arrays and objects inside each other",
        ),
    ];
    for (line, cause) in table {
        let text = [b"{\"v\":1}\n", line, b"\n{\"v\":2}\n"].concat();

        let outcome = decode(&source, &text, 8192).unwrap();

        assert_eq!(outcome.bad, [(1, cause.to_owned())]);
        assert_eq!(outcome.rows, [["1"], ["2"]], "{}", String::from_utf8_lossy(line));
    }
}

#[test]
fn of_a_repeated_field_the_last_wins_and_a_missing_one_is_null() {
    let source = source(&[("v", DataType::Int64), ("w", DataType::Utf8)], FormatPlan::Json);
    let text = b"{\"v\":1,\"v\":2}\n{\"v\":1,\"v\":null,\"w\":\"x\"}\n{}\n{}\n{\"\\u0076\":5,\"y\":[{\"z\":\"}\"}]}\n{\"\\u0076\":6,\"y\":[]}";

    let outcome = decode(&source, text, 8192).unwrap();

    let expected =
        [["2", "null"], ["null", "x"], ["null", "null"], ["null", "null"], ["5", "null"], ["6", "null"]];
    assert_eq!(outcome.bad, []);
    assert_eq!(outcome.rows, expected);
}
