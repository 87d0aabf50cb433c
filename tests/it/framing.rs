//! Where a message ends: whatever is ambiguous is refused, and nothing of it reaches anybody else. RFC 9112 §2.2, §3, §5,
//! §6, §7, §11.

use crate::support::Broken;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::simple;

/// Refused with any of 400, 501 and 505: which of them is a matter of taste.
const ANY: u16 = 0;

/// Heads that break a rule: refused with this status before the upstream hears of them, and the connection closed.
const REFUSED_HEADS: &[(u16, &str)] = &[
    (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 4\r\n\r\nabcd"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3 3\r\n\r\nabc"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n"),
    (ANY, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    (ANY, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    (ANY, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    (400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    (400, "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX y: 1\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"),
    (400, "GET / HTTP/1.1\nHost: a\n\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n"),
    (400, "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (ANY, "GET / x HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /#part HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET x HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (ANY, "GET /\r\nHost: a\r\n\r\n"),
    (ANY, "GET / http/1.1\r\nHost: a\r\n\r\n"),
    (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    (501, "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n"),
];

/// Chunked bodies that break a rule: never whole at the upstream.
const BROKEN_CHUNKS: &[&str] = &[
    "g\r\nabc\r\n0\r\n\r\n",
    "3\nabc\r\n0\r\n\r\n",
    "3\r\nabcd\r\n0\r\n\r\n",
    "3\r\nabc\n0\r\n\r\n",
    "3\r\nabcXX0\r\n\r\n",
    "-3\r\nabc\r\n0\r\n\r\n",
    "+3\r\nabc\r\n0\r\n\r\n",
    "0x3\r\nabc\r\n0\r\n\r\n",
    "3 \x01\r\nabc\r\n0\r\n\r\n",
    "\r\nabc\r\n0\r\n\r\n",
    "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "10000000000000003\r\nabc\r\n0\r\n\r\n",
    "3;a=\"\n\"\r\nabc\r\n0\r\n\r\n",
    "3\r\nabc\r\n0\r\nBad Name: x\r\n\r\n",
    "3\r\nabc\r\n0\r\nX: a\n\r\n",
    "3\r\nabc\r\n0\r\n Folded: x\r\n\r\n",
];

/// Responses that break a rule: 502, the connection closed, and nothing of it in the next answer.
const BROKEN_RESPONSES: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked, x\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
    "HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    "ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
    "hello\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
];

#[test]
fn an_ambiguous_or_ill_formed_head_is_refused_closed_and_reaches_nobody() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    let mut faults = Vec::new();
    for (status, head) in REFUSED_HEADS {
        let mut raw = Raw::connect(gateway.http());
        drop(raw.try_send(format!("{head}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")));
        match raw.try_read_response() {
            Ok(response) => {
                let any = *status == ANY && [400, 501, 505].contains(&response.status);
                if !(any || response.status == *status) || !response.closes() {
                    faults.push(format!("{head:?}: {response:?}"));
                }
            }
            Err(broken) => faults.push(format!("{head:?}: {broken}")),
        }
        if !matches!(raw.try_read_response(), Err(Broken::Closed | Broken::Cut(_))) {
            faults.push(format!("{head:?}: not closed"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(origin.requests(), [], "something came through");
    let ended = gateway.wait_log_lines(REFUSED_HEADS.len(), |line| line.str("who") == "client");
    assert!(ended.iter().all(|line| matches!(line.ended(), "bad_request" | "bad_version" | "not_implemented")));
}

#[test]
fn a_broken_chunked_body_is_never_whole_at_the_upstream_and_ends_the_connection() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    for body in BROKEN_CHUNKS {
        let mut raw = Raw::connect(gateway.http());
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        drop(raw.try_send(format!("{head}{body}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")));
        match raw.try_read_response() {
            Ok(response) => assert_eq!(response.status, 400, "{body:?}"),
            Err(Broken::Closed | Broken::Cut(_)) => {}
            Err(broken) => panic!("{body:?}: {broken:?}"),
        }
        raw.expect_closed();
    }
    origin.wait_for_open(0);
    let whole: Vec<_> = origin.requests().into_iter().filter(|request| request.complete).collect();
    assert_eq!(whole, [], "taken for whole, or smuggled");
}

#[test]
fn chunk_extensions_are_dropped_and_bounded() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    let send = |body: String| {
        let mut raw = Raw::connect(gateway.http());
        drop(raw.try_send(format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}")));
        raw.try_read_response()
    };
    assert_eq!(send("3;a=b;c=\"d\"\r\nabc\r\n0;x\r\n\r\n".into()).unwrap().status, 200);
    assert_eq!(origin.wait_for(1).text(), "abc");
    let long_line = format!("3;{}\r\nabc\r\n0\r\n\r\n", "a".repeat(300));
    assert!(send(long_line).is_ok_and(|response| response.status == 400));
    let many = format!("{}0\r\n\r\n", format!("1;{}\r\nx\r\n", "a".repeat(200)).repeat(200));
    assert!(send(many).map_or(true, |response| response.status == 400));
    gateway.wait_log_lines(2, |line| line.ended() == "bad_request");
    crate::support::eventually("only the healthy connection is left", || origin.open_connections() <= 1);
    assert_eq!(origin.requests().iter().filter(|request| request.complete).count(), 1);
}

#[test]
fn same_content_length_twice_is_one_or_refused_but_never_two() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc");
    let response = raw.read_response();
    assert!(matches!(response.status, 200 | 400));
    for request in origin.requests() {
        assert_eq!((request.all("content-length"), request.text()), (vec!["3"], "abc"));
    }
}

#[test]
fn heads_fields_and_targets_over_their_bounds_are_refused() {
    let origin = Origin::named("a");
    let gateway = Gateway::start(&simple(&[&origin], "", "head = \"4KiB\"\nfields = 20\ntarget = \"1KiB\""));
    let send = |bytes: String| {
        let mut raw = Raw::connect(gateway.http());
        drop(raw.try_send(bytes));
        let response = raw.read_response();
        assert!(response.status == 200 || response.closes(), "{response:?}");
        response.status
    };
    let fields = |n: usize| (1..n).map(|n| format!("X-{n}: a\r\n")).collect::<String>();
    assert_eq!(send(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", fields(20))), 200);
    assert_eq!(send(format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", fields(21))), 431);
    assert_eq!(send(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(3900))), 200);
    assert_eq!(send(format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(4200))), 431);
    assert_eq!(send(format!("GET / HTTP/1.1\r\nHost: a\r\n{}: a\r\n\r\n", "x".repeat(70_000))), 431);
    assert_eq!(send(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(1023))), 200);
    assert_eq!(send(format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(1024))), 414);
    assert_eq!(origin.requests().len(), 3);
    assert_eq!(gateway.wait_log_lines(3, |line| line.ended() == "head_too_large").len(), 3);
    assert_eq!(gateway.wait_log_lines(1, |line| line.ended() == "target_too_long").len(), 1);
}

#[test]
fn a_broken_response_becomes_502_and_its_connection_is_not_used_again() {
    let mut faults = Vec::new();
    for broken in BROKEN_RESPONSES {
        let origin = Origin::script(move |conn| {
            conn.read_request();
            if conn.number == 0 {
                conn.write(broken);
                conn.wait_closed();
            } else {
                conn.write(crate::support::ok("good"));
            }
        });
        let gateway = Gateway::start(&simple(&[&origin], "retry = { attempts = 1 }", ""));
        let mut raw = Raw::connect(gateway.http());
        let first = raw.get("/1");
        let second = raw.get("/2");
        let line = gateway.wait_log(|line| line.path() == "/1");
        let right = first.status == 502
            && first.text().contains("upstream_bad_response")
            && second.text() == "good"
            && line.ended() == "upstream_bad_response"
            && line.str("who") == "upstream";
        if !right {
            faults.push(format!("{broken:?}: {} {:?}, {}", first.status, first.text(), line.ended()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_space_before_the_colon_of_a_response_field_goes_no_further() {
    let origin = Origin::fixed("HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 0\r\n\r\n");
    let gateway = Gateway::start(&simple(&[&origin], "retry = { attempts = 1 }", ""));
    let response = crate::support::get(gateway.http(), "/"); // refused, or without the space: RFC 9112 section 5.1
    assert!(response.status == 502 || response.field("x-a") == "b", "{response:?}");
}

#[test]
fn a_response_head_without_end_becomes_502_within_bounds() {
    let origin = Origin::script(|conn| {
        conn.read_request();
        conn.write("HTTP/1.1 200 OK\r\n");
        while conn.write(format!("X: {}\r\n", "a".repeat(1000))) {}
    });
    let gateway = Gateway::start(&simple(&[&origin], "retry = { attempts = 1 }", ""));
    let response = crate::support::get(gateway.http(), "/");
    assert_eq!((response.status, response.text().contains("upstream_bad_response")), (502, true));
    origin.wait_for_open(0);
}

#[test]
fn a_response_with_broken_chunks_is_never_whole_at_the_client() {
    for body in
        ["3\r\nabcd\r\n0\r\n\r\n", "x\r\n", "3\r\nab", "3\r\nabc\r\n", "3\r\nabc\n0\r\n\r\n", "3\r\nabc\r\n0\r\n"]
    {
        let origin = Origin::script(move |conn| {
            conn.read_request();
            conn.write(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
        });
        let gateway = Gateway::before(&[&origin]);
        let mut raw = Raw::connect(gateway.http());
        raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        match raw.try_read_response() {
            Ok(response) => assert_eq!(response.status, 502, "{body:?} was taken for whole"),
            Err(Broken::Cut(_)) => {}
            Err(broken) => panic!("{body:?}: {broken:?}"),
        }
        let line = gateway.wait_log(|_| true);
        assert_eq!(line.str("who"), "upstream", "{body:?}");
    }
}

#[test]
fn empty_lines_before_a_request_are_passed_over() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    for _ in 0..2 {
        raw.send("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(raw.read_response().status, 200);
    }
}

/// Framing fields in every spelling that some reader takes for one.
const SPELLINGS: &[&str] = &[
    "Content-Length: 5",
    "Content-Length: 05",
    "Content-Length: +5",
    "Content-Length: 5, 5",
    "Content-Length: 5;",
    "Content-Length: 0",
    "Content-Length:",
    "content-length:5",
    "Content-Length: \"5\"",
    "Transfer-Encoding: chunked",
    "transfer-encoding:CHUNKED",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: ,chunked",
    "Transfer-Encoding: chunked,",
    "Transfer-Encoding: chunked;a=b",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding:",
];

#[test]
fn two_fields_that_frame_are_refused_in_every_spelling_and_the_connection_closed() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    let mut faults = Vec::new();
    for one in SPELLINGS {
        for other in SPELLINGS {
            let mut raw = Raw::connect(gateway.http());
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{one}\r\nX: y\r\n{other}\r\n\r\n");
            drop(raw.try_send(format!("{head}0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")));
            match raw.try_read_response() {
                Ok(response) if response.status == 400 && response.closes() => {}
                outcome => faults.push(format!("{one:?} {other:?}: {outcome:?}")),
            }
            if !matches!(raw.try_read_response(), Err(Broken::Closed | Broken::Cut(_))) {
                faults.push(format!("{one:?} {other:?}: not closed"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(origin.requests(), [], "something came through");
}
