//! Step 2: one client connection, and what is kept for it as long as it stays.

use std::net::SocketAddr;
use std::rc::Rc;

use crate::buf::Block;
use crate::http::head::RequestHead;
use crate::http::head::ResponseHead;
use crate::io::line::Line;
use crate::io::socket::Socket;
use crate::serve::accept::Place;
use crate::serve::h1;
use crate::serve::h1::Spell;
use crate::shard::Shard;

/// A client and its connection.
#[derive(Debug)]
pub(crate) struct Client {
    /// What is said on it.
    pub(crate) line: Line,
    /// Where it comes from.
    pub(crate) address: SocketAddr,
    /// Its IP address in text, as every request of it is marked.
    pub(crate) address_text: String,
    /// Its place in the counts, and the listener it came by.
    pub(crate) place: Place,
    /// What was read and not used yet: during an exchange the request head is at its front.
    pub(crate) inbound: Block,
    /// Room for a request head's fields, used again by each request.
    pub(crate) request: RequestHead,
    /// Room for a response head's fields, used again by each response.
    pub(crate) response: ResponseHead,
    /// Requests so far.
    pub(crate) served: u64,
}

/// Serves a connection to its end.
pub(crate) async fn run(shard: Rc<Shard>, socket: Socket, address: SocketAddr, place: Place) {
    let mut client = Client {
        line: Line::new(&shard.wheel, socket),
        address,
        address_text: address.ip().to_string(),
        place,
        inbound: Block::none(),
        request: RequestHead::default(),
        response: ResponseHead::default(),
        served: 0,
    };
    // What a busy connection needs is large and boxed for as long as it is busy; an idle one keeps the outside alone.
    while Box::pin(h1::turns(&shard, &mut client)).await == Spell::Idle {
        if !h1::park(&shard, &mut client).await {
            return;
        }
    }
}

impl Client {
    /// Gives up whatever is only kept to be used again.
    pub(crate) fn shed(&mut self) {
        self.inbound = Block::none();
        self.request = RequestHead::default();
        self.response = ResponseHead::default();
        self.line.shed();
    }
}
