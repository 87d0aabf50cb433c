//! TLS that passes through: where a connection goes by the name in its client's hello, and what becomes of hellos that
//! cannot be carried or read.

use crate::support::Authority;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::SecureOrigin;
use crate::support::Signal;
use crate::support::eventually;
use crate::support::ok;

/// A listener `edge` that carries these names to these addresses, each to an upstream of its own; `edge` and `upstream`
/// are more lines.
fn config(names: &[(&str, String)], edge: &str, upstream: &str) -> String {
    let mut toml = format!("[listen.edge]\nbind = \"127.0.0.1:0\"\n{edge}\n[listen.edge.passthrough]\n");
    for (at, (name, _)) in names.iter().enumerate() {
        toml += &format!("\"{name}\" = \"u{at}\"\n");
    }
    for (at, (_, address)) in names.iter().enumerate() {
        toml += &format!("[upstream.u{at}]\nendpoints = [\"{address}\"]\n{upstream}\n");
    }
    toml
}

#[track_caller]
fn hellos(gateway: &Gateway, hello: &str) -> u64 {
    gateway.metrics().get("ringway_hellos_total", &[("listener", "edge"), ("hello", hello)]) as u64
}

/// The alert by which the gateway refuses, and nothing else.
#[track_caller]
fn expect_alert(mut raw: Raw, description: u8) {
    assert_eq!(raw.read_to_end(), [21, 3, 3, 0, 2, 2, description]);
}

const UNRECOGNIZED_NAME: u8 = 112;
const DECODE_ERROR: u8 = 50;
const INTERNAL_ERROR: u8 = 80;

#[test]
fn each_name_is_answered_by_the_one_who_holds_its_certificate() {
    let authority = Authority::new();
    let secure = |file: &str, names: &[&str]| {
        let issued = authority.issue(file, names);
        SecureOrigin::start(authority.origin(&issued, false), &ok(file), true)
    };
    let shop = secure("shop", &["shop.example.com"]);
    let others = secure("others", &["*.example.com", "*.b.example.com"]);
    let rest = secure("rest", &["elsewhere.test", "127.0.0.1"]);
    let names = [
        ("*", rest.addr.to_string()),
        ("*.example.com", others.addr.to_string()),
        ("shop.example.com", shop.addr.to_string()),
    ];
    let gateway = Gateway::start(&config(&names, "", ""));
    let addr = gateway.addr("edge");
    // What the client verifies is the origin's own certificate: nobody stands between them.
    for version in rustls::ALL_VERSIONS {
        let client = authority.client_of(version);
        for (name, by) in [
            ("shop.example.com", "shop"),
            ("a.example.com", "others"),
            ("c.b.example.com", "others"),
            ("elsewhere.test", "rest"),
            // An address is no name: such a client asks for none.
            ("127.0.0.1", "rest"),
        ] {
            let mut secure = client.connect(addr, name);
            assert_eq!(secure.get(name, "/").text(), by, "{name}");
            secure.send(format!("GET /end HTTP/1.1\r\nHost: {name}\r\n\r\n"));
            let end = secure.read_to_end().expect("the end that the origin says");
            assert!(end.ends_with(b"the whole"), "{name}");
        }
    }
    let line = gateway.wait_log(|line| line.str("upstream") == "u2");
    assert_eq!((line.str("sni"), line.str("route")), ("shop.example.com", "shop.example.com"));
    assert_eq!((line.str("protocol"), line.str("phase")), ("passthrough", "done"));
    // The client knows the end by its last record, before that of the connection: both may be the first to go.
    assert!(matches!(line.ended(), "ok" | "client_closed"), "{line:?}");
    assert!(line.num("bytes_in") > 300 && line.num("bytes_out") > 300, "{line:?}");
    let lines = gateway.wait_log_lines(4, |line| line.str("route") == "*.example.com");
    let named = lines.iter().filter(|line| line.str("sni") == "c.b.example.com" && line.str("upstream") == "u1");
    assert_eq!(named.count(), 2, "{lines:?}");
    assert_eq!(hellos(&gateway, "routed"), 10);
    assert_eq!(gateway.metrics().get("ringway_tunnels_total", &[("kind", "passthrough")]) as u64, 10);
    let page = gateway.get_json("/v1/overview");
    assert_eq!(page["listeners"][0]["carries"]["*.example.com"], "u1", "{page}");
    // Tickets are the origin's: a second connection takes up the first.
    let client = authority.client(None);
    client.connect(addr, "shop.example.com").get("shop.example.com", "/");
    let mut again = client.connect(addr, "shop.example.com");
    assert_eq!(again.get("shop.example.com", "/").text(), "shop");
    assert!(again.resumed());
}

#[test]
fn a_name_that_is_carried_nowhere_is_refused_by_an_alert() {
    let authority = Authority::new();
    let origin = Origin::script(|conn| drop(conn.read_to_end()));
    let gateway = Gateway::start(&config(&[("shop.example.com", origin.addr().to_string())], "", ""));
    let client = authority.client(None);
    for name in ["other.example.com", "a.shop.example.com", "127.0.0.1"] {
        let fault = client.try_connect(gateway.addr("edge"), name).map(|_| ()).unwrap_err().to_string();
        assert!(fault.contains("Unrecogni"), "{name}: {fault}");
    }
    assert_eq!((hellos(&gateway, "unknown_name"), hellos(&gateway, "no_name")), (2, 1));
    let lines = gateway.wait_log_lines(3, |line| line.ended() == "unknown_name");
    gateway.wait_stdout(|line| line.contains("\"sni\":\"other.example.com\""));
    assert!(lines.iter().all(|line| line.str("who") == "client" && line.str("upstream").is_empty()), "{lines:?}");
    assert!(lines.iter().all(|line| line.num("bytes_in") > 100 && line.num("attempts") == 0), "{lines:?}");
    assert!(gateway.metrics().get("ringway_request_errors_total", &[("cause", "unknown_name")]) > 2.5);
    let mut raw = Raw::connect(gateway.addr("edge"));
    raw.send(client.hello("nobody.test"));
    expect_alert(raw, UNRECOGNIZED_NAME);
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_hello_in_any_pieces_arrives_as_it_was_sent() {
    let authority = Authority::new();
    let whole = authority.client(None).hello("shop.example.com");
    // The same message in records of 50 bytes.
    let records: Vec<u8> =
        whole[5..].chunks(50).flat_map(|held| [&[22, 3, 1, 0, held.len() as u8][..], held].concat()).collect();
    for bytes in [whole, records] {
        let length = bytes.len();
        let origin = Origin::script(move |conn| {
            let came = conn.read_exactly(length + 9).unwrap();
            conn.write(came);
        });
        let gateway = Gateway::start(&config(&[("shop.example.com", origin.addr().to_string())], "", ""));
        for piece in [length, 200, 7, 1] {
            let mut raw = Raw::connect(gateway.addr("edge"));
            raw.send_slowly(&bytes, piece);
            raw.send("and more\n");
            assert_eq!(raw.read_to_end(), [&bytes[..], b"and more\n"].concat(), "in pieces of {piece}");
        }
        assert_eq!(hellos(&gateway, "routed"), 4);
    }
}

#[test]
fn what_is_no_hello_is_refused_and_told_apart() {
    let origin = Origin::script(|conn| drop(conn.read_to_end()));
    let edge = "handshake = { hello = \"2KiB\" }";
    let gateway = Gateway::start(&config(&[("*", origin.addr().to_string())], edge, ""));
    let say = |bytes: &[u8]| {
        let mut raw = Raw::connect(gateway.addr("edge"));
        raw.send(bytes);
        raw
    };
    for bytes in [&b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..], b"SSH-2.0-x\r\n", &[0x80, 0x2e, 1, 3, 1, 0, 0, 0, 0]] {
        say(bytes).expect_closed();
    }
    assert_eq!(hellos(&gateway, "plain"), 3);
    // A server's hello, and a record within a hello that is another's.
    expect_alert(say(&[22, 3, 3, 0, 4, 2, 0, 0, 0]), DECODE_ERROR);
    expect_alert(say(&[22, 3, 3, 0, 5, 1, 0, 0, 9, 3, 23, 3, 3, 0, 1, 0]), DECODE_ERROR);
    assert_eq!(hellos(&gateway, "malformed"), 2);
    // By what is announced, and by what comes: without end, a byte a record.
    expect_alert(say(&[22, 3, 3, 0, 4, 1, 1, 0, 0]), DECODE_ERROR);
    let drip: Vec<u8> = [1, 0, 4, 0].into_iter().chain([0; 400]).flat_map(|byte| [22, 3, 3, 0, 1, byte]).collect();
    expect_alert(say(&drip), DECODE_ERROR);
    assert_eq!(hellos(&gateway, "too_long"), 2);
    let lines = gateway.wait_log_lines(7, |line| line.ended() == "bad_hello");
    assert!(lines.iter().all(|line| line.str("who") == "client" && line.str("endpoint").is_empty()), "{lines:?}");
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_hello_that_does_not_come_is_not_waited_for_without_end() {
    let origin = Origin::script(|conn| drop(conn.read_to_end()));
    let edge = "handshake = { timeout = \"300ms\" }";
    let gateway = Gateway::start(&config(&[("*", origin.addr().to_string())], edge, ""));
    let mut half = Raw::connect(gateway.addr("edge"));
    half.send([22, 3, 1, 2, 0, 1]);
    let mut silent = Raw::connect(gateway.addr("edge"));
    half.expect_closed();
    silent.expect_closed();
    let lines = gateway.wait_log_lines(2, |line| line.ended() == "client_timeout_hello");
    assert_eq!(lines.iter().map(|line| line.num("bytes_in")).sum::<u64>(), 6);
    // For how long it was waited, from accept.
    assert!(lines.iter().all(|line| line.num("duration_us") >= 200_000), "{lines:?}");
    // Whoever goes in the middle of it is told apart, and whoever only looks whether we are there leaves no line.
    drop(Raw::connect(gateway.addr("edge")));
    let mut gone = Raw::connect(gateway.addr("edge"));
    gone.send([22, 3]);
    gone.half_close();
    gone.expect_closed();
    assert_eq!(gateway.wait_log(|line| line.ended() == "client_abort").num("bytes_in"), 2);
    assert_eq!(hellos(&gateway, "unfinished"), 3);
    eventually("all are gone", || gateway.metrics().get("ringway_connections", &[("listener", "edge")]) < 0.5);
    assert_eq!(gateway.log_lines().len(), 3);
}

#[test]
fn a_name_whose_endpoints_are_gone_is_refused_in_words_of_tls() {
    let authority = Authority::new();
    let dead = Origin::refusing();
    let gateway = Gateway::start(&config(&[("*", dead.addr().to_string())], "", ""));
    let mut raw = Raw::connect(gateway.addr("edge"));
    raw.send(authority.client(None).hello("shop.example.com"));
    expect_alert(raw, INTERNAL_ERROR);
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.ended(), line.str("sni"), line.str("phase")), ("upstream_refused", "shop.example.com", "connect"));
}

#[test]
fn the_client_is_named_before_its_hello() {
    let authority = Authority::new();
    let hello = authority.client(None).hello("shop.example.com");
    let length = hello.len();
    let origin = Origin::script(move |conn| {
        let line = conn.read_line().unwrap();
        let came = conn.read_exactly(length).unwrap();
        conn.write([line.trim_end().as_bytes(), b"\n", &came].concat());
    });
    let edge = "proxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\"]";
    let upstream = "proxy_protocol = \"v1\"";
    let gateway = Gateway::start(&config(&[("*", origin.addr().to_string())], edge, upstream));
    let named = "PROXY TCP6 2001:db8::7 2001:db8::1 4711 443";
    let bytes = [named.as_bytes(), b"\r\n", &hello].concat();
    for piece in [bytes.len(), 13] {
        let mut raw = Raw::connect(gateway.addr("edge"));
        raw.send_slowly(&bytes, piece);
        assert_eq!(raw.read_to_end(), [named.as_bytes(), b"\n", &hello].concat());
    }
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.str("client"), line.num("bytes_in")), ("[2001:db8::7]:4711", length as u64));
}

#[test]
fn a_drain_ends_the_wait_for_a_hello() {
    let origin = Origin::script(|conn| drop(conn.read_to_end()));
    let head = "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\naccess_log = \"stdout\"\ndrain = \"2s\"\n\n";
    let edge = "handshake = { timeout = \"60s\" }";
    let names = [("*", origin.addr().to_string())];
    let mut gateway = Gateway::start(&format!("{head}{}", config(&names, edge, "")));
    let mut silent = Raw::connect(gateway.addr("edge"));
    let mut half = Raw::connect(gateway.addr("edge"));
    half.send([22, 3, 1, 2, 0, 1]);
    eventually("both are in", || gateway.metrics().get("ringway_connections", &[("listener", "edge")]) > 1.5);
    gateway.signal(Signal::Term);
    // Whoever has said nothing is owed nothing; who has begun may end, within the drain.
    silent.expect_closed();
    half.expect_closed();
    let line = gateway.wait_log(|_| true);
    assert_eq!((line.ended(), line.str("who"), line.num("bytes_in")), ("drain", "gateway", 6));
    assert_eq!(gateway.log_lines().len(), 1);
    gateway.wait_exit();
}
