//! What can be found out of a configuration by asking alone: whether its addresses can be listened on, its endpoints reached
//! and believed, its certificates are good for long, and those of ACME can be got. Nothing is listened on, ordered or
//! written. It refuses to know what is done about what it finds.

use std::fmt;
use std::io;
use std::io::ErrorKind;
use std::sync::Arc;

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::acme;
use crate::acme::Standing;
use crate::acme::State;
use crate::acme::Survey;
use crate::app::files::DAY;
use crate::app::files::now;
use crate::health;
use crate::io::listen;
use crate::model::Listener;
use crate::model::Model;
use crate::model::Upstream;
use crate::tls::certificate::Certificate;
use crate::tls::client::Client;
use crate::tls::store::Material;

/// What has been found.
pub(super) struct Finding {
    /// Whether something does not work; else it will not, some day, or may not.
    bad: bool,
    words: String,
}

/// Time before its end from which on a certificate is warned of.
pub(super) const SOON: i64 = 30 * DAY;
/// Endpoints that are asked at once.
const AT_ONCE: usize = 256;

/// Asks for everything that a configuration names; an endpoint has `timeout.connect` for its answer, as with requests.
///
/// # Errors
/// When nobody can be asked, for want of descriptors, say.
pub(super) fn ask(model: &Model, material: &Material) -> io::Result<Vec<Finding>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut found: Vec<Finding> = model.listeners.iter().flat_map(addresses).collect();
    found.extend(shown(material));
    runtime.block_on(async {
        for upstream in &model.upstreams {
            found.extend(endpoints(upstream, material.clients.get(&upstream.name)).await);
        }
        if let Some(survey) = acme::survey(model).await {
            found.extend(certificates(survey));
        }
    });
    Ok(found)
}

impl Finding {
    pub(super) fn is_bad(&self) -> bool {
        self.bad
    }

    fn new(bad: bool, of: &str, words: impl fmt::Display) -> Self {
        Self { bad, words: format!("{of}: {words}") }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", if self.bad { "error" } else { "warning" }, self.words)
    }
}

/// The addresses of a listener. One that somebody listens on is no fault: it may be the gateway that runs.
fn addresses(listener: &Listener) -> Vec<Finding> {
    let could = |bind| {
        let error = listen::could(bind).err()?;
        let of = format!("listener \"{}\"", listener.name);
        Some(match error.kind() {
            ErrorKind::AddrInUse => Finding::new(false, &of, format!("somebody listens on {bind} already")),
            _ => Finding::new(true, &of, format!("{bind} cannot be listened on: {error}")),
        })
    };
    listener.bind.iter().filter_map(could).collect()
}

/// The certificates of files that are good no longer: that they will not be is a warning where they are named.
fn shown(material: &Material) -> Vec<Finding> {
    let now = now();
    let ended = material.shown.iter().filter(|shown| shown.certificate.not_after < now);
    let ended = ended.map(|shown| {
        let of = format!("{} \"{}\"", shown.side, shown.of);
        Finding::new(true, &of, format!("it shows a certificate that has expired: {}", shown.path.display()))
    });
    ended.collect()
}

async fn endpoints(upstream: &Upstream, client: Option<&Arc<Client>>) -> Vec<Finding> {
    let mut found = Vec::new();
    for some in upstream.endpoints.chunks(AT_ONCE) {
        let mut asked = JoinSet::new();
        for (place, endpoint) in some.iter().enumerate() {
            let (address, proxy, client) = (endpoint.address.clone(), upstream.proxy_protocol, client.cloned());
            let time = upstream.timeout.connect;
            asked.spawn(async move {
                let reached = timeout(time, health::reach(&address, proxy, client.as_deref())).await;
                (place, reached.unwrap_or_else(|_| Err(format!("nothing within {time:?}"))))
            });
        }
        let mut answers = asked.join_all().await;
        answers.sort_by_key(|(place, _)| *place);
        for (place, answer) in answers {
            let of = some.get(place).map(|endpoint| format!("upstream \"{}\": {}", upstream.name, endpoint.address));
            let insecure = client.is_some_and(|client| client.settings.insecure);
            found.extend(verdict(&of.unwrap_or_default(), answer, insecure));
        }
    }
    found
}

/// What an endpoint's answer means. Where anybody is believed nobody's certificate has to be good.
fn verdict(of: &str, answer: Result<Vec<Certificate>, String>, insecure: bool) -> Option<Finding> {
    let shown = match answer {
        Ok(shown) => shown,
        Err(words) => return Some(Finding::new(true, of, words)),
    };
    let left = shown.iter().map(|certificate| certificate.not_after).min()?.saturating_sub(now());
    match left {
        SOON.. => None,
        0.. => Some(Finding::new(false, of, format!("a certificate that it shows expires in {} days", left / DAY))),
        _ => Some(Finding::new(!insecure, of, format!("a certificate that it shows expired {} days ago", -left / DAY))),
    }
}

fn certificates(survey: Survey) -> Vec<Finding> {
    let directory = survey.directory.err().map(|words| Finding::new(true, "acme", format!("the directory: {words}")));
    let unread = survey.unread.into_iter().map(|words| Finding::new(true, "acme", words));
    directory.into_iter().chain(unread).chain(survey.standings.iter().filter_map(standing)).collect()
}

/// What it means how a certificate of ACME is. A gateway that runs orders in time: what is due long since was not got.
fn standing(standing: &Standing) -> Option<Finding> {
    let now = now();
    let next = match standing.next.saturating_sub(now) {
        ..=0 => "now".to_owned(),
        wait @ 1..DAY => format!("in {} minutes", wait / 60 + 1),
        wait => format!("in {} days", wait / DAY),
    };
    let failed = standing
        .error
        .as_ref()
        .map(|words| format!("; orders that have failed: {}, the last one: {words}", standing.failures));
    let (bad, words) = match standing.state {
        State::Expired => (true, "the certificate has expired"),
        State::Pending => (false, "there is no certificate yet"),
        State::Issued if standing.next <= now => (false, "the certificate is to be renewed"),
        State::Issued if standing.failures > 0 => (false, "the certificate is not renewed"),
        State::Issued | State::Ordering => return None,
    };
    let of = format!("acme: {}", standing.names.first().map_or("", String::as_str));
    Some(Finding::new(bad, &of, format!("{words}; an order is due {next}{}", failed.unwrap_or_default())))
}
