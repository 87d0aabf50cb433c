//! A certificate that has been got: what matters of it for its renewal. It refuses to know where it is kept.

use instant_acme::CertificateIdentifier;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::Der;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::CertifiedKey;

use crate::tls::certificate::Certificate;

/// A certificate that has been got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// From when to when it is good, in seconds since 1970.
    pub(super) life: (i64, i64),
    names: Vec<String>,
    /// What its authority's key is known by, and its serial number.
    known_by: Option<(Vec<u8>, Vec<u8>)>,
}

impl Held {
    /// Of a text of PEM with the chain and its key.
    ///
    /// # Errors
    /// Why nobody could be shown it, in words.
    pub(super) fn read(pem: &[u8]) -> Result<Self, String> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let chain = chain.map_err(|error| format!("the certificate is no PEM: {error}"))?;
        let read = chain.first().and_then(|first| Certificate::read(first)).ok_or("there is no certificate in it")?;
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| "there is no key in it")?;
        CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).map_err(|error| error.to_string())?;
        let known_by = read.authority.map(|authority| (authority, read.number));
        Ok(Self { life: (read.not_before, read.not_after), names: read.names, known_by })
    }

    /// Whether it is for all of these.
    pub(super) fn is_for(&self, names: &[String]) -> bool {
        names.iter().all(|name| self.names.contains(name))
    }

    /// Whether it is for these and no others.
    pub(super) fn is_for_these(&self, names: &[String]) -> bool {
        self.is_for(names) && self.names.iter().all(|name| names.contains(name))
    }

    /// What its authority knows it by (RFC 9773 §4.1), if that can be said.
    pub(super) fn identifier(&self) -> Option<CertificateIdentifier<'static>> {
        let (authority, number) = self.known_by.as_ref()?;
        Some(CertificateIdentifier::new(Der::from_slice(authority), Der::from_slice(number)).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(names: &[&str]) -> (String, rcgen::KeyPair) {
        let key = rcgen::KeyPair::generate().unwrap();
        let issuer = rcgen::KeyPair::generate().unwrap();
        let mut authority = rcgen::CertificateParams::default();
        authority.key_identifier_method = rcgen::KeyIdMethod::PreSpecified(vec![0x69, 0x88, 0x5b, 0x6b]);
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(vec![0x00, 0x87, 0x65].into());
        let made = params.signed_by(&key, &rcgen::Issuer::new(authority, issuer)).unwrap();
        (made.pem(), key)
    }

    #[test]
    fn it_is_known_by_names_and_number() {
        let (pem, key) = made(&["a.example", "b.example"]);
        let held = Held::read((pem.clone() + &key.serialize_pem()).as_bytes()).unwrap();
        let list = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (names, all, these) in [
            (&["a.example", "b.example"][..], true, true),
            (&["b.example", "a.example"], true, true),
            (&["a.example"], true, false),
            (&["a.example", "c.example"], false, false),
        ] {
            let names = list(names);
            assert_eq!((held.is_for(&names), held.is_for_these(&names)), (all, these), "{names:?}");
        }
        // The sign's byte is part of the number (RFC 9773 §4.1 has it so).
        assert_eq!(held.identifier().unwrap().to_string(), "aYhbaw.AIdl");
        let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
        assert!(Held::read((pem.clone() + &other).as_bytes()).is_err(), "another key");
        assert!(Held::read(pem.as_bytes()).is_err(), "no key");
        assert!(Held::read(b"").is_err());
    }
}
