//! The keys of `[host."PATTERN"]` and of its routes. It refuses to know how a key is read or shown.

use super::ATTEMPTS_RANGE;
use super::CLIENT_TIME;
use super::CONNECT_TIME;
use super::RATE;
use super::TUNNEL_TIME;
use super::UPSTREAM_TIME;
use super::tls::HOST_CLIENT_CERTIFICATES;
use crate::config::hedges::After;
use crate::config::hedges::Hedges;
use crate::config::key::Group;
use crate::config::key::Key;
use crate::config::key::Keys;
use crate::config::key::Need::Default;
use crate::config::key::Need::Optional;
use crate::config::key::Need::Required;
use crate::config::kind::Bytes;
use crate::config::kind::Integer;
use crate::config::kind::Switch;
use crate::config::kind::Time;
use crate::config::kind::Words;
use crate::config::routes::Paths;
use crate::config::routes::Protocols;
use crate::config::routes::Reference;
use crate::config::routes::Routes;
use crate::model::Class;

pub(in crate::config) static HOST: Keys = &[&ROUTES, &HOST_CLIENT_CERTIFICATES];
/// Of one entry of `routes`.
static ROUTE: Keys =
    &[&PATH, &UPSTREAM, &MAX_BODY, &UPGRADE, &CONNECT, &TIMEOUT, &MIN_RATE, &RESPONSE, &RETRY, &HEDGE, &CLASS];

pub(in crate::config) static ROUTES: Key<Routes> = Key {
    name: "routes",
    kind: Routes { keys: ROUTE },
    need: Required,
    doc: "Where requests for this host go, at least one. The most specific path wins, whatever the order: an exact path, \
          then the longest `/*`.",
    example: "[\n  { path = \"/orders/*\", upstream = \"orders\", max_body = \"10MiB\", retry = { attempts = 2 } },\n  \
              { path = \"/live\", upstream = \"orders\", upgrade = [\"websocket\"], connect = false, min_rate = \"0B\", \
              response = { min_rate = \"1KiB\" }, timeout = { connect = \"250ms\", response = \"5s\", body = \"1m\", tunnel = \"1h\", total = \"20s\" } },\n  \
              { path = \"/search\", upstream = \"orders\", hedge = { after = \"p95\", percent = 5 }, class = \"high\" },\n]",
};

pub(in crate::config) static PATH: Key<Paths> = Key {
    name: "path",
    kind: Paths,
    need: Required,
    doc: "`/orders` is that path alone; `/orders/*` is `/orders` and all below it, part by part; `/*` is every path.",
    example: "\"/orders/*\"",
};

pub(in crate::config) static UPSTREAM: Key<Reference> = Key {
    name: "upstream",
    kind: Reference,
    need: Required,
    doc: "The NAME of an `[upstream.NAME]`.",
    example: "\"orders\"",
};

pub(in crate::config) static MAX_BODY: Key<Bytes<u64>> = Key {
    name: "max_body",
    kind: Bytes { min: 0, max: 1 << 40 },
    need: Optional,
    doc: "Longest request body, instead of the listener's `max_body`; a longer one is answered with 413.",
    example: "\"10MiB\"",
};

pub(in crate::config) static UPGRADE: Key<Protocols> = Key {
    name: "upgrade",
    kind: Protocols,
    need: Default(Vec::new()),
    doc: "The protocols that a request may ask to go on with (`Upgrade`, RFC 9110 §7.8); what follows is a tunnel. Any other \
          request to upgrade is answered as if it had not asked.",
    example: "[\"websocket\"]",
};

pub(in crate::config) static CONNECT: Key<Switch> = Key {
    name: "connect",
    kind: Switch,
    need: Default(false),
    doc: "Whether it takes CONNECT, for a tunnel to an endpoint of its upstream, whatever address the request names.",
    example: "true",
};

pub(in crate::config) static TIMEOUT: Group = Group {
    name: "timeout",
    keys: &[&ROUTE_CONNECT_TIMEOUT, &RESPONSE_TIMEOUT, &BODY_TIMEOUT, &TUNNEL_TIMEOUT, &TOTAL_TIMEOUT],
    doc: "How long its requests may take, where that differs from the rest.",
};

pub(in crate::config) static ROUTE_CONNECT_TIMEOUT: Key<Time> = Key {
    name: "connect",
    kind: CONNECT_TIME,
    need: Optional,
    doc: "Instead of the upstream's `timeout.connect`.",
    example: "\"250ms\"",
};

pub(in crate::config) static RESPONSE_TIMEOUT: Key<Time> = Key {
    name: "response",
    kind: UPSTREAM_TIME,
    need: Optional,
    doc: "Instead of the upstream's `timeout.response`.",
    example: "\"5s\"",
};

pub(in crate::config) static BODY_TIMEOUT: Key<Time> = Key {
    name: "body",
    kind: CLIENT_TIME,
    need: Optional,
    doc: "Longest pause between bytes of a body, either way, instead of the listener's and the upstream's \
          `timeout.body`.",
    example: "\"1m\"",
};

pub(in crate::config) static TUNNEL_TIMEOUT: Key<Time> = Key {
    name: "tunnel",
    kind: TUNNEL_TIME,
    need: Optional,
    doc: "Instead of the listener's `timeout.tunnel`.",
    example: "\"1h\"",
};

pub(in crate::config) static TOTAL_TIMEOUT: Key<Time> = Key {
    name: "total",
    kind: UPSTREAM_TIME,
    need: Optional,
    doc: "Instead of the upstream's `timeout.total`.",
    example: "\"20s\"",
};

pub(in crate::config) static MIN_RATE: Key<Bytes<u64>> = Key {
    name: "min_rate",
    kind: RATE,
    need: Optional,
    doc: "Bytes a second, instead of the listener's `min_rate`.",
    example: "\"0B\"",
};

pub(in crate::config) static RESPONSE: Group =
    Group { name: "response", keys: &[&RESPONSE_RATE], doc: "What is asked of its responses, where that differs." };

pub(in crate::config) static RESPONSE_RATE: Key<Bytes<u64>> = Key {
    name: "min_rate",
    kind: RATE,
    need: Optional,
    doc: "Bytes a second that an endpoint must send of a response, instead of the upstream's `min_rate`.",
    example: "\"1KiB\"",
};

pub(in crate::config) static RETRY: Group =
    Group { name: "retry", keys: &[&ATTEMPTS], doc: "Instead of the upstream's `retry`." };

pub(in crate::config) static ATTEMPTS: Key<Integer<u32>> = Key {
    name: "attempts",
    kind: ATTEMPTS_RANGE,
    need: Optional,
    doc: "Tries at one request, the first included; 1 is no retry. Without it those of the upstream.",
    example: "1",
};

pub(in crate::config) static HEDGE: Key<Hedges> = Key {
    name: "hedge",
    kind: Hedges { keys: &[&HEDGE_AFTER, &HEDGE_PERCENT] },
    need: Optional,
    doc: "When a second attempt is made beside one that takes long, at another endpoint; whichever answers first counts. \
          For requests that may be repeated alone. Without it there is none.",
    example: "\"p95\"",
};

pub(in crate::config) static HEDGE_AFTER: Key<After> = Key {
    name: "after",
    kind: After,
    need: Required,
    doc: "`p95` is once that share of the route's own requests would have been answered, `50ms` after so long.",
    example: "\"p95\"",
};

pub(in crate::config) static HEDGE_PERCENT: Key<Integer<u32>> = Key {
    name: "percent",
    kind: Integer { min: 1, max: 100 },
    need: Default(5),
    doc: "Hedged requests in a hundred, at the most. What the requests of an upstream have earned so is one store for all \
          cores.",
    example: "10",
};

pub(in crate::config) static CLASS: Key<Words<Class>> = Key {
    name: "class",
    kind: Words { words: &[("low", Class::Low), ("normal", Class::Normal), ("high", Class::High)] },
    need: Default(Class::Normal),
    doc: "Who is refused first when there is not enough for all: `low` before `normal` before `high`.",
    example: "\"low\"",
};
