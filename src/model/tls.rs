//! What a configuration says of TLS, on both sides. Files are named here, not read. Plain data; it refuses to know how any
//! of it is done.

use std::path::PathBuf;
use std::time::Duration;

/// TLS of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenTls {
    /// At least one.
    pub certificates: Vec<Pair>,
    /// Which versions and suites.
    pub policy: Policy,
    /// What a client gets that asks for a name that no certificate has.
    pub unknown_name: UnknownName,
    /// From accept to the end of the handshake.
    pub timeout: Duration,
    /// Handshakes under way on one core before further connections are refused.
    pub at_once: u32,
    /// Bytes of a client's hello before the connection is refused.
    pub hello_bytes: usize,
    /// Whether clients are given tickets, to take up again what was settled.
    pub tickets: bool,
    /// A file of secrets from which the keys of tickets are made, for gateways that are to take each other's.
    pub ticket_keys: Option<PathBuf>,
    /// Whether clients show certificates.
    pub clients: Option<ClientCertificates>,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pair {
    /// A file of PEM: the certificate, then those of the authorities between it and a root.
    pub cert: PathBuf,
    /// A file of PEM: its key.
    pub key: PathBuf,
    /// A file of DER: what its authority says of its standing, for clients that ask.
    pub ocsp: Option<PathBuf>,
}

/// `policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Policy {
    /// TLS 1.3 alone.
    Modern,
    /// TLS 1.2 and 1.3, with suites that keep what is said secret should a key be lost later.
    Intermediate,
}

/// `unknown_name`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownName {
    /// The first certificate.
    First,
    /// No handshake.
    Refuse,
}

/// `client_certificates`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Whether a client may come without one.
    pub need: Need,
    /// A file of PEM: the authorities whose certificates count.
    pub ca: PathBuf,
    /// A file of PEM: the lists of what they have revoked. Absent: nothing is.
    pub crl: Option<PathBuf>,
}

/// `client_certificates` of a host, instead of what the listener says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostClients {
    /// Nobody is asked.
    Off,
    /// Its clients are.
    Asked(ClientCertificates),
}

impl HostClients {
    /// What they are asked, if they are.
    #[must_use]
    pub fn asked(&self) -> Option<&ClientCertificates> {
        match self {
            Self::Off => None,
            Self::Asked(clients) => Some(clients),
        }
    }

    /// Whether nobody may come without a certificate.
    #[must_use]
    pub fn requires(&self) -> bool {
        self.asked().is_some_and(|clients| clients.need == Need::Required)
    }
}

/// `client_certificates.need`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// One that is shown must be good.
    Optional,
    /// One must be shown.
    Required,
}

/// `hsts`: what a response tells of how its host is to be asked from now on (RFC 6797).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hsts {
    /// For how long.
    pub age: Duration,
    /// Whether that holds for the names below the host's, too.
    pub subdomains: bool,
    /// Whether browsers may be delivered with it.
    pub preload: bool,
}

/// TLS towards an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamTls {
    /// The name that its certificate must have, and that it is asked for; absent: the address of each endpoint.
    pub name: Option<String>,
    /// A file of PEM: the authorities whose certificates count; absent: those of the system.
    pub ca: Option<PathBuf>,
    /// The certificate that is shown to it, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// SHA-256 of the public keys (SubjectPublicKeyInfo) one of which its certificate must have; empty: any.
    pub pins: Vec<[u8; 32]>,
    /// Which versions and suites.
    pub policy: Policy,
    /// Whether anybody at all is taken for the upstream.
    pub insecure: bool,
}

impl Policy {
    /// The word of the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Modern => "modern",
            Self::Intermediate => "intermediate",
        }
    }
}
