//! Every path over a real socket, and the bounds of the interface.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;

use crate::admin::fixture;
use crate::admin::fixture::http;
use crate::admin::router::PATHS;
use crate::admin::scene::Answer;
use crate::admin::scene::Desk;
use crate::admin::scene::Reading;
use crate::admin::scene::Scene;
use crate::admin::scene::Standing;
use crate::admin::scene::Wish;
use crate::admin::server;
use crate::model::ProxyVersion;

/// A body that a PATCH may have.
const PATCH: &str = r#"{"state":"drain"}"#;

/// The interface on a thread of its own, until it is dropped.
struct Interface {
    at: SocketAddr,
    scene: watch::Sender<Arc<Scene>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Interface {
    /// Reloads are answered with 200 and `{"asked": true}`, checks with 422 if the text holds `wrong`.
    fn show(reading: Reading) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = socket.local_addr().unwrap();
        let (scene, seen) = watch::channel(reading.scene.clone());
        let (ask, mut asked) = mpsc::channel::<Wish>(1);
        let (end, ended) = oneshot::channel();
        let cores = reading.cores;
        let desk = Desk {
            scene: seen,
            cores: Box::new(move || cores.clone()),
            log_dropped: Box::new(|| 0),
            render: fixture::render,
            check: Arc::new(|text: &str| Answer {
                status: if text.contains("wrong") { 422 } else { 200 },
                body: json!({ "bytes": text.len() }),
            }),
            ask,
            found: reading.found,
            standings: watch::channel(reading.standings).1,
            book: reading.book,
            began: Instant::now(),
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                tokio::spawn(server::serve(server::listener(socket).unwrap(), Arc::new(desk)));
                tokio::spawn(async move {
                    while let Some(Wish::Reload(asker) | Wish::Order { asker, .. }) = asked.recv().await {
                        asker.send(Answer { status: 200, body: json!({ "asked": true }) }).unwrap();
                    }
                });
                let _ = ended.await;
            });
        });
        Self { at, scene, end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Interface {
    fn drop(&mut self) {
        drop(self.end.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

#[test]
fn every_path_answers_and_the_rest_says_what_there_is() {
    let interface = Interface::show(fixture::reading(fixture::model(), 2));
    for (method, path, _) in PATHS {
        let path = path.replace("{name}", "orders").replace("{address}", "127.0.1.1:80");
        if path == "/v1/events" {
            continue; // it does not end
        }
        let (status, body) = http(interface.at, method, &path, "", if method == "PATCH" { PATCH } else { "" });
        assert_eq!(status, 200, "{method} {path}: {body}");
        if path.starts_with("/v1") {
            assert!(serde_json::from_str::<Value>(&body).unwrap().is_object(), "{path}");
        }
        let other = if method == "GET" { "POST" } else { "GET" };
        let (status, body) = http(interface.at, other, &path, "", "");
        assert_eq!(status, 405, "{other} {path}");
        assert!(body.contains("/v1/upstreams/{name}"), "{body}");
    }
    assert_eq!(http(interface.at, "HEAD", "/livez", "", ""), (200, String::new()));
    for path in ["/nowhere", "/v1", "/v1/upstreams/nobody/x", "/metrics/"] {
        let (status, body) = http(interface.at, "GET", path, "", "");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status, 404, "{path}");
        assert_eq!(body["paths"].as_array().unwrap().len(), PATHS.len(), "{path}");
    }
    let (status, body) = http(interface.at, "GET", "/v1/upstreams/nobody", "", "");
    assert!(status == 404 && body.contains("`nobody`"), "{body}");
}

#[test]
fn readiness_follows_the_standing_and_the_cores() {
    let reading = fixture::reading(fixture::model(), 1);
    let interface = Interface::show(reading.clone());
    for (standing, status, word) in [
        (Standing::Starting, 503, "starting"),
        (Standing::Serving, 200, "ready"),
        (Standing::Draining, 503, "draining"),
    ] {
        let mut scene = (*reading.scene).clone();
        scene.standing = standing;
        interface.scene.send_replace(Arc::new(scene));
        let (got, body) = http(interface.at, "GET", "/readyz", "", "");
        assert!(got == status && body.contains(word), "{standing:?}: {got} {body}");
        assert_eq!(http(interface.at, "GET", "/livez", "", "").0, 200);
    }
    let mut reading = reading;
    reading.cores[0].stage = "ended";
    let interface = Interface::show(reading);
    assert_eq!(http(interface.at, "GET", "/readyz", "", ""), (503, "no core serves\n".into()));
}

#[test]
fn the_pages_say_what_is_set() {
    let mut model = fixture::model();
    model.listeners[0].client_connections_max = Some(7);
    model.upstreams[0].response.interim = 3;
    model.upstreams[0].min_rate = 1024;
    model.upstreams[0].proxy_protocol = Some(ProxyVersion::V2);
    let route = &mut model.hosts[0].routes[1];
    route.upgrade = vec!["websocket".into()];
    route.connect = true;
    route.response_timeout = Some(Duration::from_secs(5));
    route.body_timeout = Some(Duration::from_secs(6));
    route.tunnel_timeout = Some(Duration::from_secs(7));
    route.connect_timeout = Some(Duration::from_secs(1));
    route.total_timeout = Some(Duration::from_secs(8));
    route.min_rate = Some(0);
    route.response_rate = Some(2048);
    route.attempts = Some(4);
    let interface = Interface::show(fixture::reading(model, 1));
    let page = |path: &str| fixture::json(interface.at, path);
    for (path, pointer, expected) in [
        ("/v1/overview", "/listeners/0/client_connections_max", json!(7)),
        ("/v1/upstreams/orders", "/response", json!({ "head_bytes": 32_768, "fields": 200, "interim": 3 })),
        ("/v1/upstreams/orders", "/min_rate_bytes_per_second", json!(1024)),
        ("/v1/upstreams/orders", "/proxy_protocol", json!("v2")),
        ("/v1/upstreams/payments", "/proxy_protocol", Value::Null),
        ("/v1/routes", "/routes/1/upgrade", json!(["websocket"])),
        ("/v1/routes", "/routes/1/connect", json!(true)),
        (
            "/v1/routes",
            "/routes/1/timeout",
            json!({ "connect_ms": 1000, "response_ms": 5000, "body_ms": 6000, "tunnel_ms": 7000, "total_ms": 8000 }),
        ),
        ("/v1/routes", "/routes/1/min_rate_bytes_per_second", json!(0)),
        ("/v1/routes", "/routes/1/response_min_rate_bytes_per_second", json!(2048)),
        ("/v1/routes", "/routes/1/attempts", json!(4)),
    ] {
        assert_eq!(page(path).pointer(pointer), Some(&expected), "{path} {pointer}");
    }
}

#[test]
fn the_pages_say_what_the_cores_count() {
    let reading = fixture::reading(fixture::model(), 2);
    let snapshot = reading.scene.snapshot.clone();
    for core in &reading.cores {
        core.slab.route(snapshot.routes[0].slot).observe(0, 1, 1, 2_000);
        core.slab.route(snapshot.routes[0].slot).observe(0, 4, 1, 4_000);
        core.slab.endpoint(snapshot.upstreams[0].endpoints[0].slot).attempts.add(3);
        core.slab.upstream(snapshot.upstreams[0].slot).retries.add(1);
        core.slab.exchanges.add(2);
        core.slab.in_flight.add(1);
        core.slab.connections.add(4);
        core.slab.listener(snapshot.listeners[0].slot).open.add(4);
        core.slab.causes[crate::observe::ended::Cause::UpstreamReset as usize].add(1);
    }
    let interface = Interface::show(reading);
    let overview = fixture::json(interface.at, "/v1/overview");
    for (pointer, expected) in [
        ("/version", json!(env!("CARGO_PKG_VERSION"))),
        ("/pid", json!(std::process::id())),
        ("/standing", json!("serving")),
        ("/sequence", json!(1)),
        ("/last_reload", json!({ "ok": true, "at": 1000, "error": null, "faults": null })),
        ("/listeners/0/addresses", json!(["127.0.0.1:8080"])),
        ("/listeners/0/connections", json!(8)),
        ("/connections", json!(8)),
        ("/in_flight", json!(2)),
        ("/requests_total", json!(4)),
        ("/requests_by_class/2xx", json!(2)),
        ("/requests_by_class/5xx", json!(2)),
        ("/errors/upstream_reset", json!(2)),
        ("/errors/no_route", json!(0)),
    ] {
        assert_eq!(overview.pointer(pointer), Some(&expected), "{pointer}");
    }
    assert!(overview["errors"].get("ok").is_none());
    let routes = fixture::json(interface.at, "/v1/routes");
    assert_eq!(
        routes["routes"][0],
        json!({
            "label": "shop.example /orders/*", "host": "shop.example", "path": "/orders/*", "upstream": "orders",
            "max_body_bytes": null, "upgrade": [], "connect": false, "min_rate_bytes_per_second": null,
            "response_min_rate_bytes_per_second": null,
            "timeout": { "connect_ms": null, "response_ms": null, "body_ms": null, "tunnel_ms": null, "total_ms": null },
            "attempts": null,
            "requests": 4, "mean_ms": 3.0,
            "by_class": { "1xx": 0, "2xx": 2, "3xx": 0, "4xx": 0, "5xx": 2, "none": 0 },
        })
    );
    assert_eq!(routes["routes"][1]["mean_ms"], Value::Null);
    let orders = fixture::json(interface.at, "/v1/upstreams/orders");
    assert_eq!(orders, fixture::json(interface.at, "/v1/upstreams")["upstreams"][0]);
    assert_eq!(orders["retries"], 2);
    assert_eq!(orders["timeout"]["response_ms"], 15_000);
    assert_eq!(orders["endpoints"][0], an_endpoint_at_rest_but_for_attempts(6));
    let cores = fixture::json(interface.at, "/v1/cores");
    assert_eq!(
        cores["cores"][1],
        json!({
            "core": 1, "cpu": 1, "stage": "serving", "io": "io_uring", "flags": "single_issuer defer_taskrun",
            "reason": "", "fault": "", "acknowledged": 1, "late": false, "connections": 4, "parked": 0, "in_flight": 1,
            "exchanges": 2, "panics": 0, "restarts": 0, "loop_lag_us": 0,
        })
    );
}

fn an_endpoint_at_rest_but_for_attempts(attempts: u64) -> Value {
    json!({
        "address": "127.0.1.1:80", "weight": 1, "weight_in_force": 1, "zone": null, "priority": 0,
        "eligible": true, "why_not": [], "order": "ready",
        "health": { "state": "unknown", "since": null, "reason": null, "last": null },
        "ejection": {
            "out": false, "left_ms": null, "on_trial": false, "reason": null, "times": 0, "failures_in_row": 0,
        },
        "mean_ms": null, "penalty_ms": 0.0, "share_percent": 100,
        "connections": 0, "in_flight": 0, "attempts": attempts, "failures": 0, "opened": 0, "idle": 0,
    })
}

#[test]
fn the_configuration_is_shown_in_both_forms() {
    let interface = Interface::show(fixture::reading(fixture::model(), 1));
    let config = fixture::json(interface.at, "/v1/config");
    assert_eq!(
        config["config"],
        json!({ "process": { "connections_max": 1000 }, "upstream": { "orders": {}, "payments": {} } })
    );
    assert!(config["toml"].as_str().unwrap().starts_with("[process]\n"));
}

#[test]
fn a_check_is_judged_and_bounded() {
    let interface = Interface::show(fixture::reading(fixture::model(), 1));
    let check = |body: &str| http(interface.at, "POST", "/v1/check", "", body);
    assert_eq!(check("right"), (200, "{\n  \"bytes\": 5\n}\n".into()));
    assert_eq!(check("wrong").0, 422);
    let mebibyte = "x".repeat(1024 * 1024);
    assert_eq!(check(&mebibyte).0, 200);
    assert_eq!(check(&format!("{mebibyte}x")).0, 413);
}

#[test]
fn a_page_of_another_site_changes_nothing() {
    let interface = Interface::show(fixture::reading(fixture::model(), 1));
    let reload = |extra: &str| http(interface.at, "POST", "/v1/reload", extra, "").0;
    assert_eq!(reload(""), 200);
    assert_eq!(reload("Origin: http://evil.example\r\n"), 403);
    let mut stream = fixture::connect(interface.at);
    stream.write_all(b"POST /v1/reload HTTP/1.1\r\nHost: rebound.example\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
}

#[test]
fn connections_past_the_bound_wait_for_a_place() {
    let interface = Interface::show(fixture::reading(fixture::model(), 1));
    let ask = |stream: &mut std::net::TcpStream| {
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    };
    let mut byte = [0];
    let mut held: Vec<_> = (0..64).map(|_| fixture::connect(interface.at)).collect();
    for stream in &mut held {
        ask(stream);
        stream.read_exact(&mut byte).unwrap();
    }
    let mut late = fixture::connect(interface.at);
    ask(&mut late);
    late.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(late.read(&mut byte).is_err(), "the 65th connection is answered");
    held.pop();
    late.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    late.read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"H");
}
