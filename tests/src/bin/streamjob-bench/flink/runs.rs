//! Runs over input that has an end, as fast as they go.
//!
//! Owns: what is measured of one, and the check of its output.
//! Never: gives numbers of a run whose output is wrong.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use streamjob_tests::kafka::{Cluster, ClusterSpec};

use super::cells::{Cell, Kind};
use super::engines::{Engine, Job, files};
use super::results::{Numbers, Run, Throughput};
use super::watched::Others;
use super::{latency, recovery, topics};
use crate::expect::Expected;
use crate::input::{Uniform, WINDOW_MS};
use crate::prebuilt;

/// What all runs share.
pub(crate) struct Place {
    pub(crate) streamjob: PathBuf,
    pub(crate) cache: PathBuf,
    /// At a fixed rate: rows per second, and for how long.
    pub(crate) rate: u64,
    pub(crate) seconds: u64,
    pub(crate) cluster: Option<Cluster>,
    /// The topic with rows that is in the broker: one at a time, they are large.
    pub(crate) filled: Option<String>,
    /// Numbers the topics of results.
    pub(crate) run: u32,
}

impl Place {
    /// The broker; it is started when it is needed first.
    pub(crate) fn cluster(&mut self) -> Result<&Cluster> {
        if self.cluster.is_none() {
            self.cluster = Some(Cluster::start(ClusterSpec::default())?);
        }
        self.cluster.as_ref().context("it was started")
    }

    /// Makes the input of a cell unless it is there, and gives its name.
    pub(crate) fn prepare(&mut self, cell: &Cell) -> Result<String> {
        match cell.kind {
            Kind::Json | Kind::Typed => {
                files(cell).make(&self.cache)?;
                Ok(files(cell).folder(&self.cache).display().to_string())
            }
            Kind::Kafka => self.fill(cell),
            Kind::Latency | Kind::Recovery => self.cluster().map(|_| String::new()),
        }
    }

    fn fill(&mut self, cell: &Cell) -> Result<String> {
        let topic = format!("rows-{}-{}", cell.keys, cell.rows);
        if self.filled.as_ref() != Some(&topic) {
            let before = self.filled.take();
            let cluster = self.cluster()?;
            if let Some(before) = before {
                cluster.delete_topic(&before)?;
            }
            println!("filling topic {topic}");
            topics::fill(cluster, &topic, &Uniform { keys: cell.keys, rows: cell.rows, files: 1 })?;
            self.filled = Some(topic.clone());
        }
        Ok(topic)
    }

    /// After a failure: whatever state the broker is in, the next run has a new one.
    pub(crate) fn forget(&mut self) {
        (self.cluster, self.filled) = (None, None);
    }

    /// Runs a cell once and checks its output.
    pub(crate) fn run(&mut self, cell: &Cell, engine: Engine) -> Result<Run> {
        let input = self.prepare(cell)?;
        self.run += 1;
        let folder = self.cache.join("flink-run");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let mut job = Job {
            engine,
            cell,
            streamjob: &self.streamjob,
            folder: folder.clone(),
            input,
            servers: String::new(),
            output: String::new(),
            endless: false,
            window_ms: WINDOW_MS,
        };
        let others = Others::since_now()?;
        let run = |numbers| anyhow::Ok(Run { engine, others: others.share()?, numbers });
        if !cell.uses_kafka() {
            let run = run(Numbers::Throughput(throughput(&job)?))?;
            Expected::of_uniform(&files(cell)).check(&folder.join("out"))?;
            fs::remove_dir_all(&folder)?;
            return Ok(run);
        }
        let cluster = self.cluster.as_ref().context("prepare has started it")?;
        job.servers = cluster.bootstrap();
        job.output = format!("results-{}", self.run);
        cluster.create_topic(&job.output, topics::PARTITIONS, &[])?;
        let run = match cell.kind {
            Kind::Latency => {
                run(Numbers::Latency(latency::run(cluster, &mut job, self.rate, self.seconds)?))?
            }
            Kind::Recovery => {
                run(Numbers::Recovery(recovery::run(cluster, &mut job, self.rate, self.seconds)?))?
            }
            Kind::Json | Kind::Typed | Kind::Kafka => {
                let run = run(Numbers::Throughput(throughput(&job)?))?;
                let rows = Uniform { keys: cell.keys, rows: cell.rows, files: 1 };
                topics::check(cluster, &job.output, Expected::of_uniform(&rows))?;
                run
            }
        };
        cluster.delete_topic(&job.output)?;
        fs::remove_dir_all(&folder)?;
        Ok(run)
    }
}

fn throughput(job: &Job<'_>) -> Result<Throughput> {
    if job.engine == Engine::StreamJob && job.cell.kind == Kind::Typed {
        return typed(job);
    }
    let mut process = job.start()?;
    let (half_rows, half_cpu_s) = job.half(&mut process)?;
    let (cpu_s, rss_bytes) = process.wait()?;
    let wall_s = process.started.elapsed().as_secs_f64();
    let first = process.find(|event| job.engine.is_first_row(event));
    let first_row_s = first.map(|first| (first.at - process.started).as_secs_f64());
    let checkpoints = job.engine.checkpoints(&process.events());
    let rows = job.cell.rows;
    Ok(Throughput { rows, wall_s, cpu_s, half_cpu_s, half_rows, rss_bytes, first_row_s, checkpoints })
}

/// StreamJob over batches in the memory of its process.
fn typed(job: &Job<'_>) -> Result<Throughput> {
    let manifest = job.folder.join("job.yaml");
    fs::write(&manifest, job.manifest())?;
    let measured = prebuilt::run_elsewhere(&manifest, &files(job.cell))?;
    Ok(Throughput {
        rows: job.cell.rows,
        wall_s: measured.wall_s,
        cpu_s: measured.cpu_s,
        half_cpu_s: measured.first_half.cpu_s,
        half_rows: measured.first_half.rows,
        ..Throughput::default()
    })
}
