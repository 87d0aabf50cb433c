//! What a value may be: for each kind how it is read, how it is written, what is accepted, and its JSON schema. It
//! refuses to know which keys there are.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;

use super::env::escape;
use super::key::Keys;
use super::key::Place;
use super::report::Fault;
use super::report::Faults;
use super::report::quote;
use super::suggest::advice;
use super::tree::Node;
use super::tree::Value;
use super::unit;
use crate::address;
use crate::address::Unfit;

/// One kind of value.
pub(super) trait Kind: Sync {
    /// What it is in the model.
    type Value: Clone + PartialEq + Sync + 'static;

    /// The value, or nothing after a fault.
    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<Self::Value>;
    /// The value as TOML that `read` takes.
    fn show(&self, value: &Self::Value) -> String;
    /// What is accepted, as it follows "accepted:".
    fn accepted(&self) -> String;
    /// Its JSON schema.
    fn schema(&self) -> serde_json::Value;
    /// The keys of the tables that it may be or hold.
    fn parts(&self) -> Option<Keys> {
        None
    }
}

/// Whole numbers of the model.
pub(super) trait Whole:
    Copy + PartialEq + PartialOrd + std::fmt::Display + Sync + TryFrom<i128> + 'static
{
}

impl Whole for u8 {}
impl Whole for u16 {}
impl Whole for u32 {}
impl Whole for u64 {}
impl Whole for usize {}

/// A whole number from `min` to `max`, both included.
pub(super) struct Integer<T> {
    pub(super) min: T,
    pub(super) max: T,
}

/// A power of two from `min` to `max`, both included.
pub(super) struct PowerOfTwo {
    pub(super) min: u32,
    pub(super) max: u32,
}

/// True or false.
pub(super) struct Switch;

/// A string such as "250ms", from `min` to `max`, both included.
pub(super) struct Time {
    pub(super) min: Duration,
    pub(super) max: Duration,
}

/// A string such as "16KiB", from `min` to `max` bytes, both included.
pub(super) struct Bytes<T> {
    pub(super) min: T,
    pub(super) max: T,
}

/// One of a few words.
pub(super) struct Words<T: 'static> {
    pub(super) words: &'static [(&'static str, T)],
}

/// A string "ADDRESS:PORT" or "unix:/PATH".
pub(super) enum Address {
    /// To listen on: port 0 lets the kernel choose, ":PORT" is every IPv4 address.
    Listen,
    /// To connect to.
    Connect,
}

/// A string "ADDRESS:PORT" to listen on, and no Unix socket.
pub(super) struct TcpAddress;

/// Says that the value is none of this kind.
pub(super) fn refuse(node: &Node, place: &Place<'_>, accepted: &str, faults: &mut Faults) {
    if !matches!(node.value, Value::Faulty) {
        faults.add(
            Fault::wrong(node.span, format!("{place} cannot be {}", node.value.noun()))
                .help(format!("accepted: {accepted}")),
        );
    }
}

/// A TOML string that reads back as `text`.
pub(super) fn string(text: &str) -> String {
    toml::Value::String(escape(text)).to_string()
}

/// Strings that match, or that an environment variable fills in.
pub(super) fn pattern(pattern: &str) -> serde_json::Value {
    json!({ "type": "string", "anyOf": [{ "pattern": format!("^{pattern}$") }, { "pattern": r"\$\{" }] })
}

fn out_of_range(node: &Node, place: &Place<'_>, accepted: &str, faults: &mut Faults) {
    faults.add(Fault::wrong(node.span, format!("{place} is out of range")).help(format!("accepted: {accepted}")));
}

// === impl Integer ===

impl<T: Whole> Kind for Integer<T> {
    type Value = T;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<T> {
        let Value::Integer(written) = node.value else {
            refuse(node, place, &self.accepted(), faults);
            return None;
        };
        let value = T::try_from(written).ok().filter(|value| (self.min..=self.max).contains(value));
        if value.is_none() {
            out_of_range(node, place, &self.accepted(), faults);
        }
        value
    }

    fn show(&self, value: &T) -> String {
        value.to_string()
    }

    fn accepted(&self) -> String {
        format!("a whole number from {} to {}", self.min, self.max)
    }

    fn schema(&self) -> serde_json::Value {
        json!({ "type": "integer", "minimum": number(&self.min), "maximum": number(&self.max) })
    }
}

fn number(whole: &impl Whole) -> serde_json::Value {
    serde_json::from_str(&whole.to_string()).unwrap_or_default()
}

// === impl PowerOfTwo ===

impl Kind for PowerOfTwo {
    type Value = u32;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<u32> {
        let value = Integer { min: self.min, max: self.max }.read(node, place, faults)?;
        if !value.is_power_of_two() {
            let near = [value.next_power_of_two() / 2, value.next_power_of_two()].map(|power| power.to_string());
            faults.add(
                Fault::wrong(node.span, format!("{place} must be a power of two"))
                    .help(format!("the nearest are {}", near.join(" and "))),
            );
            return None;
        }
        Some(value)
    }

    fn show(&self, value: &u32) -> String {
        value.to_string()
    }

    fn accepted(&self) -> String {
        format!("a power of two from {} to {}", self.min, self.max)
    }

    fn schema(&self) -> serde_json::Value {
        let powers: Vec<u32> = (0..32).map(|shift| 1 << shift).filter(|p| (self.min..=self.max).contains(p)).collect();
        json!({ "enum": powers })
    }
}

// === impl Switch ===

impl Kind for Switch {
    type Value = bool;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<bool> {
        match &node.value {
            Value::Boolean(value) => return Some(*value),
            Value::Text(written) if matches!(written.as_str(), "true" | "false") => {
                let help = format!("it stands without quotes: {written}");
                faults.add(Fault::wrong(node.span, format!("{place} cannot be a string")).help(help));
            }
            _ => refuse(node, place, &self.accepted(), faults),
        }
        None
    }

    fn show(&self, value: &bool) -> String {
        value.to_string()
    }

    fn accepted(&self) -> String {
        "true or false".into()
    }

    fn schema(&self) -> serde_json::Value {
        json!({ "type": "boolean" })
    }
}

// === impl Time ===

impl Kind for Time {
    type Value = Duration;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<Duration> {
        let written = match &node.value {
            Value::Text(text) => text,
            Value::Integer(number) if *number >= 0 => {
                let help = format!("durations carry a unit: write \"{number}s\", or use us, ms, m, h");
                faults.add(Fault::wrong(node.span, format!("{place} has no unit")).help(help));
                return None;
            }
            _ => {
                refuse(node, place, &self.accepted(), faults);
                return None;
            }
        };
        match unit::duration(written) {
            Err(unit::Refusal { help }) => {
                let message = format!("{place}: {} is not a duration", quote(written));
                faults.add(Fault::wrong(node.span, message).help(help.unwrap_or_else(|| DURATION.into())));
                None
            }
            Ok(value) if (self.min..=self.max).contains(&value) => Some(value),
            Ok(_) => {
                out_of_range(node, place, &self.accepted(), faults);
                None
            }
        }
    }

    fn show(&self, value: &Duration) -> String {
        string(&unit::show_duration(*value))
    }

    fn accepted(&self) -> String {
        format!("a duration from {} to {}", self.show(&self.min), self.show(&self.max))
    }

    fn schema(&self) -> serde_json::Value {
        pattern(r"[0-9]+(\.[0-9]+)?(us|ms|s|m|h)")
    }
}

/// What a duration looks like.
const DURATION: &str = "write a number and a unit, such as \"250ms\", \"10s\", \"5m\" or \"1h\"";

// === impl Bytes ===

impl<T: Whole> Kind for Bytes<T> {
    type Value = T;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<T> {
        let written = match &node.value {
            Value::Text(text) => text,
            Value::Integer(number) if *number >= 0 => {
                let help = format!("sizes carry a unit: write \"{number}B\", or use KiB, MiB, GiB, KB, MB, GB");
                faults.add(Fault::wrong(node.span, format!("{place} has no unit")).help(help));
                return None;
            }
            _ => {
                refuse(node, place, &self.accepted(), faults);
                return None;
            }
        };
        match unit::bytes(written) {
            Err(unit::Refusal { help }) => {
                let message = format!("{place}: {} is not a size", quote(written));
                faults.add(Fault::wrong(node.span, message).help(help.unwrap_or_else(|| SIZE.into())));
                None
            }
            Ok(bytes) => {
                let value = T::try_from(i128::from(bytes)).ok().filter(|value| (self.min..=self.max).contains(value));
                if value.is_none() {
                    out_of_range(node, place, &self.accepted(), faults);
                }
                value
            }
        }
    }

    fn show(&self, value: &T) -> String {
        string(&shown(value))
    }

    fn accepted(&self) -> String {
        format!("a size from {} to {}", self.show(&self.min), self.show(&self.max))
    }

    fn schema(&self) -> serde_json::Value {
        pattern(r"[0-9]+(\.[0-9]+)?(B|KiB|MiB|GiB|KB|MB|GB)")
    }
}

fn shown(bytes: &impl Whole) -> String {
    unit::show_bytes(bytes.to_string().parse().unwrap_or(u64::MAX))
}

/// What a size looks like.
const SIZE: &str = "write a number and a unit, such as \"512B\", \"16KiB\" or \"10MB\"";

// === impl Words ===

impl<T: Clone + PartialEq + Sync + 'static> Kind for Words<T> {
    type Value = T;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<T> {
        let Value::Text(written) = &node.value else {
            refuse(node, place, &self.accepted(), faults);
            return None;
        };
        let found = self.words.iter().find(|(word, _)| word == written);
        if found.is_none() {
            let words: Vec<&str> = self.words.iter().map(|(word, _)| *word).collect();
            faults.add(Fault::wrong(node.span, format!("{place} cannot be {}", quote(written))).help(advice(
                written,
                &words,
                |_| format!("accepted: {}", self.accepted()),
            )));
        }
        found.map(|(_, value)| value.clone())
    }

    fn show(&self, value: &T) -> String {
        string(self.words.iter().find(|(_, one)| one == value).map_or("", |(word, _)| word))
    }

    fn accepted(&self) -> String {
        let words: Vec<String> = self.words.iter().map(|(word, _)| quote(word)).collect();
        words.join(", ")
    }

    fn schema(&self) -> serde_json::Value {
        let words: Vec<&str> = self.words.iter().map(|(word, _)| *word).collect();
        json!({ "type": "string", "anyOf": [{ "enum": words }, { "pattern": r"\$\{" }] })
    }
}

// === impl Address ===

impl Kind for Address {
    type Value = address::Address;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<Self::Value> {
        let Value::Text(written) = &node.value else {
            refuse(node, place, &self.accepted(), faults);
            return None;
        };
        match self.parse(written) {
            Ok(address) => Some(address),
            Err(help) => {
                let what = if written.starts_with("unix:") { "no Unix socket" } else { "not an address with a port" };
                faults.add(Fault::wrong(node.span, format!("{place}: {} is {what}", quote(written))).help(help));
                None
            }
        }
    }

    fn show(&self, value: &Self::Value) -> String {
        string(&value.to_string())
    }

    fn accepted(&self) -> String {
        match self {
            Self::Listen => {
                "\"ADDRESS:PORT\", \"[IPv6]:PORT\", \":PORT\" for every IPv4 address, or \"unix:/PATH\"".into()
            }
            Self::Connect => "\"ADDRESS:PORT\", \"[IPv6]:PORT\" or \"unix:/PATH\"".into(),
        }
    }

    fn schema(&self) -> serde_json::Value {
        json!({ "type": "string" })
    }
}

impl Address {
    fn parse(&self, written: &str) -> Result<address::Address, String> {
        let port_alone = written.strip_prefix(':').filter(|_| matches!(self, Self::Listen));
        if let Some(port) = port_alone.and_then(|port| port.parse().ok()) {
            return Ok(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into());
        }
        match written.parse::<address::Address>() {
            Ok(address) if address.is_open() && matches!(self, Self::Connect) => {
                Err("port 0 cannot be connected to".into())
            }
            Ok(address) => Ok(address),
            Err(Unfit::Form) => Err(self.advice(written)),
            Err(Unfit::Path) => Err("write the absolute path of a file, such as \"unix:/run/app.sock\"".into()),
            Err(Unfit::Long) => Err(format!("a socket's path has at most {} bytes", address::PATH_BYTES)),
            Err(Unfit::Control) => Err("a socket's path has no control characters".into()),
        }
    }

    fn advice(&self, written: &str) -> String {
        if let Some((_, rest)) = written.split_once("://") {
            let authority = rest.split('/').next().unwrap_or_default();
            return match self.parse(authority) {
                Ok(address) => format!("an address has no scheme and no path: write \"{address}\""),
                Err(help) => help,
            };
        }
        match written.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) => return format!("the port is missing: \"{address}:8080\""),
            Ok(IpAddr::V6(address)) => return format!("the port is missing: \"[{address}]:8080\""),
            Err(_) => {}
        }
        if written.starts_with('/') {
            return format!("a Unix socket begins with unix: as in {}", quote(&format!("unix:{written}")));
        }
        match written.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_err() => {
                format!("the port after {} is a number from 0 to 65535", quote(host))
            }
            Some((host, port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => {
                format!("an IPv6 address stands in brackets: \"[{host}]:{port}\"")
            }
            Some((host, port)) if looks_like_a_name(host) => {
                format!(
                    "names are not resolved: write the IP address of {} and the port, such as \"10.0.0.11:{port}\"",
                    quote(host)
                )
            }
            None if looks_like_a_name(written) => {
                "names are not resolved: write an IP address and a port, such as \"10.0.0.11:8080\"".into()
            }
            _ => format!("accepted: {}", self.accepted()),
        }
    }
}

// === impl TcpAddress ===

impl Kind for TcpAddress {
    type Value = SocketAddr;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<SocketAddr> {
        let unix = matches!(&node.value, Value::Text(written) if written.starts_with("unix:"));
        if unix {
            let help = format!("accepted: {}", self.accepted());
            faults.add(Fault::wrong(node.span, format!("{place} cannot be a Unix socket")).help(help));
            return None;
        }
        if !matches!(node.value, Value::Text(_)) {
            refuse(node, place, &self.accepted(), faults);
            return None;
        }
        Address::Listen.read(node, place, faults)?.ip()
    }

    fn show(&self, value: &SocketAddr) -> String {
        string(&value.to_string())
    }

    fn accepted(&self) -> String {
        "\"ADDRESS:PORT\", \"[IPv6]:PORT\" or \":PORT\" for every IPv4 address".into()
    }

    fn schema(&self) -> serde_json::Value {
        json!({ "type": "string" })
    }
}

fn looks_like_a_name(host: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    host.bytes().all(letter) && host.bytes().any(|byte| byte.is_ascii_alphabetic())
}
