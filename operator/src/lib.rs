//! The operator: observe -> decide -> apply -> report.
//!
//! Owns: turning StreamJobs of a cluster into workers that run them, and keeping them so.
//! Never: reads a Secret, a record or an object store.

#![forbid(unsafe_code)]

pub mod decide;
pub mod effective;
pub mod names;
pub mod render;
pub mod report;
pub mod revision;
#[cfg(test)]
mod simulation;
pub mod world;
