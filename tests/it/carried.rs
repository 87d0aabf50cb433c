//! What a carried connection holds, and for how long: places, its turn in a queue, and nothing of a configuration that has
//! gone.

use std::sync::Arc;

use ringway::io::ring::Wanted;

use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Inside;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Signal;
use crate::support::eventually;
use crate::tcp::config;
use crate::tcp::expect_refused;
use crate::tcp::greeted;
use crate::tcp::head;
use crate::tcp::parrot;
use crate::tcp::round;

#[test]
fn an_endpoint_has_so_many_connections_at_once_for_as_long_as_they_last() {
    let origin = parrot("hello");
    for queue in ["queue = 0", "queue = 1, queue_time = \"60s\""] {
        let limit = format!("limit = {{ endpoint_requests = 1, {queue} }}");
        let gateway = Gateway::start(&format!("{}{}", head(""), config(&[&origin], &limit, "")));
        let (mut raw, _) = greeted(&gateway);
        round(&mut raw, b"both ways");
        if queue == "queue = 0" {
            expect_refused(gateway.addr("db"));
            let line = gateway.wait_log(|_| true);
            assert_eq!((line.ended(), line.num("attempts")), ("upstream_overloaded", 0));
            drop(raw);
        } else {
            let mut second = Raw::connect(gateway.addr("db"));
            let waiting = || gateway.metrics().get("ringway_upstream_waiting", &[("upstream", "db")]);
            eventually("the second waits", || waiting() > 0.5);
            round(&mut raw, b"and goes on");
            drop(raw);
            assert_eq!(second.read_some(), b"hello");
            drop(second);
        }
        let open = || gateway.metrics().get("ringway_endpoint_in_flight", &[("upstream", "db")]);
        eventually("it has ended", || open() < 0.5);
        assert_eq!(greeted(&gateway).1, "hello");
    }
}

#[test]
fn whoever_leaves_before_he_has_an_endpoint_gives_his_places_back() {
    let of = |gateway: &Gateway, name: &str| gateway.metrics().get(name, &[("upstream", "db")]) as u64;
    // In the queue.
    let origin = parrot("hello");
    let limit = "limit = { requests = 1, endpoint_requests = 1, queue_time = \"60s\" }";
    let gateway = Gateway::start(&format!("{}{}", head(""), config(&[&origin], limit, "")));
    let (raw, _) = greeted(&gateway);
    let second = Raw::connect(gateway.addr("db"));
    eventually("the second waits", || of(&gateway, "ringway_upstream_waiting") == 1);
    drop(second);
    eventually("it waits no more", || of(&gateway, "ringway_upstream_waiting") == 0);
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.ended(), line.str("who"), line.num("attempts")), ("client_abort", "client", 0));
    // Also one that has said something before, which nobody reads as long as it waits.
    let mut third = Raw::connect(gateway.addr("db"));
    third.send("a query");
    eventually("the third waits", || of(&gateway, "ringway_upstream_waiting") == 1);
    third.half_close();
    eventually("it waits no more either", || of(&gateway, "ringway_upstream_waiting") == 0);
    // It might still listen: what it hears is no end of an answer.
    third.expect_reset();
    assert_eq!(gateway.wait_log(|_| true).ended(), "client_abort");
    assert_eq!((of(&gateway, "ringway_upstream_places"), of(&gateway, "ringway_endpoint_in_flight")), (1, 1));
    drop(raw);
    eventually("the place is free", || of(&gateway, "ringway_upstream_places") == 0);
    assert_eq!(greeted(&gateway).1, "hello");

    // While an endpoint is connected to that does not answer.
    let full = Origin::full();
    let limit = "timeout.connect = \"60s\"\nlimit = { requests = 1, endpoint_requests = 1, queue = 0 }";
    let gateway = Gateway::start(&format!("{}{}", head(""), config(&[&full], limit, "")));
    let held = || (of(&gateway, "ringway_upstream_places"), of(&gateway, "ringway_endpoint_in_flight"));
    for says in ["", "a query"] {
        let mut raw = Raw::connect(gateway.addr("db"));
        raw.send(says);
        eventually("it is connected to", || held() == (1, 1));
        raw.reset();
        eventually("the places are free", || held() == (0, 0));
        let line = gateway.wait_log(|_| true);
        assert_eq!((line.ended(), line.str("phase"), line.num("attempts")), ("client_abort", "connect", 1));
    }
    let raw = Raw::connect(gateway.addr("db"));
    eventually("the endpoint's is free as well", || held() == (1, 1));
    raw.reset();
}

#[test]
fn a_drain_ends_who_waits_for_an_endpoint_and_says_so() {
    let gate = Gate::new();
    let other = gate.clone();
    // It hears the gentle end, and stays: so does its place.
    let origin = Origin::script(move |conn| {
        conn.write("hello");
        other.wait();
    });
    let limit = "limit = { requests = 1, queue_time = \"60s\" }";
    let mut gateway = Gateway::start(&format!("{}{}", head("drain = \"1s\""), config(&[&origin], limit, "")));
    let (_raw, _) = greeted(&gateway);
    let mut second = Raw::connect(gateway.addr("db"));
    let waiting = || gateway.metrics().get("ringway_upstream_waiting", &[("upstream", "db")]);
    eventually("the second waits", || waiting() > 0.5);
    gateway.signal(Signal::Term);
    second.expect_reset();
    let line = gateway.wait_log(|line| line.num("attempts") == 0);
    assert_eq!((line.ended(), line.str("who"), line.num("bytes_out")), ("drain", "gateway", 0));
    assert_eq!(gateway.wait_log(|line| line.num("attempts") == 1).ended(), "drain");
    gate.open();
    gateway.wait_exit();
}

#[test]
fn a_connection_that_is_carried_holds_no_configuration() {
    let origin = parrot("hello");
    let limit = "limit = { requests = 1, endpoint_requests = 1, queue = 0 }";
    let mut inside = Inside::start(&config(&[&origin], limit, ""), Wanted::Auto);
    let addr = inside.addr;
    let mut raw = Raw::connect(addr);
    assert_eq!(raw.read_some(), b"hello");
    let old = Arc::downgrade(&inside.snapshot);
    inside.publish(&config(&[&origin], limit, ""));
    eventually("the old one is gone", || old.upgrade().is_none());
    round(&mut raw, b"as before");
    // Its places are taken all the same, also those of the new one, until it has ended.
    let upstream = &inside.snapshot.upstreams[0];
    let taken = || {
        let (endpoint, slab) = (&upstream.endpoints[0], &inside.slab);
        let places = (slab.upstream(upstream.slot).places.get(), slab.endpoint(endpoint.slot).places.get());
        (upstream.requests.taken(), endpoint.requests.taken(), places)
    };
    assert_eq!(taken(), (1, 1, (1, 1)));
    expect_refused(inside.addr);
    drop(raw);
    eventually("its places are free", || taken() == (0, 0, (0, 0)));
    assert_eq!(Raw::connect(inside.addr).read_some(), b"hello");
}
