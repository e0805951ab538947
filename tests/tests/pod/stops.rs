//! Handing over: a last checkpoint for the incarnation that follows, or going on as if nobody had asked.
//!
//! Owns: what is answered, and what is in the log.
//! Never: ends a pod in another way.

use std::time::Duration;

use anyhow::Result;
use streamjob_checkpoint::record::Body;
use streamjob_crds::Reason;
use streamjob_crds::worker::{StopState, WorkerPhase};
use streamjob_tests::pod::PodJob;
use streamjob_tests::process::Signal;

use super::{SOON, endless, head, records, with_rows};

/// The store takes so long for a checkpoint that no hand-over can be complete in a second.
const SLOW_STORE: (&str, &str) = ("STREAMJOB_FAIL_POINT", "upload.state.before=sleep:2500@*");

#[test]
fn a_pod_that_has_handed_over_answers_from_the_log_also_after_a_restart_and_never_claims_again() -> Result<()>
{
    let job = PodJob::new(&endless())?;
    let mut pod = job.start(1, &[])?;
    pod.wait_for_checkpoints(3)?;
    assert_eq!(pod.get("/readyz")?.code, 200);

    let stopped = pod.stops("g2-upgrade-2", SOON)?;
    let last = head(&job)?;
    let status = pod.status()?;

    let Body::Final { finished: false, .. } = &last.body else { panic!("{last:?}") };
    assert_eq!(last.operation.as_ref().map(|operation| operation.id.as_str()), Some("g2-upgrade-2"));
    let checkpoint = stopped.checkpoint.expect("what was handed over");
    assert_eq!((stopped.state, checkpoint.seq), (StopState::Stopped, last.seq.0 as i64));
    assert_eq!((status.phase, status.head), (WorkerPhase::Stopped, checkpoint.seq));
    assert_eq!((pod.get("/healthz")?.code, pod.get("/readyz")?.code), (200, 503));
    pod.running.signal(Signal::Kill)?;
    pod.running.wait(SOON)?;
    let mut again = job.start(1, &[])?;
    again.wait("it idles", |status| status.phase == WorkerPhase::Stopped)?;
    assert_eq!(again.stop("g2-upgrade-2", SOON)?, stopped);
    let other = again.stop("g3-suspend-2", SOON)?;
    assert_eq!((other.state, other.checkpoint), (StopState::Stopped, Some(checkpoint)));
    assert!(other.message.is_some_and(|message| message.contains("g2-upgrade-2")));
    again.running.signal(Signal::Terminate)?;
    let ended = again.running.wait(SOON)?;
    assert_eq!((ended.code, head(&job)?.seq), (Some(0), last.seq), "{}", ended.said);
    assert!(job.left_nothing());
    Ok(())
}

#[test]
fn the_next_incarnation_goes_on_from_the_last_checkpoint_and_the_old_one_is_fenced() -> Result<()> {
    let job = PodJob::new(&endless())?;
    let mut pod = job.start(1, &[])?;
    pod.wait_for_checkpoints(2)?;
    let handed = pod.stops("op-2", SOON)?.checkpoint.expect("what was handed over");
    pod.running.signal(Signal::Kill)?;
    pod.running.wait(SOON)?;

    let next = job.start(2, &[&format!("--floor={}", handed.seq)])?;
    let status = next.wait_for_checkpoints(1)?;
    let (ended, left) = job.fails(1, &[])?;

    assert_eq!(status.restored_from, Some(handed));
    assert_eq!((status.incarnation, status.attempt), (2, 1));
    assert_eq!((ended.code, left.reason, left.incarnation), (Some(3), Reason::Fenced, Some(2)));
    assert!(!left.retryable);
    next.wait("it is not disturbed", |now| now.checkpoints_since_start > status.checkpoints_since_start)?;
    Ok(())
}

#[test]
fn a_hand_over_that_takes_too_long_is_taken_back_and_may_be_tried_again() -> Result<()> {
    let mut job = PodJob::new(&endless())?;
    job.environment = vec![(SLOW_STORE.0.to_owned(), SLOW_STORE.1.to_owned())];
    let pod = job.start(1, &[])?;
    pod.wait("it runs", |status| status.phase == WorkerPhase::Running && status.records > 0)?;

    let deadline = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(1);
    let first = pod.stop_by("op-2", deadline)?;
    let resumed =
        pod.wait("it goes on", |status| status.attempt == 2 && status.phase == WorkerPhase::Running)?;
    let repeated = pod.stop_by("op-2", deadline)?;
    let again = pod.stops("op-2", SOON)?;

    assert_eq!((first.state, repeated.state), (StopState::Stopping, StopState::Resumed));
    assert_eq!(resumed.operation.map(|operation| operation.result), Some("Resumed".to_owned()));
    assert_eq!(again.state, StopState::Stopped);
    let last = head(&job)?;
    assert!(matches!(last.body, Body::Final { .. }), "{last:?}");
    assert_eq!(last.generation.attempt, 2);
    Ok(())
}

/// All is done but for the last record, whose writer sleeps beyond the deadline.
#[test]
fn the_record_that_ends_an_incarnation_is_not_written_after_the_deadline() -> Result<()> {
    let mut job = PodJob::new(&endless())?;
    job.environment = vec![("STREAMJOB_FAIL_POINT".to_owned(), "end.final.before=sleep:3000@1".to_owned())];
    let pod = job.start(1, &[])?;
    pod.wait_for_checkpoints(2)?;

    let deadline = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    let first = pod.stop_by("op-2", deadline)?;
    let resumed =
        pod.wait("it goes on", |status| status.attempt == 2 && status.phase == WorkerPhase::Running)?;
    let repeated = pod.stop_by("op-2", deadline)?;
    let written = records(&job)?;

    assert!(pod.running.said().contains("end.final.before"), "{}", pod.running.said());
    assert_eq!((first.state, repeated.state), (StopState::Stopping, StopState::Resumed));
    assert!(written.iter().all(|record| !matches!(record.body, Body::Final { .. })), "{resumed:?}");
    Ok(())
}

#[test]
fn a_deadline_that_is_over_stops_nothing() -> Result<()> {
    let job = PodJob::new(&endless())?;
    let pod = job.start(1, &[])?;
    let before = pod.wait_for_checkpoints(1)?;

    let answer = pod.stop_by("op-2", jiff::Timestamp::now() - jiff::SignedDuration::from_secs(1))?;

    assert_eq!(answer.state, StopState::Resumed);
    let after = pod.wait_for_checkpoints(before.checkpoints_since_start + 2)?;
    assert_eq!(after.attempt, 1);
    Ok(())
}

#[test]
fn a_pod_that_has_read_all_input_stays_and_says_finished_in_every_incarnation() -> Result<()> {
    let job = PodJob::new(&with_rows(5_000))?;
    let mut pod = job.start(1, &[])?;

    pod.wait("it finishes", |status| status.phase == WorkerPhase::Finished)?;
    let answer = pod.stop("op-2", Duration::from_secs(5))?;
    pod.running.signal(Signal::Terminate)?;
    let ended = pod.running.wait(SOON)?;
    let next = job.start(2, &[])?;
    next.wait("it is finished", |status| status.phase == WorkerPhase::Finished)?;

    assert_eq!((answer.state, ended.code), (StopState::Stopped, Some(0)));
    assert!(answer.message.is_some_and(|message| message.contains("all input was read")));
    let last = head(&job)?;
    assert!(matches!(last.body, Body::Final { finished: true, .. }), "{last:?}");
    Ok(())
}
