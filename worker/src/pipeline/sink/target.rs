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

    /// The field of the manifest that says where it goes, up to the kind of place.
    fn place(self) -> &'static str {
        match self {
            Self::Results => "spec.pipeline.sink",
            Self::Late => "spec.pipeline.window.late",
            Self::DeadLetters => "spec.pipeline.source.badRecords",
        }
    }

    /// The field of the manifest that names its folder.
    pub fn folder_field(self) -> String {
        format!("{}.files.url", self.place())
    }

    /// The field of the manifest that names its topic.
    pub fn topic_field(self) -> String {
        format!("{}.kafka.topic", self.place())
    }

    /// The target of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|target| target.name() == name)
    }
}
