//! The fleet of real servers: HTTP/1.1 on loopback, each with slots, a queue and a speed as in the simulation, on one
//! thread. Requests sleep; in the variant `cpu` they work, and each server has a thread of its own.
//!
//! It prints `FLEET` and the addresses, serves until standard input says a word or ends, and prints `COUNTS` with the
//! requests of each server, and `HELD` with the most that each held at once.

use std::cell::Cell;
use std::cell::RefCell;
use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener as Listener;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::sim::chance::Chance;
use crate::sim::scenario::Fleet;
use crate::sim::server::Server;

/// What is the matter with the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Variant {
    /// Nothing beyond the published testbed's noise.
    Testbed,
    /// From five seconds after the first request on, two answer 500 at once.
    Failing,
    /// From then on one is ten times slower.
    Slow,
    /// From then on one accepts and never answers.
    Silent,
    /// Equal servers that stop for 0.2 to 0.8 s every five seconds, as a stopped process does.
    Pauses,
    /// Four equal servers whose requests are work for a CPU.
    Cpu,
}

/// Mean work of a request, in microseconds; with `cpu` another.
const WORK: f64 = 40_000.0;
const CPU_WORK: f64 = 2_000.0;
/// From the first request to the trouble.
const ONSET: Duration = Duration::from_secs(5);
/// Rounds of a loop that take some microsecond.
const ROUNDS_A_US: f64 = 400.0;

struct Place {
    server: RefCell<Server>,
    slots: Semaphore,
    work: Chance,
    variant: Variant,
    number: usize,
    begun: Rc<Cell<Option<Instant>>>,
    count: Cell<u64>,
    held: Cell<usize>,
    most: Cell<usize>,
}

/// Runs a fleet.
pub fn serve(seed: u64, variant: Variant) -> io::Result<()> {
    let mut fleet = match variant {
        Variant::Pauses => Fleet { pauses: true, ..Fleet::equal(20) },
        Variant::Cpu => Fleet { slots: 1, ..Fleet::equal(4) },
        _ => Fleet::testbed(20),
    };
    if variant == Variant::Cpu {
        fleet.noise = false;
    }
    let servers = fleet.build(WORK, &Chance::new(seed, 1));
    let listeners = servers.iter().map(|_| Listener::bind("127.0.0.1:0")).collect::<io::Result<Vec<_>>>()?;
    let addresses = listeners.iter().map(|one| Ok(one.local_addr()?.to_string())).collect::<io::Result<Vec<_>>>()?;
    say(&format!("FLEET {}", addresses.join(",")))?;
    let pairs: Vec<_> = servers.into_iter().zip(listeners).enumerate().collect();
    if variant == Variant::Cpu {
        for (number, (server, listener)) in pairs {
            std::thread::spawn(move || alone(vec![(number, (server, listener))], seed, variant, false));
        }
        return io::stdin().read(&mut [0]).map(drop);
    }
    alone(pairs, seed, variant, true)
}

/// Serves some of them on this thread.
fn alone(pairs: Vec<(usize, (Server, Listener))>, seed: u64, variant: Variant, tells: bool) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = tokio::task::LocalSet::new();
    let begun = Rc::new(Cell::new(None));
    let mut places = Vec::new();
    for (number, (server, listener)) in pairs {
        listener.set_nonblocking(true)?;
        let place = Rc::new(Place {
            slots: Semaphore::new(server.slots),
            server: RefCell::new(server),
            work: Chance::new(seed, 100 + number as u64),
            variant,
            number,
            begun: begun.clone(),
            count: Cell::new(0),
            held: Cell::new(0),
            most: Cell::new(0),
        });
        places.push(place.clone());
        tasks.spawn_local(noise(place.clone(), Chance::new(seed, 200 + number as u64)));
        tasks.spawn_local(async move {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            while let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(connection(place.clone(), stream));
            }
        });
    }
    if !tells {
        tasks.block_on(&runtime, std::future::pending::<()>());
        return Ok(());
    }
    let (done, ended) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _word = io::stdin().read(&mut [0]);
        let _ended = done.send(());
    });
    let _ended = tasks.block_on(&runtime, ended);
    let counts: Vec<String> = places.iter().map(|place| place.count.get().to_string()).collect();
    let held: Vec<String> = places.iter().map(|place| place.most.get().to_string()).collect();
    say(&format!("HELD {}\nCOUNTS {}", held.join(","), counts.join(",")))?;
    runtime.shutdown_background();
    Ok(())
}

/// Changes a server's speed, or stops it, from time to time.
async fn noise(place: Rc<Place>, chance: Chance) {
    let wait = |us: u64| tokio::time::sleep(Duration::from_micros(us));
    match place.variant {
        Variant::Cpu => {}
        Variant::Pauses => {
            let started = Instant::now();
            wait(chance.between(0.0, 5_000_000.0) as u64).await;
            loop {
                let at = started.elapsed().as_micros() as u64;
                let next = place.server.borrow_mut().pause(at, &chance);
                let stopped = place.server.borrow().paused_until - at;
                // While it is stopped its slots go on with what they have, and give it back at the end.
                place.server.borrow_mut().script = 0.0;
                wait(stopped).await;
                place.server.borrow_mut().script = 1.0;
                wait(next - stopped).await;
            }
        }
        _ => loop {
            let next = place.server.borrow_mut().draw_noise(&chance);
            wait(next).await;
        },
    }
}

async fn connection(place: Rc<Place>, mut stream: TcpStream) {
    let _quick = stream.set_nodelay(true);
    let (mut bytes, mut length) = ([0_u8; 4096], 0);
    loop {
        let Some(room) = bytes.get_mut(length..).filter(|room| !room.is_empty()) else { return };
        match stream.read(room).await {
            Ok(0) | Err(_) => return,
            Ok(count) => length += count,
        }
        if !bytes[..length].ends_with(b"\r\n\r\n") {
            continue;
        }
        let token = token(&bytes[..length]);
        length = 0;
        let held = place.held.get() + 1;
        place.held.set(held);
        place.most.set(place.most.get().max(held));
        let good = place.work_for_one().await;
        place.held.set(place.held.get() - 1);
        let status = if good { "200 OK" } else { "500 Internal Server Error" };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nX-Token: {token}\r\n\r\n");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// What a request is told apart by.
fn token(head: &[u8]) -> String {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let found = head.split("x-token:").nth(1).and_then(|rest| rest.split("\r\n").next());
    found.unwrap_or("").trim().to_owned()
}

impl Place {
    /// Whether the trouble has begun.
    fn troubled(&self) -> bool {
        let begun = self.begun.get().unwrap_or_else(|| {
            let now = Instant::now();
            self.begun.set(Some(now));
            now
        });
        begun.elapsed() >= ONSET
    }

    /// Serves one request; whether well.
    async fn work_for_one(&self) -> bool {
        self.count.set(self.count.get() + 1);
        let troubled = self.troubled();
        match self.variant {
            Variant::Failing if troubled && self.number < 2 => return false,
            Variant::Silent if troubled && self.number == 0 => std::future::pending().await,
            Variant::Slow if self.number == 0 => {
                self.server.borrow_mut().script = if troubled { 0.1 } else { 1.0 };
            }
            _ => {}
        }
        let Ok(_slot) = self.slots.acquire().await else { return false };
        if self.variant == Variant::Cpu {
            let rounds = self.work.exponential(CPU_WORK) * ROUNDS_A_US;
            let chance = Chance::new(1, 1);
            let sum = (0..rounds as u64).fold(0, |sum: u64, _| sum ^ chance.rng().next());
            std::hint::black_box(sum);
            return true;
        }
        self.awake().await;
        let (base, noise, script) = {
            let server = self.server.borrow();
            (server.base, server.noise, server.script)
        };
        let speed = base * noise * if script > 0.0 { script } else { 1.0 };
        tokio::time::sleep(Duration::from_micros((self.work.exponential(WORK) / speed) as u64)).await;
        self.awake().await;
        true
    }

    /// Until the server is not stopped.
    async fn awake(&self) {
        while self.server.borrow().script == 0.0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
