//! `${NAME}` and `${NAME:-default}` inside string values, after parsing, so that a value can never become a key or a
//! second value. It refuses to know what the strings are for.

use super::report::Fault;
use super::report::Faults;
use super::report::Span;
use super::report::tick;

/// Where variables are looked up.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The text with its variables filled in, or nothing after a fault; `$${` stands for a literal `${`. `source` is the whole file and `span` the
/// string in it: a fault points at the variable where it can be found there, else at the string.
pub(super) fn expand(
    text: &str,
    source: &str,
    span: Span,
    env: Environment<'_>,
    faults: &mut Faults,
) -> Option<String> {
    let mut whole = true;
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut from = span.start;
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        if let Some(kept) = before.strip_suffix('$') {
            out.push_str(kept);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let inside = after.find('}').map(|end| &after[..end]);
        let written = inside.map_or("${", |inside| &rest[at..at + inside.len() + 3]);
        let place = find(source, from, span, written);
        from = place.end.min(span.end);
        match inside.map_or(Err(Refusal::Malformed), |inside| value(inside, env)) {
            Ok(value) => out.push_str(&value),
            Err(refusal) => {
                whole = false;
                faults.add(refusal.fault(place));
            }
        }
        rest = inside.map_or("", |inside| &after[inside.len() + 1..]);
    }
    out.push_str(rest);
    whole.then_some(out)
}

/// The text with every `${` written so that [`expand`] gives it back.
pub(super) fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

enum Refusal<'a> {
    Unset(&'a str),
    Malformed,
}

impl Refusal<'_> {
    fn fault(&self, place: Span) -> Fault {
        match self {
            Self::Unset(name) => Fault::wrong(place, format!("the environment variable {} is not set", tick(name)))
                .help(format!("set it, or give a default: ${{{name}:-default}}")),
            Self::Malformed => Fault::wrong(place, "`${` begins an environment variable and this is none")
                .help("accepted are ${NAME} and ${NAME:-default}; write $${ for a literal ${"),
        }
    }
}

fn value<'a>(inside: &'a str, env: Environment<'_>) -> Result<String, Refusal<'a>> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(letter) || name.as_bytes()[0].is_ascii_digit() {
        return Err(Refusal::Malformed);
    }
    // As in a shell: with `:-` an empty variable counts as unset.
    match (env(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(Refusal::Unset(name)),
    }
}

fn find(source: &str, from: usize, span: Span, written: &str) -> Span {
    let found = source.get(from..span.end).and_then(|text| text.find(written));
    found.map_or(span, |at| Span { start: from + at, end: from + at + written.len(), ..span })
}
