//! The two engines: how a cell's job is started on each, and what they tell while it runs.
//!
//! Owns: StreamJob's manifest, the arguments of Flink's twin; the words for the same things on both sides.
//! Never: treats one of them better: same input, bounds, intervals, durability and formats.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cells::{Backend, Cell, Kind};
use super::watched::{Event, Watched};
use crate::input::Uniform;

/// How long an engine may take to start.
const STARTED_WITHIN: Duration = Duration::from_secs(60);

/// One of the two.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Engine {
    StreamJob,
    Flink,
}

/// A job to run: a cell, on an engine, in a folder of its own.
pub(crate) struct Job<'a> {
    pub(crate) engine: Engine,
    pub(crate) cell: &'a Cell,
    /// The built program.
    pub(crate) streamjob: &'a Path,
    pub(crate) folder: PathBuf,
    /// The folder with the files, or the topic.
    pub(crate) input: String,
    /// The broker; empty if there is none.
    pub(crate) servers: String,
    /// The topic of the results, if they go there.
    pub(crate) output: String,
    /// The input goes on for ever.
    pub(crate) endless: bool,
    pub(crate) window_ms: i64,
}

/// A checkpoint.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Checkpoint {
    /// When its barrier was started, milliseconds since 1970.
    pub(crate) barrier_ms: f64,
    /// From then until it was durable.
    pub(crate) duration_ms: f64,
    /// What was written of state.
    pub(crate) bytes: u64,
}

/// What an engine told of its checkpoints.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Checkpoints {
    pub(crate) all: Vec<Checkpoint>,
    /// For each, how long a slot stood still for it, or longer: StreamJob's is the longest gap between two batches within
    /// 100 ms of the barrier, Flink's the synchronous part.
    pub(crate) pauses_ms: Vec<f64>,
}

impl Engine {
    /// As in file names and tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::StreamJob => "StreamJob",
            Self::Flink => "Flink",
        }
    }

    /// Whether the event says that the first row of this process is in a window.
    pub(crate) fn is_first_row(self, event: &Value) -> bool {
        match self {
            Self::StreamJob => event["message"] == "the first rows are in windows",
            Self::Flink => event["mark"] == "first",
        }
    }

    /// The checkpoints that were told of.
    pub(crate) fn checkpoints(self, events: &[Event]) -> Checkpoints {
        let mut told = Checkpoints::default();
        let mut barrier_ms = None;
        for event in events {
            let number = |name: &str| event.fields[name].as_f64().unwrap_or_default();
            let (duration_ms, bytes) = (number("duration_ms"), number("state_bytes") as u64);
            match self {
                Self::StreamJob => match event.fields["message"].as_str() {
                    Some("barrier") => barrier_ms = Some(event.at_ms),
                    Some("checkpoint committed") => {
                        let barrier_ms = barrier_ms.take().unwrap_or(event.at_ms - duration_ms);
                        told.all.push(Checkpoint { barrier_ms, duration_ms, bytes });
                    }
                    Some("longest gap between batches after a barrier") => {
                        told.pauses_ms.push(number("gap_us") / 1e3);
                    }
                    _ => {}
                },
                Self::Flink if event.fields["mark"] == "checkpoint" => {
                    let bytes = number("bytes") as u64;
                    told.all.push(Checkpoint { barrier_ms: number("barrier_ms"), duration_ms, bytes });
                    told.pauses_ms.push(number("pause_ms"));
                }
                Self::Flink => {}
            }
        }
        told.all.sort_by(|a, b| a.barrier_ms.total_cmp(&b.barrier_ms));
        told
    }
}

impl Job<'_> {
    /// Starts it; again with the same folder, it goes on from its last checkpoint.
    pub(crate) fn start(&self) -> Result<Watched> {
        fs::create_dir_all(&self.folder)?;
        let command = match self.engine {
            Engine::StreamJob => {
                let manifest = self.folder.join("job.yaml");
                fs::write(&manifest, self.manifest())?;
                let mut command = Command::new(self.streamjob);
                command.arg("run").arg(manifest).args(["--admin", "127.0.0.1:0", "--log-format", "json"]);
                command.args(["--log", "info,streamjob_worker=debug"]);
                command
            }
            Engine::Flink => {
                fs::create_dir_all(self.temporary())?;
                self.twin()
            }
        };
        Watched::start(command)
    }

    /// Rows, and CPU seconds, once half of the rows are in windows.
    pub(crate) fn half(&self, process: &mut Watched) -> Result<(u64, f64)> {
        let within = Duration::from_secs(1_800);
        if self.engine == Engine::Flink {
            let half = process.wait_for("half of the rows", within, |event| event["mark"] == "half")?;
            let rows = half.fields["rows"].as_u64().context("the number of rows")?;
            return Ok((rows, half.fields["cpu_s"].as_f64().context("seconds")?));
        }
        let started = process.wait_for("its start", STARTED_WITHIN, |event| event["message"] == "started")?;
        let address = started.fields["admin"].as_str().context("where its metrics are")?;
        loop {
            let metrics = scrape(address)
                .context("StreamJob ended before half of its rows were seen; too few rows?")?;
            let rows = sum(&metrics, "streamjob_source_rows_total");
            if rows * 2.0 >= self.cell.rows as f64 {
                return Ok((rows as u64, sum(&metrics, "process_cpu_seconds_total")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// StreamJob's manifest.
    pub(crate) fn manifest(&self) -> String {
        let Self { cell, window_ms, output, servers, .. } = self;
        let interval =
            if cell.interval_ms == 0 { "10m".to_owned() } else { format!("{}ms", cell.interval_ms) };
        let columns = "columns: [{name: key, type: String}, {name: ts, type: TimestampMillis}, {name: value, type: Int64}]";
        let source = match cell.kind {
            Kind::Json | Kind::Typed => format!("files: {{urls: ['{}/*.jsonl']}}", self.input),
            Kind::Kafka | Kind::Latency | Kind::Recovery => {
                let until = if self.endless { "" } else { ", until: Latest" };
                let topic = &self.input;
                format!("kafka: {{cluster: {{bootstrapServers: \"{servers}\"}}, topics: [{topic}]{until}}}")
            }
        };
        let delivery = if cell.exactly_once() { "ExactlyOnce" } else { "AtLeastOnce" };
        let sink = match cell.kind {
            Kind::Json | Kind::Typed => "files: {url: out}".to_owned(),
            Kind::Kafka | Kind::Latency | Kind::Recovery => {
                format!("kafka: {{topic: {output}, delivery: {delivery}}}")
            }
        };
        format!(
            "apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: against-flink}}
spec:
  parallelism: {parallelism}
  state: {{checkpoint: {{interval: {interval}, timeout: 20m}}}}
  pipeline:
    source:
      {source}
      format: {{json: {{}}}}
      {columns}
    eventTime: {{field: ts, maxOutOfOrderness: 1s}}
    keyBy: [key]
    window: {{tumbling: {{size: {window_ms}ms}}}}
    aggregates: [{{name: total, function: Sum, field: value}}, {{name: rows, function: Count}}]
    sink: {{{sink}, format: {{json: {{}}}}}}
",
            parallelism = cell.parallelism
        )
    }

    /// For Flink: what is of use to one process only.
    fn temporary(&self) -> PathBuf {
        self.folder.join("tmp")
    }

    fn twin(&self) -> Command {
        let cell = self.cell;
        let mut command = Command::new(twin());
        let mut option = |name: &str, value: &str| {
            command.args([format!("--{name}"), value.to_owned()]);
        };
        let (source, delivery) = match cell.kind {
            Kind::Json => ("files", "files"),
            Kind::Typed => ("made", "files"),
            Kind::Kafka | Kind::Latency | Kind::Recovery => {
                ("kafka", if cell.exactly_once() { "exactly-once" } else { "at-least-once" })
            }
        };
        let out = self.folder.join("out").display().to_string();
        option("source", source);
        option("delivery", delivery);
        option("input", &self.input);
        option("output", if delivery == "files" { &out } else { &self.output });
        option("servers", &self.servers);
        option("endless", if self.endless { "true" } else { "false" });
        option("keys", &cell.keys.to_string());
        option("rows", &cell.rows.to_string());
        option("half", &(cell.rows / 2).to_string());
        option("parallelism", &cell.parallelism.to_string());
        option("window-ms", &self.window_ms.to_string());
        option("interval-ms", &cell.interval_ms.to_string());
        option("checkpoints", &self.folder.join("checkpoints").display().to_string());
        let (backend, managed) = match cell.backend {
            Backend::Hashmap => ("hashmap", "64m"),
            Backend::Rocksdb => ("rocksdb", "1g"),
        };
        option("backend", backend);
        option("managed", managed);
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let mut whole = Command::new(command.get_program());
        // What Flink unpacks and buffers goes with the run's folder; after a kill nobody else would remove it.
        whole.arg("run").args(arguments).env("TMPDIR", self.temporary());
        whole
    }
}

/// The script that starts Flink's side.
pub(crate) fn twin() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("flink/twin")
}

/// The files of an input in process.
pub(crate) fn files(cell: &Cell) -> Uniform {
    Uniform { keys: cell.keys, rows: cell.rows, files: u64::from(cell.parallelism) }
}

fn scrape(address: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: bench\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// Over all labels.
fn sum(metrics: &str, name: &str) -> f64 {
    let values =
        metrics.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' ')?.1.parse::<f64>().ok());
    values.sum()
}

#[test]
fn a_metric_is_summed_over_its_slots() {
    let text = "# HELP a b\na_total{slot=\"0\"} 3\na_total{slot=\"1\"} 4\nb 5\n";

    assert_eq!(sum(text, "a_total"), 7.0);
}

#[test]
fn every_manifest_is_accepted() {
    for cell in super::cells::all() {
        let job = Job {
            engine: Engine::StreamJob,
            cell: &cell,
            streamjob: Path::new("streamjob"),
            folder: PathBuf::new(),
            input: "input".to_owned(),
            servers: "127.0.0.1:9092".to_owned(),
            output: "results".to_owned(),
            endless: cell.kind == Kind::Latency,
            window_ms: 1_000,
        };

        streamjob_crds::StreamJob::parse(&job.manifest(), &cell.name).expect("the manifest is right");
    }
}
