//! The samples of upstreams: how long attempts and waits last, what comes of hedges, and counts of each.

use std::collections::BTreeMap;
use std::collections::HashSet;

use crate::admin::metrics::Durations;
use crate::admin::metrics::Series;
use crate::admin::scene::Reading;
use crate::observe::metrics::CLASSES;
use crate::observe::metrics::HEDGES;
use crate::observe::metrics::UpstreamCounts;

pub(super) fn client_durations(reading: &Reading, out: &mut Series<'_>) {
    let mut sums: BTreeMap<_, Durations> = BTreeMap::new();
    for (slot, label) in reading.scene.labels.upstreams.iter() {
        for counts in reading.cores.iter().filter_map(|core| core.slab.peek_upstream(*slot)) {
            for (class, histogram) in counts.each() {
                sums.entry(class).or_default().add(histogram);
            }
        }
        for (class, durations) in std::mem::take(&mut sums) {
            out.durations(&[label, CLASSES[class]], &durations);
        }
    }
}

/// A sample for each upstream in force, and for each that was and has left something behind.
pub(super) fn upstreams(reading: &Reading, out: &mut Series<'_>, of: fn(&UpstreamCounts) -> u64) {
    let scene = &reading.scene;
    let configured: HashSet<_> = scene.snapshot.upstreams.iter().map(|upstream| upstream.slot).collect();
    for (slot, name) in scene.labels.upstreams.iter() {
        let sum = reading.sum(|slab| slab.peek_upstream(*slot).map_or(0, of));
        if configured.contains(slot) || sum > 0 {
            out.put(&[name], sum);
        }
    }
}

/// A sample for each upstream in force with a bound that follows its latency.
pub(super) fn adaptive(reading: &Reading, out: &mut Series<'_>) {
    for upstream in &reading.scene.snapshot.upstreams {
        if let Some(limit) = reading.adaptive(upstream) {
            out.put(&[&upstream.settings.name], limit);
        }
    }
}

/// A sample for each outcome of the hedges of upstreams that had any.
pub(super) fn hedges(reading: &Reading, out: &mut Series<'_>) {
    for (slot, name) in reading.scene.labels.upstreams.iter() {
        let of = |at: usize| reading.sum(|slab| slab.peek_upstream(*slot).map_or(0, |c| c.hedges[at].get()));
        for (at, word) in HEDGES.iter().enumerate() {
            out.put(&[name, word], of(at));
        }
    }
}

pub(super) fn queues(reading: &Reading, out: &mut Series<'_>) {
    for (slot, name) in reading.scene.labels.upstreams.iter() {
        let counts = reading.cores.iter().filter_map(|core| core.slab.peek_upstream(*slot));
        let mut durations = None;
        for histogram in counts.filter_map(|counts| counts.queue.get()) {
            durations.get_or_insert_with(Durations::default).add(histogram);
        }
        if let Some(durations) = durations {
            out.durations(&[name], &durations);
        }
    }
}
