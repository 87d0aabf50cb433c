//! The files of Unix sockets, and addresses that come, stay and go with a reload.

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use ringway::address::Address;

use crate::addresses::LOOPS;
use crate::addresses::at;
use crate::addresses::get;
use crate::addresses::path;
use crate::addresses::process;
use crate::addresses::socket;
use crate::support::Broken;
use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Scratch;
use crate::support::Signal;
use crate::support::eventually;
use crate::support::ok;
use crate::support::run;

fn inode(path: &Path) -> u64 {
    std::fs::symlink_metadata(path).unwrap().ino()
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().mode() & 0o7777
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
