//! What happens where two rules meet: an answer before the end of its request, an end that only the connection tells, a
//! bound that several cores share, a listener that changes its name.

use std::io::Write;
use std::time::Duration;

use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::eventually;
use crate::support::get;
use crate::support::ok;
use crate::support::simple;

/// Answers at once with a response that only the end of the connection ends, takes nothing of the request's body, and goes
/// on sending until the gateway has had enough, or for `pieces` pieces.
fn early_until_close(pieces: usize) -> Origin {
    Origin::script(move |conn| {
        conn.read_head();
        conn.write("HTTP/1.1 200 OK\r\n\r\n");
        for _ in 0..pieces {
            if !conn.write("piece ") {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    })
}

#[test]
fn an_answer_is_not_ended_by_a_request_body_that_nobody_takes() {
    let origin = early_until_close(30);
    let gateway = Gateway::start(&simple(&[&origin], "timeout = { body = \"1s\" }", ""));
    let mut raw = Raw::connect(gateway.http());
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n");
    let mut sender = raw.sender();
    let writing = std::thread::spawn(move || {
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..100 {
            if sender.write_all(&piece).is_err() {
                break;
            }
        }
    });
    let mut response = raw.read_head();
    if raw.try_read_body(&mut response).is_ok() {
        assert_eq!(response.text().matches("piece").count(), 30, "a response cut short looks whole");
    }
    drop(raw);
    writing.join().unwrap();
}

#[test]
fn a_later_minor_version_is_taken_as_1_1() {
    let origin = Origin::named("app");
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET / HTTP/1.2\r\nHost: a\r\n\r\n");
    assert_eq!(raw.read_response().text(), "app");
}

#[test]
fn a_listener_may_change_its_name() {
    let origin = Origin::named("app");
    let gateway = Gateway::before(&[&origin]);
    let addr = gateway.http();
    let fixed = |name: &str| {
        simple(&[&origin], "", "")
            .replace("127.0.0.1:0", &addr.to_string())
            .replace("listen.http", &format!("listen.{name}"))
    };
    assert_eq!(gateway.reload(&fixed("web")).status, 200);
    assert_eq!(get(addr, "/").text(), "app");
}

#[test]
fn listeners_that_come_and_go_cost_no_descriptor() {
    listeners_come_and_go("auto");
    listeners_come_and_go("epoll");
}

fn listeners_come_and_go(io: &str) {
    let origin = Origin::named("app");
    let head = format!("[process]\ncores = 2\nadmin = \"127.0.0.1:0\"\nio = \"{io}\"\n\n");
    let one = format!("{head}{}", simple(&[&origin], "", ""));
    let two = format!("{one}\n[listen.other]\nbind = \"127.0.0.1:0\"\n");
    let gateway = Gateway::start(&one);
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).unwrap().count();
    let turn = || {
        assert_eq!(gateway.reload(&two).status, 200);
        assert_eq!(gateway.reload(&one).status, 200);
    };
    turn();
    let before = descriptors();
    (0..10).for_each(|_| turn());
    eventually("the descriptors of closed listeners are given back", || descriptors() <= before + 4);
}

#[test]
fn a_response_without_length_to_a_client_of_http_1_0_is_reset_when_a_drain_cuts_it() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::script(move |conn| {
        conn.read_request();
        conn.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        held.wait();
    });
    let head = "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\ndrain = \"1s\"\n\n";
    let mut gateway = Gateway::start(&format!("{head}{}", simple(&[&origin], "", "")));
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET / HTTP/1.0\r\n\r\n");
    let mut response = raw.read_head();
    gateway.signal(crate::support::Signal::Term);
    let whole = raw.try_read_body(&mut response);
    gate.open();
    assert!(whole.is_err(), "a response cut short looks whole: {response:?}");
}

#[test]
fn a_response_without_length_to_a_client_of_http_1_0_is_reset_when_its_request_breaks_off() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::script(move |conn| {
        conn.read_head();
        conn.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        held.wait();
    });
    let gateway = Gateway::start(&simple(&[&origin], "", "timeout = { body = \"1s\" }"));
    let mut raw = Raw::connect(gateway.http());
    raw.send("POST / HTTP/1.0\r\nContent-Length: 10\r\n\r\nhalf");
    let mut response = raw.read_head();
    let whole = raw.try_read_body(&mut response);
    gate.open();
    assert!(whole.is_err(), "a response cut short looks whole: {response:?}");
}

#[test]
fn an_endpoint_that_answers_no_expectation_is_to_blame_for_the_silence() {
    let origin = Origin::script(|conn| {
        conn.read_head();
        conn.wait_closed();
    });
    let gateway = Gateway::start(&simple(&[&origin], "timeout = { response = \"1s\" }", "timeout = { body = \"2s\" }"));
    let mut raw = Raw::connect(gateway.http());
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(raw.read_response().status, 504, "the client waits for the endpoint, not the other way round");
}

#[test]
fn a_full_endpoint_costs_no_attempt_where_there_is_another() {
    let gate = Gate::new();
    let held: Vec<_> = (0..2)
        .map(|_| {
            let held = gate.clone();
            Origin::answer(move |_| {
                held.wait();
                ok("held")
            })
        })
        .collect();
    let free = Origin::named("free");
    let head = "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\n\n";
    let app = "connections = 1\nbalance = \"round_robin\"\nretry = { attempts = 2 }";
    let gateway = Gateway::start(&format!("{head}{}", simple(&[&held[0], &held[1], &free], app, "")));
    let mut waiting = Vec::new();
    while waiting.len() < 2 {
        let mut raw = Raw::connect(gateway.http());
        raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        eventually("an answer, or a request that is held", || {
            raw.has_news() || held.iter().map(|o| o.requests().len()).sum::<usize>() > waiting.len()
        });
        if !raw.has_news() {
            waiting.push(raw);
        }
    }
    let statuses: Vec<_> = (0..6).map(|_| get(gateway.http(), "/").status).collect();
    gate.open();
    assert_eq!(statuses, [200; 6], "two endpoints are full, the third is free");
}
