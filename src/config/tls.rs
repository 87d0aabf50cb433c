//! TLS: what a file says of it, on both sides, what that means, and how it is written back. The files that are named there
//! are not looked at. It refuses to know how a handshake goes.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::check::resolve;
use super::key::Field;
use super::key::Key;
use super::key::Keys;
use super::key::Place;
use super::key::Reader;
use super::key::get;
use super::keys::tls as keys;
use super::kind::Kind;
use super::kind::pattern;
use super::kind::refuse;
use super::kind::string;
use super::plain::text;
use super::report::Fault;
use super::report::Faults;
use super::report::Span;
use super::report::quote;
use super::schema;
use super::tree::Node;
use super::tree::Value;
use super::write::Lines;
use crate::http::host;
use crate::model::ClientCertificates;
use crate::model::Endpoint;
use crate::model::Hsts;
use crate::model::ListenTls;
use crate::model::Listener;
use crate::model::Need;
use crate::model::Pair;
use crate::model::Policy;
use crate::model::UnknownName;
use crate::model::UpstreamTls;

/// A list of tables with these keys.
pub(super) struct Certificates {
    pub(super) keys: Keys,
}

/// The absolute path of a file.
pub(super) struct FilePath;

/// "https", with a port or without.
pub(super) struct Redirect;

/// A DNS name or an IP address.
pub(super) struct ServerName;

/// A table with these keys.
pub(super) struct TowardsUpstream {
    pub(super) keys: Keys,
}

/// A list of SHA-256 sums.
pub(super) struct Pins;

fn cannot_be(node: &Node, place: &Place<'_>, written: &str, accepted: &str, faults: &mut Faults) {
    let message = format!("{place} cannot be {}", quote(written));
    faults.add(Fault::wrong(node.span, message).help(format!("accepted: {accepted}")));
}

// === impl Certificates ===

impl Kind for Certificates {
    type Value = Vec<Pair>;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<Vec<Pair>> {
        let Value::List(items) = &node.value else {
            refuse(node, place, &self.accepted(), faults);
            return None;
        };
        if items.is_empty() {
            let message = format!("{place} has no certificate");
            let help =
                "write at least one, such as { cert = \"/etc/ringway/shop.crt\", key = \"/etc/ringway/shop.key\" }";
            faults.add(Fault::wrong(node.span, message).help(help));
            return None;
        }
        let pairs: Vec<Pair> = items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| {
                let owner = format!("certificate {} of {}", index + 1, place.owner);
                let reader = Reader::open(item, &owner, self.keys, faults)?;
                let (cert, key) = (reader.get(&keys::CERT, faults), reader.get(&keys::KEY, faults));
                let ocsp = reader.get(&keys::OCSP, faults).value().cloned();
                Some(Pair { cert: cert.value()?.clone(), key: key.value()?.clone(), ocsp })
            })
            .collect();
        (pairs.len() == items.len()).then_some(pairs)
    }

    fn show(&self, value: &Vec<Pair>) -> String {
        let shown: Vec<String> = value
            .iter()
            .map(|pair| {
                let mut lines = Lines::default();
                lines.add(&keys::KEY, &pair.key);
                lines.add_some(&keys::OCSP, pair.ocsp.as_ref());
                lines.inline_after(&keys::CERT, &pair.cert)
            })
            .collect();
        format!("[{}]", shown.join(", "))
    }

    fn accepted(&self) -> String {
        "a list, each a table of cert, key, ocsp".into()
    }

    fn schema(&self) -> serde_json::Value {
        json!({ "type": "array", "minItems": 1, "items": schema::table(self.keys) })
    }

    fn parts(&self) -> Option<Keys> {
        Some(self.keys)
    }
}

// === impl FilePath ===

impl Kind for FilePath {
    type Value = PathBuf;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<PathBuf> {
        let written = text(node, place, &self.accepted(), faults)?;
        if written.starts_with('/') && !written.ends_with('/') && !written.contains('\0') {
            return Some(Path::new(written).to_path_buf());
        }
        if written.contains("-----BEGIN") {
            // What may be a secret is not shown.
            let message = format!("{place} holds PEM itself");
            faults.add(Fault::wrong(node.span, message).help("write it into a file, and the path of that here"));
            return None;
        }
        cannot_be(node, place, written, &self.accepted(), faults);
        None
    }

    fn show(&self, value: &PathBuf) -> String {
        string(&value.to_string_lossy())
    }

    fn accepted(&self) -> String {
        "the absolute path of a file".into()
    }

    fn schema(&self) -> serde_json::Value {
        pattern("/.*[^/]")
    }
}

// === impl Redirect ===

impl Kind for Redirect {
    type Value = u16;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<u16> {
        let written = text(node, place, &self.accepted(), faults)?;
        let port = match written.strip_prefix("https") {
            Some("") => Some(443),
            Some(rest) => rest.strip_prefix(':').and_then(|port| port.parse().ok()).filter(|port| *port != 0),
            None => None,
        };
        if port.is_none() {
            cannot_be(node, place, written, &self.accepted(), faults);
        }
        port
    }

    fn show(&self, value: &u16) -> String {
        if *value == 443 { string("https") } else { string(&format!("https:{value}")) }
    }

    fn accepted(&self) -> String {
        "\"https\", or \"https:PORT\"".into()
    }

    fn schema(&self) -> serde_json::Value {
        pattern("https(:[0-9]{1,5})?")
    }
}

// === impl ServerName ===

impl Kind for ServerName {
    type Value = String;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<String> {
        let written = text(node, place, &self.accepted(), faults)?;
        if is_name(written) || written.parse::<std::net::IpAddr>().is_ok() {
            return Some(written.to_ascii_lowercase());
        }
        let alone = host::name(written.as_bytes()).and_then(|name| std::str::from_utf8(name).ok());
        match alone.filter(|name| *name != written && is_name(name)) {
            Some(name) => {
                let message = format!("{place} cannot be {}", quote(written));
                faults.add(Fault::wrong(node.span, message).help(format!("write the name alone: {}", quote(name))));
            }
            None => cannot_be(node, place, written, &self.accepted(), faults),
        }
        None
    }

    fn show(&self, value: &String) -> String {
        string(value)
    }

    fn accepted(&self) -> String {
        "a DNS name such as \"orders.internal\", or an IP address".into()
    }

    fn schema(&self) -> serde_json::Value {
        pattern("[A-Za-z0-9._:-]{1,253}")
    }
}

/// Whether a certificate may be for this name.
fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len()) && label.bytes().all(letter) && !label.starts_with('-') && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253 && text.split('.').all(label) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

// === impl Pins ===

impl Kind for Pins {
    type Value = Vec<[u8; 32]>;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<Self::Value> {
        let Value::List(items) = &node.value else {
            refuse(node, place, &self.accepted(), faults);
            return None;
        };
        let mut pins = Vec::with_capacity(items.len());
        for item in items {
            let Some(written) = text(item, place, &self.accepted(), faults) else { continue };
            match sum(written) {
                Some(sum) => pins.push(sum),
                None => cannot_be(item, place, written, &self.accepted(), faults),
            }
        }
        (pins.len() == items.len()).then_some(pins)
    }

    fn show(&self, value: &Self::Value) -> String {
        let hex = |sum: &[u8; 32]| string(&sum.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        let shown: Vec<String> = value.iter().map(hex).collect();
        format!("[{}]", shown.join(", "))
    }

    fn accepted(&self) -> String {
        "a list of strings of 64 hexadecimal digits".into()
    }

    fn schema(&self) -> serde_json::Value {
        json!({ "type": "array", "items": pattern("[0-9A-Fa-f]{64}") })
    }
}

fn sum(text: &str) -> Option<[u8; 32]> {
    let mut sum = [0; 32];
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, at) in sum.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(sum)
}

// === a listener ===

/// What `[listen.NAME]` says of it.
#[derive(Default)]
pub(super) struct ListenTlsForm {
    certificates: Field<Option<Vec<Pair>>>,
    policy: Field<Policy>,
    unknown_name: Field<UnknownName>,
    timeout: Field<Duration>,
    at_once: Field<u32>,
    hello: Field<usize>,
    tickets: Field<bool>,
    ticket_keys: Field<PathBuf>,
    need: Field<Option<Need>>,
    ca: Field<PathBuf>,
    crl: Field<PathBuf>,
    hsts_age: Field<Option<Duration>>,
    hsts_subdomains: Field<bool>,
    hsts_preload: Field<bool>,
    redirect: Field<Option<u16>>,
}

/// What a listener has of it.
pub(super) struct Listens {
    pub(super) tls: Option<ListenTls>,
    pub(super) hsts: Option<Hsts>,
    pub(super) redirect: Option<u16>,
}

impl ListenTlsForm {
    pub(super) fn read(reader: Option<&Reader<'_>>, faults: &mut Faults) -> Self {
        let mut group = |group| reader.and_then(|reader| reader.group(group, faults));
        let (handshake, hsts) = (group(&keys::HANDSHAKE), group(&keys::HSTS));
        let clients = group(&keys::CLIENT_CERTIFICATES);
        let (handshake, clients, hsts) = (handshake.as_ref(), clients.as_ref(), hsts.as_ref());
        Self {
            certificates: get(reader, &keys::TLS, faults),
            policy: get(handshake, &keys::POLICY, faults),
            unknown_name: get(handshake, &keys::UNKNOWN_NAME, faults),
            timeout: get(handshake, &keys::HANDSHAKE_TIMEOUT, faults),
            at_once: get(handshake, &keys::AT_ONCE, faults),
            hello: get(handshake, &keys::HELLO, faults),
            tickets: get(handshake, &keys::TICKETS, faults),
            ticket_keys: get(handshake, &keys::TICKET_KEYS, faults),
            need: get(clients, &keys::NEED, faults),
            ca: get(clients, &keys::CLIENT_CA, faults),
            crl: get(clients, &keys::CRL, faults),
            hsts_age: get(hsts, &keys::HSTS_AGE, faults),
            hsts_subdomains: get(hsts, &keys::HSTS_SUBDOMAINS, faults),
            hsts_preload: get(hsts, &keys::HSTS_PRELOAD, faults),
            redirect: get(reader, &keys::REDIRECT, faults),
        }
    }

    /// What a listener that stands at `at` has of it; nothing after a fault.
    pub(super) fn model(&self, owner: &str, at: Span, defaults: &Self, faults: &mut Faults) -> Option<Listens> {
        let certificates = resolve(&self.certificates, &defaults.certificates, &keys::TLS);
        let redirect = resolve(&self.redirect, &defaults.redirect, &keys::REDIRECT);
        if let (Some(Some(_)), Some(Some(_))) = (&certificates, &redirect) {
            let at = self.redirect.or(&defaults.redirect).at().unwrap_or(at);
            let message = format!("{owner} speaks TLS, and sends every request on to where TLS is spoken");
            faults.add(
                Fault::wrong(at, message).help("`redirect` belongs to the listener of port 80: take it away here"),
            );
            return None;
        }
        if matches!(certificates, Some(None)) && self.is_in_vain(owner, faults) {
            return None;
        }
        let clients = self.clients(owner, at, defaults, faults);
        let settings = ListenTls {
            certificates: certificates.clone()?.unwrap_or_default(),
            policy: resolve(&self.policy, &defaults.policy, &keys::POLICY)?,
            unknown_name: resolve(&self.unknown_name, &defaults.unknown_name, &keys::UNKNOWN_NAME)?,
            timeout: resolve(&self.timeout, &defaults.timeout, &keys::HANDSHAKE_TIMEOUT)?,
            at_once: resolve(&self.at_once, &defaults.at_once, &keys::AT_ONCE)?,
            hello_bytes: resolve(&self.hello, &defaults.hello, &keys::HELLO)?,
            tickets: resolve(&self.tickets, &defaults.tickets, &keys::TICKETS)?,
            ticket_keys: self.ticket_keys.or(&defaults.ticket_keys).value().cloned(),
            clients: clients?,
        };
        let age = resolve(&self.hsts_age, &defaults.hsts_age, &keys::HSTS_AGE)?;
        let subdomains = resolve(&self.hsts_subdomains, &defaults.hsts_subdomains, &keys::HSTS_SUBDOMAINS)?;
        let preload = resolve(&self.hsts_preload, &defaults.hsts_preload, &keys::HSTS_PRELOAD)?;
        let tls = certificates?.map(|_| settings);
        let hsts = age.filter(|_| tls.is_some()).map(|age| Hsts { age, subdomains, preload });
        Some(Listens { tls, hsts, redirect: redirect? })
    }

    /// Whether it says itself how TLS is to be spoken, where none is: whoever wrote that takes it for closed to some, while
    /// it is open to all.
    fn is_in_vain(&self, owner: &str, faults: &mut Faults) -> bool {
        // Who says that nobody is asked may name authorities as well.
        let clients = match self.need.is_said() {
            true => [other(&self.need, &keys::NEED), None],
            false => [self.ca.at(), self.crl.at()],
        };
        let handshake = [
            other(&self.policy, &keys::POLICY),
            other(&self.unknown_name, &keys::UNKNOWN_NAME),
            other(&self.timeout, &keys::HANDSHAKE_TIMEOUT),
            other(&self.at_once, &keys::AT_ONCE),
            other(&self.hello, &keys::HELLO),
            other(&self.tickets, &keys::TICKETS),
        ];
        let hsts = [
            other(&self.hsts_age, &keys::HSTS_AGE),
            other(&self.hsts_subdomains, &keys::HSTS_SUBDOMAINS),
            other(&self.hsts_preload, &keys::HSTS_PRELOAD),
        ];
        let first = |spans: &[Option<Span>]| spans.iter().flatten().next().copied();
        let groups = [
            (&keys::CLIENT_CERTIFICATES, first(&clients)),
            (&keys::HANDSHAKE, first(&handshake)),
            (&keys::HSTS, first(&hsts)),
        ];
        let mut found = false;
        for (group, at) in groups {
            let Some(at) = at else { continue };
            found = true;
            let message = format!("{owner} has `{}`, and does not speak TLS", group.name);
            faults.add(Fault::wrong(at, message).help("name its certificates as `tls`, or take this away"));
        }
        found
    }

    fn clients(
        &self,
        owner: &str,
        at: Span,
        defaults: &Self,
        faults: &mut Faults,
    ) -> Option<Option<ClientCertificates>> {
        let need = resolve(&self.need, &defaults.need, &keys::NEED)?;
        let (ca, crl) = (self.ca.or(&defaults.ca), self.crl.or(&defaults.crl));
        if let (None, false, Some(at)) = (need, self.need.is_said(), self.ca.at().or(self.crl.at())) {
            let message = format!("{owner} says whose certificates of clients count, and asks no client for one");
            let help = "say in `client_certificates.need` whether they are \"required\" or \"optional\", or that it is \"off\"";
            faults.add(Fault::wrong(at, message).help(help));
            return None;
        }
        let (Some(need), Field::Absent) = (need, ca) else {
            return Some(need.zip(ca.value().cloned()).map(|(need, ca)| ClientCertificates {
                need,
                ca,
                crl: crl.value().cloned(),
            }));
        };
        nobody(owner, need, self.need.or(&defaults.need).at().unwrap_or(at), faults);
        None
    }
}

/// Where something stands that is not what it would be anyway.
fn other<K: Kind>(field: &Field<K::Value>, key: &Key<K>) -> Option<Span>
where
    K::Value: PartialEq,
{
    field.at().filter(|_| field.value() != key.default().as_ref())
}

pub(super) fn nobody(owner: &str, need: Need, at: Span, faults: &mut Faults) {
    let asked = if need == Need::Required { "requires" } else { "asks for" };
    let message = format!("{owner} {asked} certificates of clients, and names no authority whose certificates count");
    faults.add(Fault::wrong(at, message).help("name a file of authorities as `client_certificates.ca`"));
}

/// The lines of a listener.
pub(super) fn listen_lines(listener: &Listener, lines: &mut Lines) {
    if let Some(tls) = &listener.tls {
        lines.add(&keys::TLS, &Some(tls.certificates.clone()));
        let mut handshake = Lines::default();
        handshake.add(&keys::POLICY, &tls.policy);
        handshake.add(&keys::UNKNOWN_NAME, &tls.unknown_name);
        handshake.add(&keys::HANDSHAKE_TIMEOUT, &tls.timeout);
        handshake.add(&keys::AT_ONCE, &tls.at_once);
        handshake.add(&keys::HELLO, &tls.hello_bytes);
        handshake.add(&keys::TICKETS, &tls.tickets);
        handshake.add_some(&keys::TICKET_KEYS, tls.ticket_keys.as_ref());
        lines.group(keys::HANDSHAKE.name, &handshake);
        if let Some(clients) = &tls.clients {
            let mut shown = Lines::default();
            shown.add(&keys::NEED, &Some(clients.need));
            shown.add(&keys::CLIENT_CA, &clients.ca);
            shown.add_some(&keys::CRL, clients.crl.as_ref());
            lines.group(keys::CLIENT_CERTIFICATES.name, &shown);
        }
    }
    if let Some(hsts) = &listener.hsts {
        let mut shown = Lines::default();
        shown.add(&keys::HSTS_AGE, &Some(hsts.age));
        shown.add(&keys::HSTS_SUBDOMAINS, &hsts.subdomains);
        shown.add(&keys::HSTS_PRELOAD, &hsts.preload);
        lines.group(keys::HSTS.name, &shown);
    }
    lines.add(&keys::REDIRECT, &listener.redirect);
}

// === impl TowardsUpstream ===

impl Kind for TowardsUpstream {
    type Value = UpstreamTls;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<UpstreamTls> {
        if !matches!(node.value, Value::Table(_)) {
            refuse(node, place, &self.accepted(), faults);
            return None;
        }
        let owner = place.to_string();
        let reader = Reader::open(node, &owner, self.keys, faults)?;
        let name = reader.get(&keys::UPSTREAM_TLS_NAME, faults);
        let ca = reader.get(&keys::UPSTREAM_TLS_CA, faults);
        let (cert, key) = (reader.get(&keys::UPSTREAM_TLS_CERT, faults), reader.get(&keys::UPSTREAM_TLS_KEY, faults));
        let alone = match (&cert, &key) {
            (Field::Set(_, at), Field::Absent) => Some(("cert", "key", *at)),
            (Field::Absent, Field::Set(_, at)) => Some(("key", "cert", *at)),
            _ => None,
        };
        if let Some((there, missing, at)) = alone {
            let message = format!("{place} has `{there}` without `{missing}`");
            faults.add(Fault::wrong(at, message).help("a certificate and its key are named together"));
        }
        let pins = reader.get(&keys::UPSTREAM_TLS_PINS, faults);
        let policy = reader.get(&keys::UPSTREAM_TLS_POLICY, faults);
        let insecure = reader.get(&keys::UPSTREAM_TLS_INSECURE, faults);
        Some(UpstreamTls {
            name: name.value().cloned(),
            ca: ca.value().cloned(),
            identity: cert.value().cloned().zip(key.value().cloned()),
            pins: pins.resolve(&keys::UPSTREAM_TLS_PINS)?,
            policy: policy.resolve(&keys::UPSTREAM_TLS_POLICY)?,
            insecure: insecure.resolve(&keys::UPSTREAM_TLS_INSECURE)?,
        })
    }

    fn show(&self, tls: &UpstreamTls) -> String {
        let mut shown = Lines::default();
        shown.add_some(&keys::UPSTREAM_TLS_NAME, tls.name.as_ref());
        shown.add_some(&keys::UPSTREAM_TLS_CA, tls.ca.as_ref());
        shown.add_some(&keys::UPSTREAM_TLS_CERT, tls.identity.as_ref().map(|(cert, _)| cert));
        shown.add_some(&keys::UPSTREAM_TLS_KEY, tls.identity.as_ref().map(|(_, key)| key));
        shown.add(&keys::UPSTREAM_TLS_PINS, &tls.pins);
        shown.add(&keys::UPSTREAM_TLS_POLICY, &tls.policy);
        shown.add(&keys::UPSTREAM_TLS_INSECURE, &tls.insecure);
        if shown.is_empty() { "{}".into() } else { shown.inline() }
    }

    fn accepted(&self) -> String {
        let names: Vec<&str> = self.keys.iter().map(|key| key.name()).collect();
        format!("a table of {}, which may be empty", names.join(", "))
    }

    fn schema(&self) -> serde_json::Value {
        schema::table(self.keys)
    }

    fn parts(&self) -> Option<Keys> {
        Some(self.keys)
    }
}

/// What an upstream with these endpoints has of it; nothing after a fault.
pub(super) fn upstream(
    owner: &str,
    said: &Field<Option<UpstreamTls>>,
    endpoints: &[Endpoint],
    faults: &mut Faults,
) -> Option<Option<UpstreamTls>> {
    let tls = said.resolve(&keys::UPSTREAM_TLS)?;
    let unnamed = endpoints.iter().find(|endpoint| endpoint.address.ip().is_none());
    if let (Some(UpstreamTls { name: None, .. }), Some(endpoint), Some(at)) = (&tls, unnamed, said.at()) {
        let message = format!("{owner} speaks TLS with {}, which has no name to be known by", endpoint.address);
        faults.add(Fault::wrong(at, message).help("say in `tls.name` which name its certificate must have"));
        return None;
    }
    Some(tls)
}

/// What is odd about it: whoever answers is taken for the upstream.
pub(super) fn oddity(owner: &str, said: &Field<Option<UpstreamTls>>) -> Option<Fault> {
    let insecure = said.value()?.as_ref()?.insecure;
    let at = said.at().filter(|_| insecure)?;
    let message = format!("{owner} is insecure: whoever answers at its addresses is taken for it");
    Some(Fault::wrong(at, message).help("name its authority as `tls.ca`, and take `insecure` away"))
}
