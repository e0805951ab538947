//! One end of a link between two processes.
//!
//! Owns: the socket, and the thread that reads it.
//! Never: tries again: a link that is closed stays closed, and the process at its other end is done for.

use std::io::{BufReader, ErrorKind};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use super::{LinkClosed, frame};

/// What is heard of a process that ends, however it ends.
const ENDED: &str = "its process has ended";

/// A socket whose frames are handed to a closure as they come. Dropping it closes both directions.
#[derive(Debug)]
pub(super) struct Socket {
    /// Without a deadline for writing: a coordinator that does not read is frozen, and whether it comes back is not
    /// for a worker to decide; one that died closes the socket.
    stream: Mutex<UnixStream>,
    reader: Option<JoinHandle<()>>,
}

impl Socket {
    /// Reads on a thread of its own. `on_end` is called once, with the cause, when nothing more will come.
    pub(super) fn open(
        stream: UnixStream,
        on_frame: impl Fn(&[u8]) -> Result<(), String> + Send + 'static,
        on_end: impl FnOnce(String) + Send + 'static,
    ) -> std::io::Result<Self> {
        let from = stream.try_clone()?;
        let reader = std::thread::Builder::new().name("link".to_owned()).spawn(move || {
            let cause = read(&from, on_frame);
            // Nobody reads any more: let the other end notice when it writes.
            let _closed_before = from.shutdown(Shutdown::Both);
            on_end(cause);
        })?;
        Ok(Self { stream: Mutex::new(stream), reader: Some(reader) })
    }

    /// Sends a frame.
    pub(super) fn send(&self, message: &[u8]) -> Result<(), LinkClosed> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        frame::write(&mut *stream, message).map_err(|error| {
            tracing::debug!(%error, "a message was not sent");
            // Half a frame may have gone: what follows could not be understood.
            let _closed_before = stream.shutdown(Shutdown::Both);
            LinkClosed
        })
    }
}

/// Reads until there is nothing more, and says why.
fn read(from: &UnixStream, on_frame: impl Fn(&[u8]) -> Result<(), String>) -> String {
    let mut from = BufReader::new(from);
    let mut message = Vec::new();
    loop {
        match frame::read(&mut from, &mut message) {
            Ok(true) => {
                if let Err(cause) = on_frame(&message) {
                    return cause;
                }
            }
            Ok(false) => return ENDED.to_owned(),
            // It had not read all that it was told.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return ENDED.to_owned(),
            Err(error) => return format!("the link broke: {error}"),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let stream = self.stream.get_mut().unwrap_or_else(PoisonError::into_inner);
        // What was sent before stays readable at the other end.
        let _closed_before = stream.shutdown(Shutdown::Both);
        if let Some(reader) = self.reader.take()
            && reader.thread().id() != std::thread::current().id()
            && reader.join().is_err()
        {
            tracing::error!("the thread of a link panicked");
        }
    }
}
