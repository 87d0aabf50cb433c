//! Step 5: a request on its course. It is admitted, and tried at one endpoint after another until one answers or none may
//! be tried any more. Whether and where to is planned here as soon as an attempt has come to nothing, or its response is
//! one to be refused; everything is asked before the retry is paid for.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::balance::Ask;
use crate::balance::Tried;
use crate::balance::hash;
use crate::http::head::Method;
use crate::http::head::Request;
use crate::http::upgrade;
use crate::io::both::beside;
use crate::io::task;
use crate::model::Balance;
use crate::observe::ended::Cause;
use crate::observe::ended::Ended;
use crate::policy::deadline;
use crate::policy::key;
use crate::policy::retry;
use crate::policy::retry::Fault;
use crate::relay::kept::Kept;
use crate::serve::admit;
use crate::serve::attempt;
use crate::serve::attempt::Body;
use crate::serve::attempt::Failed;
use crate::serve::attempt::Held;
use crate::serve::attempt::Scene;
use crate::serve::attempt::Terms;
use crate::serve::conn::Client;
use crate::serve::h1::Fate;
use crate::serve::reply;
use crate::serve::reply::Answer;
use crate::serve::secure::Secured;
use crate::serve::tally::Facts;
use crate::serve::tally::Tally;
use crate::shard::Shard;
use crate::snapshot::Route;
use crate::snapshot::Upstream;
use crate::time::TICK;

/// What has been tried for a request, and what is to be tried next.
#[derive(Debug)]
pub(crate) struct Course {
    /// Whether acting twice is as good as once.
    idempotent: bool,
    /// Attempts at the most.
    attempts: u32,
    tried: Cell<Tried>,
    /// Endpoints that do not want to be asked again so soon.
    barred: Cell<Tried>,
    retries: Cell<u32>,
    /// Whether the last of them has not been counted: it has found nowhere to go yet.
    uncounted: Cell<bool>,
    /// Looks left at an endpoint whose connections are all taken.
    patience: Cell<u32>,
    /// Waited for them, in microseconds.
    queued: Cell<u64>,
    next: Cell<Option<Next>>,
}

/// An attempt to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Next {
    /// At which endpoint of the upstream.
    pub(crate) place: usize,
    /// Over a new connection, come what may.
    pub(crate) fresh: bool,
    /// After how long.
    pause: Duration,
    /// Whether that is a wait for a connection, none of its endpoint's being free.
    waits: bool,
}

impl Next {
    fn at_once(place: usize, fresh: bool) -> Self {
        Self { place, fresh, pause: Duration::ZERO, waits: false }
    }
}

/// Looks at endpoints for one request, attempts or not: an endpoint without room costs a look and no attempt.
const LOOKS: usize = 3 * Tried::MOST;
/// Looks at an endpoint whose connections are all taken, after the first, a tick apart.
const PATIENCE: u32 = 4;

/// Brings a request that has a route to its end.
pub(crate) async fn run(
    shard: &Rc<Shard>,
    client: &mut Client<'_>,
    body: &mut Body,
    (facts, route): (&Facts<'_>, &Route),
    (tally, upgrade): (&Tally, &[u8]),
) -> (Ended, Fate) {
    let upstream = facts.generation.snapshot.upstream(route.upstream);
    let request = client.request.view(client.inbound.bytes());
    let asked = deadline::Asked::of(request, upstream.settings.deadline.as_deref());
    let terms = Terms::of(facts.listener, upstream, route, tally.began, asked);
    let retry = &upstream.settings.retry;
    let attempts = route.settings.attempts.unwrap_or(retry.attempts);
    let course = Course::new(request.method_kind().is_idempotent(), attempts);
    let kept = Kept::new(if course.idempotent && course.attempts > 1 { body.worth(retry.body) } else { 0 });
    let key = match &upstream.settings.balance {
        Balance::Hash(hashing) => {
            let shown = client.seat.secured().map_or("", Secured::who);
            let whose = (facts.identity.client, shown, &route.settings.path);
            key::hash(&hashing.keys, request, whose, hash::of)
        }
        _ => None,
    };
    let (course, kept, sticky) = (&course, &kept, sticky(shard, upstream, request));
    let scene = Scene { shard, facts, upstream, route, terms, tally, upgrade, asked, key, sticky, course, kept };
    match admit::admit(&scene, client).await {
        Ok(place) => {
            let outcome = course.follow(&scene, client, body).await;
            course.count_wait(&scene);
            place.settle(shard, tally, outcome.0.cause);
            outcome
        }
        Err(Cause::ClientAbort) => (tally.ended(Cause::ClientAbort), Fate::Close),
        Err(cause) => answer_whole(shard, client, tally, body, Answer::to(cause, "")).await,
    }
}

/// The endpoint at which a cookie of the request keeps its client, if there still is such a one.
fn sticky(shard: &Shard, upstream: &Upstream, request: Request<'_>) -> Option<usize> {
    let (settings, seal) = upstream.settings.sticky.as_ref().zip(upstream.seal.as_ref())?;
    let id = seal.read(key::cookie(request, &settings.cookie)?, shard.clock.unix_seconds())?;
    upstream.plan.candidates.iter().position(|candidate| candidate.id == id)
}

impl Course {
    /// At its beginning.
    pub(crate) fn new(idempotent: bool, attempts: u32) -> Self {
        Self {
            idempotent,
            attempts,
            tried: Cell::default(),
            barred: Cell::default(),
            retries: Cell::new(0),
            uncounted: Cell::new(false),
            patience: Cell::new(PATIENCE),
            queued: Cell::new(0),
            next: Cell::new(None),
        }
    }

    /// Makes attempts until one has answered.
    async fn follow(&self, scene: &Scene<'_>, client: &mut Client<'_>, body: &mut Body) -> (Ended, Fate) {
        let Scene { shard, tally, .. } = *scene;
        let mut last = Failed::none();
        let first = pick(scene, &Tried::default());
        self.next.set(first.map(|place| Next::at_once(place, false)));
        for _ in 0..LOOKS {
            let Some(next) = self.next.take() else { break };
            if !next.pause.is_zero() && !waits_out(scene, client, next).await {
                return (tally.ended(Cause::ClientAbort), Fate::Close);
            }
            match attempt::attempt(scene, client, body, next).await {
                Ok(done) => return done,
                Err(failed) => {
                    last = failed;
                    // A response that was refused has been planned for: else it would have been the answer.
                    if self.next.get().is_none() {
                        self.plan(scene, failed.fault, None);
                    }
                }
            }
        }
        answer_whole(shard, client, tally, body, Answer::to(last.cause, last.detail)).await
    }

    /// Opens a connection for a client whose bytes are carried, at one endpoint after another until there is one.
    ///
    /// # Errors
    /// Why there is none; `ClientAbort` if the client has gone meanwhile.
    pub(crate) async fn open<'a>(&self, scene: &Scene<'a>, client: &Client<'_>) -> Result<Held<'a>, Failed> {
        let mut last = Failed::none();
        let first = pick(scene, &Tried::default());
        self.next.set(first.map(|place| Next::at_once(place, true)));
        for _ in 0..LOOKS {
            let Some(next) = self.next.take() else { break };
            if !next.pause.is_zero() && !waits_out(scene, client, next).await {
                return Err(Failed { cause: Cause::ClientAbort, ..last });
            }
            let lend = attempt::lend(scene, client, next.place, true);
            match beside(lend, client.seat.line.broken(), |()| true).await.0 {
                Some(Ok(held)) => return Ok(held),
                Some(Err(failed)) => last = failed,
                None => return Err(Failed { cause: Cause::ClientAbort, ..last }),
            }
            self.plan(scene, last.fault, None);
        }
        Err(last)
    }

    /// Plans another attempt after one that came to nothing, if one may be made, and says whether. Its endpoint may have
    /// said how long it is not to be asked again.
    pub(crate) fn plan(&self, scene: &Scene<'_>, fault: Fault, after: Option<Duration>) -> bool {
        let Scene { shard, upstream, tally, kept, .. } = *scene;
        let retry = &upstream.settings.retry;
        let Some(place) = tally.endpoint.get() else { return false };
        note(&self.tried, place);
        if after.is_some_and(|after| !after.is_zero()) {
            note(&self.barred, place);
        }
        let told = tally.bytes_out.get() > 0;
        if told || !self.wants(scene, fault) {
            return false;
        }
        let counts = shard.slab.upstream(upstream.slot);
        if !kept.is_whole() {
            // What would not have been made for another reason is not counted for this one.
            let left = fault.is_free() || tally.attempts.get() < self.attempts;
            counts.unkept.add(u64::from(left));
            return false;
        }
        if fault == Fault::Stale {
            // This says nothing of the endpoint and was no attempt at it: the same once more.
            tally.attempts.set(tally.attempts.get().saturating_sub(1));
            self.next.set(Some(Next::at_once(place, true)));
            return true;
        }
        if !fault.is_free() && tally.attempts.get() >= self.attempts {
            return false;
        }
        let Some((place, same)) = self.other(scene, fault) else {
            return fault == Fault::Full && self.look_again(scene, place);
        };
        if fault.is_free() {
            self.next.set(Some(Next::at_once(place, false)));
            return true;
        }
        let nth = self.retries.get() + 1;
        let pause = retry::pause(retry, nth, same, &shard.rng);
        if scene.patience(Duration::MAX) <= pause {
            return false;
        }
        if !scene.facts.generation.may_retry(scene.route.upstream, shard.clock.now_us()) {
            counts.unpaid.add(1);
            return false;
        }
        self.uncounted.set(true);
        self.retries.set(nth);
        self.next.set(Some(Next { pause, ..Next::at_once(place, same) }));
        true
    }

    /// Plans a look at an endpoint without room, a little later: connections that are idle on other cores are given up
    /// when asked for, and others may be done.
    fn look_again(&self, scene: &Scene<'_>, place: usize) -> bool {
        let left = self.patience.get();
        if left == 0 || scene.patience(Duration::MAX) <= TICK {
            return false;
        }
        self.patience.set(left - 1);
        self.next.set(Some(Next { pause: TICK, waits: true, ..Next::at_once(place, false) }));
        true
    }

    /// Whether such a fault is a reason for another attempt at this request.
    pub(crate) fn wants(&self, scene: &Scene<'_>, fault: Fault) -> bool {
        retry::is_wanted(&scene.upstream.settings.retry.on, fault, self.idempotent)
    }

    /// Counts a retry that was planned, once it goes somewhere.
    pub(crate) fn count_retry(&self, scene: &Scene<'_>) {
        if self.uncounted.take() {
            scene.shard.slab.upstream(scene.upstream.slot).retries.add(1);
        }
    }

    /// Counts what was waited for connections, once for all.
    pub(crate) fn count_wait(&self, scene: &Scene<'_>) {
        match self.queued.take() {
            0 => {}
            waited => scene.shard.slab.upstream(scene.upstream.slot).waited(waited),
        }
    }

    /// An endpoint for another attempt, and whether it has been tried before: one that has not, if there is one; else any
    /// that may be asked again.
    fn other(&self, scene: &Scene<'_>, fault: Fault) -> Option<(usize, bool)> {
        if fault == Fault::Full && self.tried.get().is_full() {
            // More have no room than can be told apart: now all are looked at.
            let Scene { shard, facts, upstream, route, .. } = *scene;
            let room = |place: usize| upstream.endpoints.get(place).is_some_and(|one| admit::has_room(scene, one));
            let place = facts.generation.any(route.upstream, room, shard.clock.now_us(), &shard.rng);
            return place.map(|place| (place, false));
        }
        if let Some(place) = pick(scene, &self.tried.get()) {
            return Some((place, false));
        }
        if fault == Fault::Full {
            return None;
        }
        self.tried.set(self.barred.get());
        pick(scene, &self.barred.get()).map(|place| (place, true))
    }

    /// An endpoint for a second attempt beside the one at `first`.
    pub(crate) fn another(&self, scene: &Scene<'_>, first: usize) -> Option<usize> {
        note(&self.tried, first);
        pick(scene, &self.tried.get())
    }

    /// Says that an endpoint is tried.
    pub(crate) fn tries(&self, place: usize) {
        note(&self.tried, place);
    }

    /// Whether the request may be sent twice.
    pub(crate) fn may_hedge(&self) -> bool {
        self.idempotent
    }
}

/// Lets a pause pass. False: the client has gone meanwhile.
async fn waits_out(scene: &Scene<'_>, client: &Client<'_>, next: Next) -> bool {
    let Scene { shard, upstream, tally, .. } = *scene;
    let (began, counts) = (shard.clock.now_us(), shard.slab.upstream(upstream.slot));
    counts.waiting.add(u64::from(next.waits));
    // Boxed, since it is rare, and so aligned that every exchange would be.
    let (over, _) = Box::pin(beside(task::sleep(next.pause), client.seat.line.gone(), |()| true)).await;
    counts.waiting.sub(u64::from(next.waits));
    if next.waits {
        let waited = shard.clock.now_us().saturating_sub(began);
        scene.course.queued.set(scene.course.queued.get() + waited);
        tally.queue_us.set(tally.queue_us.get() + waited);
    }
    over.is_some()
}

fn note(tried: &Cell<Tried>, place: usize) {
    let mut all = tried.get();
    if !all.has(place) {
        all.note(place);
        tried.set(all);
    }
}

fn pick(scene: &Scene<'_>, tried: &Tried) -> Option<usize> {
    let Scene { shard, facts, route, tally, key, sticky, .. } = *scene;
    let ask = Ask { tried, key, sticky };
    // The first choice is made as the exchange begins, as near as matters, unless it has waited for a place.
    let first = tally.attempts.get() == 0;
    let now = if first && tally.queue_us.get() == 0 { tally.began } else { shard.clock.now_us() };
    // Where all were tried, a retry begins with none tried either.
    if first && tried.is_empty() {
        facts.generation.count_request(route.upstream);
    }
    facts.generation.pick(route.upstream, &ask, now, &shard.rng)
}

/// Answers in the upstream's stead. The connection is kept if the request was read whole, unless it was to become a tunnel:
/// what its client has sent for that is no request.
pub(crate) async fn answer_whole(
    shard: &Shard,
    client: &mut Client<'_>,
    tally: &Tally,
    body: &Body,
    answer: Answer<'_>,
) -> (Ended, Fate) {
    let request = client.request.view(client.inbound.bytes());
    let head_only = request.method_kind() == Method::Head;
    let tunnel = request.method_kind() == Method::Connect || upgrade::is_asked(request);
    let keep = !tunnel && body.source.ended() && request.keep_alive() && client.seat.stays(shard).is_some();
    reply::send(shard, client, tally, Answer { close: !keep, head_only, ..answer }).await;
    (tally.ended(answer.cause), if keep { Fate::Keep } else { Fate::Linger })
}
