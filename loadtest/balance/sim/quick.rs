//! The quick form, which the tests run: a few seconds of four scenarios with the product and three rivals, one seed, and
//! one hash over all that happened.

use super::contenders;
use super::contenders::LEAST_TIME;
use super::contenders::ORACLE;
use super::contenders::RINGWAY;
use super::engine::run;
use super::scenario;
use super::scenario::SECOND;
use super::scenario::Scenario;
use super::tally::Log;
use super::tally::Tally;

/// One run of the quick form.
pub struct Run {
    /// The scenario.
    pub scenario: String,
    /// The policy.
    pub policy: &'static str,
    /// What it came to.
    pub tally: Tally,
}

/// Runs it.
pub fn runs() -> Vec<Run> {
    let short = |scenario: Scenario| Scenario { cores: 4, end: 8 * SECOND, ..scenario };
    let scenarios = [
        short(Scenario::testbed("testbed 0.9", 0.9)),
        short(scenario::failing()),
        short(scenario::cold_join()),
        Scenario { gateways: 2, skewed: true, ..short(Scenario::equal("two gateways, uneven cores", 0.7)) },
    ];
    let among = [RINGWAY, LEAST_TIME, "tower peak-EWMA, per core", ORACLE];
    let contenders: Vec<_> = contenders::all().into_iter().filter(|one| among.contains(&one.name)).collect();
    let mut runs = Vec::new();
    for scenario in &scenarios {
        for contender in &contenders {
            let tally = run(scenario, 1, &mut *(contender.make)(scenario, 1));
            runs.push(Run { scenario: scenario.name.clone(), policy: contender.name, tally });
        }
    }
    runs
}

/// One hash of all.
pub fn hash(runs: &[Run]) -> u64 {
    let mut log = Log::default();
    runs.iter().for_each(|run| log.note(run.tally.log.0));
    log.0
}
