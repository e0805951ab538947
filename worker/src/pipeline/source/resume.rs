//! Partitions read on from a position.
//!
//! Owns: that reading in two halves is reading at once, and what becomes of files that changed in between.
//! Never: looks inside a reader.
