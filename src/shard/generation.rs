//! One snapshot bound to one core: the snapshot, and what the core keeps beside it. Swapped whole, between requests.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::balance::Ask;
use crate::balance::Picker;
use crate::balance::budget::Income;
use crate::balance::ledger::Ledger;
use crate::id::ListenerSlot;
use crate::id::UpstreamIndex;
use crate::model::Keep;
use crate::rand::Rng;
use crate::snapshot::Listener;
use crate::snapshot::Snapshot;
use crate::snapshot::Upstream;
use crate::upstream::connect::NoConnection;
use crate::upstream::connect::Secure;
use crate::upstream::pool::Pools;
use crate::upstream::pool::Terms;

/// A snapshot in force on a core.
#[derive(Debug)]
pub struct Generation {
    /// What all cores share.
    pub snapshot: Arc<Snapshot>,
    /// By [`UpstreamIndex`].
    pickers: Vec<RefCell<Picker>>,
    /// By [`UpstreamIndex`]: what its TLS connections are made with here.
    secure: Vec<Option<Arc<ClientConfig>>>,
    ledger: Rc<Ledger>,
}

/// What the TLS connections to an upstream are made with on this core. What was settled before is remembered for as long
/// as nothing of it has changed.
fn secure(upstream: &Upstream, before: Option<&Generation>) -> Option<Arc<ClientConfig>> {
    let client = upstream.tls.as_ref()?;
    let known = before.and_then(|before| {
        let same = |old: &Upstream| old.tls.as_ref().is_some_and(|old| old.number == client.number);
        let place = before.snapshot.upstreams.iter().position(same)?;
        before.secure.get(place)?.clone()
    });
    Some(known.unwrap_or_else(|| client.for_core()))
}

impl Generation {
    /// Binds a snapshot. Balancer state and idle connections of endpoints that stay are kept.
    #[must_use]
    pub fn bind(snapshot: Arc<Snapshot>, before: Option<&Self>, ledger: &Rc<Ledger>, pools: &Pools, rng: &Rng) -> Self {
        let pickers = snapshot.upstreams.iter().map(|upstream| {
            let known = before.and_then(|before| {
                let place = before.snapshot.upstreams.iter().position(|old| old.slot == upstream.slot)?;
                before.pickers.get(place)
            });
            let known = known.map(RefCell::borrow);
            RefCell::new(Picker::bind(ledger, upstream.slot, &upstream.plan, known.as_deref(), rng))
        });
        let pickers = pickers.collect();
        let secure = snapshot.upstreams.iter().map(|upstream| secure(upstream, before)).collect();
        pools.bind(snapshot.upstreams.iter().flat_map(|upstream| {
            let settings = &upstream.settings;
            let Keep { connections: most, warm, idle, requests, age } = settings.keep;
            let identity = upstream.tls.as_ref().map_or(0, |client| client.number);
            let most = if upstream.carried_alone { 0 } else { most };
            let terms = Terms { most, warm: warm.min(most), idle, requests, age, identity };
            upstream.endpoints.iter().map(move |endpoint| (endpoint.slot, terms))
        }));
        Self { snapshot, pickers, secure, ledger: ledger.clone() }
    }

    /// The place of the endpoint that takes the next attempt at an upstream. `now` is the board's.
    #[must_use]
    pub fn pick(&self, upstream: UpstreamIndex, ask: &Ask<'_>, now: u64, rng: &Rng) -> Option<usize> {
        self.pickers.get(upstream.index())?.borrow_mut().pick(ask, now, rng)
    }

    /// Counts a request at an upstream, once, whatever is tried for it: its budget of retries is a share of these.
    pub fn count_request(&self, upstream: UpstreamIndex) {
        self.ledger.request(self.snapshot.upstream(upstream).slot);
    }

    /// What makes the connections to an upstream secure, beginning with `before`; nothing if they are not to be.
    ///
    /// # Errors
    /// They are to be, and it is not known how.
    pub fn secure<'a>(&'a self, upstream: UpstreamIndex, before: &'a [u8]) -> Result<Option<Secure<'a>>, NoConnection> {
        let compiled = self.snapshot.upstream(upstream);
        if compiled.settings.tls.is_none() {
            return Ok(None);
        }
        let config = self.secure.get(upstream.index()).and_then(Option::as_ref);
        let both = compiled.tls.as_deref().zip(config);
        both.map(|(client, config)| Some(Secure { client, config, before })).ok_or(NoConnection::Insecure("no files"))
    }

    /// The place of any eligible endpoint of an upstream that has room, for a request that has looked at many without. `now` is
    /// the board's.
    #[must_use]
    pub fn any(&self, upstream: UpstreamIndex, has_room: impl Fn(usize) -> bool, now: u64, rng: &Rng) -> Option<usize> {
        self.pickers.get(upstream.index())?.borrow_mut().any(has_room, now, rng)
    }

    /// Whether another attempt may be paid for. `now` is the board's.
    #[must_use]
    pub fn may_retry(&self, upstream: UpstreamIndex, now: u64) -> bool {
        let Some(upstream) = self.snapshot.upstreams.get(upstream.index()) else { return false };
        let (board, retry) = (self.ledger.board(), &upstream.settings.retry);
        let income = Income { percent: retry.budget_percent, per_second: retry.budget_per_second };
        board.fleet(upstream.slot).retries.take(income, now, board.requests(upstream.slot))
    }

    /// Counts a request that may be hedged: it earns so many hundredths of a hedge.
    pub fn earn_hedge(&self, upstream: UpstreamIndex, percent: u32) {
        self.ledger.earn_hedge(self.snapshot.upstream(upstream).slot, percent);
    }

    /// Whether a hedge may be paid for: out of one store of an upstream for all cores, which its requests fill.
    #[must_use]
    pub fn may_hedge(&self, upstream: UpstreamIndex) -> bool {
        let (board, slot) = (self.ledger.board(), self.snapshot.upstream(upstream).slot);
        board.fleet(slot).hedges.take_earned(board.hedges(slot))
    }

    /// The listener of a slot, unless it has left the configuration.
    #[must_use]
    pub fn listener(&self, slot: ListenerSlot) -> Option<&Listener> {
        self.snapshot.listeners.iter().find(|listener| listener.slot == slot)
    }
}
