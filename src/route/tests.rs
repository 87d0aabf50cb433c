//! Tables of hosts and paths against the route each must find.

use super::Table;
use crate::model::Host;
use crate::model::HostPattern;
use crate::model::PathPattern;
use crate::model::fixture;

fn host(pattern: &str, paths: &[&str]) -> Host {
    let pattern = match pattern.strip_prefix("*.") {
        Some(suffix) => HostPattern::Wildcard(suffix.into()),
        None if pattern == "*" => HostPattern::Any,
        None => HostPattern::Exact(pattern.into()),
    };
    let path = |path: &&str| match path.strip_suffix("/*") {
        Some(prefix) => PathPattern::Prefix(prefix.into()),
        None => PathPattern::Exact((*path).into()),
    };
    let routes = paths.iter().map(|text| fixture::route(path(text), 0));
    Host { pattern, routes: routes.collect(), clients: None }
}

fn check(hosts: &[Host], rows: &[(&str, &str, Option<&str>)]) {
    let table = Table::compile(hosts);
    let labels: Vec<String> = hosts
        .iter()
        .flat_map(|host| host.routes.iter().map(|r| format!("{} {}", host.pattern.text(), r.path.text())))
        .collect();
    for (host, path, wanted) in rows {
        let found = table.find(host.as_bytes(), path.as_bytes()).map(|index| labels[index.index()].as_str());
        assert_eq!(found, *wanted, "{host} {path}");
    }
}

#[test]
fn the_most_specific_path_wins_whatever_the_order() {
    let hosts = [host("*", &["/*", "/orders/*", "/orders/new", "/orders/new/*", "/a/b/c/*"])];
    check(
        &hosts,
        &[
            ("x", "/", Some("* /*")),
            ("x", "/orders", Some("* /orders/*")),
            ("x", "/orders/", Some("* /orders/*")),
            ("x", "/orders/7", Some("* /orders/*")),
            ("x", "/ordersX", Some("* /*")),
            ("x", "/orders/new", Some("* /orders/new")),
            ("x", "/orders/new/x", Some("* /orders/new/*")),
            ("x", "/orders/newer", Some("* /orders/*")),
            ("x", "/a/b/c/d/e/f/g/h/i/j", Some("* /a/b/c/*")),
            ("x", "/a/b", Some("* /*")),
            ("x", "*", Some("* /*")),
            ("", "/", Some("* /*")),
        ],
    );
}

#[test]
fn a_path_nobody_takes_has_no_route() {
    check(&[host("*", &["/orders/*"])], &[("x", "/", None), ("x", "/payments", None), ("x", "*", None)]);
    check(&[host("*", &["/only"])], &[("x", "/only/", None), ("x", "/only", Some("* /only"))]);
}

#[test]
fn the_most_specific_host_wins_and_answers_alone() {
    let hosts = [
        host("*", &["/*"]),
        host("shop.example.com", &["/shop/*"]),
        host("*.example.com", &["/wild/*"]),
        host("*.eu.example.com", &["/eu/*"]),
    ];
    check(
        &hosts,
        &[
            ("shop.example.com", "/shop/1", Some("shop.example.com /shop/*")),
            ("SHOP.Example.COM", "/shop/1", Some("shop.example.com /shop/*")),
            ("shop.example.com.", "/shop/1", Some("shop.example.com /shop/*")),
            ("shop.example.com", "/other", None),
            ("other.example.com", "/wild/1", Some("*.example.com /wild/*")),
            ("a.b.example.com", "/wild/1", Some("*.example.com /wild/*")),
            ("a.eu.example.com", "/eu/1", Some("*.eu.example.com /eu/*")),
            ("a.eu.example.com", "/wild/1", None),
            ("eu.example.com", "/wild/1", Some("*.example.com /wild/*")),
            ("example.com", "/x", Some("* /*")),
            ("notexample.com", "/x", Some("* /*")),
            ("", "/x", Some("* /*")),
        ],
    );
    let long = "a".repeat(300);
    check(&hosts, &[(&long, "/x", Some("* /*"))]);
}

#[test]
fn without_a_host_table_nothing_is_found() {
    check(&[host("a", &["/*"])], &[("b", "/", None), ("", "/", None), ("a", "/", Some("a /*"))]);
}
