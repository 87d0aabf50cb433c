//! The gateway itself is short of something: what it does grade by grade, what it says of it, and that it comes back.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::Events;
use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::eventually;
use crate::support::get;
use crate::support::ok;
use crate::support::simple;

const DESCRIPTORS: usize = 600;
/// Of [`DESCRIPTORS`], in percent.
const STEPS: [usize; 3] = [25, 50, 75];

fn grade(gateway: &Gateway) -> u64 {
    gateway.get_json("/v1/overview")["overload"]["grade"].as_u64().unwrap()
}

/// Opens connections that say nothing until the gateway has so many descriptors in use, or has noticed, that a step is
/// taken.
fn climb(gateway: &Gateway, limit: usize, step: usize, clients: &mut Vec<Raw>) {
    // Some are the admin interface's, of what has just been asked, and go again. Past the last step none comes in.
    while gateway.descriptors() < limit * STEPS[step] / 100 + 5 && grade(gateway) <= step as u64 {
        clients.extend((0..10).map(|_| Raw::connect(gateway.http())));
        let held = clients.len();
        eventually("they are in", || {
            let metrics = gateway.metrics();
            let refused = metrics.sum("ringway_connections_refused_total", &[]);
            (metrics.sum("ringway_connections", &[]) + refused) as usize >= held
        });
    }
}

#[test]
fn grade_by_grade_and_back() {
    let origin = Origin::named("app");
    let head = format!(
        "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\naccess_log = \"off\"\noverload.descriptors = {STEPS:?}\n\n"
    );
    let listen = "timeout = { head = \"60s\", idle = \"60s\" }";
    let low = "routes = [{ path = \"/low\", upstream = \"app\", class = \"low\" }, ";
    let toml = format!("{head}{}", simple(&[&origin], "", listen).replace("routes = [", low));
    let gateway = Gateway::start_under(&format!("ulimit -n {DESCRIPTORS}"), &toml);
    assert_eq!(grade(&gateway), 0);
    let mut parked: Vec<_> = (0..10).map(|_| Raw::connect(gateway.http())).collect();
    for client in &mut parked {
        assert!(!client.get("/").closes());
    }
    eventually("they are parked", || gateway.get_json("/v1/overview")["parked"] == 10);
    let mut kept = Raw::connect(gateway.http());
    let mut clients = Vec::new();

    climb(&gateway, DESCRIPTORS, 0, &mut clients);
    gateway.wait_stderr("no client's connection is kept");
    assert_eq!(grade(&gateway), 1);
    let response = kept.get("/low");
    assert_eq!((response.status, response.closes()), (200, true));
    eventually("those that idle are closed", || parked.iter().all(Raw::has_news));
    assert!(!clients.iter().any(Raw::has_news), "one that has not asked yet was closed");
    let closed = |thrift| gateway.metrics().get("ringway_overload_closed_total", &[("thrift", thrift)]);
    assert!(closed("parked") > 9.5 && closed("kept") > 0.5);
    let resources = &gateway.get_json("/v1/overview")["overload"]["resources"];
    assert!(resources["descriptors"]["grade"] == 1 && resources["memory"]["grade"] == 0, "{resources}");

    climb(&gateway, DESCRIPTORS, 1, &mut clients);
    gateway.wait_stderr("routes of the lowest class are refused");
    assert_eq!(get(gateway.http(), "/").status, 200);
    assert_eq!(get(gateway.http(), "/low").status, 503);
    assert!(gateway.metrics().sum("ringway_request_errors_total", &[("cause", "overloaded")]) > 0.5);

    climb(&gateway, DESCRIPTORS, 2, &mut clients);
    gateway.wait_stderr("new connections are refused");
    let metrics = gateway.metrics();
    assert!(metrics.get("ringway_overload_grade", &[]) > 2.5);
    assert!(metrics.get("ringway_overload_pressure", &[("resource", "descriptors")]) > 0.74);
    Raw::connect(gateway.http()).expect_closed();
    let refused = || gateway.metrics().get("ringway_connections_refused_total", &[("reason", "overload")]);
    assert!(refused() > 0.5);
    let mut early = clients.swap_remove(0);
    assert_eq!(early.get("/").status, 200, "who is in is served");

    drop((clients, parked, kept, early));
    gateway.wait_stderr("overload over");
    let mut client = Raw::connect(gateway.http());
    assert!(!client.get("/").closes());
    assert_eq!(grade(&gateway), 0);
}

#[test]
fn a_reload_moves_the_grades_and_a_hundred_percent_is_never() {
    let origin = Origin::named("app");
    let toml = |steps: &str| {
        let head = "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\naccess_log = \"off\"\noverload.descriptors = ";
        format!("{head}{steps}\n\n{}", simple(&[&origin], "", ""))
    };
    let gateway = Gateway::start_under("ulimit -n 200", &toml("[100, 100, 100]"));
    assert_eq!(gateway.reload(&toml("[1, 100, 100]")).status, 200);
    gateway.wait_stderr("no client's connection is kept");
    assert!(Raw::connect(gateway.http()).get("/").closes());
    assert_eq!(gateway.reload(&toml("[100, 100, 100]")).status, 200);
    gateway.wait_stderr("overload over");
    assert!(!Raw::connect(gateway.http()).get("/").closes());
}

const RESETS: usize = 150;
/// Requests that the bounded service takes at a time, and clients that may have a connection.
const PLACES: usize = 6;
const SEATS: usize = 190;
/// Descriptors that the gateway may have then.
const FEW: usize = 300;

/// Everything goes to `app`, which is bounded, but what lies below `/spare`.
fn bounded(io: &str, steps: [usize; 3], app: &Origin, spare: &Origin) -> String {
    let table = format!(
        "limit = {{ requests = {PLACES}, endpoint_requests = {PLACES}, queue = 4, queue_time = \"300ms\" }}\n\
         connections = {PLACES}\nretry = {{ attempts = 2 }}\n\n[upstream.spare]\nendpoints = [\"{}\"]",
        spare.address()
    );
    let listen = format!(
        "connections = {SEATS}\nconnections_per_client = {SEATS}\n\
                          timeout = {{ head = \"60s\", idle = \"60s\" }}"
    );
    let routes = "routes = [{ path = \"/low\", upstream = \"app\", class = \"low\" }, \
                  { path = \"/spare/*\", upstream = \"spare\" }, ";
    format!(
        "[process]\ncores = 2\nadmin = \"127.0.0.1:0\"\naccess_log = \"stdout\"\nio = \"{io}\"\n\
         overload.descriptors = {steps:?}\n\n{}",
        simple(&[app], &table, &listen).replace("routes = [", routes)
    )
}

/// Clients that ask, each in its own way, and reset at once or a moment later, while others are served.
fn storm(gateway: &Gateway, others: impl Fn()) {
    for n in 0..RESETS {
        let mut raw = Raw::connect(gateway.http());
        let asked = match n % 6 {
            0 => "GET /one HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            1 => "GET /low HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            2 => "POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhalf".to_owned(),
            3 => "GET /one HTTP/1.1\r\nHost: a\r\n\r\n".repeat(5),
            4 => "GET /spare/1 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            _ => {
                format!("POST /one HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n400\r\n{}", "x".repeat(900))
            }
        };
        drop(raw.try_send(asked)); // it may have been refused already
        match n % 5 {
            0 | 1 => {}
            2 => std::thread::yield_now(),
            3 => std::thread::sleep(Duration::from_millis(2)),
            _ => std::thread::sleep(Duration::from_millis(9)),
        }
        raw.reset();
        if n % 10 == 0 {
            others();
        }
    }
}

#[test]
fn clients_that_ask_and_reset_at_once_under_overload_leave_nothing_behind() {
    resets_under_overload("auto");
}

#[test]
fn nor_do_they_without_io_uring() {
    resets_under_overload("epoll");
}

fn resets_under_overload(io: &str) {
    let gates = [Gate::new(), Gate::new()];
    let [one, two] = gates.clone();
    let app = Origin::answer(move |request| {
        if request.target == "/two" {
            two.wait();
        } else {
            one.wait();
        }
        ok("app")
    });
    let spare = Origin::named("spare");
    let gateway = Gateway::start_under(&format!("ulimit -n {FEW}"), &bounded(io, STEPS, &app, &spare));
    assert_eq!(get(gateway.http(), "/spare/1").text(), "spare");
    let before = gateway.descriptors();
    let others = || assert_eq!(get(gateway.http(), "/spare/2").text(), "spare");

    // Every place of the service is taken by those who stay: whoever comes waits, or is refused.
    let mut staying: Vec<_> = (0..PLACES).map(|_| Raw::connect(gateway.http())).collect();
    staying.iter_mut().for_each(|raw| raw.send("GET /one HTTP/1.1\r\nHost: a\r\n\r\n"));
    gates[0].wait_for_waiting(PLACES);
    storm(&gateway, others);
    // They go, too, and others take their places, are answered, and go.
    staying.into_iter().for_each(Raw::reset);
    gates[0].open();
    storm(&gateway, others);
    // The gateway itself has too little left, and refuses at the door.
    let mut crowd = Vec::new();
    climb(&gateway, FEW, 2, &mut crowd);
    gateway.wait_stderr("new connections are refused");
    storm(&gateway, || ());
    assert_eq!(crowd.swap_remove(0).get("/spare/3").text(), "spare", "who is in is served");
    let refused = gateway.metrics().get("ringway_connections_refused_total", &[("reason", "overload")]);
    assert!(refused > RESETS as f64 / 2.0, "{refused}");
    drop(crowd);
    gateway.wait_stderr("overload over");

    // Nothing is left of them.
    for gauge in [
        "ringway_connections",
        "ringway_core_connections",
        "ringway_requests_in_flight",
        "ringway_endpoint_in_flight",
        "ringway_upstream_places",
        "ringway_upstream_waiting",
    ] {
        assert!(gateway.metrics().has(gauge), "{gauge}");
        eventually(&format!("{gauge} is 0"), || gateway.metrics().sum(gauge, &[]) < 0.5);
    }
    let kept = || gateway.metrics().sum("ringway_endpoint_connections", &[]) as usize;
    eventually("connections are as many as are open", || kept() == app.open_connections() + spare.open_connections());
    eventually("descriptors are given back", || gateway.descriptors() <= before + kept() + 8);
    let counted = || gateway.metrics().sum("http_server_request_duration_seconds_count", &[]) as usize;
    let exchanges = counted();
    gateway.wait_log_lines(exchanges, |_| true);
    assert_eq!((gateway.log_lines().len(), counted()), (exchanges, exchanges), "a line for each exchange");
    assert!(exchanges > RESETS, "{exchanges} of {}", 3 * RESETS);

    // Every place is there again: at the service, and at the door.
    assert_eq!(gateway.reload(&bounded(io, [100; 3], &app, &spare)).status, 200);
    let mut clients: Vec<_> = (0..SEATS).map(|_| Raw::connect(gateway.http())).collect();
    clients.iter_mut().take(PLACES).for_each(|raw| raw.send("GET /two HTTP/1.1\r\nHost: a\r\n\r\n"));
    gates[1].wait_for_waiting(PLACES);
    for raw in clients.iter_mut().skip(PLACES) {
        assert_eq!(raw.get("/spare/4").text(), "spare");
    }
    gates[1].open();
    for raw in clients.iter_mut().take(PLACES) {
        assert_eq!(raw.read_response().text(), "app");
    }
    assert_eq!(gateway.stop().code(), Some(0));
}

/// A configuration whose grades are entered, of one resource alone, by these words of `[process]`.
fn graded(origin: &Origin, overload: &str) -> String {
    let never = "descriptors = [100, 100, 100]";
    let low = "routes = [{ path = \"/low\", upstream = \"app\", class = \"low\" }, ";
    format!(
        "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\naccess_log = \"off\"\noverload = {{ {never}, {overload} }}\n\n{}",
        simple(&[origin], "", "").replace("routes = [", low)
    )
}

/// Climbs from grade to grade by reloads, and back by one. `steps` are the words for each grade, the calmest first.
fn by_reloads(gateway: &Gateway, origin: &Origin, resource: &str, steps: [&str; 4], calm: impl FnOnce()) {
    let mut events = Events::follow(gateway.admin(), "");
    let grade_of = || gateway.metrics().get("ringway_overload_grade", &[]) as u64;
    assert_eq!(grade_of(), 0);
    let reload = |at: usize| assert_eq!(gateway.reload(&graded(origin, steps[at])).status, 200);
    reload(1);
    events.wait("\"to\":\"thrift\"");
    assert!(Raw::connect(gateway.http()).get("/").closes());
    assert_eq!((get(gateway.http(), "/low").status, grade_of()), (200, 1));
    reload(2);
    events.wait("\"to\":\"shed\"");
    assert_eq!((get(gateway.http(), "/low").status, get(gateway.http(), "/").status, grade_of()), (503, 200, 2));
    let mut early = Raw::connect(gateway.http());
    eventually("it is in", || gateway.metrics().sum("ringway_connections", &[]) > 0.5);
    reload(3);
    events.wait("\"to\":\"closed\"");
    Raw::connect(gateway.http()).expect_closed();
    assert_eq!((early.get("/").status, grade_of()), (200, 3));
    let metrics = gateway.metrics();
    assert!(metrics.get("ringway_connections_refused_total", &[("reason", "overload")]) > 0.5);
    assert!(metrics.get("ringway_overload_pressure", &[("resource", resource)]) > 0.0);
    assert_eq!(gateway.get_json("/v1/overview")["overload"]["resources"][resource]["grade"], 3);
    calm();
    reload(0);
    events.wait("\"to\":\"calm\"");
    assert_eq!(grade_of(), 0);
    assert!(!Raw::connect(gateway.http()).get("/").closes());
    let told = events.of("overload");
    let to: Vec<_> = told.iter().filter_map(|event| event["to"].as_str()).collect();
    assert_eq!(to, ["thrift", "shed", "closed", "shed", "thrift", "calm"], "one after the other, either way");
    assert!(told[0]["reason"].as_str().unwrap().contains(resource), "{told:?}");
    gateway.wait_stderr("overload over");
}

#[test]
fn memory_beyond_what_it_may_have_is_answered_grade_by_grade() {
    let origin = Origin::named("app");
    let lag = "lag = [\"1m\", \"1m\", \"1m\"]";
    // More than a MiB is held by a process that has just begun.
    let steps = ["[100, 100, 100]", "[50, 100, 100]", "[50, 50, 100]", "[50, 50, 50]"];
    let steps = steps.map(|steps| format!("memory = {steps}, memory_of = \"1MiB\", {lag}"));
    let gateway = Gateway::start(&graded(&origin, &steps[0]));
    by_reloads(&gateway, &origin, "memory", steps.each_ref().map(String::as_str), || {});
}

/// Makes a process late all the time, as long as it lasts: it stands still, runs for a moment, and stands still again.
struct Stutter {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Stutter {
    fn of(pid: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (own, pid) = (over.clone(), pid.to_string());
        let send = move |signal: &str| drop(Command::new("kill").args(["-s", signal, &pid]).status());
        let thread = std::thread::spawn(move || {
            while !own.load(Relaxed) {
                send("STOP");
                std::thread::sleep(Duration::from_millis(150)); // three ticks of a core
                send("CONT");
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Stutter {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

#[test]
fn a_loop_that_is_late_all_the_time_is_answered_grade_by_grade() {
    let origin = Origin::named("app");
    let steps = [
        "\"1m\", \"1m\", \"1m\"",
        "\"20ms\", \"1m\", \"1m\"",
        "\"20ms\", \"20ms\", \"1m\"",
        "\"20ms\", \"20ms\", \"20ms\"",
    ];
    let steps = steps.map(|steps| format!("memory = [100, 100, 100], lag = [{steps}]"));
    let gateway = Gateway::start(&graded(&origin, &steps[0]));
    let stutter = Stutter::of(gateway.pid());
    let steps = steps.each_ref().map(String::as_str);
    by_reloads(&gateway, &origin, "lag", steps, move || drop(stutter));
}
