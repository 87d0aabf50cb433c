//! The kinds of text that have a grammar of their own: networks and the `Server` field. It refuses to know who is trusted
//! with what, and what is answered.

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use ipnet::IpNet;
use serde_json::json;

use super::key::Place;
use super::kind::Kind;
use super::kind::pattern;
use super::kind::refuse;
use super::kind::string;
use super::report::Fault;
use super::report::Faults;
use super::report::Span;
use super::report::quote;
use super::tree::Node;
use super::tree::Value;
use crate::address;
use crate::address::Networks;
use crate::model::Server;

/// A list of networks, addresses, and the word "unix".
pub(super) struct NetworkList;

/// A word, or the text of a field.
pub(super) struct Servers;

// === impl NetworkList ===

impl Kind for NetworkList {
    type Value = Networks;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<Networks> {
        let Value::List(items) = &node.value else {
            refuse(node, place, &self.accepted(), faults);
            return None;
        };
        let mut networks = Networks::default();
        let mut seen: HashMap<Option<IpNet>, Span> = HashMap::new();
        let mut faulty = false;
        for item in items {
            let Some(network) = one(item, place, faults) else {
                faulty = true;
                continue;
            };
            if let Some(first) = seen.insert(network, item.span) {
                let message = format!("{place}: {} is listed twice", quote(&show(network)));
                faults.add(Fault::wrong(item.span, message).also(first, "first listed here"));
                faulty = true;
            }
            match network {
                Some(network) => networks.list.push(network),
                None => networks.unix = true,
            }
        }
        (!faulty).then_some(networks)
    }

    fn show(&self, value: &Networks) -> String {
        let unix = value.unix.then_some(None);
        let shown: Vec<String> =
            value.list.iter().copied().map(Some).chain(unix).map(|one| string(&show(one))).collect();
        format!("[{}]", shown.join(", "))
    }

    fn accepted(&self) -> String {
        "a list, each a network (\"10.0.0.0/8\", \"fd00::/8\"), an address (\"192.168.1.7\") or \"unix\"".into()
    }

    fn schema(&self) -> serde_json::Value {
        json!({ "type": "array", "items": { "type": "string" }, "uniqueItems": true })
    }
}

/// One entry: a network, or nothing for "unix"; no entry after a fault.
fn one(item: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<Option<IpNet>> {
    let Value::Text(written) = &item.value else {
        refuse(item, place, ONE_NETWORK, faults);
        return None;
    };
    if written == UNIX {
        return Some(None);
    }
    let (reason, help) = match address::network(written) {
        Some(IpNet::V6(network)) if mapped(network.addr()).is_some() => {
            ("is an IPv4 network written as IPv6", mapped_advice(network.addr(), network.prefix_len()))
        }
        Some(network) if network.trunc() == network => return Some(Some(network)),
        Some(network) => {
            let (whole, alone) = (network.trunc(), network.addr());
            ("has bits behind its prefix", format!("write \"{whole}\" for the network, or \"{alone}\" for the address"))
        }
        None => ("is not a network", network_advice(written)),
    };
    faults.add(Fault::wrong(item.span, format!("{place}: {} {reason}", quote(written))).help(help));
    None
}

fn show(network: Option<IpNet>) -> String {
    match network {
        Some(network) if network.prefix_len() == network.max_prefix_len() => network.addr().to_string(),
        Some(network) => network.to_string(),
        None => UNIX.into(),
    }
}

/// The IPv4 address that it is another way to write.
fn mapped(address: Ipv6Addr) -> Option<IpAddr> {
    address.to_ipv4_mapped().map(IpAddr::V4)
}

/// Peers are compared as what they mean, so that such a network would hold nobody.
fn mapped_advice(address: Ipv6Addr, prefix: u8) -> String {
    let network = mapped(address).zip(prefix.checked_sub(96)).and_then(|(ip, prefix)| IpNet::new(ip, prefix).ok());
    match network {
        Some(network) => format!("write \"{}\"", show(Some(network.trunc()))),
        None => format!("accepted: {ONE_NETWORK}"),
    }
}

fn network_advice(written: &str) -> String {
    if ["*", "all", "any"].contains(&written.to_ascii_lowercase().as_str()) {
        return "for everyone write \"0.0.0.0/0\" and \"::/0\"".into();
    }
    if written.get(..UNIX.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(UNIX)) {
        return "the word \"unix\" stands for every Unix socket".into();
    }
    if let Ok(address) = written.parse::<SocketAddr>() {
        return format!("a network has no port: write \"{}\"", address.ip());
    }
    let bare: String = written.chars().filter(|c| !matches!(c, '[' | ']')).collect();
    if bare != written && address::network(&bare).is_some() {
        return format!("a network has no brackets: write \"{bare}\"");
    }
    match written.split_once('/').map(|(address, _)| address.parse()) {
        Some(Ok(IpAddr::V4(_))) => "after the slash stands a number from 0 to 32".into(),
        Some(Ok(IpAddr::V6(_))) => "after the slash stands a number from 0 to 128".into(),
        _ => format!("accepted: {ONE_NETWORK}; names are not resolved"),
    }
}

/// The word for whoever is on this machine.
const UNIX: &str = "unix";
/// What one entry may be.
const ONE_NETWORK: &str = "a network (\"10.0.0.0/8\", \"fd00::/8\"), an address (\"192.168.1.7\") or \"unix\"";

// === impl Servers ===

impl Kind for Servers {
    type Value = Server;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<Server> {
        let Value::Text(written) = &node.value else {
            refuse(node, place, &self.accepted(), faults);
            return None;
        };
        let help = match SERVER_WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(written)) {
            Some((word, value)) if word == written => return Some(value.clone()),
            Some((word, _)) => format!("did you mean {}?", quote(word)),
            None if is_value(written) => return Some(Server::Set(written.clone())),
            None => format!("accepted: {}", self.accepted()),
        };
        faults.add(Fault::wrong(node.span, format!("{place} cannot be {}", quote(written))).help(help));
        None
    }

    fn show(&self, value: &Server) -> String {
        let word = SERVER_WORDS.iter().find(|(_, one)| one == value).map(|(word, _)| *word);
        match (word, value) {
            (None, Server::Set(text)) => string(text),
            (word, _) => string(word.unwrap_or_default()),
        }
    }

    fn accepted(&self) -> String {
        format!("\"pass\", \"off\", or a text of 1 to {SERVER_BYTES} visible ASCII characters and spaces between them")
    }

    fn schema(&self) -> serde_json::Value {
        pattern(&format!("[!-~]([ -~]{{0,{}}}[!-~])?", SERVER_BYTES - 2))
    }
}

/// A field value (RFC 9110 §5.5) of nothing but ASCII.
fn is_value(text: &str) -> bool {
    let visible = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    visible && text.trim() == text && (1..=SERVER_BYTES).contains(&text.len())
}

/// What is not taken as the text itself.
const SERVER_WORDS: [(&str, Server); 2] = [("pass", Server::Pass), ("off", Server::Off)];
/// Bytes of a `Server` field of the operator's: it goes with every response.
const SERVER_BYTES: usize = 100;
