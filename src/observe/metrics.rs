//! Counters and histograms of one core: plain arrays that the core alone writes and the control thread reads.
//!
//! Invariant: one [`Slab`] has one writing thread. That is why an increment is a relaxed load and a relaxed store and
//! never a locked instruction; a reader may see a sum a moment old, never a torn one. The module refuses to know names:
//! series are found by slot, labels are put to them when they are read.

use std::sync::OnceLock;

pub use crate::count::Count;
pub use crate::count::Table;
use crate::id::EndpointSlot;
use crate::id::ListenerSlot;
use crate::id::RouteSlot;
use crate::id::UpstreamSlot;
use crate::observe::ended::Cause;

/// Upper bounds of the duration buckets, in microseconds: those that OpenTelemetry advises for HTTP.
pub const DURATION_BOUNDS_US: [u64; 14] = [
    5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000, 1_000_000, 2_500_000, 5_000_000,
    7_500_000, 10_000_000,
];

/// Durations, counted by bucket.
#[derive(Debug, Default)]
pub struct Histogram {
    /// How many fell into each bucket alone (not cumulative); the last is above all bounds.
    pub buckets: [Count; DURATION_BOUNDS_US.len() + 1],
    /// Sum of all, in microseconds.
    pub sum_us: Count,
}

impl Histogram {
    /// Counts one duration.
    #[inline]
    pub fn observe(&self, us: u64) {
        let bucket = DURATION_BOUNDS_US.iter().position(|bound| us <= *bound).unwrap_or(DURATION_BOUNDS_US.len());
        self.buckets[bucket].add(1);
        self.sum_us.add(us);
    }
}

/// Request methods that metrics keep apart; the rest is `_OTHER`.
pub const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PATCH", "_OTHER"];
/// Status classes that metrics keep apart.
pub const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"];
/// Protocol versions that metrics keep apart.
pub const PROTOCOLS: [&str; 2] = ["1.0", "1.1"];

/// What made a tunnel of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tunnel {
    /// An upgrade.
    Upgrade,
    /// CONNECT.
    Connect,
    /// Its listener: all that comes by it is carried.
    Tcp,
    /// Its listener, by the name that the client's hello asks for.
    Passthrough,
}

/// The words for each [`Tunnel`].
pub const TUNNELS: [&str; 4] = ["upgrade", "connect", "tcp", "passthrough"];

/// What became of a hedge: it was made; it won; the one that had lost, either of the two, was cancelled; or it was wanted and
/// not made, since the budget was spent.
pub const HEDGES: [&str; 4] = ["made", "won", "cancelled", "unpaid"];

/// The index into [`CLASSES`] of a status; 0 (no answer was given) counts as `none`.
#[inline]
#[must_use]
pub fn class(status: u16) -> usize {
    match status {
        100..=199 => 0,
        200..=299 => 1,
        300..=399 => 2,
        400..=499 => 3,
        500..=599 => 4,
        _ => 5,
    }
}

/// Whose bound it was that a connection was refused for; or that it came from the wrong place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The listener's.
    Listener,
    /// The process's.
    Process,
    /// That of one client at the listener.
    Client,
    /// None: it may not send the PROXY protocol header that it must begin with.
    Untrusted,
    /// None: the gateway is short of something itself.
    Overload,
}

/// The words for each [`Refusal`].
pub const REFUSALS: [&str; 5] = ["listener", "process", "client", "untrusted", "overload"];

/// Why a good connection to an endpoint is not kept, or not any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// It has idled for long enough.
    Idle,
    /// It is old enough.
    Age,
    /// It has carried enough.
    Requests,
    /// There are enough.
    Surplus,
    /// Its endpoint has left the configuration, or takes no requests by an operator's order.
    Removed,
    /// Its endpoint has closed it, or has said what nobody asked for.
    Endpoint,
}

/// The words for each [`Parting`].
pub const PARTINGS: [&str; 6] = ["idle", "age", "requests", "surplus", "removed", "endpoint"];

/// Why a good connection of a client is not kept, or not any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// It has idled for as long as it may.
    Idle,
    /// It has carried as many requests as it may.
    Requests,
    /// It is as old as it may be.
    Age,
    /// The core drains.
    Drain,
    /// Its listener has left the configuration.
    Removed,
}

/// The words for each [`Closing`].
pub const CLOSINGS: [&str; 5] = ["idle", "requests", "age", "drain", "removed"];

/// What is closed because the gateway is short of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thrift {
    /// A client's connection, with a response.
    Kept,
    /// A client's connection that idles.
    Parked,
}

/// The words for each [`Thrift`].
pub const THRIFTS: [&str; 2] = ["kept", "parked"];

/// How a client's TLS handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// Well, and everything was settled.
    Full,
    /// Well: what had been settled before was taken up again.
    Resumed,
    /// Not at all: the client said what it must not, or could not agree, or went.
    Failed,
    /// Not within its time.
    TimedOut,
    /// It was not begun: as many are under way as may be.
    Refused,
    /// It was not begun: the client speaks no TLS.
    Plain,
}

/// The words for each [`Handshake`].
pub const HANDSHAKES: [&str; 6] = ["full", "resumed", "failed", "timed_out", "refused", "plain"];

/// What came of the wait for a client's hello, where connections are carried by the names that these ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A name, or none, that is carried somewhere.
    Routed,
    /// A name that is carried nowhere.
    UnknownName,
    /// No name, and what asks for none is carried nowhere.
    NoName,
    /// Something that breaks the rules of TLS.
    Malformed,
    /// More than it may be.
    TooLong,
    /// Not a whole one in time, or before the end of the connection.
    Unfinished,
    /// Something that is no TLS.
    Plain,
}

/// The words for each [`Heard`].
pub const HEARD: [&str; 7] = ["routed", "unknown_name", "no_name", "malformed", "too_long", "unfinished", "plain"];

/// Series of one listener.
#[derive(Debug, Default)]
pub struct ListenerCounts {
    /// Connections accepted.
    pub accepted: Count,
    /// Connections open now.
    pub open: Count,
    /// Connections closed at once, by [`Refusal`].
    pub refused: [Count; REFUSALS.len()],
    /// Connections that were good and are closed, by [`Closing`].
    pub closed: [Count; CLOSINGS.len()],
    /// Connections closed because they did not begin with a PROXY protocol header as they should.
    pub proxy_faults: Count,
    /// TLS handshakes ended, by [`Handshake`].
    pub handshakes: [Count; HANDSHAKES.len()],
    /// Hellos waited for, by [`Heard`].
    pub hellos: [Count; HEARD.len()],
    /// What was carried, if anything is.
    pub carried: OnceLock<Box<CarriedCounts>>,
}

/// Series of a listener that carries bytes.
#[derive(Debug, Default)]
pub struct CarriedCounts {
    /// Bytes carried to endpoints, as they go.
    pub bytes_in: Count,
    /// Bytes carried to clients, as they go.
    pub bytes_out: Count,
    /// How long the connections lasted that have ended.
    pub durations: Histogram,
}

/// Series of one route: a histogram for each method, status class and protocol that occurred.
#[derive(Debug, Default)]
pub struct RouteCounts {
    methods: [OnceLock<Box<MethodCounts>>; METHODS.len()],
}

/// Series of one route and method.
#[derive(Debug, Default)]
pub struct MethodCounts {
    durations: [[OnceLock<Box<Histogram>>; PROTOCOLS.len()]; CLASSES.len()],
}

/// Series of one upstream.
#[derive(Debug, Default)]
pub struct UpstreamCounts {
    durations: [OnceLock<Box<Histogram>>; CLASSES.len()],
    /// Attempts after the first.
    pub retries: Count,
    /// Retries that were wanted and not made, since the budget was spent.
    pub unpaid: Count,
    /// Retries that were wanted and not made, since the request's body was not kept.
    pub unkept: Count,
    /// Second attempts beside one that took long, by [`HEDGES`].
    pub hedges: [Count; HEDGES.len()],
    /// Requests that hold a place of a bounded upstream now.
    pub places: Count,
    /// Requests that wait for a place or a connection now.
    pub waiting: Count,
    /// How many requests a bound that follows the latency lets in, as of the last one.
    pub adaptive: Count,
    /// How long those waited that do no longer, whether they got one or not.
    pub queue: OnceLock<Box<Histogram>>,
}

/// Series of one endpoint.
#[derive(Debug, Default)]
pub struct EndpointCounts {
    /// Connections open now, lent and idle.
    pub connections: Count,
    /// Connections opened.
    pub opened: Count,
    /// Attempts in flight now.
    pub in_flight: Count,
    /// Attempts made.
    pub attempts: Count,
    /// Attempts that failed.
    pub failures: Count,
    /// Connections idle, as of the last look at them, which comes about every second.
    pub idle: Count,
    /// Attempts that hold a place of a bounded endpoint now.
    pub places: Count,
}

impl ListenerCounts {
    /// Counts a connection that was refused.
    pub fn refuse(&self, reason: Refusal) {
        self.refused[reason as usize].add(1);
    }

    /// Counts a good connection that is closed.
    pub fn close(&self, closing: Closing) {
        self.closed[closing as usize].add(1);
    }
}

impl RouteCounts {
    /// Counts one exchange; `method`, `class` and `protocol` index [`METHODS`], [`CLASSES`] and [`PROTOCOLS`].
    #[inline]
    pub fn observe(&self, method: usize, class: usize, protocol: usize, us: u64) {
        let method = self.methods[method].get_or_init(Box::default);
        method.durations[class][protocol].get_or_init(Box::default).observe(us);
    }

    /// Every series that occurred, as (method, class, protocol, histogram).
    pub fn each(&self) -> impl Iterator<Item = (usize, usize, usize, &Histogram)> {
        self.methods.iter().enumerate().filter_map(|(m, cell)| Some((m, cell.get()?))).flat_map(|(m, counts)| {
            counts.durations.iter().enumerate().flat_map(move |(c, by_protocol)| {
                by_protocol.iter().enumerate().filter_map(move |(p, cell)| Some((m, c, p, &**cell.get()?)))
            })
        })
    }
}

impl UpstreamCounts {
    /// Counts one wait for a place.
    pub fn waited(&self, us: u64) {
        self.queue.get_or_init(Box::default).observe(us);
    }

    /// Counts one attempt that ended in a response head or a failure (class `none`).
    #[inline]
    pub fn observe(&self, class: usize, us: u64) {
        self.durations[class].get_or_init(Box::default).observe(us);
    }

    /// Every series that occurred, as (class, histogram).
    pub fn each(&self) -> impl Iterator<Item = (usize, &Histogram)> {
        self.durations.iter().enumerate().filter_map(|(class, cell)| Some((class, &**cell.get()?)))
    }
}

/// What ended, by [`Cause`].
#[derive(Debug)]
pub struct Causes([Count; Cause::COUNT]);

impl Default for Causes {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Count::default()))
    }
}

impl std::ops::Deref for Causes {
    type Target = [Count];

    fn deref(&self) -> &[Count] {
        &self.0
    }
}

/// Everything one core counts.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Slab {
    /// Client connections open now.
    pub connections: Count,
    /// Client connections parked: idle, with their buffers given back.
    pub parked: Count,
    /// Exchanges under way.
    pub in_flight: Count,
    /// Tunnels open now.
    pub tunnels_open: Count,
    /// Tunnels ever opened, by [`TUNNELS`].
    pub tunnels: [Count; TUNNELS.len()],
    /// Exchanges ended.
    pub exchanges: Count,
    /// Exchanges ended, by [`Cause`].
    pub causes: Causes,
    /// Panics caught in tasks.
    pub panics: Count,
    /// Times the core died and was started again.
    pub restarts: Count,
    /// Access log lines dropped because the writer was behind.
    pub log_dropped: Count,
    /// Bytes read from clients.
    pub bytes_in: Count,
    /// Bytes written to clients.
    pub bytes_out: Count,
    /// Accepts that failed (out of descriptors, say).
    pub accept_failures: Count,
    /// Longest time between two turns of the core's clock beyond its tick, in microseconds, since the last look.
    pub loop_lag_us: Count,
    /// The least of the last few such times, in microseconds: by how much the core is late all the time.
    pub standing_lag_us: Count,
    /// Connections to endpoints that were good and are not kept, by [`Parting`].
    pub partings: [Count; PARTINGS.len()],
    /// Connections to endpoints opened before they were asked for.
    pub warmed: Count,
    /// Client connections closed because the gateway is short of something, by [`Thrift`].
    pub thrift: [Count; THRIFTS.len()],
    listeners: Table<ListenerCounts>,
    routes: Table<RouteCounts>,
    upstreams: Table<UpstreamCounts>,
    endpoints: Table<EndpointCounts>,
}

impl Slab {
    /// Counts of a listener, for the core.
    #[inline]
    #[must_use]
    pub fn listener(&self, slot: ListenerSlot) -> &ListenerCounts {
        self.listeners.at(slot.index())
    }

    /// Counts of a route, for the core.
    #[inline]
    #[must_use]
    pub fn route(&self, slot: RouteSlot) -> &RouteCounts {
        self.routes.at(slot.index())
    }

    /// Counts of an upstream, for the core.
    #[inline]
    #[must_use]
    pub fn upstream(&self, slot: UpstreamSlot) -> &UpstreamCounts {
        self.upstreams.at(slot.index())
    }

    /// Counts of an endpoint, for the core.
    #[inline]
    #[must_use]
    pub fn endpoint(&self, slot: EndpointSlot) -> &EndpointCounts {
        self.endpoints.at(slot.index())
    }

    /// Counts of a listener, for a reader.
    #[must_use]
    pub fn peek_listener(&self, slot: ListenerSlot) -> Option<&ListenerCounts> {
        self.listeners.peek(slot.index())
    }

    /// Counts of a route, for a reader.
    #[must_use]
    pub fn peek_route(&self, slot: RouteSlot) -> Option<&RouteCounts> {
        self.routes.peek(slot.index())
    }

    /// Counts of an upstream, for a reader.
    #[must_use]
    pub fn peek_upstream(&self, slot: UpstreamSlot) -> Option<&UpstreamCounts> {
        self.upstreams.peek(slot.index())
    }

    /// Counts of an endpoint, for a reader.
    #[must_use]
    pub fn peek_endpoint(&self, slot: EndpointSlot) -> Option<&EndpointCounts> {
        self.endpoints.peek(slot.index())
    }
}
