//! Before the attempts: whether the request may go on at all. Where its upstream is bounded it takes a place there, or waits
//! its turn for one; where the gateway itself is short of something, or its client waits no longer, it is refused.

use std::rc::Rc;
use std::sync::Arc;

use crate::id::EndpointSlot;
use crate::id::UpstreamSlot;
use crate::io::both::beside;
use crate::io::deadline::within;
use crate::io::queue::Turn;
use crate::model::Limits;
use crate::observe::ended::Cause;
use crate::observe::ended::Who;
use crate::observe::metrics::Slab;
use crate::policy::class;
use crate::serve::attempt::Scene;
use crate::serve::conn::Client;
use crate::serve::tally::Tally;
use crate::shard::Shard;
use crate::shard::gates::Gate;
use crate::snapshot::Endpoint;
use crate::snapshot::Upstream;
use crate::snapshot::slots::Shared;

/// A place at an upstream, until dropped.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    held: Option<Held<'a>>,
}

#[derive(Debug)]
struct Held<'a> {
    slab: &'a Slab,
    upstream: &'a Upstream,
    gate: Rc<Gate>,
    /// Whether it is one of those that all cores share.
    shared: bool,
    /// Whether something else holds it now.
    handed: bool,
}

/// A place at an endpoint, until dropped.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    slab: &'a Slab,
    endpoint: &'a Endpoint,
    /// Nothing: something else holds it now.
    gate: Option<Rc<Gate>>,
}

/// Places held apart from the configuration that gave them, by what may last longer than that, until dropped.
#[derive(Debug)]
pub(crate) struct Lasting {
    slab: Arc<Slab>,
    /// At an upstream; where all cores share its places, with their number.
    upstream: Option<(Rc<Gate>, UpstreamSlot, Option<Arc<Shared>>)>,
    /// At an endpoint.
    endpoint: Option<(Rc<Gate>, EndpointSlot, Arc<Shared>)>,
}

/// Lets a request in, now or when its turn has come.
///
/// # Errors
/// Why it is not; `ClientAbort` if its client has gone meanwhile.
pub(crate) async fn admit<'a>(scene: &Scene<'a>, client: &Client<'_>) -> Result<Place<'a>, Cause> {
    let Scene { shard, upstream, route, .. } = *scene;
    if class::is_shed(route.settings.class, shard.overload() as u8) {
        return Err(Cause::Overloaded);
    }
    if scene.asked.shortest().is_some() && scene.is_late() {
        return Err(Cause::DeadlineExpired);
    }
    let Limits { requests, endpoint_requests, adaptive, .. } = upstream.settings.limits;
    if requests.is_none() && endpoint_requests.is_none() && !adaptive {
        return Ok(Place { held: None });
    }
    let gate = shard.gates.upstream(upstream.slot);
    if !gate.queue.is_behind(class::rank(route.settings.class))
        && let Some(place) = take(scene, &gate)
    {
        return Ok(place);
    }
    wait(scene, client, &gate).await
}

/// A place, if one is free for the request's class.
fn take<'a>(scene: &Scene<'a>, gate: &Rc<Gate>) -> Option<Place<'a>> {
    let Scene { shard, upstream, route, .. } = *scene;
    let Limits { requests, endpoint_requests, adaptive, .. } = upstream.settings.limits;
    let share = |all| class::share(all, route.settings.class, upstream.top);
    if adaptive && gate.passed.get() >= share(adapted(scene.shard, upstream, gate)) {
        return None;
    }
    // A place at the upstream is of no use without one at an endpoint.
    let free = |most| upstream.endpoints.iter().any(|endpoint| endpoint.requests.taken() < most);
    if endpoint_requests.is_some_and(|most| !free(share(most))) {
        return None;
    }
    if requests.is_some_and(|most| !upstream.requests.enter(share(most))) {
        return None;
    }
    gate.passed.set(gate.passed.get() + 1);
    let (slab, gate, shared) = (&*shard.slab, gate.clone(), requests.is_some());
    slab.upstream(upstream.slot).places.add(u64::from(shared));
    Some(Place { held: Some(Held { slab, upstream, gate, shared, handed: false }) })
}

/// How many requests the latency lets in, which is told as well.
fn adapted(shard: &Shard, upstream: &Upstream, gate: &Gate) -> u32 {
    let most = gate.gradient.borrow().limit(upstream.settings.limits.requests.unwrap_or(u32::MAX));
    shard.slab.upstream(upstream.slot).adaptive.set(most.into());
    most
}

/// Waits for a place until there is one, the time is over, or the client has gone.
async fn wait<'a>(scene: &Scene<'a>, client: &Client<'_>, gate: &Rc<Gate>) -> Result<Place<'a>, Cause> {
    let Scene { shard, upstream, route, tally, .. } = *scene;
    let Limits { queue, queue_time, .. } = upstream.settings.limits;
    let rank = class::rank(route.settings.class);
    // Who is worth more takes the place in the queue of who is worth less.
    if gate.queue.len() >= queue as usize && !(queue > 0 && gate.queue.put_out(rank)) {
        return Err(Cause::UpstreamOverloaded);
    }
    let (began, counts) = (shard.clock.now_us(), shard.slab.upstream(upstream.slot));
    counts.waiting.add(1);
    let turn = async {
        let waiting = gate.queue.enter(rank);
        loop {
            match waiting.turn().await {
                Turn::Out => return Err(Cause::UpstreamOverloaded),
                Turn::Look => {
                    if let Some(place) = take(scene, gate) {
                        return Ok(place);
                    }
                }
            }
        }
    };
    let turn = beside(turn, client.seat.line.gone(), |()| true);
    let outcome = within(&shard.wheel, scene.patience(queue_time), turn).await;
    counts.waiting.sub(1);
    let waited = shard.clock.now_us().saturating_sub(began);
    counts.waited(waited);
    tally.queue_us.set(waited);
    match outcome {
        Some((Some(turn), _)) => turn,
        Some((None, _)) => Err(Cause::ClientAbort),
        None if scene.is_late() => Err(Cause::UpstreamTimeoutTotal),
        None => Err(Cause::QueueTimeout),
    }
}

impl Place<'_> {
    /// Tells a bound that follows the latency how the exchange went, and gives the place back.
    pub(crate) fn settle(self, shard: &Shard, tally: &Tally, cause: Cause) {
        let adaptive = self.held.as_ref().filter(|held| held.upstream.settings.limits.adaptive);
        if let Some(Held { gate, upstream, .. }) = adaptive {
            let mut gradient = gate.gradient.borrow_mut();
            match tally.upstream_us.get() {
                // Nothing came of it: where its client went away, or sent what it must not, that says nothing of the service.
                0 if cause.row().who == Who::Client => {}
                0 => gradient.lost(),
                us => gradient.answered(us, gate.passed.get()),
            }
            drop(gradient);
            adapted(shard, upstream, gate);
        }
    }

    /// Holds the place, and the one at an endpoint, apart from the configuration.
    pub(crate) fn lasting(mut self, mut room: Option<Room<'_>>, shard: &Shard) -> Lasting {
        let upstream = self.held.as_mut().map(|held| {
            held.handed = true;
            let shared = held.shared.then(|| held.upstream.requests.clone());
            (held.gate.clone(), held.upstream.slot, shared)
        });
        let endpoint = room.as_mut().and_then(|room| {
            let gate = room.gate.take()?;
            Some((gate, room.endpoint.slot, room.endpoint.requests.clone()))
        });
        Lasting { slab: shard.slab.clone(), upstream, endpoint }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if !self.handed {
            let shared = self.shared.then_some(&*self.upstream.requests);
            leave_upstream(self.slab, &self.gate, self.upstream.slot, shared);
        }
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        if let Some((gate, slot, requests)) = &self.endpoint {
            leave_endpoint(&self.slab, gate, *slot, requests);
        }
        if let Some((gate, slot, shared)) = &self.upstream {
            leave_upstream(&self.slab, gate, *slot, shared.as_deref());
        }
    }
}

fn leave_upstream(slab: &Slab, gate: &Gate, slot: UpstreamSlot, shared: Option<&Shared>) {
    gate.passed.set(gate.passed.get().saturating_sub(1));
    if let Some(shared) = shared {
        shared.leave();
        slab.upstream(slot).places.sub(1);
    }
    gate.queue.call();
}

fn leave_endpoint(slab: &Slab, gate: &Gate, slot: EndpointSlot, requests: &Shared) {
    requests.leave();
    slab.endpoint(slot).places.sub(1);
    gate.queue.call();
}

impl<'a> Room<'a> {
    /// Takes a place at an endpoint where those are bounded. Nothing: there is none for the request's class.
    pub(crate) fn enter(scene: &Scene<'a>, endpoint: &'a Endpoint) -> Option<Option<Self>> {
        let Scene { shard, upstream, route, .. } = *scene;
        let Some(most) = upstream.settings.limits.endpoint_requests else { return Some(None) };
        if !endpoint.requests.enter(class::share(most, route.settings.class, upstream.top)) {
            return None;
        }
        shard.slab.endpoint(endpoint.slot).places.add(1);
        Some(Some(Self { slab: &shard.slab, endpoint, gate: Some(shard.gates.upstream(upstream.slot)) }))
    }
}

/// Whether there is room for the request at an endpoint, as far as can be seen without taking it.
pub(crate) fn has_room(scene: &Scene<'_>, endpoint: &Endpoint) -> bool {
    let Scene { shard, upstream, route, .. } = *scene;
    let Limits { endpoint_requests, connections, .. } = upstream.settings.limits;
    let share = |most| class::share(most, route.settings.class, upstream.top);
    let opens = endpoint.connections.taken() < upstream.settings.connections_max
        && connections.is_none_or(|most| upstream.connections.taken() < most);
    endpoint_requests.is_none_or(|most| endpoint.requests.taken() < share(most))
        && (opens || shard.pools.idle(endpoint.slot) > 0)
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if let Some(gate) = &self.gate {
            leave_endpoint(self.slab, gate, self.endpoint.slot, &self.endpoint.requests);
        }
    }
}
