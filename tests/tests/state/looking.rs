//! Looking at a job's state while the job runs, and at what is left when it has been stopped.
//!
//! Owns: that every row is either in a result or in the state; the messages of a job that does not run.
//! Never: changes a state by hand.

use anyhow::Result;
use streamjob_tests::job::JobFolder;

use super::{exported, json, manifest, say, say_well, start, stderr, stop, visits};

#[test]
fn every_row_that_was_read_is_in_a_result_or_in_the_exported_state() -> Result<()> {
    let folder = JobFolder::new(&manifest())?;
    let mut job = start(&folder, &[])?;
    let code = stop(&mut job)?;

    let shown = json(&folder, &["checkpoints", "show", "job.yaml", "--json"])?;
    let state = visits(exported(&folder, &[])?)?;
    let results = visits(folder.rows("out")?)?;

    assert_eq!(code, Some(130));
    let read = shown["record"]["body"]["final"]["checkpoint"]["counters"]["rowsIn"].as_i64();
    assert_eq!(Some(state.values().chain(results.values()).sum::<i64>()), read);
    assert!(!state.is_empty(), "a stop fires nothing early");
    assert!(state.keys().all(|key| !results.contains_key(key)), "a window is open or has fired");
    Ok(())
}

#[test]
fn a_running_job_is_looked_at_without_disturbing_it() -> Result<()> {
    let folder = JobFolder::new(&manifest())?;
    let mut job = start(&folder, &[])?;

    let listed = json(&folder, &["checkpoints", "list", "job.yaml", "--json"])?;
    let verified = say_well(&folder, &["checkpoints", "verify", "job.yaml"])?;
    let rows = exported(&folder, &[])?;

    assert_eq!(listed["status"], "running");
    assert!(listed["checkpoints"].as_array().is_some_and(|all| !all.is_empty()), "{listed}");
    assert!(!verified.contains("damaged"), "{verified}");
    visits(rows)?;
    assert_eq!(stop(&mut job)?, Some(130));
    let text = say_well(&folder, &["checkpoints", "list", "job.yaml"])?;
    assert!(text.starts_with("pages: stopped; run again, it goes on from epoch "), "{text}");
    Ok(())
}

#[test]
fn a_savepoint_of_a_job_that_does_not_run_is_refused_with_what_to_do() -> Result<()> {
    let folder = JobFolder::new(&manifest())?;

    let never_ran = say(&folder, &["checkpoints", "list", "job.yaml"])?;
    let not_running = say(&folder, &["savepoint", "take", "job.yaml"])?;

    assert_eq!((never_ran.status.code(), not_running.status.code()), (Some(1), Some(1)));
    let said = stderr(&never_ran);
    assert!(said.starts_with("pages has no state in ") && said.contains("`streamjob run`"), "{said}");
    let said = stderr(&not_running);
    assert!(said.starts_with("pages is not running: nothing listens at "), "{said}");
    assert!(said.contains("start it with `streamjob run job.yaml`"), "{said}");
    let left = std::fs::read_dir(folder.path())?.count();
    assert_eq!(left, 1, "looking makes nothing");
    Ok(())
}
