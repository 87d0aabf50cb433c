//! The samples of TLS: handshakes, the ends of certificates, and files that could not be taken.

use std::collections::HashSet;

use crate::admin::metrics::Series;
use crate::admin::metrics::table::known_listeners;
use crate::admin::scene::Reading;
use crate::observe::metrics::HANDSHAKES;
use crate::observe::metrics::ListenerCounts;

pub(super) fn handshakes(reading: &Reading, out: &mut Series<'_>) {
    for (slot, name) in known_listeners(reading) {
        for (result, word) in HANDSHAKES.iter().enumerate() {
            let of = |counts: &ListenerCounts| counts.handshakes[result].get();
            out.put(&[name, word], reading.sum(|slab| slab.peek_listener(slot).map_or(0, of)));
        }
    }
}

pub(super) fn refused_files(reading: &Reading, out: &mut Series<'_>) {
    let kept = &reading.scene.snapshot.material.kept;
    let paths: HashSet<_> = kept.iter().map(|fault| &fault.path).collect();
    out.put(&[], paths.len() as u64);
}

pub(super) fn ends(reading: &Reading, out: &mut Series<'_>) {
    let mut told = HashSet::new();
    for shown in &reading.scene.snapshot.material.shown {
        if told.insert((shown.side, &shown.of, &shown.path)) {
            let end = u64::try_from(shown.certificate.not_after).unwrap_or(0);
            out.put(&[shown.side, &shown.of, &shown.path.to_string_lossy()], end);
        }
    }
}
