//! How a coordinator hands over, leaves, and gives both up.
//!
//! Owns: what is in the log then, and what is not.
//! Never: knows who asked.

use std::time::Duration;

use streamjob_checkpoint::ids::Epoch;
use streamjob_checkpoint::protocol::Commit;
use streamjob_checkpoint::record::Operation;

use super::kit::*;
use crate::runtime::coordinator::Ending;
use crate::runtime::coordinator::event::{End, Input, Output};
use crate::runtime::messages::{ToCoordinator, ToWorker};
use crate::runtime::stop::{HandOver, Stop};

const TIME: Duration = Duration::from_secs(30);

fn hand_over(until: Duration) -> Input {
    Input::Stop(Some(Stop::HandOver(HandOver { operation: "g2-upgrade-8".to_owned(), until })))
}

fn named(result: &str) -> Option<Operation> {
    Some(Operation { id: "g2-upgrade-8".to_owned(), result: result.to_owned() })
}

fn ends(outputs: &[Output]) -> Vec<&End> {
    let mut ends = Vec::new();
    for output in outputs {
        if let Output::End(end) = output {
            ends.push(end);
        }
    }
    ends
}

#[test]
fn the_last_record_of_a_hand_over_names_who_asked_for_it() {
    let mut job = Job::of(1);
    job.start();

    let last = job.on(hand_over(TIME));
    let end = job.run_epoch(1);
    let done = job.on(Input::Appended);

    assert!(matches!(told(&last)[..], [ToWorker::Barrier { last: true, .. }]));
    let [Commit::Final { operation, finished: false, checkpoint }] = &appends(&end)[..] else {
        panic!("{end:?}")
    };
    assert_eq!((operation, checkpoint.epoch), (&named("stopped"), Epoch(1)));
    assert_eq!(ends(&done), [&End::Done(Ending::Stopped)]);
}

#[test]
fn a_job_that_is_finished_before_it_is_handed_over_says_so() {
    let mut job = Job::of(1);
    job.start();
    job.on(said(0, ToCoordinator::Drained));

    job.on(hand_over(TIME));
    let end = job.run_epoch(1);

    let [Commit::Final { operation, finished: true, .. }] = &appends(&end)[..] else { panic!("{end:?}") };
    assert_eq!(operation, &named("finished"));
}

#[test]
fn a_hand_over_whose_output_is_not_published_in_time_has_no_final_record() {
    let mut job = Job::of(1);
    job.start();
    job.on(hand_over(TIME));
    job.on(acknowledged(0, 1, 1, true));
    job.on(Input::Appended);
    assert_eq!(job.machine.deadline(), Some(TIME));

    let early = job.after(TIME - Duration::from_millis(1), Input::Tick);
    let over = job.after(Duration::from_millis(1), Input::Tick);

    assert!(early.is_empty());
    assert_eq!(over, [exit(0), Output::End(End::OutOfTime)]);
}

#[test]
fn the_record_of_a_hand_over_has_its_time_and_what_is_late_is_not_tried_again() {
    let mut job = Job::of(1);
    job.start();
    job.on(hand_over(TIME));

    let end = job.run_epoch(1);
    let unresolved = job.on(Input::Unresolved { cause: "timed out".to_owned() });
    let again = job.after(Duration::from_secs(1), Input::Tick);
    let late = job.on(Input::Late);

    let until = |outputs: &[Output]| {
        let until = |output: &Output| {
            let Output::Append { until, .. } = output else { return None };
            Some(*until)
        };
        outputs.iter().filter_map(until).collect::<Vec<_>>()
    };
    assert_eq!((until(&end), until(&again)), (vec![Some(TIME)], vec![Some(TIME)]));
    assert!(until(&unresolved).is_empty() && appends(&end) == appends(&again));
    assert_eq!(late, [exit(0), Output::End(End::OutOfTime)]);
}

#[test]
fn a_hand_over_is_given_up_in_every_step() {
    for steps in 0..5 {
        let mut job = Job::of(1);
        job.start();
        job.on(hand_over(TIME));
        let mut inputs =
            vec![acknowledged(0, 1, 1, true), Input::Appended, published(0, 1), Input::Concluded(Ok(()))];
        inputs.truncate(steps);
        inputs.into_iter().for_each(|input| drop(job.on(input)));

        let over = job.after(TIME, Input::Tick);

        assert_eq!(ends(&over), [&End::OutOfTime], "after {steps} steps");
    }
}

#[test]
fn who_leaves_takes_a_last_checkpoint_and_leaves_the_incarnation_open() {
    let mut job = Job::of(1);
    job.start();

    let last = job.on(Input::Stop(Some(Stop::Leave { until: TIME })));
    let end = job.run_epoch(1);

    assert!(matches!(told(&last)[..], [ToWorker::Barrier { last: true, .. }]));
    assert!(appends(&end).is_empty(), "no Final: {end:?}");
    assert_eq!(ends(&end), [&End::Done(Ending::Left)]);
}

#[test]
fn who_cannot_take_a_last_checkpoint_in_time_leaves_without() {
    let mut job = Job::of(1);
    job.start();
    job.on(Input::Stop(Some(Stop::Leave { until: TIME })));

    let over = job.after(TIME, Input::Tick);

    assert_eq!(ends(&over), [&End::OutOfTime]);
}
