//! The operator against an API server in memory and a cluster of fakes behind it.
//!
//! Owns: conformance of the fake, and everything the operator must survive.
//! Never: needs a cluster; `tests/tests/cluster` has one.

pub(crate) mod conformance;
pub(crate) mod crash;
mod faults;
mod leases;
mod live;
#[cfg(feature = "faults")]
mod planted;
mod random;
mod remedies;
pub(crate) mod scene;
mod sequences;
mod steady;
pub(crate) mod take_over;
