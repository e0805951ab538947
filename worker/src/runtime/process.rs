//! A worker in a process of its own.
//!
//! Owns: the child, and the socket that its standard input is.
//! Never: starts it again: a worker that ends ends the attempt.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use streamjob_checkpoint::ids::Generation;

use super::transport::{CoordinatorLink, FromWorker, WorkerLink};

/// How long a worker has to end once it was told to.
const END_DEADLINE: Duration = Duration::from_secs(10);
const END_POLL: Duration = Duration::from_millis(10);

/// A worker's process. Dropped, it is killed.
#[derive(Debug)]
pub(super) struct WorkerProcess(Child);

impl WorkerProcess {
    /// Starts the program as worker 0. Its standard input is the link; an end of the link ends the worker, so that none
    /// is left behind by a coordinator that is killed.
    pub(super) fn start(
        mut program: Command,
        generation: Generation,
        heard: Sender<FromWorker>,
    ) -> io::Result<(Self, CoordinatorLink)> {
        let (ours, theirs) = UnixStream::pair()?;
        program.stdin(Stdio::from(OwnedFd::from(theirs)));
        // Ctrl-C at the terminal is for the coordinator alone, which tells its workers what it means.
        program.process_group(0);
        let child = Self(program.spawn()?);
        // The command holds the child's end: the link would never be seen to close.
        drop(program);
        let link = CoordinatorLink::over(ours, generation, 0, heard)?;
        Ok((child, link))
    }

    /// Waits until the worker has ended, as it was told to.
    pub(super) fn end(mut self) -> io::Result<()> {
        let began = Instant::now();
        while self.0.try_wait()?.is_none() {
            if began.elapsed() > END_DEADLINE {
                tracing::warn!(pid = self.0.id(), "the worker does not end; it is killed");
                break;
            }
            std::thread::sleep(END_POLL);
        }
        Ok(())
    }
}

impl Drop for WorkerProcess {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and need not be.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The link of this process, which was started as a worker.
pub fn inherited_link(generation: Generation) -> io::Result<WorkerLink> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    WorkerLink::over(UnixStream::from(socket), generation)
}
