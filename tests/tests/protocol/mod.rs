//! Thousands of seeded runs of two processes on stores that fail: the production log, bundles, outbox and retention.
//!
//! Owns: a run: who takes the next turn, who stalls, who dies; the histogram of what failed.
//! Never: depends on time, threads or order: a seed is a run.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use object_store::memory::InMemory;
use process::{Ended, Process, TurnPacer};
use streamjob_checkpoint::log::Log;
use streamjob_checkpoint::protocol::BeginAt;
use streamjob_checkpoint::store::StateStore;
use streamjob_tests::faulty_store::{Fault, FaultyStore, Step};
use truth::Truth;
use turns::Turns;

mod process;
mod store;
mod truth;
mod turns;

/// Turns after which a run that has not come to its end is stuck.
const TURNS_MAX: u64 = 200_000;

/// What all runs together have seen.
#[derive(Debug, Default)]
struct Seen {
    runs: u64,
    commits: u64,
    faults: u64,
    crashes: u64,
    stalls: u64,
    fenced: u64,
    abandoned: u64,
    histogram: BTreeMap<(Step, Fault), u64>,
}

/// A computer with a process on it, or none.
struct Machine {
    faulty: Arc<FaultyStore>,
    store: StateStore,
    process: Option<Pin<Box<dyn Future<Output = Ended>>>>,
    stalled_until: u64,
}

/// One run in so many writes real bundles.
const BUNDLES_EVERY: u64 = 8;

/// One run.
struct Run {
    bundles: bool,
    random: fastrand::Rng,
    truth: Rc<RefCell<Truth>>,
    turns: Rc<Cell<u64>>,
    machines: [Machine; 2],
    crashes: u64,
    stalls: u64,
}

impl Machine {
    fn new(inner: Arc<InMemory>, random: &mut fastrand::Rng) -> Self {
        let turns = Turns::new(inner, random.u64(..));
        let faulty = Arc::new(FaultyStore::new(Arc::new(turns), random.u64(..), random.u32(20..150)));
        let store = StateStore::new(faulty.clone(), "job".into(), "the faulty store".into());
        let store = store.paced_by(Arc::new(TurnPacer::default()));
        Self { faulty, store, process: None, stalled_until: 0 }
    }

    fn faults(&self) -> u64 {
        self.faulty.counts().values().sum()
    }
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let inner = Arc::new(InMemory::new());
        let machines = [inner.clone(), inner].map(|inner| Machine::new(inner, &mut random));
        let bundles = seed.is_multiple_of(BUNDLES_EVERY);
        Self { bundles, random, truth: Rc::default(), turns: Rc::default(), machines, crashes: 0, stalls: 0 }
    }

    /// A start, which mostly goes on from the newest state.
    fn start(&mut self, at: usize, epochs: u32) {
        let discard = self.random.u8(0..20) == 0;
        let begin = if discard { BeginAt::Nothing { discard, request: None } } else { BeginAt::Latest };
        let process = Process {
            store: self.machines[at].store.clone(),
            truth: self.truth.clone(),
            turns: self.turns.clone(),
            random: self.random.fork(),
            begin,
            bundles: self.bundles,
            epochs,
        };
        self.machines[at].process = Some(Box::pin(process.run()));
    }

    /// First anything may happen, until there was enough of it.
    fn unsafe_phase(&mut self) {
        while self.truth.borrow().commits < 3 || self.machines.iter().all(|machine| machine.faults() == 0) {
            let at = self.random.usize(0..2);
            if self.machines[at].process.is_none() {
                let epochs = self.random.u32(1..6);
                self.start(at, epochs);
            }
            match self.random.u32(0..1000) {
                0..3 => {
                    self.machines[at].process = None;
                    self.crashes += 1;
                }
                3..6 => {
                    self.machines[at].stalled_until = self.turns.get() + self.random.u64(50..500);
                    self.stalls += 1;
                }
                _ => {
                    self.turn(at);
                }
            }
        }
    }

    /// Then nothing fails any more, and a last start must come to its end.
    fn healed_phase(&mut self) {
        for machine in &mut self.machines {
            machine.faulty.set_per_mille(0);
            machine.process = None;
            machine.stalled_until = 0;
        }
        for machine in &self.machines {
            self.wait(machine.faulty.deliver_late());
        }
        let last = Process {
            store: self.machines[0].store.clone(),
            truth: self.truth.clone(),
            turns: self.turns.clone(),
            random: self.random.fork(),
            begin: BeginAt::Latest,
            bundles: self.bundles,
            epochs: 2,
        };
        assert_eq!(self.wait(last.run()), Ended::Final, "a start on a healed store ends as it was asked to");
        let store = self.machines[0].store.clone();
        let log = Log::new(store.clone());
        let truth = self.truth.borrow();
        self.wait(truth.check(&log, &store));
    }

    fn turn(&mut self, at: usize) {
        self.count_turn();
        let machine = &mut self.machines[at];
        if machine.stalled_until > self.turns.get() {
            return;
        }
        let Some(process) = &mut machine.process else { return };
        if process.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            machine.process = None;
        }
    }

    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        loop {
            self.count_turn();
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return value;
            }
        }
    }

    fn count_turn(&self) {
        self.turns.set(self.turns.get() + 1);
        assert!(self.turns.get() < TURNS_MAX, "the run is stuck: {:?}", self.truth.borrow());
    }

    fn add_to(&self, seen: &mut Seen) {
        let truth = self.truth.borrow();
        seen.runs += 1;
        seen.commits += u64::from(truth.commits);
        seen.fenced += u64::from(truth.fenced);
        seen.abandoned += u64::from(truth.abandoned);
        seen.crashes += self.crashes;
        seen.stalls += self.stalls;
        for machine in &self.machines {
            seen.faults += machine.faults();
            for (what, count) in machine.faulty.counts() {
                *seen.histogram.entry(what).or_default() += count;
            }
        }
    }
}

impl Seen {
    fn add(&mut self, other: Self) {
        let Self { runs, commits, faults, crashes, stalls, fenced, abandoned, histogram } = other;
        self.runs += runs;
        self.commits += commits;
        self.faults += faults;
        self.crashes += crashes;
        self.stalls += stalls;
        self.fenced += fenced;
        self.abandoned += abandoned;
        for (what, count) in histogram {
            *self.histogram.entry(what).or_default() += count;
        }
    }
}

/// The runs of some seeds, on this thread.
fn run_all(seeds: impl Iterator<Item = u64>) -> Seen {
    // Deadlines need a timer, though no run lasts long enough to meet one.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime without threads can be made");
    let _entered = runtime.enter();
    let mut seen = Seen::default();
    for seed in seeds {
        let mut run = Run::new(seed);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            run.unsafe_phase();
            run.healed_phase();
        }));
        if let Err(panic) = result {
            eprintln!("the run of seed {seed} has failed: STREAMJOB_SEED={seed} runs it alone");
            std::panic::resume_unwind(panic);
        }
        assert!(run.truth.borrow().commits >= 3, "seed {seed}");
        run.add_to(&mut seen);
    }
    seen
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    if let Some(seed) = number("STREAMJOB_SEED") {
        return seed..seed + 1;
    }
    0..number("STREAMJOB_RUNS").unwrap_or(if std::env::var_os("STREAMJOB_LONG").is_some() {
        100_000
    } else {
        10_000
    })
}

#[test]
fn seeded_runs_on_failing_stores_lose_and_repeat_nothing() {
    let (begun, seeds) = (Instant::now(), seeds());
    let shards = std::thread::available_parallelism()
        .map_or(2, |count| count.get() as u64)
        .min(seeds.end - seeds.start);
    let threads: Vec<_> = (0..shards)
        .map(|shard| {
            let seeds = seeds.clone().skip(shard as usize).step_by(shards as usize);
            std::thread::spawn(move || run_all(seeds))
        })
        .collect();
    let mut seen = Seen::default();
    for thread in threads {
        seen.add(thread.join().expect("no run failed"));
    }
    let Seen { runs, commits, faults, crashes, stalls, fenced, abandoned, histogram } = &seen;
    println!(
        "{runs} runs in {:.1} s: {commits} commits, {faults} faults, {crashes} crashes, {stalls} stalls, {fenced} times \
         fenced, {abandoned} abandoned epochs",
        begun.elapsed().as_secs_f64()
    );
    for ((step, fault), count) in histogram {
        println!("{count:>9}  {step:?} {fault:?}");
    }
    if *runs >= 1000 {
        assert!(*crashes > *runs / 10 && *fenced > *runs / 10 && *stalls > *runs / 10, "little happened");
        assert!(histogram.len() >= 24, "{} pairs of step and fault: little was tried", histogram.len());
        assert!(histogram.values().all(|count| *count > runs / 1000), "some fault hardly ever came");
    }
}

#[test]
fn a_seed_replays_its_run() {
    let story = |_: u8| {
        let seen = run_all(40..44);
        (seen.commits, seen.faults, seen.crashes, seen.histogram)
    };

    assert_eq!(story(0), story(1));
}
