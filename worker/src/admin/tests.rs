//! The admin server, asked over a socket.
//!
//! Owns: what is answered.
//! Never: looks into the server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;

use super::*;
use crate::metrics::{LastCheckpoint, PartitionStatus};

fn job() -> Arc<JobMetrics> {
    Arc::new(JobMetrics::new("clicks", 2, ["a \"1\".jsonl", "b.jsonl"].map(String::from)))
}

fn ask(admin: &Admin, path: &str) -> String {
    let mut stream = TcpStream::connect(admin.address()).expect("someone listens");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer
}

#[test]
fn metrics_name_slots_and_partitions() {
    let metrics = job();
    metrics.slots[1].rows_in.store(42, Ordering::Relaxed);
    metrics.slots[0].busy_nanos.store(1_500_000_000, Ordering::Relaxed);
    metrics.slots[0].idle_nanos.store(500_000_000, Ordering::Relaxed);
    metrics.slots[0].state_bytes.store(7, Ordering::Relaxed);
    metrics.partitions()[0].watermark_ms.store(1_500, Ordering::Relaxed);
    metrics.partitions()[0].bytes_total.store(10, Ordering::Relaxed);
    metrics.partitions()[0].bytes_done.store(4, Ordering::Relaxed);
    metrics.partitions()[1].set_status(PartitionStatus::Finished);
    let admin = Admin::start("127.0.0.1:0", metrics).expect("a free port");

    let answer = ask(&admin, "/metrics");

    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("# EOF\n"), "{answer}");
    for line in [
        "# TYPE streamjob_source_rows counter",
        "streamjob_source_rows_total{slot=\"1\"} 42",
        "streamjob_slot_busy_seconds_total{slot=\"0\"} 1.5",
        "streamjob_slot_busy_ratio{slot=\"0\"} 0.75",
        "streamjob_slot_idle_ratio{slot=\"0\"} 0.25",
        "streamjob_slot_blocked_ratio{slot=\"1\"} 0.0",
        "streamjob_state_bytes{slot=\"0\"} 7",
        "streamjob_partition_watermark_seconds{partition=\"a \\\"1\\\".jsonl\"} 1.5",
        "streamjob_partition_lag_bytes{partition=\"a \\\"1\\\".jsonl\"} 6",
        "streamjob_partition_status{partition=\"b.jsonl\",status=\"finished\"} 1",
        "streamjob_attempts_total 0",
        "streamjob_epochs_published_total 0",
        "# TYPE process_cpu_seconds counter",
    ] {
        assert!(answer.lines().any(|found| found == line), "no `{line}` in\n{answer}");
    }
    let absent = "streamjob_partition_watermark_seconds{partition=\"b.jsonl\"}";
    assert!(!answer.contains(absent), "a partition without a watermark has no sample");
}

#[test]
fn the_last_checkpoint_is_told_once_there_is_one() {
    let metrics = job();
    let admin = Admin::start("127.0.0.1:0", Arc::clone(&metrics)).expect("a free port");
    let before = ask(&admin, "/metrics");

    metrics.unpublished_bytes.store(30, Ordering::Relaxed);
    metrics.checkpoints.failed.store(2, Ordering::Relaxed);
    metrics.checkpoints.unresolved.store(true, Ordering::Relaxed);
    metrics.checkpoints.set_last(LastCheckpoint {
        epoch: 7,
        seq: 9,
        committed_ms: 0,
        committed_at: std::time::Instant::now(),
        duration: Duration::from_millis(1_500),
        waited_for: "upload",
        bytes_written: 40,
        bytes_total: 100,
    });
    let after = ask(&admin, "/metrics");

    assert!(before.lines().any(|line| line == "streamjob_checkpoints_total 0"), "{before}");
    assert!(!before.contains("streamjob_checkpoint_age_seconds"), "{before}");
    for line in [
        "streamjob_checkpoints_total 1",
        "streamjob_checkpoints_failed_total 2",
        "streamjob_checkpoint_unresolved 1",
        "streamjob_unpublished_bytes 30",
        "streamjob_checkpoint_epoch 7",
        "streamjob_checkpoint_duration_seconds 1.5",
        "streamjob_checkpoint_written_bytes 40",
        "streamjob_checkpoint_bytes 100",
        "streamjob_checkpoint_waited_for{step=\"upload\"} 1",
    ] {
        assert!(after.lines().any(|found| found == line), "no `{line}` in\n{after}");
    }
    assert!(after.contains("streamjob_checkpoint_age_seconds 0."), "{after}");
}

#[test]
fn health_follows_the_job() {
    let metrics = job();
    let admin = Admin::start("127.0.0.1:0", Arc::clone(&metrics)).expect("a free port");

    metrics.set_phase(Phase::Running);
    let running = ask(&admin, "/healthz");
    metrics.set_phase(Phase::Failed);
    let failed = ask(&admin, "/healthz");

    assert!(running.starts_with("HTTP/1.1 200 OK\r\n"), "{running}");
    assert!(running.ends_with("{\"job\":\"clicks\",\"state\":\"running\"}"), "{running}");
    assert!(failed.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{failed}");
    assert!(failed.ends_with("{\"job\":\"clicks\",\"state\":\"failed\"}"), "{failed}");
}

#[test]
fn the_first_page_lists_the_others() {
    let admin = Admin::start("127.0.0.1:0", job()).expect("a free port");

    let answers = (ask(&admin, "/"), ask(&admin, "/nothing"));

    assert!(answers.0.contains("/metrics") && answers.0.contains("/healthz"), "{}", answers.0);
    assert!(answers.1.starts_with("HTTP/1.1 404 "), "{}", answers.1);
}

#[test]
fn a_taken_port_is_named_with_a_remedy() {
    let first = Admin::start("127.0.0.1:0", job()).expect("a free port");
    let address = first.address().to_string();

    let error = Admin::start(&address, job()).expect_err("the port is taken").to_string();

    assert!(error.starts_with(&format!("cannot listen on {address}: ")), "{error}");
    assert!(error.ends_with("choose another `--admin` address, or port 0 for any free port"), "{error}");
}

#[test]
fn a_dropped_server_frees_its_port_although_a_client_stays() {
    let admin = Admin::start("127.0.0.1:0", job()).expect("a free port");
    let address = admin.address();
    let mut client = TcpStream::connect(address).expect("someone listens");
    client.write_all(b"GET / HTTP/1.1\r\n").expect("half a request");

    drop(admin);

    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}
