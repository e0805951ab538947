//! Ctrl-C and SIGTERM: the first stops the job cleanly, the second ends the process at once.
//!
//! Owns: one thread that waits for signals, joined at the end.
//! Never: decides what a clean stop is.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread::JoinHandle;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals as Pending};

/// A signal that stops a job.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Signal {
    Interrupt,
    Terminate,
}

/// Waits for signals until it is dropped.
#[derive(Debug)]
pub(crate) struct Signals {
    handle: Handle,
    first: Arc<AtomicI32>,
    thread: Option<JoinHandle<()>>,
}

impl Signal {
    fn of(number: i32) -> Option<Self> {
        match number {
            SIGINT => Some(Self::Interrupt),
            SIGTERM => Some(Self::Terminate),
            _ => None,
        }
    }

    /// 128 and the signal's number, as shells have it.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

impl Signals {
    /// Calls `stop` at the first signal; at the second the process is gone.
    pub(crate) fn watch(stop: impl Fn(Signal) + Send + 'static) -> io::Result<Self> {
        let mut pending = Pending::new([SIGINT, SIGTERM])?;
        let handle = pending.handle();
        let first = Arc::new(AtomicI32::new(0));
        let seen = Arc::clone(&first);
        let thread = std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for number in pending.forever() {
                let Some(signal) = Signal::of(number) else { continue };
                if seen.swap(number, Ordering::Relaxed) != 0 {
                    std::process::exit(i32::from(signal.exit_code()));
                }
                stop(signal);
                tracing::info!(
                    ?signal,
                    "stopping after the last epoch; a second signal ends the process at once"
                );
            }
        })?;
        Ok(Self { handle, first, thread: Some(thread) })
    }

    /// The signal that came, if one did.
    pub(crate) fn received(&self) -> Option<Signal> {
        Signal::of(self.first.load(Ordering::Relaxed))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that waits for signals panicked");
        }
    }
}
