//! Fetching for all readers of a source.
//!
//! Owns: what threads share, when they begin and how they end.
//! Never: waits for a broker while a reader waits for it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use crate::batch::Chunk;
use crate::feed::{Assigned, Feed, Standing, Wake};
use crate::leaders;
use crate::settings::Settings;

/// The same is not told again before this.
const TOLD_AGAIN: Duration = Duration::from_secs(30);

/// Threads that fetch. Dropped, they end, and connections are closed.
pub struct Fetcher {
    shared: Arc<Shared>,
    leaders: Option<JoinHandle<()>>,
}

/// The reader's end of a partition. Dropped, it is not fetched any more.
pub struct Partition {
    shared: Arc<Shared>,
    feed: usize,
    came: Arc<AtomicBool>,
}

pub(crate) struct Shared {
    pub(crate) settings: Settings,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub(crate) struct State {
    /// `None`: its reader is gone.
    pub(crate) feeds: Vec<Option<Feed>>,
    /// Addresses of brokers by their number.
    pub(crate) brokers: BTreeMap<i32, String>,
    /// Those that have a thread.
    pub(crate) working: BTreeSet<i32>,
    /// Connections, by who has them.
    sockets: BTreeMap<i32, TcpStream>,
    pub(crate) ended: bool,
    told: BTreeMap<String, Instant>,
}

impl Fetcher {
    /// Begins. Nothing is fetched yet.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let shared = Arc::new(Shared { settings, state: Mutex::default(), changed: Condvar::new() });
        let for_leaders = Arc::clone(&shared);
        let leaders = std::thread::Builder::new()
            .name("fetch-leaders".to_owned())
            .spawn(move || leaders::run(&for_leaders))?;
        Ok(Self { shared, leaders: Some(leaders) })
    }

    /// Fetches a partition from an offset on.
    pub fn partition(&self, assigned: Assigned) -> Partition {
        let mut state = self.shared.state();
        let feed = Feed::new(assigned);
        let came = Arc::clone(&feed.came);
        state.feeds.push(Some(feed));
        let feed = state.feeds.len() - 1;
        self.shared.changed.notify_all();
        Partition { shared: Arc::clone(&self.shared), feed, came }
    }

    /// Why there is something to fetch that its broker cannot be asked for, if so.
    pub fn away(&self) -> Option<String> {
        let state = self.shared.state();
        let wanted = state.feeds.iter().flatten().filter(|feed| !feed.is_whole());
        wanted.filter_map(Feed::away).next().map(str::to_owned)
    }

    /// Whether there is something to fetch, and no broker that it could be asked of.
    pub fn is_cut_off(&self) -> bool {
        let state = self.shared.state();
        let mut wanted = state.feeds.iter().flatten().filter(|feed| !feed.is_whole()).peekable();
        wanted.peek().is_some() && wanted.all(Feed::is_away)
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.ended = true;
        for socket in state.sockets.values() {
            let _closed_already = socket.shutdown(Shutdown::Both);
        }
        drop(state);
        self.shared.changed.notify_all();
        if let Some(leaders) = self.leaders.take() {
            let _told_by_its_panic = leaders.join();
        }
    }
}

impl Partition {
    /// Calls this whenever something comes where nothing was.
    pub fn wake_with(&self, wake: Wake) {
        if let Some(feed) = self.shared.state().feeds[self.feed].as_mut() {
            feed.wake = Some(wake);
        }
    }

    /// Whether something waits. Takes no lock.
    pub fn has_come(&self) -> bool {
        self.came.load(Relaxed)
    }

    /// Appends what has come, and says how it stands. Never waits.
    pub fn take(&self, chunks: &mut VecDeque<Chunk>) -> Standing {
        let mut state = self.shared.state();
        let Some(feed) = state.feeds[self.feed].as_mut() else { return Standing::Behind };
        let standing = feed.standing(self.shared.settings.wait);
        let taken = feed.take(chunks);
        drop(state);
        if taken >= self.shared.settings.waiting_bytes {
            self.shared.changed.notify_all();
        }
        standing
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        self.shared.state().feeds[self.feed] = None;
    }
}

impl State {
    /// Does this to those of the feeds whose readers are there.
    pub(crate) fn each<'a>(
        &mut self,
        feeds: impl Iterator<Item = &'a usize>,
        mut what: impl FnMut(&mut Feed),
    ) {
        for feed in feeds {
            self.feeds[*feed].as_mut().map(&mut what);
        }
    }
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something has changed, or until then.
    pub(crate) fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        until: Option<Instant>,
    ) -> MutexGuard<'a, State> {
        let Some(until) = until else {
            return self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        };
        let left = until.saturating_duration_since(Instant::now());
        self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
    }

    pub(crate) fn changed(&self) {
        self.changed.notify_all();
    }

    /// Notes a connection of a thread, so that it can be ended.
    pub(crate) fn opened(&self, owner: i32, socket: &TcpStream) {
        let mut state = self.state();
        if state.ended {
            let _closed_already = socket.shutdown(Shutdown::Both);
        } else if let Ok(socket) = socket.try_clone() {
            state.sockets.insert(owner, socket);
        }
    }

    /// A connection has ended.
    pub(crate) fn closed(&self, owner: i32) {
        self.state().sockets.remove(&owner);
    }

    /// Tells of a trouble, but not all the time.
    pub(crate) fn tell(&self, reason: &str) {
        let mut state = self.state();
        if state.ended {
            return;
        }
        let now = Instant::now();
        state.told.retain(|_, at| now.duration_since(*at) < TOLD_AGAIN);
        if state.told.insert(reason.to_owned(), now).is_none() {
            warn!(reason, "cannot fetch from Kafka; the job waits and tries again");
        } else {
            debug!(reason, "cannot fetch from Kafka");
        }
    }
}
