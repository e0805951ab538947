//! Carries messages between the coordinator and a worker: as encoded bytes, in one process too.
//!
//! Owns: a link's two ends; refusing a message of another attempt on the worker's end.
//! Never: looks into a message. What the coordinator hears it judges itself.

mod frame;
mod socket;

use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock};

use crossbeam_channel::{Receiver, Sender, bounded};
use crossbeam_utils::sync::Unparker;
use streamjob_checkpoint::ids::Generation;

use super::messages::{Envelope, MessageError, ToCoordinator, ToWorker};
use socket::Socket;

/// How many messages wait for a worker at most. The coordinator has fewer outstanding: a worker that gets a command
/// every turn never makes it wait.
const COMMANDS_MAX: usize = 64;

/// What the coordinator hears of a worker.
#[derive(Debug)]
pub struct FromWorker {
    /// Which one.
    pub worker: u32,
    /// What.
    pub heard: Heard,
}

/// What is heard of a worker.
#[derive(Debug)]
pub enum Heard {
    /// It says something. The generation is whatever the envelope says.
    Message(Envelope<ToCoordinator>),
    /// It will say nothing any more.
    Gone {
        /// Why.
        cause: String,
    },
}

/// The other end of a link has gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the other end of the link has gone")]
pub struct LinkClosed;

/// The coordinator's end. Dropping it closes the link.
#[derive(Debug)]
pub struct CoordinatorLink {
    generation: Generation,
    carrier: ToWorkerCarrier,
}

#[derive(Debug)]
enum ToWorkerCarrier {
    InProcess(Inbox),
    Socket(Socket),
}

/// The worker's end. When it and all its senders are dropped the coordinator hears that the worker has gone.
#[derive(Debug)]
pub struct WorkerLink {
    received: Receiver<ToWorker>,
    waker: Arc<OnceLock<Unparker>>,
    sender: WorkerSender,
}

/// What a worker's threads say things with.
#[derive(Clone, Debug)]
pub struct WorkerSender {
    generation: Generation,
    carrier: Arc<ToCoordinatorCarrier>,
}

#[derive(Debug)]
enum ToCoordinatorCarrier {
    InProcess { worker: u32, to: Sender<FromWorker> },
    Socket(Socket),
}

/// A worker's queue of messages, and whom to wake for them.
#[derive(Debug)]
struct Inbox {
    generation: Generation,
    to: Option<Sender<ToWorker>>,
    waker: Arc<OnceLock<Unparker>>,
}

/// Both ends of a link within a process.
pub fn link(generation: Generation, worker: u32, heard: Sender<FromWorker>) -> (CoordinatorLink, WorkerLink) {
    let (inbox, received) = inbox(generation);
    let waker = Arc::clone(&inbox.waker);
    let carrier = Arc::new(ToCoordinatorCarrier::InProcess { worker, to: heard });
    let sender = WorkerSender { generation, carrier };
    let worker = WorkerLink { received, waker, sender };
    (CoordinatorLink { generation, carrier: ToWorkerCarrier::InProcess(inbox) }, worker)
}

fn inbox(generation: Generation) -> (Inbox, Receiver<ToWorker>) {
    let (to, received) = bounded(COMMANDS_MAX);
    (Inbox { generation, to: Some(to), waker: Arc::default() }, received)
}

impl CoordinatorLink {
    /// The coordinator's end of a link to another process.
    pub fn over(
        socket: UnixStream,
        generation: Generation,
        worker: u32,
        heard: Sender<FromWorker>,
    ) -> std::io::Result<Self> {
        let gone = heard.clone();
        let on_frame = move |frame: &[u8]| {
            let envelope = Envelope::decode(frame).map_err(|error| error.to_string())?;
            let message = FromWorker { worker, heard: Heard::Message(envelope) };
            heard.send(message).map_err(|_| "the coordinator has ended".to_owned())
        };
        let on_end = move |cause| {
            // A coordinator that has ended does not care any more.
            let _ended = gone.send(FromWorker { worker, heard: Heard::Gone { cause } });
        };
        let socket = Socket::open(socket, on_frame, on_end)?;
        Ok(Self { generation, carrier: ToWorkerCarrier::Socket(socket) })
    }

    /// Tells the worker something. That it has been sent does not mean that it arrives.
    pub fn send(&self, message: ToWorker) -> Result<(), LinkClosed> {
        let frame = Envelope::new(self.generation, message).encode();
        match &self.carrier {
            ToWorkerCarrier::InProcess(inbox) => inbox.deliver(&frame).map_err(|cause| closed(&cause)),
            ToWorkerCarrier::Socket(socket) => socket.send(&frame),
        }
    }
}

impl WorkerLink {
    /// The worker's end of a link to another process.
    pub fn over(socket: UnixStream, generation: Generation) -> std::io::Result<Self> {
        let (mut inbox, received) = inbox(generation);
        let waker = Arc::clone(&inbox.waker);
        let socket = Socket::open(
            socket,
            {
                let inbox = inbox.clone_sender();
                move |frame: &[u8]| inbox.deliver(frame)
            },
            move |cause| {
                tracing::debug!(cause, "the link to the coordinator is closed");
                inbox.close();
            },
        )?;
        let sender = WorkerSender { generation, carrier: Arc::new(ToCoordinatorCarrier::Socket(socket)) };
        Ok(Self { received, waker, sender })
    }

    /// The attempt that the worker belongs to.
    pub fn generation(&self) -> Generation {
        self.sender.generation
    }

    /// Where messages arrive, in the order in which they were sent. Closed when the coordinator has gone.
    pub fn received(&self) -> &Receiver<ToWorker> {
        &self.received
    }

    /// What to say things with.
    pub fn sender(&self) -> WorkerSender {
        self.sender.clone()
    }

    /// From now on wakes this thread when a message has arrived, and when the coordinator has gone. To be called once.
    pub fn wake_with(&self, waker: Unparker) {
        let first = self.waker.set(waker);
        assert!(first.is_ok(), "one thread serves a link");
    }
}

impl WorkerSender {
    /// Tells the coordinator something. That it has been sent does not mean that it arrives.
    pub fn send(&self, message: ToCoordinator) -> Result<(), LinkClosed> {
        let frame = Envelope::new(self.generation, message).encode();
        match &*self.carrier {
            ToCoordinatorCarrier::InProcess { worker, to } => {
                let envelope = Envelope::decode(&frame).expect("a build reads what it writes");
                let message = FromWorker { worker: *worker, heard: Heard::Message(envelope) };
                to.send(message).map_err(|_| LinkClosed)
            }
            ToCoordinatorCarrier::Socket(socket) => socket.send(&frame),
        }
    }
}

impl Drop for ToCoordinatorCarrier {
    fn drop(&mut self) {
        match self {
            Self::InProcess { worker, to } => {
                let heard = Heard::Gone { cause: "it has left".to_owned() };
                // A coordinator that has ended, or is full of what it has not read, does not need it.
                let _ended = to.try_send(FromWorker { worker: *worker, heard });
            }
            // The other end sees the socket's end.
            Self::Socket(_) => {}
        }
    }
}

impl Inbox {
    /// Hands a message on, and wakes whoever waits for it. One of another attempt is dropped.
    fn deliver(&self, frame: &[u8]) -> Result<(), String> {
        let envelope: Envelope<ToWorker> =
            Envelope::decode(frame).map_err(|error: MessageError| error.to_string())?;
        if envelope.generation != self.generation {
            tracing::warn!(from = %envelope.generation, ours = %self.generation, "ignored a message of another attempt");
            return Ok(());
        }
        let to = self.to.as_ref().ok_or("the link is closed")?;
        to.send(envelope.message).map_err(|_| "the worker has ended".to_owned())?;
        self.wake();
        Ok(())
    }

    fn clone_sender(&self) -> Self {
        Self { generation: self.generation, to: self.to.clone(), waker: Arc::clone(&self.waker) }
    }

    fn close(&mut self) {
        self.to = None;
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker.unpark();
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.close();
    }
}

fn closed(cause: &str) -> LinkClosed {
    tracing::debug!(cause, "a message to a worker was not delivered");
    LinkClosed
}

#[cfg(test)]
mod tests;
