//! The validated configuration: plain data that cannot be wrong any more. It refuses to know the file it came from
//! (that is `config`) and how it is served (that is `snapshot`).
//!
//! Durations are `Duration`s, sizes are bytes, references are indexes into the neighbouring lists.

mod acme;
mod relay;
mod tls;
mod upstream;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::address::Address;
use crate::address::Networks;
use crate::http::forward;
use crate::http::h1::chunked::ChunkLimits;
use crate::http::head::HeadLimits;
use crate::id::UpstreamIndex;
use crate::limits;

pub use self::acme::*;
pub use self::relay::*;
pub use self::tls::*;
pub use self::upstream::*;
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
    /// How certificates are got; absent: none is.
    pub acme: Option<Acme>,
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
    /// The zone the gateway stands in: endpoints of it are preferred. Absent: none is.
    pub zone: Option<String>,
    /// What the gateway does when it itself is short of something.
    pub overload: Overload,
    /// Whether its memory may be written to a file when it dies. Fixed at start.
    pub core_dumps: bool,
}

/// `process.overload`: from which use of a resource on each grade is entered. A grade is left again at nine tenths of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overload {
    /// Percent of the memory that the process may have (its cgroup's bound, or the machine's), for the three grades: no
    /// more keep-alive, the lowest class refused, new connections refused.
    pub memory_percent: [u32; 3],
    /// Bytes that those are of, where that is less than the cgroup's bound and the machine have.
    pub memory_of: Option<u64>,
    /// Percent of the descriptors that the process may have, for the same three.
    pub descriptors_percent: [u32; 3],
    /// How late a core's loop may be, for the same three.
    pub lag: [Duration; 3],
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
    /// A tunnel (after an upgrade or CONNECT) that carries nothing, either way, ends after this, unless its route says
    /// otherwise.
    pub tunnel_timeout: Duration,
    /// Bytes of a request body before 413, unless its route says otherwise; absent: no bound.
    pub max_body: Option<u64>,
    /// Bytes a second that a client must send of a body, or take of a response, in the mean over the time that it was
    /// waited for; 0: no bound.
    pub min_rate: u64,
    /// Bounds of chunked request bodies.
    pub chunks: Chunks,
    /// How long a connection is kept, however busy.
    pub keep_alive: KeepAlive,
    /// TLS, if it is spoken.
    pub tls: Option<ListenTls>,
    /// What responses tell of how their hosts are to be asked from now on, if anything.
    pub hsts: Option<Hsts>,
    /// The port of the listener with TLS that every request is sent on to, instead of being served.
    pub redirect: Option<u16>,
    /// What it carries, if it reads no requests: then nothing of what concerns requests and TLS is of any effect.
    pub relay: Option<Relay>,
}

impl Listener {
    /// Bounds of a request's head.
    #[must_use]
    pub fn head_limits(&self) -> HeadLimits {
        HeadLimits { head_bytes: self.head_bytes, fields: self.fields, target_bytes: self.target_bytes }
    }

    /// Bounds of a request's chunks; its trailers are bounded as its head is.
    #[must_use]
    pub fn chunk_limits(&self) -> ChunkLimits {
        let Chunks { line_bytes, extension_bytes } = self.chunks;
        ChunkLimits { line_bytes, extension_bytes, trailer_bytes: self.head_bytes, trailer_fields: self.fields }
    }
}

impl Route {
    /// Bytes of a request body before 413, if there is a bound: its own, or that of the listener it came by.
    #[must_use]
    pub fn max_body(&self, listener: Option<&Listener>) -> Option<u64> {
        self.max_body.or_else(|| listener?.max_body)
    }

    /// How long a tunnel may carry nothing: the same.
    #[must_use]
    pub fn tunnel_timeout(&self, listener: Option<&Listener>) -> Duration {
        self.tunnel_timeout.or(listener.map(|listener| listener.tunnel_timeout)).unwrap_or(limits::TUNNEL_IDLE)
    }
}

/// `listen.chunk`, and the same of `upstream.response`.
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

/// `[host."PATTERN"]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    /// Which `Host` values it answers.
    pub pattern: HostPattern,
    /// At least one, in the order of the file; no two with the same path.
    pub routes: Vec<Route>,
    /// Whether its clients show certificates; absent: as the listener says.
    pub clients: Option<HostClients>,
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
    /// Bytes of a request body before 413, instead of the listener's.
    pub max_body: Option<u64>,
    /// The protocols that a request may ask to go on with (RFC 9110 §7.8), in lower case.
    pub upgrade: Vec<String>,
    /// Whether it takes CONNECT.
    pub connect: bool,
    /// Instead of the listener's `timeout.tunnel`.
    pub tunnel_timeout: Option<Duration>,
    /// Instead of the upstream's `timeout.connect`.
    pub connect_timeout: Option<Duration>,
    /// Instead of the upstream's `timeout.response`.
    pub response_timeout: Option<Duration>,
    /// Longest pause between bytes of a body, either way, instead of the listener's and the upstream's.
    pub body_timeout: Option<Duration>,
    /// Instead of the listener's.
    pub min_rate: Option<u64>,
    /// Bytes a second that an endpoint must send of a response, instead of the upstream's `min_rate`; 0: no bound.
    pub response_rate: Option<u64>,
    /// Instead of the upstream's.
    pub attempts: Option<u32>,
    /// From the request's head to the response's, all attempts and waits together: then 504. Absent: no bound of its own.
    pub total_timeout: Option<Duration>,
    /// When a second attempt is made beside one that takes long; absent: never.
    pub hedge: Option<Hedge>,
    /// Who is refused first when there is not enough for all.
    pub class: Class,
}

impl Route {
    /// One that says nothing but which paths it takes and where they go.
    #[must_use]
    pub fn plain(path: PathPattern, upstream: UpstreamIndex) -> Self {
        Self {
            path,
            upstream,
            max_body: None,
            upgrade: Vec::new(),
            connect: false,
            tunnel_timeout: None,
            connect_timeout: None,
            response_timeout: None,
            body_timeout: None,
            min_rate: None,
            response_rate: None,
            attempts: None,
            total_timeout: None,
            hedge: None,
            class: Class::default(),
        }
    }
}

/// `hedge`: idempotent requests alone, and within the budget of `percent` of the route's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hedge {
    /// When the second attempt begins.
    pub after: HedgeAfter,
    /// Hedged requests in a hundred, at the most.
    pub percent: u32,
}

/// `hedge.after`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HedgeAfter {
    /// Once this percentile of the route's own times to a response head has passed.
    Percentile(u32),
    /// After so long.
    Time(Duration),
}

/// `class`, the lowest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Refused first: what can be asked again later.
    Low,
    /// What nobody has said anything of.
    #[default]
    Normal,
    /// Refused last.
    High,
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

impl Default for Overload {
    fn default() -> Self {
        let ms = Duration::from_millis;
        let memory_percent = [80, 88, 95];
        Self { memory_percent, memory_of: None, descriptors_percent: [80, 90, 97], lag: [ms(100), ms(250), ms(1000)] }
    }
}

impl Class {
    /// The word of the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

#[cfg(test)]
pub(crate) mod fixture;
