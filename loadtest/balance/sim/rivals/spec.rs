//! The formula of `latency` written out plainly, with everything shared exactly and at once: what the product comes to
//! without rows, folds, tables and whole numbers. It stands beside the product to show what those cost.

use super::super::chance::Chance;
use super::super::chance::exp;
use super::super::chance::ln;
use super::super::policy::Answer;
use super::super::policy::Asked;
use super::super::policy::Policy;
use super::Sharing;
use super::reach;

/// The formula.
pub struct Spec {
    sharing: Sharing,
    members: Vec<usize>,
    tables: Vec<Table>,
}

#[derive(Default)]
struct Table {
    states: Vec<State>,
    median: f64,
    median_at: u64,
}

#[derive(Clone, Copy, Default)]
struct State {
    in_flight: u64,
    sent: u64,
    mean: f64,
    mean_at: u64,
    penalty: f64,
    penalty_at: u64,
}

const TAU: f64 = 3e6;
const LEAST_SHARE: f64 = 0.01;
const CLIP: f64 = 3.0;
const AGE: f64 = 0.5;
const RETURN: f64 = 3e6;
const LOOKS: usize = 8;
const PENALTY: f64 = 5e6;
const PENALTY_TAU: f64 = 10e6;

impl State {
    fn sample(&mut self, at: u64, latency: f64) {
        if self.mean == 0.0 {
            (self.mean, self.mean_at) = (latency, at);
            return;
        }
        let latency = latency.min(CLIP * self.mean);
        let share = (1.0 - exp(-((at - self.mean_at) as f64) / TAU)).max(LEAST_SHARE);
        self.mean += (latency - self.mean) * share;
        self.mean_at = at;
    }

    fn decayed(&self, at: u64) -> f64 {
        self.penalty * exp(-((at - self.penalty_at) as f64) / PENALTY_TAU)
    }

    fn cost(&self, at: u64, median: f64) -> f64 {
        let mut value = if self.mean > 0.0 { self.mean } else { median };
        if self.in_flight == 0 && value > median {
            value = median + (value - median) * exp(-((at - self.mean_at) as f64) / RETURN);
        }
        if self.in_flight > 0 {
            value = value.max(AGE * (at as f64 - self.sent as f64 / self.in_flight as f64));
        }
        value = value.max(self.decayed(at)).max(1.0);
        let step = (4.0 * ln(value) / std::f64::consts::LN_2).round() / 4.0;
        exp(step * std::f64::consts::LN_2) * (self.in_flight + 1) as f64
    }
}

impl Spec {
    /// One that knows nothing.
    pub fn new(sharing: Sharing) -> Self {
        Self { sharing, members: Vec::new(), tables: Vec::new() }
    }
}

fn draw(members: &[usize], chance: &Chance) -> Vec<usize> {
    let mut left = members.to_vec();
    if left.len() <= LOOKS {
        return left;
    }
    for place in 0..LOOKS {
        let other = place + chance.below(left.len() - place);
        left.swap(place, other);
    }
    left.truncate(LOOKS);
    left
}

impl Policy for Spec {
    fn pick(&mut self, asked: &Asked) -> usize {
        let table = reach(&mut self.tables, self.sharing.table(asked.core));
        if asked.at >= table.median_at + 10_000 {
            table.median_at = asked.at;
            let mut means: Vec<f64> = self.members.iter().map(|n| reach(&mut table.states, *n).mean).collect();
            means.retain(|mean| *mean > 0.0);
            means.sort_unstable_by(f64::total_cmp);
            table.median = means.get(means.len() / 2).copied().unwrap_or(1.0);
        }
        let (mut best, mut equals) = ((f64::INFINITY, 0), 0);
        for server in draw(&self.members, asked.chance) {
            let cost = reach(&mut table.states, server).cost(asked.at, table.median);
            equals = if cost < best.0 { 1 } else { equals + usize::from(cost <= best.0) };
            if cost < best.0 || (cost <= best.0 && asked.chance.below(equals) == 0) {
                best = (cost, server);
            }
        }
        best.1
    }

    fn sent(&mut self, at: u64, core: usize, server: usize) {
        let state = reach(&mut reach(&mut self.tables, self.sharing.table(core)).states, server);
        state.in_flight += 1;
        state.sent += at;
    }

    fn done(&mut self, answer: &Answer) {
        let state = reach(&mut reach(&mut self.tables, self.sharing.table(answer.core)).states, answer.server);
        state.in_flight -= 1;
        state.sent -= answer.sent;
        if answer.ok {
            state.sample(answer.at, answer.latency as f64);
        } else {
            state.penalty = PENALTY.max(state.decayed(answer.at)).max(state.mean);
            state.penalty_at = answer.at;
        }
    }

    fn members(&mut self, _at: u64, members: &[usize]) {
        self.members = members.to_vec();
    }
}
