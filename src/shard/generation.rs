//! One snapshot bound to one core: the snapshot, and what the core keeps beside it. Swapped whole, between requests.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use crate::balance::Candidate;
use crate::balance::Picker;
use crate::balance::Tried;
use crate::balance::budget::Budget;
use crate::id::ListenerSlot;
use crate::id::UpstreamIndex;
use crate::model::Keep;
use crate::observe::metrics::Slab;
use crate::rand::Rng;
use crate::snapshot::Listener;
use crate::snapshot::Snapshot;
use crate::upstream::pool::Pools;
use crate::upstream::pool::Terms;

/// A snapshot in force on a core.
#[derive(Debug)]
pub struct Generation {
    /// What all cores share.
    pub snapshot: Arc<Snapshot>,
    /// By [`UpstreamIndex`].
    balance: Vec<RefCell<Balance>>,
}

/// What a core knows of one upstream.
#[derive(Debug)]
struct Balance {
    picker: Picker,
    budget: Budget,
}

impl Generation {
    /// Binds a snapshot. Balancer state and idle connections of endpoints that stay are kept.
    #[must_use]
    pub fn bind(snapshot: Arc<Snapshot>, before: Option<&Self>, pools: &Pools, rng: &Rng, now: Duration) -> Self {
        let balance = snapshot.upstreams.iter().map(|upstream| {
            let candidates = upstream.endpoints.iter();
            let candidates = candidates.map(|e| Candidate { slot: e.slot, weight: e.weight }).collect();
            let known = before.and_then(|before| {
                let place = before.snapshot.upstreams.iter().position(|old| old.slot == upstream.slot)?;
                before.balance.get(place)
            });
            let known = known.map(RefCell::borrow);
            let picker = Picker::bind(&upstream.settings.balance, candidates, known.as_deref().map(|b| &b.picker), rng);
            RefCell::new(Balance { picker, budget: Budget::new(now) })
        });
        let balance = balance.collect();
        pools.bind(snapshot.upstreams.iter().flat_map(|upstream| {
            let settings = &upstream.settings;
            let Keep { connections: most, warm, idle, requests, age } = settings.keep;
            let terms = Terms { most, warm: warm.min(most), idle, requests, age };
            upstream.endpoints.iter().map(move |endpoint| (endpoint.slot, terms))
        }));
        Self { snapshot, balance }
    }

    /// The place of the endpoint that takes the next attempt at an upstream.
    #[must_use]
    pub fn pick(&self, upstream: UpstreamIndex, tried: &Tried, slab: &Slab, rng: &Rng) -> Option<usize> {
        let mut balance = self.balance.get(upstream.index())?.borrow_mut();
        if tried.is_empty() {
            balance.budget.request();
        }
        balance.picker.pick(tried, &|slot| slab.endpoint(slot).in_flight.get(), rng)
    }

    /// Whether another attempt may be paid for.
    #[must_use]
    pub fn may_retry(&self, upstream: UpstreamIndex, now: Duration) -> bool {
        self.balance.get(upstream.index()).is_some_and(|balance| balance.borrow_mut().budget.take(now))
    }

    /// The listener of a slot, unless it has left the configuration.
    #[must_use]
    pub fn listener(&self, slot: ListenerSlot) -> Option<&Listener> {
        self.snapshot.listeners.iter().find(|listener| listener.slot == slot)
    }
}
