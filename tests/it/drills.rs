//! Faults made on purpose: a panic stays where it happens, and what it leaves behind is settled.

use std::time::Duration;
use std::time::Instant;

use ringway::count::Count;
use ringway::io::ring::Wanted;
use ringway::observe::ended::Cause;
use ringway::shard::mailbox::Drill;
use ringway::shard::mailbox::Message;
use ringway::shard::mailbox::Stage;
use serde_json::Value;

use crate::support::Events;
use crate::support::Gate;
use crate::support::Inside;
use crate::support::Metrics;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Watched;
use crate::support::ask;
use crate::support::eventually;
use crate::support::get;
use crate::support::ok;
use crate::support::simple;

const LOOPS: [Wanted; 2] = [Wanted::Auto, Wanted::Epoll];

#[test]
fn a_panic_in_a_connection_ends_that_connection_only() {
    for wanted in LOOPS {
        let origin = Origin::named("a");
        let inside = Inside::start(&simple(&[&origin], "", ""), wanted);
        let mut before = Raw::connect(inside.addr);
        assert_eq!(before.get("/").text(), "a");
        inside.post(Message::Drill(Drill::Connection));
        eventually("the next connection panics", || {
            let mut struck = Raw::connect(inside.addr);
            struck.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
            struck.try_read_response().is_err()
        });
        eventually("the panic is counted", || inside.slab.panics.get() == 1);
        assert_eq!(inside.slab.causes[Cause::Panic as usize].get(), 1, "and the exchange that it ended");
        assert_eq!(before.get("/").text(), "a", "a connection beside it goes on");
        assert_eq!(get(inside.addr, "/").text(), "a", "and new ones come");
        assert_eq!(inside.slab.restarts.get(), 0);
        drop(before);
        eventually("every place is given back", || inside.slab.connections.get() == 0);
        assert_eq!(inside.snapshot.connections.taken(), 0);
    }
}

#[test]
fn a_core_that_dies_is_started_again_counted_and_leaves_nothing_behind() {
    for wanted in LOOPS {
        let origin = Origin::named("a");
        let inside = Inside::start(&simple(&[&origin], "", ""), wanted);
        for death in 1..=3 {
            let mut idle = Raw::connect(inside.addr);
            assert_eq!(idle.get("/").text(), "a");
            let mut busy = Raw::connect(inside.addr);
            busy.send("GET / HTTP/1.1\r\nHost: a\r\nX-Half: ");
            eventually("both are counted", || inside.slab.connections.get() == 2);
            inside.post(Message::Drill(Drill::Core));
            eventually("the core is started again", || inside.slab.restarts.get() == death);
            idle.expect_closed();
            busy.expect_closed();
            assert_eq!(get(inside.addr, "/").text(), "a", "after death {death}");
            assert!(!inside.mailbox.report().fault.is_empty());
            eventually("every place is given back", || inside.slab.connections.get() == 0);
            assert_eq!(inside.snapshot.connections.taken(), 0);
            assert_eq!(inside.slab.in_flight.get(), 0);
            let endpoint = &inside.snapshot.upstreams[0].endpoints[0];
            let open = inside.slab.endpoint(endpoint.slot).connections.get();
            assert_eq!(u64::from(endpoint.connections.taken()), open);
            assert!(open <= 1, "{open} connections to an endpoint that one request at a time went to");
        }
    }
}

#[test]
fn a_core_that_dies_is_told_of_to_whoever_follows_the_events() {
    let origin = Origin::named("a");
    let watched = Watched::start(&simple(&[&origin], "", ""));
    let mut events = Events::follow(watched.admin, "0");
    events.wait("every core listens");
    for death in 1..=2 {
        watched.inside.post(Message::Drill(Drill::Core));
        events.wait(&format!("started again for the {death}. time: "));
        eventually("it serves again", || watched.inside.mailbox.stage() == Stage::Serving);
        assert_eq!(get(watched.inside.addr, "/").text(), "a");
    }
    let told = events.of("core");
    let words = |event: &Value| ["what", "from"].map(|key| event[key].as_str().unwrap_or("").to_owned());
    assert_eq!(told.iter().map(words).collect::<Vec<_>>(), [["core 0", "died"], ["core 0", "died"]], "{told:?}");
    let shown: Value = serde_json::from_str(ask(watched.admin, "GET", "/v1/cores").text()).unwrap();
    let core = &shown["cores"][0];
    assert_eq!((&core["restarts"], &core["stage"]), (&2.into(), &"serving".into()), "{shown}");
    assert!(core["fault"].as_str().is_some_and(|fault| !fault.is_empty()), "{shown}");
    let metrics = Metrics::parse(ask(watched.admin, "GET", "/metrics").text());
    assert!(metrics.get("ringway_core_restarts_total", &[("core", "0")]) > 1.5);
}

#[test]
fn a_core_that_dies_takes_the_configuration_of_its_last_moment_with_it() {
    let (old, new) = (Origin::named("old"), Origin::named("new"));
    let mut inside = Inside::start(&simple(&[&old], "", ""), Wanted::Auto);
    assert_eq!(get(inside.addr, "/").text(), "old");
    let model = ringway::config::load_text("new.toml", &simple(&[&new], "", "")).expect("no faults").model;
    let snapshot = std::sync::Arc::new(ringway::snapshot::Snapshot::compile(model, &mut inside.slots));
    inside.post(Message::Publish { snapshot, opened: Vec::new() });
    eventually("the new configuration is in force", || get(inside.addr, "/").text() == "new");
    inside.post(Message::Drill(Drill::Core));
    eventually("the core is started again", || inside.slab.restarts.get() == 1);
    assert_eq!(get(inside.addr, "/").text(), "new");
}

/// Whoever leaves the configuration while something of it runs, and comes back after the core has died, begins anew.
#[test]
fn a_core_that_dies_owes_nothing_to_what_has_left_the_configuration() {
    let held = Gate::new();
    let gated = held.clone();
    let old = Origin::answer(move |_| {
        gated.wait();
        ok("old")
    });
    let new = Origin::named("new");
    let bounds =
        "limit = { requests = 1, endpoint_requests = 1, queue = 0 }\nconnections = 1\nretry = { attempts = 1 }";
    let first = simple(&[&old], bounds, "connections = 9\nconnections_per_client = 1");
    let second = simple(&[&new], "", "").replace("app", "other").replace("listen.http", "listen.second");
    let mut inside = Inside::start(&first, Wanted::Auto);
    let (before, slab) = (inside.snapshot.clone(), inside.slab.clone());
    let (listener, upstream) = (&before.listeners[0], &before.upstreams[0]);
    let endpoint = &upstream.endpoints[0];
    let shared = || {
        let numbers = [&before.connections, &listener.connections, &upstream.requests, &upstream.connections];
        let own = [&endpoint.connections, &endpoint.requests];
        [numbers.map(|number| number.taken()).as_slice(), &own.map(|number| number.taken())].concat()
    };
    let counted = || {
        let place = slab.endpoint(endpoint.slot);
        let counts = [&slab.connections, &slab.listener(listener.slot).open, &slab.upstream(upstream.slot).places];
        let counts = counts.map(Count::get);
        [counts.as_slice(), &[place.connections.get(), place.places.get(), place.in_flight.get()]].concat()
    };

    let mut busy = Raw::connect(inside.addr);
    busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    held.wait_for_waiting(1);
    assert_eq!((shared(), counted()), (vec![1; 6], vec![1; 6]));
    assert_eq!(listener.clients.known(), 1);

    inside.publish(&second);
    inside.post(Message::Drill(Drill::Core));
    eventually("the core is started again", || slab.restarts.get() == 1);
    busy.expect_closed();
    assert_eq!((shared(), counted()), (vec![0; 6], vec![0; 6]), "after the death");
    assert_eq!(listener.clients.known(), 0);
    assert_eq!(before.board.in_flight(endpoint.slot), 0);

    // And it is as good as new when it comes back.
    held.open();
    inside.publish(&first);
    assert_eq!(get(inside.addr, "/").text(), "old");
}

#[test]
fn a_core_that_dies_while_it_drains_still_drains() {
    let origin = Origin::named("a");
    let inside = Inside::start(&simple(&[&origin], "", ""), Wanted::Auto);
    let mut busy = Raw::connect(inside.addr);
    busy.send("GET / HT");
    eventually("the connection is counted", || inside.slab.connections.get() == 1);
    inside.post(Message::Drain { deadline: Instant::now() + Duration::from_secs(3600) });
    inside.post(Message::Drill(Drill::Core));
    eventually("the core has ended", || inside.mailbox.stage() == Stage::Ended);
}

#[test]
fn a_core_that_stays_down_keeps_nobody_waiting() {
    let origin = Origin::named("a");
    let inside = Inside::start(&simple(&[&origin], "", ""), Wanted::Auto);
    for death in 1..=6 {
        inside.post(Message::Drill(Drill::Core));
        eventually("the core has died", || inside.slab.restarts.get() == death);
    }
    eventually("the core has ended", || inside.mailbox.stage() == Stage::Ended);
    let refused = std::net::TcpStream::connect(inside.addr);
    assert!(refused.is_err(), "a connection waits in a queue that nobody looks at");
}
