//! The raw messages of `tests/corpus`, driven through the pure parts: head, framing, chunks, and what is written of them.
//! What only sockets can show (the end of a connection, a silence, reuse) is left to those who have sockets: the fields of its line
//! say so, never its name, so that more cases may be put there.

use serde_json::Value;

use crate::address::Peer;
use crate::http::Refusal;
use crate::http::forward::Answer;
use crate::http::forward::Hop;
use crate::http::forward::Server;
use crate::http::forward::encode_interim;
use crate::http::forward::encode_request;
use crate::http::forward::encode_response;
use crate::http::framing;
use crate::http::framing::Framing;
use crate::http::h1::chunked::Chunked;
use crate::http::head::HeadLimits;
use crate::http::head::Method;
use crate::http::head::Parse;
use crate::http::head::RequestHead;
use crate::http::head::ResponseHead;
use crate::http::head::Version;
use crate::http::identity::Marks;
use crate::limits;

const REQUEST: HeadLimits = HeadLimits {
    head_bytes: limits::REQUEST_HEAD_BYTES,
    fields: limits::REQUEST_FIELDS,
    target_bytes: limits::REQUEST_TARGET_BYTES,
};
const RESPONSE: HeadLimits =
    HeadLimits { head_bytes: limits::RESPONSE_HEAD_BYTES, fields: limits::RESPONSE_FIELDS, target_bytes: 0 };

/// Cut the input so: whole, byte by byte, three bytes at a time, and in two at an odd place.
const CUTS: [usize; 4] = [usize::MAX, 1, 3, 29];

fn cases(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a case")).collect()
}

fn requests() -> Vec<Value> {
    cases(include_str!("../../tests/corpus/h1-corpus.jsonl"))
}

fn responses() -> Vec<Value> {
    cases(include_str!("../../tests/corpus/h1-responses.jsonl"))
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("Latin-1")).collect()
}

fn raw(case: &Value) -> Vec<u8> {
    match case["parts"].as_array() {
        Some(parts) => {
            let repeat = |part: &Value| {
                latin1(part[0].as_str().unwrap()).repeat(usize::try_from(part[1].as_u64().unwrap()).unwrap())
            };
            parts.iter().flat_map(repeat).collect()
        }
        None => latin1(case["raw"].as_str().unwrap_or("")),
    }
}

/// A message that came whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Message {
    /// What goes on, as it goes on, without the body.
    head: Vec<u8>,
    /// The target's path, or the status.
    what: String,
    method: String,
    body: Vec<u8>,
    trailers: Vec<u8>,
    keep: bool,
    interim: Vec<u16>,
}

/// How a run of messages ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rest {
    /// The bytes were used up between two messages.
    Nothing,
    /// Within a head.
    Head,
    /// Within a body: its head would have been passed on already.
    Body,
    /// Refused, with this status and in these words.
    Refused(u16, &'static str),
    /// By the rules the connection ends here.
    Closed,
}

/// The bytes as they come: `have` grows by `cut` whenever more is asked for.
struct Feed<'a> {
    raw: &'a [u8],
    cut: usize,
    from: usize,
    have: usize,
}

impl Feed<'_> {
    fn now(&self) -> &[u8] {
        &self.raw[self.from..self.have]
    }

    fn more(&mut self) -> bool {
        let before = self.have;
        self.have = self.have.saturating_add(self.cut).min(self.raw.len());
        self.have > before
    }
}

enum Body {
    Whole(Vec<u8>, Vec<u8>),
    Short,
    Bad(&'static str),
}

fn body(feed: &mut Feed<'_>, framing: Framing) -> Body {
    match framing {
        Framing::None => Body::Whole(Vec::new(), Vec::new()),
        Framing::UntilClose => {
            let all = feed.raw[feed.from..].to_vec();
            feed.from = feed.raw.len();
            feed.have = feed.from;
            Body::Whole(all, Vec::new())
        }
        Framing::Length(length) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            while feed.now().len() < length {
                if !feed.more() {
                    return Body::Short;
                }
            }
            let body = feed.now()[..length].to_vec();
            feed.from += length;
            Body::Whole(body, Vec::new())
        }
        Framing::Chunked => {
            let (mut chunked, mut all) = (Chunked::default(), Vec::new());
            loop {
                let mut piece = feed.now().to_vec();
                let decoded = match chunked.decode(&mut piece) {
                    Ok(decoded) => decoded,
                    Err(fault) => return Body::Bad(fault.words()),
                };
                all.extend_from_slice(&piece[decoded.data]);
                feed.from += decoded.consumed;
                if decoded.end {
                    return Body::Whole(all, chunked.trailers().to_vec());
                }
                if !feed.more() {
                    return Body::Short;
                }
            }
        }
    }
}

fn run_requests(raw: &[u8], cut: usize) -> (Vec<Message>, Rest) {
    let mut feed = Feed { raw, cut, from: 0, have: 0 };
    let (mut all, mut head) = (Vec::new(), RequestHead::default());
    feed.more();
    loop {
        head.reset();
        loop {
            match head.parse(feed.now(), &REQUEST) {
                Ok(Parse::Whole) => break,
                Ok(Parse::Partial) if feed.more() => {}
                Ok(Parse::Partial) if feed.now().is_empty() => return (all, Rest::Nothing),
                Ok(Parse::Partial) => return (all, Rest::Head),
                Err(refusal) => return (all, Rest::Refused(refusal.status(), refusal.words())),
            }
        }
        let request = head.view(feed.now());
        if request.method_kind() == Method::Connect {
            // No route takes it.
            return (all, Rest::Refused(Refusal::UnknownMethod.status(), Refusal::UnknownMethod.words()));
        }
        let framing = match framing::request(request) {
            Ok(framing) => framing,
            Err(refusal) => return (all, Rest::Refused(refusal.status(), refusal.words())),
        };
        let mut message = Message { keep: request.keep_alive(), ..Message::default() };
        let marks = Marks::of(Peer::Ip("192.0.2.1:7".parse().unwrap()), Some(80), "http");
        let hop = Hop {
            marks: &marks,
            trusted: false,
            request_id: b"an-id",
            authority: b"upstream.example",
            anew: &[],
            upgrade: b"",
        };
        encode_request(&mut message.head, request, framing, &hop);
        feed.from += head.len();
        match body(&mut feed, framing) {
            Body::Whole(body, trailers) => (message.body, message.trailers) = (body, trailers),
            Body::Short => return (all, Rest::Body),
            Body::Bad(words) => return (all, Rest::Refused(400, words)),
        }
        let line = message.head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let mut words = line.split(|byte| *byte == b' ').map(|word| String::from_utf8_lossy(word).into_owned());
        message.method = words.next().unwrap_or_default();
        message.what = words.next().unwrap_or_default();
        let keep = message.keep;
        all.push(message);
        if !keep {
            return (all, Rest::Closed);
        }
    }
}

fn run_response(raw: &[u8], cut: usize, method: Method) -> (Option<Message>, Rest, usize) {
    let mut feed = Feed { raw, cut, from: 0, have: 0 };
    let (mut interim, mut head) = (Vec::new(), ResponseHead::default());
    feed.more();
    loop {
        head.reset();
        loop {
            match head.parse(feed.now(), &RESPONSE) {
                Ok(Parse::Whole) => break,
                Ok(Parse::Partial) if feed.more() => {}
                Ok(Parse::Partial) => return (None, Rest::Head, 0),
                Err(fault) => return (None, Rest::Refused(502, fault.words()), 0),
            }
        }
        let response = head.view(feed.now());
        let framing = match framing::response(response, method) {
            Ok(framing) => framing,
            Err(fault) => return (None, Rest::Refused(502, fault.words()), 0),
        };
        let mut message = Message { keep: response.keep_alive(), ..Message::default() };
        message.what = response.status().to_string();
        if response.status() < 200 {
            if response.status() == 101 {
                // What a 101 answers to is known to those who asked.
                return (None, Rest::Closed, 0);
            }
            encode_interim(&mut message.head, response, Server::Pass);
            check_head(&message.head);
            interim.push(response.status());
            feed.from += head.len();
            continue;
        }
        let answer = Answer {
            framing,
            close: false,
            client_version: Version::Http11,
            request_id: b"an-id",
            date: b"Thu, 01 Jan 1970 00:00:00 GMT",
            server: Server::Pass,
            kept: [""; 2],
            added: b"",
        };
        encode_response(&mut message.head, response, &answer);
        feed.from += head.len();
        message.interim = interim;
        return match body(&mut feed, framing) {
            Body::Whole(body, trailers) => {
                (message.body, message.trailers) = (body, trailers);
                (Some(message), Rest::Nothing, feed.raw.len() - feed.from)
            }
            Body::Short => (None, Rest::Body, 0),
            Body::Bad(words) => (None, Rest::Refused(400, words), 0),
        };
    }
}

/// The lines of a head that was written, as name and value; it must keep to the strictest reading.
fn check_head(head: &[u8]) -> Vec<(String, String)> {
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    let lines = text.strip_suffix("\r\n\r\n").expect("an empty line ends the head");
    assert!(!lines.contains("\r\n\r\n"), "{text:?}");
    let mut lines = lines.split("\r\n");
    let first = lines.next().unwrap();
    let controls = |line: &str| line.chars().any(|c| (c < ' ' && c != '\t') || c == '\x7f');
    assert!(!controls(first) && !first.contains('\t'), "{text:?}");
    let mut all = Vec::new();
    for line in lines {
        assert!(!controls(line), "{text:?}");
        let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("{line:?} in {text:?}"));
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        assert!(!name.is_empty() && name.chars().all(token), "{line:?}");
        all.push((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()));
    }
    let count = |wanted: &str| all.iter().filter(|(name, _)| name == wanted).count();
    assert!(count("content-length") + count("transfer-encoding") <= 1, "{text:?}");
    all
}

fn values<'a>(fields: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    fields.iter().filter(|(one, _)| one == name).map(|(_, value)| value.as_str()).collect()
}

/// What `expected` says of the fields that were written.
fn check_fields(id: &str, expected: &Value, fields: &[(String, String)]) {
    let none = serde_json::Map::new();
    for (name, value) in expected["has"].as_object().unwrap_or(&none) {
        assert_eq!(values(fields, name), [value.as_str().unwrap()], "{id}: {name}");
    }
    for name in expected["hasnt"].as_array().into_iter().flatten() {
        assert!(values(fields, name.as_str().unwrap()).is_empty(), "{id}: {name}");
    }
    for (name, value) in expected["not_value"].as_object().unwrap_or(&none) {
        assert!(!values(fields, name).contains(&value.as_str().unwrap()), "{id}: {name}");
    }
    for (name, list) in expected["list"].as_object().unwrap_or(&none) {
        let list: Vec<&str> = list.as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect();
        assert_eq!(values(fields, name), list, "{id}: {name}");
    }
    for name in expected["one"].as_array().into_iter().flatten() {
        assert!(values(fields, name.as_str().unwrap()).len() <= 1, "{id}: {name}");
    }
    for (name, lines) in expected["lines"].as_object().unwrap_or(&none) {
        assert_eq!(values(fields, name).len() as u64, lines.as_u64().unwrap(), "{id}: {name}");
    }
}

fn check_forwarded(case: &Value, all: &[Message]) {
    let (id, origin) = (case["id"].as_str().unwrap(), &case["origin"]);
    for message in all {
        let fields = check_head(&message.head);
        assert_eq!(values(&fields, "host").len(), 1, "{id}");
        if let Some(target) = origin["hasnt_target"].as_array() {
            assert!(!target.iter().any(|target| target == message.what.as_str()), "{id}: {}", message.what);
        }
    }
    let wanted = origin["n"].as_u64().unwrap();
    let most = origin["n_max"].as_u64().unwrap_or(wanted);
    assert!((wanted..=most).contains(&(all.len() as u64)), "{id}: {} requests", all.len());
    let Some(first) = all.first() else { return };
    let fields = check_head(&first.head);
    check_fields(id, origin, &fields);
    if let Some(method) = origin["method"].as_str() {
        assert_eq!(first.method, method, "{id}");
    }
    if let Some(targets) = origin["target"].as_array() {
        assert!(targets.iter().any(|target| target == first.what.as_str()), "{id}: {}", first.what);
    }
    if let Some(targets) = origin["targets"].as_array() {
        let seen: Vec<&str> = all.iter().map(|message| message.what.as_str()).collect();
        let targets: Vec<&str> = targets.iter().map(|target| target.as_str().unwrap()).collect();
        assert_eq!(seen[..targets.len().min(seen.len())], targets, "{id}");
    }
    if let Some(body) = origin["body"].as_str() {
        assert_eq!(first.body, latin1(body), "{id}");
    }
    if let Some(length) = origin["body_len"].as_u64() {
        assert_eq!(first.body.len() as u64, length, "{id}");
    }
    for bytes in origin["no_bytes"].as_array().into_iter().flatten() {
        let text: String = first.head.iter().map(|byte| char::from(*byte)).collect();
        assert!(!text.replace("\r\n", "").contains(bytes.as_str().unwrap()), "{id}");
    }
    let trailers = String::from_utf8_lossy(&first.trailers).to_ascii_lowercase();
    for name in origin["hasnt_trailer"].as_array().into_iter().flatten() {
        assert!(!trailers.contains(name.as_str().unwrap()), "{id}: {trailers}");
    }
}

/// Whether a text or a flag of the line says that more than its bytes decides: the end of the connection, a silence, or
/// time between its pieces.
fn is_for_sockets(case: &Value) -> bool {
    let set = |key: &str| case[key].as_bool() == Some(true);
    let times = |key: &str| case[key].as_u64().is_some();
    let silence =
        case["outcome"] == "timeout" || case["status"].as_array().is_some_and(|all| all.contains(&408.into()));
    set("fin")
        || times("dribble")
        || times("pause_ms")
        || silence
        || matches!(case["then"].as_str(), Some("fin" | "rst" | "silent"))
}

fn judge_request(case: &Value) {
    let (id, outcome) = (case["id"].as_str().unwrap(), case["outcome"].as_str().unwrap());
    let raw = raw(case);
    let whole = run_requests(&raw, usize::MAX);
    for cut in CUTS {
        let pieces = run_requests(&raw, cut);
        // A line that does not end is looked at only once it does: then by the time limit, or the end of the connection.
        let waits = pieces.1 == Rest::Head && matches!(whole.1, Rest::Refused(..)) && pieces.0 == whole.0;
        assert!(pieces == whole || (waits && is_for_sockets(case)), "{id} in pieces of {cut}: {pieces:?} {whole:?}");
    }
    let (all, rest) = whole;
    if let (Rest::Refused(status, words), true) = (&rest, all.is_empty()) {
        let statuses = case["status"].as_array().map_or(&[][..], Vec::as_slice);
        assert!(statuses.iter().any(|one| one == *status), "{id}: {status}, {words}");
    }
    match outcome {
        "reject" => {
            assert!(all.is_empty(), "{id}: passed on {all:?}");
            let left = is_for_sockets(case) && matches!(rest, Rest::Head | Rest::Nothing | Rest::Body);
            assert!(left || matches!(rest, Rest::Refused(..)), "{id}: {rest:?}");
        }
        "truncated" => assert!(all.is_empty() && !matches!(rest, Rest::Closed), "{id}: {all:?} {rest:?}"),
        "accept" | "normalise" => {
            check_forwarded(case, &all);
            let closes = matches!(rest, Rest::Closed | Rest::Refused(..));
            assert!(closes || case["close"] == false || is_for_sockets(case), "{id}: {rest:?}");
        }
        _ if all.is_empty() => {
            let left = is_for_sockets(case) && matches!(rest, Rest::Head | Rest::Nothing | Rest::Body);
            assert!(left || matches!(rest, Rest::Refused(..)), "{id}: {rest:?}");
        }
        _ => check_forwarded(case, &all),
    }
}

fn judge_response(case: &Value) {
    let (id, outcome) = (case["id"].as_str().unwrap(), case["outcome"].as_str().unwrap());
    let raw = raw(case);
    let method = Method::of(case["req"]["method"].as_str().unwrap_or("GET").as_bytes());
    let whole = run_response(&raw, usize::MAX, method);
    for cut in CUTS {
        assert_eq!(run_response(&raw, cut, method), whole, "{id} in pieces of {cut}");
    }
    let (message, rest, behind) = whole;
    // A body that the end of the connection ends is cut where that is no end.
    let cut = matches!(case["then"].as_str(), Some("rst" | "silent"));
    match (outcome, message) {
        ("forward" | "normalise" | "either", Some(message)) => check_answer(case, &message, behind),
        ("abort" | "timeout", Some(message)) => assert!(cut && !message.body.is_empty(), "{id}: {message:?}"),
        // Whether a 101 was asked for is known to those who asked.
        (_, None) if rest == Rest::Closed => {}
        ("either" | "bad_gateway" | "abort" | "timeout", None) => {
            assert!(matches!(rest, Rest::Refused(..)) || is_for_sockets(case), "{id}: {rest:?}");
        }
        (_, message) => panic!("{id}: {message:?} {rest:?}"),
    }
}

/// The same case as another one, as it may be put there.
fn renamed(case: &Value) -> Value {
    let mut case = case.clone();
    case["id"] = format!("{}-again", case["id"].as_str().unwrap()).into();
    case
}

#[test]
fn requests_are_refused_or_passed_on_as_the_corpus_says() {
    let cases = requests();
    assert!(!cases.is_empty());
    cases.iter().for_each(judge_request);
}

#[test]
fn responses_are_refused_or_passed_on_as_the_corpus_says() {
    let cases = responses();
    assert!(!cases.is_empty());
    cases.iter().for_each(judge_response);
}

#[test]
fn a_case_is_judged_by_its_fields_whatever_its_name() {
    requests().iter().map(renamed).for_each(|case| judge_request(&case));
    responses().iter().map(renamed).for_each(|case| judge_response(&case));
    let more = r#"{"id": "X1", "raw": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel", "outcome": "truncated",
        "status": [0, 400], "close": true, "origin": {"n": 0}, "fin": true}"#;
    judge_request(&serde_json::from_str(more).unwrap());
    let more = r#"{"id": "X2", "raw": "GET / HTTP/1.1\r\nHost: a\r\nX: ", "outcome": "reject", "status": [408], "close": true,
        "origin": {"n": 0}, "dribble": 1}"#;
    judge_request(&serde_json::from_str(more).unwrap());
    let more =
        r#"{"id": "X3", "raw": "HTTP/1.0 200 OK\r\n\r\nhel", "then": "rst", "outcome": "abort", "status": [502]}"#;
    judge_response(&serde_json::from_str(more).unwrap());
}

#[test]
#[should_panic(expected = "X4")]
fn a_case_that_its_bytes_decide_is_not_left_to_sockets() {
    let cut = r#"{"id": "X4", "raw": "GET / HTTP/1.1\r\nHost: a\r\n", "outcome": "reject", "status": [400], "close": true,
        "origin": {"n": 0}}"#;
    judge_request(&serde_json::from_str(cut).unwrap());
}

fn check_answer(case: &Value, message: &Message, behind: usize) {
    let (id, expect) = (case["id"].as_str().unwrap(), &case["expect"]);
    let fields = check_head(&message.head);
    check_fields(id, expect, &fields);
    assert!(message.head.starts_with(b"HTTP/1.1 "), "{id}");
    assert_eq!(case["client_status"].as_u64().unwrap().to_string(), message.what, "{id}");
    if let Some(body) = case["body"].as_str() {
        assert_eq!(message.body, latin1(body), "{id}");
    }
    if let Some(length) = expect["body_len"].as_u64() {
        assert_eq!(message.body.len() as u64, length, "{id}");
    }
    if let Some(status) = expect["interim"].as_u64() {
        assert!(message.interim.contains(&u16::try_from(status).unwrap()), "{id}");
    }
    // A connection that may be used again was kept by its rules and has nothing behind the message.
    if case["reuse"].as_bool() == Some(true) {
        assert!(message.keep && behind == 0, "{id}");
    }
    let late = expect["late"].is_string() || case["then"] != "keep";
    if case["reuse"].as_bool() == Some(false) && !late {
        assert!(!message.keep || behind > 0, "{id}");
    }
}
