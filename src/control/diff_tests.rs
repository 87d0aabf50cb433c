//! What differs, by table.

use std::time::Duration;

use super::*;
use crate::admin::fixture;
use crate::admin::fixture::model;
use crate::model::Cores;
use crate::model::Io;
use crate::model::LogTarget;

type Change = fn(&mut Model);

#[test]
fn what_changed_is_named() {
    let table: [(&str, Change, &str); 17] = [
        ("nothing", |_| {}, "nothing changed"),
        ("listener added", |m| m.listeners.push(fixture::listener("tls", "127.0.0.1:0")), "listeners added: tls"),
        ("listener removed", |m| m.listeners.clear(), "listeners removed: http"),
        ("listener changed", |m| m.listeners[0].fields = 7, "listeners changed: http"),
        (
            "upstream renamed",
            |m| m.upstreams[1].name = "pay".into(),
            "upstreams added: pay; upstreams removed: payments; hosts changed: shop.example",
        ),
        (
            "endpoint added",
            |m| m.upstreams[0] = fixture::upstream("orders", &["127.0.1.1:80"]),
            "upstreams changed: orders",
        ),
        ("weight", |m| m.upstreams[0].endpoints[0].weight = 2, "upstreams changed: orders"),
        (
            "an upstream before the others moves indexes and changes no host",
            |m| {
                m.upstreams.insert(0, fixture::upstream("basket", &["127.0.3.1:80"]));
                m.hosts = vec![fixture::host("shop.example", &[("/orders", 1), ("/payments", 2)])];
            },
            "upstreams added: basket",
        ),
        (
            "an index that stays may mean another upstream",
            |m| m.upstreams.insert(0, fixture::upstream("basket", &["127.0.3.1:80"])),
            "upstreams added: basket; hosts changed: shop.example",
        ),
        (
            "route added",
            |m| m.hosts = vec![fixture::host("shop.example", &[("/orders", 0)])],
            "hosts changed: shop.example",
        ),
        ("host added", |m| m.hosts.push(fixture::host("b.example", &[("", 0)])), "hosts added: b.example"),
        ("body bound", |m| m.hosts[0].routes[0].max_body = Some(1), "hosts changed: shop.example"),
        ("who is trusted", |m| m.listeners[0].trusted.unix = true, "listeners changed: http"),
        ("bounds of a response", |m| m.upstreams[0].response.interim = 0, "upstreams changed: orders"),
        ("upgrades", |m| m.hosts[0].routes[0].upgrade = vec!["websocket".into()], "hosts changed: shop.example"),
        ("a time", |m| m.hosts[0].routes[0].body_timeout = Some(Duration::ZERO), "hosts changed: shop.example"),
        (
            "process",
            |m| {
                m.process.drain = Duration::ZERO;
                m.process.connections_max = 1;
                m.process.io = Io::Epoll;
            },
            "changed: process.drain, process.connections_max",
        ),
    ];
    for (what, change, expected) in table {
        let mut new = model();
        change(&mut new);
        assert_eq!(Changes::between(&model(), &new).text(), expected, "{what}");
    }
}

#[test]
fn a_line_names_ten_and_counts_the_rest() {
    let mut new = model();
    new.listeners.extend((0..12).map(|n| fixture::listener(&format!("x{n:02}"), "127.0.0.1:0")));
    let changes = Changes::between(&model(), &new);
    assert_eq!(changes.text(), "listeners added: x00, x01, x02, x03, x04, x05, x06, x07, x08, x09 and 2 more");
    assert_eq!(changes.json()["listeners"]["added"].as_array().unwrap().len(), 12);
}

#[test]
fn what_is_fixed_at_start_needs_a_restart() {
    let table: [(Change, &[&str]); 7] = [
        (|_| {}, &[]),
        (|m| m.process.cores = Cores::All, &["process.cores"]),
        (|m| m.process.admin = fixture::address("127.0.0.1:9"), &["process.admin"]),
        (|m| m.process.io = Io::Epoll, &["process.io"]),
        (|m| m.process.ring.entries = 64, &["process.ring"]),
        (|m| m.process.access_log.to = LogTarget::Off, &["process.access_log"]),
        (|m| m.process.drain = Duration::ZERO, &[]),
    ];
    for (change, expected) in table {
        let mut new = model();
        change(&mut new);
        assert_eq!(needs_restart(&model().process, &new.process), expected);
    }
}
