//! The admin interface: its paths are stable, and what it says is so.

use crate::support::Gateway;
use crate::support::Origin;
use crate::support::get;
use crate::support::simple;

#[test]
fn a_ready_gateway_says_that_it_lives_and_is_ready() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    assert_eq!(gateway.ask("GET", "/livez").status, 200);
    assert_eq!(gateway.ask("GET", "/readyz").status, 200);
}

#[test]
fn the_overview_and_the_lists_name_what_is_configured() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    get(gateway.http(), "/");
    let overview = gateway.get_json("/v1/overview");
    assert!(overview.is_object(), "{overview}");
    assert!(overview.to_string().contains(env!("CARGO_PKG_VERSION")), "{overview}");
    let config = gateway.get_json("/v1/config").to_string();
    assert!(config.contains("\"app\"") && config.contains(&origin.addr().to_string()), "{config}");
    let routes = gateway.get_json("/v1/routes").to_string();
    assert!(routes.contains("/*") && routes.contains("\"app\""), "{routes}");
    let upstreams = gateway.get_json("/v1/upstreams").to_string();
    assert!(upstreams.contains("\"app\"") && upstreams.contains(&origin.addr().to_string()), "{upstreams}");
}

#[test]
fn one_upstream_is_shown_by_name_and_an_unknown_one_is_not_found() {
    let origin = Origin::named("a");
    let gateway = Gateway::start(&simple(&[&origin], "balance = \"round_robin\"", ""));
    let upstream = gateway.get_json("/v1/upstreams/app").to_string();
    assert!(upstream.contains(&origin.addr().to_string()) && upstream.contains("round_robin"), "{upstream}");
    assert_eq!(gateway.ask("GET", "/v1/upstreams/ap").status, 404);
}

#[test]
fn what_is_not_there_is_not_found_and_what_cannot_be_done_is_not_allowed() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    assert_eq!(gateway.ask("GET", "/v1/nothing").status, 404);
    assert_eq!(gateway.ask("GET", "/v1/reload").status, 405);
    assert_eq!(gateway.ask("POST", "/v1/overview").status, 405);
}

#[test]
fn the_admin_interface_is_not_on_the_listener_and_the_routes_are_not_on_the_admin_interface() {
    let origin = Origin::named("from the origin");
    let gateway = Gateway::before(&[&origin]);
    assert_eq!(get(gateway.http(), "/livez").text(), "from the origin");
    assert_eq!(get(gateway.http(), "/metrics").text(), "from the origin");
    assert_eq!(gateway.ask("GET", "/orders").status, 404);
}
