//! A response head, whole and cut at a place: the same outcome; and what is written of it parses again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringway::http::Fault;
use ringway::http::forward::Answer;
use ringway::http::forward::Server;
use ringway::http::forward::encode_response;
use ringway::http::framing;
use ringway::http::head::HeadLimits;
use ringway::http::head::Method;
use ringway::http::head::Parse;
use ringway::http::head::ResponseHead;
use ringway::http::head::Version;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 4096, fields: 30, target_bytes: 0 };
const WIDE: HeadLimits = HeadLimits { head_bytes: 16_384, fields: 60, target_bytes: 0 };

fn cut(head: &mut ResponseHead, bytes: &[u8], at: usize) -> Result<Parse, Fault> {
    match head.parse(&bytes[..at], &LIMITS)? {
        Parse::Whole => Ok(Parse::Whole),
        Parse::Partial => head.parse(bytes, &LIMITS),
    }
}

fuzz_target!(|bytes: &[u8]| {
    let (mut one, mut two) = (ResponseHead::default(), ResponseHead::default());
    let whole = one.parse(bytes, &LIMITS);
    let at = bytes.iter().fold(bytes.len(), |sum, byte| sum.wrapping_mul(31) + usize::from(*byte)) % (bytes.len() + 1);
    let pieces = cut(&mut two, bytes, at);
    assert!(whole == pieces || (pieces == Ok(Parse::Partial) && whole.is_err()), "{whole:?} {pieces:?} at {at}");
    if whole != Ok(Parse::Whole) {
        return;
    }
    assert_eq!(one.len(), two.len());
    let response = one.view(bytes);
    let Ok(framing) = framing::response(response, Method::Get) else { return };
    let (date, server) = (b"a date".as_slice(), Server::Pass);
    let answer = Answer { framing, close: false, client_version: Version::Http11, request_id: b"an-id", date, server };
    let mut out = Vec::new();
    encode_response(&mut out, response, &answer);
    let mut again = ResponseHead::default();
    assert_eq!(again.parse(&out, &WIDE), Ok(Parse::Whole), "{:?}", String::from_utf8_lossy(&out));
    assert_eq!((again.len(), again.view(&out).status()), (out.len(), response.status()));
    if response.status() >= 200 {
        assert_eq!(framing::response(again.view(&out), Method::Get), Ok(framing));
    }
});
