//! Certificates by ACME where something goes wrong between the gateway and its authority, or on the gateway's disk.

use std::os::unix::fs::FileExt;

use serde_json::Value;

use crate::acme::config;
use crate::acme::find;
use crate::acme::forget_orders;
use crate::acme::issued;
use crate::acme::shown;
use crate::acme::standing;
use crate::acme::wait_for;
use crate::support::Acme;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::eventually;

const DAY: i64 = 24 * 3600;
/// Bytes of a page of memory.
const PAGE: u64 = 4096;

/// A gateway with a certificate that is renewed as soon as it is started again, and has been stopped.
fn renewable(acme: &Acme, origin: &Origin) {
    acme.renew_within(40 * DAY, 41 * DAY);
    let gateway = issued(acme, origin);
    assert!(gateway.stop().success());
    renew_now(acme);
}

fn renew_now(acme: &Acme) {
    let record = acme.home().join("shop.example.orders.json");
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    kept["issued"] = 0.into();
    std::fs::write(&record, kept.to_string()).unwrap();
    acme.renew_within(-DAY, -DAY / 2);
}

#[test]
fn an_order_that_the_network_cuts_is_not_made_twice() {
    let (acme, origin) = (Acme::start(), Origin::named("app"));
    renewable(&acme, &origin);
    acme.cut(1);
    let gateway = Gateway::start(&config(&acme, &origin, &[&["shop.example"]], "", ""));
    eventually("the order to fail", || standing(&gateway, "shop.example")["failures"] == 1);
    assert_eq!(acme.times("order shop.example for "), 1);
    assert_eq!(acme.times("order"), 2, "the first, and the one that was cut");
    let found = standing(&gateway, "shop.example");
    assert!(found["next_order_seconds"].as_i64() > Some(30), "{found}");
}

#[test]
fn an_authority_that_does_not_say_what_an_order_replaces_is_asked_to_once() {
    let (acme, origin) = (Acme::start(), Origin::named("app"));
    renewable(&acme, &origin);
    acme.deafen();
    let start = || {
        let gateway = Gateway::start(&config(&acme, &origin, &[&["shop.example"]], "", ""));
        find(&acme, &gateway);
        gateway
    };
    let before = std::fs::read(acme.home().join("shop.example.pem")).unwrap();
    let gateway = start();
    let file = acme.home().join("shop.example.pem");
    eventually("another certificate", || std::fs::read(&file).unwrap() != before);
    assert_eq!([acme.times("order"), acme.times("order shop.example for ")], [3, 1]);
    wait_for(&gateway, "shop.example", "issued");
    assert!(gateway.stop().success());

    renew_now(&acme);
    let before = std::fs::read(&file).unwrap();
    let _gateway = start();
    eventually("a third certificate", || std::fs::read(&file).unwrap() != before);
    assert_eq!([acme.times("order"), acme.times("order shop.example for ")], [4, 1], "it was made once");
}

#[test]
fn a_directory_that_has_moved_is_not_followed() {
    let (acme, elsewhere, origin) = (Acme::start(), Origin::named("elsewhere"), Origin::named("app"));
    let addr = elsewhere.addr();
    for place in [format!("http://{addr}/dir"), format!("https://{addr}/dir"), "/dir".to_owned()] {
        let before = acme.times("directory");
        acme.move_to(&place);
        let gateway = Gateway::start(&config(&acme, &origin, &[&["shop.example"]], "", ""));
        eventually("the order to fail", || standing(&gateway, "shop.example")["failures"] == 1);
        assert_eq!(acme.times("directory"), before + 1, "{place}");
        drop(gateway);
        forget_orders(&acme);
    }
    assert_eq!((elsewhere.connections(), acme.times("account")), (0, 0));
}

#[test]
fn a_certificate_that_cannot_be_read_is_told_of_and_the_one_in_force_stays() {
    let (acme, origin) = (Acme::start(), Origin::named("app"));
    let list = config(&acme, &origin, &[&["shop.example"]], "", "");
    let mut gateway = issued(&acme, &origin);
    let first = shown(&gateway, "shop.example");
    // What is no file cannot be read by anybody.
    let (file, aside) = (acme.home().join("shop.example.pem"), acme.home().join("aside"));
    std::fs::rename(&file, &aside).unwrap();
    std::fs::create_dir(&file).unwrap();
    let fault = || gateway.get_json("/v1/certificates")["certificates"][0]["fault"].clone();
    eventually("it to be told", || fault().as_str().is_some_and(|words| words.contains("it cannot be read")));
    assert_eq!(shown(&gateway, "shop.example"), first, "the one in force stays");
    std::fs::remove_dir(&file).unwrap();
    std::fs::rename(&aside, &file).unwrap();
    eventually("the fault to be gone", || fault().is_null());
    assert_eq!(shown(&gateway, "shop.example"), first);
    gateway.expect_error("it cannot be read");
    drop(gateway);

    std::fs::rename(&file, &aside).unwrap();
    std::fs::create_dir(&file).unwrap();
    let mut gateway = Gateway::start(&list);
    gateway.wait_stderr("shop.example.pem: it cannot be read");
    assert_eq!(shown(&gateway, "shop.example"), None, "all else is served, this is not");
    eventually("it to be told", || !standing(&gateway, "shop.example")["last_error"].is_null());
    assert_eq!(acme.times("order"), 1, "what cannot be read is not ordered anew");
    gateway.expect_error("");
}

#[test]
fn no_file_with_a_key_stays_in_memory() {
    let (acme, origin) = (Acme::start(), Origin::named("app"));
    let gateway = issued(&acme, &origin);
    let pem = std::fs::read_to_string(acme.home().join("shop.example.pem")).unwrap();
    let account = std::fs::read_to_string(acme.home().join("account.json")).unwrap();
    // Of each as many bytes as say nothing yet, and of the secret behind them a few. What libraries copy while they take a
    // text apart has none of the words around it.
    for (text, begin) in [(&pem, "-----BEGIN PRIVATE KEY-----\n"), (&account, "\"key_pkcs8\": \"")] {
        let from = text.find(begin).unwrap();
        let bytes = &text.as_bytes()[from..from + begin.len() + 64];
        assert_eq!(times_in_memory(gateway.pid(), bytes), 0, "{begin}");
    }
    let known = acme.home().join("shop.example.pem").display().to_string();
    assert!(times_in_memory(gateway.pid(), known.as_bytes()) > 0, "what is there is found");
}

/// How often these bytes stand in what a process may write to, as far as there is memory behind it.
fn times_in_memory(pid: u32, bytes: &[u8]) -> usize {
    let of = |name: &str| std::fs::File::open(format!("/proc/{pid}/{name}")).unwrap();
    let (memory, pages) = (of("mem"), of("pagemap"));
    let finder = memchr::memmem::Finder::new(bytes);
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut times = 0;
    for line in maps.lines().filter(|line| line.contains(" rw") && !line.contains("[v")) {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [from, to] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap() / PAGE);
        let mut entries = vec![0; usize::try_from((to - from) * 8).unwrap()];
        pages.read_exact_at(&mut entries, from * 8).unwrap();
        // Whether there is a page stands in the highest bit.
        let there: Vec<bool> = entries.chunks(8).map(|entry| entry[7] & 0x80 != 0).collect();
        let mut first = from;
        for run in there.chunk_by(|a, b| a == b) {
            let mut block = if run[0] { vec![0; run.len() * usize::try_from(PAGE).unwrap()] } else { Vec::new() };
            if run[0] && memory.read_exact_at(&mut block, first * PAGE).is_ok() {
                times += finder.find_iter(&block).count();
            }
            first += run.len() as u64;
        }
    }
    times
}
