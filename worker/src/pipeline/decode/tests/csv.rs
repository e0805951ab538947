//! Tables for CSV.
//!
//! Owns: what each type takes from CSV fields, headers, and the causes of bad records.
//! Never: repeats what quoting means to csv-core.

use super::*;

#[test]
fn each_type_takes_its_values_quoted_or_not() {
    let table = [
        (DataType::Utf8, " a ", " a "),
        (DataType::Utf8, "null", "null"),
        (DataType::Int32, "007", "7"),
        (DataType::Int64, "-12", "-12"),
        (DataType::Int64, "+12", "12"),
        (DataType::Int64, "1.0", "1"),
        (DataType::Int64, "1e3", "1000"),
        (DataType::Float32, "1.5", "1.5"),
        (DataType::Float64, "NaN", "NaN"),
        (DataType::Float64, "-Infinity", "-inf"),
        (DataType::Boolean, "TRUE", "true"),
        (DataType::Boolean, "False", "false"),
        (DataType::Decimal128(5, 2), "-123.45", "-12345"),
        (DataType::Date32, "2024-02-29", "19782"),
        (millis(), "1700000000000", "1700000000000"),
        (rfc3339(), "2023-11-14T22:13:20Z", "1700000000000000"),
    ];
    for (kind, value, expected) in table {
        let source = source(&[("v", kind.clone())], headed());
        let text = format!("v\n{value}\n\"{value}\"\n");

        let outcome = decode(&source, text.as_bytes(), 8192).unwrap();

        assert_eq!(outcome.bad, [], "{kind} {value}");
        assert_eq!(outcome.rows, [[expected], [expected]], "{kind} {value}");
    }
}

#[test]
fn each_type_refuses_other_values() {
    let table = [
        (DataType::Int32, "2147483648", "expected Int32, found 2147483648, which is out of range"),
        (DataType::Int64, "", "expected Int64, found ``"),
        (DataType::Int64, " 1", "expected Int64, found ` 1`"),
        (DataType::Int64, "1_000", "expected Int64, found `1_000`"),
        (DataType::Int64, "1.5", "expected Int64, found 1.5, which is not whole"),
        (DataType::Float64, "1e999", "expected Float64, found 1e999, which is out of range"),
        (DataType::Float64, "one", "expected Float64, found `one`"),
        (DataType::Boolean, "yes", "expected Boolean, found `yes`"),
        (
            DataType::Decimal128(5, 2),
            "1.234",
            "expected Decimal(5, 2), found 1.234, which has more than 2 digits after the point",
        ),
        (DataType::Date32, "29.2.2024", "expected Date (YYYY-MM-DD), found `29.2.2024`"),
        (millis(), "now", "expected TimestampMillis, found `now`"),
    ];
    for (kind, value, expected) in table {
        let source = source(&[("v", kind.clone())], headed());
        let text = format!("v\n\"{value}\"\n");

        let outcome = decode(&source, text.as_bytes(), 8192).unwrap();

        assert_eq!(outcome.bad, [(0, format!("column `v`: {expected}"))], "{kind} {value}");
    }
}

#[test]
fn a_nul_byte_makes_a_bad_record() {
    let source = source(&[("a", DataType::Utf8)], headed());

    let outcome = decode(&source, b"x,a\n1,a\0b\n2,c\n\"\0\",d\n", 8192).unwrap();

    assert_eq!(outcome.rows, [["c"]]);
    let cause = |field: u32| format!("field {field} has a NUL byte, so it is not text");
    assert_eq!(outcome.bad, [(0, cause(2)), (2, cause(1))]);
}

#[test]
fn nulls_are_unquoted_fields() {
    let source = source(&[("a", DataType::Utf8), ("b", DataType::Int64)], headed());

    let outcome = decode(&source, b"a,b\nNA,\n\"NA\",NA\n\"\",1\n", 8192).unwrap();

    assert_eq!(outcome.rows, [["null", "null"], ["NA", "null"], ["", "1"]]);
}

#[test]
fn without_header_fields_are_the_declared_columns() {
    let mut source =
        source(&[("b", DataType::Int64)], FormatPlan::Csv { header: false, delimiter: b';', nulls: vec![] });
    let SourceKind::Files(files) = &mut source.kind else { panic!("made so") };
    files.declared = vec!["a".to_owned(), "b".to_owned()];

    let outcome = decode(&source, b"x;1\n\"y;\";2\nz\n;3;4\n", 8192).unwrap();

    assert_eq!(outcome.rows, [["1"], ["2"]]);
    let cause = |found: u32| format!("expected 2 fields, found {found}");
    assert_eq!(outcome.bad, [(2, cause(1)), (3, cause(3))]);
}

#[test]
fn a_header_that_does_not_fit_is_an_error() {
    let source = source(&[("v", DataType::Int64)], headed());
    let table: [(&[u8], &str); 3] = [
        (b"a,\"b,c\"\n1,2\n", "the header has no column `v`; its columns are `a`, `b,c`"),
        (b"v,v\n1,2\n", "the header has column `v` more than once"),
        (b"\xFF\xFEv\0\n", "the header is not UTF-8 text"),
    ];
    for (text, expected) in table {
        assert_eq!(decode(&source, text, 8192).unwrap_err(), expected);
    }
    assert_eq!(decode(&source, b"", 8192).unwrap(), Outcome::default());
}

#[test]
fn a_quote_that_stays_open_makes_one_bad_record() {
    let source = source(&[("a", DataType::Utf8), ("v", DataType::Int64)], headed());

    let outcome = decode(&source, b"a,v\nx,1\n\"y,2\nz,3\n", 8192).unwrap();

    assert_eq!(outcome.rows, [["x", "1"]]);
    assert_eq!(outcome.bad[0].0, 1);
    assert_eq!(outcome.records, 2);
}

#[test]
fn text_that_is_not_utf_8_is_a_bad_record_if_its_column_is_read() {
    let source = source(&[("a", DataType::Utf8)], headed());

    let outcome = decode(&source, b"x,a\n\xFF,good\n1,\xFF\n", 8192).unwrap();

    assert_eq!(outcome.rows, [["good"]]);
    assert_eq!(outcome.bad, [(1, "column `a`: not UTF-8 text".to_owned())]);
}
