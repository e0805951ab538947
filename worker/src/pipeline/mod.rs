//! The stages of the pipeline: source -> decode -> transform -> preaggregate -> exchange -> window -> sink.
//!
//! Owns: what happens to bytes and rows on their way from source to sink.
//! Never: starts a thread that outlives its stage, or knows how stages are connected.

pub mod clock;
pub mod decode;
pub mod encode;
pub mod exchange;
pub mod preaggregate;
pub mod records;
pub mod sink;
pub mod source;
pub mod transform;
pub mod window;
