//! Requests, as hostile as they come: what a strict service behind the gateway hears of them, and what the client is told.

use std::net::Shutdown;
use std::net::TcpStream;
use std::sync::Arc;

use super::Case;
use super::judge;
use super::judge::Asked;
use super::judge::End;
use super::judge::Problem;
use super::play;
use super::prepare;
use super::service::Conn;
use super::service::Service;
use super::write_pieces;
use crate::support::Broken;
use crate::support::Gateway;
use crate::support::Incoming;

/// A gateway before a strict service.
struct Stage {
    gateway: Gateway,
    service: Service<()>,
}

#[test]
fn every_request_is_refused_or_passed_on_as_it_must_be() {
    let set = || {
        let service = Service::run((), answer_all);
        let gateway = Gateway::start(&super::toml(service.addr));
        Stage { gateway, service }
    };
    play(&Case::all("h1-corpus.jsonl"), set, act);
}

fn act(stage: &Stage, case: &Arc<Case>, cut: usize) -> Vec<Problem> {
    let (answers, end) = ask(stage, case, cut);
    let (seen, bad) = stage.service.settle();
    judge::request(case, &Asked { answers, end, seen, bad })
}

/// Sends the case and reads what comes, until the gateway closes. Where it need not, our direction ends once there are as
/// many answers as there should be: then it closes, after whatever else it has to say.
fn ask(stage: &Stage, case: &Case, cut: usize) -> (Vec<crate::support::Response>, End) {
    let stream = prepare(TcpStream::connect(stage.gateway.http()).unwrap());
    let wanted = case.line["origin"]["n"].as_u64().unwrap_or(1).max(1) as usize;
    let closes = case.is("close") || matches!(case.text("outcome"), "reject" | "truncated");
    let methods = methods(&case.raw);
    let mut answers = Vec::new();
    let end = std::thread::scope(|scope| {
        let mut writer = Some(scope.spawn(|| {
            write_pieces(&stream, case.pieces(cut));
            if case.is("fin") {
                drop(stream.shutdown(Shutdown::Write)); // the gateway may have been first
            }
        }));
        let mut incoming = Incoming::new(&stream);
        let broken = loop {
            if !closes
                && answers.len() >= wanted
                && let Some(writer) = writer.take()
            {
                writer.join().unwrap();
                drop(stream.shutdown(Shutdown::Write)); // the gateway may have been first
            }
            match incoming.response(methods.get(answers.len()).is_some_and(|method| method == "HEAD")) {
                Ok(answer) => answers.push(answer),
                Err(broken) => break broken,
            }
        };
        drop(stream.shutdown(Shutdown::Both)); // ends the writer
        End::of(broken)
    });
    (answers, end)
}

/// The methods of what looks like request lines, in their order.
fn methods(raw: &[u8]) -> Vec<String> {
    let lines = raw.split(|byte| *byte == b'\n');
    let method = |line: &[u8]| {
        let text: String = line.iter().map(|byte| char::from(*byte)).collect();
        let (method, rest) = text.split_once(' ')?;
        let (target, version) = rest.split_once(' ')?;
        let fine = !method.is_empty() && method.bytes().all(|byte| byte.is_ascii_uppercase()) && !target.is_empty();
        let version = version.starts_with("HTTP/1.0") || version.starts_with("HTTP/1.1");
        (fine && version && !target.contains('\r')).then(|| method.to_owned())
    };
    lines.filter_map(method).collect()
}

/// Answers every request with `ok`.
fn answer_all(conn: &mut Conn<()>) {
    while let Some((number, mut request)) = conn.head() {
        if request.all("expect").iter().any(|value| value.to_lowercase().contains("100-continue")) {
            write_pieces(conn.stream(), [&b"HTTP/1.1 100 Continue\r\n\r\n"[..]].into_iter());
        }
        if !conn.body(number, &mut request) {
            break;
        }
        let body = if request.method == "HEAD" { "" } else { "ok" };
        let answer =
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Origin: 1\r\nContent-Length: 2\r\n\r\n{body}");
        let connection = request.all("connection").join(",").to_lowercase();
        let old = request.version == "HTTP/1.0" && !connection.contains("keep-alive");
        if !write_pieces(conn.stream(), [answer.as_bytes()].into_iter()) || connection.contains("close") || old {
            break;
        }
    }
}

impl End {
    /// What a reader's failure says of the connection.
    pub fn of(broken: Broken) -> Self {
        match broken {
            Broken::Closed => Self::Closed,
            Broken::Cut(_) => Self::Cut,
            Broken::Late(_) => Self::Open,
            Broken::Rule(rule) => Self::Junk(rule),
        }
    }
}
