//! RFC 9110 and RFC 9112, section by section: one row for each thing that a section asks of a gateway and that bytes alone
//! can show. What only sockets can show (the end of a connection, a silence, reuse) stands in `tests/it`.

use crate::address::Peer;
use crate::http::ChunkFault;
use crate::http::Fault;
use crate::http::Refusal;
use crate::http::forward::Answer;
use crate::http::forward::Hop;
use crate::http::forward::Server;
use crate::http::forward::encode_interim;
use crate::http::forward::encode_request;
use crate::http::forward::encode_response;
use crate::http::framing;
use crate::http::framing::Framing;
use crate::http::h1::chunked::Chunked;
use crate::http::head::HeadLimits;
use crate::http::head::Method;
use crate::http::head::Parse;
use crate::http::head::RequestHead;
use crate::http::head::ResponseHead;
use crate::http::head::Version;
use crate::http::identity::Marks;
use crate::limits;

const REQUEST: HeadLimits = HeadLimits {
    head_bytes: limits::REQUEST_HEAD_BYTES,
    fields: limits::REQUEST_FIELDS,
    target_bytes: limits::REQUEST_TARGET_BYTES,
};
const RESPONSE: HeadLimits =
    HeadLimits { head_bytes: limits::RESPONSE_HEAD_BYTES, fields: limits::RESPONSE_FIELDS, target_bytes: 0 };

/// What a message becomes.
#[derive(Debug)]
enum Becomes<E> {
    /// Refused, for this reason.
    No(E),
    /// Passed on with these lines among its own, and without anything of the second list.
    With(&'static [&'static str], &'static [&'static str]),
}

use Becomes::No;
use Becomes::With;

/// The head as it goes to an endpoint, where its body ends, and whether the connection is kept after it.
fn request(text: &str) -> Result<(String, Framing, bool), Refusal> {
    let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin-1")).collect();
    let mut head = RequestHead::default();
    assert_eq!(head.parse(&bytes, &REQUEST)?, Parse::Whole, "{text:?}");
    let request = head.view(&bytes);
    let framing = framing::request(request)?;
    let marks = Marks::of(Peer::Ip("192.0.2.1:7".parse().expect("an address")), Some(80), "http");
    let hop =
        Hop { marks: &marks, trusted: false, request_id: b"an-id", authority: b"up.example", anew: &[], upgrade: b"" };
    let mut out = Vec::new();
    encode_request(&mut out, request, framing, &hop);
    Ok((out.iter().map(|byte| char::from(*byte)).collect(), framing, request.keep_alive()))
}

/// The head as it goes to a client, where its body ends, and whether the endpoint keeps its connection.
fn response(text: &str, method: Method) -> Result<(String, Framing, bool), Fault> {
    let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin-1")).collect();
    let mut head = ResponseHead::default();
    assert_eq!(head.parse(&bytes, &RESPONSE)?, Parse::Whole, "{text:?}");
    let response = head.view(&bytes);
    let framing = framing::response(response, method)?;
    let mut out = Vec::new();
    if response.status() < 200 {
        encode_interim(&mut out, response, Server::Pass);
    } else {
        let answer = Answer {
            framing,
            close: false,
            client_version: Version::Http11,
            request_id: b"an-id",
            date: b"NOW",
            server: Server::Pass,
            kept: [""; 2],
            added: b"",
        };
        encode_response(&mut out, response, &answer);
    }
    Ok((out.iter().map(|byte| char::from(*byte)).collect(), framing, response.keep_alive()))
}

/// The content and the trailers of a chunked body, and what is behind it.
fn chunks(text: &str) -> Result<(String, String, String), ChunkFault> {
    let mut bytes = text.as_bytes().to_vec();
    let mut chunked = Chunked::default();
    let decoded = chunked.decode(&mut bytes)?;
    assert!(decoded.end, "{text:?}");
    let read = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((read(&bytes[decoded.data]), read(chunked.trailers()), read(&bytes[decoded.consumed..])))
}

fn judge<E: PartialEq + std::fmt::Debug>(
    row: (&str, &str),
    outcome: Result<(String, Framing, bool), E>,
    becomes: &Becomes<E>,
) {
    match (outcome, becomes) {
        (Err(error), No(wanted)) => assert_eq!(error, *wanted, "{row:?}"),
        (Ok((head, ..)), With(lines, never)) => {
            let head = format!("{head}\u{0}");
            for line in *lines {
                let there = head.contains(&format!("{line}\r\n"));
                assert!(there, "{row:?}: {line:?} is not in {head:?}");
            }
            for part in *never {
                assert!(
                    !head.to_ascii_lowercase().contains(&part.to_ascii_lowercase()),
                    "{row:?}: {part:?} is in {head:?}"
                );
            }
        }
        (outcome, becomes) => panic!("{row:?}: {outcome:?}, not {becomes:?}"),
    }
}

/// `GET / HTTP/1.1`, a Host, and these lines.
fn get(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

#[test]
fn request_lines_by_section() {
    use Refusal as R;
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(7985));
    let longer = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(8192));
    let method = format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(65));
    let host = "\r\nHost: a\r\n\r\n";
    for (section, text, becomes) in [
        ("9112 2.2", format!("\r\nGET / HTTP/1.1{host}"), With(&["GET / HTTP/1.1"], &[])),
        ("9112 2.2", format!("\nGET / HTTP/1.1{host}"), No(R::BareLineEnd)),
        ("9112 2.2", "GET / HTTP/1.1\nHost: a\n\n".into(), No(R::BareLineEnd)),
        ("9112 2.2", "GET / HTTP/1.1\r\n Host: a\r\n\r\n".into(), No(R::BadFieldName)),
        ("9112 2.2", "GET / HTTP/1.1\r\n\tX: y\r\nHost: a\r\n\r\n".into(), No(R::BadFieldName)),
        ("9112 2.2", format!("GET / HTTP/1.1\r{host}"), No(R::BareLineEnd)),
        ("9112 2.2", format!("GET /\r/ HTTP/1.1{host}"), No(R::BadRequestLine)),
        ("9112 2.3", format!("GET / http/1.1{host}"), No(R::BadVersion)),
        ("9112 2.3", format!("GET / HTTP/1.10{host}"), No(R::BareLineEnd)),
        ("9112 2.3", format!("GET / HTTP/1{host}"), No(R::BadVersion)),
        ("9112 2.3", format!("GET / HTTP/1.0{host}"), With(&["GET / HTTP/1.1", "Via: 1.0 ringway"], &[])),
        ("9112 2.3", format!("GET / HTTP/1.7{host}"), With(&["GET / HTTP/1.1"], &["1.7"])),
        ("9110 15.6.6", format!("GET / HTTP/2.0{host}"), No(R::UnknownVersion)),
        ("9110 15.6.6", format!("GET / HTTP/0.9{host}"), No(R::UnknownVersion)),
        ("9112 3", long, With(&[], &[])),
        ("9112 3", longer, No(R::TargetTooLong)),
        ("9112 3", method, No(R::UnknownMethod)),
        ("9112 3", format!("GET  / HTTP/1.1{host}"), No(R::BadRequestLine)),
        ("9112 3", format!("GET /  HTTP/1.1{host}"), No(R::BadVersion)),
        ("9112 3", format!("GET /\tHTTP/1.1{host}"), No(R::BadRequestLine)),
        ("9112 3", format!("GET / HTTP/1.1 {host}"), No(R::BareLineEnd)),
        ("9112 3", format!("GET /a b HTTP/1.1{host}"), No(R::BadVersion)),
        ("9112 3", format!(" / HTTP/1.1{host}"), No(R::BadRequestLine)),
        ("9112 3", "GET /\r\n\r\n".into(), No(R::BadRequestLine)),
        ("9112 3.1", format!("get / HTTP/1.1{host}"), With(&["get / HTTP/1.1"], &[])),
        ("9112 3.1", format!("M!#$%&'*+-.^_`|~9 / HTTP/1.1{host}"), With(&["M!#$%&'*+-.^_`|~9 / HTTP/1.1"], &[])),
        ("9112 3.1", format!("GE@T / HTTP/1.1{host}"), No(R::BadRequestLine)),
        ("9112 3.2", format!("GET x HTTP/1.1{host}"), No(R::BadTarget)),
        ("9112 3.2", format!("GET /#x HTTP/1.1{host}"), No(R::BadTarget)),
        ("9112 3.2", format!("GET a:80 HTTP/1.1{host}"), No(R::BadTarget)),
        ("9112 3.2.1", format!("GET /a?b=%2F&c=? HTTP/1.1{host}"), With(&["GET /a?b=%2F&c=? HTTP/1.1"], &[])),
        ("9112 3.2.1", format!("GET http://a HTTP/1.1{host}"), With(&["GET / HTTP/1.1"], &[])),
        ("9112 3.2.2", format!("GET http://a/b?c HTTP/1.1{host}"), With(&["GET /b?c HTTP/1.1", "Host: a"], &[])),
        ("9112 3.2.2", "GET http://b/ HTTP/1.0\r\n\r\n".into(), With(&["Host: b"], &["up.example"])),
        // A Host that says something else is taken by some and ignored by others.
        ("9112 3.2.2", format!("GET http://b/ HTTP/1.1{host}"), No(R::HostMismatch)),
        ("9112 3.2.3", format!("CONNECT a:443 HTTP/1.1{host}"), With(&["CONNECT a:443 HTTP/1.1", "Host: a:443"], &[])),
        ("9112 3.2.3", format!("CONNECT a HTTP/1.1{host}"), No(R::BadTarget)),
        ("9112 3.2.3", format!("CONNECT http://a:443 HTTP/1.1{host}"), No(R::BadTarget)),
        ("9112 3.2.3", format!("CONNECT / HTTP/1.1{host}"), No(R::BadTarget)),
        ("9112 3.2.3", format!("CONNECT b:443 HTTP/1.1{host}"), No(R::HostMismatch)),
        ("9110 9.3.6", format!("CONNECT a:443 HTTP/1.1\r\nContent-Length: 5{host}"), No(R::ContentInConnect)),
        ("9112 3.2.4", format!("OPTIONS * HTTP/1.1{host}"), With(&["OPTIONS * HTTP/1.1"], &[])),
        ("9112 3.2.4", format!("OPTIONS http://a HTTP/1.1{host}"), With(&["OPTIONS * HTTP/1.1"], &[])),
        ("9112 3.2.4", format!("OPTIONS http://a/ HTTP/1.1{host}"), With(&["OPTIONS / HTTP/1.1"], &[])),
        ("9112 3.2.4", format!("GET * HTTP/1.1{host}"), No(R::BadTarget)),
    ] {
        judge((section, &text), request(&text), &becomes);
    }
}

#[test]
fn hosts_by_section() {
    use Refusal as R;
    for (section, host, becomes) in [
        ("9112 3.2", "", No(R::HostCount)),
        ("9112 3.2", "Host: a\r\nHost: a\r\n", No(R::HostCount)),
        ("9112 3.2", "Host: a\r\nHOST: b\r\n", No(R::HostCount)),
        ("9112 3.2", "Host: a b\r\n", No(R::BadHost)),
        ("9112 3.2", "Host: a/b\r\n", No(R::BadHost)),
        ("9112 3.2", "Host: a@b\r\n", No(R::BadHost)),
        ("9112 3.2", "Host: a:b\r\n", No(R::BadHost)),
        ("9112 3.2", "Host: [::g]\r\n", No(R::BadHost)),
        ("9112 3.2", "Host: \u{e4}\r\n", No(R::BadHost)),
        // Without a host in the target an empty one is right; the endpoint is told its own name.
        ("9112 3.2", "Host:\r\n", With(&["Host: up.example"], &[])),
        ("9110 7.2", "x: y\r\nHost: a\r\n", With(&["GET / HTTP/1.1\r\nHost: a\r\nx: y"], &[])),
        ("9110 7.2", "hOsT: \t a:80 \t\r\n", With(&["Host: a:80"], &[])),
        ("9110 7.2", "Host: [2001:db8::1]:8080\r\n", With(&["Host: [2001:db8::1]:8080"], &[])),
        ("9110 7.2", "Host: a%2Db\r\n", With(&["Host: a%2Db"], &[])),
    ] {
        judge((section, host), request(&format!("GET / HTTP/1.1\r\n{host}\r\n")), &becomes);
    }
    judge(("9112 3.2", "1.0"), request("GET / HTTP/1.0\r\n\r\n"), &With(&["Host: up.example"], &[]));
}

#[test]
fn request_fields_by_section() {
    use Refusal as R;
    for (section, lines, becomes) in [
        ("9112 5", "X\r\n", No(R::BadFieldName)),
        ("9112 5", ": x\r\n", No(R::BadFieldName)),
        ("9112 5.1", "X : y\r\n", No(R::BadFieldName)),
        ("9112 5.1", "X\t: y\r\n", No(R::BadFieldName)),
        ("9112 5.1", "X: \t y z\t \r\n", With(&["X: y z"], &["y z\t"])),
        ("9112 5.1", "X:y\r\n", With(&["X: y"], &[])),
        ("9112 5.2", "X: y\r\n z\r\n", No(R::BadFieldName)),
        ("9112 5.2", "X: y\r\n \r\n", No(R::BadFieldName)),
        ("9110 5.1", "X[]: y\r\n", No(R::BadFieldName)),
        ("9110 5.1", "X\u{e9}: y\r\n", No(R::BadFieldName)),
        ("9110 5.3", "X: 1\r\nY: 2\r\nX: 3\r\n", With(&["X: 1\r\nY: 2\r\nX: 3"], &[])),
        ("9110 5.5", "X: a\rb\r\n", No(R::BadFieldValue)),
        ("9110 5.5", "X: a\0b\r\n", No(R::BadFieldValue)),
        ("9110 5.5", "X: a\u{1}b\r\n", No(R::BadFieldValue)),
        ("9110 5.5", "X: a\u{7f}b\r\n", No(R::BadFieldValue)),
        ("9110 5.5", "X: a\tb\u{80}\u{ff}\r\n", With(&["X: a\tb\u{80}\u{ff}"], &[])),
        ("9110 5.5", "X:\r\n", With(&["X: "], &[])),
        ("9110 7.6.1", "Connection: x-a, X-B\r\nX-A: 1\r\nx-b: 2\r\nX-C: 3\r\n", With(&["X-C: 3"], &["x-a", "x-b"])),
        ("9110 7.6.1", "X-A: 1\r\nConnection: close\r\nConnection: x-a\r\n", With(&[], &["x-a", "connection"])),
        ("9110 7.6.1", "Keep-Alive: timeout=5\r\nProxy-Connection: close\r\n", With(&[], &["keep-alive", "proxy-c"])),
        ("9110 7.6.1", "TE: trailers\r\nConnection: TE\r\n", With(&["TE: trailers", "Connection: TE"], &[])),
        ("9110 10.1.4", "TE: gzip;q=0.5, Trailers\r\n", With(&["TE: trailers", "Connection: TE"], &["gzip"])),
        ("9110 10.1.4", "TE: gzip, x-trailers\r\nConnection: TE\r\n", With(&[], &["te: ", "connection"])),
        ("9110 7.6.1", "Connection: host, via, x-forwarded-for\r\n", With(&["Host: a", "Via: 1.1 ringway"], &[])),
        (
            "9110 7.6.1",
            "Upgrade: h2c\r\nConnection: upgrade, http2-settings\r\nHTTP2-Settings: A\r\n",
            With(&[], &["upgrade", "http2"]),
        ),
        ("9110 7.6.2", "Max-Forwards: 0\r\n", With(&["Max-Forwards: 0"], &[])),
        ("9110 7.6.3", "", With(&["Via: 1.1 ringway"], &[])),
        ("9110 7.6.3", "Via: 1.0 a, 1.1 b (c)\r\n", With(&["Via: 1.0 a, 1.1 b (c)", "Via: 1.1 ringway"], &[])),
        ("9110 10.1.1", "Expect: 100-continue\r\n", With(&["Expect: 100-continue"], &[])),
        ("9110 10.1.1", "Expect: 100-CONTINUE\r\n", With(&["Expect: 100-CONTINUE"], &[])),
        ("9110 10.1.1", "Expect: 100-continue, x\r\n", No(R::UnknownExpectation)),
        ("9110 10.1.1", "Expect: x\r\n", No(R::UnknownExpectation)),
    ] {
        judge((section, lines), request(&get(lines)), &becomes);
    }
    for (section, text, becomes) in [
        ("9110 7.6.2", "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n", No(R::NoHopLeft)),
        ("9110 7.6.2", "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 3\r\n\r\n", With(&["Max-Forwards: 2"], &[])),
        ("9110 7.6.2", "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: x\r\n\r\n", With(&["Max-Forwards: x"], &[])),
        ("9110 7.6.2", "TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n", No(R::UnknownMethod)),
        ("9110 9.3.8", "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", No(R::UnknownMethod)),
        ("9110 10.1.1", "GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", With(&[], &["expect"])),
        ("9110 10.1.1", "GET / HTTP/1.0\r\nExpect: x\r\n\r\n", With(&[], &["expect"])),
    ] {
        judge((section, text), request(text), &becomes);
    }
}

#[test]
fn request_framing_by_section() {
    use Framing as F;
    use Refusal as R;
    for (section, lines, outcome) in [
        ("9112 6.1", "Transfer-Encoding: chunked\r\n", Ok(F::Chunked)),
        ("9112 6.1", "Transfer-Encoding: Chunked\r\n", Ok(F::Chunked)),
        ("9112 6.1", "Transfer-Encoding: chunked, chunked\r\n", Err(R::UnknownCoding)),
        ("9112 6.1", "Transfer-Encoding: gzip, chunked\r\n", Err(R::UnknownCoding)),
        ("9112 6.1", "Transfer-Encoding: x\r\n", Err(R::UnknownCoding)),
        ("9112 6.1", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Err(R::LengthAndCoding)),
        // 3: both. 4: not chunked last. 5: no length or several. 6: a length. 7: neither.
        ("9112 6.3", "Content-Length: 5\r\nTransfer-Encoding: x\r\n", Err(R::LengthAndCoding)),
        ("9112 6.3", "Transfer-Encoding: chunked, identity\r\n", Err(R::UnknownCoding)),
        ("9112 6.3", "Content-Length: 5, 6\r\n", Err(R::BadLength)),
        ("9112 6.3", "Content-Length: 5\r\nContent-Length: 6\r\n", Err(R::SeveralLengths)),
        ("9112 6.3", "Content-Length: 5\r\nContent-Length: 5\r\n", Err(R::SeveralLengths)),
        ("9112 6.3", "Content-Length: 5\r\n", Ok(F::Length(5))),
        ("9112 6.3", "", Ok(F::None)),
        ("9110 8.6", "Content-Length: 00\r\n", Ok(F::Length(0))),
        ("9110 8.6", "Content-Length: 18446744073709551615\r\n", Ok(F::Length(u64::MAX))),
        ("9110 8.6", "Content-Length: 18446744073709551616\r\n", Err(R::BadLength)),
        ("9110 8.6", "Content-Length: 1e2\r\n", Err(R::BadLength)),
        ("9110 8.6", "Content-Length: 0x1\r\n", Err(R::BadLength)),
        ("9110 8.6", "Content-Length: \"1\"\r\n", Err(R::BadLength)),
    ] {
        // GET and HEAD are framed as POST is: RFC 9112 §6, whatever the method means.
        for method in ["GET", "HEAD", "POST", "OPTIONS", "DELETE", "x"] {
            let text = format!("{method} / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
            assert_eq!(request(&text).map(|seen| seen.1), outcome, "{section} {text:?}");
        }
    }
    let old = "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(request(old).map(|seen| seen.1), Err(R::CodingInOld), "9112 6.1");
    for (section, lines, becomes) in [
        ("9112 6.1", "Transfer-Encoding: CHUNKED\r\n", With(&["Transfer-Encoding: chunked"], &["content-length"])),
        ("9110 8.6", "Content-Length: 007\r\n", With(&["Content-Length: 7"], &["transfer-encoding"])),
        ("9110 8.6", "", With(&[], &["content-length", "transfer-encoding"])),
        ("9110 7.6.1", "Connection: content-length\r\nContent-Length: 7\r\n", With(&["Content-Length: 7"], &[])),
    ] {
        judge((section, lines), request(&get(lines)), &becomes);
    }
}

#[test]
fn chunks_by_section() {
    use ChunkFault as C;
    let line = format!("{}1\r\nx\r\n0\r\n\r\n", "0".repeat(limits::CHUNK_LINE_BYTES));
    for (section, text, outcome) in [
        ("9112 7.1", "5\r\nhello\r\n0\r\n\r\n", Ok(("hello", "", ""))),
        ("9112 7.1", "5\r\nhello\r\n00\r\n\r\nGET", Ok(("hello", "", "GET"))),
        ("9112 7.1", "00A\r\n0123456789\r\n1\r\n!\r\n0\r\n\r\n", Ok(("0123456789!", "", ""))),
        ("9112 7.1", "1\r\n\r\r\n1\r\n\n\r\n0\r\n\r\n", Ok(("\r\n", "", ""))),
        ("9112 7.1", "10000000000000000\r\n", Err(C::BadSize)),
        ("9112 7.1", &line, Err(C::LineTooLong)),
        ("9112 7.1", "-1\r\n", Err(C::BadSize)),
        ("9112 7.1", "0x1\r\n", Err(C::BadSize)),
        ("9112 7.1", "\r\n", Err(C::BadSize)),
        ("9112 7.1", "1\nx\r\n", Err(C::BadSize)),
        ("9112 7.1", "1\r\nxy\r\n", Err(C::BadEnd)),
        ("9112 7.1", "1\r\nx\n0\r\n\r\n", Err(C::BadEnd)),
        ("9112 7.1.1", "1;a\r\nx\r\n0;b=c;d=\"e;\\\"f\"\r\n\r\n", Ok(("x", "", ""))),
        ("9112 7.1.1", "1;a=\"\r\nx\r\n", Err(C::BadExtension)),
        ("9112 7.1.1", "1;a\n\r\nx\r\n", Err(C::BadExtension)),
        ("9112 7.1.1", "1;a\0\r\nx\r\n", Err(C::BadExtension)),
        ("9112 7.1.2", "0\r\nX-Sum: 7\r\n\r\n", Ok(("", "X-Sum: 7\r\n", ""))),
        ("9112 7.1.2", "0\r\nX : 7\r\n\r\n", Err(C::BadTrailer)),
        ("9112 7.1.2", "0\r\nX: a\r\n b\r\n\r\n", Err(C::BadTrailer)),
        ("9110 6.5.1", "0\r\nContent-Length: 7\r\nX: 1\r\n\r\n", Ok(("", "X: 1\r\n", ""))),
        ("9110 6.5.1", "0\r\nTransfer-Encoding: chunked\r\n\r\n", Ok(("", "", ""))),
        ("9110 6.5.1", "0\r\nHost: b\r\nAuthorization: c\r\nSet-Cookie: d\r\n\r\n", Ok(("", "", ""))),
        ("9110 6.5.1", "0\r\nConnection: x\r\nUpgrade: y\r\nTrailer: z\r\n\r\n", Ok(("", "", ""))),
        ("9110 6.5.1", "0\r\nContent-Type: a\r\nContent-Encoding: b\r\nCache-Control: c\r\n\r\n", Ok(("", "", ""))),
        ("9110 6.5.1", "0\r\nX-Forwarded-For: a\r\nx_forwarded_for: b\r\n\r\n", Ok(("", "", ""))),
    ] {
        let outcome = outcome.map(|(data, trailers, behind): (&str, &str, &str)| {
            (data.to_owned(), trailers.to_owned(), behind.to_owned())
        });
        assert_eq!(chunks(text), outcome, "{section} {text:?}");
    }
}

#[test]
fn persistence_by_section() {
    for (section, version, lines, keeps) in [
        ("9112 9.3", "1.1", "", true),
        ("9112 9.3", "1.0", "", false),
        ("9112 9.3", "1.0", "Connection: keep-alive\r\n", true),
        ("9112 9.3", "1.0", "Connection: Keep-Alive, x\r\n", true),
        ("9112 9.3", "1.0", "Connection: x\r\n", false),
        ("9112 9.3", "1.1", "Connection: keep-alive\r\n", true),
        ("9112 9.3", "1.9", "", true),
        ("9112 9.6", "1.1", "Connection: close\r\n", false),
        ("9112 9.6", "1.1", "Connection: x, CLOSE\r\n", false),
        ("9112 9.6", "1.1", "Connection: x\r\nConnection: close\r\n", false),
        ("9112 9.6", "1.1", "Connection: close, keep-alive\r\n", false),
        ("9112 9.6", "1.0", "Connection: keep-alive, close\r\n", false),
        ("9112 9.6", "1.1", "Connection: closed\r\n", true),
        ("9112 9.6", "1.1", "Connection: \"close\"\r\n", true),
        ("9112 9.6", "1.1", "Close: close\r\n", true),
    ] {
        let asked = request(&format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n")).map(|seen| seen.2);
        assert_eq!(asked, Ok(keeps), "{section} {version} {lines:?}");
        let answered = response(&format!("HTTP/{version} 200 OK\r\n{lines}\r\n"), Method::Get).map(|seen| seen.2);
        assert_eq!(answered, Ok(keeps), "{section} {version} {lines:?}");
    }
}

#[test]
fn responses_by_section() {
    use Fault as X;
    for (section, text, becomes) in [
        ("9112 2.3", "HTTP/1.0 200 OK\r\n\r\n", With(&["HTTP/1.1 200 OK"], &["1.0"])),
        ("9112 2.3", "HTTP/1.5 200 OK\r\n\r\n", With(&["HTTP/1.1 200 OK"], &["1.5"])),
        ("9112 2.3", "http/1.1 200 OK\r\n\r\n", No(X::BadStatusLine)),
        ("9112 2.3", "HTTP/2.0 200 OK\r\n\r\n", No(X::BadStatusLine)),
        ("9112 4", "HTTP/1.1 200 \r\n\r\n", With(&["HTTP/1.1 200 "], &[])),
        ("9112 4", "HTTP/1.1 200\r\n\r\n", With(&["HTTP/1.1 200 "], &[])),
        ("9112 4", "HTTP/1.1 404 Gibt\tes nicht\u{fc}\r\n\r\n", With(&["HTTP/1.1 404 Gibt\tes nicht\u{fc}"], &[])),
        ("9112 4", "HTTP/1.1 20 OK\r\n\r\n", No(X::BadStatusLine)),
        ("9112 4", "HTTP/1.1 2000 OK\r\n\r\n", No(X::BadStatusLine)),
        ("9112 4", "HTTP/1.1 200 a\0\r\n\r\n", No(X::BadStatusLine)),
        ("9110 15", "HTTP/1.1 599 X\r\n\r\n", With(&["HTTP/1.1 599 X"], &[])),
        ("9110 15", "HTTP/1.1 600 X\r\n\r\n", No(X::BadStatus)),
        ("9110 15", "HTTP/1.1 099 X\r\n\r\n", No(X::BadStatus)),
        ("9112 2.2", "HTTP/1.1 200 OK\nX: y\r\n\r\n", No(X::BareLineEnd)),
        ("9112 2.2", "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", No(X::BadField)),
        ("9112 2.2", "\r\nHTTP/1.1 200 OK\r\n\r\n", No(X::BadStatusLine)),
        ("9112 5.1", "HTTP/1.1 200 OK\r\nX \t: y\r\n\r\n", With(&["X: y"], &["x \t"])),
        ("9112 5.2", "HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n", No(X::BadField)),
        (
            "9110 5.3",
            "HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n",
            With(&["Set-Cookie: a\r\nSet-Cookie: b"], &[]),
        ),
        ("9110 5.5", "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", No(X::BadField)),
        (
            "9110 7.6.1",
            "HTTP/1.1 200 OK\r\nConnection: x-a\r\nX-A: b\r\nY: z\r\n\r\n",
            With(&["Y: z"], &["x-a", "connection"]),
        ),
        (
            "9110 7.6.1",
            "HTTP/1.1 200 OK\r\nKeep-Alive: a\r\nProxy-Connection: b\r\n\r\n",
            With(&[], &["keep-a", "proxy-c"]),
        ),
        ("9110 7.8", "HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", With(&[], &["upgrade"])),
        ("9110 8.6", "HTTP/1.1 204 N\r\nContent-Length: 5\r\n\r\n", With(&[], &["content-length"])),
        ("9110 8.6", "HTTP/1.1 304 N\r\nContent-Length: 5\r\n\r\n", With(&["Content-Length: 5"], &[])),
        ("9110 8.6", "HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\n", No(X::BadLength)),
        ("9110 8.6", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", No(X::SeveralLengths)),
        ("9110 6.6.1", "HTTP/1.1 200 OK\r\n\r\n", With(&["Date: NOW"], &[])),
        ("9110 6.6.1", "HTTP/1.1 200 OK\r\nDate: THEN\r\n\r\n", With(&["Date: THEN"], &["NOW"])),
        (
            "9112 6.1",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
            No(X::LengthAndCoding),
        ),
        ("9112 6.1", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", No(X::UnknownCoding)),
        ("9112 6.1", "HTTP/1.1 204 N\r\nTransfer-Encoding: chunked\r\n\r\n", With(&[], &["transfer-encoding"])),
        (
            "9110 15.2",
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
            With(&["HTTP/1.1 103 Early Hints\r\nLink: </a>"], &["date", "x-request-id"]),
        ),
        ("9110 15.2", "HTTP/1.1 199 X\r\nX: y\r\n\r\n", With(&["HTTP/1.1 199 X\r\nX: y"], &[])),
        ("9110 15.2", "HTTP/1.0 100 C\r\n\r\n", With(&["HTTP/1.1 100 C"], &[])),
        ("9110 15.2", "HTTP/1.1 100 C\r\nContent-Length: 5\r\n\r\n", No(X::ContentInInterim)),
        ("9110 15.2", "HTTP/1.1 103 E\r\nTransfer-Encoding: chunked\r\n\r\n", No(X::ContentInInterim)),
    ] {
        judge((section, text), response(text, Method::Get), &becomes);
    }
}

#[test]
fn response_framing_by_rule() {
    use Framing as F;
    let (length, chunked) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    for (rule, method, status, lines, outcome) in [
        (1, Method::Head, "200 OK", length, Ok(F::None)),
        (1, Method::Head, "200 OK", chunked, Ok(F::None)),
        (1, Method::Head, "404 N", "", Ok(F::None)),
        (1, Method::Get, "100 C", "", Ok(F::None)),
        (1, Method::Get, "204 N", chunked, Ok(F::None)),
        (1, Method::Get, "304 N", length, Ok(F::None)),
        (4, Method::Get, "200 OK", chunked, Ok(F::Chunked)),
        (4, Method::Get, "200 OK", "Transfer-Encoding: gzip\r\n", Err(Fault::UnknownCoding)),
        (4, Method::Get, "200 OK", "Transfer-Encoding: chunked, gzip\r\n", Err(Fault::UnknownCoding)),
        (5, Method::Get, "200 OK", "Content-Length: 5, 5\r\n", Err(Fault::BadLength)),
        (5, Method::Get, "200 OK", "Content-Length: -5\r\n", Err(Fault::BadLength)),
        (6, Method::Get, "200 OK", length, Ok(F::Length(5))),
        (6, Method::Get, "205 R", "Content-Length: 0\r\n", Ok(F::Length(0))),
        (8, Method::Get, "200 OK", "", Ok(F::UntilClose)),
        (8, Method::Post, "500 X", "", Ok(F::UntilClose)),
        // Whatever is said of content that does not come must not be able to be taken in two ways either.
        (3, Method::Head, "200 OK", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Err(Fault::LengthAndCoding)),
        (5, Method::Head, "200 OK", "Content-Length: x\r\n", Err(Fault::BadLength)),
    ] {
        let text = format!("HTTP/1.1 {status}\r\n{lines}\r\n");
        assert_eq!(response(&text, method).map(|seen| seen.1), outcome, "9112 6.3 rule {rule}: {method:?} {text:?}");
    }
}
