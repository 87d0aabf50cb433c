//! Step 8: a tunnel. The endpoint has agreed to an upgrade or a CONNECT, the client has been told, and from here on its
//! connection and the endpoint's carry bytes and no requests. Neither carries anything else afterwards. What a listener
//! carries as it is goes the same way.

use std::time::Duration;

use crate::buf::Block;
use crate::io::deadline::Deadline;
use crate::io::line::Broken;
use crate::observe::ended::Cause;
use crate::observe::ended::Ended;
use crate::observe::ended::Phase;
use crate::observe::metrics::Slab;
use crate::observe::metrics::Tunnel;
use crate::relay::tunnel;
use crate::relay::tunnel::Over;
use crate::relay::tunnel::Side;
use crate::serve::attempt::Scene;
use crate::serve::conn::Client;
use crate::serve::conn::Seat;
use crate::serve::h1::Fate;
use crate::serve::tally::Tally;
use crate::shard::Shard;
use crate::upstream::lease::Lease;

/// One tunnel counted as open, until dropped.
#[derive(Debug)]
struct Open<'a>(&'a Slab);

impl<'a> Open<'a> {
    fn count(slab: &'a Slab, kind: Tunnel) -> Self {
        slab.tunnels_open.add(1);
        slab.tunnels.iter().skip(kind as usize).take(1).for_each(|count| count.add(1));
        Self(slab)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.tunnels_open.sub(1);
    }
}

/// Carries bytes until the tunnel ends. The first `consumed` bytes of the client's buffer are its request; those behind
/// were held back until now.
pub(crate) async fn run(scene: &Scene<'_>, client: &mut Client<'_>, consumed: usize, lease: Lease) -> (Ended, Fate) {
    let behind = client.inbound.bytes().get(consumed..).unwrap_or(&[]);
    let mut held = Block::with_room(behind.len());
    held.tail().extend_from_slice(behind);
    client.inbound.truncate(consumed);
    let kind = if scene.upgrade.is_empty() { Tunnel::Connect } else { Tunnel::Upgrade };
    let Scene { shard, facts, tally, .. } = *scene;
    let idle = scene.route.settings.tunnel_timeout(facts.listener.map(|listener| &listener.settings));
    let cause = match carry((shard, tally), client.seat, (kind, idle), (held, 0), &lease).await {
        // Of an exchange, the response is what counts.
        Cause::ClientClosed => Cause::Ok,
        cause => cause,
    };
    (tally.ended(cause), Fate::Close)
}

/// Carries bytes both ways, those that are `held` first, of which so many are not the client's own, until both sides have
/// ended, or nothing has gone either way for `idle`, or something else has ended them.
pub(crate) async fn carry(
    (shard, tally): (&Shard, &Tally),
    seat: &Seat,
    (kind, idle): (Tunnel, Duration),
    (held, foreign): (Block, usize),
    lease: &Lease,
) -> Cause {
    tally.phase.set(Phase::Tunnel);
    let _open = Open::count(&shard.slab, kind);
    // Each tunnel has its own end within a drain, so that not all clients come back at once.
    let lot = u32::try_from(shard.rng.next() >> 32).unwrap_or(u32::MAX);
    let deadline = Deadline::lasting(&shard.wheel, lot);
    // What a listener carries is counted as it goes: such a connection may last for days.
    let carried = &shard.slab.listener(seat.place.listener).carried;
    let counts = matches!(kind, Tunnel::Tcp | Tunnel::Passthrough).then(|| carried.get_or_init(Box::default));
    let (count_in, count_out) = (counts.map(|counts| &counts.bytes_in), counts.map(|counts| &counts.bytes_out));
    let one = Side { line: &seat.line, held, foreign, taken: &tally.body_in, all: true, count: count_in };
    let (line, taken) = (lease.line(), &tally.bytes_out);
    let other = Side { line, held: Block::none(), foreign: 0, taken, all: false, count: count_out };
    match tunnel::run([one, other], &deadline, idle).await {
        Over::Closed(0) => Cause::ClientClosed,
        Over::Closed(_) => Cause::Ok,
        Over::Ours if deadline.drained() => Cause::Drain,
        Over::Ours => Cause::TunnelIdle,
        Over::Lost(0, Broken::TimedOut) => Cause::ClientTimeoutBody,
        Over::Lost(0, _) => Cause::ClientAbort,
        Over::Lost(_, Broken::TimedOut) => Cause::UpstreamTimeoutBody,
        Over::Lost(..) => Cause::UpstreamTruncated,
    }
}
