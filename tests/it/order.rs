//! Order: of answers on a connection, of the responses to one request, of the fields of a message, and of an answer that
//! comes before the end of its request. RFC 9110 §7.6.1, §9.3.2, §15.2, RFC 9112 §9.3.2, §9.6.

use std::io::Write;

use crate::support::Broken;
use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::ok;
use crate::support::pattern;
use crate::support::simple;

/// Names and values, in their order, of those that the gateway does not write itself.
fn theirs(fields: &[(String, String)]) -> Vec<String> {
    let own = ["host", "via", "x-forwarded", "forwarded", "x-request-id", "traceparent", "connection", "date"];
    let foreign = fields.iter().filter(|(name, _)| !own.iter().any(|own| name.to_lowercase().starts_with(own)));
    foreign.map(|(name, value)| format!("{name}: {value}")).collect()
}

#[test]
fn pipelined_requests_of_every_kind_are_answered_in_order_with_an_error_among_them() {
    let origin = Origin::answer(|request| match request.target.as_str() {
        "/chunked" => format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
            request.body.len().max(1),
            if request.body.is_empty() { "-" } else { request.text() }
        ),
        "/204" => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        "/broken" => "nonsense\r\n\r\n".to_owned(),
        target if request.method == "HEAD" => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", target.len()),
        target => ok(&format!("{target} {}", request.text())),
    });
    let toml = simple(&[&origin], "retry = { attempts = 1 }", "").replace("[host.\"*\"]", "[host.\"a\"]");
    let gateway = Gateway::start(&toml);
    let mut raw = Raw::connect(gateway.http());
    raw.send(
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n\
         POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
         POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\nX-T: 1\r\n\r\n\
         HEAD /four HTTP/1.1\r\nHost: a\r\n\r\n\
         POST /5 HTTP/1.1\r\nHost: nobody\r\nContent-Length: 7\r\n\r\nGET / x\
         GET /204 HTTP/1.1\r\nHost: a\r\n\r\n\
         GET /broken HTTP/1.1\r\nHost: a\r\n\r\n\
         \r\nPUT /8 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n\
         GET /chunked HTTP/1.1\r\nHost: a\r\n\r\n\
         GET /a/../.. HTTP/1.1\r\nHost: a\r\n\r\n\
         GET /never HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    assert_eq!(raw.read_response().text(), "/1 ");
    assert_eq!(raw.read_response().text(), "/2 abc");
    assert_eq!(raw.read_response().text(), "xyz");
    assert_eq!(raw.read_response_to_head().field("content-length"), "5");
    assert_eq!(raw.read_response().status, 404);
    assert_eq!(raw.read_response().status, 204);
    assert_eq!(raw.read_response().status, 502);
    assert_eq!(raw.read_response().text(), "/8 ");
    assert_eq!(raw.read_response().text(), "-");
    let last = raw.read_response();
    assert_eq!((last.status, last.closes()), (400, true));
    raw.expect_closed();
    assert!(origin.requests().iter().all(|request| request.target != "/never"));
}

#[test]
fn a_slow_answer_holds_back_those_behind_it() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::answer(move |request| {
        if request.target == "/slow" {
            held.wait();
        }
        ok(&request.target)
    });
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\nGET /quick HTTP/1.1\r\nHost: a\r\n\r\n");
    gate.wait_for_waiting(1);
    raw.expect_silence();
    gate.open();
    assert_eq!([raw.read_response().text(), raw.read_response().text()], ["/slow", "/quick"]);
}

#[test]
fn head_is_answered_without_a_body_whatever_the_answer() {
    let origin = Origin::answer(|request| {
        let head = match request.target.as_str() {
            "/length" => "200 OK\r\nContent-Length: 1234",
            "/zero" => "200 OK\r\nContent-Length: 0",
            "/chunked" => "200 OK\r\nTransfer-Encoding: chunked",
            "/unknown" => "200 OK\r\nETag: \"a\"",
            "/204" => "204 No Content",
            "/304" => "304 Not Modified\r\nContent-Length: 99",
            "/404" => "404 Not Found\r\nContent-Length: 7",
            _ => "200 OK\r\nContent-Length: x",
        };
        format!("HTTP/1.1 {head}\r\n\r\n")
    });
    let toml = simple(&[&origin], "retry = { attempts = 1 }", "").replace("[host.\"*\"]", "[host.\"a\"]");
    let gateway = Gateway::start(&toml);
    let mut raw = Raw::connect(gateway.http());
    for (host, target, status, length) in [
        ("a", "/length", 200, "1234"),
        ("a", "/zero", 200, "0"),
        ("a", "/chunked", 200, ""),
        ("a", "/unknown", 200, ""),
        ("a", "/204", 204, ""),
        ("a", "/304", 304, "99"),
        ("a", "/404", 404, "7"),
    ] {
        raw.send(format!("HEAD {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let response = raw.read_response_to_head();
        assert_eq!((response.status, response.field("content-length")), (status, length), "{target}");
    }
    // What a GET would be told of the gateway's own answers, HEAD is told without it.
    for (host, target, status) in [("nobody", "/", 404), ("a", "/broken", 502), ("a", "/..", 400)] {
        let ask = |method: &str, raw: &mut Raw| raw.send(format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        ask("HEAD", &mut raw);
        let head = raw.read_response_to_head();
        let mut other = Raw::connect(gateway.http());
        ask("GET", &mut other);
        let whole = other.read_response();
        assert_eq!((head.status, whole.status), (status, status));
        assert_eq!(head.field("content-length"), whole.body.len().to_string(), "{target}");
    }
    raw.expect_closed();
}

#[test]
fn fields_keep_order_case_and_bytes_both_ways() {
    let origin = Origin::answer(|_| {
        b"HTTP/1.1 200 OK\r\nzeta: 1\r\nALPHA: caf\xe9 \xff\x80\r\nConnection: X-gone\r\nzeta:2\r\nx-GONE: 3\r\nTrailer: X-T\r\n\
          mIxEd: \tinner  blanks\tand tabs \r\nETag: W/\"\xc3\xa9\"\r\nContent-Length: 0\r\nlast: \r\n\r\n"
    });
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send(
        b"GET / HTTP/1.1\r\nzeta: 1\r\nHost: a\r\nALPHA: caf\xe9 \xff\x80\r\nConnection: TE, X-gone\r\nzeta:2\r\nTE: trailers\r\n\
          x-GONE: 3\r\nTrailer: X-T\r\nmIxEd: \tinner  blanks\tand tabs \r\nIf-Match: \"\xc3\xa9\"\r\nlast: \r\n\r\n",
    );
    let response = raw.read_response();
    let kept = |tag: &str| {
        [
            "zeta: 1",
            "ALPHA: caf\u{e9} \u{ff}\u{80}",
            "zeta: 2",
            "Trailer: X-T",
            "mIxEd: inner  blanks\tand tabs",
            tag,
            "last: ",
        ]
        .map(str::to_owned)
    };
    let mut passed = kept("If-Match: \"\u{c3}\u{a9}\"").to_vec();
    passed.push("TE: trailers".into());
    assert_eq!(theirs(&origin.wait_for(1).fields), passed, "and what is of each hop is said anew");
    let mut expected = kept("ETag: W/\"\u{c3}\u{a9}\"").to_vec();
    expected.push("Content-Length: 0".into());
    assert_eq!(theirs(&response.fields), expected);
}

#[test]
fn interim_responses_come_one_by_one_in_their_order_before_the_final_one() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::script(move |conn| {
        while conn.read_request().is_some() {
            conn.write("HTTP/1.1 103 Early Hints\r\nLink: </1>\r\n\r\n");
            held.wait();
            conn.write("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </2>\r\nLink: </3>\r\n\r\n");
            conn.write(ok("last"));
        }
    });
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let first = String::from_utf8(raw.read_some()).unwrap();
    assert_eq!(first, "HTTP/1.1 103 Early Hints\r\nLink: </1>\r\n\r\n", "it is not kept until there are more");
    gate.open();
    let response = raw.read_response();
    let interim: Vec<_> = response.interim.iter().map(|(status, fields)| (*status, theirs(fields).join("|"))).collect();
    assert_eq!(interim, [(102, String::new()), (103, "Link: </2>|Link: </3>".into())]);
    assert_eq!(response.text(), "last");
    let second = raw.get("/");
    assert_eq!((second.interim.len(), origin.connections()), (3, 1), "the connection lives on");
}

#[test]
fn nobody_but_the_service_says_100_and_nobody_but_the_client_asks_for_it() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::script(move |conn| {
        while let Some(mut request) = conn.read_head() {
            if !request.field("expect").is_empty() {
                held.wait();
                conn.write("HTTP/1.1 100 Continue\r\n\r\n");
            }
            conn.read_body(&mut request);
            conn.write(ok(request.text()));
        }
    });
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
    let plain = raw.read_response();
    assert_eq!((plain.interim.len(), plain.text()), (0, "body"));
    assert!(origin.wait_for(1).all("expect").is_empty(), "an expectation was made up");
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    gate.wait_for_waiting(1);
    raw.expect_silence();
    gate.open();
    assert_eq!(raw.read_at_least(25), b"HTTP/1.1 100 Continue\r\n\r\n");
    raw.send("body");
    assert_eq!(raw.read_response().text(), "body");
}

/// Sends so many bytes of body behind the head, come what may, and only then reads: the whole answer, then a clean end.
fn send_all_then_read(gateway: &Gateway, head: &str, bytes: usize) -> String {
    let mut raw = Raw::connect(gateway.http());
    raw.send(head);
    let piece = vec![b'x'; 64 << 10];
    let mut left = bytes;
    while left > 0 {
        let n = left.min(piece.len());
        raw.send(&piece[..n]);
        left -= n;
    }
    raw.half_close();
    String::from_utf8(raw.read_to_end()).unwrap()
}

const MANY: usize = 10 << 20;

#[test]
fn a_client_that_sends_on_after_its_answer_reads_the_whole_of_it_and_no_reset() {
    let body = "n".repeat(50_000);
    let answer = format!("HTTP/1.1 403 Forbidden\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let closing = answer.clone();
    let origins = [
        // Answers, and takes no more; answers, and goes. Neither kernel is to take all that comes meanwhile: then it would have
        // been a whole request, and no reason to close.
        Origin::script(move |conn| {
            conn.shrink_window();
            conn.read_head();
            conn.write(&answer);
            conn.wait_closed();
        }),
        Origin::script(move |conn| {
            conn.shrink_window();
            conn.read_head();
            conn.write(&closing);
        }),
    ];
    for origin in &origins {
        let gateway = Gateway::before(&[origin]);
        for framing in ["Content-Length: 10485760\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\na00000\r\n"] {
            let said = send_all_then_read(&gateway, &format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}"), MANY);
            assert!(said.starts_with("HTTP/1.1 403 ") && said.ends_with(&body), "{} bytes", said.len());
            assert!(said.contains("\r\nConnection: close\r\n"));
            assert_eq!(said.matches("HTTP/1.1 ").count(), 1);
        }
    }
}

#[test]
fn a_client_that_sends_on_after_a_refusal_reads_it_and_no_reset() {
    let origin = Origin::named("a");
    let toml = simple(&[&origin], "", "")
        .replace("[host.\"*\"]", "[host.\"a\"]")
        .replace("upstream = \"app\" }", "upstream = \"app\", max_body = \"1KiB\" }");
    let gateway = Gateway::start(&toml);
    let length = format!("Content-Length: {MANY}\r\n\r\n");
    for (head, status) in [
        (format!("POST / HTTP/1.1\r\nHost: a\r\n{length}"), 413),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\na00000\r\n".to_owned(), 413),
        (format!("POST / HTTP/1.1\r\nHost: nobody\r\n{length}"), 404),
        (format!("POST /.. HTTP/1.1\r\nHost: a\r\n{length}"), 400),
        (format!("POST / HTTP/1.1\r\nHost: a\r\nBad Field: x\r\n{length}"), 400),
    ] {
        let said = send_all_then_read(&gateway, &head, MANY);
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{head:?}: {said:?}");
        assert!(said.contains("request id: ") && said.contains("\r\nConnection: close\r\n"), "{said:?}");
    }
}

#[test]
fn the_body_stops_where_its_answer_has_come_and_the_service_is_left_alone() {
    let origin = Origin::script(|conn| {
        conn.read_head();
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
        conn.wait_closed();
    });
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {MANY}\r\n\r\nbegun"));
    let response = raw.read_response();
    assert_eq!((response.status, response.text(), response.closes()), (200, "done", true));
    origin.wait_for_open(0);
    let mut sender = raw.sender();
    sender.write_all(&pattern(1 << 20)).unwrap();
    assert!(matches!(raw.try_read_response(), Err(Broken::Closed)), "an end, and no reset");
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.ended(), line.num("status")), ("ok", 200));
}
