//! Whether an endpoint can be reached at all, by the way that requests to it take: a connection, and a handshake where TLS is
//! spoken. It refuses to know what is said after that, and how often it is asked.

use crate::address::Address;
use crate::health::probe;
use crate::health::probe::Verdict;
use crate::model::ProxyVersion;
use crate::tls::certificate::Certificate;
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
    let stream = probe::connected(address).await.map_err(words)?;
    let Some(secure) = secure else { return Ok(Vec::new()) };
    let name = secure.name_of(address.ip().map(|address| address.ip()));
    let name = name.ok_or("no secure connection: nothing says which name its certificate must have")?;
    let stream = probe::secured(stream, proxy, (&secure.for_checks(false), name)).await.map_err(words)?;
    let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
    Ok(shown.iter().filter_map(|der| Certificate::read(der)).collect())
}

fn words(verdict: Verdict) -> String {
    match verdict {
        Verdict::Bad(words) | Verdict::Void(words) => words,
        Verdict::Good(said) => said.to_string(),
    }
}
