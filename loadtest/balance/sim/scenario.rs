//! What is simulated: servers, work, load, cores, and what happens when. Plain data, and the lists of it.

use super::chance::Chance;
use super::server::Server;

/// One second in microseconds.
pub const SECOND: u64 = 1_000_000;

/// Servers before it is known which seed draws them.
#[derive(Clone, Debug)]
pub struct Fleet {
    /// How many.
    pub count: usize,
    /// Every other one runs at half speed.
    pub uneven: bool,
    /// Speeds change as in the published testbed, a third of them for the worse.
    pub noise: bool,
    /// Each stops for 0.2 to 0.8 s every 5 s or so.
    pub pauses: bool,
    /// The first so many run so much slower.
    pub slow: Option<(usize, f64)>,
    /// The last so many are not there at first.
    pub absent: usize,
    /// Slots of each.
    pub slots: usize,
}

/// How long requests take at a server of speed 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    /// Exponential.
    Exponential,
    /// Nine in ten a quarter of the mean, one in ten 7.75 times the mean.
    Bimodal,
    /// Pareto, exponent 2.
    Pareto,
    /// Uniform from 0 to twice the mean.
    Uniform,
}

/// What a script does to some servers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// Multiplies their speed, as against what they are by nature.
    Speed(f64),
    /// So many percent of their requests fail at once.
    Fail(u64),
    /// They join.
    Join,
}

/// A change, of the servers from one place to another, at a time.
#[derive(Clone, Debug)]
pub struct Step {
    /// When, in microseconds.
    pub at: u64,
    /// The first and the one past the last.
    pub servers: (usize, usize),
    /// What.
    pub change: Change,
}

/// One run's conditions.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name in tables.
    pub name: String,
    /// Who serves.
    pub fleet: Fleet,
    /// What requests are like.
    pub shape: Shape,
    /// The mean of the work, in microseconds.
    pub mean_work: f64,
    /// Requests for each request that the servers could serve at their nominal speed.
    pub load: f64,
    /// Instead of a rate: so many are always in flight, until so many have been sent.
    pub closed: Option<(usize, usize)>,
    /// Gateways, which share nothing with each other.
    pub gateways: usize,
    /// Cores of each.
    pub cores: usize,
    /// Whether what is being served takes as long as it would have when it was begun, as with servers that sleep, whatever
    /// a script does to their speed meanwhile; noise never takes hold of it.
    pub sleeping: bool,
    /// Whether the first core has most of the requests, the second half of that, and so on.
    pub skewed: bool,
    /// How often a core reads what the others have, in microseconds; 0: whenever it picks.
    pub gossip: u64,
    /// One way over the network, in microseconds.
    pub network: u64,
    /// What is not measured at the start, in microseconds.
    pub warm_up: u64,
    /// Until when requests arrive.
    pub end: u64,
    /// What happens.
    pub script: Vec<Step>,
}

impl Fleet {
    /// As many servers, all alike and steady.
    pub fn equal(count: usize) -> Self {
        Self { count, uneven: false, noise: false, pauses: false, slow: None, absent: 0, slots: 4 }
    }

    /// The published testbed's servers.
    pub fn testbed(count: usize) -> Self {
        Self { uneven: true, noise: true, ..Self::equal(count) }
    }

    /// The servers of a seed.
    pub fn build(&self, mean_work: f64, chance: &Chance) -> Vec<Server> {
        let nature = |n: usize| if self.uneven && n % 2 == 1 { 0.5 } else { 1.0 };
        let mut servers: Vec<Server> = (0..self.count).map(|n| Server::new(nature(n), self.slots, mean_work)).collect();
        if let Some((count, times)) = self.slow {
            servers.iter_mut().take(count).for_each(|server| server.base /= times);
        }
        let present = self.count - self.absent;
        servers.iter_mut().skip(present).for_each(|server| server.member = false);
        if self.noise {
            let mut left = (self.count * 3).div_ceil(10);
            while left > 0 {
                let server = &mut servers[chance.below(self.count)];
                left -= usize::from(!server.noisy);
                server.noisy = true;
            }
        }
        servers
    }
}

impl Scenario {
    /// The published testbed at a load, with the gateway at 16 cores.
    pub fn testbed(name: &str, load: f64) -> Self {
        Self {
            name: name.to_owned(),
            fleet: Fleet::testbed(20),
            shape: Shape::Exponential,
            mean_work: 40_000.0,
            load,
            closed: None,
            gateways: 1,
            cores: 16,
            sleeping: false,
            skewed: false,
            gossip: 1_000,
            network: 100,
            warm_up: 3 * SECOND,
            end: 18 * SECOND,
            script: Vec::new(),
        }
    }

    /// The same with other servers.
    pub fn with(self, fleet: Fleet) -> Self {
        Self { fleet, ..self }
    }

    /// Servers that are all alike and steady, at a load.
    pub fn equal(name: &str, load: f64) -> Self {
        Self::testbed(name, load).with(Fleet::equal(20))
    }

    /// The same with something that happens to servers.
    pub fn then(mut self, seconds: u64, servers: (usize, usize), change: Change) -> Self {
        self.script.push(Step { at: seconds * SECOND, servers, change });
        self
    }

    /// The same with other work.
    pub fn shaped(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }

    /// Requests a second that those servers could serve which are there from the start.
    pub fn capacity(&self, servers: &[Server]) -> f64 {
        let speeds = servers.iter().filter(|server| server.member).map(|server| server.base);
        speeds.sum::<f64>() * self.fleet.slots as f64 * 1e6 / self.mean_work
    }

    /// Work of one request.
    pub fn work(&self, chance: &Chance) -> f64 {
        match self.shape {
            Shape::Exponential => chance.exponential(self.mean_work),
            Shape::Pareto => chance.pareto(self.mean_work),
            Shape::Uniform => chance.between(0.0, 2.0 * self.mean_work),
            Shape::Bimodal if chance.below(10) == 0 => self.mean_work * 7.75,
            Shape::Bimodal => self.mean_work * 0.25,
        }
    }
}

/// The twelve in which a policy is compared with the oracle.
pub fn twelve() -> Vec<Scenario> {
    let pauses = Fleet { pauses: true, ..Fleet::equal(20) };
    vec![
        Scenario::testbed("testbed 0.9", 0.9),
        Scenario::testbed("testbed 1.05", 1.05),
        Scenario::equal("equal 0.7", 0.7),
        Scenario::equal("equal 0.9", 0.9),
        Scenario::equal("pauses 0.5", 0.5).with(pauses.clone()),
        Scenario::equal("pauses 0.8", 0.8).with(pauses),
        Scenario::equal("one 10x slower", 0.7).with(Fleet { slow: Some((1, 10.0)), ..Fleet::equal(20) }),
        Scenario::equal("bimodal", 0.7).shaped(Shape::Bimodal),
        Scenario::equal("pareto", 0.7).shaped(Shape::Pareto),
        Scenario::testbed("three servers", 0.7).with(Fleet::testbed(3)),
        Scenario::testbed("testbed 0.15", 0.15),
        Scenario::testbed("100 servers", 0.9).with(Fleet::testbed(100)),
    ]
}

/// When scripted trouble begins, in seconds.
pub const ONSET: u64 = 5;
/// When the slow episode ends.
pub const RELIEF: u64 = 10;

/// Two of twenty fail at once.
pub fn failing() -> Scenario {
    Scenario::testbed("2 of 20 failing", 0.8).then(ONSET, (0, 2), Change::Fail(100))
}

/// Two of twenty fail a fifth of their requests.
pub fn partly_failing() -> Scenario {
    Scenario::testbed("2 of 20 failing 20 %", 0.8).then(ONSET, (0, 2), Change::Fail(20))
}

/// One of twenty is twenty times slower for five seconds.
pub fn episode() -> Scenario {
    let slow = Scenario::equal("slow episode", 0.7).then(ONSET, (0, 1), Change::Speed(0.05));
    Scenario { end: 30 * SECOND, ..slow.then(RELIEF, (0, 1), Change::Speed(1.0)) }
}

/// The same with servers that sleep: what was begun slowly ends slowly, after the relief too.
pub fn sleeping_episode() -> Scenario {
    Scenario { sleeping: true, name: "slow episode, sleeping".to_owned(), ..episode() }
}

/// A twenty-first joins, five times slower than the others for its first three seconds.
pub fn cold_join() -> Scenario {
    let fleet = Fleet { absent: 1, ..Fleet::equal(21) };
    let cold = Scenario::equal("cold join", 0.8).with(fleet).then(0, (20, 21), Change::Speed(0.2));
    cold.then(ONSET, (20, 21), Change::Join).then(ONSET + 3, (20, 21), Change::Speed(1.0))
}

/// A third of the servers refuses at once and for good.
pub fn zone_lost() -> Scenario {
    Scenario::equal("loss of a zone", 0.5).with(Fleet::equal(21)).then(ONSET, (0, 7), Change::Fail(100))
}

/// So little load that a favourite would show.
pub fn low_load(percent: u32) -> Scenario {
    let low = Scenario::equal(&format!("{percent} % load"), f64::from(percent) / 100.0);
    Scenario { end: 63 * SECOND, ..low }
}

/// tower's published demo: 50,000 requests, 50 in flight, ten endpoints whose latencies are uniform up to 1 ms, four times
/// 10 ms, four times 100 ms and 1,000 ms, and which serve any number at a time.
pub fn demo() -> Scenario {
    let fleet = Fleet { slots: 1_000, ..Fleet::equal(10) };
    let plain = Scenario::equal("tower's demo", 1.0).with(fleet).shaped(Shape::Uniform);
    let closed = Some((50, 50_000));
    let slow = Scenario { closed, cores: 1, network: 0, warm_up: 0, end: 200 * SECOND, mean_work: 500.0, ..plain };
    let slow = slow.then(0, (1, 5), Change::Speed(0.1)).then(0, (5, 9), Change::Speed(0.01));
    slow.then(0, (9, 10), Change::Speed(0.001))
}

/// sathwick-p's published demo: 16 servers, two of them 16 times slower, 500 requests a second. The mean work is ours: with
/// 20 ms round robin's p99 is what was published for it.
pub fn two_slow() -> Scenario {
    let fleet = Fleet { slots: 64, slow: Some((2, 16.0)), ..Fleet::equal(16) };
    let base = Scenario { mean_work: 20_000.0, ..Scenario::equal("2 of 16 16x slower", 1.0) };
    let fitted = base.with(fleet);
    let capacity = (14.0 + 2.0 / 16.0) * 64.0 * 50.0;
    Scenario { load: 500.0 / capacity, ..fitted }
}
