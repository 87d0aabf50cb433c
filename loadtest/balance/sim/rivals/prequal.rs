//! Prequal, per core, as prequal-rs and its paper have it: a pool of up to 16 reports, none older than a second; one that
//! is hot (more in flight than the quantile 0.6 of the pool) only when all are, then the one with fewest in flight; else
//! the lowest latency among the cold. Reports come with responses and from probes, one for every two picks. Without a
//! server model the reports carry requests in flight alone. Five failures in a row take a server out for a second.

use super::super::policy::Answer;
use super::super::policy::Asked;
use super::super::policy::Policy;
use super::super::policy::Report;
use super::reach;

/// Prequal.
pub struct Prequal {
    model: bool,
    members: Vec<usize>,
    cores: Vec<Core>,
}

#[derive(Default)]
struct Core {
    pool: Vec<Entry>,
    odd: bool,
    worst_next: bool,
    failures: Vec<(u32, u64)>,
}

#[derive(Clone, Copy)]
struct Entry {
    at: u64,
    server: usize,
    held: usize,
    latency: f64,
    uses: u32,
}

/// Reports kept.
const POOL: usize = 16;
/// The oldest report that counts, in microseconds.
const AGE: u64 = 1_000_000;
/// The quantile of requests in flight above which a server is hot.
const HOT: f64 = 0.6;
/// Failures in a row that take a server out, and for how long.
const FAILURES: (u32, u64) = (5, 1_000_000);
/// Picks that one report may serve: with fewer than one new report a pick they must be used again.
const USES: u32 = 2;

impl Prequal {
    /// With the ideal model at the server, or with its requests in flight alone.
    pub fn new(model: bool) -> Self {
        Self { model, members: Vec::new(), cores: Vec::new() }
    }

    fn add(&mut self, at: u64, core: usize, server: usize, report: Report) {
        let pool = &mut reach(&mut self.cores, core).pool;
        if pool.len() >= POOL {
            let oldest = (0..pool.len()).min_by_key(|n| pool[*n].at).unwrap_or(0);
            pool.swap_remove(oldest);
        }
        pool.push(Entry { at, server, held: report.held, latency: report.latency, uses: 0 });
    }
}

/// The place in the pool of the best, or of the worst.
fn choose(pool: &[Entry], model: bool, worst: bool) -> Option<usize> {
    let mut held: Vec<usize> = pool.iter().map(|entry| entry.held).collect();
    held.sort_unstable();
    let limit = *held.get(((held.len() as f64 - 1.0).max(0.0) * HOT).round() as usize)?;
    let key = |n: &usize| {
        let entry = &pool[*n];
        let hot = entry.held > limit;
        let latency = if model && !hot { entry.latency as u64 } else { 0 };
        (hot, if model && !hot { 0 } else { entry.held }, latency, *n)
    };
    if worst { (0..pool.len()).max_by_key(key) } else { (0..pool.len()).min_by_key(key) }
}

impl Policy for Prequal {
    fn pick(&mut self, asked: &Asked) -> usize {
        let model = self.model;
        let core = reach(&mut self.cores, asked.core);
        let members = &self.members;
        core.pool.retain(|entry| asked.at - entry.at <= AGE && entry.uses < USES && members.contains(&entry.server));
        let failures = &core.failures;
        let out = |server: usize| failures.get(server).is_some_and(|(_, until)| *until > asked.at);
        let usable: Vec<Entry> = core.pool.iter().filter(|entry| !out(entry.server)).copied().collect();
        // With fewer than two reports the paper draws by chance.
        let best = if usable.len() < 2 { None } else { choose(&usable, model, false) };
        let Some(best) = best.map(|place| usable[place]) else {
            let drawn = members[asked.chance.below(members.len())];
            return (0..8).map(|_| members[asked.chance.below(members.len())]).find(|n| !out(*n)).unwrap_or(drawn);
        };
        for entry in core.pool.iter_mut().filter(|entry| entry.server == best.server) {
            entry.held += 1;
            entry.uses += u32::from(entry.at == best.at);
        }
        // One is removed with each pick, in turn the oldest and the worst.
        core.worst_next = !core.worst_next;
        if core.pool.len() > POOL / 2 {
            let oldest = (0..core.pool.len()).min_by_key(|n| core.pool[*n].at);
            let place = if core.worst_next { choose(&core.pool, model, true) } else { oldest };
            core.pool.swap_remove(place.unwrap_or(0));
        }
        best.server
    }

    fn sent(&mut self, _at: u64, _core: usize, _server: usize) {}

    fn done(&mut self, answer: &Answer) {
        let core = reach(&mut self.cores, answer.core);
        let (failures, until) = reach(&mut core.failures, answer.server);
        *failures = if answer.ok { 0 } else { *failures + 1 };
        if *failures >= FAILURES.0 {
            (*failures, *until) = (0, answer.at + FAILURES.1);
        }
        if answer.ok {
            self.add(answer.at, answer.core, answer.server, answer.report);
        }
    }

    fn members(&mut self, _at: u64, members: &[usize]) {
        self.members = members.to_vec();
    }

    fn probes(&mut self, asked: &Asked) -> Vec<usize> {
        let members = &self.members;
        let core = reach(&mut self.cores, asked.core);
        core.odd = !core.odd;
        if core.odd { vec![members[asked.chance.below(members.len())]] } else { Vec::new() }
    }

    fn probed(&mut self, at: u64, core: usize, server: usize, report: Report) {
        self.add(at, core, server, report);
    }
}
