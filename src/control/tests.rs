//! The control thread whole, over its admin interface and its commands, with cores that do only what they are told.

#![expect(clippy::disallowed_types, reason = "a test may wait for another thread")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;

use super::*;
use crate::admin::fixture;
use crate::admin::fixture::http;
use crate::id::ListenerSlot;
use crate::shard::mailbox::Inbox;
use crate::shard::mailbox::Stage;
use crate::snapshot::Listener;

/// What a core is allowed to do.
#[derive(Default)]
struct Leash {
    /// Take messages.
    takes: AtomicBool,
    /// End when it drains.
    finishes: AtomicBool,
    /// Sockets it listens on.
    sockets: Mutex<BTreeMap<(ListenerSlot, String), OwnedFd>>,
}

/// A gateway without requests: control on its own thread, two cores on theirs.
struct Process {
    admin: SocketAddr,
    remote: Remote,
    leashes: Vec<Arc<Leash>>,
    next: Arc<Mutex<Result<Loaded, Refused>>>,
    reopened: Arc<AtomicU32>,
    ready: mpsc::Receiver<()>,
    outcome: mpsc::Receiver<Outcome>,
    cores: Vec<std::thread::JoinHandle<()>>,
}

const WAIT: Duration = Duration::from_secs(20);

impl Process {
    /// Cores that do everything at once.
    fn start() -> Self {
        let process = Self::begin(fixture::model(), None, |_| {});
        process.leashes.iter().for_each(|leash| leash.takes.store(true, SeqCst));
        process.ready.recv_timeout(WAIT).unwrap();
        process
    }

    /// Cores that wait for their leashes; one may be unable to start.
    fn begin(model: Model, fault: Option<&'static str>, change: impl FnOnce(&mut Settings)) -> Self {
        let mut slots = Slots::default();
        let next = Arc::new(Mutex::new(loaded(model.clone())));
        let snapshot = Arc::new(Snapshot::compile(model, &mut slots));
        let (mut links, mut leashes, mut cores) = (Vec::new(), Vec::new(), Vec::new());
        for id in 0..2 {
            let (mailbox, inbox) = Mailbox::open().unwrap();
            let leash = Arc::new(Leash::default());
            let fault = fault.filter(|_| id == 1);
            let (first, held) = (snapshot.clone(), leash.clone());
            cores.push(std::thread::spawn(move || core(&inbox, &held, first, fault)));
            leashes.push(leash);
            links.push(CoreLink { id: CoreId(id), mailbox, slab: Arc::default() });
        }
        let admin = TcpListener::bind("127.0.0.1:0").unwrap();
        let (remote, commands) = remote();
        let (say_ready, ready) = mpsc::sync_channel(4);
        let (say_outcome, outcome) = mpsc::sync_channel(4);
        let reopened = Arc::new(AtomicU32::new(0));
        let mut settings = Settings {
            cores: links,
            slots,
            snapshot,
            listening: vec![Held {
                listener: "http".into(),
                bind: "127.0.0.1:0".parse().unwrap(),
                address: "127.0.0.1:8080".parse().unwrap(),
                file: None,
            }],
            load: Box::new({
                let next = next.clone();
                move || next.lock().unwrap().clone()
            }),
            check: Box::new(|text| if text == "right" { Ok(vec!["hm".into()]) } else { Err(refused("not right")) }),
            render: fixture::render,
            bind: Box::new(bind),
            reopen_log: Box::new({
                let reopened = reopened.clone();
                move || {
                    let _ = reopened.fetch_add(1, SeqCst);
                }
            }),
            log_dropped: Box::new(|| 3),
            ready: Box::new(move || say_ready.send(()).unwrap()),
            commands,
            kept_checks: 100,
            signals: false,
            admin,
        };
        change(&mut settings);
        let admin = settings.admin.local_addr().unwrap();
        std::thread::spawn(move || say_outcome.send(run(settings)).unwrap());
        Self { admin, remote, leashes, next, reopened, ready, outcome, cores }
    }

    fn next(&self, change: impl FnOnce(&mut Model)) {
        let mut model = fixture::model();
        change(&mut model);
        *self.next.lock().unwrap() = loaded(model);
    }

    fn reload(&self) -> (u16, Value) {
        reload(self.admin)
    }

    fn get(&self, path: &str) -> Value {
        fixture::json(self.admin, path)
    }

    fn readyz(&self) -> (u16, String) {
        http(self.admin, "GET", "/readyz", "", "")
    }

    fn metric(&self, name: &str) -> String {
        let (_, text) = http(self.admin, "GET", &format!("/metrics?only={name}"), "", "");
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap().to_owned()
    }

    fn end(self) -> Outcome {
        for leash in &self.leashes {
            leash.finishes.store(true, SeqCst);
            leash.takes.store(true, SeqCst);
        }
        let outcome = self.outcome.recv_timeout(WAIT).unwrap();
        self.cores.into_iter().for_each(|core| core.join().unwrap());
        outcome
    }

    fn drained(self) {
        assert!(self.remote.give(Command::Drain));
        assert_eq!(self.end(), Outcome::Drained);
    }
}

fn core(inbox: &Inbox, leash: &Leash, first: Arc<Snapshot>, fault: Option<&str>) {
    let mut draining = None;
    let mut first = Some(first);
    let began = Instant::now();
    while began.elapsed() < 3 * WAIT {
        std::thread::park_timeout(Duration::from_millis(1));
        if !leash.takes.load(SeqCst) {
            continue;
        }
        if let Some(first) = first.take() {
            if let Some(fault) = fault {
                return inbox.set_report(|report| report.fault = fault.into());
            }
            inbox.set_stage(Stage::Serving);
            inbox.acknowledge(first.sequence);
        }
        match inbox.take() {
            Some(Message::Publish { snapshot, opened }) => {
                let mut sockets = leash.sockets.lock().unwrap();
                sockets.extend(opened.into_iter().map(|new| ((new.slot, new.address.to_string()), new.socket)));
                let named = |listener: &Listener, (slot, address): &(ListenerSlot, String)| {
                    listener.slot == *slot && listener.settings.bind.iter().any(|bind| bind.to_string() == *address)
                };
                sockets.retain(|key, _| snapshot.listeners.iter().any(|listener| named(listener, key)));
                inbox.acknowledge(snapshot.sequence);
            }
            Some(Message::Drain { deadline }) => {
                draining = Some(deadline);
                inbox.set_stage(Stage::Draining);
            }
            Some(Message::Stop) => return inbox.set_stage(Stage::Ended),
            Some(Message::Drill(drill)) => panic!("{drill:?}"),
            None => {}
        }
        if draining.is_some() && leash.finishes.load(SeqCst) {
            return inbox.set_stage(Stage::Ended);
        }
    }
    panic!("nobody ended the core");
}

/// A listener named `taken` cannot be opened; two sockets of one address need an option that these tests do without.
fn bind(listener: &model::Listener, at: &Address, cores: usize, _: bool) -> Result<Bound, String> {
    if listener.name == "taken" {
        return Err("address already in use".into());
    }
    let sockets: Vec<_> = (0..cores).map(|_| TcpListener::bind(at.ip().unwrap()).unwrap()).collect();
    let address = Address::Ip(sockets[0].local_addr().unwrap());
    Ok(Bound { address, sockets: sockets.into_iter().map(OwnedFd::from).collect(), file: None })
}

fn reload(admin: SocketAddr) -> (u16, Value) {
    let (status, body) = http(admin, "POST", "/v1/reload", "", "");
    (status, serde_json::from_str(&body).unwrap())
}

fn loaded(model: Model) -> Result<Loaded, Refused> {
    Ok(Loaded { model, warnings: vec!["mind the gap".into()] })
}

fn refused(text: &str) -> Refused {
    Refused { text: text.into(), faults: json!([{ "line": 3 }]) }
}

/// Waits for what another thread will do in its own time.
fn until(what: &str, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < WAIT, "{what} never came");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

#[test]
fn ready_once_every_core_serves_the_first_snapshot() {
    let process = Process::begin(fixture::model(), None, |_| {});
    let (status, why) = process.readyz();
    assert!(status == 503 && why.contains("starting"), "{status} {why}");
    process.leashes[0].takes.store(true, SeqCst);
    until("core 0", || process.get("/v1/cores")["cores"][0]["stage"] == "serving");
    assert_eq!(process.readyz().0, 503);
    assert!(process.ready.try_recv().is_err());
    process.leashes[1].takes.store(true, SeqCst);
    process.ready.recv_timeout(WAIT).unwrap();
    assert_eq!(process.readyz(), (200, "ready\n".into()));
    process.drained();
}

#[test]
fn a_reload_reaches_every_core_and_says_what_changed() {
    let process = Process::start();
    process.next(|model| {
        model.listeners.push(fixture::listener("second", "127.0.0.1:0"));
        model.upstreams[0].retry.attempts = 3;
        model.process.connections_max = 7;
        model.process.io = model::Io::Epoll;
    });
    let (status, answer) = process.reload();
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        answer,
        json!({
            "ok": true, "sequence": 2, "late": [], "warnings": ["mind the gap"], "needs_restart": ["process.io"],
            "changes": {
                "listeners": { "added": ["second"], "removed": [], "changed": [] },
                "upstreams": { "added": [], "removed": [], "changed": ["orders"] },
                "hosts": { "added": [], "removed": [], "changed": [] },
                "process": ["process.connections_max"],
            },
        })
    );
    let overview = process.get("/v1/overview");
    assert_eq!(overview["sequence"], 2);
    assert_eq!(overview["needs_restart"], json!(["process.io"]));
    assert_eq!(overview["listeners"][0]["addresses"], json!(["127.0.0.1:8080"]));
    let address: SocketAddr = overview["listeners"][1]["addresses"][0].as_str().unwrap().parse().unwrap();
    TcpStream::connect(address).unwrap();
    assert_eq!(process.get("/v1/cores")["cores"][1]["acknowledged"], 2);
    assert_eq!(process.get("/v1/config")["config"]["process"]["connections_max"], 7);
    // What a restart would change is still said after a reload that does not touch it, and gone when it is taken back.
    assert_eq!(process.reload().1["needs_restart"], json!(["process.io"]));
    process.next(|_| {});
    let (_, answer) = process.reload();
    assert_eq!((&answer["sequence"], &answer["needs_restart"]), (&json!(4), &json!([])));
    assert_eq!(answer["changes"]["listeners"]["removed"], json!(["second"]));
    assert!(TcpStream::connect(address).is_err());
    process.drained();
}

#[test]
fn a_refused_reload_changes_nothing_and_is_seen_everywhere() {
    let process = Process::start();
    assert_eq!(process.metric("ringway_config_last_reload_success"), "1");
    *process.next.lock().unwrap() = Err(refused("line 3: unknown key"));
    let (status, answer) = process.reload();
    assert_eq!(status, 422);
    assert_eq!(answer, json!({ "ok": false, "error": "line 3: unknown key", "faults": [{ "line": 3 }] }));
    let overview = process.get("/v1/overview");
    assert_eq!(overview["last_reload"]["ok"], false);
    assert_eq!(overview["last_reload"]["error"], "line 3: unknown key");
    assert_eq!((&overview["sequence"], &overview["ready"]), (&json!(1), &json!(true)));
    assert_eq!(process.metric("ringway_config_last_reload_success"), "0");
    // By signal the same, without an answer.
    process.next(|_| {});
    assert!(process.remote.give(Command::Reload));
    until("the reload", || process.get("/v1/overview")["sequence"] == 2);
    assert_eq!(process.metric("ringway_config_last_reload_success"), "1");
    process.drained();
}

#[test]
fn a_loader_that_panics_is_a_refusal() {
    let process = Process::begin(fixture::model(), None, |settings| settings.load = Box::new(|| panic!("on purpose")));
    process.leashes.iter().for_each(|leash| leash.takes.store(true, SeqCst));
    process.ready.recv_timeout(WAIT).unwrap();
    let (status, answer) = process.reload();
    assert!(status == 422 && answer["error"].as_str().unwrap().contains("on purpose"), "{answer}");
    process.drained();
}

#[test]
fn a_listener_that_cannot_be_opened_refuses_the_whole_reload() {
    let process = Process::start();
    process.next(|model| {
        model.listeners.push(fixture::listener("second", "127.0.0.1:0"));
        model.listeners.push(fixture::listener("taken", "127.0.0.1:0"));
        model.upstreams[0].retry.attempts = 3;
    });
    let (status, answer) = process.reload();
    assert_eq!(status, 422);
    let error = answer["error"].as_str().unwrap();
    assert_eq!(error, "listener `taken` on 127.0.0.1:0: address already in use");
    assert_eq!(process.get("/v1/upstreams/orders")["attempts"], 1);
    assert_eq!(process.get("/v1/cores")["cores"][0]["acknowledged"], 1);
    assert!(process.leashes.iter().all(|leash| leash.sockets.lock().unwrap().is_empty()));
    // Nothing of it counts as seen: the next configuration is number two.
    process.next(|_| {});
    assert_eq!(process.reload().1["sequence"], 2);
    process.drained();
}

#[test]
fn a_listener_moves_to_another_address() {
    let process = Process::start();
    process.next(|model| model.listeners[0].bind = vec!["127.0.0.2:0".parse().unwrap()]);
    let (status, answer) = process.reload();
    assert_eq!((status, &answer["changes"]["listeners"]["changed"]), (200, &json!(["http"])));
    let shown = process.get("/v1/overview")["listeners"][0]["addresses"][0].as_str().unwrap().to_owned();
    let address: SocketAddr = shown.parse().unwrap();
    assert_eq!(address.ip(), fixture::address("127.0.0.2:0").ip());
    let first = process.leashes[0].sockets.lock().unwrap().values().next().unwrap().try_clone().unwrap();
    assert_eq!(TcpListener::from(first).local_addr().unwrap(), address);
    process.drained();
}

#[test]
fn a_late_core_is_named_and_not_waited_for() {
    let process = Process::start();
    process.leashes[1].takes.store(false, SeqCst);
    process.next(|model| model.upstreams[0].retry.attempts = 3);
    let (status, answer) = process.reload();
    assert_eq!((status, &answer["ok"], &answer["late"]), (202, &json!(true), &json!([1])));
    let late = |core: usize| process.get("/v1/cores")["cores"][core]["late"].clone();
    assert_eq!((late(0), late(1)), (json!(false), json!(true)));
    assert_eq!(process.readyz().0, 200);
    process.leashes[1].takes.store(true, SeqCst);
    until("core 1", || late(1) == json!(false));
    process.drained();
}

#[test]
fn reloads_run_one_at_a_time_and_those_who_wait_share_the_next() {
    let (began, runs) = mpsc::sync_channel(4);
    let (go, gone) = mpsc::sync_channel::<()>(2);
    let gone = Mutex::new(gone);
    let process = Process::begin(fixture::model(), None, |settings| {
        settings.load = Box::new(move || {
            began.send(()).unwrap();
            gone.try_lock().expect("two loads at once").recv_timeout(WAIT).unwrap();
            loaded(fixture::model())
        });
    });
    process.leashes.iter().for_each(|leash| leash.takes.store(true, SeqCst));
    process.ready.recv_timeout(WAIT).unwrap();
    std::thread::scope(|scope| {
        let admin = process.admin;
        let ask = move || reload(admin).1["sequence"].as_u64().unwrap();
        let first = scope.spawn(ask);
        runs.recv_timeout(WAIT).unwrap();
        let more = [scope.spawn(ask), scope.spawn(ask)];
        let overview = || process.get("/v1/overview")["sequence"].as_u64().unwrap();
        assert_eq!(overview(), 1);
        assert!(runs.try_recv().is_err());
        go.send(()).unwrap();
        assert_eq!(first.join().unwrap(), 2);
        // Whether the two asked before or after the first was over: each gets a load that began after it asked.
        runs.recv_timeout(WAIT).unwrap();
        go.send(()).unwrap();
        go.send(()).unwrap();
        for asker in more {
            assert!((3..=4).contains(&asker.join().unwrap()));
        }
    });
    process.drained();
}

#[test]
fn a_load_that_hangs_does_not_hold_the_exit() {
    let (began, runs) = mpsc::sync_channel(1);
    let (go, gone) = mpsc::sync_channel::<()>(1);
    let gone = Mutex::new(gone);
    let process = Process::begin(fixture::model(), None, |settings| {
        settings.load = Box::new(move || {
            began.send(()).unwrap();
            let _ = gone.lock().unwrap().recv_timeout(3 * WAIT);
            Err(refused("too late"))
        });
    });
    process.leashes.iter().for_each(|leash| leash.takes.store(true, SeqCst));
    process.ready.recv_timeout(WAIT).unwrap();
    let admin = process.admin;
    let asker = std::thread::spawn(move || reload(admin).0);
    runs.recv_timeout(WAIT).unwrap();
    assert!(process.remote.give(Command::Drain));
    assert_eq!(asker.join().unwrap(), 503);
    assert_eq!(process.end(), Outcome::Drained);
    drop(go);
}

#[test]
fn a_drain_finishes_what_runs_while_the_admin_interface_stays() {
    let process = Process::start();
    assert!(process.remote.give(Command::Drain));
    until("the drain", || process.get("/v1/cores")["cores"][0]["stage"] == "draining");
    let (status, why) = process.readyz();
    assert!(status == 503 && why.contains("draining"), "{status} {why}");
    assert_eq!(http(process.admin, "GET", "/livez", "", "").0, 200);
    assert_eq!(process.get("/v1/overview")["standing"], "draining");
    assert_eq!(process.reload().0, 503);
    process.leashes[0].finishes.store(true, SeqCst);
    until("core 0", || process.get("/v1/cores")["cores"][0]["stage"] == "ended");
    assert!(process.outcome.try_recv().is_err());
    assert_eq!(process.end(), Outcome::Drained);
}

#[test]
fn a_second_term_or_a_quit_cuts() {
    for commands in [&[Command::Drain, Command::Drain][..], &[Command::Stop], &[Command::Drain, Command::Stop]] {
        let process = Process::start();
        for command in commands {
            assert!(process.remote.give(*command));
        }
        // The cores never finish by themselves.
        assert_eq!(process.outcome.recv_timeout(WAIT).unwrap(), Outcome::Cut, "{commands:?}");
        process.cores.into_iter().for_each(|core| core.join().unwrap());
        assert!(!process.remote.give(Command::Drain));
    }
}

#[test]
fn a_drain_whose_time_is_over_cuts() {
    let mut model = fixture::model();
    model.process.drain = Duration::from_millis(20);
    let process = Process::begin(model, None, |_| {});
    process.leashes.iter().for_each(|leash| leash.takes.store(true, SeqCst));
    process.ready.recv_timeout(WAIT).unwrap();
    assert!(process.remote.give(Command::Drain));
    assert_eq!(process.outcome.recv_timeout(WAIT).unwrap(), Outcome::Cut);
    process.cores.into_iter().for_each(|core| core.join().unwrap());
}

#[test]
fn a_core_that_cannot_start_fails_the_start() {
    let process = Process::begin(fixture::model(), Some("cannot build a ring"), |_| {});
    process.leashes.iter().for_each(|leash| leash.takes.store(true, SeqCst));
    // The other core is told to stop: otherwise its thread would not end.
    assert!(process.ready.recv_timeout(WAIT).is_err());
    assert_eq!(process.end(), Outcome::Failed("core 1 could not start: cannot build a ring".into()));
}

#[test]
fn the_log_is_reopened_and_a_text_is_checked() {
    let process = Process::start();
    assert!(process.remote.give(Command::ReopenLog));
    until("the log", || process.reopened.load(SeqCst) == 1);
    let check = |text: &str| {
        let (status, body) = http(process.admin, "POST", "/v1/check", "", text);
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    assert_eq!(check("right"), (200, json!({ "ok": true, "warnings": ["hm"] })));
    assert_eq!(check("left"), (422, json!({ "ok": false, "error": "not right", "faults": [{ "line": 3 }] })));
    assert_eq!(process.metric("ringway_access_log_dropped_total"), "3");
    process.drained();
}

#[test]
fn signals_are_commands() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut signals = Signals::take(true).unwrap();
        for (signal, command) in [
            ("USR1", Command::ReopenLog),
            ("HUP", Command::Reload),
            ("TERM", Command::Drain),
            ("INT", Command::Drain),
            ("QUIT", Command::Stop),
        ] {
            let kill = std::process::Command::new("/bin/kill")
                .args([format!("-{signal}"), std::process::id().to_string()])
                .status();
            assert!(kill.unwrap().success());
            assert_eq!(tokio::time::timeout(WAIT, signals.next()).await, Ok(command), "{signal}");
        }
    });
}
