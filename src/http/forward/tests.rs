//! What goes on of a message, byte for byte.

use proptest::prelude::*;

use super::*;
use crate::address::Peer;
use crate::http::framing;
use crate::http::head::HeadLimits;
use crate::http::head::Parse;
use crate::http::head::RequestHead;
use crate::http::head::ResponseHead;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 8192, fields: 50, target_bytes: 4096 };

fn forwarded(bytes: &[u8]) -> Vec<u8> {
    going_on(bytes, b"")
}

/// The same with the protocols that it may go on with.
fn going_on(bytes: &[u8], upgrade: &[u8]) -> Vec<u8> {
    let mut head = RequestHead::default();
    assert_eq!(head.parse(bytes, &LIMITS), Ok(Parse::Whole), "{:?}", String::from_utf8_lossy(bytes));
    let request = head.view(bytes);
    let mut out = Vec::new();
    let marks = Marks::of(Peer::Ip("192.0.2.1:7".parse().unwrap()), Some(8080), "http");
    let hop = Hop { marks: &marks, trusted: false, request_id: b"an-id", authority: b"up.example", anew: &[], upgrade };
    encode_request(&mut out, request, framing::request(request).unwrap(), &hop);
    out
}

/// What a GET without a body has at its end.
fn own(via: &str, host: &str) -> String {
    let quote = if host.contains(':') { "\"" } else { "" };
    format!(
        "Via: {via} ringway\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 8080\r\n\
         Forwarded: for=192.0.2.1;host={quote}{host}{quote};proto=http\r\nX-Forwarded-Host: {host}\r\n\
         X-Request-Id: an-id\r\n\r\n"
    )
}

#[test]
fn one_connection_field_says_what_is_of_this_hop() {
    let asks = b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nUpgrade: websocket\r\nConnection: TE, Upgrade\r\n\r\n";
    for (upgrade, end) in [
        (&b""[..], "TE: trailers\r\nConnection: TE\r\n\r\n"),
        (b"websocket", "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
    ] {
        let head = String::from_utf8(going_on(asks, upgrade)).unwrap();
        assert!(head.ends_with(end) && head.matches("Connection:").count() == 1, "{head}");
        assert_eq!(head.contains("TE:"), upgrade.is_empty(), "{head}");
    }
}

#[test]
fn request_fields_that_go_on() {
    for (fields, kept) in [
        ("", ""),
        // Order, case and bytes; blanks around a value are brought to one before and none behind.
        ("x-B: 1\r\nX-a:  2 \r\nx-B:3\r\nX-C: \u{e4}\tz\r\n", "x-B: 1\r\nX-a: 2\r\nx-B: 3\r\nX-C: \u{e4}\tz\r\n"),
        (
            "Cookie: a\r\nCookie: b\r\nAuthorization: c\r\nUser-Agent: d\r\nReferer: e\r\nDate: f\r\n",
            "Cookie: a\r\nCookie: b\r\nAuthorization: c\r\nUser-Agent: d\r\nReferer: e\r\nDate: f\r\n",
        ),
        // Of one hop.
        ("Connection: keep-alive\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nTE: gzip\r\n", ""),
        ("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n", ""),
        ("Connection: X-SECRET ,x-more\r\nX-Secret: 1\r\nX-More: 2\r\nX-Most: 3\r\n", "X-Most: 3\r\n"),
        ("X-Secret: 1\r\nConnection: close\r\nConnection: x-secret\r\n", ""),
        ("Connection: cookie, authorization\r\nCookie: a\r\nAuthorization: b\r\n", ""),
        // What a nomination cannot strip.
        (
            "Connection: host, via, max-forwards, x-request-id, x-forwarded-for\r\nVia: 1.1 z\r\nMax-Forwards: 4\r\n",
            "Via: 1.1 z\r\nMax-Forwards: 4\r\n",
        ),
        ("Connection: expect\r\nExpect: 100-continue\r\n", "Expect: 100-continue\r\n"),
        // What the client may not say of itself.
        (
            "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 1\r\n",
            "",
        ),
        ("X-Real-IP: 6.6.6.6\r\nX_Real_IP: 6.6.6.6\r\nX-Forwarded-Prefix: /evil\r\nx-forwarded_ssl: on\r\n", ""),
        ("Forwarded: for=6.6.6.6\r\nX-Request-Id: theirs\r\nProxy: http://evil/\r\n", ""),
        ("X_Forwarded_For: 6.6.6.6\r\nContent_Length: 9\r\nx_other: 1\r\n", "x_other: 1\r\n"),
        // Vias before ours are kept.
        ("Via: 1.0 z\r\nX: y\r\n", "Via: 1.0 z\r\nX: y\r\n"),
        ("Max-Forwards: 0\r\n", "Max-Forwards: 0\r\n"),
    ] {
        let out = forwarded(format!("GET /p?q HTTP/1.1\r\nhost: A.example:80\r\n{fields}\r\n").as_bytes());
        let host = "A.example:80";
        let wanted = format!("GET /p?q HTTP/1.1\r\nHost: {host}\r\n{kept}{}", own("1.1", host));
        assert_eq!(String::from_utf8_lossy(&out), wanted, "{fields:?}");
    }
}

#[test]
fn request_lines_and_hosts() {
    for (head, line, host, via) in [
        ("GET http://b HTTP/1.1\r\nHost: b\r\n", "GET / HTTP/1.1", "b", "1.1"),
        ("GET http://b?q HTTP/1.1\r\nHost: b\r\n", "GET /?q HTTP/1.1", "b", "1.1"),
        ("GET HTTP://B:81/x?q HTTP/1.1\r\nHost: b:81\r\n", "GET /x?q HTTP/1.1", "B:81", "1.1"),
        ("OPTIONS * HTTP/1.1\r\nHost: b\r\n", "OPTIONS * HTTP/1.1", "b", "1.1"),
        ("OPTIONS http://b HTTP/1.1\r\nHost: b\r\n", "OPTIONS * HTTP/1.1", "b", "1.1"),
        ("OPTIONS http://b/ HTTP/1.1\r\nHost: b\r\n", "OPTIONS / HTTP/1.1", "b", "1.1"),
        ("get //x/../%2f HTTP/1.9\r\nHost: b\r\n", "get //x/../%2f HTTP/1.1", "b", "1.1"),
        ("GET / HTTP/1.0\r\n", "GET / HTTP/1.1", "up.example", "1.0"),
        ("GET / HTTP/1.0\r\nHost: b\r\nExpect: 100-continue\r\n", "GET / HTTP/1.1", "b", "1.0"),
        ("GET / HTTP/1.1\r\nHost:\r\n", "GET / HTTP/1.1", "up.example", "1.1"),
        ("CONNECT b:443 HTTP/1.1\r\nHost: b\r\n", "CONNECT b:443 HTTP/1.1", "b:443", "1.1"),
        ("CONNECT [::1]:443 HTTP/1.0\r\n", "CONNECT [::1]:443 HTTP/1.1", "[::1]:443", "1.0"),
    ] {
        let out = forwarded(format!("{head}\r\n").as_bytes());
        let wanted = format!("{line}\r\nHost: {host}\r\n{}", own(via, host));
        assert_eq!(String::from_utf8_lossy(&out), wanted, "{head:?}");
    }
}

#[test]
fn request_framing_is_our_own() {
    for (fields, written) in [
        ("Content-Length:  007\r\n", "Content-Length: 7\r\n"),
        ("Content-Length: 18446744073709551615\r\n", "Content-Length: 18446744073709551615\r\n"),
        ("Content-Length: 0\r\nConnection: content-length\r\n", "Content-Length: 0\r\n"),
        ("Transfer-Encoding: CHUNKED\r\nConnection: transfer-encoding\r\n", "Transfer-Encoding: chunked\r\n"),
    ] {
        let out = forwarded(format!("POST / HTTP/1.1\r\nHost: b\r\n{fields}\r\n").as_bytes());
        let wanted = format!("POST / HTTP/1.1\r\nHost: b\r\n{written}{}", own("1.1", "b"));
        assert_eq!(String::from_utf8_lossy(&out), wanted);
    }
    let out = forwarded(b"OPTIONS / HTTP/1.1\r\nHost: b\r\nmax-Forwards: 10\r\n\r\n");
    assert!(String::from_utf8_lossy(&out).contains("\r\nmax-Forwards: 9\r\n"));
}

fn answered(text: &str, framing: Framing, close: bool, client_version: Version) -> String {
    let mut head = ResponseHead::default();
    assert_eq!(head.parse(text.as_bytes(), &LIMITS), Ok(Parse::Whole), "{text:?}");
    let server = Server::Pass;
    let answer = Answer {
        framing,
        close,
        client_version,
        request_id: b"an-id",
        date: b"NOW",
        server,
        kept: [""; 2],
        added: b"",
    };
    let mut out = Vec::new();
    encode_response(&mut out, head.view(text.as_bytes()), &answer);
    String::from_utf8_lossy(&out).into_owned()
}

#[test]
fn responses_that_go_on() {
    use Framing as F;
    let dated = "Date: THEN\r\n";
    for (head, framing, written) in [
        (
            "1.1 200 Very Fine\r\nX:y\r\nx-A: \tb\r\n",
            F::Length(5),
            "200 Very Fine\r\nX: y\r\nx-A: b\r\nContent-Length: 5\r\nDate: NOW\r\n",
        ),
        ("1.0 404\r\nDate: THEN\r\n", F::Chunked, "404 \r\nDate: THEN\r\nTransfer-Encoding: chunked\r\n"),
        (
            "1.1 200 OK\r\nDate: THEN\r\nContent-Length: 5\r\n",
            F::Length(5),
            "200 OK\r\nDate: THEN\r\nContent-Length: 5\r\n",
        ),
        // HEAD and 304 tell the length of what they do not bring; 204 has none.
        ("1.1 200 OK\r\nDate: THEN\r\nContent-Length: 5\r\n", F::None, "200 OK\r\nDate: THEN\r\nContent-Length: 5\r\n"),
        ("1.1 304 N\r\nDate: THEN\r\nContent-Length: 5\r\n", F::None, "304 N\r\nDate: THEN\r\nContent-Length: 5\r\n"),
        ("1.1 204 N\r\nDate: THEN\r\nContent-Length: 5\r\n", F::None, "204 N\r\nDate: THEN\r\n"),
        ("1.1 200 OK\r\nDate: THEN\r\nTransfer-Encoding: chunked\r\n", F::None, "200 OK\r\nDate: THEN\r\n"),
        // Of one hop.
        (
            "1.1 200 OK\r\nDate: THEN\r\nConnection: x-p, date\r\nX-P: 1\r\nKeep-Alive: 1\r\nUpgrade: h\r\nProxy-Connection: z\r\n",
            F::UntilClose,
            "200 OK\r\nDate: NOW\r\n",
        ),
        (
            "1.1 200 OK\r\nDate: THEN\r\nX-Request-Id: theirs\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nServer: s\r\nVia: v\r\n",
            F::UntilClose,
            "200 OK\r\nDate: THEN\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nServer: s\r\nVia: v\r\n",
        ),
    ] {
        let out = answered(&format!("HTTP/{head}\r\n"), framing, false, Version::Http11);
        assert_eq!(out, format!("HTTP/1.1 {written}X-Request-Id: an-id\r\n\r\n"), "{head:?}");
    }
    let text = format!("HTTP/1.1 200 OK\r\n{dated}\r\n");
    for (close, version, end) in [
        (true, Version::Http11, "Connection: close\r\n"),
        (true, Version::Http10, "Connection: close\r\n"),
        (false, Version::Http10, "Connection: keep-alive\r\n"),
        (false, Version::Http11, ""),
    ] {
        let out = answered(&text, F::Length(0), close, version);
        assert!(out.ends_with(&format!("X-Request-Id: an-id\r\n{end}\r\n")), "{out:?}");
    }
}

#[test]
fn interim_responses_that_go_on() {
    let text = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x-p\r\nX-P: 1\r\nServer: s\r\nContent-Length: 3\r\n\r\n";
    let mut head = ResponseHead::default();
    assert_eq!(head.parse(text, &LIMITS), Ok(Parse::Whole));
    for (server, kept) in [(Server::Pass, "Server: s\r\n"), (Server::Off, ""), (Server::Set(b"ours"), "")] {
        let mut out = Vec::new();
        encode_interim(&mut out, head.view(text), server);
        let wanted = format!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n{kept}\r\n");
        assert_eq!(String::from_utf8_lossy(&out), wanted, "{server:?}");
    }
}

#[test]
fn who_writes_server_and_date() {
    for (server, received, written) in [
        (Server::Pass, "", "Date: NOW\r\n"),
        (Server::Off, "", "Date: NOW\r\n"),
        (Server::Set(b"ours"), "", "Date: NOW\r\nServer: ours\r\n"),
        (Server::Pass, "Server: s\r\ndate: THEN\r\n", "Server: s\r\ndate: THEN\r\n"),
        (Server::Off, "server: s\r\nX: y\r\nDate: THEN\r\nServer: t\r\n", "X: y\r\nDate: THEN\r\n"),
        (
            Server::Set(b"ours"),
            "SERVER: s\r\nX: y\r\nServer: t\r\nDate: THEN\r\n",
            "X: y\r\nDate: THEN\r\nServer: ours\r\n",
        ),
        (
            Server::Set(b"ours"),
            "Connection: server, date\r\nServer: s\r\nDate: THEN\r\n",
            "Date: NOW\r\nServer: ours\r\n",
        ),
        // A Date that is none is the origin's affair: RFC 9110 §6.6.1 has a recipient replace a missing one alone.
        (Server::Pass, "Date: \r\n", "Date: \r\n"),
        (
            Server::Set(b"ours"),
            "X_Server: 1\r\nX-Server: 2\r\n",
            "X_Server: 1\r\nX-Server: 2\r\nDate: NOW\r\nServer: ours\r\n",
        ),
    ] {
        let text = format!("HTTP/1.1 200 OK\r\n{received}\r\n");
        let mut head = ResponseHead::default();
        assert_eq!(head.parse(text.as_bytes(), &LIMITS), Ok(Parse::Whole));
        let (framing, client_version) = (Framing::UntilClose, Version::Http11);
        let answer = Answer {
            framing,
            close: false,
            client_version,
            request_id: b"an-id",
            date: b"NOW",
            server,
            kept: [""; 2],
            added: b"",
        };
        let mut out = Vec::new();
        encode_response(&mut out, head.view(text.as_bytes()), &answer);
        let wanted = format!("HTTP/1.1 200 OK\r\n{written}X-Request-Id: an-id\r\n\r\n");
        assert_eq!(String::from_utf8_lossy(&out), wanted, "{server:?} {received:?}");
    }
}

#[test]
fn request_ids_worth_keeping() {
    let long = "x".repeat(limits::REQUEST_ID_BYTES);
    let longer = format!("{long}x");
    for (id, kept) in [
        ("a-1.B:/=", true),
        (long.as_str(), true),
        (longer.as_str(), false),
        ("", false),
        ("a b", false),
        ("a\"b", false),
        ("a\\b", false),
        ("a,b", false),
        ("a;b", false),
        ("\u{e4}", false),
    ] {
        let text = format!("GET / HTTP/1.1\r\nHost: a\r\nX-Request-Id: {id}\r\n\r\n");
        let mut head = RequestHead::default();
        assert_eq!(head.parse(text.as_bytes(), &LIMITS), Ok(Parse::Whole));
        assert_eq!(request_id(head.view(text.as_bytes())), kept.then_some(id.as_bytes()), "{id:?}");
    }
}

proptest! {
    #[test]
    fn what_is_written_parses_as_the_same(
        method in "[A-Z]{1,8}", path in "/[!\"$-~]{0,40}", host in "[a-z0-9.-]{1,20}(:[0-9]{1,4})?",
        fields in prop::collection::vec(("x-[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,20}", "[ \t]{0,2}", "([!-~]([ -~\t]{0,30}[!-~])?)?"), 0..12),
        length in prop::option::of(any::<u64>()),
    ) {
        prop_assume!(method != "TRACE" && method != "CONNECT");
        prop_assume!(!fields.iter().any(|(name, ..)| Known::of(name.as_bytes()) != Known::Other));
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
        for (name, blank, value) in &fields {
            text.push_str(&format!("{name}:{blank}{value}{blank}\r\n"));
        }
        if let Some(length) = length {
            text.push_str(&format!("Content-Length: {length}\r\n"));
        }
        text.push_str("\r\n");
        let out = forwarded(text.as_bytes());
        let mut head = RequestHead::default();
        prop_assert_eq!(head.parse(&out, &LIMITS), Ok(Parse::Whole));
        let again = head.view(&out);
        prop_assert_eq!(head.len(), out.len());
        prop_assert_eq!(again.method(), method.as_bytes());
        prop_assert_eq!(again.target(), path.as_bytes());
        prop_assert_eq!(again.host(), host.as_bytes());
        let seen: Vec<_> = again.fields().filter(|field| field.0 == Known::Other).map(|field| (field.1, field.2)).collect();
        let sent: Vec<_> = fields.iter().map(|(name, _, value)| (name.as_bytes(), value.as_bytes())).collect();
        prop_assert_eq!(seen, sent);
        prop_assert_eq!(framing::request(again).unwrap(), length.map_or(Framing::None, Framing::Length));
    }
}
