//! What is in a checkpoint, for people.
//!
//! Owns: its tables.
//! Never: reads a store. Machines get the record itself.

use std::fmt;

use streamjob_checkpoint::checkpoint::{
    Checkpoint, Emitted, PartitionState, PartitionStatus, SliceState, SourcePosition,
};
use streamjob_checkpoint::ids::Groups;
use streamjob_checkpoint::record::{Body, Record};

use super::view::{ago, watermark_text};
use crate::cli::table::Table;
use crate::progress::format::{bytes, count, instant};

/// A checkpoint for people, at a moment.
pub(in crate::cli) struct Detail<'a> {
    pub(in crate::cli) record: &'a Record,
    pub(in crate::cli) checkpoint: &'a Checkpoint,
    pub(in crate::cli) now_ms: i64,
}

impl fmt::Display for Detail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        let checkpoint = self.checkpoint;
        section(f, "input", &partitions(&checkpoint.partitions))?;
        section(f, "slots", &slots(checkpoint))?;
        section(f, "windows", &windows(&checkpoint.slices))?;
        section(f, "output to publish", &outbox(checkpoint))?;
        section(f, "objects", &objects(checkpoint))?;
        section(f, "fingerprint (a run with another value is refused)", &fingerprint(checkpoint))
    }
}

impl Detail<'_> {
    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (record, checkpoint) = (self.record, self.checkpoint);
        let size = checkpoint.objects.iter().map(|object| object.bytes).sum();
        let counters = &checkpoint.counters;
        let ended = match &record.body {
            Body::Final { finished: true, .. } => ", the last: all input is read",
            Body::Final { finished: false, .. } => ", the last before a clean stop",
            Body::Genesis { .. } | Body::Claim { .. } => ", restored",
            Body::Epoch { .. } | Body::Deleted => "",
        };
        writeln!(f, "checkpoint {} of {}{ended}", checkpoint.epoch, record.owner.name)?;
        writeln!(f, "committed   {} ({})", instant(record.at_ms), ago(record.at_ms, self.now_ms))?;
        writeln!(f, "record      {:020} of generation {}", record.seq.0, record.generation)?;
        writeln!(f, "lineage     {}", record.lineage)?;
        writeln!(f, "size        {} in {} objects", bytes(size), count(checkpoint.objects.len() as u64))?;
        writeln!(f, "rows        {} in, {} out", count(counters.rows_in), count(counters.rows_out))?;
        writeln!(f, "late, bad   {}, {}", count(counters.late), count(counters.bad))
    }
}

fn section(f: &mut fmt::Formatter<'_>, title: &str, table: &Table) -> fmt::Result {
    if table.is_empty() {
        return writeln!(f, "\n{title}: none");
    }
    write!(f, "\n{title}\n{table}")
}

fn partitions(partitions: &[PartitionState]) -> Table {
    let mut table = Table::long(&["#id", "partition", "status", "position", "latest row"]);
    for (id, partition) in partitions.iter().enumerate() {
        let status = match partition.status {
            PartitionStatus::Active => "active",
            PartitionStatus::Idle => "idle",
            PartitionStatus::Finished => "finished",
        };
        table.row([
            id.to_string(),
            partition.name.clone(),
            status.to_owned(),
            position(partition),
            partition.max_timestamp_ms.map_or_else(|| "no row yet".to_owned(), instant),
        ]);
    }
    table
}

fn position(partition: &PartitionState) -> String {
    match partition.position {
        SourcePosition::Row { row, .. } => format!("row {}", count(row)),
        SourcePosition::Topic { offset } => match partition.topic.as_ref().and_then(|topic| topic.end) {
            Some(end) => format!("offset {} of {}", count(offset), count(end)),
            None => format!("offset {}", count(offset)),
        },
        SourcePosition::File { file, .. } if file as usize >= partition.files.len() => "end".to_owned(),
        SourcePosition::File { file, byte, line, .. } => {
            let place = format!("line {}, byte {}", count(line), count(byte));
            match partition.files.len() {
                0 | 1 => place,
                files => format!("{place} of file {} of {files}", file + 1),
            }
        }
    }
}

fn slots(checkpoint: &Checkpoint) -> Table {
    let mut table = Table::long(&["#slot", "key groups", "watermark", "behind it"]);
    for (slot, operator) in checkpoint.operators.iter().enumerate() {
        let behind: Vec<_> = operator.behind.iter().map(u32::to_string).collect();
        let behind =
            if behind.is_empty() { String::new() } else { format!("partitions {}", behind.join(", ")) };
        table.row([slot.to_string(), groups(operator.groups), watermark_text(operator.watermark_ms), behind]);
    }
    table
}

fn groups(groups: Groups) -> String {
    if groups.is_empty() {
        return "none".to_owned();
    }
    format!("{} to {}", groups.first, groups.end - 1)
}

fn windows(slices: &[SliceState]) -> Table {
    let mut table = Table::long(&["ends", "results", "#rows in", "#blocks", "#states", "#size"]);
    for slice in slices {
        table.row([
            instant(slice.end_ms),
            emitted(slice).to_owned(),
            count(slice.shares.iter().map(|share| share.input_rows).sum()),
            count(slice.blocks.len() as u64),
            count(slice.blocks.iter().map(|block| block.keys).sum()),
            bytes(slice.blocks.iter().map(|block| block.bytes).sum()),
        ]);
    }
    table
}

/// How far a window has fired, over all slots.
fn emitted(slice: &SliceState) -> &'static str {
    let is = |wanted: fn(&Emitted) -> bool| slice.shares.iter().all(|share| wanted(&share.emitted));
    if is(|emitted| matches!(emitted, Emitted::Nothing)) {
        "not yet"
    } else if is(|emitted| matches!(emitted, Emitted::All)) {
        "all; kept for late rows"
    } else {
        "some"
    }
}

fn outbox(checkpoint: &Checkpoint) -> Table {
    let mut table = Table::long(&["#slot", "target", "#rows", "#bytes", "object"]);
    for object in &checkpoint.outbox {
        for part in &object.parts {
            table.row([
                part.slot.to_string(),
                part.target.clone(),
                count(part.rows),
                count(part.bytes),
                object.object.clone(),
            ]);
        }
    }
    table
}

fn objects(checkpoint: &Checkpoint) -> Table {
    let mut table = Table::long(&["name", "#bytes", "hash"]);
    for object in &checkpoint.objects {
        table.row([object.name.clone(), count(object.bytes), object.hash.to_string()]);
    }
    table
}

fn fingerprint(checkpoint: &Checkpoint) -> Table {
    let mut table = Table::new(&["field", "value"]);
    for (field, value) in &checkpoint.fingerprint {
        table.row([field.clone(), value.clone()]);
    }
    table
}
