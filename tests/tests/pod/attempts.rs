//! Failures that may pass: the process stays, the attempt is made again; and output that nobody takes.
//!
//! Owns: topics that grow and brokers that freeze under a pod.
//! Never: ends a pod to have it go on.

use std::time::Duration;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use streamjob_checkpoint::record::Body;
use streamjob_crds::worker::{StopState, WorkerPhase, WorkerStatus};
use streamjob_tests::kafka::{Cluster, ClusterSpec, Producing, Record, shared};
use streamjob_tests::pod::{Pod, PodJob};
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

/// The broker freezes, and only what is made afterwards is sure to wait for it: not every checkpoint has output.
#[test]
fn a_hand_over_whose_output_nobody_takes_has_no_final_record_and_the_job_goes_on() -> Result<()> {
    let cluster = Cluster::start(ClusterSpec::default())?;
    cluster.create_topic("out", 1, &[])?;
    let mut spec = endless();
    spec["pipeline"]["window"] = json!({"tumbling": {"size": "50ms"}});
    spec["pipeline"]["sink"] = json!({
        "kafka": {"cluster": {"bootstrapServers": cluster.bootstrap()}, "topic": "out"},
        "format": {"json": {}},
    });
    let job = PodJob::new(&spec)?;
    let pod = job.start(1, &[])?;
    pod.wait_for_checkpoints(3)?;
    cluster.signal(0, Signal::Stop)?;
    pod.wait("output waits for the broker", |status| status.unpublished_bytes > 0)?;

    let (first, taken_back) = hand_over(&pod, Duration::from_secs(3))?;
    let frozen = (pod.status()?, pod.get("/healthz")?.code, head(&job)?);
    // Nothing runs, and what begins waits for the broker.
    let (again, taken_back_again) = hand_over(&pod, Duration::from_secs(3))?;
    cluster.signal(0, Signal::Continue)?;
    pod.wait("it goes on", |status| status.phase == WorkerPhase::Running && status.attempt > 1)?;
    let last = pod.stops("op-2", SOON)?;

    assert_eq!((first, again), (StopState::Stopping, StopState::Stopping));
    assert!(
        taken_back.max(taken_back_again) < Duration::from_secs(1),
        "{taken_back:?}, {taken_back_again:?}"
    );
    assert!(!matches!(frozen.2.body, Body::Final { .. }), "{:?}", frozen.2);
    assert_eq!((frozen.0.phase, frozen.1), (WorkerPhase::Starting, 200), "{:?}", frozen.0);
    assert_eq!(last.state, StopState::Stopped);
    Ok(())
}

/// Asks for a hand-over that cannot be; the first answer, and how long after its deadline it is said to be taken back.
fn hand_over(pod: &Pod, within: Duration) -> Result<(StopState, Duration)> {
    let deadline = Timestamp::now() + SignedDuration::try_from(within)?;
    let first = pod.stop_by("op-2", deadline)?.state;
    let resumed = |status: &WorkerStatus| {
        status.operation.as_ref().is_some_and(|operation| operation.result == "Resumed")
    };
    pod.wait("it is taken back", resumed)?;
    let late = Timestamp::now().duration_since(deadline);
    assert_eq!(pod.stop_by("op-2", deadline)?.state, StopState::Resumed);
    Ok((first, Duration::try_from(late)?))
}
