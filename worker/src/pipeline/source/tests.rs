//! Sources read as the runtime reads them.
//!
//! Owns: files of all kinds, globs, positions.
//! Never: looks inside a reader.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use streamjob_plan::{BadRecordsPlan, FilesPlan, FormatPlan, SourceKind, SourcePlan};

use super::*;
use crate::pipeline::clock::SystemClock;
use crate::pipeline::decode;

pub(super) fn csv() -> FormatPlan {
    FormatPlan::Csv { header: true, delimiter: b',', nulls: vec![String::new()] }
}

pub(super) fn source(patterns: &[PathBuf], one_partition: bool, format: FormatPlan) -> SourcePlan {
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

pub(super) fn with(source: &SourcePlan) -> With {
    let outage = Arc::new(Outage::of("the source"));
    With { clock: Arc::new(SystemClock::new()), decoder: decode::maker(source), outage }
}

pub(super) fn partitions(source: &SourcePlan) -> Result<Vec<Partition>, SourceError> {
    open(source, with(source))
}

/// All that a partition gives.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) rows: Vec<(Option<String>, Option<i64>)>,
    pub(super) numbers: Vec<u64>,
    pub(super) positions: Vec<Position>,
    pub(super) raws: Vec<String>,
    pub(super) bad: Vec<BadRecord>,
    bytes: u64,
}

pub(super) fn drain(partition: &Partition, rows_max: usize) -> Seen {
    drain_reader(partition.open().unwrap(), rows_max)
}

pub(super) fn drain_reader(mut reader: Box<dyn PartitionReader>, rows_max: usize) -> Seen {
    let mut seen = Seen::default();
    loop {
        match reader.read(rows_max).unwrap() {
            Read::Rows(batch) => {
                assert!(batch.rows.num_rows() + batch.bad.len() <= rows_max);
                seen.note(&batch, reader.as_ref());
            }
            Read::Wait(_) | Read::Stalled(_) => panic!("files never wait"),
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

pub(super) fn write(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
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
        assert_eq!(seen.bad[0].cause.full(), "not valid JSON at byte 0: expected a value");
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
        let bad: Vec<_> = seen.bad.iter().map(|bad| (bad.record, bad.line, bad.cause.full())).collect();
        assert_eq!(
            bad,
            [(3, 7, "expected 3 fields, found 2"), (5, 9, "column `n`: expected Int64, found `four`")]
        );
    }
}

pub(super) fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn json(key: &str, n: i64) -> String {
    format!("{{\"key\":\"{key}\",\"n\":{n}}}\n")
}

pub(super) fn keys(seen: &Seen) -> Vec<&str> {
    seen.rows.iter().map(|(key, _)| key.as_deref().unwrap()).collect()
}

#[test]
fn gzip_of_several_members_and_zstd_of_several_frames_are_read() {
    let folder = tempfile::tempdir().unwrap();
    // The members part in the middle of a record.
    let text: String = (0..20_000).map(|n| json(&format!("key-{n}"), n)).collect();
    let (front, back) = text.as_bytes().split_at(text.len() / 2 + 7);
    let zstd = |content| zstd::encode_all(content, 1).unwrap();
    let files = [
        write(folder.path(), "a.jsonl", text.as_bytes()),
        write(folder.path(), "b.jsonl.gz", &[gzip(front), gzip(back)].concat()),
        write(folder.path(), "c.jsonl.zst", &[zstd(front), zstd(back)].concat()),
        write(folder.path(), "d.jsonl", &gzip(text.as_bytes())),
    ];

    let all = partitions(&source(&files, false, FormatPlan::Json)).unwrap();

    let plain = drain(&all[0], 8192);
    assert_eq!(plain.rows.len(), 20_000);
    assert_eq!(plain.bytes, text.len() as u64);
    for partition in &all[1..] {
        let seen = drain(partition, 8192);
        assert_eq!(seen.rows, plain.rows, "{}", partition.name());
        assert_eq!(seen.bytes, plain.bytes);
    }
}

#[test]
fn progress_counts_compressed_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let text: String = (0..50_000).map(|n| json("k", n)).collect();
    let path = write(folder.path(), "a.gz", &gzip(text.as_bytes()));
    let size = std::fs::metadata(&path).unwrap().len();
    let mut reader = partitions(&source(&[path], false, FormatPlan::Json)).unwrap()[0].open().unwrap();

    let mut shares = Vec::new();
    while let Read::Rows(_) = reader.read(8192).unwrap() {
        let progress = reader.progress();
        assert_eq!(progress.bytes_total, Some(size));
        shares.push(progress.bytes);
    }

    assert!(shares[0] < size && shares.is_sorted(), "{shares:?} of {size}");
    assert_eq!(
        reader.progress(),
        Progress { bytes: size, bytes_total: Some(size), rows: 50_000, rows_total: None }
    );
}

#[test]
fn broken_compression_is_an_error_that_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let packed = gzip(json("a", 1).repeat(10_000).as_bytes());
    let cut = write(folder.path(), "cut.gz", &packed[..packed.len() - 10]);
    let plain = write(folder.path(), "plain.gz", b"{}\n");

    let mut reader = partitions(&source(&[cut], false, FormatPlan::Json)).unwrap()[0].open();
    let read = loop {
        match reader.as_mut().map(|reader| reader.read(8192)) {
            Ok(Ok(Read::Rows(_))) => {}
            Ok(Ok(Read::Wait(_) | Read::Stalled(_) | Read::End)) => panic!("the file is cut"),
            Ok(Err(error)) => break error,
            Err(_) => break reader.err().unwrap(),
        }
    };
    let opened = partitions(&source(&[plain], false, FormatPlan::Json)).unwrap()[0].open().err().unwrap();

    assert!(matches!(&read, SourceError::Read { path, .. } if path.ends_with("cut.gz")), "{read}");
    assert!(opened.to_string().ends_with("plain.gz is not gzip data; rename it if it is not compressed"));
}

#[test]
fn patterns_match_files_once_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["b-1", "a-2", "a-10", "a[1]"] {
        write(folder.path(), name, json(name, 1).as_bytes());
    }
    std::fs::create_dir(folder.path().join("a-folder")).unwrap();
    let patterns = [folder.path().join("a-*"), folder.path().join("*-1*"), folder.path().join("a[1]")];

    let apart = partitions(&source(&patterns, false, FormatPlan::Json)).unwrap();
    let together = partitions(&source(&patterns, true, FormatPlan::Json)).unwrap();

    let names: Vec<_> =
        apart.iter().map(|partition| drain(partition, 10).positions[0].file.to_string()).collect();
    let expected = ["a-10", "a-2", "a[1]", "b-1"];
    assert!(names.iter().zip(expected).all(|(name, expected)| name.ends_with(expected)), "{names:?}");
    assert_eq!((apart.len(), together.len()), (4, 1));
    let seen = drain(&together[0], 10);
    assert_eq!(keys(&seen), expected);
    assert_eq!(seen.numbers, [0, 1, 2, 3]);
    assert!(seen.positions.iter().all(|position| (position.line, position.byte) == (1, 0)));
}

#[test]
fn a_pattern_without_files_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.csv", b"key,n\n");
    for name in ["*.jsonl", "missing.csv", "**/x*"] {
        let patterns = [folder.path().join("*.csv"), folder.path().join(name)];

        let error = partitions(&source(&patterns, false, csv())).err().unwrap();

        assert_eq!(
            error.to_string(),
            format!("no file matches {}; check `source.files.urls`", patterns[1].display())
        );
    }
}

#[test]
fn a_folder_in_place_of_files_is_an_error_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("in")).unwrap();
    for name in ["in", "i*"] {
        let pattern = folder.path().join(name);

        let error = partitions(&source(std::slice::from_ref(&pattern), false, csv())).err().unwrap();

        let pattern = pattern.display();
        let expected =
            format!("{pattern} names a folder, not files; write `{pattern}/*` in `source.files.urls`");
        assert!(error.to_string().starts_with(&expected), "{error}");
    }
}

#[test]
fn each_csv_file_has_its_own_header() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        write(folder.path(), "a.csv", b"key,n\na,1\n"),
        write(folder.path(), "b.csv", b""),
        write(folder.path(), "c.csv", b"\xEF\xBB\xBFn,x,key\n2,,b\n"),
        write(folder.path(), "d.csv", b"key,m\nc,3\n"),
    ];
    let together = partitions(&source(&files, true, csv())).unwrap();

    let seen = drain(&partitions(&source(&files[..3], true, csv())).unwrap()[0], 10);
    let mut reader = together[0].open().unwrap();
    let error = (0..4).find_map(|_| reader.read(10).err()).unwrap();

    assert_eq!(seen.rows, [(Some("a".to_owned()), Some(1)), (Some("b".to_owned()), Some(2))]);
    let expected = "d.csv: the header has no column `n`; its columns are `key`, `m`";
    assert!(error.to_string().ends_with(expected), "{error}");
}

#[test]
fn a_record_of_100_mb_is_one_bad_record() {
    let folder = tempfile::tempdir().unwrap();
    let big = "x".repeat(100_000_000);
    let text = format!("{}{{\"key\":\"{big}\",\"n\":2}}\n{}", json("a", 1), json("b", 3));
    let packed = zstd::encode_all(text.as_bytes(), 1).unwrap();
    let table = format!("key,n\na,1\n\"{big}\n\",2\nb,3\n");
    let packed_table = zstd::encode_all(table.as_bytes(), 1).unwrap();
    let files = [write(folder.path(), "a.zst", &packed), write(folder.path(), "b.zst", &packed_table)];
    for (file, format, lines) in [(0, FormatPlan::Json, [2, 3]), (1, csv(), [3, 5])] {
        let seen = drain(&partitions(&source(&files[file..=file], false, format)).unwrap()[0], 100);

        assert_eq!(keys(&seen), ["a", "b"]);
        assert_eq!(seen.numbers, [0, 2]);
        assert_eq!((seen.bad.len(), seen.bad[0].line, seen.positions[1].line), (1, lines[0], lines[1]));
        assert_eq!(seen.bad[0].cause.full(), "the record is longer than 16 MiB");
        assert_eq!(seen.bad[0].raw.len(), 64 * 1024);
    }
}

#[test]
fn a_record_of_16_mib_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let key = "y".repeat(crate::pipeline::records::RECORD_BYTES_MAX - json("", 1).len());
    let text = [json("a", 1), json(&key, 1), json(&format!("{key}z"), 1), json("b", 1)].concat();
    let path = write(folder.path(), "a.jsonl", text.as_bytes());

    let seen = drain(&partitions(&source(&[path], false, FormatPlan::Json)).unwrap()[0], 100);

    assert_eq!(seen.numbers, [0, 1, 3]);
    assert_eq!(seen.rows[1].0.as_ref().map(String::len), Some(key.len()));
}
