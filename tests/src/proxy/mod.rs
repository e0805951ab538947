//! A TCP proxy between a client and a server, which fails as networks and servers do.
//!
//! Owns: connections, request by request; what becomes of each; counts of what was done to them, and when.
//! Never: changes what it passes on.

mod framing;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use anyhow::Result;

pub use framing::{Framing, Request};

/// What becomes of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It is passed on, and so is its answer.
    Pass,
    /// The same, this much later.
    Delay(Duration),
    /// The connection is cut; the server never hears of it.
    CutBefore,
    /// The server answers, and the connection is cut instead: it was done, and nobody knows.
    CutAfter,
    /// No answer, and the connection stays: the server never hears of it.
    Silence,
    /// No answer, and the connection stays; the server has done it.
    SilenceAfter,
    /// The connection is cut, and the server hears of it so much later.
    Late(Duration),
    /// This is the answer; the server never hears of it.
    Answer(Vec<u8>),
}

/// A link between the two.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Link {
    /// It works.
    Up,
    /// Connections are cut, and none is taken.
    Down,
}

/// Faults that are noted down until someone asks for them.
const JOURNAL_MAX: usize = 100_000;

type Decide = dyn FnMut(&Request) -> Fate + Send;

/// A proxy under way. Dropped, it cuts everything.
pub struct Proxy {
    address: String,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    server: Mutex<String>,
    framing: Framing,
    decide: Mutex<Box<Decide>>,
    link: Mutex<Link>,
    ended: AtomicBool,
    /// Those under way, by number.
    connections: Mutex<BTreeMap<u64, [TcpStream; 2]>>,
    counts: Mutex<BTreeMap<&'static str, u64>>,
    journal: Mutex<Vec<(SystemTime, String)>>,
}

/// A connection under way; the threads that pass on share it.
struct Connected {
    number: u64,
    shared: Arc<Shared>,
}

/// What the side that reads answers is told of each request, in their order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Then {
    Deliver,
    Cut,
    Swallow,
}

impl Proxy {
    /// Before this server. Until told otherwise it passes everything on.
    pub fn start(server: &str, framing: Framing) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let shared = Arc::new(Shared {
            server: Mutex::new(server.to_owned()),
            framing,
            decide: Mutex::new(Box::new(|_| Fate::Pass)),
            link: Mutex::new(Link::Up),
            ended: AtomicBool::new(false),
            connections: Mutex::default(),
            counts: Mutex::default(),
            journal: Mutex::default(),
        });
        let accepting = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Ok(Self { address, shared, accepting: Some(accepting) })
    }

    /// Where clients find it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The port of that.
    pub fn port(&self) -> u16 {
        self.address.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or_default()
    }

    /// From now on this says what becomes of each request.
    pub fn decide(&self, decide: impl FnMut(&Request) -> Fate + Send + 'static) {
        *lock(&self.shared.decide) = Box::new(decide);
    }

    /// From now on everything is passed on.
    pub fn heal(&self) {
        self.decide(|_| Fate::Pass);
        self.set(Link::Up);
    }

    /// Cuts the link, or mends it.
    pub fn set(&self, link: Link) {
        *lock(&self.shared.link) = link;
        if link == Link::Down {
            self.shared.cut_all();
        }
    }

    /// How often each fate was met, by its name.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        lock(&self.shared.counts).clone()
    }

    /// The same, since this was asked last.
    pub fn take_counts(&self) -> BTreeMap<&'static str, u64> {
        std::mem::take(&mut *lock(&self.shared.counts))
    }

    /// What was done to which request, since this was asked last.
    pub fn take_journal(&self) -> Vec<(SystemTime, String)> {
        std::mem::take(&mut *lock(&self.shared.journal))
    }

    /// How often requests met anything but [`Fate::Pass`].
    pub fn faults(&self) -> u64 {
        self.counts().into_iter().filter(|(name, _)| *name != "pass").map(|(_, count)| count).sum()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.cut_all();
        // Wakes the thread that waits for connections.
        drop(TcpStream::connect(&self.address));
        if let Some(accepting) = self.accepting.take() {
            accepting.join().expect("taking connections does not panic");
        }
        self.shared.cut_all();
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        lock(&self.shared.connections).remove(&self.number);
    }
}

impl Shared {
    fn cut_all(&self) {
        for stream in std::mem::take(&mut *lock(&self.connections)).into_values().flatten() {
            // The other side may have closed it.
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    fn fate(&self, request: &Request) -> Fate {
        let fate =
            if *lock(&self.link) == Link::Down { Fate::CutBefore } else { (lock(&self.decide))(request) };
        let name = match &fate {
            Fate::Pass => "pass",
            Fate::Delay(_) => "delay",
            Fate::CutBefore => "cut before",
            Fate::CutAfter => "cut after",
            Fate::Silence => "silence",
            Fate::SilenceAfter => "silence after",
            Fate::Late(_) => "late",
            Fate::Answer(_) => "answer",
        };
        *lock(&self.counts).entry(name).or_default() += 1;
        if fate != Fate::Pass {
            let mut journal = lock(&self.journal);
            if journal.len() < JOURNAL_MAX {
                journal.push((SystemTime::now(), format!("{}: {name}", request.name())));
            }
        }
        fate
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    for (number, client) in (0..).zip(listener.incoming()) {
        if shared.ended.load(Ordering::SeqCst) {
            break;
        }
        let Ok(client) = client else { continue };
        if *lock(&shared.link) == Link::Down {
            continue;
        }
        let server = lock(&shared.server).clone();
        // A server that is away refuses, and so do we.
        let Ok(server) = TcpStream::connect(server) else { continue };
        threads.retain(|thread| !thread.is_finished());
        threads.extend(connect(number, client, server, shared));
    }
    shared.cut_all();
    threads.into_iter().for_each(|thread| thread.join().expect("passing on does not panic"));
}

/// Two threads for a connection: requests that way, answers this way.
fn connect(number: u64, client: TcpStream, server: TcpStream, shared: &Arc<Shared>) -> Vec<JoinHandle<()>> {
    let copies = || -> std::io::Result<[TcpStream; 4]> {
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        Ok([client.try_clone()?, server.try_clone()?, client.try_clone()?, server.try_clone()?])
    };
    let Ok([client_copy, server_copy, kept_client, kept_server]) = copies() else { return Vec::new() };
    lock(&shared.connections).insert(number, [kept_client, kept_server]);
    let connected = Arc::new(Connected { number, shared: Arc::clone(shared) });
    let (tell, told) = channel();
    let requests = std::thread::spawn({
        let connected = Arc::clone(&connected);
        move || requests(client, server, &connected.shared, &tell)
    });
    let answers =
        std::thread::spawn(move || answers(server_copy, client_copy, connected.shared.framing, &told));
    vec![requests, answers]
}

fn requests(mut client: TcpStream, mut server: TcpStream, shared: &Shared, tell: &Sender<(bool, Then)>) {
    let mut reader = framing::Reader::new(client.try_clone(), shared.framing);
    while let Some(bytes) = reader.request() {
        let request = Request::new(bytes, shared.framing);
        let (pass_on, then) = match shared.fate(&request) {
            Fate::Pass => (true, Then::Deliver),
            Fate::Delay(delay) => {
                std::thread::sleep(delay);
                (true, Then::Deliver)
            }
            Fate::CutBefore => break,
            Fate::CutAfter => (true, Then::Cut),
            Fate::Silence => (false, Then::Swallow),
            Fate::SilenceAfter => (true, Then::Swallow),
            Fate::Late(delay) => {
                drop(client.shutdown(Shutdown::Both));
                std::thread::sleep(delay);
                // An answer is awaited, so that the server has done it before it sees the end.
                let sent = tell.send((request.has_no_body_in_answer(), Then::Cut)).is_ok();
                if sent && server.write_all(request.bytes()).is_ok() {
                    return;
                }
                break;
            }
            Fate::Answer(answer) => match client.write_all(&answer) {
                Ok(()) => continue,
                Err(_) => break,
            },
        };
        if !pass_on {
            continue;
        }
        if tell.send((request.has_no_body_in_answer(), then)).is_err()
            || server.write_all(request.bytes()).is_err()
        {
            break;
        }
    }
    drop(client.shutdown(Shutdown::Both));
    drop(server.shutdown(Shutdown::Both));
}

fn answers(server: TcpStream, mut client: TcpStream, framing: Framing, told: &Receiver<(bool, Then)>) {
    let mut reader = framing::Reader::new(server.try_clone(), framing);
    while let Ok((no_body, then)) = told.recv() {
        let Some(answer) = reader.answer(no_body) else { break };
        match then {
            Then::Deliver if client.write_all(&answer).is_ok() => {}
            Then::Swallow => {}
            Then::Deliver | Then::Cut => break,
        }
    }
    drop(client.shutdown(Shutdown::Both));
    drop(server.shutdown(Shutdown::Both));
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn nothing_is_kept_of_a_connection_that_has_ended() {
        let server = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = server.local_addr().expect("it is bound").to_string();
        let proxy = Proxy::start(&address, Framing::Kafka).expect("a port is free");

        for _ in 0..20 {
            let client = TcpStream::connect(proxy.address()).expect("the proxy listens");
            let passed_on = server.accept().expect("the proxy connects");
            drop((client, passed_on));
        }

        let began = Instant::now();
        while !lock(&proxy.shared.connections).is_empty() {
            assert!(began.elapsed() < Duration::from_secs(10), "connections are kept");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
