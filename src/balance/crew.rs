//! How many endpoints of one priority there are, and how many of them may be chosen; what follows from that for their part
//! of the requests, and whether all of them are taken. Numbers alone: it refuses to know which endpoints.

use crate::balance::board::Health;
use crate::balance::board::Order;
use crate::balance::board::Standing;

/// The endpoints of one priority, counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Crew {
    /// All.
    members: u32,
    /// Those that no operator has taken out.
    ready: u32,
    /// Those of them that may be chosen.
    pub(super) eligible: u32,
}

/// All requests.
pub(super) const WHOLE: u64 = 1 << 32;
/// A priority takes its whole part while this times its eligible share is one, in hundredths (Envoy's overprovisioning).
const SPARE_PERCENT: u64 = 140;

impl Crew {
    /// Counts an endpoint, and says whether it may be chosen.
    pub(super) fn count(&mut self, standing: &Standing) -> bool {
        let ready = standing.order() == Order::Ready;
        let eligible = ready && standing.health() != Health::Down && !standing.is_out();
        self.members += 1;
        self.ready += u32::from(ready);
        self.eligible += u32::from(eligible);
        eligible
    }

    /// How much of [all requests](WHOLE) it carries.
    pub(super) fn capacity(&self) -> u64 {
        (self.part() * SPARE_PERCENT / 100).min(WHOLE)
    }

    /// Whether fewer than so many percent are eligible, and what all priorities carry together, `all`, is too little
    /// without the spare of this one: the others cannot make up for it.
    pub(super) fn panics(&self, all: u64, percent: u32) -> bool {
        let few = u64::from(self.eligible) * 100 < u64::from(percent) * u64::from(self.ready);
        few && all - self.capacity() + self.part() < WHOLE
    }

    /// How much of [all requests](WHOLE) is its own with as many as are eligible.
    fn part(&self) -> u64 {
        WHOLE * u64::from(self.eligible) / u64::from(self.members.max(1))
    }
}
