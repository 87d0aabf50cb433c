//! The text is what Prometheus reads, the sums are right, and the reference page is fresh.

#![expect(clippy::disallowed_methods, reason = "a test may wait for a disk")]

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::admin::fixture;
use crate::admin::scene::Refused;
use crate::id::UpstreamIndex;
use crate::model::HostPattern;
use crate::model::Passthrough;
use crate::model::Relay;
use crate::model::Way;

/// A sample: name, labels, value.
type Sample = (String, Vec<(String, String)>, f64);

/// Reads the exposition format strictly: every sample after the HELP and TYPE of its family, families not mixed.
fn parse(text: &str) -> Vec<Sample> {
    assert!(text.is_empty() || text.ends_with('\n'));
    let mut seen = BTreeSet::new();
    let (mut family, mut kind) = (String::new(), String::new());
    let mut samples = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(!help.is_empty() && seen.insert(name.to_owned()), "{line}");
            family = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, word) = rest.split_once(' ').unwrap();
            assert_eq!(name, family);
            assert!(["counter", "gauge", "histogram"].contains(&word));
            kind = word.to_owned();
        } else {
            let (name, labels, value) = sample(line);
            let suffix = name.strip_prefix(&family).unwrap_or_else(|| panic!("{line} stands under {family}"));
            let suffixes: &[&str] = if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.contains(&suffix), "{line}");
            samples.push((name, labels, value));
        }
    }
    samples
}

fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).unwrap();
    let name = &line[..end];
    assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'), "{line}");
    let mut labels = Vec::new();
    let mut rest = &line[end..];
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap();
            let mut value = String::new();
            let mut chars = after.char_indices();
            let close = loop {
                match chars.next().unwrap() {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match chars.next().unwrap().1 {
                        'n' => '\n',
                        c @ ('\\' | '"') => c,
                        c => panic!("\\{c} in {line}"),
                    }),
                    (_, c) => value.push(c),
                }
            };
            labels.push((label.to_owned(), value));
            rest = &after[close + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').unwrap();
    }
    let value = rest.strip_prefix(' ').unwrap().parse().unwrap();
    (name.to_owned(), labels, value)
}

fn value(samples: &[Sample], name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let has = |all: &[(String, String)]| {
        all.len() == labels.len() && labels.iter().all(|(l, v)| all.iter().any(|(al, av)| al == l && av == v))
    };
    samples.iter().find(|(n, all, _)| n == name && has(all)).map(|(_, _, value)| *value)
}

#[test]
fn at_rest_every_metric_is_there_and_what_is_configured_counts_from_zero() {
    let mut model = fixture::model();
    let names = vec![(HostPattern::Any, UpstreamIndex(0))];
    let (hello_bytes, timeout) = (1024, Duration::from_secs(1));
    let way = Way::Passthrough(Passthrough { names, hello_bytes, timeout });
    model.listeners[0].relay = Some(Relay { way, idle: timeout });
    model.upstreams.iter_mut().for_each(|upstream| upstream.limits.adaptive = true);
    let text = render(&fixture::reading(model, 2), "");
    let samples = parse(&text);
    for Family { name, kind, labels, .. } in table::FAMILIES {
        assert!(text.contains(&format!("# TYPE {name} {}\n", kind.word())), "{name}");
        let of: Vec<_> = samples.iter().filter(|(n, _, _)| n == name).collect();
        // Durations are the only series that first have to occur; and here nobody shows a certificate, or orders one.
        let certificates = ["ringway_tls_certificate_not_after_seconds", "ringway_acme_"];
        let absent = *kind == Kind::Histogram || certificates.iter().any(|of| name.starts_with(of));
        assert_eq!(of.is_empty(), absent, "{name}");
        for (_, values, _) in of {
            assert_eq!(values.iter().map(|(label, _)| label.as_str()).collect::<Vec<_>>(), *labels, "{name}");
        }
        assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
    }
    assert_eq!(
        samples.iter().filter(|(n, _, _)| n == "ringway_request_errors_total").count(),
        Cause::ALL.iter().filter(|cause| cause.is_error()).count()
    );
    assert_eq!(value(&samples, "ringway_connections", &[("listener", "http")]), Some(0.0));
    assert_eq!(value(&samples, "ringway_connections", &[("listener", "_other")]), None);
    let endpoint = [("upstream", "orders"), ("endpoint", "127.0.1.2:80")];
    assert_eq!(value(&samples, "ringway_endpoint_attempts_total", &endpoint), Some(0.0));
    assert_eq!(value(&samples, "ringway_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), Some(1.0));
    assert_eq!(value(&samples, "ringway_config_last_reload_timestamp_seconds", &[]), Some(1000.0));
}

#[test]
fn what_the_cores_count_is_summed_and_labelled() {
    let mut reading = fixture::reading(fixture::model(), 2);
    let snapshot = reading.scene.snapshot.clone();
    let route = snapshot.routes[1].slot;
    let upstream = &snapshot.upstreams[0];
    for (core, times) in [(0, 1), (1, 2)] {
        let slab = &reading.cores[core].slab;
        for _ in 0..times {
            slab.route(route).observe(2, 1, 1, 7_000);
            slab.upstream(upstream.slot).observe(5, 20_000_000);
            slab.upstream(upstream.slot).retries.add(1);
            slab.endpoint(upstream.endpoints[1].slot).failures.add(1);
            slab.listener(snapshot.listeners[0].slot).open.add(1);
            slab.causes[Cause::NoRoute as usize].add(1);
            slab.exchanges.add(10);
            slab.log_dropped.add(100);
        }
    }
    reading.cores[1].slab.loop_lag_us.set(1_500);
    reading.cores[0].slab.route(crate::id::RouteSlot(0)).observe(9, 3, 0, 1);
    reading.log_dropped = 5;
    let samples = parse(&render(&reading, ""));
    let labels =
        [("route", "shop.example /payments/*"), ("method", "POST"), ("status_class", "2xx"), ("protocol", "1.1")];
    let bucket =
        |le| value(&samples, "http_server_request_duration_seconds_bucket", &[&labels[..], &[("le", le)]].concat());
    assert_eq!(
        [bucket("0.005"), bucket("0.01"), bucket("1"), bucket("10"), bucket("+Inf")].map(Option::unwrap),
        [0.0, 3.0, 3.0, 3.0, 3.0]
    );
    assert_eq!(value(&samples, "http_server_request_duration_seconds_sum", &labels), Some(0.021));
    assert_eq!(value(&samples, "http_server_request_duration_seconds_count", &labels), Some(3.0));
    let other = [("route", "_other"), ("method", "_OTHER"), ("status_class", "4xx"), ("protocol", "1.0")];
    assert_eq!(value(&samples, "http_server_request_duration_seconds_count", &other), Some(1.0));
    let failed = [("upstream", "orders"), ("status_class", "none")];
    assert_eq!(value(&samples, "http_client_request_duration_seconds_sum", &failed), Some(60.0));
    let above = [&failed[..], &[("le", "10")]].concat();
    assert_eq!(value(&samples, "http_client_request_duration_seconds_bucket", &above), Some(0.0));
    for (name, labels, expected) in [
        ("ringway_retries_total", &[("upstream", "orders")][..], 3.0),
        ("ringway_retries_total", &[("upstream", "payments")], 0.0),
        ("ringway_endpoint_failures_total", &[("upstream", "orders"), ("endpoint", "127.0.1.2:80")], 3.0),
        ("ringway_connections", &[("listener", "http")], 3.0),
        ("ringway_request_errors_total", &[("cause", "no_route"), ("who", "gateway")], 3.0),
        ("ringway_requests_total", &[], 30.0),
        ("ringway_access_log_dropped_total", &[], 305.0),
        ("ringway_core_loop_lag_seconds", &[("core", "1")], 0.0015),
    ] {
        assert_eq!(value(&samples, name, labels), Some(expected), "{name} {labels:?}");
    }
}

#[test]
fn histograms_are_cumulative_and_end_in_their_count() {
    let reading = fixture::reading(fixture::model(), 1);
    for (step, us) in (0..40).map(|step| (step, 1_u64 << step.min(25))) {
        reading.cores[0].slab.route(reading.scene.snapshot.routes[0].slot).observe(0, step % 5, 1, us);
    }
    let samples = parse(&render(&reading, "http_server"));
    let mut series: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    let mut counts = 0.0;
    for (name, mut labels, value) in samples {
        let le = labels.iter().position(|(label, _)| label == "le").map(|at| labels.remove(at).1);
        let series = series.entry(format!("{labels:?}")).or_insert((f64::NEG_INFINITY, 0.0));
        match (name.as_str(), le) {
            ("http_server_request_duration_seconds_bucket", Some(le)) => {
                let le = le.parse::<f64>().unwrap();
                assert!(le > series.0 && value >= series.1);
                *series = (le, value);
            }
            ("http_server_request_duration_seconds_count", None) => {
                assert_eq!(*series, (f64::INFINITY, value));
                counts += value;
            }
            ("http_server_request_duration_seconds_sum", None) => assert!(value > 0.0),
            (name, _) => panic!("{name}"),
        }
    }
    assert_eq!((series.len(), counts), (5, 40.0));
}

#[test]
fn label_values_may_hold_anything() {
    let mut model = fixture::model();
    model.upstreams[0].name = "a\"b\\c\nd".into();
    let samples = parse(&render(&fixture::reading(model, 1), "ringway_retries"));
    assert_eq!(value(&samples, "ringway_retries_total", &[("upstream", "a\"b\\c\nd")]), Some(0.0));
}

#[test]
fn only_keeps_what_begins_so() {
    let reading = fixture::reading(fixture::model(), 1);
    for (only, families) in
        [("", table::FAMILIES.len()), ("ringway_config_", 3), ("nothing", 0), ("ringway_panics_total", 1)]
    {
        assert_eq!(render(&reading, only).matches("# TYPE ").count(), families, "{only}");
    }
}

#[test]
fn what_left_the_configuration_is_shown_as_long_as_it_means_something() {
    let mut slots = crate::snapshot::slots::Slots::default();
    let mut model = fixture::model();
    model.listeners.push(fixture::listener("old", "127.0.0.1:0"));
    model.listeners.push(fixture::listener("unused", "127.0.0.1:0"));
    let before = crate::snapshot::Snapshot::compile(model, &mut slots);
    let mut model = fixture::model();
    model.upstreams[0] = fixture::upstream("orders", &["127.0.1.1:80"]);
    let mut reading = fixture::reading(model.clone(), 1);
    let after = crate::snapshot::Snapshot::compile(model, &mut slots);
    let mut scene = (*reading.scene).clone();
    scene.labels = crate::admin::scene::Labels::of(&slots, Some(&scene.labels));
    scene.snapshot = std::sync::Arc::new(after);
    scene.reload.refused = Some(Refused { text: String::new(), faults: serde_json::Value::Null });
    reading.scene = std::sync::Arc::new(scene);
    let slab = reading.cores[0].slab.clone();
    slab.listener(before.listeners[1].slot).accepted.add(4);
    let gone = slab.endpoint(before.upstreams[0].endpoints[1].slot);
    gone.attempts.add(9);
    gone.connections.add(1);
    let endpoint = [("upstream", "orders"), ("endpoint", "127.0.1.2:80")];
    let samples = parse(&render(&reading, "ringway_"));
    assert_eq!(value(&samples, "ringway_connections_total", &[("listener", "old")]), Some(4.0));
    assert_eq!(value(&samples, "ringway_connections_total", &[("listener", "unused")]), None);
    assert_eq!(value(&samples, "ringway_endpoint_attempts_total", &endpoint), Some(9.0));
    assert_eq!(value(&samples, "ringway_config_last_reload_success", &[]), Some(0.0));
    assert_eq!(value(&samples, "ringway_config_sequence", &[]), Some(2.0));
    gone.connections.sub(1);
    let samples = parse(&render(&reading, "ringway_"));
    assert_eq!(value(&samples, "ringway_endpoint_attempts_total", &endpoint), None);
}

#[test]
fn every_label_is_explained_and_nothing_else() {
    let used: BTreeSet<_> = table::FAMILIES.iter().flat_map(|family| family.labels).copied().chain(["le"]).collect();
    let explained: BTreeSet<_> = labels::LABELS.iter().map(|(label, _)| *label).collect();
    assert_eq!(used, explained);
}

#[test]
fn the_reference_page_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/metrics.md");
    if std::env::var_os("RINGWAY_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, reference()).unwrap();
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(page == reference(), "{} is stale: run the test with RINGWAY_BLESS=1", path.display());
}

#[test]
fn ten_thousand_routes_are_one_text() {
    let mut model = fixture::model();
    let paths: Vec<String> = (0..10_000).map(|n| format!("/r{n}")).collect();
    let routes: Vec<(&str, u32)> = paths.iter().map(|path| (path.as_str(), 0)).collect();
    model.hosts = vec![fixture::host("shop.example", &routes)];
    let reading = fixture::reading(model, 2);
    for core in &reading.cores {
        for route in &reading.scene.snapshot.routes {
            core.slab.route(route.slot).observe(0, 1, 1, 100);
        }
    }
    let text = render(&reading, "http_server");
    assert_eq!(text.matches("_count{").count(), 10_000);
    assert_eq!(text.matches("_count{route=\"shop.example /r9999/*\"").count(), 1);
}
