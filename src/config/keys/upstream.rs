//! The keys of `[upstream.NAME]` and `[defaults.upstream]`. It refuses to know how a key is read or shown.

use std::time::Duration;

use super::ATTEMPTS_RANGE;
use super::HOUR;
use super::RATE;
use super::UPSTREAM_TIME;
use crate::config::key::Group;
use crate::config::key::Key;
use crate::config::key::Keys;
use crate::config::key::Need::Default;
use crate::config::key::Need::Required;
use crate::config::kind::Address;
use crate::config::kind::Bytes;
use crate::config::kind::Integer;
use crate::config::kind::Time;
use crate::config::kind::Words;
use crate::config::kinds::Endpoints;
use crate::limits;
use crate::model::Balance;
use crate::model::ProxyVersion;

pub(in crate::config) static UPSTREAM: Keys = &[
    &ENDPOINTS,
    &BALANCE,
    &UPSTREAM_TIMEOUT,
    &UPSTREAM_MIN_RATE,
    &KEEP_ALIVE,
    &UPSTREAM_CONNECTIONS,
    &UPSTREAM_PROXY_PROTOCOL,
    &RETRY,
    &RESPONSE,
];
/// `[defaults.upstream]`: all of them but what makes each upstream its own.
pub(in crate::config) static UPSTREAM_DEFAULTS: Keys = &[
    &BALANCE,
    &UPSTREAM_TIMEOUT,
    &UPSTREAM_MIN_RATE,
    &KEEP_ALIVE,
    &UPSTREAM_CONNECTIONS,
    &UPSTREAM_PROXY_PROTOCOL,
    &RETRY,
    &RESPONSE,
];

pub(in crate::config) static ENDPOINTS: Key<Endpoints> = Key {
    name: "endpoints",
    kind: Endpoints { keys: &[&ENDPOINT_ADDRESS, &WEIGHT] },
    need: Required,
    doc: "The addresses that serve it, at least one, none twice: an address alone, or a table with a weight too. \
          `unix:/run/orders.sock` is a Unix socket. Names are not resolved.",
    example: "[\"10.0.0.11:8080\", { address = \"10.0.0.12:8080\", weight = 2 }]",
};

pub(in crate::config) static ENDPOINT_ADDRESS: Key<Address> = Key {
    name: "address",
    kind: Address::Connect,
    need: Required,
    doc: "IP address and port, or `unix:` and the path of a Unix socket.",
    example: "\"10.0.0.12:8080\"",
};

pub(in crate::config) static WEIGHT: Key<Integer<u32>> = Key {
    name: "weight",
    kind: Integer { min: 1, max: 1000 },
    need: Default(1),
    doc: "Its share of the requests, against the weights of the other endpoints.",
    example: "2",
};

pub(in crate::config) static BALANCE: Key<Words<Balance>> = Key {
    name: "balance",
    kind: Words { words: &[("least_request", Balance::LeastRequest), ("round_robin", Balance::RoundRobin)] },
    need: Default(Balance::LeastRequest),
    doc: "How an endpoint is chosen: `least_request` takes the one with the fewest requests in flight for its weight, \
          `round_robin` takes them in turn, by weight.",
    example: "\"round_robin\"",
};

pub(in crate::config) static UPSTREAM_TIMEOUT: Group = Group {
    name: "timeout",
    keys: &[&CONNECT_TIMEOUT, &RESPONSE_TIMEOUT, &RESPONSE_BODY_TIMEOUT],
    doc: "How long an endpoint may take, each attempt.",
};

pub(in crate::config) static CONNECT_TIMEOUT: Key<Time> = Key {
    name: "connect",
    kind: Time { min: Duration::from_millis(10), max: Duration::from_mins(1) },
    need: Default(Duration::from_secs(1)),
    doc: "To an open connection.",
    example: "\"250ms\"",
};

pub(in crate::config) static RESPONSE_TIMEOUT: Key<Time> = Key {
    name: "response",
    kind: UPSTREAM_TIME,
    need: Default(Duration::from_secs(15)),
    doc: "From the request sent to a whole response head; then 504.",
    example: "\"5s\"",
};

pub(in crate::config) static RESPONSE_BODY_TIMEOUT: Key<Time> = Key {
    name: "body",
    kind: UPSTREAM_TIME,
    need: Default(Duration::from_secs(30)),
    doc: "Longest pause between bytes of a response body.",
    example: "\"1m\"",
};

pub(in crate::config) static UPSTREAM_MIN_RATE: Key<Bytes<u64>> = Key {
    name: "min_rate",
    kind: RATE,
    need: Default(0),
    doc: "Bytes a second that an endpoint must send of a response, in the mean over the time that it was waited for; `0B` \
          is no bound, because an event stream is slow by nature.",
    example: "\"1KiB\"",
};

pub(in crate::config) static KEEP_ALIVE: Group = Group {
    name: "keep_alive",
    keys: &[&KEEP_ALIVE_IDLE, &KEEP_ALIVE_CONNECTIONS],
    doc: "Connections kept open between requests.",
};

pub(in crate::config) static KEEP_ALIVE_IDLE: Key<Time> = Key {
    name: "idle",
    kind: Time { min: Duration::from_secs(1), max: HOUR },
    need: Default(Duration::from_secs(30)),
    doc: "An idle connection is closed after this. Keep it shorter than the endpoint's own bound.",
    example: "\"20s\"",
};

pub(in crate::config) static KEEP_ALIVE_CONNECTIONS: Key<Integer<usize>> = Key {
    name: "connections",
    kind: Integer { min: 0, max: 10_000 },
    need: Default(64),
    doc: "Idle connections that one core keeps to one endpoint; 0 keeps none.",
    example: "16",
};

pub(in crate::config) static UPSTREAM_CONNECTIONS: Key<Integer<u32>> = Key {
    name: "connections",
    kind: Integer { min: 1, max: 1_000_000 },
    need: Default(10_000),
    doc: "Open connections of the whole process to one endpoint before an attempt is refused.",
    example: "500",
};

pub(in crate::config) static UPSTREAM_PROXY_PROTOCOL: Key<Words<Option<ProxyVersion>>> = Key {
    name: "proxy_protocol",
    kind: Words { words: &[("off", None), ("v1", Some(ProxyVersion::V1)), ("v2", Some(ProxyVersion::V2))] },
    need: Default(None),
    doc: "The PROXY protocol header that each connection begins with, if any, so that the endpoint knows the client's \
          address. Such a connection serves one client's request and is not kept.",
    example: "\"v2\"",
};

pub(in crate::config) static RETRY: Group =
    Group { name: "retry", keys: &[&ATTEMPTS], doc: "Tries at another endpoint, for requests that may be repeated." };

pub(in crate::config) static ATTEMPTS: Key<Integer<u32>> = Key {
    name: "attempts",
    kind: ATTEMPTS_RANGE,
    need: Default(2),
    doc: "Tries at one request, the first included; 1 is no retry.",
    example: "3",
};

pub(in crate::config) static RESPONSE: Group = Group {
    name: "response",
    keys: &[&RESPONSE_HEAD, &RESPONSE_FIELDS, &RESPONSE_INTERIM],
    doc: "Bounds of a response; one that is over them is replaced by 502.",
};

pub(in crate::config) static RESPONSE_HEAD: Key<Bytes<usize>> = Key {
    name: "head",
    kind: Bytes { min: 1024, max: 256 * 1024 },
    need: Default(limits::RESPONSE_HEAD_BYTES),
    doc: "Longest response head.",
    example: "\"64KiB\"",
};

pub(in crate::config) static RESPONSE_FIELDS: Key<Integer<usize>> = Key {
    name: "fields",
    kind: Integer { min: 1, max: limits::RESPONSE_FIELDS },
    need: Default(limits::RESPONSE_FIELDS),
    doc: "Most header fields of a response.",
    example: "100",
};

pub(in crate::config) static RESPONSE_INTERIM: Key<Integer<u32>> = Key {
    name: "interim",
    kind: Integer { min: 0, max: 1000 },
    need: Default(limits::INTERIM_RESPONSES),
    doc: "Most interim (1xx) responses to one request.",
    example: "4",
};
