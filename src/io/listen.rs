//! Listening sockets: opened off the cores, accepted from on them. On an IP address each core has a socket of its own; a
//! Unix socket is one, of which each core has a descriptor.

#![expect(unsafe_code, reason = "accept4 has no safe face with flags in std")]

use std::cell::Cell;
use std::cell::RefCell;
use std::future::Future;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::pin::pin;
use std::task::Poll;
use std::task::Waker;

use socket2::Domain;
use socket2::Protocol;
use socket2::SockRef;
use socket2::Type;

use crate::address::Address;
use crate::address::Peer;
use crate::io::socket::Cut;
use crate::io::socket::Socket;
use crate::io::socket::UNSENT;
use crate::io::socket::cut;
use crate::io::socket::is_nonblocking;
use crate::io::socket_file::SocketFile;

/// Connections that the kernel holds for us before they are accepted; it takes `net.core.somaxconn` at most.
const BACKLOG: i32 = 4096;

/// An address that is listened on.
#[derive(Debug)]
pub struct Opened {
    /// Where exactly: a port that the kernel chose is known.
    pub address: Address,
    /// One for each core.
    pub sockets: Vec<OwnedFd>,
    /// The file of a Unix socket.
    pub file: Option<SocketFile>,
}

/// Opens `count` sockets on one address, among which the kernel spreads the connections. Port 0 lets it choose one port
/// for all. `ours`: the address is listened on by this process already. A Unix socket's file gets the permissions `mode`.
///
/// # Errors
/// When somebody else listens there: SO_REUSEPORT would let a second gateway of the same user take half of the
/// connections, so the address is first tried without it. For a Unix socket, see [`SocketFile::create`].
pub fn open(address: &Address, count: usize, ours: bool, mode: u32) -> io::Result<Opened> {
    let mut address = match address {
        Address::Ip(address) => *address,
        Address::Unix(path) => {
            let file = SocketFile::create(path, mode, BACKLOG)?;
            return Ok(Opened { address: address.clone(), sockets: file.share(count)?, file: Some(file) });
        }
    };
    if address.port() != 0 && !ours {
        socket(address, false)?;
    }
    let mut sockets = Vec::with_capacity(count);
    for _ in 0..count {
        let listener = socket(address, true)?;
        address = listener.local_addr()?;
        sockets.push(listener.into());
    }
    Ok(Opened { address: Address::Ip(address), sockets, file: None })
}

/// Whether an address could be listened on, as far as that can be seen without listening. Nobody notices.
///
/// # Errors
/// Why not. [`io::ErrorKind::AddrInUse`] says that somebody listens there, and not who.
pub fn could(address: &Address) -> io::Result<()> {
    match address {
        Address::Ip(address) => bound(*address, true).map(drop),
        Address::Unix(path) => {
            let folder = path.parent().is_some_and(std::path::Path::is_dir);
            if folder { Ok(()) } else { Err(io::Error::new(io::ErrorKind::NotFound, "there is no such folder")) }
        }
    }
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = bound(address, shared)?;
    if shared {
        socket.listen(BACKLOG)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn bound(address: SocketAddr, shared: bool) -> io::Result<socket2::Socket> {
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
    // Inherited too.
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A listening socket on a core.
#[derive(Debug)]
pub enum Acceptor {
    /// The core's own.
    Own {
        /// Accepts through the loop.
        listener: monoio::net::TcpListener,
        /// Its descriptor.
        fd: RawFd,
        /// Its port.
        port: Option<u16>,
    },
    /// One of which each core has a descriptor.
    Shared(Door),
}

/// A descriptor of a socket that all cores accept from. Each connection wakes them all, and whoever comes first has it.
///
/// Nothing is accepted through the loop, only waited for: an accept that a dead loop has left behind would take the turn,
/// or the connection, of a living one.
#[derive(Debug)]
pub struct Door {
    /// Waited for as a stream, and never read as one.
    socket: monoio::net::UnixStream,
    /// Connections accepted since it was last waited for.
    row: Cell<usize>,
    closed: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// Connections that are accepted in a row before the loop has its turn.
const ROW: usize = 16;

impl Acceptor {
    /// Takes a socket over; to be called on the core.
    ///
    /// # Errors
    /// When the core's poller refuses it.
    pub fn new(address: &Address, socket: OwnedFd) -> io::Result<Self> {
        match address {
            Address::Ip(_) => {
                let fd = socket.as_raw_fd();
                let port = SockRef::from(&socket).local_addr()?.as_socket().map(|address| address.port());
                Ok(Self::Own { listener: monoio::net::TcpListener::from_std(socket.into())?, fd, port })
            }
            Address::Unix(_) => Ok(Self::Shared(Door {
                socket: monoio::net::UnixStream::from_std(socket.into())?,
                row: Cell::new(0),
                closed: Cell::new(false),
                waker: RefCell::new(None),
            })),
        }
    }

    /// The port that it listens on, if it is a port.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Own { port, .. } => *port,
            Self::Shared(_) => None,
        }
    }

    /// The next connection. [`width`](Self::width) calls may wait at once.
    ///
    /// # Errors
    /// Those of accept(2), `EINVAL` after [`close`](Self::close).
    pub async fn accept(&self) -> io::Result<(Socket, Peer)> {
        match self {
            Self::Own { listener, .. } => {
                let (stream, address) = listener.accept().await?;
                Ok((Socket::new(stream), Peer::Ip(address)))
            }
            Self::Shared(door) => Ok((door.accept().await?, Peer::Unix)),
        }
    }

    /// How many accepts are to wait at once: of accepts, each turn of the loop completes those that wait; of waits for
    /// something to accept, one is enough.
    #[must_use]
    pub fn width(&self) -> usize {
        match self {
            Self::Own { .. } => 16,
            Self::Shared(_) => 1,
        }
    }

    /// Takes no more connections: the accepts in flight end. Those that the kernel holds but nobody accepted are reset; in
    /// a shared socket they stay for others, as long as there are any.
    pub fn close(&self) {
        match self {
            Self::Own { fd, .. } => cut(*fd, Cut::Read),
            Self::Shared(door) => {
                door.closed.set(true);
                if let Some(waker) = door.waker.borrow_mut().take() {
                    waker.wake();
                }
            }
        }
    }
}

impl Door {
    async fn accept(&self) -> io::Result<Socket> {
        loop {
            if self.closed.get() {
                return Err(io::Error::from_raw_os_error(libc::EINVAL));
            }
            if self.row.get() < ROW {
                match self.take() {
                    Ok(socket) => {
                        self.row.set(self.row.get() + 1);
                        return Socket::adopt(socket);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
            self.row.set(0);
            self.knock().await?;
        }
    }

    /// Waits until there may be somebody, or it is closed. The wait may be dropped: it takes nothing.
    async fn knock(&self) -> io::Result<()> {
        let mut readable = pin!(self.socket.readable(false));
        poll_fn(|cx| {
            if self.closed.get() {
                return Poll::Ready(Ok(()));
            }
            self.waker.replace(Some(cx.waker().clone()));
            readable.as_mut().poll(cx)
        })
        .await
    }

    fn take(&self) -> io::Result<OwnedFd> {
        let fd = self.socket.as_raw_fd();
        let mode = if is_nonblocking() { libc::SOCK_NONBLOCK } else { 0 };
        // SAFETY: no address is asked for, so no memory is passed.
        let accepted =
            unsafe { libc::accept4(fd, std::ptr::null_mut(), std::ptr::null_mut(), mode | libc::SOCK_CLOEXEC) };
        if accepted < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just given us this descriptor and nobody else holds it.
        Ok(unsafe { OwnedFd::from_raw_fd(accepted) })
    }
}

/// Ends whatever still accepts from a core's socket, a dead ring above all, and opens another on its address.
///
/// The old one cannot be listened on again: the accepts of a ring that nobody turns stay in its queue, and each new
/// connection would wake one of those and nobody else. One that all cores share stays as it is: nothing accepts from it
/// but who has been woken.
///
/// # Errors
/// Those of bind(2) and listen(2); then nobody listens any more.
pub fn renew(address: &Address, socket: &OwnedFd) -> io::Result<OwnedFd> {
    if matches!(address, Address::Unix(_)) {
        return socket.try_clone();
    }
    let local = SockRef::from(socket).local_addr()?.as_socket();
    let fresh = local.ok_or_else(|| io::ErrorKind::AddrNotAvailable.into()).and_then(|local| self::socket(local, true));
    leave(address, socket);
    fresh.map(OwnedFd::from)
}

/// Lets nobody wait any more in the queue of a socket that this core will not accept from, whoever holds it; one that all
/// cores share is the others' still.
pub fn leave(address: &Address, socket: &OwnedFd) {
    if matches!(address, Address::Ip(_)) {
        cut(socket.as_raw_fd(), Cut::Read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_socket_is_for_ipv6_alone_and_each_core_has_one_of_its_own() {
        let opened = open(&"[::1]:0".parse().unwrap(), 3, false, 0).unwrap();
        let ports =
            opened.sockets.iter().map(|socket| SockRef::from(socket).local_addr().unwrap().as_socket().unwrap());
        assert!(ports.map(Address::Ip).all(|address| address == opened.address && !address.is_open()));
        assert!(opened.sockets.iter().all(|socket| SockRef::from(socket).only_v6().unwrap()));
        assert!(opened.sockets.len() == 3 && opened.file.is_none());
        assert_eq!(open(&opened.address, 1, false, 0).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert!(open(&opened.address, 1, true, 0).is_ok());
    }

    #[test]
    fn who_is_accepted_and_does_not_read_is_not_poured_for() {
        let opened = open(&"127.0.0.1:0".parse().unwrap(), 1, false, 0).unwrap();
        let Address::Ip(address) = opened.address else { panic!("a Unix socket") };
        let _client = std::net::TcpStream::connect(address).unwrap();
        let listener = SockRef::from(&opened.sockets[0]);
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert_eq!(accepted.tcp_notsent_lowat().unwrap(), UNSENT);
        assert!(accepted.tcp_nodelay().unwrap());
    }
}
