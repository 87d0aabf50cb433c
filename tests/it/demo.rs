//! The demo, as somebody meets it who has nothing but the binary.

use crate::support::Gateway;
use crate::support::Raw;
use crate::support::Scratch;
use crate::support::Signal;
use crate::support::eventually;

/// A demo on ports of the kernel's choice, and the address of its gateway, as it tells its user.
fn demo() -> (Gateway, std::net::SocketAddr) {
    let gateway = Gateway::launch(&["demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"], Scratch::new());
    let line = gateway.wait_stdout(|line| line.contains("curl http://") && line.contains("/orders"));
    let addr = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap();
    let addr = addr.parse().expect("an address to try");
    (gateway, addr)
}

#[test]
fn three_services_answer_through_the_gateway_with_three_endpoints_each() {
    let (gateway, addr) = demo();
    let mut raw = Raw::connect(addr);
    for service in ["orders", "payments", "shipping"] {
        let answers = (0..30).map(|n| raw.get(&format!("/{service}/{n}")));
        let good = answers.filter(|response| response.status == 200).count();
        assert!(good >= 20, "{service}: {good} of 30");
        let endpoints = gateway.get_json(&format!("/v1/upstreams/{service}"));
        assert_eq!(endpoints["endpoints"].as_array().map(Vec::len), Some(3), "{endpoints}");
    }
}

#[test]
fn a_checkout_goes_from_service_to_service_through_the_gateway() {
    let (gateway, addr) = demo();
    let mut raw = Raw::connect(addr);
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
    let (mut gateway, addr) = demo();
    let line = gateway.wait_stdout(|line| line.contains("curl") && line.contains(&addr.to_string()));
    assert!(line.contains('/'), "{line}");
    gateway.signal(Signal::Int);
    assert_eq!(gateway.wait_exit().code(), Some(0));
}
