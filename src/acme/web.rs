//! How a directory is spoken to: one connection for each request, by TLS alone, within bounds of time and size. It refuses
//! to know what is said.

use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use http::HeaderValue;
use http::Request;
use http::Uri;
use http::header::HOST;
use http::header::RETRY_AFTER;
use http::header::USER_AGENT;
use http_body_util::BodyExt;
use http_body_util::Limited;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::BodyWrapper;
use instant_acme::BytesResponse;
use instant_acme::Error;
use instant_acme::HttpClient;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::net::lookup_host;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::http::date;
use crate::model;
use crate::model::Policy;
use crate::model::UpstreamTls;
use crate::tls::client::Client;
use crate::tls::store::system_roots;

/// The way to a directory.
#[derive(Clone, Debug)]
pub(super) struct Web {
    tls: Arc<ClientConfig>,
    /// Where the directory is.
    directory: Uri,
    /// For how long the last refusal asks not to come again, in seconds.
    asked: watch::Sender<Option<i64>>,
    /// For one request: [`TIME`], except in tests.
    time: Duration,
}

/// For one request, from its connection to the end of its response.
const TIME: Duration = Duration::from_secs(30);
/// Of that, for a connection to one of its addresses.
const CONNECT: Duration = Duration::from_secs(15);
/// Largest response.
const BODY: usize = 1 << 20;
/// Longest time that an answer can ask for, in seconds: what is longer is taken for this.
const PATIENCE: u32 = 7 * 24 * 3600;
/// What a directory says that is asked later on (RFC 8555 §7.1.1, RFC 9773 §4).
const PLACES: [&str; 4] = ["newNonce", "newAccount", "newOrder", "renewalInfo"];
/// Who we are.
const AGENT: &str = concat!("ringway/", env!("CARGO_PKG_VERSION"));

impl Web {
    /// The way to the directory of these settings. Reads files.
    ///
    /// # Errors
    /// Why nobody could be believed, in words.
    pub(super) fn new(settings: &model::Acme) -> Result<Self, String> {
        let directory = settings.directory.parse().map_err(|error| format!("{}: {error}", settings.directory))?;
        let believed = UpstreamTls {
            name: None,
            ca: settings.ca.clone(),
            identity: None,
            pins: Vec::new(),
            policy: Policy::Intermediate,
            insecure: false,
        };
        let roots = Arc::new(if settings.ca.is_none() { system_roots() } else { rustls::RootCertStore::empty() });
        let client = Client::new(&believed, 1, &roots).map_err(|fault| fault.to_string())?;
        Ok(Self { tls: client.for_checks(false), directory, asked: watch::Sender::new(None), time: TIME })
    }

    /// For how long the last refusal has asked not to come again, in seconds; forgotten then.
    pub(super) fn asked(&self) -> Option<i64> {
        self.asked.send_replace(None)
    }
}

impl HttpClient for Web {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let web = self.clone();
        Box::pin(async move {
            let host = request.uri().host().unwrap_or_default().to_owned();
            let answered = timeout(web.time, web.exchange(request)).await;
            let answered = answered.unwrap_or_else(|_| Err(format!("no answer within {:?}", web.time).into()));
            answered.map_err(|error| Error::Other(format!("{host}: {error}").into()))
        })
    }
}

impl Web {
    async fn exchange(
        &self,
        mut request: Request<BodyWrapper<Bytes>>,
    ) -> Result<BytesResponse, Box<dyn StdError + Send + Sync>> {
        let uri = request.uri().clone();
        let (Some("https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            return Err(format!("{uri} is not to be asked by TLS").into());
        };
        let plain = authority.host().trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(plain.to_owned())?;
        let addresses = lookup_host((plain, authority.port_u16().unwrap_or(443))).await?;
        let stream = connect(&addresses.collect::<Vec<_>>(), CONNECT).await?;
        let stream = TlsConnector::from(self.tls.clone()).connect(name, stream).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // It ends with its one exchange, however that ends; what is wrong with it is heard there.
        let mut connections = JoinSet::new();
        connections.spawn(connection);
        let target = uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
        request.headers_mut().insert(HOST, HeaderValue::from_str(authority.as_str())?);
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
        *request.uri_mut() = target.parse::<Uri>()?;
        let response = sender.send_request(request).await?;
        let (mut parts, body) = response.into_parts();
        let body = Limited::new(body, BODY).collect().await?.to_bytes();
        let asked = parts.headers.remove(RETRY_AFTER);
        let asked = asked.and_then(|value| seconds(value.to_str().ok()?, SystemTime::now()));
        if let Some(asked) = asked {
            // Whoever reads it next adds it to a time.
            parts.headers.insert(RETRY_AFTER, HeaderValue::from(asked));
        }
        if parts.status.is_client_error() || parts.status.is_server_error() {
            self.asked.send_replace(asked.map(i64::from));
        }
        if uri == self.directory {
            judge(&body)?;
        }
        Ok(BytesResponse { parts, body: Box::new(body) })
    }
}

/// To the first of the addresses that answers. One that is silent takes no more than its share of the time: a host may have
/// addresses of a family that leads nowhere from here.
async fn connect(addresses: &[SocketAddr], time: Duration) -> io::Result<TcpStream> {
    let shares = u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses {
        match timeout(time / shares, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

/// Whether what a directory names can be asked: whoever does takes that for granted.
fn judge(directory: &[u8]) -> Result<(), String> {
    // What is no directory at all is told of by whoever reads it.
    let Ok(Value::Object(all)) = serde_json::from_slice(directory) else { return Ok(()) };
    for place in PLACES {
        let Some(said) = all.get(place).and_then(Value::as_str) else { continue };
        let asked = said.parse::<Uri>().map_err(|error| format!("{place} is no URL: {error}"))?;
        if asked.scheme_str() != Some("https") {
            return Err(format!("{place} is not to be asked by TLS"));
        }
    }
    Ok(())
}

/// What a `Retry-After` asks for, up to [`PATIENCE`]: a number of seconds, or a date (RFC 9110 §10.2.3).
fn seconds(text: &str, now: SystemTime) -> Option<u32> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse().unwrap_or(PATIENCE).min(PATIENCE));
    }
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let wait = date::read(text.as_bytes())?.saturating_sub(now);
    Some(u32::try_from(wait).unwrap_or(PATIENCE).min(PATIENCE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_by_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("18446744073709551615", Some(PATIENCE)),
            ("99999999999999999999999", Some(PATIENCE)),
            ("604801", Some(PATIENCE)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(PATIENCE)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(seconds(text, now), expected, "{text}");
        }
    }

    #[test]
    fn an_authority_has_its_time_and_is_asked_by_tls_alone() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (name, ca, identity, pins, policy) = (None, None, None, Vec::new(), Policy::Intermediate);
        let believed = UpstreamTls { name, ca, identity, pins, policy, insecure: true };
        let client = Client::new(&believed, 1, &Arc::new(rustls::RootCertStore::empty())).unwrap();
        runtime.block_on(async {
            // It takes the connection, and says nothing of TLS.
            let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let place = silent.local_addr().unwrap();
            let (tls, asked, time) = (client.for_checks(false), watch::Sender::new(None), Duration::from_millis(50));
            let web = Web { tls, directory: Uri::default(), asked, time };
            for (scheme, words) in [("https", "no answer within 50ms"), ("http", "is not to be asked by TLS")] {
                let request = Request::get(format!("{scheme}://{place}/dir")).body(BodyWrapper::default()).unwrap();
                let error = web.request(request).await.err().unwrap().to_string();
                assert!(error.contains(words), "{scheme}: {error}");
            }
        });
    }

    #[test]
    fn an_address_that_is_silent_is_passed_over() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            // Its queue is full: a connection to it is neither made nor refused.
            let silent = tokio::net::TcpSocket::new_v4().unwrap();
            silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
            let silent = silent.listen(1).unwrap();
            let nowhere = silent.local_addr().unwrap();
            let mut queued = Vec::new();
            while let Ok(stream) = timeout(Duration::from_millis(500), TcpStream::connect(nowhere)).await {
                queued.push(stream.unwrap());
                assert!(queued.len() < 64, "the queue takes no end");
            }
            let good = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let there = good.local_addr().unwrap();
            let stream = connect(&[nowhere, nowhere, there], Duration::from_secs(3)).await.unwrap();
            assert_eq!(stream.peer_addr().unwrap(), there);
            let none = connect(&[nowhere], Duration::from_millis(100)).await.unwrap_err();
            assert_eq!(none.kind(), io::ErrorKind::TimedOut);
            assert!(connect(&[], Duration::from_secs(1)).await.is_err());
        });
    }

    #[test]
    fn a_directory_names_what_can_be_asked() {
        for (said, good) in [
            (r#"{"newNonce": "https://a.example/n", "meta": {"website": "http://["}, "other": "http://["}"#, true),
            (r#"{"newNonce": "http://["}"#, false),
            (r#"{"newAccount": "https://["}"#, false),
            (r#"{"newOrder": "http://a.example/"}"#, false),
            (r#"{"renewalInfo": "/renewal"}"#, false),
            ("no JSON", true),
        ] {
            assert_eq!(judge(said.as_bytes()).is_ok(), good, "{said}");
        }
    }
}
