//! The files that a configuration names, looked at before it is used: what is wrong with them is told where they are named.

use std::path::PathBuf;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::config::Loaded;
use crate::config::Report;
use crate::tls::certificate::Certificate;
use crate::tls::store::Store;
use crate::tls::store::Zeal;

/// Looks at the files; what is odd about them is added to the warnings.
pub(super) fn look(mut loaded: Loaded) -> Result<Loaded, Report> {
    let mut store = Store::new();
    if let Err(faults) = store.load(&loaded.model, Zeal::Strict) {
        let faults: Vec<(PathBuf, String)> = faults.into_iter().map(|fault| (fault.path, fault.words)).collect();
        return Err(loaded.places.report(&faults));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    let mut told: Vec<&PathBuf> = Vec::new();
    let material = store.material();
    for shown in &material.shown {
        if let Some(words) = oddity(&shown.certificate, shown.side, now).filter(|_| !told.contains(&&shown.path)) {
            loaded.warnings.push(loaded.places.warning(&shown.path, &words));
            told.push(&shown.path);
        }
    }
    for (list, end) in material.servers.values().flat_map(|server| &server.lists) {
        let left = end.saturating_sub(now);
        if left < SOON && !told.contains(&list) {
            let words = match left {
                ..0 => "a list in it has ended: nobody is let in whom it would concern".to_owned(),
                left => format!("a list in it ends in {} days: nobody is let in after that", left / DAY),
            };
            loaded.warnings.push(loaded.places.warning(list, &words));
            told.push(list);
        }
    }
    Ok(loaded)
}

fn oddity(certificate: &Certificate, side: &str, now: i64) -> Option<String> {
    let left = certificate.not_after.saturating_sub(now);
    if left < 0 {
        return Some(format!("the certificate expired {} days ago", -left / DAY));
    }
    if certificate.not_before > now {
        return Some("the certificate is not valid yet".into());
    }
    if left < SOON {
        return Some(format!("the certificate expires in {} days", left / DAY));
    }
    let nameless = side == "listener" && certificate.names.is_empty() && certificate.addresses.is_empty();
    nameless.then(|| "the certificate is for no name: no client can verify it".into())
}

const DAY: i64 = 24 * 3600;
/// Time before its end from which on a certificate is warned of.
const SOON: i64 = 14 * DAY;
