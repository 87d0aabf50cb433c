//! Requests that belong together go to one endpoint: by a key of theirs, or by a cookie that the gateway gives out. And what
//! endpoints say of themselves stays here.

use std::collections::BTreeSet;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use ringway::balance::sticky::Seal;

use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Response;
use crate::support::addresses;
use crate::support::eventually;

fn gateway(origins: &[Origin], more: &str) -> Gateway {
    Gateway::start(&format!(
        "[listen.http]\nbind = \"127.0.0.1:0\"\n[upstream.app]\nendpoints = {}\n{more}\n\
         [host.\"*\"]\nroutes = [{{ path = \"/shop/*\", upstream = \"app\" }}]\n",
        addresses(origins)
    ))
}

fn ask(raw: &mut Raw, target: &str, fields: &str) -> Response {
    raw.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    raw.read_response()
}

#[test]
fn the_same_key_goes_to_the_same_endpoint_and_other_keys_to_others() {
    let request = |key: &str, n: usize, noise: usize| match key {
        "header:x-user" => (format!("/shop/{noise}"), format!("X-User: u{n}\r\n")),
        "cookie:cart" => (format!("/shop/{noise}"), format!("Cookie: x={noise}; cart=u{n}\r\n")),
        "query:id" => (format!("/shop/{noise}?x={noise}&id=u{n}"), String::new()),
        "path" => (format!("/shop/u{n}?x={noise}"), String::new()),
        _ => (format!("/shop/u{n}/{noise}"), String::new()),
    };
    let origins = Origin::fleet(&["a", "b", "c"]);
    let mut placed = BTreeSet::new();
    for (key, table) in [
        ("header:x-user", "maglev"),
        ("header:x-user", "ring"),
        ("cookie:cart", "maglev"),
        ("query:id", "ring"),
        ("path", "maglev"),
        ("capture:1", "ring"),
    ] {
        let balance = format!("balance = {{ hash = \"{key}\", table = \"{table}\", bound = \"off\" }}");
        let gateway = gateway(&origins, &balance);
        let (mut met, mut places) = (BTreeSet::new(), Vec::new());
        for n in 0..16 {
            let mut of_key = BTreeSet::new();
            for noise in 0..4 {
                let (target, fields) = request(key, n, noise);
                // A connection each: the cores agree.
                of_key.insert(ask(&mut Raw::connect(gateway.http()), &target, &fields).text().to_owned());
            }
            assert_eq!(of_key.len(), 1, "{key}: u{n} went to {of_key:?}");
            places.extend(of_key.iter().cloned());
            met.append(&mut of_key);
        }
        assert!(met.len() > 1, "{key}: all went to {met:?}");
        if key == "header:x-user" {
            assert!(placed.insert(places), "one table is the other");
        }
    }
}

#[test]
fn a_client_is_known_by_its_address_and_the_first_key_that_is_there_counts() {
    let origins = Origin::fleet(&["a", "b", "c"]);
    let gateway = gateway(&origins, "balance = { hash = [\"header:x-user\", \"client\"], bound = \"off\" }");
    let mut met = BTreeSet::new();
    let ask = |client: usize, fields: &str| {
        let mut raw = Raw::connect_from(&format!("127.0.0.{client}"), gateway.http());
        ask(&mut raw, "/shop/x", fields).text().to_owned()
    };
    for client in 2..18 {
        let answer = ask(client, "");
        assert_eq!(ask(client, ""), answer);
        met.insert(answer);
    }
    assert!(met.len() > 1, "all went to {met:?}");
    let named: BTreeSet<_> = (2..18).map(|client| ask(client, "X-User: one\r\n")).collect();
    assert_eq!(named.len(), 1, "the field comes first: {named:?}");
}

/// 192.0.2.X, port and target of no matter, in version 2 of the PROXY protocol.
fn named(client: u8) -> Vec<u8> {
    let head = *b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c";
    [&head[..], &[192, 0, 2, client, 198, 51, 100, 7, 0x0f, client, 0x20, 0xfb]].concat()
}

#[test]
fn a_client_is_known_by_what_a_trusted_proxy_says_of_it_and_by_nothing_else_that_is_said() {
    const CLIENTS: std::ops::Range<u8> = 1..17;
    let origins = Origin::fleet(&["a", "b", "c"]);
    let by_client = "balance = { hash = \"client\", bound = \"off\" }";
    let more = format!(
        "{by_client}\n[listen.trusting]\nbind = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.2\", \"127.0.0.3\"]\n\
         [listen.proxied]\nbind = \"127.0.0.1:0\"\nproxy_protocol = true\ntrusted_proxies = [\"127.0.0.2\", \"127.0.0.3\"]"
    );
    let gateway = gateway(&origins, &more);
    let at = |peer: &str, listener: &str, header: &[u8], fields: &str| {
        let mut raw = Raw::connect_from(peer, gateway.addr(listener));
        raw.send(header);
        ask(&mut raw, "/shop/x", fields).text().to_owned()
    };
    let forwarded = |client: u8| format!("X-Forwarded-For: 192.0.2.{client}\r\n");
    let mut met = BTreeSet::new();
    for client in CLIENTS {
        let answer = at("127.0.0.2", "trusting", b"", &forwarded(client));
        // The same client by another proxy, behind two of them, from another port, and named before the first request.
        assert_eq!(at("127.0.0.3", "trusting", b"", &forwarded(client)), answer, "client {client}");
        let behind_two = format!("X-Forwarded-For: 6.6.6.{client}, 192.0.2.{client}, 127.0.0.3\r\n");
        assert_eq!(at("127.0.0.2", "trusting", b"", &behind_two), answer, "client {client}");
        let with_port = format!("X-Forwarded-For: 192.0.2.{client}:{client}\r\n");
        assert_eq!(at("127.0.0.2", "trusting", b"", &with_port), answer, "client {client}");
        for peer in ["127.0.0.2", "127.0.0.3"] {
            assert_eq!(at(peer, "proxied", &named(client), ""), answer, "client {client}");
        }
        met.insert(answer);
    }
    assert!(met.len() > 1, "all went to {met:?}");
    // Two clients of one connection of a proxy are two.
    let mut shared = Raw::connect_from("127.0.0.2", gateway.addr("trusting"));
    let of_shared: BTreeSet<_> =
        CLIENTS.map(|client| ask(&mut shared, "/shop/x", &forwarded(client)).text().to_owned()).collect();
    assert_eq!(of_shared, met);
    // Whoever is not trusted is who its connection says, whatever it claims.
    for peer in ["127.0.0.4", "127.0.0.5", "127.0.0.6", "127.0.0.7"] {
        let own = at(peer, "trusting", b"", "");
        let claimed: BTreeSet<_> = CLIENTS.map(|client| at(peer, "trusting", b"", &forwarded(client))).collect();
        assert_eq!(claimed, BTreeSet::from([own]), "{peer}");
    }
}

const STICKY: &str = "sticky = { cookie = \"stay\", lifetime = \"1h\", secret = \"a secret of the tests\" }";

/// The value of the cookie that a response sets, if it does.
fn given(response: &Response) -> Option<String> {
    let line = response.all("set-cookie").into_iter().find_map(|line| line.strip_prefix("stay="))?;
    let (value, rest) = line.split_once("; ").unwrap();
    assert_eq!(rest, "Max-Age=3600; Path=/; HttpOnly; SameSite=Lax");
    Some(value.to_owned())
}

#[test]
fn a_cookie_keeps_a_client_where_it_was_first() {
    let origins = Origin::fleet(&["a", "b", "c"]);
    let gateway = gateway(&origins, &format!("balance = \"random\"\n{STICKY}"));
    let first = ask(&mut Raw::connect(gateway.http()), "/shop/", "");
    let cookie = given(&first).expect("a cookie");
    for _ in 0..24 {
        let response = ask(&mut Raw::connect(gateway.http()), "/shop/", &format!("Cookie: a=b; stay={cookie}\r\n"));
        assert_eq!((response.text(), given(&response)), (first.text(), None));
    }
}

#[test]
fn a_cookie_that_nobody_signed_counts_for_nothing() {
    let origins = Origin::fleet(&["a", "b"]);
    let gateway = gateway(&origins, &format!("balance = \"random\"\n{STICKY}"));
    let cookie = given(&ask(&mut Raw::connect(gateway.http()), "/shop/", "")).unwrap();
    let last = if cookie.ends_with('0') { "1" } else { "0" };
    let forged = format!("{}{last}", &cookie[..cookie.len() - 1]);
    for value in [forged.as_str(), "", "x", "1.2.3.4"] {
        let mut met = BTreeSet::new();
        eventually("chance has its way", || {
            let response = ask(&mut Raw::connect(gateway.http()), "/shop/", &format!("Cookie: stay={value}\r\n"));
            assert!(given(&response).is_some(), "{value}: no new cookie");
            met.insert(response.text().to_owned());
            met.len() == 2
        });
    }
}

#[test]
fn a_client_stays_for_the_lifetime_of_its_cookie_and_no_longer() {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let origins = Origin::fleet(&["a", "b"]);
    let gateway = gateway(&origins, &format!("balance = \"random\"\n{STICKY}"));
    let seal = Seal::new(b"a secret of the tests", "app");
    let before = now();
    let first = ask(&mut Raw::connect(gateway.http()), "/shop/", "");
    let cookie = given(&first).unwrap();
    let endpoint = seal.read(cookie.as_bytes(), before + 3598).expect("it lasts an hour, give or take a second");
    assert_eq!(seal.read(cookie.as_bytes(), now() + 3602), None, "and no longer");
    // One that ends some day keeps its client there, and one that has ended counts for nothing.
    let at = |end: u64| {
        let value = String::from_utf8(seal.write(endpoint, end).to_vec()).unwrap();
        ask(&mut Raw::connect(gateway.http()), "/shop/", &format!("Cookie: stay={value}\r\n"))
    };
    for _ in 0..24 {
        let response = at(now() + 3600);
        assert_eq!((response.text(), given(&response)), (first.text(), None));
    }
    let mut met = BTreeSet::new();
    for _ in 0..48 {
        let response = at(now() - 2);
        assert!(given(&response).is_some(), "no new cookie");
        met.insert(response.text().to_owned());
    }
    assert_eq!(met.len(), 2, "all went to {met:?}");
}

#[test]
fn a_client_whose_endpoint_is_gone_moves_and_stays_there() {
    let mut origins = Origin::fleet(&["a", "b", "c"]);
    let gateway = gateway(&origins, &format!("balance = \"random\"\nretry = {{ attempts = 3 }}\n{STICKY}"));
    let first = ask(&mut Raw::connect(gateway.http()), "/shop/", "");
    let cookie = given(&first).unwrap();
    let left = ["a", "b", "c"].iter().position(|name| *name == first.text()).unwrap();
    origins[left].stop();
    let moved = ask(&mut Raw::connect(gateway.http()), "/shop/", &format!("Cookie: stay={cookie}\r\n"));
    assert_eq!(moved.status, 200);
    assert_ne!(moved.text(), first.text());
    let cookie = given(&moved).expect("a new cookie");
    for _ in 0..12 {
        let response = ask(&mut Raw::connect(gateway.http()), "/shop/", &format!("Cookie: stay={cookie}\r\n"));
        assert_eq!((response.text(), given(&response)), (moved.text(), None));
    }
}

#[test]
fn what_an_endpoint_reports_is_for_the_gateway_alone_if_that_listens() {
    let report = "endpoint-load-metrics: TEXT cpu_utilization=0.3\r\n";
    for (more, seen) in [("feedback = \"orca\"", ""), ("", "TEXT cpu_utilization=0.3")] {
        let origins = [Origin::fixed(format!("HTTP/1.1 200 OK\r\n{report}Content-Length: 0\r\n\r\n"))];
        let response = ask(&mut Raw::connect(gateway(&origins, more).http()), "/shop/", "");
        assert_eq!((response.status, response.field("endpoint-load-metrics")), (200, seen));
    }
}
