//! Records of a batch, in place.
//!
//! Owns: varints, and where key, value and headers of a record lie.
//! Never: copies a record.

use super::{Batch, Damaged};

/// Where a record lies in its batch.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    offset_delta: i32,
    timestamp_delta: i64,
    key: Part,
    value: Part,
    headers: Part,
}

/// Bytes of a batch, or null.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: u32,
    /// Below zero: null. Of headers: up to the end of the record.
    length: i32,
}

/// A record.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    batch: &'a Batch,
    place: Place,
}

impl Batch {
    /// The place of the record that begins `at` so many bytes, which moves on behind it. To be asked as often as the batch
    /// has records.
    ///
    /// # Errors
    /// There is no whole record.
    pub fn place(&self, at: &mut usize) -> Result<Place, Damaged> {
        let mut bytes = Reader { bytes: &self.records, at: *at };
        let length = bytes.length()?;
        let end = bytes.at.checked_add(length).filter(|end| *end <= self.records.len()).ok_or_else(cut)?;
        bytes.bytes = &self.records[..end];
        bytes.skip(1)?;
        let timestamp_delta = bytes.varint()?;
        let offset_delta = i32::try_from(bytes.varint()?).map_err(|_| cut())?;
        let (key, value) = (bytes.part()?, bytes.part()?);
        let headers = Part {
            start: u32::try_from(bytes.at).map_err(|_| cut())?,
            length: i32::try_from(end - bytes.at).map_err(|_| cut())?,
        };
        *at = end;
        Ok(Place { offset_delta, timestamp_delta, key, value, headers })
    }

    /// The record of a place in this batch.
    pub fn record(&self, place: Place) -> Record<'_> {
        Record { batch: self, place }
    }

    fn part(&self, part: Part) -> Option<&[u8]> {
        let length = usize::try_from(part.length).ok()?;
        let start = part.start as usize;
        Some(&self.records[start..start + length])
    }
}

impl<'a> Record<'a> {
    /// Its offset.
    pub fn offset(&self) -> u64 {
        let offset = self.batch.base_offset.saturating_add(i64::from(self.place.offset_delta));
        u64::try_from(offset).unwrap_or(0)
    }

    /// Epoch milliseconds; `None`: it has none.
    pub fn timestamp_ms(&self) -> Option<i64> {
        let written = self.batch.base_timestamp.saturating_add(self.place.timestamp_delta);
        Some(self.batch.append_timestamp.unwrap_or(written)).filter(|timestamp| *timestamp != -1)
    }

    /// `None`: it is null.
    pub fn key(&self) -> Option<&'a [u8]> {
        self.batch.part(self.place.key)
    }

    /// `None`: it is null.
    pub fn value(&self) -> Option<&'a [u8]> {
        self.batch.part(self.place.value)
    }

    /// The value of the last header of this name: `None` if there is none, or if it is null.
    ///
    /// # Errors
    /// The headers are not what was written.
    pub fn header(&self, name: &str) -> Result<Option<&'a [u8]>, Damaged> {
        let headers = self.batch.part(self.place.headers).unwrap_or_default();
        let mut bytes = Reader { bytes: headers, at: 0 };
        let mut found = None;
        for _ in 0..bytes.length()? {
            let length = bytes.length()?;
            let key = bytes.take(length)?;
            let value = match bytes.part()? {
                Part { length, .. } if length < 0 => None,
                Part { start, length } => Some(&headers[start as usize..][..length.unsigned_abs() as usize]),
            };
            if key == name.as_bytes() {
                found = value;
            }
        }
        Ok(found)
    }
}

/// Bytes that are read from the front.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    #[inline]
    fn varint(&mut self) -> Result<i64, Damaged> {
        let first = *self.bytes.get(self.at).ok_or_else(cut)?;
        self.at += 1;
        let mut value = u64::from(first & 0x7f);
        let mut byte = first;
        let mut shift = 7;
        while byte & 0x80 != 0 {
            byte = *self.bytes.get(self.at).filter(|_| shift < 64).ok_or_else(cut)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
        }
        // Zigzag: the sign is the last bit.
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    fn length(&mut self) -> Result<usize, Damaged> {
        usize::try_from(self.varint()?).map_err(|_| cut())
    }

    #[inline]
    fn part(&mut self) -> Result<Part, Damaged> {
        let length = i32::try_from(self.varint()?).map_err(|_| cut())?;
        let start = u32::try_from(self.at).map_err(|_| cut())?;
        if length > 0 {
            self.skip(length.unsigned_abs() as usize)?;
        }
        Ok(Part { start, length })
    }

    fn skip(&mut self, length: usize) -> Result<(), Damaged> {
        self.take(length).map(drop)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Damaged> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len()).ok_or_else(cut)?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }
}

#[cold]
fn cut() -> Damaged {
    Damaged::new("a record is cut, or its length is wrong")
}
