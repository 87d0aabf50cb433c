//! TLS with clients: who gets which certificate, what is settled, what is told on, and what is refused.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use rcgen::KeyPair;

use crate::support::Authority;
use crate::support::Gateway;
use crate::support::Issued;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::eventually;
use crate::support::ok;
use crate::support::pattern;
use crate::support::program;
use crate::support::simple;

/// A listener with these certificates, and more lines.
pub(crate) fn tls(origin: &Origin, pairs: &[&Issued], more: &str) -> String {
    let pairs: Vec<String> = pairs.iter().map(|issued| issued.pair()).collect();
    simple(&[origin], "", &format!("tls = [{}]\n{more}", pairs.join(", ")))
}

fn handshakes(gateway: &Gateway, result: &str) -> f64 {
    gateway.metrics().sum("ringway_tls_handshakes_total", &[("result", result)])
}

#[test]
fn a_request_is_served_by_either_version_and_those_behind_are_told() {
    let (authority, origin) = (Authority::new(), Origin::named("orders"));
    let shop = authority.issue("shop", &["shop.example"]);
    let gateway = Gateway::start(&tls(&origin, &[&shop], "hsts = { age = \"1h\", subdomains = true }"));
    for (n, version) in [&rustls::version::TLS12, &rustls::version::TLS13].into_iter().enumerate() {
        let mut client = authority.client_of(version).connect(gateway.http(), "shop.example");
        assert_eq!(client.settled().protocol_version(), Some(version.version));
        let response = client.get("shop.example", "/orders");
        assert_eq!((response.status, response.text()), (200, "orders"));
        assert_eq!(response.field("Strict-Transport-Security"), "max-age=3600; includeSubDomains");
        let request = origin.wait_for(n + 1);
        assert_eq!(request.field("X-Forwarded-Proto"), "https");
        assert_eq!(request.field("X-Forwarded-Port"), gateway.http().port().to_string());
        assert!(request.field("Forwarded").ends_with(";proto=https"), "{}", request.field("Forwarded"));
        let logged = gateway.wait_log_lines(n + 1, |line| line.ended() == "ok").pop().unwrap();
        assert_eq!(logged.str("tls"), if n == 0 { "TLSv1.2" } else { "TLSv1.3" });
        // Whoever is told the end says its own.
        client.finish();
        assert_eq!(client.read_to_end().unwrap(), b"");
    }
    assert!(handshakes(&gateway, "full") > 1.5);
}

#[test]
fn openssl_and_curl_agree_with_it() {
    let (authority, origin) = (Authority::new(), Origin::fixed(ok(&"x".repeat(100_000))));
    let shop = authority.issue("shop", &["shop.example"]);
    let gateway = Gateway::start(&tls(&origin, &[&shop], ""));
    let (addr, ca) = (gateway.http(), authority.ca());
    let (port, ca) = (addr.port(), ca.to_str().unwrap());
    let url = format!("https://shop.example:{port}/");
    let resolve = format!("shop.example:{port}:127.0.0.1");
    for version in ["--tlsv1.2", "--tlsv1.3"] {
        let args = [
            "-sS",
            "--cacert",
            ca,
            "--resolve",
            &resolve,
            version,
            "-w",
            "%{http_version} %{size_download}",
            "-o",
            "/dev/null",
            &url,
        ];
        assert_eq!(program("curl", &args, ""), (true, "1.1 100000".into()));
    }
    let connect = addr.to_string();
    let args = [
        "s_client",
        "-connect",
        &connect,
        "-servername",
        "shop.example",
        "-CAfile",
        ca,
        "-alpn",
        "h2,http/1.1",
        "-ign_eof",
    ];
    let (fine, text) = program("openssl", &args, "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n");
    assert!(fine && text.contains("Verify return code: 0 (ok)") && text.contains("ALPN protocol: http/1.1"), "{text}");
    // The end is said: openssl calls it so.
    assert!(text.contains("closed") && !text.contains("unexpected eof"), "{text}");
}

#[test]
fn each_name_has_its_certificate_and_each_client_one_that_it_can_verify() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let rsa_key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    let rsa = authority.issue_with("shop-rsa", &["shop.example"], &rsa_key, |_| {});
    let wild = authority.issue("wild", &["*.shop.example"]);
    let pay = authority.issue("pay", &["pay.shop.example"]);
    let config = |more: &str| tls(&origin, &[&shop, &rsa, &wild, &pay], more);
    let gateway = Gateway::start(&config(""));
    let shown = |name: &str| {
        let client = authority.client(None).try_connect(gateway.http(), name).ok()?;
        client.settled().peer_certificates().unwrap().first().cloned()
    };
    assert_eq!(shown("shop.example").as_ref(), Some(&shop.der));
    assert_eq!(shown("pay.shop.example").as_ref(), Some(&pay.der));
    assert_eq!(shown("img.shop.example").as_ref(), Some(&wild.der));
    assert_eq!(shown("other.example"), None, "the first is for another name, as the client sees");
    let connect = gateway.http().to_string();
    for (algorithms, kind) in [("RSA-PSS+SHA256", "RSA"), ("ECDSA+SHA256", "EC")] {
        let args = ["s_client", "-connect", &connect, "-servername", "shop.example", "-sigalgs", algorithms, "-brief"];
        let (_, text) = program("openssl", &args, "");
        let found = if kind == "RSA" { "CN = shop-rsa" } else { "CN = shop" };
        assert!(text.lines().any(|line| line.ends_with(found)), "{kind}: {text}");
    }
    assert_eq!(gateway.reload(&config("handshake = { unknown_name = \"refuse\" }")).status, 200);
    let before = handshakes(&gateway, "failed");
    assert_eq!(shown("other.example"), None);
    eventually("the refusal to be counted", || handshakes(&gateway, "failed") > before + 0.5);
    assert_eq!(shown("img.shop.example").as_ref(), Some(&wild.der));
}

#[test]
fn the_order_of_suites_is_ours_where_old_clients_come_and_the_clients_where_they_do_not() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let config = |more: &str| tls(&origin, &[&shop], more);
    let gateway = Gateway::start(&config(""));
    let connect = gateway.http().to_string();
    let suite = |offers: &[&str]| {
        let args = ["s_client", "-connect", &connect, "-servername", "shop.example", "-brief"];
        let (_, text) = program("openssl", &[&args, offers].concat(), "");
        text.lines().find_map(|line| line.strip_prefix("Ciphersuite: ")).unwrap_or(&text).to_owned()
    };
    let old = ["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256"];
    let new = ["-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"];
    assert_eq!((&*suite(&old), &*suite(&new)), ("ECDHE-ECDSA-AES128-GCM-SHA256", "TLS_AES_128_GCM_SHA256"));
    assert_eq!(gateway.reload(&config("handshake = { policy = \"modern\" }")).status, 200);
    assert_eq!(suite(&new), "TLS_CHACHA20_POLY1305_SHA256");
}

#[test]
fn keys_of_every_form_are_taken() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let rsa_key = KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
    for issued in [authority.issue("ec", &["a.example"]), authority.issue_with("rsa", &["a.example"], &rsa_key, |_| {})]
    {
        let pkcs8 = std::fs::read_to_string(&issued.key).unwrap();
        let (fine, old) = program("openssl", &["pkey", "-traditional"], &pkcs8);
        assert!(fine && (old.contains("EC PRIVATE KEY") || old.contains("RSA PRIVATE KEY")), "{old}");
        for text in [pkcs8, old] {
            std::fs::write(&issued.key, text).unwrap();
            let gateway = Gateway::start(&tls(&origin, &[&issued], ""));
            assert_eq!(authority.client(None).connect(gateway.http(), "a.example").get("a.example", "/").status, 200);
        }
    }
}

#[test]
fn modern_is_the_new_version_alone() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let gateway = Gateway::start(&tls(&origin, &[&shop], "handshake = { policy = \"modern\" }"));
    assert!(authority.client_of(&rustls::version::TLS12).try_connect(gateway.http(), "shop.example").is_err());
    let client = authority.client(None).connect(gateway.http(), "shop.example");
    let exchange = client.settled().negotiated_key_exchange_group().unwrap().name();
    assert_eq!(exchange, rustls::NamedGroup::X25519MLKEM768);
}

#[test]
fn a_request_for_another_host_than_the_connection_is_misdirected() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example", "pay.example"]);
    let gateway = Gateway::start(&tls(&origin, &[&shop], ""));
    let mut client = authority.client(None).connect(gateway.http(), "shop.example");
    assert_eq!(client.get("SHOP.example:443", "/").status, 200);
    assert_eq!(client.get("pay.example", "/").status, 421);
    assert_eq!(client.get("shop.example", "/").status, 200, "the connection is as good as it was");
    assert_eq!(gateway.wait_log(|line| line.ended() == "misdirected").num("status"), 421);
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn what_is_no_tls_is_told_so_or_nothing() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let more = "handshake = { timeout = \"300ms\", hello = \"2KiB\" }";
    let gateway = Gateway::start(&tls(&origin, &[&shop], more));
    let mut plain = Raw::connect(gateway.http());
    let response = plain.get("/");
    assert_eq!(response.status, 400);
    assert!(response.text().contains("ask by https"), "{}", response.text());
    plain.expect_closed();
    let mut garbage = Raw::connect(gateway.http());
    garbage.send(b"\x16\x03\x01\xff\xff\xff\xff");
    // An alert, perhaps.
    while garbage.try_read_some().is_ok() {}
    let mut noise = Raw::connect(gateway.http());
    noise.send([0x80; 100]);
    noise.expect_closed();
    // A hello that never ends, in good records.
    let mut endless = Raw::connect(gateway.http());
    let mut hello = vec![22, 3, 1, 0x07, 0xd4, 1, 0, 0xea, 0x60];
    hello.resize(5 + 2004, 7);
    let more = [&[22, 3, 1, 0x07, 0xd0][..], &[7; 2000]].concat();
    drop(endless.try_send(hello));
    drop(endless.try_send(&more));
    while endless.try_read_some().is_ok() {}
    // One that never comes, and one that stops in its midst: the time runs from the beginning.
    let mut silent = Raw::connect(gateway.http());
    let mut stalled = Raw::connect(gateway.http());
    stalled.send(b"\x16\x03\x01\x02\x00\x01\x00");
    silent.expect_closed();
    stalled.expect_closed();
    let count = |result| handshakes(&gateway, result) as u64;
    eventually("all to be counted", || count("plain") == 2 && count("failed") == 2 && count("timed_out") == 2);
    assert_eq!(gateway.wait_log(|line| line.ended() == "bad_request").num("status"), 400);
    assert_eq!(authority.client(None).connect(gateway.http(), "shop.example").get("shop.example", "/").status, 200);
}

#[test]
fn no_more_handshakes_at_once_than_may_be_and_half_a_hello_is_none() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let process = "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\n";
    let gateway = Gateway::start(&format!("{process}{}", tls(&origin, &[&shop], "handshake = { at_once = 2 }")));
    let hello = authority.hello("shop.example");
    let stalled = |bytes: &[u8]| {
        let mut stalled = Raw::connect(gateway.http());
        stalled.send(bytes);
        stalled
    };
    let halves: Vec<Raw> = (0..8).map(|_| stalled(&hello[..hello.len() - 1])).collect();
    for _ in 0..3 {
        assert_eq!(authority.client(None).connect(gateway.http(), "shop.example").get("shop.example", "/").status, 200);
    }
    // Two that say no more once they are answered.
    let mut wholes: Vec<Raw> = (0..2).map(|_| stalled(&hello)).collect();
    wholes.iter_mut().for_each(|whole| drop(whole.try_read_some()));
    eventually("a third to be refused", || {
        let refused = authority.client(None).try_connect(gateway.http(), "shop.example").is_err();
        refused && handshakes(&gateway, "refused") > 0.5
    });
    drop((halves, wholes));
    eventually("places to become free", || authority.client(None).try_connect(gateway.http(), "shop.example").is_ok());
}

#[test]
fn a_handshake_is_taken_up_again_on_any_core_after_a_reload_and_by_who_shares_the_keys() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let secrets = authority.scratch.write("tickets", &format!("# ours\n{}\n", "5a".repeat(32)));
    let more = format!("handshake = {{ ticket_keys = \"{}\" }}", secrets.display());
    let config = tls(&origin, &[&shop], "");
    let gateway = Gateway::start(&config);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = authority.client_of(version);
        let exchange = |gateway: &Gateway| {
            let mut connection = client.connect(gateway.http(), "shop.example");
            assert_eq!(connection.get("shop.example", "/").status, 200);
            connection.resumed()
        };
        assert!(!exchange(&gateway));
        // Until each core has taken it up: it was made on one of them.
        let served = || {
            let cores = gateway.get_json("/v1/cores")["cores"].clone();
            [0, 1].map(|core| cores[core]["exchanges"].as_u64().unwrap())
        };
        let before = served();
        for tried in 0.. {
            assert!(exchange(&gateway), "whichever core it is");
            let now = served();
            if tried >= 8 && now.iter().zip(before).all(|(now, before)| *now > before) {
                break;
            }
            assert!(tried < 200, "one core serves nothing");
        }
        assert_eq!(gateway.reload(&config).status, 200);
        assert!(exchange(&gateway));
        let others = [Gateway::start(&tls(&origin, &[&shop], &more)), Gateway::start(&tls(&origin, &[&shop], &more))];
        assert!(!exchange(&others[0]), "another secret");
        assert!(exchange(&others[1]), "the same secret");
        assert_eq!(gateway.reload(&tls(&origin, &[&shop], "handshake = { tickets = false }")).status, 200);
        assert!(!exchange(&gateway));
        assert!(!exchange(&gateway), "none is given");
        assert_eq!(gateway.reload(&config).status, 200);
    }
    assert!(handshakes(&gateway, "resumed") > 17.5);
}

#[test]
fn large_bodies_go_both_ways_whole() {
    let body = pattern(3_000_000);
    let sent = body.clone();
    let echo = |request: &crate::support::Request| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", request.body.len());
        [head.as_bytes(), &request.body].concat()
    };
    let (authority, origin) = (Authority::new(), Origin::answer(echo));
    let shop = authority.issue("shop", &["shop.example"]);
    let gateway = Gateway::start(&tls(&origin, &[&shop], ""));
    let mut client = authority.client(None).connect(gateway.http(), "shop.example");
    for _ in 0..2 {
        // In two parts, since nobody reads while we send.
        client.send(format!("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: {}\r\n\r\n", sent.len()));
        client.send(&sent);
        assert!(client.read_response().body == body);
    }
}

#[test]
fn a_body_that_only_an_end_tells_is_whole_only_with_that_end() {
    let authority = Authority::new();
    let shop = authority.issue("shop", &["shop.example"]);
    let origin = Origin::script(|conn| {
        drop(conn.read_request());
        conn.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nwhole");
    });
    let gateway = Gateway::start(&tls(&origin, &[&shop], ""));
    let mut client = authority.client(None).connect(gateway.http(), "shop.example");
    client.send("GET / HTTP/1.0\r\nHost: shop.example\r\n\r\n");
    assert!(client.read_to_end().unwrap().ends_with(b"\r\n\r\nwhole"));
    // To a client of HTTP/1.0 chunks would go as they are: an end that is none must not look like one.
    let chunked = Origin::script(|conn| {
        drop(conn.read_request());
        conn.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n");
    });
    let gateway = Gateway::start(&tls(&chunked, &[&shop], ""));
    let mut client = authority.client(None).connect(gateway.http(), "shop.example");
    client.send("GET / HTTP/1.0\r\nHost: shop.example\r\n\r\n");
    assert!(client.read_to_end().is_err(), "half a body, and no end");
    assert_eq!(gateway.wait_log(|line| line.ended() != "ok").ended(), "upstream_truncated");
}

#[test]
fn a_client_that_says_its_end_while_it_waits_has_gone() {
    let (authority, origin) = (Authority::new(), Origin::silent());
    let shop = authority.issue("shop", &["shop.example"]);
    let gateway = Gateway::start(&tls(&origin, &[&shop], ""));
    let mut client = authority.client(None).connect(gateway.http(), "shop.example");
    client.send("GET /slow HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    origin.wait_for_heads(1);
    client.finish();
    assert_eq!(gateway.wait_log(|line| line.path() == "/slow").ended(), "client_abort");
}

#[test]
fn behind_a_proxy_the_header_comes_first_and_a_second_request_may_come_at_once() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let more = "proxy_protocol = true\ntrusted_proxies = [\"127.0.0.0/8\"]";
    let gateway = Gateway::start(&tls(&origin, &[&shop], more));
    let mut stream = TcpStream::connect(gateway.http()).unwrap();
    stream.write_all(b"PROXY TCP4 192.0.2.7 192.0.2.8 1000 8443\r\n").unwrap();
    let mut client = authority.client(None).try_over(stream, "shop.example").unwrap();
    client.send("GET /1 HTTP/1.1\r\nHost: shop.example\r\n\r\nGET /2 HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert_eq!([client.read_response().status, client.read_response().status], [200, 200]);
    assert_eq!(origin.wait_for(2).field("X-Forwarded-Port"), "8443");
    assert!(gateway.wait_log(|line| line.path() == "/2").str("client").starts_with("192.0.2.7:"));
}

#[test]
fn a_listener_may_send_everything_on_to_where_tls_is_spoken() {
    let origin = Origin::named("app");
    let gateway =
        Gateway::start(&simple(&[&origin], "", "redirect = \"https\"\n\n[defaults.listen]\nhsts = { age = \"1h\" }"));
    let mut raw = Raw::connect(gateway.http());
    let ask = |raw: &mut Raw, request: &str| {
        raw.send(request);
        raw.read_response()
    };
    let response = ask(&mut raw, "GET /a/../b?c=%20d HTTP/1.1\r\nHost: Shop.example:8080\r\n\r\n");
    assert_eq!((response.status, response.field("Location")), (301, "https://Shop.example/b?c=%20d"));
    assert_eq!(response.field("Strict-Transport-Security"), "", "not in the open");
    let post = "POST /pay HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 3\r\n\r\nabc";
    let response = ask(&mut raw, post);
    assert_eq!((response.status, response.field("Location")), (308, "https://shop.example/pay"));
    assert_eq!(gateway.reload(&simple(&[&origin], "", "redirect = \"https:8443\"")).status, 200);
    let response = ask(&mut raw, "GET http://shop.example HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert_eq!((response.status, response.field("Location")), (301, "https://shop.example:8443/"));
    assert_eq!(ask(&mut raw, "GET / HTTP/1.0\r\n\r\n").status, 400, "to which host?");
    assert!(origin.requests().is_empty());
    assert_eq!(gateway.wait_log(|line| line.num("status") == 308).ended(), "redirected");
    let errors = |cause| gateway.metrics().sum("ringway_request_errors_total", &[("cause", cause)]);
    assert_eq!(
        (errors("redirected") as u64, errors("bad_request") as u64),
        (0, 1),
        "it is what is wanted, and no error"
    );
}

#[test]
fn a_cookie_of_the_gateway_is_for_tls_alone_if_it_came_by_tls() {
    let (authority, origin) = (
        Authority::new(),
        Origin::fixed("HTTP/1.1 200 OK\r\nStrict-Transport-Security: max-age=1\r\nContent-Length: 0\r\n\r\n"),
    );
    let shop = authority.issue("shop", &["shop.example"]);
    let more = format!("tls = [{}]\n\n[listen.open]\nbind = \"127.0.0.1:0\"", shop.pair());
    let gateway = Gateway::start(&simple(&[&origin], "sticky = { cookie = \"place\" }", &more));
    let response = authority.client(None).connect(gateway.http(), "shop.example").get("shop.example", "/");
    assert!(response.field("Set-Cookie").ends_with("; Secure"), "{}", response.field("Set-Cookie"));
    assert_eq!(response.field("Strict-Transport-Security"), "max-age=1", "the upstream's own word");
    let response = Raw::connect(gateway.addr("open")).get("/");
    assert!(response.field("Set-Cookie").ends_with("; SameSite=Lax"), "{}", response.field("Set-Cookie"));
    let more = more.replacen("\n\n", "\nhsts = { age = \"1h\" }\n\n", 1);
    assert_eq!(gateway.reload(&simple(&[&origin], "sticky = { cookie = \"place\" }", &more)).status, 200);
    let response = authority.client(None).connect(gateway.http(), "shop.example").get("shop.example", "/");
    assert_eq!(response.field("Strict-Transport-Security"), "max-age=3600", "instead of the upstream's");
}

#[test]
fn certificates_that_change_are_read_and_bad_ones_are_not_taken() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let config = tls(&origin, &[&shop], "");
    let mut gateway = Gateway::start(&config);
    let mut kept = authority.client(None).connect(gateway.http(), "shop.example");
    let shown = || {
        let client = authority.client(None).connect(gateway.http(), "shop.example");
        client.settled().peer_certificates().unwrap().first().cloned().unwrap()
    };
    assert_eq!(shown(), shop.der);
    let told = gateway.get_json("/v1/certificates")["certificates"][0].clone();
    assert_eq!(
        (&told["names"][0], &told["shown_by"], &told["fault"]),
        (&"shop.example".into(), &"listener".into(), &serde_json::Value::Null)
    );
    let ends =
        gateway.metrics().sum("ringway_tls_certificate_not_after_seconds", &[("of", "http"), ("side", "listener")]);
    assert!(ends > 4e9 && (ends - told["not_after"].as_f64().unwrap()).abs() < 1.0);
    // Written anew under the same names: nobody tells the gateway.
    let next = authority.issue("shop", &["shop.example", "new.example"]);
    eventually("the new one to be shown", || shown() == next.der);
    // The key of another.
    let other = KeyPair::generate().unwrap();
    let good = std::fs::read_to_string(&next.key).unwrap();
    let key = next.key.clone();
    std::fs::write(&key, other.serialize_pem()).unwrap();
    let fault = || gateway.get_json("/v1/certificates")["certificates"][0]["fault"].clone();
    eventually("the bad pair to be told of", || {
        fault().as_str().is_some_and(|fault| fault.contains("is not the key of"))
    });
    assert_eq!(shown(), next.der, "the old one stays");
    let refused = gateway.reload(&config);
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("is not the key of"), "{}", refused.text());
    std::fs::write(&key, good).unwrap();
    eventually("the fault to be gone", || fault().is_null());
    assert_eq!(kept.get("shop.example", "/").status, 200, "a connection does not notice");
    gateway.expect_error("a file has changed and cannot be used");
    gateway.expect_error("reload refused");
}

#[test]
fn a_check_tells_what_is_wrong_with_files_where_they_are_named() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let other = authority.issue("other", &["other.example"]);
    let old = authority.issue_with("old", &["old.example"], &KeyPair::generate().unwrap(), |params| {
        params.not_after = rcgen::date_time_ymd(2025, 1, 1);
    });
    let empty = authority.scratch.write("empty.pem", "nothing\n");
    let show = |path: &std::path::Path| path.display().to_string();
    let check = |toml: &str| {
        let file = authority.scratch.write("gateway.toml", toml);
        let exit = crate::support::run(&["check", "-c", file.to_str().unwrap()]);
        (exit.code, exit.stdout + &exit.stderr)
    };
    for (cert, key, words) in [
        ("/nowhere/shop.crt".to_owned(), show(&shop.key), "/nowhere/shop.crt: there is no such file"),
        (show(&empty), show(&shop.key), "there is no certificate in it (PEM)"),
        (show(&shop.cert), show(&empty), "there is no private key in it"),
        (show(&shop.cert), show(&other.key), "it is not the key of"),
    ] {
        let listen = format!("tls = [{{ cert = \"{cert}\", key = \"{key}\" }}]");
        let (code, text) = check(&simple(&[&origin], "", &listen));
        assert!(
            code == 1 && text.contains(words) && text.contains("gateway.toml:3:") && text.contains("^^^^"),
            "{text}"
        );
        let gateway =
            crate::support::run(&["run", "-c", show(&authority.scratch.path().join("gateway.toml")).as_str()]);
        assert!(gateway.code == 1 && gateway.stderr.contains(words), "{}", gateway.stderr);
    }
    let (code, text) = check(&tls(&origin, &[&old], ""));
    assert!(code == 0 && text.contains("the certificate expired"), "{text}");
    let (code, text) = check(&simple(&[&origin], "tls = { insecure = true }", ""));
    assert!(code == 0 && text.contains("upstream \"app\" is insecure"), "{text}");
}

#[test]
fn a_tunnel_goes_by_tls_too() {
    let (authority, origin) = (
        Authority::new(),
        Origin::script(|conn| {
            drop(conn.read_request());
            conn.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello");
            while let Some(bytes) = conn.read_some() {
                conn.write(bytes);
            }
        }),
    );
    let shop = authority.issue("shop", &["shop.example"]);
    let config =
        tls(&origin, &[&shop], "").replace("upstream = \"app\" }", "upstream = \"app\", upgrade = [\"websocket\"] }");
    let gateway = Gateway::start(&config);
    let mut client = authority.client(None).connect(gateway.http(), "shop.example");
    client.send("GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    // Whoever says its end before there is a tunnel has gone.
    assert_eq!(client.read_until(b"\r\n\r\nhello"), 101);
    client.send("there");
    client.finish();
    assert_eq!(client.read_to_end().unwrap(), b"there");
    assert_eq!(gateway.wait_log(|line| line.num("status") == 101).ended(), "ok");
}

#[test]
fn a_drain_ends_idle_connections_with_their_end() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let mut gateway = Gateway::start(&tls(&origin, &[&shop], ""));
    let mut client = authority.client(None).connect(gateway.http(), "shop.example");
    assert_eq!(client.get("shop.example", "/").status, 200);
    gateway.signal(crate::support::Signal::Term);
    assert_eq!(client.read_to_end().unwrap(), b"");
    assert!(gateway.wait_exit().success());
}

#[test]
fn an_idle_connection_keeps_little() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let process = "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\naccess_log = \"off\"\n";
    let gateway = Gateway::start(&format!("{process}{}", tls(&origin, &[&shop], "")));
    let client = authority.client(None);
    let open = |n: usize| {
        let made = (0..n).map(|_| {
            let mut connection = client.connect(gateway.http(), "shop.example");
            assert_eq!(connection.get("shop.example", "/").status, 200);
            connection
        });
        made.collect::<Vec<_>>()
    };
    let parked = |n: usize| {
        eventually("all to be parked", || gateway.get_json("/v1/overview")["parked"].as_u64() == Some(n as u64));
    };
    let first = open(100);
    parked(100);
    let settle = || {
        // What was in use is given back a second later.
        let mut least = u64::MAX;
        for _ in 0..20 {
            std::thread::sleep(Duration::from_millis(150));
            least = least.min(gateway.resident_kib());
        }
        least
    };
    let before = settle();
    let more = open(400);
    parked(500);
    let each = settle().saturating_sub(before) as f64 / 400.0;
    println!("{each:.2} KiB for each idle connection");
    assert!(each <= 8.0, "{each:.2} KiB for each idle connection");
    drop((first, more));
}

#[test]
fn a_request_with_the_last_word_behind_it_is_seen_and_a_cut_is_an_abort() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let gateway = Gateway::start(&tls(&origin, &[&shop], ""));
    for n in 0..10 {
        let mut client = authority.client(None).connect(gateway.http(), "shop.example");
        client.send(format!("GET /{n} HTTP/1.1\r\nHost: shop.example\r\n\r\n"));
        client.cut();
    }
    // What was sent before the cut was a request: each has its line, and each its word.
    let lines = gateway.wait_log_lines(10, |line| line.path().len() == 2);
    assert!(lines.iter().all(|line| ["ok", "client_abort"].contains(&line.ended())), "{lines:?}");
    let mut raw = TcpStream::connect(gateway.http()).unwrap();
    raw.write_all(b"\x15\x03\x03\x00\x02\x01\x00").unwrap();
    assert_eq!(raw.read_to_end(&mut Vec::new()).unwrap(), 0, "an end without a beginning is answered by none");
    assert_eq!(authority.client(None).connect(gateway.http(), "shop.example").get("shop.example", "/").status, 200);
}
