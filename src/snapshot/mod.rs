//! The configuration compiled for serving: immutable, shared by all cores behind one `Arc`, never written after it is
//! published. It refuses to know sockets and balancer state: what changes belongs to a core.

pub mod clients;
pub mod overload;
pub mod relay;
pub mod slots;

use std::sync::Arc;

use crate::address::Address;
use crate::balance::board::Board;
use crate::balance::plan::Plan;
use crate::balance::sticky::Seal;
use crate::id::EndpointSlot;
use crate::id::ListenerSlot;
use crate::id::RouteIndex;
use crate::id::RouteSlot;
use crate::id::UpstreamIndex;
use crate::id::UpstreamSlot;
use crate::model;
use crate::model::Class;
use crate::model::HostClients;
use crate::model::Model;
use crate::route::Table;
use crate::snapshot::clients::Clients;
use crate::snapshot::overload::Overload;
use crate::snapshot::relay::Relay;
use crate::snapshot::slots::Shared;
use crate::snapshot::slots::Slots;
use crate::tls::challenge::Challenges;
use crate::tls::client::Client;
use crate::tls::server::Server;
use crate::tls::store::Material;

/// One configuration, compiled.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts the published configurations of this process from 1.
    pub sequence: u64,
    /// What it was compiled from.
    pub model: Model,
    /// In the model's order.
    pub listeners: Vec<Listener>,
    /// In the model's order, [`UpstreamIndex`] counts these.
    pub upstreams: Vec<Upstream>,
    /// In the model's order, host by host; [`RouteIndex`] counts these.
    pub routes: Vec<Route>,
    /// Finds a route.
    pub table: Table,
    /// What hosts say of certificates of clients, in the model's order; empty if none says anything.
    rules: Vec<Option<Arc<HostClients>>>,
    /// Open client connections of the whole process.
    pub connections: Arc<Shared>,
    /// What the cores know of the endpoints together; the same for as long as the process lives.
    pub board: Arc<Board>,
    /// How short of something the gateway itself is; the same for as long as the process lives.
    pub overload: Arc<Overload>,
    /// What the files hold that it names for TLS.
    pub material: Arc<Material>,
    /// What authorities are answered who look whether a name is ours, as long as one is to look.
    pub challenges: Option<Arc<Challenges>>,
}

/// A listener, compiled.
#[derive(Debug)]
pub struct Listener {
    /// Where it counts.
    pub slot: ListenerSlot,
    /// Its settings.
    pub settings: model::Listener,
    /// Its open connections, all cores together.
    pub connections: Arc<Shared>,
    /// The same by client, where that is bounded.
    pub clients: Arc<Clients>,
    /// What its TLS connections are made with; absent also where its files were never read: then none is made.
    pub tls: Option<Arc<Server>>,
    /// The line that tells browsers how its hosts are to be asked from now on, its CRLF included; or nothing.
    pub hsts: Box<[u8]>,
    /// Where it carries bytes to, if it reads no requests.
    pub relay: Option<Relay>,
}

/// An upstream, compiled.
#[derive(Debug)]
pub struct Upstream {
    /// Where it counts.
    pub slot: UpstreamSlot,
    /// Its settings.
    pub settings: model::Upstream,
    /// In the order of the file.
    pub endpoints: Vec<Endpoint>,
    /// Its requests in flight, all cores together; counted only where `limits` bounds them.
    pub requests: Arc<Shared>,
    /// Its open connections, all endpoints and cores together.
    pub connections: Arc<Shared>,
    /// What signs its cookies, if it keeps clients at its endpoints.
    pub seal: Option<Seal>,
    /// The highest class of the routes that lead to it.
    pub top: Class,
    /// Whether bytes are carried to it and nothing is asked of it: then no connection to it is kept.
    pub carried_alone: bool,
    /// How one of them is chosen.
    pub plan: Arc<Plan>,
    /// What its TLS connections are made with; absent also where its files were never read: then none is made.
    pub tls: Option<Arc<Client>>,
}

/// An endpoint, compiled.
#[derive(Debug)]
pub struct Endpoint {
    /// Where it counts, and where each core keeps its pool and balancer state.
    pub slot: EndpointSlot,
    /// Where it listens.
    pub address: Address,
    /// Its share.
    pub weight: u32,
    /// Its address as a label.
    pub label: String,
    /// Its open connections, all cores together.
    pub connections: Arc<Shared>,
    /// Its requests in flight, all cores together; counted only where `limits` bounds them.
    pub requests: Arc<Shared>,
}

/// A route, compiled.
#[derive(Debug)]
pub struct Route {
    /// Where it counts.
    pub slot: RouteSlot,
    /// Host pattern and path pattern, as they stand in the file.
    pub label: String,
    /// Where its requests go.
    pub upstream: UpstreamIndex,
    /// Its settings.
    pub settings: model::Route,
    /// What its host says of certificates of clients, if anything.
    pub rule: Option<Arc<HostClients>>,
}

impl Snapshot {
    /// Compiles a model. Names keep the slots they had, so that counters, pools and balancer state of what did not
    /// change survive.
    #[must_use]
    pub fn compile(model: Model, slots: &mut Slots) -> Self {
        let (material, challenges) = (slots.material(), slots.challenges());
        let looked = challenges.as_ref().filter(|challenges| challenges.has_certificates());
        let listeners = model.listeners.iter().map(|settings| {
            let (slot, connections) = slots.listener(&settings.name);
            let tls = settings.tls.as_ref().and_then(|_| material.servers.get(&settings.name).cloned());
            let tls = tls.map(|server| looked.map_or(server.clone(), |looked| Arc::new(server.answering(looked))));
            let hsts = settings.hsts.map_or_else(String::new, hsts).into_bytes().into();
            let (clients, relay) = (slots.clients(slot), settings.relay.as_ref().map(Relay::compile));
            Listener { slot, settings: settings.clone(), connections, clients, tls, hsts, relay }
        });
        let listeners = listeners.collect();
        let zone = model.process.zone.as_deref();
        let upstreams = model.upstreams.iter().enumerate().map(|(place, settings)| {
            let (slot, requests) = slots.upstream(&settings.name);
            let routes = model.hosts.iter().flat_map(|host| &host.routes);
            let asked = routes.filter(|route| route.upstream.index() == place).map(|route| route.class).max();
            let relays = model.listeners.iter().filter_map(|listener| listener.relay.as_ref());
            let carried = relays.flat_map(model::Relay::upstreams).any(|index| index.index() == place);
            // What is carried is of the class of which nothing is said.
            let top = asked.max(carried.then(Class::default)).unwrap_or_default();
            let (endpoints, carried_alone) = (endpoints(settings, slots), carried && asked.is_none());
            let places: Vec<_> = endpoints.iter().map(|endpoint| endpoint.slot).collect();
            let plan = slots.plan(slot, |before| Plan::of(settings, &places, zone, before));
            let seal = slots.seal(settings);
            let tls = settings.tls.as_ref().and_then(|_| material.clients.get(&settings.name).cloned());
            let (settings, connections) = (settings.clone(), slots.connections(slot));
            Upstream { slot, settings, endpoints, requests, connections, seal, top, carried_alone, plan, tls }
        });
        let upstreams = upstreams.collect();
        let (mut routes, mut rules) = (Vec::new(), Vec::new());
        for host in &model.hosts {
            let rule = host.clients.clone().map(Arc::new);
            rules.push(rule.clone());
            for route in &host.routes {
                let label = format!("{} {}", host.pattern.text(), route.path.text());
                let slot = slots.route(&label);
                let (upstream, settings) = (route.upstream, route.clone());
                routes.push(Route { slot, label, upstream, settings, rule: rule.clone() });
            }
        }
        if rules.iter().all(Option::is_none) {
            rules.clear();
        }
        let table = Table::compile(&model.hosts);
        let (connections, board, overload) = (slots.process(), slots.board(), slots.overload());
        let sequence = slots.next_sequence();
        Self {
            sequence,
            model,
            listeners,
            upstreams,
            routes,
            table,
            rules,
            connections,
            board,
            overload,
            material,
            challenges,
        }
    }

    /// What the host that takes this name says of certificates of clients, if anything.
    #[must_use]
    pub fn rule(&self, name: &[u8]) -> Option<&Arc<HostClients>> {
        if self.rules.is_empty() {
            return None;
        }
        self.rules.get(self.table.host(name)?)?.as_ref()
    }

    /// The route of an index that [`Table::find`] gave.
    #[must_use]
    pub fn route(&self, index: RouteIndex) -> &Route {
        &self.routes[index.index()]
    }

    /// The upstream of an index that a route holds.
    #[must_use]
    pub fn upstream(&self, index: UpstreamIndex) -> &Upstream {
        &self.upstreams[index.index()]
    }
}

impl Endpoint {
    /// The `Host` of a request that has none.
    #[must_use]
    pub fn authority(&self) -> &str {
        match self.address {
            Address::Ip(_) => &self.label,
            // A path is no authority, and whoever is at the other end of it is on this machine.
            Address::Unix(_) => "localhost",
        }
    }
}

fn hsts(hsts: model::Hsts) -> String {
    let subdomains = if hsts.subdomains { "; includeSubDomains" } else { "" };
    let preload = if hsts.preload { "; preload" } else { "" };
    format!("Strict-Transport-Security: max-age={}{subdomains}{preload}\r\n", hsts.age.as_secs())
}

fn endpoints(upstream: &model::Upstream, slots: &mut Slots) -> Vec<Endpoint> {
    let compiled = upstream.endpoints.iter().map(|endpoint| {
        let label = endpoint.address.to_string();
        let (slot, connections) = slots.endpoint(&format!("{} {label}", upstream.name));
        let requests = slots.requests(slot);
        Endpoint { slot, address: endpoint.address.clone(), weight: endpoint.weight, label, connections, requests }
    });
    compiled.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::balance::plan::Rules;
    use crate::model::Balance;
    use crate::model::HashTable;
    use crate::model::Hashing;
    use crate::model::fixture;

    #[test]
    fn a_reload_that_leaves_an_upstream_as_it_was_leaves_its_tables_too() {
        let addresses = |n: u16| (1..=n).map(|port| Address::Ip(([127, 0, 0, 1], port).into())).collect::<Vec<_>>();
        let hashing = Hashing { keys: Vec::new(), table: HashTable::Maglev, bound_percent: 125 };
        let upstream = |name, n| model::Upstream {
            balance: Balance::Hash(hashing.clone()),
            ..fixture::upstream(name, &addresses(n))
        };
        let mut slots = Slots::default();
        let mut compile = |upstreams| Snapshot::compile(Model { upstreams, ..fixture::empty() }, &mut slots);
        let plan = |snapshot: &Snapshot, place: usize| snapshot.upstreams[place].plan.clone();
        let first = compile(vec![upstream("a", 3), upstream("b", 3)]);
        let second = compile(vec![upstream("b", 4), upstream("a", 3)]);
        assert!(plan(&second, 1).shares_tables(&plan(&first, 0)));
        assert!(!plan(&second, 0).shares_tables(&plan(&first, 1)));
        // What has left is not kept for its return.
        let slot = second.upstreams[1].slot;
        drop((first, second));
        let kept =
            slots.plan(slot, |before| Plan::new(before.map_or_else(Rules::default, |plan| plan.rules.clone()), vec![]));
        assert_eq!(kept.rules, Rules::default());
    }
}
