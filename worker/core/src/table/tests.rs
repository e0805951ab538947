//! The table against a map, small enough for an interpreter that checks memory.
//!
//! Owns: what a lookup, an insertion, a scan and growth promise.
//! Never: needs more than a few thousand rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::BinaryArray;

use super::*;
use crate::key::Keys;
use crate::key_group::{KEY_GROUPS, key_group};

const FULL: std::ops::Range<u32> = 0..KEY_GROUPS;
const TEMPLATE: [u8; 11] = [0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0];

fn keys(texts: &[String]) -> Keys {
    Keys::new(BinaryArray::from_iter_values(texts))
}

/// Keys whose hashes are given, to make collisions.
fn keys_hashed(texts: &[String], hash: impl Fn(usize) -> u64) -> Keys {
    Keys { bytes: BinaryArray::from_iter_values(texts), hashes: (0..texts.len()).map(hash).collect() }
}

/// Adds one to the number in each key's row.
fn count(table: &mut SliceTable<()>, keys: &Keys, pool: &mut Pool) {
    let mut group = RowGroup::default();
    let (rows, ()) = table.find_or_insert(keys, &Selection::Range(0..keys.len()), pool, &mut group);
    let field = rows.field::<u32>(7);
    (0..keys.len()).for_each(|row| field.update(row, |count| count + 1));
}

fn scan(tables: Vec<SliceTable<()>>, keys_max: usize) -> Vec<(Vec<u8>, u32)> {
    let tables = tables.into_iter().map(|table| TableFrom { table: Arc::new(table), from: 0 });
    scan_parts(tables.collect(), keys_max)
}

fn scan_parts(tables: Vec<TableFrom<()>>, keys_max: usize) -> Vec<(Vec<u8>, u32)> {
    let mut scan = OrderedScan::new(tables, 0..KEY_GROUPS, None);
    let mut found = Vec::new();
    while let Some(chunk) = scan.next_chunk(keys_max) {
        let mut counts = vec![0; chunk.keys_len()];
        for part in chunk.parts() {
            let field = part.rows.field::<u32>(7);
            part.places.iter().enumerate().for_each(|(row, &place)| counts[place as usize] += field.get(row));
        }
        assert!(chunk.keys_len() <= keys_max);
        assert_eq!(chunk.keys().count(), chunk.keys_len());
        found.extend(chunk.keys().map(<[u8]>::to_vec).zip(counts));
    }
    found
}

fn expected(keys: &[&Keys]) -> Vec<(Vec<u8>, u32)> {
    let mut counts = BTreeMap::new();
    for keys in keys {
        for row in 0..keys.len() {
            *counts.entry((key_group(keys.hashes[row]), keys.get(row).to_vec())).or_insert(0) += 1;
        }
    }
    counts.into_iter().map(|((_, key), count)| (key, count)).collect()
}

fn texts(rows: usize, distinct: usize) -> Vec<String> {
    (0..rows).map(|row| format!("key-{}", row * 7919 % distinct)).collect()
}

#[test]
fn a_scan_gives_every_key_once_in_the_order_of_key_group_and_key() {
    let keys = keys(&texts(1500, 600));
    let mut table = SliceTable::new(&FULL, &TEMPLATE, ());

    for start in (0..1500).step_by(100) {
        count(&mut table, &keys.slice(start, 100), &mut Pool::default());
    }

    assert_eq!(table.len(), 600);
    assert_eq!(scan(vec![table], 7), expected(&[&keys]));
}

#[test]
fn a_key_that_is_in_several_tables_comes_once() {
    let (first, second) = (keys(&texts(700, 500)), keys(&texts(300, 900)));
    let mut tables = vec![SliceTable::new(&FULL, &TEMPLATE, ()), SliceTable::new(&FULL, &TEMPLATE, ())];

    count(&mut tables[0], &first, &mut Pool::default());
    count(&mut tables[1], &second, &mut Pool::default());

    assert_eq!(scan(tables, 1), expected(&[&first, &second]));
}

#[test]
fn keys_of_one_hash_are_told_apart_by_their_bytes() {
    let texts = texts(600, 300);
    for hash in [0, 1 << 48, u64::MAX] {
        let keys = keys_hashed(&texts, |_| hash);
        let mut table = SliceTable::new(&FULL, &TEMPLATE, ());

        count(&mut table, &keys, &mut Pool::default());

        assert_eq!(table.len(), 300);
        assert_eq!(scan(vec![table], 64), expected(&[&keys]));
    }
}

#[test]
fn a_table_of_few_key_groups_keeps_their_order() {
    let texts = texts(900, 800);
    for range in [5..6, 5..8, 40_000..61_846, 65_535..65_536] {
        let groups = u64::from(range.end - range.start);
        let hash = |row: usize| {
            let spread = (row as u64 * 7919 % 800).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            ((u64::from(range.start) + (spread >> 48) % groups) << 48) | (spread & 0xFFFF_FFFF_FFFF)
        };
        let keys = keys_hashed(&texts, hash);
        let mut table = SliceTable::new(&range, &TEMPLATE, ());

        count(&mut table, &keys, &mut Pool::default());

        assert_eq!(scan(vec![table], 100), expected(&[&keys]));
    }
}

#[test]
fn keys_of_any_length_come_back() {
    let lengths = [0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 254, 255, 256, 4000, 5000, 40_000];
    let texts: Vec<String> = lengths.iter().map(|&length| "x".repeat(length)).collect();
    let keys = keys(&texts);
    let mut table = SliceTable::new(&FULL, &TEMPLATE, ());

    count(&mut table, &keys, &mut Pool::default());
    count(&mut table, &keys, &mut Pool::default());

    assert_eq!(scan(vec![table], 5), expected(&[&keys, &keys]));
}

#[test]
fn a_recycled_block_begins_with_the_template() {
    let keys = keys(&texts(500, 500));
    let mut pool = Pool::default();
    for _ in 0..3 {
        let mut table = SliceTable::new(&FULL, &TEMPLATE, ());
        count(&mut table, &keys, &mut pool);
        let mut group = RowGroup::default();
        let listed = table.list(0, 1000, &mut group).expect("the table has rows");
        assert_eq!(listed.keys().count(), 500);
        let (marks, counts) = (listed.rows.field::<u32>(0), listed.rows.field::<u32>(7));
        assert!(
            (0..500).all(|row| marks.get(row) == u32::from_ne_bytes([0, 0, 0, 7]) && counts.get(row) == 1)
        );
        table.retire(&mut pool);
    }
    assert!(pool.bytes() > 0);
}

#[test]
fn a_small_table_is_small() {
    let mut table = SliceTable::new(&FULL, &TEMPLATE, ());

    count(&mut table, &keys(&texts(10, 10)), &mut Pool::default());

    assert!(table.bytes() < 2048, "{} bytes", table.bytes());
}

#[test]
fn rows_of_one_table_are_matched_with_those_of_another() {
    let (first, second) = (keys(&texts(700, 500)), keys(&texts(300, 900)));
    let (mut base, mut delta) =
        (SliceTable::new(&FULL, &TEMPLATE, ()), SliceTable::new(&FULL, &TEMPLATE, ()));
    let mut pool = Pool::default();
    count(&mut base, &first, &mut pool);
    count(&mut delta, &second, &mut pool);

    let (mut at, mut groups) = (0, Default::default());
    while let Some(matched) = delta.match_rows(at, 100, &mut base, &mut pool, &mut groups) {
        let (into, from) = (matched.into.field::<u32>(7), matched.from.field::<u32>(7));
        (0..from.len()).for_each(|row| into.update(row, |count| count + from.get(row)));
        at = matched.after;
    }

    assert_eq!(scan(vec![base], 10), expected(&[&first, &second]));
}

#[test]
fn while_an_index_grows_bit_by_bit_every_key_is_found_and_scanned_once() {
    // Rows of one tag lie together wherever growth stops.
    let texts = texts(700, 650);
    let spread = |row: usize| (row as u64 % 650 / 3).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let keys = keys_hashed(&texts, spread);
    for slots in [1, 10, 177, 100_000] {
        for stop_after in [0, 1, 5, 1_000_000] {
            let mut table = SliceTable::new(&FULL, &TEMPLATE, ());
            let mut pool = Pool::default();
            let mut other = SliceTable::new(&FULL, &TEMPLATE, ());
            other.reserve(5000, &mut pool);
            // Its slots are cleared before they are used again.
            count(&mut other, &keys, &mut pool);
            other.retire(&mut pool);
            count(&mut table, &keys, &mut pool);
            let mut calls = 0;
            while calls <= stop_after && !table.reserve_some(5000, slots, &mut pool) {
                calls += 1;
            }

            let mut group = RowGroup::default();
            let (places, rows) = table.find(0, &keys, &Selection::Range(0..700), &mut group);
            assert_eq!((places.len(), rows.len()), (700, 700), "{slots} slots, {calls} calls");
            let (mut at, mut listed) = (0, 0);
            while let Some(some) = table.list(at, 9, &mut group) {
                listed += some.keys().count();
                at = some.after;
            }
            assert_eq!(listed, table.len());
            // Whoever adds keys before there is room makes it.
            count(&mut table, &keys, &mut pool);
            let more = keys_hashed(&["more".to_owned()], |_| 1 << 62);
            count(&mut table, &more, &mut pool);
            assert_eq!(scan(vec![table], 13), expected(&[&keys, &keys, &more]));
        }
    }
}

#[test]
fn keys_go_in_while_an_index_grows_bit_by_bit() {
    // Rows of one tag lie together, and runs of tags crowd wherever growth stops.
    for spread in [0x9E37_79B9_7F4A_7C15, 1 << 40, 1 << 49] {
        let texts = texts(4000, 2900);
        let keys = keys_hashed(&texts, |row| (row as u64 * 7919 % 2900 / 3).wrapping_mul(spread));
        for slots_per_row in [1, 3, 16] {
            let (mut table, mut pool) = (SliceTable::new(&FULL, &TEMPLATE, ()), Pool::default());
            for start in (0..4000).step_by(16) {
                count(&mut table, &keys.slice(start, 16), &mut pool);
                table.grow_some(start / 8, 16 * slots_per_row, &mut pool);
            }

            assert_eq!(table.len(), 2900);
            assert_eq!(scan(vec![table], 100), expected(&[&keys]), "{spread:x}, {slots_per_row}");
        }
    }
}

#[test]
fn room_for_more_keys_follows_growth_that_is_under_way() {
    let (mut table, mut pool) = (SliceTable::new(&FULL, &TEMPLATE, ()), Pool::default());
    count(&mut table, &keys(&texts(200, 200)), &mut pool);
    table.grow_some(1000, 1, &mut pool);

    while !table.reserve_some(5000, 100, &mut pool) {}

    assert!(table.bytes() > 5000 * 8, "{} bytes", table.bytes());
}

#[test]
fn a_scan_begins_after_a_key_and_ends_with_a_key_group() {
    let texts = texts(400, 300);
    // Few key groups, so that most hold several keys.
    let hash =
        |row: usize| ((100 + row as u64 % 300 % 8) << 48) | (row as u64 % 300).wrapping_mul(0x9E37_79B9);
    let all = keys_hashed(&texts, hash);
    let groups = 90..120;
    let build = |from: usize, to: usize| {
        let mut table = SliceTable::new(&groups, &TEMPLATE, ());
        count(&mut table, &keys_hashed(&texts[from..to], |row| all.hashes[from + row]), &mut Pool::default());
        TableFrom { table: Arc::new(table), from: 0 }
    };
    let tables = [build(0, 250), build(200, 400)];
    let order: BTreeMap<_, _> =
        (0..400).map(|row| ((key_group(all.hashes[row]).0, all.get(row)), ())).collect();
    for (at, &(group, key)) in order.keys().enumerate().step_by(23) {
        for (end, keys_max) in [(u32::from(group) + 1, 1), (105, 3), (200, 1000)] {
            let range = u32::from(group)..end;
            let mut scan = OrderedScan::new(tables.to_vec(), range.clone(), Some(key));
            let mut found = Vec::new();
            while let Some(chunk) = scan.next_chunk(keys_max) {
                found.extend(chunk.keys().map(<[u8]>::to_vec));
                assert_eq!(found.last().map(Vec::as_slice), Some(chunk.last_key()));
            }
            assert!(scan.is_done(1));
            let expected = order.keys().skip(at + 1).filter(|(group, _)| range.contains(&u32::from(*group)));
            assert_eq!(found, expected.map(|(_, key)| key.to_vec()).collect::<Vec<_>>(), "{range:?}");
        }
    }
}

#[test]
fn rows_that_another_table_has_taken_do_not_count() {
    let (first, second) = (keys(&texts(700, 500)), keys(&texts(300, 900)));
    let (mut base, mut delta) =
        (SliceTable::new(&FULL, &TEMPLATE, ()), SliceTable::new(&FULL, &TEMPLATE, ()));
    let mut pool = Pool::default();
    count(&mut base, &first, &mut pool);
    count(&mut delta, &second, &mut pool);
    let mut groups = Default::default();
    let matched = delta.match_rows(0, 77, &mut base, &mut pool, &mut groups).expect("the table has rows");
    let (into, from) = (matched.into.field::<u32>(7), matched.from.field::<u32>(7));
    assert_eq!(from.len(), 77);
    (0..from.len()).for_each(|row| into.update(row, |count| count + from.get(row)));
    let from = matched.after;

    let mut group = RowGroup::default();
    let (places, _) = delta.find(from, &second, &Selection::Range(0..300), &mut group);
    assert_eq!(places.len(), 300 - 77);
    let left = delta.list(from, 1000, &mut group).expect("there are more");
    assert!(left.groups().zip(left.keys()).all(|(group, key)| group == key_group(crate::key::hash(key)).0));
    assert_eq!(left.keys().count(), 300 - 77);

    let parts = [TableFrom { table: Arc::new(base), from: 0 }, TableFrom { table: Arc::new(delta), from }];
    assert_eq!(scan_parts(parts.to_vec(), 10), expected(&[&first, &second]));
}

#[test]
fn finding_tells_which_keys_are_there() {
    let (there, asked) = (keys(&texts(50, 50)), keys(&texts(100, 100)));
    let mut table = SliceTable::new(&FULL, &TEMPLATE, ());
    count(&mut table, &there, &mut Pool::default());
    let mut group = RowGroup::default();

    let (places, rows) = table.find(0, &asked, &Selection::Range(0..100), &mut group);

    let known: Vec<usize> =
        (0..100).filter(|&row| (0..50).any(|own| there.get(own) == asked.get(row))).collect();
    assert_eq!((places, rows.len()), (known, 50));
}

#[test]
#[should_panic(expected = "rows given for reading are not written to")]
fn rows_given_for_reading_are_not_written_to() {
    let keys = keys(&texts(5, 5));
    let mut table = SliceTable::new(&FULL, &TEMPLATE, ());
    count(&mut table, &keys, &mut Pool::default());
    let mut group = RowGroup::default();

    let (_, rows) = table.find(0, &keys, &Selection::Range(0..5), &mut group);

    rows.field::<u8>(0).set(0, 1);
}

#[test]
#[should_panic(expected = "is not within the 11 bytes of state")]
fn a_field_lies_within_the_state() {
    let mut buffer = StateBuffer::new(&TEMPLATE);
    buffer.reset(3);
    let mut group = RowGroup::default();

    buffer.rows(0..3, &mut group).field::<u64>(4);
}
