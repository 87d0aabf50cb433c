//! Beside step 2: TLS, before the first request. The client's first bytes are looked at, the handshake is made within its
//! time, and what it has settled is kept with the connection. Whoever speaks plain HTTP here is told so.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use crate::buf::Block;
use crate::http::Refusal;
use crate::io::line::Broken;
use crate::io::line::Unsettled;
use crate::limits;
use crate::model::HostClients;
use crate::observe::metrics::Handshake;
use crate::serve::conn::Client;
use crate::serve::conn::Seat;
use crate::serve::h1;
use crate::serve::reply;
use crate::shard::Shard;
use crate::tls::certificate::Certificate;
use crate::tls::engine::Engine;
use crate::tls::hello;
use crate::tls::hello::Fault;
use crate::tls::hello::Hello;
use crate::wire::h1::NoRequest;

/// What was settled with a client.
#[derive(Debug)]
pub(crate) struct Secured {
    /// The version, as it is logged.
    pub(crate) version: &'static str,
    /// The name that the client asked for, in lower case.
    name: Option<Box<str>>,
    /// Who the client is, as it is told on; empty if it has shown no certificate.
    pub(crate) certificate: Box<str>,
    /// What the host that it asked for says of certificates of clients, if anything.
    pub(crate) rule: Option<Arc<HostClients>>,
}

impl Secured {
    /// Who the client is, whatever certificate says so this time: what follows its sum.
    pub(crate) fn who(&self) -> &str {
        self.certificate.split_once(';').map_or("", |(_, who)| who)
    }

    /// Whether a request for this host came by a connection that was made for another (RFC 9110 §15.5.20).
    pub(crate) fn is_for_another(&self, host: &[u8]) -> bool {
        // One trailing dot names the same host (RFC 1034 §3.1).
        let host = host.strip_suffix(b".").unwrap_or(host);
        let other = |name: &str| !host.is_empty() && !host.eq_ignore_ascii_case(name.as_bytes());
        self.name.as_deref().is_some_and(other)
    }
}

/// One handshake under way, until dropped.
struct Under<'a>(&'a Cell<u32>);

impl<'a> Under<'a> {
    fn way(count: &'a Cell<u32>, most: u32) -> Option<Self> {
        if count.get() >= most {
            return None;
        }
        count.set(count.get() + 1);
        Some(Self(count))
    }
}

impl Drop for Under<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// Why no hello was heard.
#[derive(Debug)]
pub(crate) enum Unheard {
    /// What came is none.
    Faulty(Fault),
    /// No more comes.
    Broken(Broken),
}

/// Room for the next bytes of a hello.
const HELLO_ROOM: usize = 2000;

/// Makes the handshake, under the deadline that is armed; `inbound` was read already. False: the connection is over.
pub(crate) async fn begin(shard: &Rc<Shard>, seat: &mut Seat, inbound: Block) -> bool {
    let slab = shard.slab.clone();
    let counts = slab.listener(seat.place.listener);
    let outcome = match settle(shard, seat, inbound).await {
        Ok(resumed) => {
            // From here on it is the first request's time that runs.
            let Some(patience) = h1::head_timeout(shard, seat) else { return false };
            seat.line.reading().arm_idle(patience);
            if resumed { Handshake::Resumed } else { Handshake::Full }
        }
        Err(Some(outcome)) => outcome,
        // Whoever only looks whether we are there owes nothing.
        Err(None) => return false,
    };
    counts.handshakes[outcome as usize].add(1);
    matches!(outcome, Handshake::Full | Handshake::Resumed)
}

/// Whether what was settled before was taken up again; or why there was no handshake, if anything was said at all.
async fn settle(shard: &Rc<Shard>, seat: &mut Seat, mut inbound: Block) -> Result<bool, Option<Handshake>> {
    let generation = shard.generation();
    let server = generation.listener(seat.place.listener).and_then(|listener| listener.tls.clone());
    let server = server.ok_or(Some(Handshake::Failed))?;
    let settings = &server.settings;
    let mut hello = Hello::new(settings.hello_bytes);
    if let Err(fault) = hear(seat, &mut inbound, &mut hello).await {
        inbound = unheard(shard, seat, inbound, fault).await?;
    }
    let rule = |name: &[u8]| generation.snapshot.rule(name).cloned();
    let chosen = rule(hello.name());
    let config = server.config(chosen.as_deref()).ok_or(Some(Handshake::Failed))?;
    let _under = Under::way(&shard.handshakes, settings.at_once).ok_or(Some(Handshake::Refused))?;
    let engine = Engine::server(config).map_err(|_| Some(Handshake::Failed))?;
    seat.line.cover(Box::new(engine), inbound);
    match seat.line.settle(settings.hello_bytes, settings.timeout).await {
        // An authority has seen what it came for (RFC 8737 §3).
        Ok(facts) if facts.looked_at => Err(None),
        // Two readers of one hello: what either makes of it has come to the same.
        Ok(facts) if rule(facts.name.as_deref().unwrap_or_default().as_bytes()) == chosen => {
            let certificate = facts.peer.as_deref().and_then(Certificate::read);
            let certificate = certificate.map_or_else(Box::default, |read| read.forwarded().into());
            seat.secure(Secured { version: facts.version, name: facts.name, certificate, rule: chosen });
            Ok(facts.resumed)
        }
        Ok(_) => Err(Some(Handshake::Failed)),
        Err(Unsettled::Broken(Broken::TimedOut)) => Err(Some(Handshake::TimedOut)),
        Err(fault) => {
            tracing::debug!(peer = %seat.peer, ?fault, "a TLS handshake failed");
            Err(Some(Handshake::Failed))
        }
    }
}

/// Reads what a client begins with until its hello is whole: it costs little more than its block before it is.
pub(crate) async fn hear(seat: &Seat, inbound: &mut Block, hello: &mut Hello) -> Result<(), Unheard> {
    loop {
        if !inbound.is_empty() {
            // From its first byte on it is waited for, whatever else begins.
            seat.line.reading().occupy();
            if hello.read(inbound.bytes()).map_err(Unheard::Faulty)? {
                return Ok(());
            }
        }
        inbound.reserve(HELLO_ROOM);
        let room = inbound.spare();
        seat.line.read(inbound, room).await.map_err(Unheard::Broken)?;
    }
}

/// Makes of it what it means to one who speaks TLS: what cannot be read is left to rustls, which finds the words that are
/// sent.
async fn unheard(shard: &Rc<Shard>, seat: &Seat, inbound: Block, unheard: Unheard) -> Result<Block, Option<Handshake>> {
    match unheard {
        Unheard::Faulty(Fault::NotTls) if inbound.bytes().first() != Some(&hello::HANDSHAKE) => {
            refuse_plain(shard, seat, inbound).await;
            Err(Some(Handshake::Plain))
        }
        Unheard::Faulty(Fault::NotTls | Fault::Malformed(_)) => Ok(inbound),
        Unheard::Broken(Broken::TimedOut) => Err(Some(Handshake::TimedOut)),
        Unheard::Broken(Broken::Closed | Broken::Reset) if inbound.is_empty() => Err(None),
        Unheard::Faulty(Fault::TooLong) | Unheard::Broken(Broken::Closed | Broken::Reset) => {
            Err(Some(Handshake::Failed))
        }
    }
}

/// Tells a client that speaks plain HTTP that TLS is spoken here; whoever speaks neither is told nothing.
async fn refuse_plain(shard: &Rc<Shard>, seat: &Seat, inbound: Block) {
    if !inbound.bytes().first().is_some_and(u8::is_ascii_uppercase) {
        return;
    }
    let mut client = Client::at(seat, inbound);
    reply::refuse_head(shard, &mut client, NoRequest::Refused(Refusal::PlainOnTls)).await;
    seat.line.linger(limits::LINGER_PAUSE, limits::LINGER_PAUSE).await;
}
