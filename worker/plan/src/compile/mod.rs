//! Compiles a StreamJob.
//!
//! Owns: the order of the checks, defaults, and which columns are read.
//! Never: stops at the first mistake if others can still be told.

mod fingerprint;
mod format;
mod generator;
mod kafka;
mod key;
mod paths;
mod source;
mod state;
mod steps;
mod target;

#[cfg(test)]
mod errors;
#[cfg(test)]
mod state_tests;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use tests::PAGES;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use arrow::datatypes::{Schema, SchemaRef};
use streamjob_crds::{EventTime, Place, StreamJob, Window};

use crate::error::Problems;
use crate::sql::{PlanFailure, Planned};
use crate::{EventTimeExpr, EventTimePlan, LatePlan, Plan, PlanErrors, SourcePlan, Transforms, WindowPlan};
use key::KeyedDraft;
use source::SourceDraft;
use steps::StepsDraft;

/// Enough for the longest chain of operators, in a build without optimisation too.
const STACK_BYTES: usize = 16 << 20;
/// After this long a partition without new rows is idle, unless the manifest says otherwise.
const IDLE_TIMEOUT_MS: i64 = 60_000;
/// Further than this in the future no record of a topic is, unless the manifest says otherwise.
const KAFKA_MAX_FUTURE_MS: i64 = 86_400_000;

/// Compiles a job as one machine or a pod reads it. Relative paths are relative to `base`, the folder of the manifest.
///
/// The error holds everything that [`streamjob_crds::validate`] finds; if that is nothing, every mistake in
/// expressions, types and paths that is not the consequence of another.
pub fn compile(job: &StreamJob, base: &Path) -> Result<Plan, PlanErrors> {
    // DataFusion recurses along an expression, whatever stack the caller has.
    let builder = thread::Builder::new().name("compile".to_owned()).stack_size(STACK_BYTES);
    thread::scope(|scope| match builder.spawn_scoped(scope, || compile_job(job, base)) {
        Ok(compiling) => compiling.join().unwrap_or_else(|panicked| resume_unwind(panicked)),
        Err(_no_thread) => compile_job(job, base),
    })
}

fn compile_job(job: &StreamJob, base: &Path) -> Result<Plan, PlanErrors> {
    let invalid = streamjob_crds::validate(job, Place::Machine);
    if !invalid.is_empty() {
        return Err(PlanErrors(invalid));
    }
    let mut problems = Problems::default();
    let pipeline = &job.spec.pipeline;
    let source = SourceDraft::new(&pipeline.source, &job.metadata.name, base, &mut problems);
    let rows = RowsDraft::new(pipeline, &source.columns, &mut problems);
    let window = window(&pipeline.window, base, &mut problems);
    let sink = target::sink(pipeline, &rows.keyed.result, base, &mut problems);
    let kafka_output = kafka::output(pipeline, base, &mut problems);
    let state = state::compile(job.spec.state.as_ref(), &job.metadata.name, base, &mut problems);
    let targets = target::Targets {
        state: state.as_ref(),
        sink: sink.as_ref().map(|sink| &sink.kind),
        late: window.as_ref().map(|window| &window.late),
        bad_records: source.bad_records.as_ref(),
    };
    targets.check(source.patterns(), &mut problems);
    problems.finish()?;

    // Whatever is missing now has been told as a problem.
    let complete = "a draft without problems is complete";
    let window = window.expect(complete);
    let reads_all = window.late != LatePlan::Drop;
    let schema = rows.source_schema(&source.columns, reads_all);
    let event_time = event_time_plan(pipeline, &rows, &schema)?;
    let transforms = rows.transforms(&schema, reads_all)?;
    let (key, aggregates) = rows.keyed.resolve(transforms.output());
    let reads = rows.source_schema(&source.columns, false);
    let mut plan = Plan {
        job: job.metadata.name.clone(),
        parallelism: job.spec.parallelism,
        event_time,
        key,
        window,
        aggregates,
        result: rows.keyed.result,
        sink: sink.expect(complete),
        kafka_output,
        source: SourcePlan {
            kind: source.kind.pruned(&schema),
            schema,
            bad_records: source.bad_records.expect(complete),
        },
        transforms,
        state: state.expect(complete),
        manifest_folder: base.to_owned(),
        spec_text: job.canonical(),
        fingerprint: BTreeMap::new(),
    };
    plan.fingerprint = fingerprint::of(&plan, pipeline, &reads);
    Ok(plan)
}

/// What is done with rows, planned over all columns of the source.
struct RowsDraft {
    event_time: Option<Planned>,
    steps: StepsDraft,
    keyed: KeyedDraft,
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
        self.keyed.columns()
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
    let (path, planned) = match (&spec.field, &spec.expr) {
        (Some(name), _) => ("spec.pipeline.eventTime.field", source::column(name, columns)),
        (None, sql) => {
            let sql = sql.as_ref().expect("validation leaves field or expr");
            let planned = Planned::new(sql, columns, &[]).map_err(|failure| match failure {
                PlanFailure::Wrong(why) => why,
                PlanFailure::Unknown => unreachable!("no column of the source is broken"),
            });
            ("spec.pipeline.eventTime.expr", planned)
        }
    };
    let planned = problems.keep(path, planned)?;
    let is_column = planned.as_column().is_some();
    let checked = EventTimeExpr::check(&planned.output, is_column);
    problems.keep(path, checked.map_err(|why| format!("`{}`: {why}", planned.sql)))?;
    Some(planned)
}

fn event_time_plan(
    pipeline: &streamjob_crds::Pipeline,
    rows: &RowsDraft,
    schema: &SchemaRef,
) -> Result<EventTimePlan, PlanErrors> {
    let spec = &pipeline.event_time;
    let max_future_ms = pipeline.source.kafka.as_ref().map(|_| KAFKA_MAX_FUTURE_MS);
    let planned = rows.event_time.as_ref().expect("a draft without problems has an event time");
    let expr =
        planned.bind(schema).map_err(|why| steps::late_problem("spec.pipeline.eventTime.expr", why))?;
    Ok(EventTimePlan {
        expr: EventTimeExpr::new(expr),
        max_out_of_orderness_ms: spec.max_out_of_orderness.as_ref().map_or(0, |bound| bound.millis()),
        idle_timeout_ms: spec.idle_timeout.as_ref().map_or(IDLE_TIMEOUT_MS, |timeout| timeout.millis()),
        max_drift_ms: spec.max_drift.as_ref().map(|drift| drift.millis()),
        max_future_ms: spec.max_future.as_ref().map(|bound| bound.millis()).or(max_future_ms),
    })
}

fn window(spec: &Window, base: &Path, problems: &mut Problems) -> Option<WindowPlan> {
    let late = match &spec.late {
        None => LatePlan::Drop,
        Some(late) => target::late(late, base, problems)?,
    };
    Some(WindowPlan {
        size_ms: spec.tumbling.size.millis(),
        offset_ms: spec.tumbling.offset.as_ref().map_or(0, |offset| offset.millis()),
        allowed_lateness_ms: spec.allowed_lateness.as_ref().map_or(0, |lateness| lateness.millis()),
        late,
    })
}
