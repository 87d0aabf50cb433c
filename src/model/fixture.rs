//! Plain parts of a model for tests, to be changed where a test cares. It refuses to know which test.

use std::time::Duration;

use super::*;
use crate::limits;

pub(crate) fn listener(name: &str, bind: Address) -> Listener {
    Listener {
        name: name.into(),
        bind: vec![bind],
        socket_mode: 0o660,
        connections_max: 100,
        head_bytes: limits::REQUEST_HEAD_BYTES,
        fields: limits::REQUEST_FIELDS,
        target_bytes: limits::REQUEST_TARGET_BYTES,
        head_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(60),
        body_timeout: Duration::from_secs(30),
        tunnel_timeout: limits::TUNNEL_IDLE,
        max_body: None,
        client_connections_max: None,
        trusted: Networks::default(),
        proxy_protocol: false,
        paths: Paths { dots: PathRule::Resolve, slashes: PathRule::Keep, encoded_slashes: PathRule::Keep },
        server: Server::Pass,
        min_rate: 240,
        chunks: Chunks { line_bytes: limits::CHUNK_LINE_BYTES, extension_bytes: limits::CHUNK_EXTENSION_BYTES },
        keep_alive: KeepAlive { requests: 10_000, age: Duration::from_hours(1) },
        tls: None,
        hsts: None,
        redirect: None,
        relay: None,
    }
}

/// Nothing at all: no listener, no upstream, no host.
pub(crate) fn empty() -> Model {
    Model {
        acme: None,
        process: Process {
            cores: Cores::Count(1),
            admin: SocketAddr::from(([127, 0, 0, 1], 0)),
            io: Io::Auto,
            ring: Ring { entries: 256, completions: 1024 },
            drain: Duration::from_secs(30),
            connections_max: 1000,
            access_log: AccessLog { to: LogTarget::Off, format: LogFormat::Json },
            zone: None,
            overload: Overload::default(),
            core_dumps: false,
        },
        listeners: Vec::new(),
        upstreams: Vec::new(),
        hosts: Vec::new(),
    }
}

pub(crate) fn upstream(name: &str, endpoints: &[Address]) -> Upstream {
    let endpoint = |address: &Address| Endpoint { address: address.clone(), weight: 1, zone: None, priority: 0 };
    Upstream {
        name: name.into(),
        endpoints: endpoints.iter().map(endpoint).collect(),
        balance: Balance::RoundRobin,
        sticky: None,
        feedback: None,
        slow_start: Duration::ZERO,
        panic_percent: 50,
        timeout: Timeouts {
            connect: Duration::from_secs(1),
            response: Duration::from_secs(15),
            body: Duration::from_secs(30),
            total: None,
        },
        retry: Retry { attempts: 1, ..Retry::default() },
        keep: Keep::default(),
        connections_max: 1000,
        limits: Limits::default(),
        health: None,
        ejection: Ejection::default(),
        deadline: None,
        response: ResponseLimits {
            head_bytes: limits::RESPONSE_HEAD_BYTES,
            fields: limits::RESPONSE_FIELDS,
            interim: limits::INTERIM_RESPONSES,
            chunks: Chunks { line_bytes: limits::CHUNK_LINE_BYTES, extension_bytes: limits::CHUNK_EXTENSION_BYTES },
        },
        min_rate: 0,
        proxy_protocol: None,
        tls: None,
    }
}

pub(crate) fn route(path: PathPattern, upstream: u32) -> Route {
    Route::plain(path, UpstreamIndex(upstream))
}
