//! The oracle: greedy, with the true speeds, pauses and queues of all servers at the moment of the choice, and of what is
//! on its way to them. Not a bound: it does not foresee work.

use super::super::policy::Answer;
use super::super::policy::Asked;
use super::super::policy::Policy;

/// Knows.
#[derive(Default)]
pub struct Oracle {
    members: Vec<usize>,
}

impl Policy for Oracle {
    fn pick(&mut self, asked: &Asked) -> usize {
        let mut best = (f64::INFINITY, 0);
        let start = asked.chance.below(self.members.len());
        for place in 0..self.members.len() {
            let server = self.members[(start + place) % self.members.len()];
            let truth = &asked.truth[server];
            let failing = if truth.failing > 0 { 1e12 } else { 0.0 };
            let cost = truth.expected(asked.at) + failing;
            if cost < best.0 {
                best = (cost, server);
            }
        }
        best.1
    }

    fn sent(&mut self, _at: u64, _core: usize, _server: usize) {}

    fn done(&mut self, _answer: &Answer) {}

    fn members(&mut self, _at: u64, members: &[usize]) {
        self.members = members.to_vec();
    }
}
