//! Properties over generated models and texts: a model reads back as itself, and no text at all is a panic or costs more
//! than its length.

use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::time::Duration;

use proptest::collection::btree_map;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use self::upstreams::upstream;
use super::kind::string;
use super::load_text;
use super::plain::HIDDEN;
use super::to_toml;
use crate::address;
use crate::address::Address;
use crate::address::Networks;
use crate::id::UpstreamIndex;
use crate::model::AccessLog;
use crate::model::Chunks;
use crate::model::Class;
use crate::model::Cores;
use crate::model::Hedge;
use crate::model::HedgeAfter;
use crate::model::Host;
use crate::model::HostPattern;
use crate::model::Io;
use crate::model::KeepAlive;
use crate::model::Listener;
use crate::model::LogFormat;
use crate::model::LogTarget;
use crate::model::Model;
use crate::model::Overload;
use crate::model::PathPattern;
use crate::model::PathRule;
use crate::model::Paths;
use crate::model::Process;
use crate::model::Ring;
use crate::model::Route;
use crate::model::Server;
use crate::model::Upstream;

mod relays;
mod tls;
mod upstreams;

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_model_reads_back_as_itself(model in model()) {
        let hidden = to_toml(&model);
        for secret in secrets(&model) {
            prop_assert!(!hidden.contains(secret), "{}", hidden);
        }
        let text = with_secrets(&hidden, &model);
        match load_text("model", &text) {
            Ok(loaded) => prop_assert_eq!(loaded.model, model, "{}", text),
            Err(report) => prop_assert!(false, "{}\n{}", report, text),
        }
    }

    #[test]
    fn no_text_is_a_panic(text in texts()) {
        if let Err(report) = load_text("text", &text) {
            prop_assert!(!report.is_empty());
            prop_assert!(report.render(false).ends_with("configuration not loaded\n"));
            prop_assert_eq!(report.to_json().as_array().map(Vec::len), Some(report.len().min(100)));
            prop_assert!(!report.render(true).is_empty());
        }
    }

    #[test]
    fn no_change_to_a_good_text_is_a_panic(model in model(), at in 0.0..1.0_f64, cut in 0..40_usize, put in "[\\[\\]{}=.,\"'#\\n$a0 ]{0,3}") {
        let mut text: Vec<char> = to_toml(&model).chars().collect();
        let start = ((text.len() as f64) * at) as usize;
        text.splice(start..(start + cut).min(text.len()), put.chars());
        let text: String = text.into_iter().collect();
        if let Err(report) = load_text("text", &text) {
            prop_assert!(!report.is_empty() && !report.render(false).is_empty());
        }
    }
}

/// In the order in which they are written.
fn secrets(model: &Model) -> impl Iterator<Item = &String> {
    model.upstreams.iter().filter_map(|upstream| upstream.sticky.as_ref()?.secret.as_ref())
}

/// The text with each secret where it is hidden.
pub(super) fn with_secrets(text: &str, model: &Model) -> String {
    let hidden = format!("secret = \"{HIDDEN}\"");
    let put = |text: String, secret: &String| {
        assert!(text.contains(&hidden), "{text}");
        text.replacen(&hidden, &format!("secret = {}", string(secret)), 1)
    };
    secrets(model).fold(text.to_owned(), put)
}

/// Pieces of TOML in any order.
fn texts() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        ".",
        ",",
        "\n",
        " ",
        "\t",
        "\r\n",
        "\"",
        "'",
        "\"\"\"",
        "#",
        "\\u00e9",
        "é",
        "日",
        "listen",
        "upstream",
        "host",
        "defaults",
        "process",
        "include",
        "http",
        "\"*\"",
        "bind",
        "routes",
        "endpoints",
        "ring",
        "timeout",
        "path",
        "cores",
        "\"10s\"",
        "\":80\"",
        "\"10.0.0.1:80\"",
        "\"${A\"",
        "\"${A:-b}\"",
        "1",
        "-1",
        "1e9",
        "0xffffffffffffffffffffff",
        "true",
        "1979-05-27",
        "inf",
        "\"/*\"",
        "\u{0}",
        "\u{1b}",
    ]);
    vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

fn model() -> impl Strategy<Value = Model> {
    (process(), btree_map(name(), listener(), 1..4), btree_map(name(), upstream(), 1..5)).prop_flat_map(
        |(process, listeners, upstreams)| {
            let listeners: Vec<Listener> = listeners
                .into_iter()
                .enumerate()
                // Each its own port: two with one address are no model.
                .map(|(index, (name, one))| {
                    let own = |(place, bind): (usize, Address)| match bind {
                        Address::Ip(mut address) => {
                            address.set_port(20_000 + (10 * index + place) as u16);
                            Address::Ip(address)
                        }
                        Address::Unix(path) => format!("unix:/{index}-{place}{}", path.display()).parse().unwrap(),
                    };
                    Listener { name, bind: one.bind.into_iter().enumerate().map(own).collect(), ..one }
                })
                .collect();
            let mut upstreams: Vec<Upstream> =
                upstreams.into_iter().map(|(name, one)| Upstream { name, ..one }).collect();
            let hosts = hosts(upstreams.len() as u32);
            // The last in their order; requests do not come to it.
            upstreams.push(relays::upstream());
            let carries = vec(option::of(relays::relay(upstreams.len() as u32 - 1)), listeners.len());
            (hosts, carries).prop_map(move |(hosts, carries)| Model {
                acme: None,
                process: process.clone(),
                listeners: listeners.clone().into_iter().zip(carries).map(relays::carrying).collect(),
                upstreams: upstreams.clone(),
                hosts,
            })
        },
    )
}

fn process() -> impl Strategy<Value = Process> {
    let cores = prop_oneof![
        Just(Cores::All),
        (1..=1024_usize).prop_map(Cores::Count),
        proptest::collection::hash_set(0..1024_usize, 1..8).prop_map(|cpus| Cores::List(cpus.into_iter().collect())),
    ];
    let to = prop_oneof![
        Just(LogTarget::Off),
        Just(LogTarget::Stdout),
        Just(LogTarget::Stderr),
        "/[ -~é\t\n]{0,20}[a-z$]".prop_map(|path| LogTarget::File(PathBuf::from(path))),
    ];
    let log =
        (to, select(vec![LogFormat::Json, LogFormat::Combined])).prop_map(|(to, format)| AccessLog { to, format });
    let ring = (8..=15_u32, 0..=8_u32)
        .prop_map(|(entries, more)| Ring { entries: 1 << entries, completions: 1 << (entries + more).clamp(9, 16) });
    let admin = address(1..10_000).prop_filter_map("an admin interface has no Unix socket", |address| address.ip());
    let io = select(vec![Io::Auto, Io::IoUring, Io::Epoll]);
    let more = (option::of(zone()), overload(), any::<bool>());
    (cores, admin, io, ring, time(0, 3_600_000), 1..=10_000_000_u32, log, more).prop_map(
        |(cores, admin, io, ring, drain, connections_max, access_log, (zone, overload, core_dumps))| Process {
            cores,
            admin,
            io,
            ring,
            drain,
            connections_max,
            access_log,
            zone,
            overload,
            core_dumps,
        },
    )
}

fn zone() -> impl Strategy<Value = String> {
    "[A-Za-z0-9._-]{1,64}"
}

fn overload() -> impl Strategy<Value = Overload> {
    let rising = |values: [u32; 3]| {
        let mut values = values;
        values.sort_unstable();
        values
    };
    let percent = move || prop::array::uniform3(1..=100_u32).prop_map(rising);
    let lag = prop::array::uniform3(time(1, 60_000)).prop_map(|mut values| {
        values.sort_unstable();
        values
    });
    let memory_of = option::of(1_048_576..=1_u64 << 50);
    (percent(), memory_of, percent(), lag).prop_map(|(memory_percent, memory_of, descriptors_percent, lag)| Overload {
        memory_percent,
        memory_of,
        descriptors_percent,
        lag,
    })
}

fn listener() -> impl Strategy<Value = Listener> {
    let sizes = (1024..=65_536_usize).prop_flat_map(|head| (Just(head), 256..=(head - 1).min(32_768)));
    let times = (time(100, 3_600_000), time(100, 3_600_000), time(100, 3_600_000), time(1000, 86_400_000));
    let binds = (vec(address(1..2), 1..4), 0..=0o777_u32);
    let counts = (1..=10_000_000_u32, option::of(1..=1_000_000_u32), 1..=200_usize, option::of(1..=(1_u64 << 40)));
    let more = (trust(), paths(), server(), rate(), chunks(), keep_alive(), tls::listens());
    (binds, counts, sizes, times, more).prop_map(
        |(
            (bind, socket_mode),
            counts,
            (head_bytes, target_bytes),
            (head_timeout, idle_timeout, body_timeout, tunnel_timeout),
            more,
        )| {
            let (connections_max, client_connections_max, fields, max_body) = counts;
            let ((trusted, proxy_protocol), paths, server, min_rate, chunks, keep_alive, listens) = more;
            let (tls, hsts, redirect) = listens;
            Listener {
                name: String::new(),
                bind,
                socket_mode,
                connections_max,
                head_bytes,
                fields,
                target_bytes,
                head_timeout,
                idle_timeout,
                body_timeout,
                tunnel_timeout,
                max_body,
                client_connections_max,
                trusted,
                proxy_protocol,
                paths,
                server,
                min_rate,
                chunks,
                keep_alive,
                tls,
                hsts,
                redirect,
                relay: None,
            }
        },
    )
}

/// Who is trusted, and whether their header is waited for, which takes somebody.
fn trust() -> impl Strategy<Value = (Networks, bool)> {
    let v4 = (any::<[u8; 4]>(), 0..=32_u8).prop_map(|(ip, prefix)| format!("{}/{prefix}", Ipv4Addr::from(ip)));
    let v6 = (any::<[u16; 8]>(), 0..=128_u8).prop_map(|(ip, prefix)| format!("{}/{prefix}", Ipv6Addr::from(ip)));
    let network = prop_oneof![v4, v6].prop_map(|text| address::network(&text).unwrap().trunc());
    let networks = (proptest::collection::hash_set(network, 0..4), any::<bool>())
        .prop_map(|(list, unix)| Networks { list: list.into_iter().collect(), unix });
    (networks, any::<bool>()).prop_map(|(trusted, wanted)| {
        let proxy_protocol = wanted && !trusted.is_empty();
        (trusted, proxy_protocol)
    })
}

fn paths() -> impl Strategy<Value = Paths> {
    let rule = || select(vec![PathRule::Keep, PathRule::Resolve, PathRule::Refuse]);
    (rule(), rule(), rule()).prop_map(|(dots, slashes, encoded_slashes)| Paths { dots, slashes, encoded_slashes })
}

fn server() -> impl Strategy<Value = Server> {
    let text = "[!-~]([ -~]{0,98}[!-~])?|[!-~]{1,3}|\\$?\\$\\{[A-Z]{1,2}\\}";
    let is_word = |text: &String| ["pass", "off"].iter().any(|word| word.eq_ignore_ascii_case(text));
    let text = text.prop_filter("a word is not the text itself", move |text| !is_word(text));
    prop_oneof![Just(Server::Pass), Just(Server::Off), text.prop_map(Server::Set)]
}

fn chunks() -> impl Strategy<Value = Chunks> {
    (32..=8192_usize, 0..=1_048_576_usize)
        .prop_map(|(line_bytes, extension_bytes)| Chunks { line_bytes, extension_bytes })
}

fn keep_alive() -> impl Strategy<Value = KeepAlive> {
    (1..=1_000_000_000_u32, time(1000, 86_400_000)).prop_map(|(requests, age)| KeepAlive { requests, age })
}

/// Bytes a second.
fn rate() -> impl Strategy<Value = u64> {
    prop_oneof![0..=(1_u64 << 30), (0..=30_u32).prop_map(|shift| 1 << shift)]
}

fn hosts(upstreams: u32) -> impl Strategy<Value = Vec<Host>> {
    let pattern = prop_oneof![
        Just("*".to_owned()),
        "([a-z0-9]([a-z0-9_-]{0,5}[a-z0-9])?\\.){1,3}[a-z]{2,5}",
        "\\*\\.([a-z0-9]([a-z0-9-]{0,5}[a-z0-9])?\\.){0,2}[a-z]{2,5}",
        any::<[u8; 4]>().prop_map(|octets| Ipv4Addr::from(octets).to_string()),
        any::<[u16; 8]>().prop_map(|parts| format!("[{}]", Ipv6Addr::from(parts))),
    ];
    let path = prop_oneof![
        Just(PathPattern::Prefix(String::new())),
        Just(PathPattern::Exact("/".into())),
        "(/[a-z${}~:@!&'()+,;=\"\\\\-]{1,6}){1,4}".prop_map(PathPattern::Exact),
        "(/[a-z${}~:@!&'()+,;=\"\\\\-]{1,6}){1,4}".prop_map(PathPattern::Prefix),
        "(/[a-z]{1,3}){1,2}/".prop_map(PathPattern::Exact),
    ];
    let bound = option::of(prop_oneof![Just(0), 1..=(1_u64 << 40), (0..=40_u32).prop_map(|shift| 1 << shift)]);
    let times = (
        option::of(time(10, 3_600_000)),
        option::of(time(100, 3_600_000)),
        option::of(time(1000, 86_400_000)),
        option::of(time(10, 3_600_000)),
        option::of(time(10, 60_000)),
    );
    let protocol = "[a-z!#$%&'*+.^_`|~0-9-]{1,8}".prop_filter("refused", |name| name != "*" && name != "h2c");
    let upgrade =
        proptest::collection::hash_set(protocol, 0..3).prop_map(|names| names.into_iter().collect::<Vec<_>>());
    let settings = (0..upstreams, bound, upgrade, any::<bool>(), times, option::of(rate()), option::of(1..=10_u32));
    let class = select(vec![Class::Low, Class::Normal, Class::High]);
    let settings = (settings, option::of(hedge()), class);
    let routes = proptest::collection::hash_map(path, settings, 1..6).prop_map(|routes| {
        let route = |(path, (settings, hedge, class))| {
            let (upstream, max_body, upgrade, connect, times, min_rate, attempts) = settings;
            let (response_timeout, body_timeout, tunnel_timeout, total_timeout, connect_timeout) = times;
            Route {
                path,
                upstream: UpstreamIndex(upstream),
                max_body,
                upgrade,
                connect,
                tunnel_timeout,
                connect_timeout,
                response_timeout,
                body_timeout,
                min_rate,
                attempts,
                total_timeout,
                hedge,
                class,
            }
        };
        routes.into_iter().map(route).collect::<Vec<_>>()
    });
    btree_map(pattern, (routes, option::of(tls::host_clients())), 1..4).prop_map(|hosts| {
        let pattern = |text: String| match text.strip_prefix("*.") {
            Some(suffix) => HostPattern::Wildcard(suffix.to_owned()),
            None if text == "*" => HostPattern::Any,
            None => HostPattern::Exact(text),
        };
        let host = |(text, (routes, clients))| Host { pattern: pattern(text), routes, clients };
        hosts.into_iter().map(host).collect()
    })
}

fn hedge() -> impl Strategy<Value = Hedge> {
    let after =
        prop_oneof![(50..=99_u32).prop_map(HedgeAfter::Percentile), time(1, 60_000).prop_map(HedgeAfter::Time),];
    (after, prop_oneof![Just(5), 1..=100_u32]).prop_map(|(after, percent)| Hedge { after, percent })
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9._-]{1,12}"
}

fn address(ports: std::ops::Range<u16>) -> impl Strategy<Value = Address> {
    prop_oneof![
        (any::<[u8; 4]>(), ports.clone()).prop_map(|(ip, port)| Address::Ip((ip, port).into())),
        (any::<[u16; 8]>(), ports).prop_map(|(ip, port)| Address::Ip((ip, port).into())),
        "/[ -~é]{0,30}[a-z$]".prop_map(|path| format!("unix:{path}").parse().unwrap()),
    ]
}

/// In nanoseconds now and then, from and to milliseconds.
fn time(min: u64, max: u64) -> impl Strategy<Value = Duration> {
    prop_oneof![
        (min..=max).prop_map(Duration::from_millis),
        (min * 1_000_000..=max * 1_000_000).prop_map(Duration::from_nanos),
        (min.div_ceil(1000)..=max / 1000).prop_map(Duration::from_secs),
    ]
}
