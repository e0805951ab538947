//! Who leads each partition.
//!
//! Owns: asking the cluster when that is not known, and a thread for each broker that leads.
//! Never: fetches a record.

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use tracing::error;

use crate::broker;
use crate::connection::{Connection, ConnectionError};
use crate::feed::{Feed, Trouble};
use crate::fetcher::{Shared, State};

/// Who has the connection that leaders are asked with. Brokers' numbers are not below zero.
const OWNER: i32 = -1;
/// The newest version of the question that is needed: from 10 on topics have ids.
const NEWEST: i16 = 12;
/// Of questions that follow each other.
const APART: Duration = Duration::from_millis(50);

/// Works until the fetcher ends, and then waits for the brokers' threads.
pub(crate) fn run(shared: &Arc<Shared>) {
    let mut brokers = Vec::new();
    let mut asking = Asking { connection: None, turn: 0, failures: 0 };
    let mut asked_at = Instant::now();
    loop {
        let state = wait_for_work(shared, asked_at);
        if state.ended {
            break;
        }
        let topics = topics(&state);
        drop(state);
        asked_at = Instant::now();
        match asking.ask(shared, &topics) {
            Ok(answer) => {
                let mut state = shared.state();
                learn(&mut state, &answer);
                let more = more_brokers(&mut state);
                drop(state);
                brokers.extend(more.into_iter().filter_map(|id| start(shared, id)));
                shared.changed();
                pause(shared, APART);
            }
            Err(error) => {
                shared.closed(OWNER);
                let reason = error.to_string();
                shared.tell(&reason);
                let wait = asking.pause(shared);
                let mut state = shared.state();
                for feed in state.feeds.iter_mut().flatten().filter(|feed| feed.leader.is_none()) {
                    feed.lose_leader(Trouble::Away(reason.clone()), wait);
                }
                drop(state);
                pause(shared, wait);
            }
        }
    }
    for broker in brokers {
        let _told_by_its_panic = broker.join();
    }
}

/// Until a partition has no leader, or what is known is old.
fn wait_for_work(shared: &Shared, asked_at: Instant) -> MutexGuard<'_, State> {
    let mut state = shared.state();
    loop {
        let now = Instant::now();
        let needs = |feed: &Feed| match feed.broker() {
            None => Some(feed.paused_until.unwrap_or(now)),
            Some(broker) => (!state.working.contains(&broker)).then_some(now),
        };
        let needs = state.feeds.iter().flatten().filter_map(needs).min();
        let old = asked_at + shared.settings.metadata_age;
        let at = needs.map_or(old, |needs| needs.min(old));
        let any = state.feeds.iter().flatten().next().is_some();
        if state.ended || (any && now >= at) {
            return state;
        }
        state = shared.wait(state, any.then_some(at));
    }
}

/// Waits, unless the fetcher ends.
fn pause(shared: &Shared, length: Duration) {
    let until = Instant::now() + length;
    let mut state = shared.state();
    while !state.ended && Instant::now() < until {
        state = shared.wait(state, Some(until));
    }
}

fn topics(state: &State) -> Vec<String> {
    let mut topics: Vec<_> = state.feeds.iter().flatten().map(|feed| feed.assigned.topic.clone()).collect();
    topics.sort();
    topics.dedup();
    topics
}

struct Asking {
    connection: Option<Connection>,
    /// Which server is next.
    turn: usize,
    failures: u32,
}

impl Asking {
    fn ask(&mut self, shared: &Shared, topics: &[String]) -> Result<MetadataResponse, ConnectionError> {
        // One that was open may have been closed for its silence.
        let was_open = self.connection.is_some();
        let answer = self.try_ask(shared, topics);
        let answer = if answer.is_err() && was_open { self.try_ask(shared, topics) } else { answer };
        if answer.is_ok() {
            self.failures = 0;
        }
        answer
    }

    fn try_ask(&mut self, shared: &Shared, topics: &[String]) -> Result<MetadataResponse, ConnectionError> {
        let mut connection = match self.connection.take().filter(|open| !open.is_over()) {
            Some(connection) => connection,
            None => {
                let known: Vec<String> = shared.state().brokers.values().cloned().collect();
                let mut servers = shared.settings.servers.iter().chain(&known).cycle().skip(self.turn);
                self.turn = (self.turn + 1) % (shared.settings.servers.len() + known.len());
                let server = servers.next().expect("there is a server");
                Connection::open(server, &shared.settings, |socket| shared.opened(OWNER, socket))?
            }
        };
        let version = connection.version::<MetadataRequest>("Metadata", NEWEST)?;
        let named = |topic: &String| {
            let name = TopicName(StrBytes::from_string(topic.clone()));
            MetadataRequestTopic::default().with_name(Some(name))
        };
        let request = MetadataRequest::default()
            .with_topics(Some(topics.iter().map(named).collect()))
            .with_allow_auto_topic_creation(false);
        let (answer, _) = connection.call(&request, version)?;
        self.connection = Some(connection);
        Ok(answer)
    }

    /// How long to stay away after another failure.
    fn pause(&mut self, shared: &Shared) -> Duration {
        self.connection = None;
        self.failures += 1;
        shared.settings.reconnect_pause(self.failures)
    }
}

fn learn(state: &mut State, answer: &MetadataResponse) {
    for broker in &answer.brokers {
        state.brokers.insert(broker.node_id.0, format!("{}:{}", host(&broker.host), broker.port));
    }
    for feed in state.feeds.iter_mut().flatten() {
        let named =
            |name: &Option<TopicName>| name.as_ref().is_some_and(|name| *name.0 == *feed.assigned.topic);
        let Some(topic) = answer.topics.iter().find(|topic| named(&topic.name)) else { continue };
        let other =
            !topic.topic_id.is_nil() && !feed.assigned.id.is_nil() && topic.topic_id != feed.assigned.id;
        let refusal = ResponseError::try_from_code(topic.error_code);
        if let Some(error) = refusal.or(other.then_some(ResponseError::InconsistentTopicId)) {
            feed.not_led(error);
            continue;
        }
        let of_number = topic.partitions.iter().find(|found| found.partition_index == feed.assigned.number);
        match of_number {
            None => feed.not_led(ResponseError::UnknownTopicOrPartition),
            Some(found) if found.leader_id.0 < 0 => feed.not_led(ResponseError::LeaderNotAvailable),
            Some(found) => feed.led_by(found.leader_id.0, found.leader_epoch),
        }
    }
}

/// An IPv6 address stands in brackets before a port.
fn host(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// The brokers that are to be asked for records and are not yet.
fn more_brokers(state: &mut State) -> Vec<i32> {
    let wanted: BTreeSet<i32> = state.feeds.iter().flatten().filter_map(Feed::broker).collect();
    let more = wanted.into_iter().filter(|broker| state.brokers.contains_key(broker));
    let more: Vec<i32> = more.filter(|broker| !state.working.contains(broker)).collect();
    state.working.extend(&more);
    more
}

fn start(shared: &Arc<Shared>, id: i32) -> Option<JoinHandle<()>> {
    let for_broker = Arc::clone(shared);
    let thread = std::thread::Builder::new().name(format!("fetch-{id}"));
    match thread.spawn(move || broker::run(&for_broker, id)) {
        Ok(handle) => Some(handle),
        Err(cause) => {
            error!(%cause, "no thread to fetch with; tried again");
            shared.state().working.remove(&id);
            None
        }
    }
}
