//! Many jobs at once on a real API server: how long a new operator takes until it has seen them all, and what memory.
//!
//! Owns: 100 StreamJobs, 1,000 with `STREAMJOB_LONG`, a twentieth of them suspended, and the operator's process.
//! Never: runs a worker; the processes in the pods are fakes.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use streamjob_tests::cluster::{Kind, without_operator};
use streamjob_tests::fake_cluster::FakeCluster;
use streamjob_tests::process::{Running, Signal};
use streamjob_tests::{admin, job};

use crate::operator::scene::{self, IMAGE, condition_of};

const NAMESPACE: &str = "many";
const OPERATOR: &str = "many-operator";
const HEALTH: &str = "127.0.0.1:18080";
/// What an operator that starts has for all jobs.
const OBSERVED_WITHIN: Duration = Duration::from_secs(30);
const MEMORY_MAX: u64 = 100_000_000;
/// One in so many is suspended.
const SUSPENDED: usize = 20;

fn operator(gateway: &str) -> Result<Running> {
    let mut command = Command::new(job::built("streamjob-operator"));
    command.args(["run", "--namespace", OPERATOR, "--service-account", "operator", "--cluster-id", "here"]);
    command.args(["--watch-namespaces", NAMESPACE, "--worker-image", IMAGE]);
    command.args(["--health", HEALTH, "--worker-gateway", gateway]);
    Running::start(command)
}

fn put_jobs(fake: &FakeCluster, count: usize) {
    for namespace in [NAMESPACE, OPERATOR] {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        fake.server.put("Namespace", "", object);
    }
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "operator"}});
    fake.server.put("ServiceAccount", OPERATOR, account);
    for number in 0..count {
        let mut job = scene::job();
        job["metadata"] = json!({"name": format!("job-{number}"), "namespace": NAMESPACE});
        job["spec"]["suspend"] = json!(number % SUSPENDED == 0);
        fake.server.put("StreamJob", NAMESPACE, job);
    }
}

/// How many jobs the operator has looked at.
fn observed() -> usize {
    let metrics = admin::get(HEALTH, "/metrics").unwrap_or_default();
    let jobs = metrics.lines().filter(|line| line.starts_with("streamjob_operator_jobs{"));
    jobs.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
}

#[test]
fn an_operator_that_starts_has_seen_all_of_many_jobs_soon() {
    without_operator(|cluster| {
        let (count, time) = match std::env::var_os("STREAMJOB_LONG") {
            Some(_) => (1000, Duration::from_secs(1800)),
            None => (100, Duration::from_secs(300)),
        };
        let fake = cluster.block_on(FakeCluster::on(cluster.client(), &[NAMESPACE, OPERATOR]))?;
        let gateway = fake.gateway().to_string();
        put_jobs(&fake, count);
        let mut first = operator(&gateway)?;
        let ready = |job: &Value| condition_of(job, "Ready").starts_with("True");
        cluster.wait("all jobs run, or are suspended", time, || {
            fake.tick(Duration::ZERO);
            ensure!(!first.has_ended()?, "{}", first.said());
            let jobs = fake.server.all("StreamJob");
            Ok((jobs.iter().filter(|job| ready(job)).count() == count).then_some(()))
        })?;
        let before = fake.server.all("StreamJob");
        first.signal(Signal::Terminate)?;
        let ended = first.wait(OBSERVED_WITHIN)?;
        ensure!(ended.code == Some(0), "{}", ended.shown());

        let began = Instant::now();
        let mut second = operator(&gateway)?;
        cluster.wait("the new operator has seen all jobs", OBSERVED_WITHIN, || {
            ensure!(!second.has_ended()?, "{}", second.said());
            Ok((observed() == count).then_some(()))
        })?;

        let took = began.elapsed();
        let memory = second.memory_bytes("VmHWM")?;
        println!(
            "{count} jobs: all seen {took:.1?} after the start of an operator, which has {} MB",
            memory / 1_000_000
        );
        let after = fake.server.all("StreamJob");
        let incarnations = |jobs: &[Value]| -> Vec<Value> {
            jobs.iter().map(|job| job["status"]["incarnation"].clone()).collect()
        };
        ensure!(incarnations(&before) == incarnations(&after), "a new operator restarted something");
        ensure!(memory < MEMORY_MAX, "{memory} bytes");
        second.signal(Signal::Terminate)?;
        second.wait(OBSERVED_WITHIN)?;
        cluster.delete(Kind::NAMESPACE, "", NAMESPACE)?;
        cluster.delete(Kind::NAMESPACE, "", OPERATOR)
    });
}
