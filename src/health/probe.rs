//! One check of one endpoint, from the connection to the verdict, within its time. It refuses to know what a verdict does.

use std::future::poll_fn;
use std::io;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::address::Address;
use crate::health::Said;
use crate::health::Target;
use crate::health::answer::Answer;
use crate::health::answer::Wanted;
use crate::health::grpc;
use crate::health::grpc::Channel;
use crate::health::knock;
use crate::health::knock::Knock;
use crate::health::talk;
use crate::model::Probe;
use crate::model::ProxyVersion;
use crate::tls::client;

/// What a check says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The endpoint answers as it should.
    Good(Said),
    /// It does not; why, in words.
    Bad(String),
    /// The check could not be made, for a reason of the gateway's own: it says nothing of the endpoint.
    Void(String),
}

/// A connection that a check has left open for the next one.
pub(super) enum Kept {
    /// On which HTTP/1.1 is spoken.
    Http(Stream),
    /// On which gRPC is.
    Grpc(Channel),
}

/// A connection.
pub(super) type Stream = Box<dyn Duplex>;

/// What is read and written by.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// Begins a check that wants a connection and no word on it, and perhaps ends it at once; nothing: it is another one.
pub(super) fn knock(target: &Target) -> Option<Knock> {
    match (&target.settings.probe, &target.address, target.proxy) {
        (Probe::Tcp, Address::Ip(address), None) if target.secure.is_none() => Some(knock::knock(*address)),
        _ => None,
    }
}

/// Makes one check, over a connection that was kept from the last one if there is one. The connection comes back if it is
/// to be kept and can be.
pub(super) async fn ask(target: &Target, kept: Option<Kept>, keep: bool) -> (Verdict, Option<Kept>) {
    let time = target.settings.timeout;
    match tokio::time::timeout(time, Box::pin(check(target, kept, keep))).await {
        Ok(done) => done,
        Err(_) => (late(time), None),
    }
}

/// What it means that a check's time is over.
pub(super) fn late(time: Duration) -> Verdict {
    Verdict::Bad(format!("nothing that settles it within {time:?}"))
}

async fn check(target: &Target, kept: Option<Kept>, keep: bool) -> (Verdict, Option<Kept>) {
    if let Some(kept) = kept
        && let Some(done) = again(kept, target).await
    {
        return done;
    }
    let mut stream = match reached(target).await {
        Ok(stream) => stream,
        Err(verdict) => return (verdict, None),
    };
    match &target.settings.probe {
        Probe::Tcp => match stream.write_all(opening(target)).await {
            Ok(()) => (Verdict::Good(Said::Connected), None),
            Err(error) => (fault("the connection broke", &error), None),
        },
        Probe::Grpc { service } => {
            let (verdict, channel) = grpc::ask(stream, opening(target).to_vec(), asked(target, service)).await;
            (verdict, channel.filter(|_| keep).map(Kept::Grpc))
        }
        Probe::Http { .. } => match http(stream, target, keep && target.proxy.is_none()).await {
            Exchange::Done(verdict, stream) => (verdict, stream.map(Kept::Http)),
            Exchange::Nothing(verdict) => (verdict, None),
        },
    }
}

/// A connection with a TLS handshake behind it, where one is due.
async fn reached(target: &Target) -> Result<Stream, Verdict> {
    let stream = connected(&target.address).await?;
    let Some(secure) = &target.secure else { return Ok(stream) };
    Ok(Box::new(secured(stream, target.proxy, (&secure.config, secure.name.clone())).await?))
}

/// A connection to an endpoint.
pub(super) async fn connected(address: &Address) -> Result<Stream, Verdict> {
    let connected: io::Result<Stream> = match address {
        Address::Ip(address) => TcpStream::connect(*address).await.map(|stream| Box::new(stream) as Stream),
        Address::Unix(path) => UnixStream::connect(path).await.map(|stream| Box::new(stream) as Stream),
    };
    connected.map_err(|error| fault("no connection", &error))
}

/// The connection with a TLS handshake behind it, and what goes before one.
pub(super) async fn secured(
    mut stream: Stream,
    proxy: Option<ProxyVersion>,
    (config, name): (&Arc<ClientConfig>, ServerName<'static>),
) -> Result<TlsStream<Stream>, Verdict> {
    stream.write_all(introduction(proxy)).await.map_err(|error| fault("the connection broke", &error))?;
    TlsConnector::from(config.clone()).connect(name, stream).await.map_err(|error| {
        let why = client::reason(client::sort_of(&error));
        Verdict::Bad(format!("no secure connection: {why}"))
    })
}

/// How an exchange over HTTP/1.1 went.
enum Exchange {
    /// There is a verdict, and perhaps a connection to keep.
    Done(Verdict, Option<Stream>),
    /// The connection ended or broke before a byte of response; what that means on a new connection.
    Nothing(Verdict),
}

/// Asks over a kept connection; nothing if that has died meanwhile, which says nothing of the endpoint.
async fn again(kept: Kept, target: &Target) -> Option<(Verdict, Option<Kept>)> {
    let mut stream = match (kept, &target.settings.probe) {
        (Kept::Http(stream), _) => stream,
        (Kept::Grpc(channel), Probe::Grpc { service }) => {
            let (verdict, channel) = channel.ask(asked(target, service)).await?;
            return Some((verdict, channel.map(Kept::Grpc)));
        }
        (Kept::Grpc(_), _) => return None,
    };
    // Whatever has come since the last response, an end or a late word, is no answer to what is asked next.
    let mut byte = [0];
    let quiet = poll_fn(|cx| {
        let mut room = ReadBuf::new(&mut byte);
        Poll::Ready(Pin::new(&mut stream).poll_read(cx, &mut room).is_pending())
    });
    if !quiet.await {
        return None;
    }
    match http(stream, target, true).await {
        Exchange::Done(verdict, stream) => Some((verdict, stream.map(Kept::Http))),
        Exchange::Nothing(_) => None,
    }
}

fn asked<'a>(target: &'a Target, service: &'a str) -> grpc::Asked<'a> {
    grpc::Asked { authority: &target.authority, service, secure: target.secure.is_some() }
}

async fn http(mut stream: Stream, target: &Target, keep: bool) -> Exchange {
    let Probe::Http { method, path, host, statuses, body } = &target.settings.probe else {
        return Exchange::Done(Verdict::Bad("it is no check by HTTP".into()), None);
    };
    let host = host.as_deref().unwrap_or(&target.authority);
    let Some(request) = request((method, path, host), opening(target).to_vec(), keep) else {
        return Exchange::Done(Verdict::Bad("the check's own request would be ill-formed".into()), None);
    };
    if let Err(error) = stream.write_all(&request).await {
        return Exchange::Nothing(fault("the request could not be sent", &error));
    }
    let mut answer = Answer::new(Wanted { statuses, body: body.as_deref(), bodiless: method == "HEAD" });
    let mut block = Vec::with_capacity(BLOCK);
    let mut begun = false;
    loop {
        block.clear();
        match stream.read_buf(&mut block).await {
            Ok(0) if begun => return Exchange::Done(answer.end(), None),
            Ok(0) => return Exchange::Nothing(answer.end()),
            Ok(_) => begun = true,
            Err(error) if begun => return Exchange::Done(fault("the connection broke", &error), None),
            Err(error) => return Exchange::Nothing(fault("the connection broke", &error)),
        }
        if let Some(verdict) = answer.take(&block) {
            let kept = Some(stream).filter(|_| keep && answer.is_clean());
            return Exchange::Done(verdict, kept);
        }
    }
}

/// The request of an HTTP check; none if it would not be one.
fn request((method, path, host): (&str, &str, &str), mut bytes: Vec<u8>, keep: bool) -> Option<Vec<u8>> {
    if ![method, path, host].into_iter().all(talk::is_visible) {
        return None;
    }
    let length = if matches!(method, "POST" | "PUT" | "PATCH") { "Content-Length: 0\r\n" } else { "" };
    let close = if keep { "" } else { "Connection: close\r\n" };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: ringway-health\r\nAccept: */*\r\n{close}{length}\r\n"
    );
    bytes.extend_from_slice(head.as_bytes());
    Some(bytes)
}

/// What the request begins with: under TLS the introduction went before the handshake.
fn opening(target: &Target) -> &'static [u8] {
    if target.secure.is_some() { b"" } else { introduction(target.proxy) }
}

/// What a connection begins with: a PROXY protocol header that says that nobody is behind it, where one is due.
const fn introduction(proxy: Option<ProxyVersion>) -> &'static [u8] {
    match proxy {
        None => b"",
        Some(ProxyVersion::V1) => b"PROXY UNKNOWN\r\n",
        Some(ProxyVersion::V2) => b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
    }
}

/// What an error of the system says: of the endpoint, or of the gateway's own want.
pub(super) fn fault(what: &str, error: &io::Error) -> Verdict {
    let own = matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::EADDRNOTAVAIL))
        || error.kind() == ErrorKind::OutOfMemory;
    let words = match error.kind() {
        ErrorKind::ConnectionRefused => format!("{what}: refused"),
        ErrorKind::ConnectionReset => format!("{what}: reset"),
        ErrorKind::NotFound => format!("{what}: nobody listens there"),
        _ => format!("{what}: {error}"),
    };
    if own { Verdict::Void(words) } else { Verdict::Bad(words) }
}

/// Bytes read at once.
const BLOCK: usize = 2048;
