//! The path by tables, and against a slow reading of the RFC.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

const RULES: [Rule; 3] = [Rule::Keep, Rule::Resolve, Rule::Refuse];

fn rules(dots: Rule, slashes: Rule, encoded_slashes: Rule) -> Rules {
    Rules { dots, slashes, encoded_slashes }
}

const KEEP: Rules = Rules { dots: Rule::Keep, slashes: Rule::Keep, encoded_slashes: Rule::Keep };
const DEFAULT: Rules = Rules { dots: Rule::Resolve, ..KEEP };
const RESOLVE: Rules = Rules { dots: Rule::Resolve, slashes: Rule::Resolve, encoded_slashes: Rule::Resolve };
const REFUSE: Rules = Rules { dots: Rule::Refuse, slashes: Rule::Refuse, encoded_slashes: Rule::Refuse };

fn all_rules() -> impl Iterator<Item = Rules> {
    let pairs = RULES.into_iter().flat_map(|dots| RULES.map(|slashes| (dots, slashes)));
    pairs.flat_map(|(dots, slashes)| RULES.map(|encoded| rules(dots, slashes, encoded)))
}

/// The path as it goes on.
fn normal(path: &str, rules: Rules) -> Result<String, Refusal> {
    let mut out = b"from before".to_vec();
    let outcome = normalise(path.as_bytes(), rules, &mut out)?;
    let written = String::from_utf8(out).expect("ASCII");
    match outcome {
        Outcome::Normal => assert_eq!(written, "", "{path} is normal, yet something was written"),
        Outcome::Rewritten => assert_ne!(written, path, "{path} was written as it was"),
    }
    Ok(if outcome == Outcome::Normal { path.to_owned() } else { written })
}

/// A slow reading of the same rules: one step after the other, each over a text of its own.
fn slow(path: &str, rules: Rules) -> Result<String, Refusal> {
    let mut text = String::new();
    let mut chars = path.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
            continue;
        }
        let digits: String = chars.by_ref().take(2).collect();
        if digits.len() != 2 || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(Refusal::BadEscape);
        }
        match u8::from_str_radix(&digits, 16).map(char::from).expect("two digits") {
            '\0' => return Err(Refusal::EscapedNul),
            '\r' | '\n' => return Err(Refusal::EscapedLineEnd),
            '/' | '\\' if rules.encoded_slashes == Rule::Refuse => return Err(Refusal::EncodedSlash),
            '/' | '\\' if rules.encoded_slashes == Rule::Resolve => text.push('/'),
            c if c.is_ascii_alphanumeric() || "-._~".contains(c) => text.push(c),
            _ => text = format!("{text}%{}", digits.to_uppercase()),
        }
    }
    if text.is_empty() {
        text.push('/');
    }
    while rules.slashes != Rule::Keep && text.contains("//") {
        if rules.slashes == Rule::Refuse {
            return Err(Refusal::EmptySegment);
        }
        text = text.replace("//", "/");
    }
    let segments: Vec<&str> = text.split('/').skip(1).collect();
    let is_dots = |segment: &str| segment == "." || segment == "..";
    if rules.dots == Rule::Keep {
        return Ok(text);
    }
    for segment in &segments {
        let others = segment.replace("%2F", "/").replace("%5C", "/").replace('\\', "/").replace("%3B", ";");
        let hides = others.split('/').any(|part| is_dots(part.split(';').next().expect("a part")));
        if hides && !is_dots(segment) {
            return Err(Refusal::HiddenDots);
        }
    }
    if !segments.iter().any(|segment| is_dots(segment)) {
        return Ok(text);
    }
    if rules.dots == Rule::Refuse {
        return Err(Refusal::DotSegment);
    }
    let mut kept = Vec::new();
    for (at, segment) in segments.iter().enumerate() {
        match *segment {
            "." => {}
            ".." => drop(kept.pop().ok_or(Refusal::AboveRoot)?),
            segment => kept.push(segment),
        }
        if is_dots(segment) && at + 1 == segments.len() {
            kept.push("");
        }
    }
    Ok(format!("/{}", kept.join("/")))
}

#[test]
fn plain_paths_are_normal_by_every_rule() {
    let long = format!("/{}", "orders/".repeat(200));
    for path in ["/", "/a", "/orders/1", "/a/b.c/d..e/f...", "/a.", "/a..", "/sub-delims!$&'()*+,;=:@", "/a;b/c", &long]
    {
        for rules in all_rules() {
            assert_eq!(normal(path, rules), Ok(path.to_owned()), "{rules:?}");
        }
        assert!(is_plain(path.as_bytes()), "{path} costs more than a look");
    }
    for path in ["/.well-known/x", "/...", "/..a", "/.../b", "/a/.b", "/a%20b", "/%25", "/%C3%BC", "/a%252F..", "/%3B"]
    {
        for rules in all_rules() {
            assert_eq!(normal(path, rules), Ok(path.to_owned()), "{rules:?}");
        }
    }
}

#[test]
fn escapes_are_written_in_one_way() {
    for (path, expected) in [
        ("/%61%7E%2d%5F%2e5/%41", Ok("/a~-_.5/A")),
        ("/%2f%2F/%5c", Ok("/%2F%2F/%5C")),
        ("/%e2%82%ac/%E2%82%aC", Ok("/%E2%82%AC/%E2%82%AC")),
        ("/%2561", Ok("/%2561")),
        ("/%25%36%31", Ok("/%2561")),
        ("/%c0%ae%c0%ae/", Ok("/%C0%AE%C0%AE/")),
        ("/%", Err(Refusal::BadEscape)),
        ("/a%", Err(Refusal::BadEscape)),
        ("/a%2", Err(Refusal::BadEscape)),
        ("/a%zz", Err(Refusal::BadEscape)),
        ("/a%2g/b", Err(Refusal::BadEscape)),
        ("/a%g2/b", Err(Refusal::BadEscape)),
        ("/%2%46", Err(Refusal::BadEscape)),
        ("/%%361", Err(Refusal::BadEscape)),
        ("/%u0061", Err(Refusal::BadEscape)),
        ("/a%00", Err(Refusal::EscapedNul)),
        ("/a%0d", Err(Refusal::EscapedLineEnd)),
        ("/a%0Ab", Err(Refusal::EscapedLineEnd)),
        ("", Ok("/")),
        ("a/b", Err(Refusal::BadTarget)),
    ] {
        assert_eq!(normal(path, KEEP), expected.map(str::to_owned), "{path}");
    }
}

#[test]
fn dot_segments_are_resolved_as_in_the_examples_of_the_rfc() {
    // RFC 3986 §5.2.4 and §5.4: the references that are not complete by themselves, behind the base's path; what leads
    // above the root is refused here.
    for (path, expected) in [
        ("/a/b/c/./../../g", Ok("/a/g")),
        ("/b/c/g", Ok("/b/c/g")),
        ("/b/c/./g", Ok("/b/c/g")),
        ("/b/c/g/", Ok("/b/c/g/")),
        ("/b/c/;x", Ok("/b/c/;x")),
        ("/b/c/g;x", Ok("/b/c/g;x")),
        ("/b/c/.", Ok("/b/c/")),
        ("/b/c/./", Ok("/b/c/")),
        ("/b/c/..", Ok("/b/")),
        ("/b/c/../", Ok("/b/")),
        ("/b/c/../g", Ok("/b/g")),
        ("/b/c/../..", Ok("/")),
        ("/b/c/../../", Ok("/")),
        ("/b/c/../../g", Ok("/g")),
        ("/b/c/../../../g", Err(Refusal::AboveRoot)),
        ("/b/c/../../../../g", Err(Refusal::AboveRoot)),
        ("/./g", Ok("/g")),
        ("/../g", Err(Refusal::AboveRoot)),
        ("/b/c/g.", Ok("/b/c/g.")),
        ("/b/c/.g", Ok("/b/c/.g")),
        ("/b/c/g..", Ok("/b/c/g..")),
        ("/b/c/..g", Ok("/b/c/..g")),
        ("/b/c/./../g", Ok("/b/g")),
        ("/b/c/./g/.", Ok("/b/c/g/")),
        ("/b/c/g/./h", Ok("/b/c/g/h")),
        ("/b/c/g/../h", Ok("/b/c/h")),
        ("/b/c/g;x=1/./y", Ok("/b/c/g;x=1/y")),
        ("/b/c/g;x=1/../y", Ok("/b/c/y")),
        ("/..", Err(Refusal::AboveRoot)),
        ("/.", Ok("/")),
        ("/a/..", Ok("/")),
        ("/a/../..", Err(Refusal::AboveRoot)),
        ("/a/%2e%2E/b", Ok("/b")),
        ("/a/.%2e/%2e", Ok("/")),
        ("//a/../b", Ok("//b")),
        ("/a//../b", Ok("/a/b")),
        ("/a/..//b", Ok("//b")),
        ("//..", Ok("/")),
    ] {
        assert_eq!(normal(path, DEFAULT), expected.map(str::to_owned), "{path}");
    }
}

#[test]
fn each_rule_keeps_resolves_or_refuses() {
    let dots = |dots| rules(dots, Rule::Keep, Rule::Keep);
    let slashes = |slashes| rules(Rule::Resolve, slashes, Rule::Keep);
    let encoded = |encoded| rules(Rule::Resolve, Rule::Keep, encoded);
    for (path, rules, expected) in [
        ("/a/../b/./c", dots(Rule::Keep), Ok("/a/../b/./c")),
        ("/a/%2e%2e/b", dots(Rule::Keep), Ok("/a/../b")),
        ("/../a", dots(Rule::Keep), Ok("/../a")),
        ("/a/..%2fb\\..", dots(Rule::Keep), Ok("/a/..%2Fb\\..")),
        ("/a/../b", dots(Rule::Refuse), Err(Refusal::DotSegment)),
        ("/a/%2E", dots(Rule::Refuse), Err(Refusal::DotSegment)),
        ("/a/..%2fb", dots(Rule::Refuse), Err(Refusal::HiddenDots)),
        ("//a///b//", slashes(Rule::Keep), Ok("//a///b//")),
        ("//a///b//", slashes(Rule::Resolve), Ok("/a/b/")),
        ("/a//../b", slashes(Rule::Resolve), Ok("/b")),
        ("/a/b//", slashes(Rule::Refuse), Err(Refusal::EmptySegment)),
        ("/a%2F/b", slashes(Rule::Refuse), Ok("/a%2F/b")),
        ("/a%2fb%5cc", encoded(Rule::Keep), Ok("/a%2Fb%5Cc")),
        ("/a%2fb%5cc", encoded(Rule::Resolve), Ok("/a/b/c")),
        ("/a%2f..%5cc", encoded(Rule::Resolve), Ok("/c")),
        ("/a%2f..%5c..", encoded(Rule::Resolve), Err(Refusal::AboveRoot)),
        ("/a%2Fb", encoded(Rule::Refuse), Err(Refusal::EncodedSlash)),
        ("/a%5cb", encoded(Rule::Refuse), Err(Refusal::EncodedSlash)),
        ("/a\\b", REFUSE, Ok("/a\\b")),
        ("/a%2f%2Fb/", RESOLVE, Ok("/a/b/")),
        ("/a/%2F/b", rules(Rule::Keep, Rule::Refuse, Rule::Resolve), Err(Refusal::EmptySegment)),
    ] {
        assert_eq!(normal(path, rules), expected.map(str::to_owned), "{path} {rules:?}");
    }
}

#[test]
fn a_dot_segment_that_only_others_would_see_is_refused() {
    let hidden = [
        "/a/..%2fb",
        "/a/%2f..",
        "/a%2f..%2fb",
        "/a/..\\b",
        "/a\\..\\b",
        "/a\\..",
        "/a/.%5c",
        "/%5C%2e%2e/b",
        "/a/..%2f",
        "/..;/b",
        "/a/..;x=1/b",
        "/a/.;/b",
        "/a/..%3b/b",
        "/a%2f..;x/b",
        "/..%2f..",
        "/x/..%5c../y",
        "/\\..",
        "/..\\..",
    ];
    for path in hidden {
        assert_eq!(normal(path, DEFAULT), Err(Refusal::HiddenDots), "{path}");
        assert_eq!(normal(path, rules(Rule::Refuse, Rule::Keep, Rule::Keep)), Err(Refusal::HiddenDots), "{path}");
        assert!(normal(path, KEEP).is_ok(), "{path}");
    }
    for path in
        ["/a%2Fb", "/a%2F...", "/a..%2Fb", "/a\\b", "/a;..", "/..a;b", "/...;b", "/a%2F.b", "/%2F", "/\\", "/a\\"]
    {
        assert_eq!(normal(path, DEFAULT), Ok(path.to_owned()));
    }
}

/// Paths of the pieces that matter, many of them short.
fn path() -> impl Strategy<Value = String> {
    let pieces = [
        "/", "/", "/", ".", ".", "..", "%2e", "%2E", "%2f", "%2F", "%5c", "%5C", "\\", ";", "%3b", "a", "bc", "%61",
        "%7e", "%20", "%25", "%c3", "orders", "//", "/../", "/./", "%", "%2", "%00", "%0d", "%0A", "-", "/admin/",
    ];
    vec(select(pieces.to_vec()), 0..12).prop_map(|pieces| format!("/{}", pieces.concat()))
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let rule = || select(RULES.to_vec());
    (rule(), rule(), rule()).prop_map(|(dots, slashes, encoded)| rules(dots, slashes, encoded))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, ..ProptestConfig::default() })]

    #[test]
    fn it_reads_as_the_slow_one_does(path in path(), rules in any_rules()) {
        prop_assert_eq!(normal(&path, rules), slow(&path, rules));
    }

    #[test]
    fn what_is_normal_stays_so(path in path(), rules in any_rules()) {
        if let Ok(once) = normal(&path, rules) {
            prop_assert_eq!(normal(&once, rules), Ok(once.clone()));
            prop_assert!(once.len() <= path.len());
        }
    }

    #[test]
    fn what_is_resolved_is_gone(path in path(), rules in any_rules()) {
        if let Ok(normal) = normal(&path, rules) {
            prop_assert!(normal.starts_with('/'));
            if rules.dots != Rule::Keep {
                // However a reader takes slashes and cuts segments.
                let parts = normal.replace("%2F", "/").replace("%5C", "/").replace('\\', "/").replace("%3B", ";");
                prop_assert!(parts.split('/').all(|part| !matches!(part.split(';').next(), Some("." | ".."))));
            }
            prop_assert!(rules.slashes == Rule::Keep || !normal.contains("//"));
            prop_assert!(rules.encoded_slashes == Rule::Keep || !(normal.contains("%2F") || normal.contains("%5C")));
        }
    }

    #[test]
    fn any_bytes_are_read_without_harm(path in vec(any::<u8>(), 0..40), rules in any_rules()) {
        let mut out = Vec::new();
        if normalise(&path, rules, &mut out) == Ok(Outcome::Normal) {
            prop_assert!(out.is_empty());
        }
    }

    #[test]
    fn a_plain_path_is_none_that_a_rule_is_about(path in path()) {
        if is_plain(path.as_bytes()) {
            prop_assert!(!path.contains("//") && !path.contains("/.") && !path.contains(['%', '\\']), "{}", path);
        }
    }
}
