//! Moves keyed rows, partial states, time and barriers between the slots of a process.
//!
//! Owns: the channels between slots, their credit in bytes, and the rows that wait for credit.
//! Never: blocks in a send, reorders a channel, or looks inside a message.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_utils::sync::Unparker;
use streamjob_core::watermark::Status;
use streamjob_core::window::{KeyedRows, Partials};

/// What travels from one slot to another. The order within a channel is kept.
#[derive(Debug)]
pub enum Message {
    /// Rows of one partition, all of which stand before its next watermark.
    Rows(Box<KeyedRows>),
    /// Partial states of one slice.
    Partials(Box<Partials>),
    /// The watermark of a partition after everything sent before.
    Watermark {
        /// Which partition.
        partition: u32,
        /// Epoch milliseconds.
        watermark: i64,
    },
    /// The status of a partition from here on.
    Status {
        /// Which partition.
        partition: u32,
        /// Active, idle or finished.
        status: Status,
    },
    /// Everything before it belongs to the epoch, nothing after it.
    Barrier {
        /// The epoch that it ends.
        epoch: u64,
    },
}

impl Message {
    /// About how many bytes the message keeps alive; what credit is counted in.
    pub fn bytes(&self) -> usize {
        const EMPTY: usize = 64;
        match self {
            Self::Rows(rows) => EMPTY + rows.bytes(),
            Self::Partials(partials) => EMPTY + partials.bytes(),
            Self::Watermark { .. } | Self::Status { .. } | Self::Barrier { .. } => EMPTY,
        }
    }
}

/// The queue from one slot to another.
#[derive(Debug)]
pub struct Channel {
    queue: Mutex<VecDeque<Message>>,
    queued_bytes: AtomicUsize,
    bytes_max: usize,
}

impl Channel {
    fn new(bytes_max: usize) -> Self {
        Self { queue: Mutex::default(), queued_bytes: AtomicUsize::new(0), bytes_max }
    }

    /// Appends the message if there is credit for it. An empty channel takes a message of any size.
    fn offer(&self, message: Message) -> Result<(), Message> {
        let bytes = message.bytes();
        let queued = self.queued_bytes.load(Ordering::Acquire);
        if queued > 0 && queued + bytes > self.bytes_max {
            return Err(message);
        }
        self.queued_bytes.fetch_add(bytes, Ordering::AcqRel);
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(message);
        Ok(())
    }

    fn take(&self) -> Option<Message> {
        if self.queued_bytes.load(Ordering::Acquire) == 0 {
            return None;
        }
        let message = self.queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front()?;
        self.queued_bytes.fetch_sub(message.bytes(), Ordering::AcqRel);
        Some(message)
    }
}

/// All channels of a process: one for each pair of different slots.
pub struct Exchange {
    /// `channels[from][to]`.
    channels: Vec<Vec<Arc<Channel>>>,
    wakers: Vec<Unparker>,
}

impl Exchange {
    /// The channels between slots whose threads the wakers wake. `bytes_max` is the credit of each.
    pub fn new(wakers: Vec<Unparker>, bytes_max: usize) -> Self {
        let slots = wakers.len();
        let row = || (0..slots).map(|_| Arc::new(Channel::new(bytes_max))).collect();
        Self { channels: (0..slots).map(|_| row()).collect(), wakers }
    }

    /// What slot `slot` sends through.
    pub fn outputs(&self, slot: usize) -> Outputs {
        Outputs {
            slot,
            channels: self.channels[slot].clone(),
            waiting: self.wakers.iter().map(|_| VecDeque::new()).collect(),
            wakers: self.wakers.clone(),
        }
    }

    /// What slot `slot` receives from.
    pub fn inputs(&self, slot: usize) -> Inputs {
        Inputs {
            channels: self.channels.iter().map(|from| Arc::clone(&from[slot])).collect(),
            wakers: self.wakers.clone(),
        }
    }
}

/// The sending ends of one slot.
pub struct Outputs {
    slot: usize,
    channels: Vec<Arc<Channel>>,
    /// What did not get credit yet, for each target. Bounded: a slot with anything here does not read its source.
    waiting: Vec<VecDeque<Message>>,
    wakers: Vec<Unparker>,
}

impl Outputs {
    /// Sends to another slot; without credit the message waits here and the caller should stop reading its source.
    pub fn send(&mut self, to: usize, message: Message) {
        assert_ne!(to, self.slot, "a slot hands its own messages over directly");
        if !self.waiting[to].is_empty() {
            self.waiting[to].push_back(message);
            return;
        }
        match self.channels[to].offer(message) {
            Ok(()) => self.wakers[to].unpark(),
            Err(message) => self.waiting[to].push_back(message),
        }
    }

    /// The other slots.
    pub fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let slot = self.slot;
        (0..self.channels.len()).filter(move |to| *to != slot)
    }

    /// Sends what waits, as far as there is credit. Returns whether anything moved.
    pub fn flush(&mut self) -> bool {
        let mut moved = false;
        for to in 0..self.waiting.len() {
            while let Some(message) = self.waiting[to].pop_front() {
                match self.channels[to].offer(message) {
                    Ok(()) => {
                        moved = true;
                        self.wakers[to].unpark();
                    }
                    Err(message) => {
                        self.waiting[to].push_front(message);
                        break;
                    }
                }
            }
        }
        moved
    }

    /// Whether any message waits for credit.
    pub fn is_blocked(&self) -> bool {
        self.waiting.iter().any(|waiting| !waiting.is_empty())
    }
}

/// The receiving ends of one slot.
pub struct Inputs {
    channels: Vec<Arc<Channel>>,
    wakers: Vec<Unparker>,
}

impl Inputs {
    /// The next message from a slot, if there is one.
    pub fn take(&self, from: usize) -> Option<Message> {
        let message = self.channels[from].take()?;
        self.wakers[from].unpark();
        Some(message)
    }

    /// How many slots can send, this one included.
    pub fn channels(&self) -> usize {
        self.channels.len()
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_utils::sync::Parker;

    use super::*;

    fn watermark(watermark: i64) -> Message {
        Message::Watermark { partition: 0, watermark }
    }

    fn two_slots(bytes_max: usize) -> (Outputs, Inputs) {
        let wakers = (0..2).map(|_| Parker::new().unparker().clone()).collect();
        let exchange = Exchange::new(wakers, bytes_max);
        (exchange.outputs(0), exchange.inputs(1))
    }

    #[test]
    fn without_credit_a_send_returns_and_the_message_waits_in_order() {
        let (mut outputs, inputs) = two_slots(1);

        for at in 0..5 {
            outputs.send(1, watermark(at));
        }

        assert!(outputs.is_blocked());
        let mut received = Vec::new();
        while received.len() < 5 {
            if let Some(Message::Watermark { watermark, .. }) = inputs.take(0) {
                received.push(watermark);
            }
            outputs.flush();
        }
        assert_eq!(received, [0, 1, 2, 3, 4]);
        assert!(!outputs.is_blocked());
    }

    #[test]
    fn credit_comes_back_when_a_message_is_taken() {
        let (mut outputs, inputs) = two_slots(200);
        for at in 0..4 {
            outputs.send(1, watermark(at));
        }
        assert!(outputs.is_blocked());

        let first = inputs.take(0);

        assert!(matches!(first, Some(Message::Watermark { watermark: 0, .. })));
        assert!(outputs.flush());
    }
}
