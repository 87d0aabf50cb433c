//! How old may what a core knows of the others be, where there are many of both? Sixty-four cores and a hundred servers,
//! ages from one millisecond to eight: what it does to the choices. It refuses to know what a look costs
//! (`benches/scaling.rs`).

use crate::experiments::FIRST_SEED;
use crate::sim::engine::run;
use crate::sim::product::Product;
use crate::sim::scenario::Change;
use crate::sim::scenario::Fleet;
use crate::sim::scenario::SECOND;
use crate::sim::scenario::Scenario;
use crate::sim::tally::Tally;

const CORES: usize = 64;
const SERVERS: usize = 100;
/// How old, in milliseconds: of the server that is chosen, and of the others that are looked at. The product has 1 and 4.
const AGES_MS: [(u64, u64); 5] = [(1, 1), (2, 2), (4, 4), (1, 4), (1, 8)];

/// Prints a line for each scenario and age, over so many seeds.
pub fn print(seeds: u64) {
    println!("{CORES} cores, {SERVERS} servers, {seeds} seeds; ms: means, p99 with its least and most, p99.9\n");
    println!(
        "| | age, ms: chosen, rest | mean | p99 | p99.9 | failed | looks a request |\n|---|---|---|---|---|---|---|"
    );
    for scenario in scenarios() {
        for (chosen, rest) in AGES_MS {
            // As many times older as cores times servers are more than the bound.
            let bound = ((CORES * SERVERS) as u64).div_ceil(rest / chosen);
            let runs = (FIRST_SEED..FIRST_SEED + seeds).map(|seed| {
                let mut product = Product::new(1, CORES, chosen * 1000, seed).resting(bound);
                (run(&scenario, seed, &mut product), product.looks())
            });
            let (tallies, looks): (Vec<Tally>, Vec<u64>) = runs.unzip();
            line(&scenario.name, (chosen, rest), &tallies, looks.iter().sum());
        }
    }
}

fn line(name: &str, (chosen, rest): (u64, u64), tallies: &[Tally], looks: u64) {
    let mean = |of: &dyn Fn(&Tally) -> f64| tallies.iter().map(of).sum::<f64>() / tallies.len() as f64;
    let p99: Vec<f64> = tallies.iter().map(|tally| tally.permille(990)).collect();
    let (least, most) = p99.iter().fold((f64::MAX, 0.0_f64), |(least, most), p99| (least.min(*p99), most.max(*p99)));
    println!(
        "| {name} | {chosen}, {rest} | {:.2} | {:.1} ({least:.1}–{most:.1}) | {:.1} | {:.0} | {:.1} |",
        mean(&|tally| tally.latencies.iter().sum::<u64>() as f64 / tally.latencies.len() as f64 / 1000.0),
        mean(&|tally| tally.permille(990)),
        mean(&|tally| tally.permille(999)),
        mean(&|tally| tally.failed as f64),
        looks as f64 / tallies.iter().map(|tally| tally.sent).sum::<u64>() as f64,
    );
}

fn scenarios() -> Vec<Scenario> {
    let work = |ms: f64, seconds: u64| {
        let base = Scenario::testbed(&format!("testbed 0.9, {ms} ms"), 0.9).with(Fleet::testbed(SERVERS));
        Scenario { cores: CORES, mean_work: ms * 1000.0, end: base.warm_up + seconds * SECOND, ..base }
    };
    // Servers of 64 slots: each core sends some 30,000 requests a second.
    let wide = Fleet { slots: 64, ..Fleet::testbed(SERVERS) };
    let busy =
        Scenario { name: "testbed 0.9, 2 ms, 64 slots".to_owned(), warm_up: SECOND / 2, ..work(2.0, 1).with(wide) };
    let fail = Scenario { name: "10 fail, 40 ms".to_owned(), load: 0.8, ..work(40.0, 15) };
    let slow = Scenario { name: "10 are 20 times slower, 10 ms".to_owned(), load: 0.7, ..work(10.0, 5) };
    vec![
        work(40.0, 15),
        work(10.0, 5),
        work(2.0, 2),
        Scenario { end: busy.warm_up + SECOND / 2, ..busy },
        fail.then(5, (0, 10), Change::Fail(100)),
        slow.then(5, (0, 10), Change::Speed(0.05)),
    ]
}
