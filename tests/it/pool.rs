//! Connections to endpoints: opened before they are asked for, kept within bounds, and gone when their endpoint goes.

use std::collections::BTreeMap;

use ringway::balance::board::Health;
use ringway::balance::board::Order;
use ringway::io::ring::Wanted;
use ringway::shard::mailbox::Message;

use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Inside;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::eventually;
use crate::support::get;
use crate::support::ok;
use crate::support::simple;

const ONE_CORE: &str = "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\naccess_log = \"stdout\"\n\n";

/// Answers every request with the number of its connection.
fn numbering() -> Origin {
    Origin::script(|conn| {
        while conn.read_request().is_some() {
            let body = conn.number.to_string();
            if !conn.write(ok(&body)) {
                break;
            }
        }
    })
}

/// A gateway with one core before one origin, whose `keep_alive` this is.
fn one_core(origin: &Origin, keep_alive: &str) -> Gateway {
    Gateway::start(&format!("{ONE_CORE}{}", simple(&[origin], &format!("keep_alive = {{ {keep_alive} }}"), "")))
}

/// How many of so many requests, one after the other, came by each connection.
fn spread(gateway: &Gateway, requests: usize) -> BTreeMap<String, usize> {
    let (mut client, mut spread) = (Raw::connect(gateway.http()), BTreeMap::new());
    for _ in 0..requests {
        *spread.entry(client.get("/").text().to_owned()).or_default() += 1;
    }
    spread
}

#[test]
fn warm_connections_are_there_before_they_are_asked_for_and_do_not_idle_away() {
    let (warm, cold) = (numbering(), numbering());
    let toml = format!(
        "{ONE_CORE}[listen.http]\nbind = \"127.0.0.1:0\"\n\n[defaults.upstream]\nkeep_alive.idle = \"1s\"\n\n\
         [upstream.warm]\nendpoints = [\"{}\"]\nkeep_alive.warm = 3\n\n[upstream.cold]\nendpoints = [\"{}\"]\n\n\
         [host.\"*\"]\nroutes = [{{ path = \"/*\", upstream = \"warm\" }}, {{ path = \"/cold\", upstream = \"cold\" }}]\n",
        warm.addr(),
        cold.addr()
    );
    let gateway = Gateway::start(&toml);
    warm.wait_for_open(3);
    assert_eq!(get(gateway.http(), "/cold").text(), "0");
    cold.wait_for_open(0);
    assert_eq!((warm.open_connections(), warm.connections()), (3, 3), "one idled away");
    assert_eq!(cold.connections(), 1, "one without a floor was warmed");
    let came_by: usize = get(gateway.http(), "/").text().parse().unwrap();
    assert!(came_by < 3, "a warm connection was not lent");
    let series = [("upstream", "warm")];
    eventually("what idles is told", || gateway.metrics().sum("ringway_endpoint_idle_connections", &series) > 2.5);
    assert!(gateway.metrics().get("ringway_endpoint_warmed_total", &[]) > 2.5);
    assert!(gateway.metrics().get("ringway_endpoint_partings_total", &[("parting", "idle")]) > 0.5);
}

#[test]
fn the_floor_is_filled_again_by_whoever_comes_back_or_comes_new() {
    let (mut one, two) = (numbering(), numbering());
    let gateway = one_core(&one, "warm = 2");
    one.wait_for_open(2);
    one.stop();
    one.restart();
    one.wait_for_open(2);
    let both = simple(&[&one, &two], "keep_alive = { warm = 2 }", "");
    assert_eq!(gateway.reload(&both).status, 200);
    two.wait_for_open(2);
    assert_eq!(gateway.reload(&simple(&[&two], "keep_alive = { warm = 2 }", "")).status, 200);
    one.wait_for_open(0);
    assert_eq!(two.open_connections(), 2);
    assert!(gateway.metrics().get("ringway_endpoint_partings_total", &[("parting", "removed")]) > 1.5);
    drop(gateway);
    two.wait_for_open(0);
}

#[test]
fn the_floor_never_breaks_the_bound_of_connections() {
    let origin = numbering();
    let app = "connections = 2\nkeep_alive = { warm = 5 }";
    let gateway = Gateway::start(&format!("{ONE_CORE}{}", simple(&[&origin], app, "")));
    origin.wait_for_open(2);
    // Each of these is a second look of the core at what is missing, at the least.
    for _ in 0..5 {
        let before = gateway.metrics().get("ringway_endpoint_attempts_total", &[]);
        assert_eq!(get(gateway.http(), "/").status, 200);
        eventually("it is counted", || gateway.metrics().get("ringway_endpoint_attempts_total", &[]) > before);
        assert!(origin.open_connections() <= 2);
    }
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_drain_is_not_kept_alive_by_what_is_warm() {
    let origin = numbering();
    let gateway = one_core(&origin, "warm = 4");
    origin.wait_for_open(4);
    assert!(gateway.stop().success());
    origin.wait_for_open(0);
    assert_eq!(origin.connections(), 4);
}

#[test]
fn a_connection_carries_so_many_requests_and_no_more() {
    let origin = numbering();
    let gateway = one_core(&origin, "requests = 3");
    let spread = spread(&gateway, 9);
    assert_eq!(spread.into_values().collect::<Vec<_>>(), [3, 3, 3]);
    eventually("it is counted", || {
        gateway.metrics().get("ringway_endpoint_partings_total", &[("parting", "requests")]) > 2.5
    });
}

#[test]
fn a_connection_of_age_makes_room_for_another() {
    let origin = numbering();
    let gateway = one_core(&origin, "age = \"1s\", warm = 1, idle = \"1m\"");
    let mut client = Raw::connect(gateway.http());
    let first = client.get("/").text().to_owned();
    eventually("busy ones grow old", || client.get("/").text() != first);
    let seen = origin.connections();
    // And so do those that nobody asks for.
    eventually("idle ones grow old", || origin.connections() > seen + 2);
    assert!(gateway.metrics().get("ringway_endpoint_partings_total", &[("parting", "age")]) > 1.5);
}

#[test]
fn what_is_lent_when_its_endpoint_leaves_is_finished_and_then_closed() {
    let (gate, stays) = (Gate::new(), Origin::named("stays"));
    let held = gate.clone();
    let leaves = Origin::script(move |conn| {
        while let Some(request) = conn.read_request() {
            if request.target == "/held" {
                held.wait();
            }
            conn.write(ok("leaves"));
        }
    });
    let gateway = one_core(&leaves, "idle = \"10m\"");
    let mut client = Raw::connect(gateway.http());
    client.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
    gate.wait_for_waiting(1);
    assert_eq!(get(gateway.http(), "/").text(), "leaves"); // by a second connection, idle from now on
    assert_eq!(leaves.open_connections(), 2);
    assert_eq!(gateway.reload(&simple(&[&stays], "keep_alive = { idle = \"10m\" }", "")).status, 200);
    leaves.wait_for_open(1);
    gate.open();
    assert_eq!(client.read_response().text(), "leaves");
    leaves.wait_for_open(0);
    assert_eq!(client.get("/").text(), "stays");
}

#[test]
fn an_endpoint_that_takes_no_requests_keeps_no_connections_and_is_not_warmed() {
    let (origin, other) = (numbering(), numbering());
    let toml = simple(&[&origin, &other], "keep_alive = { warm = 2, idle = \"10m\" }", "");
    for order in [Order::Drain, Order::Down] {
        let inside = Inside::start(&toml, Wanted::Auto);
        let endpoint = &inside.snapshot.upstreams[0].endpoints[0];
        let standing = inside.snapshot.board.standing(endpoint.slot);
        origin.wait_for_open(2);
        standing.set_order(order);
        origin.wait_for_open(0);
        standing.set_order(Order::Ready);
        origin.wait_for_open(2);
    }
    // Neither is one that its health check says is down: not asked while the other is, which comes back from the dead.
    let mut inside = Inside::start(&simple(&[&other], "keep_alive = { warm = 2 }", ""), Wanted::Auto);
    let model = ringway::config::load_text("next.toml", &toml).unwrap().model;
    let next = ringway::snapshot::Snapshot::compile(model, &mut inside.slots);
    let next = std::sync::Arc::new(next);
    let standing = next.board.standing(next.upstreams[0].endpoints[0].slot);
    origin.wait_for_open(0);
    let before = origin.connections();
    standing.set_health(Health::Down);
    other.wait_for_open(2);
    inside.post(Message::Publish { snapshot: next.clone(), opened: Vec::new() });
    for round in 0..3 {
        let opened = inside.slab.warmed.get();
        inside.snapshot.board.standing(inside.snapshot.upstreams[0].endpoints[0].slot).set_order(Order::Down);
        other.wait_for_open(0);
        inside.snapshot.board.standing(inside.snapshot.upstreams[0].endpoints[0].slot).set_order(Order::Ready);
        other.wait_for_open(2);
        eventually("the core has looked", || inside.slab.warmed.get() >= opened + 2);
        assert_eq!(origin.connections(), before, "in round {round}");
    }
    standing.set_health(Health::Up);
    origin.wait_for_open(2);
}

#[test]
fn what_idles_on_one_core_is_given_up_to_another_where_no_more_may_be_open() {
    const CLIENTS: usize = 16;
    let origin = numbering();
    let app = "connections = 1\nkeep_alive = { idle = \"10m\" }\nejection = \"off\"";
    let gateway = Gateway::start(&simple(&[&origin], app, ""));
    // The kernel spreads so many over both cores.
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Raw::connect(gateway.http())).collect();
    for client in &mut clients {
        // Whoever comes while it is not given up yet looks a few times, and then it is too late: that is told, and it is
        // given up all the same.
        eventually("it is given up", || match client.get("/") {
            response if response.status == 200 => true,
            response => {
                assert_eq!(response.status, 503, "{}", response.text());
                false
            }
        });
        assert!(origin.open_connections() <= 1);
    }
    assert!(origin.connections() > 1, "all clients were those of one core");
}
