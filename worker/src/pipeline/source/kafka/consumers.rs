//! The consumers of a source: one for each thread that reads.
//!
//! Owns: when one is made, and what each looks after while it reads: events, topics that change.
//! Never: takes a record.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;
use streamjob_checkpoint::checkpoint::{PartitionState, TopicPartition};
use streamjob_plan::KafkaSourcePlan;

use super::{check_identity, known_partitions};
use crate::kafka::cluster::consumer_config;
use crate::kafka::native::{Described, Describing};
use crate::kafka::{ConfigError, TopicError, Watch, WatchedConsumer};

/// How often the cluster is asked whether the topics are still the same.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Without an answer for this long a partition is not known to be read to its end.
const FRESH: Duration = Duration::from_secs(15);
/// For this long after a broker was away its partitions are not taken for silent: another one has to lead them first.
const TROUBLED: Duration = Duration::from_secs(30);
/// How often events are taken.
const EVENTS_EVERY: Duration = Duration::from_millis(100);

/// Consumers by the thread that reads with them.
pub(in crate::pipeline::source) struct Consumers {
    plan: Arc<KafkaSourcePlan>,
    /// How many partitions of each topic there are to read.
    known: BTreeMap<String, u32>,
    made: Mutex<HashMap<ThreadId, Weak<Shared>>>,
}

/// One consumer, and what all its partitions ask of it.
pub(super) struct Shared {
    pub(super) consumer: Arc<WatchedConsumer>,
    topics: Vec<String>,
    state: Mutex<State>,
}

struct State {
    events_at: Instant,
    asked_at: Instant,
    waiting: bool,
    answered_at: Instant,
    answer: Vec<Described>,
    describing: Describing,
}

impl Consumers {
    /// None is made yet.
    pub(in crate::pipeline::source) fn new(plan: Arc<KafkaSourcePlan>, states: &[PartitionState]) -> Self {
        let known = plan.topics.iter().map(|topic| (topic.clone(), known_partitions(states, topic)));
        Self { known: known.collect(), plan, made: Mutex::default() }
    }

    /// What is read.
    pub(super) fn plan(&self) -> &KafkaSourcePlan {
        &self.plan
    }

    /// The topic that has more partitions than are read, if there is one and the job has no end.
    pub(super) fn grown(&self, shared: &Shared) -> Option<TopicError> {
        let state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let endless = state.answer.iter().filter(|_| self.plan.until.is_none());
        let grown = endless.filter_map(|described| {
            let (topic, found) = (&described.name, described.topic.as_ref().ok()?.partitions);
            let known = *self.known.get(topic)?;
            (found > known).then(|| TopicError::Grown { topic: topic.clone(), known, found })
        });
        grown.last()
    }

    /// That of this thread.
    pub(super) fn of_this_thread(&self) -> Result<Arc<Shared>, ConfigError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let thread = std::thread::current().id();
        if let Some(shared) = made.get(&thread).and_then(Weak::upgrade) {
            return Ok(shared);
        }
        let partitions: u32 = self.known.values().sum();
        let shared = Arc::new(Shared::new(&self.plan, partitions as usize)?);
        made.insert(thread, Arc::downgrade(&shared));
        Ok(shared)
    }
}

impl Shared {
    fn new(plan: &KafkaSourcePlan, partitions: usize) -> Result<Self, ConfigError> {
        let config = consumer_config(&plan.cluster, &plan.group, partitions)?;
        let consumer: Arc<WatchedConsumer> = Arc::new(config.create(Watch::default())?);
        let now = Instant::now();
        let state = State {
            events_at: now,
            asked_at: now,
            waiting: false,
            answered_at: now,
            answer: Vec::new(),
            describing: Describing::new(&consumer),
        };
        Ok(Self { consumer, topics: plan.topics.clone(), state: Mutex::new(state) })
    }

    /// Takes events, and looks at what the cluster says of the topics. Never waits.
    ///
    /// The error: the topic of this partition is gone or another one.
    pub(super) fn look(&self, known: &TopicPartition) -> Result<(), TopicError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if now.duration_since(state.events_at) >= EVENTS_EVERY {
            state.events_at = now;
            // Errors are told by the watch; librdkafka tries again by itself.
            let _event = self.consumer.poll(Duration::ZERO);
        }
        if state.waiting {
            if let Some(answer) = state.describing.answer(0) {
                state.waiting = false;
                if let Ok(answer) = answer {
                    state.answered_at = now;
                    state.answer = answer;
                }
            }
        } else if now.duration_since(state.asked_at) >= LOOK_EVERY {
            (state.asked_at, state.waiting) = (now, true);
            let limit = i32::try_from(LOOK_EVERY.as_millis()).expect("seconds are few");
            state.describing.ask(&self.topics, limit);
        }
        let described = state.answer.iter().find(|described| described.name == known.name);
        match described.map(|described| &described.topic) {
            Some(Ok(topic)) => check_identity(known, Some(topic)),
            Some(Err(code)) if *code == rdkafka::error::RDKafkaErrorCode::UnknownTopicOrPartition => {
                check_identity(known, None)
            }
            // Rights may come back, and so may what else passes.
            Some(Err(_)) | None => Ok(()),
        }
    }

    /// Whether the cluster has answered lately and no broker was away: what has not come then is not there.
    pub(super) fn is_fresh(&self) -> bool {
        if self.consumer.context().trouble(TROUBLED).is_some() {
            return false;
        }
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.answered_at.elapsed() < FRESH
    }
}
