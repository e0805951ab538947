//! A coordinator in tests, and what its workers say.
//!
//! Owns: checkpoints and reports that fit, without windows.
//! Never: checks anything.

use std::collections::BTreeMap;
use std::time::Duration;

use streamjob_checkpoint::checkpoint::{
    Checkpoint, Counters, Object, OperatorState, OutboxObject, OutboxPart, PartitionState, PartitionStatus,
    SlotReport, SourcePosition, WorkerReport,
};
use streamjob_checkpoint::ids::{Epoch, Generation, Groups, Hash, Lineage};
use streamjob_checkpoint::protocol::Commit;

use super::super::event::{Input, Output, Setup};
use super::super::state::Coordinator;
use crate::runtime::messages::{Publication, PublishedFile, Times, ToCoordinator, ToWorker};

pub(super) const INTERVAL: Duration = Duration::from_secs(10);
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);
pub(super) const OURS: Generation = Generation { incarnation: 3, attempt: 1 };
pub(super) const OTHER: Generation = Generation { incarnation: 2, attempt: 1 };
pub(super) const LINEAGE: Lineage = Lineage(10);

/// A coordinator whose workers have a slot each.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) machine: Coordinator,
    pub(super) now: Duration,
    pub(super) workers: u32,
}

impl Job {
    pub(super) fn of(workers: u32) -> Self {
        Self::with(workers, 0, None)
    }

    /// One that goes on from an epoch whose output may not be published.
    pub(super) fn inheriting(workers: u32, epoch: u64) -> Self {
        let checkpoint = Checkpoint { outbox: vec![outbox(0, epoch)], ..checkpoint(workers, epoch) };
        Self::with(workers, epoch, Some(Publication::of(LINEAGE, &checkpoint)))
    }

    fn with(workers: u32, epoch: u64, inherited: Option<Publication>) -> Self {
        let setup = Setup {
            generation: OURS,
            lineage: LINEAGE,
            formerly: Vec::new(),
            progress_from: None,
            workers,
            parallelism: workers,
            interval: INTERVAL,
            timeout: TIMEOUT,
            checkpoint: Box::new(checkpoint(workers, epoch)),
            last_epoch: Epoch(epoch),
            inherited,
        };
        Self { machine: Coordinator::new(setup, Duration::ZERO), now: Duration::ZERO, workers }
    }

    pub(super) fn on(&mut self, input: Input) -> Vec<Output> {
        self.machine.on(input, self.now)
    }

    pub(super) fn after(&mut self, pause: Duration, input: Input) -> Vec<Output> {
        self.now += pause;
        self.on(input)
    }

    /// All workers are there and have checked their objects.
    pub(super) fn start(&mut self) {
        for worker in 0..self.workers {
            self.on(said(worker, ToCoordinator::Registered { slots: 1 }));
            self.on(said(worker, ToCoordinator::Checked));
        }
    }

    /// From the reports of an epoch under way until its files are listed. Returns what follows then.
    pub(super) fn run_epoch(&mut self, epoch: u64) -> Vec<Output> {
        for worker in 0..self.workers {
            self.on(acknowledged(worker, self.workers, epoch, true));
        }
        self.on(Input::Appended);
        for worker in 0..self.workers {
            self.on(published(worker, epoch));
        }
        self.on(Input::Concluded(Ok(())))
    }
}

fn checkpoint(workers: u32, epoch: u64) -> Checkpoint {
    let partitions = (0..workers).map(partition).collect();
    Checkpoint { epoch: Epoch(epoch), ..Checkpoint::at_start(workers, BTreeMap::new(), Hash(1), partitions) }
}

fn partition(number: u32) -> PartitionState {
    PartitionState {
        name: format!("generator-{number}"),
        files: Vec::new(),
        topic: None,
        position: SourcePosition::Row { row: 5, started_ms: 1 },
        max_timestamp_ms: None,
        status: PartitionStatus::Active,
    }
}

fn object_name(worker: u32, epoch: u64) -> String {
    format!("data/3-1/{epoch}-{worker}-00000000-0000-4000-8000-000000000000.outbox.arrow")
}

fn outbox(worker: u32, epoch: u64) -> OutboxObject {
    let part = OutboxPart { slot: worker, target: "results".to_owned(), rows: 2, bytes: 30 };
    OutboxObject { object: object_name(worker, epoch), parts: vec![part] }
}

pub(super) fn said(worker: u32, message: ToCoordinator) -> Input {
    Input::Worker { worker, generation: OURS, message }
}

pub(super) fn upload_failed(epoch: u64) -> ToCoordinator {
    ToCoordinator::UploadFailed { epoch: Epoch(epoch), cause: "no space".to_owned() }
}

/// A worker's report, with or without output.
pub(super) fn acknowledged(worker: u32, workers: u32, epoch: u64, output: bool) -> Input {
    let slot = SlotReport {
        slot: worker,
        partitions: BTreeMap::from([(worker, partition(worker))]),
        operator: OperatorState {
            groups: Groups::of_slot(worker, workers),
            watermark_ms: None,
            behind: Vec::new(),
        },
        shares: Vec::new(),
        blocks: Vec::new(),
        counters: Counters::default(),
    };
    let object = Object { name: object_name(worker, epoch), bytes: 40, hash: Hash(9) };
    let report = WorkerReport {
        slots: vec![slot],
        outbox: if output { vec![outbox(worker, epoch)] } else { Vec::new() },
        objects: if output { vec![object] } else { Vec::new() },
    };
    let epoch = Epoch(epoch);
    let times = Times::default();
    said(worker, ToCoordinator::Acknowledged { epoch, report: Box::new(report), times })
}

pub(super) fn published(worker: u32, epoch: u64) -> Input {
    let name = format!("{LINEAGE}-{epoch}-{worker}.jsonl");
    let file = PublishedFile { target: "results".to_owned(), name, rows: 2, bytes: 30 };
    // As if the topic of progress had ten records for each epoch, and each worker one of them.
    let (epoch, progress) = (Epoch(epoch), Some(10 * epoch + u64::from(worker)));
    said(worker, ToCoordinator::Published { lineage: LINEAGE, epoch, files: vec![file], progress })
}

/// What worker 0 is told.
pub(super) fn told(outputs: &[Output]) -> Vec<ToWorker> {
    let told = |output: &Output| {
        let Output::Tell { worker: 0, message } = output else { return None };
        Some(message.clone())
    };
    outputs.iter().filter_map(told).collect()
}

pub(super) fn appends(outputs: &[Output]) -> Vec<Commit> {
    let append = |output: &Output| {
        let Output::Append { commit, .. } = output else { return None };
        Some(commit.clone())
    };
    outputs.iter().filter_map(append).collect()
}

pub(super) fn committed_epochs(outputs: &[Output]) -> Vec<u64> {
    let epoch = |commit: Commit| match commit {
        Commit::Epoch(checkpoint) => Some(checkpoint.epoch.0),
        Commit::Final { .. } => None,
    };
    appends(outputs).into_iter().filter_map(epoch).collect()
}

pub(super) fn exit(worker: u32) -> Output {
    Output::Tell { worker, message: ToWorker::Exit }
}
