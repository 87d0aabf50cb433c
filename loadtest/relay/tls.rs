//! TLS before the relay: as little around rustls as will do. It refuses to know sockets.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert, UnbufferedServerConnection};
use rustls::sign::CertifiedKey;

use crate::records::{self, Step};

/// The server's side of one connection.
pub struct Veil(UnbufferedServerConnection);

/// Keys of different sorts for the same name: a client gets the first that it can verify.
#[derive(Debug)]
struct Keys(Vec<Arc<CertifiedKey>>);

/// TLS by files of PEM, each with a certificate and its key, with tickets.
pub fn config(files: &[PathBuf]) -> io::Result<Arc<ServerConfig>> {
    let keys = files.iter().map(|file| key(file).map_err(io::Error::other)).collect::<io::Result<_>>()?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Keys(keys)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Ticketer::new().map_err(io::Error::other)?;
    Ok(Arc::new(config))
}

fn key(file: &Path) -> Result<Arc<CertifiedKey>, Box<dyn std::error::Error + Send + Sync>> {
    let chain = CertificateDer::pem_file_iter(file)?.collect::<Result<_, _>>()?;
    let key = CertifiedKey::from_der(chain, PrivateKeyDer::from_pem_file(file)?, &default_provider())?;
    Ok(Arc::new(key))
}

impl ResolvesServerCert for Keys {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.iter().find(|key| key.key.choose_scheme(hello.signature_schemes()).is_some()).cloned()
    }
}

impl Veil {
    pub fn new(config: &Arc<ServerConfig>) -> io::Result<Box<Self>> {
        UnbufferedServerConnection::new(config.clone()).map(Self).map(Box::new).map_err(io::Error::other)
    }

    /// Opens what is whole of `wire` and says how much of it is done with; what is to be said goes behind `answer`.
    pub fn open(&mut self, wire: &mut [u8], content: &mut Vec<u8>, answer: &mut Vec<u8>) -> io::Result<usize> {
        let mut taken = 0;
        loop {
            let status = self.0.process_tls_records(&mut wire[taken..]);
            let (discard, step) = records::step(status, answer, &mut |bytes| content.extend_from_slice(bytes))?;
            taken += discard;
            if step != Step::On {
                return Ok(taken);
            }
        }
    }

    /// Seals content behind `out`. What waits of the other side's is in the way of nothing: it is looked at when it is
    /// whole.
    pub fn seal(&mut self, content: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        records::seal(self.0.process_tls_records(&mut []), Some(content), out).map(drop)
    }
}
