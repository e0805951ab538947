//! The headers of a record, as bytes.
//!
//! Owns: their layout: for each its name and its value, both with their length in front.
//! Never: orders them or drops one.

/// The length of a value that is null.
const NULL: u32 = u32::MAX;

/// Appends a header.
///
/// # Panics
/// If its name or value has 4 GiB or more.
pub fn put_header(out: &mut Vec<u8>, name: &str, value: Option<&[u8]>) {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).ok().filter(|&length| length != NULL);
    let short = "a record is shorter than 4 GiB";
    out.extend(length(name.as_bytes()).expect(short).to_le_bytes());
    out.extend(name.as_bytes());
    out.extend(value.map_or(NULL, |value| length(value).expect(short)).to_le_bytes());
    out.extend(value.unwrap_or_default());
}

/// The headers that [`put_header`] has written one after another: names and values.
pub fn headers(bytes: &[u8]) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (header, behind) = first(rest)?;
        rest = behind;
        Some(header)
    })
}

/// Whether they are headers to the last byte.
pub(super) fn are_headers(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some((_, behind)) = first(rest) {
        rest = behind;
    }
    rest.is_empty()
}

type Header<'a> = (&'a str, Option<&'a [u8]>);

fn first(bytes: &[u8]) -> Option<(Header<'_>, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (name, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    let (length, rest) = rest.split_first_chunk()?;
    let (value, rest) = match u32::from_le_bytes(*length) {
        NULL => (None, rest),
        length => rest.split_at_checked(length as usize).map(|(value, rest)| (Some(value), rest))?,
    };
    Some(((std::str::from_utf8(name).ok()?, value), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_in_their_order_and_a_cut_or_a_foreign_byte_is_seen() {
        let mut bytes = Vec::new();
        for (name, value) in [("trace", Some("t1")), ("", Some("")), ("trace", None)] {
            put_header(&mut bytes, name, value.map(str::as_bytes));
        }

        let found: Vec<_> = headers(&bytes).collect();

        assert_eq!(found, [("trace", Some(b"t1".as_slice())), ("", Some(b"")), ("trace", None)]);
        let whole: Vec<usize> = (0..=bytes.len()).filter(|&end| are_headers(&bytes[..end])).collect();
        assert_eq!(whole, [0, 15, 23, 36]);
        bytes[4] = 0xff;
        assert!(!are_headers(&bytes));
    }
}
