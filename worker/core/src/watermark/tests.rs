//! Watermarks against the rules written down plainly.
//!
//! Owns: the naive model, and the cases that people ask about.
//! Never: tests windows.

use proptest::prelude::*;

use super::{END, NONE, PartitionWatermark, Status, WatermarkCombiner};

#[test]
fn a_partition_has_no_watermark_before_its_first_row() {
    let mut watermark = PartitionWatermark::new(1_000);
    assert_eq!(watermark.current(), NONE);

    watermark.observe(i64::MIN);
    assert_eq!(watermark.current(), NONE);
    watermark.observe(5_000);
    assert_eq!(watermark.current(), 3_999);
    watermark.observe(4_000);
    assert_eq!(watermark.current(), 3_999);
}

#[test]
fn a_bound_as_large_as_all_time_does_not_overflow() {
    let mut watermark = PartitionWatermark::new(i64::MAX);

    watermark.observe(-62_135_596_800_000);

    assert_eq!(watermark.current(), NONE);
}

#[test]
fn time_is_the_least_watermark_of_the_active_partitions() {
    let mut time = WatermarkCombiner::new(2);

    assert_eq!(time.advance(0, 10), None);
    assert_eq!(time.holding(), Some(1));
    assert_eq!(time.advance(1, 5), Some(5));
    assert_eq!(time.advance(1, 20), Some(10));
    assert_eq!(time.advance(1, 15), None);
    assert_eq!(time.holding(), Some(0));
}

#[test]
fn an_idle_partition_does_not_hold_time_back_and_must_catch_up() {
    let mut time = WatermarkCombiner::new(2);
    time.advance(0, 10);

    assert_eq!(time.set_status(1, Status::Idle), Some(10));
    assert_eq!(time.behind().collect::<Vec<_>>(), [1]);
    assert_eq!(time.advance(1, 50), None);
    assert_eq!(time.set_status(1, Status::Active), None);
    assert_eq!(time.behind().collect::<Vec<_>>(), [1]);

    assert_eq!(time.advance(1, 3), None);
    assert_eq!(time.advance(0, 12), Some(12));
    assert_eq!(time.advance(1, 12), None);
    assert_eq!(time.behind().count(), 0);
    assert_eq!(time.advance(0, 30), None);
    assert_eq!(time.holding(), Some(1));
}

#[test]
fn when_all_go_idle_time_goes_to_the_greatest_watermark_once_and_then_holds() {
    let mut time = WatermarkCombiner::new(2);
    time.advance(0, 10);
    time.advance(1, 40);

    assert_eq!(time.set_status(1, Status::Idle), None);
    assert_eq!(time.set_status(0, Status::Idle), Some(40));
    assert_eq!(time.advance(0, 100), None);
    assert_eq!(time.set_status(0, Status::Active), None);
    assert_eq!(time.set_status(0, Status::Idle), None);
    assert_eq!(time.current(), 40);
    assert_eq!(time.holding(), None);
}

#[test]
fn a_finished_partition_never_drags_time_to_the_end_while_others_are_idle() {
    let mut time = WatermarkCombiner::new(2);
    time.advance(0, 10);
    time.advance(1, 20);
    time.set_status(0, Status::Idle);
    assert_eq!(time.current(), 20);

    assert_eq!(time.set_status(1, Status::Finished), None);
    assert_eq!(time.current(), 20);
    time.set_status(0, Status::Active);
    assert_eq!(time.advance(0, 25), Some(25));

    assert_eq!(time.set_status(0, Status::Finished), Some(END));
    assert!(time.all_finished());
}

#[test]
fn the_watermark_of_a_finished_partition_counts_for_nothing_when_the_rest_goes_idle() {
    let mut time = WatermarkCombiner::new(3);
    time.advance(0, 10);
    time.advance(1, 20);
    time.advance(2, 90);
    time.set_status(2, Status::Finished);

    assert_eq!(time.set_status(1, Status::Idle), None);
    assert_eq!(time.set_status(0, Status::Idle), Some(20));
}

#[test]
fn a_partition_that_ends_lets_the_others_go_on() {
    let mut time = WatermarkCombiner::new(2);
    time.advance(0, 10);
    time.advance(1, 30);

    assert_eq!(time.set_status(0, Status::Finished), Some(30));
    assert_eq!(time.advance(1, 31), Some(31));
    assert_eq!(time.holding(), Some(1));
}

#[test]
fn a_partition_found_later_holds_nothing_back_until_it_has_caught_up() {
    let mut time = WatermarkCombiner::new(1);
    time.advance(0, 10);

    let found = time.add_partition();
    assert_eq!(time.advance(0, 11), Some(11));
    assert_eq!(time.behind().collect::<Vec<_>>(), [found]);
    time.advance(found, 11);

    assert_eq!(time.advance(0, 12), None);
    assert_eq!(time.holding(), Some(found));
}

#[test]
fn a_partition_that_wakes_ahead_of_time_raises_it_at_the_next_watermark_of_any() {
    let mut time = WatermarkCombiner::new(3);
    time.advance(0, 9);
    time.advance(1, 5);
    time.set_status(2, Status::Idle);
    assert_eq!(time.current(), 5);
    time.set_status(0, Status::Idle);
    assert_eq!(time.set_status(1, Status::Idle), Some(9));
    time.set_status(2, Status::Active);

    assert_eq!(time.set_status(0, Status::Active), None);
    assert_eq!(time.advance(2, 1), None);
    assert_eq!(time.advance(0, 11), Some(11));
}

#[test]
#[should_panic(expected = "finished for good")]
fn a_finished_partition_stays_finished() {
    let mut time = WatermarkCombiner::new(2);
    time.set_status(0, Status::Finished);

    time.set_status(0, Status::Active);
}

#[test]
fn a_partition_goes_on_from_its_greatest_time() {
    let mut before = PartitionWatermark::new(10);
    assert_eq!(PartitionWatermark::restore(before.max_timestamp(), 10), before);
    before.observe(500);

    let after = PartitionWatermark::restore(before.max_timestamp(), 20);

    assert_eq!((before.max_timestamp(), after.current()), (Some(500), 479));
}

#[test]
fn a_restored_partition_below_time_must_catch_up() {
    let mut time =
        WatermarkCombiner::restore(100, &[(120, Status::Active, false), (90, Status::Active, false)]);

    assert_eq!((time.current(), time.behind().collect::<Vec<_>>()), (100, vec![1]));
    assert_eq!(time.advance(0, 130), Some(130));
    assert_eq!(time.advance(1, 130), None);
    assert_eq!((time.behind().count(), time.advance(0, 150), time.holding()), (0, None, Some(1)));
}

#[test]
fn time_restored_after_all_have_finished_is_at_its_end() {
    let time = WatermarkCombiner::restore(70, &[(70, Status::Finished, false); 2]);

    assert!(time.all_finished());
    assert_eq!(time.current(), END);
}

/// The rules as they are written, by scanning everything each time.
struct Model {
    watermark: Vec<i64>,
    status: Vec<Status>,
    aligned: Vec<bool>,
    last_out: i64,
}

impl Model {
    fn new(partitions: usize) -> Self {
        Self {
            watermark: vec![i64::MIN; partitions],
            status: vec![Status::Active; partitions],
            aligned: vec![true; partitions],
            last_out: i64::MIN,
        }
    }

    fn add(&mut self) {
        self.watermark.push(i64::MIN);
        self.status.push(Status::Active);
        self.aligned.push(self.last_out == i64::MIN);
    }

    /// What a restart knows.
    fn restored(&self) -> WatermarkCombiner {
        let partition = |c: usize| (self.watermark[c], self.status[c], !self.aligned[c]);
        let partitions: Vec<_> = (0..self.status.len()).map(partition).collect();
        WatermarkCombiner::restore(self.last_out, &partitions)
    }

    fn emit(&mut self, watermark: Option<i64>) -> Option<i64> {
        let grown = watermark.filter(|w| *w > self.last_out)?;
        self.last_out = grown;
        Some(grown)
    }

    fn least_aligned(&self) -> Option<i64> {
        (0..self.watermark.len()).filter(|c| self.aligned[*c]).map(|c| self.watermark[c]).min()
    }

    fn greatest_unfinished(&self) -> Option<i64> {
        let unfinished = |c: &usize| self.status[*c] != Status::Finished;
        (0..self.watermark.len()).filter(unfinished).map(|c| self.watermark[c]).max()
    }

    fn on_watermark(&mut self, c: usize, w: i64) -> Option<i64> {
        if self.status[c] != Status::Active || w <= self.watermark[c] {
            return None;
        }
        self.watermark[c] = w;
        if !self.aligned[c] && w >= self.last_out {
            self.aligned[c] = true;
        }
        let out = self.least_aligned();
        self.emit(out)
    }

    fn on_status(&mut self, c: usize, status: Status) -> Option<i64> {
        let before = std::mem::replace(&mut self.status[c], status);
        if before == status {
            return None;
        }
        if status == Status::Active {
            self.aligned[c] = self.watermark[c] >= self.last_out;
            return None;
        }
        self.aligned[c] = false;
        if self.status.iter().all(|s| *s == Status::Finished) {
            return self.emit(Some(i64::MAX));
        }
        if before != Status::Active || self.watermark[c] != self.last_out {
            return None;
        }
        let none_active = !self.status.contains(&Status::Active);
        let out = if none_active { self.greatest_unfinished() } else { self.least_aligned() };
        self.emit(out)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Watermark(usize, i64),
    Status(usize, Status),
    Add,
    Restore,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let status = prop_oneof![4 => Just(Status::Active), 4 => Just(Status::Idle), 1 => Just(Status::Finished)];
    let step = prop_oneof![
        12 => (0..8_usize, -20..60_i64).prop_map(|(c, w)| Step::Watermark(c, w)),
        8 => (0..8_usize, status).prop_map(|(c, s)| Step::Status(c, s)),
        1 => Just(Step::Add),
        2 => Just(Step::Restore),
    ];
    prop::collection::vec(step, 0..120)
}

proptest! {
    // PROPTEST_CASES is 256 where nobody sets it.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases * 500 / 256, ..ProptestConfig::default() })]

    #[test]
    fn the_combiner_does_what_the_written_rules_say(partitions in 1..5_usize, steps in steps()) {
        let mut model = Model::new(partitions);
        let mut time = WatermarkCombiner::new(u32::try_from(partitions).expect("small"));
        for step in steps {
            let count = model.status.len();
            let (expected, found) = match step {
                Step::Watermark(c, w) => {
                    let c = c % count;
                    (model.on_watermark(c, w), time.advance(u32::try_from(c).expect("small"), w))
                }
                Step::Status(c, _) if model.status[c % count] == Status::Finished => continue,
                Step::Status(c, s) => {
                    let c = c % count;
                    (model.on_status(c, s), time.set_status(u32::try_from(c).expect("small"), s))
                }
                Step::Add => {
                    model.add();
                    time.add_partition();
                    (None, None)
                }
                Step::Restore => {
                    time = model.restored();
                    (None, None)
                }
            };

            prop_assert_eq!(found, expected);
            prop_assert_eq!(time.current(), model.last_out);
            let behind: Vec<usize> = time.behind().map(|c| c as usize).collect();
            let apart = |c: &usize| !model.aligned[*c] && model.status[*c] != Status::Finished;
            prop_assert_eq!(behind, (0..model.status.len()).filter(apart).collect::<Vec<_>>());
            let holding = time.holding().map(|c| model.watermark[c as usize]);
            prop_assert_eq!(holding, model.least_aligned());
            let active = (0..model.status.len()).filter(|c| model.status[*c] == Status::Active);
            prop_assert_eq!(time.slowest(), active.map(|c| model.watermark[c]).min());
            prop_assert_eq!(time.all_finished(), model.status.iter().all(|s| *s == Status::Finished));
        }
    }
}
