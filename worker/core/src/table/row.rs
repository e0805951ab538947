//! The layout of a row: state, length of the key, key.
//!
//! Owns: writing a row, reading and comparing its key.
//! Never: finds a row.

use std::ptr::NonNull;

/// Keys at least this long have their length in 4 bytes after this one.
const LONG: usize = 255;

/// Bytes of a row whose state is `width` bytes.
#[inline]
pub(super) fn row_bytes(width: usize, key: &[u8]) -> usize {
    width + if key.len() < LONG { 1 } else { 5 } + key.len()
}

/// Writes a new row.
///
/// # Safety
/// `row` is valid for writes of `row_bytes(template.len(), key)` bytes that nothing else uses meanwhile.
#[inline]
pub(super) unsafe fn write(row: NonNull<u8>, template: &[u8], key: &[u8]) {
    // SAFETY: all writes lie within the row (promise of the caller), which neither slice overlaps.
    unsafe {
        row.copy_from_nonoverlapping(NonNull::from(template).cast(), template.len());
        let mut at = row.add(template.len());
        if key.len() < LONG {
            at.write(key.len() as u8);
            at = at.add(1);
        } else {
            at.write(LONG as u8);
            let length = u32::try_from(key.len()).expect("a key is shorter than 4 GB");
            at.add(1).cast::<u32>().write_unaligned(length);
            at = at.add(5);
        }
        at.copy_from_nonoverlapping(NonNull::from(key).cast(), key.len());
    }
}

/// The key of a row.
///
/// # Safety
/// `row` was written by [`write`] with a template of `width` bytes, and stays valid and unchanged in its key
/// during `'a`.
#[inline]
pub(super) unsafe fn key<'a>(row: NonNull<u8>, width: usize) -> &'a [u8] {
    // SAFETY: `write` put length and key there (promise of the caller).
    unsafe {
        let at = row.add(width);
        let short = at.read() as usize;
        if short < LONG {
            return std::slice::from_raw_parts(at.add(1).as_ptr(), short);
        }
        let length = at.add(1).cast::<u32>().read_unaligned() as usize;
        std::slice::from_raw_parts(at.add(5).as_ptr(), length)
    }
}

/// Whether two keys are the same. Most are a few words long, and most that are compared are the same.
#[inline]
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    let length = a.len();
    if length != b.len() {
        return false;
    }
    if length > 32 {
        return a == b;
    }
    if length >= 8 {
        let last = length - 8;
        let mut at = 0;
        while at < last {
            if word(a, at) != word(b, at) {
                return false;
            }
            at += 8;
        }
        return word(a, last) == word(b, last);
    }
    a.iter().zip(b).all(|(a, b)| a == b)
}

#[inline]
fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
