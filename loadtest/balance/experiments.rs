//! All that is simulated, run after run, each as a row. It refuses to know what the rows are read for.

use crate::rows::Row;
use crate::rows::Series;
use crate::sim::contenders;
use crate::sim::contenders::Contender;
use crate::sim::contenders::RINGWAY;
use crate::sim::engine::run;
use crate::sim::scenario;
use crate::sim::scenario::SECOND;
use crate::sim::scenario::Scenario;
use crate::sim::tally::Tally;

/// The first of the seeds, none of which was looked at when a constant was chosen.
pub const FIRST_SEED: u64 = 2001;

/// Everything that has been run.
#[derive(Default)]
pub struct Results {
    /// A row a run.
    pub rows: Vec<Row>,
    /// What happened over time, of all seeds together.
    pub series: Vec<Series>,
}

/// Policies whose score is kept per core or shared, for the sweeps over cores.
const PAIRS: [&str; 5] = [
    RINGWAY,
    "P2C least request, per core",
    "P2C least request, shared",
    "tower peak-EWMA, per core",
    "tower peak-EWMA, shared",
];

/// Runs all with so many seeds.
pub fn all(seeds: u64) -> Results {
    let mut results = Results::default();
    let everybody = contenders::all();
    results.twelve(&everybody, seeds);
    results.published(&everybody, seeds.min(5));
    results.trouble(&everybody, seeds);
    results.loads(&everybody, seeds.min(10));
    results.cores(&everybody, seeds.min(10));
    results.gossip(seeds);
    results.low_loads(&everybody, seeds);
    results
}

impl Results {
    fn each(&mut self, experiment: &'static str, (scenario, x): (&Scenario, f64), who: &[Contender], seeds: u64) {
        for contender in who {
            self.one(experiment, (scenario, x), (contender.name, contender.make), seeds);
        }
    }

    fn one(
        &mut self,
        experiment: &'static str,
        (scenario, x): (&Scenario, f64),
        (name, make): (&str, impl Fn(&Scenario, u64) -> Box<dyn crate::sim::policy::Policy>),
        seeds: u64,
    ) {
        for seed in FIRST_SEED..FIRST_SEED + seeds {
            let tally = run(scenario, seed, &mut *make(scenario, seed));
            self.rows.push(Row::new((experiment, &scenario.name), name, (x, seed), &tally));
            if !scenario.script.is_empty() && scenario.closed.is_none() {
                self.follow(&scenario.name, name, &tally);
            }
        }
        eprintln!("{experiment}: {}, {x}: {name}", scenario.name);
    }

    fn follow(&mut self, scenario: &str, policy: &str, tally: &Tally) {
        let place = self.series.iter().position(|series| series.scenario == scenario && series.policy == policy);
        let place = place.unwrap_or_else(|| {
            self.series.push(Series::new(scenario, policy, tally.shares.len()));
            self.series.len() - 1
        });
        self.series[place].add(tally);
    }

    fn twelve(&mut self, who: &[Contender], seeds: u64) {
        for scenario in scenario::twelve() {
            self.each("twelve", (&scenario, 0.0), who, seeds);
        }
    }

    fn published(&mut self, who: &[Contender], seeds: u64) {
        self.each("published", (&scenario::demo(), 0.0), who, seeds);
        self.each("published", (&scenario::two_slow(), 0.0), who, seeds);
        // The published testbed has 20 clients that know nothing of each other.
        for load in [0.7, 0.9, 1.05] {
            let clients = Scenario { cores: 20, ..Scenario::testbed("testbed, 20 cores", load) };
            self.each("published", (&clients, load), who, seeds);
        }
    }

    fn trouble(&mut self, who: &[Contender], seeds: u64) {
        let skewed = Scenario { skewed: true, ..Scenario::testbed("uneven cores, testbed 0.9", 0.9) };
        let scenarios = [
            scenario::failing(),
            scenario::partly_failing(),
            scenario::zone_lost(),
            scenario::episode(),
            scenario::sleeping_episode(),
            scenario::cold_join(),
            skewed,
        ];
        for scenario in &scenarios {
            self.each("trouble", (scenario, 0.0), who, seeds);
        }
        // Beyond its defaults: `max_fails=1` and the statuses that count.
        let failing = scenario::failing();
        let make = |s: &Scenario, _| -> Box<dyn crate::sim::policy::Policy> {
            Box::new(crate::sim::rivals::LeastTime::new(crate::sim::rivals::Sharing::among(s.cores), true))
        };
        self.one("trouble", (&failing, 0.0), ("nginx least_time, max_fails=1", make), seeds);
    }

    fn loads(&mut self, who: &[Contender], seeds: u64) {
        for load in [0.15, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0, 1.05, 1.1, 1.2] {
            self.each("load", (&Scenario::testbed("testbed", load), load), who, seeds);
        }
    }

    fn cores(&mut self, who: &[Contender], seeds: u64) {
        let who: Vec<Contender> = who.iter().filter(|one| PAIRS.contains(&one.name)).copied().collect();
        let alone = |s: &Scenario, seed| -> Box<dyn crate::sim::policy::Policy> {
            Box::new(crate::sim::product::Product::new(s.gateways * s.cores, 1, s.gossip, seed))
        };
        for cores in [1, 2, 4, 8, 16, 32, 64] {
            let scenario = Scenario { cores, ..Scenario::testbed("testbed 0.9", 0.9) };
            let seeds = if cores > 16 { seeds.min(5) } else { seeds };
            self.each("cores", (&scenario, cores as f64), &who, seeds);
            self.one("cores", (&scenario, cores as f64), ("ringway latency, per core", alone), seeds);
        }
        for gateways in [1, 2, 4, 8, 16] {
            let scenario = Scenario { cores: 4, gateways, ..Scenario::testbed("testbed 0.9, 4 cores a gateway", 0.9) };
            self.each("gateways", (&scenario, gateways as f64), &who, seeds);
        }
    }

    fn gossip(&mut self, seeds: u64) {
        let who: Vec<Contender> = contenders::all().into_iter().filter(|one| one.name == RINGWAY).collect();
        for (work, network) in [(40_000.0, 100), (10_000.0, 100), (2_000.0, 50)] {
            for gossip in [0, 500, 1_000, 2_000, 5_000, 10_000, 50_000] {
                let name = format!("testbed 0.9, {} ms of work", work / 1000.0);
                let base = Scenario::testbed(&name, 0.9);
                // As many requests, whatever their length, and ten seconds at the most: short ones are many.
                let end = base.warm_up + if work < 20_000.0 { 5 * SECOND } else { 15 * SECOND };
                let seeds = if work < 20_000.0 { seeds.min(5) } else { seeds };
                let scenario = Scenario { mean_work: work, network, gossip, end, ..base };
                self.each("gossip", (&scenario, gossip as f64 / 1000.0), &who, seeds);
            }
        }
    }

    fn low_loads(&mut self, who: &[Contender], seeds: u64) {
        for percent in [2, 10] {
            self.each("low load", (&scenario::low_load(percent), f64::from(percent)), who, seeds);
        }
    }
}
