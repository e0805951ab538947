//! What becomes of all kinds of records.
//!
//! Owns: nulls, headers, transactions, gaps, formats, bad records.
//! Never: tests restarts.

use anyhow::Result;
use serde_json::{Value, json};
use streamjob_tests::kafka::{Producing, Record, shared};

use super::{TopicJob, expected, fails, results, row, topic};

#[test]
fn columns_come_from_every_part_of_a_record() -> Result<()> {
    let name = topic(2, &[])?;
    let header =
        |value: Option<&str>| vec![("trace".to_owned(), value.map(|value| value.as_bytes().to_vec()))];
    let records = [
        Record { headers: header(Some("t1")), timestamp_ms: Some(1_000), ..row("x", 1, 0).keyed("k1") },
        Record { headers: header(None), timestamp_ms: Some(2_000), ..row("x", 2, 0) },
        Record { timestamp_ms: Some(3_000), ..row("x", 3, 0).keyed("") },
    ];
    shared().produce(&name, 1, &records, Producing::default())?;
    let job = TopicJob {
        columns: "[{name: n, type: Int64}, {name: k, type: String, from: Key}, {name: trace, type: String, from: Header}, \
                  {name: at, type: TimestampMillis, from: Timestamp}, {name: t, type: String, from: Topic}, \
                  {name: part, type: Int32, from: Partition}, {name: o, type: Int64, from: Offset}]",
        event_time: "{field: at, maxOutOfOrderness: 1h}",
        key: "k, trace, t, part, o",
        ..TopicJob::default()
    };
    let folder = job.folder(shared(), &name)?;

    folder.run_well(&[])?;

    let mut rows = folder.rows("out")?;
    rows.sort_by_key(|row| row["o"].as_i64());
    let row = |k: Value, trace: Value, o: i64| {
        json!({"k": k, "trace": trace, "t": name, "part": 1, "o": o, "window_start": 0, "window_end": 10_000, "rows": 1,
               "total": o + 1})
    };
    assert_eq!(
        rows,
        [row(json!("k1"), json!("t1"), 0), row(Value::Null, Value::Null, 1), row(json!(""), Value::Null, 2)]
    );
    Ok(())
}

#[test]
fn what_was_aborted_is_not_read_and_what_is_open_is_left_for_later() -> Result<()> {
    let name = topic(1, &[])?;
    let rows = |from: i64| (from..from + 3).map(|n| row("k", n, 5)).collect::<Vec<_>>();
    let in_transaction = |committed| Producing { transaction: Some(("a-producer", committed)), codec: None };
    shared().produce(&name, 0, &rows(0), Producing::default())?;
    shared().produce(&name, 0, &rows(1_000), in_transaction(false))?;
    shared().produce(&name, 0, &rows(10), in_transaction(true))?;
    shared().produce(&name, 0, &rows(2_000), in_transaction(false))?;
    let folder = TopicJob::default().folder(shared(), &name)?;

    folder.run_well(&[])?;

    assert_eq!(results(&folder)?, expected([0, 1, 2, 10, 11, 12].map(|n| ("k", n, 5))));
    Ok(())
}

#[test]
fn a_record_that_cannot_be_used_stops_the_job_at_its_offset_or_goes_where_the_policy_says() -> Result<()> {
    let name = topic(1, &[])?;
    let tombstone = Record { key: Some(b"k".to_vec()), ..Record::default() };
    let records = [
        row("k", 1, 5),
        tombstone,
        Record::of("{\"key\":\"k\",\"n\":2,\n \"ts\":6}"),
        Record::of("{\"key\":\"k\",\"n\":\"x\",\"ts\":6}"),
        Record::of("{\"key\":\"k\",\"n\":3,\"ts\":6} {}"),
        Record::of(""),
        row("k", 4, 4_102_444_800_000),
        row("k", 5, 7),
    ];
    shared().produce(&name, 0, &records, Producing::default())?;

    let said = fails(&TopicJob::default().folder(shared(), &name)?)?;
    let skip = TopicJob { bad_records: "{action: Skip}", ..TopicJob::default() }.folder(shared(), &name)?;
    skip.run_well(&[])?;
    let dead = "{action: DeadLetter, files: {url: dead}}";
    let dead = TopicJob { bad_records: dead, ..TopicJob::default() }.folder(shared(), &name)?;
    dead.run_well(&[])?;

    assert!(said.contains(&format!("{name}/0:1: the payload is null (a tombstone)")), "{said}");
    let good = expected([("k", 1, 5), ("k", 2, 6), ("k", 5, 7)]);
    assert_eq!((results(&skip)?, results(&dead)?), (good.clone(), good));
    let letters = dead.rows("dead")?;
    let positions: Vec<_> = letters.iter().map(|letter| letter["position"].as_i64()).collect();
    assert_eq!(positions, [1, 3, 4, 5, 6].map(Some));
    assert_eq!((&letters[0]["source"], &letters[0]["line"]), (&json!(format!("{name}/0")), &Value::Null));
    Ok(())
}

#[test]
fn csv_and_raw_records_are_whole_by_themselves() -> Result<()> {
    let name = topic(1, &[])?;
    let texts = ["k,1,5", "k,2,6\n", "\"k\",\"3\",7", "k,4", "k,4,8\nk,5,9", "", "k,,9"];
    let records: Vec<Record> = texts.into_iter().map(Record::of).collect();
    shared().produce(&name, 0, &records, Producing::default())?;
    let csv = TopicJob { format: "{csv: {}}", bad_records: "{action: Skip}", ..TopicJob::default() };
    let csv = csv.folder(shared(), &name)?;
    let raw = TopicJob {
        format: "{raw: {}}",
        columns: "[{name: key, type: String}, {name: n, type: Int64, from: Offset}, {name: ts, type: Int64, from: Offset}]",
        bad_records: "{action: Skip}",
        ..TopicJob::default()
    };
    let tombstone = Record { payload: None, ..Record::default() };
    shared().produce(&name, 0, &[tombstone, Record::of(*b"\xff")], Producing::default())?;
    let raw = raw.folder(shared(), &name)?;

    csv.run_well(&[])?;
    raw.run_well(&[])?;

    assert_eq!(results(&csv)?, expected([("k", 1, 5), ("k", 2, 6), ("k", 3, 7), ("k", 0, 9)]));
    let rows = (0..).zip(texts).map(|(offset, text)| (text, offset, offset));
    assert_eq!(results(&raw)?, expected(rows.chain([("null", 7, 7)])));
    Ok(())
}

#[test]
fn gaps_of_compaction_are_no_loss() -> Result<()> {
    let settings = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("max.compaction.lag.ms", "100"),
    ];
    let name = topic(1, &settings)?;
    let records: Vec<Record> = (0..100).map(|n| row("k", n, 5).keyed(format!("{}", n % 10))).collect();
    shared().produce(&name, 0, &records, Producing::default())?;
    super::eventually("old records are compacted away", || {
        shared().produce(&name, 0, &[row("k", 0, 5).keyed("last")], Producing::default())?;
        Ok(shared().consume(&name)?.len() < 60)
    })?;
    let folder = TopicJob::default().folder(shared(), &name)?;

    folder.run_well(&[])?;

    let there = shared().consume(&name)?.len() as i64;
    let read: i64 = results(&folder)?.values().map(|(rows, _)| rows).sum();
    // The cleaner may have come once more since.
    assert!(read >= there && read < 101, "{read} of {there}");
    Ok(())
}
