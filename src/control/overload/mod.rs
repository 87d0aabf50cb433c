//! The overload of the gateway itself: what it is short of is read ([`meter`]) some ten times a second, judged
//! ([`verdict`]), and put where every core sees it. It refuses to know what the cores do about it.

mod meter;
mod verdict;

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use tracing::info;
use tracing::warn;

use crate::control::overload::meter::Meter;
use crate::control::overload::verdict::Verdict;
use crate::control::publish::Post;
use crate::model;
use crate::snapshot::overload::Grade;
use crate::snapshot::overload::Overload;
use crate::snapshot::overload::Resource;

/// How often the process looks at itself.
pub(super) const LOOK: Duration = Duration::from_millis(100);

/// What watches over the process.
pub(super) struct Watch {
    meter: Meter,
    verdicts: [Verdict; Resource::ALL.len()],
    shown: Arc<Overload>,
}

/// A grade that has come into force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// The grade before.
    pub(super) from: Grade,
    /// The grade in force.
    pub(super) to: Grade,
    /// What of, in words: `memory at 96.2 %`.
    pub(super) why: String,
}

impl Watch {
    /// A watch that says what it sees there.
    pub(super) fn new(shown: Arc<Overload>) -> Self {
        let meter = Meter::new();
        for remark in meter.remarks() {
            info!("overload: {remark}");
        }
        Self { meter, verdicts: Resource::ALL.map(|_| Verdict::default()), shown }
    }

    /// Looks, and puts in force what follows. The change, if it is one.
    pub(super) fn look(&mut self, bounds: &model::Overload, cores: &[Post], now: Instant) -> Option<Change> {
        let from = self.shown.grade();
        for (resource, verdict) in Resource::ALL.into_iter().zip(&mut self.verdicts) {
            let value = match resource {
                Resource::Memory => self.meter.memory(bounds.memory_of),
                Resource::Descriptors => self.meter.descriptors(now),
                Resource::Lag => cores.iter().map(|core| core.link.slab.standing_lag_us.get()).max(),
            };
            let grade = verdict.judge(value, &steps(bounds, resource), now);
            self.shown.note(resource, value, grade);
        }
        let to = self.shown.settle();
        (to != from).then(|| Change { from, to, why: self.why() })
    }

    fn why(&self) -> String {
        let short = Resource::ALL.into_iter().filter(|resource| self.shown.grade_of(*resource) > Grade::Calm);
        let words = short.map(|resource| {
            let value = self.shown.value(resource).unwrap_or(0);
            let (whole, tenth) = (value / 10, value % 10);
            match resource {
                Resource::Lag => format!("lag of {} ms", value / 1000),
                Resource::Memory | Resource::Descriptors => format!("{} at {whole}.{tenth} %", resource.word()),
            }
        });
        let words = words.collect::<Vec<_>>().join(", ");
        if words.is_empty() { "enough of everything".to_owned() } else { words }
    }
}

impl Change {
    /// Says it to the operator.
    pub(super) fn log(&self) {
        let Self { from, to, why } = self;
        let (from, number) = (from.word(), *to as u8);
        match to {
            Grade::Calm => info!(from, "overload over: the gateway has enough of everything"),
            Grade::Thrift => warn!(from, grade = number, "overload, {why}: no client's connection is kept"),
            Grade::Shed => warn!(from, grade = number, "overload, {why}: routes of the lowest class are refused"),
            Grade::Closed => warn!(from, grade = number, "overload, {why}: new connections are refused"),
        }
    }
}

/// From which value on each grade is entered, in the units of [`Overload::value`]; 0 is never, as a hundred percent is:
/// whoever lets a resource run out wants that to be seen to where it does.
fn steps(bounds: &model::Overload, resource: Resource) -> [u64; 3] {
    let thousandths = |percent: u32| if percent < 100 { u64::from(percent) * 10 } else { 0 };
    match resource {
        Resource::Memory => bounds.memory_percent.map(thousandths),
        Resource::Descriptors => bounds.descriptors_percent.map(thousandths),
        Resource::Lag => bounds.lag.map(|lag| u64::try_from(lag.as_micros()).unwrap_or(u64::MAX)),
    }
}
