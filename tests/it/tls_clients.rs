//! Certificates of clients: who is let in, who is told of, and what gets nobody in.

use std::time::Duration;
use std::time::SystemTime;

use rcgen::KeyPair;
use rcgen::SanType;
use rcgen::string::Ia5String;

use crate::support::Authority;
use crate::support::Client;
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
    let mut client = authority.client(Some(&eve)).connect(gateway.http(), "shop.example");
    client.send("GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    assert_eq!(client.read_response().status, 200, "its authority stands for it, whatever it is called");
    let request = origin.wait_for(1);
    let told = request.field("X-Forwarded-Client-Cert");
    assert!(told.contains("Subject=\"CN=alice%00"), "{told}");
    assert!(!told.contains("DNS=alice.example") && !told.contains("CN=bob"), "{told}");
    assert_eq!(told.matches('"').count() - told.matches("\\\"").count(), 2, "{told}");
    assert_eq!(request.all("X"), Vec::<&str>::new());
}

/// The status of a request, and whether what was settled before was taken up again.
fn ask(client: &Client, gateway: &Gateway, name: &str) -> Option<(u16, bool)> {
    let mut connection = client.try_connect(gateway.http(), name).ok()?;
    connection.send(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n"));
    let status = connection.try_read_response().ok()?.status;
    Some((status, connection.resumed()))
}

#[test]
fn no_ticket_outlives_what_its_client_was_let_in_by() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let ca = authority.ca().display().to_string();
    // The certificate ends, or the list of what was revoked.
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for by_list in [false, true] {
            let (mut seconds, asked) = (6, [Some((200, false)), Some((200, true))]);
            let (gateway, client, end) = loop {
                let end = SystemTime::now() + Duration::from_secs(seconds);
                let alice =
                    authority.issue_with("alice", &["alice.example"], &KeyPair::generate().unwrap(), |params| {
                        if !by_list {
                            params.not_after = end.into();
                        }
                    });
                let until = if by_list { end } else { end + Duration::from_secs(86_400) };
                let crl = authority.revoke_until("ends.pem", &[], until);
                let clients = format!("need = \"required\", ca = \"{ca}\", crl = \"{}\"", crl.display());
                let gateway = Gateway::start(&asks(&origin, &shop, &clients));
                let client = authority.client_with(Some(&alice), version);
                let answers = [(); 2].map(|()| ask(&client, &gateway, "shop.example"));
                if answers == asked {
                    break (gateway, client, end);
                }
                // Only the end may have come before the answers; then there is more time.
                assert!(SystemTime::now() >= end && seconds < 100, "{answers:?}");
                seconds *= 2;
            };
            let requests = origin.requests();
            let told = |nth: usize| requests[requests.len() - nth].field("X-Forwarded-Client-Cert").to_owned();
            assert!(told(1).contains("CN=alice"), "who was let in by a ticket is told of too: {}", told(1));
            assert_eq!(told(1), told(2));
            crate::support::eventually("nobody to be let in", || ask(&client, &gateway, "shop.example").is_none());
            // It is written in whole seconds.
            assert!(SystemTime::now() + Duration::from_secs(1) >= end);
            assert_eq!(ask(&client, &gateway, "shop.example"), None);
        }
    }
}

#[test]
fn a_check_warns_of_a_list_that_has_ended() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let ca = authority.ca().display().to_string();
    let list = authority.revoke_until("old.pem", &[], rcgen::date_time_ymd(2024, 2, 1).into());
    let clients = format!("need = \"optional\", ca = \"{ca}\", crl = \"{}\"", list.display());
    let file = authority.scratch.write("gateway.toml", &asks(&origin, &shop, &clients));
    let exit = crate::support::run(&["check", "-c", file.to_str().unwrap()]);
    let text = exit.stdout + &exit.stderr;
    assert!(exit.code == 0 && text.contains("a list in it has ended") && text.contains("^^^"), "{text}");
}

#[test]
fn an_authority_between_that_was_revoked_lets_nobody_in() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let between = authority.between("between");
    let alice = between.issue("alice", &["alice.example"]);
    let ca = authority.ca().display().to_string();
    let lists = |revoked: &[&rcgen::SerialNumber]| {
        let above = std::fs::read_to_string(authority.revoke("above.pem", revoked)).unwrap();
        let below = std::fs::read_to_string(between.revoke("below.pem", &[])).unwrap();
        authority.scratch.write("lists.pem", &(above + &below))
    };
    let clients = format!("need = \"required\", ca = \"{ca}\", crl = \"{}\"", lists(&[]).display());
    let gateway = Gateway::start(&asks(&origin, &shop, &clients));
    let client = authority.client(Some(&alice));
    assert_eq!(ask(&client, &gateway, "shop.example"), Some((200, false)));
    lists(&[&between.serial()]);
    crate::support::eventually("the new list to be read", || ask(&client, &gateway, "shop.example").is_none());
    assert_eq!(ask(&authority.client(Some(&alice)), &gateway, "shop.example"), None);
}

#[test]
fn authorities_that_change_are_read_and_their_tickets_with_them() {
    let (authority, stranger, origin) = (Authority::new(), Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let alice = authority.issue("alice", &["alice.example"]);
    let file = authority.scratch.write("clients.pem", &std::fs::read_to_string(authority.ca()).unwrap());
    let clients = format!("need = \"required\", ca = \"{}\"", file.display());
    let mut gateway = Gateway::start(&asks(&origin, &shop, &clients));
    let client = authority.client(Some(&alice));
    assert_eq!(ask(&client, &gateway, "shop.example"), Some((200, false)));
    std::fs::copy(stranger.ca(), &file).unwrap();
    crate::support::eventually("the new authority to be read", || ask(&client, &gateway, "shop.example").is_none());
    // A file that is gone: what was read of it before stays, and it is counted.
    std::fs::remove_file(&file).unwrap();
    crate::support::eventually("the file to be missed", || {
        gateway.metrics().sum("ringway_tls_files_refused", &[]) > 0.5
    });
    let told = gateway.get_json("/v1/certificates")["refused_files"][0].clone();
    assert!(told["fault"].as_str().is_some_and(|fault| fault.contains("no such file")), "{told}");
    assert_eq!(ask(&client, &gateway, "shop.example"), None);
    std::fs::copy(authority.ca(), &file).unwrap();
    crate::support::eventually("the first to be read again", || ask(&client, &gateway, "shop.example").is_some());
    assert!(gateway.metrics().sum("ringway_tls_files_refused", &[]) < 0.5);
    gateway.expect_error("a file has changed and cannot be used");
}

#[test]
fn a_host_may_have_a_rule_of_its_own_and_nothing_leads_past_it() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example", "admin.example", "any.example"]);
    let alice = authority.issue("alice", &["alice.example"]);
    let ca = authority.ca().display().to_string();
    let config = |admin: &str| {
        let listen = format!("tls = [{}]\n\n[listen.open]\nbind = \"127.0.0.1:0\"", shop.pair());
        let host = |name: &str, more: &str| {
            format!("\n[host.\"{name}\"]\nroutes = [{{ path = \"/*\", upstream = \"app\" }}]\n{more}\n")
        };
        format!("{}{}", simple(&[&origin], "", &listen), host("admin.example", admin))
    };
    let rule = format!("client_certificates = {{ need = \"required\", ca = \"{ca}\" }}");
    let gateway = Gateway::start(&config(&rule));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let (nobody, known) = (authority.client_of(version), authority.client_with(Some(&alice), version));
        assert_eq!(ask(&nobody, &gateway, "shop.example"), Some((200, false)));
        assert_eq!(ask(&nobody, &gateway, "admin.example"), None, "it shows no certificate");
        assert_eq!(ask(&known, &gateway, "admin.example"), Some((200, false)));
        assert_eq!(ask(&known, &gateway, "admin.example"), Some((200, true)));
        assert_eq!(origin.requests().last().unwrap().all("X-Forwarded-Client-Cert").len(), 1);
        // By the connection of another host, by one that asks for none, and in the open.
        let mut other = nobody.connect(gateway.http(), "shop.example");
        assert_eq!(other.get("admin.example", "/").status, 421);
        let mut nameless = authority.nameless(version).connect(gateway.http(), "admin.example");
        assert_eq!([nameless.get("admin.example", "/").status, nameless.get("shop.example", "/").status], [421, 200]);
        let mut raw = crate::support::Raw::connect(gateway.addr("open"));
        raw.send("GET / HTTP/1.1\r\nHost: admin.example\r\n\r\n");
        assert_eq!(raw.read_response().status, 421);
    }
    // A connection from before the rule, and a ticket from before it, lead no further either.
    assert_eq!(gateway.reload(&config("")).status, 200);
    let nobody = authority.client(None);
    let mut before = nobody.connect(gateway.http(), "admin.example");
    assert_eq!(before.get("admin.example", "/").status, 200);
    assert_eq!(gateway.reload(&config(&rule)).status, 200);
    assert_eq!(before.get("admin.example", "/").status, 421);
    assert_eq!(ask(&nobody, &gateway, "admin.example"), None);
    // And a host may be open where the listener is not.
    let off = config("client_certificates = { need = \"off\" }");
    let listener = format!("{rule}\n\n[listen.open]");
    assert_eq!(gateway.reload(&off.replacen("\n\n[listen.open]", &format!("\n{listener}"), 1)).status, 200);
    assert_eq!(ask(&authority.client(None), &gateway, "admin.example").map(|(status, _)| status), Some(200));
    assert_eq!(ask(&authority.client(None), &gateway, "shop.example"), None);
}

#[test]
fn who_a_client_is_may_say_where_it_goes() {
    let (authority, origins) = (Authority::new(), [Origin::named("one"), Origin::named("two"), Origin::named("three")]);
    let shop = authority.issue("shop", &["shop.example"]);
    let ca = authority.ca().display().to_string();
    let listen = format!("tls = [{}]\nclient_certificates = {{ need = \"required\", ca = \"{ca}\" }}", shop.pair());
    let balance = "balance = { hash = \"certificate\" }";
    let gateway = Gateway::start(&simple(&[&origins[0], &origins[1], &origins[2]], balance, &listen));
    let mut places = std::collections::HashSet::new();
    for n in 0..12 {
        let name = format!("client-{n}");
        let at = |issued: &Issued| {
            let mut client = authority.client(Some(issued)).connect(gateway.http(), "shop.example");
            client.get("shop.example", "/").text().to_owned()
        };
        let place = at(&authority.issue(&name, &["client.example"]));
        assert_eq!(at(&authority.issue(&name, &["client.example"])), place, "another certificate of the same name");
        places.insert(place);
    }
    assert!(places.len() > 1, "{places:?}");
}
