//! Messages on a stream of bytes: length, then the message.
//!
//! Owns: where one message ends and the next begins.
//! Never: trusts a length: memory is taken as bytes arrive.

use std::io::{self, ErrorKind, Read, Write};

/// The longest message: a checkpoint with many windows is long, garbage would be longer.
const BYTES_MAX: u32 = 256 << 20;

/// Writes one message.
pub(super) fn write(to: &mut impl Write, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).ok().filter(|&length| length <= BYTES_MAX);
    let Some(length) = length else {
        let text = format!("a message of {} bytes is longer than {BYTES_MAX}", message.len());
        return Err(io::Error::new(ErrorKind::InvalidInput, text));
    };
    to.write_all(&length.to_be_bytes())?;
    to.write_all(message)?;
    to.flush()
}

/// Reads one message into `message`, replacing what is there; `false` at the end of the stream.
pub(super) fn read(from: &mut impl Read, message: &mut Vec<u8>) -> io::Result<bool> {
    message.clear();
    from.by_ref().take(4).read_to_end(message)?;
    let length = match message.as_slice() {
        [] => return Ok(false),
        &[a, b, c, d] => u32::from_be_bytes([a, b, c, d]),
        cut => return Err(cut_short(cut.len())),
    };
    if length > BYTES_MAX {
        let text = format!("a message claims {length} bytes, more than {BYTES_MAX}");
        return Err(io::Error::new(ErrorKind::InvalidData, text));
    }
    message.clear();
    from.by_ref().take(u64::from(length)).read_to_end(message)?;
    if message.len() < length as usize {
        return Err(cut_short(message.len()));
    }
    Ok(true)
}

fn cut_short(bytes: usize) -> io::Error {
    io::Error::new(ErrorKind::UnexpectedEof, format!("a message ended after {bytes} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_as_they_went_in_and_then_the_stream_ends() {
        let mut stream = Vec::new();
        for message in [&b"one"[..], b"", b"three"] {
            write(&mut stream, message).expect("room");
        }
        let mut from = stream.as_slice();
        let (mut message, mut all) = (Vec::new(), Vec::new());

        while read(&mut from, &mut message).expect("whole") {
            all.push(String::from_utf8(message.clone()).expect("text"));
        }

        assert_eq!(stream[..7], *b"\0\0\0\x03one");
        assert_eq!(all, ["one", "", "three"]);
    }

    #[test]
    fn a_stream_that_ends_within_a_message_is_an_error() {
        let mut stream = Vec::new();
        write(&mut stream, b"one").expect("room");

        for length in 1..stream.len() {
            let error = read(&mut &stream[..length], &mut Vec::new()).expect_err("cut short");
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "at {length}");
        }
    }

    #[test]
    fn a_length_that_no_message_has_is_refused_without_taking_memory() {
        let mut message = Vec::new();

        let error = read(&mut &[0xff, 0xff, 0xff, 0xff, 1][..], &mut message).expect_err("too long");

        assert_eq!(error.to_string(), "a message claims 4294967295 bytes, more than 268435456");
        assert!(message.capacity() < 1_024);
    }
}
