//! The checker is red when it should be, and only then.
//!
//! Owns: an output that is right, and ways to damage it.
//! Never: needs a checkpoint.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use streamjob_tests::checker::{self, Aggregate, Difference, Input, Kind, Rules};
use streamjob_tests::feed::Feed;
use streamjob_tests::trial::{Setup, Start, Trial};
use tempfile::TempDir;

const RULES: Rules = Rules { size_ms: 1_000, bound_ms: 20, lateness_ms: 0 };

fn feed(partitions: u32) -> Feed {
    Feed {
        partitions,
        rows: 3_000,
        keys: 20,
        disorder_ms: 20,
        late_every: 50,
        late_ms: 1_500,
        ..Feed::default()
    }
}

/// Writes a file and its manifest.
fn publish(folder: &Path, epoch: u64, lines: &[String]) -> Result<()> {
    fs::create_dir_all(folder)?;
    let name = format!("{}-{epoch}-0.jsonl", "a".repeat(32));
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let (rows, bytes, run) = (lines.len(), text.len(), "a".repeat(32));
    fs::write(folder.join(&name), text)?;
    let manifest = format!(
        r#"{{"run":"{run}","epoch":{epoch},"rows":{rows},"files":[{{"name":"{name}","rows":{rows},"bytes":{bytes}}}]}}"#
    );
    Ok(fs::write(folder.join(format!("_epoch-{epoch}.json")), manifest)?)
}

/// A folder with an input and the output that belongs to it: rows that are late in their partition are late.
fn right(partitions: u32) -> Result<TempDir> {
    let folder = tempfile::tempdir()?;
    feed(partitions).write(folder.path())?;
    let input = Input::read(folder.path(), RULES.bound_ms)?;
    let mut cells: BTreeMap<(i64, u32), Aggregate> = BTreeMap::new();
    let mut late = Vec::new();
    for row in &input.rows {
        if RULES.is_gone(row.at_ms, row.watermark_ms) {
            late.push(feed(partitions).row(row.partition, row.index).line());
        } else {
            let cell = cells.entry((RULES.end_ms(row.at_ms), row.key));
            cell.or_insert(Aggregate::NOTHING).add(row);
        }
    }
    let results: Vec<String> = cells
        .into_iter()
        .map(|((end, key), Aggregate { rows, total, least, greatest })| {
            let key = serde_json::to_string(input.name_of(key)).expect("text is JSON");
            let start = end - RULES.size_ms;
            format!(
                r#"{{"key":{key},"window_start":{start},"window_end":{end},"rows":{rows},"total":{total},"least":{least},"greatest":{greatest}}}"#
            )
        })
        .collect();
    assert!(late.len() > 20 && results.len() > 20, "{} late, {} results", late.len(), results.len());
    let middle = results.len() / 2;
    publish(&folder.path().join("out"), 1, &results[..middle])?;
    publish(&folder.path().join("out"), 2, &results[middle..])?;
    publish(&folder.path().join("late"), 2, &late)?;
    Ok(folder)
}

/// What the checker finds after one epoch's lines of a right output were changed.
fn after(target: &str, epoch: u64, change: impl FnOnce(&mut Vec<String>)) -> Result<Vec<Difference>> {
    let folder = right(2)?;
    let target = folder.path().join(target);
    let file = target.join(format!("{}-{epoch}-0.jsonl", "a".repeat(32)));
    let mut lines: Vec<String> = fs::read_to_string(&file)?.lines().map(str::to_owned).collect();
    change(&mut lines);
    publish(&target, epoch, &lines)?;
    checker::check(folder.path(), &RULES)
}

fn kinds(found: &[Difference]) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = found.iter().map(|difference| difference.kind).collect();
    kinds.sort();
    kinds
}

#[test]
fn the_same_seed_gives_the_same_rows_and_another_seed_others() {
    let (one, other) = (feed(1), Feed { seed: 2, ..feed(1) });

    let rows = |feed: &Feed| (0..100).map(|index| feed.row(0, index)).collect::<Vec<_>>();

    assert_eq!(rows(&one), rows(&one));
    assert_ne!(rows(&one), rows(&other));
}

#[test]
fn the_sequence_of_a_row_counts_the_rows_of_its_key() {
    let feed = feed(1);
    let mut counts: BTreeMap<Option<String>, u64> = BTreeMap::new();

    for index in 0..1_000 {
        let row = feed.row(0, index);
        let count = counts.entry(row.key).or_default();
        assert_eq!(row.sequence, *count);
        *count += 1;
    }
}

#[test]
fn a_right_output_is_accepted() -> Result<()> {
    for partitions in [1, 2] {
        let found = checker::check(right(partitions)?.path(), &RULES)?;
        assert_eq!(found, []);
    }
    Ok(())
}

#[test]
fn a_lost_result_and_a_lost_epoch_are_found() -> Result<()> {
    let one = after("out", 1, |lines| drop(lines.pop()))?;
    let all = after("out", 2, Vec::clear)?;

    assert_eq!(kinds(&one), [Kind::Lost]);
    assert!(all.len() > 10 && all.iter().all(|difference| difference.kind == Kind::Lost));
    assert!(one[0].row.is_some(), "it says which input row it is about: {}", one[0]);
    Ok(())
}

#[test]
fn a_doubled_result_is_found_in_one_epoch_and_across_two() -> Result<()> {
    let within = after("out", 1, |lines| lines.push(lines[0].clone()))?;
    let folder = right(2)?;
    let out = folder.path().join("out");
    let text = fs::read_to_string(out.join(format!("{}-1-0.jsonl", "a".repeat(32))))?;
    publish(&out, 3, &[text.lines().next().context("a line")?.to_owned()])?;
    let across = checker::check(folder.path(), &RULES)?;

    assert_eq!(kinds(&within), [Kind::Doubled]);
    assert_eq!(kinds(&across), [Kind::Doubled]);
    assert_eq!(across[0].epochs, [1, 3]);
    Ok(())
}

#[test]
fn a_wrong_number_in_a_result_is_found() -> Result<()> {
    for field in ["rows", "total", "least", "greatest"] {
        let name = format!("\"{field}\":");
        let found = after("out", 1, |lines| lines[3] = lines[3].replace(&name, &format!("{name}1")))?;
        assert!(kinds(&found).contains(&Kind::Wrong), "{field}: {found:?}");
    }
    Ok(())
}

#[test]
fn a_result_of_a_key_or_window_that_nobody_sent_is_found() -> Result<()> {
    let key = after("out", 1, |lines| lines.push(lines[0].replace("\"key\":", "\"key\":\"x\",\"was\":")))?;
    let window =
        after("out", 1, |lines| lines[0] = lines[0].replace("\"window_start\":1", "\"window_start\":2"))?;

    assert_eq!(kinds(&key), [Kind::Foreign]);
    assert_eq!(kinds(&window), [Kind::Lost, Kind::Foreign]);
    Ok(())
}

#[test]
fn a_late_row_that_is_lost_doubled_foreign_or_on_time_is_found() -> Result<()> {
    let lost = after("late", 2, |lines| drop(lines.pop()))?;
    let doubled = after("late", 2, |lines| lines.push(lines[0].clone()))?;
    let foreign = after("late", 2, |lines| lines[0] = lines[0].replace("\"seq\":", "\"seq\":1"))?;
    let on_time = after("late", 2, |lines| lines.push(feed(2).row(1, 0).line()))?;

    // With several partitions a late row may be in its window instead: then that result is wrong or missing.
    assert!(matches!(kinds(&lost)[..], [Kind::Wrong | Kind::Lost]), "{lost:?}");
    assert_eq!(kinds(&doubled), [Kind::Doubled]);
    assert!(kinds(&foreign).contains(&Kind::Foreign), "{foreign:?}");
    assert!(kinds(&on_time).contains(&Kind::FalselyLate), "{on_time:?}");
    Ok(())
}

#[test]
fn files_that_disagree_with_their_manifest_are_found() -> Result<()> {
    let damage: [fn(&Path) -> std::io::Result<()>; 4] = [
        |out| fs::remove_file(out.join(format!("{}-1-0.jsonl", "a".repeat(32)))),
        |out| fs::write(out.join("stray.jsonl"), "{}\n"),
        |out| fs::copy(out.join("_epoch-1.json"), out.join("_epoch-7.json")).map(drop),
        |out| {
            let text = fs::read_to_string(out.join("_epoch-1.json"))?;
            fs::write(out.join("_epoch-1.json"), text.replace("\"bytes\":", "\"bytes\":1"))
        },
    ];
    for (number, damage) in damage.iter().enumerate() {
        let folder = right(2)?;
        damage(&folder.path().join("out"))?;

        let found = checker::check(folder.path(), &RULES)?;

        assert!(kinds(&found).contains(&Kind::Files), "damage {number}: {found:?}");
    }
    Ok(())
}

#[test]
fn an_undisturbed_run_of_the_program_is_accepted() -> Result<()> {
    for (partitions, lateness_ms) in [(1, 0), (1, 700), (3, 0)] {
        let rules = Rules { lateness_ms, ..RULES };
        let mut trial =
            Trial::new(Setup { feed: feed(partitions), rules, interval_ms: 0, ..Setup::default() })?;

        let ended = trial.run(&Start::plain(2))?;

        assert_eq!(ended.code, Some(0), "{}", ended.said);
        let found = trial.check()?;
        trial.assert_right(&found, &format!("{partitions} partitions, lateness {lateness_ms} ms"));
    }
    Ok(())
}
