//! The admin interface: its paths are stable, and what it says is so.

use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
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

/// Text that is small to send and large to take in: the answer is a refusal, and the interface lives on.
#[test]
fn texts_of_any_depth_and_numbers_of_any_size_are_refused_in_words() {
    const DEEP: usize = 50_000;
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    let order = format!("PATCH /v1/upstreams/app/endpoints/{}", origin.addr());
    let check = "POST /v1/check".to_owned();
    for (line, body) in [
        (&order, "[".repeat(DEEP)),
        (&order, format!("{{\"weight\": {}1{}}}", "[".repeat(DEEP), "]".repeat(DEEP))),
        (&order, format!("{}1{}", "{\"weight\":".repeat(DEEP / 10), "}".repeat(DEEP / 10))),
        (&order, "{\"weight\": 1e999999999}".into()),
        (&order, "{\"weight\": 1e-999999999}".into()),
        (&order, format!("{{\"weight\": 1{}}}", "0".repeat(DEEP))),
        (&check, format!("a = {}1{}", "[".repeat(DEEP), "]".repeat(DEEP))),
        (&check, format!("a = {}1{}", "{b = ".repeat(DEEP / 5), "}".repeat(DEEP / 5))),
        (&check, format!("{}b = 1", "a.".repeat(DEEP))),
        (&check, format!("[{}b]", "a.".repeat(DEEP))),
        (&check, format!("[[{}b]]", "a.".repeat(DEEP))),
        (&check, format!("[process]\ncores = 1{}", "0".repeat(DEEP))),
        (&check, "[process]\ncores = 1e999999999".into()),
    ] {
        let mut raw = Raw::connect(gateway.admin());
        let length = body.len();
        raw.send(format!("{line} HTTP/1.1\r\nHost: {}\r\nContent-Length: {length}\r\n\r\n", gateway.admin()));
        drop(raw.try_send(&body)); // it may have been refused before it was sent
        let response = raw.read_response();
        let begin = body.get(..40).unwrap_or(&body);
        assert!((400..500).contains(&response.status), "{line} {begin:?}: {} {}", response.status, response.text());
    }
    assert_eq!(gateway.ask("GET", "/livez").status, 200);
    assert_eq!(get(gateway.http(), "/").text(), "a");
}
