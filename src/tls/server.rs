//! What a listener's side of TLS is configured by: certificates, versions, tickets, and what clients must show. It refuses
//! to know where files are.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::server::NoServerSessionStorage;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;

use crate::model::ClientCertificates;
use crate::model::ListenTls;
use crate::model::Need;
use crate::model::Pair;
use crate::model::UnknownName;
use crate::tls;
use crate::tls::certificate::Certificate;
use crate::tls::certificate::sha256;
use crate::tls::files;
use crate::tls::files::Faulty;
use crate::tls::names::Names;
use crate::tls::tickets::Secrets;
use crate::tls::tickets::Tickets;

/// A certificate with its key, read.
pub struct Loaded {
    /// What rustls signs with.
    key: Arc<CertifiedKey>,
    /// What it says of itself.
    pub certificate: Certificate,
}

/// A listener's side of TLS.
pub struct Server {
    /// What its connections are made with.
    pub config: Arc<ServerConfig>,
    /// What it was made of.
    pub settings: ListenTls,
}

/// Tickets of TLS 1.3 that a client is given after a handshake.
const TICKETS: usize = 2;

impl Loaded {
    /// Reads a pair; the key must be the certificate's.
    ///
    /// # Errors
    /// [`Faulty`].
    pub fn read(pair: &Pair) -> Result<Self, Faulty> {
        let chain = files::chain(&pair.cert)?;
        let odd = || files::faulty(&pair.cert, "the first certificate in it cannot be read".into());
        let certificate = chain.first().and_then(|first| Certificate::read(first)).ok_or_else(odd)?;
        let key = files::key(&pair.key)?;
        let made = CertifiedKey::from_der(chain, key, &tls::provider());
        let mut key = made.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                files::faulty(&pair.key, format!("it is not the key of {}", pair.cert.display()))
            }
            _ => files::faulty(&pair.key, "the key in it is of a sort that cannot be used".into()),
        })?;
        if let Some(path) = &pair.ocsp {
            key.ocsp = Some(files::bytes(path)?);
        }
        Ok(Self { key: Arc::new(key), certificate })
    }
}

impl Server {
    /// A listener's side, with its certificates in the order of its settings.
    ///
    /// # Errors
    /// [`Faulty`].
    pub fn new(settings: &ListenTls, loaded: &[Arc<Loaded>], own: &Secrets) -> Result<Self, Faulty> {
        let (verifier, domain) = match &settings.clients {
            None => (WebPkiClientVerifier::no_client_auth(), sha256(b"anybody")),
            Some(clients) => verifier(clients)?,
        };
        let versions = tls::versions(settings.policy);
        let builder = ServerConfig::builder_with_provider(tls::provider()).with_protocol_versions(versions);
        let first = settings.certificates.first().map_or(Path::new(""), |pair| pair.cert.as_path());
        let builder = builder.map_err(|error| files::faulty(first, error.to_string()))?;
        let certificates: Vec<_> =
            loaded.iter().map(|loaded| (loaded.key.clone(), loaded.certificate.names.clone())).collect();
        let names = Names::of(&certificates, settings.unknown_name == UnknownName::Refuse);
        let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(Arc::new(names));
        config.alpn_protocols = vec![tls::HTTP_1_1.to_vec()];
        // A store would be shared by all cores, and locked.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        if settings.tickets {
            let secrets = settings.ticket_keys.as_deref().map_or_else(|| Ok(own.clone()), Secrets::read)?;
            config.ticketer = Arc::new(Tickets::new(secrets, domain));
            config.send_tls13_tickets = TICKETS;
        }
        Ok(Self { config: Arc::new(config), settings: settings.clone() })
    }
}

/// What looks at the certificates of clients, and the domain of the tickets of those whom it lets in: who is let in by other
/// authorities, or was before a list of theirs had changed, is of another.
fn verifier(clients: &ClientCertificates) -> Result<(Arc<dyn ClientCertVerifier>, [u8; 32]), Faulty> {
    let roots: RootCertStore = files::authorities(&clients.ca)?;
    let mut of = vec![match clients.need {
        Need::Optional => b'o',
        Need::Required => b'r',
    }];
    of.extend_from_slice(&sha256(&files::bytes(&clients.ca)?));
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), tls::provider());
    if let Some(path) = &clients.crl {
        let lists: Vec<CertificateRevocationListDer<'static>> = files::revocations(path)?;
        of.extend_from_slice(&sha256(&files::bytes(path)?));
        builder = builder.with_crls(lists).only_check_end_entity_revocation().enforce_revocation_expiration();
    }
    if clients.need == Need::Optional {
        builder = builder.allow_unauthenticated();
    }
    let path = clients.crl.as_ref().unwrap_or(&clients.ca);
    let built = builder.build().map_err(|error| files::faulty(path, error.to_string()))?;
    Ok((built, sha256(&of)))
}

impl fmt::Debug for Loaded {
    // Keys are not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("settings", &self.settings).finish_non_exhaustive()
    }
}
