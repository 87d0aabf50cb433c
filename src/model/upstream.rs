//! `[upstream.NAME]`: one service, and everything said of how its endpoints are chosen, watched, kept and spared. Plain
//! data; it refuses to know how any of it is done.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::address::Address;
use crate::http::h1::chunked::ChunkLimits;
use crate::model::Chunks;
use crate::model::UpstreamTls;

/// `[upstream.NAME]`, with `[defaults.upstream]` filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// The key of its table.
    pub name: String,
    /// At least one, in the order of the file; no address twice.
    pub endpoints: Vec<Endpoint>,
    /// How an endpoint is chosen.
    pub balance: Balance,
    /// A cookie that keeps a client at its endpoint, if any.
    pub sticky: Option<Sticky>,
    /// What endpoints report of themselves in their responses, if it is listened to.
    pub feedback: Option<Feedback>,
    /// How long an endpoint that is new, or back, takes to its full share; zero: it has it at once.
    pub slow_start: Duration,
    /// Percent of the endpoints that must be eligible; with fewer, all are taken.
    pub panic_percent: u32,
    /// Waiting bounds.
    pub timeout: Timeouts,
    /// Tries at one request.
    pub retry: Retry,
    /// Connections kept between requests.
    pub keep: Keep,
    /// Open connections of the whole process to one endpoint before an attempt is refused.
    pub connections_max: u32,
    /// How many requests may be in flight, and how many may wait.
    pub limits: Limits,
    /// The active health check, if there is one.
    pub health: Option<Health>,
    /// When an endpoint that fails is left out.
    pub ejection: Ejection,
    /// The request field, beside `grpc-timeout`, that says how long its client waits: honoured, and told on less what has
    /// passed. In lower case.
    pub deadline: Option<String>,
    /// Bounds of a response.
    pub response: ResponseLimits,
    /// Bytes a second that an endpoint must send of a response, in the mean over the time that it was waited for; 0: no
    /// bound.
    pub min_rate: u64,
    /// The PROXY protocol header that each connection begins with, if any; such a connection serves one client's request.
    pub proxy_protocol: Option<ProxyVersion>,
    /// TLS, if it is spoken.
    pub tls: Option<UpstreamTls>,
}

/// One address of an upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Where it listens; its port is not 0.
    pub address: Address,
    /// Its share, 1 to 1000.
    pub weight: u32,
    /// The zone it stands in.
    pub zone: Option<String>,
    /// 0 to 9: endpoints of a higher number are backups, taken when too few of the lower ones are eligible.
    pub priority: u8,
}

/// `balance`.
#[derive(Clone, Debug, PartialEq)]
pub enum Balance {
    /// The one that will answer soonest.
    Latency,
    /// Fewest requests in flight for its weight.
    LeastRequest,
    /// Smooth weighted round robin.
    RoundRobin,
    /// By chance, by weight.
    Random,
    /// By a key of the request: the same key goes to the same endpoint.
    Hash(Hashing),
}

/// `balance = { hash = … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Hashing {
    /// What is hashed: the first of these that a request has. At least one; a request with none of them goes where
    /// `least_request` sends it.
    pub keys: Vec<HashKey>,
    /// How a hash finds an endpoint.
    pub table: HashTable,
    /// Requests in flight that an endpoint may have, in hundredths of its fair share, before its keys overflow to the next;
    /// 0: no bound.
    pub bound_percent: u32,
}

/// A part of a request that may be hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// The value of a field; its name in lower case.
    Header(String),
    /// The value of a cookie.
    Cookie(String),
    /// The value of a parameter of the query.
    Query(String),
    /// The whole path.
    Path,
    /// The client's address.
    Client,
    /// Who the client is by the certificate it has shown: its subject and names.
    Certificate,
    /// The nth segment, from 1, of what the route's `/*` stood for.
    Capture(u32),
}

/// `table`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashTable {
    /// A Maglev table of 65,537 places.
    Maglev,
    /// A ring with 160 points for each unit of weight.
    Ring,
}

/// `sticky`.
#[derive(Clone, PartialEq, Eq)]
pub struct Sticky {
    /// The name of the cookie.
    pub cookie: String,
    /// How long a client stays, from its last request without the cookie.
    pub lifetime: Duration,
    /// What the cookie is signed with; several gateways share it. Absent: a secret of the process's own.
    pub secret: Option<String>,
}

/// `feedback`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feedback {
    /// The `endpoint-load-metrics` response field (ORCA).
    Orca,
}

/// `timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To an open connection.
    pub connect: Duration,
    /// From the request sent to a whole response head, each attempt: then 504.
    pub response: Duration,
    /// Longest pause between bytes of a response body.
    pub body: Duration,
    /// From the request's head to the response's, all attempts and waits together: then 504. Absent: no bound of its own.
    pub total: Option<Duration>,
}

/// `retry`.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Tries at one request, the first included; 1 is no retry. At most 10.
    pub attempts: u32,
    /// After what another try is made.
    pub on: RetryOn,
    /// The longest first pause before a retry; doubled from one to the next, and each pause a random part of it.
    pub backoff: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// Bytes of a request body that are kept so that it can be sent again.
    pub body: usize,
    /// Retries in a hundred requests that the budget earns.
    pub budget_percent: u32,
    /// Retries a second that it earns besides.
    pub budget_per_second: u32,
}

/// `retry.on`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a set of conditions, each on or off")]
pub struct RetryOn {
    /// No connection could be had.
    pub connect: bool,
    /// The connection was closed or reset before a response.
    pub reset: bool,
    /// No response head came in time.
    pub timeout: bool,
    /// The response has one of these statuses.
    pub statuses: Vec<RangeInclusive<u16>>,
}

/// `keep_alive`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Idle connections that one core keeps to one endpoint; 0 keeps none.
    pub connections: usize,
    /// Idle connections that one core opens to one endpoint before they are asked for, and keeps however long they idle.
    pub warm: usize,
    /// An idle connection is closed after this.
    pub idle: Duration,
    /// Requests on one connection, less a share by chance.
    pub requests: u32,
    /// From its opening to the last request, less a share by chance.
    pub age: Duration,
}

/// `limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Requests in flight at the upstream, the whole process together; absent: no bound.
    pub requests: Option<u32>,
    /// Requests in flight at one endpoint, the whole process together; absent: no bound.
    pub endpoint_requests: Option<u32>,
    /// Open connections to all its endpoints, the whole process together; absent: no bound but that of each endpoint.
    pub connections: Option<u32>,
    /// Requests that may wait for a place, on each core; 0: none waits.
    pub queue: u32,
    /// How long one may wait.
    pub queue_time: Duration,
    /// Whether the bound of the upstream follows what its latency says it can take, between 1 and `requests`.
    pub adaptive: bool,
}

/// `health`.
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// What is asked.
    pub probe: Probe,
    /// Between two checks of an endpoint, give or take a tenth by chance.
    pub interval: Duration,
    /// Between two checks of an endpoint whose last results differ from its state.
    pub doubt: Duration,
    /// How long a check may take.
    pub timeout: Duration,
    /// Good checks in a row that bring an endpoint up.
    pub rise: u32,
    /// Bad checks in a row that take it down.
    pub fall: u32,
    /// The port that is asked, instead of the endpoint's own.
    pub port: Option<u16>,
    /// Whether an endpoint takes requests before its first check.
    pub initially_up: bool,
}

/// What a health check asks, and what it wants to hear.
#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// A request of HTTP/1.1.
    Http {
        /// Its method.
        method: String,
        /// Its target.
        path: String,
        /// Its `Host`; absent: the endpoint's address.
        host: Option<String>,
        /// The statuses that are good.
        statuses: Vec<RangeInclusive<u16>>,
        /// What the first 64 KiB of the body must contain.
        body: Option<String>,
    },
    /// A connection is enough.
    Tcp,
    /// `grpc.health.v1.Health/Check` over HTTP/2.
    Grpc {
        /// The service that is asked for; empty: the server as a whole.
        service: String,
    },
}

/// `ejection`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// Failures in a row; 0: their number is no reason.
    pub failures: u32,
    /// Percent of good answers below which an endpoint is left out; 0: their share is no reason.
    pub success_percent: u32,
    /// Requests within ten seconds from which on the share counts.
    pub requests: u32,
    /// The first time out; doubled from one to the next, give or take a fifth by chance.
    pub time: Duration,
    /// The longest time out.
    pub time_max: Duration,
    /// Percent of the endpoints that may be out at once.
    pub share_percent: u32,
}

/// `upstream.response`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseLimits {
    /// Bytes of a response head before 502.
    pub head_bytes: usize,
    /// Fields of a response head before 502.
    pub fields: usize,
    /// Interim (1xx) responses to one request before 502.
    pub interim: u32,
    /// Bounds of chunked responses: 502, or an end that its client sees to be none.
    pub chunks: Chunks,
}

impl ResponseLimits {
    /// Bounds of a response's chunks; its trailers are bounded as its head is.
    #[must_use]
    pub fn chunk_limits(&self) -> ChunkLimits {
        let Chunks { line_bytes, extension_bytes } = self.chunks;
        ChunkLimits { line_bytes, extension_bytes, trailer_bytes: self.head_bytes, trailer_fields: self.fields }
    }
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    /// The line of text.
    V1,
    /// The binary header.
    V2,
}

impl fmt::Debug for Sticky {
    /// Without the secret: a model is shown where no secret belongs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sticky").field("cookie", &self.cookie).field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}

impl Balance {
    /// The word of the configuration.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::LeastRequest => "least_request",
            Self::RoundRobin => "round_robin",
            Self::Random => "random",
            Self::Hash(_) => "hash",
        }
    }
}

impl ProxyVersion {
    /// The word of the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V2 => "v2",
        }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 2,
            on: RetryOn::default(),
            backoff: Duration::from_millis(25),
            backoff_max: Duration::from_millis(250),
            body: 64 * 1024,
            budget_percent: 20,
            budget_per_second: 10,
        }
    }
}

impl Default for RetryOn {
    fn default() -> Self {
        Self { connect: true, reset: true, timeout: false, statuses: Vec::new() }
    }
}

impl Default for Keep {
    fn default() -> Self {
        Self {
            connections: 64,
            warm: 0,
            idle: Duration::from_secs(30),
            requests: 100_000,
            age: Duration::from_hours(1),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: None,
            endpoint_requests: None,
            connections: None,
            queue: 1000,
            queue_time: Duration::from_secs(1),
            adaptive: false,
        }
    }
}

impl Default for Ejection {
    fn default() -> Self {
        Self {
            failures: 5,
            success_percent: 50,
            requests: 20,
            time: Duration::from_secs(1),
            time_max: Duration::from_mins(1),
            share_percent: 50,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_shown_shows_no_secret() {
        let secret = Some("sixteen bytes and more".to_owned());
        let sticky = Sticky { cookie: "seat".into(), lifetime: Duration::from_secs(1), secret };
        let shown = format!("{sticky:?}");
        assert!(shown.contains("seat") && !shown.contains("sixteen"), "{shown}");
    }
}
