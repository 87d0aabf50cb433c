//! Round robin, each core by itself from a start by chance.

use super::super::policy::Answer;
use super::super::policy::Asked;
use super::super::policy::Policy;
use super::reach;

/// One after the other.
#[derive(Default)]
pub struct RoundRobin {
    members: Vec<usize>,
    next: Vec<Option<usize>>,
}

impl Policy for RoundRobin {
    fn pick(&mut self, asked: &Asked) -> usize {
        let count = self.members.len();
        let next = reach(&mut self.next, asked.core);
        let place = next.unwrap_or_else(|| asked.chance.below(count)) % count;
        *next = Some(place + 1);
        self.members[place]
    }

    fn sent(&mut self, _at: u64, _core: usize, _server: usize) {}

    fn done(&mut self, _answer: &Answer) {}

    fn members(&mut self, _at: u64, members: &[usize]) {
        self.members = members.to_vec();
    }
}
