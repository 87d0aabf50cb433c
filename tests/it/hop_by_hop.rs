//! Fields: which go no further than one connection, which the gateway adds, and that all others pass untouched.
//! RFC 9110 §7.6.

use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Request;
use crate::support::ok;

/// What the origin received when the client sent these field lines.
fn forwarded(lines: &str) -> (Request, Gateway) {
    let origin = Origin::named("a");
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send(format!("GET / HTTP/1.1\r\nHost: shop.example.com:8080\r\n{lines}\r\n"));
    assert_eq!(raw.read_response().status, 200);
    (origin.wait_for(1), gateway)
}

#[test]
fn fields_of_one_connection_stay_on_it() {
    let (request, _gateway) = forwarded(
        "Connection: keep-alive, X-Nominated, x-also\r\nX-Nominated: 1\r\nX-Also: 2\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: keep-alive\r\nUpgrade: h2c\r\nTE: gzip\r\nX-Stays: 3\r\n",
    );
    for name in ["x-nominated", "x-also", "keep-alive", "proxy-connection", "upgrade", "te", "transfer-encoding"] {
        assert!(request.all(name).is_empty(), "{name} went on: {request:?}");
    }
    assert_eq!(request.field("x-stays"), "3");
}

#[test]
fn a_client_that_takes_trailers_is_told_of_to_the_endpoint() {
    for lines in ["TE: trailers\r\nConnection: TE\r\n", "TE: gzip;q=0.5\r\nTe: deflate , Trailers\r\n"] {
        let (request, _gateway) = forwarded(lines);
        assert_eq!((request.all("te"), request.all("connection")), (vec!["trailers"], vec!["TE"]), "{lines}");
    }
    for lines in ["", "TE: x-trailers, gzip\r\nConnection: TE\r\n", "X-TE: trailers\r\n"] {
        let (request, _gateway) = forwarded(lines);
        assert!(request.all("te").is_empty() && request.all("connection").is_empty(), "{lines}");
    }
}

#[test]
fn fields_of_the_upstream_connection_stay_on_it() {
    let origin = Origin::answer(|_| {
        "HTTP/1.1 200 OK\r\nConnection: X-Inner\r\nX-Inner: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\n\
         Upgrade: h2c\r\nX-Stays: 2\r\nContent-Length: 0\r\n\r\n"
    });
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    let response = raw.get("/");
    for name in ["x-inner", "keep-alive", "proxy-connection", "upgrade"] {
        assert!(response.all(name).is_empty(), "{name} came on: {response:?}");
    }
    assert_eq!(response.field("x-stays"), "2");
}

#[test]
fn all_other_fields_pass_in_their_order_and_spelling_both_ways() {
    let origin = Origin::answer(|_| {
        "HTTP/1.1 207 Multi Thing\r\nServer: shop/1\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\nSet-Cookie: a=1\r\n\
         X-Odd_Name!: y\r\nSet-Cookie: b=2\r\nx-empty:\r\nContent-Length: 0\r\n\r\n"
    });
    let gateway = Gateway::before(&[&origin]);
    let mut raw = Raw::connect(gateway.http());
    raw.send(
        b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1; b=2\r\nX-Twice: 1\r\nuser-AGENT: curl\r\nX-Twice:   2  \r\n\
          X-Bytes: caf\xe9 \xf0\x9f\x8e\x89\r\nAuthorization: Basic eDp5\r\nX-Empty:\r\n\r\n",
    );
    let response = raw.read_response();
    let request = origin.wait_for(1);
    let own = ["host", "via", "x-forwarded", "forwarded", "x-request-id", "traceparent", "connection"];
    let theirs = |fields: &[(String, String)]| -> Vec<String> {
        let foreign = fields.iter().filter(|(name, _)| !own.iter().any(|own| name.to_lowercase().starts_with(own)));
        foreign.map(|(name, value)| format!("{name}: {value}")).collect()
    };
    assert_eq!(
        theirs(&request.fields),
        [
            "Cookie: a=1; b=2",
            "X-Twice: 1",
            "user-AGENT: curl",
            "X-Twice: 2",
            "X-Bytes: caf\u{e9} \u{f0}\u{9f}\u{8e}\u{89}",
            "Authorization: Basic eDp5",
            "X-Empty: "
        ]
    );
    assert_eq!((response.status, response.reason.as_str()), (207, "Multi Thing"));
    assert_eq!(
        theirs(&response.fields),
        [
            "Server: shop/1",
            "Date: Tue, 15 Nov 1994 08:12:31 GMT",
            "Set-Cookie: a=1",
            "X-Odd_Name!: y",
            "Set-Cookie: b=2",
            "x-empty: ",
            "Content-Length: 0"
        ]
    );
}

#[test]
fn the_gateway_says_who_asked_and_by_which_way() {
    let (request, _gateway) = forwarded("");
    assert_eq!(request.field("host"), "shop.example.com:8080");
    assert_eq!(request.field("x-forwarded-for"), "127.0.0.1");
    assert_eq!(request.field("x-forwarded-proto"), "http");
    assert_eq!(request.field("x-forwarded-host"), "shop.example.com:8080");
    assert!(request.field("via").starts_with("1.1 "), "{request:?}");
}

#[test]
fn what_a_client_claims_about_itself_is_replaced() {
    let (request, _gateway) = forwarded(
        "X-Forwarded-For: 10.9.9.9\r\nx-forwarded-for: 10.8.8.8\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n\
         Forwarded: for=10.9.9.9;host=evil\r\nVia: 1.0 before\r\n",
    );
    assert_eq!(request.field("x-forwarded-for"), "127.0.0.1");
    assert_eq!(request.field("x-forwarded-proto"), "http");
    assert_eq!(request.field("x-forwarded-host"), "shop.example.com:8080");
    assert!(request.all("forwarded").iter().all(|value| !value.contains("10.9.9.9") && !value.contains("evil")));
    let via = request.all("via").join(", ");
    assert!(via.starts_with("1.0 before, 1.1 "), "{via}");
}

#[test]
fn a_client_cannot_nominate_away_what_the_gateway_says() {
    let (request, _gateway) =
        forwarded("Connection: X-Forwarded-For, Via, X-Request-Id, Host, X-Forwarded-Proto, Content-Length\r\n");
    for name in ["host", "via", "x-forwarded-for", "x-forwarded-proto", "x-request-id"] {
        assert!(!request.field(name).is_empty(), "{name} is gone: {request:?}");
    }
}

#[test]
fn a_request_has_one_id_in_request_and_log_kept_or_made() {
    let (request, gateway) = forwarded("X-Request-Id: from-the-client-1\r\n");
    assert_eq!(request.field("x-request-id"), "from-the-client-1");
    assert_eq!(gateway.wait_log(|_| true).str("request_id"), "from-the-client-1");

    let (request, gateway) = forwarded("");
    let made = request.field("x-request-id");
    assert!(made.len() >= 16, "{made:?}");
    assert_eq!(gateway.wait_log(|_| true).str("request_id"), made);

    let long = "a".repeat(129);
    let (request, _gateway) = forwarded(&format!("X-Request-Id: {long}\r\n"));
    assert!(!request.field("x-request-id").contains(&long));
    assert!(!request.field("x-request-id").is_empty());
}

#[test]
fn made_ids_differ() {
    let origin = Origin::answer(|request| ok(request.field("x-request-id")));
    let gateway = Gateway::before(&[&origin]);
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..4 {
        let mut raw = Raw::connect(gateway.http());
        for _ in 0..25 {
            ids.insert(raw.get("/").text().to_owned());
        }
    }
    assert_eq!(ids.len(), 100);
}
