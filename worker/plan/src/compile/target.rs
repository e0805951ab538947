//! Where results, late rows and dead letters go.
//!
//! Owns: the sink, and that neither two targets nor a target and the state share a folder, nor write into the input.
//! Never: creates a folder.

use std::path::{Path, PathBuf};

use arrow::datatypes::Schema;
use glob::Pattern;
use streamjob_crds::{FilesTarget, LateAction, LateRows, Pipeline};

use super::{format, kafka, paths};
use crate::error::Problems;
use crate::{BadRecordsPlan, FormatPlan, LatePlan, SinkKind, SinkPlan, StatePlan};

const SINK: &str = "spec.pipeline.sink";
const LATE: &str = "spec.pipeline.window.late";
const STATE: &str = "spec.state.location.uri";
pub(super) const BAD_RECORDS: &str = "spec.pipeline.source.badRecords";

/// Where results go; `result` has their columns, but for those that are wrong.
pub(super) fn sink(
    pipeline: &Pipeline,
    result: &Schema,
    base: &Path,
    problems: &mut Problems,
) -> Option<SinkPlan> {
    let spec = &pipeline.sink;
    let of = if spec.kafka.is_some() { format::of_records } else { format::compile };
    let format = spec.format.as_ref().map_or(FormatPlan::Json, of);
    if let FormatPlan::Csv { nulls, .. } = &format
        && nulls.is_empty()
    {
        let why = "must not be empty: its first entry is how null is written; write one, such as `[\"\"]`";
        problems.add(format!("{SINK}.format.csv.nulls"), why);
    }
    let kind = match (&spec.files, &spec.kafka, &spec.stdout) {
        (Some(files), _, _) => SinkKind::Files { folder: folder(files, SINK, base, problems)? },
        (None, Some(topic), _) => {
            let route = kafka::route(topic, pipeline, result, problems);
            SinkKind::Kafka { topic: topic.topic.clone(), route }
        }
        (None, None, Some(_)) => SinkKind::Stdout,
        (None, None, None) => SinkKind::Blackhole,
    };
    Some(SinkPlan { kind, format })
}

pub(super) fn late(spec: &LateRows, base: &Path, problems: &mut Problems) -> Option<LatePlan> {
    Some(match spec.action {
        LateAction::Drop => LatePlan::Drop,
        LateAction::SideOutput => {
            if let Some(kafka) = &spec.kafka {
                return Some(LatePlan::Kafka { topic: kafka.topic.clone() });
            }
            let files = spec.files.as_ref().expect("validation asks for files or kafka with SideOutput");
            LatePlan::Files { folder: folder(files, LATE, base, problems)? }
        }
    })
}

/// The folder of a target; `path` is the field that holds `files`.
pub(super) fn folder(
    files: &FilesTarget,
    path: &str,
    base: &Path,
    problems: &mut Problems,
) -> Option<PathBuf> {
    problems.keep(&format!("{path}.files.url"), paths::absolute(&files.url, base))
}

/// All places that are written to.
pub(super) struct Targets<'a> {
    pub(super) state: Option<&'a StatePlan>,
    pub(super) sink: Option<&'a SinkKind>,
    pub(super) late: Option<&'a LatePlan>,
    pub(super) bad_records: Option<&'a BadRecordsPlan>,
}

impl Targets<'_> {
    pub(super) fn check(&self, patterns: &[String], problems: &mut Problems) {
        let folders = self.folders();
        for (i, (field, folder)) in folders.iter().enumerate() {
            let path = folder.display();
            if let Some((other, _)) = folders[..i].iter().find(|(_, other)| other == folder) {
                let why = format!("{path} is the folder of {other} too: each needs its own");
                problems.add(field, why);
            }
            let state = self.state.is_some_and(|state| state.location.folder() == Some(*folder));
            if let Some(pattern) = patterns.iter().find(|pattern| !state && reads_from(pattern, folder)) {
                let why = format!("{path} is read too, by {pattern} of the source: write to another folder");
                problems.add(field, why);
            }
        }
        if let Some(folder) = self.state.and_then(|state| state.location.folder())
            && let Some(pattern) = patterns.iter().find(|pattern| reads_state(pattern, folder))
        {
            let folder = folder.display();
            let remedy = "keep state outside of the folders that are read, or write a narrower pattern";
            problems
                .add(STATE, format!("state in {folder} is read too, by {pattern} of the source: {remedy}"));
        }
    }

    fn folders(&self) -> Vec<(String, &Path)> {
        let mut folders: Vec<(String, &Path)> = Vec::new();
        if let Some(folder) = self.state.and_then(|state| state.location.folder()) {
            folders.push((STATE.to_owned(), folder));
        }
        let url = |path: &str| format!("{path}.files.url");
        if let Some(SinkKind::Files { folder }) = self.sink {
            folders.push((url(SINK), folder));
        }
        if let Some(LatePlan::Files { folder }) = self.late {
            folders.push((url(LATE), folder));
        }
        if let Some(BadRecordsPlan::DeadLetter { folder }) = self.bad_records {
            folders.push((url(BAD_RECORDS), folder));
        }
        folders
    }
}

/// Whether a glob can match files that lie in the folder.
fn reads_from(pattern: &str, folder: &Path) -> bool {
    let matches = |pattern: &str| Pattern::new(pattern).is_ok_and(|pattern| pattern.matches_path(folder));
    let parent = Path::new(pattern).parent().map(|parent| parent.to_string_lossy());
    matches(pattern) || parent.is_some_and(|parent| matches(&parent))
}

/// Whether a glob can match files of the state in the folder. Many a wide pattern is meant for other names.
fn reads_state(pattern: &str, folder: &Path) -> bool {
    let files = ["log/00000000000000000000.json", "data/1-1/0-0.state.arrow", "data/1-1/0-0.outbox.arrow"];
    let Ok(pattern) = Pattern::new(pattern) else { return false };
    files.iter().any(|file| pattern.matches_path(&folder.join(file)))
}
