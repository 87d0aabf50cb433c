//! Bodies: by length, chunked and until close, both ways, at once, bounded, and never longer or shorter than they are.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::PATIENCE;
use crate::support::Raw;
use crate::support::get;
use crate::support::ok;
use crate::support::pattern;
use crate::support::simple;

fn chunked(body: &[u8], piece: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in body.chunks(piece) {
        bytes.extend(format!("{:x}\r\n", part.len()).bytes());
        bytes.extend(part);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    bytes
}

#[test]
fn bodies_by_length_arrive_whole_both_ways() {
    let origin = Origin::answer(|request| {
        let mut bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len()).into_bytes();
        bytes.extend(&request.body);
        bytes
    });
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    for length in [0, 1, 1000, 16 * 1024, 65_536, 3_000_000] {
        let body = pattern(length);
        raw.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"));
        raw.send(&body);
        let response = raw.read_response();
        assert!(response.body == body, "{length} bytes came back as {}", response.body.len());
        assert_eq!(response.field("content-length"), length.to_string());
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn chunked_bodies_arrive_whole_both_ways_whatever_the_chunks() {
    let origin = Origin::answer(|request| {
        let mut bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        bytes.extend(chunked(&request.body, 777));
        bytes
    });
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    for (length, piece) in [(0, 1), (10, 1), (1000, 7), (100_000, 999), (2_000_000, 100_000)] {
        let body = pattern(length);
        raw.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        raw.send(chunked(&body, piece));
        assert!(raw.read_response().body == body, "{length} bytes in chunks of {piece}");
        let seen = origin.wait_for(1);
        assert!(seen.body == body && seen.all("content-length").is_empty());
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_body_until_close_arrives_whole_and_the_client_knows_its_end() {
    let origin = Origin::script(|conn| {
        conn.read_request();
        conn.write("HTTP/1.1 200 OK\r\n\r\n");
        conn.write(pattern(200_000));
    });
    let gateway = Gateway::before(&[&origin]);
    let response = get(gateway.http(), "/");
    assert!(response.body == pattern(200_000));
    gateway.wait_log(|line| line.ended() == "ok");
}

#[test]
fn trailers_are_relayed_both_ways() {
    let origin = Origin::answer(
        |_| "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\nX-More: a\r\n\r\n",
    );
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-In: 3\r\n\r\n");
    let response = raw.read_response();
    let trailers = [("X-Sum".to_owned(), "7".to_owned()), ("X-More".to_owned(), "a".to_owned())];
    assert_eq!((response.text(), response.trailers.as_slice()), ("ok", trailers.as_slice()));
    assert_eq!(origin.wait_for(1).trailers, [("X-In".to_owned(), "3".to_owned())]);
    assert_eq!(raw.get("/").trailers.len(), 2, "the connection lives on");
}

#[test]
fn both_directions_flow_at_once() {
    let origin = Origin::script(|conn| {
        conn.read_head();
        conn.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while let Some(bytes) = conn.read_some() {
            let mut out = format!("{:x}\r\n", bytes.len()).into_bytes();
            out.extend(&bytes);
            out.extend(b"\r\n");
            let last = bytes.ends_with(b"0\r\n\r\n");
            if last {
                out.extend(b"0\r\n\r\n");
            }
            conn.write(out);
            if last {
                break;
            }
        }
    });
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(raw.read_head().status, 200);
    for word in ["one", "two", "three"] {
        raw.send(format!("{:x}\r\n{word}\r\n", word.len()));
        let mut seen = String::new();
        while !seen.contains(word) {
            seen += &String::from_utf8(raw.read_some()).unwrap();
        }
    }
    raw.send("0\r\n\r\n");
    assert!(raw.read_to_end().ends_with(b"\r\n0\r\n\r\n"));
}

#[test]
fn a_client_that_does_not_read_stops_the_upstream_and_costs_no_memory() {
    const WHOLE: u64 = 96 << 20;
    let written = Arc::new(AtomicU64::new(0));
    let count = written.clone();
    let origin = Origin::script(move |conn| {
        conn.read_request();
        conn.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {WHOLE}\r\n\r\n"));
        let piece = vec![b'x'; 64 << 10];
        while count.load(Relaxed) < WHOLE && conn.write(&piece) {
            count.fetch_add(piece.len() as u64, Relaxed);
        }
        conn.wait_closed();
    });
    let gateway = Gateway::start(&simple(&[&origin], "", "timeout = { body = \"60s\" }"));
    get(gateway.admin(), "/livez");
    let before = gateway.resident_kib();
    let mut raw = Raw::connect_with_small_window(gateway.http());
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut response = raw.read_head();
    let (mut last, mut still) = (0, 0);
    while still < 20 {
        std::thread::sleep(PATIENCE / 400);
        let now = written.load(Relaxed);
        still = if now == last { still + 1 } else { 0 };
        last = now;
    }
    assert!(last < WHOLE / 2, "{last} bytes went somewhere though nobody reads");
    let grown = gateway.resident_kib().saturating_sub(before);
    assert!(grown < 8 << 10, "the gateway grew by {grown} KiB");
    raw.read_body(&mut response);
    assert_eq!(response.body.len() as u64, WHOLE);
}

#[test]
fn an_upstream_that_does_not_read_stops_the_client_and_costs_no_memory() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::script(move |conn| {
        let Some(mut request) = conn.read_head() else { return };
        held.wait();
        conn.read_body(&mut request);
        conn.write(ok(&request.body.len().to_string()));
    });
    let gateway = Gateway::start(&simple(&[&origin], "", "timeout = { body = \"60s\" }"));
    let before = gateway.resident_kib();
    let whole = 96 << 20;
    let mut raw = Raw::connect(gateway.http());
    raw.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {whole}\r\n\r\n"));
    let sender = std::thread::spawn(move || {
        raw.send(vec![b'x'; whole]);
        raw
    });
    gate.wait_for_waiting(1);
    std::thread::sleep(PATIENCE / 40);
    assert!(!sender.is_finished(), "96 MiB went somewhere though nobody reads");
    let grown = gateway.resident_kib().saturating_sub(before);
    assert!(grown < 8 << 10, "the gateway grew by {grown} KiB");
    gate.open();
    assert_eq!(sender.join().unwrap().read_response().text(), whole.to_string());
}

#[test]
fn responses_without_a_body_have_none_and_the_connection_lives_on() {
    let origin = Origin::answer(|request| match (request.method.as_str(), request.target.as_str()) {
        ("HEAD", _) => "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nETag: \"a\"\r\n\r\n",
        (_, "/204") => "HTTP/1.1 204 No Content\r\n\r\n",
        (_, "/304") => "HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: \"b\"\r\n\r\n",
        _ => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    });
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = raw.read_response_to_head();
    assert_eq!((head.status, head.field("content-length"), head.field("etag")), (200, "1234", "\"a\""));
    assert_eq!(raw.get("/204").status, 204);
    assert_eq!((raw.get("/304").status, raw.get("/200").body.len()), (304, 0));
    assert_eq!(origin.connections(), 1);
}

#[test]
fn head_to_an_upstream_that_speaks_chunked_is_answered_without_a_body() {
    let origin = Origin::fixed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    for _ in 0..2 {
        raw.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(raw.read_response_to_head().status, 200);
    }
}

#[test]
fn a_body_over_the_bound_of_its_route_is_refused_before_the_upstream_sees_it_whole() {
    let origin = Origin::named("a");
    let toml = simple(&[&origin], "", "").replace("upstream = \"app\" }", "upstream = \"app\", max_body = \"1KiB\" }");
    let gateway = Gateway::start(&toml);
    let post = |framing: &str, body: &[u8]| {
        let mut raw = Raw::connect(gateway.http());
        raw.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"));
        drop(raw.try_send(body));
        raw.read_response()
    };
    assert_eq!(post("Content-Length: 1024", &pattern(1024)).status, 200);
    assert_eq!(post("Transfer-Encoding: chunked", &chunked(&pattern(1024), 100)).status, 200);
    let declared = post("Content-Length: 1025", b"");
    assert_eq!(declared.status, 413);
    assert!(declared.closes() && declared.text().contains("body_too_large"));
    assert_eq!(origin.requests().len(), 2, "a declared length over the bound reaches nobody");
    assert_eq!(post("Transfer-Encoding: chunked", &chunked(&pattern(1025), 100)).status, 413);
    assert_eq!(gateway.wait_log_lines(2, |line| line.ended() == "body_too_large").len(), 2);
    assert_eq!(origin.requests().iter().filter(|request| request.complete).count(), 2);
}

#[test]
fn a_body_has_the_bound_of_its_listener_where_its_route_has_none() {
    let origin = Origin::named("a");
    let routes = "routes = [{ path = \"/own\", upstream = \"app\", max_body = \"2KiB\" }, ";
    let toml = simple(&[&origin], "", "max_body = \"1KiB\"").replace("routes = [", routes);
    let gateway = Gateway::start(&toml);
    let post = |path: &str, size: usize| {
        let mut raw = Raw::connect(gateway.http());
        raw.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
        drop(raw.try_send(chunked(&pattern(size), 100)));
        let chunks = raw.read_response().status;
        let mut raw = Raw::connect(gateway.http());
        raw.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"));
        drop(raw.try_send(pattern(size)));
        [chunks, raw.read_response().status]
    };
    assert_eq!((post("/", 1024), post("/", 1025)), ([200, 200], [413, 413]));
    assert_eq!((post("/own", 2048), post("/own", 2049)), ([200, 200], [413, 413]), "the route's word counts");
}

#[test]
fn a_request_body_that_the_client_cuts_is_never_whole_at_the_upstream() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    for framing in ["Content-Length: 10\r\n\r\nhalf.", "Transfer-Encoding: chunked\r\n\r\n5\r\nhalf.\r\n"] {
        let before = origin.requests().len();
        let mut raw = Raw::connect(gateway.http());
        raw.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}"));
        origin.wait_for_heads(before + 1);
        drop(raw);
        origin.wait_for_open(0);
        assert!(!origin.requests().last().unwrap().complete, "{framing:?}");
    }
    assert_eq!(gateway.wait_log_lines(2, |line| line.ended() == "client_abort").len(), 2);
}
