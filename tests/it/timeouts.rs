//! Nothing is waited for without end. Times here are short only where running out is the promise; nothing asserts that
//! something was quick.

use std::time::Duration;
use std::time::Instant;

use ringway::io::ring::Wanted;
use ringway::observe::ended::Cause;

use crate::support::Broken;
use crate::support::Gateway;
use crate::support::Inside;
use crate::support::Origin;
use crate::support::PATIENCE;
use crate::support::Raw;
use crate::support::eventually;
use crate::support::get;
use crate::support::ok;
use crate::support::pattern;
use crate::support::simple;

#[test]
fn a_head_that_does_not_come_is_answered_408() {
    let origin = Origin::named("a");
    let gateway = Gateway::start(&simple(&[&origin], "", "timeout = { head = \"200ms\" }"));
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET / HTTP/1.1\r\nHost: a\r\nX: ");
    let response = raw.read_response();
    assert_eq!((response.status, response.closes()), (408, true));
    assert!(response.text().contains("client_timeout_head"));
    raw.expect_closed();
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.ended(), line.str("who"), line.num("status")), ("client_timeout_head", "client", 408));
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_head_that_comes_drop_by_drop_has_no_more_time_than_another() {
    let origin = Origin::named("a");
    let gateway = Gateway::start(&simple(&[&origin], "", "timeout = { head = \"500ms\", idle = \"60s\" }"));
    let mut raw = Raw::connect(gateway.http());
    raw.get("/");
    raw.send("GET / HTTP/1.1\r\nHost: a\r\nX: ");
    let mut drops = 0;
    while !raw.has_news() {
        drops += 1;
        assert!(drops < 1000, "a thousand drops over ten seconds, and still waited for");
        std::thread::sleep(Duration::from_millis(10));
        drop(raw.try_send("a"));
    }
    assert_eq!(raw.read_response().status, 408);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn a_connection_that_never_says_a_byte_is_answered_408_and_counted() {
    let origin = Origin::named("a");
    let toml = simple(&[&origin], "", "timeout = { head = \"200ms\", idle = \"60s\" }");
    for io in [Wanted::Auto, Wanted::Epoll] {
        let inside = Inside::start(&toml, io);
        let mut raw = Raw::connect(inside.addr);
        let response = raw.read_response();
        assert_eq!((response.status, response.closes()), (408, true));
        assert!(response.text().contains("client_timeout_head"), "{}", response.text());
        raw.expect_closed();
        eventually("it is counted", || inside.slab.causes[Cause::ClientTimeoutHead as usize].get() == 1);
        assert_eq!(inside.slab.exchanges.get(), 1);
    }
    let gateway = Gateway::start(&toml);
    assert_eq!(Raw::connect(gateway.http()).read_response().status, 408);
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.ended(), line.str("who"), line.num("status")), ("client_timeout_head", "client", 408));
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_connection_that_idles_between_two_requests_is_closed_without_a_word() {
    let origin = Origin::named("a");
    let inside = Inside::start(&simple(&[&origin], "", "timeout = { head = \"60s\", idle = \"200ms\" }"), Wanted::Auto);
    let mut raw = Raw::connect(inside.addr);
    assert_eq!(raw.get("/").status, 200);
    assert_eq!(raw.read_to_end(), b"");
    assert_eq!((inside.slab.exchanges.get(), inside.slab.causes[Cause::ClientTimeoutHead as usize].get()), (1, 0));
    // One that is gone before it says a byte owed nothing either.
    let silent = Raw::connect(inside.addr);
    eventually("it is accepted", || inside.slab.connections.get() == 1);
    drop(silent);
    eventually("it is gone", || inside.slab.connections.get() == 0);
    assert_eq!(inside.slab.exchanges.get(), 1);
}

#[test]
fn a_request_body_that_stops_is_cut_off_at_both_ends() {
    let origin = Origin::named("a");
    let gateway = Gateway::start(&simple(&[&origin], "", "timeout = { body = \"200ms\" }"));
    let mut raw = Raw::connect(gateway.http());
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf.");
    let response = raw.read_response();
    assert_eq!((response.status, response.closes()), (408, true));
    raw.expect_closed();
    origin.wait_for_open(0);
    assert!(origin.requests().iter().all(|request| !request.complete));
    assert_eq!(gateway.wait_log(|_| true).ended(), "client_timeout_body");
}

#[test]
fn a_client_that_does_not_take_its_response_is_cut_off() {
    let origin = Origin::script(|conn| {
        conn.read_request();
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
        while conn.write([b'x'; 65_536]) {}
    });
    let gateway = Gateway::start(&simple(&[&origin], "", "timeout = { body = \"300ms\" }"));
    let mut raw = Raw::connect_with_small_window(gateway.http());
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    raw.read_head();
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.ended(), line.str("who")), ("client_timeout_body", "client"));
    origin.wait_for_open(0);
}

#[test]
fn a_client_that_takes_its_response_slowly_is_not_cut_off() {
    const WHOLE: usize = 16 << 20;
    let origin = Origin::script(|conn| {
        conn.read_request();
        conn.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {WHOLE}\r\n\r\n"));
        conn.write(pattern(WHOLE));
    });
    let gateway = Gateway::start(&simple(&[&origin], "timeout = { body = \"60s\" }", "timeout = { body = \"2s\" }"));
    let mut raw = Raw::connect_with_small_window(gateway.http());
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut response = raw.read_head();
    // So slowly that what the kernel holds for it makes no room for more within the time: but it takes some of that.
    let mut slowly = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(6) {
        slowly.extend(raw.read_some());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(slowly.len() < 4 << 20, "{} bytes: too fast to show anything", slowly.len());
    response.fields.retain(|(name, _)| name != "Content-Length");
    response.fields.push(("Content-Length".into(), (WHOLE - slowly.len()).to_string()));
    raw.read_body(&mut response);
    slowly.append(&mut response.body);
    assert!(slowly == pattern(WHOLE));
}

#[test]
fn a_body_below_the_minimum_rate_is_cut_off_either_way() {
    let origin = Origin::script(|conn| {
        let Some(mut request) = conn.read_head() else { return };
        if request.method == "GET" {
            conn.write("HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n");
            if request.target == "/drip" {
                while conn.write("x") {
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
            while conn.write([b'x'; 30_000]) {}
        } else {
            conn.read_body(&mut request);
            conn.write(ok("all"));
            conn.wait_closed();
        }
    });
    let free = "routes = [{ path = \"/free\", upstream = \"app\", min_rate = \"0B\" }, ";
    let toml = simple(&[&origin], "min_rate = \"1MB\"", "min_rate = \"1MB\"").replace("routes = [", free);
    let inside = Inside::start(&toml, Wanted::Auto);
    let mut free = Raw::connect(inside.addr);
    free.send("POST /free HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    let mut sent = 0;
    let mut slow = Raw::connect(inside.addr);
    slow.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    let mut taker = Raw::connect_with_small_window(inside.addr);
    taker.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut dripped = Raw::connect(inside.addr);
    dripped.send("GET /drip HTTP/1.1\r\nHost: a\r\n\r\n");
    let taker = std::thread::spawn(move || {
        let mut response = taker.read_head();
        // Takes all, at its leisure: never a pause.
        let end = loop {
            match taker.try_read_some() {
                Ok(bytes) => response.body.extend(bytes),
                Err(end) => break end,
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        (end, response.body.len())
    });
    let dripped = std::thread::spawn(move || dripped.try_read_response());
    // Only what is waited for a side counts, and where a core has to wait for its turn itself that is a part of the time. Who
    // is free of the bound must not pause meanwhile, which has another.
    let begun = Instant::now();
    while !(slow.has_news() && taker.is_finished() && dripped.is_finished()) {
        assert!(begun.elapsed() < PATIENCE * 5, "a drip is waited for without end");
        if !slow.has_news() {
            drop(slow.try_send("x"));
        }
        free.send("x");
        sent += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    let response = slow.read_response();
    assert_eq!((response.status, response.closes()), (408, true));
    assert!(response.text().contains("below the minimum rate"), "{}", response.text());
    let (end, taken) = taker.join().unwrap();
    assert!(matches!(end, Broken::Cut(_)), "a reset, so that the kernel lets go of what it holds: {end}");
    assert!(taken < 50_000_000, "{taken} bytes");
    eventually("both are counted", || inside.slab.causes[Cause::ClientTimeoutBody as usize].get() == 2);
    let dripped = dripped.join().unwrap();
    assert!(matches!(dripped, Err(Broken::Cut(_))), "an endpoint that drips is as little waited for");
    eventually("it is counted", || inside.slab.causes[Cause::UpstreamTimeoutBody as usize].get() == 1);
    free.send(vec![b'x'; 1_000_000 - sent]);
    assert_eq!(free.read_response().status, 200, "a route may have no such bound");
    origin.wait_for_open(1);
}

#[test]
fn an_endpoint_that_does_not_accept_is_answered_504() {
    let origin = Origin::full();
    let gateway =
        Gateway::start(&simple(&[&origin], "timeout = { connect = \"200ms\" }\nretry = { attempts = 1 }", ""));
    let response = get(gateway.http(), "/");
    assert_eq!(response.status, 504);
    assert!(response.text().contains("upstream_timeout_connect"));
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.ended(), line.str("who"), line.num("attempts")), ("upstream_timeout_connect", "upstream", 1));
}

#[test]
fn a_route_may_have_its_own_time_for_a_connection() {
    let origin = Origin::full();
    let toml = simple(&[&origin], "timeout = { connect = \"60s\" }\nretry = { attempts = 1 }", "");
    let own = "upstream = \"app\", timeout = { connect = \"200ms\" } }";
    let gateway = Gateway::start(&toml.replace("upstream = \"app\" }", own));
    let response = get(gateway.http(), "/");
    assert_eq!(response.status, 504);
    assert!(response.text().contains("upstream_timeout_connect"));
}

#[test]
fn an_endpoint_that_does_not_accept_costs_an_attempt_where_there_is_another() {
    let (full, live) = (Origin::full(), Origin::named("live"));
    let more = "balance = \"round_robin\"\ntimeout = { connect = \"200ms\" }\nretry = { attempts = 2 }";
    let gateway = Gateway::start(&simple(&[&full, &live], more, ""));
    let mut raw = Raw::connect(gateway.http());
    for _ in 0..4 {
        assert_eq!(raw.get("/").text(), "live");
    }
    assert!(gateway.wait_log_lines(4, |line| line.ended() == "ok").iter().any(|line| line.num("attempts") == 2));
}

#[test]
fn an_endpoint_that_does_not_answer_is_answered_504_and_its_connection_closed() {
    let origin = Origin::silent();
    let gateway =
        Gateway::start(&simple(&[&origin], "timeout = { response = \"200ms\" }\nretry = { attempts = 1 }", ""));
    let mut raw = Raw::connect(gateway.http());
    let response = raw.get("/slow");
    assert_eq!(response.status, 504);
    assert!(response.text().contains("upstream_timeout_headers"));
    assert!(!response.closes(), "the client did nothing wrong");
    origin.wait_for_open(0);
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.ended(), line.str("who")), ("upstream_timeout_headers", "upstream"));
    assert!(line.num("duration_us") >= 200_000, "{line:?}");
}

#[test]
fn an_answer_that_comes_too_late_is_nobodys_answer() {
    let origin = Origin::script(|conn| {
        while let Some(request) = conn.read_request() {
            if request.target == "/late" {
                std::thread::sleep(Duration::from_millis(600));
            }
            conn.write(ok(&request.target));
        }
    });
    let gateway =
        Gateway::start(&simple(&[&origin], "timeout = { response = \"300ms\" }\nretry = { attempts = 1 }", ""));
    let mut raw = Raw::connect(gateway.http());
    assert_eq!(raw.get("/1").text(), "/1");
    assert_eq!(raw.get("/late").status, 504);
    for n in 2..10 {
        let path = format!("/{n}");
        assert_eq!(raw.get(&path).text(), path);
    }
}

#[test]
fn a_response_body_that_stops_is_never_whole_at_the_client() {
    for framing in ["Content-Length: 10\r\n\r\nhalf.", "Transfer-Encoding: chunked\r\n\r\n5\r\nhalf.\r\n"] {
        let origin = Origin::script(move |conn| {
            conn.read_request();
            conn.write(format!("HTTP/1.1 200 OK\r\n{framing}"));
            conn.wait_closed();
        });
        let gateway = Gateway::start(&simple(&[&origin], "timeout = { body = \"200ms\" }", ""));
        let mut raw = Raw::connect(gateway.http());
        raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let read = raw.try_read_response();
        assert!(matches!(read, Err(Broken::Cut(_))), "{read:?}");
        origin.wait_for_open(0);
        let line = gateway.wait_log(|_| true);
        assert_eq!((line.ended(), line.str("who")), ("upstream_timeout_body", "upstream"));
    }
}

#[test]
fn a_body_that_keeps_coming_may_take_longer_than_its_pause_bound() {
    let origin = Origin::script(|conn| {
        conn.read_request();
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n");
        for _ in 0..8 {
            std::thread::sleep(Duration::from_millis(400));
            conn.write("x");
        }
    });
    let gateway = Gateway::start(&simple(&[&origin], "timeout = { body = \"2s\", response = \"2s\" }", ""));
    assert_eq!(get(gateway.http(), "/").text(), "xxxxxxxx");
}
