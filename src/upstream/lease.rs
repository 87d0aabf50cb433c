//! A connection lent to one attempt. It is poisoned by default: whatever happens, dropping the lease closes the
//! connection. Only the proof that the response was read to its true end puts it back.

use std::rc::Rc;
use std::time::Duration;

use crate::buf::Block;
use crate::id::EndpointSlot;
use crate::io::line::Line;
use crate::upstream::connect::Connection;
use crate::upstream::connect::Dial;
use crate::upstream::connect::NoConnection;
use crate::upstream::connect::connect;
use crate::upstream::pool::Pools;
use crate::wire::body::Clean;

/// A connection on loan.
#[derive(Debug)]
pub struct Lease {
    // Declared first so that it closes before the endpoint is counted free.
    connection: Box<Connection>,
    /// What was read of the response and not used yet.
    pub inbound: Block,
    /// Whether it was kept: then it may have been closed while it was idle.
    pub reused: bool,
    slot: EndpointSlot,
    loan: Loan,
}

/// One attempt counted, until dropped.
#[derive(Debug)]
struct Loan {
    pools: Rc<Pools>,
    slot: EndpointSlot,
}

/// Lends a kept connection, or opens one.
///
/// `fresh` wants a new one. The time is coarse and exact, as in [`Pools::take`].
///
/// # Errors
/// [`NoConnection`]; nothing was sent.
pub async fn lend(
    pools: &Rc<Pools>,
    dial: &Dial<'_>,
    now: (Duration, u64),
    fresh: bool,
) -> Result<Lease, NoConnection> {
    let loan = Loan::new(pools, dial.slot);
    if !fresh && let Some(connection) = pools.take(dial.slot, (dial.address, dial.identity()), now) {
        pools.slab.endpoint(dial.slot).attempts.add(1);
        return Ok(Lease { connection, inbound: Block::none(), reused: true, slot: dial.slot, loan });
    }
    // Large, and seldom needed: every attempt would be as large.
    let connection = Box::pin(connect(dial, &pools.wheel, &pools.slab, pools.begin(now.0))).await;
    match connection {
        // One that may have no more connections was looked at, and not tried. Idle ones of other cores count too.
        Err(NoConnection::Full) => dial.ask(),
        _ => pools.slab.endpoint(dial.slot).attempts.add(1),
    }
    Ok(Lease { connection: connection?, inbound: Block::none(), reused: false, slot: dial.slot, loan })
}

impl Lease {
    /// What is said on the connection.
    #[must_use]
    pub fn line(&self) -> &Line {
        &self.connection.line
    }

    /// The two ends that an attempt works on: the line, and what was read of it.
    pub fn parts(&mut self) -> (&Line, &mut Block) {
        (&self.connection.line, &mut self.inbound)
    }

    /// Puts the connection back, unless there is more to read on it than the response: then it would answer the next
    /// request with what nobody asked for.
    pub fn give_back(self, _proof: Clean, now: Duration) {
        if self.inbound.is_empty() {
            self.loan.pools.put(self.slot, self.connection, now);
        }
    }
}

impl Loan {
    fn new(pools: &Rc<Pools>, slot: EndpointSlot) -> Self {
        pools.slab.endpoint(slot).in_flight.add(1);
        Self { pools: pools.clone(), slot }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.pools.slab.endpoint(self.slot).in_flight.sub(1);
    }
}
