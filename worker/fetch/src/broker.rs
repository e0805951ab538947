//! Fetching from one broker.
//!
//! Owns: what is asked for, in turns that let no partition starve.
//! Never: looks into a batch.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::connection::{Connection, ConnectionError};
use crate::feed::{Feed, Trouble, Wanted};
use crate::fetcher::{Shared, State};
use crate::settings::Settings;

/// The newest version of the question that is needed, and the newest that has topics by name.
const NEWEST: i16 = 17;
const NEWEST_WITH_NAMES: i16 = 12;
const READ_COMMITTED: i8 = 1;
/// How long a broker waits for records while the reader of another of its partitions catches up.
const WAIT_SHORT: Duration = Duration::from_millis(5);

/// What is asked for in one go.
struct Asked {
    request: FetchRequest,
    by_id: bool,
    /// The feeds that are in it, by topic and partition: the topic's place in the request.
    feeds: HashMap<(usize, i32), usize>,
    address: String,
}

/// Works until the fetcher ends.
pub(crate) fn run(shared: &Shared, id: i32) {
    let mut connection: Option<(String, Connection)> = None;
    let mut failures = 0;
    let mut turn = 0;
    while let Some(asked) = next(shared, id, &mut turn) {
        if connection.as_ref().is_some_and(|(address, open)| *address != asked.address || open.is_over()) {
            connection = None;
        }
        match ask(shared, id, &mut connection, &asked) {
            Ok((answer, length)) => {
                failures = 0;
                take_in(shared, &asked, answer, length);
            }
            Err(error) => {
                connection = None;
                shared.closed(id);
                failures += 1;
                lose(shared, &asked, &error, shared.settings.reconnect_pause(failures));
            }
        }
    }
    shared.closed(id);
}

/// Waits until there is something to ask for. `None`: the fetcher ends.
fn next(shared: &Shared, id: i32, turn: &mut usize) -> Option<Asked> {
    let mut state = shared.state();
    loop {
        if state.ended {
            return None;
        }
        let now = Instant::now();
        let (mut feeds, mut full, mut later) = (Vec::new(), false, None::<Instant>);
        for (number, feed) in state.feeds.iter().enumerate() {
            let Some(feed) = feed.as_ref().filter(|feed| feed.broker() == Some(id)) else { continue };
            match feed.wanted(now, shared.settings.waiting_bytes) {
                Wanted::Now => feeds.push(number),
                Wanted::Full => full = true,
                Wanted::At(at) => later = Some(later.map_or(at, |later| later.min(at))),
                Wanted::No => {}
            }
        }
        if let (Some(address), false) = (state.brokers.get(&id), feeds.is_empty()) {
            // Brokers fill an answer from its front.
            *turn = turn.wrapping_add(1);
            let first = *turn % feeds.len();
            feeds.rotate_left(first);
            let address = address.clone();
            let mut asked = Asked::new(&shared.settings, &state, &feeds, address);
            if full || later.is_some() {
                asked.request.max_wait_ms = milliseconds(WAIT_SHORT.min(shared.settings.wait));
            }
            return Some(asked);
        }
        state = shared.wait(state, later);
    }
}

impl Asked {
    fn new(settings: &Settings, state: &State, feeds: &[usize], address: String) -> Self {
        let mut topics: Vec<FetchTopic> = Vec::new();
        let (mut by_id, mut places) = (true, HashMap::new());
        for (number, feed) in
            feeds.iter().filter_map(|number| Some((*number, state.feeds[*number].as_ref()?)))
        {
            let assigned = &feed.assigned;
            by_id &= !assigned.id.is_nil();
            let partition = FetchPartition::default()
                .with_partition(assigned.number)
                .with_current_leader_epoch(feed.leader_epoch)
                .with_fetch_offset(i64::try_from(feed.next).unwrap_or(i64::MAX))
                .with_last_fetched_epoch(feed.epoch)
                .with_log_start_offset(-1)
                .with_partition_max_bytes(settings.partition_bytes);
            let place =
                topics.iter().position(|topic| *topic.topic.0 == *assigned.topic).unwrap_or_else(|| {
                    let name = TopicName(StrBytes::from_string(assigned.topic.clone()));
                    topics.push(FetchTopic::default().with_topic(name).with_topic_id(assigned.id));
                    topics.len() - 1
                });
            topics[place].partitions.push(partition);
            places.insert((place, assigned.number), number);
        }
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(milliseconds(settings.wait))
            .with_min_bytes(settings.bytes_min)
            .with_max_bytes(settings.bytes_max)
            .with_isolation_level(READ_COMMITTED)
            // No session: every question says everything.
            .with_session_epoch(-1)
            .with_rack_id(StrBytes::from_string(settings.rack.clone()))
            .with_topics(topics);
        Self { request, by_id, feeds: places, address }
    }
}

fn milliseconds(length: Duration) -> i32 {
    i32::try_from(length.as_millis()).unwrap_or(i32::MAX)
}

fn ask(
    shared: &Shared,
    id: i32,
    connection: &mut Option<(String, Connection)>,
    asked: &Asked,
) -> Result<(FetchResponse, usize), ConnectionError> {
    let (_, open) = match connection {
        Some(open) => open,
        None => {
            let address = asked.address.clone();
            let opened = Connection::open(&address, &shared.settings, |socket| shared.opened(id, socket))?;
            connection.insert((address, opened))
        }
    };
    let newest = if asked.by_id { NEWEST } else { NEWEST_WITH_NAMES };
    let version = open.version::<FetchRequest>("Fetch", newest)?;
    open.call(&asked.request, version)
}

fn take_in(shared: &Shared, asked: &Asked, answer: FetchResponse, length: usize) {
    let mut state = shared.state();
    if let Some(error) = ResponseError::try_from_code(answer.error_code) {
        state.each(asked.feeds.values(), |feed| feed.not_led(error));
    }
    for topic in answer.responses {
        let same = |asked: &FetchTopic| {
            if topic.topic_id.is_nil() {
                asked.topic == topic.topic
            } else {
                asked.topic_id == topic.topic_id
            }
        };
        let Some(place) = asked.request.topics.iter().position(same) else { continue };
        for data in topic.partitions {
            let feed = asked.feeds.get(&(place, data.partition_index));
            if let Some(feed) = feed.and_then(|feed| state.feeds[*feed].as_mut()) {
                feed.answered(data, length, shared.settings.metadata_age);
            }
        }
    }
    drop(state);
    // A leader may be looked for now, or another broker asked.
    shared.changed();
}

/// The broker cannot be asked: another may lead its partitions by now.
fn lose(shared: &Shared, asked: &Asked, error: &ConnectionError, pause: Duration) {
    let reason = error.to_string();
    shared.tell(&reason);
    let away = |feed: &mut Feed| feed.lose_leader(Trouble::Away(reason.clone()), pause);
    shared.state().each(asked.feeds.values(), away);
    shared.changed();
}
