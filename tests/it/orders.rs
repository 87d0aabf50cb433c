//! An operator's orders to endpoints: drain, down, ready, and weights.

use serde_json::Value;

use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Response;
use crate::support::Scratch;
use crate::support::eventually;
use crate::support::get;
use crate::support::ok;
use crate::support::simple;

fn patch(gateway: &Gateway, upstream: &str, endpoint: &str, body: &str) -> Response {
    let mut raw = Raw::connect(gateway.admin());
    raw.send(format!(
        "PATCH /v1/upstreams/{upstream}/endpoints/{endpoint} HTTP/1.1\r\nHost: {}\r\nContent-Length: {}\r\n\r\n{body}",
        gateway.admin(),
        body.len()
    ));
    raw.read_response()
}

/// Gives an order to an endpoint of the upstream `app`, which is carried out; says what came of it.
#[track_caller]
pub fn ordered(gateway: &Gateway, endpoint: &str, body: &str) -> Value {
    let response = patch(gateway, "app", endpoint, body);
    assert_eq!(response.status, 200, "{}", response.text());
    serde_json::from_str(response.text()).unwrap()
}

/// Who answers so many requests, each on a connection of its own, so that all cores are asked.
fn answers(gateway: &Gateway, n: usize) -> Vec<String> {
    (0..n).map(|_| get(gateway.http(), "/").text().to_owned()).collect()
}

fn count(answers: &[String], name: &str) -> usize {
    answers.iter().filter(|answer| *answer == name).count()
}

#[test]
fn an_endpoint_is_drained_taken_down_and_brought_back_at_once() {
    let origins = Origin::fleet(&["a", "b"]);
    let toml = simple(&[&origins[0], &origins[1]], "balance = \"round_robin\"", "");
    let gateway = Gateway::start(&toml);
    let b = origins[1].addr().to_string();
    for (body, state) in [(r#"{"state":"drain"}"#, "drain"), (r#"{"state":"down"}"#, "down")] {
        let answer = ordered(&gateway, &b, body);
        assert_eq!((&answer["state"], &answer["changed"]), (&state.into(), &true.into()));
        assert_eq!(count(&answers(&gateway, 12), "b"), 0, "{state}");
        assert_eq!(ordered(&gateway, &b, body)["changed"], false);
        let shown = gateway.get_json("/v1/upstreams/app");
        assert_eq!(shown["endpoints"][1]["order"], state);
        assert_eq!((&shown["endpoints"][1]["eligible"], &shown["eligible"]), (&false.into(), &1.into()));
        assert!(shown["endpoints"][1]["why_not"][0].as_str().unwrap().contains("operator"), "{shown}");
    }
    // A reload knows nothing of orders, and changes none.
    assert_eq!(gateway.reload(&toml).status, 200);
    assert_eq!(count(&answers(&gateway, 12), "b"), 0);
    ordered(&gateway, &b, r#"{"state":"ready"}"#);
    eventually("it takes requests again", || count(&answers(&gateway, 4), "b") > 0);
    let mut raw = Raw::connect(gateway.admin());
    raw.send(format!("GET /v1/events HTTP/1.1\r\nHost: {}\r\nLast-Event-ID: 0\r\n\r\n", gateway.admin()));
    let mut text = String::new();
    while !text.contains("\"to\":\"ready\"") {
        text.push_str(&String::from_utf8(raw.read_some()).unwrap());
    }
    assert_eq!(text.matches("event: order\n").count(), 3, "{text}");
    let metrics = gateway.metrics();
    assert!((metrics.get("ringway_endpoint_changes_total", &[("to", "ordered")]) - 3.0).abs() < 0.5);
}

#[test]
fn a_weight_holds_on_all_cores_until_it_is_taken_back() {
    let origins = Origin::fleet(&["a", "b"]);
    let gateway = Gateway::start(&simple(&[&origins[0], &origins[1]], "balance = \"round_robin\"", ""));
    let b = origins[1].addr().to_string();
    let answer = ordered(&gateway, &b, r#"{"weight":9}"#);
    assert_eq!(
        (&answer["weight"], &answer["weight_ordered"], &answer["state"]),
        (&9.into(), &9.into(), &"ready".into())
    );
    let mut raw = Raw::connect(gateway.http());
    let mut share = || (0..40).filter(|_| raw.get("/").text() == "b").count();
    eventually("nine in ten", || share() == 36);
    assert_eq!(gateway.get_json("/v1/upstreams/app")["endpoints"][1]["weight_in_force"], 9);
    ordered(&gateway, &b, r#"{"state":"ready"}"#);
    assert_eq!(share(), 36, "what is not named stays as it is");
    assert_eq!(ordered(&gateway, &b, r#"{"weight":null}"#)["weight"], 1);
    eventually("a half", || share() == 20);
}

#[test]
fn endpoints_of_every_kind_are_found_by_their_address() {
    let scratch = Scratch::new();
    let unix = Origin::answer_at(&format!("unix:{}/a.sock", scratch.path().display()), |_| ok("unix"));
    let six = Origin::answer_at("[::1]:0", |_| ok("six"));
    let gateway = Gateway::start(&simple(&[&unix, &six], "balance = \"round_robin\"", ""));
    let path = unix.address().to_string();
    let encoded = path.replace(':', "%3A").replace('/', "%2F");
    for written in [path.as_str(), &encoded] {
        ordered(&gateway, written, r#"{"state":"down"}"#);
        assert_eq!(count(&answers(&gateway, 8), "unix"), 0);
        ordered(&gateway, written, r#"{"state":"ready"}"#);
    }
    let address = six.addr().to_string();
    for written in
        [address.clone(), address.replace('[', "%5B").replace(']', "%5d"), address.replace("::1", "0:0:0::1")]
    {
        ordered(&gateway, &written, r#"{"state":"drain"}"#);
        assert_eq!(count(&answers(&gateway, 8), "six"), 0, "{written}");
        ordered(&gateway, &written, r#"{"state":"ready"}"#);
    }
}

#[test]
fn what_cannot_be_ordered_is_refused_with_what_could() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    let a = origin.addr().to_string();
    for (upstream, endpoint, body, status, part) in [
        ("ap", a.as_str(), r#"{"state":"down"}"#, 404, "did you mean `app`?"),
        ("app", "127.0.0.1:1", r#"{"state":"down"}"#, 404, a.as_str()),
        ("app", "x", r#"{"state":"down"}"#, 404, a.as_str()),
        ("app", &a, r#"{"sate":"down"}"#, 422, "did you mean `state`?"),
        ("app", &a, r#"{"state":"off"}"#, 422, "ready"),
        ("app", &a, r#"{"weight":0}"#, 422, "1 to 1000"),
        ("app", &a, "{}", 422, "nothing to change"),
        ("app", &a, "state=down", 422, "not JSON"),
    ] {
        let response = patch(&gateway, upstream, endpoint, body);
        assert_eq!(response.status, status, "{upstream} {endpoint} {body}: {}", response.text());
        assert!(response.text().contains(part), "{}", response.text());
    }
    assert_eq!(patch(&gateway, "app", &a, &" ".repeat(5000)).status, 413);
    let mut raw = Raw::connect(gateway.admin());
    raw.send(format!(
        "PATCH /v1/upstreams/app/endpoints/{a} HTTP/1.1\r\nHost: {}\r\nOrigin: http://evil.example\r\nContent-Length: 16\r\n\r\n\
         {{\"state\":\"down\"}}",
        gateway.admin()
    ));
    assert_eq!(raw.read_response().status, 403);
    assert_eq!(get(gateway.http(), "/").text(), "a");
}
