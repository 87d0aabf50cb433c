//! The file form: what the texts say, key by key, before defaults and references. It refuses to know what is meant by
//! what is not said (that is `check`).

use std::net::SocketAddr;
use std::time::Duration;

use super::acme::AcmeForm;
use super::key::Field;
use super::key::Keys;
use super::key::Reader;
use super::key::field;
use super::key::get;
use super::keys;
use super::listens::HostClientsForm;
use super::listens::ListenTlsForm;
use super::pattern;
use super::relays::RelayForm;
use super::report::Fault;
use super::report::Faults;
use super::report::Span;
use super::report::quote;
use super::report::tick;
use super::routes::RouteForm;
use super::suggest::key_advice;
use super::tree::Entry;
use super::tree::Node;
use super::tree::Table;
use super::tree::Value;
use super::upstreams::UpstreamForm;
use crate::address::Address;
use crate::address::Networks;
use crate::model::AccessLog;
use crate::model::Cores;
use crate::model::Endpoint;
use crate::model::HostPattern;
use crate::model::Io;
use crate::model::PathRule;
use crate::model::Server;

/// All tables of all files.
pub(super) struct Form {
    pub(super) process: ProcessForm,
    pub(super) acme: AcmeForm,
    pub(super) listen_defaults: ListenForm,
    pub(super) upstream_defaults: UpstreamForm,
    pub(super) listeners: Vec<Named<(Field<Binds>, ListenForm)>>,
    pub(super) upstreams: Vec<Named<(Field<Vec<Endpoint>>, UpstreamForm)>>,
    pub(super) hosts: Vec<HostForm>,
    /// Every key of `[upstream]`, whatever is wrong with its table.
    pub(super) upstream_keys: Vec<String>,
}

/// The addresses of a listener, each with its place.
pub(super) type Binds = Vec<(Address, Span)>;

/// A table whose key is a name of the operator's.
pub(super) struct Named<T> {
    pub(super) name: String,
    pub(super) at: Span,
    pub(super) form: T,
}

/// `[process]`.
#[derive(Default)]
pub(super) struct ProcessForm {
    pub(super) cores: Field<Cores>,
    pub(super) admin: Field<SocketAddr>,
    pub(super) io: Field<Io>,
    pub(super) ring_entries: Field<u32>,
    pub(super) ring_completions: Field<u32>,
    pub(super) drain: Field<Duration>,
    pub(super) connections: Field<u32>,
    pub(super) access_log: Field<AccessLog>,
    pub(super) zone: Field<String>,
    pub(super) memory: Field<[u32; 3]>,
    pub(super) memory_of: Field<u64>,
    pub(super) descriptors: Field<[u32; 3]>,
    pub(super) lag: Field<[Duration; 3]>,
    pub(super) core_dumps: Field<bool>,
}

/// `[listen.NAME]` and `[defaults.listen]`, all but `bind`.
#[derive(Default)]
pub(super) struct ListenForm {
    pub(super) socket_mode: Field<u32>,
    pub(super) connections: Field<u32>,
    pub(super) head: Field<usize>,
    pub(super) fields: Field<usize>,
    pub(super) target: Field<usize>,
    pub(super) head_timeout: Field<Duration>,
    pub(super) idle_timeout: Field<Duration>,
    pub(super) body_timeout: Field<Duration>,
    pub(super) tunnel_timeout: Field<Duration>,
    pub(super) max_body: Field<u64>,
    pub(super) trusted: Field<Networks>,
    pub(super) proxy_protocol: Field<bool>,
    pub(super) connections_per_client: Field<u32>,
    pub(super) dots: Field<PathRule>,
    pub(super) slashes: Field<PathRule>,
    pub(super) encoded_slashes: Field<PathRule>,
    pub(super) chunk_line: Field<usize>,
    pub(super) chunk_extensions: Field<usize>,
    pub(super) min_rate: Field<u64>,
    pub(super) keep_alive_requests: Field<u32>,
    pub(super) keep_alive_age: Field<Duration>,
    pub(super) server: Field<Server>,
    pub(super) tls: ListenTlsForm,
    pub(super) carried_timeout: Field<Duration>,
    pub(super) relay: RelayForm,
}

/// `[host."PATTERN"]`.
pub(super) struct HostForm {
    /// Nothing where the key is no pattern.
    pub(super) pattern: Option<HostPattern>,
    pub(super) at: Span,
    pub(super) routes: Field<Vec<RouteForm>>,
    pub(super) clients: HostClientsForm,
}

/// Reads every table; what is wrong is recorded and the rest is read on.
/// `top` is where the main file begins: what is missing altogether is missing there.
pub(super) fn read(root: &Table, top: Span, faults: &mut Faults) -> Form {
    present(root, top, faults);
    for entry in root.entries.iter().filter(|entry| !keys::TABLES.contains(&entry.name.as_str())) {
        let message = format!("unknown key {} at the top of the file", tick(&entry.name));
        let help = key_advice(&entry.name, &keys::TABLES);
        faults.add(Fault::wrong(entry.at, message).help(help));
    }
    let (listen_defaults, upstream_defaults) = defaults(root, faults);
    Form {
        process: process(reader(root, "process", "[process]", keys::PROCESS, faults).as_ref(), faults),
        acme: {
            let said = root.get("acme").map(|entry| entry.at);
            AcmeForm::read(said, reader(root, "acme", "[acme]", keys::acme::ACME, faults).as_ref(), faults)
        },
        listen_defaults,
        upstream_defaults,
        listeners: named(root, &LISTEN, faults, |node, owner, faults| {
            let reader = Reader::open(node, owner, keys::LISTEN, faults);
            let bind = field(reader.as_ref(), faults, |r, f| r.get(&keys::BIND, f));
            let form = listen(reader.as_ref(), faults);
            (bind, ListenForm { relay: RelayForm::read(reader.as_ref(), faults), ..form })
        }),
        upstreams: named(root, &UPSTREAM, faults, |node, owner, faults| {
            let reader = Reader::open(node, owner, keys::upstream::UPSTREAM, faults);
            (
                field(reader.as_ref(), faults, |r, f| r.get(&keys::upstream::ENDPOINTS, f)),
                UpstreamForm::read(reader.as_ref(), faults),
            )
        }),
        hosts: hosts(root, faults),
        upstream_keys: names(root, "upstream"),
    }
}

fn names(root: &Table, key: &str) -> Vec<String> {
    match root.get(key).map(|entry| &entry.node.value) {
        Some(Value::Table(table)) => table.entries.iter().map(|entry| entry.name.clone()).collect(),
        _ => Vec::new(),
    }
}

/// Without a listener nothing can be served, and without a host only what is carried as it is.
fn present(root: &Table, top: Span, faults: &mut Faults) {
    let needed = [
        ("listen", "no listener is defined", "[listen.http]\nbind = \"127.0.0.1:8080\""),
        ("host", "no host is defined", "[host.\"*\"]\nroutes = [{ path = \"/*\", upstream = \"NAME\" }]"),
    ];
    for (key, message, least) in needed {
        let empty = |entry: &Entry| matches!(&entry.node.value, Value::Table(table) if table.entries.is_empty());
        if root.get(key).is_none_or(empty) && !(key == "host" && carries_all(root)) {
            faults.add(Fault::absent(top, message).help(format!("write at least:\n{least}")));
        }
    }
}

/// Whether every listener carries bytes.
fn carries_all(root: &Table) -> bool {
    let carries = |entry: &Entry| match &entry.node.value {
        Value::Table(table) => {
            [&keys::relay::TCP.name, &keys::relay::PASSTHROUGH.name].iter().any(|key| table.get(key).is_some())
        }
        _ => false,
    };
    match root.get("listen").map(|entry| &entry.node.value) {
        Some(Value::Table(table)) => !table.entries.is_empty() && table.entries.iter().all(carries),
        _ => false,
    }
}

fn defaults(root: &Table, faults: &mut Faults) -> (ListenForm, UpstreamForm) {
    let empty = Table::default();
    let table = match root.get("defaults").map(|entry| &entry.node) {
        Some(Node { value: Value::Table(table), .. }) => table,
        Some(node) => {
            let message = format!("[defaults] must be a table, not {}", node.value.noun());
            faults
                .add(Fault::wrong(node.span, message).help("its tables are [defaults.listen] and [defaults.upstream]"));
            &empty
        }
        None => &empty,
    };
    for entry in table.entries.iter().filter(|entry| !keys::DEFAULTS.contains(&entry.name.as_str())) {
        let message = format!("unknown key {} in [defaults]", tick(&entry.name));
        faults.add(Fault::wrong(entry.at, message).help(key_advice(&entry.name, &keys::DEFAULTS)));
    }
    (
        listen(reader(table, "listen", "[defaults.listen]", keys::LISTEN_DEFAULTS, faults).as_ref(), faults),
        UpstreamForm::read(
            reader(table, "upstream", "[defaults.upstream]", keys::upstream::UPSTREAM_DEFAULTS, faults).as_ref(),
            faults,
        ),
    )
}

fn process(reader: Option<&Reader<'_>>, faults: &mut Faults) -> ProcessForm {
    let ring = reader.and_then(|reader| reader.group(&keys::RING, faults));
    let overload = reader.and_then(|reader| reader.group(&keys::OVERLOAD, faults));
    let (ring, overload) = (ring.as_ref(), overload.as_ref());
    ProcessForm {
        cores: field(reader, faults, |r, f| r.get(&keys::CORES, f)),
        admin: field(reader, faults, |r, f| r.get(&keys::ADMIN, f)),
        io: field(reader, faults, |r, f| r.get(&keys::IO, f)),
        ring_entries: field(ring, faults, |r, f| r.get(&keys::RING_ENTRIES, f)),
        ring_completions: field(ring, faults, |r, f| r.get(&keys::RING_COMPLETIONS, f)),
        drain: field(reader, faults, |r, f| r.get(&keys::DRAIN, f)),
        connections: field(reader, faults, |r, f| r.get(&keys::PROCESS_CONNECTIONS, f)),
        access_log: field(reader, faults, |r, f| r.get(&keys::ACCESS_LOG, f)),
        zone: get(reader, &keys::PROCESS_ZONE, faults),
        memory: get(overload, &keys::OVERLOAD_MEMORY, faults),
        memory_of: get(overload, &keys::OVERLOAD_MEMORY_OF, faults),
        descriptors: get(overload, &keys::OVERLOAD_DESCRIPTORS, faults),
        lag: get(overload, &keys::OVERLOAD_LAG, faults),
        core_dumps: get(reader, &keys::CORE_DUMPS, faults),
    }
}

fn listen(reader: Option<&Reader<'_>>, faults: &mut Faults) -> ListenForm {
    let mut group = |group| reader.and_then(|reader| reader.group(group, faults));
    let (path, chunk) = (group(&keys::LISTEN_PATH), group(&keys::CHUNK));
    let (timeout, keep_alive) = (group(&keys::LISTEN_TIMEOUT), group(&keys::LISTEN_KEEP_ALIVE));
    let (path, chunk) = (path.as_ref(), chunk.as_ref());
    let (timeout, keep_alive) = (timeout.as_ref(), keep_alive.as_ref());
    ListenForm {
        socket_mode: field(reader, faults, |r, f| r.get(&keys::SOCKET_MODE, f)),
        connections: field(reader, faults, |r, f| r.get(&keys::LISTEN_CONNECTIONS, f)),
        head: field(reader, faults, |r, f| r.get(&keys::HEAD, f)),
        fields: field(reader, faults, |r, f| r.get(&keys::FIELDS, f)),
        target: field(reader, faults, |r, f| r.get(&keys::TARGET, f)),
        head_timeout: field(timeout, faults, |r, f| r.get(&keys::HEAD_TIMEOUT, f)),
        idle_timeout: field(timeout, faults, |r, f| r.get(&keys::IDLE_TIMEOUT, f)),
        body_timeout: field(timeout, faults, |r, f| r.get(&keys::BODY_TIMEOUT, f)),
        tunnel_timeout: field(timeout, faults, |r, f| r.get(&keys::LISTEN_TUNNEL_TIMEOUT, f)),
        max_body: field(reader, faults, |r, f| r.get(&keys::LISTEN_MAX_BODY, f)),
        trusted: field(reader, faults, |r, f| r.get(&keys::TRUSTED_PROXIES, f)),
        proxy_protocol: field(reader, faults, |r, f| r.get(&keys::LISTEN_PROXY_PROTOCOL, f)),
        connections_per_client: field(reader, faults, |r, f| r.get(&keys::CONNECTIONS_PER_CLIENT, f)),
        dots: field(path, faults, |r, f| r.get(&keys::DOTS, f)),
        slashes: field(path, faults, |r, f| r.get(&keys::SLASHES, f)),
        encoded_slashes: field(path, faults, |r, f| r.get(&keys::ENCODED_SLASHES, f)),
        chunk_line: field(chunk, faults, |r, f| r.get(&keys::CHUNK_LINE, f)),
        chunk_extensions: field(chunk, faults, |r, f| r.get(&keys::CHUNK_EXTENSIONS, f)),
        min_rate: field(reader, faults, |r, f| r.get(&keys::LISTEN_MIN_RATE, f)),
        keep_alive_requests: field(keep_alive, faults, |r, f| r.get(&keys::KEEP_ALIVE_REQUESTS, f)),
        keep_alive_age: field(keep_alive, faults, |r, f| r.get(&keys::KEEP_ALIVE_AGE, f)),
        server: field(reader, faults, |r, f| r.get(&keys::SERVER, f)),
        tls: ListenTlsForm::read(reader, faults),
        carried_timeout: get(timeout, &keys::relay::CARRIED_TIMEOUT, faults),
        relay: RelayForm::default(),
    }
}

fn hosts(root: &Table, faults: &mut Faults) -> Vec<HostForm> {
    let read = named(root, &HOST, faults, |node, owner, faults| {
        let reader = Reader::open(node, owner, keys::host::HOST, faults);
        let routes = field(reader.as_ref(), faults, |r, f| r.get(&keys::host::ROUTES, f));
        (routes, HostClientsForm::read(reader.as_ref(), faults))
    });
    let form = |host: Named<(Field<Vec<RouteForm>>, HostClientsForm)>, faults: &mut Faults| {
        let pattern = pattern::host(&host.name).map_err(|refusal| {
            let message = format!("host {} {}", quote(&host.name), refusal.reason);
            faults.add(Fault::wrong(host.at, message).help(refusal.help));
        });
        let (routes, clients) = host.form;
        HostForm { pattern: pattern.ok(), at: host.at, routes, clients }
    };
    read.into_iter().map(|host| form(host, faults)).collect()
}

/// What is particular to one sort of named table.
struct Section {
    key: &'static str,
    noun: &'static str,
    header: &'static str,
    keys: Keys,
    /// Whether the key is a name that labels, addresses and commands carry; a host is a pattern instead.
    name: bool,
}

const LISTEN: Section =
    Section { key: "listen", noun: "listener", header: "[listen.NAME]", keys: keys::LISTEN, name: true };
const UPSTREAM: Section = Section {
    key: "upstream",
    noun: "upstream",
    header: "[upstream.NAME]",
    keys: keys::upstream::UPSTREAM,
    name: true,
};
const HOST: Section =
    Section { key: "host", noun: "host", header: "[host.\"PATTERN\"]", keys: keys::host::HOST, name: false };

fn named<T>(
    root: &Table,
    section: &Section,
    faults: &mut Faults,
    mut read: impl FnMut(&Node, &str, &mut Faults) -> T,
) -> Vec<Named<T>> {
    let table = match root.get(section.key).map(|entry| &entry.node) {
        Some(Node { value: Value::Table(table), .. }) => table,
        Some(Node { value: Value::Faulty, .. }) | None => return Vec::new(),
        Some(node) => {
            let message = format!("{} must be a table, not {}", tick(section.key), node.value.noun());
            let help = format!("each {} has a table of its own: {}", section.noun, section.header);
            faults.add(Fault::wrong(node.span, message).help(help));
            return Vec::new();
        }
    };
    let mut list = Vec::with_capacity(table.entries.len());
    for entry in &table.entries {
        if section.keys.iter().any(|key| key.name() == entry.name) && !matches!(entry.node.value, Value::Table(_)) {
            let message = format!("{} stands in [{}] itself", tick(&entry.name), section.key);
            let help = format!("each {} has a table of its own: write {}", section.noun, section.header);
            faults.add(Fault::wrong(entry.at, message).help(help));
            continue;
        }
        if let Some(fault) = name_fault(entry, section) {
            faults.add(fault);
            continue;
        }
        let owner = format!("{} {}", section.noun, quote(&entry.name));
        let form = read(&entry.node, &owner, faults);
        list.push(Named { name: entry.name.clone(), at: entry.at, form });
    }
    list
}

fn name_fault(entry: &Entry, section: &Section) -> Option<Fault> {
    if let Some(whole) = dotted(entry, section.keys) {
        let message = format!("{} {} lacks its quotes", section.noun, quote(&whole));
        let help = format!("a dot begins a table within a table: write [{}.{}]", section.key, quote(&whole));
        return Some(Fault::wrong(entry.at, message).help(help));
    }
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let good = !entry.name.is_empty() && entry.name.len() <= NAME_BYTES && entry.name.bytes().all(letter);
    (section.name && !good).then(|| {
        let message = format!("{} is not a name for {} {}", quote(&entry.name), article(section.noun), section.noun);
        Fault::wrong(entry.at, message)
            .help(format!("accepted: 1 to {NAME_BYTES} letters, digits, \"-\", \"_\" and \".\""))
    })
}

/// The name that was meant by a header such as `[host.shop.example.com]`: tables within tables down to a known key.
fn dotted(entry: &Entry, keys: Keys) -> Option<String> {
    let mut name = entry.name.clone();
    let mut node = &entry.node;
    for depth in 0.. {
        let Value::Table(table) = &node.value else { return None };
        if table.entries.iter().any(|entry| keys.iter().any(|key| key.name() == entry.name)) {
            return (depth > 0).then_some(name);
        }
        let [only] = table.entries.as_slice() else { return None };
        name = format!("{name}.{}", only.name);
        node = &only.node;
    }
    None
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with('u') { "an" } else { "a" }
}

fn reader<'a>(root: &'a Table, key: &str, owner: &'a str, keys: Keys, faults: &mut Faults) -> Option<Reader<'a>> {
    root.get(key).and_then(|entry| Reader::open(&entry.node, owner, keys, faults))
}

/// Bytes of a name: it becomes a label and a part of addresses.
const NAME_BYTES: usize = 64;
