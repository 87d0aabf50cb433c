//! The kinds that `hedge` is made of. It refuses to know when a second attempt is made.

use std::time::Duration;

use serde_json::json;

use super::key::Keys;
use super::key::Place;
use super::key::Reader;
use super::keys::host as keys;
use super::kind::Kind;
use super::kind::Time;
use super::kind::pattern;
use super::kind::refuse;
use super::kind::string;
use super::report::Fault;
use super::report::Faults;
use super::report::quote;
use super::schema;
use super::tree::Node;
use super::tree::Value;
use super::write::Lines;
use crate::model::Hedge;
use crate::model::HedgeAfter;

/// When alone, or a table with these keys.
pub(super) struct Hedges {
    pub(super) keys: Keys,
}

/// A percentile such as "p95", or a duration.
pub(super) struct After;

const TIME: Time = Time { min: Duration::from_millis(1), max: Duration::from_mins(1) };
/// Percentiles; below the first every other request would be hedged.
const PERCENTILES: std::ops::RangeInclusive<u32> = 50..=99;

// === impl Hedges ===

impl Kind for Hedges {
    type Value = Hedge;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<Hedge> {
        if matches!(node.value, Value::Table(_)) {
            let owner = place.to_string();
            let reader = Reader::open(node, &owner, self.keys, faults)?;
            let after = reader.get(&keys::HEDGE_AFTER, faults);
            let percent = reader.get(&keys::HEDGE_PERCENT, faults);
            return Some(Hedge {
                after: after.resolve(&keys::HEDGE_AFTER)?,
                percent: percent.resolve(&keys::HEDGE_PERCENT)?,
            });
        }
        if !matches!(node.value, Value::Text(_)) {
            refuse(node, place, &self.accepted(), faults);
            return None;
        }
        Some(Hedge { after: After.read(node, place, faults)?, percent: keys::HEDGE_PERCENT.default()? })
    }

    fn show(&self, value: &Hedge) -> String {
        let mut lines = Lines::default();
        lines.add(&keys::HEDGE_PERCENT, &value.percent);
        match lines.is_empty() {
            true => After.show(&value.after),
            false => lines.inline_after(&keys::HEDGE_AFTER, &value.after),
        }
    }

    fn accepted(&self) -> String {
        let names: Vec<&str> = self.keys.iter().map(|key| key.name()).collect();
        format!("{}; or a table of {}", After.accepted(), names.join(", "))
    }

    fn schema(&self) -> serde_json::Value {
        json!({ "anyOf": [After.schema(), schema::table(self.keys)] })
    }

    fn parts(&self) -> Option<Keys> {
        Some(self.keys)
    }
}

// === impl After ===

impl Kind for After {
    type Value = HedgeAfter;

    fn read(&self, node: &Node, place: &Place<'_>, faults: &mut Faults) -> Option<HedgeAfter> {
        let Value::Text(written) = &node.value else {
            refuse(node, place, &self.accepted(), faults);
            return None;
        };
        let Some(number) = written.strip_prefix('p') else {
            return TIME.read(node, place, faults).map(HedgeAfter::Time);
        };
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        let percentile = number.parse().ok().filter(|number| digits && PERCENTILES.contains(number));
        if percentile.is_none() {
            let message = format!("{place} cannot be {}", quote(written));
            faults.add(Fault::wrong(node.span, message).help(format!("accepted: {}", self.accepted())));
        }
        percentile.map(HedgeAfter::Percentile)
    }

    fn show(&self, value: &HedgeAfter) -> String {
        match value {
            HedgeAfter::Percentile(percentile) => string(&format!("p{percentile}")),
            HedgeAfter::Time(time) => TIME.show(time),
        }
    }

    fn accepted(&self) -> String {
        format!("a percentile from \"p{}\" to \"p{}\", or {}", PERCENTILES.start(), PERCENTILES.end(), TIME.accepted())
    }

    fn schema(&self) -> serde_json::Value {
        pattern(r"(p[5-9][0-9]|[0-9]+(\.[0-9]+)?(us|ms|s|m|h))")
    }
}
