//! Publishing into folders: a file for each epoch, slot and target, which appears whole or not at all.
//!
//! Owns: the hidden temporary file, its sync, and its final name.
//! Never: holds a whole file in memory, or publishes what no committed epoch holds; the caller answers for that.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use streamjob_checkpoint::fail_point;

use super::folder::{part_name, sync_folder};
use super::{PublishedFile, SinkError, Target};

/// A folder that a target's files appear in.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// How its files end.
    pub extension: &'static str,
}

/// Publishes epochs into folders.
#[derive(Clone, Debug)]
pub struct FilePublisher {
    folders: BTreeMap<Target, Folder>,
    writer: String,
}

/// An epoch that is being published. Dropped before its end, it leaves at most some of its files under their final
/// names, and publishing it again replaces each by itself.
#[derive(Debug)]
pub struct Publication<'a> {
    publisher: &'a FilePublisher,
    lineage: String,
    epoch: u64,
    parts: BTreeMap<(Target, u32), Part>,
}

/// A file that is being written.
#[derive(Debug)]
struct Part {
    file: File,
    temporary: Temporary,
    rows: u64,
    bytes: u64,
}

/// The path of a temporary file; dropping it removes the file, unless it has its final name by then.
#[derive(Debug)]
struct Temporary {
    path: PathBuf,
    renamed: bool,
}

impl FilePublisher {
    /// A publisher into folders that were claimed; `writer` tells the temporary files of two processes apart.
    pub fn new(folders: BTreeMap<Target, Folder>, writer: String) -> Self {
        Self { folders, writer }
    }

    /// Begins to publish an epoch of a lineage.
    pub fn begin(&self, lineage: String, epoch: u64) -> Publication<'_> {
        Publication { publisher: self, lineage, epoch, parts: BTreeMap::new() }
    }
}

impl Publication<'_> {
    /// Appends to the file of a target and slot.
    ///
    /// # Panics
    /// If the target is not one of the publisher's folders.
    pub fn write(&mut self, target: Target, slot: u32, rows: u64, text: &[u8]) -> Result<(), SinkError> {
        let part = match self.parts.entry((target, slot)) {
            std::collections::btree_map::Entry::Occupied(part) => part.into_mut(),
            std::collections::btree_map::Entry::Vacant(vacant) => {
                let folder = &self.publisher.folders[&target];
                let name = part_name(&self.lineage, &self.publisher.writer, (self.epoch, slot));
                vacant.insert(Part::create(folder.path.join(name))?)
            }
        };
        part.file.write_all(text).map_err(SinkError::io("write", &part.temporary.path))?;
        part.rows += rows;
        part.bytes += text.len() as u64;
        Ok(())
    }

    /// Makes all files appear under their final names, each once all of it is on the disk; waits for that. The names
    /// themselves are durable after it, too.
    pub fn finish(self) -> Result<Vec<(Target, PublishedFile)>, SinkError> {
        let Self { publisher, lineage, epoch, parts } = self;
        let mut published = Vec::new();
        for ((target, slot), mut part) in parts {
            let Folder { path, extension } = &publisher.folders[&target];
            let name = format!("{lineage}-{epoch}-{slot}.{extension}");
            fail_point::hit("publish.sync.before");
            part.file.sync_all().map_err(SinkError::io("sync", &part.temporary.path))?;
            fail_point::hit("publish.rename.before");
            part.temporary.rename(&path.join(&name))?;
            fail_point::hit("publish.rename.after");
            published.push((target, PublishedFile { name, rows: part.rows, bytes: part.bytes }));
        }
        let mut folders: Vec<&Path> =
            published.iter().map(|(target, _)| &*publisher.folders[target].path).collect();
        folders.dedup();
        folders.into_iter().try_for_each(sync_folder)?;
        Ok(published)
    }
}

impl Part {
    fn create(path: PathBuf) -> Result<Self, SinkError> {
        let file = File::create(&path).map_err(SinkError::io("create", &path))?;
        Ok(Self { file, temporary: Temporary { path, renamed: false }, rows: 0, bytes: 0 })
    }
}

impl Temporary {
    fn rename(&mut self, to: &Path) -> Result<(), SinkError> {
        fs::rename(&self.path, to).map_err(SinkError::io("rename", &self.path))?;
        self.renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "left a hidden temporary file behind");
        }
    }
}
