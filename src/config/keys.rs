//! Every key of the configuration with its kind, range, default and words for the reference. Nothing else in the gateway
//! names a key, a range or a default of the file. It refuses to know how a key is read or shown.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::SocketAddrV4;
use std::time::Duration;

use super::key::Group;
use super::key::Key;
use super::key::Keys;
use super::key::Need::Default;
use super::key::Need::Optional;
use super::key::Need::Required;
use super::kind::Bytes;
use super::kind::Integer;
use super::kind::PowerOfTwo;
use super::kind::Switch;
use super::kind::TcpAddress;
use super::kind::Time;
use super::kind::Words;
use super::kinds::AccessLogs;
use super::kinds::Binds;
use super::kinds::CoreChoice;
use super::kinds::LogTargets;
use super::kinds::Patterns;
use super::kinds::Permissions;
use super::plain::Grades;
use super::plain::ZoneName;
use super::texts::NetworkList;
use super::texts::Servers;
use crate::address::Networks;
use crate::limits;
use crate::model::AccessLog;
use crate::model::Cores;
use crate::model::Io;
use crate::model::LogFormat;
use crate::model::LogTarget;
use crate::model::PathRule;
use crate::model::Server;

pub(super) mod acme;
pub(super) mod host;
pub(super) mod relay;
pub(super) mod tls;
pub(super) mod upstream;
pub(super) mod watch;

// === the file ===

/// The tables of a file, in the order in which a request meets them.
pub(super) const TABLES: [&str; 7] = ["include", "process", "acme", "listen", "defaults", "upstream", "host"];
/// The tables below `[defaults]`.
pub(super) const DEFAULTS: [&str; 2] = ["listen", "upstream"];

pub(super) static INCLUDE: Key<Patterns> = Key {
    name: "include",
    kind: Patterns,
    need: Optional,
    doc: "Further files, relative to the directory of this one; `*` stands for any letters in the last part of a path. \
          They are read in the order of their names and their tables are added to these. A key that two files have is an \
          error, and an included file includes no others.",
    example: "[\"conf.d/*.toml\"]",
};

// === [process] ===

pub(super) static PROCESS: Keys =
    &[&CORES, &ADMIN, &IO, &RING, &DRAIN, &PROCESS_CONNECTIONS, &ACCESS_LOG, &PROCESS_ZONE, &OVERLOAD, &CORE_DUMPS];

pub(super) static CORES: Key<CoreChoice> = Key {
    name: "cores",
    kind: CoreChoice { count_max: 1024, cpu_max: 1023 },
    need: Default(Cores::All),
    doc: "Event loops, one thread each, pinned: on all CPUs that the process may use, on that many of them, or on the \
          CPUs of a list. Fixed at start.",
    example: "[0, 1]",
};

pub(super) static ADMIN: Key<TcpAddress> = Key {
    name: "admin",
    kind: TcpAddress,
    need: Default(SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9901))),
    doc: "Where the admin interface listens. It is not protected: keep it on loopback or a private network. Fixed at \
          start.",
    example: "\"127.0.0.1:9902\"",
};

pub(super) static IO: Key<Words<Io>> = Key {
    name: "io",
    kind: Words { words: &[("auto", Io::Auto), ("io_uring", Io::IoUring), ("epoll", Io::Epoll)] },
    need: Default(Io::Auto),
    doc: "The kind of event loop: `auto` takes io_uring where the kernel allows it, else epoll; `io_uring` fails to start \
          where it does not. Fixed at start.",
    example: "\"epoll\"",
};

pub(super) static RING: Group = Group {
    name: "ring",
    keys: &[&RING_ENTRIES, &RING_COMPLETIONS],
    doc: "Sizes of each core's io_uring. Fixed at start.",
};

pub(super) static RING_ENTRIES: Key<PowerOfTwo> = Key {
    name: "entries",
    kind: PowerOfTwo { min: 256, max: 32_768 },
    need: Default(4096),
    doc: "Submission queue entries.",
    example: "8192",
};

pub(super) static RING_COMPLETIONS: Key<PowerOfTwo> = Key {
    name: "completions",
    kind: PowerOfTwo { min: 512, max: 65_536 },
    need: Default(16_384),
    doc: "Completion queue entries, at least as many as submission queue entries.",
    example: "32768",
};

pub(super) static DRAIN: Key<Time> = Key {
    name: "drain",
    kind: Time { min: Duration::ZERO, max: HOUR },
    need: Default(Duration::from_secs(30)),
    doc: "Longest time that a stop waits for what still runs; then it is cut.",
    example: "\"10s\"",
};

pub(super) static PROCESS_CONNECTIONS: Key<Integer<u32>> = Key {
    name: "connections",
    kind: Integer { min: 1, max: 10_000_000 },
    need: Default(100_000),
    doc: "Open client connections, all listeners together, before new ones are refused.",
    example: "50000",
};

pub(super) static ACCESS_LOG: Key<AccessLogs> = Key {
    name: "access_log",
    kind: AccessLogs { keys: &[&LOG_TO, &LOG_FORMAT] },
    need: Default(AccessLog { to: LogTarget::Stdout, format: LogFormat::Json }),
    doc: "Where the access log goes: a word or a path alone, or a table with a format too. Files are appended to, and \
          reopened on USR1. Fixed at start.",
    example: "{ to = \"/var/log/ringway/access.log\", format = \"combined\" }",
};

pub(super) static CORE_DUMPS: Key<Switch> = Key {
    name: "core_dumps",
    kind: Switch,
    need: Default(false),
    doc: "Whether the system may write the memory of the process to a file when it dies: keys and what clients have said stand \
          in it. Fixed at start; `prlimit --core=unlimited --pid PID` lets it once.",
    example: "true",
};

pub(super) static LOG_TO: Key<LogTargets> = Key {
    name: "to",
    kind: LogTargets,
    need: Default(LogTarget::Stdout),
    doc: "Where the lines go; `off` records nothing.",
    example: "\"stderr\"",
};

pub(super) static LOG_FORMAT: Key<Words<LogFormat>> = Key {
    name: "format",
    kind: Words { words: &[("json", LogFormat::Json), ("combined", LogFormat::Combined)] },
    need: Default(LogFormat::Json),
    doc: "`json` writes one object a line, `combined` the format of Apache httpd and nginx.",
    example: "\"combined\"",
};

pub(super) static PROCESS_ZONE: Key<ZoneName> = Key {
    name: "zone",
    kind: ZoneName,
    need: Optional,
    doc: "The zone that the gateway stands in: endpoints of it are preferred. Without it none is.",
    example: "\"a\"",
};

pub(super) static OVERLOAD: Group = Group {
    name: "overload",
    keys: &[&OVERLOAD_MEMORY, &OVERLOAD_MEMORY_OF, &OVERLOAD_DESCRIPTORS, &OVERLOAD_LAG],
    doc: "From which use of a resource on each of three grades is entered: connections are no longer kept, then requests of \
          the lowest class are refused, then new connections are. A grade is left again at nine tenths of that.",
};

pub(super) static OVERLOAD_MEMORY: Key<Grades<Integer<u32>>> = Key {
    name: "memory",
    kind: Grades(GRADE_PERCENT),
    need: Default([80, 88, 95]),
    doc: "Percent of the memory that the process may have: its cgroup's bound, or the machine's. 100: never.",
    example: "[70, 80, 90]",
};

pub(super) static OVERLOAD_MEMORY_OF: Key<Bytes<u64>> = Key {
    name: "memory_of",
    kind: Bytes { min: 1 << 20, max: 1 << 50 },
    need: Optional,
    doc: "The memory that the process may have, where nothing else bounds it and the machine has more than it should take; \
          what the process itself holds is measured against it.",
    example: "\"2GiB\"",
};

pub(super) static OVERLOAD_DESCRIPTORS: Key<Grades<Integer<u32>>> = Key {
    name: "descriptors",
    kind: Grades(GRADE_PERCENT),
    need: Default([80, 90, 97]),
    doc: "Percent of the descriptors that the process may have. 100: never.",
    example: "[70, 80, 90]",
};

pub(super) static OVERLOAD_LAG: Key<Grades<Time>> = Key {
    name: "lag",
    kind: Grades(Time { min: Duration::from_millis(1), max: MINUTE }),
    need: Default([Duration::from_millis(100), Duration::from_millis(250), Duration::from_secs(1)]),
    doc: "How late a core's loop is.",
    example: "[\"50ms\", \"100ms\", \"200ms\"]",
};

// === [listen.NAME] ===

pub(super) static LISTEN: Keys = &[
    &BIND,
    &SOCKET_MODE,
    &TRUSTED_PROXIES,
    &LISTEN_PROXY_PROTOCOL,
    &LISTEN_CONNECTIONS,
    &CONNECTIONS_PER_CLIENT,
    &HEAD,
    &FIELDS,
    &TARGET,
    &LISTEN_MAX_BODY,
    &LISTEN_PATH,
    &CHUNK,
    &LISTEN_TIMEOUT,
    &LISTEN_MIN_RATE,
    &LISTEN_KEEP_ALIVE,
    &SERVER,
    &tls::TLS,
    &tls::HANDSHAKE,
    &tls::CLIENT_CERTIFICATES,
    &tls::HSTS,
    &tls::REDIRECT,
    &relay::TCP,
    &relay::PASSTHROUGH,
];
/// `[defaults.listen]`: all of them but what makes each listener its own.
pub(super) static LISTEN_DEFAULTS: Keys = &[
    &SOCKET_MODE,
    &TRUSTED_PROXIES,
    &LISTEN_PROXY_PROTOCOL,
    &LISTEN_CONNECTIONS,
    &CONNECTIONS_PER_CLIENT,
    &HEAD,
    &FIELDS,
    &TARGET,
    &LISTEN_MAX_BODY,
    &LISTEN_PATH,
    &CHUNK,
    &LISTEN_TIMEOUT,
    &LISTEN_MIN_RATE,
    &LISTEN_KEEP_ALIVE,
    &SERVER,
    &tls::TLS,
    &tls::HANDSHAKE,
    &tls::CLIENT_CERTIFICATES,
    &tls::HSTS,
    &tls::REDIRECT,
];

pub(super) static BIND: Key<Binds> = Key {
    name: "bind",
    kind: Binds,
    need: Required,
    doc: "The address to accept connections on, or several. `:8080` is every IPv4 address and none of IPv6, `[::]:8080` \
          every IPv6 address and none of IPv4; port 0 lets the kernel choose. `unix:/run/ringway/http.sock` is a Unix \
          socket: its file is made at start, in place of one that nobody listens on any more, and removed at the end.",
    example: "[\"0.0.0.0:8080\", \"[::]:8080\"]",
};

pub(super) static SOCKET_MODE: Key<Permissions> = Key {
    name: "socket_mode",
    kind: Permissions,
    need: Default(0o660),
    doc: "Who may connect to the Unix sockets among the addresses: the permissions of their files, whatever the umask.",
    example: "\"0666\"",
};

pub(super) static TRUSTED_PROXIES: Key<NetworkList> = Key {
    name: "trusted_proxies",
    kind: NetworkList,
    need: Default(Networks { list: Vec::new(), unix: false }),
    doc: "Whose word on who the client is counts, in forwarding fields (`X-Forwarded-For`, `Forwarded` and their kin), which \
          are written anew for anybody else, and in PROXY protocol headers. `unix` stands for every Unix socket.",
    example: "[\"10.0.0.0/8\", \"192.168.1.7\", \"fd00::/8\", \"unix\"]",
};

pub(super) static LISTEN_PROXY_PROTOCOL: Key<Switch> = Key {
    name: "proxy_protocol",
    kind: Switch,
    need: Default(false),
    doc: "Whether every connection begins with a PROXY protocol header, version 1 or 2, from one of `trusted_proxies`, \
          which must name somebody then.",
    example: "true",
};

pub(super) static LISTEN_CONNECTIONS: Key<Integer<u32>> = Key {
    name: "connections",
    kind: Integer { min: 1, max: 10_000_000 },
    need: Default(100_000),
    doc: "Open connections of this listener, all cores together, before new ones are refused.",
    example: "20000",
};

pub(super) static CONNECTIONS_PER_CLIENT: Key<Integer<u32>> = Key {
    name: "connections_per_client",
    kind: Integer { min: 1, max: 1_000_000 },
    need: Optional,
    doc: "Open connections of one client address (IPv6: of one /64), all cores together, before new ones are refused. \
          Without it there is no bound.",
    example: "100",
};

pub(super) static HEAD: Key<Bytes<usize>> = Key {
    name: "head",
    kind: Bytes { min: 1024, max: 64 * 1024 },
    need: Default(limits::REQUEST_HEAD_BYTES),
    doc: "Longest request head; a longer one is answered with 431.",
    example: "\"32KiB\"",
};

pub(super) static FIELDS: Key<Integer<usize>> = Key {
    name: "fields",
    kind: Integer { min: 1, max: limits::RESPONSE_FIELDS },
    need: Default(limits::REQUEST_FIELDS),
    doc: "Most header fields of a request; more are answered with 431.",
    example: "150",
};

pub(super) static TARGET: Key<Bytes<usize>> = Key {
    name: "target",
    kind: Bytes { min: 256, max: 32 * 1024 },
    need: Default(limits::REQUEST_TARGET_BYTES),
    doc: "Longest request target (path and query), less than `head`; a longer one is answered with 414.",
    example: "\"4KiB\"",
};

pub(super) static LISTEN_PATH: Group = Group {
    name: "path",
    keys: &[&DOTS, &SLASHES, &ENCODED_SLASHES],
    doc: "What becomes of a path that different readers may read differently: `resolve` replaces a part of it by what it \
          stands for, `keep` lets it pass, `refuse` answers 400. What is routed is what is forwarded. Whatever stands \
          here, percent-encoded unreserved characters (RFC 3986 §2.3) are decoded, the digits of other escapes are made \
          upper case, and a broken escape, `%00`, `%0A` and `%0D` are refused.",
};

pub(super) static DOTS: Key<Words<PathRule>> = Key {
    name: "dots",
    kind: PATH_RULE,
    need: Default(PathRule::Resolve),
    doc: "Of `.` and `..` between slashes, percent-encoded or not. What leads above the root is refused; so is, unless \
          they are kept, a dot segment for whoever takes `\\`, `%2F` or `%5C` for a slash, or cuts a segment at `;`.",
    example: "\"refuse\"",
};

pub(super) static SLASHES: Key<Words<PathRule>> = Key {
    name: "slashes",
    kind: PATH_RULE,
    need: Default(PathRule::Keep),
    doc: "Of several slashes in a row; `resolve` makes one of them.",
    example: "\"resolve\"",
};

pub(super) static ENCODED_SLASHES: Key<Words<PathRule>> = Key {
    name: "encoded_slashes",
    kind: PATH_RULE,
    need: Default(PathRule::Keep),
    doc: "Of `%2F` and `%5C`; `resolve` makes a slash of them.",
    example: "\"refuse\"",
};

pub(super) static CHUNK: Group =
    Group { name: "chunk", keys: &[&CHUNK_LINE, &CHUNK_EXTENSIONS], doc: "Bounds of chunked request bodies." };

pub(super) static CHUNK_LINE: Key<Bytes<usize>> = Key {
    name: "line",
    kind: Bytes { min: 32, max: 8 * 1024 },
    need: Default(limits::CHUNK_LINE_BYTES),
    doc: "Longest line that begins a chunk, its extensions included; a longer one is answered with 400.",
    example: "\"1KiB\"",
};

pub(super) static CHUNK_EXTENSIONS: Key<Bytes<usize>> = Key {
    name: "extensions",
    kind: Bytes { min: 0, max: 1 << 20 },
    need: Default(limits::CHUNK_EXTENSION_BYTES),
    doc: "Most bytes of chunk extensions in one message; more are answered with 400.",
    example: "\"0B\"",
};

pub(super) static LISTEN_MAX_BODY: Key<Bytes<u64>> = Key {
    name: "max_body",
    kind: Bytes { min: 0, max: 1 << 40 },
    need: Optional,
    doc: "Longest request body, where the route has no `max_body` of its own; a longer one is answered with 413. Without it \
          there is no bound: bodies are streamed, not held.",
    example: "\"1GiB\"",
};

pub(super) static LISTEN_TIMEOUT: Group = Group {
    name: "timeout",
    keys: &[&HEAD_TIMEOUT, &IDLE_TIMEOUT, &BODY_TIMEOUT, &LISTEN_TUNNEL_TIMEOUT, &relay::CARRIED_TIMEOUT],
    doc: "How long a client may take.",
};

pub(super) static LISTEN_TUNNEL_TIMEOUT: Key<Time> = Key {
    name: "tunnel",
    kind: TUNNEL_TIME,
    need: Default(limits::TUNNEL_IDLE),
    doc: "A tunnel (after an upgrade or CONNECT) that carries nothing, either way, ends after this, where the route has no \
          `timeout.tunnel` of its own.",
    example: "\"10m\"",
};

pub(super) static HEAD_TIMEOUT: Key<Time> = Key {
    name: "head",
    kind: CLIENT_TIME,
    need: Default(Duration::from_secs(10)),
    doc: "From accept, or from the first byte of the next request, to the whole head; then 408.",
    example: "\"5s\"",
};

pub(super) static IDLE_TIMEOUT: Key<Time> = Key {
    name: "idle",
    kind: CLIENT_TIME,
    need: Default(Duration::from_mins(1)),
    doc: "A kept connection without a request is closed after this.",
    example: "\"2m\"",
};

pub(super) static BODY_TIMEOUT: Key<Time> = Key {
    name: "body",
    kind: CLIENT_TIME,
    need: Default(Duration::from_secs(30)),
    doc: "Longest pause while a request body arrives or a response is taken; then 408, or the connection is cut.",
    example: "\"1m\"",
};

pub(super) static LISTEN_MIN_RATE: Key<Bytes<u64>> = Key {
    name: "min_rate",
    kind: RATE,
    need: Default(240),
    doc: "Bytes a second that a client must send of a body, or take of a response, in the mean over the time that it was \
          waited for; `0B` is no bound.",
    example: "\"1KiB\"",
};

pub(super) static LISTEN_KEEP_ALIVE: Group = Group {
    name: "keep_alive",
    keys: &[&KEEP_ALIVE_REQUESTS, &KEEP_ALIVE_AGE],
    doc: "How long a connection is kept, however busy. Both are less up to a tenth by chance, so that clients do not all \
          come back at once.",
};

pub(super) static KEEP_ALIVE_REQUESTS: Key<Integer<u32>> = Key {
    name: "requests",
    kind: Integer { min: 1, max: 1_000_000_000 },
    need: Default(10_000),
    doc: "Requests on one connection; the last response says `Connection: close`.",
    example: "1000",
};

pub(super) static KEEP_ALIVE_AGE: Key<Time> = Key {
    name: "age",
    kind: Time { min: Duration::from_secs(1), max: DAY },
    need: Default(HOUR),
    doc: "From accept to the last request.",
    example: "\"10m\"",
};

pub(super) static SERVER: Key<Servers> = Key {
    name: "server",
    kind: Servers,
    need: Default(Server::Pass),
    doc: "What becomes of `Server` in responses: `pass` leaves it as the upstream wrote it, `off` removes it, any other \
          text replaces it and stands in the gateway's own answers too.",
    example: "\"shop\"",
};

const CONNECT_TIME: Time = Time { min: Duration::from_millis(10), max: MINUTE };
const TUNNEL_TIME: Time = Time { min: Duration::from_secs(1), max: DAY };
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const ATTEMPTS_RANGE: Integer<u32> = Integer { min: 1, max: 10 };
const PERCENT: Integer<u32> = Integer { min: 0, max: 100 };
const GRADE_PERCENT: Integer<u32> = Integer { min: 1, max: 100 };
/// Bytes a second.
const RATE: Bytes<u64> = Bytes { min: 0, max: 1 << 30 };
const PATH_RULE: Words<PathRule> =
    Words { words: &[("resolve", PathRule::Resolve), ("keep", PathRule::Keep), ("refuse", PathRule::Refuse)] };
const CLIENT_TIME: Time = Time { min: Duration::from_millis(100), max: HOUR };
const UPSTREAM_TIME: Time = Time { min: Duration::from_millis(10), max: HOUR };
