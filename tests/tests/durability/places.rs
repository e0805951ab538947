//! State that cannot be used, or not at the moment: what is said, and that nothing is lost by it.
//!
//! Owns: full and read-only disks, damage, state of others, of newer builds.
//! Never: accepts a message that does not name what is wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use streamjob_tests::process::{Ended, Signal};
use streamjob_tests::timeline::read_record;
use streamjob_tests::trial::{Start, Trial};

use super::pipelines::go_on_from;
use super::{alone, seed, zombies};

const SLOW: &str = "source.batch=sleep:3@*";

/// A job that was killed after some epochs.
fn killed(about: &str, point: &str) -> Result<Trial> {
    let mut trial = Trial::new(zombies::setup(seed(about)))?;
    let rules = if point.is_empty() { SLOW.to_owned() } else { format!("{SLOW},{point}") };
    let mut running = trial.start(&Start::with(2, rules))?;
    if point.is_empty() {
        trial.watch(&mut running, |_, timeline| timeline.epochs() > 5)?;
        trial.signal(&mut running, Signal::Kill, about)?;
    } else {
        trial.watch(&mut running, |_, _| false)?;
    }
    trial.ended(&mut running)?;
    Ok(trial)
}

/// It must end with an error that holds these texts, and publish nothing.
fn refused(trial: &mut Trial, texts: &[&str]) -> Result<Ended> {
    let before = streamjob_tests::checker::file_hashes(&trial.path().join("out"))?;
    let ended = trial.run(&Start::plain(2))?;
    assert!(matches!(ended.code, Some(1 | 2)), "{}:\n{}", ended.shown(), ended.said);
    for text in texts {
        assert!(ended.said.contains(text), "`{text}` is not said:\n{}", ended.said);
    }
    let after = streamjob_tests::checker::file_hashes(&trial.path().join("out"))?;
    assert_eq!(before, after, "a refused start publishes nothing");
    Ok(ended)
}

fn finishes_right(trial: &mut Trial, about: &str) -> Result<()> {
    let found = trial.finish(3)?;
    trial.assert_right(&found, about);
    Ok(())
}

/// The newest record of the log.
fn newest_record(trial: &Trial) -> Result<PathBuf> {
    let entries = fs::read_dir(trial.state().join("log"))?;
    let mut records = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    records.sort();
    records.pop().context("there are records")
}

/// The objects that the newest record's windows are in.
fn state_objects(trial: &Trial) -> Result<Vec<String>> {
    let record: serde_json::Value = serde_json::from_slice(&fs::read(newest_record(trial)?)?)?;
    let objects = record.pointer("/record/body/epoch/checkpoint/objects").and_then(|value| value.as_array());
    let names = objects.context("an epoch")?.iter().filter_map(|object| object["name"].as_str());
    Ok(names.filter(|name| name.contains(".state.")).map(str::to_owned).collect())
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[test]
fn a_deleted_block_is_named_and_put_back_the_job_goes_on() -> Result<()> {
    let _alone = alone();
    let mut trial = killed("a deleted block", "publish.manifest.after=kill@6")?;
    let object = state_objects(&trial)?.pop().context("windows are open")?;
    let (place, aside) = (trial.state().join(&object), trial.path().join("aside"));
    fs::rename(&place, &aside)?;

    refused(&mut trial, &[&object, "missing"])?;

    fs::rename(&aside, &place)?;
    finishes_right(&mut trial, "a deleted block that was put back")
}

#[test]
fn a_damaged_block_is_named_and_nothing_is_published_from_it() -> Result<()> {
    let _alone = alone();
    let mut trial = killed("a damaged block", "publish.manifest.after=kill@6")?;
    let object = state_objects(&trial)?.pop().context("windows are open")?;
    let place = trial.state().join(&object);
    let good = fs::read(&place)?;
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    fs::write(&place, &bad)?;

    let ended = trial.run(&Start::plain(2))?;

    assert_eq!(ended.code, Some(1), "{}", ended.said);
    assert!(ended.said.contains(&object), "{}", ended.said);
    fs::write(&place, &good)?;
    finishes_right(&mut trial, "a damaged block that was mended")
}

#[test]
fn a_deleted_record_that_a_start_begins_at_is_named() -> Result<()> {
    let _alone = alone();
    let mut trial = killed("a deleted record", "publish.manifest.after=kill@6")?;
    let begins_at = newest_record(&trial)?;
    let ended = trial.run(&Start::with(2, "start.claim.after=kill"))?;
    ensure!(ended.was_killed() && newest_record(&trial)? != begins_at, "a claim: {}", ended.said);
    let aside = trial.path().join("aside");
    fs::rename(&begins_at, &aside)?;

    refused(&mut trial, &[&file_name(&begins_at)])?;

    fs::rename(&aside, &begins_at)?;
    finishes_right(&mut trial, "a deleted record that was put back")
}

#[test]
fn a_deleted_newest_record_is_noticed_by_what_was_published_since() -> Result<()> {
    let _alone = alone();
    let mut trial = killed("a deleted newest record", "publish.manifest.after=kill@6")?;
    let (newest, aside) = (newest_record(&trial)?, trial.path().join("aside"));
    let record: serde_json::Value = serde_json::from_slice(&fs::read(&newest)?)?;
    let epoch = record.pointer("/record/body/epoch/checkpoint/epoch").and_then(|epoch| epoch.as_u64());
    let epoch = epoch.context("the newest record is an epoch")?;
    let epochs = [epoch, epoch - 1].map(|epoch| format!("epoch {epoch}"));
    fs::rename(&newest, &aside)?;

    refused(&mut trial, &["the state is older than its output", "out holds", &epochs[0], &epochs[1]])?;

    assert!(!newest.exists(), "nothing is written in its place");
    fs::rename(&aside, &newest)?;
    finishes_right(&mut trial, "a deleted newest record that was put back")
}

#[test]
fn who_goes_back_on_purpose_need_not_mind_what_the_log_has_lost() -> Result<()> {
    let _alone = alone();
    let mut trial = killed("a lost newest record", "publish.manifest.after=kill@6")?;
    let lost = newest_record(&trial)?;
    let epoch =
        read_record(&lost).and_then(|record| record.epoch).context("the newest record is an epoch")?;
    fs::remove_file(&lost)?;

    refused(&mut trial, &["the state is older than its output", "`streamjob run --from EPOCH`"])?;

    go_on_from(&mut trial, epoch - 1, epoch, 3)?;
    let newest: serde_json::Value = serde_json::from_slice(&fs::read(newest_record(&trial)?)?)?;
    let formerly = newest.pointer("/record/formerly").and_then(|lives| lives.as_array());
    assert_eq!(formerly.map(Vec::len), Some(1), "another life, which goes on from the first: {newest}");
    Ok(())
}

#[test]
fn a_record_that_is_cut_or_changed_is_named_and_never_taken_for_a_fresh_start() -> Result<()> {
    let _alone = alone();
    let mut trial = killed("a damaged record", "")?;
    let place = newest_record(&trial)?;
    let good = fs::read(&place)?;
    let changed = String::from_utf8(good.clone())?.replacen("\"epoch\":", "\"epoch\": ", 1);
    for bad in [&good[..0], &good[..good.len() / 2], changed.as_bytes()] {
        fs::write(&place, bad)?;

        refused(&mut trial, &[&file_name(&place)])?;
    }
    fs::write(&place, &good)?;
    finishes_right(&mut trial, "a damaged record that was mended")
}

#[test]
fn a_newer_format_is_refused_with_both_numbers() -> Result<()> {
    let _alone = alone();
    let mut trial = killed("a newer format", "")?;
    let place = newest_record(&trial)?;
    let good = fs::read_to_string(&place)?;
    fs::write(&place, good.replacen("\"format\":1", "\"format\":3", 1))?;

    refused(&mut trial, &[&file_name(&place), "format 3", "2"])?;

    fs::write(&place, good)?;
    finishes_right(&mut trial, "a record whose format was put back")
}

#[test]
fn state_of_another_job_is_refused_and_its_owner_goes_on() -> Result<()> {
    let _alone = alone();
    let mut owner = killed("state of another job", "")?;
    let mut other = Trial::new(owner.setup().clone())?;
    fs::create_dir_all(other.state())?;
    fs::remove_dir(other.state())?;
    std::os::unix::fs::symlink(owner.state(), other.state())?;

    let folder = owner.path().to_string_lossy().into_owned();
    refused(&mut other, &[&folder])?;

    finishes_right(&mut owner, "a job whose state another one wanted")
}

/// A small disk of its own in place of a folder; unmounted at the end. `None` where mounting is not allowed.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(place: &Path, options: &str) -> Result<Option<Self>> {
        fs::create_dir_all(place)?;
        let mut mount = Command::new("mount");
        let done = mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(place).output()?;
        if !done.status.success() {
            println!("not shown: no disk can be mounted: {}", String::from_utf8_lossy(&done.stderr));
            return Ok(None);
        }
        Ok(Some(Self(place.to_owned())))
    }

    fn again(&self, options: &str) -> Result<()> {
        let remounted =
            Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status()?;
        ensure!(remounted.success(), "cannot mount again with {options}");
        Ok(())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(Command::new("umount").arg("-l").arg(&self.0).output());
    }
}

#[test]
fn on_a_full_disk_it_says_so_and_with_space_again_nothing_is_missing() -> Result<()> {
    let _alone = alone();
    let mut trial = Trial::new(zombies::setup(seed("a full disk")))?;
    let Some(disk) = SmallDisk::mount(&trial.path().join(".streamjob"), "size=600k")? else { return Ok(()) };
    let mut running = trial.start(&Start::with(2, SLOW))?;
    let deadline = Instant::now() + Duration::from_secs(30);
    trial.watch(&mut running, |running, _| running.has_said("no space left") || Instant::now() > deadline)?;
    let (said, was_running) = (running.said(), !running.has_ended()?);
    disk.again("size=200m")?;
    trial.watch(&mut running, |_, _| false)?;
    let ended = trial.ended(&mut running)?;

    assert!(said.contains("no space left"), "{said}");
    assert!(was_running, "{}", ended.said);
    assert_eq!(ended.code, Some(0), "it goes on by itself: {}", ended.said);
    let found = trial.check()?;
    trial.assert_right(&found, "a disk that was full for a while");
    Ok(())
}

#[test]
fn on_a_full_disk_a_start_waits_and_says_what_for() -> Result<()> {
    let _alone = alone();
    let mut trial = Trial::new(zombies::setup(seed("a full disk at the start")))?;
    let Some(disk) = SmallDisk::mount(&trial.path().join(".streamjob"), "size=100k")? else { return Ok(()) };
    let ballast = trial.path().join(".streamjob/ballast");
    // What cannot be written is what shall be missing.
    drop(fs::write(&ballast, vec![0; 200_000]));
    let mut running = trial.start(&Start::plain(2))?;
    let said = running.wait_for_line("no space left", Duration::from_secs(30))?;
    std::thread::sleep(Duration::from_millis(500));
    let was_running = !running.has_ended()?;
    disk.again("size=200m")?;
    trial.watch(&mut running, |_, _| false)?;
    let ended = trial.ended(&mut running)?;

    assert!(said.contains("it is tried again") && said.contains("probe/"), "{said}");
    assert!(was_running, "{}", ended.said);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let found = trial.check()?;
    trial.assert_right(&found, "a disk that was full at the start");
    Ok(())
}

#[test]
fn output_that_finds_no_space_waits_and_is_there_once_when_there_is_some() -> Result<()> {
    let _alone = alone();
    let mut trial = Trial::new(zombies::setup(seed("no space for output")))?;
    let Some(disk) = SmallDisk::mount(&trial.path().join("out"), "size=200k")? else { return Ok(()) };
    let mut running = trial.start(&Start::with(2, SLOW))?;
    let said = running.wait_for_line("it is tried again", Duration::from_secs(60))?;
    std::thread::sleep(Duration::from_millis(500));
    let was_running = !running.has_ended()?;
    disk.again("size=200m")?;
    trial.watch(&mut running, |_, _| false)?;
    let ended = trial.ended(&mut running)?;

    assert!(said.contains("No space left on device") && said.contains("/out/"), "{said}");
    assert!(was_running, "{}", ended.said);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let found = trial.check()?;
    trial.assert_right(&found, "output that waited for space");
    Ok(())
}

#[test]
fn a_read_only_folder_of_state_is_named_before_anything_is_read() -> Result<()> {
    let _alone = alone();
    let mut trial = Trial::new(zombies::setup(seed("a read-only folder")))?;
    let Some(disk) = SmallDisk::mount(&trial.path().join(".streamjob"), "size=100m,ro")? else {
        return Ok(());
    };

    refused(&mut trial, &[".streamjob", "permission"])?;

    disk.again("rw")?;
    finishes_right(&mut trial, "a folder that was read-only")
}

#[test]
fn an_upload_that_takes_too_long_abandons_its_epoch_and_loses_nothing() -> Result<()> {
    let _alone = alone();
    let setup = zombies::setup(seed("a slow upload"));
    let mut trial = Trial::new(streamjob_tests::trial::Setup { timeout_ms: 1_000, ..setup })?;
    let mut running =
        trial.start(&Start::with(2, "source.batch=sleep:50@*,upload.state.before=sleep:4000@3"))?;
    let abandoned = trial.watch(&mut running, |running, _| running.has_said("abandoned"))?;
    let epochs = trial.timeline.epochs();
    let recovered = trial.watch(&mut running, |_, timeline| timeline.epochs() > epochs + 1)?;
    trial.signal(&mut running, Signal::Kill, "after an abandoned epoch")?;
    let ended = trial.ended(&mut running)?;

    assert!(abandoned, "{}", ended.said);
    assert!(recovered, "the next epochs are committed: {}", ended.said);
    finishes_right(&mut trial, "an abandoned epoch")
}
