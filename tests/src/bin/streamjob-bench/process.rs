//! Runs a program and measures it from outside, by /proc.
//!
//! Owns: CPU time of all threads, peak memory, wall time, and what others used meanwhile.
//! Never: asks the program about itself.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

/// The unit of CPU times in /proc: Linux promises it to programs, whatever the kernel's own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

/// No run takes longer, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// What a run needed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Usage {
    /// From start to end, seconds.
    pub(crate) wall_s: f64,
    /// User and system time of all threads, seconds.
    pub(crate) cpu_s: f64,
    /// The peak of resident memory, bytes.
    pub(crate) rss_bytes: u64,
    /// CPU seconds that everything else on the machine used meanwhile, steal included.
    pub(crate) foreign_s: f64,
}

/// Runs a job to its end. Standard error is kept and shown if it fails.
pub(crate) fn run(streamjob: &Path, manifest: &Path) -> Result<Usage> {
    run_with(streamjob, manifest, &[])
}

/// The same with more options.
pub(crate) fn run_with(streamjob: &Path, manifest: &Path, options: &[&str]) -> Result<Usage> {
    let log_path = manifest.with_extension("log");
    let log = fs::File::create(&log_path)?;
    let busy_before = busy_s()?;
    let started = Instant::now();
    let mut child = command(streamjob, manifest).args(options).stdout(Stdio::null()).stderr(log).spawn()?;
    let (cpu_s, rss_bytes) = watch(&child)?;
    let wall_s = started.elapsed().as_secs_f64();
    let foreign_s = (busy_s()? - busy_before - cpu_s).max(0.0);
    let status = child.wait()?;
    ensure!(status.success(), "{status}: {}", fs::read_to_string(&log_path)?);
    Ok(Usage { wall_s, cpu_s, rss_bytes, foreign_s })
}

/// Seconds from the start of the process to the first byte on its standard output.
pub(crate) fn time_to_first_output(streamjob: &Path, manifest: &Path) -> Result<f64> {
    let started = Instant::now();
    let mut child = command(streamjob, manifest).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut output = child.stdout.take().context("standard output is piped")?;
    let mut first = [0u8];
    let read = output.read(&mut first)?;
    let elapsed = started.elapsed().as_secs_f64();
    std::io::copy(&mut output, &mut std::io::sink())?;
    let status = child.wait()?;
    ensure!(status.success() && read == 1, "{status}, nothing printed");
    Ok(elapsed)
}

/// User and system seconds of all threads of this process so far.
pub(crate) fn own_cpu_s() -> Result<f64> {
    cpu_s(std::process::id())
}

/// User and system seconds of all threads of a process so far.
pub(crate) fn cpu_s(process: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, cpu_s) = parse_stat(&stat).context("/proc/<pid>/stat has its documented form")?;
    Ok(cpu_s)
}

fn command(streamjob: &Path, manifest: &Path) -> Command {
    let mut command = Command::new(streamjob);
    command.arg("run").arg(manifest).stdin(Stdio::null());
    command
}

/// Waits until the process has ended but is not yet waited for: its CPU time is final then and can still be read. The
/// peak of its memory cannot, so it is read every few milliseconds before; it only grows.
pub(crate) fn watch(child: &Child) -> Result<(f64, u64)> {
    let (mut rss_bytes, began) = (0, Instant::now());
    loop {
        ensure!(began.elapsed() < PATIENCE, "it did not end within {PATIENCE:?}");
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id()))?;
        let (state, cpu_s) = parse_stat(&stat).context("/proc/<pid>/stat has its documented form")?;
        if state == "Z" {
            return Ok((cpu_s, rss_bytes));
        }
        rss_bytes = rss_bytes.max(peak_rss_bytes(child.id())?);
        thread::sleep(Duration::from_millis(5));
    }
}

fn peak_rss_bytes(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let Some(kilobytes) = line.and_then(|rest| rest.trim().strip_suffix(" kB")) else {
        return Ok(0); // It is ending, or has not begun.
    };
    Ok(kilobytes.trim().parse::<u64>()? * 1024)
}

/// User and system seconds of this process and all that it started, whether they have ended or not.
pub(crate) fn tree_cpu_s() -> Result<f64> {
    // Process, parent, and seconds with those of the children that it has waited for.
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // One that has ended meanwhile is in its parent's time soon.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let fields: Vec<&str> =
            stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').collect()).unwrap_or_default();
        let number =
            |field: usize| fields.get(field).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
        processes.push((pid, number(1) as u32, (11..15).map(number).sum::<u64>()));
    }
    let (mut family, mut ticks) = (vec![std::process::id()], 0);
    while let Some(one) = family.pop() {
        family.extend(processes.iter().filter(|(_, parent, _)| *parent == one).map(|(pid, _, _)| *pid));
        ticks += processes.iter().filter(|(pid, _, _)| *pid == one).map(|(_, _, ticks)| ticks).sum::<u64>();
    }
    Ok(ticks as f64 / TICKS_PER_SECOND)
}

/// State, and user plus system seconds.
fn parse_stat(stat: &str) -> Option<(&str, f64)> {
    // The name of the program comes second, in parentheses, and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some((fields.first()?, ticks / TICKS_PER_SECOND))
}

/// CPU seconds of everything on the machine, since it started; without idling and waiting for disks.
pub(crate) fn busy_s() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat has a first line")?;
    let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    ensure!(ticks.len() >= 8, "/proc/stat has its documented form: {line}");
    // user, nice, system, idle, iowait, irq, softirq, steal
    Ok((ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6] + ticks[7]) / TICKS_PER_SECOND)
}

#[test]
fn the_cpu_time_of_a_process_is_read_past_a_name_with_spaces() {
    let stat = "7 (a ) b) Z 1 1 1 0 -1 4 0 0 0 0 250 50 0 0 20 0 1 0 9 0 0";

    let parsed = parse_stat(stat);

    assert_eq!(parsed, Some(("Z", 3.0)));
}

#[test]
fn a_process_that_works_is_seen_to_work() {
    let child = Command::new("sh").args(["-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"]).spawn();
    let mut child = child.expect("there is a shell");

    let (cpu_s, rss_bytes) = watch(&child).expect("/proc can be read");

    assert!(cpu_s > 0.0 && rss_bytes > 100_000, "{cpu_s} s, {rss_bytes} bytes");
    assert!(child.wait().expect("it has ended").success());
}
