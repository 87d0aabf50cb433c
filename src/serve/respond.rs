//! Step 7: the response. Its head is awaited, interim ones are passed on, and then head and body go to the client as they
//! come, the head and what came with it in one send.

use crate::balance::ledger::Flight;
use crate::balance::orca::Report;
use crate::buf::Block;
use crate::http::forward;
use crate::http::forward::Answer;
use crate::http::framing;
use crate::http::framing::Framing;
use crate::http::head::HeadLimits;
use crate::http::head::Method;
use crate::http::head::ResponseHead;
use crate::http::head::Version;
use crate::http::upgrade;
use crate::io::line::Broken;
use crate::io::line::Line;
use crate::model::Feedback;
use crate::model::HedgeAfter;
use crate::model::ResponseLimits;
use crate::observe::ended::Cause;
use crate::observe::ended::Phase;
use crate::observe::metrics;
use crate::policy::retry;
use crate::policy::retry::Fault;
use crate::relay;
use crate::relay::Bounds;
use crate::relay::Lost;
use crate::relay::Pump;
use crate::serve::attempt::Scene;
use crate::serve::conn::Client;
use crate::serve::conn::Seat;
use crate::wire::body::Clean;
use crate::wire::body::Cutoff;
use crate::wire::body::Sink;
use crate::wire::body::Source;
use crate::wire::h1;
use crate::wire::h1::NoResponse;

/// What the response must know of its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    method: Method,
    version: Version,
    /// Whether the client wants its connection kept.
    keep: bool,
    /// Whether it waits for leave to send its body.
    pub(crate) expects: bool,
    /// Whose it is.
    seat: &'a Seat,
    /// When the attempt began, in microseconds on the clock that all cores share.
    began: u64,
    /// What is told of its endpoint.
    flight: &'a Flight,
}

/// A response that went to the client, whole or not.
#[derive(Debug)]
pub(crate) struct Answered {
    /// The proof that it was read to its true end.
    pub(crate) clean: Option<Clean>,
    /// Whether the endpoint keeps its connection.
    pub(crate) endpoint_keeps: bool,
    /// What becomes of the client's connection.
    pub(crate) last: Last,
    /// Why it did not go whole.
    pub(crate) lost: Option<Cause>,
}

/// Whether a response is the last on its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    /// Another may follow.
    No,
    /// The client was told that its connection ends.
    Told,
    /// Only the end of the connection tells the client where the response ends.
    UntilClose,
    /// A tunnel follows.
    Tunnel,
}

/// Why nothing went to the client.
#[derive(Debug)]
pub(crate) struct Unanswered {
    pub(crate) cause: Cause,
    pub(crate) detail: &'static str,
    /// Whether the endpoint had begun to answer.
    pub(crate) heard: bool,
    /// The status of a response that was refused, since another attempt is planned.
    pub(crate) status: Option<u16>,
    /// The proof that it was read to its true end, and the endpoint keeps its connection.
    pub(crate) clean: Option<Clean>,
}

/// An endpoint's side: its line, what was read of it, and room for a head's fields.
type Side<'a> = (&'a Line, &'a mut Block, &'a mut ResponseHead);

/// A response head that is to go on.
struct Headed {
    status: u16,
    out: Block,
    source: Source,
    framing: Framing,
    endpoint_keeps: bool,
    close: bool,
}

/// Room for what the gateway adds to a response head.
const ADDED_ROOM: usize = 400;

impl<'a> Asked<'a> {
    /// What the request at the front of the client's buffer says.
    pub(crate) fn of(client: &Client<'a>, began: u64, flight: &'a Flight) -> Self {
        let request = client.request.view(client.inbound.bytes());
        Self {
            method: request.method_kind(),
            version: request.version(),
            keep: request.keep_alive(),
            expects: request.expects_continue(),
            seat: client.seat,
            began,
            flight,
        }
    }
}

/// Awaits the response and relays it.
pub(crate) async fn respond(
    scene: &Scene<'_>,
    asked: &Asked<'_>,
    (line, inbound, head): Side<'_>,
) -> Result<Answered, Unanswered> {
    let Scene { shard, upstream, route, terms, tally, .. } = *scene;
    let client = &asked.seat.line;
    let switch = await_final(scene, asked, (line, inbound, head)).await?;
    line.reading().disarm();
    let passed = shard.clock.now_us().saturating_sub(asked.began);
    tally.upstream_us.set(tally.upstream_us.get() + passed);
    if switch.is_some() {
        asked.flight.answered(passed);
    } else if let Some(refused) = judge(scene, asked, (inbound, head), passed) {
        shard.slab.upstream(upstream.slot).observe(metrics::class(refused.status.unwrap_or(0)), passed);
        return Err(refused);
    }
    let headed = match &switch {
        Some(protocols) => opening(scene, asked.seat, (inbound, head), protocols),
        None => translate(scene, asked, inbound, head)?,
    };
    let Headed { status, out, mut source, framing, endpoint_keeps, close } = headed;
    // It may be long until there is more.
    if inbound.is_empty() {
        *inbound = Block::none();
    }
    shard.slab.upstream(upstream.slot).observe(metrics::class(status), passed);
    // Since the first attempt: the time of a hedge alone would make the next one come sooner, and that the one after it.
    if route.settings.hedge.is_some_and(|hedge| matches!(hedge.after, HedgeAfter::Percentile(_))) {
        shard.gates.times(route.slot).borrow_mut().note(tally.upstream_us.get());
    }
    tally.status.set(status);
    tally.phase.set(Phase::Response);
    let until_close = framing == Framing::UntilClose;
    if until_close {
        client.reading().cut_abruptly();
    }
    let mut bounds = Bounds { read: terms.endpoint(), write: terms.client(), most: None, written: &tally.bytes_out };
    let sink = Sink::new(framing);
    let pump =
        Pump { out, source: &mut source, sink, from: line, rest: inbound, to: client, kept: None, bounds: &mut bounds };
    let pumped = relay::pump(pump).await;
    let lost = pumped.err().map(|lost| match lost {
        Lost::Sink(Broken::TimedOut) => Cause::ClientTimeoutBody,
        Lost::Sink(_) => Cause::ClientAbort,
        Lost::Source(Cutoff::Broken(Broken::TimedOut)) | Lost::TooSlow => Cause::UpstreamTimeoutBody,
        Lost::Source(Cutoff::Broken(_)) | Lost::Halted => Cause::UpstreamTruncated,
        Lost::Source(Cutoff::Faulty(_)) | Lost::TooLarge => Cause::UpstreamBadResponse,
    });
    if matches!(lost, Some(Cause::UpstreamTimeoutBody | Cause::UpstreamTruncated | Cause::UpstreamBadResponse)) {
        asked.flight.failed(shard.clock.now_us(), None);
    }
    let last = match (framing, close) {
        _ if switch.is_some() => Last::Tunnel,
        (Framing::UntilClose, _) => Last::UntilClose,
        (_, true) => Last::Told,
        (_, false) => Last::No,
    };
    Ok(Answered { clean: source.clean(), endpoint_keeps, last, lost })
}

/// Reads heads until a final one stands at the front of `inbound`, passing interim ones on (RFC 9110 §15.2). One that opens
/// a tunnel is final: then the value is what it switches to, which is nothing after CONNECT.
async fn await_final(
    scene: &Scene<'_>,
    asked: &Asked<'_>,
    (line, inbound, head): Side<'_>,
) -> Result<Option<Vec<u8>>, Unanswered> {
    let ResponseLimits { head_bytes, fields, interim, .. } = scene.upstream.settings.response;
    let limits = HeadLimits { head_bytes, fields, target_bytes: 0 };
    for passed in 0..=interim {
        if let Err(reason) = h1::read_response(line, inbound, head, &limits).await {
            return Err(unheard(scene, reason, !inbound.is_empty()));
        }
        let response = head.view(inbound.bytes());
        match response.status() {
            101 => match upgrade::switched(response, scene.upgrade) {
                // What is left of the request's body would go through the tunnel.
                Some(_) if !scene.tally.uploaded.get() => {
                    return Err(Unanswered::faulty("101 before the end of the request"));
                }
                Some(protocols) => return Ok(Some(protocols)),
                None => return Err(Unanswered::faulty("101 to a protocol that was not passed on")),
            },
            200..=299 if asked.method == Method::Connect => return Ok(Some(Vec::new())),
            100..=199 if passed == interim => break,
            100..=199 => {
                scene.tally.continued.set(scene.tally.continued.get() || response.status() == 100);
                if asked.version == Version::Http11 {
                    let mut out = Block::with_room(head.len() + ADDED_ROOM);
                    forward::encode_interim(out.tail(), response, scene.facts.server());
                    let size = out.len() as u64;
                    // A client that does not take this one will not take the final one either: seen there.
                    if asked.seat.line.write(&mut out, scene.terms.pause()).await.is_ok() {
                        scene.tally.bytes_out.set(scene.tally.bytes_out.get() + size);
                    }
                }
                inbound.consume(head.len());
            }
            _ => return Ok(None),
        }
    }
    Err(Unanswered::faulty("too many interim responses"))
}

/// Tells the balancer of a response head, and refuses it if its status is worth another attempt and one may be made: then
/// nothing of it goes to the client.
fn judge(
    scene: &Scene<'_>,
    asked: &Asked<'_>,
    (inbound, head): (&mut Block, &ResponseHead),
    passed: u64,
) -> Option<Unanswered> {
    let Scene { shard, upstream, course, .. } = *scene;
    let response = head.view(inbound.bytes());
    let status = response.status();
    let later = matches!(status, 429 | 503).then(|| response.named("retry-after")).flatten();
    let after = later.and_then(|value| retry::after(value, shard.clock.unix_seconds()));
    let report = Some(own_field(scene)).filter(|name| !name.is_empty()).and_then(|name| response.named(name));
    if let Some(report) = report.and_then(Report::parse) {
        shard.ledger.reported(asked.flight.slot(), &report, shard.clock.now_us());
    }
    match status {
        429 | 500.. => asked.flight.failed(shard.clock.now_us(), after),
        _ => asked.flight.answered(passed),
    }
    let wanted = retry::has_status(&upstream.settings.retry.on, status);
    if !wanted || !course.plan(scene, Fault::Status(status), after) {
        return None;
    }
    // What has come whole leaves its connection as good as it was.
    let (keeps, framing) = (response.keep_alive(), framing::response(response, asked.method));
    let mut clean = None;
    if let (true, Ok(framing)) = (keeps, framing) {
        let mut source = Source::within(framing, upstream.settings.response.chunk_limits());
        let behind = inbound.bytes_mut().get_mut(head.len()..).unwrap_or(&mut []);
        if let Ok(taken) = source.buffered(behind) {
            clean = source.clean().filter(|_| behind.len() == taken.consumed);
        }
    }
    if clean.is_some() {
        *inbound = Block::none();
    }
    Some(Unanswered { status: Some(status), clean, ..Unanswered::faulty("a status that is tried again") })
}

/// The field in which an endpoint says something of itself to us, and to nobody else; empty: we do not listen.
fn own_field(scene: &Scene<'_>) -> &'static str {
    scene.upstream.settings.feedback.map_or("", |Feedback::Orca| "endpoint-load-metrics")
}

/// The fields that are for the gateway alone, or that it says itself.
fn own_fields(scene: &Scene<'_>, seat: &Seat) -> [&'static str; 2] {
    let hsts = !seat.hsts(scene.facts.listener).is_empty();
    [own_field(scene), if hsts { "strict-transport-security" } else { "" }]
}

/// The lines that the gateway adds: how the host is to be asked from now on, and the one that keeps the client at the
/// endpoint that has answered, if it is not kept there already.
fn added(scene: &Scene<'_>, seat: &Seat) -> Vec<u8> {
    let Scene { shard, upstream, tally, .. } = *scene;
    let mut line = seat.hsts(scene.facts.listener).to_vec();
    let Some((settings, seal)) = upstream.settings.sticky.as_ref().zip(upstream.seal.as_ref()) else { return line };
    let place = tally.endpoint.get().filter(|place| scene.sticky != Some(*place));
    if let Some(candidate) = place.and_then(|place| upstream.plan.candidates.get(place)) {
        let lifetime = settings.lifetime.as_secs();
        let value = seal.write(candidate.id, shard.clock.unix_seconds().saturating_add(lifetime));
        let age = lifetime.to_string();
        let name = settings.cookie.as_bytes();
        let secure: &[u8] = if seat.secured().is_some() { b"; Secure\r\n" } else { b"\r\n" };
        let rest: [&[u8]; 3] = [age.as_bytes(), b"; Path=/; HttpOnly; SameSite=Lax", secure];
        for part in [b"Set-Cookie: ", name, b"=", &value, b"; Max-Age=", rest[0], rest[1], rest[2]] {
            line.extend_from_slice(part);
        }
    }
    line
}

/// Takes a head that opens a tunnel out of `inbound`, and what came behind it, which goes through the tunnel first.
fn opening(scene: &Scene<'_>, seat: &Seat, (inbound, head): (&mut Block, &ResponseHead), protocols: &[u8]) -> Headed {
    let Scene { shard, facts, tally, .. } = *scene;
    let response = head.view(inbound.bytes());
    let mut out = Block::with_room(inbound.len() + protocols.len() + ADDED_ROOM);
    let (request_id, date, server) = (tally.id.as_bytes(), shard.date(), facts.server());
    // No framing field, and no word on the connection but the switch: RFC 9110 §7.8, §9.3.6.
    let (framing, close, client_version) = (Framing::UntilClose, false, Version::Http11);
    let (kept, added) = (own_fields(scene, seat), added(scene, seat));
    let answer = Answer { framing, close, client_version, request_id, date: &date, server, kept, added: &added };
    forward::encode_response(out.tail(), response, &answer);
    if !protocols.is_empty() {
        upgrade::append(out.tail(), protocols);
    }
    out.tail().extend_from_slice(inbound.bytes().get(head.len()..).unwrap_or(&[]));
    let (status, source) = (response.status(), Source::new(Framing::None));
    *inbound = Block::none();
    Headed { status, out, source, framing: Framing::None, endpoint_keeps: false, close: false }
}

/// Takes the head and what of the body came with it out of `inbound`, and writes them as the client gets them.
fn translate(
    scene: &Scene<'_>,
    asked: &Asked<'_>,
    inbound: &mut Block,
    head: &ResponseHead,
) -> Result<Headed, Unanswered> {
    let Scene { shard, facts, tally, .. } = *scene;
    let response = head.view(inbound.bytes());
    let received = framing::response(response, asked.method).map_err(|fault| Unanswered::faulty(fault.words()))?;
    let framing = match (received, asked.version) {
        // An end of the connection is no end of a message that can be told from a failure: chunks tell it.
        (Framing::UntilClose, Version::Http11) => Framing::Chunked,
        (Framing::Chunked, Version::Http10) => Framing::UntilClose,
        (framing, _) => framing,
    };
    let close =
        !asked.keep || !tally.uploaded.get() || framing == Framing::UntilClose || asked.seat.stays(shard).is_none();
    // What an endpoint makes of a connection on which it has refused a tunnel is not tried out.
    let endpoint_keeps = response.keep_alive() && asked.method != Method::Connect;
    let status = response.status();
    let mut out = Block::with_room(inbound.len() + ADDED_ROOM);
    let date = shard.date();
    let (client_version, request_id, server) = (asked.version, tally.id.as_bytes(), facts.server());
    let (kept, added) = (own_fields(scene, asked.seat), added(scene, asked.seat));
    let answer = Answer { framing, close, client_version, request_id, date: &date, server, kept, added: &added };
    forward::encode_response(out.tail(), response, &answer);
    let mut source = Source::within(received, scene.upstream.settings.response.chunk_limits());
    let behind = inbound.bytes_mut().get_mut(head.len()..).unwrap_or(&mut []);
    let taken = source.buffered(behind).map_err(|fault| Unanswered::faulty(fault.words()))?;
    let data = behind.get(taken.data).unwrap_or(&[]);
    Sink::new(framing).append(out.tail(), data, source.ended().then(|| source.trailers()));
    inbound.consume(head.len() + taken.consumed);
    Ok(Headed { status, out, source, framing, endpoint_keeps, close })
}

impl Unanswered {
    fn faulty(detail: &'static str) -> Self {
        Self { cause: Cause::UpstreamBadResponse, detail, heard: true, status: None, clean: None }
    }
}

pub(crate) fn unheard(scene: &Scene<'_>, reason: NoResponse, heard: bool) -> Unanswered {
    let (cause, detail) = match reason {
        NoResponse::Broken(Broken::TimedOut) if scene.is_late() => (Cause::UpstreamTimeoutTotal, ""),
        NoResponse::Broken(Broken::TimedOut) => (Cause::UpstreamTimeoutHeaders, ""),
        NoResponse::Broken(Broken::Closed) => (Cause::UpstreamClosed, ""),
        NoResponse::Broken(Broken::Reset) => (Cause::UpstreamReset, ""),
        NoResponse::Faulty(fault) => (Cause::UpstreamBadResponse, fault.words()),
    };
    Unanswered { cause, detail, heard, status: None, clean: None }
}
