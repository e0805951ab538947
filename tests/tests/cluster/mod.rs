//! Jobs on a real Kubernetes, from `kubectl apply` to results, through everything that happens to pods there.
//!
//! Owns: the scenarios; each proves that its fault happened, and that each row is in the results exactly once.
//! Never: looks at what the operator thinks; only at objects, topics and the bucket.

mod charts;
mod rules;
