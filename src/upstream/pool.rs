//! The idle connections of one core, by endpoint: taken back last in first out, so that the warm ones stay warm and the
//! surplus grows old; looked at every second, so that one whose other side has closed does not stay.
//!
//! Pools belong to slots and survive a reload; those of endpoints that left the configuration are emptied.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crate::address::Address;
use crate::id::EndpointSlot;
use crate::io::deadline::Wheel;
use crate::observe::metrics::Slab;
use crate::rand::Rng;
use crate::rand::Share;
use crate::time::TICK;
use crate::upstream::connect::Connection;

/// All pools of one core.
#[derive(Debug)]
pub struct Pools {
    /// The core's deadlines.
    pub wheel: Rc<Wheel>,
    /// The core's counts.
    pub slab: Arc<Slab>,
    stacks: RefCell<Vec<Stack>>,
    /// Its chance.
    rng: Rng,
    /// The next slot to look at.
    cursor: Cell<usize>,
}

#[derive(Debug, Default)]
struct Stack {
    idle: VecDeque<Idle>,
    terms: Terms,
    /// How often other cores had been in want of a connection's place, when that was last looked at.
    asked: u32,
}

/// On which terms an endpoint's connections are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// How many at the most; 0 also once the endpoint has left the configuration.
    pub most: usize,
    /// For how long, less a share by chance.
    pub idle: Duration,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Instant,
    /// What is taken off the time for which it is kept.
    share: Share,
}

impl Idle {
    /// Whether it has not been idle for too long.
    fn lasts(&self, now: Instant, terms: &Terms) -> bool {
        now.saturating_duration_since(self.since) < self.share.off(terms.idle)
    }
}

/// Ticks in which every pool is looked at once.
const ROUND: usize = 20;

impl Pools {
    /// No pools yet.
    #[must_use]
    pub fn new(wheel: Rc<Wheel>, slab: Arc<Slab>) -> Self {
        Self { wheel, slab, stacks: RefCell::default(), rng: Rng::from_system(), cursor: Cell::new(0) }
    }

    /// Sets the terms of the endpoints of a configuration; those not named keep nothing from now on.
    pub fn bind(&self, terms: impl Iterator<Item = (EndpointSlot, Terms)>) {
        let mut stacks = self.stacks.borrow_mut();
        for stack in stacks.iter_mut() {
            stack.terms = Terms::default();
        }
        for (slot, terms) in terms {
            if stacks.len() <= slot.index() {
                stacks.resize_with(slot.index() + 1, Stack::default);
            }
            if let Some(stack) = stacks.get_mut(slot.index()) {
                stack.terms = terms;
            }
        }
        for stack in stacks.iter_mut() {
            let surplus = stack.idle.len().saturating_sub(stack.terms.most);
            stack.idle.drain(..surplus);
        }
    }

    /// The connection that was put back last, if it is still good: its socket is looked at, since an end, or words that
    /// nobody asked for (a late 408, say), must not become the answer to the next request. One system call.
    ///
    /// Past `limits::LABELS` endpoints share a slot: a connection to another address is closed, never lent.
    #[must_use]
    pub fn take(&self, slot: EndpointSlot, address: &Address, now: Instant) -> Option<Connection> {
        let mut stacks = self.stacks.borrow_mut();
        let stack = stacks.get_mut(slot.index())?;
        while let Some(idle) = stack.idle.pop_back() {
            let fits = idle.connection.address == *address && idle.lasts(now, &stack.terms);
            if fits && !idle.connection.line.socket().has_news() {
                return Some(idle.connection);
            }
        }
        None
    }

    /// Keeps a connection, or closes one if there are enough.
    pub(super) fn put(&self, slot: EndpointSlot, connection: Connection, now: Instant) {
        let mut stacks = self.stacks.borrow_mut();
        let Some(stack) = stacks.get_mut(slot.index()) else { return };
        if stack.terms.most == 0 {
            return;
        }
        if stack.idle.len() >= stack.terms.most {
            stack.idle.pop_front();
        }
        stack.idle.push_back(Idle { connection, since: now, share: Share::draw(&self.rng) });
    }

    /// Looks at a part of the pools and closes what is old or was closed by its endpoint, and of all of them what another
    /// core is in want of: as many connections as an endpoint may have are open, and these are idle. To be called every
    /// tick.
    pub fn sweep(&self, now: Instant) {
        let mut stacks = self.stacks.borrow_mut();
        for Stack { idle, asked, .. } in stacks.iter_mut() {
            let Some(now_asked) = idle.front().map(|idle| idle.connection.asked()) else { continue };
            if mem::replace(asked, now_asked) != now_asked {
                idle.clear();
            }
        }
        let part = stacks.len().div_ceil(ROUND);
        for _ in 0..part {
            let place = self.cursor.get();
            self.cursor.set(if place + 1 < stacks.len() { place + 1 } else { 0 });
            let Some(stack) = stacks.get_mut(place) else { continue };
            let Stack { idle, terms, .. } = stack;
            idle.retain(|idle| {
                let fresh = now.saturating_duration_since(idle.since) <= TICK;
                idle.lasts(now, terms) && (fresh || !idle.connection.line.socket().has_news())
            });
        }
    }

    /// Closes every idle connection.
    pub fn clear(&self) {
        self.stacks.borrow_mut().iter_mut().for_each(|stack| stack.idle.clear());
    }

    /// Idle connections to an endpoint.
    #[must_use]
    pub fn idle(&self, slot: EndpointSlot) -> usize {
        self.stacks.borrow().get(slot.index()).map_or(0, |stack| stack.idle.len())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::io::ring;
    use crate::io::ring::Plan;
    use crate::io::ring::Wanted;
    use crate::upstream::connect::Dial;
    use crate::upstream::connect::connect;

    #[test]
    fn a_connection_is_never_lent_to_another_address_that_shares_its_slot() {
        let origins = [TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap()];
        let [one, two] = origins.each_ref().map(|origin| Address::Ip(origin.local_addr().unwrap()));
        let now = Instant::now();
        let pools = Rc::new(Pools::new(Rc::new(Wheel::new(now)), Arc::default()));
        let slot = EndpointSlot(0);
        pools.bind(std::iter::once((slot, Terms { most: 8, idle: Duration::from_secs(60) })));
        let plan = Plan { wanted: Wanted::Epoll, entries: 256, completions: 256 };
        let wheel = pools.wheel.clone();
        let ended = ring::run(plan, &wheel, |_| async move {
            let shared = Arc::default();
            let patience = Duration::from_secs(20);
            let dial = Dial { slot, address: &one, shared: &shared, connections_max: 8, patience };
            let connection = connect(&dial, &pools.wheel, &pools.slab).await.unwrap();
            pools.put(slot, connection, now);
            assert!(pools.take(slot, &two, now).is_none(), "a request would go to the wrong service");
            let connection = connect(&dial, &pools.wheel, &pools.slab).await.unwrap();
            pools.put(slot, connection, now);
            assert!(pools.take(slot, &one, now).is_some());
        });
        assert!(matches!(ended, Ok(ring::Ended::Done)));
    }
}
