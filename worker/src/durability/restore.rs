//! Brings old state back while the job already runs.
//!
//! Owns: the check that every object of a checkpoint is there, and the building of old states' tables.
//! Never: touches a running slot's state: a slot takes a finished table when it gets to it.

use std::future::ready;
use std::pin::pin;

use futures::stream;
use futures::{StreamExt, TryStreamExt};
use streamjob_checkpoint::bundle::BundleReader;
use streamjob_checkpoint::checkpoint::Object;
use streamjob_checkpoint::fail_point;
use streamjob_checkpoint::planted::{self, Bug};
use streamjob_checkpoint::retry::with_causes;
use streamjob_checkpoint::store::{StateStore, StoreError};
use streamjob_checkpoint::transition::{SliceStart, SlotStart};
use streamjob_core::window::{LayerBuilder, RestoredLayer, WindowSpec};

use super::Calls;
use super::snapshot::StateLayout;

/// How many objects are asked after at once.
const CHECKS_AT_ONCE: usize = 16;

/// What the restore says.
#[derive(Debug)]
pub enum Restored {
    /// Every object that the checkpoint names is there and as long as it should be.
    Checked,
    /// The old state of one window of one slot.
    Layer {
        /// Whose.
        slot: u32,
        /// The window's end.
        end_ms: i64,
        /// Its states.
        layer: Box<RestoredLayer>,
    },
    /// All is back.
    Done,
    /// It cannot be brought back.
    Failed {
        /// Why, naming the object.
        cause: String,
    },
}

/// Reads old state, on a thread of its own.
pub struct Restorer {
    /// Where objects are.
    pub store: StateStore,
    /// How states are laid out.
    pub layout: StateLayout,
    /// What the windows are.
    pub spec: WindowSpec,
    /// What the checkpoint names.
    pub objects: Vec<Object>,
    /// How the store is called.
    pub calls: Calls,
}

impl Restorer {
    /// Checks the objects, then brings back the windows in the order of their ends, those that fire first first.
    pub fn run(self, starts: &[SlotStart], mut say: impl FnMut(Restored)) {
        fail_point::hit("restore.check.before");
        if let Err(cause) = self.check() {
            return say(Restored::Failed { cause });
        }
        say(Restored::Checked);
        // A slot that no block of a window has key groups of awaits nothing of it.
        let of_slots = starts.iter().flat_map(|start| start.slices.iter().map(move |slice| (start, slice)));
        let mut windows: Vec<_> = of_slots.filter(|(_, slice)| !slice.blocks.is_empty()).collect();
        windows.sort_by_key(|(_, slice)| slice.end_ms);
        let reader = BundleReader::new(self.store.clone());
        for (start, slice) in windows {
            if self.calls.are_given_up() {
                return;
            }
            match self.layer(&reader, start, slice) {
                Ok(layer) => {
                    let (slot, end_ms, layer) = (start.slot, slice.end_ms, Box::new(layer));
                    say(Restored::Layer { slot, end_ms, layer });
                }
                Err(cause) => return say(Restored::Failed { cause }),
            }
            fail_point::hit("restore.layer.after");
        }
        say(Restored::Done);
        fail_point::hit("restore.done");
    }

    fn check(&self) -> Result<(), String> {
        let sizes = stream::iter(&self.objects)
            .map(async |object| Ok((object, self.store.size(&object.name).await?)))
            .buffer_unordered(CHECKS_AT_ONCE);
        let differs = sizes.try_filter(|(object, size)| ready(*size != Some(object.bytes)));
        let wrong = self.calls.ask::<_, StoreError>(async { pin!(differs).try_next().await })?;
        wrong.map_or(Ok(()), |(object, found)| Err(not_as_named(object, found)))
    }

    fn layer(
        &self,
        reader: &BundleReader,
        start: &SlotStart,
        slice: &SliceStart,
    ) -> Result<RestoredLayer, String> {
        let builder = LayerBuilder::new(&self.spec, start.groups.range());
        let mut builder = builder.map_err(|error| with_causes(&error))?;
        let twice = slice.blocks.last().filter(|_| planted::is(Bug::FoldTwice));
        for block in slice.blocks.iter().chain(twice) {
            fail_point::hit("restore.block.before");
            for rows in self.calls.ask(reader.open_block(block))? {
                let rows = rows.map_err(|error| with_causes(&error))?;
                if !self.layout.fits(&rows.keys, &rows.states) {
                    return Err(format!(
                        "{} holds other columns than the job's state; go on from a checkpoint of this job",
                        block.object
                    ));
                }
                builder.add(&rows.keys, &rows.states, block.groups.range());
                if planted::is(Bug::FoldTwice) {
                    builder.add(&rows.keys, &rows.states, block.groups.range());
                }
            }
        }
        Ok(builder.finish(slice.input_rows))
    }
}

fn not_as_named(object: &Object, found: Option<u64>) -> String {
    let Object { name, bytes, .. } = object;
    match found {
        None => format!(
            "{name} is missing, which the checkpoint needs ({bytes} bytes); put it back, or go on from another \
             checkpoint with `streamjob run --from` (`streamjob checkpoints list` shows them)"
        ),
        Some(found) => format!(
            "{name} has {found} bytes in place of {bytes}: it is damaged; put it back, or go on from another \
             checkpoint with `streamjob run --from` (`streamjob checkpoints list` shows them)"
        ),
    }
}
