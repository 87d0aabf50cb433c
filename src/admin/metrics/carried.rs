//! The samples of listeners that carry bytes: hellos, bytes and how long connections last.

use crate::admin::metrics::Durations;
use crate::admin::metrics::Series;
use crate::admin::metrics::table::known_listeners;
use crate::admin::scene::Reading;
use crate::id::ListenerSlot;
use crate::observe::metrics::CarriedCounts;
use crate::observe::metrics::Count;
use crate::observe::metrics::HEARD;
use crate::observe::metrics::ListenerCounts;
use crate::snapshot::relay::Relay;

/// A sample for each outcome, of listeners that wait for hellos or have waited.
pub(super) fn hellos(reading: &Reading, out: &mut Series<'_>) {
    for (slot, name) in known_listeners(reading) {
        let of = |at: usize| {
            let one = |counts: &ListenerCounts| counts.hellos.get(at).map_or(0, Count::get);
            reading.sum(|slab| slab.peek_listener(slot).map_or(0, one))
        };
        if relay(reading, slot).is_some_and(Relay::asks_for_names) || (0..HEARD.len()).any(|at| of(at) > 0) {
            HEARD.iter().enumerate().for_each(|(at, word)| out.put(&[name, word], of(at)));
        }
    }
}

/// A sample for each listener that carries bytes, or has carried any.
pub(super) fn bytes(reading: &Reading, out: &mut Series<'_>, of: fn(&CarriedCounts) -> u64) {
    for (slot, name) in known_listeners(reading) {
        let mut sum = relay(reading, slot).map(|_| 0_u64);
        each(reading, slot, |counts| sum = Some(sum.unwrap_or(0).wrapping_add(of(counts))));
        sum.into_iter().for_each(|sum| out.put(&[name], sum));
    }
}

/// How long the connections of each listener lasted that has carried any.
pub(super) fn durations(reading: &Reading, out: &mut Series<'_>) {
    for (slot, name) in known_listeners(reading) {
        let mut sum = None;
        each(reading, slot, |counts| sum.get_or_insert_with(Durations::default).add(&counts.durations));
        sum.into_iter().for_each(|sum| out.durations(&[name], &sum));
    }
}

fn relay(reading: &Reading, slot: ListenerSlot) -> Option<&Relay> {
    reading.scene.snapshot.listeners.iter().find(|listener| listener.slot == slot)?.relay.as_ref()
}

fn each<'a>(reading: &'a Reading, slot: ListenerSlot, take: impl FnMut(&'a CarriedCounts)) {
    let counts = reading.cores.iter().filter_map(|core| core.slab.peek_listener(slot)?.carried.get());
    counts.map(|counts| &**counts).for_each(take);
}
