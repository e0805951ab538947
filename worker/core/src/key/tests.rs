//! Golden vectors of keys, and properties of the encoding.
//!
//! Owns: the bytes and hashes that version 1 promises.
//! Never: changes an expected byte without a new version.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array, Int64Array,
    StringArray, TimestampMicrosecondArray, TimestampMillisecondArray, TimestampSecondArray,
};
use proptest::prelude::*;

use super::*;

fn encode(columns: &[ArrayRef]) -> Keys {
    let types: Vec<DataType> = columns.iter().map(|column| column.data_type().clone()).collect();
    KeyEncoder::new(&types).expect("types that can be keys").encode(columns)
}

fn decode(keys: &Keys, types: &[DataType]) -> Vec<ArrayRef> {
    let encoder = KeyEncoder::new(types).expect("types that can be keys");
    encoder.decode((0..keys.len()).map(|row| keys.get(row)))
}

fn hex(keys: &Keys) -> Vec<String> {
    let hex = |row| keys.get(row).iter().map(|byte| format!("{byte:02x}")).collect();
    (0..keys.len()).map(hex).collect()
}

#[test]
fn the_bytes_of_each_type_are_those_of_version_1() {
    assert_eq!(KEY_ENCODING_VERSION, 1);
    let cases: Vec<(ArrayRef, &[&str])> = vec![
        (Arc::new(StringArray::from(vec![Some("a"), Some(""), Some("é"), None])), &["61", "", "c3a9", "ff"]),
        (
            Arc::new(Int32Array::from(vec![Some(-1), Some(0), Some(i32::MAX), None])),
            &["017fffffff", "0180000000", "01ffffffff", "ff"],
        ),
        (
            Arc::new(Int64Array::from(vec![Some(i64::MIN), Some(1), None])),
            &["010000000000000000", "018000000000000001", "ff"],
        ),
        (
            Arc::new(Float32Array::from(vec![-1.0, -0.0, 0.0, 1.0, f32::NAN, -f32::NAN])),
            &["01407fffff", "0180000000", "0180000000", "01bf800000", "01ffc00000", "01ffc00000"],
        ),
        (
            Arc::new(Float64Array::from(vec![-1.0, -0.0, 1.0, f64::INFINITY, -f64::NAN])),
            &[
                "01400fffffffffffff",
                "018000000000000000",
                "01bff0000000000000",
                "01fff0000000000000",
                "01fff8000000000000",
            ],
        ),
        (Arc::new(BooleanArray::from(vec![Some(false), Some(true), None])), &["0100", "0101", "ff"]),
        (
            Arc::new(Decimal128Array::from(vec![-1, 1]).with_precision_and_scale(10, 2).expect("fits")),
            &["017fffffffffffffffffffffffffffffff", "0180000000000000000000000000000001"],
        ),
        (Arc::new(Date32Array::from(vec![-1, 1])), &["017fffffff", "0180000001"]),
        (Arc::new(TimestampSecondArray::from(vec![1])), &["018000000000000001"]),
        (Arc::new(TimestampMillisecondArray::from(vec![-2])), &["017ffffffffffffffe"]),
        (Arc::new(TimestampMicrosecondArray::from(vec![3]).with_timezone("+00:00")), &["018000000000000003"]),
    ];
    for (column, expected) in cases {
        let keys = encode(std::slice::from_ref(&column));

        assert_eq!(hex(&keys), expected, "{}", column.data_type());
        assert_eq!(decode(&keys, &[column.data_type().clone()])[0].data_type(), column.data_type());
    }
}

#[test]
fn columns_follow_one_another_and_text_before_the_last_has_an_end() {
    let first: ArrayRef = Arc::new(StringArray::from(vec![Some("ab"), Some(""), None]));
    let second: ArrayRef = Arc::new(Int32Array::from(vec![Some(0), None, Some(1)]));
    let third: ArrayRef = Arc::new(StringArray::from(vec![Some("x"), Some(""), None]));
    let columns = [first, second, third];

    let keys = encode(&columns);

    assert_eq!(hex(&keys), ["6162fe018000000078", "feff", "ff0180000001ff"]);
    let types: Vec<DataType> = columns.iter().map(|column| column.data_type().clone()).collect();
    assert_eq!(decode(&keys, &types), columns);
}

#[test]
fn the_hash_is_xxh3_of_the_bytes() {
    let keys = encode(&[Arc::new(StringArray::from(vec!["", "a", "user-00000000042"])) as ArrayRef]);

    let hashes: Vec<String> = keys.hashes.iter().map(|hash| format!("{hash:016x}")).collect();

    assert_eq!(hashes, ["2d06800538d394c2", "e6c632b61e964e1f", "ab1da20862e7f2b1"]);
}

#[test]
fn text_without_nulls_is_not_copied() {
    let text = StringArray::from(vec!["first", "second", "third"]).slice(1, 2);

    let keys = encode(&[Arc::new(text.clone()) as ArrayRef]);

    assert_eq!(keys.bytes.value_data().as_ptr(), text.value_data().as_ptr());
    assert_eq!((keys.get(0), keys.get(1)), (&b"second"[..], &b"third"[..]));
}

#[test]
fn slices_and_selections_keep_bytes_and_hashes_together() {
    let keys = encode(&[Arc::new(StringArray::from(vec!["a", "bb", "", "dddd"])) as ArrayRef]);

    let (slice, selection) = (keys.slice(1, 3), keys.select(&[3, 0, 3]));

    assert_eq!(slice, Keys::new(slice.bytes.clone()));
    assert_eq!(selection, Keys::new(selection.bytes.clone()));
    assert_eq!([selection.get(0), selection.get(1), selection.get(2)], [&b"dddd"[..], b"a", b"dddd"]);
}

#[test]
fn only_types_that_can_be_compared_for_equality_make_a_key() {
    assert_eq!(KeyEncoder::new(&[]).err(), Some(KeyError::NoColumns));
    let refused = KeyEncoder::new(&[DataType::Utf8, DataType::Binary]).err();
    assert_eq!(refused, Some(KeyError::Type(DataType::Binary)));
}

type Row = (Option<String>, Option<i64>, Option<f64>, Option<bool>, Option<String>);

fn columns(rows: &[Row]) -> Vec<ArrayRef> {
    vec![
        Arc::new(rows.iter().map(|row| row.0.clone()).collect::<StringArray>()),
        Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| row.2).collect::<Float64Array>()),
        Arc::new(rows.iter().map(|row| row.3).collect::<BooleanArray>()),
        Arc::new(rows.iter().map(|row| row.4.clone()).collect::<StringArray>()),
    ]
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let text = || prop::option::of(prop_oneof!["[ab]{0,3}", any::<String>()]);
    let float = prop::sample::select(vec![-1.5, 0.0, -0.0, 2.5, f64::INFINITY, f64::MIN]);
    let row = (text(), prop::option::of(-3..3_i64), prop::option::of(float), any::<Option<bool>>(), text());
    prop::collection::vec(row, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn keys_are_equal_exactly_if_their_columns_are(rows in rows()) {
        let keys = encode(&columns(&rows));

        for a in 0..rows.len() {
            for b in 0..rows.len() {
                prop_assert_eq!(keys.get(a) == keys.get(b), rows[a] == rows[b]);
            }
        }
    }

    #[test]
    fn decoding_gives_the_columns_back(rows in rows()) {
        let columns = columns(&rows);
        let types: Vec<DataType> = columns.iter().map(|column| column.data_type().clone()).collect();

        let keys = encode(&columns);

        // Once more: zeros have lost their sign.
        prop_assert_eq!(encode(&decode(&keys, &types)), keys);
        prop_assert_eq!(&decode(&encode(&columns[..2]), &types[..2]), &columns[..2]);
    }

    #[test]
    fn numbers_are_in_the_order_of_their_keys(a in any::<i64>(), b in any::<i64>(), x in any::<f64>(), y in any::<f64>()) {
        let integers = encode(&[Arc::new(Int64Array::from(vec![a, b])) as ArrayRef]);
        let floats = encode(&[Arc::new(Float64Array::from(vec![x, y])) as ArrayRef]);

        prop_assert_eq!(integers.get(0).cmp(integers.get(1)), a.cmp(&b));
        if let Some(order) = x.partial_cmp(&y) {
            prop_assert_eq!(floats.get(0).cmp(floats.get(1)), order);
        }
    }
}
