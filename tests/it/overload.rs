//! The gateway itself is short of something: what it does grade by grade, what it says of it, and that it comes back.

use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::eventually;
use crate::support::get;
use crate::support::simple;

const DESCRIPTORS: usize = 600;
/// Of [`DESCRIPTORS`], in percent.
const STEPS: [usize; 3] = [25, 50, 75];

fn grade(gateway: &Gateway) -> u64 {
    gateway.get_json("/v1/overview")["overload"]["grade"].as_u64().unwrap()
}

/// Opens connections that say nothing until the gateway has that many percent of its descriptors in use.
fn climb(gateway: &Gateway, percent: usize, clients: &mut Vec<Raw>) {
    // Some are the admin interface's, of what has just been asked, and go again.
    while gateway.descriptors() < DESCRIPTORS * percent / 100 + 5 {
        clients.extend((0..10).map(|_| Raw::connect(gateway.http())));
        let held = clients.len();
        eventually("they are in", || {
            let metrics = gateway.metrics();
            let refused = metrics.sum("ringway_connections_refused_total", &[]);
            (metrics.sum("ringway_connections", &[]) + refused) as usize >= held
        });
    }
}

#[test]
fn grade_by_grade_and_back() {
    let origin = Origin::named("app");
    let head = format!(
        "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\naccess_log = \"off\"\noverload.descriptors = {STEPS:?}\n\n"
    );
    let listen = "timeout = { head = \"60s\", idle = \"60s\" }";
    let low = "routes = [{ path = \"/low\", upstream = \"app\", class = \"low\" }, ";
    let toml = format!("{head}{}", simple(&[&origin], "", listen).replace("routes = [", low));
    let gateway = Gateway::start_under(&format!("ulimit -n {DESCRIPTORS}"), &toml);
    assert_eq!(grade(&gateway), 0);
    let mut parked: Vec<_> = (0..10).map(|_| Raw::connect(gateway.http())).collect();
    for client in &mut parked {
        assert!(!client.get("/").closes());
    }
    eventually("they are parked", || gateway.get_json("/v1/overview")["parked"] == 10);
    let mut kept = Raw::connect(gateway.http());
    let mut clients = Vec::new();

    climb(&gateway, STEPS[0], &mut clients);
    gateway.wait_stderr("no client's connection is kept");
    assert_eq!(grade(&gateway), 1);
    let response = kept.get("/low");
    assert_eq!((response.status, response.closes()), (200, true));
    eventually("those that idle are closed", || parked.iter().all(Raw::has_news));
    assert!(!clients.iter().any(Raw::has_news), "one that has not asked yet was closed");
    let closed = |thrift| gateway.metrics().get("ringway_overload_closed_total", &[("thrift", thrift)]);
    assert!(closed("parked") > 9.5 && closed("kept") > 0.5);
    let resources = &gateway.get_json("/v1/overview")["overload"]["resources"];
    assert!(resources["descriptors"]["grade"] == 1 && resources["memory"]["grade"] == 0, "{resources}");

    climb(&gateway, STEPS[1], &mut clients);
    gateway.wait_stderr("routes of the lowest class are refused");
    assert_eq!(get(gateway.http(), "/").status, 200);
    assert_eq!(get(gateway.http(), "/low").status, 503);
    assert!(gateway.metrics().sum("ringway_request_errors_total", &[("cause", "overloaded")]) > 0.5);

    climb(&gateway, STEPS[2], &mut clients);
    gateway.wait_stderr("new connections are refused");
    let metrics = gateway.metrics();
    assert!(metrics.get("ringway_overload_grade", &[]) > 2.5);
    assert!(metrics.get("ringway_overload_pressure", &[("resource", "descriptors")]) > 0.74);
    Raw::connect(gateway.http()).expect_closed();
    let refused = || gateway.metrics().get("ringway_connections_refused_total", &[("reason", "overload")]);
    assert!(refused() > 0.5);
    let mut early = clients.swap_remove(0);
    assert_eq!(early.get("/").status, 200, "who is in is served");

    drop((clients, parked, kept, early));
    gateway.wait_stderr("overload over");
    let mut client = Raw::connect(gateway.http());
    assert!(!client.get("/").closes());
    assert_eq!(grade(&gateway), 0);
}

#[test]
fn a_reload_moves_the_grades_and_a_hundred_percent_is_never() {
    let origin = Origin::named("app");
    let toml = |steps: &str| {
        let head = "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\naccess_log = \"off\"\noverload.descriptors = ";
        format!("{head}{steps}\n\n{}", simple(&[&origin], "", ""))
    };
    let gateway = Gateway::start_under("ulimit -n 200", &toml("[100, 100, 100]"));
    assert_eq!(gateway.reload(&toml("[1, 100, 100]")).status, 200);
    gateway.wait_stderr("no client's connection is kept");
    assert!(Raw::connect(gateway.http()).get("/").closes());
    assert_eq!(gateway.reload(&toml("[100, 100, 100]")).status, 200);
    gateway.wait_stderr("overload over");
    assert!(!Raw::connect(gateway.http()).get("/").closes());
}
