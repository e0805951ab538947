//! Reads topics of a Kafka cluster.
//!
//! Owns: where each partition begins and ends, and that what is read on is what it was.
//! Never: joins a group: which slot reads what is the job's.

mod reader;
mod rows;
mod topics;

use std::collections::BTreeMap;
use std::sync::Arc;

use streamjob_checkpoint::checkpoint::{PartitionState, PartitionStatus, SourcePosition, TopicPartition};
use streamjob_checkpoint::outage::Outage;
use streamjob_plan::{KafkaSourcePlan, KafkaStart, KafkaUntil};
use tracing::{info, warn};

pub(super) use self::reader::KafkaReader;
pub(super) use self::topics::Topics;
use crate::kafka::native::Topic;
use crate::kafka::{Cluster, TopicError};
use crate::pipeline::records::SourceError;

/// The partitions at their beginning, in the order of topics and numbers. Asks the cluster, and waits for it.
pub(super) fn states(
    plan: &KafkaSourcePlan,
    outage: &Arc<Outage>,
) -> Result<Vec<PartitionState>, SourceError> {
    let cluster = Cluster::new(&plan.cluster, outage)?;
    let id = cluster.id()?;
    let topics = topics(&cluster, &plan.topics)?;
    check_start_offsets(plan, &topics)?;
    let mut states = Vec::new();
    for name in &plan.topics {
        let Some(topic) = &topics[name] else {
            let servers = plan.cluster.bootstrap_servers.clone();
            return Err(TopicError::Missing { topic: name.clone(), servers }.into());
        };
        for partition in 0..topic.partitions {
            let (start, end) = span(&cluster, plan, name, partition)?;
            let (cluster, name, id) = (id.clone(), name.clone(), topic.id.clone());
            states.push(beginning(TopicPartition { cluster, name, id, partition, end }, start));
        }
    }
    Ok(states)
}

fn beginning(topic: TopicPartition, offset: u64) -> PartitionState {
    PartitionState {
        name: format!("{}/{}", topic.name, topic.partition),
        files: Vec::new(),
        topic: Some(topic),
        position: SourcePosition::Topic { offset },
        max_timestamp_ms: None,
        status: PartitionStatus::Active,
    }
}

/// The partitions that topics have gained, from their oldest record on. None if the job has an end: it is fixed what it
/// reads.
pub(super) fn grown(
    plan: &KafkaSourcePlan,
    states: &[PartitionState],
    outage: &Arc<Outage>,
) -> Result<Vec<PartitionState>, SourceError> {
    if plan.until.is_some() {
        return Ok(Vec::new());
    }
    let cluster = Cluster::new(&plan.cluster, outage)?;
    let mut grown = Vec::new();
    for (name, topic) in topics(&cluster, &plan.topics)? {
        // What is gone or another one is told of when the partitions are opened.
        let Some(topic) = topic else { continue };
        let mut known = states.iter().filter_map(|state| state.topic.as_ref());
        let Some(known) = known.find(|known| known.name == name && known.id == topic.id) else { continue };
        for partition in known_partitions(states, &name)..topic.partitions {
            let (low, _) = cluster.bounds(&name, partition)?;
            info!(topic = name, partition, offset = low, "a new partition is read");
            grown.push(beginning(TopicPartition { partition, end: None, ..known.clone() }, low));
        }
    }
    Ok(grown)
}

/// How many partitions of a topic a checkpoint has.
fn known_partitions(states: &[PartitionState], topic: &str) -> u32 {
    let of_topic =
        states.iter().filter(|state| state.topic.as_ref().is_some_and(|known| known.name == topic));
    u32::try_from(of_topic.count()).unwrap_or(u32::MAX)
}

fn topics(cluster: &Cluster, names: &[String]) -> Result<BTreeMap<String, Option<Topic>>, TopicError> {
    let mut found: BTreeMap<_, _> = cluster.topics(names)?.into_iter().collect();
    for name in names {
        found.entry(name.clone()).or_insert(None);
    }
    Ok(found)
}

fn check_start_offsets(
    plan: &KafkaSourcePlan,
    topics: &BTreeMap<String, Option<Topic>>,
) -> Result<(), TopicError> {
    let KafkaStart::Offsets(offsets) = &plan.start else { return Ok(()) };
    for (topic, partition, _) in offsets {
        let partitions = topics[topic].as_ref().map_or(0, |topic| topic.partitions);
        if *partition >= partitions {
            return Err(TopicError::NoPartition { topic: topic.clone(), partition: *partition, partitions });
        }
    }
    Ok(())
}

/// Where a partition begins and ends.
fn span(
    cluster: &Cluster,
    plan: &KafkaSourcePlan,
    topic: &str,
    partition: u32,
) -> Result<(u64, Option<u64>), TopicError> {
    let (low, high) = cluster.bounds(topic, partition)?;
    let start = match &plan.start {
        KafkaStart::Earliest => low,
        KafkaStart::Latest => high,
        KafkaStart::Timestamp(time) => cluster.offset_at(topic, partition, *time)?.unwrap_or(high),
        KafkaStart::Offsets(offsets) => {
            let found = offsets.iter().find(|(name, number, _)| name == topic && *number == partition);
            let topic = topic.to_owned();
            let Some((_, _, offset)) = found else { return Err(TopicError::NoOffset { topic, partition }) };
            if !(low..=high).contains(offset) {
                return Err(TopicError::OutOfRange { topic, partition, offset: *offset, low, high });
            }
            *offset
        }
    };
    let end = match plan.until {
        None => None,
        Some(KafkaUntil::Latest) => Some(high),
        Some(KafkaUntil::Timestamp(time)) => Some(cluster.offset_at(topic, partition, time)?.unwrap_or(high)),
    };
    Ok((start, end.map(|end| end.max(start))))
}

/// That the partitions of a checkpoint which are not read to their end are there, the same as they were.
pub(super) fn check(
    plan: &KafkaSourcePlan,
    states: &[PartitionState],
    outage: &Arc<Outage>,
) -> Result<(), SourceError> {
    let mut unfinished = Vec::new();
    for state in states {
        let (topic, offset) = of(state)?;
        if state.status != PartitionStatus::Finished && topic.end.is_none_or(|end| offset < end) {
            unfinished.push((topic, offset));
        }
    }
    if unfinished.is_empty() {
        return Ok(());
    }
    let cluster = Cluster::new(&plan.cluster, outage)?;
    let there = topics(&cluster, &plan.topics)?;
    for (topic, offset) in &unfinished {
        check_identity(topic, there.get(&topic.name).and_then(Option::as_ref))?;
        let bounds = cluster.bounds(&topic.name, topic.partition)?;
        check_bounds(topic, *offset, bounds)?;
    }
    if plan.until.is_some() {
        tell_of_new_partitions(&there, states);
    }
    Ok(())
}

fn check_identity(known: &TopicPartition, found: Option<&Topic>) -> Result<(), TopicError> {
    let topic = known.name.clone();
    match found {
        None => Err(TopicError::Gone { topic }),
        Some(found) if found.id != known.id => {
            Err(TopicError::Recreated { topic, old: known.id.clone(), new: found.id.clone() })
        }
        Some(_) => Ok(()),
    }
}

fn check_bounds(known: &TopicPartition, offset: u64, (low, high): (u64, u64)) -> Result<(), TopicError> {
    let (topic, partition) = (known.name.clone(), known.partition);
    if offset < low {
        Err(TopicError::Lost { topic, partition, from: offset, to: low })
    } else if offset > high {
        Err(TopicError::BeyondEnd { topic, partition, offset, end: high })
    } else {
        Ok(())
    }
}

fn tell_of_new_partitions(topics: &BTreeMap<String, Option<Topic>>, states: &[PartitionState]) {
    for (name, topic) in topics {
        let known = known_partitions(states, name);
        let found = topic.as_ref().map_or(0, |topic| topic.partitions);
        if found > known {
            warn!(
                topic = name,
                known,
                found,
                "partitions that came after the job began are not read, as it has an end; to read them, begin anew"
            );
        }
    }
}

/// The partition and position that a checkpoint has.
pub(super) fn of(state: &PartitionState) -> Result<(&TopicPartition, u64), SourceError> {
    match (&state.topic, state.position) {
        (Some(topic), SourcePosition::Topic { offset }) => Ok((topic, offset)),
        (None, _) | (Some(_), SourcePosition::File { .. } | SourcePosition::Row { .. }) => {
            Err(SourceError::Foreign { cause: format!("{} is not a partition of a topic", state.name) })
        }
    }
}
