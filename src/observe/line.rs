//! One access log line, as JSON or in the combined format: bytes in, bytes out. It refuses to know where lines go.
//!
//! Invariant: whatever a client sends, a line ends in its one newline and holds no other control character, so nothing
//! that is sent can pose as a line of its own or speak to a terminal.

mod date;
mod text;

use std::net::SocketAddr;

use crate::address::Peer;
use crate::model::LogFormat;
use crate::observe::ended::Ended;

/// One exchange, as it is written down. The fields are those of a `Record`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Microseconds of Unix time.
    pub time_us: u64,
    /// Microseconds.
    pub duration_us: u64,
    /// Microseconds; 0 without a response head.
    pub upstream_us: u64,
    /// Microseconds.
    pub queue_us: u64,
    /// Head and body.
    pub bytes_in: u64,
    /// Head and body.
    pub bytes_out: u64,
    /// Why it ended.
    pub ended: Ended,
    /// 0 for none.
    pub status: u16,
    /// Attempts made.
    pub attempts: u32,
    /// The client's address; port 0 where it is not known.
    pub client: Peer,
    /// The listener's name.
    pub listener: Text<'a>,
    /// The request's id.
    pub request_id: Text<'a>,
    /// Empty if no head was understood.
    pub method: Text<'a>,
    /// As received.
    pub host: Text<'a>,
    /// As received.
    pub target: Text<'a>,
    /// Empty if no head was understood.
    pub protocol: Text<'a>,
    /// Empty for none.
    pub route: Text<'a>,
    /// Empty for none.
    pub upstream: Text<'a>,
    /// Empty for none.
    pub endpoint: Text<'a>,
    /// Empty for none.
    pub user_agent: Text<'a>,
    /// Empty for none.
    pub referer: Text<'a>,
    /// Empty: in the open.
    pub tls: Text<'a>,
    /// Empty for none.
    pub certificate: Text<'a>,
}

/// Bytes as received, not necessarily UTF-8.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text<'a> {
    /// What was kept.
    pub bytes: &'a [u8],
    /// Whether more had come than was kept; shown as an ellipsis.
    pub cut: bool,
}

/// Appends a line, its newline included.
pub fn write(out: &mut Vec<u8>, format: LogFormat, line: &Line<'_>) {
    match format {
        LogFormat::Json => json(out, line),
        LogFormat::Combined => combined(out, line),
    }
}

/// Appends a line as one JSON object. Absent strings are empty; bytes that are not UTF-8 read as Latin-1.
pub fn json(out: &mut Vec<u8>, line: &Line<'_>) {
    let row = line.ended.cause.row();
    out.extend_from_slice(b"{\"time\":\"");
    date::rfc3339(out, line.time_us);
    out.push(b'"');
    json_text(out, ",\"request_id\":", line.request_id);
    out.extend_from_slice(b",\"client\":\"");
    match line.client {
        Peer::Ip(client) => text::address(out, client),
        Peer::Unix => out.extend_from_slice(b"unix:"),
    }
    out.push(b'"');
    json_text(out, ",\"listener\":", line.listener);
    json_text(out, ",\"method\":", line.method);
    json_text(out, ",\"host\":", line.host);
    json_text(out, ",\"path\":", line.target);
    json_text(out, ",\"protocol\":", line.protocol);
    json_number(out, ",\"status\":", line.status.into());
    json_text(out, ",\"route\":", line.route);
    json_text(out, ",\"upstream\":", line.upstream);
    json_text(out, ",\"endpoint\":", line.endpoint);
    json_number(out, ",\"attempts\":", line.attempts.into());
    json_word(out, ",\"ended\":\"", row.word);
    json_word(out, ",\"who\":\"", row.who.word());
    json_word(out, ",\"phase\":\"", line.ended.phase.word());
    json_number(out, ",\"duration_us\":", line.duration_us);
    json_number(out, ",\"upstream_us\":", line.upstream_us);
    json_number(out, ",\"queue_us\":", line.queue_us);
    json_number(out, ",\"bytes_in\":", line.bytes_in);
    json_number(out, ",\"bytes_out\":", line.bytes_out);
    json_text(out, ",\"user_agent\":", line.user_agent);
    json_text(out, ",\"referer\":", line.referer);
    if !line.tls.bytes.is_empty() {
        json_text(out, ",\"tls\":", line.tls);
    }
    if !line.certificate.bytes.is_empty() {
        json_text(out, ",\"client_certificate\":", line.certificate);
    }
    out.extend_from_slice(b"}\n");
}

/// Appends a line in the combined format of Apache httpd and nginx, escaped as nginx escapes. The size is that of the
/// whole response, its head included.
pub fn combined(out: &mut Vec<u8>, line: &Line<'_>) {
    match line.client {
        Peer::Ip(SocketAddr::V4(client)) => text::ipv4(out, *client.ip()),
        Peer::Ip(SocketAddr::V6(client)) => text::ipv6(out, *client.ip()),
        Peer::Unix => out.extend_from_slice(b"unix:"),
    }
    out.extend_from_slice(b" - - [");
    date::combined(out, line.time_us);
    out.extend_from_slice(b"] \"");
    if line.method.bytes.is_empty() && line.target.bytes.is_empty() {
        out.push(b'-');
    } else {
        text::escape_combined(out, line.method);
        out.push(b' ');
        text::escape_combined(out, line.target);
        out.push(b' ');
        text::escape_combined(out, line.protocol);
    }
    out.extend_from_slice(b"\" ");
    text::digits(out, line.status.into(), 3);
    out.push(b' ');
    text::number(out, line.bytes_out);
    out.extend_from_slice(b" \"");
    combined_text(out, line.referer);
    out.extend_from_slice(b"\" \"");
    combined_text(out, line.user_agent);
    out.extend_from_slice(b"\"\n");
}

fn combined_text(out: &mut Vec<u8>, text: Text<'_>) {
    if text.bytes.is_empty() {
        out.push(b'-');
    } else {
        text::escape_combined(out, text);
    }
}

fn json_text(out: &mut Vec<u8>, key: &str, text: Text<'_>) {
    out.extend_from_slice(key.as_bytes());
    out.push(b'"');
    text::escape_json(out, text);
    out.push(b'"');
}

fn json_word(out: &mut Vec<u8>, key_and_quote: &str, word: &str) {
    out.extend_from_slice(key_and_quote.as_bytes());
    out.extend_from_slice(word.as_bytes());
    out.push(b'"');
}

fn json_number(out: &mut Vec<u8>, key: &str, number: u64) {
    out.extend_from_slice(key.as_bytes());
    text::number(out, number);
}

#[cfg(test)]
mod tests;
