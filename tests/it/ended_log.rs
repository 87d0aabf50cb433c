//! Every exchange leaves one line, and the line is true.

use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Scratch;
use crate::support::Signal;
use crate::support::eventually;
use crate::support::get;
use crate::support::simple;

/// A configuration with this `access_log`.
fn logging(origin: &Origin, access_log: &str) -> String {
    let process = format!("[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\naccess_log = {access_log}\n");
    process + &simple(&[origin], "", "")
}

#[test]
fn a_line_says_who_asked_what_who_answered_and_how_it_ended() {
    let origin = Origin::named("hello");
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    let request = "POST /orders/1?q=a HTTP/1.1\r\nHost: Shop.example.com\r\nUser-Agent: me \"x\\y\"\r\nReferer: http://r/\r\n\
                   X-Request-Id: id-1\r\nContent-Length: 4\r\n\r\nbody";
    raw.send(request);
    let response = raw.read_response();
    let line = gateway.wait_log(|_| true);
    let expected = [
        ("request_id", "id-1"),
        ("client", &raw.local_addr().to_string()),
        ("listener", "http"),
        ("method", "POST"),
        ("host", "Shop.example.com"),
        ("path", "/orders/1?q=a"),
        ("protocol", "HTTP/1.1"),
        ("route", "* /*"),
        ("upstream", "app"),
        ("endpoint", &origin.addr().to_string()),
        ("ended", "ok"),
        ("phase", "done"),
        ("user_agent", "me \"x\\y\""),
        ("referer", "http://r/"),
    ];
    for (name, value) in expected {
        assert_eq!(line.str(name), value, "{name}");
    }
    assert_eq!((line.num("status"), line.num("attempts")), (200, 1));
    assert_eq!(line.num("bytes_in"), request.len() as u64);
    assert_eq!(line.num("bytes_out"), response.wire_bytes as u64);
    assert!(line.num("upstream_us") <= line.num("duration_us") && line.num("duration_us") > 0);
    let time = line.str("time");
    assert!(time.starts_with("20") && time.contains('T') && time.ends_with('Z'), "{time}");
}

#[test]
fn every_exchange_leaves_exactly_one_line() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let addr = gateway.http();
            std::thread::spawn(move || {
                let mut raw = Raw::connect(addr);
                for n in 0..50 {
                    raw.send(format!("GET /{client}/{n} HTTP/1.1\r\nHost: a\r\nX-Request-Id: {client}-{n}\r\n\r\n"));
                    assert_eq!(raw.read_response().status, 200);
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    gateway.wait_log_lines(200, |_| true);
    let mut ids: Vec<_> = gateway.log_lines().iter().map(|line| line.str("request_id").to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), gateway.log_lines().len()), (200, 200));
    assert!(gateway.metrics().sum("ringway_access_log_dropped_total", &[]) < 0.5);
}

#[test]
fn a_request_that_was_not_understood_leaves_a_line_too() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send("nonsense\r\n\r\n");
    let response = raw.read_response();
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.ended(), line.num("status"), line.str("phase")), ("bad_request", 400, "request"));
    assert_eq!(line.str("request_id"), response.field("x-request-id"));
    assert_eq!((line.str("upstream"), line.num("attempts")), ("", 0));
}

#[test]
fn bytes_that_are_no_text_do_not_break_a_line() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send(b"GET /x HTTP/1.1\r\nHost: a\r\nUser-Agent: caf\xe9\t\"}{,\\\r\n\r\n");
    assert_eq!(raw.read_response().status, 200);
    let line = gateway.wait_log(|line| line.path() == "/x");
    assert!(line.str("user_agent").starts_with("caf"));
    assert!(line.str("user_agent").ends_with("\t\"}{,\\"));
}

#[test]
fn the_combined_format_is_that_of_other_servers() {
    let origin = Origin::named("hello");
    let gateway = Gateway::start(&logging(&origin, "{ to = \"stdout\", format = \"combined\" }"));
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET /a?b HTTP/1.1\r\nHost: a\r\nUser-Agent: me \"quoted\"\r\nReferer: http://r/\r\n\r\n");
    assert_eq!(raw.read_response().status, 200);
    let line = gateway.wait_stdout(|line| line.contains("\"GET /a?b HTTP/1.1\" 200 "));
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    let (_, rest) = line.split_once('[').unwrap();
    let (time, rest) = rest.split_once("] ").unwrap();
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    assert!(shape.starts_with("99/") && shape.ends_with("/9999:99:99:99 +9999"), "{time}");
    let (_, tail) = rest.split_once(" 200 ").unwrap();
    let (bytes, tail) = tail.split_once(' ').unwrap();
    assert!(bytes.parse::<u64>().is_ok_and(|bytes| bytes >= 5), "{line}");
    assert!(tail.starts_with("\"http://r/\" \"me "), "{line}");
    assert!(!tail.contains("me \"quoted\""), "a quote within a quoted text is escaped: {line}");
}

#[test]
fn a_log_that_is_off_writes_nothing() {
    let origin = Origin::named("a");
    let gateway = Gateway::start(&logging(&origin, "\"off\""));
    for _ in 0..10 {
        get(gateway.http(), "/");
    }
    eventually("the requests are counted", || {
        gateway.metrics().sum("http_server_request_duration_seconds_count", &[]) > 9.5
    });
    assert_eq!(gateway.stdout().last().map(String::as_str), Some("READY"));
}

#[test]
fn a_log_on_standard_error_is_there_and_not_on_standard_output() {
    let origin = Origin::named("a");
    let gateway = Gateway::start(&logging(&origin, "\"stderr\""));
    get(gateway.http(), "/somewhere");
    gateway.wait_stderr("/somewhere");
    assert!(gateway.log_lines().is_empty());
}

#[test]
fn a_log_file_is_appended_to_and_reopened_on_usr1() {
    let (origin, scratch) = (Origin::named("a"), Scratch::new());
    let file = scratch.write("access.log", "before\n");
    let mut gateway = Gateway::start(&logging(&origin, &format!("{file:?}")));
    let holds = |path: &std::path::Path, part: &str| {
        std::fs::read_to_string(path).is_ok_and(|text| text.lines().any(|line| line.contains(part)))
    };
    get(gateway.http(), "/first");
    eventually("the first line", || holds(&file, "/first"));
    assert!(holds(&file, "before"), "the file was emptied");
    let moved = scratch.path().join("access.log.1");
    std::fs::rename(&file, &moved).unwrap();
    get(gateway.http(), "/second");
    eventually("the second line, in the file as it is called now", || holds(&moved, "/second"));
    gateway.signal(Signal::Usr1);
    eventually("a new file", || file.exists());
    get(gateway.http(), "/third");
    eventually("the third line, in the new file", || holds(&file, "/third"));
    assert!(!holds(&moved, "/third"));
}

#[test]
fn a_full_disk_costs_the_lines_which_are_counted_and_nothing_else() {
    const REQUESTS: usize = 200;
    let origin = Origin::named("a");
    let gateway = Gateway::start(&logging(&origin, "\"/dev/full\""));
    let mut raw = Raw::connect(gateway.http());
    for _ in 0..REQUESTS {
        assert_eq!(raw.get("/").text(), "a");
    }
    let dropped = || gateway.metrics().sum("ringway_access_log_dropped_total", &[]) as usize;
    eventually("every line is counted as lost", || dropped() == REQUESTS);
    gateway.wait_stderr("the access log could not be written; lines are dropped");
    let (before, pause) = (gateway.cpu_time(), std::time::Duration::from_secs(1));
    std::thread::sleep(pause);
    let used = gateway.cpu_time() - before;
    assert!(used < pause / 5, "{used:?} of processor time in {pause:?} in which nothing is to be written");
    assert_eq!(raw.get("/").text(), "a");
    assert_eq!(gateway.stop().code(), Some(0));
}
