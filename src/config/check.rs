//! From the file form to the model: defaults filled in, references looked up, what must fit together compared. It
//! refuses to know how a file is written.

use std::collections::HashMap;
use std::collections::HashSet;

use super::acme;
use super::form::Binds;
use super::form::Form;
use super::form::HostForm;
use super::form::ListenForm;
use super::form::Named;
use super::form::ProcessForm;
use super::key::Field;
use super::key::Key;
use super::keys;
use super::kind::Kind;
use super::kinds::Endpoints;
use super::listens::Listens;
use super::relays;
use super::report::Fault;
use super::report::Faults;
use super::report::Span;
use super::report::quote;
use super::routes::RouteForm;
use super::routes::plain;
use super::suggest::advice;
use super::tls;
use super::unit;
use super::upstreams::UpstreamForm;
use crate::address::Address;
use crate::address::Networks;
use crate::id::UpstreamIndex;
use crate::model::Balance;
use crate::model::Chunks;
use crate::model::Endpoint;
use crate::model::Host;
use crate::model::HostPattern;
use crate::model::KeepAlive;
use crate::model::Listener;
use crate::model::Model;
use crate::model::Overload;
use crate::model::Paths;
use crate::model::Process;
use crate::model::Ring;
use crate::model::Route;
use crate::model::Upstream;

/// The model, or nothing after a fault; and what is odd about it.
pub(super) fn check(form: &Form, faults: &mut Faults) -> (Option<Model>, Vec<Fault>) {
    let process = process(&form.process, faults);
    let mut listeners = listeners(form, faults);
    let mut odd = Vec::new();
    let hosts = hosts(form);
    let served = (listeners.as_deref_mut().unwrap_or_default(), hosts.as_deref().unwrap_or_default());
    let acme = acme::check(form, served, faults, &mut odd);
    let upstreams = upstreams(form, faults);
    let used = references(form, faults);
    carried(form, faults);
    distinct_hosts(&form.hosts, faults);
    let secure = listeners.as_ref().is_none_or(|listeners| listeners.iter().any(|listener| listener.tls.is_some()));
    let mut in_vain = Vec::new();
    for host in &form.hosts {
        let pattern = host.pattern.as_ref().map(HostPattern::text).unwrap_or_default();
        in_vain.extend(host.clients.check(&format!("host {}", quote(&pattern)), secure, faults));
    }
    let unused = form.upstreams.iter().filter(|upstream| !used.contains(upstream.name.as_str()));
    let warnings = unused.map(|upstream| {
        Fault::wrong(upstream.at, format!("upstream {} is not used by any route", quote(&upstream.name)))
    });
    let model =
        || Some(Model { process: process?, acme: acme?, listeners: listeners?, upstreams: upstreams?, hosts: hosts? });
    let zone = form.process.zone.is_said();
    odd.extend(form.upstreams.iter().flat_map(|named| oddities(named, &form.upstream_defaults, zone)));
    let mut warnings: Vec<Fault> = warnings.chain(odd).chain(unheard(form)).chain(in_vain).collect();
    Fault::sort(&mut warnings);
    (model().filter(|_| faults.is_empty()), warnings)
}

/// Hosts that nobody asks.
fn unheard(form: &Form) -> Option<Fault> {
    let host = form.hosts.first().filter(|_| form.listeners.iter().all(|named| named.form.1.relay.carries()))?;
    let message = "hosts are defined, and no listener reads requests";
    Some(Fault::wrong(host.at, message).help("add a listener without `tcp` and `passthrough`, or take the hosts away"))
}

/// One listener, one upstream, one route; nothing only if a key had no default.
pub(super) fn serve(to: Address, listen: Address) -> Option<Model> {
    let mut faults = Faults::default();
    let at = Span { file: 0, start: 0, end: 0 };
    let endpoint = Endpoints::plain(to)?;
    let listen = Named { name: "http".into(), at, form: (Field::Set(vec![(listen, at)], at), ListenForm::default()) };
    let app = Named { name: "app".into(), at, form: (Field::Set(vec![endpoint], at), UpstreamForm::default()) };
    Some(Model {
        process: process(&ProcessForm::default(), &mut faults)?,
        listeners: vec![listener(&listen, &ListenForm::default(), &[], &mut faults)?],
        upstreams: vec![upstream(&app, &UpstreamForm::default(), &mut faults)?],
        hosts: vec![Host { pattern: HostPattern::Any, routes: vec![plain()], clients: None }],
        acme: None,
    })
}

fn process(form: &ProcessForm, faults: &mut Faults) -> Option<Process> {
    let entries = form.ring_entries.resolve(&keys::RING_ENTRIES);
    let completions = form.ring_completions.resolve(&keys::RING_COMPLETIONS);
    if let (Some(entries), Some(completions)) = (entries, completions)
        && completions < entries
        && let Some(at) = form.ring_completions.at().or(form.ring_entries.at())
    {
        let message = format!("the ring has fewer completions ({completions}) than entries ({entries})");
        faults.add(Fault::wrong(at, message).help("completions must be at least entries; four times is usual"));
    }
    Some(Process {
        cores: form.cores.resolve(&keys::CORES)?,
        admin: form.admin.resolve(&keys::ADMIN)?,
        io: form.io.resolve(&keys::IO)?,
        ring: Ring { entries: entries?, completions: completions? },
        drain: form.drain.resolve(&keys::DRAIN)?,
        connections_max: form.connections.resolve(&keys::PROCESS_CONNECTIONS)?,
        access_log: form.access_log.resolve(&keys::ACCESS_LOG)?,
        zone: form.zone.value().cloned(),
        core_dumps: form.core_dumps.resolve(&keys::CORE_DUMPS)?,
        overload: Overload {
            memory_percent: form.memory.resolve(&keys::OVERLOAD_MEMORY)?,
            memory_of: form.memory_of.value().copied(),
            descriptors_percent: form.descriptors.resolve(&keys::OVERLOAD_DESCRIPTORS)?,
            lag: form.lag.resolve(&keys::OVERLOAD_LAG)?,
        },
    })
}

fn listeners(form: &Form, faults: &mut Faults) -> Option<Vec<Listener>> {
    distinct_binds(form, faults);
    let (defaults, names) = (&form.listen_defaults, upstream_names(form));
    let list: Vec<_> = form.listeners.iter().map(|named| listener(named, defaults, &names, faults)).collect();
    let mut list = list.into_iter().collect::<Option<Vec<_>>>()?;
    list.sort_by(|a, b| a.name.cmp(&b.name));
    Some(list)
}

/// The names of the upstreams in the order in which [`UpstreamIndex`] counts them.
fn upstream_names(form: &Form) -> Vec<&str> {
    let mut names: Vec<&str> = form.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    names.sort_unstable();
    names
}

fn upstream_index(names: &[&str], name: &str) -> Option<UpstreamIndex> {
    let place = names.binary_search(&name).ok()?;
    u32::try_from(place).ok().map(UpstreamIndex)
}

/// Whose word on the client counts, and whether it is a PROXY protocol header.
fn proxies(
    named: &Named<(Field<Binds>, ListenForm)>,
    defaults: &ListenForm,
    faults: &mut Faults,
) -> (Option<Networks>, Option<bool>) {
    let (_, own) = &named.form;
    let trusted = resolve(&own.trusted, &defaults.trusted, &keys::TRUSTED_PROXIES);
    let proxy_protocol = resolve(&own.proxy_protocol, &defaults.proxy_protocol, &keys::LISTEN_PROXY_PROTOCOL);
    if proxy_protocol == Some(true) && trusted.as_ref().is_some_and(Networks::is_empty) {
        let at = own.proxy_protocol.or(&defaults.proxy_protocol).at().unwrap_or(named.at);
        let message =
            format!("listener {} has `proxy_protocol`, and its `trusted_proxies` name nobody", quote(&named.name));
        let help = "list the proxies in `trusted_proxies`, or \"0.0.0.0/0\" and \"::/0\" for everyone";
        faults.add(Fault::wrong(at, message).help(help));
    }
    (trusted, proxy_protocol)
}

fn listener(
    named: &Named<(Field<Binds>, ListenForm)>,
    defaults: &ListenForm,
    upstreams: &[&str],
    faults: &mut Faults,
) -> Option<Listener> {
    let (bind, own) = &named.form;
    let owner = format!("listener {}", quote(&named.name));
    own.refuse_what_is_idle(&owner, faults);
    let for_relays = own.relay.carries().then(|| defaults.for_relays());
    let defaults = for_relays.as_ref().unwrap_or(defaults);
    let head_bytes = resolve(&own.head, &defaults.head, &keys::HEAD);
    let target_bytes = resolve(&own.target, &defaults.target, &keys::TARGET);
    if let (Some(head), Some(target)) = (head_bytes, target_bytes)
        && target >= head
    {
        let places = [own.target.at(), own.head.at(), defaults.target.at(), defaults.head.at()];
        let at = places.into_iter().flatten().next().unwrap_or(named.at);
        let message = format!(
            "the target of listener {} ({}) must be less than its head ({})",
            quote(&named.name),
            unit::show_bytes(target as u64),
            unit::show_bytes(head as u64)
        );
        faults.add(Fault::wrong(at, message).help("the head holds the target: raise `head` or lower `target`"));
    }
    let (trusted, proxy_protocol) = proxies(named, defaults, faults);
    // Of one that carries bytes it has been said already.
    if !own.relay.carries() && own.tls.is_in_vain(&owner, &defaults.tls, faults) {
        return None;
    }
    let listens = own.tls.model(&owner, named.at, &defaults.tls, faults);
    let Listens { tls, hsts, redirect, hello } = listens?;
    let idle = relays::idle(own, defaults);
    let relay = own.relay.model(idle, hello, |name| upstream_index(upstreams, name));
    Some(Listener {
        name: named.name.clone(),
        bind: bind.value()?.iter().map(|(address, _)| address.clone()).collect(),
        socket_mode: resolve(&own.socket_mode, &defaults.socket_mode, &keys::SOCKET_MODE)?,
        connections_max: resolve(&own.connections, &defaults.connections, &keys::LISTEN_CONNECTIONS)?,
        head_bytes: head_bytes?,
        fields: resolve(&own.fields, &defaults.fields, &keys::FIELDS)?,
        target_bytes: target_bytes?,
        head_timeout: resolve(&own.head_timeout, &defaults.head_timeout, &keys::HEAD_TIMEOUT)?,
        idle_timeout: resolve(&own.idle_timeout, &defaults.idle_timeout, &keys::IDLE_TIMEOUT)?,
        body_timeout: resolve(&own.body_timeout, &defaults.body_timeout, &keys::BODY_TIMEOUT)?,
        tunnel_timeout: resolve(&own.tunnel_timeout, &defaults.tunnel_timeout, &keys::LISTEN_TUNNEL_TIMEOUT)?,
        max_body: optional(&own.max_body, &defaults.max_body)?,
        client_connections_max: optional(&own.connections_per_client, &defaults.connections_per_client)?,
        trusted: trusted?,
        proxy_protocol: proxy_protocol?,
        paths: Paths {
            dots: resolve(&own.dots, &defaults.dots, &keys::DOTS)?,
            slashes: resolve(&own.slashes, &defaults.slashes, &keys::SLASHES)?,
            encoded_slashes: resolve(&own.encoded_slashes, &defaults.encoded_slashes, &keys::ENCODED_SLASHES)?,
        },
        server: resolve(&own.server, &defaults.server, &keys::SERVER)?,
        min_rate: resolve(&own.min_rate, &defaults.min_rate, &keys::LISTEN_MIN_RATE)?,
        chunks: Chunks {
            line_bytes: resolve(&own.chunk_line, &defaults.chunk_line, &keys::CHUNK_LINE)?,
            extension_bytes: resolve(&own.chunk_extensions, &defaults.chunk_extensions, &keys::CHUNK_EXTENSIONS)?,
        },
        keep_alive: KeepAlive {
            requests: resolve(&own.keep_alive_requests, &defaults.keep_alive_requests, &keys::KEEP_ALIVE_REQUESTS)?,
            age: resolve(&own.keep_alive_age, &defaults.keep_alive_age, &keys::KEEP_ALIVE_AGE)?,
        },
        tls,
        hsts,
        redirect,
        relay: relay?,
    })
}

/// One address has one owner: the kernel would spread the connections of a shared one over both.
fn distinct_binds(form: &Form, faults: &mut Faults) {
    let mut seen: HashMap<Address, (&str, Option<Span>)> = HashMap::new();
    if let Some(admin) = form.process.admin.resolve(&keys::ADMIN) {
        seen.insert(admin.into(), ("the admin interface", form.process.admin.at()));
    }
    let binds = form.listeners.iter().flat_map(|named| {
        let binds = named.form.0.value().into_iter().flatten();
        binds.filter(|(bind, _)| !bind.is_open()).map(move |(bind, at)| (named, bind, *at))
    });
    for (named, bind, at) in binds {
        let Some((owner, first)) = seen.get(bind) else {
            seen.insert(bind.clone(), (&named.name, Some(at)));
            continue;
        };
        let is_admin = *owner == "the admin interface";
        let owner = if is_admin { (*owner).to_owned() } else { format!("listener {}", quote(owner)) };
        let message = format!("listener {} and {owner} have the same address, {bind}", quote(&named.name));
        let help =
            if bind.path().is_some() { "give one of them another path" } else { "give one of them another port" };
        let fault = Fault::wrong(at, message).help(help);
        faults.add(match first {
            Some(first) => fault.also(*first, "first used here"),
            None => fault,
        });
    }
}

fn upstreams(form: &Form, faults: &mut Faults) -> Option<Vec<Upstream>> {
    form.upstream_defaults.check(faults);
    let list: Vec<_> = form.upstreams.iter().map(|named| upstream(named, &form.upstream_defaults, faults)).collect();
    let mut list = list.into_iter().collect::<Option<Vec<_>>>()?;
    list.sort_by(|a, b| a.name.cmp(&b.name));
    Some(list)
}

fn upstream(
    named: &Named<(Field<Vec<Endpoint>>, UpstreamForm)>,
    defaults: &UpstreamForm,
    faults: &mut Faults,
) -> Option<Upstream> {
    let (endpoints, own) = &named.form;
    own.model(&named.name, endpoints, defaults, faults)
}

/// What is odd about the endpoints of an upstream.
fn oddities(
    named: &Named<(Field<Vec<Endpoint>>, UpstreamForm)>,
    defaults: &UpstreamForm,
    zone: bool,
) -> impl Iterator<Item = Fault> {
    let endpoints = named.form.0.value().map(Vec::as_slice).unwrap_or_default();
    let name = quote(&named.name);
    let zoned = !zone && endpoints.iter().any(|endpoint| endpoint.zone.is_some());
    let zoned = zoned.then(|| {
        let message = format!("upstream {name} has endpoints with a zone, and `process.zone` is not set");
        Fault::wrong(named.at, message).help("no zone is preferred: say in [process] which one the gateway stands in")
    });
    let backups = !endpoints.is_empty() && endpoints.iter().all(|endpoint| endpoint.priority > 0);
    let backups = backups.then(|| {
        let message = format!("every endpoint of upstream {name} is a backup: none has priority 0");
        Fault::wrong(named.at, message).help("the lowest number is taken first: begin with 0")
    });
    let feedback = &named.form.1.feedback;
    let deaf = feedback.or(&defaults.feedback).value().is_some_and(Option::is_some)
        && !matches!(named.form.1.balance.or(&defaults.balance).value(), None | Some(Balance::Latency));
    let deaf = deaf.then(|| {
        let message =
            format!("upstream {name} listens to what its endpoints report, and its `balance` does not use it");
        let at = feedback.at().unwrap_or(named.at);
        Fault::wrong(at, message).help("only `balance = \"latency\"` does: take that, or `feedback = \"off\"`")
    });
    let insecure = tls::oddity(&format!("upstream {name}"), named.form.1.tls.or(&defaults.tls));
    zoned.into_iter().chain(backups).chain(deaf).chain(insecure)
}

/// The names of the upstreams that routes refer to. A name that no table has is a fault; a table that is itself faulty
/// is there all the same.
fn references<'a>(form: &'a Form, faults: &mut Faults) -> HashSet<&'a str> {
    let mut names: Vec<&str> = form.upstream_keys.iter().map(String::as_str).collect();
    names.sort_unstable();
    let mut used = HashSet::new();
    for (name, at) in routed(form).chain(relayed(form)) {
        used.insert(name);
        if names.binary_search(&name).is_ok() {
            continue;
        }
        let message = format!("upstream {} is not defined", quote(name));
        let help = match names.as_slice() {
            [] => "no upstream is: write [upstream.NAME] with its endpoints".into(),
            _ if faults.is_full() => String::new(),
            names => advice(name, names, |list| format!("defined are: {list}")),
        };
        faults.add(Fault::absent(at, message).help(help));
    }
    used
}

/// The upstreams that routes refer to, each with its place.
fn routed(form: &Form) -> impl Iterator<Item = (&str, Span)> {
    let routes = form.hosts.iter().filter_map(|host| host.routes.value()).flatten();
    routes.map(|route: &RouteForm| (route.upstream.as_str(), route.upstream_at))
}

/// The upstreams that listeners carry bytes to, likewise.
fn relayed(form: &Form) -> impl Iterator<Item = (&str, Span)> {
    form.listeners.iter().flat_map(|named| named.form.1.relay.references())
}

/// What cannot be said of upstreams that bytes are carried to.
fn carried(form: &Form, faults: &mut Faults) {
    let asked: HashSet<&str> = routed(form).map(|(name, _)| name).collect();
    let mut places: HashMap<&str, Span> = HashMap::new();
    for (name, at) in relayed(form) {
        places.entry(name).or_insert(at);
    }
    for named in &form.upstreams {
        if let Some(at) = places.get(named.name.as_str()) {
            let (owner, asked) = (format!("upstream {}", quote(&named.name)), asked.contains(named.name.as_str()));
            named.form.1.carried(&owner, &form.upstream_defaults, (*at, asked), faults);
        }
    }
}

fn distinct_hosts(hosts: &[HostForm], faults: &mut Faults) {
    let mut seen: HashMap<&HostPattern, Span> = HashMap::new();
    for host in hosts {
        let Some(pattern) = &host.pattern else { continue };
        if let Some(first) = seen.get(pattern) {
            let message = format!("host {} is defined twice", quote(&pattern.text()));
            let help = "host names have no upper and lower case: put the routes into one table";
            faults.add(Fault::wrong(host.at, message).also(*first, "first defined here").help(help));
        } else {
            seen.insert(pattern, host.at);
        }
    }
}

fn hosts(form: &Form) -> Option<Vec<Host>> {
    let names = upstream_names(form);
    let route = |route: &RouteForm| {
        let upstream = upstream_index(&names, &route.upstream)?;
        Some(Route { upstream, ..route.route.clone() })
    };
    let host = |host: &HostForm| {
        let routes = host.routes.value()?.iter().map(route).collect::<Option<Vec<_>>>()?;
        Some(Host { pattern: host.pattern.clone()?, routes, clients: host.clients.model()? })
    };
    let mut list = form.hosts.iter().map(host).collect::<Option<Vec<_>>>()?;
    list.sort_by_key(|host| host.pattern.text());
    Some(list)
}

pub(super) fn resolve<K: Kind>(own: &Field<K::Value>, defaults: &Field<K::Value>, key: &Key<K>) -> Option<K::Value> {
    own.or(defaults).resolve(key)
}

/// Of a key that may be absent; nothing where it is faulty.
fn optional<T: Copy>(own: &Field<T>, defaults: &Field<T>) -> Option<Option<T>> {
    match own.or(defaults) {
        Field::Faulty => None,
        field => Some(field.value().copied()),
    }
}
