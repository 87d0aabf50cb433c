//! The JSON schema, made from the keys. It refuses to know anything that the keys do not say.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use super::key::Described;
use super::key::Keys;
use super::keys;

/// The JSON schema (draft 2020-12) of one configuration file.
#[must_use]
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Ringway configuration",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "include": one(&keys::INCLUDE),
            "process": table(keys::PROCESS),
            "acme": table(keys::acme::ACME),
            "listen": named(keys::LISTEN),
            "defaults": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "listen": table(keys::LISTEN_DEFAULTS),
                    "upstream": table(keys::upstream::UPSTREAM_DEFAULTS),
                },
            },
            "upstream": named(keys::upstream::UPSTREAM),
            "host": named(keys::host::HOST),
        },
    })
}

/// The schema of one table.
pub(super) fn table(keys: Keys) -> Value {
    let properties: Map<String, Value> = keys.iter().map(|key| (key.name().to_owned(), one(*key))).collect();
    let required: Vec<&str> = keys.iter().filter(|key| key.required()).map(|key| key.name()).collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required })
}

fn named(keys: Keys) -> Value {
    json!({ "type": "object", "additionalProperties": table(keys) })
}

fn one(key: &dyn Described) -> Value {
    let mut schema = key.schema();
    if let Value::Object(object) = &mut schema {
        let accepted = if key.group().is_some() { String::new() } else { format!(" Accepted: {}.", key.accepted()) };
        object.insert("description".into(), format!("{}{accepted}", key.doc()).into());
        // A default is a string, a number or a word: in TOML and in JSON they look alike.
        if let Some(default) = key.default().and_then(|text| serde_json::from_str(&text).ok()) {
            object.insert("default".into(), default);
        }
    }
    schema
}
