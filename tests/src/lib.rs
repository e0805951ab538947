//! What tests of several crates share. The tests themselves are in `tests/tests/all.rs`, the benches in `tests/src/bin/`.
//!
//! Owns: running the built program on a manifest, under faults; input, and the check of what became of it.
//! Never: is imported by another crate.

#![forbid(unsafe_code)]

pub mod admin;
pub mod api_server;
pub mod certificates;
pub mod checker;
pub mod cluster;
pub mod fake_cluster;
pub mod faulty_store;
pub mod feed;
pub mod inside;
pub mod job;
pub mod kafka;
pub mod pod;
pub mod process;
pub mod proxy;
pub mod s3;
pub mod timeline;
pub mod tokens;
pub mod topics;
pub mod trial;
