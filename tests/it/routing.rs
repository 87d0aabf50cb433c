//! Which upstream takes a request: host and path, the most specific first.

use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Response;
use crate::support::get;

#[track_caller]
fn ask(gateway: &Gateway, host: &str, target: &str) -> Response {
    let mut raw = Raw::connect(gateway.http());
    raw.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    raw.read_response()
}

/// A gateway with an upstream for each name, and these host tables.
fn gateway(names: &[&str], hosts: &str) -> (Vec<Origin>, Gateway) {
    let origins = Origin::fleet(names);
    let mut toml = "[listen.http]\nbind = \"127.0.0.1:0\"\n".to_owned();
    for (name, origin) in names.iter().zip(&origins) {
        toml.push_str(&format!("[upstream.{name}]\nendpoints = [\"{}\"]\n", origin.addr()));
    }
    let gateway = Gateway::start(&(toml + hosts));
    (origins, gateway)
}

#[test]
fn an_exact_host_wins_over_a_wildcard_and_that_over_any() {
    let (_origins, gateway) = gateway(
        &["any", "wild", "exact", "longer"],
        r#"
        [host."*"]
        routes = [{ path = "/*", upstream = "any" }]
        [host."*.example.com"]
        routes = [{ path = "/*", upstream = "wild" }]
        [host."shop.example.com"]
        routes = [{ path = "/*", upstream = "exact" }]
        [host."*.eu.example.com"]
        routes = [{ path = "/*", upstream = "longer" }]
        "#,
    );
    let cases = [
        ("shop.example.com", "exact"),
        ("SHOP.Example.COM", "exact"),
        ("shop.example.com:8080", "exact"),
        ("other.example.com", "wild"),
        ("a.b.example.com", "wild"),
        ("shop.eu.example.com", "longer"),
        ("example.com", "any"),
        ("notexample.com", "any"),
        ("shop.example.com.evil.org", "any"),
        ("127.0.0.1", "any"),
        ("[::1]:80", "any"),
    ];
    for (host, expected) in cases {
        assert_eq!(ask(&gateway, host, "/").text(), expected, "{host}");
    }
}

#[test]
fn an_exact_path_wins_over_a_prefix_and_the_longest_prefix_over_a_shorter_one() {
    let (_origins, gateway) = gateway(
        &["root", "orders", "deep", "exact"],
        r#"
        [host."*"]
        routes = [
          { path = "/*", upstream = "root" },
          { path = "/orders/archive/*", upstream = "deep" },
          { path = "/orders/*", upstream = "orders" },
          { path = "/orders/archive/today", upstream = "exact" },
        ]
        "#,
    );
    let cases = [
        ("/", "root"),
        ("/orders", "orders"),
        ("/orders/", "orders"),
        ("/orders/1", "orders"),
        ("/orders?x=/orders/archive/", "orders"),
        ("/orders1", "root"),
        ("/ordersarchive/1", "root"),
        ("/orders/archive", "deep"),
        ("/orders/archive/today", "exact"),
        ("/orders/archive/today?a=1", "exact"),
        ("/orders/archive/today/", "deep"),
        ("/orders/archive/todays", "deep"),
        ("/ORDERS/1", "root"),
    ];
    for (path, expected) in cases {
        assert_eq!(ask(&gateway, "a", path).text(), expected, "{path}");
    }
}

#[test]
fn a_host_table_that_has_no_route_for_the_path_does_not_fall_back_to_a_broader_host() {
    let (origins, gateway) = gateway(
        &["any", "shop"],
        r#"
        [host."*"]
        routes = [{ path = "/*", upstream = "any" }]
        [host."shop.example.com"]
        routes = [{ path = "/cart/*", upstream = "shop" }]
        "#,
    );
    assert_eq!(ask(&gateway, "shop.example.com", "/cart/1").text(), "shop");
    assert_eq!(ask(&gateway, "shop.example.com", "/other").status, 404);
    assert!(origins[0].requests().is_empty());
}

#[test]
fn a_request_that_no_route_takes_is_answered_404_in_words_and_the_connection_stays() {
    let (origins, gateway) =
        gateway(&["shop"], "[host.\"shop.example.com\"]\nroutes = [{ path = \"/*\", upstream = \"shop\" }]\n");
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET /x HTTP/1.1\r\nHost: other.example.com\r\n\r\n");
    let response = raw.read_response();
    assert_eq!(response.status, 404);
    assert!(response.field("content-type").starts_with("text/plain"));
    let id = response.field("x-request-id");
    assert!(!id.is_empty() && response.text().contains(id) && response.text().contains("no_route"), "{response:?}");
    raw.send("GET /x HTTP/1.1\r\nHost: shop.example.com\r\n\r\n");
    assert_eq!(raw.read_response().text(), "shop");
    let line = gateway.wait_log(|line| line.ended() == "no_route");
    assert_eq!((line.str("request_id"), line.num("status"), line.str("who")), (id, 404, "gateway"));
    assert_eq!(origins[0].requests().len(), 1);
}

#[test]
fn a_normal_path_and_any_query_reach_the_upstream_as_they_were_sent() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    for target in ["/a%20b//c/?q=1&q=2&r=%2F", "/", "/?", "/a;b=c/@:!$&'()*+,", "/%E4%BD%A0?%e4%bd%a0"] {
        assert_eq!(get(gateway.http(), target).status, 200);
        assert_eq!(origin.requests().last().unwrap().target, target);
    }
}

#[test]
fn an_absolute_target_is_routed_by_its_authority_and_forwarded_as_a_path() {
    let (origins, gateway) =
        gateway(&["shop"], "[host.\"shop.example.com\"]\nroutes = [{ path = \"/cart/*\", upstream = \"shop\" }]\n");
    let response = ask(&gateway, "shop.example.com", "http://shop.example.com/cart/1?a=b");
    assert_eq!(response.text(), "shop");
    let request = &origins[0].requests()[0];
    assert_eq!((request.target.as_str(), request.field("host")), ("/cart/1?a=b", "shop.example.com"));
}
