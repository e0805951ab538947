//! Wrong manifests, each with exactly what is said about it.
//!
//! Owns: the table of mistakes; the snapshot beside it has the messages.
//! Never: accepts one of them.

use std::fmt::Write as _;

use super::{FILES, GENERATOR, KAFKA, edited, parse};
use crate::StreamJob;

/// In the job over files: this text is replaced by that.
const IN_FILES: &[(&str, &str)] = &[
    // Shape: unknown, missing and repeated fields.
    ("    window:\n", "    windw:\n"),
    ("    keyBy:", "    key_by:"),
    ("tumbling: {size: 10s, offset: -3s}", "tumbling: {sise: 10s, ofset: 1s}"),
    ("{uri: state}", "state"),
    ("{uri: state}", "{url: state}"),
    ("{uri: state}", "{}"),
    ("checkpoint: {", "checkpoints: {"),
    ("    keyBy: [page]\n", ""),
    ("  parallelism: 2\n", ""),
    ("apiVersion: streamjob.dev/v1alpha1\n", ""),
    ("{name: page, type: String}", "{name: page}"),
    ("{name: page, type: String}", "{name: page, tpye: String}"),
    ("{action: SideOutput, files: {url: late}}", "{}"),
    ("      allowedLateness: 5s\n", "      allowedLateness: 5s\n      allowedLateness: 6s\n"),
    ("    sink:\n", "    sink: {blackhole: {}}\n    sink:\n"),
    ("{field: ts, maxOutOfOrderness: 1s}", "{field: ts, field: page}"),
    ("json: {}", "json: {lines: true}"),
    ("    transforms:\n", "    <<: {}\n    transforms:\n"),
    // Shape: wrong types.
    ("parallelism: 2", "parallelism: two"),
    ("parallelism: 2", "parallelism: \"2\""),
    ("parallelism: 2", "parallelism: 2.0"),
    ("parallelism: 2", "parallelism: -1"),
    ("parallelism: 2", "parallelism: 0x10"),
    ("parallelism: 2", "parallelism:"),
    ("name: clicks\n", "name: 2026\n"),
    ("name: clicks\n", "name: on\n"),
    ("name: clicks\n", "name:\n"),
    ("name: clicks\n", "name: !!str clicks\n"),
    ("name: clicks\n", "name: clicks\n  labels: {team: 7, tier: [a]}\n"),
    ("name: clicks\n", "name: clicks\n  labels: team\n"),
    ("keyBy: [page]", "keyBy: page"),
    ("keyBy: [page]", "keyBy: {page: {}}"),
    ("keyBy: [page]", "keyBy:"),
    ("keyBy: [page]", "keyBy: [page, 5, y]"),
    ("      format:\n        json: {}\n", "      format: json\n"),
    ("json: {}", "json:"),
    ("json: {}", "json: []"),
    ("header: true", "header: yes"),
    ("header: true", "header: 1"),
    ("[\"\", NA]", "[\"\", NO]"),
    ("[\"\", NA]", "[\"\", ~]"),
    ("{size: 10s, offset: -3s}", "{size: 10, offset: 1.5}"),
    ("{size: 10s, offset: -3s}", "{size: 10 s, offset: --3s}"),
    ("{size: 10s, offset: -3s}", "{size: -10s, offset: 1d}"),
    ("{size: 10s, offset: -3s}", "10s"),
    ("type: Int64", "type: int64"),
    ("type: Int64", "type: Integer"),
    ("type: Int64", "type: {name: Int64}"),
    ("type: Int64", "type:"),
    ("function: Sum", "function: sum"),
    ("overflow: Null", "overflow: null"),
    ("overflow: Null", "overflow: Wrap"),
    ("      - where: value > 0\n      - flatMap:", "      where: value > 0\n      flatMap:"),
    ("      - where: value > 0\n", "      - value > 0\n"),
    // Rules: the outside.
    ("streamjob.dev/v1alpha1", "streamjob.dev/v1"),
    ("kind: StreamJob", "kind: FlinkDeployment"),
    ("name: clicks\n", "name: Clicks_1\n"),
    ("name: clicks\n", "name: a23456789-b23456789-c23456789-d23456789-e\n  namespace: -x\n"),
    ("parallelism: 2", "parallelism: 0"),
    ("parallelism: 2", "parallelism: 65537"),
    // Rules: the source.
    ("      files:\n        urls: [\"clicks-*.jsonl\"]\n", ""),
    ("        urls: [\"clicks-*.jsonl\"]\n", "        urls: []\n"),
    ("[\"clicks-*.jsonl\"]", "[\"\", a, a, s3://bucket/x, file://host/x]"),
    ("clicks-*.jsonl\"]\n", "clicks-*.jsonl\"]\n        order: name\n"),
    ("      format:\n        json: {}\n", ""),
    ("json: {}", "json: {}\n        csv: {}"),
    ("      format:\n        json: {}\n", "      format: {}\n"),
    (
        "        - {name: page, type: String}\n        - {name: value,",
        "        - {name: value, type: String}\n        - {name: value,",
    ),
    ("{name: page, type: String}", "{name: \"\", type: String, scale: 2}"),
    ("{name: page, type: String}", "{name: page, type: Decimal, precision: 39, scale: 2}"),
    ("{name: page, type: String}", "{name: page, type: Decimal, precision: 5, scale: 6}"),
    ("{name: page, type: String}", "{name: page, type: Decimal, precision: 5}"),
    ("{name: page, type: String}", "{name: page, type: Decimal, precision: 300}"),
    ("{action: DeadLetter, files: {url: bad}}", "{action: DeadLetter}"),
    ("{action: DeadLetter, files: {url: bad}}", "{action: Skip, files: {url: bad}}"),
    ("{action: DeadLetter, files: {url: bad}}", "{action: DeadLeter, files: {url: bad}}"),
    // Rules: from the source to the sink.
    ("      - where: value > 0\n", "      - {where: value > 0, select: [{name: a, expr: \"1\"}]}\n"),
    ("      - where: value > 0\n", "      - {}\n"),
    ("      - where: value > 0\n", "      - where: \" \"\n"),
    ("      - where: value > 0\n", "      - select: []\n"),
    ("      - where: value > 0\n", "      - select: [{name: page, expr: page}, {name: page, expr: \"\"}]\n"),
    ("{column: word, expr: \"string_to_array(page, '/')\"}", "{column: \"\", expr: \"\"}"),
    ("{field: ts, maxOutOfOrderness: 1s}", "{}"),
    ("{field: ts, maxOutOfOrderness: 1s}", "{field: ts, expr: ts}"),
    ("{field: ts, maxOutOfOrderness: 1s}", "{field: tz}"),
    ("{field: ts, maxOutOfOrderness: 1s}", "{field: page}"),
    ("{field: ts, maxOutOfOrderness: 1s}", "{expr: \"\"}"),
    ("{field: ts, maxOutOfOrderness: 1s}", "{field: ts, maxDrift: 1s}"),
    ("keyBy: [page]", "keyBy: []"),
    ("keyBy: [page]", "keyBy: [page, word, page]"),
    ("keyBy: [page]", "keyBy: [pages, window_end, \"\"]"),
    ("{size: 10s, offset: -3s}", "{size: 0s, offset: 1s}"),
    ("{size: 10s, offset: -3s}", "{size: 10s, offset: -10s}"),
    ("{action: SideOutput, files: {url: late}}", "{action: SideOutput}"),
    ("{action: SideOutput, files: {url: late}}", "{action: Drop, files: {url: late}}"),
    ("{name: clicks, function: Count}", "{name: total, function: Count, overflow: Fail}"),
    ("{name: clicks, function: Count}", "{name: page, function: Max}"),
    ("{name: clicks, function: Count}", "{name: window_start, function: Avg, field: valu}"),
    ("{name: clicks, function: Count}", "{name: \"\", function: CountDistinct, field: \"\"}"),
    ("      files: {url: out}\n", ""),
    ("      files: {url: out}\n", "      files: {url: out}\n      stdout: {}\n"),
    ("      files: {url: out}\n", "      files: {url: ./x/../late/}\n"),
    ("      files: {url: out}\n", "      files: {url: \"\"}\n"),
    ("      files: {url: out}\n", "      files: {url: s3://bucket/out}\n"),
    ("      files: {url: out}\n", "      kafka: {topic: out}\n"),
    ("{action: DeadLetter, files: {url: bad}}", "{action: DeadLetter, kafka: {topic: bad}}"),
    ("json: {}", "raw: {}"),
    ("{name: page, type: String}", "{name: page, type: String, from: Key}"),
    ("delimiter: ;", "delimiter: ab"),
    ("delimiter: ;", "delimiter: \"\\\"\""),
    ("delimiter: ;", "delimiter: é"),
    ("[\"\", NA]", "[\"a;b\"]"),
    // Rules: state.
    ("{uri: state}", "{uri: \" \"}"),
    ("{uri: state}", "{uri: s3://ab/state}"),
    ("{uri: state}", "{uri: s3://}"),
    ("{uri: state}", "{uri: s3://KEY:hush-hush@bucket/state}"),
    ("{uri: state}", "{uri: s3://bucket/a//b}"),
    ("{uri: state}", "{uri: gs://bucket/../b}"),
    ("{uri: state}", "{uri: s3a://bucket/state}"),
    ("{uri: state}", "{uri: S3://bucket/state}"),
    ("{uri: state}", "{uri: http://127.0.0.1/bucket}"),
    ("{uri: state}", "{uri: memory://state}"),
    ("{uri: state}", "{uri: s3://bucket/state, endpoint: 127.0.0.1:7070, region: eu central}"),
    ("{uri: state}", "{uri: s3://bucket/state, endpoint: http://KEY:hush-hush@host, region: \"\"}"),
    ("{uri: state}", "{uri: s3://bucket/state, endpoint: https://host/bucket, pathStyle: yes}"),
    ("{uri: state}", "{uri: s3://bucket/state, accessKey: a}"),
    ("{uri: state}", "{uri: state, endpoint: https://host, region: a, pathStyle: true}"),
    ("{uri: state}", "{uri: gs://bucket/state, endpoint: https://host}"),
    ("{uri: state}", "{uri: file://host/state}"),
    ("interval: 5s", "interval: 0s"),
    ("interval: 5s", "interval: 49ms"),
    ("interval: 5s", "interval: 5"),
    ("interval: 5s", "interval: 2m"),
    ("interval: 5s, timeout: 2m", "interval: 10m"),
    ("interval: 5s, timeout: 2m", "timeout: 10s"),
    ("timeout: 2m", "timeout: 0s"),
    ("retain: 4", "retain: 0"),
    ("retain: 4", "retain: 1001"),
    ("retain: 4", "retain: all"),
    // Syntax.
    ("  parallelism: 2\n", "\tparallelism: 2\n"),
    ("keyBy: [page]", "keyBy: [page"),
    ("keyBy: [page]", "keyBy: \"page"),
    ("keyBy: [page]", "keyBy: *page"),
    ("keyBy: [page]", "keyBy: &a [*a]"),
    ("  pipeline:\n", " pipeline:\n"),
    ("keyBy: [page]", "? [keyBy]\n    : [page]"),
];

/// In the job over the generator.
const IN_GENERATOR: &[(&str, &str)] = &[
    ("seed: 7", "seed: -7"),
    ("partitions: 8", "partitions: 0"),
    ("        rowsPerSecond: 500\n", "        rowsPerSecond: 0\n"),
    ("rows: 1000", "rows: 1_000"),
    ("    source:\n", "    source:\n      format: {json: {}}\n      columns: []\n"),
    ("    source:\n", "    source:\n      files: {urls: [a]}\n"),
    ("name: n\n", "name: ts\n"),
    ("modulo: 100, prefix: k-, digits: 6", "modulo: 0, digits: 21"),
    (
        "            sequence: {start: -5,",
        "            choice: {values: [], weights: []}\n            sequence: {start: -5,",
    ),
    ("            uniform: {min: 0, max: 9.5}\n", ""),
    ("{min: 0, max: 9.5}", "{min: 10, max: 9.5, prefix: a}"),
    ("{min: 0, max: 9.5}", "{min: a, max: .inf}"),
    ("{min: 0, max: 9.5}", "{min: 0, max: 9223372036854775808}"),
    ("{values: 50, exponent: 1.1}", "{values: 0, exponent: -1}"),
    ("{values: 50, exponent: 1.1}", "{exponent: .nan, digits: 0}"),
    ("weights: [3, 1]", "weights: [3]"),
    ("weights: [3, 1]", "weights: [0, 0]"),
    ("2026-01-31T08:00:00Z", "2026-01-31"),
    ("rowsPerSecond: 100,", "rowsPerSecond: 0,"),
    ("        columns:\n", "        columns: []\n        colums:\n"),
    ("{field: ts}", "{field: n}"),
    ("{size: 1m30s}", "{size: 1m30}"),
];

/// In the job over Kafka.
const IN_KAFKA: &[(&str, &str)] = &[
    ("\"kafka-0:9093,[::1]:9093\"", "\"\""),
    ("\"kafka-0:9093,[::1]:9093\"", "\"kafka, http://kafka:9092,:1,k:0,::1:9092\""),
    ("          bootstrapServers: \"kafka-0:9093,[::1]:9093\"\n", ""),
    ("topics: [clicks, clicks.old]", "topics: []"),
    ("topics: [clicks, clicks.old]", "topics: [clicks, clicks.old, clicks, \"a b\", .., \"\"]"),
    ("consumerGroup: pages-lag", "consumerGroup: \"\""),
    ("startFrom: Offsets", "startFrom: Timestamp"),
    ("startFrom: Offsets", "startFrom: Timestamp\n        startTime: today"),
    ("startFrom: Offsets", "startFrom: Newest"),
    (
        "        startFrom: Offsets
        startOffsets:
          - {topic: clicks, partition: 0, offset: 100}
          - {topic: clicks.old, partition: 0, offset: 0}
",
        "        startFrom: Offsets\n        startTime: 2026-01-31T08:00:00Z\n",
    ),
    ("{topic: clicks.old, partition: 0, offset: 0}", "{topic: click, partition: 0, offset: -1}"),
    ("{topic: clicks.old, partition: 0, offset: 0}", "{topic: click, partition: 0, offset: 1}"),
    ("{topic: clicks.old, partition: 0, offset: 0}", "{topic: clicks, partition: 0, offset: 1}"),
    ("until: Latest", "until: Tomorrow"),
    ("ca: {file: ca.crt}", "ca: ca.crt"),
    ("ca: {file: ca.crt}", "ca: {}"),
    ("ca: {file: ca.crt}", "ca: {file: a, environment: B}"),
    (", privateKey: {environment: CLIENT_KEY}", ""),
    ("mechanism: SCRAM-SHA-512", "mechanism: GSSAPI"),
    ("username: reader", "username: \"\""),
    ("password: {environment: KAFKA_PASSWORD}", "password: hunter2"),
    ("password: {environment: KAFKA_PASSWORD}", "password: \"hunter2\""),
    ("password: {environment: KAFKA_PASSWORD}", "password: 68001"),
    ("password: {environment: KAFKA_PASSWORD}", "password: [hunter2]"),
    ("password: {environment: KAFKA_PASSWORD}", "password: {hunter2}"),
    ("password: {environment: KAFKA_PASSWORD}", "password: {flie: a}"),
    ("password: {environment: KAFKA_PASSWORD}", "password: !hunter2"),
    ("password: {environment: KAFKA_PASSWORD}", "password: *hunter2"),
    ("password: {environment: KAFKA_PASSWORD}", "password: {environment: \"\"}"),
    (
        "sasl: {mechanism: SCRAM-SHA-512, username: reader, password: {environment: KAFKA_PASSWORD}}",
        "sasl: reader:hunter2",
    ),
    ("{name: client.rack, value: a}", "{name: client.rack, value: 1}"),
    ("{name: client.rack, value: a}", "{name: client.rack, value: \"\"}"),
    ("{name: client.rack, value: a}", "{name: fetch.min.bytes, value: many}"),
    ("{name: client.rack, value: a}", "{name: fetch.max.bytes, value: \"999999999\"}"),
    ("{name: client.rack, value: a}", "{name: compression.type, value: lzma}"),
    ("{name: client.rack, value: a}", "{name: fetch.mni.bytes, value: a}"),
    ("{name: client.rack, value: a}", "{name: plugin.library.paths, value: a}"),
    ("{name: client.rack, value: a}", "{name: ssl.ca.location, value: a}"),
    ("{name: client.rack, value: a}", "{name: sasl.password, value: a}"),
    ("{name: client.rack, value: a}", "{name: auto.offset.reset, value: latest}"),
    ("{name: client.rack, value: a}", "{name: isolation.level, value: read_uncommitted}"),
    ("{name: client.rack, value: a}", "{name: group.id, value: a}"),
    ("{name: client.rack, value: a}", "{name: \"\", value: a}"),
    ("      format: {json: {}}\n", ""),
    ("format: {json: {}}", "format: {csv: {header: true}}"),
    ("format: {json: {}}", "format: {raw: {}, json: {}}"),
    (
        "format: {json: {}}\n      columns:\n        - {name: page, type: String}",
        "format: {raw: {}}\n      columns:\n        - {name: page, type: String}\n        - {name: n, type: Int64}",
    ),
    ("{name: page, type: String}", "{name: page, type: String, header: page}"),
    ("type: String, from: Key", "type: Int64, from: Key"),
    ("type: String, from: Header", "type: Boolean, from: Header"),
    ("type: TimestampMillis, from: Timestamp", "type: TimestampSeconds, from: Timestamp"),
    ("type: Int32, from: Partition", "type: String, from: Partition"),
    ("type: Int64, from: Offset", "type: Int32, from: Offset"),
    ("type: Int64, from: Offset", "type: Int64, from: Value"),
    ("header: trace-id", "header: \"\""),
    (
        "{action: DeadLetter, kafka: {topic: bad}}",
        "{action: DeadLetter, kafka: {topic: bad}, files: {url: bad}}",
    ),
    ("{action: DeadLetter, kafka: {topic: bad}}", "{action: Skip, kafka: {topic: bad}}"),
    ("{action: DeadLetter, kafka: {topic: bad}}", "{action: DeadLetter, kafka: {topic: results}}"),
    ("{action: SideOutput, kafka: {topic: late}}", "{action: Drop, kafka: {topic: late}}"),
    (
        "{action: SideOutput, kafka: {topic: late}}",
        "{action: SideOutput, kafka: {topic: __streamjob_progress}}",
    ),
    ("{bootstrapServers: \"other:9092\"}", "{bootstrapServers: \"other\"}"),
    ("topic: results", "topic: \"\""),
    ("delivery: AtLeastOnce", "delivery: AtMostOnce"),
    ("topicField: page", "topicField: pages"),
    ("topicField: page", "topicField: \"\""),
    ("topicField: page", "topicFeild: page"),
    ("{name: page}", "{name: \"\"}"),
    ("{name: page}", "{name: user}"),
    ("{name: page}", "{name: n}"),
    ("{name: n, field: clicks}", "{name: n, field: click}"),
    ("{name: n, field: clicks}", "{field: clicks}"),
    ("{name: n, field: clicks}", "page"),
    ("maxDrift: 30s", "maxDrift: 30"),
    (
        "
        cluster: {bootstrapServers: \"other:9092\"}
        topic: results
        topicField: page
        headers: [{name: page}, {name: n, field: clicks}]
        delivery: AtLeastOnce
",
        " {topic: clicks}\n      format: {raw: {}}\n",
    ),
];

/// Whole documents.
const DOCUMENTS: &[&str] = &[
    "",
    "# nothing but a comment\n",
    "---\n",
    "null\n",
    "hello\n",
    "- a\n- b\n",
    "{\n",
    "{}\n",
    "kind: Deployment\n",
    "apiVersion: v1\n---\nkind: StreamJob\n",
];

fn told(report: &mut String, what: &str, text: &str) {
    let errors = parse(text).expect_err(what);
    writeln!(report, "{what}\n{errors}\n").expect("a String takes everything");
}

#[test]
fn every_mistake_is_told_with_its_place_and_its_remedy() {
    let mut report = String::new();

    for (name, base, edits) in
        [("files", FILES, IN_FILES), ("generator", GENERATOR, IN_GENERATOR), ("kafka", KAFKA, IN_KAFKA)]
    {
        for (from, to) in edits {
            told(&mut report, &format!("## {name}: {from:?} -> {to:?}"), &edited(base, from, to));
        }
    }
    for document in DOCUMENTS {
        told(&mut report, &format!("## document {document:?}"), document);
    }

    insta::assert_snapshot!(report);
}

#[test]
fn many_mistakes_are_told_at_once_in_the_order_of_their_lines() {
    let text = edited(FILES, "parallelism: 2", "paralelism: many");
    let text = edited(&text, "type: Int64", "type: int64");
    let text = edited(&text, "keyBy: [page]", "keyBy: [pge]");
    let text = edited(&text, "size: 10s", "sise: 0s");
    let text = edited(&text, "files: {url: out}", "files: {url: late}");

    let errors = parse(&text).expect_err("five fields are wrong");

    insta::assert_snapshot!(errors);
}

#[test]
fn a_file_that_cannot_be_a_manifest_is_told_apart() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("latin1.yaml"), b"kind: StreamJob\n# caf\xe9\n").expect("a file can be written");
    std::fs::write(path("data.jsonl"), vec![b'#'; (1 << 20) + 1]).expect("a file can be written");

    let mut report = String::new();
    for name in ["missing.yaml", "latin1.yaml", "data.jsonl", "."] {
        let errors = StreamJob::load(&path(name)).expect_err(name);
        let errors = errors.to_string().replace(&path(name).display().to_string(), name);
        writeln!(report, "{errors}").expect("a String takes everything");
    }

    insta::assert_snapshot!(report);
}

#[test]
fn a_document_that_grows_without_bounds_is_refused() {
    let deep = format!("spec: {}{}", "[".repeat(100), "]".repeat(100));
    let laughs = (1..9).fold("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, i| {
        let alias = format!("*a{}, ", i - 1).repeat(10);
        format!("{text}a{i}: &a{i} [{alias}]\n")
    });
    let many = (0..200).fold(String::new(), |text, i| format!("{text}f{i}: 1\n"));

    let lines = [deep, laughs, many].map(|text| parse(&text).expect_err("not a manifest").errors.len());

    assert_eq!(lines, [1, 1, 101]);
}
