//! The input as it is stored.
//!
//! Owns: reading the files; the watermark of each row's own partition.
//! Never: generates a row.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// All rows of all partitions.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// Partition by partition, each in its order.
    pub rows: Vec<InputRow>,
    /// How many partitions there are.
    pub partitions: u32,
    /// Their keys, numbered.
    pub keys: HashMap<Option<String>, u32>,
    names: Vec<Option<String>>,
    bound_ms: i64,
}

/// A row, and where time stood in its partition before it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InputRow {
    /// Its id.
    pub id: u64,
    /// Its file.
    pub partition: u32,
    /// Its number in the file, from 0.
    pub index: u64,
    /// The number of its key.
    pub key: u32,
    /// Its event time.
    pub at_ms: i64,
    /// What is summed up.
    pub value: i64,
    /// Its number among the rows of its key.
    pub sequence: u64,
    /// The watermark of its partition before it; `None` before the first row.
    pub watermark_ms: Option<i64>,
}

/// The columns, in input files and in the late output.
#[derive(Debug, Deserialize)]
pub(super) struct Columns {
    pub(super) id: u64,
    pub(super) key: Option<String>,
    pub(super) seq: u64,
    pub(super) ts: i64,
    pub(super) value: i64,
}

impl Input {
    /// Reads all `in-*.jsonl` and `in-*.jsonl.gz` of a folder, in the order of their names.
    pub fn read(folder: &Path, bound_ms: i64) -> Result<Self> {
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        files.retain(|file| name(file).starts_with("in-"));
        files.sort();
        ensure!(!files.is_empty(), "no input files in {}", folder.display());
        let mut input = Self { bound_ms, ..Self::default() };
        for file in files {
            let text = text_of(&file)?;
            input.add_partition(&text).with_context(|| format!("in {}", file.display()))?;
        }
        Ok(input)
    }

    /// The same of partitions that are not files.
    pub fn of_texts(partitions: &[String], bound_ms: i64) -> Result<Self> {
        let mut input = Self { bound_ms, ..Self::default() };
        partitions.iter().try_for_each(|text| input.add_partition(text))?;
        Ok(input)
    }

    /// The text of a key's number.
    pub fn name_of(&self, key: u32) -> &Option<String> {
        &self.names[key as usize]
    }

    fn add_partition(&mut self, text: &str) -> Result<()> {
        let mut greatest: Option<i64> = None;
        for (line, index) in text.lines().zip(0..) {
            let columns: Columns = serde_json::from_str(line).with_context(|| line.to_owned())?;
            let Columns { id, key, seq, ts, value } = columns;
            let watermark_ms = greatest.map(|greatest| greatest - self.bound_ms - 1);
            let (partition, key) = (self.partitions, self.number_of(key));
            let row = InputRow { id, partition, index, key, at_ms: ts, value, sequence: seq, watermark_ms };
            self.rows.push(row);
            greatest = greatest.max(Some(ts));
        }
        self.partitions += 1;
        Ok(())
    }

    fn number_of(&mut self, key: Option<String>) -> u32 {
        if let Some(number) = self.keys.get(&key) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).expect("fewer than 2^32 keys");
        self.names.push(key.clone());
        self.keys.insert(key, number);
        number
    }
}

fn name(file: &Path) -> String {
    file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn text_of(file: &Path) -> Result<String> {
    if !name(file).ends_with(".gz") {
        return Ok(fs::read_to_string(file)?);
    }
    let output = Command::new("gzip").arg("-dc").arg(file).output()?;
    ensure!(output.status.success(), "gzip -dc {} failed", file.display());
    Ok(String::from_utf8(output.stdout)?)
}
