//! One check of one endpoint, from the connection to the verdict, within its time. It refuses to know what a verdict does.

use std::io;
use std::io::ErrorKind;

use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::UnixStream;

use crate::address::Address;
use crate::health::Said;
use crate::health::Target;
use crate::health::answer::Answer;
use crate::health::answer::Wanted;
use crate::health::grpc;
use crate::model::Probe;
use crate::model::ProxyVersion;

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

/// Makes one check.
pub(super) async fn ask(target: &Target) -> Verdict {
    let time = target.settings.timeout;
    match tokio::time::timeout(time, connect(target)).await {
        Ok(verdict) => verdict,
        Err(_) => Verdict::Bad(format!("nothing that settles it within {time:?}")),
    }
}

async fn connect(target: &Target) -> Verdict {
    let bare = matches!(target.settings.probe, Probe::Tcp);
    match &target.address {
        Address::Ip(address) => match TcpStream::connect(*address).await {
            Ok(_) if bare => Verdict::Good(Said::Connected),
            Ok(stream) => Box::pin(converse(stream, target)).await,
            Err(error) => fault("no connection", &error),
        },
        Address::Unix(path) => match UnixStream::connect(path).await {
            Ok(_) if bare => Verdict::Good(Said::Connected),
            Ok(stream) => Box::pin(converse(stream, target)).await,
            Err(error) => fault("no connection", &error),
        },
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, target: &Target) -> Verdict {
    let opening = opening(target);
    match &target.settings.probe {
        Probe::Tcp => Verdict::Good(Said::Connected),
        Probe::Grpc { service } => {
            if let Err(error) = stream.write_all(&opening).await {
                return fault("the connection broke", &error);
            }
            grpc::ask(stream, &target.authority, service).await
        }
        Probe::Http { method, path, host, statuses, body } => {
            let host = host.as_deref().unwrap_or(&target.authority);
            let Some(request) = request(opening, method, path, host) else {
                return Verdict::Bad("the check's own request would be ill-formed".into());
            };
            let wanted = Wanted { statuses, body: body.as_deref(), bodiless: method == "HEAD" };
            http(stream, &request, Answer::new(wanted)).await
        }
    }
}

async fn http<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, request: &[u8], mut answer: Answer<'_>) -> Verdict {
    if let Err(error) = stream.write_all(request).await {
        return fault("the request could not be sent", &error);
    }
    let mut block = Vec::with_capacity(BLOCK);
    loop {
        block.clear();
        match stream.read_buf(&mut block).await {
            Ok(0) => return answer.end(),
            Ok(_) => {}
            Err(error) => return fault("the connection broke", &error),
        }
        if let Some(verdict) = answer.take(&block) {
            return verdict;
        }
    }
}

/// The request of an HTTP check; none if it would not be one.
fn request(mut bytes: Vec<u8>, method: &str, path: &str, host: &str) -> Option<Vec<u8>> {
    let visible = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    if ![method, path, host].into_iter().all(visible) {
        return None;
    }
    let length = if matches!(method, "POST" | "PUT" | "PATCH") { "Content-Length: 0\r\n" } else { "" };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: ringway-health\r\nAccept: */*\r\n\
         Connection: close\r\n{length}\r\n"
    );
    bytes.extend_from_slice(head.as_bytes());
    Some(bytes)
}

/// What a connection begins with: a PROXY protocol header that says that nobody is behind it, where one is due.
fn opening(target: &Target) -> Vec<u8> {
    match target.proxy {
        None => Vec::new(),
        Some(ProxyVersion::V1) => b"PROXY UNKNOWN\r\n".to_vec(),
        Some(ProxyVersion::V2) => b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec(),
    }
}

/// What an error of the system says: of the endpoint, or of the gateway's own want.
fn fault(what: &str, error: &io::Error) -> Verdict {
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
