//! Barrier alignment, input by input.
//!
//! Owns: the cases, and random interleavings of inputs that deliver several epochs and end.
//! Never: tests what happens at an epoch.

use proptest::prelude::*;

use super::{Alignment, BarrierAligner};

#[test]
fn an_input_is_blocked_until_all_others_have_delivered_the_barrier() {
    let mut aligner = BarrierAligner::new(3);

    assert_eq!(aligner.on_barrier(1, 7), Alignment::Waiting);
    assert_eq!(aligner.on_barrier(0, 7), Alignment::Waiting);
    assert!(aligner.is_blocked(0) && aligner.is_blocked(1) && !aligner.is_blocked(2));
    assert_eq!(aligner.aligning(), Some(7));

    assert_eq!(aligner.on_barrier(2, 7), Alignment::Aligned);
    assert!((0..3).all(|channel| !aligner.is_blocked(channel)));
    assert_eq!(aligner.aligning(), None);
}

#[test]
fn one_input_is_aligned_at_once() {
    let mut aligner = BarrierAligner::new(1);

    assert_eq!(aligner.on_barrier(0, 1), Alignment::Aligned);
    assert_eq!(aligner.on_barrier(0, 2), Alignment::Aligned);
}

#[test]
fn an_input_that_has_ended_owes_no_barrier() {
    let mut aligner = BarrierAligner::new(2);
    assert_eq!(aligner.on_finished(1), None);

    assert_eq!(aligner.on_barrier(0, 1), Alignment::Aligned);
}

#[test]
fn the_end_of_the_last_input_that_owes_the_barrier_aligns_it() {
    let mut aligner = BarrierAligner::new(2);
    aligner.on_barrier(0, 4);

    assert_eq!(aligner.on_finished(1), Some(4));
    assert!(!aligner.is_blocked(0));
    assert_eq!(aligner.on_finished(0), None);
    assert!(aligner.all_finished());
}

#[test]
fn a_blocked_input_may_end_and_still_counts_as_delivered() {
    let mut aligner = BarrierAligner::new(3);
    aligner.on_barrier(0, 4);

    assert_eq!(aligner.on_finished(0), None);
    assert_eq!(aligner.on_barrier(1, 4), Alignment::Waiting);
    assert_eq!(aligner.on_barrier(2, 4), Alignment::Aligned);
}

#[test]
#[should_panic(expected = "epochs only grow")]
fn an_epoch_never_comes_twice() {
    let mut aligner = BarrierAligner::new(1);
    aligner.on_barrier(0, 4);

    aligner.on_barrier(0, 4);
}

#[test]
#[should_panic(expected = "while 4 is aligned")]
fn two_epochs_are_never_aligned_at_once() {
    let mut aligner = BarrierAligner::new(2);
    aligner.on_barrier(0, 4);

    aligner.on_barrier(1, 5);
}

proptest! {
    #[test]
    fn every_epoch_is_aligned_once_in_order_however_inputs_interleave(
        epochs in prop::collection::vec(0..5_u64, 1..5),
        picks in prop::collection::vec(0..5_usize, 0..200),
    ) {
        // Input c delivers the barriers 1..=epochs[c] and then ends.
        let channels = epochs.len();
        let mut aligner = BarrierAligner::new(u32::try_from(channels).expect("small"));
        let mut next = vec![1; channels];
        let mut aligned = Vec::new();
        // After the random picks every input gets as many turns as it can need.
        let turns = picks.into_iter().chain((0..channels).cycle().take(channels * 40));

        for c in turns.map(|pick| pick % channels) {
            let id = u32::try_from(c).expect("small");
            if aligner.is_blocked(id) || next[c] > epochs[c] + 1 {
                continue;
            }
            let epoch = next[c];
            next[c] += 1;
            if epoch > epochs[c] {
                aligned.extend(aligner.on_finished(id));
            } else if aligner.on_barrier(id, epoch) == Alignment::Aligned {
                aligned.push(epoch);
            }
        }

        let last = epochs.iter().copied().max().expect("one input at least");
        prop_assert_eq!(aligned, (1..=last).collect::<Vec<_>>());
        prop_assert!(aligner.all_finished());
    }
}
