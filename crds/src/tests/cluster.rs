//! Tests of jobs for a cluster: every field of it, what is refused there, and what pods get to read.
//!
//! Owns: a manifest with all fields that only a cluster has.
//! Never: asks a cluster.

use super::edited;
use crate::{Place, StreamJob, notes, validate};

/// Every field that only a cluster has.
const FULL: &str = "\
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {name: clicks, namespace: shop}
spec:
  suspend: false
  restartedAt: monday
  parallelism: 4
  pipeline:
    source:
      kafka:
        cluster:
          bootstrapServers: \"kafka:9093\"
          tls:
            ca: {name: kafka-ca, key: ca.crt}
            clientCertificate: {certificate: {name: client, key: tls.crt}, privateKey: {name: client, key: tls.key}}
          sasl: {mechanism: SCRAM-SHA-512, username: clicks, password: {name: kafka-user, key: password}}
        topics: [clicks]
      format: {json: {}}
      columns: [{name: page, type: String}, {name: ts, type: TimestampMillis}]
    eventTime: {field: ts}
    keyBy: [page]
    window: {tumbling: {size: 10s}}
    aggregates: [{name: clicks, function: Count}]
    sink: {kafka: {topic: counts}}
  state:
    id: shop.clicks
    location:
      uri: s3://streams/prod
      endpoint: https://store:9000
      credentials: {name: store}
      ca: {name: store-ca, key: ca.crt}
  upgrade:
    handover: LatestCheckpoint
    whenUnhealthy: Wait
    maxCheckpointAge: 1h
    handoverTimeout: 5m
    rollback: {enabled: false, progressDeadline: 10m, stableAfterCheckpoints: 3}
  restore: {requestID: incident-1, from: Savepoint, savepointName: before}
  recovery:
    initialBackoff: 2s
    maxBackoff: 1m
    maxRestarts: 5
    healthyAfter: 10m
    checkpointDeadline: 0s
    lostPodTimeout: 2m
  workers:
    image: streamjob/worker:1
    imagePullPolicy: Always
    imagePullSecrets: [{name: pull}]
    slots: 2
    serviceAccountName: clicks-worker
    resources: {requests: {cpu: 2, memory: 4Gi}, limits: {memory: 4Gi}}
    terminationGracePeriod: 2m
    podDisruptionBudget: {enabled: false}
    template:
      labels: {team: shop}
      annotations: {scrape: \"true\"}
      nodeSelector: {kubernetes.io/arch: arm64}
      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms:
              - matchExpressions: [{key: disk, operator: In, values: [fast]}]
      tolerations: [{key: streaming, operator: Exists, effect: NoSchedule, tolerationSeconds: 5}]
      topologySpreadConstraints:
        - {maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: ScheduleAnyway}
      priorityClassName: high
      runtimeClassName: plain
      environment: [{name: RUST_BACKTRACE, value: \"1\"}]
  network: {policy: None}
  observability: {logFilter: debug, logFormat: Text}
  deletion: {state: Delete, timeout: 5m}
  revisionHistoryLimit: 3
";

/// Read with the strictness of a manifest, whatever the place.
fn read(text: &str) -> StreamJob {
    let value: serde_json::Value = serde_yaml::from_str(text).expect("it is YAML");
    serde_json::from_value(value).expect("it is a job")
}

fn mistakes(text: &str) -> Vec<String> {
    validate(&read(text), Place::Cluster)
        .iter()
        .map(|error| format!("{}: {}", error.path, error.message))
        .collect()
}

#[test]
fn every_field_of_a_cluster_is_read_and_written_as_it_was() {
    let job = read(FULL);

    assert_eq!(mistakes(FULL), [""; 0]);
    assert_eq!(read(&job.canonical()), job);
}

#[test]
fn the_strict_loader_reads_the_same_but_for_what_only_a_cluster_can_do() {
    let local = FULL
        .replace("{name: kafka-ca, key: ca.crt}", "{file: a}")
        .replace("{name: client, key: tls.crt}", "{file: b}")
        .replace("{name: client, key: tls.key}", "{file: c}")
        .replace("{name: kafka-user, key: password}", "{file: d}")
        .replace("      credentials: {name: store}\n      ca: {name: store-ca, key: ca.crt}\n", "");

    let job = super::parse(&local).expect("it is a job of one machine");

    assert_eq!(job.spec.workers, read(FULL).spec.workers);
    let noted: Vec<String> = notes(&job).into_iter().map(|note| note.path).collect();
    assert_eq!(noted.len(), 10, "{noted:?}");
    let error = super::parse(FULL).expect_err("Secrets and credentials are of a cluster").to_string();
    assert_eq!(error.matches("belongs to a cluster").count(), 10, "{error}");
}

#[test]
fn unknown_fields_of_kubernetes_own_blocks_are_refused_too() {
    let wrong = edited(FULL, "effect: NoSchedule", "efect: NoSchedule");

    let error = super::parse(&wrong).expect_err("`efect` is no field").to_string();

    assert!(error.contains("tolerations[0].efect: unknown field; did you mean `effect`?"), "{error}");
}

#[test]
fn what_a_cluster_refuses_is_told_with_its_remedy() {
    let table = [
        (
            "name: clicks, namespace",
            "name: 1clicks, namespace",
            "metadata.name: `1clicks` begins with a digit",
        ),
        ("id: shop.clicks", "id: clicks", "spec.state.id: `clicks` must begin with the namespace"),
        ("id: shop.clicks", "id: shop..x", "spec.state.id: `shop..x` is no state ID"),
        ("uri: s3://streams/prod", "uri: /data", "`/data` is lost with its pod"),
        (
            "      uri: s3://streams/prod\n",
            "      ephemeral: {}\n",
            "exactly once needs state that outlives the pod",
        ),
        ("{name: kafka-ca, key: ca.crt}", "{file: ca.crt}", "belongs to one machine"),
        ("{name: kafka-ca, key: ca.crt}", "{name: kafka-ca}", "a secret is missing: write `name` and `key`"),
        ("sink: {kafka: {topic: counts}}", "sink: {files: {url: out}}", "pods have no files of yours"),
        ("stableAfterCheckpoints: 3", "stableAfterCheckpoints: 0", "0 is out of range"),
        (", savepointName: before", "", "`savepointName` is missing"),
        ("from: Savepoint", "from: Latest", "only used with `from: Savepoint`"),
        ("maxBackoff: 1m", "maxBackoff: 1s", "is shorter than `initialBackoff`"),
        ("limits: {memory: 4Gi}", "limits: {memory: 2Gi}", "`4Gi` is more than the limit, `2Gi`"),
        (
            "resources: {requests: {cpu: 2, memory: 4Gi}, limits: {memory: 4Gi}}",
            "resources: {limits: {memory: 1Mi}}",
            "too little for a worker",
        ),
        ("terminationGracePeriod: 2m", "terminationGracePeriod: 10ms", "`10ms` is too short"),
        ("{team: shop}", "{streamjob.dev/job: a}", "is written by the operator: remove it"),
        ("RUST_BACKTRACE", "9A", "`9A` is not a variable"),
        ("logFilter: debug", "logFilter: \"\"", "must not be empty"),
        ("revisionHistoryLimit: 3", "revisionHistoryLimit: 101", "101 is out of range"),
    ];

    for (from, to, says) in table {
        let found = mistakes(&edited(FULL, from, to));
        assert!(found.iter().any(|mistake| mistake.contains(says)), "{to}: {found:?}");
    }
}

#[test]
fn a_pod_reads_files_where_the_spec_names_secrets() {
    let job = read(FULL);

    let names: Vec<String> = job.spec.kafka_secrets().into_iter().collect();
    let pod = StreamJob { spec: job.spec.in_pod(), ..job };

    assert_eq!(names, ["client", "kafka-ca", "kafka-user"]);
    assert_eq!(validate(&pod, Place::Machine), []);
    assert!(pod.canonical().contains("/etc/streamjob/secrets/kafka-user/password"));
    let location = pod.spec.state.and_then(|state| state.location).expect("it has a location");
    assert!(location.credentials.is_none() && location.ca.is_none());
}
