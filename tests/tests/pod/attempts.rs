//! Failures that may pass: the process stays, the attempt is made again; and output that nobody takes.
//!
//! Owns: topics that grow and brokers that freeze under a pod.
//! Never: ends a pod to have it go on.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use streamjob_checkpoint::record::Body;
use streamjob_crds::worker::{StopState, WorkerPhase};
use streamjob_tests::kafka::{Cluster, ClusterSpec, Producing, Record, shared};
use streamjob_tests::pod::PodJob;
use streamjob_tests::process::Signal;

use super::{SOON, endless, head};

fn row(ts: i64) -> Record {
    Record::of(format!("{{\"page\":\"a\",\"ts\":{ts}}}"))
}

#[test]
fn a_topic_that_grows_is_read_by_the_next_attempt_of_the_same_process() -> Result<()> {
    shared().create_topic("pod-grows", 1, &[])?;
    shared().produce("pod-grows", 0, &[row(1), row(2)], Producing::default())?;
    let mut spec = endless();
    spec["pipeline"]["source"] = json!({
        "kafka": {
            "cluster": {
                "bootstrapServers": shared().bootstrap(),
                "properties": [{"name": "topic.metadata.refresh.interval.ms", "value": "1000"}],
            },
            "topics": ["pod-grows"],
        },
        "format": {"json": {}},
        "columns": [{"name": "page", "type": "String"}, {"name": "ts", "type": "TimestampMillis"}],
    });
    let job = PodJob::new(&spec)?;
    let mut pod = job.start(1, &[])?;
    let before = pod.wait("two rows are read", |status| status.records == 2)?;

    shared().grow_topic("pod-grows", 2)?;
    shared().produce("pod-grows", 1, &[row(3)], Producing::default())?;
    let after = pod.wait("the third row is read", |status| status.records == 3)?;

    assert_eq!((before.attempt, after.attempt), (1, 2));
    assert_eq!((after.started_time, after.failure), (before.started_time, None));
    assert!(!pod.running.has_ended()? && job.left_nothing());
    Ok(())
}

#[test]
fn a_hand_over_whose_output_nobody_takes_has_no_final_record_and_the_job_goes_on() -> Result<()> {
    let cluster = Cluster::start(ClusterSpec::default())?;
    cluster.create_topic("out", 1, &[])?;
    let mut spec = endless();
    spec["pipeline"]["sink"] = json!({
        "kafka": {"cluster": {"bootstrapServers": cluster.bootstrap()}, "topic": "out"},
        "format": {"json": {}},
    });
    let job = PodJob::new(&spec)?;
    let pod = job.start(1, &[])?;
    pod.wait_for_checkpoints(3)?;

    cluster.signal(0, Signal::Stop)?;
    let deadline = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(3);
    let first = pod.stop_by("op-2", deadline)?;
    std::thread::sleep(Duration::from_secs(5));
    let frozen = (pod.status()?, pod.get("/healthz")?.code, head(&job)?);
    cluster.signal(0, Signal::Continue)?;
    pod.wait("it goes on", |status| status.phase == WorkerPhase::Running && status.attempt > 1)?;
    let late = pod.stop_by("op-2", deadline)?;
    let again = pod.stops("op-2", SOON)?;

    assert_eq!(first.state, StopState::Stopping);
    assert!(!matches!(frozen.2.body, Body::Final { .. }), "{:?}", frozen.2);
    assert_eq!(frozen.1, 200, "{:?}", frozen.0);
    assert_eq!((late.state, again.state), (StopState::Resumed, StopState::Stopped));
    Ok(())
}
