//! Every input in every step.
//!
//! Owns: a golden table: what follows, in a few words.
//! Never: says why.

use std::time::Duration;

use super::kit::*;
use crate::runtime::coordinator::event::{Input, Output};
use crate::runtime::messages::{FailureKind, ToCoordinator};
use crate::runtime::stop::Stop;

/// A job in each step.
fn steps() -> Vec<(&'static str, Job)> {
    let registering = Job::of(1);
    let mut inheriting = Job::inheriting(1, 7);
    inheriting.start();
    let mut idle = Job::of(1);
    idle.start();
    let step = |from: &Job, pause: Duration, input: Input| {
        let mut next = from.clone();
        next.after(pause, input);
        next
    };
    let at_once = Duration::ZERO;
    let collecting = step(&idle, INTERVAL, Input::Tick);
    let appending = step(&collecting, at_once, acknowledged(0, 1, 1, true));
    let unresolved = step(&appending, at_once, Input::Unresolved { cause: "lost".to_owned() });
    let publishing = step(&appending, at_once, Input::Appended);
    let concluding = step(&publishing, at_once, published(0, 1));
    let mut last = step(&idle, at_once, Input::SavepointAsked { id: "a".to_owned() });
    last.on(Input::Stop(Some(Stop::End)));
    last.run_epoch(1);
    let mut closing = last.clone();
    closing.run_epoch(2);
    let taken = Input::SavepointTaken { id: "a".to_owned(), result: Ok("/there".to_owned()) };
    let ending = step(&closing, at_once, taken);
    let failing = step(&idle, at_once, Input::Broken { reason: "broken".to_owned() });
    let over = step(&failing, at_once, Input::Leads);
    vec![
        ("registering", registering),
        ("inheriting", inheriting),
        ("idle", idle),
        ("collecting", collecting),
        ("appending", appending),
        ("unresolved", unresolved),
        ("publishing", publishing),
        ("concluding", concluding),
        ("closing", closing),
        ("ending", ending),
        ("failing", failing),
        ("over", over),
    ]
}

/// Every input, with what would fit epoch 1.
fn inputs() -> Vec<(&'static str, Input)> {
    let text = || "x".to_owned();
    let failed = |kind| said(0, ToCoordinator::Failed { kind, reason: text() });
    vec![
        ("registered", said(0, ToCoordinator::Registered { slots: 1 })),
        ("wrong slots", said(0, ToCoordinator::Registered { slots: 2 })),
        ("checked", said(0, ToCoordinator::Checked)),
        ("acknowledged", acknowledged(0, 1, 1, true)),
        ("acknowledged later", acknowledged(0, 1, 9, true)),
        ("upload failed", said(0, upload_failed(1))),
        ("outbox full", said(0, ToCoordinator::OutboxFull)),
        ("published", published(0, 1)),
        ("published inherited", published(0, 7)),
        ("counted", said(0, ToCoordinator::Counted(Box::default()))),
        ("drained", said(0, ToCoordinator::Drained)),
        ("failed", failed(FailureKind::Error)),
        ("output closed", failed(FailureKind::OutputClosed)),
        ("worker gone", Input::WorkerGone { worker: 0, cause: text() }),
        ("appended", Input::Appended),
        ("not resolved", Input::Unresolved { cause: text() }),
        ("late", Input::Late),
        ("refused", Input::Refused { cause: text() }),
        ("broken", Input::Broken { reason: text() }),
        ("fenced", Input::Fenced { by: OTHER }),
        ("concluded", Input::Concluded(Ok(()))),
        ("not concluded", Input::Concluded(Err(text()))),
        ("leads", Input::Leads),
        ("savepoint asked", Input::SavepointAsked { id: "b".to_owned() }),
        ("savepoint taken", Input::SavepointTaken { id: "b".to_owned(), result: Ok(text()) }),
        ("swept", Input::Swept),
        ("stop", Input::Stop(Some(Stop::End))),
        ("leave", Input::Stop(Some(Stop::Leave { until: Duration::from_secs(100) }))),
        ("leave too late", Input::Stop(Some(Stop::Leave { until: Duration::ZERO }))),
        ("tick", Input::Tick),
    ]
}

/// The name of a variant, from its debug text.
fn name(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len());
    &text[..end]
}

fn outcome(outputs: &[Output]) -> String {
    let words: Vec<String> = outputs
        .iter()
        .map(|output| match output {
            Output::Tell { message, .. } => name(&format!("{message:?}")).to_owned(),
            Output::Append { commit, .. } => format!("Append{}", name(&format!("{commit:?}"))),
            Output::End(end) => format!("End{}", name(&format!("{end:?}"))),
            Output::Note(note) => format!("({})", name(&format!("{note:?}"))),
            Output::Answer { answer, .. } => format!("Answer{}", name(&format!("{answer:?}"))),
            Output::Conclude { .. } | Output::Sweep | Output::TakeSavepoint { .. } | Output::AskWhoLeads => {
                name(&format!("{output:?}")).to_owned()
            }
        })
        .collect();
    if words.is_empty() { "-".to_owned() } else { words.join(" ") }
}

#[test]
fn every_input_has_its_outcome_in_every_step() {
    let mut table = String::new();
    for (step, job) in steps() {
        table.push_str(&format!("{step}\n"));
        for (input, value) in inputs() {
            let mut job = job.clone();
            let outputs = job.on(value);
            let next = format!("{:?}", job.machine.step);
            table.push_str(&format!("  {input}: {} => {}\n", outcome(&outputs), name(&next)));
        }
    }

    let golden = include_str!("table.txt");
    if table != golden {
        let path = std::env::temp_dir().join("streamjob-coordinator-table.txt");
        std::fs::write(&path, &table).expect("the temporary folder can be written");
        panic!("the table has changed: compare {} with tests/table.txt", path.display());
    }
}
