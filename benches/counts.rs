//! The pure parts of a request, each done so many times and nothing else: `counts PIECE TIMES`. Callgrind counts the
//! instructions (loadtest/instructions). It refuses to measure time.

mod heads;

use std::hint::black_box;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use ringway::balance::Ask;
use ringway::balance::Picker;
use ringway::balance::Tried;
use ringway::balance::board::Board;
use ringway::balance::ledger::Ledger;
use ringway::balance::plan::Candidate;
use ringway::balance::plan::Plan;
use ringway::balance::plan::Rules;
use ringway::http::forward::encode_request;
use ringway::http::framing;
use ringway::http::framing::Framing;
use ringway::http::head::RequestHead;
use ringway::http::head::ResponseHead;
use ringway::id::CoreId;
use ringway::id::EndpointSlot;
use ringway::id::UpstreamSlot;
use ringway::model::Balance;
use ringway::rand::Rng;

use heads::LIMITS;

const REQUEST: &[u8] = b"GET /orders/1?page=2 HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\
    Accept: text/html,application/xhtml+xml\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\n\
    Cookie: sid=8d1f0c3a5e7b4f6d9a2c1b0e8f7d6c5b; theme=dark\r\n\r\n";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [piece, times] = words.as_slice() else { return usage() };
    let Ok(times) = times.parse::<u64>() else { return usage() };
    match piece.as_str() {
        "parse" => parse(times),
        "route" => route(times),
        "pick" => pick(times),
        "encode" => encode(times),
        "answer" => answer(times),
        _ => return usage(),
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("counts parse|route|pick|encode|answer TIMES");
    ExitCode::from(2)
}

/// A request's head, and how its body ends.
fn parse(times: u64) {
    let mut head = RequestHead::default();
    for _ in 0..times {
        head.reset();
        head.parse(black_box(REQUEST), &LIMITS).expect("a request");
        black_box(framing::request(head.view(REQUEST))).expect("a length");
    }
}

/// Among a thousand routes of a host and one for all.
fn route(times: u64) {
    let table = heads::routes(1000);
    for turn in 0..times {
        let path: &[u8] = if turn % 2 == 0 { b"/r500/items/1" } else { b"/orders/1" };
        black_box(table.find(black_box(b"shop.example"), black_box(path))).expect("a route");
    }
}

/// Of 64 endpoints, the one that will answer soonest, and the account of it.
fn pick(times: u64) {
    let board = Arc::new(Board::new(1, Instant::now()));
    let slots = || (1..=64).map(EndpointSlot);
    let candidates = slots().map(|slot| Candidate::plain(slot, &format!("10.0.0.{}:80", slot.0))).collect();
    let plan = Arc::new(Plan::new(Rules { balance: Balance::Latency, ..Rules::default() }, candidates));
    let ledger: Rc<Ledger> = Ledger::new(board, CoreId(0));
    for slot in slots() {
        ledger.begin(slot, 0).answered(1000 + u64::from(slot.0) * 37 % 900);
    }
    let rng = Rng::seeded(7);
    let mut picker = Picker::bind(&ledger, UpstreamSlot(1), &plan, None, &rng);
    let (tried, mut us) = (Tried::default(), 20_000);
    for _ in 0..times {
        us += 25;
        black_box(picker.pick(&Ask { tried: &tried, key: None, sticky: None }, black_box(us), &rng));
    }
}

/// The request as it goes on.
fn encode(times: u64) {
    let mut head = RequestHead::default();
    head.parse(REQUEST, &LIMITS).expect("a request");
    let (marks, mut out) = (heads::marks(), Vec::with_capacity(4096));
    let hop = heads::hop(&marks, false);
    for _ in 0..times {
        out.clear();
        encode_request(&mut out, black_box(&head).view(REQUEST), Framing::None, &hop);
        black_box(out.len());
    }
}

/// A response's head, read and written again.
fn answer(times: u64) {
    let (mut head, mut out) = (ResponseHead::default(), Vec::with_capacity(4096));
    for _ in 0..times {
        black_box(heads::answer(&mut head, &mut out));
    }
}
