//! Interim responses and the expectation of one. RFC 9110 §10.1.1, §15.2.

use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::get;
use crate::support::ok;
use crate::support::simple;

#[test]
fn a_client_that_waits_for_100_gets_it_from_the_upstream_and_then_its_answer() {
    let origin = Origin::script(|conn| {
        while let Some(mut request) = conn.read_head() {
            assert_eq!(request.field("expect"), "100-continue");
            conn.write("HTTP/1.1 100 Continue\r\n\r\n");
            if conn.read_body(&mut request) {
                conn.write(ok(request.text()));
            }
        }
    });
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    for _ in 0..2 {
        raw.send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
        let interim = String::from_utf8(raw.read_at_least(25)).unwrap();
        assert!(interim.starts_with("HTTP/1.1 100 ") && interim.ends_with("\r\n\r\n"), "{interim:?}");
        raw.send("body");
        let response = raw.read_response();
        assert_eq!((response.status, response.text(), response.interim.len()), (200, "body", 0));
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_upstream_may_refuse_without_asking_for_the_body() {
    let origin = Origin::script(|conn| {
        conn.read_head();
        conn.write("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno");
        conn.wait_closed();
    });
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    let response = raw.read_response();
    assert_eq!((response.status, response.text(), response.interim.len()), (401, "no", 0));
    origin.wait_for_open(0); // it may still owe a body: never used again
}

#[test]
fn a_client_that_does_not_wait_is_not_made_to() {
    let origin = Origin::answer(|request| ok(request.text()));
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody");
    assert_eq!(raw.read_response().text(), "body");
}

#[test]
fn early_hints_are_relayed_before_the_answer() {
    let origin = Origin::fixed(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: x\r\nX: 1\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
    );
    let gateway = Gateway::before(&[&origin]);
    let response = get(gateway.http(), "/");
    assert_eq!((response.status, response.text(), response.interim.len()), (200, "a", 1));
    let (status, fields) = &response.interim[0];
    assert_eq!(*status, 103);
    assert!(fields.iter().any(|(name, value)| name == "Link" && value == "</a.css>"), "{fields:?}");
    assert!(fields.iter().all(|(name, _)| name != "X"), "{fields:?}");
}

#[test]
fn a_client_of_http_1_0_is_spared_interim_responses() {
    let origin =
        Origin::fixed("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    assert!(String::from_utf8(raw.read_to_end()).unwrap().starts_with("HTTP/1.1 200 "));
}

#[test]
fn interim_responses_are_counted_and_bounded() {
    let flood = |n: usize| {
        let bytes = "HTTP/1.1 102 Processing\r\n\r\n".repeat(n) + &ok("a");
        Origin::script(move |conn| {
            conn.read_request();
            conn.write(&bytes);
            conn.wait_closed();
        })
    };
    let (few, many) = (flood(32), flood(33));
    let gateway = Gateway::start(&simple(&[&few], "retry = { attempts = 1 }", ""));
    assert_eq!(get(gateway.http(), "/").interim.len(), 32);
    let gateway = Gateway::start(&simple(&[&many], "retry = { attempts = 1 }", ""));
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let seen = raw.read_response();
    assert_eq!((seen.status, seen.interim.len()), (502, 32));
    let line = gateway.wait_log(|_| true);
    assert_eq!(line.ended(), "upstream_bad_response");
    many.wait_for_open(0);
}
