//! What the system has too little of: descriptors, locked memory, room in a ring. Nobody is refused for it who could be
//! served a moment later, nothing spins, and everything recovers.

use std::time::Duration;

use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Signal;
use crate::support::eventually;
use crate::support::get;
use crate::support::ok;
use crate::support::run_under;
use crate::support::simple;

/// Two upstreams, `app` and, below `/cold`, `cold`; on one core, with connections that are kept for long.
fn toml(io: &str, app: &Origin, cold: &Origin) -> String {
    format!(
        "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\naccess_log = \"stdout\"\nio = \"{io}\"\n\
         overload.descriptors = [100, 100, 100]\n\n\
         [listen.http]\nbind = \"127.0.0.1:0\"\ntimeout = {{ head = \"60s\", idle = \"60s\" }}\n\n\
         [defaults.upstream]\nkeep_alive = {{ idle = \"60s\" }}\n\n\
         [upstream.app]\nendpoints = [\"{}\"]\n\n[upstream.cold]\nendpoints = [\"{}\"]\n\n\
         [host.\"*\"]\nroutes = [{{ path = \"/*\", upstream = \"app\" }}, {{ path = \"/cold/*\", upstream = \"cold\" }}]\n",
        app.addr(),
        cold.addr()
    )
}

const DESCRIPTORS: usize = 100;

#[test]
fn a_gateway_out_of_descriptors_lets_clients_wait_and_serves_them_all() {
    for io in ["auto", "epoll"] {
        out_of_descriptors(io);
    }
}

fn out_of_descriptors(io: &str) {
    let (app, cold) = (Origin::named("app"), Origin::named("cold"));
    let gateway = Gateway::start_under(&format!("ulimit -n {DESCRIPTORS}"), &toml(io, &app, &cold));
    assert_eq!(get(gateway.http(), "/").text(), "app"); // one connection to the endpoint, kept from now on
    let mut clients: Vec<_> = (0..2 * DESCRIPTORS).map(|_| Raw::connect(gateway.http())).collect();
    eventually("the gateway has no descriptor left", || gateway.descriptors() >= DESCRIPTORS);
    let mut admin = Raw::connect(gateway.admin());
    admin.send(format!("GET /livez HTTP/1.1\r\nHost: {}\r\n\r\n", gateway.admin()));

    // Nobody comes in for as long as nobody goes, and nothing is tried again and again meanwhile.
    let (before, pause) = (gateway.cpu_time(), Duration::from_secs(2));
    std::thread::sleep(pause);
    let used = gateway.cpu_time() - before;
    assert!(used < pause / 10, "{used:?} of processor time in {pause:?} of waiting");
    assert!(clients.iter().all(|client| !client.has_news()), "a client was refused that could wait");

    // An endpoint that no connection is kept to cannot be asked now: that is said, and passes.
    assert!(!clients[0].get("/cold/1").closes());
    let refused = clients[0].get("/cold/2");
    assert_eq!(refused.status, 503);
    assert!(refused.text().contains("out of descriptors"), "{}", refused.text());

    let mut first = clients.remove(0);
    for mut client in clients {
        let response = client.get("/");
        assert_eq!((response.status, response.text()), (200, "app"));
    }
    assert_eq!(first.get("/cold/3").text(), "cold");
    assert_eq!(admin.read_response().status, 200);
    assert_eq!(get(gateway.http(), "/").status, 200);
    assert!(gateway.metrics().get("ringway_accept_failures_total", &[]) > 0.0);
    assert!(gateway.metrics().sum("ringway_connections_refused_total", &[]) < 0.5);
    assert_eq!(app.connections(), 1, "what was kept did not suffer");
}

#[test]
fn a_start_with_too_few_descriptors_fails_in_words_or_is_one() {
    let origin = Origin::refusing();
    let head = "[process]\ncores = 2\nadmin = \"127.0.0.1:0\"\naccess_log = \"off\"\n\
                overload.descriptors = [100, 100, 100]\n\n";
    let toml = format!("{head}{}", simple(&[&origin], "", ""));
    let (mut failed, mut served) = (0, 0);
    for descriptors in (8..64).step_by(4) {
        let exit = run_under(&format!("ulimit -n {descriptors}"), &toml);
        if exit.stdout.contains("READY") {
            assert_eq!(exit.code, 0, "{descriptors}: {}", exit.stderr);
            served += 1;
        } else {
            assert!(
                exit.code == 1 && exit.stderr.contains("ulimit -n"),
                "{descriptors}: {}: {}",
                exit.code,
                exit.stderr
            );
            assert!(served == 0, "fewer were enough");
            failed = descriptors;
        }
    }
    assert!(failed > 0 && served > 0, "{failed} are too few, {served} starts were made with more");
    let app = Origin::named("app");
    let toml = format!("{head}{}", simple(&[&app], "", ""));
    let gateway = Gateway::start_under(&format!("ulimit -n {}", failed + 4), &toml);
    assert_eq!(get(gateway.http(), "/").text(), "app");
}

#[test]
fn a_gateway_that_may_lock_no_memory_serves_and_says_on_what() {
    let (app, cold) = (Origin::named("app"), Origin::named("cold"));
    let gateway = Gateway::start_under("ulimit -l 0", &toml("auto", &app, &cold));
    assert_eq!(get(gateway.http(), "/").text(), "app");
    let core = &gateway.get_json("/v1/cores")["cores"][0];
    let best = core["io"] == "io_uring" && core["flags"] == "single_issuer defer_taskrun";
    assert!(best != core["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{core}");
}

/// More completions at once than the smallest ring holds: the gateway is stopped while they come.
#[test]
fn a_ring_that_overflows_loses_nothing() {
    const CLIENTS: usize = 560;
    let origin = Origin::answer(|request| ok(&request.body.len().to_string()));
    let head = "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\naccess_log = \"off\"\n\
                ring = { entries = 256, completions = 512 }\n\n";
    let toml = simple(&[&origin], "", "").replace("\"/*\"", "\"/app\"");
    let mut gateway = Gateway::start(&format!("{head}{toml}"));
    if gateway.get_json("/v1/cores")["cores"][0]["io"] == "epoll" {
        eprintln!("no ring is to be had here: nothing overflows");
        return;
    }
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Raw::connect(gateway.http())).collect();
    let open = || gateway.metrics().sum("ringway_connections", &[]) as usize;
    eventually("every client is in", || open() == CLIENTS);
    for round in 0..3 {
        gateway.signal(Signal::Stop);
        for (n, raw) in clients.iter_mut().enumerate() {
            let path = if n % 8 == 0 { "/app" } else { "/nowhere" };
            let body = "x".repeat(n * (round + 1));
            raw.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        }
        gateway.signal(Signal::Cont);
        for (n, raw) in clients.iter_mut().enumerate() {
            let response = raw.read_response();
            if n % 8 == 0 {
                assert_eq!((response.status, response.text()), (200, (n * (round + 1)).to_string().as_str()));
            } else {
                assert_eq!((response.status, response.closes()), (404, false), "client {n} in round {round}");
            }
        }
    }
}
