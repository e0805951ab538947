//! Batches that another library has written, whole and damaged.

use std::io::Write;

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression, Record as Written, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use proptest::prelude::*;

use super::{Aborted, Chunk, Damaged, end_of};

/// A record as a reader sees it: offset, timestamp, key, value, and the header `h`.
type Seen = (u64, Option<i64>, Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>);

fn written(offset: i64, value: Option<Bytes>) -> Written {
    Written {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 3,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset,
        // What follows each other is one batch.
        sequence: i32::try_from(offset).expect("a test has few records"),
        timestamp: 1_000 + offset,
        key: None,
        value,
        headers: IndexMap::new(),
    }
}

fn encoded(records: &[Written]) -> Bytes {
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut bytes, records, &options).expect("records can be written");
    bytes.freeze()
}

fn seen(bytes: Bytes, aborted: Vec<Aborted>) -> Result<Vec<Seen>, Damaged> {
    let mut chunk = Chunk::new(bytes, aborted, 0);
    let mut seen = Vec::new();
    while let Some(batch) = chunk.batch()? {
        let mut at = 0;
        for _ in 0..batch.len() {
            let record = batch.record(batch.place(&mut at)?);
            let own = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
            let header = own(record.header("h")?);
            seen.push((
                record.offset(),
                record.timestamp_ms(),
                own(record.key()),
                own(record.value()),
                header,
            ));
        }
    }
    Ok(seen)
}

fn wanted(records: &[Written]) -> Vec<Seen> {
    let own = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| bytes.to_vec());
    let seen = |record: &Written| {
        let header = record.headers.get("h".as_bytes()).cloned().flatten();
        (
            record.offset.unsigned_abs(),
            Some(record.timestamp),
            own(&record.key),
            own(&record.value),
            own(&header),
        )
    };
    records.iter().map(seen).collect()
}

fn bytes() -> impl Strategy<Value = Option<Bytes>> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from))
}

fn records() -> impl Strategy<Value = Vec<Written>> {
    let one = (bytes(), bytes(), proptest::option::of(bytes()), 0_i64..1 << 40);
    proptest::collection::vec(one, 1..40).prop_map(|parts| {
        let record = |(offset, (key, value, header, timestamp))| {
            let mut record = written(offset, value);
            (record.key, record.timestamp) = (key, timestamp);
            if let Some(header) = header {
                record.headers.insert(StrBytes::from_static_str("g"), None);
                record.headers.insert(StrBytes::from_static_str("h"), header);
            }
            record
        };
        (7..).zip(parts).map(record).collect()
    })
}

proptest! {
    #[test]
    fn records_are_what_was_written(records in records()) {
        prop_assert_eq!(seen(encoded(&records), Vec::new()).expect("nothing is damaged"), wanted(&records));
    }

    #[test]
    fn a_cut_answer_has_its_whole_batches_and_no_more(records in records(), cut in any::<proptest::sample::Index>()) {
        let first = encoded(&records);
        let mut after = records.clone();
        after.iter_mut().for_each(|record| record.offset += 1_000);
        let both = [&first[..], &encoded(&after)[..]].concat();
        let cut = cut.index(both.len());
        let whole = if cut < first.len() { 0 } else { records.len() };
        let read = seen(Bytes::from(both[..cut].to_vec()), Vec::new()).expect("what is whole is not damaged");
        prop_assert_eq!(read, wanted(&records[..whole]));
        let end = (whole > 0).then(|| (records.len() as u64 + 7, 3));
        prop_assert_eq!(end_of(&both[..cut]), end);
    }

    #[test]
    fn a_flipped_bit_is_told_or_moves_the_whole_batch(records in records(), bit in any::<proptest::sample::Index>()) {
        let mut bytes = encoded(&records).to_vec();
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Ok(read) = seen(Bytes::from(bytes), Vec::new()) else { return Ok(()) };
        // The checksum covers neither offset, length nor leader epoch: brokers set them.
        prop_assert!(bit / 8 < 16, "bit {} of byte {}", bit % 8, bit / 8);
        let values = |seen: Vec<Seen>| seen.into_iter().map(|seen| seen.3).collect::<Vec<_>>();
        prop_assert!(read.is_empty() || values(read) == values(wanted(&records)));
    }

    #[test]
    fn whatever_bytes_come_nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), codec in 0_u8..8) {
        let _one_or_the_other = seen(Bytes::from(bytes.clone()), Vec::new());
        // With a header that holds, so that what is behind it is looked at.
        let mut batch = encoded(&[written(0, None)]).to_vec();
        batch.truncate(61);
        batch.extend(&bytes);
        let _told = seen(checked(batch, codec), Vec::new());
    }
}

/// Sets length, codec and checksum of a batch.
fn checked(mut batch: Vec<u8>, codec: u8) -> Bytes {
    let length = i32::try_from(batch.len() - 12).expect("a test's batch is short");
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[22] = codec;
    let sum = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&sum.to_be_bytes());
    batch.into()
}

#[test]
fn each_codec_is_undone() {
    let records = [written(0, Some(Bytes::from(vec![b'a'; 5_000]))), written(1, None)];
    let plain = encoded(&records);
    let (header, body) = plain.split_at(61);
    let gzip = || {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        out.write_all(body).expect("memory takes all");
        out.finish().expect("memory takes all")
    };
    let lz4 = || {
        let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
        out.write_all(body).expect("memory takes all");
        out.finish().expect("memory takes all")
    };
    let snappy = || snap::raw::Encoder::new().compress_vec(body).expect("it is short");
    // Java's framing, in two blocks.
    let framed = || {
        let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
        for block in body.chunks(body.len() / 2 + 1) {
            let block = snap::raw::Encoder::new().compress_vec(block).expect("it is short");
            out.extend(u32::try_from(block.len()).expect("it is short").to_be_bytes());
            out.extend(block);
        }
        out
    };
    let zstd = || zstd::encode_all(body, 3).expect("memory takes all");
    let packed = [(1, gzip()), (2, snappy()), (2, framed()), (3, lz4()), (4, zstd())];
    for (codec, packed) in packed {
        assert!(packed.len() < body.len(), "codec {codec} makes it shorter");
        let batch = checked([header, &packed].concat(), codec);
        assert_eq!(seen(batch, Vec::new()).expect("it is whole"), wanted(&records), "codec {codec}");
        let cut = checked([header, &packed[..packed.len() / 2]].concat(), codec);
        seen(cut, Vec::new()).expect_err("half of it is told");
    }
    let error =
        seen(checked(plain.to_vec(), 5), Vec::new()).expect_err("there is no fifth codec").to_string();
    assert_eq!(error, "its batch is compressed by codec 5, which is not known");
}

#[test]
fn aborted_records_and_markers_are_not_seen() {
    let of = |offset, producer, transactional| {
        let mut record = written(offset, Some(Bytes::from(offset.to_string())));
        (record.producer_id, record.transactional) = (producer, transactional);
        record
    };
    let marker = |offset, producer, kind: u8| {
        let mut record = of(offset, producer, true);
        record.control = true;
        record.key = Some(Bytes::from(vec![0, 0, 0, kind]));
        record
    };
    // Producer 1 aborts, begins again and commits; 2 commits in between; 3 writes without a transaction.
    let log = [
        of(0, 1, true),
        of(1, 2, true),
        of(2, 1, true),
        marker(3, 1, 0),
        of(4, 3, false),
        of(5, 1, true),
        marker(6, 2, 1),
        marker(7, 1, 1),
        of(8, 2, true),
        marker(9, 2, 0),
    ];
    let bytes: Vec<u8> =
        log.iter().flat_map(|record| encoded(std::slice::from_ref(record)).to_vec()).collect();
    let aborted = vec![Aborted { producer: 2, first_offset: 8 }, Aborted { producer: 1, first_offset: 0 }];
    let read = seen(bytes.into(), aborted).expect("nothing is damaged");
    assert_eq!(read.iter().map(|seen| seen.0).collect::<Vec<_>>(), [1, 4, 5]);
}

#[test]
fn an_older_format_is_told() {
    let mut bytes = encoded(&[written(0, None)]).to_vec();
    bytes[16] = 1;
    let error = seen(bytes.into(), Vec::new()).expect_err("it is older").to_string();
    assert_eq!(
        error,
        "its batch has message format 1, and only 2 is read, which Kafka has written since 0.11"
    );
}
