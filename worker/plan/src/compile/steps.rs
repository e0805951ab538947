//! The transforms of a job: first planned over all columns, then bound to those that are used.
//!
//! Owns: which columns there are after each step, and which of them anything needs.
//! Never: evaluates.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use streamjob_crds::{FieldError, FlatMap, SelectColumn, Transform};

use super::source;
use crate::error::Problems;
use crate::sql::{PlanFailure, Planned};
use crate::steps::{Repeated, Step, StepKind};
use crate::{PlanErrors, types};

/// The planned transforms.
pub(super) struct StepsDraft {
    steps: Vec<StepDraft>,
    /// The columns after the last step.
    pub(super) columns: Schema,
    /// Columns whose expressions are wrong: what reads them is not reported too.
    pub(super) broken: Vec<String>,
    /// For columns after the last step: the column of the source that they hold unchanged.
    unchanged: BTreeMap<String, String>,
}

enum StepDraft {
    Where(Planned),
    Select(Vec<(String, Planned)>),
    FlatMap { column: String, list: Planned, element: DataType },
}

impl StepsDraft {
    pub(super) fn new(transforms: &[Transform], source: &Schema, problems: &mut Problems) -> Self {
        let unchanged =
            source.fields().iter().map(|field| (field.name().clone(), field.name().clone())).collect();
        let mut draft = Self { steps: Vec::new(), columns: source.clone(), broken: Vec::new(), unchanged };
        for (i, transform) in transforms.iter().enumerate() {
            let path = format!("spec.pipeline.transforms[{i}]");
            if let Some(sql) = &transform.filter {
                draft.filter(sql, &format!("{path}.where"), problems);
            }
            if let Some(columns) = &transform.select {
                draft.select(columns, &format!("{path}.select"), problems);
            }
            if let Some(spec) = &transform.flat_map {
                draft.flat_map(spec, &format!("{path}.flatMap.expr"), problems);
            }
        }
        draft
    }

    fn plan(&self, sql: &str, path: &str, problems: &mut Problems) -> Option<Planned> {
        match Planned::new(sql, &self.columns, &self.broken) {
            Ok(planned) => Some(planned),
            Err(PlanFailure::Unknown) => None,
            Err(PlanFailure::Wrong(why)) => {
                problems.add(path, why);
                None
            }
        }
    }

    fn filter(&mut self, sql: &str, path: &str, problems: &mut Problems) {
        let Some(predicate) = self.plan(sql, path, problems) else {
            return;
        };
        if predicate.output == DataType::Boolean {
            self.steps.push(StepDraft::Where(predicate));
        } else {
            let found = types::a(&predicate.output);
            problems.add(path, format!("`{sql}` gives {found}: write a condition, such as `value > 0`"));
        }
    }

    fn select(&mut self, columns: &[SelectColumn], path: &str, problems: &mut Problems) {
        let mut planned: Vec<(String, Planned)> = Vec::new();
        let mut broken = Vec::new();
        for (i, column) in columns.iter().enumerate() {
            match self.value(&column.expr, &format!("{path}[{i}].expr"), problems) {
                Some(value) => planned.push((column.name.clone(), value)),
                None => broken.push(column.name.clone()),
            }
        }
        self.unchanged = planned
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), self.unchanged.get(value.as_column()?)?.clone())))
            .collect();
        let fields: Vec<_> =
            planned.iter().map(|(name, value)| Field::new(name, value.output.clone(), true)).collect();
        self.columns = Schema::new(fields);
        self.broken = broken;
        self.steps.push(StepDraft::Select(planned));
    }

    fn value(&self, sql: &str, path: &str, problems: &mut Problems) -> Option<Planned> {
        let value = self.plan(sql, path, problems)?;
        if value.output == DataType::Null {
            problems.add(path, format!("`{sql}` has no type: write one, such as `CAST(NULL AS BIGINT)`"));
            return None;
        }
        Some(value)
    }

    fn flat_map(&mut self, spec: &FlatMap, path: &str, problems: &mut Problems) {
        let column = spec.column.clone();
        let Some(list) = self.plan(&spec.expr, path, problems) else {
            self.broken.push(column);
            return;
        };
        let (DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _)) =
            &list.output
        else {
            let found = types::a(&list.output);
            let why = format!(
                "`{}` gives {found}: write an expression that gives a list, such as `string_to_array(text, ' ')`",
                spec.expr
            );
            problems.add(path, why);
            self.broken.push(column);
            return;
        };
        let element = types::nearest_type(item.data_type());
        let new = Arc::new(Field::new(&column, element.clone(), true));
        let mut fields: Vec<_> = self.columns.fields().iter().cloned().collect();
        match self.columns.index_of(&column) {
            Ok(place) => fields[place] = new,
            Err(_) => fields.push(new),
        }
        self.columns = Schema::new(fields);
        self.broken.retain(|name| *name != column);
        self.unchanged.remove(&column);
        self.steps.push(StepDraft::FlatMap { column, list, element });
    }

    /// The names of all columns after the last step, also those whose types are not known.
    pub(super) fn names(&self) -> Vec<&str> {
        source::names(&self.columns).into_iter().chain(self.broken.iter().map(String::as_str)).collect()
    }

    /// The columns of the source that the steps and these columns behind the last step need.
    pub(super) fn reads(&self, used: &BTreeSet<String>) -> BTreeSet<String> {
        self.steps.iter().rev().fold(used.clone(), |after, step| step.reads(&after))
    }

    /// Binds each step to the columns that are used after the one before it.
    pub(super) fn bind(&self, source: &SchemaRef, used: &BTreeSet<String>) -> Result<Vec<Step>, PlanErrors> {
        let mut after = used.clone();
        let mut used_after = Vec::new();
        for step in self.steps.iter().rev() {
            used_after.push(after.clone());
            after = step.reads(&after);
        }
        let mut layout = Arc::clone(source);
        let mut steps = Vec::new();
        for (i, (step, used)) in self.steps.iter().zip(used_after.into_iter().rev()).enumerate() {
            let step = step
                .bind(&layout, &used)
                .map_err(|why| late_problem(&format!("spec.pipeline.transforms[{i}]"), why))?;
            layout = Arc::clone(&step.output);
            steps.push(step);
        }
        Ok(steps)
    }

    /// For each column of the source: where the last step still holds it, unchanged and under its name.
    pub(super) fn held(&self, source: &SchemaRef, last: &SchemaRef) -> Vec<Option<usize>> {
        let held = |name: &String| {
            let same = self.unchanged.get(name) == Some(name);
            same.then(|| last.index_of(name).ok()).flatten()
        };
        source.fields().iter().map(|field| held(field.name())).collect()
    }
}

impl StepDraft {
    /// The columns it needs if these are needed after it.
    fn reads(&self, used: &BTreeSet<String>) -> BTreeSet<String> {
        match self {
            Self::Where(predicate) => used.iter().chain(&predicate.columns).cloned().collect(),
            Self::Select(columns) => columns
                .iter()
                .filter(|(name, _)| used.contains(name))
                .flat_map(|(_, value)| value.columns.iter().cloned())
                .collect(),
            Self::FlatMap { column, list, .. } => {
                used.iter().filter(|name| *name != column).chain(&list.columns).cloned().collect()
            }
        }
    }

    fn bind(&self, layout: &SchemaRef, used: &BTreeSet<String>) -> Result<Step, String> {
        let kept = |(_, field): &(usize, &Arc<Field>)| used.contains(field.name());
        match self {
            Self::Where(predicate) => {
                let (keep, fields): (Vec<_>, Vec<_>) = layout
                    .fields()
                    .iter()
                    .enumerate()
                    .filter(kept)
                    .map(|(i, field)| (i, Arc::clone(field)))
                    .unzip();
                let kind = StepKind::Where { predicate: predicate.bind(layout)?, keep };
                Ok(Step { kind, output: Arc::new(Schema::new(fields)) })
            }
            Self::Select(columns) => {
                let (read, unused): (Vec<_>, Vec<_>) =
                    columns.iter().partition(|(name, _)| used.contains(name));
                let fields: Vec<_> =
                    read.iter().map(|(name, value)| Field::new(name, value.output.clone(), true)).collect();
                let columns = read.iter().map(|(_, value)| value.bind(layout)).collect::<Result<_, _>>()?;
                let unused = unused.into_iter().map(|(name, _)| name.clone()).collect();
                Ok(Step { kind: StepKind::Select { columns, unused }, output: Arc::new(Schema::new(fields)) })
            }
            Self::FlatMap { column, list, element } => {
                let (mut keep, mut fields): (Vec<_>, Vec<_>) = layout
                    .fields()
                    .iter()
                    .enumerate()
                    .filter(|(_, field)| field.name() != column)
                    .filter(kept)
                    .map(|(i, field)| (Repeated::Input(i), Arc::clone(field)))
                    .unzip();
                if used.contains(column) {
                    keep.push(Repeated::Element);
                    fields.push(Arc::new(Field::new(column, element.clone(), true)));
                }
                let list = list.bind(layout)?;
                let kind = StepKind::FlatMap { column: column.clone(), list, element: element.clone(), keep };
                Ok(Step { kind, output: Arc::new(Schema::new(fields)) })
            }
        }
    }
}

/// A mistake that only binding to the used columns finds.
pub(super) fn late_problem(path: &str, message: String) -> PlanErrors {
    PlanErrors(vec![FieldError::new(path, message)])
}
