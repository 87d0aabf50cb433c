//! A check that wants no more than a connection. It knocks, and goes away as soon as somebody is there: what the endpoint's
//! kernel has answered says that somebody listens, so the connection is reset before it is whole. The program behind it does
//! not have to take it, and neither side has anything to remember. It refuses to know what is said on a connection.

use std::io;
use std::net::SocketAddr;
use std::net::TcpStream as Plain;
use std::time::Duration;

use socket2::Domain;
use socket2::Protocol;
use socket2::SockRef;
use socket2::Socket;
use socket2::Type;
use tokio::net::TcpStream;

use crate::health::Said;
use crate::health::probe;
use crate::health::probe::Verdict;

/// What has come of a knock so far.
#[derive(Debug)]
pub(super) enum Knock {
    /// It is settled: on this machine at once.
    Settled(Verdict),
    /// The answer is on its way.
    Waits(Plain),
}

/// Knocks, without waiting.
pub(super) fn knock(address: SocketAddr) -> Knock {
    match begin(address) {
        Ok(socket) => {
            let plain = Plain::from(socket);
            look(&plain).map_or(Knock::Waits(plain), Knock::Settled)
        }
        Err(error) => Knock::Settled(probe::fault("no connection", &error)),
    }
}

/// Waits for the answer, so long.
pub(super) async fn answer(plain: Plain, time: Duration) -> Verdict {
    let heard = async {
        let stream = TcpStream::from_std(plain)?;
        loop {
            stream.writable().await?;
            if let Some(verdict) = look(&stream) {
                return Ok(verdict);
            }
        }
    };
    match tokio::time::timeout(time, heard).await {
        Ok(heard) => heard.unwrap_or_else(|error: io::Error| probe::fault("no connection", &error)),
        Err(_) => probe::late(time),
    }
}

fn begin(address: SocketAddr) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))?;
    // Closing it resets it, so that nothing waits for a last packet of it. Where the two cannot be set, it is a connection
    // like any other.
    drop(socket.set_linger(Some(Duration::ZERO)));
    drop(socket.set_tcp_quickack(false));
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

/// Whether it is settled.
fn look<'a>(socket: impl Into<SockRef<'a>>) -> Option<Verdict> {
    let socket = socket.into();
    if socket.peer_addr().is_ok() {
        return Some(Verdict::Good(Said::Connected));
    }
    match socket.take_error() {
        Ok(None) => None,
        Ok(Some(error)) | Err(error) => Some(probe::fault("no connection", &error)),
    }
}
