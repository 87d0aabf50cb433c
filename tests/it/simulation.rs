//! The quick form of the simulation of balancing (`loadtest/balance`): what the product's own policy does to a fleet, event
//! by event, is what it did when `docs/balancing.md` was written.

#[path = "../../loadtest/balance/sim/mod.rs"]
#[allow(dead_code, reason = "the quick form needs a part of it")]
mod sim;

use sim::contenders::LEAST_TIME;
use sim::contenders::ORACLE;
use sim::contenders::RINGWAY;

/// The log of all events.
const HASH: u64 = 0x5bceb7a4256b24db;

#[test]
fn the_simulation_gives_what_was_written_down() {
    let runs = sim::quick::runs();
    let p99 = |scenario: &str, policy: &str| {
        let run = runs.iter().find(|run| run.scenario == scenario && run.policy == policy);
        run.map(|run| run.tally.permille(990)).unwrap()
    };
    // Whatever the hash: these must not be lost.
    assert!(p99("testbed 0.9", RINGWAY) < 1.4 * p99("testbed 0.9", ORACLE));
    assert!(p99("testbed 0.9", RINGWAY) < p99("testbed 0.9", "tower peak-EWMA, per core"));
    assert!(p99("cold join", RINGWAY) < 1.1 * p99("cold join", LEAST_TIME));
    let failing = runs.iter().find(|run| run.scenario == "2 of 20 failing" && run.policy == RINGWAY);
    assert!((1..=10).contains(&failing.unwrap().tally.failed));
    let hash = sim::quick::hash(&runs);
    assert_eq!(
        hash, HASH,
        "\nThe policy, a rival or the simulation does something else than before, with the hash {hash:#018x}.\nIf that is \
         meant: run `loadtest/balance/run`, see which bars are met, write docs/balancing.md anew from what it prints,\nand \
         put that number into HASH in tests/it/simulation.rs.\n"
    );
}

#[test]
fn a_seed_gives_the_same_run_twice() {
    let scenario = sim::scenario::Scenario { end: 1_500_000, ..sim::scenario::failing() };
    let contenders = sim::contenders::all();
    for contender in contenders {
        let log = |seed| sim::engine::run(&scenario, seed, &mut *(contender.make)(&scenario, seed)).log;
        assert_eq!(log(7), log(7), "{}", contender.name);
        assert_ne!(log(7), log(8), "{}", contender.name);
    }
}
