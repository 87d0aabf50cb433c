//! Numbers: every exchange is counted once, under names and labels that operators know.

use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Metrics;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::eventually;
use crate::support::get;
use crate::support::ok;
use crate::support::simple;

const SERVER: &str = "http_server_request_duration_seconds";
const CLIENT: &str = "http_client_request_duration_seconds";

/// Waits for a sample to reach a value; labels may be a part of its labels.
#[track_caller]
fn reaches(gateway: &Gateway, name: &str, labels: &[(&str, &str)], value: f64) -> Metrics {
    eventually(&format!("{name} {labels:?} is {value}"), || (gateway.metrics().sum(name, labels) - value).abs() < 1e-6);
    gateway.metrics()
}

#[test]
fn requests_are_counted_by_route_method_status_and_protocol() {
    let origin = Origin::answer(|request| {
        if request.target == "/missing" {
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".into()
        } else {
            ok("a")
        }
    });
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    for _ in 0..3 {
        raw.get("/");
    }
    raw.get("/missing");
    raw.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    raw.read_response();
    raw.send("BREW / HTTP/1.1\r\nHost: a\r\n\r\n");
    raw.read_response();
    let count = format!("{SERVER}_count");
    let metrics = reaches(&gateway, &count, &[], 6.0);
    let of = |method: &str, class: &str| {
        let labels = [("route", "* /*"), ("method", method), ("status_class", class), ("protocol", "1.1")];
        metrics.get(&count, &labels)
    };
    let seen = [of("GET", "2xx"), of("GET", "4xx"), of("POST", "2xx"), of("_OTHER", "2xx")];
    assert!(seen.iter().zip([3.0, 1.0, 1.0, 1.0]).all(|(seen, due)| (seen - due).abs() < 1e-6), "{seen:?}");
    let by_upstream = metrics.get(&format!("{CLIENT}_count"), &[("upstream", "app"), ("status_class", "2xx")]);
    assert!((by_upstream - 5.0).abs() < 1e-6, "{by_upstream}");
}

#[test]
fn a_histogram_is_cumulative_and_agrees_with_its_count() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    for _ in 0..10 {
        raw.get("/");
    }
    let metrics = reaches(&gateway, &format!("{SERVER}_count"), &[], 10.0);
    let bucket = format!("{SERVER}_bucket");
    let bounds = metrics.labels(&bucket, "le");
    assert!(bounds.len() > 5 && bounds.contains(&"+Inf") && bounds.contains(&"10"), "{bounds:?}");
    let mut ordered: Vec<(f64, f64)> =
        bounds.iter().map(|le| (le.parse().unwrap_or(f64::INFINITY), metrics.get(&bucket, &[("le", *le)]))).collect();
    ordered.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(ordered.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{ordered:?}");
    assert!((ordered.last().unwrap().1 - 10.0).abs() < 1e-6);
    let sum = metrics.get(&format!("{SERVER}_sum"), &[]);
    assert!(sum > 0.0 && sum < 60.0, "{sum} seconds");
}

#[test]
fn what_runs_now_is_shown_and_goes_back_to_nothing() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::answer(move |_| {
        held.wait();
        ok("a")
    });
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    gate.wait_for_waiting(1);
    let endpoint = origin.addr().to_string();
    let labels = [("upstream", "app"), ("endpoint", endpoint.as_str())];
    reaches(&gateway, "ringway_requests_in_flight", &[], 1.0);
    reaches(&gateway, "ringway_endpoint_in_flight", &labels, 1.0);
    reaches(&gateway, "ringway_endpoint_connections", &labels, 1.0);
    reaches(&gateway, "ringway_connections", &[("listener", "http")], 1.0);
    gate.open();
    raw.read_response();
    reaches(&gateway, "ringway_requests_in_flight", &[], 0.0);
    reaches(&gateway, "ringway_endpoint_in_flight", &labels, 0.0);
    reaches(&gateway, "ringway_endpoint_connections", &labels, 1.0);
    drop(raw);
    reaches(&gateway, "ringway_connections", &[("listener", "http")], 0.0);
    reaches(&gateway, "ringway_connections_total", &[("listener", "http")], 1.0);
}

#[test]
fn failures_are_counted_by_cause() {
    let (dead, live) = (Origin::refusing(), Origin::named("a"));
    let toml = simple(&[&dead], "retry = { attempts = 1 }", "").replace(
        "routes = [{ path = \"/*\"",
        "routes = [{ path = \"/live/*\", upstream = \"live\" }, { path = \"/dead/*\"",
    );
    let gateway = Gateway::start(&format!("{toml}\n[upstream.live]\nendpoints = [\"{}\"]\n", live.addr()));
    for (path, status) in [("/dead/1", 502), ("/dead/2", 502), ("/none", 404), ("/live/1", 200)] {
        assert_eq!(get(gateway.http(), path).status, status);
    }
    let mut raw = Raw::connect(gateway.http());
    raw.send("nonsense\r\n\r\n");
    raw.read_response();
    let errors = "ringway_request_errors_total";
    reaches(&gateway, errors, &[("cause", "upstream_refused")], 2.0);
    reaches(&gateway, errors, &[("cause", "no_route")], 1.0);
    reaches(&gateway, errors, &[("cause", "bad_request")], 1.0);
    let metrics = reaches(&gateway, errors, &[], 4.0);
    assert!(metrics.sum(errors, &[("cause", "ok")]) < 0.5, "success is no error");
}

#[test]
fn every_exchange_in_the_log_is_in_the_metrics_and_the_reverse() {
    let origin = Origin::script(|conn| {
        while let Some(request) = conn.read_request() {
            match request.target.as_str() {
                "/close" => return,
                "/bad" => drop(conn.write("nonsense\r\n\r\n")),
                _ => drop(conn.write(ok("a"))),
            }
        }
    });
    let gateway = Gateway::start(&simple(&[&origin], "retry = { attempts = 1 }", ""));
    for n in 0..60 {
        let path = ["/", "/close", "/bad", "/x"][n % 4];
        let mut raw = Raw::connect(gateway.http());
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        if n % 5 == 4 { raw.reset() } else { drop(raw.read_response()) }
    }
    reaches(&gateway, "ringway_requests_in_flight", &[], 0.0);
    reaches(&gateway, "ringway_connections", &[], 0.0);
    // A client that resets at once may be gone before its head is read: then there was no exchange, in either count.
    let counted = gateway.metrics().sum(&format!("{SERVER}_count"), &[]);
    let logged = gateway.wait_log_lines(counted as usize, |_| true);
    assert_eq!(gateway.log_lines().len(), counted as usize);
    assert!(counted >= 48.0, "{counted} of at least 48");
    let failed = logged.iter().filter(|line| line.ended() != "ok").count();
    let errors = gateway.metrics().sum("ringway_request_errors_total", &[]);
    assert!((errors - failed as f64).abs() < 0.5, "{errors} counted, {failed} logged");
}

#[test]
fn the_process_shows_its_state() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    let metrics = gateway.metrics();
    assert!((metrics.get("ringway_config_last_reload_success", &[]) - 1.0).abs() < 1e-6);
    assert_eq!(metrics.labels("ringway_io_backend", "core"), ["0", "1"]);
    for io in metrics.labels("ringway_io_backend", "io") {
        assert!(matches!(io, "io_uring" | "epoll"), "{io}");
    }
    for name in ["ringway_panics_total", "ringway_core_restarts_total", "ringway_access_log_dropped_total"] {
        assert!(metrics.has(name) && metrics.sum(name, &[]) < 0.5, "{name}");
    }
}
