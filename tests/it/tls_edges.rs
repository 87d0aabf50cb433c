//! TLS with clients at its edges: what comes in pieces, too early, too late or too slowly, and what is left of the process.

use std::io::Write;
use std::time::Duration;

use crate::support::Authority;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::simple;
use crate::tls::tls;

#[test]
fn what_an_authority_says_of_a_certificate_is_shown_with_it() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let said = authority.scratch.write("shop.ocsp", "what it says");
    let pair = shop.pair().replace(" }", &format!(", ocsp = \"{}\" }}", said.display()));
    let gateway = Gateway::start(&simple(&[&origin], "", &format!("tls = [{pair}]")));
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        assert_eq!(authority.stapled(version, gateway.http(), "shop.example"), b"what it says");
    }
}

#[test]
fn an_early_answer_reaches_a_client_that_goes_on_sending() {
    let (authority, piece) = (Authority::new(), vec![7_u8; 16_000]);
    let shop = authority.issue("shop", &["shop.example"]);
    let origin = Origin::script(|conn| {
        let mut seen = 0;
        while let Some(bytes) = conn.read_some() {
            seen += bytes.len();
            if seen > 300_000 {
                conn.write("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
                return;
            }
        }
    });
    let gateway = Gateway::start(&tls(&origin, &[&shop], ""));
    for _ in 0..40 {
        let mut client = authority.client(None).connect(gateway.http(), "shop.example");
        client.send("POST / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 20000000\r\n\r\n");
        for _ in 0..20_000_000 / piece.len() {
            client.try_send(&piece).expect("no reset");
        }
        assert_eq!(client.read_response().status, 403);
    }
}

#[test]
fn whoever_drips_within_a_record_has_the_time_of_a_head() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let gateway = Gateway::start(&tls(&origin, &[&shop], "timeout = { idle = \"1m\", head = \"2s\" }"));
    let mut client = authority.client(None).connect(gateway.http(), "shop.example");
    assert_eq!(client.get("shop.example", "/").status, 200);
    let began = std::time::Instant::now();
    client.below().write_all(&[23, 3, 3, 0x40, 0]).unwrap();
    client.below().set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    // A byte now and then, until the end is said.
    let answer = loop {
        assert!(began.elapsed() < crate::support::PATIENCE, "it is still kept");
        drop(client.below().write_all(&[1]));
        match client.try_read_response() {
            Err(crate::support::Broken::Late(_)) => {}
            other => break other,
        }
    };
    assert_eq!(answer.map(|response| response.status).ok(), Some(408));
}

#[test]
fn keys_may_change_in_the_midst_of_it() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let gateway = Gateway::start(&tls(&origin, &[&shop], ""));
    let mut client = authority.client(None).connect(gateway.http(), "shop.example");
    for _ in 0..5 {
        assert_eq!(client.get("shop.example", "/").status, 200);
        client.refresh();
    }
    assert_eq!(client.get("shop.example", "/").status, 200);
}

#[test]
fn one_trailing_dot_is_the_same_host() {
    let (authority, origin) = (Authority::new(), Origin::named("app"));
    let shop = authority.issue("shop", &["shop.example"]);
    let gateway = Gateway::start(&tls(&origin, &[&shop], ""));
    let mut client = authority.client(None).connect(gateway.http(), "shop.example");
    assert_eq!([client.get("shop.example.", "/").status, client.get("shop.example..", "/").status], [200, 421]);
}

#[test]
fn the_memory_of_the_process_is_written_nowhere_unless_that_is_asked_for() {
    let origin = Origin::named("app");
    for (key, asked) in [("", false), ("core_dumps = true\n", true)] {
        let process = format!("[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\n{key}");
        let gateway = Gateway::start(&format!("{process}{}", simple(&[&origin], "", "")));
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", gateway.pid())).unwrap();
        let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        let [soft, hard] = [4, 5].map(|nth| line.split_ascii_whitespace().nth(nth).unwrap());
        let own = std::fs::read_to_string("/proc/self/limits").unwrap();
        match asked {
            // One byte: what takes dumps over a pipe would get them with none.
            false => assert_eq!(soft, if hard == "0" { "0" } else { "1" }),
            true => assert!(own.lines().any(|own| own == line), "as the system has it: {line}"),
        }
    }
}
