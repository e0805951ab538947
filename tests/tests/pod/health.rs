//! Liveness and readiness.
//!
//! Owns: that an outage of others is no illness of ours, and that being stuck is one.
//! Never: waits for half a minute: the limit is an argument.

use anyhow::Result;
use streamjob_crds::worker::WorkerPhase;
use streamjob_tests::pod::PodJob;
use streamjob_tests::s3::{self, BUCKET, Kind, S3Server};

use super::endless;

#[test]
fn a_pod_whose_store_is_away_is_alive_and_not_ready_until_it_is_back() -> Result<()> {
    let mut server = S3Server::start(Kind::Versitygw)?;
    let mut spec = endless();
    spec["state"]["location"] = serde_json::json!({"uri": format!("s3://{BUCKET}/prod"), "endpoint": format!("http://{}", server.address())});
    let mut job = PodJob::new(&spec)?;
    job.environment = s3::environment().map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    server.stop();
    let pod = job.start(1, &["--stuck-seconds=2"])?;
    pod.wait("it waits", |status| status.waiting_for.is_some())?;
    std::thread::sleep(std::time::Duration::from_secs(3));

    let away = (pod.get("/healthz")?.code, pod.get("/readyz")?.code);
    server.start_again()?;
    pod.wait_for_checkpoints(1)?;
    let back = (pod.get("/healthz")?.code, pod.get("/readyz")?.code);
    server.stop();
    pod.wait("it waits again", |status| status.waiting_for.is_some())?;
    std::thread::sleep(std::time::Duration::from_secs(3));
    let again = pod.get("/healthz")?;

    assert_eq!((away, back), ((200, 503), (200, 200)));
    assert_eq!(again.code, 200, "{again:?}");
    assert_eq!(pod.status()?.phase, WorkerPhase::Running);
    Ok(())
}

#[test]
fn a_coordinator_that_does_not_come_round_makes_the_pod_unhealthy() -> Result<()> {
    let mut job = PodJob::new(&endless())?;
    job.environment =
        vec![("STREAMJOB_FAIL_POINT".to_owned(), "coordinator.turn=sleep:30000@200".to_owned())];
    let pod = job.start(1, &["--stuck-seconds=1"])?;
    pod.wait("it runs", |status| status.phase == WorkerPhase::Running)?;
    assert_eq!(pod.get("/healthz")?.code, 200);

    pod.running.wait_for_line("fail point coordinator.turn", super::SOON)?;
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    let stuck = pod.get("/healthz")?;

    assert_eq!(stuck.code, 503, "{stuck:?}");
    assert!(stuck.body.contains("has not come round"), "{stuck:?}");
    Ok(())
}

#[test]
fn metrics_are_those_of_the_job() -> Result<()> {
    let job = PodJob::new(&endless())?;
    let pod = job.start(1, &[])?;
    pod.wait_for_checkpoints(1)?;

    let metrics = pod.get("/metrics")?;

    assert_eq!(metrics.code, 200);
    for name in ["streamjob_source_rows_total", "partition=\"generator-0\""] {
        assert!(metrics.body.contains(name), "{name}: {}", metrics.body);
    }
    for path in ["/v1/stop", "/v1/savepoints", "/nothing"] {
        assert_eq!(pod.get(path)?.code, 404, "{path}");
    }
    Ok(())
}
