//! What is wrong with a manifest, all of it at once.
//!
//! Owns: the mistakes that compiling finds, and the nearest known name.
//! Never: decides what is a mistake.

use streamjob_crds::FieldError;

/// Why a job does not compile. At least one mistake, in the order of the manifest; printed one a line.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct PlanErrors(pub Vec<FieldError>);

fn lines(errors: &[FieldError]) -> String {
    errors.iter().map(FieldError::to_string).collect::<Vec<_>>().join("\n")
}

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<FieldError>);

impl Problems {
    pub(crate) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(FieldError::new(path, message));
    }

    /// The value of a result; its error is noted.
    pub(crate) fn keep<T>(&mut self, path: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.add(path, message)).ok()
    }

    pub(crate) fn finish(self) -> Result<(), PlanErrors> {
        if self.0.is_empty() { Ok(()) } else { Err(PlanErrors(self.0)) }
    }
}

/// The known name that `written` was probably meant to be.
pub(crate) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = written.to_lowercase();
    let distance = |name: &str| strsim::osa_distance(&name.to_lowercase(), &lower);
    let candidates = known.into_iter().map(|name| (distance(name), name));
    let (distance, name) = candidates.min()?;
    (distance <= (written.chars().count() + 1) / 3).then_some(name)
}

/// The sentence for a column that does not exist.
pub(crate) fn unknown_column(name: &str, known: &[&str]) -> String {
    let meant = nearest(name, known.iter().copied());
    let hint = meant.map_or_else(|| ";".to_owned(), |near| format!("; did you mean `{near}`?"));
    format!("unknown column `{name}`{hint} known: {}", known.join(", "))
}
