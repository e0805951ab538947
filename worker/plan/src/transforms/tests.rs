//! Tests of transforms on batches.
//!
//! Owns: orders of steps, failing rows, origins.
//! Never: checks what SQL means.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use proptest::prelude::*;

use crate::{Cause, Plan, Rejected, Transformed, compile};

/// A row of the source: a line of words, a number, a divisor.
type Row = (Option<&'static str>, Option<i64>, Option<i64>);

fn plan(transforms: &str, field: &str) -> Plan {
    let text = format!(
        "
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: test}}
spec:
  parallelism: 1
  pipeline:
    source:
      files: {{urls: [in.jsonl]}}
      format: {{json: {{}}}}
      columns: [{{name: line, type: String}}, {{name: n, type: Int64}}, {{name: d, type: Int64}}]
    eventTime: {{field: n}}
    transforms: {transforms}
    keyBy: [{field}]
    window: {{tumbling: {{size: 1s}}}}
    aggregates: [{{name: sum, function: Sum, field: n}}]
    sink: {{blackhole: {{}}}}
"
    );
    let job = serde_yaml::from_str(&text).expect("the manifest of a test parses");
    compile(&job, Path::new("/jobs")).unwrap_or_else(|errors| panic!("{errors}"))
}

fn batch(plan: &Plan, rows: &[Row]) -> RecordBatch {
    let column = |name: &str| -> ArrayRef {
        match name {
            "line" => Arc::new(rows.iter().map(|row| row.0).collect::<StringArray>()),
            "n" => Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>()),
            _d => Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>()),
        }
    };
    let schema = Arc::clone(&plan.source.schema);
    let columns = schema.fields().iter().map(|field| column(field.name())).collect();
    RecordBatch::try_new(schema, columns).expect("the columns have the types of the schema")
}

fn apply(plan: &Plan, rows: &[Row]) -> (Transformed, Vec<Rejected>) {
    let mut rejected = Vec::new();
    let transformed = plan.transforms.apply(&batch(plan, rows), &mut rejected);
    (transformed, rejected)
}

fn numbers(transformed: &Transformed, name: &str) -> Vec<Option<i64>> {
    let column = transformed.rows.column_by_name(name).expect("the column is used");
    column.as_primitive::<Int64Type>().iter().collect()
}

fn texts(transformed: &Transformed, name: &str) -> Vec<Option<String>> {
    let column = transformed.rows.column_by_name(name).expect("the column is used");
    column.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect()
}

fn origins(transformed: &Transformed) -> Vec<u32> {
    let same = || (0..transformed.rows.num_rows() as u32).collect();
    transformed.origin.clone().unwrap_or_else(same)
}

/// What the three steps mean, row by row: keep n > 1, n + 1, a row for each word.
fn naive(order: &str, rows: &[Row]) -> Vec<(u32, String, i64)> {
    let mut now: Vec<(u32, Option<String>, Option<i64>)> =
        rows.iter().zip(0..).map(|(row, i)| (i, row.0.map(str::to_owned), row.1)).collect();
    for step in order.chars() {
        now = match step {
            'w' => now.into_iter().filter(|row| row.2.is_some_and(|n| n > 1)).collect(),
            's' => now.into_iter().map(|(i, line, n)| (i, line, n.map(|n| n + 1))).collect(),
            _f => now
                .into_iter()
                .flat_map(|(i, line, n)| {
                    let words: Vec<String> =
                        line.iter().flat_map(|line| line.split(' ')).map(str::to_owned).collect();
                    words.into_iter().map(move |word| (i, Some(word), n))
                })
                .collect(),
        };
    }
    now.into_iter().map(|(i, line, n)| (i, line.unwrap_or_default(), n.unwrap_or(i64::MIN))).collect()
}

#[test]
fn steps_are_applied_in_the_order_written_whatever_it_is() {
    let rows: [Row; 5] = [
        (Some("a b"), Some(1), None),
        (Some("c"), Some(2), None),
        (None, Some(3), None),
        (Some("d e f"), Some(4), None),
        (Some("g"), None, None),
    ];
    for order in ["wsf", "wfs", "swf", "sfw", "fws", "fsw", "w", "s", "f", "ww", "fw"] {
        let steps = order.chars().map(|step| match step {
            'w' => "{where: n > 1}",
            's' => "{select: [{name: line, expr: line}, {name: n, expr: n + 1}]}",
            _f => "{flatMap: {column: line, expr: \"string_to_array(line, ' ')\"}}",
        });
        let plan = plan(&format!("[{}]", steps.collect::<Vec<_>>().join(", ")), "line");

        let (transformed, rejected) = apply(&plan, &rows);

        let lines = texts(&transformed, "line").into_iter().map(Option::unwrap_or_default);
        let sums = numbers(&transformed, "n").into_iter().map(|n| n.unwrap_or(i64::MIN));
        let found: Vec<_> =
            origins(&transformed).into_iter().zip(lines).zip(sums).map(|((i, l), n)| (i, l, n)).collect();
        assert_eq!(found, naive(order, &rows), "{order}");
        assert_eq!(rejected, []);
    }
}

#[test]
fn without_steps_the_batch_itself_comes_out() {
    let plan = plan("[]", "line");
    let rows = batch(&plan, &[(Some("a"), Some(1), None)]);

    let transformed = plan.transforms.apply(&rows, &mut Vec::new());

    assert!(plan.transforms.is_identity());
    assert_eq!(transformed.origin, None);
    assert!(
        rows.columns()
            .iter()
            .zip(transformed.rows.columns())
            .all(|(before, after)| Arc::ptr_eq(before, after))
    );
}

#[test]
fn a_row_that_fails_is_rejected_and_its_batch_goes_on() {
    let plan = plan("[{where: 10 / d >= 2}]", "line");
    let row = |d| (Some("x"), Some(1), d);

    let (transformed, rejected) =
        apply(&plan, &[row(Some(1)), row(Some(0)), row(None), row(Some(5)), row(Some(9)), row(Some(0))]);

    let cause = || Cause::plain("`10 / d >= 2`: division by zero");
    assert_eq!(rejected, [Rejected { row: 1, cause: cause() }, Rejected { row: 5, cause: cause() }]);
    assert_eq!(origins(&transformed), [0, 3]);
}

#[test]
fn what_is_told_of_a_row_that_fails_without_quoting_it_names_the_expression() {
    let plan = plan("[{where: CAST(line AS BIGINT) > 0}]", "line");

    let (_, rejected) = apply(&plan, &[(Some("canary"), Some(1), Some(1))]);

    let cause = &rejected[0].cause;
    assert!(cause.full().contains("canary"), "{cause}");
    let told = "`CAST(line AS BIGINT) > 0`: a value cannot be converted to the type";
    assert_eq!(cause.without_values(), told);
}

#[test]
fn a_row_without_event_time_is_left_out_and_evaluated_by_nothing() {
    let plan = plan("[{where: 10 / d >= 2}]", "line");
    let rows = batch(&plan, &[(Some("x"), None, Some(0)), (Some("y"), Some(1), Some(1))]);
    let mut rejected = vec![Rejected { row: 0, cause: Cause::plain("event time `n` is null") }];

    let transformed = plan.transforms.apply(&rows, &mut rejected);

    assert_eq!(rejected.len(), 1);
    assert_eq!(texts(&transformed, "line"), [Some("y".to_owned())]);
    assert_eq!(transformed.origin, Some(vec![1]));
}

#[test]
fn null_and_empty_lists_make_no_row() {
    let plan = plan(
        "[{flatMap: {column: word, expr: \"CASE WHEN n = 1 THEN [] WHEN n = 2 THEN NULL ELSE string_to_array(line, ' ') END\"}}]",
        "word",
    );

    let (transformed, _) = apply(
        &plan,
        &[
            (Some("a b"), Some(1), None),
            (Some("c d"), Some(2), None),
            (Some("e f"), Some(3), None),
            (None, Some(3), None),
        ],
    );

    assert_eq!(texts(&transformed, "word"), [Some("e".to_owned()), Some("f".to_owned())]);
    assert_eq!(transformed.origin, Some(vec![2, 2]));
}

#[test]
fn lists_of_every_layout_are_taken_apart() {
    for expr in [
        "make_array(n, d)",
        "arrow_cast(make_array(n, d), 'LargeList(Int64)')",
        "arrow_cast(make_array(n, d), 'FixedSizeList(2, Int64)')",
    ] {
        let plan =
            plan(&format!("[{{where: 'n <> 5'}}, {{flatMap: {{column: n, expr: \"{expr}\"}}}}]"), "line");

        let (transformed, _) =
            apply(&plan, &[(None, Some(1), Some(2)), (None, Some(5), Some(6)), (None, Some(3), None)]);

        assert_eq!(numbers(&transformed, "n"), [Some(1), Some(2), Some(3), None], "{expr}");
        assert_eq!(transformed.origin, Some(vec![0, 0, 2, 2]), "{expr}");
    }
}

#[test]
fn the_longest_chain_of_operators_fits_any_stack() {
    let plan = plan(&format!("[{{where: {} > 0}}]", vec!["d"; 200].join(" + ")), "line");

    let (transformed, _) = apply(&plan, &[(None, Some(1), Some(1)), (None, Some(1), Some(-1))]);

    assert_eq!(transformed.origin, Some(vec![0]));
}

#[test]
fn a_row_is_used_whole_or_not_at_all() {
    let plan = plan("[{flatMap: {column: d, expr: 'make_array(1, d)'}}, {where: '10 / d > 0'}]", "line");

    let (transformed, rejected) = apply(&plan, &[(None, Some(1), Some(0)), (None, Some(2), Some(5))]);

    assert_eq!(rejected.iter().map(|rejected| rejected.row).collect::<Vec<_>>(), [0]);
    assert_eq!(transformed.origin, Some(vec![1, 1]));
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let line =
        prop::sample::select(vec![None, Some("a"), Some("a b"), Some("b c d"), Some("7"), Some("x 7")]);
    let number = || prop::option::of(-2i64..4);
    prop::collection::vec((line, number(), number()), 0..40)
}

proptest! {
    // PROPTEST_CASES is 256 where nobody sets it.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases * 40 / 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn results_do_not_depend_on_where_a_batch_ends(rows in rows(), cuts in prop::collection::vec(0usize..40, 0..6)) {
        let steps = [
            "[{where: 'd IS NULL OR 6 / d <> 3 AND n / d >= 0'}, {flatMap: {column: line, expr: \"string_to_array(line, ' ')\"}}, \
              {select: [{name: line, expr: line}, {name: n, expr: 'coalesce(n, CASE WHEN d > 0 THEN CAST(line AS BIGINT) END)'}]}, \
              {where: 'n IS NULL OR 4 / (n - 1) < 5'}]",
            "[{select: [{name: line, expr: line}, {name: n, expr: 'n / d'}]}]",
        ];
        for steps in steps {
            let plan = plan(steps, "line");
            let (whole, rejected) = apply(&plan, &rows);

            let mut cuts = cuts.clone();
            cuts.retain(|cut| *cut <= rows.len());
            cuts.extend([0, rows.len()]);
            cuts.sort_unstable();
            let mut parts = Vec::new();
            let mut origin = Vec::new();
            let mut rejected_in_parts = Vec::new();
            for cut in cuts.windows(2) {
                let (part, mut bad) = apply(&plan, &rows[cut[0]..cut[1]]);
                origin.extend(origins(&part).into_iter().map(|row| row + cut[0] as u32));
                bad.iter_mut().for_each(|bad| bad.row += cut[0] as u32);
                rejected_in_parts.extend(bad);
                parts.push(part.rows);
            }

            prop_assert_eq!(concat_batches(plan.transforms.output(), &parts).expect("same layout"), whole.rows.clone());
            prop_assert_eq!(origin, origins(&whole));
            prop_assert_eq!(rejected_in_parts, rejected);
        }
    }
}
