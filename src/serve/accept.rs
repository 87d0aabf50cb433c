//! Step 1: connections arrive. Several accepts wait at once on each listener, since each turn of the loop completes only
//! those that wait; what is over a bound, or may not say who the client is where it must, is closed at once and counted.

use std::cell::Cell;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::address::Peer;
use crate::id::ListenerSlot;
use crate::io::listen::Acceptor;
use crate::io::socket::Socket;
use crate::io::task;
use crate::observe::metrics::Closing;
use crate::observe::metrics::Refusal;
use crate::rand::Share;
use crate::serve::conn;
use crate::shard::Shard;
use crate::snapshot::clients::Counted;
use crate::snapshot::overload::Grade;
use crate::snapshot::slots::Shared;

/// How long accepting rests after a failure: out of descriptors, say. Connections wait in the kernel meanwhile.
const REST: Duration = Duration::from_millis(100);

/// What comes by a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bears {
    /// Requests.
    Requests,
    /// Requests under TLS, once that is settled.
    Secured,
    /// Bytes that are carried as they are.
    Bytes,
}

/// A client connection's place in the counts, given back when dropped.
#[derive(Debug)]
pub struct Place {
    shard: Rc<Shard>,
    /// The listener it came by.
    pub listener: ListenerSlot,
    /// The port that this one listens on, if it is a port.
    pub port: Option<u16>,
    /// Whether the connection begins with a PROXY protocol header.
    pub proxied: bool,
    /// What comes by it.
    pub bears: Bears,
    /// What is taken off the bounds within which it is kept.
    pub share: Share,
    /// Why it is not kept though it is good, once that is known.
    pub closing: Cell<Option<Closing>>,
    /// Whether its last request came soon after the one before.
    pub lively: Cell<bool>,
    shared: [Arc<Shared>; 2],
    /// Its place among those of its client, where these are bounded.
    client: Option<Box<Counted>>,
}

/// Accepts from a listener until it is closed.
pub fn start(shard: &Rc<Shard>, slot: ListenerSlot, acceptor: &Rc<Acceptor>) {
    for _ in 0..acceptor.width() {
        let (shard, acceptor) = (shard.clone(), acceptor.clone());
        task::spawn_bare(async move {
            while let Some((socket, peer)) = next(&shard, &acceptor).await {
                admit(&shard, (slot, acceptor.port()), socket, peer);
            }
        });
    }
}

async fn next(shard: &Shard, acceptor: &Acceptor) -> Option<(Socket, Peer)> {
    loop {
        match acceptor.accept().await {
            Ok(accepted) => return Some(accepted),
            // The listener was closed.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EBADF)) => return None,
            // The client was gone before we came to it.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => {
                shard.slab.accept_failures.add(1);
                task::sleep(REST).await;
            }
        }
    }
}

fn admit(shard: &Rc<Shard>, (slot, port): (ListenerSlot, Option<u16>), socket: Socket, peer: Peer) {
    // What is refused is dropped here, and closed: the cheapest refusal, at the time when cheapness matters.
    let mut place = match Place::take(shard, (slot, port), peer) {
        Ok(place) => place,
        Err(reason) => return shard.slab.listener(slot).refuse(reason),
    };
    // Behind a proxy the client is known only once the proxy has named it.
    if let Some(address) = peer.ip().filter(|_| !place.proxied)
        && !place.admit_client(address)
    {
        return;
    }
    shard.slab.listener(slot).accepted.add(1);
    let owner = shard.clone();
    let task = conn::run(owner, socket, peer, place);
    let slab = shard.slab.clone();
    task::spawn(task, move |message| {
        slab.panics.add(1);
        tracing::error!(message, "a connection's task panicked; the connection is closed");
    });
}

impl Place {
    fn take(shard: &Rc<Shard>, (slot, port): (ListenerSlot, Option<u16>), peer: Peer) -> Result<Self, Refusal> {
        // Whoever stands before us hears at once that it is to go elsewhere, while others wait in no queue of ours.
        if shard.overload() == Grade::Closed {
            return Err(Refusal::Overload);
        }
        let generation = shard.generation();
        // One that has left the configuration has no place to give.
        let listener = generation.listener(slot).ok_or(Refusal::Listener)?;
        let proxied = listener.settings.proxy_protocol;
        let bears = match (&listener.relay, &listener.settings.tls) {
            (Some(_), _) => Bears::Bytes,
            (None, Some(_)) => Bears::Secured,
            (None, None) => Bears::Requests,
        };
        // Whoever may write the header names the client.
        if proxied && !listener.settings.trusted.holds(peer) {
            return Err(Refusal::Untrusted);
        }
        let process = &generation.snapshot.connections;
        if !process.enter(generation.snapshot.model.process.connections_max) {
            return Err(Refusal::Process);
        }
        if !listener.connections.enter(listener.settings.connections_max) {
            process.leave();
            return Err(Refusal::Listener);
        }
        shard.slab.connections.add(1);
        shard.slab.listener(slot).open.add(1);
        let (share, shared) = (Share::draw(&shard.rng), [process.clone(), listener.connections.clone()]);
        let (shard, closing, lively) = (shard.clone(), Cell::new(None), Cell::new(false));
        Ok(Self { shard, listener: slot, port, proxied, bears, share, closing, lively, shared, client: None })
    }

    /// Counts the connection as one of the client at this address. False: it has as many as it may, and this one, which
    /// is counted as refused, is to be closed.
    pub fn admit_client(&mut self, address: IpAddr) -> bool {
        let generation = self.shard.generation();
        let Some(listener) = generation.listener(self.listener) else { return true };
        let Some(max) = listener.settings.client_connections_max else { return true };
        self.client = listener.clients.enter(address, self.shard.core, max).map(Box::new);
        if self.client.is_none() {
            self.shard.slab.listener(self.listener).refuse(Refusal::Client);
        }
        self.client.is_some()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shard.slab.connections.sub(1);
        self.shard.slab.listener(self.listener).open.sub(1);
        self.shared.iter().for_each(|shared| shared.leave());
    }
}
