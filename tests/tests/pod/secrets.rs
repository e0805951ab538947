//! Credentials in mounted files: read again when they change, and shown nowhere.
//!
//! Owns: a store that takes one key and then another.
//! Never: puts a secret into the environment of a pod.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;
use streamjob_crds::worker::WorkerPhase;
use streamjob_tests::pod::PodJob;
use streamjob_tests::process::Signal;
use streamjob_tests::s3::{ACCESS_KEY, BUCKET, Kind, S3Server, SECRET_KEY};

use super::{SOON, endless};

fn in_bucket(server: &S3Server) -> Result<PodJob> {
    let mut spec = endless();
    spec["state"]["location"] =
        json!({"uri": format!("s3://{BUCKET}/prod"), "endpoint": format!("http://{}", server.address())});
    let mut job = PodJob::new(&spec)?;
    let keys = job.path().join("keys");
    std::fs::create_dir(&keys)?;
    job.arguments = vec![format!("--store-credentials={}", keys.display())];
    Ok(job)
}

/// As kubelet replaces a mounted Secret: all files at once, behind a link.
fn mount(job: &PodJob, version: &str, secret: &str) -> Result<()> {
    let keys = job.path().join("keys");
    let folder = keys.join(format!("..{version}"));
    std::fs::create_dir(&folder)?;
    std::fs::write(folder.join("AWS_ACCESS_KEY_ID"), ACCESS_KEY)?;
    std::fs::write(folder.join("AWS_SECRET_ACCESS_KEY"), format!("{secret}\n"))?;
    std::os::unix::fs::symlink(&folder, keys.join("..new"))?;
    std::fs::rename(keys.join("..new"), keys.join("..data"))?;
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        let link = keys.join(name);
        if link.symlink_metadata().is_err() {
            std::os::unix::fs::symlink(Path::new("..data").join(name), link)?;
        }
    }
    Ok(())
}

#[test]
fn credentials_that_are_replaced_are_used_at_once_and_a_refusal_is_waited_out() -> Result<()> {
    let server = S3Server::start(Kind::Versitygw)?;
    let job = in_bucket(&server)?;
    mount(&job, "1", "canary-wrong")?;

    let pod = job.start(1, &[])?;
    let waits = pod.wait("it waits", |status| status.waiting_for.is_some())?;
    mount(&job, "2", SECRET_KEY)?;
    pod.wait_for_checkpoints(2)?;
    mount(&job, "3", "canary-wrong")?;
    let refused = pod.wait("it waits again", |status| status.waiting_for.is_some())?;
    mount(&job, "4", SECRET_KEY)?;
    let on = pod.wait_for_checkpoints(refused.checkpoints_since_start + 2)?;

    assert!(waits.waiting_for.is_some_and(|what| what.contains("StoreAccessDenied")));
    assert_eq!((refused.phase, on.attempt), (WorkerPhase::Running, 1));
    Ok(())
}

#[test]
fn no_secret_is_in_anything_that_a_pod_says_or_leaves() -> Result<()> {
    let server = S3Server::start(Kind::Versitygw)?;
    let mut job = in_bucket(&server)?;
    mount(&job, "1", SECRET_KEY)?;
    job.environment = vec![("RUST_LOG".to_owned(), "debug".to_owned())];
    let mut pod = job.start(1, &[])?;
    pod.wait_for_checkpoints(2)?;
    let token = job.issuer().token()?;
    pod.post_as("/v1/stop", Some(&token), "{}")?;

    let mut said = ["/", "/healthz", "/readyz", "/metrics", "/v1/status"]
        .iter()
        .map(|path| Ok(pod.get(path)?.body))
        .collect::<Result<Vec<_>>>()?;
    pod.running.signal(Signal::Terminate)?;
    said.push(pod.running.wait(SOON)?.said);
    mount(&job, "2", "canary-wrong")?;
    let ended = job.ends("check", &["--patience=1"])?;
    said.push(ended.said);
    said.push(std::fs::read_to_string(job.path().join("termination-log")).context("it is refused")?);

    for text in &said {
        for secret in [SECRET_KEY, "canary-wrong", token.rsplit('.').next().unwrap_or_default()] {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
    Ok(())
}
