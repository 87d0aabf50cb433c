//! Upgrades and CONNECT: what may become a tunnel, what goes through it, and how it ends. RFC 9110 §7.8, §9.3.6.

use std::io::Write;
use std::time::Duration;
use std::time::Instant;

use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Signal;
use crate::support::eventually;
use crate::support::ok;
use crate::support::pattern;
use crate::support::simple;

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const AGREE: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
const CONNECT: &str = "CONNECT db.example:5432 HTTP/1.1\r\nHost: db.example:5432\r\n\r\n";

/// A configuration whose one route has these entries besides its path and upstream.
fn config(origin: &Origin, route: &str, app: &str, listen: &str) -> String {
    simple(&[origin], app, listen).replace("upstream = \"app\" }", &format!("upstream = \"app\", {route} }}"))
}

/// A gateway that takes websockets, another protocol, and CONNECT.
fn open(origin: &Origin) -> Gateway {
    Gateway::start(&config(origin, "upgrade = [\"websocket\", \"chat\"], connect = true", "", ""))
}

/// As [`open`], with an idle limit.
fn limited(origin: &Origin, idle: &str) -> Gateway {
    let route = format!("upgrade = [\"websocket\"], connect = true, timeout = {{ tunnel = \"{idle}\" }}");
    Gateway::start(&config(origin, &route, "", ""))
}

/// Agrees to whatever is asked, and sends everything back until its client ends.
fn echo() -> Origin {
    Origin::script(|conn| {
        let Some(request) = conn.read_request() else { return };
        conn.write(agree(&request.method));
        while let Some(bytes) = conn.read_some() {
            if !conn.write(bytes) {
                return;
            }
        }
    })
}

fn agree(method: &str) -> &'static str {
    if method == "CONNECT" { "HTTP/1.1 200 Fine\r\n\r\n" } else { AGREE }
}

/// A client whose tunnel is open.
#[track_caller]
fn through(gateway: &Gateway, ask: &str) -> Raw {
    let mut raw = Raw::connect(gateway.http());
    raw.send(ask);
    let response = raw.read_head();
    assert_eq!(response.status, if ask == CONNECT { 200 } else { 101 });
    raw
}

#[track_caller]
fn round(raw: &mut Raw, bytes: &[u8]) {
    raw.send(bytes);
    assert_eq!(raw.read_at_least(bytes.len()), bytes);
}

#[test]
fn an_upgrade_becomes_a_tunnel_and_leaves_one_line() {
    for io in ["auto", "epoll"] {
        let origin = echo();
        let head = format!("[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\naccess_log = \"stdout\"\nio = \"{io}\"\n\n");
        let gateway = Gateway::start(&(head + &config(&origin, "upgrade = [\"websocket\", \"chat\"]", "", "")));
        let mut raw = Raw::connect(gateway.http());
        raw.send(
            "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\n\
             Upgrade: h2c, WebSocket\r\nUpgrade: tls/1.0, chat/7\r\nSec-WebSocket-Key: k\r\n\r\n",
        );
        let response = raw.read_head();
        assert_eq!((response.status, response.reason.as_str()), (101, "Switching Protocols"));
        assert_eq!((response.field("connection"), response.field("upgrade")), ("Upgrade", "websocket"));
        let request = origin.wait_for(1);
        assert_eq!((request.field("connection"), request.field("upgrade")), ("Upgrade", "WebSocket, chat/7"));
        assert_eq!((request.field("sec-websocket-key"), request.all("http2-settings").len()), ("k", 0));
        for n in 1..100 {
            round(&mut raw, &pattern(n * 37));
        }
        let open = |gateway: &Gateway| gateway.metrics().get("ringway_tunnels_open", &[]);
        assert!(open(&gateway) > 0.5);
        assert!(gateway.log_lines().is_empty(), "the line is written at the end");
        raw.half_close();
        raw.expect_closed();
        let line = gateway.wait_log(|_| true);
        assert_eq!((line.ended(), line.num("status"), line.str("phase"), line.path()), ("ok", 101, "done", "/chat"));
        let carried: u64 = (1..100).map(|n| n * 37).sum();
        assert!(line.num("bytes_in") > carried && line.num("bytes_in") < carried + 400, "{line:?}");
        assert!(line.num("bytes_out") > carried && line.num("bytes_out") < carried + 400, "{line:?}");
        eventually("no tunnel is open", || open(&gateway) < 0.5);
        let metrics = gateway.metrics();
        assert!((metrics.get("ringway_tunnels_total", &[("kind", "upgrade")]) - 1.0).abs() < 0.5);
        assert!(metrics.get("ringway_tunnels_total", &[("kind", "connect")]) < 0.5);
        origin.wait_for_open(0);
    }
}

#[test]
fn what_a_route_does_not_allow_is_asked_of_nobody() {
    let origin = Origin::named("app");
    for (route, version, fields) in [
        ("connect = true", "1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n"),
        ("upgrade = [\"websocket\"]", "1.1", "Connection: Upgrade\r\nUpgrade: chat, tls/1.0\r\n"),
        (
            "upgrade = [\"websocket\"]",
            "1.1",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n",
        ),
        ("upgrade = [\"websocket\"]", "1.1", "Upgrade: websocket\r\n"),
        ("upgrade = [\"websocket\"]", "1.0", "Connection: Upgrade, keep-alive\r\nUpgrade: websocket\r\n"),
    ] {
        let gateway = Gateway::start(&config(&origin, route, "", ""));
        let mut raw = Raw::connect(gateway.http());
        let before = origin.requests().len();
        for n in 1..=2 {
            raw.send(format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n"));
            assert_eq!(raw.read_response().text(), "app");
            let request = origin.wait_for(before + n);
            for name in ["upgrade", "connection", "http2-settings"] {
                assert!(request.all(name).is_empty(), "{route} {fields:?}: {request:?}");
            }
        }
    }
}

#[test]
fn nothing_goes_to_the_endpoint_before_it_has_agreed() {
    for ask in [ASK, CONNECT] {
        let gate = Gate::new();
        let held = gate.clone();
        let origin = Origin::script(move |conn| {
            let request = conn.read_request().unwrap();
            conn.write("HTTP/1.1 103 Early Hints\r\n\r\n");
            held.wait();
            assert!(!conn.has_news(), "bytes of a tunnel that is not open");
            // What stands behind the head goes first, whatever the client has sent meanwhile.
            conn.write(format!("{}first words, ", agree(&request.method)));
            conn.write("and more");
            let mut bytes = Vec::new();
            while bytes.len() < 15 {
                bytes.extend(conn.read_some().unwrap());
            }
            assert_eq!(bytes, b"early and later");
        });
        let gateway = open(&origin);
        let mut raw = Raw::connect(gateway.http());
        raw.send(format!("{ask}early "));
        assert!(raw.read_at_least(28).starts_with(b"HTTP/1.1 103 "));
        raw.send("and later");
        gate.wait_for_waiting(1);
        std::thread::sleep(Duration::from_millis(200));
        gate.open();
        let response = raw.read_head();
        assert!(matches!(response.status, 101 | 200));
        assert_eq!(raw.read_at_least(21), b"first words, and more");
        raw.half_close();
        assert!(raw.read_to_end().is_empty());
    }
}

#[test]
fn a_refused_upgrade_is_an_ordinary_exchange_and_what_follows_is_the_next() {
    for answer in [
        "HTTP/1.1 200 OK\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 426 Upgrade Required\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
    ] {
        let origin = Origin::answer(move |request| if request.target == "/next" { ok("next") } else { answer.into() });
        let gateway = open(&origin);
        let mut raw = Raw::connect(gateway.http());
        raw.send(format!("{ASK}GET /next HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: evil\r\n\r\n"));
        let response = raw.read_response();
        assert_eq!((response.text(), response.closes()), ("no", false));
        assert!(response.all("upgrade").is_empty());
        assert_eq!(raw.read_response().text(), "next");
        let request = origin.wait_for(2);
        assert_eq!(request.field("x-forwarded-for"), "127.0.0.1", "it went by unseen: {request:?}");
        assert_eq!(origin.connections(), 1, "the connection is as good as before");
        assert!(gateway.metrics().sum("ringway_tunnels_total", &[]) < 0.5);
    }
}

#[test]
fn a_101_that_does_not_fit_is_a_bad_response() {
    let plain = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for (ask, answer) in [
        (plain, AGREE),
        (CONNECT, AGREE),
        (ASK, "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: evil\r\n\r\n"),
        (ASK, "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket, evil\r\n\r\n"),
        (ASK, "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"),
        (ASK, "HTTP/1.1 101 S\r\n\r\n"),
        (ASK, "HTTP/1.0 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
        (ASK, "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\n"),
        (ASK, "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n"),
    ] {
        let origin = Origin::script(move |conn| {
            conn.read_request();
            conn.write(format!("{answer}inner words"));
            conn.wait_closed();
        });
        let gateway = open(&origin);
        let mut raw = Raw::connect(gateway.http());
        raw.send(format!("{ask}{}", if ask == plain { "" } else { "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n" }));
        let response = raw.read_response();
        assert_eq!(response.status, 502, "{answer:?}");
        assert!(!response.text().contains("inner"), "{response:?}");
        origin.wait_for_open(0);
        assert_eq!(gateway.wait_log(|_| true).ended(), "upstream_bad_response");
        if ask != plain {
            assert!(response.closes(), "{ask:?} {answer:?}");
            assert!(raw.read_to_end().is_empty());
            assert_eq!(origin.requests().len(), 1, "{:?}", origin.requests());
        }
    }
}

#[test]
fn the_body_of_an_upgrade_request_stays_a_body() {
    let inner = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for (fields, body) in [
        (format!("Content-Length: {}\r\n", inner.len()), inner.to_owned()),
        (
            "Transfer-Encoding: chunked\r\n".to_owned(),
            format!("3\r\n{}\r\n{:x};x=y\r\n{}\r\n0\r\nT: v\r\n\r\n", &inner[..3], inner.len() - 3, &inner[3..]),
        ),
    ] {
        let origin = echo();
        let gateway = open(&origin);
        let mut raw = Raw::connect(gateway.http());
        raw.send_slowly(format!("{}{fields}\r\n{body}through", ASK.strip_suffix("\r\n").unwrap()), 7);
        assert_eq!(raw.read_head().status, 101);
        assert_eq!(raw.read_at_least(7), b"through");
        let request = origin.wait_for(1);
        assert_eq!((request.complete, request.text()), (true, inner));
        assert_eq!(origin.requests().len(), 1);
    }
}

#[test]
fn a_101_before_the_end_of_the_request_is_refused() {
    let origin = Origin::script(|conn| {
        conn.read_head();
        conn.write(AGREE);
        conn.wait_closed();
    });
    let gateway = open(&origin);
    let mut raw = Raw::connect(gateway.http());
    raw.send(format!("{}Content-Length: 100\r\n\r\nhalf", ASK.strip_suffix("\r\n").unwrap()));
    let response = raw.read_response();
    assert_eq!((response.status, response.closes()), (502, true));
    origin.wait_for_open(0);
    assert_eq!(gateway.wait_log(|_| true).ended(), "upstream_bad_response");
}

#[test]
fn an_upgrade_that_no_endpoint_answers_ends_the_connection() {
    let origin = Origin::refusing();
    let gateway = open(&origin);
    for ask in [ASK, CONNECT] {
        let mut raw = Raw::connect(gateway.http());
        raw.send(format!("{ask}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"));
        let response = raw.read_response();
        assert_eq!((response.status, response.closes()), (502, true));
        assert!(raw.read_to_end().is_empty(), "what was sent for a tunnel is no request");
    }
}

#[test]
fn connect_reaches_an_endpoint_of_its_route() {
    for io in ["auto", "epoll"] {
        let origin = Origin::script(|conn| {
            let request = conn.read_request().unwrap();
            assert_eq!((request.method.as_str(), request.target.as_str()), ("CONNECT", "db.example:5432"));
            assert_eq!(request.field("host"), "db.example:5432");
            for name in ["content-length", "transfer-encoding", "connection", "upgrade"] {
                assert!(request.all(name).is_empty(), "{request:?}");
            }
            conn.write("HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nTransfer-Encoding: gzip\r\nX-Kept: 1\r\n\r\n");
            while let Some(bytes) = conn.read_some() {
                conn.write(bytes);
            }
        });
        let head = format!("[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\naccess_log = \"stdout\"\nio = \"{io}\"\n\n");
        let gateway = Gateway::start(&(head + &config(&origin, "connect = true", "", "")));
        let mut raw = Raw::connect(gateway.http());
        // The port may be left out of Host, HTTP/1.0 needs none, and an Upgrade beside it means nothing.
        raw.send(
            "CONNECT db.example:5432 HTTP/1.1\r\nHost: DB.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        );
        let response = raw.read_head();
        assert_eq!((response.status, response.reason.as_str(), response.field("x-kept")), (200, "Fine", "1"));
        for name in ["content-length", "transfer-encoding", "connection", "upgrade"] {
            assert!(response.all(name).is_empty(), "{response:?}");
        }
        round(&mut raw, b"hello, and more than five bytes");
        raw.half_close();
        assert!(raw.read_to_end().is_empty());
        let line = gateway.wait_log(|_| true);
        assert_eq!((line.ended(), line.num("status"), line.str("method")), ("ok", 200, "CONNECT"));
        assert_eq!(line.path(), "db.example:5432");
        let mut raw = Raw::connect(gateway.http());
        raw.send("CONNECT db.example:5432 HTTP/1.0\r\n\r\n");
        assert_eq!(raw.read_head().status, 200);
        round(&mut raw, b"again");
        drop(raw);
        let metrics = gateway.metrics();
        assert!((metrics.get("ringway_tunnels_total", &[("kind", "connect")]) - 2.0).abs() < 0.5);
    }
}

#[test]
fn connect_is_refused_where_no_route_takes_it_and_nothing_behind_it_is_a_request() {
    let origin = Origin::named("app");
    let behind = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let exact = config(&origin, "connect = true", "", "").replace("path = \"/*\"", "path = \"/x\"");
    let below = config(&origin, "connect = true", "", "").replace("path = \"/*\"", "path = \"/x/*\"");
    let elsewhere = config(&origin, "connect = true", "", "").replace("host.\"*\"", "host.\"*.example\"");
    let gateway = Gateway::before(&[&origin]);
    for toml in [simple(&[&origin], "", ""), exact, below, elsewhere] {
        assert_eq!(gateway.reload(&toml).status, 200);
        let mut raw = Raw::connect(gateway.http());
        raw.send(format!("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n{behind}"));
        let response = raw.read_response();
        assert_eq!((response.status, response.closes()), (501, true), "{toml}");
        assert!(raw.read_to_end().is_empty());
    }
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.ended(), line.str("method"), line.path()), ("not_implemented", "CONNECT", "a:443"));
    assert_eq!(gateway.reload(&config(&origin, "connect = true", "", "")).status, 200);
    for (target, fields) in [
        ("/", "Host: a\r\n"),
        ("a", "Host: a\r\n"),
        ("a:", "Host: a\r\n"),
        ("a:0", "Host: a\r\n"),
        ("a:443", "Host: b:443\r\n"),
        ("a:443", "Host: a:80\r\n"),
        ("a:443", "Host: a:443\r\nContent-Length: 36\r\n"),
        ("a:443", "Host: a:443\r\nContent-Length: 0\r\n"),
        ("a:443", "Host: a:443\r\nTransfer-Encoding: chunked\r\n"),
    ] {
        let mut raw = Raw::connect(gateway.http());
        raw.send(format!("CONNECT {target} HTTP/1.1\r\n{fields}\r\n{behind}"));
        let response = raw.read_response();
        assert_eq!((response.status, response.closes()), (400, true), "{target} {fields:?}");
        assert!(raw.read_to_end().is_empty());
    }
    assert_eq!(origin.connections(), 0, "{:?}", origin.requests());
}

#[test]
fn connect_that_an_endpoint_refuses_is_an_ordinary_exchange() {
    let origin = Origin::answer(|request| match request.method.as_str() {
        "CONNECT" => "HTTP/1.1 407 Who are you\r\nContent-Length: 4\r\n\r\nwho?".to_owned(),
        _ => ok(&request.target),
    });
    let gateway = open(&origin);
    let mut raw = Raw::connect(gateway.http());
    raw.send(format!("{CONNECT}GET /next HTTP/1.1\r\nHost: a\r\n\r\n"));
    let response = raw.read_response();
    assert_eq!((response.status, response.text(), response.closes()), (407, "who?", false));
    assert_eq!(raw.read_response().text(), "/next");
    assert_eq!(origin.connections(), 2, "a connection that has seen CONNECT carries nothing else");
}

#[test]
fn the_end_of_one_direction_is_passed_on_and_the_other_goes_on() {
    for ask in [ASK, CONNECT] {
        // The client first.
        let origin = Origin::script(|conn| {
            let request = conn.read_request().unwrap();
            conn.write(agree(&request.method));
            assert_eq!(conn.read_to_end().as_deref(), Some(&b"all I have to say"[..]));
            for part in ["then ", "let ", "me ", "answer"] {
                conn.write(part);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let gateway = open(&origin);
        let mut raw = through(&gateway, ask);
        raw.send("all I have to say");
        raw.half_close();
        assert_eq!(raw.read_to_end(), b"then let me answer");
        assert_eq!(gateway.wait_log(|_| true).ended(), "ok");
        // The endpoint first.
        let origin = Origin::script(|conn| {
            let request = conn.read_request().unwrap();
            conn.write(format!("{}that is all", agree(&request.method)));
            conn.close();
            assert_eq!(conn.read_to_end().as_deref(), Some(&b"I see, and go on"[..]));
        });
        let gateway = open(&origin);
        let mut raw = through(&gateway, ask);
        assert_eq!(raw.read_to_end(), b"that is all");
        raw.send("I see, ");
        raw.send("and go on");
        raw.half_close();
        origin.wait_for_open(0);
        assert_eq!(gateway.wait_log(|_| true).ended(), "ok");
    }
}

#[test]
fn a_reset_is_passed_on_as_a_reset() {
    for io in ["auto", "epoll"] {
        let head = format!("[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\naccess_log = \"stdout\"\nio = \"{io}\"\n\n");
        let gate = Gate::new();
        let seen = gate.clone();
        let origin = Origin::script(move |conn| {
            conn.read_request();
            conn.write(AGREE);
            assert!(conn.read_some().is_some());
            assert_eq!(conn.read_to_end(), None, "a clean end, and no reset");
            seen.open();
        });
        let gateway = Gateway::start(&(head.clone() + &config(&origin, "upgrade = [\"websocket\"]", "", "")));
        let mut raw = through(&gateway, ASK);
        raw.send("words");
        eventually("the words have gone", || origin.requests().len() == 1);
        raw.reset();
        gate.wait();
        let line = gateway.wait_log(|_| true);
        assert_eq!((line.ended(), line.str("phase"), line.num("status")), ("client_abort", "tunnel", 101));

        let origin = Origin::script(|conn| {
            conn.read_request();
            conn.write(AGREE);
            conn.read_some();
            conn.reset();
        });
        let gateway = Gateway::start(&(head + &config(&origin, "upgrade = [\"websocket\"]", "", "")));
        let mut raw = through(&gateway, ASK);
        raw.send("words");
        raw.expect_reset();
        let line = gateway.wait_log(|_| true);
        assert_eq!((line.ended(), line.str("who"), line.str("phase")), ("upstream_truncated", "upstream", "tunnel"));
    }
}

#[test]
fn a_tunnel_that_carries_nothing_ends_and_one_that_carries_anything_does_not() {
    let origin = Origin::script(|conn| {
        conn.read_request();
        conn.write(AGREE);
        // Longer than the limit in all, and only in one direction.
        for _ in 0..12 {
            std::thread::sleep(Duration::from_millis(250));
            conn.write("tick ");
        }
        assert_eq!(conn.read_to_end(), Some(Vec::new()), "a gentle end");
    });
    let gateway = limited(&origin, "1s");
    let begun = Instant::now();
    let mut raw = through(&gateway, ASK);
    assert_eq!(raw.read_to_end().len(), 12 * 5);
    assert!(begun.elapsed() >= Duration::from_secs(4), "{:?}", begun.elapsed());
    // Its last words are not answered by a reset, which could take ours away: for a while somebody still listens.
    let ended = Instant::now();
    let taken = (0..4).all(|_| {
        std::thread::sleep(Duration::from_millis(20));
        raw.try_send("late words").is_ok()
    });
    assert!(taken || ended.elapsed() > Duration::from_secs(1), "a reset after the end");
    drop(raw);
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.ended(), line.str("who"), line.str("phase")), ("tunnel_idle", "gateway", "tunnel"));
    assert!(gateway.metrics().get("ringway_request_errors_total", &[("cause", "tunnel_idle")]) > 0.5);
}

#[test]
fn the_limits_of_exchanges_end_at_the_switch() {
    let origin = echo();
    let short = "timeout = { response = \"1s\", body = \"1s\" }";
    let toml = config(
        &origin,
        "upgrade = [\"websocket\"], connect = true",
        short,
        "timeout = { body = \"1s\", idle = \"1s\" }",
    );
    let gateway = Gateway::start(&toml);
    for ask in [ASK, CONNECT] {
        let mut raw = through(&gateway, ask);
        round(&mut raw, b"before");
        std::thread::sleep(Duration::from_millis(2500));
        round(&mut raw, b"after");
    }
}

#[test]
fn a_side_that_takes_nothing_holds_the_other_back_and_then_ends_the_tunnel() {
    let gate = Gate::new();
    let full = gate.clone();
    let origin = Origin::script(move |conn| {
        conn.read_request();
        conn.write(AGREE);
        let sender = conn.sender();
        sender.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut sent = 0;
        while sent < 200 << 20 {
            match (&sender).write(&[b'x'; 64 * 1024]) {
                Ok(n) => sent += n,
                Err(_) => break,
            }
        }
        assert!(sent < 100 << 20, "nobody held it back");
        full.open();
        assert_eq!(conn.read_to_end(), None, "bytes are missing: no clean end");
    });
    let gateway = limited(&origin, "2s");
    let mut raw = Raw::connect_with_small_window(gateway.http());
    raw.send(ASK);
    assert_eq!(raw.read_head().status, 101);
    gate.wait();
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.ended(), line.str("phase")), ("client_timeout_body", "tunnel"));
    raw.expect_reset();
}

#[test]
fn much_goes_both_ways_at_once_and_arrives_as_it_was_sent() {
    const BYTES: usize = 24 << 20;
    for io in ["auto", "epoll"] {
        let origin = Origin::script(|conn| {
            let request = conn.read_request().unwrap();
            conn.write(agree(&request.method));
            let mut sender = conn.sender();
            let writing = std::thread::spawn(move || {
                sender.write_all(&pattern(BYTES)).unwrap();
                sender.shutdown(std::net::Shutdown::Write).unwrap();
            });
            assert!(conn.read_to_end() == Some(pattern(BYTES)), "something else came than was sent");
            writing.join().unwrap();
        });
        let head = format!("[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\naccess_log = \"stdout\"\nio = \"{io}\"\n\n");
        let gateway = Gateway::start(&(head + &config(&origin, "upgrade = [\"websocket\"]", "", "")));
        let mut raw = through(&gateway, ASK);
        let mut sender = raw.sender();
        let writing = std::thread::spawn(move || {
            sender.write_all(&pattern(BYTES)).unwrap();
            sender.shutdown(std::net::Shutdown::Write).unwrap();
        });
        assert!(raw.read_to_end() == pattern(BYTES), "something else came than was sent");
        writing.join().unwrap();
        let line = gateway.wait_log(|_| true);
        assert_eq!(line.ended(), "ok");
        assert!(line.num("bytes_in") > BYTES as u64 && line.num("bytes_out") > BYTES as u64);
    }
}

#[test]
fn a_drain_ends_tunnels_gently_one_by_one() {
    let origin = echo();
    let head = "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\naccess_log = \"stdout\"\ndrain = \"5s\"\n\n";
    let mut gateway = Gateway::start(&format!("{head}{}", config(&origin, "upgrade = [\"websocket\"]", "", "")));
    let tunnels: Vec<_> = (0..16).map(|_| through(&gateway, ASK)).collect();
    let begun = Instant::now();
    gateway.signal(Signal::Term);
    // Every tunnel is busy all the time: that postpones nothing.
    let clients: Vec<_> = tunnels
        .into_iter()
        .map(|mut raw| {
            std::thread::spawn(move || {
                let mut sent = 0_u64;
                let mut came = 0_u64;
                loop {
                    if raw.try_send(b"x").is_ok() {
                        sent += 1;
                    }
                    match raw.read_or_end() {
                        Some(bytes) => came += bytes.len() as u64,
                        None => break,
                    }
                    std::thread::sleep(Duration::from_millis(5));
                }
                assert!(came <= sent);
                (begun.elapsed(), came)
            })
        })
        .collect();
    let ends: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    // One may be the first to end, before anything came; the others were busy.
    assert!(ends.iter().filter(|(_, came)| *came > 0).count() > 8, "{ends:?}");
    let mut ends: Vec<_> = ends.into_iter().map(|(end, _)| end).collect();
    ends.sort_unstable();
    assert!(ends[15] < Duration::from_secs(15), "{ends:?}");
    assert!(ends[15] - ends[0] > Duration::from_millis(500), "all at once: {ends:?}");
    let lines = gateway.wait_log_lines(16, |_| true);
    assert!(lines.iter().all(|line| (line.ended(), line.str("who"), line.num("status")) == ("drain", "gateway", 101)));
    assert_eq!(gateway.wait_exit().code(), Some(0));
}
