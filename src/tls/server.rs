//! What a listener's side of TLS is configured by: certificates, versions, tickets, and what clients must show. It refuses
//! to know where files are.

use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::CertificateError;
use rustls::DigitallySignedStruct;
use rustls::DistinguishedName;
use rustls::Error;
use rustls::InconsistentKeys;
use rustls::ServerConfig;
use rustls::SignatureScheme;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::UnixTime;
use rustls::server::NoServerSessionStorage;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerified;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use zeroize::Zeroize;

use crate::model::ClientCertificates;
use crate::model::HostClients;
use crate::model::ListenTls;
use crate::model::Need;
use crate::model::Pair;
use crate::model::Policy;
use crate::model::UnknownName;
use crate::tls;
use crate::tls::certificate::Certificate;
use crate::tls::certificate::next_update;
use crate::tls::certificate::sha256;
use crate::tls::challenge;
use crate::tls::challenge::Challenged;
use crate::tls::challenge::Challenges;
use crate::tls::engine;
use crate::tls::files;
use crate::tls::files::Faulty;
use crate::tls::names::Names;
use crate::tls::tickets::Domain;
use crate::tls::tickets::Secrets;
use crate::tls::tickets::Tickets;

/// A certificate with its key, read.
pub struct Loaded {
    /// What rustls signs with; nothing as long as the certificate is still to be got.
    pub(super) key: Option<Arc<CertifiedKey>>,
    /// The names it is to be got for, if it is.
    names: Vec<String>,
    /// What it says of itself.
    pub certificate: Certificate,
}

/// A listener's side of TLS.
pub struct Server {
    /// What its connections are made with, where no host has a rule of its own.
    config: Arc<ServerConfig>,
    /// The same by the rules of hosts.
    hosts: Vec<(HostClients, Arc<ServerConfig>)>,
    /// What it was made of.
    pub settings: ListenTls,
    /// The files of lists of what was revoked that it asks, and when the first of a file ends, in seconds since 1970: nobody is
    /// let in after that.
    pub lists: Vec<(PathBuf, i64)>,
}

/// Looks at the certificates of clients, and notes when those end that it has found good.
struct Looks(Arc<dyn ClientCertVerifier>);

/// A verifier, and the domain of the tickets of those whom it lets in.
type Gate = (Arc<dyn ClientCertVerifier>, Domain);

/// Tickets of TLS 1.3 that a client is given after a handshake.
const TICKETS: usize = 2;

impl Loaded {
    /// Reads a pair; the key must be the certificate's.
    ///
    /// # Errors
    /// [`Faulty`].
    pub fn read(pair: &Pair) -> Result<Self, Faulty> {
        let mut key = certified(&pair.cert, &pair.key)?;
        let odd = || files::faulty(&pair.cert, "the first certificate in it cannot be read".into());
        let certificate = key.cert.first().and_then(|first| Certificate::read(first)).ok_or_else(odd)?;
        if let Some(path) = &pair.ocsp {
            key.ocsp = Some(files::bytes(path)?);
        }
        Ok(Self { key: Some(Arc::new(key)), names: pair.names.clone(), certificate })
    }

    /// A certificate that is still to be got.
    #[must_use]
    pub fn pending(pair: &Pair) -> Self {
        Self { key: None, names: pair.names.clone(), certificate: Certificate::default() }
    }
}

/// A certificate with its key, of two files.
pub(super) fn certified(cert: &Path, key: &Path) -> Result<CertifiedKey, Faulty> {
    let chain = files::chain(cert)?;
    let mut secret = files::key(key)?;
    let signs = any_supported_type(&secret);
    secret.zeroize();
    let signs = signs.map_err(|_| files::faulty(key, "the key in it is of a sort that cannot be used".into()))?;
    let made = CertifiedKey::new(chain, signs);
    match made.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(made),
        Err(_) => Err(files::faulty(key, format!("it is not the key of {}", cert.display()))),
    }
}

impl Server {
    /// A listener's side, with its certificates in the order of its settings, and with the rules that hosts have of their
    /// own.
    ///
    /// # Errors
    /// [`Faulty`].
    pub fn new(
        settings: &ListenTls,
        rules: &[&HostClients],
        loaded: &[Arc<Loaded>],
        own: &Secrets,
    ) -> Result<Self, Faulty> {
        let here = |loaded: &Arc<Loaded>| Some((loaded.key.clone()?, loaded.certificate.names.clone()));
        let certificates: Vec<_> = loaded.iter().filter_map(here).collect();
        let mut names = Names::of(&certificates, settings.unknown_name == UnknownName::Refuse);
        names.reserve(loaded.iter().flat_map(|loaded| &loaded.names));
        let names = Arc::new(names);
        let secrets = settings.ticket_keys.as_deref().map_or_else(|| Ok(own.clone()), Secrets::read)?;
        let mut lists = Vec::new();
        let mut make = |clients: Option<&ClientCertificates>| {
            let gate = clients.map_or_else(|| Ok(open()), gate)?;
            lists.extend(clients.and_then(|clients| clients.crl.clone()).map(|list| (list, gate.1.until)));
            config(settings, gate, names.clone(), &secrets).map(Arc::new)
        };
        let config = make(settings.clients.as_ref())?;
        let mut hosts: Vec<(HostClients, Arc<ServerConfig>)> = Vec::new();
        for rule in rules {
            if !hosts.iter().any(|(other, _)| other == *rule) {
                hosts.push(((*rule).clone(), make(rule.asked())?));
            }
        }
        Ok(Self { config, hosts, settings: settings.clone(), lists })
    }

    /// The same, as long as authorities are to be answered who look whether names are ours.
    #[must_use]
    pub fn answering(&self, challenges: &Arc<Challenges>) -> Self {
        let answering = |config: &Arc<ServerConfig>| {
            let mut config = ServerConfig::clone(config);
            // The last choice of whoever has another.
            config.alpn_protocols.push(challenge::PROTOCOL.to_vec());
            let plain = config.cert_resolver;
            config.cert_resolver = Arc::new(Challenged { plain, challenges: challenges.clone() });
            Arc::new(config)
        };
        Self {
            config: answering(&self.config),
            hosts: self.hosts.iter().map(|(rule, config)| (rule.clone(), answering(config))).collect(),
            settings: self.settings.clone(),
            lists: self.lists.clone(),
        }
    }

    /// What connections to a host with this rule are made with; nothing where the rule is not known here.
    #[must_use]
    pub fn config(&self, rule: Option<&HostClients>) -> Option<&Arc<ServerConfig>> {
        let Some(rule) = rule else { return Some(&self.config) };
        self.hosts.iter().find(|(other, _)| other == rule).map(|(_, config)| config)
    }

    /// Whether it was made of the same.
    pub(super) fn is_of(&self, settings: &ListenTls, rules: &[&HostClients]) -> bool {
        self.settings == *settings && rules.iter().all(|rule| self.config(Some(rule)).is_some())
    }
}

fn config(settings: &ListenTls, gate: Gate, names: Arc<Names>, secrets: &Secrets) -> Result<ServerConfig, Faulty> {
    let (verifier, domain) = gate;
    let builder = ServerConfig::builder_with_provider(tls::provider());
    let builder = builder.with_protocol_versions(tls::versions(settings.policy));
    let first = settings.certificates.first().map_or(Path::new(""), |pair| pair.cert.as_path());
    let builder = builder.map_err(|error| files::faulty(first, error.to_string()))?;
    let mut config = builder.with_client_cert_verifier(verifier).with_cert_resolver(names);
    config.alpn_protocols = vec![tls::HTTP_1_1.to_vec()];
    // An old client's order may be a bad one; one of TLS 1.3 alone knows best what it is quick at.
    config.ignore_client_order = settings.policy == Policy::Intermediate;
    // A store would be shared by all cores, and locked.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    if settings.tickets {
        config.ticketer = Arc::new(Tickets::new(secrets.clone(), domain));
        config.send_tls13_tickets = TICKETS;
    }
    Ok(config)
}

/// Everybody is let in, and nobody is asked.
fn open() -> Gate {
    (WebPkiClientVerifier::no_client_auth(), Domain { of: sha256(b"anybody"), until: i64::MAX })
}

/// What looks at the certificates of clients. Who is let in by other authorities, or was before a list of theirs had changed,
/// is of another domain; and the domain ends with the first of the lists that ends.
fn gate(clients: &ClientCertificates) -> Result<Gate, Faulty> {
    let text = files::bytes(&clients.ca)?;
    let roots = files::authorities(&clients.ca, &text)?;
    let mut of = vec![match clients.need {
        Need::Optional => b'o',
        Need::Required => b'r',
    }];
    of.extend_from_slice(&sha256(&text));
    let mut until = i64::MAX;
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), tls::provider());
    if let Some(path) = &clients.crl {
        let text = files::bytes(path)?;
        let lists = files::revocations(path, &text)?;
        of.extend_from_slice(&sha256(&text));
        until = lists.iter().filter_map(|list| next_update(list)).min().unwrap_or(i64::MAX);
        builder = builder.with_crls(lists).enforce_revocation_expiration();
    }
    if clients.need == Need::Optional {
        builder = builder.allow_unauthenticated();
    }
    let path = clients.crl.as_ref().unwrap_or(&clients.ca);
    let built = builder.build().map_err(|error| files::faulty(path, error.to_string()))?;
    Ok((Arc::new(Looks(built)), Domain { of: sha256(&of), until }))
}

impl ClientCertVerifier for Looks {
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.0.verify_client_cert(end_entity, intermediates, now)?;
        // Who could not be told of is not let in either.
        let read = Certificate::read(end_entity).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let above = intermediates.iter().filter_map(|der| Certificate::read(der)).map(|read| read.not_after);
        engine::note_end(above.fold(read.not_after, i64::min));
        Ok(verified)
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

impl fmt::Debug for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Looks")
    }
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
