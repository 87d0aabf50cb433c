//! What the board says of an endpoint, put together for people: the admin interface, events and metrics.

use std::collections::BTreeMap;

use crate::balance::board::Board;
use crate::balance::board::Health;
use crate::balance::board::Order;
use crate::balance::cost;
use crate::balance::cost::Penalty;
use crate::balance::crew::Crew;
use crate::balance::fold;
use crate::balance::fold::Reason;
use crate::balance::fold::Tally;
use crate::balance::plan::Plan;
use crate::id::EndpointSlot;
use crate::id::UpstreamSlot;

/// How an endpoint does. Times in microseconds, on the board's clock where they are moments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    /// What an operator has ordered.
    pub order: Order,
    /// What the health check says.
    pub health: Health,
    /// The weight that an operator has given it.
    pub weight: Option<u32>,
    /// Until when it is out for failing, at the least; then one request tries it. Nothing: it is not out.
    pub out_until: Option<u64>,
    /// Whether a request is trying it now.
    pub on_trial: bool,
    /// Why it is out, or was out last.
    pub reason: Option<Reason>,
    /// Times out ever.
    pub ejections: u64,
    /// Failures in a row.
    pub failures_in_row: u64,
    /// Mean latency to a response head; nothing: none is known.
    pub mean_us: Option<u64>,
    /// The latency that its last failures stand for, now; 0: they are forgotten.
    pub penalty_us: u64,
    /// What of its share it takes, in hundredths, while it starts slowly.
    pub share_percent: u32,
    /// Requests in flight.
    pub in_flight: u64,
    /// Good answers ever.
    pub good: u64,
    /// Failures ever.
    pub bad: u64,
}

impl State {
    /// Whether it takes new requests, beside panic and trials.
    #[must_use]
    pub fn is_eligible(&self) -> bool {
        self.order == Order::Ready && self.health != Health::Down && self.out_until.is_none()
    }
}

impl Board {
    /// How an endpoint does at `now`. `slow_start_us` is what its upstream says.
    #[must_use]
    pub fn state(&self, slot: EndpointSlot, slow_start_us: u64, now: u64) -> State {
        let standing = self.standing(slot);
        let word = |place| standing.folded.one(place);
        let tally = Tally::of(word(fold::TALLY));
        let cleared = word(fold::CLEARED_AT);
        let (mut in_flight, mut good, mut bad, mut penalty) = (0, 0, 0, 0.0_f32);
        for load in self.loads(slot) {
            in_flight += u64::from(load.in_flight());
            good += load.good.get();
            bad += load.bad.get();
            let (last, at) = Penalty::read(load.penalty.get());
            if at + 16 > cleared {
                penalty = penalty.max(cost::float(last) * cost::decay(now.saturating_sub(at), cost::PENALTY_TAU_US));
            }
        }
        let share = match word(fold::SINCE) {
            0 | 1 => 1.0,
            since => cost::slow_start(now.saturating_sub(since), slow_start_us),
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 300,000,000")]
        let (penalty_us, share_percent) = (penalty as u64, (share * 100.0) as u32);
        State {
            order: standing.order(),
            health: standing.health(),
            weight: standing.weight(),
            out_until: Some(word(fold::OUT_UNTIL)).filter(|until| *until > 0),
            on_trial: standing.trial().is_some(),
            reason: tally.reason(),
            ejections: tally.ever,
            failures_in_row: tally.row,
            mean_us: Some(fold::mean_us(word(fold::MEAN))).filter(|mean| *mean > 0),
            penalty_us,
            share_percent,
            in_flight,
            good,
            bad,
        }
    }

    /// The median of the means of an upstream's endpoints, in microseconds; nothing: none is known.
    #[must_use]
    pub fn median(&self, upstream: UpstreamSlot) -> Option<u64> {
        Some(self.fleet(upstream).folded.one(fold::MEDIAN)).filter(|median| *median > 0)
    }

    /// The priorities of a plan of which all endpoints are taken now, because too few are eligible; the lowest first.
    #[must_use]
    pub fn in_panic(&self, plan: &Plan) -> Vec<u8> {
        let mut crews: BTreeMap<u8, Crew> = BTreeMap::new();
        for candidate in &plan.candidates {
            crews.entry(candidate.priority).or_default().count(self.standing(candidate.slot));
        }
        let sum = crews.values().map(Crew::capacity).sum();
        let panics = crews.iter().filter(|(_, crew)| crew.panics(sum, plan.rules.panic_percent));
        panics.map(|(priority, _)| *priority).collect()
    }

    /// Endpoints of a plan that are eligible, and all that no operator has taken out.
    #[must_use]
    pub fn eligible(&self, plan: &Plan) -> (usize, usize) {
        let ready = plan.candidates.iter().map(|candidate| self.standing(candidate.slot));
        ready.filter(|standing| standing.order() == Order::Ready).fold((0, 0), |(eligible, ready), standing| {
            let up = standing.health() != Health::Down && !standing.is_out();
            (eligible + usize::from(up), ready + 1)
        })
    }
}
