//! What is said of upstreams: held by the model as it is written, filled in from the defaults key by key, and odd or faulty
//! where it does not fit together.

use std::path::Path;
use std::time::Duration;

use super::SMALL;
use super::faults;
use super::model;
use crate::config::load;
use crate::config::load_text;
use crate::config::property_tests::with_secrets;
use crate::config::to_toml;
use crate::model::Balance;
use crate::model::Class;
use crate::model::Ejection;
use crate::model::Endpoint;
use crate::model::Feedback;
use crate::model::HashKey;
use crate::model::HashTable;
use crate::model::Hashing;
use crate::model::Health;
use crate::model::Hedge;
use crate::model::HedgeAfter;
use crate::model::Keep;
use crate::model::Limits;
use crate::model::Model;
use crate::model::Overload;
use crate::model::Probe;
use crate::model::Retry;
use crate::model::RetryOn;
use crate::model::Sticky;
use crate::model::Timeouts;
use crate::model::Upstream;
use crate::model::fixture;

const SECRET: &str = "0123456789abcdef";

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The one upstream of SMALL, which says this.
fn with(lines: &str) -> Upstream {
    with_defaults("", lines)
}

fn with_defaults(defaults: &str, lines: &str) -> Upstream {
    model(&text_with(defaults, lines)).upstreams.remove(0)
}

fn text_with(defaults: &str, lines: &str) -> String {
    let upstream = SMALL.replace("[upstream.app]", &format!("[upstream.app]\n{lines}"));
    format!("{upstream}[defaults.upstream]\n{defaults}\n")
}

fn probe(upstream: Upstream) -> Option<Probe> {
    upstream.health.map(|health| health.probe)
}

fn asked(path: &str) -> Probe {
    Probe::Http { method: "GET".into(), path: path.into(), host: None, statuses: vec![200..=299], body: None }
}

#[test]
fn what_is_not_said_is_what_the_model_calls_default() {
    let loaded = model(SMALL);
    let app = &loaded.upstreams[0];
    assert_eq!(app.balance, Balance::Latency);
    assert_eq!((&app.sticky, app.feedback, &app.health, &app.deadline), (&None, None, &None, &None));
    assert_eq!((app.slow_start, app.panic_percent, app.timeout.total), (Duration::from_secs(10), 50, None));
    assert_eq!(app.retry, Retry::default());
    assert_eq!((app.keep, app.limits, app.ejection), (Keep::default(), Limits::default(), Ejection::default()));
    assert_eq!((app.endpoints[0].weight, &app.endpoints[0].zone, app.endpoints[0].priority), (1, &None, 0));
    assert_eq!((&loaded.process.zone, loaded.process.overload), (&None, Overload::default()));
    let route = &loaded.hosts[0].routes[0];
    assert_eq!((route.hedge, route.class, route.total_timeout), (None, Class::Normal, None));
}

/// The file that says all of it.
fn whole() -> Model {
    let loaded = load(Path::new("tests/config/good/upstreams.toml")).unwrap_or_else(|report| panic!("{report}"));
    // A report is of use to `latency` alone, which is the default.
    let odd: Vec<_> = loaded.warnings.iter().map(|warning| warning.message().to_owned()).collect();
    assert_eq!(odd, ["upstream \"full\" listens to what its endpoints report, and its `balance` does not use it"]);
    loaded.model
}

/// What its defaults say of retries.
fn inherited() -> Retry {
    let on = RetryOn { connect: false, reset: false, timeout: true, statuses: vec![502..=504, 429..=429] };
    Retry { attempts: 4, on, budget_percent: 5, ..Retry::default() }
}

fn sticky(cookie: &str, lifetime: Duration) -> Sticky {
    Sticky { cookie: cookie.into(), lifetime, secret: Some(SECRET.into()) }
}

#[test]
fn what_a_file_says_of_an_upstream_is_what_the_model_holds() {
    let model = whole();
    let [full, ..] = model.upstreams.as_slice() else { panic!() };
    let endpoint = |address: &str, weight, zone: &str, priority| Endpoint {
        address: address.parse().unwrap(),
        weight,
        zone: Some(zone.into()),
        priority,
    };
    let http = |method: &str, body: Option<&str>| Probe::Http {
        method: method.into(),
        path: "/healthz".into(),
        host: Some("shop".into()),
        statuses: vec![200..=200, 300..=399],
        body: body.map(Into::into),
    };
    assert_eq!(
        *full,
        Upstream {
            endpoints: vec![endpoint("10.0.0.1:1", 1, "a", 1), endpoint("10.0.0.2:1", 3, "b", 0)],
            balance: Balance::Random,
            sticky: Some(sticky("place", Duration::from_mins(30))),
            feedback: Some(Feedback::Orca),
            slow_start: Duration::ZERO,
            panic_percent: 0,
            timeout: Timeouts { connect: ms(10), response: ms(20), body: ms(30), total: Some(ms(40)) },
            retry: Retry { backoff: ms(1), backoff_max: ms(2), body: 0, budget_per_second: 6, ..inherited() },
            keep: Keep { connections: 5, warm: 5, idle: ms(2000), requests: 3, age: ms(4000) },
            connections_max: 8,
            limits: Limits {
                requests: Some(7),
                endpoint_requests: Some(9),
                connections: Some(10),
                queue: 0,
                queue_time: ms(11),
                adaptive: true
            },
            health: Some(Health {
                probe: http("HEAD", Some("ok")),
                interval: ms(1000),
                doubt: ms(100),
                timeout: ms(200),
                rise: 4,
                fall: 5,
                port: Some(81),
                initially_up: false,
            }),
            ejection: Ejection {
                failures: 1,
                success_percent: 0,
                requests: 3,
                time: ms(4000),
                time_max: ms(5000),
                share_percent: 6
            },
            deadline: Some("x-request-timeout".into()),
            ..fixture::upstream("full", &[])
        }
    );
}

#[test]
fn what_a_file_says_of_upstreams_is_filled_in_from_the_defaults_key_by_key() {
    let model = whole();
    let [_, hashed, plain] = model.upstreams.as_slice() else { panic!() };
    let keys = vec![
        HashKey::Header("x-user".into()),
        HashKey::Cookie("Cart".into()),
        HashKey::Query("Id".into()),
        HashKey::Path,
        HashKey::Client,
        HashKey::Capture(2),
    ];
    assert_eq!(hashed.balance, Balance::Hash(Hashing { keys, table: HashTable::Ring, bound_percent: 250 }));
    assert_eq!((&hashed.sticky, &hashed.deadline, hashed.timeout.total), (&None, &None, None));
    assert_eq!(hashed.limits, Limits { queue: 0, ..Limits::default() });
    assert_eq!(probe(hashed.clone()), Some(Probe::Grpc { service: "shop.Orders".into() }));
    assert_eq!(hashed.ejection, Ejection { failures: 0, success_percent: 0, ..Ejection::default() });
    assert_eq!((&plain.health, &plain.retry), (&None, &inherited()));
    assert_eq!(plain.sticky, Some(sticky("other", Duration::from_hours(1))));
}

#[test]
fn what_a_file_says_of_zones_overload_and_routes_is_what_the_model_holds() {
    let model = whole();
    let process = &model.process;
    let lag = [ms(10), ms(20), ms(60_000)];
    assert_eq!(process.zone.as_deref(), Some("a"));
    let (memory_percent, memory_of) = ([50, 60, 70], Some(2 << 30));
    assert_eq!(process.overload, Overload { memory_percent, memory_of, descriptors_percent: [40, 40, 41], lag });
    let routes = model.hosts[0].routes.iter().map(|route| (route.hedge, route.class, route.total_timeout));
    assert_eq!(
        routes.collect::<Vec<_>>(),
        [
            (Some(Hedge { after: HedgeAfter::Percentile(90), percent: 5 }), Class::Low, Some(ms(1000))),
            (Some(Hedge { after: HedgeAfter::Time(ms(50)), percent: 9 }), Class::High, None),
            (None, Class::Normal, None),
        ]
    );
    assert_eq!(super::model(&with_secrets(&to_toml(&model), &model)), model);
}

#[test]
fn a_way_to_ask_takes_the_place_of_that_of_the_defaults() {
    for (defaults, own, expected) in [
        ("", "health.path = \"/up\"", Some(asked("/up"))),
        ("", "health.tcp = true", Some(Probe::Tcp)),
        ("", "health.grpc = \"\"", Some(Probe::Grpc { service: String::new() })),
        ("", "health.tcp = false", None),
        ("", "health = \"off\"", None),
        ("health.interval = \"1s\"", "", None),
        ("health.interval = \"1s\"", "health.tcp = true", Some(Probe::Tcp)),
        ("health.tcp = true", "", Some(Probe::Tcp)),
        ("health.tcp = true", "health.interval = \"1s\"", Some(Probe::Tcp)),
        ("health.tcp = true", "health.path = \"/up\"", Some(asked("/up"))),
        ("health.tcp = true", "health.tcp = false", None),
        ("health.tcp = true", "health = \"off\"", None),
        ("health.tcp = true", "health = { path = \"off\" }", Some(Probe::Tcp)),
        ("health = { path = \"/up\", body = \"ok\" }", "health.tcp = true", Some(Probe::Tcp)),
        ("health = \"off\"", "health.rise = 1", None),
    ] {
        assert_eq!(probe(with_defaults(defaults, own)), expected, "{defaults} and {own}");
    }
}

#[test]
fn a_fault_of_the_defaults_is_no_fault_of_those_who_take_them() {
    for (defaults, fault) in [
        ("health = { path = \"/\", tcp = true }", "`health` of [defaults.upstream] asks in two ways"),
        ("health.path = 1", "`health.path` of [defaults.upstream] cannot be an integer"),
        (
            "balance = { hash = \"path\" }\nsticky.cookie = \"place\"",
            "[defaults.upstream] keeps a client at its endpoint both by a hash and by a cookie",
        ),
    ] {
        assert_eq!(faults(&text_with(defaults, "panic = 1")), [fault]);
    }
}

/// A default is not held against what is said: it gives way.
#[test]
fn what_is_not_said_gives_way_to_its_bound() {
    let health = with("health = { tcp = true, interval = \"100ms\" }").health.unwrap();
    assert_eq!((health.doubt, health.timeout), (ms(100), ms(100)));
    let health = with("health = { tcp = true, interval = \"700ms\" }").health.unwrap();
    assert_eq!((health.doubt, health.timeout), (ms(500), ms(700)));
    let retry = with("retry.backoff_max = \"10ms\"").retry;
    assert_eq!((retry.backoff, retry.backoff_max), (ms(10), ms(10)));
    let ejection = with("ejection.time_max = \"500ms\"").ejection;
    assert_eq!((ejection.time, ejection.time_max), (ms(500), ms(500)));
}

#[test]
fn a_bound_is_read_to_the_hundredth() {
    for (written, percent) in [
        ("1", 100),
        ("1.0", 100),
        ("1.25", 125),
        ("1.250", 125),
        ("1.5", 150),
        ("1.05", 105),
        ("100", 10_000),
        ("\"off\"", 0),
    ] {
        let upstream = with(&format!("balance = {{ hash = \"path\", bound = {written} }}"));
        let Balance::Hash(hashing) = upstream.balance else { panic!() };
        assert_eq!(hashing.bound_percent, percent, "{written}");
    }
}

#[test]
fn endpoints_that_are_placed_oddly_are_a_warning() {
    let warnings = |text: &str| {
        let loaded = load_text("test", text).unwrap_or_else(|report| panic!("{report}"));
        loaded.warnings.iter().map(|warning| warning.message().to_owned()).collect::<Vec<_>>()
    };
    let endpoints =
        |more: &str| SMALL.replace("\"10.0.0.1:3000\"", &format!("{{ address = \"10.0.0.1:3000\", {more} }}"));
    let zoned = endpoints("zone = \"a\"");
    let nowhere = "upstream \"app\" has endpoints with a zone, and `process.zone` is not set";
    assert_eq!(warnings(&zoned), [nowhere]);
    assert!(warnings(&format!("process.zone = \"b\"\n{zoned}")).is_empty());
    let backup = "every endpoint of upstream \"app\" is a backup: none has priority 0";
    assert_eq!(warnings(&endpoints("priority = 2")), [backup]);
    assert!(warnings(&endpoints("priority = 2").replacen("}]", "}, \"10.0.0.2:1\"]", 1)).is_empty());
    assert_eq!(warnings(&endpoints("priority = 1, zone = \"a\"")), [nowhere, backup]);
}

#[test]
fn reports_that_no_policy_uses_are_a_warning() {
    let warns = |text: &str| {
        let loaded = load_text("test", text).unwrap_or_else(|report| panic!("{report}"));
        let all: Vec<_> = loaded.warnings.iter().map(|warning| warning.message().to_owned()).collect();
        assert!(all.iter().all(|one| one.contains("listens to what its endpoints report")), "{all:?}");
        !all.is_empty()
    };
    let of = |keys: &str| warns(&text_with("", keys));
    for balance in ["\"least_request\"", "\"round_robin\"", "\"random\"", "{ hash = \"client\" }"] {
        assert!(of(&format!("balance = {balance}\nfeedback = \"orca\"")), "{balance}");
        assert!(!of(&format!("balance = {balance}\nfeedback = \"off\"")), "{balance}");
    }
    assert!(!of("feedback = \"orca\""));
    assert!(!of("balance = \"latency\"\nfeedback = \"orca\""));
    assert!(warns(&text_with("feedback = \"orca\"", "balance = \"random\"")));
}

#[test]
fn a_secret_is_not_shown_and_what_is_shown_is_not_taken_for_it() {
    let secret = "shop ${UNSET:-keys} of 1 & all";
    let text =
        text_with("", &format!("sticky = {{ cookie = \"place\", secret = \"{}\" }}", secret.replace("${", "$${")));
    let held = model(&text);
    assert_eq!(held.upstreams[0].sticky.as_ref().unwrap().secret.as_deref(), Some(secret));
    let shown = to_toml(&held);
    assert!(shown.contains("sticky = { cookie = \"place\", secret = \"***\" }\n"), "{shown}");
    assert_eq!(faults(&shown), ["`sticky.secret` of upstream \"app\" cannot be \"***\""]);
    assert_eq!(model(&with_secrets(&shown, &held)), held);
}
