//! What is read, in what order it is read on, and where a job ends.
//!
//! Owns: bounded and endless jobs, restarts, where partitions begin, idleness, groups.
//! Never: tests a format by itself.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use streamjob_tests::admin;
use streamjob_tests::job::streamjob;
use streamjob_tests::kafka::{Producing, Record, shared};
use streamjob_tests::process::{Running, Signal};

use super::{TopicJob, WITHIN, ends, eventually, expected, results, row, start, topic};

/// Row `i` of partition `p`: key, number, event time.
fn made(p: i32, i: i64) -> (&'static str, i64, i64) {
    (["a", "b", "c", "d", "e", "f", "g"][((i * 3 + i64::from(p)) % 7) as usize], i, i * 37 + i64::from(p))
}

fn fill(topic: &str, partition: i32, rows: std::ops::Range<i64>, codec: Option<&str>) -> Result<()> {
    let records: Vec<Record> = rows
        .map(|i| {
            let (key, n, ts) = made(partition, i);
            row(key, n, ts)
        })
        .collect();
    shared().produce(topic, partition, &records, Producing { codec, transaction: None })
}

fn model(partitions: i32, rows: i64) -> std::collections::BTreeMap<(String, i64), (i64, i64)> {
    expected((0..partitions).flat_map(|p| (0..rows).map(move |i| made(p, i))))
}

#[test]
fn a_bounded_job_reads_every_record_of_every_codec_once() -> Result<()> {
    let name = topic(3, &[])?;
    let codecs = [None, Some("gzip"), Some("snappy"), Some("lz4"), Some("zstd")];
    for partition in 0..3 {
        for (i, codec) in (0..).zip(codecs) {
            fill(&name, partition, i * 2_000..(i + 1) * 2_000, codec)?;
        }
    }
    let folder = TopicJob::default().folder(shared(), &name)?;

    folder.run_well(&[])?;

    assert_eq!(results(&folder)?, model(3, 10_000));
    fill(&name, 0, 0..10, None)?;
    folder.run_well(&[])?;
    assert_eq!(results(&folder)?, model(3, 10_000));
    Ok(())
}

#[test]
fn a_job_that_is_killed_again_and_again_gives_the_same() -> Result<()> {
    let name = topic(3, &[])?;
    let rows = 40_000;
    for partition in 0..3 {
        fill(&name, partition, 0..rows, Some("lz4"))?;
    }
    let job = TopicJob { event_time: "{field: ts, maxOutOfOrderness: 1h}", ..TopicJob::default() };
    let folder = job.folder(shared(), &name)?;
    let mut kills = 0;

    for round in 0..8 {
        let mut running = start(&folder)?;
        std::thread::sleep(Duration::from_millis(150 + 60 * round));
        if running.has_ended()? {
            break;
        }
        running.signal(Signal::Kill)?;
        kills += u32::from(ends(running)?.was_killed());
    }
    folder.run_well(&[])?;

    ensure!(kills > 0, "nothing was killed");
    assert_eq!(results(&folder)?, model(3, rows));
    Ok(())
}

#[test]
fn partitions_begin_and_end_where_the_manifest_says() -> Result<()> {
    let name = topic(2, &[])?;
    let records: Vec<Record> =
        (0..100).map(|i| Record { timestamp_ms: Some(1_000 * i + 1), ..row("k", i, 5) }).collect();
    shared().produce(&name, 0, &records, Producing::default())?;
    shared().produce(&name, 1, &records[..50], Producing::default())?;
    let cases = [
        (", until: Latest", 150),
        (", startFrom: Latest, until: Latest", 0),
        (", startFrom: Timestamp, startTime: \"1970-01-01T00:00:30Z\", until: Latest", 70 + 20),
        (", until: \"1970-01-01T00:01:10Z\"", 70 + 50),
        (
            ", startFrom: Timestamp, startTime: \"1970-01-01T00:00:45Z\", until: \"1970-01-01T00:00:55Z\"",
            10 + 5,
        ),
        (", until: \"1970-01-01T00:00:00Z\"", 0),
    ];
    for (kafka, rows) in cases {
        let folder = TopicJob { kafka, ..TopicJob::default() }.folder(shared(), &name)?;

        folder.run_well(&[])?;

        let found: i64 = results(&folder)?.values().map(|(rows, _)| rows).sum();
        assert_eq!(found, rows, "{kafka}");
    }
    Ok(())
}

#[test]
fn an_endless_job_fires_although_a_partition_is_silent_and_tells_its_group() -> Result<()> {
    let name = topic(2, &[])?;
    let job = TopicJob {
        kafka: ", consumerGroup: lag-of-a-test",
        event_time: "{field: ts, idleTimeout: 300ms}",
        ..TopicJob::default()
    };
    let folder = job.folder(shared(), &name)?;
    let mut running = start(&folder)?;

    for i in 0..3 {
        shared().produce(&name, 1, &[row("k", i, 20_000 * i)], Producing::default())?;
        eventually("the window before fires", || Ok(results(&folder)?.len() as i64 == i))?;
    }
    eventually("the group has the offset", || {
        Ok(shared().group_offsets("lag-of-a-test", &name, 2)?[1] == Some(3))
    })?;
    running.signal(Signal::Terminate)?;
    let ended = running.wait(WITHIN)?;

    ensure!(ended.code == Some(143), "{}: {}", ended.shown(), ended.said);
    assert_eq!(results(&folder)?, expected([("k", 0, 0), ("k", 1, 20_000)]));
    Ok(())
}

#[test]
fn partitions_that_a_topic_gains_are_read_from_their_first_record_on() -> Result<()> {
    let name = topic(1, &[])?;
    let job = TopicJob { kafka: "", event_time: "{field: ts, idleTimeout: 300ms}", ..TopicJob::default() };
    let folder = job.folder(shared(), &name)?;
    let found = || -> Result<i64> { Ok(results(&folder)?.into_values().map(|(rows, _)| rows).sum()) };
    let write = |partition: i32, key: &str, from: i64| {
        let records: Vec<Record> = (0..10).map(|n| row(key, n, from + 20_000 * n)).collect();
        shared().produce(&name, partition, &records, Producing::default())
    };
    write(0, "old", 0)?;
    let mut command = Command::new(streamjob());
    command.arg("run").arg(folder.path().join("job.yaml")).args(["--admin", "127.0.0.1:0"]);
    let mut running = Running::start(command)?;
    let address = admin::address(&running)?;
    eventually("the first partition is read", || Ok(found()? == 9))?;

    shared().grow_topic(&name, 2)?;
    write(1, "while it runs", 1_000_000)?;
    let read = eventually("the second partition is read", || Ok(found()? == 19));
    read.with_context(|| running.said())?;
    let counted = format!("streamjob_partition_rows_total{{partition=\"{name}/1\"}} 10");
    let metrics = admin::get(&address, "/metrics")?;
    assert!(metrics.contains(&counted), "{metrics}");
    running.signal(Signal::Kill)?;
    ends(running)?;
    shared().grow_topic(&name, 3)?;
    write(2, "while it is away", 2_000_000)?;
    let mut running = start(&folder)?;
    eventually("the third partition is read", || Ok(found()? == 29))?;
    running.signal(Signal::Terminate)?;
    let ended = running.wait(WITHIN)?;

    ensure!(ended.code == Some(143), "{}: {}", ended.shown(), ended.said);
    let rows = |key: &'static str, from: i64| (0..10).map(move |n| (key, n, from + 20_000 * n));
    let all =
        rows("old", 0).chain(rows("while it runs", 1_000_000)).chain(rows("while it is away", 2_000_000));
    assert_eq!(results(&folder)?, expected(all.take(29)));
    Ok(())
}
