//! A kept connection to an endpoint that dies at the moment of its use: the request has reached the service, and nobody
//! knows what became of it. What may be repeated is sent once more, on a new connection; what may not is answered 502.
//! RFC 9110 §9.2.2, RFC 9112 §9.3.1. On both kinds of event loop.

use std::fmt::Write;

use crate::addresses::LOOPS;
use crate::addresses::process;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Response;
use crate::support::ok;
use crate::support::simple;

/// Only what costs no attempt is sent again.
const ONCE: &str = "retry = { attempts = 1 }";
/// Each method, and whether it may be repeated.
const METHODS: [(&str, bool); 6] =
    [("GET", true), ("HEAD", true), ("PUT", true), ("DELETE", true), ("POST", false), ("PATCH", false)];
/// How a connection dies, and what that is called.
const DEATHS: [(bool, &str); 2] = [(false, "upstream_closed"), (true, "upstream_reset")];

/// A service that answers the first request of a connection. The next one it reads to its end, and then closes or resets
/// without a word: on its first connections, so many. On later ones it answers everything.
fn dying(connections: usize, reset: bool) -> Origin {
    Origin::script(move |conn| {
        let mut answered = 0;
        while let Some(request) = conn.read_request() {
            if conn.number < connections && (answered > 0 || conn.number > 0) {
                if reset {
                    conn.reset();
                }
                return;
            }
            conn.write(if request.method == "HEAD" { ok("") } else { ok(&request.target) });
            answered += 1;
        }
    })
}

/// Uses a connection, so that it is kept, and then asks by this method.
fn ask_on_a_kept_one(raw: &mut Raw, method: &str) -> Response {
    assert_eq!(raw.get("/first").text(), "/first");
    let mut bytes = format!("{method} /second HTTP/1.1\r\nHost: a\r\n");
    let body = !matches!(method, "GET" | "HEAD" | "DELETE");
    write!(bytes, "{}", if body { "Content-Length: 4\r\n\r\nbody" } else { "\r\n" }).unwrap();
    raw.send(bytes);
    if method == "HEAD" { raw.read_response_to_head() } else { raw.read_response() }
}

/// How often the service has read the request in question, whole.
fn applied(origin: &Origin) -> usize {
    let requests = origin.requests();
    requests.iter().filter(|request| request.target == "/second" && request.complete).count()
}

#[test]
fn a_request_that_may_be_repeated_is_sent_once_more_and_another_is_not() {
    for io in LOOPS {
        for (reset, cause) in DEATHS {
            for (method, again) in METHODS {
                let case = format!("{method}, {cause}, {io}");
                let origin = dying(1, reset);
                let gateway = Gateway::start(&(process(io) + &simple(&[&origin], ONCE, "")));
                let mut raw = Raw::connect(gateway.http());
                let response = ask_on_a_kept_one(&mut raw, method);
                let line = gateway.wait_log(|line| line.path() == "/second");
                let (status, ended, times) = if again { (200, "ok", 2) } else { (502, cause, 1) };
                assert_eq!((response.status, line.ended(), applied(&origin)), (status, ended, times), "{case}");
                assert_eq!(line.num("attempts"), 1, "{case}: the death of a kept connection is no attempt");
                let last = origin.requests().pop().unwrap();
                assert_eq!(last.text(), if matches!(method, "PUT" | "POST" | "PATCH") { "body" } else { "" }, "{case}");
                assert_eq!(origin.connections(), times, "{case}");
                assert!(gateway.metrics().sum("ringway_retries_total", &[]) < 0.5, "{case}");
                // What follows on the client's connection is its own affair.
                assert_eq!(raw.get("/third").text(), "/third", "{case}");
            }
        }
    }
}

#[test]
fn a_new_connection_that_dies_as_well_is_the_end_of_it() {
    for io in LOOPS {
        for (reset, cause) in DEATHS {
            for (method, again) in METHODS {
                let case = format!("{method}, {cause}, {io}");
                let origin = dying(usize::MAX, reset);
                let gateway = Gateway::start(&(process(io) + &simple(&[&origin], ONCE, "")));
                let response = ask_on_a_kept_one(&mut Raw::connect(gateway.http()), method);
                let line = gateway.wait_log(|line| line.path() == "/second");
                assert_eq!((response.status, line.ended()), (502, cause), "{case}");
                assert_eq!(applied(&origin), if again { 2 } else { 1 }, "{case}");
            }
        }
    }
}
