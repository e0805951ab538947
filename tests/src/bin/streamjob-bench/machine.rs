//! What was measured, where and when, for people who compare two tables.
//!
//! Owns: commit, date, processor, memory.
//! Never: names the machine or who uses it.

use std::fs;
use std::process::Command;

/// One line of Markdown.
pub(crate) fn describe() -> String {
    let commit = output("git", &["describe", "--always", "--dirty", "--abbrev=10"]);
    let date = output("date", &["-u", "+%Y-%m-%d"]);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory_gb = first_number(&proc_line("/proc/meminfo", "MemTotal:")) / 1_000_000;
    let processor = proc_line("/proc/cpuinfo", "model name");
    let kernel = output("uname", &["-sr"]);
    format!("Commit {commit}, {date}, {processor}, {cores} cores, {memory_gb} GB, {kernel}.")
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success());
    output.map_or("unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn proc_line(path: &str, begin: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(begin));
    line.map_or("unknown".to_owned(), |rest| rest.trim_start_matches([' ', '\t', ':']).trim().to_owned())
}

fn first_number(text: &str) -> u64 {
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}
