//! Properties over random records and random bytes.
//!
//! Owns: that the fast path changes nothing, that batch sizes change nothing, that nothing panics.
//! Never: knows what a value means; tables do.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::sample::select;
use serde::de::IgnoredAny;

use super::*;

fn columns() -> Vec<(&'static str, DataType)> {
    vec![
        ("s", DataType::Utf8),
        ("i", DataType::Int64),
        ("t", rfc3339()),
        ("f", DataType::Float64),
        ("d", DataType::Decimal128(9, 3)),
        ("b", DataType::Boolean),
    ]
}

/// Values of all kinds, good and bad for any column.
fn value() -> impl Strategy<Value = String> {
    let fixed = select(vec![
        "null",
        "true",
        "false",
        "0",
        "-0",
        "00",
        "1.0",
        "1e3",
        "1.5",
        "-",
        "1e400",
        "[]",
        "[1,{\"s\":\"}\"}]",
        "{\"i\":1}",
        "\"\"",
        "\"a\\n\"",
        "\"\\ud800\"",
        "\"\\u00e9\"",
        "\"ünï\"",
        "\"2023-11-14T22:13:20.5Z\"",
        "\"1.25\"",
        "\"x",
        "nul",
        "\"2023-11-14T25:13:20Z\"",
        "9223372036854775808",
        "123456789012345678",
        "1234567890123456789",
    ]);
    prop_oneof![
        fixed.prop_map(str::to_owned),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("JSON has no others", |number| number.is_finite())
            .prop_map(|number| number.to_string()),
        "[ -~]{0,20}".prop_map(|text| format!("{:?}", text)),
        (0..253_402_300_799_i64)
            .prop_map(|second| format!("\"{}\"", jiff::Timestamp::from_second(second).unwrap())),
    ]
}

/// Records of a few spellings: which fields in which order, and how they are spaced.
fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let names =
        select(vec!["s", "i", "t", "f", "d", "b", "x", "\\u0073", "a name of more than sixteen bytes"]);
    let shape = (vec(names, 0..7), select(vec!["", " ", "\t "]), select(vec!["\n", "\r\n", " \n", "\n\n"]));
    let shapes = vec(shape, 1..6);
    (shapes, vec((any::<prop::sample::Index>(), vec(value(), 7)), 1..40)).prop_map(|(shapes, records)| {
        let render = |(shape, values): &(prop::sample::Index, Vec<String>)| {
            let (names, space, end) = shape.get(&shapes);
            let fields = names.iter().zip(values).map(|(name, value)| format!("\"{name}\":{space}{value}"));
            let fields: Vec<String> = fields.collect();
            format!("{{{}}}{end}", fields.join(&format!(",{space}"))).into_bytes()
        };
        records.iter().map(render).collect()
    })
}

/// Bytes that look like the formats now and then.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        select(vec![
            "{",
            "}",
            "[",
            "]",
            "\"",
            "\\",
            ",",
            ":",
            "\n",
            "\r\n",
            "1",
            "null",
            "\"s\":",
            "{\"s\":\"a\"}\n",
            "a,b\n",
            " "
        ])
        .prop_map(|piece| piece.as_bytes().to_vec()),
        vec(any::<u8>(), 0..4),
    ];
    vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn the_fast_path_gives_what_the_careful_one_gives(lines in lines(), records_max in 1..10_usize) {
        let source = source(&columns(), FormatPlan::Json);
        // A fresh decoder expects no spelling, so it reads its only record carefully.
        let mut careful = Outcome::default();
        for line in &lines {
            let one = decode(&source, line, 8192).unwrap();
            careful.bad.extend(one.bad.into_iter().map(|(index, cause)| (index + careful.records, cause)));
            careful.rows.extend(one.rows);
            careful.records += one.records;
        }

        let text = lines.concat();
        let shown = String::from_utf8_lossy(&text);

        prop_assert_eq!(&decode(&source, &text, 8192).unwrap(), &careful, "{}", shown);
        prop_assert_eq!(&decode(&source, &text, records_max).unwrap(), &careful, "{}", shown);
    }

    #[test]
    fn json_is_what_serde_json_says(lines in vec(noise(), 1..5)) {
        let source = source(&[], FormatPlan::Json);
        for line in lines {
            let line: Vec<u8> = line.into_iter().filter(|byte| *byte != b'\n').collect();
            if line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
                continue;
            }
            let is_object = serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(&line).is_ok();

            let outcome = decode(&source, &line, 1).unwrap();

            prop_assert_eq!(outcome.rows.len() == 1, is_object && std::str::from_utf8(&line).is_ok(), "{:?}", outcome);
        }
    }

    #[test]
    fn noise_never_panics_and_batches_change_nothing(bytes in noise(), records_max in 1..5_usize, cut in 0..200_usize) {
        for format in [FormatPlan::Json, headed(), FormatPlan::Csv { header: false, delimiter: b',', nulls: vec![] }] {
            let source = source(&[("s", DataType::Utf8), ("i", DataType::Int64)], format.clone());
            let Ok(whole) = decode(&source, &bytes, 8192) else { continue };

            prop_assert_eq!(&decode(&source, &bytes, records_max).unwrap(), &whole);
            // In two pieces, the rest of the first in front of the second.
            let mut decoder = maker(&source)();
            let Ok(Begun::At(start)) = decoder.begin(&bytes, true) else { panic!("it began before") };
            let cut = cut.clamp(start, bytes.len().max(start));
            let mut pieces = Outcome::default();
            let first = decoder.decode(&bytes[start..cut], false, 8192);
            pieces.add(&first.rows, first.bad, decoder.spans().len());
            let second = decoder.decode(&bytes[start + first.consumed..], true, 8192);
            pieces.add(&second.rows, second.bad, decoder.spans().len());
            prop_assert_eq!(&pieces, &whole, "{:?}", format);
        }
    }
}
