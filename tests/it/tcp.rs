//! Listeners that carry bytes: what goes through them, to whom, within which bounds, and how it ends.

use std::io::ErrorKind;
use std::io::Read;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Scratch;
use crate::support::Signal;
use crate::support::eventually;
use crate::support::get;
use crate::support::pattern;

/// A listener `db` that carries everything to these origins; `db` and `listen` are more lines for their tables.
pub(crate) fn config(origins: &[&Origin], db: &str, listen: &str) -> String {
    let list: Vec<String> = origins.iter().map(|origin| format!("\"{}\"", origin.address())).collect();
    let list = list.join(", ");
    format!(
        "[listen.db]\nbind = \"127.0.0.1:0\"\ntcp = \"db\"\n{listen}\n\n[upstream.db]\nendpoints = [{list}]\n{db}\n"
    )
}

pub(crate) fn head(more: &str) -> String {
    format!("[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\naccess_log = \"stdout\"\n{more}\n\n")
}

/// Says its name, and then back whatever it hears until its client ends.
pub(crate) fn parrot(name: &'static str) -> Origin {
    Origin::script(move |conn| {
        conn.write(name);
        while let Some(bytes) = conn.read_some() {
            if !conn.write(bytes) {
                return;
            }
        }
    })
}

/// A client that has been greeted, and by whom.
#[track_caller]
pub(crate) fn greeted(gateway: &Gateway) -> (Raw, String) {
    let mut raw = Raw::connect(gateway.addr("db"));
    let name = String::from_utf8(raw.read_some()).unwrap();
    (raw, name)
}

/// A connection is reset as soon as it is there, or before its client has heard that it is.
#[track_caller]
pub(crate) fn expect_refused(addr: SocketAddr) {
    let outcome = TcpStream::connect(addr).and_then(|mut stream| stream.read(&mut [0; 9]));
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[track_caller]
pub(crate) fn round(raw: &mut Raw, bytes: &[u8]) {
    raw.send(bytes);
    assert_eq!(raw.read_at_least(bytes.len()), bytes);
}

#[test]
fn bytes_go_both_ways_as_they_are_and_leave_one_line() {
    for io in ["auto", "epoll"] {
        let origin = parrot("hello");
        let toml = format!("{}{}", head(&format!("io = \"{io}\"")), config(&[&origin], "", ""));
        let gateway = Gateway::start(&toml);
        // The endpoint may be the first to speak.
        let (mut raw, name) = greeted(&gateway);
        assert_eq!(name, "hello");
        let mut carried = 0;
        for n in 1..60 {
            round(&mut raw, &pattern(n * 101));
            carried += n * 101;
        }
        round(&mut raw, b"GET / HTTP/1.1\r\n\r\n\0\xff");
        carried += 20;
        assert!(gateway.metrics().get("ringway_connections", &[("listener", "db")]) > 0.5);
        assert!(gateway.metrics().get("ringway_tunnels_open", &[]) > 0.5);
        // Counted while it goes: such a connection may last for days.
        let so_far = gateway.metrics().get("ringway_carried_received_bytes_total", &[("listener", "db")]);
        assert_eq!(so_far as u64, carried as u64);
        raw.half_close();
        assert!(raw.read_to_end().is_empty());
        let line = gateway.wait_log(|_| true);
        assert_eq!((line.ended(), line.str("who"), line.str("phase")), ("client_closed", "client", "done"));
        assert_eq!((line.str("listener"), line.str("upstream"), line.str("protocol")), ("db", "db", "tcp"));
        assert_eq!(line.str("endpoint"), origin.addr().to_string());
        let bytes = (line.num("bytes_in"), line.num("bytes_out"), line.num("status"), line.num("attempts"));
        assert_eq!(bytes, (carried as u64, carried as u64 + 5, 0, 1));
        assert!(line.num("upstream_us") > 0 && line.num("duration_us") >= line.num("upstream_us"));
        eventually("it is counted as closed", || {
            gateway.metrics().get("ringway_connections", &[("listener", "db")]) < 0.5
        });
        let metrics = gateway.metrics();
        let of = |name: &str| metrics.get(name, &[("listener", "db")]) as u64;
        assert_eq!(of("ringway_carried_received_bytes_total"), carried as u64);
        assert_eq!(of("ringway_carried_sent_bytes_total"), carried as u64 + 5);
        assert_eq!((of("ringway_carried_duration_seconds_count"), of("ringway_connections_total")), (1, 1));
        assert_eq!(metrics.get("ringway_tunnels_total", &[("kind", "tcp")]) as u64, 1);
        assert_eq!(metrics.get("ringway_requests_total", &[]) as u64, 0, "it was no request");
        assert!(metrics.sum("ringway_request_errors_total", &[]) < 0.5);
        origin.wait_for_open(0);
        let page = gateway.get_json("/v1/overview");
        assert_eq!(page["listeners"][0]["carries"], "db", "{page}");
        // What the cores know of its latency is summed up when the next endpoint is picked.
        eventually("its latency is known", || {
            drop(greeted(&gateway));
            gateway.metrics().get("ringway_endpoint_latency_mean_seconds", &[("upstream", "db")]) > 0.0
        });
    }
}

#[test]
fn much_goes_both_ways_at_once() {
    const BYTES: usize = 16 << 20;
    let origin = Origin::script(|conn| {
        let mut sender = conn.sender();
        let writing = std::thread::spawn(move || {
            std::io::Write::write_all(&mut sender, &pattern(BYTES)).unwrap();
            sender.shutdown(std::net::Shutdown::Write).unwrap();
        });
        assert!(conn.read_to_end() == Some(pattern(BYTES)), "something else came than was sent");
        writing.join().unwrap();
    });
    let gateway = Gateway::start(&config(&[&origin], "", ""));
    let mut raw = Raw::connect(gateway.addr("db"));
    let mut sender = raw.sender();
    let writing = std::thread::spawn(move || {
        std::io::Write::write_all(&mut sender, &pattern(BYTES)).unwrap();
        sender.shutdown(std::net::Shutdown::Write).unwrap();
    });
    assert!(raw.read_to_end() == pattern(BYTES), "something else came than was sent");
    writing.join().unwrap();
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.num("bytes_in"), line.num("bytes_out")), (BYTES as u64, BYTES as u64));
}

#[test]
fn the_end_of_one_direction_is_passed_on_and_who_ended_is_told() {
    let origin = Origin::script(|conn| {
        assert_eq!(conn.read_to_end().as_deref(), Some(&b"all I have to say"[..]));
        conn.write("then let me answer");
    });
    let gateway = Gateway::start(&config(&[&origin], "", ""));
    let mut raw = Raw::connect(gateway.addr("db"));
    raw.send("all I have to say");
    raw.half_close();
    assert_eq!(raw.read_to_end(), b"then let me answer");
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.ended(), line.str("who")), ("client_closed", "client"));

    let origin = Origin::script(|conn| {
        conn.write("that is all");
        conn.close();
        assert_eq!(conn.read_to_end().as_deref(), Some(&b"I see, and go on"[..]));
    });
    let gateway = Gateway::start(&config(&[&origin], "", ""));
    let mut raw = Raw::connect(gateway.addr("db"));
    assert_eq!(raw.read_to_end(), b"that is all");
    raw.send("I see, and go on");
    raw.half_close();
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.ended(), line.str("who"), line.num("bytes_in")), ("ok", "upstream", 16));
}

#[test]
fn a_reset_is_passed_on_as_a_reset() {
    let (gate, other) = (Gate::new(), Gate::new());
    let seen = gate.clone();
    let origin = Origin::script(move |conn| {
        conn.write("hello");
        assert_eq!(conn.read_to_end(), None, "a clean end, and no reset");
        seen.open();
    });
    let gateway = Gateway::start(&config(&[&origin], "", ""));
    let (raw, _) = greeted(&gateway);
    raw.reset();
    gate.wait();
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.ended(), line.str("who"), line.str("phase")), ("client_abort", "client", "tunnel"));

    let go = other.clone();
    let origin = Origin::script(move |conn| {
        conn.write("hello");
        go.wait();
        conn.reset();
    });
    let gateway = Gateway::start(&config(&[&origin], "", ""));
    let (mut raw, _) = greeted(&gateway);
    other.open();
    raw.expect_reset();
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.ended(), line.str("who"), line.str("phase")), ("upstream_reset", "upstream", "tunnel"));
}

#[test]
fn who_refuses_is_passed_by_and_then_left_out() {
    let (dead, alive) = (Origin::refusing(), parrot("alive"));
    let db = "balance = \"round_robin\"\nretry.backoff = \"0ms\"";
    let gateway = Gateway::start(&format!("{}{}", head(""), config(&[&dead, &alive], db, "")));
    for _ in 0..30 {
        assert_eq!(greeted(&gateway).1, "alive");
    }
    let lines = gateway.wait_log_lines(30, |_| true);
    assert!(lines.iter().any(|line| line.num("attempts") == 2), "{lines:?}");
    assert!(lines.iter().all(|line| line.ended() == "client_closed"), "{lines:?}");
    let of = |name: &str| {
        let labels = [("upstream", "db"), ("endpoint", &*dead.addr().to_string())];
        gateway.metrics().get(name, &labels)
    };
    assert!(of("ringway_endpoint_failures_total") > 4.5);
    assert!(of("ringway_endpoint_ejections_total") > 0.5, "it was put out");
    assert!(gateway.metrics().get("ringway_retries_total", &[("upstream", "db")]) > 0.5);
}

#[test]
fn where_nobody_takes_a_connection_it_is_reset_and_the_line_says_why() {
    let (dead, dead_too) = (Origin::refusing(), Origin::refusing());
    let gateway = Gateway::start(&config(&[&dead, &dead_too], "", ""));
    let mut raw = Raw::connect(gateway.addr("db"));
    raw.send("anybody?");
    raw.expect_reset();
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.ended(), line.str("who"), line.str("phase")), ("upstream_refused", "upstream", "connect"));
    assert_eq!((line.num("attempts"), line.num("bytes_out")), (2, 0));

    let full = Origin::full();
    let gateway = Gateway::start(&config(&[&full], "timeout.connect = \"200ms\"\nretry.attempts = 1", ""));
    Raw::connect(gateway.addr("db")).expect_reset();
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.ended(), line.num("attempts")), ("upstream_timeout_connect", 1));
}

#[test]
fn the_end_of_an_endpoint_ends_its_connections_and_others_take_the_next() {
    let (mut one, two) = (parrot("one"), parrot("two"));
    let db = "balance = \"round_robin\"\nhealth = { tcp = true, interval = \"100ms\", doubt = \"50ms\", fall = 1 }";
    let gateway = Gateway::start(&format!("{}{}", head(""), config(&[&one, &two], db, "")));
    let mut both: Vec<_> = (0..4).map(|_| greeted(&gateway)).collect();
    assert_eq!(both.iter().filter(|(_, name)| name == "one").count(), 2);
    let at = [("upstream", "db"), ("endpoint", &*one.addr().to_string())];
    eventually("it is known to be up", || gateway.metrics().get("ringway_endpoint_health", &at) > 0.5);
    one.stop();
    for (raw, name) in &mut both {
        match name.as_str() {
            "one" => raw.expect_closed(),
            _ => round(raw, b"still here"),
        }
    }
    eventually("it is known to be down", || gateway.metrics().get("ringway_endpoint_health", &at) < 0.5);
    assert!((0..6).all(|_| greeted(&gateway).1 == "two"));
    one.restart();
    eventually("it is back", || greeted(&gateway).1 == "one");
}

#[test]
fn endpoints_are_chosen_by_the_policy_of_their_upstream() {
    let names = ["a", "b", "c"];
    let origins: Vec<_> = names.iter().map(|name| parrot(name)).collect();
    let origins: Vec<_> = origins.iter().collect();
    let start = |db: &str| Gateway::start(&format!("{}{}", head(""), config(&origins, db, "")));
    let counts = |held: &[(Raw, String)]| names.map(|name| held.iter().filter(|(_, by)| by == name).count());

    // What is open counts, however long nothing is said.
    let gateway = start("balance = \"least_request\"");
    let mut held: Vec<_> = (0..9).map(|_| greeted(&gateway)).collect();
    assert_eq!(counts(&held), [3, 3, 3]);
    held.retain(|(_, by)| by != "b");
    let open = [("upstream", "db"), ("endpoint", &*origins[1].addr().to_string())];
    eventually("they have ended", || gateway.metrics().get("ringway_endpoint_in_flight", &open) < 0.5);
    held.extend((0..3).map(|_| greeted(&gateway)));
    assert_eq!(counts(&held), [3, 3, 3], "the one with the fewest takes the next");
    drop(held);

    let gateway = start("balance = \"latency\"");
    let held: Vec<_> = (0..30).map(|_| greeted(&gateway)).collect();
    // How long each took to connect is the machine's affair; what is open counts beside it.
    assert!(counts(&held).iter().filter(|count| **count > 3).count() > 1, "{:?}", counts(&held));
    drop(held);

    let gateway = start("balance = { hash = \"client\", bound = \"off\" }");
    let mut seen = std::collections::BTreeSet::new();
    for n in 1..=24 {
        let from = format!("127.0.0.{n}");
        let by = |_| String::from_utf8(Raw::connect_from(&from, gateway.addr("db")).read_some()).unwrap();
        let by: Vec<String> = (0..3).map(by).collect();
        assert!(by.windows(2).all(|pair| pair[0] == pair[1]), "{from}: {by:?}");
        seen.insert(by[0].clone());
    }
    assert!(seen.len() > 1, "{seen:?}");
}

#[test]
fn bounds_of_listener_client_and_endpoint_hold() {
    let origin = parrot("hello");
    let refused = |gateway: &Gateway, reason: &str| {
        gateway.metrics().get("ringway_connections_refused_total", &[("listener", "db"), ("reason", reason)]) as u64
    };
    for (listen, reason) in [("connections = 1", "listener"), ("connections_per_client = 1", "client")] {
        let gateway = Gateway::start(&config(&[&origin], "", listen));
        let (raw, _) = greeted(&gateway);
        Raw::connect(gateway.addr("db")).expect_closed();
        assert_eq!(refused(&gateway, reason), 1);
        if reason == "client" {
            assert_eq!(Raw::connect_from("127.0.0.2", gateway.addr("db")).read_some(), b"hello");
        }
        drop(raw);
        eventually("there is room again", || {
            Raw::connect(gateway.addr("db")).try_read_some().is_ok_and(|bytes| bytes == b"hello")
        });
    }
    // An endpoint that may have no more connections is none.
    let gateway = Gateway::start(&config(&[&origin], "connections = 1", ""));
    let (raw, _) = greeted(&gateway);
    expect_refused(gateway.addr("db"));
    assert_eq!(gateway.wait_log(|_| true).ended(), "no_endpoint");
    drop(raw);
}

#[test]
fn a_connection_waits_for_its_place_where_there_is_a_queue() {
    let origin = parrot("hello");
    let gateway = Gateway::start(&format!("{}{}", head(""), config(&[&origin], "limit = { requests = 1 }", "")));
    let (raw, _) = greeted(&gateway);
    let mut second = Raw::connect(gateway.addr("db"));
    let waiting = || gateway.metrics().get("ringway_upstream_waiting", &[("upstream", "db")]);
    eventually("the second waits", || waiting() > 0.5);
    assert!(gateway.metrics().get("ringway_upstream_places", &[("upstream", "db")]) > 0.5);
    second.expect_silence();
    drop(raw);
    // Within `queue_time`, or its place is lost: then another would be had at once.
    match second.try_read_some() {
        Ok(bytes) => assert_eq!(bytes, b"hello"),
        Err(_) => assert_eq!(gateway.wait_log(|line| line.ended() == "queue_timeout").num("bytes_out"), 0),
    }
    for (limit, ended) in [("queue = 0", "upstream_overloaded"), ("queue_time = \"100ms\"", "queue_timeout")] {
        let limit = format!("limit = {{ requests = 1, {limit} }}");
        let gateway = Gateway::start(&format!("{}{}", head(""), config(&[&origin], &limit, "")));
        let (_raw, _) = greeted(&gateway);
        expect_refused(gateway.addr("db"));
        let line = gateway.wait_log(|_| true);
        assert_eq!((line.ended(), line.str("who"), line.num("attempts")), (ended, "gateway", 0));
    }
}

#[test]
fn a_connection_that_carries_nothing_ends_and_one_that_carries_anything_does_not() {
    let origin = Origin::script(|conn| {
        for _ in 0..8 {
            std::thread::sleep(Duration::from_millis(250));
            conn.write("tick ");
        }
        assert_eq!(conn.read_to_end(), Some(Vec::new()), "a gentle end");
    });
    let gateway = Gateway::start(&config(&[&origin], "", "timeout.carried = \"1s\""));
    let begun = Instant::now();
    let mut raw = Raw::connect(gateway.addr("db"));
    assert_eq!(raw.read_to_end().len(), 8 * 5);
    assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
    drop(raw);
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.ended(), line.str("who"), line.str("phase")), ("tunnel_idle", "gateway", "tunnel"));
    assert!(gateway.metrics().get("ringway_request_errors_total", &[("cause", "tunnel_idle")]) > 0.5);
}

#[test]
fn the_client_is_named_before_its_first_byte() {
    let said = Origin::script(|conn| {
        let line = conn.read_line().unwrap();
        assert_eq!(conn.read_exactly(5).as_deref(), Some(&b"hello"[..]));
        conn.write(line);
    });
    let gateway = Gateway::start(&config(&[&said], "proxy_protocol = \"v1\"", ""));
    let mut raw = Raw::connect(gateway.addr("db"));
    let (from, to) = (raw.local_addr(), gateway.addr("db"));
    raw.send("hello");
    let named = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}", from.port(), to.port());
    assert_eq!(String::from_utf8_lossy(&raw.read_to_end()).trim_end(), named);
    drop(raw);
    let line = gateway.wait_log(|_| true);
    assert_eq!(line.num("bytes_in"), 5, "what the gateway says is not the client's");

    let binary = Origin::script(|conn| {
        // An endpoint that speaks first hears who it is all the same.
        let header = conn.read_exactly(28).unwrap();
        conn.write(&header[12..]);
        conn.read_to_end();
    });
    let gateway = Gateway::start(&config(&[&binary], "proxy_protocol = \"v2\"", ""));
    let mut raw = Raw::connect(gateway.addr("db"));
    let header = raw.read_at_least(16);
    assert_eq!(&header[..12], [0x21, 0x11, 0, 12, 127, 0, 0, 1, 127, 0, 0, 1]);
    assert_eq!(header[12..14], raw.local_addr().port().to_be_bytes());
}

#[test]
fn a_proxy_before_the_gateway_is_believed_and_told_on() {
    let origin = Origin::script(|conn| {
        let line = conn.read_line().unwrap();
        conn.write(line);
        conn.read_to_end();
    });
    let listen = "proxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\"]\nconnections_per_client = 1";
    let gateway = Gateway::start(&config(&[&origin], "proxy_protocol = \"v1\"", listen));
    let named = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 5432\r\n";
    let mut raw = Raw::connect(gateway.addr("db"));
    raw.send_slowly(format!("{named}words"), 9);
    assert_eq!(String::from_utf8_lossy(&raw.read_some()).trim_end(), named.trim_end());
    // It counts as the client that was named.
    let mut again = Raw::connect(gateway.addr("db"));
    again.send(named);
    again.expect_closed();
    let mut other = Raw::connect(gateway.addr("db"));
    other.send("PROXY TCP4 192.0.2.8 198.51.100.1 4711 5432\r\n");
    assert!(!other.read_some().is_empty());
    drop(raw);
    let line = gateway.wait_log(|line| line.num("bytes_in") == 5);
    assert_eq!(line.str("client"), "192.0.2.7:4711");
    let mut faulty = Raw::connect(gateway.addr("db"));
    faulty.send("no header\r\n");
    faulty.expect_closed();
    let untrusted = Raw::connect_from("127.0.0.2", gateway.addr("db"));
    { untrusted }.expect_closed();
    assert_eq!(gateway.metrics().get("ringway_proxy_protocol_faults_total", &[("listener", "db")]) as u64, 1);
}

#[test]
fn what_leaves_the_configuration_is_carried_to_its_end() {
    let (one, two) = (parrot("one"), parrot("two"));
    let gateway = Gateway::start(&config(&[&one], "", ""));
    let (mut old, _) = greeted(&gateway);
    let listen = format!("bind = \"{}\"", gateway.addr("db"));
    let moved = config(&[&two], "", "").replace("bind = \"127.0.0.1:0\"", &listen);
    assert_eq!(gateway.reload(&moved).status, 200);
    assert_eq!(greeted(&gateway).1, "two");
    round(&mut old, b"as before");
    // And so is one of a listener that leaves, or that reads requests from now on.
    let requests =
        moved.replace("tcp = \"db\"\n", "") + "[host.\"*\"]\nroutes = [{ path = \"/*\", upstream = \"db\" }]\n";
    assert_eq!(gateway.reload(&requests).status, 200);
    round(&mut old, b"as before");
    old.half_close();
    assert!(old.read_to_end().is_empty());
    let line = gateway.wait_log(|line| line.num("bytes_in") == 18);
    assert_eq!((line.ended(), line.str("endpoint")), ("client_closed", &*one.addr().to_string()));
}

#[test]
fn a_listener_that_reads_no_requests_any_more_ends_what_it_kept_for_them() {
    let origin = Origin::script(|conn| {
        while conn.read_request().is_some() {
            conn.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        }
    });
    let requests = config(&[&origin], "", "").replace("tcp = \"db\"\n", "")
        + "[host.\"*\"]\nroutes = [{ path = \"/*\", upstream = \"db\" }]\n";
    let gateway = Gateway::start(&requests);
    let mut raw = Raw::connect(gateway.addr("db"));
    assert!(!raw.get("/").closes());
    let bind = format!("bind = \"{}\"", gateway.addr("db"));
    let bytes = config(&[&origin], "", "").replace("bind = \"127.0.0.1:0\"", &bind);
    assert_eq!(gateway.reload(&bytes).status, 200);
    // One more may be on its way; it is the last.
    if raw.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").is_ok()
        && let Ok(response) = raw.try_read_response()
    {
        assert!(response.closes(), "{response:?}");
    }
    raw.expect_closed();
    assert_eq!(get(gateway.addr("db"), "/").text(), "ok", "requests are carried like anything else");
    gateway.wait_log(|line| line.str("protocol") == "tcp");
}

#[test]
fn an_upstream_may_be_asked_and_carried_to_and_nothing_is_shared() {
    let origin = Origin::script(|conn| {
        while let Some(line) = conn.read_line() {
            if line.starts_with("raw") {
                conn.write(format!("connection {}", conn.number));
            } else if line.trim_end().is_empty() {
                conn.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            }
        }
    });
    let balance = "balance = { hash = [\"header:x-customer\", \"client\"] }";
    let toml = config(&[&origin], balance, "")
        + "[listen.http]\nbind = \"127.0.0.1:0\"\n[host.\"*\"]\nroutes = [{ path = \"/*\", upstream = \"db\", class = \"high\" }]\n";
    let gateway = Gateway::start(&format!("{}{toml}", head("")));
    assert_eq!(get(gateway.http(), "/").text(), "ok");
    let mut raw = Raw::connect(gateway.addr("db"));
    raw.send("raw\r\n");
    assert_eq!(raw.read_some(), b"connection 1", "not the one that is kept for requests");
    drop(raw);
    gateway.wait_log(|line| line.str("protocol") == "tcp");
    assert_eq!(get(gateway.http(), "/").text(), "ok");
    assert_eq!(origin.connections(), 2, "and the other way round");
}

#[test]
fn a_drain_ends_connections_gently_one_by_one() {
    let origin = parrot("hello");
    let mut gateway = Gateway::start(&format!("{}{}", head("drain = \"4s\""), config(&[&origin], "", "")));
    let held: Vec<_> = (0..12).map(|_| greeted(&gateway).0).collect();
    let begun = Instant::now();
    gateway.signal(Signal::Term);
    let clients: Vec<_> = held
        .into_iter()
        .map(|mut raw| {
            std::thread::spawn(move || {
                // A clean end: not a byte of what was taken is lost.
                assert!(raw.read_to_end().is_empty());
                begun.elapsed()
            })
        })
        .collect();
    let mut ends: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    ends.sort_unstable();
    assert!(ends[11] - ends[0] > Duration::from_millis(300), "all at once: {ends:?}");
    let lines = gateway.wait_log_lines(12, |_| true);
    assert!(lines.iter().all(|line| (line.ended(), line.str("who")) == ("drain", "gateway")), "{lines:?}");
    assert_eq!(gateway.wait_exit().code(), Some(0));
}

#[test]
fn over_a_unix_socket_that_knows_no_reset_a_client_hears_the_end_of_what_its_endpoint_resets() {
    for io in ["auto", "epoll"] {
        let folder = Scratch::new();
        let unix = folder.path().join("db.sock").display().to_string();
        let origin = Origin::script(|conn| {
            conn.write("hello");
            conn.read_some();
            conn.reset();
        });
        let toml = config(&[&origin], "", "").replace("127.0.0.1:0", &format!("unix:{unix}"));
        let gateway = Gateway::start(&format!("{}{toml}", head(&format!("io = \"{io}\""))));
        let mut raw = Raw::to(&format!("unix:{unix}").parse().unwrap());
        assert_eq!(raw.read_some(), b"hello");
        raw.send("a query");
        assert!(raw.read_or_end().is_none(), "{io}");
        assert_eq!(gateway.wait_log(|_| true).ended(), "upstream_reset", "{io}");
    }
}
