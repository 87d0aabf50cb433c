//! Peak-EWMA behind two choices, as tower and Finagle have it: a mean that jumps to each peak and decays with time, times
//! what is in flight. Failures count as answers, as they do there.

use super::super::chance::exp;
use super::super::policy::Answer;
use super::super::policy::Asked;
use super::super::policy::Policy;
use super::Sharing;
use super::reach;

/// Whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// tower (and Linkerd): 10 s, an endpoint not heard of counts as 30 ms.
    Tower,
    /// Finagle: 10 s, one not heard of counts as nothing, and as a great deal as soon as it has a request.
    Finagle,
}

/// Two choices over peak-EWMA.
pub struct Ewma {
    rule: Rule,
    sharing: Sharing,
    members: Vec<usize>,
    tables: Vec<Vec<Option<Metric>>>,
}

#[derive(Clone, Copy)]
struct Metric {
    cost: f64,
    stamp: u64,
    pending: u64,
}

/// Time after which a value counts for a third, in microseconds.
const DECAY: f64 = 10_000_000.0;
/// What an endpoint not heard of costs at tower, in microseconds.
const DEFAULT: f64 = 30_000.0;
/// What it costs at Finagle with a request in flight; there in nanoseconds.
const PENALTY: f64 = (i64::MAX >> 16) as f64 / 1_000.0;

impl Metric {
    fn observe(&mut self, at: u64, latency: f64) {
        if latency > self.cost {
            self.cost = latency;
        } else {
            let weight = exp(-((at - self.stamp) as f64) / DECAY);
            self.cost = self.cost * weight + latency * (1.0 - weight);
        }
        self.stamp = at;
    }

    /// Both decay the value when it is read.
    fn load(&mut self, at: u64, rule: Rule) -> f64 {
        self.observe(at, 0.0);
        if rule == Rule::Finagle && self.cost == 0.0 && self.pending > 0 {
            return PENALTY + self.pending as f64;
        }
        self.cost * (self.pending + 1) as f64
    }
}

impl Ewma {
    /// One that has heard of nobody.
    pub fn new(rule: Rule, sharing: Sharing) -> Self {
        Self { rule, sharing, members: Vec::new(), tables: Vec::new() }
    }

    fn metric(&mut self, at: u64, core: usize, server: usize) -> &mut Metric {
        let cost = if self.rule == Rule::Tower { DEFAULT } else { 0.0 };
        let entry = reach(reach(&mut self.tables, self.sharing.table(core)), server);
        entry.get_or_insert(Metric { cost, stamp: at, pending: 0 })
    }
}

impl Policy for Ewma {
    fn pick(&mut self, asked: &Asked) -> usize {
        let (first, second) = asked.chance.two(self.members.len());
        let (first, second) = (self.members[first], self.members[second]);
        let rule = self.rule;
        let one = self.metric(asked.at, asked.core, first).load(asked.at, rule);
        let other = self.metric(asked.at, asked.core, second).load(asked.at, rule);
        if other < one { second } else { first }
    }

    fn sent(&mut self, at: u64, core: usize, server: usize) {
        self.metric(at, core, server).pending += 1;
    }

    fn done(&mut self, answer: &Answer) {
        let metric = self.metric(answer.at, answer.core, answer.server);
        metric.pending -= 1;
        metric.observe(answer.at, answer.latency as f64);
    }

    fn members(&mut self, _at: u64, members: &[usize]) {
        self.members = members.to_vec();
    }
}
