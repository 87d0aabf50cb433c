//! What the admin interface shows, as values that `control` puts there, and what it may ask of `control`. It refuses to
//! know how the values came about.

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;

use crate::acme::Standings;
use crate::address::Address;
use crate::admin::events::Book;
use crate::admin::orders::Patch;
use crate::balance::state::State;
use crate::health::Found;
use crate::health::Table;
use crate::id::CoreId;
use crate::id::EndpointSlot;
use crate::id::ListenerSlot;
use crate::id::RouteSlot;
use crate::id::UpstreamSlot;
use crate::model::Model;
use crate::observe::metrics::Slab;
use crate::snapshot::Endpoint;
use crate::snapshot::Snapshot;
use crate::snapshot::Upstream;
use crate::snapshot::slots::Slots;
use crate::time::us;

/// Everything the interface needs for as long as it runs.
pub struct Desk {
    /// What `control` last put up.
    pub scene: watch::Receiver<Arc<Scene>>,
    /// How the cores are at this moment.
    pub cores: Box<dyn Fn() -> Vec<Core> + Send + Sync>,
    /// Access log lines dropped that no core has counted.
    pub log_dropped: Box<dyn Fn() -> u64 + Send + Sync>,
    /// The TOML that a model stands for.
    pub render: fn(&Model) -> String,
    /// Judges the text of a configuration without using it.
    pub check: Arc<dyn Fn(&str) -> Answer + Send + Sync>,
    /// Asks `control` for something; the answer comes back when it is done.
    pub ask: mpsc::Sender<Wish>,
    /// What health checks have found out.
    pub found: watch::Receiver<Table>,
    /// How the certificates are that are got by ACME.
    pub standings: watch::Receiver<Standings>,
    /// What has changed of late.
    pub book: watch::Receiver<Book>,
    /// When the process began to serve this interface.
    pub began: Instant,
}

/// What changes now and then, whole.
#[derive(Clone, Debug)]
pub struct Scene {
    /// How far the process is.
    pub standing: Standing,
    /// The configuration in force.
    pub snapshot: Arc<Snapshot>,
    /// Every name that has a slot.
    pub labels: Labels,
    /// The addresses that the listeners in force have, by their names; ports chosen by the kernel are known.
    pub listening: Vec<(String, Address)>,
    /// How the last reload went; the start counts as one.
    pub reload: Reload,
    /// Keys whose value in the file is not the one in force, because they are fixed at start.
    pub needs_restart: Vec<&'static str>,
}

/// How far the process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not every core listens yet.
    Starting,
    /// Every core has come to listen.
    Serving,
    /// No new connections are accepted; what runs is finished.
    Draining,
}

/// How a reload went.
#[derive(Clone, Debug)]
pub struct Reload {
    /// When it was decided.
    pub at: SystemTime,
    /// Why it was refused; absent when it was not.
    pub refused: Option<Refused>,
}

/// Why a configuration was refused.
#[derive(Clone, Debug)]
pub struct Refused {
    /// For people, without colour.
    pub text: String,
    /// For programs.
    pub faults: serde_json::Value,
}

/// What `control` may be asked for.
#[derive(Debug)]
pub enum Wish {
    /// To read the configuration anew.
    Reload(oneshot::Sender<Answer>),
    /// To order something of an endpoint.
    Order {
        /// The upstream's name, as it was written.
        upstream: String,
        /// The endpoint's address, as it was written.
        endpoint: String,
        /// What is asked.
        patch: Patch,
        /// Who is to be told.
        asker: oneshot::Sender<Answer>,
    },
}

/// The answer to a POST or a PATCH.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON body.
    pub body: serde_json::Value,
}

/// How a core is.
#[derive(Clone, Debug)]
pub struct Core {
    /// Which one.
    pub id: CoreId,
    /// How far it is: `starting`, `serving`, `draining` or `ended`.
    pub stage: &'static str,
    /// The CPU it is pinned to; absent if pinning failed.
    pub cpu: Option<usize>,
    /// `io_uring` or `epoll`.
    pub io: &'static str,
    /// The ring flags in force, in words.
    pub flags: &'static str,
    /// Why this kind of loop and not a better one; empty when it is the best.
    pub reason: String,
    /// Why it could not start or died last; empty when it did not.
    pub fault: String,
    /// The sequence of the last snapshot it has taken; 0 for none.
    pub acknowledged: u64,
    /// What it counts.
    pub slab: Arc<Slab>,
}

/// Every name that has a slot, in the order of the names. Cheap to copy.
#[derive(Clone, Debug)]
pub struct Labels {
    /// Listener names.
    pub listeners: Arc<[(ListenerSlot, String)]>,
    /// Route labels.
    pub routes: Arc<[(RouteSlot, String)]>,
    /// Upstream names.
    pub upstreams: Arc<[(UpstreamSlot, String)]>,
    /// Endpoints, as upstream name and address.
    pub endpoints: Arc<[(EndpointSlot, String, String)]>,
}

/// One look at everything: what a page is made from.
#[derive(Clone, Debug)]
pub struct Reading {
    /// What `control` had put up.
    pub scene: Arc<Scene>,
    /// How the cores were.
    pub cores: Vec<Core>,
    /// When it was taken.
    pub at: Instant,
    /// Access log lines dropped that no core has counted.
    pub log_dropped: u64,
    /// Since the interface began.
    pub uptime: Duration,
    /// The TOML that a model stands for.
    pub render: fn(&Model) -> String,
    /// What health checks have found out.
    pub found: watch::Receiver<Table>,
    /// How the certificates are that are got by ACME.
    pub standings: Standings,
    /// What has changed of late.
    pub book: watch::Receiver<Book>,
}

impl Desk {
    /// Takes a look.
    #[must_use]
    pub fn read(&self) -> Reading {
        Reading {
            scene: self.scene.borrow().clone(),
            cores: (self.cores)(),
            at: Instant::now(),
            log_dropped: (self.log_dropped)(),
            uptime: self.began.elapsed(),
            render: self.render,
            found: self.found.clone(),
            standings: self.standings.borrow().clone(),
            book: self.book.clone(),
        }
    }
}

impl Reading {
    /// Whether new connections are served.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn ready(&self) -> Result<(), &'static str> {
        match self.scene.standing {
            Standing::Starting => Err("starting: not every core listens yet"),
            Standing::Draining => Err("draining: no new connections are accepted"),
            Standing::Serving if !self.cores.iter().any(|core| core.stage == "serving") => Err("no core serves"),
            Standing::Serving => Ok(()),
        }
    }

    /// How an endpoint does.
    #[must_use]
    pub fn state(&self, upstream: &Upstream, endpoint: &Endpoint) -> State {
        let board = &self.scene.snapshot.board;
        board.state(endpoint.slot, us(upstream.settings.slow_start), board.at(self.at))
    }

    /// What the health check of an endpoint has found out, if it has one.
    #[must_use]
    pub fn found(&self, endpoint: EndpointSlot) -> Option<Found> {
        self.found.borrow().get(&endpoint).cloned()
    }

    /// How many requests the bound of an upstream that follows its latency lets in, if it has one: the sum over the cores
    /// that have had any.
    #[must_use]
    pub fn adaptive(&self, upstream: &Upstream) -> Option<u64> {
        let limit = || self.sum(|slab| slab.peek_upstream(upstream.slot).map_or(0, |counts| counts.adaptive.get()));
        upstream.settings.limits.adaptive.then(limit)
    }

    /// The sum over all cores of what `of` reads from each.
    pub fn sum(&self, of: impl Fn(&Slab) -> u64) -> u64 {
        self.cores.iter().map(|core| of(&core.slab)).fold(0, u64::wrapping_add)
    }
}

impl Standing {
    /// The word of the admin interface.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Draining => "draining",
        }
    }
}

impl Refused {
    /// The answer to who asked.
    #[must_use]
    pub fn answer(&self) -> Answer {
        Answer { status: 422, body: serde_json::json!({ "ok": false, "error": self.text, "faults": self.faults }) }
    }
}

impl Labels {
    /// Every name in `slots`; the lists of `before` are kept where nothing was added, for names never leave.
    #[must_use]
    pub fn of(slots: &Slots, before: Option<&Self>) -> Self {
        Self {
            listeners: pairs(before.map(|b| &b.listeners), || slots.listeners()),
            routes: pairs(before.map(|b| &b.routes), || slots.routes()),
            upstreams: pairs(before.map(|b| &b.upstreams), || slots.upstreams()),
            endpoints: endpoints(before.map(|b| &b.endpoints), slots),
        }
    }
}

fn pairs<'a, S, I>(before: Option<&Arc<[(S, String)]>>, names: impl Fn() -> I) -> Arc<[(S, String)]>
where
    I: Iterator<Item = (S, &'a str)>,
{
    match before {
        Some(before) if before.len() == names().count() => before.clone(),
        _ => {
            let mut list: Vec<_> = names().map(|(slot, name)| (slot, name.to_owned())).collect();
            list.sort_by(|a, b| a.1.cmp(&b.1));
            list.into()
        }
    }
}

type Endpoints = Arc<[(EndpointSlot, String, String)]>;

fn endpoints(before: Option<&Endpoints>, slots: &Slots) -> Endpoints {
    if let Some(before) = before
        && before.len() == slots.endpoints().count()
    {
        return before.clone();
    }
    let named = slots.endpoints().map(|(slot, name)| {
        // `UPSTREAM ADDRESS`: an address has no spaces.
        let (upstream, address) = name.rsplit_once(' ').unwrap_or((name, name));
        (slot, upstream.to_owned(), address.to_owned())
    });
    let mut list: Vec<_> = named.collect();
    list.sort_by(|a, b| (&a.1, &a.2).cmp(&(&b.1, &b.2)));
    list.into()
}
