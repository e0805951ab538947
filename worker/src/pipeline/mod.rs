//! The stages of the pipeline, each in a folder of its own.
//!
//! Owns: what happens to bytes and rows on their way from source to sink.
//! Never: starts a thread that outlives its stage, or knows how stages are connected.

pub mod encode;
pub mod sink;
