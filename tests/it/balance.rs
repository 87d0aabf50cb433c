//! Which endpoint of an upstream takes a request. One core, so that the choice is a sequence.

use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::addresses;
use crate::support::get;
use crate::support::ok;

const ONE_CORE: &str = "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\naccess_log = \"stdout\"\n";

fn gateway(endpoints: &str, more: &str) -> Gateway {
    Gateway::start(&format!(
        "{ONE_CORE}[listen.http]\nbind = \"127.0.0.1:0\"\n[upstream.app]\nendpoints = {endpoints}\n{more}\n\
         [host.\"*\"]\nroutes = [{{ path = \"/*\", upstream = \"app\" }}]\n"
    ))
}

#[test]
fn round_robin_gives_each_endpoint_its_turn() {
    let origins = Origin::fleet(&["a", "b", "c"]);
    let gateway = gateway(&addresses(&origins), "balance = \"round_robin\"");
    let mut raw = Raw::connect(gateway.http());
    let answers: Vec<_> = (0..12).map(|_| raw.get("/").text().to_owned()).collect();
    for turn in answers.chunks(3) {
        let mut turn = turn.to_vec();
        turn.sort();
        assert_eq!(turn, ["a", "b", "c"], "{answers:?}");
    }
}

#[test]
fn round_robin_gives_each_endpoint_its_weight_and_spreads_the_turns() {
    let origins = Origin::fleet(&["heavy", "light"]);
    let list = format!(
        "[{{ address = \"{}\", weight = 3 }}, {{ address = \"{}\", weight = 1 }}]",
        origins[0].addr(),
        origins[1].addr()
    );
    let gateway = gateway(&list, "balance = \"round_robin\"");
    let mut raw = Raw::connect(gateway.http());
    let answers: Vec<_> = (0..16).map(|_| raw.get("/").text().to_owned()).collect();
    for turn in answers.chunks(4) {
        assert_eq!(turn.iter().filter(|answer| *answer == "light").count(), 1, "{answers:?}");
    }
}

#[test]
fn a_busy_endpoint_is_avoided_by_default_and_by_least_request() {
    for policy in ["", "balance = \"latency\"", "balance = \"least_request\""] {
        a_busy_endpoint_is_avoided(policy);
    }
}

fn a_busy_endpoint_is_avoided(policy: &str) {
    let gate = Gate::new();
    let origins: Vec<_> = ["a", "b"]
        .into_iter()
        .map(|name| {
            let held = gate.clone();
            Origin::answer(move |request| {
                if request.target == "/slow" {
                    held.wait();
                }
                ok(name)
            })
        })
        .collect();
    let gateway = gateway(&addresses(&origins), policy);
    let mut slow = Raw::connect(gateway.http());
    slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    gate.wait_for_waiting(1);
    let busy = if origins[0].requests().is_empty() { "b" } else { "a" };
    let mut raw = Raw::connect(gateway.http());
    for _ in 0..10 {
        assert_ne!(raw.get("/quick").text(), busy, "{policy}");
    }
    gate.open();
    assert_eq!(slow.read_response().text(), busy);
}

#[test]
fn idle_endpoints_share_sequential_requests_under_least_request() {
    let origins = Origin::fleet(&["a", "b"]);
    let gateway = gateway(&addresses(&origins), "balance = \"least_request\"");
    let mut raw = Raw::connect(gateway.http());
    for _ in 0..40 {
        raw.get("/");
    }
    for origin in &origins {
        assert!(origin.requests().len() >= 8, "{} of 40", origin.requests().len());
    }
}

#[test]
fn an_endpoint_that_refuses_costs_an_attempt_and_no_request() {
    let origins = [Origin::refusing(), Origin::named("live")];
    let live = &origins[1];
    let gateway = gateway(&addresses(&origins), "balance = \"round_robin\"\nretry = { attempts = 2 }");
    for n in 0..10 {
        let mut raw = Raw::connect(gateway.http());
        raw.send(format!("POST /{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"));
        assert_eq!(raw.read_response().text(), "live");
    }
    let lines = gateway.wait_log_lines(10, |line| line.ended() == "ok");
    let twice = lines.iter().filter(|line| line.num("attempts") == 2).count();
    assert!(twice > 0, "no request met the endpoint that refuses");
    assert!(lines.iter().all(|line| line.str("endpoint") == live.addr().to_string()));
    let retries = gateway.metrics().get("ringway_retries_total", &[("upstream", "app")]);
    assert!((retries - twice as f64).abs() < 0.5, "{retries} retries, {twice} requests with two attempts");
    assert!(live.requests().iter().all(|request| request.text() == "body"));
}

#[test]
fn one_attempt_is_no_retry() {
    let gateway = gateway(&addresses(&[Origin::refusing()]), "retry = { attempts = 1 }");
    assert_eq!(get(gateway.http(), "/").status, 502);
    assert_eq!(gateway.wait_log(|_| true).num("attempts"), 1);
    assert!(gateway.metrics().sum("ringway_retries_total", &[]) < 0.5);
}
