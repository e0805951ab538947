//! What can happen to a job that publishes into topics, one thing at a time.
//!
//! Owns: how each is brought about, with a planted bug or without one.
//! Never: judges: the trial that comes back is to be checked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use streamjob_tests::checker::Rules;
use streamjob_tests::feed::Feed;
use streamjob_tests::process::{Running, Signal};
use streamjob_tests::proxy::{Fate, Request};
use streamjob_tests::topics::PROGRESS;
use streamjob_tests::trial::{Setup, Start, Trial};

use super::super::buckets::epochs_more;
use super::super::zombies::FENCED;
use super::Rig;

/// Reading takes some 3 s with two slots.
pub(super) const SLOW: &str = "source.batch=sleep:20@*";

/// The call that ends a transaction.
const END: i16 = 26;

/// A scene: a trial that has come to its end under a bug.
pub(super) type Scene = fn(&Rig, &str) -> Result<Trial>;

/// A few thousand rows, and windows so short that each epoch has output.
pub(super) fn setup(rig: &Rig) -> Setup {
    let feed = Feed { partitions: 3, rows: 6_000, keys: 100, disorder_ms: 50, ..Feed::default() };
    let rules = Rules { size_ms: 100, bound_ms: 50, lateness_ms: 0 };
    rig.setup(Setup { feed, rules, interval_ms: 100, batch_rows: 50, ..Setup::default() })
}

fn with(bug: &str, slots: u32, fail_points: &str) -> Start {
    let rules = if fail_points.is_empty() { SLOW.to_owned() } else { format!("{SLOW},{fail_points}") };
    Start { bug: bug.to_owned(), ..Start::with(slots, rules) }
}

/// At full speed to the end of the input.
pub(super) fn finish(trial: &mut Trial, bug: &str) -> Result<()> {
    let ended = trial.run(&Start { bug: bug.to_owned(), ..Start::plain(2) })?;
    ensure!(ended.code == Some(0), "{}:\n{}\n{}", ended.shown(), ended.said, trial.history());
    Ok(())
}

/// So long after it has begun to sleep at a point.
fn killed_asleep(trial: &mut Trial, start: &Start, point: &str, later: Duration) -> Result<()> {
    let mut running = trial.start(start)?;
    let line = format!("fail point {point}: sleep:");
    let there = trial.watch(&mut running, |running, _| running.has_said(&line))?;
    ensure!(there, "it never reached {point}:\n{}", running.said());
    let deadline = Instant::now() + later;
    trial.watch(&mut running, |_, _| Instant::now() >= deadline)?;
    trial.signal(&mut running, Signal::Kill, point)?;
    trial.ended(&mut running)?;
    Ok(())
}

/// Killed at a point, the nth time that it is there.
fn killed_at(rig: &Rig, bug: &str, rules: &str) -> Result<Trial> {
    let mut trial = Trial::new(setup(rig))?;
    let ended = trial.run(&with(bug, 2, rules))?;
    ensure!(ended.was_killed(), "{rules}: {}\n{}\n{}", ended.shown(), ended.said, trial.history());
    finish(&mut trial, bug)?;
    Ok(trial)
}

/// Killed when a transaction with its progress record is sent and not committed.
pub(super) fn killed_before_the_end(rig: &Rig, bug: &str) -> Result<Trial> {
    let mut trial = Trial::new(setup(rig))?;
    let point = "publish.records.commit.before";
    let start = with(bug, 2, &format!("{point}=sleep:400@5"));
    killed_asleep(&mut trial, &start, point, Duration::from_millis(200))?;
    finish(&mut trial, bug)?;
    Ok(trial)
}

/// Killed when one slot has published an epoch, and the other has not.
pub(super) fn killed_between_slots(rig: &Rig, bug: &str) -> Result<Trial> {
    killed_at(rig, bug, "publish.records.commit.after=kill@5")
}

/// Killed when an epoch is published and the log does not say so.
pub(super) fn killed_behind_the_end(rig: &Rig, bug: &str) -> Result<Trial> {
    killed_at(rig, bug, "publish.records.commit.after=kill@6")
}

/// The same while every commit takes its time.
pub(super) fn killed_behind_the_end_of_a_slow_commit(rig: &Rig, bug: &str) -> Result<Trial> {
    killed_at(rig, bug, "commit.create.before=sleep:600@*,publish.records.commit.after=kill@3")
}

/// Killed, and begun anew with nothing: what another life of the state has published does not count.
pub(super) fn begun_afresh(rig: &Rig, bug: &str) -> Result<Trial> {
    let mut trial = Trial::new(setup(rig))?;
    let mut running = trial.start(&with(bug, 2, ""))?;
    epochs_more(&mut trial, &mut running, 8)?;
    trial.signal(&mut running, Signal::Kill, "before it is begun afresh")?;
    trial.ended(&mut running)?;
    trial.restored_to(0);
    let arguments = vec!["--fresh".to_owned(), "--discard-state".to_owned()];
    let ended = trial.run(&Start { arguments, ..with(bug, 2, "") })?;
    ensure!(ended.code == Some(0), "{}:\n{}\n{}", ended.shown(), ended.said, trial.history());
    Ok(trial)
}

/// Someone else's transaction stays open in the topic of progress: what is published is hidden, and waited for.
pub(super) fn a_foreign_transaction_is_open(rig: &Rig, bug: &str) -> Result<Trial> {
    let mut trial = Trial::new(setup(rig))?;
    let (point, committed) = ("publish.records.begin.after", "publish.records.commit.after");
    let rules = format!("{point}=stop@3,{committed}=sleep:1000@*");
    let mut running = trial.start(&with(bug, 2, &rules))?;
    ensure!(trial.watch(&mut running, |running, _| running.is_frozen())?, "{point}:\n{}", running.said());
    let foreign = open_in_progress(rig)?;
    let commits =
        |running: &Running| running.lines_from(0).iter().filter(|line| line.contains(committed)).count();
    let before = commits(&running);
    trial.signal(&mut running, Signal::Continue, "what it publishes is hidden")?;
    let hidden = trial.watch(&mut running, |running, _| commits(running) > before)?;
    ensure!(hidden, "it published nothing more:\n{}", running.said());
    trial.signal(&mut running, Signal::Kill, "its progress is hidden")?;
    trial.ended(&mut running)?;
    let out = trial_out(&trial);
    // Fenced, what the killed process had open is aborted, and hides no more what its other slot has committed.
    let fenced = "publish.records.fence.after";
    let mut running = trial.start(&with(bug, 2, &format!("{fenced}=sleep:1@1")))?;
    ensure!(
        trial.watch(&mut running, |running, _| running.has_said(fenced))?,
        "{fenced}:\n{}",
        running.said()
    );
    let published = rig.cluster.consume(&out)?.len();
    let began = Instant::now();
    trial.watch(&mut running, |_, _| began.elapsed() > Duration::from_secs(3))?;
    let meanwhile = rig.cluster.consume(&out)?.len();
    foreign.abort_transaction(WITHIN)?;
    ensure!(
        published == meanwhile || !bug.is_empty(),
        "it published while it could not know what was published: {published} records, then {meanwhile}\n{}",
        running.said()
    );
    ends(&mut trial, running)?;
    Ok(trial)
}

/// A transaction of another producer, which stays open, in the topic of progress.
fn open_in_progress(rig: &Rig) -> Result<BaseProducer> {
    let foreign: BaseProducer = rig.cluster.client().set("transactional.id", "foreign").create()?;
    foreign.init_transactions(WITHIN)?;
    foreign.begin_transaction()?;
    let record = BaseRecord::to(PROGRESS).key("foreign/0").payload(r#"{"version":1,"epoch":1}"#);
    foreign.send(record).map_err(|(error, _)| error)?;
    foreign.flush(WITHIN)?;
    Ok(foreign)
}

/// How long a call of this side may take.
const WITHIN: Duration = Duration::from_secs(30);

fn trial_out(trial: &Trial) -> String {
    trial.setup().topics.as_ref().map(|topics| topics.out()).unwrap_or_default()
}

/// Waits for the end of the input.
pub(super) fn ends(trial: &mut Trial, mut running: Running) -> Result<()> {
    trial.watch(&mut running, |_, _| false)?;
    let ended = trial.ended(&mut running)?;
    ensure!(ended.code == Some(0), "{}:\n{}\n{}", ended.shown(), ended.said, trial.history());
    Ok(())
}

/// Frozen before it has sent anything, a process wakes up while its successor is about to keep it from publishing.
pub(super) fn wakes_before_it_is_fenced(rig: &Rig, bug: &str) -> Result<Trial> {
    let fence = "publish.records.fence.before";
    wakes(rig, bug, ("publish.records.begin.after", &format!("{fence}=sleep:1500")), |trial, newer| {
        let said = format!("fail point {fence}");
        trial.watch(newer, |running, _| running.has_said(&said))
    })
}

/// The same when its successor has published.
pub(super) fn wakes_when_its_successor_has_published(rig: &Rig, bug: &str) -> Result<Trial> {
    wakes(rig, bug, ("publish.records.begin.after", ""), |trial, newer| {
        let epochs = trial.timeline.epochs();
        trial.watch(newer, |_, timeline| timeline.epochs() > epochs + 2)
    })
}

/// Frozen in the middle of a transaction, it wakes up after the broker has aborted that.
pub(super) fn wakes_after_its_transaction_timed_out(rig: &Rig, bug: &str) -> Result<Trial> {
    wakes(rig, bug, ("publish.records.commit.before", ""), |trial, newer| {
        let (epochs, begun) = (trial.timeline.epochs(), Instant::now());
        trial.watch(newer, |_, timeline| {
            timeline.epochs() > epochs + 2 && begun.elapsed() > Duration::from_secs(3)
        })
    })
}

fn wakes(
    rig: &Rig,
    bug: &str,
    (point, newer): (&str, &str),
    until: impl FnOnce(&mut Trial, &mut Running) -> Result<bool>,
) -> Result<Trial> {
    let setup = setup(rig);
    let topics = setup.topics.map(|topics| topics.with("transaction.timeout.ms", 2_000));
    let feed = Feed { rows: 12_000, ..setup.feed };
    let mut trial = Trial::new(Setup { topics, feed, ..setup })?;
    let mut older = trial.start(&with(bug, 2, &format!("{point}=stop@4")))?;
    ensure!(trial.watch(&mut older, |running, _| running.is_frozen())?, "{point}:\n{}", older.said());
    let mut newer = trial.start(&with(bug, 2, newer))?;
    ensure!(until(&mut trial, &mut newer)?, "the newer ended too early:\n{}", newer.said());
    trial.signal(&mut older, Signal::Continue, "beside its successor")?;
    let ended = trial.ended(&mut older)?;
    ensure!(ended.code == Some(FENCED), "the older: {}\n{}", ended.shown(), ended.said);
    ends(&mut trial, newer)?;
    Ok(trial)
}

/// A producer of the same transactional id takes over again and again, and answers to commits are lost meanwhile.
pub(super) fn a_zombie_keeps_taking_over(rig: &Rig, bug: &str) -> Result<Trial> {
    let mut trial = Trial::new(setup(rig))?;
    let mut running = trial.start(&with(bug, 2, ""))?;
    epochs_more(&mut trial, &mut running, 3)?;
    let mut config = rig.cluster.client();
    config.set("transactional.id", id_of_first_slot(&trial));
    let (over, taken) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut number = 0;
    rig.broker().decide(move |request| {
        number += u64::from(request.api_key() == Some(END));
        if request.api_key() == Some(END) && number % 2 == 0 { Fate::CutAfter } else { Fate::Pass }
    });
    let watched = std::thread::scope(|scope| {
        let zombie = scope.spawn(|| -> Result<()> {
            while !over.load(Ordering::SeqCst) {
                let zombie: BaseProducer = config.create()?;
                if zombie.init_transactions(WITHIN).is_ok() {
                    taken.fetch_add(1, Ordering::SeqCst);
                }
                std::thread::sleep(Duration::from_millis(120));
            }
            Ok(())
        });
        let began = Instant::now();
        let watched = trial.watch(&mut running, |_, _| began.elapsed() > Duration::from_secs(6));
        over.store(true, Ordering::SeqCst);
        zombie.join().expect("the zombie does not panic").and(watched)
    });
    rig.broker().heal();
    ensure!(
        watched? || taken.load(Ordering::SeqCst) > 5,
        "it ended before it was taken over:\n{}",
        running.said()
    );
    ends(&mut trial, running)?;
    Ok(trial)
}

/// The answer to every record of the log and every object is lost.
pub(super) fn every_answer_to_a_create_is_lost(rig: &Rig, bug: &str) -> Result<Trial> {
    let mut trial = Trial::new(setup(rig))?;
    // But for that of the start, which must see a create refused.
    rig.store.decide(|request| match request.is_conditional_put() && !request.line().contains("/probe/") {
        true => Fate::CutAfter,
        false => Fate::Pass,
    });
    let ended = trial.run(&with(bug, 2, ""));
    let lost = rig.store.faults();
    rig.store.heal();
    let ended = ended?;
    ensure!(ended.code == Some(0), "{}:\n{}\n{}", ended.shown(), ended.said, trial.history());
    ensure!(lost > 8, "only {lost} answers were lost");
    Ok(trial)
}

/// Every record of the log is created when its writer has given that up, has not found it, and creates it once more.
pub(super) fn every_create_arrives_late(rig: &Rig, bug: &str) -> Result<Trial> {
    let mut trial = Trial::new(setup(rig))?;
    let mut asked = BTreeSet::new();
    rig.store.decide(move |request| {
        if !request.is_conditional_put() || !request.line().contains("/log/") {
            return Fate::Pass;
        }
        match asked.insert(request.line().to_owned()) {
            true => Fate::Late(Duration::from_millis(200)),
            false => Fate::Delay(Duration::from_millis(400)),
        }
    });
    let ended = trial.run(&with(bug, 2, ""));
    let late = rig.store.faults();
    rig.store.heal();
    let ended = ended?;
    ensure!(ended.code == Some(0), "{}:\n{}\n{}", ended.shown(), ended.said, trial.history());
    ensure!(late > 8, "only {late} records were late");
    Ok(trial)
}

/// Taken over when its transaction is committed and it has not heard of that.
pub(super) fn taken_over_before_it_hears(rig: &Rig, bug: &str) -> Result<Trial> {
    let mut trial = Trial::new(setup(rig))?;
    let mut running = trial.start(&with(bug, 1, ""))?;
    epochs_more(&mut trial, &mut running, 4)?;
    let zombie: BaseProducer =
        rig.cluster.client().set("transactional.id", id_of_first_slot(&trial)).create()?;
    let (asked, taken) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    rig.broker().decide({
        let (asked, taken) = (Arc::clone(&asked), Arc::clone(&taken));
        move |request| match request.api_key() == Some(END) && !taken.load(Ordering::SeqCst) {
            true if asked.fetch_add(1, Ordering::SeqCst) == 0 => Fate::CutAfter,
            // It asks again, and hears that it was taken over.
            true => Fate::Delay(Duration::from_secs(3)),
            false => Fate::Pass,
        }
    });
    let cut = trial.watch(&mut running, |_, _| asked.load(Ordering::SeqCst) > 0)?;
    ensure!(cut, "it ended before it was taken over:\n{}", running.said());
    std::thread::sleep(Duration::from_millis(200));
    zombie.init_transactions(WITHIN)?;
    taken.store(true, Ordering::SeqCst);
    ends(&mut trial, running)?;
    rig.broker().heal();
    Ok(trial)
}

/// The transactional id of a trial's first slot.
pub(super) fn id_of_first_slot(trial: &Trial) -> String {
    format!("streamjob.trial.{}.0", trial.timeline.lineages().pop_last().unwrap_or_default())
}

/// What is asked of the broker when a transaction ends meets this.
pub(super) fn ends_meet(rig: &Rig, bug: &str, fate: impl Fn() -> Fate + Send + 'static) -> Result<Trial> {
    let mut trial = Trial::new(setup(rig))?;
    let mut number = 0;
    rig.broker().decide(move |request: &Request| {
        let is_end = request.api_key() == Some(END);
        number += u64::from(is_end);
        if is_end && number % 3 == 0 { fate() } else { Fate::Pass }
    });
    let (before, ran) = (rig.broker().faults(), trial.run(&with(bug, 2, "")));
    let met = rig.broker().faults() - before;
    rig.broker().heal();
    let ended = ran?;
    ensure!(ended.code == Some(0), "{}:\n{}\n{}", ended.shown(), ended.said, trial.history());
    ensure!(met > 2, "only {met} ends of transactions met anything");
    Ok(trial)
}

/// Some are never heard of.
pub(super) fn ends_are_cut(rig: &Rig, bug: &str) -> Result<Trial> {
    ends_meet(rig, bug, || Fate::CutBefore)
}

/// The end of a transaction arrives late, when the next one is open; then the process is killed.
pub(super) fn an_end_arrives_in_the_next_transaction(rig: &Rig, bug: &str) -> Result<Trial> {
    let mut trial = Trial::new(setup(rig))?;
    let late = Arc::new(AtomicU64::new(0));
    rig.broker().decide({
        let late = Arc::clone(&late);
        move |request| match request.api_key() == Some(END) && late.fetch_add(1, Ordering::SeqCst) == 2 {
            true => Fate::Late(Duration::from_secs(2)),
            false => Fate::Pass,
        }
    });
    let point = "publish.records.send.after";
    let start = with(bug, 1, &format!("{point}=sleep:4000@4"));
    killed_asleep(&mut trial, &start, point, Duration::from_millis(2_500))?;
    rig.broker().heal();
    finish(&mut trial, bug)?;
    Ok(trial)
}
