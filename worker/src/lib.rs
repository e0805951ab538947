//! The moving parts: the pipeline from source to sink, what wires and watches it, and the command line.
//!
//! Owns: threads, files, sockets and signals.
//! Never: decides what a row, a window or a watermark means; that is `streamjob-core`.

// But for calls of librdkafka, in `kafka::native`.
#![deny(unsafe_code)]

pub mod admin;
pub mod cli;
pub mod durability;
pub mod kafka;
pub mod metrics;
pub mod outages;
pub mod pipeline;
pub mod pod;
pub mod progress;
pub mod runtime;
pub mod standing;
