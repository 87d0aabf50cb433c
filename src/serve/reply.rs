//! The answers that the gateway gives itself: refusals, and what is said when an upstream could not answer. Short, in
//! words, with the request's id, so that a caller can name it and an operator find it.

use crate::buf::Block;
use crate::http::Refusal;
use crate::http::forward::Server;
use crate::http::head::Version;
use crate::http::identity::Identity;
use crate::http::status;
use crate::observe::ended::Cause;
use crate::serve::conn::Client;
use crate::serve::h1::Fate;
use crate::serve::tally::Facts;
use crate::serve::tally::Running;
use crate::serve::tally::Tally;
use crate::shard::Shard;
use crate::wire::h1::NoRequest;

/// What to answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a> {
    /// Why.
    pub(crate) cause: Cause,
    /// The status, if not the table's.
    pub(crate) status: u16,
    /// What exactly was wrong, in words; may be empty.
    pub(crate) detail: &'a str,
    /// Whether the connection ends with it.
    pub(crate) close: bool,
    /// Whether the request was HEAD: then the head alone goes.
    pub(crate) head_only: bool,
    /// Where to ask instead; empty for nowhere.
    pub(crate) location: &'a str,
}

impl<'a> Answer<'a> {
    /// The table's answer to a cause.
    pub(crate) fn to(cause: Cause, detail: &'a str) -> Self {
        Self { cause, status: cause.row().status, detail, close: false, head_only: false, location: "" }
    }
}

/// Answers a request whose head could not be read, and says how to end the connection. It is an exchange like any other
/// in log and metrics.
pub(crate) async fn refuse_head(shard: &Shard, client: &mut Client<'_>, reason: NoRequest) -> Fate {
    let _running = Running::begin(&shard.slab);
    let tally = Tally::begin(shard, None);
    let answer = match reason {
        NoRequest::Ended | NoRequest::Aborted => None,
        NoRequest::TimedOut => Some(Answer::to(Cause::ClientTimeoutHead, "")),
        NoRequest::Refused(refusal) => Some(refused(refusal)),
    };
    let cause = answer.map_or(Cause::ClientAbort, |answer| answer.cause);
    if let Some(answer) = answer {
        send(shard, client, &tally, Answer { close: true, ..answer }).await;
    }
    let generation = shard.generation();
    let listener = generation.listener(client.seat.place.listener);
    let identity = Identity::unheard(client.seat.peer);
    let facts = Facts { generation: &generation, listener, identity, route: None, understood: false };
    tally.finish(shard, client, &facts, tally.ended(cause));
    if answer.is_some() { Fate::Linger } else { Fate::Close }
}

/// The answer to a request that breaks a rule.
pub(crate) fn refused(refusal: Refusal) -> Answer<'static> {
    let cause = match refusal.status() {
        414 => Cause::TargetTooLong,
        417 | 501 => Cause::NotImplemented,
        431 => Cause::HeadTooLarge,
        505 => Cause::BadVersion,
        _ => Cause::BadRequest,
    };
    Answer { status: refusal.status(), ..Answer::to(cause, refusal.words()) }
}

/// Sends an answer. Whether the client takes it is of no interest: there is nothing else to do for it.
pub(crate) async fn send(shard: &Shard, client: &mut Client<'_>, tally: &Tally, answer: Answer<'_>) {
    let mut out = Block::with_room(2000);
    let generation = shard.generation();
    let listener = generation.listener(client.seat.place.listener);
    let server: [&[u8]; 2] = match listener.map_or(Server::Pass, |listener| listener.settings.server.field()) {
        Server::Set(server) => [b"\r\nServer: ", server],
        Server::Pass | Server::Off => [b"", b""],
    };
    let version = client.request.view(client.inbound.bytes()).version();
    let connection: &[u8] = match (answer.close, version) {
        (true, _) => b"\r\nConnection: close",
        (false, Version::Http10) => b"\r\nConnection: keep-alive",
        (false, Version::Http11) => b"",
    };
    let later: &[u8] = match answer.cause {
        Cause::UpstreamOverloaded | Cause::QueueTimeout | Cause::Overloaded => b"\r\nRetry-After: 1",
        _ => b"",
    };
    // Each behind its CRLF, as `write` has them.
    let (crlf, hsts): (&[u8], &[u8]) = match client.seat.hsts(listener) {
        [line @ .., b'\r', b'\n'] => (b"\r\n", line),
        _ => (b"", b""),
    };
    let place: &[u8] = if answer.location.is_empty() { b"" } else { b"\r\nLocation: " };
    let more = [server[0], server[1], later, place, answer.location.as_bytes(), crlf, hsts, connection];
    write(out.tail(), tally.id.as_bytes(), &shard.date(), &more, answer);
    tally.status.set(answer.status);
    let patience = listener.map_or(PATIENCE, |listener| listener.settings.body_timeout);
    let size = out.len() as u64;
    if client.seat.line.write(&mut out, patience).await.is_ok() {
        tally.bytes_out.set(tally.bytes_out.get() + size);
    }
}

/// Time to take an answer where no listener says another.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// `more` are further field lines, each behind its CRLF.
fn write(out: &mut Vec<u8>, id: &[u8], date: &[u8], more: &[&[u8]], answer: Answer<'_>) {
    let row = answer.cause.row();
    let reason = status::reason(answer.status);
    let code = answer.status.to_string();
    let mut body = Vec::with_capacity(256);
    for part in [code.as_bytes(), b" ", reason.as_bytes(), b"\n", row.word.as_bytes(), b": ", row.words.as_bytes()] {
        body.extend_from_slice(part);
    }
    if !answer.detail.is_empty() {
        body.extend_from_slice(b": ");
        body.extend_from_slice(answer.detail.as_bytes());
    }
    body.extend_from_slice(b"\nrequest id: ");
    body.extend_from_slice(id);
    body.push(b'\n');
    let length = body.len().to_string();
    for part in [
        b"HTTP/1.1 ",
        code.as_bytes(),
        b" ",
        reason.as_bytes(),
        b"\r\nDate: ",
        date,
        b"\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ",
        length.as_bytes(),
        b"\r\nX-Request-Id: ",
        id,
    ] {
        out.extend_from_slice(part);
    }
    more.iter().for_each(|part| out.extend_from_slice(part));
    out.extend_from_slice(b"\r\n\r\n");
    if !answer.head_only {
        out.extend_from_slice(&body);
    }
}
