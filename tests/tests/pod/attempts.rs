//! Failures that may pass: the process stays, and the attempt is made again.
//!
//! Owns: topics that grow under a pod.
//! Never: ends a pod to have it go on.

use anyhow::Result;
use serde_json::json;
use streamjob_tests::kafka::{Producing, Record, shared};
use streamjob_tests::pod::PodJob;

use super::endless;

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
