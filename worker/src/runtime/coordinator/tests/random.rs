//! Workers, log and people that do things in any order.
//!
//! Owns: a world around the machine that keeps its own books and checks every output against them.
//! Never: does what real workers cannot.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use streamjob_checkpoint::ids::Epoch;
use streamjob_checkpoint::protocol::Commit;

use super::kit::*;
use crate::runtime::coordinator::event::{Answer, End, Input, Note, Output};
use crate::runtime::messages::{ToCoordinator, ToWorker};
use crate::runtime::stop::Stop;

/// What has happened so far.
struct World {
    job: Job,
    started: bool,
    /// What each worker may say next.
    may_say: Vec<Input>,
    checked: BTreeSet<u32>,
    acknowledged: BTreeSet<(u32, u64)>,
    /// The append under way, and whether it has been done.
    append: Option<(Commit, bool)>,
    unresolved: Option<Commit>,
    committed: Vec<u64>,
    published: BTreeSet<u64>,
    open: Option<u64>,
    concluding: Option<u64>,
    last: Option<u64>,
    asked: BTreeMap<String, bool>,
    copying: Vec<(String, u64)>,
    sweeping: bool,
    asked_who: bool,
    ended: Option<End>,
    /// Something is wrong that only happens while things may fail.
    failed: bool,
}

impl World {
    fn new(workers: u32, inherited: bool) -> Self {
        let job = if inherited { Job::inheriting(workers, 7) } else { Job::of(workers) };
        let registered = |worker| said(worker, ToCoordinator::Registered { slots: 1 });
        Self {
            job,
            started: false,
            may_say: (0..workers).map(registered).collect(),
            checked: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            append: None,
            unresolved: None,
            committed: if inherited { vec![7] } else { Vec::new() },
            published: BTreeSet::new(),
            open: inherited.then_some(7),
            concluding: None,
            last: None,
            asked: BTreeMap::new(),
            copying: Vec::new(),
            sweeping: false,
            asked_who: false,
            ended: None,
            failed: false,
        }
    }

    /// One of all that may happen now.
    fn choose(&mut self, choice: u16) {
        let number = usize::from(choice >> 4);
        match choice & 15 {
            0..=5 => self.say(number),
            6 | 7 => self.answer_append(number),
            8 => self.conclude(),
            9 => self.tick(Duration::from_millis(number as u64 * 10)),
            10 => self.tick(TIMEOUT),
            11 if number.is_multiple_of(16) => self.hear(Input::Stop(Some(Stop::End))),
            12 if number.is_multiple_of(4) && self.ended.is_none() => {
                let id = format!("savepoint-{}", number % 3);
                self.asked.entry(id.clone()).or_insert(false);
                self.hear(Input::SavepointAsked { id });
            }
            13 => self.copied(number),
            14 if std::mem::take(&mut self.sweeping) => self.hear(Input::Swept),
            15 => self.disturb(number),
            _ => {}
        }
    }

    fn say(&mut self, number: usize) {
        if self.may_say.is_empty() {
            return;
        }
        let input = self.may_say.swap_remove(number % self.may_say.len());
        if let Input::Worker { worker, message, .. } = &input {
            if let ToCoordinator::Checked = message {
                self.checked.insert(*worker);
            }
            if let ToCoordinator::Acknowledged { epoch, .. } = message {
                self.acknowledged.insert((*worker, epoch.0));
            }
        }
        self.hear(input);
    }

    fn answer_append(&mut self, number: usize) {
        let Some((commit, done)) = self.append.take() else { return };
        if number.is_multiple_of(3) {
            // It may have been done although nobody knows.
            self.unresolved = Some(commit.clone());
            if number.is_multiple_of(2) && !done {
                self.record(&commit);
            }
            return self.hear(Input::Unresolved { cause: "timed out".to_owned() });
        }
        self.record(&commit);
        self.hear(Input::Appended);
    }

    /// A record is in the log; appending it again changes nothing.
    fn record(&mut self, commit: &Commit) {
        let Commit::Epoch(checkpoint) = commit else { return };
        let epoch = checkpoint.epoch.0;
        if self.committed.last() != Some(&epoch) {
            assert!(self.committed.last() < Some(&epoch), "epochs in order");
            self.committed.push(epoch);
        }
    }

    fn conclude(&mut self) {
        if let Some(epoch) = self.concluding.take() {
            self.published.insert(epoch);
            self.open = None;
            self.hear(Input::Concluded(Ok(())));
        }
    }

    fn copied(&mut self, number: usize) {
        if let Some((id, _)) = self.copying.pop() {
            let failed = number.is_multiple_of(3);
            let result = if failed { Err("no space".to_owned()) } else { Ok("/there".to_owned()) };
            self.hear(Input::SavepointTaken { id, result });
        }
    }

    /// Things that happen and must not matter.
    fn disturb(&mut self, number: usize) {
        let epoch = self.committed.last().map_or(1, |epoch| epoch + 1);
        let Input::Worker { worker, message, .. } = acknowledged(0, self.job.workers, epoch, true) else {
            return;
        };
        match number % 3 {
            0 => self.hear(Input::Worker { worker, generation: OTHER, message }),
            1 if !self.checked.is_empty() => {
                let worker = *self.checked.first().expect("one has");
                self.hear(said(worker, ToCoordinator::OutboxFull));
            }
            _ => {}
        }
    }

    fn tick(&mut self, pause: Duration) {
        // Workers that are slow to register are another story.
        let pause = if self.started { pause } else { Duration::ZERO };
        self.job.now += pause;
        self.hear(Input::Tick);
    }

    fn hear(&mut self, input: Input) {
        for output in self.job.on(input) {
            assert!(self.ended.is_none(), "nothing comes after the end: {output:?}");
            self.see(output);
        }
    }

    fn see(&mut self, output: Output) {
        match output {
            Output::Tell { worker, message } => self.hear_worker(worker, message),
            Output::Append { commit, .. } => self.see_append(commit),
            Output::Conclude { epoch, files, .. } => {
                assert!(self.committed.contains(&epoch.0) && self.open == Some(epoch.0));
                assert!(files.is_sorted());
                self.concluding = Some(epoch.0);
            }
            Output::Sweep => assert!(!std::mem::replace(&mut self.sweeping, true), "one sweep at a time"),
            Output::TakeSavepoint { id, epoch } => {
                assert!(self.published.contains(&epoch.0), "a copy holds no outbox");
                assert!(self.copying.iter().all(|(copied, _)| *copied != id), "once");
                self.copying.push((id, epoch.0));
            }
            Output::AskWhoLeads => self.asked_who = true,
            Output::Answer { id, answer } => {
                let last = matches!(answer, Answer::Done { .. } | Answer::Failed { .. });
                *self.asked.get_mut(&id).expect("someone asked") |= last;
            }
            Output::Note(Note::Abandoned { epoch, .. }) => {
                assert!(self.committed.last() < Some(&epoch.0), "what is committed is not abandoned");
                assert_eq!(self.open.take(), Some(epoch.0));
                self.last = None;
            }
            Output::Note(_) => {}
            Output::End(end) => self.ended = Some(end),
        }
    }

    fn see_append(&mut self, commit: Commit) {
        assert!(self.append.is_none(), "one append at a time");
        if let Some(before) = self.unresolved.take() {
            assert_eq!(before, commit, "until it is resolved nothing else is appended");
        }
        match &commit {
            Commit::Epoch(checkpoint) => {
                let epoch = checkpoint.epoch.0;
                assert_eq!(self.open, Some(epoch));
                for worker in 0..self.job.workers {
                    assert!(self.checked.contains(&worker) && self.acknowledged.contains(&(worker, epoch)));
                }
            }
            Commit::Final { checkpoint, .. } => {
                assert_eq!(self.last, Some(checkpoint.epoch.0), "the last epoch is before it");
                assert!(self.published.contains(&checkpoint.epoch.0) && checkpoint.outbox.is_empty());
                assert!(self.copying.is_empty(), "copies are complete before it");
            }
        }
        self.append = Some((commit, false));
    }

    fn hear_worker(&mut self, worker: u32, message: ToWorker) {
        match message {
            ToWorker::Start { .. } => {
                self.started = true;
                self.may_say.push(said(worker, ToCoordinator::Checked));
                if self.open == Some(7) {
                    self.may_say.push(published(worker, 7));
                }
            }
            ToWorker::Barrier { epoch, last, .. } => self.on_barrier(worker, epoch, last),
            ToWorker::Committed { epoch, .. } => assert_eq!(self.committed.last(), Some(&epoch.0)),
            ToWorker::Publish(publication) => {
                assert_eq!(self.committed.last(), Some(&publication.epoch.0), "committed, then published");
                self.may_say.push(published(worker, publication.epoch.0));
            }
            ToWorker::Abandon { epoch } => assert_ne!(self.committed.last(), Some(&epoch.0)),
            ToWorker::Exit => {}
        }
    }

    fn on_barrier(&mut self, worker: u32, epoch: Epoch, last: bool) {
        assert!(self.open.is_none_or(|open| open == epoch.0), "one epoch is outstanding");
        self.open = Some(epoch.0);
        if last {
            self.last = Some(epoch.0);
        }
        // An upload fails now and then, and one in a while says nothing at all.
        let fails = !self.failed && epoch.0.is_multiple_of(5);
        let silent = !self.failed && epoch.0.is_multiple_of(7);
        if fails {
            self.may_say.push(said(worker, upload_failed(epoch.0)));
        } else if !silent {
            let output = !epoch.0.is_multiple_of(4);
            self.may_say.push(acknowledged(worker, self.job.workers, epoch.0, output));
        }
    }

    /// Nothing fails any more: it comes to its end.
    fn heal(&mut self) {
        self.failed = true;
        self.hear(Input::Stop(Some(Stop::End)));
        for round in 0..10_000 {
            if self.ended.is_some() {
                return;
            }
            self.say(0);
            if let Some((commit, _)) = self.append.take() {
                self.record(&commit);
                self.hear(Input::Appended);
            }
            self.conclude();
            self.copied(1);
            self.tick(if round % 50 == 49 { TIMEOUT } else { Duration::from_millis(100) });
        }
        panic!("it does not end: {:?}", self.job.machine);
    }
}

proptest! {
    // PROPTEST_CASES is 256 where nobody sets it.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases * 2_000 / 256, ..ProptestConfig::default() })]

    #[test]
    fn in_any_order_epochs_are_committed_one_by_one_and_then_published_and_the_job_ends(
        workers in 1_u32..4,
        inherited: bool,
        choices in proptest::collection::vec(any::<u16>(), 0..300),
    ) {
        let mut world = World::new(workers, inherited);

        for choice in choices {
            world.choose(choice);
        }
        world.heal();

        prop_assert!(matches!(world.ended, Some(End::Done(_))), "{:?}", world.ended);
        prop_assert!(world.committed.iter().all(|epoch| world.published.contains(epoch)));
        let waiting: Vec<_> = world.asked.iter().filter(|(_, answered)| !**answered).collect();
        prop_assert!(waiting.is_empty(), "nobody answered {waiting:?}");
    }
}
