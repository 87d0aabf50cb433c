//! The floor of the pools: connections that are opened before anybody asks for them. Looked at every tick; an endpoint
//! that refuses is asked again after pauses that grow, and one that takes no requests is not asked. It refuses to know
//! how connections are lent.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use crate::balance::board::Health;
use crate::balance::board::Order;
use crate::id::EndpointSlot;
use crate::id::UpstreamIndex;
use crate::io::task;
use crate::rand::Rng;
use crate::shard::generation::Generation;
use crate::snapshot::Snapshot;
use crate::upstream::connect::Dial;
use crate::upstream::connect::NoConnection;
use crate::upstream::connect::connect;
use crate::upstream::pool::Pools;

/// What a core keeps warm.
#[derive(Debug, Default)]
pub(super) struct Warm {
    places: RefCell<Vec<Place>>,
    /// Connections being opened.
    dials: Rc<Cell<usize>>,
    /// The next place to look at.
    cursor: Cell<usize>,
}

/// An endpoint that has a floor.
#[derive(Debug)]
struct Place {
    upstream: UpstreamIndex,
    endpoint: usize,
    slot: EndpointSlot,
    tries: Rc<Tries>,
}

/// How opening connections to one endpoint goes; outlasts a reload.
#[derive(Debug, Default)]
struct Tries {
    /// Being opened.
    dialing: Cell<usize>,
    /// Failures in a row.
    failed: Cell<u32>,
    /// Looks to let pass before the next try.
    rest: Cell<usize>,
}

/// One connection being opened, counted until dropped.
struct Dialing {
    tries: Rc<Tries>,
    dials: Rc<Cell<usize>>,
}

/// Connections of one core being opened at once.
const DIALS: usize = 32;
/// Endpoints looked at in a tick.
const LOOKS: usize = 512;
/// The longest pause after failures, in looks: ten seconds, with up to [`LOOKS`] endpoints.
const REST: usize = 200;

impl Warm {
    /// Follows another configuration.
    pub(super) fn bind(&self, snapshot: &Snapshot) {
        let mut places = self.places.borrow_mut();
        let known: HashMap<_, _> = places.drain(..).map(|place| (place.slot, place.tries)).collect();
        for (upstream, index) in snapshot.upstreams.iter().zip((0..).map(UpstreamIndex)) {
            // A connection that begins with a client's name is nobody else's, and neither is one that carries its bytes.
            let single = upstream.carried_alone || upstream.settings.proxy_protocol.is_some();
            if upstream.settings.keep.warm == 0 || single {
                continue;
            }
            for (place, endpoint) in upstream.endpoints.iter().enumerate() {
                // In slot 0 are those that share one: whose an idle connection is, cannot be told there.
                if endpoint.slot != EndpointSlot(0) {
                    let tries = known.get(&endpoint.slot).cloned().unwrap_or_default();
                    places.push(Place { upstream: index, endpoint: place, slot: endpoint.slot, tries });
                }
            }
        }
    }

    /// Opens what is missing; to be called every tick with the generation that was bound last.
    pub(super) fn look(&self, generation: &Rc<Generation>, pools: &Rc<Pools>, rng: &Rng, now: Duration) {
        let places = self.places.borrow();
        for _ in 0..places.len().min(LOOKS) {
            let at = self.cursor.get();
            self.cursor.set(if at + 1 < places.len() { at + 1 } else { 0 });
            let Some(place) = places.get(at) else { continue };
            for _ in 0..place.missing(&generation.snapshot, pools) {
                if self.dials.get() >= DIALS {
                    return;
                }
                self.dial(place, generation, pools, (rng.below(REST), now));
            }
        }
    }

    fn dial(&self, place: &Place, generation: &Rc<Generation>, pools: &Rc<Pools>, (lot, now): (usize, Duration)) {
        let dialing = Dialing::begin(&place.tries, &self.dials);
        let (generation, pools, upstream, endpoint) =
            (generation.clone(), pools.clone(), place.upstream, place.endpoint);
        let slab = pools.slab.clone();
        let opens = async move {
            let (index, upstream) = (upstream, generation.snapshot.upstream(upstream));
            let Some(endpoint) = upstream.endpoints.get(endpoint) else { return };
            let Ok(secure) = generation.secure(index, b"") else { return };
            let dial = Dial::to(upstream, endpoint, upstream.settings.timeout.connect, secure);
            let opened = connect(&dial, &pools.wheel, &pools.slab, pools.begin(now)).await;
            dialing.tries.settle(opened.as_ref().err(), lot);
            match opened {
                Ok(connection) => {
                    pools.slab.warmed.add(1);
                    pools.lay(endpoint.slot, connection, now);
                }
                Err(reason) => tracing::debug!(endpoint = endpoint.label, ?reason, "no connection to keep warm"),
            }
        };
        task::spawn(opens, move |message| {
            slab.panics.add(1);
            tracing::error!(message, "opening a connection panicked");
        });
    }
}

impl Place {
    /// How many connections are to be opened now.
    fn missing(&self, snapshot: &Snapshot, pools: &Pools) -> usize {
        let tries = &self.tries;
        if tries.rest.get() > 0 {
            tries.rest.set(tries.rest.get() - 1);
            return 0;
        }
        let standing = snapshot.board.standing(self.slot);
        if standing.order() != Order::Ready || standing.health() == Health::Down {
            return 0;
        }
        let keep = &snapshot.upstream(self.upstream).settings.keep;
        let there = pools.idle(self.slot) + tries.dialing.get();
        let missing = keep.warm.min(keep.connections).saturating_sub(there);
        // One that failed is asked for one, and for the others once it has given that.
        if tries.failed.get() == 0 { missing } else { missing.min(1usize.saturating_sub(tries.dialing.get())) }
    }
}

impl Tries {
    /// Notes how a try went. `lot` below [`REST`] spreads the next one.
    fn settle(&self, failure: Option<&NoConnection>, lot: usize) {
        let Some(failure) = failure else {
            self.failed.set(0);
            return;
        };
        // Where all are taken nothing is wrong, but nothing is to be had either for a while.
        let failed = if *failure == NoConnection::Full { 4 } else { self.failed.get().saturating_add(1) };
        self.failed.set(failed);
        let pause = (1 << failed.min(8)).min(REST);
        self.rest.set(pause - pause * lot / REST / 4);
    }
}

impl Dialing {
    fn begin(tries: &Rc<Tries>, dials: &Rc<Cell<usize>>) -> Self {
        tries.dialing.set(tries.dialing.get() + 1);
        dials.set(dials.get() + 1);
        Self { tries: tries.clone(), dials: dials.clone() }
    }
}

impl Drop for Dialing {
    fn drop(&mut self) {
        self.tries.dialing.set(self.tries.dialing.get().saturating_sub(1));
        self.dials.set(self.dials.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_a_success_ends_them() {
        let tries = Tries::default();
        let pauses: Vec<_> = (0..12)
            .map(|_| {
                tries.settle(Some(&NoConnection::Refused), 0);
                tries.rest.get()
            })
            .collect();
        assert_eq!(pauses[..8], [2, 4, 8, 16, 32, 64, 128, 200]);
        assert!(pauses[8..].iter().all(|pause| *pause == REST));
        tries.settle(Some(&NoConnection::Refused), REST - 1);
        assert!((REST * 3 / 4..REST).contains(&tries.rest.get()), "{}", tries.rest.get());
        tries.settle(None, 0);
        tries.settle(Some(&NoConnection::Full), 0);
        assert_eq!(tries.rest.get(), 16);
        tries.settle(None, 0);
        assert_eq!(tries.failed.get(), 0);
    }
}
