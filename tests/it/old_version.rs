//! HTTP/1.0 on either side: what its clients are told of the end of a response and of their connection, and what its
//! services mean by theirs. RFC 9112 §9.3, appendix C.2.

use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Response;
use crate::support::get;
use crate::support::simple;

const LENGTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
const CHUNKS: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nX-T: 1\r\n\r\n";

fn framing(response: &Response) -> (&str, &str, &str) {
    (response.field("content-length"), response.field("transfer-encoding"), response.field("connection"))
}

/// The response to a client of 1.0, asked for once.
fn ask(origin: &Origin, fields: &str) -> (Response, Raw, Gateway) {
    let gateway = Gateway::before(&[origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send(format!("GET / HTTP/1.0\r\n{fields}\r\n"));
    (raw.read_response(), raw, gateway)
}

#[test]
fn a_client_that_keeps_nothing_is_told_of_the_end_and_given_it() {
    for (response, expected) in [(LENGTH, ("3", "", "close")), (CHUNKS, ("", "", "close"))] {
        let origin = Origin::fixed(response);
        for fields in ["", "Host: a\r\n", "Connection: close\r\n", "Connection: keep-alive, close\r\n"] {
            let (response, mut raw, _gateway) = ask(&origin, fields);
            assert_eq!((framing(&response), response.text()), (expected, "abc"), "{fields:?}");
            raw.expect_closed();
        }
    }
}

#[test]
fn a_client_that_keeps_its_connection_is_told_so_where_a_length_can_be() {
    let origin = Origin::fixed(LENGTH);
    let (first, mut raw, _gateway) = ask(&origin, "Connection: Keep-Alive\r\n");
    assert_eq!(framing(&first), ("3", "", "keep-alive"));
    for _ in 0..2 {
        raw.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let again = raw.read_response();
        assert_eq!((framing(&again), again.text()), (("3", "", "keep-alive"), "abc"));
    }
    raw.send("HEAD / HTTP/1.0\r\n\r\n");
    assert_eq!(framing(&raw.read_response_to_head()), ("3", "", "close"));
    raw.expect_closed();
}

#[test]
fn a_body_without_a_length_ends_with_the_connection_whatever_the_client_would_keep() {
    let origin = Origin::fixed(CHUNKS);
    let (response, mut raw, _gateway) = ask(&origin, "Connection: keep-alive\r\n");
    assert_eq!((framing(&response), response.text()), (("", "", "close"), "abc"));
    raw.expect_closed();
}

#[test]
fn the_answers_of_the_gateway_itself_keep_to_it() {
    let origin = Origin::fixed(LENGTH);
    let gateway = Gateway::start(&simple(&[&origin], "", "").replace("[host.\"*\"]", "[host.\"a\"]"));
    let mut raw = Raw::connect(gateway.http());
    for (host, status) in [("b", 404), ("a", 200), ("b", 404)] {
        raw.send(format!("GET / HTTP/1.0\r\nHost: {host}\r\nConnection: keep-alive\r\n\r\n"));
        let response = raw.read_response();
        assert_eq!((response.status, response.field("connection")), (status, "keep-alive"));
    }
    raw.send("GET / HTTP/1.0\r\nHost: b\r\n\r\n");
    let last = raw.read_response();
    assert_eq!((last.status, last.field("connection")), (404, "close"));
    raw.expect_closed();
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET / HTTP/1.1\r\nHost: b\r\n\r\n");
    assert_eq!(raw.read_response().field("connection"), "", "1.1 keeps without a word");
}

#[test]
fn a_service_of_1_0_is_kept_only_if_it_says_so() {
    let answer = |fields: &str| format!("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n{fields}\r\na");
    for (fields, connections) in [("", 3), ("Connection: keep-alive\r\n", 1), ("Connection: close\r\n", 3)] {
        let origin = Origin::fixed(answer(fields));
        let gateway = Gateway::before(&[&origin]);
        let mut raw = Raw::connect(gateway.http());
        for _ in 0..3 {
            let response = raw.get("/");
            assert_eq!((framing(&response), response.text()), (("1", "", ""), "a"), "{fields:?}");
        }
        assert_eq!(origin.connections(), connections, "{fields:?}");
        assert!(origin.requests().iter().all(|request| request.version == "HTTP/1.1"));
    }
}

#[test]
fn a_service_of_1_0_that_ends_its_body_by_closing_is_relayed_in_chunks() {
    let origin = Origin::script(|conn| {
        conn.read_request();
        conn.write("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nabc");
    });
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    for _ in 0..2 {
        let response = raw.get("/");
        assert_eq!((framing(&response), response.text()), (("", "chunked", ""), "abc"));
    }
}

#[test]
fn chunks_from_a_service_of_1_0_are_believed_by_nobody() {
    let origin = Origin::fixed(CHUNKS.replace("HTTP/1.1", "HTTP/1.0"));
    let gateway = Gateway::start(&simple(&[&origin], "retry = { attempts = 1 }", ""));
    assert_eq!(get(gateway.http(), "/").status, 502);
}
