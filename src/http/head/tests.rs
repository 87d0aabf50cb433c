//! Heads: every rule with its refusal, and what does not depend on how bytes come.

use proptest::prelude::*;

use super::*;
use crate::http::h1::parse::PARSES;
use crate::http::path::Rule;
use crate::limits;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 512, fields: 8, target_bytes: 64 };

fn parse(bytes: &[u8]) -> Result<(RequestHead, Parse), Refusal> {
    let mut head = RequestHead::default();
    let parse = head.parse(bytes, &LIMITS)?;
    Ok((head, parse))
}

/// The outcome when the bytes come up to each of `cuts` first.
fn in_pieces(bytes: &[u8], cuts: &[usize]) -> Result<(RequestHead, Parse), Refusal> {
    let mut head = RequestHead::default();
    for cut in cuts.iter().filter(|cut| **cut < bytes.len()) {
        if head.parse(&bytes[..*cut], &LIMITS)? == Parse::Whole {
            return Ok((head, Parse::Whole));
        }
    }
    let parse = head.parse(bytes, &LIMITS)?;
    Ok((head, parse))
}

fn seen(outcome: &Result<(RequestHead, Parse), Refusal>, bytes: &[u8]) -> String {
    match outcome {
        Ok((head, Parse::Whole)) => {
            let request = head.view(bytes);
            let fields: Vec<_> = request.fields().collect();
            format!("{} {:?} {:?} {:?} {fields:?}", head.len(), request.method(), request.target(), request.host())
        }
        Ok((_, Parse::Partial)) => "partial".to_owned(),
        Err(refusal) => format!("{refusal:?}"),
    }
}

#[test]
fn each_rule_has_its_refusal() {
    use Refusal as R;
    for (text, refusal) in [
        ("GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", R::BadRequestLine),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", R::BadRequestLine),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", R::BadRequestLine),
        ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", R::BadRequestLine),
        ("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", R::BadRequestLine),
        ("GET /\r\n\r\n", R::BadRequestLine),
        ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", R::BadVersion),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", R::BadVersion),
        ("GET / HTTP/1.x\r\nHost: a\r\n\r\n", R::BadVersion),
        ("GET / HTTP/11\r\nHost: a\r\n\r\n", R::BadVersion),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", R::UnknownVersion),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", R::UnknownVersion),
        ("GET / HTTP/0.9\r\n\r\n", R::UnknownVersion),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", R::BareLineEnd),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", R::BareLineEnd),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", R::BareLineEnd),
        ("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", R::BareLineEnd),
        ("GET / HTTP/1.2\nHost: a\r\n\r\n", R::BareLineEnd),
        ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", R::BareLineEnd),
        ("\r\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", R::BareLineEnd),
        ("\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", R::EmptyLines),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", R::BadFieldName),
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", R::BadFieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", R::BadFieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", R::BadFieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", R::BadFieldName),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n", R::BadFieldValue),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: b\0\r\n\r\n", R::BadFieldValue),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n", R::BadFieldValue),
        ("GET foo HTTP/1.1\r\nHost: a\r\n\r\n", R::BadTarget),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", R::BadTarget),
        ("GET /#f HTTP/1.1\r\nHost: a\r\n\r\n", R::BadTarget),
        ("GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n", R::BadTarget),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", R::BadTarget),
        ("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", R::BadTarget),
        ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", R::BadTarget),
        ("GET http://:80/ HTTP/1.1\r\nHost: a\r\n\r\n", R::BadTarget),
        ("GET / HTTP/1.1\r\n\r\n", R::HostCount),
        ("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", R::HostCount),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", R::HostCount),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", R::BadHost),
        ("GET / HTTP/1.1\r\nHost: :80\r\n\r\n", R::BadHost),
        ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", R::HostMismatch),
        ("GET http://b/ HTTP/1.1\r\nHost:\r\n\r\n", R::HostMismatch),
        ("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", R::BadTarget),
        ("CONNECT * HTTP/1.1\r\nHost: a\r\n\r\n", R::BadTarget),
        ("CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", R::BadTarget),
        ("CONNECT a: HTTP/1.1\r\nHost: a:\r\n\r\n", R::BadTarget),
        ("CONNECT a:0 HTTP/1.1\r\nHost: a:0\r\n\r\n", R::BadTarget),
        ("CONNECT :443 HTTP/1.1\r\nHost: a\r\n\r\n", R::BadTarget),
        ("CONNECT a:65536 HTTP/1.1\r\nHost: a\r\n\r\n", R::BadTarget),
        ("CONNECT u@a:443 HTTP/1.1\r\nHost: a\r\n\r\n", R::BadTarget),
        ("CONNECT a:443/ HTTP/1.1\r\nHost: a\r\n\r\n", R::BadTarget),
        ("CONNECT ::1:443 HTTP/1.1\r\nHost: a\r\n\r\n", R::BadTarget),
        ("CONNECT http://a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", R::BadTarget),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:80\r\n\r\n", R::HostMismatch),
        ("CONNECT a:443 HTTP/1.1\r\nHost: b:443\r\n\r\n", R::HostMismatch),
        ("CONNECT a:443 HTTP/1.1\r\nHost:\r\n\r\n", R::HostMismatch),
        ("CONNECT a:443 HTTP/1.1\r\n\r\n", R::HostCount),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", R::UnknownMethod),
        ("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n", R::NoHopLeft),
        ("OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 00\r\nMax-Forwards: 5\r\n\r\n", R::NoHopLeft),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n", R::UnknownExpectation),
    ] {
        assert_eq!(parse(text.as_bytes()).map(|(_, parse)| parse), Err(refusal), "{text:?}");
        let cuts: Vec<usize> = (1..text.len()).collect();
        assert_eq!(in_pieces(text.as_bytes(), &cuts).map(|(_, parse)| parse), Err(refusal), "{text:?} byte by byte");
    }
}

#[test]
fn each_bound_is_exact() {
    let field = "X: y\r\n";
    for (text, outcome) in [
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "p".repeat(63)), Ok(Parse::Whole)),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "p".repeat(64)), Err(Refusal::TargetTooLong)),
        (format!("GET /{}", "p".repeat(63)), Ok(Parse::Partial)),
        (format!("GET /{}", "p".repeat(200)), Err(Refusal::TargetTooLong)),
        (format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(64)), Ok(Parse::Whole)),
        ("M".repeat(200), Err(Refusal::UnknownMethod)),
        ("\u{e4}".repeat(200), Err(Refusal::BadRequestLine)),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", field.repeat(7)), Ok(Parse::Whole)),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", field.repeat(8)), Err(Refusal::TooManyFields)),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(512 - 32)), Ok(Parse::Whole)),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(513 - 32)), Err(Refusal::HeadTooLarge)),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(512)), Err(Refusal::HeadTooLarge)),
    ] {
        assert_eq!(parse(text.as_bytes()).map(|(_, parse)| parse), outcome, "{text:?}");
        let cuts: Vec<usize> = (1..text.len()).collect();
        assert_eq!(in_pieces(text.as_bytes(), &cuts).map(|(_, parse)| parse), outcome, "{text:?} byte by byte");
    }
}

#[test]
fn what_a_request_says() {
    for (text, path, origin, host, keep) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "/", "/", "a", true),
        ("\r\n\r\nGET /x?y HTTP/1.1\r\nHost: \ta:80 \r\n\r\n", "/x", "/x?y", "a:80", true),
        ("GET /x HTTP/1.9\r\nHost: a\r\n\r\n", "/x", "/x", "a", true),
        ("GET HTTP://A/x?y HTTP/1.1\r\nHost: a\r\n\r\n", "/x", "/x?y", "A", true),
        ("GET https://a HTTP/1.1\r\nHost: a\r\n\r\n", "/", "", "a", true),
        ("GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n", "/", "?q", "a", true),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "*", "*", "a", true),
        ("GET /x HTTP/1.0\r\n\r\n", "/x", "/x", "", false),
        ("GET http://b/x HTTP/1.0\r\n\r\n", "/x", "/x", "b", false),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "/", "/", "", true),
        ("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", "/", "/", "", false),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: , CLOSE\r\n\r\n", "/", "/", "a", false),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", "/", "/", "", true),
        ("CONNECT a:443 HTTP/1.1\r\nHost: A:443\r\n\r\n", "", "a:443", "a:443", true),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", "", "a:443", "a:443", true),
        ("CONNECT [::1]:443 HTTP/1.0\r\n\r\n", "", "[::1]:443", "[::1]:443", false),
    ] {
        let (head, parse) = parse(text.as_bytes()).unwrap();
        let request = head.view(text.as_bytes());
        assert_eq!(parse, Parse::Whole, "{text:?}");
        assert_eq!(head.len(), text.len());
        let said = (request.path(), request.origin_form(), request.host(), request.keep_alive());
        assert_eq!(said, (path.as_bytes(), origin.as_bytes(), host.as_bytes(), keep), "{text:?}");
    }
    let expects = |text: &str| parse(text.as_bytes()).unwrap().0.view(text.as_bytes()).expects_continue();
    assert!(expects("GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n\r\n"));
    assert!(!expects("GET / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\n\r\n"));
    assert!(!expects("GET / HTTP/1.0\r\nHost: a\r\nExpect: miracles\r\n\r\n"));
}

#[test]
fn a_path_written_anew_is_what_is_routed_and_forwarded_and_the_target_is_what_came() {
    let rules = Rules { dots: Rule::Resolve, slashes: Rule::Keep, encoded_slashes: Rule::Keep };
    let mut head = RequestHead::default();
    for (target, expected) in [
        ("/a/../b?x=/../%zz", Ok(("/b", "/b?x=/../%zz"))),
        ("http://a/%7Ex/.?q", Ok(("/~x/", "/~x/?q"))),
        ("/plain?%zz", Ok(("/plain", "/plain?%zz"))),
        ("http://a?/../", Ok(("/", "?/../"))),
        ("/a/../..?x", Err(Refusal::AboveRoot)),
        ("/%61%zz", Err(Refusal::BadEscape)),
        ("/", Ok(("/", "/"))),
    ] {
        let text = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        head.reset();
        assert_eq!(head.parse(text.as_bytes(), &LIMITS), Ok(Parse::Whole));
        let done = head.normalise_path(text.as_bytes(), rules);
        let request = head.view(text.as_bytes());
        assert_eq!(request.target(), target.as_bytes());
        assert_eq!(done, expected.map(drop), "{target}");
        if let Ok((path, origin)) = expected {
            assert_eq!((request.path(), request.origin_form()), (path.as_bytes(), origin.as_bytes()), "{target}");
        }
    }
    let asterisk = b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n";
    head.reset();
    assert_eq!(head.parse(asterisk, &LIMITS), Ok(Parse::Whole));
    assert_eq!(head.normalise_path(asterisk, rules), Ok(()));
    assert_eq!((head.view(asterisk).path(), head.view(asterisk).origin_form()), (&b"*"[..], &b"*"[..]));
}

#[test]
fn a_head_is_used_again_without_remains() {
    let mut head = RequestHead::default();
    let first = b"OPTIONS /1 HTTP/1.0\r\nHost: first\r\nConnection: keep-alive, x\r\nExpect: 100-continue\r\n\r\n";
    assert_eq!(head.parse(first, &LIMITS), Ok(Parse::Whole));
    head.reset();
    let second = b"GET /2 HTTP/1.1\r\nHost: b\r\n\r\nGET /3";
    assert_eq!(head.parse(second, &LIMITS), Ok(Parse::Whole));
    let request = head.view(second);
    assert_eq!((request.path(), request.host(), head.len()), (&b"/2"[..], &b"b"[..], second.len() - 6));
    assert!(request.keep_alive() && !request.expects_continue());
    assert_eq!(request.fields().count(), 1);
    assert!(!request.raw().2);
}

#[test]
fn each_known_field_and_its_twin() {
    assert_eq!(Known::of(b"X-FORWARDED-for"), Known::XForwardedFor);
    assert_eq!(Known::of(b"x_forwarded-For"), Known::Twin);
    assert_eq!(Known::of(b"X-Forwarded-prefix"), Known::XForwarded);
    assert_eq!(Known::of(b"X-Forwarded-a"), Known::XForwarded);
    assert_eq!(Known::of(b"x_Forwarded_a"), Known::Twin);
    assert_eq!(Known::of(b"x-forwarded-"), Known::Other);
    assert_eq!(Known::of(b"x-forwarder-a"), Known::Other);
    assert_eq!(Known::of(b"Content_Length"), Known::Twin);
    assert_eq!(Known::of(b"x_a"), Known::Other);
    assert_eq!(Known::of(b""), Known::Other);
    for len in 0..32 {
        for (name, known) in Known::candidates(len) {
            assert_eq!((name.len(), Known::of(name)), (len, *known));
            assert_eq!(Known::of(&name.to_ascii_uppercase()), *known);
        }
    }
}

#[test]
fn each_fault_of_a_response() {
    for (text, outcome) in [
        ("HTTP/1.1 200 OK\r\n\r\n", Ok(Parse::Whole)),
        ("HTTP/1.1 200\r\n\r\n", Ok(Parse::Whole)),
        ("HTTP/1.1 200 \r\nX : y\r\n\r\n", Ok(Parse::Whole)),
        ("HTTP/1.1 200 OK\r\nX: y\r\n", Ok(Parse::Partial)),
        ("HTTP/1.1 099 OK\r\n\r\n", Err(Fault::BadStatus)),
        ("HTTP/1.1 600 OK\r\n\r\n", Err(Fault::BadStatus)),
        ("HTTP/1.1  200 OK\r\n\r\n", Err(Fault::BadStatusLine)),
        ("HTTP/2.0 200 OK\r\n\r\n", Err(Fault::BadStatusLine)),
        ("HTTP/1.1 20 OK\r\n\r\n", Err(Fault::BadStatusLine)),
        ("HTTP/1.1 2000\r\n\r\n", Err(Fault::BadStatusLine)),
        ("HTTP/1.1 200 O\rK\r\n\r\n", Err(Fault::BadStatusLine)),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", Err(Fault::BadStatusLine)),
        ("200 OK\r\n\r\n", Err(Fault::BadStatusLine)),
        ("HTTP/1.1 200 OK\nX: y\r\n\r\n", Err(Fault::BareLineEnd)),
        ("HTTP/1.1 200 OK\r\nX: y\n\r\n", Err(Fault::BareLineEnd)),
        ("HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n", Err(Fault::BadField)),
        ("HTTP/1.1 200 OK\r\nX: \x01\r\n\r\n", Err(Fault::BadField)),
    ] {
        let mut head = ResponseHead::default();
        assert_eq!(head.parse(text.as_bytes(), &LIMITS), outcome, "{text:?}");
        let mut head = ResponseHead::default();
        let mut seen = Ok(Parse::Partial);
        for end in 1..=text.len() {
            if seen == Ok(Parse::Partial) {
                seen = head.parse(&text.as_bytes()[..end], &LIMITS);
            }
        }
        assert_eq!(seen, outcome, "{text:?} byte by byte");
    }
    let long = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(600));
    assert_eq!(ResponseHead::default().parse(long.as_bytes(), &LIMITS), Err(Fault::HeadTooLarge));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(9));
    assert_eq!(ResponseHead::default().parse(many.as_bytes(), &LIMITS), Err(Fault::HeadTooLarge));
}

#[test]
fn bytes_one_by_one_are_parsed_once_a_line() {
    let limits =
        HeadLimits { head_bytes: limits::REQUEST_HEAD_BYTES, fields: limits::REQUEST_FIELDS, target_bytes: 8192 };
    let fields: String = (0..99).map(|n| format!("X-{n}: {}\r\n", "v".repeat(155))).collect();
    let text = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    assert!(text.len() > 15 * 1024 && text.len() <= limits.head_bytes);
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "p".repeat(8000), "v".repeat(8000));
    for (text, most) in [(&text, 104), (&long, 6)] {
        // One for each line, one for the first byte, one when a first line would be too long.
        let mut head = RequestHead::default();
        PARSES.set(0);
        for end in 1..text.len() {
            assert_eq!(head.parse(&text.as_bytes()[..end], &limits), Ok(Parse::Partial));
        }
        assert_eq!(head.parse(text.as_bytes(), &limits), Ok(Parse::Whole));
        assert!(PARSES.get() <= most, "{} parses", PARSES.get());
    }
}

/// Text that is nearly a request.
fn nearly() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "GET",
        "OPTIONS",
        "CONNECT",
        " ",
        "/",
        "/x?y",
        "http://a",
        "*",
        "HTTP/1.1",
        "HTTP/1.0",
        "HTTP/1.2",
        "HTTP/2.0",
        "\r\n",
        "\r\n",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\r",
        "Host: a\r\n",
        "Host",
        ":",
        "X: y\r\n",
        "Connection: x\r\n",
        "\t",
        "\0",
        "\u{e4}",
        "Expect: z\r\n",
        "GET / HTTP/1.1\r\n",
        "Max-Forwards: 0\r\n",
        "pppppppppppppppppppppppppppppppp",
    ]);
    prop::collection::vec(word, 0..24).prop_map(|words| words.concat().into_bytes())
}

proptest! {
    #[test]
    fn pieces_do_not_matter(bytes in nearly(), mut cuts in prop::collection::vec(1_usize..300, 0..6)) {
        cuts.sort_unstable();
        let (whole, pieces) = (parse(&bytes), in_pieces(&bytes, &cuts));
        let (whole, pieces) = (seen(&whole, &bytes), seen(&pieces, &bytes));
        // What is wrong in a line that has not ended may be seen once it has.
        let waits = pieces == "partial" && !whole.starts_with(|c: char| c.is_ascii_digit()) && {
            let mut more = bytes.clone();
            more.push(b'\n');
            seen(&in_pieces(&more, &cuts), &more) == seen(&parse(&more), &more)
        };
        prop_assert!(whole == pieces || waits, "{:?}: {} {}", String::from_utf8_lossy(&bytes), whole, pieces);
    }

    #[test]
    fn nothing_panics(bytes in prop::collection::vec(any::<u8>(), 0..600), text in nearly()) {
        for bytes in [bytes, text] {
            if let Ok((head, _)) = parse(&bytes) {
                let request = head.view(&bytes);
                let _ = (request.host_name(), request.path(), request.fields().count());
                let _ = crate::http::framing::request(request);
            }
            let mut head = ResponseHead::default();
            let _ = head.parse(&bytes, &LIMITS);
            let mut line = b"HTTP/1.1 200 OK\r\n".to_vec();
            line.extend_from_slice(&bytes);
            head.reset();
            if head.parse(&line, &LIMITS) == Ok(Parse::Whole) {
                let _ = crate::http::framing::response(head.view(&line), Method::Get);
            }
            let _ = crate::http::host::name(&bytes);
        }
    }

    #[test]
    fn every_second_has_a_date(second in any::<u64>()) {
        prop_assert!(crate::http::date::line(second).is_ascii());
    }
}
