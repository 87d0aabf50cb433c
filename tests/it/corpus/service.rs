//! A service for one lane: blocking sockets, one thread a connection, strict, and without an opinion: what is wrong with a
//! request is noted for the judge. It can tell when nothing more can come to it, so that an absence is seen without a wait.

use std::collections::BTreeSet;
use std::io;
use std::io::Read;
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;

use socket2::SockRef;

use super::prepare;
use crate::support::Incoming;
use crate::support::PATIENCE;
use crate::support::Request;

/// The service. What it is to do stands in a play of its own.
pub struct Service<P> {
    pub addr: SocketAddr,
    pub shared: Arc<Shared<P>>,
}

/// What the threads of a service share.
pub struct Shared<P> {
    state: Mutex<State<P>>,
    changed: Condvar,
}

/// What a service knows.
pub struct State<P> {
    /// What the case says to do, and what was done of it.
    pub play: P,
    /// The requests of this case, in the order that their heads arrived.
    pub seen: Vec<Seen>,
    /// What was no request.
    pub bad: Vec<String>,
    /// Requests ever seen.
    count: usize,
    accepted: Vec<SocketAddr>,
    open: Vec<(usize, TcpStream)>,
    /// Connections whose thread holds bytes that it has not done with.
    busy: BTreeSet<usize>,
    ended: bool,
}

/// A request, and its head byte for byte.
#[derive(Clone, Default)]
pub struct Seen {
    /// Which of all that were ever seen.
    pub number: usize,
    pub request: Request,
    pub raw_head: Vec<u8>,
}

/// One connection, in the hands of a script.
pub struct Conn<P> {
    pub incoming: Incoming<Watched<P>>,
    pub shared: Arc<Shared<P>>,
}

/// A stream that keeps a copy of what it gave, and says when there is nothing.
pub struct Watched<P> {
    pub stream: TcpStream,
    pub tape: Vec<u8>,
    number: usize,
    shared: Arc<Shared<P>>,
}

impl<P: Send + 'static> Service<P> {
    /// Runs the script for every connection; the connection closes when the script returns.
    pub fn run(play: P, script: impl Fn(&mut Conn<P>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let state = State {
            play,
            seen: Vec::new(),
            bad: Vec::new(),
            count: 0,
            accepted: Vec::new(),
            open: Vec::new(),
            busy: BTreeSet::new(),
            ended: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let (owner, script) = (shared.clone(), Arc::new(script));
        std::thread::spawn(move || accept(&listener, &owner, &script));
        Self { addr, shared }
    }

    /// Waits until everything that was sent here before has been read and dealt with, and takes what it was.
    pub fn settle(&self) -> (Vec<Seen>, Vec<String>) {
        // Those who came before this one were accepted before it.
        let knock = TcpStream::connect(self.addr).unwrap();
        let address = knock.local_addr().unwrap();
        drop(knock);
        let mut state =
            self.shared.wait("a service to settle", |state| state.accepted.contains(&address) && state.quiet());
        state.accepted.clear();
        (std::mem::take(&mut state.seen), std::mem::take(&mut state.bad))
    }
}

impl<P> Drop for Service<P> {
    fn drop(&mut self) {
        self.shared.state.lock().unwrap().ended = true;
        drop(TcpStream::connect(self.addr)); // it may have ended
    }
}

impl<P> Shared<P> {
    pub fn lock(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap()
    }

    pub fn change<T>(&self, change: impl FnOnce(&mut State<P>) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    #[track_caller]
    pub fn wait(&self, what: &str, condition: impl Fn(&State<P>) -> bool) -> MutexGuard<'_, State<P>> {
        let waited = self.changed.wait_timeout_while(self.lock(), PATIENCE, |state| !condition(state)).unwrap();
        assert!(!waited.1.timed_out(), "waited in vain for {what}");
        waited.0
    }
}

impl<P> State<P> {
    /// No connection has bytes, in the kernel or in its thread's hands. Bytes leave the kernel only for busy hands.
    fn quiet(&self) -> bool {
        let dry = |stream: &TcpStream| {
            let peeked = SockRef::from(stream).recv_with_flags(&mut [MaybeUninit::uninit()], PEEK);
            peeked.is_err_and(|fault| fault.kind() == io::ErrorKind::WouldBlock)
        };
        self.open.iter().all(|(number, stream)| dry(stream) && !self.busy.contains(number))
    }
}

const PEEK: i32 = libc::MSG_PEEK | libc::MSG_DONTWAIT;

impl<P> Conn<P> {
    /// The next request's head, and the number under which its body is noted. What is none is noted as such.
    pub fn head(&mut self) -> Option<(usize, Request)> {
        let before = self.incoming.taken;
        match self.incoming.request_head() {
            Ok(request) => {
                let raw_head = self.incoming.stream.tape[before..self.incoming.taken].to_vec();
                let fault = line_fault(&request);
                self.shared.change(|state| {
                    state.bad.extend(fault);
                    state.count += 1;
                    state.seen.push(Seen { number: state.count, request: request.clone(), raw_head });
                    Some((state.count, request))
                })
            }
            Err(broken) => self.note(&broken),
        }
    }

    /// The body of the request of this number; false if it did not come whole.
    pub fn body(&mut self, number: usize, request: &mut Request) -> bool {
        let read = self.incoming.request_body(request);
        self.shared.change(|state| {
            if let Some(seen) = state.seen.iter_mut().find(|seen| seen.number == number) {
                seen.request = request.clone();
            }
        });
        match read {
            Ok(()) => true,
            Err(broken) => self.note::<()>(&broken).is_some(),
        }
    }

    fn note<T>(&self, broken: &crate::support::Broken) -> Option<T> {
        if let crate::support::Broken::Rule(rule) = broken {
            self.shared.change(|state| state.bad.push(rule.clone()));
        }
        None
    }

    /// The connection itself.
    pub fn stream(&self) -> &TcpStream {
        &self.incoming.stream.stream
    }
}

/// What the fields do not show: RFC 9112 §3.
fn line_fault(request: &Request) -> Option<String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let visible = |c: char| !matches!(c, '\0'..=' ' | '\x7f');
    let fine = !request.method.is_empty()
        && request.method.bytes().all(token)
        && !request.target.is_empty()
        && request.target.chars().all(visible)
        && matches!(request.version.as_str(), "HTTP/1.0" | "HTTP/1.1");
    (!fine).then(|| format!("request line {:?} {:?} {:?}", request.method, request.target, request.version))
}

impl<P> Read for Watched<P> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.shared.change(|state| state.busy.remove(&self.number));
        self.stream.peek(&mut [0])?;
        self.shared.change(|state| state.busy.insert(self.number));
        let n = self.stream.read(into)?;
        self.tape.extend_from_slice(&into[..n]);
        Ok(n)
    }
}

fn accept<P: Send + 'static>(
    listener: &TcpListener,
    shared: &Arc<Shared<P>>,
    script: &Arc<impl Fn(&mut Conn<P>) + Send + Sync + 'static>,
) {
    for number in 0.. {
        let (stream, address) = listener.accept().unwrap();
        let stream = prepare(stream);
        let copy = stream.try_clone().unwrap();
        let ended = shared.change(|state| {
            state.accepted.push(address);
            state.busy.insert(number);
            state.open.push((number, copy));
            state.ended
        });
        if ended {
            for (_, stream) in &shared.lock().open {
                drop(stream.shutdown(Shutdown::Both)); // it may be closed by now
            }
            return;
        }
        let (shared, script) = (shared.clone(), script.clone());
        std::thread::spawn(move || {
            let watched = Watched { stream, tape: Vec::new(), number, shared: shared.clone() };
            let mut conn = Conn { incoming: Incoming::new(watched), shared: shared.clone() };
            script(&mut conn);
            // The copy goes first, so that what the script said of the end of the connection holds.
            shared.lock().open.retain(|(other, _)| *other != number);
            drop(conn);
            shared.change(|state| state.busy.remove(&number));
        });
    }
}
