//! Whether the files that a configuration names have changed since they were read. It refuses to know what is in them.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use crate::model::Model;
use crate::tls::files::Stamp;
use crate::tls::store;

/// The files as they were read, and as they were seen last.
#[derive(Debug)]
pub(super) struct Files {
    read: Stamps,
    seen: Stamps,
    looked: Instant,
}

type Stamps = HashMap<PathBuf, Option<Stamp>>;

/// Between two looks. A certificate and its key are seldom written in one instant: they count once nothing has changed from one look
/// to the next.
const LOOK: Duration = Duration::from_secs(1);

impl Files {
    /// Those that a model names, which have just been read.
    pub(super) fn of(model: &Model, now: Instant) -> Self {
        let read = stamps(model);
        Self { seen: read.clone(), read, looked: now }
    }

    /// Whether others are to be read now. To be asked as often as one likes.
    pub(super) fn have_changed(&mut self, model: &Model, now: Instant) -> bool {
        if self.read.is_empty() || now.saturating_duration_since(self.looked) < LOOK {
            return false;
        }
        self.looked = now;
        let seen = stamps(model);
        let settled = seen == self.seen;
        self.seen = seen;
        if !settled || self.seen == self.read {
            return false;
        }
        self.read.clone_from(&self.seen);
        true
    }
}

fn stamps(model: &Model) -> Stamps {
    store::paths(model).into_iter().map(|path| (path.to_owned(), Stamp::of(path))).collect()
}
