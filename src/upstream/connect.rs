//! Opens a connection to an endpoint: counted on the core and over the process, within its time.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::address::Address;
use crate::id::EndpointSlot;
use crate::io::deadline::Wheel;
use crate::io::deadline::within;
use crate::io::line::Line;
use crate::io::socket::Socket;
use crate::observe::metrics::Slab;
use crate::rand::Share;
use crate::snapshot::slots::Shared;

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoConnection {
    /// As many as the endpoint may have are open.
    Full,
    /// Refused, or no way there.
    Refused,
    /// Not within the time.
    TimedOut,
    /// We are out of descriptors or ports.
    Exhausted,
}

/// An open connection to an endpoint.
#[derive(Debug)]
pub struct Connection {
    /// What is said on it.
    pub line: Line,
    /// Whom it leads to.
    pub address: Address,
    /// What it has behind it.
    pub(super) life: Life,
    open: Open,
}

/// What a connection has behind it, and what chance takes off the bounds of it.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    /// When it was begun, on the core's clock.
    pub began: Duration,
    /// Exchanges that it has carried to their end.
    pub served: u32,
    /// What is taken off the bounds within which it is kept.
    pub share: Share,
}

/// One connection counted, until dropped.
#[derive(Debug)]
struct Open {
    slab: Arc<Slab>,
    slot: EndpointSlot,
    shared: Arc<Shared>,
}

/// Where to connect, and within which bounds.
#[derive(Debug)]
pub struct Dial<'a> {
    /// Where the endpoint counts.
    pub slot: EndpointSlot,
    /// Where it listens.
    pub address: &'a Address,
    /// Its open connections, all cores together.
    pub shared: &'a Arc<Shared>,
    /// How many there may be.
    pub connections_max: u32,
    /// How long it may take.
    pub patience: Duration,
}

/// Opens a connection.
///
/// # Errors
/// [`NoConnection`]; nothing was sent.
pub async fn connect(
    dial: &Dial<'_>,
    wheel: &Rc<Wheel>,
    slab: &Arc<Slab>,
    life: Life,
) -> Result<Box<Connection>, NoConnection> {
    if !dial.shared.enter(dial.connections_max) {
        return Err(NoConnection::Full);
    }
    slab.endpoint(dial.slot).connections.add(1);
    let open = Open { slab: slab.clone(), slot: dial.slot, shared: dial.shared.clone() };
    match within(wheel, dial.patience, Socket::connect(dial.address)).await {
        None => Err(NoConnection::TimedOut),
        Some(Err(error)) => Err(verdict(&error)),
        Some(Ok(socket)) => {
            slab.endpoint(dial.slot).opened.add(1);
            Ok(Box::new(Connection { line: Line::new(wheel, socket), address: dial.address.clone(), life, open }))
        }
    }
}

impl Connection {
    /// How often another core was in want of its place.
    pub(super) fn asked(&self) -> u32 {
        self.open.shared.asked()
    }
}

fn verdict(error: &io::Error) -> NoConnection {
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::EADDRNOTAVAIL) => {
            NoConnection::Exhausted
        }
        Some(libc::ETIMEDOUT) => NoConnection::TimedOut,
        _ => NoConnection::Refused,
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.slab.endpoint(self.slot).connections.sub(1);
        self.shared.leave();
    }
}
