//! Topics that cannot be read on: the job stops with reason and remedy, and skips nothing.
//!
//! Owns: retention, topics deleted and made anew, offsets that are not there, brokers that refuse or are away.
//! Never: expects a retry to mend what no time mends.

use anyhow::{Result, ensure};
use streamjob_tests::job::JobFolder;
use streamjob_tests::kafka::{Cluster, ClusterSpec, Producing, Record, shared};
use streamjob_tests::process::Signal;

use super::{TopicJob, WITHIN, ends, eventually, expected, fails, results, row, start, topic};

/// A job that has read ten records, all of them in a checkpoint, and was killed.
fn read_ten(name: &str) -> Result<JobFolder> {
    let records: Vec<Record> = (0..10).map(|n| row("k", n, 20_000 * n)).collect();
    shared().produce(name, 0, &records, Producing::default())?;
    let job = TopicJob { kafka: "", event_time: "{field: ts}", ..TopicJob::default() };
    let folder = job.folder(shared(), name)?;
    let mut running = start(&folder)?;
    eventually("nine windows fire", || Ok(results(&folder)?.len() == 9))?;
    running.signal(Signal::Kill)?;
    ends(running)?;
    Ok(folder)
}

#[test]
fn retention_that_passed_the_position_stops_the_job() -> Result<()> {
    let name = topic(1, &[])?;
    let folder = read_ten(&name)?;
    let more: Vec<Record> = (10..20).map(|n| row("k", n, 20_000 * n)).collect();
    shared().produce(&name, 0, &more, Producing::default())?;
    shared().delete_records(&name, 0, 15)?;

    let said = fails(&folder)?;

    assert!(said.contains(&format!("records 10 to 14 of {name}/0 are gone")), "{said}");
    assert!(said.contains("SourceDataLost") && said.contains("--fresh"), "{said}");
    assert_eq!(results(&folder)?.len(), 9);
    Ok(())
}

#[test]
fn a_topic_that_was_made_anew_or_is_gone_stops_the_job_at_its_start() -> Result<()> {
    let name = topic(1, &[])?;
    let folder = read_ten(&name)?;
    shared().delete_topic(&name)?;
    let gone = fails(&folder)?;
    shared().create_topic(&name, 1, &[])?;
    let records: Vec<Record> = (0..30).map(|n| row("k", n, 20_000 * n)).collect();
    shared().produce(&name, 0, &records, Producing::default())?;

    let anew = fails(&folder)?;

    assert!(gone.contains(&format!("topic {name} is gone")), "{gone}");
    assert!(anew.contains("SourceTopicRecreated"), "{anew}");
    assert_eq!(results(&folder)?.len(), 9);
    Ok(())
}

#[test]
fn a_topic_that_is_made_anew_under_a_running_job_stops_it() -> Result<()> {
    let name = topic(1, &[])?;
    let folder = read_ten(&name)?;
    let running = start(&folder)?;
    running.wait_for_line("checkpoint", WITHIN)?;
    shared().delete_topic(&name)?;
    shared().create_topic(&name, 1, &[])?;

    let ended = ends(running)?;

    ensure!(ended.code == Some(1), "{}: {}", ended.shown(), ended.said);
    let said = ended.said;
    assert!(said.contains("SourceTopicRecreated") || said.contains("SourceTopicGone"), "{said}");
    Ok(())
}

#[test]
fn what_the_manifest_asks_for_and_is_not_there_is_told() -> Result<()> {
    let name = topic(2, &[])?;
    shared().produce(&name, 0, &[row("k", 0, 0)], Producing::default())?;
    let said = |kafka: &'static str, topics: &str| {
        fails(&TopicJob { kafka, ..TopicJob::default() }.folder(shared(), topics)?)
    };

    let missing = said("", "nowhere")?;
    let offsets = ", startFrom: Offsets, startOffsets: [{topic: TOPIC, partition: 0, offset: 2}]";
    let offsets: &'static str = Box::leak(offsets.replace("TOPIC", &name).into_boxed_str());
    let beyond = said(offsets, &name)?;

    assert!(missing.contains("there is no topic `nowhere`"), "{missing}");
    assert!(beyond.contains("at 2, and it has the offsets 0 to 1"), "{beyond}");
    Ok(())
}

#[test]
fn a_broker_that_dies_is_waited_for() -> Result<()> {
    let cluster = Cluster::start(ClusterSpec::default())?;
    cluster.create_topic("clicks", 1, &[])?;
    let rows = |range: std::ops::Range<i64>| range.map(|n| row("k", n, 20_000 * n)).collect::<Vec<_>>();
    cluster.produce("clicks", 0, &rows(0..10), Producing::default())?;
    let job = TopicJob { kafka: "", event_time: "{field: ts, idleTimeout: 500ms}", ..TopicJob::default() };
    let folder = job.folder(&cluster, "clicks")?;
    let mut running = start(&folder)?;
    eventually("nine windows fire", || Ok(results(&folder)?.len() == 9))?;

    cluster.signal(0, Signal::Kill)?;
    let beginning = job.folder(&cluster, "clicks")?;
    let waiting = start(&beginning)?;
    waiting.wait_for_line("Kafka", WITHIN)?;
    cluster.restart(0)?;
    cluster.produce("clicks", 0, &rows(10..20), Producing::default())?;
    eventually("the other windows fire", || Ok(results(&folder)?.len() == 19))?;
    drop(waiting);
    running.signal(Signal::Interrupt)?;
    let ended = ends(running)?;

    ensure!(ended.code == Some(130), "{}: {}", ended.shown(), ended.said);
    assert_eq!(results(&folder)?, expected((0..19).map(|n| ("k", n, 20_000 * n))));
    Ok(())
}
