//! Beside step 3: a listener that carries bytes instead of reading requests. Where to is known at once, or told by the name
//! in the client's TLS hello; then an endpoint is found as for a request, and what follows is a tunnel from the first byte.

use std::rc::Rc;
use std::time::Duration;

use crate::balance::hash;
use crate::balance::ledger::Flight;
use crate::buf::Block;
use crate::http::identity::Identity;
use crate::io::line::Broken;
use crate::limits::LINGER_PAUSE;
use crate::model;
use crate::model::Balance;
use crate::observe::ended::Cause;
use crate::observe::ended::Phase;
use crate::observe::metrics::Heard;
use crate::observe::metrics::Tunnel;
use crate::observe::record::Record;
use crate::policy::deadline;
use crate::policy::key;
use crate::relay::kept::Kept;
use crate::serve::admit;
use crate::serve::admit::Lasting;
use crate::serve::attempt::Held;
use crate::serve::attempt::Scene;
use crate::serve::attempt::Terms;
use crate::serve::conn::Client;
use crate::serve::conn::Seat;
use crate::serve::course::Course;
use crate::serve::secure;
use crate::serve::secure::Unheard;
use crate::serve::tally::Facts;
use crate::serve::tally::Fallen;
use crate::serve::tally::Tally;
use crate::serve::tunnel;
use crate::shard::Shard;
use crate::snapshot::Route;
use crate::time::us;
use crate::tls::hello;
use crate::tls::hello::Fault;
use crate::tls::hello::Hello;
use crate::upstream::lease::Lease;

/// A connection that is carried, and all that is kept for it. That may be for days: nothing of the configuration that has
/// let it in is among it.
struct Carried {
    tally: Tally,
    told: Told,
    way: Way,
}

/// An open way to an endpoint.
struct Way {
    kind: Tunnel,
    /// How long it may carry nothing.
    idle: Duration,
    /// What goes to the endpoint first, and how many bytes of that are not the client's own.
    first: (Block, usize),
    lease: Lease,
    _flight: Flight,
    _places: Lasting,
}

/// What the log says of a connection beside its counts.
struct Told {
    listener: Box<str>,
    protocol: &'static str,
    route: Box<str>,
    upstream: Box<str>,
    endpoint: Box<str>,
    name: Box<[u8]>,
}

/// Carries a connection to its end; `inbound` was read of it already, and goes first.
pub(crate) async fn run(shard: &Rc<Shard>, seat: &Seat, inbound: Block) {
    let _fallen = Fallen(&shard.slab);
    // Finding the way takes room, and is soon over.
    let Some(mut carried) = Box::pin(begin(shard, seat, inbound)).await else { return };
    let Way { kind, idle, first, lease, .. } = &mut carried.way;
    let first = std::mem::take(first);
    let cause = match tunnel::carry((shard, &carried.tally), seat, (*kind, *idle), first, lease).await {
        Cause::UpstreamTruncated => Cause::UpstreamReset,
        cause => cause,
    };
    let Carried { tally, told, way } = carried;
    drop(way);
    finish(shard, seat, &told, &tally, cause);
}

/// Finds the way of a connection. Nothing: there is none, and that has been told.
async fn begin(shard: &Rc<Shard>, seat: &Seat, inbound: Block) -> Option<Carried> {
    let generation = shard.generation();
    let carries =
        generation.listener(seat.place.listener).and_then(|listener| Some((listener, listener.relay.as_ref()?)));
    let Some((listener, relay)) = carries else {
        seat.turn_away(shard);
        return None;
    };
    // Before now, if a proxy had to name the client.
    let came = shard.clock.now_us().saturating_sub(us(seat.age(shard)));
    let mut client = Client::at(seat, inbound);
    let mut heard = Ok(());
    let mut hello = Hello::new(listener.settings.relay.as_ref().map_or(0, model::Relay::hello_bytes));
    let named = relay.asks_for_names();
    if named {
        // Whoever only looks whether we are there owes nothing.
        heard = hear(&mut client, &mut hello).await?;
    }
    seat.line.reading().disarm();
    let mut tally = Tally::begin(shard, None);
    tally.phase.set(Phase::Route);
    let route = relay.route(hello.name()).filter(|_| heard.is_ok());
    if route.is_none() {
        // What came to nothing is told of from its beginning: nothing else says for how long it was waited.
        tally.began = came;
    }
    let identity = Identity::unheard(seat.peer);
    let facts = Facts { generation: &generation, listener: Some(listener), identity, route, understood: false };
    let found = match (heard, route) {
        (Ok(()), Some(route)) => find(shard, &mut client, (&facts, route), &tally, named).await,
        (Ok(()), None) if hello.name().is_empty() => {
            Err(refuse(shard, &client, Heard::NoName, Cause::UnknownName).await)
        }
        (Ok(()), None) => Err(refuse(shard, &client, Heard::UnknownName, Cause::UnknownName).await),
        (Err((heard, cause)), _) => Err(refuse(shard, &client, heard, cause).await),
    };
    let told = Told::of(&facts, &tally, named, hello.name());
    match found {
        Ok(way) => Some(Carried { tally, told, way }),
        Err(cause) => {
            // What was read and not carried came all the same.
            tally.body_in.set(client.inbound.len() as u64);
            finish(shard, seat, &told, &tally, cause);
            None
        }
    }
}

/// Waits for the whole hello, under the deadline that is armed. Nothing: the client has gone without a word.
async fn hear(client: &mut Client<'_>, hello: &mut Hello) -> Option<Result<(), (Heard, Cause)>> {
    let Client { seat, inbound, .. } = client;
    let Err(unheard) = secure::hear(seat, inbound, hello).await else { return Some(Ok(())) };
    tracing::debug!(peer = %seat.peer, ?unheard, "no hello was heard");
    Some(Err(match unheard {
        Unheard::Faulty(Fault::NotTls) => (Heard::Plain, Cause::BadHello),
        Unheard::Faulty(Fault::TooLong) => (Heard::TooLong, Cause::BadHello),
        Unheard::Faulty(Fault::Malformed(_)) => (Heard::Malformed, Cause::BadHello),
        Unheard::Broken(Broken::TimedOut) => (Heard::Unfinished, Cause::ClientTimeoutHello),
        Unheard::Broken(Broken::Closed | Broken::Reset) if inbound.is_empty() => return None,
        Unheard::Broken(Broken::Closed | Broken::Reset) => (Heard::Unfinished, Cause::ClientAbort),
    }))
}

/// Refuses what cannot be carried anywhere, in words of TLS where TLS was spoken.
async fn refuse(shard: &Shard, client: &Client<'_>, heard: Heard, cause: Cause) -> Cause {
    shard.slab.listener(client.seat.place.listener).hellos[heard as usize].add(1);
    match heard {
        Heard::UnknownName | Heard::NoName => say(client.seat, hello::UNRECOGNIZED_NAME).await,
        Heard::Malformed | Heard::TooLong => say(client.seat, hello::DECODE_ERROR).await,
        Heard::Routed | Heard::Unfinished | Heard::Plain => {}
    }
    cause
}

/// Says an alert and lets the client read it.
async fn say(seat: &Seat, alert: u8) {
    let mut out = Block::none();
    out.reserve(hello::alert(alert).len());
    out.tail().extend_from_slice(&hello::alert(alert));
    if seat.line.write(&mut out, LINGER_PAUSE).await.is_ok() {
        seat.line.linger(LINGER_PAUSE, LINGER_PAUSE).await;
    }
}

/// Finds an endpoint for a connection whose upstream is known; `named` says that its client has asked for a name.
async fn find(
    shard: &Rc<Shard>,
    client: &mut Client<'_>,
    (facts, route): (&Facts<'_>, &Route),
    tally: &Tally,
    named: bool,
) -> Result<Way, Cause> {
    if named {
        shard.slab.listener(client.seat.place.listener).hellos[Heard::Routed as usize].add(1);
    }
    let upstream = facts.generation.snapshot.upstream(route.upstream);
    // It has no head: nothing is found in it, and nothing asked.
    let request = client.request.view(&[]);
    let asked = deadline::Asked::of(request, None);
    let key = match &upstream.settings.balance {
        Balance::Hash(hashing) => {
            key::hash(&hashing.keys, request, (facts.identity.client, "", &route.settings.path), hash::of)
        }
        _ => None,
    };
    let scene = Scene {
        shard,
        facts,
        upstream,
        route,
        terms: Terms::of(facts.listener, upstream, route, tally.began, asked),
        tally,
        upgrade: b"",
        asked,
        key,
        sticky: None,
        course: &Course::new(false, upstream.settings.retry.attempts),
        kept: &Kept::new(0),
    };
    let kind = if named { Tunnel::Passthrough } else { Tunnel::Tcp };
    // Until it is carried its end would be a lie, also where a drain cuts it.
    client.seat.line.reading().cut_abruptly();
    let found = match admit::admit(&scene, client).await {
        Ok(place) => open(&scene, client, kind, place).await,
        Err(cause) => Err(cause),
    };
    // Nothing has been carried: the client is to see that this is no end of what it is told. One that is taken for gone may
    // have ended its own direction alone.
    match &found {
        Err(Cause::ClientAbort) if named => {}
        Err(_) if named => say(client.seat, hello::INTERNAL_ERROR).await,
        Err(_) => client.seat.line.reset_on_close(),
        Ok(_) => {}
    }
    found
}

/// Opens a connection to an endpoint, and lays out what goes to it first.
async fn open(scene: &Scene<'_>, client: &mut Client<'_>, kind: Tunnel, place: admit::Place<'_>) -> Result<Way, Cause> {
    let Scene { shard, facts, upstream, route, tally, .. } = *scene;
    let Held { lease, began, flight, room, .. } =
        Box::pin(scene.course.open(scene, client)).await.map_err(|failed| failed.cause)?;
    let now = shard.clock.now_us();
    // How long it took to be there is all that tells how fast an endpoint is.
    flight.answered(now.saturating_sub(began));
    tally.upstream_us.set(now.saturating_sub(tally.began));
    let introduction = client.introduction(upstream, facts.identity);
    let mut out = Block::with_room(introduction.len() + client.inbound.len());
    out.tail().extend_from_slice(&introduction);
    out.tail().extend_from_slice(client.inbound.bytes());
    client.inbound = Block::none();
    client.seat.line.reading().cut_gently();
    let idle = route.settings.tunnel_timeout(facts.listener.map(|listener| &listener.settings));
    let (first, places) = ((out, introduction.len()), place.lasting(room, shard));
    Ok(Way { kind, idle, first, lease, _flight: flight, _places: places })
}

impl Told {
    fn of(facts: &Facts<'_>, tally: &Tally, named: bool, name: &[u8]) -> Self {
        let upstream = facts.route.map(|route| facts.generation.snapshot.upstream(route.upstream));
        let endpoint = upstream.zip(tally.endpoint.get()).and_then(|(upstream, place)| upstream.endpoints.get(place));
        Self {
            listener: facts.listener.map_or("", |listener| listener.settings.name.as_str()).into(),
            protocol: if named { "passthrough" } else { "tcp" },
            route: facts.route.map_or("", |route| route.label.as_str()).into(),
            upstream: upstream.map_or("", |upstream| upstream.settings.name.as_str()).into(),
            endpoint: endpoint.map_or("", |endpoint| endpoint.label.as_str()).into(),
            name: name.into(),
        }
    }
}

/// Counts the connection for metrics and notes it for the log.
fn finish(shard: &Shard, seat: &Seat, told: &Told, tally: &Tally, cause: Cause) {
    // What a drain cut looks like a client or an endpoint that broke off; it was neither.
    let cause = if shard.expired.get() && cause.is_error() { Cause::Drain } else { cause };
    let duration_us = shard.clock.now_us().saturating_sub(tally.began);
    let record = Record {
        time_us: shard.clock.unix_us(tally.began),
        duration_us,
        upstream_us: tally.upstream_us.get(),
        queue_us: tally.queue_us.get(),
        bytes_in: tally.body_in.get(),
        bytes_out: tally.bytes_out.get(),
        ended: tally.ended(cause),
        status: 0,
        attempts: tally.attempts.get(),
        client: seat.peer,
        listener: &told.listener,
        request_id: tally.id.as_bytes(),
        method: b"",
        host: b"",
        target: b"",
        protocol: told.protocol,
        route: &told.route,
        upstream: &told.upstream,
        endpoint: &told.endpoint,
        user_agent: b"",
        referer: b"",
        tls: "",
        certificate: "",
        sni: &told.name,
    };
    let carried = &shard.slab.listener(seat.place.listener).carried;
    carried.get_or_init(Box::default).durations.observe(duration_us);
    shard.note(&record);
}
