//! What an operator may order of an endpoint: the text of a PATCH read, and who is meant by it. Pure. It refuses to know
//! how an order is carried out.

use serde_json::Value;
use serde_json::json;

use crate::address::Address;
use crate::admin::scene::Answer;
use crate::balance::board::Order;
use crate::snapshot::Endpoint;
use crate::snapshot::Snapshot;
use crate::snapshot::Upstream;

/// What a PATCH asks for; what is absent stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// What the endpoint may take.
    pub order: Option<Order>,
    /// Its weight, or nothing: that of the configuration again.
    pub weight: Option<Option<u32>>,
}

/// The words for orders.
const ORDERS: [(&str, Order); 3] = [("ready", Order::Ready), ("drain", Order::Drain), ("down", Order::Down)];
/// What would be accepted.
const ACCEPTED: &str = "accepted: {\"state\": \"ready\" | \"drain\" | \"down\", \"weight\": 1 to 1000, or null for that of the \
                        configuration}, one of them or both";
const WEIGHTS: std::ops::RangeInclusive<u64> = 1..=1000;
/// Names that are listed to somebody who asks for one that is not there.
const LISTED: usize = 20;

/// The word for an order.
#[must_use]
pub fn word(order: Order) -> &'static str {
    ORDERS.iter().find(|(_, known)| *known == order).map_or("ready", |(word, _)| word)
}

impl Patch {
    /// Reads the body of a PATCH.
    ///
    /// # Errors
    /// Every fault, in words, as an answer.
    pub fn read(body: &[u8]) -> Result<Self, Answer> {
        let object = match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(object)) => object,
            Ok(_) => return Err(refuse(&["the body is JSON, but no object".into()])),
            Err(error) => return Err(refuse(&[format!("the body is not JSON: {error}")])),
        };
        let (mut patch, mut faults) = (Self::default(), Vec::new());
        for (key, value) in &object {
            match key.as_str() {
                "state" => {
                    let known = ORDERS.iter().find(|(word, _)| value.as_str() == Some(word));
                    match known {
                        Some((_, order)) => patch.order = Some(*order),
                        None => faults.push(format!("`state` cannot be {value}")),
                    }
                }
                "weight" if value.is_null() => patch.weight = Some(None),
                "weight" => match value.as_u64().filter(|weight| WEIGHTS.contains(weight)) {
                    Some(weight) => patch.weight = Some(u32::try_from(weight).ok()),
                    None => faults.push(format!("`weight` cannot be {value}")),
                },
                _ => faults.push(unknown_key(key)),
            }
        }
        if object.is_empty() {
            faults.push("there is nothing to change".into());
        }
        if faults.is_empty() { Ok(patch) } else { Err(refuse(&faults)) }
    }
}

/// The endpoint that is meant.
///
/// # Errors
/// 404 with what there is, nearest first.
pub fn find<'a>(snapshot: &'a Snapshot, name: &str, address: &str) -> Result<(&'a Upstream, &'a Endpoint), Answer> {
    let Some(upstream) = snapshot.upstreams.iter().find(|upstream| upstream.settings.name == name) else {
        return Err(no_upstream(snapshot, name));
    };
    // `[::1]:80` has many spellings, and all are meant.
    let parsed = address.parse::<Address>().ok();
    let meant = |endpoint: &&Endpoint| endpoint.label == address || Some(&endpoint.address) == parsed.as_ref();
    let endpoint = upstream.endpoints.iter().find(meant);
    endpoint.map(|endpoint| (upstream, endpoint)).ok_or_else(|| {
        let names = upstream.endpoints.iter().map(|endpoint| endpoint.label.as_str());
        missing(&format!("upstream `{name}` has no endpoint"), address, names, "endpoints")
    })
}

/// 404 for an upstream that is not there, with what there is.
#[must_use]
pub fn no_upstream(snapshot: &Snapshot, name: &str) -> Answer {
    let names = snapshot.upstreams.iter().map(|upstream| upstream.settings.name.as_str());
    missing("there is no upstream", name, names, "upstreams")
}

fn missing<'a>(what: &str, name: &str, there: impl Iterator<Item = &'a str>, list: &str) -> Answer {
    let mut names: Vec<_> = there.map(|word| (strsim::osa_distance(name, word), word)).collect();
    names.sort_unstable();
    let near = names.first().filter(|(edits, word)| *edits <= word.chars().count().max(3) / 3);
    let advice = near.map_or_else(String::new, |(_, word)| format!("; did you mean `{word}`?"));
    let shown: Vec<_> = names.iter().take(LISTED).map(|(_, word)| *word).collect();
    let shortened: String = name.chars().take(200).collect();
    Answer { status: 404, body: json!({ "error": format!("{what} `{shortened}`{advice}"), list: shown }) }
}

fn unknown_key(key: &str) -> String {
    let near = ["state", "weight"].into_iter().find(|known| strsim::osa_distance(known, key) <= 2);
    let advice = near.map_or_else(String::new, |known| format!("; did you mean `{known}`?"));
    let shortened: String = key.chars().take(100).collect();
    format!("there is no field `{shortened}`{advice}")
}

fn refuse(faults: &[String]) -> Answer {
    Answer { status: 422, body: json!({ "error": faults.join("; "), "faults": faults, "accepted": ACCEPTED }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fixture;

    #[test]
    fn a_patch_is_read_or_every_fault_of_it_is_told() {
        let order = |order| Patch { order: Some(order), weight: None };
        let weight = |weight| Patch { order: None, weight: Some(weight) };
        for (body, expected) in [
            (r#"{"state":"drain"}"#, order(Order::Drain)),
            (r#"{"state":"down"}"#, order(Order::Down)),
            (r#"{"state":"ready"}"#, order(Order::Ready)),
            (r#"{"weight":1}"#, weight(Some(1))),
            (r#"{"weight":1000}"#, weight(Some(1000))),
            (r#"{"weight":null}"#, weight(None)),
            (r#"{"weight":5,"state":"ready"}"#, Patch { order: Some(Order::Ready), weight: Some(Some(5)) }),
        ] {
            assert_eq!(Patch::read(body.as_bytes()).ok(), Some(expected), "{body}");
        }
        for (body, part) in [
            ("", "not JSON"),
            ("{", "not JSON"),
            ("[]", "no object"),
            ("{}", "nothing to change"),
            (r#"{"state":"up"}"#, "`state` cannot be \"up\""),
            (r#"{"state":null}"#, "`state` cannot be null"),
            (r#"{"weight":0}"#, "`weight` cannot be 0"),
            (r#"{"weight":1001}"#, "`weight` cannot be 1001"),
            (r#"{"weight":1.5}"#, "`weight` cannot be 1.5"),
            (r#"{"weight":-1}"#, "`weight` cannot be -1"),
            (r#"{"weight":"5"}"#, "`weight` cannot be \"5\""),
            (r#"{"wieght":5}"#, "did you mean `weight`?"),
            (r#"{"stat":"x","weight":0}"#, "did you mean `state`?; `weight` cannot be 0"),
        ] {
            let answer = Patch::read(body.as_bytes()).unwrap_err();
            let error = answer.body["error"].as_str().unwrap();
            assert!(answer.status == 422 && error.contains(part), "{body}: {error}");
            assert!(answer.body["accepted"].as_str().unwrap().contains("drain"));
        }
    }

    #[test]
    fn an_endpoint_is_found_by_any_spelling_or_something_near_is_named() {
        let mut model = fixture::model();
        model.upstreams[1] = fixture::upstream("payments", &["[::1]:80", "unix:/run/p.sock"]);
        let reading = fixture::reading(model, 1);
        let snapshot = &reading.scene.snapshot;
        for (name, address, label) in [
            ("orders", "127.0.1.2:80", "127.0.1.2:80"),
            ("payments", "[::1]:80", "[::1]:80"),
            ("payments", "[0:0::1]:80", "[::1]:80"),
            ("payments", "unix:/run/p.sock", "unix:/run/p.sock"),
        ] {
            assert_eq!(find(snapshot, name, address).map(|(_, endpoint)| endpoint.label.as_str()).ok(), Some(label));
        }
        for (name, address, part) in [
            ("order", "127.0.1.2:80", "did you mean `orders`?"),
            ("zzz", "127.0.1.2:80", "there is no upstream `zzz`"),
            ("orders", "127.0.1.2:81", "did you mean `127.0.1."),
            ("orders", "[::1]:80", "has no endpoint `[::1]:80`"),
        ] {
            let answer = find(snapshot, name, address).err().unwrap();
            assert!(answer.status == 404 && answer.body["error"].as_str().unwrap().contains(part), "{:?}", answer.body);
        }
        assert_eq!(ORDERS.map(|(_, order)| word(order)), ["ready", "drain", "down"]);
    }
}
