//! Whether an endpoint can be reached at all, by the way that requests to it take: a connection, and a handshake where TLS is
//! spoken. It refuses to know what is said after that, and how often it is asked.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;

use crate::address::Address;
use crate::health::probe;
use crate::health::probe::Stream;
use crate::health::probe::Verdict;
use crate::model::ProxyVersion;
use crate::tls::certificate::Certificate;
use crate::tls::client;
use crate::tls::client::Client;

/// Connects, and makes a handshake if there is a side of TLS; the certificates that are shown then, the endpoint's own first.
/// It is given up by whoever drops it.
///
/// # Errors
/// Why it cannot be reached, or is not believed, in words.
pub async fn reach(
    address: &Address,
    proxy: Option<ProxyVersion>,
    secure: Option<&Client>,
) -> Result<Vec<Certificate>, String> {
    let connected: std::io::Result<Stream> = match address {
        Address::Ip(address) => TcpStream::connect(*address).await.map(|stream| Box::new(stream) as Stream),
        Address::Unix(path) => UnixStream::connect(path).await.map(|stream| Box::new(stream) as Stream),
    };
    let mut stream = connected.map_err(|error| words("no connection", &error))?;
    let Some(secure) = secure else { return Ok(Vec::new()) };
    let name = secure.name_of(address.ip().map(|address| address.ip()));
    let name = name.ok_or("no secure connection: nothing says which name its certificate must have")?;
    let introduced = stream.write_all(probe::introduction(proxy)).await;
    introduced.map_err(|error| words("the connection broke", &error))?;
    match TlsConnector::from(secure.for_checks(false)).connect(name, stream).await {
        Ok(stream) => {
            let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
            Ok(shown.iter().filter_map(|der| Certificate::read(der)).collect())
        }
        Err(error) => Err(format!("no secure connection: {}", client::reason(client::sort_of(&error)))),
    }
}

fn words(what: &str, error: &std::io::Error) -> String {
    match probe::fault(what, error) {
        Verdict::Bad(words) | Verdict::Void(words) => words,
        Verdict::Good(said) => said.to_string(),
    }
}
