//! Models and readings for tests of the control thread. It refuses to know what is tested.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use tokio::sync::watch;

use crate::admin::events::Journal;
use crate::admin::scene::Core;
use crate::admin::scene::Labels;
use crate::admin::scene::Reading;
use crate::admin::scene::Reload;
use crate::admin::scene::Scene;
use crate::admin::scene::Standing;
use crate::health::Table;
use crate::id::CoreId;
use crate::model::AccessLog;
use crate::model::Cores;
use crate::model::Host;
use crate::model::HostPattern;
use crate::model::Io;
use crate::model::Listener;
use crate::model::LogFormat;
use crate::model::LogTarget;
use crate::model::Model;
use crate::model::Overload;
use crate::model::PathPattern;
use crate::model::Process;
use crate::model::Ring;
use crate::model::Upstream;
use crate::model::fixture;
use crate::snapshot::Snapshot;
use crate::snapshot::overload::Grade;
use crate::snapshot::overload::Resource;
use crate::snapshot::slots::Slots;

/// One listener, two upstreams (`orders`, two endpoints; `payments`, one), one host with a route to each.
pub(crate) fn model() -> Model {
    Model {
        process: Process {
            cores: Cores::Count(2),
            admin: address("127.0.0.1:0"),
            io: Io::Auto,
            ring: Ring { entries: 256, completions: 1024 },
            drain: Duration::from_secs(30),
            connections_max: 1000,
            access_log: AccessLog { to: LogTarget::File(PathBuf::from("access.log")), format: LogFormat::Json },
            zone: None,
            overload: Overload::default(),
            core_dumps: false,
        },
        listeners: vec![listener("http", "127.0.0.1:0")],
        upstreams: vec![upstream("orders", &["127.0.1.1:80", "127.0.1.2:80"]), upstream("payments", &["127.0.2.1:80"])],
        hosts: vec![host("shop.example", &[("/orders", 0), ("/payments", 1)])],
    }
}

pub(crate) fn listener(name: &str, bind: &str) -> Listener {
    fixture::listener(name, bind.parse().unwrap())
}

pub(crate) fn upstream(name: &str, endpoints: &[&str]) -> Upstream {
    fixture::upstream(name, &endpoints.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>())
}

/// A host with prefix routes, each to the upstream of that index.
pub(crate) fn host(name: &str, routes: &[(&str, u32)]) -> Host {
    let routes = routes.iter().map(|(path, upstream)| fixture::route(PathPattern::Prefix((*path).into()), *upstream));
    Host { pattern: HostPattern::Exact(name.into()), routes: routes.collect(), clients: None }
}

/// A serving process with that many cores, which have counted nothing.
pub(crate) fn reading(model: Model, cores: u32) -> Reading {
    let mut slots = Slots::default();
    let snapshot = Arc::new(Snapshot::compile(model, &mut slots));
    Resource::ALL.into_iter().for_each(|resource| snapshot.overload.note(resource, Some(0), Grade::Calm));
    let cores = (0..cores).map(|id| Core {
        id: CoreId(id),
        stage: "serving",
        cpu: Some(id as usize),
        io: "io_uring",
        flags: "single_issuer defer_taskrun",
        reason: String::new(),
        fault: String::new(),
        acknowledged: snapshot.sequence,
        slab: Arc::default(),
    });
    let cores = cores.collect();
    let scene = Scene {
        standing: Standing::Serving,
        labels: Labels::of(&slots, None),
        listening: vec![("http".into(), "127.0.0.1:8080".parse().unwrap())],
        snapshot,
        reload: Reload { at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000), refused: None },
        needs_restart: Vec::new(),
    };
    let (found, book) = (watch::channel(Table::default()).1, Journal::default().book());
    Reading {
        scene: Arc::new(scene),
        cores,
        at: Instant::now(),
        log_dropped: 0,
        uptime: Duration::from_secs(7),
        render,
        found,
        book,
    }
}

/// A little TOML that tells models apart.
pub(crate) fn render(model: &Model) -> String {
    let upstreams = model.upstreams.iter().map(|upstream| format!("[upstream.{}]\n", upstream.name));
    format!("[process]\nconnections_max = {}\n{}", model.process.connections_max, upstreams.collect::<String>())
}

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// One request on a connection of its own: status and body. `extra` are more field lines, each with its CRLF.
pub(crate) fn http(to: SocketAddr, method: &str, path: &str, extra: &str, body: &str) -> (u16, String) {
    let mut stream = connect(to);
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Length: {length}\r\n{extra}\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    // A server that refuses a large body may close before it has read all of it.
    drop(stream.write_all(body.as_bytes()));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{method} {path}: {answer:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// A GET whose answer is JSON.
pub(crate) fn json(to: SocketAddr, path: &str) -> serde_json::Value {
    let (status, body) = http(to, "GET", path, "", "");
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// A connection that gives up rather than hang a test.
pub(crate) fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}
