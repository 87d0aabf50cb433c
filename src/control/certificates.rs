//! Whether the files that a configuration names have changed since they were read. It refuses to know what is in them.

use std::time::Duration;
use std::time::Instant;

use crate::model::Model;
use crate::tls::files::Faulty;
use crate::tls::store;
use crate::tls::store::Stamps;

/// The files as they were read, and as they were seen last.
#[derive(Debug)]
pub(super) struct Files {
    read: Stamps,
    seen: Stamps,
    looked: Instant,
    /// When they are to be read again though none has changed: one could not be read.
    again: Option<Instant>,
}

/// Between two looks. A certificate and its key are seldom written in one instant: they count once nothing has changed from one look
/// to the next.
const LOOK: Duration = Duration::from_secs(1);
/// Before a file that could not be read is tried again.
const AGAIN: Duration = Duration::from_secs(20);

impl Files {
    /// Those that have just been read, as they were seen before; of these `kept` could not be used.
    pub(super) fn of(read: &Stamps, kept: &[Faulty], now: Instant) -> Self {
        let again = kept.iter().any(|fault| fault.passing).then(|| now + AGAIN);
        Self { seen: read.clone(), read: read.clone(), looked: now, again }
    }

    /// Whether they are to be read now. To be asked as often as one likes.
    pub(super) fn are_due(&mut self, model: &Model, now: Instant) -> bool {
        if self.read.is_empty() || now.saturating_duration_since(self.looked) < LOOK {
            return false;
        }
        self.looked = now;
        let seen = store::stamps(model);
        let settled = seen == self.seen;
        self.seen = seen;
        settled && (self.seen != self.read || self.again.is_some_and(|again| again <= now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Policy;
    use crate::model::UpstreamTls;
    use crate::model::fixture;
    use crate::tls::files::Stamp;

    #[test]
    fn what_could_not_be_read_is_read_again_and_what_is_wrong_is_not() {
        let (mut model, now) = (fixture::empty(), Instant::now());
        let mut upstream = fixture::upstream("app", &[]);
        let ca = Some("/nowhere/ca.pem".into());
        let (name, identity, pins, policy, insecure) = (None, None, Vec::new(), Policy::Modern, false);
        upstream.tls = Some(UpstreamTls { name, ca, identity, pins, policy, insecure });
        model.upstreams.push(upstream);
        let (path, words) = ("/nowhere/ca.pem", "it cannot be read");
        let fault = |passing| Faulty { path: path.into(), words: words.into(), passing, absent: false };
        let files = |passing| Files::of(&store::stamps(&model), &[fault(passing)], now);
        assert!(!files(true).are_due(&model, now + AGAIN - LOOK));
        assert!(files(true).are_due(&model, now + AGAIN));
        assert!(!files(false).are_due(&model, now + 10 * AGAIN));
        // What had changed before it was read is due at the second look.
        let mut late =
            Files::of(&Stamps::from([("/nowhere/ca.pem".into(), Stamp::of("/proc/self/stat".as_ref()))]), &[], now);
        assert!(!late.are_due(&model, now + LOOK));
        assert!(late.are_due(&model, now + 2 * LOOK));
    }
}
