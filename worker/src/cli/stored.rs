//! The commands on a state that is there.
//!
//! Owns: a small state, made with the means of the checkpoint crate: epochs 0 and 1, one window with three keys.
//! Never: runs a job.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field};
use streamjob_checkpoint::bundle::{About, NewBlock, StateWriter, state_batch, state_name, state_schema};
use streamjob_checkpoint::checkpoint::*;
use streamjob_checkpoint::ids::*;
use streamjob_checkpoint::log::Log;
use streamjob_checkpoint::protocol::{BeginAt, Claimant, Commit, Start, StartRequest};
use streamjob_checkpoint::savepoint as copies;
use streamjob_checkpoint::store::StateStore;
use streamjob_core::key::KeyEncoder;
use streamjob_core::key_group::key_group;
use streamjob_plan::Plan;
use tempfile::TempDir;
use uuid::Uuid;

use super::args::{
    CheckpointsCommand, ExportArgs, ListArgs, RestorePoint, RunArgs, SavepointCommand, ShowArgs,
    StateCommand, VerifyCheckpointsArgs, VerifySavepointsArgs,
};
use super::begin::begin_at;
use super::tests::MANIFEST;
use super::*;

const WINDOW_END_MS: i64 = 1_767_225_610_000;

struct Job {
    folder: TempDir,
    manifest: PathBuf,
    plan: Plan,
    object: PathBuf,
}

impl Job {
    fn new() -> Self {
        let mut job = Self::without_state();
        let store = StateStore::local(&job.state()).expect("a folder can be made");
        let name = state::reader().expect("a runtime").block_on(write(&store, &job.plan));
        job.object = job.state().join(name);
        job
    }

    fn without_state() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let manifest = folder.path().join("job.yaml");
        fs::write(&manifest, MANIFEST).expect("written");
        let plan = manifest::compile(&manifest).expect("a valid manifest");
        Self { folder, manifest, plan, object: PathBuf::new() }
    }

    fn state(&self) -> PathBuf {
        self.plan.state.location.folder().expect("a folder of this machine").to_owned()
    }

    fn checkpoints(&self, command: &CheckpointsCommand) -> (Exit, String, String) {
        self.said(|out, err| checkpoints::checkpoints(command, out, err))
    }

    fn savepoint(&self, command: &SavepointCommand) -> (Exit, String, String) {
        self.said(|out, err| savepoint::savepoint(command, out, err))
    }

    fn said(&self, run: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>) -> Exit) -> (Exit, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let exit = run(&mut out, &mut err);
        let text = |bytes| {
            let text = String::from_utf8(bytes).expect("UTF-8");
            text.replace(&self.folder.path().display().to_string(), "")
        };
        (exit, text(out), text(err))
    }

    fn list(&self, json: bool) -> CheckpointsCommand {
        CheckpointsCommand::List(ListArgs { manifest: self.manifest.clone(), json })
    }

    fn verify(&self) -> CheckpointsCommand {
        let manifest = self.manifest.clone();
        CheckpointsCommand::Verify(VerifyCheckpointsArgs { manifest, epoch: None, json: false })
    }

    fn begin(&self, arguments: &[&str]) -> Result<BeginAt, String> {
        begin_at(&self.run_args(arguments), &self.plan).map_err(|error| with_causes(&error))
    }

    fn run_args(&self, arguments: &[&str]) -> RunArgs {
        let manifest = self.manifest.to_str().expect("UTF-8");
        let line = ["streamjob", "run", manifest].into_iter().chain(arguments.iter().copied());
        match Args::try_parse_from(line).expect("a valid command line").command {
            Command::Run(args) => args,
            Command::Worker(_)
            | Command::Validate(_)
            | Command::Explain(_)
            | Command::Checkpoints(_)
            | Command::Savepoint(_)
            | Command::State(_)
            | Command::Completions(_) => unreachable!("the line says run"),
        }
    }

    fn export(&self, from: Option<&str>) -> String {
        let output = self.folder.path().join("state.csv");
        let from = from.map(|named| named.parse::<RestorePoint>().expect("anything is a name"));
        let args =
            ExportArgs { manifest: self.manifest.clone(), from, format: None, output: Some(output.clone()) };
        let (exit, _, err) = self.said(|_, err| export::state(&StateCommand::Export(args), err));
        assert_eq!((exit, err.as_str()), (Exit::Done, ""));
        fs::read_to_string(output).expect("written")
    }

    /// A savepoint of the newest checkpoint; its folder.
    fn take_savepoint(&self, id: &str) -> PathBuf {
        let state = state::JobState::open(&self.manifest).expect("there is state");
        let record = state.checkpoint(None).expect("a checkpoint").record.expect("in a record");
        let store = StateStore::local(&self.state()).expect("the folder is there");
        state.wait(copies::take(&store, id, 0, &record)).expect("taken");
        self.state().join("savepoints").join(id)
    }

    /// Everything in the folder, with what it holds.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        collect(self.folder.path(), &mut found);
        found
    }
}

fn collect(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.insert(path.clone(), Vec::new());
            collect(&path, found);
        } else {
            found.insert(path.clone(), fs::read(&path).expect("readable"));
        }
    }
}

/// Epoch 0, then epoch 1 with a window; the name of its object.
async fn write(store: &StateStore, plan: &Plan) -> String {
    let log = Log::new(store.clone());
    let begun = match log.begin(&start(plan)).await.expect("a new log") {
        Start::Begun(begun) => *begun,
        Start::Finished(_) => unreachable!("nothing has run"),
    };
    let mut permit = begun.permit;
    let first = empty(plan);
    log.commit(&mut permit, Commit::Epoch(Box::new(first.clone()))).await.expect("epoch 0");
    let about = About {
        lineage: begun.lineage,
        job: plan.job.clone(),
        generation: permit.generation(),
        epoch: Epoch(1),
    };
    let name = state_name(permit.generation(), Epoch(1), 0, Uuid::from_u128(1));
    let schema = state_schema(
        &[Field::new("page", DataType::Utf8, true)],
        &[Field::new("clicks.count", DataType::Int64, true)],
        &about,
    );
    let mut rows = ["a", "b", "c"].map(|key| (group_of(key), key));
    rows.sort_unstable();
    let keys: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|(_, key)| key)));
    let counts: ArrayRef =
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, key)| i64::from(key.as_bytes()[0]))));
    let groups = rows.iter().map(|(group, _)| *group).collect();
    let batch = state_batch(&schema, WINDOW_END_MS, groups, vec![keys], vec![counts]).expect("of the schema");
    let mut writer = StateWriter::new(store.writer(&name), schema).expect("a writer");
    let new = NewBlock { kind: BlockKind::Delta, groups: Groups::ALL, input_rows: 294 };
    let block = writer.write_block(new, [batch].into_iter()).await.expect("written").expect("not empty");
    let object = writer.finish().await.expect("durable").expect("not empty");
    let share = Share { groups: Groups::ALL, input_rows: 294, emitted: Emitted::Nothing };
    let second = Checkpoint {
        epoch: Epoch(1),
        slices: vec![SliceState { end_ms: WINDOW_END_MS, shares: vec![share], blocks: vec![block] }],
        objects: vec![object],
        counters: Counters { rows_in: 300, ..Counters::default() },
        ..first
    };
    log.commit(&mut permit, Commit::Epoch(Box::new(second))).await.expect("epoch 1");
    name
}

fn empty(plan: &Plan) -> Checkpoint {
    Checkpoint {
        epoch: Epoch(0),
        parallelism: 1,
        fingerprint: plan.fingerprint(),
        spec_hash: Hash(0),
        partitions: Vec::new(),
        operators: vec![OperatorState { groups: Groups::ALL, watermark_ms: None, behind: Vec::new() }],
        slices: Vec::new(),
        outbox: Vec::new(),
        objects: Vec::new(),
        counters: Counters::default(),
    }
}

fn start(plan: &Plan) -> StartRequest {
    StartRequest {
        owner: crate::runtime::owner(plan),
        take_over: None,
        sink: BTreeMap::new(),
        fingerprint: plan.fingerprint(),
        claimant: Claimant::Next,
        begin: BeginAt::Latest,
        floor: None,
        published: None,
        writer: WriterId(1),
        lineage: Lineage(2),
        now_ms: 0,
    }
}

fn group_of(key: &str) -> u16 {
    let encoder = KeyEncoder::new(&[DataType::Utf8]).expect("text is a key");
    let column: ArrayRef = Arc::new(StringArray::from_iter_values([key]));
    key_group(encoder.encode(&[column]).hashes[0]).0
}

#[test]
fn checkpoints_are_listed_and_shown_and_nothing_is_touched() {
    let job = Job::new();
    let before = job.files();

    let (exit, list, err) = job.checkpoints(&job.list(false));
    let (_, json, _) = job.checkpoints(&job.list(true));
    let show = CheckpointsCommand::Show(ShowArgs { manifest: job.manifest.clone(), epoch: None, json: true });
    let (_, shown, _) = job.checkpoints(&show);

    assert_eq!((exit, err.as_str()), (Exit::Done, ""));
    assert!(list.starts_with("clicks: not running; run again, it goes on from epoch 1\n"), "{list}");
    assert_eq!(list.lines().count(), 5, "{list}");
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["checkpoints"][1]["epoch"], 1);
    assert_eq!(json["checkpoints"][1]["states"], 3);
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["record"]["body"]["epoch"]["checkpoint"]["counters"]["rowsIn"], 300);
    assert_eq!(job.files(), before);
}

#[test]
fn of_a_state_that_is_named_nothing_is_said_of_running() {
    let job = Job::new();
    let list = |folder| CheckpointsCommand::List(ListArgs { manifest: folder, json: false });

    let (_, listed, _) = job.checkpoints(&list(job.state()));
    let (exit, _, err) = job.checkpoints(&list(job.folder.path().to_owned()));

    assert!(listed.starts_with("clicks: last written ") && !listed.contains("running"), "{listed}");
    assert_eq!(exit, Exit::Failed);
    assert!(err.contains("of a job on a cluster `<namespace>.<name>`"), "{err}");
}

#[test]
fn the_windows_of_a_checkpoint_are_exported() {
    let job = Job::new();

    let newest = job.export(None);
    let first = job.export(Some("0"));

    let mut rows: Vec<_> = newest.lines().collect();
    rows.sort_unstable();
    let expected = [
        "a,1767225600000,1767225610000,97",
        "b,1767225600000,1767225610000,98",
        "c,1767225600000,1767225610000,99",
        "page,window_start,window_end,clicks",
    ];
    assert_eq!(rows, expected);
    assert_eq!(first, "page,window_start,window_end,clicks\n");
}

#[test]
fn a_damaged_object_is_named_with_what_to_do() {
    let job = Job::new();
    let (whole, said, _) = job.checkpoints(&job.verify());
    let mut bytes = fs::read(&job.object).expect("there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&job.object, bytes).expect("written");

    let (exit, out, err) = job.checkpoints(&job.verify());

    assert_eq!((whole, said.lines().count()), (Exit::Done, 3), "{said}");
    assert_eq!((exit, err.as_str()), (Exit::Failed, ""));
    assert!(out.contains("epoch 1  damaged"), "{out}");
    assert!(out.contains("damaged: data/1-1/1-0-"), "{out}");
    assert!(out.contains("streamjob run MANIFEST --from 0"), "{out}");
}

#[test]
fn a_record_that_cannot_be_read_is_named() {
    let job = Job::new();
    let newest = job.state().join("log/00000000000000000003.json");
    let text = fs::read_to_string(&newest).expect("there");
    fs::write(&newest, text.replace("300", "301")).expect("written");

    let (exit, out, _) = job.checkpoints(&job.verify());
    let (listed, _, why) = job.checkpoints(&job.list(false));

    assert_eq!((exit, listed), (Exit::Failed, Exit::Failed));
    assert!(out.contains("damaged: log/00000000000000000003.json: "), "{out}");
    assert!(why.contains("log/00000000000000000003.json"), "{why}");
}

#[test]
fn a_run_goes_back_to_a_checkpoint_that_is_there() {
    let job = Job::new();

    let first = job.begin(&["--from", "0"]).expect("it is there");
    let missing = job.begin(&["--from", "9"]).expect_err("it is not there");

    let BeginAt::From { request, checkpoint } = first else { panic!("{first:?}") };
    assert_eq!((request.from.as_str(), checkpoint.epoch), ("epoch 0", Epoch(0)));
    assert!(missing.starts_with("clicks has no checkpoint 9: "), "{missing}");
    assert!(missing.ends_with("there are 0, 1"), "{missing}");
    assert_eq!(job.begin(&[]), Ok(BeginAt::Latest));
}

#[test]
fn a_fresh_start_says_what_it_would_lose() {
    let (job, new) = (Job::new(), Job::without_state());

    let refused = job.begin(&["--fresh"]).expect_err("there is state");

    assert!(refused.starts_with("clicks has state, which --fresh would give up: epoch 1 of "), "{refused}");
    assert!(refused.contains("300 rows read, 1 open windows"), "{refused}");
    let discarded = job.begin(&["--fresh", "--discard-state"]);
    assert_eq!(discarded, Ok(BeginAt::Nothing { discard: true, request: None }));
    assert_eq!(new.begin(&["--fresh"]), Ok(BeginAt::Nothing { discard: false, request: None }));
    assert_eq!(new.files().len(), 1);
}

#[test]
fn a_manifest_that_state_does_not_fit_is_told_before_anything_is_done() {
    let mut job = Job::new();
    fs::write(&job.manifest, MANIFEST.replace("size: 10s", "size: 20s")).expect("written");
    job.plan = manifest::compile(&job.manifest).expect("a valid manifest");

    let refused = job.begin(&["--from", "1"]).expect_err("another window");

    let expected =
        "spec.pipeline.window.tumbling.size has changed since epoch 1 was written: it was `10s` and is `20s`";
    assert!(refused.starts_with(expected), "{refused}");
}

#[test]
fn a_savepoint_is_listed_verified_exported_and_gone_back_to() {
    let job = Job::new();
    let folder = job.take_savepoint("before");
    let manifest = job.manifest.clone();

    let (_, list, _) =
        job.savepoint(&SavepointCommand::List(ListArgs { manifest: manifest.clone(), json: false }));
    let verify = VerifySavepointsArgs { manifest, savepoint: None, json: false };
    let (verified, _, _) = job.savepoint(&SavepointCommand::Verify(verify));
    let rows = job.export(Some("before"));
    let begin = job.begin(&["--from", "before"]).expect("it is there");

    assert!(list.starts_with("clicks: savepoints in /.streamjob/clicks/savepoints\n"), "{list}");
    assert!(list.contains("\nbefore "), "{list}");
    assert_eq!((verified, rows.lines().count()), (Exit::Done, 4));
    let BeginAt::From { checkpoint, .. } = begin else { panic!("{begin:?}") };
    assert!(checkpoint.objects[0].name.starts_with("data/2-1/"), "{:?}", checkpoint.objects);
    assert!(job.state().join(&checkpoint.objects[0].name).exists());
    // It does not depend on the state that it was taken of.
    fs::rename(&folder, job.folder.path().join("elsewhere")).expect("moved");
    fs::remove_dir_all(job.state()).expect("removed");
    let named = job.folder.path().join("elsewhere").display().to_string();
    let moved = job.begin(&["--from", &named]).expect("it is there");
    assert!(matches!(moved, BeginAt::From { .. }));
}

#[test]
fn a_savepoint_that_is_not_there_is_told_with_those_that_are() {
    let job = Job::new();
    job.take_savepoint("before");

    let missing = job.begin(&["--from", "after"]).expect_err("it is not there");

    assert!(missing.starts_with("there is no savepoint after: "), "{missing}");
    assert!(missing.ends_with("there are before"), "{missing}");
}
