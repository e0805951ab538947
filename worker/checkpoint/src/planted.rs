//! Bugs that tests must catch: switches in production code, each once a bug of somebody.
//!
//! Owns: their names, and which one `STREAMJOB_PLANTED_BUG` chooses.
//! Never: is anything but `false` in a build without the feature `planted-bugs`.

/// A bug.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bug {
    /// A worker acknowledges a barrier before its upload is durable.
    AckBeforeUpload,
}

/// Whether this bug is planted in this process.
#[inline(always)]
pub fn is(_bug: Bug) -> bool {
    #[cfg(feature = "planted-bugs")]
    return active::is(_bug);
    #[cfg(not(feature = "planted-bugs"))]
    false
}

#[cfg(feature = "planted-bugs")]
mod active {
    use super::Bug;

    pub(super) fn is(_bug: Bug) -> bool {
        false
    }
}
