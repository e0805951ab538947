//! What is wrong with a manifest, all of it at once.
//!
//! Owns: the mistakes that compiling finds, and the nearest known name.
//! Never: decides what is a mistake.

use std::fmt;

/// One mistake in a manifest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PlanError {
    /// Where it is, such as `spec.pipeline.transforms[1].where`.
    pub field: String,
    /// The value, what is wrong with it and what to write instead.
    pub message: String,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Why a manifest does not compile. At least one mistake; printed one a line.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct PlanErrors(pub Vec<PlanError>);

fn lines(errors: &[PlanError]) -> String {
    errors.iter().map(PlanError::to_string).collect::<Vec<_>>().join("\n")
}

/// The mistakes found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<PlanError>);

impl Problems {
    pub(crate) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(PlanError { field: field.into(), message: message.into() });
    }

    /// The value of a result; its error is noted.
    pub(crate) fn keep<T>(&mut self, field: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.add(field, message)).ok()
    }

    pub(crate) fn finish(self) -> Result<(), PlanErrors> {
        if self.0.is_empty() { Ok(()) } else { Err(PlanErrors(self.0)) }
    }
}

/// The known name that `written` was probably meant to be.
pub(crate) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = written.to_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &lower);
    let (name, distance) = known.into_iter().map(|name| (name, distance(name))).min_by_key(|(_, d)| *d)?;
    (distance <= 1.max(written.chars().count() / 3)).then_some(name)
}

/// The sentence for a column that does not exist.
pub(crate) fn unknown_column<'a>(name: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let names = known.clone().into_iter().collect::<Vec<_>>().join(", ");
    match nearest(name, known) {
        Some(near) => format!("there is no column `{name}` here; did you mean `{near}`? (columns: {names})"),
        None => format!("there is no column `{name}` here; the columns are {names}"),
    }
}
