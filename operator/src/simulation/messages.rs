//! Everything that a job's conditions say over its life and its troubles.
//!
//! Owns: the lives that are looked at.
//! Never: judges a message; the snapshot is read by people.

use std::collections::BTreeSet;

use streamjob_crds::{RestoreFrom, WhenUnhealthy};

use super::scenarios::{image, restore, suspend};
use super::{Sim, spec};

/// A life: its name, what happens, and for how long it is looked at.
type Life = (&'static str, fn(&mut Sim), u32);

const LIVES: &[Life] = &[
    ("an upgrade", |sim| image(sim, "worker:2"), 60),
    ("a suspension", |sim| suspend(sim, true), 40),
    ("a rescale", |sim| sim.cluster.edit(|spec| spec.parallelism = 3), 60),
    ("a restore", |sim| restore(sim, RestoreFrom::Latest, "incident-1", None), 60),
    ("a revision that fails", |sim| image(sim, "worker:crash"), 60),
    ("a revision that fails later", |sim| image(sim, "worker:later"), 90),
    ("an image that is not there", |sim| image(sim, "worker:nopull"), 700),
    ("a check that fails", |sim| image(sim, "worker:unfit"), 30),
    (
        "a pipeline that does not compile",
        |sim| sim.cluster.edit(|spec| spec.pipeline.key_by = vec!["nonsense".to_owned()]),
        3,
    ),
    (
        "too many workers",
        |sim| sim.cluster.edit(|spec| spec.workers.get_or_insert_default().slots = Some(1)),
        3,
    ),
    (
        "a state that moves",
        |sim| {
            sim.cluster.edit(|spec| {
                let location = spec.state.as_mut().and_then(|state| state.location.as_mut());
                location.expect("it has one").uri = Some("s3://elsewhere".to_owned());
            });
        },
        3,
    ),
    (
        "a hand-over that fails",
        |sim| {
            sim.cluster.processes.values_mut().for_each(|process| process.image = "unstoppable".to_owned());
            sim.cluster
                .edit(|spec| spec.upgrade.get_or_insert_default().when_unhealthy = Some(WhenUnhealthy::Wait));
            image(sim, "worker:2");
        },
        340,
    ),
    (
        "pods that are refused",
        |sim| {
            sim.cluster.refuses_pods = Some("pods \"orders-2-0\" is forbidden: exceeded quota".to_owned());
            image(sim, "worker:2");
        },
        5,
    ),
    ("an input that ends", |sim| sim.cluster.logs.values_mut().for_each(|log| log.finished = true), 20),
    ("a store that is down", |sim| sim.cluster.store_up = false, 1_000),
];

#[test]
fn what_conditions_say_over_the_life_of_a_job() {
    let mut told = String::new();
    for (name, act, seconds) in LIVES {
        let mut sim = Sim::running();
        act(&mut sim);
        let mut seen = BTreeSet::new();
        told.push_str(&format!("== {name}\n"));
        for _ in 0..*seconds {
            sim.seconds(1);
            for condition in sim.cluster.status().conditions {
                let line = format!(
                    "{}={} {}: {}",
                    condition.type_, condition.status, condition.reason, condition.message
                );
                if seen.insert(line.clone()) {
                    told.push_str(line.trim_end());
                    told.push('\n');
                }
            }
        }
    }
    let mut first = Sim::new();
    first.cluster.create(spec());
    first.seconds(1);
    assert_eq!(first.cluster.status().conditions.len(), 7);

    insta::assert_snapshot!(told);
}
