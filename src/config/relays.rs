//! Listeners that carry bytes: what a file says of them, what that means, and how it is written back. It refuses to know
//! how anything is carried.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;

use super::check::resolve;
use super::form::ListenForm;
use super::key::Field;
use super::key::Place;
use super::key::Reader;
use super::key::get;
use super::keys;
use super::keys::relay as own;
use super::kind::Kind;
use super::kind::refuse;
use super::kind::string;
use super::pattern;
use super::report::Fault;
use super::report::Faults;
use super::report::Span;
use super::report::quote;
use super::report::tick;
use super::routes::Reference;
use super::tree::Node;
use super::tree::Value;
use super::write::Lines;
use super::write::NOWHERE;
use crate::id::UpstreamIndex;
use crate::model::HostPattern;
use crate::model::Listener;
use crate::model::Passthrough;
use crate::model::Relay;
use crate::model::Upstream;
use crate::model::Way;

/// A table of upstreams by patterns of names.
pub(super) struct Names;

/// One entry of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Carried {
    pattern: HostPattern,
    upstream: String,
    upstream_at: Span,
}

// === impl Names ===

impl Kind for Names {
    type Value = Vec<Carried>;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<Vec<Carried>> {
        let Value::Table(table) = &node.value else {
            refuse(node, place, &self.accepted(), faults);
            return None;
        };
        if table.entries.is_empty() {
            let help = "write at least one, such as { \"shop.example.com\" = \"shop\" }";
            faults.add(Fault::wrong(node.span, format!("{place} has no name")).help(help));
            return None;
        }
        let mut seen: HashMap<HostPattern, Span> = HashMap::new();
        let mut names = Vec::with_capacity(table.entries.len());
        for entry in &table.entries {
            let own = Place { key: &entry.name, owner: &place.to_string() };
            let upstream = Reference.read(&entry.node, &own, faults);
            let Some(pattern) = name(&entry.name, entry.at, place, faults) else { continue };
            if let Some(first) = seen.insert(pattern.clone(), entry.at) {
                let message = format!("name {} stands twice in {place}", quote(&pattern.text()));
                let help = "names have no upper and lower case: remove one";
                faults.add(Fault::wrong(entry.at, message).also(first, "first written here").help(help));
                continue;
            }
            names.extend(upstream.map(|upstream| Carried { pattern, upstream, upstream_at: entry.node.span }));
        }
        names.sort_by_key(|one| one.pattern.text());
        (names.len() == table.entries.len()).then_some(names)
    }

    fn show(&self, value: &Vec<Carried>) -> String {
        let shown: Vec<String> = value
            .iter()
            .map(|one| format!("{} = {}", toml::Value::String(one.pattern.text()), string(&one.upstream)))
            .collect();
        format!("{{ {} }}", shown.join(", "))
    }

    fn accepted(&self) -> String {
        "a table of names, each with the name of an upstream".into()
    }

    fn schema(&self) -> serde_json::Value {
        json!({ "type": "object", "minProperties": 1, "additionalProperties": Reference.schema() })
    }
}

/// What a hello may ask for.
fn name(written: &str, at: Span, place: &Place<'_>, faults: &mut Faults) -> Option<HostPattern> {
    let (reason, help) = match pattern::host(written) {
        Ok(HostPattern::Exact(name)) if name.starts_with('[') || name.parse::<std::net::Ipv4Addr>().is_ok() => {
            ("is an address, and clients ask for names alone", "leave it to \"*\"".to_owned())
        }
        Ok(pattern) => return Some(pattern),
        Err(refusal) => (refusal.reason, refusal.help),
    };
    faults.add(Fault::wrong(at, format!("name {} of {place} {reason}", quote(written))).help(help));
    None
}

// === a listener ===

/// What `[listen.NAME]` says of what it carries.
#[derive(Default)]
pub(super) struct RelayForm {
    tcp: Field<Option<String>>,
    passthrough: Field<Option<Vec<Carried>>>,
}

impl RelayForm {
    pub(super) fn read(reader: Option<&Reader<'_>>, faults: &mut Faults) -> Self {
        Self { tcp: get(reader, &own::TCP, faults), passthrough: get(reader, &own::PASSTHROUGH, faults) }
    }

    /// Whether the listener carries bytes, or would if what it says were right.
    pub(super) fn carries(&self) -> bool {
        let off = matches!(self.tcp, Field::Absent | Field::Set(None, _));
        !off || !matches!(self.passthrough, Field::Absent | Field::Set(None, _))
    }

    /// Whether it reads hellos.
    pub(super) fn passes_through(&self) -> bool {
        matches!(self.passthrough, Field::Set(Some(_), _) | Field::Faulty)
    }

    /// The upstreams that are named, each with its place.
    pub(super) fn references(&self) -> impl Iterator<Item = (&str, Span)> {
        let tcp = match &self.tcp {
            Field::Set(Some(name), at) => Some((name.as_str(), *at)),
            _ => None,
        };
        let names = self.passthrough.value().into_iter().flatten().flatten();
        tcp.into_iter().chain(names.map(|one| (one.upstream.as_str(), one.upstream_at)))
    }

    /// What it carries, with its bounds of a hello; nothing after a fault. `index` finds an upstream.
    pub(super) fn model(
        &self,
        idle: Option<Duration>,
        (hello_bytes, timeout): (usize, Duration),
        index: impl Fn(&str) -> Option<UpstreamIndex>,
    ) -> Option<Option<Relay>> {
        let way = match (&self.tcp, &self.passthrough) {
            (Field::Faulty, _) | (_, Field::Faulty) => return None,
            (Field::Set(Some(name), _), _) => Way::Tcp(index(name)?),
            (_, Field::Set(Some(names), _)) => {
                let names = names.iter().map(|one| Some((one.pattern.clone(), index(&one.upstream)?)));
                Way::Passthrough(Passthrough { names: names.collect::<Option<_>>()?, hello_bytes, timeout })
            }
            _ => return Some(None),
        };
        Some(Some(Relay { way, idle: idle? }))
    }
}

impl ListenForm {
    /// What of the defaults holds for a listener that carries bytes.
    pub(super) fn for_relays(&self) -> Self {
        Self {
            socket_mode: self.socket_mode.clone(),
            connections: self.connections.clone(),
            connections_per_client: self.connections_per_client.clone(),
            trusted: self.trusted.clone(),
            proxy_protocol: self.proxy_protocol.clone(),
            carried_timeout: self.carried_timeout.clone(),
            tls: self.tls.for_relays(),
            ..Self::default()
        }
    }

    /// Says what of this has no effect, because the listener carries bytes or because it does not.
    pub(super) fn refuse_what_is_idle(&self, owner: &str, faults: &mut Faults) {
        if let (Field::Set(Some(_), tcp), Field::Set(Some(_), passthrough)) = (&self.relay.tcp, &self.relay.passthrough)
        {
            let message = format!("{owner} has both `tcp` and `passthrough`");
            let help = "a connection is carried the one way or the other: give each a listener of its own";
            faults.add(Fault::wrong(*passthrough, message).also(*tcp, "`tcp`").help(help));
        }
        if !self.relay.carries() {
            let idle = self.carried_timeout.value() != own::CARRIED_TIMEOUT.default().as_ref();
            if let Some(at) = self.carried_timeout.at().filter(|_| idle) {
                let message = format!("`timeout.carried` of {owner} has no effect: it reads requests");
                let help = "say with `tcp` or `passthrough` what the listener carries; tunnels after an upgrade have `timeout.tunnel`";
                faults.add(Fault::wrong(at, message).help(help));
            }
            return;
        }
        let accepted = self.accepted();
        for (key, at) in self.of_requests().into_iter().chain(self.tls.of_handshakes(self.relay.passes_through())) {
            if let Some(at) = at {
                let message = format!("{} of {owner} has no effect: it carries bytes, whatever they say", tick(key));
                faults.add(Fault::wrong(at, message).help(format!("take it away; accepted beside it: {accepted}")));
            }
        }
    }

    fn accepted(&self) -> &'static str {
        if self.relay.passes_through() {
            "bind, socket_mode, trusted_proxies, proxy_protocol, connections, connections_per_client, timeout.carried, \
             handshake.timeout, handshake.hello"
        } else {
            "bind, socket_mode, trusted_proxies, proxy_protocol, connections, connections_per_client, timeout.carried"
        }
    }

    fn of_requests(&self) -> [(&'static str, Option<Span>); 17] {
        [
            ("head", self.head.at()),
            ("fields", self.fields.at()),
            ("target", self.target.at()),
            ("max_body", self.max_body.at()),
            ("path.dots", self.dots.at()),
            ("path.slashes", self.slashes.at()),
            ("path.encoded_slashes", self.encoded_slashes.at()),
            ("chunk.line", self.chunk_line.at()),
            ("chunk.extensions", self.chunk_extensions.at()),
            ("timeout.head", self.head_timeout.at()),
            ("timeout.idle", self.idle_timeout.at()),
            ("timeout.body", self.body_timeout.at()),
            ("timeout.tunnel", self.tunnel_timeout.at()),
            ("min_rate", self.min_rate.at()),
            ("keep_alive.requests", self.keep_alive_requests.at()),
            ("keep_alive.age", self.keep_alive_age.at()),
            ("server", self.server.at()),
        ]
    }
}

/// The lines of a listener.
pub(super) fn lines(listener: &Listener, upstreams: &[Upstream], lines: &mut Lines) {
    let name = |index: UpstreamIndex| upstreams.get(index.index()).map(|one| one.name.clone()).unwrap_or_default();
    match listener.relay.as_ref().map(|relay| &relay.way) {
        None => {}
        Some(Way::Tcp(upstream)) => lines.add(&own::TCP, &Some(name(*upstream))),
        Some(Way::Passthrough(Passthrough { names, hello_bytes, timeout })) => {
            let carried = |(pattern, upstream): &(HostPattern, UpstreamIndex)| Carried {
                pattern: pattern.clone(),
                upstream: name(*upstream),
                upstream_at: NOWHERE,
            };
            lines.add(&own::PASSTHROUGH, &Some(names.iter().map(carried).collect()));
            let mut handshake = Lines::default();
            handshake.add(&keys::tls::HANDSHAKE_TIMEOUT, timeout);
            handshake.add(&keys::tls::HELLO, hello_bytes);
            lines.group(keys::tls::HANDSHAKE.name, &handshake);
        }
    }
}

/// How long a connection of a listener may carry nothing.
pub(super) fn idle(own_form: &ListenForm, defaults: &ListenForm) -> Option<Duration> {
    resolve(&own_form.carried_timeout, &defaults.carried_timeout, &own::CARRIED_TIMEOUT)
}
