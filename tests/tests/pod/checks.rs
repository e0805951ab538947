//! `streamjob-worker check`: every reason why a job could not start, each with the field of the manifest.
//!
//! Owns: that the check writes nothing that stays.
//! Never: starts a job over what it has refused.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use streamjob_crds::Reason;
use streamjob_crds::worker::Termination;
use streamjob_tests::certificates::Authority;
use streamjob_tests::kafka::{Cluster, ClusterSpec, Security, shared};
use streamjob_tests::pod::PodJob;
use streamjob_tests::s3::{BUCKET, Kind, S3Server};

use super::{endless, head};

/// The reason of a check that must fail.
fn refusal(job: &PodJob, more: &[&str]) -> Result<Termination> {
    let ended = job.ends("check", more)?;
    anyhow::ensure!(ended.code != Some(0), "the check found nothing: {}", ended.said);
    job.termination().with_context(|| ended.said)
}

fn passes(job: &PodJob, more: &[&str]) -> Result<()> {
    let ended = job.ends("check", more)?;
    anyhow::ensure!(ended.code == Some(0) && job.left_nothing(), "{}", ended.said);
    Ok(())
}

/// From a topic to another, exactly once.
fn between_topics(servers: &str, from: &str, to: &str) -> Value {
    let mut spec = endless();
    let columns = json!([{"name": "page", "type": "String"}, {"name": "ts", "type": "TimestampMillis"}]);
    spec["pipeline"]["source"] = json!({
        "kafka": {"cluster": {"bootstrapServers": servers}, "topics": [from]},
        "format": {"json": {}},
        "columns": columns,
    });
    spec["pipeline"]["sink"] = json!({"kafka": {"topic": to}});
    spec
}

#[test]
fn a_job_that_could_start_passes_and_leaves_no_trace() -> Result<()> {
    shared().create_topic("check-in", 1, &[])?;
    shared().create_topic("check-out", 1, &[])?;
    let job = PodJob::new(&between_topics(&shared().bootstrap(), "check-in", "check-out"))?;

    passes(&job, &[])?;

    let state = job.path().join("state/shop.orders");
    for folder in ["log", "data"] {
        assert!(!state.join(folder).exists(), "{folder} was made");
    }
    Ok(())
}

#[test]
fn topics_that_are_not_there_are_named_with_their_field() -> Result<()> {
    shared().create_topic("check-there", 1, &[])?;
    let servers = shared().bootstrap();

    let source = refusal(&PodJob::new(&between_topics(&servers, "check-nowhere", "check-there"))?, &[])?;
    let sink = refusal(&PodJob::new(&between_topics(&servers, "check-there", "check-nowhere"))?, &[])?;

    for (told, field) in
        [(source, "spec.pipeline.source.kafka.topics"), (sink, "spec.pipeline.sink.kafka.topic")]
    {
        assert_eq!((told.reason, told.retryable), (Reason::TopicMissing, false));
        assert!(told.message.starts_with(field) && told.message.contains("`check-nowhere`"), "{told:?}");
    }
    Ok(())
}

#[test]
fn kafka_that_does_not_answer_or_does_not_know_the_user_is_told_apart() -> Result<()> {
    let silent = refusal(&PodJob::new(&between_topics("127.0.0.1:1", "in", "out"))?, &["--patience=3"])?;

    assert_eq!((silent.reason, silent.retryable), (Reason::KafkaUnavailable, true));
    assert!(silent.message.starts_with("spec.pipeline.source.kafka: "), "{silent:?}");
    Ok(())
}

#[test]
fn a_password_that_is_missing_or_wrong_is_told_without_it() -> Result<()> {
    let password = "canary-password-1";
    let security =
        Security { user: Some(("admin".into(), password.into())), plain: true, ..Security::default() };
    let cluster = Cluster::start(ClusterSpec { security, ..ClusterSpec::default() })?;
    for topic in ["in", "out"] {
        cluster.create_topic(topic, 1, &[])?;
    }
    let mut spec = between_topics(&cluster.bootstrap(), "in", "out");
    spec["pipeline"]["source"]["kafka"]["cluster"]["sasl"] =
        json!({"mechanism": "PLAIN", "username": "admin", "password": {"file": "secret"}});
    let job = PodJob::new(&spec)?;
    let missing = refusal(&job, &[])?;
    std::fs::write(job.path().join("secret"), "canary-wrong")?;
    let wrong = refusal(&job, &[])?;
    std::fs::write(job.path().join("secret"), password)?;
    passes(&job, &[])?;

    assert_eq!(missing.reason, Reason::SecretMissing, "{missing:?}");
    assert!(missing.message.starts_with("spec.pipeline.source.kafka.cluster: "), "{missing:?}");
    assert_eq!(wrong.reason, Reason::KafkaDenied, "{wrong:?}");
    assert!(!wrong.message.contains("canary"), "{wrong:?}");
    Ok(())
}

#[test]
fn rights_that_are_missing_are_told_with_topic_and_field() -> Result<()> {
    let certificates = tempfile::tempdir()?;
    let authority = Authority::new(certificates.path())?;
    let tls = Some((authority.certificate(), authority.issue("broker")?));
    authority.issue("job")?;
    let security = Security { tls, client_certificates: true, ..Security::default() };
    let properties = [
        ("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer"),
        ("allow.everyone.if.no.acl.found", "true"),
        ("super.users", "User:CN=broker"),
    ];
    let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let cluster = Cluster::start(ClusterSpec { security, properties, ..ClusterSpec::default() })?;
    for topic in ["in", "out"] {
        cluster.create_topic(topic, 1, &[])?;
    }
    let mut spec = between_topics(&cluster.bootstrap(), "in", "out");
    let file = |name: &str| json!({"file": certificates.path().join(name).display().to_string()});
    spec["pipeline"]["source"]["kafka"]["cluster"]["tls"] = json!({
        "ca": file("authority.crt"),
        "clientCertificate": {"certificate": file("job.crt"), "privateKey": file("job.key")},
    });
    let job = PodJob::new(&spec)?;
    passes(&job, &[])?;
    // What is not allowed is denied as soon as anything is.
    let without = |topic: &str| -> Result<Termination> {
        let right = ["--allow-principal", "User:CN=job", "--operation", "Describe", "--topic", topic];
        cluster.acls(&[&["--add"], &right[..]].concat())?;
        let told = refusal(&job, &[]);
        cluster.acls(&[&["--remove", "--force"], &right[..]].concat())?;
        told
    };

    let read = without("in")?;
    let write = without("out")?;

    for (told, field, right) in [
        (read, "spec.pipeline.source.kafka.topics: ", "to READ the topic `in`"),
        (write, "spec.pipeline.sink.kafka.topic: ", "to WRITE the topic `out`"),
    ] {
        assert_eq!(told.reason, Reason::KafkaDenied, "{told:?}");
        assert!(told.message.starts_with(field) && told.message.contains(right), "{told:?}");
    }
    Ok(())
}

#[test]
fn a_store_that_cannot_be_used_is_told_by_what_is_wrong_with_it() -> Result<()> {
    let mut server = S3Server::start(Kind::Versitygw)?;
    let mut spec = endless();
    let at = |bucket: &str| json!({"uri": format!("s3://{bucket}/prod"), "endpoint": format!("http://{}", server.address())});
    spec["state"]["location"] = at(BUCKET);
    let mut job = PodJob::new(&spec)?;
    let keys = job.path().join("keys");
    job.arguments = vec![format!("--store-credentials={}", keys.display())];
    std::fs::create_dir(&keys)?;
    let write = |name: &str, value: &str| std::fs::write(keys.join(name), value);

    let missing = refusal(&job, &[])?;
    write("AWS_ACCESS_KEY_ID", "tests")?;
    write("AWS_SECRET_ACCESS_KEY", "canary-wrong")?;
    let denied = refusal(&job, &["--patience=2"])?;
    write("AWS_SECRET_ACCESS_KEY", streamjob_tests::s3::SECRET_KEY)?;
    passes(&job, &[])?;
    let ca = refusal(&job, &["--store-ca=/nowhere.pem"])?;
    spec["state"]["location"] = at("elsewhere");
    job.write_spec(&spec)?;
    let bucket = refusal(&job, &["--patience=2"])?;
    server.stop();
    let away = refusal(&job, &["--patience=2"])?;

    assert_eq!(missing.reason, Reason::SecretMissing, "{missing:?}");
    assert!(missing.message.contains("AWS_ACCESS_KEY_ID"), "{missing:?}");
    assert_eq!(denied.reason, Reason::StoreDenied, "{denied:?}");
    assert!(!denied.message.contains("canary"), "{denied:?}");
    assert_eq!(ca.reason, Reason::SecretMissing, "{ca:?}");
    assert_eq!((bucket.reason, bucket.retryable), (Reason::StoreUnavailable, false), "{bucket:?}");
    assert_eq!((away.reason, away.retryable), (Reason::StoreUnavailable, true), "{away:?}");
    Ok(())
}

#[test]
fn state_that_is_not_ours_or_does_not_fit_is_refused_and_what_runs_is_not_disturbed() -> Result<()> {
    let mut job = PodJob::new(&endless())?;
    let pod = job.start(1, &[])?;
    pod.wait_for_checkpoints(1)?;
    passes(&job, &[])?;
    job.cluster = "another";
    let owned = refusal(&job, &[])?;
    job.cluster = streamjob_tests::pod::CLUSTER;
    let mut other = endless();
    other["pipeline"]["keyBy"] = json!(["page", "ts"]);
    job.write_spec(&other)?;

    let changed = refusal(&job, &[])?;
    passes(&job, &["--restore=nothing", "--restore-request=r"])?;

    assert_eq!(owned.reason, Reason::StateOwned, "{owned:?}");
    assert_eq!(changed.reason, Reason::StateIncompatible, "{changed:?}");
    assert!(changed.message.starts_with("spec.pipeline.keyBy: "), "{changed:?}");
    pod.wait_for_checkpoints(pod.status()?.checkpoints_since_start + 2)?;
    assert_eq!(head(&job)?.generation.attempt, 1);
    Ok(())
}

#[test]
fn a_plan_that_does_not_compile_is_told_with_its_field() -> Result<()> {
    let mut spec = endless();
    spec["pipeline"]["aggregates"] = json!([{"name": "total", "function": "Sum", "field": "nothing"}]);
    let job = PodJob::new(&spec)?;

    let told = refusal(&job, &[])?;

    assert_eq!(told.reason, Reason::PipelineRejected);
    assert!(told.message.contains("spec.pipeline.aggregates[0].field"), "{told:?}");
    Ok(())
}
