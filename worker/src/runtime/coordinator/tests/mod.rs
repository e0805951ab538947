//! The coordinator's state machine, without anything around it.
//!
//! Owns: single stories; every input in every step; random interleavings.
//! Never: starts a thread, or waits.

mod ends;
mod kit;
#[cfg(feature = "planted-bugs")]
mod planted;
mod random;
mod table;

use std::time::Duration;

use streamjob_checkpoint::ids::Epoch;
use streamjob_checkpoint::protocol::Commit;

use super::Ending;
use super::event::{Answer, End, Failure, Input, Note, Output};
use crate::runtime::messages::{FailureKind, ToCoordinator, ToWorker};
use crate::runtime::stop::Stop;
use kit::*;

#[test]
fn an_epoch_is_committed_then_published_then_listed_and_only_then_the_next_begins() {
    let mut job = Job::of(1);
    job.start();

    let barrier = job.after(INTERVAL, Input::Tick);
    let commit = job.on(acknowledged(0, 1, 1, true));
    let publish = job.on(Input::Appended);
    let early = job.after(INTERVAL * 3, Input::Tick);
    let conclude = job.on(published(0, 1));
    let next = job.on(Input::Concluded(Ok(())));

    assert_eq!(told(&barrier), [ToWorker::Barrier { epoch: Epoch(1), last: false, compact: vec![] }]);
    assert_eq!(committed_epochs(&commit), [1]);
    assert!(told(&commit).is_empty(), "nothing is published before the answer");
    assert!(matches!(told(&publish)[..], [ToWorker::Committed { .. }, ToWorker::Publish(_)]));
    assert!(early.is_empty(), "one epoch is outstanding");
    let [Output::Conclude { epoch: Epoch(1), files, progress, .. }] = &conclude[..] else {
        panic!("{conclude:?}")
    };
    assert_eq!((files.len(), *progress), (1, Some(10)));
    assert!(next.contains(&Output::Sweep));
    assert!(told(&next).iter().any(|message| matches!(message, ToWorker::Barrier { epoch: Epoch(2), .. })));
}

#[test]
fn what_became_of_an_append_is_asked_again_and_again_and_nothing_else_happens_meanwhile() {
    let mut job = Job::of(1);
    job.start();
    job.after(INTERVAL, Input::Tick);
    let first = job.on(acknowledged(0, 1, 1, true));

    let mut repeated = Vec::new();
    for _ in 0..20 {
        job.on(Input::Unresolved { cause: "timed out".to_owned() });
        let pause = job.machine.deadline().expect("it is tried again") - job.now;
        assert!(pause <= Duration::from_secs(10), "{pause:?}");
        assert_eq!(appends(&job.on(Input::Stop(Some(Stop::End)))), []);
        repeated.extend(appends(&job.after(pause, Input::Tick)));
    }

    assert_eq!(repeated, vec![appends(&first)[0].clone(); 20]);
    assert!(matches!(told(&job.on(Input::Appended))[0], ToWorker::Committed { epoch: Epoch(1), .. }));
}

#[test]
fn an_epoch_that_takes_too_long_is_abandoned_and_whoever_is_to_blame_is_named() {
    let mut job = Job::of(2);
    job.start();
    job.after(INTERVAL, Input::Tick);
    job.on(acknowledged(0, 2, 1, true));

    let abandoned = job.after(TIMEOUT, Input::Tick);
    let late = job.on(acknowledged(1, 2, 1, true));
    let again = job.after(INTERVAL, Input::Tick);

    let cause = "not complete after 60 s (worker 1: its part is not stored)".to_owned();
    assert!(abandoned.contains(&Output::Note(Note::Abandoned { epoch: Epoch(1), cause, in_a_row: 1 })));
    assert!(told(&abandoned).contains(&ToWorker::Abandon { epoch: Epoch(1) }));
    assert!(late.is_empty(), "its answer is of no use any more");
    assert!(told(&again).iter().any(|told| matches!(told, ToWorker::Barrier { epoch: Epoch(2), .. })));
}

#[test]
fn nothing_is_committed_before_all_old_objects_are_checked() {
    let mut job = Job::of(1);
    job.on(said(0, ToCoordinator::Registered { slots: 1 }));
    job.after(INTERVAL, Input::Tick);

    let acknowledged = job.on(acknowledged(0, 1, 1, false));
    let checked = job.on(said(0, ToCoordinator::Checked));

    assert!(acknowledged.is_empty());
    assert_eq!(committed_epochs(&checked), [1]);
}

#[test]
fn inherited_output_is_published_before_the_first_barrier() {
    let mut job = Job::inheriting(1, 7);
    let start = job.on(said(0, ToCoordinator::Registered { slots: 1 }));
    job.on(said(0, ToCoordinator::Checked));

    let early = job.after(INTERVAL, Input::Tick);
    job.on(published(0, 7));
    let first = job.on(Input::Concluded(Ok(())));

    assert!(matches!(told(&start)[..], [ToWorker::Start { inherited: Some(_), .. }]));
    assert!(early.is_empty());
    assert!(matches!(told(&first)[..], [ToWorker::Barrier { epoch: Epoch(8), .. }]));
}

#[test]
fn drained_input_ends_with_a_last_epoch_and_a_final_record_that_says_finished() {
    let mut job = Job::of(1);
    job.start();

    let last = job.on(said(0, ToCoordinator::Drained));
    let end = job.run_epoch(1);

    assert!(matches!(told(&last)[..], [ToWorker::Barrier { last: true, .. }]));
    assert!(matches!(appends(&end)[..], [Commit::Final { finished: true, .. }]));
    let done = job.on(Input::Appended);
    assert_eq!(done, [exit(0), Output::End(End::Done(Ending::Finished))]);
    assert!(job.on(Input::Stop(Some(Stop::End))).is_empty(), "nothing comes after the end");
}

#[test]
fn a_stop_during_an_epoch_waits_for_it_and_then_ends_with_one_more() {
    let mut job = Job::of(1);
    job.start();
    job.after(INTERVAL, Input::Tick);

    job.on(Input::Stop(Some(Stop::End)));
    let last = job.run_epoch(1);
    let end = job.run_epoch(2);

    assert!(matches!(told(&last)[..], [ToWorker::Barrier { epoch: Epoch(2), last: true, .. }]));
    let Commit::Final { checkpoint, finished, .. } = &appends(&end)[0] else { panic!("{end:?}") };
    assert_eq!((checkpoint.epoch, *finished, checkpoint.outbox.len()), (Epoch(2), false, 0));
    assert!(checkpoint.objects.is_empty(), "what was published is not kept");
}

#[test]
fn the_last_epoch_is_tried_again_until_it_is_stored() {
    let mut job = Job::of(1);
    job.start();
    job.on(Input::Stop(Some(Stop::End)));

    let failed = job.on(said(0, upload_failed(1)));
    let again = job.after(Duration::from_secs(1), Input::Tick);

    assert!(told(&failed).contains(&ToWorker::Abandon { epoch: Epoch(1) }));
    assert!(matches!(told(&again)[..], [ToWorker::Barrier { epoch: Epoch(2), last: true, .. }]));
}

#[test]
fn an_answer_of_another_attempt_counts_for_nothing() {
    let mut job = Job::of(1);
    job.start();
    job.after(INTERVAL, Input::Tick);
    let Input::Worker { worker, message, .. } = acknowledged(0, 1, 1, true) else { unreachable!() };

    let outputs = job.on(Input::Worker { worker, generation: OTHER, message });

    assert_eq!(outputs, [Output::Note(Note::Ignored { worker: 0, generation: OTHER })]);
}

#[test]
fn who_is_fenced_leaves_at_once_and_publishes_nothing() {
    let mut job = Job::of(1);
    job.start();
    job.after(INTERVAL, Input::Tick);
    job.on(acknowledged(0, 1, 1, true));

    let outputs = job.on(Input::Fenced { by: OTHER });

    assert_eq!(outputs, [exit(0), Output::End(End::Fenced { by: OTHER })]);
}

#[test]
fn a_failure_is_a_failure_only_for_who_leads() {
    let failed =
        || said(0, ToCoordinator::Failed { kind: FailureKind::Error, reason: "no space".to_owned() });
    let (mut leads, mut fenced) = (Job::of(1), Job::of(1));
    leads.start();
    fenced.start();

    assert_eq!(leads.on(failed()), [Output::AskWhoLeads]);
    assert_eq!(fenced.on(failed()), [Output::AskWhoLeads]);

    let failure = Failure { reason: "no space".to_owned(), may_pass: false };
    assert_eq!(leads.on(Input::Leads), [exit(0), Output::End(End::Failed(failure))]);
    let by = OTHER;
    assert_eq!(fenced.on(Input::Fenced { by }), [exit(0), Output::End(End::Fenced { by })]);
}

#[test]
fn a_savepoint_is_of_an_epoch_that_began_after_the_request_and_is_taken_once() {
    let mut job = Job::of(1);
    job.start();
    job.after(INTERVAL, Input::Tick);
    let ask = || Input::SavepointAsked { id: "a".to_owned() };

    job.on(ask());
    job.on(ask());
    let before = job.run_epoch(1);
    job.on(ask());
    let after = job.run_epoch(2);
    job.on(ask());
    let taken = Input::SavepointTaken { id: "a".to_owned(), result: Ok("/there".to_owned()) };
    let answered = job.on(taken);
    let known = job.on(ask());

    assert!(!takes(&before, 1) && takes(&after, 2));
    let done = Answer::Done { location: "/there".to_owned() };
    let answer = Output::Answer { id: "a".to_owned(), answer: done };
    assert_eq!((answered, known), (vec![answer.clone()], vec![answer]));
}

#[test]
fn the_end_waits_for_a_savepoint_that_is_being_copied() {
    let mut job = Job::of(1);
    job.start();
    job.on(Input::SavepointAsked { id: "a".to_owned() });
    job.on(Input::Stop(Some(Stop::End)));
    let copying = job.run_epoch(1);
    job.run_epoch(2);

    let end = job.on(Input::SavepointTaken { id: "a".to_owned(), result: Ok("/there".to_owned()) });

    assert!(takes(&copying, 1));
    assert!(matches!(appends(&end)[..], [Commit::Final { finished: false, .. }]));
}

fn takes(outputs: &[Output], epoch: u64) -> bool {
    outputs.contains(&Output::TakeSavepoint { id: "a".to_owned(), epoch: Epoch(epoch) })
}
