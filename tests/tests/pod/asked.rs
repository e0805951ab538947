//! Who may ask a pod, and for what: tokens, savepoints, requests that make no sense.
//!
//! Owns: every token that must be refused.
//! Never: asks anybody but the pod.

use anyhow::{Context, Result};
use serde_json::json;
use streamjob_crds::worker::{SavepointAnswer, SavepointState, WorkerPhase};
use streamjob_tests::pod::{Pod, PodJob};
use streamjob_tests::process::Signal;
use streamjob_tests::tokens::{Claims, Issuer};

use super::{SOON, endless, head};

const NOTHING: &str = "{\"operationID\":\"\",\"deadline\":\"2020-01-01T00:00:00Z\"}";

fn savepoint(pod: &Pod, id: &str) -> Result<SavepointAnswer> {
    let answer = pod.post("/v1/savepoints", &json!({"id": id}))?;
    anyhow::ensure!(answer.code == 200, "{answer:?}");
    serde_json::from_str(&answer.body).context(answer.body)
}

fn completed(pod: &Pod, id: &str) -> Result<SavepointAnswer> {
    let began = std::time::Instant::now();
    loop {
        let answer = savepoint(pod, id)?;
        if answer.state != SavepointState::InProgress {
            return Ok(answer);
        }
        anyhow::ensure!(began.elapsed() < SOON, "{answer:?}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn only_the_operators_token_is_taken() -> Result<()> {
    let job = PodJob::new(&endless())?;
    let pod = job.start(1, &[])?;
    let other = Issuer::es256("key-1")?;
    let now = jiff::Timestamp::now().as_second();
    let sign = |claims: Claims| job.issuer().sign(&claims);
    let token = job.issuer().token()?;
    let (claimed, signature) = token.rsplit_once('.').context("a token")?;
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", claimed.rsplit('.').next().unwrap_or_default());
    let longer = sign(Claims { exp: now + 86_400, ..Claims::right() })?;
    let changed = longer.rsplit_once('.').map(|(claimed, _)| format!("{claimed}.{signature}"));
    let by_key_as_secret = jsonwebtoken::encode(
        &jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256),
        &Claims::right(),
        &jsonwebtoken::EncodingKey::from_secret(job.issuer().jwks()?.as_bytes()),
    )?;
    let cases = [
        (None, 401, "none"),
        (Some(String::new()), 401, "empty"),
        (Some("a.b.c".to_owned()), 401, "no token"),
        (Some(other.token()?), 401, "of another key"),
        (Some(unsigned), 401, "not signed"),
        (Some(by_key_as_secret), 401, "signed with the public key"),
        (changed, 401, "changed"),
        (Some(sign(Claims { exp: now - 90, ..Claims::right() })?), 401, "expired"),
        (
            Some(sign(Claims { iss: "https://elsewhere".into(), ..Claims::right() })?),
            401,
            "of another issuer",
        ),
        (Some(sign(Claims { aud: vec!["another-job".into()], ..Claims::right() })?), 401, "for another job"),
        (Some(job.issuer().sign(&json!({"sub": Issuer::SUBJECT}))?), 401, "for ever"),
        (
            Some(sign(Claims { sub: "system:serviceaccount:shop:default".into(), ..Claims::right() })?),
            403,
            "of another",
        ),
    ];
    for (token, code, what) in cases {
        for path in ["/v1/stop", "/v1/savepoints"] {
            let answer = pod.post_as(path, token.as_deref(), NOTHING)?;
            assert_eq!(answer.code, code, "{what}: {answer:?}");
        }
    }
    // Clocks may differ by a minute.
    let late = sign(Claims { exp: now - 30, ..Claims::right() })?;
    assert_eq!(pod.post_as("/v1/stop", Some(&late), NOTHING)?.code, 400);
    assert_eq!(pod.post_as("/v1/stop", Some(&token), NOTHING)?.code, 400);
    assert_eq!(pod.status()?.operation, None);
    assert!(!pod.running.said().contains(&token));
    Ok(())
}

#[test]
fn keys_of_several_kinds_stand_beside_each_other() -> Result<()> {
    let job = PodJob::new(&endless())?;
    let rsa = Issuer::rs256("key-2")?;
    let keys = format!("--token-keys={}", job.issuer().jwks_with(&rsa)?);
    let mut command = job.command("run");
    command.args([
        "--incarnation=1",
        "--restore=latest",
        "--admin=127.0.0.1:0",
        "--control=127.0.0.1:0",
        "--grace=5",
        &keys,
        &format!("--token-issuer={}", Issuer::NAME),
        &format!("--token-subject={}", Issuer::SUBJECT),
        &format!("--token-audience={}", Issuer::AUDIENCE),
    ]);
    let pod = job.serve(command)?;

    for token in [job.issuer().token()?, rsa.token()?] {
        assert_eq!(pod.post_as("/v1/stop", Some(&token), NOTHING)?.code, 400);
    }
    let unknown = Issuer::rs256("key-3")?.token()?;
    assert_eq!(pod.post_as("/v1/stop", Some(&unknown), NOTHING)?.code, 401);
    Ok(())
}

#[test]
fn requests_that_make_no_sense_are_refused_and_change_nothing() -> Result<()> {
    let job = PodJob::new(&endless())?;
    let pod = job.start(1, &[])?;
    let token = job.issuer().token()?;
    let long = json!({"operationID": "x".repeat(300), "deadline": "2020-01-01T00:00:00Z"}).to_string();
    for body in ["", "{}", "{\"operationID\":\"a\"}", NOTHING, "[1,2", &long] {
        assert_eq!(pod.post_as("/v1/stop", Some(&token), body)?.code, 400, "{body}");
    }
    let huge = format!("{{\"operationID\":\"{}\"}}", "x".repeat(100_000));

    let refused = pod.post_as("/v1/stop", Some(&token), &huge);

    // It may be cut off while it is still being sent.
    assert!(refused.map_or(true, |answer| answer.code == 413));
    let bad = savepoint(&pod, "../elsewhere")?;
    assert_eq!(bad.state, SavepointState::Failed);
    pod.wait("it runs on", |status| status.phase == WorkerPhase::Running)?;
    Ok(())
}

#[test]
fn a_savepoint_is_taken_once_for_each_id_also_after_a_restart() -> Result<()> {
    let job = PodJob::new(&endless())?;
    let mut pod = job.start(1, &[])?;
    pod.wait_for_checkpoints(1)?;

    let first = savepoint(&pod, "before-4711")?;
    let done = completed(&pod, "before-4711")?;
    let again = savepoint(&pod, "before-4711")?;

    assert_eq!((first.state, done.state), (SavepointState::InProgress, SavepointState::Completed));
    assert_eq!(again, done);
    let uri = done.uri.clone().context("where it is")?;
    assert!(uri.ends_with("state/shop.orders/savepoints/before-4711"), "{uri}");
    assert!(done.size_bytes.is_some_and(|bytes| bytes > 500) && done.watermark.is_some());
    assert_eq!(pod.status()?.operation.map(|operation| operation.id), Some("before-4711".to_owned()));
    pod.running.signal(Signal::Kill)?;
    pod.running.wait(SOON)?;
    let next = job.start(1, &[])?;
    next.wait_for_checkpoints(1)?;
    assert_eq!(completed(&next, "before-4711")?, done);
    // Where the job has ended the store is asked.
    next.stops("op-2", SOON)?;
    assert_eq!(savepoint(&next, "before-4711")?, done);
    assert_eq!(savepoint(&next, "after")?.state, SavepointState::Failed);
    Ok(())
}

#[test]
fn a_savepoint_begins_another_incarnation_once_for_each_request() -> Result<()> {
    let job = PodJob::new(&endless())?;
    let mut pod = job.start(1, &[])?;
    pod.wait_for_checkpoints(1)?;
    let taken = completed(&pod, "a")?;
    pod.wait_for_checkpoints(pod.status()?.checkpoints_since_start + 3)?;
    pod.stops("op-2", SOON)?;
    pod.running.signal(Signal::Kill)?;
    pod.running.wait(SOON)?;
    let restore = format!("--restore={}", taken.uri.context("where it is")?);

    let mut restored = job.start(2, &[&restore, "--restore-request=incident-1"])?;
    let from = restored.wait_for_checkpoints(2)?.restored_from.context("a checkpoint")?;
    restored.running.signal(Signal::Kill)?;
    restored.running.wait(SOON)?;
    let last = head(&job)?;
    let again = job.start(2, &[&restore, "--restore-request=incident-1"])?;
    let on = again.wait("it runs", |status| status.phase == WorkerPhase::Running)?;

    assert_eq!(Some(from.epoch), taken.epoch);
    assert_eq!(last.restore.map(|restore| restore.id), Some("incident-1".to_owned()));
    assert!(on.restored_from.is_some_and(|on| on.epoch > from.epoch), "{on:?}");
    Ok(())
}

#[test]
fn a_savepoint_that_is_not_there_or_has_no_request_is_refused() -> Result<()> {
    let job = PodJob::new(&endless())?;
    let folder = job.path().join("state/shop.orders/savepoints/no").display().to_string();
    let restore = format!("--restore={folder}");

    let (_, missing) = job.fails(1, &[&restore, "--restore-request=r"])?;
    let (_, unnamed) = job.fails(1, &[&restore])?;

    assert_eq!(missing.reason.as_str(), "SavepointNotFound", "{missing:?}");
    assert_eq!(unnamed.reason.as_str(), "ConfigurationInvalid", "{unnamed:?}");
    Ok(())
}
