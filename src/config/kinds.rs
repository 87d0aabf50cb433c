//! The kinds of value that one key alone has: either-or values and lists. It refuses to know the rest of the file.

use std::collections::HashMap;
use std::path::Path;

use serde_json::json;

use super::key::Keys;
use super::key::Place;
use super::key::Reader;
use super::keys as process;
use super::keys::upstream as keys;
use super::kind::Address;
use super::kind::Kind;
use super::kind::pattern;
use super::kind::refuse;
use super::kind::string;
use super::report::Fault;
use super::report::Faults;
use super::report::Span;
use super::report::quote;
use super::schema;
use super::suggest::advice;
use super::tree::Node;
use super::tree::Value;
use super::write::Lines;
use crate::address;
use crate::model::AccessLog;
use crate::model::Cores;
use crate::model::Endpoint;
use crate::model::LogTarget;

/// "all", a count, or a list of CPU numbers.
pub(super) struct CoreChoice {
    pub(super) count_max: usize,
    pub(super) cpu_max: usize,
}

/// A word or an absolute path.
pub(super) struct LogTargets;

/// A log target alone, or a table with these keys.
pub(super) struct AccessLogs {
    pub(super) keys: Keys,
}

/// An address to listen on, or a list of them.
pub(super) struct Binds;

/// The permissions of a file as octal digits.
pub(super) struct Permissions;

/// A list of addresses alone, or tables with these keys.
pub(super) struct Endpoints {
    pub(super) keys: Keys,
}

/// A list of path patterns of files.
pub(super) struct Patterns;

// === impl CoreChoice ===

impl Kind for CoreChoice {
    type Value = Cores;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<Cores> {
        let accepted = self.accepted();
        match &node.value {
            Value::Text(word) if word == "all" => Some(Cores::All),
            Value::Text(word) => {
                let help = advice(word, &["all"], |_| format!("accepted: {accepted}"));
                faults.add(Fault::wrong(node.span, format!("{place} cannot be {}", quote(word))).help(help));
                None
            }
            Value::Integer(count) => {
                let count = usize::try_from(*count).ok().filter(|count| (1..=self.count_max).contains(count));
                if count.is_none() {
                    let message = format!("{place} is out of range");
                    faults.add(Fault::wrong(node.span, message).help(format!("accepted: {accepted}")));
                }
                count.map(Cores::Count)
            }
            Value::List(items) => self.list(node, items, place, faults),
            _ => {
                refuse(node, place, &accepted, faults);
                None
            }
        }
    }

    fn show(&self, value: &Cores) -> String {
        match value {
            Cores::All => string("all"),
            Cores::Count(count) => count.to_string(),
            Cores::List(cpus) => format!("{cpus:?}"),
        }
    }

    fn accepted(&self) -> String {
        format!("\"all\", a count from 1 to {}, or a list of CPU numbers such as [0, 1]", self.count_max)
    }

    fn schema(&self) -> serde_json::Value {
        let cpu = json!({ "type": "integer", "minimum": 0, "maximum": self.cpu_max });
        json!({ "anyOf": [
            { "const": "all" },
            { "type": "integer", "minimum": 1, "maximum": self.count_max },
            { "type": "array", "items": cpu, "minItems": 1, "uniqueItems": true },
            { "type": "string", "pattern": r"\$\{" },
        ]})
    }
}

impl CoreChoice {
    fn list(&self, node: &Node, items: &[Node], place: &Place<'_>, faults: &mut Faults) -> Option<Cores> {
        if items.is_empty() {
            faults.add(Fault::wrong(node.span, format!("{place} names no CPU")).help("write \"all\" for all of them"));
            return None;
        }
        let mut seen: HashMap<usize, Span> = HashMap::new();
        let mut cpus = Vec::with_capacity(items.len());
        for item in items {
            let kind = super::kind::Integer { min: 0, max: self.cpu_max };
            let Some(cpu) = kind.read(item, place, faults) else { continue };
            if let Some(first) = seen.insert(cpu, item.span) {
                faults.add(
                    Fault::wrong(item.span, format!("CPU {cpu} is listed twice")).also(first, "first listed here"),
                );
            }
            cpus.push(cpu);
        }
        (cpus.len() == items.len() && seen.len() == items.len()).then_some(Cores::List(cpus))
    }
}

// === impl LogTargets ===

impl Kind for LogTargets {
    type Value = LogTarget;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<LogTarget> {
        let Value::Text(written) = &node.value else {
            refuse(node, place, &self.accepted(), faults);
            return None;
        };
        match written.as_str() {
            "stdout" => Some(LogTarget::Stdout),
            "stderr" => Some(LogTarget::Stderr),
            "off" => Some(LogTarget::Off),
            path if path.starts_with('/') && !path.ends_with('/') && !path.contains('\0') => {
                Some(LogTarget::File(Path::new(path).to_path_buf()))
            }
            other => {
                let words = ["stdout", "stderr", "off"];
                let help = advice(other, &words, |_| format!("accepted: {}", self.accepted()));
                faults.add(Fault::wrong(node.span, format!("{place} cannot be {}", quote(other))).help(help));
                None
            }
        }
    }

    fn show(&self, value: &LogTarget) -> String {
        match value {
            LogTarget::Off => string("off"),
            LogTarget::Stdout => string("stdout"),
            LogTarget::Stderr => string("stderr"),
            LogTarget::File(path) => string(&path.to_string_lossy()),
        }
    }

    fn accepted(&self) -> String {
        "\"stdout\", \"stderr\", \"off\", or the absolute path of a file".into()
    }

    fn schema(&self) -> serde_json::Value {
        pattern(r"(stdout|stderr|off|/.*[^/])")
    }
}

// === impl AccessLogs ===

impl Kind for AccessLogs {
    type Value = AccessLog;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<AccessLog> {
        let format = process::LOG_FORMAT.default()?;
        match &node.value {
            Value::Text(_) => LogTargets.read(node, place, faults).map(|to| AccessLog { to, format }),
            Value::Table(_) => {
                let owner = place.to_string();
                let reader = Reader::open(node, &owner, self.keys, faults)?;
                let (to, format) = (reader.get(&process::LOG_TO, faults), reader.get(&process::LOG_FORMAT, faults));
                Some(AccessLog { to: to.resolve(&process::LOG_TO)?, format: format.resolve(&process::LOG_FORMAT)? })
            }
            _ => {
                refuse(node, place, &self.accepted(), faults);
                None
            }
        }
    }

    fn show(&self, value: &AccessLog) -> String {
        let to = LogTargets.show(&value.to);
        if process::LOG_FORMAT.default() == Some(value.format) {
            return to;
        }
        format!("{{ to = {to}, format = {} }}", process::LOG_FORMAT.kind.show(&value.format))
    }

    fn accepted(&self) -> String {
        format!("{}; or a table of to, format", LogTargets.accepted())
    }

    fn schema(&self) -> serde_json::Value {
        json!({ "anyOf": [LogTargets.schema(), schema::table(self.keys)] })
    }

    fn parts(&self) -> Option<Keys> {
        Some(self.keys)
    }
}

// === impl Binds ===

impl Kind for Binds {
    /// Each with its place.
    type Value = Vec<(address::Address, Span)>;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<Self::Value> {
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            Value::Text(_) => std::slice::from_ref(node),
            _ => {
                refuse(node, place, &self.accepted(), faults);
                return None;
            }
        };
        if items.is_empty() {
            let message = format!("{} has no address", place.owner);
            faults.add(Fault::wrong(node.span, message).help("write at least one, such as \"127.0.0.1:8080\""));
            return None;
        }
        let mut binds: Self::Value = Vec::with_capacity(items.len());
        let mut seen: HashMap<address::Address, Span> = HashMap::new();
        for item in items {
            let Some(address) = Address::Listen.read(item, place, faults) else { continue };
            if let Some(first) = seen.get(&address) {
                let message = format!("{address} is listed twice in {}", place.owner);
                faults.add(Fault::wrong(item.span, message).also(*first, "first listed here"));
                continue;
            }
            seen.insert(address.clone(), item.span);
            binds.push((address, item.span));
        }
        (binds.len() == items.len()).then_some(binds)
    }

    fn show(&self, value: &Self::Value) -> String {
        let shown: Vec<String> = value.iter().map(|(address, _)| Address::Listen.show(address)).collect();
        if let [one] = shown.as_slice() { one.clone() } else { format!("[{}]", shown.join(", ")) }
    }

    fn accepted(&self) -> String {
        format!("{}; or a list of them", Address::Listen.accepted())
    }

    fn schema(&self) -> serde_json::Value {
        let one = Address::Listen.schema();
        json!({ "anyOf": [one, { "type": "array", "minItems": 1, "items": one }] })
    }
}

// === impl Permissions ===

impl Kind for Permissions {
    type Value = u32;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<u32> {
        let Value::Text(written) = &node.value else {
            refuse(node, place, &self.accepted(), faults);
            return None;
        };
        let digits = written.strip_prefix('0').unwrap_or(written);
        let octal = digits.len() == 3 && digits.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
        let mode = u32::from_str_radix(digits, 8).ok().filter(|_| octal);
        if mode.is_none() {
            let message = format!("{place} cannot be {}", quote(written));
            faults.add(Fault::wrong(node.span, message).help(format!("accepted: {}", self.accepted())));
        }
        mode
    }

    fn show(&self, value: &u32) -> String {
        string(&format!("{value:04o}"))
    }

    fn accepted(&self) -> String {
        "permissions as octal digits, from \"0000\" to \"0777\"".into()
    }

    fn schema(&self) -> serde_json::Value {
        pattern("0?[0-7]{3}")
    }
}

// === impl Endpoints ===

impl Kind for Endpoints {
    type Value = Vec<Endpoint>;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<Vec<Endpoint>> {
        let Value::List(items) = &node.value else {
            refuse(node, place, &self.accepted(), faults);
            return None;
        };
        if items.is_empty() {
            let message = format!("{} has no endpoint", place.owner);
            faults.add(Fault::wrong(node.span, message).help("write at least one, such as \"10.0.0.11:8080\""));
            return None;
        }
        let mut seen: HashMap<address::Address, Span> = HashMap::new();
        let mut endpoints = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let owner = format!("endpoint {} of {}", index + 1, place.owner);
            let Some(endpoint) = self.endpoint(item, &owner, faults) else { continue };
            if let Some(first) = seen.get(&endpoint.address) {
                let message = format!("endpoint {} is listed twice in {}", endpoint.address, place.owner);
                faults.add(
                    Fault::wrong(item.span, message)
                        .also(*first, "first listed here")
                        .help("give it a weight if it is to take a larger share"),
                );
                continue;
            }
            seen.insert(endpoint.address.clone(), item.span);
            endpoints.push(endpoint);
        }
        (endpoints.len() == items.len()).then_some(endpoints)
    }

    fn show(&self, value: &Vec<Endpoint>) -> String {
        let shown: Vec<String> = value
            .iter()
            .map(|endpoint| {
                let mut lines = Lines::default();
                lines.add(&keys::WEIGHT, &endpoint.weight);
                lines.add_some(&keys::ZONE, endpoint.zone.as_ref());
                lines.add(&keys::PRIORITY, &endpoint.priority);
                let address = Address::Connect.show(&endpoint.address);
                if lines.is_empty() { address } else { lines.inline_after(&keys::ENDPOINT_ADDRESS, &endpoint.address) }
            })
            .collect();
        format!("[{}]", shown.join(", "))
    }

    fn accepted(&self) -> String {
        "a list, each \"ADDRESS:PORT\", \"unix:/PATH\" or a table of address, weight, zone, priority".into()
    }

    fn schema(&self) -> serde_json::Value {
        let item = json!({ "anyOf": [Address::Connect.schema(), schema::table(self.keys)] });
        json!({ "type": "array", "minItems": 1, "items": item })
    }

    fn parts(&self) -> Option<Keys> {
        Some(self.keys)
    }
}

impl Endpoints {
    fn endpoint(&self, item: &Node, owner: &str, faults: &mut Faults) -> Option<Endpoint> {
        if matches!(item.value, Value::Table(_)) {
            let reader = Reader::open(item, owner, self.keys, faults)?;
            let address = reader.get(&keys::ENDPOINT_ADDRESS, faults);
            let weight = reader.get(&keys::WEIGHT, faults);
            let zone = reader.get(&keys::ZONE, faults);
            let priority = reader.get(&keys::PRIORITY, faults);
            return Some(Endpoint {
                address: address.resolve(&keys::ENDPOINT_ADDRESS)?,
                weight: weight.resolve(&keys::WEIGHT)?,
                zone: zone.value().cloned(),
                priority: priority.resolve(&keys::PRIORITY)?,
            });
        }
        let place = Place { key: keys::ENDPOINT_ADDRESS.name, owner };
        Self::plain(Address::Connect.read(item, &place, faults)?)
    }

    /// An endpoint of which nothing but its address is said; nothing only if a key had no default.
    pub(super) fn plain(address: address::Address) -> Option<Endpoint> {
        Some(Endpoint { address, weight: keys::WEIGHT.default()?, zone: None, priority: keys::PRIORITY.default()? })
    }
}

// === impl Patterns ===

impl Kind for Patterns {
    /// Each with its place.
    type Value = Vec<(String, Span)>;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<Self::Value> {
        let Value::List(items) = &node.value else {
            refuse(node, place, &self.accepted(), faults);
            return None;
        };
        let mut patterns = Vec::with_capacity(items.len());
        for item in items {
            match &item.value {
                Value::Text(pattern) => patterns.push((pattern.clone(), item.span)),
                _ => refuse(item, place, &self.accepted(), faults),
            }
        }
        Some(patterns)
    }

    fn show(&self, value: &Self::Value) -> String {
        let shown: Vec<String> = value.iter().map(|(pattern, _)| string(pattern)).collect();
        format!("[{}]", shown.join(", "))
    }

    fn accepted(&self) -> String {
        "a list of strings such as \"conf.d/*.toml\"".into()
    }

    fn schema(&self) -> serde_json::Value {
        json!({ "type": "array", "items": { "type": "string" } })
    }
}
