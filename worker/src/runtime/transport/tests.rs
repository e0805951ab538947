//! Links, in one process and between two ends of a socket.
//!
//! Owns: what arrives, in which order, and what is heard of an end that has gone.
//! Never: starts a process.

use std::io::Write;
use std::time::Duration;

use crossbeam_channel::{RecvTimeoutError, TryRecvError, unbounded};
use crossbeam_utils::sync::Parker;
use streamjob_checkpoint::ids::Epoch;

use super::*;

const GENERATION: Generation = Generation { incarnation: 3, attempt: 1 };
const LATER: Generation = Generation { incarnation: 4, attempt: 1 };
const SOON: Duration = Duration::from_secs(20);

/// Both kinds of links: what is true of one is true of the other.
fn both_kinds() -> [(CoordinatorLink, WorkerLink, Receiver<FromWorker>); 2] {
    let (heard, hears) = unbounded();
    let (coordinator, worker) = link(GENERATION, 5, heard);
    let in_process = (coordinator, worker, hears);
    let (heard, hears) = unbounded();
    let (ours, theirs) = UnixStream::pair().expect("two sockets");
    let coordinator = CoordinatorLink::over(ours, GENERATION, 5, heard).expect("a thread");
    let worker = WorkerLink::over(theirs, GENERATION).expect("a thread");
    [in_process, (coordinator, worker, hears)]
}

fn abandon(epoch: u64) -> ToWorker {
    ToWorker::Abandon { epoch: Epoch(epoch) }
}

fn message(heard: Heard) -> ToCoordinator {
    match heard {
        Heard::Message(envelope) => {
            assert_eq!(envelope.generation, GENERATION);
            envelope.message
        }
        Heard::Gone { cause } => panic!("gone: {cause}"),
    }
}

#[test]
fn messages_arrive_in_order_in_both_directions() {
    for (coordinator, worker, hears) in both_kinds() {
        for epoch in 0..50 {
            coordinator.send(abandon(epoch)).expect("open");
        }
        worker.sender().send(ToCoordinator::Registered { slots: 2 }).expect("open");
        worker.sender().send(ToCoordinator::Checked).expect("open");

        let received: Vec<ToWorker> =
            (0..50).map(|_| worker.received().recv_timeout(SOON).expect("it was sent")).collect();
        assert_eq!(received, (0..50).map(abandon).collect::<Vec<_>>());
        let first = hears.recv_timeout(SOON).expect("it was sent");
        let second = hears.recv_timeout(SOON).expect("it was sent");
        assert_eq!((first.worker, second.worker), (5, 5));
        assert_eq!(message(first.heard), ToCoordinator::Registered { slots: 2 });
        assert_eq!(message(second.heard), ToCoordinator::Checked);
    }
}

#[test]
fn a_worker_whose_coordinator_has_gone_reads_what_was_sent_and_then_the_end() {
    for (coordinator, worker, _hears) in both_kinds() {
        coordinator.send(ToWorker::Exit).expect("open");

        drop(coordinator);

        assert_eq!(worker.received().recv_timeout(SOON), Ok(ToWorker::Exit));
        assert_eq!(worker.received().recv_timeout(SOON), Err(RecvTimeoutError::Disconnected));
    }
}

#[test]
fn the_coordinator_hears_that_a_worker_has_gone_after_what_it_said_last() {
    for (coordinator, worker, hears) in both_kinds() {
        let other_thread = worker.sender();
        drop(worker);
        // One of its threads goes on, and says its last word.
        other_thread.send(ToCoordinator::Drained).expect("open");

        drop(other_thread);

        let last = hears.recv_timeout(SOON).expect("it was sent");
        assert_eq!(message(last.heard), ToCoordinator::Drained);
        let gone = hears.recv_timeout(SOON).expect("it is told");
        assert!(matches!(gone, FromWorker { worker: 5, heard: Heard::Gone { .. } }), "{gone:?}");
        assert_eq!(coordinator.send(ToWorker::Exit), Err(LinkClosed));
    }
}

#[test]
fn a_sleeping_worker_is_woken_by_a_message_and_by_the_end() {
    for (coordinator, worker, _hears) in both_kinds() {
        let parker = Parker::new();
        worker.wake_with(parker.unparker().clone());

        coordinator.send(ToWorker::Exit).expect("open");
        // Spurious wake-ups are possible, missing ones are not.
        let message = loop {
            parker.park_timeout(SOON);
            match worker.received().try_recv() {
                Err(TryRecvError::Empty) => {}
                other => break other,
            }
        };
        drop(coordinator);
        while worker.received().try_recv() != Err(TryRecvError::Disconnected) {
            parker.park_timeout(SOON);
        }

        assert_eq!(message, Ok(ToWorker::Exit));
    }
}

#[test]
fn a_message_of_another_attempt_does_not_reach_the_worker() {
    let (ours, theirs) = UnixStream::pair().expect("two sockets");
    let worker = WorkerLink::over(theirs, GENERATION).expect("a thread");
    let (heard, _hears) = unbounded();
    let other =
        CoordinatorLink::over(ours.try_clone().expect("a handle"), LATER, 0, heard).expect("a thread");
    other.send(ToWorker::Exit).expect("open");
    let frame = Envelope::new(GENERATION, abandon(1)).encode();
    frame::write(&mut &ours, &frame).expect("open");

    let first = worker.received().recv_timeout(SOON);

    assert_eq!((worker.generation(), first), (GENERATION, Ok(abandon(1))));
}

#[test]
fn what_a_worker_of_another_attempt_says_is_heard_with_its_generation() {
    let (ours, theirs) = UnixStream::pair().expect("two sockets");
    let (heard, hears) = unbounded();
    let _coordinator = CoordinatorLink::over(ours, LATER, 0, heard).expect("a thread");
    let worker = WorkerLink::over(theirs, GENERATION).expect("a thread");

    worker.sender().send(ToCoordinator::Checked).expect("open");

    let heard = hears.recv_timeout(SOON).expect("it was sent").heard;
    assert_eq!(message(heard), ToCoordinator::Checked);
}

#[test]
fn garbage_on_a_link_closes_it() {
    let (mut ours, theirs) = UnixStream::pair().expect("two sockets");
    let (heard, hears) = unbounded();
    let _coordinator = CoordinatorLink::over(theirs, GENERATION, 0, heard).expect("a thread");

    ours.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("open");

    match hears.recv_timeout(SOON).expect("it is told").heard {
        Heard::Gone { cause } => assert!(cause.contains("claims 1195725856 bytes"), "{cause}"),
        Heard::Message(message) => panic!("{message:?}"),
    }
}
