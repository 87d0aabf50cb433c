//! Whatever is in flight when a connection is reset: a read, a write, a connect, a wait. Many times, with other traffic
//! beside it whose bytes are looked at, since a block that is used again too early shows in somebody else's.

use std::time::Duration;

use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::eventually;
use crate::support::ok;
use crate::support::pattern;

/// Everything goes to `app`, but what lies below `/full`, where nobody accepts, and `/reset`, where everything is reset.
fn toml(io: &str, origins: [&Origin; 3]) -> String {
    let [app, full, reset] = origins.map(Origin::addr);
    format!(
        "[process]\ncores = 2\nadmin = \"127.0.0.1:0\"\naccess_log = \"off\"\nio = \"{io}\"\n\n\
         [listen.http]\nbind = \"127.0.0.1:0\"\n\n[defaults.upstream]\ntimeout = {{ connect = \"2s\" }}\n\n\
         [upstream.app]\nendpoints = [\"{app}\"]\n\n[upstream.full]\nendpoints = [\"{full}\"]\n\n\
         [upstream.reset]\nendpoints = [\"{reset}\"]\n\n\
         [host.\"*\"]\nroutes = [{{ path = \"/*\", upstream = \"app\" }}, {{ path = \"/full/*\", upstream = \"full\" }}, \
         {{ path = \"/reset/*\", upstream = \"reset\" }}]\n"
    )
}

/// Echoes bodies; below `/large` it sends without end, below `/silent` it says nothing.
fn app() -> Origin {
    Origin::script(|conn| {
        while let Some(mut request) = conn.read_head() {
            match request.target.as_str() {
                "/large" => {
                    conn.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
                    while conn.write([b'x'; 30_000]) {}
                    return;
                }
                "/silent" => return conn.wait_closed(),
                _ => {
                    if !conn.read_body(&mut request) {
                        return;
                    }
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len());
                    conn.write([head.as_bytes(), &request.body].concat());
                }
            }
        }
    })
}

/// Resets every connection: at once, after a head, within a body, within its answer; in turn.
fn resetting() -> Origin {
    Origin::script(|conn| {
        match conn.number % 4 {
            0 => {}
            1 => drop(conn.read_head()),
            2 => {
                drop(conn.read_head());
                drop(conn.read_some());
            }
            _ => {
                drop(conn.read_head());
                conn.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
                conn.write(vec![b'x'; 100_000]);
            }
        }
        conn.reset();
    })
}

#[test]
fn resets_in_the_middle_of_everything_leave_nothing_behind() {
    for io in ["auto", "epoll"] {
        resets(io);
    }
}

fn resets(io: &str) {
    const ROUNDS: usize = 200;
    let (app, full, reset) = (app(), Origin::full(), resetting());
    let gateway = Gateway::start(&toml(io, [&app, &full, &reset]));
    let (http, done) = (gateway.http(), Gate::new());
    assert_eq!(crate::support::get(http, "/").status, 200);
    let before = gateway.descriptors();
    let traffic = (0..2).map(|number| {
        let done = done.clone();
        std::thread::spawn(move || {
            let mut raw = Raw::connect(http);
            let mut turns = 0;
            while !done.is_open() || turns < 20 {
                let body = pattern(1 + (turns * 7919 + number * 31) % 200_000);
                raw.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
                raw.send(&body);
                assert!(raw.read_response().body == body, "other bytes came back in turn {turns}");
                turns += 1;
            }
        })
    });
    let traffic: Vec<_> = traffic.collect();
    for round in 0..ROUNDS {
        let mut raw = if round % 2 == 0 { Raw::connect(http) } else { Raw::connect_with_small_window(http) };
        let sent = match round % 9 {
            0 => Ok(()),                                                  // the first read is in flight
            1 => raw.try_send("GET / HTTP/1.1\r\nHo"),                    // one within a head
            2 => raw.try_send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n"),  // a write that nobody takes
            3 => raw.try_send("GET /silent HTTP/1.1\r\nHost: a\r\n\r\n"), // a wait for the endpoint
            4 => raw.try_send("GET /full/ HTTP/1.1\r\nHost: a\r\n\r\n"),  // a connect
            5 => raw.try_send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nhalf"), // a body
            6 => raw.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(50)), // answers to several
            7 => raw
                .try_send("POST /reset/ HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n")
                .and_then(|()| raw.try_send(vec![b'x'; 300_000])), // the endpoint resets, too
            _ => raw.try_send("GET /reset/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        };
        drop(sent); // the gateway may have been first
        match round % 4 {
            0 => {}
            1 => std::thread::yield_now(),
            2 => std::thread::sleep(Duration::from_millis(1)),
            _ => std::thread::sleep(Duration::from_millis(7)),
        }
        raw.reset();
    }
    done.open();
    for thread in traffic {
        thread.join().unwrap();
    }
    let metrics = || gateway.metrics();
    eventually("every client is gone", || metrics().sum("ringway_connections", &[]) < 0.5);
    eventually("nothing is under way", || metrics().sum("ringway_requests_in_flight", &[]) < 0.5);
    eventually("no attempt is", || metrics().sum("ringway_endpoint_in_flight", &[]) < 0.5);
    // Those that pools keep for the traffic stay a while.
    eventually("descriptors are given back", || gateway.descriptors() <= before + 16);
    assert_eq!(crate::support::get(http, "/").status, 200);
}

/// A client and an endpoint whose windows are small and who read a little at a time: writes go in parts.
#[test]
fn bodies_arrive_whole_through_the_smallest_windows() {
    const WHOLE: usize = 6 << 20;
    let origin = Origin::script(|conn| {
        conn.shrink_window();
        let Some(request) = conn.read_request() else { return };
        let chunked = !request.all("transfer-encoding").is_empty();
        assert!(request.body == pattern(WHOLE), "an upload is not what was sent");
        let framing = if chunked { "Transfer-Encoding: chunked" } else { "Content-Length: 6291456" };
        conn.write(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n"));
        if !chunked {
            conn.write(pattern(WHOLE));
            return;
        }
        for piece in pattern(WHOLE).chunks(100_001) {
            conn.write([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
        }
        conn.write("0\r\n\r\n");
    });
    let gateway = Gateway::before(&[&origin]);
    for framing in ["Content-Length: 6291456", "Transfer-Encoding: chunked"] {
        let mut raw = Raw::connect_with_small_window(gateway.http());
        raw.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n"));
        if framing.starts_with('T') {
            for piece in pattern(WHOLE).chunks(77_777) {
                raw.send([format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat());
            }
            raw.send("0\r\n\r\n");
        } else {
            raw.send(pattern(WHOLE));
        }
        assert!(raw.read_response().body == pattern(WHOLE), "{framing}");
    }
}

#[test]
fn a_client_that_resets_while_many_wait_hurts_none_of_them() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::answer(move |request| {
        held.wait();
        ok(&request.target)
    });
    let gateway = Gateway::before(&[&origin]);
    let mut clients: Vec<_> = (0..60).map(|_| Raw::connect(gateway.http())).collect();
    for (n, raw) in clients.iter_mut().enumerate() {
        raw.send(format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    gate.wait_for_waiting(60);
    let mut staying = Vec::new();
    for (n, raw) in clients.into_iter().enumerate() {
        if n % 2 == 0 { raw.reset() } else { staying.push((n, raw)) }
    }
    eventually("those that left are gone", || gateway.metrics().sum("ringway_requests_in_flight", &[]) < 30.5);
    gate.open();
    for (n, mut raw) in staying {
        assert_eq!(raw.read_response().text(), format!("/{n}"));
        assert_eq!(raw.get("/again").text(), "/again");
    }
}
