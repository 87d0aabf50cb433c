//! HTTP/1 heads, read off a connection in place: bounded by their limits, timed as a whole.

use std::time::Duration;

use crate::buf::Block;
use crate::http::Fault;
use crate::http::Refusal;
use crate::http::head::HeadLimits;
use crate::http::head::Parse;
use crate::http::head::RequestHead;
use crate::http::head::ResponseHead;
use crate::io::line::Broken;
use crate::io::line::Line;
use crate::io::socket::Cut;

/// Why there is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoRequest {
    /// The connection ended before the first request, or its end came or its time passed between two.
    Ended,
    /// The connection ended within a head.
    Aborted,
    /// The time passed before the first head was whole, or within another.
    TimedOut,
    /// The head breaks a rule or a bound.
    Refused(Refusal),
}

/// Why there is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoResponse {
    /// The connection broke.
    Broken(Broken),
    /// The head breaks a rule or a bound.
    Faulty(Fault),
}

/// Room for a request head that most fit into; an idle connection holds this much.
pub const REQUEST_ROOM: usize = 2000;
/// Room for a response head and the beginning of its body.
pub const RESPONSE_ROOM: usize = 16 * 1024;

/// Waits for the first bytes of a connection's first request, under the deadline that is armed and stays so; a drain cuts
/// the wait short if that says so.
///
/// # Errors
/// [`NoRequest::Ended`], [`NoRequest::TimedOut`].
pub async fn await_first(line: &Line, inbound: &mut Block) -> Result<(), NoRequest> {
    inbound.reserve(REQUEST_ROOM);
    let room = inbound.spare();
    let result = line.read(inbound, room).await;
    line.reading().occupy();
    result.map(drop).map_err(|broken| match broken {
        // Whoever has connected owes a request: that it says nothing at all is told like that it is slow.
        Broken::TimedOut => NoRequest::TimedOut,
        Broken::Closed | Broken::Reset => NoRequest::Ended,
    })
}

/// Waits for the first bytes of another request, at most `grace`: then there are none, and the connection may be parked.
///
/// # Errors
/// [`NoRequest::Ended`].
pub async fn await_next(line: &Line, inbound: &mut Block, grace: Duration) -> Result<(), NoRequest> {
    inbound.reserve(REQUEST_ROOM);
    line.read_for(inbound, grace).await.map(drop).map_err(|_| NoRequest::Ended)
}

/// Reads until a whole request head stands at the front of `inbound`: at most `patience` from now on, or, without one,
/// under the deadline that is armed.
///
/// # Errors
/// [`NoRequest`], but not `Ended`.
pub async fn read_request(
    line: &Line,
    inbound: &mut Block,
    head: &mut RequestHead,
    limits: &HeadLimits,
    mut patience: Option<Duration>,
) -> Result<(), NoRequest> {
    head.reset();
    loop {
        match head.parse(inbound.bytes(), limits) {
            Ok(Parse::Whole) => break,
            Ok(Parse::Partial) => {}
            Err(refusal) => return Err(NoRequest::Refused(refusal)),
        }
        if let Some(patience) = patience.take() {
            line.reading().arm(patience, Cut::Read);
        }
        inbound.reserve(REQUEST_ROOM);
        let room = inbound.spare();
        match line.read(inbound, room).await {
            Ok(_) => {}
            Err(Broken::TimedOut) => return Err(NoRequest::TimedOut),
            Err(Broken::Closed | Broken::Reset) => return Err(NoRequest::Aborted),
        }
    }
    line.reading().disarm();
    Ok(())
}

/// Reads until a whole response head stands at the front of `inbound`, under the deadline that is armed.
///
/// # Errors
/// [`NoResponse`].
pub async fn read_response(
    line: &Line,
    inbound: &mut Block,
    head: &mut ResponseHead,
    limits: &HeadLimits,
) -> Result<(), NoResponse> {
    head.reset();
    loop {
        if !inbound.is_empty() {
            match head.parse(inbound.bytes(), limits) {
                Ok(Parse::Whole) => return Ok(()),
                Ok(Parse::Partial) => {}
                Err(fault) => return Err(NoResponse::Faulty(fault)),
            }
        }
        if inbound.spare() == 0 || inbound.is_none() {
            inbound.reserve(RESPONSE_ROOM);
        }
        let room = inbound.spare();
        line.read(inbound, room).await.map_err(NoResponse::Broken)?;
    }
}
