//! Picks by the nanosecond, and the rows of the board against counters that all cores share.
//!
//! Printed on two virtual cores of an EPYC, `latency`, one row, when what is known of the other cores is fresh: 54 ns at 8
//! endpoints, 149 at 64 (fewer than 256 are drawn so that none is drawn twice), 107 at 1,000; in the same hour 61, 153 and 112
//! with a list that was copied and costs that were kept. 16 rows like one. Where it has to be refreshed at nearly every look (a
//! pick each 25 µs) 68 at 8, and at 1,000 endpoints 605 with one row, 1,300 with 16. A request counted in a core's own row, and out again:
//! 6 ns beside one other writer, by `fetch_add` on padded counters that both share 34; beside three others 12 and 93. With
//! more writers than cores the means scatter, and keep their order.

use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use std::time::Instant;

use criterion::Criterion;
use criterion::criterion_group;
use criterion::criterion_main;

use ringway::balance::Ask;
use ringway::balance::Picker;
use ringway::balance::Tried;
use ringway::balance::board::Board;
use ringway::balance::ledger::Ledger;
use ringway::balance::plan::Candidate;
use ringway::balance::plan::Plan;
use ringway::balance::plan::Rules;
use ringway::count::Count;
use ringway::id::CoreId;
use ringway::id::EndpointSlot;
use ringway::id::UpstreamSlot;
use ringway::model::Balance;
use ringway::model::HashTable;
use ringway::model::Hashing;
use ringway::rand::Rng;

const FLEET: UpstreamSlot = UpstreamSlot(1);

/// A core's picker among `n` endpoints, where each of `cores` cores has something in flight at each.
fn picker(balance: Balance, n: u32, cores: u32) -> (Picker, Rng) {
    let board = Arc::new(Board::new(cores as usize, Instant::now()));
    let slots = (1..=n).map(EndpointSlot);
    let candidates = slots.map(|slot| Candidate::plain(slot, &format!("10.0.0.{}:80", slot.0))).collect();
    let plan = Arc::new(Plan::new(Rules { balance, ..Rules::default() }, candidates));
    let rng = Rng::seeded(7);
    for core in 0..cores {
        let ledger = Ledger::new(board.clone(), CoreId(core));
        for slot in (1..=n).map(EndpointSlot) {
            ledger.begin(slot, 0).answered(1000 + u64::from(slot.0) * 37 % 900);
            drop(ledger.begin(slot, 0));
        }
    }
    let ledger: Rc<Ledger> = Ledger::new(board, CoreId(0));
    (Picker::bind(&ledger, FLEET, &plan, None, &rng), rng)
}

/// `step_ns` is the time between two picks of this core. With 100 ns the numbers of the others are fresh at nearly every
/// look; with 25 µs, a core that is busy with 40,000 requests a second, they are not, once there are many endpoints.
fn picks(criterion: &mut Criterion) {
    let hashing = Hashing { keys: Vec::new(), table: HashTable::Maglev, bound_percent: 125 };
    let policies =
        [Balance::Latency, Balance::LeastRequest, Balance::RoundRobin, Balance::Random, Balance::Hash(hashing)];
    for balance in policies {
        for (n, cores) in [(8, 1), (8, 16), (64, 1), (64, 16), (1000, 1), (1000, 16)] {
            for step_ns in [100, 25_000] {
                let (mut picker, rng) = picker(balance.clone(), n, cores);
                let (tried, mut ns) = (Tried::default(), 20_000_000_u64);
                let name = format!("pick/{}/{n} endpoints/{cores} rows/every {step_ns} ns", balance.word());
                criterion.bench_function(&name, |bencher| {
                    let mut pick = || {
                        ns += step_ns;
                        let ask = Ask { tried: &tried, key: Some(ns), sticky: None };
                        black_box(picker.pick(black_box(&ask), ns / 1000, &rng));
                    };
                    bencher.iter_custom(|picks| fastest(picks, &mut pick));
                });
            }
        }
    }
}

/// The time of so many calls, reckoned from the fastest of many parts: what else runs on the machine is left out.
fn fastest(calls: u64, call: &mut impl FnMut()) -> Duration {
    let part = 1000.min(calls);
    let times = (0..calls.div_ceil(part)).map(|_| {
        let began = Instant::now();
        (0..part).for_each(|_| call());
        began.elapsed()
    });
    let least = times.min().unwrap_or_default();
    Duration::from_nanos(u64::try_from(least.as_nanos() * u128::from(calls) / u128::from(part)).unwrap_or(u64::MAX))
}

/// One padded counter an endpoint, for all cores.
#[derive(Default)]
#[repr(align(128))]
struct Padded {
    in_flight: AtomicU64,
    sent: AtomicU64,
}

/// One cell of a core's own row.
#[derive(Default)]
#[repr(align(64))]
struct Own {
    in_flight: Count,
    sent: Count,
}

/// What a request costs its core, beginning and end, at one of 64 endpoints, while others do the same: in the core's own
/// row, or by `fetch_add` on counters that all share.
fn counters(criterion: &mut Criterion) {
    for writers in [2_u32, 4, 8, 16, 32, 64] {
        let rows: Arc<Vec<Vec<Own>>> =
            Arc::new((0..writers).map(|_| (0..64).map(|_| Own::default()).collect()).collect());
        let own = |core: u32| {
            let (rows, mut turn) = (rows.clone(), 0_usize);
            move || {
                turn = turn.wrapping_add(1);
                let cell = &rows[core as usize][turn & 63];
                cell.in_flight.add(1);
                cell.sent.add(1);
                black_box(cell);
                cell.in_flight.sub(1);
                cell.sent.sub(1);
            }
        };
        beside(criterion, &format!("count/rows/{writers} writers"), writers, own);
        let shared: Arc<Vec<Padded>> = Arc::new((0..64).map(|_| Padded::default()).collect());
        let atomics = |_: u32| {
            let (shared, mut turn) = (shared.clone(), 0_usize);
            move || {
                turn = turn.wrapping_add(1);
                let cell = &shared[turn & 63];
                cell.in_flight.fetch_add(1, Relaxed);
                cell.sent.fetch_add(1, Relaxed);
                black_box(cell);
                cell.in_flight.fetch_sub(1, Relaxed);
                cell.sent.fetch_sub(1, Relaxed);
            }
        };
        beside(criterion, &format!("count/shared/{writers} writers"), writers, atomics);
    }
}

/// Measures one writer while the others write.
fn beside<W: FnMut()>(criterion: &mut Criterion, name: &str, writers: u32, make: impl Fn(u32) -> W + Sync) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for core in 1..writers {
            let (make, stop) = (&make, &stop);
            scope.spawn(move || {
                let mut write = make(core);
                while !stop.load(Relaxed) {
                    (0..100).for_each(|_| write());
                }
            });
        }
        let mut write = make(0);
        criterion.bench_function(name, |bencher| bencher.iter(&mut write));
        stop.store(true, Relaxed);
    });
}

fn quick() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .sample_size(20)
}

criterion_group!(name = benches; config = quick(); targets = picks, counters);
criterion_main!(benches);
