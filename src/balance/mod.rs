//! Which endpoint takes an attempt. Pure: numbers in, a choice out; no socket, no clock, no core. It refuses to know what
//! an endpoint is: it sees weights, slots and how many attempts are in flight at each.

pub mod board;
pub mod budget;
pub mod cost;
mod fold;
pub mod hash;
mod least_request;
pub mod ledger;
pub mod orca;
pub mod plan;
mod round_robin;
pub mod turn;
mod word;

use std::rc::Rc;
use std::sync::Arc;

use crate::balance::ledger::Ledger;
pub use crate::balance::plan::Candidate;
use crate::balance::plan::Plan;
use crate::id::EndpointSlot;
use crate::id::UpstreamSlot;
use crate::model::Balance;
use crate::rand::Rng;

/// How many attempts are in flight at an endpoint, as far as this core knows.
pub type InFlight<'a> = &'a dyn Fn(EndpointSlot) -> u64;

/// Chooses among the endpoints of one upstream, on one core.
#[derive(Debug)]
pub struct Picker {
    ledger: Rc<Ledger>,
    fleet: UpstreamSlot,
    plan: Arc<Plan>,
    policy: Policy,
}

#[derive(Debug)]
enum Policy {
    RoundRobin(round_robin::State),
    LeastRequest,
}

/// The endpoints that have been tried for one request, by their place among the candidates.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tried {
    places: [u32; Tried::MOST],
    count: usize,
}

/// What is wanted for one attempt.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Where the request has been already.
    pub tried: &'a Tried,
    /// The hash of its key, if it has one and the policy wants one: [`hash::of`].
    pub key: Option<u64>,
    /// The place where a cookie keeps its client.
    pub sticky: Option<usize>,
}

impl Picker {
    /// A picker for the upstream of a slot, on the core of a ledger. What `previous` knows of those that remain is taken
    /// over.
    #[must_use]
    pub fn bind(
        ledger: &Rc<Ledger>,
        fleet: UpstreamSlot,
        plan: &Arc<Plan>,
        previous: Option<&Self>,
        rng: &Rng,
    ) -> Self {
        let policy = match plan.rules.balance {
            Balance::Latency | Balance::LeastRequest | Balance::Random | Balance::Hash(_) => Policy::LeastRequest,
            Balance::RoundRobin => {
                let known = previous.and_then(|picker| match &picker.policy {
                    Policy::RoundRobin(state) => Some((picker.plan.candidates.as_slice(), state)),
                    Policy::LeastRequest => None,
                });
                Policy::RoundRobin(round_robin::State::bind(&plan.candidates, known, rng))
            }
        };
        Self { ledger: ledger.clone(), fleet, plan: plan.clone(), policy }
    }

    /// The place of the endpoint that takes the next attempt, one not tried yet; none when all were, or none is eligible.
    /// `now` in microseconds, as the board counts them.
    pub fn pick(&mut self, ask: &Ask<'_>, _now: u64, rng: &Rng) -> Option<usize> {
        let board = self.ledger.board();
        match &mut self.policy {
            Policy::RoundRobin(state) => state.pick(&self.plan.candidates, ask.tried),
            Policy::LeastRequest => {
                least_request::pick(&self.plan.candidates, ask.tried, &|slot| board.in_flight(slot), rng)
            }
        }
    }

    /// The upstream.
    #[must_use]
    pub fn fleet(&self) -> UpstreamSlot {
        self.fleet
    }
}

impl Tried {
    /// The most that one request may try.
    pub const MOST: usize = 10;

    /// Notes a place as tried. Past [`MOST`](Self::MOST) nothing more is noted.
    pub fn note(&mut self, place: usize) {
        if let (Some(cell), Ok(place)) = (self.places.get_mut(self.count), u32::try_from(place)) {
            *cell = place;
            self.count += 1;
        }
    }

    /// Whether a place was tried.
    #[must_use]
    pub fn has(&self, place: usize) -> bool {
        self.places.iter().take(self.count).any(|tried| *tried as usize == place)
    }

    /// Whether none was.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod tests;
