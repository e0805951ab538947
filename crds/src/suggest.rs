//! Finds what the user meant.
//!
//! Owns: the nearest known name, and the examples that stand in messages about missing fields.
//! Never: accepts a wrong name; it only helps to mend it.

/// The known name that is nearest to `name`, if one is near enough to be meant.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let wanted = folded(name);
    known
        .iter()
        .map(|&candidate| (strsim::osa_distance(&wanted, &folded(candidate)), candidate))
        .filter(|&(distance, candidate)| distance <= (wanted.chars().count().max(candidate.len()) + 1) / 3)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, candidate)| candidate)
}

/// `key_by`, `KeyBy` and `key-by` all mean `keyBy`.
fn folded(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

/// `; did you mean `x`?` or nothing, then the known names.
pub(crate) fn hint(name: &str, known: &[&str]) -> String {
    let meant = nearest(name, known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    let separator = if meant.is_empty() { ";" } else { "" };
    format!("{meant}{separator} known: {}", known.join(", "))
}

/// What a missing field may look like.
pub(crate) fn example(owner: &str, field: &str) -> Option<&'static str> {
    Some(match field {
        "apiVersion" => "apiVersion: streamjob.dev/v1alpha1",
        "kind" => "kind: StreamJob",
        "metadata" => "metadata: {name: my-job}",
        "spec" => "spec: {parallelism: 2, pipeline: {…}}",
        "parallelism" => "parallelism: 2",
        "pipeline" => "pipeline: {source: {…}, …}",
        "source" => "source: {files: {urls: [\"*.jsonl\"]}, format: {json: {}}, columns: […]}",
        "eventTime" => "eventTime: {field: ts}",
        "keyBy" => "keyBy: [page]",
        "window" => "window: {tumbling: {size: 10s}}",
        "tumbling" => "tumbling: {size: 10s}",
        "size" => "size: 10s",
        "aggregates" => "aggregates: [{name: rows, function: Count}]",
        "sink" => "sink: {files: {url: out}}",
        "urls" => "urls: [\"*.jsonl\"]",
        "url" => "url: out",
        "columns" => "columns: [{name: n, sequence: {}}]",
        "type" => "type: String",
        "function" => "function: Count",
        "action" if owner == "LateRows" => "action: Drop",
        "action" => "action: Skip",
        "expr" => "expr: \"a + b\"",
        "column" => "column: word",
        "values" if owner == "ChoiceColumn" => "values: [a, b]",
        "values" => "values: 1000",
        "name" => "name: clicks",
        "cluster" => "cluster: {bootstrapServers: \"127.0.0.1:9092\"}",
        "bootstrapServers" => "bootstrapServers: \"127.0.0.1:9092\"",
        "topics" => "topics: [clicks]",
        "topic" => "topic: clicks",
        "partition" => "partition: 0",
        "offset" => "offset: 100",
        "certificate" => "certificate: {file: client.crt}",
        "privateKey" => "privateKey: {file: client.key}",
        "mechanism" => "mechanism: SCRAM-SHA-512",
        "username" => "username: streamjob",
        "password" => "password: {environment: KAFKA_PASSWORD}",
        "value" => "value: \"100\"",
        "min" => "min: 0",
        "max" => "max: 100",
        _ => return None,
    })
}
