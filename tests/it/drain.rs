//! The end: what runs is finished within bounds, what is new goes elsewhere.

use crate::support::Broken;
use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Signal;
use crate::support::ok;
use crate::support::simple;

fn held(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::answer(move |request| {
        if request.target == "/held" {
            gate.wait();
        }
        ok("a")
    })
}

/// A gateway with one request at the gate, and the client that waits for it.
fn busy(gate: &Gate, origin: &Origin, drain: &str) -> (Gateway, Raw) {
    let process =
        format!("[process]\ncores = 2\nadmin = \"127.0.0.1:0\"\naccess_log = \"stdout\"\ndrain = \"{drain}\"\n");
    let gateway = Gateway::start(&(process + &simple(&[origin], "", "")));
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
    gate.wait_for_waiting(1);
    (gateway, raw)
}

#[test]
fn term_finishes_what_runs_and_asks_its_clients_to_leave() {
    let gate = Gate::new();
    let origin = held(&gate);
    let (mut gateway, mut raw) = busy(&gate, &origin, "30s");
    let mut idle = Raw::connect(gateway.http());
    idle.get("/");
    gateway.signal(Signal::Term);
    idle.expect_closed();
    raw.expect_silence();
    gate.open();
    let response = raw.read_response();
    assert_eq!((response.status, response.text(), response.closes()), (200, "a", true));
    raw.expect_closed();
    assert_eq!(gateway.wait_log(|line| line.path() == "/held").ended(), "ok");
    assert_eq!(gateway.wait_exit().code(), Some(0));
}

#[test]
fn a_draining_gateway_accepts_nobody() {
    let gate = Gate::new();
    let origin = held(&gate);
    let (mut gateway, mut raw) = busy(&gate, &origin, "30s");
    let mut idle = Raw::connect(gateway.http());
    idle.get("/");
    gateway.signal(Signal::Term);
    idle.expect_closed(); // by now it drains
    crate::support::eventually("new connections are refused", || std::net::TcpStream::connect(gateway.http()).is_err());
    gate.open();
    assert_eq!(raw.read_response().status, 200);
    assert_eq!(gateway.wait_exit().code(), Some(0));
}

#[test]
fn int_drains_as_term_does() {
    let gate = Gate::new();
    let origin = held(&gate);
    let (mut gateway, mut raw) = busy(&gate, &origin, "30s");
    gateway.signal(Signal::Int);
    gate.open();
    assert_eq!(raw.read_response().status, 200);
    assert_eq!(gateway.wait_exit().code(), Some(0));
}

#[test]
fn an_idle_gateway_ends_at_once_and_well() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.get("/");
    assert_eq!(gateway.stop().code(), Some(0));
    raw.expect_closed();
    origin.wait_for_open(0);
}

#[test]
fn a_drain_is_bounded_and_what_it_cuts_is_told() {
    let gate = Gate::new();
    let origin = held(&gate);
    let (mut gateway, mut raw) = busy(&gate, &origin, "300ms");
    gateway.signal(Signal::Term);
    match raw.try_read_response() {
        Ok(response) => assert_eq!(response.status, 503),
        Err(Broken::Closed | Broken::Cut(_)) => {}
        Err(broken) => panic!("{broken:?}"),
    }
    let line = gateway.wait_log(|line| line.path() == "/held");
    assert_eq!((line.ended(), line.str("who"), line.num("status")), ("drain", "gateway", 503));
    assert_eq!(gateway.wait_exit().code(), Some(0));
    gate.open();
}

#[test]
fn a_second_term_ends_at_once() {
    let gate = Gate::new();
    let origin = held(&gate);
    let (mut gateway, raw) = busy(&gate, &origin, "1h");
    let mut idle = Raw::connect(gateway.http());
    idle.get("/");
    gateway.signal(Signal::Term);
    idle.expect_closed();
    raw.expect_silence();
    gateway.signal(Signal::Term);
    assert_eq!(gateway.wait_exit().code(), Some(0));
    gate.open();
}

#[test]
fn quit_ends_at_once() {
    let gate = Gate::new();
    let origin = held(&gate);
    let (mut gateway, _raw) = busy(&gate, &origin, "1h");
    gateway.signal(Signal::Quit);
    assert_eq!(gateway.wait_exit().code(), Some(0));
    gate.open();
}

#[test]
fn a_body_on_its_way_is_finished_while_draining() {
    let gate = Gate::new();
    let wait = gate.clone();
    let origin = Origin::script(move |conn| {
        conn.read_request();
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf.");
        wait.wait();
        conn.write("other");
    });
    let mut gateway = Gateway::before(&[&origin]);
    let mut idle = Raw::connect(gateway.http());
    let mut raw = Raw::connect(gateway.http());
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut response = raw.read_head();
    gateway.signal(Signal::Term);
    idle.expect_closed();
    gate.open();
    raw.read_body(&mut response);
    assert_eq!(response.text(), "half.other");
    raw.expect_closed();
    assert_eq!(gateway.wait_exit().code(), Some(0));
}
