//! The topic of progress: how little of it a start reads, and what becomes of a job whose topic is gone.
//!
//! Owns: that the log says where to read, and that what is lost is noticed.
//! Never: kills a job within a transaction: `durability/topics` does.

use std::collections::BTreeMap;
use std::fs;
use std::process::Child;

use anyhow::{Result, bail, ensure};
use serde_json::Value;
use streamjob_tests::job::JobFolder;
use streamjob_tests::kafka::{Cluster, ClusterSpec, Producing, Record, shared};
use streamjob_tests::process::Signal;

use super::sink::manifest;
use super::{WITHIN, ends, eventually, start_with};

const TOPIC: &str = "__streamjob_progress";
const OTHERS: u64 = 3_000;

fn job(cluster: &Cluster, topic: &str) -> Result<JobFolder> {
    cluster.create_topic(topic, 3, &[])?;
    // Slow enough not to end before it is killed.
    let manifest =
        manifest(cluster, topic, "ExactlyOnce").replace("rowsPerSecond: 20000", "rowsPerSecond: 4000");
    JobFolder::new(&manifest)
}

/// What the newest epoch's record says.
#[derive(Clone, Copy)]
struct Newest {
    epoch: u64,
    /// The offset from which progress is read.
    progress_from: u64,
    /// Whether it has output, which nobody has noted yet as published.
    owes: bool,
}

fn newest(job: &JobFolder, topic: &str) -> Result<Option<Newest>> {
    let log = job.path().join(".streamjob").join(topic).join("log");
    let mut newest = BTreeMap::new();
    for entry in fs::read_dir(log).into_iter().flatten().flatten() {
        // Retention may have been quicker.
        let Ok(text) = fs::read_to_string(entry.path()) else { continue };
        let record = serde_json::from_str::<Value>(&text)?["record"].take();
        let epoch = record["body"]["epoch"]["checkpoint"]["epoch"].as_u64();
        let owes = record["unpublished"] == record["seq"];
        let noted = epoch.zip(record["progressFrom"].as_u64());
        let noted = noted.map(|(epoch, progress_from)| Newest { epoch, progress_from, owes });
        newest.extend(noted.map(|noted| (entry.file_name(), noted)));
    }
    Ok(newest.pop_last().map(|(_, noted)| noted))
}

/// Starts the job and waits until its log says that progress is read from some offset on.
fn start_until(job: &JobFolder, topic: &str, from: u64) -> Result<Child> {
    let child = job.start(&[])?;
    eventually("progress in the log", || {
        Ok(newest(job, topic)?.is_some_and(|noted| noted.progress_from >= from))
    })?;
    Ok(child)
}

fn kill(mut child: Child) -> Result<()> {
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// Kills the job at an epoch that has output: only then is it of interest what is published. That epoch.
fn killed_with_output(job: &JobFolder, topic: &str) -> Result<u64> {
    for _ in 0..20 {
        let before = newest(job, topic)?.map_or(0, |noted| noted.epoch);
        let child = job.start(&[])?;
        let further = |noted: Newest| noted.progress_from >= 4 && noted.epoch > before && noted.owes;
        eventually("an epoch with output", || Ok(newest(job, topic)?.is_some_and(further)))?;
        kill(child)?;
        // It may have gone on before it was dead.
        if let Some(Newest { epoch, owes: true, .. }) = newest(job, topic)? {
            return Ok(epoch);
        }
    }
    bail!("each of 20 kills met an epoch without output")
}

/// `name=` in a line of the log.
fn field(line: &str, name: &str) -> Option<u64> {
    line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}

#[test]
fn a_start_reads_only_the_progress_that_the_log_does_not_know_of() -> Result<()> {
    let (cluster, topic) = (shared(), "reads-little");
    let job = job(cluster, topic)?;
    kill(start_until(&job, topic, 1)?)?;
    let others: Vec<Record> =
        (0..OTHERS).map(|i| Record::of(r#"{"version":1,"epoch":1}"#).keyed(format!("{i:032x}/0"))).collect();
    cluster.produce(TOPIC, 0, &others, Producing::default())?;
    kill(start_until(&job, topic, OTHERS)?)?;

    let mut running = start_with(&job, &["--log", "info,streamjob_worker=debug"])?;
    let line = running.wait_for_line("progress was read", WITHIN)?;
    running.signal(Signal::Kill)?;
    ends(running)?;

    let (from, records) = (field(&line, "from"), field(&line, "records"));
    assert!(from >= Some(OTHERS), "{line}");
    // Tests beside this one write there, too.
    assert!(records.is_some_and(|records| records < OTHERS / 2), "{line}");
    Ok(())
}

#[test]
fn a_topic_of_progress_that_was_made_anew_is_noticed_and_going_back_on_purpose_goes_on() -> Result<()> {
    let (cluster, topic) = (Cluster::start(ClusterSpec::default())?, "lost-progress");
    let job = job(&cluster, topic)?;
    let epoch = killed_with_output(&job, topic)?;
    cluster.delete_topic(TOPIC)?;

    let refused = job.run(&[])?;
    let restored = job.run(&["--from", &epoch.to_string()])?;
    let after = job.run(&[])?;

    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    ensure!(said.contains("the topic was deleted and made anew") && said.contains("--from EPOCH"), "{said}");
    let said = String::from_utf8_lossy(&restored.stderr).into_owned();
    assert!(restored.status.success(), "{said}");
    assert!(after.status.success(), "{}", String::from_utf8_lossy(&after.stderr));
    Ok(())
}
