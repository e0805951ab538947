//! What a pod refuses to begin with.
//!
//! Owns: the reasons, and that nothing is lost by a refusal.
//! Never: begins with less than what the log has come to.

use anyhow::Result;
use serde_json::json;
use streamjob_checkpoint::record::Body;
use streamjob_crds::Reason;
use streamjob_crds::worker::WorkerPhase;
use streamjob_tests::pod::{CLUSTER, Pod, PodJob};
use streamjob_tests::process::Signal;

use super::{SOON, endless, head, records};

/// A job that was handed over by incarnation 1.
fn handed_over() -> Result<PodJob> {
    let job = PodJob::new(&endless())?;
    let pod = job.start(1, &[])?;
    pod.wait_for_checkpoints(2)?;
    hand_over(pod)?;
    Ok(job)
}

fn hand_over(mut pod: Pod) -> Result<()> {
    pod.stops("op-2", SOON)?;
    pod.running.signal(Signal::Kill)?;
    pod.running.wait(SOON)?;
    Ok(())
}

#[test]
fn a_log_that_is_shorter_than_it_was_is_not_gone_on_from() -> Result<()> {
    let job = handed_over()?;
    let before = head(&job)?;

    let (ended, left) = job.fails(2, &[&format!("--floor={}", before.seq.0 + 1)])?;

    assert_eq!((ended.code, left.reason, left.retryable), (Some(1), Reason::StateMissing, false));
    assert!(left.message.contains("spec.state.location"), "{left:?}");
    assert_eq!(head(&job)?, before);
    std::fs::remove_dir_all(job.path().join("state"))?;
    let (_, gone) = job.fails(2, &["--floor=1"])?;
    assert_eq!(gone.reason, Reason::StateMissing);
    Ok(())
}

#[test]
fn nothing_is_begun_with_only_when_it_was_asked_for_and_only_once() -> Result<()> {
    let job = PodJob::new(&endless())?;
    let out = job.path().join("out");
    let first = job.start(1, &[])?;
    first.wait("there is output", |_| out.read_dir().is_ok_and(|mut files| files.next().is_some()))?;
    hand_over(first)?;
    let lineage = head(&job)?.lineage;

    let (_, refused) = job.fails(2, &["--restore=nothing"])?;
    let words = ["--restore=nothing", "--restore-request=start-over"];
    let (_, mixed) = job.fails(2, &words)?;
    std::fs::remove_dir_all(&out)?;
    let mut fresh = job.start(2, &words)?;
    fresh.wait_for_checkpoints(2)?;
    fresh.running.signal(Signal::Kill)?;
    fresh.running.wait(SOON)?;
    let began = head(&job)?;
    let again = job.start(2, &words)?;
    let on = again.wait("it runs", |status| status.phase == WorkerPhase::Running)?;

    assert_eq!(refused.reason, Reason::StateExists, "{refused:?}");
    assert_eq!(mixed.reason, Reason::SinkBlocked, "{mixed:?}");
    assert!(mixed.message.contains("empty the folder"), "{mixed:?}");
    assert_ne!(began.lineage, lineage);
    assert!(on.restored_from.is_some_and(|from| from.epoch > 0), "{on:?}");
    assert_eq!(head(&job)?.lineage, began.lineage);
    let genesis = records(&job)?.iter().filter(|record| matches!(record.body, Body::Genesis { .. })).count();
    assert_eq!(genesis, 1, "the first one was deleted with its state");
    Ok(())
}

#[test]
fn the_state_of_another_job_or_of_another_pipeline_is_refused_before_anything_is_done() -> Result<()> {
    let mut job = handed_over()?;
    let before = head(&job)?;
    let mut other = endless();
    other["pipeline"]["window"]["tumbling"]["size"] = "1s".into();

    job.cluster = "another";
    let (_, owned) = job.fails(2, &[])?;
    job.cluster = CLUSTER;
    job.write_spec(&other)?;
    let (_, changed) = job.fails(2, &[])?;

    assert_eq!(owned.reason, Reason::StateOwned, "{owned:?}");
    assert_eq!(changed.reason, Reason::StateIncompatible, "{changed:?}");
    assert!(changed.message.starts_with("spec.pipeline.window.tumbling.size: "), "{changed:?}");
    assert_eq!(head(&job)?, before);
    Ok(())
}

#[test]
fn a_manifest_or_arguments_that_cannot_be_read_are_told_in_one_line() -> Result<()> {
    let job = PodJob::new(&endless())?;
    std::fs::write(job.path().join("job.json"), "{\"kind\": ")?;
    let (broken, left) = job.fails(1, &[])?;
    assert_eq!((broken.code, left.reason), (Some(2), Reason::ConfigurationInvalid), "{left:?}");
    let mut spec = endless();
    spec["pipeline"]["keyBy"] = json!(["nothing"]);
    job.write_spec(&spec)?;

    let (rejected, compiled) = job.fails(1, &[])?;
    let (_, arguments) = job.fails(1, &["--floor=minus"])?;

    assert_eq!((rejected.code, compiled.reason), (Some(1), Reason::PipelineRejected));
    assert!(compiled.message.contains("spec.pipeline.keyBy"), "{compiled:?}");
    assert_eq!(arguments.reason, Reason::ConfigurationInvalid);
    Ok(())
}

#[test]
fn a_record_that_cannot_be_used_ends_the_pod_and_is_not_quoted() -> Result<()> {
    let mut spec = endless();
    spec["pipeline"]["source"] = json!({
        "files": {"urls": ["in.jsonl"]},
        "format": {"json": {}},
        "columns": [{"name": "page", "type": "String"}, {"name": "n", "type": "Int64"}, {"name": "ts", "type": "TimestampMillis"}],
        "badRecords": {"action": "Fail"},
    });
    spec["pipeline"]["aggregates"] = json!([{"name": "total", "function": "Sum", "field": "n"}]);
    let job = PodJob::new(&spec)?;
    let rows =
        "{\"page\":\"a\",\"n\":1,\"ts\":1}\n{\"page\":\"canary-key\",\"n\":\"canary-value\",\"ts\":2}\n";
    std::fs::write(job.path().join("in.jsonl"), rows)?;

    let (ended, left) = job.fails(1, &[])?;

    assert_eq!((ended.code, left.reason, left.retryable), (Some(1), Reason::BadRecord, false));
    let why = "in.jsonl:2: column `n`: expected Int64, found a string; ";
    assert!(left.message.contains(why), "{left:?}");
    assert!(left.message.contains("`spec.pipeline.source.badRecords.action`"), "{left:?}");
    assert!(!left.message.contains("canary"), "{left:?}");
    Ok(())
}

#[test]
fn slots_are_as_many_as_the_arguments_say() -> Result<()> {
    let job = PodJob::new(&endless())?;

    let pod = job.start(1, &["--parallelism=3"])?;
    pod.wait_for_checkpoints(1)?;

    let Body::Epoch { checkpoint } = head(&job)?.body else { panic!("an epoch") };
    assert_eq!(checkpoint.parallelism, 3);
    Ok(())
}
