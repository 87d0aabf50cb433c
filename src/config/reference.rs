//! The reference, made from the keys: once as a file that loads, once as a page. It refuses to know anything that the
//! keys do not say.

use std::fmt::Write;

use super::key::Described;
use super::key::Keys;
use super::keys;

/// `config/reference.toml`: every key with its meaning, what is accepted, and its default as the value.
#[must_use]
pub fn reference_toml() -> String {
    let mut out = String::from(TOML_HEAD);
    toml_key(&mut out, &keys::INCLUDE, "");
    for section in SECTIONS {
        comment(&mut out, section.doc);
        let _ = writeln!(out, "[{}]\n", section.example);
        for key in section.keys {
            toml_key(&mut out, *key, "");
        }
    }
    for section in DEFAULTS {
        comment(&mut out, section.doc);
        let _ = writeln!(out, "[{}]", section.example);
        for key in section.keys {
            toml_default(&mut out, *key, "");
        }
        out.push('\n');
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// `docs/reference/configuration.md`: the same as a page.
#[must_use]
pub fn reference_markdown() -> String {
    let mut out = String::from(MARKDOWN_HEAD);
    out.push_str("\n## The top of the file\n\n");
    out.push_str(TABLE_HEAD);
    row(&mut out, &keys::INCLUDE, "");
    for section in SECTIONS.iter().chain(&DEFAULTS) {
        let _ = write!(out, "\n## `[{}]`\n\n{}\n\n{TABLE_HEAD}", section.header, section.doc);
        for key in section.keys {
            row(&mut out, *key, "");
        }
    }
    out
}

/// One table of the reference.
struct Section {
    /// As it is spoken of.
    header: &'static str,
    /// As it stands in the file.
    example: &'static str,
    keys: Keys,
    doc: &'static str,
}

const SECTIONS: [Section; 5] = [
    Section { header: "process", example: "process", keys: keys::PROCESS, doc: "The process as a whole." },
    Section {
        header: "acme",
        example: "acme",
        keys: keys::acme::ACME,
        doc: "How certificates are got by ACME (RFC 8555) for the listeners that name them: `tls = [{ acme = [NAME, …] }]`.",
    },
    Section {
        header: "listen.NAME",
        example: "listen.http",
        keys: keys::LISTEN,
        doc: "A listener: the addresses that clients connect to. At least one. NAME is 1 to 64 letters, digits, `-`, `_`, `.`.",
    },
    Section {
        header: "upstream.NAME",
        example: "upstream.orders",
        keys: keys::upstream::UPSTREAM,
        doc: "An upstream: one service and the addresses that serve it. NAME is as for listeners.",
    },
    Section {
        header: "host.\"PATTERN\"",
        example: "host.\"shop.example.com\"",
        keys: keys::host::HOST,
        doc: "A host and its routes. At least one. PATTERN is a name (`shop.example.com`), any name below one \
              (`*.example.com`), an IP address (`[::1]`), or any host (`*`); without port, upper and lower case are the \
              same. The most specific pattern wins, whatever the order.",
    },
];

const DEFAULTS: [Section; 2] = [
    Section {
        header: "defaults.listen",
        example: "defaults.listen",
        keys: keys::LISTEN_DEFAULTS,
        doc: "What holds for every listener that does not say otherwise, key by key.",
    },
    Section {
        header: "defaults.upstream",
        example: "defaults.upstream",
        keys: keys::upstream::UPSTREAM_DEFAULTS,
        doc: "What holds for every upstream that does not say otherwise, key by key.",
    },
];

fn toml_key(out: &mut String, key: &dyn Described, prefix: &str) {
    let path = format!("{prefix}{}", key.name());
    comment(out, key.doc());
    if let Some(group) = key.group() {
        comment(out, &format!("Also written `{path} = {{ {} = … }}`.", group.first().map_or("", |key| key.name())));
        out.push('\n');
        for key in group {
            toml_key(out, *key, &format!("{path}."));
        }
        return;
    }
    comment(out, &format!("Accepted: {}. {}", key.accepted(), default_words(key)));
    for part in key.parts().unwrap_or_default() {
        toml_part(out, *part, "");
    }
    otherwise(out, key, &path);
    let _ = writeln!(out, "{path} = {}\n", value(key));
}

/// Another way to write a value: where the default is a word and a table may stand there too.
fn otherwise(out: &mut String, key: &dyn Described, path: &str) {
    if key.parts().is_some() && key.default().is_some_and(|default| default == value(key)) {
        let _ = writeln!(out, "{OTHERWISE}{path} = {}", key.example());
    }
}

fn toml_part(out: &mut String, part: &dyn Described, prefix: &str) {
    let path = format!("{prefix}{}", part.name());
    if let Some(group) = part.group() {
        comment_indented(out, &format!("{path}: {} A table.", part.doc()));
        for part in group {
            toml_part(out, *part, &format!("{path}."));
        }
        return;
    }
    let text = format!("{path}: {} Accepted: {}. {}", part.doc(), part.accepted(), default_words(part));
    comment_indented(out, &text);
}

fn toml_default(out: &mut String, key: &dyn Described, prefix: &str) {
    let path = format!("{prefix}{}", key.name());
    match key.group() {
        Some(group) => group.iter().for_each(|key| toml_default(out, *key, &format!("{path}."))),
        None => {
            otherwise(out, key, &path);
            let _ = writeln!(out, "{path} = {}", value(key));
        }
    }
}

/// The default, with all its parts where each has one, or the example where there is none.
fn value(key: &dyn Described) -> String {
    let Some(default) = key.default() else { return key.example().to_owned() };
    let parts = key.parts().unwrap_or_default();
    if parts.iter().any(|part| part.default().is_none()) {
        return default;
    }
    let parts = parts.iter();
    let parts: Vec<String> = parts.filter_map(|part| Some(format!("{} = {}", part.name(), part.default()?))).collect();
    if parts.is_empty() { default } else { format!("{{ {} }}", parts.join(", ")) }
}

fn default_words(key: &dyn Described) -> String {
    match key.default() {
        Some(default) => format!("Default: {default}."),
        None if key.required() => "Required.".into(),
        None => "No default.".into(),
    }
}

fn row(out: &mut String, key: &dyn Described, prefix: &str) {
    let path = format!("{prefix}{}", key.name());
    if let Some(group) = key.group() {
        let _ = writeln!(out, "| `{path}` | a table | | {} |", key.doc());
        for key in group {
            row(out, *key, &format!("{path}."));
        }
        return;
    }
    let default = match key.default() {
        Some(default) => format!("`{default}`"),
        None if key.required() => "required".into(),
        None => "none".into(),
    };
    let _ = writeln!(out, "| `{path}` | {} | {default} | {} |", key.accepted(), key.doc());
    for part in key.parts().unwrap_or_default() {
        row(out, *part, &format!("{path}: "));
    }
}

fn comment(out: &mut String, text: &str) {
    wrap(out, text, "# ", "# ");
}

fn comment_indented(out: &mut String, text: &str) {
    wrap(out, text, "# - ", "#   ");
}

fn wrap(out: &mut String, text: &str, first: &str, rest: &str) {
    let mut line = String::from(first);
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line = String::from(rest);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    out.push_str(&line);
    out.push('\n');
}

/// What begins the line of another way to write the next.
pub(super) const OTHERWISE: &str = "# Or: ";
/// Characters of a line of comment.
const WIDTH: usize = 100;

const TOML_HEAD: &str = "\
# Every key of the configuration, with its default as the value. This file loads as it stands.
# Generated from the same description that checks a file; RINGWAY_BLESS=1 cargo test config:: writes it anew.
#
# Durations are strings with a unit: us, ms, s, m, h. Sizes too: B, KiB, MiB, GiB, KB, MB, GB.
# Strings may hold ${NAME} and ${NAME:-default} from the environment; $${ is a literal ${.

";

const MARKDOWN_HEAD: &str = "\
# Configuration reference

Every key, what is accepted, and its default. Generated from the same description that checks a file;
`RINGWAY_BLESS=1 cargo test config::` writes it anew. The same as a file that loads: `config/reference.toml`.

- **Durations** are strings with a unit: `us`, `ms`, `s`, `m`, `h`, as in `\"250ms\"` or `\"1.5s\"`. **Sizes** too: `B`,
  `KiB`, `MiB`, `GiB` (powers of 1024), `KB`, `MB`, `GB` (powers of 1000). A number without a unit is an error.
- **Environment**: `${NAME}` and `${NAME:-default}` are filled in inside string values, after the file is parsed, so that a
  value never becomes a key. A variable that is not set and has no default is an error; as in a shell, `:-` counts an empty
  one as not set. `$${` is a literal `${`.
- **Unknown keys** are errors, and so is every value out of its range. `ringway check` shows all of them at once.
- **Files**: the tables of included files are added to those of the main file. `[process]` and `[defaults]` may be spread
  over files key by key; each listener, upstream and host stands whole in one file.
- **Precedence**: a key of `[listen.NAME]` or `[upstream.NAME]` wins over the same key of `[defaults]`, which wins over the
  built-in default; tables such as `timeout` are merged key by key.
";

const TABLE_HEAD: &str = "| Key | Accepted | Default | Meaning |\n|---|---|---|---|\n";
