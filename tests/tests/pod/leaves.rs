//! SIGTERM: a last checkpoint within the grace period, and the incarnation stays open.
//!
//! Owns: what is left behind.
//! Never: asks for a hand-over.

use std::time::{Duration, Instant};

use anyhow::Result;
use streamjob_checkpoint::record::Body;
use streamjob_crds::worker::{StopState, WorkerPhase};
use streamjob_tests::pod::PodJob;
use streamjob_tests::process::Signal;
use streamjob_tests::s3::{self, BUCKET, Kind, S3Server};

use super::{SOON, endless, head};

#[test]
fn a_pod_that_is_deleted_takes_a_last_checkpoint_and_its_set_goes_on_with_the_next_attempt() -> Result<()> {
    let mut spec = endless();
    // So that the last checkpoint is not one that would have come anyway.
    spec["state"]["checkpoint"]["interval"] = "1m".into();
    let job = PodJob::new(&spec)?;
    let mut pod = job.start(1, &[])?;
    let before = pod.wait_for_checkpoints(1)?.last_checkpoint.expect("one was completed");

    pod.running.signal(Signal::Terminate)?;
    let ended = pod.running.wait(SOON)?;
    let last = head(&job)?;

    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(job.left_nothing());
    let Body::Epoch { checkpoint } = &last.body else { panic!("no Final: {last:?}") };
    assert!(checkpoint.epoch.0 as i64 > before.epoch);
    let again = job.start(1, &[])?;
    let status = again.wait("it goes on", |status| status.phase == WorkerPhase::Running)?;
    let from = status.restored_from.expect("a checkpoint");
    assert_eq!((from.epoch, from.seq), (checkpoint.epoch.0 as i64, last.seq.0 as i64));
    assert_eq!((status.incarnation, status.attempt), (1, 2));
    Ok(())
}

#[test]
fn a_pod_that_cannot_take_a_checkpoint_in_time_leaves_without_one() -> Result<()> {
    let mut job = PodJob::new(&endless())?;
    job.environment =
        vec![("STREAMJOB_FAIL_POINT".to_owned(), "upload.state.before=sleep:60000@2".to_owned())];
    let mut pod = job.start(1, &["--grace=3"])?;
    pod.wait("it runs", |status| status.phase == WorkerPhase::Running && status.records > 0)?;
    std::thread::sleep(Duration::from_secs(1));

    let asked = Instant::now();
    pod.running.signal(Signal::Terminate)?;
    let ended = pod.running.wait(SOON)?;

    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(asked.elapsed() < Duration::from_secs(6), "{:?}", asked.elapsed());
    assert!(job.left_nothing());
    Ok(())
}

#[test]
fn a_pod_that_waits_for_its_store_leaves_at_once() -> Result<()> {
    let mut server = S3Server::start(Kind::Versitygw)?;
    let mut spec = endless();
    spec["state"]["location"] = serde_json::json!({"uri": format!("s3://{BUCKET}/prod"), "endpoint": format!("http://{}", server.address())});
    let mut job = PodJob::new(&spec)?;
    job.environment = s3::environment().map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    server.stop();
    let mut pod = job.start(1, &[])?;
    let status = pod.wait("it waits", |status| status.waiting_for.is_some())?;
    assert!(status.waiting_for.is_some_and(|what| what.starts_with("store: ")));
    assert_eq!(status.phase, WorkerPhase::Starting);

    let asked = Instant::now();
    pod.running.signal(Signal::Terminate)?;
    let ended = pod.running.wait(SOON)?;

    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    Ok(())
}

#[test]
fn a_hand_over_goes_on_when_the_pod_is_told_to_leave() -> Result<()> {
    let mut job = PodJob::new(&endless())?;
    job.environment =
        vec![("STREAMJOB_FAIL_POINT".to_owned(), "upload.state.before=sleep:1500@*".to_owned())];
    let mut pod = job.start(1, &[])?;
    pod.wait("it runs", |status| status.phase == WorkerPhase::Running && status.records > 0)?;

    let answer = pod.stop("op-2", SOON)?;
    pod.running.signal(Signal::Terminate)?;
    let ended = pod.running.wait(SOON)?;

    assert_eq!((answer.state, ended.code), (StopState::Stopping, Some(0)), "{}", ended.said);
    let last = head(&job)?;
    assert!(matches!(last.body, Body::Final { .. }), "{last:?}\n{}", ended.said);
    Ok(())
}
