//! What files, standard output and nowhere do with rows.
//!
//! Owns: crash points, foreign folders, full disks.
//! Never: looks into a sink; only at what it leaves behind.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use streamjob_checkpoint::outbox::Output;
use streamjob_plan::FormatPlan;
use tempfile::TempDir;

use super::stdout::LinesSink;
use super::*;

const RUN: &str = "0123456789abcdef0123456789abcdef";
const OTHER_RUN: &str = "fedcba9876543210fedcba9876543210";

fn rows(numbers: impl IntoIterator<Item = i64>) -> RecordBatch {
    let numbers: Int64Array = numbers.into_iter().map(Some).collect();
    RecordBatch::try_from_iter([("n", Arc::new(numbers) as ArrayRef)]).expect("one column")
}

/// Chunks that a sink has handed on.
#[derive(Clone, Default)]
struct Chunks(Arc<Mutex<Vec<Chunk>>>);

impl Outbox for Chunks {
    fn push(&mut self, chunk: Chunk) {
        self.0.lock().expect("one thread").push(chunk);
    }
}

impl Chunks {
    fn take(&self) -> Vec<Chunk> {
        std::mem::take(&mut self.0.lock().expect("one thread"))
    }
}

fn chunk(target: Target, rows: u64, text: &str) -> Chunk {
    Chunk { target, output: Output::Text { rows, bytes: text.to_owned().into() } }
}

fn sink(format: &FormatPlan) -> (OutboxSink, Chunks) {
    let chunks = Chunks::default();
    let encoder = Encoder::new(&rows([]).schema(), format).expect("numbers can be written");
    (OutboxSink::new(Target::Results, encoder, Box::new(chunks.clone())), chunks)
}

fn csv() -> FormatPlan {
    FormatPlan::Csv { header: true, delimiter: b',', nulls: vec![String::new()] }
}

fn claimed() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    claim_folder(folder.path(), RUN, &[]).expect("an empty folder can be claimed");
    folder
}

fn publisher(folder: &Path, format: &FormatPlan) -> FilePublisher {
    let folder = Folder { path: folder.to_owned(), extension: extension(format) };
    let targets = [Target::Results, Target::DeadLetters].map(|target| (target, folder.clone()));
    FilePublisher::new(targets.into(), "w1".to_owned())
}

fn write(publication: &mut Publication<'_>, slot: u32, chunks: &[Chunk]) -> Result<(), SinkError> {
    chunks.iter().try_for_each(|chunk| {
        let Output::Text { rows, bytes } = &chunk.output else { panic!("files hold text") };
        publication.write(chunk.target, slot, *rows, bytes)
    })
}

/// Publishes these chunks of a slot as an epoch, without its manifest.
fn publish(publisher: &FilePublisher, epoch: u64, slot: u32, chunks: &[Chunk]) -> Vec<PublishedFile> {
    let mut publication = publisher.begin(RUN.to_owned(), epoch);
    write(&mut publication, slot, chunks).expect("written");
    publication.finish().expect("published").into_iter().map(|(_, file)| file).collect()
}

/// All files of a folder with their text.
fn files(folder: &Path) -> BTreeMap<String, String> {
    fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("a file").path())
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(path).expect("text"))
        })
        .collect()
}

fn names(folder: &Path) -> Vec<String> {
    files(folder).into_keys().collect()
}

#[test]
fn an_epoch_with_rows_becomes_one_whole_file_and_a_manifest() {
    let folder = claimed();
    let (mut sink, chunks) = sink(&csv());
    let publisher = publisher(folder.path(), &csv());

    sink.write(&rows([1, 2])).expect("written");
    sink.write(&rows([3])).expect("written");
    sink.on_barrier();
    let mut publication = publisher.begin(RUN.to_owned(), 7);
    write(&mut publication, 3, &chunks.take()).expect("written");
    let hidden = names(folder.path());
    let published = publication.finish().expect("published").remove(0).1;
    write_epoch_manifest(folder.path(), RUN, 7, std::slice::from_ref(&published)).expect("written");

    assert!(!hidden.is_empty() && hidden.iter().all(|name| name.starts_with('.')), "{hidden:?}");
    let name = format!("{RUN}-7-3.csv");
    assert_eq!(published, PublishedFile { name: name.clone(), rows: 3, bytes: 8 });
    let files = files(folder.path());
    assert_eq!(files.keys().collect::<Vec<_>>(), [&name, "_epoch-7.json"]);
    assert_eq!(files[&name], "n\n1\n2\n3\n");
    let manifest: serde_json::Value = serde_json::from_str(&files["_epoch-7.json"]).expect("JSON");
    let expected = serde_json::json!({
        "run": RUN, "epoch": 7, "rows": 3, "files": [{"name": name, "rows": 3, "bytes": 8}],
    });
    assert_eq!(manifest, expected);
}

#[test]
fn an_epoch_without_rows_leaves_no_file() {
    let folder = claimed();
    let (mut sink, chunks) = sink(&csv());

    sink.write(&rows([])).expect("nothing to write");
    sink.on_barrier();
    write_epoch_manifest(folder.path(), RUN, 1, &[]).expect("nothing to write");

    assert!(chunks.take().is_empty());
    assert!(names(folder.path()).is_empty());
}

#[test]
fn rows_after_a_barrier_belong_to_the_next_epoch() {
    let (mut sink, chunks) = sink(&csv());

    sink.write(&rows([1])).expect("written");
    sink.on_barrier();
    let first = chunks.take();
    sink.write(&rows([2])).expect("written");
    sink.on_barrier();
    let second = chunks.take();

    let text = |text: &str| vec![chunk(Target::Results, 1, text)];
    assert_eq!((first, second), (text("n\n1\n"), text("n\n2\n")));
}

#[test]
fn a_publication_dropped_before_its_end_leaves_nothing() {
    let folder = claimed();
    let publisher = publisher(folder.path(), &FormatPlan::Json);
    let mut publication = publisher.begin(RUN.to_owned(), 1);
    publication.write(Target::Results, 0, 1, b"{}\n").expect("written");
    let before = names(folder.path()).len();

    drop(publication);

    assert_eq!((before, names(folder.path())), (1, Vec::new()));
}

#[test]
fn publishing_again_changes_nothing() {
    let folder = claimed();
    let publisher = publisher(folder.path(), &FormatPlan::Json);
    let chunks = [chunk(Target::Results, 1, "{\"n\":1}\n")];
    let first = publish(&publisher, 1, 0, &chunks);
    write_epoch_manifest(folder.path(), RUN, 1, &first).expect("written");
    let before = files(folder.path());

    let again = publish(&publisher, 1, 0, &chunks);
    write_epoch_manifest(folder.path(), RUN, 1, &again).expect("written");

    assert_eq!((again, files(folder.path())), (first, before));
}

#[test]
fn many_rows_travel_in_chunks_and_become_one_file() {
    let folder = claimed();
    let (mut sink, chunks) = sink(&FormatPlan::Json);

    for batch in 0..20 {
        sink.write(&rows(batch * 5_000..(batch + 1) * 5_000)).expect("written");
    }
    sink.on_barrier();
    let chunks = chunks.take();
    let published = publish(&publisher(folder.path(), &FormatPlan::Json), 1, 0, &chunks).remove(0);

    let text = &files(folder.path())[&published.name];
    let expected: String = (0..100_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    assert!(chunks.len() > 2 && *text == expected, "the rows are complete and in order");
    assert_eq!((published.rows, published.bytes), (100_000, expected.len() as u64));
}

#[test]
fn a_folder_with_output_of_another_run_is_refused_and_left_as_it_is() {
    let foreign = [
        format!("{OTHER_RUN}-1-0.jsonl"),
        format!("{OTHER_RUN}-1-0.csv"),
        "_epoch-1.json".to_owned(),
        format!(".{OTHER_RUN}-w0-0-0.part"),
        "notes.csv".to_owned(),
    ];
    for file in foreign {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join(&file), "{}").expect("written");

        let error =
            claim_folder(folder.path(), RUN, &[]).expect_err("the folder is another run's").to_string();

        let expected = format!(
            "output folder {} holds `{file}`, which this run did not write: empty the folder or choose another `url`",
            folder.path().display()
        );
        assert_eq!(error, expected);
        assert_eq!(names(folder.path()), [file]);
    }
}

#[test]
fn claiming_again_removes_what_was_left_unfinished_and_nothing_else() {
    let folder = claimed();
    let chunks = [chunk(Target::Results, 1, "{\"n\":1}\n")];
    let published = publish(&publisher(folder.path(), &FormatPlan::Json), 1, 0, &chunks);
    write_epoch_manifest(folder.path(), RUN, 1, &published).expect("written");
    fs::write(folder.path().join(format!(".{RUN}-w0-2-0.part")), "{\"n\"").expect("written");
    fs::write(folder.path().join(".gitkeep"), "").expect("written");

    claim_folder(folder.path(), RUN, &[]).expect("the folder is ours");

    let expected = [".gitkeep".to_owned(), format!("{RUN}-1-0.jsonl"), "_epoch-1.json".to_owned()];
    assert_eq!(names(folder.path()), expected);
}

#[test]
fn a_file_where_the_folder_should_be_is_refused_with_a_remedy() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let path = parent.path().join("out");
    fs::write(&path, "").expect("written");

    let errors = [path.clone(), path.join("below")]
        .map(|folder| claim_folder(&folder, RUN, &[]).expect_err("not a folder").to_string());

    for error in errors {
        assert!(error.starts_with(&format!("cannot create folder {}", path.display())), "{error}");
        assert!(error.ends_with("must be a folder: move the file away or choose another `url`"), "{error}");
    }
}

/// A file system of 64 KiB, or `None` where tests may not mount one.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "streamjob-test"])
            .arg(folder.path())
            .output();
        let mounted = mounted.is_ok_and(|output| output.status.success());
        if !mounted {
            eprintln!("not checked: mounting a tmpfs needs root");
        }
        mounted.then_some(Self(folder))
    }

    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = std::process::Command::new("umount").arg(self.0.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "the test's tmpfs can be unmounted");
    }
}

#[test]
fn a_full_disk_is_reported_and_leaves_no_partial_file() {
    let Some(disk) = SmallDisk::mount("size=64k") else { return };
    claim_folder(&disk.path(), RUN, &[]).expect("an empty folder can be claimed");
    let path = disk.path();
    let publisher = publisher(&path, &FormatPlan::Json);
    let mut publication = publisher.begin(RUN.to_owned(), 1);

    let written = (0..100).try_for_each(|_| publication.write(Target::Results, 0, 1, &[b'x'; 5_000]));
    let error = written.expect_err("64 KiB are not enough").to_string();
    drop(publication);

    assert!(error.contains("cannot write ") && error.contains("No space left on device"), "{error}");
    assert!(error.ends_with("free some space there, or choose another `url` and run again"), "{error}");
    assert!(names(&disk.path()).is_empty());
}

#[test]
fn a_read_only_folder_is_refused_before_the_first_row() {
    let Some(disk) = SmallDisk::mount("size=64k,ro") else { return };

    let error = claim_folder(&disk.path(), RUN, &[]).expect_err("nothing can be written there").to_string();

    assert!(error.contains("cannot create ") && error.contains("Read-only file system"), "{error}");
    assert!(error.ends_with("make the folder writable or choose another `url`, then run again"), "{error}");
}

#[test]
fn dead_letters_hold_the_raw_bytes_in_base64() {
    let chunks = Chunks::default();
    let mut sink = open_dead_letters(None, Box::new(chunks.clone()));
    let file =
        DeadLetter { raw: b"\xff{", cause: "not UTF-8", source: "a.jsonl", position: 4, line: Some(5) };
    let generated =
        DeadLetter { raw: b"", cause: "event time is null", source: "generator-0", line: None, ..file };

    sink.write(&dead_letter_rows(&[file, generated])).expect("written");
    sink.on_barrier();

    let expected = "{\"raw\":\"/3s=\",\"cause\":\"not UTF-8\",\"source\":\"a.jsonl\",\"position\":4,\"line\":5}\n\
        {\"raw\":\"\",\"cause\":\"event time is null\",\"source\":\"generator-0\",\"position\":4,\"line\":null}\n";
    let expected = chunk(Target::DeadLetters, 2, expected);
    assert_eq!(chunks.take(), [expected]);
}

/// A pipe that remembers each write and closes after some of them.
struct Pipe {
    writes: Vec<Vec<u8>>,
    room: usize,
}

impl Write for &mut Pipe {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if self.writes.len() == self.room {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.writes.push(text.to_vec());
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn each_batch_is_printed_at_once_in_whole_lines() {
    let mut pipe = Pipe { writes: Vec::new(), room: 1_000 };
    let encoder = Encoder::new(&rows([]).schema(), &csv()).expect("numbers");
    let mut sink = LinesSink::new(encoder, &mut pipe, 0).expect("the header is printed");

    sink.write(&rows([1, 2])).expect("printed");
    sink.write(&rows(0..50_000)).expect("printed");
    sink.on_barrier();
    drop(sink);

    assert_eq!(pipe.writes[..2], [b"n\n".to_vec(), b"1\n2\n".to_vec()]);
    assert!(pipe.writes.len() > 3 && pipe.writes.iter().all(|write| write.ends_with(b"\n")));
}

#[test]
fn a_reader_that_goes_away_is_a_reason_to_stop_and_no_fault() {
    let mut pipe = Pipe { writes: Vec::new(), room: 1 };
    let encoder = Encoder::new(&rows([]).schema(), &FormatPlan::Json).expect("numbers");
    let mut sink = LinesSink::new(encoder, &mut pipe, 1).expect("opened");
    sink.write(&rows([1])).expect("printed");

    let error = sink.write(&rows([2])).expect_err("the pipe is closed");

    assert!(error.is_clean_stop());
    assert_eq!(error.to_string(), "standard output was closed by its reader");
}
