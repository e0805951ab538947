//! What people see of a job.
//!
//! Owns: golden texts.
//! Never: waits for a redraw.

use std::sync::atomic::Ordering;

use streamjob_checkpoint::checkpoint::Counters;

use super::*;
use crate::metrics::{CheckpointStep, LastCheckpoint, PartitionStatus, Phase};

fn job() -> JobMetrics {
    let metrics = JobMetrics::new("flights", 2, ["a.csv", "b.csv"].map(String::from));
    metrics.set_phase(Phase::Running);
    for (partition, watermark_ms) in metrics.partitions().iter().zip([1_704_067_200_000, 1_704_067_199_999]) {
        partition.set_status(PartitionStatus::Active);
        partition.watermark_ms.store(watermark_ms, Ordering::Relaxed);
        partition.bytes_total.store(50_000_000, Ordering::Relaxed);
        partition.bytes_done.store(10_000_000, Ordering::Relaxed);
    }
    for slot in &metrics.slots {
        slot.rows_in.store(1_000_000, Ordering::Relaxed);
        slot.bytes_in.store(10_000_000, Ordering::Relaxed);
        slot.rows_out.store(617, Ordering::Relaxed);
        slot.open_windows.store(3, Ordering::Relaxed);
        slot.windows_fired.store(31, Ordering::Relaxed);
        slot.keys.store(16, Ordering::Relaxed);
        slot.state_bytes.store(12_345, Ordering::Relaxed);
    }
    metrics.slots[1].late.store(5, Ordering::Relaxed);
    metrics
}

fn view(metrics: &JobMetrics) -> View {
    let earlier = Sample::take(&JobMetrics::new("", 0, []), Duration::from_millis(1_500));
    View::between(metrics, &earlier, &Sample::take(metrics, Duration::from_secs(2)))
}

#[test]
fn the_live_block_says_how_fast_how_far_and_who_holds_time_back() {
    let block = view(&job()).block();

    let expected = "\
        flights running 2.0s · 2,000,000 rows · 4.0 M rows/s · 40.0 MB/s\n\
        watermark 2023-12-31T23:59:59.999Z, held by b.csv · 20.0 % of the input, about 8.0s left\n\
        3 open windows · 32 keys · 24.7 kB state · 5 late · 0 bad · 1,234 result rows\n\
        no checkpoint yet";
    assert_eq!(block, expected);
}

#[test]
fn the_last_checkpoint_is_told_with_what_it_took_and_what_goes_wrong() {
    let metrics = job();
    metrics.checkpoints.set_last(LastCheckpoint {
        epoch: 7,
        seq: 9,
        committed_ms: 0,
        committed_at: Instant::now(),
        duration: Duration::from_millis(45),
        waited_for: "upload",
        bytes_written: 1_200_000,
        bytes_total: 12_000_000,
    });
    let healthy = view(&metrics).block();

    metrics.checkpoints.set_step(CheckpointStep::Collecting);
    metrics.checkpoints.failed.store(2, Ordering::Relaxed);
    metrics.unpublished_bytes.store(30_000, Ordering::Relaxed);
    let unhealthy = view(&metrics).block();

    let last = "checkpoint 7, 0.0s ago: 1.2 MB written of 12.0 MB in 45 ms, most of it upload";
    assert_eq!(healthy.lines().nth(3), Some(last));
    let more = format!("{last} · the next one is being stored · 2 abandoned · 30.0 kB unpublished");
    assert_eq!(unhealthy.lines().nth(3), Some(more.as_str()));
}

#[test]
fn an_endless_job_without_rows_yet_says_whom_it_waits_for() {
    let metrics = job();
    metrics.partitions()[0].bytes_total.store(crate::metrics::ENDLESS, Ordering::Relaxed);
    metrics.partitions()[0].watermark_ms.store(i64::MIN, Ordering::Relaxed);

    let block = view(&metrics).block();

    assert_eq!(block.lines().nth(1), Some("no watermark yet, waiting for a.csv"));
}

#[test]
fn a_job_whose_partitions_are_all_finished_is_held_by_none() {
    let metrics = job();
    metrics.partitions().iter().for_each(|partition| {
        partition.set_status(PartitionStatus::Finished);
        partition.bytes_done.store(50_000_000, Ordering::Relaxed);
    });

    let block = view(&metrics).block();

    let expected = "watermark held by no partition · 100.0 % of the input, about 0.0s left";
    assert_eq!(block.lines().nth(1), Some(expected));
}

#[test]
fn the_summary_tells_rows_time_and_cost() {
    let usage = Usage {
        cpu: Some(Duration::from_millis(340)),
        resident_bytes: None,
        resident_peak_bytes: Some(48_000_000),
    };

    let text = Summary::of(&job(), Duration::from_secs(65), usage).to_string();

    let expected = "\
        rows in      2,000,000 (20.0 MB)\n\
        results out  1,234 from 31 windows\n\
        late, bad    5, 0\n\
        time         1m05s (30.8 k rows/s)\n\
        cpu          0.34 s (0.170 s per million rows)\n\
        memory       48.0 MB at most";
    assert_eq!(text, expected);
}

#[test]
fn the_cost_of_few_rows_is_not_told_as_a_ratio() {
    let usage =
        Usage { cpu: Some(Duration::from_millis(20)), resident_bytes: None, resident_peak_bytes: None };
    let of = |rows_in| Summary { rows_in, ..Summary::of(&job(), Duration::from_secs(65), usage) };

    let (few, enough) = (of(9_999).to_string(), of(10_000).to_string());

    assert!(few.ends_with("\ncpu          0.02 s"), "{few}");
    assert!(enough.ends_with("\ncpu          0.02 s (2.000 s per million rows)"), "{enough}");
}

#[test]
fn the_summary_tells_rows_of_earlier_runs_apart() {
    let usage = Usage { cpu: None, resident_bytes: None, resident_peak_bytes: None };
    let before = Counters { rows_in: 3_000_000, rows_out: 99, ..Counters::default() };

    let text = Summary::of(&job(), Duration::from_secs(65), usage).after(&before).to_string();

    let expected = "\
        rows in      2,000,000 (20.0 MB)\n\
        results out  1,234 from 31 windows\n\
        before that  3,000,000 in, 99 out, by earlier runs\n\
        late, bad    5, 0\n\
        time         1m05s (30.8 k rows/s)";
    assert_eq!(text, expected);
}

#[test]
fn numbers_are_grouped_and_durations_rounded() {
    let counts = [0, 999, 1_000, 1_234_567].map(format::count);
    let durations = [500, 59_940, 60_000, 3_725_000].map(|ms| format::duration(Duration::from_millis(ms)));

    assert_eq!(counts, ["0", "999", "1,000", "1,234,567"]);
    assert_eq!(durations, ["0.5s", "59.9s", "1m00s", "1h02m"]);
}

#[test]
fn this_process_has_used_some_memory() {
    let usage = Usage::now();

    if cfg!(target_os = "linux") {
        assert!(usage.cpu.is_some());
        assert!(usage.resident_bytes > Some(0) && usage.resident_peak_bytes >= usage.resident_bytes);
    }
}

#[test]
fn progress_can_be_stopped_at_once() {
    let started = Instant::now();

    Progress::start(Arc::new(job()), Display::Lines).expect("a thread").stop();

    assert!(started.elapsed() < LINE_INTERVAL);
}
