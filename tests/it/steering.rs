//! What steers the choice of an endpoint beside the policy: zones, weights, priorities, bounds, reports, how new an
//! endpoint is, and what it has asked for. Counts over so many requests, with wide margins.

use std::ops::RangeInclusive;

use crate::orders::ordered;
use crate::support::Gate;
use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::addresses;
use crate::support::eventually;
use crate::support::get;
use crate::support::ok;

/// So many cores before one upstream with such endpoints, and more lines for `[process]` and for the upstream.
fn gateway(process: &str, endpoints: &str, app: &str) -> Gateway {
    Gateway::start(&config(process, endpoints, app))
}

fn config(process: &str, endpoints: &str, app: &str) -> String {
    format!(
        "[process]\n{process}\nadmin = \"127.0.0.1:0\"\naccess_log = \"stdout\"\n\n\
         [listen.http]\nbind = \"127.0.0.1:0\"\n[upstream.app]\nendpoints = {endpoints}\n{app}\n\
         [host.\"*\"]\nroutes = [{{ path = \"/*\", upstream = \"app\" }}]\n"
    )
}

/// A list of endpoints, each with keys of its own.
fn list(origins: &[Origin], keys: &[&str]) -> String {
    let one = |(origin, keys): (&Origin, &&str)| format!("{{ address = \"{}\", {keys} }}", origin.address());
    format!("[{}]", origins.iter().zip(keys).map(one).collect::<Vec<_>>().join(", "))
}

/// How many of so many requests, one after the other on one connection, each of these has answered.
fn shares<const N: usize>(gateway: &Gateway, path: &str, requests: usize, names: [&str; N]) -> [usize; N] {
    let mut raw = Raw::connect(gateway.http());
    let mut counts = [0; N];
    for _ in 0..requests {
        let response = raw.get(path);
        let place = names.iter().position(|name| *name == response.text());
        counts[place.unwrap_or_else(|| panic!("{} {}", response.status, response.text()))] += 1;
    }
    counts
}

/// Answers with its name, but holds what goes to `/held` at the gate.
fn holding(name: &'static str, gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::answer(move |request| {
        if request.target == "/held" {
            gate.wait();
        }
        ok(name)
    })
}

fn held(origin: &Origin) -> usize {
    origin.requests().iter().filter(|request| request.target == "/held").count()
}

fn hold(gateway: &Gateway, fields: &str) -> Raw {
    let mut raw = Raw::connect(gateway.http());
    raw.send(format!("GET /held HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    raw
}

#[test]
fn the_own_zone_takes_nearly_all_while_it_is_no_busier_and_can() {
    let gate = Gate::new();
    let names = ["a", "b", "nowhere"];
    let origins = names.map(|name| holding(name, &gate));
    let endpoints = list(&origins, &["zone = \"a\"", "zone = \"b\"", "weight = 1"]);
    for (own, zone) in [(Some(0), "zone = \"a\""), (Some(1), "zone = \"b\""), (None, "")] {
        let gateway = gateway(&format!("cores = 1\n{zone}"), &endpoints, "balance = \"random\"");
        let counts = shares(&gateway, "/", 300, names);
        for (place, count) in counts.into_iter().enumerate() {
            // Three in a hundred go elsewhere in any case; without a zone each has a third.
            let expected: RangeInclusive<_> = match own {
                Some(own) if own == place => 255..=299,
                Some(_) => 0..=45,
                None => 55..=145,
            };
            assert!(expected.contains(&count), "{zone}: {counts:?}");
        }
        if let Some(own) = own {
            // It is taken out, and brought back.
            let address = origins[own].addr().to_string();
            ordered(&gateway, &address, r#"{"state":"down"}"#);
            assert_eq!(shares(&gateway, "/", 40, names)[own], 0);
            ordered(&gateway, &address, r#"{"state":"ready"}"#);
            assert!(shares(&gateway, "/", 40, names)[own] > 25);
        }
    }
    // A zone that is busier than the others is preferred no more.
    let gateway = gateway("cores = 1\nzone = \"a\"", &endpoints, "balance = \"random\"");
    let mut busy = Vec::new();
    while held(&origins[0]) <= held(&origins[1]) + held(&origins[2]) {
        busy.push(hold(&gateway, ""));
        gate.wait_for_waiting(busy.len());
    }
    let counts = shares(&gateway, "/", 300, names);
    assert!(counts.iter().all(|count| (55..=145).contains(count)), "{counts:?}");
    gate.open();
    busy.iter_mut().for_each(|raw| assert_eq!(raw.read_response().status, 200));
}

/// Which endpoint is the cheaper one is a matter of chance where times are all that is known of them: what steers the
/// choice has to do so each of so many times.
const PAIRS: usize = 8;

/// Fresh pairs of endpoints that are well and answer with these heads, behind paths `/0` to `/7`, chosen by latency.
fn pairs(answers: [&str; 2], keys: [&str; 2], app: &str) -> (Vec<[Origin; 2]>, Gateway) {
    let pair = |_| {
        let mut names = ["first", "second"].into_iter().zip(answers);
        std::array::from_fn(|_| {
            let (name, more) = names.next().unwrap();
            Origin::fixed(format!("HTTP/1.1 200 OK\r\n{more}Content-Length: {}\r\n\r\n{name}", name.len()))
        })
    };
    let pairs: Vec<[Origin; 2]> = (0..PAIRS).map(pair).collect();
    let upstream = |(n, pair): (usize, &[Origin; 2])| {
        format!("[upstream.u{n}]\nendpoints = {}\nbalance = \"latency\"\n{app}\n", list(pair, &keys))
    };
    let upstreams: String = pairs.iter().enumerate().map(upstream).collect();
    let routes: Vec<_> = (0..PAIRS).map(|n| format!("{{ path = \"/{n}\", upstream = \"u{n}\" }}")).collect();
    let gateway = Gateway::start(&format!(
        "[process]\ncores = 1\nadmin = \"127.0.0.1:0\"\naccess_log = \"off\"\n\n[listen.http]\nbind = \"127.0.0.1:0\"\n\
         {upstreams}[host.\"*\"]\nroutes = [{}]\n",
        routes.join(", ")
    ));
    (pairs, gateway)
}

#[test]
fn who_reports_that_it_is_strained_gets_little_to_do_where_that_is_listened_to() {
    let reports = ["0.9", "0.1"].map(|used| format!("endpoint-load-metrics: TEXT application_utilization={used}\r\n"));
    let reports = reports.each_ref().map(String::as_str);
    let (_pairs, gateway) = pairs(reports, ["weight = 1"; 2], "feedback = \"orca\"");
    let mut all = Vec::new();
    for n in 0..PAIRS {
        let path = format!("/{n}");
        let mut met = [0, 0];
        eventually("both have said how they do", || {
            let more = shares(&gateway, &path, 10, ["first", "second"]);
            met = [met[0] + more[0], met[1] + more[1]];
            met.iter().all(|count| *count > 0)
        });
        // And that has been taken in.
        shares(&gateway, &path, 200, ["first", "second"]);
        all.push(shares(&gateway, &path, 200, ["first", "second"])[1]);
    }
    assert!(all.iter().all(|count| *count > 150), "of 200 each the idle ones had {all:?}");
}

#[test]
fn a_heavier_endpoint_takes_more_by_latency_too() {
    let (_pairs, gateway) = pairs([""; 2], ["weight = 1", "weight = 9"], "");
    let all: Vec<_> = (0..PAIRS).map(|n| shares(&gateway, &format!("/{n}"), 60, ["first", "second"])[1]).collect();
    assert!(all.iter().all(|count| *count > 40), "of 60 each the heavy ones had {all:?}");
}

#[test]
fn backups_take_what_the_first_cannot_and_nothing_else() {
    let names = ["a", "b", "c", "d"];
    let origins = names.map(Origin::named);
    let keys = ["priority = 0", "priority = 0", "priority = 3", "priority = 3"];
    for policy in ["latency", "least_request", "round_robin", "random"] {
        let gateway = gateway("cores = 1", &list(&origins, &keys), &format!("balance = \"{policy}\""));
        let order = |place: usize, state: &str| {
            ordered(&gateway, &origins[place].addr().to_string(), &format!("{{\"state\":\"{state}\"}}"));
        };
        let backups = |requests| {
            let counts = shares(&gateway, "/", requests, names);
            counts[2] + counts[3]
        };
        assert_eq!(backups(40), 0, "{policy}");
        // Half of the first can carry seven tenths.
        order(0, "down");
        let overflow = backups(200);
        assert!((20..=110).contains(&overflow), "{policy}: {overflow} of 200");
        order(1, "drain");
        assert_eq!(backups(40), 40, "{policy}");
        order(0, "ready");
        order(1, "ready");
        assert_eq!(backups(40), 0, "{policy}");
    }
}

#[test]
fn a_key_that_is_asked_for_too_much_overflows_to_the_next() {
    const HELD: usize = 16;
    for (table, bound, most) in [("maglev", "", 8), ("ring", "", 8), ("maglev", ", bound = \"off\"", HELD)] {
        let gate = Gate::new();
        let origins = ["a", "b", "c", "d"].map(|name| holding(name, &gate));
        let app = format!("balance = {{ hash = \"header:x-user\", table = \"{table}\"{bound} }}");
        let gateway = gateway("cores = 2", &addresses(&origins), &app);
        let mut clients = Vec::new();
        while clients.len() < HELD {
            clients.push(hold(&gateway, "X-User: one\r\n"));
            gate.wait_for_waiting(clients.len());
        }
        let mut counts = origins.each_ref().map(held);
        counts.sort_unstable();
        // With all sixteen there the fair share is four, and a quarter more than that is five.
        assert!(counts[3] <= most && (most < HELD || counts[3] == HELD), "{table}{bound}: {counts:?}");
        gate.open();
        clients.iter_mut().for_each(|raw| assert_eq!(raw.read_response().status, 200));
        // On one connection, so that each is over before the next; those that were held may not be yet.
        let mut raw = Raw::connect(gateway.http());
        let mut ask = || {
            raw.send("GET / HTTP/1.1\r\nHost: a\r\nX-User: one\r\n\r\n");
            raw.read_response().text().to_owned()
        };
        eventually("with room it has one endpoint", || {
            let own = ask();
            (0..20).all(|_| ask() == own)
        });
    }
}

#[test]
fn who_joins_gets_a_tenth_of_its_share_at_first() {
    let names = ["a", "b", "new"];
    let origins = names.map(Origin::named);
    let (two, three) = (addresses(&origins[..2]), addresses(&origins));
    // Of 420 a share of one in twenty-one is 20, and a third is 140.
    for (policy, slow_start, expected) in [
        ("round_robin", "1h", 15..=25),
        ("random", "1h", 3..=60),
        ("round_robin", "0s", 135..=145),
        ("random", "0s", 85..=195),
    ] {
        let app = format!("balance = \"{policy}\"\nslow_start = \"{slow_start}\"");
        let gateway = gateway("cores = 1", &two, &app);
        shares(&gateway, "/", 20, names);
        assert_eq!(gateway.reload(&config("cores = 1", &three, &app)).status, 200);
        let percent = if slow_start == "0s" { 100 } else { 10 };
        eventually("it is known", || {
            let met = shares(&gateway, "/", 10, names)[2];
            let shown = gateway.get_json("/v1/upstreams/app")["endpoints"][2].clone();
            shown["share_percent"] == percent && (met > 0 || percent == 10)
        });
        let counts = shares(&gateway, "/", 420, names);
        assert!(expected.contains(&counts[2]), "{policy} {slow_start}: {counts:?}");
    }
}

#[test]
fn who_asks_for_time_is_not_asked_by_later_requests_either() {
    for status in ["503 Busy", "429 Too Many"] {
        let busy = Origin::fixed(format!("HTTP/1.1 {status}\r\nRetry-After: 120\r\nContent-Length: 4\r\n\r\nbusy"));
        let failing = Origin::fixed(format!("HTTP/1.1 {status}\r\nContent-Length: 7\r\n\r\nfailing"));
        let origins = [busy, failing, Origin::named("well")];
        let app = "balance = \"latency\"\nejection = \"off\"\nretry = { attempts = 1 }";
        let gateway = gateway("cores = 2", &addresses(&origins), app);
        eventually("both have been met", || {
            get(gateway.http(), "/");
            origins.iter().all(|origin| !origin.requests().is_empty())
        });
        let penalty = |place: usize| {
            let shown = gateway.get_json("/v1/upstreams/app");
            shown["endpoints"][place]["penalty_ms"].as_f64().unwrap()
        };
        // It fades, but by no more than to a third in eleven seconds. Without a word it is five seconds.
        assert!(penalty(0) > 40_000.0 && penalty(1) <= 5000.0, "{} and {}", penalty(0), penalty(1));
        let asked = origins[0].requests().len();
        assert!(asked <= 2, "a core may not have known it yet, but no more: {asked}");
        (0..40).for_each(|_| drop(get(gateway.http(), "/")));
        assert_eq!(origins[0].requests().len(), asked, "{status}");
    }
}
