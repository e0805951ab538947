//! How a figure is derived from the runs of a case, and of the case that it is compared with.
//!
//! Owns: which runs are compared, and what is the middle of several.
//! Never: judges a figure, or leaves out a run.

use crate::cases::{Case, Numbers, Sample};
use crate::checkpoints::{Checkpoint, Checkpoints};
use crate::prebuilt::Measured;
use crate::process::Usage;

/// Whole runs, of one case or of all, with their rows.
pub(crate) fn usages(samples: &[Sample], only: Option<Case>) -> impl Iterator<Item = (f64, &Usage)> {
    let chosen = samples.iter().filter(move |sample| only.is_none_or(|case| sample.case == case));
    chosen.filter_map(|sample| match &sample.numbers {
        Numbers::Usage(usage) => Some((sample.rows as f64, usage)),
        Numbers::Checkpoints(run) => Some((sample.rows as f64, &run.usage)),
        Numbers::FirstOutputS(_) | Numbers::Prebuilt(_) | Numbers::Restart(_) => None,
    })
}

/// Runs that told of their checkpoints.
pub(crate) fn runs_with_checkpoints(samples: &[Sample], case: Case) -> impl Iterator<Item = &Checkpoints> {
    samples.iter().filter(move |sample| sample.case == case).filter_map(|sample| match &sample.numbers {
        Numbers::Checkpoints(run) => Some(run),
        Numbers::Usage(_) | Numbers::FirstOutputS(_) | Numbers::Prebuilt(_) | Numbers::Restart(_) => None,
    })
}

/// What a checkpoint every 5 s adds to one busy core: CPU of a run with many checkpoints, less that of the run with only
/// the last one in the same round, for each checkpoint more.
pub(crate) fn checkpoint_cost_percent(samples: &[Sample], many: Case, one: Case) -> Vec<f64> {
    let one = usages(samples, Some(one)).map(|(_, usage)| usage.cpu_s);
    let more = |run: &Checkpoints| (run.committed.max(2) - 1) as f64;
    let cost = |(run, one): (&Checkpoints, f64)| (run.usage.cpu_s - one) / more(run) / 5.0 * 100.0;
    runs_with_checkpoints(samples, many).zip(one).map(cost).collect()
}

/// After each barrier, over all runs.
pub(crate) fn barrier_gaps_ms(samples: &[Sample]) -> Vec<f64> {
    runs_with_checkpoints(samples, Case::Barriers1m).flat_map(|run| run.gaps_ms.iter().copied()).collect()
}

/// For each run, the median over its checkpoints in which nearly all keys had changed.
pub(crate) fn per_checkpoint(samples: &[Sample], case: Case, value: impl Fn(&Checkpoint) -> f64) -> Vec<f64> {
    let full = |of: &&Checkpoint| of.keys * 10 >= case.keys() * 9;
    let of_run =
        |run: &Checkpoints| median(&run.checkpoints.iter().filter(full).map(&value).collect::<Vec<_>>());
    runs_with_checkpoints(samples, case).filter_map(of_run).collect()
}

/// From the start of the process that goes on until its first rows are in windows.
pub(crate) fn restarts_ms(samples: &[Sample], case: Case) -> Vec<f64> {
    let chosen = samples.iter().filter(|sample| sample.case == case);
    chosen
        .filter_map(|sample| match &sample.numbers {
            Numbers::Restart(restart) => Some(restart.first_row_s * 1e3),
            Numbers::Usage(_) | Numbers::FirstOutputS(_) | Numbers::Prebuilt(_) | Numbers::Checkpoints(_) => {
                None
            }
        })
        .collect()
}

/// Runs over batches in memory, with their rows.
pub(crate) fn prebuilt(samples: &[Sample], case: Case) -> impl Iterator<Item = (f64, &Measured)> {
    let chosen = samples.iter().filter(move |sample| sample.case == case);
    chosen.filter_map(|sample| match &sample.numbers {
        Numbers::Prebuilt(measured) => Some((sample.rows as f64, measured)),
        Numbers::Usage(_) | Numbers::FirstOutputS(_) | Numbers::Checkpoints(_) | Numbers::Restart(_) => None,
    })
}

/// One value of each whole run.
pub(crate) fn per_run(samples: &[Sample], case: Case, value: impl Fn(f64, &Usage) -> f64) -> Vec<f64> {
    usages(samples, Some(case)).map(|(rows, usage)| value(rows, usage)).collect()
}

/// Pairs of runs of the same round.
pub(crate) fn pairs(
    samples: &[Sample],
    case: Case,
    base: Case,
    value: impl Fn(&Usage, &Usage) -> f64,
) -> Vec<f64> {
    let both = usages(samples, Some(case)).zip(usages(samples, Some(base)));
    both.map(|((_, usage), (_, base))| value(usage, base)).collect()
}

/// Peak memory at 10 M keys less that at 1 M, for each key more.
pub(crate) fn bytes_per_key(samples: &[Sample]) -> Vec<f64> {
    let per_key = |large: &Usage, small: &Usage| (large.rss_bytes as f64 - small.rss_bytes as f64) / 9e6;
    pairs(samples, Case::Sequence10m, Case::Sequence1m, per_key)
}

/// CPU on two slots, for that on one.
pub(crate) fn cost_of_two_slots(samples: &[Sample]) -> Vec<f64> {
    pairs(samples, Case::TwoFilesTwoSlots, Case::TwoFilesOneSlot, |two, one| two.cpu_s / one.cpu_s)
}

/// Of two cores.
pub(crate) fn unused_percent(samples: &[Sample]) -> Vec<f64> {
    per_run(samples, Case::TwoFilesTwoSlots, |_, usage| 100.0 - usage.cpu_s / usage.wall_s / 2.0 * 100.0)
}

/// From the start of the process.
pub(crate) fn first_output_ms(samples: &[Sample]) -> Vec<f64> {
    let numbers = samples.iter().map(|sample| &sample.numbers);
    numbers
        .filter_map(|numbers| match numbers {
            Numbers::FirstOutputS(seconds) => Some(seconds * 1e3),
            Numbers::Usage(_) | Numbers::Prebuilt(_) | Numbers::Checkpoints(_) | Numbers::Restart(_) => None,
        })
        .collect()
}

/// None of no values.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| quantile(values, 0.5))
}

/// So much of the values is not above this; between two of them, in the middle. There is at least one value.
pub(crate) fn quantile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() - 1) as f64 * part;
    (sorted[at.floor() as usize] + sorted[at.ceil() as usize]) / 2.0
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample(case: Case, cpu_s: f64, rss_bytes: u64) -> Sample {
        let usage = Usage { wall_s: cpu_s / 1.9, cpu_s, rss_bytes, foreign_s: 0.0 };
        Sample { case, rows: 10_000_000, numbers: Numbers::Usage(usage) }
    }

    #[test]
    fn derived_numbers_pair_runs_of_a_round() {
        let samples = [
            sample(Case::Sequence1m, 1.0, 100_000_000),
            sample(Case::Sequence10m, 1.0, 1_000_000_000),
            sample(Case::TwoFilesOneSlot, 2.0, 1),
            sample(Case::TwoFilesTwoSlots, 2.1, 1),
        ];

        assert_eq!(bytes_per_key(&samples), [100.0]);
        assert_eq!(cost_of_two_slots(&samples), [1.05]);
        assert!((unused_percent(&samples)[0] - 5.0).abs() < 1e-9);
    }

    #[test]
    fn a_checkpoint_costs_what_a_run_with_them_needs_more_than_the_one_without_in_its_round() {
        let with = |cpu_s, committed| {
            let Numbers::Usage(usage) = sample(Case::Checkpoints100k, cpu_s, 1).numbers else {
                unreachable!()
            };
            let checkpoints =
                [90_000, 89_999].map(|keys| Checkpoint { duration_ms: 50.0, keys, state_bytes: 1 });
            let run =
                Checkpoints { usage, committed, checkpoints: checkpoints.to_vec(), gaps_ms: Vec::new() };
            Sample { case: Case::Checkpoints100k, rows: 1, numbers: Numbers::Checkpoints(run) }
        };
        let samples = [
            sample(Case::NoCheckpoints100k, 3.0, 1),
            with(3.5, 11),
            sample(Case::NoCheckpoints100k, 4.0, 1),
            with(4.25, 6),
        ];

        let cost = checkpoint_cost_percent(&samples, Case::Checkpoints100k, Case::NoCheckpoints100k);

        assert_eq!(cost, [1.0, 1.0]);
        // Only full ones tell how long a full one takes.
        assert_eq!(per_checkpoint(&samples, Case::Checkpoints100k, |of| of.keys as f64), [9e4, 9e4]);
    }

    #[test]
    fn a_quantile_lies_on_a_value_or_between_two() {
        let values: Vec<f64> = (0..=100).rev().map(f64::from).collect();

        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|part| quantile(&values, part)), [0.0, 50.0, 99.0, 100.0]);
        assert_eq!(quantile(&[1.0, 2.0], 0.5), 1.5);
    }
}
