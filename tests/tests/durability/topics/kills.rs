//! SIGKILL at random instants, between a broker and a store that fail, until the input is read.
//!
//! Owns: how many kills there must be in which part of the protocol, and the counts of everything that happened.
//! Never: changes anything that a process left behind.

use std::collections::BTreeMap;
use std::fs;
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

#[test]
fn from_topic_to_topic_nothing_is_lost_and_nothing_doubled_whatever_is_killed_and_fails() -> Result<()> {
    let _alone = alone();
    let seed = seed("topics");
    let (kills, each) = sized((500, 25), (40, 3));
    let file = tally_file("topics", seed)?;
    let mut account: Account = match fs::read(&file) {
        Ok(bytes) => serde_json::from_slice(&bytes)?,
        Err(_) => Account::default(),
    };
    let rig = Rig::new()?;

    while !account.kills.is_enough(kills, each) {
        ensure!(account.kills.rounds < kills, "too few kills count: {account:?}");
        let mut random = Rng::with_seed(seed.wrapping_add(account.kills.rounds));
        rig.broker().decide(broker_fails(random.u64(..)));
        rig.store.decide(fails_now_and_then(random.u64(..), 40));
        let setup = rig.setup(small_setup(&mut random));
        let pace = paced(&setup, 2, READING);
        let round = Round { setup, pace, kills_max: KILLS, ..Round::random(&mut random) };
        let aim = |random: &mut Rng, kills: &[_]| account.kills.aim(random, (each, PUBLISH_RECORDS), kills);
        let (mut trial, killed) = round.run(&mut random, aim)?;
        killed.iter().for_each(|kill| account.kills.add(kill));
        account.kills.ended(&trial.timeline);
        account.transactions = account.transactions.plus(trial.account()?);
        account.add_faults(&rig);
        rig.tell(&mut trial.timeline);
        let found = trial.check()?;
        trial.assert_right(
            &found,
            &format!("topics, round {} of STREAMJOB_SEED={seed}", account.kills.rounds),
        );
        fs::write(&file, serde_json::to_vec(&account)?)?;
        println!("topics: round {}: {} kills", account.kills.rounds, killed.len());
    }

    println!("topics: {}", serde_json::to_string(&account)?);
    account.check()?;
    Ok(fs::remove_file(&file)?)
}
