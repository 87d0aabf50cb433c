//! Step 5: one try at one endpoint. A connection is lent, the request goes out and the response is awaited at the same
//! time; the response goes on to the client as it comes, while the rest of the request may still be on its way.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;

use crate::address::Peer;
use crate::balance::ledger::Flight;
use crate::buf::Block;
use crate::http::Refusal;
use crate::http::forward;
use crate::http::forward::Hop;
use crate::http::framing;
use crate::http::framing::Framing;
use crate::http::h1::chunked::ChunkLimits;
use crate::http::head::Method;
use crate::http::head::Version;
use crate::http::proxy;
use crate::http::proxy::Ends;
use crate::http::upgrade;
use crate::io::both::beside;
use crate::io::line::Broken;
use crate::io::socket::Cut;
use crate::model;
use crate::model::ProxyVersion;
use crate::observe::ended::Cause;
use crate::observe::ended::Ended;
use crate::observe::ended::Phase;
use crate::observe::metrics;
use crate::relay;
use crate::relay::Bounds;
use crate::relay::Lost;
use crate::relay::Pace;
use crate::relay::Pump;
use crate::serve::conn::Client;
use crate::serve::h1::Fate;
use crate::serve::reply;
use crate::serve::reply::Answer;
use crate::serve::respond;
use crate::serve::respond::Answered;
use crate::serve::respond::Asked;
use crate::serve::respond::Last;
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
}

/// How long the sides of an exchange are waited for: the route's word where it has one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// To a whole response head.
    response: Duration,
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
    /// Bytes of the client's buffer that are done with when the exchange is.
    pub(crate) consumed: usize,
    /// Whether some of the rest was read: then the request cannot be sent a second time.
    streamed: bool,
}

/// Why an attempt did not answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failed {
    /// Why.
    pub(crate) cause: Cause,
    /// What exactly was wrong, in words; may be empty.
    pub(crate) detail: &'static str,
    /// Nothing of the request can have been acted upon.
    unsent: bool,
    /// A kept connection had died before it was used.
    pub(crate) stale: bool,
}

/// Room for what the gateway adds to a request head.
const ADDED_ROOM: usize = 700;

impl Terms {
    /// Of a route; the listener has none once it has left the configuration.
    pub(crate) fn of(listener: Option<&Listener>, upstream: &Upstream, route: &Route) -> Self {
        let (upstream, route) = (&upstream.settings, &route.settings);
        let listener = listener.map(|listener| &listener.settings);
        let client = listener.map_or(upstream.timeout.body, |listener| listener.body_timeout);
        Self {
            response: route.response_timeout.unwrap_or(upstream.timeout.response),
            client: route.body_timeout.unwrap_or(client),
            client_rate: route.min_rate.or(listener.map(|listener| listener.min_rate)).unwrap_or(0),
            endpoint: route.body_timeout.unwrap_or(upstream.timeout.body),
            endpoint_rate: upstream.min_rate,
        }
    }

    /// The client, that sends a request's body or takes a response.
    pub(crate) fn client(&self) -> Pace {
        Pace::new(self.client, self.client_rate)
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
        let most = facts.route.and_then(|route| route.settings.max_body);
        let too_large = |size: u64| most.is_some_and(|most| size > most);
        if matches!(framing, Framing::Length(length) if too_large(length)) {
            return Err(Answer::to(Cause::BodyTooLarge, ""));
        }
        let limits = facts.listener.map(|listener| chunk_limits(&listener.settings)).unwrap_or_default();
        let mut source = Source::within(framing, limits);
        let behind = client.inbound.bytes_mut().get_mut(head..).unwrap_or(&mut []);
        let taken = source.buffered(behind).map_err(|fault| Answer::to(Cause::BadRequest, fault.words()))?;
        if too_large(source.taken()) {
            return Err(Answer::to(Cause::BodyTooLarge, ""));
        }
        let data = head + taken.data.start..head + taken.data.end;
        Ok(Self { framing, source, data, consumed: head + taken.consumed, streamed: false })
    }
}

fn chunk_limits(settings: &model::Listener) -> ChunkLimits {
    ChunkLimits { line_bytes: settings.chunks.line_bytes, extension_bytes: settings.chunks.extension_bytes }
}

impl Failed {
    /// No endpoint could be tried.
    pub(crate) fn none() -> Self {
        Self { cause: Cause::NoEndpoint, detail: "", unsent: true, stale: false }
    }

    /// Whether the request may be sent again: nothing of it was acted upon, or acting twice does no harm (RFC 9110
    /// §9.2.2), and all of it is still here.
    pub(crate) fn again(&self, client: &Client<'_>, body: &Body) -> bool {
        let method = client.request.view(client.inbound.bytes()).method_kind();
        let harmless = method.is_idempotent() && matches!(self.cause, Cause::UpstreamClosed | Cause::UpstreamReset);
        !body.streamed && (self.unsent || harmless)
    }
}

/// Tries the endpoint at `place`. `fresh` wants a new connection.
///
/// # Errors
/// [`Failed`]: nothing was sent to the client.
pub(crate) async fn attempt(
    scene: &Scene<'_>,
    client: &mut Client<'_>,
    body: &mut Body,
    place: usize,
    fresh: bool,
) -> Result<(Ended, Fate), Failed> {
    let Scene { shard, upstream, tally, .. } = *scene;
    let Some(endpoint) = upstream.endpoints.get(place) else { return Err(Failed::none()) };
    tally.attempts.set(tally.attempts.get() + 1);
    tally.endpoint.set(Some(place));
    tally.phase.set(Phase::Connect);
    // The first attempt begins as the exchange does, as near as matters.
    let began = if tally.attempts.get() == 1 { tally.began } else { shard.clock.now() };
    let dial = Dial {
        slot: endpoint.slot,
        address: &endpoint.address,
        shared: &endpoint.connections,
        connections_max: upstream.settings.connections_max,
        patience: upstream.settings.timeout.connect,
    };
    // CONNECT is not idempotent: a kept connection that has died meanwhile could not be made good.
    let connect = client.request.view(client.inbound.bytes()).method_kind() == Method::Connect;
    let fresh = fresh || connect || upstream.settings.proxy_protocol.is_some();
    let flight = shard.ledger.begin(endpoint.slot, shard.ledger.board().at(began));
    let result = match lease::lend(&shard.pools, &dial, shard.clock.coarse(), fresh).await {
        Ok(lease) => converse(scene, client, body, (endpoint, lease, &flight), began).await,
        Err(reason) => {
            if reason == NoConnection::Full {
                tally.attempts.set(tally.attempts.get() - 1);
            }
            Err(unconnected(reason))
        }
    };
    if let Err(failed) = &result
        && failed.cause != Cause::NoEndpoint
    {
        count_failure(scene, endpoint, began);
        // A kept connection that had died says nothing of its endpoint.
        if !failed.stale {
            flight.failed(shard.board_now(), None);
        }
    }
    result
}

fn count_failure(scene: &Scene<'_>, endpoint: &Endpoint, began: Instant) {
    let Scene { shard, upstream, .. } = *scene;
    shard.slab.endpoint(endpoint.slot).failures.add(1);
    let passed = us(shard.clock.now().saturating_duration_since(began));
    shard.slab.upstream(upstream.slot).observe(metrics::class(0), passed);
}

/// Sends the request and relays the response, both at once, over a connection on loan.
async fn converse(
    scene: &Scene<'_>,
    client: &mut Client<'_>,
    body: &mut Body,
    (endpoint, mut lease, flight): (&Endpoint, Lease, &Flight),
    began: Instant,
) -> Result<(Ended, Fate), Failed> {
    let Scene { route, terms, tally, .. } = *scene;
    let out = encode(scene, client, body, endpoint);
    let asked = Asked::of(client, began, flight);
    let read =
        if asked.expects && body.source.taken() == 0 { terms.client().from_first_byte() } else { terms.client() };
    let Client { seat, inbound, response, .. } = client;
    let line = &seat.line;
    let reused = lease.reused;
    let (upline, upbound) = lease.parts();
    let whole = body.source.ended();
    body.streamed = !whole;
    if !whole {
        flight.untimed();
    }
    // What an attempt before this one got across says nothing of this one.
    tally.uploaded.set(false);
    tally.phase.set(Phase::Wait);
    if whole {
        upline.reading().arm(terms.response, Cut::Both);
    }
    let written = Cell::new(0);
    let mut bounds = Bounds { read, write: terms.taker(), most: route.settings.max_body, written: &written };
    let source = &mut body.source;
    let sink = Sink::new(body.framing);
    let side = async {
        let sent =
            relay::pump(Pump { out, source, sink, from: line, rest: inbound, to: upline, bounds: &mut bounds }).await;
        // The time for the response head runs from the end of the request, or of what the endpoint takes of it.
        if !whole && !tally.answered() && matches!(sent, Ok(()) | Err(Lost::Sink(_))) {
            upline.reading().arm(terms.response, Cut::Both);
        }
        sent?;
        tally.uploaded.set(true);
        line.gone().await;
        Err(Lost::Source(Cutoff::Broken(Broken::Closed)))
    };
    let answer = respond::respond(scene, &asked, (upline, upbound, response));
    // A client that breaks off, or goes, ends the exchange; a request that the endpoint would not take any more may
    // still be answered.
    let (answer, lost) = beside(answer, side, |lost: &Result<(), Lost>| !matches!(lost, Err(Lost::Sink(_)))).await;
    match answer {
        Some(Ok(answered)) if answered.last == Last::Tunnel && answered.lost.is_none() => {
            Ok(Box::pin(tunnel::run(scene, client, body.consumed, lease)).await)
        }
        Some(Ok(answered)) => Ok(settle(scene, client, body.consumed, lease, answered)),
        Some(Err(no)) => {
            let gone = matches!(no.cause, Cause::UpstreamClosed | Cause::UpstreamReset);
            Err(Failed { stale: gone && reused && !no.heard, ..Failed::of(no.cause, no.detail) })
        }
        None => Ok(broken_off(scene, client, body, lost.and_then(Result::err)).await),
    }
}

impl Failed {
    fn of(cause: Cause, detail: &'static str) -> Self {
        Self { cause, detail, unsent: false, stale: false }
    }
}

/// The request as it goes out: the head, and what of the body came with it, so that a short request is one send. Before
/// it the client is named, where the upstream wants that of a connection.
fn encode(scene: &Scene<'_>, client: &Client<'_>, body: &Body, endpoint: &Endpoint) -> Block {
    let Scene { facts, upstream, tally, .. } = *scene;
    let bytes = client.inbound.bytes();
    let request = client.request.view(bytes);
    let mut out = Block::with_room(body.data.end + scene.upgrade.len() + ADDED_ROOM);
    if let Some(version) = upstream.settings.proxy_protocol {
        let ends = match (facts.identity.client, client.seat.reached()) {
            (Peer::Ip(from), Some(to)) => Ends::Between(from, to),
            _ => Ends::Own,
        };
        match version {
            ProxyVersion::V1 => proxy::write_line(out.tail(), ends),
            ProxyVersion::V2 => proxy::write_binary(out.tail(), ends),
        }
    }
    let hop = Hop {
        marks: &client.marks,
        trusted: facts.identity.trusted,
        request_id: tally.id.as_bytes(),
        authority: endpoint.authority().as_bytes(),
    };
    forward::encode_request(out.tail(), request, body.framing, &hop);
    if !scene.upgrade.is_empty() {
        upgrade::append(out.tail(), scene.upgrade);
    }
    let data = bytes.get(body.data.clone()).unwrap_or(&[]);
    let end = body.source.ended().then(|| body.source.trailers());
    Sink::new(body.framing).append(out.tail(), data, end);
    out
}

/// After a response: the endpoint's connection goes back if it is clean, and the client's fate is decided.
fn settle(scene: &Scene<'_>, client: &Client<'_>, consumed: usize, lease: Lease, answered: Answered) -> (Ended, Fate) {
    let Scene { shard, upstream, tally, .. } = *scene;
    let uploaded = tally.uploaded.get();
    // A connection that was opened in one client's name is of no use to another.
    let anybodys = upstream.settings.proxy_protocol.is_none();
    if let Some(clean) = answered.clean.filter(|_| uploaded && answered.endpoint_keeps && anybodys) {
        lease.give_back(clean, shard.clock.coarse());
    }
    if let Some(cause) = answered.lost {
        // The client must not take what it has for the whole: where only the end of the connection says that, it
        // must be no clean end. And what a client does not take is not to be kept for it by the kernel.
        if answered.last == Last::UntilClose || cause == Cause::ClientTimeoutBody {
            client.seat.line.socket().reset_on_close();
        }
        return (tally.ended(cause), Fate::Close);
    }
    // Bytes that nobody will read would turn the close into a reset, and that could overtake the response.
    let fate = match answered.last {
        Last::No => Fate::Keep,
        _ if uploaded && client.inbound.len() <= consumed && !client.seat.line.socket().has_news() => Fate::Close,
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
            client.seat.line.socket().reset_on_close();
        }
        return (tally.ended(answer.cause), Fate::Close);
    }
    reply::send(shard, client, tally, Answer { close: true, head_only, ..answer }).await;
    (tally.ended(answer.cause), Fate::Linger)
}

fn unconnected(reason: NoConnection) -> Failed {
    let (cause, detail) = match reason {
        NoConnection::Full => (Cause::NoEndpoint, "all connections are taken"),
        NoConnection::Exhausted => (Cause::NoEndpoint, "the gateway is out of descriptors or ports"),
        NoConnection::Refused => (Cause::UpstreamRefused, ""),
        NoConnection::TimedOut => (Cause::UpstreamTimeoutConnect, ""),
    };
    Failed { unsent: true, ..Failed::of(cause, detail) }
}
