//! A partition as its broker and its reader share it.
//!
//! Owns: how far it is fetched, from which broker, what waits, and why nothing comes.
//! Never: waits.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::fetch_response::PartitionData;
use tracing::debug;
use uuid::Uuid;

use crate::batch::{Aborted, Chunk, end_of};

/// Without an answer for this long, or for two waits of a broker, it is not known any more whether a partition has come to
/// its end.
const FRESH: Duration = Duration::from_secs(2);
/// Before a partition whose leader is not known is asked for again.
const LEADERLESS: Duration = Duration::from_millis(100);
/// Before one is asked for again that cannot be read for another reason.
const REFUSED: Duration = Duration::from_secs(1);

/// Tells a reader that has found nothing that something has come. It is called with a lock held, and must not block.
pub type Wake = Box<dyn Fn() + Send>;

/// What is to be fetched.
#[derive(Clone, Debug)]
pub struct Assigned {
    /// The topic.
    pub topic: String,
    /// Its id; nil: brokers do not know ids.
    pub id: Uuid,
    /// The partition.
    pub number: i32,
    /// The first offset.
    pub offset: u64,
    /// The offset behind the last; `None`: no end.
    pub end: Option<u64>,
}

/// Why a partition cannot be read now.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Trouble {
    /// A broker says so, or the cluster says so of the topic.
    Told(ResponseError),
    /// A broker cannot be asked. Its words.
    Away(String),
    /// The log has lost records that were read: it is the same up to here only.
    Truncated(u64),
}

/// What there is to say when nothing waits.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Standing {
    /// More may come any time.
    Behind,
    /// Its broker has said within the last moments that there is no committed record behind what was taken.
    AtEnd,
    /// It cannot be read now. It is tried again until someone gives up.
    Troubled(Trouble),
}

/// The state of a partition.
pub(crate) struct Feed {
    pub(crate) assigned: Assigned,
    /// The offset to be fetched next, and the leader epoch of the record before it.
    pub(crate) next: u64,
    pub(crate) epoch: i32,
    pub(crate) leader: Option<i32>,
    pub(crate) leader_epoch: i32,
    /// Another broker to read from, for a time.
    replica: Option<(i32, Instant)>,
    pub(crate) paused_until: Option<Instant>,
    waiting: VecDeque<Chunk>,
    bytes: usize,
    /// Whether something waits, for who does not want to lock.
    pub(crate) came: Arc<AtomicBool>,
    pub(crate) wake: Option<Wake>,
    /// The last stable offset, and when it was so.
    stable: Option<(u64, Instant)>,
    trouble: Option<Trouble>,
}

/// Whether a partition is to be asked for now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wanted {
    Now,
    /// When its reader has taken something.
    Full,
    At(Instant),
    No,
}

impl Feed {
    pub(crate) fn new(assigned: Assigned) -> Self {
        Self {
            next: assigned.offset,
            assigned,
            epoch: -1,
            leader: None,
            leader_epoch: -1,
            replica: None,
            paused_until: None,
            waiting: VecDeque::new(),
            bytes: 0,
            came: Arc::default(),
            wake: None,
            stable: None,
            trouble: None,
        }
    }

    /// The broker that is asked for it.
    pub(crate) fn broker(&self) -> Option<i32> {
        self.replica.map(|(replica, _)| replica).or(self.leader)
    }

    /// All that was to be fetched has been.
    pub(crate) fn is_whole(&self) -> bool {
        self.assigned.end.is_some_and(|end| self.next >= end)
    }

    /// Its broker cannot be asked.
    pub(crate) fn is_away(&self) -> bool {
        self.away().is_some()
    }

    /// Why its broker cannot be asked, in words.
    pub(crate) fn away(&self) -> Option<&str> {
        match &self.trouble {
            Some(Trouble::Away(cause)) => Some(cause),
            Some(Trouble::Told(_) | Trouble::Truncated(_)) | None => None,
        }
    }

    pub(crate) fn wanted(&self, now: Instant, waiting_bytes: usize) -> Wanted {
        if self.is_whole() {
            return Wanted::No;
        }
        match self.paused_until {
            Some(until) if now < until => Wanted::At(until),
            _ if self.bytes >= waiting_bytes => Wanted::Full,
            _ => Wanted::Now,
        }
    }

    /// Hands out what waits, and says how many bytes that is.
    pub(crate) fn take(&mut self, chunks: &mut VecDeque<Chunk>) -> usize {
        self.came.store(false, Relaxed);
        chunks.append(&mut self.waiting);
        std::mem::take(&mut self.bytes)
    }

    /// `wait`: how long brokers wait for records before they say that there are none.
    pub(crate) fn standing(&self, wait: Duration) -> Standing {
        let fresh = FRESH.max(wait * 2);
        match (&self.trouble, self.stable) {
            (Some(trouble), _) => Standing::Troubled(trouble.clone()),
            (None, Some((stable, at))) if self.next >= stable && at.elapsed() < fresh => Standing::AtEnd,
            (None, _) => Standing::Behind,
        }
    }

    /// Its leader is this one now.
    pub(crate) fn led_by(&mut self, leader: i32, epoch: i32) {
        if self.leader != Some(leader) || self.leader_epoch != epoch {
            (self.leader, self.leader_epoch, self.replica) = (Some(leader), epoch, None);
        }
    }

    /// Its broker cannot be asked, or is not its leader any more.
    pub(crate) fn lose_leader(&mut self, trouble: Trouble, pause: Duration) {
        (self.leader, self.replica) = (None, None);
        self.trouble = Some(trouble);
        self.paused_until = Some(Instant::now() + pause);
    }

    /// Takes in what its broker has answered. `of`: the whole answer's length, of which records hold on to all.
    pub(crate) fn answered(&mut self, data: PartitionData, of: usize, replica_for: Duration) {
        let now = Instant::now();
        self.paused_until = None;
        // Here and not while time passes: whoever takes an answer in wakes the threads of other brokers.
        self.replica = self.replica.filter(|(_, until)| now < *until);
        if let Some(error) = ResponseError::try_from_code(data.error_code) {
            return self.refused(error, now);
        }
        if data.diverging_epoch.epoch >= 0 {
            let same = u64::try_from(data.diverging_epoch.end_offset).unwrap_or(0);
            self.trouble = Some(Trouble::Truncated(same.min(self.next)));
            self.paused_until = Some(now + REFUSED);
            return;
        }
        self.trouble = None;
        if data.preferred_read_replica.0 >= 0 && Some(data.preferred_read_replica.0) != self.broker() {
            let (topic, partition, broker) =
                (&self.assigned.topic, self.assigned.number, data.preferred_read_replica.0);
            debug!(topic, partition, broker, "reads from the replica that is near");
            self.replica = Some((broker, now + replica_for));
            return;
        }
        let stable = if data.last_stable_offset < 0 { data.high_watermark } else { data.last_stable_offset };
        self.stable = u64::try_from(stable).ok().map(|stable| (stable, now));
        let Some(records) = data.records.filter(|records| !records.is_empty()) else { return };
        let Some((next, epoch)) = self.end_of(&records) else { return };
        if next <= self.next {
            return;
        }
        // A small part must not keep a large answer in memory.
        let records = if records.len() < of / 8 { Bytes::copy_from_slice(&records) } else { records };
        let aborted = data
            .aborted_transactions
            .unwrap_or_default()
            .into_iter()
            .map(|aborted| Aborted { producer: aborted.producer_id.0, first_offset: aborted.first_offset });
        let chunk = Chunk::new(records, aborted.collect(), next);
        self.bytes += chunk.size();
        self.waiting.push_back(chunk);
        if let (false, Some(wake)) = (self.came.swap(true, Relaxed), &self.wake) {
            wake();
        }
        (self.next, self.epoch) = (next, epoch);
    }

    /// The end of what can be walked over; what cannot is left to the reader to complain of.
    fn end_of(&self, records: &[u8]) -> Option<(u64, i32)> {
        const MAGIC: usize = 16;
        let strange = records.get(MAGIC).is_some_and(|magic| *magic != 2);
        if strange { Some((self.next + 1, -1)) } else { end_of(records) }
    }

    fn refused(&mut self, error: ResponseError, now: Instant) {
        use ResponseError as Error;
        let from_replica = self.replica.take().is_some();
        if from_replica && error == Error::OffsetOutOfRange {
            // It may only be behind: its leader knows.
            return;
        }
        let moved = matches!(
            error,
            Error::NotLeaderOrFollower
                | Error::FencedLeaderEpoch
                | Error::UnknownLeaderEpoch
                | Error::ReplicaNotAvailable
                | Error::LeaderNotAvailable
                | Error::KafkaStorageError
                | Error::UnknownTopicOrPartition
                | Error::UnknownTopicId
                | Error::InconsistentTopicId
        );
        if moved {
            return self.lose_leader(Trouble::Told(error), LEADERLESS);
        }
        self.trouble = Some(Trouble::Told(error));
        self.paused_until = Some(now + REFUSED);
    }

    /// The cluster says this of its topic or of itself.
    pub(crate) fn not_led(&mut self, error: ResponseError) {
        self.lose_leader(Trouble::Told(error), REFUSED);
    }
}
