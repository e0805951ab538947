//! Aggregate functions: what is kept per key, how it grows, how it is merged and read.
//!
//! Owns: the functions, their state and its versioned encoding.
//! Never: knows a window or a key.

mod spec;

pub use spec::{AggregateError, AggregateSpec, Function, Overflow};
