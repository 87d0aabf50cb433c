//! A reverse proxy by Pingora, as its own guide begins one: one thread, connections to the origin kept, nothing logged. It
//! refuses to know what is measured. Better settings are welcome.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use pingora_core::prelude::{HttpPeer, Result, Server};
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

/// Passes requests on to its origins in turn.
struct To {
    origins: Vec<SocketAddr>,
    turn: AtomicUsize,
    /// First segments that are routes of their own, and where they go: all to the same origins.
    routes: HashMap<String, usize>,
}

#[async_trait]
impl ProxyHttp for To {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, asked: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        let mut first = 0;
        if !self.routes.is_empty() {
            let segment = asked.req_header().uri.path().split('/').nth(1).unwrap_or_default();
            first = self.routes.get(segment).copied().unwrap_or_default();
        }
        let turn = if self.origins.len() > 1 { self.turn.fetch_add(1, Ordering::Relaxed) } else { 0 };
        let origin = self.origins[(first + turn) % self.origins.len()];
        Ok(Box::new(HttpPeer::new(origin, false, String::new())))
    }
}

/// `pingora-peer ORIGINS ROUTES LISTEN TLS CERTIFICATE`: origins with commas between them, and how many routes `/rN/`.
fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [origins, routes, listen, tls, certificate] = words.as_slice() else {
        eprintln!("ORIGINS ROUTES LISTEN TLS CERTIFICATE");
        return;
    };
    let origins = origins.split(',').map(|origin| origin.parse().expect("an address and port")).collect();
    let routes = (0..routes.parse().expect("a number")).map(|number: usize| (format!("r{number}"), 0)).collect();
    let conf = ServerConf {
        threads: 1,
        work_stealing: false,
        upstream_keepalive_pool_size: 1024,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, To { origins, turn: AtomicUsize::new(0), routes });
    service.add_tcp(listen);
    service.add_tls(tls, certificate, certificate).expect("a file of a certificate and its key");
    server.add_service(service);
    server.run_forever();
}
