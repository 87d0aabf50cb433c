//! Whom the fields name, and what is told on, byte for byte.

use proptest::prelude::*;

use super::*;
use crate::address::network;
use crate::http::forward::Hop;
use crate::http::forward::encode_request;
use crate::http::framing::Framing;
use crate::http::head::HeadLimits;
use crate::http::head::Parse;
use crate::http::head::RequestHead;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 65_536, fields: 200, target_bytes: 4096 };
/// What stands before what is told of the way.
const START: &str = "GET / HTTP/1.1\r\nHost: shop.example\r\n";

fn peer(text: &str) -> Peer {
    match text {
        "unix" => Peer::Unix,
        text => Peer::Ip(text.parse().unwrap()),
    }
}

fn networks(list: &[&str]) -> Networks {
    let unix = list.contains(&"unix");
    Networks { list: list.iter().filter_map(|text| network(text)).collect(), unix }
}

fn with<T>(fields: &str, look: impl FnOnce(Request<'_>) -> T) -> T {
    let text = format!("{START}{fields}\r\n");
    let mut head = RequestHead::default();
    assert_eq!(head.parse(text.as_bytes(), &LIMITS), Ok(Parse::Whole), "{text:?}");
    look(head.view(text.as_bytes()))
}

fn found(fields: &str, from: &str, trusted: &[&str]) -> String {
    with(fields, |request| Identity::of(request, peer(from), &networks(trusted)).client.to_string())
}

#[test]
fn the_client_is_the_first_from_the_right_that_is_not_trusted() {
    let near = ["10.0.0.0/8", "fd00::/8"].as_slice();
    for (values, client) in [
        // The last that is known.
        ("", "10.0.0.1:5"),
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, 192.0.2.2", "192.0.2.2"),
        ("192.0.2.1, 10.0.0.2", "192.0.2.1"),
        ("192.0.2.1,10.0.0.2 ,\t10.0.0.3", "192.0.2.1"),
        ("10.0.0.4, 10.0.0.3", "10.0.0.4"),
        // Several fields are one list.
        ("192.0.2.1|10.0.0.2|10.0.0.3", "192.0.2.1"),
        ("6.6.6.6, 192.0.2.1|10.0.0.2, 10.0.0.3", "192.0.2.1"),
        ("6.6.6.6|192.0.2.1, 10.0.0.2", "192.0.2.1"),
        // How an address may be written.
        ("192.0.2.1:8080", "192.0.2.1:8080"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "[2001:db8::1]:443"),
        ("\"[2001:db8::1]:443\"", "[2001:db8::1]:443"),
        ("\"192.0.2.1\"", "192.0.2.1"),
        ("192.0.2.1, [fd00::9]:1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, ::ffff:10.0.0.9", "192.0.2.1"),
        // What is no address ends the walk with the last that was one.
        ("192.0.2.1, unknown", "10.0.0.1:5"),
        ("192.0.2.1, _hidden, 10.0.0.2", "10.0.0.2"),
        ("192.0.2.1, , 10.0.0.2", "10.0.0.2"),
        ("192.0.2.1,", "10.0.0.1:5"),
        ("192.0.2.1|", "10.0.0.1:5"),
        ("192.0.2.1:", "10.0.0.1:5"),
        ("192.0.2.1:65536", "10.0.0.1:5"),
        ("192.0.2.1:x", "10.0.0.1:5"),
        ("192.0.2.01", "10.0.0.1:5"),
        ("192.0.2", "10.0.0.1:5"),
        ("[192.0.2.1]", "10.0.0.1:5"),
        ("[2001:db8::1", "10.0.0.1:5"),
        ("\"192.0.2.1", "10.0.0.1:5"),
        ("\"\"192.0.2.1\"\"", "10.0.0.1:5"),
        ("for=192.0.2.1", "10.0.0.1:5"),
        ("192.0.2.1 10.0.0.2", "10.0.0.1:5"),
        ("\u{e4}", "10.0.0.1:5"),
    ] {
        let lines: String = values.split('|').map(|value| format!("X-Forwarded-For: {value}\r\n")).collect();
        let lines = if values.is_empty() { String::new() } else { lines };
        assert_eq!(found(&lines, "10.0.0.1:5", near), client, "{values:?}");
    }
}

#[test]
fn nobody_is_believed_who_is_not_trusted() {
    let fields = "X-Forwarded-For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n";
    for (from, trusted, client) in [
        ("192.0.2.9:5", ["10.0.0.0/8"].as_slice(), "192.0.2.9:5"),
        ("192.0.2.9:5", &[], "192.0.2.9:5"),
        ("unix", &["10.0.0.0/8"], "unix:"),
        ("unix", &["unix"], "6.6.6.6"),
        ("10.0.0.1:5", &["unix"], "10.0.0.1:5"),
        ("[::ffff:10.0.0.1]:5", &["10.0.0.0/8"], "6.6.6.6"),
    ] {
        assert_eq!(found(fields, from, trusted), client, "{from} {trusted:?}");
    }
    // The other fields name nobody, whoever sends them.
    let fields = "X-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\n";
    assert_eq!(found(fields, "10.0.0.1:5", &["10.0.0.0/8"]), "10.0.0.1:5");
}

#[test]
fn a_list_is_walked_so_far_and_no_further() {
    for (count, client) in [(99, "192.0.2.1"), (100, "10.0.0.2")] {
        let fields = format!("X-Forwarded-For: 192.0.2.1{}\r\n", ", 10.0.0.2".repeat(count));
        assert_eq!(found(&fields, "10.0.0.1:5", &["10.0.0.0/8"]), client, "{count}");
    }
}

/// What is told on of the way of a request with these fields, from Via on.
fn told(fields: &str, from: &str, port: Option<u16>, trusted: bool) -> String {
    let marks = Marks::of(peer(from), port, "http");
    with(fields, |request| {
        let mut out = Vec::new();
        let hop =
            Hop { marks: &marks, trusted, request_id: b"an-id", authority: b"up.example", anew: &[], upgrade: b"" };
        encode_request(&mut out, request, Framing::None, &hop);
        let text = String::from_utf8(out).unwrap();
        let text = text.strip_prefix(START).unwrap().strip_suffix("X-Request-Id: an-id\r\n\r\n").unwrap();
        text.replace("Via: 1.1 ringway\r\n", "")
    })
}

#[test]
fn an_untrusted_peer_is_told_of_by_us_alone() {
    let claims = "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Port: 1\r\n\
                  Forwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX-Forwarded-Prefix: /evil\r\nX-Forwarded-Ssl: on\r\n";
    let nominated = format!("Connection: x-forwarded-for, forwarded, x-forwarded-port, x-real-ip\r\n{claims}");
    for fields in ["", claims, &nominated] {
        for (from, port, xff, xfp, node) in [
            ("192.0.2.1:7", Some(8080), "X-Forwarded-For: 192.0.2.1\r\n", "X-Forwarded-Port: 8080\r\n", "192.0.2.1"),
            ("[2001:db8::1]:7", None, "X-Forwarded-For: 2001:db8::1\r\n", "", "\"[2001:db8::1]\""),
            ("[::ffff:192.0.2.1]:7", None, "X-Forwarded-For: 192.0.2.1\r\n", "", "192.0.2.1"),
            ("unix", None, "", "", "unknown"),
        ] {
            let wanted = format!(
                "{xff}X-Forwarded-Proto: http\r\n{xfp}Forwarded: for={node};host=shop.example;proto=http\r\n\
                 X-Forwarded-Host: shop.example\r\n"
            );
            assert_eq!(told(fields, from, port, false), wanted, "{from} {fields}");
        }
    }
}

#[test]
fn a_trusted_peers_lists_are_added_to() {
    for (fields, xff, forwarded) in [
        ("", "192.0.2.1", ""),
        ("X-Forwarded-For: a, b\r\nForwarded: for=c\r\n", "a, b, 192.0.2.1", "for=c, "),
        (
            "X-Forwarded-For: a\r\nForwarded: for=c\r\nX-Forwarded-For: b\r\nForwarded: for=d, for=e\r\n",
            "a, b, 192.0.2.1",
            "for=c, for=d, for=e, ",
        ),
        ("X-Forwarded-For:\r\nForwarded:\r\n", "192.0.2.1", ""),
        (
            "Connection: x-forwarded-for, forwarded\r\nX-Forwarded-For: a\r\nForwarded: for=c\r\n",
            "a, 192.0.2.1",
            "for=c, ",
        ),
    ] {
        let wanted = format!(
            "X-Forwarded-For: {xff}\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Port: 80\r\nX-Forwarded-Host: shop.example\r\n\
             Forwarded: {forwarded}for=192.0.2.1;host=shop.example;proto=http\r\n"
        );
        assert_eq!(told(fields, "192.0.2.1:7", Some(80), true), wanted, "{fields:?}");
    }
    let forwarded = "for=unknown;host=shop.example;proto=http\r\n";
    let fields = "X-Forwarded-For: a\r\nX-Forwarded-For: b\r\n";
    let ours = "X-Forwarded-Proto: http\r\nX-Forwarded-Host: shop.example\r\n";
    assert_eq!(told(fields, "unix", None, true), format!("X-Forwarded-For: a, b\r\n{ours}Forwarded: {forwarded}"));
    assert_eq!(told("", "unix", None, true), format!("{ours}Forwarded: {forwarded}"));
}

#[test]
fn a_trusted_peers_words_are_kept_if_they_are_one_and_well_formed() {
    let ours = ["http", "80", "shop.example"];
    for (fields, kept) in [
        ("X-Forwarded-Proto: https\r\n", ["https", "80", "shop.example"]),
        ("X-Forwarded-Proto: http\r\n", ours),
        ("X-Forwarded-Proto: HTTPS\r\n", ["HTTPS", "80", "shop.example"]),
        ("X-Forwarded-Proto: ftp\r\n", ours),
        ("X-Forwarded-Proto: https, http\r\n", ours),
        ("X-Forwarded-Proto: https\r\nX-Forwarded-Proto: https\r\n", ours),
        ("X-Forwarded-Proto:\r\n", ours),
        ("X-Forwarded-Port: 443\r\n", ["http", "443", "shop.example"]),
        ("X-Forwarded-Port: 0\r\n", ours),
        ("X-Forwarded-Port: 65536\r\n", ours),
        ("X-Forwarded-Port: +443\r\n", ours),
        ("X-Forwarded-Port: 443a\r\n", ours),
        ("X-Forwarded-Port: 000443\r\n", ours),
        ("X-Forwarded-Port:\r\n", ours),
        ("X-Forwarded-Port: 443\r\nX-Forwarded-Port: 444\r\n", ours),
        ("X-Forwarded-Host: a.example:8080\r\n", ["http", "80", "a.example:8080"]),
        ("X-Forwarded-Host: [::1]:8080\r\n", ["http", "80", "[::1]:8080"]),
        ("X-Forwarded-Host: a.example, b.example\r\n", ours),
        ("X-Forwarded-Host: a/b\r\n", ours),
        ("X-Forwarded-Host: :80\r\n", ours),
        ("X-Forwarded-Host:\r\n", ours),
        ("X-Forwarded-Host: a\r\nX-Forwarded-Host: b\r\n", ours),
        ("Connection: x-forwarded-proto\r\nX-Forwarded-Proto: https\r\n", ["https", "80", "shop.example"]),
    ] {
        let [proto, port, host] = kept;
        let wanted = format!(
            "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: {proto}\r\nX-Forwarded-Port: {port}\r\n\
             X-Forwarded-Host: {host}\r\nForwarded: for=192.0.2.1;host=shop.example;proto=http\r\n"
        );
        assert_eq!(told(fields, "192.0.2.1:7", Some(80), true), wanted, "{fields:?}");
    }
    // These are the peer's alone, and go on as they came.
    let fields = "Connection: x-real-ip\r\nX-Real-IP: 192.0.2.7\r\nX-Forwarded-Prefix: /shop\r\n";
    let all = told(fields, "192.0.2.1:7", Some(80), true);
    assert!(all.starts_with("X-Real-IP: 192.0.2.7\r\nX-Forwarded-Prefix: /shop\r\nX-Forwarded-For: "), "{all}");
    // Twins are nobody's.
    let all = told("X_Real_IP: 6.6.6.6\r\nX-Forwarded_Prefix: /evil\r\n", "192.0.2.1:7", Some(80), true);
    assert!(all.starts_with("X-Forwarded-For: 192.0.2.1\r\n"), "{all}");
}

#[test]
fn a_host_is_quoted_where_it_is_no_token() {
    for (host, written) in [
        ("shop.example", "shop.example"),
        ("shop.example:8080", "\"shop.example:8080\""),
        ("[::1]", "\"[::1]\""),
        ("a,b", "\"a,b\""),
        ("a=b;c", "\"a=b;c\""),
        ("(a)", "\"(a)\""),
        ("a%20!$&'*+b~_", "a%20!$&'*+b~_"),
    ] {
        let mut out = Vec::new();
        put_host(&mut out, host.as_bytes());
        assert_eq!(String::from_utf8_lossy(&out), written);
    }
}

proptest! {
    /// A client that reached the first of some trusted proxies cannot choose who it is, whatever it sends.
    #[test]
    fn no_claim_makes_a_client_somebody_else(
        claims in prop::collection::vec("[0-9a-f:.,\" \\[\\]]{0,40}|10\\.0\\.0\\.1|6\\.6\\.6\\.6, 10\\.0\\.0\\.1", 0..4), hops in 0..4_usize,
    ) {
        let mut fields: String = claims.iter().map(|claim| format!("X-Forwarded-For: {claim}\r\n")).collect();
        let address = "192.0.2.1";
        for at in 0..=hops {
            fields.push_str(&match at {
                0 => format!("X-Forwarded-For: {address}\r\n"),
                at => format!("X-Forwarded-For: 10.0.0.{at}\r\n"),
            });
        }
        prop_assert_eq!(found(&fields, "10.0.0.9:1", &["10.0.0.0/8"]), address);
    }

    /// What one gateway tells, the next one behind it finds.
    #[test]
    fn what_is_told_is_found(v4 in any::<bool>(), bytes in any::<[u8; 16]>(), hops in 0..4_u8) {
        let [a, b, c, d, ..] = bytes;
        let ip = if v4 { IpAddr::from([a, b, c, d]) } else { IpAddr::from(bytes) };
        prop_assume!(!networks(&["10.0.0.0/8"]).holds_ip(ip));
        let mut from = SocketAddr::new(ip, 1);
        let mut fields = String::new();
        for hop in 0..=hops {
            fields = told(&fields, &from.to_string(), Some(80), hop > 0);
            from = SocketAddr::from(([10, 0, 0, hop], 2));
        }
        prop_assert_eq!(found(&fields, &from.to_string(), &["10.0.0.0/8"]), ip.to_canonical().to_string());
    }
}
