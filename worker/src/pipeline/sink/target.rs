//! Where output may go.
//!
//! Owns: the targets of a job and their names, which stand in checkpoints.
//! Never: knows what kind of place a target is.

/// A place that output goes to. Each has a folder of its own when it is files.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Target {
    /// Results of windows.
    Results,
    /// Late rows.
    Late,
    /// Bad records.
    DeadLetters,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Results, Self::Late, Self::DeadLetters];

    /// Its name in outboxes and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Results => "results",
            Self::Late => "late",
            Self::DeadLetters => "deadLetters",
        }
    }

    /// The target of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.name() == name)
    }
}
