//! TLS of listeners and hosts: what their tables say of handshakes, certificates of clients, HSTS and redirects, what that
//! means, and how it is written back. It refuses to know how a handshake goes.

use super::check::resolve;
use super::key::Field;
use super::key::Key;
use super::key::Reader;
use super::key::get;
use super::keys::tls as keys;
use super::kind::Kind;
use super::report::Fault;
use super::report::Faults;
use super::report::Span;
use super::write::Lines;
use super::write::NOWHERE;
use crate::model::ClientCertificates;
use crate::model::HostClients;
use crate::model::Hsts;
use crate::model::ListenTls;
use crate::model::Listener;
use crate::model::Need;
use crate::model::Pair;
use crate::model::Policy;
use crate::model::UnknownName;
use std::path::PathBuf;
use std::time::Duration;

// === a listener ===

/// What `[listen.NAME]` says of it.
#[derive(Default)]
pub(super) struct ListenTlsForm {
    certificates: Field<Option<Vec<(Pair, Span)>>>,
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
    /// Bytes of a hello, and how long it may take.
    pub(super) hello: (usize, Duration),
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

    /// What of it holds for a listener that carries TLS and does not speak it.
    pub(super) fn for_relays(&self) -> Self {
        Self { timeout: self.timeout.clone(), hello: self.hello.clone(), ..Self::default() }
    }

    /// What says how TLS is spoken, but for what concerns a hello where that is `read`.
    pub(super) fn of_handshakes(&self, read: bool) -> impl Iterator<Item = (&'static str, Option<Span>)> {
        let off = |field: Option<Span>, off: bool| field.filter(|_| !off);
        let hello =
            [("handshake.timeout", off(self.timeout.at(), read)), ("handshake.hello", off(self.hello.at(), read))];
        let rest = [
            ("tls", off(self.certificates.at(), matches!(self.certificates, Field::Set(None, _)))),
            ("handshake.policy", self.policy.at()),
            ("handshake.unknown_name", self.unknown_name.at()),
            ("handshake.at_once", self.at_once.at()),
            ("handshake.tickets", self.tickets.at()),
            ("handshake.ticket_keys", self.ticket_keys.at()),
            ("client_certificates.need", self.need.at()),
            ("client_certificates.ca", self.ca.at()),
            ("client_certificates.crl", self.crl.at()),
            ("hsts.age", self.hsts_age.at()),
            ("hsts.subdomains", self.hsts_subdomains.at()),
            ("hsts.preload", self.hsts_preload.at()),
            ("redirect", off(self.redirect.at(), matches!(self.redirect, Field::Set(None, _)))),
        ];
        hello.into_iter().chain(rest)
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
        let clients = self.clients(owner, at, defaults, faults);
        let settings = ListenTls {
            certificates: certificates.clone()?.unwrap_or_default().into_iter().map(|(pair, _)| pair).collect(),
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
        let hello = (settings.hello_bytes, settings.timeout);
        let tls = certificates?.map(|_| settings);
        let hsts = age.filter(|_| tls.is_some()).map(|age| Hsts { age, subdomains, preload });
        Some(Listens { tls, hsts, redirect: redirect?, hello })
    }

    /// Whether it says itself how TLS is to be spoken, where none is: whoever wrote that takes it for closed to some, while
    /// it is open to all.
    pub(super) fn is_in_vain(&self, owner: &str, defaults: &Self, faults: &mut Faults) -> bool {
        if !matches!(resolve(&self.certificates, &defaults.certificates, &keys::TLS), Some(None)) {
            return false;
        }
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

    /// The certificates that the file has, each with its place.
    pub(super) fn certificates<'a>(&'a self, defaults: &'a Self) -> &'a [(Pair, Span)] {
        self.certificates.or(&defaults.certificates).value().and_then(Option::as_deref).unwrap_or_default()
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

fn nobody(owner: &str, need: Need, at: Span, faults: &mut Faults) {
    let asked = if need == Need::Required { "requires" } else { "asks for" };
    let message = format!("{owner} {asked} certificates of clients, and names no authority whose certificates count");
    faults.add(Fault::wrong(at, message).help("name a file of authorities as `client_certificates.ca`"));
}

// === a host ===

/// What `[host."PATTERN"]` says of certificates of clients.
#[derive(Default)]
pub(super) struct HostClientsForm {
    need: Field<Option<Need>>,
    ca: Field<PathBuf>,
    crl: Field<PathBuf>,
}

impl HostClientsForm {
    pub(super) fn read(reader: Option<&Reader<'_>>, faults: &mut Faults) -> Self {
        let clients = reader.and_then(|reader| reader.group(&keys::HOST_CLIENT_CERTIFICATES, faults));
        let clients = clients.as_ref();
        Self {
            need: get(clients, &keys::HOST_NEED, faults),
            ca: get(clients, &keys::CLIENT_CA, faults),
            crl: get(clients, &keys::CRL, faults),
        }
    }

    /// Notes what is wrong with it, and gives what is odd about it; `secure` says whether any listener speaks TLS.
    pub(super) fn check(&self, owner: &str, secure: bool, faults: &mut Faults) -> Option<Fault> {
        let (Some(need), Some(at)) = (self.need.value()?, self.need.at()) else { return None };
        if !self.ca.is_said() {
            nobody(owner, *need, at, faults);
        }
        let message = format!("{owner} asks for certificates of clients, and no listener speaks TLS");
        (!secure).then(|| Fault::wrong(at, message).help("name certificates as `tls` of a listener"))
    }

    /// The same as a value; nothing where it is faulty.
    pub(super) fn model(&self) -> Option<Option<HostClients>> {
        match (&self.need, &self.ca) {
            (Field::Absent, _) => Some(None),
            (Field::Faulty, _) => None,
            (Field::Set(None, _), _) => Some(Some(HostClients::Off)),
            (Field::Set(Some(need), _), ca) => {
                let (ca, crl) = (ca.value()?.clone(), self.crl.value().cloned());
                Some(Some(HostClients::Asked(ClientCertificates { need: *need, ca, crl })))
            }
        }
    }
}

/// The lines of a host.
pub(super) fn host_lines(clients: Option<&HostClients>, lines: &mut Lines) {
    let Some(clients) = clients else { return };
    let (mut shown, asked) = (Lines::default(), clients.asked());
    shown.add(&keys::HOST_NEED, &asked.map(|asked| asked.need));
    shown.add_some(&keys::CLIENT_CA, asked.map(|asked| &asked.ca));
    shown.add_some(&keys::CRL, asked.and_then(|asked| asked.crl.as_ref()));
    lines.group(keys::HOST_CLIENT_CERTIFICATES.name, &shown);
}

/// The lines of a listener.
pub(super) fn listen_lines(listener: &Listener, lines: &mut Lines) {
    if let Some(tls) = &listener.tls {
        lines.add(&keys::TLS, &Some(tls.certificates.iter().map(|pair| (pair.clone(), NOWHERE)).collect()));
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
