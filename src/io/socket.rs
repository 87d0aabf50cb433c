//! One connected socket, TCP or Unix: bytes out of owned blocks, bytes into them. Both directions may be in flight at once.
//!
//! A read or write that is dropped in flight loses its block and may lose bytes: end the direction with
//! [`cut`] instead, and the operation completes.
//!
//! The runtime's type for a TCP stream serves for both kinds: it sends, receives and polls, which is the same for any
//! stream. What a Unix socket does not have is a reset: see [`Socket::reset_on_close`].

#![expect(unsafe_code, reason = "the runtime's buffer traits are unsafe, and its streams want to be unique")]

use std::cell::UnsafeCell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::path::Path;
use std::time::Duration;

use monoio::buf::IoBuf;
use monoio::buf::IoBufMut;
use monoio::io::AsyncReadRent;
use monoio::io::AsyncWriteRent;
use monoio::io::CancelableAsyncReadRent;
use monoio::net::TcpStream;
use socket2::Domain;
use socket2::SockAddr;
use socket2::SockRef;
use socket2::Type;

use crate::address::Address;
use crate::buf::Block;
use crate::io::task;

/// Bytes that the kernel takes of us beyond what it has sent, for each connection. Without a bound it takes all that its
/// buffer grows to, four megabytes and more, for a side that reads nothing: memory that the kernel has for all connections
/// together, and time of the core, which pours it in as fast as it can while others wait.
pub(super) const UNSENT: u32 = 1024 * 1024;

/// A connected socket.
pub struct Socket {
    stream: UnsafeCell<TcpStream>,
    fd: RawFd,
}

/// Cancels a read; see [`Socket::read_until`].
pub use monoio::io::{CancelHandle, Canceller};

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        let fd = stream.as_raw_fd();
        Self { stream: UnsafeCell::new(stream), fd }
    }

    /// Takes over a connected socket of any kind, blocking or not as [`is_nonblocking`] says.
    pub(crate) fn adopt(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self::new(TcpStream::from_std(socket.into())?))
    }

    /// Opens a connection, with delays of small packets off. Dropping the future gives the attempt up.
    ///
    /// # Errors
    /// Those of connect(2).
    pub async fn connect(address: &Address) -> io::Result<Self> {
        match address {
            Address::Ip(address) => {
                let stream = TcpStream::connect_addr(*address).await?;
                stream.set_nodelay(true)?;
                let socket = Self::new(stream);
                socket.options(|socket| socket.set_tcp_notsent_lowat(UNSENT))?;
                Ok(socket)
            }
            Address::Unix(path) => Self::connect_unix(path).await,
        }
    }

    /// A Unix socket connects at once or not at all, so the ring is not asked: on a full queue it would lend a thread to
    /// each connection that waits.
    async fn connect_unix(path: &Path) -> io::Result<Self> {
        let address = SockAddr::unix(path)?;
        let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        while let Err(error) = socket.connect(&address) {
            // As many connections wait there as its queue holds; there is nothing that would wake us when it moves on.
            if error.kind() != io::ErrorKind::WouldBlock {
                return Err(error);
            }
            task::sleep(QUEUE_TIME).await;
        }
        socket.set_nonblocking(is_nonblocking())?;
        Self::adopt(socket.into())
    }

    /// Its descriptor, for [`cut`] and the deadline wheel.
    #[must_use]
    pub fn fd(&self) -> RawFd {
        self.fd
    }

    /// Reads at most `max` bytes behind those of the block, which must have room for one at least. 0 is the end.
    ///
    /// # Errors
    /// Those of recv(2).
    pub async fn read(&self, block: Block, max: usize) -> (io::Result<usize>, Block) {
        // SAFETY: the stream only clones its descriptor out of the reference before it submits; nothing of the
        // reference is used while the operation runs, so a write in flight beside it is no alias in effect.
        let stream = unsafe { &mut *self.stream.get() };
        let (result, tail) = stream.read(Tail { block, max }).await;
        (result, tail.block)
    }

    /// Reads as [`read`](Self::read) does, but can be cancelled without losing bytes: a cancelled read that had bytes
    /// gives them. Costs some 100 ns more.
    ///
    /// # Errors
    /// Those of recv(2); `ECANCELED` when it was cancelled before a byte came.
    pub async fn read_until(&self, block: Block, cancel: CancelHandle) -> (io::Result<usize>, Block) {
        let max = block.spare();
        // SAFETY: as in `read`.
        let stream = unsafe { &mut *self.stream.get() };
        let (result, tail) = stream.cancelable_read(Tail { block, max }, cancel).await;
        (result, tail.block)
    }

    /// Waits until there is something to read (bytes, the end, an error) without holding a block meanwhile.
    ///
    /// # Errors
    /// Those of poll(2).
    pub async fn readable(&self) -> io::Result<()> {
        // SAFETY: a shared reference; `readable` takes no unique one.
        unsafe { &*self.stream.get() }.readable(false).await
    }

    /// Writes as many bytes of the block as the kernel takes at once; it comes back as it was.
    ///
    /// # Errors
    /// Those of send(2).
    pub async fn write(&self, block: Block) -> (io::Result<usize>, Block) {
        // SAFETY: as in `read`.
        let stream = unsafe { &mut *self.stream.get() };
        let (result, front) = stream.write(Front { block }).await;
        (result, front.block)
    }

    /// Bytes written that the other side has not acknowledged, or, on a Unix socket, has not read. Two system calls; 0 if
    /// they fail.
    #[must_use]
    pub fn unacknowledged(&self) -> u64 {
        let mut bytes: libc::c_int = 0;
        // SAFETY: the request (SIOCOUTQ, under its other name) writes one integer, which is ours and outlives the call.
        let _ = unsafe { libc::ioctl(self.fd, libc::TIOCOUTQ, std::ptr::from_mut(&mut bytes)) };
        let bytes = u64::try_from(bytes).unwrap_or(0);
        // A Unix socket counts what the bytes cost it, which is less than twice as much.
        if self.local_address().is_none() { bytes / 2 } else { bytes }
    }

    /// The address of our end; a Unix socket has none. One system call.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        // The stream itself would not be asked in vain: it panics over what is no IP address.
        self.options(socket2::Socket::local_addr).ok()?.as_socket()
    }

    /// Bounds what the kernel takes of us beyond what it has sent, as it does from the beginning, or lets it take what its
    /// buffer holds. One system call; a Unix socket knows no such bound.
    pub fn bound_unsent(&self, bounded: bool) {
        let most = if bounded { UNSENT } else { u32::MAX };
        // Whatever cannot be bounded has no bound to lose.
        let _ = self.options(|socket| socket.set_tcp_notsent_lowat(most));
    }

    /// Asks for options of the socket, or sets some.
    fn options<T>(&self, ask: impl FnOnce(&socket2::Socket) -> T) -> T {
        // SAFETY: the stream keeps it open, and the borrow ends here.
        let fd = unsafe { BorrowedFd::borrow_raw(self.fd) };
        ask(&SockRef::from(&fd))
    }

    /// Whether the other side has said anything (bytes, the end, a reset), without reading it. One system call.
    #[must_use]
    pub fn has_news(&self) -> bool {
        let got = self.peek();
        got >= 0 || io::Error::last_os_error().kind() != io::ErrorKind::WouldBlock
    }

    /// Whether the other side has sent bytes, without reading them. One system call.
    #[must_use]
    pub fn has_bytes(&self) -> bool {
        self.peek() > 0
    }

    /// Whether the other side has said its end, or the connection is broken, whatever it has sent before that was not read yet.
    /// One system call.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.fate() != 0
    }

    /// Whether the other side has reset the connection, or the way to it has broken, whatever it has sent before that was not
    /// read yet; a Unix socket whose other side is closed is broken too. One system call.
    #[must_use]
    pub fn has_broken(&self) -> bool {
        self.fate() & (libc::POLLERR | libc::POLLHUP) != 0
    }

    /// What poll(2) says of its end.
    fn fate(&self) -> libc::c_short {
        let mut asked = libc::pollfd { fd: self.fd, events: libc::POLLRDHUP, revents: 0 };
        // SAFETY: the kernel reads and writes one entry of ours, which outlives the call; it does not wait.
        let _ = unsafe { libc::poll(std::ptr::from_mut(&mut asked), 1, 0) };
        asked.revents
    }

    fn peek(&self) -> isize {
        let mut byte = 0_u8;
        // SAFETY: one byte of ours is offered, and outlives the call.
        unsafe { libc::recv(self.fd, std::ptr::from_mut(&mut byte).cast(), 1, libc::MSG_PEEK | libc::MSG_DONTWAIT) }
    }

    /// Makes the close a reset, so that the other side cannot take what it has for the whole. Over a Unix socket the other
    /// side sees one only if it has sent what we did not read; else it sees an end like any other.
    pub fn reset_on_close(&self) {
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        let size = libc::socklen_t::try_from(size_of::<libc::linger>()).unwrap_or(0);
        // SAFETY: the option's value is a `linger` of ours of the size given.
        let _ = unsafe {
            libc::setsockopt(self.fd, libc::SOL_SOCKET, libc::SO_LINGER, std::ptr::from_ref(&linger).cast(), size)
        };
    }
}

/// Sockets that [`news`] looks at, at the most.
pub(super) const LOOKS: usize = 16;

/// Of which sockets the other side has said anything (bytes, the end, a reset), without reading it, a bit for each; nothing
/// where the kernel would not say. One system call for all: some 300 ns, and 60 for each.
pub(super) fn news(sockets: impl Iterator<Item = RawFd>) -> Option<u16> {
    let mut asked = [libc::pollfd { fd: -1, events: libc::POLLIN | libc::POLLRDHUP, revents: 0 }; LOOKS];
    let mut count = 0;
    for (place, fd) in asked.iter_mut().zip(sockets) {
        place.fd = fd;
        count += 1;
    }
    // SAFETY: the kernel reads and writes `count` entries of ours, which outlive the call; it does not wait.
    let told = unsafe { libc::poll(asked.as_mut_ptr(), count, 0) };
    match told {
        0 => Some(0),
        1.. => Some(asked.iter().rev().fold(0, |bits, place| bits << 1 | u16::from(place.revents != 0))),
        _ => None,
    }
}

/// Whether the sockets of this thread's loop are to be non-blocking: those of a ring are not, since it would give up at
/// once what is to wait.
pub(super) fn is_nonblocking() -> bool {
    monoio::utils::is_legacy()
}

/// Pause before a Unix socket whose queue was full is tried again.
const QUEUE_TIME: Duration = Duration::from_millis(5);

/// Which directions of a socket to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Reads see the end.
    Read,
    /// The other side sees the end.
    Write,
    /// Both.
    Both,
}

/// Ends directions of a socket: what is in flight there completes. No error is of interest: a socket that cannot be cut
/// is no more.
pub fn cut(fd: RawFd, how: Cut) {
    let how = match how {
        Cut::Read => libc::SHUT_RD,
        Cut::Write => libc::SHUT_WR,
        Cut::Both => libc::SHUT_RDWR,
    };
    // SAFETY: no memory is passed. The caller's descriptor is open as long as it is registered.
    let _ = unsafe { libc::shutdown(fd, how) };
}

/// Ends a connection by a reset, whatever is in flight on it; its descriptor stays open. A Unix socket stays as it is.
pub(super) fn abort(fd: RawFd) {
    let nobody = libc::sockaddr { sa_family: libc::AF_UNSPEC as libc::sa_family_t, sa_data: [0; 14] };
    let size = libc::socklen_t::try_from(size_of::<libc::sockaddr>()).unwrap_or(0);
    // SAFETY: the address is ours, of the size given, and outlives the call; to connect to nobody is to disconnect.
    let _ = unsafe { libc::connect(fd, std::ptr::from_ref(&nobody), size) };
}

/// Sends as much of `bytes` as goes without waiting.
pub(super) fn send_now(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: the bytes outlive the call, which reads them.
    let sent = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Receives behind the bytes of the block what is there already. 0 is the end.
pub(super) fn receive_now(fd: RawFd, block: &mut Block) -> io::Result<usize> {
    let room = block.spare();
    // SAFETY: the kernel writes `room` bytes at most where there is room for as many, and the block outlives the call.
    let got = unsafe { libc::recv(fd, block.spare_ptr().cast(), room, libc::MSG_DONTWAIT) };
    let got = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
    // SAFETY: the kernel has written `got` bytes there.
    unsafe { block.filled(got) };
    Ok(got)
}

/// Closes a descriptor whose owner is leaked; see `io::ring`.
pub(super) fn close(fd: RawFd) {
    // SAFETY: no memory is passed; the owner will not close it a second time, since it is leaked.
    let _ = unsafe { libc::close(fd) };
}

/// A block whose spare room is read into.
struct Tail {
    block: Block,
    max: usize,
}

/// A block whose bytes are written.
struct Front {
    block: Block,
}

// SAFETY: the pointer is to the block's heap, which stays where it is while the block is owned by the operation; room
// and filling are the block's own.
unsafe impl IoBufMut for Tail {
    fn write_ptr(&mut self) -> *mut u8 {
        self.block.spare_ptr()
    }

    fn bytes_total(&mut self) -> usize {
        self.block.spare().min(self.max)
    }

    unsafe fn set_init(&mut self, n: usize) {
        // SAFETY: the kernel has written `n` bytes at `write_ptr`.
        unsafe { self.block.filled(n) };
    }
}

// SAFETY: the pointer is to the block's heap, which stays where it is while the block is owned by the operation.
unsafe impl IoBuf for Front {
    fn read_ptr(&self) -> *const u8 {
        self.block.bytes().as_ptr()
    }

    fn bytes_init(&self) -> usize {
        self.block.len()
    }
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Socket").field("fd", &self.fd).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::rc::Rc;
    use std::time::Instant;

    use super::*;
    use crate::io::deadline::Wheel;
    use crate::io::ring;
    use crate::io::ring::Plan;
    use crate::io::ring::Wanted;

    #[test]
    fn an_endpoint_that_does_not_read_is_not_poured_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Ip(listener.local_addr().unwrap());
        let wheel = Rc::new(Wheel::new(Instant::now()));
        let plan = Plan { wanted: Wanted::Epoll, entries: 64, completions: 128 };
        let ended = ring::run(plan, &wheel, |_| async move {
            let socket = Socket::connect(&address).await.unwrap();
            let bound = || socket.options(socket2::Socket::tcp_notsent_lowat).unwrap();
            assert_eq!(bound(), UNSENT);
            socket.bound_unsent(false);
            assert_eq!(bound(), u32::MAX);
            socket.bound_unsent(true);
            assert_eq!(bound(), UNSENT);
        });
        assert!(matches!(ended, Ok(ring::Ended::Done)));
    }
}
