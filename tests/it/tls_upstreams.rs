//! TLS towards upstreams: who is taken for one, and what is not taken from anybody.

use rcgen::KeyPair;
use rcgen::SanType;
use rcgen::string::Ia5String;
use ringway::tls::certificate::Certificate;
use ringway::tls::certificate::hex;

use crate::support::Authority;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::SecureOrigin;
use crate::support::eventually;
use crate::support::get;
use crate::support::ok;

fn towards(addr: &dyn std::fmt::Display, tls: &str, more: &str) -> String {
    format!(
        "[listen.http]\nbind = \"127.0.0.1:0\"\n[upstream.app]\nendpoints = [\"{addr}\"]\ntls = {tls}\n{more}\n\
         [host.\"*\"]\nroutes = [{{ path = \"/*\", upstream = \"app\" }}]\n"
    )
}

#[test]
fn an_upstream_is_believed_by_its_authority_and_its_name() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let shown = authority.issue("orders", &["orders.internal", "127.0.0.1"]);
    let origin = SecureOrigin::start(authority.origin(&shown, false), &ok("orders"), true);
    let (ca, other) = (authority.ca().display().to_string(), stranger.ca().display().to_string());
    let pin = hex(&Certificate::read(&shown.der).unwrap().key);
    let nul = "00".repeat(32);
    let gateway = Gateway::start(&towards(&origin.addr, &format!("{{ ca = \"{ca}\" }}"), ""));
    for (tls, status, words) in [
        (format!("{{ ca = \"{ca}\" }}"), 200, "orders"),
        (format!("{{ ca = \"{ca}\", name = \"orders.internal\" }}"), 200, "orders"),
        (format!("{{ ca = \"{ca}\", name = \"pay.internal\" }}"), 502, "its certificate is for another name"),
        (format!("{{ ca = \"{other}\" }}"), 502, "its certificate is of no authority that counts"),
        (format!("{{ ca = \"{ca}\", pins = [\"{nul}\", \"{pin}\"] }}"), 200, "orders"),
        (format!("{{ ca = \"{ca}\", pins = [\"{nul}\"] }}"), 502, "its key is none of those that are pinned"),
        (format!("{{ insecure = true, pins = [\"{nul}\"] }}"), 502, "its key is none of those that are pinned"),
        ("{ insecure = true }".to_owned(), 200, "orders"),
        (format!("{{ ca = \"{ca}\", policy = \"modern\" }}"), 200, "orders"),
    ] {
        assert_eq!(gateway.reload(&towards(&origin.addr, &tls, "")).status, 200);
        let response = get(gateway.http(), "/");
        assert_eq!(response.status, status, "{tls}: {}", response.text());
        assert!(response.text().contains(words), "{tls}: {}", response.text());
        let insecure = &gateway.get_json("/v1/upstreams/app")["tls"]["insecure"];
        assert_eq!(insecure, &serde_json::Value::from(tls.contains("insecure")));
    }
    assert_eq!(gateway.wait_log(|line| line.num("status") == 502).ended(), "upstream_tls");
}

#[test]
fn connections_are_kept_and_handshakes_taken_up_again() {
    let authority = Authority::new();
    let shown = authority.issue("orders", &["127.0.0.1"]);
    let origin = SecureOrigin::start(authority.origin(&shown, false), &ok("orders"), true);
    let ca = authority.ca().display().to_string();
    let process = "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\n";
    let config = towards(&origin.addr, &format!("{{ ca = \"{ca}\" }}"), "keep_alive = { requests = 3, warm = 1 }");
    let gateway = Gateway::start(&format!("{process}{config}"));
    eventually("a connection to be kept warm", || {
        gateway.metrics().sum("ringway_endpoint_idle_connections", &[]) > 0.5
    });
    for _ in 0..9 {
        assert_eq!(get(gateway.http(), "/").status, 200);
    }
    let asked = origin.asked.lock().unwrap();
    assert!(asked.iter().any(|(_, resumed)| *resumed), "a later handshake is shorter");
    assert_eq!(asked.iter().filter(|(request, _)| request.field("X-Forwarded-Proto") == "http").count(), 9);
}

#[test]
fn the_gateway_shows_its_own_certificate_to_who_asks() {
    let authority = Authority::new();
    let (shown, own) = (authority.issue("orders", &["127.0.0.1"]), authority.issue("gateway", &["gateway.internal"]));
    let origin = SecureOrigin::start(authority.origin(&shown, true), &ok("orders"), true);
    let ca = authority.ca().display().to_string();
    let gateway = Gateway::start(&towards(&origin.addr, &format!("{{ ca = \"{ca}\" }}"), ""));
    assert_eq!(get(gateway.http(), "/").status, 502);
    let both = format!("{{ ca = \"{ca}\", cert = \"{}\", key = \"{}\" }}", own.cert.display(), own.key.display());
    assert_eq!(gateway.reload(&towards(&origin.addr, &both, "")).status, 200);
    assert_eq!(get(gateway.http(), "/").status, 200);
    let told = &gateway.get_json("/v1/certificates")["certificates"][0];
    assert_eq!((&told["shown_by"], &told["name"]), (&"upstream".into(), &"app".into()));
}

#[test]
fn an_end_that_was_not_said_is_no_end() {
    let authority = Authority::new();
    let shown = authority.issue("orders", &["127.0.0.1"]);
    let ca = authority.ca().display().to_string();
    for clean in [true, false] {
        let origin = SecureOrigin::start(authority.origin(&shown, false), &ok("orders"), clean);
        let gateway = Gateway::start(&towards(&origin.addr, &format!("{{ ca = \"{ca}\" }}"), ""));
        let mut raw = crate::support::Raw::connect(gateway.http());
        raw.send("GET /end HTTP/1.1\r\nHost: a\r\n\r\n");
        let whole = raw.try_read_response().is_ok_and(|response| response.text() == "the whole");
        assert_eq!(whole, clean);
        let ended = gateway.wait_log(|line| line.path() == "/end");
        assert_eq!(ended.ended(), if clean { "ok" } else { "upstream_truncated" });
    }
}

#[test]
fn bytes_before_the_handshake_are_nobodys_response() {
    let authority = Authority::new();
    let ca = authority.ca().display().to_string();
    let early = Origin::script(|conn| {
        conn.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\ninjected");
        while conn.read_some().is_some() {}
    });
    let gateway = Gateway::start(&towards(early.address(), &format!("{{ ca = \"{ca}\" }}"), ""));
    let response = get(gateway.http(), "/");
    assert_eq!(response.status, 502);
    assert!(!response.text().contains("injected"), "{}", response.text());
    assert_eq!(gateway.wait_log(|line| line.num("status") == 502).ended(), "upstream_tls");
}

#[test]
fn a_handshake_that_stalls_has_its_time() {
    let authority = Authority::new();
    let ca = authority.ca().display().to_string();
    let silent = Origin::script(|conn| while conn.read_some().is_some() {});
    let config = towards(silent.address(), &format!("{{ ca = \"{ca}\" }}"), "timeout = { connect = \"200ms\" }");
    let gateway = Gateway::start(&config);
    assert_eq!(get(gateway.http(), "/").status, 504);
    assert_eq!(gateway.wait_log(|line| line.num("status") == 504).ended(), "upstream_timeout_connect");
}

#[test]
fn a_nul_in_an_upstreams_name_ends_nothing() {
    let authority = Authority::new();
    let shown = authority.issue_with("orders", &[], &KeyPair::generate().unwrap(), |params| {
        let name = Ia5String::try_from("orders.internal\0.eve.example").unwrap();
        params.subject_alt_names = vec![SanType::DnsName(name)];
    });
    let origin = SecureOrigin::start(authority.origin(&shown, false), &ok("eve"), true);
    let ca = authority.ca().display().to_string();
    let gateway =
        Gateway::start(&towards(&origin.addr, &format!("{{ ca = \"{ca}\", name = \"orders.internal\" }}"), ""));
    assert_eq!(get(gateway.http(), "/").status, 502);
}

#[test]
fn who_is_behind_it_is_told_before_the_handshake_and_checks_speak_tls_too() {
    let authority = Authority::new();
    let shown = authority.issue("orders", &["127.0.0.1"]);
    let ca = authority.ca().display().to_string();
    let origin = SecureOrigin::start(authority.origin(&shown, false), &ok("orders"), true);
    let health = "health = { path = \"/up\", interval = \"50ms\", initially = \"down\" }";
    let config = towards(&origin.addr, &format!("{{ ca = \"{ca}\" }}"), health);
    let gateway = Gateway::start(&config);
    let state = || gateway.get_json("/v1/upstreams/app")["endpoints"][0]["health"].to_string();
    eventually("the check to bring it up", || state().contains("\"up\""));
    assert!(origin.asked.lock().unwrap().iter().any(|(request, _)| request.target == "/up"));
    assert_eq!(get(gateway.http(), "/").status, 200);
    let stranger = Authority::new();
    let other = format!("{{ ca = \"{}\" }}", stranger.ca().display());
    assert_eq!(gateway.reload(&towards(&origin.addr, &other, health)).status, 200);
    eventually("one that is not believed to be down", || state().contains("no authority that counts"));
    let announced = Origin::script(|conn| {
        let first = conn.read_some().unwrap_or_default();
        let text = String::from_utf8_lossy(&first).into_owned();
        assert!(text.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "), "{text}");
        while conn.read_some().is_some() {}
    });
    let more = "proxy_protocol = \"v1\"\ntimeout = { connect = \"300ms\" }";
    assert_eq!(gateway.reload(&towards(announced.address(), &format!("{{ ca = \"{ca}\" }}"), more)).status, 200);
    assert_eq!(get(gateway.http(), "/").status, 504);
    assert!(announced.connections() > 0);
}

#[test]
fn the_roots_of_the_system_count_and_are_read_anew_on_a_reload() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let shown = authority.issue("orders", &["127.0.0.1"]);
    let origin = SecureOrigin::start(authority.origin(&shown, false), &ok("orders"), true);
    let roots = authority.scratch.write("roots.pem", &std::fs::read_to_string(authority.ca()).unwrap());
    let process = "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\n";
    let config = format!("{process}{}", towards(&origin.addr, "{}", ""));
    let environment = format!("export SSL_CERT_FILE={} && unset SSL_CERT_DIR", roots.display());
    let mut gateway = Gateway::start_under(&environment, &config);
    assert_eq!(get(gateway.http(), "/").status, 200);
    std::fs::copy(stranger.ca(), &roots).unwrap();
    gateway.signal(crate::support::Signal::Hup);
    eventually("the new roots to be read", || get(gateway.http(), "/").status == 502);
}
