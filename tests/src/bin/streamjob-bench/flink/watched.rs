//! An engine as a child process: what it says and when, what it needs.
//!
//! Owns: the process, its standard error as events with the instant at which they came, the CPU that others used meanwhile.
//! Never: knows which engine it is.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::process;

/// A JSON line that the engine wrote.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// When it came, milliseconds since 1970.
    pub(crate) at_ms: f64,
    pub(crate) at: Instant,
    pub(crate) fields: Value,
}

/// An engine under way. Dropped, it is killed.
pub(crate) struct Watched {
    child: Child,
    input: Option<ChildStdin>,
    said: Arc<Mutex<Said>>,
    reader: Option<JoinHandle<()>>,
    /// When it was started.
    pub(crate) started: Instant,
}

/// What it wrote so far.
#[derive(Default)]
struct Said {
    events: Vec<Event>,
    /// Lines that are no events: why it failed.
    other: String,
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1e3
}

impl Watched {
    /// Starts it.
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let errors = child.stderr.take().context("standard error is piped")?;
        let input = child.stdin.take();
        let said = Arc::new(Mutex::new(Said::default()));
        let reader = thread::spawn({
            let said = Arc::clone(&said);
            move || {
                for line in BufReader::new(errors).lines().map_while(Result::ok) {
                    said.lock().unwrap_or_else(PoisonError::into_inner).take(&line);
                }
            }
        });
        Ok(Self { child, input, said, reader: Some(reader), started })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The first event that is this, if it has come.
    pub(crate) fn find(&self, is: impl Fn(&Value) -> bool) -> Option<Event> {
        self.said().events.iter().find(|event| is(&event.fields)).cloned()
    }

    /// The first event that is this, once it comes.
    pub(crate) fn wait_for(
        &mut self,
        what: &str,
        within: Duration,
        is: impl Fn(&Value) -> bool,
    ) -> Result<Event> {
        let began = Instant::now();
        loop {
            if let Some(event) = self.find(&is) {
                return Ok(event);
            }
            ensure!(self.is_running()?, "it ended before {what}: {}", self.said().other);
            ensure!(began.elapsed() < within, "{what}: not within {within:?}: {}", self.said().other);
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// All events so far.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.said().events.clone()
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits for its end, which must be a success: CPU seconds, and the peak of resident memory in bytes.
    pub(crate) fn wait(&mut self) -> Result<(f64, u64)> {
        let used = process::watch(&self.child)?;
        let status = self.child.wait()?;
        self.join();
        if !status.success() {
            bail!("{status}: {}", self.said().other);
        }
        Ok(used)
    }

    /// Closes its standard input, and waits until it has ended: what it says at its end is said then.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.input = None;
        self.end()
    }

    /// Ends it without a word.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.join();
        Ok(())
    }

    /// Ctrl-C, and waits.
    pub(crate) fn interrupt(&mut self) -> Result<()> {
        let sent = Command::new("kill").args(["-s", "INT", &self.pid().to_string()]).status()?;
        ensure!(sent.success(), "cannot interrupt {}", self.pid());
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        process::watch(&self.child)?;
        self.child.wait()?;
        self.join();
        Ok(())
    }

    fn join(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("reading lines does not panic");
        }
    }

    fn said(&self) -> std::sync::MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

impl Said {
    fn take(&mut self, line: &str) {
        match serde_json::from_str(line) {
            Ok(fields) => self.events.push(Event { at_ms: now_ms(), at: Instant::now(), fields }),
            Err(_) => self.other.push_str(&format!("{line}\n")),
        }
        // StreamJob's errors are events, too.
        if let Some(event) = self.events.last()
            && event.fields["level"] == "ERROR"
        {
            self.other.push_str(&format!("{}\n", event.fields));
        }
    }
}

/// What others than this program and its children use of the machine.
pub(crate) struct Others {
    started: Instant,
    busy_s: f64,
    own_s: f64,
}

impl Others {
    /// From now on.
    pub(crate) fn since_now() -> Result<Self> {
        Ok(Self { started: Instant::now(), busy_s: process::busy_s()?, own_s: process::tree_cpu_s()? })
    }

    /// Their part of one core, so far.
    pub(crate) fn share(&self) -> Result<f64> {
        let (busy, own) = (process::busy_s()? - self.busy_s, process::tree_cpu_s()? - self.own_s);
        Ok(((busy - own) / self.started.elapsed().as_secs_f64()).max(0.0))
    }
}
