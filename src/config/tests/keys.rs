//! That what is told of the keys is so: the reference, the schema, and that each key has an effect.

use std::path::Path;

use serde_json::Value as Json;

use super::SMALL;
use super::model;
use crate::config::key::Described;
use crate::config::keys;
use crate::config::keys::LISTEN;
use crate::config::keys::LISTEN_DEFAULTS;
use crate::config::keys::PROCESS;
use crate::config::keys::upstream::UPSTREAM;
use crate::config::keys::upstream::UPSTREAM_DEFAULTS;
use crate::config::load;
use crate::config::reference::OTHERWISE;
use crate::config::reference_markdown;
use crate::config::reference_toml;
use crate::config::schema;
use crate::config::to_toml;

#[test]
fn the_reference_is_fresh() {
    for (path, text) in
        [("config/reference.toml", reference_toml()), ("docs/reference/configuration.md", reference_markdown())]
    {
        if std::env::var_os("RINGWAY_BLESS").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == text, "{path} is stale: RINGWAY_BLESS=1 cargo test config:: writes it anew");
    }
}

#[test]
fn the_reference_loads_and_states_the_defaults() {
    let reference = load(Path::new("config/reference.toml")).unwrap_or_else(|report| panic!("{report}")).model;
    let bare = model(
        "process.zone = \"a\"\nprocess.overload.memory_of = \"2GiB\"\n\
         [acme]\naccept_terms = true\ndirectory = \"https://ca.internal/acme/directory\"\n\
         folder = \"/srv/ringway/acme\"\nca = \"/etc/ringway/internal.pem\"\n[listen.http]\nbind = [\"0.0.0.0:8080\", \"[::]:8080\"]\nconnections_per_client = 100\nmax_body = \"1GiB\"\n\
         [upstream.orders]\nendpoints = [\"10.0.0.11:8080\",\n\
         { address = \"10.0.0.12:8080\", weight = 2, zone = \"a\", priority = 0 }]\n[host.\"shop.example.com\"]\n\
         routes = [{ path = \"/orders/*\", upstream = \"orders\", max_body = \"10MiB\", retry.attempts = 2 },\n\
         { path = \"/live\", upstream = \"orders\", upgrade = [\"websocket\"], min_rate = \"0B\", response.min_rate = \"1KiB\",\n\
         timeout = { connect = \"250ms\", response = \"5s\", body = \"1m\", tunnel = \"1h\", total = \"20s\" } },\n\
         { path = \"/search\", upstream = \"orders\", hedge = \"p95\", class = \"high\" }]\n\
         client_certificates = { need = \"required\", ca = \"/etc/ringway/clients.pem\", crl = \"/etc/ringway/revoked.pem\" }\n",
    );
    assert_eq!(reference, bare);
}

#[test]
fn the_reference_has_every_key_of_the_schema() {
    let text = reference_toml();
    let toml = toml::Value::Table(text.parse().unwrap());
    // The other way to write a value stands in the line before it.
    let mut other = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let otherwise = line.strip_prefix(OTHERWISE);
        otherwise.and_then(|_| lines.next());
        other += &format!("{}\n", otherwise.unwrap_or(line));
    }
    model(&other.replace("include = ", "# include = "));
    let other = toml::Value::Table(other.parse().unwrap());
    let mut missing = Vec::new();
    walk(&schema(), &[&toml, &other], "", &mut missing);
    assert!(missing.is_empty(), "config/reference.toml lacks {missing:?}");
    let markdown = reference_markdown();
    for name in names(&schema()) {
        let there = [format!("`{name}`"), format!(".{name}`"), format!(" {name}`")];
        assert!(there.iter().any(|text| markdown.contains(text)), "the page lacks {name}");
    }
}

/// Walks the schema beside the values that stand at its place; whatever the schema names, one of them must have.
fn walk(schema: &Json, values: &[&toml::Value], path: &str, missing: &mut Vec<String>) {
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        let found: Vec<_> = values.iter().filter_map(|value| value.get(name)).collect();
        if found.is_empty() {
            missing.push(path);
        } else {
            walk(below, &found, &path, missing);
        }
    }
    if schema["additionalProperties"].is_object() {
        let all: Vec<_> = values.iter().filter_map(|value| value.as_table()).flat_map(|table| table.values()).collect();
        walk(&schema["additionalProperties"], &all, path, missing);
    }
    if schema["items"].is_object() {
        let all: Vec<_> = values.iter().filter_map(|value| value.as_array()).flatten().collect();
        walk(&schema["items"], &all, path, missing);
    }
    for one in schema["anyOf"].as_array().into_iter().flatten() {
        walk(one, values, path, missing);
    }
}

fn names(schema: &Json) -> Vec<String> {
    match schema {
        Json::Object(object) => {
            let own =
                object.get("properties").and_then(Json::as_object).into_iter().flat_map(|one| one.keys().cloned());
            let tables = ["include", "process", "acme", "listen", "defaults", "upstream", "host"];
            own.filter(|name| !tables.contains(&name.as_str())).chain(object.values().flat_map(names)).collect()
        }
        Json::Array(list) => list.iter().flat_map(names).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn the_schema_has_the_shape_of_its_draft() {
    let schema = schema();
    assert_eq!(schema["properties"]["listen"]["additionalProperties"]["required"], serde_json::json!(["bind"]));
    assert_eq!(schema["properties"]["process"]["additionalProperties"], false);
    assert_eq!(schema["properties"]["process"]["properties"]["drain"]["default"], "30s");
    assert_eq!(schema["properties"]["process"]["properties"]["connections"]["maximum"], 10_000_000);
    let endpoints = &schema["properties"]["upstream"]["additionalProperties"]["properties"]["endpoints"];
    assert_eq!(endpoints["items"]["anyOf"][1]["properties"]["weight"]["default"], 1);
    let listen = &schema["properties"]["listen"]["additionalProperties"]["properties"];
    assert_eq!(listen["proxy_protocol"]["type"], "boolean");
    assert_eq!(listen["proxy_protocol"]["default"], false);
    assert_eq!(listen["trusted_proxies"]["default"], serde_json::json!([]));
    assert_eq!(listen["path"]["properties"]["dots"]["default"], "resolve");
    let routes = &schema["properties"]["host"]["additionalProperties"]["properties"]["routes"];
    assert_eq!(routes["items"]["properties"]["timeout"]["properties"]["connect"]["type"], "string");
    assert_eq!(listen["timeout"]["properties"]["tunnel"]["default"], "5m");
}

// === the keys ===

/// Every key, set to its example, changes the model: nothing parses without effect, and no default is its own example.
#[test]
fn every_key_has_an_effect() {
    let mut tried = 0;
    let mut try_on = |base: &str, text: &str| {
        assert_ne!(model(text), model(base), "no effect:\n{text}");
        tried += 1;
    };
    let below = |header: &str, line: &str| {
        if SMALL.contains(header) {
            SMALL.replace(header, &format!("{header}\n{line}"))
        } else {
            format!("{SMALL}{header}\n{line}\n")
        }
    };
    for (header, keys) in [
        ("[process]", PROCESS),
        ("[listen.http]", LISTEN),
        ("[defaults.listen]", LISTEN_DEFAULTS),
        ("[upstream.app]", UPSTREAM),
        ("[defaults.upstream]", UPSTREAM_DEFAULTS),
    ] {
        for key in keys {
            for line in lines(*key) {
                // A required key stands there already.
                let text = below(header, &line);
                let text = if key.required() { text.replacen(required_line(key.name()), "", 1) } else { text };
                let whole = |text: &str| with_what_it_takes(text, &line);
                try_on(&whole(SMALL), &whole(&text));
            }
        }
    }
    for part in keys::ACCESS_LOG.kind.keys {
        try_on(SMALL, &below("[process]", &format!("access_log = {{ {} = {} }}", part.name(), part.example())));
    }
    for part in ["table = \"ring\"", "bound = 2"] {
        let hash = |more: &str| below("[upstream.app]", &format!("balance = {{ hash = \"path\"{more} }}"));
        try_on(&hash(""), &hash(&format!(", {part}")));
    }
    for part in ["weight = 2", "zone = \"a\"", "priority = 1"] {
        let endpoint = format!("{{ address = \"10.0.0.1:3000\", {part} }}");
        try_on(SMALL, &SMALL.replace("\"10.0.0.1:3000\"", &endpoint));
    }
    try_on(SMALL, &SMALL.replace("\"10.0.0.1:3000\"", "{ address = \"10.0.0.9:1\" }"));
    for part in ["after = \"p90\"", "after = \"50ms\"", "after = \"p95\", percent = 7"] {
        let hedged = |hedge: &str| SMALL.replace("upstream = \"app\"", &format!("upstream = \"app\", hedge = {hedge}"));
        try_on(&hedged("\"p95\""), &hedged(&format!("{{ {part} }}")));
    }
    for key in keys::host::ROUTES.kind.keys.iter().filter(|key| !key.required()) {
        for line in lines(*key) {
            try_on(SMALL, &SMALL.replace("upstream = \"app\"", &format!("upstream = \"app\", {line}")));
        }
    }
    try_on(SMALL, &SMALL.replace("\"/*\"", "\"/orders/*\""));
    assert_eq!(tried, 237);
}

#[test]
fn every_key_of_acme_has_an_effect_and_is_written_back() {
    let base = format!("{SMALL}[acme]\naccept_terms = true\n");
    let listens = base.replace("[upstream.app]", "[listen.https]\nbind = \"127.0.0.1:8443\"\n\
        tls = [{ acme = [\"Shop.example\", \"www.shop.example\"] }, { cert = \"/a.crt\", key = \"/a.key\" }]\n[upstream.app]");
    for base in [&base, &listens] {
        for key in keys::acme::ACME.iter().filter(|key| !key.required()) {
            let text = format!("{base}{} = {}\n", key.name(), key.example());
            assert_ne!(model(&text), model(base), "no effect:\n{text}");
            assert_eq!(model(&to_toml(&model(&text))), model(&text), "{text}");
        }
    }
    let acme = model(&listens).acme.unwrap();
    assert_eq!(acme.directory, "https://acme-v02.api.letsencrypt.org/directory");
    let home = "/var/lib/ringway/acme/acme-v02.api.letsencrypt.org-directory";
    assert_eq!(acme.home(), Path::new(home));
    let model = model(&listens);
    let pairs = &model.listeners[1].tls.as_ref().unwrap().certificates;
    assert_eq!(pairs[0].names, ["shop.example", "www.shop.example"]);
    assert_eq!([&pairs[0].cert, &pairs[0].key], [Path::new(home).join("shop.example.pem").as_path(); 2]);
    assert!(pairs[1].names.is_empty());
}

/// A key, or each key below it, with its example.
fn lines(key: &dyn Described) -> Vec<String> {
    let below = |one: &&'static dyn Described| lines(*one).into_iter().map(|line| format!("{}.{line}", key.name()));
    match key.group() {
        Some(group) => group.iter().flat_map(below).collect(),
        None => vec![format!("{} = {}", key.name(), key.example())],
    }
}

/// The text with what `line` has an effect on: a header that is waited for takes somebody who is trusted to send it, and
/// how often is asked takes something to ask.
fn with_what_it_takes(text: &str, line: &str) -> String {
    let name = line.split(" = ").next().unwrap();
    let tls = "tls = [{ cert = \"/a.crt\", key = \"/a.key\" }]";
    let need = format!("{tls}\nclient_certificates.need = \"optional\"");
    let ca = format!("{tls}\nclient_certificates.ca = \"/b.pem\"");
    let many = |names: &[&str]| {
        let table = |name: &&str| format!("[upstream.{name}]\nendpoints = [\"10.0.0.1:3000\"]\n");
        format!("{text}{}", names.iter().map(table).collect::<String>())
    };
    let both = format!("{need}\nclient_certificates.ca = \"/b.pem\"");
    let age = format!("{tls}\nhsts.age = \"1h\"");
    let (header, more) = match name {
        "tls" => return format!("{text}[acme]\naccept_terms = true\n"),
        // Without it there is a fault: before it there is another one, or none of the three.
        "client_certificates.need" if text.contains(line) => ("[listen.http]", ca.as_str()),
        "client_certificates.need" => ("[listen.http]", tls),
        "client_certificates.ca" if text.contains(line) => ("[listen.http]", need.as_str()),
        "client_certificates.ca" | "client_certificates.crl" => ("[listen.http]", both.as_str()),
        "tcp" => return many(&["postgres"]),
        "passthrough" => return many(&["shop", "others", "rest"]),
        "timeout.carried" => ("[listen.http]", "tcp = \"app\""),
        "hsts.age" => ("[listen.http]", tls),
        _ if name.starts_with("hsts.") => ("[listen.http]", age.as_str()),
        _ if name.starts_with("handshake.") => ("[listen.http]", tls),
        "proxy_protocol" => ("[listen.http]", "trusted_proxies = [\"unix\"]"),
        "health.path" | "health.tcp" | "health.grpc" | "sticky.cookie" => return text.to_owned(),
        _ if name.starts_with("health.") => ("[upstream.app]", "health.path = \"/up\""),
        _ if name.starts_with("sticky.") => ("[upstream.app]", "sticky.cookie = \"place\""),
        _ => return text.to_owned(),
    };
    text.replace(header, &format!("{header}\n{more}"))
}

fn required_line(name: &str) -> &'static str {
    match name {
        "bind" => "bind = \"127.0.0.1:8080\"\n",
        "endpoints" => "endpoints = [\"10.0.0.1:3000\"]\n",
        _ => panic!("{name} is required and not in SMALL"),
    }
}

/// The keys of `[defaults.*]` are those of the named table, without what is required of each, and what makes it another.
#[test]
fn defaults_have_the_keys_of_what_they_are_for() {
    for (all, defaults) in [(LISTEN, LISTEN_DEFAULTS), (UPSTREAM, UPSTREAM_DEFAULTS)] {
        let shared = |key: &&&dyn Described| !key.required() && !["tcp", "passthrough"].contains(&key.name());
        let all: Vec<_> = all.iter().filter(shared).map(|key| key.name()).collect();
        assert_eq!(all, defaults.iter().map(|key| key.name()).collect::<Vec<_>>());
    }
}

// === environment ===
