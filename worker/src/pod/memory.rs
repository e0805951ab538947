//! The memory that a pod may use, and what it uses.
//!
//! Owns: reading both from the system; the share of it at which a job is stopped.
//! Never: stops anything.

use std::fs;
use std::path::Path;

/// At this share of the limit the job is stopped: the kernel would kill it soon, and would not say why.
const SHARE_PERCENT: u64 = 90;
/// What version 1 says where there is no limit; so do limits beyond any machine.
const NO_LIMIT: u64 = 1 << 60;

/// The memory of this process and its limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Budget {
    /// What the control group allows, in bytes.
    pub(super) limit: u64,
}

impl Budget {
    /// What the control group of this process says; `None`: there is no limit.
    pub(super) fn of(cgroup: &Path) -> Option<Self> {
        // In a container its own group is mounted there: version 2 has the file itself, version 1 a folder for each resource.
        let files = ["memory.max", "memory/memory.limit_in_bytes"];
        let limit = files.iter().find_map(|file| number(&cgroup.join(file)))?;
        (limit < NO_LIMIT).then_some(Self { limit })
    }

    /// Where a job is stopped.
    pub(super) fn bytes_max(self) -> u64 {
        self.limit / 100 * SHARE_PERCENT
    }

    /// How much output may wait to be published: no more than a part of all that is there.
    pub(super) fn unpublished_bytes_max(self, otherwise: u64) -> u64 {
        otherwise.min(self.limit / 4)
    }
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The memory of this process that the kernel cannot take back: what it has written itself.
pub(super) fn used() -> Option<u64> {
    resident(&fs::read_to_string("/proc/self/status").ok()?)
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(file: &str, text: &str) -> Option<Budget> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("memory")).expect("it can be made");
        fs::write(folder.path().join(file), text).expect("it can be written");
        Budget::of(folder.path())
    }

    #[test]
    fn the_limit_is_read_from_either_version_of_control_groups() {
        let limit = Some(Budget { limit: 1_073_741_824 });

        assert_eq!(budget("memory.max", "1073741824\n"), limit);
        assert_eq!(budget("memory/memory.limit_in_bytes", "1073741824\n"), limit);
        assert_eq!(budget("memory.max", "max\n"), None);
        assert_eq!(budget("memory/memory.limit_in_bytes", "9223372036854771712\n"), None);
        assert_eq!(budget("memory.stat", "anon 1\n"), None);
        assert_eq!(limit.map(Budget::bytes_max), Some(966_367_620));
    }

    #[test]
    fn only_what_the_process_has_written_counts_as_used() {
        let status = "VmRSS:\t  300 kB\nRssAnon:\t     120 kB\nRssFile:\t  180 kB\n";

        assert_eq!(resident(status), Some(122_880));
        assert!(used().is_some_and(|bytes| bytes > 0));
    }
}
