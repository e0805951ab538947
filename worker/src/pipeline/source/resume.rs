//! Partitions read on from a position.
//!
//! Owns: that reading in two halves is reading at once, and what becomes of files that changed in between.
//! Never: looks inside a reader.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use streamjob_plan::FormatPlan;

use super::tests::{Seen, csv, drain, drain_reader, gzip, json, keys, partitions, source, write};
use super::*;
use crate::pipeline::records::RECORD_BYTES_MAX;

const JSON: &[u8] = b"\xEF\xBB\xBF{\"key\":\"a\",\"n\":1}\r\n\n{ \"n\" : 2 , \"key\" : \"b\" }\n  \nnot json\n{\"key\":\"c\",\"n\":null}\n{\"key\":\"c\",\"n\":3}\nnor this\n\n\n{\"key\":\"d\",\"n\":4}\n\n";
const CSV: &[u8] = b"\xEF\xBB\xBFn,extra,key\r\n1,x,a\r\n2,\"y\r\n\"\"z\"\"\",\"b,c\"\r\n\r\n,,\r\n3,x\n4,,\"\"\nfour,,d\n5,,\"e\ne\"";

fn zstd(content: &[u8]) -> Vec<u8> {
    zstd::encode_all(content, 1).unwrap()
}

/// The position before each record of a partition, and the one behind the last.
fn positions(partition: &Partition) -> Vec<SourcePosition> {
    let mut reader = partition.open().unwrap();
    let mut positions = vec![reader.next_position()];
    while let Read::Rows(_) = reader.read(1).unwrap() {
        positions.push(reader.next_position());
    }
    positions
}

impl Seen {
    /// What of it comes from this record on.
    fn from(&self, record: u64) -> Vec<String> {
        let rows = self.numbers.iter().zip(&self.rows).zip(self.positions.iter().zip(&self.raws));
        let rows = rows.filter(|((number, _), _)| **number >= record).map(|row| format!("{row:?}"));
        let bad = self.bad.iter().filter(|bad| bad.record >= record).map(|bad| format!("{bad:?}"));
        rows.chain(bad).collect()
    }
}

fn reading_on_is_reading_at_once(source: &SourcePlan) {
    let partition = &partitions(source).unwrap()[0];
    let whole = drain(partition, 8192);
    let positions = positions(partition);
    assert_eq!(positions.len(), whole.rows.len() + whole.bad.len() + 1);
    for (record, position) in (0..).zip(&positions) {
        for rows_max in [1, 3, 8192] {
            let rest = drain_reader(partition.open_at(position).unwrap(), rows_max);

            assert_eq!(rest.from(0), whole.from(record), "{} from {position:?}", partition.name());
        }
        let reader = partition.open_at(position).unwrap();
        assert_eq!(reader.progress().rows, record);
        // It may be the next file's beginning, if this one turned out to be read.
        let again = drain_reader(partition.open_at(&reader.next_position()).unwrap(), 8192);
        assert_eq!(again.from(0), whole.from(record));
    }
}

#[test]
fn every_kind_of_file_is_read_on_at_every_record() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content, format) in [("a.jsonl", JSON, FormatPlan::Json), ("a.csv", CSV, csv())] {
        let (front, back) = content.split_at(content.len() / 2);
        let files = [
            write(folder.path(), name, content),
            write(folder.path(), &format!("{name}.gz"), &[gzip(front), gzip(back)].concat()),
            write(folder.path(), &format!("{name}.zst"), &[zstd(front), zstd(back)].concat()),
        ];
        for file in files {
            reading_on_is_reading_at_once(&source(&[file], false, format.clone()));
        }
    }
}

#[test]
fn several_files_of_one_partition_are_read_on_at_every_record() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        write(folder.path(), "a.csv", b"key,n\na,1\nb,2\n"),
        write(folder.path(), "b.csv", b""),
        write(folder.path(), "c.csv.gz", &gzip(CSV)),
        write(folder.path(), "d.csv", b"key,n\n"),
        write(folder.path(), "e.csv.zst", &zstd(b"n,key\n7,g\nx,h\n8,i")),
    ];

    reading_on_is_reading_at_once(&source(&files, true, csv()));
}

#[test]
fn a_long_file_is_read_on_wherever_a_batch_ended() {
    let folder = tempfile::tempdir().unwrap();
    let text: String = (0..30_000).map(|n| json(&"key".repeat(n as usize % 40), n)).collect();
    let files = [
        write(folder.path(), "a.jsonl", text.as_bytes()),
        write(folder.path(), "b.jsonl.gz", &gzip(text.as_bytes())),
        write(folder.path(), "c.jsonl.zst", &zstd(text.as_bytes())),
    ];
    for partition in partitions(&source(&files, false, FormatPlan::Json)).unwrap() {
        let whole = drain(&partition, 8192);
        let mut reader = partition.open().unwrap();
        while let Read::Rows(_) = reader.read(9_001).unwrap() {
            let rest = drain_reader(partition.open_at(&reader.next_position()).unwrap(), 8192);

            assert_eq!(rest.from(0), whole.from(reader.progress().rows));
        }
        let size = partition.state().files[0].bytes;
        let end = partition.open_at(&reader.next_position()).unwrap();
        assert_eq!((reader.progress().bytes, end.progress().bytes), (size, size));
    }
}

#[test]
fn a_record_that_is_too_long_is_read_on_before_and_behind() {
    let folder = tempfile::tempdir().unwrap();
    let long = json(&"x".repeat(RECORD_BYTES_MAX), 2);
    let text = format!("{}{long}{}", json("a", 1), json("b", 3));
    let file = write(folder.path(), "a.jsonl", text.as_bytes());
    let partition = &partitions(&source(&[file], false, FormatPlan::Json)).unwrap()[0];
    let whole = drain(partition, 8192);

    let rests = positions(partition)
        .into_iter()
        .map(|position| drain_reader(partition.open_at(&position).unwrap(), 8192))
        .collect::<Vec<_>>();

    assert_eq!((rests.len(), whole.bad.len()), (4, 1));
    for (record, rest) in (0..).zip(&rests) {
        assert_eq!(rest.from(0), whole.from(record));
    }
}

/// A job over three files that has read the first, half of the second and nothing of the third.
struct Begun {
    folder: tempfile::TempDir,
    source: SourcePlan,
    states: Vec<PartitionState>,
}

impl Begun {
    fn new(one_partition: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let content =
            |name: &str| format!("{}{}", json(&format!("{name}1"), 1), json(&format!("{name}2"), 2));
        for name in ["a", "b", "c"] {
            write(folder.path(), name, content(name).as_bytes());
        }
        let source = source(&[folder.path().join("*")], one_partition, FormatPlan::Json);
        let partitions = partitions(&source).unwrap();
        let reads: &[usize] = if one_partition { &[3] } else { &[3, 1, 0] };
        let states = partitions.iter().zip(reads).map(|(partition, reads)| {
            let mut reader = partition.open().unwrap();
            for _ in 0..*reads {
                reader.read(1).unwrap();
            }
            PartitionState { position: reader.next_position(), ..partition.state() }
        });
        Self { states: states.collect(), source, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn reopen(&self) -> Result<Vec<Partition>, SourceError> {
        reopen(&self.source, super::tests::with(&self.source), &self.states)
    }

    fn keys(&self) -> Vec<String> {
        let partitions = self.reopen().unwrap();
        let seen = partitions.iter().map(|partition| drain(partition, 10));
        seen.flat_map(|seen| keys(&seen).into_iter().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    fn error(&self) -> String {
        let error = self.reopen().err().unwrap().to_string();
        error.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

#[test]
fn a_checkpoints_partitions_are_opened_where_it_says() {
    for one_partition in [false, true] {
        let begun = Begun::new(one_partition);

        let states: Vec<_> = begun.reopen().unwrap().iter().map(Partition::state).collect();

        assert_eq!(states, begun.states);
        assert_eq!(begun.keys(), ["b2", "c1", "c2"]);
    }
}

#[test]
fn a_finished_file_may_be_gone_or_changed() {
    for one_partition in [false, true] {
        let begun = Begun::new(one_partition);

        std::fs::write(begun.path("a"), "other").unwrap();
        let changed = begun.keys();
        std::fs::remove_file(begun.path("a")).unwrap();
        let gone = begun.keys();

        assert_eq!((changed, gone), (begun.keys(), vec!["b2".into(), "c1".into(), "c2".into()]));
    }
}

#[test]
fn all_files_of_a_finished_job_may_be_gone() {
    let mut begun = Begun::new(true);
    begun.states[0].position = SourcePosition::File { file: 3, byte: 0, line: 1, record: 6 };
    for name in ["a", "b", "c"] {
        std::fs::remove_file(begun.path(name)).unwrap();
    }

    assert_eq!(begun.keys(), [""; 0]);
}

#[test]
fn an_unfinished_file_that_is_gone_is_an_error() {
    for (one_partition, name) in [(false, "b"), (true, "b"), (false, "c"), (true, "c")] {
        let begun = Begun::new(one_partition);
        std::fs::remove_file(begun.path(name)).unwrap();

        let expected = "is gone, and the job had not finished it; put it back, or begin anew with `--fresh --discard-state`";
        assert_eq!(begun.error(), format!("{name} {expected}"));
    }
}

#[test]
fn an_unfinished_file_that_changed_is_an_error_with_old_and_new() {
    let begun = Begun::new(false);

    let mut content = std::fs::read(begun.path("c")).unwrap();
    content[9] = b'x';
    std::fs::write(begun.path("c"), &content).unwrap();
    let other = begun.error();
    content.extend_from_slice(b"{}\n");
    std::fs::write(begun.path("c"), &content).unwrap();
    let longer = begun.error();

    let ends = begun.states[2].files[0].ends;
    assert!(other.starts_with(&format!(
        "c has changed since the job began: its ends had hash {ends}, now they have "
    )));
    let expected = "c has changed since the job began: it had 38 bytes, now it has 41; put the old file back, or begin anew with `--fresh --discard-state`";
    assert_eq!(longer, expected);
}

#[test]
fn files_that_came_later_are_not_read() {
    for one_partition in [false, true] {
        let begun = Begun::new(one_partition);

        write(begun.folder.path(), "aa", json("new", 1).as_bytes());

        assert_eq!(begun.keys(), ["b2", "c1", "c2"]);
    }
}

#[test]
fn a_file_that_ends_before_the_position_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let files = [write(folder.path(), "a", JSON), write(folder.path(), "b.gz", &gzip(JSON))];
    for partition in partitions(&source(&files, false, FormatPlan::Json)).unwrap() {
        let length = JSON.len() as u64;
        let at = |byte| partition.open_at(&SourcePosition::File { file: 0, byte, line: 9, record: 8 });

        let error = at(length + 1).err().unwrap().to_string();

        assert!(at(length).is_ok());
        let expected = format!("ends before byte {} of its content, where the job had read to", length + 1);
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn positions_of_another_kind_of_source_are_refused() {
    let mut begun = Begun::new(true);
    let row = SourcePosition::Row { row: 1, started_ms: 1 };
    let beyond = SourcePosition::File { file: 4, byte: 0, line: 1, record: 0 };
    let wrong = [(row, "a is not a file"), (beyond, "a has no file number 4")];
    for (position, cause) in wrong {
        begun.states[0].position = position;

        let expected = format!(
            "the state's partitions do not fit `spec.pipeline.source`: {cause}; put the old manifest back"
        );
        assert_eq!(begun.error(), expected);
    }
}

#[test]
fn a_file_is_known_by_its_length_and_both_its_ends() {
    let folder = tempfile::tempdir().unwrap();
    let identity = |content: &[u8]| files::identity(Path::new(&write(folder.path(), "a", content))).unwrap();
    for length in [0, 1, 4095, 4096, 4097, 8192, 20_000] {
        let content = vec![b'x'; length];
        let whole = identity(&content);

        assert_eq!(whole, identity(&content));
        assert_eq!(whole.bytes, length as u64);
        assert_ne!(whole, identity(&vec![b'x'; length + 1]));
        for changed in [0, length.saturating_sub(1), length.min(4095), length.saturating_sub(4096)] {
            let mut content = content.clone();
            if let Some(byte) = content.get_mut(changed) {
                *byte = b'y';
                assert_ne!(whole, identity(&content), "{length} {changed}");
            }
        }
    }
}
