//! What this process has used, as the system says.
//!
//! Owns: reading `/proc/self`; elsewhere nothing is known.
//! Never: guesses.

use std::fs;
use std::time::Duration;

/// The unit of times in `/proc/self/stat`: the kernel shows 100 ticks a second on every architecture we run on.
const TICK: Duration = Duration::from_millis(10);

/// What this process has used so far.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// User and system time of all threads, ended ones included.
    pub cpu: Option<Duration>,
    /// Resident memory now.
    pub resident_bytes: Option<u64>,
    /// The most that resident memory has been.
    pub resident_peak_bytes: Option<u64>,
}

impl Usage {
    /// Asks the system.
    pub fn now() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            cpu: cpu(&stat),
            resident_bytes: kilobytes(&status, "VmRSS:"),
            resident_peak_bytes: kilobytes(&status, "VmHWM:"),
        }
    }
}

/// Fields 14 and 15 of the line; the second field is a name in parentheses that may hold spaces.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut times = rest.split_ascii_whitespace().skip(11).map(str::parse::<u32>);
    let user = times.next()?.ok()?;
    let system = times.next()?.ok()?;
    Some(TICK * user.checked_add(system)?)
}

fn kilobytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(number * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_past_a_name_with_spaces_and_parentheses() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 3 0 100 1000 10";

        assert_eq!(cpu(stat), Some(Duration::from_secs(2)));
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tstreamjob\nVmHWM:\t    2048 kB\nVmRSS:\t 1024 kB\n";

        let found = (kilobytes(status, "VmHWM:"), kilobytes(status, "VmRSS:"), kilobytes(status, "VmSwap:"));

        assert_eq!(found, (Some(2_097_152), Some(1_048_576), None));
    }
}
