//! Certificates by ACME: got by both challenges, renewed in time, kept through refusals and restarts; nothing of it touches
//! what is served meanwhile.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::support::Acme;
use crate::support::Authority;
use crate::support::Events;
use crate::support::Gateway;
use crate::support::Issued;
use crate::support::Origin;
use crate::support::Pebble;
use crate::support::Raw;
use crate::support::Signal;
use crate::support::eventually;
use crate::support::get;
use crate::support::look;
use crate::support::simple;

/// A listener `http` with certificates for these names, and the lines `table` in `[acme]`; and a listener `plain` without
/// TLS, which sends everything on.
pub(crate) fn config(acme: &Acme, origin: &Origin, lists: &[&[&str]], table: &str, more: &str) -> String {
    let lists: Vec<String> = lists.iter().map(|names| format!("{{ acme = {names:?} }}")).collect();
    let plain = "[listen.plain]\nbind = \"127.0.0.1:0\"\nredirect = \"https\"\n";
    let tls = format!("tls = [{}{more}]", lists.join(", "));
    format!("{}{plain}{}", acme.table(table), simple(&[origin], "", &tls))
}

pub(crate) fn find(acme: &Acme, gateway: &Gateway) {
    acme.find(gateway.addr("plain"), gateway.http());
}

/// What is said of the certificate whose first name this is.
pub(crate) fn standing(gateway: &Gateway, name: &str) -> Value {
    let all = gateway.get_json("/v1/certificates");
    let mut list = all["acme"].as_array().unwrap().iter();
    list.find(|one| one["names"][0] == name).cloned().unwrap_or(Value::Null)
}

pub(crate) fn wait_for(gateway: &Gateway, name: &str, state: &str) -> Value {
    eventually(&format!("{name} to be {state}"), || standing(gateway, name)["state"] == state);
    standing(gateway, name)
}

pub(crate) fn orders(gateway: &Gateway, outcome: &str) -> f64 {
    gateway.metrics().sum("ringway_acme_orders_total", &[("outcome", outcome)])
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The certificate that a client is shown that asks for this name.
pub(crate) fn shown(gateway: &Gateway, name: &str) -> Option<Vec<u8>> {
    look(gateway.http(), name, &[b"http/1.1"], false).ok().map(|seen| seen.certificate)
}

/// Starts it with one certificate, which has been issued.
pub(crate) fn issued(acme: &Acme, origin: &Origin) -> Gateway {
    acme.lose();
    let gateway = Gateway::start(&config(acme, origin, &[&["shop.example"]], "", ""));
    find(acme, &gateway);
    wait_for(&gateway, "shop.example", "issued");
    gateway
}

/// What is remembered of orders is forgotten, as after a long time.
pub(crate) fn forget_orders(acme: &Acme) {
    std::fs::remove_file(acme.home().join("shop.example.orders.json")).unwrap();
}

#[test]
fn a_certificate_is_got_by_either_challenge_while_all_else_is_served() {
    for kind in ["http-01", "tls-alpn-01"] {
        let (acme, origin, own) = (Acme::start(), Origin::named("app"), Authority::new());
        let other = own.issue("other", &["other.example"]);
        let names: &[&str] = &["shop.example", "www.shop.example"];
        let table = format!("challenge = \"{kind}\"\ncontact = [\"ops@shop.example\"]");
        let pair = |other: &Issued| format!(", {}", other.pair());
        let gateway = Gateway::start(&config(&acme, &origin, &[names], &table, &pair(&other)));
        let mut kept = own.client(None).connect(gateway.http(), "other.example");
        assert_eq!(kept.get("other.example", "/").status, 200);
        // The authority looks for both names, and will not before it knows where.
        eventually("both challenges to be there", || acme.times(&format!("challenge {kind} ")) == 2);
        assert_eq!(standing(&gateway, "shop.example")["state"], "ordering");
        assert_eq!(shown(&gateway, "shop.example"), None, "there is none, and it gets no other's");
        assert_eq!(shown(&gateway, "other.example"), Some(other.der.to_vec()));
        assert!(look(gateway.http(), "other.example", &[b"acme-tls/1"], false).is_err(), "nobody looks for that one");
        let strange = get(gateway.addr("plain"), "/.well-known/acme-challenge/strange");
        assert_eq!(strange.status, 301, "what is no challenge of ours goes its way");

        find(&acme, &gateway);
        let found = wait_for(&gateway, "shop.example", "issued");
        assert_eq!(found["failures"], 0);
        assert_eq!((&found["next_order_reason"], &found["last_error"]), (&"age".into(), &Value::Null));
        let in_days = found["next_order_seconds"].as_i64().unwrap() / (24 * 3600);
        assert!((56..60).contains(&in_days), "{in_days}");
        for name in names {
            let mut client = acme.authority.client(None).connect(gateway.http(), name);
            assert_eq!(client.get(name, "/").text(), "app");
        }
        assert_eq!(kept.get("other.example", "/").status, 200, "a connection does not notice");
        assert_eq!(
            acme.said().iter().filter(|said| !said.starts_with("challenge")).collect::<Vec<_>>(),
            ["account", "order shop.example www.shop.example", "issued shop.example www.shop.example"]
        );
        assert_eq!(acme.contacts()[0], serde_json::json!(["mailto:ops@shop.example"]));
        assert!(orders(&gateway, "issued") > 0.5 && orders(&gateway, "failed") < 0.5);
        if kind == "http-01" {
            let lines = gateway.wait_log_lines(2, |line| line.ended() == "acme_challenge");
            assert_eq!(lines[0].num("status"), 200);
            // It is what is wanted, and no error.
            assert!(gateway.metrics().sum("ringway_request_errors_total", &[]) < 0.5);
            let errors = gateway.get_json("/v1/overview")["errors"].clone();
            assert!(errors.as_object().unwrap().values().all(|count| *count == 0), "{errors}");
        }
        // Nothing is answered any more that is not asked.
        assert!(look(gateway.http(), "shop.example", &[b"acme-tls/1"], false).is_err());
        let certificates = gateway.get_json("/v1/certificates");
        let file = acme.home().join("shop.example.pem");
        assert_eq!(certificates["certificates"][0]["file"], file.to_str().unwrap());

        assert_eq!([mode(&acme.folder()), mode(&acme.home())], [0o700; 2]);
        let files: Vec<_> = std::fs::read_dir(acme.home()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 3, "{files:?}");
        assert!(files.iter().all(|file| mode(file) == 0o600), "{files:?}");
    }
}

#[test]
fn pebble_issues_by_either_challenge() {
    if !Pebble::is_there() {
        println!("skipped: the program pebble is not there (Debian has it as `pebble`)");
        return;
    }
    let (origin, own) = (Origin::named("app"), Authority::new());
    let other = own.issue("other", &["other.example"]);
    for (kind, key) in [("http-01", "ecdsa-p384"), ("tls-alpn-01", "rsa-2048")] {
        let plain = "[listen.plain]\nbind = \"127.0.0.1:0\"\nredirect = \"https\"\n";
        let config =
            |list: &str| format!("{plain}{}", simple(&[&origin], "", &format!("tls = [{}{list}]", other.pair())));
        let gateway = Gateway::start(&config(""));
        // It has to know where to look before it begins.
        let pebble = Pebble::start(gateway.addr("plain").port(), gateway.http().port());
        let table = pebble.table(&format!("challenge = \"{kind}\"\nkey = \"{key}\"\ncontact = [\"ops@shop.example\"]"));
        let list = ", { acme = [\"shop.example\", \"www.shop.example\"] }";
        let reloaded = gateway.reload(&format!("{table}{}", config(list)));
        assert_eq!(reloaded.status, 200, "{}", reloaded.text());
        let found = wait_for(&gateway, "shop.example", "issued");
        assert_eq!(found["failures"], 0, "{found}");
        for name in ["shop.example", "www.shop.example"] {
            let read = ringway::tls::certificate::Certificate::read(&shown(&gateway, name).unwrap()).unwrap();
            assert!(read.issuer.contains("Pebble Intermediate CA"), "{}", read.issuer);
            assert_eq!(read.names, ["shop.example", "www.shop.example"]);
            // The key's algorithm: rsaEncryption, or the curve secp384r1.
            let der = shown(&gateway, name).unwrap();
            let has = |part: &[u8]| der.windows(part.len()).any(|window| window == part);
            let rsa = has(&[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1]);
            let curve = has(&[0x06, 5, 0x2b, 0x81, 0x04, 0, 0x22]);
            assert_eq!((rsa, curve), (key == "rsa-2048", key == "ecdsa-p384"), "{key}");
        }
    }
}

#[test]
fn a_restart_asks_for_nothing_that_is_there() {
    let (acme, origin) = (Acme::start(), Origin::named("app"));
    let gateway = issued(&acme, &origin);
    let first = shown(&gateway, "shop.example").unwrap();
    assert!(gateway.stop().success());
    let gateway = Gateway::start(&config(&acme, &origin, &[&["shop.example"]], "", ""));
    assert_eq!(wait_for(&gateway, "shop.example", "issued")["next_order_reason"], "age");
    assert_eq!(shown(&gateway, "shop.example"), Some(first));
    // Another certificate has its own order, by the same account.
    find(&acme, &gateway);
    let two = config(&acme, &origin, &[&["shop.example"], &["pay.example"]], "contact = [\"pay@shop.example\"]", "");
    assert_eq!(gateway.reload(&two).status, 200);
    wait_for(&gateway, "pay.example", "issued");
    assert_eq!([acme.times("account"), acme.times("order shop"), acme.times("order pay")], [1, 1, 1]);
    assert_eq!(acme.contacts(), [serde_json::json!(["mailto:pay@shop.example"])]);
}

#[test]
fn other_names_have_the_certificate_got_anew_and_the_old_one_is_shown_meanwhile() {
    let (acme, origin) = (Acme::start(), Origin::named("app"));
    let gateway = issued(&acme, &origin);
    let first = shown(&gateway, "shop.example").unwrap();
    acme.lose();
    let two = config(&acme, &origin, &[&["shop.example", "www.shop.example"]], "", "");
    assert_eq!(gateway.reload(&two).status, 200);
    eventually("another order", || acme.times("challenge") == 3);
    assert_eq!(shown(&gateway, "shop.example"), Some(first.clone()));
    assert_eq!(shown(&gateway, "www.shop.example"), None);
    find(&acme, &gateway);
    eventually("both names", || shown(&gateway, "www.shop.example").is_some());
    assert_ne!(shown(&gateway, "shop.example"), Some(first));
}

#[test]
fn it_is_renewed_when_its_authority_says_or_two_thirds_are_over() {
    for by_authority in [true, false] {
        let (acme, origin) = (Acme::start(), Origin::named("app"));
        let day = 24 * 3600;
        if by_authority {
            acme.renew_within(40 * day, 41 * day);
        } else {
            acme.issue_for(-70 * day, 20 * day);
        }
        let gateway = issued(&acme, &origin);
        if by_authority {
            eventually("the authority to be asked", || acme.times("renewal") == 1);
            eventually("its word to count", || standing(&gateway, "shop.example")["next_order_reason"] == "authority");
            let found = standing(&gateway, "shop.example");
            assert_eq!(found["next_order_seconds"].as_i64().unwrap() / day, 40);
            assert_eq!(found["window"].as_array().unwrap().len(), 2);
        }
        let first = shown(&gateway, "shop.example").unwrap();
        assert!(gateway.stop().success());
        forget_orders(&acme);
        acme.renew_within(if by_authority { -day } else { 40 * day }, if by_authority { -day / 2 } else { 41 * day });
        acme.issue_for(-3600, 90 * day);
        acme.lose();
        let gateway = Gateway::start(&config(&acme, &origin, &[&["shop.example"]], "", ""));
        eventually("another order", || acme.times("order") == 2);
        assert_eq!(shown(&gateway, "shop.example"), Some(first.clone()), "the old one is good as long as it is");
        let mut kept = acme.authority.client(None).connect(gateway.http(), "shop.example");
        find(&acme, &gateway);
        eventually("another certificate", || shown(&gateway, "shop.example").is_some_and(|now| now != first));
        assert_eq!(kept.get("shop.example", "/").status, 200, "a connection does not notice");
        if by_authority {
            // It is told which certificate that is for (RFC 9773 §5).
            let read = ringway::tls::certificate::Certificate::read(&first).unwrap();
            let asked = acme.said().into_iter().rfind(|said| said.starts_with("renewal ")).unwrap();
            let ordered = acme.said().into_iter().rfind(|said| said.starts_with("order ")).unwrap();
            let number = asked.trim_start_matches("renewal ");
            assert!(number.split('.').count() == 2 && read.authority.is_some(), "{asked}");
            assert!(
                acme.said()
                    .iter()
                    .any(|said| ordered == format!("order shop.example for {}", said.trim_start_matches("renewal ")))
            );
        }
        // An hour's rest at least, whatever is said.
        eventually("the next to be far", || {
            standing(&gateway, "shop.example")["next_order_seconds"].as_i64() > Some(3000)
        });
        assert_eq!(acme.times("order"), 2);
    }
}

#[test]
fn a_refused_order_keeps_the_old_certificate_and_says_so_and_waits_beyond_a_restart() {
    let (acme, origin) = (Acme::start(), Origin::named("app"));
    acme.renew_within(40 * 24 * 3600, 41 * 24 * 3600);
    let gateway = issued(&acme, &origin);
    let first = shown(&gateway, "shop.example").unwrap();
    assert!(gateway.stop().success());
    forget_orders(&acme);
    acme.renew_within(-20, -10);
    acme.limit(Some(Some(7200)));
    let start = || Gateway::start(&config(&acme, &origin, &[&["shop.example"]], "", ""));
    let gateway = start();
    let mut events = Events::follow(gateway.admin(), "");
    eventually("the order to be refused", || standing(&gateway, "shop.example")["failures"] == 1);
    events.wait("rateLimited");
    let told = events.of("certificate").pop().unwrap();
    assert_eq!((&told["from"], &told["to"]), (&"issued".into(), &"failed".into()), "{told}");
    let found = standing(&gateway, "shop.example");
    assert_eq!((&found["state"], &found["next_order_reason"]), (&"issued".into(), &"again".into()));
    assert!(found["last_error"].as_str().unwrap().contains("too many orders"), "{found}");
    assert!(found["next_order_seconds"].as_i64() > Some(7000), "what it asks for: {found}");
    assert!(orders(&gateway, "failed") > 0.5);
    gateway.wait_stderr("no certificate was issued");
    assert_eq!(shown(&gateway, "shop.example"), Some(first.clone()));
    assert!(gateway.stop().success());

    let asked = acme.times("renewal");
    let gateway = start();
    eventually("the authority to be asked", || acme.times("renewal") > asked);
    let found = standing(&gateway, "shop.example");
    assert_eq!(found["failures"], 1);
    assert!(found["next_order_seconds"].as_i64() > Some(6900), "{found}");
    assert_eq!(acme.times("order"), 2, "nothing is asked before its time");
    assert_eq!(shown(&gateway, "shop.example"), Some(first));
}

#[test]
fn a_challenge_that_is_not_met_is_told_of() {
    let (acme, origin) = (Acme::start(), Origin::named("app"));
    let gateway = Gateway::start(&config(&acme, &origin, &[&["shop.example"]], "challenge = \"http-01\"", ""));
    // Somebody else answers there.
    acme.find(origin.addr(), origin.addr());
    eventually("the order to fail", || standing(&gateway, "shop.example")["failures"] == 1);
    let found = standing(&gateway, "shop.example");
    assert_eq!((&found["state"], &found["next_order_reason"]), (&"pending".into(), &"again".into()));
    let error = found["last_error"].as_str().unwrap();
    assert!(error.contains("shop.example: ") && error.contains("the file has status 200: app"), "{error}");
    let wait = found["next_order_seconds"].as_i64().unwrap();
    assert!((50..=90).contains(&wait), "{wait}");
    assert_eq!(shown(&gateway, "shop.example"), None);
    // The token is nobody's any more.
    let token = origin.requests().into_iter().find(|request| request.target.contains("acme-challenge")).unwrap().target;
    let mut raw = Raw::connect(gateway.addr("plain"));
    raw.send(format!("GET {token} HTTP/1.1\r\nHost: shop.example\r\n\r\n"));
    assert_eq!(raw.read_response().status, 301);
}

#[test]
fn bad_nonces_and_a_forgotten_account_are_got_over() {
    let (acme, origin) = (Acme::start(), Origin::named("app"));
    acme.refuse_nonces(2);
    let gateway = issued(&acme, &origin);
    assert_eq!(acme.times("bad nonce"), 2);
    assert!(gateway.stop().success());
    acme.forget();
    let (file, account) = (acme.home().join("shop.example.pem"), acme.home().join("account.json"));
    let first = std::fs::read(&account).unwrap();
    std::fs::remove_file(file).unwrap();
    let two = config(&acme, &origin, &[&["shop.example"], &["pay.example"]], "", "");
    let gateway = Gateway::start(&config(&acme, &origin, &[&["shop.example"]], "", ""));
    eventually("the account to be refused", || standing(&gateway, "shop.example")["failures"] == 1);
    assert_eq!(std::fs::read(&account).unwrap(), first, "one such answer may be a mistake");
    assert_eq!(gateway.reload(&two).status, 200);
    eventually("the account to be refused again", || standing(&gateway, "pay.example")["failures"] == 1);
    let lost = acme.home().join("account.json.lost");
    assert_eq!((std::fs::read(&lost).unwrap(), mode(&lost), account.exists()), (first, 0o600, false));
    assert!(gateway.stop().success());
    forget_orders(&acme);
    drop(issued(&acme, &origin));
    assert_eq!(acme.times("account"), 2);
}

#[test]
fn a_file_that_is_spoilt_is_got_anew_and_a_folder_that_cannot_be_is_told_of() {
    let (acme, origin) = (Acme::start(), Origin::named("app"));
    let gateway = issued(&acme, &origin);
    assert!(gateway.stop().success());
    std::fs::write(acme.home().join("shop.example.pem"), "spoilt").unwrap();
    forget_orders(&acme);
    drop(issued(&acme, &origin));
    assert_eq!(acme.times("issued"), 2);
    let folder = format!("folder = \"{}\"", acme.folder().display());
    let nowhere = config(&acme, &origin, &[&["shop.example"]], "", "").replace(&folder, "folder = \"/proc/none\"");
    let gateway = Gateway::start(&nowhere);
    eventually("it to be told", || standing(&gateway, "shop.example")["failures"] == 1);
    let error = standing(&gateway, "shop.example")["last_error"].as_str().unwrap().to_owned();
    assert!(error.contains("/proc/none") && error.contains("cannot be written"), "{error}");
    assert_eq!([acme.times("account"), acme.times("order")], [1, 2], "what cannot be kept is not asked for");
}

#[test]
fn an_authority_that_speaks_nonsense_fails_its_order_and_nothing_else() {
    let (acme, origin) = (Acme::start(), Origin::named("app"));
    let day = 24 * 3600;
    acme.renew_within(40 * day, 41 * day);
    let gateway = issued(&acme, &origin);
    assert!(gateway.stop().success());
    // Longer than there is time; where to go next is nowhere.
    acme.retry_after(Some("18446744073709551615"));
    let gateway = Gateway::start(&config(&acme, &origin, &[&["shop.example"]], "", ""));
    find(&acme, &gateway);
    eventually("its word to count", || standing(&gateway, "shop.example")["next_order_reason"] == "authority");
    acme.retry_after(None);
    acme.mislead("newNonce", "http://[".into());
    let two = config(&acme, &origin, &[&["shop.example"], &["pay.example"]], "", "");
    assert_eq!(gateway.reload(&two).status, 200);
    eventually("the order to fail", || standing(&gateway, "pay.example")["failures"] == 1);
    let found = standing(&gateway, "pay.example");
    assert!(found["last_error"].as_str().unwrap().contains("newNonce"), "{found}");
    acme.lead();
    let three = config(&acme, &origin, &[&["shop.example"], &["pay.example"], &["new.example"]], "", "");
    assert_eq!(gateway.reload(&three).status, 200);
    wait_for(&gateway, "new.example", "issued");
}

#[test]
fn an_authority_that_asks_for_a_long_time_while_it_looks_fails_the_order() {
    let (acme, origin) = (Acme::start(), Origin::named("app"));
    acme.retry_after(Some("18446744073709551615"));
    let gateway = Gateway::start(&config(&acme, &origin, &[&["shop.example"]], "", ""));
    eventually("the order to fail", || standing(&gateway, "shop.example")["failures"] == 1);
    assert_eq!(standing(&gateway, "shop.example")["state"], "pending");
}

#[test]
fn a_gateway_that_is_stopped_within_an_order_does_not_ask_as_soon_as_it_is_back() {
    let (acme, origin) = (Acme::start(), Origin::named("app"));
    let start = || Gateway::start(&config(&acme, &origin, &[&["shop.example"]], "", ""));
    let mut gateway = start();
    eventually("an order", || acme.times("order") == 1);
    gateway.signal(Signal::Quit);
    gateway.wait_exit();
    let gateway = start();
    let found = wait_for(&gateway, "shop.example", "pending");
    assert_eq!((&found["failures"], &found["next_order_reason"]), (&1.into(), &"again".into()), "{found}");
    assert!(found["next_order_seconds"].as_i64() > Some(30), "{found}");
    assert!(found["last_error"].as_str().unwrap().contains("under way"), "{found}");
    assert_eq!(acme.times("order"), 1);
}

#[test]
fn an_account_is_made_once_whatever_becomes_of_the_answer() {
    let (acme, origin) = (Acme::start(), Origin::named("app"));
    acme.mute(1);
    let list = config(&acme, &origin, &[&["shop.example"]], "contact = [\"ops@shop.example\"]", "");
    let gateway = Gateway::start(&list);
    eventually("the order to fail", || standing(&gateway, "shop.example")["failures"] == 1);
    assert!(gateway.stop().success());
    forget_orders(&acme);
    let gateway = Gateway::start(&list);
    find(&acme, &gateway);
    wait_for(&gateway, "shop.example", "issued");
    assert_eq!(acme.times("account"), 2);
    assert_eq!(acme.contacts(), [serde_json::json!(["mailto:ops@shop.example"])], "one account");
}

#[test]
fn a_clock_that_was_wrong_once_puts_no_order_off_for_ever() {
    let (acme, origin) = (Acme::start(), Origin::named("app"));
    std::fs::create_dir_all(acme.home()).unwrap();
    let far = r#"{"names": ["shop.example"], "issued": 9223372036854775807, "failures": 1, "not_before": 4000000000}"#;
    std::fs::write(acme.home().join("shop.example.orders.json"), far).unwrap();
    drop(issued(&acme, &origin));
}

#[test]
fn an_order_that_is_not_wanted_any_more_is_given_up() {
    let (acme, origin) = (Acme::start(), Origin::named("app"));
    let gateway = Gateway::start(&config(&acme, &origin, &[&["shop.example"]], "", ""));
    eventually("the authority to look", || acme.times("challenge") == 1);
    // One that stays is not disturbed.
    let two = config(&acme, &origin, &[&["shop.example"], &["pay.example"]], "", "");
    assert_eq!(gateway.reload(&two).status, 200);
    assert_eq!(standing(&gateway, "shop.example")["state"], "ordering");
    let other = config(&acme, &origin, &[&["pay.example"]], "", "");
    assert_eq!(gateway.reload(&other).status, 200);
    eventually("another order", || acme.times("order pay.example") == 1);
    assert_eq!(standing(&gateway, "shop.example"), Value::Null);
    assert_eq!(acme.times("order shop.example"), 1);
    find(&acme, &gateway);
    wait_for(&gateway, "pay.example", "issued");
    assert!(orders(&gateway, "failed") < 0.5);
}

#[test]
fn a_gateway_that_drains_orders_nothing_and_settles_nothing() {
    let (acme, origin) = (Acme::start(), Origin::silent());
    let other = "[listen.other]\nbind = \"127.0.0.1:0\"\n";
    let two = config(&acme, &origin, &[&["shop.example"], &["pay.example"]], "", "");
    let mut gateway = Gateway::start(&format!("{two}{other}"));
    eventually("the authority to look", || acme.times("challenge") == 1);
    let mut held = Raw::connect(gateway.addr("other"));
    held.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    origin.wait_for_open(1);
    gateway.signal(Signal::Term);
    eventually("the order to be given up", || standing(&gateway, "shop.example")["state"] == "pending");
    assert_eq!(standing(&gateway, "shop.example")["failures"], 0);
    assert!(orders(&gateway, "failed") < 0.5);
    assert_eq!(acme.times("order"), 1);
    drop(held);
}

#[test]
fn a_directory_that_cannot_be_believed_or_read_is_asked_for_nothing() {
    let (acme, origin) = (Acme::start(), Origin::named("app"));
    let list = config(&acme, &origin, &[&["shop.example"]], "", "");
    let ca = format!("ca = \"{}\"\n", acme.authority.ca().display());
    let gateway = Gateway::start(&list.replace(&ca, ""));
    eventually("the order to fail", || standing(&gateway, "shop.example")["failures"] == 1);
    let error = standing(&gateway, "shop.example")["last_error"].as_str().unwrap().to_owned();
    assert!(error.contains("UnknownIssuer"), "{error}");
    drop(gateway);
    for (name, said, words) in [
        ("newOrder", Value::from("http://127.0.0.1:1/order"), "newOrder is not to be asked by TLS"),
        ("more", "x".repeat(1 << 20).into(), "length limit exceeded"),
    ] {
        acme.lead();
        acme.mislead(name, said);
        forget_orders(&acme);
        let gateway = Gateway::start(&list);
        eventually("the order to fail", || standing(&gateway, "shop.example")["failures"] == 1);
        let error = standing(&gateway, "shop.example")["last_error"].as_str().unwrap().to_owned();
        assert!(error.contains(words), "{error}");
    }
    assert_eq!(acme.said(), Vec::<String>::new());
}

#[test]
fn an_authority_that_asks_for_more_than_was_ordered_is_refused() {
    for (names, token, words) in [
        (&["shop.example", "shop.example"][..], "", "1 names were ordered, and 2"),
        (&["pay.example"], "", "pay.example is to be shown to be ours"),
        (&["shop.example"], "/", "the token for shop.example is none"),
    ] {
        let (acme, origin) = (Acme::start(), Origin::named("app"));
        acme.ask_strangely(names, token);
        let gateway = Gateway::start(&config(&acme, &origin, &[&["shop.example"]], "", ""));
        eventually("the order to fail", || standing(&gateway, "shop.example")["failures"] == 1);
        let error = standing(&gateway, "shop.example")["last_error"].as_str().unwrap().to_owned();
        assert!(error.contains(words), "{error}");
        assert_eq!(acme.times("challenge"), 0);
    }
}

#[test]
fn what_cannot_be_read_is_not_taken_for_what_is_not_there() {
    let (acme, origin) = (Acme::start(), Origin::named("app"));
    drop(issued(&acme, &origin));
    forget_orders(&acme);
    std::fs::create_dir(acme.home().join("shop.example.orders.json")).unwrap();
    std::fs::remove_file(acme.home().join("shop.example.pem")).unwrap();
    let gateway = Gateway::start(&config(&acme, &origin, &[&["shop.example"]], "", ""));
    eventually("it to be told", || !standing(&gateway, "shop.example")["last_error"].is_null());
    let found = standing(&gateway, "shop.example");
    assert!(found["last_error"].as_str().unwrap().contains("orders.json cannot be read"), "{found}");
    assert_eq!((&found["next_order_reason"], &found["failures"]), (&"again".into(), &0.into()), "{found}");
    assert!(found["next_order_seconds"].as_i64() > Some(30), "{found}");
    assert_eq!(acme.times("order"), 1);
}
