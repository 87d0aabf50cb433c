//! The pages of upstreams and their endpoints, as JSON: what is said of each, by whom, and why it does or does not take
//! requests. Pure: a reading in, a value out. They refuse to know paths and connections.

use std::ops::RangeInclusive;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use serde_json::Value;
use serde_json::json;

use crate::admin::orders;
use crate::admin::scene::Reading;
use crate::admin::views::ms;
use crate::balance::board::Health;
use crate::balance::board::Order;
use crate::balance::fold::Reason;
use crate::balance::state::State;
use crate::health;
use crate::health::Found;
use crate::model;
use crate::model::Probe;
use crate::model::ProxyVersion;
use crate::observe::metrics::EndpointCounts;
use crate::snapshot::Endpoint;
use crate::snapshot::Upstream;
use crate::time::us;

/// Every upstream in force.
#[must_use]
pub fn upstreams(reading: &Reading) -> Value {
    let all = reading.scene.snapshot.upstreams.iter().map(|upstream| view(reading, upstream));
    json!({ "upstreams": all.collect::<Vec<_>>() })
}

/// One upstream in force.
#[must_use]
pub fn upstream(reading: &Reading, name: &str) -> Option<Value> {
    let found = reading.scene.snapshot.upstreams.iter().find(|upstream| upstream.settings.name == name)?;
    Some(view(reading, found))
}

fn view(reading: &Reading, upstream: &Upstream) -> Value {
    let settings = &upstream.settings;
    let states: Vec<_> = upstream.endpoints.iter().map(|endpoint| reading.state(upstream, endpoint)).collect();
    let each = upstream.endpoints.iter().zip(&states).zip(&settings.endpoints);
    let endpoints: Vec<_> = each.map(|((compiled, state), said)| endpoint(reading, compiled, state, said)).collect();
    let board = &reading.scene.snapshot.board;
    json!({
        "name": settings.name,
        "balance": settings.balance.word(),
        "tls": settings.tls.as_ref().map(|tls| json!({
            "name": tls.name,
            "ca": tls.ca,
            "certificate": tls.identity.as_ref().map(|(cert, _)| cert),
            "pins": tls.pins.len(),
            "policy": tls.policy.word(),
            "insecure": tls.insecure,
        })),
        "eligible": states.iter().filter(|state| state.is_eligible()).count(),
        "panic": !board.in_panic(&upstream.plan).is_empty(),
        "panic_percent": settings.panic_percent,
        "slow_start_ms": ms(settings.slow_start),
        "median_ms": board.median(upstream.slot).map(milliseconds),
        "timeout": {
            "connect_ms": ms(settings.timeout.connect),
            "response_ms": ms(settings.timeout.response),
            "body_ms": ms(settings.timeout.body),
            "total_ms": settings.timeout.total.map(ms),
            "idle_ms": ms(settings.keep.idle),
        },
        "min_rate_bytes_per_second": settings.min_rate,
        "response": {
            "head_bytes": settings.response.head_bytes,
            "fields": settings.response.fields,
            "interim": settings.response.interim,
        },
        "proxy_protocol": settings.proxy_protocol.map(ProxyVersion::word),
        "attempts": settings.retry.attempts,
        "retry": retry(&settings.retry),
        "limit": limits(&settings.limits, reading.adaptive(upstream)),
        "health": settings.health.as_ref().map(check),
        "ejection": ejection(&settings.ejection),
        "deadline": settings.deadline,
        "keep_alive": {
            "connections": settings.keep.connections,
            "warm": settings.keep.warm,
            "requests": settings.keep.requests,
            "age_ms": ms(settings.keep.age),
        },
        "idle_connections": settings.keep.connections,
        "connections_max": settings.connections_max,
        "retries": reading.sum(|slab| slab.peek_upstream(upstream.slot).map_or(0, |counts| counts.retries.get())),
        "endpoints": endpoints,
    })
}

fn endpoint(reading: &Reading, endpoint: &Endpoint, state: &State, said: &model::Endpoint) -> Value {
    let sum = |of: fn(&EndpointCounts) -> u64| reading.sum(|slab| slab.peek_endpoint(endpoint.slot).map_or(0, of));
    let found = reading.found(endpoint.slot);
    let left = state.out_until.map(|until| until.saturating_sub(reading.scene.snapshot.board.at(reading.at)) / 1000);
    json!({
        "address": endpoint.label,
        "weight": endpoint.weight,
        "weight_in_force": state.weight.unwrap_or(endpoint.weight),
        "zone": said.zone,
        "priority": said.priority,
        "eligible": state.is_eligible(),
        "why_not": why_not(state, found.as_ref()),
        "order": orders::word(state.order),
        "health": health(state.health, found.as_ref()),
        "ejection": {
            "out": state.out_until.is_some(),
            "left_ms": left,
            "on_trial": state.on_trial,
            "reason": state.reason.map(Reason::word),
            "times": state.ejections,
            "failures_in_row": state.failures_in_row,
        },
        "mean_ms": state.mean_us.map(milliseconds),
        "penalty_ms": milliseconds(state.penalty_us),
        "share_percent": state.share_percent,
        "connections": sum(|counts| counts.connections.get()),
        "in_flight": sum(|counts| counts.in_flight.get()),
        "attempts": sum(|counts| counts.attempts.get()),
        "failures": sum(|counts| counts.failures.get()),
        "opened": sum(|counts| counts.opened.get()),
        "idle": sum(|counts| counts.idle.get()),
    })
}

/// Every reason why an endpoint takes no new requests; none: it does.
fn why_not(state: &State, found: Option<&Found>) -> Vec<String> {
    let mut reasons = Vec::new();
    match state.order {
        Order::Ready => {}
        Order::Drain => reasons.push("an operator drains it".into()),
        Order::Down => reasons.push("an operator has taken it down".into()),
    }
    if state.health == Health::Down {
        let reason = found.map_or("not checked yet", |found| &found.reason);
        reasons.push(format!("the health check says so: {reason}"));
    }
    if state.out_until.is_some() {
        reasons.push(format!("it is left out for its failures: {}", state.reason.map_or("", Reason::word)));
    }
    reasons
}

fn health(state: Health, found: Option<&Found>) -> Value {
    let last = found.and_then(|found| found.last.as_ref()).map(|last| {
        json!({
            "at": seconds(last.at),
            "took_ms": milliseconds(us(last.took)),
            "good": last.good,
            "said": last.said.to_string(),
        })
    });
    json!({
        "state": health::word(state),
        "since": found.map(|found| seconds(found.since)),
        "reason": found.map(|found| &*found.reason),
        "last": last,
    })
}

fn check(settings: &model::Health) -> Value {
    let probe = match &settings.probe {
        Probe::Http { method, path, host, statuses, body } => json!({
            "kind": "http", "method": method, "path": path, "host": host, "status": ranges(statuses), "body": body,
        }),
        Probe::Tcp => json!({ "kind": "tcp" }),
        Probe::Grpc { service } => json!({ "kind": "grpc", "service": service }),
    };
    json!({
        "probe": probe,
        "interval_ms": ms(settings.interval),
        "doubt_ms": ms(settings.doubt),
        "timeout_ms": ms(settings.timeout),
        "rise": settings.rise,
        "fall": settings.fall,
        "port": settings.port,
        "initially": if settings.initially_up { "up" } else { "down" },
    })
}

fn retry(settings: &model::Retry) -> Value {
    let on = &settings.on;
    let words = [("connect", on.connect), ("reset", on.reset), ("timeout", on.timeout)];
    let words = words.into_iter().filter(|(_, is)| *is).map(|(word, _)| word.to_owned());
    json!({
        "attempts": settings.attempts,
        "on": words.chain(ranges(&on.statuses)).collect::<Vec<_>>(),
        "backoff_ms": ms(settings.backoff),
        "backoff_max_ms": ms(settings.backoff_max),
        "body_bytes": settings.body,
        "budget_percent": settings.budget_percent,
        "budget_per_second": settings.budget_per_second,
    })
}

fn limits(settings: &model::Limits, adaptive: Option<u64>) -> Value {
    json!({
        "requests": settings.requests,
        "endpoint_requests": settings.endpoint_requests,
        "connections": settings.connections,
        "queue": settings.queue,
        "queue_time_ms": ms(settings.queue_time),
        "adaptive": settings.adaptive,
        "adaptive_now": adaptive,
    })
}

fn ejection(settings: &model::Ejection) -> Value {
    json!({
        "failures": settings.failures,
        "success_percent": settings.success_percent,
        "requests": settings.requests,
        "time_ms": ms(settings.time),
        "time_max_ms": ms(settings.time_max),
        "share_percent": settings.share_percent,
    })
}

fn ranges(list: &[RangeInclusive<u16>]) -> Vec<String> {
    let text = |range: &RangeInclusive<u16>| match (range.start(), range.end()) {
        (from, to) if from == to => from.to_string(),
        (from, to) => format!("{from}-{to}"),
    };
    list.iter().map(text).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a time for people to read")]
fn milliseconds(us: u64) -> f64 {
    us as f64 / 1000.0
}

/// Unix time to the millisecond.
fn seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, |since| (since.as_secs_f64() * 1e3).round() / 1e3)
}
