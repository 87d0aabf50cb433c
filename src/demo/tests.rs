//! The services as any client sees them: raw bytes over a socket, and a scripted stand-in for the gateway.
#![allow(clippy::disallowed_methods, reason = "a test may wait")]

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use super::*;
use crate::demo::answer::Answer;

/// One request on a connection of its own; what came back, raw.
fn raw(address: SocketAddr, request: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

fn ask(address: SocketAddr, method: &str, path: &str) -> (u16, Value) {
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: demo\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}");
    let bytes = raw(address, &request);
    let Answer { status, body } = answer::read(&bytes, true).unwrap().unwrap();
    assert_eq!(body.last(), Some(&b'\n'));
    (status, serde_json::from_slice(&body).unwrap())
}

fn nowhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn address(services: &Services, service: Service, number: usize) -> SocketAddr {
    services.addresses.iter().filter(|(of, _)| *of == service).nth(number - 1).unwrap().1
}

#[test]
fn every_endpoint_answers_its_paths_and_says_who_it_is() {
    let services = Services::start(nowhere()).unwrap();
    for (service, paths) in [
        (Service::Orders, &[("GET", "/orders", 200), ("GET", "/orders/7", 200)][..]),
        (Service::Payments, &[("GET", "/payments", 200), ("POST", "/payments/charge", 200)]),
        (Service::Shipping, &[("GET", "/shipping", 200), ("POST", "/shipping/labels", 201)]),
    ] {
        for number in 1..=ENDPOINTS {
            let address = address(&services, service, number);
            let others = [("GET", "/healthz", 200), ("GET", "/elsewhere", 404)];
            for (method, path, expected) in paths.iter().copied().chain(others) {
                let (status, said) = ask(address, method, path);
                assert_eq!(status, expected, "{method} {path}");
                assert_eq!(said["service"], service.name());
                assert_eq!(said["endpoint"], format!("{}-{number}", service.name()));
                assert_eq!(said["port"], address.port());
            }
        }
    }
    let (_, order) = ask(address(&services, Service::Orders, 1), "GET", "/orders/7");
    assert_eq!(order["order"]["id"], "7");
    services.stop();
}

#[test]
fn one_is_slow_and_one_fails_every_fourth_time() {
    let services = Services::start(nowhere()).unwrap();
    let began = Instant::now();
    ask(address(&services, Service::Orders, 3), "GET", "/orders");
    assert!(began.elapsed() >= Duration::from_millis(250));

    let failing = address(&services, Service::Payments, 3);
    let statuses: Vec<_> = (0..8)
        .map(|_| {
            // Whether it is alive is not among the requests that are counted.
            assert_eq!(ask(failing, "GET", "/healthz").0, 200);
            ask(failing, "POST", "/payments/charge").0
        })
        .collect();
    assert_eq!(statuses, [200, 200, 200, 503, 200, 200, 200, 503]);
    services.stop();
}

#[test]
fn the_stream_is_chunked_and_comes_line_by_line() {
    let services = Services::start(nowhere()).unwrap();
    let address = address(&services, Service::Orders, 1);
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(b"GET /orders/stream HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    let mut arrived = Vec::new();
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        if line.starts_with('{') {
            arrived.push(Instant::now());
        }
        text += &line;
        text += "\r\n";
    }
    assert!(text.to_ascii_lowercase().contains("transfer-encoding: chunked"), "{text}");
    assert_eq!(arrived.len(), 5);
    assert!(arrived[4] - arrived[0] >= Duration::from_millis(400), "the lines came all at once");
    assert_eq!(text.matches(r#""endpoint":"orders-1""#).count(), 5);
    services.stop();
}

/// A stand-in for the gateway: gives the scripted answers, one a connection, and returns what it was asked.
fn gateway(answers: &'static [(&'static str, &'static str)]) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let mut asked = Vec::new();
        for (status, body) in answers {
            let (stream, _) = listener.accept().unwrap();
            let mut stream = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                assert_ne!(stream.read_line(&mut head).unwrap(), 0);
            }
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
            let mut sent = vec![0; length.parse().unwrap()];
            stream.read_exact(&mut sent).unwrap();
            serde_json::from_slice::<Value>(&sent).unwrap();
            let length = body.len();
            write!(stream.get_mut(), "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}").unwrap();
            asked.push(head);
        }
        asked
    });
    (address, thread)
}

fn check_out(services: &Services) -> (u16, Value) {
    let request = "POST /orders/checkout HTTP/1.1\r\nHost: demo\r\nConnection: close\r\nX-Request-Id: id-7\r\n\
        traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nContent-Length: 0\r\n\r\n";
    let bytes = raw(address(services, Service::Orders, 1), request);
    let answer = answer::read(&bytes, true).unwrap().unwrap();
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

#[test]
fn a_checkout_asks_payments_then_shipping_through_the_gateway() {
    let (gateway, asked) =
        gateway(&[("200 OK", r#"{"endpoint":"payments-2"}"#), ("201 Created", r#"{"endpoint":"shipping-1"}"#)]);
    let services = Services::start(gateway).unwrap();
    let (status, said) = check_out(&services);
    assert_eq!(status, 200, "{said}");
    assert_eq!(said["payment"]["endpoint"], "payments-2");
    assert_eq!(said["shipping"]["endpoint"], "shipping-1");
    assert_eq!(said["endpoint"], "orders-1");
    let asked = asked.join().unwrap();
    assert!(asked[0].starts_with("POST /payments/charge HTTP/1.1\r\n"), "{}", asked[0]);
    assert!(asked[1].starts_with("POST /shipping/labels HTTP/1.1\r\n"), "{}", asked[1]);
    for head in asked {
        assert!(head.contains(&format!("\r\nHost: {gateway}\r\n")), "{head}");
        assert!(head.contains("\r\nx-request-id: id-7\r\n"), "{head}");
        assert!(
            head.contains("\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"),
            "{head}"
        );
    }
    services.stop();
}

#[test]
fn a_checkout_that_fails_says_why() {
    let (address, asked) = gateway(&[
        ("200 OK", r#"{"endpoint":"payments-2"}"#),
        ("503 Service Unavailable", "no endpoint of the service can take the request now"),
    ]);
    let services = Services::start(nowhere()).unwrap();
    let (status, said) = check_out(&services);
    assert_eq!((status, said["error"].as_str()), (502, Some("it is not known yet where the gateway is")));
    services.set_gateway(address);
    let (status, said) = check_out(&services);
    assert_eq!(status, 502);
    assert_eq!(said["payment"]["endpoint"], "payments-2");
    let error = said["error"].as_str().unwrap();
    assert!(error.starts_with("POST /shipping/labels through the gateway was answered 503: no endpoint"), "{error}");
    asked.join().unwrap();
    // The stand-in is gone by now.
    let (status, said) = check_out(&services);
    assert_eq!(status, 502);
    assert!(
        said["error"].as_str().unwrap().starts_with("POST /payments/charge through the gateway failed: "),
        "{said}"
    );
    services.stop();
}

#[test]
fn the_configuration_has_every_place_filled() {
    let services = Services::start(nowhere()).unwrap();
    let text = services.configuration("127.0.0.1:8080".parse().unwrap(), "[::1]:9901".parse().unwrap());
    let file: toml::Table = text.parse().unwrap();
    assert_eq!(file["process"]["admin"].as_str(), Some("[::1]:9901"));
    assert_eq!(file["listen"]["http"]["bind"].as_str(), Some("127.0.0.1:8080"));
    for service in Service::ALL {
        let endpoints = file["upstream"][service.name()]["endpoints"].as_array().unwrap();
        let addresses: Vec<SocketAddr> =
            endpoints.iter().map(|endpoint| endpoint.as_str().unwrap().parse().unwrap()).collect();
        assert_eq!(addresses, (1..=3).map(|number| address(&services, service, number)).collect::<Vec<_>>());
    }
    let open = text.match_indices('{').filter(|(at, _)| !text[at + 1..].starts_with(' '));
    assert_eq!(open.count(), 0, "a place was left open:\n{text}");
    services.stop();
}

#[test]
fn the_introduction_names_addresses_that_can_be_asked() {
    let text = introduction("0.0.0.0:8081".parse().unwrap(), "[::]:9902".parse().unwrap());
    assert!(text.contains("curl -X POST http://127.0.0.1:8081/orders/checkout"));
    assert!(text.contains("curl http://[::1]:9902/v1/overview"));
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
}
