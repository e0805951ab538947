//! A driver beside the engine: rows at a fixed rate, and an eye on the results.
//!
//! Owns: when each row is due, and when each result could be read.
//! Never: waits for the engine: a row that is late by the driver's fault counts as sent when it was due.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use streamjob_tests::kafka::Cluster;

use super::topics::{self, PARTITIONS, Writer};
use super::watched::now_ms;
use crate::expect::Expected;
use crate::input::{Row, Uniform, write_line};

/// Of the jobs at a fixed rate.
pub(crate) const WINDOW_MS: i64 = 1_000;
/// `maxOutOfOrderness`: a row this much later than a window's end closes it.
pub(crate) const BOUND_MS: i64 = 1_000;

/// Results that come at most so much after the row that closes their window come as soon as they should, whatever the engine.
pub(crate) const CAUGHT_UP_MS: f64 = 3_000.0;

/// Results of a run, of a size that is never reached: seven minutes at 10,000 keys a second.
const SEEN_MAX: usize = 4 << 20;

/// Rows of which the event time is the instant at which they are due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) keys: u32,
    /// Rows per second.
    pub(crate) rate: u64,
    /// When row 0 is due: a multiple of the window.
    pub(crate) start_ms: i64,
}

/// The driver's side of a run. Dropped, both threads end.
pub(crate) struct Driver {
    pub(crate) plan: Plan,
    stop_writing: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    writer: Option<JoinHandle<Result<Written>>>,
    viewer: Option<JoinHandle<Result<()>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// What was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) rows: u64,
    /// How far the driver was behind its plan at worst.
    pub(crate) late_ms: f64,
}

/// A result that could be read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) at_ms: f64,
    pub(crate) window_end_ms: i64,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

impl Plan {
    fn row(&self, i: u64) -> Row {
        let Row { key, value, .. } = Uniform { keys: self.keys, rows: 0, files: 1 }.row(i);
        Row { key, value, time_ms: self.start_ms + (i * 1_000 / self.rate) as i64 }
    }

    /// The results of so many rows.
    pub(crate) fn expected(&self, rows: u64) -> Expected {
        let mut expected = Expected::nothing(self.keys as usize, self.start_ms, WINDOW_MS);
        for i in 0..rows {
            let row = self.row(i);
            expected.add(row.key as usize, i64::from(row.value), row.time_ms);
        }
        expected
    }
}

impl Seen {
    /// Since the row was due that closes its window.
    pub(crate) fn end_to_end_ms(&self) -> f64 {
        self.at_ms - (self.window_end_ms + BOUND_MS) as f64
    }
}

impl Driver {
    /// Starts to write into one topic soon, and to read the other one now.
    pub(crate) fn start(
        cluster: &Cluster,
        (input, output): (&str, &str),
        keys: u32,
        rate: u64,
    ) -> Result<Self> {
        let start_ms = (now_ms() as i64 / WINDOW_MS + 2) * WINDOW_MS;
        let plan = Plan { keys, rate, start_ms };
        let (stop, stop_writing) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        // Room for all: growing would hold up the reader.
        let seen = Arc::new(Mutex::new(Vec::with_capacity(SEEN_MAX)));
        let to = Writer::new(cluster, input, 1)?;
        let from = topics::reader(cluster, output)?;
        let writer = thread::spawn({
            let stop = Arc::clone(&stop_writing);
            move || write(&to, plan, &stop)
        });
        let viewer = thread::spawn({
            let (stop, seen) = (Arc::clone(&stop), Arc::clone(&seen));
            move || view(&from, &seen, &stop)
        });
        Ok(Self { plan, stop_writing, stop, writer: Some(writer), viewer: Some(viewer), seen })
    }

    /// The first result that is this, among those from a number on, once it comes.
    pub(crate) fn wait_for(&self, what: &str, within: Duration, is: impl Fn(&Seen) -> bool) -> Result<Seen> {
        let (began, mut looked_at) = (Instant::now(), 0);
        loop {
            // A part at a time: the reader must not wait for the lock.
            let part = {
                let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen[looked_at..seen.len().min(looked_at + 4_096)].to_vec()
            };
            looked_at += part.len();
            if let Some(found) = part.iter().find(|seen| is(seen)) {
                return Ok(*found);
            }
            let is_reading = self.viewer.as_ref().is_some_and(|viewer| !viewer.is_finished());
            ensure!(is_reading, "the driver's reader has failed");
            ensure!(began.elapsed() < within, "{what}: not within {within:?}");
            if part.is_empty() {
                thread::sleep(Duration::from_millis(2));
            }
        }
    }

    /// Stops writing, closes all windows, and waits for all results.
    pub(crate) fn finish(&mut self) -> Result<(Written, Vec<Seen>)> {
        self.stop_writing.store(true, Ordering::Relaxed);
        let writer = self.writer.take().context("finish is called once")?;
        let written = writer.join().expect("the driver does not panic")?;
        let results = self.plan.expected(written.rows).missing();
        let began = Instant::now();
        loop {
            let have = self.seen.lock().unwrap_or_else(PoisonError::into_inner).len();
            if have >= results {
                break;
            }
            ensure!(began.elapsed() < Duration::from_secs(120), "{have} of {results} results came");
            thread::sleep(Duration::from_millis(20));
        }
        self.stop.store(true, Ordering::Relaxed);
        Ok((written, std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.stop_writing.store(true, Ordering::Relaxed);
        self.stop.store(true, Ordering::Relaxed);
        if let Some(writer) = self.writer.take() {
            drop(writer.join());
        }
        if let Some(viewer) = self.viewer.take() {
            drop(viewer.join());
        }
    }
}

fn write(to: &Writer, plan: Plan, stop: &AtomicBool) -> Result<Written> {
    let mut written = Written { rows: 0, late_ms: 0.0 };
    let mut line = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let since_ms = now_ms() - plan.start_ms as f64;
        let due = (since_ms.max(0.0) * plan.rate as f64 / 1e3) as u64;
        let behind_ms = due.saturating_sub(written.rows) as f64 / plan.rate as f64 * 1e3;
        written.late_ms = written.late_ms.max(behind_ms);
        for i in written.rows..due {
            write_line(&mut line, &plan.row(i));
            to.send((i % PARTITIONS as u64) as i32, &line[..line.len() - 1])?;
        }
        written.rows = written.rows.max(due);
        to.poll();
        thread::sleep(Duration::from_millis(1));
    }
    // Closes all windows; its own stays open.
    let last_ms = plan.row(written.rows).time_ms + 60_000;
    let line = format!("{{\"key\":\"end\",\"ts\":{last_ms},\"value\":0}}");
    for partition in 0..PARTITIONS {
        to.send(partition, line.as_bytes())?;
    }
    to.flush()?;
    Ok(written)
}

fn view(from: &BaseConsumer, seen: &Mutex<Vec<Seen>>, stop: &AtomicBool) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        match from.poll(Duration::from_millis(20)) {
            Some(Ok(message)) => {
                let at_ms = now_ms();
                let window_end_ms = window_end(message.payload()).context("a result has a window")?;
                let (partition, offset) = (message.partition(), message.offset());
                let result = Seen { at_ms, window_end_ms, partition, offset };
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(result);
            }
            Some(Err(KafkaError::PartitionEOF(_))) | None => {}
            Some(Err(error)) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Without parsing all of it: there are many.
fn window_end(payload: Option<&[u8]>) -> Option<i64> {
    let text = std::str::from_utf8(payload?).ok()?;
    let (_, rest) = text.split_once("\"window_end\":")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[test]
fn the_end_of_a_results_window_is_found() {
    let line = br#"{"key":"user-1","window_start":1000,"window_end":2000,"total":2,"rows":2}"#;

    assert_eq!(window_end(Some(line)), Some(2_000));
}

#[test]
fn rows_are_due_at_their_event_time() {
    let plan = Plan { keys: 10, rate: 100_000, start_ms: 5_000 };

    assert_eq!([0, 99, 100, 100_000].map(|i| plan.row(i).time_ms), [5_000, 5_000, 5_001, 6_000]);
}
