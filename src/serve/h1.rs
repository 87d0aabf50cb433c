//! Step 3: HTTP/1, turn by turn. A head is awaited, read, and exchanged for a response; then the connection is kept or
//! closed. Pipelined requests are answered in order, since the next head is looked at only when the turn is over.

use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use crate::buf::Block;
use crate::http::head::HeadLimits;
use crate::limits;
use crate::observe::metrics::Closing;
use crate::serve::conn::Client;
use crate::serve::conn::Seat;
use crate::serve::exchange;
use crate::serve::reply;
use crate::shard::Shard;
use crate::time::TICK;
use crate::wire::h1;
use crate::wire::h1::NoRequest;

/// What becomes of a connection after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Another request may come.
    Keep,
    /// Nothing more to say, and nothing more to hear.
    Close,
    /// Nothing more to say, but the client may still be sending: it must be able to read our last words before the
    /// connection goes.
    Linger,
}

/// How long a connection waits for its next request with its buffer in hand before it is parked.
const GRACE: Duration = Duration::from_secs(1);

/// Bounds of a head that came before its client could know that its listener leaves the configuration, and its time.
const LAST: (HeadLimits, Duration) =
    (HeadLimits { head_bytes: 16 * 1024, fields: 100, target_bytes: 8 * 1024 }, Duration::from_secs(10));

/// How a busy spell of a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spell {
    /// Nothing came for a while.
    Idle,
    /// Nothing has come yet, and it is not one to hold a buffer for.
    Drowsy,
    /// The connection is over.
    Over,
}

/// Serves request after request until none comes for a while, or none will.
pub(crate) async fn turns(shard: &Rc<Shard>, seat: &Seat, inbound: Block) -> Spell {
    let mut client = Client::at(seat, inbound);
    loop {
        let fate = match next_head(shard, &mut client).await {
            Ok(None) => {
                seat.served.set(seat.served.get().saturating_add(1));
                // In a room of its own while it lasts: thousands of clients may wait for their next request, few are served.
                shard.rooms.house(|| exchange::exchange(shard, &mut client)).await
            }
            Ok(Some(spell)) => return spell,
            // Half of a head that we did not wait for is nobody's fault.
            Err(reason @ (NoRequest::Ended | NoRequest::Aborted))
                if reason == NoRequest::Ended || seat.line.reading().cut_short() =>
            {
                seat.place.closing.set(seat.line.reading().cut_short().then(|| shard.parting()));
                Fate::Close
            }
            Err(reason) => reply::refuse_head(shard, &mut client, reason).await,
        };
        match fate {
            Fate::Keep => {}
            Fate::Close => return Spell::Over,
            Fate::Linger => {
                // A client may send its whole request before it looks for an answer: it must not meet a reset instead.
                seat.line.linger(limits::LINGER_PAUSE, limits::LINGER_TIME).await;
                return Spell::Over;
            }
        }
    }
}

/// Waits for the next request and reads its head; if none came, says how the busy spell ends. From accept, or from a
/// request's first byte, the whole head has one time; between requests the connection may idle.
async fn next_head(shard: &Shard, client: &mut Client<'_>) -> Result<Option<Spell>, NoRequest> {
    let (generation, seat) = (shard.generation(), client.seat);
    let settings = generation.listener(seat.place.listener).map(|listener| &listener.settings);
    let fresh = seat.served.get() == 0;
    if client.inbound.is_empty() {
        // What came before its client could know that we go is answered.
        let leaves = settings.is_none() || shard.draining.get();
        if leaves && !seat.line.has_bytes() {
            return Ok(Some(Spell::Idle));
        }
        // Who was told that it is kept, and is no more, has the grace: what it asks then is answered.
        let parks = !fresh && !seat.place.lively.get() && shard.is_crowded() && seat.left(shard).is_ok();
        if parks && !seat.line.holds() {
            return Ok(Some(Spell::Drowsy));
        }
        if fresh {
            h1::await_first(&seat.line, &mut client.inbound).await?;
        } else {
            let grace = settings.map_or(GRACE, |settings| GRACE.min(settings.idle_timeout));
            h1::await_next(&seat.line, &mut client.inbound, grace).await?;
            // Of what has begun, the rest has as long as a head has.
            if client.inbound.is_empty() && !seat.line.is_amid() {
                return Ok(Some(Spell::Idle));
            }
            seat.place.lively.set(true);
        }
    }
    let (limits, time) = settings.map_or(LAST, |settings| (settings.head_limits(), settings.head_timeout));
    // The first head has one time from accept on: the deadline that is armed goes on.
    let patience = (!fresh).then_some(time);
    h1::read_request(&seat.line, &mut client.inbound, &mut client.request, &limits, patience).await?;
    Ok(None)
}

/// How long a first request head may take; nothing where none is taken any more.
pub(crate) fn head_timeout(shard: &Shard, seat: &Seat) -> Option<Duration> {
    let generation = shard.generation();
    let listener = generation.listener(seat.place.listener).filter(|_| !shard.draining.get())?;
    Some(listener.settings.head_timeout)
}

/// How long an idle client is waited for, and why it is closed then. Apart from the wait, which keeps room for whatever it
/// has reckoned.
fn rest(shard: &Shard, seat: &Seat, spell: Spell) -> Option<(Duration, Closing)> {
    let left = seat.stays(shard)?;
    let idle_timeout =
        shard.generation().listener(seat.place.listener).map(|listener| listener.settings.idle_timeout)?;
    let waited = if spell == Spell::Idle { GRACE } else { Duration::ZERO };
    let idle = seat.place.share.off(idle_timeout).saturating_sub(waited);
    Some(if left < idle { (left, Closing::Age) } else { (idle, Closing::Idle) })
}

/// Waits for a client without holding a buffer or a future of any size for it; false: none is waited for any more.
pub(crate) async fn park(shard: &Shard, seat: &Seat, spell: Spell) -> bool {
    let Some((patience, closing)) = rest(shard, seat, spell) else { return false };
    seat.line.shed();
    shard.slab.parked.add(1);
    let began = shard.clock.ticks();
    seat.line.park(patience).await;
    shard.slab.parked.sub(1);
    let reading = seat.line.reading();
    let late = reading.severed().then_some(closing);
    seat.place.closing.set(if reading.cut_short() { Some(shard.parting()) } else { late });
    let soon = TICK.saturating_mul(shard.clock.ticks().saturating_sub(began)) <= GRACE;
    seat.place.lively.set(spell == Spell::Drowsy && soon);
    true
}

/// Goes on with a client that was parked, if it has said anything more. Apart from the wait, as [`rest`] is.
pub(crate) fn resume<'a>(shard: &'a Rc<Shard>, seat: &'a Seat) -> Option<Pin<Box<impl Future<Output = Spell> + 'a>>> {
    let inbound = seat.line.collect(h1::REQUEST_ROOM)?;
    Some(Box::pin(turns(shard, seat, inbound)))
}
