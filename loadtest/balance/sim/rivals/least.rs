//! Fewest requests in flight: of two drawn (P2C; HAProxy's `random(2)`), or of all (`leastconn`).

use super::super::policy::Answer;
use super::super::policy::Asked;
use super::super::policy::Policy;
use super::Sharing;
use super::reach;

/// How it chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Two different ones, ties to the first drawn.
    Two,
    /// HAProxy's `random(2)`: two draws, which may be the same; ties to the one with fewer requests in the last second.
    HaproxyRandom,
    /// HAProxy's `leastconn`: the least of all; among equals the one that has had its place for longest.
    LeastConn,
}

/// Fewest in flight.
pub struct Least {
    way: Way,
    sharing: Sharing,
    members: Vec<usize>,
    tables: Vec<Vec<Load>>,
    turns: u64,
}

#[derive(Clone, Copy, Default)]
struct Load {
    in_flight: u64,
    /// When it last changed its place in the order.
    moved: u64,
    second: u64,
    this_second: u64,
    last_second: u64,
}

impl Load {
    /// Requests in the last second, as HAProxy's counters have them: the part of the former one that is still in it.
    fn rate(&self, at: u64) -> u64 {
        let (second, part) = (at / 1_000_000, at % 1_000_000);
        match second - self.second {
            0 => self.this_second + self.last_second * (1_000_000 - part) / 1_000_000,
            1 => self.this_second * (1_000_000 - part) / 1_000_000,
            _ => 0,
        }
    }

    fn count(&mut self, at: u64) {
        let second = at / 1_000_000;
        if second != self.second {
            self.last_second = if second == self.second + 1 { self.this_second } else { 0 };
            (self.this_second, self.second) = (0, second);
        }
        self.this_second += 1;
    }
}

impl Least {
    /// With nothing in flight.
    pub fn new(way: Way, sharing: Sharing) -> Self {
        Self { way, sharing, members: Vec::new(), tables: Vec::new(), turns: 0 }
    }

    fn load(&mut self, core: usize, server: usize) -> &mut Load {
        reach(reach(&mut self.tables, self.sharing.table(core)), server)
    }
}

impl Policy for Least {
    fn pick(&mut self, asked: &Asked) -> usize {
        let count = self.members.len();
        let (first, second) = match self.way {
            Way::LeastConn => {
                let all = (0..count).map(|place| self.members[place]).collect::<Vec<_>>();
                let key = |server: &usize| {
                    let load = *reach(reach(&mut self.tables, self.sharing.table(asked.core)), *server);
                    (load.in_flight, load.moved, *server)
                };
                return all.into_iter().min_by_key(key).unwrap_or(0);
            }
            Way::Two => asked.chance.two(count),
            Way::HaproxyRandom => (asked.chance.below(count), asked.chance.below(count)),
        };
        let (first, second) = (self.members[first], self.members[second]);
        let one = *self.load(asked.core, first);
        let other = *self.load(asked.core, second);
        let tie = self.way == Way::HaproxyRandom && other.rate(asked.at) < one.rate(asked.at);
        let other_wins = other.in_flight < one.in_flight || (other.in_flight == one.in_flight && tie);
        if other_wins { second } else { first }
    }

    fn sent(&mut self, at: u64, core: usize, server: usize) {
        self.turns += 1;
        let turns = self.turns;
        let load = self.load(core, server);
        load.in_flight += 1;
        load.moved = turns;
        load.count(at);
    }

    fn done(&mut self, answer: &Answer) {
        self.turns += 1;
        let turns = self.turns;
        let load = self.load(answer.core, answer.server);
        load.in_flight -= 1;
        load.moved = turns;
    }

    fn members(&mut self, _at: u64, members: &[usize]) {
        self.members = members.to_vec();
    }
}
