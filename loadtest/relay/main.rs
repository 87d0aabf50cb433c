//! The floor: a byte relay over one bare io_uring ring on one thread. It refuses to know what the bytes mean.
//!
//! Each accepted connection gets one connection of its own to the far side; each direction has one buffer and one
//! operation in flight (receive, send, receive, …), and all that a turn of the loop wants is submitted with one
//! `io_uring_enter`. What a gateway costs above this is what it adds itself.
//!
//!     relay --listen 127.0.0.1:0 --to 127.0.0.1:8080        prints `RING flags` and `READY address`
//!
//! With `--tls 127.0.0.1:0 --pair FILE` it listens there too, ends TLS by rustls, and prints `TLS address` before `READY`.

#![expect(unsafe_code, reason = "the ring is driven by hand here, to have a floor without a runtime")]

#[path = "../records.rs"]
mod records;
mod tls;

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::pin::Pin;
use std::ptr;
use std::sync::Arc;

use clap::Parser;
use io_uring::{IoUring, cqueue, opcode, squeue, types};
use rustls::ServerConfig;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use tls::Veil;

#[derive(Parser)]
#[command(name = "relay", about = "A bare byte relay over io_uring")]
struct Args {
    /// Where to accept connections; port 0 lets the kernel choose.
    #[arg(long)]
    listen: SocketAddr,
    /// Where to accept connections with TLS besides.
    #[arg(long, requires = "pair")]
    tls: Option<SocketAddr>,
    /// A file of PEM with a certificate and its key; several for several sorts of keys.
    #[arg(long)]
    pair: Vec<PathBuf>,
    /// Where each accepted connection is led.
    #[arg(long)]
    to: SocketAddr,
    /// Bytes of one direction's buffer.
    #[arg(long, default_value_t = 64 * 1024)]
    buffer: usize,
}

fn main() -> io::Result<()> {
    let args = Args::parse();
    let mut listeners = vec![Listener { socket: listen(args.listen)?, tls: None }];
    let (ring, flags) = ring()?;
    let mut out = io::stdout().lock();
    writeln!(out, "RING {flags}")?;
    if let Some(address) = args.tls {
        let listener = Listener { socket: listen(address)?, tls: Some(tls::config(&args.pair)?) };
        writeln!(out, "TLS {}", listener.socket.local_addr()?)?;
        listeners.push(listener);
    }
    writeln!(out, "READY {}", listeners[0].socket.local_addr()?)?;
    out.flush()?;
    drop(out);
    Relay {
        ring,
        listeners,
        to: Box::pin(SockAddr::from(args.to)),
        buffer: args.buffer,
        pairs: Vec::new(),
        free: Vec::new(),
    }
    .run()
}

/// The ring with the best flags that the kernel takes, the same chain that the gateway tries.
fn ring() -> io::Result<(IoUring, &'static str)> {
    let mut builder = IoUring::builder();
    if let Ok(ring) =
        builder.setup_cqsize(RING_ENTRIES * 4).setup_single_issuer().setup_defer_taskrun().build(RING_ENTRIES)
    {
        return Ok((ring, "single_issuer+defer_taskrun"));
    }
    let mut builder = IoUring::builder();
    if let Ok(ring) = builder.setup_cqsize(RING_ENTRIES * 4).setup_coop_taskrun().build(RING_ENTRIES) {
        return Ok((ring, "coop_taskrun"));
    }
    Ok((IoUring::builder().setup_cqsize(RING_ENTRIES * 4).build(RING_ENTRIES)?, "plain"))
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

/// The loop and all that it owns.
struct Relay {
    ring: IoUring,
    listeners: Vec<Listener>,
    /// Pinned: the kernel reads it while a connect is in flight.
    to: Pin<Box<SockAddr>>,
    buffer: usize,
    pairs: Vec<Option<Pair>>,
    /// Empty places in `pairs`.
    free: Vec<usize>,
}

struct Listener {
    socket: TcpListener,
    tls: Option<Arc<ServerConfig>>,
}

/// A client connection and the upstream connection that belongs to it.
struct Pair {
    /// Client, upstream.
    sides: [TcpStream; 2],
    /// Client to upstream, upstream to client.
    ways: [Way; 2],
    /// Where the client speaks TLS.
    veil: Option<Box<Veil>>,
    /// Operations that the kernel still holds; the pair lives until there are none.
    in_flight: u32,
    /// An operation failed: both sides were shut down, and nothing new is begun.
    broken: bool,
}

/// One direction of a pair.
struct Way {
    buffer: Box<[u8]>,
    /// Bytes at the front of the buffer: what is sent, or, where there is TLS, the beginning of a record.
    filled: usize,
    /// What is sent instead of the buffer where there is TLS: opened or sealed.
    out: Vec<u8>,
    /// What TLS says itself, to whom the bytes come from.
    answer: Vec<u8>,
    /// Bytes of the answer or of what is sent that are on their way already.
    sent: usize,
    doing: Doing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    Receiving,
    Answering,
    Sending,
}

/// What an operation's completion belongs to, packed into its user data.
#[derive(Clone, Copy)]
enum Key {
    Accept(usize),
    Connect(usize),
    Way(usize, usize),
}

impl Relay {
    fn run(mut self) -> io::Result<()> {
        for _ in 0..ACCEPTS_PENDING {
            (0..self.listeners.len()).try_for_each(|place| self.accept(place))?;
        }
        let mut done: Vec<(Key, i32)> = Vec::with_capacity(RING_ENTRIES as usize);
        loop {
            match self.ring.submit_and_wait(1) {
                Ok(_) => {}
                Err(fault) if matches!(fault.raw_os_error(), Some(libc::EINTR | libc::EBUSY)) => {}
                Err(fault) => return Err(fault),
            }
            done.extend(
                self.ring.completion().map(|entry: cqueue::Entry| (Key::unpack(entry.user_data()), entry.result())),
            );
            for (key, result) in done.drain(..) {
                match key {
                    Key::Accept(place) => self.accepted(place, result)?,
                    Key::Connect(place) => self.connected(place, result)?,
                    Key::Way(place, way) => self.moved(place, way, result)?,
                }
            }
        }
    }

    fn accept(&mut self, place: usize) -> io::Result<()> {
        let listener = types::Fd(self.listeners[place].socket.as_raw_fd());
        let entry = opcode::Accept::new(listener, ptr::null_mut(), ptr::null_mut()).flags(libc::SOCK_CLOEXEC).build();
        self.push(entry, Key::Accept(place))
    }

    fn accepted(&mut self, listener: usize, result: i32) -> io::Result<()> {
        self.accept(listener)?;
        if result < 0 {
            return Ok(());
        }
        // SAFETY: a completed accept hands over a new descriptor that nobody else owns.
        let client = TcpStream::from(unsafe { OwnedFd::from_raw_fd(result) });
        let Ok(upstream) = Socket::new(self.to.domain(), Type::STREAM, Some(Protocol::TCP)) else { return Ok(()) };
        SockRef::from(&client).set_tcp_nodelay(true)?;
        upstream.set_tcp_nodelay(true)?;
        let pair = Pair {
            sides: [client, upstream.into()],
            ways: [Way::new(self.buffer), Way::new(self.buffer)],
            veil: self.listeners[listener].tls.as_ref().map(Veil::new).transpose()?,
            in_flight: 1,
            broken: false,
        };
        let entry =
            opcode::Connect::new(types::Fd(pair.sides[1].as_raw_fd()), self.to.as_ptr().cast(), self.to.len()).build();
        let place = self.free.pop().unwrap_or_else(|| {
            self.pairs.push(None);
            self.pairs.len() - 1
        });
        self.pairs[place] = Some(pair);
        self.push(entry, Key::Connect(place))
    }

    fn connected(&mut self, place: usize, result: i32) -> io::Result<()> {
        let Some(pair) = &mut self.pairs[place] else { return Ok(()) };
        pair.in_flight -= 1;
        if result < 0 {
            self.pairs[place] = None;
            self.free.push(place);
            return Ok(());
        }
        self.begin(place, 0)?;
        self.begin(place, 1)
    }

    /// A receive or a send of `way` is complete.
    fn moved(&mut self, place: usize, way: usize, result: i32) -> io::Result<()> {
        let Some(pair) = &mut self.pairs[place] else { return Ok(()) };
        pair.in_flight -= 1;
        let end = pair.ways[way].advance(result, way, pair.veil.as_deref_mut());
        match end {
            Moved::On if !pair.broken => return self.begin(place, way),
            Moved::On => {}
            Moved::Ended => drop(pair.sides[1 - way].shutdown(Shutdown::Write)),
            Moved::Failed => {
                pair.broken = true;
                for side in &pair.sides {
                    drop(side.shutdown(Shutdown::Both));
                }
            }
        }
        if pair.in_flight == 0 {
            self.pairs[place] = None;
            self.free.push(place);
        }
        Ok(())
    }

    /// Begins what `way` needs next: a send of what is in its buffer, or a receive.
    fn begin(&mut self, place: usize, way: usize) -> io::Result<()> {
        let Some(pair) = &mut self.pairs[place] else { return Ok(()) };
        pair.in_flight += 1;
        let source = types::Fd(pair.sides[way].as_raw_fd());
        let target = types::Fd(pair.sides[1 - way].as_raw_fd());
        let secure = pair.veil.is_some();
        let way_state = &mut pair.ways[way];
        let (to, rest) = match way_state.doing {
            Doing::Receiving => {
                let room = &mut way_state.buffer[if secure { way_state.filled } else { 0 }..];
                let entry = opcode::Recv::new(source, room.as_mut_ptr(), length(room)).build();
                return self.push(entry, Key::Way(place, way));
            }
            Doing::Answering => (source, &way_state.answer[..]),
            Doing::Sending if secure => (target, &way_state.out[..]),
            Doing::Sending => (target, &way_state.buffer[..way_state.filled]),
        };
        let rest = &rest[way_state.sent..];
        let entry = opcode::Send::new(to, rest.as_ptr(), length(rest)).flags(libc::MSG_NOSIGNAL).build();
        self.push(entry, Key::Way(place, way))
    }

    fn push(&mut self, entry: squeue::Entry, key: Key) -> io::Result<()> {
        let entry = entry.user_data(key.pack());
        loop {
            // SAFETY: what the entry points to is the listener's descriptor and nothing else, the pinned far address,
            // or a buffer and descriptors of a pair, which stays in place until its operations in flight are zero.
            let pushed = unsafe { self.ring.submission().push(&entry) };
            match pushed {
                Ok(()) => return Ok(()),
                Err(_) => self.ring.submit().map(drop)?,
            }
        }
    }
}

/// What a completion means for its direction.
enum Moved {
    On,
    Ended,
    Failed,
}

impl Way {
    fn new(bytes: usize) -> Self {
        Self {
            buffer: vec![0; bytes].into_boxed_slice(),
            filled: 0,
            out: Vec::new(),
            answer: Vec::new(),
            sent: 0,
            doing: Doing::Receiving,
        }
    }

    /// What it was doing is done; says what that means, and settles what it does next.
    fn advance(&mut self, result: i32, number: usize, veil: Option<&mut Veil>) -> Moved {
        let secure = veil.is_some();
        match (usize::try_from(result), self.doing) {
            (Err(_), _) | (Ok(0), Doing::Answering | Doing::Sending) => return Moved::Failed,
            (Ok(0), Doing::Receiving) => return Moved::Ended,
            (Ok(count), Doing::Answering | Doing::Sending) => self.sent += count,
            (Ok(count), Doing::Receiving) => match veil {
                None => self.filled = count,
                Some(veil) => match self.translate(count, number, veil) {
                    Ok(()) => {}
                    Err(_) => return Moved::Failed,
                },
            },
        }
        if self.doing == Doing::Receiving {
            self.doing = Doing::Answering;
        }
        if self.doing == Doing::Answering && self.sent == self.answer.len() {
            self.answer.clear();
            (self.doing, self.sent) = (Doing::Sending, 0);
        }
        if self.doing == Doing::Sending && self.sent == if secure { self.out.len() } else { self.filled } {
            self.out.clear();
            (self.doing, self.sent) = (Doing::Receiving, 0);
        }
        Moved::On
    }

    /// Opens what came of the client, or seals what came of the upstream.
    fn translate(&mut self, count: usize, number: usize, veil: &mut Veil) -> io::Result<()> {
        if number == 1 {
            return veil.seal(&self.buffer[..count], &mut self.out);
        }
        self.filled += count;
        let taken = veil.open(&mut self.buffer[..self.filled], &mut self.out, &mut self.answer)?;
        self.buffer.copy_within(taken..self.filled, 0);
        self.filled -= taken;
        Ok(())
    }
}

impl Key {
    fn pack(self) -> u64 {
        match self {
            Self::Accept(place) => (place as u64) << 2,
            Self::Connect(place) => (place as u64) << 2 | 1,
            Self::Way(place, way) => (place as u64) << 2 | 2 | way as u64,
        }
    }

    fn unpack(data: u64) -> Self {
        let place = (data >> 2) as usize;
        match data & 3 {
            0 => Self::Accept(place),
            1 => Self::Connect(place),
            way => Self::Way(place, (way & 1) as usize),
        }
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

/// Entries of the submission queue; the completion queue holds four times as many.
const RING_ENTRIES: u32 = 4096;
/// Accepts that wait on the listener at once.
const ACCEPTS_PENDING: usize = 8;
