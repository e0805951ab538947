//! SIGKILL at random instants, between a broker and a store that fail, until the input is read.
//!
//! Owns: how many kills there must be in which part of the protocol, and the counts of everything that happened.
//! Never: changes anything that a process left behind.

use std::collections::BTreeMap;
use std::fs;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, ensure};
use fastrand::Rng;
use serde::{Deserialize, Serialize};
use streamjob_tests::topics::Transactions;

use super::super::buckets::fails_now_and_then;
use super::super::kills::{Tally, tally_file};
use super::super::rounds::{PUBLISH_RECORDS, Round, paced};
use super::super::{alone, seed, sized};
use super::{Rig, broker_fails, small_setup};

/// Kills of a round, before the job is left in peace.
const KILLS: usize = 15;

/// Reading the input takes at least this long, so that it lasts for many kills.
const READING: Duration = Duration::from_secs(10);

/// Rounds that are under way at a time: most of a round is waiting.
const ABREAST: usize = 2;

/// What a test came to; written down after each round, so that a long run can be taken up again.
#[derive(Debug, Default, Deserialize, Serialize)]
struct Account {
    kills: Tally,
    transactions: Transactions,
    /// Requests that failed, by who was asked and how.
    faults: BTreeMap<String, u64>,
}

impl Account {
    fn add_faults(&mut self, rig: &Rig) {
        for (who, proxy) in [("broker", rig.broker()), ("store", &rig.store)] {
            for (fate, count) in proxy.take_counts() {
                *self.faults.entry(format!("{who}: {fate}")).or_default() += count;
            }
        }
    }

    /// A run in which nothing happens shows nothing.
    fn check(&self) -> Result<()> {
        let Transactions { aborts, fences, republished, found, .. } = self.transactions;
        ensure!(aborts > 0 && fences > 0 && republished > 0 && found > 0, "{self:?}");
        for (who, fate) in ["broker", "store"]
            .into_iter()
            .flat_map(|who| ["cut before", "cut after", "late", "delay"].map(|fate| (who, fate)))
        {
            ensure!(self.faults.contains_key(&format!("{who}: {fate}")), "no {fate} of the {who}: {self:?}");
        }
        Ok(())
    }
}

/// Rounds of a test, of which several are under way.
struct Rounds {
    seed: u64,
    /// Kills that count, of all and in each part of the protocol.
    enough: (u64, u64),
    begun: AtomicU64,
    account: Mutex<Account>,
    file: PathBuf,
}

impl Rounds {
    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One after the other, until there is enough.
    fn play(&self) -> Result<()> {
        let rig = Rig::new()?;
        let (kills, each) = self.enough;
        while !self.account().kills.is_enough(kills, each) {
            let number = self.begun.fetch_add(1, Ordering::SeqCst);
            ensure!(number < kills, "too few kills count: {:?}", self.account());
            self.play_one(&rig, number)?;
        }
        Ok(())
    }

    fn play_one(&self, rig: &Rig, number: u64) -> Result<()> {
        let mut random = Rng::with_seed(self.seed.wrapping_add(number));
        rig.broker().decide(broker_fails(random.u64(..)));
        rig.store.decide(fails_now_and_then(random.u64(..), 40));
        let setup = rig.setup(small_setup(&mut random));
        let pace = paced(&setup, 2, READING);
        let round = Round { setup, pace, kills_max: KILLS, ..Round::random(&mut random) };
        let each = (self.enough.1, PUBLISH_RECORDS);
        let (mut trial, killed) =
            round.run(&mut random, |random, kills| self.account().kills.aim(random, each, kills))?;
        let transactions = trial.account()?;
        rig.tell(&mut trial.timeline);
        let found = trial.check()?;
        trial.assert_right(&found, &format!("topics, round {number} of STREAMJOB_SEED={}", self.seed));

        let mut account = self.account();
        killed.iter().for_each(|kill| account.kills.add(kill));
        account.kills.ended(&trial.timeline);
        account.transactions = account.transactions.plus(transactions);
        account.add_faults(rig);
        fs::write(&self.file, serde_json::to_vec(&*account)?)?;
        println!("topics: round {number}: {} kills", killed.len());
        Ok(())
    }
}

#[test]
fn from_topic_to_topic_nothing_is_lost_and_nothing_doubled_whatever_is_killed_and_fails() -> Result<()> {
    let _alone = alone();
    let seed = seed("topics");
    let file = tally_file("topics", seed)?;
    let account: Account = match fs::read(&file) {
        Ok(bytes) => serde_json::from_slice(&bytes)?,
        Err(_) => Account::default(),
    };
    let rounds = Rounds {
        seed,
        enough: sized((500, 25), (40, 3)),
        begun: AtomicU64::new(account.kills.rounds),
        account: Mutex::new(account),
        file,
    };

    std::thread::scope(|scope| {
        let abreast: Vec<_> = (0..ABREAST).map(|_| scope.spawn(|| rounds.play())).collect();
        abreast.into_iter().try_for_each(|rounds| rounds.join().unwrap_or_else(|why| resume_unwind(why)))
    })?;

    let account = rounds.account();
    println!("topics: {}", serde_json::to_string(&*account)?);
    account.check()?;
    Ok(fs::remove_file(&rounds.file)?)
}
