//! HTTP/1 messages as the tests read them: a strict parser of its own, so that the gateway's parser is not its own judge.
//! What breaks a rule is an error with a sentence, never a guess.

use std::fmt;
use std::io;
use std::io::Read;

/// One request as an origin received it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// As received.
    pub method: String,
    /// As received.
    pub target: String,
    /// `HTTP/1.1`.
    pub version: String,
    /// In the order received, names in their own case.
    pub fields: Vec<(String, String)>,
    /// Without its framing.
    pub body: Vec<u8>,
    /// Trailer fields of a chunked body.
    pub trailers: Vec<(String, String)>,
    /// Whether head and body arrived to their end.
    pub complete: bool,
}

/// One response as a client received it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// Of the final response.
    pub status: u16,
    /// The words behind the status.
    pub reason: String,
    /// In the order received, names in their own case.
    pub fields: Vec<(String, String)>,
    /// Without its framing.
    pub body: Vec<u8>,
    /// Trailer fields of a chunked body.
    pub trailers: Vec<(String, String)>,
    /// The 1xx responses before it: status and fields.
    pub interim: Vec<(u16, Vec<(String, String)>)>,
    /// Its bytes on the wire, interim responses included.
    pub wire_bytes: usize,
}

/// Why a message could not be read.
#[derive(Debug)]
pub enum Broken {
    /// The stream ended cleanly before the first byte.
    Closed,
    /// The stream ended, or was reset, within the message; with what was being read.
    Cut(String),
    /// No byte came for the patience of the test.
    Late(String),
    /// The message breaks a rule.
    Rule(String),
}

/// A stream with what was read of it and not yet used.
pub struct Incoming<S> {
    /// The stream.
    pub stream: S,
    pending: Vec<u8>,
    /// All bytes ever taken.
    pub taken: usize,
}

impl Request {
    /// The value of a field; empty if there is none. Panics if there are several.
    #[track_caller]
    pub fn field(&self, name: &str) -> &str {
        one(&self.fields, name)
    }

    /// Every value of a field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        all(&self.fields, name)
    }

    /// The body as text.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }
}

impl Response {
    /// The value of a field; empty if there is none. Panics if there are several.
    #[track_caller]
    pub fn field(&self, name: &str) -> &str {
        one(&self.fields, name)
    }

    /// Every value of a field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        all(&self.fields, name)
    }

    /// The body as text.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }

    /// Whether the connection is to be closed after it.
    pub fn closes(&self) -> bool {
        self.all("connection").iter().any(|value| value.eq_ignore_ascii_case("close"))
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => write!(out, "the stream ended before the first byte"),
            Self::Cut(words) => write!(out, "the stream ended {words}"),
            Self::Late(words) => write!(out, "{words}"),
            Self::Rule(words) => write!(out, "against the rules: {words}"),
        }
    }
}

impl<S: Read> Incoming<S> {
    /// Nothing read yet.
    pub fn new(stream: S) -> Self {
        Self { stream, pending: Vec::new(), taken: 0 }
    }

    /// Whether every byte read has been used.
    pub fn is_drained(&self) -> bool {
        self.pending.is_empty()
    }

    /// The next request, head alone.
    pub fn request_head(&mut self) -> Result<Request, Broken> {
        let lines = self.head()?;
        let words: Vec<&str> = lines[0].split(' ').collect();
        let &[method, target, version] = words.as_slice() else { return rule(format!("request line {:?}", lines[0])) };
        let (method, target, version) = (method.to_owned(), target.to_owned(), version.to_owned());
        Ok(Request { method, target, version, fields: fields(&lines[1..])?, ..Request::default() })
    }

    /// Reads the body into the request.
    pub fn request_body(&mut self, request: &mut Request) -> Result<(), Broken> {
        match framing(&request.fields)? {
            Framing::None => {}
            Framing::Length(length) => self.exactly(length, &mut request.body)?,
            Framing::Chunked => request.trailers = self.chunks(&mut request.body)?,
        }
        request.complete = true;
        Ok(())
    }

    /// The next response, interim ones included; `bodiless` if it answers HEAD.
    pub fn response(&mut self, bodiless: bool) -> Result<Response, Broken> {
        let mut response = self.response_head()?;
        self.response_body(&mut response, bodiless)?;
        Ok(response)
    }

    /// The next final response without its body.
    pub fn response_head(&mut self) -> Result<Response, Broken> {
        let mut response = Response::default();
        let before = self.taken;
        loop {
            let lines = self.head().map_err(|broken| within(broken, !response.interim.is_empty()))?;
            let (status, reason) = status_line(&lines[0])?;
            let fields = fields(&lines[1..])?;
            if (100..200).contains(&status) && status != 101 {
                if framing(&fields)? != Framing::None {
                    return rule(format!("a {status} response with a body"));
                }
                response.interim.push((status, fields));
                continue;
            }
            (response.status, response.reason, response.fields) = (status, reason, fields);
            response.wire_bytes = self.taken - before;
            return Ok(response);
        }
    }

    /// Reads the body into the response.
    pub fn response_body(&mut self, response: &mut Response, bodiless: bool) -> Result<(), Broken> {
        let before = self.taken;
        let framing = framing(&response.fields)?;
        if matches!(response.status, 101 | 204) && framing != Framing::None {
            return rule(format!("a {} response with framing fields", response.status));
        }
        if !bodiless && !matches!(response.status, 101 | 204 | 304) {
            match framing {
                Framing::None => self.until_close(&mut response.body)?,
                Framing::Length(length) => self.exactly(length, &mut response.body)?,
                Framing::Chunked => response.trailers = self.chunks(&mut response.body)?,
            }
        }
        response.wire_bytes += self.taken - before;
        Ok(())
    }

    /// Everything up to the end of the stream.
    pub fn until_close(&mut self, into: &mut Vec<u8>) -> Result<(), Broken> {
        loop {
            self.taken += self.pending.len();
            into.append(&mut self.pending);
            if !self.fill("the end of the stream")? {
                return Ok(());
            }
        }
    }

    /// At least one more byte, whatever is there.
    pub fn some(&mut self) -> Result<Vec<u8>, Broken> {
        if self.pending.is_empty() && !self.fill("some bytes")? {
            return Err(Broken::Closed);
        }
        self.taken += self.pending.len();
        Ok(std::mem::take(&mut self.pending))
    }

    /// The lines of a head, without CRLF.
    fn head(&mut self) -> Result<Vec<String>, Broken> {
        let first = match self.line() {
            Err(Broken::Cut(_)) if self.pending.is_empty() => return Err(Broken::Closed),
            other => other?,
        };
        let mut lines = vec![first];
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(lines);
            }
            lines.push(line);
        }
    }

    /// The next line, without its CRLF.
    pub fn line(&mut self) -> Result<String, Broken> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.pending[searched..].iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = self.pending.drain(..=searched + at).collect();
                self.taken += line.len();
                line.pop();
                if line.pop() != Some(b'\r') || line.contains(&b'\r') || line.contains(&0) {
                    return rule(format!("a line with bare CR, bare LF or NUL: {:?}", String::from_utf8_lossy(&line)));
                }
                return Ok(line.iter().map(|byte| char::from(*byte)).collect());
            }
            searched = self.pending.len();
            if !self.fill("a line")? {
                return Err(Broken::Cut(format!("within a line, after {:?}", String::from_utf8_lossy(&self.pending))));
            }
        }
    }

    /// So many bytes.
    pub fn exactly(&mut self, length: usize, into: &mut Vec<u8>) -> Result<(), Broken> {
        let whole = into.len() + length;
        loop {
            let take = (whole - into.len()).min(self.pending.len());
            into.extend(self.pending.drain(..take));
            self.taken += take;
            if into.len() == whole {
                return Ok(());
            }
            if !self.fill("a body")? {
                return Err(Broken::Cut(format!("after {} of {whole} bytes of body", into.len())));
            }
        }
    }

    fn chunks(&mut self, into: &mut Vec<u8>) -> Result<Vec<(String, String)>, Broken> {
        loop {
            let line = self.line()?;
            let hex = !line.is_empty() && line.len() <= 8 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
            if !hex {
                return rule(format!("chunk size {line:?}"));
            }
            let size = usize::from_str_radix(&line, 16).expect("eight hexadecimal digits");
            if size == 0 {
                break;
            }
            self.exactly(size, into)?;
            if !self.line()?.is_empty() {
                return rule("a chunk longer than its size".into());
            }
        }
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return fields(&lines);
            }
            lines.push(line);
        }
    }

    /// Reads more; false at the end of the stream.
    fn fill(&mut self, what: &str) -> Result<bool, Broken> {
        let mut piece = [0; 16 * 1024];
        let n = loop {
            match self.stream.read(&mut piece) {
                Ok(n) => break n,
                Err(fault) if fault.kind() == io::ErrorKind::Interrupted => {}
                Err(fault) if matches!(fault.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    let so_far = String::from_utf8_lossy(&self.pending);
                    return Err(Broken::Late(format!("waited in vain for {what}, after {so_far:?}")));
                }
                Err(fault) => return Err(Broken::Cut(format!("with {fault}, while waiting for {what}"))),
            }
        };
        self.pending.extend_from_slice(&piece[..n]);
        Ok(n > 0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    None,
    Length(usize),
    Chunked,
}

/// RFC 9112 §6.3, without mercy: two answers are none.
fn framing(fields: &[(String, String)]) -> Result<Framing, Broken> {
    let lengths = all(fields, "content-length");
    let codings = all(fields, "transfer-encoding");
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Ok(Framing::None),
        ([length], []) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
            length.parse().map(Framing::Length).or_else(|_| rule(format!("Content-Length {length}")))
        }
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
        _ => rule(format!("Content-Length {lengths:?} and Transfer-Encoding {codings:?}")),
    }
}

fn status_line(line: &str) -> Result<(u16, String), Broken> {
    let parts = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.split_once(' '));
    let Some((status, reason)) = parts else { return rule(format!("status line {line:?}")) };
    match status.parse() {
        Ok(number @ 100..600) if status.len() == 3 => Ok((number, reason.to_owned())),
        _ => rule(format!("status line {line:?}")),
    }
}

fn fields(lines: &[String]) -> Result<Vec<(String, String)>, Broken> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let mut fields = Vec::new();
    for line in lines {
        match line.split_once(':') {
            Some((name, value)) if !name.is_empty() && name.bytes().all(token) => {
                fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
            }
            _ => return rule(format!("field line {line:?}")),
        }
    }
    Ok(fields)
}

fn all<'a>(fields: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
}

#[track_caller]
fn one<'a>(fields: &'a [(String, String)], name: &str) -> &'a str {
    let values = all(fields, name);
    assert!(values.len() < 2, "{name} stands {} times: {values:?}", values.len());
    values.first().copied().unwrap_or_default()
}

/// An end that would be clean is a cut once part of the message has come.
fn within(broken: Broken, begun: bool) -> Broken {
    if begun && matches!(broken, Broken::Closed) { Broken::Cut("after an interim response".into()) } else { broken }
}

fn rule<T>(words: String) -> Result<T, Broken> {
    Err(Broken::Rule(words))
}
