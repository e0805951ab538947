//! What tests of several crates share. The tests themselves are in `tests/tests/all.rs`, the benches in `tests/src/bin/`.
//!
//! Owns: running the built program on a manifest.
//! Never: is imported by another crate.

#![forbid(unsafe_code)]

pub mod faulty_store;
pub mod inside;
pub mod job;
