//! What rdkafka has no safe call for: topics' ids, and the offsets of a group that nobody joins.
//!
//! Owns: the only unsafe code of this crate: calls of librdkafka with what each owns.
//! Never: lets a pointer out.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString};
use std::ptr;
use std::sync::Arc;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka_sys as sys;

use super::watch::Watch;

const NO_ERROR: sys::rd_kafka_resp_err_t = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;

/// A consumer whose errors are watched.
pub type WatchedConsumer = BaseConsumer<Watch>;

/// A topic as a cluster describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Described {
    /// Its name.
    pub name: String,
    /// What tells it from others of the name, before it and after it. Or why it cannot be described.
    pub topic: Result<Topic, RDKafkaErrorCode>,
}

/// A topic that is there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Topic {
    /// Its id, in base64.
    pub id: String,
    /// How many partitions it has.
    pub partitions: u32,
    /// How many of them have a leader.
    pub led: u32,
    /// What may be done with it; `None`: nobody asked, or the cluster does not say.
    pub rights: Option<Rights>,
}

/// What the user of a client may do with a topic.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rights {
    /// Read its records.
    pub read: bool,
    /// Write some.
    pub write: bool,
}

/// Asks what topics there are, without waiting for the answer.
pub struct Describing {
    queue: *mut sys::rd_kafka_queue_t,
    consumer: Arc<WatchedConsumer>,
}

// SAFETY: librdkafka's queues may be used by any thread.
unsafe impl Send for Describing {}

impl Describing {
    /// Nothing is asked yet.
    pub fn new(consumer: &Arc<WatchedConsumer>) -> Self {
        // SAFETY: the client lives as long as the consumer. The queue is ours to destroy.
        let queue = unsafe { sys::rd_kafka_queue_new(consumer.client().native_ptr()) };
        Self { queue, consumer: Arc::clone(consumer) }
    }

    /// Asks. There will be one answer, at the latest after `timeout_ms`.
    pub fn ask(&self, topics: &[String], timeout_ms: i32) {
        self.ask_for(topics, timeout_ms, false);
    }

    /// The same, and what may be done with them.
    pub fn ask_with_rights(&self, topics: &[String], timeout_ms: i32) {
        self.ask_for(topics, timeout_ms, true);
    }

    fn ask_for(&self, topics: &[String], timeout_ms: i32, rights: bool) {
        let names: Vec<CString> =
            topics.iter().filter_map(|topic| CString::new(topic.as_str()).ok()).collect();
        let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
        let client = self.consumer.client().native_ptr();
        let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        // SAFETY: names and options live until they have been copied by the call; what is made here is destroyed here.
        unsafe {
            let collection =
                sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
            let options = sys::rd_kafka_AdminOptions_new(client, operation);
            sys::rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, ptr::null_mut(), 0);
            if rights {
                let error = sys::rd_kafka_AdminOptions_set_include_authorized_operations(options, 1);
                if !error.is_null() {
                    sys::rd_kafka_error_destroy(error);
                }
            }
            sys::rd_kafka_DescribeTopics(client, collection, options, self.queue);
            sys::rd_kafka_AdminOptions_destroy(options);
            sys::rd_kafka_TopicCollection_destroy(collection);
        }
    }

    /// The answer, if it has come within so many milliseconds.
    pub fn answer(&self, wait_ms: i32) -> Option<Result<Vec<Described>, RDKafkaErrorCode>> {
        // SAFETY: the queue is ours; the event that is taken from it is ours to destroy, and what it holds is copied
        // before that.
        unsafe {
            let event = sys::rd_kafka_queue_poll(self.queue, wait_ms);
            if event.is_null() {
                return None;
            }
            let error = sys::rd_kafka_event_error(event);
            let answer = if error == NO_ERROR {
                let result = sys::rd_kafka_event_DescribeTopics_result(event);
                let mut count = 0;
                let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
                Ok((0..count).map(|i| described(*topics.add(i))).collect())
            } else {
                Err(error.into())
            };
            sys::rd_kafka_event_destroy(event);
            Some(answer)
        }
    }
}

/// Tells a group how far partitions are, without waiting for the answer.
pub struct Telling {
    queue: *mut sys::rd_kafka_queue_t,
    consumer: Arc<WatchedConsumer>,
    group: CString,
}

// SAFETY: librdkafka's queues may be used by any thread.
unsafe impl Send for Telling {}

impl Telling {
    /// Nothing is told yet.
    pub fn new(consumer: &Arc<WatchedConsumer>, group: &str) -> Self {
        let group = CString::new(group).unwrap_or_default();
        // SAFETY: the client lives as long as the consumer. The queue is ours to destroy.
        let queue = unsafe { sys::rd_kafka_queue_new(consumer.client().native_ptr()) };
        Self { queue, consumer: Arc::clone(consumer), group }
    }

    /// Tells. There will be one answer, at the latest after `timeout_ms`.
    pub fn tell(&self, offsets: &TopicPartitionList, timeout_ms: i32) {
        let client = self.consumer.client().native_ptr();
        let operation = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS;
        // SAFETY: name and offsets live until they have been copied by the call; what is made here is destroyed here.
        unsafe {
            let options = sys::rd_kafka_AdminOptions_new(client, operation);
            sys::rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, ptr::null_mut(), 0);
            let mut group = sys::rd_kafka_AlterConsumerGroupOffsets_new(self.group.as_ptr(), offsets.ptr());
            sys::rd_kafka_AlterConsumerGroupOffsets(client, &mut group, 1, options, self.queue);
            sys::rd_kafka_AlterConsumerGroupOffsets_destroy(group);
            sys::rd_kafka_AdminOptions_destroy(options);
        }
    }

    /// Whether it was heard, if the answer has come within so many milliseconds.
    pub fn answer(&self, wait_ms: i32) -> Option<Result<(), RDKafkaErrorCode>> {
        // SAFETY: the queue is ours; the event that is taken from it is ours to destroy.
        unsafe {
            let event = sys::rd_kafka_queue_poll(self.queue, wait_ms);
            if event.is_null() {
                return None;
            }
            let error = sys::rd_kafka_event_error(event);
            sys::rd_kafka_event_destroy(event);
            Some(if error == NO_ERROR { Ok(()) } else { Err(error.into()) })
        }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        // SAFETY: the queue is ours, and the consumer that it belongs to is still there.
        unsafe { sys::rd_kafka_queue_destroy(self.queue) };
    }
}

impl Drop for Describing {
    fn drop(&mut self) {
        // SAFETY: the queue is ours, and the consumer that it belongs to is still there.
        unsafe { sys::rd_kafka_queue_destroy(self.queue) };
    }
}

/// # Safety
/// `topic` is a description that lives through the call.
unsafe fn described(topic: *const sys::rd_kafka_TopicDescription_t) -> Described {
    // SAFETY: all that is asked for belongs to the description, and is copied.
    unsafe {
        let name = text(sys::rd_kafka_TopicDescription_name(topic));
        let error = sys::rd_kafka_TopicDescription_error(topic);
        if !error.is_null() {
            let code = sys::rd_kafka_error_code(error);
            if code != NO_ERROR {
                return Described { name, topic: Err(code.into()) };
            }
        }
        let id = text(sys::rd_kafka_Uuid_base64str(sys::rd_kafka_TopicDescription_topic_id(topic)));
        let mut count = 0;
        let partitions = sys::rd_kafka_TopicDescription_partitions(topic, &mut count);
        let led = (0..count).filter(|&i| {
            let leader = sys::rd_kafka_TopicPartitionInfo_leader(*partitions.add(i));
            !leader.is_null() && sys::rd_kafka_Node_id(leader) >= 0
        });
        let led = u32::try_from(led.count()).unwrap_or(u32::MAX);
        let partitions = u32::try_from(count).unwrap_or(u32::MAX);
        Described { name, topic: Ok(Topic { id, partitions, led, rights: rights(topic) }) }
    }
}

/// # Safety
/// `topic` is a description that lives through the call.
unsafe fn rights(topic: *const sys::rd_kafka_TopicDescription_t) -> Option<Rights> {
    use sys::rd_kafka_AclOperation_t as Operation;
    let mut count = 0;
    // SAFETY: the operations belong to the description, and so many of them there are.
    let operations = unsafe {
        let first = sys::rd_kafka_TopicDescription_authorized_operations(topic, &mut count);
        if first.is_null() || count == 0 {
            return None;
        }
        // As numbers: a cluster may know operations that this build does not.
        std::slice::from_raw_parts(first.cast::<u32>(), count)
    };
    let may = |wanted: Operation| operations.contains(&(wanted as u32));
    Some(Rights {
        read: may(Operation::RD_KAFKA_ACL_OPERATION_READ),
        write: may(Operation::RD_KAFKA_ACL_OPERATION_WRITE),
    })
}

/// # Safety
/// `start` is null or a C string.
unsafe fn text(start: *const std::ffi::c_char) -> String {
    if start.is_null() {
        return String::new();
    }
    // SAFETY: as the caller says.
    unsafe { CStr::from_ptr(start) }.to_string_lossy().into_owned()
}
