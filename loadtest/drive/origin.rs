//! The origin: answers `GET /N` and `POST /N` with N bytes, chunked if the query says `chunked`, `HEAD /N` with the head
//! of that answer, behind any other segments of the path, and echoes `X-Token`. A request body that is not the one its token promises is
//! answered with 422; without a token it may be any. It refuses to know who asks.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::sys::{Epoll, Interest, Ready};
use crate::wire::{Body, Head, Outgoing, Pattern, number, push_number};

/// How the connections of a listener are served.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// At once.
    Prompt,
    /// [`SLOW`] after the request has ended.
    Slow,
    /// Not at all: reset once the request has ended.
    Failing,
}

/// Listeners and the connections they accepted.
pub struct Origin {
    listeners: Vec<(TcpListener, Manner)>,
    /// Answers held back, in the order in which they are due: the connection's place and its number.
    held: VecDeque<(Instant, usize, u64)>,
    accepted: u64,
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    /// What the keys of its listeners and of its connections begin with.
    keys: (u64, u64),
}

struct Peer {
    stream: TcpStream,
    /// Read and not yet understood: the beginning of a head, or what was pipelined behind an answer still on its way.
    pending: Vec<u8>,
    request: Option<Request>,
    answer: Outgoing,
    answering: bool,
    /// The answer is held back.
    held: bool,
    watched: Interest,
    manner: Manner,
    /// Tells it from others that had its place before.
    number: u64,
}

/// A request whose head was read.
#[expect(clippy::struct_excessive_bools, reason = "four independent marks of one request")]
struct Request {
    /// What its body has to be; nothing: it may be any.
    token: Option<u64>,
    body: Body,
    /// Bytes of the body seen.
    offset: u64,
    wrong: bool,
    /// Bytes of the answer's body; nothing, if the target names none.
    answer: Option<u64>,
    chunked: bool,
    close: bool,
    /// The answer has a head only.
    bare: bool,
}

/// Why a connection is dropped.
enum Gone {
    Closed,
    Fault,
}

impl Origin {
    /// One that does not listen yet. The keys of its listeners and of its connections begin with these two, whose low 32
    /// bits must be zero.
    pub fn new(listeners: u64, connections: u64) -> Self {
        let (held, peers, free) = (VecDeque::new(), Vec::new(), Vec::new());
        Self { listeners: Vec::new(), held, accepted: 0, peers, free, keys: (listeners, connections) }
    }

    /// Listens on `address`, whose port may be 0; gives the true one.
    pub fn listen(&mut self, address: SocketAddr, manner: Manner, epoll: &Epoll) -> io::Result<SocketAddr> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        // Inherited. What the kernel held here for the proxy would be the proxy's own memory too: one machine, one bound.
        socket.set_tcp_notsent_lowat(512 * 1024)?;
        socket.listen(4096)?;
        socket.set_nonblocking(true)?;
        let listener = TcpListener::from(socket);
        epoll.add(listener.as_raw_fd(), self.keys.0 | self.listeners.len() as u64, Interest::Read)?;
        let address = listener.local_addr();
        self.listeners.push((listener, manner));
        address
    }

    /// Takes all connections that wait at a listener.
    pub fn accept(&mut self, ready: Ready, epoll: &Epoll) {
        let Some((listener, manner)) = self.listeners.get((ready.key & u64::from(u32::MAX)) as usize) else { return };
        while let Ok((stream, _)) = listener.accept() {
            if stream.set_nonblocking(true).is_err() || stream.set_nodelay(true).is_err() {
                continue;
            }
            let place = self.free.pop().unwrap_or_else(|| {
                self.peers.push(None);
                self.peers.len() - 1
            });
            if epoll.add(stream.as_raw_fd(), self.keys.1 | place as u64, Interest::Read).is_err() {
                self.free.push(place);
                continue;
            }
            self.accepted += 1;
            self.peers[place] = Some(Peer {
                stream,
                pending: Vec::new(),
                request: None,
                answer: Outgoing::default(),
                answering: false,
                held: false,
                watched: Interest::Read,
                manner: *manner,
                number: self.accepted,
            });
        }
    }

    /// Serves a connection that is ready; `scratch` is room to read into.
    pub fn serve(&mut self, ready: Ready, epoll: &Epoll, pattern: &Pattern, scratch: &mut [u8]) {
        let place = (ready.key & u64::from(u32::MAX)) as usize;
        let Some(Some(peer)) = self.peers.get_mut(place) else { return };
        let served = if peer.held {
            // Nothing is watched but the end.
            Err(Gone::Closed)
        } else if peer.answering {
            peer.answer(pattern).and_then(|()| peer.drain_pending(pattern))
        } else {
            peer.read(pattern, scratch)
        };
        self.served(place, served.is_ok(), epoll);
    }

    /// Sends the answers that were held back until now, and says how long it is to the next.
    pub fn serve_due(&mut self, epoll: &Epoll, pattern: &Pattern) -> Option<Duration> {
        while let Some(&(due, place, number)) = self.held.front() {
            if let Some(wait) = due.checked_duration_since(Instant::now()).filter(|wait| !wait.is_zero()) {
                return Some(wait);
            }
            self.held.pop_front();
            let Some(Some(peer)) = self.peers.get_mut(place) else { continue };
            if peer.number == number {
                peer.held = false;
                let served = peer.answer(pattern).and_then(|()| peer.drain_pending(pattern));
                self.served(place, served.is_ok(), epoll);
            }
        }
        None
    }

    /// After a turn of a connection: what it is watched for, or its end.
    fn served(&mut self, place: usize, good: bool, epoll: &Epoll) {
        let Some(Some(peer)) = self.peers.get_mut(place) else { return };
        let wanted = match (peer.held, peer.answering) {
            (true, _) => Interest::Nothing,
            (false, true) => Interest::Write,
            (false, false) => Interest::Read,
        };
        if peer.held {
            self.held.push_back((Instant::now() + SLOW, place, peer.number));
        }
        let key = self.keys.1 | place as u64;
        let watched = wanted == peer.watched || epoll.modify(peer.stream.as_raw_fd(), key, wanted).is_ok();
        peer.watched = wanted;
        if !good || !watched {
            if peer.manner == Manner::Failing {
                drop(SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)));
            }
            self.peers[place] = None;
            self.free.push(place);
        }
    }
}

impl Peer {
    fn read(&mut self, pattern: &Pattern, scratch: &mut [u8]) -> Result<(), Gone> {
        let count = match (&self.stream).read(scratch) {
            Ok(0) => return Err(Gone::Closed),
            Ok(count) => count,
            Err(fault) if matches!(fault.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Ok(());
            }
            Err(_) => return Err(Gone::Fault),
        };
        if self.pending.is_empty() {
            let taken = self.take(&scratch[..count], pattern)?;
            self.pending.extend_from_slice(&scratch[taken..count]);
            return Ok(());
        }
        self.pending.extend_from_slice(&scratch[..count]);
        self.drain_pending(pattern)
    }

    fn drain_pending(&mut self, pattern: &Pattern) -> Result<(), Gone> {
        if self.pending.is_empty() || self.answering {
            return Ok(());
        }
        let pending = std::mem::take(&mut self.pending);
        let taken = self.take(&pending, pattern)?;
        self.pending.extend_from_slice(&pending[taken..]);
        Ok(())
    }

    /// Reads requests off the front of `bytes` and answers them, until an answer does not go out at once. Gives how
    /// many bytes it took.
    fn take(&mut self, bytes: &[u8], pattern: &Pattern) -> Result<usize, Gone> {
        let mut at = 0;
        while !self.answering {
            if let Some(request) = &mut self.request {
                at += request.feed(&bytes[at..], pattern)?;
                if !request.body.is_done() {
                    break;
                }
                request.begin_answer(&mut self.answer);
                self.answering = true;
                match self.manner {
                    Manner::Prompt => self.answer(pattern)?,
                    Manner::Slow => self.held = true,
                    Manner::Failing => return Err(Gone::Fault),
                }
            } else if at < bytes.len() {
                let Some(head) = Head::read(&bytes[at..]).map_err(|_| Gone::Fault)? else { break };
                at += head.bytes;
                self.request = Some(Request::new(&head));
            } else {
                break;
            }
        }
        Ok(at)
    }

    /// Sends what is left of the answer; when it is all sent, the next request may come.
    fn answer(&mut self, pattern: &Pattern) -> Result<(), Gone> {
        if !self.answer.push(&mut &self.stream, pattern).map_err(|_| Gone::Fault)? {
            return Ok(());
        }
        self.answering = false;
        match self.request.take() {
            Some(request) if request.close => Err(Gone::Closed),
            _ => Ok(()),
        }
    }
}

impl Request {
    fn new(head: &Head<'_>) -> Self {
        let target = head.line.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
        let (path, query) = target.split_at(memchr::memchr(b'?', target).unwrap_or(target.len()));
        let last = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        Self {
            token: head.token,
            body: head.body(true),
            offset: 0,
            wrong: false,
            bare: head.line.starts_with(b"HEAD "),
            answer: number(last).filter(|&bytes| bytes <= ANSWER_BYTES_MAX),
            chunked: query.strip_prefix(b"?").is_some_and(|query| query == b"chunked"),
            close: head.close,
        }
    }

    fn feed(&mut self, bytes: &[u8], pattern: &Pattern) -> Result<usize, Gone> {
        let Self { token, body, offset, wrong, .. } = self;
        body.feed(bytes, |content| {
            *wrong |= token.is_some_and(|token| !pattern.holds(token, *offset, content));
            *offset += content.len() as u64;
        })
        .map_err(|_| Gone::Fault)
    }

    fn begin_answer(&self, answer: &mut Outgoing) {
        let (status, body): (&[u8], _) = match (self.wrong, self.answer) {
            (true, _) => (b"422 Unprocessable Content", 0),
            (false, None) => (b"404 Not Found", 0),
            (false, Some(bytes)) => (b"200 OK", bytes),
        };
        let token = self.token.unwrap_or(0);
        answer.begin(token, Some(body), self.chunked, |head| {
            head.extend_from_slice(b"HTTP/1.1 ");
            head.extend_from_slice(status);
            head.extend_from_slice(b"\r\nServer: drive\r\nContent-Type: application/octet-stream\r\nX-Token: ");
            push_number(head, token);
            head.extend_from_slice(if self.close { b"\r\nConnection: close\r\n" } else { b"\r\n" });
        });
        if self.bare {
            answer.without_body();
        }
    }
}

/// How long a slow endpoint takes for an answer.
const SLOW: Duration = Duration::from_millis(20);
/// Largest answer, 4 GiB.
const ANSWER_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
