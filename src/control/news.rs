//! What changes without a new configuration: endpoints that health checks, operators or their own answers have made
//! something else, cores that died. It refuses to know who is told: all of it goes to the journal.

use std::collections::HashSet;
use std::time::Instant;

use serde_json::json;
use tracing::info;
use tracing::warn;

use crate::admin::events::Event;
use crate::admin::events::Journal;
use crate::admin::events::Kind;
use crate::admin::orders;
use crate::admin::orders::Patch;
use crate::admin::scene::Answer;
use crate::control::publish::Post;
use crate::health;
use crate::health::Tell;
use crate::health::Transition;
use crate::id::EndpointSlot;
use crate::id::UpstreamSlot;
use crate::snapshot::Endpoint;
use crate::snapshot::Snapshot;
use crate::snapshot::Upstream;

/// Whom health checks tell.
pub(super) fn teller(journal: Journal) -> Tell {
    Box::new(move |transition| {
        let Transition { upstream, upstream_name, endpoint, from, to, reason } = transition;
        journal.note(Event {
            kind: Kind::Health,
            upstream: Some((upstream, upstream_name)),
            what: endpoint,
            from: health::word(from).into(),
            to: health::word(to).into(),
            reason,
        });
    })
}

/// Carries out an operator's order; what has come of it. All cores see it with their next choice of an endpoint.
pub(super) fn order(snapshot: &Snapshot, of: (&str, &str), patch: Patch, journal: &Journal) -> Answer {
    let (upstream, endpoint) = match orders::find(snapshot, of.0, of.1) {
        Ok(found) => found,
        Err(answer) => return answer,
    };
    if endpoint.slot == EndpointSlot(0) {
        let error = "the endpoint is past the bound of what is told apart: nothing can be ordered of it alone";
        return Answer { status: 409, body: json!({ "error": error }) };
    }
    let standing = snapshot.board.standing(endpoint.slot);
    let (before, weight_before) = (standing.order(), standing.weight().unwrap_or(endpoint.weight));
    if let Some(order) = patch.order {
        standing.set_order(order);
    }
    if let Some(weight) = patch.weight {
        standing.set_weight(weight);
    }
    let (after, weight) = (standing.order(), standing.weight().unwrap_or(endpoint.weight));
    if before != after {
        let words = (orders::word(before).to_owned(), orders::word(after).to_owned());
        journal.note(event(Kind::Order, upstream, endpoint, words));
    }
    if weight_before != weight {
        journal.note(event(Kind::Weight, upstream, endpoint, (weight_before.to_string(), weight.to_string())));
    }
    let body = json!({
        "upstream": upstream.settings.name,
        "endpoint": endpoint.label,
        "state": orders::word(after),
        "weight": weight,
        "weight_ordered": standing.weight(),
        "changed": before != after || weight_before != weight,
    });
    Answer { status: 200, body }
}

fn event(kind: Kind, upstream: &Upstream, endpoint: &Endpoint, (from, to): (String, String)) -> Event {
    Event {
        kind,
        upstream: Some((upstream.slot, upstream.settings.name.clone())),
        what: endpoint.label.clone(),
        from,
        to,
        reason: "by order of an operator".into(),
    }
}

/// Looks now and then for what has changed by itself.
#[derive(Debug, Default)]
pub(super) struct Watcher {
    /// How often each core had died.
    restarts: Vec<u64>,
    /// Endpoints that were out.
    out: HashSet<EndpointSlot>,
    /// Upstreams that were in panic.
    panics: HashSet<UpstreamSlot>,
}

impl Watcher {
    /// Compares what is with what was, and notes what differs.
    pub(super) fn look(&mut self, snapshot: &Snapshot, cores: &[Post], journal: &Journal) {
        self.look_at_endpoints(snapshot, journal);
        self.look_for_panic(snapshot, journal);
        self.restarts.resize(cores.len(), 0);
        for (core, before) in cores.iter().zip(&mut self.restarts) {
            let restarts = core.link.slab.restarts.get();
            if restarts == *before {
                continue;
            }
            *before = restarts;
            let fault = core.link.mailbox.report().fault;
            let fault = if fault.is_empty() { "its loop ended by a fault".into() } else { fault };
            journal.note(Event {
                kind: Kind::Core,
                upstream: None,
                what: format!("core {}", core.link.id.0),
                from: "died".into(),
                to: core.link.mailbox.stage().word().into(),
                reason: format!("started again for the {restarts}. time: {fault}"),
            });
        }
    }

    fn look_at_endpoints(&mut self, snapshot: &Snapshot, journal: &Journal) {
        let board = &snapshot.board;
        let mut out = HashSet::new();
        for upstream in &snapshot.upstreams {
            for endpoint in &upstream.endpoints {
                let (is, was) = (board.standing(endpoint.slot).is_out(), self.out.contains(&endpoint.slot));
                if is {
                    out.insert(endpoint.slot);
                }
                if is == was {
                    continue;
                }
                let state = board.state(endpoint.slot, 0, board.at(Instant::now()));
                let (from, to) = if is { ("in", "ejected") } else { ("ejected", "returned") };
                let reason = match state.reason.filter(|_| is) {
                    Some(reason) => format!("{}, {} failures in a row", reason.word(), state.failures_in_row),
                    None if is => "it failed".into(),
                    None => {
                        "a request that tried it was answered well, or there was nothing to judge it by any more".into()
                    }
                };
                let words = (from.to_owned(), to.to_owned());
                journal.note(Event { reason, ..event(Kind::Ejection, upstream, endpoint, words) });
            }
        }
        self.out = out;
    }

    fn look_for_panic(&mut self, snapshot: &Snapshot, journal: &Journal) {
        let mut panics = HashSet::new();
        for upstream in &snapshot.upstreams {
            let (name, plan) = (&upstream.settings.name, &upstream.plan);
            let is = !snapshot.board.in_panic(plan).is_empty();
            if is {
                panics.insert(upstream.slot);
            }
            if is == self.panics.contains(&upstream.slot) {
                continue;
            }
            let (eligible, ready) = snapshot.board.eligible(plan);
            let reason =
                format!("{eligible} of {ready} endpoints are eligible, and `panic` is {}", plan.rules.panic_percent);
            let (from, to) = if is { ("calm", "panic") } else { ("panic", "calm") };
            if is {
                warn!(upstream = name, "all endpoints are taken: {reason}");
            } else {
                info!(upstream = name, "only what is eligible is taken again: {reason}");
            }
            let what = format!("upstream {name}");
            journal.note(Event { kind: Kind::Panic, upstream: None, what, from: from.into(), to: to.into(), reason });
        }
        self.panics = panics;
    }
}
