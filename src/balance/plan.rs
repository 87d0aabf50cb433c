//! What is settled of an upstream's balancing when its configuration is compiled: the endpoints in their order, the
//! policy, and the tables that hashing needs. Immutable, shared by all cores.

use std::sync::Arc;

use crate::balance::hash;
use crate::balance::hash::Member;
use crate::balance::hash::Table;
use crate::id::EndpointSlot;
use crate::model;
use crate::model::Balance;
use crate::model::Ejection;
use crate::model::HashTable;
use crate::time::us;

/// How old what a core knows of the other cores may be, in microseconds, while cores and endpoints are not very many.
pub const FRESH_US: u64 = 1000;
/// Of the endpoint that is chosen, what is known of the other cores may be as old as the rules say while cores times endpoints
/// are no more than this; with more of them it may be as much older.
const ENTRIES: u64 = 16_384;
/// The same of those that are looked at and are not chosen. With 64 cores and 100 endpoints, busy with requests of two
/// milliseconds, an older word of the one that is chosen is not borne: all would run to the same one, and 4 ms instead of 1 make
/// the p99 2.3 times as long. An older word of the others is, and spares six of ten looks (`docs/performance.md`, "Scaling").
pub const REST_ENTRIES: u64 = 2048;

/// What a picker may know of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where it counts.
    pub slot: EndpointSlot,
    /// Its share, at least 1.
    pub weight: u32,
    /// Endpoints of a higher number are backups.
    pub priority: u8,
    /// Whether it stands in the gateway's own zone.
    pub near: bool,
    /// Who it is, whatever its place in the list: its address, hashed.
    pub id: u64,
}

/// How endpoints are chosen and left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// The policy.
    pub balance: Balance,
    /// How long an endpoint that is new, or back, takes to its full share, in microseconds; 0: it has it at once.
    pub slow_start_us: u64,
    /// Percent of the endpoints that must be eligible; with fewer, all are taken.
    pub panic_percent: u32,
    /// When an endpoint that fails is left out.
    pub ejection: Ejection,
    /// Whether what endpoints report of themselves counts.
    pub reports: bool,
    /// How old what a core knows of the other cores may be, in microseconds; 0: it looks whenever it chooses.
    pub fresh_us: u64,
    /// With more cores times endpoints than this, it may be as much older of those that are looked at and not chosen.
    pub rest_entries: u64,
}

/// All of it.
#[derive(Debug)]
pub struct Plan {
    /// How.
    pub rules: Rules,
    /// Among whom, in the order of the file.
    pub candidates: Vec<Candidate>,
    /// With hashing: a table for each priority, the lowest first. Those of a plan before this one, where they are the same.
    pub(super) tables: Arc<[Table]>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            balance: Balance::Latency,
            slow_start_us: 10_000_000,
            panic_percent: 50,
            ejection: Ejection::default(),
            reports: false,
            fresh_us: FRESH_US,
            rest_entries: REST_ENTRIES,
        }
    }
}

impl Rules {
    /// With so many cores times endpoints: how old what is known of the other cores may be of the endpoint that is chosen, and
    /// of the rest, in microseconds.
    #[must_use]
    pub fn ages_us(&self, entries: u64) -> (u64, u64) {
        let age = |bound: u64| self.fresh_us * entries.div_ceil(bound.max(1)).max(1);
        let chosen = age(ENTRIES);
        (chosen, age(self.rest_entries).max(chosen))
    }

    /// Those of an upstream.
    #[must_use]
    pub fn of(upstream: &model::Upstream) -> Self {
        Self {
            balance: upstream.balance.clone(),
            slow_start_us: us(upstream.slow_start),
            panic_percent: upstream.panic_percent,
            ejection: upstream.ejection,
            reports: upstream.feedback.is_some(),
            fresh_us: FRESH_US,
            rest_entries: REST_ENTRIES,
        }
    }
}

impl Candidate {
    /// One of weight 1, in no zone, and nobody's backup.
    #[must_use]
    pub fn plain(slot: EndpointSlot, address: &str) -> Self {
        Self { slot, weight: 1, priority: 0, near: false, id: hash::of(address.as_bytes()) }
    }
}

impl Plan {
    /// A plan. With hashing, its tables are built here, which takes a millisecond or two: not on a core.
    #[must_use]
    pub fn new(rules: Rules, candidates: Vec<Candidate>) -> Self {
        Self::after(rules, candidates, None)
    }

    /// The same, with the tables of the plan before if nothing that they are made of has changed.
    fn after(rules: Rules, candidates: Vec<Candidate>, before: Option<&Self>) -> Self {
        let tables = match (&rules.balance, before) {
            (Balance::Hash(hashing), Some(before)) if before.hashes_alike(hashing.table, &candidates) => {
                before.tables.clone()
            }
            (Balance::Hash(hashing), _) => tables(hashing.table, &candidates),
            _ => Arc::default(),
        };
        Self { rules, candidates, tables }
    }

    /// Whether both have the same tables, and not only equal ones.
    #[cfg(test)]
    pub(crate) fn shares_tables(&self, other: &Self) -> bool {
        !self.tables.is_empty() && Arc::ptr_eq(&self.tables, &other.tables)
    }

    /// Whether its tables are those of such candidates.
    fn hashes_alike(&self, kind: HashTable, candidates: &[Candidate]) -> bool {
        let made_of = |candidate: &Candidate| (candidate.id, candidate.weight, candidate.priority);
        matches!(&self.rules.balance, Balance::Hash(own) if own.table == kind)
            && self.candidates.iter().map(made_of).eq(candidates.iter().map(made_of))
    }

    /// That of an upstream of the configuration, whose endpoints count in these slots, in a gateway that stands in `zone`.
    /// `before` is that of the configuration before, if there is one.
    #[must_use]
    pub fn of(upstream: &model::Upstream, slots: &[EndpointSlot], zone: Option<&str>, before: Option<&Self>) -> Self {
        let candidates = upstream.endpoints.iter().zip(slots).map(|(endpoint, slot)| Candidate {
            weight: endpoint.weight.max(1),
            priority: endpoint.priority,
            near: zone.is_some() && endpoint.zone.as_deref() == zone,
            ..Candidate::plain(*slot, &endpoint.address.to_string())
        });
        Self::after(Rules::of(upstream), candidates.collect(), before)
    }
}

fn tables(kind: HashTable, candidates: &[Candidate]) -> Arc<[Table]> {
    let mut priorities: Vec<u8> = candidates.iter().map(|candidate| candidate.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    let tables = priorities.into_iter().map(|priority| {
        let all = (0_u16..).zip(candidates).filter(|(_, candidate)| candidate.priority == priority);
        let members: Vec<_> =
            all.map(|(place, candidate)| Member { place, id: candidate.id, weight: candidate.weight }).collect();
        match kind {
            HashTable::Maglev => Table::maglev(&members),
            HashTable::Ring => Table::ring(&members),
        }
    });
    tables.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Hashing;
    use crate::model::fixture;

    fn plan(table: HashTable, endpoints: &[(&str, u32, u8)], before: Option<&Plan>) -> Plan {
        let addresses: Vec<_> = endpoints.iter().map(|(address, ..)| address.parse().unwrap()).collect();
        let mut upstream = fixture::upstream("app", &addresses);
        for (endpoint, (_, weight, priority)) in upstream.endpoints.iter_mut().zip(endpoints) {
            (endpoint.weight, endpoint.priority) = (*weight, *priority);
        }
        upstream.balance = Balance::Hash(Hashing { keys: Vec::new(), table, bound_percent: 125 });
        let slots: Vec<_> = (1..).take(endpoints.len()).map(EndpointSlot).collect();
        Plan::of(&upstream, &slots, None, before)
    }

    #[test]
    fn tables_are_built_anew_only_where_what_they_are_made_of_has_changed() {
        const A: (&str, u32, u8) = ("127.0.0.1:1", 1, 0);
        const B: (&str, u32, u8) = ("127.0.0.1:2", 2, 0);
        let first = plan(HashTable::Maglev, &[A, B], None);
        let kept = |table, endpoints: &[_]| {
            let then = plan(table, endpoints, Some(&first));
            let anew = plan(table, endpoints, None);
            let order =
                |plan: &Plan| (0..200).map(|key| plan.tables[0].walk(hash::mixed(key)).next()).collect::<Vec<_>>();
            assert_eq!(order(&then), order(&anew), "whatever it was made from");
            Arc::ptr_eq(&then.tables, &first.tables)
        };
        assert!(kept(HashTable::Maglev, &[A, B]));
        for endpoints in
            [&[A][..], &[B, A], &[A, (B.0, 3, 0)], &[A, (B.0, 2, 1)], &[A, ("127.0.0.1:3", 2, 0)], &[A, B, A]]
        {
            assert!(!kept(HashTable::Maglev, endpoints), "{endpoints:?}");
        }
        assert!(!kept(HashTable::Ring, &[A, B]));
    }
}
