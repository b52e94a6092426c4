//! HTTP/1.1, as much as a hub needs: requests, answers, connections that are used again.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Range;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::content::Content;

/// The most bytes of a request's head.
const MOST_HEAD: u64 = 64 << 10;

/// A request. Bodies are read and forgotten.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// `GET`, `HEAD`, ...
    pub(crate) method: String,
    /// The path as it was sent, without the query.
    pub(crate) path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
}

impl Request {
    /// The next request of a connection; none where the client hung up.
    pub(crate) fn read(reader: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
        let mut head = reader.take(MOST_HEAD);
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_ascii_whitespace();
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Err(io::Error::other("not a request"));
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Self {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect(),
            headers: Vec::new(),
        };
        loop {
            let mut line = String::new();
            head.read_line(&mut line)?;
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
        let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        io::copy(&mut reader.take(length), &mut io::sink())?;
        Ok(Some(request))
    }

    /// A header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// A parameter of the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// All of a parameter that may be repeated.
    pub(crate) fn parameters<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The query but for one parameter, as it is written in an address.
    pub(crate) fn query_without(&self, name: &str) -> String {
        let rest = self.query.iter().filter(|(key, _)| key != name);
        rest.map(|(key, value)| format!("{}={}&", encode(key), encode(value))).collect()
    }

    /// The path's parts, decoded: a revision may hold an encoded slash.
    pub(crate) fn parts(&self) -> Vec<String> {
        self.path.split('/').skip(1).map(decode).collect()
    }

    /// The range that is asked for, of a file of `size` bytes. `Some(None)` where it cannot be had.
    pub(crate) fn range(&self, size: u64) -> Option<Option<Range<u64>>> {
        let (start, end) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        let start: u64 = start.parse().ok()?;
        let end = end.parse::<u64>().map_or(size, |last| last.saturating_add(1).min(size));
        Some((start < end).then_some(start..end))
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
}

#[derive(Debug)]
pub(crate) enum Body {
    Bytes(Vec<u8>),
    /// A range of a file.
    Part(Content, Range<u64>),
    /// A JSON list without end.
    Endless,
}

impl Response {
    /// With no body.
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Body::Bytes(Vec::new()) }
    }

    /// A JSON text.
    pub(crate) fn json(status: u16, value: &Value) -> Self {
        let body = Body::Bytes(value.to_string().into_bytes());
        Self { status, headers: Vec::new(), body }.header("Content-Type", "application/json; charset=utf-8")
    }

    /// With a header.
    #[must_use]
    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// How an answer is sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conduct {
    /// Bytes a second.
    pub(crate) rate: Option<u64>,
    /// The connection closes after so many bytes of the body.
    pub(crate) drop_after: Option<u64>,
    /// Nothing comes after so many bytes of the body.
    pub(crate) stall_after: Option<u64>,
    /// A byte of the file that is changed.
    pub(crate) wrong_byte: Option<u64>,
    /// So many bytes more than there are, or fewer.
    pub(crate) excess: i64,
}

/// Sends an answer and tells `sent` of each piece of the body. False where the connection is at its end.
pub(crate) fn send(
    stream: &mut TcpStream,
    head_only: bool,
    response: Response,
    conduct: &Conduct,
    mut sent: impl FnMut(u64),
) -> io::Result<bool> {
    let length = match &response.body {
        Body::Bytes(bytes) => Some(bytes.len() as u64),
        Body::Part(_, range) => Some(range.end - range.start),
        Body::Endless => None,
    };
    let length = length.map(|length| length.saturating_add_signed(conduct.excess));
    let mut head = format!("HTTP/1.1 {} {}\r\n", response.status, reason(response.status));
    for (name, value) in &response.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    match length {
        Some(length) => head.push_str(&format!("Content-Length: {length}\r\n\r\n")),
        None => head.push_str("Transfer-Encoding: chunked\r\n\r\n"),
    }
    stream.write_all(head.as_bytes())?;
    if head_only {
        return Ok(true);
    }
    let (mut reader, start): (Box<dyn io::Read + Send>, u64) = match response.body {
        Body::Bytes(bytes) => (Box::new(io::Cursor::new(bytes)), 0),
        Body::Part(content, range) => {
            (Box::new(content.reader(range.start)?.take(range.end - range.start)), range.start)
        }
        Body::Endless => return send_endless(stream, sent),
    };
    let length = length.unwrap_or(0);
    // Twenty pieces a second are smooth enough.
    let piece = conduct.rate.map_or(256 << 10, |rate| (rate / 20).clamp(1, 256 << 10));
    let mut buffer = vec![0; piece as usize];
    let mut done = 0;
    while done < length {
        if conduct.stall_after.is_some_and(|limit| done >= limit) {
            wait_for_the_end(stream);
            return Ok(false);
        }
        if conduct.drop_after.is_some_and(|limit| done >= limit) {
            return Ok(false);
        }
        let limits = [conduct.drop_after, conduct.stall_after].into_iter().flatten();
        let most = limits.fold(piece.min(length - done), |most, limit| most.min(limit - done)) as usize;
        let mut count = reader.read(&mut buffer[..most])?;
        if count == 0 {
            // What is more than the file has.
            buffer[..most].fill(0);
            count = most;
        }
        if let Some(at) = conduct.wrong_byte.and_then(|at| at.checked_sub(start + done))
            && at < count as u64
        {
            buffer[at as usize] ^= 0x20;
        }
        stream.write_all(&buffer[..count])?;
        done += count as u64;
        sent(count as u64);
        if let Some(rate) = conduct.rate {
            thread::sleep(Duration::from_secs_f64(count as f64 / rate as f64));
        }
    }
    Ok(true)
}

/// Blocks until the client or the server's end closes the connection.
pub(crate) fn wait_for_the_end(stream: &mut TcpStream) {
    while matches!(stream.read(&mut [0; 256]), Ok(count) if count > 0) {}
}

fn send_endless(stream: &mut TcpStream, mut sent: impl FnMut(u64)) -> io::Result<bool> {
    let items = r#"{"path": "more", "size": 1},"#.repeat(2_000);
    stream.write_all(b"1\r\n[\r\n")?;
    loop {
        stream.write_all(format!("{:x}\r\n{items}\r\n", items.len()).as_bytes())?;
        sent(items.len() as u64);
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        302 => "Found",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Other",
    }
}

fn pair(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    (decode(&name.replace('+', " ")), decode(&value.replace('+', " ")))
}

/// Percent-encodings undone.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = (*first == b'%').then(|| tail.get(..2)).flatten();
        let code = code.and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match code {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// As it may stand in a part of a path or in a query.
pub(crate) fn encode(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    text.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
