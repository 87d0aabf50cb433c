//! Which endpoint takes an attempt. Pure: numbers in, a choice out; no socket, no clock, no core. It refuses to know what
//! an endpoint is: it sees weights, slots and how many attempts are in flight at each.

pub mod board;
pub mod budget;
mod choose;
pub mod cost;
mod crew;
pub mod fold;
pub mod hash;
pub mod ledger;
pub mod orca;
pub mod plan;
mod round_robin;
pub mod state;
pub mod sticky;
pub mod turn;
mod view;
mod word;

use std::rc::Rc;
use std::sync::Arc;

use crate::balance::board::Health;
use crate::balance::board::Order;
use crate::balance::ledger::Ledger;
pub use crate::balance::plan::Candidate;
use crate::balance::plan::Plan;
use crate::balance::view::Seen;
use crate::balance::view::View;
use crate::id::UpstreamSlot;
use crate::model::Balance;
use crate::model::Hashing;
use crate::rand::Rng;

/// Chooses among the endpoints of one upstream, on one core.
#[derive(Debug)]
pub struct Picker {
    ledger: Rc<Ledger>,
    fleet: UpstreamSlot,
    plan: Arc<Plan>,
    view: View,
    turns: Option<round_robin::State>,
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

/// Steps from a key's own place to the next that has room.
const STEPS: usize = 8;

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
        let turns = (plan.rules.balance == Balance::RoundRobin).then(|| {
            let known = previous.and_then(|picker| Some((picker.plan.candidates.as_slice(), picker.turns.as_ref()?)));
            round_robin::State::bind(&plan.candidates, known, rng)
        });
        let view = View::new(plan, ledger.board());
        Self { ledger: ledger.clone(), fleet, plan: plan.clone(), view, turns }
    }

    /// How often this core has looked at what the others have at an endpoint, to choose the least: for measurements.
    #[must_use]
    pub fn stale_looks(&self) -> u64 {
        self.view.stale
    }

    /// The place of the endpoint that takes the next attempt, one not tried yet; none when all were, or none is eligible.
    /// `now` in microseconds, as the board counts them.
    pub fn pick(&mut self, ask: &Ask<'_>, now: u64, rng: &Rng) -> Option<usize> {
        let Self { ledger, fleet, plan, view, turns } = self;
        let board = ledger.board();
        let seen = Seen { plan, board, core: ledger.core(), now };
        view.follow(seen, board.fleet(*fleet), rng);
        if let Some(place) = ask.sticky.filter(|place| !ask.tried.has(*place) && stays(seen, *place)) {
            return Some(place);
        }
        // A retry goes where it is safe.
        if ask.tried.is_empty()
            && let Some(place) = view.trial(seen)
        {
            return Some(place);
        }
        let level = view.level(rng);
        if view.levels.get(level)?.panic {
            ledger.row().share(*fleet).panics.add(1);
        }
        let first = choose(seen, view, turns, (ask, level), rng);
        // Of this level all were tried; another may have some that were not.
        first.or_else(|| (0..view.levels.len()).find_map(|level| choose(seen, view, turns, (ask, level), rng)))
    }

    /// The place of any eligible endpoint that has room, one of the lowest level that has one; for a request that has looked
    /// at as many without as it can remember. Looks at all of them.
    pub fn any(&mut self, has_room: impl Fn(usize) -> bool, now: u64, rng: &Rng) -> Option<usize> {
        let Self { ledger, fleet, plan, view, .. } = self;
        let board = ledger.board();
        view.follow(Seen { plan, board, core: ledger.core(), now }, board.fleet(*fleet), rng);
        view.levels.iter().find_map(|level| {
            let (before, after) = level.all.split_at(rng.below(level.all.len().max(1)).min(level.all.len()));
            after.iter().chain(before).map(|place| *place as usize).find(|place| has_room(*place))
        })
    }
}

/// Whether a client that a cookie keeps at an endpoint may stay: it is there, and at the most drained.
fn stays(seen: Seen<'_>, place: usize) -> bool {
    seen.plan.candidates.get(place).is_some_and(|candidate| {
        let standing = seen.board.standing(candidate.slot);
        standing.order() != Order::Down && standing.health() != Health::Down && !standing.is_out()
    })
}

/// One of a level, by the policy.
#[inline]
fn choose(
    seen: Seen<'_>,
    view: &mut View,
    turns: &mut Option<round_robin::State>,
    (ask, level): (&Ask<'_>, usize),
    rng: &Rng,
) -> Option<usize> {
    let tried = ask.tried;
    match &seen.plan.rules.balance {
        Balance::Latency => view.least(seen, (level, tried), rng, |seat, in_flight| seat.cost * in_flight),
        Balance::LeastRequest => view.least(seen, (level, tried), rng, |seat, in_flight| seat.even * in_flight),
        Balance::RoundRobin => {
            view.sum(seen, false);
            turns.as_mut()?.pick(view.list_of(level, rng), &view.shares, tried)
        }
        Balance::Random => {
            view.sum(seen, false);
            random(view, level, tried, rng)
        }
        Balance::Hash(hashing) => hashed(seen, view, (ask, level), hashing)
            .or_else(|| view.least(seen, (level, tried), rng, |seat, in_flight| seat.even * in_flight)),
    }
}

/// One by chance, by weight. Where zones are told apart, weights are drawn among the list that has the turn.
fn random(view: &View, level: usize, tried: &Tried, rng: &Rng) -> Option<usize> {
    let (list, sums) = view.weighed(level, rng);
    let total = usize::try_from(*sums.last()?).unwrap_or(usize::MAX);
    let untried = |place: &usize| !tried.has(*place);
    for _ in 0..Tried::MOST {
        let draw = rng.below(total) as u64;
        let at = sums.partition_point(|sum| *sum <= draw);
        if let Some(place) = list.get(at).map(|place| *place as usize).filter(untried) {
            return Some(place);
        }
    }
    list.iter().map(|place| *place as usize).find(untried)
}

/// The endpoint of a key, or the next one that is eligible and has room.
fn hashed(seen: Seen<'_>, view: &mut View, (ask, level): (&Ask<'_>, usize), hashing: &Hashing) -> Option<usize> {
    let key = ask.key?;
    let table = seen.plan.tables.get(level)?;
    let bound = u64::from(hashing.bound_percent);
    view.sum(seen, bound > 0);
    let mut steps = table.walk(key).take(STEPS + 1);
    steps.find(|place| {
        !ask.tried.has(*place) && view.is_listed(level, *place) && view.has_room(seen, level, (*place, bound))
    })
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
    #[inline]
    #[must_use]
    pub fn has(&self, place: usize) -> bool {
        self.places.iter().take(self.count).any(|tried| *tried as usize == place)
    }

    /// Whether no more can be noted.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.count >= Self::MOST
    }

    /// Whether none was.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

#[cfg(test)]
mod hash_tests;
#[cfg(test)]
mod shared_tests;
#[cfg(test)]
mod tests;
