//! Which endpoint takes an attempt. Pure: numbers in, a choice out; no socket, no clock, no core. It refuses to know what
//! an endpoint is: it sees weights, slots and how many attempts are in flight at each.

pub mod board;
pub mod budget;
mod least_request;
mod round_robin;

use crate::id::EndpointSlot;
use crate::model::Balance;
use crate::rand::Rng;

/// What a picker may know of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Where it counts.
    pub slot: EndpointSlot,
    /// Its share, at least 1.
    pub weight: u32,
}

/// How many attempts are in flight at an endpoint, as far as this core knows.
pub type InFlight<'a> = &'a dyn Fn(EndpointSlot) -> u64;

/// Chooses among the endpoints of one upstream, on one core.
#[derive(Debug)]
pub struct Picker {
    candidates: Vec<Candidate>,
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

impl Picker {
    /// A picker over candidates. What `previous` knows of those that remain is taken over.
    #[must_use]
    pub fn bind(balance: &Balance, candidates: Vec<Candidate>, previous: Option<&Self>, rng: &Rng) -> Self {
        let policy = match balance {
            Balance::Latency | Balance::LeastRequest | Balance::Random | Balance::Hash(_) => Policy::LeastRequest,
            Balance::RoundRobin => {
                let known = previous.and_then(|picker| match &picker.policy {
                    Policy::RoundRobin(state) => Some((picker.candidates.as_slice(), state)),
                    Policy::LeastRequest => None,
                });
                Policy::RoundRobin(round_robin::State::bind(&candidates, known, rng))
            }
        };
        Self { candidates, policy }
    }

    /// The place of the endpoint that takes the next attempt, one not tried yet; none when all were.
    pub fn pick(&mut self, tried: &Tried, in_flight: InFlight<'_>, rng: &Rng) -> Option<usize> {
        match &mut self.policy {
            Policy::RoundRobin(state) => state.pick(&self.candidates, tried),
            Policy::LeastRequest => least_request::pick(&self.candidates, tried, in_flight, rng),
        }
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
