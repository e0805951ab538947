//! What the words mean: key groups, event time, watermarks, barrier alignment, windows, aggregates.
//!
//! Owns: the rules of time, keys and aggregation, as pure functions and state machines over Arrow arrays.
//! Never: awaits, reads a clock, draws random numbers or does I/O.

pub mod aggregate;
pub mod barrier;
pub mod key;
pub mod key_group;
pub mod preaggregate;
pub mod table;
pub mod watermark;
pub mod window;
