//! Clients and endpoints that mean harm, many at a time: others are served while these hold on, memory stays where it
//! was, and in the end everything they took is given back.

use std::time::Duration;
use std::time::Instant;

use crate::support::Broken;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::PATIENCE;
use crate::support::Raw;
use crate::support::eventually;
use crate::support::get;
use crate::support::ok;
use crate::support::simple;

/// Abusers at a time.
const CROWD: usize = 200;

/// A gateway under abuse, and what it was before.
struct Abused {
    gateway: Gateway,
    resident: u64,
    descriptors: usize,
}

impl Abused {
    fn start(toml: &str) -> Self {
        let gateway = Gateway::start(toml);
        let mut abused = Self { gateway, resident: 0, descriptors: 0 };
        // What the first requests and a first crowd take is kept, and counts as what it was before.
        abused.serves_others();
        let crowd: Vec<_> = (0..CROWD).map(|_| Raw::connect(abused.gateway.http())).collect();
        abused.wait_for_connections(CROWD);
        drop(crowd);
        abused.wait_for_connections(0);
        abused.resident = abused.gateway.resident_kib();
        abused.descriptors = abused.gateway.descriptors();
        abused
    }

    /// Requests of others come through, on new connections and on one that is kept.
    #[track_caller]
    fn serves_others(&self) {
        let mut kept = Raw::connect(self.gateway.http());
        for _ in 0..10 {
            assert_eq!(kept.get("/other").text(), "served");
            assert_eq!(get(self.gateway.http(), "/other").text(), "served");
        }
    }

    /// Memory grew by less than this, in KiB.
    #[track_caller]
    fn grew_less_than(&self, kib: u64) {
        let grown = self.gateway.resident_kib().saturating_sub(self.resident);
        assert!(grown < kib, "the gateway grew by {grown} KiB");
    }

    /// Everything that the abusers took is given back, but for connections that the pools keep.
    #[track_caller]
    fn recovers(&self) {
        self.wait_for_connections(0);
        eventually("descriptors are given back", || self.gateway.descriptors() <= self.descriptors + 16);
        self.serves_others();
    }

    #[track_caller]
    fn wait_for_connections(&self, n: usize) {
        let open = || self.gateway.metrics().sum("ringway_connections", &[]) as usize;
        eventually("so many connections are open", || open() == n);
    }
}

/// Answers `/other` to those who are not the abusers.
fn served(target: &str) -> Option<String> {
    (target == "/other").then(|| ok("served"))
}

#[test]
fn clients_that_drip_their_heads_are_given_up_and_hold_up_nobody() {
    let origin = Origin::answer(|request| served(&request.target).unwrap());
    let abused = Abused::start(&simple(&[&origin], "", "timeout = { head = \"3s\" }"));
    let mut crowd: Vec<_> = (0..CROWD).map(|_| Raw::connect(abused.gateway.http())).collect();
    for raw in &mut crowd {
        raw.send("GET / HTTP/1.1\r\nHost: a\r\nX: ");
    }
    let begun = Instant::now();
    let mut rounds = 0;
    while !crowd.iter().all(Raw::has_news) {
        assert!(begun.elapsed() < PATIENCE, "a head is waited for without end");
        crowd.iter_mut().for_each(|raw| drop(raw.try_send("x")));
        if rounds % 8 == 0 {
            abused.serves_others();
        }
        rounds += 1;
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(rounds > 8, "others were not served while they held on");
    abused.grew_less_than(16 << 10);
    for raw in &mut crowd {
        assert_eq!(raw.read_response().status, 408);
    }
    drop(crowd);
    abused.recovers();
    let errors = abused.gateway.metrics();
    assert_eq!(errors.get("ringway_request_errors_total", &[("cause", "client_timeout_head")]) as usize, CROWD);
}

#[test]
fn clients_that_drip_their_bodies_or_take_nothing_hold_up_nobody() {
    const LARGE: usize = 64 << 20;
    let origin = Origin::script(|conn| {
        while let Some(mut request) = conn.read_head() {
            let answer = served(&request.target);
            if let Some(answer) = answer {
                conn.write(answer);
            } else if request.method == "POST" {
                conn.read_body(&mut request);
                return;
            } else {
                conn.write(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"));
                while conn.write([b'x'; 65_536]) {}
                return;
            }
        }
    });
    let app = "keep_alive = { connections = 4 }";
    let abused = Abused::start(&simple(&[&origin], app, "timeout = { body = \"3s\" }"));
    for _ in 0..2 {
        let mut drips: Vec<_> = (0..CROWD / 2).map(|_| Raw::connect(abused.gateway.http())).collect();
        for raw in &mut drips {
            raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
        }
        let mut idle: Vec<_> = (0..CROWD / 4).map(|_| Raw::connect_with_small_window(abused.gateway.http())).collect();
        for raw in &mut idle {
            raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        }
        for raw in &mut idle {
            assert_eq!(raw.read_head().status, 200);
        }
        for _ in 0..6 {
            drips.iter_mut().for_each(|raw| raw.send("x"));
            abused.serves_others();
            std::thread::sleep(Duration::from_millis(50));
        }
        // A piece of a body for each of those who do not take theirs, whatever its length.
        abused.grew_less_than(32 << 10);
        // They are given up while they hold on: nobody takes the rest.
        abused.gateway.wait_log_lines(idle.len(), |line| line.ended() == "client_timeout_body");
        drop(drips);
        abused.recovers();
    }
    abused.grew_less_than(32 << 10);
}

#[test]
fn a_flood_of_connections_is_refused_at_the_door() {
    let origin = Origin::answer(|request| served(&request.target).unwrap());
    let abused = Abused::start(&simple(&[&origin], "", &format!("connections = {CROWD}")));
    let mut inside = Raw::connect(abused.gateway.http());
    assert_eq!(inside.get("/other").text(), "served");
    let held: Vec<_> = (1..CROWD).map(|_| Raw::connect(abused.gateway.http())).collect();
    abused.wait_for_connections(CROWD);
    for _ in 0..10 {
        let mut flood: Vec<_> = (0..50).map(|_| Raw::connect(abused.gateway.http())).collect();
        flood.iter_mut().for_each(Raw::expect_closed);
        assert_eq!(inside.get("/other").text(), "served");
    }
    assert!(held.iter().all(|raw| !raw.has_news()), "those who were there first stay");
    abused.grew_less_than(8 << 10);
    let metrics = abused.gateway.metrics();
    let refused = |reason| metrics.get("ringway_connections_refused_total", &[("reason", reason)]) as usize;
    assert_eq!([refused("listener"), refused("process"), refused("client")], [500, 0, 0]);
    drop((inside, held));
    abused.wait_for_connections(0);
    abused.recovers();
}

#[test]
fn floods_of_fields_and_of_bytes_in_a_head_are_refused() {
    let origin = Origin::answer(|request| served(&request.target).unwrap());
    let abused = Abused::start(&simple(&[&origin], "", ""));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}", "a: b\r\n".repeat(20_000));
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(120_000));
    let target = format!("GET /{}", "x".repeat(120_000));
    for (flood, status) in [(&many, 431), (&long, 431), (&target, 414)] {
        let mut crowd: Vec<_> = (0..CROWD / 4).map(|_| Raw::connect(abused.gateway.http())).collect();
        for raw in &mut crowd {
            drop(raw.try_send(flood)); // it may have been refused before it was sent
        }
        abused.serves_others();
        abused.grew_less_than(16 << 10);
        for raw in &mut crowd {
            let response = raw.read_response();
            assert_eq!((response.status, response.closes()), (status, true));
        }
    }
    abused.recovers();
    abused.grew_less_than(16 << 10);
    assert!(origin.requests().iter().all(|request| request.target == "/other"));
}

#[test]
fn a_body_of_the_smallest_chunks_costs_nobody_else_anything() {
    const CHUNKS: usize = 40_000;
    const SENDERS: usize = 14;
    let origin =
        Origin::answer(|request| served(&request.target).unwrap_or_else(|| ok(&request.body.len().to_string())));
    let abused = Abused::start(&simple(&[&origin], "", ""));
    let senders = (0..SENDERS).map(|_| {
        let mut raw = Raw::connect(abused.gateway.http());
        std::thread::spawn(move || {
            raw.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            raw.send("1\r\nx\r\n".repeat(CHUNKS));
            raw.send("0\r\n\r\n");
            raw.read_response().text().to_owned()
        })
    });
    let senders: Vec<_> = senders.collect();
    let mut turns = 0;
    while turns == 0 || !senders.iter().all(std::thread::JoinHandle::is_finished) {
        abused.serves_others();
        // All of them together are at it: each has little room, since most of what it says is framing.
        abused.grew_less_than(SENDERS as u64 * 100);
        turns += 1;
    }
    for sender in senders {
        assert_eq!(sender.join().unwrap(), CHUNKS.to_string());
    }
    abused.recovers();
}

#[test]
fn clients_that_ask_without_listening_wait_for_themselves() {
    const REQUESTS: usize = 2_000;
    let origin = Origin::answer(|request| served(&request.target).unwrap_or_else(|| ok(&"x".repeat(2_000))));
    let abused = Abused::start(&simple(&[&origin], "", ""));
    let senders = (0..4).map(|_| {
        let raw = Raw::connect_with_small_window(abused.gateway.http());
        let mut sender = raw.sender();
        let sending = std::thread::spawn(move || {
            let requests = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n".repeat(REQUESTS);
            std::io::Write::write_all(&mut sender, requests.as_bytes())
        });
        (raw, sending)
    });
    let senders: Vec<_> = senders.collect();
    abused.serves_others();
    abused.grew_less_than(16 << 10);
    for (mut raw, sending) in senders {
        let reading = std::thread::spawn(move || (0..REQUESTS).all(|_| raw.read_response().body.len() == 2_000));
        abused.serves_others();
        assert!(reading.join().unwrap(), "an answer is not what it was");
        sending.join().unwrap().unwrap();
    }
    abused.grew_less_than(16 << 10);
    abused.recovers();
}

#[test]
fn endpoints_that_never_come_to_an_end_are_given_up() {
    let bad = Origin::script(|conn| {
        let Some(request) = conn.read_request() else { return };
        match request.target.as_str() {
            "/interim" => while conn.write("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n") {},
            "/fields" => {
                conn.write("HTTP/1.1 200 OK\r\n");
                while conn.write("a: b\r\n".repeat(1000)) {}
            }
            "/long" => {
                conn.write("HTTP/1.1 200 OK\r\na: ");
                while conn.write([b'x'; 6000]) {}
            }
            "/chunk" => {
                conn.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;");
                while conn.write([b'x'; 6000]) {}
            }
            _ => {
                conn.write("HTTP/1.1 200 OK\r\na: ");
                while conn.write("x") {
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        }
    });
    let good = Origin::answer(|request| served(&request.target).unwrap());
    let toml = simple(&[&good], "", "").replace("routes = [", "routes = [{ path = \"/other\", upstream = \"app\" }, ");
    let toml = toml.replace("\"/*\", upstream = \"app\"", "\"/*\", upstream = \"bad\"")
        + &format!("\n[upstream.bad]\nendpoints = [\"{}\"]\ntimeout = {{ response = \"2s\" }}\n", bad.addr());
    let abused = Abused::start(&toml);
    for (path, status) in [("/interim", 502), ("/fields", 502), ("/long", 502), ("/chunk", 502), ("/drip", 504)] {
        let mut crowd: Vec<_> = (0..CROWD / 10).map(|_| Raw::connect(abused.gateway.http())).collect();
        for raw in &mut crowd {
            raw.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
        }
        abused.serves_others();
        abused.grew_less_than(16 << 10);
        for raw in &mut crowd {
            match raw.try_read_response() {
                Ok(response) => assert_eq!((response.status, response.interim.len() <= 32), (status, true), "{path}"),
                // The head had gone before the chunk broke its bound.
                Err(Broken::Cut(_)) if path == "/chunk" => {}
                Err(broken) => panic!("{path}: {broken}"),
            }
        }
        bad.wait_for_open(0);
    }
    abused.recovers();
    abused.grew_less_than(16 << 10);
}
