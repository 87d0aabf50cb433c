//! What an authority is answered that looks whether a name is ours, while a certificate is being got (RFC 8555 §8.3,
//! RFC 8737). Made on the control thread, read by the cores. It refuses to know how a certificate is got.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rcgen::CertificateParams;
use rcgen::CustomExtension;
use rcgen::DistinguishedName;
use rcgen::KeyPair;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::ClientHello;
use rustls::server::ResolvesServerCert;
use rustls::sign::CertifiedKey;

use crate::tls;

/// The answers to the challenges of one order, by the names that they are for: no more than a certificate may have names.
#[derive(Default)]
pub struct Challenges {
    http: Vec<Text>,
    tls: HashMap<Box<str>, Arc<CertifiedKey>>,
}

/// A file that is asked for by plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The host that is asked for it.
    pub host: String,
    /// The last part of its path.
    pub token: String,
    /// What is in it.
    pub text: String,
}

/// The protocol that an authority names, and no other, when it looks at a certificate.
pub(super) const PROTOCOL: &[u8] = b"acme-tls/1";
/// What the path of a file begins with.
const FOLDER: &[u8] = b"/.well-known/acme-challenge/";

impl Challenges {
    /// Those that are answered by plain HTTP.
    #[must_use]
    pub fn texts(http: Vec<Text>) -> Self {
        Self { http, tls: HashMap::new() }
    }

    /// Those that are answered by a certificate: names with the sums (SHA-256) that theirs has to hold.
    ///
    /// # Errors
    /// Why one cannot be made, in words.
    pub fn certificates(sums: &[(String, [u8; 32])]) -> Result<Self, String> {
        let made = sums.iter().map(|(name, sum)| Ok((name.as_str().into(), certificate(name, sum)?)));
        Ok(Self { http: Vec::new(), tls: made.collect::<Result<_, String>>()? })
    }

    /// The text of the file that a request to this host asks for; nothing where none of ours is asked for.
    #[must_use]
    pub fn text(&self, host: &[u8], path: &[u8]) -> Option<&str> {
        let token = path.strip_prefix(FOLDER)?;
        let asked = |text: &&Text| text.token.as_bytes() == token && text.host.as_bytes().eq_ignore_ascii_case(host);
        self.http.iter().find(asked).map(|text| text.text.as_str())
    }

    /// Whether any is answered by a certificate.
    #[must_use]
    pub fn has_certificates(&self) -> bool {
        !self.tls.is_empty()
    }
}

/// A certificate that nobody is to believe, with what an authority looks for in it.
fn certificate(name: &str, sum: &[u8; 32]) -> Result<Arc<CertifiedKey>, String> {
    let make = || {
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(sum)];
        let key = KeyPair::generate()?;
        Ok::<_, rcgen::Error>((params.self_signed(&key)?.der().clone(), key.serialize_der()))
    };
    let (certificate, key) = make().map_err(|error| format!("a certificate for {name} cannot be made: {error}"))?;
    let key = PrivateKeyDer::try_from(key)?;
    // It is not compared with its key: what rustls does not know and has to, it refuses to look behind.
    let key = tls::provider().key_provider.load_private_key(key).map_err(|error| error.to_string())?;
    Ok(Arc::new(CertifiedKey::new(vec![certificate], key)))
}

/// Chooses the certificate of a challenge for who looks for it, and for everybody else as before.
pub(super) struct Challenged {
    pub(super) plain: Arc<dyn ResolvesServerCert>,
    pub(super) challenges: Arc<Challenges>,
}

impl ResolvesServerCert for Challenged {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let mut protocols = hello.alpn().into_iter().flatten();
        // It must be the only one (RFC 8737 §4): whoever would take another is no authority.
        if protocols.next() != Some(PROTOCOL) || protocols.next().is_some() {
            return self.plain.resolve(hello);
        }
        self.challenges.tls.get(hello.server_name()?).cloned()
    }
}

impl fmt::Debug for Challenges {
    // Keys are not for logs, nor is what is answered before it was asked for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<&str> = self.http.iter().map(|text| text.host.as_str()).collect();
        f.debug_struct("Challenges").field("http", &hosts).field("tls", &self.tls.keys()).finish()
    }
}

impl fmt::Debug for Challenged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenged").field("challenges", &self.challenges).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_given_to_who_names_host_and_token() {
        let text =
            |host: &str, token: &str, text: &str| Text { host: host.into(), token: token.into(), text: text.into() };
        let challenges = Challenges::texts(vec![text("a.example", "t1", "t1.x"), text("b.example", "t2", "t2.x")]);
        for (host, path, found) in [
            ("a.example", "/.well-known/acme-challenge/t1", Some("t1.x")),
            ("A.Example", "/.well-known/acme-challenge/t1", Some("t1.x")),
            ("b.example", "/.well-known/acme-challenge/t2", Some("t2.x")),
            ("b.example", "/.well-known/acme-challenge/t1", None),
            ("a.example", "/.well-known/acme-challenge/T1", None),
            ("a.example", "/.well-known/acme-challenge/t1/", None),
            ("a.example", "/.well-known/acme-challenge/", None),
            ("a.example", "/t1", None),
            ("", "/.well-known/acme-challenge/t1", None),
        ] {
            assert_eq!(challenges.text(host.as_bytes(), path.as_bytes()), found, "{host} {path}");
        }
        assert!(!challenges.has_certificates());
        assert!(!format!("{challenges:?}").contains("t1"), "what is answered is not shown");
    }

    #[test]
    fn a_certificate_has_the_name_and_the_sum_and_says_that_it_matters() {
        let challenges = Challenges::certificates(&[("a.example".into(), [7; 32])]).unwrap();
        let made = challenges.tls.get("a.example").unwrap();
        let der = made.cert.first().unwrap();
        assert_eq!(tls::certificate::Certificate::read(der).unwrap().names, ["a.example"]);
        // id-pe-acmeIdentifier, critical, an octet string of an octet string (RFC 8737 §3).
        let mut extension = vec![0x06, 8, 0x2b, 6, 1, 5, 5, 7, 1, 31, 0x01, 1, 0xff, 0x04, 34, 0x04, 32];
        extension.extend([7; 32]);
        assert!(der.windows(extension.len()).any(|part| part == extension), "{der:x?}");
    }
}
