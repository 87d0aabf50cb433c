//! What is owed to those who wait until all cores have taken something: told once they have. It refuses to know what it is.

use tokio::sync::oneshot;

use crate::acme::Transition;
use crate::admin::events::Event;
use crate::admin::events::Journal;
use crate::admin::events::Kind;
use crate::control::publish::Post;

/// Who waits for which snapshot; one at a time, as long as one asks at a time.
#[derive(Debug, Default)]
pub(super) struct Waiting(Vec<(u64, oneshot::Sender<()>)>);

impl Waiting {
    /// Tells `who` when all cores have the snapshot of this sequence.
    pub(super) fn add(&mut self, sequence: u64, who: oneshot::Sender<()>) {
        // Whoever has given up waits no more.
        self.0.retain(|(_, who)| !who.is_closed());
        self.0.push((sequence, who));
    }

    /// Whether anybody waits.
    pub(super) fn is_any(&self) -> bool {
        !self.0.is_empty()
    }

    /// Tells those who need not wait any longer.
    pub(super) fn look(&mut self, cores: &[Post]) {
        let all = std::mem::take(&mut self.0);
        for (sequence, who) in all {
            if cores.iter().all(|core| core.has(sequence)) {
                // Whoever has given up does not want to know.
                let _ = who.send(());
            } else if !who.is_closed() {
                self.0.push((sequence, who));
            }
        }
    }
}

/// Whom orders of certificates tell.
pub(super) fn teller(journal: Journal) -> crate::acme::Tell {
    Box::new(move |transition| {
        let Transition { name, from, to, reason } = transition;
        let (from, to) = (from.into(), to.into());
        journal.note(Event { kind: Kind::Certificate, upstream: None, what: name, from, to, reason });
    })
}
