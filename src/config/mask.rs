//! What of a text may be shown: all of it but its secrets. It works on the text as it stands, which may be no TOML at all: a
//! fault is the very reason why it is shown. It refuses to know what is wrong with it.

use std::borrow::Cow;

/// The text with a star for each byte of the values of keys that are called a secret, or nearly so; every other byte stays
/// where it is. The name of an environment variable is no secret.
pub(super) fn mask(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let (mut done, mut from) = (0, 0);
    while let Some(sign) = text.get(from..).and_then(|rest| rest.find('=')).map(|at| from + at) {
        from = sign + 1;
        if !is_secret(text.get(..sign).unwrap_or_default()) {
            continue;
        }
        let rest = text.get(from..).unwrap_or_default();
        let begin = from + rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let (start, end) = value(text, begin);
        from = end;
        let hidden = text.get(start..end).unwrap_or_default();
        if !is_reference(hidden) {
            shown.push_str(text.get(done..start).unwrap_or_default());
            shown.extend(hidden.chars().map(|letter| if letter == '\n' { "\n" } else { stars(letter.len_utf8()) }));
            done = end;
        }
    }
    if done == 0 {
        return Cow::Borrowed(text);
    }
    shown.push_str(text.get(done..).unwrap_or_default());
    Cow::Owned(shown)
}

/// Whether the key that a text ends with is called a secret. A slip in the name makes its value no less of one.
fn is_secret(before: &str) -> bool {
    let before = before.trim_end_matches([' ', '\t', '"', '\'']);
    let begin = before.rfind(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != '-');
    let name = begin
        .map_or(before, |at| before.get(at..).unwrap_or_default())
        .trim_start_matches(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != '-');
    let name = name.to_ascii_lowercase();
    name.contains(NAME) || name.len().abs_diff(NAME.len()) <= SLIPS && strsim::osa_distance(&name, NAME) <= SLIPS
}

/// From where to where the value at `begin` goes, without its quotes; one without an end goes to that of its line, or of the
/// text if it may have many.
fn value(text: &str, begin: usize) -> (usize, usize) {
    let rest = text.get(begin..).unwrap_or_default();
    for quotes in ["\"\"\"", "'''"] {
        if let Some(inside) = rest.strip_prefix(quotes) {
            let start = begin + quotes.len();
            return (start, start + inside.find(quotes).unwrap_or(inside.len()));
        }
    }
    let line = rest.lines().next().unwrap_or_default();
    let Some(quote) = line.chars().next().filter(|letter| matches!(letter, '"' | '\'')) else {
        let word = line.split([',', '}', ']']).next().unwrap_or_default();
        return (begin, begin + word.trim_end().len());
    };
    let (start, mut escaped) = (begin + 1, false);
    let end = line.char_indices().skip(1).find(|(_, letter)| {
        let ends = *letter == quote && !escaped;
        escaped = quote == '"' && *letter == '\\' && !escaped;
        ends
    });
    (start, begin + end.map_or(line.len(), |(at, _)| at))
}

/// Whether it is the name of an environment variable and nothing else.
fn is_reference(value: &str) -> bool {
    let name = value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
}

fn stars(count: usize) -> &'static str {
    "****".get(..count).unwrap_or("*")
}

const NAME: &str = "secret";
/// Letters that may be wrong in the name.
const SLIPS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_secrets_are_stars_and_nothing_moves() {
        for (text, shown) in [
            ("secret = \"abc\"\nkey = \"abc\"", "secret = \"***\"\nkey = \"abc\""),
            ("a = { cookie = \"x\", secret=\"a \\\" b\", b = 1 }", "a = { cookie = \"x\", secret=\"******\", b = 1 }"),
            ("sticky.secret = 'a\\'", "sticky.secret = '**'"),
            ("\"secret\" = 'é'", "\"secret\" = '**'"),
            ("secret = \"\"\"\nab\ncd\"\"\" # e", "secret = \"\"\"\n**\n**\"\"\" # e"),
            ("secret = '''ab", "secret = '''**"),
            // What is no TOML, or not the name.
            ("secret = \"no end\nkey = 1", "secret = \"******\nkey = 1"),
            ("{ secret = bare word, b = 1 }", "{ secret = *********, b = 1 }"),
            ("{ secret = 12 }", "{ secret = ** }"),
            ("secrte = \"abc\"", "secrte = \"***\""),
            ("Secrets = \"abc\"", "Secrets = \"***\""),
            ("secret_key = \"abc\"", "secret_key = \"***\""),
            ("secret = \"${NAME:-abc}\"", "secret = \"************\""),
            ("secret = \"a\" secret = \"b\"", "secret = \"*\" secret = \"*\""),
            ("secret =", "secret ="),
            ("secret = ", "secret = "),
        ] {
            assert_eq!(mask(text), shown, "{text:?}");
            assert_eq!(mask(text).len(), text.len());
        }
    }

    #[test]
    fn what_is_no_secret_is_shown() {
        for text in
            ["", "=", "a = \"secret\"", "secret", "secret = \"${NAME}\"", "section = \"abc\"", "# of the secret"]
        {
            assert!(matches!(mask(text), Cow::Borrowed(shown) if shown == text), "{text:?}: {}", mask(text));
        }
    }
}
