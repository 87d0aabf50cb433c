//! Opens a connection to an endpoint: counted on the core and over the process, within its time.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use crate::address::Address;
use crate::buf::Block;
use crate::id::EndpointSlot;
use crate::io::deadline::Wheel;
use crate::io::deadline::within;
use crate::io::line::Broken;
use crate::io::line::Line;
use crate::io::line::Unsettled;
use crate::io::socket::Cut;
use crate::io::socket::Socket;
use crate::observe::metrics::Slab;
use crate::rand::Share;
use crate::snapshot::Endpoint;
use crate::snapshot::Upstream;
use crate::snapshot::slots::Shared;
use crate::tls::client;
use crate::tls::client::Client;
use crate::tls::engine::Engine;

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoConnection {
    /// As many as the endpoint or its upstream may have are open.
    Full,
    /// Refused, or no way there.
    Refused,
    /// Not within the time.
    TimedOut,
    /// We are out of descriptors or ports.
    Exhausted,
    /// It could not be made secure: why, in words.
    Insecure(&'static str),
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
    /// What it was made secure with; 0: it is not secure.
    pub(super) identity: u64,
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
    /// At its endpoint, and at the whole upstream.
    shared: [Arc<Shared>; 2],
}

/// Where to connect, and within which bounds.
#[derive(Debug)]
pub struct Dial<'a> {
    /// Where the endpoint counts.
    pub slot: EndpointSlot,
    /// Where it listens.
    pub address: &'a Address,
    /// Its open connections and those of its whole upstream, all cores together, and how many there may be of each.
    pub shared: [(&'a Arc<Shared>, u32); 2],
    /// How long it may take.
    pub patience: Duration,
    /// What makes it secure, if it is to be.
    pub secure: Option<Secure<'a>>,
}

impl<'a> Dial<'a> {
    /// To an endpoint of an upstream.
    #[must_use]
    pub fn to(upstream: &'a Upstream, endpoint: &'a Endpoint, patience: Duration, secure: Option<Secure<'a>>) -> Self {
        let settings = &upstream.settings;
        let whole = settings.limits.connections.unwrap_or(u32::MAX);
        let shared = [(&endpoint.connections, settings.connections_max), (&upstream.connections, whole)];
        Self { slot: endpoint.slot, address: &endpoint.address, shared, patience, secure }
    }

    /// Asks whoever holds one idle for its place, where there is none.
    pub(super) fn ask(&self) {
        let full = self.shared.iter().filter(|(shared, most)| shared.taken() >= *most);
        full.for_each(|(shared, _)| shared.ask());
    }

    /// What a connection is made secure with; 0: it is not.
    pub(super) fn identity(&self) -> u64 {
        self.secure.map_or(0, |secure| secure.client.number)
    }
}

/// What makes a connection secure.
#[derive(Clone, Copy, Debug)]
pub struct Secure<'a> {
    /// What its upstream's are made with.
    pub client: &'a Client,
    /// The same, as this core has it.
    pub config: &'a Arc<ClientConfig>,
    /// What is said before the handshake: a PROXY protocol header, or nothing.
    pub before: &'a [u8],
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
    let open = Open::enter(dial, slab).ok_or(NoConnection::Full)?;
    match within(wheel, dial.patience, Socket::connect(dial.address)).await {
        None => Err(NoConnection::TimedOut),
        Some(Err(error)) => Err(verdict(&error)),
        Some(Ok(socket)) => {
            slab.endpoint(dial.slot).opened.add(1);
            let mut line = Line::new(wheel, socket);
            if let Some(secure) = &dial.secure {
                Box::pin(self::secure(&mut line, secure, dial)).await?;
            }
            Ok(Box::new(Connection { line, address: dial.address.clone(), life, identity: dial.identity(), open }))
        }
    }
}

/// Makes the handshake, within a time as long as that to the open connection.
async fn secure(line: &mut Line, secure: &Secure<'_>, dial: &Dial<'_>) -> Result<(), NoConnection> {
    let name = secure.client.name_of(dial.address.ip().map(|address| address.ip()));
    let engine = name.and_then(|name| Engine::client(secure.config, name).ok());
    let engine = engine.ok_or(NoConnection::Insecure("there is no name it could be known by"))?;
    line.reading().arm(dial.patience, Cut::Both);
    let mut before = Block::none();
    before.reserve(secure.before.len());
    before.tail().extend_from_slice(secure.before);
    let broken = |broken| match broken {
        Broken::TimedOut => NoConnection::TimedOut,
        Broken::Closed | Broken::Reset => NoConnection::Insecure("it ended the connection in the handshake"),
    };
    line.write(&mut before, dial.patience).await.map_err(broken)?;
    line.cover(Box::new(engine), Block::none());
    let settled = line.settle(FIRST_BYTES, dial.patience).await;
    line.reading().disarm();
    settled.map(drop).map_err(|reason| match reason {
        Unsettled::Broken(reason) => broken(reason),
        Unsettled::TooLong => NoConnection::Insecure("it said too much in the handshake"),
        Unsettled::Faulty(fault) => {
            tracing::debug!(endpoint = %dial.address, fault = fault.words, "a TLS handshake with an endpoint failed");
            NoConnection::Insecure(client::reason(fault.sort))
        }
    })
}

/// Bytes that an endpoint may say before a part of them makes sense.
const FIRST_BYTES: usize = 72 * 1024;

impl Connection {
    /// How often another core was in want of its place.
    pub(super) fn asked(&self) -> u32 {
        self.open.shared.iter().fold(0, |asked, shared| asked.wrapping_add(shared.asked()))
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

impl Open {
    /// Takes a place for one, if there is one of each.
    fn enter(dial: &Dial<'_>, slab: &Arc<Slab>) -> Option<Self> {
        let [(endpoint, most), (upstream, whole)] = dial.shared;
        if !endpoint.enter(most) {
            return None;
        }
        if !upstream.enter(whole) {
            endpoint.leave();
            return None;
        }
        slab.endpoint(dial.slot).connections.add(1);
        Some(Self { slab: slab.clone(), slot: dial.slot, shared: [endpoint.clone(), upstream.clone()] })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.slab.endpoint(self.slot).connections.sub(1);
        self.shared.iter().for_each(|shared| shared.leave());
    }
}
