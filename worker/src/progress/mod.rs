//! Shows how a job gets on, while it runs and at its end.
//!
//! Owns: the live block on a terminal, the log lines elsewhere, the summary.
//! Never: reads anything but [`JobMetrics`] and what the system says of this process.

mod beginning;
pub(crate) mod format;

mod screen;
mod summary;
mod usage;
mod view;

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::metrics::JobMetrics;
pub use beginning::beginning;
pub use screen::Screen;
pub use summary::Summary;
pub use usage::Usage;
use view::{Sample, View};

/// Between two redraws of the live block.
const REDRAW_INTERVAL: Duration = Duration::from_millis(500);
/// Between two log lines.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// How progress is shown.
#[derive(Clone, Debug)]
pub enum Display {
    /// A block at the bottom of the screen that is drawn again and again.
    Live(Screen),
    /// A log line every 10 seconds.
    Lines,
}

/// Shows progress until it is stopped or dropped.
#[derive(Debug)]
pub struct Progress {
    running: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Begins to show how a job gets on, on a thread of its own.
    pub fn start(metrics: Arc<JobMetrics>, display: Display) -> io::Result<Self> {
        let (stop, stopped) = bounded(1);
        let thread = std::thread::Builder::new()
            .name("progress".to_owned())
            .spawn(move || show(&metrics, &display, &stopped))?;
        Ok(Self { running: Some((stop, thread)) })
    }

    /// Takes the live block off the screen and joins the thread.
    pub fn stop(mut self) {
        self.join();
    }

    fn join(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            // If the thread has panicked nobody is there to be told.
            let _ = stop.send(());
            if thread.join().is_err() {
                tracing::error!("showing progress panicked; the job was not affected");
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.join();
    }
}

fn show(metrics: &JobMetrics, display: &Display, stopped: &Receiver<()>) {
    let interval = match display {
        Display::Live(_) => REDRAW_INTERVAL,
        Display::Lines => LINE_INTERVAL,
    };
    let started = Instant::now();
    let mut last = Sample::take(metrics, Duration::ZERO);
    while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
        let sample = Sample::take(metrics, started.elapsed());
        let view = View::between(metrics, &last, &sample);
        match display {
            Display::Live(screen) => screen.draw(&view.block()),
            Display::Lines => view.log(),
        }
        last = sample;
    }
    match display {
        Display::Live(screen) => screen.clear(),
        Display::Lines => {}
    }
}

#[cfg(test)]
mod tests;
