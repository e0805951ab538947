//! The socket through which a running job is asked for something.
//!
//! Owns: where it is, who may connect (the same user), the lines on it, one thread for each who asks.
//! Never: does what is asked for, or waits for those who ask.
//!
//! One JSON object a line. Who asks writes one [`Request`] and reads [`Line`]s until `done` or `failed`.

use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use serde::{Deserialize, Serialize};
use streamjob_checkpoint::ids::Epoch;

/// The socket, in the job's folder beside the manifest.
const SOCKET: &str = "control.sock";
/// A longer path cannot be bound; it is reached through the open folder.
const PATH_MAX: usize = 100;
const REQUEST_BYTES_MAX: u64 = 4_096;
/// Lines that wait for someone who does not read them; then they are dropped.
const LINES_MAX: usize = 64;
/// How many may ask at once.
const ASKING_MAX: usize = 16;
/// Within this the request must have come.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Without news, this often a line says that the job is alive.
const ALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// A job that says nothing for so long is stuck.
const SILENCE_MAX: Duration = Duration::from_secs(30);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// What can be asked for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Request {
    /// A savepoint. Asking again for one that is complete gives its place.
    Savepoint {
        /// What to call it.
        id: String,
    },
}

/// What is answered.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Line {
    /// Nothing new: the job is alive.
    Waiting,
    /// It will be of this epoch, whose barrier is on its way.
    Barrier {
        /// The epoch.
        epoch: Epoch,
    },
    /// The epoch is committed.
    Committed {
        /// The epoch.
        epoch: Epoch,
    },
    /// The epoch was abandoned; another one follows.
    Again {
        /// Why.
        cause: String,
    },
    /// Its output is published: it is being copied.
    Copying {
        /// The epoch.
        epoch: Epoch,
    },
    /// It is complete. The last line.
    Done {
        /// Where it is.
        location: String,
    },
    /// There will be none. The last line.
    Failed {
        /// Why.
        reason: String,
    },
}

/// The way back to someone who asked.
#[derive(Clone, Debug)]
pub struct Answers(Sender<Line>);

impl Answers {
    /// A way back, and its other end.
    pub(super) fn channel() -> (Self, Receiver<Line>) {
        let (sender, lines) = bounded(LINES_MAX);
        (Self(sender), lines)
    }

    /// Tells them. False: they have gone, or do not read.
    pub fn send(&self, line: Line) -> bool {
        self.0.try_send(line).is_ok()
    }
}

/// The socket of a running job, until it is dropped.
#[derive(Debug)]
pub struct Control {
    folder: PathBuf,
    inode: u64,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Listens in a job's folder, which is made if it is not there. A socket that is there already is replaced: it is that
    /// of a process that died, or that this one has taken over from. `asked` must not wait.
    pub fn listen(
        folder: &Path,
        asked: impl Fn(Request, Answers) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let part = format!(".control-{}.sock", std::process::id());
        drop(fs::remove_file(folder.join(&part)));
        let listener = at(folder, &part, |path| UnixListener::bind(path))?;
        fs::set_permissions(folder.join(&part), Permissions::from_mode(0o600))?;
        let inode = fs::metadata(folder.join(&part))?.ino();
        fs::rename(folder.join(&part), folder.join(SOCKET))?;
        listener.set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = Builder::new().name("control".to_owned()).spawn({
            let stop = Arc::clone(&stop);
            move || accept(&listener, &stop, &Arc::new(asked))
        })?;
        Ok(Self { folder: folder.to_owned(), inode, stop, thread: Some(thread) })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the control socket panicked; the job was not affected");
        }
        let path = self.folder.join(SOCKET);
        // A successor may have replaced it.
        if fs::metadata(&path).is_ok_and(|found| found.ino() == self.inode) {
            drop(fs::remove_file(path));
        }
    }
}

fn accept<F>(listener: &UnixListener, stop: &Arc<AtomicBool>, asked: &Arc<F>)
where
    F: Fn(Request, Answers) + Send + Sync + 'static,
{
    let mut asking: Vec<JoinHandle<()>> = Vec::new();
    while !stop.load(Ordering::Acquire) {
        asking.retain(|thread| !thread.is_finished());
        let Ok((stream, _)) = listener.accept() else {
            std::thread::sleep(LOOK_INTERVAL);
            continue;
        };
        if asking.len() >= ASKING_MAX {
            continue;
        }
        let (stop, asked) = (Arc::clone(stop), Arc::clone(asked));
        let thread = Builder::new().name("asked".to_owned()).spawn(move || {
            // One who has gone need not be told.
            drop(serve(&stream, &stop, &*asked));
        });
        asking.extend(thread);
    }
    for thread in asking {
        if thread.join().is_err() {
            tracing::error!("answering at the control socket panicked; the job was not affected");
        }
    }
}

fn serve(stream: &UnixStream, stop: &AtomicBool, asked: &impl Fn(Request, Answers)) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
    stream.set_write_timeout(Some(REQUEST_TIMEOUT))?;
    let mut text = String::new();
    BufReader::new(stream.take(REQUEST_BYTES_MAX)).read_line(&mut text)?;
    let request = match serde_json::from_str(&text) {
        Ok(request) => request,
        Err(error) => {
            let reason =
                format!("the request cannot be read: {error}; ask with the program that runs the job");
            return write_line(stream, &Line::Failed { reason });
        }
    };
    let (answers, lines) = Answers::channel();
    asked(request, answers);
    answer(stream, stop, &lines)
}

fn answer(stream: &UnixStream, stop: &AtomicBool, lines: &Receiver<Line>) -> io::Result<()> {
    let mut silent = Duration::ZERO;
    loop {
        match lines.recv_timeout(LOOK_INTERVAL) {
            Ok(line) => {
                silent = Duration::ZERO;
                write_line(stream, &line)?;
                if line.is_last() {
                    return Ok(());
                }
            }
            Err(RecvTimeoutError::Timeout) if !stop.load(Ordering::Acquire) => {
                silent += LOOK_INTERVAL;
                if silent >= ALIVE_INTERVAL {
                    silent = Duration::ZERO;
                    write_line(stream, &Line::Waiting)?;
                }
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                let reason = "the job has ended before the savepoint was complete".to_owned();
                return write_line(stream, &Line::Failed { reason });
            }
        }
    }
}

impl Line {
    /// Whether nothing comes after it.
    pub fn is_last(&self) -> bool {
        match self {
            Self::Done { .. } | Self::Failed { .. } => true,
            Self::Waiting
            | Self::Barrier { .. }
            | Self::Committed { .. }
            | Self::Again { .. }
            | Self::Copying { .. } => false,
        }
    }
}

/// Whether a job listens in this folder.
pub fn is_listening(folder: &Path) -> bool {
    at(folder, SOCKET, |path| UnixStream::connect(path)).is_ok()
}

/// Asks the job that listens in this folder.
pub fn ask(folder: &Path, request: &Request) -> io::Result<impl Iterator<Item = io::Result<Line>> + use<>> {
    let mut stream = at(folder, SOCKET, |path| UnixStream::connect(path))?;
    stream.set_read_timeout(Some(SILENCE_MAX))?;
    stream.set_write_timeout(Some(SILENCE_MAX))?;
    write_line(&mut stream, request)?;
    Ok(BufReader::new(stream).lines().map(|line| Ok(serde_json::from_str(&line?)?)))
}

fn write_line(mut out: impl Write, line: &impl Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(line).expect("a line has only text for keys");
    text.push(b'\n');
    out.write_all(&text)
}

/// Does something with a socket in a folder, whose path may be longer than a socket's may be.
fn at<T>(folder: &Path, name: &str, with: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let path = folder.join(name);
    if path.as_os_str().len() <= PATH_MAX {
        return with(&path);
    }
    let open = File::open(folder)?;
    with(&PathBuf::from(format!("/proc/self/fd/{}/{name}", open.as_raw_fd())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn savepoint(id: &str) -> Request {
        Request::Savepoint { id: id.to_owned() }
    }

    /// Answers every request with these lines.
    fn job(folder: &Path, lines: Vec<Line>) -> Control {
        let answer = move |_request, answers: Answers| {
            lines.iter().for_each(|line| assert!(answers.send(line.clone())));
        };
        Control::listen(folder, answer).expect("the folder can be written")
    }

    #[test]
    fn who_asks_reads_lines_until_it_is_done_also_in_a_deep_folder() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let folder = root.path().join("d".repeat(100)).join("e".repeat(100));
        let lines = vec![
            Line::Barrier { epoch: Epoch(7) },
            Line::Done { location: "/jobs/.streamjob/clicks/savepoints/sp".to_owned() },
        ];
        let _job = job(&folder, lines.clone());

        let answered: io::Result<Vec<_>> = ask(&folder, &savepoint("sp")).and_then(Iterator::collect);

        assert_eq!(answered.expect("answered"), lines);
        let mode = fs::metadata(folder.join(SOCKET)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_successor_replaces_the_socket_and_keeps_it_when_the_first_one_ends() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let done = |text: &str| vec![Line::Done { location: text.to_owned() }];
        let first = job(folder.path(), done("first"));
        let second = job(folder.path(), done("second"));

        drop(first);

        let answered: io::Result<Vec<_>> = ask(folder.path(), &savepoint("sp")).and_then(Iterator::collect);
        assert_eq!(answered.expect("answered"), done("second"));
        drop(second);
        assert!(!is_listening(folder.path()));
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn a_job_that_ends_says_so_to_those_who_wait() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (keep, kept) = bounded(1);
        let job = Control::listen(folder.path(), move |_request, answers| {
            assert!(answers.send(Line::Barrier { epoch: Epoch(1) }));
            keep.send(answers).expect("the test listens");
        });
        let mut lines = ask(folder.path(), &savepoint("sp")).expect("it listens");
        assert!(matches!(lines.next(), Some(Ok(Line::Barrier { .. }))));

        drop(job.expect("listening"));

        assert!(matches!(lines.next(), Some(Ok(Line::Failed { .. }))));
        drop(kept);
    }

    #[test]
    fn what_is_no_request_is_answered_with_why() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let _job = job(folder.path(), Vec::new());
        let mut stream = UnixStream::connect(folder.path().join(SOCKET)).expect("it listens");

        stream.write_all(b"{\"delete\":{}}\n").expect("written");

        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        assert!(answer.starts_with("{\"failed\":{\"reason\":\"the request cannot be read: "), "{answer}");
    }
}
