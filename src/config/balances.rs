//! The kinds that `balance` is made of. It refuses to know how an endpoint is chosen.

use serde_json::json;

use super::key::Keys;
use super::key::Place;
use super::key::Reader;
use super::keys::upstream as keys;
use super::kind::Kind;
use super::kind::Words;
use super::kind::refuse;
use super::kind::string;
use super::plain::NAME_BYTES;
use super::plain::is_token;
use super::report::Fault;
use super::report::Faults;
use super::report::Span;
use super::report::quote;
use super::schema;
use super::suggest::advice;
use super::tree::Node;
use super::tree::Value;
use super::write::Lines;
use crate::model::Balance;
use crate::model::HashKey;
use crate::model::Hashing;

/// A word alone, or a table with these keys.
pub(super) struct Balances {
    pub(super) keys: Keys,
}

/// A key of a request, or a list of them.
pub(super) struct HashKeys;

/// "off" for 0, or a number from 1 with at most two digits after the point; held in hundredths.
pub(super) struct Factor {
    pub(super) max_percent: u32,
}

const WORDS: Words<Balance> = Words {
    words: &[
        ("latency", Balance::Latency),
        ("least_request", Balance::LeastRequest),
        ("round_robin", Balance::RoundRobin),
        ("random", Balance::Random),
    ],
};

// === impl Balances ===

impl Kind for Balances {
    type Value = Balance;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<Balance> {
        match &node.value {
            Value::Text(word) if word == "hash" => {
                let help = "say what is hashed: { hash = \"header:x-customer\" }";
                faults.add(Fault::wrong(node.span, format!("{place} cannot be {}", quote(word))).help(help));
                None
            }
            Value::Text(_) => WORDS.read(node, place, faults),
            Value::Table(_) => {
                let owner = place.to_string();
                let reader = Reader::open(node, &owner, self.keys, faults)?;
                let hash = reader.get(&keys::HASH, faults);
                let table = reader.get(&keys::HASH_TABLE, faults);
                let bound = reader.get(&keys::BOUND, faults);
                Some(Balance::Hash(Hashing {
                    keys: hash.resolve(&keys::HASH)?,
                    table: table.resolve(&keys::HASH_TABLE)?,
                    bound_percent: bound.resolve(&keys::BOUND)?,
                }))
            }
            _ => {
                refuse(node, place, &self.accepted(), faults);
                None
            }
        }
    }

    fn show(&self, value: &Balance) -> String {
        let Balance::Hash(hashing) = value else { return WORDS.show(value) };
        let mut lines = Lines::default();
        lines.add(&keys::HASH, &hashing.keys);
        lines.add(&keys::HASH_TABLE, &hashing.table);
        lines.add(&keys::BOUND, &hashing.bound_percent);
        lines.inline()
    }

    fn accepted(&self) -> String {
        let names: Vec<&str> = self.keys.iter().map(|key| key.name()).collect();
        format!("{}, or a table of {}", WORDS.accepted(), names.join(", "))
    }

    fn schema(&self) -> serde_json::Value {
        json!({ "anyOf": [WORDS.schema(), schema::table(self.keys)] })
    }

    fn parts(&self) -> Option<Keys> {
        Some(self.keys)
    }
}

// === impl HashKeys ===

/// Keys in one list.
const KEYS_MAX: usize = 8;
/// Parts of a path that may be named.
const CAPTURES: u32 = 64;
/// What may be hashed, as it is written.
const SORTS: [&str; 7] = ["header", "cookie", "query", "path", "client", "certificate", "capture"];
const ONE_KEY: &str =
    "\"header:NAME\", \"cookie:NAME\", \"query:NAME\", \"path\", \"client\", \"certificate\" or \"capture:N\"";

impl Kind for HashKeys {
    type Value = Vec<HashKey>;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<Vec<HashKey>> {
        let items = match &node.value {
            Value::List(items) => items.as_slice(),
            Value::Text(_) => std::slice::from_ref(node),
            _ => {
                refuse(node, place, &self.accepted(), faults);
                return None;
            }
        };
        if items.is_empty() || items.len() > KEYS_MAX {
            let message = format!("{place} has {} keys", items.len());
            faults.add(Fault::wrong(node.span, message).help(format!("accepted: 1 to {KEYS_MAX} of them")));
            return None;
        }
        let mut seen: Vec<(HashKey, Span)> = Vec::with_capacity(items.len());
        for item in items {
            let Some(key) = one(item, place, faults) else { continue };
            if let Some((_, first)) = seen.iter().find(|(other, _)| *other == key) {
                let message = format!("{place}: {} is listed twice", quote(&shown(&key)));
                faults.add(Fault::wrong(item.span, message).also(*first, "first listed here"));
                continue;
            }
            seen.push((key, item.span));
        }
        let whole = seen.len() == items.len();
        whole.then(|| seen.into_iter().map(|(key, _)| key).collect())
    }

    fn show(&self, value: &Vec<HashKey>) -> String {
        let shown: Vec<String> = value.iter().map(|key| string(&shown(key))).collect();
        if let [one] = shown.as_slice() { one.clone() } else { format!("[{}]", shown.join(", ")) }
    }

    fn accepted(&self) -> String {
        format!("{ONE_KEY}; or a list of them")
    }

    fn schema(&self) -> serde_json::Value {
        let one = json!({ "type": "string" });
        json!({ "anyOf": [one, { "type": "array", "minItems": 1, "maxItems": KEYS_MAX, "items": one }] })
    }
}

/// One key, or nothing after a fault.
fn one(item: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<HashKey> {
    let Value::Text(written) = &item.value else {
        refuse(item, place, ONE_KEY, faults);
        return None;
    };
    let (reason, help) = match parse(written) {
        Ok(key) => return Some(key),
        Err(refusal) => refusal,
    };
    faults.add(Fault::wrong(item.span, format!("{place}: {} {reason}", quote(written))).help(help));
    None
}

fn parse(written: &str) -> Result<HashKey, (&'static str, String)> {
    let (sort, name) = written.split_once(':').map_or((written, None), |(sort, name)| (sort, Some(name)));
    let token = |name: &&str| (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(is_token);
    let query = |name: &&str| {
        let letter = |byte: u8| byte.is_ascii_graphic() && !b"&=#".contains(&byte);
        (1..=NAME_BYTES).contains(&name.len()) && name.bytes().all(letter)
    };
    let nameless = |key, sort: &str| match name {
        None => Ok(key),
        Some(_) => Err(("has a name too many", format!("write {}", quote(sort)))),
    };
    let named = |what: &'static str, made: Option<HashKey>| match (made, name) {
        (Some(key), _) => Ok(key),
        (None, None) => Err(("lacks what it is called", format!("write {}", quote(&format!("{sort}:{what}"))))),
        (None, Some(_)) => {
            Err(("cannot be called so", format!("accepted: {ONE_KEY}, a name of 1 to {NAME_BYTES} bytes")))
        }
    };
    match sort {
        "path" => nameless(HashKey::Path, sort),
        "client" => nameless(HashKey::Client, sort),
        "certificate" => nameless(HashKey::Certificate, sort),
        "header" => named("NAME", name.filter(token).map(|name| HashKey::Header(name.to_ascii_lowercase()))),
        "cookie" => named("NAME", name.filter(token).map(|name| HashKey::Cookie(name.to_owned()))),
        "query" => named("NAME", name.filter(query).map(|name| HashKey::Query(name.to_owned()))),
        "capture" => match name.and_then(|name| name.parse::<u32>().ok()) {
            Some(number) if (1..=CAPTURES).contains(&number) => Ok(HashKey::Capture(number)),
            Some(_) => Err(("is out of range", format!("accepted: \"capture:1\" to \"capture:{CAPTURES}\""))),
            None => Err(("lacks its number", "write \"capture:1\" for the first part below the route's path".into())),
        },
        _ => {
            let rest = name.map(|name| format!(":{name}")).unwrap_or_default();
            let whole: Vec<String> = SORTS.iter().map(|sort| format!("{sort}{rest}")).collect();
            let near = advice(sort, &SORTS, |_| String::new());
            let near = whole.iter().zip(SORTS).find(|(_, sort)| near.contains(&quote(sort)));
            let help = near.map(|(whole, _)| format!("did you mean {}?", quote(whole)));
            Err(("is nothing that can be hashed", help.unwrap_or_else(|| format!("accepted: {ONE_KEY}"))))
        }
    }
}

fn shown(key: &HashKey) -> String {
    match key {
        HashKey::Header(name) => format!("header:{name}"),
        HashKey::Cookie(name) => format!("cookie:{name}"),
        HashKey::Query(name) => format!("query:{name}"),
        HashKey::Path => "path".into(),
        HashKey::Client => "client".into(),
        HashKey::Certificate => "certificate".into(),
        HashKey::Capture(number) => format!("capture:{number}"),
    }
}

// === impl Factor ===

impl Kind for Factor {
    type Value = u32;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<u32> {
        let percent = match &node.value {
            Value::Text(word) if word == super::key::OFF => return Some(0),
            Value::Integer(whole) => whole.checked_mul(100),
            Value::Float(written) => hundredths(written),
            _ => {
                refuse(node, place, &self.accepted(), faults);
                return None;
            }
        };
        let percent = percent.and_then(|percent| u32::try_from(percent).ok());
        let percent = percent.filter(|percent| (100..=self.max_percent).contains(percent));
        if percent.is_none() {
            let message = format!("{place} is out of range");
            faults.add(Fault::wrong(node.span, message).help(format!("accepted: {}", self.accepted())));
        }
        percent
    }

    fn show(&self, value: &u32) -> String {
        match (value / 100, value % 100) {
            (0, _) => string(super::key::OFF),
            (whole, 0) => whole.to_string(),
            (whole, part) if part % 10 == 0 => format!("{whole}.{}", part / 10),
            (whole, part) => format!("{whole}.{part:02}"),
        }
    }

    fn accepted(&self) -> String {
        let max = self.max_percent / 100;
        format!("a number from 1 to {max} with at most two digits after the point, or \"off\" for no bound")
    }

    fn schema(&self) -> serde_json::Value {
        let number = json!({ "type": "number", "minimum": 1, "maximum": self.max_percent / 100 });
        json!({ "anyOf": [number, { "const": super::key::OFF }] })
    }
}

/// Of a number without sign and exponent.
fn hundredths(written: &str) -> Option<i128> {
    let (whole, part) = written.split_once('.')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let part = part.trim_end_matches('0');
    if !digits(whole) || !(part.is_empty() || digits(part)) || part.len() > 2 {
        return None;
    }
    let whole: i128 = whole.parse().ok()?;
    let part: i128 = format!("{part:0<2}").parse().ok()?;
    whole.checked_mul(100)?.checked_add(part)
}
