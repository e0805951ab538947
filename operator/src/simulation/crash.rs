//! Every sequence again and again, the operator cut off before and after each of its effects.
//!
//! Owns: the sequences and what all their ends have in common.
//! Never: samples: every position of every sequence is tried.

use std::collections::BTreeSet;

use streamjob_crds::{RestoreFrom, StateDeletion};

use super::operator::Side;
use super::scenarios::{image, restore, suspend};
use super::{Sim, spec};
use crate::world::Kind;

/// What somebody does, after a job has run for a while or, if `new`, as the first thing.
struct Sequence {
    name: &'static str,
    new: bool,
    act: fn(&mut Sim),
    /// How long it takes until everything is at rest again.
    seconds: u32,
}

const SEQUENCES: &[Sequence] = &[
    Sequence { name: "A first start", new: true, act: |_| {}, seconds: 60 },
    Sequence { name: "B upgrade", new: false, act: |sim| image(sim, "worker:2"), seconds: 90 },
    Sequence {
        name: "B upgrade that fails",
        new: false,
        act: |sim| image(sim, "worker:crash"),
        seconds: 120,
    },
    Sequence {
        name: "B upgrade that is refused",
        new: false,
        act: |sim| image(sim, "worker:unfit"),
        seconds: 60,
    },
    Sequence {
        name: "C rescale",
        new: false,
        act: |sim| sim.cluster.edit(|spec| spec.parallelism = 4),
        seconds: 90,
    },
    Sequence { name: "D suspend", new: false, act: |sim| suspend(sim, true), seconds: 60 },
    Sequence {
        name: "D suspend and resume",
        new: false,
        act: |sim| {
            suspend(sim, true);
            sim.seconds(20);
            suspend(sim, false);
        },
        seconds: 90,
    },
    Sequence { name: "E pod lost", new: false, act: |sim| sim.cluster.delete_pod("orders-1-0"), seconds: 60 },
    Sequence {
        name: "G restore",
        new: false,
        act: |sim| restore(sim, RestoreFrom::Uri, "r-1", Some("s3://streams/prod/shop.orders/savepoints/1")),
        seconds: 90,
    },
    Sequence { name: "H savepoint", new: false, act: |sim| sim.add_savepoint("one"), seconds: 60 },
    Sequence { name: "I delete", new: false, act: |sim| sim.cluster.delete_job(), seconds: 60 },
    Sequence {
        name: "I delete with state",
        new: false,
        act: |sim| {
            sim.cluster
                .edit(|spec| spec.deletion.get_or_insert_default().state = Some(StateDeletion::Delete));
            sim.seconds(3);
            sim.cluster.delete_job();
        },
        seconds: 120,
    },
    Sequence {
        name: "J another operator, another image, a restart",
        new: false,
        act: |sim| {
            sim.cluster.settings.worker_image = "worker:9".to_owned();
            sim.cluster.edit(|spec| spec.restarted_at = Some("2026-11-22T09:00:00Z".to_owned()));
        },
        seconds: 90,
    },
    Sequence {
        name: "K everything deleted",
        new: false,
        act: |sim| {
            sim.cluster.objects.retain(|(kind, _), _| *kind == Kind::Pod);
            sim.cluster.changed = true;
        },
        seconds: 120,
    },
    Sequence {
        name: "K status lost in an upgrade",
        new: false,
        act: |sim| {
            image(sim, "worker:2");
            sim.seconds(5);
            if let Some(job) = &mut sim.cluster.job {
                job.status = None;
            }
            sim.cluster.changed = true;
        },
        seconds: 120,
    },
];

/// What must be the same however often the operator was cut off: all but numbers of incarnations.
#[derive(Debug, PartialEq)]
struct End {
    conditions: Vec<(String, String, String)>,
    kinds: Vec<(Kind, usize)>,
    image: String,
    at_work: usize,
    parallelism: Option<(i64, i64)>,
    savepoints: Vec<Option<streamjob_crds::SavepointPhase>>,
    restored: Option<String>,
    deleted: bool,
}

fn end(sim: &Sim) -> End {
    let status = sim.cluster.status();
    let kinds =
        Kind::ALL.into_iter().filter(|kind| *kind != Kind::ControllerRevision && *kind != Kind::ConfigMap);
    End {
        conditions: status
            .conditions
            .iter()
            .map(|condition| (condition.type_.clone(), condition.status.clone(), condition.reason.clone()))
            .collect(),
        kinds: kinds.map(|kind| (kind, sim.cluster.names(kind).len())).collect(),
        image: sim.image_at_work(),
        at_work: sim.at_work().len(),
        parallelism: status.parallelism.map(|slots| (slots.current, slots.desired)),
        savepoints: sim.cluster.savepoints.iter().map(|one| one.status.as_ref()?.phase).collect(),
        restored: status.completed_restore_request,
        deleted: sim.cluster.logs.values().any(|log| log.deleted),
    }
}

/// Plays a sequence; None if the operator had no effect of that number.
fn play(sequence: &Sequence, started: &Sim, cut: Option<(usize, Side)>) -> Option<(Sim, usize)> {
    let mut sim = Sim { cluster: started.cluster.clone(), operator: super::Operator::default() };
    sim.operator.cut = cut;
    if sequence.new {
        sim.cluster.create(spec());
    }
    (sequence.act)(&mut sim);
    sim.seconds(sequence.seconds);
    let effects = sim.operator.effects;
    (cut.is_none() || sim.operator.was_cut).then_some((sim, effects))
}

#[test]
fn an_operator_that_is_cut_off_anywhere_ends_where_it_would_have_ended() {
    let (fresh, running) = (Sim::new(), Sim::running());
    let mut positions = 0;
    for sequence in SEQUENCES {
        let started = if sequence.new { &fresh } else { &running };
        let (whole, effects) = play(sequence, started, None).expect("it was not cut");
        whole.assert_sound();
        let wanted = end(&whole);
        let mut ends = BTreeSet::new();
        for number in 0..effects {
            for side in [Side::Before, Side::After] {
                let Some((sim, _)) = play(sequence, started, Some((number, side))) else { continue };
                positions += 1;
                let place = format!("{}, {side:?} effect {number}", sequence.name);
                assert_eq!(sim.cluster.violations, [""; 0], "{place}");
                assert_eq!(end(&sim), wanted, "{place}: {:#?}", sim.cluster.status());
                ends.insert(sim.cluster.status().incarnation);
            }
        }
        println!("{}: {effects} effects, ends with incarnations {ends:?}", sequence.name);
    }
    println!("{positions} positions");
    assert!(positions > 300, "only {positions} positions were tried");
}
