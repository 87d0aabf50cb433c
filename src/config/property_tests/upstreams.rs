//! Any upstream that a model may hold, in every one of its settings.

use std::ops::RangeInclusive;
use std::time::Duration;

use proptest::collection::hash_map;
use proptest::collection::hash_set;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::address;
use super::rate;
use super::time;
use super::zone;
use crate::model::Balance;
use crate::model::Chunks;
use crate::model::Ejection;
use crate::model::Endpoint;
use crate::model::Feedback;
use crate::model::HashKey;
use crate::model::HashTable;
use crate::model::Hashing;
use crate::model::Health;
use crate::model::Keep;
use crate::model::Limits;
use crate::model::Probe;
use crate::model::ProxyVersion;
use crate::model::ResponseLimits;
use crate::model::Retry;
use crate::model::RetryOn;
use crate::model::Sticky;
use crate::model::Timeouts;
use crate::model::Upstream;

pub(super) fn upstream() -> impl Strategy<Value = Upstream> {
    let small = (time(0, 3_600_000), 0..=100_u32, 1..=1_000_000_u32, rate(), select(vec![None, Some(Feedback::Orca)]));
    let deadline = option::of("[a-z0-9!#$%&'*+.^_`|~-]{1,64}".prop_filter("a word", |name| name != "off"));
    let proxy = select(vec![None, Some(ProxyVersion::V1), Some(ProxyVersion::V2)]);
    let watch = (option::of(health()), ejection());
    (
        endpoints(),
        chosen(),
        timeouts(),
        retry(),
        (keep(), limits()),
        watch,
        small,
        (deadline, proxy, option::of(super::tls::upstream()), response()),
    )
        .prop_map(
            |(endpoints, (balance, sticky), timeout, retry, (keep, limits), (health, ejection), small, told)| {
                let (slow_start, panic_percent, connections_max, min_rate, feedback) = small;
                let (deadline, proxy_protocol, tls, response) = told;
                // A Unix socket has no port.
                let ports = endpoints.iter().any(|endpoint| endpoint.address.ip().is_some());
                let health = health.map(|health| Health { port: health.port.filter(|_| ports), ..health });
                Upstream {
                    name: String::new(),
                    endpoints,
                    balance,
                    sticky,
                    feedback,
                    slow_start,
                    panic_percent,
                    timeout,
                    retry,
                    keep,
                    connections_max,
                    limits,
                    health,
                    ejection,
                    deadline,
                    response,
                    min_rate,
                    proxy_protocol,
                    tls,
                }
            },
        )
}

fn endpoints() -> impl Strategy<Value = Vec<Endpoint>> {
    let more = (prop_oneof![Just(1), 1..=1000_u32], option::of(zone()), prop_oneof![Just(0), 0..=9_u8]);
    hash_map(address(1..60_000), more, 1..5).prop_map(|endpoints| {
        let endpoint = |(address, (weight, zone, priority))| Endpoint { address, weight, zone, priority };
        endpoints.into_iter().map(endpoint).collect()
    })
}

/// How an endpoint is chosen, and whether a cookie keeps it: a hash and a cookie exclude each other.
fn chosen() -> impl Strategy<Value = (Balance, Option<Sticky>)> {
    let word = select(vec![Balance::Latency, Balance::LeastRequest, Balance::RoundRobin, Balance::Random]);
    prop_oneof![hashing().prop_map(|hashing| (Balance::Hash(hashing), None)), (word, option::of(sticky())),]
}

fn hashing() -> impl Strategy<Value = Hashing> {
    let key = prop_oneof![
        "[a-z0-9!#$%&'*+.^_`|~-]{1,64}".prop_map(HashKey::Header),
        "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}".prop_map(HashKey::Cookie),
        "[!-~&&[^&=#]]{1,64}".prop_map(HashKey::Query),
        Just(HashKey::Path),
        Just(HashKey::Client),
        Just(HashKey::Certificate),
        (1..=64_u32).prop_map(HashKey::Capture),
    ];
    // Listed once each.
    let keys = proptest::collection::vec(key, 1..=8).prop_map(|keys| {
        let mut once: Vec<HashKey> = Vec::new();
        keys.into_iter().for_each(|key| {
            if !once.contains(&key) {
                once.push(key);
            }
        });
        once
    });
    let bound = prop_oneof![Just(0), Just(125), 100..=10_000_u32];
    (keys, select(vec![HashTable::Maglev, HashTable::Ring]), bound).prop_map(|(keys, table, bound_percent)| Hashing {
        keys,
        table,
        bound_percent,
    })
}

fn sticky() -> impl Strategy<Value = Sticky> {
    let cookie = "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}".prop_filter("a word", |name| name != "off");
    let secret = option::of("[ -~é\n]{16,60}");
    (cookie, time(1000, 31_536_000_000), secret).prop_map(|(cookie, lifetime, secret)| Sticky {
        cookie,
        lifetime,
        secret,
    })
}

fn timeouts() -> impl Strategy<Value = Timeouts> {
    (time(10, 60_000), time(10, 3_600_000), time(10, 3_600_000), option::of(time(10, 3_600_000)))
        .prop_map(|(connect, response, body, total)| Timeouts { connect, response, body, total })
}

/// Two values of which the first is not the greater.
fn rising(min: u64, max: u64) -> impl Strategy<Value = (Duration, Duration)> {
    (time(min, max), time(min, max)).prop_map(|(one, other)| (one.min(other), one.max(other)))
}

/// Statuses, none of them twice.
fn statuses(least: usize) -> impl Strategy<Value = Vec<RangeInclusive<u16>>> {
    hash_set(100..=599_u16, least..6).prop_flat_map(|starts| {
        let mut starts: Vec<u16> = starts.into_iter().collect();
        starts.sort_unstable();
        let ends = starts.iter().skip(1).map(|next| next - 1).chain([599]);
        let ranges: Vec<_> = starts
            .iter()
            .zip(ends)
            .map(|(start, most)| (Just(*start), *start..=most).prop_map(|(start, end)| start..=end))
            .collect();
        ranges.prop_shuffle()
    })
}

fn retry() -> impl Strategy<Value = Retry> {
    let on = (any::<[bool; 3]>(), statuses(0)).prop_map(|([connect, reset, timeout], statuses)| RetryOn {
        connect,
        reset,
        timeout,
        statuses,
    });
    let budget = (0..=100_u32, 0..=1_000_000_u32);
    (1..=10_u32, on, rising(0, 60_000), 0..=(16_usize << 20), budget).prop_map(
        |(attempts, on, (backoff, backoff_max), body, (budget_percent, budget_per_second))| Retry {
            attempts,
            on,
            backoff,
            backoff_max,
            body,
            budget_percent,
            budget_per_second,
        },
    )
}

fn keep() -> impl Strategy<Value = Keep> {
    let kept = (0..=10_000_usize, 0..=10_000_usize).prop_map(|(one, other)| (one.min(other), one.max(other)));
    (kept, time(1000, 3_600_000), 1..=1_000_000_000_u32, time(1000, 86_400_000))
        .prop_map(|((warm, connections), idle, requests, age)| Keep { connections, warm, idle, requests, age })
}

fn limits() -> impl Strategy<Value = Limits> {
    let requests = || option::of(1..=10_000_000_u32);
    let connections = option::of(1..=1_000_000_u32);
    (requests(), requests(), connections, 0..=1_000_000_u32, time(1, 60_000), any::<bool>()).prop_map(
        |(requests, endpoint_requests, connections, queue, queue_time, adaptive)| Limits {
            requests,
            endpoint_requests,
            connections,
            queue,
            queue_time,
            adaptive,
        },
    )
}

fn health() -> impl Strategy<Value = Health> {
    let path = "/[!-~&&[^#]]{0,30}";
    let method = "[A-Z]{1,8}".prop_filter("refused", |method| method != "CONNECT");
    let http = (method, path, option::of("[A-Za-z0-9._:\\[\\]-]{1,20}"), statuses(1), option::of("[ -~é\n]{1,20}"))
        .prop_map(|(method, path, host, statuses, body)| Probe::Http { method, path, host, statuses, body });
    let service = "[A-Za-z0-9._-]{0,20}".prop_filter("a word", |name| name != "off");
    let probe = prop_oneof![http, Just(Probe::Tcp), service.prop_map(|service| Probe::Grpc { service })];
    // No check takes longer than the time to the next.
    let times = (time(10, 3_600_000), time(10, 3_600_000), time(10, 60_000))
        .prop_map(|(interval, doubt, timeout)| (interval, doubt.min(interval), timeout.min(interval)));
    (probe, times, 1..=100_u32, 1..=100_u32, option::of(1..=65_535_u16), any::<bool>()).prop_map(
        |(probe, (interval, doubt, timeout), rise, fall, port, initially_up)| Health {
            probe,
            interval,
            doubt,
            timeout,
            rise,
            fall,
            port,
            initially_up,
        },
    )
}

fn ejection() -> impl Strategy<Value = Ejection> {
    (0..=1000_u32, 0..=100_u32, 1..=1_000_000_u32, rising(10, 3_600_000), 0..=100_u32).prop_map(
        |(failures, success_percent, requests, (time, time_max), share_percent)| Ejection {
            failures,
            success_percent,
            requests,
            time,
            time_max,
            share_percent,
        },
    )
}

fn response() -> impl Strategy<Value = ResponseLimits> {
    (1024..=262_144_usize, 1..=200_usize, 0..=1000_u32, 32..=8192_usize, 0..=1_048_576_usize).prop_map(
        |(head_bytes, fields, interim, line_bytes, extension_bytes)| ResponseLimits {
            head_bytes,
            fields,
            interim,
            chunks: Chunks { line_bytes, extension_bytes },
        },
    )
}
