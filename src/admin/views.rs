//! The pages of `/v1`, as JSON. Pure: a reading in, a value out. They refuse to know paths and connections.
//!
//! Names are stable; units stand last in them. Numbers are sums over the cores at one moment.

use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::admin::scene::Reading;
use crate::admin::scene::Scene;
use crate::id::RouteSlot;
use crate::id::UpstreamIndex;
use crate::model::Way;
use crate::observe::ended::Cause;
use crate::observe::metrics::CLASSES;
use crate::observe::metrics::Count;
use crate::observe::metrics::ListenerCounts;
use crate::snapshot::Listener;
use crate::snapshot::overload::Resource;

/// The process at a glance.
#[must_use]
pub fn overview(reading: &Reading) -> Value {
    let scene = &reading.scene;
    let refused = scene.reload.refused.as_ref();
    let mut classes = Classes::default();
    for (slot, _) in scene.labels.routes.iter() {
        classes.add(reading, *slot);
    }
    let errors = Cause::ALL.into_iter().filter(|cause| cause.is_error());
    let errors = errors.map(|cause| (cause.row().word.to_owned(), reading.sum(|s| s.causes[cause as usize].get())));
    let errors: Map<String, Value> = errors.map(|(word, count)| (word, count.into())).collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "uptime_seconds": reading.uptime.as_secs(),
        "standing": scene.standing.word(),
        "ready": reading.ready().is_ok(),
        "sequence": scene.snapshot.sequence,
        "last_reload": {
            "ok": refused.is_none(),
            "at": unix_seconds(scene.reload.at),
            "error": refused.map(|refused| &refused.text),
            "faults": refused.map(|refused| &refused.faults),
        },
        "needs_restart": scene.needs_restart,
        "overload": overload(reading),
        "listeners": listeners(reading),
        "connections": reading.sum(|slab| slab.connections.get()),
        "parked": reading.sum(|slab| slab.parked.get()),
        "in_flight": reading.sum(|slab| slab.in_flight.get()),
        "requests_total": reading.sum(|slab| slab.exchanges.get()),
        "requests_by_class": classes.json(),
        "errors": errors,
    })
}

/// The configuration in force.
#[must_use]
pub fn config(reading: &Reading) -> Value {
    let scene = &reading.scene;
    let toml = (reading.render)(&scene.snapshot.model);
    // Read back, so that both forms always say the same.
    let config = toml::from_str::<Value>(&toml).unwrap_or(Value::Null);
    json!({
        "sequence": scene.snapshot.sequence,
        "needs_restart": scene.needs_restart,
        "config": config,
        "toml": toml,
    })
}

/// Every certificate that is shown to others: by listeners to clients, and by the gateway to upstreams. And every one that is
/// got by ACME, whether there is one yet or not.
#[must_use]
pub fn certificates(reading: &Reading) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let shown = reading.scene.snapshot.material.shown.iter().map(|shown| {
        let read = &shown.certificate;
        json!({
            "shown_by": shown.side,
            "name": shown.of,
            "file": shown.path,
            "subject": read.subject,
            "issuer": read.issuer,
            "serial": read.serial,
            "sha256": read.fingerprint,
            "names": read.names,
            "addresses": read.addresses,
            "not_before": read.not_before,
            "not_after": read.not_after,
            "seconds_left": read.not_after.saturating_sub(now),
            "fault": shown.fault,
        })
    });
    let ordered = reading.standings.iter().map(|standing| {
        json!({
            "names": standing.names,
            "file": standing.file,
            "directory": standing.directory,
            "state": standing.state.word(),
            "not_after": standing.not_after,
            "next_order": standing.next,
            "next_order_seconds": standing.next.saturating_sub(now).max(0),
            "next_order_reason": standing.reason.word(),
            "window": standing.window.map(|(from, to)| [from, to]),
            "failures": standing.failures,
            "last_error": standing.error,
        })
    });
    let kept = reading.scene.snapshot.material.kept.iter();
    let faults = kept.map(|fault| json!({ "file": fault.path, "fault": fault.words }));
    json!({
        "certificates": shown.collect::<Vec<_>>(),
        "acme": ordered.collect::<Vec<_>>(),
        "refused_files": faults.collect::<Vec<_>>(),
    })
}

/// Every route in force, and what no route took.
#[must_use]
pub fn routes(reading: &Reading) -> Value {
    let snapshot = &reading.scene.snapshot;
    let counted = |slot| {
        let mut classes = Classes::default();
        classes.add(reading, slot);
        classes
    };
    let places = snapshot.model.hosts.iter().flat_map(|host| host.routes.iter().map(move |route| (host, route)));
    let routes = snapshot.routes.iter().zip(places).map(|(compiled, (host, route))| {
        let classes = counted(compiled.slot);
        json!({
            "label": compiled.label,
            "host": host.pattern.text(),
            "path": route.path.text(),
            "upstream": snapshot.upstream(compiled.upstream).settings.name,
            "max_body_bytes": compiled.settings.max_body,
            "upgrade": compiled.settings.upgrade,
            "connect": compiled.settings.connect,
            "timeout": {
                "connect_ms": compiled.settings.connect_timeout.map(ms),
                "response_ms": compiled.settings.response_timeout.map(ms),
                "body_ms": compiled.settings.body_timeout.map(ms),
                "tunnel_ms": compiled.settings.tunnel_timeout.map(ms),
                "total_ms": compiled.settings.total_timeout.map(ms),
            },
            "min_rate_bytes_per_second": compiled.settings.min_rate,
            "response_min_rate_bytes_per_second": compiled.settings.response_rate,
            "attempts": compiled.settings.attempts,
            "requests": classes.requests(),
            "by_class": classes.json(),
            "mean_ms": classes.mean_ms(),
        })
    });
    let routes: Vec<_> = routes.collect();
    let other = counted(RouteSlot(0));
    json!({
        "routes": routes,
        "other": { "requests": other.requests(), "by_class": other.json(), "mean_ms": other.mean_ms() },
    })
}

/// Every core.
#[must_use]
pub fn cores(reading: &Reading) -> Value {
    let sequence = reading.scene.snapshot.sequence;
    let cores = reading.cores.iter().map(|core| {
        let slab = &core.slab;
        json!({
            "core": core.id.0,
            "cpu": core.cpu,
            "stage": core.stage,
            "io": core.io,
            "flags": core.flags,
            "reason": core.reason,
            "fault": core.fault,
            "acknowledged": core.acknowledged,
            "late": core.acknowledged < sequence,
            "connections": slab.connections.get(),
            "parked": slab.parked.get(),
            "in_flight": slab.in_flight.get(),
            "exchanges": slab.exchanges.get(),
            "panics": slab.panics.get(),
            "restarts": slab.restarts.get(),
            "loop_lag_us": slab.loop_lag_us.get(),
        })
    });
    json!({ "sequence": sequence, "cores": cores.collect::<Vec<_>>() })
}

/// How short the gateway is of something: memory and descriptors in percent of what there may be.
fn overload(reading: &Reading) -> Value {
    let overload = &reading.scene.snapshot.overload;
    let resources = Resource::ALL.into_iter().map(|resource| {
        let value = overload.value(resource).map(f64::from);
        let (unit, value) = match resource {
            Resource::Lag => ("ms", value.map(|us| us / 1000.0)),
            Resource::Memory | Resource::Descriptors => ("percent", value.map(|thousandths| thousandths / 10.0)),
        };
        let grade = overload.grade_of(resource);
        (resource.word().to_owned(), json!({ "grade": grade as u8, unit: value }))
    });
    let resources: Map<String, Value> = resources.collect();
    json!({ "grade": overload.grade() as u8, "word": overload.grade().word(), "resources": resources })
}

fn listeners(reading: &Reading) -> Vec<Value> {
    let scene = &reading.scene;
    let listeners = scene.snapshot.listeners.iter().map(|listener| {
        let name = listener.settings.name.as_str();
        let addresses = scene.listening.iter().filter(|(holder, _)| holder == name);
        let sum = |of: fn(&ListenerCounts) -> u64| reading.sum(|slab| slab.peek_listener(listener.slot).map_or(0, of));
        json!({
            "name": name,
            "bind": listener.settings.bind.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "addresses": addresses.map(|(_, address)| address.to_string()).collect::<Vec<_>>(),
            "connections": sum(|counts| counts.open.get()),
            "carries": carries(scene, listener),
            "connections_max": listener.settings.connections_max,
            "client_connections_max": listener.settings.client_connections_max,
            "accepted": sum(|counts| counts.accepted.get()),
            "refused": sum(|counts| counts.refused.iter().map(Count::get).sum()),
        })
    });
    listeners.collect()
}

/// Where a listener carries bytes to: an upstream, or upstreams by names; null: it reads requests.
fn carries(scene: &Scene, listener: &Listener) -> Value {
    let name = |index: UpstreamIndex| scene.snapshot.upstream(index).settings.name.as_str();
    match listener.settings.relay.as_ref().map(|relay| &relay.way) {
        None => Value::Null,
        Some(Way::Tcp(upstream)) => name(*upstream).into(),
        Some(Way::Passthrough(passthrough)) => {
            passthrough.names.iter().map(|(pattern, upstream)| (pattern.text(), Value::from(name(*upstream)))).collect()
        }
    }
}

/// Requests of one or more routes, by status class.
#[derive(Default)]
struct Classes {
    counts: [u64; CLASSES.len()],
    sum_us: u64,
}

impl Classes {
    fn add(&mut self, reading: &Reading, slot: RouteSlot) {
        for counts in reading.cores.iter().filter_map(|core| core.slab.peek_route(slot)) {
            for (_, class, _, histogram) in counts.each() {
                self.counts[class] += histogram.buckets.iter().map(Count::get).sum::<u64>();
                self.sum_us = self.sum_us.wrapping_add(histogram.sum_us.get());
            }
        }
    }

    fn requests(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Absent without requests.
    #[expect(clippy::cast_precision_loss, reason = "a mean for people to read")]
    fn mean_ms(&self) -> Option<f64> {
        let requests = self.requests();
        (requests > 0).then(|| (self.sum_us as f64 / requests as f64).round() / 1000.0)
    }

    fn json(&self) -> Value {
        CLASSES
            .iter()
            .zip(self.counts)
            .map(|(class, count)| ((*class).to_owned(), count.into()))
            .collect::<Map<_, _>>()
            .into()
    }
}

/// In whole milliseconds.
pub(super) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn unix_seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
