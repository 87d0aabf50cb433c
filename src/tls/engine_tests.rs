//! Two engines that talk to each other: however what they say is cut, the same arrives.

use proptest::prelude::*;
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;

use super::*;
use crate::tls;
use crate::tls::names::Names;
use crate::tls::tickets::Domain;
use crate::tls::tickets::Secrets;
use crate::tls::tickets::Tickets;

/// Configurations of a server and of a client that trusts it.
pub(crate) fn configs(
    versions: &'static [&'static rustls::SupportedProtocolVersion],
) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(vec!["test.example".to_owned()]).unwrap().self_signed(&key).unwrap();
    let chain = vec![certificate.der().clone()];
    let mut roots = RootCertStore::empty();
    roots.add(chain[0].clone()).unwrap();
    let signs = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(tls::provider()).with_protocol_versions(versions).unwrap();
    let signs = CertifiedKey::from_der(chain, signs, &tls::provider()).unwrap();
    let names = Names::of(&[(Arc::new(signs), vec!["test.example".to_owned()])], true);
    let mut server = server.with_no_client_auth().with_cert_resolver(Arc::new(names));
    server.ticketer = Arc::new(Tickets::new(Secrets::of(b"secret"), Domain { of: [0; 32], until: i64::MAX }));
    let client = ClientConfig::builder_with_provider(tls::provider()).with_protocol_versions(versions).unwrap();
    (Arc::new(server), Arc::new(client.with_root_certificates(roots).with_no_client_auth()))
}

pub(crate) fn engines(configs: &(Arc<ServerConfig>, Arc<ClientConfig>)) -> [Engine; 2] {
    let name = ServerName::try_from("test.example").unwrap();
    [Engine::server(&configs.0).unwrap(), Engine::client(&configs.1, name).unwrap()]
}

/// One side, and what is on its way to it.
struct End {
    engine: Engine,
    wire: Block,
    content: Block,
    coming: Vec<u8>,
    ended: bool,
}

impl End {
    fn new(engine: Engine) -> Self {
        Self { engine, wire: Block::none(), content: Block::none(), coming: Vec::new(), ended: false }
    }

    /// Takes at most so many bytes of what is coming, and says what it has to say.
    fn take(&mut self, most: usize) -> Vec<u8> {
        let n = most.min(self.coming.len());
        self.wire.reserve(n);
        self.wire.tail().extend(self.coming.drain(..n));
        let mut answer = Block::none();
        self.ended |= self.engine.open(&mut self.wire, &mut self.content, &mut answer).unwrap() == Stage::Ended;
        answer.bytes().to_vec()
    }

    fn say(&mut self, content: &[u8]) -> Vec<u8> {
        let mut out = Block::none();
        self.engine.seal(&mut self.wire, content, &mut out).unwrap();
        out.bytes().to_vec()
    }
}

/// Lets both go on until neither has anything to take, in pieces of these sizes, again and again.
fn go_on(ends: &mut [End; 2], cuts: &mut impl Iterator<Item = usize>) {
    loop {
        let mut moved = false;
        for at in [1, 0] {
            let said = ends[at].take(cuts.next().unwrap());
            moved |= !said.is_empty() || !ends[at].coming.is_empty();
            ends[1 - at].coming.extend(said);
        }
        if !moved && ends.iter().all(|end| end.coming.is_empty()) {
            return;
        }
    }
}

fn talk(versions: &'static [&'static rustls::SupportedProtocolVersion], cuts: &[usize], pieces: &[(bool, Vec<u8>)]) {
    let [server, client] = engines(&configs(versions));
    let mut ends = [End::new(server), End::new(client)];
    let mut cuts = cuts.iter().copied().cycle();
    go_on(&mut ends, &mut cuts);
    assert!(ends.iter().all(|end| !end.engine.is_settling()));
    let facts = ends[0].engine.facts();
    assert_eq!((facts.name.as_deref(), facts.resumed), (Some("test.example"), false));
    let mut said = [Vec::new(), Vec::new()];
    for (by_client, piece) in pieces {
        let by = usize::from(*by_client);
        let sealed = ends[by].say(piece);
        ends[1 - by].coming.extend(sealed);
        said[by].extend_from_slice(piece);
        // Now and then before all of it has come.
        let step = cuts.next().unwrap();
        let answer = ends[1 - by].take(step);
        ends[by].coming.extend(answer);
    }
    go_on(&mut ends, &mut cuts);
    assert!(ends[0].content.bytes() == said[1] && ends[1].content.bytes() == said[0], "what was said has arrived");
    for by in [0, 1] {
        assert!(!ends[1 - by].ended);
        let mut out = Block::none();
        let End { engine, wire, .. } = &mut ends[by];
        engine.end(wire, &mut out);
        ends[1 - by].coming.extend_from_slice(out.bytes());
        go_on(&mut ends, &mut cuts);
        assert!(ends[1 - by].ended, "the end was said");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn however_records_are_cut_the_same_arrives(
        old in any::<bool>(),
        cuts in proptest::collection::vec(prop_oneof![1..40_usize, 1..20_000_usize], 1..12),
        pieces in proptest::collection::vec((any::<bool>(), sizes()), 0..12),
    ) {
        let pieces: Vec<_> = pieces.into_iter().map(|(by, size)| (by, content(size))).collect();
        talk(if old { OLD } else { tls::MODERN }, &cuts, &pieces);
    }

    #[test]
    fn no_bytes_at_all_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0..400_usize) {
        // Garbage from the beginning, and behind a good hello.
        let [mut server, mut client] = engines(&shared());
        let mut hello = Block::none();
        client.open(&mut Block::none(), &mut Block::none(), &mut hello).unwrap();
        let mut wire = Block::with_room(4000);
        wire.tail().extend_from_slice(&hello.bytes()[..at.min(hello.len())]);
        wire.tail().extend_from_slice(&bytes);
        let (mut content, mut answer) = (Block::none(), Block::none());
        for _ in 0..3 {
            drop(server.open(&mut wire, &mut content, &mut answer));
            assert!(content.is_empty());
        }
    }
}

static OLD: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS12];

thread_local! {
    static SHARED: (Arc<ServerConfig>, Arc<ClientConfig>) = configs(tls::INTERMEDIATE);
}

fn shared() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    SHARED.with(Clone::clone)
}

fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![1..50_usize, 1..70_000_usize, Just(16_384), Just(16_385)]
}

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at / 251 + at % 251) as u8).collect()
}

#[test]
fn a_record_that_was_changed_is_refused_and_the_other_side_is_told() {
    let [server, client] = engines(&configs(tls::MODERN));
    let mut ends = [End::new(server), End::new(client)];
    go_on(&mut ends, &mut std::iter::repeat(usize::MAX));
    let mut sealed = ends[1].say(b"pay 10");
    *sealed.last_mut().unwrap() ^= 1;
    let mut wire = Block::with_room(sealed.len());
    wire.tail().extend_from_slice(&sealed);
    let (mut content, mut answer) = (Block::none(), Block::none());
    let fault = ends[0].engine.open(&mut wire, &mut content, &mut answer).unwrap_err();
    assert!(content.is_empty() && !answer.is_empty(), "{fault:?}");
    assert!(ends[0].engine.seal(&mut wire, b"no", &mut answer).is_err());
}

#[test]
fn what_is_bad_after_our_end_is_refused_and_nothing_follows_the_end() {
    let [server, client] = engines(&configs(tls::MODERN));
    let mut ends = [End::new(server), End::new(client)];
    go_on(&mut ends, &mut std::iter::repeat(usize::MAX));
    let mut sealed = ends[1].say(b"pay 10");
    *sealed.last_mut().unwrap() ^= 1;
    let (mut wire, mut content, mut answer) = (Block::none(), Block::none(), Block::none());
    ends[0].engine.end(&mut wire, &mut answer);
    assert!(!answer.is_empty());
    answer.clear();
    wire.reserve(sealed.len());
    wire.tail().extend_from_slice(&sealed);
    assert!(ends[0].engine.open(&mut wire, &mut content, &mut answer).is_err());
    assert!(content.is_empty() && answer.is_empty());
}

#[test]
fn an_engine_shows_no_secret() {
    let [server, client] = engines(&shared());
    assert_eq!(format!("{server:?} {client:?}"), "Engine Engine");
}
