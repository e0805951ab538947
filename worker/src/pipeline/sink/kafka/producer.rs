//! The producer of one slot, with the slot's transactional id.
//!
//! Owns: its transaction, and whether all that was sent in it has arrived.
//! Never: is used again after an error: whoever holds it drops it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::{Client, ClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use streamjob_checkpoint::outage::Outage;
use streamjob_checkpoint::outbox::{OutboxRecord, headers};

use super::CALL;
use super::error::KafkaSinkError;
use crate::kafka::{ConfigError, KafkaConfig, Watch};

/// What every producer is set up with, whatever the manifest says.
pub(super) const FIXED: &[(&str, &str)] =
    &[("enable.idempotence", "true"), ("acks", "all"), ("partitioner", "murmur2_random")];
/// After what time librdkafka asks again whose connection was cut, give or take a fifth. Not for the manifest to turn:
/// what ends sooner was asked once. Longer than a commit takes where all is well.
const RETRIES: &[(&str, &str)] = &[("retry.backoff.ms", "500"), ("retry.backoff.max.ms", "1000")];
const ASKED_ONCE_WITHIN: Duration = Duration::from_millis(375);
/// What the manifest may turn.
const DEFAULTS: &[(&str, &str)] = &[("linger.ms", "5"), ("compression.type", "lz4")];
/// How long a commit, or the end of a forerunner's transaction, is waited for before the outcome counts as unknown.
const OUTCOME: Duration = Duration::from_secs(60);
/// Between two looks at a queue that is full.
const FULL_PAUSE: Duration = Duration::from_millis(2);

/// How long a call may hold the thread, on which other producers have their turn. Flushing takes all of it, as another
/// thread hears of what has arrived.
pub(super) const TURN: Duration = Duration::from_millis(2);
/// What names the topic of a record that has one of its own.
pub(super) const ROUTE: &str = "spec.pipeline.sink.kafka.topicField";
/// Where all is well it takes less.
const SLOW: Duration = Duration::from_secs(1);
/// What was refused before that has nothing to do with what fails now.
const RECENT: Duration = Duration::from_secs(5);

/// One producer.
pub(super) struct Producer {
    producer: ThreadedProducer<Sending>,
    failed: Failed,
    progress_end: Arc<AtomicU64>,
    outage: Arc<Outage>,
    id: String,
    servers: String,
}

/// How a transaction was committed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Committed {
    /// By the only request to do so.
    AskedOnce,
    /// librdkafka may have asked again without a word, and the first request may still be under way. It would commit
    /// whatever the same producer has open when it arrives.
    PerhapsAskedAgain,
}

/// The first record that did not arrive.
pub(super) type Failed = Arc<Mutex<Option<KafkaError>>>;

/// The context of a producer.
pub(super) struct Sending {
    watch: Watch,
    failed: Failed,
    /// Behind the last progress record that has arrived; 0: none has.
    progress_end: Arc<AtomicU64>,
}

/// What a record is to whoever hears of its arrival.
const OUTPUT: usize = 0;
const PROGRESS: usize = 1;

impl Sending {
    /// What does not arrive is put there.
    pub(super) fn noting(failed: &Failed) -> Self {
        Self { watch: Watch::default(), failed: Arc::clone(failed), progress_end: Arc::default() }
    }
}

impl Sending {
    /// What went wrong lately.
    pub(super) fn trouble(&self) -> Option<String> {
        Some(self.watch.trouble(RECENT)?.1)
    }

    /// What was refused lately.
    pub(super) fn refusal(&self) -> Option<String> {
        self.watch.refusal(RECENT)
    }
}

impl ClientContext for Sending {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.watch.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.watch.error(error, reason);
    }
}

impl ProducerContext for Sending {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, what: usize) {
        match result {
            Ok(record) if what == PROGRESS => {
                let end = u64::try_from(record.offset() + 1).unwrap_or(0);
                self.progress_end.fetch_max(end, Ordering::Relaxed);
            }
            Ok(_) => {}
            Err((error, _)) => {
                let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.get_or_insert_with(|| error.clone());
            }
        }
    }
}

/// Hands a record to a producer, waiting for room in its queue.
pub(super) async fn enqueue(
    producer: &ThreadedProducer<Sending>,
    topic: &str,
    record: &OutboxRecord<'_>,
) -> Result<(), KafkaError> {
    enqueue_as(OUTPUT, producer, topic, record).await
}

async fn enqueue_as(
    what: usize,
    producer: &ThreadedProducer<Sending>,
    topic: &str,
    OutboxRecord { key, headers: bytes, value, .. }: &OutboxRecord<'_>,
) -> Result<(), KafkaError> {
    let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(topic, what).payload(value);
    record.key = *key;
    if !bytes.is_empty() {
        let of_record = headers(bytes).map(|(key, value)| Header { key, value });
        record.headers = Some(of_record.fold(OwnedHeaders::new(), OwnedHeaders::insert));
    }
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                tokio::time::sleep(FULL_PAUSE).await;
            }
            Err((error, _)) => return Err(error),
        }
    }
}

/// That a topic is there, which `field` of the manifest names.
pub(super) fn check_topic<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    field: &str,
) -> Result<(), KafkaSinkError> {
    let asked = KafkaSinkError::call(format!("look for the topic `{topic}`"));
    let metadata = client.fetch_metadata(Some(topic), CALL).map_err(asked)?;
    let there = metadata
        .topics()
        .iter()
        .any(|found| found.name() == topic && found.error().is_none() && !found.partitions().is_empty());
    let (topic, field) = (topic.to_owned(), field.to_owned());
    if there { Ok(()) } else { Err(KafkaSinkError::NoTopic { topic, field }) }
}

impl Producer {
    /// The producer of this transactional id, which is to [fence](Self::fence) before anything else.
    /// What it waits for long is noted in `outage`.
    pub(super) fn new(
        config: &KafkaConfig,
        id: &str,
        servers: &str,
        outage: &Arc<Outage>,
    ) -> Result<Self, ConfigError> {
        let mut config = config.clone();
        config.set_defaults(DEFAULTS);
        config.set_all(FIXED);
        config.set_all(RETRIES);
        config.set("transactional.id", id);
        let failed = Failed::default();
        let sending = Sending::noting(&failed);
        let progress_end = Arc::clone(&sending.progress_end);
        let producer = config.create(sending)?;
        let (outage, id, servers) = (Arc::clone(outage), id.to_owned(), servers.to_owned());
        Ok(Self { producer, failed, progress_end, outage, id, servers })
    }

    /// Ends what forerunners have open: none of them can commit any more when it returns.
    pub(super) async fn fence(&self) -> Result<(), KafkaSinkError> {
        self.until_known("begin as", |producer| producer.init_transactions(TURN)).await
    }

    pub(super) fn begin(&mut self) -> Result<(), KafkaSinkError> {
        self.producer.begin_transaction().map_err(self.failed_to("begin a transaction as"))
    }

    /// Sends a record in the open transaction.
    pub(super) async fn send(
        &mut self,
        topic: &str,
        record: &OutboxRecord<'_>,
    ) -> Result<(), KafkaSinkError> {
        let sent = enqueue(&self.producer, topic, record).await;
        sent.map_err(self.failed_to("send a record as"))
    }

    /// Sends a record that says what the transaction publishes.
    pub(super) async fn send_progress(
        &mut self,
        topic: &str,
        record: &OutboxRecord<'_>,
    ) -> Result<(), KafkaSinkError> {
        let sent = enqueue_as(PROGRESS, &self.producer, topic, record).await;
        sent.map_err(self.failed_to("send a record as"))
    }

    /// Behind the last progress record of a transaction that was committed; 0: there is none.
    pub(super) fn progress_end(&self) -> u64 {
        self.progress_end.load(Ordering::Relaxed)
    }

    /// That a topic is there which a record names.
    pub(super) fn check_topic(&self, topic: &str) -> Result<(), KafkaSinkError> {
        check_topic(self.producer.client(), topic, ROUTE)
    }

    /// Commits the open transaction. After an error nobody knows whether it is committed.
    pub(super) async fn commit(&mut self) -> Result<Committed, KafkaSinkError> {
        let began = Instant::now();
        while self.producer.flush(TURN).is_err() && self.lock_failed().is_none() && began.elapsed() < OUTCOME
        {
            self.check_refused()?;
            self.note_if_long("records have not arrived", began);
            tokio::task::yield_now().await;
        }
        let began = Instant::now();
        let committed = self.until_known("commit as", |producer| producer.commit_transaction(CALL)).await;
        let failed = self.lock_failed().take();
        match (committed, failed) {
            // Why a record did not arrive says more than that the commit failed for it.
            (Err(_), Some(cause)) => Err(self.failed_to("send a record as")(cause)),
            (Err(error), None) => Err(error),
            (Ok(()), _) if began.elapsed() < ASKED_ONCE_WITHIN => Ok(Committed::AskedOnce),
            (Ok(()), _) => Ok(Committed::PerhapsAskedAgain),
        }
    }

    fn lock_failed(&self) -> MutexGuard<'_, Option<KafkaError>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a call that may be made again to go on with it, for as long as there is no other answer.
    async fn until_known(
        &self,
        action: &str,
        call: impl Fn(&ThreadedProducer<Sending>) -> Result<(), KafkaError>,
    ) -> Result<(), KafkaSinkError> {
        let began = Instant::now();
        loop {
            match call(&self.producer) {
                Ok(()) => {
                    self.outage.answered();
                    return Ok(());
                }
                Err(KafkaError::Transaction(error)) if error.is_retriable() && began.elapsed() < OUTCOME => {}
                Err(error) => return Err(self.failed_to(action)(error)),
            }
            self.check_refused()?;
            self.note_if_long(action, began);
            // Whoever waits for us may have gone.
            tokio::task::yield_now().await;
        }
    }

    fn note_if_long(&self, what: &str, began: Instant) {
        if began.elapsed() >= SLOW {
            let trouble = self.producer.client().context().trouble();
            let trouble = trouble.unwrap_or_else(|| "no answer".to_owned());
            self.outage.failed(&format!("{what} `{}`: {trouble}", self.id));
        }
    }

    /// A client goes on with the password that it was given: one that is refused is to be followed by another.
    fn check_refused(&self) -> Result<(), KafkaSinkError> {
        match self.producer.client().context().refusal() {
            Some(reason) => Err(KafkaSinkError::Refused { servers: self.servers.clone(), reason }),
            None => Ok(()),
        }
    }

    fn failed_to(&self, action: &str) -> impl FnOnce(KafkaError) -> KafkaSinkError + use<> {
        KafkaSinkError::call(format!("{action} `{}`", self.id))
    }
}
