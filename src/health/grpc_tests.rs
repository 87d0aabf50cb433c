//! The two messages, and what a reply means.

use super::*;

#[test]
fn a_request_is_framed_as_grpc_frames_it() {
    assert_eq!(message(""), [0, 0, 0, 0, 0]);
    assert_eq!(message("ab"), [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
    let long = message(&"x".repeat(300));
    assert_eq!(long[..8], [0, 0, 0, 1, 0x2f, 0x0a, 0xac, 2]);
    assert_eq!(long.len(), 308);
}

#[test]
fn a_response_is_read_defensively() {
    for (framed, expected) in [
        (&[0, 0, 0, 0, 2, 8, 1][..], Some(1)),
        (&[0, 0, 0, 0, 0], Some(0)),
        (&[0, 0, 0, 0, 3, 8, 0x81, 0], Some(1)),
        (&[0, 0, 0, 0, 4, 8, 2, 8, 1], Some(1)),
        (&[0, 0, 0, 0, 6, 0x12, 2, 9, 9, 8, 1], Some(1)),
        (&[0, 0, 0, 0, 7, 0x1d, 1, 2, 3, 4, 8, 1], Some(1)),
        (&[], None),
        (&[0, 0, 0, 0], None),
        (&[1, 0, 0, 0, 2, 8, 1], None),
        (&[0, 0, 0, 0, 3, 8, 1], None),
        (&[0, 0, 0, 0, 1, 8, 1], None),
        (&[0, 0, 0, 0, 1, 8], None),
        (&[0, 0, 0, 0, 2, 0x12, 200], None),
        (&[0, 0, 0, 0, 2, 0x0b, 1], None),
        (&[0, 0, 0, 0, 11, 8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255], None),
    ] {
        assert_eq!(serving(framed), expected, "{framed:?}");
    }
}

#[test]
fn a_reply_is_good_when_it_says_that_it_serves_and_in_no_other_case() {
    let serving = vec![0, 0, 0, 0, 2, 8, 1];
    let not_serving = vec![0, 0, 0, 0, 2, 8, 2];
    for (status, code, body, expected) in [
        (200, Some("0"), &serving, None),
        (200, Some("0"), &not_serving, Some("NOT_SERVING")),
        (200, Some("0"), &vec![], Some("no HealthCheckResponse")),
        (200, None, &serving, Some("no grpc-status")),
        (200, Some("5"), &vec![], Some("does not know")),
        (200, Some("12"), &vec![], Some("no health service")),
        (200, Some("14"), &serving, Some("grpc-status 14 away")),
        (404, Some("0"), &serving, Some("status 404")),
    ] {
        let code = code.map(|code| (code.to_owned(), "away".to_owned()));
        match (judge(&Reply { status, code: code.clone(), body: body.clone() }), expected) {
            (Verdict::Good(Said::Serving), None) => {}
            (Verdict::Bad(words), Some(part)) if words.contains(part) => {}
            (verdict, _) => panic!("{status} {code:?} {body:?}: {verdict:?}"),
        }
    }
}
