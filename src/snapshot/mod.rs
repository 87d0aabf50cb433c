//! The configuration compiled for serving: immutable, shared by all cores behind one `Arc`, never written after it is
//! published. It refuses to know sockets and balancer state: what changes belongs to a core.

pub mod clients;
pub mod slots;

use std::sync::Arc;

use crate::address::Address;
use crate::balance::board::Board;
use crate::balance::plan::Plan;
use crate::id::EndpointSlot;
use crate::id::ListenerSlot;
use crate::id::RouteIndex;
use crate::id::RouteSlot;
use crate::id::UpstreamIndex;
use crate::id::UpstreamSlot;
use crate::model;
use crate::model::Model;
use crate::route::Table;
use crate::snapshot::clients::Clients;
use crate::snapshot::slots::Shared;
use crate::snapshot::slots::Slots;

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
    /// Open client connections of the whole process.
    pub connections: Arc<Shared>,
    /// What the cores know of the endpoints together; the same for as long as the process lives.
    pub board: Arc<Board>,
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
    /// How one of them is chosen.
    pub plan: Arc<Plan>,
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
}

impl Snapshot {
    /// Compiles a model. Names keep the slots they had, so that counters, pools and balancer state of what did not
    /// change survive.
    #[must_use]
    pub fn compile(model: Model, slots: &mut Slots) -> Self {
        let listeners = model.listeners.iter().map(|settings| {
            let (slot, connections) = slots.listener(&settings.name);
            Listener { slot, settings: settings.clone(), connections, clients: slots.clients(slot) }
        });
        let listeners = listeners.collect();
        let zone = model.process.zone.as_deref();
        let upstreams = model.upstreams.iter().map(|settings| {
            let (slot, endpoints) = (slots.upstream(&settings.name), endpoints(settings, slots));
            let places: Vec<_> = endpoints.iter().map(|endpoint| endpoint.slot).collect();
            let plan = Arc::new(Plan::of(settings, &places, zone));
            Upstream { slot, settings: settings.clone(), endpoints, plan }
        });
        let upstreams = upstreams.collect();
        let mut routes = Vec::new();
        for host in &model.hosts {
            for route in &host.routes {
                let label = format!("{} {}", host.pattern.text(), route.path.text());
                let slot = slots.route(&label);
                routes.push(Route { slot, label, upstream: route.upstream, settings: route.clone() });
            }
        }
        let table = Table::compile(&model.hosts);
        let (connections, board) = (slots.process(), slots.board());
        Self { sequence: slots.next_sequence(), model, listeners, upstreams, routes, table, connections, board }
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

fn endpoints(upstream: &model::Upstream, slots: &mut Slots) -> Vec<Endpoint> {
    let compiled = upstream.endpoints.iter().map(|endpoint| {
        let label = endpoint.address.to_string();
        let (slot, connections) = slots.endpoint(&format!("{} {label}", upstream.name));
        Endpoint { slot, address: endpoint.address.clone(), weight: endpoint.weight, label, connections }
    });
    compiled.collect()
}
