//! How long texts, lists and maps may be, and how large numbers: the API server estimates the cost of rules by them.
//!
//! Owns: one table for each bound; what is not in it has the ordinary one.
//! Never: forbids what somebody would write; `validate` gives the better sentence.

/// The most entries of any map.
pub(super) const PROPERTIES_MAX: u32 = 64;
const LENGTH_MAX: u32 = 253;
const ITEMS_MAX: u32 = 64;

/// By the end of the path.
const LENGTHS: &[(&str, u32)] = &[
    (".expr", 4096),
    (".where", 4096),
    (".url", 1024),
    (".urls[]", 1024),
    (".uri", 1024),
    (".endpoint", 1024),
    (".bootstrapServers", 2048),
    (".image", 1024),
    (".logFilter", 1024),
    ("annotations{}", 16_384),
    (".environment[].value", 32_768),
    (".properties[].value", 1024),
    (".choice.values[]", 1024),
    (".message", 32_768),
    (".requestID", 63),
    (".restartedAt", 63),
    (".streamJobName", 40),
    (".topic", 249),
    (".topics[]", 249),
    ("state.id", 104),
    (".stateID", 104),
    (".selector", 1024),
    (".delimiter", 1),
];

const ITEMS: &[(&str, u32)] = &[
    ("source.columns", 1000),
    ("source.files.urls", 1000),
    ("source.kafka.topics", 1000),
    ("source.kafka.startOffsets", 65_536),
    (".choice.values", 1000),
    (".choice.weights", 1000),
    ("pipeline.transforms", 100),
    (".select", 1000),
    ("status.conditions", 16),
];

const AT_LEAST_ONE: &[&str] = &[
    "pipeline.keyBy",
    "pipeline.aggregates",
    "source.kafka.topics",
    "source.files.urls",
    "source.columns",
    "generator.columns",
    ".choice.values",
    ".select",
];

/// Lists of named objects, and their names; lists of texts that differ. All others are replaced as a whole.
const MAPS: &[(&str, &[&str])] = &[
    ("pipeline.aggregates", &["name"]),
    ("source.columns", &["name"]),
    ("generator.columns", &["name"]),
    (".select", &["name"]),
    (".cluster.properties", &["name"]),
    (".headers", &["name"]),
    (".startOffsets", &["topic", "partition"]),
    (".imagePullSecrets", &["name"]),
    (".environment", &["name"]),
    ("status.conditions", &["type"]),
];
const SETS: &[&str] = &["pipeline.keyBy", "source.kafka.topics", "source.files.urls"];

const RANGES: &[(&str, i64, i64)] = &[
    ("spec.parallelism", 1, 65_536),
    ("spec.revisionHistoryLimit", 1, 100),
    ("workers.slots", 1, 65_536),
    ("rollback.stableAfterCheckpoints", 1, 100),
    ("recovery.maxRestarts", 1, 10_000),
    ("checkpoint.retain", 1, 1000),
    ("generator.partitions", 1, 65_536),
    ("columns[].precision", 1, 38),
    ("columns[].scale", 0, 38),
    (".digits", 1, 20),
    (".zipf.values", 1, i64::MAX),
    (".sequence.modulo", 1, i64::MAX),
];

/// Texts that must not be empty.
const NOT_EMPTY: &[&str] = &[
    ".name",
    ".expr",
    ".where",
    ".bootstrapServers",
    ".topic",
    ".topics[]",
    ".requestID",
    ".savepointName",
    ".streamJobName",
    ".restartedAt",
    ".keyBy[]",
    ".url",
    ".urls[]",
    "location.uri",
    "state.id",
];

pub(super) fn length_max(path: &str) -> u32 {
    LENGTHS.iter().find(|(end, _)| path.ends_with(end)).map_or(LENGTH_MAX, |(_, max)| *max)
}

pub(super) fn items_max(path: &str) -> u32 {
    ITEMS.iter().find(|(end, _)| path.ends_with(end)).map_or(ITEMS_MAX, |(_, max)| *max)
}

pub(super) fn at_least_one(path: &str) -> bool {
    AT_LEAST_ONE.iter().any(|end| path.ends_with(end))
}

pub(super) fn not_empty(path: &str) -> bool {
    path.starts_with("spec") && NOT_EMPTY.iter().any(|end| path.ends_with(end))
}

pub(super) fn range(path: &str) -> Option<(i64, Option<i64>)> {
    // The server counts with floats here: the greatest whole number becomes a negative one.
    let max = |max: i64| Some(max).filter(|max| *max < i64::MAX);
    RANGES.iter().find(|(end, ..)| path.ends_with(end)).map(|&(_, min, most)| (min, max(most)))
}

pub(super) fn list_type(path: &str) -> (&'static str, &'static [&'static str]) {
    if let Some((_, keys)) = MAPS.iter().find(|(end, _)| path.ends_with(end)) {
        return ("map", keys);
    }
    let set = SETS.iter().any(|end| path.ends_with(end));
    (if set { "set" } else { "atomic" }, &[])
}
