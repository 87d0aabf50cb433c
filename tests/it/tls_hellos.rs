//! How a connection under TLS begins: which protocol is agreed on, whose second hello is awaited, and what comes in one piece
//! with the first.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::AlertDescription;
use rustls::HandshakeKind;
use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::crypto::aws_lc_rs;

use crate::support::Authority;
use crate::support::Gateway;
use crate::support::Incoming;
use crate::support::Issued;
use crate::support::Origin;
use crate::support::SecureOrigin;
use crate::support::get;
use crate::support::ok;
use crate::support::program;
use crate::support::simple;
use crate::tls::tls;

/// A configuration whose upstream speaks TLS at this address, by this authority.
fn towards(addr: std::net::SocketAddr, authority: &Authority) -> String {
    let plain = Origin::refusing();
    let tls = format!("tls = {{ ca = \"{}\" }}\ntimeout = {{ connect = \"20s\" }}", authority.ca().display());
    simple(&[&plain], &tls, "").replace(&plain.address().to_string(), &addr.to_string())
}

#[test]
fn a_client_that_shares_no_protocol_is_told_so_and_one_that_names_none_is_served() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let gateway = Gateway::start(&tls(&origin, &[&shop], ""));
    let (connect, ca) = (gateway.http().to_string(), authority.ca().display().to_string());
    for (offers, agreed) in [
        (&[][..], Some(None)),
        (&[b"http/1.1".as_slice()], Some(Some(&b"http/1.1"[..]))),
        (&[b"h2", b"http/1.1"], Some(Some(b"http/1.1"))),
        (&[b"h2"], None),
        (&[b"acme-tls/1"], None),
    ] {
        match (authority.offering(offers).try_connect(gateway.http(), "shop.example"), agreed) {
            (Ok(mut client), Some(agreed)) => {
                assert_eq!(client.settled().alpn_protocol(), agreed, "{offers:?}");
                assert_eq!(client.get("shop.example", "/").text(), "app", "{offers:?}");
            }
            (Err(fault), None) => {
                let told = fault.get_ref().and_then(|fault| fault.downcast_ref::<rustls::Error>());
                let expected = rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol);
                assert_eq!(told, Some(&expected), "{offers:?}: {fault}");
            }
            (outcome, _) => panic!("{offers:?}: {:?}", outcome.map(|_| "agreed")),
        }
    }
    for version in ["-tls1_2", "-tls1_3"] {
        let args =
            ["s_client", "-connect", &connect, "-servername", "shop.example", "-CAfile", &ca, "-ign_eof", version];
        let request = "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
        let (_, text) = program("openssl", &[&args[..], &["-alpn", "h2"]].concat(), request);
        assert!(text.contains("no application protocol") && !text.contains("HTTP/1.1 "), "{version}: {text}");
        let (fine, text) = program("openssl", &args, request);
        let served = text.contains("No ALPN negotiated") && text.contains("HTTP/1.1 200");
        assert!(fine && served, "{version}: {text}");
    }
}

#[test]
fn an_upstream_that_shares_no_protocol_is_no_upstream_and_one_that_names_none_is() {
    let authority = Authority::new();
    let shown = authority.issue("orders", &["127.0.0.1"]);
    for (speaks, status) in [(&[][..], 200), (&[b"h2".to_vec(), b"http/1.1".to_vec()], 200), (&[b"h2".to_vec()], 502)] {
        let mut config = authority.origin(&shown, false);
        config.alpn_protocols = speaks.to_vec();
        let origin = SecureOrigin::start(config, &ok("orders"), true);
        let gateway = Gateway::start(&towards(origin.addr, &authority));
        let response = get(gateway.http(), "/");
        assert_eq!(response.status, status, "{speaks:?}: {}", response.text());
        if status == 502 {
            assert_eq!(gateway.wait_log(|line| line.num("status") == 502).ended(), "upstream_tls");
            assert!(origin.asked.lock().unwrap().is_empty());
        }
    }
}

#[test]
fn a_second_hello_is_awaited_where_the_first_has_no_key_that_suits() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let gateway = Gateway::start(&tls(&origin, &[&shop], ""));
    let (connect, ca) = (gateway.http().to_string(), authority.ca().display().to_string());
    let request = "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
    // A key comes for the first of them alone, and that is none of ours.
    for (groups, hellos) in [("P-256:P-521", 1), ("P-521:P-384", 2), ("P-521:X25519", 2)] {
        let args = ["s_client", "-connect", &connect, "-servername", "shop.example", "-CAfile", &ca, "-ign_eof"];
        let more = ["-tls1_3", "-groups", groups, "-msg"];
        let (fine, text) = program("openssl", &[&args[..], &more].concat(), request);
        let said = text.lines().filter(|line| line.starts_with(">>>") && line.ends_with("ClientHello")).count();
        assert!(fine && text.contains("HTTP/1.1 200"), "{groups}: {text}");
        assert_eq!(said, hellos, "{groups}: {text}");
    }
    let full = gateway.metrics().sum("ringway_tls_handshakes_total", &[("result", "full")]);
    assert!((full - 3.0).abs() < 0.5, "each is one handshake: {full}");
}

#[test]
fn an_upstream_may_ask_for_another_key() {
    let authority = Authority::new();
    let shown = authority.issue("orders", &["127.0.0.1"]);
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![aws_lc_rs::kx_group::SECP384R1];
    let builder = ServerConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).unwrap().with_no_client_auth();
    let config = Arc::new(builder.with_cert_resolver(authority.origin(&shown, false).cert_resolver));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let kinds = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = rustls::StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        let kind = stream.conn.handshake_kind();
        let mut incoming = Incoming::new(stream);
        assert!(incoming.request_head().is_ok());
        incoming.stream.write_all(ok("orders").as_bytes()).unwrap();
        incoming.stream.flush().unwrap();
        kind
    });
    let gateway = Gateway::start(&towards(addr, &authority));
    assert_eq!(get(gateway.http(), "/").text(), "orders");
    assert_eq!(kinds.join().unwrap(), Some(HandshakeKind::FullWithHelloRetryRequest));
}

#[test]
fn a_proxys_header_and_a_hello_may_come_in_one_piece() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop: Issued = authority.issue("shop", &["shop.example"]);
    let more = "proxy_protocol = true\ntrusted_proxies = [\"127.0.0.0/8\"]";
    let gateway = Gateway::start(&tls(&origin, &[&shop], more));
    let second =
        [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".as_slice(), &[192, 0, 2, 7, 192, 0, 2, 8, 3, 232, 32, 251]].concat();
    for (n, header) in [b"PROXY TCP4 192.0.2.7 192.0.2.8 1000 8443\r\n".as_slice(), &second].into_iter().enumerate() {
        let stream = TcpStream::connect(gateway.http()).unwrap();
        let mut client = authority.client(None).behind(stream, "shop.example", header);
        assert_eq!(client.get("shop.example", "/").text(), "app");
        assert_eq!(origin.wait_for(n + 1).field("X-Forwarded-Port"), "8443");
        let lines = gateway.wait_log_lines(n + 1, |line| line.ended() == "ok");
        assert!(lines.iter().all(|line| line.str("client").starts_with("192.0.2.7:")), "{lines:?}");
    }
}
