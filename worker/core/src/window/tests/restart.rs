//! Checkpoints, abandoned ones, and restarts from them with any number of slots, against the model.
//!
//! Owns: a checkpoint in memory and what it takes to go on from it.
//! Never: tests what a single operator does without a restart.

use std::collections::BTreeMap;
use std::ops::Range;

use super::*;
use crate::key_group::KEY_GROUPS;

/// States of one window, as they were written.
#[derive(Clone, Debug)]
struct Block {
    /// The key groups that count.
    groups: Range<u32>,
    input_rows: u64,
    chunks: Vec<StateChunk>,
}

/// What is left of a window after a crash.
#[derive(Clone, Debug, Default)]
struct Window {
    shares: Vec<(Range<u32>, Emitted)>,
    blocks: Vec<Block>,
}

#[derive(Clone, Debug, Default)]
struct Checkpoint {
    /// Pieces of input before it, rows given out before it, late ones before it.
    at: usize,
    results: usize,
    late: usize,
    watermark: Option<i64>,
    windows: BTreeMap<i64, Window>,
}

/// A checkpoint under way: statuses and frozen states of each slot.
struct Pending {
    begun: Checkpoint,
    slots: Vec<(Vec<SliceStatus>, Vec<Encoding>)>,
}

struct Encoding {
    end: i64,
    kind: FrozenKind,
    input_rows: u64,
    scan: StateScan,
    chunks: Vec<StateChunk>,
}

impl Encoding {
    fn new(slice: FrozenSlice) -> Self {
        let (end, kind, input_rows) = (slice.end, slice.kind, slice.input_rows);
        Self { end, kind, input_rows, scan: slice.scan(), chunks: Vec::new() }
    }

    fn step(&mut self, codec: &StateCodec, keys_max: usize) -> bool {
        let chunk = self.scan.next_chunk(codec, keys_max);
        let more = chunk.is_some();
        self.chunks.extend(chunk);
        more
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Nothing,
    PollOne,
    PollAll,
    /// Begins a checkpoint, which writes everything of windows that end at a multiple of this, if none is under way.
    Freeze(i64),
    EncodeSome,
    Commit,
    /// Begins one and commits it at once.
    Checkpoint,
    Abandon,
    Fold(usize),
    /// The old state of one window comes.
    Deliver,
    Crash(u32),
}

struct Run<'j> {
    job: &'j Job,
    spec: WindowSpec,
    codec: StateCodec,
    chunk_rows: usize,
    slots: Vec<WindowOperator>,
    awaited: Vec<Vec<(i64, RestoredLayer)>>,
    now: Checkpoint,
    results: Vec<Fired>,
    late: Vec<Row>,
    committed: Checkpoint,
    pending: Option<Pending>,
}

impl<'j> Run<'j> {
    fn new(job: &'j Job, chunk_rows: usize) -> Self {
        let spec = spec(job);
        let mut run = Self {
            job,
            codec: StateCodec::new(&spec).expect("the job is sound"),
            spec,
            chunk_rows,
            slots: Vec::new(),
            awaited: Vec::new(),
            now: Checkpoint::default(),
            results: Vec::new(),
            late: Vec::new(),
            committed: Checkpoint::default(),
            pending: None,
        };
        run.restart(job.parallelism);
        run
    }

    /// Goes on from the last checkpoint.
    fn restart(&mut self, parallelism: u32) {
        self.pending = None;
        self.now = self.committed.clone();
        self.results.truncate(self.now.results);
        self.late.truncate(self.now.late);
        self.slots.clear();
        self.awaited.clear();
        for slot in 0..parallelism {
            let groups = range_of(slot, parallelism);
            let mut operator = WindowOperator::new(&self.spec, groups.clone()).expect("the job is sound");
            let (mut slices, mut layers) = (Vec::new(), Vec::new());
            for (&end, window) in &self.now.windows {
                let touches = |other: &Range<u32>| other.start < groups.end && groups.start < other.end;
                if !window.shares.iter().any(|share| touches(&share.0)) {
                    continue;
                }
                let mut builder = LayerBuilder::new(&self.spec, groups.clone()).expect("the job is sound");
                let (mut input_rows, mut blocks) = (0, 0);
                for block in window.blocks.iter().filter(|block| touches(&block.groups)) {
                    blocks += 1;
                    input_rows += if groups.contains(&block.groups.start) { block.input_rows } else { 0 };
                    for chunk in &block.chunks {
                        builder.add(&chunk.keys, &chunk.states, block.groups.clone());
                    }
                }
                if blocks > 0 {
                    layers.push((end, builder.finish(input_rows)));
                }
                let emitted = window.shares.clone();
                slices.push(RestoredSlice { end, input_rows, emitted, awaiting: blocks > 0 });
            }
            operator.restore(self.now.watermark.unwrap_or(i64::MIN), slices);
            self.slots.push(operator);
            self.awaited.push(layers);
        }
    }

    fn feed(&mut self, rows: &[Row], watermark: i64) {
        for slot in 0..self.slots.len() {
            let rows = of_slot(rows, slot as u32, self.slots.len() as u32);
            let mut late = Vec::new();
            self.slots[slot].on_rows(&keyed(&rows), &mut late).expect("nothing overflows");
            self.late.extend(late.iter().map(|&row| rows[row as usize].clone()));
            self.slots[slot].on_watermark(watermark);
        }
        self.now.at += 1;
        self.now.watermark = Some(watermark);
    }

    fn deliver(&mut self, slot: usize) -> bool {
        let Some((end, layer)) = self.awaited[slot].pop() else { return false };
        self.slots[slot].add_restored(end, layer);
        true
    }

    fn poll(&mut self, slot: usize) -> bool {
        let batch = self.slots[slot].poll_results(self.chunk_rows).expect("nothing overflows");
        let Some(batch) = batch else {
            assert_eq!(self.slots[slot].awaits(), self.slots[slot].has_pending());
            return false;
        };
        assert!(batch.num_rows() <= self.chunk_rows);
        self.results.extend(emitted(&batch));
        true
    }

    fn freeze(&mut self, compact_every: i64) {
        if self.pending.is_some() {
            return;
        }
        let mut slots = Vec::new();
        for slot in 0..self.slots.len() {
            while self.slots[slot].has_updates() {
                assert!(self.poll(slot) || self.deliver(slot), "what is awaited comes");
            }
            let operator = &mut self.slots[slot];
            let statuses = operator.statuses();
            let ends = statuses.iter().map(|status| status.end);
            let compact: Vec<i64> = ends.filter(|end| end.rem_euclid(compact_every) == 0).collect();
            let frozen = operator.freeze(&compact);
            slots.push((statuses, frozen.slices.into_iter().map(Encoding::new).collect()));
        }
        let mut begun = self.now.clone();
        (begun.results, begun.late) = (self.results.len(), self.late.len());
        self.pending = Some(Pending { begun, slots });
    }

    fn encode_some(&mut self) {
        for encoding in
            self.pending.iter_mut().flat_map(|pending| &mut pending.slots).flat_map(|slot| &mut slot.1)
        {
            encoding.step(&self.codec, self.chunk_rows);
        }
    }

    fn commit(&mut self) {
        let Some(pending) = self.pending.take() else { return };
        let mut next = pending.begun;
        next.windows = BTreeMap::new();
        for (slot, (statuses, encodings)) in pending.slots.into_iter().enumerate() {
            let groups = range_of(slot as u32, self.slots.len() as u32);
            for status in &statuses {
                assert_eq!(status.emitted.first().map(|part| part.0.start), Some(groups.start));
                assert_eq!(status.emitted.last().map(|part| part.0.end), Some(groups.end));
                let window = next.windows.entry(status.end).or_default();
                window.shares.extend(status.emitted.iter().cloned());
                if slot == 0 || window.blocks.is_empty() {
                    window.blocks =
                        self.committed.windows.get(&status.end).cloned().unwrap_or_default().blocks;
                }
            }
            for mut encoding in encodings {
                while encoding.step(&self.codec, self.chunk_rows) {}
                let window = next.windows.get_mut(&encoding.end).expect("what is frozen has a status");
                if encoding.kind == FrozenKind::Base {
                    window.blocks =
                        window.blocks.drain(..).flat_map(|block| without(block, &groups)).collect();
                }
                let (input_rows, chunks) = (encoding.input_rows, encoding.chunks);
                window.blocks.push(Block { groups: groups.clone(), input_rows, chunks });
            }
            for status in statuses {
                let blocks = next.windows[&status.end].blocks.iter();
                let ours = blocks.filter(|block| groups.contains(&block.groups.start));
                assert_eq!(status.input_rows, ours.map(|block| block.input_rows).sum::<u64>());
            }
            self.slots[slot].on_committed();
        }
        next.windows.values_mut().for_each(trim);
        self.committed = next;
    }

    fn act(&mut self, act: Act) {
        let slots = 0..self.slots.len();
        match act {
            Act::Nothing => {}
            Act::PollOne => slots.for_each(|slot| {
                self.poll(slot);
            }),
            Act::PollAll => slots.for_each(|slot| while self.poll(slot) {}),
            Act::Freeze(compact_every) => self.freeze(compact_every),
            Act::EncodeSome => self.encode_some(),
            Act::Commit => self.commit(),
            Act::Checkpoint => {
                self.freeze(i64::MAX);
                self.commit();
            }
            Act::Abandon => self.pending = None,
            Act::Fold(keys_max) => self.slots.iter_mut().for_each(|slot| {
                slot.fold_some(keys_max);
            }),
            Act::Deliver => slots.for_each(|slot| {
                self.deliver(slot);
            }),
            Act::Crash(parallelism) => self.restart(parallelism),
        }
    }
}

/// Forgets what slots that have closed the window had of it.
fn trim(window: &mut Window) {
    let mut closed = Vec::new();
    let mut next = 0;
    for (groups, _) in &window.shares {
        closed.push(next..groups.start);
        next = groups.end;
    }
    closed.push(next..KEY_GROUPS);
    for groups in closed.into_iter().filter(|groups| !groups.is_empty()) {
        window.blocks = window.blocks.drain(..).flat_map(|block| without(block, &groups)).collect();
    }
}

/// A block without the key groups that another one took over.
fn without(block: Block, taken: &Range<u32>) -> Vec<Block> {
    let before = block.groups.start..block.groups.end.min(taken.start);
    let after = block.groups.start.max(taken.end)..block.groups.end;
    let rows = |groups: &Range<u32>| if groups.start == block.groups.start { block.input_rows } else { 0 };
    let left = [before, after].into_iter().filter(|groups| !groups.is_empty());
    left.map(|groups| Block { input_rows: rows(&groups), groups, chunks: block.chunks.clone() }).collect()
}

/// The input in pieces, with the watermark after each.
fn pieces(job: &Job, batch_rows: usize) -> Vec<(Range<usize>, i64)> {
    let cuts = CutFinder::new(Tumbling::new(job.size_ms, job.offset_ms), job.lateness_ms);
    let mut watermark = PartitionWatermark::new(job.bound_ms);
    let mut pieces = Vec::new();
    for (at, batch) in job.rows.chunks(batch_rows).enumerate() {
        let times: Vec<i64> = batch.iter().map(|row| row.2).collect();
        let mut start = at * batch_rows;
        cuts.find(&mut watermark, &times, |end, after| {
            let end = at * batch_rows + end;
            pieces.push((start..end, after));
            start = end;
        });
    }
    pieces.push((job.rows.len()..job.rows.len(), i64::MAX));
    pieces
}

fn run(job: &Job, batch_rows: usize, chunk_rows: usize, acts: &[Act]) -> (Vec<Fired>, Vec<Row>) {
    let pieces = pieces(job, batch_rows);
    let mut run = Run::new(job, chunk_rows);
    let mut acts = acts.iter();
    loop {
        if let Some(&act) = acts.next() {
            run.act(act);
        }
        if let Some((rows, watermark)) = pieces.get(run.now.at) {
            run.feed(&run.job.rows[rows.clone()], *watermark);
        } else if acts.len() == 0 {
            break;
        }
    }
    for slot in 0..run.slots.len() {
        while run.deliver(slot) {}
        while run.poll(slot) {}
        assert_eq!(run.slots[slot].stats().open_windows, 0);
        assert!(!run.slots[slot].fold_some(1) && !run.slots[slot].has_pending());
    }
    (run.results, run.late)
}

/// Windows long enough for several checkpoints. In half of the jobs several that have fired may still be updated.
fn long_jobs() -> impl Strategy<Value = Job> {
    (jobs(), 1..20_i64, -300..300_i64).prop_map(|(job, times, lateness)| Job {
        size_ms: job.size_ms * times,
        lateness_ms: lateness.max(0),
        ..job
    })
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        2 => Just(Act::Nothing),
        3 => Just(Act::PollOne),
        1 => Just(Act::PollAll),
        4 => prop::sample::select(vec![Act::Freeze(1), Act::Freeze(3), Act::Freeze(i64::MAX)]),
        2 => Just(Act::EncodeSome),
        4 => Just(Act::Commit),
        4 => Just(Act::Checkpoint),
        1 => Just(Act::Abandon),
        5 => prop::sample::select(vec![Act::Fold(1), Act::Fold(2), Act::Fold(usize::MAX)]),
        3 => Just(Act::Deliver),
        2 => (1..4_u32).prop_map(Act::Crash),
    ];
    prop::collection::vec(act, 1..120)
}

proptest! {
    // PROPTEST_CASES is 256 where nobody sets it.
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases * 300 / 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_result_comes_once_whatever_crashes(
        job in long_jobs(),
        batch_rows in 1..20_usize,
        chunk_rows in 1..6_usize,
        acts in acts(),
    ) {
        let (mut results, mut late) = model(&Job { parallelism: 1, ..job.clone() }, 0);
        let (mut found, mut found_late) = run(&job, batch_rows, chunk_rows, &acts);

        // Results of a key keep their order.
        results.sort_by(|a, b| a.0.cmp(&b.0));
        found.sort_by(|a, b| a.0.cmp(&b.0));
        late.sort();
        found_late.sort();
        prop_assert_eq!(found, results);
        prop_assert_eq!(found_late, late);
    }
}
