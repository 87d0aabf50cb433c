//! A new configuration takes over between two requests, or not at all.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use ringway::balance::ledger::Ledger;
use ringway::config;
use ringway::id::CoreId;
use ringway::id::UpstreamIndex;
use ringway::io::deadline::Wheel;
use ringway::rand::Rng;
use ringway::shard::generation::Generation;
use ringway::snapshot::Snapshot;
use ringway::snapshot::slots::Slots;
use ringway::upstream::pool::Pools;
use serde_json::Value;

use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Signal;
use crate::support::eventually;
use crate::support::get;
use crate::support::ok;
use crate::support::simple;

const SUCCESS: &str = "ringway_config_last_reload_success";

#[test]
fn a_reload_by_the_admin_interface_holds_from_the_answer_on() {
    let (old, new) = (Origin::named("old"), Origin::named("new"));
    let gateway = Gateway::before(&[&old]);
    let mut raw = Raw::connect(gateway.http());
    for turn in 0..6 {
        let (origin, name) = if turn % 2 == 0 { (&new, "new") } else { (&old, "old") };
        let response = gateway.reload(&simple(&[origin], "", ""));
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(raw.get("/").text(), name, "on a connection that was open before");
        assert_eq!(get(gateway.http(), "/").text(), name, "on a new connection");
    }
}

#[test]
fn a_reload_by_hup_takes_the_file_as_it_is_now() {
    let (old, new) = (Origin::named("old"), Origin::named("new"));
    let mut gateway = Gateway::before(&[&old]);
    assert_eq!(get(gateway.http(), "/").text(), "old");
    gateway.rewrite(&simple(&[&new], "", ""));
    assert_eq!(get(gateway.http(), "/").text(), "old", "a file alone changes nothing");
    gateway.signal(Signal::Hup);
    eventually("the new upstream answers", || get(gateway.http(), "/").text() == "new");
}

#[test]
fn a_refused_reload_keeps_the_old_configuration_and_says_every_fault() {
    let origin = Origin::named("old");
    let mut gateway = Gateway::before(&[&origin]);
    gateway.expect_error("reload refused");
    let wrong = simple(&[&origin], "balanse = \"round_robin\"", "").replace("upstream = \"app\"", "upstream = \"ap\"");
    let response = gateway.reload(&wrong);
    assert_eq!(response.status, 422);
    let body: Value = serde_json::from_str(response.text()).unwrap();
    let faults = body["faults"].as_array().unwrap();
    assert!(faults.len() >= 2, "{body}");
    for fault in faults {
        assert!(fault["file"].as_str().unwrap().ends_with("gateway.toml"), "{fault}");
        assert!(fault["line"].as_u64().unwrap() > 0 && fault["column"].as_u64().unwrap() > 0, "{fault}");
        assert!(!fault["message"].as_str().unwrap().is_empty(), "{fault}");
    }
    let file = std::fs::read_to_string(gateway.scratch().path().join("gateway.toml")).unwrap();
    let line = 1 + file.lines().position(|line| line.contains("balanse")).unwrap() as u64;
    let misspelt = faults.iter().find(|fault| fault["line"] == line).expect("the misspelt key, at its line");
    assert!(misspelt.to_string().contains("balance"), "what would be accepted: {misspelt}");
    assert_eq!(get(gateway.http(), "/").text(), "old");
    assert!(gateway.metrics().get(SUCCESS, &[]) < 0.5);
    assert_eq!(gateway.reload(&simple(&[&origin], "", "")).status, 200);
    assert!(gateway.metrics().get(SUCCESS, &[]) > 0.5);
}

#[test]
fn a_refused_hup_keeps_the_old_configuration_and_says_why() {
    let origin = Origin::named("old");
    let mut gateway = Gateway::before(&[&origin]);
    gateway.expect_error("");
    gateway.rewrite("[listen.http]\nbind = 7\n");
    gateway.signal(Signal::Hup);
    gateway.wait_stderr("gateway.toml");
    eventually("the refusal is counted", || gateway.metrics().get(SUCCESS, &[]) < 0.5);
    assert_eq!(get(gateway.http(), "/").text(), "old");
    assert_eq!(gateway.ask("GET", "/readyz").status, 200);
}

#[test]
fn an_exchange_ends_under_the_configuration_it_began_with() {
    let gate = Gate::new();
    let held = gate.clone();
    let old = Origin::answer(move |_| {
        held.wait();
        ok("old")
    });
    let new = Origin::named("new");
    let gateway = Gateway::before(&[&old]);
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    gate.wait_for_waiting(1);
    let toml = simple(&[&new], "", "").replace("/*", "/new/*").replace("app", "other");
    assert_eq!(gateway.reload(&toml).status, 200);
    assert_eq!(get(gateway.http(), "/").status, 404);
    gate.open();
    assert_eq!(raw.read_response().text(), "old");
    assert_eq!(raw.get("/new/1").text(), "new");
    assert_eq!(gateway.wait_log(|line| line.str("endpoint") == old.addr().to_string()).str("route"), "* /*");
}

#[test]
fn pooled_connections_of_endpoints_that_stay_outlive_a_reload() {
    let (stays, comes) = (Origin::named("stays"), Origin::named("comes"));
    let gateway = Gateway::start(&simple(&[&stays], "balance = \"round_robin\"\nslow_start = \"0s\"", ""));
    let mut raw = Raw::connect(gateway.http());
    raw.get("/");
    for n in 0..5 {
        let both = [&stays, &comes];
        let some = if n % 2 == 0 { &both[..] } else { &both[..1] };
        assert_eq!(gateway.reload(&simple(some, "balance = \"round_robin\"\nslow_start = \"0s\"", "")).status, 200);
        for _ in 0..4 {
            assert_eq!(raw.get("/").status, 200);
        }
    }
    assert_eq!(stays.connections(), 1);
    assert!(!comes.requests().is_empty());
}

#[test]
fn connections_to_endpoints_that_left_are_closed() {
    let (leaves, stays) = (Origin::named("leaves"), Origin::named("stays"));
    let gateway = Gateway::before(&[&leaves]);
    let mut raw = Raw::connect(gateway.http());
    raw.get("/");
    assert_eq!(leaves.open_connections(), 1);
    assert_eq!(gateway.reload(&simple(&[&stays], "", "")).status, 200);
    assert_eq!(raw.get("/").text(), "stays");
    leaves.wait_for_open(0);
}

#[test]
fn counters_outlive_a_reload() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    let count = || gateway.metrics().sum("http_server_request_duration_seconds_count", &[("route", "* /*")]);
    for n in 1..=3 {
        get(gateway.http(), "/");
        eventually("the request is counted on top", || (count() - f64::from(n)).abs() < 1e-6);
        assert_eq!(gateway.reload(&simple(&[&origin], "", "")).status, 200);
    }
}

#[test]
fn a_reload_earns_no_retries() {
    let model = config::load_text("test", &simple(&[&Origin::refusing()], "", "")).unwrap().model;
    let mut slots = Slots::default();
    let mut compiled = || Arc::new(Snapshot::compile(model.clone(), &mut slots));
    let pools = Pools::new(Rc::new(Wheel::new(Instant::now())), Arc::default());
    let (rng, now, app) = (Rng::from_system(), 7_000_000, UpstreamIndex(0));
    let first = compiled();
    let ledger = Ledger::new(first.board.clone(), CoreId(0));
    let mut generation = Generation::bind(first, None, &ledger, &pools, &rng);
    assert!((0..1000).take_while(|_| generation.may_retry(app, now)).count() > 0);
    for _ in 0..3 {
        generation = Generation::bind(compiled(), Some(&generation), &ledger, &pools, &rng);
        assert!(!generation.may_retry(app, now), "what was spent stays spent");
    }
}

#[test]
fn reloads_under_load_fail_no_request() {
    let (one, two) = (Origin::named("one"), Origin::named("two"));
    let gateway = Gateway::before(&[&one]);
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let (addr, stop) = (gateway.http(), stop.clone());
            std::thread::spawn(move || {
                let mut served = 0;
                let mut raw = Raw::connect(addr);
                while !stop.load(Relaxed) {
                    if client % 2 == 1 && served % 10 == 9 {
                        raw = Raw::connect(addr);
                    }
                    assert_eq!(raw.get("/").status, 200);
                    served += 1;
                }
                served
            })
        })
        .collect();
    for turn in 0..50 {
        let origin = if turn % 2 == 0 { &two } else { &one };
        assert_eq!(gateway.reload(&simple(&[origin], "", "")).status, 200);
    }
    stop.store(true, Relaxed);
    let served: usize = clients.into_iter().map(|client| client.join().unwrap()).sum();
    assert!(served > 50, "{served} requests over 50 reloads");
}
