//! Memory: a pod that comes near its limit stops and says why, before the kernel kills it.
//!
//! Owns: folders that stand for control groups.
//! Never: sets a limit of the kernel.

use anyhow::Result;
use streamjob_crds::Reason;
use streamjob_tests::pod::PodJob;

use super::{SOON, endless};

/// Ever more keys.
fn growing(limit: &str, file: &str) -> Result<PodJob> {
    let mut spec = endless();
    spec["pipeline"]["source"]["generator"]["columns"][0] =
        serde_json::json!({"name": "page", "sequence": {"prefix": "page-number-"}});
    spec["pipeline"]["source"]["generator"]["rowsPerSecond"] = 2_000_000.into();
    spec["pipeline"]["window"]["tumbling"]["size"] = "24h".into();
    spec["state"]["checkpoint"]["interval"] = "1s".into();
    let mut job = PodJob::new(&spec)?;
    let group = job.path().join("cgroup");
    std::fs::create_dir_all(group.join("memory"))?;
    std::fs::write(group.join(file), limit)?;
    job.arguments = Vec::new();
    Ok(job)
}

#[test]
fn state_that_outgrows_the_memory_of_the_pod_stops_it_with_bytes_and_keys() -> Result<()> {
    const LIMIT: u64 = 300 << 20;
    for file in ["memory.max", "memory/memory.limit_in_bytes"] {
        let job = growing(&format!("{LIMIT}\n"), file)?;
        let group = format!("--cgroup={}", job.path().join("cgroup").display());

        let mut pod = job.start(1, &[&group])?;
        let ended = pod.running.wait(SOON)?;
        let left = job.termination()?;

        assert_eq!((ended.code, left.reason, left.retryable), (Some(1), Reason::StateOverBudget, false));
        assert!(left.message.contains(&format!("of {LIMIT} bytes are used")), "{left:?}");
        assert!(left.message.starts_with("spec.workers.resources.limits.memory: "), "{left:?}");
        let keys = left.message.split(" keys in ").next().and_then(|text| text.rsplit(' ').next());
        assert!(
            keys.and_then(|keys| keys.parse::<u64>().ok()).is_some_and(|keys| keys > 100_000),
            "{left:?}"
        );
    }
    Ok(())
}

#[test]
fn without_a_limit_a_pod_goes_on() -> Result<()> {
    let job = PodJob::new(&endless())?;
    std::fs::write(job.path().join("memory.max"), "max\n")?;

    let pod = job.start(1, &[&format!("--cgroup={}", job.path().display())])?;

    pod.wait_for_checkpoints(2)?;
    Ok(())
}
