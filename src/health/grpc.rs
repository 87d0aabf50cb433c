//! `grpc.health.v1.Health/Check` over HTTP/2. Its two messages are so small that they are read and written by
//! hand. It refuses to know who is asked.

use std::io;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use crate::health::Said;
use crate::health::probe::Stream;
use crate::health::probe::Verdict;
use crate::health::probe::fault;
use crate::health::talk::Fault;
use crate::health::talk::Question;
use crate::health::talk::Reply;
use crate::health::talk::Talk;

/// A connection on which one can ask again.
pub(super) struct Channel {
    stream: Stream,
    talk: Talk,
}

/// Who is asked for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) authority: &'a str,
    /// An empty name asks for the server as a whole.
    pub(super) service: &'a str,
    /// Whether the connection is.
    pub(super) secure: bool,
}

/// Why there is no answer.
enum Broken {
    /// The connection ended.
    Ended,
    Io(io::Error),
    Talk(Fault),
    /// It could not be asked.
    IllFormed,
}

/// Asks over a new connection that begins with `opening`. It can be used again if the answer has come whole.
pub(super) async fn ask(stream: Stream, opening: Vec<u8>, asked: Asked<'_>) -> (Verdict, Option<Channel>) {
    let mut channel = Channel { stream, talk: Talk::new(opening) };
    match channel.converse(asked).await {
        Ok(verdict) => (verdict, channel.kept()),
        Err(broken) => (broken.verdict(), None),
    }
}

impl Channel {
    /// Asks once more; nothing if the connection has died meanwhile, or does while it is asked, which says nothing of the
    /// endpoint.
    pub(super) async fn ask(mut self, asked: Asked<'_>) -> Option<(Verdict, Option<Self>)> {
        let verdict = self.converse(asked).await.ok()?;
        Some((verdict, self.kept()))
    }

    fn kept(self) -> Option<Self> {
        self.talk.is_open().then_some(self)
    }

    async fn converse(&mut self, asked: Asked<'_>) -> Result<Verdict, Broken> {
        let Asked { authority, service, secure } = asked;
        let question = Question { secure, authority, path: "/grpc.health.v1.Health/Check", message: &message(service) };
        if !self.talk.ask(&question) {
            return Err(Broken::IllFormed);
        }
        let mut block = Vec::with_capacity(BLOCK);
        loop {
            let said = self.talk.say();
            if !said.is_empty() {
                self.stream.write_all(&said).await?;
            }
            block.clear();
            if self.stream.read_buf(&mut block).await? == 0 {
                return Err(Broken::Ended);
            }
            if self.talk.hear(&block).map_err(Broken::Talk)? {
                break;
            }
        }
        // What it has asked in its turn does not wait for the next check, and is no part of this one.
        let said = self.talk.say();
        if !said.is_empty() && self.stream.write_all(&said).await.is_err() {
            self.talk.end();
        }
        Ok(judge(&self.talk.reply()))
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Broken {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Ended => Verdict::Bad("the connection broke: it ended before an answer".into()),
            Self::Io(error) => fault("the connection broke", error),
            Self::Talk(fault @ Fault::Words(_)) => {
                Verdict::Bad(format!("what it sends is not HTTP/2 as it should be: {fault}"))
            }
            Self::Talk(fault) => Verdict::Bad(fault.to_string()),
            Self::IllFormed => Verdict::Bad("the check's own request would be ill-formed".into()),
        }
    }
}

fn judge(reply: &Reply) -> Verdict {
    if reply.status != 200 {
        return Verdict::Bad(format!("status {}", reply.status));
    }
    match reply.code.as_ref().map(|(code, message)| (code.as_str(), message.as_str())) {
        None => Verdict::Bad("the response has no grpc-status".into()),
        Some(("0", _)) => match serving(&reply.body) {
            Some(1) => Verdict::Good(Said::Serving),
            Some(0) => Verdict::Bad("it says UNKNOWN".into()),
            Some(2) => Verdict::Bad("it says NOT_SERVING".into()),
            Some(3) => Verdict::Bad("it says SERVICE_UNKNOWN".into()),
            Some(other) => Verdict::Bad(format!("it says {other}, which means nothing")),
            None => Verdict::Bad("the response is no HealthCheckResponse".into()),
        },
        Some(("5", _)) => Verdict::Bad("it does not know the service (grpc-status 5)".into()),
        Some(("12", _)) => Verdict::Bad("it has no health service (grpc-status 12)".into()),
        Some((code, message)) => {
            let code: String = code.chars().take(8).collect();
            Verdict::Bad(format!("grpc-status {code} {message}").trim_end().to_owned())
        }
    }
}

/// A `HealthCheckRequest`, as gRPC frames it.
fn message(service: &str) -> Vec<u8> {
    let mut inner = Vec::new();
    if !service.is_empty() {
        inner.push(0x0a); // field 1, a string
        let mut length = service.len();
        while length >= 0x80 {
            inner.push(0x80 | (length & 0x7f) as u8);
            length >>= 7;
        }
        inner.push(length as u8);
        inner.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(inner.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend(inner);
    framed
}

/// The `status` of a framed `HealthCheckResponse`; none if it is none.
fn serving(framed: &[u8]) -> Option<u64> {
    let (prefix, mut rest) = framed.split_at_checked(5)?;
    let length = u32::from_be_bytes(prefix.get(1..)?.try_into().ok()?);
    // A compressed message was not asked for.
    if prefix.first() != Some(&0) || u32::try_from(rest.len()) != Ok(length) {
        return None;
    }
    let mut status = 0; // what is not there is 0
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        match (key >> 3, key & 7) {
            (1, 0) => status = varint(&mut rest)?,
            (_, 0) => drop(varint(&mut rest)?),
            (_, 1) => rest = rest.get(8..)?,
            (_, 2) => {
                let skip = usize::try_from(varint(&mut rest)?).ok()?;
                rest = rest.get(skip..)?;
            }
            (_, 5) => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in 0..10 {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << (7 * shift);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Bytes read at once.
const BLOCK: usize = 1024;

#[cfg(test)]
#[path = "grpc_tests.rs"]
mod tests;
