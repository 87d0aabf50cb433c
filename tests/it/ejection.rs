//! An endpoint that fails is left out, and comes back by one request that tries it. What clients notice, and what an
//! operator sees: `/v1/upstreams`, the events, the log and the metrics.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use serde_json::Value;

use crate::support::Events;
use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
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
    Gateway::start(&format!(
        "[listen.http]\nbind = \"127.0.0.1:0\"\n\
         [upstream.app]\nendpoints = [\"{}\", \"{}\"]\nbalance = \"round_robin\"\nretry = {{ attempts = 1 }}\n\
         ejection = {{ failures = 5, success = 0, {ejection} }}\n\
         [host.\"*\"]\nroutes = [{{ path = \"/*\", upstream = \"app\" }}]\n",
        moody.address(),
        well.address()
    ))
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
    let gateway = gateway(&moody, &well, "time = \"1h\", time_max = \"1h\"");
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

#[test]
fn one_request_tries_it_and_brings_it_back_or_keeps_it_out() {
    let (mood, gate) = (Arc::new(AtomicUsize::new(FAILS)), Gate::new());
    let (moody, well) = (moody(&mood, &gate), Origin::named("well"));
    let gateway = gateway(&moody, &well, "time = \"100ms\"");
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
