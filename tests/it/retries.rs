//! A request is sent again when that is asked for, does no harm, and is paid for; and never otherwise. The first attempt
//! goes to the endpoint of the lower priority number, so that every test knows who is asked first.

use std::time::Duration;

use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::get;
use crate::support::ok;
use crate::support::pattern;
use crate::support::simple;

/// One core, and two endpoints of which `first` is asked first.
fn pair(first: &Origin, second: &Origin, more: &str) -> Gateway {
    let endpoints = format!(
        "endpoints = [\"{}\", {{ address = \"{}\", priority = 1 }}]\nejection = \"off\"\n{more}",
        first.address(),
        second.address()
    );
    Gateway::start(&one_core(&endpoints))
}

fn one_core(app: &str) -> String {
    format!(
        "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\naccess_log = \"stdout\"\n\n\
         [listen.http]\nbind = \"127.0.0.1:0\"\n[upstream.app]\n{app}\n\
         [host.\"*\"]\nroutes = [{{ path = \"/*\", upstream = \"app\" }}]\n"
    )
}

fn answers(status: &str, body: &str) -> Origin {
    Origin::fixed(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
}

const ON_503: &str = "retry = { attempts = 2, on = [\"connect\", \"503\"] }";

#[test]
fn a_status_that_is_named_is_tried_elsewhere_and_the_client_sees_nothing_of_it() {
    let (first, second) = (answers("503 No", "busy"), Origin::named("second"));
    let gateway = pair(&first, &second, ON_503);
    let mut raw = Raw::connect(gateway.http());
    let response = raw.get("/");
    assert_eq!((response.status, response.text()), (200, "second"));
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.num("attempts"), line.ended(), line.str("endpoint")), (2, "ok", &*second.address().to_string()));
    assert!((gateway.metrics().get("ringway_retries_total", &[("upstream", "app")]) - 1.0).abs() < 0.1);
    // It had come whole: its connection is as good as it was.
    assert_eq!((first.requests().len(), first.open_connections()), (1, 1));
}

#[test]
fn a_status_that_is_not_named_is_the_answer() {
    let (first, second) = (answers("500 No", "first"), Origin::named("second"));
    let response = get(pair(&first, &second, ON_503).http(), "/");
    assert_eq!((response.status, response.text(), second.requests().len()), (500, "first", 0));
}

#[test]
fn the_last_attempt_is_the_answer_whatever_its_status() {
    let (first, second) = (answers("503 No", "first"), answers("503 Still no", "second"));
    let gateway = pair(&first, &second, ON_503);
    let response = get(gateway.http(), "/");
    assert_eq!((response.status, response.reason.as_str(), response.text()), (503, "Still no", "second"));
    assert_eq!(gateway.wait_log(|_| true).num("attempts"), 2);
}

#[test]
fn what_may_have_been_acted_upon_is_not_sent_again() {
    let (first, second) = (answers("503 No", "first"), Origin::named("second"));
    let gateway = pair(&first, &second, ON_503);
    let mut raw = Raw::connect(gateway.http());
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nIdempotency-Key: 1\r\nContent-Length: 1\r\n\r\nx");
    let response = raw.read_response();
    assert_eq!((response.status, response.text(), second.requests().len()), (503, "first", 0));
}

#[test]
fn what_was_provably_not_sent_is_sent_elsewhere_whatever_its_method() {
    let (first, second) = (Origin::refusing(), Origin::named("second"));
    let gateway = pair(&first, &second, ON_503);
    let mut raw = Raw::connect(gateway.http());
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!((raw.read_response().text(), second.requests()[0].text()), ("second", "x"));
}

#[test]
fn each_condition_counts_only_where_it_is_named() {
    let closing = || Origin::script(|conn| drop(conn.read_request()));
    let quick = "timeout = { response = \"200ms\" }\n";
    for (first, on, status) in [
        (Origin::refusing(), "connect", 200),
        (Origin::refusing(), "reset", 502),
        (closing(), "reset", 200),
        (closing(), "connect", 502),
        (Origin::silent(), "timeout", 200),
        (Origin::silent(), "reset", 504),
    ] {
        let second = Origin::named("second");
        let gateway = pair(&first, &second, &format!("{quick}retry = {{ attempts = 2, on = [\"{on}\"] }}"));
        assert_eq!(get(gateway.http(), "/").status, status, "{on}");
        assert_eq!(second.requests().len(), usize::from(status == 200), "{on}");
    }
}

#[test]
fn all_attempts_together_have_one_time() {
    let (first, second) = (Origin::silent(), Origin::silent());
    let more = "timeout = { response = \"200ms\", total = \"300ms\" }\nretry = { attempts = 10, on = [\"timeout\"] }";
    let gateway = pair(&first, &second, more);
    let response = get(gateway.http(), "/");
    assert_eq!(response.status, 504);
    assert!(response.text().contains("upstream_timeout_total"), "{}", response.text());
    let line = gateway.wait_log(|_| true);
    assert!(line.num("attempts") <= 3 && line.num("duration_us") >= 300_000, "{line:?}");
}

#[test]
fn an_endpoint_that_wants_to_be_left_alone_is() {
    let busy = answers("503 No\r\nRetry-After: 7", "busy");
    let gateway = Gateway::start(&simple(&[&busy], "retry = { attempts = 3, on = [\"503\"] }", ""));
    assert_eq!(get(gateway.http(), "/").field("retry-after"), "7");
    assert_eq!(gateway.wait_log(|_| true).num("attempts"), 1);
    assert_eq!(busy.requests().len(), 1);
}

#[test]
fn the_only_endpoint_is_tried_again() {
    let count = std::sync::atomic::AtomicUsize::new(0);
    let moody = Origin::answer(move |_| match count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 | 1 => "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".to_owned(),
        _ => ok("third"),
    });
    let gateway = Gateway::start(&simple(&[&moody], "retry = { attempts = 3, on = [\"503\"] }", ""));
    assert_eq!(get(gateway.http(), "/").text(), "third");
    assert_eq!(gateway.wait_log(|_| true).num("attempts"), 3);
}

#[test]
fn a_budget_that_is_spent_ends_all_retries() {
    let dead = [Origin::refusing(), Origin::refusing()];
    let more = "retry = { attempts = 2, budget = { percent = 20, per_second = 0 } }";
    let gateway = pair(&dead[0], &dead[1], more);
    let mut raw = Raw::connect(gateway.http());
    for _ in 0..100 {
        assert_eq!(raw.get("/").status, 502);
    }
    let attempts: u64 = gateway.wait_log_lines(100, |_| true).iter().map(|line| line.num("attempts")).sum();
    assert_eq!(attempts, 120, "a fifth of the requests");
    let metrics = gateway.metrics();
    let all = metrics.get("ringway_retries_total", &[]) + metrics.get("ringway_retries_unpaid_total", &[]);
    assert!((all - 100.0).abs() < 0.1, "{all}");
}

#[test]
fn what_is_kept_for_retries_is_kept_once_for_all_cores() {
    let origin = Origin::answer(|request| match request.target.as_str() {
        "/good" => ok("good"),
        _ => "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".to_owned(),
    });
    let more = "retry = { attempts = 2, on = [\"503\"], backoff = \"0s\", backoff_max = \"0s\", \
                budget = { percent = 20, per_second = 0 } }\nejection = \"off\"";
    let gateway = Gateway::start(&simple(&[&origin], more, ""));
    // A connection each: the kernel spreads them over both cores, each of which earns far more than is kept.
    (0..300).for_each(|_| assert_eq!(get(gateway.http(), "/good").status, 200));
    (0..24).for_each(|_| assert_eq!(get(gateway.http(), "/bad").status, 503));
    let lines = gateway.wait_log_lines(24, |line| line.path() == "/bad");
    let retries: u64 = lines.iter().map(|line| line.num("attempts") - 1).sum();
    assert!((10..=14).contains(&retries), "ten are kept, and 24 earn 4.8: {retries}");
}

/// Reads the head and `n` bytes of what follows, waits at the gate, answers 503 and takes what still comes.
fn early(n: usize, gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::script(move |conn| {
        if conn.read_head().is_some() && conn.read_exactly(n).is_some() {
            gate.wait();
            conn.write("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
            conn.wait_closed();
        }
    })
}

#[test]
fn a_body_on_its_way_is_kept_up_to_its_bound_and_goes_whole_to_the_next() {
    for chunked in [false, true] {
        let (gate, body) = (Gate::new(), pattern(30_000));
        let (first, second) = (early(10_000, &gate), Origin::named("second"));
        let gateway = pair(&first, &second, "retry = { attempts = 2, on = [\"503\"], body = \"32KiB\" }");
        let mut raw = Raw::connect(gateway.http());
        let (one, two) = body.split_at(12_000);
        if chunked {
            raw.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2ee0\r\n");
            raw.send(one);
            gate.wait_for_waiting(1);
            gate.open();
            raw.send("\r\n4650\r\n");
            raw.send(two);
            raw.send("\r\n0\r\nX-Last: 1\r\n\r\n");
        } else {
            raw.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n");
            raw.send(one);
            gate.wait_for_waiting(1);
            gate.open();
            raw.send(two);
        }
        let response = raw.read_response();
        assert_eq!((response.text(), response.closes()), ("second", false), "chunked: {chunked}");
        let request = second.wait_for(1);
        assert!(request.body == body, "chunked: {chunked}, {} bytes", request.body.len());
        assert_eq!(request.trailers.len(), usize::from(chunked));
    }
}

#[test]
fn a_body_over_the_bound_makes_the_request_unrepeatable() {
    let gate = Gate::new();
    gate.open();
    let (first, second) = (early(60_000, &gate), Origin::named("second"));
    let gateway = pair(&first, &second, "retry = { attempts = 2, on = [\"503\"], body = \"32KiB\" }");
    let mut raw = Raw::connect(gateway.http());
    raw.send("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n11170\r\n");
    raw.send(pattern(70_000));
    assert_eq!(raw.read_response().status, 503);
    assert_eq!((gateway.wait_log(|_| true).num("attempts"), second.requests().len()), (1, 0));
    assert_eq!(unkept(&gateway), 1);
}

/// Retries that were not made for want of the body.
fn unkept(gateway: &Gateway) -> u64 {
    gateway.metrics().get("ringway_retries_unkept_total", &[("upstream", "app")]) as u64
}

#[test]
fn a_retry_counts_as_lost_to_its_body_only_where_the_body_was_the_reason() {
    const SOME: &str = "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n";
    for (status, method, retry, expected) in [
        ("503 No", "PUT", "attempts = 2, body = \"32KiB\"", 1),
        ("503 No", "PUT", "attempts = 1, body = \"32KiB\"", 0),
        ("503 No", "POST", "attempts = 2, body = \"32KiB\"", 0),
        ("501 No", "PUT", "attempts = 2, body = \"32KiB\"", 0),
        ("503 No", "PUT", "attempts = 2, body = \"64KiB\"", 0),
    ] {
        let (first, second) = (answers(status, "first"), Origin::named("second"));
        let gateway = pair(&first, &second, &format!("retry = {{ {retry}, on = [\"503\"] }}"));
        let mut raw = Raw::connect(gateway.http());
        raw.send(SOME.replace("PUT", method));
        raw.send(pattern(60_000));
        let case = format!("{status} {method} {retry}");
        let tried_again = raw.read_response().text() == "second";
        assert_eq!(tried_again, retry.contains("64KiB"), "{case}");
        gateway.wait_log(|_| true);
        assert_eq!(unkept(&gateway), expected, "{case}");
    }
}

#[test]
fn a_response_that_has_begun_is_never_begun_again() {
    let first = Origin::script(|conn| {
        conn.read_request();
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf.");
    });
    let second = Origin::named("second");
    let gateway = pair(&first, &second, "retry = { attempts = 3, on = [\"reset\", \"502-504\"] }");
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(raw.try_read_response().is_err());
    assert_eq!((gateway.wait_log(|_| true).num("attempts"), second.requests().len()), (1, 0));
}

/// What was refused while its upload was on its way is owed the rest of it: its connection carries nobody's next request.
#[test]
fn a_connection_that_is_still_owed_a_body_is_not_kept_because_its_response_was_refused() {
    const BODY: usize = 400;
    let first = Origin::script(|conn| {
        while let Some(mut request) = conn.read_head() {
            let status = if request.method == "PUT" { "503 Busy" } else { "200 OK" };
            conn.write(format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nfirst"));
            if !conn.read_body(&mut request) {
                return;
            }
        }
    });
    let second = Origin::named("second");
    let gateway = pair(&first, &second, "retry = { attempts = 2, on = [\"503\"], body = \"32KiB\" }");
    for n in 1..=4 {
        let mut raw = Raw::connect(gateway.http());
        raw.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {BODY}\r\n\r\n"));
        // Byte by byte, until it has gone to the one that takes it.
        let mut sent = 0;
        while second.requests().len() < n {
            assert!(sent < BODY, "the whole body has gone to one that does not want it");
            raw.send("x");
            sent += 1;
            std::thread::sleep(Duration::from_millis(5));
        }
        raw.send("x".repeat(BODY - sent));
        assert_eq!(raw.read_response().text(), "second");
        for _ in 0..3 {
            assert_eq!(raw.get("/own").text(), "first");
        }
    }
    let uploads = first.requests().into_iter().filter(|request| request.method == "PUT");
    assert!(uploads.clone().all(|request| !request.complete), "{:?}", uploads.collect::<Vec<_>>());
}

#[test]
fn a_client_that_leaves_within_the_pause_before_a_retry_is_not_waited_for() {
    let origin = answers("503 No", "busy");
    let retry = "retry = { attempts = 3, on = [\"503\"], backoff = \"1m\", backoff_max = \"1m\" }\nejection = \"off\"";
    let gateway = Gateway::start(&one_core(&format!("endpoints = [\"{}\"]\n{retry}", origin.address())));
    // The pause is a part of a minute by chance: of a few, one at the least is long enough to leave within it.
    let left = (0..4).any(|_| {
        let (before, lines) = (origin.requests().len(), gateway.log_lines().len());
        let mut raw = Raw::connect(gateway.http());
        raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        origin.wait_for(before + 1);
        raw.reset();
        let line = gateway.wait_log_lines(lines + 1, |_| true).remove(lines);
        line.ended() == "client_abort" && line.num("attempts") == 1
    });
    assert!(left, "each was noticed by the next attempt alone");
}
