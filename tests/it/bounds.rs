//! Bounds are those of the configuration: of the listener, of the upstream, and of the route where it has its own.

use std::time::Duration;
use std::time::Instant;

use ringway::io::ring::Wanted;
use ringway::limits;
use ringway::observe::ended::Cause;
use ringway::observe::metrics::CLOSINGS;
use ringway::observe::metrics::Closing;
use ringway::observe::metrics::Refusal;
use ringway::shard::mailbox::Drill;
use ringway::shard::mailbox::Message;

use crate::support::Broken;
use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Inside;
use crate::support::Origin;
use crate::support::PATIENCE;
use crate::support::Raw;
use crate::support::Response;
use crate::support::Signal;
use crate::support::eventually;
use crate::support::get;
use crate::support::ok;
use crate::support::simple;

fn core(origins: &[&Origin], app: &str, listen: &str) -> Inside {
    Inside::start(&simple(origins, app, listen), Wanted::Auto)
}

/// With more keys for the one route.
fn routed(origins: &[&Origin], more: &str) -> Inside {
    let toml = simple(origins, "", "").replace("upstream = \"app\" }", &format!("upstream = \"app\", {more} }}"));
    Inside::start(&toml, Wanted::Auto)
}

fn post(inside: &Inside, body: &str) -> Response {
    let mut raw = Raw::connect(inside.addr);
    raw.send(format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
    raw.read_response()
}

#[test]
fn chunks_of_a_request_have_the_bounds_of_their_listener() {
    let origin = Origin::named("a");
    let (line, many) =
        (format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(300)), "1;xxxxxxxx\r\na\r\n".repeat(3) + "0\r\n\r\n");
    let answers = |bounds: &str| {
        let inside = core(&[&origin], "", bounds);
        [post(&inside, &line).status, post(&inside, &many).status]
    };
    assert_eq!(answers(""), [400, 200]);
    assert_eq!(answers("chunk = { line = \"400B\" }"), [200, 200]);
    assert_eq!(answers("chunk = { line = \"400B\", extensions = \"26B\" }"), [400, 400], "they have nine bytes each");
    assert_eq!(answers("chunk = { line = \"400B\", extensions = \"27B\" }"), [400, 200]);
}

#[test]
fn chunks_of_a_response_keep_their_own_bounds() {
    let line = "x".repeat(300);
    let origin =
        Origin::fixed(format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;{line}\r\na\r\n0\r\n\r\n"));
    let of_line = |response: &str| get(core(&[&origin], response, "chunk = { line = \"4KiB\" }").addr, "/").status;
    assert_eq!(of_line(""), 502);
    assert_eq!(of_line("response = { chunk_line = \"301B\" }"), 502);
    assert_eq!(of_line("response = { chunk_line = \"302B\" }"), 200);
    assert_eq!(of_line("response = { chunk_line = \"302B\", chunk_extensions = \"300B\" }"), 502);
    assert_eq!(of_line("response = { chunk_line = \"302B\", chunk_extensions = \"301B\" }"), 200);
}

/// A chunked body with so many trailers, each of 100 bytes.
fn trailed(trailers: usize) -> String {
    let line = format!("X: {}\r\n", "y".repeat(95));
    format!("1\r\na\r\n0\r\n{}\r\n", line.repeat(trailers))
}

#[test]
fn trailers_of_a_request_have_the_bounds_of_their_listener() {
    let origin = Origin::named("a");
    let answers = |bounds: &str| {
        let inside = core(&[&origin], "", bounds);
        let (few, many) = (post(&inside, &trailed(10)), post(&inside, &trailed(150)));
        assert!(many.status == 200 || many.text().contains("bad_request"), "{}", many.text());
        [few.status, many.status]
    };
    assert_eq!(answers(""), [200, 400], "a hundred by default");
    assert_eq!(answers("fields = 200"), [200, 200]);
    assert_eq!(answers("fields = 9"), [400, 400]);
    assert_eq!(answers("fields = 10"), [200, 400]);
    assert_eq!(answers("fields = 200\nhead = \"1KiB\"\ntarget = \"512B\""), [200, 400], "10 are 1000 bytes");
    assert_eq!(answers("fields = 200\nhead = \"14KiB\""), [200, 400], "150 are 15000 bytes");
}

#[test]
fn trailers_of_a_response_have_the_bounds_of_its_upstream() {
    let origin = Origin::answer(|request| {
        let trailers = request.target.trim_start_matches('/').parse().unwrap();
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{}", trailed(trailers))
    });
    let answers = |bounds: &str| {
        // The listener's are of no matter.
        let inside = core(&[&origin], bounds, "fields = 5");
        let ask = |target: &str| {
            let mut raw = Raw::connect(inside.addr);
            raw.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n"));
            raw.try_read_response()
        };
        ["/10", "/150"].map(|target| match ask(target) {
            Ok(response) => (response.status, response.trailers.len()),
            Err(Broken::Cut(_)) => (0, 0),
            Err(other) => panic!("{other}"),
        })
    };
    let refused = |answer: (u16, usize)| matches!(answer, (502 | 0, 0));
    assert_eq!(answers(""), [(200, 10), (200, 150)]);
    for (bounds, most) in [("fields = 9", 0), ("fields = 10", 1), ("fields = 149", 1), ("head = \"1KiB\"", 1)] {
        let [few, many] = answers(&format!("response = {{ {bounds} }}"));
        assert!(refused(many), "{bounds}: {many:?}");
        assert!(if most == 0 { refused(few) } else { few == (200, 10) }, "{bounds}: {few:?}");
    }
}

#[test]
fn a_response_head_has_the_bounds_of_its_upstream() {
    let origin = Origin::answer(|request| match request.target.as_str() {
        "/bytes" => format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(1024)),
        "/fields" => format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "X: y\r\n".repeat(10)),
        _ => format!("{}{}", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(2), ok("a")),
    });
    let paths = ["/bytes", "/fields", "/interim"];
    let statuses = |head: &str, fields, interim| {
        let bounds = format!("response = {{ head = \"{head}\", fields = {fields}, interim = {interim} }}");
        let inside = core(&[&origin], &bounds, "");
        paths.map(|path| get(inside.addr, path).status)
    };
    assert_eq!(statuses("2KiB", 11, 2), [200, 200, 200]);
    assert_eq!(statuses("1KiB", 11, 2), [502, 200, 200]);
    assert_eq!(statuses("2KiB", 10, 2), [200, 502, 200]);
    assert_eq!(statuses("2KiB", 11, 1), [200, 200, 502]);
}

#[test]
fn a_client_has_so_many_connections_and_another_has_its_own() {
    let origin = Origin::named("a");
    let inside = core(&[&origin], "", "connections_per_client = 3");
    let connect = |from: &str| Raw::connect_from(from, inside.addr);
    let mut held: Vec<_> = (0..3).map(|_| connect("127.0.0.1")).collect();
    for raw in &mut held {
        assert_eq!(raw.get("/").status, 200);
    }
    for _ in 0..5 {
        connect("127.0.0.1").expect_closed();
    }
    let mut other = connect("127.0.0.2");
    assert_eq!(other.get("/").text(), "a");
    let counts = inside.slab.listener(inside.snapshot.listeners[0].slot);
    let refused = |reason: Refusal| counts.refused[reason as usize].get();
    assert_eq!([refused(Refusal::Client), refused(Refusal::Listener), refused(Refusal::Process)], [5, 0, 0]);
    assert_eq!((counts.accepted.get(), counts.open.get()), (4, 4));
    assert_eq!(inside.snapshot.listeners[0].clients.known(), 2);
    drop(held.pop());
    eventually("a place is given back", || {
        let mut raw = connect("127.0.0.1");
        drop(raw.try_send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        raw.try_read_response().is_ok_and(|response| response.status == 200)
    });
    drop((held, other));
    eventually("nobody is held who has nothing open", || inside.snapshot.listeners[0].clients.known() == 0);
}

#[test]
fn behind_a_proxy_a_client_is_who_the_proxy_says() {
    let origin = Origin::named("a");
    let bounds = "proxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\"]\nconnections_per_client = 2";
    let inside = core(&[&origin], "", bounds);
    let connect = |client: &str| {
        let mut raw = Raw::connect(inside.addr);
        raw.send(format!("PROXY TCP4 {client} 10.0.0.1 4000 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        raw
    };
    let mut held: Vec<_> = ["192.0.2.1", "192.0.2.1", "192.0.2.2"].map(connect).into();
    for raw in &mut held {
        assert_eq!(raw.read_response().status, 200);
    }
    connect("192.0.2.1").expect_closed();
    let mut own = Raw::connect(inside.addr);
    own.send("PROXY UNKNOWN\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(own.read_response().status, 200);
    let counts = inside.slab.listener(inside.snapshot.listeners[0].slot);
    assert_eq!((counts.refused[Refusal::Client as usize].get(), counts.proxy_faults.get()), (1, 0));
}

#[test]
fn a_connection_that_is_not_kept_is_counted_by_why() {
    let origin = Origin::named("a");
    let closed = |bounds: &str, act: fn(&Inside)| {
        let inside = core(&[&origin], "", bounds);
        act(&inside);
        let counts = inside.slab.listener(inside.snapshot.listeners[0].slot);
        eventually("the connection is closed and counted", || counts.open.get() == 0 && counts.accepted.get() == 1);
        closings(&inside)
    };
    let idle = |inside: &Inside| {
        let mut raw = Raw::connect(inside.addr);
        assert_eq!(raw.get("/").status, 200);
        raw.expect_closed();
    };
    assert_eq!(closed("timeout = { idle = \"200ms\" }", idle), [("idle", 1)]);
    assert_eq!(closed("keep_alive = { age = \"1s\" }", idle), [("age", 1)]);
    let many = |inside: &Inside| {
        let mut raw = Raw::connect(inside.addr);
        while !raw.get("/").closes() {}
        raw.expect_closed();
    };
    assert_eq!(closed("keep_alive = { requests = 3 }", many), [("requests", 1)]);
    let leaves = |inside: &Inside| assert_eq!(Raw::connect(inside.addr).get("/").status, 200);
    assert_eq!(closed("", leaves), [], "the client went");
    let asks = |inside: &Inside| {
        let mut raw = Raw::connect(inside.addr);
        raw.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert!(raw.read_response().closes());
        raw.expect_closed();
    };
    assert_eq!(closed("keep_alive = { requests = 1 }", asks), [], "the client asked for it");
}

/// What a core with one listener has counted of connections that it did not keep, by why.
fn closings(inside: &Inside) -> Vec<(&'static str, u64)> {
    let counts = inside.slab.listener(inside.snapshot.listeners[0].slot);
    let words = CLOSINGS.into_iter().zip(&counts.closed);
    words.filter(|(_, count)| count.get() > 0).map(|(word, count)| (word, count.get())).collect()
}

#[test]
fn a_drain_counts_whom_it_sends_away_and_nobody_who_goes_by_himself() {
    let (gate, held) = (Gate::new(), Gate::new());
    let (open, other) = (gate.clone(), held.clone());
    let origin = Origin::answer(move |request| {
        match request.target.as_str() {
            "/held" => open.wait(),
            "/lost" => other.wait(),
            _ => {}
        }
        ok("a")
    });
    let inside = core(&[&origin], "", "");
    let mut idle = Raw::connect(inside.addr);
    assert_eq!(idle.get("/").status, 200);
    let [mut told, mut asks, mut leaves] = [(); 3].map(|()| Raw::connect(inside.addr));
    told.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
    asks.send("GET /held HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    leaves.send("GET /lost HTTP/1.1\r\nHost: a\r\n\r\n");
    gate.wait_for_waiting(2);
    held.wait_for_waiting(1);
    inside.post(Message::Drain { deadline: Instant::now() + PATIENCE });
    idle.expect_closed();
    eventually("who idles is sent away", || closings(&inside) == [("drain", 1)]);
    drop(leaves);
    eventually("it has gone", || inside.slab.causes[Cause::ClientAbort as usize].get() == 1);
    gate.open();
    for raw in [&mut told, &mut asks] {
        assert!(raw.read_response().closes());
        raw.expect_closed();
    }
    eventually("all are gone", || inside.slab.connections.get() == 0);
    assert_eq!(closings(&inside), [("drain", 2)], "one idled, one was told to go");
    held.open();
}

/// Both in one moment: which of them a core sees first is left to chance.
#[test]
fn a_request_that_comes_as_the_drain_begins_is_answered() {
    const CLIENTS: usize = 40;
    let origin = Origin::named("a");
    let mut gateway = Gateway::start(&format!("[process]\ncores = 1\n{}", simple(&[&origin], "", "")));
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Raw::connect(gateway.http())).collect();
    for raw in &mut clients {
        assert_eq!(raw.get("/").status, 200);
    }
    gateway.signal(Signal::Stop);
    gateway.signal(Signal::Term);
    clients.iter_mut().for_each(|raw| raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    gateway.signal(Signal::Cont);
    for raw in &mut clients {
        let response = raw.read_response();
        assert_eq!((response.status, response.text()), (200, "a"));
    }
    assert_eq!(gateway.wait_exit().code(), Some(0));
}

#[test]
fn whose_listener_is_no_more_is_sent_away() {
    let gate = Gate::new();
    let open = gate.clone();
    let origin = Origin::answer(move |request| {
        if request.target == "/held" {
            open.wait();
        }
        ok("a")
    });
    let before = simple(&[&origin], "", "");
    let mut inside = Inside::start(&before, Wanted::Auto);
    let slot = inside.snapshot.listeners[0].slot;
    let (mut idle, mut busy) = (Raw::connect(inside.addr), Raw::connect(inside.addr));
    assert_eq!(idle.get("/").status, 200);
    busy.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
    gate.wait_for_waiting(1);
    inside.publish(&before.replace("[listen.", "[listen.other_"));
    idle.expect_closed();
    gate.open();
    assert!(busy.read_response().closes());
    busy.expect_closed();
    let counts = inside.slab.listener(slot);
    eventually("both are counted", || counts.open.get() == 0);
    assert_eq!(counts.closed[Closing::Removed as usize].get(), 2);
    let mut stays = Raw::connect(inside.addr);
    assert_eq!(stays.get("/").status, 200);
    inside.publish(&before.replace("[listen.", "[listen.other_"));
    assert_eq!(stays.get("/").status, 200, "only the sockets are new");
}

#[test]
fn a_route_may_have_its_own_rate_of_responses() {
    // What was waited for ten seconds is waited for no longer.
    let origin = Origin::script(|conn| {
        if conn.read_request().is_some() {
            conn.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
            while conn.write("x") {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    });
    let asked = |inside: &Inside| {
        let mut raw = Raw::connect(inside.addr);
        raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        raw
    };
    let toml = simple(&[&origin], "min_rate = \"1MiB\"", "");
    let free = toml.replace("upstream = \"app\" }", "upstream = \"app\", response = { min_rate = \"0B\" } }");
    let (bound, free) = (routed(&[&origin], "response = { min_rate = \"1MiB\" }"), Inside::start(&free, Wanted::Auto));
    let (mut slow, mut waits) = (asked(&bound), asked(&free));
    assert!(matches!(slow.try_read_response(), Err(Broken::Cut(_))), "the route asks for more than its upstream");
    eventually("it is counted", || bound.slab.causes[Cause::UpstreamTimeoutBody as usize].get() == 1);
    let (begun, mut response) = (Instant::now(), waits.read_head());
    while begun.elapsed() < limits::RATE_GRACE / 2 {
        response.body.extend(waits.try_read_some().expect("the route asks for nothing"));
    }
    assert_eq!(free.slab.causes[Cause::UpstreamTimeoutBody as usize].get(), 0);
}

#[test]
fn a_dead_core_owes_its_clients_no_places() {
    let origin = Origin::named("a");
    let inside = core(&[&origin], "", "connections_per_client = 2");
    let mut held = [Raw::connect(inside.addr), Raw::connect(inside.addr)];
    for raw in &mut held {
        assert_eq!(raw.get("/").status, 200);
    }
    inside.post(Message::Drill(Drill::Core));
    held.iter_mut().for_each(Raw::expect_closed);
    eventually("the core has been started again", || inside.slab.restarts.get() == 1);
    let mut again = [Raw::connect(inside.addr), Raw::connect(inside.addr)];
    for raw in &mut again {
        assert_eq!(raw.get("/").status, 200);
    }
}

#[test]
fn a_route_may_have_its_own_time_for_a_response() {
    let origin = Origin::silent();
    let inside = routed(&[&origin], "timeout = { response = \"200ms\" }");
    let response = get(inside.addr, "/");
    assert_eq!(response.status, 504);
    assert!(response.text().contains("upstream_timeout_headers"));
}

#[test]
fn a_route_may_have_its_own_pause_for_bodies_either_way() {
    let origin = Origin::script(|conn| {
        let Some(mut request) = conn.read_head() else { return };
        if conn.read_body(&mut request) {
            conn.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf.");
            conn.wait_closed();
        }
    });
    let inside = routed(&[&origin], "timeout = { body = \"200ms\" }");
    let mut raw = Raw::connect(inside.addr);
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf.");
    let response = raw.read_response();
    assert_eq!(response.status, 408);
    assert!(response.text().contains("a pause"), "{}", response.text());
    let mut raw = Raw::connect(inside.addr);
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(matches!(raw.try_read_response(), Err(Broken::Cut(_))));
    let count = |cause: Cause| inside.slab.causes[cause as usize].get();
    assert_eq!([count(Cause::ClientTimeoutBody), count(Cause::UpstreamTimeoutBody)], [1, 1]);
}

#[test]
fn a_tunnel_has_the_limit_of_its_listener_where_its_route_has_none() {
    const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let origin = Origin::script(|conn| {
        conn.read_request();
        conn.write(SWITCH);
        conn.wait_closed();
    });
    for (route, listener) in [("", "1s"), (", timeout = { tunnel = \"1s\" }", "1h")] {
        let own = format!("upstream = \"app\", upgrade = [\"websocket\"]{route} }}");
        let toml = simple(&[&origin], "", &format!("timeout = {{ tunnel = \"{listener}\" }}"));
        let inside = Inside::start(&toml.replace("upstream = \"app\" }", &own), Wanted::Auto);
        let mut raw = Raw::connect(inside.addr);
        raw.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
        assert_eq!(raw.read_head().status, 101);
        assert!(raw.read_to_end().is_empty());
        eventually("it is counted", || inside.slab.causes[Cause::TunnelIdle as usize].get() == 1);
    }
}

#[test]
fn a_route_may_have_its_own_number_of_attempts() {
    let refusing = [Origin::refusing(), Origin::refusing(), Origin::refusing()];
    let attempts = |more: &str| {
        let inside = routed(&refusing.each_ref(), more);
        assert_eq!(get(inside.addr, "/").status, 502);
        let endpoints = &inside.snapshot.upstreams[0].endpoints;
        endpoints.iter().map(|endpoint| inside.slab.endpoint(endpoint.slot).failures.get()).sum::<u64>()
    };
    assert_eq!([1, 2, 3].map(|n| attempts(&format!("retry = {{ attempts = {n} }}"))), [1, 2, 3]);
    assert_eq!(attempts("max_body = \"1MiB\""), 2, "as many as the upstream makes");
}

/// The rows of the table of limits: what stands between the bars.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let (_, limits) = page.split_once("## Limits").unwrap();
    let table = limits.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    table.skip(2).map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// The default of a key such as `listen.timeout.head`, as the page writes it; nothing if there is no such key.
fn default_of<'a>(reference: &'a toml::Table, key: &str) -> Option<String> {
    let (table, path) = key.split_once('.')?;
    let mut value = match table {
        "process" => reference.get("process")?,
        "listen" | "upstream" => reference.get("defaults")?.get(table)?,
        // Each of the routes there shows some.
        "route" => reference["host"].as_table()?.values().next()?.get("routes")?,
        _ => return None,
    };
    let inner = |value: &'a toml::Value| path.split('.').try_fold(value, |value, part| value.get(part));
    value = match value.as_array() {
        Some(routes) => routes.iter().find_map(inner)?,
        None => inner(value)?,
    };
    Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

#[test]
fn the_table_of_limits_is_whole_and_true() {
    // What is fixed, as the table writes it.
    let fixed = || {
        let seconds = |time: Duration| format!("{}s", time.as_secs());
        let pair = |one: String, other: String| format!("{one}, {other}");
        [
            format!("{}KiB", limits::PROXY_BYTES / 1024),
            seconds(limits::RATE_GRACE),
            pair(seconds(limits::LINGER_TIME), seconds(limits::LINGER_PAUSE)),
            pair(seconds(limits::TUNNEL_LAST_TIME), seconds(limits::TUNNEL_LAST_PAUSE)),
        ]
    };
    let page = std::fs::read_to_string(crate::source::root().join("docs/operations.md")).unwrap();
    for bound in fixed() {
        let row = |row: &Vec<&str>| row.get(1) == Some(&bound.as_str()) && row.get(2) == Some(&"fixed");
        assert!(rows(&page).iter().any(row), "{bound} is fixed and not in the table");
    }
    let text = |path: &str| std::fs::read_to_string(crate::source::root().join(path)).unwrap();
    let (page, metrics) = (text("docs/operations.md"), text("docs/reference/metrics.md"));
    let reference: toml::Table = text("config/reference.toml").parse().unwrap();
    let mut keys = Vec::new();
    for row in rows(&page) {
        let &[limit, default, key, answer, cause, metric] = row.as_slice() else { panic!("{row:?}") };
        if key == "fixed" {
            assert!(fixed().contains(&default.to_owned()), "{limit}: {default} is none of the bounds in the program");
        } else {
            let key = key.trim_matches('`');
            let known = default_of(&reference, key).unwrap_or_else(|| panic!("{limit}: no key {key}"));
            assert!(
                default == "none" || default.starts_with("[see below]") || default == known,
                "{key}: {default} for {known}"
            );
            keys.push(key);
        }
        // Whatever is over a bound is found again in the figures and, where it is an answer, in the log.
        assert!(!metric.is_empty(), "{limit}: no metric");
        let closed = answer.starts_with("closed") || answer == "`Connection: close`";
        assert!(!cause.is_empty() || closed, "{limit}: no cause");
        if !cause.is_empty() && cause != answer {
            let word = cause.trim_matches('`');
            let cause = Cause::ALL.into_iter().find(|cause| cause.row().word == word);
            let status = cause.unwrap_or_else(|| panic!("{limit}: no cause {word}")).row().status.to_string();
            // Where no request was read, no status is the answer.
            assert!(answer == "cut" || status == "0" || answer.starts_with(&status), "{limit}: {answer} for {status}");
        }
        assert!(metrics.contains(&format!("| {metric} |")), "{limit}: no metric {metric}");
    }
    // Whatever has a number or a unit is a limit, but for the mode of a file, and for what says how endpoints are chosen,
    // watched and kept ready, and how long is paused between tries.
    keys.extend(["listen.socket_mode", "upstream.sticky.lifetime", "upstream.slow_start", "upstream.panic"]);
    keys.extend(["upstream.keep_alive.warm", "upstream.retry.backoff", "upstream.retry.backoff_max"]);
    let watched = |key: &str| ["upstream.health.", "upstream.ejection."].iter().any(|begin| key.starts_with(begin));
    keys.extend(["process.cores", "process.admin", "process.ring.entries", "process.ring.completions"]);
    let routes = reference["host"].as_table().unwrap().values().flat_map(|host| host["routes"].as_array().unwrap());
    let tables = ["listen", "upstream"].map(|table| (table, &reference["defaults"][table]));
    for (table, all) in
        tables.into_iter().chain([("process", &reference["process"])]).chain(routes.map(|route| ("route", route)))
    {
        let mut left: Vec<(String, &toml::Value)> = vec![(table.to_owned(), all)];
        while let Some((key, value)) = left.pop() {
            if let Some(inner) = value.as_table() {
                left.extend(inner.iter().map(|(name, value)| (format!("{key}.{name}"), value)));
            }
            let limit =
                value.is_integer() || value.as_str().is_some_and(|text| text.starts_with(|c: char| c.is_ascii_digit()));
            // What a route has of its own instead of its listener's or its upstream's stands there with theirs.
            let own =
                |of: &str| key.strip_prefix("route.").is_some_and(|key| keys.contains(&format!("{of}.{key}").as_str()));
            let part = || keys.iter().any(|whole| key.strip_prefix(whole).is_some_and(|rest| rest.starts_with('.')));
            let known = keys.contains(&key.as_str()) || own("listen") || own("upstream") || part();
            assert!(!limit || watched(&key) || known, "{key} is not in the table of limits");
        }
    }
}
