//! Which certificate a client gets: by the name it asks for, and by what it can verify. It refuses to know where
//! certificates come from.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::SignatureAlgorithm;
use rustls::SignatureScheme;
use rustls::server::ClientHello;
use rustls::server::ResolvesServerCert;
use rustls::sign::CertifiedKey;

use crate::tls::engine;

/// A listener's certificates by their names.
pub struct Names {
    exact: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    /// By what stands behind `*.`.
    wildcards: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    /// For a client that asks for no name, or for one that is not known; empty: such a client gets none.
    first: Vec<Arc<CertifiedKey>>,
    /// Whether one that asks for a name that is not known is refused.
    strict: bool,
}

impl Names {
    /// The certificates in their order, each with the names it is for. The names of the first stand for all that are not
    /// known, unless those are refused (`strict`).
    #[must_use]
    pub fn of(certificates: &[(Arc<CertifiedKey>, Vec<String>)], strict: bool) -> Self {
        let mut names = Self { exact: HashMap::new(), wildcards: HashMap::new(), first: Vec::new(), strict };
        for (key, of) in certificates {
            for name in of {
                let (table, name) = match name.strip_prefix("*.") {
                    Some(behind) => (&mut names.wildcards, behind),
                    None => (&mut names.exact, name.as_str()),
                };
                table.entry(name.into()).or_default().push(key.clone());
            }
        }
        if let Some((first, of)) = certificates.first() {
            // With it those that are for the same names: the same certificate with another sort of key.
            let same = certificates.iter().filter(|(_, other)| other == of).map(|(key, _)| key.clone());
            names.first = std::iter::once(first.clone()).chain(same.skip(1)).collect();
        }
        let tables = names.exact.values_mut().chain(names.wildcards.values_mut()).chain([&mut names.first]);
        tables.for_each(|keys| keys.sort_by_key(|key| key.key.algorithm() == SignatureAlgorithm::RSA));
        names
    }

    fn find(&self, name: Option<&str>) -> &[Arc<CertifiedKey>] {
        let Some(name) = name else { return &self.first };
        // A wildcard stands for one label (RFC 9525 §6.3).
        let wild = || name.split_once('.').and_then(|(_, behind)| self.wildcards.get(behind));
        match self.exact.get(name).or_else(wild) {
            Some(keys) => keys,
            None if self.strict => &[],
            None => &self.first,
        }
    }

    /// The first that the client can verify; those that are cheap to sign with stand in front.
    fn choose(&self, name: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let keys = self.find(name);
        keys.iter().find(|key| key.key.choose_scheme(schemes).is_some()).or(keys.first()).cloned()
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        engine::note_name(hello.server_name());
        self.choose(hello.server_name(), hello.signature_schemes())
    }
}

impl fmt::Debug for Names {
    // Keys are not for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").field("exact", &self.exact.len()).field("strict", &self.strict).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls;
    use rustls::pki_types::PrivateKeyDer;

    fn made(algorithm: &'static rcgen::SignatureAlgorithm, names: &[&str]) -> (Arc<CertifiedKey>, Vec<String>) {
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let certificate = rcgen::CertificateParams::new(names.clone()).unwrap().self_signed(&key).unwrap();
        let signs = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let key = CertifiedKey::from_der(vec![certificate.der().clone()], signs, &tls::provider()).unwrap();
        (Arc::new(key), names)
    }

    #[test]
    fn the_nearest_name_wins_and_a_client_gets_what_it_can_verify() {
        let (ec, rsa) = (&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_RSA_SHA256);
        let list = [
            made(rsa, &["shop.example"]),
            made(ec, &["shop.example"]),
            made(ec, &["*.shop.example"]),
            made(ec, &["pay.shop.example"]),
        ];
        let all = [SignatureScheme::RSA_PSS_SHA256, SignatureScheme::ECDSA_NISTP256_SHA256];
        for (name, schemes, expected, strict) in [
            (Some("shop.example"), &all[..], Some(1), Some(1)),
            (Some("shop.example"), &all[..1], Some(0), Some(0)),
            (Some("shop.example"), &[], Some(1), Some(1)),
            (Some("pay.shop.example"), &all[..], Some(3), Some(3)),
            (Some("img.shop.example"), &all[..], Some(2), Some(2)),
            (Some("a.img.shop.example"), &all[..], Some(1), None),
            (Some("other.example"), &all[..1], Some(0), None),
            (Some("example"), &all[..], Some(1), None),
            (None, &all[..], Some(1), Some(1)),
        ] {
            for (is_strict, expected) in [(false, expected), (true, strict)] {
                let chosen = Names::of(&list, is_strict).choose(name, schemes);
                let at = chosen.and_then(|chosen| list.iter().position(|(key, _)| Arc::ptr_eq(key, &chosen)));
                assert_eq!(at, expected, "{name:?} of {schemes:?}, strict: {is_strict}");
            }
        }
        assert!(!format!("{:?}", Names::of(&list, true)).contains("key"));
    }
}
