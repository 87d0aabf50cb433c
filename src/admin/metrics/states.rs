//! Samples of endpoints and of the changes of their state. They refuse to know which metric they are for.

use std::collections::HashSet;

use crate::admin::events::Kind;
use crate::admin::metrics::Series;
use crate::admin::scene::Reading;
use crate::balance::state::State;
use crate::id::EndpointSlot;
use crate::observe::metrics::EndpointCounts;

/// A sample for each endpoint in force, and for each that has left and is still in use. Endpoints come and go by
/// themselves: those that are gone for good are not kept.
pub(super) fn endpoints(reading: &Reading, out: &mut Series<'_>, of: fn(&EndpointCounts) -> u64) {
    let scene = &reading.scene;
    let configured: HashSet<EndpointSlot> =
        scene.snapshot.upstreams.iter().flat_map(|upstream| &upstream.endpoints).map(|e| e.slot).collect();
    for (slot, upstream, address) in scene.labels.endpoints.iter() {
        let sum = |of: fn(&EndpointCounts) -> u64| reading.sum(|slab| slab.peek_endpoint(*slot).map_or(0, of));
        if configured.contains(slot) || sum(|counts| counts.connections.get() + counts.in_flight.get()) > 0 {
            out.put(&[upstream, address], sum(of));
        }
    }
}

/// A sample for each endpoint in force of which there is one.
pub(super) fn states(reading: &Reading, out: &mut Series<'_>, of: fn(&State) -> Option<f64>) {
    for upstream in &reading.scene.snapshot.upstreams {
        for endpoint in &upstream.endpoints {
            if let Some(value) = of(&reading.state(upstream, endpoint)) {
                out.put(&[&upstream.settings.name, &endpoint.label], value);
            }
        }
    }
}

pub(super) fn panics(reading: &Reading, out: &mut Series<'_>) {
    let snapshot = &reading.scene.snapshot;
    for upstream in &snapshot.upstreams {
        out.put(&[&upstream.settings.name], snapshot.board.panics(upstream.slot));
    }
}

/// Samples for each upstream in force.
pub(super) fn changes(reading: &Reading, out: &mut Series<'_>) {
    let book = reading.book.borrow();
    for upstream in &reading.scene.snapshot.upstreams {
        let count = |kind, to| book.count(upstream.slot, kind, to);
        let ordered: u64 = ["ready", "drain", "down"].map(|to| count(Kind::Order, to)).iter().sum();
        for (to, times) in [
            ("up", count(Kind::Health, "up")),
            ("down", count(Kind::Health, "down")),
            ("ejected", count(Kind::Ejection, "ejected")),
            ("returned", count(Kind::Ejection, "returned")),
            ("ordered", ordered),
        ] {
            out.put(&[&upstream.settings.name, to], times);
        }
    }
}
