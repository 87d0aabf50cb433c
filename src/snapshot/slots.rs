//! Which name has which slot, for as long as the process lives; and the few numbers that cores share.
//!
//! The control thread alone holds [`Slots`]. A name that left the configuration keeps its slot, so that it finds its
//! counters again when it comes back; past `limits::LABELS` names of one kind, new ones share slot 0.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use crate::balance::board::Board;
use crate::balance::plan::Plan;
use crate::balance::sticky::Seal;
use crate::id::EndpointSlot;
use crate::id::ListenerSlot;
use crate::id::RouteSlot;
use crate::id::UpstreamSlot;
use crate::limits;
use crate::model;
use crate::rand;
use crate::snapshot::clients::Clients;
use crate::snapshot::overload::Overload;
use crate::tls::challenge::Challenges;
use crate::tls::files::Faulty;
use crate::tls::store::Material;
use crate::tls::store::Stamps;
use crate::tls::store::Store;
use crate::tls::store::Zeal;

/// A number that all cores change: of open connections, when one opens or closes; or of requests in flight, where the
/// configuration bounds those, when one begins or ends.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Shared {
    taken: AtomicU32,
    /// How often a place was asked of those who hold one idle.
    asked: AtomicU32,
}

impl Shared {
    /// Takes one place of `max`, or none.
    #[must_use]
    pub fn enter(&self, max: u32) -> bool {
        if self.taken.fetch_add(1, Relaxed) < max {
            return true;
        }
        self.leave();
        false
    }

    /// Gives a place back.
    pub fn leave(&self) {
        self.taken.fetch_sub(1, Relaxed);
    }

    /// Places taken now.
    #[must_use]
    pub fn taken(&self) -> u32 {
        self.taken.load(Relaxed)
    }

    /// Asks whoever holds a place idle for it.
    pub fn ask(&self) {
        self.asked.fetch_add(1, Relaxed);
    }

    /// How often that was asked so far.
    #[must_use]
    pub fn asked(&self) -> u32 {
        self.asked.load(Relaxed)
    }
}

/// The slots of all names the process has seen.
#[derive(Debug)]
pub struct Slots {
    sequence: u64,
    process: Arc<Shared>,
    board: Arc<Board>,
    overload: Arc<Overload>,
    listeners: Names,
    clients: HashMap<ListenerSlot, Arc<Clients>>,
    requests: HashMap<EndpointSlot, Arc<Shared>>,
    connections: HashMap<UpstreamSlot, Arc<Shared>>,
    /// The last plan of each upstream, for as long as somebody has it.
    plans: HashMap<UpstreamSlot, Weak<Plan>>,
    /// What cookies are signed with where the configuration has no secret for them.
    secret: [u8; 32],
    /// What was made of the files that configurations name.
    store: Store,
    /// What authorities are answered at present.
    challenges: Option<Arc<Challenges>>,
    routes: Names,
    upstreams: Names,
    endpoints: Names,
}

#[derive(Debug, Default)]
struct Names {
    known: HashMap<String, (u32, Arc<Shared>)>,
}

impl Default for Slots {
    fn default() -> Self {
        Self::new(1, Instant::now())
    }
}

/// The label of slot 0: requests that no route took, and names past the bound.
pub const OTHER: &str = "_other";

impl Slots {
    /// No names yet, for a process with so many cores, whose shared clock begins at `epoch`.
    #[must_use]
    pub fn new(cores: usize, epoch: Instant) -> Self {
        let mut slots = Self {
            sequence: 0,
            process: Arc::default(),
            board: Arc::new(Board::new(cores, epoch)),
            overload: Arc::default(),
            listeners: Names::default(),
            clients: HashMap::default(),
            requests: HashMap::default(),
            connections: HashMap::default(),
            plans: HashMap::default(),
            secret: rand::secret(),
            store: Store::new(),
            challenges: None,
            routes: Names::default(),
            upstreams: Names::default(),
            endpoints: Names::default(),
        };
        // Slot 0 of each kind is for what has no name of its own.
        for names in [&mut slots.listeners, &mut slots.routes, &mut slots.upstreams, &mut slots.endpoints] {
            names.slot(OTHER);
        }
        slots
    }

    /// Reads the files that a model names for TLS: what is compiled next is served with what they hold. What cannot be read
    /// although the old is kept is told of.
    ///
    /// # Errors
    /// Every fault; nothing has changed.
    pub fn load_files(&mut self, model: &model::Model, zeal: Zeal) -> Result<Vec<Faulty>, Vec<Faulty>> {
        self.store.load(model, zeal)
    }

    /// What is compiled next answers authorities so that look whether names are ours, or none of them.
    pub fn set_challenges(&mut self, challenges: Option<Arc<Challenges>>) {
        self.challenges = challenges;
    }

    pub(super) fn challenges(&self) -> Option<Arc<Challenges>> {
        self.challenges.clone()
    }

    /// Draws a new secret for tickets if it is time; whether it did: then the files are to be read anew.
    pub fn renew_tickets(&mut self) -> bool {
        self.store.renew()
    }

    /// The files that were read last, as they were seen just before.
    #[must_use]
    pub fn stamps(&self) -> &Stamps {
        self.store.stamps()
    }

    pub(super) fn material(&self) -> Arc<Material> {
        self.store.material()
    }

    pub(super) fn board(&self) -> Arc<Board> {
        self.board.clone()
    }

    pub(super) fn overload(&self) -> Arc<Overload> {
        self.overload.clone()
    }

    pub(super) fn listener(&mut self, name: &str) -> (ListenerSlot, Arc<Shared>) {
        let (slot, shared) = self.listeners.slot(name);
        (ListenerSlot(slot), shared)
    }

    /// Who has connections open at a listener. Names past the bound share no count.
    pub(super) fn clients(&mut self, slot: ListenerSlot) -> Arc<Clients> {
        if slot == ListenerSlot(0) { Arc::default() } else { self.clients.entry(slot).or_default().clone() }
    }

    pub(super) fn route(&mut self, label: &str) -> RouteSlot {
        RouteSlot(self.routes.slot(label).0)
    }

    /// The number is that of its requests in flight, where they are bounded.
    pub(super) fn upstream(&mut self, name: &str) -> (UpstreamSlot, Arc<Shared>) {
        let (slot, shared) = self.upstreams.slot(name);
        (UpstreamSlot(slot), shared)
    }

    /// A new plan of an upstream, made with a look at the one before.
    pub(super) fn plan(&mut self, slot: UpstreamSlot, make: impl FnOnce(Option<&Plan>) -> Plan) -> Arc<Plan> {
        let before = self.plans.get(&slot).and_then(Weak::upgrade);
        let plan = Arc::new(make(before.as_deref()));
        self.plans.insert(slot, Arc::downgrade(&plan));
        plan
    }

    /// Requests in flight at an endpoint, where they are bounded. Names past the bound share no count.
    pub(super) fn requests(&mut self, slot: EndpointSlot) -> Arc<Shared> {
        if slot == EndpointSlot(0) { Arc::default() } else { self.requests.entry(slot).or_default().clone() }
    }

    /// Open connections to all endpoints of an upstream. Names past the bound share no count.
    pub(super) fn connections(&mut self, slot: UpstreamSlot) -> Arc<Shared> {
        if slot == UpstreamSlot(0) { Arc::default() } else { self.connections.entry(slot).or_default().clone() }
    }

    pub(super) fn endpoint(&mut self, name: &str) -> (EndpointSlot, Arc<Shared>) {
        let (slot, shared) = self.endpoints.slot(name);
        (EndpointSlot(slot), shared)
    }

    /// What signs the cookies of an upstream that keeps clients at its endpoints.
    pub(super) fn seal(&self, upstream: &model::Upstream) -> Option<Seal> {
        let secret = upstream.sticky.as_ref()?.secret.as_ref().map_or(self.secret.as_slice(), String::as_bytes);
        Some(Seal::new(secret, &upstream.name))
    }

    pub(super) fn process(&self) -> Arc<Shared> {
        self.process.clone()
    }

    pub(super) fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// Every route label seen, with its slot.
    pub fn routes(&self) -> impl Iterator<Item = (RouteSlot, &str)> {
        self.routes.each().map(|(slot, name)| (RouteSlot(slot), name))
    }

    /// Every upstream name seen, with its slot.
    pub fn upstreams(&self) -> impl Iterator<Item = (UpstreamSlot, &str)> {
        self.upstreams.each().map(|(slot, name)| (UpstreamSlot(slot), name))
    }

    /// Every endpoint seen, as `UPSTREAM ADDRESS`, with its slot.
    pub fn endpoints(&self) -> impl Iterator<Item = (EndpointSlot, &str)> {
        self.endpoints.each().map(|(slot, name)| (EndpointSlot(slot), name))
    }

    /// Every listener name seen, with its slot.
    pub fn listeners(&self) -> impl Iterator<Item = (ListenerSlot, &str)> {
        self.listeners.each().map(|(slot, name)| (ListenerSlot(slot), name))
    }
}

impl Names {
    fn slot(&mut self, name: &str) -> (u32, Arc<Shared>) {
        if let Some((slot, shared)) = self.known.get(name) {
            return (*slot, shared.clone());
        }
        let next = self.known.len();
        if next >= limits::LABELS {
            return (0, Arc::default());
        }
        let slot = u32::try_from(next).unwrap_or(0);
        let shared = Arc::<Shared>::default();
        self.known.insert(name.to_owned(), (slot, shared.clone()));
        (slot, shared)
    }

    fn each(&self) -> impl Iterator<Item = (u32, &str)> {
        self.known.iter().map(|(name, (slot, _))| (*slot, name.as_str()))
    }
}
