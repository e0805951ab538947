//! The cells of the comparison: which job, over which keys, against which Flink.
//!
//! Owns: their names, their order (the most telling first), how much input each has.
//! Never: runs one.

/// What a cell runs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// JSON lines of a file to JSON lines in files.
    Json,
    /// Typed rows in memory to JSON lines in files.
    Typed,
    /// Topic to topic, as fast as it goes.
    Kafka,
    /// Topic to topic at a fixed rate: how soon results can be read.
    Latency,
    /// Topic to topic at a fixed rate, killed again and again.
    Recovery,
}

/// Flink's state backend.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Backend {
    /// Objects on the heap.
    Hashmap,
    /// RocksDB.
    Rocksdb,
}

/// One comparison. The same cell twice is another pair, not another cell.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// As on the command line and in the names of results.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// How many different keys.
    pub(crate) keys: u32,
    pub(crate) backend: Backend,
    /// Slots, and partitions of the input in process.
    pub(crate) parallelism: u32,
    /// From one checkpoint to the next; 0: none, and delivery at least once.
    pub(crate) interval_ms: u64,
    /// Delivery at least once, with checkpoints.
    pub(crate) at_least_once: bool,
    /// Rows of the input; where the rate is fixed, of the part that is undisturbed.
    pub(crate) rows: u64,
    /// How often both run.
    pub(crate) pairs: u32,
}

const FEW: (u32, &str) = (100_000, "100k");
/// At a fixed rate: with 100,000 keys in windows of a second, Flink never catches up with its start.
const FEWER: (u32, &str) = (10_000, "10k");
const MANY: (u32, &str) = (1_000_000, "1m");

/// All cells, in the order in which they run.
pub(crate) fn all() -> Vec<Cell> {
    let mut cells = vec![kafka(FEW, 1_000), kafka(FEW, 5_000), kafka(FEW, 0)];
    cells.extend([in_process(Kind::Json, FEW), in_process(Kind::Typed, FEW)]);
    cells.extend([latency(FEWER, false), latency((1_000, "1k"), true), recovery()]);
    cells.extend([kafka(MANY, 1_000), in_process(Kind::Json, MANY), in_process(Kind::Typed, MANY)]);
    cells.push(kafka(MANY, 5_000));
    for keys in [FEW, MANY] {
        for (backend, parallelism) in [(Backend::Rocksdb, 1), (Backend::Hashmap, 2)] {
            let one = [kafka(keys, 1_000), in_process(Kind::Json, keys), in_process(Kind::Typed, keys)];
            cells.extend(one.map(|cell| cell.smaller(backend, parallelism)));
        }
    }
    cells
}

fn kafka((keys, text): (u32, &str), interval_ms: u64) -> Cell {
    let interval = match interval_ms {
        0 => "off".to_owned(),
        ms => format!("{}s", ms / 1_000),
    };
    named(Kind::Kafka, keys, interval_ms, format!("w3-{text}-{interval}"))
}

fn in_process(kind: Kind, (keys, text): (u32, &str)) -> Cell {
    let name = if kind == Kind::Json { "w1" } else { "w2" };
    named(kind, keys, 5_000, format!("{name}-{text}"))
}

fn latency((keys, text): (u32, &str), at_least_once: bool) -> Cell {
    let name = if at_least_once { "at-least-once" } else { "visible" };
    let cell = named(Kind::Latency, keys, 1_000, format!("{name}-{text}"));
    Cell { at_least_once, pairs: 3, ..cell }
}

fn recovery() -> Cell {
    Cell { pairs: 1, ..named(Kind::Recovery, FEWER.0, 1_000, format!("recovery-{}", FEWER.1)) }
}

fn named(kind: Kind, keys: u32, interval_ms: u64, name: String) -> Cell {
    let (backend, parallelism, pairs) = (Backend::Hashmap, 1, 3);
    let rows = 24_000_000;
    Cell { name, kind, keys, backend, parallelism, interval_ms, at_least_once: false, rows, pairs }
}

impl Cell {
    /// The same in one pair of half the rows, against another Flink.
    fn smaller(self, backend: Backend, parallelism: u32) -> Self {
        let name = match backend {
            Backend::Hashmap => format!("{}-p{parallelism}", self.name),
            Backend::Rocksdb => format!("{}-rocksdb", self.name),
        };
        Self { name, backend, parallelism, rows: self.rows / 2, pairs: 1, ..self }
    }

    /// Whether it needs a broker.
    pub(crate) fn uses_kafka(&self) -> bool {
        matches!(self.kind, Kind::Kafka | Kind::Latency | Kind::Recovery)
    }

    /// Whether each result is in the output once, whatever happens.
    pub(crate) fn exactly_once(&self) -> bool {
        self.interval_ms > 0 && !self.at_least_once
    }

    /// Seconds that a pair takes, roughly: what Flink needed on two slow cores.
    pub(crate) fn estimate_s(&self, seconds: u64) -> f64 {
        let many = f64::from(u8::from(self.keys >= MANY.0));
        let per_million = match self.backend {
            Backend::Hashmap => 3.5 + 4.5 * many,
            Backend::Rocksdb => 14.0 + 9.0 * many,
        };
        match self.kind {
            Kind::Json | Kind::Typed | Kind::Kafka => 20.0 + per_million * self.rows as f64 / 1e6,
            Kind::Latency => 2.0 * (seconds as f64 + 20.0),
            Kind::Recovery => 240.0,
        }
    }
}

#[test]
fn names_are_different_and_the_most_telling_comes_first() {
    let cells = all();
    let names: std::collections::BTreeSet<&str> = cells.iter().map(|cell| cell.name.as_str()).collect();

    assert_eq!(names.len(), cells.len());
    assert_eq!(cells[0].name, "w3-100k-1s");
    assert!(names.contains("w1-1m-rocksdb") && names.contains("w3-100k-1s-p2"), "{names:?}");
    // The report asks for them by these names.
    assert!(names.contains("visible-10k") && names.contains("recovery-10k"), "{names:?}");
}
