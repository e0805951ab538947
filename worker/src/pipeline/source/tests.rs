//! Sources read as the runtime reads them.
//!
//! Owns: files of all kinds, globs, positions.
//! Never: looks inside a reader.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use streamjob_plan::{BadRecordsPlan, FilesPlan, FormatPlan, SourceKind, SourcePlan};

use super::*;
use crate::pipeline::clock::SystemClock;
use crate::pipeline::decode;

fn csv() -> FormatPlan {
    FormatPlan::Csv { header: true, delimiter: b',', nulls: vec![String::new()] }
}

fn source(patterns: &[PathBuf], one_partition: bool, format: FormatPlan) -> SourcePlan {
    let fields = vec![Field::new("key", DataType::Utf8, true), Field::new("n", DataType::Int64, true)];
    let files = FilesPlan {
        patterns: patterns.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
        one_partition,
        format,
        declared: vec!["key".to_owned(), "n".to_owned()],
    };
    SourcePlan {
        kind: SourceKind::Files(files),
        schema: Arc::new(Schema::new(fields)),
        bad_records: BadRecordsPlan::Skip,
    }
}

fn partitions(source: &SourcePlan) -> Result<Vec<Partition>, SourceError> {
    open(source, Arc::new(SystemClock::new()), decode::maker(source))
}

/// All that a partition gives.
#[derive(Debug, Default)]
struct Seen {
    rows: Vec<(Option<String>, Option<i64>)>,
    numbers: Vec<u64>,
    positions: Vec<Position>,
    raws: Vec<String>,
    bad: Vec<BadRecord>,
    bytes: u64,
}

fn drain(partition: &Partition, rows_max: usize) -> Seen {
    let mut reader = partition.open().unwrap();
    let mut seen = Seen::default();
    loop {
        match reader.read(rows_max).unwrap() {
            Read::Rows(batch) => {
                assert!(batch.rows.num_rows() + batch.bad.len() <= rows_max);
                seen.note(&batch, reader.as_ref());
            }
            Read::Wait(_) => panic!("files never wait"),
            Read::End => return seen,
        }
    }
}

impl Seen {
    fn note(&mut self, batch: &DecodedRows, reader: &dyn PartitionReader) {
        let keys = batch.rows.column(0).as_string::<i32>().iter().map(|key| key.map(str::to_owned));
        let values = batch.rows.column(1).as_primitive::<Int64Type>().iter();
        self.rows.extend(keys.zip(values));
        for row in 0..u32::try_from(batch.rows.num_rows()).unwrap() {
            self.numbers.push(batch.number(row));
            self.positions.push(reader.position(row));
            self.raws.push(String::from_utf8_lossy(reader.raw(row)).into_owned());
        }
        self.bad.extend(batch.bad.iter().cloned());
        self.bytes += batch.bytes;
    }
}

fn write(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn json_lines_of_all_spellings_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let content = b"\xEF\xBB\xBF{\"key\":\"a\",\"n\":1}\r\n\n{ \"n\" : 2 , \"key\" : \"b\" }\n  \nnot json\n{\"key\":\"c\",\"n\":null}\n{\"key\":\"c\",\"n\":3}\n{\"key\":\"d\",\"n\":4}";
    let path = write(folder.path(), "a.jsonl", content);
    for rows_max in [1, 2, 7, 8192] {
        let seen = drain(
            &partitions(&source(std::slice::from_ref(&path), false, FormatPlan::Json)).unwrap()[0],
            rows_max,
        );

        let rows: Vec<_> = seen.rows.iter().map(|(key, n)| (key.as_deref().unwrap(), *n)).collect();
        assert_eq!(rows, [("a", Some(1)), ("b", Some(2)), ("c", None), ("c", Some(3)), ("d", Some(4))]);
        assert_eq!(seen.numbers, [0, 1, 3, 4, 5]);
        let lines: Vec<u64> = seen.positions.iter().map(|position| position.line).collect();
        assert_eq!(lines, [1, 3, 6, 7, 8]);
        assert_eq!(seen.positions[0].byte, 3);
        assert_eq!(seen.raws[1], "{ \"n\" : 2 , \"key\" : \"b\" }");
        assert_eq!(seen.bad.len(), 1);
        assert_eq!((seen.bad[0].record, seen.bad[0].line), (2, 5));
        assert_eq!(seen.bad[0].raw, b"not json");
        assert_eq!(seen.bad[0].cause, "not valid JSON at byte 0: expected a value");
    }
}

#[test]
fn csv_with_quotes_and_any_column_order_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let content = b"n,extra,key\r\n1,x,a\r\n2,\"y\r\n\"\"z\"\"\",\"b,c\"\r\n\r\n,,\r\n3,x\n4,,\"\"\nfour,,d";
    let path = write(folder.path(), "a.csv", content);
    for rows_max in [1, 2, 7, 8192] {
        let seen =
            drain(&partitions(&source(std::slice::from_ref(&path), false, csv())).unwrap()[0], rows_max);

        let rows: Vec<_> = seen.rows.iter().map(|(key, n)| (key.as_deref(), *n)).collect();
        assert_eq!(rows, [(Some("a"), Some(1)), (Some("b,c"), Some(2)), (None, None), (Some(""), Some(4))]);
        let lines: Vec<u64> = seen.positions.iter().map(|position| position.line).collect();
        assert_eq!(lines, [2, 3, 6, 8]);
        let bad: Vec<_> = seen.bad.iter().map(|bad| (bad.record, bad.line, bad.cause.as_str())).collect();
        assert_eq!(
            bad,
            [(3, 7, "expected 3 fields, found 2"), (5, 9, "column `n`: expected Int64, found `four`")]
        );
    }
}
