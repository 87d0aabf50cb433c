//! What balancing shares between cores, from 1 core to 64: reckoned, since 64 cores are seldom at hand.
//!
//! All cores' ledgers and pickers on one board take turns in one thread, each as if it had 40,000 requests a second, folds
//! included: nanoseconds of a request's shared bookkeeping. That shows what more cores make a core *do*. It does not show
//! what it costs to fetch a line that another core has written, since all is in one cache; and all cores' rows and views lie
//! in that one cache, which real cores do not share. Therefore the lines that a request reads of others' rows are counted,
//! and those of them that were written since this core's last look: for these alone it has to wait. What such a line costs in
//! a look is measured on two CPUs, and the share of a core is lines times cost.
//!
//! It refuses to know sockets, and caches beyond these two CPUs. Between two dies of a processor a line comes later: what
//! that makes of it is printed for a latency that is taken from others' measurements, as if it lengthened each wait alike.

#[path = "scaling/cost.rs"]
mod cost;
#[path = "scaling/reads.rs"]
mod reads;
#[path = "scaling/turns.rs"]
mod turns;

use ringway::balance::plan::REST_ENTRIES;
use ringway::balance::plan::Rules;

use cost::Costs;
use reads::Reads;
use turns::Cores;

/// Nanoseconds of CPU that a whole request takes on its core.
const REQUEST_NS: f64 = 25_000.0;
/// What may be spent on looks at other cores, in percent of a core.
const BOUND_PERCENT: f64 = 3.0;
/// Requests of each core in one part of a run: ten folds.
const ROUNDS: u64 = 4096;
/// To read a line that a core of another die has written. Not measured here.
const FAR_NS: f64 = 110.0;

fn main() {
    let Some(costs) = Costs::measured() else {
        return println!("one CPU: what a line of another core costs cannot be measured");
    };
    costs.print();
    for endpoints in [20, 100, 250] {
        table(endpoints, &costs);
    }
    bounds(&costs);
}

/// What a request costs its core in balancing with so many endpoints, for each number of cores.
fn table(endpoints: u32, costs: &Costs) {
    println!("\n{endpoints} endpoints, 40,000 requests/s a core; of a request:");
    println!(
        "{:>6}{:>15}{:>13}{:>8}{:>9}{:>14}{:>9}{:>9}{:>8}{:>10}",
        "cores",
        "ns, one thread",
        "stale looks",
        "lines",
        "changed",
        "same in folds",
        "spoilt",
        "near ns",
        "% near",
        "% far"
    );
    for cores in [1, 2, 4, 8, 16, 32, 64] {
        let ns = Cores::new(cores, endpoints, Rules::default()).fastest(ROUNDS);
        let reads = Reads::counted(cores, endpoints, &Rules::default(), ROUNDS);
        let Reads { stale, lines, changed, folds, spoilt } = reads;
        let [near, far] = reckoned(&reads, costs);
        println!(
            "{cores:6}{ns:15.0}{stale:13.2}{lines:8.1}{changed:9.1}{folds:14.2}{spoilt:9.2}{near:9.0}{:8.2}{:10.2}",
            percent(near),
            percent(far)
        );
    }
}

/// What 64 cores pay for looks with another bound of them, and how old what they know is then.
fn bounds(costs: &Costs) {
    println!("\n64 cores, by `REST_ENTRIES`, which is {REST_ENTRIES} (aim: {BOUND_PERCENT} % of a core):");
    println!(
        "{:>10}{:>9}{:>15}{:>15}{:>13}{:>8}{:>9}{:>8}{:>8}",
        "endpoints",
        "entries",
        "ms chosen, rest",
        "ns, one thread",
        "stale looks",
        "lines",
        "changed",
        "% near",
        "% far"
    );
    for endpoints in [20, 32, 33, 100, 250, 1000] {
        for rest_entries in [16_384, 8192, 4096, 2048, 1024] {
            let rules = Rules { rest_entries, ..Rules::default() };
            let (chosen, rest) = rules.ages_us(64 * u64::from(endpoints));
            let ns = Cores::new(64, endpoints, rules.clone()).fastest(ROUNDS / 4);
            let reads = Reads::counted(64, endpoints, &rules, ROUNDS / 2);
            let [near, far] = reckoned(&reads, costs).map(percent);
            println!(
                "{endpoints:10}{rest_entries:9}{:>15}{ns:15.0}{:13.2}{:8.1}{:9.1}{near:8.2}{far:8.2}{}",
                format!("{}, {}", chosen / 1000, rest / 1000),
                reads.stale,
                reads.lines,
                reads.changed,
                if far > BOUND_PERCENT { "  over" } else { "" }
            );
        }
    }
}

/// Nanoseconds that a request's looks at other cores cost: where those are as near as the two that were measured, and
/// where all are as far as another die.
fn reckoned(reads: &Reads, costs: &Costs) -> [f64; 2] {
    let Reads { lines, changed, folds, spoilt, .. } = *reads;
    let ([changed_ns, own_ns], [spoilt_ns, alone_ns]) = (costs.look.read, costs.look.write);
    let waits = (changed + folds) * (changed_ns - own_ns).max(0.0) + spoilt * (spoilt_ns - alone_ns).max(0.0);
    let far = (FAR_NS / costs.chain.read[0]).max(1.0);
    [lines * own_ns + waits, lines * own_ns + waits * far]
}

fn percent(ns: f64) -> f64 {
    100.0 * ns / REQUEST_NS
}
