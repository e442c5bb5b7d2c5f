//! A kept HTTP/1.1 connection: one request at a time, its body sent from several places in memory.

use std::io::{self, IoSlice};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MAX_HEADERS: usize = 64;

pub(crate) struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// The answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) body: Vec<u8>,
    /// Whether the connection can be used again.
    pub(crate) keep: bool,
}

#[derive(Default)]
struct Head {
    status: u16,
    location: Option<String>,
    length: Option<usize>,
    chunked: bool,
    close: bool,
    bytes: usize,
}

impl Connection {
    pub(crate) async fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: Vec::with_capacity(64 << 10),
        })
    }

    /// Whether the server has not closed the connection meanwhile.
    pub(crate) fn is_open(&self) -> bool {
        let waiting = self.stream.try_read(&mut [0]);
        matches!(waiting, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends the parts of a request and receives the answer.
    pub(crate) async fn request(&mut self, parts: &[&[u8]]) -> io::Result<Answer> {
        let sent = self.send(parts).await;
        match self.receive().await {
            // A server that refuses a request early may have closed its side while the body was sent.
            Err(error) => Err(sent.err().unwrap_or(error)),
            Ok(mut answer) => {
                answer.keep &= sent.is_ok();
                Ok(answer)
            }
        }
    }

    async fn send(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let mut slices = Vec::from_iter(parts.iter().map(|part| IoSlice::new(part)));
        let mut left = &mut slices[..];
        IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match self.stream.write_vectored(left).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                sent => IoSlice::advance_slices(&mut left, sent),
            }
        }
        Ok(())
    }

    async fn receive(&mut self) -> io::Result<Answer> {
        self.received.clear();
        let head = loop {
            if let Some(head) = parse(&self.received)? {
                if head.status != 100 {
                    break head;
                }
                self.received.drain(..head.bytes);
            } else {
                self.more().await?;
            }
        };
        let mut keep = !head.close;
        let body = if head.chunked {
            self.chunks(head.bytes).await?
        } else if let Some(length) = head.length {
            while self.received.len() < head.bytes + length {
                self.more().await?;
            }
            self.received[head.bytes..head.bytes + length].to_vec()
        } else if matches!(head.status, 204 | 304) {
            Vec::new()
        } else {
            keep = false;
            self.stream.read_to_end(&mut self.received).await?;
            self.received[head.bytes..].to_vec()
        };
        Ok(Answer {
            status: head.status,
            location: head.location,
            body,
            keep,
        })
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.received).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// The body of an answer in chunks; trailers are not expected.
    async fn chunks(&mut self, mut at: usize) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let parsed = httparse::parse_chunk_size(&self.received[at..]);
            let parsed = parsed.map_err(|_| invalid("a chunk has no size"))?;
            let httparse::Status::Complete((line, length)) = parsed else {
                self.more().await?;
                continue;
            };
            let start = at + line;
            let length = usize::try_from(length).map_err(|_| invalid("a chunk is too long"))?;
            while self.received.len() < start + length + 2 {
                self.more().await?;
            }
            body.extend_from_slice(&self.received[start..start + length]);
            at = start + length + 2;
            if length == 0 {
                return Ok(body);
            }
        }
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// The head of an answer, once all of it has arrived.
fn parse(received: &[u8]) -> io::Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(received);
    let parsed = parsed.map_err(|error| invalid(&format!("not an HTTP answer: {error}")))?;
    let httparse::Status::Complete(bytes) = parsed else {
        return Ok(None);
    };
    let mut head = Head {
        status: response.code.unwrap_or(0),
        close: response.version == Some(0),
        bytes,
        ..Head::default()
    };
    for header in response.headers {
        let value = str::from_utf8(header.value).unwrap_or_default().trim();
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            head.length = value.parse().ok();
        } else if is("location") {
            head.location = Some(value.to_owned());
        } else if is("transfer-encoding") {
            head.chunked = value.eq_ignore_ascii_case("chunked");
        } else if is("connection") {
            head.close = value.eq_ignore_ascii_case("close");
        }
    }
    Ok(Some(head))
}
