//! A second attempt beside one that takes long: who wins, what becomes of the other, and what is never hedged. The first
//! attempt goes to the endpoint of the lower priority number.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::eventually;
use crate::support::get;
use crate::support::ok;

fn pair(first: &Origin, second: &Origin, hedge: &str) -> Gateway {
    pair_on(1, first, second, hedge)
}

fn pair_on(cores: usize, first: &Origin, second: &Origin, hedge: &str) -> Gateway {
    Gateway::start(&format!("{}{}", process(cores), simple_pair(first, second, hedge)))
}

fn process(cores: usize) -> String {
    format!("[process]\ncores = {cores}\nadmin = \"127.0.0.1:0\"\naccess_log = \"stdout\"\n\n")
}

fn simple_pair(first: &Origin, second: &Origin, hedge: &str) -> String {
    format!(
        "[listen.http]\nbind = \"127.0.0.1:0\"\n\
         [upstream.app]\nendpoints = [\"{}\", {{ address = \"{}\", priority = 1 }}]\nejection = \"off\"\n\
         [host.\"*\"]\nroutes = [{{ path = \"/*\", upstream = \"app\", hedge = {hedge} }}]\n",
        first.address(),
        second.address()
    )
}

/// Made, won, cancelled.
fn hedges(gateway: &Gateway) -> [u64; 3] {
    let metrics = gateway.metrics();
    ["made", "won", "cancelled"]
        .map(|word| metrics.get("ringway_hedges_total", &[("upstream", "app"), ("hedge", word)]) as u64)
}

/// Wanted, and not made for want of a budget.
fn unpaid(gateway: &Gateway) -> u64 {
    gateway.metrics().get("ringway_hedges_total", &[("upstream", "app"), ("hedge", "unpaid")]) as u64
}

#[test]
fn a_hedge_that_answers_first_wins_and_the_other_is_cancelled() {
    let (first, second) = (Origin::silent(), Origin::named("second"));
    let gateway = pair(&first, &second, "{ after = \"20ms\", percent = 100 }");
    let mut raw = Raw::connect(gateway.http());
    assert_eq!(raw.get("/").text(), "second");
    // Its connection is closed, and nothing is in flight there any more.
    first.wait_for_open(0);
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.num("attempts"), line.ended(), line.str("endpoint")), (2, "ok", &*second.address().to_string()));
    assert!(line.num("upstream_us") >= 20_000 && line.num("upstream_us") <= line.num("duration_us"), "{line:?}");
    assert_eq!(hedges(&gateway), [1, 1, 1]);
    let in_flight = gateway.metrics().sum("ringway_endpoint_in_flight", &[]);
    assert!(in_flight < 0.5, "{in_flight}");
    assert_eq!(raw.get("/again").status, 200, "the winner's connection and the client's go on");
}

#[test]
fn a_hedge_that_loses_is_cancelled() {
    let gate = Gate::new();
    let held = gate.clone();
    let first = Origin::answer(move |_| {
        held.wait();
        ok("first")
    });
    let second = Origin::silent();
    let gateway = pair(&first, &second, "\"20ms\"");
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    second.wait_for(1);
    gate.open();
    assert_eq!(raw.read_response().text(), "first");
    second.wait_for_open(0);
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.num("attempts"), line.str("endpoint")), (2, &*first.address().to_string()));
    assert_eq!(hedges(&gateway), [1, 0, 1]);
}

#[test]
fn an_attempt_that_fails_leaves_the_answer_to_the_other() {
    let gate = Gate::new();
    let held = gate.clone();
    let first = Origin::script(move |conn| {
        conn.read_request();
        held.wait();
    });
    let own = gate.clone();
    let second = Origin::answer(move |_| {
        own.open();
        std::thread::sleep(Duration::from_millis(50)); // the first fails meanwhile
        ok("second")
    });
    let gateway = pair(&first, &second, "\"20ms\"");
    assert_eq!(get(gateway.http(), "/").text(), "second");
    assert_eq!(hedges(&gateway), [1, 1, 0]);
}

#[test]
fn what_may_not_be_sent_twice_is_not_hedged() {
    let slow = |_: &_| {
        std::thread::sleep(Duration::from_millis(200)); // there is no event in what does not happen
        ok("first")
    };
    let (first, second) = (Origin::answer(slow), Origin::named("second"));
    let gateway = pair(&first, &second, "\"5ms\"");
    let mut raw = Raw::connect(gateway.http());
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(raw.read_response().text(), "first");
    // Its body was not here whole.
    raw.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nx");
    first.wait_for_heads(2);
    raw.send("y");
    assert_eq!(raw.read_response().text(), "first");
    assert_eq!((second.requests().len(), hedges(&gateway)), (0, [0, 0, 0]));
}

#[test]
fn a_percentile_is_that_of_the_routes_own_times() {
    let (gate, last) = (Gate::new(), Gate::new());
    let (held, stuck) = (gate.clone(), last.clone());
    let first = Origin::answer(move |request| {
        match request.target.as_str() {
            "/slow" => held.wait(),
            "/stuck" => stuck.wait(),
            _ => {}
        }
        ok("first")
    });
    let second = Origin::named("second");
    let gateway = pair(&first, &second, "\"p95\"");
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    gate.wait_for_waiting(1);
    assert_eq!(hedges(&gateway), [0, 0, 0]);
    let mut other = Raw::connect(gateway.http());
    for _ in 0..99 {
        other.get("/");
    }
    assert_eq!(hedges(&gateway), [0, 0, 0], "too few to know");
    gate.open();
    assert_eq!(raw.read_response().text(), "first");
    assert_eq!(other.get("/stuck").text(), "second", "95 of 100 would have been answered");
    assert!(hedges(&gateway)[1] > 0);
    last.open();
}

#[test]
fn hedges_have_a_budget() {
    const CLIENTS: usize = 16;
    let gate = Gate::new();
    let held = gate.clone();
    let first = Origin::answer(move |_| {
        held.wait();
        ok("first")
    });
    let second = Origin::named("second");
    // The kernel spreads so many clients over the cores; what is in store is there once for all of them.
    let gateway = pair_on(2, &first, &second, "{ after = \"5ms\", percent = 1 }");
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Raw::connect(gateway.http())).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    eventually("each has wanted one", || hedges(&gateway)[0] + unpaid(&gateway) == CLIENTS as u64);
    gate.open();
    let answers: Vec<_> = clients.iter_mut().map(|client| client.read_response().text().to_owned()).collect();
    assert_eq!(answers.iter().filter(|answer| *answer == "second").count(), 1, "one is in store: {answers:?}");
    assert_eq!((hedges(&gateway), unpaid(&gateway)), ([1, 1, 1], CLIENTS as u64 - 1));
}

#[test]
fn requests_earn_hedges() {
    let gate = Gate::new();
    let held = gate.clone();
    let first = Origin::answer(move |request| {
        if request.target == "/slow" {
            held.wait();
        }
        ok("first")
    });
    let second = Origin::named("second");
    let gateway = pair(&first, &second, "{ after = \"1m\", percent = 50 }");
    let mut raw = Raw::connect(gateway.http());
    for _ in 0..4 {
        assert_eq!(raw.get("/").text(), "first");
    }
    let hedged = simple_pair(&first, &second, "{ after = \"5ms\", percent = 1 }");
    assert_eq!(gateway.reload(&hedged).status, 200);
    // One was there, and four requests have earned half a hedge each; what these earn is not worth one more.
    let mut slow: Vec<_> = (0..8).map(|_| Raw::connect(gateway.http())).collect();
    slow.iter_mut().for_each(|client| client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"));
    eventually("each has wanted one", || hedges(&gateway)[0] + unpaid(&gateway) == 8);
    assert_eq!((hedges(&gateway)[0], unpaid(&gateway)), (3, 5));
    gate.open();
    slow.iter_mut().for_each(|client| assert_eq!(client.read_response().status, 200));
}

#[test]
fn a_client_that_leaves_takes_both_attempts_with_it() {
    let (first, second) = (Origin::silent(), Origin::silent());
    let gateway = pair(&first, &second, "\"20ms\"");
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    second.wait_for(1);
    raw.reset();
    assert_eq!(gateway.wait_log(|_| true).ended(), "client_abort");
    first.wait_for_open(0);
    second.wait_for_open(0);
}

#[test]
fn a_hedged_request_counts_with_its_whole_time() {
    const TIME: Duration = Duration::from_millis(30);
    let (gate, asked) = (Gate::new(), AtomicUsize::new(0));
    let held = gate.clone();
    let first = Origin::answer(move |_| {
        match asked.fetch_add(1, SeqCst) {
            0..100 => std::thread::sleep(TIME), // what its service takes
            _ => held.wait_long(),
        }
        ok("first")
    });
    let second = Origin::named("second");
    let gateway = pair(&first, &second, "{ after = \"p50\", percent = 100 }");
    let mut clients: Vec<_> = (0..10).map(|_| Raw::connect(gateway.http())).collect();
    for answer in std::iter::repeat_n("first", 10).chain(std::iter::repeat_n("second", 12)) {
        clients.iter_mut().for_each(|client| client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        clients.iter_mut().for_each(|client| assert_eq!(client.read_response().text(), answer));
    }
    // More than half were hedged, and the next hedge comes no sooner for that.
    assert_eq!(clients[0].get("/last").text(), "second");
    let line = gateway.wait_log(|line| line.path() == "/last");
    assert!(u128::from(line.num("upstream_us")) >= TIME.as_micros(), "{line:?}");
    gate.open();
}

#[test]
fn an_endpoint_that_never_answers_is_found_out_though_hedges_cancel_it() {
    let (silent, well) = (Origin::silent(), Origin::named("well"));
    let gateway = pair(&silent, &well, "{ after = \"20ms\", percent = 100 }");
    let level = simple_pair(&silent, &well, "{ after = \"20ms\", percent = 100 }").replace(", priority = 1", "");
    assert_eq!(gateway.reload(&level).status, 200);
    let mut raw = Raw::connect(gateway.http());
    (0..60).for_each(|_| assert_eq!(raw.get("/").text(), "well"));
    let asked = silent.requests().len();
    assert!((1..10).contains(&asked), "it would be chosen each other time: {asked}");
    let shown = gateway.get_json("/v1/upstreams/app");
    assert!(shown["endpoints"][0]["mean_ms"].as_f64() > shown["endpoints"][1]["mean_ms"].as_f64(), "{shown}");
}

#[test]
fn an_interim_head_is_no_answer() {
    let gate = Gate::new();
    let held = gate.clone();
    let hints = |name: &str| format!("HTTP/1.1 103 Early Hints\r\nLink: <{name}>\r\n\r\n");
    let first = Origin::script(move |conn| {
        conn.read_request();
        conn.write(hints("first"));
        held.wait();
    });
    let second = Origin::answer(move |_| format!("{}{}{}", hints("1"), hints("2"), ok("second")));
    let gateway = pair(&first, &second, "\"20ms\"");
    let mut raw = Raw::connect(gateway.http());
    let response = raw.get("/");
    assert_eq!(response.text(), "second");
    let links: Vec<_> = response.interim.iter().map(|(_, fields)| fields[0].1.as_str()).collect();
    assert_eq!(links, ["<1>", "<2>"], "those of the one that has answered, and all of them");
    assert_eq!(hedges(&gateway), [1, 1, 1]);
    gate.open();
}
