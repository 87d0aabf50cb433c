//! Whole lines: their exact text, and what holds for whatever a client may send.

use std::net::IpAddr;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::observe::ended::Cause;
use crate::observe::ended::Phase;

fn text(text: &str) -> Text<'_> {
    Text { bytes: text.as_bytes(), cut: false }
}

fn line() -> Line<'static> {
    Line {
        time_us: 1_795_560_606_123_456,
        duration_us: 1_500,
        upstream_us: 1_400,
        queue_us: 300,
        bytes_in: 99,
        bytes_out: 123,
        ended: Ended { cause: Cause::Ok, phase: Phase::Done },
        status: 200,
        attempts: 1,
        client: "192.0.2.1:4711".parse::<SocketAddr>().unwrap().into(),
        listener: text("http"),
        request_id: text("id-1"),
        method: text("GET"),
        host: text("shop.example.com"),
        target: text("/x?q=1"),
        protocol: text("HTTP/1.1"),
        route: text("*/x/*"),
        upstream: text("orders"),
        endpoint: text("10.0.0.1:80"),
        user_agent: text("curl/8"),
        referer: text("http://a/"),
        tls: text(""),
        certificate: text(""),
    }
}

fn nothing_understood() -> Line<'static> {
    Line {
        ended: Ended { cause: Cause::ClientTimeoutHead, phase: Phase::Request },
        status: 0,
        attempts: 0,
        client: "[2001:db8::1]:9".parse::<SocketAddr>().unwrap().into(),
        method: text(""),
        host: text(""),
        target: text(""),
        protocol: text(""),
        route: text(""),
        upstream: text(""),
        endpoint: text(""),
        user_agent: text(""),
        referer: text(""),
        ..line()
    }
}

fn written(format: LogFormat, line: &Line<'_>) -> String {
    let mut out = Vec::new();
    write(&mut out, format, line);
    String::from_utf8(out).unwrap()
}

#[test]
fn json_has_its_fields_in_their_order() {
    assert_eq!(
        written(LogFormat::Json, &line()),
        concat!(
            r#"{"time":"2026-11-24T22:50:06.123456Z","request_id":"id-1","client":"192.0.2.1:4711","listener":"http","#,
            r#""method":"GET","host":"shop.example.com","path":"/x?q=1","protocol":"HTTP/1.1","status":200,"#,
            r#""route":"*/x/*","upstream":"orders","endpoint":"10.0.0.1:80","attempts":1,"ended":"ok","#,
            r#""who":"upstream","phase":"done","duration_us":1500,"upstream_us":1400,"queue_us":300,"#,
            r#""bytes_in":99,"bytes_out":123,"user_agent":"curl/8","referer":"http://a/"}"#,
            "\n"
        )
    );
    assert_eq!(
        written(LogFormat::Json, &nothing_understood()),
        concat!(
            r#"{"time":"2026-11-24T22:50:06.123456Z","request_id":"id-1","client":"[2001:db8::1]:9","listener":"http","#,
            r#""method":"","host":"","path":"","protocol":"","status":0,"route":"","upstream":"","endpoint":"","#,
            r#""attempts":0,"ended":"client_timeout_head","who":"client","phase":"request","duration_us":1500,"#,
            r#""upstream_us":1400,"queue_us":300,"bytes_in":99,"bytes_out":123,"user_agent":"","referer":""}"#,
            "\n"
        )
    );
}

#[test]
fn combined_is_as_others_write_it() {
    let injected = Line { target: text("/\" 200\n"), user_agent: Text { bytes: b"\x1b[2J", cut: true }, ..line() };
    for (line, expected) in [
        (line(), r#"192.0.2.1 - - [24/Nov/2026:22:50:06 +0000] "GET /x?q=1 HTTP/1.1" 200 123 "http://a/" "curl/8""#),
        (nothing_understood(), r#"2001:db8::1 - - [24/Nov/2026:22:50:06 +0000] "-" 000 123 "-" "-""#),
        (
            injected,
            r#"192.0.2.1 - - [24/Nov/2026:22:50:06 +0000] "GET /\x22 200\x0A HTTP/1.1" 200 123 "http://a/" "\x1B[2J...""#,
        ),
    ] {
        assert_eq!(written(LogFormat::Combined, &line), format!("{expected}\n"));
    }
}

/// Bytes as clients send them when they mean harm: control characters, quotes, broken UTF-8, and plain text between.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        "[ -~]{0,8}".prop_map(String::into_bytes),
        any::<String>().prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..8),
        prop::sample::select(vec!["\n", "\r", "\"", "\\", "\u{7f}", "\u{85}", "\u{2028}"])
            .prop_map(|s| s.as_bytes().to_vec()),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// What a reader of the line is to see of bytes.
fn seen(bytes: &[u8], cut: bool) -> String {
    let mut seen = String::new();
    for chunk in bytes.utf8_chunks() {
        seen.push_str(chunk.valid());
        seen.extend(chunk.invalid().iter().map(|byte| char::from(*byte)));
    }
    if cut {
        seen.push('…');
    }
    seen
}

fn assert_one_line(text: &str) {
    let inside = text.strip_suffix('\n').expect("a line ends in a newline");
    assert!(!inside.contains(|c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}'), "{inside:?}");
}

proptest! {
    #[test]
    fn json_gives_every_value_back(
        texts in prop::collection::vec((hostile(), any::<bool>()), 13),
        numbers in prop::collection::vec(any::<u64>(), 6),
        status in any::<u16>(),
        cause in prop::sample::select(Cause::ALL.to_vec()),
        client in any::<(IpAddr, std::num::NonZeroU16)>(),
    ) {
        let t = |at: usize| Text { bytes: &texts[at].0, cut: texts[at].1 };
        let line = Line {
            time_us: numbers[0], duration_us: numbers[1], upstream_us: numbers[2], queue_us: numbers[3],
            bytes_in: numbers[4], bytes_out: numbers[5], ended: Ended { cause, phase: Phase::Wait }, status, attempts: 7,
            client: SocketAddr::new(client.0, client.1.get()).into(), listener: t(0), request_id: t(1), method: t(2), host: t(3), target: t(4),
            protocol: t(5), route: t(6), upstream: t(7), endpoint: t(8), user_agent: t(9), referer: t(10),
            tls: t(11), certificate: t(12),
        };
        let json = written(LogFormat::Json, &line);
        assert_one_line(&json);
        let value: Value = serde_json::from_str(&json).unwrap();
        let keys = ["listener", "request_id", "method", "host", "path", "protocol", "route", "upstream", "endpoint",
            "user_agent", "referer", "tls", "client_certificate"];
        for (at, key) in keys.into_iter().enumerate() {
            if at > 10 && texts[at].0.is_empty() {
                prop_assert_eq!(&value[key], &Value::Null);
                continue;
            }
            prop_assert_eq!(&value[key], &Value::from(seen(&texts[at].0, texts[at].1)), "{}", key);
        }
        for (at, key) in ["duration_us", "upstream_us", "queue_us", "bytes_in", "bytes_out"].into_iter().enumerate() {
            prop_assert_eq!(&value[key], &Value::from(numbers[at + 1]), "{}", key);
        }
        prop_assert_eq!(&value["status"], &Value::from(status));
        prop_assert_eq!(&value["ended"], &Value::from(cause.row().word));
        prop_assert_eq!(&value["client"], &Value::from(line.client.to_string()));
    }

    #[test]
    fn combined_stays_one_line_of_three_quoted_strings(
        method in hostile(), target in hostile(), referer in hostile(), user_agent in hostile(), cut in any::<bool>(),
    ) {
        let t = |bytes| Text { bytes, cut };
        let line =
            Line { method: t(&method), target: t(&target), referer: t(&referer), user_agent: t(&user_agent), ..line() };
        let text = written(LogFormat::Combined, &line);
        assert_one_line(&text);
        prop_assert!(text.is_ascii());
        prop_assert_eq!(text.matches('"').count(), 6);
    }
}
