//! How many connections each client has open at a listener, over all cores. The one thing behind a lock that cores touch
//! while they serve: when a connection opens or closes, and only where a bound is configured. An address that has no
//! connection open is not held.

#![expect(clippy::disallowed_types, reason = "locked when a connection opens or closes, for a look into a small table")]

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use crate::id::CoreId;

/// The open connections of one listener, by client.
#[derive(Debug, Default)]
pub struct Clients {
    chance: RandomState,
    parts: [Mutex<Part>; PARTS],
}

/// For each client one core number for each connection: a core that dies leaves none behind.
type Part = HashMap<Client, Vec<CoreId>>;

/// Parts that are locked apart, so that cores seldom meet at one.
const PARTS: usize = 16;
/// Room that a part keeps, however empty it is.
const KEPT: usize = 64;

/// Who counts as one client: an IPv4 address, or an IPv6 network of the size that one household has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Client {
    V4(u32),
    /// The first 64 bits.
    V6(u64),
}

/// One connection counted, until dropped.
#[derive(Debug)]
pub struct Counted {
    clients: Arc<Clients>,
    client: Client,
    core: CoreId,
}

impl Clients {
    /// Takes one of the `max` places that the client of an address has, for a connection of a core; or none.
    #[must_use]
    pub fn enter(self: &Arc<Self>, address: IpAddr, core: CoreId, max: u32) -> Option<Counted> {
        let client = Client::of(address);
        let mut part = self.part(client);
        let open = part.get(&client).map_or(0, Vec::len);
        if open >= usize::try_from(max).unwrap_or(usize::MAX) {
            return None;
        }
        part.entry(client).or_default().push(core);
        drop(part);
        Some(Counted { clients: self.clone(), client, core })
    }

    /// Forgets the connections of a core that has died: nobody gives back their places.
    pub fn forget(&self, core: CoreId) {
        for part in &self.parts {
            lock(part).retain(|_, cores| {
                cores.retain(|known| *known != core);
                !cores.is_empty()
            });
        }
    }

    /// Clients that have a connection open.
    #[must_use]
    pub fn known(&self) -> usize {
        self.parts.iter().map(|part| lock(part).len()).sum()
    }

    fn part(&self, client: Client) -> MutexGuard<'_, Part> {
        let hash = self.chance.hash_one(client);
        lock(&self.parts[usize::from(hash.to_le_bytes()[0]) % PARTS])
    }

    fn leave(&self, client: Client, core: CoreId) {
        let mut part = self.part(client);
        if let Some(cores) = part.get_mut(&client) {
            if let Some(place) = cores.iter().position(|known| *known == core) {
                cores.swap_remove(place);
            }
            if cores.is_empty() {
                part.remove(&client);
            }
        }
        // A flood does not keep its room for ever.
        if part.capacity() > KEPT && part.len() < part.capacity() / 8 {
            let room = part.len() * 2;
            part.shrink_to(room);
        }
    }
}

impl Client {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
            }
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.clients.leave(self.client, self.core);
    }
}

fn lock(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    // Nothing that is done under the lock leaves a table half changed.
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: CoreId = CoreId(0);
    const TWO: CoreId = CoreId(1);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_client_has_its_places_over_all_cores_and_others_have_theirs() {
        let clients = Arc::new(Clients::default());
        let first = clients.enter(ip("10.0.0.1"), ONE, 2);
        let second = clients.enter(ip("10.0.0.1"), TWO, 2);
        assert!(first.is_some() && second.is_some());
        assert!(clients.enter(ip("10.0.0.1"), TWO, 2).is_none());
        assert!(clients.enter(ip("::ffff:10.0.0.1"), ONE, 2).is_none(), "the same, written otherwise");
        assert!(clients.enter(ip("10.0.0.2"), ONE, 2).is_some());
        drop(second);
        assert!(clients.enter(ip("10.0.0.1"), ONE, 2).is_some());
        assert_eq!(clients.known(), 1);
        drop(first);
        assert_eq!(clients.known(), 0);
        assert!(clients.enter(ip("10.0.0.1"), ONE, 0).is_none());
        assert_eq!(clients.known(), 0, "who is refused is not held");
    }

    #[test]
    fn a_client_of_ipv6_is_its_network() {
        let clients = Arc::new(Clients::default());
        let _first = clients.enter(ip("2001:db8:0:1::1"), ONE, 1).unwrap();
        assert!(clients.enter(ip("2001:db8:0:1:ffff::2"), ONE, 1).is_none());
        assert!(clients.enter(ip("2001:db8:0:2::1"), ONE, 1).is_some());
    }

    #[test]
    fn a_dead_core_leaves_no_connection_behind() {
        let clients = Arc::new(Clients::default());
        let lost: Vec<_> = (0..3).filter_map(|_| clients.enter(ip("10.0.0.1"), ONE, 4)).collect();
        let kept = clients.enter(ip("10.0.0.1"), TWO, 4);
        clients.forget(ONE);
        let more: Vec<_> = (0..4).filter_map(|_| clients.enter(ip("10.0.0.1"), ONE, 4)).collect();
        assert_eq!((lost.len(), kept.is_some(), more.len()), (3, true, 3));
    }

    #[test]
    fn a_flood_leaves_neither_entries_nor_room_behind() {
        let clients = Arc::new(Clients::default());
        let flood: Vec<_> = (0..50_000_u32).filter_map(|n| clients.enter(IpAddr::V4(n.into()), ONE, 1)).collect();
        assert_eq!((flood.len(), clients.known()), (50_000, 50_000));
        drop(flood);
        assert_eq!(clients.known(), 0);
        assert!(clients.parts.iter().all(|part| lock(part).capacity() <= 2 * KEPT));
    }
}
