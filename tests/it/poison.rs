//! Words at the wrong time, too many of them, or too few: what a service says is the answer to its own request or to none,
//! and what breaks off is whole to nobody. RFC 9112 §6.3, §8, §9.2, §9.5, §9.6, RFC 9110 §6.5, §15.5.9.

use std::sync::Arc;

use crate::support::Broken;
use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Request;
use crate::support::eventually;
use crate::support::ok;
use crate::support::simple;

#[test]
fn a_late_408_is_not_the_answer_to_the_next_request() {
    let gates: Arc<Vec<(Gate, Gate)>> = Arc::new((0..4).map(|_| (Gate::new(), Gate::new())).collect());
    let held = gates.clone();
    let origin = Origin::script(move |conn| {
        let Some(request) = conn.read_request() else { return };
        conn.write(ok(&request.target));
        let (say, said) = &held[conn.number];
        say.wait();
        // As a server does whose idle connection has had its time: a word, and the end.
        conn.write("HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlate");
        if conn.number % 2 == 0 {
            conn.close();
        }
        said.open();
        conn.wait_closed();
    });
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    for (n, (say, said)) in gates.iter().enumerate() {
        let path = format!("/{n}");
        raw.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"));
        let response = raw.read_response();
        assert_eq!((response.status, response.text()), (200, path.as_str()));
        assert_eq!(origin.connections(), n + 1, "a connection that has said too much was used again");
        say.open();
        said.wait();
    }
}

#[test]
fn content_where_none_may_be_is_nobodys_answer() {
    let evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    for (method, head) in [
        ("HEAD", "200 OK\r\nContent-Length: 44"),
        ("HEAD", "200 OK"),
        ("HEAD", "200 OK\r\nTransfer-Encoding: chunked"),
        ("GET", "204 No Content"),
        ("GET", "204 No Content\r\nContent-Length: 44"),
        ("GET", "304 Not Modified\r\nContent-Length: 44"),
        ("GET", "200 OK\r\nContent-Length: 0"),
        ("GET", "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0"),
    ] {
        let origin = Origin::script(move |conn| {
            while let Some(request) = conn.read_request() {
                match request.target.as_str() {
                    "/evil" => conn.write(format!("HTTP/1.1 {head}\r\n\r\n{evil}")),
                    target => conn.write(ok(target)),
                };
            }
        });
        let gateway = Gateway::start(
            &simple(&[&origin], "", "").replace("[listen", "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\n\n[listen"),
        );
        let mut raw = Raw::connect(gateway.http());
        raw.send(format!("{method} /evil HTTP/1.1\r\nHost: a\r\n\r\n"));
        let response = if method == "HEAD" { raw.read_response_to_head() } else { raw.read_response() };
        assert!(response.body.is_empty(), "{method} {head:?}: {response:?}");
        assert_eq!(raw.get("/own").text(), "/own", "{method} {head:?}");
        assert_eq!(origin.connections(), 2, "{method} {head:?}: the connection was used again");
    }
}

#[test]
fn many_clients_of_a_service_that_says_too_much_get_each_its_own() {
    let origin = Origin::script(|conn| {
        while let Some(request) = conn.read_request() {
            let mut bytes = ok(&request.target);
            if request.target.ends_with('7') {
                bytes += &ok("stolen");
            }
            if request.target.ends_with('3') {
                bytes += "\r\n";
            }
            if !conn.write(bytes) {
                return;
            }
        }
    });
    let gateway = Gateway::before(&[&origin]);
    std::thread::scope(|scope| {
        for client in 0..4 {
            let addr = gateway.http();
            scope.spawn(move || {
                let mut raw = Raw::connect(addr);
                for n in 0..100 {
                    let path = format!("/{client}/{n}");
                    assert_eq!(raw.get(&path).text(), path);
                }
            });
        }
    });
    assert!(origin.connections() > 40, "{} connections: those with too much were used again", origin.connections());
}

/// How an upload ends before its end.
#[derive(Clone, Copy, Debug)]
enum Break {
    Fin,
    HalfClose,
    Reset,
    BadChunk,
}

#[test]
fn an_upload_that_breaks_off_is_never_whole_at_the_service() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    let length = "Content-Length: 10\r\n\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    let mut wanted = 0;
    for (framing, begin) in [
        (length, ""),
        (length, "half."),
        (length, "nine byte"),
        (chunked, ""),
        (chunked, "5"),
        (chunked, "5\r\nhel"),
        (chunked, "5\r\nhello"),
        (chunked, "5\r\nhello\r\n"),
        (chunked, "5\r\nhello\r\n0"),
        (chunked, "5\r\nhello\r\n0\r\n"),
        (chunked, "5\r\nhello\r\n0\r\nX: y\r\n"),
    ] {
        for end in [Break::Fin, Break::HalfClose, Break::Reset, Break::BadChunk] {
            if matches!(end, Break::BadChunk) && framing == length {
                continue;
            }
            let before = origin.requests().len();
            let mut raw = Raw::connect(gateway.http());
            raw.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}{begin}"));
            origin.wait_for_heads(before + 1);
            match end {
                Break::Fin => drop(raw),
                Break::Reset => raw.reset(),
                Break::HalfClose => {
                    raw.half_close();
                    raw.expect_closed();
                }
                Break::BadChunk => {
                    raw.send("\r\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
                    let response = raw.read_response();
                    assert_eq!((response.status, response.closes()), (400, true), "{begin:?}");
                    raw.expect_closed();
                }
            }
            origin.wait_for_open(0);
            let requests = origin.requests();
            assert_eq!(requests.len(), before + 1, "{framing:?} {begin:?} {end:?}");
            assert!(!requests[before].complete, "{framing:?} {begin:?} {end:?}: {:?}", requests[before]);
            wanted += 1;
        }
    }
    let broken = |ended: &str| matches!(ended, "client_abort" | "bad_request");
    assert_eq!(gateway.wait_log_lines(wanted, |line| broken(line.ended())).len(), wanted);
}

#[test]
fn a_body_until_close_that_is_reset_is_never_whole_at_the_client() {
    for version in ["1.1", "1.0"] {
        let gate = Gate::new();
        let held = gate.clone();
        let origin = Origin::script(move |conn| {
            conn.read_request();
            conn.write("HTTP/1.1 200 OK\r\n\r\nhalf.");
            held.wait(); // until the client has the first half, which a reset would take away
            conn.reset();
        });
        let gateway = Gateway::before(&[&origin]);
        let mut raw = Raw::connect(gateway.http());
        raw.send(format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n"));
        let mut response = raw.read_head();
        gate.open();
        let read = raw.try_read_body(&mut response);
        assert!(matches!(read, Err(Broken::Cut(_))), "{version}: {read:?} {response:?}");
        assert_eq!(gateway.wait_log(|_| true).ended(), "upstream_truncated", "{version}");
    }
}

#[test]
fn a_head_that_breaks_off_is_502_wherever_it_does_and_the_next_answer_its_own() {
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
    let origin = Origin::script(move |conn| {
        let Some(request) = conn.read_request() else { return };
        match request.target.strip_prefix("/cut/").and_then(|at| at.parse::<usize>().ok()) {
            Some(at) => drop(conn.write(&whole[..at])),
            None => drop(conn.write(ok("own"))),
        }
    });
    let gateway = Gateway::start(&simple(&[&origin], "retry = { attempts = 1 }", ""));
    let mut raw = Raw::connect(gateway.http());
    for at in 0..whole.len() {
        assert_eq!(raw.get(&format!("/cut/{at}")).status, 502, "{at}");
        assert_eq!(raw.get("/").text(), "own", "{at}");
    }
}

#[test]
fn trailers_obey_the_rules_of_fields_both_ways() {
    let trailers = "X-Sum: 7\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\nHost: evil\r\nAuthorization: evil\r\n\
                    X-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nConnection: close\r\nSet-Cookie: evil\r\n\
                    Via: evil\r\nX-Request-Id: evil\r\n";
    let origin = Origin::answer(move |_| {
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n{trailers}\r\n")
    });
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    for n in 1..=2 {
        raw.send(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n{trailers}\r\n"
        ));
        let kept = [("X-Sum".to_owned(), "7".to_owned())];
        let response = raw.read_response();
        assert_eq!((response.text(), &response.trailers[..]), ("ok", &kept[..]));
        assert!(response.all("set-cookie").is_empty() && !response.closes(), "{response:?}");
        let request: Request = origin.wait_for(n);
        assert_eq!((request.text(), &request.trailers[..]), ("hi", &kept[..]));
        assert_eq!((request.field("host"), request.field("x-forwarded-for")), ("a", "127.0.0.1"));
    }
}

#[test]
fn a_connection_that_an_early_answer_left_in_the_middle_of_a_body_is_not_used_again() {
    // The service answers at the head; what it is still owed must not become its next request.
    let origin = Origin::script(|conn| {
        while let Some(mut request) = conn.read_head() {
            conn.write(ok(&request.target));
            if !conn.read_body(&mut request) {
                return;
            }
        }
    });
    let gateway = Gateway::before(&[&origin]);
    for (n, framing) in ["Content-Length: 40\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n28\r\n"].iter().enumerate() {
        for expect in ["", "Expect: 100-continue\r\n"] {
            let mut raw = Raw::connect(gateway.http());
            raw.send(format!("POST /{n} HTTP/1.1\r\nHost: a\r\n{expect}{framing}"));
            let response = raw.read_response();
            assert_eq!((response.text(), response.closes()), (format!("/{n}").as_str(), true));
            // A client that goes on must not be heard, neither as a body nor as a request.
            drop(raw.try_send("GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"));
            raw.expect_closed();
            let mut other = Raw::connect(gateway.http());
            assert_eq!(other.get("/own").text(), "/own");
        }
    }
    eventually("only whole exchanges keep a connection", || origin.open_connections() <= 4);
    assert!(origin.requests().iter().all(|request| request.target != "/smuggled"));
    // The origin answers at the head, and so before it knows that a request is whole.
    let as_should_be = || origin.requests().iter().all(|request| request.complete == (request.target == "/own"));
    eventually("each own request is whole, and no other", as_should_be);
}

/// For each way in which a request may fail, a route of that name.
fn failing([own, silent, dead, full]: [&Origin; 4]) -> String {
    format!(
        "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\naccess_log = \"off\"\n\n[listen.http]\nbind = \"127.0.0.1:0\"\n\n\
         [defaults.upstream]\nretry = {{ attempts = 1 }}\n\n[upstream.own]\nendpoints = [\"{}\"]\n\n\
         [upstream.silent]\nendpoints = [\"{}\"]\ntimeout = {{ response = \"200ms\" }}\n\n\
         [upstream.dead]\nendpoints = [\"{}\"]\n\n\
         [upstream.full]\nendpoints = [\"{}\"]\nlimit = {{ requests = 1, queue = 0 }}\n\n\
         [host.a]\nroutes = [{{ path = \"/own\", upstream = \"own\" }}, {{ path = \"/silent\", upstream = \"silent\" }}, \
         {{ path = \"/dead\", upstream = \"dead\" }}, {{ path = \"/full\", upstream = \"full\" }}, \
         {{ path = \"/small\", upstream = \"own\", max_body = \"8B\" }}]\n",
        own.addr(),
        silent.addr(),
        dead.addr(),
        full.addr()
    )
}

/// What an answer of the gateway's own leaves unread of its request is never the next request.
#[test]
fn the_body_of_a_request_that_the_gateway_answers_itself_is_never_a_request() {
    let (gate, own, silent, dead) =
        (Gate::new(), Origin::answer(|request| ok(&request.target)), Origin::silent(), Origin::refusing());
    let held = gate.clone();
    let full = Origin::answer(move |_| {
        held.wait();
        ok("held")
    });
    let gateway = Gateway::start(&failing([&own, &silent, &dead, &full]));
    let mut first = Raw::connect(gateway.http());
    first.send("GET /full HTTP/1.1\r\nHost: a\r\n\r\n");
    gate.wait_for_waiting(1);

    let body = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2);
    let framings = [
        format!("Content-Length: {}\r\n\r\n{body}", body.len()),
        format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len()),
    ];
    let mut lived = 0;
    for (line, host, status) in [
        ("POST /own", "nobody", 404),
        ("POST /nowhere", "a", 404),
        ("POST /../own", "a", 400),
        ("POST /small", "a", 413),
        ("POST /full", "a", 503),
        ("POST /dead", "a", 502),
        ("POST /silent", "a", 504),
        ("CONNECT a:80", "a:80", 501),
    ] {
        for (framed, at_once, expect) in framings
            .iter()
            .flat_map(|framed| [(framed, true, ""), (framed, false, ""), (framed, false, "Expect: 100-continue\r\n")])
        {
            let case = format!("{line} {host} {at_once} {expect:?} {framed:?}");
            // What comes of these is known only once the body is there.
            if !at_once && (status == 504 || (status == 413 && framed.starts_with('T'))) {
                continue;
            }
            let (fields, bytes) = framed.split_once("\r\n\r\n").unwrap();
            let mut raw = Raw::connect(gateway.http());
            let head = format!("{line} HTTP/1.1\r\nHost: {host}\r\n{expect}{fields}\r\n\r\n");
            let rest = format!("{bytes}GET /own HTTP/1.1\r\nHost: a\r\n\r\n");
            if at_once {
                drop(raw.try_send(format!("{head}{rest}"))); // it may have been refused before it was sent
            } else {
                raw.send(&head);
            }
            let response = raw.read_response();
            assert_eq!(response.status, status, "{case}");
            if !at_once {
                drop(raw.try_send(&rest));
            }
            if response.closes() {
                raw.expect_closed();
            } else {
                assert_eq!(raw.read_response().text(), "/own", "{case}");
                lived += 1;
            }
        }
    }
    assert!(lived > 0, "a body that is there to its end need not cost the connection");
    gate.open();
    assert_eq!(first.read_response().text(), "held");
    let seen = [&own, &silent, &full].map(Origin::requests).concat();
    assert!(seen.iter().all(|request| request.target != "/smuggled"), "{seen:?}");
}
