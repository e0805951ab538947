//! What tests of several crates share. The tests themselves are in `tests/tests/all.rs`, the benches in `tests/src/bin/`.
//!
//! Owns: nothing yet but the place.
//! Never: is imported by another crate.

#![forbid(unsafe_code)]
