//! State in the bucket of a real S3 server, with a proxy in between that fails as networks and stores do.
//!
//! Owns: what the proxy does to requests; that the job makes progress meanwhile, and that its output is right.
//! Never: accepts a run in which nothing failed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use fastrand::Rng;
use streamjob_tests::feed::Feed;
use streamjob_tests::process::Running;
use streamjob_tests::proxy::{Fate, Framing, Link, Proxy, Request};
use streamjob_tests::s3::{Kind, S3Server};
use streamjob_tests::timeline::Happening;
use streamjob_tests::trial::{Setup, Start, Trial};

use super::rounds::{Aim, Round, random_setup};
use super::zombies::{setup, wakes_beside_its_successor};
use super::{alone, seed, sized};

/// Slow enough that there is input left when a fault is over: 3 partitions of 120 batches, 2 slots.
const SLOW: &str = "source.batch=sleep:50@*";

fn refusal(status: &str, code: &str) -> Fate {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>planned</Message></Error>");
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: application/xml\r\nContent-Length: {}", body.len());
    Fate::Answer(format!("{head}\r\n\r\n{body}").into_bytes())
}

/// A server and a proxy before it.
fn behind_a_proxy() -> Result<(S3Server, Proxy)> {
    let server = S3Server::start(Kind::Versitygw)?;
    let proxy = Proxy::start(&server.address(), Framing::Http)?;
    Ok((server, proxy))
}

fn trial_on(server: &S3Server, proxy: &Proxy, seed: u64) -> Result<Trial> {
    let bucket = Some(server.trial_bucket(proxy.address(), "trials"));
    Trial::new(Setup { bucket, ..setup(seed) })
}

/// Runs until so many more epochs are committed.
pub(super) fn epochs_more(trial: &mut Trial, running: &mut Running, more: usize) -> Result<()> {
    let epochs = trial.timeline.epochs();
    let there = trial.watch(running, |_, timeline| timeline.epochs() >= epochs + more)?;
    ensure!(there, "it ended too early:\n{}\n{}", running.said(), trial.history());
    Ok(())
}

fn ends_right(trial: &mut Trial, mut running: Running, about: &str) -> Result<()> {
    trial.watch(&mut running, |_, _| false)?;
    let ended = trial.ended(&mut running)?;
    ensure!(ended.code == Some(0), "{about}: {}\n{}\n{}", ended.shown(), ended.said, trial.history());
    let found = trial.check()?;
    trial.assert_right(&found, about);
    Ok(())
}

/// Of each request some fail, in every way.
pub(super) fn fails_now_and_then(seed: u64, per_mille: u32) -> impl FnMut(&Request) -> Fate + Send {
    let mut random = Rng::with_seed(seed);
    move |request| {
        if random.u32(..1_000) >= per_mille {
            return Fate::Pass;
        }
        match random.u32(..9) {
            0 => Fate::CutBefore,
            1 | 2 => Fate::CutAfter,
            3 => Fate::Late(Duration::from_millis(random.u64(..300))),
            4 => Fate::Delay(Duration::from_millis(random.u64(..200))),
            5 => refusal("503 Slow Down", "SlowDown"),
            6 => refusal("500 Internal Server Error", "InternalError"),
            7 if request.is_conditional_put() => refusal("409 Conflict", "ConditionalRequestConflict"),
            7 => Fate::CutBefore,
            _ => refusal("403 Forbidden", "AccessDenied"),
        }
    }
}

#[test]
fn whatever_fails_between_job_and_store_nothing_is_lost_and_nothing_doubled() -> Result<()> {
    let _alone = alone();
    let seed = seed("buckets");
    let (server, proxy) = behind_a_proxy()?;
    let (mut kills, mut counted, mut epochs) = (0, 0, 0);
    for round in 0..sized(40, 3) {
        let mut random = Rng::with_seed(seed.wrapping_add(round));
        let bucket = Some(server.trial_bucket(proxy.address(), &format!("round-{round}")));
        let setup = Setup { bucket, ..random_setup(&mut random) };
        proxy.decide(fails_now_and_then(random.u64(..), 60));
        let played = Round { setup, kills_max: 5, ..Round::random(&mut random) };
        let (mut trial, killed) = played.run(&mut random, |random, _| match random.bool() {
            true => Aim::after_epoch(random),
            false => Aim::within(["upload", "commit", "publish", "restore"][random.usize(..4)], random),
        })?;
        kills += killed.len();
        counted += killed.iter().filter(|kill| kill.counted).count();
        epochs += trial.timeline.epochs();
        let found = trial.check()?;
        trial.assert_right(&found, &format!("buckets, round {round} of STREAMJOB_SEED={seed}"));
    }
    println!("buckets: {kills} kills, {counted} of them counted, {epochs} epochs; {:?}", proxy.counts());
    ensure!(counted > 0 && proxy.faults() > 20, "a run in which nothing happens shows nothing");
    Ok(())
}

#[test]
fn the_answer_to_every_create_is_lost_and_the_job_goes_on() -> Result<()> {
    let _alone = alone();
    let (server, proxy) = behind_a_proxy()?;
    let mut trial = trial_on(&server, &proxy, seed("lost answers"))?;
    // But for that of the start, which must see a create refused.
    proxy.decide(|request| match request.is_conditional_put() && !request.line().contains("/probe/") {
        true => Fate::CutAfter,
        false => Fate::Pass,
    });

    let mut running = trial.start(&Start::with(2, SLOW))?;
    epochs_more(&mut trial, &mut running, sized(20, 4))?;
    let lost = proxy.faults();
    proxy.heal();

    ensure!(lost > 8, "only {lost} answers were lost");
    ends_right(&mut trial, running, "lost answers")
}

#[test]
fn creates_that_end_in_a_conflict_are_made_again() -> Result<()> {
    let _alone = alone();
    let (server, proxy) = behind_a_proxy()?;
    let mut trial = trial_on(&server, &proxy, seed("conflicts"))?;
    let mut random = Rng::with_seed(7);
    proxy.decide(move |request| match request.is_conditional_put() && random.bool() {
        true => refusal("409 Conflict", "ConditionalRequestConflict"),
        false => Fate::Pass,
    });

    let mut running = trial.start(&Start::with(2, SLOW))?;
    epochs_more(&mut trial, &mut running, 5)?;

    ensure!(proxy.faults() > 3, "{:?}", proxy.counts());
    proxy.heal();
    ends_right(&mut trial, running, "conflicts")
}

#[test]
fn a_job_outlives_its_store_and_waits_for_it_at_its_start() -> Result<()> {
    let _alone = alone();
    let (mut server, proxy) = behind_a_proxy()?;
    let mut trial = trial_on(&server, &proxy, seed("store away"))?;
    let away = Duration::from_secs(sized(75, 4));
    proxy.set(Link::Down);

    let mut running = trial.start(&Start::with(2, SLOW))?;
    running.wait_for_line("it is tried again", Duration::from_secs(20))?;
    proxy.set(Link::Up);
    epochs_more(&mut trial, &mut running, 3)?;
    server.stop();
    let (gone, epochs) = (Instant::now(), trial.timeline.epochs());
    trial.watch(&mut running, |_, _| gone.elapsed() > away)?;
    ensure!(trial.timeline.epochs() == epochs, "an epoch without a store");
    server.start_again()?;
    epochs_more(&mut trial, &mut running, 2)?;

    ends_right(&mut trial, running, "the store was away")
}

#[test]
fn rights_that_are_taken_away_and_given_back_lose_nothing() -> Result<()> {
    let _alone = alone();
    let (server, proxy) = behind_a_proxy()?;
    let mut trial = trial_on(&server, &proxy, seed("rights"))?;
    let mut running = trial.start(&Start::with(2, SLOW))?;
    epochs_more(&mut trial, &mut running, 3)?;

    proxy.decide(|_| refusal("403 Forbidden", "AccessDenied"));
    running.wait_for_line("StoreAccessDenied", Duration::from_secs(20))?;
    std::thread::sleep(Duration::from_secs(sized(40, 2)));
    proxy.heal();
    epochs_more(&mut trial, &mut running, 2)?;

    ends_right(&mut trial, running, "rights")
}

#[test]
fn a_store_that_never_answers_holds_up_no_rows() -> Result<()> {
    let _alone = alone();
    let (server, proxy) = behind_a_proxy()?;
    let feed = Feed { rows: 20_000, ..setup(seed("silence")).feed };
    let bucket = Some(server.trial_bucket(proxy.address(), "trials"));
    let mut trial = Trial::new(Setup { feed, bucket, ..setup(1) })?;
    let mut running = trial.start(&Start::with(2, SLOW))?;
    epochs_more(&mut trial, &mut running, 2)?;
    let silent = Arc::new(AtomicU64::new(0));
    proxy.decide({
        let silent = Arc::clone(&silent);
        move |_| match silent.fetch_add(1, Ordering::SeqCst) {
            // Two requests, done and not answered: they are given up after their time, and asked again.
            0 | 1 => Fate::SilenceAfter,
            _ => Fate::Pass,
        }
    });

    ends_right(&mut trial, running, "silence")?;

    ensure!(silent.load(Ordering::SeqCst) > 2, "nothing was asked");
    Ok(())
}

#[test]
fn a_process_that_wakes_up_beside_its_successor_on_a_bucket_ends_as_fenced() -> Result<()> {
    let _alone = alone();
    let (server, proxy) = behind_a_proxy()?;
    for point in ["commit.create.before", "upload.state.before"] {
        let bucket = Some(server.trial_bucket(proxy.address(), point));
        let mut trial = Trial::new(Setup { bucket, ..setup(seed("frozen on a bucket")) })?;

        wakes_beside_its_successor(&mut trial, point, "", Duration::ZERO)?;

        let found = trial.check()?;
        trial.assert_right(&found, &format!("frozen at `{point}`"));
        let claims = trial
            .timeline
            .events()
            .filter(|event| matches!(event, Happening::Record(record) if record.kind == "claim"));
        ensure!(claims.count() > 0, "{}", trial.history());
    }
    Ok(())
}
