//! HTTP/1.1 read a second time, from the grammar alone: RFC 9110 §5, RFC 9112 §2 to §7, RFC 3986 §3.2.2. Slow, copying and
//! plain; it shares nothing with the gateway's codec, so that the two can be held against each other.
//!
//! It is strict where the RFCs leave a choice and the gateway chose: a bare LF ends no line (RFC 9112 §2.2), folding is
//! refused (§5.2), one Content-Length, and `chunked` alone as a coding (§6.1, §6.3). It is lenient in the three places where
//! the gateway is, each marked with LENIENT.

/// What a reading of some bytes found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading<T> {
    /// They may become a message.
    More,
    /// They begin with a message.
    Whole(T),
    /// They are none, whatever comes.
    Never(&'static str),
}

/// A name and a value.
pub type Field = (Vec<u8>, Vec<u8>);

/// How the content is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: Vec<u8>,
    pub target: Vec<u8>,
    pub minor: u8,
    pub fields: Vec<Field>,
    /// The target's authority, else the Host field's.
    pub authority: Vec<u8>,
    pub body: Body,
    /// Bytes of the head, empty lines before it included.
    pub len: usize,
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub minor: u8,
    pub status: u16,
    pub reason: Vec<u8>,
    pub fields: Vec<Field>,
    pub body: Body,
    pub len: usize,
}

/// A chunked body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunks {
    pub data: Vec<u8>,
    pub trailers: Vec<Field>,
    pub len: usize,
}

/// Reads a request and settles its framing.
pub fn request(bytes: &[u8]) -> Reading<Request> {
    // RFC 9112 §2.2: empty lines before a request are ignored.
    let mut start = 0;
    while bytes[start..].starts_with(b"\r\n") {
        start += 2;
    }
    match head(&bytes[start..]) {
        Reading::More => Reading::More,
        Reading::Never(why) => Reading::Never(why),
        Reading::Whole((lines, len)) => match settle_request(&lines, start + len) {
            Ok(request) => Reading::Whole(request),
            Err(why) => Reading::Never(why),
        },
    }
}

/// Reads a response to HEAD or to a request that is neither HEAD nor CONNECT, and settles its framing.
pub fn response(bytes: &[u8], to_head: bool) -> Reading<Response> {
    match head(bytes) {
        Reading::More => Reading::More,
        Reading::Never(why) => Reading::Never(why),
        Reading::Whole((lines, len)) => match settle_response(&lines, len, to_head) {
            Ok(response) => Reading::Whole(response),
            Err(why) => Reading::Never(why),
        },
    }
}

/// Reads a chunked body: `*chunk last-chunk trailer-section CRLF`.
pub fn chunks(bytes: &[u8]) -> Reading<Chunks> {
    let (mut at, mut data) = (0, Vec::new());
    loop {
        let line = match line(&bytes[at..]) {
            Reading::Whole(line) => line,
            Reading::More => return Reading::More,
            Reading::Never(why) => return Reading::Never(why),
        };
        at += line.len() + 2;
        let Some(size) = chunk_size(line) else { return Reading::Never("a chunk size") };
        if size == 0 {
            break;
        }
        for _ in 0..size {
            let Some(byte) = bytes.get(at) else { return Reading::More };
            data.push(*byte);
            at += 1;
        }
        match bytes[at..].first_chunk::<2>() {
            Some(b"\r\n") => at += 2,
            None if b"\r\n".starts_with(&bytes[at..]) => return Reading::More,
            _ => return Reading::Never("no CRLF behind a chunk"),
        }
    }
    let mut trailers = Vec::new();
    loop {
        match line(&bytes[at..]) {
            Reading::More => return Reading::More,
            Reading::Never(why) => return Reading::Never(why),
            Reading::Whole(line) => {
                at += line.len() + 2;
                if line.is_empty() {
                    return Reading::Whole(Chunks { data, trailers, len: at });
                }
                let Some(field) = field(line, false) else { return Reading::Never("a trailer") };
                trailers.push(field);
            }
        }
    }
}

/// `1*HEXDIG [ chunk-ext ]`. LENIENT: an extension is whatever a line may hold, with its quotes in pairs.
fn chunk_size(line: &[u8]) -> Option<u128> {
    let digits: Vec<u8> = line.iter().copied().take_while(u8::is_ascii_hexdigit).collect();
    let extension = &line[digits.len()..];
    if digits.is_empty() || !(extension.is_empty() || extension[0] == b';') {
        return None;
    }
    if !extension.iter().all(|byte| is_vchar(*byte) || is_obs_text(*byte) || is_blank(*byte)) {
        return None;
    }
    let (mut quoted, mut at) = (false, 0);
    while at < extension.len() {
        match extension[at] {
            b'"' => quoted = !quoted,
            b'\\' if quoted => at += 1,
            _ => {}
        }
        at += 1;
    }
    // A backslash that is last quotes the end of the line, which cannot be.
    if quoted || at > extension.len() {
        return None;
    }
    let mut size: u128 = 0;
    for digit in digits {
        let value = b"0123456789abcdef".iter().position(|one| *one == digit.to_ascii_lowercase())?;
        size = size.checked_mul(16)?.checked_add(value as u128)?;
    }
    Some(size)
}

/// The lines of a head, without their ends, and its length: `start-line CRLF *( field-line CRLF ) CRLF`.
fn head(bytes: &[u8]) -> Reading<(Vec<&[u8]>, usize)> {
    let (mut lines, mut at) = (Vec::new(), 0);
    loop {
        match line(&bytes[at..]) {
            Reading::More => return Reading::More,
            Reading::Never(why) => return Reading::Never(why),
            Reading::Whole(line) => {
                at += line.len() + 2;
                if line.is_empty() {
                    return Reading::Whole((lines, at));
                }
                lines.push(line);
            }
        }
    }
}

/// What stands before the first CRLF, in which there is neither CR nor LF.
fn line(bytes: &[u8]) -> Reading<&[u8]> {
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' => return Reading::Never("a bare LF"),
            b'\r' => {
                return match bytes.get(at + 1) {
                    None => Reading::More,
                    Some(b'\n') => Reading::Whole(&bytes[..at]),
                    Some(_) => Reading::Never("a bare CR"),
                };
            }
            _ => {}
        }
    }
    Reading::More
}

fn settle_request(lines: &[&[u8]], len: usize) -> Result<Request, &'static str> {
    let Some((first, rest)) = lines.split_first() else { return Err("no request line") };
    // request-line = method SP request-target SP HTTP-version
    let words: Vec<&[u8]> = first.split(|byte| *byte == b' ').collect();
    let [method, target, version] = words[..] else { return Err("a request line") };
    if !is_token(method) {
        return Err("a method");
    }
    let Some(minor) = minor(version) else { return Err("a version") };
    let fields = fields(rest, false).ok_or("a field")?;
    let hosts = all(&fields, "host");
    if hosts.len() > 1 || (hosts.is_empty() && minor > 0) {
        return Err("not one Host");
    }
    let host = hosts.first().copied().unwrap_or_default();
    if !is_authority(host, true) {
        return Err("a Host");
    }
    let authority = aim(method, target)?.unwrap_or(host).to_vec();
    let body = match framing(&fields, minor)? {
        Body::UntilClose => Body::None, // §6.3 item 7: a request never ends by the end of the connection
        // RFC 9110 §9.3.6: what it would mean is defined nowhere.
        _ if method == b"CONNECT" => return Err("a CONNECT with content"),
        body => body,
    };
    let framed = ["content-length", "transfer-encoding"].iter().any(|name| !all(&fields, name).is_empty());
    if method == b"CONNECT" && framed {
        return Err("content in CONNECT");
    }
    let (method, target) = (method.to_vec(), target.to_vec());
    Ok(Request { method, target, minor, fields, authority, body, len })
}

/// The authority of a target in absolute or authority form, and none of one in another form that the method may have (RFC 9112 §3.2).
/// LENIENT: every visible byte but `#` may stand in a path and in a query.
fn aim<'a>(method: &[u8], target: &'a [u8]) -> Result<Option<&'a [u8]>, &'static str> {
    if target.is_empty() || !target.iter().all(|byte| is_vchar(*byte) && *byte != b'#') {
        return Err("a target");
    }
    if method == b"CONNECT" {
        // authority-form = uri-host ":" port, and no port is 0.
        let port = target.iter().rposition(|byte| *byte == b':').map_or(&b""[..], |at| &target[at + 1..]);
        let fine =
            is_authority(target, false) && port.iter().all(u8::is_ascii_digit) && port.iter().any(|byte| *byte != b'0');
        return if fine { Ok(Some(target)) } else { Err("no authority form") };
    }
    if target[0] == b'/' || (target == b"*" && method == b"OPTIONS") {
        return Ok(None);
    }
    let Some(at) = target.windows(3).position(|window| window == b"://") else { return Err("no form of a target") };
    let scheme = target[..at].to_ascii_lowercase();
    let rest = &target[at + 3..];
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    if (scheme == b"http" || scheme == b"https") && !rest[..end].is_empty() && is_authority(&rest[..end], false) {
        Ok(Some(&rest[..end]))
    } else {
        Err("an absolute form")
    }
}

fn settle_response(lines: &[&[u8]], len: usize, to_head: bool) -> Result<Response, &'static str> {
    let Some((first, rest)) = lines.split_first() else { return Err("no status line") };
    // status-line = HTTP-version SP status-code SP [ reason-phrase ]
    let (version, rest_of_line) = first.split_at_checked(8).ok_or("a status line")?;
    let minor = minor(version).ok_or("a version")?;
    let [b' ', one, two, three, rest_of_line @ ..] = rest_of_line else { return Err("a status line") };
    let digits = [*one, *two, *three];
    let status = digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit.wrapping_sub(b'0')) % 10);
    if !digits.iter().all(u8::is_ascii_digit) || !(100..=599).contains(&status) {
        return Err("a status");
    }
    let reason = match rest_of_line {
        [b' ', reason @ ..] => reason.to_vec(),
        [] => Vec::new(), // LENIENT: no blank behind the status where no reason follows
        _ => return Err("a status line"),
    };
    if !reason.iter().all(|byte| is_vchar(*byte) || is_obs_text(*byte) || is_blank(*byte)) {
        return Err("a reason");
    }
    // RFC 9112 §5.1: blanks before the colon of a response's field are removed.
    let fields = fields(rest, true).ok_or("a field")?;
    let said = framing(&fields, minor)?;
    let body = match status {
        100..=199 if said != Body::UntilClose => return Err("an interim response with content"),
        100..=199 | 204 | 304 => Body::None,
        _ if to_head => Body::None,
        _ => said,
    };
    Ok(Response { minor, status, reason, fields, body, len })
}

/// `HTTP/1.` and a digit.
fn minor(version: &[u8]) -> Option<u8> {
    match version {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', digit] if digit.is_ascii_digit() => Some(digit - b'0'),
        _ => None,
    }
}

fn fields(lines: &[&[u8]], blanks: bool) -> Option<Vec<Field>> {
    lines.iter().map(|line| field(line, blanks)).collect()
}

/// `field-name ":" OWS field-value OWS`; with `blanks`, also before the colon.
fn field(line: &[u8], blanks: bool) -> Option<Field> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (mut name, value) = (&line[..colon], &line[colon + 1..]);
    while blanks && name.last().is_some_and(|byte| is_blank(*byte)) {
        name = &name[..name.len() - 1];
    }
    let mut value = value;
    while value.first().is_some_and(|byte| is_blank(*byte)) {
        value = &value[1..];
    }
    while value.last().is_some_and(|byte| is_blank(*byte)) {
        value = &value[..value.len() - 1];
    }
    let fine = value.iter().all(|byte| is_vchar(*byte) || is_obs_text(*byte) || is_blank(*byte));
    (is_token(name) && fine).then(|| (name.to_vec(), value.to_vec()))
}

/// RFC 9112 §6.3, without the rules for methods and statuses; `UntilClose` stands for neither field.
fn framing(fields: &[Field], minor: u8) -> Result<Body, &'static str> {
    let (lengths, codings) = (all(fields, "content-length"), all(fields, "transfer-encoding"));
    match (&lengths[..], &codings[..]) {
        ([], []) => Ok(Body::UntilClose),
        ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") && minor > 0 => Ok(Body::Chunked),
        ([length], []) if !length.is_empty() && length.iter().all(u8::is_ascii_digit) => {
            let text = std::str::from_utf8(length).map_err(|_| "a length")?;
            let digits = text.trim_start_matches('0');
            if digits.is_empty() {
                Ok(Body::Length(0))
            } else {
                digits.parse().map(Body::Length).map_err(|_| "a length")
            }
        }
        _ => Err("framing"),
    }
}

/// The values of a field.
pub fn all<'a>(fields: &'a [Field], name: &str) -> Vec<&'a [u8]> {
    fields.iter().filter(|(one, _)| one.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| &value[..]).collect()
}

/// `uri-host [ ":" port ]` without user information; the host may be empty if `empty`, but not with a port.
pub fn is_authority(text: &[u8], empty: bool) -> bool {
    let (host, port) = if text.first() == Some(&b'[') {
        let Some(end) = text.iter().position(|byte| *byte == b']') else { return false };
        text.split_at(end + 1)
    } else {
        text.split_at(text.iter().position(|byte| *byte == b':').unwrap_or(text.len()))
    };
    let port_is_one = match port {
        [] => true,
        [b':', digits @ ..] => {
            // *DIGIT, but no port has more than five of them, nor is over 65535.
            let all_digits = digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit);
            all_digits && digits.iter().fold(0_u32, |port, digit| port * 10 + u32::from(digit - b'0')) <= 65_535
        }
        _ => false,
    };
    let host_is_one = match host {
        [] => empty && port.is_empty(),
        [b'[', inner @ .., b']'] => is_ipv6(inner),
        host => is_reg_name(host),
    };
    port_is_one && host_is_one
}

/// `*( unreserved / pct-encoded / sub-delims )`.
fn is_reg_name(host: &[u8]) -> bool {
    let mut at = 0;
    while at < host.len() {
        let byte = host[at];
        if byte == b'%' {
            if host.len() < at + 3 || !host[at + 1].is_ascii_hexdigit() || !host[at + 2].is_ascii_hexdigit() {
                return false;
            }
            at += 3;
        } else if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte) {
            at += 1;
        } else {
            return false;
        }
    }
    true
}

/// `IPv6address`: eight groups, the last two perhaps as an IPv4 address, one run of them left out at the most.
fn is_ipv6(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let count = |part: &str, last: bool| -> Option<usize> {
        if part.is_empty() {
            return Some(0);
        }
        let groups: Vec<&str> = part.split(':').collect();
        let mut sum = 0;
        for (at, group) in groups.iter().enumerate() {
            if last && at + 1 == groups.len() && group.contains('.') {
                sum += if is_ipv4(group) { 2 } else { return None };
            } else if (1..=4).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                sum += 1;
            } else {
                return None;
            }
        }
        Some(sum)
    };
    match text.find("::") {
        None => count(text, true) == Some(8),
        Some(at) => match (count(&text[..at], false), count(&text[at + 2..], true)) {
            (Some(before), Some(behind)) => before + behind <= 7,
            _ => false,
        },
    }
}

/// Four `dec-octet`.
fn is_ipv4(text: &str) -> bool {
    let parts: Vec<&str> = text.split('.').collect();
    let octet = |part: &&str| {
        let digits = (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        digits && (part.len() == 1 || !part.starts_with('0')) && part.parse::<u16>().is_ok_and(|number| number <= 255)
    };
    parts.len() == 4 && parts.iter().all(octet)
}

/// A path whose escaped unreserved characters are written out, the digits of other escapes in upper case (RFC 3986 §6.2.2).
pub fn unescape(path: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::new(), 0);
    while at < path.len() {
        let escape = std::str::from_utf8(path.get(at + 1..at + 3).unwrap_or_default()).ok();
        let byte = escape.filter(|_| path[at] == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            None => out.push(path[at]),
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => out.push(byte),
            Some(byte) => out.extend(format!("%{byte:02X}").bytes()),
        }
        at += if byte.is_some() { 3 } else { 1 };
    }
    out
}

/// RFC 3986 §5.2.4, as it stands there.
pub fn remove_dots(path: &[u8]) -> Vec<u8> {
    let (mut input, mut output) = (path.to_vec(), Vec::new());
    while !input.is_empty() {
        if input.starts_with(b"/./") || input == b"/." {
            input.splice(..input.len().min(3), *b"/");
        } else if input.starts_with(b"/../") || input == b"/.." {
            input.splice(..input.len().min(4), *b"/");
            let last = output.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
            output.truncate(last);
        } else {
            let end = input.iter().skip(1).position(|byte| *byte == b'/').map_or(input.len(), |at| at + 1);
            output.extend(input.drain(..end));
        }
    }
    output
}

fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

fn is_vchar(byte: u8) -> bool {
    (0x21..=0x7e).contains(&byte)
}

fn is_obs_text(byte: u8) -> bool {
    byte >= 0x80
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}
