//! An upstream: what a file says of it, what that means with the defaults filled in, and how it is written back. It
//! refuses to know how a value is read or shown.

use std::borrow::Cow;
use std::time::Duration;

use self::watch::EjectionForm;
use self::watch::HealthForm;
use super::check::resolve;
use super::key::Field;
use super::key::Key;
use super::key::Reader;
use super::key::get;
use super::keys::upstream as keys;
use super::kind::Kind;
use super::report::Fault;
use super::report::Faults;
use super::report::Span;
use super::report::tick;
use super::tls;
use super::write::Lines;
use crate::model::Balance;
use crate::model::Chunks;
use crate::model::Endpoint;
use crate::model::Feedback;
use crate::model::Keep;
use crate::model::Limits;
use crate::model::ProxyVersion;
use crate::model::ResponseLimits;
use crate::model::Retry;
use crate::model::RetryOn;
use crate::model::Sticky;
use crate::model::Timeouts;
use crate::model::Upstream;
use crate::model::UpstreamTls;

mod carried;
mod watch;

/// `[upstream.NAME]` and `[defaults.upstream]`, all but `endpoints`.
#[derive(Default)]
pub(super) struct UpstreamForm {
    pub(super) balance: Field<Balance>,
    sticky: StickyForm,
    pub(super) feedback: Field<Option<Feedback>>,
    slow_start: Field<Duration>,
    panic: Field<u32>,
    timeout: TimeoutForm,
    min_rate: Field<u64>,
    retry: RetryForm,
    keep: KeepForm,
    connections: Field<u32>,
    limit: LimitForm,
    health: HealthForm,
    ejection: EjectionForm,
    deadline: Field<Option<String>>,
    proxy_protocol: Field<Option<ProxyVersion>>,
    pub(super) tls: Field<Option<UpstreamTls>>,
    response: ResponseForm,
}

/// What an upstream says itself, and what holds where it does not.
struct Both<'a, T> {
    own: &'a T,
    defaults: &'a T,
}

impl UpstreamForm {
    pub(super) fn read(reader: Option<&Reader<'_>>, faults: &mut Faults) -> Self {
        Self {
            balance: get(reader, &keys::BALANCE, faults),
            sticky: StickyForm::read(reader, faults),
            feedback: get(reader, &keys::FEEDBACK, faults),
            slow_start: get(reader, &keys::SLOW_START, faults),
            panic: get(reader, &keys::PANIC, faults),
            timeout: TimeoutForm::read(reader, faults),
            min_rate: get(reader, &keys::UPSTREAM_MIN_RATE, faults),
            retry: RetryForm::read(reader, faults),
            keep: KeepForm::read(reader, faults),
            connections: get(reader, &keys::UPSTREAM_CONNECTIONS, faults),
            limit: LimitForm::read(reader, faults),
            health: HealthForm::read(reader, faults),
            ejection: EjectionForm::read(reader, faults),
            deadline: get(reader, &keys::DEADLINE, faults),
            proxy_protocol: get(reader, &keys::UPSTREAM_PROXY_PROTOCOL, faults),
            tls: get(reader, &super::keys::tls::UPSTREAM_TLS, faults),
            response: ResponseForm::read(reader, faults),
        }
    }

    /// The upstream, or nothing after a fault. What does not fit together within the defaults alone is [`Self::check`]'s.
    pub(super) fn model(
        &self,
        name: &str,
        endpoints: &Field<Vec<Endpoint>>,
        defaults: &Self,
        faults: &mut Faults,
    ) -> Option<Upstream> {
        let owner = format!("upstream {}", super::report::quote(name));
        let fits = self.fits(&owner, defaults, faults);
        let health = both(&self.health, &defaults.health).probed(&owner, endpoints, faults);
        let listed = endpoints.value().map(Vec::as_slice).unwrap_or_default();
        let tls = tls::upstream(&owner, self.tls.or(&defaults.tls), listed, faults);
        let model = Upstream {
            name: name.to_owned(),
            endpoints: endpoints.value()?.clone(),
            balance: resolve(&self.balance, &defaults.balance, &keys::BALANCE)?,
            sticky: both(&self.sticky, &defaults.sticky).model()?,
            feedback: resolve(&self.feedback, &defaults.feedback, &keys::FEEDBACK)?,
            slow_start: resolve(&self.slow_start, &defaults.slow_start, &keys::SLOW_START)?,
            panic_percent: resolve(&self.panic, &defaults.panic, &keys::PANIC)?,
            timeout: both(&self.timeout, &defaults.timeout).model()?,
            retry: both(&self.retry, &defaults.retry).model()?,
            keep: both(&self.keep, &defaults.keep).model()?,
            connections_max: resolve(&self.connections, &defaults.connections, &keys::UPSTREAM_CONNECTIONS)?,
            limits: both(&self.limit, &defaults.limit).model()?,
            health: health?,
            ejection: both(&self.ejection, &defaults.ejection).model()?,
            deadline: resolve(&self.deadline, &defaults.deadline, &keys::DEADLINE)?,
            response: both(&self.response, &defaults.response).model()?,
            min_rate: resolve(&self.min_rate, &defaults.min_rate, &keys::UPSTREAM_MIN_RATE)?,
            proxy_protocol: resolve(&self.proxy_protocol, &defaults.proxy_protocol, &keys::UPSTREAM_PROXY_PROTOCOL)?,
            tls: tls?,
        };
        fits.then_some(model)
    }

    /// What does not fit together within `[defaults.upstream]` itself: said once, whoever takes it.
    pub(super) fn check(&self, faults: &mut Faults) {
        let owner = "[defaults.upstream]";
        self.fits(owner, &Self::default(), faults);
        self.health.one_probe(owner, faults);
    }

    /// Compares what must fit together; false after a fault.
    fn fits(&self, owner: &str, defaults: &Self, faults: &mut Faults) -> bool {
        let (retry, keep) = (both(&self.retry, &defaults.retry), both(&self.keep, &defaults.keep));
        let orders = [
            retry.order(("retry.backoff", &keys::BACKOFF), ("retry.backoff_max", &keys::BACKOFF_MAX), |form| {
                (&form.backoff, &form.backoff_max)
            }),
            keep.order(
                ("keep_alive.warm", &keys::KEEP_ALIVE_WARM),
                ("keep_alive.connections", &keys::KEEP_ALIVE_CONNECTIONS),
                |form| (&form.warm, &form.connections),
            ),
        ];
        let watched = both(&self.health, &defaults.health).orders().into_iter();
        let watched = watched.chain([both(&self.ejection, &defaults.ejection).order_of_times()]);
        let hash = self.hash_and_sticky(owner, defaults);
        let found: Vec<Fault> =
            orders.into_iter().chain(watched).flatten().map(|out| out.fault(owner)).chain(hash).collect();
        let fits = found.is_empty();
        found.into_iter().for_each(|fault| faults.add(fault));
        fits
    }

    /// Two ways to keep a client at an endpoint are one too many.
    fn hash_and_sticky(&self, owner: &str, defaults: &Self) -> Option<Fault> {
        let balance = self.balance.or(&defaults.balance);
        let cookie = self.sticky.cookie.or(&defaults.sticky.cookie);
        if !matches!(balance.value(), Some(Balance::Hash(_))) || !matches!(cookie.value(), Some(Some(_))) {
            return None;
        }
        let (hash_at, cookie_at) = (balance.at()?, cookie.at()?);
        if !self.balance.is_said() && !self.sticky.cookie.is_said() {
            return None;
        }
        let own_cookie = self.sticky.cookie.is_said();
        let (at, also, what) = match own_cookie {
            true => (cookie_at, hash_at, "the hash"),
            false => (hash_at, cookie_at, "the cookie"),
        };
        let message = format!("{owner} keeps a client at its endpoint both by a hash and by a cookie");
        let help = "choose one: another `balance`, or `sticky = \"off\"`";
        Some(Fault::wrong(at, message).also(also, what).help(help))
    }
}

/// The lines of an upstream after its endpoints.
pub(super) fn lines(upstream: &Upstream, lines: &mut Lines) {
    lines.add(&keys::BALANCE, &upstream.balance);
    let mut sticky = Lines::default();
    if let Some(it) = &upstream.sticky {
        sticky.add(&keys::STICKY_COOKIE, &Some(Cow::Owned(it.cookie.clone())));
        sticky.add(&keys::STICKY_LIFETIME, &it.lifetime);
        sticky.add_some(&keys::STICKY_SECRET, it.secret.as_ref());
    }
    lines.group(keys::STICKY.0.name, &sticky);
    lines.add(&keys::FEEDBACK, &upstream.feedback);
    lines.add(&keys::SLOW_START, &upstream.slow_start);
    lines.add(&keys::PANIC, &upstream.panic_percent);
    let mut timeout = Lines::default();
    timeout.add(&keys::CONNECT_TIMEOUT, &upstream.timeout.connect);
    timeout.add(&keys::RESPONSE_TIMEOUT, &upstream.timeout.response);
    timeout.add(&keys::RESPONSE_BODY_TIMEOUT, &upstream.timeout.body);
    timeout.add(&keys::TOTAL_TIMEOUT, &upstream.timeout.total);
    lines.group(keys::UPSTREAM_TIMEOUT.name, &timeout);
    lines.add(&keys::UPSTREAM_MIN_RATE, &upstream.min_rate);
    lines.group(keys::RETRY.name, &retry_lines(&upstream.retry));
    let mut keep = Lines::default();
    keep.add(&keys::KEEP_ALIVE_IDLE, &upstream.keep.idle);
    keep.add(&keys::KEEP_ALIVE_CONNECTIONS, &upstream.keep.connections);
    keep.add(&keys::KEEP_ALIVE_WARM, &upstream.keep.warm);
    keep.add(&keys::KEEP_ALIVE_REQUESTS, &upstream.keep.requests);
    keep.add(&keys::KEEP_ALIVE_AGE, &upstream.keep.age);
    lines.group(keys::KEEP_ALIVE.name, &keep);
    lines.add(&keys::UPSTREAM_CONNECTIONS, &upstream.connections_max);
    let mut limit = Lines::default();
    limit.add(&keys::LIMIT_REQUESTS, &upstream.limits.requests);
    limit.add(&keys::LIMIT_ENDPOINT_REQUESTS, &upstream.limits.endpoint_requests);
    limit.add(&keys::LIMIT_CONNECTIONS, &upstream.limits.connections);
    limit.add(&keys::LIMIT_QUEUE, &upstream.limits.queue);
    limit.add(&keys::LIMIT_QUEUE_TIME, &upstream.limits.queue_time);
    limit.add(&keys::LIMIT_ADAPTIVE, &upstream.limits.adaptive);
    lines.group(keys::LIMIT.name, &limit);
    watch::lines(upstream, lines);
    lines.add(&keys::DEADLINE, &upstream.deadline);
    lines.add(&keys::UPSTREAM_PROXY_PROTOCOL, &upstream.proxy_protocol);
    lines.add(&super::keys::tls::UPSTREAM_TLS, &upstream.tls);
    let mut response = Lines::default();
    response.add(&keys::RESPONSE_HEAD, &upstream.response.head_bytes);
    response.add(&keys::RESPONSE_FIELDS, &upstream.response.fields);
    response.add(&keys::RESPONSE_INTERIM, &upstream.response.interim);
    response.add(&keys::RESPONSE_CHUNK_LINE, &upstream.response.chunks.line_bytes);
    response.add(&keys::RESPONSE_CHUNK_EXTENSIONS, &upstream.response.chunks.extension_bytes);
    lines.group(keys::RESPONSE.name, &response);
}

fn retry_lines(retry: &Retry) -> Lines {
    let mut lines = Lines::default();
    lines.add(&keys::ATTEMPTS, &retry.attempts);
    lines.add(&keys::RETRY_ON, &retry.on);
    lines.add(&keys::BACKOFF, &retry.backoff);
    lines.add(&keys::BACKOFF_MAX, &retry.backoff_max);
    lines.add(&keys::RETRY_BODY, &retry.body);
    let mut budget = Lines::default();
    budget.add(&keys::BUDGET_PERCENT, &retry.budget_percent);
    budget.add(&keys::BUDGET_PER_SECOND, &retry.budget_per_second);
    lines.group(keys::BUDGET.name, &budget);
    lines
}

// === what belongs together ===

/// Two values of which the first may not be more than the second, and is.
struct Out {
    /// Name, value, and place where it is said.
    low: (&'static str, String, Option<Span>),
    high: (&'static str, String, Option<Span>),
    at: Span,
}

fn both<'a, T>(own: &'a T, defaults: &'a T) -> Both<'a, T> {
    Both { own, defaults }
}

impl<T> Clone for Both<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Both<'_, T> {}

impl<'a, T> Both<'a, T> {
    /// Whether a value that is said is over its bound. Nothing where neither is the upstream's own: then the defaults are
    /// judged by themselves.
    fn order<K>(
        self,
        (low_name, low_key): (&'static str, &Key<K>),
        (high_name, high_key): (&'static str, &Key<K>),
        fields: impl Fn(&'a T) -> (&'a Field<K::Value>, &'a Field<K::Value>),
    ) -> Option<Out>
    where
        K: Kind,
        K::Value: PartialOrd,
    {
        let ((own_low, own_high), (default_low, default_high)) = (fields(self.own), fields(self.defaults));
        let (low, high) = (own_low.or(default_low), own_high.or(default_high));
        // What is not said gives way: see `within`.
        let (value, bound) = (low.value()?, high.resolve(high_key)?);
        if *value <= bound {
            return None;
        }
        let at = own_high.at().or(own_low.at())?;
        let low = (low_name, low_key.kind.show(value), low.at());
        Some(Out { low, high: (high_name, high_key.kind.show(&bound), high.at()), at })
    }
}

impl Out {
    fn fault(self, owner: &str) -> Fault {
        let (low, high) = (self.low, self.high);
        let unsaid = if high.2.is_none() { ", which is its default" } else { "" };
        let message =
            format!("{} of {owner} ({}) is more than {} ({}{unsaid})", tick(low.0), low.1, tick(high.0), high.1);
        let fault = Fault::wrong(self.at, message).help(format!("raise {} or lower {}", tick(high.0), tick(low.0)));
        let other = if low.2 == Some(self.at) { high.2.map(|at| (at, high.0)) } else { low.2.map(|at| (at, low.0)) };
        match other {
            Some((at, name)) => fault.also(at, name),
            None => fault,
        }
    }
}

/// The value of a key that may not be more than `bound`: where it is not said, its default gives way.
fn within<K: Kind>(
    own: &Field<K::Value>,
    defaults: &Field<K::Value>,
    key: &Key<K>,
    bound: &K::Value,
) -> Option<K::Value>
where
    K::Value: PartialOrd,
{
    let field = own.or(defaults);
    let value = field.resolve(key)?;
    Some(if !field.is_said() && value > *bound { bound.clone() } else { value })
}

/// Of a key that may be absent; nothing where it is faulty.
fn maybe<T: Clone>(own: &Field<T>, defaults: &Field<T>) -> Option<Option<T>> {
    match own.or(defaults) {
        Field::Faulty => None,
        field => Some(field.value().cloned()),
    }
}

// === sticky ===

#[derive(Default)]
struct StickyForm {
    cookie: Field<Option<Cow<'static, str>>>,
    lifetime: Field<Duration>,
    secret: Field<String>,
}

impl StickyForm {
    fn read(reader: Option<&Reader<'_>>, faults: &mut Faults) -> Self {
        let (table, off) = reader.map_or((None, None), |reader| reader.switched(&keys::STICKY, faults));
        let table = table.as_ref();
        Self {
            cookie: match off {
                Some(at) => Field::Set(None, at),
                None => get(table, &keys::STICKY_COOKIE, faults),
            },
            lifetime: get(table, &keys::STICKY_LIFETIME, faults),
            secret: get(table, &keys::STICKY_SECRET, faults),
        }
    }
}

impl Both<'_, StickyForm> {
    fn model(self) -> Option<Option<Sticky>> {
        let Self { own, defaults } = self;
        let cookie = resolve(&own.cookie, &defaults.cookie, &keys::STICKY_COOKIE)?;
        let lifetime = resolve(&own.lifetime, &defaults.lifetime, &keys::STICKY_LIFETIME)?;
        let secret = maybe(&own.secret, &defaults.secret)?;
        Some(cookie.map(|cookie| Sticky { cookie: cookie.into_owned(), lifetime, secret }))
    }
}

// === timeout ===

#[derive(Default)]
struct TimeoutForm {
    connect: Field<Duration>,
    response: Field<Duration>,
    body: Field<Duration>,
    total: Field<Option<Duration>>,
}

impl TimeoutForm {
    fn read(reader: Option<&Reader<'_>>, faults: &mut Faults) -> Self {
        let table = reader.and_then(|reader| reader.group(&keys::UPSTREAM_TIMEOUT, faults));
        let table = table.as_ref();
        Self {
            connect: get(table, &keys::CONNECT_TIMEOUT, faults),
            response: get(table, &keys::RESPONSE_TIMEOUT, faults),
            body: get(table, &keys::RESPONSE_BODY_TIMEOUT, faults),
            total: get(table, &keys::TOTAL_TIMEOUT, faults),
        }
    }
}

impl Both<'_, TimeoutForm> {
    fn model(self) -> Option<Timeouts> {
        let Self { own, defaults } = self;
        Some(Timeouts {
            connect: resolve(&own.connect, &defaults.connect, &keys::CONNECT_TIMEOUT)?,
            response: resolve(&own.response, &defaults.response, &keys::RESPONSE_TIMEOUT)?,
            body: resolve(&own.body, &defaults.body, &keys::RESPONSE_BODY_TIMEOUT)?,
            total: resolve(&own.total, &defaults.total, &keys::TOTAL_TIMEOUT)?,
        })
    }
}

// === retry ===

#[derive(Default)]
struct RetryForm {
    attempts: Field<u32>,
    on: Field<RetryOn>,
    backoff: Field<Duration>,
    backoff_max: Field<Duration>,
    body: Field<usize>,
    percent: Field<u32>,
    per_second: Field<u32>,
}

impl RetryForm {
    fn read(reader: Option<&Reader<'_>>, faults: &mut Faults) -> Self {
        let table = reader.and_then(|reader| reader.group(&keys::RETRY, faults));
        let table = table.as_ref();
        let budget = table.and_then(|table| table.group(&keys::BUDGET, faults));
        Self {
            attempts: get(table, &keys::ATTEMPTS, faults),
            on: get(table, &keys::RETRY_ON, faults),
            backoff: get(table, &keys::BACKOFF, faults),
            backoff_max: get(table, &keys::BACKOFF_MAX, faults),
            body: get(table, &keys::RETRY_BODY, faults),
            percent: get(budget.as_ref(), &keys::BUDGET_PERCENT, faults),
            per_second: get(budget.as_ref(), &keys::BUDGET_PER_SECOND, faults),
        }
    }
}

impl Both<'_, RetryForm> {
    fn model(self) -> Option<Retry> {
        let Self { own, defaults } = self;
        let backoff_max = resolve(&own.backoff_max, &defaults.backoff_max, &keys::BACKOFF_MAX)?;
        Some(Retry {
            attempts: resolve(&own.attempts, &defaults.attempts, &keys::ATTEMPTS)?,
            on: resolve(&own.on, &defaults.on, &keys::RETRY_ON)?,
            backoff: within(&own.backoff, &defaults.backoff, &keys::BACKOFF, &backoff_max)?,
            backoff_max,
            body: resolve(&own.body, &defaults.body, &keys::RETRY_BODY)?,
            budget_percent: resolve(&own.percent, &defaults.percent, &keys::BUDGET_PERCENT)?,
            budget_per_second: resolve(&own.per_second, &defaults.per_second, &keys::BUDGET_PER_SECOND)?,
        })
    }
}

// === keep_alive ===

#[derive(Default)]
struct KeepForm {
    idle: Field<Duration>,
    connections: Field<usize>,
    warm: Field<usize>,
    requests: Field<u32>,
    age: Field<Duration>,
}

impl KeepForm {
    fn read(reader: Option<&Reader<'_>>, faults: &mut Faults) -> Self {
        let table = reader.and_then(|reader| reader.group(&keys::KEEP_ALIVE, faults));
        let table = table.as_ref();
        Self {
            idle: get(table, &keys::KEEP_ALIVE_IDLE, faults),
            connections: get(table, &keys::KEEP_ALIVE_CONNECTIONS, faults),
            warm: get(table, &keys::KEEP_ALIVE_WARM, faults),
            requests: get(table, &keys::KEEP_ALIVE_REQUESTS, faults),
            age: get(table, &keys::KEEP_ALIVE_AGE, faults),
        }
    }
}

impl Both<'_, KeepForm> {
    fn model(self) -> Option<Keep> {
        let Self { own, defaults } = self;
        Some(Keep {
            connections: resolve(&own.connections, &defaults.connections, &keys::KEEP_ALIVE_CONNECTIONS)?,
            warm: resolve(&own.warm, &defaults.warm, &keys::KEEP_ALIVE_WARM)?,
            idle: resolve(&own.idle, &defaults.idle, &keys::KEEP_ALIVE_IDLE)?,
            requests: resolve(&own.requests, &defaults.requests, &keys::KEEP_ALIVE_REQUESTS)?,
            age: resolve(&own.age, &defaults.age, &keys::KEEP_ALIVE_AGE)?,
        })
    }
}

// === limit ===

#[derive(Default)]
struct LimitForm {
    requests: Field<Option<u32>>,
    endpoint_requests: Field<Option<u32>>,
    connections: Field<Option<u32>>,
    queue: Field<u32>,
    queue_time: Field<Duration>,
    adaptive: Field<bool>,
}

impl LimitForm {
    fn read(reader: Option<&Reader<'_>>, faults: &mut Faults) -> Self {
        let table = reader.and_then(|reader| reader.group(&keys::LIMIT, faults));
        let table = table.as_ref();
        Self {
            requests: get(table, &keys::LIMIT_REQUESTS, faults),
            endpoint_requests: get(table, &keys::LIMIT_ENDPOINT_REQUESTS, faults),
            connections: get(table, &keys::LIMIT_CONNECTIONS, faults),
            queue: get(table, &keys::LIMIT_QUEUE, faults),
            queue_time: get(table, &keys::LIMIT_QUEUE_TIME, faults),
            adaptive: get(table, &keys::LIMIT_ADAPTIVE, faults),
        }
    }
}

impl Both<'_, LimitForm> {
    fn model(self) -> Option<Limits> {
        let Self { own, defaults } = self;
        let endpoint_requests = &defaults.endpoint_requests;
        Some(Limits {
            requests: resolve(&own.requests, &defaults.requests, &keys::LIMIT_REQUESTS)?,
            endpoint_requests: resolve(&own.endpoint_requests, endpoint_requests, &keys::LIMIT_ENDPOINT_REQUESTS)?,
            connections: resolve(&own.connections, &defaults.connections, &keys::LIMIT_CONNECTIONS)?,
            queue: resolve(&own.queue, &defaults.queue, &keys::LIMIT_QUEUE)?,
            queue_time: resolve(&own.queue_time, &defaults.queue_time, &keys::LIMIT_QUEUE_TIME)?,
            adaptive: resolve(&own.adaptive, &defaults.adaptive, &keys::LIMIT_ADAPTIVE)?,
        })
    }
}

// === response ===

#[derive(Default)]
struct ResponseForm {
    head: Field<usize>,
    fields: Field<usize>,
    interim: Field<u32>,
    chunk_line: Field<usize>,
    chunk_extensions: Field<usize>,
}

impl ResponseForm {
    fn read(reader: Option<&Reader<'_>>, faults: &mut Faults) -> Self {
        let table = reader.and_then(|reader| reader.group(&keys::RESPONSE, faults));
        let table = table.as_ref();
        Self {
            head: get(table, &keys::RESPONSE_HEAD, faults),
            fields: get(table, &keys::RESPONSE_FIELDS, faults),
            interim: get(table, &keys::RESPONSE_INTERIM, faults),
            chunk_line: get(table, &keys::RESPONSE_CHUNK_LINE, faults),
            chunk_extensions: get(table, &keys::RESPONSE_CHUNK_EXTENSIONS, faults),
        }
    }
}

impl Both<'_, ResponseForm> {
    fn model(self) -> Option<ResponseLimits> {
        let Self { own, defaults } = self;
        Some(ResponseLimits {
            head_bytes: resolve(&own.head, &defaults.head, &keys::RESPONSE_HEAD)?,
            fields: resolve(&own.fields, &defaults.fields, &keys::RESPONSE_FIELDS)?,
            interim: resolve(&own.interim, &defaults.interim, &keys::RESPONSE_INTERIM)?,
            chunks: Chunks {
                line_bytes: resolve(&own.chunk_line, &defaults.chunk_line, &keys::RESPONSE_CHUNK_LINE)?,
                extension_bytes: resolve(
                    &own.chunk_extensions,
                    &defaults.chunk_extensions,
                    &keys::RESPONSE_CHUNK_EXTENSIONS,
                )?,
            },
        })
    }
}
