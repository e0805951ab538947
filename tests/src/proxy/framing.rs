//! Where a request or an answer ends.
//!
//! Owns: HTTP/1.1 heads and bodies; Kafka's length-prefixed frames.
//! Never: understands more than it takes to tell one from the next, and what is asked.

use std::io::{self, Read};
use std::net::TcpStream;

/// What is spoken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    /// HTTP/1.1, without pipelining.
    Http,
    /// Four bytes of length, then that much; answers in the order of requests, each with one.
    Kafka,
}

/// A whole request.
pub struct Request {
    bytes: Vec<u8>,
    framing: Framing,
}

impl Request {
    pub(super) fn new(bytes: Vec<u8>, framing: Framing) -> Self {
        Self { bytes, framing }
    }

    /// As it came.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// HTTP: the lines before the body.
    pub fn head(&self) -> &str {
        let end = find(&self.bytes, b"\r\n\r\n").unwrap_or(0);
        std::str::from_utf8(&self.bytes[..end]).unwrap_or_default()
    }

    /// HTTP: method and target.
    pub fn line(&self) -> &str {
        self.head().lines().next().unwrap_or_default()
    }

    /// HTTP: whether it creates an object that must not exist.
    pub fn is_conditional_put(&self) -> bool {
        self.line().starts_with("PUT ") && self.head().to_ascii_lowercase().contains("if-none-match:")
    }

    /// Kafka: which call it is (0 Produce, 1 Fetch, 3 Metadata, 22 InitProducerId, 24 AddPartitionsToTxn, 26 EndTxn).
    pub fn api_key(&self) -> Option<i16> {
        let key = self.bytes.get(4..6).filter(|_| self.framing == Framing::Kafka)?;
        Some(i16::from_be_bytes([key[0], key[1]]))
    }

    /// What it is, in a few words.
    pub fn name(&self) -> String {
        let line = || self.line().trim_end_matches(" HTTP/1.1").to_owned();
        self.api_key().map_or_else(line, |key| match key {
            0 => "Produce".to_owned(),
            1 => "Fetch".to_owned(),
            2 => "ListOffsets".to_owned(),
            3 => "Metadata".to_owned(),
            10 => "FindCoordinator".to_owned(),
            22 => "InitProducerId".to_owned(),
            24 => "AddPartitionsToTxn".to_owned(),
            26 => "EndTxn".to_owned(),
            other => format!("call {other}"),
        })
    }

    pub(super) fn has_no_body_in_answer(&self) -> bool {
        self.framing == Framing::Http && self.line().starts_with("HEAD ")
    }
}

/// Reads one after another.
pub(super) struct Reader {
    stream: Option<TcpStream>,
    framing: Framing,
    waiting: Vec<u8>,
}

impl Reader {
    pub(super) fn new(stream: io::Result<TcpStream>, framing: Framing) -> Self {
        Self { stream: stream.ok(), framing, waiting: Vec::new() }
    }

    /// The next request; `None` at the end.
    pub(super) fn request(&mut self) -> Option<Vec<u8>> {
        self.next(false)
    }

    /// The next answer; to some requests it is a head alone.
    pub(super) fn answer(&mut self, no_body: bool) -> Option<Vec<u8>> {
        self.next(no_body)
    }

    fn next(&mut self, no_body: bool) -> Option<Vec<u8>> {
        loop {
            let length = match self.framing {
                Framing::Http => http_length(&self.waiting, no_body),
                Framing::Kafka => kafka_length(&self.waiting),
            };
            if let Some(length) = length.filter(|length| *length <= self.waiting.len()) {
                let rest = self.waiting.split_off(length);
                return Some(std::mem::replace(&mut self.waiting, rest));
            }
            let mut bytes = [0; 65_536];
            let read = self.stream.as_mut()?.read(&mut bytes).unwrap_or(0);
            if read == 0 {
                return None;
            }
            self.waiting.extend_from_slice(&bytes[..read]);
        }
    }
}

/// How long the message is that these bytes begin with; `None`: its head is not complete yet.
fn http_length(bytes: &[u8], no_body: bool) -> Option<usize> {
    let body = find(bytes, b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..body]).to_ascii_lowercase();
    if no_body || head.starts_with("http/1.1 204") || head.starts_with("http/1.1 304") {
        return Some(body);
    }
    if head.contains("\r\ntransfer-encoding: chunked") {
        return Some(body + find(&bytes[body..], b"0\r\n\r\n")? + 5);
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    Some(body + length.unwrap_or(0))
}

fn kafka_length(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(..4)?;
    let length = u32::from_be_bytes([length[0], length[1], length[2], length[3]]);
    Some(4 + length as usize)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
