//! The operator: observe -> decide -> apply -> report.
//!
//! Owns: turning StreamJobs of a cluster into workers that run them, and keeping them so.
//! Never: reads a Secret, a record or an object store.

#![forbid(unsafe_code)]

pub mod act;
pub mod api;
pub mod compile;
pub mod context;
pub mod controller;
pub mod coordinator;
pub mod decide;
pub mod effective;
mod events;
pub mod health;
pub mod leader;
pub mod metrics;
pub mod names;
pub mod observe;
pub mod planted;
pub mod reconcile;
pub mod render;
pub mod report;
pub mod revision;
pub mod setup;
#[cfg(test)]
mod simulation;
pub mod token;
pub mod world;
