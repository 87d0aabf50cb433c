//! Step 2: one client connection, and what is kept for it as long as it stays.

use std::cell::Cell;
use std::rc::Rc;

use crate::address::Peer;
use crate::buf::Block;
use crate::http::head::RequestHead;
use crate::http::head::ResponseHead;
use crate::http::identity::Marks;
use crate::io::line::Line;
use crate::io::socket::Socket;
use crate::serve::accept::Place;
use crate::serve::h1;
use crate::serve::h1::Spell;
use crate::shard::Shard;

/// What is kept of a client as long as it stays, idle or not.
#[derive(Debug)]
pub(crate) struct Seat {
    /// What is said on its connection.
    pub(crate) line: Line,
    /// Who is at the other end of it.
    pub(crate) peer: Peer,
    /// Its place in the counts, and the listener it came by.
    pub(crate) place: Place,
    /// Whether it has not asked for anything yet.
    pub(crate) fresh: Cell<bool>,
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
pub(crate) async fn run(shard: Rc<Shard>, socket: Socket, peer: Peer, place: Place) {
    let seat = Seat { line: Line::new(&shard.wheel, socket), peer, place, fresh: Cell::new(true) };
    // What a busy connection needs is large and boxed for as long as it is busy; an idle one keeps its seat alone.
    while Box::pin(h1::turns(&shard, &seat)).await == Spell::Idle {
        if !h1::park(&shard, &seat).await {
            return;
        }
    }
}

impl<'a> Client<'a> {
    /// A client at the beginning of a busy spell.
    pub(crate) fn at(seat: &'a Seat) -> Self {
        Self {
            seat,
            marks: Marks::of(seat.peer, seat.place.port, "http"),
            inbound: Block::none(),
            request: RequestHead::default(),
            response: ResponseHead::default(),
        }
    }
}
