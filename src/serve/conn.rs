//! Step 2: one client connection: who is at the other end of it, and what is kept for it as long as it stays.

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use crate::address::Peer;
use crate::buf::Block;
use crate::http::head::RequestHead;
use crate::http::head::ResponseHead;
use crate::http::identity::Identity;
use crate::http::identity::Marks;
use crate::http::proxy;
use crate::http::proxy::Ends;
use crate::io::line::Broken;
use crate::io::line::Line;
use crate::io::socket::Socket;
use crate::model::ProxyVersion;
use crate::model::Relay;
use crate::observe::metrics::Closing;
use crate::observe::metrics::Thrift;
use crate::serve::accept::Bears;
use crate::serve::accept::Place;
use crate::serve::h1;
use crate::serve::h1::Spell;
use crate::serve::secure;
use crate::serve::secure::Secured;
use crate::serve::tcp;
use crate::shard::Shard;
use crate::shard::kin;
use crate::snapshot::Listener;
use crate::snapshot::Upstream;
use crate::snapshot::overload::Grade;
use crate::time::TICK;
use crate::wire::h1::REQUEST_ROOM;

/// What is kept of a client as long as it stays, idle or not.
#[derive(Debug)]
pub(crate) struct Seat {
    /// What is said on its connection.
    pub(crate) line: Line,
    /// Who is at the other end of it, or of the one that a proxy relays.
    pub(crate) peer: Peer,
    /// Its place in the counts, and the listener it came by.
    pub(crate) place: Place,
    /// What few have, and all would keep room for.
    told: Option<Box<Told>>,
    /// Requests it has made.
    pub(crate) served: Cell<u32>,
    /// When it came, in the clock's ticks.
    began: u32,
}

/// What was told of a connection before its first request.
#[derive(Debug, Default)]
struct Told {
    /// The address that it reached, if a proxy says so.
    reached: Option<SocketAddr>,
    /// What was settled with the client, if it came by TLS.
    secured: Option<Secured>,
}

/// A client that is busy, and what it needs as long as it is.
#[derive(Debug)]
pub(crate) struct Client<'a> {
    /// What outlasts the busy spell.
    pub(crate) seat: &'a Seat,
    /// What every request of it is marked with.
    pub(crate) marks: Marks,
    /// What was read and not used yet: during an exchange the request head is at its front.
    pub(crate) inbound: Block,
    /// Room for a request head's fields, used again by each request.
    pub(crate) request: RequestHead,
    /// Room for a response head's fields, used again by each response.
    pub(crate) response: ResponseHead,
}

/// Serves a connection to its end.
pub(crate) fn run(shard: Rc<Shard>, socket: Socket, peer: Peer, place: Place) -> impl Future<Output = ()> + 'static {
    let line = Line::new(&shard.wheel, socket);
    line.reading().is_of(kin(place.listener));
    let began = shard.clock.ticks();
    let mut seat = Seat { line, peer, place, told: None, served: Cell::new(0), began };
    // The seat is moved in whole: what an `async fn` takes apart it keeps room for twice, and this is what an idle
    // connection costs.
    async move {
        let Some(patience) = seat.patience(&shard) else { return seat.turn_away(&shard) };
        // From here to the end of a handshake, or to the first whole head, there is one time, whatever stands before it.
        seat.line.reading().arm_idle(patience);
        let inbound = if seat.place.proxied {
            match Box::pin(introduce(&shard, &mut seat)).await {
                Some(inbound) => inbound,
                None => return,
            }
        } else {
            Block::none()
        };
        if seat.place.bears == Bears::Bytes {
            return Box::pin(tcp::run(&shard, &seat, inbound)).await;
        }
        // Moved, never borrowed: what is borrowed here is kept room for ever after.
        let inbound = if seat.place.bears == Bears::Secured {
            match Box::pin(secure::begin(&shard, &mut seat, inbound)).await {
                true => Block::none(),
                false => return,
            }
        } else {
            inbound
        };
        // What a busy connection needs is large and boxed for as long as it is busy; an idle one keeps its seat alone.
        let mut spell = Box::pin(h1::turns(&shard, &seat, inbound)).await;
        while spell != Spell::Over && h1::park(&shard, &seat, spell).await {
            let Some(turns) = h1::resume(&shard, &seat) else { break };
            spell = turns.await;
        }
        if let Some(closing) = seat.place.closing.get() {
            shard.slab.listener(seat.place.listener).close(closing);
        }
    }
}

/// Reads the PROXY protocol header that the connection must begin with, and believes it: only those may come so far who
/// are trusted. Gives what was read behind it. Nothing: there is no header, or the client that it names has as many
/// connections as it may, and the connection is over.
async fn introduce(shard: &Shard, seat: &mut Seat) -> Option<Block> {
    let mut inbound = Block::none();
    let fault = loop {
        match proxy::parse(inbound.bytes()) {
            Ok(Some((len, ends))) => {
                inbound.consume(len);
                seat.believe(ends);
                if !inbound.is_empty() {
                    seat.line.reading().occupy();
                }
                // Whom the proxy stands for is known only now.
                let admitted = seat.peer.ip().is_none_or(|address| seat.place.admit_client(address));
                return admitted.then_some(inbound);
            }
            Ok(None) => {}
            Err(fault) => break fault.words(),
        }
        inbound.reserve(REQUEST_ROOM);
        let room = inbound.spare();
        match seat.line.read(&mut inbound, room).await {
            Ok(_) => {}
            // Whoever only looks whether we are there owes nothing.
            Err(Broken::Closed | Broken::Reset) if inbound.is_empty() => return None,
            Err(Broken::Closed | Broken::Reset) => break "the connection ended within the header",
            Err(Broken::TimedOut) => break "the header took too long",
        }
    };
    shard.slab.listener(seat.place.listener).proxy_faults.add(1);
    tracing::debug!(peer = %seat.peer, fault, "a connection without a PROXY protocol header is closed");
    None
}

impl Seat {
    fn believe(&mut self, ends: Ends) {
        match ends {
            Ends::Between(from, to) => {
                self.peer = Peer::Ip(from);
                self.told.get_or_insert_default().reached = Some(to);
            }
            Ends::Unix => self.peer = Peer::Unix,
            Ends::Own => {}
        }
    }

    /// How long it may take to what must come first; nothing where none is taken any more.
    fn patience(&self, shard: &Shard) -> Option<Duration> {
        let generation = shard.generation();
        let settings = generation.listener(self.place.listener).map(|listener| &listener.settings);
        let tls = settings.and_then(|settings| settings.tls.as_ref()).map(|tls| tls.timeout);
        let hello = settings.and_then(|settings| settings.relay.as_ref()).and_then(Relay::hello_timeout);
        h1::head_timeout(shard, self).map(|head| tls.or(hello).unwrap_or(head))
    }

    /// How much longer it may be kept for other requests, if it may; why not is noted.
    pub(crate) fn stays(&self, shard: &Shard) -> Option<Duration> {
        match self.left(shard) {
            Ok(left) => return Some(left),
            Err(None) => shard.slab.thrift[Thrift::Kept as usize].add(1),
            Err(closing) => self.place.closing.set(closing),
        }
        None
    }

    /// The same, or why not: nothing where the gateway is short of something.
    pub(crate) fn left(&self, shard: &Shard) -> Result<Duration, Option<Closing>> {
        let bounds = shard.keep_alive(self.place.listener).ok_or_else(|| Some(shard.parting()))?;
        let left = self.place.share.off(bounds.age).saturating_sub(self.age(shard));
        let spent = self.served.get() >= self.place.share.off_number(bounds.requests);
        if spent || left.is_zero() {
            return Err(Some(if spent { Closing::Requests } else { Closing::Age }));
        }
        (shard.overload() <= Grade::Calm).then_some(left).ok_or(None)
    }

    /// Says that nothing of it was heard, since its listener has left or has become another: by a reset, where it would take
    /// an end for the answer.
    pub(crate) fn turn_away(&self, shard: &Shard) {
        if self.place.bears == Bears::Bytes {
            self.line.reset_on_close();
        }
        shard.slab.listener(self.place.listener).close(shard.parting());
    }

    /// How long ago it came, in whole ticks.
    pub(crate) fn age(&self, shard: &Shard) -> Duration {
        TICK.saturating_mul(shard.clock.ticks().saturating_sub(self.began))
    }

    /// The address that the client reached: ours, or the one that a proxy names. One system call for ours.
    pub(crate) fn reached(&self) -> Option<SocketAddr> {
        self.named().or_else(|| self.line.socket().local_address())
    }

    /// The address that a proxy names as the one that the client reached.
    fn named(&self) -> Option<SocketAddr> {
        self.told.as_ref()?.reached
    }

    /// What was settled with the client, if it came by TLS.
    pub(crate) fn secured(&self) -> Option<&Secured> {
        self.told.as_ref()?.secured.as_ref()
    }

    /// Keeps what was settled with the client.
    pub(crate) fn secure(&mut self, secured: Secured) {
        self.told.get_or_insert_default().secured = Some(secured);
    }

    /// The line that tells browsers how this listener's hosts are to be asked, its CRLF included; empty: none does.
    pub(crate) fn hsts<'a>(&self, listener: Option<&'a Listener>) -> &'a [u8] {
        listener.filter(|_| self.secured().is_some()).map_or(b"", |listener| &listener.hsts)
    }
}

impl<'a> Client<'a> {
    /// A client at the beginning of a busy spell, with what was read of it already.
    pub(crate) fn at(seat: &'a Seat, inbound: Block) -> Self {
        let port = seat.named().map(|reached| reached.port()).or(seat.place.port);
        Self {
            seat,
            marks: match seat.secured() {
                None => Marks::of(seat.peer, port, "http"),
                Some(secured) => Marks::of(seat.peer, port, "https").with_certificate(&secured.certificate),
            },
            inbound,
            request: RequestHead::default(),
            response: ResponseHead::default(),
        }
    }

    /// The PROXY protocol header of a connection that is opened in this client's name; nothing where none is wanted.
    pub(crate) fn introduction(&self, upstream: &Upstream, identity: Identity) -> Vec<u8> {
        let mut out = Vec::new();
        let Some(version) = upstream.settings.proxy_protocol else { return out };
        let ends = match (identity.client, self.seat.reached()) {
            (Peer::Ip(from), Some(to)) => Ends::Between(from, to),
            _ => Ends::Own,
        };
        match version {
            ProxyVersion::V1 => proxy::write_line(&mut out, ends),
            ProxyVersion::V2 => proxy::write_binary(&mut out, ends),
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        let size = crate::io::task::size_of_made(run);
        // The allocator has a class of 448 bytes, and the next is of 512.
        assert!(size <= 448, "{size}");
    }
}
