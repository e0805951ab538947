//! What tests of several crates share. The tests themselves are in `tests/tests/all.rs`, the benches in `tests/src/bin/`.
//!
//! Owns: running the built program on a manifest.
//! Never: is imported by another crate.

#![forbid(unsafe_code)]

pub mod inside;
pub mod job;
