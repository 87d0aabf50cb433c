//! A model as the TOML it stands for, which reads back as the same model. Defaults are left out. It refuses to know how
//! a kind is written (that is `kind`).

use super::key::Key;
use super::keys;
use super::kind::Kind;
use super::kind::string;
use super::listens;
use super::relays;
use super::report::Span;
use super::routes::RouteForm;
use super::upstreams;
use crate::model::Host;
use crate::model::Listener;
use crate::model::Model;
use crate::model::Process;
use crate::model::Upstream;

/// The TOML that `model` stands for: what differs from the defaults. [`super::load_text`] reads it back as the same
/// model.
#[must_use]
pub fn to_toml(model: &Model) -> String {
    let mut tables = vec![process(&model.process)];
    tables.extend(model.acme.iter().map(|acme| super::acme::lines(acme).table("[acme]")));
    tables.extend(model.listeners.iter().map(|listener| self::listener(listener, &model.upstreams)));
    tables.extend(model.upstreams.iter().map(upstream));
    tables.extend(model.hosts.iter().map(|host| self::host(host, &model.upstreams)));
    tables.retain(|table| !table.is_empty());
    tables.join("\n")
}

fn process(process: &Process) -> String {
    let mut lines = Lines::default();
    lines.add(&keys::CORES, &process.cores);
    lines.add(&keys::ADMIN, &process.admin);
    lines.add(&keys::IO, &process.io);
    let mut ring = Lines::default();
    ring.add(&keys::RING_ENTRIES, &process.ring.entries);
    ring.add(&keys::RING_COMPLETIONS, &process.ring.completions);
    lines.group(keys::RING.name, &ring);
    lines.add(&keys::DRAIN, &process.drain);
    lines.add(&keys::PROCESS_CONNECTIONS, &process.connections_max);
    lines.add(&keys::ACCESS_LOG, &process.access_log);
    lines.add_some(&keys::PROCESS_ZONE, process.zone.as_ref());
    let mut overload = Lines::default();
    overload.add(&keys::OVERLOAD_MEMORY, &process.overload.memory_percent);
    overload.add_some(&keys::OVERLOAD_MEMORY_OF, process.overload.memory_of.as_ref());
    overload.add(&keys::OVERLOAD_DESCRIPTORS, &process.overload.descriptors_percent);
    overload.add(&keys::OVERLOAD_LAG, &process.overload.lag);
    lines.group(keys::OVERLOAD.name, &overload);
    lines.add(&keys::CORE_DUMPS, &process.core_dumps);
    if lines.is_empty() { String::new() } else { lines.table("[process]") }
}

fn listener(listener: &Listener, upstreams: &[Upstream]) -> String {
    let mut lines = Lines::default();
    lines.add(&keys::BIND, &listener.bind.iter().map(|address| (address.clone(), NOWHERE)).collect());
    lines.add(&keys::SOCKET_MODE, &listener.socket_mode);
    lines.add(&keys::TRUSTED_PROXIES, &listener.trusted);
    lines.add(&keys::LISTEN_PROXY_PROTOCOL, &listener.proxy_protocol);
    lines.add(&keys::LISTEN_CONNECTIONS, &listener.connections_max);
    lines.add_some(&keys::CONNECTIONS_PER_CLIENT, listener.client_connections_max.as_ref());
    lines.add(&keys::HEAD, &listener.head_bytes);
    lines.add(&keys::FIELDS, &listener.fields);
    lines.add(&keys::TARGET, &listener.target_bytes);
    lines.add_some(&keys::LISTEN_MAX_BODY, listener.max_body.as_ref());
    let mut path = Lines::default();
    path.add(&keys::DOTS, &listener.paths.dots);
    path.add(&keys::SLASHES, &listener.paths.slashes);
    path.add(&keys::ENCODED_SLASHES, &listener.paths.encoded_slashes);
    lines.group(keys::LISTEN_PATH.name, &path);
    let mut chunk = Lines::default();
    chunk.add(&keys::CHUNK_LINE, &listener.chunks.line_bytes);
    chunk.add(&keys::CHUNK_EXTENSIONS, &listener.chunks.extension_bytes);
    lines.group(keys::CHUNK.name, &chunk);
    let mut timeout = Lines::default();
    timeout.add(&keys::HEAD_TIMEOUT, &listener.head_timeout);
    timeout.add(&keys::IDLE_TIMEOUT, &listener.idle_timeout);
    timeout.add(&keys::BODY_TIMEOUT, &listener.body_timeout);
    timeout.add_some(&keys::relay::CARRIED_TIMEOUT, listener.relay.as_ref().map(|relay| &relay.idle));
    timeout.add(&keys::LISTEN_TUNNEL_TIMEOUT, &listener.tunnel_timeout);
    lines.group(keys::LISTEN_TIMEOUT.name, &timeout);
    lines.add(&keys::LISTEN_MIN_RATE, &listener.min_rate);
    let mut keep_alive = Lines::default();
    keep_alive.add(&keys::KEEP_ALIVE_REQUESTS, &listener.keep_alive.requests);
    keep_alive.add(&keys::KEEP_ALIVE_AGE, &listener.keep_alive.age);
    lines.group(keys::LISTEN_KEEP_ALIVE.name, &keep_alive);
    lines.add(&keys::SERVER, &listener.server);
    listens::listen_lines(listener, &mut lines);
    relays::lines(listener, upstreams, &mut lines);
    lines.table(&format!("[listen.{}]", name(&listener.name)))
}

fn upstream(upstream: &Upstream) -> String {
    let mut lines = Lines::default();
    lines.add(&keys::upstream::ENDPOINTS, &upstream.endpoints);
    upstreams::lines(upstream, &mut lines);
    lines.table(&format!("[upstream.{}]", name(&upstream.name)))
}

fn host(host: &Host, upstreams: &[Upstream]) -> String {
    let routes = host.routes.iter().map(|route| RouteForm {
        route: route.clone(),
        upstream: upstreams.get(route.upstream.index()).map(|upstream| upstream.name.clone()).unwrap_or_default(),
        upstream_at: NOWHERE,
    });
    let mut lines = Lines::default();
    lines.add(&keys::host::ROUTES, &routes.collect());
    listens::host_lines(host.clients.as_ref(), &mut lines);
    lines.table(&format!("[host.{}]", toml::Value::String(host.pattern.text())))
}

/// The place of what stands in no file.
pub(super) const NOWHERE: Span = Span { file: 0, start: 0, end: 0 };

/// A name as a key: bare where TOML allows it.
fn name(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if name.bytes().all(bare) { name.to_owned() } else { string(name) }
}

/// The `key = value` lines of one table.
#[derive(Default)]
pub(super) struct Lines(Vec<String>);

impl Lines {
    pub(super) fn add<K: Kind>(&mut self, key: &Key<K>, value: &K::Value) {
        if key.default().as_ref() != Some(value) {
            self.0.push(format!("{} = {}", key.name, key.kind.show(value)));
        }
    }

    /// Of a key that may be absent.
    pub(super) fn add_some<K: Kind>(&mut self, key: &Key<K>, value: Option<&K::Value>) {
        if let Some(value) = value {
            self.add(key, value);
        }
    }

    pub(super) fn group(&mut self, name: &str, group: &Self) {
        if !group.is_empty() {
            self.0.push(format!("{name} = {}", group.inline()));
        }
    }

    /// As a table in a line.
    pub(super) fn inline(&self) -> String {
        format!("{{ {} }}", self.0.join(", "))
    }

    /// The same, begun by a key that stands there whatever its value.
    pub(super) fn inline_after<K: Kind>(&self, key: &Key<K>, value: &K::Value) -> String {
        let first = format!("{} = {}", key.name, key.kind.show(value));
        let all: Vec<&str> = std::iter::once(&first).chain(&self.0).map(String::as_str).collect();
        format!("{{ {} }}", all.join(", "))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn table(&self, header: &str) -> String {
        format!("{header}\n{}\n", self.0.join("\n"))
    }
}
