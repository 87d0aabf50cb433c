//! How many requests a service may have, who waits for a place and who is refused, and how long a client waits at all.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Instant;

use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Response;
use crate::support::addresses;
use crate::support::eventually;
use crate::support::get;
use crate::support::ok;
use crate::support::simple;

fn gateway(cores: usize, endpoints: &str, limit: &str) -> Gateway {
    let routes: Vec<_> = ["low", "normal", "high"]
        .map(|class| format!("{{ path = \"/{class}/*\", upstream = \"app\", class = \"{class}\" }}"))
        .to_vec();
    Gateway::start(&format!(
        "[process]\ncores = {cores}\nadmin = \"127.0.0.1:0\"\naccess_log = \"stdout\"\n\n\
         [listen.http]\nbind = \"127.0.0.1:0\"\n[upstream.app]\nendpoints = {endpoints}\nlimit = {limit}\n\
         [host.\"*\"]\nroutes = [{}]\n",
        routes.join(", ")
    ))
}

/// Answers with the target, but holds what goes to `/…/held` at the gate.
fn holding(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::answer(move |request| {
        if request.target.ends_with("/held") {
            gate.wait();
        }
        ok(&request.target)
    })
}

fn list(origin: &Origin) -> String {
    format!("[\"{}\"]", origin.address())
}

fn send(gateway: &Gateway, path: &str) -> Raw {
    let mut raw = Raw::connect(gateway.http());
    raw.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    raw
}

/// So many clients whose requests are held at the gate, one after the other.
fn hold(gateway: &Gateway, gate: &Gate, path: &str, clients: usize) -> Vec<Raw> {
    let one = |n| {
        let raw = send(gateway, path);
        gate.wait_for_waiting(n);
        raw
    };
    (1..=clients).map(one).collect()
}

fn wait_for_waiting(gateway: &Gateway, n: usize) {
    let waiting = || gateway.metrics().get("ringway_upstream_waiting", &[("upstream", "app")]) as usize;
    eventually(&format!("{n} wait"), || waiting() == n);
}

#[track_caller]
fn assert_refused(response: &Response, cause: &str) {
    assert_eq!((response.status, response.field("retry-after")), (503, "1"), "{response:?}");
    assert!(response.text().contains(cause), "{}", response.text());
}

#[test]
fn one_more_than_there_is_room_for_is_refused_where_none_may_wait() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let gateway = gateway(1, &list(&origin), "{ requests = 1, queue = 0 }");
    let mut held = send(&gateway, "/normal/held");
    gate.wait_for_waiting(1);
    assert_refused(&get(gateway.http(), "/normal/more"), "upstream_overloaded");
    gate.open();
    assert_eq!(held.read_response().status, 200);
    assert_eq!(get(gateway.http(), "/normal/after").status, 200);
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn those_that_wait_are_served_the_highest_class_first_and_the_log_says_how_long_they_waited() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let gateway = gateway(1, &list(&origin), "{ requests = 1, queue_time = \"20s\" }");
    let mut held = send(&gateway, "/normal/held");
    gate.wait_for_waiting(1);
    let mut waiting = Vec::new();
    for (n, path) in (1..).zip(["/low/1", "/normal/1", "/low/2", "/high/1", "/normal/2"]) {
        waiting.push(send(&gateway, path));
        wait_for_waiting(&gateway, n);
    }
    gate.open();
    assert_eq!(held.read_response().status, 200);
    waiting.iter_mut().for_each(|raw| assert_eq!(raw.read_response().status, 200));
    let order: Vec<_> = origin.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(order, ["/normal/held", "/high/1", "/normal/1", "/normal/2", "/low/1", "/low/2"]);
    let line = gateway.wait_log(|line| line.path() == "/low/2");
    assert!(line.num("queue_us") > 0 && line.num("queue_us") <= line.num("duration_us"), "{line:?}");
    assert_eq!(gateway.wait_log(|line| line.path() == "/normal/held").num("queue_us"), 0);
    let metrics = gateway.metrics();
    assert!((metrics.get("ringway_upstream_queue_seconds_count", &[]) - 5.0).abs() < 0.1);
    assert!(metrics.get("ringway_upstream_places", &[]) < 0.5 && metrics.get("ringway_upstream_waiting", &[]) < 0.5);
}

#[test]
fn a_full_queue_refuses_unless_one_of_a_lower_class_waits() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let gateway = gateway(1, &list(&origin), "{ requests = 1, queue = 1, queue_time = \"20s\" }");
    let mut held = send(&gateway, "/normal/held");
    gate.wait_for_waiting(1);
    let mut low = send(&gateway, "/low/1");
    wait_for_waiting(&gateway, 1);
    assert_refused(&get(gateway.http(), "/low/2"), "upstream_overloaded");
    let mut high = send(&gateway, "/high/1");
    assert_refused(&low.read_response(), "upstream_overloaded");
    assert_refused(&get(gateway.http(), "/normal/1"), "upstream_overloaded");
    gate.open();
    assert_eq!((held.read_response().status, high.read_response().status), (200, 200));
}

#[test]
fn nobody_waits_longer_than_the_time() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let gateway = gateway(1, &list(&origin), "{ requests = 1, queue_time = \"100ms\" }");
    let mut held = send(&gateway, "/normal/held");
    gate.wait_for_waiting(1);
    assert_refused(&get(gateway.http(), "/normal/late"), "queue_timeout");
    let line = gateway.wait_log(|line| line.path() == "/normal/late");
    assert!(line.num("queue_us") >= 100_000 && line.num("attempts") == 0, "{line:?}");
    gate.open();
    assert_eq!(held.read_response().status, 200);
}

#[test]
fn a_client_that_leaves_waits_no_longer() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let gateway = gateway(1, &list(&origin), "{ requests = 1, queue_time = \"60s\" }");
    let mut held = send(&gateway, "/normal/held");
    gate.wait_for_waiting(1);
    let leaves = send(&gateway, "/normal/left");
    wait_for_waiting(&gateway, 1);
    leaves.reset();
    assert_eq!(gateway.wait_log(|line| line.path() == "/normal/left").ended(), "client_abort");
    wait_for_waiting(&gateway, 0);
    gate.open();
    assert_eq!(held.read_response().status, 200);
}

#[test]
fn the_lower_a_class_the_fewer_places_it_may_fill() {
    for bound in ["requests", "endpoint_requests"] {
        let gate = Gate::new();
        let origin = holding(&gate);
        let gateway = gateway(1, &list(&origin), &format!("{{ {bound} = 20, queue = 0 }}"));
        let mut held = Vec::new();
        for (class, most) in [("low", 16), ("normal", 19), ("high", 20)] {
            while held.len() < most {
                held.push(send(&gateway, &format!("/{class}/held")));
                gate.wait_for_waiting(held.len());
            }
            assert_refused(&get(gateway.http(), &format!("/{class}/more")), "upstream_overloaded");
        }
        gate.open();
        held.iter_mut().for_each(|raw| assert_eq!(raw.read_response().status, 200));
    }
}

#[test]
fn who_finds_no_place_of_its_class_at_an_endpoint_waits_for_one() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let gateway = gateway(1, &list(&origin), "{ endpoint_requests = 5, queue_time = \"20s\" }");
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(send(&gateway, "/low/held"));
        gate.wait_for_waiting(held.len());
    }
    let mut waits = send(&gateway, "/low/waits");
    wait_for_waiting(&gateway, 1);
    held.push(send(&gateway, "/high/held"));
    gate.wait_for_waiting(5);
    gate.open();
    assert_eq!(waits.read_response().status, 200);
    held.iter_mut().for_each(|raw| assert_eq!(raw.read_response().status, 200));
}

#[test]
fn each_endpoint_has_its_own_bound() {
    let gate = Gate::new();
    let origins = [holding(&gate), holding(&gate)];
    let gateway = gateway(1, &addresses(&origins), "{ endpoint_requests = 2, queue_time = \"20s\" }");
    let mut held = hold(&gateway, &gate, "/high/held", 4);
    assert_eq!(origins.each_ref().map(|origin| origin.requests().len()), [2, 2]);
    let mut waits = send(&gateway, "/high/waits");
    wait_for_waiting(&gateway, 1);
    gate.open();
    held.iter_mut().for_each(|raw| assert_eq!(raw.read_response().status, 200));
    assert_eq!(waits.read_response().status, 200);
}

#[test]
fn a_place_that_becomes_free_on_one_core_is_found_by_those_that_wait_on_another() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let gateway = gateway(4, &list(&origin), "{ requests = 1, queue_time = \"20s\" }");
    let mut held = send(&gateway, "/normal/held");
    gate.wait_for_waiting(1);
    let mut waiting: Vec<_> = (0..16).map(|n| send(&gateway, &format!("/normal/{n}"))).collect();
    wait_for_waiting(&gateway, 16);
    gate.open();
    assert_eq!(held.read_response().status, 200);
    waiting.iter_mut().for_each(|raw| assert_eq!(raw.read_response().status, 200));
    assert_eq!(origin.requests().len(), 17);
}

#[test]
fn a_bound_that_follows_the_latency_begins_somewhere() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let gateway = gateway(1, &list(&origin), "{ adaptive = true, queue = 0 }");
    let mut held = hold(&gateway, &gate, "/high/held", 20);
    assert_refused(&get(gateway.http(), "/high/more"), "upstream_overloaded");
    gate.open();
    held.iter_mut().for_each(|raw| assert_eq!(raw.read_response().status, 200));
}

/// How many an adaptive bound lets in at once: so many are held, and the next one is refused.
fn bound(gateway: &Gateway, origin: &Origin, gates: &Mutex<Gate>) -> usize {
    let gate = Gate::new();
    *gates.lock().unwrap() = gate.clone();
    let (before, mut held) = (origin.requests().len(), Vec::new());
    loop {
        let mut raw = send(gateway, "/high/held");
        eventually("it is let in or refused", || raw.has_news() || origin.requests().len() > before + held.len());
        if raw.has_news() {
            assert_refused(&raw.read_response(), "upstream_overloaded");
            break;
        }
        held.push(raw);
    }
    gate.wait_for_waiting(held.len());
    gate.open();
    held.iter_mut().for_each(|raw| assert_eq!(raw.read_response().status, 200));
    held.len()
}

#[test]
fn a_bound_that_follows_the_latency_grows_with_answers_and_shrinks_with_those_that_never_come() {
    let gates = Arc::new(Mutex::new(Gate::new()));
    let own = gates.clone();
    let origin = Origin::script(move |conn| {
        while let Some(request) = conn.read_request() {
            match request.target.as_str() {
                "/high/held" => {
                    let gate = own.lock().unwrap().clone();
                    gate.wait();
                }
                // No answer, and none to be tried again for.
                "/high/lost" => return conn.reset(),
                _ => {}
            }
            conn.write(ok("a"));
        }
    });
    let fresh = || gateway(1, &list(&origin), "{ adaptive = true, queue = 0 }");
    // One that is lost takes a tenth of the bound, which begins at twenty; more of one window take no more.
    let losing = fresh();
    for _ in 0..3 {
        let mut raw = Raw::connect(losing.http());
        raw.send("POST /high/lost HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(raw.read_response().status, 502);
    }
    assert_eq!(bound(&losing, &origin, &gates), 18);
    // With half of it taken it grows while answers are about as fast as they were: one of so many times they are, whatever
    // else the machine does. After twenty windows of 32 answers it is measured anew.
    let grown = || {
        let (growing, gate) = (fresh(), Gate::new());
        *gates.lock().unwrap() = gate.clone();
        let mut half: Vec<_> = (0..12).map(|_| send(&growing, "/high/held")).collect();
        gate.wait_for_waiting(12);
        let mut raw = Raw::connect(growing.http());
        (0..18 * 32).for_each(|_| assert_eq!(raw.get("/high/quick").status, 200));
        gate.open();
        half.iter_mut().for_each(|raw| assert_eq!(raw.read_response().status, 200));
        bound(&growing, &origin, &gates)
    };
    let mut bounds = (0..8).map(|_| grown());
    assert!(bounds.any(|bound| bound > 20), "it never grows");
}

fn waiting(more: &str, origin: &Origin) -> Gateway {
    Gateway::start(&simple(&[origin], more, ""))
}

fn ask(gateway: &Gateway, fields: &str) -> Response {
    let mut raw = Raw::connect(gateway.http());
    raw.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    raw.read_response()
}

#[test]
fn what_a_client_waits_is_told_on_less_what_has_passed() {
    let origin = Origin::named("a");
    let gateway = waiting("deadline = \"x-wait\"", &origin);
    assert_eq!(ask(&gateway, "Grpc-Timeout: 5S\r\nX-Wait: 4s\r\n").status, 200);
    let request = origin.wait_for(1);
    assert_eq!((request.all("grpc-timeout").len(), request.all("x-wait").len()), (1, 1), "{request:?}");
    let number = |name: &str, unit: &str| request.field(name).strip_suffix(unit).unwrap().parse::<u64>().unwrap();
    assert!((1..5_000_000).contains(&number("grpc-timeout", "u")), "{request:?}");
    assert!((1..4000).contains(&number("x-wait", "ms")), "{request:?}");
    // What cannot be read says nothing, and is not ours to change.
    assert_eq!(ask(&gateway, "Grpc-Timeout: soon\r\nX-Wait: 1.5s\r\n").status, 200);
    let request = origin.wait_for(2);
    assert_eq!((request.field("grpc-timeout"), request.field("x-wait")), ("soon", "1.5s"));
}

/// A whole minute, in the unit that the next hop is told.
const MINUTE_US: u64 = 60_000_000;

#[test]
fn waits_and_attempts_before_are_taken_off_by_each_gateway_on_the_way() {
    let told = |origin: &Origin, target: &str| {
        let mut requests = origin.requests().into_iter().filter(|request| request.target == target);
        let request = requests.next().unwrap_or_else(|| panic!("{target} has not come"));
        let left = request.field("grpc-timeout").strip_suffix('u').and_then(|left| left.parse::<u64>().ok());
        left.unwrap_or_else(|| panic!("{request:?}"))
    };
    let [held, tried] = [(); 2].map(|()| Gate::new());
    let gates = [held.clone(), tried.clone()];
    let first = Origin::answer(move |request| {
        gates[usize::from(request.target == "/tried")].wait();
        "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"
    });
    let second = Origin::named("second");
    let (one, two) = (first.address(), second.address());
    let both = format!("endpoints = [\"{one}\", {{ address = \"{two}\", priority = 1 }}]");
    let inner = simple(&[], "retry = { attempts = 2, on = [\"503\"] }", "");
    let inner = Gateway::start(&inner.replace("endpoints = []", &both));
    // One request at a time goes on to the second gateway, which tries the second endpoint when the first has failed.
    let outer = simple(&[], "limit = { requests = 1, queue_time = \"20s\" }", "");
    let outer = Gateway::start(&outer.replace("endpoints = []", &format!("endpoints = [\"{}\"]", inner.http())));
    let ask = |target: &str| {
        let mut raw = Raw::connect(outer.http());
        raw.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nGrpc-Timeout: 1M\r\n\r\n"));
        raw
    };
    let mut before = ask("/held");
    held.wait_for_waiting(1);
    let mut last = ask("/tried");
    wait_for_waiting(&outer, 1);
    held.open();
    tried.wait_for_waiting(1);
    let begun = Instant::now();
    // Something to pass the time with.
    (0..10).for_each(|_| drop(inner.metrics()));
    let passed = u64::try_from(begun.elapsed().as_micros()).unwrap();
    tried.open();
    assert_eq!([before.read_response().text(), last.read_response().text()], ["second"; 2]);
    let waited = outer.wait_log(|line| line.path() == "/tried").num("queue_us");
    let left = [told(&first, "/tried"), told(&second, "/tried")];
    assert!(waited > 0 && left[0] + waited <= MINUTE_US, "{left:?} are left after a wait of {waited}");
    assert!(left[1] + passed <= left[0], "{left:?} are left before and after an attempt of {passed}");
    assert!(left[1] > 0 && told(&first, "/held") > left[0]);
}

#[test]
fn a_request_whose_time_is_over_goes_nowhere() {
    let origin = Origin::named("a");
    let gateway = waiting("deadline = \"x-wait\"", &origin);
    for field in ["grpc-timeout: 0m\r\n", "x-wait: 0\r\n"] {
        let response = ask(&gateway, field);
        assert_eq!(response.status, 504, "{field}");
        assert!(response.text().contains("deadline_expired"), "{}", response.text());
    }
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.ended(), line.num("attempts"), origin.requests().len()), ("deadline_expired", 0, 0));
}

#[test]
fn no_attempt_and_no_wait_outlasts_what_the_client_waits() {
    let origin = Origin::silent();
    let gateway = waiting("limit = { requests = 1, queue_time = \"60s\" }", &origin);
    let mut held = Raw::connect(gateway.http());
    held.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait_for(1);
    let response = ask(&gateway, "grpc-timeout: 100m\r\n");
    assert_eq!(response.status, 504, "{response:?}");
    held.reset();
    eventually("the place is free", || gateway.metrics().get("ringway_upstream_places", &[]) < 0.5);
    let response = ask(&gateway, "grpc-timeout: 100m\r\n");
    assert_eq!(response.status, 504);
    assert!(response.text().contains("upstream_timeout_total"), "{}", response.text());
}

#[test]
fn the_one_endpoint_with_room_is_found_among_many_without() {
    const MANY: usize = 30;
    let gate = Gate::new();
    let origins: Vec<_> = (0..MANY)
        .map(|_| {
            let held = gate.clone();
            Origin::answer(move |_| {
                held.wait();
                ok("done")
            })
        })
        .collect();
    // Chosen without a look at who is busy: ten draws, which are as many as a request remembers, do not find the last one.
    let app = "balance = \"random\"\nlimit = { endpoint_requests = 1, queue = 0 }";
    let gateway = Gateway::start(
        &simple(&[], app, "").replace("endpoints = []", &format!("endpoints = {}", addresses(&origins))),
    );
    let mut clients = Vec::new();
    for held in 1..=MANY {
        let mut raw = Raw::connect(gateway.http());
        raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        gate.wait_for_waiting(held);
        clients.push(raw);
    }
    assert_eq!(get(gateway.http(), "/").status, 503, "each has as many as it may");
    gate.open();
    clients.iter_mut().for_each(|client| assert_eq!(client.read_response().status, 200));
}

#[test]
fn a_bound_that_follows_the_latency_is_shown_and_not_shrunk_by_clients_that_leave() {
    let breaks = Origin::script(|conn| {
        // What is asked for by /gone is not answered; anything else ends its connection.
        if conn.read_request().is_some_and(|request| request.target.ends_with("/gone")) {
            conn.wait_closed();
        }
    });
    let gateway = gateway(1, &list(&breaks), "{ adaptive = true, requests = 30 }");
    let limits = || {
        let shown = gateway.get_json("/v1/upstreams/app");
        let metric = gateway.metrics().get("ringway_upstream_adaptive_limit", &[("upstream", "app")]) as u64;
        (metric, shown["limit"]["adaptive_now"].as_u64())
    };
    let leaves = send(&gateway, "/high/gone");
    breaks.wait_for(1);
    assert_eq!(limits(), (20, Some(20)));
    leaves.reset();
    assert_eq!(gateway.wait_log(|line| line.path() == "/high/gone").ended(), "client_abort");
    assert_eq!(limits(), (20, Some(20)), "that says nothing of the service");
    assert_eq!(get(gateway.http(), "/high/broken").status, 502);
    assert_eq!(limits(), (18, Some(18)));
}

#[test]
fn a_wait_for_a_connection_is_a_wait() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let gateway = waiting("connections = 1", &origin);
    let mut held = send(&gateway, "/held");
    gate.wait_for_waiting(1);
    assert_eq!(get(gateway.http(), "/late").status, 503);
    let line = gateway.wait_log(|line| line.path() == "/late");
    assert!(line.num("queue_us") >= 100_000 && line.num("queue_us") <= line.num("duration_us"), "{line:?}");
    assert_eq!((line.ended(), line.num("attempts")), ("no_endpoint", 0));
    let metrics = gateway.metrics();
    assert!((metrics.get("ringway_upstream_queue_seconds_count", &[]) - 1.0).abs() < 0.1, "all its looks are one wait");
    assert!(metrics.get("ringway_upstream_waiting", &[]) < 0.5);
    gate.open();
    assert_eq!(held.read_response().status, 200);
}

#[test]
fn an_upstream_has_a_bound_on_its_connections_over_all_endpoints_and_cores() {
    let gate = Gate::new();
    let origins = [holding(&gate), holding(&gate)];
    let gateway = gateway(2, &addresses(&origins), "{ connections = 2 }");
    let mut held = hold(&gateway, &gate, "/normal/held", 2);
    // The kernel spreads so many clients over the cores.
    let mut more: Vec<_> = (0..16).map(|_| send(&gateway, "/normal/more")).collect();
    for raw in &mut more {
        let response = raw.read_response();
        assert!(response.status == 503 && response.text().contains("no_endpoint"), "{response:?}");
    }
    let open = || origins.iter().map(Origin::open_connections).sum::<usize>();
    assert_eq!((open(), origins.iter().map(Origin::connections).sum::<usize>()), (2, 2));
    gate.open();
    held.iter_mut().for_each(|raw| assert_eq!(raw.read_response().status, 200));
    // What idles on one core, or at one endpoint, is given up for another.
    for raw in &mut more {
        assert_eq!(raw.get("/normal/again").status, 200);
    }
    let cores = gateway.get_json("/v1/cores");
    let served = |core: usize| cores["cores"][core]["exchanges"].as_u64().unwrap();
    assert!(served(0) > 0 && served(1) > 0, "one core served them all: {cores}");
    eventually("no more are open than may be", || open() <= 2);
}
