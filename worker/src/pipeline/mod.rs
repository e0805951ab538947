//! The stages of the pipeline, each in a folder of its own.
//!
//! Owns: what happens to bytes and rows on their way from source to sink.
//! Never: starts a thread that outlives its stage, or knows how stages are connected.

pub mod clock;
pub mod decode;
pub mod encode;
pub mod records;
pub mod sink;
pub mod source;
