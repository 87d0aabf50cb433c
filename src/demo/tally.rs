//! What the admin interface says, as numbers, and the difference of two such tallies as one line. It refuses to know how
//! they are asked for and when. What the interface does not say counts as nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

/// Columns of a line, at most: 120, less the time of day before it.
const COLUMNS: usize = 109;

/// Totals at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    requests: u64,
    in_flight: u64,
    classes: BTreeMap<String, u64>,
    errors: BTreeMap<String, u64>,
    upstreams: Vec<Upstream>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Upstream {
    name: String,
    endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Endpoint {
    address: String,
    attempts: u64,
    failures: u64,
}

impl Tally {
    /// Reads `/v1/overview` and `/v1/upstreams`.
    pub(super) fn read(overview: &Value, upstreams: &Value) -> Self {
        Self {
            requests: number(overview, "requests_total"),
            in_flight: number(overview, "in_flight"),
            classes: numbers(&overview["requests_by_class"]),
            errors: numbers(&overview["errors"]),
            upstreams: items(&upstreams["upstreams"]).iter().map(upstream).collect(),
        }
    }

    /// What happened since `before`, of which `millis` have passed, in at most [`COLUMNS`] columns.
    pub(super) fn line(&self, before: &Self, millis: u64) -> String {
        let requests = self.requests.saturating_sub(before.requests);
        let moved = self.moved(before);
        if requests == 0 && self.in_flight == 0 && moved.is_empty() {
            return "quiet".into();
        }
        let rate = (requests * 1000 + millis / 2) / millis.max(1);
        let mut line = format!("{} req/s ", short(rate));
        for (class, count) in risen(&self.classes, &before.classes) {
            // A write into memory does not fail.
            let _ = write!(line, " {class} {}", short(count));
        }
        let _ = write!(line, "  in flight {}", short(self.in_flight));
        line.push_str(&moved);
        for (cause, count) in risen(&self.errors, &before.errors) {
            let _ = write!(line, " | {cause} {}", short(count));
        }
        cut(line)
    }

    /// ` | orders 12/15/3 | …`: the attempts of each endpoint, for upstreams that had any.
    fn moved(&self, before: &Self) -> String {
        let mut text = String::new();
        for upstream in &self.upstreams {
            let old = before.upstreams.iter().find(|old| old.name == upstream.name);
            let counts: Vec<_> = upstream.endpoints.iter().map(|endpoint| endpoint.since(old)).collect();
            if counts.iter().all(|(attempts, failures)| attempts + failures == 0) {
                continue;
            }
            let counts: Vec<_> = counts.into_iter().map(shown).collect();
            let _ = write!(text, " | {} {}", upstream.name, counts.join("/"));
        }
        text
    }
}

impl Endpoint {
    /// Attempts and failures since.
    fn since(&self, upstream: Option<&Upstream>) -> (u64, u64) {
        let old = upstream.and_then(|old| old.endpoints.iter().find(|endpoint| endpoint.address == self.address));
        let (attempts, failures) = old.map_or((0, 0), |old| (old.attempts, old.failures));
        (self.attempts.saturating_sub(attempts), self.failures.saturating_sub(failures))
    }
}

fn upstream(value: &Value) -> Upstream {
    let endpoints = items(&value["endpoints"]).iter().map(|endpoint| Endpoint {
        address: endpoint["address"].as_str().unwrap_or_default().into(),
        attempts: number(endpoint, "attempts"),
        failures: number(endpoint, "failures"),
    });
    Upstream { name: value["name"].as_str().unwrap_or("?").into(), endpoints: endpoints.collect() }
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or(0)
}

fn numbers(value: &Value) -> BTreeMap<String, u64> {
    let pairs = value.as_object().into_iter().flatten();
    pairs.map(|(key, value)| (key.clone(), value.as_u64().unwrap_or(0))).collect()
}

/// What has grown, and by how much.
fn risen<'a>(now: &'a BTreeMap<String, u64>, before: &BTreeMap<String, u64>) -> Vec<(&'a str, u64)> {
    let since = |(key, count): (&'a String, &u64)| {
        let risen = count.saturating_sub(before.get(key).copied().unwrap_or(0));
        // The cause of what went well is no news.
        (risen > 0 && key != "ok").then_some((key.as_str(), risen))
    };
    now.iter().filter_map(since).collect()
}

fn shown((attempts, failures): (u64, u64)) -> String {
    if failures == 0 { short(attempts) } else { format!("{}!{}", short(attempts), short(failures)) }
}

/// At most four characters, up to a thousand million.
fn short(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => format!("{}k", count / 1_000),
        _ => format!("{}M", count / 1_000_000),
    }
}

fn cut(line: String) -> String {
    if line.chars().count() <= COLUMNS {
        return line;
    }
    line.chars().take(COLUMNS - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn overview(requests: u64, in_flight: u64, fine: u64, bad: u64, no_route: u64) -> Value {
        json!({ "requests_total": requests, "in_flight": in_flight, "requests_by_class": { "2xx": fine, "5xx": bad, "4xx": no_route },
            "errors": { "no_route": no_route, "ok": fine }, "version": "1" })
    }

    fn upstreams(counts: [(u64, u64); 3]) -> Value {
        let endpoints: Vec<_> = counts
            .iter()
            .enumerate()
            .map(|(at, (attempts, failures))| {
                json!({ "address": format!("127.0.0.1:808{at}"), "attempts": attempts, "failures": failures })
            })
            .collect();
        json!({ "upstreams": [{ "name": "orders", "endpoints": endpoints }, { "name": "payments", "endpoints": [] }] })
    }

    #[test]
    fn a_line_is_the_difference() {
        let before = Tally::read(&overview(100, 0, 90, 4, 6), &upstreams([(50, 0), (40, 0), (7, 1)]));
        let now = Tally::read(&overview(141, 3, 130, 5, 6), &upstreams([(62, 0), (55, 0), (10, 2)]));
        assert_eq!(now.line(&before, 1_000), "41 req/s  2xx 40 5xx 1  in flight 3 | orders 12/15/3!1");
        assert_eq!(now.line(&before, 2_000), "21 req/s  2xx 40 5xx 1  in flight 3 | orders 12/15/3!1");
        let lost = Tally::read(&overview(143, 0, 130, 5, 8), &upstreams([(62, 0), (55, 0), (10, 2)]));
        assert_eq!(lost.line(&now, 1_000), "2 req/s  4xx 2  in flight 0 | no_route 2");
    }

    #[test]
    fn nothing_is_quiet_and_what_is_missing_is_nothing() {
        let tally = Tally::read(&overview(5, 0, 5, 0, 0), &upstreams([(1, 0), (1, 0), (3, 0)]));
        assert_eq!(tally.line(&tally, 1_000), "quiet");
        // Counters of a new process start again from nothing.
        assert_eq!(Tally::default().line(&tally, 0), "quiet");
        for odd in [json!(null), json!([]), json!({ "requests_total": "many", "requests_by_class": [1], "errors": 3 })]
        {
            assert_eq!(Tally::read(&odd, &odd), Tally::default());
        }
        assert_eq!(Tally::read(&json!({}), &json!([{}])).line(&tally, 1_000), "quiet");
    }

    #[test]
    fn a_busy_line_fits() {
        let endpoints: Vec<_> = (0..3).map(|n| json!({ "address": n.to_string(), "attempts": 4_321 })).collect();
        let names = ["orders", "payments", "shipping"];
        let busy: Value = names.iter().map(|name| json!({ "name": name, "endpoints": endpoints })).collect();
        let busy = json!({ "upstreams": busy });
        let total = overview(12_963, 64, 12_345, 130, 12);
        let line = Tally::read(&total, &busy).line(&Tally::default(), 1_000);
        let expected = "12k req/s  2xx 12k 4xx 12 5xx 130  in flight 64 | orders ";
        assert!(line.starts_with(expected) && line.contains("shipping "), "{line}");
        assert!(line.chars().count() <= COLUMNS);
        assert_eq!(cut("x".repeat(500)).chars().count(), COLUMNS);
    }
}
