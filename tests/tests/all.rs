//! All tests that span crates, in one binary: linking the whole worker once is enough.
//!
//! Owns: the list of test modules.
//! Never: tests what a crate can test alone.

mod cluster;
#[cfg(feature = "faults")]
mod durability;
mod examples;
mod kafka;
mod operator;
mod pipeline;
mod pod;
mod protocol;
mod state;
mod stores;
mod tidy;
