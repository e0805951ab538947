//! A job that is run again and again under faults, until its input is read.
//!
//! Owns: its folder, manifest and input; what is done to its processes; the check at the end.
//! Never: changes what the program left behind, unless a test asks for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::checker::{self, Difference, Kind, Rules};
use crate::feed::Feed;
use crate::job::streamjob;
use crate::process::{Ended, Running, Signal};
use crate::s3;
use crate::timeline::{Happening, Timeline};
use crate::topics::{Progress, Topics, Transactions};

/// No run of a trial takes longer.
pub const RUN_AT_MOST: Duration = Duration::from_secs(150);

const NAME: &str = "trial";

/// What the job is.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its input.
    pub feed: Feed,
    /// What it does.
    pub rules: Rules,
    /// From one barrier to the next; 0 for the default.
    pub interval_ms: u64,
    /// How long an epoch may take; 0 for the default.
    pub timeout_ms: u64,
    /// Checkpoints that are kept; 0 for the default.
    pub retain: u64,
    /// Rows that are read at once.
    pub batch_rows: u64,
    /// Where its state is; `None`: in its folder.
    pub bucket: Option<Bucket>,
    /// What it reads and writes; `None`: files in its folder.
    pub topics: Option<Topics>,
}

/// State in the bucket of an S3 server.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// Where the job finds the server.
    pub address: String,
    /// Where the server keeps its objects, as files.
    pub files: PathBuf,
    /// The folder in the bucket.
    pub prefix: String,
}

/// How one run is started.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// Slots.
    pub parallelism: u32,
    /// What `STREAMJOB_FAIL_POINT` is.
    pub fail_points: String,
    /// What `STREAMJOB_PLANTED_BUG` is.
    pub bug: String,
    /// More arguments of `streamjob run`.
    pub arguments: Vec<String>,
}

/// A job in a folder of its own, and what happened to it.
pub struct Trial {
    folder: TempDir,
    setup: Setup,
    /// What happened.
    pub timeline: Timeline,
    /// What is wrong so far, beside what the checker finds.
    pub differences: Vec<Difference>,
    published: BTreeMap<PathBuf, u128>,
    /// Topics: the lives and epochs whose output is repeated by a restore.
    repeated: Option<(BTreeSet<String>, RangeInclusive<u64>)>,
    /// Lines that were looked at, by process.
    heard: BTreeMap<u32, usize>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            feed: Feed::default(),
            rules: Rules { size_ms: 1_000, bound_ms: 0, lateness_ms: 0 },
            interval_ms: 50,
            timeout_ms: 0,
            retain: 0,
            batch_rows: 1_000,
            bucket: None,
            topics: None,
        }
    }
}

impl Start {
    /// Without faults.
    pub fn plain(parallelism: u32) -> Self {
        Self { parallelism, ..Self::default() }
    }

    /// With these fail points.
    pub fn with(parallelism: u32, fail_points: impl Into<String>) -> Self {
        Self { parallelism, fail_points: fail_points.into(), ..Self::default() }
    }
}

impl Trial {
    /// Writes the input.
    pub fn new(setup: Setup) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        match &setup.topics {
            Some(topics) => topics.create(&setup.feed)?,
            None => setup.feed.write(folder.path())?,
        }
        Ok(Self {
            folder,
            setup,
            timeline: Timeline::default(),
            differences: Vec::new(),
            published: BTreeMap::new(),
            repeated: None,
            heard: BTreeMap::new(),
        })
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Where its state is.
    pub fn state(&self) -> PathBuf {
        match &self.setup.bucket {
            Some(bucket) => bucket.files.join(&bucket.prefix).join(NAME),
            None => self.path().join(".streamjob").join(NAME),
        }
    }

    /// A file of its log.
    pub fn record(&self, seq: u64) -> PathBuf {
        self.state().join(format!("log/{seq:020}.json"))
    }

    /// The job.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// The command that starts it.
    pub fn command(&self, start: &Start) -> Result<Command> {
        fs::write(self.path().join("job.yaml"), self.manifest(start.parallelism))?;
        let mut command = Command::new(streamjob());
        command.arg("run").arg(self.path().join("job.yaml"));
        command.arg("--batch-rows").arg(self.setup.batch_rows.to_string()).args(&start.arguments);
        command.envs(s3::environment());
        for (name, value) in
            [("STREAMJOB_FAIL_POINT", &start.fail_points), ("STREAMJOB_PLANTED_BUG", &start.bug)]
        {
            command.env_remove(name);
            if !value.is_empty() {
                command.env(name, value);
            }
        }
        Ok(command)
    }

    /// Starts it.
    pub fn start(&mut self, start: &Start) -> Result<Running> {
        let running = Running::start(self.command(start)?)?;
        let Start { parallelism, fail_points, bug, arguments } = start;
        let how = format!("parallelism {parallelism} {fail_points} {bug} {}", arguments.join(" "));
        self.timeline.add(Happening::Started { pid: running.pid(), how: how.trim_end().to_owned() });
        Ok(running)
    }

    /// From here on it is restored to this epoch: what later ones have put out, or still will, is put out again.
    pub fn restored_to(&mut self, epoch: u64) {
        let newest = self.timeline.records().filter_map(|record| record.epoch).max().unwrap_or(0);
        self.repeated = Some((self.timeline.lineages(), epoch + 1..=newest));
    }

    /// Looks at what is there by now.
    pub fn observe(&mut self) {
        let (state, out, late) = (self.state(), self.path().join("out"), self.path().join("late"));
        self.timeline.observe(&state, &[&out, &late]);
    }

    /// Looks on until a condition holds (true) or the process has ended (false).
    pub fn watch(
        &mut self,
        running: &mut Running,
        mut until: impl FnMut(&Running, &Timeline) -> bool,
    ) -> Result<bool> {
        let deadline = Instant::now() + RUN_AT_MOST;
        while Instant::now() < deadline {
            self.observe();
            self.listen(running);
            if until(running, &self.timeline) {
                return Ok(true);
            }
            if running.has_ended()? {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        bail!("nothing for {RUN_AT_MOST:?}; it said:\n{}\n{}", running.said(), self.history())
    }

    /// Sends a signal and notes it.
    pub fn signal(&mut self, running: &mut Running, signal: Signal, why: &str) -> Result<()> {
        running.signal(signal)?;
        let what = format!("{} ({why})", signal.name());
        self.timeline.add(Happening::Signalled { pid: running.pid(), what });
        Ok(())
    }

    /// Waits for the end of a run; sees that nothing that was published before has changed.
    pub fn ended(&mut self, running: &mut Running) -> Result<Ended> {
        let pid = running.pid();
        let ended = running.wait(RUN_AT_MOST).with_context(|| self.history())?;
        self.observe();
        self.listen(running);
        self.timeline.add(Happening::Ended { pid, how: ended.shown() });
        self.check_nothing_changed()?;
        Ok(ended)
    }

    /// Runs it to its end.
    pub fn run(&mut self, start: &Start) -> Result<Ended> {
        let mut running = self.start(start)?;
        self.watch(&mut running, |_, _| false)?;
        self.ended(&mut running)
    }

    /// Runs it to its end, which must be that of the input, and checks all that was published.
    pub fn finish(&mut self, parallelism: u32) -> Result<Vec<Difference>> {
        let ended = self.run(&Start::plain(parallelism))?;
        anyhow::ensure!(ended.code == Some(0), "{}:\n{}\n{}", ended.shown(), ended.said, self.history());
        self.check()
    }

    /// A copy of all that is in its folder.
    pub fn save(&self) -> Result<TempDir> {
        let copy = tempfile::tempdir()?;
        copy_all(self.path(), copy.path())?;
        Ok(copy)
    }

    /// Puts a copy in place of all that is in its folder, and begins a new timeline.
    pub fn put_back(&mut self, copy: &TempDir) -> Result<()> {
        for entry in fs::read_dir(self.path())? {
            let path = entry?.path();
            if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
        copy_all(copy.path(), self.path())?;
        self.timeline = Timeline::default();
        self.published.clear();
        Ok(())
    }

    /// Everything that is wrong with what was published.
    pub fn check(&mut self) -> Result<Vec<Difference>> {
        let mut found = std::mem::take(&mut self.differences);
        found.extend(match &self.setup.topics {
            Some(_) => self.check_topics()?,
            None => checker::check(self.path(), &self.setup.rules)?,
        });
        Ok(found)
    }

    fn check_topics(&self) -> Result<Vec<Difference>> {
        let topics = self.setup.topics.as_ref().context("it has topics")?;
        let mut found = Vec::new();
        let input = topics.input(self.setup.feed.partitions, self.setup.rules.bound_ms)?;
        let counts = |progress: &Progress| {
            self.repeated.as_ref().is_none_or(|(lineages, epochs)| {
                !lineages.contains(&progress.lineage) || !epochs.contains(&progress.epoch)
            })
        };
        let published = topics.published(&self.timeline.lineages(), counts, &mut found)?;
        found.extend(checker::compare(&input, &published, &self.setup.rules));
        Ok(found)
    }

    /// What became of its transactions, and on the timeline when they were committed.
    pub fn account(&mut self) -> Result<Transactions> {
        self.setup.topics.as_ref().context("it has topics")?.account(&mut self.timeline)
    }

    /// Fails if there are differences; prints them with what happened around them.
    pub fn assert_right(&self, differences: &[Difference], about: &str) {
        assert!(differences.is_empty(), "{about}: {}", self.timeline.report(differences));
    }

    /// All that happened.
    pub fn history(&self) -> String {
        self.timeline.history()
    }

    /// Notes what a process says about faults.
    fn listen(&mut self, running: &Running) {
        let heard = self.heard.entry(running.pid()).or_default();
        let lines = running.lines_from(*heard);
        *heard += lines.len();
        let matters = |line: &String| {
            let fault = line.contains("fail point") && !line.contains("source.batch");
            fault || line.contains("WARN") || line.contains("ERROR")
        };
        lines.into_iter().filter(matters).for_each(|line| self.timeline.add(Happening::Said(line)));
    }

    fn check_nothing_changed(&mut self) -> Result<()> {
        for folder in ["out", "late"] {
            let now = checker::file_hashes(&self.path().join(folder))?;
            for (file, hash) in &now {
                if self.published.get(file).is_some_and(|before| before != hash) {
                    let what = format!("{} has changed after it was published", file.display());
                    self.differences.push(Difference::new(Kind::Files, what));
                }
            }
            let folder = self.path().join(folder);
            let before = self.published.keys().filter(|file| file.starts_with(&folder));
            for file in before.filter(|file| !now.contains_key(*file)) {
                let what = format!("{} has vanished after it was published", file.display());
                self.differences.push(Difference::new(Kind::Files, what));
            }
            self.published.extend(now);
        }
        Ok(())
    }

    fn state_block(&self) -> String {
        let Setup { interval_ms, timeout_ms, retain, .. } = self.setup;
        let fields = [("interval", interval_ms, "ms"), ("timeout", timeout_ms, "ms"), ("retain", retain, "")];
        let set = fields.into_iter().filter(|(_, value, _)| *value > 0);
        let set: Vec<_> = set.map(|(name, value, unit)| format!("{name}: {value}{unit}")).collect();
        let location = self.setup.bucket.as_ref().map_or(String::new(), |bucket| {
            let Bucket { address, prefix, .. } = bucket;
            format!("location: {{uri: \"s3://{}/{prefix}\", endpoint: \"http://{address}\"}}, ", s3::BUCKET)
        });
        format!("  state: {{{location}checkpoint: {{{}}}}}\n", set.join(", "))
    }

    fn manifest(&self, parallelism: u32) -> String {
        let Rules { size_ms, bound_ms, lateness_ms } = self.setup.rules;
        let state = self.state_block();
        let [source, late, sink] = self.setup.topics.as_ref().map_or_else(files, Topics::manifest);
        format!(
            r#"
apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: {NAME}}}
spec:
  parallelism: {parallelism}
{state}  pipeline:
    source:
      {source}
      format: {{json: {{}}}}
      columns:
        - {{name: id, type: Int64}}
        - {{name: key, type: String}}
        - {{name: seq, type: Int64}}
        - {{name: ts, type: TimestampMillis}}
        - {{name: value, type: Int64}}
    eventTime: {{field: ts, maxOutOfOrderness: {bound_ms}ms}}
    keyBy: [key]
    window:
      tumbling: {{size: {size_ms}ms}}
      allowedLateness: {lateness_ms}ms
      late: {{action: SideOutput, {late}}}
    aggregates:
      - {{name: rows, function: Count}}
      - {{name: total, function: Sum, field: value}}
      - {{name: least, function: Min, field: id}}
      - {{name: greatest, function: Max, field: id}}
    sink: {{{sink}}}
"#
        )
    }
}

/// Source, late rows and sink of a job of files.
fn files() -> [String; 3] {
    [r#"files: {urls: ["in-*"]}"#, "files: {url: late}", "files: {url: out}"].map(str::to_owned)
}

fn copy_all(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status()?;
    anyhow::ensure!(status.success(), "cannot copy {} to {}", from.display(), to.display());
    Ok(())
}
