//! What happens to topics while a job reads them: it stops with reason and remedy, or it waits; it skips nothing.
//!
//! Owns: retention, deletion, damage and lost records under a job; a partition that runs ahead.
//! Never: expects a retry to mend what no time mends.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use streamjob_tests::admin;
use streamjob_tests::job::{JobFolder, streamjob};
use streamjob_tests::kafka::{Cluster, ClusterSpec, Producing, Record, shared};
use streamjob_tests::process::{Running, Signal};

use super::{TopicJob, WITHIN, ends, eventually, expected, fails, results, row, start, topic};

fn rows(range: std::ops::Range<i64>) -> Vec<Record> {
    range.map(|n| row("k", n, 20_000 * n)).collect()
}

/// A job that has read the ten records of a topic, and runs.
fn reading_ten(cluster: &Cluster, name: &str) -> Result<(JobFolder, Running)> {
    cluster.produce(name, 0, &rows(0..10), Producing::default())?;
    let job = TopicJob { kafka: "", event_time: "{field: ts}", ..TopicJob::default() };
    let folder = job.folder(cluster, name)?;
    let running = start(&folder)?;
    eventually("nine windows fire", || Ok(results(&folder)?.len() == 9))?;
    Ok((folder, running))
}

fn says(running: Running, code: i32) -> Result<String> {
    let ended = ends(running)?;
    ensure!(ended.code == Some(code), "{}: {}", ended.shown(), ended.said);
    Ok(ended.said)
}

#[test]
fn retention_that_overtakes_a_job_while_it_is_frozen_stops_it() -> Result<()> {
    let name = topic(1, &[])?;
    let (folder, mut running) = reading_ten(shared(), &name)?;
    running.signal(Signal::Stop)?;
    // What it has asked for before is answered with nothing meanwhile.
    std::thread::sleep(Duration::from_millis(500));
    shared().produce(&name, 0, &rows(10..20), Producing::default())?;
    shared().delete_records(&name, 0, 15)?;
    running.signal(Signal::Continue)?;

    let said = says(running, 1)?;

    assert!(said.contains(&format!("records 10 to 14 of {name}/0 are gone")), "{said}");
    assert!(said.contains("SourceDataLost") && said.contains("--fresh"), "{said}");
    assert_eq!(results(&folder)?.len(), 9);
    Ok(())
}

#[test]
fn a_topic_that_is_deleted_under_a_job_stops_it() -> Result<()> {
    let name = topic(1, &[])?;
    let (folder, running) = reading_ten(shared(), &name)?;

    shared().delete_topic(&name)?;
    let said = says(running, 1)?;

    assert!(said.contains(&format!("topic {name} is gone")) && said.contains("SourceTopicGone"), "{said}");
    assert_eq!(results(&folder)?.len(), 9);
    Ok(())
}

#[test]
fn a_batch_that_was_damaged_on_the_brokers_disk_stops_the_job_at_its_first_record() -> Result<()> {
    let name = topic(1, &[])?;
    shared().produce(&name, 0, &rows(0..10), Producing::default())?;
    let segment = shared().first_segment(0, &name, 0);
    let healthy = segment.metadata()?.len();
    shared().produce(&name, 0, &rows(10..20), Producing::default())?;
    let job = TopicJob::default().folder(shared(), &name)?;
    let flip = |at: u64| -> Result<()> {
        let file: File = OpenOptions::new().read(true).write(true).open(&segment)?;
        let mut byte = [0];
        file.read_exact_at(&mut byte, at)?;
        Ok(file.write_all_at(&[byte[0] ^ 0x04], at)?)
    };
    // A digit of a number: it would still be one.
    let content = std::fs::read(&segment)?;
    let within = content[healthy as usize..].windows(4).position(|text| text == b"\"n\":");
    let at = healthy + within.context("the record has a number")? as u64 + 4;

    flip(at)?;
    let said = fails(&job)?;
    flip(at)?;
    job.run_well(&[])?;

    assert!(said.contains(&format!("the records of {name}/0 from offset 10 on cannot be read")), "{said}");
    assert!(said.contains("the broker's copy is damaged: restore it from a replica"), "{said}");
    assert_eq!(results(&job)?, expected((0..20).map(|n| ("k", n, 20_000 * n))));
    Ok(())
}

#[test]
fn a_partition_that_lost_what_was_read_of_it_stops_the_job() -> Result<()> {
    let cluster = Cluster::start(ClusterSpec::default())?;
    cluster.create_topic("clicks", 1, &[])?;
    cluster.produce("clicks", 0, &rows(0..1), Producing::default())?;
    let segment = cluster.first_segment(0, "clicks", 0);
    let kept = segment.metadata()?.len();
    let (folder, mut running) = reading_ten(&cluster, "clicks")?;
    running.signal(Signal::Kill)?;
    ends(running)?;

    cluster.signal(0, Signal::Kill)?;
    OpenOptions::new().write(true).open(&segment)?.set_len(kept)?;
    cluster.restart(0)?;
    let said = fails(&folder)?;

    let expected = "the job has read clicks/0 up to offset 11, and it ends at 1";
    assert!(
        said.contains(expected) && said.contains("SourceTruncated") && said.contains("--fresh"),
        "{said}"
    );
    Ok(())
}

/// Of all slots.
fn open_windows(address: &str) -> Result<u64> {
    let metrics = admin::get(address, "/metrics")?;
    let lines = metrics.lines().filter(|line| line.starts_with("streamjob_open_windows"));
    let counts = lines.map(|line| line.rsplit(' ').next().unwrap_or_default().parse::<u64>());
    Ok(counts.sum::<Result<u64, _>>()?)
}

#[test]
fn a_partition_that_runs_ahead_is_held_and_windows_in_memory_stay_few() -> Result<()> {
    const AHEAD: i64 = 20_000;
    let name = topic(2, &[])?;
    // A row a second; windows have 10 s.
    let far: Vec<Record> = (0..AHEAD).map(|n| row("far", n, 1_000 * n)).collect();
    shared().produce(&name, 0, &far, Producing { codec: Some("lz4"), transaction: None })?;
    shared().produce(&name, 1, &[row("slow", 0, 0)], Producing::default())?;
    let job = TopicJob {
        kafka: "",
        event_time: "{field: ts, maxDrift: 1m, idleTimeout: 0s}",
        ..TopicJob::default()
    };
    let folder = job.folder(shared(), &name)?;
    let mut command = Command::new(streamjob());
    command.arg("run").arg(folder.path().join("job.yaml"));
    command.args(["--admin", "127.0.0.1:0", "--batch-rows", "100"]);
    let mut running = Running::start(command)?;
    let address = admin::address(&running)?;

    let mut most = 0;
    for step in 1..=4 {
        // A minute ahead of the slow one, and at most a batch further; of each window every slot may have a part.
        std::thread::sleep(Duration::from_millis(400));
        most = most.max(open_windows(&address)?);
        shared().produce(&name, 1, &[row("slow", 0, step * AHEAD * 250)], Producing::default())?;
        let rows = step * AHEAD / 4 - 10;
        eventually("windows fire up to the slow one", || Ok(found(&folder)? >= rows))?;
    }
    running.signal(Signal::Terminate)?;
    let ended = running.wait(WITHIN)?;

    ensure!(ended.code == Some(143), "{}: {}", ended.shown(), ended.said);
    assert!((1..=2 * (6 + 10 + 2)).contains(&most), "{most} windows were open");
    assert_eq!(found(&folder)?, AHEAD - 10);
    Ok(())
}

/// Rows of the partition that runs ahead, in windows that have fired.
fn found(folder: &JobFolder) -> Result<i64> {
    let results = results(folder)?;
    Ok(results.iter().filter(|((key, _), _)| key == "far").map(|(_, (rows, _))| rows).sum())
}

#[test]
fn while_no_broker_answers_next_to_no_cpu_is_used() -> Result<()> {
    let cluster = Cluster::start(ClusterSpec::default())?;
    cluster.create_topic("clicks", 4, &[])?;
    cluster.create_topic("results", 4, &[])?;
    cluster.produce("clicks", 0, &rows(0..10), Producing::default())?;
    let job = TopicJob { kafka: "", event_time: "{field: ts, idleTimeout: 500ms}", ..TopicJob::default() };
    let folder = job.folder(&cluster, "clicks")?;
    let path = folder.path().join("job.yaml");
    let sink = format!(
        "{{kafka: {{cluster: {{bootstrapServers: \"{}\"}}, topic: results}}, format: {{json: {{}}}}}}",
        cluster.bootstrap()
    );
    let manifest = std::fs::read_to_string(&path)?.replace("{files: {url: out}}", &sink);
    std::fs::write(&path, manifest.replace("interval: 100ms", "interval: 2s"))?;
    let running = start(&folder)?;
    eventually("results are in the topic", || Ok(cluster.consume("results")?.len() == 9))?;

    cluster.signal(0, Signal::Kill)?;
    std::thread::sleep(Duration::from_secs(3));
    let before = running.cpu_time()?;
    std::thread::sleep(Duration::from_secs(5));
    let used = running.cpu_time()? - before;

    ensure!(used < Duration::from_millis(500), "{used:?} of CPU in 5 s");
    Ok(())
}
