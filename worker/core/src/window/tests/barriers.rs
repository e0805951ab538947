//! Single cases of freezes and restarts.
//!
//! Owns: what the properties do not reach: what is refused, what waits, where memory goes.
//! Never: uses random input.

use super::*;
use crate::key_group::KEY_GROUPS;

fn job(lateness_ms: i64) -> Job {
    Job { size_ms: 10, offset_ms: 0, lateness_ms, bound_ms: 0, rows: Vec::new(), parallelism: 1 }
}

fn operator(lateness_ms: i64) -> WindowOperator {
    WindowOperator::new(&spec(&job(lateness_ms)), 0..KEY_GROUPS).expect("the job is sound")
}

fn row(key: &str, value: i64, time: i64) -> Row {
    (Some(key.into()), value, time)
}

fn feed(operator: &mut WindowOperator, rows: &[Row]) -> usize {
    let mut late = Vec::new();
    operator.on_rows(&keyed(rows), &mut late).expect("no overflow");
    late.len()
}

/// Key, window end, count, sum.
fn poll(operator: &mut WindowOperator) -> Vec<(String, i64, i64, i64)> {
    let batches = std::iter::from_fn(|| operator.poll_results(100).expect("no overflow"));
    let rows = batches.flat_map(|batch| emitted(&batch));
    rows.map(|(key, row)| (key.unwrap_or_default(), row[1], row[2], row[3])).collect()
}

fn awaited(end: i64, emitted: Emitted) -> RestoredSlice {
    RestoredSlice { end, input_rows: 2, emitted: vec![(0..KEY_GROUPS, emitted)], awaiting: true }
}

/// The state of two rows of key `a` in the window that ends at 10.
fn old_state() -> RestoredLayer {
    let mut before = operator(0);
    feed(&mut before, &[row("a", 3, 1), row("a", 4, 2)]);
    let codec = StateCodec::new(&spec(&job(0))).expect("the job is sound");
    let mut builder = LayerBuilder::new(&spec(&job(0)), 0..KEY_GROUPS).expect("the job is sound");
    for slice in before.freeze(&[]).slices {
        let mut scan = slice.scan();
        while let Some(chunk) = scan.next_chunk(&codec, 10) {
            builder.add(&chunk.keys, &chunk.states, 0..KEY_GROUPS);
        }
    }
    builder.finish(2)
}

#[test]
fn rows_go_in_while_old_state_is_awaited_and_results_wait_for_it() {
    let mut restored = operator(0);
    restored.restore(5, vec![awaited(10, Emitted::Nothing)]);

    feed(&mut restored, &[row("a", 10, 6), row("b", 1, 12)]);
    restored.on_watermark(19);
    assert!(restored.awaits() && restored.has_pending());
    assert_eq!(poll(&mut restored), []);
    assert_eq!(feed(&mut restored, &[row("a", 1, 7), row("c", 1, 21)]), 1);
    let status = restored.statuses();
    assert_eq!((status[0].end, status[0].input_rows), (10, 3));
    assert_eq!(restored.freeze(&[10]).slices[0].kind, FrozenKind::Delta);
    restored.add_restored(10, old_state());

    assert_eq!(poll(&mut restored), [("a".into(), 10, 3, 17), ("b".into(), 20, 1, 1)]);
    assert!(!restored.awaits());
}

/// Ends and input rows of all windows.
fn rows_of(operator: &WindowOperator) -> Vec<(i64, u64)> {
    operator.statuses().iter().map(|status| (status.end, status.input_rows)).collect()
}

#[test]
fn rows_that_update_a_fired_window_wait_for_its_state_and_others_do_not() {
    let mut restored = operator(100);
    restored.restore(15, vec![awaited(10, Emitted::All)]);
    assert!(!restored.has_pending() && !restored.awaits());

    assert_eq!(feed(&mut restored, &[row("a", 5, 3), row("b", 1, 16), row("a", 1, 4)]), 0);
    assert!(restored.awaits() && restored.has_updates() && !restored.awaits_before_rows());
    assert_eq!((poll(&mut restored), rows_of(&restored)), (vec![], vec![(10, 2), (20, 1)]));
    restored.add_restored(10, old_state());

    assert!(!restored.awaits() && restored.has_updates());
    assert_eq!(poll(&mut restored), [("a".into(), 10, 3, 12), ("a".into(), 10, 4, 13)]);
    assert_eq!((restored.has_updates(), rows_of(&restored)), (false, vec![(10, 4), (20, 1)]));
}

#[test]
fn updates_come_behind_the_results_of_a_window_that_fired_while_its_state_was_awaited() {
    let mut restored = operator(100);
    restored.restore(5, vec![awaited(10, Emitted::Nothing)]);

    feed(&mut restored, &[row("a", 10, 6), row("b", 1, 12)]);
    restored.on_watermark(9);
    feed(&mut restored, &[row("a", 1, 7)]);
    restored.on_watermark(19);
    feed(&mut restored, &[row("b", 2, 13)]);
    assert_eq!(poll(&mut restored), []);
    restored.add_restored(10, old_state());
    feed(&mut restored, &[row("a", 2, 8)]);

    let a = |count, sum| ("a".to_owned(), 10, count, sum);
    let b = |count, sum| ("b".to_owned(), 20, count, sum);
    assert_eq!(poll(&mut restored), [a(3, 17), a(4, 18), b(1, 1), b(2, 3), a(5, 20)]);
}

#[test]
fn a_window_stays_for_rows_that_are_held() {
    let mut restored = operator(20);
    restored.restore(15, vec![awaited(10, Emitted::All)]);
    feed(&mut restored, &[row("a", 5, 3)]);
    feed(&mut restored, &[row("a", 1, 4)]);
    restored.on_watermark(40);
    assert_eq!(feed(&mut restored, &[row("a", 1, 5)]), 1);
    assert_eq!(restored.stats().open_windows, 1);

    restored.add_restored(10, old_state());

    assert_eq!(poll(&mut restored), [("a".into(), 10, 3, 12), ("a".into(), 10, 4, 13)]);
    assert_eq!((restored.stats().open_windows, restored.has_pending()), (0, false));
}

#[test]
fn all_rows_wait_when_too_many_are_held() {
    let mut restored = operator(100);
    restored.restore(15, vec![awaited(10, Emitted::All)]);
    let rows: Vec<Row> = (0..10_000).map(|at| row(&format!("{at}"), 1, 3)).collect();
    let held = (0..1_000).take_while(|_| {
        feed(&mut restored, &rows);
        !restored.awaits_before_rows()
    });
    assert!((10..100).contains(&held.count()), "some megabytes");

    restored.add_restored(10, old_state());
    while restored.poll_results(10_000).expect("no overflow").is_some() {}

    assert!(!restored.awaits_before_rows() && !restored.has_updates());
}

#[test]
#[should_panic(expected = "results of late rows are handed out before a freeze")]
fn a_freeze_before_results_of_late_rows_is_refused() {
    let mut operator = operator(100);
    operator.on_watermark(15);
    feed(&mut operator, &[row("a", 5, 3)]);

    operator.freeze(&[]);
}

#[test]
#[should_panic(expected = "took 9 rows and has states of 2")]
fn a_window_that_lost_rows_does_not_fire() {
    let mut restored = operator(0);
    restored.restore(5, vec![RestoredSlice { input_rows: 9, ..awaited(10, Emitted::Nothing) }]);
    restored.add_restored(10, old_state());
    restored.on_watermark(9);

    poll(&mut restored);
}

#[test]
fn the_state_of_a_window_that_closed_meanwhile_is_passed_over() {
    let mut restored = operator(20);
    restored.restore(15, vec![awaited(10, Emitted::All)]);
    restored.on_watermark(40);

    restored.add_restored(10, old_state());

    assert_eq!((restored.stats().open_windows, restored.awaits()), (0, false));
}

#[test]
fn a_window_that_one_slot_had_closed_and_another_not_hands_out_the_rest() {
    let mut restored = operator(0);
    let (before, state) = (awaited(10, Emitted::Nothing), old_state());
    let group = u32::from(key_group(keyed(&[row("a", 0, 0)]).keys.hashes[0]).0);
    let emitted = vec![(group + 1..KEY_GROUPS, Emitted::Nothing)];
    restored.restore(9, vec![RestoredSlice { emitted, ..before }]);
    restored.add_restored(10, state);

    assert_eq!(poll(&mut restored), []);
    assert_eq!(restored.stats().open_windows, 0);
}

#[test]
fn abandoned_freezes_do_not_pile_up_and_the_next_one_gives_all() {
    let mut operator = operator(0);
    for round in 0..50 {
        feed(&mut operator, &[row("a", 1, 1), row(&format!("b{}", round % 5), 1, 1)]);
        drop(operator.freeze(&[]));
        while operator.fold_some(1) {}
    }

    assert_eq!(operator.stats().keys, 6);
    let frozen = operator.freeze(&[]);
    assert_eq!((frozen.slices.len(), frozen.slices[0].input_rows), (1, 100));
    operator.on_committed();
    assert!(operator.freeze(&[]).slices.is_empty());
    assert_eq!(operator.freeze(&[10]).slices[0].input_rows, 100);
}

#[test]
fn what_is_read_is_not_folded_until_it_is_let_go() {
    let mut operator = operator(0);
    let mut frozen = Vec::new();
    for _ in 0..3 {
        feed(&mut operator, &[row("a", 1, 1)]);
        frozen.push(operator.freeze(&[]));
        operator.on_committed();
    }
    assert!(!operator.fold_some(100));
    assert_eq!(operator.stats().keys, 3);

    frozen.clear();

    while operator.fold_some(100) {}
    assert_eq!(operator.stats().keys, 1);
    operator.on_watermark(9);
    assert_eq!(poll(&mut operator), [("a".into(), 10, 3, 3)]);
}

#[test]
fn old_state_that_comes_while_a_table_is_half_way_in_another_disturbs_neither() {
    for steps_after in [0, 1, 2, 100] {
        let mut restored = operator(0);
        restored.restore(5, vec![awaited(10, Emitted::Nothing)]);
        for _ in 0..2 {
            feed(&mut restored, &["a", "b", "c", "d"].map(|key| row(key, 1, 6)));
            drop(restored.freeze(&[]));
            restored.on_committed();
        }
        assert!(restored.fold_some(2));

        restored.add_restored(10, old_state());
        (0..steps_after).for_each(|_| {
            restored.fold_some(1);
        });
        restored.on_watermark(9);

        let mut results = poll(&mut restored);
        results.sort();
        let expected = [("a", 4, 9), ("b", 2, 2), ("c", 2, 2), ("d", 2, 2)];
        assert_eq!(results, expected.map(|(key, count, sum)| (key.into(), 10, count, sum)));
    }
}

#[test]
fn memory_of_folded_tables_serves_the_next_deltas() {
    let rows: Vec<Row> = (0..20_000).map(|key| row(&format!("key-{key:010}"), 1, 1)).collect();
    let mut operator = operator(0);
    let mut sizes = Vec::new();
    for _ in 0..6 {
        rows.chunks(1000).for_each(|rows| assert_eq!(feed(&mut operator, rows), 0));
        drop(operator.freeze(&[]));
        operator.on_committed();
        sizes.push(operator.stats().state_bytes);
        while operator.fold_some(1000) {}
        assert_eq!(operator.stats().keys, 20_000);
    }

    assert!(sizes[5] <= sizes[2], "{sizes:?}");
}
