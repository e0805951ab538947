//! Compressed batches.
//!
//! Owns: what each of Kafka's codecs is called and how it is framed.
//! Never: lets a batch grow without bound.

use std::io::Read;

use bytes::Bytes;

use super::Damaged;

/// More than any topic takes as one batch: a batch that says more is damaged.
const EXPANDED_MAX: usize = 1 << 30;
/// Snappy's blocks follow this, in Java's framing: <https://github.com/xerial/snappy-java>.
const XERIAL: &[u8] = &[0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
/// With two versions of four bytes.
const XERIAL_HEADER: usize = 16;

/// What a batch's records are when its codec is undone.
pub(super) fn expand(bytes: Bytes, codec: i16) -> Result<Bytes, Damaged> {
    let guess = bytes.len().saturating_mul(4).min(1 << 22);
    let expanded = match codec {
        0 => return Ok(bytes),
        1 => read(flate2::read::MultiGzDecoder::new(&bytes[..]), guess),
        2 => snappy(&bytes),
        3 => read(lz4_flex::frame::FrameDecoder::new(&bytes[..]), guess),
        4 => zstd::stream::read::Decoder::with_buffer(&bytes[..]).and_then(|decoder| read(decoder, guess)),
        other => {
            return Err(Damaged::new(format!(
                "its batch is compressed by codec {other}, which is not known"
            )));
        }
    };
    let name = ["", "gzip", "snappy", "lz4", "zstd"][usize::from(codec.unsigned_abs())];
    expanded
        .map(Bytes::from)
        .map_err(|error| Damaged::new(format!("its batch cannot be expanded by {name}: {error}")))
}

fn read(from: impl Read, guess: usize) -> std::io::Result<Vec<u8>> {
    let mut expanded = Vec::with_capacity(guess);
    from.take(EXPANDED_MAX as u64 + 1).read_to_end(&mut expanded)?;
    if expanded.len() > EXPANDED_MAX {
        return Err(std::io::Error::other("it is longer than 1 GiB"));
    }
    Ok(expanded)
}

fn snappy(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut decoder = snap::raw::Decoder::new();
    if !bytes.starts_with(XERIAL) {
        check_snappy(bytes)?;
        return Ok(decoder.decompress_vec(bytes)?);
    }
    let mut expanded = Vec::new();
    let mut rest = bytes.get(XERIAL_HEADER..).unwrap_or_default();
    while let Some((length, behind)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        let block = behind.get(..length).ok_or(std::io::ErrorKind::UnexpectedEof)?;
        check_snappy(block)?;
        expanded.extend(decoder.decompress_vec(block)?);
        if expanded.len() > EXPANDED_MAX {
            return Err(std::io::Error::other("it is longer than 1 GiB"));
        }
        rest = &behind[length..];
    }
    Ok(expanded)
}

fn check_snappy(block: &[u8]) -> std::io::Result<()> {
    if snap::raw::decompress_len(block)? > EXPANDED_MAX {
        return Err(std::io::Error::other("it is longer than 1 GiB"));
    }
    Ok(())
}
