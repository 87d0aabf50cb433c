//! Step 1: connections arrive. Several accepts wait at once on each listener, since each turn of the loop completes only
//! those that wait; what is over a bound, or may not say who the
//! client is where it must, is closed at once and counted.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::address::Peer;
use crate::id::ListenerSlot;
use crate::io::listen::Acceptor;
use crate::io::socket::Socket;
use crate::io::task;
use crate::serve::conn;
use crate::shard::Shard;
use crate::snapshot::slots::Shared;

/// How long accepting rests after a failure: out of descriptors, say. Connections wait in the kernel meanwhile.
const REST: Duration = Duration::from_millis(100);

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
    shared: [Arc<Shared>; 2],
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
    let Some(place) = Place::take(shard, (slot, port), peer) else {
        // Dropped here, and closed: the cheapest refusal, at the time when cheapness matters.
        shard.slab.listener(slot).refused.add(1);
        return;
    };
    let owner = shard.clone();
    let task = conn::run(owner, socket, peer, place);
    let slab = shard.slab.clone();
    task::spawn(task, move |message| {
        slab.panics.add(1);
        tracing::error!(message, "a connection's task panicked; the connection is closed");
    });
}

impl Place {
    fn take(shard: &Rc<Shard>, (slot, port): (ListenerSlot, Option<u16>), peer: Peer) -> Option<Self> {
        let generation = shard.generation();
        let listener = generation.listener(slot)?;
        let proxied = listener.settings.proxy_protocol;
        // Whoever may write the header names the client.
        if proxied && !listener.settings.trusted.holds(peer) {
            return None;
        }
        let process = &generation.snapshot.connections;
        if !process.enter(generation.snapshot.model.process.connections_max) {
            return None;
        }
        if !listener.connections.enter(listener.settings.connections_max) {
            process.leave();
            return None;
        }
        shard.slab.connections.add(1);
        let counts = shard.slab.listener(slot);
        counts.accepted.add(1);
        counts.open.add(1);
        let shared = [process.clone(), listener.connections.clone()];
        Some(Self { shard: shard.clone(), listener: slot, port, proxied, shared })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shard.slab.connections.sub(1);
        self.shard.slab.listener(self.listener).open.sub(1);
        self.shared.iter().for_each(|shared| shared.leave());
    }
}
