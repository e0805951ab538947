//! A connection to a broker.
//!
//! Owns: addresses, frames, versions of messages, and that answers belong to what was asked.
//! Never: tries again.
//!
//! Frames and headers: <https://kafka.apache.org/protocol>.

mod sasl;
mod tls;

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{ApiVersionsRequest, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, Request, StrBytes};

use crate::settings::{Family, Settings};

/// No answer is longer: the largest batch that a topic may take is smaller.
const FRAME_MAX: usize = 1 << 30;

/// Why a broker cannot be asked.
#[derive(Debug, thiserror::Error)]
#[error("{address}: {cause}")]
pub(crate) struct ConnectionError {
    pub(crate) address: String,
    pub(crate) cause: Cause,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Tls(String),
    #[error("{0}")]
    Sasl(String),
    #[error("{0}")]
    Secrets(String),
    #[error("an answer that is not one: {0}")]
    Answer(String),
    #[error("it does not speak {0}")]
    Version(&'static str),
}

/// A connection that is open, secured, and of which it is known what can be asked.
pub(crate) struct Connection {
    address: String,
    stream: Stream,
    /// The versions of each kind of message.
    versions: HashMap<i16, (i16, i16)>,
    client_id: StrBytes,
    asked: i32,
    out: BytesMut,
    /// When the broker will not believe any more who we are.
    ends: Option<Instant>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<tls::TlsStream>),
}

impl Connection {
    /// Connects to `host:port`. `opened` is told of the socket as soon as there is one, to be able to end it.
    pub(crate) fn open(
        address: &str,
        settings: &Settings,
        opened: impl FnOnce(&TcpStream),
    ) -> Result<Self, ConnectionError> {
        let fails = |cause: Cause| ConnectionError { address: address.to_owned(), cause };
        let security = (settings.security.0)().map_err(|cause| fails(Cause::Secrets(cause)))?;
        let socket = connect(address, settings).map_err(|error| fails(error.into()))?;
        opened(&socket);
        let stream = match &security.tls {
            None => Stream::Plain(socket),
            Some(tls) => {
                let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
                Stream::Tls(Box::new(tls::open(socket, host, tls).map_err(fails)?))
            }
        };
        let mut connection = Self {
            address: address.to_owned(),
            stream,
            versions: HashMap::new(),
            client_id: StrBytes::from_string(settings.client_id.clone()),
            asked: 0,
            out: BytesMut::new(),
            ends: None,
        };
        connection.learn_versions().map_err(fails)?;
        if let Some(sasl) = &security.sasl {
            connection.authenticate(sasl).map_err(fails)?;
        }
        Ok(connection)
    }

    /// The newest version of a message that both sides speak, but no newer than this.
    pub(crate) fn version<R: Request>(
        &self,
        name: &'static str,
        newest: i16,
    ) -> Result<i16, ConnectionError> {
        let (min, max) = self.versions.get(&R::KEY).copied().unwrap_or((0, -1));
        let newest = newest.min(R::VERSIONS.max).min(max);
        if newest < min.max(R::VERSIONS.min) {
            return Err(self.fails(Cause::Version(name)));
        }
        Ok(newest)
    }

    /// Whether another is to be opened: the broker would close this one soon.
    pub(crate) fn is_over(&self) -> bool {
        self.ends.is_some_and(|ends| Instant::now() >= ends)
    }

    /// Asks, and waits for the answer: that, and how many bytes it was.
    pub(crate) fn call<R: Request>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Result<(R::Response, usize), ConnectionError> {
        self.exchange(request, version).map_err(|cause| self.fails(cause))
    }

    fn fails(&self, cause: Cause) -> ConnectionError {
        ConnectionError { address: self.address.clone(), cause }
    }

    fn exchange<R: Request>(&mut self, request: &R, version: i16) -> Result<(R::Response, usize), Cause> {
        self.send(request, version)?;
        let mut frame = self.receive()?;
        let length = frame.len();
        Ok((decode::<R::Response>(&mut frame, version, self.asked)?, length))
    }

    fn send<R: Request>(&mut self, request: &R, version: i16) -> Result<(), Cause> {
        self.asked = self.asked.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.asked)
            .with_client_id(Some(self.client_id.clone()));
        self.out.clear();
        self.out.put_i32(0);
        header.encode(&mut self.out, R::header_version(version)).map_err(answer)?;
        request.encode(&mut self.out, version).map_err(answer)?;
        let length = i32::try_from(self.out.len() - 4).map_err(answer)?;
        self.out[..4].copy_from_slice(&length.to_be_bytes());
        self.stream.write_all(&self.out)?;
        self.stream.flush()?;
        Ok(())
    }

    fn receive(&mut self) -> Result<Bytes, Cause> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).map_err(silence)?;
        let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > FRAME_MAX {
            return Err(Cause::Answer(
                "its length is wrong; is this a Kafka listener of the right kind?".into(),
            ));
        }
        let mut frame = Vec::with_capacity(length);
        (&mut self.stream).take(length as u64).read_to_end(&mut frame).map_err(silence)?;
        if frame.len() < length {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(frame.into())
    }

    /// Brokers that do not know our version of the question answer in the oldest.
    fn learn_versions(&mut self) -> Result<(), Cause> {
        const NEWEST: i16 = 3;
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("streamjob"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        self.send(&request, NEWEST)?;
        let mut frame = self.receive()?;
        let unsupported = frame.get(4..6) == Some(&ResponseError::UnsupportedVersion.code().to_be_bytes());
        let answer = if unsupported {
            self.exchange(&ApiVersionsRequest::default(), 0)?.0
        } else {
            decode::<<ApiVersionsRequest as Request>::Response>(&mut frame, NEWEST, self.asked)?
        };
        if let Some(error) = ResponseError::try_from_code(answer.error_code) {
            return Err(Cause::Answer(error.to_string()));
        }
        let spoken = answer.api_keys.iter().map(|key| (key.api_key, (key.min_version, key.max_version)));
        self.versions = spoken.collect();
        Ok(())
    }
}

fn decode<R: Message + Decodable + HeaderVersion>(
    frame: &mut Bytes,
    version: i16,
    asked: i32,
) -> Result<R, Cause> {
    let header = ResponseHeader::decode(frame, R::header_version(version)).map_err(answer)?;
    if header.correlation_id != asked {
        return Err(Cause::Answer("it belongs to another question".into()));
    }
    R::decode(frame, version).map_err(answer)
}

fn answer(error: impl ToString) -> Cause {
    Cause::Answer(error.to_string())
}

/// A read that timed out says so in the system's words, which say nothing.
fn silence(error: io::Error) -> io::Error {
    let kind = error.kind();
    if matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
        return io::Error::new(io::ErrorKind::TimedOut, "no answer came in time");
    }
    if kind == io::ErrorKind::UnexpectedEof {
        return io::Error::new(kind, "it closed the connection");
    }
    error
}

fn connect(address: &str, settings: &Settings) -> io::Result<TcpStream> {
    let wanted = |found: &SocketAddr| match settings.family {
        Family::Any => true,
        Family::V4 => found.is_ipv4(),
        Family::V6 => found.is_ipv6(),
    };
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
    for found in address.to_socket_addrs()?.filter(wanted) {
        match TcpStream::connect_timeout(&found, settings.connect_timeout) {
            Ok(stream) => {
                set_up(&stream, settings)?;
                return Ok(stream);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn set_up(stream: &TcpStream, settings: &Settings) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(settings.answer_timeout))?;
    stream.set_write_timeout(Some(settings.answer_timeout))?;
    let socket = socket2::SockRef::from(stream);
    socket.set_keepalive(settings.keepalive)?;
    if let Some(bytes) = settings.receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    if let Some(bytes) = settings.send_buffer {
        socket.set_send_buffer_size(bytes)?;
    }
    Ok(())
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(bytes),
            Self::Tls(stream) => stream.read(bytes),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
