//! What an exchange did, counted while it runs. Both directions of it write here, one cell at a time, and the record is
//! made of it at the end.

use std::cell::Cell;

use crate::http::forward::Server;
use crate::http::head::Method;
use crate::http::head::Version;
use crate::http::identity::Identity;
use crate::limits;
use crate::observe::ended::Cause;
use crate::observe::ended::Ended;
use crate::observe::ended::Phase;
use crate::observe::metrics;
use crate::observe::metrics::Slab;
use crate::observe::record::Record;
use crate::serve::conn::Client;
use crate::shard::Shard;
use crate::shard::generation::Generation;
use crate::snapshot::Listener;
use crate::snapshot::Route;

/// An exchange's counts.
#[derive(Debug)]
pub(crate) struct Tally {
    /// When its head was whole, in microseconds on the clock that all cores share.
    pub(crate) began: u64,
    /// Its id.
    pub(crate) id: Id,
    /// How far it is.
    pub(crate) phase: Cell<Phase>,
    /// Bytes of the request that came, without its head.
    pub(crate) body_in: Cell<u64>,
    /// Bytes of the response that went.
    pub(crate) bytes_out: Cell<u64>,
    /// The status that went, or is on its way.
    pub(crate) status: Cell<u16>,
    /// Whether the request went to the endpoint whole.
    pub(crate) uploaded: Cell<bool>,
    /// Whether the endpoint has said 100: it wants the request's body.
    pub(crate) continued: Cell<bool>,
    /// Attempts made.
    pub(crate) attempts: Cell<u32>,
    /// The endpoint of the last attempt, by its place in the upstream.
    pub(crate) endpoint: Cell<Option<usize>>,
    /// From the first attempt to the response head, in microseconds.
    pub(crate) upstream_us: Cell<u64>,
    /// Waited for a place at the upstream, in microseconds.
    pub(crate) queue_us: Cell<u64>,
}

/// One exchange counted as under way, until dropped: also by a panic.
#[derive(Debug)]
pub(crate) struct Running<'a>(&'a Slab, #[expect(dead_code, reason = "it counts when it is dropped")] Fallen<'a>);

/// Counts the end of what panics while it is held.
#[derive(Debug)]
pub(crate) struct Fallen<'a>(pub(crate) &'a Slab);

impl<'a> Running<'a> {
    /// Counts it.
    pub(crate) fn begin(slab: &'a Slab) -> Self {
        slab.in_flight.add(1);
        Self(slab, Fallen(slab))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.in_flight.sub(1);
        // Nobody comes to finish an exchange that panics: it is counted on its way down.
        if std::thread::panicking() {
            self.0.exchanges.add(1);
        }
    }
}

impl Drop for Fallen<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.causes.iter().skip(Cause::Panic as usize).take(1).for_each(|count| count.add(1));
        }
    }
}

/// A request id: the client's, if it is worth keeping, or ours.
#[derive(Debug)]
pub(crate) struct Id {
    bytes: [u8; limits::REQUEST_ID_BYTES],
    len: usize,
}

impl Id {
    /// Copies what fits.
    pub(crate) fn new(text: &[u8]) -> Self {
        let len = text.len().min(limits::REQUEST_ID_BYTES);
        let mut bytes = [0; limits::REQUEST_ID_BYTES];
        if let (Some(place), Some(text)) = (bytes.get_mut(..len), text.get(..len)) {
            place.copy_from_slice(text);
        }
        Self { bytes, len }
    }

    /// As it goes on the wire.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }
}

impl Tally {
    /// Begins to count.
    pub(crate) fn begin(shard: &Shard, kept: Option<&[u8]>) -> Self {
        let id = kept.map_or_else(|| Id::new(&shard.ids.make()), Id::new);
        Self {
            began: shard.clock.now_us(),
            id,
            phase: Cell::new(Phase::Request),
            body_in: Cell::new(0),
            bytes_out: Cell::new(0),
            status: Cell::new(0),
            uploaded: Cell::new(false),
            continued: Cell::new(false),
            attempts: Cell::new(0),
            endpoint: Cell::new(None),
            upstream_us: Cell::new(0),
            queue_us: Cell::new(0),
        }
    }

    /// Whether a byte of the final response has gone, or may have.
    pub(crate) fn answered(&self) -> bool {
        self.status.get() != 0
    }

    /// How the exchange ended, as far as it had come.
    pub(crate) fn ended(&self, cause: Cause) -> Ended {
        let phase = if cause.is_error() { self.phase.get() } else { Phase::Done };
        Ended { cause, phase }
    }

    /// Counts the exchange for metrics and notes it for the log. Without a head (`understood` is false) nothing of the
    /// request is known.
    pub(crate) fn finish(&self, shard: &Shard, client: &Client<'_>, facts: &Facts<'_>, ended: Ended) {
        // What a drain cut looks like a client or an endpoint that broke off; it was neither.
        let cut = shard.expired.get() && ended.cause != Cause::Ok;
        let ended = if cut { Ended { cause: Cause::Drain, ..ended } } else { ended };
        let duration_us = shard.clock.now_us().saturating_sub(self.began);
        // What was never said to the client is still told to the operator: 499 for one that went, as nginx has it. What
        // is said over a connection that the drain has cut is never heard.
        let status = match self.status.get() {
            status if status == 0 || (cut && self.bytes_out.get() == 0) => ended.cause.row().status,
            status => status,
        };
        let upstream = facts.route.map(|route| facts.generation.snapshot.upstream(route.upstream));
        let endpoint = upstream.zip(self.endpoint.get()).and_then(|(upstream, place)| upstream.endpoints.get(place));
        let mut record = Record {
            time_us: shard.clock.unix_us(self.began),
            duration_us,
            upstream_us: self.upstream_us.get(),
            queue_us: self.queue_us.get(),
            bytes_in: self.body_in.get(),
            bytes_out: self.bytes_out.get(),
            ended,
            status,
            attempts: self.attempts.get(),
            client: facts.identity.client,
            listener: facts.listener.map_or("", |listener| listener.settings.name.as_str()),
            request_id: self.id.as_bytes(),
            method: b"",
            host: b"",
            target: b"",
            protocol: "",
            route: facts.route.map_or("", |route| route.label.as_str()),
            upstream: upstream.map_or("", |upstream| upstream.settings.name.as_str()),
            endpoint: endpoint.map_or("", |endpoint| endpoint.label.as_str()),
            user_agent: b"",
            referer: b"",
            tls: client.seat.secured().map_or("", |secured| secured.version),
            certificate: client.seat.secured().map_or("", |secured| &secured.certificate),
            sni: b"",
        };
        let (mut method, mut protocol) = (Method::Other, Version::Http11);
        if facts.understood {
            let request = client.request.view(client.inbound.bytes());
            (method, protocol) = (request.method_kind(), request.version());
            record.bytes_in += client.request.len() as u64;
            record.method = request.method();
            record.host = request.host();
            record.target = request.target();
            record.protocol = if protocol == Version::Http10 { "HTTP/1.0" } else { "HTTP/1.1" };
            record.user_agent = request.field(crate::http::head::Known::UserAgent).unwrap_or(b"");
            record.referer = request.field(crate::http::head::Known::Referer).unwrap_or(b"");
        } else {
            record.bytes_in += client.inbound.len() as u64;
        }
        let slot = facts.route.map_or_else(Default::default, |route| route.slot);
        let protocol = usize::from(protocol == Version::Http11);
        shard.slab.route(slot).observe(method_index(method), metrics::class(status), protocol, duration_us);
        shard.observe(&record);
    }
}

/// What is known of an exchange beside its counts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    /// The configuration it was served by.
    pub(crate) generation: &'a Generation,
    /// The listener it came by, unless it has left the configuration.
    pub(crate) listener: Option<&'a Listener>,
    /// Who sent it.
    pub(crate) identity: Identity,
    /// Its route, if one was found.
    pub(crate) route: Option<&'a Route>,
    /// Whether its head was understood.
    pub(crate) understood: bool,
}

impl Facts<'_> {
    /// What becomes of the `Server` field of responses.
    pub(crate) fn server(&self) -> Server<'_> {
        self.listener.map_or(Server::Pass, |listener| listener.settings.server.field())
    }
}

/// The index of a method in `metrics::METHODS`.
fn method_index(method: Method) -> usize {
    match method {
        Method::Get => 0,
        Method::Head => 1,
        Method::Post => 2,
        Method::Put => 3,
        Method::Delete => 4,
        Method::Options => 5,
        Method::Trace => 6,
        Method::Connect => 7,
        Method::Patch => 8,
        Method::Other => 9,
    }
}
