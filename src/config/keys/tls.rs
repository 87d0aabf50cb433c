//! The keys that say how TLS is spoken, with clients and with upstreams. It refuses to know how a key is read or shown.

use std::time::Duration;

use super::MINUTE;
use crate::config::acme::HostNames;
use crate::config::key::Group;
use crate::config::key::Key;
use crate::config::key::Need::Default;
use crate::config::key::Need::Optional;
use crate::config::key::Need::Required;
use crate::config::kind::Bytes;
use crate::config::kind::Integer;
use crate::config::kind::Switch;
use crate::config::kind::Time;
use crate::config::kind::Words;
use crate::config::plain::Off;
use crate::config::tls::Certificates;
use crate::config::tls::FilePath;
use crate::config::tls::Pins;
use crate::config::tls::Redirect;
use crate::config::tls::ServerName;
use crate::config::tls::TowardsUpstream;
use crate::model::Need;
use crate::model::Policy;
use crate::model::UnknownName;

// === [listen.NAME] ===

pub(in crate::config) static TLS: Key<Off<Certificates>> = Key {
    name: "tls",
    kind: Off(Certificates { keys: &[&CERT, &KEY, &OCSP, &NAMES] }),
    need: Default(None),
    doc: "TLS, by the certificates of this list: a client gets the one that is for the name it asks for, exactly or by a \
          wildcard. Two for the same names may have keys of different sorts: a client gets one that it can verify. The \
          files are read at start and at each reload, and again when they change. Each names its files (`cert` and `key`), \
          or the names that it is got for (`acme`).",
    example: "[{ cert = \"/etc/ringway/shop.crt\", key = \"/etc/ringway/shop.key\", \
              ocsp = \"/etc/ringway/shop.ocsp\" }, { acme = [\"www.example.com\"] }]",
};

pub(in crate::config) static CERT: Key<FilePath> = Key {
    name: "cert",
    kind: FilePath,
    need: Optional,
    doc: "A file of PEM: the certificate, and behind it those of the authorities up to a root.",
    example: "\"/etc/ringway/shop.crt\"",
};

pub(in crate::config) static KEY: Key<FilePath> = Key {
    name: "key",
    kind: FilePath,
    need: Optional,
    doc: "A file of PEM: its key, as PKCS#8, SEC1 or PKCS#1, not encrypted.",
    example: "\"/etc/ringway/shop.key\"",
};

pub(in crate::config) static OCSP: Key<FilePath> = Key {
    name: "ocsp",
    kind: FilePath,
    need: Optional,
    doc: "A file of DER: an OCSP response to be shown with the certificate. Without it none is.",
    example: "\"/etc/ringway/shop.ocsp\"",
};

pub(in crate::config) static NAMES: Key<HostNames> = Key {
    name: "acme",
    kind: HostNames,
    need: Optional,
    doc: "Instead of files: the names of a certificate that is got by ACME as `[acme]` says, and renewed in time. Until it \
          is there, no handshake is made for them.",
    example: "[\"shop.example.com\", \"www.shop.example.com\"]",
};

pub(in crate::config) static HANDSHAKE: Group = Group {
    name: "handshake",
    keys: &[&POLICY, &UNKNOWN_NAME, &HANDSHAKE_TIMEOUT, &AT_ONCE, &HELLO, &TICKETS, &TICKET_KEYS],
    doc: "How TLS begins.",
};

pub(in crate::config) static POLICY: Key<Words<Policy>> = Key {
    name: "policy",
    kind: POLICIES,
    need: Default(Policy::Intermediate),
    doc: "`modern` is TLS 1.3 alone, `intermediate` TLS 1.2 too. In both only suites with forward secrecy and authenticated \
          encryption are spoken, and X25519MLKEM768 is preferred. Of the suites, `modern` takes the first of the client's, \
          `intermediate` of its own: AES-256, AES-128, ChaCha20.",
    example: "\"modern\"",
};

pub(in crate::config) static UNKNOWN_NAME: Key<Words<UnknownName>> = Key {
    name: "unknown_name",
    kind: Words { words: &[("first", UnknownName::First), ("refuse", UnknownName::Refuse)] },
    need: Default(UnknownName::First),
    doc: "What a client gets that asks for a name that no certificate is for: the first certificate, or no handshake. One \
          that asks for no name always gets the first.",
    example: "\"refuse\"",
};

pub(in crate::config) static HANDSHAKE_TIMEOUT: Key<Time> = Key {
    name: "timeout",
    kind: Time { min: Duration::from_millis(100), max: MINUTE },
    need: Default(Duration::from_secs(10)),
    doc: "From accept to the end of the handshake.",
    example: "\"5s\"",
};

pub(in crate::config) static AT_ONCE: Key<Integer<u32>> = Key {
    name: "at_once",
    kind: Integer { min: 1, max: 1_000_000 },
    need: Default(1000),
    doc: "Handshakes under way on one core before further clients are refused. One is under way once the client's hello has \
          come.",
    example: "200",
};

pub(in crate::config) static HELLO: Key<Bytes<usize>> = Key {
    name: "hello",
    kind: Bytes { min: 1024, max: 64 * 1024 },
    need: Default(16 * 1024),
    doc: "Longest hello of a client.",
    example: "\"8KiB\"",
};

pub(in crate::config) static TICKETS: Key<Switch> = Key {
    name: "tickets",
    kind: Switch,
    need: Default(true),
    doc: "Whether clients are given tickets, by which a later handshake is shorter. Their keys change every six hours, and are \
          kept for six more. No ticket outlives the certificate by which its client was let in.",
    example: "false",
};

pub(in crate::config) static TICKET_KEYS: Key<FilePath> = Key {
    name: "ticket_keys",
    kind: FilePath,
    need: Optional,
    doc: "A file of secrets, a line of 64 hexadecimal digits or more for each, eight at the most; keys of tickets are made of \
          the first, and tickets of all are taken. For gateways that are to take each other's. Whoever has the file can read \
          what was said under tickets of that time: change it every day. Without it the secrets are the process's own, drawn \
          anew every six hours and then forgotten.",
    example: "\"/etc/ringway/tickets\"",
};

pub(in crate::config) static CLIENT_CERTIFICATES: Group = Group {
    name: "client_certificates",
    keys: &[&NEED, &CLIENT_CA, &CRL],
    doc: "Whether clients show certificates. One that is shown must be good; whose it is stands in the log and in \
          `X-Forwarded-Client-Cert`.",
};

pub(in crate::config) static NEED: Key<Off<Words<Need>>> = Key {
    name: "need",
    kind: Off(Words { words: &[("optional", Need::Optional), ("required", Need::Required)] }),
    need: Default(None),
    doc: "Whether they are asked for, and whether a client may come without.",
    example: "\"required\"",
};

pub(in crate::config) static CLIENT_CA: Key<FilePath> = Key {
    name: "ca",
    kind: FilePath,
    need: Optional,
    doc: "A file of PEM: the authorities whose certificates count. It must be there if certificates are asked for.",
    example: "\"/etc/ringway/clients.pem\"",
};

pub(in crate::config) static CRL: Key<FilePath> = Key {
    name: "crl",
    kind: FilePath,
    need: Optional,
    doc: "A file of PEM: the lists of what authorities have revoked, one of each that has issued a client's certificate or \
          one of those between it and a root, and none of them out of date: else nobody is let in whom it would concern. \
          Without it nothing is revoked.",
    example: "\"/etc/ringway/revoked.pem\"",
};

pub(in crate::config) static HOST_CLIENT_CERTIFICATES: Group = Group {
    name: "client_certificates",
    keys: &[&HOST_NEED, &CLIENT_CA, &CRL],
    doc: "The same for this host, instead of what the listener says of it. What counts is the name that a client asks for in \
          its handshake; a request by a connection that was made under another rule is answered by 421, and one in the open \
          too where a certificate must be shown.",
};

pub(in crate::config) static HOST_NEED: Key<Off<Words<Need>>> = Key {
    name: "need",
    kind: Off(Words { words: &[("optional", Need::Optional), ("required", Need::Required)] }),
    need: Required,
    doc: "Whether they are asked for, and whether a client may come without.",
    example: "\"required\"",
};

pub(in crate::config) static HSTS: Group = Group {
    name: "hsts",
    keys: &[&HSTS_AGE, &HSTS_SUBDOMAINS, &HSTS_PRELOAD],
    doc: "`Strict-Transport-Security` in the responses of a listener with TLS: browsers ask for its hosts by TLS alone from \
          then on. What an upstream says itself is replaced.",
};

pub(in crate::config) static HSTS_AGE: Key<Off<Time>> = Key {
    name: "age",
    kind: Off(Time { min: Duration::from_secs(1), max: Duration::from_hours(24 * 366 * 2) }),
    need: Default(None),
    doc: "For how long. A year is usual: 8760h.",
    example: "\"8760h\"",
};

pub(in crate::config) static HSTS_SUBDOMAINS: Key<Switch> = Key {
    name: "subdomains",
    kind: Switch,
    need: Default(false),
    doc: "Whether it holds for the names below a host's, too.",
    example: "true",
};

pub(in crate::config) static HSTS_PRELOAD: Key<Switch> = Key {
    name: "preload",
    kind: Switch,
    need: Default(false),
    doc: "Whether browsers may be delivered with it.",
    example: "true",
};

pub(in crate::config) static REDIRECT: Key<Off<Redirect>> = Key {
    name: "redirect",
    kind: Off(Redirect),
    need: Default(None),
    doc: "Sends every request on to the same host and target by TLS, instead of serving it: `https` to port 443, `https:8443` \
          to another. By 301 for GET and HEAD, by 308 for other methods. Not for a listener that speaks TLS itself.",
    example: "\"https\"",
};

// === [upstream.NAME] ===

pub(in crate::config) static UPSTREAM_TLS: Key<Off<TowardsUpstream>> = Key {
    name: "tls",
    kind: Off(TowardsUpstream {
        keys: &[
            &UPSTREAM_TLS_NAME,
            &UPSTREAM_TLS_CA,
            &UPSTREAM_TLS_CERT,
            &UPSTREAM_TLS_KEY,
            &UPSTREAM_TLS_PINS,
            &UPSTREAM_TLS_POLICY,
            &UPSTREAM_TLS_INSECURE,
        ],
    }),
    need: Default(None),
    doc: "TLS towards the endpoints, also for their health checks at their own port; `{}` is enough. Their certificates are \
          verified.",
    example: "{ name = \"orders.internal\", ca = \"/etc/ringway/internal.pem\", cert = \"/etc/ringway/gateway.crt\", key = \
              \"/etc/ringway/gateway.key\", pins = [], policy = \"modern\", insecure = false }",
};

pub(in crate::config) static UPSTREAM_TLS_NAME: Key<ServerName> = Key {
    name: "name",
    kind: ServerName,
    need: Optional,
    doc: "The name that an endpoint's certificate must have, and that it is asked for. Without it: its IP address.",
    example: "\"orders.internal\"",
};

pub(in crate::config) static UPSTREAM_TLS_CA: Key<FilePath> = Key {
    name: "ca",
    kind: FilePath,
    need: Optional,
    doc: "A file of PEM: the authorities whose certificates count. Without it: those of the system.",
    example: "\"/etc/ringway/internal.pem\"",
};

pub(in crate::config) static UPSTREAM_TLS_CERT: Key<FilePath> = Key {
    name: "cert",
    kind: FilePath,
    need: Optional,
    doc: "A file of PEM: the certificate that is shown to an endpoint that asks for one, and the chain behind it.",
    example: "\"/etc/ringway/gateway.crt\"",
};

pub(in crate::config) static UPSTREAM_TLS_KEY: Key<FilePath> = Key {
    name: "key",
    kind: FilePath,
    need: Optional,
    doc: "A file of PEM: its key.",
    example: "\"/etc/ringway/gateway.key\"",
};

pub(in crate::config) static UPSTREAM_TLS_PINS: Key<Pins> = Key {
    name: "pins",
    kind: Pins,
    need: Default(Vec::new()),
    doc: "SHA-256 of the public keys one of which an endpoint's certificate must have, beside everything else: of the \
          SubjectPublicKeyInfo, as `openssl x509 -pubkey -noout -in FILE | openssl pkey -pubin -outform DER | openssl \
          dgst -sha256` prints it.",
    example: "[\"2f0d5c1e8a7b6c4d3e2f1a0b9c8d7e6f5a4b3c2d1e0f9a8b7c6d5e4f3a2b1c0d\"]",
};

pub(in crate::config) static UPSTREAM_TLS_POLICY: Key<Words<Policy>> = Key {
    name: "policy",
    kind: POLICIES,
    need: Default(Policy::Intermediate),
    doc: "`modern` is TLS 1.3 alone, `intermediate` TLS 1.2 too.",
    example: "\"modern\"",
};

pub(in crate::config) static UPSTREAM_TLS_INSECURE: Key<Switch> = Key {
    name: "insecure",
    kind: Switch,
    need: Default(false),
    doc: "Whether anybody at all is taken for an endpoint: its certificate is not verified. Then what is said to it is said \
          to whoever stands in its way.",
    example: "true",
};

const POLICIES: Words<Policy> = Words { words: &[("modern", Policy::Modern), ("intermediate", Policy::Intermediate)] };
