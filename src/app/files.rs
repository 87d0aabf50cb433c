//! The files that a configuration names, looked at before it is used: what is wrong with them is told where they are named.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use crate::config::Loaded;
use crate::config::Report;
use crate::tls::certificate::Certificate;
use crate::tls::files;
use crate::tls::store::Material;
use crate::tls::store::Store;
use crate::tls::store::Zeal;

/// Looks at the files; what is odd about them is added to the warnings.
pub(super) fn look(loaded: Loaded) -> Result<Loaded, Report> {
    look_ahead(loaded, SOON).map(|(loaded, _)| loaded)
}

/// The same, and what was made of them; warned of is what ends within so many seconds.
pub(super) fn look_ahead(mut loaded: Loaded, soon: i64) -> Result<(Loaded, Arc<Material>), Report> {
    let mut store = Store::new();
    let believed = loaded.model.acme.as_ref().and_then(|acme| acme.ca.as_deref());
    let believed = believed.and_then(|ca| files::bytes(ca).and_then(|text| files::authorities(ca, &text)).err());
    let read = store.load(&loaded.model, Zeal::Strict);
    let (pending, faulty) = read.map_or_else(|faults| (Vec::new(), faults), |pending| (pending, Vec::new()));
    let faults: Vec<_> = faulty.into_iter().chain(believed).collect();
    if !faults.is_empty() {
        let faults: Vec<(PathBuf, String)> = faults.into_iter().map(|fault| (fault.path, fault.words)).collect();
        return Err(loaded.places.report(&faults));
    }
    loaded.warnings.extend(pending.iter().map(|fault| loaded.places.warning(&fault.path, &fault.words)));
    let now = now();
    let mut told: Vec<&PathBuf> = Vec::new();
    let material = store.material();
    for shown in &material.shown {
        // What is got by ACME may be good for days only.
        let by_acme = loaded.model.acme.as_ref().is_some_and(|acme| shown.path.starts_with(acme.home()));
        let soon = if by_acme { 0 } else { soon };
        if let Some(words) = oddity(&shown.certificate, shown.side, now, soon).filter(|_| !told.contains(&&shown.path))
        {
            loaded.warnings.push(loaded.places.warning(&shown.path, &words));
            told.push(&shown.path);
        }
    }
    for (list, end) in material.servers.values().flat_map(|server| &server.lists) {
        let left = end.saturating_sub(now);
        if left < soon && !told.contains(&list) {
            let words = match left {
                ..0 => "a list in it has ended: nobody is let in whom it would concern".to_owned(),
                left => format!("a list in it ends in {} days: nobody is let in after that", left / DAY),
            };
            loaded.warnings.push(loaded.places.warning(list, &words));
            told.push(list);
        }
    }
    Ok((loaded, material))
}

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    i64::try_from(now).unwrap_or(i64::MAX)
}

fn oddity(certificate: &Certificate, side: &str, now: i64, soon: i64) -> Option<String> {
    let left = certificate.not_after.saturating_sub(now);
    if left < 0 {
        return Some(format!("the certificate expired {} days ago", -left / DAY));
    }
    if certificate.not_before > now {
        return Some("the certificate is not valid yet".into());
    }
    if left < soon {
        return Some(format!("the certificate expires in {} days", left / DAY));
    }
    let nameless = side == "listener" && certificate.names.is_empty() && certificate.addresses.is_empty();
    nameless.then(|| "the certificate is for no name: no client can verify it".into())
}

pub(super) const DAY: i64 = 24 * 3600;
/// Time before its end from which on a certificate is warned of.
pub(super) const SOON: i64 = 14 * DAY;
