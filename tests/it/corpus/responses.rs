//! Responses, as faulty as they come: what a client behind the gateway gets of them, and what its next requests get.

use std::net::Shutdown;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;

use super::Case;
use super::judge;
use super::judge::End;
use super::judge::Got;
use super::judge::Problem;
use super::latin1;
use super::play;
use super::prepare;
use super::service::Conn;
use super::service::Service;
use super::write_pieces;
use crate::support::Gateway;
use crate::support::Incoming;
use crate::support::Request;
use crate::support::Response;

/// A gateway before a faulty service.
struct Stage {
    gateway: Gateway,
    service: Service<Play>,
}

/// What the service is to do, and what it did.
#[derive(Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "three events of a case, each for itself")]
struct Play {
    case: Option<(Arc<Case>, usize)>,
    /// Which case it is, counted from 1.
    turn: usize,
    /// Connections that began to play it, and those that have said all.
    begun: usize,
    said: usize,
    /// The client has its answer, so that what is late may come.
    answered: bool,
    /// The client is done.
    over: bool,
    /// A connection that played the case was used again.
    reused: bool,
}

#[test]
fn every_response_is_refused_or_passed_on_as_it_must_be() {
    let set = || {
        let service = Service::run(Play::default(), converse);
        let gateway = Gateway::start(&super::toml(service.addr));
        Stage { gateway, service }
    };
    play(&Case::all("h1-responses.jsonl"), set, act);
}

fn act(stage: &Stage, case: &Arc<Case>, cut: usize) -> Vec<Problem> {
    let shared = &stage.service.shared;
    shared.change(|state| {
        let turn = state.play.turn + 1;
        state.play = Play { case: Some((case.clone(), cut)), turn, ..Play::default() };
    });
    let mut got = ask(stage, case);
    let stream = prepare(TcpStream::connect(stage.gateway.http()).unwrap());
    got.next.push(next(&mut Incoming::new(&stream), &stream));
    let play = shared.change(|state| {
        state.play.over = true;
        state.play.clone()
    });
    got.reused = play.reused;
    got.bad = stage.service.settle().1;
    judge::response(case, &got)
}

/// Asks for the case's response, and for another on the same connection if that is still there.
fn ask(stage: &Stage, case: &Case) -> Got {
    let (req, shared) = (&case.line["req"], &stage.service.shared);
    let method = req["method"].as_str().unwrap_or("GET");
    let version = req["version"].as_str().unwrap_or("HTTP/1.1");
    let fields = req["headers"].as_str().unwrap_or("");
    let head = format!("{method} /case {version}\r\nHost: a\r\n{fields}\r\n");
    let mut request = latin1(&(head + req["body"].as_str().unwrap_or("")));
    if let Some(generated) = req["body_gen"].as_array() {
        request.extend(latin1(generated[0].as_str().unwrap()).repeat(generated[1].as_u64().unwrap() as usize));
    }
    let stream = prepare(TcpStream::connect(stage.gateway.http()).unwrap());
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_pieces(&stream, [request.as_slice()].into_iter()));
        let mut tape = Vec::new();
        let mut incoming = Incoming::new(Taped { stream: &stream, tape: &mut tape });
        let mut got = Got::none();
        match incoming.response_head() {
            Err(broken) => got.end = Some(End::of(broken)),
            Ok(mut answer) => {
                let read = incoming.response_body(&mut answer, method == "HEAD");
                got.answer = Some((answer, read.is_ok()));
                got.end = read.err().map(End::of);
            }
        }
        // The next request comes after everything that the service has to say.
        let quiet = |state: &super::service::State<Play>| state.play.begun > 0 && state.play.begun == state.play.said;
        shared.change(|state| state.play.answered = true);
        drop(shared.wait("the service to say all", quiet));
        if got.end.is_none() {
            if got.answer.as_ref().is_some_and(|(answer, _)| answer.closes()) {
                got.end =
                    Some(incoming.some().map_or_else(End::of, |bytes| End::Junk(format!("{bytes:?} at the end"))));
            } else {
                writer.join().unwrap();
                got.next.push(next(&mut incoming, &stream));
            }
        }
        drop(stream.shutdown(Shutdown::Both)); // ends the writer
        got.raw = tape;
        got
    })
}

/// The answer to one more request.
fn next(incoming: &mut Incoming<impl std::io::Read>, stream: &TcpStream) -> Result<Response, End> {
    write_pieces(stream, [&b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"[..]].into_iter());
    incoming.response(false).map_err(End::of)
}

/// A stream that keeps a copy of what it gave.
struct Taped<'a> {
    stream: &'a TcpStream,
    tape: &'a mut Vec<u8>,
}

impl std::io::Read for Taped<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let n = self.stream.read(into)?;
        self.tape.extend_from_slice(&into[..n]);
        Ok(n)
    }
}

/// The service: the case to `/case`, and `next` to everything else.
fn converse(conn: &mut Conn<Play>) {
    let mut played = 0;
    while let Some((number, mut request)) = conn.head() {
        if request.target.contains("/case") {
            let play = conn.shared.change(|state| {
                state.play.begun += 1;
                state.play.clone()
            });
            played = play.turn;
            let goes_on = say(conn, &play, number, &mut request);
            if !goes_on {
                return;
            }
        } else {
            conn.shared.change(|state| state.play.reused |= played == state.play.turn);
            if !conn.body(number, &mut request) || !write_pieces(conn.stream(), [NEXT].into_iter()) {
                return;
            }
        }
    }
}

const NEXT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext";

/// Plays the case; false: that was the end of the connection.
fn say(conn: &mut Conn<Play>, play: &Play, number: usize, request: &mut Request) -> bool {
    let Some((case, cut)) = &play.case else { return false };
    let unread = case.line["req"]["body_gen"].is_array();
    // An answer without a look at the body; the body is still the request's, not the next one.
    let early = case.text("name").contains("without reading");
    let mut whole = unread || early || conn.body(number, request);
    whole &= write_pieces(conn.stream(), case.pieces(*cut));
    if early {
        whole &= conn.body(number, request);
    }
    let expect = &case.line["expect"];
    if let Some(late) = expect["late"].as_str() {
        drop(conn.shared.wait("the client to have its answer", |state| state.play.answered));
        write_pieces(conn.stream(), [latin1(late).as_slice()].into_iter());
    }
    let ends = expect["late_fin"] == true || case.text("then") == "fin";
    if ends {
        drop(conn.stream().shutdown(Shutdown::Write)); // the gateway may have been first
    }
    let resets = case.text("then") == "rst";
    if resets {
        SockRef::from(conn.stream()).set_linger(Some(Duration::ZERO)).unwrap();
        conn.shared.change(|state| state.play.said += 1);
        return false;
    }
    conn.shared.change(|state| state.play.said += 1);
    if ends || unread || case.text("then") == "silent" {
        let turn = play.turn;
        drop(conn.shared.wait("the client to be done", |state| state.play.over || state.play.turn != turn));
        return false;
    }
    whole
}
