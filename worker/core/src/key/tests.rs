//! Golden vectors of keys.
//!
//! Owns: the bytes and hashes that version 1 promises.
//! Never: changes without a new version.
