//! Connections that live on: whose bytes are whose, when one is used again, and when never.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use ringway::io::ring::Wanted;

use crate::support::Authority;
use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Inside;
use crate::support::Origin;
use crate::support::PATIENCE;
use crate::support::Raw;
use crate::support::eventually;
use crate::support::get;
use crate::support::ok;
use crate::support::simple;
use crate::tls::tls as secured;

#[test]
fn many_requests_of_one_client_share_one_upstream_connection() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    for n in 0..20 {
        assert_eq!(raw.get(&format!("/{n}")).text(), "a");
    }
    assert_eq!((origin.connections(), origin.requests().len()), (1, 20));
    let targets: Vec<_> = origin.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, (0..20).map(|n| format!("/{n}")).collect::<Vec<_>>());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::answer(|request| ok(&request.target));
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    let mut bytes = String::new();
    for n in 0..10 {
        bytes += &format!("POST /{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    }
    raw.send(bytes);
    for n in 0..10 {
        assert_eq!(raw.read_response().text(), format!("/{n}"));
    }
    assert!(origin.requests().iter().all(|request| request.text() == "abc"));
}

#[test]
fn requests_cut_anywhere_into_packets_are_understood() {
    let origin = Origin::answer(|request| ok(&format!("{} {}", request.target, request.text())));
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    let two = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
               POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n0\r\n\r\n";
    for piece in [1, 3, 64] {
        raw.send_slowly(two, piece);
        assert_eq!(raw.read_response().text(), "/a abc");
        assert_eq!(raw.read_response().text(), "/b xyz");
    }
}

#[test]
fn a_client_that_asks_for_close_gets_it() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let response = raw.read_response();
    assert!(response.closes(), "{response:?}");
    raw.expect_closed();
    get(gateway.http(), "/");
    assert!(origin.requests().iter().all(|request| request.all("connection").iter().all(|value| *value != "close")));
}

#[test]
fn a_client_of_http_1_0_is_answered_whole_and_the_connection_ends() {
    let origin = Origin::fixed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    let bytes = String::from_utf8(raw.read_to_end()).unwrap();
    let (head, body) = bytes.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 ") && !head.to_lowercase().contains("transfer-encoding"), "{head}");
    assert_eq!(body, "abc");
    assert_eq!(origin.requests()[0].version, "HTTP/1.1");
}

#[test]
fn close_by_the_upstream_is_its_own_affair() {
    let origin = Origin::script(|conn| {
        conn.read_request();
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\na");
    });
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    for _ in 0..3 {
        let response = raw.get("/");
        assert!(!response.closes(), "{response:?}");
    }
    assert_eq!(origin.connections(), 3);
}

#[test]
fn a_pooled_connection_that_the_upstream_closed_costs_no_request() {
    let origin = Origin::script(|conn| {
        conn.read_request();
        conn.write(ok("a")); // promises to stay, and ends its direction
        conn.close();
        conn.wait_closed();
    });
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    for n in 1..=5 {
        raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
        assert_eq!(raw.read_response().status, 200);
        origin.wait_for_open(0); // the pool has noticed
        assert_eq!(origin.connections(), n);
    }
}

#[test]
fn bytes_behind_a_response_never_reach_the_next_request() {
    let origin = Origin::script(|conn| {
        while conn.read_request().is_some() {
            conn.write(
                "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngoodHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
            );
        }
    });
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    for n in 1..=5 {
        assert_eq!(raw.get("/").text(), "good");
        assert_eq!(origin.connections(), n, "a connection with bytes left over was used again");
    }
}

#[test]
fn an_upstream_connection_still_owing_a_body_is_closed_when_the_client_leaves() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::script(move |conn| {
        conn.read_request();
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf.");
        held.wait();
        conn.write("other");
        conn.wait_closed();
    });
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    raw.read_head();
    raw.reset();
    gateway.wait_log(|line| line.ended() == "client_abort");
    gate.open();
    origin.wait_for_open(0);
}

#[test]
fn an_answer_before_the_end_of_the_request_body_is_relayed_and_the_upstream_connection_not_used_again() {
    let origin = Origin::script(|conn| {
        conn.read_head();
        conn.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        conn.wait_closed();
    });
    let gateway = Gateway::before(&[&origin]);
    for n in 1..=2 {
        let mut raw = Raw::connect(gateway.http());
        raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nfirst");
        let response = raw.read_response();
        assert_eq!((response.status, response.text()), (403, "no"));
        drop(raw);
        origin.wait_for_open(0);
        assert_eq!(origin.connections(), n);
    }
}

#[test]
fn an_idle_client_is_closed_after_its_time() {
    let origin = Origin::named("a");
    let gateway = Gateway::start(&simple(&[&origin], "", "timeout = { idle = \"100ms\" }"));
    let mut raw = Raw::connect(gateway.http());
    raw.get("/");
    raw.expect_closed();
    assert_eq!(gateway.wait_log_lines(1, |_| true).len(), 1, "an idle close is no exchange");
}

fn kept(origin: &Origin, bounds: &str) -> Inside {
    Inside::start(&simple(&[origin], "", &format!("keep_alive = {{ {bounds} }}")), Wanted::Auto)
}

#[test]
fn the_last_request_that_a_connection_may_carry_is_told_so() {
    let origin = Origin::named("a");
    let inside = kept(&origin, "requests = 3");
    let mut raw = Raw::connect(inside.addr);
    let closes: Vec<_> = (0..3).map(|_| raw.get("/").closes()).collect();
    assert_eq!(closes, [false, false, true]);
    raw.expect_closed();
    // Also where several stand in the buffer at once, and where the answer is the gateway's own.
    let mut raw = Raw::connect(inside.addr);
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(4));
    let closes: Vec<_> = (0..3).map(|_| raw.read_response().closes()).collect();
    assert_eq!(closes, [false, false, true]);
    raw.expect_closed();
    drop(origin);
    let mut raw = Raw::connect(inside.addr);
    let closes: Vec<_> = (0..3).map(|_| raw.get("/").closes()).collect();
    assert_eq!(closes, [false, false, true]);
    raw.expect_closed();
}

#[test]
fn connections_end_a_little_before_their_bound_each_at_its_own_request() {
    const CONNECTIONS: usize = 30;
    let origin = Origin::named("a");
    let inside = kept(&origin, "requests = 100");
    let mut ends = BTreeMap::new();
    for _ in 0..CONNECTIONS {
        let mut raw = Raw::connect(inside.addr);
        let told = (1..=100).find(|_| raw.get("/").closes());
        let carried: usize = told.expect("a connection that carries more than its bound");
        raw.expect_closed();
        assert!((90..=100).contains(&carried), "a connection ended after {carried} requests");
        *ends.entry(carried).or_insert(0) += 1;
    }
    // Ten or so are as likely as each other: that most of the thirty are the same does not happen.
    let most = ends.values().max().copied().unwrap_or(0);
    assert!(ends.len() > 2 && most < CONNECTIONS / 2, "they all go at once: {ends:?}");
}

#[test]
fn a_busy_connection_over_its_age_is_told_so_and_an_idle_one_is_closed() {
    let origin = Origin::named("a");
    let inside = kept(&origin, "age = \"3s\"");
    let mut idle = Raw::connect(inside.addr);
    assert!(!idle.get("/").closes());
    let mut busy = Raw::connect(inside.addr);
    let (mut requests, begun) = (1, Instant::now());
    while !busy.get("/").closes() {
        requests += 1;
        assert!(begun.elapsed() < PATIENCE, "kept without end");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(requests > 1, "closed at once");
    busy.expect_closed();
    idle.expect_closed();
    assert_eq!(inside.slab.exchanges.get(), requests + 1, "an idle close is no exchange");
}

#[test]
fn an_idle_upstream_connection_is_closed_after_its_time() {
    let origin = Origin::named("a");
    let gateway = Gateway::start(&simple(&[&origin], "keep_alive = { idle = \"1s\" }", ""));
    let mut raw = Raw::connect(gateway.http());
    raw.get("/");
    origin.wait_for_open(0);
    assert_eq!(raw.get("/").text(), "a");
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_pool_of_none_keeps_none() {
    let origin = Origin::named("a");
    let gateway = Gateway::start(&simple(&[&origin], "keep_alive = { connections = 0 }", ""));
    let mut raw = Raw::connect(gateway.http());
    for n in 1..=3 {
        raw.get("/");
        origin.wait_for_open(0);
        assert_eq!(origin.connections(), n);
    }
}

#[test]
fn a_parked_connection_wakes_up_whole() {
    let origin = Origin::answer(|request| ok(&request.target));
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    assert_eq!(raw.get("/1").text(), "/1");
    std::thread::sleep(Duration::from_millis(2_500)); // past the grace before an idle connection is parked
    raw.send_slowly("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n", 5);
    assert_eq!(raw.read_response().text(), "/2");
    assert_eq!(raw.get("/3").text(), "/3");
}

/// A gateway of one core, beside so many connections which have said nothing yet that those who wait for their next request
/// are parked at once.
fn crowded(toml: &str) -> (Gateway, Vec<TcpStream>) {
    const CROWD: usize = 1_200;
    let process = "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\naccess_log = \"stdout\"\n\n";
    let gateway = Gateway::start(&format!("{process}{toml}"));
    let crowd = (0..CROWD).map(|_| TcpStream::connect(gateway.http()).unwrap()).collect();
    eventually("all have come", || gateway.get_json("/v1/overview")["connections"] == CROWD);
    (gateway, crowd)
}

#[test]
fn in_a_crowd_a_connection_is_parked_between_requests_and_loses_nothing() {
    let origin = Origin::answer(|request| ok(&request.target));
    let (gateway, crowd) = crowded(&simple(&[&origin], "", "timeout = { head = \"60s\" }"));
    let mut raw = Raw::connect(gateway.http());
    for turn in 0..5 {
        assert_eq!(raw.get(&format!("/{turn}")).text(), format!("/{turn}"));
        // In pieces, and two at once.
        raw.send_slowly("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n", 5);
        assert_eq!(raw.read_response().text(), "/slow");
        raw.send("GET /one HTTP/1.1\r\nHost: a\r\n\r\nGET /two HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!((raw.read_response().text(), raw.read_response().text()), ("/one", "/two"));
    }
    eventually("it is parked", || gateway.get_json("/v1/overview")["parked"] == 1);
    raw.half_close();
    raw.expect_closed();
    drop(crowd);
}

#[test]
fn in_a_crowd_what_came_before_a_connection_was_too_old_is_answered() {
    let gate = Gate::new();
    let opened = gate.clone();
    let origin = Origin::script(move |conn| {
        while let Some(request) = conn.read_request() {
            conn.write("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\na");
            if request.target == "/slow" {
                opened.wait();
            }
            conn.write("bc");
        }
    });
    let toml = simple(&[&origin], "", "timeout = { head = \"60s\" }\nkeep_alive = { age = \"1s\" }");
    let (gateway, crowd) = crowded(&toml);
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut response = raw.read_head();
    assert!(!response.closes(), "it is told that it is kept");
    raw.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    std::thread::sleep(Duration::from_millis(1_200)); // past the age
    gate.open();
    raw.read_body(&mut response);
    assert_eq!(response.text(), "abc");
    let next = raw.read_response();
    assert!(next.text() == "abc" && next.closes());
    raw.expect_closed();
    drop(crowd);
}

#[test]
fn in_a_crowd_what_came_under_tls_during_an_exchange_is_answered() {
    let origin = Origin::answer(|request| {
        // Long enough for the gateway to look whether the client is still there, and so at what else it has said.
        std::thread::sleep(Duration::from_millis(if request.target == "/one" { 400 } else { 0 }));
        ok(&request.target)
    });
    let authority = Authority::new();
    let shop = authority.issue("shop", &["shop.example"]);
    let (gateway, crowd) = crowded(&secured(&origin, &[&shop], "handshake = { timeout = \"60s\" }"));
    let mut client = authority.client(None).connect(gateway.http(), "shop.example");
    for turn in 1..=2 {
        client.send("GET /one HTTP/1.1\r\nHost: shop.example\r\n\r\n");
        origin.wait_for(turn * 2 - 1);
        client.send("GET /two HTTP/1.1\r\nHost: shop.example\r\n\r\n");
        assert_eq!((client.read_response().text(), client.read_response().text()), ("/one", "/two"));
    }
    drop(crowd);
}

#[test]
fn clients_that_idle_by_the_thousand_cost_little_each() {
    const CLIENTS: usize = 1_500;
    let origin = Origin::answer(|request| ok(&request.target));
    let gateway = Gateway::before(&[&origin]);
    let are_parked = |n: usize| eventually("they are parked", || gateway.get_json("/v1/overview")["parked"] == n);
    // What the first ones cost is kept to be used again.
    let crowd = |n: usize| -> Vec<Raw> {
        (0..n)
            .map(|at| {
                let mut raw = Raw::connect(gateway.http());
                assert_eq!(raw.get("/1").text(), "/1");
                // One after the other, as they come in life: few of them are busy at a time.
                if at % 10 == 0 {
                    std::thread::sleep(Duration::from_millis(10));
                }
                raw
            })
            .collect()
    };
    let first = crowd(500);
    are_parked(first.len());
    let before = gateway.resident_kib();
    let all = crowd(CLIENTS);
    are_parked(first.len() + all.len());
    let each = gateway.resident_kib().saturating_sub(before) * 1024 / CLIENTS as u64;
    assert!(each <= 2 * 1024, "{each} bytes for an idle connection");
}
