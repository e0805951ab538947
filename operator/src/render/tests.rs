//! The objects of a job, word by word; what all pods have in common; what another operator would not change.

use std::path::Path;

use serde_json::json;
use streamjob_crds::{Place, StreamJobSpec, validate};

use super::*;
use crate::effective::Effective;
use crate::revision::user_hash;
use crate::world::{StartArguments, TokenCheck};

fn settings() -> Settings {
    Settings {
        worker_image: "registry.example/streamjob-worker:1.0.0".to_owned(),
        cluster_id: "7d3c".to_owned(),
        operator_namespace: "streamjob".to_owned(),
        token: TokenCheck {
            keys: "{\"keys\":[]}".to_owned(),
            issuer: "https://kubernetes.default.svc".to_owned(),
            subject: "system:serviceaccount:streamjob:streamjob-operator".to_owned(),
        },
        metrics_namespace: Some("monitoring".to_owned()),
    }
}

/// A job with everything that has a Secret.
fn spec() -> StreamJobSpec {
    serde_json::from_value(json!({
        "parallelism": 4,
        "pipeline": {
            "source": {
                "kafka": {
                    "cluster": {
                        "bootstrapServers": "kafka:9093",
                        "tls": {"ca": {"name": "kafka-ca", "key": "ca.crt"}},
                        "sasl": {
                            "mechanism": "SCRAM-SHA-512",
                            "username": "orders",
                            "password": {"name": "kafka-user", "key": "password"},
                        },
                    },
                    "topics": ["orders"],
                },
                "format": {"json": {}},
                "columns": [{"name": "page", "type": "String"}, {"name": "ts", "type": "TimestampMillis"}],
            },
            "eventTime": {"field": "ts"},
            "keyBy": ["page"],
            "window": {"tumbling": {"size": "10s"}},
            "aggregates": [{"name": "orders", "function": "Count"}],
            "sink": {"kafka": {"topic": "orders-per-page"}},
        },
        "state": {"location": {
            "uri": "s3://streams/prod",
            "credentials": {"name": "orders-s3"},
            "ca": {"name": "store-ca", "key": "ca.crt"},
        }},
        "workers": {
            "imagePullSecrets": [{"name": "pull"}],
            "resources": {"limits": {"memory": "4Gi"}},
            "template": {
                "labels": {"team": "shop"},
                "nodeSelector": {"kubernetes.io/arch": "arm64"},
                "environment": [{"name": "RUST_BACKTRACE", "value": "1"}],
            },
        },
    }))
    .expect("a spec")
}

fn revision(spec: &StreamJobSpec, image: &str) -> Revision {
    let effective = Effective::of(spec, "shop.orders", image);
    let fingerprint = [("spec.pipeline.keyBy".to_owned(), "page String".to_owned())].into();
    Revision::of("orders", spec, effective, &fingerprint)
}

fn everything(spec: &StreamJobSpec) -> Vec<Object> {
    let settings = settings();
    let to = For { name: "orders", namespace: "shop", uid: "5f3a", orphan: false, settings: &settings };
    let revision = revision(spec, &settings.worker_image);
    let arguments = StartArguments {
        cluster_id: settings.cluster_id.clone(),
        incarnation: 8,
        parallelism: 4,
        restore: "latest".to_owned(),
        restore_request: None,
        take_over: None,
        floor: Some(4711),
        token: settings.token.clone(),
    };
    let set = set(&to, &revision, &arguments, "g14-upgrade-8");
    let mut all = vec![controller_revision(&to, &revision, 8, true), config_map(&to, &revision)];
    all.extend(shared(&to, &revision, &crate::effective::Policy::of(Some(spec))));
    all.push(disruption_budget(&to, &set, 8));
    all.push(pod_of(&set));
    all.push(check(&to, &revision, 4, vec!["--restore=latest".to_owned()]));
    all.push(janitor(&For { orphan: true, ..to }, &revision, 8, 240));
    all.push(set);
    all
}

#[test]
fn a_job_is_made_of_these_objects() {
    let texts: Vec<String> =
        everything(&spec()).iter().map(|object| serde_yaml::to_string(&object.0).expect("YAML")).collect();

    insta::assert_snapshot!(texts.join("---\n"));
}

#[test]
fn the_same_job_is_rendered_to_the_same_bytes() {
    let bytes = |objects: Vec<Object>| objects.iter().map(|object| object.0.to_string()).collect::<Vec<_>>();

    assert_eq!(bytes(everything(&spec())), bytes(everything(&spec())));
}

#[test]
fn no_pod_may_do_more_than_the_restricted_standard_allows() {
    let pods: Vec<Value> = everything(&spec())
        .into_iter()
        .filter_map(|object| match object.kind() {
            Some(Kind::Pod) => Some(object.0["spec"].clone()),
            Some(Kind::StatefulSet | Kind::Job) => Some(object.0["spec"]["template"]["spec"].clone()),
            Some(_) | None => None,
        })
        .collect();

    assert_eq!(pods.len(), 4);
    for pod in pods {
        assert_eq!(pod["automountServiceAccountToken"], json!(false));
        assert_eq!(pod["securityContext"]["runAsNonRoot"], json!(true));
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], json!("RuntimeDefault"));
        for field in ["hostNetwork", "hostPID", "hostIPC", "hostUsers"] {
            assert!(pod[field].is_null(), "{field}");
        }
        let kinds = ["configMap", "emptyDir", "secret"];
        for volume in pod["volumes"].as_array().expect("a list") {
            assert!(kinds.iter().any(|kind| volume[kind].is_object()), "{volume}");
        }
        for container in pod["containers"].as_array().expect("a list") {
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], json!(false));
            assert_eq!(security["readOnlyRootFilesystem"], json!(true));
            assert_eq!(security["capabilities"], json!({"drop": ["ALL"]}));
            assert!(
                container["env"]
                    .as_array()
                    .expect("a list")
                    .iter()
                    .all(|one| one["valueFrom"]["secretKeyRef"].is_null())
            );
        }
    }
}

#[test]
fn only_what_the_user_says_makes_another_revision() {
    let edited = |edit: fn(&mut StreamJobSpec)| {
        let mut spec = spec();
        edit(&mut spec);
        user_hash(&spec)
    };
    let size = |text: &str| streamjob_crds::Duration::parse(text).expect("a duration");
    let mut spelt = spec();
    spelt.pipeline.window.tumbling.size = size("0m10s");
    let same = user_hash(&spec());

    assert_eq!(user_hash(&spelt), same, "another spelling");
    assert_eq!(edited(|spec| spec.parallelism = 9), same);
    assert_eq!(edited(|spec| spec.suspend = Some(true)), same);
    assert_eq!(edited(|spec| spec.upgrade = Some(Default::default())), same);
    assert_eq!(
        edited(|spec| spec.observability = Some(Default::default())),
        same,
        "a block that says nothing"
    );
    assert_ne!(edited(|spec| spec.pipeline.key_by = vec!["ts".to_owned()]), same);
    assert_ne!(edited(|spec| spec.restarted_at = Some("now".to_owned())), same);
    assert_ne!(edited(|spec| spec.workers = None), same);
    let names = ["worker:1", "worker:2"].map(|image| revision(&spec(), image).name);
    assert_ne!(names[0], names[1], "a revision keeps the image of its day");
}

#[test]
fn a_revision_is_read_back_as_it_was_written() {
    let settings = settings();
    let to = For { name: "orders", namespace: "shop", uid: "5f3a", orphan: false, settings: &settings };
    let written = revision(&spec(), "worker:1");

    let read = Revision::read(&controller_revision(&to, &written, 3, false)).expect("it is one of ours");

    assert_eq!(read, written);
    assert_eq!(config_map(&to, &read), config_map(&to, &written));
}

#[test]
fn every_example_of_today_has_an_effective_spec_that_workers_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut seen = 0;
    let folders = std::fs::read_dir(root).expect("there are examples").flatten().map(|entry| entry.path());
    let files = folders
        .filter(|path| path.is_dir())
        .flat_map(|folder| std::fs::read_dir(folder).expect("a folder").flatten());
    for path in
        files.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "yaml"))
    {
        let text = std::fs::read_to_string(&path).expect("it can be read");
        let Ok(job) = serde_yaml::from_str::<streamjob_crds::StreamJob>(&text) else { continue };
        let effective = Effective::of(&job.spec, "shop.orders", "worker:1");
        let revision = Revision::of("orders", &job.spec, effective, &Default::default());
        let settings = settings();
        let to = For { name: "orders", namespace: "shop", uid: "5f3a", orphan: false, settings: &settings };

        let map = config_map(&to, &revision);
        let manifest = map.0["data"]["job.json"].as_str().expect("a text");
        let read: streamjob_crds::StreamJob = serde_json::from_str(manifest).expect("workers read it");

        assert_eq!(read.spec.pipeline, job.spec.pipeline, "{}", path.display());
        assert_eq!(validate(&read, Place::Machine).len(), 0, "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 4, "only {seen} examples");
}
