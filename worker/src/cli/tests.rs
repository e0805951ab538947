//! The commands that do not run a job, called as the program calls them.
//!
//! Owns: what they print and how they end.
//! Never: starts a process.

use std::fs;

use clap::CommandFactory;
use clap::error::ErrorKind;
use streamjob_checkpoint::ids::Epoch;

use super::args::{CheckpointsCommand, RestorePoint};
use super::*;

pub(super) const MANIFEST: &str = "\
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: clicks}
spec:
  parallelism: 2
  pipeline:
    source:
      files: {urls: [\"clicks.jsonl\"]}
      format: {json: {}}
      columns: [{name: page, type: String}, {name: value, type: Int64}, {name: ts, type: TimestampMillis}]
    transforms: [{where: \"value > 0\"}]
    eventTime: {field: ts, maxOutOfOrderness: 1s}
    keyBy: [page]
    window: {tumbling: {size: 10s}}
    aggregates: [{name: clicks, function: Count}]
    sink: {stdout: {}}
";

fn parse(line: &str) -> Result<Command, ErrorKind> {
    Args::try_parse_from(line.split(' ')).map(|args| args.command).map_err(|error| error.kind())
}

fn validate(manifests: &[&str]) -> (Exit, String, String) {
    validate_for(manifests, false)
}

fn validate_for(manifests: &[&str], cluster: bool) -> (Exit, String, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let paths: Vec<_> = manifests
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let path = folder.path().join(format!("{index}.yaml"));
            fs::write(&path, text).expect("written");
            path
        })
        .collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = args::ValidateArgs { manifests: paths, cluster };
    let exit = validate::validate(&args, &mut out, &mut err);
    let text = |bytes| {
        String::from_utf8(bytes).expect("UTF-8").replace(&format!("{}/", folder.path().display()), "")
    };
    (exit, text(out), text(err))
}

#[test]
fn the_command_line_is_consistent() {
    Args::command().debug_assert();
}

#[test]
fn every_command_has_examples_and_the_program_its_exit_codes() {
    let command = Args::command();

    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        let own = [command].into_iter().filter(|command| !command.has_subcommands());
        for command in own.chain(command.get_subcommands()) {
            let help = command.clone().render_long_help().to_string();
            assert!(help.contains("Examples:\n  streamjob "), "{help}");
        }
    }
    let help = command.clone().render_long_help().to_string();
    for code in ["0    ", "1    ", "2    ", "3    ", "130  ", "143  "] {
        assert!(help.contains(&format!("\n  {code}")), "{help}");
    }
}

#[test]
fn options_of_run_are_typed_and_checked() {
    let Ok(Command::Run(run)) = parse("streamjob run job.yaml --admin 127.0.0.1:0 --batch-rows 7") else {
        panic!("a valid command line");
    };

    assert_eq!((run.admin.as_deref(), run.batch_rows), (Some("127.0.0.1:0"), 7));
    assert_eq!(parse("streamjob run").err(), Some(ErrorKind::MissingRequiredArgument));
    assert_eq!(parse("streamjob run a b").err(), Some(ErrorKind::UnknownArgument));
    assert_eq!(parse("streamjob run a --batch-rows 0").err(), Some(ErrorKind::ValueValidation));
    assert_eq!(parse("streamjob run a --log-format xml").err(), Some(ErrorKind::InvalidValue));
    assert_eq!(parse("streamjob validate").err(), Some(ErrorKind::MissingRequiredArgument));
}

#[test]
fn a_run_goes_back_to_an_epoch_or_a_savepoint_or_begins_with_nothing() {
    let from = |line: &str| match parse(line) {
        Ok(Command::Run(run)) => run.from,
        other => panic!("{line}: {other:?}"),
    };
    let savepoint = |named: &str| Some(RestorePoint::Savepoint(named.to_owned()));

    assert_eq!(from("streamjob run job.yaml --from 17"), Some(RestorePoint::Epoch(Epoch(17))));
    assert_eq!(from("streamjob run job.yaml --from before-2"), savepoint("before-2"));
    assert_eq!(from("streamjob run job.yaml --from ./17"), savepoint("./17"));
    let both = parse("streamjob run job.yaml --from 17 --fresh").err();
    assert_eq!(both, Some(ErrorKind::ArgumentConflict));
    let alone = parse("streamjob run job.yaml --discard-state").err();
    assert_eq!(alone, Some(ErrorKind::MissingRequiredArgument));
}

#[test]
fn the_id_of_a_savepoint_is_never_taken_for_an_epoch_or_a_path() {
    let id = |id: &str| parse(&format!("streamjob savepoint take job.yaml --id {id}")).err();

    assert_eq!(["sp-1", "before_upgrade", "17a"].map(id), [None, None, None]);
    let refused = Some(ErrorKind::ValueValidation);
    assert_eq!(["17", "a/b", "..", "ä"].map(id), [refused, refused, refused, refused]);
}

#[test]
fn a_job_that_has_not_run_has_nothing_to_show_and_nothing_is_made() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let manifest = folder.path().join("job.yaml");
    fs::write(&manifest, MANIFEST).expect("written");
    let list = CheckpointsCommand::List(args::ListArgs { manifest, json: false });
    let (mut out, mut err) = (Vec::new(), Vec::new());

    let exit = checkpoints::checkpoints(&list, &mut out, &mut err);

    let err = String::from_utf8(err).expect("UTF-8");
    assert_eq!((exit, out.len()), (Exit::Failed, 0));
    assert!(err.starts_with("clicks has no state in /"), "{err}");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

#[test]
fn a_manifest_without_mistakes_is_ok() {
    let (exit, out, err) = validate(&[MANIFEST]);

    // Its file is not there yet.
    let warning = "0.yaml: warning: spec.pipeline.source.files.urls: no file matches clicks.jsonl; check \
                   `source.files.urls`; `streamjob run` would fail\n";
    assert_eq!((exit, out.as_str(), err.as_str()), (Exit::Done, "0.yaml: ok\n", warning));
}

#[test]
fn all_manifests_are_checked_and_mistakes_of_every_kind_carry_their_line() {
    let misspelt = MANIFEST.replace("keyBy", "keyby");
    let wrong_expression = MANIFEST.replace("value > 0", "valeu > 0");

    let (exit, out, err) = validate(&[&misspelt, MANIFEST, &wrong_expression]);

    assert_eq!((exit, out.as_str()), (Exit::Mistake, "1.yaml: ok\n"));
    let lines: Vec<_> = err.lines().collect();
    assert!(lines[0].starts_with("0.yaml:13:5: spec.pipeline.keyby: "), "{err}");
    let last = lines.last().expect("at least one line");
    assert!(last.starts_with("2.yaml:11:") && last.contains("spec.pipeline.transforms[0].where: "), "{err}");
    assert!(last.contains("did you mean `value`"), "{err}");
}

#[test]
fn what_has_no_effect_on_one_machine_is_noted_and_what_a_cluster_would_refuse_is_told() {
    let of_a_cluster = MANIFEST.replace("  parallelism:", "  workers: {slots: 2}\n  parallelism:");

    let (exit, out, err) = validate(&[&of_a_cluster]);
    assert_eq!((exit, err.lines().count()), (Exit::Done, 1), "only that its file is not there yet: {err}");
    assert!(out.starts_with("0.yaml: ok\n0.yaml:") && out.contains("spec.workers: has no effect"), "{out}");

    let (exit, out, err) = validate_for(&[&of_a_cluster], true);
    assert_eq!((exit, out.as_str()), (Exit::Mistake, ""));
    assert!(err.contains("spec.state.location: is missing"), "{err}");
    assert!(err.contains("spec.pipeline.source.files: pods have no files of yours"), "{err}");
}

#[test]
fn a_missing_manifest_is_a_mistake_that_names_it() {
    let args = args::ExplainArgs { manifest: "/nonexistent/job.yaml".into() };
    let (mut out, mut err) = (Vec::new(), Vec::new());

    let exit = explain::explain(&args, &mut out, &mut err);

    let err = String::from_utf8(err).expect("UTF-8");
    assert_eq!((exit, out.len()), (Exit::Mistake, 0));
    assert!(err.starts_with("/nonexistent/job.yaml: cannot read the manifest: "), "{err}");
}

#[test]
fn a_job_is_explained() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let manifest = folder.path().join("job.yaml");
    fs::write(&manifest, MANIFEST).expect("written");
    let (mut out, mut err) = (Vec::new(), Vec::new());

    let exit = explain::explain(&args::ExplainArgs { manifest }, &mut out, &mut err);

    let out = String::from_utf8(out).expect("UTF-8");
    assert_eq!((exit, err.len()), (Exit::Done, 0));
    assert!(out.contains("clicks") && out.ends_with('\n') && !out.ends_with("\n\n"), "{out}");
}

#[test]
fn completions_know_the_commands() {
    for shell in [clap_complete::Shell::Bash, clap_complete::Shell::Zsh, clap_complete::Shell::Fish] {
        let mut out = Vec::new();

        let exit = completions::print(&args::CompletionsArgs { shell }, &mut out);

        let out = String::from_utf8(out).expect("UTF-8");
        assert_eq!(exit, Exit::Done);
        assert!(out.contains("validate") && out.contains("admin"), "{shell}");
    }
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let code = |exit: Exit| format!("{:?}", ExitCode::from(exit));

    assert_eq!(code(Exit::Done), format!("{:?}", ExitCode::SUCCESS));
    assert_eq!(code(Exit::Failed), format!("{:?}", ExitCode::from(1)));
    assert_eq!(code(Exit::Mistake), format!("{:?}", ExitCode::from(2)));
    assert_eq!(code(Exit::Fenced), format!("{:?}", ExitCode::from(3)));
    assert_eq!(code(Exit::Stopped(Signal::Interrupt)), format!("{:?}", ExitCode::from(130)));
    assert_eq!(code(Exit::Stopped(Signal::Terminate)), format!("{:?}", ExitCode::from(143)));
}

#[test]
fn the_first_signal_asks_for_a_clean_stop_and_is_remembered() {
    let (stopped, seen) = crossbeam_channel::bounded(1);
    let signals = signals::Signals::watch(move |_signal| stopped.send(()).expect("the test listens"))
        .expect("signals can be watched");

    signal_hook::low_level::raise(signal_hook::consts::SIGTERM).expect("raised");
    let heard = seen.recv_timeout(std::time::Duration::from_secs(10));

    assert_eq!((heard, signals.received()), (Ok(()), Some(Signal::Terminate)));
}
