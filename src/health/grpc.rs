//! `grpc.health.v1.Health/Check` over HTTP/2. Its two messages are so small that they are read and written by
//! hand. It refuses to know who is asked.

use ::http::Request;
use ::http::header::HeaderMap;
use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::task::JoinHandle;

use crate::health::Said;
use crate::health::probe::Verdict;

/// A connection on which one can ask again. Dropped: it is closed, whatever is under way on it.
#[derive(Debug)]
pub(super) struct Channel {
    sender: SendRequest<Bytes>,
    /// Reads and writes for it, also between two checks: what the endpoint wants to know meanwhile is answered.
    driver: Driver,
}

#[derive(Debug)]
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Asks for a service over a new connection; an empty name asks for the server as a whole. The connection can be used again
/// if the answer has come whole.
pub(super) async fn ask<S>(stream: S, authority: &str, service: &str) -> (Verdict, Option<Channel>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let shaken = h2::client::Builder::new()
        .enable_push(false)
        .max_header_list_size(HEADERS)
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buffer_size(HEADERS as usize)
        .handshake::<_, Bytes>(stream)
        .await;
    let (sender, connection) = match shaken {
        Ok(both) => both,
        Err(error) => return (broken(&error), None),
    };
    // How it ends is told to whoever asks over it.
    let driver = Driver(tokio::spawn(async move { drop(connection.await) }));
    match (Channel { sender, driver }).converse(authority, service).await {
        Ok((verdict, channel)) => (verdict, channel),
        Err(error) => (broken(&error), None),
    }
}

impl Channel {
    /// Asks once more; nothing if the connection has died meanwhile, or does while it is asked, which says nothing of the
    /// endpoint.
    pub(super) async fn ask(self, authority: &str, service: &str) -> Option<(Verdict, Self)> {
        let (verdict, channel) = self.converse(authority, service).await.ok()?;
        Some((verdict, channel?))
    }

    async fn converse(self, authority: &str, service: &str) -> Result<(Verdict, Option<Self>), h2::Error> {
        let request = Request::post(format!("http://{authority}/grpc.health.v1.Health/Check"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("user-agent", "ringway-health")
            .body(());
        let Ok(request) = request else {
            return Ok((Verdict::Bad("the check's own request would be ill-formed".into()), None));
        };
        let Self { sender, driver } = self;
        let (reply, sender) = exchange(sender, request, message(service)).await?;
        Ok((judge(&reply), Some(Self { sender, driver })))
    }
}

/// What came back.
#[derive(Debug, Default)]
struct Reply {
    status: u16,
    /// `grpc-status` and `grpc-message`, of the trailers or of a head that has no body behind it.
    code: Option<(String, String)>,
    body: Vec<u8>,
}

async fn exchange(
    sender: SendRequest<Bytes>,
    request: Request<()>,
    body: Vec<u8>,
) -> Result<(Reply, SendRequest<Bytes>), h2::Error> {
    let mut sender = sender.ready().await?;
    let (response, mut upload) = sender.send_request(request, false)?;
    upload.send_data(body.into(), true)?;
    let (head, mut stream) = response.await?.into_parts();
    let mut reply = Reply { status: head.status.as_u16(), code: code(&head.headers), body: Vec::new() };
    while let Some(data) = stream.data().await {
        let data = data?;
        let room = MESSAGE.saturating_sub(reply.body.len());
        if data.len() > room {
            reply.body.clear();
            return Ok((reply, sender));
        }
        reply.body.extend_from_slice(&data);
        stream.flow_control().release_capacity(data.len())?;
    }
    trailers(&mut stream, &mut reply).await?;
    Ok((reply, sender))
}

async fn trailers(stream: &mut RecvStream, reply: &mut Reply) -> Result<(), h2::Error> {
    if let Some(found) = stream.trailers().await?.as_ref().and_then(code) {
        reply.code = Some(found);
    }
    Ok(())
}

fn code(fields: &HeaderMap) -> Option<(String, String)> {
    let text = |name| fields.get(name).and_then(|value| value.to_str().ok());
    let message = text("grpc-message").unwrap_or("");
    Some((text("grpc-status")?.to_owned(), message.chars().take(WORDS).collect()))
}

fn judge(reply: &Reply) -> Verdict {
    if reply.status != 200 {
        return Verdict::Bad(format!("status {}", reply.status));
    }
    match reply.code.as_ref().map(|(code, message)| (code.as_str(), message.as_str())) {
        None => Verdict::Bad("the response has no grpc-status".into()),
        Some(("0", _)) => match serving(&reply.body) {
            Some(1) => Verdict::Good(Said::Serving),
            Some(0) => Verdict::Bad("it says UNKNOWN".into()),
            Some(2) => Verdict::Bad("it says NOT_SERVING".into()),
            Some(3) => Verdict::Bad("it says SERVICE_UNKNOWN".into()),
            Some(other) => Verdict::Bad(format!("it says {other}, which means nothing")),
            None => Verdict::Bad("the response is no HealthCheckResponse".into()),
        },
        Some(("5", _)) => Verdict::Bad("it does not know the service (grpc-status 5)".into()),
        Some(("12", _)) => Verdict::Bad("it has no health service (grpc-status 12)".into()),
        Some((code, message)) => {
            let code: String = code.chars().take(8).collect();
            Verdict::Bad(format!("grpc-status {code} {message}").trim_end().to_owned())
        }
    }
}

fn broken(error: &h2::Error) -> Verdict {
    let words = if error.is_io() { "the connection broke" } else { "what it sends is not HTTP/2 as it should be" };
    Verdict::Bad(format!("{words}: {error}"))
}

/// A `HealthCheckRequest`, as gRPC frames it.
fn message(service: &str) -> Vec<u8> {
    let mut inner = Vec::new();
    if !service.is_empty() {
        inner.push(0x0a); // field 1, a string
        let mut length = service.len();
        while length >= 0x80 {
            inner.push(0x80 | (length & 0x7f) as u8);
            length >>= 7;
        }
        inner.push(length as u8);
        inner.extend_from_slice(service.as_bytes());
    }
    let mut framed = vec![0];
    framed.extend_from_slice(&u32::try_from(inner.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend(inner);
    framed
}

/// The `status` of a framed `HealthCheckResponse`; none if it is none.
fn serving(framed: &[u8]) -> Option<u64> {
    let (prefix, mut rest) = framed.split_at_checked(5)?;
    let length = u32::from_be_bytes(prefix.get(1..)?.try_into().ok()?);
    // A compressed message was not asked for.
    if prefix.first() != Some(&0) || u32::try_from(rest.len()) != Ok(length) {
        return None;
    }
    let mut status = 0; // what is not there is 0
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        match (key >> 3, key & 7) {
            (1, 0) => status = varint(&mut rest)?,
            (_, 0) => drop(varint(&mut rest)?),
            (_, 1) => rest = rest.get(8..)?,
            (_, 2) => {
                let skip = usize::try_from(varint(&mut rest)?).ok()?;
                rest = rest.get(skip..)?;
            }
            (_, 5) => rest = rest.get(4..)?,
            _ => return None,
        }
    }
    Some(status)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in 0..10 {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << (7 * shift);
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Bytes of fields, either way.
const HEADERS: u32 = 16 * 1024;
/// Bytes that may be under way to us.
const WINDOW: u32 = 64 * 1024;
/// Bytes of a framed message.
const MESSAGE: usize = 4 * 1024;
/// Letters of an endpoint's own words that are passed on.
const WORDS: usize = 200;

#[cfg(test)]
#[path = "grpc_tests.rs"]
mod tests;
