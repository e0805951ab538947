//! Which topic and partition a result goes to, and with which headers.
//!
//! Owns: topic and headers by column, the partitioner, topics that are not there.
//! Never: kills a job.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde_json::Value;
use streamjob_tests::job::JobFolder;
use streamjob_tests::kafka::{Producing, Read, Record, shared};

use super::topic;

/// Keys, and the partition of seven that Java's producer chooses for each: `Utils.toPositive(Utils.murmur2(key)) % 7` of
/// kafka-clients 4.1.
const OF_JAVA: [(&str, i32); 8] = [
    ("", 2),
    ("21", 3),
    ("foobar", 0),
    ("a-little-bit-long-string", 1),
    ("a-little-bit-longer-string", 0),
    ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", 3),
    ("abc", 4),
    ("\u{e9}t\u{e9}", 4),
];

/// Counts rows of each key, and sends the result to the topic of the key's last row.
fn job(from: &str, to: &str, delivery: &str) -> Result<JobFolder> {
    let servers = shared().bootstrap();
    JobFolder::new(&format!(
        "apiVersion: streamjob.dev/v1alpha1
kind: StreamJob
metadata: {{name: routes}}
spec:
  parallelism: 2
  pipeline:
    source:
      kafka: {{cluster: {{bootstrapServers: \"{servers}\"}}, topics: [{from}], until: Latest}}
      format: {{json: {{}}}}
      columns: [{{name: key, type: String}}, {{name: to, type: String}}, {{name: ts, type: TimestampMillis}}]
    eventTime: {{field: ts}}
    keyBy: [key]
    window: {{tumbling: {{size: 10s}}}}
    aggregates: [{{name: rows, function: Count}}, {{name: to, function: Last, field: to}}]
    sink:
      kafka:
        topic: {to}
        topicField: to
        headers: [{{name: key}}, {{name: n, field: rows}}, {{name: to}}]
        delivery: {delivery}
  state: {{checkpoint: {{interval: 100ms}}}}
"
    ))
}

/// A row for each key, with the topic that its result goes to.
fn input<'a>(rows: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> Result<String> {
    let name = topic(1, &[])?;
    let records = rows.into_iter().map(|(key, to)| {
        let (key, to) = (Value::from(key), to.map_or(Value::Null, Value::from));
        Record::of(format!("{{\"key\":{key},\"to\":{to},\"ts\":5}}"))
    });
    shared().produce(&name, 0, &records.collect::<Vec<_>>(), Producing::default())?;
    Ok(name)
}

/// The key of each record with its partition and headers.
fn found(topic: &str) -> Result<BTreeMap<String, (i32, String)>> {
    let mut found = BTreeMap::new();
    for Read { partition, record, .. } in shared().consume(topic)? {
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        let header =
            |(name, value): &(String, Option<Vec<u8>>)| format!("{name}={:?}", value.as_ref().map(text));
        let headers: Vec<String> = record.headers.iter().map(header).collect();
        let key = record.key.as_ref().map_or("null".to_owned(), text);
        let twice = found.insert(key, (partition, headers.join(" ")));
        ensure!(twice.is_none(), "twice in {topic}");
    }
    Ok(found)
}

#[test]
fn topic_and_headers_come_from_columns_and_the_partition_is_that_of_java() -> Result<()> {
    for delivery in ["ExactlyOnce", "AtLeastOnce"] {
        let (own, other) = (topic(7, &[])?, topic(1, &[])?);
        let rows = OF_JAVA.map(|(key, _)| (key, None)).into_iter().chain([("k", Some(other.as_str()))]);
        let job = job(&input(rows)?, &own, delivery)?;

        job.run_well(&[])?;

        let headers = |key: &str, to: Option<&str>| format!("key={:?} n=Some(\"1\") to={to:?}", Some(key));
        let expected = OF_JAVA.map(|(key, partition)| (key.to_owned(), (partition, headers(key, None))));
        assert_eq!(found(&own)?, BTreeMap::from(expected), "{delivery}");
        let expected = [("k".to_owned(), (0, headers("k", Some(&other))))];
        assert_eq!(found(&other)?, BTreeMap::from(expected), "{delivery}");
    }
    Ok(())
}

#[test]
fn a_result_for_a_topic_that_is_not_there_waits_until_someone_makes_it() -> Result<()> {
    for (delivery, late) in [("ExactlyOnce", "made-late-once"), ("AtLeastOnce", "made-late-at-least-once")] {
        let own = topic(1, &[])?;
        let job = job(&input([("a", None), ("b", Some(late)), ("c", None)])?, &own, delivery)?;

        let said = super::fails(&job)?;
        shared().create_topic(late, 1, &[])?;
        job.run_well(&[])?;

        let expected = format!(
            "the topic `{late}`, which `spec.pipeline.sink.kafka.topicField` names, is not there; create it and run again"
        );
        assert!(said.contains(&expected), "{said}");
        if delivery == "ExactlyOnce" {
            // Once each: what an earlier epoch had is not published again.
            let keys: Vec<_> = found(&own)?.into_keys().chain(found(late)?.into_keys()).collect();
            assert_eq!(keys, ["a", "c", "b"]);
        }
        assert!(shared().consume(late)?.len() == 1 && shared().consume(&own)?.len() >= 2, "{delivery}");
    }
    Ok(())
}

#[test]
fn a_result_for_what_cannot_be_a_topic_or_is_read_stops_the_job_before_it_is_committed() -> Result<()> {
    let own = topic(1, &[])?;
    let impossible = job(&input([("a", Some("a topic"))])?, &own, "ExactlyOnce")?;
    let rows = |to: &str| Record::of(format!("{{\"key\":\"a\",\"to\":\"{to}\",\"ts\":5}}"));
    let circle = topic(1, &[])?;
    shared().produce(&circle, 0, &[rows(&circle)], Producing::default())?;
    let circle_job = job(&circle, &own, "AtLeastOnce")?;

    let impossible = super::fails(&impossible)?;
    let read = super::fails(&circle_job)?;

    let expected =
        "`sink.kafka.topicField` of a result names no topic to write to: `a topic` cannot be a topic";
    assert!(impossible.contains(expected), "{impossible}");
    assert!(read.contains(&format!("`{circle}` is read by the source too")), "{read}");
    assert_eq!((shared().consume(&own)?.len(), shared().consume(&circle)?.len()), (0, 1));
    Ok(())
}
