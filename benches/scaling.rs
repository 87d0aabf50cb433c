//! What balancing shares between cores, from 1 core to 64: reckoned, since 64 cores are seldom at hand.
//!
//! Three parts. All cores' ledgers and pickers on one board take turns in one thread, each as if it had 40,000 requests a
//! second, folds included: nanoseconds of a request's shared bookkeeping. In that, what other cores have written is in the
//! cache that it was written from, so it shows what more cores make a core *do*, and nothing of what it costs to fetch a
//! line from another core; all cores' rows and views lie in one cache besides, which real cores share with nobody.
//! Therefore the lines that a request reads of others' rows are counted, and those of them that were written since this
//! core's last look, on which alone it has to wait. And on two CPUs it is measured what such a line costs. The share of a
//! core is lines times cost. It refuses to know sockets, and caches beyond these two CPUs: between two dies of a processor,
//! or two sockets, a line costs several times as much.

#[path = "scaling/cost.rs"]
mod cost;
#[path = "scaling/reads.rs"]
mod reads;
#[path = "scaling/turns.rs"]
mod turns;

use cost::Costs;
use reads::Reads;
use turns::Cores;

/// Microseconds of CPU that a whole request takes on its core.
const REQUEST_US: f64 = 25.0;
/// What may be spent on looks at other cores, in percent of a core.
const BOUND_PERCENT: f64 = 3.0;
/// `ENTRIES` of `src/balance/view.rs`.
const ENTRIES: u64 = 16_384;
/// Requests of each core in one part of a run: ten folds.
const ROUNDS: u64 = 4096;
const PARTS: usize = 8;

fn main() {
    let costs = Costs::measured();
    costs.print();
    // Without two CPUs a line's cost is not known; what is printed then is of the order that others measured.
    let line_ns = costs.line_ns().unwrap_or(20.0);
    for endpoints in [20, 100] {
        table(endpoints, line_ns);
    }
    bounds(line_ns);
}

/// What a request costs its core in balancing with so many endpoints, for each number of cores.
fn table(endpoints: u32, line_ns: f64) {
    println!("\n{endpoints} endpoints, 40,000 requests/s a core; a request:");
    println!(
        "{:>7}{:>14}{:>16}{:>14}{:>14}{:>14}{:>14}{:>12}{:>14}",
        "cores",
        "ns, one thread",
        "stale looks",
        "lines",
        "changed",
        "of folds",
        "spoilt",
        "reckoned ns",
        "% of a core"
    );
    for cores in [1, 2, 4, 8, 16, 32, 64] {
        let ns = Cores::new(cores, endpoints).fastest(ROUNDS, PARTS);
        let reads = Reads::counted(cores, endpoints, ENTRIES, ROUNDS);
        let reckoned = reads.waited() * line_ns;
        println!(
            "{cores:7}{ns:14.0}{:16.2}{:14.1}{:14.1}{:14.2}{:14.2}{reckoned:12.0}{:14.2}",
            reads.stale,
            reads.lines,
            reads.changed,
            reads.folds,
            reads.spoilt,
            reckoned / REQUEST_US / 10.0
        );
    }
}

/// What 64 cores pay for looks with another bound of them, and how old what they know is then.
fn bounds(line_ns: f64) {
    println!("\n64 cores, by how many entries a millisecond may be read ({BOUND_PERCENT} % is the aim):");
    println!(
        "{:>10}{:>11}{:>9}{:>11}{:>11}{:>15}",
        "endpoints", "entries", "age ms", "lines", "changed", "% of a core"
    );
    for endpoints in [20, 100, 250] {
        for entries in [16_384, 8192, 4096, 2048, 1024, 512] {
            let reads = Reads::counted(64, endpoints, entries, ROUNDS / 2);
            let percent = reads.waited() * line_ns / REQUEST_US / 10.0;
            let age = reads::period_us(64, endpoints, entries) / 1000;
            println!(
                "{endpoints:10}{entries:11}{age:9}{:11.1}{:11.1}{percent:15.2}{}",
                reads.lines,
                reads.changed,
                if percent > BOUND_PERCENT { "  over" } else { "" }
            );
        }
    }
}
