//! Windows merged from made-up blocks, and files of each format.
//!
//! Owns: that what is exported equals what would fire.
//! Never: opens a job's state.

use std::fs;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Decimal128Array, Int64Array, RecordBatch, StringArray, UInt16Array};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use streamjob_checkpoint::bundle::StateRows;
use streamjob_checkpoint::checkpoint::{Block, BlockKind};
use streamjob_checkpoint::ids::{Groups, Hash};
use streamjob_core::key::KeyEncoder;
use streamjob_core::key_group::key_group;
use streamjob_crds::StreamJob;
use streamjob_plan::Plan;

use super::merge::{MergeError, Merger};
use super::output::{Output, format};
use crate::cli::args::ExportFormat;

fn plan() -> Plan {
    let job = StreamJob::parse(crate::cli::tests::MANIFEST, "job.yaml").expect("a valid manifest");
    streamjob_plan::compile(&job, std::path::Path::new("/jobs")).expect("a manifest that compiles")
}

fn block(groups: Groups) -> Block {
    Block {
        object: "data/1-1/1.state.arrow".to_owned(),
        offset: 0,
        bytes: 0,
        hash: Hash(0),
        keys: 0,
        input_rows: 0,
        kind: BlockKind::Delta,
        groups,
    }
}

/// A batch of counts, as it is stored.
fn states(rows: &[(&str, i64)]) -> StateRows {
    let keys: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|(key, _)| key)));
    let encoder = KeyEncoder::new(&[DataType::Utf8]).expect("text is a key");
    let hashes = encoder.encode(&[Arc::clone(&keys)]).hashes;
    let counts: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, count)| *count)));
    StateRows {
        groups: UInt16Array::from_iter_values(hashes.into_iter().map(|hash| key_group(hash).0)),
        keys: vec![keys],
        states: vec![counts],
    }
}

fn merged(merger: &Merger, blocks: &[(Groups, StateRows)]) -> RecordBatch {
    let mut window = merger.window(10_000).expect("a valid window");
    for (groups, batch) in blocks {
        window.add(&block(*groups), batch).expect("a block with the right columns");
    }
    let mut rows = Vec::new();
    window
        .rows(|batch| {
            rows.push(batch.clone());
            Ok::<_, MergeError>(())
        })
        .expect("no row is refused");
    concat_batches(merger.schema(), &rows).expect("batches of one schema")
}

fn counts(rows: &RecordBatch) -> Vec<(String, i64)> {
    let counts = rows.column_by_name("clicks").expect("the aggregate").as_primitive::<Int64Type>();
    let keys = rows.column_by_name("page").expect("the key").as_string::<i32>();
    let mut found: Vec<_> = keys
        .iter()
        .map(|key| key.expect("no null key").to_owned())
        .zip(counts.values().iter().copied())
        .collect();
    found.sort();
    found
}

#[test]
fn a_key_that_is_in_several_blocks_is_their_merge() {
    let merger = Merger::new(&plan()).expect("a plan with windows");

    let rows = merged(
        &merger,
        &[(Groups::ALL, states(&[("a", 1), ("b", 2)])), (Groups::ALL, states(&[("b", 40), ("c", 3)]))],
    );

    assert_eq!(counts(&rows), [("a", 1), ("b", 42), ("c", 3)].map(|(key, n)| (key.to_owned(), n)));
    let starts = rows.column_by_name("window_start").expect("a column of results");
    assert!(starts.as_primitive::<Int64Type>().values().iter().all(|&start| start == 0));
}

#[test]
fn key_groups_that_do_not_count_are_left_out() {
    let merger = Merger::new(&plan()).expect("a plan with windows");
    let batch = states(&[("a", 1), ("b", 2), ("c", 3)]);
    let only_b =
        Groups { first: u32::from(batch.groups.value(1)), end: u32::from(batch.groups.value(1)) + 1 };

    let rows = merged(&merger, &[(only_b, batch)]);

    assert_eq!(counts(&rows), [("b".to_owned(), 2)]);
}

#[test]
fn a_block_of_another_manifest_is_refused_by_name() {
    let merger = Merger::new(&plan()).expect("a plan with windows");
    let mut foreign = states(&[("a", 1)]);
    foreign.states = vec![Arc::new(Decimal128Array::from_iter_values([1]))];

    let refused = merger.window(10_000).expect("a valid window").add(&block(Groups::ALL), &foreign);

    let message = refused.expect_err("it has no such column").to_string();
    assert!(
        message.starts_with("data/1-1/1.state.arrow: has no column `clicks.count` of type Int64"),
        "{message}"
    );
}

#[test]
fn each_format_holds_the_rows_and_a_file_appears_whole() {
    let merger = Merger::new(&plan()).expect("a plan with windows");
    let rows = merged(&merger, &[(Groups::ALL, states(&[("a", 7)]))]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str| {
        let path = folder.path().join(name);
        let format = format(None, Some(&path));
        let mut output = Output::open(merger.schema(), format, Some(&path)).expect("opened");
        output.write(&rows).expect("written");
        assert!(!path.exists(), "{name} appears when it is whole");
        output.finish().expect("finished");
        path
    };

    let json = fs::read_to_string(write("state.jsonl")).expect("written");
    let csv = fs::read_to_string(write("state.csv")).expect("written");
    let parquet = fs::File::open(write("state.parquet")).expect("written");

    assert_eq!(json, "{\"page\":\"a\",\"window_start\":0,\"window_end\":10000,\"clicks\":7}\n");
    assert_eq!(csv, "page,window_start,window_end,clicks\na,0,10000,7\n");
    let mut reader =
        ParquetRecordBatchReaderBuilder::try_new(parquet).and_then(|reader| reader.build()).expect("Parquet");
    assert_eq!(reader.next().expect("one batch").expect("readable").columns(), rows.columns());
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 3);
}

#[test]
fn an_output_that_is_given_up_leaves_nothing_behind() {
    let merger = Merger::new(&plan()).expect("a plan with windows");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("state.csv");

    drop(Output::open(merger.schema(), ExportFormat::Csv, Some(&path)).expect("opened"));

    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}
