//! What is settled of an upstream's balancing when its configuration is compiled: the endpoints in their order, the
//! policy, and the tables that hashing needs. Immutable, shared by all cores.

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
}

/// All of it.
#[derive(Debug)]
pub struct Plan {
    /// How.
    pub rules: Rules,
    /// Among whom, in the order of the file.
    pub candidates: Vec<Candidate>,
    /// With hashing: a table for each priority, the lowest first.
    pub(super) tables: Vec<Table>,
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
        }
    }
}

impl Rules {
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
        let tables = match &rules.balance {
            Balance::Hash(hashing) => tables(hashing.table, &candidates),
            _ => Vec::new(),
        };
        Self { rules, candidates, tables }
    }

    /// That of an upstream of the configuration, whose endpoints count in these slots, in a gateway that stands in `zone`.
    #[must_use]
    pub fn of(upstream: &model::Upstream, slots: &[EndpointSlot], zone: Option<&str>) -> Self {
        let candidates = upstream.endpoints.iter().zip(slots).map(|(endpoint, slot)| Candidate {
            weight: endpoint.weight.max(1),
            priority: endpoint.priority,
            near: zone.is_some() && endpoint.zone.as_deref() == zone,
            ..Candidate::plain(*slot, &endpoint.address.to_string())
        });
        Self::new(Rules::of(upstream), candidates.collect())
    }
}

fn tables(kind: HashTable, candidates: &[Candidate]) -> Vec<Table> {
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
