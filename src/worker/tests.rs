//! The walls of a core: a real one, with its loop and its sockets, that is made to panic on purpose.

#![expect(clippy::disallowed_types, reason = "a test may wait for another thread")]

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;

use super::*;
use crate::io::ring::Wanted;
use crate::limits;
use crate::model;
use crate::shard::mailbox::Mailbox;
use crate::snapshot::slots::Slots;

struct Core {
    mailbox: Mailbox,
    slab: Arc<Slab>,
    addr: SocketAddr,
    snapshot: Arc<Snapshot>,
    thread: JoinHandle<()>,
}

const WAIT: Duration = Duration::from_secs(20);

impl Core {
    /// A core that answers every request with 404.
    fn start(wanted: Wanted) -> Self {
        let model = model();
        let snapshot = Arc::new(Snapshot::compile(model, &mut Slots::default()));
        let listener = listen::open(snapshot.listeners[0].settings.bind, 1, false).unwrap().remove(0);
        let addr = listener.local_addr().unwrap();
        let (mailbox, inbox) = Mailbox::open().unwrap();
        let slab = Arc::new(Slab::default());
        let thread = spawn(Seed {
            core: CoreId(0),
            cpu: None,
            plan: Plan { wanted, entries: 256, completions: 1024 },
            inbox,
            slab: slab.clone(),
            log: LogBuffer::off(),
            snapshot: snapshot.clone(),
            opened: vec![(snapshot.listeners[0].slot, listener)],
        });
        let core = Self { mailbox, slab, addr, snapshot, thread: thread.unwrap() };
        core.until("it serves", || core.mailbox.stage() == Stage::Serving);
        core
    }

    fn client(&self) -> TcpStream {
        let client = TcpStream::connect(self.addr).unwrap();
        client.set_read_timeout(Some(WAIT)).unwrap();
        client
    }

    #[track_caller]
    fn until(&self, what: &str, mut condition: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !condition() {
            assert!(begun.elapsed() < WAIT, "in vain: {what}");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Every gauge, which are all 0 when nobody is connected.
    fn gauges(&self) -> [u64; 6] {
        let listener = &self.snapshot.listeners[0];
        [
            self.slab.connections.get(),
            self.slab.parked.get(),
            self.slab.in_flight.get(),
            self.slab.listener(listener.slot).open.get(),
            listener.connections.taken().into(),
            self.snapshot.connections.taken().into(),
        ]
    }

    fn end(self) {
        self.mailbox.post(Message::Stop).unwrap();
        self.thread.join().unwrap();
    }
}

/// One listener, and nothing behind it.
fn model() -> model::Model {
    let nowhere: SocketAddr = ([127, 0, 0, 1], 0).into();
    let long = Duration::from_secs(60);
    model::Model {
        process: model::Process {
            cores: model::Cores::Count(1),
            admin: nowhere,
            io: model::Io::Auto,
            ring: model::Ring { entries: 256, completions: 1024 },
            drain: long,
            connections_max: 1000,
            access_log: model::AccessLog { to: model::LogTarget::Off, format: model::LogFormat::Json },
        },
        listeners: vec![model::Listener {
            name: "http".into(),
            bind: nowhere,
            connections_max: 100,
            head_bytes: limits::REQUEST_HEAD_BYTES,
            fields: limits::REQUEST_FIELDS,
            target_bytes: limits::REQUEST_TARGET_BYTES,
            head_timeout: long,
            idle_timeout: long,
            body_timeout: long,
        }],
        upstreams: Vec::new(),
        hosts: Vec::new(),
    }
}

/// Asks, and says what came: the status, or nothing.
fn ask(client: &mut TcpStream) -> Option<u16> {
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").ok()?;
    let mut answer = Vec::new();
    let mut piece = [0; 1024];
    while !answer.ends_with(b"\n\n") && !answer.windows(13).any(|window| window == b"\nrequest id: ") {
        match client.read(&mut piece) {
            Ok(n) if n > 0 => answer.extend_from_slice(&piece[..n]),
            _ => return None,
        }
    }
    std::str::from_utf8(&answer).unwrap().get(9..12)?.parse().ok()
}

fn a_panic_ends_its_own_connection_alone_with(wanted: Wanted) {
    let core = Core::start(wanted);
    let (mut other, mut victim) = (core.client(), core.client());
    assert_eq!(ask(&mut other), Some(404));
    core.mailbox.post(Message::Drill(Drill::Connection)).unwrap();
    // The bell is heard at some turn of the loop: ask until it was.
    core.until("the drill", || ask(&mut victim).is_none());
    assert_eq!(ask(&mut other), Some(404), "the neighbour lives on");
    assert_eq!((core.slab.panics.get(), core.slab.restarts.get()), (1, 0));
    drop((other, victim));
    core.until("every gauge to be 0", || core.gauges() == [0; 6]);
    core.end();
}

fn a_core_that_dies_is_started_again_with(wanted: Wanted) {
    let core = Core::start(wanted);
    let (mut parked, mut busy) = (core.client(), core.client());
    assert_eq!(ask(&mut parked), Some(404));
    core.until("a parked connection", || core.slab.parked.get() == 1);
    busy.write_all(b"GET / HT").unwrap();
    core.mailbox.post(Message::Drill(Drill::Core)).unwrap();
    core.until("the restart", || core.slab.restarts.get() == 1);
    assert_eq!(parked.read(&mut [0; 8]).unwrap_or(0), 0, "its connections are closed");
    assert_eq!(busy.read(&mut [0; 8]).unwrap_or(0), 0, "its connections are closed");
    core.until("every gauge to be 0", || core.gauges() == [0; 6]);
    assert_eq!(ask(&mut core.client()), Some(404), "it serves again");
    assert_eq!(core.mailbox.report().fault, "a drill");
    core.end();
}

#[test]
fn a_panic_ends_its_own_connection_alone() {
    a_panic_ends_its_own_connection_alone_with(Wanted::Auto);
    a_panic_ends_its_own_connection_alone_with(Wanted::Epoll);
}

#[test]
fn a_core_that_dies_is_started_again_and_counted() {
    a_core_that_dies_is_started_again_with(Wanted::Auto);
    a_core_that_dies_is_started_again_with(Wanted::Epoll);
}

#[test]
fn a_core_that_dies_while_it_drains_still_drains() {
    let core = Core::start(Wanted::Auto);
    let mut busy = core.client();
    busy.write_all(b"GET / HT").unwrap();
    core.until("the connection", || core.slab.connections.get() == 1);
    core.mailbox.post(Message::Drain { deadline: Instant::now() + Duration::from_secs(3600) }).unwrap();
    core.mailbox.post(Message::Drill(Drill::Core)).unwrap();
    core.until("its end", || core.mailbox.stage() == Stage::Ended);
    core.thread.join().unwrap();
}

#[test]
fn a_core_that_stays_down_keeps_nobody_waiting() {
    let core = Core::start(Wanted::Auto);
    for death in 1..=6 {
        core.mailbox.post(Message::Drill(Drill::Core)).unwrap();
        core.until("a death", || core.slab.restarts.get() == death);
    }
    core.until("its end", || core.mailbox.stage() == Stage::Ended);
    let refused = TcpStream::connect(core.addr);
    assert!(refused.is_err(), "a connection waits in a queue that nobody looks at");
    core.thread.join().unwrap();
}
