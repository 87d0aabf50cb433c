//! What a core owes to numbers that all cores share: whatever it has counted there, so that this can be taken back once the
//! core has died and nothing of it does so any more. It refuses to know how a core dies.
//!
//! A name that has left the configuration may be owed to as well, by what began before it left; so every name that the core
//! has ever served is held here, by its slot, as the numbers themselves are for as long as the process lives.

use std::cell::RefCell;
use std::sync::Arc;

use crate::id::CoreId;
use crate::id::EndpointSlot;
use crate::id::ListenerSlot;
use crate::id::UpstreamSlot;
use crate::observe::metrics::Count;
use crate::observe::metrics::Slab;
use crate::snapshot::Snapshot;
use crate::snapshot::clients::Clients;
use crate::snapshot::slots::Shared;

type BySlot<T> = RefCell<Vec<Option<T>>>;

/// Whom a core may owe to.
#[derive(Debug, Default)]
pub struct Estate {
    listeners: BySlot<(Arc<Shared>, Arc<Clients>)>,
    upstreams: BySlot<Arc<Shared>>,
    /// Open connections, those of the whole upstream, requests in flight.
    endpoints: BySlot<[Arc<Shared>; 3]>,
    process: RefCell<Option<Arc<Shared>>>,
}

impl Estate {
    /// Adds the names of a configuration.
    pub fn bind(&self, snapshot: &Snapshot) {
        self.process.borrow_mut().get_or_insert_with(|| snapshot.connections.clone());
        let (mut listeners, mut upstreams) = (self.listeners.borrow_mut(), self.upstreams.borrow_mut());
        for listener in &snapshot.listeners {
            note(&mut listeners, listener.slot.index(), || (listener.connections.clone(), listener.clients.clone()));
        }
        let mut endpoints = self.endpoints.borrow_mut();
        for upstream in &snapshot.upstreams {
            note(&mut upstreams, upstream.slot.index(), || upstream.requests.clone());
            for endpoint in &upstream.endpoints {
                note(&mut endpoints, endpoint.slot.index(), || {
                    [endpoint.connections.clone(), upstream.connections.clone(), endpoint.requests.clone()]
                });
            }
        }
    }

    /// Takes back all that the core has counted, there and in its own slab, of what was open or under way.
    pub fn settle(&self, slab: &Slab, core: CoreId) {
        for (slot, listener) in (0..).map(ListenerSlot).zip(self.listeners.borrow().iter()) {
            let open = &slab.listener(slot).open;
            if let Some((connections, clients)) = listener {
                give_back(open, connections);
                clients.forget(core);
            }
            open.set(0);
        }
        if let Some(process) = self.process.borrow().as_ref() {
            give_back(&slab.connections, process);
        }
        for (slot, requests) in (0..).map(UpstreamSlot).zip(self.upstreams.borrow().iter()) {
            let counts = slab.upstream(slot);
            requests.iter().for_each(|requests| give_back(&counts.places, requests));
            counts.places.set(0);
            counts.waiting.set(0);
        }
        for (slot, shared) in (0..).map(EndpointSlot).zip(self.endpoints.borrow().iter()) {
            let counts = slab.endpoint(slot);
            if let Some([connections, all, requests]) = shared {
                (0..counts.connections.get()).for_each(|_| all.leave());
                give_back(&counts.connections, connections);
                give_back(&counts.places, requests);
            }
            counts.connections.set(0);
            counts.in_flight.set(0);
            counts.idle.set(0);
            counts.places.set(0);
        }
        for count in [&slab.parked, &slab.in_flight, &slab.tunnels_open, &slab.standing_lag_us] {
            count.set(0);
        }
    }
}

/// Slot 0 is of the names past the bound. Each of them has numbers of its own, until the next configuration, and all count
/// in one place of the slab: who of them is owed how much, cannot be told, and is forgotten.
fn note<T>(list: &mut Vec<Option<T>>, slot: usize, make: impl FnOnce() -> T) {
    if list.len() <= slot {
        list.resize_with(slot + 1, || None);
    }
    if let Some(entry) = list.get_mut(slot).filter(|entry| slot != 0 && entry.is_none()) {
        *entry = Some(make());
    }
}

fn give_back(count: &Count, shared: &Shared) {
    (0..count.get()).for_each(|_| shared.leave());
    count.set(0);
}
