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

use ringway::balance::board::Board;
use ringway::id::CoreId;
use ringway::id::EndpointSlot;
use ringway::rand::Rng;
use ringway::snapshot::clients::Clients;
use ringway::snapshot::slots::Shared;

const ROWS: usize = 64;
/// Passes of both sides, of which the median counts.
const PASSES: usize = 301;
/// Lines of the chain: a quarter of a MiB.
const CHAIN: usize = 4096;

/// What was measured; nothing, where there are not two CPUs.
pub struct Costs(Option<Measured>);

struct Measured {
    /// By endpoints.
    sums: Vec<(u32, Pair)>,
    chain: Pair,
    shared: [f64; 2],
    clients: [f64; 2],
}

/// Nanoseconds a line.
#[derive(Clone, Copy)]
struct Pair {
    /// To read one that the other side has written since, and one that it has not.
    read: [f64; 2],
    /// To write one that the other side has read since, and one that it has not.
    write: [f64; 2],
}

/// One line of a chain.
#[repr(align(64))]
struct Link(AtomicU64);

impl Costs {
    /// On the first two CPUs that there are.
    pub fn measured() -> Self {
        let cpus = core_affinity::get_core_ids().unwrap_or_default();
        let &[one, other, ..] = cpus.as_slice() else { return Self(None) };
        let sums = [20, 100].map(|endpoints| (endpoints, sums(one, other, endpoints)));
        let chain = chain(one, other);
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
        let (shared, clients) = (beside(one, other, counter), beside(one, other, client));
        Self(Some(Measured { sums: sums.to_vec(), chain, shared, clients }))
    }

    /// What a changed line costs a core that sums up rows, more than one that has not changed.
    pub fn line_ns(&self) -> Option<f64> {
        let (_, pair) = self.0.as_ref()?.sums.last()?;
        Some(pair.read[0] - pair.read[1])
    }

    pub fn print(&self) {
        let Some(Measured { sums, chain, shared, clients }) = &self.0 else {
            return println!("one CPU: what a line of another core costs cannot be measured");
        };
        println!(
            "ns a line, on two CPUs:{:>33}{:>12}{:>14}{:>12}",
            "read, changed", "unchanged", "write, read", "unread"
        );
        let rows = sums.iter().map(|(endpoints, pair)| (format!("sum of {ROWS} rows, {endpoints} endpoints"), pair));
        for (name, Pair { read, write }) in rows.chain([("a chain, each line after the other".to_owned(), chain)]) {
            println!("  {name:40}{:14.1}{:12.1}{:14.1}{:12.1}", read[0], read[1], write[0], write[1]);
        }
        println!("ns of a place taken and given back:{:>26}{:>32}", "alone", "beside one that does nothing else");
        println!("  {:40}{:19.1}{:32.1}", "Shared, one counter", shared[0], shared[1]);
        println!("  {:40}{:19.1}{:32.1}", "Clients, by lock, of two addresses", clients[0], clients[1]);
    }
}

/// The board's own sums, of rows that another thread writes as their cores do.
fn sums(one: Cpu, other: Cpu, endpoints: u32) -> Pair {
    let board = Board::new(ROWS, Instant::now());
    let slots = || (1..=endpoints).map(EndpointSlot);
    let write = || {
        for row in board.rows() {
            slots().for_each(|slot| row.load(slot).good.add(1));
        }
    };
    let read = || {
        black_box(slots().map(|slot| board.in_flight(slot)).sum::<u64>());
    };
    pair((one, other), ROWS * endpoints as usize, &write, &read)
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
    pair((one, other), CHAIN, &write, &read)
}

/// One thread writes all lines, twice, then another reads them, twice, and so on; each times its passes.
fn pair((one, other): (Cpu, Cpu), lines: usize, write: &(impl Fn() + Sync), read: &(impl Fn() + Sync)) -> Pair {
    let turn = AtomicU64::new(0);
    let side = |cpu: Cpu, mine: u64, pass: &dyn Fn()| {
        core_affinity::set_for_current(cpu);
        let mut times = [Vec::new(), Vec::new()];
        for number in 0..PASSES as u64 {
            while turn.load(Acquire) != 2 * number + mine {
                spin_loop();
            }
            for times in &mut times {
                let began = Instant::now();
                pass();
                times.push(began.elapsed().as_nanos() as f64 / lines as f64);
            }
            turn.store(2 * number + mine + 1, Release);
        }
        times.map(median)
    };
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| side(one, 0, write));
        let reader = scope.spawn(|| side(other, 1, read));
        let (write, read) = (writer.join().unwrap_or_default(), reader.join().unwrap_or_default());
        Pair { read, write }
    })
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
