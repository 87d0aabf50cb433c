//! What a line costs that another CPU has just written, and what the few counters cost that all cores change: measured on
//! two CPUs, a thread pinned to each. It refuses to know who reads how much.

use std::hint::black_box;
use std::hint::spin_loop;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Acquire;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::Ordering::Release;
use std::time::Instant;

use core_affinity::CoreId as Cpu;

use ringway::balance::Ask;
use ringway::balance::Picker;
use ringway::balance::Tried;
use ringway::balance::board::Board;
use ringway::balance::ledger::Ledger;
use ringway::balance::plan::Candidate;
use ringway::balance::plan::Plan;
use ringway::balance::plan::Rules;
use ringway::id::CoreId;
use ringway::id::EndpointSlot;
use ringway::id::UpstreamSlot;
use ringway::rand::Rng;
use ringway::snapshot::clients::Clients;
use ringway::snapshot::slots::Shared;

const ROWS: usize = 64;
/// Endpoints that one choice looks at.
const LOOKS: u32 = 16;
/// Passes of both sides, of which the median counts.
const PASSES: usize = 1001;
/// Lines of the chain: a quarter of a MiB.
const CHAIN: usize = 4096;

/// Nanoseconds of what is shared, on two CPUs.
pub struct Costs {
    /// Of a line in a picker's look at all cores' rows.
    pub look: Pair,
    /// Of a line that says where the next is.
    pub chain: Pair,
    /// Of a place taken at one counter and given back: alone, and beside another thread that does nothing else.
    shared: [f64; 2],
    /// The same of a client's place, behind a lock.
    clients: [f64; 2],
}

/// Nanoseconds a line.
#[derive(Clone, Copy)]
pub struct Pair {
    /// To read one that the other side has written since, and one that it has not.
    pub read: [f64; 2],
    /// To write one that the other side has read since, and one that it has not.
    pub write: [f64; 2],
}

/// One line of a chain.
#[repr(align(64))]
struct Link(AtomicU64);

impl Costs {
    /// On the first two CPUs that there are; nothing, where there is one.
    pub fn measured() -> Option<Self> {
        let cpus = core_affinity::get_core_ids().unwrap_or_default();
        let &[one, other, ..] = cpus.as_slice() else { return None };
        let shared = Shared::default();
        let counter = |_: u32| {
            black_box(shared.enter(u32::MAX));
            shared.leave();
        };
        let clients = Arc::new(Clients::default());
        let client = |thread: u32| {
            let address = IpAddr::V4(Ipv4Addr::from_bits(thread));
            drop(black_box(clients.enter(address, CoreId(thread), u32::MAX)));
        };
        let (look, chain) = (look(one, other), chain(one, other));
        Some(Self { look, chain, shared: beside(one, other, counter), clients: beside(one, other, client) })
    }

    pub fn print(&self) {
        println!("{:45}{:>14}{:>12}{:>14}{:>12}", "ns a line", "read, changed", "unchanged", "write, read", "unread");
        for (name, pair) in [("a look at 64 rows", self.look), ("a chain, each line after the other", self.chain)] {
            let Pair { read, write } = pair;
            println!("  {name:43}{:14.1}{:12.1}{:14.1}{:12.1}", read[0], read[1], write[0], write[1]);
        }
        println!(
            "{:45}{:>14}{:>36}",
            "ns of a place taken and given back", "alone", "beside one that does nothing else"
        );
        for (name, times) in [("a counter", self.shared), ("of one client of two, behind a lock", self.clients)] {
            println!("  {name:43}{:14.1}{:36.1}", times[0], times[1]);
        }
    }
}

/// A picker that looks at all cores' rows whenever it chooses, while another thread writes these as their cores do.
fn look(one: Cpu, other: Cpu) -> Pair {
    let board = Arc::new(Board::new(ROWS, Instant::now()));
    // Not side by side, since sixteen of many are not either.
    let rng = Rng::seeded(3);
    let mut slots: Vec<_> = (0..LOOKS).map(|place| EndpointSlot(1 + 7 * place)).collect();
    for at in (1..slots.len()).rev() {
        slots.swap(at, rng.below(at + 1));
    }
    let candidates = slots.iter().map(|slot| Candidate::plain(*slot, &slot.0.to_string())).collect();
    let plan = Arc::new(Plan::new(Rules { fresh_us: 0, ..Rules::default() }, candidates));
    let write = || {
        for row in board.rows().iter().skip(1) {
            slots.iter().for_each(|slot| row.load(*slot).good.add(1));
        }
    };
    let reader = || {
        let (ledger, rng) = (Ledger::new(board.clone(), CoreId(0)), Rng::seeded(4));
        let mut picker = Picker::bind(&ledger, UpstreamSlot(1), &plan, None, &rng);
        // No time passes: there is no fold but the first.
        move || {
            let ask = Ask { tried: &Tried::default(), key: None, sticky: None };
            black_box(picker.pick(&ask, 1_000_000, &rng));
        }
    };
    pair((one, other), (ROWS - 1) * slots.len(), || write, reader)
}

/// Lines of which each says where the next is, so that no two are fetched at once.
fn chain(one: Cpu, other: Cpu) -> Pair {
    let (rng, mut order) = (Rng::seeded(5), (0..CHAIN).collect::<Vec<_>>());
    for at in (1..CHAIN).rev() {
        order.swap(at, rng.below(at + 1));
    }
    let links: Vec<Link> = (0..CHAIN).map(|_| Link(AtomicU64::new(0))).collect();
    for (at, link) in order.iter().enumerate() {
        links[*link].0.store(order[(at + 1) % CHAIN] as u64, Relaxed);
    }
    let write = || links.iter().for_each(|link| link.0.store(link.0.load(Relaxed), Relaxed));
    let read = || {
        let last = (0..CHAIN).fold(0, |at, _| links[at].0.load(Relaxed) as usize);
        black_box(last);
    };
    pair((one, other), CHAIN, || write, || read)
}

/// One thread writes all lines, twice, then another reads them, twice, and so on; each times its passes.
fn pair<W: FnMut(), R: FnMut()>(
    (one, other): (Cpu, Cpu),
    lines: usize,
    writer: impl FnOnce() -> W + Send,
    reader: impl FnOnce() -> R + Send,
) -> Pair {
    let turn = AtomicU64::new(0);
    let [write, read] = std::thread::scope(|scope| {
        let writer = scope.spawn(|| side(one, (&turn, 0), writer()));
        let reader = scope.spawn(|| side(other, (&turn, 1), reader()));
        [writer.join(), reader.join()].map(Result::unwrap_or_default)
    });
    let each = |times: [f64; 2]| times.map(|time| time / lines as f64);
    Pair { read: each(read), write: each(write) }
}

/// One of the two: the nanoseconds of its first and second passes.
fn side(cpu: Cpu, (turn, mine): (&AtomicU64, u64), mut pass: impl FnMut()) -> [f64; 2] {
    core_affinity::set_for_current(cpu);
    let mut times = [Vec::new(), Vec::new()];
    for number in 0..PASSES as u64 {
        while turn.load(Acquire) != 2 * number + mine {
            spin_loop();
        }
        for times in &mut times {
            let began = Instant::now();
            pass();
            times.push(began.elapsed().as_nanos() as f64);
        }
        turn.store(2 * number + mine + 1, Release);
    }
    times.map(median)
}

/// Nanoseconds of what `act` does, alone and beside another thread that does nothing else.
fn beside(one: Cpu, other: Cpu, act: impl Fn(u32) + Sync) -> [f64; 2] {
    let stop = AtomicBool::new(false);
    let measure = || {
        let parts = (0..PASSES).map(|_| {
            let began = Instant::now();
            (0..1000).for_each(|_| act(1));
            began.elapsed().as_nanos() as f64 / 1000.0
        });
        median(parts.collect())
    };
    std::thread::scope(|scope| {
        let measured = scope.spawn(|| {
            core_affinity::set_for_current(one);
            measure()
        });
        let alone = measured.join().unwrap_or_default();
        scope.spawn(|| {
            core_affinity::set_for_current(other);
            while !stop.load(Relaxed) {
                (0..100).for_each(|_| act(2));
            }
        });
        let measured = scope.spawn(|| {
            core_affinity::set_for_current(one);
            let both = measure();
            stop.store(true, Relaxed);
            both
        });
        [alone, measured.join().unwrap_or_default()]
    })
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}
