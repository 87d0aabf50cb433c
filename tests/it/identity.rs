//! Who the client is: by its connection, by forwarding fields, by a PROXY protocol header; believed only of those who are
//! trusted, and told on to the endpoints.

use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Request;
use crate::support::eventually;
use crate::support::ok;
use crate::support::simple;

/// A listener that believes those at 127.0.0.2, and in 10.0.0.0/8.
const TRUSTING: &str = "trusted_proxies = [\"127.0.0.2\", \"10.0.0.0/8\"]";
/// One that takes PROXY protocol headers of them.
const PROXIED: &str = "trusted_proxies = [\"127.0.0.2\", \"10.0.0.0/8\"]\nproxy_protocol = true";
/// A whole request that asks for nothing special.
const GET: &str = "GET / HTTP/1.1\r\nHost: shop.example:81\r\n\r\n";
/// What version 2 begins with.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A gateway whose listener has these lines, before one origin.
fn listening(listen: &str) -> (Origin, Gateway) {
    let origin = Origin::named("app");
    let gateway = Gateway::start(&simple(&[&origin], "", listen));
    (origin, gateway)
}

/// A header of version 2.
fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &length, body].concat()
}

/// 192.0.2.1:4000 to 198.51.100.7:8443, in version 2.
fn named() -> Vec<u8> {
    binary(0x21, 0x11, &[192, 0, 2, 1, 198, 51, 100, 7, 0x0f, 0xa0, 0x20, 0xfb])
}

/// What an origin was told of the way: For, Proto, Port, Host, Forwarded; a field that came twice is seen.
fn told(request: &Request) -> [String; 5] {
    let fields = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-port", "x-forwarded-host", "forwarded"];
    fields.map(|name| request.all(name).join("|"))
}

#[track_caller]
fn assert_told(request: &Request, wanted: [&str; 5]) {
    assert_eq!(told(request), wanted.map(str::to_owned), "{request:?}");
}

fn port(gateway: &Gateway) -> String {
    gateway.http().port().to_string()
}

#[test]
fn an_untrusted_client_is_who_its_connection_says() {
    let (origin, gateway) = listening(TRUSTING);
    let claims = "X-Forwarded-For: 6.6.6.6, 10.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 443\r\n\
                  X-Forwarded-Host: evil\r\nForwarded: for=6.6.6.6;host=evil\r\nX-Real-IP: 6.6.6.6\r\n\
                  X_Forwarded_For: 6.6.6.6\r\nX-Forwarded-Prefix: /evil\r\n\
                  Connection: x-forwarded-for, forwarded, x-forwarded-port, x-forwarded-host, x-real-ip\r\n";
    let mut raw = Raw::connect(gateway.http());
    for turn in 1..=2 {
        raw.send(format!("GET / HTTP/1.1\r\nHost: shop.example:81\r\n{claims}\r\n"));
        assert_eq!(raw.read_response().status, 200);
        let request = origin.wait_for(turn);
        let forwarded = "for=127.0.0.1;host=\"shop.example:81\";proto=http";
        assert_told(&request, ["127.0.0.1", "http", &port(&gateway), "shop.example:81", forwarded]);
        for name in ["x-real-ip", "x_forwarded_for", "x-forwarded-prefix"] {
            assert!(request.all(name).is_empty(), "{name} went on: {request:?}");
        }
        assert_eq!(request.all("via"), ["1.1 ringway"]);
    }
    let lines = gateway.wait_log_lines(2, |_| true);
    assert!(lines.iter().all(|line| line.str("client") == raw.local_addr().to_string()), "{lines:?}");
}

#[test]
fn a_client_of_ipv6_is_told_of_in_brackets() {
    let origin = Origin::named("app");
    let gateway = Gateway::start(&simple(&[&origin], "", "").replace("127.0.0.1:0", "[::1]:0"));
    let mut raw = Raw::connect(gateway.http());
    raw.get("/");
    let forwarded = "for=\"[::1]\";host=test.example;proto=http";
    assert_told(&origin.wait_for(1), ["::1", "http", &port(&gateway), "test.example", forwarded]);
}

#[test]
fn a_trusted_peer_names_the_client_and_its_words_are_added_to() {
    let (origin, gateway) = listening(TRUSTING);
    let mut raw = Raw::connect_from("127.0.0.2", gateway.http());
    raw.send(
        "GET / HTTP/1.1\r\nHost: inner.example\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 192.0.2.1:77, 10.0.0.9\r\n\
         Forwarded: for=192.0.2.1\r\nForwarded: for=10.0.0.9;by=_x\r\nX-Forwarded-Proto: https\r\n\
         X-Forwarded-Port: 443\r\nX-Forwarded-Host: shop.example\r\nX-Real-IP: 192.0.2.1\r\n\
         Connection: x-forwarded-for, forwarded, x-forwarded-proto, x-real-ip\r\n\r\n",
    );
    assert_eq!(raw.read_response().status, 200);
    let request = origin.wait_for(1);
    let forwarded = "for=192.0.2.1, for=10.0.0.9;by=_x, for=127.0.0.2;host=inner.example;proto=http";
    let list = "6.6.6.6, 192.0.2.1:77, 10.0.0.9, 127.0.0.2";
    assert_told(&request, [list, "https", "443", "shop.example", forwarded]);
    assert_eq!(request.field("x-real-ip"), "192.0.2.1");
    assert_eq!(gateway.wait_log(|_| true).str("client"), "192.0.2.1:77");
}

#[test]
fn what_a_trusted_peer_says_twice_or_wrong_is_said_anew() {
    let (origin, gateway) = listening(TRUSTING);
    let mut raw = Raw::connect_from("127.0.0.2", gateway.http());
    for (turn, fields) in [
        "X-Forwarded-Proto: ftp\r\nX-Forwarded-Port: x\r\nX-Forwarded-Host: a/b\r\n",
        "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 443, 444\r\nX-Forwarded-Host: a, b\r\n",
        "X-Forwarded-For: unknown\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        raw.send(format!("GET / HTTP/1.1\r\nHost: shop.example\r\n{fields}\r\n"));
        assert_eq!(raw.read_response().status, 200);
        let request = origin.wait_for(turn + 1);
        let list = if turn == 2 { "unknown, 127.0.0.2" } else { "127.0.0.2" };
        let forwarded = "for=127.0.0.2;host=shop.example;proto=http";
        assert_told(&request, [list, "http", &port(&gateway), "shop.example", forwarded]);
    }
    let lines = gateway.wait_log_lines(3, |_| true);
    assert!(lines.iter().all(|line| line.str("client") == raw.local_addr().to_string()), "{lines:?}");
}

#[test]
fn the_list_is_walked_as_far_as_it_is_trusted_and_a_hundred_elements_at_the_most() {
    let (_origin, gateway) = listening(TRUSTING);
    for (list, client) in [
        (format!("192.0.2.1{}", ", 10.0.0.2".repeat(99)), "192.0.2.1"),
        (format!("192.0.2.1{}", ", 10.0.0.2".repeat(100)), "10.0.0.2"),
        ("192.0.2.1, \"[2001:db8::1]:9\", 10.0.0.2".into(), "[2001:db8::1]:9"),
        ("192.0.2.1, _hidden, 10.0.0.2".into(), "10.0.0.2"),
    ] {
        let mut raw = Raw::connect_from("127.0.0.2", gateway.http());
        let path = format!("/{}", list.len());
        raw.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {list}\r\n\r\n"));
        assert_eq!(raw.read_response().status, 200);
        assert_eq!(gateway.wait_log(|line| line.path() == path).str("client"), client, "{list}");
    }
}

#[test]
fn trust_changes_with_a_reload_from_the_next_request_on() {
    let (origin, gateway) = listening("");
    let mut raw = Raw::connect_from("127.0.0.2", gateway.http());
    let ask = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n";
    raw.send(ask);
    raw.read_response();
    assert_eq!(told(&origin.wait_for(1))[0], "127.0.0.2");
    let fixed = simple(&[&origin], "", TRUSTING).replace("127.0.0.1:0", &gateway.http().to_string());
    assert_eq!(gateway.reload(&fixed).status, 200);
    raw.send(ask);
    raw.read_response();
    assert_eq!(told(&origin.wait_for(2))[0], "192.0.2.1, 127.0.0.2");
    gateway.wait_log(|line| line.str("client") == "192.0.2.1");
}

#[test]
fn a_chain_of_gateways_agrees_on_the_client() {
    let (origin, inner) = listening("trusted_proxies = [\"127.0.0.1\"]");
    let list = format!("endpoints = [\"{}\"]", inner.http());
    let outer = Gateway::start(&simple(&[], "", "").replace("endpoints = []", &list));
    let mut raw = Raw::connect_from("127.0.0.3", outer.http());
    raw.send("GET / HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n");
    assert_eq!(raw.read_response().status, 200);
    let forwarded = "for=127.0.0.3;host=shop.example;proto=http, for=127.0.0.1;host=shop.example;proto=http";
    let request = origin.wait_for(1);
    assert_told(&request, ["127.0.0.3, 127.0.0.1", "http", &port(&outer), "shop.example", forwarded]);
    assert_eq!(inner.wait_log(|_| true).str("client"), "127.0.0.3");
    assert_eq!(outer.wait_log(|_| true).str("client"), raw.local_addr().to_string());
}

#[test]
fn trailers_say_nothing_of_the_way() {
    let (origin, gateway) = listening(TRUSTING);
    let mut raw = Raw::connect_from("127.0.0.2", gateway.http());
    raw.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Forwarded-For: 6.6.6.6\r\n\
         Forwarded: for=6.6.6.6\r\nX-Forwarded-Port: 1\r\nX-Real-IP: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\nX-Sum: 1\r\n\r\n",
    );
    assert_eq!(raw.read_response().status, 200);
    assert_eq!(origin.wait_for(1).trailers, [("X-Sum".to_owned(), "1".to_owned())]);
}

// === PROXY protocol headers that come ===

#[test]
fn a_header_names_the_client_and_the_port_it_reached() {
    let (origin, gateway) = listening(PROXIED);
    let with_additions = {
        let body = [192, 0, 2, 1, 198, 51, 100, 7, 0x0f, 0xa0, 0x20, 0xfb].as_slice();
        binary(0x21, 0x11, &[body, &[4, 0, 0, 2, 0, 2, b'h', b'2', 0xe0, 7, 208], &[0; 2000]].concat())
    };
    let v6 = [[0x20, 1, 0x0d, 0xb8].as_slice(), &[0; 11], &[1], &[0; 15], &[1, 0x0f, 0xa0, 0x20, 0xfb]].concat();
    for (turn, (header, client, list, node)) in [
        (b"PROXY TCP4 192.0.2.1 198.51.100.7 4000 8443\r\n".to_vec(), "192.0.2.1:4000", "192.0.2.1", "192.0.2.1"),
        (
            b"PROXY TCP6 2001:db8::1 ::1 4000 8443\r\n".to_vec(),
            "[2001:db8::1]:4000",
            "2001:db8::1",
            "\"[2001:db8::1]\"",
        ),
        (named(), "192.0.2.1:4000", "192.0.2.1", "192.0.2.1"),
        (with_additions, "192.0.2.1:4000", "192.0.2.1", "192.0.2.1"),
        (binary(0x21, 0x21, &v6), "[2001:db8::1]:4000", "2001:db8::1", "\"[2001:db8::1]\""),
    ]
    .into_iter()
    .enumerate()
    {
        let mut raw = Raw::connect_from("127.0.0.2", gateway.http());
        // Header and two requests in one piece: what is behind it belongs to them.
        raw.send([header.as_slice(), GET.as_bytes(), GET.as_bytes()].concat());
        let forwarded = format!("for={node};host=\"shop.example:81\";proto=http");
        for one in 1..=2 {
            assert_eq!(raw.read_response().status, 200);
            let request = origin.wait_for(2 * turn + one);
            assert_told(&request, [list, "http", "8443", "shop.example:81", &forwarded]);
        }
        let lines = gateway.wait_log_lines(2 * turn + 2, |_| true);
        assert!(lines.iter().skip(2 * turn).all(|line| line.str("client") == client), "{client}: {lines:?}");
    }
}

#[test]
fn a_header_may_come_in_any_pieces_and_holds_as_long_as_its_connection() {
    let (origin, gateway) = listening(PROXIED);
    let mut idle = Vec::new();
    for header in [b"PROXY TCP4 192.0.2.1 198.51.100.7 4000 8443\r\n".to_vec(), named()] {
        let mut raw = Raw::connect_from("127.0.0.2", gateway.http());
        raw.send_slowly([header.as_slice(), GET.as_bytes()].concat(), 1);
        assert_eq!(raw.read_response().status, 200);
        idle.push(raw);
    }
    std::thread::sleep(Duration::from_millis(2_500)); // past the grace before an idle connection is parked
    for mut raw in idle {
        raw.get("/");
    }
    let lists: Vec<_> = (1..=4).map(|turn| origin.wait_for(turn)).map(|request| told(&request)[0].clone()).collect();
    assert_eq!(lists, ["192.0.2.1"; 4]);
    assert_eq!(gateway.wait_log_lines(4, |line| line.str("client") == "192.0.2.1:4000").len(), 4);
}

#[test]
fn a_header_that_names_nobody_leaves_the_connection_as_it_is() {
    let (origin, gateway) = listening(PROXIED);
    for (turn, header) in [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN ffff:: x 1 2\r\n".to_vec(),
        binary(0x20, 0x00, &[]),
        binary(0x20, 0x11, &[6; 12]),
        binary(0x21, 0x00, &[]),
    ]
    .into_iter()
    .enumerate()
    {
        let mut raw = Raw::connect_from("127.0.0.2", gateway.http());
        raw.send([header.as_slice(), GET.as_bytes()].concat());
        assert_eq!(raw.read_response().status, 200);
        let request = origin.wait_for(turn + 1);
        assert_eq!(told(&request)[..3], ["127.0.0.2".to_owned(), "http".to_owned(), port(&gateway)]);
        gateway.wait_log(|line| line.str("client") == raw.local_addr().to_string());
    }
}

#[test]
fn a_client_on_a_unix_socket_has_no_address_to_tell() {
    let (origin, gateway) = listening(PROXIED);
    let mut raw = Raw::connect_from("127.0.0.2", gateway.http());
    raw.send(
        [binary(0x21, 0x31, &[b'/'; 216]).as_slice(), b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"]
            .concat(),
    );
    assert_eq!(raw.read_response().status, 200);
    assert_told(&origin.wait_for(1), ["", "http", &port(&gateway), "a", "for=unknown;host=a;proto=http"]);
    assert_eq!(gateway.wait_log(|_| true).str("client"), "unix:");
}

#[test]
fn whom_a_header_names_is_believed_as_if_it_were_the_peer() {
    let (origin, gateway) = listening(PROXIED);
    for (turn, (from, list, client)) in [
        // One that is not trusted, and one that is.
        ("192.0.2.1", "192.0.2.1", "192.0.2.1:4000"),
        ("10.0.0.1", "203.0.113.9, 10.0.0.1", "203.0.113.9"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut raw = Raw::connect_from("127.0.0.2", gateway.http());
        raw.send(format!("PROXY TCP4 {from} 198.51.100.7 4000 8443\r\n"));
        raw.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n");
        assert_eq!(raw.read_response().status, 200);
        assert_eq!(told(&origin.wait_for(turn + 1))[0], list);
        gateway.wait_log(|line| line.str("client") == client);
    }
}

#[test]
fn a_missing_or_broken_header_closes_the_connection_without_a_word() {
    let (origin, gateway) = listening(PROXIED);
    let faults = || gateway.metrics().get("ringway_proxy_protocol_faults_total", &[("listener", "http")]);
    let broken: [&[u8]; 8] = [
        GET.as_bytes(),
        b"PROXY TCP4 192.0.2.1 198.51.100.7 04000 8443\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 4000 8443\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        &[b'P'; 200],
        &[SIGNATURE, &[0x21, 0x12, 0, 12], &[0; 12], GET.as_bytes()].concat(),
        &[SIGNATURE, &[0x21, 0x11, 0xff, 0xff]].concat(),
        &[SIGNATURE, &[0x21, 0x11, 0, 13], &[0; 13], GET.as_bytes()].concat(),
        b"\x16\x03\x01\x02\x00\x01\x00",
    ];
    for (turn, bytes) in broken.iter().enumerate() {
        let mut raw = Raw::connect_from("127.0.0.2", gateway.http());
        drop(raw.try_send(bytes));
        raw.expect_closed();
        let wanted = (turn + 1) as f64;
        eventually("the fault is counted", || (faults() - wanted).abs() < 0.5);
    }
    // An end within the header is a fault; one before it is no more than a look.
    for (bytes, wanted) in [("PROXY TCP4 1", 9.0), ("", 9.0)] {
        let mut raw = Raw::connect_from("127.0.0.2", gateway.http());
        raw.send(bytes);
        raw.half_close();
        raw.expect_closed();
        eventually("the fault is counted", || (faults() - wanted).abs() < 0.5);
    }
    let mut raw = Raw::connect_from("127.0.0.2", gateway.http());
    raw.send([named().as_slice(), GET.as_bytes()].concat());
    assert_eq!(raw.read_response().status, 200);
    gateway.wait_log(|line| line.ended() == "ok");
    assert_eq!((gateway.log_lines().len(), origin.requests().len()), (1, 1), "a broken header is no exchange");
    assert!(faults() < 9.5);
}

#[test]
fn only_the_trusted_may_bring_a_header() {
    let (origin, gateway) = listening(PROXIED);
    let mut raw = Raw::connect_from("127.0.0.1", gateway.http());
    drop(raw.try_send([named().as_slice(), GET.as_bytes()].concat()));
    raw.expect_closed();
    let metrics = gateway.metrics();
    let of = |name| metrics.get(name, &[("listener", "http")]);
    assert!((of("ringway_connections_refused_total") - 1.0).abs() < 0.1);
    assert!(of("ringway_connections_total") < 0.1 && of("ringway_proxy_protocol_faults_total") < 0.1);
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_header_and_the_first_head_have_one_time_together() {
    let origin = Origin::named("app");
    let head = Duration::from_secs(3);
    let gateway = Gateway::start(&simple(&[&origin], "", &format!("{PROXIED}\ntimeout = {{ head = \"3s\" }}")));
    let mut silent = Raw::connect_from("127.0.0.2", gateway.http());
    let mut raw = Raw::connect_from("127.0.0.2", gateway.http());
    let begun = Instant::now();
    let mut header = named().into_iter();
    // Byte by byte, until most of the time is gone.
    while begun.elapsed() < head * 2 / 3 {
        raw.send(header.next().filter(|_| header.len() > 0).as_slice());
        std::thread::sleep(Duration::from_millis(100));
    }
    let whole = Instant::now();
    raw.send(header.collect::<Vec<_>>());
    raw.send("GET / HTTP/1.1\r\nHost: a\r\n");
    assert_eq!(raw.read_response().status, 408);
    assert!(whole.elapsed() < head, "the header's end was given a time of its own");
    silent.expect_closed();
    let faults = || gateway.metrics().get("ringway_proxy_protocol_faults_total", &[("listener", "http")]);
    eventually("silence is counted", || (faults() - 1.0).abs() < 0.1);
}

#[test]
fn a_drain_waits_for_a_head_that_has_begun_behind_a_header_and_for_no_other() {
    let origin = Origin::named("app");
    let head = "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\n\n";
    let mut gateway = Gateway::start(&format!("{head}{}", simple(&[&origin], "", PROXIED)));
    let connect = |bytes: &[u8]| {
        let mut raw = Raw::connect_from("127.0.0.2", gateway.http());
        raw.send(bytes);
        raw
    };
    let mut silent = connect(b"");
    let mut named_alone = connect(&named());
    let mut begun = connect(&[named().as_slice(), &GET.as_bytes()[..20]].concat());
    // Whatever came before this one has been read.
    assert_eq!(connect(&[named().as_slice(), GET.as_bytes()].concat()).read_response().status, 200);
    gateway.signal(crate::support::Signal::Term);
    silent.expect_closed();
    named_alone.expect_closed();
    begun.send(&GET.as_bytes()[20..]);
    assert_eq!(begun.read_response().status, 200);
    assert!(gateway.wait_exit().success());
}

// === PROXY protocol headers that go ===

/// An origin that reads a line of version 1 before the requests of a connection, and answers with it.
fn reads_lines() -> Origin {
    Origin::script(|conn| {
        let Some(line) = conn.read_line() else { return };
        while conn.read_request().is_some() && conn.write(ok(&line)) {}
    })
}

#[test]
fn an_endpoint_is_told_the_client_of_each_connection() {
    let origin = reads_lines();
    let gateway = Gateway::start(&simple(&[&origin], "proxy_protocol = \"v1\"", TRUSTING));
    let to = gateway.http();
    let mut raw = Raw::connect(to);
    let from = raw.local_addr();
    for turn in 1..=3 {
        let line = raw.get("/").text().to_owned();
        assert_eq!(line, format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}", from.port(), to.port()));
        assert_eq!(origin.connections(), turn, "a connection in somebody's name is lent twice");
    }
    origin.wait_for_open(0);
    // The client that a trusted peer names, whatever its family.
    for (list, line) in [
        ("192.0.2.1:77, 10.0.0.1", format!("PROXY TCP4 192.0.2.1 127.0.0.1 77 {}", to.port())),
        ("192.0.2.1", format!("PROXY TCP4 192.0.2.1 127.0.0.1 0 {}", to.port())),
        ("2001:db8::1", format!("PROXY TCP6 2001:db8::1 ::ffff:7f00:1 0 {}", to.port())),
    ] {
        let mut raw = Raw::connect_from("127.0.0.2", to);
        raw.send(format!("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {list}\r\n\r\n"));
        assert_eq!(raw.read_response().text(), line);
    }
}

#[test]
fn a_header_and_its_request_are_one_send() {
    for (version, length) in [("v1", None), ("v2", Some(28))] {
        let origin = Origin::script(|conn| {
            let first = conn.read_some().unwrap_or_default();
            conn.write(ok(&String::from_utf8_lossy(&first).replace("\r\n", "|").replace('\0', "0")));
            conn.wait_closed();
        });
        let gateway = Gateway::start(&simple(&[&origin], &format!("proxy_protocol = \"{version}\""), ""));
        let mut raw = Raw::connect(gateway.http());
        let seen = raw.get("/").text().to_owned();
        assert!(seen.ends_with("||"), "the head did not come with the header: {seen}");
        let at = seen.find("GET / HTTP/1.1|Host: test.example|").expect("a request");
        let begins = if length.is_some() { "||0|QUIT\n" } else { "PROXY TCP4 127.0.0.1 127.0.0.1 " };
        assert!(at > 0 && seen.starts_with(begins), "{seen}");
    }
}

#[test]
fn another_attempt_tells_it_anew() {
    let lost = Origin::script(|conn| {
        conn.read_line();
        conn.read_request();
    });
    let found = reads_lines();
    let app = "proxy_protocol = \"v1\"\nretry = { attempts = 2 }\nbalance = \"round_robin\"";
    let gateway = Gateway::start(&simple(&[&lost, &found], app, ""));
    let mut raw = Raw::connect(gateway.http());
    let line = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}", raw.local_addr().port(), gateway.http().port());
    for _ in 0..2 {
        assert_eq!(raw.get("/").text(), line);
    }
    assert!(lost.connections() > 0, "the first attempt was not lost");
}

#[test]
fn a_connection_that_is_kept_from_before_is_no_connection_in_a_clients_name() {
    let origin = Origin::script(|conn| {
        let line = if conn.number == 0 { Some("none".to_owned()) } else { conn.read_line() };
        while conn.read_request().is_some() && conn.write(ok(line.as_deref().unwrap_or_default())) {}
    });
    let head = "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\n\n";
    let gateway = Gateway::start(&format!("{head}{}", simple(&[&origin], "", "")));
    let mut raw = Raw::connect(gateway.http());
    assert_eq!((raw.get("/").text(), raw.get("/").text(), origin.connections()), ("none", "none", 1));
    let fixed = simple(&[&origin], "proxy_protocol = \"v1\"", "").replace("127.0.0.1:0", &gateway.http().to_string());
    assert_eq!(gateway.reload(&format!("{head}{fixed}")).status, 200);
    assert!(raw.get("/").text().starts_with("PROXY TCP4 "));
    assert_eq!(origin.connections(), 2);
}

#[test]
fn two_gateways_and_a_header_between_them() {
    for version in ["v1", "v2"] {
        let (origin, inner) = listening("trusted_proxies = [\"127.0.0.1\"]\nproxy_protocol = true");
        let list = format!("endpoints = [\"{}\"]\nproxy_protocol = \"{version}\"", inner.http());
        let outer = Gateway::start(&simple(&[], "", TRUSTING).replace("endpoints = []", &list));
        let mut raw = Raw::connect_from("127.0.0.3", outer.http());
        let client: SocketAddr = raw.local_addr();
        assert_eq!(raw.get("/").status, 200);
        // What the outer one says in fields is not believed: the header names the client, and the client is not trusted.
        let forwarded = "for=127.0.0.3;host=test.example;proto=http";
        assert_told(&origin.wait_for(1), ["127.0.0.3", "http", &port(&outer), "test.example", forwarded]);
        assert_eq!(inner.wait_log(|_| true).str("client"), client.to_string());
    }
}

#[test]
fn a_client_without_an_address_is_nobody_in_a_header() {
    for (version, nobody) in [("v1", b"PROXY UNKNOWN\r\n".to_vec()), ("v2", binary(0x20, 0, &[]))] {
        let length = nobody.len();
        let origin = Origin::script(move |conn| {
            let header = conn.read_exactly(length);
            if conn.read_request().is_some() {
                conn.write(ok(if header.as_ref() == Some(&nobody) { "nobody" } else { "somebody" }));
            }
        });
        let gateway = Gateway::start(&simple(&[&origin], &format!("proxy_protocol = \"{version}\""), PROXIED));
        let mut raw = Raw::connect_from("127.0.0.2", gateway.http());
        raw.send([binary(0x21, 0x31, &[b'/'; 216]).as_slice(), GET.as_bytes()].concat());
        assert_eq!(raw.read_response().text(), "nobody");
    }
}
