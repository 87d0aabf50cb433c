//! What a configuration says of certificates that are got by ACME (RFC 8555), and where they are kept. Plain data; it
//! refuses to know how they are got.

use std::path::PathBuf;

/// `[acme]`. Its terms of service are agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acme {
    /// The URL of the directory, by https.
    pub directory: String,
    /// Whom the authority may write to: addresses of mail.
    pub contact: Vec<String>,
    /// Where accounts and certificates are kept.
    pub folder: PathBuf,
    /// How it is shown that a name is ours.
    pub challenge: ChallengeKind,
    /// What sort of key a certificate has.
    pub key: KeyKind,
    /// A file of PEM: the authorities that the directory is believed by; absent: those of the system.
    pub ca: Option<PathBuf>,
}

/// `acme.challenge`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengeKind {
    /// A file at port 80 (RFC 8555 §8.3).
    Http01,
    /// A certificate at port 443 (RFC 8737).
    TlsAlpn01,
}

/// `acme.key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA, P-256.
    EcdsaP256,
    /// ECDSA, P-384.
    EcdsaP384,
    /// RSA, 2048 bits.
    Rsa2048,
}

/// Let's Encrypt.
pub const PRODUCTION: &str = "https://acme-v02.api.letsencrypt.org/directory";
/// Let's Encrypt, for trials: its certificates are believed by nobody, and its limits are wide.
pub const STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

impl Acme {
    /// Where what this directory has given is kept: what one of them gives is nothing to another.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        let plain = |byte: char| byte.is_ascii_alphanumeric() || matches!(byte, '.' | '-');
        let name = self.directory.trim_start_matches("https://").trim_matches('/');
        self.folder.join(name.chars().map(|byte| if plain(byte) { byte } else { '-' }).collect::<String>())
    }

    /// The file of the certificate for these names, with its key in it: known by the first, so that it is the same one
    /// that is renewed when there are others.
    #[must_use]
    pub fn file(&self, names: &[String]) -> PathBuf {
        self.home().join(format!("{}.pem", names.first().map_or("", String::as_str)))
    }
}

impl ChallengeKind {
    /// The word of the configuration, and of the protocol.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }
}
