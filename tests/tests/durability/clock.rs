//! A machine whose clock jumps: nothing depends on it.
//!
//! Owns: making a process see another time, by libfaketime.
//! Never: changes the machine's clock.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use streamjob_tests::process::{Running, Signal};
use streamjob_tests::trial::{Start, Trial};

use super::{alone, seed, zombies};

/// The library, where Debian's package `faketime` puts it.
fn library() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path());
    let mut libraries = folders.map(|folder| folder.join("faketime/libfaketime.so.1"));
    libraries.find(|library| library.exists())
}

#[test]
fn a_clock_that_jumps_by_days_while_it_runs_and_between_runs_changes_nothing() -> Result<()> {
    let _alone = alone();
    let Some(library) = library() else {
        println!("not shown: no libfaketime; `tests/setup trace` installs it");
        return Ok(());
    };
    let mut trial = Trial::new(zombies::setup(seed("clock")))?;
    let time = trial.path().join("time");
    fs::write(&time, "+0\n")?;
    for jumps in [["+3d\n", "-2d\n"], ["-400d\n", "+0\n"]] {
        let mut command = trial.command(&Start::with(2, "source.batch=sleep:10@*"))?;
        command.env("LD_PRELOAD", &library).env("FAKETIME_TIMESTAMP_FILE", &time);
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let mut running = Running::start(command)?;
        for jump in jumps {
            let epochs = trial.timeline.epochs();
            let goes_on = trial.watch(&mut running, |_, timeline| timeline.epochs() > epochs + 2)?;
            assert!(goes_on, "it goes on after a jump: {}", running.said());
            fs::write(&time, jump)?;
        }
        let epochs = trial.timeline.epochs();
        trial.watch(&mut running, |_, timeline| timeline.epochs() > epochs + 2)?;
        trial.signal(&mut running, Signal::Kill, "after two jumps")?;
        trial.ended(&mut running)?;
    }

    let times: Vec<i64> = trial.timeline.records().map(|record| record.at_ms).collect();
    let days = times.windows(2).map(|pair| (pair[1] - pair[0]).abs() / 86_400_000).max();
    assert!(days >= Some(300), "the clock that the job saw has jumped: {times:?}");
    let found = trial.finish(2)?;

    trial.assert_right(&found, "a clock that jumps");
    Ok(())
}
