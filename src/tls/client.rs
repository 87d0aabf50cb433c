//! What the side of TLS that faces an upstream is configured by: whose certificates count, what is shown, and what must
//! stay the same. It refuses to know where endpoints are.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::CertificateError;
use rustls::ClientConfig;
use rustls::DigitallySignedStruct;
use rustls::Error;
use rustls::RootCertStore;
use rustls::SignatureScheme;
use rustls::client::Resumption;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::TrustAnchor;
use rustls::pki_types::UnixTime;
use rustls::sign::SingleCertAndKey;
use zeroize::Zeroizing;

use crate::io::veil::Sort;
use crate::model::UpstreamTls;
use crate::tls;
use crate::tls::certificate::Certificate;
use crate::tls::files;
use crate::tls::files::Faulty;
use crate::tls::server;

/// The side that faces an upstream.
pub struct Client {
    config: Arc<ClientConfig>,
    /// A number that no other has had in this process, and not 0: what connections made with it are known by.
    pub number: u64,
    /// The name that the upstream's certificate must have, if it is not the address of each endpoint.
    name: Option<ServerName<'static>>,
    /// What it was made of.
    pub settings: UpstreamTls,
    /// The certificate that is shown, if any.
    pub shown: Option<Certificate>,
    /// What the files said.
    pub(super) print: [u8; 32],
}

/// Servers whose last handshakes a core remembers, for each upstream.
const REMEMBERED: usize = 256;

impl Client {
    /// The side of these settings, with that number; `system` are the roots that count where they name no authority.
    ///
    /// # Errors
    /// [`Faulty`].
    pub fn new(settings: &UpstreamTls, number: u64, system: &Arc<RootCertStore>) -> Result<Self, Faulty> {
        let place = settings.ca.as_deref().unwrap_or(Path::new(""));
        let wrong = |error: String| files::faulty(place, error);
        let roots = match &settings.ca {
            Some(path) => Arc::new(files::authorities(path, &files::bytes(path)?)?),
            None => system.clone(),
        };
        let inner = if settings.insecure {
            None
        } else if roots.is_empty() {
            return Err(wrong("the system has no root certificates: name a file of authorities as `ca`".into()));
        } else {
            let builder = WebPkiServerVerifier::builder_with_provider(roots, tls::provider());
            Some(builder.build().map_err(|error| wrong(error.to_string()))?)
        };
        let verifier = Verifier { inner, pins: settings.pins.clone(), provider: tls::provider() };
        let versions = tls::versions(settings.policy);
        let builder = ClientConfig::builder_with_provider(tls::provider()).with_protocol_versions(versions);
        let builder = builder.map_err(|error| wrong(error.to_string()))?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        let (mut config, shown) = match &settings.identity {
            None => (builder.with_no_client_auth(), None),
            Some((cert, key)) => {
                let pair = server::certified(cert, key)?;
                let shown = pair.cert.first().and_then(|first| Certificate::read(first));
                (builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair))), shown)
            }
        };
        config.alpn_protocols = vec![tls::HTTP_1_1.to_vec()];
        let name = settings.name.as_deref().map(ServerName::try_from).transpose();
        let name =
            name.map_err(|_| wrong("the name is none that a certificate can have".into()))?.map(|n| n.to_owned());
        let print = print(settings, system)?;
        Ok(Self { config: Arc::new(config), number, name, settings: settings.clone(), shown, print })
    }

    /// For one core: what its handshakes have settled is remembered there alone.
    #[must_use]
    pub fn for_core(&self) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::in_memory_sessions(REMEMBERED);
        Arc::new(config)
    }

    /// For health checks: nothing is remembered, and HTTP/2 may be spoken.
    #[must_use]
    pub fn for_checks(&self, http2: bool) -> Arc<ClientConfig> {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::disabled();
        if http2 {
            config.alpn_protocols = vec![b"h2".to_vec()];
        }
        Arc::new(config)
    }

    /// The name that an endpoint at this address must have.
    #[must_use]
    pub fn name_of(&self, address: Option<IpAddr>) -> Option<ServerName<'static>> {
        self.name.clone().or_else(|| address.map(|ip| ServerName::IpAddress(ip.into())))
    }
}

/// Why a handshake with an upstream failed, in words of ours: what rustls says may hold what the other side has said.
#[must_use]
pub fn reason(sort: Sort) -> &'static str {
    match sort {
        Sort::Authority => "its certificate is of no authority that counts",
        Sort::Name => "its certificate is for another name",
        Sort::Expired => "its certificate has expired",
        Sort::NotYet => "its certificate is not valid yet",
        Sort::Pin => "its key is none of those that are pinned",
        Sort::Certificate => "its certificate is not good",
        Sort::Refused => "it refused the handshake",
        Sort::Garbage => "it does not speak TLS",
        Sort::Other => "the TLS handshake failed",
    }
}

/// Of what sort an error is that ended a handshake.
#[must_use]
pub fn sort(error: &Error) -> Sort {
    match error {
        Error::InvalidCertificate(error) => match error {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Sort::Authority,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Sort::Name,
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Sort::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Sort::NotYet,
            // Ours alone says so.
            CertificateError::ApplicationVerificationFailure => Sort::Pin,
            _ => Sort::Certificate,
        },
        Error::AlertReceived(_) => Sort::Refused,
        Error::InvalidMessage(_) => Sort::Garbage,
        _ => Sort::Other,
    }
}

/// The same of an error that came by way of a stream.
#[must_use]
pub fn sort_of(error: &io::Error) -> Sort {
    error.get_ref().and_then(|error| error.downcast_ref::<Error>()).map_or(Sort::Other, sort)
}

/// What the files of these settings say, in short: where it is the same, nothing has changed.
pub(super) fn print(settings: &UpstreamTls, system: &RootCertStore) -> Result<[u8; 32], Faulty> {
    let named = [settings.ca.as_ref(), settings.identity.as_ref().map(|(cert, _)| cert)];
    let key = settings.identity.as_ref().map(|(_, key)| key);
    let mut all = Vec::new();
    for path in named.into_iter().chain([key]) {
        let text = path.map_or_else(|| Ok(Zeroizing::default()), |path| files::secret(path))?;
        all.extend_from_slice(&tls::certificate::sha256(&text));
    }
    if settings.ca.is_none() && !settings.insecure {
        let of = |root: &TrustAnchor<'_>| [&root.subject[..], &root.subject_public_key_info[..]].concat();
        system.roots.iter().for_each(|root| all.extend_from_slice(&tls::certificate::sha256(&of(root))));
    }
    Ok(tls::certificate::sha256(&all))
}

/// Looks at an upstream's certificate: whether it is to be believed, unless anybody is, and whether its key is one of those
/// that are expected.
struct Verifier {
    inner: Option<Arc<WebPkiServerVerifier>>,
    pins: Vec<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(inner) = &self.inner {
            inner.verify_server_cert(end_entity, intermediates, server_name, ocsp, now)?;
        }
        if !self.pins.is_empty() {
            let read = Certificate::read(end_entity).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
            if !self.pins.contains(&read.key) {
                return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
            }
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("insecure", &self.inner.is_none()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Client {
    // Keys are not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::AlertDescription;
    use rustls::InvalidMessage;

    #[test]
    fn each_way_of_failing_has_its_words() {
        for (error, sort) in [
            (Error::InvalidCertificate(CertificateError::UnknownIssuer), Sort::Authority),
            (Error::InvalidCertificate(CertificateError::BadSignature), Sort::Authority),
            (Error::InvalidCertificate(CertificateError::NotValidForName), Sort::Name),
            (Error::InvalidCertificate(CertificateError::Expired), Sort::Expired),
            (Error::InvalidCertificate(CertificateError::NotValidYet), Sort::NotYet),
            (Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure), Sort::Pin),
            (Error::InvalidCertificate(CertificateError::Revoked), Sort::Certificate),
            (Error::AlertReceived(AlertDescription::HandshakeFailure), Sort::Refused),
            (Error::InvalidMessage(InvalidMessage::InvalidContentType), Sort::Garbage),
            (Error::General("expired, pinned, alert".into()), Sort::Other),
        ] {
            assert_eq!(super::sort(&error), sort, "{error}");
            assert_eq!(sort_of(&io::Error::other(error)), sort);
        }
        assert_eq!(sort_of(&io::Error::from(io::ErrorKind::UnexpectedEof)), Sort::Other);
    }
}
