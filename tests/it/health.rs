//! Active checks: who answers them takes requests, who does not takes none, and everybody can see why.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;

use serde_json::Value;

use crate::support::Events;
use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Request;
use crate::support::Scratch;
use crate::support::eventually;
use crate::support::get;
use crate::support::ok;
use crate::support::simple;

/// Checks that follow each other soon, and at once while there is doubt.
const QUICK: &str = "interval = \"1s\", doubt = \"20ms\", timeout = \"1s\"";

/// An endpoint's part of `/v1/upstreams/app`.
fn endpoint(gateway: &Gateway, place: usize) -> Value {
    gateway.get_json("/v1/upstreams/app")["endpoints"][place].clone()
}

#[track_caller]
fn becomes(gateway: &Gateway, place: usize, state: &str) -> Value {
    let mut last = Value::Null;
    eventually(&format!("endpoint {place} is {state}"), || {
        last = endpoint(gateway, place);
        last["health"]["state"] == state
    });
    last
}

/// Answers requests with its name, and checks with 200 as long as it is well.
fn patient(name: &'static str, well: &Arc<AtomicBool>) -> Origin {
    let well = well.clone();
    Origin::answer(move |request| match request.target.as_str() {
        "/healthz" if well.load(SeqCst) => ok("I am well"),
        "/healthz" => "HTTP/1.1 503 Ill\r\nContent-Length: 0\r\n\r\n".to_owned(),
        _ => ok(name),
    })
}

fn checks(origin: &Origin) -> Vec<Request> {
    origin.requests().into_iter().filter(|request| request.target == "/healthz").collect()
}

#[test]
fn an_endpoint_that_fails_its_checks_gets_no_requests_until_it_passes_them_again() {
    let (ill, well) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
    let origins = [patient("a", &well), patient("b", &ill)];
    let health = format!("health = {{ path = \"/healthz\", {QUICK}, rise = 2, fall = 3 }}\nbalance = \"round_robin\"");
    let gateway = Gateway::start(&simple(&[&origins[0], &origins[1]], &health, ""));
    becomes(&gateway, 0, "up");
    becomes(&gateway, 1, "up");
    ill.store(false, SeqCst);
    let shown = becomes(&gateway, 1, "down");
    assert_eq!(shown["health"]["reason"], "3 checks in a row were bad: status 503");
    assert_eq!((&shown["eligible"], &shown["health"]["last"]["good"]), (&false.into(), &false.into()));
    assert!(shown["why_not"][0].as_str().unwrap().contains("status 503"), "{shown}");
    // A core takes note with its next choice; what was chosen before may still be under way on no core here.
    let answers: Vec<_> = (0..20).map(|_| get(gateway.http(), "/").text().to_owned()).collect();
    assert!(answers.iter().all(|answer| answer == "a"), "{answers:?}");
    let metrics = gateway.metrics();
    let address = origins[1].addr().to_string();
    assert!(metrics.get("ringway_endpoint_health", &[("endpoint", &address)]).abs() < 0.5);
    assert!(metrics.get("ringway_endpoint_eligible", &[("endpoint", &address)]).abs() < 0.5);
    assert!(metrics.get("ringway_endpoint_changes_total", &[("upstream", "app"), ("to", "down")]) > 0.5);
    gateway.wait_stderr("3 checks in a row were bad: status 503");
    ill.store(true, SeqCst);
    let shown = becomes(&gateway, 1, "up");
    assert_eq!(shown["health"]["reason"], "2 checks in a row were good: status 200");
    eventually("both answer", || get(gateway.http(), "/").text() == "b");
    let request = checks(&origins[1]).remove(0);
    assert_eq!(request.method, "GET");
    let host =
        request.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("host")).map(|(_, value)| value.clone());
    assert_eq!(host.as_deref(), Some(address.as_str()));
}

#[test]
fn a_check_asks_what_it_is_told_to_ask_and_wants_what_it_is_told_to_want() {
    let answers = Origin::answer(|request| match (request.method.as_str(), request.target.as_str()) {
        ("HEAD", "/deep?x=1") => "HTTP/1.1 418 Teapot\r\nContent-Length: 9\r\n\r\n".to_owned(),
        _ => ok("not that"),
    });
    let health = format!(
        "health = {{ path = \"/deep?x=1\", method = \"HEAD\", host = \"shop.example\", status = [\"418\"], {QUICK}, fall = 1 }}"
    );
    let gateway = Gateway::start(&simple(&[&answers], &health, ""));
    becomes(&gateway, 0, "up");
    let fields = answers.wait_for(1).fields;
    assert!(
        fields.iter().any(|(name, value)| name.eq_ignore_ascii_case("host") && value == "shop.example"),
        "{fields:?}"
    );
    for (body, state) in [("not that", "up"), ("this", "down")] {
        let health = format!("health = {{ path = \"/\", body = \"{body}\", {QUICK}, fall = 1, rise = 1 }}");
        assert_eq!(gateway.reload(&simple(&[&answers], &health, "")).status, 200);
        becomes(&gateway, 0, state);
    }
    assert!(endpoint(&gateway, 0)["health"]["reason"].as_str().unwrap().contains("does not contain"));
}

#[test]
fn a_connection_is_enough_for_a_tcp_check() {
    let mut origin = Origin::named("a");
    let health = format!("health = {{ tcp = true, {QUICK}, fall = 2, rise = 2 }}");
    let gateway = Gateway::start(&simple(&[&origin], &health, ""));
    becomes(&gateway, 0, "up");
    origin.stop();
    let shown = becomes(&gateway, 0, "down");
    assert_eq!(shown["health"]["reason"], "2 checks in a row were bad: no connection: refused");
    origin.restart();
    becomes(&gateway, 0, "up");
    assert_eq!(get(gateway.http(), "/").text(), "a");
    assert!(origin.requests().len() <= 1, "a connection, and no more");
}

#[test]
fn a_unix_socket_is_checked_like_any_other() {
    let scratch = Scratch::new();
    let mut origin = Origin::answer_at(&format!("unix:{}/a.sock", scratch.path().display()), |_| ok("a"));
    let health = format!("health = {{ path = \"/healthz\", {QUICK}, fall = 1, rise = 1 }}");
    let gateway = Gateway::start(&simple(&[&origin], &health, ""));
    becomes(&gateway, 0, "up");
    origin.stop();
    becomes(&gateway, 0, "down");
    origin.restart();
    becomes(&gateway, 0, "up");
}

#[test]
fn another_port_may_speak_for_an_endpoint() {
    let well = Arc::new(AtomicBool::new(true));
    let (serves, speaks) = (Origin::named("a"), patient("not this one", &well));
    let health = format!("health = {{ path = \"/healthz\", port = {}, {QUICK}, fall = 1 }}", speaks.addr().port());
    let gateway = Gateway::start(&simple(&[&serves], &health, ""));
    becomes(&gateway, 0, "up");
    assert_eq!(get(gateway.http(), "/").text(), "a");
    assert!(checks(&serves).is_empty());
    well.store(false, SeqCst);
    becomes(&gateway, 0, "down");
}

#[test]
fn who_is_initially_down_waits_for_a_first_good_check() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::answer(move |request| {
        if request.target == "/healthz" {
            held.wait();
        }
        ok("a")
    });
    let health = format!("health = {{ path = \"/healthz\", {QUICK}, rise = 2, initially = \"down\" }}\npanic = 0");
    let gateway = Gateway::start(&simple(&[&origin], &health, ""));
    gate.wait_for_waiting(1);
    assert_eq!(endpoint(&gateway, 0)["health"]["state"], "down");
    assert_eq!(get(gateway.http(), "/").status, 503);
    gate.open();
    becomes(&gateway, 0, "up");
    eventually("it answers", || get(gateway.http(), "/").text() == "a");
}

#[test]
fn a_reload_keeps_what_is_known() {
    let well = Arc::new(AtomicBool::new(true));
    let (origin, other) = (patient("a", &well), patient("b", &well));
    // Once up, it is not asked again while the test runs.
    let health =
        "health = { path = \"/healthz\", interval = \"1h\", doubt = \"20ms\", initially = \"down\" }\npanic = 0";
    let gateway = Gateway::start(&simple(&[&origin], health, ""));
    becomes(&gateway, 0, "up");
    let asked = checks(&origin).len();
    for _ in 0..3 {
        assert_eq!(gateway.reload(&simple(&[&origin], &format!("{health}\nslow_start = \"0s\""), "")).status, 200);
        assert_eq!(get(gateway.http(), "/").text(), "a");
    }
    assert_eq!(gateway.reload(&simple(&[&other, &origin], health, "")).status, 200);
    assert_eq!(endpoint(&gateway, 1)["health"]["state"], "up");
    becomes(&gateway, 0, "up");
    assert_eq!(checks(&origin).len(), asked, "what did not change is not asked anew");
    assert_eq!(gateway.reload(&simple(&[&origin], "", "")).status, 200);
    assert_eq!(endpoint(&gateway, 0)["health"]["state"], "unknown");
}

#[test]
fn garbage_silence_and_drips_are_failures_in_words() {
    for (bytes, part) in [
        ("SSH-2.0-x\r\n", "not HTTP/1"),
        ("", "closed without a response"),
        ("HTTP/1.1 200 OK\r\nA: b", "within a response head"),
        ("HTTP/1.1 20000 OK\r\n\r\n", "ill-formed"),
    ] {
        let origin = Origin::script(move |conn| {
            conn.read_head();
            conn.write(bytes);
        });
        let health = format!("health = {{ path = \"/\", {QUICK}, fall = 1 }}");
        let gateway = Gateway::start(&simple(&[&origin], &health, ""));
        let shown = becomes(&gateway, 0, "down");
        assert!(shown["health"]["reason"].as_str().unwrap().contains(part), "{shown}");
    }
    let drips = Origin::script(|conn| {
        conn.read_head();
        conn.write("HTTP/1.1 200 OK\r\nA: ");
        while conn.write("x") {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    });
    let health = "health = { path = \"/\", interval = \"100ms\", timeout = \"100ms\", fall = 1 }";
    let gateway = Gateway::start(&simple(&[&drips], health, ""));
    let shown = becomes(&gateway, 0, "down");
    assert!(shown["health"]["reason"].as_str().unwrap().contains("within 100ms"), "{shown}");
}

/// A gRPC server that answers each call with this status of the health service.
struct Grpc {
    address: SocketAddr,
    serves: Arc<AtomicBool>,
    connections: Arc<AtomicUsize>,
    calls: Arc<AtomicUsize>,
}

impl Grpc {
    fn start() -> Self {
        Self::begun_by(b"", usize::MAX)
    }

    /// One whose connections begin with these bytes, and end after so many calls.
    fn begun_by(opening: &'static [u8], each: usize) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (serves, connections, calls) = (Arc::new(AtomicBool::new(true)), Arc::default(), Arc::default());
        let own = Self { address, serves: serves.clone(), connections, calls };
        let (connections, calls) = (own.connections.clone(), own.calls.clone());
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    connections.fetch_add(1, SeqCst);
                    tokio::spawn(converse(stream, opening, each, serves.clone(), calls.clone()));
                }
            });
        });
        own
    }

    /// The configuration of a gateway before it that checks it all the time, and takes one bad check seriously.
    fn toml(&self, service: &str, app: &str) -> String {
        let health = format!(
            "health = {{ grpc = \"{service}\", interval = \"200ms\", doubt = \"20ms\", timeout = \"200ms\", fall = 1, rise = 1 }}\n{app}"
        );
        simple(&[], &health, "").replace("endpoints = []", &format!("endpoints = [\"{}\"]", self.address))
    }
}

async fn converse(
    mut stream: tokio::net::TcpStream,
    opening: &'static [u8],
    each: usize,
    serves: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
) {
    let mut begun = vec![0; opening.len()];
    let read = tokio::io::AsyncReadExt::read_exact(&mut stream, &mut begun).await;
    if read.is_err() || begun != opening {
        return;
    }
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    for nth in 1.. {
        let Some(Ok((request, respond))) = connection.accept().await else { return };
        calls.fetch_add(1, SeqCst);
        tokio::spawn(call(request, respond, serves.load(SeqCst)));
        if nth == each {
            connection.graceful_shutdown();
        }
    }
}

async fn call(
    request: http::Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<bytes::Bytes>,
    serves: bool,
) -> Option<()> {
    assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
    let mut body = request.into_body();
    let asked = body.data().await?.ok()?;
    let known = asked[..] == b"\0\0\0\0\x08\x0a\x06orders"[..];
    let head = http::Response::builder().header("content-type", "application/grpc").body(()).ok()?;
    let mut stream = respond.send_response(head, false).ok()?;
    if known {
        stream.send_data(bytes::Bytes::from(vec![0, 0, 0, 0, 2, 8, if serves { 1 } else { 2 }]), false).ok()?;
    }
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", if known { "0" } else { "5" }.parse().ok()?);
    stream.send_trailers(trailers).ok()
}

#[test]
fn a_grpc_server_says_of_itself_whether_it_serves() {
    let server = Grpc::start();
    let gateway = Gateway::start(&server.toml("orders", ""));
    let shown = becomes(&gateway, 0, "up");
    assert_eq!(shown["health"]["last"]["said"], "serving");
    server.serves.store(false, SeqCst);
    let shown = becomes(&gateway, 0, "down");
    assert!(shown["health"]["reason"].as_str().unwrap().contains("NOT_SERVING"), "{shown}");
    server.serves.store(true, SeqCst);
    becomes(&gateway, 0, "up");
    assert_eq!(gateway.reload(&server.toml("nobody", "")).status, 200);
    let shown = becomes(&gateway, 0, "down");
    assert!(shown["health"]["reason"].as_str().unwrap().contains("does not know the service"), "{shown}");
}

/// Times that an endpoint of the gateway has gone down.
fn falls(gateway: &Gateway) -> u64 {
    gateway.metrics().sum("ringway_endpoint_changes_total", &[("to", "down")]) as u64
}

#[test]
fn a_grpc_check_goes_over_the_connection_of_the_last_one() {
    let server = Grpc::start();
    let _gateway = Gateway::start(&server.toml("orders", ""));
    eventually("it is asked many times", || server.calls.load(SeqCst) >= 24);
    // One in ten looks whether a new connection is still taken.
    let connections = server.connections.load(SeqCst);
    assert!(connections < 12, "{connections} connections for {} checks", server.calls.load(SeqCst));
}

#[test]
fn a_connection_that_has_ended_between_two_grpc_checks_says_nothing_of_the_endpoint() {
    let server = Grpc::begun_by(b"", 1);
    let gateway = Gateway::start(&server.toml("orders", ""));
    becomes(&gateway, 0, "up");
    let asked = server.calls.load(SeqCst);
    eventually("it is asked many times", || server.calls.load(SeqCst) >= asked + 20);
    assert!(server.connections.load(SeqCst) >= 20);
    // Every other check has met one; a check or two may have been late on a machine that has other things to do.
    assert!(falls(&gateway) < 5, "{} times", falls(&gateway));
}

#[test]
fn a_tcp_check_needs_nobody_to_take_the_connection() {
    let origin = Origin::named("a");
    let health = format!("health = {{ tcp = true, {QUICK}, fall = 2, rise = 2 }}");
    let gateway = Gateway::start(&simple(&[&origin], &health, ""));
    becomes(&gateway, 0, "up");
    assert_eq!(get(gateway.http(), "/").text(), "a");
    assert_eq!(origin.connections(), 1, "that of the request");
    // A full queue takes nobody in: the knock is not answered.
    let full = Origin::full();
    let health = "health = { tcp = true, interval = \"100ms\", timeout = \"100ms\", fall = 1 }";
    assert_eq!(gateway.reload(&simple(&[&full], health, "")).status, 200);
    let shown = becomes(&gateway, 0, "down");
    assert!(shown["health"]["reason"].as_str().unwrap().contains("within 100ms"), "{shown}");
}

#[test]
fn checks_begin_with_the_header_that_the_upstream_wants() {
    const V1: &[u8] = b"PROXY UNKNOWN\r\n";
    const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    for (word, header) in [("v1", V1), ("v2", V2)] {
        let app = format!("proxy_protocol = \"{word}\"");
        let server = Grpc::begun_by(header, usize::MAX);
        let gateway = Gateway::start(&server.toml("orders", &app));
        eventually("it is asked over kept connections too", || server.calls.load(SeqCst) >= 3);
        assert_eq!(becomes(&gateway, 0, "up")["health"]["last"]["said"], "serving");
        drop(gateway);
        for probe in ["path = \"/healthz\"", "tcp = true"] {
            let heard = Arc::new(AtomicUsize::new(0));
            let own = heard.clone();
            let origin = Origin::script(move |conn| {
                assert_eq!(conn.read_exactly(header.len()).as_deref(), Some(header));
                own.fetch_add(1, SeqCst);
                if conn.read_request().is_some() {
                    conn.write(ok("well"));
                }
            });
            let health =
                format!("health = {{ {probe}, interval = \"200ms\", timeout = \"200ms\", fall = 1, rise = 1 }}\n{app}");
            let gateway = Gateway::start(&simple(&[&origin], &health, ""));
            becomes(&gateway, 0, "up");
            eventually("it has come with each check", || heard.load(SeqCst) >= 3);
        }
    }
}

#[test]
fn changes_are_streamed_as_they_come_and_can_be_taken_up_again() {
    let well = Arc::new(AtomicBool::new(true));
    let origin = patient("a", &well);
    let health = format!("health = {{ path = \"/healthz\", {QUICK}, fall = 2, rise = 1 }}");
    let mut gateway = Gateway::start(&simple(&[&origin], &health, ""));
    becomes(&gateway, 0, "up");
    let mut live = Events::follow(gateway.admin(), "");
    well.store(false, SeqCst);
    live.wait("2 checks in a row were bad: status 503");
    assert!(live.text().contains("event: health\n"), "{}", live.text());
    assert!(live.text().contains("\"from\":\"up\"") && live.text().contains("\"to\":\"down\""), "{}", live.text());
    assert_eq!(gateway.reload(&simple(&[&origin], &health, "min_rate = \"1B\"")).status, 200);
    live.wait("listeners changed: http");
    gateway.expect_error("reload refused");
    assert_eq!(gateway.reload("nonsense").status, 422);
    live.wait("\"to\":\"refused\"");
    assert!(!live.text().contains("every core listens"), "what was before is not told to who is new");
    let seen = live.ids().remove(0);
    let mut again = Events::follow(gateway.admin(), &seen);
    again.wait("\"to\":\"refused\"");
    assert!(!again.text().contains(&format!("id: {seen}\n")) && again.text().contains("listeners changed: http"));
    let mut all = Events::follow(gateway.admin(), "0");
    all.wait("\"to\":\"refused\"");
    assert!(
        all.text().contains("every core listens") && all.text().contains("a check was good: status 200"),
        "{}",
        all.text()
    );
}

#[test]
fn so_many_may_follow_and_no_more_and_a_place_is_free_again() {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    let mut held: Vec<_> = (0..16).map(|_| Events::follow(gateway.admin(), "")).collect();
    assert_eq!(gateway.ask("GET", "/v1/events").status, 503);
    held.pop();
    eventually("a free place", || {
        let mut raw = Raw::connect(gateway.admin());
        raw.send(format!("GET /v1/events HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.admin()));
        raw.read_head().status == 200
    });
    assert_eq!(gateway.ask("GET", "/readyz").status, 200);
}

#[test]
fn panic_is_shown_and_told() {
    let well = Arc::new(AtomicBool::new(true));
    let ill = Arc::new(AtomicBool::new(true));
    let origins = [patient("a", &well), patient("b", &ill), patient("c", &ill)];
    let health = format!("health = {{ path = \"/healthz\", {QUICK}, rise = 1, fall = 1 }}\npanic = 60");
    let gateway = Gateway::start(&simple(&origins.each_ref(), &health, ""));
    let mut events = Events::follow(gateway.admin(), "0");
    let shows = || gateway.get_json("/v1/upstreams/app")["panic"].clone();
    becomes(&gateway, 2, "up");
    assert_eq!(shows(), false);
    ill.store(false, SeqCst);
    events.wait("event: panic");
    assert_eq!(shows(), true);
    ill.store(true, SeqCst);
    events.wait("\"to\":\"calm\"");
    assert_eq!(shows(), false);
    let told = events.of("panic");
    let words: Vec<_> = told.iter().map(|event| [&event["what"], &event["from"], &event["to"]]).collect();
    assert_eq!(words, [["upstream app", "calm", "panic"], ["upstream app", "panic", "calm"]]);
    assert_eq!(told[0]["reason"], "1 of 3 endpoints are eligible, and `panic` is 60");
    gateway.wait_stderr("all endpoints are taken");
}
