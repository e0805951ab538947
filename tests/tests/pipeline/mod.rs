//! Whole jobs, through the command line or inside the test's process.
//!
//! Owns: what a user sees of the pipeline.
//! Never: looks at a stage alone.

mod attempts;
mod conformance;
mod exchange;
mod failing_store;
mod outbox;
mod records;
mod stop;
