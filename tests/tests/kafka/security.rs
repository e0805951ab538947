//! Clusters that ask who is there, and that have several brokers.
//!
//! Owns: SASL, refused passwords, secrets that show nowhere, the loss of one of three brokers.
//! Never: tests what is read.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use streamjob_tests::admin;
use streamjob_tests::job::{JobFolder, streamjob};
use streamjob_tests::kafka::{Cluster, ClusterSpec, Producing, Record, Security};
use streamjob_tests::process::{Running, Signal};

use super::{TopicJob, ends, eventually, expected, fails, results, row, start, start_with};

/// Stands in no file and no message.
const CANARY: &str = "canary-5b1f-not-to-be-seen";

fn with_user(plain: bool) -> Result<Cluster> {
    let user = Some(("reader".to_owned(), CANARY.to_owned()));
    let security = Security { user, plain, ..Security::default() };
    let cluster = Cluster::start(ClusterSpec { security, ..ClusterSpec::default() })?;
    cluster.create_topic("clicks", 1, &[])?;
    let records: Vec<Record> = (0..10).map(|n| row("k", n, 20_000 * n)).collect();
    cluster.produce("clicks", 0, &records, Producing::default())?;
    Ok(cluster)
}

fn job(cluster: &Cluster, mechanism: &str, password: &str) -> Result<JobFolder> {
    let folder = TopicJob::default().folder(cluster, "clicks")?;
    let manifest = fs::read_to_string(folder.path().join("job.yaml"))?;
    let sasl =
        format!(", sasl: {{mechanism: {mechanism}, username: reader, password: {{file: password}}}}}}");
    let manifest = manifest.replacen("\"}, topics", &format!("\"{sasl}, topics"), 1);
    folder.write("job.yaml", manifest)?;
    folder.write("password", format!("{password}\n"))?;
    Ok(folder)
}

/// The files under a folder that hold the secret, but for the one that it is read from.
fn leaks(folder: &Path, found: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            leaks(&path, found)?;
        } else if path.is_file() && path.file_name().is_some_and(|name| name != "password") {
            let content = fs::read(&path)?;
            if content.windows(CANARY.len()).any(|part| part == CANARY.as_bytes()) {
                found.push(path.display().to_string());
            }
        }
    }
    Ok(())
}

#[test]
fn a_password_lets_a_job_in_and_shows_nowhere() -> Result<()> {
    for (plain, mechanism) in [(false, "SCRAM-SHA-512"), (true, "PLAIN")] {
        let cluster = with_user(plain)?;
        let folder = job(&cluster, mechanism, CANARY)?;
        let wrong = job(&cluster, mechanism, &format!("{CANARY}-wrong"))?;

        let ended = ends(start(&folder)?)?;
        let refused = fails(&wrong)?;

        ensure!(ended.code == Some(0), "{}: {}", ended.shown(), ended.said);
        assert_eq!(results(&folder)?, expected((0..10).map(|n| ("k", n, 20_000 * n))));
        assert!(refused.contains("refuses to") && refused.contains("check `tls` and `sasl`"), "{refused}");
        let mut found = Vec::new();
        leaks(folder.path(), &mut found)?;
        leaks(wrong.path(), &mut found)?;
        assert!(!ended.said.contains(CANARY) && !refused.contains(CANARY) && found.is_empty(), "{found:?}");
        if !plain {
            shows_nowhere_while_it_runs(&cluster)?;
            lets_a_sink_in_or_says_why_not(&cluster)?;
        }
    }
    Ok(())
}

/// Leaves the password where it is read from, but not in what a crash leaves behind nor in what the job serves.
fn shows_nowhere_while_it_runs(cluster: &Cluster) -> Result<()> {
    let folder = job(cluster, "SCRAM-SHA-512", CANARY)?;
    let manifest = fs::read_to_string(folder.path().join("job.yaml"))?;
    folder.write("job.yaml", manifest.replacen(", until: Latest", "", 1).replacen("1h", "0s", 1))?;
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -c unlimited; exec \"$@\"", "sh"]).arg(streamjob());
    command.args(["run", "job.yaml", "--admin", "127.0.0.1:0"]).current_dir(folder.path());
    let mut running = Running::start(command)?;
    let address = admin::address(&running)?;
    eventually("nine windows fire", || Ok(results(&folder)?.len() == 9))?;

    let served = [admin::get(&address, "/metrics")?, admin::get(&address, "/healthz")?].concat();
    let filter = fs::read_to_string(format!("/proc/{}/coredump_filter", running.pid()))?;
    running.signal(Signal::Abort)?;
    let ended = ends(running)?;

    ensure!(ended.signal == Some(6), "{}: {}", ended.shown(), ended.said);
    assert_eq!(filter.trim(), "00000000");
    assert!(served.contains("streamjob_source_rows") && !served.contains(CANARY), "{served}");
    let mut found = Vec::new();
    leaks(folder.path(), &mut found)?;
    assert!(!ended.said.contains(CANARY) && found.is_empty(), "{found:?}");
    // Elsewhere cores may go to a folder or program of the system's.
    if fs::read_to_string("/proc/sys/kernel/core_pattern")?.trim() == "core" {
        let cores = fs::read_dir(folder.path())?.flatten();
        let cores = cores.filter(|file| file.file_name().to_string_lossy().starts_with("core"));
        assert_eq!(cores.count(), 1, "there is a core file to look into");
    }
    Ok(())
}

fn lets_a_sink_in_or_says_why_not(cluster: &Cluster) -> Result<()> {
    cluster.create_topic("counts", 1, &[])?;
    let sasl = "sasl: {mechanism: SCRAM-SHA-512, username: reader, password: {file: password}}";
    for (delivery, password) in [("ExactlyOnce", "wrong"), ("AtLeastOnce", "wrong"), ("ExactlyOnce", CANARY)]
    {
        let manifest = super::sink::manifest(cluster, "counts", delivery);
        let folder = JobFolder::new(&manifest.replacen("\"}, topic", &format!("\", {sasl}}}, topic"), 1))?;
        folder.write("password", password)?;

        let ended = ends(start(&folder)?)?;

        let refused = "refuses to tell its id: ";
        assert_eq!(ended.said.contains(refused), password == "wrong", "{}", ended.said);
        assert_eq!(ended.code, Some(i32::from(password == "wrong")), "{}", ended.said);
        assert!(!ended.said.contains(CANARY), "a secret shows");
    }
    Ok(())
}

/// The password is changed at the cluster and, later, in the job's file; all connections are made anew meanwhile. The client that
/// looks after topics goes on being refused, and must not hold up the end.
#[test]
fn a_password_that_is_changed_while_a_job_runs_is_picked_up() -> Result<()> {
    for delivery in ["ExactlyOnce", "AtLeastOnce"] {
        let cluster = with_user(false)?;
        cluster.create_topic("counts", 1, &[])?;
        cluster.set_password("job", CANARY)?;
        let endless =
            TopicJob { kafka: "", event_time: "{field: ts, idleTimeout: 0s}", ..TopicJob::default() };
        let folder = endless.folder(&cluster, "clicks")?;
        let sasl = "sasl: {mechanism: SCRAM-SHA-512, username: job, password: {file: password}}";
        let manifest = fs::read_to_string(folder.path().join("job.yaml"))?;
        let sink =
            format!("sink: {{kafka: {{topic: counts, delivery: {delivery}}}, format: {{json: {{}}}}}}");
        let manifest = manifest.replacen("\"}, topics", &format!("\", {sasl}}}, topics"), 1);
        folder.write("job.yaml", manifest.replacen("sink: {files: {url: out}}", &sink, 1))?;
        folder.write("password", CANARY)?;
        let windows = |cluster: &Cluster| -> Result<usize> {
            let read = cluster.consume("counts")?.into_iter();
            let windows = read.filter_map(|read| read.record.payload).map(|json| {
                let row: serde_json::Value = serde_json::from_slice(&json)?;
                Ok(row["window_start"].as_i64())
            });
            Ok(windows.collect::<Result<std::collections::BTreeSet<_>>>()?.len())
        };
        let mut running = start(&folder)?;
        eventually("nine windows fire", || Ok(windows(&cluster)? == 9))?;

        let other = format!("{CANARY}-2");
        cluster.set_password("job", &other)?;
        cluster.signal(0, Signal::Kill)?;
        cluster.restart(0)?;
        let more: Vec<Record> = (10..15).map(|n| row("k", n, 20_000 * n)).collect();
        cluster.produce("clicks", 0, &more, Producing::default())?;
        std::thread::sleep(Duration::from_secs(3));
        let (meanwhile, lives) = (windows(&cluster)?, !running.has_ended()?);
        folder.write("password", &other)?;
        let read = eventually("the records are read", || Ok(windows(&cluster)? == 14));
        read.with_context(|| running.said())?;
        running.signal(Signal::Terminate)?;
        let asked = Instant::now();
        let ended = ends(running)?;
        let took = asked.elapsed();

        ensure!(took < Duration::from_secs(20), "{delivery}, the end took {took:?}: {}", ended.said);
        ensure!(lives && meanwhile == 9, "{delivery}, {meanwhile} windows: {}", ended.said);
        ensure!(ended.code == Some(143), "{delivery}, {}: {}", ended.shown(), ended.said);
        assert!(!ended.said.contains(CANARY), "a secret shows");
    }
    Ok(())
}

#[test]
fn one_of_three_brokers_may_be_lost_even_the_one_that_is_near() -> Result<()> {
    let near = "org.apache.kafka.common.replica.RackAwareReplicaSelector";
    let properties = vec![("replica.selector.class".to_owned(), near.to_owned())];
    let cluster = Cluster::start(ClusterSpec { brokers: 3, properties, ..ClusterSpec::default() })?;
    cluster.create_topic("clicks", 3, &[("min.insync.replicas", "1")])?;
    let job = TopicJob {
        cluster: ", properties: [{name: client.rack, value: zone-2}]",
        kafka: "",
        event_time: "{field: ts, idleTimeout: 0s}",
        ..TopicJob::default()
    };
    let folder = job.folder(&cluster, "clicks")?;
    let write = |cluster: &Cluster, from: i64| -> Result<()> {
        for partition in 0..3 {
            let records: Vec<Record> = (from..from + 10).map(|n| row("k", n, 20_000 * n)).collect();
            cluster.produce("clicks", partition, &records, Producing::default())?;
        }
        Ok(())
    };
    let found = || -> Result<i64> { Ok(results(&folder)?.into_values().map(|(rows, _)| rows).sum()) };
    write(&cluster, 0)?;
    let mut running = start_with(&folder, &["--log", "info,streamjob_fetch=debug"])?;
    eventually("what is before is read", || Ok(found()? == 27))?;
    let said = running.said();
    ensure!(said.contains("reads from the replica that is near") && said.contains("broker=2"), "{said}");

    cluster.signal(1, Signal::Kill)?;
    write(&cluster, 10)?;
    let read = eventually("their records are read", || Ok(found()? == 57));
    read.with_context(|| running.said())?;
    cluster.restart(1)?;
    running.signal(Signal::Terminate)?;
    let ended = ends(running)?;

    ensure!(ended.code == Some(143), "{}: {}", ended.shown(), ended.said);
    let rows = (0..19).flat_map(|n| std::iter::repeat_n(("k", n, 20_000 * n), 3));
    assert_eq!(results(&folder)?, expected(rows));
    Ok(())
}
