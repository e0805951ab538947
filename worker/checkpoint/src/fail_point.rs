//! Named places at which a test ends, stops or delays the process.
//!
//! Owns: the names, and what `STREAMJOB_FAIL_POINT` says about them.
//! Never: does anything in a build without the feature `fail-points`.
//!
//! `STREAMJOB_FAIL_POINT=name=action@n,…`: at the nth time (1 if left out; `*` is every time) that `name` is reached:
//! `kill` (SIGKILL to itself), `stop` (SIGSTOP to itself), or `sleep:MS`. One line on standard error says so first.

/// Every fail point, in the order of the protocol.
pub const ALL: &[&str] = &[
    "start.claim.before",
    "start.claim.after",
    "start.resolved",
    "restore.check.before",
    "restore.block.before",
    "restore.layer.after",
    "restore.done",
    "source.batch",
    "barrier.align.before",
    "barrier.align.after",
    "barrier.freeze.after",
    "upload.outbox.before",
    "upload.outbox.after",
    "upload.state.before",
    "upload.state.block",
    "upload.state.after",
    "upload.acknowledge.after",
    "commit.create.before",
    "commit.create.after",
    "commit.resolved",
    "publish.sync.before",
    "publish.rename.before",
    "publish.rename.after",
    "publish.manifest.before",
    "publish.manifest.after",
    "publish.records.fence.before",
    "publish.records.fence.after",
    "publish.records.look.after",
    "publish.records.begin.after",
    "publish.records.send.after",
    "publish.records.commit.before",
    "publish.records.commit.after",
    "retention.record.before",
    "retention.record.after",
    "retention.object.before",
    "retention.object.after",
    "end.final.before",
    "end.final.after",
    "end.resolved",
    "delete.create.before",
    "delete.create.after",
    "delete.resolved",
    "delete.object.before",
    "delete.object.after",
    "delete.record.before",
    "delete.record.after",
    "coordinator.turn",
];

/// The process is at this point.
#[inline(always)]
pub fn hit(_name: &'static str) {
    #[cfg(feature = "fail-points")]
    active::hit(_name);
}

#[cfg(feature = "fail-points")]
mod active {
    use std::collections::BTreeMap;
    use std::io::Write;
    use std::sync::{Mutex, OnceLock, PoisonError};
    use std::time::Duration;

    use super::ALL;

    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub(super) enum Act {
        Kill,
        Stop,
        Sleep(Duration),
    }

    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    pub(super) enum When {
        Nth(u64),
        Always,
    }

    #[derive(Clone, Debug, Eq, PartialEq)]
    pub(super) struct Rule {
        pub(super) name: String,
        pub(super) act: Act,
        pub(super) when: When,
    }

    pub(super) fn hit(name: &'static str) {
        static RULES: OnceLock<Vec<Rule>> = OnceLock::new();
        static HITS: Mutex<BTreeMap<&'static str, u64>> = Mutex::new(BTreeMap::new());
        let rules = RULES.get_or_init(from_environment);
        if rules.is_empty() {
            return;
        }
        let nth = {
            let mut hits = HITS.lock().unwrap_or_else(PoisonError::into_inner);
            let count = hits.entry(name).or_default();
            *count += 1;
            *count
        };
        rules.iter().filter(|rule| rule.is_due(name, nth)).for_each(|rule| rule.act.run(name));
    }

    fn from_environment() -> Vec<Rule> {
        let text = std::env::var("STREAMJOB_FAIL_POINT").unwrap_or_default();
        parse(&text).unwrap_or_else(|wrong| {
            let _ = writeln!(std::io::stderr(), "STREAMJOB_FAIL_POINT: {wrong}");
            std::process::exit(2)
        })
    }

    pub(super) fn parse(text: &str) -> Result<Vec<Rule>, String> {
        text.split(',').filter(|rule| !rule.is_empty()).map(parse_rule).collect()
    }

    fn parse_rule(text: &str) -> Result<Rule, String> {
        let wrong = || format!("`{text}` is not name=kill|stop|sleep:MS, with @n or @* behind it");
        let (name, rest) = text.split_once('=').ok_or_else(wrong)?;
        let (act, when) = rest.split_once('@').unwrap_or((rest, "1"));
        let act = match act {
            "kill" => Act::Kill,
            "stop" => Act::Stop,
            other => {
                let millis = other.strip_prefix("sleep:").and_then(|millis| millis.parse().ok());
                Act::Sleep(Duration::from_millis(millis.ok_or_else(wrong)?))
            }
        };
        let when = match when {
            "*" => When::Always,
            nth => When::Nth(nth.parse().ok().filter(|&nth| nth > 0).ok_or_else(wrong)?),
        };
        if !ALL.contains(&name) {
            return Err(format!("there is no fail point `{name}`; there are: {}", ALL.join(", ")));
        }
        Ok(Rule { name: name.to_owned(), act, when })
    }

    impl Rule {
        fn is_due(&self, name: &str, nth: u64) -> bool {
            let now = match self.when {
                When::Always => true,
                When::Nth(wanted) => wanted == nth,
            };
            now && self.name == name
        }
    }

    impl Act {
        fn run(self, name: &str) {
            let said = match self {
                Self::Kill => "kill".to_owned(),
                Self::Stop => "stop".to_owned(),
                Self::Sleep(time) => format!("sleep:{}", time.as_millis()),
            };
            // One write, so that a test that waits for the line sees all of it.
            let _ = std::io::stderr().write_all(format!("fail point {name}: {said}\n").as_bytes());
            match self {
                Self::Kill => {
                    signal(libc::SIGKILL);
                    // The first process of a container does not hear what it sends itself.
                    std::process::abort();
                }
                Self::Stop => signal(libc::SIGSTOP),
                Self::Sleep(time) => std::thread::sleep(time),
            }
        }
    }

    /// To this thread: sent to the process, SIGSTOP is taken by another thread while this one goes on.
    fn signal(number: libc::c_int) {
        // SAFETY: the call takes and returns plain numbers and touches no memory of ours.
        unsafe { libc::raise(number) };
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::ALL;

    #[test]
    fn every_name_is_listed_once() {
        let names: BTreeSet<_> = ALL.iter().collect();

        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn the_listed_names_are_those_that_the_code_reaches() {
        let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut reached = BTreeSet::new();
        names_in(&crate_folder.join("src"), &mut reached);
        names_in(&crate_folder.join("../src"), &mut reached);
        let listed: BTreeSet<String> = ALL.iter().map(|&name| name.to_owned()).collect();

        let unlisted: Vec<_> = reached.difference(&listed).collect();
        let unreached: Vec<_> = listed.difference(&reached).collect();

        assert!(unlisted.is_empty(), "reached, but not in fail_point::ALL: {unlisted:?}");
        assert!(unreached.is_empty(), "in fail_point::ALL, but never reached: {unreached:?}");
    }

    /// Every `phase.step` in quotes on a line that names a fail point.
    fn names_in(folder: &Path, found: &mut BTreeSet<String>) {
        let entries = std::fs::read_dir(folder).expect("source folders can be listed");
        for entry in entries {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                names_in(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs")
                && !path.ends_with("fail_point.rs")
            {
                let text = std::fs::read_to_string(&path).expect("source is text");
                let calls = text.split("fail_point::hit(").skip(1).chain(text.split("Points {").skip(1));
                calls.for_each(|call| found.extend(quoted(call)));
            }
        }
    }

    fn quoted(call: &str) -> impl Iterator<Item = String> + '_ {
        let end = call.find([';', '}']).unwrap_or(call.len());
        let inside = call[..end].split('"').skip(1).step_by(2);
        inside.filter(|name| name.contains('.')).map(str::to_owned)
    }

    #[cfg(feature = "fail-points")]
    #[test]
    fn rules_are_read_and_unknown_names_refused() {
        use super::active::{Act, When, parse};

        let rules = parse("commit.create.before=kill@3,source.batch=sleep:5@*").expect("both are known");
        let unknown = parse("commit.creat=kill").expect_err("there is no such point");

        assert_eq!((rules[0].act, rules[0].when), (Act::Kill, When::Nth(3)));
        assert_eq!(rules[1].when, When::Always);
        assert!(unknown.contains("commit.create.before"), "{unknown}");
        assert!(parse("source.batch=sleep").is_err());
        assert!(parse("source.batch=kill@0").is_err());
    }
}
