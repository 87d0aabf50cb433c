//! The demo, as somebody meets it who has nothing but the binary.

use ringway::address::Address;

use crate::support::Gateway;
use crate::support::Raw;
use crate::support::Scratch;
use crate::support::Signal;
use crate::support::eventually;

/// A demo on ports of the kernel's choice, found as its user finds it: by what it says to try.
fn demo() -> Gateway {
    let args = ["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let gateway = Gateway::launch_until(&args, Scratch::new(), |lines| {
        let to_try = |path: &str| {
            let line = lines.iter().find(|line| line.contains("curl http://") && line.contains(path))?;
            let (_, rest) = line.split_once("http://")?;
            rest.split('/').next()?.parse().ok()
        };
        Some((vec![("http".to_owned(), Address::Ip(to_try("/orders")?))], to_try("/v1/overview")?))
    });
    assert!(gateway.http().port() != 0 && gateway.admin().port() != 0, "nobody can try port 0:\n{}", gateway.printed());
    eventually("the demo serves", || {
        let raw = std::net::TcpStream::connect(gateway.admin());
        raw.is_ok() && gateway.ask("GET", "/readyz").status == 200
    });
    gateway
}

#[test]
fn three_services_answer_through_the_gateway_with_three_endpoints_each() {
    let gateway = demo();
    let mut raw = Raw::connect(gateway.http());
    for service in ["orders", "payments", "shipping"] {
        let answers = (0..30).map(|_| raw.get(&format!("/{service}")));
        let good = answers.filter(|response| response.status == 200).count();
        assert!(good >= 20, "{service}: {good} of 30");
        let endpoints = gateway.get_json(&format!("/v1/upstreams/{service}"));
        assert_eq!(endpoints["endpoints"].as_array().map(Vec::len), Some(3), "{endpoints}");
    }
}

#[test]
fn a_checkout_goes_from_service_to_service_through_the_gateway() {
    let gateway = demo();
    let mut raw = Raw::connect(gateway.http());
    let done = (0..10).any(|_| {
        raw.send("POST /orders/checkout HTTP/1.1\r\nHost: shop.example.com\r\nContent-Length: 0\r\n\r\n");
        raw.read_response().status == 200
    });
    assert!(done, "ten checkouts, and none came through");
    for upstream in ["orders", "payments", "shipping"] {
        eventually(upstream, || {
            let labels = [("upstream", upstream)];
            gateway.metrics().sum("http_client_request_duration_seconds_count", &labels) > 0.5
        });
    }
}

#[test]
fn it_prints_what_to_try_and_ends_cleanly_on_ctrl_c() {
    let mut gateway = demo();
    let mut raw = Raw::connect(gateway.http());
    eventually("a line of what happens", || {
        assert_eq!(raw.get("/orders").status, 200);
        gateway.stdout().iter().any(|line| line.contains("req/s") && line.contains("orders"))
    });
    gateway.signal(Signal::Int);
    assert_eq!(gateway.wait_exit().code(), Some(0));
}
