//! Active health checks, each endpoint once for the whole process, on the control thread. It refuses to know who looks at
//! what it finds out: that goes to the board of the cores, to a table for whoever asks, and, when a state changes, to
//! whoever wants to be told.
//!
//! Reading order: [`reach`] (whether there is anybody, asked once, by whoever wants to know before it begins) beside
//! [`Checks`] (what is checked) → [`schedule`] (when) → [`probe`] (one check) → [`knock`], [`answer`],
//! [`grpc`] (what an endpoint said) → [`course`] (what a row of results means).

mod answer;
mod course;
mod grpc;
mod knock;
mod probe;
mod reach;
mod schedule;

pub use reach::reach;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::sync::watch;
use tracing::warn;

use crate::address::Address;
use crate::balance::board::Board;
use crate::balance::board::Health;
use crate::id::EndpointSlot;
use crate::id::UpstreamSlot;
use crate::model;
use crate::snapshot::Snapshot;
use crate::snapshot::Upstream;

/// What is checked. Held by whoever publishes configurations.
#[derive(Debug)]
pub struct Checks {
    plan: watch::Sender<Arc<Plan>>,
    found: watch::Receiver<Table>,
    births: u64,
}

/// What is known of the checked endpoints.
pub type Table = HashMap<EndpointSlot, Found>;

/// What the checks have found out of one endpoint.
#[derive(Clone, Debug)]
pub struct Found {
    /// Up, down, or nothing yet.
    pub state: Health,
    /// Since when.
    pub since: SystemTime,
    /// Why, in words.
    pub reason: Arc<str>,
    /// The last check, if there was one.
    pub last: Option<Last>,
}

/// One check that has ended.
#[derive(Clone, Debug)]
pub struct Last {
    /// When.
    pub at: SystemTime,
    /// How long it took.
    pub took: Duration,
    /// Whether it counts as good; absent if the check could not be made, for want of descriptors, say.
    pub good: Option<bool>,
    /// What the endpoint said, or why the check was bad.
    pub said: Said,
}

/// What an endpoint said, or why a check was bad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It answered with this status, and that is good.
    Status(u16),
    /// It took the connection.
    Connected,
    /// It serves.
    Serving,
    /// In words.
    Words(String),
}

/// A state that changed.
#[derive(Clone, Debug)]
pub struct Transition {
    /// Whose endpoint.
    pub upstream: UpstreamSlot,
    /// Its name.
    pub upstream_name: String,
    /// Its address.
    pub endpoint: String,
    /// The state before.
    pub from: Health,
    /// The state now.
    pub to: Health,
    /// Why, in words.
    pub reason: String,
}

/// Who is told of changes. Called on the control thread; must not wait.
pub type Tell = Box<dyn Fn(Transition) + Send>;

/// Every endpoint to be checked, by its slot.
type Plan = HashMap<EndpointSlot, Arc<Target>>;

/// An endpoint to be checked.
#[derive(Debug)]
struct Target {
    /// Counts the times at which an endpoint came to be checked; the same as long as it is without a break.
    birth: u64,
    upstream: UpstreamSlot,
    upstream_name: String,
    label: String,
    address: Address,
    authority: String,
    settings: model::Health,
    proxy: Option<model::ProxyVersion>,
    secure: Option<Secure>,
}

/// What makes a connection secure.
#[derive(Clone, Debug)]
struct Secure {
    /// The number of what it was made of.
    number: u64,
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Checks {
    /// Begins, with nothing to check, on the event loop that the calling task runs on. At most `kept_most` connections are
    /// kept open from one check to the next.
    #[must_use]
    pub fn start(board: Arc<Board>, kept_most: usize, tell: Tell) -> Self {
        let (plan, wanted) = watch::channel(Arc::default());
        let (shown, found) = watch::channel(Table::default());
        tokio::spawn(schedule::run(wanted, schedule::Outlet { board, table: shown, tell, kept_most }));
        Self { plan, found, births: 0 }
    }

    /// What has been found out, now and from now on.
    #[must_use]
    pub fn found(&self) -> watch::Receiver<Table> {
        self.found.clone()
    }

    /// Checks what a configuration says, from now on: what is new in it is in its initial state when this returns, what
    /// stays keeps its state, and what has left is asked no more. To be called before the cores are given the snapshot.
    pub fn adopt(&mut self, snapshot: &Snapshot) {
        let before = self.plan.borrow().clone();
        let mut plan = Plan::default();
        let mut nameless = 0_usize;
        for upstream in &snapshot.upstreams {
            for (place, endpoint) in upstream.endpoints.iter().enumerate() {
                let standing = snapshot.board.standing(endpoint.slot);
                let Some(settings) = &upstream.settings.health else {
                    if before.contains_key(&endpoint.slot) {
                        standing.set_health(Health::Unknown);
                    }
                    continue;
                };
                if endpoint.slot == EndpointSlot(0) {
                    nameless += 1;
                    continue;
                }
                let known = before.get(&endpoint.slot);
                if known.is_none() {
                    self.births += 1;
                    standing.set_health(course::initial(settings));
                }
                let birth = known.map_or(self.births, |known| known.birth);
                let target = Target::new(upstream, place, settings, birth);
                let same = known.filter(|known| ***known == target);
                plan.insert(endpoint.slot, same.cloned().unwrap_or_else(|| Arc::new(target)));
            }
        }
        if nameless > 0 {
            warn!("{nameless} endpoints are past the bound of what is told apart, and are not checked");
        }
        self.plan.send_replace(Arc::new(plan));
    }
}

/// Brings what a first configuration checks into its initial state, before there is anybody to check it.
pub fn prepare(snapshot: &Snapshot) {
    for upstream in &snapshot.upstreams {
        let Some(settings) = &upstream.settings.health else { continue };
        for endpoint in upstream.endpoints.iter().filter(|endpoint| endpoint.slot != EndpointSlot(0)) {
            snapshot.board.standing(endpoint.slot).set_health(course::initial(settings));
        }
    }
}

/// The word of the admin interface for a state.
#[must_use]
pub const fn word(state: Health) -> &'static str {
    match state {
        Health::Unknown => "unknown",
        Health::Up => "up",
        Health::Down => "down",
    }
}

impl Target {
    fn new(upstream: &Upstream, place: usize, settings: &model::Health, birth: u64) -> Self {
        let endpoint = &upstream.endpoints[place];
        let address = match (&endpoint.address, settings.port) {
            (Address::Ip(own), Some(port)) => Address::Ip((own.ip(), port).into()),
            (own, _) => own.clone(),
        };
        Self {
            birth,
            upstream: upstream.slot,
            upstream_name: upstream.settings.name.clone(),
            label: endpoint.label.clone(),
            address,
            authority: endpoint.authority().to_owned(),
            settings: settings.clone(),
            // Whoever listens at another port knows nothing of it.
            proxy: upstream.settings.proxy_protocol.filter(|_| settings.port.is_none()),
            // That it speaks TLS, as little.
            secure: upstream.tls.as_ref().filter(|_| settings.port.is_none()).and_then(|client| {
                let name = client.name_of(endpoint.address.ip().map(|address| address.ip()))?;
                let http2 = matches!(settings.probe, model::Probe::Grpc { .. });
                Some(Secure { number: client.number, config: client.for_checks(http2), name })
            }),
        }
    }
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        self.birth == other.birth
            && self.address == other.address
            && self.settings == other.settings
            && self.proxy == other.proxy
            && self.secure.as_ref().map(|secure| secure.number) == other.secure.as_ref().map(|secure| secure.number)
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::Connected => f.write_str("connected"),
            Self::Serving => f.write_str("serving"),
            Self::Words(words) => f.write_str(words),
        }
    }
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
