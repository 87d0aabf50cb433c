//! What must hold of two engines of TLS, however what they say is cut and whatever becomes of it on the way: what arrives is
//! a beginning of what was said, all of it if nothing was changed, and nothing else, ever.

use std::sync::Arc;

use ringway::buf::Block;
use ringway::io::veil::Cipher;
use ringway::io::veil::Stage;
use ringway::tls::engine::Engine;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::SupportedProtocolVersion;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;

static OLD: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
static NEW: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

thread_local! {
    static CONFIGS: [(Arc<ServerConfig>, Arc<ClientConfig>); 2] = [configs(OLD), configs(NEW)];
}

fn configs(versions: &[&'static SupportedProtocolVersion]) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let made = rcgen::CertificateParams::new(vec!["test.example".to_owned()]).expect("a name").self_signed(&key);
    let chain = vec![made.expect("a certificate").der().clone()];
    let mut roots = RootCertStore::empty();
    roots.add(chain[0].clone()).expect("a root");
    let signs = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let server =
        ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).expect("versions");
    let server = server.with_no_client_auth().with_single_cert(chain, signs).expect("a pair");
    let client = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).expect("versions");
    (Arc::new(server), Arc::new(client.with_root_certificates(roots).with_no_client_auth()))
}

/// One side, what is on its way to it, and what it has heard and said.
struct End {
    engine: Engine,
    wire: Block,
    heard: Block,
    said: Vec<u8>,
    coming: Vec<u8>,
    failed: bool,
    ready: bool,
}

impl End {
    fn new(engine: Engine) -> Self {
        let (said, coming) = (Vec::new(), Vec::new());
        let (wire, heard) = (Block::none(), Block::none());
        Self { engine, wire, heard, said, coming, failed: false, ready: false }
    }

    /// Takes at most so many bytes of what is coming; what it says to that.
    fn take(&mut self, most: usize) -> Vec<u8> {
        let n = most.min(self.coming.len());
        self.wire.reserve(n);
        self.wire.tail().extend(self.coming.drain(..n));
        let mut answer = Block::none();
        if !self.failed {
            match self.engine.open(&mut self.wire, &mut self.heard, &mut answer) {
                Ok(stage) => self.ready = stage == Stage::Ready,
                Err(_) => self.failed = true,
            }
        }
        answer.bytes().to_vec()
    }
}

fn deliver(ends: &mut [End; 2], to: usize, most: usize) {
    let said = ends[to].take(most);
    ends[1 - to].coming.extend(said);
}

/// The first byte is the version, the others are steps of two: what happens, and how much of it.
pub fn tls(bytes: &[u8]) {
    let (first, steps) = bytes.split_first().unwrap_or((&0, &[]));
    let (server, client) = CONFIGS.with(|configs| configs[usize::from(first & 1)].clone());
    let name = ServerName::try_from("test.example").expect("a name");
    let engines = [Engine::server(&server), Engine::client(&client, name)];
    let mut ends = engines.map(|engine| End::new(engine.expect("an engine")));
    // Whether something was changed on its way.
    let mut spoilt = false;
    deliver(&mut ends, 1, 0);
    for step in steps.chunks(2).take(400) {
        let (what, amount) = (step[0], usize::from(*step.get(1).unwrap_or(&1)));
        let of = usize::from(what & 1);
        match what >> 1 & 3 {
            0 => deliver(&mut ends, of, amount + 1),
            1 => deliver(&mut ends, of, amount * 97 + 1),
            2 if ends[of].ready => {
                let piece: Vec<u8> = (0..amount * amount / 2 + 1).map(|at| (at + amount) as u8).collect();
                let mut out = Block::none();
                let End { engine, wire, said, .. } = &mut ends[of];
                if engine.seal(wire, &piece, &mut out).is_ok() {
                    said.extend_from_slice(&piece);
                    ends[1 - of].coming.extend_from_slice(out.bytes());
                }
            }
            3 if what & 0x80 != 0 && !ends[of].coming.is_empty() => {
                let at = amount * 7 % ends[of].coming.len();
                ends[of].coming[at] ^= 1 << (what >> 3 & 7);
                spoilt = true;
            }
            _ => {}
        }
    }
    while ends.iter().any(|end| !end.coming.is_empty()) {
        deliver(&mut ends, 0, usize::MAX);
        deliver(&mut ends, 1, usize::MAX);
    }
    let [one, other] = &ends;
    for (from, to) in [(one, other), (other, one)] {
        assert!(from.said.starts_with(to.heard.bytes()), "something was heard that nobody said");
        assert!(spoilt || to.heard.len() == from.said.len(), "something was lost");
        assert!(spoilt || (to.ready && !to.failed), "nothing was wrong");
    }
}
