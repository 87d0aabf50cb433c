//! How the endpoints of an upstream are watched: `health` and `ejection`, as a file says them, as they are meant, and as
//! they are written back. It refuses to know how a value is read or shown.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::Both;
use super::Out;
use super::maybe;
use super::resolve;
use super::within;
use crate::address::Address;
use crate::config::key::Field;
use crate::config::key::Reader;
use crate::config::key::get;
use crate::config::keys::watch as keys;
use crate::config::report::Fault;
use crate::config::report::Faults;
use crate::config::report::Span;
use crate::config::report::tick;
use crate::config::write::Lines;
use crate::model::Ejection;
use crate::model::Endpoint;
use crate::model::Health;
use crate::model::Probe;
use crate::model::Upstream;

// === health ===

#[derive(Default)]
pub(super) struct HealthForm {
    path: Field<Option<String>>,
    tcp: Field<bool>,
    grpc: Field<Option<String>>,
    host: Field<String>,
    method: Field<Cow<'static, str>>,
    status: Field<Cow<'static, [RangeInclusive<u16>]>>,
    body: Field<String>,
    interval: Field<Duration>,
    doubt: Field<Duration>,
    timeout: Field<Duration>,
    rise: Field<u32>,
    fall: Field<u32>,
    port: Field<u16>,
    initially: Field<bool>,
}

/// One way to ask, by the name of its key.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Way {
    Path,
    Tcp,
    Grpc,
}

impl HealthForm {
    pub(super) fn read(reader: Option<&Reader<'_>>, faults: &mut Faults) -> Self {
        let (table, off) = reader.map_or((None, None), |reader| reader.switched(&keys::HEALTH, faults));
        if let Some(at) = off {
            let (path, tcp, grpc) = (Field::Set(None, at), Field::Set(false, at), Field::Set(None, at));
            return Self { path, tcp, grpc, ..Self::default() };
        }
        let table = table.as_ref();
        Self {
            path: get(table, &keys::HEALTH_PATH, faults),
            tcp: get(table, &keys::HEALTH_TCP, faults),
            grpc: get(table, &keys::HEALTH_GRPC, faults),
            host: get(table, &keys::HEALTH_HOST, faults),
            method: get(table, &keys::HEALTH_METHOD, faults),
            status: get(table, &keys::HEALTH_STATUS, faults),
            body: get(table, &keys::HEALTH_BODY, faults),
            interval: get(table, &keys::HEALTH_INTERVAL, faults),
            doubt: get(table, &keys::HEALTH_DOUBT, faults),
            timeout: get(table, &keys::HEALTH_TIMEOUT, faults),
            rise: get(table, &keys::HEALTH_RISE, faults),
            fall: get(table, &keys::HEALTH_FALL, faults),
            port: get(table, &keys::HEALTH_PORT, faults),
            initially: get(table, &keys::HEALTH_INITIALLY, faults),
        }
    }

    /// The ways that are chosen, each with its place.
    fn chosen(&self) -> impl Iterator<Item = (Way, Span)> {
        let path = self.path.at().filter(|_| matches!(self.path.value(), Some(Some(_))));
        let tcp = self.tcp.at().filter(|_| self.tcp.value() == Some(&true));
        let grpc = self.grpc.at().filter(|_| matches!(self.grpc.value(), Some(Some(_))));
        [(Way::Path, path), (Way::Tcp, tcp), (Way::Grpc, grpc)].into_iter().filter_map(|(way, at)| Some((way, at?)))
    }

    /// The one way that is chosen, if any; nothing after a fault.
    pub(super) fn one_probe(&self, owner: &str, faults: &mut Faults) -> Option<Option<(Way, Span)>> {
        let mut chosen: Vec<_> = self.chosen().collect();
        chosen.sort_by_key(|(_, at)| *at);
        let [(_, first), .., (_, last)] = chosen.as_slice() else { return Some(chosen.first().copied()) };
        let message = format!("`health` of {owner} asks in two ways");
        let help = "choose one of `path`, `tcp` and `grpc`";
        faults.add(Fault::wrong(*last, message).also(*first, "the other").help(help));
        None
    }

    /// Whether it says how to ask or not to, right or wrong.
    fn says_how(&self) -> bool {
        self.path.is_said() || self.tcp.is_said() || self.grpc.is_said()
    }

    /// What only a check by `path` has.
    fn of_path(&self) -> impl Iterator<Item = (&'static str, Span)> {
        let all = [
            ("health.host", self.host.at()),
            ("health.method", self.method.at()),
            ("health.status", self.status.at()),
            ("health.body", self.body.at()),
        ];
        all.into_iter().filter_map(|(name, at)| Some((name, at?)))
    }

    /// Where it says something that is of no use without a way to ask.
    fn rest(&self) -> Option<Span> {
        let own = [self.interval.at(), self.doubt.at(), self.timeout.at(), self.rise.at(), self.fall.at()];
        let more = [self.port.at(), self.initially.at()];
        own.into_iter().chain(more).flatten().chain(self.of_path().map(|(_, at)| at)).min()
    }
}

impl<'a> Both<'a, HealthForm> {
    /// What is over its bound.
    pub(super) fn orders(self) -> [Option<Out>; 2] {
        let interval = ("health.interval", &keys::HEALTH_INTERVAL);
        [
            self.order(("health.doubt", &keys::HEALTH_DOUBT), interval, |form| (&form.doubt, &form.interval)),
            self.order(("health.timeout", &keys::HEALTH_TIMEOUT), interval, |form| (&form.timeout, &form.interval)),
        ]
    }

    /// The check of these endpoints, if there is one; nothing after a fault.
    pub(super) fn probed(
        self,
        owner: &str,
        endpoints: &Field<Vec<Endpoint>>,
        faults: &mut Faults,
    ) -> Option<Option<Health>> {
        let Some(way) = self.way(owner, faults)? else { return Some(None) };
        let Self { own, defaults } = self;
        let port = self.port(owner, endpoints.value().map_or(&[], Vec::as_slice), faults);
        if way != Way::Path
            && let Some((name, at)) = own.of_path().next()
        {
            let message = format!("{} of {owner} belongs to a check by `path`", tick(name));
            let how = if way == Way::Tcp { "tcp" } else { "grpc" };
            faults.add(Fault::wrong(at, message).help(format!("this one is by `{how}`: leave it out")));
            return None;
        }
        let interval = resolve(&own.interval, &defaults.interval, &keys::HEALTH_INTERVAL)?;
        Some(Some(Health {
            probe: self.probe(way)?,
            interval,
            doubt: within(&own.doubt, &defaults.doubt, &keys::HEALTH_DOUBT, &interval)?,
            timeout: within(&own.timeout, &defaults.timeout, &keys::HEALTH_TIMEOUT, &interval)?,
            rise: resolve(&own.rise, &defaults.rise, &keys::HEALTH_RISE)?,
            fall: resolve(&own.fall, &defaults.fall, &keys::HEALTH_FALL)?,
            port: port?,
            initially_up: resolve(&own.initially, &defaults.initially, &keys::HEALTH_INITIALLY)?,
        }))
    }

    /// Another port than an endpoint's own, if one is asked; nothing after a fault. That of the defaults is not for an upstream
    /// of nothing but Unix sockets.
    fn port(self, owner: &str, endpoints: &[Endpoint], faults: &mut Faults) -> Option<Option<u16>> {
        let Self { own, defaults } = self;
        let unix = |endpoint: &Endpoint| matches!(endpoint.address, Address::Unix(_));
        if endpoints.is_empty() || !endpoints.iter().all(unix) {
            return maybe(&own.port, &defaults.port);
        }
        if let Some(at) = own.port.at() {
            let message = format!("`health.port` of {owner} is that of nobody: its endpoints are Unix sockets");
            faults.add(Fault::wrong(at, message).help("leave it out: a Unix socket is asked itself"));
            return None;
        }
        Some(None)
    }

    /// How is asked, if at all; nothing after a fault. A way of its own takes the place of that of the defaults.
    fn way(self, owner: &str, faults: &mut Faults) -> Option<Option<Way>> {
        let Self { own, defaults } = self;
        if let Some((way, _)) = own.one_probe(owner, faults)? {
            return Some(Some(way));
        }
        // Nothing is known of what the file is faulty in; and what is turned off here is not taken from the defaults.
        let faulty = |form: &HealthForm| {
            let (path, tcp, grpc) = (&form.path, &form.tcp, &form.grpc);
            matches!(path, Field::Faulty) || matches!(tcp, Field::Faulty) || matches!(grpc, Field::Faulty)
        };
        if faulty(own) || faulty(defaults) {
            return None;
        }
        let off = |way: Way| match way {
            Way::Path => own.path.is_said(),
            Way::Tcp => own.tcp.is_said(),
            Way::Grpc => own.grpc.is_said(),
        };
        let inherited: Vec<Way> = defaults.chosen().map(|(way, _)| way).filter(|way| !off(*way)).collect();
        match (inherited.as_slice(), own.rest()) {
            ([way], _) => Some(Some(*way)),
            // Two: the defaults are at fault.
            ([_, ..], _) => None,
            ([], Some(at)) if !own.says_how() && !defaults.says_how() => {
                let message = format!("`health` of {owner} does not say what is asked");
                let help = "write one of path = \"/healthz\", tcp = true and grpc = \"\"";
                faults.add(Fault::absent(at, message).help(help));
                None
            }
            ([], _) => Some(None),
        }
    }

    fn probe(self, way: Way) -> Option<Probe> {
        let Self { own, defaults } = self;
        match way {
            Way::Tcp => Some(Probe::Tcp),
            Way::Grpc => {
                let service = resolve(&own.grpc, &defaults.grpc, &keys::HEALTH_GRPC)?;
                Some(Probe::Grpc { service: service? })
            }
            Way::Path => {
                let path = resolve(&own.path, &defaults.path, &keys::HEALTH_PATH)?;
                Some(Probe::Http {
                    method: resolve(&own.method, &defaults.method, &keys::HEALTH_METHOD)?.into_owned(),
                    path: path?,
                    host: maybe(&own.host, &defaults.host)?,
                    statuses: resolve(&own.status, &defaults.status, &keys::HEALTH_STATUS)?.into_owned(),
                    body: maybe(&own.body, &defaults.body)?,
                })
            }
        }
    }
}

/// The lines of both.
pub(super) fn lines(upstream: &Upstream, lines: &mut Lines) {
    let mut health = Lines::default();
    if let Some(it) = &upstream.health {
        match &it.probe {
            Probe::Tcp => health.add(&keys::HEALTH_TCP, &true),
            Probe::Grpc { service } => health.add(&keys::HEALTH_GRPC, &Some(service.clone())),
            Probe::Http { method, path, host, statuses, body } => {
                health.add(&keys::HEALTH_PATH, &Some(path.clone()));
                health.add_some(&keys::HEALTH_HOST, host.as_ref());
                health.add(&keys::HEALTH_METHOD, &Cow::Owned(method.clone()));
                health.add(&keys::HEALTH_STATUS, &Cow::Owned(statuses.clone()));
                health.add_some(&keys::HEALTH_BODY, body.as_ref());
            }
        }
        health.add(&keys::HEALTH_INTERVAL, &it.interval);
        health.add(&keys::HEALTH_DOUBT, &it.doubt);
        health.add(&keys::HEALTH_TIMEOUT, &it.timeout);
        health.add(&keys::HEALTH_RISE, &it.rise);
        health.add(&keys::HEALTH_FALL, &it.fall);
        health.add_some(&keys::HEALTH_PORT, it.port.as_ref());
        health.add(&keys::HEALTH_INITIALLY, &it.initially_up);
    }
    lines.group(keys::HEALTH.0.name, &health);
    let mut ejection = Lines::default();
    ejection.add(&keys::EJECTION_FAILURES, &upstream.ejection.failures);
    ejection.add(&keys::EJECTION_SUCCESS, &upstream.ejection.success_percent);
    ejection.add(&keys::EJECTION_REQUESTS, &upstream.ejection.requests);
    ejection.add(&keys::EJECTION_TIME, &upstream.ejection.time);
    ejection.add(&keys::EJECTION_TIME_MAX, &upstream.ejection.time_max);
    ejection.add(&keys::EJECTION_SHARE, &upstream.ejection.share_percent);
    lines.group(keys::EJECTION.0.name, &ejection);
}

// === ejection ===

#[derive(Default)]
pub(super) struct EjectionForm {
    failures: Field<u32>,
    success: Field<u32>,
    requests: Field<u32>,
    time: Field<Duration>,
    time_max: Field<Duration>,
    share: Field<u32>,
}

impl EjectionForm {
    pub(super) fn read(reader: Option<&Reader<'_>>, faults: &mut Faults) -> Self {
        let (table, off) = reader.map_or((None, None), |reader| reader.switched(&keys::EJECTION, faults));
        if let Some(at) = off {
            return Self { failures: Field::Set(0, at), success: Field::Set(0, at), ..Self::default() };
        }
        let table = table.as_ref();
        Self {
            failures: get(table, &keys::EJECTION_FAILURES, faults),
            success: get(table, &keys::EJECTION_SUCCESS, faults),
            requests: get(table, &keys::EJECTION_REQUESTS, faults),
            time: get(table, &keys::EJECTION_TIME, faults),
            time_max: get(table, &keys::EJECTION_TIME_MAX, faults),
            share: get(table, &keys::EJECTION_SHARE, faults),
        }
    }
}

impl<'a> Both<'a, EjectionForm> {
    pub(super) fn order_of_times(self) -> Option<Out> {
        let (time, time_max) =
            (("ejection.time", &keys::EJECTION_TIME), ("ejection.time_max", &keys::EJECTION_TIME_MAX));
        self.order(time, time_max, |form| (&form.time, &form.time_max))
    }

    pub(super) fn model(self) -> Option<Ejection> {
        let Self { own, defaults } = self;
        let time_max = resolve(&own.time_max, &defaults.time_max, &keys::EJECTION_TIME_MAX)?;
        Some(Ejection {
            failures: resolve(&own.failures, &defaults.failures, &keys::EJECTION_FAILURES)?,
            success_percent: resolve(&own.success, &defaults.success, &keys::EJECTION_SUCCESS)?,
            requests: resolve(&own.requests, &defaults.requests, &keys::EJECTION_REQUESTS)?,
            time: within(&own.time, &defaults.time, &keys::EJECTION_TIME, &time_max)?,
            time_max,
            share_percent: resolve(&own.share, &defaults.share, &keys::EJECTION_SHARE)?,
        })
    }
}
