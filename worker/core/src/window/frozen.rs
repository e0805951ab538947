//! State on its way out of the operator.
//!
//! Owns: what a freeze gives, and its durable form in chunks.
//! Never: changes a state, or holds up the operator.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field};

use super::merge::Merger;
use super::slice::{LayerFrom, Side};
use super::{WindowError, WindowSpec};
use crate::aggregate::{Aggregates, Heap};
use crate::key::{KeyEncoder, hash};
use crate::key_group::{KEY_GROUPS, key_group};
use crate::table::{OrderedScan, RowGroup, StateRows};

/// What a freeze gives. It is still part of the operator's state: whoever drops it loses nothing. As long as it is
/// kept, its tables are not folded.
#[derive(Debug, Default)]
pub struct Frozen {
    /// The windows with something to make durable, by their ends.
    pub slices: Vec<FrozenSlice>,
}

/// What is in a frozen window.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FrozenKind {
    /// What came in since the last freeze that was committed.
    Delta,
    /// Everything.
    Base,
}

/// The frozen states of one window.
#[derive(Debug)]
pub struct FrozenSlice {
    /// Its end.
    pub end: i64,
    /// What is in it.
    pub kind: FrozenKind,
    /// Input rows that the states account for.
    pub input_rows: u64,
    pub(super) layers: Vec<LayerFrom>,
}

impl FrozenSlice {
    /// The states, one after another.
    pub fn scan(self) -> StateScan {
        let mut layers = self.layers;
        if layers.len() > 1 {
            return StateScan(Scan::Several(ordered(layers)));
        }
        StateScan(layers.pop().map_or_else(|| Scan::Several(ordered(Vec::new())), Scan::One))
    }
}

/// Frozen states in the order of key groups. A key comes once.
#[derive(Debug)]
pub struct StateScan(Scan);

#[derive(Debug)]
enum Scan {
    /// In the order of its index: nothing is sorted.
    One(LayerFrom),
    Several(OrderedScan<Side>),
}

fn ordered(layers: Vec<LayerFrom>) -> OrderedScan<Side> {
    OrderedScan::new(layers, 0..KEY_GROUPS, None)
}

impl StateScan {
    /// The next keys, at most `keys_max`. None: all were given out.
    pub fn next_chunk(&mut self, codec: &StateCodec, keys_max: usize) -> Option<StateChunk> {
        match &mut self.0 {
            Scan::One(layer) => {
                let mut group = RowGroup::default();
                let listed = layer.table.list(layer.from, keys_max, &mut group)?;
                layer.from = listed.after;
                Some(StateChunk {
                    groups: listed.groups().collect(),
                    keys: codec.encoder.decode(listed.keys()),
                    states: codec.aggregates.states(&listed.rows, &layer.table.side().heap),
                })
            }
            Scan::Several(scan) => {
                let chunk = scan.next_chunk(keys_max)?;
                let mut merger = Merger::new(&codec.template);
                let states = |rows: &StateRows<'_>, heap: &Heap| codec.aggregates.states(rows, heap);
                Some(StateChunk {
                    groups: chunk.keys().map(|key| key_group(hash(key)).0).collect(),
                    keys: codec.encoder.decode(chunk.keys()),
                    states: merger.of_chunk(&codec.aggregates, &chunk, states),
                })
            }
        }
    }
}

/// The durable form of the states of some keys.
#[derive(Clone, Debug)]
pub struct StateChunk {
    /// The key group of each key, ascending.
    pub groups: Vec<u16>,
    /// The key columns.
    pub keys: Vec<ArrayRef>,
    /// The states: one column for each of [`StateCodec::state_fields`].
    pub states: Vec<ArrayRef>,
}

/// Makes the durable form of states.
#[derive(Clone, Debug)]
pub struct StateCodec {
    encoder: KeyEncoder,
    aggregates: Aggregates,
    template: Vec<u8>,
}

impl StateCodec {
    /// For the states of these windows.
    pub fn new(spec: &WindowSpec) -> Result<Self, WindowError> {
        let aggregates = Aggregates::new(&spec.aggregates)?;
        let template = aggregates.template();
        Ok(Self { encoder: KeyEncoder::new(&spec.key_types)?, aggregates, template })
    }

    /// The types of the key columns.
    pub fn key_types(&self) -> &[DataType] {
        self.encoder.types()
    }

    /// The state columns. All may be null.
    pub fn state_fields(&self) -> Vec<Field> {
        self.aggregates.state_fields()
    }
}
