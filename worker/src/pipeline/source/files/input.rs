//! The bytes of a file, decompressed as they are read.
//!
//! Owns: telling gzip and zstd from plain bytes, and counting what is taken from storage.
//! Never: holds more than a decompressor's window.

use std::fs::File;
use std::io::{self, BufReader, Chain, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use zstd::stream::read::Decoder as ZstdDecoder;

use crate::pipeline::records::SourceError;

const GZIP: &[u8] = &[0x1F, 0x8B];
const ZSTD: &[u8] = &[0x28, 0xB5, 0x2F, 0xFD];

/// An open file.
pub(super) enum Input {
    Plain(Counted),
    Gzip(Box<MultiGzDecoder<BufReader<Counted>>>),
    Zstd(Box<ZstdDecoder<'static, BufReader<Counted>>>),
}

/// A file whose first bytes were looked at, and the number of bytes read from it.
pub(super) struct Counted {
    file: Chain<Cursor<Vec<u8>>, File>,
    bytes: u64,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

impl Input {
    /// Opens a file. Its content decides how it is decompressed; a name that ends in `.gz` or `.zst` must be true.
    pub(super) fn open(path: &Path) -> Result<Self, SourceError> {
        let error = |source| SourceError::Open { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(error)?;
        let mut magic = Vec::new();
        file.by_ref().take(4).read_to_end(&mut magic).map_err(error)?;
        let (gzip, zstd) = (magic.starts_with(GZIP), magic.starts_with(ZSTD));
        let named =
            |extension: &str| path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension));
        for (extension, is, expected) in [("gz", gzip, "gzip"), ("zst", zstd, "zstd")] {
            if named(extension) && !is && !magic.is_empty() {
                return Err(SourceError::Compression { path: path.to_owned(), expected });
            }
        }
        let counted = Counted { file: Cursor::new(magic).chain(file), bytes: 0 };
        if gzip {
            return Ok(Self::Gzip(Box::new(MultiGzDecoder::new(BufReader::new(counted)))));
        }
        if zstd {
            let decoder = ZstdDecoder::with_buffer(BufReader::new(counted)).map_err(error)?;
            return Ok(Self::Zstd(Box::new(decoder)));
        }
        Ok(Self::Plain(counted))
    }

    /// Goes to a place in the content. False: that cannot be done without reading up to it, or the file ends before it.
    pub(super) fn seek(&mut self, byte: u64) -> io::Result<bool> {
        let counted = match self {
            Self::Plain(counted) => counted,
            Self::Gzip(_) | Self::Zstd(_) => return Ok(false),
        };
        let (magic, file) = counted.file.get_mut();
        if byte > file.metadata()?.len() {
            return Ok(false);
        }
        magic.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(byte))?;
        counted.bytes = byte;
        Ok(true)
    }

    /// Bytes before the next one in the file, compressed ones if it is.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Plain(file) => file.bytes,
            Self::Gzip(decoder) => decoder.get_ref().get_ref().bytes,
            Self::Zstd(decoder) => decoder.get_ref().get_ref().bytes,
        }
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}
