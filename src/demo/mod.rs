//! Three services to try the gateway with: orders, payments and shipping, three endpoints each, on loopback, and visibly
//! different from one another. They run on a thread of their own and call each other through the gateway, as services do.
//!
//! The module refuses to know the gateway it stands behind: it is given an address, and gives a configuration as text.

mod answer;
mod call;
mod place;
mod service;
mod tally;
mod ticker;

use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::OnceLock;
use std::thread;
use std::thread::JoinHandle;

use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::demo::place::Place;
use crate::demo::place::Service;

pub use crate::demo::ticker::Ticker;

/// Endpoints of each service.
const ENDPOINTS: usize = 3;

/// The services, running.
#[derive(Debug)]
pub struct Services {
    addresses: Vec<(Service, SocketAddr)>,
    gateway: Arc<OnceLock<SocketAddr>>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Services {
    /// Starts them, to call each other through the gateway at `gateway`. A gateway whose port is 0 is not known yet:
    /// see [`Services::set_gateway`].
    ///
    /// # Errors
    /// When loopback has no port left, or the thread cannot be started.
    pub fn start(gateway: SocketAddr) -> io::Result<Self> {
        let known = Arc::new(OnceLock::new());
        if gateway.port() != 0 {
            known.get_or_init(|| reachable(gateway));
        }
        let mut addresses = Vec::new();
        let mut places = Vec::new();
        for service in Service::ALL {
            for number in 1..=ENDPOINTS {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                listener.set_nonblocking(true)?;
                let address = listener.local_addr()?;
                addresses.push((service, address));
                places.push((listener, Place::new(service, number, address.port(), known.clone())));
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name("demo-services".into()).spawn(move || {
            runtime.block_on(serve(places, stopped));
        })?;
        Ok(Self { addresses, gateway: known, stop, thread })
    }

    /// Says where the gateway is, if its port was not known at the start. The first that was said stays.
    pub fn set_gateway(&self, gateway: SocketAddr) {
        self.gateway.get_or_init(|| reachable(gateway));
    }

    /// The configuration of a gateway before them, that listens on `listen` and has its admin interface on `admin`.
    #[must_use]
    pub fn configuration(&self, listen: SocketAddr, admin: SocketAddr) -> String {
        let mut text = include_str!("demo.toml").replace("{listen}", &listen.to_string());
        text = text.replace("{admin}", &admin.to_string());
        for service in Service::ALL {
            let own = self.addresses.iter().filter(|(of, _)| *of == service);
            let list: Vec<_> = own.map(|(_, address)| format!("\"{address}\"")).collect();
            text = text.replace(&format!("{{{}}}", service.name()), &list.join(", "));
        }
        text
    }

    /// Ends them. What they have not answered yet is cut.
    pub fn stop(self) {
        // Fails only if the thread has ended already.
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::warn!("the demo's services ended by a fault");
        }
    }
}

/// What to try, to be printed before anything happens.
#[must_use]
pub fn introduction(listen: SocketAddr, admin: SocketAddr) -> String {
    let (gateway, admin) = (format!("http://{}", reachable(listen)), format!("http://{}", reachable(admin)));
    let to_try = [
        (format!("curl {gateway}/orders"), "orders-3 is slow and is given less"),
        (format!("curl {gateway}/orders/7"), ""),
        (format!("curl {gateway}/payments"), "payments-3 answers 503 to every fourth request"),
        (format!("curl {gateway}/shipping"), "5, 20 or 60 ms"),
        (format!("curl -X POST {gateway}/orders/checkout"), "orders asks payments, then shipping, through here"),
        (format!("curl -N {gateway}/orders/stream"), "a line every 200 ms"),
        (format!("curl -i {gateway}/nothing"), "no route"),
        (format!("curl {admin}/v1/overview"), "how it goes; also /v1/upstreams, /v1/routes, /metrics"),
    ];
    let width = to_try.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    let mut text = String::from(
        "Ringway is in front of orders, payments and shipping, three endpoints each. Every answer says who gave it. To try:\n\n",
    );
    for (command, remark) in to_try {
        text += format!("  {command:width$}  {remark}").trim_end();
        text.push('\n');
    }
    text += &format!(
        "  for i in $(seq 30); do curl -s -X POST {gateway}/orders/checkout & done; wait\n\n\
         Below, a line a second: `orders 12/8/1` is what orders-1, -2 and -3 were given, `!` what failed there.\n\
         Ctrl-C ends it.\n"
    );
    text
}

/// An address to connect to for one to listen on: a listener on all addresses is found on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Serves every place until told to stop.
async fn serve(places: Vec<(TcpListener, Place)>, stopped: oneshot::Receiver<()>) {
    let mut servers = JoinSet::new();
    for (listener, place) in places {
        match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => {
                let router = service::router(Arc::new(place));
                servers.spawn(async move { axum::serve(listener, router).await });
            }
            Err(fault) => tracing::warn!(%fault, "a demo endpoint could not be started"),
        }
    }
    // A sender that is gone without a word means the same.
    let _ = stopped.await;
}

#[cfg(test)]
mod tests;
