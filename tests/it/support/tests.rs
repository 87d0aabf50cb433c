//! The harness against itself: what it finds wrong in others, it must get right.

use super::Broken;
use super::Gate;
use super::Metrics;
use super::Origin;
use super::Raw;
use super::get;
use super::pattern;

#[test]
fn a_client_reads_what_an_origin_fixed() {
    let origin = Origin::named("orders");
    let response = get(origin.addr(), "/x");
    assert_eq!((response.status, response.reason.as_str(), response.text()), (200, "OK", "orders"));
    assert_eq!(origin.requests()[0].target, "/x");
    assert_eq!(origin.requests()[0].field("host"), "test.example");
}

#[test]
fn a_connection_serves_many_requests_and_is_counted_once() {
    let origin = Origin::echo();
    let mut raw = Raw::connect(origin.addr());
    for n in 0..3 {
        let seen: serde_json::Value = serde_json::from_str(raw.get(&format!("/{n}")).text()).unwrap();
        assert_eq!(seen["target"], format!("/{n}"));
    }
    assert_eq!((origin.connections(), origin.requests().len()), (1, 3));
    drop(raw);
    origin.wait_for_open(0);
}

#[test]
fn chunks_trailers_and_interim_responses_are_understood() {
    let origin = Origin::fixed(
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nabc\r\nA\r\n0123456789\r\n0\r\nSum: 1\r\n\r\n",
    );
    let response = get(origin.addr(), "/");
    assert_eq!((response.text(), response.interim[0].0), ("abc0123456789", 103));
    assert_eq!(response.trailers, [("Sum".to_owned(), "1".to_owned())]);
}

#[test]
fn requests_in_pieces_with_bodies_of_both_kinds_are_understood() {
    let origin = Origin::named("a");
    let mut raw = Raw::connect(origin.addr());
    raw.send_slowly("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody", 7);
    raw.read_response();
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n");
    raw.read_response();
    assert!(origin.requests().iter().all(|request| request.text() == "body" && request.complete));
}

#[test]
fn a_response_to_head_has_no_body_whatever_it_says() {
    let origin = Origin::fixed("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    let mut raw = Raw::connect(origin.addr());
    raw.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(raw.read_response_to_head().field("content-length"), "5");
}

#[test]
fn broken_responses_are_not_taken_for_whole_ones() {
    let rules = [
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nName : a\r\n\r\n",
        "HTTP/1.1 200 OK\nName: a\n\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HELLO\r\n\r\n",
    ];
    for response in rules {
        let origin = Origin::fixed(response);
        let mut raw = Raw::connect(origin.addr());
        raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let read = raw.try_read_response();
        assert!(matches!(read, Err(Broken::Rule(_))), "{response:?}: {read:?}");
    }
    for response in
        ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "HTTP/1.1 200 OK\r\nConte", "HTTP/1.1 100 C\r\n\r\n"]
    {
        let origin = Origin::script(move |conn| {
            conn.read_request();
            conn.write(response);
        });
        let mut raw = Raw::connect(origin.addr());
        raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let read = raw.try_read_response();
        assert!(matches!(read, Err(Broken::Cut(_))), "{response:?}: {read:?}");
    }
}

#[test]
fn a_body_until_close_is_read_to_its_end() {
    let origin = Origin::script(|conn| {
        conn.read_request();
        conn.write("HTTP/1.1 200 OK\r\n\r\n");
        conn.write(pattern(100_000));
    });
    assert_eq!(get(origin.addr(), "/").body, pattern(100_000));
}

#[test]
fn a_gate_holds_an_origin_until_it_is_opened() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::script(move |conn| {
        conn.read_request();
        held.wait();
        conn.write("HTTP/1.1 204 No Content\r\n\r\n");
    });
    let mut raw = Raw::connect(origin.addr());
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    gate.wait_for_waiting(1);
    raw.expect_silence();
    gate.open();
    assert_eq!(raw.read_response().status, 204);
    raw.expect_closed();
}

#[test]
fn an_origin_stops_refuses_and_comes_back_on_its_port() {
    let mut origin = Origin::named("a");
    let mut raw = Raw::connect(origin.addr());
    raw.get("/");
    origin.stop();
    raw.expect_closed();
    assert!(std::net::TcpStream::connect(origin.addr()).is_err());
    origin.restart();
    assert_eq!(get(origin.addr(), "/").text(), "a");
    assert!(std::net::TcpStream::connect(Origin::refusing().addr()).is_err());
}

#[test]
fn a_full_origin_neither_accepts_nor_refuses() {
    let origin = Origin::full();
    let patience = std::time::Duration::from_millis(100);
    let fault = std::net::TcpStream::connect_timeout(&origin.addr(), patience).unwrap_err();
    assert_eq!(fault.kind(), std::io::ErrorKind::TimedOut);
}

#[test]
fn resets_and_half_closes_are_told_apart() {
    let origin = Origin::script(|conn| {
        assert!(conn.read_request().is_some());
        assert!(conn.read_request().is_none());
        conn.write("HTTP/1.1 204 No Content\r\n\r\n");
        conn.reset();
    });
    let mut raw = Raw::connect(origin.addr());
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    raw.half_close();
    assert_eq!(raw.read_response().status, 204);
    raw.expect_closed();
    Raw::connect(Origin::silent().addr()).reset();
}

#[test]
#[should_panic(expected = "an origin's script failed")]
fn a_failed_script_fails_the_test() {
    let origin = Origin::script(|conn| {
        conn.read_request();
        panic!("planted");
    });
    let mut raw = Raw::connect(origin.addr());
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    raw.expect_closed();
}

#[test]
#[should_panic(expected = "ill-formed request")]
fn an_ill_formed_request_fails_the_test() {
    let origin = Origin::named("a");
    let mut raw = Raw::connect(origin.addr());
    raw.send("GET / HTTP/1.1\nHost: a\n\n");
    raw.expect_closed();
}

#[test]
fn metrics_are_read_with_labels_and_escapes() {
    let text = "# HELP a b\n# TYPE a counter\na{x=\"1\",y=\"q\\\"\\\\,}\"} 2\na{x=\"2\"} 3.5\nb 1e3\nc_bucket{le=\"+Inf\"} 4\n";
    let metrics = Metrics::parse(text);
    assert!((metrics.get("a", &[("x", "1"), ("y", "q\"\\,}")]) - 2.0).abs() < 1e-9);
    assert!((metrics.sum("a", &[]) - 5.5).abs() < 1e-9);
    assert!((metrics.get("b", &[]) - 1000.0).abs() < 1e-9);
    assert!(metrics.has("c_bucket") && !metrics.has("c"));
    assert_eq!(metrics.labels("a", "x"), ["1", "2"]);
}

#[test]
#[should_panic(expected = "metrics line")]
fn metrics_that_break_the_format_fail_the_test() {
    Metrics::parse("a{x=1} 2\n");
}
