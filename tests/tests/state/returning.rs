//! Going back to checkpoints and savepoints, and beginning anew.
//!
//! Owns: that what comes after the point that was gone back to is exactly what is missing before it.
//! Never: kills a job at a random instant.

use std::fs;
#[cfg(feature = "faults")]
use std::process::Command;

use anyhow::Result;
use streamjob_tests::job::JobFolder;
#[cfg(feature = "faults")]
use streamjob_tests::job::streamjob;

use super::{copy, json, manifest, newest, say, say_well, start, stderr, stop, visits};

#[test]
fn a_savepoint_continues_elsewhere_exactly_where_its_job_was() -> Result<()> {
    let undisturbed = JobFolder::new(&manifest())?;
    undisturbed.run_well(&[])?;
    let folder = JobFolder::new(&manifest())?;
    let mut job = start(&folder, &[])?;
    let taken = json(&folder, &["savepoint", "take", "job.yaml", "--id", "sp", "--json"])?;
    assert_eq!(stop(&mut job)?, Some(130));
    let elsewhere = JobFolder::new(&manifest())?;
    let location = taken["location"].as_str().expect("where it lies");
    let copied = elsewhere.path().join("sp-copy");
    copy(location.as_ref(), &copied)?;

    let output = elsewhere.run(&["--from", copied.to_str().expect("UTF-8")])?;

    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    let first = said.lines().next().unwrap_or_default();
    assert!(first.contains("goes back to savepoint ") && first.contains("sp-copy"), "{said}");
    let savepoint = json(&folder, &["savepoint", "list", "job.yaml", "--json"])?;
    let epoch = savepoint["savepoints"][0]["epoch"].as_u64().expect("an epoch");
    let before = published_up_to(&folder, epoch)?;
    let rows = before.into_iter().chain(elsewhere.rows("out")?);
    assert_eq!(visits(rows)?, visits(undisturbed.rows("out")?)?);
    let verified = say_well(&folder, &["savepoint", "verify", "job.yaml"])?;
    assert!(verified.contains("savepoint sp  whole"), "{verified}");
    Ok(())
}

#[test]
fn a_job_that_goes_back_to_a_checkpoint_puts_out_what_came_after_it_again() -> Result<()> {
    let folder = JobFolder::new(&manifest())?;
    let mut job = start(&folder, &[])?;
    assert_eq!(stop(&mut job)?, Some(130));
    let listed = json(&folder, &["checkpoints", "list", "job.yaml", "--json"])?;
    let oldest = listed["checkpoints"][0]["epoch"].as_u64().expect("an epoch");
    let last = newest(&folder).expect("a checkpoint");

    let output = folder.run(&["--from", &oldest.to_string()])?;
    let again = folder.run(&[])?;

    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    let expected = format!("goes back to epoch {oldest}: what was put out after it is put out again");
    assert!(said.lines().next().unwrap_or_default().contains(&expected), "{said}");
    assert!(newest(&folder).is_some_and(|epoch| epoch > last), "epochs only grow");
    assert!(again.status.success() && stderr(&again).contains("already finished"), "{}", stderr(&again));
    Ok(())
}

#[test]
fn a_fresh_start_needs_to_be_told_that_state_may_go() -> Result<()> {
    let folder = JobFolder::new(&manifest())?;
    folder.run_well(&[])?;
    fs::remove_dir_all(folder.path().join("out"))?;

    let refused = folder.run(&["--fresh"])?;
    let discarded = folder.run(&["--fresh", "--discard-state"])?;

    let said = stderr(&refused);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("pages has state, which --fresh would give up: epoch "), "{said}");
    assert!(said.contains("finished, 60,000 rows read"), "{said}");
    let said = stderr(&discarded);
    assert!(discarded.status.success(), "{said}");
    assert!(said.lines().next().unwrap_or_default().contains("begins with nothing"), "{said}");
    let total: i64 = visits(folder.rows("out")?)?.values().sum();
    assert_eq!(total, i64::try_from(super::ROWS)?);
    Ok(())
}

#[test]
fn a_manifest_whose_state_does_not_fit_is_refused_naming_field_old_and_new() -> Result<()> {
    let folder = JobFolder::new(&manifest())?;
    let mut job = start(&folder, &[])?;
    assert_eq!(stop(&mut job)?, Some(130));
    folder.write("job.yaml", manifest().replace("size: 500ms", "size: 1s"))?;

    let latest = folder.run(&[])?;
    let exported = say(&folder, &["state", "export", "job.yaml"])?;

    for output in [latest, exported] {
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        for part in ["spec.pipeline.window.tumbling.size", "`500ms`", "`1s`"] {
            assert!(said.contains(part), "{part} is not in: {said}");
        }
    }
    Ok(())
}

#[cfg(feature = "faults")]
#[test]
fn a_fresh_start_completes_the_output_of_the_life_that_it_ends() -> Result<()> {
    for killed_once_more in [false, true] {
        let folder = JobFolder::new(&manifest())?;
        let listed = killed_before_it_published(&folder)?;
        assert!(!listed.exists());

        let mut words = &["--fresh", "--discard-state"][..];
        if killed_once_more {
            kill_at(&folder, "publish.rename.before=kill@1", words)?;
            words = &[];
        }
        let fresh = folder.run(words)?;
        let complete = listed.exists();
        let before = visits(folder.rows("out")?)?;
        // Either of what the refusal advises.
        let url = if killed_once_more { "new" } else { "out" };
        if killed_once_more {
            folder.write("job.yaml", manifest().replace("url: out", "url: new"))?;
        } else {
            fs::rename(folder.path().join("out"), folder.path().join("old"))?;
        }
        let again = folder.run(&[])?;

        // The new life may not put its files beside those of the old one.
        let said = stderr(&fresh);
        assert_eq!(fresh.status.code(), Some(1), "{said}");
        let refused = "which this run did not write: empty the folder or choose another `url`";
        assert!(said.contains(refused), "{said}");
        assert!(complete, "the last epoch is not complete: {said}");
        assert!(again.status.success(), "{}", stderr(&again));
        let all = visits(folder.rows(url)?)?;
        assert_eq!(all.values().sum::<i64>(), i64::try_from(super::ROWS)?);
        assert!(before.iter().all(|(window, count)| all[window] == *count), "the old life put out the same");
    }
    Ok(())
}

#[cfg(feature = "faults")]
#[test]
fn a_fresh_start_gives_up_output_whose_folder_was_emptied() -> Result<()> {
    let folder = JobFolder::new(&manifest())?;
    killed_before_it_published(&folder)?;
    fs::remove_dir_all(folder.path().join("out"))?;

    let fresh = folder.run(&["--fresh", "--discard-state"])?;
    let again = folder.run(&[])?;

    let said = stderr(&fresh);
    assert!(fresh.status.success(), "{said}");
    assert!(said.contains("is given up with its state"), "{said}");
    assert!(again.status.success(), "{}", stderr(&again));
    let total: i64 = visits(folder.rows("out")?)?.values().sum();
    assert_eq!(total, i64::try_from(super::ROWS)?);
    Ok(())
}

/// Kills the job between the commit of an epoch and the publication of its output; where the list of its files would be.
#[cfg(feature = "faults")]
fn killed_before_it_published(folder: &JobFolder) -> Result<std::path::PathBuf> {
    kill_at(folder, "publish.rename.before=kill@3", &[])?;
    let last = newest(folder).expect("a checkpoint");
    Ok(folder.path().join("out").join(format!("_epoch-{last}.json")))
}

/// Runs the job until it is killed at a fail point.
#[cfg(feature = "faults")]
fn kill_at(folder: &JobFolder, fail_point: &str, words: &[&str]) -> Result<()> {
    let mut command = Command::new(streamjob());
    command.args(["run", "job.yaml"]).args(words).current_dir(folder.path());
    let killed = command.env("STREAMJOB_FAIL_POINT", fail_point).output()?;
    assert!(killed.status.code().is_none(), "killed by a signal: {}", stderr(&killed));
    Ok(())
}

/// The result rows of the epochs up to this one.
fn published_up_to(folder: &JobFolder, last: u64) -> Result<Vec<serde_json::Value>> {
    let mut rows = Vec::new();
    for epoch in 0..=last {
        let manifest = folder.path().join(format!("out/_epoch-{epoch}.json"));
        let Ok(text) = fs::read_to_string(manifest) else { continue };
        let listed: serde_json::Value = serde_json::from_str(&text)?;
        for file in listed["files"].as_array().into_iter().flatten() {
            let name = file["name"].as_str().unwrap_or_default();
            for line in fs::read_to_string(folder.path().join("out").join(name))?.lines() {
                rows.push(serde_json::from_str(line)?);
            }
        }
    }
    Ok(rows)
}
