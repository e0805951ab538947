//! Clusters that ask who is there, and that have several brokers.
//!
//! Owns: SASL, refused passwords, secrets that show nowhere, the loss of one of three brokers.
//! Never: tests what is read.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use streamjob_tests::job::JobFolder;
use streamjob_tests::kafka::{Cluster, ClusterSpec, Producing, Record, Security};
use streamjob_tests::process::Signal;

use super::{TopicJob, ends, eventually, expected, fails, results, row, start};

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
        } else if path.file_name().is_some_and(|name| name != "password") {
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
    }
    Ok(())
}

#[test]
fn one_of_three_brokers_may_be_lost() -> Result<()> {
    let cluster = Cluster::start(ClusterSpec { brokers: 3, ..ClusterSpec::default() })?;
    cluster.create_topic("clicks", 3, &[("min.insync.replicas", "1")])?;
    let job = TopicJob { kafka: "", event_time: "{field: ts, idleTimeout: 0s}", ..TopicJob::default() };
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
    let mut running = start(&folder)?;
    eventually("what is before is read", || Ok(found()? == 27))?;

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
