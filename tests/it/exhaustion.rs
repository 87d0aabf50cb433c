//! What the system has too little of: descriptors, locked memory, room in a ring. Nobody is refused for it who could be
//! served a moment later, nothing spins, and everything recovers.

use std::time::Duration;

use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::eventually;
use crate::support::get;

/// Two upstreams, `app` and, below `/cold`, `cold`; on one core, with connections that are kept for long.
fn toml(io: &str, app: &Origin, cold: &Origin) -> String {
    format!(
        "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\naccess_log = \"stdout\"\nio = \"{io}\"\n\n\
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
