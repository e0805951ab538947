//! All tests that span crates, in one binary: linking the whole worker once is enough.
//!
//! Owns: the list of test modules.
//! Never: tests what a crate can test alone.

mod examples;
mod pipeline;
mod tidy;
