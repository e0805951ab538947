//! The table of one slice: a row of aggregate state for each key.
//!
//! Owns: where a key's row is, and access to the state in it.
//! Never: knows what the state means.

mod rows;

pub use rows::{Plain, Selection, StateField, StateRows};
