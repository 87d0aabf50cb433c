//! What happens where two rules meet: an answer before the end of its request, an end that only the connection tells, a
//! bound that several cores share, a listener that changes its name.

use std::io::Write;
use std::time::Duration;

use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
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
