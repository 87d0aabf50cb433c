//! What must be reached, and whether it is.

use crate::experiments::Results;
use crate::rows::Row;
use crate::rows::mean;
use crate::rows::p99;
use crate::rows::select;
use crate::sim::contenders;
use crate::sim::contenders::LEAST_TIME;
use crate::sim::contenders::ORACLE;
use crate::sim::contenders::RINGWAY;
use crate::sim::scenario;
use crate::sim::scenario::ONSET;
use crate::sim::scenario::RELIEF;

/// One bar.
pub struct Bar {
    /// What is measured.
    pub what: String,
    /// What came out.
    pub is: f64,
    /// What it may be at the most.
    pub most: f64,
}

impl Bar {
    /// Whether it is met.
    pub fn met(&self) -> bool {
        self.is <= self.most
    }
}

/// A policy beside the oracle over the twelve: the geometric mean of the ratios of p99, and the worst.
pub fn against_oracle(rows: &[Row], policy: &str) -> (f64, f64) {
    let ratios = scenario::twelve().into_iter().map(|scenario| {
        let of = |policy| mean(select(rows, "twelve", &scenario.name, policy), p99);
        of(policy) / of(ORACLE)
    });
    let (mut sum, mut worst, mut count) = (0.0, 0.0_f64, 0.0);
    for ratio in ratios {
        sum += ratio.ln();
        worst = worst.max(ratio);
        count += 1.0;
    }
    ((sum / count).exp(), worst)
}

/// All bars.
pub fn all(results: &Results) -> Vec<Bar> {
    let rows = &results.rows;
    let bar = |what: &str, is: f64, most: f64| Bar { what: what.to_owned(), is, most };
    let (geometric, worst) = against_oracle(rows, RINGWAY);
    let (rival, _) = against_oracle(rows, LEAST_TIME);
    let failed = select(rows, "trouble", &scenario::failing().name, RINGWAY).map(|row| row.failed).max();
    let series = results.series.iter().find(|one| one.scenario == scenario::episode().name && one.policy == RINGWAY);
    let until = |from, window, beyond: &dyn Fn(f64) -> bool| {
        series.and_then(|one| one.until(from, window, beyond)).unwrap_or(f64::INFINITY)
    };
    let hottest = mean(select(rows, "low load", &scenario::low_load(10).name, RINGWAY), |row| row.hottest);
    let mut bars = vec![
        bar("p99 / oracle over the twelve, geometric mean", geometric, 1.18),
        bar("p99 / oracle over the twelve, worst", worst, 2.0),
        bar("geometric mean / nginx least_time's", geometric / rival, 0.9999),
        bar("failed requests, 2 of 20 failing, worst seed", failed.map_or(f64::INFINITY, |n| n as f64), 10.0),
        bar("divert: s until the slow server has < 25 %", until(ONSET, 1, &|share| share < 0.25), 0.5),
        bar("return: s until it has > 75 % again", until(RELIEF, 5, &|share| share > 0.75), 5.0),
        bar("hottest share at 10 % load", hottest, 1.5),
    ];
    for work in ["40", "10", "2"] {
        let name = format!("testbed 0.9, {work} ms of work");
        let at = |age: f64| mean(select(rows, "gossip", &name, RINGWAY).filter(|row| row.x == age), p99);
        bars.push(bar(&format!("p99 at 1 ms of age / exact, {work} ms of work"), at(1.0) / at(0.0), 1.1));
    }
    bars
}

/// Prints the table of the twelve, the other tables, and the bars; gives whether all are met.
pub fn print(results: &Results) -> bool {
    let rows = &results.rows;
    println!("p99 in ms, mean of the seeds; ratios to the oracle: geometric mean, worst");
    for contender in contenders::all() {
        let (geometric, worst) = against_oracle(rows, contender.name);
        print!("| {} | {geometric:.2} | {worst:.2} |", contender.name);
        for scenario in scenario::twelve() {
            print!(" {:.0} |", mean(select(rows, "twelve", &scenario.name, contender.name), p99));
        }
        println!();
    }
    let mut seen = Vec::new();
    for row in rows.iter().filter(|row| row.experiment != "twelve") {
        let key = (&row.experiment, &row.scenario, row.x);
        if seen.contains(&key) {
            continue;
        }
        seen.push(key);
        println!("\n{}: {}, {}", row.experiment, row.scenario, row.x);
        let mut names: Vec<&str> = Vec::new();
        let same = |other: &&Row| (&other.experiment, &other.scenario, other.x) == key;
        for other in rows.iter().filter(same) {
            if !names.contains(&other.policy.as_str()) {
                names.push(&other.policy);
            }
        }
        for name in names {
            let all = || rows.iter().filter(same).filter(|other| other.policy == name);
            let [p50, p90, p99, p999] = [0, 1, 2, 3].map(|n| mean(all(), |row| row.latency[n]));
            let (failed, hottest) = (mean(all(), |row| row.failed as f64), mean(all(), |row| row.hottest));
            println!("| {name} | {p50:.1} | {p90:.1} | {p99:.1} | {p999:.1} | {failed:.1} | {hottest:.2} |");
        }
    }
    for episode in [scenario::episode().name, scenario::sleeping_episode().name] {
        println!("\n{episode}: s to divert, s to return, share 0 to 0.5, to 2, to 5, to 10, to 19 s after its end");
        for one in results.series.iter().filter(|one| one.scenario == episode) {
            let word = |time: Option<f64>| time.map_or("never".to_owned(), |time| format!("{time:.1}"));
            let divert = word(one.until(ONSET, 1, |share| share < 0.25));
            let back = word(one.until(RELIEF, 5, |share| share > 0.75));
            let share = |from: usize, to: usize| one.share(RELIEF as usize * 10 + from, to - from);
            let shares = [(0, 5), (5, 20), (20, 50), (50, 100), (100, 190)];
            let shares = shares.map(|(from, to)| format!("{:.2}", share(from, to)));
            println!("| {} | {divert} | {back} | {} |", one.policy, shares.join(" | "));
        }
    }
    println!();
    let bars = all(results);
    for bar in &bars {
        let word = if bar.met() { "met" } else { "MISSED" };
        println!("| {} | {:.3} | {} | {word} |", bar.what, bar.is, bar.most);
    }
    bars.iter().all(Bar::met)
}
