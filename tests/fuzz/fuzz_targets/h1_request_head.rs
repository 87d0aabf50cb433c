//! A request head, whole and cut at a place: the same outcome; and what is written of it parses again as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringway::address::Peer;
use ringway::http::Refusal;
use ringway::http::forward::Hop;
use ringway::http::forward::encode_request;
use ringway::http::framing;
use ringway::http::head::HeadLimits;
use ringway::http::head::Known;
use ringway::http::head::Parse;
use ringway::http::head::RequestHead;
use ringway::http::identity::Marks;
use ringway::http::upgrade;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 4096, fields: 30, target_bytes: 1024 };
const WIDE: HeadLimits = HeadLimits { head_bytes: 16_384, fields: 60, target_bytes: 2048 };

fn cut(head: &mut RequestHead, bytes: &[u8], at: usize) -> Result<Parse, Refusal> {
    match head.parse(&bytes[..at], &LIMITS)? {
        Parse::Whole => Ok(Parse::Whole),
        Parse::Partial => head.parse(bytes, &LIMITS),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (mut one, mut two) = (RequestHead::default(), RequestHead::default());
    let whole = one.parse(bytes, &LIMITS);
    let at = bytes.iter().fold(bytes.len(), |sum, byte| sum.wrapping_mul(31) + usize::from(*byte)) % (bytes.len() + 1);
    let pieces = cut(&mut two, bytes, at);
    // What is wrong in a line that has not ended may be seen once it has.
    assert!(whole == pieces || (pieces == Ok(Parse::Partial) && whole.is_err()), "{whole:?} {pieces:?} at {at}");
    if whole != Ok(Parse::Whole) {
        return;
    }
    assert_eq!(one.len(), two.len());
    let request = one.view(bytes);
    let Ok(framing) = framing::request(request) else { return };
    let mut out = Vec::new();
    // Of a trusted peer, the more is written of what came.
    let trusted = bytes.len() % 2 == 0;
    let marks = Marks::of(Peer::Unix, Some(8080), "http");
    let hop = Hop { marks: &marks, trusted, request_id: b"an-id", authority: b"up.example" };
    encode_request(&mut out, request, framing, &hop);
    let list = upgrade::passed(request, &["websocket".to_owned()]);
    if !list.is_empty() {
        upgrade::append(&mut out, &list);
    }
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
    assert_eq!(second.method(), request.method());
    if !request.host().is_empty() {
        assert_eq!(second.host(), request.host());
    }
    assert_eq!(upgrade::passed(second, &["websocket".to_owned()]), list);
    for (known, name, value) in second.fields().filter(|field| field.0 == Known::Other) {
        assert!(request.fields().any(|field| field == (known, name, value)));
    }
});
