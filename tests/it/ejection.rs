//! An endpoint that fails is left out, and comes back by one request that tries it. What clients notice, and what an
//! operator sees: `/v1/upstreams`, the events, the log and the metrics.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use serde_json::Value;

use crate::support::Events;
use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::addresses;
use crate::support::eventually;
use crate::support::get;
use crate::support::ok;

/// What an endpoint does with its next requests.
const FAILS: usize = 0;
const ANSWERS: usize = 1;
const HOLDS: usize = 2;

/// One that fails but for its fifth request, until it is told otherwise; what it holds, it answers when the gate opens.
fn moody(mood: &Arc<AtomicUsize>, gate: &Gate) -> Origin {
    let (mood, gate, asked) = (mood.clone(), gate.clone(), AtomicUsize::new(0));
    Origin::answer(move |_| {
        let nth = asked.fetch_add(1, SeqCst) + 1;
        match mood.load(SeqCst) {
            FAILS if nth != 5 => return "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n".to_owned(),
            HOLDS => gate.wait(),
            _ => {}
        }
        ok("moody")
    })
}

/// A gateway that gives each its turn, so that who fails is not avoided for its failures before it is put out, and that
/// tries nothing twice.
fn gateway(moody: &Origin, well: &Origin, ejection: &str) -> Gateway {
    Gateway::start(&config(moody, well, ejection))
}

fn config(moody: &Origin, well: &Origin, ejection: &str) -> String {
    format!(
        "[listen.http]\nbind = \"127.0.0.1:0\"\n\
         [upstream.app]\nendpoints = [\"{}\", \"{}\"]\nbalance = \"round_robin\"\nretry = {{ attempts = 1 }}\n\
         ejection = {{ failures = 5, {ejection} }}\n\
         [host.\"*\"]\nroutes = [{{ path = \"/*\", upstream = \"app\" }}]\n",
        moody.address(),
        well.address()
    )
}

fn shown(gateway: &Gateway) -> Value {
    gateway.get_json("/v1/upstreams/app")["endpoints"][0].clone()
}

/// Asks until it is out.
fn put_out(gateway: &Gateway) -> Value {
    eventually("it is put out", || {
        get(gateway.http(), "/");
        shown(gateway)["ejection"]["out"] == true
    });
    shown(gateway)
}

#[test]
fn five_failures_in_a_row_put_it_out_and_it_is_asked_no_more() {
    let (mood, gate) = (Arc::new(AtomicUsize::new(FAILS)), Gate::new());
    let (moody, well) = (moody(&mood, &gate), Origin::named("well"));
    let gateway = gateway(&moody, &well, "success = 0, time = \"1h\", time_max = \"1h\"");
    let endpoint = put_out(&gateway);
    let failed = moody.requests().len();
    assert!(failed >= 4 + 1 + 5, "four failures, an answer, and five failures in a row: {failed}");
    assert_eq!(endpoint["ejection"]["reason"], "consecutive_failures");
    assert!(endpoint["ejection"]["left_ms"].as_u64() > Some(2_000_000), "{endpoint}");
    assert_eq!((&endpoint["eligible"], &endpoint["ejection"]["times"]), (&false.into(), &1.into()));
    assert_eq!(endpoint["why_not"][0], "it is left out for its failures: consecutive_failures");
    mood.store(ANSWERS, SeqCst);
    for _ in 0..20 {
        assert_eq!(get(gateway.http(), "/").text(), "well");
    }
    assert_eq!(moody.requests().len(), failed);
}

/// Nothing that is known of an endpoint is known by the configuration.
#[test]
fn what_is_known_of_an_endpoint_outlives_a_reload() {
    let (mood, gate) = (Arc::new(AtomicUsize::new(FAILS)), Gate::new());
    let (moody, well) = (moody(&mood, &gate), Origin::named("well"));
    let rules = "success = 0, time = \"1h\", time_max = \"1h\"";
    let gateway = gateway(&moody, &well, rules);
    let before = put_out(&gateway);
    assert!(before["mean_ms"].as_f64() > Some(0.0), "it has answered once: {before}");
    let (failed, other) = (moody.requests().len(), Origin::named("other"));
    mood.store(ANSWERS, SeqCst);
    // The same, another setting, and another endpoint.
    let same = config(&moody, &well, rules);
    let more = same.replace("retry = { attempts = 1 }", "retry = { attempts = 1 }\nslow_start = \"1s\"");
    let third = same.replace("endpoints = [", &format!("endpoints = [\"{}\", ", other.address()));
    for (toml, place) in [(&same, 0), (&more, 0), (&third, 1), (&same, 0)] {
        assert_eq!(gateway.reload(toml).status, 200);
        for _ in 0..10 {
            assert_ne!(get(gateway.http(), "/").text(), "moody");
        }
        let endpoint = gateway.get_json("/v1/upstreams/app")["endpoints"][place].clone();
        assert_eq!(endpoint["mean_ms"], before["mean_ms"], "{endpoint}");
        assert!(endpoint["penalty_ms"].as_f64() > Some(0.0), "{endpoint}");
        for key in ["out", "reason", "times"] {
            assert_eq!(endpoint["ejection"][key], before["ejection"][key], "{endpoint}");
        }
    }
    assert_eq!(moody.requests().len(), failed);
}

#[test]
fn too_few_good_answers_put_it_out_though_it_never_fails_twice_in_a_row() {
    // Every other answer is good: less than the one share, and more than the other.
    for (success, out) in [(75, true), (25, false)] {
        let asked = AtomicUsize::new(0);
        let moody = Origin::answer(move |_| match asked.fetch_add(1, SeqCst) % 2 {
            0 => ok("moody"),
            _ => "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n".to_owned(),
        });
        let well = Origin::named("well");
        let rules = format!("requests = 20, success = {success}, time = \"1h\", time_max = \"1h\"");
        let gateway = gateway(&moody, &well, &rules);
        if out {
            let endpoint = put_out(&gateway);
            assert_eq!(endpoint["ejection"]["reason"], "success_rate");
            assert!(moody.requests().len() >= 20, "{} are too few to know", moody.requests().len());
        } else {
            (0..120).for_each(|_| drop(get(gateway.http(), "/")));
            assert!(moody.requests().len() >= 50 && shown(&gateway)["ejection"]["out"] == false);
        }
    }
}

#[test]
fn half_of_a_fleet_is_put_out_at_the_most_and_with_panic_those_are_asked_as_well() {
    for (panic, asked) in [(0, 2), (60, 4)] {
        let failing = Arc::new(AtomicUsize::new(FAILS));
        let origins: Vec<_> = (0..4)
            .map(|n| {
                let mood = failing.clone();
                Origin::answer(move |_| match mood.load(SeqCst) {
                    FAILS => "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n".to_owned(),
                    _ => ok(&n.to_string()),
                })
            })
            .collect();
        let app = format!(
            "endpoints = {}\nbalance = \"round_robin\"\nretry = {{ attempts = 1 }}\npanic = {panic}\n\
             ejection = {{ failures = 3, time = \"1h\", time_max = \"1h\" }}",
            addresses(&origins)
        );
        let gateway = Gateway::start(&format!(
            "[listen.http]\nbind = \"127.0.0.1:0\"\n[upstream.app]\n{app}\n\
             [host.\"*\"]\nroutes = [{{ path = \"/*\", upstream = \"app\" }}]\n"
        ));
        let out = || {
            let upstream = gateway.get_json("/v1/upstreams/app");
            let out = |endpoint: &&Value| endpoint["ejection"]["out"] == true;
            upstream["endpoints"].as_array().unwrap().iter().filter(out).count()
        };
        eventually("half are out", || {
            get(gateway.http(), "/");
            out() == 2
        });
        (0..100).for_each(|_| assert_eq!(get(gateway.http(), "/").status, 500));
        assert_eq!(out(), 2, "the others fail just as much");
        failing.store(ANSWERS, SeqCst);
        let met: BTreeSet<_> = (0..40).map(|_| get(gateway.http(), "/").text().to_owned()).collect();
        assert_eq!(met.len(), asked, "panic {panic}: {met:?}");
        let picks = gateway.metrics().get("ringway_upstream_panic_picks_total", &[("upstream", "app")]);
        assert_eq!(picks > 0.5, panic > 0, "{picks}");
    }
}

#[test]
fn one_request_tries_it_and_brings_it_back_or_keeps_it_out() {
    let (mood, gate) = (Arc::new(AtomicUsize::new(FAILS)), Gate::new());
    let (moody, well) = (moody(&mood, &gate), Origin::named("well"));
    let gateway = gateway(&moody, &well, "success = 0, time = \"100ms\"");
    let mut events = Events::follow(gateway.admin(), "");
    put_out(&gateway);
    // Without a request nothing tries it: it stays out for as long as this takes.
    events.wait("\"to\":\"ejected\"");
    gateway.wait_stderr("consecutive_failures, ");
    let address = moody.address().to_string();
    let metric = |name, labels: &[_]| gateway.metrics().get(name, &[&[("upstream", "app")], labels].concat()) as u64;
    let own = [("endpoint", address.as_str())];
    assert_eq!(metric("ringway_endpoint_eligible", &own), 0);

    // A trial that fails keeps it out, for longer.
    eventually("a trial has failed", || {
        get(gateway.http(), "/");
        shown(&gateway)["ejection"]["times"].as_u64() > Some(1)
    });
    assert_eq!(shown(&gateway)["ejection"]["reason"], "failed_trial");

    // A trial is one request, whatever else comes on whichever core.
    mood.store(HOLDS, SeqCst);
    let mut trial = None;
    eventually("a trial is under way", || {
        let mut raw = Raw::connect(gateway.http());
        raw.send("GET /trial HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        eventually("it is somewhere", || {
            raw.has_news() || moody.requests().iter().any(|request| request.target == "/trial")
        });
        trial = Some(raw).filter(|raw| !raw.has_news());
        trial.is_some()
    });
    let tried = moody.requests().len();
    for _ in 0..20 {
        assert_eq!(get(gateway.http(), "/").text(), "well");
    }
    assert_eq!(moody.requests().len(), tried);
    let endpoint = shown(&gateway);
    assert_eq!((&endpoint["ejection"]["on_trial"], &endpoint["ejection"]["out"]), (&true.into(), &true.into()));
    gate.open();
    assert_eq!(trial.unwrap().read_response().text(), "moody");
    eventually("it is back", || {
        get(gateway.http(), "/");
        shown(&gateway)["ejection"]["out"] == false
    });
    events.wait("\"to\":\"returned\"");
    assert_eq!(metric("ringway_endpoint_eligible", &own), 1);
    let words: Vec<_> = events.of("ejection").iter().map(|event| event["to"].clone()).collect();
    assert_eq!(words, ["ejected", "returned"], "a trial that fails is no change");
    gateway.wait_stderr("a request that tried it was answered well");
    assert_eq!(metric("ringway_endpoint_changes_total", &[("to", "ejected")]), 1);
    assert_eq!(metric("ringway_endpoint_changes_total", &[("to", "returned")]), 1);
    assert_eq!(
        metric("ringway_endpoint_ejections_total", &own),
        shown(&gateway)["ejection"]["times"].as_u64().unwrap()
    );
    eventually("it has its turn again", || get(gateway.http(), "/").text() == "moody");
}
