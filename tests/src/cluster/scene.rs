//! A job on the cluster, with its topics and a folder of the bucket, in a namespace of its own.
//!
//! Owns: its manifest, a feed that goes on while things happen to the job, and the check of what was published.
//! Never: touches another namespace.

use std::collections::{BTreeSet, HashSet};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Kind, Kubernetes, LONG, S3, SOON, text};
use crate::checker::{self, Input, Published, Rules};
use crate::feed::{Feed, PARTITION_ROWS, START_MS};
use crate::kafka::{Producing, Record};
use crate::topics::Topics;

/// Rows that close all windows have ids from here on; they are no part of what is checked.
const CLOSING: u64 = 900_000_000;
/// From one portion of rows to the next.
const TICK: Duration = Duration::from_millis(100);

/// What a job is like.
#[derive(Clone, Debug)]
pub struct Shape {
    /// `spec.parallelism`.
    pub parallelism: u32,
    /// Slots of a pod; 0: all in one pod.
    pub slots: u32,
    /// What is merged into the spec.
    pub spec: Value,
}

impl Default for Shape {
    fn default() -> Self {
        Self { parallelism: 2, slots: 0, spec: json!({}) }
    }
}

/// A job and its surroundings. Dropped, its namespace is deleted.
pub struct Scene<'a> {
    cluster: &'a Kubernetes,
    namespace: String,
    topics: Topics,
    feed: Arc<Feed>,
    rules: Rules,
    fed: Arc<AtomicU64>,
    feeding: Mutex<Option<Feeding>>,
    finished: AtomicBool,
}

struct Feeding {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

impl<'a> Scene<'a> {
    /// A namespace whose name begins so, which enforces the standard `restricted`, topics, and the secret `store`.
    pub fn new(cluster: &'a Kubernetes, namespace: &str) -> Result<Self> {
        // A cluster may outlive this program.
        let namespace = &format!("{namespace}-{}", std::process::id());
        cluster.make_namespace(namespace)?;
        let feed = Feed { partitions: 4, rows: CLOSING, keys: 50, step_ms: 10, ..Feed::default() };
        let topics = Topics::named(cluster.kafka(), namespace);
        topics.create(&Feed { rows: 0, ..feed.clone() })?;
        let rules = Rules { size_ms: 1_000, bound_ms: 0, lateness_ms: 0 };
        let feed = Arc::new(feed);
        Ok(Self {
            cluster,
            namespace: namespace.to_owned(),
            topics,
            feed,
            rules,
            fed: Arc::default(),
            feeding: Mutex::default(),
            finished: AtomicBool::new(false),
        })
    }

    /// Its job's name.
    pub const JOB: &'static str = "job";

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The topic of its results.
    pub fn out(&self) -> String {
        self.topics.out()
    }

    /// The manifest of its job.
    pub fn manifest(&self, shape: &Shape) -> Value {
        let Rules { size_ms, bound_ms, .. } = self.rules;
        let kafka = |rest: Value| {
            let mut value = json!({"cluster": {"bootstrapServers": super::KAFKA}});
            merge(&mut value, &rest);
            value
        };
        let columns = [
            ("id", "Int64"),
            ("key", "String"),
            ("seq", "Int64"),
            ("ts", "TimestampMillis"),
            ("value", "Int64"),
        ];
        let columns: Vec<Value> =
            columns.iter().map(|(name, kind)| json!({"name": name, "type": kind})).collect();
        let mut workers = json!({"resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "512Mi"}}});
        if shape.slots > 0 {
            workers["slots"] = json!(shape.slots);
        }
        let mut spec = json!({
            "parallelism": shape.parallelism,
            "pipeline": {
                "source": {"kafka": kafka(json!({"topics": [self.topics.name()]})), "format": {"json": {}}, "columns": columns},
                "eventTime": {"field": "ts", "maxOutOfOrderness": format!("{bound_ms}ms")},
                "keyBy": ["key"],
                "window": {"tumbling": {"size": format!("{size_ms}ms")}, "late": {"action": "SideOutput", "kafka": {"topic": self.topics.late()}}},
                "aggregates": [
                    {"name": "rows", "function": "Count"}, {"name": "total", "function": "Sum", "field": "value"},
                    {"name": "least", "function": "Min", "field": "id"}, {"name": "greatest", "function": "Max", "field": "id"}],
                "sink": {"kafka": kafka(json!({"topic": self.topics.out(), "delivery": "ExactlyOnce"})), "format": {"json": {}}},
            },
            "state": {
                "location": {"uri": format!("s3://streams/{}", self.namespace), "endpoint": format!("http://{S3}"), "region": "us-east-1", "credentials": {"name": "store"}},
                "checkpoint": {"interval": "500ms"},
            },
            "workers": workers,
        });
        merge(&mut spec, &shape.spec);
        json!({"apiVersion": "streamjob.dev/v1alpha1", "kind": "StreamJob", "metadata": {"name": Self::JOB, "namespace": self.namespace}, "spec": spec})
    }

    /// Applies the job as a user would.
    pub fn apply(&self, shape: &Shape) -> Result<()> {
        self.cluster.kubectl(&["apply", "-f", "-"], &self.manifest(shape).to_string()).map(drop)
    }

    /// A scene whose job has published results.
    pub fn running(cluster: &'a Kubernetes, namespace: &str) -> Result<Self> {
        let scene = Self::new(cluster, namespace)?;
        scene.feed();
        scene.apply(&Shape::default())?;
        scene.wait_condition("Ready", "True", SOON)?;
        scene.wait_progress(SOON)?;
        Ok(scene)
    }

    /// Merges a change into the job's spec.
    pub fn change(&self, spec: &Value) -> Result<()> {
        self.cluster.patch(Kind::JOB, &self.namespace, Self::JOB, &json!({"spec": spec}))
    }

    /// `status.incarnation`.
    pub fn incarnation(&self) -> Result<i64> {
        self.job()?.pointer("/status/incarnation").and_then(Value::as_i64).context("no incarnation")
    }

    /// Waits for this word of `kubectl get`.
    pub fn wait_phase(&self, phase: &str, at_most: Duration) -> Result<()> {
        self.cluster.wait(phase, at_most, || Ok((text(&self.job()?, "/status/phase") == phase).then_some(())))
    }

    /// Waits until a pod is gone and another one is ready.
    pub fn wait_replaced(&self, pod: &Value, at_most: Duration) -> Result<Value> {
        let uid = text(pod, "/metadata/uid");
        self.cluster.wait("another pod is ready", at_most, || {
            let pods = self.all_pods()?;
            let others = || pods.iter().filter(|pod| text(pod, "/metadata/uid") != uid);
            let gone = others().count() == pods.len();
            Ok(others().find(|pod| gone && is_ready(pod)).cloned())
        })
    }

    /// The job as it is now.
    pub fn job(&self) -> Result<Value> {
        self.cluster.get(Kind::JOB, &self.namespace, Self::JOB)?.context("the job is gone")
    }

    /// Waits until a condition of the job is as wanted, for its newest generation.
    pub fn wait_condition(&self, kind: &str, status: &str, at_most: Duration) -> Result<Value> {
        self.cluster.wait(&format!("{kind}={status}"), at_most, || {
            let job = self.job()?;
            let generation = job.pointer("/metadata/generation");
            let condition = condition(&job, kind).filter(|found| {
                text(found, "/status") == status && found.get("observedGeneration") == generation
            });
            Ok(condition.cloned())
        })
    }

    /// All its worker pods.
    pub fn all_pods(&self) -> Result<Vec<Value>> {
        let labels = format!("streamjob.dev/job={},app.kubernetes.io/component=worker", Self::JOB);
        self.cluster.list(Kind::POD, &self.namespace, &labels)
    }

    /// The objects in a folder of the job's state.
    pub fn objects(&self, folder: &str) -> Result<Vec<String>> {
        let bucket = self.cluster.folder().join("s3/streams").join(&self.namespace);
        let state = bucket.join(format!("{}.{}", self.namespace, Self::JOB)).join(folder);
        files(&state)
    }

    /// The worker pods that are not on their way out.
    pub fn pods(&self) -> Result<Vec<Value>> {
        let mut pods = self.all_pods()?;
        pods.retain(|pod| pod.pointer("/metadata/deletionTimestamp").is_none());
        Ok(pods)
    }

    /// The pod of its worker 0, once it is ready.
    pub fn coordinator(&self) -> Result<Value> {
        self.cluster.wait("worker 0 is ready", SOON, || {
            let pods = self.pods()?;
            Ok(pods.into_iter().find(|pod| text(pod, "/metadata/name").ends_with("-0") && is_ready(pod)))
        })
    }

    /// Begins to write rows, a second of event time in half a second, until [`Self::finish`].
    pub fn feed(&self) {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (stop, topics) = (Arc::clone(&stop), self.topics.clone());
            let (feed, fed) = (Arc::clone(&self.feed), Arc::clone(&self.fed));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    write(&topics, &feed, &fed, 20)?;
                    std::thread::sleep(TICK);
                }
                Ok(())
            }
        });
        *self.feeding.lock().unwrap_or_else(PoisonError::into_inner) = Some(Feeding { stop, thread });
    }

    /// How many results can be read.
    pub fn results(&self) -> Result<usize> {
        Ok(self.cluster.kafka().consume(&self.topics.out())?.len())
    }

    /// Waits until there are results of rows that were not written yet: the job works, whatever happened to it.
    pub fn wait_progress(&self, at_most: Duration) -> Result<()> {
        let from = START_MS + i64::try_from(self.fed.load(Ordering::Relaxed))? * self.feed.step_ms;
        self.cluster.wait("results of what is written from now on", at_most, || {
            let read = self.cluster.kafka().consume(&self.topics.out())?;
            let ends = read.iter().filter_map(|read| {
                let row: Value = serde_json::from_slice(read.record.payload.as_deref()?).ok()?;
                row["window_end"].as_i64()
            });
            Ok(ends.max().filter(|&end| end > from).map(drop))
        })
    }

    /// Stops writing rows, closes all windows, waits for the last results, and checks that each row is in them exactly once.
    pub fn finish(&self) -> Result<()> {
        self.finish_by(|_| 0).map(drop)
    }

    /// The same, but results may be repeated, as they are after going back; gives how many are.
    pub fn finish_repeating(&self) -> Result<usize> {
        self.finish_by(|published| {
            let all = published.results.len();
            let mut seen = HashSet::new();
            published.results.retain(|row| seen.insert((row.key.clone(), row.end_ms)));
            all - published.results.len()
        })
    }

    fn finish_by(&self, mut prepare: impl FnMut(&mut Published) -> usize) -> Result<usize> {
        let feeding = self.feeding.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Feeding { stop, thread }) = feeding {
            stop.store(true, Ordering::Relaxed);
            thread.join().map_err(|_| anyhow::anyhow!("the feed panicked"))??;
        }
        self.close()?;
        let input = self.input()?;
        ensure!(!input.rows.is_empty(), "nothing was written");
        let mut last = Vec::new();
        let done = self.cluster.wait("each row is in the results", LONG, || {
            last.clear();
            let mut published = self.topics.published(&BTreeSet::new(), |_| true, &mut last)?;
            let prepared = prepare(&mut published);
            last.extend(checker::compare(&input, &published, &self.rules));
            // What is not there yet may come; what is there too often stays.
            let open = last.iter().any(|difference| matches!(difference.kind, checker::Kind::Lost));
            Ok((!open).then_some(prepared))
        });
        let some: Vec<String> = last.iter().take(3).map(ToString::to_string).collect();
        ensure!(last.is_empty(), "{} differences, such as {some:?}", last.len());
        println!("{} rows, each in its result", input.rows.len());
        self.finished.store(true, Ordering::Relaxed);
        done
    }

    /// One row in each partition, an hour later.
    fn close(&self) -> Result<()> {
        for partition in 0..self.feed.partitions {
            let mut row = self.feed.row(partition, CLOSING);
            row.at_ms =
                START_MS + i64::try_from(self.fed.load(Ordering::Relaxed))? * self.feed.step_ms + 3_600_000;
            let record = [Record::of(row.line())];
            self.cluster.kafka().produce(
                self.topics.name(),
                i32::try_from(partition)?,
                &record,
                Producing::default(),
            )?;
        }
        Ok(())
    }

    /// The input as it is stored, but for the rows that close windows.
    fn input(&self) -> Result<Input> {
        let mut texts = vec![String::new(); self.feed.partitions as usize];
        for read in self.cluster.kafka().consume(self.topics.name())? {
            let line = String::from_utf8(read.record.payload.context("a payload")?)?;
            let row: Value = serde_json::from_str(&line)?;
            if row["id"].as_u64().context("an id")? % PARTITION_ROWS < CLOSING {
                let text = &mut texts[usize::try_from(read.partition)?];
                *text += &line;
                text.push('\n');
            }
        }
        Input::of_texts(&texts, self.rules.bound_ms)
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        // Shown if the test fails, in whichever way.
        if !self.finished.load(Ordering::Relaxed) {
            println!("{}", self.cluster.described(&self.namespace));
        }
        // Whoever failed wants to hear of that first.
        drop(self.cluster.delete(Kind::NAMESPACE, "", &self.namespace));
    }
}

/// In a folder and those below it; none if it is not there, as when its last file is deleted meanwhile.
fn files(folder: &Path) -> Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path.display().to_string()) }
    }
    Ok(found)
}

/// A condition of an object.
fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| text(condition, "/type") == kind)
}

fn is_ready(pod: &Value) -> bool {
    condition(pod, "Ready").is_some_and(|ready| text(ready, "/status") == "True")
}

/// Writes so many rows more into each partition.
fn write(topics: &Topics, feed: &Feed, fed: &AtomicU64, rows: u64) -> Result<()> {
    let from = fed.load(Ordering::Relaxed);
    for partition in 0..feed.partitions {
        let records: Vec<Record> =
            (from..from + rows).map(|index| Record::of(feed.row(partition, index).line())).collect();
        topics.cluster().produce(topics.name(), i32::try_from(partition)?, &records, Producing::default())?;
    }
    fed.fetch_add(rows, Ordering::Relaxed);
    Ok(())
}

/// As a JSON merge patch does.
pub fn merge(into: &mut Value, change: &Value) {
    match (into, change) {
        (Value::Object(into), Value::Object(change)) => {
            for (name, value) in change {
                if value.is_null() {
                    into.remove(name);
                } else {
                    merge(into.entry(name.clone()).or_insert(Value::Null), value);
                }
            }
        }
        (into, change) => *into = change.clone(),
    }
}
