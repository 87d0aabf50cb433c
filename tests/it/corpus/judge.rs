//! What is wrong with what was seen of a case, by its line. What no strict reader of a message lets pass (folding, a bare CR
//! or LF, two lengths, a length with a coding, an unknown coding) is among the bad already, and unsafe.
//!
//! The kinds: `unsafe`, `hang` and `crash` must never occur; the others are `wrong`, `lenient`, `status`, `noclose`, `hop`,
//! `no1xx`, `poison`, `next5xx`, `noanswer` and `reuse`. (A crash is seen by the gateway's own end: it counts panics.)

use serde_json::Map;
use serde_json::Value;

use super::Case;
use super::latin1;
use super::service::Seen;
use crate::support::Request;
use crate::support::Response;

/// A kind, and what exactly.
pub type Problem = (&'static str, String);

/// How a connection ended for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// By FIN between two messages.
    Closed,
    /// By RST, or within a message.
    Cut,
    /// Not at all, in the patience of the test.
    Open,
    /// What came was no response.
    Junk(String),
}

/// What was seen of a request case.
pub struct Asked {
    pub answers: Vec<Response>,
    pub end: End,
    pub seen: Vec<Seen>,
    pub bad: Vec<String>,
}

/// What was seen of a response case.
pub struct Got {
    /// The response as far as it came, and whether it came whole.
    pub answer: Option<(Response, bool)>,
    pub end: Option<End>,
    /// All bytes that the client got for its request.
    pub raw: Vec<u8>,
    /// The answers to the requests after it: on the same connection and on a new one.
    pub next: Vec<Result<Response, End>>,
    /// Whether the service's connection was used again.
    pub reused: bool,
    pub bad: Vec<String>,
}

impl Got {
    /// Nothing yet.
    pub fn none() -> Self {
        Self { answer: None, end: None, raw: Vec::new(), next: Vec::new(), reused: false, bad: Vec::new() }
    }
}

/// Judges a request case.
pub fn request(case: &Case, asked: &Asked) -> Vec<Problem> {
    let whole: Vec<_> = asked.seen.iter().filter(|seen| seen.request.complete).collect();
    let outcome = case.text("outcome");
    let refused = whole.is_empty() && asked.bad.is_empty();
    if matches!(outcome, "reject" | "truncated") || (outcome.starts_with("reject_or") && refused) {
        return refusal(case, asked, whole.len());
    }
    let mut problems = forwarded(&case.line["origin"], asked, &whole);
    if problems.is_empty() {
        let status = status(asked);
        if status != 200 {
            problems.push(("status", format!("the client got {status} though the service answered 200")));
        }
        let told = asked.answers.last().is_some_and(Response::closes);
        if case.is("close") && asked.end == End::Open && !told {
            problems.push(("noclose", "the connection was left open".into()));
        }
    }
    problems
}

/// The status of the first answer: 0 without one, -1 if it is no response.
fn status(asked: &Asked) -> i64 {
    match (asked.answers.first(), &asked.end) {
        (Some(answer), _) => i64::from(answer.status),
        (None, End::Junk(_)) => -1,
        (None, _) => 0,
    }
}

fn refusal(case: &Case, asked: &Asked, whole: usize) -> Vec<Problem> {
    let mut problems = ill_formed(&asked.bad);
    let strict = case.line.get("attack").is_some_and(|attack| *attack != false)
        || (case.text("level") == "MUST" && case.text("group") != "target-forms");
    if whole > 0 {
        let kind = if strict { "unsafe" } else { "lenient" };
        problems.push((kind, format!("the service saw {whole} whole requests")));
    }
    problems.extend(smuggled(&case.line["origin"], &asked.seen));
    if whole == 0 {
        let (status, open) = (status(asked), asked.end == End::Open);
        let allowed = case.line["status"].as_array().map_or(&[][..], Vec::as_slice);
        if status == 0 && open {
            problems.push(("hang", "neither an answer nor an end".into()));
        } else if !allowed.iter().any(|one| *one == status) {
            problems.push(("status", format!("{status}, but not of {allowed:?}; {:?}", asked.end)));
        }
        let told = asked.answers.first().is_some_and(Response::closes);
        if case.is("close") && open && status != 0 && !told {
            problems.push(("noclose", "the connection was left open after the refusal".into()));
        }
    }
    problems
}

fn ill_formed(bad: &[String]) -> Vec<Problem> {
    bad.iter().map(|bad| ("unsafe", format!("the service got what is no request: {bad}"))).collect()
}

fn smuggled(origin: &Value, seen: &[Seen]) -> Vec<Problem> {
    let never = |seen: &&Seen| array(&origin["hasnt_target"]).any(|target| target == seen.request.target.as_str());
    seen.iter().filter(never).map(|seen| ("unsafe", format!("{} was smuggled", seen.request.target))).collect()
}

/// What is wrong with the requests that the service saw.
fn forwarded(origin: &Value, asked: &Asked, whole: &[&Seen]) -> Vec<Problem> {
    let mut problems = ill_formed(&asked.bad);
    let least = origin["n"].as_u64().unwrap_or(1) as usize;
    let most = origin["n_max"].as_u64().map_or(least, |most| most as usize);
    let n = whole.len();
    let some = least > 2 && (1..=most).contains(&n);
    if !some && !(least..=most).contains(&n) {
        let kind = if n > most { "unsafe" } else { "wrong" };
        problems.push((
            kind,
            format!("the service saw {n} whole requests, not {least}; {:?} {:?}", status(asked), asked.end),
        ));
    }
    problems.extend(smuggled(origin, &asked.seen));
    let Some(first) = whole.first() else { return problems };
    if let Some(targets) = origin["targets"].as_array() {
        let seen: Vec<_> = whole.iter().map(|seen| seen.request.target.as_str()).collect();
        if !targets.iter().zip(&seen).all(|(one, other)| one == other) || seen.len() > targets.len() {
            problems.push(("unsafe", format!("targets {seen:?}")));
        }
    }
    problems.extend(first_line(origin, &first.request));
    problems.extend(first_body(origin, &first.request));
    problems.extend(first_fields(origin, &first.request));
    let head: Vec<u8> = unlined(&first.raw_head);
    for bytes in array(&origin["no_bytes"]).map(|bytes| latin1(bytes.as_str().unwrap())) {
        if contains(&head, &bytes) {
            problems.push(("unsafe", format!("bytes {bytes:?} went on")));
        }
    }
    problems
}

fn first_line(origin: &Value, first: &Request) -> Vec<Problem> {
    let mut problems = Vec::new();
    if origin["method"].as_str().is_some_and(|method| method != first.method) {
        problems.push(("wrong", format!("method {}", first.method)));
    }
    if origin["target"].is_array() && !array(&origin["target"]).any(|target| target == first.target.as_str()) {
        problems.push(("wrong", format!("target {}", first.target)));
    }
    let version = |one: &Value| one == first.version.as_str();
    if origin["version"].is_array() && first.version != "HTTP/1.0" && !array(&origin["version"]).any(version) {
        problems.push(("wrong", format!("version {}", first.version)));
    }
    if origin["has_host_if_11"] == true && first.version == "HTTP/1.1" && first.all("host").is_empty() {
        problems.push(("wrong", "no Host".into()));
    }
    problems
}

fn first_body(origin: &Value, first: &Request) -> Vec<Problem> {
    let mut problems = Vec::new();
    if origin["body"].as_str().is_some_and(|body| latin1(body) != first.body) {
        problems.push(("unsafe", format!("body {:?}", String::from_utf8_lossy(&first.body))));
    }
    if origin["body_len"].as_u64().is_some_and(|length| length != first.body.len() as u64) {
        problems.push(("unsafe", format!("{} bytes of body", first.body.len())));
    }
    for name in array(&origin["hasnt_trailer"]).map(|name| name.as_str().unwrap()) {
        if first.trailers.iter().any(|(other, _)| other.to_lowercase().starts_with(name)) {
            problems.push(("unsafe", format!("the trailer {name} went on")));
        }
    }
    problems
}

fn first_fields(origin: &Value, first: &Request) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, value) in object(&origin["has"]) {
        let seen = first.all(name);
        let chunked = name == "content-length" && seen.is_empty() && !first.all("transfer-encoding").is_empty();
        if !chunked && (seen.len() != 1 || value != seen[0]) {
            let kind = if matches!(name.as_str(), "host" | "transfer-encoding" | "content-length") {
                "unsafe"
            } else {
                "wrong"
            };
            problems.push((kind, format!("{name} is {seen:?}, not {value}")));
        }
    }
    for name in array(&origin["hasnt"]).map(|name| name.as_str().unwrap()) {
        if !first.all(name).is_empty() {
            problems.push(("wrong", format!("{name} went on")));
        }
    }
    for (name, value) in object(&origin["not_value"]) {
        let value = value.as_str().unwrap().to_lowercase();
        if first.all(name).iter().any(|seen| seen.to_lowercase().contains(&value)) {
            problems.push(("wrong", format!("{name} says {value}")));
        }
    }
    for (name, list) in object(&origin["list"]) {
        let seen: Vec<_> = first.all(name).iter().flat_map(|value| value.split(',')).map(str::trim).collect();
        if !array(list).eq(seen.iter().copied()) {
            problems.push(("wrong", format!("{name} lists {seen:?}")));
        }
    }
    for name in array(&origin["one"]).map(|name| name.as_str().unwrap()) {
        if first.all(name).len() > 1 {
            problems.push(("wrong", format!("{name} stands several times")));
        }
    }
    if origin["te_canon"] == true
        && first.all("transfer-encoding").iter().any(|coding| !coding.eq_ignore_ascii_case("chunked"))
    {
        problems.push(("unsafe", "another coding than chunked".into()));
    }
    problems
}

/// Judges a response case.
pub fn response(case: &Case, got: &Got) -> Vec<Problem> {
    let mut problems = ill_formed(&got.bad);
    for next in &got.next {
        match next {
            Ok(next) if (next.status, next.body.as_slice()) == (200, b"next") => {}
            Ok(next) if matches!(next.status, 502..=504) => {
                problems.push(("next5xx", format!("the next request got {}", next.status)));
            }
            Ok(next) => problems.push(("poison", format!("the next answer is {next:?}"))),
            Err(End::Junk(words)) => problems.push(("poison", format!("the next answer is none: {words}"))),
            // An end is no wrong answer; a silence is.
            Err(End::Closed | End::Cut) => {}
            Err(End::Open) => problems.push(("hang", "the next request got no answer".into())),
        }
    }
    // The last of them came on a connection of its own.
    if matches!(got.next.last(), Some(Err(End::Closed | End::Cut))) {
        problems.push(("hang", "the next client got no answer".into()));
    }
    if let Some(End::Junk(words)) = &got.end {
        problems.push(("unsafe", format!("the client got what is no response: {words}")));
    }
    let status = got.answer.as_ref().map_or(0, |(answer, _)| answer.status);
    let (outcome, whole) = (case.text("outcome"), got.answer.as_ref().is_some_and(|(_, whole)| *whole));
    let served = matches!(status, 500 | 502..=504) && matches!(outcome, "bad_gateway" | "either" | "abort" | "timeout");
    let failed = array(&case.line["status"]).any(|one| *one == status) || served;
    match outcome {
        "forward" | "normalise" => problems.extend(answered(case, got)),
        "either" if !failed => problems.extend(answered(case, got)),
        "bad_gateway" if !failed => {
            let kind = if status == 0 { "noanswer" } else { "unsafe" };
            problems.push((kind, format!("the client got {status}, {:?}", got.end)));
        }
        "abort" => {
            let like = case.line["expect"]["or_forward"].as_str().map(latin1);
            let fine = whole && got.answer.as_ref().map(|(answer, _)| &answer.body) == like.as_ref();
            let ended = got.end.as_ref().is_some_and(|end| *end != End::Open);
            if !(fine || failed || (status != 0 && !whole) || (status == 0 && ended)) {
                problems.push(("unsafe", format!("a broken message looks whole: {:?}", got.answer)));
            }
            if status != 0 && !whole && !ended {
                problems.push(("hang", "the client was left waiting".into()));
            }
        }
        "timeout" => {
            let told = matches!(status, 408 | 502..=504);
            let cut = status != 0 && !whole && got.end.as_ref().is_some_and(|end| *end != End::Open);
            if !(told || cut) {
                problems.push(("hang", format!("the client got {status}, {:?}", got.end)));
            }
        }
        _ => {}
    }
    if case.line["reuse"] == false && got.reused {
        problems.push(("reuse", "the service's connection was used again".into()));
    }
    problems
}

/// What is wrong with a response that was passed on.
fn answered(case: &Case, got: &Got) -> Vec<Problem> {
    let expect = &case.line["expect"];
    let Some((answer, whole)) = &got.answer else { return vec![("wrong", format!("no answer: {:?}", got.end))] };
    if case.line["client_status"] != answer.status {
        return vec![("wrong", format!("status {}, not {}", answer.status, case.line["client_status"]))];
    }
    let mut problems = Vec::new();
    if !whole {
        problems.push(("wrong", format!("the client saw an incomplete message: {:?}", got.end)));
    }
    if case.line["body"].as_str().is_some_and(|body| latin1(body) != answer.body) {
        problems.push(("wrong", format!("body {:?}", String::from_utf8_lossy(&answer.body))));
    }
    if expect["body_len"].as_u64().is_some_and(|length| length != answer.body.len() as u64) {
        problems.push(("wrong", format!("{} bytes of body", answer.body.len())));
    }
    problems.extend(answer_fields(expect, answer));
    problems.extend(answer_bytes(expect, answer.status, &got.raw));
    if expect["interim"].as_u64().is_some_and(|status| !answer.interim.iter().any(|one| u64::from(one.0) == status)) {
        problems.push(("no1xx", "the interim response was not passed on".into()));
    }
    if expect["no_interim"] == true && !answer.interim.is_empty() {
        problems.push(("wrong", "an interim response to a client of HTTP/1.0".into()));
    }
    problems
}

fn answer_fields(expect: &Value, answer: &Response) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (name, value) in object(&expect["has"]) {
        if answer.all(name).last().is_none_or(|seen| value != seen) {
            problems.push(("wrong", format!("{name} is {:?}", answer.all(name))));
        }
    }
    for name in array(&expect["hasnt"]).map(|name| name.as_str().unwrap()) {
        if !answer.all(name).is_empty() {
            problems.push(("hop", format!("{name} was passed on")));
        }
    }
    for name in array(&expect["one"]).map(|name| name.as_str().unwrap()) {
        if answer.all(name).len() > 1 {
            problems.push(("unsafe", format!("{name} stands several times")));
        }
    }
    for (name, lines) in object(&expect["lines"]) {
        if *lines != answer.all(name).len() {
            problems.push(("wrong", format!("{name} stands in {} lines", answer.all(name).len())));
        }
    }
    let (length, coding) = (answer.all("content-length"), answer.all("transfer-encoding"));
    if expect["hasnt_both"] == true && !length.is_empty() && !coding.is_empty() {
        problems.push(("unsafe", "length and coding were both passed on".into()));
    }
    if expect["raw_or_502"] == true
        && coding.iter().any(|coding| coding.eq_ignore_ascii_case("chunked"))
        && answer.body == b"hello"
    {
        problems.push(("unsafe", "an unknown coding was taken for chunked".into()));
    }
    problems
}

/// What the fields do not show, because the reading of them would not let it pass, or has taken it away.
fn answer_bytes(expect: &Value, status: u16, raw: &[u8]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let line = format!("HTTP/1.1 {status}");
    let from = find(raw, line.as_bytes()).unwrap_or(0);
    let head = &raw[from..];
    let head = &head[..find(head, b"\r\n\r\n").unwrap_or(head.len())];
    let bare = unlined(head);
    for bytes in array(&expect["no_bytes"]).map(|bytes| latin1(bytes.as_str().unwrap())) {
        if contains(&bare, &bytes) {
            problems.push(("unsafe", format!("bytes {bytes:?} were passed on")));
        }
    }
    let folded = contains(head, b"\r\n ") || contains(head, b"\r\n\t");
    let spaced = head.split(|byte| *byte == b'\n').skip(1).any(|line| {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        matches!(name.last(), Some(b' ' | b'\t'))
    });
    for (key, found) in [("no_fold", folded), ("no_bare_lf", bare.contains(&b'\n')), ("no_ws_colon", spaced)] {
        if expect[key] == true && found {
            problems.push(("unsafe", format!("against {key}: {:?}", String::from_utf8_lossy(head))));
        }
    }
    if expect["no_line"].as_str().is_some_and(|line| contains(head, &latin1(line))) {
        problems.push(("unsafe", "a bad line was passed on".into()));
    }
    if expect["version"].as_str().is_some_and(|version| !raw.starts_with(version.as_bytes())) {
        problems.push(("wrong", "not the gateway's own version".into()));
    }
    problems
}

/// Without the ends of its lines.
fn unlined(head: &[u8]) -> Vec<u8> {
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    latin1(&text.replace("\r\n", ""))
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    find(bytes, part).is_some()
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn object(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kinds(problems: &[Problem]) -> Vec<&'static str> {
        problems.iter().map(|problem| problem.0).collect()
    }

    fn seen(lines: &str, body: &str, complete: bool) -> Seen {
        let mut seen = Seen { raw_head: latin1(lines), ..Seen::default() };
        let mut incoming = crate::support::Incoming::new(lines.as_bytes());
        seen.request = incoming.request_head().expect("a head");
        seen.request.body = latin1(body);
        seen.request.complete = complete;
        seen
    }

    fn answer(status: u16, fields: &[(&str, &str)], body: &str) -> Response {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Response { status, fields, body: latin1(body), ..Response::default() }
    }

    fn of_request(line: Value, status: u16, end: End, seen: Vec<Seen>) -> Vec<&'static str> {
        let answers = if status == 0 { Vec::new() } else { vec![answer(status, &[], "")] };
        kinds(&request(&Case::read(line), &Asked { answers, end, seen, bad: Vec::new() }))
    }

    #[test]
    fn a_request_that_should_have_been_refused_is_told_from_one_that_was() {
        let line = json!({"outcome": "reject", "status": [400], "close": true, "level": "MUST", "origin": {"n": 0}});
        let get = || vec![seen("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", true)];
        let half = || vec![seen("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "", false)];
        assert_eq!(of_request(line.clone(), 400, End::Closed, vec![]), [""; 0]);
        assert_eq!(of_request(line.clone(), 400, End::Closed, half()), [""; 0]);
        assert_eq!(of_request(line.clone(), 200, End::Closed, get()), ["unsafe"]);
        assert_eq!(of_request(line.clone(), 404, End::Closed, vec![]), ["status"]);
        assert_eq!(of_request(line.clone(), 0, End::Closed, vec![]), ["status"]);
        assert_eq!(of_request(line.clone(), 0, End::Open, vec![]), ["hang"]);
        assert_eq!(of_request(line.clone(), 400, End::Open, vec![]), ["noclose"]);
        let may = json!({"outcome": "reject", "status": [400], "close": true, "level": "SHOULD", "origin": {"n": 0}});
        assert_eq!(of_request(may, 200, End::Closed, get()), ["lenient"]);
    }

    #[test]
    fn a_request_that_went_on_is_compared_with_its_line() {
        let get = |fields: &str| vec![seen(&format!("GET /x HTTP/1.1\r\nHost: a\r\n{fields}\r\n"), "b", true)];
        let all = |origin: Value, seen: Vec<Seen>| {
            let line = json!({"outcome": "accept", "close": false, "level": "MUST", "origin": origin});
            of_request(line, 200, End::Closed, seen)
        };
        assert_eq!(
            all(json!({"n": 1, "target": ["/x"], "method": "GET", "body": "b", "body_len": 1}), get("")),
            [""; 0]
        );
        assert_eq!(all(json!({"n": 0}), get("")), ["unsafe"]);
        assert_eq!(all(json!({"n": 2}), get("")), ["wrong"]);
        assert_eq!(all(json!({"n": 1, "target": ["/y"]}), get("")), ["wrong"]);
        assert_eq!(all(json!({"n": 1, "targets": ["/y"]}), get("")), ["unsafe"]);
        assert_eq!(all(json!({"n": 1, "method": "PUT"}), get("")), ["wrong"]);
        assert_eq!(all(json!({"n": 1, "body": "c"}), get("")), ["unsafe"]);
        assert_eq!(all(json!({"n": 1, "hasnt_target": ["/x"]}), get("")), ["unsafe"]);
        assert_eq!(all(json!({"n": 1, "has": {"host": "b"}}), get("")), ["unsafe"]);
        assert_eq!(all(json!({"n": 1, "hasnt": ["x"]}), get("X: 1\r\n")), ["wrong"]);
        assert_eq!(all(json!({"n": 1, "not_value": {"x": "evil"}}), get("X: Evil\r\n")), ["wrong"]);
        assert_eq!(all(json!({"n": 1, "one": ["x"]}), get("X: 1\r\nx: 2\r\n")), ["wrong"]);
        assert_eq!(all(json!({"n": 1, "list": {"x": ["1", "2"]}}), get("X: 1, 2\r\n")), [""; 0]);
        assert_eq!(all(json!({"n": 1, "list": {"x": ["1"]}}), get("X: 1, 2\r\n")), ["wrong"]);
        assert_eq!(all(json!({"n": 1, "te_canon": true}), get("Transfer-Encoding: ,chunked\r\n")), ["unsafe"]);
        assert_eq!(all(json!({"n": 1, "no_bytes": ["\u{b}"]}), get("X: \u{b}y\r\n")), ["unsafe"]);
        let line = json!({"outcome": "accept", "close": false, "level": "MUST", "origin": {"n": 1}});
        assert_eq!(of_request(line, 502, End::Closed, get("")), ["status"]);
    }

    fn of_response(line: Value, got: &Got) -> Vec<&'static str> {
        kinds(&response(&Case::read(line), got))
    }

    fn got(answer: Option<(Response, bool)>, end: Option<End>) -> Got {
        Got { answer, end, next: vec![Ok(self::answer(200, &[], "next"))], ..Got::none() }
    }

    #[test]
    fn a_response_is_compared_with_its_line() {
        let line = json!({"outcome": "forward", "client_status": 200, "body": "hello", "reuse": false});
        let hello = || Some((answer(200, &[], "hello"), true));
        assert_eq!(of_response(line.clone(), &got(hello(), None)), [""; 0]);
        assert_eq!(of_response(line.clone(), &Got { reused: true, ..got(hello(), None) }), ["reuse"]);
        assert_eq!(
            of_response(line.clone(), &got(Some((answer(200, &[], "hello"), false)), Some(End::Cut))),
            ["wrong"]
        );
        assert_eq!(of_response(line.clone(), &got(Some((answer(502, &[], ""), true)), None)), ["wrong"]);
        assert_eq!(of_response(line.clone(), &got(Some((answer(200, &[], "hell"), true)), None)), ["wrong"]);
        assert_eq!(of_response(line.clone(), &got(None, Some(End::Closed))), ["wrong"]);
        assert_eq!(of_response(line.clone(), &got(hello(), Some(End::Junk("x".into())))), ["unsafe"]);
        let stolen = Got { next: vec![Ok(answer(200, &[], "hello"))], ..got(hello(), None) };
        assert_eq!(of_response(line.clone(), &stolen), ["poison"]);
        let failed = Got { next: vec![Ok(answer(502, &[], ""))], ..got(hello(), None) };
        assert_eq!(of_response(line.clone(), &failed), ["next5xx"]);
        let next = |next: Vec<Result<Response, End>>| Got { next, ..got(hello(), None) };
        assert_eq!(of_response(line.clone(), &next(vec![Err(End::Open)])), ["hang"]);
        assert_eq!(of_response(line.clone(), &next(vec![Err(End::Cut)])), ["hang"]);
        assert_eq!(of_response(line, &next(vec![Err(End::Cut), Ok(answer(200, &[], "next"))])), [""; 0]);
        for (expect, fields, kind) in [
            (json!({"has": {"x": "1"}}), ("x", "2"), "wrong"),
            (json!({"hasnt": ["x"]}), ("x", "2"), "hop"),
            (json!({"lines": {"x": 2}}), ("x", "2"), "wrong"),
            (json!({"interim": 103}), ("x", "2"), "no1xx"),
            (json!({"body_len": 6}), ("x", "2"), "wrong"),
            (json!({"raw_or_502": true}), ("transfer-encoding", "chunked"), "unsafe"),
        ] {
            let line = json!({"outcome": "forward", "client_status": 200, "expect": expect});
            assert_eq!(of_response(line, &got(Some((answer(200, &[fields], "hello"), true)), None)), [kind]);
        }
    }

    #[test]
    fn a_failure_that_looks_like_a_success_is_found() {
        let all = |outcome: &str, answer: Option<(Response, bool)>, end: Option<End>| {
            of_response(json!({"outcome": outcome, "status": [502], "client_status": 200}), &got(answer, end))
        };
        let (right, wrong) = (|| Some((answer(200, &[], "x"), true)), || Some((answer(502, &[], "x"), true)));
        let half = || Some((answer(200, &[], "x"), false));
        assert_eq!(all("bad_gateway", wrong(), None), [""; 0]);
        assert_eq!(all("bad_gateway", right(), None), ["unsafe"]);
        assert_eq!(all("bad_gateway", None, Some(End::Closed)), ["noanswer"]);
        assert_eq!(all("either", right(), None), [""; 0]);
        assert_eq!(all("abort", right(), None), ["unsafe"]);
        assert_eq!(all("abort", half(), Some(End::Cut)), [""; 0]);
        assert_eq!(all("abort", half(), Some(End::Open)), ["hang"]);
        assert_eq!(all("timeout", None, Some(End::Open)), ["hang"]);
        assert_eq!(all("timeout", Some((answer(504, &[], ""), true)), None), [""; 0]);
    }

    #[test]
    fn bytes_that_no_reading_shows_are_looked_for() {
        for (expect, head) in [
            (json!({"no_bytes": ["\u{b}"]}), "X: \u{b}"),
            (json!({"no_fold": true}), "X: a\r\n b"),
            (json!({"no_bare_lf": true}), "X: a\nb"),
            (json!({"no_ws_colon": true}), "X : a"),
            (json!({"no_line": "junk"}), "junk"),
        ] {
            let raw = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n");
            assert_eq!(kinds(&answer_bytes(&expect, 200, raw.as_bytes())), ["unsafe"], "{expect}");
            assert_eq!(kinds(&answer_bytes(&expect, 200, b"HTTP/1.1 200 OK\r\nY: a\r\n\r\n")), [""; 0], "{expect}");
        }
        assert_eq!(kinds(&answer_bytes(&json!({"version": "HTTP/1.1"}), 200, b"HTTP/1.0 200 OK\r\n\r\n")), ["wrong"]);
    }
}
