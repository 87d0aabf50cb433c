//! The keys of `[upstream.NAME]` and `[defaults.upstream]`, but for those that say how its endpoints are watched. It
//! refuses to know how a key is read or shown.

use std::time::Duration;

use super::ATTEMPTS_RANGE;
use super::CONNECT_TIME;
use super::DAY;
use super::HOUR;
use super::MINUTE;
use super::PERCENT;
use super::RATE;
use super::UPSTREAM_TIME;
use super::tls::UPSTREAM_TLS;
use super::watch::EJECTION;
use super::watch::HEALTH;
use crate::config::balances::Balances;
use crate::config::balances::Factor;
use crate::config::balances::HashKeys;
use crate::config::key::Group;
use crate::config::key::Key;
use crate::config::key::Keys;
use crate::config::key::Need::Default;
use crate::config::key::Need::Optional;
use crate::config::key::Need::Required;
use crate::config::key::Switched;
use crate::config::kind::Address;
use crate::config::kind::Bytes;
use crate::config::kind::Integer;
use crate::config::kind::Switch;
use crate::config::kind::Time;
use crate::config::kind::Words;
use crate::config::kinds::Endpoints;
use crate::config::plain::FieldName;
use crate::config::plain::Off;
use crate::config::plain::Secret;
use crate::config::plain::Token;
use crate::config::plain::ZoneName;
use crate::config::statuses::Conditions;
use crate::limits;
use crate::model::Balance;
use crate::model::Feedback;
use crate::model::HashTable;
use crate::model::ProxyVersion;
use crate::model::RetryOn;

pub(in crate::config) static UPSTREAM: Keys = &[
    &ENDPOINTS,
    &BALANCE,
    &STICKY,
    &FEEDBACK,
    &SLOW_START,
    &PANIC,
    &UPSTREAM_TIMEOUT,
    &UPSTREAM_MIN_RATE,
    &RETRY,
    &KEEP_ALIVE,
    &UPSTREAM_CONNECTIONS,
    &LIMIT,
    &HEALTH,
    &EJECTION,
    &DEADLINE,
    &UPSTREAM_PROXY_PROTOCOL,
    &UPSTREAM_TLS,
    &RESPONSE,
];
/// `[defaults.upstream]`: all of them but what makes each upstream its own.
pub(in crate::config) static UPSTREAM_DEFAULTS: Keys = &[
    &BALANCE,
    &STICKY,
    &FEEDBACK,
    &SLOW_START,
    &PANIC,
    &UPSTREAM_TIMEOUT,
    &UPSTREAM_MIN_RATE,
    &RETRY,
    &KEEP_ALIVE,
    &UPSTREAM_CONNECTIONS,
    &LIMIT,
    &HEALTH,
    &EJECTION,
    &DEADLINE,
    &UPSTREAM_PROXY_PROTOCOL,
    &UPSTREAM_TLS,
    &RESPONSE,
];

// === its endpoints, and how one is chosen ===

pub(in crate::config) static ENDPOINTS: Key<Endpoints> = Key {
    name: "endpoints",
    kind: Endpoints { keys: &[&ENDPOINT_ADDRESS, &WEIGHT, &ZONE, &PRIORITY] },
    need: Required,
    doc: "The addresses that serve it, at least one, none twice: an address alone, or a table with more. \
          `unix:/run/orders.sock` is a Unix socket. Names are not resolved.",
    example: "[\"10.0.0.11:8080\", { address = \"10.0.0.12:8080\", weight = 2, zone = \"a\", priority = 0 }]",
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

pub(in crate::config) static ZONE: Key<ZoneName> = Key {
    name: "zone",
    kind: ZoneName,
    need: Optional,
    doc: "Where it stands. Endpoints of `process.zone` are preferred. Without it it is in no zone.",
    example: "\"a\"",
};

pub(in crate::config) static PRIORITY: Key<Integer<u8>> = Key {
    name: "priority",
    kind: Integer { min: 0, max: 9 },
    need: Default(0),
    doc: "0 is taken first; endpoints of a higher number are backups, taken when too few of the lower ones are eligible.",
    example: "1",
};

pub(in crate::config) static BALANCE: Key<Balances> = Key {
    name: "balance",
    kind: Balances { keys: &[&HASH, &HASH_TABLE, &BOUND] },
    need: Default(Balance::Latency),
    doc: "How an endpoint is chosen: `latency` takes the one that will answer soonest, `least_request` the one with the \
          fewest requests in flight for its weight, `round_robin` takes them in turn and `random` by chance, both by \
          weight. A table with `hash` sends the same key of a request to the same endpoint.",
    example: "{ hash = [\"header:x-customer\", \"client\"], table = \"ring\", bound = 1.5 }",
};

pub(in crate::config) static HASH: Key<HashKeys> = Key {
    name: "hash",
    kind: HashKeys,
    need: Required,
    doc: "What is hashed: the first of these that a request has. `header:NAME`, `cookie:NAME` and `query:NAME` are values, \
          `path` is the whole path, `client` the client's address, `capture:N` the Nth part of what a route's `/*` stood \
          for. A request with none of them goes where `least_request` sends it.",
    example: "[\"cookie:cart\", \"client\"]",
};

pub(in crate::config) static HASH_TABLE: Key<Words<HashTable>> = Key {
    name: "table",
    kind: Words { words: &[("maglev", HashTable::Maglev), ("ring", HashTable::Ring)] },
    need: Default(HashTable::Maglev),
    doc: "How a hash finds an endpoint: `maglev` spreads the keys most evenly, `ring` moves the fewest of them when \
          endpoints come and go.",
    example: "\"ring\"",
};

pub(in crate::config) static BOUND: Key<Factor> = Key {
    name: "bound",
    kind: Factor { max_percent: 10_000 },
    need: Default(125),
    doc: "Requests in flight that an endpoint may have, as a multiple of its fair share, before its keys overflow to the \
          next.",
    example: "1.5",
};

pub(in crate::config) static STICKY: Switched = Switched(Group {
    name: "sticky",
    keys: &[&STICKY_COOKIE, &STICKY_LIFETIME, &STICKY_SECRET],
    doc: "A signed cookie that keeps a client at its endpoint for as long as that takes requests. `\"off\"` is \
          `{ cookie = \"off\" }`.",
});

pub(in crate::config) static STICKY_COOKIE: Key<Off<Token>> = Key {
    name: "cookie",
    kind: Off(Token::Cookie),
    need: Default(None),
    doc: "The name of the cookie.",
    example: "\"ringway\"",
};

pub(in crate::config) static STICKY_LIFETIME: Key<Time> = Key {
    name: "lifetime",
    kind: Time { min: Duration::from_secs(1), max: Duration::from_hours(24 * 365) },
    need: Default(HOUR),
    doc: "How long a client stays; then it is sent where any other would be.",
    example: "\"30m\"",
};

pub(in crate::config) static STICKY_SECRET: Key<Secret> = Key {
    name: "secret",
    kind: Secret { min: 16, max: 256 },
    need: Optional,
    doc: "What the cookie is signed with: the same for all gateways that share clients, and best from the environment. It \
          is never shown. Without it the process makes one of its own, and after a restart clients are placed anew.",
    example: "\"${RINGWAY_STICKY_SECRET:-an example, not a secret}\"",
};

pub(in crate::config) static FEEDBACK: Key<Words<Option<Feedback>>> = Key {
    name: "feedback",
    kind: Words { words: &[("off", None), ("orca", Some(Feedback::Orca))] },
    need: Default(None),
    doc: "What endpoints report of themselves in their responses, if it is listened to: `orca` is the field \
          `endpoint-load-metrics`.",
    example: "\"orca\"",
};

pub(in crate::config) static SLOW_START: Key<Time> = Key {
    name: "slow_start",
    kind: Time { min: Duration::ZERO, max: HOUR },
    need: Default(Duration::from_secs(10)),
    doc: "How long an endpoint that is new, or back, takes to its full share; `0s`: it has it at once.",
    example: "\"30s\"",
};

pub(in crate::config) static PANIC: Key<Integer<u32>> = Key {
    name: "panic",
    kind: PERCENT,
    need: Default(50),
    doc: "Percent of the endpoints that must be eligible; with fewer, all are taken, because those that are left would \
          fail too. 0: never.",
    example: "20",
};

// === how long it may take, and what is done when it fails ===

pub(in crate::config) static UPSTREAM_TIMEOUT: Group = Group {
    name: "timeout",
    keys: &[&CONNECT_TIMEOUT, &RESPONSE_TIMEOUT, &RESPONSE_BODY_TIMEOUT, &TOTAL_TIMEOUT],
    doc: "How long an endpoint may take, each attempt, and all of them.",
};

pub(in crate::config) static CONNECT_TIMEOUT: Key<Time> = Key {
    name: "connect",
    kind: CONNECT_TIME,
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

pub(in crate::config) static TOTAL_TIMEOUT: Key<Off<Time>> = Key {
    name: "total",
    kind: Off(UPSTREAM_TIME),
    need: Default(None),
    doc: "From the request's head to the response's, all attempts and waits together; then 504.",
    example: "\"20s\"",
};

pub(in crate::config) static UPSTREAM_MIN_RATE: Key<Bytes<u64>> = Key {
    name: "min_rate",
    kind: RATE,
    need: Default(0),
    doc: "Bytes a second that an endpoint must send of a response, in the mean over the time that it was waited for; `0B` \
          is no bound, because an event stream is slow by nature.",
    example: "\"1KiB\"",
};

pub(in crate::config) static RETRY: Group = Group {
    name: "retry",
    keys: &[&ATTEMPTS, &RETRY_ON, &BACKOFF, &BACKOFF_MAX, &RETRY_BODY, &BUDGET],
    doc: "Tries at another endpoint, for requests that may be repeated.",
};

pub(in crate::config) static ATTEMPTS: Key<Integer<u32>> = Key {
    name: "attempts",
    kind: ATTEMPTS_RANGE,
    need: Default(2),
    doc: "Tries at one request, the first included; 1 is no retry.",
    example: "3",
};

pub(in crate::config) static RETRY_ON: Key<Conditions> = Key {
    name: "on",
    kind: Conditions,
    need: Default(RetryOn { connect: true, reset: true, timeout: false, statuses: Vec::new() }),
    doc: "After what another try is made: `connect` is a connection that could not be had, `reset` one that was closed \
          before a response, `timeout` a response that was not there in time, `502-504` and `429` are responses.",
    example: "[\"connect\", \"reset\", \"timeout\", \"502-504\"]",
};

pub(in crate::config) static BACKOFF: Key<Time> = Key {
    name: "backoff",
    kind: Time { min: Duration::ZERO, max: MINUTE },
    need: Default(Duration::from_millis(25)),
    doc: "The longest first pause before a retry; doubled from one to the next, and each pause is a random part of it.",
    example: "\"10ms\"",
};

pub(in crate::config) static BACKOFF_MAX: Key<Time> = Key {
    name: "backoff_max",
    kind: Time { min: Duration::ZERO, max: MINUTE },
    need: Default(Duration::from_millis(250)),
    doc: "The longest pause, at least `backoff`.",
    example: "\"1s\"",
};

pub(in crate::config) static RETRY_BODY: Key<Bytes<usize>> = Key {
    name: "body",
    kind: Bytes { min: 0, max: 16 << 20 },
    need: Default(64 * 1024),
    doc: "Bytes of a request body that are kept so that it can be sent again; a request with a longer one is sent once.",
    example: "\"1MiB\"",
};

pub(in crate::config) static BUDGET: Group = Group {
    name: "budget",
    keys: &[&BUDGET_PERCENT, &BUDGET_PER_SECOND],
    doc: "How many retries there may be, of the whole process, so that they do not bring down what is left of a service.",
};

pub(in crate::config) static BUDGET_PERCENT: Key<Integer<u32>> =
    Key { name: "percent", kind: PERCENT, need: Default(20), doc: "Retries in a hundred requests.", example: "10" };

pub(in crate::config) static BUDGET_PER_SECOND: Key<Integer<u32>> = Key {
    name: "per_second",
    kind: Integer { min: 0, max: 1_000_000 },
    need: Default(10),
    doc: "Retries a second besides.",
    example: "3",
};

// === connections, and how much at once ===

pub(in crate::config) static KEEP_ALIVE: Group = Group {
    name: "keep_alive",
    keys: &[&KEEP_ALIVE_IDLE, &KEEP_ALIVE_CONNECTIONS, &KEEP_ALIVE_WARM, &KEEP_ALIVE_REQUESTS, &KEEP_ALIVE_AGE],
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

pub(in crate::config) static KEEP_ALIVE_WARM: Key<Integer<usize>> = Key {
    name: "warm",
    kind: Integer { min: 0, max: 10_000 },
    need: Default(0),
    doc: "Connections that one core opens to one endpoint before they are asked for, and keeps however long they are idle; \
          at most `connections`.",
    example: "2",
};

pub(in crate::config) static KEEP_ALIVE_REQUESTS: Key<Integer<u32>> = Key {
    name: "requests",
    kind: Integer { min: 1, max: 1_000_000_000 },
    need: Default(100_000),
    doc: "Requests on one connection, less up to a tenth by chance.",
    example: "1000",
};

pub(in crate::config) static KEEP_ALIVE_AGE: Key<Time> = Key {
    name: "age",
    kind: Time { min: Duration::from_secs(1), max: DAY },
    need: Default(HOUR),
    doc: "From its opening to the last request, less up to a tenth by chance.",
    example: "\"10m\"",
};

pub(in crate::config) static UPSTREAM_CONNECTIONS: Key<Integer<u32>> = Key {
    name: "connections",
    kind: OPEN,
    need: Default(10_000),
    doc: "Open connections of the whole process to one endpoint before an attempt is refused.",
    example: "500",
};

pub(in crate::config) static LIMIT: Group = Group {
    name: "limit",
    keys: &[
        &LIMIT_REQUESTS,
        &LIMIT_ENDPOINT_REQUESTS,
        &LIMIT_CONNECTIONS,
        &LIMIT_QUEUE,
        &LIMIT_QUEUE_TIME,
        &LIMIT_ADAPTIVE,
    ],
    doc: "How many requests may be in flight, over how many connections, and how many may wait.",
};

pub(in crate::config) static LIMIT_REQUESTS: Key<Off<Integer<u32>>> = Key {
    name: "requests",
    kind: Off(IN_FLIGHT),
    need: Default(None),
    doc: "Requests in flight at the upstream, the whole process together.",
    example: "1000",
};

pub(in crate::config) static LIMIT_ENDPOINT_REQUESTS: Key<Off<Integer<u32>>> = Key {
    name: "endpoint_requests",
    kind: Off(IN_FLIGHT),
    need: Default(None),
    doc: "Requests in flight at one endpoint, the whole process together.",
    example: "100",
};

pub(in crate::config) static LIMIT_CONNECTIONS: Key<Off<Integer<u32>>> = Key {
    name: "connections",
    kind: Off(OPEN),
    need: Default(None),
    doc: "Open connections of the whole process to all endpoints of the upstream together before an attempt is refused.",
    example: "2000",
};

pub(in crate::config) static LIMIT_QUEUE: Key<Integer<u32>> = Key {
    name: "queue",
    kind: Integer { min: 0, max: 1_000_000 },
    need: Default(1000),
    doc: "Requests that may wait for a place, on each core; 0: none waits.",
    example: "100",
};

pub(in crate::config) static LIMIT_QUEUE_TIME: Key<Time> = Key {
    name: "queue_time",
    kind: Time { min: Duration::from_millis(1), max: MINUTE },
    need: Default(Duration::from_secs(1)),
    doc: "How long one may wait.",
    example: "\"250ms\"",
};

pub(in crate::config) static LIMIT_ADAPTIVE: Key<Switch> = Key {
    name: "adaptive",
    kind: Switch,
    need: Default(false),
    doc: "Whether the bound of the upstream follows what its latency says it can take, up to `requests`.",
    example: "true",
};

// === what it is told, and what is taken from it ===

pub(in crate::config) static DEADLINE: Key<Off<FieldName>> = Key {
    name: "deadline",
    kind: Off(FieldName),
    need: Default(None),
    doc: "The request field, beside `grpc-timeout`, that says how long its client waits. It is honoured, and told on less \
          what has passed.",
    example: "\"x-request-timeout\"",
};

pub(in crate::config) static UPSTREAM_PROXY_PROTOCOL: Key<Words<Option<ProxyVersion>>> = Key {
    name: "proxy_protocol",
    kind: Words { words: &[("off", None), ("v1", Some(ProxyVersion::V1)), ("v2", Some(ProxyVersion::V2))] },
    need: Default(None),
    doc: "The PROXY protocol header that each connection begins with, if any, so that the endpoint knows the client's \
          address. Such a connection serves one client's request and is not kept.",
    example: "\"v2\"",
};

pub(in crate::config) static RESPONSE: Group = Group {
    name: "response",
    keys: &[&RESPONSE_HEAD, &RESPONSE_FIELDS, &RESPONSE_INTERIM, &RESPONSE_CHUNK_LINE, &RESPONSE_CHUNK_EXTENSIONS],
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

pub(in crate::config) static RESPONSE_CHUNK_LINE: Key<Bytes<usize>> = Key {
    name: "chunk_line",
    kind: Bytes { min: 32, max: 8 * 1024 },
    need: Default(limits::CHUNK_LINE_BYTES),
    doc: "Longest line that begins a chunk of a response, its extensions included; once the response has begun, its client \
          sees it cut off.",
    example: "\"1KiB\"",
};

pub(in crate::config) static RESPONSE_CHUNK_EXTENSIONS: Key<Bytes<usize>> = Key {
    name: "chunk_extensions",
    kind: Bytes { min: 0, max: 1 << 20 },
    need: Default(limits::CHUNK_EXTENSION_BYTES),
    doc: "Most bytes of chunk extensions in one response; the same becomes of more.",
    example: "\"0B\"",
};

/// Requests.
const IN_FLIGHT: Integer<u32> = Integer { min: 1, max: 10_000_000 };
/// Connections.
const OPEN: Integer<u32> = Integer { min: 1, max: 1_000_000 };
