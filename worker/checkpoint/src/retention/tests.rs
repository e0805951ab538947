//! Retention over small logs.
