//! `Server` and `Date`: what a service wrote, what the gateway writes in its stead, and what it writes of its own.
//! RFC 9110 §6.6.1, §10.2.4.

use crate::support::Gateway;
use crate::support::Origin;
use crate::support::Raw;
use crate::support::Response;
use crate::support::simple;

const OWN_DATE: &str = "Tue, 15 Nov 1994 08:12:31 GMT";

/// Two hints and an answer, each with a Server; with a Date of its own unless told to leave it.
fn origin() -> Origin {
    Origin::answer(|request| {
        let date = if request.target == "/undated" { String::new() } else { format!("Date: {OWN_DATE}\r\n") };
        format!(
            "HTTP/1.1 103 Early Hints\r\nServer: hint\r\nLink: </a>\r\n\r\n\
             HTTP/1.1 200 OK\r\nServer: theirs\r\n{date}Content-Length: 1\r\n\r\na"
        )
    })
}

fn is_now(date: &str) -> bool {
    date.len() == OWN_DATE.len() && date.ends_with(" GMT") && !date.contains("1994")
}

/// An answer of the gateway's own to a head that it cannot read, and to a host that it does not know.
fn own_answers(gateway: &Gateway) -> [Response; 2] {
    ["GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: elsewhere\r\n\r\n"].map(|request| {
        let mut raw = Raw::connect(gateway.http());
        raw.send(request);
        raw.read_response()
    })
}

#[test]
fn the_listener_says_whose_name_a_response_bears() {
    for (listen, relayed, hint, own) in [
        ("", "theirs", "hint", ""),
        ("server = \"pass\"", "theirs", "hint", ""),
        ("server = \"off\"", "", "", ""),
        ("server = \"shop/1 (eu)\"", "shop/1 (eu)", "", "shop/1 (eu)"),
    ] {
        let origin = origin();
        let toml = simple(&[&origin], "", listen).replace("[host.\"*\"]", "[host.\"test.example\"]");
        let gateway = Gateway::start(&toml);
        let response = Raw::connect(gateway.http()).get("/");
        assert_eq!(response.field("server"), relayed, "{listen}");
        let of_hint: Vec<_> = response.interim[0].1.iter().filter(|(name, _)| name == "Server").collect();
        assert_eq!(of_hint.first().map_or("", |(_, value)| value.as_str()), hint, "{listen}");
        let answers = own_answers(&gateway);
        assert_eq!([400, 404], [answers[0].status, answers[1].status]);
        for answer in answers {
            assert_eq!((answer.field("server"), answer.all("server").is_empty()), (own, own.is_empty()), "{listen}");
        }
    }
}

#[test]
fn a_response_has_one_date_its_own_or_ours_and_a_hint_has_none() {
    let origin = origin();
    let gateway = Gateway::start(&simple(&[&origin], "", "").replace("[host.\"*\"]", "[host.\"test.example\"]"));
    let mut raw = Raw::connect(gateway.http());
    let (dated, undated) = (raw.get("/dated"), raw.get("/undated"));
    assert_eq!(dated.field("date"), OWN_DATE);
    assert!(is_now(undated.field("date")), "{undated:?}");
    for response in [&dated, &undated] {
        let (status, fields) = &response.interim[0];
        assert_eq!(*status, 103);
        assert!(fields.iter().all(|(name, _)| !name.eq_ignore_ascii_case("date")), "{fields:?}");
    }
    for answer in own_answers(&gateway) {
        assert!(is_now(answer.field("date")), "{answer:?}");
    }
}
