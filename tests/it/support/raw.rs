//! A client that says exactly the bytes it is told to say, and reads answers strictly.

use std::io::ErrorKind;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use ringway::address::Address;
use socket2::SockRef;

use super::PATIENCE;
use super::message::Broken;
use super::message::Incoming;
use super::message::Response;

/// One connection to the gateway.
pub struct Raw(Incoming<TcpStream>);

/// One request on a connection of its own, with `Host: test.example`.
#[track_caller]
pub fn get(addr: SocketAddr, path: &str) -> Response {
    let mut raw = Raw::connect(addr);
    raw.send(format!("GET {path} HTTP/1.1\r\nHost: test.example\r\n\r\n"));
    raw.read_response()
}

/// Connects to a Unix socket. The type is that of TCP, since all that is done with it is the same for both.
pub fn unix(path: &Path) -> std::io::Result<TcpStream> {
    UnixStream::connect(path).map(|stream| OwnedFd::from(stream).into())
}

impl Raw {
    /// Connects.
    #[track_caller]
    pub fn connect(addr: SocketAddr) -> Self {
        Self::over(TcpStream::connect_timeout(&addr, PATIENCE).unwrap_or_else(|fault| panic!("{addr}: {fault}")))
    }

    /// Connects to a listener's address of either kind.
    #[track_caller]
    pub fn to(address: &Address) -> Self {
        match address {
            Address::Ip(addr) => Self::connect(*addr),
            Address::Unix(path) => Self::over(unix(path).unwrap_or_else(|fault| panic!("{address}: {fault}"))),
        }
    }

    /// Connects from an address of this machine: 127.0.0.2, say.
    #[track_caller]
    pub fn connect_from(from: &str, addr: SocketAddr) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(from.parse().unwrap(), 0).into()).unwrap();
        socket.connect_timeout(&addr.into(), PATIENCE).unwrap();
        Self::over(socket.into())
    }

    /// Connects with a receive buffer so small that a large answer cannot hide in the kernel.
    #[track_caller]
    pub fn connect_with_small_window(addr: SocketAddr) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect_timeout(&addr.into(), PATIENCE).unwrap();
        Self::over(socket.into())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        // A Unix socket has no such option.
        drop(stream.set_nodelay(true));
        Self(Incoming::new(stream))
    }

    /// The address of this end: what the gateway calls the client.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.stream.local_addr().unwrap()
    }

    /// Sends all of it.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the gateway takes what is sent");
    }

    /// Sends all of it, or says why not: for a gateway that may close while we send.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.0.stream.write_all(bytes.as_ref())
    }

    /// Sends it in pieces of so many bytes, each a packet of its own.
    #[track_caller]
    pub fn send_slowly(&mut self, bytes: impl AsRef<[u8]>, piece: usize) {
        for part in bytes.as_ref().chunks(piece) {
            self.send(part);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// A GET with `Host: test.example`, on a connection that stays.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test.example\r\n\r\n"));
        self.read_response()
    }

    /// The next whole response; anything else fails the test.
    #[track_caller]
    pub fn read_response(&mut self) -> Response {
        self.try_read_response().unwrap_or_else(|broken| panic!("no response: {broken}"))
    }

    /// The next whole response, or what is wrong with it.
    pub fn try_read_response(&mut self) -> Result<Response, Broken> {
        self.0.response(false)
    }

    /// The next whole response, to a HEAD request: whatever its fields say, it has no body.
    #[track_caller]
    pub fn read_response_to_head(&mut self) -> Response {
        self.0.response(true).unwrap_or_else(|broken| panic!("no response: {broken}"))
    }

    /// The head of the next final response; its body is still to be read, with [`Raw::read_body`].
    #[track_caller]
    pub fn read_head(&mut self) -> Response {
        self.0.response_head().unwrap_or_else(|broken| panic!("no response head: {broken}"))
    }

    /// The body that belongs to the head.
    #[track_caller]
    pub fn read_body(&mut self, response: &mut Response) {
        self.try_read_body(response).unwrap_or_else(|broken| panic!("no whole body: {broken}"));
    }

    /// The body that belongs to the head, or what is wrong with it.
    pub fn try_read_body(&mut self, response: &mut Response) -> Result<(), Broken> {
        self.0.response_body(response, false)
    }

    /// Whatever comes next, at least one byte.
    #[track_caller]
    pub fn read_some(&mut self) -> Vec<u8> {
        self.0.some().unwrap_or_else(|broken| panic!("no bytes: {broken}"))
    }

    /// Whatever comes next; nothing at a clean end.
    #[track_caller]
    pub fn read_or_end(&mut self) -> Option<Vec<u8>> {
        match self.0.some() {
            Ok(bytes) => Some(bytes),
            Err(Broken::Closed) => None,
            Err(broken) => panic!("neither bytes nor a clean end: {broken}"),
        }
    }

    /// Bytes until so many have come, whatever they are.
    #[track_caller]
    pub fn read_at_least(&mut self, n: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < n {
            bytes.extend(self.read_some());
        }
        bytes
    }

    /// Everything until the gateway closes.
    #[track_caller]
    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0.until_close(&mut bytes).unwrap_or_else(|broken| panic!("no end: {broken}"));
        bytes
    }

    /// The gateway closes, by FIN or RST, and says nothing more.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        match self.0.some() {
            Err(Broken::Closed | Broken::Cut(_)) => {}
            Err(broken) => panic!("not closed: {broken}"),
            Ok(bytes) => panic!("not closed, but {:?}", String::from_utf8_lossy(&bytes)),
        }
    }

    /// The gateway ends the connection by RST; what comes before is thrown away.
    #[track_caller]
    pub fn expect_reset(&mut self) {
        match self.0.until_close(&mut Vec::new()) {
            Err(Broken::Cut(_)) => {}
            Err(broken) => panic!("no reset: {broken}"),
            Ok(()) => panic!("a clean end, and no reset"),
        }
    }

    /// Nothing has come so far, neither bytes nor an end. A look at this moment, not a wait.
    #[track_caller]
    pub fn expect_silence(&self) {
        assert!(!self.has_news(), "not silent");
    }

    /// Whether something has come, bytes or an end. A look at this moment, not a wait.
    pub fn has_news(&self) -> bool {
        self.0.stream.set_nonblocking(true).unwrap();
        let seen = self.0.stream.peek(&mut [0]);
        self.0.stream.set_nonblocking(false).unwrap();
        !self.0.is_drained() || !matches!(seen, Err(fault) if fault.kind() == ErrorKind::WouldBlock)
    }

    /// A second end of the connection, to send by while this one reads.
    pub fn sender(&self) -> TcpStream {
        self.0.stream.try_clone().unwrap()
    }

    /// Ends our direction; answers can still be read.
    pub fn half_close(&self) {
        self.0.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Ends the connection with RST.
    pub fn reset(self) {
        SockRef::from(&self.0.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}
