//! `streamjob-worker check`: could this job start?
//!
//! Owns: what is looked at, in which order; the field of the manifest that each finding is about.
//! Never: claims the state, or writes anything but the store's probe.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::time::Duration;

use streamjob_checkpoint::checkpoint::Checkpoint;
use streamjob_checkpoint::log::Log;
use streamjob_checkpoint::protocol::{Refusal, check_owner};
use streamjob_checkpoint::record::Stored;
use streamjob_checkpoint::retry::Patience;
use streamjob_checkpoint::savepoint;
use streamjob_crds::worker::Termination;
use streamjob_crds::{PROGRESS_TOPIC, Reason};
use streamjob_plan::{BadRecordsPlan, KafkaClusterPlan, LatePlan, Plan, SinkKind, SourceKind};

use super::args::{CheckArgs, RestoreFrom};
use super::reasons;
use super::setup::Setup;
use super::termination::failure;
use crate::kafka::Cluster;
use crate::kafka::native::Rights;
use crate::outages::Outages;
use crate::runtime::State;

/// Looks at everything that can be looked at before a job starts. The plan is compiled already.
pub(super) fn check(args: &CheckArgs, setup: &Setup) -> Result<(), Termination> {
    let patience = Duration::from_secs(args.patience);
    check_state(args, setup, Patience::Within(patience))?;
    tracing::info!("the store is fit, and the state can be gone on from");
    check_kafka(setup, patience)?;
    tracing::info!("all topics can be used");
    Ok(())
}

fn check_state(args: &CheckArgs, setup: &Setup, patience: Patience) -> Result<(), Termination> {
    let state = State::over(setup.store()?).map_err(|error| reasons::of_run(&error))?;
    state.probe(patience).map_err(|error| reasons::of_run(&error))?;
    let log = Log::new(state.store.clone().with_patience(patience));
    let wait = state.runtime();
    let of_log = |error| reasons::of_log(&error);
    let Some(head) = wait.block_on(log.head()).map_err(of_log)? else { return Ok(()) };
    check_owner(&head.record.owner, &setup.owner, args.take_over.as_deref())
        .map_err(|refusal| reasons::of_refusal(&refusal))?;
    let request = head.record.restore.as_ref().map(|done| &done.id);
    let done = request.is_some() && request == args.restore_request.as_ref();
    match &args.restore {
        RestoreFrom::Nothing if !done => Ok(()),
        RestoreFrom::Savepoint(uri) if !done => {
            let from = setup.savepoint(uri)?.with_patience(patience);
            let opened =
                wait.block_on(savepoint::open(&from)).map_err(|error| reasons::of_savepoint(&error))?;
            check_fingerprint(&opened.checkpoint, &setup.plan)
        }
        RestoreFrom::Latest | RestoreFrom::Nothing | RestoreFrom::Savepoint(_) => {
            let beginning = wait.block_on(beginning(&log, head))?;
            beginning.record.checkpoint().map_or(Ok(()), |newest| check_fingerprint(newest, &setup.plan))
        }
    }
}

/// The record that a start begins at.
async fn beginning(log: &Log, head: Stored) -> Result<Stored, Termination> {
    if head.record.begins_at == head.record.seq {
        return Ok(head);
    }
    log.read(head.record.begins_at).await.map_err(|error| reasons::of_log(&error))
}

/// As a start does.
fn check_fingerprint(checkpoint: &Checkpoint, plan: &Plan) -> Result<(), Termination> {
    let (old, new) = (&checkpoint.fingerprint, plan.fingerprint());
    let of = |value: Option<&String>| value.cloned().unwrap_or_default();
    let mut fields = old.keys().chain(new.keys().filter(|field| !old.contains_key(*field)));
    match fields.find(|field| old.get(*field) != new.get(*field)) {
        None => Ok(()),
        Some(field) => Err(reasons::of_refusal(&Refusal::FingerprintChanged {
            field: field.clone(),
            old: of(old.get(field)),
            new: of(new.get(field)),
        })),
    }
}

/// A topic that the job uses.
struct Use {
    field: &'static str,
    topic: String,
    reads: bool,
    /// Whether the job makes it, if it is not there.
    makes: bool,
}

/// A client of Kafka tries for as long as it takes; this look does not.
fn check_kafka(setup: &Setup, patience: Duration) -> Result<(), Termination> {
    for (cluster, field, uses) in clusters(&setup.plan) {
        let (answer, answered) = mpsc::sync_channel(1);
        let servers = cluster.bootstrap_servers.clone();
        let asking = std::thread::Builder::new().name("kafka".to_owned()).spawn(move || {
            // Nobody waits any more, if it takes too long.
            drop(answer.send(check_cluster(&cluster, field, &uses)));
        });
        let asking = asking.map_err(|error| failure(Reason::Internal, error.to_string(), true))?;
        let Ok(checked) = answered.recv_timeout(patience) else {
            let seconds = patience.as_secs();
            let message = format!("{field}: Kafka at {servers} has not answered within {seconds} s");
            return Err(failure(Reason::KafkaUnavailable, message, true));
        };
        if asking.join().is_err() {
            return Err(failure(Reason::Internal, "asking Kafka panicked", false));
        }
        checked?;
    }
    Ok(())
}

fn check_cluster(cluster: &KafkaClusterPlan, field: &str, uses: &[Use]) -> Result<(), Termination> {
    let asked = Cluster::new(cluster, &Outages::default().source);
    let asked = asked.map_err(|error| reasons::of_config(&error, &format!("{field}.cluster")))?;
    // A topic that is read and written is asked for once.
    let names: BTreeSet<String> = uses.iter().map(|used| used.topic.clone()).collect();
    let names = Vec::from_iter(names);
    let found = asked.topics_with_rights(&names).map_err(|error| reasons::of_topic(&error, field))?;
    for used in uses {
        let topic = found.iter().find(|(name, _)| *name == used.topic).and_then(|(_, topic)| topic.as_ref());
        let Some(topic) = topic else {
            if used.makes {
                continue;
            }
            let message = format!(
                "{}: there is no topic `{}` at {}",
                used.field, used.topic, cluster.bootstrap_servers
            );
            return Err(failure(Reason::TopicMissing, message, false));
        };
        topic.rights.map_or(Ok(()), |rights| check_rights(used, rights))?;
    }
    Ok(())
}

fn check_rights(used: &Use, rights: Rights) -> Result<(), Termination> {
    let (right, has) = if used.reads { ("READ", rights.read) } else { ("WRITE", rights.write) };
    if has {
        return Ok(());
    }
    let message =
        format!("{}: the job's user has no right to {right} the topic `{}`", used.field, used.topic);
    Err(failure(Reason::KafkaDenied, message, false))
}

/// The clusters of a plan, and what is used of each.
fn clusters(plan: &Plan) -> Vec<(KafkaClusterPlan, &'static str, Vec<Use>)> {
    let mut clusters = Vec::new();
    if let SourceKind::Kafka(source) = &plan.source.kind {
        let topic = |topic: &String| Use {
            field: "spec.pipeline.source.kafka.topics",
            topic: topic.clone(),
            reads: true,
            makes: false,
        };
        let uses = source.topics.iter().map(topic).collect();
        clusters.push((source.cluster.clone(), "spec.pipeline.source.kafka", uses));
    }
    if let Some(output) = &plan.kafka_output {
        clusters.push((output.cluster.clone(), "spec.pipeline.sink.kafka", outputs(plan)));
    }
    clusters
}

fn outputs(plan: &Plan) -> Vec<Use> {
    let written = |field, topic: &String| Use { field, topic: topic.clone(), reads: false, makes: false };
    let mut uses = Vec::new();
    if let SinkKind::Kafka { topic, .. } = &plan.sink.kind {
        uses.push(written("spec.pipeline.sink.kafka.topic", topic));
    }
    if let LatePlan::Kafka { topic } = &plan.window.late {
        uses.push(written("spec.pipeline.window.late.kafka.topic", topic));
    }
    if let BadRecordsPlan::DeadLetterTopic { topic } = &plan.source.bad_records {
        uses.push(written("spec.pipeline.source.badRecords.kafka.topic", topic));
    }
    if plan
        .kafka_output
        .as_ref()
        .is_some_and(|output| output.delivery == streamjob_crds::Delivery::ExactlyOnce)
    {
        let topic = PROGRESS_TOPIC.to_owned();
        for reads in [true, false] {
            uses.push(Use {
                field: "spec.pipeline.sink.kafka.delivery",
                topic: topic.clone(),
                reads,
                makes: true,
            });
        }
    }
    uses
}
