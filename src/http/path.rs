//! Paths that different readers may read differently, and the one reading that is both routed and forwarded. It refuses
//! to know which listener wants which rules, and what a route is.
//!
//! Always: an escaped unreserved character is written out and the digits of all other escapes become upper case, so that
//! what RFC 3986 §6.2.2 holds to be the same is the same bytes; a broken escape and an escaped NUL, CR or LF are refused.
//!
//! By the [`Rules`]: encoded slashes first, then several slashes in a row, then dot segments. Unless these are kept, a
//! segment that would become one for a reader who takes `\`, `%2F` or `%5C` for a slash, or cuts a segment at `;`, is
//! refused: no endpoint may see a path that means another one to it.

use crate::http::Refusal;

/// What becomes of a part of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It is passed on as it is.
    Keep,
    /// It is replaced by what it stands for.
    Resolve,
    /// The request is refused.
    Refuse,
}

/// What becomes of the parts of a path that different readers may read differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Of `.` and `..` between slashes, percent-encoded or not.
    pub dots: Rule,
    /// Of several slashes in a row; resolved: one.
    pub slashes: Rule,
    /// Of `%2F` and `%5C`; resolved: decoded to a slash.
    pub encoded_slashes: Rule,
}

impl Rules {
    /// Nothing is taken that can be read in two ways.
    pub const STRICT: Self = Self { dots: Rule::Refuse, slashes: Rule::Refuse, encoded_slashes: Rule::Refuse };
}

/// What came of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is as it should be; nothing was written.
    Normal,
    /// It was written anew.
    Rewritten,
}

/// Brings a path, without its query, into the form in which it is routed and forwarded. What differs is written to `out`,
/// whose content is lost in any case; an empty path is `/` (RFC 9110 §4.2.3).
///
/// What is written is never longer than what was read, but for the empty path, and is normal by the same rules.
///
/// # Errors
/// [`Refusal`]: an escape that is none, an escaped NUL, CR or LF, what a rule refuses, `..` above the root, a hidden dot segment, a
/// path that does not begin with a slash.
#[inline]
pub fn normalise(path: &[u8], rules: Rules, out: &mut Vec<u8>) -> Result<Outcome, Refusal> {
    out.clear();
    if is_plain(path) { Ok(Outcome::Normal) } else { rewrite(path, rules, out) }
}

/// Whether a path has nothing in it that any rule could be about.
#[inline]
fn is_plain(path: &[u8]) -> bool {
    if path.first() != Some(&b'/') {
        return false;
    }
    let Some(last) = path.last_chunk() else {
        return suspect(path.iter().rev().fold(0, |bytes, byte| bytes << 8 | u64::from(*byte))) == 0;
    };
    // Each window holds the last byte of the one before, for the sake of pairs; the last one holds what is left.
    let mut found = suspect(u64::from_le_bytes(*last));
    let mut rest = path;
    while let Some(window) = rest.first_chunk() {
        found |= suspect(u64::from_le_bytes(*window));
        rest = rest.get(7..).unwrap_or(&[]);
    }
    found == 0
}

/// Not 0 if among these eight bytes, the first at the low end, is a `%`, a `\`, or a slash before another or before a
/// dot; and sometimes without.
#[inline]
fn suspect(bytes: u64) -> u64 {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let is = |byte: u8| {
        let zeros = bytes ^ (LOW * u64::from(byte));
        zeros.wrapping_sub(LOW) & !zeros & HIGH
    };
    let slash = is(b'/');
    is(b'%') | is(b'\\') | ((slash << 8) & (slash | is(b'.')))
}

#[cold]
fn rewrite(path: &[u8], rules: Rules, out: &mut Vec<u8>) -> Result<Outcome, Refusal> {
    match path {
        [] => {
            out.push(b'/');
            return Ok(Outcome::Rewritten);
        }
        [b'/', ..] => {}
        _ => return Err(Refusal::BadTarget),
    }
    escapes(path, rules.encoded_slashes, out)?;
    let now = if out.is_empty() { path } else { out.as_slice() };
    if rules.slashes != Rule::Keep && memchr::memmem::find(now, b"//").is_some() {
        if rules.slashes == Rule::Refuse {
            return Err(Refusal::EmptySegment);
        }
        begin(path, out);
        out.dedup_by(|one, before| *one == b'/' && *before == b'/');
    }
    let now = if out.is_empty() { path } else { out.as_slice() };
    if rules.dots != Rule::Keep {
        if now.split(|byte| *byte == b'/').any(hides_dots) {
            return Err(Refusal::HiddenDots);
        }
        if now.split(|byte| *byte == b'/').any(|segment| matches!(segment, b"." | b"..")) {
            if rules.dots == Rule::Refuse {
                return Err(Refusal::DotSegment);
            }
            begin(path, out);
            resolve_dots(out)?;
        }
    }
    Ok(if out.is_empty() { Outcome::Normal } else { Outcome::Rewritten })
}

/// Writes the path, unless something was written before.
fn begin(path: &[u8], out: &mut Vec<u8>) {
    if out.is_empty() {
        out.extend_from_slice(path);
    }
}

/// Writes the path with its escapes as they should be, if any is not.
fn escapes(path: &[u8], slashes: Rule, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let (mut written, mut from) = (0, 0);
    while let Some(found) = path.get(from..).and_then(|rest| memchr::memchr(b'%', rest)) {
        let at = from + found;
        from = at + 3;
        let Some(escape @ &[_, high, low]) = path.get(at..).and_then(|rest| rest.first_chunk::<3>()) else {
            return Err(Refusal::BadEscape);
        };
        let byte = value(high)? << 4 | value(low)?;
        let upper = [b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()];
        let (plain, slash) = ([byte], [b'/']);
        let better: &[u8] = match byte {
            0 => return Err(Refusal::EscapedNul),
            b'\r' | b'\n' => return Err(Refusal::EscapedLineEnd),
            b'-' | b'.' | b'_' | b'~' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => &plain,
            b'/' | b'\\' if slashes == Rule::Refuse => return Err(Refusal::EncodedSlash),
            b'/' | b'\\' if slashes == Rule::Resolve => &slash,
            _ => &upper,
        };
        if better != escape {
            out.extend_from_slice(path.get(written..at).unwrap_or(&[]));
            out.extend_from_slice(better);
            written = from;
        }
    }
    if written > 0 {
        out.extend_from_slice(path.get(written..).unwrap_or(&[]));
    }
    Ok(())
}

/// Of a hexadecimal digit.
fn value(digit: u8) -> Result<u8, Refusal> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(Refusal::BadEscape),
    }
}

/// Whether a segment that is no dot segment has one in it for a reader who takes more bytes for a slash than we do, or
/// cuts parameters off: `..%2F`, `a\..`, `..;b`. Its escapes are as they should be.
fn hides_dots(segment: &[u8]) -> bool {
    let mut rest = segment;
    // So many dots and nothing else since the last slash, real or so taken; none: something else.
    let mut dots = Some(0);
    loop {
        let dotted = matches!(dots, Some(1 | 2));
        (dots, rest) = match rest {
            [] => return dotted && !matches!(segment, b"." | b".."),
            [b'\\', rest @ ..] | [b'%', b'2', b'F', rest @ ..] | [b'%', b'5', b'C', rest @ ..] if !dotted => {
                (Some(0), rest)
            }
            [b'\\' | b';', ..] | [b'%', b'2', b'F', ..] | [b'%', b'5', b'C', ..] | [b'%', b'3', b'B', ..] if dotted => {
                return true;
            }
            [b'.', rest @ ..] => (dots.map(|dots| dots + 1), rest),
            [_, rest @ ..] => (None, rest),
        };
    }
}

/// Takes dot segments out, and what `..` leads out of (RFC 3986 §5.2.4).
fn resolve_dots(path: &mut Vec<u8>) -> Result<(), Refusal> {
    let (mut kept, mut from) = (0, 0);
    while let Some([b'/', rest @ ..]) = path.get(from..) {
        let len = memchr::memchr(b'/', rest).unwrap_or(rest.len());
        let (segment, last) = (rest.get(..len).unwrap_or(&[]), len == rest.len());
        let (begin, end) = (from, from + 1 + len);
        from = end;
        match segment {
            b"." => {}
            b".." => {
                let before = path.get(..kept).and_then(|kept| memchr::memrchr(b'/', kept));
                kept = before.ok_or(Refusal::AboveRoot)?;
            }
            _ => {
                path.copy_within(begin..end, kept);
                kept += end - begin;
                continue;
            }
        }
        // What a last dot segment leads to is a directory. There is room: the dots are gone.
        if last && let Some(place) = path.get_mut(kept) {
            *place = b'/';
            kept += 1;
        }
    }
    path.truncate(kept);
    Ok(())
}

#[cfg(test)]
mod tests;
