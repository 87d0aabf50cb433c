//! Where things listen: several addresses of one listener, IPv6, Unix sockets on both sides. Each rule on both kinds of
//! event loop, where the loop has a part in it.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use ringway::address::Address;
use ringway::io::ring::Wanted;
use ringway::shard::mailbox::Drill;
use ringway::shard::mailbox::Message;

use crate::support::Broken;
use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Inside;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Scratch;
use crate::support::Signal;
use crate::support::eventually;
use crate::support::ok;
use crate::support::pattern;
use crate::support::run;
use crate::support::simple;

const LOOPS: [&str; 2] = ["auto", "epoll"];

fn process(io: &str) -> String {
    format!("[process]\ncores = 2\nadmin = \"127.0.0.1:0\"\naccess_log = \"stdout\"\nio = \"{io}\"\n\n")
}

/// A listener `http` at these addresses, as TOML, before one origin.
fn at(binds: &str, origin: &Origin) -> String {
    simple(&[origin], "", "").replace("bind = \"127.0.0.1:0\"", &format!("bind = {binds}"))
}

/// A place for a socket in a folder, as an address.
fn socket(folder: &Scratch, name: &str) -> Address {
    format!("unix:{}", folder.path().join(name).display()).parse().unwrap()
}

fn path(address: &Address) -> PathBuf {
    address.path().unwrap().to_path_buf()
}

fn inode(path: &Path) -> u64 {
    std::fs::symlink_metadata(path).unwrap().ino()
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn get(address: &Address) -> String {
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

// === the socket's file ===

#[test]
fn a_socket_left_behind_is_replaced_and_anything_else_is_one_clear_line() {
    let folder = Scratch::new();
    let origin = Origin::named("app");
    let stale = socket(&folder, "stale.sock");
    drop(UnixListener::bind(path(&stale)).unwrap());
    assert!(path(&stale).exists());
    let _gateway = Gateway::start(&(process("auto") + &at(&format!("\"{stale}\""), &origin)));
    assert_eq!(get(&stale), "app");

    // The gateway itself is somebody who listens; a text is no socket; and a folder has to be there.
    folder.write("text.sock", "not a socket");
    for (name, reason) in
        [("stale.sock", "somebody listens there"), ("text.sock", "no socket"), ("none/a", "No such file")]
    {
        let (first, taken) = (socket(&folder, "first.sock"), socket(&folder, name));
        let toml = process("auto") + &at(&format!("[\"{first}\", \"{taken}\"]"), &origin);
        let file = folder.write("second.toml", &toml);
        let exit = run(&["run", "-c", file.to_str().unwrap()]);
        assert_eq!(exit.code, 1, "{exit:?}");
        let lines: Vec<_> = exit.stderr.lines().filter(|line| line.contains(&taken.to_string())).collect();
        assert!(lines.len() == 1 && lines[0].contains(reason) && !exit.stdout.contains("READY"), "{exit:?}");
        assert!(!path(&first).exists(), "a failed start leaves a file behind");
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("text.sock")).unwrap(), "not a socket");
    assert_eq!(get(&stale), "app", "a gateway that was refused has done harm");
}

#[test]
fn a_socket_has_the_permissions_that_the_configuration_says() {
    let folder = Scratch::new();
    let (one, two) = (socket(&folder, "one.sock"), socket(&folder, "two.sock"));
    let origin = Origin::named("app");
    let toml = |key: &str| {
        at(&format!("[\"127.0.0.1:0\", \"{one}\", \"{two}\"]"), &origin)
            .replace("[upstream", &format!("{key}\n[upstream"))
    };
    let gateway = Gateway::start(&toml(""));
    assert_eq!((mode(&path(&one)), mode(&path(&two))), (0o660, 0o660));
    let file = inode(&path(&one));
    for (key, expected) in [("socket_mode = \"0600\"", 0o600), ("socket_mode = \"0666\"", 0o666), ("", 0o660)] {
        assert_eq!(gateway.reload(&toml(key)).status, 200);
        assert_eq!((mode(&path(&one)), mode(&path(&two))), (expected, expected));
        assert_eq!(get(&one), "app");
    }
    assert_eq!(inode(&path(&one)), file, "new permissions are no new socket");
}

#[test]
fn a_socket_is_removed_however_the_gateway_ends_unless_it_is_somebody_elses() {
    for signal in [Signal::Term, Signal::Quit] {
        let folder = Scratch::new();
        let (own, lost) = (socket(&folder, "own.sock"), socket(&folder, "lost.sock"));
        let origin = Origin::named("app");
        let mut gateway = Gateway::start(&at(&format!("[\"{own}\", \"{lost}\"]"), &origin));
        std::fs::remove_file(path(&lost)).unwrap();
        let other = UnixListener::bind(path(&lost)).unwrap();
        gateway.signal(signal);
        gateway.wait_exit();
        assert!(!path(&own).exists(), "{signal:?}: the socket's file is left behind");
        assert!(UnixStream::connect(path(&lost)).is_ok(), "{signal:?}: another's socket was removed");
        drop(other);
    }
}

#[test]
fn a_draining_gateway_leaves_its_unix_socket_and_finishes_what_runs() {
    for io in LOOPS {
        let folder = Scratch::new();
        let unix = socket(&folder, "http.sock");
        let gate = Gate::new();
        let held = gate.clone();
        let origin = Origin::answer(move |_| {
            held.wait();
            ok("late")
        });
        let mut gateway = Gateway::start(&(process(io) + &at(&format!("\"{unix}\""), &origin)));
        let mut busy = Raw::to(&unix);
        busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        gate.wait_for_waiting(1);
        let mut idle = Raw::to(&unix);
        gateway.signal(Signal::Term);
        idle.expect_closed();
        eventually("the socket's file is gone", || !path(&unix).exists());
        gate.open();
        assert_eq!(busy.read_response().text(), "late");
        busy.expect_closed();
        assert_eq!(gateway.wait_exit().code(), Some(0));
    }
}

// === reload ===

/// Clients that connect anew for every request, until they are told to stop; how many were answered.
struct Clients {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<usize>>,
}

impl Clients {
    fn of(addresses: &[Address], ask: fn(&Address) -> bool) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = addresses.iter().map(|address| {
            let (address, stop) = (address.clone(), stop.clone());
            std::thread::spawn(move || {
                let mut served = 0;
                while !stop.load(Relaxed) {
                    served += usize::from(ask(&address));
                }
                served
            })
        });
        Self { threads: threads.collect(), stop }
    }

    #[track_caller]
    fn stop(self) {
        self.stop.store(true, Relaxed);
        for thread in self.threads {
            assert!(thread.join().expect("no request fails") > 0);
        }
    }
}

fn answered(address: &Address) -> bool {
    assert_eq!(get(address), "app", "{address}");
    true
}

/// A listener that leaves takes no more requests on the connections that it has, but there is always one to connect to.
fn answered_or_closed(address: &Address) -> bool {
    let mut raw = Raw::to(address);
    let sent = raw.try_send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").is_ok();
    match raw.try_read_response() {
        Ok(response) => response.text() == "app",
        Err(Broken::Closed) => false,
        Err(broken) => panic!("neither answered nor closed: {broken}; sent: {sent}"),
    }
}

#[test]
fn addresses_come_and_go_while_those_that_stay_refuse_nobody() {
    for io in LOOPS {
        let folder = Scratch::new();
        let (stays, comes) = (socket(&folder, "stays.sock"), socket(&folder, "comes.sock"));
        let origin = Origin::named("app");
        let few = at(&format!("[\"127.0.0.1:0\", \"{stays}\"]"), &origin);
        let many = at(&format!("[\"{comes}\", \"[::1]:0\", \"{stays}\", \"127.0.0.1:0\"]"), &origin);
        let gateway = Gateway::start(&(process(io) + &few));
        let told = gateway.addresses("http");
        let file = inode(&path(&stays));
        let clients = Clients::of(&told, answered);
        for _ in 0..5 {
            assert_eq!(gateway.reload(&many).status, 200);
            let overview = gateway.get_json("/v1/overview");
            let addresses = overview["listeners"][0]["addresses"].as_array().unwrap();
            let now: Vec<Address> = addresses.iter().map(|text| text.as_str().unwrap().parse().unwrap()).collect();
            assert!(now.len() == 4 && now[0] == comes && now[2] == stays && now[3] == told[0], "{now:?}");
            for address in &now {
                assert_eq!(get(address), "app", "{address}");
            }
            let mut open = Raw::to(&comes);
            assert_eq!(open.get("/").text(), "app");
            assert_eq!(gateway.reload(&few).status, 200);
            assert!(!path(&comes).exists(), "the file of an address that has left");
            eventually("the port is closed", || std::net::TcpStream::connect(now[1].ip().unwrap()).is_err());
            assert_eq!(open.get("/").text(), "app", "the listener is there still, and so are its connections");
        }
        clients.stop();
        assert_eq!(inode(&path(&stays)), file, "the socket was not made anew");
    }
}

#[test]
fn a_unix_socket_goes_from_one_listener_to_another_and_no_connection_is_refused() {
    for io in LOOPS {
        let folder = Scratch::new();
        let unix = socket(&folder, "http.sock");
        let origin = Origin::named("app");
        let named = |name: &str| at(&format!("\"{unix}\""), &origin).replace("listen.http", &format!("listen.{name}"));
        let gateway = Gateway::start(&(process(io) + &named("http")));
        let file = inode(&path(&unix));
        let clients = Clients::of(std::slice::from_ref(&unix), answered_or_closed);
        for turn in 0..6 {
            let name = if turn % 2 == 0 { "web" } else { "http" };
            assert_eq!(gateway.reload(&named(name)).status, 200);
            let overview = gateway.get_json("/v1/overview");
            assert_eq!(overview["listeners"][0]["name"], name);
            assert_eq!(overview["listeners"][0]["addresses"], serde_json::json!([unix.to_string()]));
            assert_eq!(get(&unix), "app");
        }
        clients.stop();
        assert_eq!(inode(&path(&unix)), file, "the socket was not made anew");
    }
}

#[test]
fn a_reload_that_cannot_have_all_its_addresses_has_none_of_the_new_ones() {
    let folder = Scratch::new();
    let (free, taken) = (socket(&folder, "free.sock"), socket(&folder, "taken.sock"));
    let other = UnixListener::bind(path(&taken)).unwrap();
    let origin = Origin::named("app");
    let mut gateway = Gateway::start(&at("[\"127.0.0.1:0\"]", &origin));
    gateway.expect_error("reload refused");
    let response = gateway.reload(&at(&format!("[\"127.0.0.1:0\", \"{free}\", \"{taken}\"]"), &origin));
    assert_eq!(response.status, 422);
    assert!(response.text().contains(&taken.to_string()), "{}", response.text());
    assert!(!path(&free).exists(), "a refused reload leaves a file behind");
    assert_eq!(get(&gateway.addresses("http")[0]), "app");
    drop(other);
    assert_eq!(gateway.reload(&at(&format!("[\"127.0.0.1:0\", \"{free}\", \"{taken}\"]"), &origin)).status, 200);
    assert_eq!((get(&free), get(&taken)), ("app".into(), "app".into()));
}

#[test]
fn unix_sockets_that_come_and_go_cost_no_descriptor() {
    for io in LOOPS {
        let folder = Scratch::new();
        let (stays, comes) = (socket(&folder, "stays.sock"), socket(&folder, "comes.sock"));
        let origin = Origin::named("app");
        let gateway = Gateway::start(&(process(io) + &at(&format!("\"{stays}\""), &origin)));
        let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", gateway.pid())).unwrap().count();
        let turn = || {
            assert_eq!(gateway.reload(&at(&format!("[\"{stays}\", \"{comes}\"]"), &origin)).status, 200);
            assert_eq!(get(&comes), "app");
            assert_eq!(gateway.reload(&at(&format!("\"{stays}\""), &origin)).status, 200);
        };
        turn();
        let before = descriptors();
        (0..10).for_each(|_| turn());
        eventually("the descriptors of closed sockets are given back", || descriptors() <= before + 4);
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
