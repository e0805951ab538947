//! Topics that cannot be read on: the job stops with reason and remedy, and skips nothing.
//!
//! Owns: retention, topics deleted and made anew, offsets that are not there, brokers that refuse or are away.
//! Never: expects a retry to mend what no time mends.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, ensure};
use streamjob_tests::admin;
use streamjob_tests::job::JobFolder;
use streamjob_tests::kafka::{Cluster, ClusterSpec, Producing, Record, shared};
use streamjob_tests::process::Signal;

use super::{TopicJob, WITHIN, ends, eventually, expected, fails, results, row, start, start_with, topic};

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

/// Something that is no broker: it ends every connection.
struct NoBroker {
    address: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NoBroker {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let (address, stop) = (listener.local_addr()?.to_string(), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                drop(listener.accept());
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Ok(Self { address, stop, thread: Some(thread) })
    }
}

impl Drop for NoBroker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it does not panic");
        }
    }
}

#[test]
fn servers_that_cannot_be_reached_are_told_apart_while_the_job_waits_and_it_can_be_stopped() -> Result<()> {
    let odd = NoBroker::start()?;
    let cases = [
        ("127.0.0.1:1", "nothing listens there"),
        ("no-such-host.invalid:9092", "no host of this name is known here"),
        (&odd.address, "does not answer as such a broker"),
    ];
    for (servers, expected) in cases {
        let folder = TopicJob::default().folder(shared(), "whatever")?;
        let manifest = std::fs::read_to_string(folder.path().join("job.yaml"))?;
        folder.write("job.yaml", manifest.replace(&shared().bootstrap(), servers))?;
        let mut running = start_with(&folder, &["--admin", "127.0.0.1:0"])?;

        let told = running.wait_for_line(expected, WITHIN)?;
        let address = admin::address(&running)?;
        // What librdkafka says may be in the log before.
        eventually("the gauge tells of the outage", || {
            let metrics = admin::get(&address, "/metrics")?;
            let gauge = "streamjob_source_unreachable_seconds ";
            Ok(metrics.lines().any(|line| line.strip_prefix(gauge).is_some_and(|seconds| seconds != "0.0")))
        })?;
        running.signal(Signal::Interrupt)?;
        let ended = ends(running)?;

        assert!(told.contains("WARN") && told.contains("bootstrapServers"), "{servers}: {told}");
        assert_eq!(ended.code, Some(130), "{servers}, {}: {}", ended.shown(), ended.said);
        ensure!(ended.said.contains("stopped before the job has begun"), "{}", ended.said);
    }
    Ok(())
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
