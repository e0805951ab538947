//! A job on a real Kubernetes: how long until it begins, goes on after a kill, and is upgraded; what it costs the API server.
//!
//! Owns: what is done to a job, round by round; each round has a namespace of its own, and its results are checked.
//! Never: starts a cluster, or builds what is on it.

mod instants;
mod report;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};
use streamjob_tests::cluster::{Kubernetes, LONG, SOON, Scene, Shape, text};

use self::instants::{Lines, instant_of, now};

/// Where the cluster is, and how often things are done to a job.
#[derive(Debug, clap::Args)]
#[command(after_help = "Inside the network of a cluster that runs already:
  make cluster && make bench-cluster                    builds all that is needed, and runs this
  tests/cluster/cluster in target/release/streamjob-bench cluster --rounds 1 --quiet 10
                                                        does it work at all? The table is printed, not written")]
pub(crate) struct OnCluster {
    /// The folder of the cluster; otherwise that of `make cluster`, or what the variable STREAMJOB_CLUSTER says.
    #[arg(long)]
    cluster: Option<PathBuf>,
    /// In each a job is applied, its worker killed, its template changed. The table is written for 20.
    #[arg(long, default_value_t = ROUNDS, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// For so many seconds writes to the API are counted.
    #[arg(long, default_value_t = 180, value_parser = clap::value_parser!(u64).range(1..))]
    quiet: u64,
    /// The file with the table.
    #[arg(long, default_value = "BENCHMARKS.md")]
    table: PathBuf,
    /// Each round's numbers, as JSON.
    #[arg(long, default_value = "target/bench-cluster")]
    results: PathBuf,
}

const ROUNDS: u32 = 20;

/// Seconds of one round.
#[derive(Debug, Serialize)]
pub(crate) struct Round {
    apply: Apply,
    kill: Kill,
    upgrade: Upgrade,
}

/// From `kubectl apply` to the first row in a window.
#[derive(Debug, Serialize)]
struct Apply {
    whole: f64,
    /// `kubectl` itself, until the API server has the job.
    kubectl: f64,
    /// From then on, until the operator has asked for the StatefulSet.
    operator: f64,
    /// From then on, until the worker's process says its first word: controllers, scheduler, kubelet, runtime.
    kubernetes: f64,
    worker: f64,
}

/// From SIGKILL to the first row in a window after it.
#[derive(Debug, Serialize)]
struct Kill {
    whole: f64,
    kubelet: f64,
    worker: f64,
}

/// From the last row of the old incarnation to the first of the new one.
#[derive(Debug, Serialize)]
struct Upgrade {
    whole: f64,
    /// From the barrier of the last checkpoint until the log has the record of the hand-over.
    handover: f64,
    /// From then on, until the operator has asked for the new StatefulSet.
    operator: f64,
    kubernetes: f64,
    worker: f64,
}

/// Writes to the API about one job, a minute.
#[derive(Debug, Serialize)]
pub(crate) struct Writes {
    running: f64,
    suspended: f64,
}

/// Measures, and writes the section of the table.
pub(crate) fn measure(args: &OnCluster) -> Result<()> {
    let folder = args.cluster.clone().or_else(|| std::env::var_os("STREAMJOB_CLUSTER").map(PathBuf::from));
    let folder = folder.unwrap_or_else(|| streamjob_tests::s3::cache().join("cluster-running"));
    let cluster = Kubernetes::attach(folder).context("no cluster: `make cluster` starts one")?;
    let mut rounds = Vec::new();
    for number in 1..=args.rounds {
        let round = round(&cluster, number).with_context(|| format!("round {number}"))?;
        let Round { apply, kill, upgrade } = &round;
        println!(
            "round {number} of {}: apply {:.2} s, kill {:.2} s, upgrade {:.2} s",
            args.rounds, apply.whole, kill.whole, upgrade.whole
        );
        rounds.push(round);
    }
    let writes = writes(&cluster, Duration::from_secs(args.quiet))?;

    std::fs::create_dir_all(&args.results)?;
    let kept = serde_json::to_vec_pretty(&json!({"rounds": rounds, "writes": writes}))?;
    std::fs::write(args.results.join("rounds.json"), kept)?;
    let section = report::section(&rounds, &writes);
    println!("\n{section}");
    if args.rounds >= ROUNDS {
        report::replace_section(&args.table, &section)?;
        println!("written to {}", args.table.display());
    }
    Ok(())
}

/// A job whose workers tell when rows come and checkpoints begin.
fn shape() -> Shape {
    let filter = "info,streamjob_worker=debug";
    Shape { spec: json!({"observability": {"logFilter": filter}}), ..Shape::default() }
}

fn round(cluster: &Kubernetes, number: u32) -> Result<Round> {
    let scene = Scene::new(cluster, &format!("bench-{number}"))?;
    scene.feed();
    let apply = apply(cluster, &scene)?;
    let kill = kill(cluster, &scene)?;
    let upgrade = upgrade(cluster, &scene)?;
    scene.finish()?;
    Ok(Round { apply, kill, upgrade })
}

fn apply(cluster: &Kubernetes, scene: &Scene<'_>) -> Result<Apply> {
    let applied = now();
    scene.apply(&shape())?;
    let stored = now();
    scene.wait_condition("Ready", "True", LONG)?;
    let log = Lines::of(cluster, &scene.coordinator()?)?;
    let (began, row) = (log.began()?, log.first_row()?);
    let asked = set_applied(cluster, scene, applied)?;
    Ok(Apply {
        whole: row - applied,
        kubectl: stored - applied,
        operator: asked - stored,
        kubernetes: began - asked,
        worker: row - began,
    })
}

fn kill(cluster: &Kubernetes, scene: &Scene<'_>) -> Result<Kill> {
    scene.wait_progress(SOON)?;
    let pod = scene.coordinator()?;
    let killed = now();
    let before = cluster.kill_container(&pod)?;
    cluster.wait_killed(&pod, before)?;
    scene.wait_progress(SOON)?;
    let log = Lines::of(cluster, &scene.coordinator()?)?;
    let (began, row) = (log.began()?, log.first_row()?);
    Ok(Kill { whole: row - killed, kubelet: began - killed, worker: row - began })
}

fn upgrade(cluster: &Kubernetes, scene: &Scene<'_>) -> Result<Upgrade> {
    scene.wait_condition("Ready", "True", LONG)?;
    let old = scene.coordinator()?;
    let asked_from = now();
    let (old_log, new_log) = std::thread::scope(|scope| {
        // The log of a pod goes with the pod.
        let following = scope.spawn(|| Lines::to_the_end(cluster, &old));
        scene.change(&json!({"workers": {"template": {"labels": {"example.com/color": "blue"}}}}))?;
        scene.wait_replaced(&old, LONG)?;
        scene.wait_condition("Ready", "True", LONG)?;
        let new_log = Lines::of(cluster, &scene.coordinator()?)?;
        let old_log = following.join().map_err(|_| anyhow::anyhow!("the log's reader panicked"))??;
        anyhow::Ok((old_log, new_log))
    })?;
    let (last, ended) = (old_log.last_barrier()?, old_log.handed_over()?);
    let (began, row) = (new_log.began()?, new_log.first_row()?);
    let asked = set_applied(cluster, scene, asked_from)?;
    Ok(Upgrade {
        whole: row - last,
        handover: ended - last,
        operator: asked - ended,
        kubernetes: began - asked,
        worker: row - began,
    })
}

/// When the operator first wrote a StatefulSet after an instant; to ask whether it could is not to write it.
fn set_applied(cluster: &Kubernetes, scene: &Scene<'_>, after: f64) -> Result<f64> {
    let written = cluster.operator_calls()?.into_iter().filter(|event| {
        is_about(event, scene)
            && text(event, "/objectRef/resource") == "statefulsets"
            && text(event, "/verb") == "patch"
            && !text(event, "/requestURI").contains("dryRun")
    });
    let instants = written.filter_map(|event| instant_of(text(&event, "/stageTimestamp")));
    instants.filter(|&at| at > after).min_by(f64::total_cmp).context("no StatefulSet was written")
}

fn is_about(event: &Value, scene: &Scene<'_>) -> bool {
    text(event, "/objectRef/namespace") == scene.namespace()
}

fn writes(cluster: &Kubernetes, quiet: Duration) -> Result<Writes> {
    let scene = Scene::running(cluster, "bench-writes")?;
    let running = writes_in(cluster, &scene, quiet)?;
    scene.change(&json!({"suspend": true}))?;
    scene.wait_condition("Suspended", "True", LONG)?;
    let suspended = writes_in(cluster, &scene, quiet)?;
    scene.change(&json!({"suspend": false}))?;
    scene.finish()?;
    Ok(Writes { running, suspended })
}

/// Writes a minute, once the job has settled.
fn writes_in(cluster: &Kubernetes, scene: &Scene<'_>, quiet: Duration) -> Result<f64> {
    std::thread::sleep(SETTLED);
    let from = now();
    std::thread::sleep(quiet);
    let until = now();
    let events = cluster.operator_calls()?;
    let is_write = |event: &&Value| {
        let verb = text(event, "/verb");
        let at = instant_of(text(event, "/stageTimestamp")).unwrap_or_default();
        is_about(event, scene) && !matches!(verb, "get" | "list" | "watch") && (from..until).contains(&at)
    };
    Ok(events.iter().filter(is_write).count() as f64 / (until - from) * 60.0)
}

/// After a change, what is about it is written in this time.
const SETTLED: Duration = Duration::from_secs(20);
