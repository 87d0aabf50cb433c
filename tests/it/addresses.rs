//! Where things listen: several addresses of one listener, IPv6, Unix sockets on both sides. Each rule on both kinds of
//! event loop, where the loop has a part in it.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use ringway::address::Address;
use ringway::io::ring::Wanted;
use ringway::shard::mailbox::Drill;
use ringway::shard::mailbox::Message;

use crate::support::Broken;
use crate::support::Gateway;
use crate::support::Inside;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Scratch;
use crate::support::eventually;
use crate::support::ok;
use crate::support::pattern;
use crate::support::simple;

/// Both kinds of event loop.
pub const LOOPS: [&str; 2] = ["auto", "epoll"];

/// A `[process]` with such a loop.
pub fn process(io: &str) -> String {
    format!("[process]\ncores = 2\nadmin = \"127.0.0.1:0\"\naccess_log = \"stdout\"\nio = \"{io}\"\n\n")
}

/// A listener `http` at these addresses, as TOML, before one origin.
pub fn at(binds: &str, origin: &Origin) -> String {
    simple(&[origin], "", "").replace("bind = \"127.0.0.1:0\"", &format!("bind = {binds}"))
}

/// A place for a socket in a folder, as an address.
pub fn socket(folder: &Scratch, name: &str) -> Address {
    format!("unix:{}", folder.path().join(name).display()).parse().unwrap()
}

/// Its path.
pub fn path(address: &Address) -> PathBuf {
    address.path().unwrap().to_path_buf()
}

/// What is answered there.
pub fn get(address: &Address) -> String {
    Raw::to(address).get("/").text().to_owned()
}

// === listeners ===

#[test]
fn a_listener_answers_at_each_of_its_addresses_and_says_them_all() {
    for io in LOOPS {
        let folder = Scratch::new();
        let unix = socket(&folder, "http.sock");
        let origin = Origin::named("app");
        let binds = format!("[\"127.0.0.1:0\", \"[::1]:0\", \"{unix}\"]");
        let gateway = Gateway::start(&(process(io) + &at(&binds, &origin)));
        let told = gateway.addresses("http");
        assert!(matches!(told.as_slice(), [Address::Ip(v4), Address::Ip(v6), last]
            if v4.is_ipv4() && v4.port() != 0 && v6.is_ipv6() && v6.port() != 0 && *last == unix));
        for address in &told {
            assert_eq!(get(address), "app", "{address}");
        }
        let overview = gateway.get_json("/v1/overview");
        let shown = told.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(overview["listeners"][0]["addresses"], serde_json::json!(shown));
        assert_eq!(overview["listeners"][0]["bind"], serde_json::json!(["127.0.0.1:0", "[::1]:0", unix.to_string()]));
        assert_eq!(gateway.wait_log(|line| line.str("client").starts_with("unix:")).ended(), "ok");
        assert_eq!(gateway.wait_log(|line| line.str("client").starts_with("[::1]:")).ended(), "ok");
        assert_eq!(gateway.stop().code(), Some(0));
        assert!(!path(&unix).exists(), "the socket's file is left behind");
    }
}

#[test]
fn all_that_http_1_can_do_it_can_do_over_a_unix_socket() {
    for io in LOOPS {
        let folder = Scratch::new();
        let unix = socket(&folder, "http.sock");
        let origin = Origin::answer(|request| {
            let body = request.body.clone();
            [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes(), body].concat()
        });
        let gateway = Gateway::start(&(process(io) + &at(&format!("\"{unix}\""), &origin)));
        let mut raw = Raw::to(&unix);
        for round in 0..20 {
            let body = pattern(round * 50_000);
            raw.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
            let mut sender = raw.sender();
            let writing = std::thread::spawn(move || sender.write_all(&body).map(|()| body));
            let response = raw.read_response();
            assert_eq!(response.status, 200);
            assert!(response.body == writing.join().unwrap().unwrap(), "round {round}: another body came back");
        }
        raw.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        raw.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!((raw.read_response().text(), raw.read_response().status), ("hello", 200));
        // An idle connection gives its buffers back, waits for readiness alone, and is heard again.
        eventually("the connection is parked", || gateway.get_json("/v1/overview")["parked"] == 1);
        assert_eq!(raw.get("/").status, 200);
        // A client that ends its direction has gone, as over TCP; what it asked for is not answered twice.
        raw.half_close();
        raw.expect_closed();
        let mut bad = Raw::to(&unix);
        bad.send("GET / HTTP/1.1\r\nHost: a b\r\n\r\n");
        assert_eq!(bad.read_response().status, 400);
        bad.expect_closed();
        eventually("every place is given back", || gateway.get_json("/v1/overview")["connections"] == 0);
    }
}

#[test]
fn a_client_at_a_unix_socket_that_is_too_slow_is_told() {
    for io in LOOPS {
        let folder = Scratch::new();
        let unix = socket(&folder, "http.sock");
        let origin = Origin::named("app");
        let toml = simple(&[&origin], "", "timeout = { head = \"300ms\", body = \"300ms\" }")
            .replace("\"127.0.0.1:0\"", &format!("\"{unix}\""));
        let gateway = Gateway::start(&(process(io) + &toml));
        let mut head = Raw::to(&unix);
        head.send("GET / HTTP/1.1\r\nHost: a\r\nX-Half: ");
        let mut body = Raw::to(&unix);
        body.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
        assert_eq!((head.read_response().status, body.read_response().status), (408, 408));
        head.expect_closed();
        body.expect_closed();
        gateway.wait_log(|line| line.ended() == "client_timeout_head");
        gateway.wait_log(|line| line.ended() == "client_timeout_body");
    }
}

#[test]
fn no_connection_to_a_unix_socket_is_lost_and_every_core_has_its_share() {
    for io in LOOPS {
        let folder = Scratch::new();
        let unix = socket(&folder, "http.sock");
        let origin = Origin::named("app");
        let gateway = Gateway::start(&(process(io) + &at(&format!("\"{unix}\""), &origin)));
        let clients: Vec<_> = (0..8)
            .map(|_| {
                let unix = unix.clone();
                std::thread::spawn(move || {
                    for _ in 0..50 {
                        assert_eq!(get(&unix), "app");
                    }
                    (0..20).map(|_| Raw::to(&unix)).collect::<Vec<_>>()
                })
            })
            .collect();
        let mut held: Vec<Raw> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        eventually("all that are held are accepted", || gateway.get_json("/v1/overview")["connections"] == held.len());
        for raw in &mut held {
            assert_eq!(raw.get("/").text(), "app");
        }
        let overview = gateway.get_json("/v1/overview");
        assert_eq!(overview["listeners"][0]["accepted"], 8 * 70);
        drop(held);
        eventually("each core has had connections", || {
            assert_eq!(get(&unix), "app");
            let cores = gateway.get_json("/v1/cores");
            cores["cores"].as_array().unwrap().iter().all(|core| core["exchanges"].as_u64().unwrap() > 0)
        });
    }
}

#[test]
fn a_core_that_dies_accepts_at_its_unix_socket_again() {
    for wanted in [Wanted::Auto, Wanted::Epoll] {
        let folder = Scratch::new();
        let unix = socket(&folder, "http.sock");
        let origin = Origin::named("app");
        let inside = Inside::start(&at(&format!("[\"127.0.0.1:0\", \"{unix}\"]"), &origin), wanted);
        for death in 1..=3 {
            let mut idle = Raw::to(&unix);
            assert_eq!(idle.get("/").text(), "app");
            inside.post(Message::Drill(Drill::Core));
            eventually("the core is started again", || inside.slab.restarts.get() == death);
            idle.expect_closed();
            for _ in 0..40 {
                assert_eq!(get(&unix), "app", "after death {death}");
            }
            assert_eq!(get(&Address::Ip(inside.addr)), "app");
            eventually("every place is given back", || inside.slab.connections.get() == 0);
            assert_eq!(inside.snapshot.connections.taken(), 0);
        }
    }
}

#[test]
fn a_client_at_a_unix_socket_has_no_address_and_is_trusted_if_unix_is() {
    for io in LOOPS {
        let folder = Scratch::new();
        let unix = socket(&folder, "http.sock");
        let origin = Origin::answer(|request| ok(&format!("{:?}", request.all("x-forwarded-for"))));
        let toml = |trusted: &str| {
            let listen = at(&format!("\"{unix}\""), &origin).replace("[upstream", &format!("{trusted}\n[upstream"));
            process(io) + &listen
        };
        let ask = |raw: &mut Raw, header: &str| {
            raw.send(format!("{header}GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n"));
            let response = raw.read_response();
            let forwarded = origin.requests().pop().unwrap();
            assert_eq!(forwarded.all("x-forwarded-port"), Vec::<&str>::new(), "a Unix socket has no port");
            response.text().to_owned()
        };
        let gateway = Gateway::start(&toml(""));
        assert_eq!(ask(&mut Raw::to(&unix), ""), "[]", "anybody's word");
        assert_eq!(gateway.reload(&toml("trusted_proxies = [\"unix\"]")).status, 200);
        assert_eq!(ask(&mut Raw::to(&unix), ""), "[\"192.0.2.7\"]");
        assert_eq!(gateway.reload(&toml("trusted_proxies = [\"unix\"]\nproxy_protocol = true")).status, 200);
        let mut named = Raw::to(&unix);
        named.send("PROXY TCP4 192.0.2.1 198.51.100.7 4000 8443\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(named.read_response().text(), "[\"192.0.2.1\"]");
        gateway.wait_log(|line| line.str("client") == "192.0.2.1:4000");
    }
}

#[test]
fn a_proxy_protocol_header_goes_over_unix_sockets_too() {
    for (version, unknown) in [("v1", &b"PROXY UNKNOWN\r\n"[..]), ("v2", b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")] {
        let folder = Scratch::new();
        let (http, app) = (socket(&folder, "http.sock"), socket(&folder, "app.sock"));
        let origin = Origin::script_at(&app.to_string(), move |conn| {
            let mut bytes = Vec::new();
            while !bytes.ends_with(b"\r\n\r\n") || !bytes.windows(4).any(|part| part == b"GET ") {
                bytes.extend(conn.read_some().expect("a request"));
            }
            assert!(version != "v1" || bytes.starts_with(b"PROXY "), "{bytes:?}");
            conn.write(ok(if bytes.starts_with(unknown) { "unknown" } else { "named" }));
        });
        let toml = simple(&[&origin], &format!("proxy_protocol = \"{version}\""), "")
            .replace("\"127.0.0.1:0\"", &format!("[\"127.0.0.1:0\", \"{http}\"]"));
        let gateway = Gateway::start(&toml);
        assert_eq!(get(&http), "unknown", "{version}: neither end has an address");
        assert_eq!(
            get(&Address::Ip(gateway.http())),
            "named",
            "{version}: both ends of the client's connection have one"
        );
    }
}

// === endpoints ===

#[test]
fn an_endpoint_may_be_a_unix_socket_and_its_connections_are_kept() {
    for io in LOOPS {
        let folder = Scratch::new();
        let app = socket(&folder, "app.sock");
        let origin = Origin::answer_at(&app.to_string(), |request| {
            let body = request.body.clone();
            [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes(), body].concat()
        });
        let head = process(io).replace("cores = 2", "cores = 1");
        let gateway = Gateway::start(&(head + &simple(&[&origin], "", "")));
        let mut raw = Raw::connect(gateway.http());
        for round in 0..10 {
            let body = pattern(round * 100_000);
            raw.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
            let mut sender = raw.sender();
            let writing = std::thread::spawn(move || sender.write_all(&body).map(|()| body));
            let response = raw.read_response();
            assert!(response.body == writing.join().unwrap().unwrap(), "round {round}: another body came back");
        }
        raw.send("GET / HTTP/1.0\r\n\r\n");
        assert_eq!(raw.read_response().status, 200);
        assert_eq!(origin.wait_for(11).field("host"), "localhost", "a path is no authority");
        assert_eq!(origin.connections(), 1, "the connection is kept between requests");
        assert_eq!(gateway.wait_log(|line| line.ended() == "ok").str("endpoint"), app.to_string());
        let endpoints = gateway.get_json("/v1/upstreams/app");
        assert_eq!(endpoints["endpoints"][0]["address"], app.to_string());
        let labels = [("endpoint", app.to_string())];
        let labels = labels.each_ref().map(|(label, value)| (*label, value.as_str()));
        eventually("its requests are counted under its path", || {
            gateway.metrics().sum("ringway_endpoint_attempts_total", &labels) > 10.5
        });
    }
}

#[test]
fn a_unix_endpoint_that_is_away_is_refused_and_another_is_tried() {
    for io in LOOPS {
        let folder = Scratch::new();
        let (gone, none) = (socket(&folder, "gone.sock"), socket(&folder, "none.sock"));
        let mut origin = Origin::answer_at(&gone.to_string(), |_| ok("unix"));
        let spare = Origin::named("spare");
        let one = simple(&[&origin], "", "");
        let gateway = Gateway::start(&(process(io) + &one));
        let mut raw = Raw::connect(gateway.http());
        assert_eq!(raw.get("/").text(), "unix");
        // The kept connection has died: what is left of the endpoint refuses, and then it is back.
        origin.stop();
        assert_eq!(raw.get("/").status, 502);
        assert_eq!(gateway.wait_log(|line| line.ended() != "ok").ended(), "upstream_refused");
        origin.restart();
        assert_eq!(raw.get("/").text(), "unix");
        origin.stop();
        let both = one.replace("[\"unix:", &format!("[\"{none}\", \"{}\", \"unix:", spare.addr()));
        assert_eq!(gateway.reload(&both.replace("endpoints", "retry.attempts = 3\nendpoints")).status, 200);
        for _ in 0..6 {
            assert_eq!(raw.get("/").text(), "spare");
        }
    }
}

#[test]
fn a_unix_endpoint_whose_queue_is_full_is_waited_for_as_long_as_a_connect_may_take() {
    for io in LOOPS {
        let folder = Scratch::new();
        let full = socket(&folder, "full.sock");
        let listener = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        listener.bind(&socket2::SockAddr::unix(path(&full)).unwrap()).unwrap();
        listener.listen(0).unwrap();
        let filler = UnixStream::connect(path(&full)).unwrap();
        let toml = simple(&[&Origin::refusing()], "timeout.connect = \"300ms\"", "");
        let lines = toml.lines().map(|line| match line.strip_prefix("endpoints") {
            Some(_) => format!("endpoints = [\"{full}\"]\n"),
            None => format!("{line}\n"),
        });
        let toml: String = lines.collect();
        let gateway = Gateway::start(&(process(io) + &toml));
        let mut raw = Raw::connect(gateway.http());
        assert_eq!(raw.get("/").status, 504);
        assert_eq!(gateway.wait_log(|line| line.num("status") == 504).ended(), "upstream_timeout_connect");
        assert_eq!(gateway.reload(&toml.replace("300ms", "20s")).status, 200);
        raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        eventually("the request waits", || gateway.get_json("/v1/upstreams/app")["endpoints"][0]["connections"] == 1);
        // Whoever was first in the queue is taken from it, then the gateway.
        drop(listener.accept().unwrap());
        let (mut taken, _) = listener.accept().unwrap();
        taken.write_all(ok("at last").as_bytes()).unwrap();
        assert_eq!(raw.read_response().text(), "at last");
        drop(filler);
    }
}

#[test]
fn a_response_cut_short_looks_so_over_unix_sockets_where_the_kernel_can_say_it() {
    for io in LOOPS {
        let folder = Scratch::new();
        let (http, app) = (socket(&folder, "http.sock"), socket(&folder, "app.sock"));
        let origin = Origin::script_at(&app.to_string(), |conn| {
            conn.read_head();
            conn.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        });
        let gateway = Gateway::start(&(process(io) + &at(&format!("\"{http}\""), &origin)));
        // A client of HTTP/1.1 misses the last chunk.
        let mut raw = Raw::to(&http);
        raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut response = raw.read_head();
        assert!(raw.try_read_body(&mut response).is_err(), "{response:?}");
        // One of HTTP/1.0 has but the end of the connection, which is a reset only if it has said more than was read.
        let mut raw = Raw::to(&http);
        raw.send(format!("GET / HTTP/1.0\r\n\r\n{}", "x".repeat(150_000)));
        let mut response = raw.read_head();
        let cut = raw.try_read_body(&mut response);
        assert!(matches!(cut, Err(Broken::Cut(_))), "{cut:?}");
        assert_eq!(gateway.wait_log_lines(2, |line| line.ended() == "upstream_truncated").len(), 2);
    }
}

// === IPv6 ===

#[test]
fn ipv6_on_both_sides_and_in_host() {
    for io in LOOPS {
        let origin = Origin::answer_at("[::1]:0", |request| ok(request.field("host")));
        let other = Origin::named("other");
        let toml = at("[\"127.0.0.1:0\", \"[::1]:0\"]", &origin).replace("[host.\"*\"]", "[host.\"[::1]\"]")
            + &format!("\n[upstream.other]\nendpoints = [\"{}\"]\n", other.addr())
            + "[host.\"*\"]\nroutes = [{ path = \"/*\", upstream = \"other\" }]\n";
        let gateway = Gateway::start(&(process(io) + &toml));
        let [v4, v6] = gateway.addresses("http").try_into().unwrap();
        for (address, host, answer) in [
            (&v6, v6.to_string(), v6.to_string()),
            (&v4, "[::1]".into(), "[::1]".into()),
            (&v6, v4.to_string(), "other".into()),
        ] {
            let mut raw = Raw::to(address);
            raw.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            assert_eq!(raw.read_response().text(), answer, "{host} at {address}");
        }
        let whole = at("\"[::1]:0\"", &origin);
        assert_eq!(gateway.reload(&whole).status, 200);
        let now = gateway.get_json("/v1/overview")["listeners"][0]["addresses"][0].as_str().unwrap().parse().unwrap();
        let mut raw = Raw::to(&now);
        raw.send("GET / HTTP/1.0\r\n\r\n");
        assert_eq!(raw.read_response().text(), origin.addr().to_string(), "the Host of a request without one");
        let line = gateway.wait_log(|line| line.str("endpoint") == origin.addr().to_string());
        assert_eq!(line.ended(), "ok");
    }
}

#[test]
fn one_port_may_be_listened_on_for_both_versions() {
    let origin = Origin::named("app");
    let gateway = Gateway::start(&at("\"127.0.0.1:0\"", &origin));
    let v4 = gateway.http();
    let Ok(probe) = std::net::TcpListener::bind(("::1", v4.port())) else { return };
    drop(probe);
    let both = at(&format!("[\"{v4}\", \"[::1]:{}\"]", v4.port()), &origin);
    assert_eq!(gateway.reload(&both).status, 200);
    for address in [format!("{v4}"), format!("[::1]:{}", v4.port())] {
        assert_eq!(get(&address.parse().unwrap()), "app", "{address}");
    }
}
