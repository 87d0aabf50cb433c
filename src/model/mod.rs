//! The validated configuration: plain data that cannot be wrong any more. It refuses to know the file it came from
//! (that is `config`) and how it is served (that is `snapshot`).
//!
//! Durations are `Duration`s, sizes are bytes, references are indexes into the neighbouring lists.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::address::Address;
use crate::address::Networks;
use crate::http::forward;
use crate::id::UpstreamIndex;

pub use crate::http::path::Rule as PathRule;
pub use crate::http::path::Rules as Paths;

/// One whole configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// What concerns the process as a whole.
    pub process: Process,
    /// At least one, in the order of their names.
    pub listeners: Vec<Listener>,
    /// In the order of their names; [`UpstreamIndex`] counts these.
    pub upstreams: Vec<Upstream>,
    /// In the order of their names; no two with the same pattern.
    pub hosts: Vec<Host>,
}

/// `[process]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// How many event loops, and on which CPUs. Fixed at start.
    pub cores: Cores,
    /// Where the admin interface listens. Fixed at start.
    pub admin: SocketAddr,
    /// Which kind of event loop to build. Fixed at start.
    pub io: Io,
    /// Sizes of each core's ring. Fixed at start.
    pub ring: Ring,
    /// Longest time a drain may take before what still runs is cut.
    pub drain: Duration,
    /// Open client connections, all listeners together, before new ones are refused.
    pub connections_max: u32,
    /// Where the access log goes. Fixed at start.
    pub access_log: AccessLog,
}

/// `process.cores`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cores {
    /// One loop on each CPU that the process may use.
    All,
    /// That many loops, on the first CPUs that the process may use.
    Count(usize),
    /// One loop on each of these CPUs.
    List(Vec<usize>),
}

/// `process.io`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Io {
    /// io_uring where the kernel allows it, else epoll.
    Auto,
    /// io_uring, or the start fails.
    IoUring,
    /// epoll.
    Epoll,
}

/// `process.ring`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Submission queue entries, a power of two.
    pub entries: u32,
    /// Completion queue entries, a power of two, at least `entries`.
    pub completions: u32,
}

/// `process.access_log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLog {
    /// Where the lines go.
    pub to: LogTarget,
    /// How a line looks.
    pub format: LogFormat,
}

/// Where access log lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogTarget {
    /// Nowhere: nothing is recorded.
    Off,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Appended to a file, reopened on USR1.
    File(PathBuf),
}

/// How an access log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// The combined format of Apache httpd and nginx.
    Combined,
}

/// `[listen.NAME]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// The key of its table.
    pub name: String,
    /// The addresses it accepts on, at least one, none twice; port 0 lets the kernel choose.
    pub bind: Vec<Address>,
    /// Who may connect to the Unix sockets among them: the permissions of their files.
    pub socket_mode: u32,
    /// Open connections of this listener, all cores together, before new ones are refused.
    pub connections_max: u32,
    /// Open connections of one client address (IPv6: of one /64), all cores together; absent: no bound.
    pub client_connections_max: Option<u32>,
    /// Whose word on who the client is counts: in forwarding fields, and in a PROXY protocol header.
    pub trusted: Networks,
    /// Whether every connection begins with a PROXY protocol header, version 1 or 2.
    pub proxy_protocol: bool,
    /// `listen.path`: what becomes of a path before it is routed and forwarded.
    pub paths: Paths,
    /// What becomes of the `Server` field of responses.
    pub server: Server,
    /// Bytes of a request head before 431.
    pub head_bytes: usize,
    /// Fields of a request head before 431.
    pub fields: usize,
    /// Bytes of a request target before 414.
    pub target_bytes: usize,
    /// From accept, or from the first byte of the next request, to the whole head: then 408.
    pub head_timeout: Duration,
    /// A kept connection without a request is closed after this.
    pub idle_timeout: Duration,
    /// Longest pause while a request body arrives or a response is taken: then 408, or the connection is cut.
    pub body_timeout: Duration,
    /// Bytes a second that a client must send of a body, or take of a response, in the mean over the time that it was
    /// waited for; 0: no bound.
    pub min_rate: u64,
    /// Bounds of chunked request bodies.
    pub chunks: Chunks,
    /// How long a connection is kept, however busy.
    pub keep_alive: KeepAlive,
}

/// `listen.chunk`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks {
    /// Bytes of one chunk-size line, extensions included, CRLF not.
    pub line_bytes: usize,
    /// Bytes of extensions in one message.
    pub extension_bytes: usize,
}

/// `listen.keep_alive`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// Requests on one connection, less a share by chance.
    pub requests: u32,
    /// From accept to the last request, less a share by chance.
    pub age: Duration,
}

/// `listen.server`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// As the upstream wrote it.
    Pass,
    /// None.
    Off,
    /// This, whatever the upstream wrote, also in the gateway's own answers.
    Set(String),
}

/// `[upstream.NAME]`, with `[defaults.upstream]` filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    /// The key of its table.
    pub name: String,
    /// At least one, in the order of the file; no address twice.
    pub endpoints: Vec<Endpoint>,
    /// How an endpoint is chosen.
    pub balance: Balance,
    /// Waiting bounds.
    pub timeout: Timeouts,
    /// Tries at one request, the first included; 1 is no retry. At most 10.
    pub attempts: u32,
    /// Idle connections that one core keeps to one endpoint; 0 keeps none.
    pub idle_connections: usize,
    /// Open connections of the whole process to one endpoint before an attempt is refused.
    pub connections_max: u32,
    /// Bounds of a response.
    pub response: ResponseLimits,
    /// Bytes a second that an endpoint must send of a response, in the mean over the time that it was waited for; 0: no
    /// bound.
    pub min_rate: u64,
    /// The PROXY protocol header that each connection begins with, if any; such a connection serves one client's request.
    pub proxy_protocol: Option<ProxyVersion>,
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
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyVersion {
    /// The line of text.
    V1,
    /// The binary header.
    V2,
}

/// One address of an upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Where it listens; its port is not 0.
    pub address: Address,
    /// Its share, 1 to 1000.
    pub weight: u32,
}

/// `balance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Balance {
    /// Smooth weighted round robin.
    RoundRobin,
    /// Fewest requests in flight for its weight.
    LeastRequest,
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
    /// An idle pooled connection is closed after this.
    pub idle: Duration,
}

/// `[host."PATTERN"]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// Which `Host` values it answers.
    pub pattern: HostPattern,
    /// At least one, in the order of the file; no two with the same path.
    pub routes: Vec<Route>,
}

/// Which `Host` values a host table answers. Lower case, without port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// That name alone.
    Exact(String),
    /// `*.example.com`, held as `example.com`: any name below it, not itself.
    Wildcard(String),
    /// `*`: any name.
    Any,
}

/// One entry of `routes`.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Which paths it takes.
    pub path: PathPattern,
    /// Where they go.
    pub upstream: UpstreamIndex,
    /// Bytes of a request body before 413; absent: no bound.
    pub max_body: Option<u64>,
    /// The protocols that a request may ask to go on with (RFC 9110 §7.8), in lower case.
    pub upgrade: Vec<String>,
    /// Whether it takes CONNECT.
    pub connect: bool,
    /// A tunnel (after an upgrade or CONNECT) that carries nothing, either way, ends after this.
    pub tunnel_timeout: Duration,
    /// Instead of the upstream's `timeout.response`.
    pub response_timeout: Option<Duration>,
    /// Longest pause between bytes of a body, either way, instead of the listener's and the upstream's.
    pub body_timeout: Option<Duration>,
    /// Instead of the listener's.
    pub min_rate: Option<u64>,
    /// Instead of the upstream's.
    pub attempts: Option<u32>,
}

/// Which paths a route takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathPattern {
    /// That path alone.
    Exact(String),
    /// `/orders/*`, held as `/orders`: that path and all below it, segment by segment; `/*` is held as the empty string.
    Prefix(String),
}

impl HostPattern {
    /// The pattern as it stands in the file; also the host part of a route's label.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Exact(name) => name.clone(),
            Self::Wildcard(suffix) => format!("*.{suffix}"),
            Self::Any => "*".into(),
        }
    }
}

impl PathPattern {
    /// The pattern as it stands in the file; also the path part of a route's label.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Exact(path) => path.clone(),
            Self::Prefix(path) => format!("{path}/*"),
        }
    }
}

impl Server {
    /// As those take it who write responses.
    #[must_use]
    pub fn field(&self) -> forward::Server<'_> {
        match self {
            Self::Pass => forward::Server::Pass,
            Self::Off => forward::Server::Off,
            Self::Set(text) => forward::Server::Set(text.as_bytes()),
        }
    }
}

impl Balance {
    /// The word of the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::LeastRequest => "least_request",
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

#[cfg(test)]
pub(crate) mod fixture;
