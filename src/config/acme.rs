//! ACME: what a file says of it, what that means, and how it is written back. It refuses to know how a certificate is got.

use std::collections::HashMap;
use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::path::PathBuf;

use http::Uri;
use serde_json::json;

use super::form::Form;
use super::key::Field;
use super::key::Place;
use super::key::Reader;
use super::key::get;
use super::keys::acme as keys;
use super::kind::Kind;
use super::kind::pattern;
use super::kind::refuse;
use super::kind::string;
use super::plain::text;
use super::report::Fault;
use super::report::Faults;
use super::report::Span;
use super::report::quote;
use super::tls;
use super::tls::FilePath;
use super::tree::Node;
use super::tree::Value;
use super::write::Lines;
use crate::model;
use crate::model::Acme;
use crate::model::ChallengeKind;
use crate::model::ClientCertificates;
use crate::model::Host;
use crate::model::HostPattern;
use crate::model::KeyKind;
use crate::model::Listener;
use crate::model::Need;
use crate::model::Pair;

/// The names of one certificate, in lower case.
pub(super) struct HostNames;

/// The URL of a directory.
pub(super) struct DirectoryUrl;

/// Addresses of mail.
pub(super) struct Contacts;

/// The absolute path of a folder.
pub(super) struct Folder;

/// Names that one certificate may be for: as many as the authorities allow.
const NAMES_MAX: usize = 100;
/// Longest name: it becomes the name of a file.
const NAME_BYTES: usize = 200;
/// Longest address of mail.
const TEXT_BYTES: usize = 1024;
/// Longest URL: it becomes the name of a folder.
const URL_BYTES: usize = 200;
/// Where accounts and certificates are kept if nothing else is said.
const FOLDER: &str = "/var/lib/ringway/acme";

fn cannot_be(node: &Node, place: &Place<'_>, written: &str, help: String, faults: &mut Faults) {
    faults.add(Fault::wrong(node.span, format!("{place} cannot be {}", quote(written))).help(help));
}

fn list(values: &[String]) -> String {
    let shown: Vec<String> = values.iter().map(|value| string(value)).collect();
    format!("[{}]", shown.join(", "))
}

// === impl HostNames ===

impl Kind for HostNames {
    type Value = Vec<String>;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<Vec<String>> {
        let Value::List(items) = &node.value else {
            refuse(node, place, &self.accepted(), faults);
            return None;
        };
        if items.is_empty() || items.len() > NAMES_MAX {
            let message = format!("{place} has {} names", items.len());
            faults.add(Fault::wrong(node.span, message).help(format!("accepted: {}", self.accepted())));
            return None;
        }
        let (mut names, mut seen) = (Vec::with_capacity(items.len()), HashMap::new());
        for item in items {
            let Some(written) = text(item, place, &self.accepted(), faults) else { continue };
            let name = written.to_ascii_lowercase();
            if name.starts_with("*.") {
                let help = "a wildcard is given for a record in DNS alone (dns-01), which is not done here: list the names, or \
                            get the certificate elsewhere and name its files";
                cannot_be(item, place, written, help.into(), faults);
            } else if !tls::is_name(&name) || !name.contains('.') || name.len() > NAME_BYTES {
                cannot_be(item, place, written, format!("accepted: {}", self.accepted()), faults);
            } else if let Some(first) = seen.insert(name.clone(), item.span) {
                let message = format!("{} is listed twice in {place}", quote(&name));
                faults.add(Fault::wrong(item.span, message).also(first, "first listed here"));
            } else {
                names.push(name);
            }
        }
        (names.len() == items.len()).then_some(names)
    }

    fn show(&self, value: &Vec<String>) -> String {
        list(value)
    }

    fn accepted(&self) -> String {
        format!(
            "a list of 1 to {NAMES_MAX} DNS names such as \"shop.example.com\", none longer than {NAME_BYTES} bytes"
        )
    }

    fn schema(&self) -> serde_json::Value {
        let name = pattern(r"([A-Za-z0-9_-]{1,63}\.)+[A-Za-z0-9_-]{1,63}");
        json!({ "type": "array", "minItems": 1, "maxItems": NAMES_MAX, "items": name })
    }
}

// === impl DirectoryUrl ===

impl Kind for DirectoryUrl {
    type Value = String;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<String> {
        let written = text(node, place, &self.accepted(), faults)?;
        if is_directory(written) {
            return Some(written.to_owned());
        }
        let secure = written.strip_prefix("http://").map(|rest| format!("https://{rest}"));
        let help = match secure.filter(|secure| is_directory(secure)) {
            Some(secure) => format!("it must be asked by TLS: write {}", quote(&secure)),
            None => format!("accepted: {}", self.accepted()),
        };
        cannot_be(node, place, written, help, faults);
        None
    }

    fn show(&self, value: &String) -> String {
        string(value)
    }

    fn accepted(&self) -> String {
        format!("a URL of a host, or an address, that begins with \"https://\", no longer than {URL_BYTES} bytes")
    }

    fn schema(&self) -> serde_json::Value {
        pattern("https://[!-~]+")
    }
}

/// Whether this can be asked, and a folder can be named by it: it begins with a host that has a name or an address.
fn is_directory(text: &str) -> bool {
    let odd = |byte: u8| !byte.is_ascii_graphic() || b"#@\"\\".contains(&byte);
    if text.len() > URL_BYTES || !text.starts_with("https://") || text.bytes().any(odd) {
        return false;
    }
    let Ok(url) = text.parse::<Uri>() else { return false };
    let (Some(host), Some(authority)) = (url.host(), url.authority()) else { return false };
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = match address {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => tls::is_name(host) || host.parse::<Ipv4Addr>().is_ok(),
    };
    let port = authority.as_str().strip_prefix(host).unwrap_or_default();
    is_host && (port.is_empty() || url.port_u16().is_some_and(|port| port != 0))
}

// === impl Contacts ===

impl Kind for Contacts {
    type Value = Vec<String>;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<Vec<String>> {
        let Value::List(items) = &node.value else {
            refuse(node, place, &self.accepted(), faults);
            return None;
        };
        let mut contacts = Vec::with_capacity(items.len());
        for item in items {
            let Some(written) = text(item, place, &self.accepted(), faults) else { continue };
            let address = written.strip_prefix("mailto:").unwrap_or(written);
            // An authority takes one address in a URL, without anything behind it (RFC 8555 §7.3).
            let letter = |byte: u8| byte.is_ascii_graphic() && !b"?,;<>\"\\%&".contains(&byte);
            let whole = address.len() <= TEXT_BYTES && address.bytes().all(letter);
            if whole && address.split_once('@').is_some_and(|(who, at)| !who.is_empty() && tls::is_name(at)) {
                contacts.push(address.to_owned());
            } else {
                cannot_be(item, place, written, format!("accepted: {}", self.accepted()), faults);
            }
        }
        (contacts.len() == items.len()).then_some(contacts)
    }

    fn show(&self, value: &Vec<String>) -> String {
        list(value)
    }

    fn accepted(&self) -> String {
        "a list of addresses of mail such as \"ops@example.com\"".into()
    }

    fn schema(&self) -> serde_json::Value {
        json!({ "type": "array", "items": pattern("[!-~]+@[A-Za-z0-9._-]+") })
    }
}

// === impl Folder ===

impl Kind for Folder {
    type Value = PathBuf;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<PathBuf> {
        let written = text(node, place, &self.accepted(), faults)?;
        let trimmed = written.trim_end_matches('/');
        if trimmed.starts_with('/') && !trimmed.contains('\0') {
            return Some(trimmed.into());
        }
        cannot_be(node, place, written, format!("accepted: {}", self.accepted()), faults);
        None
    }

    fn show(&self, value: &PathBuf) -> String {
        FilePath.show(value)
    }

    fn accepted(&self) -> String {
        "the absolute path of a folder other than \"/\"".into()
    }

    fn schema(&self) -> serde_json::Value {
        pattern("/.*[^/].*")
    }
}

// === [acme] ===

/// `[acme]`.
#[derive(Default)]
pub(super) struct AcmeForm {
    /// Where the table stands.
    at: Option<Span>,
    terms: Field<bool>,
    directory: Field<String>,
    staging: Field<bool>,
    contact: Field<Vec<String>>,
    folder: Field<PathBuf>,
    challenge: Field<ChallengeKind>,
    key: Field<KeyKind>,
    ca: Field<PathBuf>,
}

impl AcmeForm {
    /// `said` is where the table stands, whatever is wrong with it.
    pub(super) fn read(said: Option<Span>, reader: Option<&Reader<'_>>, faults: &mut Faults) -> Self {
        Self {
            at: said,
            terms: get(reader, &keys::ACCEPT_TERMS, faults),
            directory: get(reader, &keys::DIRECTORY, faults),
            staging: get(reader, &keys::STAGING, faults),
            contact: get(reader, &keys::CONTACT, faults),
            folder: get(reader, &keys::FOLDER, faults),
            challenge: get(reader, &keys::CHALLENGE, faults),
            key: get(reader, &keys::KEY_KIND, faults),
            ca: get(reader, &keys::DIRECTORY_CA, faults),
        }
    }

    fn model(&self, faults: &mut Faults) -> Option<Acme> {
        if let Field::Set(false, at) = self.terms {
            let message = "[acme] does not accept the terms of service of the authority that it is to ask";
            let help =
                "write accept_terms = true once you have read them, or take [acme] and every `acme = [...]` away";
            faults.add(Fault::wrong(at, message).help(help));
        }
        let staging = self.staging.resolve(&keys::STAGING)?;
        if let (true, Some(at), Some(directory)) = (staging, self.staging.at(), self.directory.at()) {
            let message = "[acme] names a directory, and Let's Encrypt's for trials beside it";
            let help = "take `staging` or `directory` away; other authorities have directories for trials of their own";
            faults.add(Fault::wrong(at, message).also(directory, "the directory").help(help));
        }
        let usual = if staging { model::STAGING } else { model::PRODUCTION };
        if matches!(self.directory, Field::Faulty) || matches!(self.folder, Field::Faulty) {
            return None;
        }
        Some(Acme {
            directory: self.directory.value().map_or_else(|| usual.to_owned(), Clone::clone),
            contact: self.contact.resolve(&keys::CONTACT)?,
            folder: self.folder.value().map_or_else(|| FOLDER.into(), Clone::clone),
            challenge: self.challenge.resolve(&keys::CHALLENGE)?,
            key: self.key.resolve(&keys::KEY_KIND)?,
            ca: self.ca.value().cloned(),
        })
    }
}

/// What `[acme]` says; the certificates of the listeners that are got by it get their files. What is odd is added to the
/// warnings.
pub(super) fn check(
    form: &Form,
    (listeners, hosts): (&mut [Listener], &[Host]),
    faults: &mut Faults,
    warnings: &mut Vec<Fault>,
) -> Option<Option<Acme>> {
    let wanted = wanted(form);
    apart(&wanted, faults);
    let Some(at) = form.acme.at else {
        if let Some((_, _, at)) = wanted.first() {
            let message = "a certificate is to be got by ACME, and nothing says how";
            faults.add(Fault::wrong(*at, message).help("write at least:\n[acme]\naccept_terms = true"));
        }
        return Some(None);
    };
    if wanted.is_empty() {
        warnings.push(Fault::wrong(at, "no listener has a certificate that is got by ACME"));
    }
    let acme = form.acme.model(faults)?;
    let reads = |listener: &Listener| listener.tls.is_none() && listener.relay.is_none();
    let answers = |listener: &Listener| reads(listener) && listener.bind.iter().any(|bind| bind.ip().is_some());
    if acme.challenge == ChallengeKind::Http01 && !wanted.is_empty() && !listeners.iter().any(answers) {
        let at = form.acme.challenge.at().unwrap_or(at);
        let message = "the challenge http-01 is answered by a listener without TLS, and there is none";
        faults.add(Fault::wrong(at, message).help(
            "add a listener for port 80, which may have redirect = \"https\", or write challenge = \"tls-alpn-01\"",
        ));
    }
    for listener in listeners.iter_mut() {
        let Some(tls) = &mut listener.tls else { continue };
        let ours =
            wanted.iter().filter(|(owner, ..)| acme.challenge == ChallengeKind::TlsAlpn01 && *owner == listener.name);
        for (host, at) in ours.filter_map(|(_, names, at)| Some((barred(tls.clients.as_ref(), hosts, names)?, *at))) {
            let owner = host.map_or_else(
                || format!("listener {}", quote(&listener.name)),
                |host| format!("host {}", quote(&host.pattern.text())),
            );
            let message = format!(
                "{owner} requires certificates of clients: the authority has none to show when it looks by tls-alpn-01"
            );
            let help = "write challenge = \"http-01\" in [acme], or need = \"optional\" in `client_certificates`";
            faults.add(Fault::wrong(at, message).help(help));
        }
        for pair in tls.certificates.iter_mut().filter(|pair| !pair.names.is_empty()) {
            pair.cert = acme.file(&pair.names);
            pair.key.clone_from(&pair.cert);
        }
    }
    Some(Some(acme))
}

/// The host, or else the listener, that lets nobody ask for one of these names without a certificate.
fn barred<'a>(clients: Option<&ClientCertificates>, hosts: &'a [Host], names: &[String]) -> Option<Option<&'a Host>> {
    let requires = |clients: &ClientCertificates| clients.need == Need::Required;
    names.iter().find_map(|name| {
        let near = hosts.iter().filter_map(|host| Some((nearness(&host.pattern, name)?, host)));
        let host = near.max_by_key(|(near, _)| *near).map(|(_, host)| host);
        match host.and_then(|host| host.clients.as_ref()) {
            Some(rule) => rule.requires().then_some(host),
            None => clients.is_some_and(requires).then_some(None),
        }
    })
}

/// How near a pattern is that takes the name: the nearest host has it.
fn nearness(pattern: &HostPattern, name: &str) -> Option<usize> {
    match pattern {
        HostPattern::Exact(exact) => (exact == name).then_some(usize::MAX),
        HostPattern::Wildcard(behind) => name.strip_suffix(behind)?.ends_with('.').then_some(behind.len()),
        HostPattern::Any => Some(0),
    }
}

/// Each list of names that stands in the file, with the listener it is for.
fn wanted(form: &Form) -> Vec<(&str, &[String], Span)> {
    let mut wanted = Vec::new();
    for named in &form.listeners {
        let pairs = named.form.1.tls.certificates(&form.listen_defaults.tls);
        let ours = pairs.iter().filter(|(pair, _)| !pair.names.is_empty());
        wanted.extend(ours.map(|(pair, at)| (named.name.as_str(), pair.names.as_slice(), *at)));
    }
    wanted
}

/// One name is in one certificate; several listeners may have it.
fn apart(wanted: &[(&str, &[String], Span)], faults: &mut Faults) {
    let (mut seen, mut told) = (HashMap::new(), HashSet::new());
    for (listener, names, at) in wanted {
        for name in *names {
            let (owner, first, first_at) = *seen.entry(name.as_str()).or_insert((*listener, *names, *at));
            // It is the same place where a default is meant.
            let same = first == *names && (first_at == *at || owner != *listener);
            if same || !told.insert((first_at, *at)) {
                continue;
            }
            let message = format!("{} is in two certificates that are got by ACME", quote(name));
            let help = "a name belongs to one certificate: make one list of both, or take it out of one of them. Two listeners \
                        may have the same list";
            faults.add(Fault::wrong(*at, message).also(first_at, "the other one").help(help));
        }
    }
}

/// The lines of `[acme]`.
pub(super) fn lines(acme: &Acme) -> Lines {
    let mut lines = Lines::default();
    lines.add(&keys::ACCEPT_TERMS, &true);
    match acme.directory.as_str() {
        model::PRODUCTION => {}
        model::STAGING => lines.add(&keys::STAGING, &true),
        _ => lines.add(&keys::DIRECTORY, &acme.directory),
    }
    lines.add(&keys::CONTACT, &acme.contact);
    lines.add(&keys::FOLDER, &acme.folder);
    lines.add(&keys::CHALLENGE, &acme.challenge);
    lines.add(&keys::KEY_KIND, &acme.key);
    lines.add_some(&keys::DIRECTORY_CA, acme.ca.as_ref());
    lines
}

/// A certificate that is got, as the file has it before it has a file.
pub(super) fn pair(names: Vec<String>) -> Pair {
    Pair { cert: PathBuf::new(), key: PathBuf::new(), ocsp: None, names }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_are_asked_of_another_directory_and_kept_apart() {
        let listen = "[listen.s]\nbind = \"127.0.0.1:8443\"\ntls = [{ acme = [\"a.example\"] }]\n";
        let upstream = "[upstream.app]\nendpoints = [\"127.0.0.1:9000\"]\n";
        let host = "[host.\"*\"]\nroutes = [{ path = \"/*\", upstream = \"app\" }]\n";
        let read = |text: &str| crate::config::load_text("text", text).unwrap().model;
        let homes = [("", model::PRODUCTION), ("staging = true\n", model::STAGING)].map(|(line, directory)| {
            let model = read(&format!("[acme]\naccept_terms = true\n{line}{listen}{upstream}{host}"));
            assert_eq!(read(&crate::config::to_toml(&model)), model);
            let acme = model.acme.unwrap();
            assert_eq!(acme.directory, directory);
            acme.home()
        });
        assert_ne!(homes[0], homes[1]);
    }

    #[test]
    fn a_directory_can_be_asked_and_names_a_folder() {
        let long = |bytes: usize| format!("https://a.example/{}", "x".repeat(bytes - "https://a.example/".len()));
        for (text, good) in [
            (model::PRODUCTION, true),
            (model::STAGING, true),
            ("https://ca.internal:14000/dir?x=1", true),
            ("https://127.0.0.1:14000/dir", true),
            ("https://[::1]:14000/dir", true),
            ("https://localhost", true),
            (&long(URL_BYTES), true),
            (&long(URL_BYTES + 1), false),
            ("https://[x/dir", false),
            ("https://[x]/dir", false),
            ("https://[::1/dir", false),
            ("https://a.example:99999/dir", false),
            ("https://a.example:0/dir", false),
            ("https://a.example:/dir", false),
            ("https://a.example:x/dir", false),
            ("https://..", false),
            ("https://../dir", false),
            ("https://./", false),
            ("https:///dir", false),
            ("https://", false),
            ("https://who@a.example/dir", false),
            ("https://a.example/dir#x", false),
            ("https://a_b-.example/dir", false),
            ("https://1.2.3/dir", false),
            ("http://a.example/dir", false),
        ] {
            assert_eq!(is_directory(text), good, "{text}");
            assert!(!good || text.parse::<Uri>().is_ok(), "{text}");
        }
    }
}
