//! Heads that more than one bench reads and writes, what is written to them, and routes that they take. It refuses to know what is
//! measured.

use std::hint::black_box;

use ringway::address::Peer;
use ringway::http::forward::Answer;
use ringway::http::forward::Hop;
use ringway::http::forward::Server;
use ringway::http::forward::encode_response;
use ringway::http::framing;
use ringway::http::head::HeadLimits;
use ringway::http::head::Method;
use ringway::http::head::ResponseHead;
use ringway::http::head::Version;
use ringway::http::identity::Marks;
use ringway::limits;
use ringway::route::Table;

pub const LIMITS: HeadLimits = HeadLimits {
    head_bytes: limits::REQUEST_HEAD_BYTES,
    fields: limits::REQUEST_FIELDS,
    target_bytes: limits::REQUEST_TARGET_BYTES,
};

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nServer: orders\r\nDate: Tue, 24 Nov 2026 22:50:06 GMT\r\n\
    Content-Type: application/json\r\nContent-Length: 128\r\nCache-Control: no-store\r\n\r\n";

/// So many routes of a host by prefix, and one for all.
pub fn routes(count: usize) -> Table {
    let rows: String = (0..count).map(|n| format!("{{ path = \"/r{n}/*\", upstream = \"app\" }}, ")).collect();
    let text = format!(
        "[listen.http]\nbind = \"127.0.0.1:0\"\n[upstream.app]\nendpoints = [\"127.0.0.1:1\"]\n\
         [host.\"shop.example\"]\nroutes = [{rows}{{ path = \"/*\", upstream = \"app\" }}]\n"
    );
    let loaded = ringway::config::load_text("routes", &text).unwrap_or_else(|_| unreachable!("a configuration"));
    Table::compile(&loaded.model.hosts)
}

const REQUEST_ID: &[u8] = b"0123456789abcdef0123";

/// The marks of a client that came by itself.
pub fn marks() -> Marks {
    Marks::of(Peer::Ip(([192, 0, 2, 1], 7).into()), Some(8080), "http")
}

/// What is written to a request of a client with these marks.
pub fn hop(marks: &Marks, trusted: bool) -> Hop<'_> {
    Hop { marks, trusted, request_id: REQUEST_ID, authority: b"orders", anew: &[], upgrade: b"" }
}

/// Reads a response of five fields and writes it again; its bytes then.
pub fn answer(head: &mut ResponseHead, out: &mut Vec<u8>) -> usize {
    head.reset();
    head.parse(black_box(RESPONSE), &LIMITS).expect("a response");
    let response = head.view(RESPONSE);
    let answer = Answer {
        framing: framing::response(response, Method::Get).expect("a length"),
        close: false,
        client_version: Version::Http11,
        request_id: REQUEST_ID,
        date: b"Tue, 24 Nov 2026 22:50:06 GMT",
        server: Server::Pass,
        kept: [""; 2],
        added: b"",
    };
    out.clear();
    encode_response(out, response, &answer);
    out.len()
}
