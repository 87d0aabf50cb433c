//! Certificates of clients: who is let in, who is told of, and what gets nobody in.

use rcgen::KeyPair;
use rcgen::SanType;
use rcgen::string::Ia5String;

use crate::support::Authority;
use crate::support::Gateway;
use crate::support::Issued;
use crate::support::Origin;
use crate::support::simple;

fn asks(origin: &Origin, shop: &Issued, clients: &str) -> String {
    simple(&[origin], "", &format!("tls = [{}]\nclient_certificates = {{ {clients} }}", shop.pair()))
}

#[test]
fn who_must_show_a_certificate_is_let_in_with_a_good_one_alone_and_told_of() {
    let (authority, stranger, origin) = (Authority::new(), Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let alice = authority.issue("alice", &["alice.example"]);
    let mallory = stranger.issue("mallory", &["alice.example"]);
    let ca = authority.ca().display().to_string();
    let gateway = Gateway::start(&asks(&origin, &shop, &format!("need = \"required\", ca = \"{ca}\"")));
    let ask = |shows: Option<&Issued>| {
        let mut client = authority.client(shows).try_connect(gateway.http(), "shop.example").ok()?;
        client.send(
            "GET / HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-Client-Cert: Hash=00;Subject=\"CN=root\"\r\n\r\n",
        );
        client.try_read_response().ok()
    };
    assert_eq!(ask(Some(&alice)).unwrap().status, 200);
    let told = origin.wait_for(1);
    let told = told.field("X-Forwarded-Client-Cert");
    assert!(
        told.starts_with("Hash=") && told.contains("Subject=\"CN=alice\"") && told.ends_with(";DNS=alice.example"),
        "{told}"
    );
    let logged = gateway.wait_log(|line| line.ended() == "ok");
    assert_eq!(logged.str("client_certificate"), told);
    assert!(ask(None).is_none() && ask(Some(&mallory)).is_none());
    assert_eq!(origin.requests().len(), 1);
    // Optional: without one there is nobody to tell of, and nobody's word on it counts.
    assert_eq!(gateway.reload(&asks(&origin, &shop, &format!("need = \"optional\", ca = \"{ca}\""))).status, 200);
    assert_eq!(ask(None).unwrap().status, 200);
    assert_eq!(origin.wait_for(2).all("X-Forwarded-Client-Cert"), Vec::<&str>::new());
    assert_eq!(ask(Some(&alice)).unwrap().status, 200);
    assert_eq!(origin.wait_for(3).all("X-Forwarded-Client-Cert").len(), 1);
    assert!(ask(Some(&mallory)).is_none(), "one that is shown must be good");
}

#[test]
fn one_that_was_revoked_is_good_no_longer_not_even_by_a_ticket() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let (alice, bob) = (authority.issue("alice", &["alice.example"]), authority.issue("bob", &["bob.example"]));
    let crl = authority.revoke("revoked.pem", &[&bob.serial]);
    let (ca, list) = (authority.ca().display().to_string(), crl.display().to_string());
    let gateway =
        Gateway::start(&asks(&origin, &shop, &format!("need = \"required\", ca = \"{ca}\", crl = \"{list}\"")));
    let clients = [authority.client(Some(&alice)), authority.client(Some(&bob))];
    let ask = |of: usize| {
        let mut client = clients[of].try_connect(gateway.http(), "shop.example").ok()?;
        client.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
        let status = client.try_read_response().ok()?.status;
        Some((status, client.resumed()))
    };
    assert_eq!((ask(0), ask(1)), (Some((200, false)), None));
    assert_eq!(ask(0), Some((200, true)));
    // The list changes, and what was settled before counts no longer.
    authority.revoke("revoked.pem", &[&bob.serial, &alice.serial]);
    crate::support::eventually("the new list to be read", || ask(0).is_none());
}

#[test]
fn a_ticket_from_where_nobody_is_asked_opens_nothing_where_somebody_is() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example", "admin.example"]);
    let ca = authority.ca().display().to_string();
    let open = format!("tls = [{}]", shop.pair());
    let closed = format!("{open}\nclient_certificates = {{ need = \"required\", ca = \"{ca}\" }}");
    let gateway = Gateway::start(&simple(
        &[&origin],
        "",
        &format!("{open}\n\n[listen.closed]\nbind = \"127.0.0.1:0\"\n{closed}"),
    ));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = authority.client_of(version);
        for _ in 0..2 {
            let mut fine = client.connect(gateway.http(), "shop.example");
            assert_eq!(fine.get("shop.example", "/").status, 200);
        }
        // The same name at the other listener: the client offers what it has.
        let let_in = client.try_connect(gateway.addr("closed"), "shop.example").ok().and_then(|mut connection| {
            connection.send("GET /in HTTP/1.1\r\nHost: shop.example\r\n\r\n");
            connection.try_read_response().ok()
        });
        assert!(let_in.is_none(), "{let_in:?}");
    }
    assert!(origin.requests().iter().all(|request| request.target != "/in"));
}

#[test]
fn a_nul_in_a_name_ends_nothing() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let eve = authority.issue_with("eve", &[], &KeyPair::generate().unwrap(), |params| {
        params.distinguished_name.push(rcgen::DnType::CommonName, "alice\0\", CN=bob\r\nX: y");
        params.subject_alt_names = vec![
            SanType::DnsName(Ia5String::try_from("alice.example\0.eve.example").unwrap()),
            SanType::URI(Ia5String::try_from("spiffe://shop/alice\0;DNS=alice.example").unwrap()),
        ];
    });
    let ca = authority.ca().display().to_string();
    let gateway = Gateway::start(&asks(&origin, &shop, &format!("need = \"required\", ca = \"{ca}\"")));
    if let Ok(mut client) = authority.client(Some(&eve)).try_connect(gateway.http(), "shop.example") {
        client.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
        if client.try_read_response().is_ok() {
            let request = origin.wait_for(1);
            let told = request.field("X-Forwarded-Client-Cert");
            assert!(!told.contains("DNS=alice.example") && !told.contains("CN=bob"), "{told}");
            assert_eq!(told.matches('"').count() - told.matches("\\\"").count(), 2, "{told}");
            assert_eq!(request.all("X"), Vec::<&str>::new());
        }
    }
}
