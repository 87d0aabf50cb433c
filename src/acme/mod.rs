//! Certificates that are got by ACME (RFC 8555) and renewed, on the control thread. It refuses to know how cores are told:
//! whoever publishes configurations does what is asked of it ([`Ask`]), and is told what has become of each certificate.
//!
//! Reading order: [`Acme`] (what is kept) → [`course`] (one certificate after the other, for as long as the process lives)
//! → [`moment`] (when, pure), [`held`] (what there is) → [`order`] (one order) → [`web`] (how the directory is spoken to) → [`store`] (files).

mod course;
mod held;
mod moment;
mod order;
mod store;
mod web;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::sync::watch;

use crate::model;
use crate::model::Model;
use crate::tls::challenge::Challenges;

/// What is kept. Held by whoever publishes configurations.
#[derive(Debug)]
pub struct Acme {
    plan: watch::Sender<Arc<Plan>>,
    shown: watch::Receiver<Standings>,
}

/// What is asked of whoever publishes configurations.
#[derive(Debug)]
pub enum Ask {
    /// That the cores answer these challenges from now on, or none.
    Present {
        /// Which.
        challenges: Option<Arc<Challenges>>,
        /// Told when all cores do.
        done: oneshot::Sender<()>,
    },
    /// That what is in the files now is served, and no challenge answered any more.
    Stored {
        /// Told when all cores do.
        done: oneshot::Sender<()>,
    },
}

/// How every certificate is, in the order of the configuration.
pub type Standings = Arc<[Standing]>;

/// How a certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Its names.
    pub names: Vec<String>,
    /// Its file.
    pub file: PathBuf,
    /// The URL of the directory it comes from.
    pub directory: String,
    /// What it is.
    pub state: State,
    /// When it ends, in seconds since 1970; absent: there is none.
    pub not_after: Option<i64>,
    /// When the next order is due, likewise; in the past: it is next.
    pub next: i64,
    /// Why then.
    pub reason: Reason,
    /// The time within which its authority wants it renewed, from and to, if it says one.
    pub window: Option<(i64, i64)>,
    /// Orders that have failed since the last good one.
    pub failures: u32,
    /// Why the last order failed, in words; absent: it did not.
    pub error: Option<String>,
    /// Orders of this process that were good.
    pub issued_total: u64,
    /// Orders of this process that failed.
    pub failed_total: u64,
}

/// What a certificate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is none yet.
    Pending,
    /// An order is under way.
    Ordering,
    /// There is one.
    Issued,
    /// There is one, and it has ended.
    Expired,
}

/// Why an order is due when it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is none for these names.
    First,
    /// Two thirds of its life are over.
    Age,
    /// Its authority says so (RFC 9773).
    Authority,
    /// The last order failed.
    Again,
}

/// What has become of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The first name of the certificate.
    pub name: String,
    /// What it was.
    pub from: &'static str,
    /// `issued` or `failed`.
    pub to: &'static str,
    /// Why, in words.
    pub reason: String,
}

/// Who is told. Called on the control thread; must not wait.
pub type Tell = Box<dyn Fn(Transition) + Send + Sync>;

/// What is to be kept.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    /// How; absent: nothing is.
    settings: Option<model::Acme>,
    /// The names of each certificate with its file, no file twice.
    certificates: Vec<(Vec<String>, PathBuf)>,
}

/// The way to whoever publishes configurations.
#[derive(Clone)]
struct Way(mpsc::Sender<Ask>);

/// Whom the course tells.
struct Outlet {
    way: Way,
    shown: watch::Sender<Standings>,
    tell: Tell,
}

/// What can be found out of certificates without keeping them.
#[derive(Clone, Debug)]
pub struct Survey {
    /// Why the directory could not be asked, in words, if it could not.
    pub directory: Result<(), String>,
    /// How each certificate is, in the order of the configuration.
    pub standings: Vec<Standing>,
    /// Of those whose files cannot be read: why, in words.
    pub unread: Vec<String>,
}

/// Looks at the certificates that are to be kept, and whether their directory can be asked: no order is made, and no file is
/// written. Nothing where nothing is to be kept.
pub async fn survey(model: &Model) -> Option<Survey> {
    let plan = Plan::of(model);
    let settings = plan.settings.as_ref().filter(|_| !plan.certificates.is_empty())?;
    let (standings, unread) = course::survey(&plan).await;
    Some(Survey { directory: order::reach(settings).await.map_err(|failure| failure.words), standings, unread })
}

impl Acme {
    /// Begins, with nothing to keep, on the event loop that the calling task runs on; and what is asked from now on.
    #[must_use]
    pub fn start(tell: Tell) -> (Self, mpsc::Receiver<Ask>) {
        let (plan, wanted) = watch::channel(Arc::default());
        let (shown, standings) = watch::channel(Standings::default());
        let (ask, asked) = mpsc::channel(1);
        tokio::spawn(course::run(wanted, Outlet { way: Way(ask), shown, tell }));
        (Self { plan, shown: standings }, asked)
    }

    /// Keeps what a configuration says, from now on.
    pub fn adopt(&self, model: &Model) {
        let next = Plan::of(model);
        self.plan.send_if_modified(|plan| {
            let differs = **plan != next;
            if differs {
                *plan = Arc::new(next);
            }
            differs
        });
    }

    /// Keeps nothing any more: no order begins, and one that is under way is given up, with nothing come of it.
    pub fn end(&mut self) {
        // Whoever waits for the next plan sees that there is none.
        self.plan = watch::channel(Arc::default()).0;
    }

    /// How everything is, now and from now on.
    #[must_use]
    pub fn standings(&self) -> watch::Receiver<Standings> {
        self.shown.clone()
    }
}

impl Plan {
    fn of(model: &Model) -> Self {
        let mut certificates: Vec<(Vec<String>, PathBuf)> = Vec::new();
        let pairs =
            model.listeners.iter().filter_map(|listener| listener.tls.as_ref()).flat_map(|tls| &tls.certificates);
        for pair in pairs.filter(|pair| !pair.names.is_empty()) {
            if !certificates.iter().any(|(_, file)| *file == pair.cert) {
                certificates.push((pair.names.clone(), pair.cert.clone()));
            }
        }
        Self { settings: model.acme.clone(), certificates }
    }
}

impl State {
    /// The word of the admin interface.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ordering => "ordering",
            Self::Issued => "issued",
            Self::Expired => "expired",
        }
    }
}

impl Reason {
    /// The word of the admin interface.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Age => "age",
            Self::Authority => "authority",
            Self::Again => "again",
        }
    }
}
