//! Compiles a StreamJob.
//!
//! Owns: the order of the checks, defaults, and which columns are read.
//! Never: stops at the first mistake if others can still be told.

mod format;
mod generator;
mod key;
mod paths;
mod source;
mod steps;
mod target;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use streamjob_crds::{EventTime, StreamJob, Window};

use crate::error::Problems;
use crate::sql::{PlanFailure, Planned};
use crate::{EventTimeExpr, EventTimePlan, LatePlan, Plan, PlanErrors, SourcePlan, Transforms, WindowPlan};
use key::KeyedDraft;
use source::SourceDraft;
use steps::StepsDraft;

/// After this long a partition without new rows is idle, unless the manifest says otherwise.
const IDLE_TIMEOUT_MS: i64 = 60_000;
/// The most slots: one for each key group.
const PARALLELISM_MAX: u32 = 65_536;

/// Compiles a job. Relative paths are relative to `base`, the folder of the manifest. The error holds every mistake
/// that can be told before another is mended.
pub fn compile(job: &StreamJob, base: &Path) -> Result<Plan, PlanErrors> {
    let mut problems = Problems::default();
    let pipeline = &job.spec.pipeline;
    let parallelism = job.spec.parallelism;
    if !(1..=PARALLELISM_MAX).contains(&parallelism) {
        problems.add("spec.parallelism", format!("{parallelism} is not between 1 and 65536"));
    }
    let source = SourceDraft::new(&pipeline.source, base, &mut problems);
    let window = window(&pipeline.window, base, &mut problems);
    let sink = target::sink(&pipeline.sink, base, &mut problems);
    let targets = target::Targets {
        sink: sink.as_ref().map(|sink| &sink.kind),
        late: window.as_ref().map(|window| &window.late),
        bad_records: source.bad_records.as_ref(),
    };
    targets.check(source.patterns(), &mut problems);
    let rows = source.columns.as_ref().map(|columns| RowsDraft::new(pipeline, columns, &mut problems));
    problems.finish()?;

    // Whatever is missing now has been told as a problem.
    let complete = "a draft without problems is complete";
    let (rows, window) = (rows.expect(complete), window.expect(complete));
    let reads_all = window.late != LatePlan::Drop;
    let schema = rows.source_schema(source.columns.as_ref().expect(complete), reads_all);
    let event_time = event_time_plan(&pipeline.event_time, &rows, &schema)?;
    let transforms = rows.transforms(&schema, reads_all)?;
    let keyed = rows.keyed.expect(complete);
    let (key, aggregates) = keyed.resolve(transforms.output());
    Ok(Plan {
        job: job.metadata.name.clone(),
        parallelism,
        event_time,
        key,
        window,
        aggregates,
        result: keyed.result,
        sink: sink.expect(complete),
        source: SourcePlan {
            kind: source.kind.expect(complete).pruned(&schema),
            schema,
            bad_records: source.bad_records.expect(complete),
        },
        transforms,
    })
}

/// What is done with rows, planned over all columns of the source.
struct RowsDraft {
    event_time: Option<Planned>,
    steps: StepsDraft,
    keyed: Option<KeyedDraft>,
}

impl RowsDraft {
    fn new(pipeline: &streamjob_crds::Pipeline, columns: &Schema, problems: &mut Problems) -> Self {
        let event_time = event_time(&pipeline.event_time, columns, problems);
        let steps = StepsDraft::new(&pipeline.transforms, columns, problems);
        let keyed = KeyedDraft::new(pipeline, &steps, problems);
        Self { event_time, steps, keyed }
    }

    /// The columns that are read, in the order of the manifest.
    fn source_schema(&self, columns: &Schema, all: bool) -> SchemaRef {
        let mut used = self.steps.reads(&self.used());
        used.extend(self.event_time.iter().flat_map(|expr| expr.columns.iter().cloned()));
        let read = |name: &String| all || used.contains(name);
        let fields: Vec<_> = columns.fields().iter().filter(|field| read(field.name())).cloned().collect();
        Arc::new(Schema::new(fields))
    }

    fn used(&self) -> BTreeSet<String> {
        self.keyed.as_ref().map(KeyedDraft::columns).unwrap_or_default()
    }

    fn transforms(&self, schema: &SchemaRef, carry: bool) -> Result<Transforms, PlanErrors> {
        let steps = self.steps.bind(schema, &self.used())?;
        let held = carry.then(|| {
            let last = steps.last().map_or(schema, |step| &step.output);
            self.steps.held(schema, last)
        });
        Ok(Transforms::new(Arc::clone(schema), steps, held))
    }
}

fn event_time(spec: &EventTime, columns: &Schema, problems: &mut Problems) -> Option<Planned> {
    let (field, planned) = match (&spec.field, &spec.expr) {
        (Some(name), None) => {
            let field = "spec.pipeline.eventTime.field";
            (field, problems.keep(field, source::column(name, columns))?)
        }
        (None, Some(sql)) => {
            let field = "spec.pipeline.eventTime.expr";
            match Planned::new(sql, columns, &[]) {
                Ok(planned) => (field, planned),
                Err(PlanFailure::Wrong(why)) => {
                    problems.add(field, why);
                    return None;
                }
                Err(PlanFailure::Unknown) => return None,
            }
        }
        (Some(_), Some(_)) | (None, None) => {
            problems.add("spec.pipeline.eventTime", "set exactly one of `field` and `expr`");
            return None;
        }
    };
    let is_column = planned.as_column().is_some();
    let checked = EventTimeExpr::check(&planned.output, is_column);
    problems.keep(field, checked.map_err(|why| format!("`{}`: {why}", planned.sql)))?;
    Some(planned)
}

fn event_time_plan(
    spec: &EventTime,
    rows: &RowsDraft,
    schema: &SchemaRef,
) -> Result<EventTimePlan, PlanErrors> {
    let planned = rows.event_time.as_ref().expect("a draft without problems has an event time");
    let expr =
        planned.bind(schema).map_err(|why| steps::late_problem("spec.pipeline.eventTime.expr", why))?;
    Ok(EventTimePlan {
        expr: EventTimeExpr::new(expr),
        max_out_of_orderness_ms: spec.max_out_of_orderness.as_ref().map_or(0, |bound| bound.millis()),
        idle_timeout_ms: spec.idle_timeout.as_ref().map_or(IDLE_TIMEOUT_MS, |timeout| timeout.millis()),
        max_future_ms: spec.max_future.as_ref().map(|bound| bound.millis()),
    })
}

fn window(spec: &Window, base: &Path, problems: &mut Problems) -> Option<WindowPlan> {
    let field = "spec.pipeline.window.tumbling";
    let size_ms = spec.tumbling.size.millis();
    let offset_ms = spec.tumbling.offset.as_ref().map_or(0, |offset| offset.millis());
    if size_ms <= 0 {
        problems.add(format!("{field}.size"), format!("`{}` must be more than zero", spec.tumbling.size));
    } else if offset_ms.abs() >= size_ms {
        let offset = spec.tumbling.offset.as_ref().map_or(String::new(), ToString::to_string);
        let why = format!(
            "`{offset}` must be smaller than the size, `{}`; the sign does not count",
            spec.tumbling.size
        );
        problems.add(format!("{field}.offset"), why);
    }
    let late = match &spec.late {
        None => LatePlan::Drop,
        Some(late) => target::late(late, base, problems)?,
    };
    Some(WindowPlan {
        size_ms,
        offset_ms,
        allowed_lateness_ms: spec.allowed_lateness.as_ref().map_or(0, |lateness| lateness.millis()),
        late,
    })
}
