//! The kinds of lists of statuses, alone and among the conditions of a retry. It refuses to know what follows from them.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use serde_json::json;

use super::key::Place;
use super::kind::Kind;
use super::kind::refuse;
use super::kind::string;
use super::report::Fault;
use super::report::Faults;
use super::report::Span;
use super::report::quote;
use super::suggest::advice;
use super::tree::Node;
use super::tree::Value;
use crate::model::RetryOn;

/// A list of statuses and ranges of them, at least one.
pub(super) struct Statuses;

/// A list of conditions: words and statuses.
pub(super) struct Conditions;

/// One status, or from one to another.
type Range = RangeInclusive<u16>;

/// The statuses that a final or interim response can have (RFC 9110 §15).
const ALL: Range = 100..=599;
/// What one entry may be.
const ONE_STATUS: &str = "a status (\"503\") or a range (\"502-504\") from 100 to 599";
/// The conditions that are words.
const WORDS: [&str; 3] = ["connect", "reset", "timeout"];

/// The statuses that `item` says, or nothing after a fault.
fn range(item: &Node, place: &Place<'_>, accepted: &str, faults: &mut Faults) -> Option<Range> {
    let written = match &item.value {
        Value::Text(written) => written.as_str(),
        Value::Integer(number) if (100..=599).contains(number) => {
            let help = format!("statuses stand in quotes: \"{number}\"");
            faults.add(Fault::wrong(item.span, format!("{place} cannot be an integer")).help(help));
            return None;
        }
        _ => {
            refuse(item, place, accepted, faults);
            return None;
        }
    };
    let (reason, help) = match parse(written) {
        Some((first, last)) if first > last => {
            ("runs backwards", format!("write {}", quote(&format!("{last}-{first}"))))
        }
        Some((first, last)) if ALL.contains(&first) && ALL.contains(&last) => return Some(first..=last),
        Some(_) => ("is out of range", format!("accepted: {accepted}")),
        None => ("is not a status", class(written).unwrap_or_else(|| format!("accepted: {accepted}"))),
    };
    faults.add(Fault::wrong(item.span, format!("{place}: {} {reason}", quote(written))).help(help));
    None
}

/// "503" and "502-504".
fn parse(written: &str) -> Option<(u16, u16)> {
    let status = |text: &str| match text.bytes().all(|byte| byte.is_ascii_digit()) {
        true if (1..=5).contains(&text.len()) => text.parse().ok(),
        _ => None,
    };
    match written.split_once('-') {
        Some((first, last)) => Some((status(first)?, status(last)?)),
        None => status(written).map(|one| (one, one)),
    }
}

/// For "5xx" how that is written here.
fn class(written: &str) -> Option<String> {
    let digit = written.to_ascii_lowercase().strip_suffix("xx")?.parse::<u8>().ok()?;
    (1..=5).contains(&digit).then(|| format!("write \"{digit}00-{digit}99\""))
}

/// Whether none of those before has one of these; else a fault.
fn is_new(item: &Node, range: &Range, seen: &[(Range, Span)], place: &Place<'_>, faults: &mut Faults) -> bool {
    let both = |one: &&(Range, Span)| one.0.start() <= range.end() && range.start() <= one.0.end();
    let Some((other, first)) = seen.iter().find(both) else { return true };
    let message = match other == range {
        true => format!("{place}: {} is listed twice", show(range)),
        false => format!("{place}: {} and {} overlap", show(other), show(range)),
    };
    faults.add(Fault::wrong(item.span, message).also(*first, "first listed here"));
    false
}

fn show(range: &Range) -> String {
    match range.start() == range.end() {
        true => string(&range.start().to_string()),
        false => string(&format!("{}-{}", range.start(), range.end())),
    }
}

// === impl Statuses ===

impl Kind for Statuses {
    type Value = Cow<'static, [Range]>;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<Self::Value> {
        let Value::List(items) = &node.value else {
            refuse(node, place, &self.accepted(), faults);
            return None;
        };
        if items.is_empty() {
            faults
                .add(Fault::wrong(node.span, format!("{place} has no status")).help("write at least one, as \"200\""));
            return None;
        }
        let mut seen: Vec<(Range, Span)> = Vec::with_capacity(items.len());
        for item in items {
            let Some(range) = range(item, place, ONE_STATUS, faults) else { continue };
            if is_new(item, &range, &seen, place, faults) {
                seen.push((range, item.span));
            }
        }
        let whole = seen.len() == items.len();
        whole.then(|| seen.into_iter().map(|(range, _)| range).collect::<Vec<_>>().into())
    }

    fn show(&self, value: &Self::Value) -> String {
        let shown: Vec<String> = value.iter().map(show).collect();
        format!("[{}]", shown.join(", "))
    }

    fn accepted(&self) -> String {
        format!("a list, each {ONE_STATUS}")
    }

    fn schema(&self) -> serde_json::Value {
        json!({ "type": "array", "minItems": 1, "items": { "type": "string" }, "uniqueItems": true })
    }
}

// === impl Conditions ===

impl Kind for Conditions {
    type Value = RetryOn;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<RetryOn> {
        let Value::List(items) = &node.value else {
            refuse(node, place, &self.accepted(), faults);
            return None;
        };
        let mut found = Found::default();
        let mut faulty = false;
        for item in items {
            faulty |= !found.take(item, place, faults);
        }
        let [connect, reset, timeout] = found.words.map(|at| at.is_some());
        let statuses = found.statuses.into_iter().map(|(range, _)| range).collect();
        (!faulty).then_some(RetryOn { connect, reset, timeout, statuses })
    }

    fn show(&self, value: &RetryOn) -> String {
        let words = WORDS.iter().zip([value.connect, value.reset, value.timeout]).filter(|(_, on)| *on);
        let shown: Vec<String> = words.map(|(word, _)| string(word)).chain(value.statuses.iter().map(show)).collect();
        format!("[{}]", shown.join(", "))
    }

    fn accepted(&self) -> String {
        format!("a list, each {}", one_condition())
    }

    fn schema(&self) -> serde_json::Value {
        json!({ "type": "array", "items": { "type": "string" }, "uniqueItems": true })
    }
}

/// What is listed so far, each with its place.
#[derive(Default)]
struct Found {
    words: [Option<Span>; WORDS.len()],
    statuses: Vec<(Range, Span)>,
}

impl Found {
    /// Takes one entry in; false after a fault.
    fn take(&mut self, item: &Node, place: &Place<'_>, faults: &mut Faults) -> bool {
        let written = match &item.value {
            Value::Text(written) => written.as_str(),
            _ => "",
        };
        if let Some((word, seen)) = WORDS.iter().zip(&mut self.words).find(|(word, _)| **word == written) {
            let Some(first) = seen.replace(item.span) else { return true };
            let message = format!("{place}: {} is listed twice", quote(word));
            faults.add(Fault::wrong(item.span, message).also(first, "first listed here"));
            return false;
        }
        if written.starts_with(|first: char| first.is_ascii_alphabetic()) {
            let help = advice(written, &WORDS, |_| format!("accepted: {}", one_condition()));
            faults.add(Fault::wrong(item.span, format!("{place}: {} is not a condition", quote(written))).help(help));
            return false;
        }
        let Some(range) = range(item, place, &one_condition(), faults) else { return false };
        let new = is_new(item, &range, &self.statuses, place, faults);
        self.statuses.push((range, item.span));
        new
    }
}

fn one_condition() -> String {
    let words: Vec<String> = WORDS.iter().map(|word| quote(word)).collect();
    format!("{}, {ONE_STATUS}", words.join(", "))
}
