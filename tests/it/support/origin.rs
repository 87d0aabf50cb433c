//! A scripted service behind the gateway: blocking sockets, one thread a connection, a record of everything received.
//!
//! Whatever reaches an origin is read by the strict parser of the tests: a gateway that sends it an ill-formed message
//! fails the test, whatever the test is about.

use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread::JoinHandle;
use std::time::Duration;

use ringway::address::Address;
use serde_json::json;
use socket2::SockAddr;
use socket2::SockRef;
use socket2::Socket;

use super::PATIENCE;
use super::message::Broken;
use super::message::Incoming;
use super::message::Request;

type Script = Arc<dyn Fn(&mut Conn) + Send + Sync>;

/// One service. Dropped: it closes everything, and fails the test if one of its scripts failed.
pub struct Origin {
    address: Address,
    script: Script,
    shared: Arc<Shared>,
    accepting: Option<(TcpListener, JoinHandle<()>)>,
    /// Holds the port while nobody listens at it.
    reserved: Option<Socket>,
    /// Fills the queue of a port that nobody accepts from.
    queued: Vec<TcpStream>,
}

/// One connection to an origin, in the hands of its script.
pub struct Conn {
    /// Which connection of this origin it is, counted from 0.
    pub number: usize,
    incoming: Incoming<TcpStream>,
    shared: Arc<Shared>,
    /// Where in the record the request being read stands.
    recorded: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    requests: Vec<Request>,
    accepted: usize,
    open: Vec<(usize, TcpStream)>,
    faults: Vec<String>,
    stopping: bool,
}

impl Origin {
    /// Runs the script for every connection; the connection closes when the script returns.
    pub fn script(script: impl Fn(&mut Conn) + Send + Sync + 'static) -> Self {
        Self::script_at("127.0.0.1:0", script)
    }

    /// The same at an address of the test's choice: `[::1]:0`, or `unix:` and a path.
    pub fn script_at(address: &str, script: impl Fn(&mut Conn) + Send + Sync + 'static) -> Self {
        let mut origin = Self::refusing_at(address);
        origin.script = Arc::new(script);
        origin.restart();
        origin
    }

    /// Answers every request with what the function makes of it.
    pub fn answer<B: AsRef<[u8]>>(answer: impl Fn(&Request) -> B + Send + Sync + 'static) -> Self {
        Self::answer_at("127.0.0.1:0", answer)
    }

    /// The same at an address of the test's choice.
    pub fn answer_at<B: AsRef<[u8]>>(address: &str, answer: impl Fn(&Request) -> B + Send + Sync + 'static) -> Self {
        Self::script_at(address, move |conn| {
            while let Some(request) = conn.read_request() {
                if !conn.write(answer(&request)) {
                    break;
                }
            }
        })
    }

    /// Answers every request with these bytes.
    pub fn fixed(response: impl AsRef<[u8]>) -> Self {
        let response = response.as_ref().to_vec();
        Self::answer(move |_| response.clone())
    }

    /// Answers every request with its name.
    pub fn named(name: &str) -> Self {
        Self::fixed(ok(name))
    }

    /// One origin for each name.
    pub fn fleet(names: &[&str]) -> Vec<Self> {
        names.iter().map(|name| Self::named(name)).collect()
    }

    /// Answers every request with what it received, as JSON: method, target, version, fields, body, trailers.
    pub fn echo() -> Self {
        Self::answer(|request| {
            let body = String::from_utf8_lossy(&request.body);
            ok(&json!({
                "method": request.method, "target": request.target, "version": request.version,
                "fields": request.fields, "body": body, "trailers": request.trailers,
            })
            .to_string())
        })
    }

    /// A port that is taken, and refuses every connection.
    pub fn refusing() -> Self {
        Self::refusing_at("127.0.0.1:0")
    }

    fn refusing_at(address: &str) -> Self {
        let address: Address = address.parse().unwrap();
        let socket = reserve(&address);
        let address = socket.local_addr().unwrap().as_socket().map_or(address, Address::Ip);
        let script: Script = Arc::new(|conn: &mut Conn| conn.wait_closed());
        Self { address, script, shared: Arc::default(), accepting: None, reserved: Some(socket), queued: Vec::new() }
    }

    /// Reads a request and never answers.
    pub fn silent() -> Self {
        Self::script(|conn| {
            conn.read_request();
            conn.wait_closed();
        })
    }

    /// A port whose queue is full: a connection to it is neither made nor refused.
    pub fn full() -> Self {
        let mut origin = Self::refusing();
        origin.reserved.as_ref().unwrap().listen(0).unwrap();
        while let Ok(stream) = TcpStream::connect_timeout(&origin.addr(), Duration::from_millis(500)) {
            origin.queued.push(stream);
            assert!(origin.queued.len() < 64, "the queue takes no end");
        }
        origin
    }

    /// The IP address at which it listens.
    #[track_caller]
    pub fn addr(&self) -> SocketAddr {
        self.address.ip().expect("an IP address")
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Everything received so far, in the order the heads arrived.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().requests.clone()
    }

    /// The request received last, once `n` have been received whole.
    #[track_caller]
    pub fn wait_for(&self, n: usize) -> Request {
        let state = self.wait(&format!("{n} requests"), |state| state.whole() >= n);
        state.requests.last().cloned().unwrap_or_default()
    }

    /// Waits until `n` request heads have arrived, whatever became of their bodies.
    #[track_caller]
    pub fn wait_for_heads(&self, n: usize) -> Request {
        self.wait(&format!("{n} request heads"), |state| state.requests.len() >= n).requests.last().cloned().unwrap()
    }

    /// Connections ever accepted.
    pub fn connections(&self) -> usize {
        self.shared.lock().accepted
    }

    /// Connections open now.
    pub fn open_connections(&self) -> usize {
        self.shared.lock().open.len()
    }

    /// Waits until that many connections are open.
    #[track_caller]
    pub fn wait_for_open(&self, n: usize) {
        drop(self.wait(&format!("{n} open connections"), |state| state.open.len() == n));
    }

    /// Stops listening and closes every connection; the port stays taken, and refuses.
    pub fn stop(&mut self) {
        let Some((listener, thread)) = self.accepting.take() else { return };
        self.shared.lock().stopping = true;
        SockRef::from(&listener).shutdown(Shutdown::Both).unwrap();
        drop(listener);
        thread.join().unwrap();
        for (_, stream) in &self.shared.lock().open {
            drop(stream.shutdown(Shutdown::Both)); // it may be closed by now
        }
        drop(self.wait("every script to end", |state| state.open.is_empty()));
        self.reserved = Some(reserve(&self.address));
    }

    /// Listens again, on the same port.
    pub fn restart(&mut self) {
        let socket = self.reserved.take().expect("the origin is stopped");
        socket.listen(1024).unwrap();
        let listener = TcpListener::from(socket);
        self.shared.lock().stopping = false;
        let (acceptor, shared, script) = (listener.try_clone().unwrap(), self.shared.clone(), self.script.clone());
        let thread = std::thread::spawn(move || accept(&acceptor, &shared, &script));
        self.accepting = Some((listener, thread));
    }

    #[track_caller]
    fn wait(&self, what: &str, condition: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let state = self.shared.lock();
        let (state, late) = self.shared.changed.wait_timeout_while(state, PATIENCE, |state| !condition(state)).unwrap();
        assert!(
            !late.timed_out(),
            "waited in vain for {what}; {} requests, {} connections, {} open",
            state.requests.len(),
            state.accepted,
            state.open.len()
        );
        state
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let stopped = catch_unwind(AssertUnwindSafe(|| self.stop()));
            drop(stopped); // one failure is told, the first
            return;
        }
        self.stop();
        let faults = std::mem::take(&mut self.shared.lock().faults);
        assert!(faults.is_empty(), "an origin's script failed: {}", faults.join("; "));
    }
}

// === impl Conn ===

impl Conn {
    /// The next request, head and body; none if the gateway closed, or stopped within it.
    #[track_caller]
    pub fn read_request(&mut self) -> Option<Request> {
        let mut request = self.read_head()?;
        self.read_body(&mut request).then_some(request)
    }

    /// The next request's head; none if the gateway closed, or has nothing to ask.
    #[track_caller]
    pub fn read_head(&mut self) -> Option<Request> {
        match self.incoming.request_head() {
            Ok(request) => {
                self.recorded = self.shared.change(|state| {
                    state.requests.push(request.clone());
                    state.requests.len() - 1
                });
                Some(request)
            }
            Err(Broken::Rule(rule)) => panic!("the gateway sent an ill-formed request: {rule}"),
            Err(_) => None,
        }
    }

    /// The body that belongs to the head; false if the gateway stopped within it.
    #[track_caller]
    pub fn read_body(&mut self, request: &mut Request) -> bool {
        let read = self.incoming.request_body(request);
        let (at, now) = (self.recorded, request.clone());
        self.shared.change(|state| state.requests[at] = now);
        match read {
            Ok(()) => true,
            Err(Broken::Rule(rule)) => panic!("the gateway sent an ill-formed request: {rule}"),
            Err(_) => false,
        }
    }

    /// Some bytes of whatever comes, unjudged; none at the end.
    pub fn read_some(&mut self) -> Option<Vec<u8>> {
        self.incoming.some().ok()
    }

    /// The next line, without its CRLF; none if the gateway closed before its end.
    pub fn read_line(&mut self) -> Option<String> {
        self.incoming.line().ok()
    }

    /// So many bytes; none if the gateway closed before them.
    pub fn read_exactly(&mut self, n: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.incoming.exactly(n, &mut bytes).ok().map(|()| bytes)
    }

    /// Writes all of it; false if the gateway does not take it.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.incoming.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Everything until the gateway closes, unjudged; none if it resets.
    pub fn read_to_end(&mut self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.incoming.until_close(&mut bytes).is_ok().then_some(bytes)
    }

    /// Whether something has come, bytes or an end. A look at this moment, not a wait.
    pub fn has_news(&self) -> bool {
        self.incoming.stream.set_nonblocking(true).unwrap();
        let seen = self.incoming.stream.peek(&mut [0]);
        self.incoming.stream.set_nonblocking(false).unwrap();
        !self.incoming.is_drained() || !matches!(seen, Err(fault) if fault.kind() == std::io::ErrorKind::WouldBlock)
    }

    /// A second end of the connection, to send by while this one reads.
    pub fn sender(&self) -> TcpStream {
        self.incoming.stream.try_clone().unwrap()
    }

    /// Waits until the gateway closes; what it sends is thrown away.
    pub fn wait_closed(&mut self) {
        while self.incoming.some().is_ok() {}
    }

    /// Ends our direction by FIN; the gateway may still send.
    pub fn close(&mut self) {
        drop(self.incoming.stream.shutdown(Shutdown::Write)); // the gateway may have been first
    }

    /// Ends the connection with RST when the script returns.
    pub fn reset(&mut self) {
        SockRef::from(&self.incoming.stream).set_linger(Some(Duration::ZERO)).unwrap();
        self.shared.change(|state| state.open.retain(|(number, _)| *number != self.number));
    }
}

// === impl Shared ===

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }
}

impl State {
    fn whole(&self) -> usize {
        self.requests.iter().filter(|request| request.complete).count()
    }
}

/// A 200 with this body.
pub fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, script: &Script) {
    // The standard library's own accept knows no Unix addresses.
    while let Ok((stream, _)) = SockRef::from(listener).accept() {
        let stream = TcpStream::from(stream);
        if shared.lock().stopping {
            break;
        }
        let (shared, script) = (shared.clone(), script.clone());
        let number = shared.change(|state| {
            state.open.push((state.accepted, stream.try_clone().unwrap()));
            state.accepted += 1;
            state.accepted - 1
        });
        std::thread::spawn(move || converse(stream, number, &shared, &script));
    }
}

fn converse(stream: TcpStream, number: usize, shared: &Arc<Shared>, script: &Script) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    // A Unix socket has no such option.
    drop(stream.set_nodelay(true));
    let mut conn = Conn { number, incoming: Incoming::new(stream), shared: shared.clone(), recorded: 0 };
    let outcome = catch_unwind(AssertUnwindSafe(|| script(&mut conn)));
    drop(conn);
    shared.change(|state| {
        state.open.retain(|(other, _)| *other != number);
        if let Err(panic) = outcome {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
            state.faults.push(words.unwrap_or_else(|| "a panic without words".into()));
        }
    });
}

fn reserve(address: &Address) -> Socket {
    let (domain, name) = match address {
        Address::Ip(addr) => (socket2::Domain::for_address(*addr), (*addr).into()),
        Address::Unix(path) => {
            drop(std::fs::remove_file(path)); // left over from the listener before, or not there yet
            (socket2::Domain::UNIX, SockAddr::unix(path).unwrap())
        }
    };
    let socket = Socket::new(domain, socket2::Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&name).unwrap();
    socket
}
