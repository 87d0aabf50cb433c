//! Listening sockets: opened off the cores, one for each core on the same address, accepted from on them.

use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::fd::RawFd;

use socket2::Domain;
use socket2::Protocol;
use socket2::Type;

use crate::address::Peer;
use crate::io::socket::Cut;
use crate::io::socket::Socket;
use crate::io::socket::cut;

/// Connections that the kernel holds for us before they are accepted; it takes `net.core.somaxconn` at most.
const BACKLOG: i32 = 4096;

/// Opens `count` sockets on one address, among which the kernel spreads the connections. Port 0 lets it choose one port
/// for all. `ours`: the address is listened on by this process already.
///
/// # Errors
/// When somebody else listens there: SO_REUSEPORT would let a second gateway of the same user take half of the
/// connections, so the address is first tried without it.
pub fn open(address: SocketAddr, count: usize, ours: bool) -> io::Result<Vec<TcpListener>> {
    if address.port() != 0 && !ours {
        socket(address, false)?;
    }
    let mut opened = Vec::with_capacity(count);
    let mut address = address;
    for _ in 0..count {
        let listener = socket(address, true)?;
        address = listener.local_addr()?;
        opened.push(listener);
    }
    Ok(opened)
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    // Inherited by the sockets that are accepted: we send whole messages, which nothing is gained by holding back.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    if shared {
        socket.listen(BACKLOG)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// A listening socket on a core.
#[derive(Debug)]
pub struct Acceptor {
    listener: monoio::net::TcpListener,
    fd: RawFd,
    port: Option<u16>,
}

impl Acceptor {
    /// Takes a socket over; to be called on the core.
    ///
    /// # Errors
    /// When the core's poller refuses it.
    pub fn new(listener: TcpListener) -> io::Result<Self> {
        let fd = listener.as_raw_fd();
        let port = listener.local_addr().ok().map(|address| address.port());
        Ok(Self { listener: monoio::net::TcpListener::from_std(listener)?, fd, port })
    }

    /// The port that it listens on, if it is a port.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The next connection. Several calls may wait at once: each turn of the loop completes as many.
    ///
    /// # Errors
    /// Those of accept(2), `EINVAL` after [`close`](Self::close).
    pub async fn accept(&self) -> io::Result<(Socket, Peer)> {
        let (stream, address) = self.listener.accept().await?;
        Ok((Socket::new(stream), Peer::Ip(address)))
    }

    /// Takes no more connections: the accepts in flight end. Those that the kernel holds but nobody accepted are reset.
    pub fn close(&self) {
        cut(self.fd, Cut::Read);
    }
}

/// Ends whatever still accepts from a socket, a dead ring above all, and opens another on its address.
///
/// The old one cannot be listened on again: the accepts of a ring that nobody turns stay in its queue, and each new
/// connection would wake one of those and nobody else.
///
/// # Errors
/// Those of bind(2) and listen(2); then nobody listens any more.
pub fn renew(listener: &TcpListener) -> io::Result<TcpListener> {
    let fresh = socket(listener.local_addr()?, true);
    cut(listener.as_raw_fd(), Cut::Read);
    fresh
}
