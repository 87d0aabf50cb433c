//! Step 6: one try at one endpoint. A connection is lent, the request goes out and the response is awaited at the same
//! time; the response goes on to the client as it comes, while the rest of the request may still be on its way.

use std::cell::Cell;
use std::ops::Range;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use crate::balance::ledger::Flight;
use crate::buf::Block;
use crate::http::Refusal;
use crate::http::forward;
use crate::http::forward::Hop;
use crate::http::framing;
use crate::http::framing::Framing;
use crate::http::head::Method;
use crate::http::head::Version;
use crate::io::both::beside_until;
use crate::io::line::Broken;
use crate::io::socket::Cut;
use crate::observe::ended::Cause;
use crate::observe::ended::Ended;
use crate::observe::ended::Phase;
use crate::observe::metrics;
use crate::policy::deadline;
use crate::policy::retry::Fault;
use crate::relay;
use crate::relay::Bounds;
use crate::relay::Lost;
use crate::relay::Pace;
use crate::relay::Pump;
use crate::relay::kept::Kept;
use crate::serve::admit::Room;
use crate::serve::conn::Client;
use crate::serve::course::Course;
use crate::serve::course::Next;
use crate::serve::h1::Fate;
use crate::serve::hedge;
use crate::serve::reply;
use crate::serve::reply::Answer;
use crate::serve::respond;
use crate::serve::respond::Answered;
use crate::serve::respond::Asked;
use crate::serve::respond::Last;
use crate::serve::respond::Unanswered;
use crate::serve::tally::Facts;
use crate::serve::tally::Tally;
use crate::serve::tunnel;
use crate::shard::Shard;
use crate::snapshot::Endpoint;
use crate::snapshot::Listener;
use crate::snapshot::Route;
use crate::snapshot::Upstream;
use crate::time::us;
use crate::upstream::connect::Dial;
use crate::upstream::connect::NoConnection;
use crate::upstream::lease;
use crate::upstream::lease::Lease;
use crate::wire::body::Clean;
use crate::wire::body::Cutoff;
use crate::wire::body::Sink;
use crate::wire::body::Source;

/// What all attempts of one exchange share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene<'a> {
    /// The core.
    pub(crate) shard: &'a Rc<Shard>,
    /// What is known of the exchange.
    pub(crate) facts: &'a Facts<'a>,
    /// Where the request goes.
    pub(crate) upstream: &'a Upstream,
    /// Which route takes it there.
    pub(crate) route: &'a Route,
    /// How long each side is waited for.
    pub(crate) terms: Terms,
    /// What is counted.
    pub(crate) tally: &'a Tally,
    /// The protocols that the request may go on with, as the value of an Upgrade field; empty: it is an ordinary one.
    pub(crate) upgrade: &'a [u8],
    /// How long its client says that it waits.
    pub(crate) asked: deadline::Asked,
    /// The hash of its key, if its upstream wants one.
    pub(crate) key: Option<u64>,
    /// The endpoint at which a cookie keeps its client.
    pub(crate) sticky: Option<usize>,
    /// What has been tried and may be.
    pub(crate) course: &'a Course,
    /// What of its body has gone by.
    pub(crate) kept: &'a Kept,
}

impl Scene<'_> {
    /// How long something may take that has `most`, within all the time there is to a response head.
    pub(crate) fn patience(&self, most: Duration) -> Duration {
        let left = |until: u64| Duration::from_micros(until.saturating_sub(self.shard.clock.now_us()));
        self.terms.until.map_or(most, |until| left(until).min(most))
    }

    /// Whether all the time to a response head is over.
    pub(crate) fn is_late(&self) -> bool {
        self.terms.until.is_some_and(|until| until <= self.shard.clock.now_us())
    }
}

/// How long the sides of an exchange are waited for: the route's word where it has one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// To an open connection.
    connect: Duration,
    /// To a whole response head, each attempt.
    response: Duration,
    /// When there must be one, all attempts and waits together, in microseconds on the clock that all cores share.
    until: Option<u64>,
    /// Longest pause of the client.
    client: Duration,
    /// Bytes a second of it.
    client_rate: u64,
    /// Longest pause of the endpoint.
    endpoint: Duration,
    /// Bytes a second of its response.
    endpoint_rate: u64,
}

/// The request's body: what of it came with the head, and where the rest comes from.
#[derive(Debug)]
pub(crate) struct Body {
    framing: Framing,
    /// Where the rest comes from.
    pub(crate) source: Source,
    /// Where the content that came with the head stands in the client's buffer.
    data: Range<usize>,
    /// Bytes that it may have.
    most: Option<u64>,
    /// Bytes of the client's buffer that are done with when the exchange is.
    pub(crate) consumed: usize,
}

/// Why an attempt did not answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed {
    /// Why.
    pub(crate) cause: Cause,
    /// What exactly was wrong, in words; may be empty.
    pub(crate) detail: &'static str,
    /// What that means for another attempt.
    pub(crate) fault: Fault,
}

/// A connection on loan, and what else an attempt holds of its endpoint.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    pub(crate) lease: Lease,
    pub(crate) endpoint: &'a Endpoint,
    /// Its place in the upstream.
    pub(crate) place: usize,
    /// When the attempt began, in microseconds on the clock that all cores share.
    pub(crate) began: u64,
    /// What is told of its endpoint.
    pub(crate) flight: Flight,
    pub(crate) room: Option<Room<'a>>,
}

/// Room for what the gateway adds to a request head.
const ADDED_ROOM: usize = 700;

impl Terms {
    /// Of a route; the listener has none once it has left the configuration.
    pub(crate) fn of(
        listener: Option<&Listener>,
        upstream: &Upstream,
        route: &Route,
        began: u64,
        asked: deadline::Asked,
    ) -> Self {
        let (upstream, route) = (&upstream.settings, &route.settings);
        let total = route.total_timeout.or(upstream.timeout.total).into_iter().chain(asked.shortest()).min();
        let listener = listener.map(|listener| &listener.settings);
        let client = listener.map_or(upstream.timeout.body, |listener| listener.body_timeout);
        Self {
            connect: route.connect_timeout.unwrap_or(upstream.timeout.connect),
            response: route.response_timeout.unwrap_or(upstream.timeout.response),
            until: total.map(|total| began.saturating_add(us(total))),
            client: route.body_timeout.unwrap_or(client),
            client_rate: route.min_rate.or(listener.map(|listener| listener.min_rate)).unwrap_or(0),
            endpoint: route.body_timeout.unwrap_or(upstream.timeout.body),
            endpoint_rate: route.response_rate.unwrap_or(upstream.min_rate),
        }
    }

    /// The client, that sends a request's body or takes a response.
    pub(crate) fn client(&self) -> Pace {
        Pace::new(self.client, self.client_rate)
    }

    /// To a whole response head, each attempt.
    pub(crate) fn response(&self) -> Duration {
        self.response
    }

    /// Longest pause of the endpoint.
    pub(crate) fn give(&self) -> Duration {
        self.endpoint
    }

    /// Longest pause of the client.
    pub(crate) fn pause(&self) -> Duration {
        self.client
    }

    /// The endpoint, that sends a response.
    pub(crate) fn endpoint(&self) -> Pace {
        Pace::new(self.endpoint, self.endpoint_rate)
    }

    /// The endpoint, that takes a request's body: at whatever rate.
    fn taker(&self) -> Pace {
        Pace::new(self.endpoint, 0)
    }
}

impl Body {
    /// Settles the framing of the request at the front of the client's buffer and takes what of its body came with it.
    pub(crate) fn begin(client: &mut Client<'_>, facts: &Facts<'_>) -> Result<Self, Answer<'static>> {
        let head = client.request.len();
        let request = client.request.view(client.inbound.bytes());
        // Told here, before anything goes to an endpoint: only now is the route known.
        if request.method_kind() == Method::Connect && !facts.route.is_some_and(|route| route.settings.connect) {
            return Err(reply::refused(Refusal::UnknownMethod));
        }
        let framing = framing::request(request).map_err(reply::refused)?;
        let listener = facts.listener.map(|listener| &listener.settings);
        let most = facts.route.and_then(|route| route.settings.max_body(listener));
        let too_large = |size: u64| most.is_some_and(|most| size > most);
        if matches!(framing, Framing::Length(length) if too_large(length)) {
            return Err(Answer::to(Cause::BodyTooLarge, ""));
        }
        let limits = listener.map(crate::model::Listener::chunk_limits).unwrap_or_default();
        let mut source = Source::within(framing, limits);
        let behind = client.inbound.bytes_mut().get_mut(head..).unwrap_or(&mut []);
        let taken = source.buffered(behind).map_err(|fault| Answer::to(Cause::BadRequest, fault.words()))?;
        if too_large(source.taken()) {
            return Err(Answer::to(Cause::BodyTooLarge, ""));
        }
        let data = head + taken.data.start..head + taken.data.end;
        Ok(Self { framing, source, data, most, consumed: head + taken.consumed })
    }

    /// How much of it is worth keeping while it goes by, of `most`: none if it is known not to fit.
    pub(crate) fn worth(&self, most: usize) -> usize {
        match self.framing {
            Framing::Length(length) if length - self.source.taken() > most as u64 => 0,
            _ => most,
        }
    }
}

impl Failed {
    /// No endpoint could be tried.
    pub(crate) fn none() -> Self {
        Self { cause: Cause::NoEndpoint, detail: "", fault: Fault::Full }
    }
}

/// Makes an attempt.
///
/// # Errors
/// [`Failed`]: nothing was sent to the client.
pub(crate) async fn attempt(
    scene: &Scene<'_>,
    client: &mut Client<'_>,
    body: &mut Body,
    next: Next,
) -> Result<(Ended, Fate), Failed> {
    let tally = scene.tally;
    if scene.is_late() {
        return Err(Failed { cause: Cause::UpstreamTimeoutTotal, detail: "", fault: Fault::Other });
    }
    if let Some(wait) = hedge::after(scene, body) {
        return match Box::pin(hedge::race(scene, client, body, next, wait)).await {
            None => Ok((tally.ended(Cause::ClientAbort), Fate::Close)),
            Some(Err(failed)) => Err(failed),
            Some(Ok(held)) => converse(scene, client, body, held, Block::none()).await,
        };
    }
    let held = lend(scene, client, next.place, next.fresh).await?;
    let out = encode(scene, client, body, held.endpoint);
    converse(scene, client, body, held, out).await
}

/// Counts an attempt at an endpoint, and says when it began, in microseconds on the clock that all cores share.
fn begin(scene: &Scene<'_>, place: usize) -> u64 {
    let Scene { shard, tally, .. } = *scene;
    tally.attempts.set(tally.attempts.get() + 1);
    tally.endpoint.set(Some(place));
    tally.phase.set(Phase::Connect);
    // The first attempt begins as the exchange does, as near as matters.
    let first = tally.attempts.get() == 1 && tally.queue_us.get() == 0;
    if first { tally.began } else { shard.clock.now_us() }
}

/// Lends a connection to the endpoint at `place`, for an attempt that begins now; `fresh` wants a new one.
pub(crate) async fn lend<'a>(
    scene: &Scene<'a>,
    client: &Client<'_>,
    place: usize,
    fresh: bool,
) -> Result<Held<'a>, Failed> {
    let Scene { shard, facts, upstream, tally, .. } = *scene;
    let uncount = || tally.attempts.set(tally.attempts.get().saturating_sub(1));
    let began = begin(scene, place);
    let Some(endpoint) = upstream.endpoints.get(place) else { return Err(Failed::none()) };
    let Some(room) = Room::enter(scene, endpoint) else {
        uncount();
        return Err(Failed { cause: Cause::UpstreamOverloaded, ..Failed::none() });
    };
    // Whom a connection is for is told before the handshake; in the open it goes with the request.
    let before =
        if upstream.settings.tls.is_some() { client.introduction(upstream, facts.identity) } else { Vec::new() };
    let secure = match facts.generation.secure(scene.route.upstream, &before) {
        Ok(secure) => secure,
        Err(reason) => return Err(unconnected(reason)),
    };
    let dial = Dial::to(upstream, endpoint, scene.patience(scene.terms.connect), secure);
    // CONNECT is not idempotent: a kept connection that has died meanwhile could not be made good.
    let connect = client.request.view(client.inbound.bytes()).method_kind() == Method::Connect;
    let fresh = fresh || connect || upstream.settings.proxy_protocol.is_some();
    let flight = shard.ledger.begin(endpoint.slot, began);
    let reason = match lease::lend(&shard.pools, &dial, (shard.clock.coarse_age(), began), fresh).await {
        Ok(lease) => {
            scene.course.count_retry(scene);
            return Ok(Held { lease, endpoint, place, began, flight, room });
        }
        Err(reason) => reason,
    };
    // One whose connections are all taken was looked at, and not tried.
    match reason {
        NoConnection::Full => uncount(),
        _ => scene.course.count_retry(scene),
    }
    let failed = match unconnected(reason) {
        failed if reason == NoConnection::TimedOut && scene.is_late() => {
            Failed { cause: Cause::UpstreamTimeoutTotal, fault: Fault::Other, ..failed }
        }
        failed => failed,
    };
    count_failure(scene, (&flight, began), &failed);
    Err(failed)
}

/// Counts an attempt that came to nothing; one that found no room was none, and a response that was refused is counted as
/// what it was.
pub(crate) fn count_failure(scene: &Scene<'_>, (flight, began): (&Flight, u64), failed: &Failed) {
    let Scene { shard, facts, upstream, .. } = *scene;
    if failed.cause == Cause::NoEndpoint || matches!(failed.fault, Fault::Full | Fault::Status(_)) {
        return;
    }
    shard.slab.endpoint(flight.slot()).failures.add(1);
    // What is carried asks for nothing.
    if facts.understood {
        let passed = shard.clock.now_us().saturating_sub(began);
        shard.slab.upstream(upstream.slot).observe(metrics::class(0), passed);
    }
    // A kept connection that had died says nothing of its endpoint.
    if failed.fault != Fault::Stale {
        flight.failed(shard.clock.now_us(), None);
    }
}

/// Sends `out` and the rest of the request and relays the response over a connection on loan, and settles what becomes of
/// both connections.
async fn converse(
    scene: &Scene<'_>,
    client: &mut Client<'_>,
    body: &mut Body,
    held: Held<'_>,
    out: Block,
) -> Result<(Ended, Fate), Failed> {
    let Scene { tally, .. } = *scene;
    let Held { mut lease, began, flight, room: _room, .. } = held;
    let reused = lease.reused;
    let (answer, lost) = talk(scene, client, body, (&mut lease, &flight, began), out).await;
    match answer {
        Some(Ok(answered)) if answered.last == Last::Tunnel && answered.lost.is_none() => {
            Ok(Box::pin(tunnel::run(scene, client, body.consumed, lease)).await)
        }
        Some(Ok(answered)) => Ok(settle(scene, client, body.consumed, lease, answered)),
        Some(Err(no)) => match lost.and_then(Result::err) {
            None | Some(Lost::Halted | Lost::Sink(_)) => {
                let failed = failed(&no, reused);
                count_failure(scene, (&flight, began), &failed);
                // A response that was refused, but came whole, is no reason to close its connection.
                if let Some(clean) = no.clean.filter(|_| tally.uploaded.get()) {
                    give_back(scene, lease, clean);
                }
                Err(failed)
            }
            lost => Ok(broken_off(scene, client, body, lost).await),
        },
        None => Ok(broken_off(scene, client, body, lost.and_then(Result::err)).await),
    }
}

/// Both sides of an attempt at once: what came of the response, and of sending the request, as far as each has ended.
async fn talk(
    scene: &Scene<'_>,
    client: &mut Client<'_>,
    body: &mut Body,
    (lease, flight, began): (&mut Lease, &Flight, u64),
    out: Block,
) -> (Option<Result<Answered, Unanswered>>, Option<Result<(), Lost>>) {
    let Scene { terms, tally, kept, .. } = *scene;
    let asked = Asked::of(client, began, flight);
    let waits = asked.expects && body.source.taken() == 0;
    let read = if waits { terms.client().from_first_byte() } else { terms.client() };
    let Client { seat, inbound, response, .. } = client;
    let line = &seat.line;
    let reused = lease.reused;
    let (upline, upbound) = lease.parts();
    let whole = body.source.ended();
    // A client that waits for leave is not waited for.
    if asked.expects && !whole {
        kept.lose();
    }
    if !whole {
        flight.untimed();
    }
    kept.halt(false);
    // What an attempt before this one got across says nothing of this one.
    tally.uploaded.set(false);
    tally.phase.set(Phase::Wait);
    if whole {
        upline.reading().arm(scene.patience(terms.response), Cut::Both);
    } else if terms.until.is_some() {
        upline.reading().arm(scene.patience(Duration::MAX), Cut::Both);
    }
    let written = Cell::new(0);
    let mut bounds = Bounds { read, write: terms.taker(), most: body.most, written: &written };
    let (source, sink, kept) = (&mut body.source, Sink::new(body.framing), kept);
    let bounds = &mut bounds;
    let pump = Pump { out, source, sink, from: line, rest: inbound, to: upline, kept: Some(kept), bounds };
    // Pinned where they are made, and lent: what is handed over is kept room for twice, and moved.
    let side = pin!(upload(scene, pump, whole));
    let answer = pin!(async {
        let answer = respond::respond(scene, &asked, (upline, upbound, response)).await;
        // What is read of the client now may be wanted for another attempt; where there will be none, nothing is waited for.
        if answer.as_ref().is_err_and(|no| !scene.course.wants(scene, failed(no, reused).fault)) {
            kept.lose();
        }
        kept.halt(answer.is_err());
        answer
    });
    // A client that breaks off, or goes, ends the exchange; a request that the endpoint would not take any more may
    // still be answered.
    let ends = |lost: &Result<(), Lost>| !matches!(lost, Err(Lost::Sink(_)));
    beside_until(answer, side, ends, || kept.is_busy()).await
}

/// Sends the request to its end, and then waits for the client to go.
async fn upload(scene: &Scene<'_>, pump: Pump<'_>, whole: bool) -> Result<(), Lost> {
    let (from, to) = (pump.from, pump.to);
    let sent = relay::pump(pump).await;
    // The time for the response head runs from the end of the request, or of what the endpoint takes of it.
    if !whole && !scene.tally.answered() && matches!(sent, Ok(()) | Err(Lost::Sink(_))) {
        to.reading().arm(scene.patience(scene.terms.response), Cut::Both);
    }
    sent?;
    scene.tally.uploaded.set(true);
    from.gone().await;
    Err(Lost::Source(Cutoff::Broken(Broken::Closed)))
}

/// What an endpoint's failure to answer means for another attempt.
pub(crate) fn failed(no: &Unanswered, reused: bool) -> Failed {
    let fault = match no.cause {
        Cause::UpstreamClosed | Cause::UpstreamReset if reused && !no.heard => Fault::Stale,
        Cause::UpstreamClosed | Cause::UpstreamReset => Fault::Reset,
        Cause::UpstreamTimeoutHeaders => Fault::Timeout,
        _ => no.status.map_or(Fault::Other, Fault::Status),
    };
    Failed { cause: no.cause, detail: no.detail, fault }
}

/// Puts a connection back, unless it was opened in one client's name: then it is of no use to another.
fn give_back(scene: &Scene<'_>, lease: Lease, clean: Clean) {
    if scene.upstream.settings.proxy_protocol.is_none() {
        lease.give_back(clean, scene.shard.clock.coarse_age());
    }
}

/// The request as it goes out: the head, and what of the body came with it, so that a short request is one send. Before
/// it the client is named, where the upstream wants that of a connection.
pub(crate) fn encode(scene: &Scene<'_>, client: &Client<'_>, body: &Body, endpoint: &Endpoint) -> Block {
    let Scene { shard, facts, upstream, tally, asked, kept, .. } = *scene;
    let bytes = client.inbound.bytes();
    let request = client.request.view(bytes);
    let mut out = Block::with_room(body.data.end + scene.upgrade.len() + kept.len() + ADDED_ROOM);
    if upstream.settings.proxy_protocol.is_some() && upstream.settings.tls.is_none() {
        out.tail().extend_from_slice(&client.introduction(upstream, facts.identity));
    }
    // Each hop is told what is left: what has passed here is no longer the service's.
    let left =
        asked.shortest().map(|_| asked.less(Duration::from_micros(shard.clock.now_us().saturating_sub(tally.began))));
    let anew = left.as_ref().map(|left| left.fields(upstream.settings.deadline.as_deref()));
    let hop = Hop {
        marks: &client.marks,
        trusted: facts.identity.trusted,
        request_id: tally.id.as_bytes(),
        authority: endpoint.authority().as_bytes(),
        upgrade: scene.upgrade,
        anew: anew.as_ref().map_or(&[], |anew| anew.as_slice()),
    };
    forward::encode_request(out.tail(), request, body.framing, &hop);
    let data = bytes.get(body.data.clone()).unwrap_or(&[]);
    let end = body.source.ended().then(|| body.source.trailers());
    let sink = Sink::new(body.framing);
    if kept.is_empty() {
        sink.append(out.tail(), data, end);
    } else {
        sink.append(out.tail(), data, None);
        kept.copy_to(out.tail(), |out, bytes| sink.append(out, bytes, end));
    }
    out
}

/// After a response: the endpoint's connection goes back if it is clean, and the client's fate is decided.
fn settle(scene: &Scene<'_>, client: &Client<'_>, consumed: usize, lease: Lease, answered: Answered) -> (Ended, Fate) {
    let tally = scene.tally;
    let uploaded = tally.uploaded.get();
    if let Some(clean) = answered.clean.filter(|_| uploaded && answered.endpoint_keeps) {
        give_back(scene, lease, clean);
    }
    if let Some(cause) = answered.lost {
        // The client must not take what it has for the whole: where only the end of the connection says that, it
        // must be no clean end. And what a client does not take is not to be kept for it by the kernel.
        if answered.last == Last::UntilClose || cause == Cause::ClientTimeoutBody {
            client.seat.line.reset_on_close();
        }
        return (tally.ended(cause), Fate::Close);
    }
    // Bytes that nobody will read would turn the close into a reset, and that could overtake the response.
    let fate = match answered.last {
        Last::No => Fate::Keep,
        _ if uploaded && client.inbound.len() <= consumed && !client.seat.line.has_news() => Fate::Close,
        _ => Fate::Linger,
    };
    (tally.ended(Cause::Ok), fate)
}

/// After a request that its client did not bring to its end, or that is too large.
async fn broken_off(scene: &Scene<'_>, client: &mut Client<'_>, body: &Body, lost: Option<Lost>) -> (Ended, Fate) {
    let Scene { shard, tally, .. } = *scene;
    let request = client.request.view(client.inbound.bytes());
    let waits = request.expects_continue() && !tally.continued.get() && body.source.taken() == 0;
    let answer = match lost {
        Some(Lost::TooLarge) => Answer::to(Cause::BodyTooLarge, ""),
        Some(Lost::Source(Cutoff::Faulty(fault))) => Answer::to(Cause::BadRequest, fault.words()),
        // A client that waits for a 100 owes nothing: it is the endpoint that is silent.
        Some(Lost::Source(Cutoff::Broken(Broken::TimedOut))) if waits => Answer::to(Cause::UpstreamTimeoutHeaders, ""),
        Some(Lost::Source(Cutoff::Broken(Broken::TimedOut))) => Answer::to(Cause::ClientTimeoutBody, "a pause"),
        Some(Lost::TooSlow) => Answer::to(Cause::ClientTimeoutBody, "below the minimum rate"),
        _ => return (tally.ended(Cause::ClientAbort), Fate::Close),
    };
    let head_only = request.method_kind() == Method::Head;
    if tally.answered() {
        // The end of the connection may be all that tells a client of HTTP/1.0 where its response ends.
        if request.version() == Version::Http10 {
            client.seat.line.reset_on_close();
        }
        return (tally.ended(answer.cause), Fate::Close);
    }
    reply::send(shard, client, tally, Answer { close: true, head_only, ..answer }).await;
    (tally.ended(answer.cause), Fate::Linger)
}

fn unconnected(reason: NoConnection) -> Failed {
    let (cause, detail, fault) = match reason {
        NoConnection::Full => (Cause::NoEndpoint, "all connections are taken", Fault::Full),
        NoConnection::Exhausted => (Cause::NoEndpoint, "the gateway is out of descriptors or ports", Fault::Connect),
        NoConnection::Refused => (Cause::UpstreamRefused, "", Fault::Connect),
        NoConnection::TimedOut => (Cause::UpstreamTimeoutConnect, "", Fault::Connect),
        NoConnection::Insecure(detail) => (Cause::UpstreamTls, detail, Fault::Connect),
    };
    Failed { cause, detail, fault }
}
