//! The metrics, one row each: name, type, labels, meaning, and where its samples come from.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::admin::metrics::Durations;
use crate::admin::metrics::Family;
use crate::admin::metrics::Kind::Counter;
use crate::admin::metrics::Kind::Gauge;
use crate::admin::metrics::Kind::Histogram;
use crate::admin::metrics::Series;
use crate::admin::metrics::carried;
use crate::admin::metrics::carried::durations;
use crate::admin::metrics::carried::hellos;
use crate::admin::metrics::seconds;
use crate::admin::metrics::secure::ends;
use crate::admin::metrics::secure::handshakes;
use crate::admin::metrics::secure::next_orders;
use crate::admin::metrics::secure::orders;
use crate::admin::metrics::secure::refused_files;
use crate::admin::metrics::states::changes;
use crate::admin::metrics::states::endpoints;
use crate::admin::metrics::states::panics;
use crate::admin::metrics::states::states;
use crate::admin::metrics::upstreams::adaptive;
use crate::admin::metrics::upstreams::client_durations;
use crate::admin::metrics::upstreams::hedges;
use crate::admin::metrics::upstreams::queues;
use crate::admin::metrics::upstreams::upstreams;
use crate::admin::process;
use crate::admin::scene::Core;
use crate::admin::scene::Reading;
use crate::balance::board::Health;
use crate::id::ListenerSlot;
use crate::observe::ended::Cause;
use crate::observe::metrics::CLASSES;
use crate::observe::metrics::CLOSINGS;
use crate::observe::metrics::ListenerCounts;
use crate::observe::metrics::METHODS;
use crate::observe::metrics::PARTINGS;
use crate::observe::metrics::PROTOCOLS;
use crate::observe::metrics::REFUSALS;
use crate::observe::metrics::THRIFTS;
use crate::observe::metrics::TUNNELS;
use crate::snapshot::overload::Resource;

/// Every metric.
pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "http_server_request_duration_seconds",
        kind: Histogram,
        labels: &["route", "method", "status_class", "protocol"],
        help: "Time from the first byte of a request to the last byte of its response.",
        write: server_durations,
    },
    Family {
        name: "http_client_request_duration_seconds",
        kind: Histogram,
        labels: &["upstream", "status_class"],
        help: "Time from the start of an attempt to the head of its response, or to its failure (class none).",
        write: client_durations,
    },
    Family {
        name: "ringway_requests_in_flight",
        kind: Gauge,
        labels: &[],
        help: "Requests under way.",
        write: |reading, out| out.put(&[], reading.sum(|slab| slab.in_flight.get())),
    },
    Family {
        name: "ringway_tunnels_open",
        kind: Gauge,
        labels: &[],
        help: "Tunnels open. After an upgrade or CONNECT each is a request under way; by a listener that carries bytes, none is.",
        write: |reading, out| out.put(&[], reading.sum(|slab| slab.tunnels_open.get())),
    },
    Family {
        name: "ringway_tunnels_total",
        kind: Counter,
        labels: &["kind"],
        help: "Tunnels opened, after an upgrade or CONNECT, or by a listener that carries bytes.",
        write: |reading, out| {
            for (place, kind) in TUNNELS.into_iter().enumerate() {
                out.put(&[kind], reading.sum(|slab| slab.tunnels[place].get()));
            }
        },
    },
    Family {
        name: "ringway_requests_total",
        kind: Counter,
        labels: &[],
        help: "Requests ended, however they ended.",
        write: |reading, out| out.put(&[], reading.sum(|slab| slab.exchanges.get())),
    },
    Family {
        name: "ringway_request_errors_total",
        kind: Counter,
        labels: &["cause", "who"],
        help: "Requests that did not end in a whole response, and carried connections that did not end well, by cause and by whose \
               doing it was.",
        write: |reading, out| {
            for cause in errors() {
                let row = cause.row();
                out.put(&[row.word, row.who.word()], reading.sum(|slab| slab.causes[cause as usize].get()));
            }
        },
    },
    Family {
        name: "ringway_connections",
        kind: Gauge,
        labels: &["listener"],
        help: "Client connections open.",
        write: |reading, out| listeners(reading, out, |counts| counts.open.get()),
    },
    Family {
        name: "ringway_connections_total",
        kind: Counter,
        labels: &["listener"],
        help: "Client connections accepted.",
        write: |reading, out| listeners(reading, out, |counts| counts.accepted.get()),
    },
    Family {
        name: "ringway_connections_refused_total",
        kind: Counter,
        labels: &["listener", "reason"],
        help: "Client connections closed at once because a bound was reached, by whose bound it was; or because they come \
               from somebody who is not trusted to send the PROXY protocol header that they must begin with.",
        write: refusals,
    },
    Family {
        name: "ringway_tls_handshakes_total",
        kind: Counter,
        labels: &["listener", "result"],
        help: "TLS handshakes of clients that ended, by how: full, resumed, failed, timed out; refused, since as many were under \
               way as may be; plain, since the client spoke no TLS.",
        write: handshakes,
    },
    Family {
        name: "ringway_hellos_total",
        kind: Counter,
        labels: &["listener", "hello"],
        help: "TLS hellos waited for by listeners that carry connections by the names that these ask for, by what came of it.",
        write: hellos,
    },
    Family {
        name: "ringway_carried_received_bytes_total",
        kind: Counter,
        labels: &["listener"],
        help: "Bytes carried from clients to endpoints, as they go.",
        write: |reading, out| carried::bytes(reading, out, |counts| counts.bytes_in.get()),
    },
    Family {
        name: "ringway_carried_sent_bytes_total",
        kind: Counter,
        labels: &["listener"],
        help: "Bytes carried from endpoints to clients, as they go.",
        write: |reading, out| carried::bytes(reading, out, |counts| counts.bytes_out.get()),
    },
    Family {
        name: "ringway_carried_duration_seconds",
        kind: Histogram,
        labels: &["listener"],
        help: "How long a carried connection lasted, from accept, or from its whole hello if it was carried by that, to its end.",
        write: durations,
    },
    Family {
        name: "ringway_tls_certificate_not_after_seconds",
        kind: Gauge,
        labels: &["side", "of", "file"],
        help: "When a certificate that is shown to others ends, in seconds since 1970; by whether a listener shows it or the \
               gateway to an upstream, and by its file.",
        write: ends,
    },
    Family {
        name: "ringway_acme_orders_total",
        kind: Counter,
        labels: &["certificate", "outcome"],
        help: "Orders of certificates by ACME that ended, by whether one was issued.",
        write: orders,
    },
    Family {
        name: "ringway_acme_next_order_seconds",
        kind: Gauge,
        labels: &["certificate"],
        help: "When the next order of a certificate by ACME is due, in seconds since 1970; 0: at once.",
        write: next_orders,
    },
    Family {
        name: "ringway_tls_files_refused",
        kind: Gauge,
        labels: &[],
        help: "Files for TLS that have changed and cannot be used, while what was read of them before stays in force.",
        write: refused_files,
    },
    Family {
        name: "ringway_connections_closed_total",
        kind: Counter,
        labels: &["listener", "reason"],
        help: "Client connections that were good and are closed, by why. What is closed for want of memory or descriptors is \
               counted by ringway_overload_closed_total, what is closed with an error by ringway_request_errors_total.",
        write: closings,
    },
    Family {
        name: "ringway_proxy_protocol_faults_total",
        kind: Counter,
        labels: &["listener"],
        help: "Client connections closed for want of a whole and well-formed PROXY protocol header.",
        write: |reading, out| listeners(reading, out, |counts| counts.proxy_faults.get()),
    },
    Family {
        name: "ringway_accept_failures_total",
        kind: Counter,
        labels: &[],
        help: "Accepts that failed, for want of descriptors, say.",
        write: |reading, out| out.put(&[], reading.sum(|slab| slab.accept_failures.get())),
    },
    Family {
        name: "ringway_client_received_bytes_total",
        kind: Counter,
        labels: &[],
        help: "Bytes read from clients.",
        write: |reading, out| out.put(&[], reading.sum(|slab| slab.bytes_in.get())),
    },
    Family {
        name: "ringway_client_sent_bytes_total",
        kind: Counter,
        labels: &[],
        help: "Bytes written to clients.",
        write: |reading, out| out.put(&[], reading.sum(|slab| slab.bytes_out.get())),
    },
    Family {
        name: "ringway_retries_total",
        kind: Counter,
        labels: &["upstream"],
        help: "Attempts after the first.",
        write: |reading, out| upstreams(reading, out, |counts| counts.retries.get()),
    },
    Family {
        name: "ringway_retries_unpaid_total",
        kind: Counter,
        labels: &["upstream"],
        help: "Attempts after the first that were wanted and not made, since the budget was spent.",
        write: |reading, out| upstreams(reading, out, |counts| counts.unpaid.get()),
    },
    Family {
        name: "ringway_retries_unkept_total",
        kind: Counter,
        labels: &["upstream"],
        help: "Attempts after the first that were wanted and not made, since the request's body was longer than what is kept of \
               it, or its client waited for leave to send it.",
        write: |reading, out| upstreams(reading, out, |counts| counts.unkept.get()),
    },
    Family {
        name: "ringway_hedges_total",
        kind: Counter,
        labels: &["upstream", "hedge"],
        help: "Second attempts beside one that took long.",
        write: hedges,
    },
    Family {
        name: "ringway_upstream_places",
        kind: Gauge,
        labels: &["upstream"],
        help: "Requests that hold a place of an upstream with a bound on them.",
        write: |reading, out| upstreams(reading, out, |counts| counts.places.get()),
    },
    Family {
        name: "ringway_upstream_waiting",
        kind: Gauge,
        labels: &["upstream"],
        help: "Requests that wait for a place at their upstream, or for a connection where all are taken.",
        write: |reading, out| upstreams(reading, out, |counts| counts.waiting.get()),
    },
    Family {
        name: "ringway_upstream_adaptive_limit",
        kind: Gauge,
        labels: &["upstream"],
        help: "Requests that an upstream's adaptive bound lets in now: the sum over the cores that have had any.",
        write: adaptive,
    },
    Family {
        name: "ringway_upstream_queue_seconds",
        kind: Histogram,
        labels: &["upstream"],
        help: "Time that a request waited for a place at its upstream, or for a connection where all were taken, whether it got \
               one or not.",
        write: queues,
    },
    Family {
        name: "ringway_endpoint_connections",
        kind: Gauge,
        labels: &["upstream", "endpoint"],
        help: "Connections open to an endpoint, lent and idle.",
        write: |reading, out| endpoints(reading, out, |counts| counts.connections.get()),
    },
    Family {
        name: "ringway_endpoint_in_flight",
        kind: Gauge,
        labels: &["upstream", "endpoint"],
        help: "Attempts under way at an endpoint.",
        write: |reading, out| endpoints(reading, out, |counts| counts.in_flight.get()),
    },
    Family {
        name: "ringway_endpoint_attempts_total",
        kind: Counter,
        labels: &["upstream", "endpoint"],
        help: "Attempts made at an endpoint.",
        write: |reading, out| endpoints(reading, out, |counts| counts.attempts.get()),
    },
    Family {
        name: "ringway_endpoint_failures_total",
        kind: Counter,
        labels: &["upstream", "endpoint"],
        help: "Attempts at an endpoint that failed.",
        write: |reading, out| endpoints(reading, out, |counts| counts.failures.get()),
    },
    Family {
        name: "ringway_endpoint_ejections_total",
        kind: Counter,
        labels: &["upstream", "endpoint"],
        help: "Times that an endpoint was put out for failing.",
        write: |reading, out| states(reading, out, |state| Some(state.ejections as f64)),
    },
    Family {
        name: "ringway_endpoint_eligible",
        kind: Gauge,
        labels: &["upstream", "endpoint"],
        help: "1 if an endpoint takes new requests: it is not down, drained or put out.",
        write: |reading, out| states(reading, out, |state| Some(f64::from(u8::from(state.is_eligible())))),
    },
    Family {
        name: "ringway_endpoint_latency_mean_seconds",
        kind: Gauge,
        labels: &["upstream", "endpoint"],
        help: "Mean time to a response head, as the balancing of all cores knows it; 0 before the first one.",
        write: |reading, out| states(reading, out, |state| Some(seconds(state.mean_us.unwrap_or(0)))),
    },
    Family {
        name: "ringway_endpoint_penalty_seconds",
        kind: Gauge,
        labels: &["upstream", "endpoint"],
        help: "The latency that the last failures of an endpoint stand for; it fades.",
        write: |reading, out| states(reading, out, |state| Some(seconds(state.penalty_us))),
    },
    Family {
        name: "ringway_upstream_panic_picks_total",
        kind: Counter,
        labels: &["upstream"],
        help: "Attempts for which all endpoints were taken because too few were eligible.",
        write: panics,
    },
    Family {
        name: "ringway_endpoint_opened_total",
        kind: Counter,
        labels: &["upstream", "endpoint"],
        help: "Connections opened to an endpoint.",
        write: |reading, out| endpoints(reading, out, |counts| counts.opened.get()),
    },
    Family {
        name: "ringway_endpoint_idle_connections",
        kind: Gauge,
        labels: &["upstream", "endpoint"],
        help: "Connections open to an endpoint and not lent, as of the last look at them, about a second ago at the most.",
        write: |reading, out| endpoints(reading, out, |counts| counts.idle.get()),
    },
    Family {
        name: "ringway_endpoint_warmed_total",
        kind: Counter,
        labels: &[],
        help: "Connections to endpoints opened before they were asked for.",
        write: |reading, out| out.put(&[], reading.sum(|slab| slab.warmed.get())),
    },
    Family {
        name: "ringway_endpoint_partings_total",
        kind: Counter,
        labels: &["parting"],
        help: "Connections to endpoints that were good and are not kept any longer, by why.",
        write: |reading, out| {
            for (place, parting) in PARTINGS.into_iter().enumerate() {
                out.put(&[parting], reading.sum(|slab| slab.partings[place].get()));
            }
        },
    },
    Family {
        name: "ringway_overload_grade",
        kind: Gauge,
        labels: &[],
        help: "What the gateway does because it is short of something itself: 0 nothing, 1 keeps no client's connection, \
               2 refuses the lowest class of routes, 3 refuses new connections.",
        write: |reading, out| out.put(&[], reading.scene.snapshot.overload.grade() as u8),
    },
    Family {
        name: "ringway_overload_pressure",
        kind: Gauge,
        labels: &["resource"],
        help: "What is used of a resource: of memory and descriptors the part of what there may be, from 0 to 1; of lag the \
               seconds by which the latest core is late all the time. Absent where it cannot be read.",
        write: pressures,
    },
    Family {
        name: "ringway_overload_closed_total",
        kind: Counter,
        labels: &["thrift"],
        help: "Client connections closed because the gateway is short of something, by what they were.",
        write: |reading, out| {
            for (place, thrift) in THRIFTS.into_iter().enumerate() {
                out.put(&[thrift], reading.sum(|slab| slab.thrift[place].get()));
            }
        },
    },
    Family {
        name: "ringway_endpoint_health",
        kind: Gauge,
        labels: &["upstream", "endpoint"],
        help: "What the active check says of an endpoint: 1 up, 0 down, -1 nothing, because there is none or none yet.",
        write: |reading, out| {
            states(reading, out, |state| match state.health {
                Health::Up => Some(1.0),
                Health::Down => Some(0.0),
                Health::Unknown => Some(-1.0),
            });
        },
    },
    Family {
        name: "ringway_endpoint_changes_total",
        kind: Counter,
        labels: &["upstream", "to"],
        help: "Times an endpoint of the upstream became something else: by its check (up, down), for its failures (ejected, \
               returned), by order of an operator (ordered).",
        write: changes,
    },
    Family {
        name: "ringway_core_connections",
        kind: Gauge,
        labels: &["core"],
        help: "Client connections open on a core.",
        write: |reading, out| cores(reading, out, |core| core.slab.connections.get()),
    },
    Family {
        name: "ringway_core_loop_lag_seconds",
        kind: Gauge,
        labels: &["core"],
        help: "Longest time by which a core's clock was late of late: how long something held its loop.",
        write: |reading, out| cores(reading, out, |core| seconds(core.slab.loop_lag_us.get())),
    },
    Family {
        name: "ringway_core_restarts_total",
        kind: Counter,
        labels: &["core"],
        help: "Times a core died and was started again.",
        write: |reading, out| cores(reading, out, |core| core.slab.restarts.get()),
    },
    Family {
        name: "ringway_panics_total",
        kind: Counter,
        labels: &[],
        help: "Faults of the gateway's own that ended one connection.",
        write: |reading, out| out.put(&[], reading.sum(|slab| slab.panics.get())),
    },
    Family {
        name: "ringway_io_backend",
        kind: Gauge,
        labels: &["core", "io", "flags"],
        help: "Always 1: which kind of event loop a core has, and the flags of its ring.",
        write: |reading, out| {
            // A core that has no loop yet has none of either.
            for core in reading.cores.iter().filter(|core| !core.io.is_empty()) {
                out.put(&[&core.id.0.to_string(), core.io, core.flags], 1);
            }
        },
    },
    Family {
        name: "ringway_access_log_dropped_total",
        kind: Counter,
        labels: &[],
        help: "Access log lines dropped because the writer was behind.",
        write: |reading, out| {
            out.put(&[], reading.sum(|slab| slab.log_dropped.get()).wrapping_add(reading.log_dropped));
        },
    },
    Family {
        name: "ringway_config_last_reload_success",
        kind: Gauge,
        labels: &[],
        help: "1 if the last reload was accepted, 0 if it was refused; the start counts as one.",
        write: |reading, out| out.put(&[], u8::from(reading.scene.reload.refused.is_none())),
    },
    Family {
        name: "ringway_config_last_reload_timestamp_seconds",
        kind: Gauge,
        labels: &[],
        help: "When the last reload was accepted or refused, in Unix time.",
        write: |reading, out| out.put(&[], unix(reading.scene.reload.at)),
    },
    Family {
        name: "ringway_config_sequence",
        kind: Gauge,
        labels: &[],
        help: "Number of the configuration in force; the one at start is 1.",
        write: |reading, out| out.put(&[], reading.scene.snapshot.sequence),
    },
    Family {
        name: "ringway_build_info",
        kind: Gauge,
        labels: &["version"],
        help: "Always 1: the version that runs.",
        write: |_, out| out.put(&[env!("CARGO_PKG_VERSION")], 1),
    },
    Family {
        name: "ringway_process_resident_memory_bytes",
        kind: Gauge,
        labels: &[],
        help: "Memory of the process in RAM.",
        write: |_, out| process::resident_bytes().into_iter().for_each(|bytes| out.put(&[], bytes)),
    },
    Family {
        name: "ringway_process_open_fds",
        kind: Gauge,
        labels: &[],
        help: "Descriptors that the process has open.",
        write: |_, out| process::open_descriptors().into_iter().for_each(|open| out.put(&[], open)),
    },
];

/// Every cause that is an error.
pub(super) fn errors() -> impl Iterator<Item = Cause> {
    Cause::ALL.into_iter().filter(|cause| cause.is_error())
}

fn server_durations(reading: &Reading, out: &mut Series<'_>) {
    let mut sums: BTreeMap<_, Durations> = BTreeMap::new();
    for (slot, label) in reading.scene.labels.routes.iter() {
        for counts in reading.cores.iter().filter_map(|core| core.slab.peek_route(*slot)) {
            for (method, class, protocol, histogram) in counts.each() {
                sums.entry((method, class, protocol)).or_default().add(histogram);
            }
        }
        for ((method, class, protocol), durations) in std::mem::take(&mut sums) {
            out.durations(&[label, METHODS[method], CLASSES[class], PROTOCOLS[protocol]], &durations);
        }
    }
}

/// A sample for each listener in force, and for each that was and has left something behind.
fn listeners(reading: &Reading, out: &mut Series<'_>, of: fn(&ListenerCounts) -> u64) {
    for (slot, name) in known_listeners(reading) {
        out.put(&[name], reading.sum(|slab| slab.peek_listener(slot).map_or(0, of)));
    }
}

fn pressures(reading: &Reading, out: &mut Series<'_>) {
    let overload = &reading.scene.snapshot.overload;
    for resource in Resource::ALL {
        let scale = if resource == Resource::Lag { 1_000_000.0 } else { 1000.0 };
        if let Some(value) = overload.value(resource) {
            out.put(&[resource.word()], f64::from(value) / scale);
        }
    }
}

fn refusals(reading: &Reading, out: &mut Series<'_>) {
    by_reason(reading, out, &REFUSALS, |counts, reason| counts.refused[reason].get());
}

fn closings(reading: &Reading, out: &mut Series<'_>) {
    by_reason(reading, out, &CLOSINGS, |counts, reason| counts.closed[reason].get());
}

/// A sample for each reason of each listener.
fn by_reason(reading: &Reading, out: &mut Series<'_>, words: &[&str], of: fn(&ListenerCounts, usize) -> u64) {
    for (slot, name) in known_listeners(reading) {
        for (reason, word) in words.iter().enumerate() {
            out.put(&[name, word], reading.sum(|slab| slab.peek_listener(slot).map_or(0, |counts| of(counts, reason))));
        }
    }
}

pub(super) fn known_listeners(reading: &Reading) -> impl Iterator<Item = (ListenerSlot, &str)> {
    let scene = &reading.scene;
    let configured: HashSet<_> = scene.snapshot.listeners.iter().map(|listener| listener.slot).collect();
    let accepted = |slot| reading.sum(|slab| slab.peek_listener(slot).map_or(0, |counts| counts.accepted.get()));
    let all = scene.labels.listeners.iter().map(|(slot, name)| (*slot, name.as_str()));
    all.filter(move |(slot, _)| configured.contains(slot) || accepted(*slot) > 0)
}

fn cores<T: std::fmt::Display>(reading: &Reading, out: &mut Series<'_>, of: fn(&Core) -> T) {
    for core in &reading.cores {
        out.put(&[&core.id.0.to_string()], of(core));
    }
}

fn unix(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
