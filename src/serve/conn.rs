//! Step 2: one client connection, and what is kept for it as long as it stays.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::address::Peer;
use crate::buf::Block;
use crate::http::head::RequestHead;
use crate::http::head::ResponseHead;
use crate::io::line::Line;
use crate::io::socket::Socket;
use crate::rand::Share;
use crate::serve::accept::Place;
use crate::serve::h1;
use crate::serve::h1::Spell;
use crate::shard::Shard;
use crate::time::TICK;

/// What is kept of a client as long as it stays, idle or not.
#[derive(Debug)]
pub(crate) struct Seat {
    /// What is said on its connection.
    pub(crate) line: Line,
    /// Who is at the other end of it.
    pub(crate) peer: Peer,
    /// Its place in the counts, and the listener it came by.
    pub(crate) place: Place,
    /// Requests it has made.
    pub(crate) served: Cell<u32>,
    /// When it came, in the clock's ticks.
    began: u32,
    /// What is taken off the bounds within which it is kept.
    pub(crate) share: Share,
}

/// A client that is busy, and what it needs as long as it is.
#[derive(Debug)]
pub(crate) struct Client<'a> {
    /// What outlasts the busy spell.
    pub(crate) seat: &'a Seat,
    /// Its IP address in text, as every request of it is marked.
    pub(crate) address_text: String,
    /// What was read and not used yet: during an exchange the request head is at its front.
    pub(crate) inbound: Block,
    /// Room for a request head's fields, used again by each request.
    pub(crate) request: RequestHead,
    /// Room for a response head's fields, used again by each response.
    pub(crate) response: ResponseHead,
}

/// Serves a connection to its end.
pub(crate) async fn run(shard: Rc<Shard>, socket: Socket, peer: Peer, place: Place) {
    let line = Line::new(&shard.wheel, socket);
    let (began, share) = (shard.clock.ticks(), Share::draw(&shard.rng));
    let seat = Seat { line, peer, place, served: Cell::new(0), began, share };
    // What a busy connection needs is large and boxed for as long as it is busy; an idle one keeps its seat alone.
    while Box::pin(h1::turns(&shard, &seat)).await == Spell::Idle {
        if !h1::park(&shard, &seat).await {
            return;
        }
    }
}

impl Seat {
    /// How much longer it may be kept for other requests, if it may.
    pub(crate) fn stays(&self, shard: &Shard) -> Option<Duration> {
        let bounds = shard.keep_alive(self.place.listener)?;
        let age = TICK.saturating_mul(shard.clock.ticks().saturating_sub(self.began));
        let left = self.share.off(bounds.age).saturating_sub(age);
        (self.served.get() < self.share.off_number(bounds.requests) && !left.is_zero()).then_some(left)
    }
}

impl<'a> Client<'a> {
    /// A client at the beginning of a busy spell.
    pub(crate) fn at(seat: &'a Seat) -> Self {
        Self {
            seat,
            address_text: seat.peer.ip().map_or_else(|| "unknown".to_owned(), |ip| ip.to_string()),
            inbound: Block::none(),
            request: RequestHead::default(),
            response: ResponseHead::default(),
        }
    }
}
