//! Named places at which a test ends, stops or delays the process.
//!
//! Owns: the names, and what `STREAMJOB_FAIL_POINT` says about them.
//! Never: does anything in a build without the feature `fail-points`.
//!
//! `STREAMJOB_FAIL_POINT=name=action@n,…`: at the nth time (1 if left out) that `name` is reached: `kill` (SIGKILL to
//! itself), `stop` (SIGSTOP to itself), or `sleep:MS`.

/// Every fail point, in the order of the protocol.
pub const ALL: &[&str] = &[];

/// The process is at this point.
#[inline(always)]
pub fn hit(_name: &'static str) {
    #[cfg(feature = "fail-points")]
    active::hit(_name);
}

#[cfg(feature = "fail-points")]
mod active {
    pub(super) fn hit(_name: &'static str) {}
}
