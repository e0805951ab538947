//! Columns that no record has: most likely a name that is written differently in the records.
//!
//! Owns: which columns were null in all of a slot's first records; one hint for all slots.
//! Never: changes a row, or costs anything once the first records have been seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::RecordBatch;
use streamjob_plan::{SourceKind, SourcePlan};

/// So many records, or all that a partition has, are looked at.
const FIRST: usize = 1_000;

/// The columns of a slot's first records.
pub(super) struct Absent {
    /// Null in every record so far, by their places in the schema, and their names; empty: there is nothing left to look
    /// for.
    columns: Vec<(usize, String)>,
    rows: usize,
    /// Some slot has said so.
    told: Arc<AtomicBool>,
}

impl Absent {
    /// Of the columns that a source takes from what its records hold.
    pub(super) fn of(source: &SourcePlan, told: Arc<AtomicBool>) -> Self {
        let all = source.schema.fields().iter().map(|field| field.name().clone()).enumerate();
        let columns = match &source.kind {
            SourceKind::Files(_) => all.collect(),
            SourceKind::Kafka(plan) => {
                all.filter(|(_, name)| plan.metadata.iter().all(|beside| beside.name != *name)).collect()
            }
            SourceKind::Generator(_) => Vec::new(),
        };
        Self { columns, rows: 0, told }
    }

    /// Looks at a batch.
    pub(super) fn on_rows(&mut self, rows: &RecordBatch) {
        if self.columns.is_empty() {
            return;
        }
        self.columns.retain(|(at, _)| rows.column(*at).null_count() == rows.num_rows());
        self.rows += rows.num_rows();
        if self.rows >= FIRST {
            self.tell();
        }
    }

    /// There are no more.
    pub(super) fn on_end(&mut self) {
        if self.rows > 0 {
            self.tell();
        }
    }

    fn tell(&mut self) {
        let columns = std::mem::take(&mut self.columns);
        if columns.is_empty() || self.told.swap(true, Ordering::Relaxed) {
            return;
        }
        let names: Vec<String> = columns.into_iter().map(|(_, name)| name).collect();
        tracing::warn!(
            columns = names.join(", "),
            records = self.rows,
            "null in all of the first records: are these the names that the records have? See \
             `spec.pipeline.source.columns`"
        );
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array};
    use arrow::datatypes::{DataType, Field, Schema};
    use streamjob_plan::{BadRecordsPlan, FilesPlan, FormatPlan};

    use super::*;

    fn source() -> SourcePlan {
        let fields = ["n", "missing"].map(|name| Field::new(name, DataType::Int64, true));
        let declared = vec!["n".to_owned(), "missing".to_owned()];
        let files =
            FilesPlan { patterns: Vec::new(), one_partition: false, format: FormatPlan::Json, declared };
        SourcePlan {
            kind: SourceKind::Files(files),
            schema: Arc::new(Schema::new(fields.to_vec())),
            bad_records: BadRecordsPlan::Skip,
        }
    }

    fn rows(count: usize, missing: Option<i64>) -> RecordBatch {
        let column = |value: Option<i64>| -> ArrayRef { Arc::new(Int64Array::from(vec![value; count])) };
        RecordBatch::try_new(source().schema, vec![column(Some(1)), column(missing)]).expect("they fit")
    }

    #[test]
    fn a_column_that_is_null_in_all_of_the_first_records_is_told_of_once() {
        let told = Arc::new(AtomicBool::new(false));
        let [mut first, mut second] = [(); 2].map(|()| Absent::of(&source(), Arc::clone(&told)));

        first.on_rows(&rows(999, None));
        let early = told.load(Ordering::Relaxed);
        first.on_rows(&rows(1, None));
        let now = told.load(Ordering::Relaxed);
        second.on_rows(&rows(2_000, None));

        assert_eq!((early, now), (false, true));
        assert!(first.columns.is_empty() && second.columns.is_empty(), "they do not look any more");
    }

    #[test]
    fn a_column_that_has_something_once_is_not_told_of() {
        let told = Arc::new(AtomicBool::new(false));
        let mut absent = Absent::of(&source(), Arc::clone(&told));

        absent.on_rows(&rows(1, Some(3)));
        absent.on_rows(&rows(5_000, None));

        assert!(!told.load(Ordering::Relaxed));
    }
}
