//! A call from one service to another, through the gateway: one connection, one request, one answer. It refuses to know
//! what is asked, and where the other service lives: that is what the gateway is for.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::http::HeaderMap;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::demo::answer;
use crate::demo::answer::Answer;

/// What ties the calls of one request together, and is passed on.
pub(super) const PASSED_ON: [&str; 3] = ["x-request-id", "traceparent", "tracestate"];
/// Longest time a call may take, all the gateway's attempts included.
const TIME: Duration = Duration::from_secs(20);

/// Posts JSON to a path of the gateway; `from` is the request that made it necessary.
///
/// # Errors
/// When the gateway cannot be reached, does not answer in time, or answers what is no HTTP.
pub(super) async fn post(gateway: SocketAddr, path: &str, from: &HeaderMap, body: &str) -> io::Result<Answer> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the gateway did not answer in time");
    tokio::time::timeout(TIME, exchange(gateway, request(gateway, path, from, body))).await.map_err(late)?
}

fn request(gateway: SocketAddr, path: &str, from: &HeaderMap, body: &str) -> Vec<u8> {
    let mut head = format!("POST {path} HTTP/1.1\r\nHost: {gateway}\r\nConnection: close\r\n").into_bytes();
    for name in PASSED_ON {
        // A value of a parsed head holds no line end.
        for value in from.get_all(name) {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
            head.extend_from_slice(b"\r\n");
        }
    }
    let length = body.len();
    let rest = format!("Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
    head.extend_from_slice(rest.as_bytes());
    head
}

async fn exchange(gateway: SocketAddr, request: Vec<u8>) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(gateway).await?;
    stream.write_all(&request).await?;
    let mut bytes = Vec::with_capacity(4096);
    loop {
        let closed = stream.read_buf(&mut bytes).await? == 0;
        if let Some(answer) = answer::read(&bytes, closed)? {
            return Ok(answer);
        }
    }
}
