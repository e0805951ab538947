//! The production machines of the protocol in every order, with every answer, in small worlds.
//!
//! Owns: the search, the scenarios, and the planted bugs that it must find.
//! Never: has a second implementation of anything but the store.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hash as _, Hasher};
use std::time::Instant;

use process::{Told, successors};
use story::Label;
use world::{Bounds, World};

use crate::planted::{self, Bug};

mod leading;
mod process;
mod story;
mod world;

/// What a search found.
struct Found {
    states: usize,
    steps: usize,
    /// The invariant that does not hold, and how it came to that.
    broken: Option<(String, Vec<Label>)>,
}

/// Two processes with something to do each.
#[derive(Clone, Copy)]
struct Scenario {
    name: &'static str,
    told: [Told; 2],
    bounds: Bounds,
}

/// 128 bits of a state. Dependencies are not optimised in tests, so this is written out.
#[derive(Default)]
struct Fingerprint(u128);

impl Hasher for Fingerprint {
    fn finish(&self) -> u64 {
        self.0 as u64
    }

    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let word = part.iter().fold(part.len() as u64, |word, byte| (word << 8) | u64::from(*byte));
            self.write_u64(word);
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.write_u128(number.into());
    }

    fn write_u128(&mut self, number: u128) {
        let mixed = (self.0 ^ number).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        self.0 = mixed ^ (mixed >> 61);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }
}

/// The hash of a hash is the hash.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| (hash << 8) ^ u64::from(*byte));
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }
}

fn explore(scenario: Scenario) -> Found {
    let mut seen: HashSet<u128, BuildHasherDefault<Identity>> = HashSet::default();
    let mut came_from: Vec<(u32, Label)> = vec![(0, Label::Landed)];
    let mut frontier = VecDeque::from([(0u32, World::new(scenario.bounds))]);
    let mut steps = 0;
    while let Some((at, world)) = frontier.pop_front() {
        for (label, mut next) in successors(&world, scenario.bounds, &scenario.told) {
            steps += 1;
            if !seen.insert(fingerprint(&next)) {
                continue;
            }
            came_from.push((at, label));
            let number = came_from.len() - 1;
            next.check(scenario.bounds.retain);
            if let Some(broken) = next.broken {
                return Found {
                    states: seen.len(),
                    steps,
                    broken: Some((broken, story(&came_from, number))),
                };
            }
            frontier.push_back((number as u32, next));
        }
    }
    Found { states: seen.len(), steps, broken: None }
}

fn fingerprint(world: &World) -> u128 {
    let mut hasher = Fingerprint::default();
    world.hash(&mut hasher);
    hasher.0
}

fn story(came_from: &[(u32, Label)], mut at: usize) -> Vec<Label> {
    let mut labels = Vec::new();
    while at != 0 {
        labels.push(came_from[at].1);
        at = came_from[at].0 as usize;
    }
    labels.reverse();
    labels
}

fn scenarios(long: bool) -> Vec<Scenario> {
    let more = u8::from(long);
    let bounds = Bounds { starts: [1, 1], commits: 2, faults: 1, crashes: 0, retain: 1, grace: false };
    vec![
        Scenario {
            name: "take-over",
            told: [Told::Latest, Told::Latest],
            bounds: Bounds { faults: 1 + more, ..bounds },
        },
        Scenario {
            name: "crash and start again",
            told: [Told::Latest, Told::Latest],
            bounds: Bounds { starts: [2, 1 + more], faults: 0, crashes: 1, commits: 1, ..bounds },
        },
        Scenario {
            name: "incarnations that end",
            told: [Told::Incarnation(1), Told::Incarnation(2)],
            bounds: Bounds { starts: [2, 1 + more], faults: 0, crashes: 1, commits: 1 + more, ..bounds },
        },
        Scenario {
            name: "a stalled writer and deletions",
            told: [Told::Latest, Told::Latest],
            bounds: Bounds { commits: 4, faults: more, ..bounds },
        },
        Scenario {
            name: "a fresh start over state",
            told: [Told::Latest, Told::Discard],
            bounds: Bounds { commits: 2 + more, crashes: more, ..bounds },
        },
        Scenario {
            name: "another owner takes over",
            told: [Told::Latest, Told::TakeOver],
            bounds: Bounds { starts: [2, 2], crashes: 1, faults: more, commits: 1, ..bounds },
        },
        Scenario {
            name: "a restore of an older epoch",
            told: [Told::Latest, Told::Restore],
            bounds: Bounds { starts: [1, 1 + more], commits: 4, faults: 0, retain: 2, grace: true, ..bounds },
        },
    ]
}

const INVARIANTS: &str = "\
 the log grows by one record, each names the hash of the one before, generations never go back
 a commit counts only if it is in the log; nobody is fenced by his own record
 what is published is in the log, and an epoch of a lineage is published with one content only
 the output of epoch N is out before a later one commits or an incarnation ends
 the head, what it begins at, what is unpublished and the newest epochs are there, and so is every object they name
 a start begins at the newest Epoch, Final, Claim with a base, or Genesis, with exactly that state
 nothing begins with nothing where state exists, but after Deleted; no start is refused as damaged
 an incarnation that has ended never claims again, and an owner whose state was taken over writes nothing more";

#[test]
fn no_order_of_requests_answers_crashes_and_deletions_breaks_an_invariant() {
    let long = std::env::var_os("STREAMJOB_LONG").is_some();
    let (mut states, mut steps) = (0, 0);
    let begun = Instant::now();
    for scenario in scenarios(long) {
        let begun = Instant::now();
        let found = explore(scenario);
        println!(
            "{:>9} states {:>9} steps {:>6.1} s  {}",
            found.states,
            found.steps,
            begun.elapsed().as_secs_f64(),
            scenario.name
        );
        if let Some((what, story)) = found.broken {
            panic!("{}: {what}\n{}", scenario.name, told(&story));
        }
        states += found.states;
        steps += found.steps;
    }
    println!(
        "{states} states, {steps} steps, {:.1} s; in all of them:\n{INVARIANTS}",
        begun.elapsed().as_secs_f64()
    );
    assert!(states > 50_000, "a search that finds little proves little: {states} states");
}

fn told(story: &[Label]) -> String {
    story.iter().map(|label| format!("  {label}\n")).collect()
}

#[test]
fn every_planted_bug_of_the_protocol_breaks_one() {
    let bugs = [
        Bug::CreateWithoutCondition,
        Bug::ExistsIsFenced,
        Bug::ExistsIsSuccess,
        Bug::NoVoidCheck,
        Bug::CommitBeforePublish,
        Bug::RepublishRecomputed,
        Bug::RestoreNewestListed,
        Bug::FallBackOneCheckpoint,
        Bug::FreshStartOnReadError,
        Bug::RetentionWithoutReferences,
        Bug::RetentionOfOwnUploads,
    ];
    for bug in bugs {
        let found = scenarios(false).into_iter().find_map(|scenario| {
            let found = planted::with(Some(bug), || explore(scenario));
            found.broken.map(|(what, story)| (scenario.name, what, story.len()))
        });
        let Some((scenario, what, length)) = found else { panic!("{bug:?} is not found") };
        println!("{bug:?}: {what} ({scenario}, after {length} steps)");
    }
}
