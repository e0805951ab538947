//! Makes an epoch's files appear once every slot has sealed its part.
//!
//! Owns: the order of publishing: files first, then the folder, then the list that names them.
//! Never: runs on a slot's thread.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::outlets::Target;
use crate::metrics::JobMetrics;
use crate::pipeline::sink::{PublishedFile, SealedFile, SinkError, write_epoch_manifest};

/// Publishes the epochs of a job.
pub(super) struct Publisher {
    folders: BTreeMap<Target, PathBuf>,
    run: String,
    metrics: Arc<JobMetrics>,
}

impl Publisher {
    /// A publisher for targets that are folders; `run` stands in the lists.
    pub(super) fn new(folders: BTreeMap<Target, PathBuf>, run: String, metrics: Arc<JobMetrics>) -> Self {
        Self { folders, run, metrics }
    }

    /// Publishes an epoch: each file under its final name, then `_epoch-<n>.json` in each folder that got any.
    pub(super) fn publish(&self, epoch: u64, files: Vec<(Target, SealedFile)>) -> Result<(), SinkError> {
        let mut published: BTreeMap<Target, Vec<PublishedFile>> = BTreeMap::new();
        for (target, file) in files {
            published.entry(target).or_default().push(file.publish()?);
        }
        for (target, mut files) in published {
            files.sort_by(|a, b| a.name.cmp(&b.name));
            let folder = &self.folders[&target];
            write_epoch_manifest(folder, &self.run, epoch, &files)?;
        }
        self.metrics.epochs_published.store(epoch, Relaxed);
        Ok(())
    }
}
