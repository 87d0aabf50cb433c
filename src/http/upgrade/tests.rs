//! Which protocols go on and which answers switch, as tables.

use proptest::prelude::*;

use super::*;
use crate::http::head::HeadLimits;
use crate::http::head::Parse;
use crate::http::head::RequestHead;
use crate::http::head::ResponseHead;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 4096, fields: 30, target_bytes: 1024 };

/// What goes on of a request with these fields where `websocket` and `chat` are allowed, and whether it asked at all.
fn of_request(line: &str, fields: &str) -> (String, bool) {
    let text = format!("{line}\r\nHost: a:1\r\n{fields}\r\n");
    let mut head = RequestHead::default();
    assert_eq!(head.parse(text.as_bytes(), &LIMITS), Ok(Parse::Whole), "{text:?}");
    let request = head.view(text.as_bytes());
    let allowed = ["websocket".to_owned(), "chat".to_owned(), "h2c".to_owned()];
    assert!(passed(request, &[]).is_empty(), "nothing is allowed: {text:?}");
    (String::from_utf8(passed(request, &allowed)).unwrap(), is_asked(request))
}

#[test]
fn what_goes_on_of_a_request() {
    let get = "GET / HTTP/1.1";
    for (line, fields, list, asked) in [
        (get, "", "", false),
        (get, "Connection: Upgrade\r\n", "", false),
        (get, "Upgrade: websocket\r\n", "", false),
        (get, "Connection: keep-alive\r\nUpgrade: websocket\r\n", "", false),
        (get, "Connection: Upgrade\r\nUpgrade: websocket\r\n", "websocket", true),
        (get, "Connection: x, keep-alive ,uPGRADE\r\nuPGRADE: WebSocket\r\n", "WebSocket", true),
        (get, "Upgrade: websocket\r\nConnection: x\r\nConnection: upgrade\r\n", "websocket", true),
        ("POST / HTTP/1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "websocket", true),
        // In the client's order and spelling, from several fields; by name, whatever the version.
        (
            get,
            "Connection: upgrade\r\nUpgrade: tls/1.0, CHAT/2 ,, chat/1\r\nUpgrade: websocket\r\n",
            "CHAT/2, chat/1, websocket",
            true,
        ),
        (get, "Connection: upgrade\r\nUpgrade: tls/1.0\r\n", "", true),
        (get, "Connection: upgrade\r\nUpgrade: websockets, web, websocket2, x/websocket\r\n", "", true),
        // No protocols.
        (get, "Connection: upgrade\r\nUpgrade: websocket/, websocket/1/2, web socket, websocket;q=1\r\n", "", true),
        (get, "Connection: upgrade\r\nUpgrade:\r\n", "", true),
        // Never, even where it is allowed.
        (get, "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c, H2C/1\r\nHTTP2-Settings: AA\r\n", "", true),
        // HTTP/1.0 knows no upgrade, a later version does; CONNECT has its own.
        ("GET / HTTP/1.0", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "", false),
        ("GET / HTTP/1.4", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "websocket", true),
        ("CONNECT a:1 HTTP/1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "", false),
    ] {
        assert_eq!(of_request(line, fields), (list.to_owned(), asked), "{line} {fields:?}");
    }
}

#[test]
fn what_switches() {
    let passed = b"websocket, chat/2";
    for (line, fields, list) in [
        ("1.1 101 S", "Connection: Upgrade\r\nUpgrade: websocket\r\n", Some("websocket")),
        ("1.1 101 S", "Upgrade: WebSocket\r\n", Some("WebSocket")),
        ("1.1 101 S", "Upgrade: chat/2\r\nUpgrade: websocket\r\n", Some("chat/2, websocket")),
        ("1.1 101 S", "", None),
        ("1.1 101 S", "Upgrade:\r\n", None),
        ("1.1 101 S", "Upgrade: evil\r\n", None),
        ("1.1 101 S", "Upgrade: websocket, evil\r\n", None),
        ("1.1 101 S", "Upgrade: chat\r\n", None),
        ("1.1 101 S", "Upgrade: chat/1\r\n", None),
        ("1.1 101 S", "Upgrade: websocket\r\nContent-Length: 0\r\n", None),
        ("1.1 101 S", "Upgrade: websocket\r\nTransfer-Encoding: chunked\r\n", None),
        ("1.0 101 S", "Upgrade: websocket\r\n", None),
        ("1.1 200 OK", "Connection: Upgrade\r\nUpgrade: websocket\r\n", None),
        ("1.1 100 C", "Connection: Upgrade\r\nUpgrade: websocket\r\n", None),
    ] {
        let text = format!("HTTP/{line}\r\n{fields}\r\n");
        let mut head = ResponseHead::default();
        assert_eq!(head.parse(text.as_bytes(), &LIMITS), Ok(Parse::Whole), "{text:?}");
        let response = head.view(text.as_bytes());
        let seen = switched(response, passed).map(|list| String::from_utf8(list).unwrap());
        assert_eq!(seen.as_deref(), list, "{text:?}");
        assert_eq!(switched(response, b""), None, "nothing was passed on: {text:?}");
    }
}

#[test]
fn the_fields_go_before_the_end_of_a_head() {
    let mut head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    append(&mut head, b"websocket");
    assert_eq!(head, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    // One Connection field, that of the upgrade.
    let mut head = [b"GET / HTTP/1.1\r\nHost: a\r\n", TAKES_TRAILERS, b"\r\n"].concat();
    append(&mut head, b"websocket");
    assert_eq!(head, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
}

proptest! {
    #[test]
    fn only_what_was_asked_and_is_allowed_goes_on_and_may_be_switched_to(
        asked in prop::collection::vec("(websocket|WebSocket|chat|h2c|x)(/[0-9.]{1,3})?|[ -~]{0,12}", 0..8),
        apart in prop::collection::vec(any::<bool>(), 8),
    ) {
        let mut fields = "Connection: Upgrade\r\nUpgrade: ".to_owned();
        for (protocol, apart) in asked.iter().zip(apart) {
            fields.push_str(protocol);
            fields.push_str(if apart { "\r\nUpgrade: " } else { " , " });
        }
        fields.push_str("\r\n");
        let (list, _) = of_request("GET / HTTP/1.1", &fields);
        for protocol in list.split(", ").filter(|protocol| !protocol.is_empty()) {
            prop_assert!(fields.contains(protocol), "{protocol:?} of {fields:?}");
            let name = protocol.split('/').next().unwrap().to_ascii_lowercase();
            prop_assert!(name == "websocket" || name == "chat", "{protocol:?} of {fields:?}");
        }
        let text = format!("HTTP/1.1 101 S\r\nUpgrade: {list}\r\n\r\n");
        let mut head = ResponseHead::default();
        prop_assert_eq!(head.parse(text.as_bytes(), &LIMITS), Ok(Parse::Whole));
        let switched = switched(head.view(text.as_bytes()), list.as_bytes()).unwrap_or_default();
        prop_assert_eq!(String::from_utf8(switched).unwrap(), list);
    }
}
