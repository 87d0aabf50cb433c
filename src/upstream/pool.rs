//! The idle connections of one core, by endpoint: taken back last in first out, so that the busy ones stay busy and the
//! surplus grows old; looked at every second, so that one whose other side has closed does not stay.
//!
//! Pools belong to slots and survive a reload. Those of endpoints that left the configuration, or that an operator has
//! ordered out, are emptied; what is lent meanwhile is closed when it comes back. A pool has a floor, whose connections
//! are kept however long they idle: the pool refuses to know who opens them.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::address::Address;
use crate::id::EndpointSlot;
use crate::io::deadline::Wheel;
use crate::io::line::Line;
use crate::observe::metrics::Parting;
use crate::observe::metrics::Slab;
use crate::rand::Rng;
use crate::rand::Share;
use crate::time::TICK;
use crate::upstream::connect::Connection;
use crate::upstream::connect::Life;

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
    /// The ones at the front are the floor.
    idle: VecDeque<Idle>,
    /// None once the endpoint has left the configuration.
    terms: Option<Terms>,
    /// How often other cores had been in want of a connection's place, when that was last looked at.
    asked: u32,
    /// How many have been lent on the strength of the last look.
    lent: usize,
}

/// On which terms an endpoint's connections are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How many idle ones at the most; 0 keeps none.
    pub most: usize,
    /// How many are kept however long they idle.
    pub warm: usize,
    /// How long an idle one is kept, less a share by chance.
    pub idle: Duration,
    /// How many exchanges one carries, less a share by chance.
    pub requests: u32,
    /// How long after its beginning one is lent for the last time, less a share by chance.
    pub age: Duration,
    /// What they are made secure with; 0: they are not.
    pub identity: u64,
}

#[derive(Debug)]
struct Idle {
    // Boxed, since it is handed to and fro.
    connection: Box<Connection>,
    /// On the core's clock.
    since: Duration,
    /// When it was last found silent, in microseconds on the clock that all cores share.
    seen_us: Option<u64>,
}

impl Stack {
    /// Takes the last of those that were found silent a moment ago.
    fn take_seen(&mut self, now_us: u64) -> Option<Idle> {
        let fresh = |idle: &Idle| idle.seen_us.is_some_and(|seen| now_us.saturating_sub(seen) < SEEN_US);
        let place = self.idle.iter().rev().take(Line::LOOKS).position(fresh)?;
        self.lent += 1;
        self.idle.remove(self.idle.len() - 1 - place)
    }

    /// Looks at the last ones, at more of them the more were lent on the strength of the look before, and closes those on
    /// which something was said; says how many.
    fn look(&mut self, now_us: u64) -> usize {
        let count = (2 * mem::take(&mut self.lent)).clamp(1, Line::LOOKS);
        let before = self.idle.len();
        let from = before.saturating_sub(count);
        let news = Line::news(self.idle.range(from..).map(|idle| &idle.connection.line));
        for place in (from..before).rev() {
            if news >> (place - from) & 1 == 1 {
                self.idle.remove(place);
            } else if let Some(idle) = self.idle.get_mut(place) {
                idle.seen_us = Some(now_us);
            }
        }
        before - self.idle.len()
    }
}

impl Terms {
    /// Why a connection is not to be lent again, however good it is.
    fn spent(&self, life: &Life, now: Duration) -> Option<Parting> {
        if life.served >= life.share.off_number(self.requests) {
            return Some(Parting::Requests);
        }
        (now.saturating_sub(life.began) >= life.share.off(self.age)).then_some(Parting::Age)
    }

    /// Why an idle connection is not to stay. `place` counts from the front of its stack.
    fn over(&self, idle: &Idle, place: usize, now: Duration) -> Option<Parting> {
        let life = &idle.connection.life;
        self.spent(life, now).or_else(|| {
            let late = now.saturating_sub(idle.since) >= life.share.off(self.idle);
            (late && place >= self.warm).then_some(Parting::Idle)
        })
    }
}

/// For how long a connection that was found silent is taken to be so, in microseconds: less than a word of the other side
/// takes to come here, so that a later look would know little more, and long enough for all that one turn of a busy loop
/// lends.
const SEEN_US: u64 = 100;

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
            stack.terms = None;
        }
        for (slot, terms) in terms {
            if stacks.len() <= slot.index() {
                stacks.resize_with(slot.index() + 1, Stack::default);
            }
            if let Some(stack) = stacks.get_mut(slot.index()) {
                stack.terms = Some(terms);
            }
        }
        for (slot, stack) in (0..).map(EndpointSlot).zip(stacks.iter_mut()) {
            if let Some(terms) = stack.terms {
                let before = stack.idle.len();
                stack.idle.retain(|idle| idle.connection.identity == terms.identity);
                (stack.idle.len()..before).for_each(|_| self.part(Parting::Removed));
            }
            let surplus = stack.idle.len().saturating_sub(stack.terms.map_or(0, |terms| terms.most));
            let parting = if stack.terms.is_some() { Parting::Surplus } else { Parting::Removed };
            stack.idle.drain(..surplus).for_each(|_| self.part(parting));
            if surplus > 0 {
                self.slab.endpoint(slot).idle.set(stack.idle.len() as u64);
            }
        }
    }

    /// What a connection that is begun now has behind it.
    #[must_use]
    pub fn begin(&self, now: Duration) -> Life {
        Life { began: now, served: 0, share: Share::draw(&self.rng) }
    }

    /// The connection that was put back last, or nearly so, if it is still good: its socket is looked at, since an end, or
    /// words that nobody asked for (a late 408, say), must not become the answer to the next request. One system call at the
    /// most, mostly; on a busy core one for many, since they are looked at together.
    ///
    /// Past `limits::LABELS` endpoints share a slot, and requests of a configuration that was go on: a connection to another
    /// address, or that was made secure in another way than `identity` says, is closed, never lent.
    ///
    /// `now` is coarse, for ages; `now_us` is exact, in microseconds on the clock that all cores share.
    #[must_use]
    pub fn take(
        &self,
        slot: EndpointSlot,
        (address, identity): (&Address, u64),
        (now, now_us): (Duration, u64),
    ) -> Option<Box<Connection>> {
        let mut stacks = self.stacks.borrow_mut();
        let stack = stacks.get_mut(slot.index())?;
        let terms = stack.terms?;
        while !stack.idle.is_empty() {
            let Some(idle) = stack.take_seen(now_us) else {
                (0..stack.look(now_us)).for_each(|_| self.part(Parting::Endpoint));
                continue;
            };
            let over = terms.over(&idle, stack.idle.len(), now);
            let other = idle.connection.address != *address || idle.connection.identity != identity;
            match over.or_else(|| other.then_some(Parting::Surplus)) {
                None => return Some(idle.connection),
                Some(parting) => self.part(parting),
            }
        }
        None
    }

    /// Keeps a connection that has carried an exchange, or closes it: it has done enough, or its endpoint has left; or
    /// closes another, if there are enough.
    pub(super) fn put(&self, slot: EndpointSlot, mut connection: Box<Connection>, now: Duration) {
        let mut stacks = self.stacks.borrow_mut();
        let Some(stack) = stacks.get_mut(slot.index()) else { return };
        let Some(terms) = stack.terms else { return self.part(Parting::Removed) };
        connection.life.served = connection.life.served.saturating_add(1);
        if let Some(parting) = terms.spent(&connection.life, now) {
            return self.part(parting);
        }
        // Its upstream's settings of TLS have changed meanwhile.
        if connection.identity != terms.identity {
            return self.part(Parting::Removed);
        }
        if stack.idle.len() >= terms.most {
            self.part(Parting::Surplus);
            // With the oldest gone there is room, unless there is never any.
            if stack.idle.pop_front().is_none() {
                return;
            }
        }
        connection.line.part();
        stack.idle.push_back(Idle { connection, since: now, seen_us: None });
    }

    /// Keeps a connection that nobody has asked for yet, below all others. One that there is no room for, or whose
    /// endpoint has left the configuration meanwhile, is closed.
    pub fn lay(&self, slot: EndpointSlot, connection: Box<Connection>, now: Duration) {
        let mut stacks = self.stacks.borrow_mut();
        let Some(stack) = stacks.get_mut(slot.index()) else { return };
        match stack.terms {
            None => self.part(Parting::Removed),
            Some(terms) if connection.identity != terms.identity => self.part(Parting::Removed),
            Some(terms) if stack.idle.len() >= terms.most => self.part(Parting::Surplus),
            Some(_) => {
                connection.line.part();
                stack.idle.push_front(Idle { connection, since: now, seen_us: None });
            }
        }
    }

    /// Looks at a part of the pools and closes what is old or was closed by its endpoint, and all of those that `leave`
    /// says of that they take no requests; and of all of them what another core is in want of: as many connections as an
    /// endpoint may have are open, and these are idle. To be called every tick.
    pub fn sweep(&self, now: Duration, leave: impl Fn(EndpointSlot) -> bool) {
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
            let (Some(stack), Ok(slot)) = (stacks.get_mut(place), u32::try_from(place).map(EndpointSlot)) else {
                continue;
            };
            let Stack { idle, terms: Some(terms), .. } = stack else { continue };
            let leaves = leave(slot);
            let mut stay = 0;
            idle.retain(|idle| {
                let fresh = now.saturating_sub(idle.since) <= TICK;
                let over = leaves.then_some(Parting::Removed).or_else(|| terms.over(idle, stay, now));
                let news = || !fresh && idle.connection.line.has_news();
                let over = over.or_else(|| news().then_some(Parting::Endpoint));
                over.map_or_else(|| stay += 1, |parting| self.part(parting));
                over.is_none()
            });
            let count = &self.slab.endpoint(slot).idle;
            if count.get() != stay as u64 {
                count.set(stay as u64);
            }
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

    fn part(&self, parting: Parting) {
        self.slab.partings[parting as usize].add(1);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::Shutdown;
    use std::net::TcpListener;
    use std::net::TcpStream;
    use std::time::Instant;

    use super::*;
    use crate::io::ring;
    use crate::io::ring::Plan;
    use crate::io::ring::Wanted;
    use crate::upstream::connect::Dial;
    use crate::upstream::connect::connect;

    const SLOT: EndpointSlot = EndpointSlot(0);
    const IDLE: Duration = Duration::from_secs(60);
    const AGE: Duration = Duration::from_secs(600);
    const TERMS: Terms = Terms { most: 8, warm: 0, idle: IDLE, requests: 1000, age: AGE, identity: 0 };

    /// One pool before one origin, and a time that the test turns.
    struct Yard {
        pools: Pools,
        origin: TcpListener,
        now: Duration,
    }

    impl Yard {
        /// Runs a test on a loop.
        fn run<F: Future<Output = ()> + 'static>(terms: Terms, test: impl FnOnce(Self) -> F + 'static) {
            let (now, wheel) = (Duration::ZERO, Rc::new(Wheel::new(Instant::now())));
            let pools = Pools::new(wheel.clone(), Arc::default());
            pools.bind(std::iter::once((SLOT, terms)));
            let yard = Self { pools, origin: TcpListener::bind("127.0.0.1:0").unwrap(), now };
            let plan = Plan { wanted: Wanted::Epoll, entries: 256, completions: 256 };
            let ended = ring::run(plan, &wheel, |_| test(yard));
            assert!(matches!(ended, Ok(ring::Ended::Done)));
        }

        fn address(&self) -> Address {
            Address::Ip(self.origin.local_addr().unwrap())
        }

        async fn open(&self) -> Box<Connection> {
            let (shared, patience, address) = (Arc::default(), Duration::from_secs(20), self.address());
            let dial = Dial { slot: SLOT, address: &address, shared: [(&shared, 8); 2], patience, secure: None };
            connect(&dial, &self.pools.wheel, &self.pools.slab, self.pools.begin(self.now)).await.unwrap()
        }

        fn moment(&self) -> (Duration, u64) {
            (self.now, u64::try_from(self.now.as_micros()).unwrap())
        }

        /// Opens that many and lends none of them.
        async fn lay(&self, count: usize) {
            for _ in 0..count {
                let connection = self.open().await;
                self.pools.lay(SLOT, connection, self.now);
            }
        }

        /// As many exchanges as the kept connection carries.
        fn exchanges(&self) -> u32 {
            let mut count = 0;
            while let Some(connection) = self.pools.take(SLOT, (&self.address(), 0), self.moment()) {
                count += 1;
                self.pools.put(SLOT, connection, self.now);
            }
            count
        }

        fn sweep(&self, leave: bool) {
            (0..ROUND).for_each(|_| self.pools.sweep(self.now, |_| leave));
        }

        fn idle(&self) -> usize {
            self.pools.idle(SLOT)
        }

        fn partings(&self, parting: Parting) -> u64 {
            self.pools.slab.partings[parting as usize].get()
        }
    }

    #[test]
    fn a_connection_is_never_lent_to_another_address_that_shares_its_slot() {
        Yard::run(TERMS, |yard| async move {
            let other = Address::Ip(TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
            let connection = yard.open().await;
            yard.pools.put(SLOT, connection, yard.now);
            assert!(
                yard.pools.take(SLOT, (&other, 0), yard.moment()).is_none(),
                "a request would go to the wrong service"
            );
            let connection = yard.open().await;
            yard.pools.put(SLOT, connection, yard.now);
            assert!(yard.pools.take(SLOT, (&yard.address(), 0), yard.moment()).is_some());
        });
    }

    #[test]
    fn a_connection_is_never_lent_to_who_makes_his_secure_in_another_way() {
        Yard::run(TERMS, |yard| async move {
            let keep = async || yard.pools.put(SLOT, yard.open().await, yard.now);
            keep().await;
            assert!(
                yard.pools.take(SLOT, (&yard.address(), 7), yard.moment()).is_none(),
                "it would not have been verified"
            );
            keep().await;
            assert!(yard.pools.take(SLOT, (&yard.address(), 0), yard.moment()).is_some());
            // The settings change: what was made before goes, and what comes back or is laid in is not kept.
            keep().await;
            let lent = yard.open().await;
            yard.pools.bind(std::iter::once((SLOT, Terms { identity: 7, ..TERMS })));
            assert_eq!(yard.idle(), 0);
            yard.pools.put(SLOT, lent, yard.now);
            yard.lay(1).await;
            assert_eq!(yard.idle(), 0);
        });
    }

    #[test]
    fn the_last_that_came_back_goes_first() {
        Yard::run(TERMS, |yard| async move {
            let mut fds = Vec::new();
            for _ in 0..3 {
                let connection = yard.open().await;
                fds.push(connection.line.socket().fd());
                yard.pools.put(SLOT, connection, yard.now);
            }
            let (mut lent, address) = (Vec::new(), yard.address());
            while let Some(connection) = yard.pools.take(SLOT, (&address, 0), yard.moment()) {
                lent.push(connection);
            }
            fds.reverse();
            assert_eq!(lent.iter().map(|connection| connection.line.socket().fd()).collect::<Vec<_>>(), fds);
        });
    }

    #[test]
    fn one_that_has_said_something_is_never_lent_and_those_found_silent_are_lent_without_another_look() {
        Yard::run(TERMS, |mut yard| async move {
            let address = yard.address();
            let mut ends = Vec::new();
            for _ in 0..6 {
                let connection = yard.open().await;
                ends.push(yard.origin.accept().unwrap().0);
                yard.pools.put(SLOT, connection, yard.now);
            }
            let take = |yard: &Yard| yard.pools.take(SLOT, (&address, 0), yard.moment());
            let ours = |end: &TcpStream| end.peer_addr().unwrap();
            let whose = |lent: &Connection| lent.line.socket().local_address().unwrap();
            // The first look is at the last alone, the next at two.
            let lent = [take(&yard).unwrap(), take(&yard).unwrap()];
            assert_eq!([whose(&lent[0]), whose(&lent[1])], [ours(&ends[5]), ours(&ends[4])]);
            // One says what nobody asked for, and one ends: both are found so, wherever they stand.
            ends[3].write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").unwrap();
            ends[1].shutdown(Shutdown::Both).unwrap();
            yard.now += Duration::from_micros(SEEN_US);
            let lent = [take(&yard).unwrap(), take(&yard).unwrap()];
            assert_eq!([whose(&lent[0]), whose(&lent[1])], [ours(&ends[2]), ours(&ends[0])]);
            assert!(take(&yard).is_none());
            assert_eq!(yard.partings(Parting::Endpoint), 2);
        });
    }

    #[test]
    fn a_connection_carries_as_many_exchanges_as_it_may_less_a_share_by_chance() {
        Yard::run(TERMS, |yard| async move {
            let mut counts = Vec::new();
            for _ in 0..50 {
                yard.lay(1).await;
                counts.push(yard.exchanges());
                assert_eq!(yard.idle(), 0);
            }
            assert!(counts.iter().all(|count| (900..=1000).contains(count)), "{counts:?}");
            counts.dedup();
            assert!(counts.len() > 5, "all have the same bound: {counts:?}");
            assert_eq!(yard.partings(Parting::Requests), 50);
        });
    }

    #[test]
    fn a_connection_of_age_is_not_lent_and_not_kept_however_warm() {
        Yard::run(Terms { warm: 8, ..TERMS }, |mut yard| async move {
            yard.lay(2).await;
            yard.now += AGE * 8 / 10;
            yard.sweep(false);
            assert_eq!(yard.idle(), 2);
            let lent = yard.pools.take(SLOT, (&yard.address(), 0), yard.moment()).unwrap();
            yard.now += AGE * 2 / 10;
            yard.pools.put(SLOT, lent, yard.now);
            assert_eq!((yard.idle(), yard.partings(Parting::Age)), (1, 1));
            assert!(yard.pools.take(SLOT, (&yard.address(), 0), yard.moment()).is_none());
            yard.lay(1).await;
            yard.now += AGE;
            yard.sweep(false);
            assert_eq!((yard.idle(), yard.partings(Parting::Age)), (0, 3));
        });
    }

    #[test]
    fn what_is_above_the_floor_goes_when_it_has_idled_and_the_floor_stays() {
        Yard::run(Terms { warm: 2, ..TERMS }, |mut yard| async move {
            yard.lay(5).await;
            yard.now += IDLE;
            yard.sweep(false);
            assert_eq!((yard.idle(), yard.partings(Parting::Idle)), (2, 3));
            assert_eq!(yard.pools.slab.endpoint(SLOT).idle.get(), 2);
            yard.now += IDLE;
            assert!(
                yard.pools.take(SLOT, (&yard.address(), 0), yard.moment()).is_some(),
                "a warm one is there to be lent"
            );
        });
    }

    #[test]
    fn enough_are_enough() {
        Yard::run(Terms { most: 2, warm: 1, ..TERMS }, |yard| async move {
            yard.lay(3).await;
            assert_eq!((yard.idle(), yard.partings(Parting::Surplus)), (2, 1));
            let connection = yard.open().await;
            yard.pools.put(SLOT, connection, yard.now);
            assert_eq!((yard.idle(), yard.partings(Parting::Surplus)), (2, 2));
            yard.pools.bind(std::iter::once((SLOT, Terms { most: 0, ..TERMS })));
            let connection = yard.open().await;
            yard.pools.put(SLOT, connection, yard.now);
            yard.lay(1).await;
            assert_eq!((yard.idle(), yard.partings(Parting::Surplus)), (0, 6));
        });
    }

    #[test]
    fn an_endpoint_that_leaves_takes_its_connections_along() {
        Yard::run(Terms { warm: 2, ..TERMS }, |yard| async move {
            yard.lay(3).await;
            let lent = yard.pools.take(SLOT, (&yard.address(), 0), yard.moment()).unwrap();
            yard.pools.bind(std::iter::empty());
            assert_eq!((yard.idle(), yard.partings(Parting::Removed)), (0, 2));
            yard.pools.put(SLOT, lent, yard.now);
            yard.lay(1).await;
            assert_eq!((yard.idle(), yard.partings(Parting::Removed)), (0, 4));
            assert_eq!(yard.pools.slab.endpoint(SLOT).connections.get(), 0, "one is still open");
            // And it may come back.
            yard.pools.bind(std::iter::once((SLOT, TERMS)));
            yard.lay(1).await;
            assert_eq!(yard.idle(), 1);
        });
    }

    #[test]
    fn an_endpoint_that_is_ordered_out_keeps_nothing() {
        Yard::run(Terms { warm: 2, ..TERMS }, |yard| async move {
            yard.lay(3).await;
            yard.sweep(false);
            assert_eq!(yard.idle(), 3);
            yard.sweep(true);
            assert_eq!((yard.idle(), yard.partings(Parting::Removed)), (0, 3));
        });
    }
}
