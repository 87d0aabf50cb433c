//! `check --online`: what can be found out of a configuration by asking alone. What does not work is an error and exit code 1;
//! what will not work some day is a warning and exit code 0. Nothing is listened on, ordered or written.

use std::net::TcpListener;
use std::time::Duration;
use std::time::SystemTime;

use rcgen::KeyPair;

use crate::acme;
use crate::support::Acme;
use crate::support::Authority;
use crate::support::Gateway;
use crate::support::Issued;
use crate::support::Origin;
use crate::support::Scratch;
use crate::support::SecureOrigin;
use crate::support::ok;
use crate::support::run;
use crate::support::simple;

const DAY: i64 = 24 * 3600;

/// Exit code and all words of a check that asks, and of one that does not.
fn checks(toml: &str) -> [(i32, String); 2] {
    let scratch = Scratch::new();
    let file = scratch.write("gateway.toml", toml).display().to_string();
    [&["check", "--online", "-c", &file][..], &["check", "-c", &file]].map(|args| {
        let exit = run(args);
        (exit.code, exit.stdout + "\n" + &exit.stderr)
    })
}

fn online(toml: &str) -> (i32, String) {
    let [asked, _] = checks(toml);
    asked
}

/// One that ends so many days from now, or has ended before so many, and half a day.
fn ending(authority: &Authority, file: &str, name: &str, days: i64) -> Issued {
    authority.issue_with(file, &[name], &KeyPair::generate().unwrap(), |params| {
        let span = Duration::from_secs((days * DAY + days.signum() * DAY / 2).unsigned_abs());
        let now = SystemTime::now();
        params.not_before = (now - Duration::from_secs(90 * DAY as u64)).into();
        params.not_after = if days < 0 { now - span } else { now + span }.into();
    })
}

#[test]
fn an_endpoint_that_nobody_reaches_is_an_error_and_one_that_is_there_is_none() {
    let (there, nowhere) = (Origin::named("app"), Origin::refusing());
    let patient = "timeout = { connect = \"20s\" }";
    let [(code, text), _] = checks(&simple(&[&there], patient, ""));
    assert!(code == 0 && text.contains(": fine (listeners: 1,") && text.lines().count() == 1, "{text}");
    let [(code, text), (plain, _)] = checks(&simple(&[&there, &nowhere], patient, ""));
    let words = format!("error: upstream \"app\": {}: no connection: refused", nowhere.address());
    assert!(code == 1 && text.contains(&words) && !text.contains("fine ("), "{text}");
    assert!(!text.contains(&format!("{}: no", there.address())), "{text}");
    assert_eq!(plain, 0, "whoever does not ask is told nothing of it");
    let folder = Scratch::new();
    let missing = format!("unix:{}", folder.path().join("app.sock").display());
    let (code, text) = online(&simple(&[&there], "", "").replace(&there.address().to_string(), &missing));
    assert!(code == 1 && text.contains("no connection: nobody listens there"), "{text}");
}

#[test]
fn an_endpoint_is_believed_as_it_is_by_requests_and_its_certificate_may_end_soon() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let ca = format!("ca = \"{}\"", authority.ca().display());
    let other = format!("ca = \"{}\"", stranger.ca().display());
    for (days, tls, code, words) in [
        (90, format!("{{ {ca} }}"), 0, ": fine ("),
        (90, format!("{{ {other} }}"), 1, "no secure connection: its certificate is of no authority that counts"),
        (90, format!("{{ {ca}, name = \"pay.internal\" }}"), 1, "its certificate is for another name"),
        (20, format!("{{ {ca} }}"), 0, "a certificate that it shows expires in 20 days"),
        (-3, format!("{{ {ca} }}"), 1, "no secure connection: its certificate has expired"),
        (-3, "{ insecure = true }".into(), 0, "a certificate that it shows expired 3 days ago"),
    ] {
        let shown = ending(&authority, "orders", "127.0.0.1", days);
        let origin = SecureOrigin::start(authority.origin(&shown, false), &ok("orders"), true);
        let plain = Origin::refusing();
        let config = simple(&[&plain], &format!("tls = {tls}\ntimeout = {{ connect = \"20s\" }}"), "");
        let (exit, text) = online(&config.replace(&plain.address().to_string(), &origin.addr.to_string()));
        assert!(exit == code && text.contains(words), "{tls}: {exit}: {text}");
        assert!(words.starts_with(':') || text.contains(&format!("upstream \"app\": {}: ", origin.addr)), "{text}");
        assert!(origin.asked.lock().unwrap().is_empty(), "nobody is asked for anything");
    }
}

#[test]
fn one_that_wants_a_proxys_header_gets_it_and_one_that_is_silent_has_its_time() {
    let heard = Origin::script(|conn| {
        let first = conn.read_some().unwrap_or_default();
        assert!(first.starts_with(b"PROXY UNKNOWN\r\n"), "{first:?}");
        while conn.read_some().is_some() {}
    });
    let more = "tls = { insecure = true }\nproxy_protocol = \"v1\"\ntimeout = { connect = \"300ms\" }";
    let (code, text) = online(&simple(&[&heard], more, ""));
    assert!(code == 1 && text.contains(": nothing within 300ms"), "{text}");
    assert_eq!(heard.connections(), 1);
}

#[test]
fn a_certificate_of_a_file_is_warned_of_earlier_and_one_that_has_ended_is_an_error() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    for (days, codes, words, seen_by_plain) in [
        (45, [0, 0], "", false),
        (20, [0, 0], "the certificate expires in 20 days", false),
        (10, [0, 0], "the certificate expires in 10 days", true),
        (-3, [1, 0], "the certificate expired 3 days ago", true),
    ] {
        let shop = ending(&authority, "shop", "shop.example", days);
        let config = simple(&[&origin], "", &format!("tls = [{}]", shop.pair()));
        let [(asked, text), (plain, plain_text)] = checks(&config);
        assert!([asked, plain] == codes && text.contains(words), "{days}: {asked}, {plain}: {text}");
        assert_eq!(plain_text.contains("the certificate expire"), seen_by_plain, "{days}: {plain_text}");
        assert_eq!(text.contains("the certificate expire"), !words.is_empty(), "{days}: {text}");
        let told = text.contains("error: listener \"http\": it shows a certificate that has expired: ");
        assert_eq!(told, days < 0, "{text}");
    }
}

#[test]
fn addresses_are_tried_without_listening() {
    let origin = Origin::named("app");
    let at = |addr: &str| simple(&[&origin], "", "").replace("bind = \"127.0.0.1:0\"", &format!("bind = \"{addr}\""));
    let gateway = Gateway::start(&at("127.0.0.1:0"));
    // The gateway that runs is in nobody's way, and keeps what is its own.
    let (code, text) = online(&at(&gateway.http().to_string()));
    assert!(code == 0 && text.contains(": fine ("), "{text}");
    assert_eq!(crate::support::get(gateway.http(), "/").status, 200);
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = other.local_addr().unwrap().to_string();
    let (code, text) = online(&at(&addr));
    assert!(code == 0 && text.contains(&format!("warning: listener \"http\": somebody listens on {addr}")), "{text}");
    let (code, text) = online(&at("192.0.2.1:8080"));
    assert!(code == 1 && text.contains("error: listener \"http\": 192.0.2.1:8080 cannot be listened on"), "{text}");
    let (code, text) = online(&at("unix:/nowhere/at/all.sock"));
    assert!(
        code == 1 && text.contains("/nowhere/at/all.sock cannot be listened on: there is no such folder"),
        "{text}"
    );
}

#[test]
fn what_acme_would_do_is_told_and_not_done() {
    let (authority, origin) = (Acme::start(), Origin::named("app"));
    let config = acme::config(&authority, &origin, &[&["shop.example"]], "", "");
    let (code, text) = online(&config);
    assert!(
        code == 0 && text.contains("acme: shop.example: there is no certificate yet; an order is due now"),
        "{text}"
    );
    assert!(authority.said().is_empty() && !authority.folder().exists(), "nothing is ordered, and nothing written");
    let gateway = acme::issued(&authority, &origin);
    let (code, text) = online(&config);
    assert!(code == 0 && text.lines().count() == 1, "{text}");
    drop(gateway);

    let record = authority.home().join("shop.example.orders.json");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let (names, error, until) = (["shop.example"], "the name leads nowhere", now + 3 * DAY as u64);
    let failed = serde_json::json!({ "names": names, "failures": 3, "not_before": until, "error": error });
    std::fs::write(&record, failed.to_string()).unwrap();
    let (code, text) = online(&config);
    let words = "the certificate is not renewed; an order is due in ";
    let failure = "orders that have failed: 3, the last one: the name leads nowhere";
    assert!(code == 0 && text.contains(words) && text.contains(failure), "{text}");

    authority.mislead("newOrder", "http://127.0.0.1/order".into());
    let (code, text) = online(&config);
    assert!(code == 1 && text.contains("error: acme: the directory: ") && text.contains("newOrder"), "{text}");
    authority.lead();
    std::fs::remove_file(authority.home().join("shop.example.pem")).unwrap();
    std::fs::create_dir(authority.home().join("shop.example.pem")).unwrap();
    let [(code, text), (plain, plain_text)] = checks(&config);
    assert!(code == 1 && text.contains("error: acme: ") && text.contains("shop.example.pem cannot be read"), "{text}");
    assert!(plain == 0 && plain_text.contains("shop.example.pem: it cannot be read: it is no file"), "{plain_text}");
}

#[test]
fn a_certificate_of_acme_that_is_late_or_has_ended_is_told_of() {
    for (from, to, code, words) in [
        (-70, 20, 0, "the certificate is to be renewed; an order is due now"),
        (-90, -1, 1, "the certificate has expired; an order is due now"),
    ] {
        let (authority, origin) = (Acme::start(), Origin::named("app"));
        authority.issue_for(from * DAY, to * DAY);
        let config = acme::config(&authority, &origin, &[&["shop.example"]], "", "");
        let gateway = Gateway::start(&config);
        acme::find(&authority, &gateway);
        acme::wait_for(&gateway, "shop.example", if code == 0 { "issued" } else { "expired" });
        drop(gateway);
        acme::forget_orders(&authority);
        let (exit, text) = online(&config);
        assert!(exit == code && text.contains(words), "{exit}: {text}");
    }
}
