//! The kinds of small values: names, texts with a rule of their own, three grades, and "off" beside any of them. It
//! refuses to know what they are for.

use std::borrow::Cow;

use serde_json::json;

use super::key::Keys;
use super::key::OFF;
use super::key::Place;
use super::kind::Kind;
use super::kind::pattern;
use super::kind::refuse;
use super::kind::string;
use super::report::Fault;
use super::report::Faults;
use super::report::quote;
use super::tree::Node;
use super::tree::Value;

/// Any other kind, or the word "off" for nothing.
pub(super) struct Off<K>(pub(super) K);

/// Three values, none less than the one before.
pub(super) struct Grades<K>(pub(super) K);

/// A token (RFC 9110 §5.6.2) of 1 to 64 bytes.
pub(super) enum Token {
    /// The name of a cookie.
    Cookie,
    /// A method, other than CONNECT.
    Method,
}

/// The name of a field, held in lower case.
pub(super) struct FieldName;

/// The name of a zone.
pub(super) struct ZoneName;

/// A text with a rule of its own.
pub(super) enum Text {
    /// A path, with a query or without.
    Target,
    /// The value of a `Host` field.
    Host,
    /// The name of a gRPC service, or none.
    Service,
    /// A part of a body.
    Part,
}

/// A text that is never shown, of so many bytes.
pub(super) struct Secret {
    pub(super) min: usize,
    pub(super) max: usize,
}

/// What stands for a secret wherever it would be shown: too short to be taken for one.
pub(super) const HIDDEN: &str = "***";

/// Longest name of anything.
pub(super) const NAME_BYTES: usize = 64;

/// A byte of a token (RFC 9110 §5.6.2).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The text of the node, or nothing after a fault.
pub(super) fn text<'a>(node: &'a Node, place: &Place<'_>, accepted: &str, faults: &mut Faults) -> Option<&'a str> {
    let Value::Text(written) = &node.value else {
        refuse(node, place, accepted, faults);
        return None;
    };
    Some(written)
}

fn is_token_text(text: &str) -> bool {
    (1..=NAME_BYTES).contains(&text.len()) && text.bytes().all(is_token)
}

fn cannot_be(node: &Node, place: &Place<'_>, written: &str, help: String, faults: &mut Faults) {
    faults.add(Fault::wrong(node.span, format!("{place} cannot be {}", quote(written))).help(help));
}

// === impl Off ===

impl<K: Kind> Kind for Off<K> {
    type Value = Option<K::Value>;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<Self::Value> {
        match &node.value {
            Value::Text(word) if word == OFF => Some(None),
            _ => {
                let before = faults.len();
                let value = self.0.read(node, place, faults);
                // What is wrong within a table or a list has its own advice.
                let within = matches!(node.value, Value::Table(_) | Value::List(_));
                if faults.len() > before && !within {
                    faults.accepted_too("\"off\"");
                }
                value.map(Some)
            }
        }
    }

    fn show(&self, value: &Self::Value) -> String {
        value.as_ref().map_or_else(|| string(OFF), |value| self.0.show(value))
    }

    fn accepted(&self) -> String {
        format!("{}, or \"off\"", self.0.accepted())
    }

    fn schema(&self) -> serde_json::Value {
        json!({ "anyOf": [self.0.schema(), { "const": OFF }] })
    }

    fn parts(&self) -> Option<Keys> {
        self.0.parts()
    }
}

// === impl Grades ===

impl<K: Kind> Kind for Grades<K>
where
    K::Value: PartialOrd,
{
    type Value = [K::Value; 3];

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<Self::Value> {
        let Value::List(items) = &node.value else {
            refuse(node, place, &self.accepted(), faults);
            return None;
        };
        if items.len() != 3 {
            let message = format!("{place} has {} values", items.len());
            faults.add(Fault::wrong(node.span, message).help(format!("accepted: {}", self.accepted())));
            return None;
        }
        let values: Vec<_> = items.iter().filter_map(|item| self.0.read(item, place, faults)).collect();
        let values: Self::Value = values.try_into().ok()?;
        let [_, second, third] = items.as_slice() else { return None };
        for (item, before, after) in [(second, &values[0], &values[1]), (third, &values[1], &values[2])] {
            if after < before {
                let message = format!("{place} falls from {} to {}", self.0.show(before), self.0.show(after));
                faults.add(Fault::wrong(item.span, message).help("each grade begins where the one before has begun"));
                return None;
            }
        }
        Some(values)
    }

    fn show(&self, value: &Self::Value) -> String {
        let shown: Vec<String> = value.iter().map(|one| self.0.show(one)).collect();
        format!("[{}]", shown.join(", "))
    }

    fn accepted(&self) -> String {
        format!("a list of three, none less than the one before, each {}", self.0.accepted())
    }

    fn schema(&self) -> serde_json::Value {
        json!({ "type": "array", "minItems": 3, "maxItems": 3, "items": self.0.schema() })
    }
}

// === impl Token ===

impl Kind for Token {
    type Value = Cow<'static, str>;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<Self::Value> {
        let written = text(node, place, &self.accepted(), faults)?;
        if is_token_text(written) && !(matches!(self, Self::Method) && written == "CONNECT") {
            return Some(written.to_owned().into());
        }
        let upper = written.to_ascii_uppercase();
        let help = match self {
            Self::Method if written == "CONNECT" => "it asks for a tunnel: write another method".into(),
            Self::Method if is_token_text(&upper) => format!("write {}", quote(&upper)),
            _ => format!("accepted: {}", self.accepted()),
        };
        cannot_be(node, place, written, help, faults);
        None
    }

    fn show(&self, value: &Self::Value) -> String {
        string(value)
    }

    fn accepted(&self) -> String {
        let what = match self {
            Self::Cookie => "the name of a cookie",
            Self::Method => "a method",
        };
        format!("{what} of 1 to {NAME_BYTES} letters, digits and any of !#$%&'*+-.^_`|~")
    }

    fn schema(&self) -> serde_json::Value {
        pattern(TOKEN)
    }
}

/// A token, as a regular expression.
const TOKEN: &str = "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}";

// === impl FieldName ===

impl Kind for FieldName {
    type Value = String;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<String> {
        let written = text(node, place, &self.accepted(), faults)?;
        if is_token_text(written) {
            return Some(written.to_ascii_lowercase());
        }
        let trimmed = written.trim_end_matches([':', ' ']);
        let help = match is_token_text(trimmed) {
            true => format!("write the name alone: {}", quote(trimmed)),
            false => format!("accepted: {}", self.accepted()),
        };
        cannot_be(node, place, written, help, faults);
        None
    }

    fn show(&self, value: &String) -> String {
        string(value)
    }

    fn accepted(&self) -> String {
        format!("the name of a field of 1 to {NAME_BYTES} letters, digits and any of !#$%&'*+-.^_`|~")
    }

    fn schema(&self) -> serde_json::Value {
        pattern(TOKEN)
    }
}

// === impl ZoneName ===

impl Kind for ZoneName {
    type Value = String;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<String> {
        let written = text(node, place, &self.accepted(), faults)?;
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if (1..=NAME_BYTES).contains(&written.len()) && written.bytes().all(letter) {
            return Some(written.to_owned());
        }
        cannot_be(node, place, written, format!("accepted: {}", self.accepted()), faults);
        None
    }

    fn show(&self, value: &String) -> String {
        string(value)
    }

    fn accepted(&self) -> String {
        format!("a name of 1 to {NAME_BYTES} letters, digits, \"-\", \"_\" and \".\"")
    }

    fn schema(&self) -> serde_json::Value {
        pattern("[A-Za-z0-9._-]{1,64}")
    }
}

// === impl Text ===

impl Kind for Text {
    type Value = String;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<String> {
        let written = text(node, place, &self.accepted(), faults)?;
        if written.len() <= TEXT_BYTES && self.fits(written) {
            return Some(written.to_owned());
        }
        let rooted = format!("/{written}");
        let help = match self {
            Self::Target if written.contains("://") => "write the path alone".into(),
            Self::Target if !written.starts_with('/') && self.fits(&rooted) => format!("write {}", quote(&rooted)),
            _ => format!("accepted: {}", self.accepted()),
        };
        cannot_be(node, place, written, help, faults);
        None
    }

    fn show(&self, value: &String) -> String {
        string(value)
    }

    fn accepted(&self) -> String {
        match self {
            Self::Target => format!("a path from \"/\", with a query or without, of at most {TEXT_BYTES} bytes"),
            Self::Host => "a host, with a port or without, such as \"shop.example.com\"".into(),
            Self::Service => "the name of a service such as \"shop.Orders\", or \"\"".into(),
            Self::Part => format!("a text of 1 to {TEXT_BYTES} bytes"),
        }
    }

    fn schema(&self) -> serde_json::Value {
        match self {
            Self::Target => pattern("/[!-\"$-~]*"),
            Self::Host => pattern(r"[A-Za-z0-9._:\[\]-]+"),
            Self::Service => pattern("[A-Za-z0-9._-]*"),
            Self::Part => json!({ "type": "string", "minLength": 1 }),
        }
    }
}

impl Text {
    fn fits(&self, text: &str) -> bool {
        let letters = |more: &[u8]| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte));
        match self {
            Self::Target => text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'),
            Self::Host => !text.is_empty() && letters(b"-._:[]"),
            Self::Service => letters(b"-._"),
            Self::Part => !text.is_empty(),
        }
    }
}

/// Longest of these texts.
const TEXT_BYTES: usize = 1024;

// === impl Secret ===

impl Kind for Secret {
    type Value = String;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<String> {
        let written = text(node, place, &self.accepted(), faults)?;
        if (self.min..=self.max).contains(&written.len()) {
            return Some(written.to_owned());
        }
        if written == HIDDEN {
            let help = "it stands where a secret is not shown: write the secret itself, or ${NAME}";
            cannot_be(node, place, written, help.into(), faults);
            return None;
        }
        let much = if written.len() < self.min { "short" } else { "long" };
        let message = format!("{place} is too {much}: it has {} bytes", written.len());
        faults.add(Fault::wrong(node.span, message).help(format!("accepted: {}", self.accepted())));
        None
    }

    fn show(&self, _: &String) -> String {
        string(HIDDEN)
    }

    fn accepted(&self) -> String {
        format!("a text of {} to {} bytes", self.min, self.max)
    }

    fn schema(&self) -> serde_json::Value {
        json!({ "type": "string" })
    }
}
