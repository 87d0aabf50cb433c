//! What must hold of any bytes at all: the entries that the fuzzer feeds, and the tests with it. Each panics where
//! - the outcome depends on how the bytes were cut,
//! - the codec takes what [`naive`] refuses, or both take it and differ in what it says, or it refuses without a reason,
//! - what is written of a message is not read back as the same.

pub mod hello;
pub mod naive;
pub mod tls;

use naive::Reading;
use ringway::address::Peer;
use ringway::health::talk;
use ringway::health::talk::Question;
use ringway::health::talk::Talk;
use ringway::http::ChunkFault;
use ringway::http::Fault;
use ringway::http::Refusal;
use ringway::http::forward::Answer;
use ringway::http::forward::Hop;
use ringway::http::forward::Server;
use ringway::http::forward::encode_interim;
use ringway::http::forward::encode_request;
use ringway::http::forward::encode_response;
use ringway::http::framing;
use ringway::http::framing::Framing;
use ringway::http::head::HeadLimits;
use ringway::http::head::Known;
use ringway::http::head::Method;
use ringway::http::head::Parse;
use ringway::http::head::RequestHead;
use ringway::http::head::ResponseHead;
use ringway::http::head::Version;
use ringway::http::host;
use ringway::http::identity::Marks;
use ringway::http::path::Outcome;
use ringway::http::path::Rule;
use ringway::http::path::Rules;
use ringway::http::path::normalise;
use ringway::http::proxy;
use ringway::http::upgrade;
use ringway::limits;
use ringway::wire::body::Sink;
use ringway::wire::body::Source;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 4096, fields: 30, target_bytes: 1024 };
/// Room for what the gateway adds.
const WIDE: HeadLimits = HeadLimits { head_bytes: 16_384, fields: 60, target_bytes: 2048 };

/// Bytes of a client: a request head, its framing, and its body through the source that the gateway reads bodies by.
pub fn request_head(bytes: &[u8]) {
    let mut head = RequestHead::default();
    let whole = head.parse(bytes, &LIMITS);
    for at in cuts(bytes) {
        let mut other = RequestHead::default();
        let mut pieces = other.parse(&bytes[..at], &LIMITS);
        if pieces == Ok(Parse::Partial) {
            pieces = other.parse(bytes, &LIMITS);
        }
        // What is wrong in a line that has not ended may be seen once it has.
        let waits = pieces == Ok(Parse::Partial) && whole.is_err();
        assert!(whole == pieces || waits, "{whole:?} in one piece, {pieces:?} in two, cut at {at}");
        assert!(whole != Ok(Parse::Whole) || head.len() == other.len());
    }
    let request = head.view(bytes);
    let outcome = whole.and_then(|parse| match parse {
        Parse::Partial => Ok(None),
        Parse::Whole => framing::request(request).map(Some),
    });
    let naive = naive::request(bytes);
    match (&outcome, &naive) {
        (Ok(Some(framing)), Reading::Whole(naive)) => {
            let fields: Vec<_> = request.fields().map(|(_, name, value)| (name.to_vec(), value.to_vec())).collect();
            assert_eq!((request.method(), request.target()), (&naive.method[..], &naive.target[..]));
            assert_eq!((request.host(), head.len()), (&naive.authority[..], naive.len));
            assert_eq!(request.version() == Version::Http10, naive.minor == 0);
            assert_eq!((fields, body_of(*framing)), (naive.fields.clone(), naive.body));
            written_request(bytes, &head, *framing);
            source(&bytes[head.len()..], *framing);
        }
        (Ok(Some(_)), _) => panic!("taken, but {naive:?}"),
        (Ok(None), Reading::Whole(naive)) => panic!("not known to be whole, but {naive:?}"),
        (Err(refusal), Reading::Whole(naive)) => {
            let policy = matches!(
                refusal,
                Refusal::UnknownMethod
                    | Refusal::NoHopLeft
                    | Refusal::UnknownExpectation
                    | Refusal::HostMismatch
                    | Refusal::HeadTooLarge
                    | Refusal::TooManyFields
                    | Refusal::TargetTooLong
                    | Refusal::EmptyLines
            );
            assert!(policy, "{refusal:?} without a reason: {naive:?}");
        }
        (Ok(None) | Err(_), Reading::More | Reading::Never(_)) => {}
    }
}

/// What goes to the endpoint says what came from the client, and ends where it does.
fn written_request(bytes: &[u8], head: &RequestHead, framing: Framing) {
    let request = head.view(bytes);
    let mut out = Vec::new();
    // Of a trusted peer, the more is written of what came.
    let trusted = bytes.len().is_multiple_of(2);
    let marks = Marks::of(Peer::Unix, Some(8080), "http");
    let hop = Hop { marks: &marks, trusted, request_id: b"an-id", authority: b"up.example", anew: &[], upgrade: b"" };
    encode_request(&mut out, request, framing, &hop);
    let mut again = RequestHead::default();
    match again.parse(&out, &WIDE) {
        Ok(Parse::Whole) => {}
        // The last hop of its Max-Forwards was the one to the endpoint.
        Err(Refusal::NoHopLeft) => return,
        other => panic!("{other:?} {:?}", String::from_utf8_lossy(&out)),
    }
    assert_eq!(again.len(), out.len());
    let second = again.view(&out);
    assert_eq!(framing::request(second), Ok(framing));
    assert_eq!((second.method(), second.version()), (request.method(), Version::Http11));
    assert_eq!(second.path(), if request.path() == b"/" && second.path() == b"*" { b"*" } else { request.path() });
    if !request.host().is_empty() {
        assert_eq!(second.host(), request.host());
    }
    let Reading::Whole(naive) = naive::request(&out) else { panic!("{:?}", String::from_utf8_lossy(&out)) };
    let connection = naive::all(&naive.fields, "connection");
    let trails = naive::all(&naive.fields, "te") == [b"trailers"] && connection == [b"TE"];
    assert_eq!(trails, !connection.is_empty());
    assert!(!trails || request.fields().any(|field| field.0 == Known::Te));
    assert!(naive::all(&naive.fields, "upgrade").is_empty());
    for (known, name, value) in second.fields().filter(|field| field.0 == Known::Other) {
        assert!(request.fields().any(|field| field == (known, name, value)));
    }
    let allowed = ["websocket".to_owned()];
    let list = upgrade::passed(request, &allowed);
    if !list.is_empty() {
        out.clear();
        encode_request(&mut out, request, framing, &Hop { upgrade: &list, ..hop });
        let mut again = RequestHead::default();
        assert_eq!(again.parse(&out, &WIDE), Ok(Parse::Whole), "{:?}", String::from_utf8_lossy(&out));
        let second = again.view(&out);
        assert_eq!(upgrade::passed(second, &allowed), list);
        assert_eq!(second.fields().filter(|field| field.0 == Known::Connection).count(), 1);
    }
}

/// Bytes of an endpoint: a response head to GET and to HEAD, its framing and its body.
pub fn response_head(bytes: &[u8]) {
    let mut head = ResponseHead::default();
    let whole = head.parse(bytes, &LIMITS);
    for at in cuts(bytes) {
        let mut other = ResponseHead::default();
        let mut pieces = other.parse(&bytes[..at], &LIMITS);
        if pieces == Ok(Parse::Partial) {
            pieces = other.parse(bytes, &LIMITS);
        }
        let waits = pieces == Ok(Parse::Partial) && whole.is_err();
        assert!(whole == pieces || waits, "{whole:?} in one piece, {pieces:?} in two, cut at {at}");
        assert!(whole != Ok(Parse::Whole) || head.len() == other.len());
    }
    for method in [Method::Get, Method::Head] {
        let response = head.view(bytes);
        let outcome = whole.and_then(|parse| match parse {
            Parse::Partial => Ok(None),
            Parse::Whole => framing::response(response, method).map(Some),
        });
        let naive = naive::response(bytes, method == Method::Head);
        match (&outcome, &naive) {
            (Ok(Some(framing)), Reading::Whole(naive)) => {
                let fields: Vec<_> =
                    response.fields().map(|(_, name, value)| (name.to_vec(), value.to_vec())).collect();
                assert_eq!((response.status(), response.reason()), (naive.status, &naive.reason[..]));
                assert_eq!(response.version() == Version::Http10, naive.minor == 0);
                assert_eq!((fields, body_of(*framing)), (naive.fields.clone(), naive.body));
                assert_eq!(head.len(), naive.len);
                written_response(bytes, &head, *framing, method);
                source(&bytes[head.len()..], *framing);
            }
            (Ok(Some(_)), _) => panic!("taken, but {naive:?}"),
            (Ok(None), Reading::Whole(naive)) => panic!("not known to be whole, but {naive:?}"),
            (Err(fault), Reading::Whole(naive)) => {
                assert!(matches!(fault, Fault::HeadTooLarge), "{fault:?} without a reason: {naive:?}");
            }
            (Ok(None) | Err(_), Reading::More | Reading::Never(_)) => {}
        }
    }
}

/// What goes to the client says what came from the endpoint, and ends where it does.
fn written_response(bytes: &[u8], head: &ResponseHead, framing: Framing, method: Method) {
    let response = head.view(bytes);
    let interim = response.status() < 200;
    let answer = Answer {
        framing,
        close: false,
        client_version: Version::Http11,
        request_id: b"an-id",
        date: b"a date",
        server: Server::Pass,
        kept: [""; 2],
        added: b"",
    };
    let mut out = Vec::new();
    if interim {
        encode_interim(&mut out, response, Server::Pass);
    } else {
        encode_response(&mut out, response, &answer);
    }
    let mut again = ResponseHead::default();
    assert_eq!(again.parse(&out, &WIDE), Ok(Parse::Whole), "{:?}", String::from_utf8_lossy(&out));
    let second = again.view(&out);
    assert_eq!((again.len(), second.status(), second.reason()), (out.len(), response.status(), response.reason()));
    assert_eq!(framing::response(second, method), Ok(framing));
    let Reading::Whole(naive) = naive::response(&out, method == Method::Head) else {
        panic!("{:?}", String::from_utf8_lossy(&out));
    };
    assert!(naive::all(&naive.fields, "connection").is_empty() && naive::all(&naive.fields, "upgrade").is_empty());
    for (known, name, value) in second.fields().filter(|field| field.0 == Known::Other) {
        assert!(response.fields().any(|field| field == (known, name, value)));
    }
}

/// A chunked body: the first byte says how it is cut a second time.
pub fn chunked(bytes: &[u8]) {
    let Some((size, bytes)) = bytes.split_first() else { return };
    let whole = pieces(bytes, Framing::Chunked, usize::MAX);
    for size in [usize::from(*size).max(1), 1, 3] {
        assert_eq!(pieces(bytes, Framing::Chunked, size), whole, "in pieces of {size}");
    }
    let naive = naive::chunks(bytes);
    match (&whole, &naive) {
        (Ok(Read { data, trailers, consumed, ended: true }), Reading::Whole(naive)) => {
            assert_eq!((data, *consumed), (&naive.data, naive.len));
            let line = |(name, value): &naive::Field| [name, &b": "[..], value, b"\r\n"].concat();
            // Those that go on are among those that came, in their order, and do not frame, route or authorise.
            let mut came = naive.trailers.iter();
            for kept in trailers.split_inclusive(|byte| *byte == b'\n') {
                let field = came.find(|field| line(field) == kept).expect("a trailer that came");
                let name = field.0.to_ascii_lowercase();
                let never = ["content-length", "transfer-encoding", "host", "connection", "trailer", "authorization"];
                assert!(!never.iter().any(|never| never.as_bytes() == name), "{:?}", String::from_utf8_lossy(kept));
            }
            written_body(data, trailers);
        }
        (Ok(Read { ended: true, .. }), _) => panic!("taken, but {naive:?}"),
        (Ok(_), Reading::Whole(naive)) => panic!("not known to be whole, but {naive:?}"),
        (Err(fault), Reading::Whole(naive)) => {
            let wide = match fault {
                // Sizes have a bound, and a size of so many digits is too long a line.
                ChunkFault::BadSize => false,
                ChunkFault::LineTooLong => bytes.len() > limits::CHUNK_LINE_BYTES,
                ChunkFault::BadExtension => bytes.len() > limits::CHUNK_EXTENSION_BYTES,
                ChunkFault::BadTrailer => {
                    naive.trailers.len() > limits::REQUEST_FIELDS || bytes.len() > limits::REQUEST_HEAD_BYTES
                }
                ChunkFault::BadEnd => false,
            };
            assert!(wide, "{fault:?} without a reason: {naive:?}");
        }
        (Ok(_) | Err(_), Reading::More | Reading::Never(_)) => {}
    }
}

/// What is written of a body is read back as the same, however it is divided into chunks.
fn written_body(data: &[u8], trailers: &[u8]) {
    for size in [1, 7, data.len().max(1)] {
        let mut out = Vec::new();
        for piece in data.chunks(size) {
            Sink::Chunked.append(&mut out, piece, None);
        }
        Sink::Chunked.append(&mut out, b"", Some(trailers));
        let read = pieces(&out, Framing::Chunked, usize::MAX).expect("chunks");
        assert_eq!((&read.data[..], &read.trailers[..]), (data, trailers));
        assert!(read.ended && read.consumed == out.len());
    }
}

/// A target and a Host, divided by the first LF: taken in a head as they are taken alone.
pub fn target(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (target, authority) = (&bytes[..at], bytes.get(at + 1..).unwrap_or_default());
    let name = host::name(authority);
    assert_eq!(name.is_some(), naive::is_authority(authority, true), "{:?}", String::from_utf8_lossy(authority));
    if let Some(name) = name {
        assert!(authority.starts_with(name));
        let port = &authority[name.len()..];
        assert!(port.is_empty() || (port[0] == b':' && port[1..].iter().all(u8::is_ascii_digit)));
        assert!(host::same(authority, &authority.to_ascii_uppercase()));
    }
    let authority = if name.is_some() { authority } else { b"a" };
    for method in ["GET", "OPTIONS"] {
        let parts = [method.as_bytes(), b" ", target, b" HTTP/1.1\r\nHost: ", authority, b"\r\n\r\n"];
        request_head(&parts.concat());
    }
}

/// A path by the rules that the first byte stands for: what is normal stays so, and what was resolved is gone, however a
/// reader takes slashes.
pub fn path(bytes: &[u8]) {
    let Some((which, path)) = bytes.split_first() else { return };
    let rule = |n: u8| [Rule::Keep, Rule::Resolve, Rule::Refuse][usize::from(n % 3)];
    let rules = Rules { dots: rule(*which), slashes: rule(which / 3), encoded_slashes: rule(which / 9) };
    let (mut once, mut twice) = (Vec::new(), Vec::new());
    match normalise(path, rules, &mut once) {
        Ok(Outcome::Normal) => {
            assert!(once.is_empty());
            once.extend_from_slice(path);
        }
        Ok(Outcome::Rewritten) => assert_ne!(once, path),
        Err(_) => return,
    }
    assert!(once.first() == Some(&b'/') && once.len() <= path.len().max(1));
    assert_eq!(normalise(&once, rules, &mut twice), Ok(Outcome::Normal), "{:?}", String::from_utf8_lossy(&once));
    let text = String::from_utf8_lossy(&once);
    if rules.dots != Rule::Keep {
        let read = text.replace("%2F", "/").replace("%5C", "/").replace('\\', "/").replace("%3B", ";");
        assert!(read.split('/').all(|part| !matches!(part.split(';').next(), Some("." | ".."))), "{text:?}");
    }
    assert!(rules.slashes == Rule::Keep || !text.contains("//"), "{text:?}");
    assert!(rules.encoded_slashes == Rule::Keep || !(text.contains("%2F") || text.contains("%5C")), "{text:?}");
    if rules.slashes == Rule::Keep && rules.encoded_slashes == Rule::Keep {
        // RFC 9110 §4.2.3: an empty path is `/`.
        let unescaped = naive::unescape(if path.is_empty() { b"/" } else { path });
        let wanted = if rules.dots == Rule::Resolve { naive::remove_dots(&unescaped) } else { unescaped };
        assert_eq!(text, String::from_utf8_lossy(&wanted));
    }
}

/// What a proxy may put before a connection: in pieces the same, and what is written of it reads back.
pub fn proxy(bytes: &[u8]) {
    let whole = proxy::parse(bytes);
    for at in cuts(bytes) {
        // Who waits for more has not seen the end; who refuses, refuses for good.
        match (proxy::parse(&bytes[..at]), &whole) {
            (Ok(None), _) => {}
            (pieces, whole) => assert_eq!(&pieces, whole, "cut at {at}"),
        }
    }
    let Ok(Some((len, ends))) = whole else { return };
    assert!(len <= bytes.len() && len <= limits::PROXY_BYTES);
    for write in [proxy::write_line, proxy::write_binary] {
        let mut out = Vec::new();
        write(&mut out, ends);
        let between = matches!(ends, proxy::Ends::Between(..));
        let wanted = if between { ends } else { proxy::Ends::Own };
        assert_eq!(proxy::parse(&out), Ok(Some((out.len(), wanted))), "{:?}", String::from_utf8_lossy(&out));
    }
}

/// What an endpoint says of its health over HTTP/2: in pieces the same, bounded, and nobody is made to say more than was heard.
pub fn talk(bytes: &[u8]) {
    let hear = |pieces: &[&[u8]]| {
        let mut talk = Talk::new(Vec::new());
        assert!(talk.ask(&Question { secure: false, authority: "orders", path: "/a.B/C", message: &[0; 5] }));
        drop(talk.say());
        let mut whole = false;
        for piece in pieces {
            whole = talk.hear(piece)?;
        }
        let open = talk.is_open();
        Ok::<_, talk::Fault>((whole.then(|| talk.reply()), open, talk.say()))
    };
    let whole = hear(&[bytes]);
    for at in cuts(bytes) {
        let (one, two) = bytes.split_at(at);
        assert_eq!(hear(&[one, two]), whole, "cut at {at}");
    }
    if let Ok((reply, _, said)) = whole {
        assert!(said.len() <= bytes.len() + 13, "{} bytes for {}", said.len(), bytes.len());
        assert!(reply.is_none_or(|reply| reply.body.len() <= 4096 && (200..1000).contains(&reply.status)));
    }
}

/// What was read of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Read {
    data: Vec<u8>,
    trailers: Vec<u8>,
    consumed: usize,
    ended: bool,
}

/// The body at the front of `bytes`, in pieces of that size.
fn pieces(bytes: &[u8], framing: Framing, size: usize) -> Result<Read, ChunkFault> {
    let mut source = Source::new(framing);
    let mut read = Read { data: Vec::new(), trailers: Vec::new(), consumed: 0, ended: source.ended() };
    for piece in bytes.chunks(size) {
        if read.ended {
            break;
        }
        let mut piece = piece.to_vec();
        let taken = source.buffered(&mut piece)?;
        read.data.extend_from_slice(&piece[taken.data]);
        read.consumed += taken.consumed;
        read.ended = source.ended();
        assert!(read.ended || taken.consumed == piece.len(), "bytes were left while more was wanted");
    }
    assert_eq!(source.taken(), read.data.len() as u64);
    assert!(source.clean().is_some() == read.ended, "only what ended can be clean");
    read.trailers = source.trailers().to_vec();
    Ok(read)
}

/// A body through the source, cut in several ways: the same.
fn source(bytes: &[u8], framing: Framing) {
    let whole = pieces(bytes, framing, usize::MAX);
    for size in [1, 3] {
        assert_eq!(pieces(bytes, framing, size), whole, "in pieces of {size}");
    }
    if let (Framing::Length(length), Ok(read)) = (framing, whole) {
        assert_eq!(read.ended, bytes.len() as u64 >= length);
        assert_eq!(read.data, bytes[..read.consumed]);
    }
}

fn body_of(framing: Framing) -> naive::Body {
    match framing {
        Framing::None => naive::Body::None,
        Framing::Length(length) => naive::Body::Length(length),
        Framing::Chunked => naive::Body::Chunked,
        Framing::UntilClose => naive::Body::UntilClose,
    }
}

/// Where to cut: at a place that depends on the bytes, and, where there are few, at each.
fn cuts(bytes: &[u8]) -> Vec<usize> {
    let sum = bytes.iter().fold(bytes.len(), |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    let mut cuts = vec![sum % (bytes.len() + 1)];
    if bytes.len() < 64 {
        cuts.extend(0..bytes.len());
    }
    cuts
}
