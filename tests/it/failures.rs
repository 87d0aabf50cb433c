//! What fails behind the gateway, or before it: an answer in words, one cause, and nothing carried over to anybody else.

use crate::addresses::LOOPS;
use crate::addresses::process;
use crate::support::Broken;
use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Response;
use crate::support::eventually;
use crate::support::get;
use crate::support::ok;
use crate::support::simple;

const ONCE: &str = "retry = { attempts = 1 }";

/// The answer is the gateway's own: plain text that names the request and the cause.
#[track_caller]
fn assert_own(response: &Response, status: u16, cause: &str) {
    assert_eq!(response.status, status, "{response:?}");
    assert!(response.field("content-type").starts_with("text/plain"), "{response:?}");
    let id = response.field("x-request-id");
    assert!(!id.is_empty() && response.text().contains(id) && response.text().contains(cause), "{}", response.text());
    assert_eq!(response.field("content-length"), response.body.len().to_string());
}

#[test]
fn an_upstream_that_refuses_is_answered_502_and_found_again_when_it_is_back() {
    let mut origin = Origin::named("a");
    let gateway = Gateway::start(&simple(&[&origin], ONCE, ""));
    let mut raw = Raw::connect(gateway.http());
    assert_eq!(raw.get("/").text(), "a");
    origin.stop();
    let response = raw.get("/refused");
    assert_own(&response, 502, "upstream_refused");
    let line = gateway.wait_log(|line| line.path() == "/refused");
    assert_eq!((line.ended(), line.str("who"), line.num("status")), ("upstream_refused", "upstream", 502));
    assert_eq!(line.str("request_id"), response.field("x-request-id"));
    origin.restart();
    assert_eq!(raw.get("/").text(), "a");
}

#[test]
fn a_whole_upstream_that_refuses_is_answered_502_after_every_attempt() {
    let dead = [Origin::refusing(), Origin::refusing(), Origin::refusing()];
    let gateway = Gateway::start(&simple(&[&dead[0], &dead[1], &dead[2]], "retry = { attempts = 2 }", ""));
    assert_own(&get(gateway.http(), "/"), 502, "upstream_refused");
    assert_eq!(gateway.wait_log(|_| true).num("attempts"), 2);
}

#[test]
fn a_request_that_may_have_been_acted_on_is_not_sent_twice() {
    let closing = Origin::script(|conn| drop(conn.read_request()));
    let resetting = Origin::script(|conn| {
        conn.read_request();
        conn.reset();
    });
    for (origin, cause) in [(closing, "upstream_closed"), (resetting, "upstream_reset")] {
        let other = Origin::named("other");
        let more = "balance = \"round_robin\"\nretry = { attempts = 3 }";
        let gateway = Gateway::start(&simple(&[&origin, &other], more, ""));
        let mut raw = Raw::connect(gateway.http());
        let mut answers = Vec::new();
        for _ in 0..2 {
            raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
            answers.push(raw.read_response());
        }
        let failed = answers.iter().find(|response| response.status != 200).expect("one met the failing endpoint");
        assert_own(failed, 502, cause);
        assert_eq!((origin.requests().len(), other.requests().len()), (1, 1), "{cause}");
    }
}

#[test]
fn a_request_that_is_safe_to_repeat_is_given_to_another_endpoint() {
    let closing = Origin::script(|conn| drop(conn.read_request()));
    let other = Origin::named("other");
    let more = "balance = \"round_robin\"\nretry = { attempts = 2 }";
    let gateway = Gateway::start(&simple(&[&closing, &other], more, ""));
    let mut raw = Raw::connect(gateway.http());
    for _ in 0..4 {
        assert_eq!(raw.get("/").text(), "other");
    }
    assert!(!closing.requests().is_empty(), "nobody met the failing endpoint");
}

#[test]
fn a_response_cut_short_is_never_whole_at_the_client() {
    for reset in [false, true] {
        for framing in ["Content-Length: 10\r\n\r\nhalf.", "Transfer-Encoding: chunked\r\n\r\n5\r\nhalf.\r\n"] {
            let gate = Gate::new();
            let held = gate.clone();
            let origin = Origin::script(move |conn| {
                conn.read_request();
                conn.write(format!("HTTP/1.1 200 OK\r\n{framing}"));
                held.wait(); // until the client has the first half, which a reset would take away
                if reset {
                    conn.reset();
                }
            });
            let gateway = Gateway::before(&[&origin]);
            let mut raw = Raw::connect(gateway.http());
            raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            let mut response = raw.read_head();
            gate.open();
            let read = raw.try_read_body(&mut response);
            assert!(matches!(read, Err(Broken::Cut(_))), "{framing:?}: {read:?}");
            let line = gateway.wait_log(|_| true);
            assert_eq!((line.ended(), line.str("who")), ("upstream_truncated", "upstream"), "{framing:?}");
        }
    }
}

#[test]
fn half_a_response_head_is_502() {
    let origin = Origin::script(|conn| {
        conn.read_request();
        conn.write("HTTP/1.1 200 OK\r\nContent-Le");
    });
    let gateway = Gateway::start(&simple(&[&origin], ONCE, ""));
    let response = get(gateway.http(), "/");
    assert_eq!(response.status, 502);
    assert_eq!(gateway.wait_log(|_| true).str("who"), "upstream");
}

#[test]
fn a_client_that_leaves_while_it_waits_frees_the_upstream() {
    let origin = Origin::silent();
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET /left HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait_for(1);
    raw.reset();
    let line = gateway.wait_log(|line| line.path() == "/left");
    assert_eq!((line.ended(), line.str("who"), line.num("status")), ("client_abort", "client", 499));
    origin.wait_for_open(0);
}

#[test]
fn a_client_that_leaves_within_the_response_frees_the_upstream() {
    let origin = Origin::script(|conn| {
        conn.read_request();
        conn.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while conn.write("5\r\nhello\r\n") {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    });
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    raw.read_head();
    raw.reset();
    assert_eq!(gateway.wait_log(|_| true).ended(), "client_abort");
    origin.wait_for_open(0);
}

#[test]
fn a_client_that_ends_its_own_direction_while_it_waits_counts_as_gone() {
    let origin = Origin::silent();
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET /ended HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait_for(1);
    raw.half_close();
    let line = gateway.wait_log(|line| line.path() == "/ended");
    assert_eq!((line.ended(), line.str("who"), line.num("status")), ("client_abort", "client", 499));
    origin.wait_for_open(0);
}

#[test]
fn an_upstream_with_all_connections_taken_is_answered_503() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::answer(move |request| {
        if request.target == "/held" {
            held.wait();
        }
        ok("a")
    });
    let gateway = Gateway::start(&simple(&[&origin], "connections = 1", ""));
    let mut first = Raw::connect(gateway.http());
    first.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
    gate.wait_for_waiting(1);
    assert_own(&get(gateway.http(), "/"), 503, "no_endpoint");
    assert_eq!(gateway.wait_log(|line| line.ended() == "no_endpoint").num("attempts"), 0);
    let tried = gateway.metrics().sum("ringway_endpoint_attempts_total", &[]);
    assert!((tried - 1.0).abs() < 0.5, "{tried}: an endpoint that may have no more connections is not tried");
    gate.open();
    assert_eq!(first.read_response().text(), "a");
    assert_eq!(first.get("/again").text(), "a");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_look_at_an_endpoint_with_all_connections_taken_is_no_retry() {
    let gate = Gate::new();
    let held = gate.clone();
    let origins = [
        Origin::answer(move |_| {
            held.wait();
            ok("a")
        }),
        Origin::refusing(),
    ];
    let more = "connections = 1\nbalance = \"round_robin\"\nretry = { attempts = 2 }";
    let gateway = Gateway::start(&simple(&[&origins[0], &origins[1]], more, ""));
    let mut first = Raw::connect(gateway.http());
    first.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
    gate.wait_for_waiting(1);
    for _ in 0..4 {
        assert!(matches!(get(gateway.http(), "/").status, 502 | 503));
    }
    let lines = gateway.wait_log_lines(4, |line| line.ended() != "ok");
    // The one that is held may have met the other endpoint first.
    let retries: u64 = lines.iter().map(|line| line.num("attempts").saturating_sub(1)).sum();
    let counted = gateway.metrics().get("ringway_retries_total", &[("upstream", "app")]);
    assert!((retries as f64..retries as f64 + 1.5).contains(&counted), "{counted}: {lines:?}");
    gate.open();
    assert_eq!(first.read_response().text(), "a");
}

#[test]
fn a_listener_with_all_connections_taken_refuses_early_counts_it_and_recovers() {
    let origin = Origin::named("a");
    let gateway = Gateway::start(&simple(&[&origin], "", "connections = 2"));
    let mut open: Vec<_> = (0..2).map(|_| Raw::connect(gateway.http())).collect();
    for raw in &mut open {
        assert_eq!(raw.get("/").text(), "a");
    }
    let mut over = Raw::connect(gateway.http());
    drop(over.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    match over.try_read_response() {
        Ok(response) => assert_eq!(response.status, 503),
        Err(Broken::Closed | Broken::Cut(_)) => {}
        Err(broken) => panic!("{broken:?}"),
    }
    assert_eq!(open[0].get("/").text(), "a", "those inside do not notice");
    assert_eq!(origin.requests().len(), 3);
    let labels = [("listener", "http"), ("reason", "listener")];
    assert_eq!(gateway.metrics().sum("ringway_connections_refused_total", &labels) as usize, 1);
    drop(open);
    eventually("a place is free again", || {
        let mut raw = Raw::connect(gateway.http());
        drop(raw.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        raw.try_read_response().is_ok_and(|response| response.status == 200)
    });
}

#[test]
fn a_process_with_all_connections_taken_refuses_at_every_listener_counts_it_and_recovers() {
    for io in LOOPS {
        let origin = Origin::named("a");
        let process = process(io).replace("[process]\n", "[process]\nconnections = 3\n");
        let second = "\n[listen.second]\nbind = \"127.0.0.1:0\"\n";
        let gateway = Gateway::start(&(process + &simple(&[&origin], "", "") + second));
        let listeners = ["http", "second"];
        let refused = |listener: &str, reason: &str| {
            let labels = [("listener", listener), ("reason", reason)];
            gateway.metrics().sum("ringway_connections_refused_total", &labels) as usize
        };
        for turn in 1..=3 {
            // Now the one has more of them, and now the other.
            let by = |at: usize| gateway.addr(listeners[(at + turn) % 2]);
            let mut open: Vec<_> = (0..3).map(|at| Raw::connect(by(at))).collect();
            for raw in &mut open {
                assert_eq!(raw.get("/").text(), "a", "{io}");
            }
            for listener in listeners {
                let mut over = Raw::connect(gateway.addr(listener));
                drop(over.try_send("GET /over HTTP/1.1\r\nHost: a\r\n\r\n"));
                let read = over.try_read_response();
                assert!(matches!(read, Err(Broken::Closed | Broken::Cut(_))), "{io}: {read:?}");
                assert_eq!(
                    (refused(listener, "process"), refused(listener, "listener")),
                    (turn, 0),
                    "{io}: {listener}"
                );
            }
            for raw in &mut open {
                assert_eq!(raw.get("/").text(), "a", "{io}: those inside do not notice");
            }
            drop(open);
            eventually("every place is free again", || gateway.metrics().sum("ringway_connections", &[]) < 0.5);
        }
        assert!(origin.requests().iter().all(|request| request.target == "/"), "{io}");
    }
}

#[test]
fn a_storm_of_clients_that_leave_costs_no_descriptor() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    assert_eq!(get(gateway.http(), "/").status, 200);
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).unwrap().count();
    let before = descriptors();
    for n in 0..200 {
        let mut raw = Raw::connect(gateway.http());
        match n % 4 {
            0 => raw.send("GET / HTTP/1.1\r\n"),
            1 => raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            2 => raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf"),
            _ => {}
        }
        if n % 8 < 4 {
            raw.reset();
        }
    }
    let now = || gateway.metrics().sum("ringway_connections", &[]) as usize;
    eventually("every client is gone", || now() == 0);
    eventually("upstream connections are few", || descriptors() <= before + 64);
    assert_eq!(get(gateway.http(), "/").status, 200);
}
