//! What became of transactions, read from the files of a broker: clients never see the markers.
//!
//! Owns: the layout of record batches (version 2), as far as it takes to find markers.
//! Never: reads what a record holds.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};

use super::Cluster;

/// A transaction's end in one partition.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Marker {
    /// The producer, by the number that a transactional id is given for life.
    pub producer: i64,
    /// How often that id was taken over. An end that a successor makes is of the successor's number.
    pub epoch: i16,
    /// Or aborted.
    pub committed: bool,
}

const LENGTH_AT: usize = 8;
const ATTRIBUTES_AT: usize = 21;
const PRODUCER_AT: usize = 43;
const RECORDS_AT: usize = 61;
const CONTROL: i16 = 0x20;

impl Cluster {
    /// The ends of all transactions in a topic, as the first broker's files have them.
    pub fn markers(&self, topic: &str) -> Result<BTreeSet<Marker>> {
        let mut markers = BTreeSet::new();
        for entry in fs::read_dir(self.data(0))? {
            let folder = entry?.path();
            let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.rsplit_once('-').is_none_or(|(of, _)| of != topic) {
                continue;
            }
            for file in fs::read_dir(&folder)? {
                let file = file?.path();
                if file.extension().is_some_and(|end| end == "log") {
                    let bytes = fs::read(&file)?;
                    markers.extend(markers_of(&bytes).with_context(|| file.display().to_string())?);
                }
            }
        }
        Ok(markers)
    }
}

fn markers_of(mut bytes: &[u8]) -> Result<Vec<Marker>> {
    let mut markers = Vec::new();
    while let Some(length) = number(bytes, LENGTH_AT).map(i32::from_be_bytes) {
        let end = LENGTH_AT + 4 + usize::try_from(length)?;
        // The broker may be writing the last one, or have made room for it.
        let Some(batch) = bytes.get(..end).filter(|batch| batch.len() > RECORDS_AT) else { break };
        bytes = &bytes[end..];
        let attributes = i16::from_be_bytes(number(batch, ATTRIBUTES_AT).context("attributes")?);
        if attributes & CONTROL == 0 {
            continue;
        }
        let producer = i64::from_be_bytes(number(batch, PRODUCER_AT).context("a producer")?);
        let epoch = i16::from_be_bytes(number(batch, PRODUCER_AT + 8).context("its epoch")?);
        // One record: length, attributes, two differences, and the key's length are a byte each or few; the key is a
        // version and a kind, two bytes each: 0 is an abort, 1 a commit.
        let mut at = RECORDS_AT;
        skip(batch, &mut at);
        at += 1;
        (0..3).for_each(|_| skip(batch, &mut at));
        let kind = i16::from_be_bytes(number(batch, at + 2).context("a kind")?);
        markers.push(Marker { producer, epoch, committed: kind == 1 });
    }
    Ok(markers)
}

/// Past a number of variable length.
fn skip(bytes: &[u8], at: &mut usize) {
    while bytes.get(*at).is_some_and(|byte| byte & 0x80 != 0) {
        *at += 1;
    }
    *at += 1;
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}
