//! Where messages end: RFC 9112 §6.3 as a table.

use super::*;
use crate::http::head::HeadLimits;
use crate::http::head::Parse;
use crate::http::head::RequestHead;
use crate::http::head::ResponseHead;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 1024, fields: 20, target_bytes: 100 };

fn of_request(version: &str, fields: &str) -> Result<Framing, Refusal> {
    let text = format!("POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
    let mut head = RequestHead::default();
    assert_eq!(head.parse(text.as_bytes(), &LIMITS), Ok(Parse::Whole), "{text:?}");
    request(head.view(text.as_bytes()))
}

fn of_response(method: Method, line: &str, fields: &str) -> Result<Framing, Fault> {
    let text = format!("HTTP/{line}\r\n{fields}\r\n");
    let mut head = ResponseHead::default();
    assert_eq!(head.parse(text.as_bytes(), &LIMITS), Ok(Parse::Whole), "{text:?}");
    response(head.view(text.as_bytes()), method)
}

#[test]
fn of_requests() {
    use Framing as F;
    use Refusal as R;
    for (fields, outcome) in [
        ("", Ok(F::None)),
        ("Content-Length: 0\r\n", Ok(F::Length(0))),
        ("Content-Length:5\r\n", Ok(F::Length(5))),
        ("content-length: \t 0005 \t\r\n", Ok(F::Length(5))),
        ("Content-Length: 18446744073709551615\r\n", Ok(F::Length(u64::MAX))),
        ("Content-Length: 18446744073709551616\r\n", Err(R::BadLength)),
        ("Content-Length: 18446744073709551621\r\n", Err(R::BadLength)),
        ("Content-Length:\r\n", Err(R::BadLength)),
        ("Content-Length: +5\r\n", Err(R::BadLength)),
        ("Content-Length: -5\r\n", Err(R::BadLength)),
        ("Content-Length: 5, 5\r\n", Err(R::BadLength)),
        ("Content-Length: 0x5\r\n", Err(R::BadLength)),
        ("Content-Length: 5 5\r\n", Err(R::BadLength)),
        ("Content-Length: 5\u{665}\r\n", Err(R::BadLength)),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", Err(R::SeveralLengths)),
        ("Content-Length:\r\nContent-Length: 5\r\n", Err(R::SeveralLengths)),
        ("Content_Length: 5\r\n", Ok(F::None)),
        ("Transfer-Encoding: chunked\r\n", Ok(F::Chunked)),
        ("TRANSFER-encoding:CHUNKED\t\r\n", Ok(F::Chunked)),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Err(R::LengthAndCoding)),
        ("Content-Length: x\r\nTransfer-Encoding: gzip\r\n", Err(R::LengthAndCoding)),
        ("Transfer-Encoding: gzip, chunked\r\n", Err(R::UnknownCoding)),
        ("Transfer-Encoding: chunked, chunked\r\n", Err(R::UnknownCoding)),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(R::UnknownCoding)),
        ("Transfer-Encoding: ,chunked\r\n", Err(R::UnknownCoding)),
        ("Transfer-Encoding: chunked;q=1\r\n", Err(R::UnknownCoding)),
        ("Transfer-Encoding: identity\r\n", Err(R::UnknownCoding)),
        ("Transfer-Encoding:\r\n", Err(R::UnknownCoding)),
    ] {
        assert_eq!(of_request("1.1", fields), outcome, "{fields:?}");
    }
    assert_eq!(of_request("1.0", "Content-Length: 5\r\n"), Ok(F::Length(5)));
    assert_eq!(of_request("1.0", "Transfer-Encoding: chunked\r\n"), Err(R::CodingInOld));
    assert_eq!(of_request("1.7", "Transfer-Encoding: chunked\r\n"), Ok(F::Chunked));
    for (fields, outcome) in [
        ("X: y\r\n", Ok(F::None)),
        ("Content-Length: 0\r\n", Err(R::ContentInConnect)),
        ("Content-Length: 5\r\n", Err(R::ContentInConnect)),
        ("Transfer-Encoding: chunked\r\n", Err(R::ContentInConnect)),
        ("Transfer-Encoding: gzip\r\nContent-Length: x\r\n", Err(R::ContentInConnect)),
    ] {
        let text = format!("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n{fields}\r\n");
        let mut head = RequestHead::default();
        assert_eq!(head.parse(text.as_bytes(), &LIMITS), Ok(Parse::Whole), "{text:?}");
        assert_eq!(request(head.view(text.as_bytes())), outcome, "{fields:?}");
    }
}

#[test]
fn of_responses() {
    use Framing as F;
    let (length, chunked) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    let both = format!("{length}{chunked}");
    let twice = length.repeat(2);
    for (method, line, fields, outcome) in [
        (Method::Get, "1.1 200 OK", "", Ok(F::UntilClose)),
        (Method::Get, "1.1 200 OK", length, Ok(F::Length(5))),
        (Method::Get, "1.1 200 OK", chunked, Ok(F::Chunked)),
        (Method::Get, "1.1 205 R", length, Ok(F::Length(5))),
        (Method::Head, "1.1 200 OK", "", Ok(F::None)),
        (Method::Head, "1.1 200 OK", length, Ok(F::None)),
        (Method::Head, "1.1 200 OK", chunked, Ok(F::None)),
        (Method::Head, "1.1 200 OK", &both, Err(Fault::LengthAndCoding)),
        (Method::Get, "1.1 204 N", length, Ok(F::None)),
        (Method::Get, "1.1 304 N", length, Ok(F::None)),
        (Method::Get, "1.1 304 N", &twice, Err(Fault::SeveralLengths)),
        (Method::Get, "1.1 103 E", "", Ok(F::None)),
        (Method::Get, "1.1 100 C", length, Err(Fault::ContentInInterim)),
        (Method::Get, "1.1 100 C", chunked, Err(Fault::ContentInInterim)),
        (Method::Get, "1.1 200 OK", &both, Err(Fault::LengthAndCoding)),
        (Method::Get, "1.1 200 OK", &twice, Err(Fault::SeveralLengths)),
        (Method::Get, "1.1 200 OK", "Content-Length: 5;\r\n", Err(Fault::BadLength)),
        (Method::Get, "1.1 200 OK", "Content-Length : 5\r\n", Ok(F::Length(5))),
        (Method::Get, "1.1 200 OK", "Transfer-Encoding: gzip\r\n", Err(Fault::UnknownCoding)),
        // A tunnel, whatever the fields say; any other answer to CONNECT is a message.
        (Method::Connect, "1.1 200 OK", "", Ok(F::UntilClose)),
        (Method::Connect, "1.1 200 OK", length, Ok(F::UntilClose)),
        (Method::Connect, "1.1 204 N", &both, Ok(F::UntilClose)),
        (Method::Connect, "1.0 299 OK", chunked, Ok(F::UntilClose)),
        (Method::Connect, "1.1 300 M", length, Ok(F::Length(5))),
        (Method::Connect, "1.1 407 P", &both, Err(Fault::LengthAndCoding)),
        (Method::Connect, "1.1 101 S", length, Err(Fault::ContentInInterim)),
        (Method::Get, "1.0 200 OK", chunked, Err(Fault::UnknownCoding)),
        (Method::Get, "1.0 200 OK", length, Ok(F::Length(5))),
    ] {
        assert_eq!(of_response(method, line, fields), outcome, "{method:?} {line} {fields:?}");
    }
}
