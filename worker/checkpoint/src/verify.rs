//! Looks whether everything that a checkpoint names is there and as it was written.
//!
//! Owns: what is looked at, and the words for what is wrong.
//! Never: stops at the first damage, or repairs one.

use futures::{StreamExt as _, TryStreamExt as _};

use crate::bundle::{BundleError, BundleReader};
use crate::checkpoint::{Block, Checkpoint, Object, OutboxObject};
use crate::outbox::{check_whole, read_outbox};
use crate::store::{StateStore, StoreError};

#[cfg(test)]
mod tests;

/// Questions that are asked at once.
const AT_ONCE: usize = 16;

/// Something that is wrong with an object.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Damage {
    /// The object.
    pub object: String,
    /// What is wrong with it.
    pub what: String,
}

/// Whether every object is there and as long as it was. One short question for each.
pub async fn check(store: &StateStore, checkpoint: &Checkpoint) -> Result<Vec<Damage>, StoreError> {
    let looks = checkpoint.objects.iter().map(|object| look(store, object));
    let found = futures::stream::iter(looks).buffered(AT_ONCE);
    found.try_filter_map(|damage| futures::future::ready(Ok(damage))).try_collect().await
}

async fn look(store: &StateStore, object: &Object) -> Result<Option<Damage>, StoreError> {
    let what = match store.size(&object.name).await? {
        Some(found) if found == object.bytes => return Ok(None),
        Some(found) => format!("it has {found} bytes, and {} were written", object.bytes),
        None => "it is not there".to_owned(),
    };
    Ok(Some(Damage { object: object.name.clone(), what }))
}

/// The same, and reads all of them: hashes, every block, every row of the outbox.
pub async fn verify(store: &StateStore, checkpoint: &Checkpoint) -> Result<Vec<Damage>, StoreError> {
    let mut damages = Vec::new();
    for object in &checkpoint.objects {
        let outbox = checkpoint.outbox.iter().find(|outbox| outbox.object == object.name);
        let blocks = checkpoint.slices.iter().flat_map(|slice| &slice.blocks);
        let read = match outbox {
            Some(outbox) => read_parts(store, object, outbox).await,
            None => read_blocks(store, object, blocks.filter(|block| block.object == object.name)).await,
        };
        let what = match read {
            Ok(()) => continue,
            Err(BundleError::Damaged { what, .. }) => what,
            Err(BundleError::Store(error)) if error.is_missing() => "it is not there".to_owned(),
            Err(BundleError::Store(StoreError::Short { found, .. })) => {
                format!("it has {found} bytes, and {} were written", object.bytes)
            }
            Err(BundleError::Store(error)) => return Err(error),
            Err(error @ (BundleError::TooNew { .. } | BundleError::Encode { .. })) => error.to_string(),
        };
        damages.push(Damage { object: object.name.clone(), what });
    }
    Ok(damages)
}

async fn read_blocks(
    store: &StateStore,
    object: &Object,
    blocks: impl Iterator<Item = &Block>,
) -> Result<(), BundleError> {
    // Blocks first, as a job reads them: what it says of a damaged one is said here, too.
    let reader = BundleReader::new(store.clone());
    for block in blocks {
        for rows in reader.open_block(block).await? {
            rows?;
        }
    }
    check_whole(store, object).await?;
    Ok(())
}

async fn read_parts(store: &StateStore, object: &Object, outbox: &OutboxObject) -> Result<(), BundleError> {
    let mut reader = read_outbox(store, object).await?;
    let mut parts: Vec<_> =
        outbox.parts.iter().map(|part| (part.slot, &*part.target, part.rows, part.bytes)).collect();
    while let Some(read) = reader.next().await? {
        for chunk in read.chunks() {
            let part =
                parts.iter_mut().find(|(slot, target, ..)| (*slot, *target) == (chunk.slot, chunk.target));
            let rest = part.and_then(|(_, _, rows, bytes)| {
                *rows = rows.checked_sub(chunk.rows)?;
                *bytes = bytes.checked_sub(chunk.record.bytes() as u64)?;
                Some(())
            });
            if rest.is_none() {
                return Err(crate::bundle::ipc::damaged(
                    &object.name,
                    "it has rows that its record does not count",
                ));
            }
        }
    }
    if parts.iter().any(|(_, _, rows, bytes)| (*rows, *bytes) != (0, 0)) {
        return Err(crate::bundle::ipc::damaged(&object.name, "it lacks rows that its record counts"));
    }
    Ok(())
}
