//! The kinds that an entry of `routes` is made of. It refuses to know which upstreams there are.

use std::collections::HashMap;

use serde_json::json;

use super::key::Field;
use super::key::Keys;
use super::key::Place;
use super::key::Reader;
use super::key::field;
use super::key::get;
use super::keys::host as keys;
use super::kind::Kind;
use super::kind::pattern;
use super::kind::refuse;
use super::kind::string;
use super::pattern::path;
use super::plain::is_token;
use super::report::Fault;
use super::report::Faults;
use super::report::Span;
use super::report::quote;
use super::schema;
use super::tree::Node;
use super::tree::Value;
use super::write::Lines;
use crate::id::UpstreamIndex;
use crate::model::PathPattern;
use crate::model::Route;

/// A list of tables with these keys.
pub(super) struct Routes {
    pub(super) keys: Keys,
}

/// One entry of `routes`, its reference not yet looked up.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RouteForm {
    /// All but its upstream.
    pub(super) route: Route,
    pub(super) upstream: String,
    /// Where the reference stands.
    pub(super) upstream_at: Span,
}

/// The path of a route.
pub(super) struct Paths;

/// The name of an upstream.
pub(super) struct Reference;

/// A list of names of protocols.
pub(super) struct Protocols;

// === impl Routes ===

impl Kind for Routes {
    type Value = Vec<RouteForm>;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<Vec<RouteForm>> {
        let Value::List(items) = &node.value else {
            refuse(node, place, &self.accepted(), faults);
            return None;
        };
        if items.is_empty() {
            let message = format!("{} has no route", place.owner);
            let help = "write at least one, such as { path = \"/*\", upstream = \"NAME\" }";
            faults.add(Fault::wrong(node.span, message).help(help));
        }
        let mut seen: HashMap<PathPattern, Span> = HashMap::new();
        let mut routes = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let owner = format!("route {} of {}", index + 1, place.owner);
            let Some(reader) = Reader::open(item, &owner, self.keys, faults) else { continue };
            let path = reader.get(&keys::PATH, faults);
            let upstream = reader.get(&keys::UPSTREAM, faults);
            let route = settings(&reader, faults);
            if let Field::Set(path, at) = &path {
                if let Some(first) = seen.get(path) {
                    let message = format!("path {} stands twice in {}", quote(&path.text()), place.owner);
                    faults.add(
                        Fault::wrong(*at, message)
                            .also(*first, "first written here")
                            .help("neither route is more specific: remove one, or change its path"),
                    );
                } else {
                    seen.insert(path.clone(), *at);
                }
            }
            // A route whose path is wrong still refers to its upstream, which is to be checked and counted as used.
            if let Field::Set(upstream, upstream_at) = upstream {
                let route = match path.value() {
                    Some(path) => Route { path: path.clone(), ..route },
                    None => route,
                };
                routes.push(RouteForm { route, upstream, upstream_at });
            }
        }
        Some(routes)
    }

    fn show(&self, value: &Vec<RouteForm>) -> String {
        let shown = value.iter().map(|RouteForm { route, upstream, .. }| {
            let mut lines = Lines::default();
            lines.add(&keys::PATH, &route.path);
            lines.add(&keys::UPSTREAM, upstream);
            lines.add_some(&keys::MAX_BODY, route.max_body.as_ref());
            lines.add(&keys::UPGRADE, &route.upgrade);
            lines.add(&keys::CONNECT, &route.connect);
            let mut timeout = Lines::default();
            timeout.add_some(&keys::ROUTE_CONNECT_TIMEOUT, route.connect_timeout.as_ref());
            timeout.add_some(&keys::RESPONSE_TIMEOUT, route.response_timeout.as_ref());
            timeout.add_some(&keys::BODY_TIMEOUT, route.body_timeout.as_ref());
            timeout.add_some(&keys::TUNNEL_TIMEOUT, route.tunnel_timeout.as_ref());
            timeout.add_some(&keys::TOTAL_TIMEOUT, route.total_timeout.as_ref());
            lines.group(keys::TIMEOUT.name, &timeout);
            lines.add_some(&keys::MIN_RATE, route.min_rate.as_ref());
            let mut response = Lines::default();
            response.add_some(&keys::RESPONSE_RATE, route.response_rate.as_ref());
            lines.group(keys::RESPONSE.name, &response);
            let mut retry = Lines::default();
            retry.add_some(&keys::ATTEMPTS, route.attempts.as_ref());
            lines.group(keys::RETRY.name, &retry);
            lines.add_some(&keys::HEDGE, route.hedge.as_ref());
            lines.add(&keys::CLASS, &route.class);
            format!("  {},\n", lines.inline())
        });
        format!("[\n{}]", shown.collect::<String>())
    }

    fn accepted(&self) -> String {
        let names: Vec<&str> = self.keys.iter().map(|key| key.name()).collect();
        format!("a list of tables of {}", names.join(", "))
    }

    fn schema(&self) -> serde_json::Value {
        json!({ "type": "array", "minItems": 1, "items": schema::table(self.keys) })
    }

    fn parts(&self) -> Option<Keys> {
        Some(self.keys)
    }
}

/// A route for every path that says nothing else.
pub(super) fn plain() -> Route {
    Route::plain(PathPattern::Prefix(String::new()), UpstreamIndex(0))
}

/// What a route says besides its path and its upstream. Where that is faulty, nothing depends on what stands in for it.
fn settings(reader: &Reader<'_>, faults: &mut Faults) -> Route {
    let max_body = reader.get(&keys::MAX_BODY, faults);
    let upgrade = reader.get(&keys::UPGRADE, faults);
    let connect = reader.get(&keys::CONNECT, faults);
    let timeout = reader.group(&keys::TIMEOUT, faults);
    let timeout = timeout.as_ref();
    let connecting = field(timeout, faults, |r, f| r.get(&keys::ROUTE_CONNECT_TIMEOUT, f));
    let response = field(timeout, faults, |r, f| r.get(&keys::RESPONSE_TIMEOUT, f));
    let body = field(timeout, faults, |r, f| r.get(&keys::BODY_TIMEOUT, f));
    let tunnel = field(timeout, faults, |r, f| r.get(&keys::TUNNEL_TIMEOUT, f));
    let min_rate = reader.get(&keys::MIN_RATE, faults);
    let response_group = reader.group(&keys::RESPONSE, faults);
    let response_rate = field(response_group.as_ref(), faults, |r, f| r.get(&keys::RESPONSE_RATE, f));
    let retry = reader.group(&keys::RETRY, faults);
    let attempts = field(retry.as_ref(), faults, |r, f| r.get(&keys::ATTEMPTS, f));
    let total = get(timeout, &keys::TOTAL_TIMEOUT, faults);
    let hedge = reader.get(&keys::HEDGE, faults);
    let class = reader.get(&keys::CLASS, faults);
    let plain = plain();
    Route {
        max_body: max_body.value().copied(),
        upgrade: upgrade.resolve(&keys::UPGRADE).unwrap_or(plain.upgrade),
        connect: connect.resolve(&keys::CONNECT).unwrap_or(plain.connect),
        tunnel_timeout: tunnel.value().copied(),
        connect_timeout: connecting.value().copied(),
        response_timeout: response.value().copied(),
        body_timeout: body.value().copied(),
        min_rate: min_rate.value().copied(),
        response_rate: response_rate.value().copied(),
        attempts: attempts.value().copied(),
        total_timeout: total.value().copied(),
        hedge: hedge.value().copied(),
        class: class.resolve(&keys::CLASS).unwrap_or(plain.class),
        ..plain
    }
}

// === impl Paths ===

impl Kind for Paths {
    type Value = PathPattern;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<PathPattern> {
        let Value::Text(written) = &node.value else {
            refuse(node, place, &self.accepted(), faults);
            return None;
        };
        match path(written) {
            Ok(pattern) => Some(pattern),
            Err(refusal) => {
                let message = format!("path {} {}", quote(written), refusal.reason);
                faults.add(Fault::wrong(node.span, message).help(refusal.help));
                None
            }
        }
    }

    fn show(&self, value: &PathPattern) -> String {
        string(&value.text())
    }

    fn accepted(&self) -> String {
        "a path from \"/\", exact or ending in \"/*\"".into()
    }

    fn schema(&self) -> serde_json::Value {
        pattern(r"/[^*?# ]*(/\*)?|/\*")
    }
}

// === impl Reference ===

impl Kind for Reference {
    type Value = String;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<String> {
        let Value::Text(written) = &node.value else {
            refuse(node, place, &self.accepted(), faults);
            return None;
        };
        Some(written.clone())
    }

    fn show(&self, value: &String) -> String {
        string(value)
    }

    fn accepted(&self) -> String {
        "the name of an upstream".into()
    }

    fn schema(&self) -> serde_json::Value {
        json!({ "type": "string" })
    }
}

// === impl Protocols ===

impl Kind for Protocols {
    type Value = Vec<String>;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<Vec<String>> {
        let Value::List(items) = &node.value else {
            refuse(node, place, &self.accepted(), faults);
            return None;
        };
        let mut seen: HashMap<String, Span> = HashMap::new();
        let mut protocols = Vec::with_capacity(items.len());
        for item in items {
            let Some(protocol) = protocol(item, place, faults) else { continue };
            if let Some(first) = seen.insert(protocol.clone(), item.span) {
                let message = format!("{place}: {} is listed twice", quote(&protocol));
                faults.add(
                    Fault::wrong(item.span, message)
                        .also(first, "first listed here")
                        .help("upper and lower case are the same"),
                );
                continue;
            }
            protocols.push(protocol);
        }
        (protocols.len() == items.len()).then_some(protocols)
    }

    fn show(&self, value: &Vec<String>) -> String {
        let shown: Vec<String> = value.iter().map(|protocol| string(protocol)).collect();
        format!("[{}]", shown.join(", "))
    }

    fn accepted(&self) -> String {
        "a list of names of protocols such as \"websocket\"".into()
    }

    fn schema(&self) -> serde_json::Value {
        json!({ "type": "array", "items": { "type": "string" } })
    }
}

fn protocol(item: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<String> {
    let Value::Text(written) = &item.value else {
        refuse(item, place, "the name of a protocol such as \"websocket\"", faults);
        return None;
    };
    let lower = written.to_ascii_lowercase();
    let token = (1..=PROTOCOL_BYTES).contains(&lower.len()) && lower.bytes().all(is_token);
    let (reason, help) = match lower.as_str() {
        "h2c" => ("cannot be let through", "behind it lies a connection full of requests that no rule here would see"),
        "*" => ("is not the name of a protocol", "each protocol is named, such as \"websocket\""),
        _ if token => return Some(lower),
        _ => ("is not the name of a protocol", PROTOCOL),
    };
    faults.add(Fault::wrong(item.span, format!("{place}: {} {reason}", quote(written))).help(help));
    None
}

/// What one entry may be.
const PROTOCOL: &str = "accepted: 1 to 64 letters, digits and any of !#$%&'*+-.^_`|~, without a version";
/// Bytes of the name of a protocol.
const PROTOCOL_BYTES: usize = 64;
