//! `streamjob-worker janitor`: a state that is deleted, however often it is interrupted, and what comes after it.
//!
//! Owns: that savepoints and numbers stay.
//! Never: deletes the state of a job that runs on.

use std::path::Path;

use anyhow::Result;
use streamjob_checkpoint::record::Body;
use streamjob_crds::Reason;
use streamjob_crds::worker::WorkerPhase;
use streamjob_tests::pod::PodJob;
use streamjob_tests::process::Signal;

use super::{SOON, endless, head, records};

/// A job that was stopped in incarnation 1, with a savepoint.
fn stopped() -> Result<PodJob> {
    let job = PodJob::new(&endless())?;
    let mut pod = job.start(1, &[])?;
    pod.wait_for_checkpoints(3)?;
    let savepoint = serde_json::json!({"id": "kept"});
    while !pod.post("/v1/savepoints", &savepoint)?.body.contains("Completed") {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    pod.stops("op-2", SOON)?;
    pod.running.signal(Signal::Kill)?;
    pod.running.wait(SOON)?;
    Ok(job)
}

fn files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

/// Nothing is left but the mark of the deletion, and savepoints.
fn assert_deleted(job: &PodJob) -> Result<()> {
    let state = job.path().join("state/shop.orders");
    let log = records(job)?;
    assert!(matches!(log.as_slice(), [only] if only.body == Body::Deleted), "{log:?}");
    assert_eq!((files(&state.join("data")), files(&state.join("log"))), (0, 1));
    assert!(state.join("savepoints/kept/savepoint.json").exists());
    Ok(())
}

#[test]
fn a_state_is_deleted_but_for_its_savepoints_and_its_numbers_go_on() -> Result<()> {
    let job = stopped()?;
    let before = head(&job)?;

    let ended = job.ends("janitor", &["--incarnation=1"])?;
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert_deleted(&job)?;
    let again = job.ends("janitor", &["--incarnation=1"])?;

    let mark = head(&job)?;
    assert_eq!((again.code, mark.seq), (Some(0), before.seq.next()), "{}", again.said);
    assert!(job.left_nothing());
    assert_eq!((mark.generation.incarnation, mark.begins_at, mark.unpublished), (2, mark.seq, None));
    // A job of that name that comes later is told which number it must have.
    let (_, fenced) = job.fails(1, &[])?;
    assert_eq!((fenced.reason, fenced.incarnation), (Reason::Fenced, Some(2)));
    std::fs::remove_dir_all(job.path().join("out"))?;
    let next = job.start(3, &[])?;
    let status = next.wait_for_checkpoints(1)?;
    assert_eq!(status.restored_from, None);
    assert!(head(&job)?.seq > mark.seq && head(&job)?.lineage != before.lineage);
    Ok(())
}

#[test]
fn a_janitor_that_is_killed_at_any_point_is_followed_by_one_that_ends_it() -> Result<()> {
    let points = [
        "delete.create.before",
        "delete.create.after",
        "delete.resolved",
        "delete.object.before",
        "delete.object.after",
        "delete.record.before",
        "delete.record.after",
    ];
    for point in points {
        let mut job = stopped()?;
        job.environment = vec![("STREAMJOB_FAIL_POINT".to_owned(), format!("{point}=kill"))];
        let killed = job.ends("janitor", &["--incarnation=1"])?;
        assert!(killed.was_killed(), "{point} was not reached: {}", killed.said);
        job.environment.clear();

        let ended = job.ends("janitor", &["--incarnation=1"])?;

        assert_eq!(ended.code, Some(0), "{point}: {}", ended.said);
        assert_deleted(&job)?;
    }
    Ok(())
}

#[test]
fn a_start_over_a_deletion_that_was_interrupted_begins_anew() -> Result<()> {
    let mut job = stopped()?;
    job.environment = vec![("STREAMJOB_FAIL_POINT".to_owned(), "delete.record.after=kill@2".to_owned())];
    let killed = job.ends("janitor", &["--incarnation=1"])?;
    assert!(killed.was_killed(), "{}", killed.said);
    job.environment.clear();
    std::fs::remove_dir_all(job.path().join("out"))?;

    let next = job.start(3, &[])?;
    let status = next.wait_for_checkpoints(2)?;

    assert_eq!((status.restored_from, status.phase), (None, WorkerPhase::Running));
    let began = std::time::Instant::now();
    while records(&job)?.iter().any(|record| record.generation.incarnation < 2) {
        assert!(began.elapsed() < SOON, "old records are still there");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Ok(())
}

#[test]
fn the_state_of_a_newer_incarnation_and_of_another_job_is_left_alone() -> Result<()> {
    let mut job = stopped()?;
    let next = job.start(2, &[])?;
    next.wait_for_checkpoints(1)?;

    let late = job.ends("janitor", &["--incarnation=1"])?;
    let fenced = job.termination()?;
    job.cluster = "another";
    let foreign = job.ends("janitor", &["--incarnation=5"])?;
    let owned = job.termination()?;

    assert_eq!((late.code, fenced.reason, fenced.incarnation), (Some(3), Reason::Fenced, Some(2)));
    assert_eq!((foreign.code, owned.reason), (Some(1), Reason::StateOwned));
    next.wait_for_checkpoints(next.status()?.checkpoints_since_start + 2)?;
    Ok(())
}

#[test]
fn where_there_is_no_state_nothing_is_to_be_done() -> Result<()> {
    let job = PodJob::new(&endless())?;

    let ended = job.ends("janitor", &["--incarnation=1"])?;

    assert_eq!(ended.code, Some(0), "{}", ended.said);
    assert!(ended.said.contains("there is no state"), "{}", ended.said);
    Ok(())
}

#[test]
fn a_worker_that_still_runs_is_fenced_by_the_deletion() -> Result<()> {
    let job = PodJob::new(&endless())?;
    let mut pod = job.start(1, &[])?;
    pod.wait_for_checkpoints(1)?;

    let deleted = job.ends("janitor", &["--incarnation=1"])?;
    let ended = pod.running.wait(SOON)?;

    assert_eq!((deleted.code, ended.code), (Some(0), Some(3)), "{}", ended.said);
    assert_eq!(job.termination()?.incarnation, Some(2));
    Ok(())
}
