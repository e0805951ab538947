//! The program as a child process that a test watches, freezes and kills.
//!
//! Owns: what the process says, signals to it, limits of time; nothing is left running when a test ends.
//! Never: signals a process that it did not start.

use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// What can be sent to a process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Signal {
    /// Ends it without a word.
    Kill,
    /// Freezes it.
    Stop,
    /// Lets it go on.
    Continue,
    /// Asks it to end.
    Terminate,
    /// Ctrl-C.
    Interrupt,
    /// Makes it crash, as an assertion in C would.
    Abort,
}

impl Signal {
    /// As `kill -s` knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
            Self::Terminate => "TERM",
            Self::Interrupt => "INT",
            Self::Abort => "ABRT",
        }
    }
}

/// A process under way. Dropped, it is killed, with all that it started.
pub struct Running {
    child: Child,
    said: Arc<Said>,
    reader: Option<JoinHandle<()>>,
    status: Option<ExitStatus>,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code, if no signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// All that it wrote to standard error.
    pub said: String,
}

impl Ended {
    /// Whether SIGKILL ended it.
    pub fn was_killed(&self) -> bool {
        self.signal == Some(9)
    }

    /// In one line.
    pub fn shown(&self) -> String {
        match (self.code, self.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "neither code nor signal".to_owned(),
        }
    }
}

/// The lines of standard error so far.
#[derive(Default)]
struct Said {
    lines: Mutex<(Vec<String>, bool)>,
    more: Condvar,
}

impl Running {
    /// Starts a command, in a process group of its own.
    pub fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let errors = child.stderr.take().context("standard error is piped")?;
        let said = Arc::new(Said::default());
        let reader = std::thread::spawn({
            let said = Arc::clone(&said);
            move || said.read(errors)
        });
        Ok(Self { child, said, reader: Some(reader), status: None })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal. A process that is gone already is no error.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.has_ended()? {
            return Ok(());
        }
        match signal {
            Signal::Kill => self.child.kill()?,
            Signal::Stop | Signal::Continue | Signal::Terminate | Signal::Interrupt | Signal::Abort => {
                let pid = self.pid().to_string();
                let sent = Command::new("kill").args(["-s", signal.name(), &pid]).output()?;
                anyhow::ensure!(sent.status.success(), "cannot send {signal:?} to {pid}");
            }
        }
        Ok(())
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> Result<bool> {
        if self.status.is_none() {
            self.status = self.child.try_wait()?;
        }
        Ok(self.status.is_some())
    }

    /// Waits for its end. After `at_most` it is killed, and that is an error.
    pub fn wait(&mut self, at_most: Duration) -> Result<Ended> {
        let deadline = Instant::now() + at_most;
        while !self.has_ended()? {
            if Instant::now() >= deadline {
                self.end();
                bail!("still running after {at_most:?}; it said:\n{}", self.said());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let status = self.status.context("it has ended")?;
        self.end();
        Ok(Ended { code: status.code(), signal: status.signal(), said: self.said() })
    }

    /// The first line that holds this text, once there is one.
    pub fn wait_for_line(&self, text: &str, at_most: Duration) -> Result<String> {
        let found = self.said.wait_for(text, at_most);
        found.with_context(|| format!("`{text}` was not said within {at_most:?}; it said:\n{}", self.said()))
    }

    /// Whether one of the lines so far holds this text.
    pub fn has_said(&self, text: &str) -> bool {
        let lines = self.said.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.0.iter().any(|line| line.contains(text))
    }

    /// The lines from this number on.
    pub fn lines_from(&self, number: usize) -> Vec<String> {
        let lines = self.said.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.0.get(number..).unwrap_or_default().to_vec()
    }

    /// All that it wrote to standard error so far.
    pub fn said(&self) -> String {
        self.lines_from(0).join("\n")
    }

    /// What the system says of its memory: the value of a field of `/proc/<pid>/status`, in bytes.
    pub fn memory_bytes(&self, field: &str) -> Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let kilobytes = line.and_then(|rest| rest.split_whitespace().next()).context("no such field")?;
        Ok(kilobytes.parse::<u64>()? * 1024)
    }

    /// The CPU time of all its threads, of the user and of the system.
    pub fn cpu_time(&self) -> Result<Duration> {
        const TICK: Duration = Duration::from_millis(10);
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        let fields = stat.rsplit(") ").next().context("no name")?.split(' ').skip(11);
        let ticks = fields.take(2).map(|field| Ok(field.parse::<u32>()?)).sum::<Result<u32>>()?;
        Ok(TICK * ticks)
    }

    /// Whether it is stopped: its state in `/proc` is `T`.
    pub fn is_frozen(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    }

    /// How many files it has open.
    pub fn open_files(&self) -> Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.pid()))?.count())
    }

    /// Ends it and whatever it started, and waits for that.
    fn end(&mut self) {
        let group = format!("-{}", self.child.id());
        if self.status.is_none() {
            // It may be gone by now; the wait below tells.
            drop(self.child.kill());
            self.status = self.child.wait().ok();
        }
        // What it started is in its group. Usually nothing is left, and `kill` says so.
        drop(Command::new("kill").args(["-s", "KILL", "--", &group]).output());
        if let Some(reader) = self.reader.take() {
            reader.join().expect("reading lines does not panic");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

impl Said {
    fn read(&self, errors: impl std::io::Read) {
        for line in BufReader::new(errors).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            // Slowed down, a process says so at each batch.
            if line.starts_with("fail point source.batch: sleep") {
                continue;
            }
            self.lines.lock().unwrap_or_else(PoisonError::into_inner).0.push(line);
            self.more.notify_all();
        }
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).1 = true;
        self.more.notify_all();
    }

    fn wait_for(&self, text: &str, at_most: Duration) -> Option<String> {
        let deadline = Instant::now() + at_most;
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(line) = lines.0.iter().find(|line| line.contains(text)) {
                return Some(line.clone());
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            if lines.1 {
                return None;
            }
            lines = self.more.wait_timeout(lines, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
