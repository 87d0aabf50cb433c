//! How short of something the gateway itself is, in one word that control writes and every core reads; and the figures
//! behind it, for who wants to look. It refuses to know how they came about.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

/// What the gateway may be short of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Memory.
    Memory,
    /// Descriptors.
    Descriptors,
    /// Time of a core's loop.
    Lag,
}

impl Resource {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Descriptors, Self::Lag];

    /// The word of configuration and metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Descriptors => "descriptors",
            Self::Lag => "lag",
        }
    }
}

/// What the gateway does because it is short of something; each does what those before it do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Grade {
    /// Nothing: it has enough of everything.
    #[default]
    Calm,
    /// Keeps no client's connection, so that each gives back what it holds.
    Thrift,
    /// Refuses the lowest class of routes.
    Shed,
    /// Refuses new connections.
    Closed,
}

impl Grade {
    /// All of them, the calmest first; the number of a grade is its place.
    pub const ALL: [Self; 4] = [Self::Calm, Self::Thrift, Self::Shed, Self::Closed];

    /// The grade of a number, the last for one past it.
    #[must_use]
    pub fn of(number: u32) -> Self {
        Self::ALL.get(number as usize).copied().unwrap_or(Self::Closed)
    }

    /// The word of log and admin interface.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::Thrift => "thrift",
            Self::Shed => "shed",
            Self::Closed => "closed",
        }
    }
}

/// The word, and the figures.
#[derive(Debug)]
#[repr(align(128))]
pub struct Overload {
    /// A grade, and [`HOLDS`] where it is by what an idle connection holds.
    word: AtomicU32,
    figures: [Figure; Resource::ALL.len()],
}

/// The figure of one resource.
#[derive(Debug)]
struct Figure {
    /// [`UNKNOWN`] where it cannot be read.
    value: AtomicU32,
    grade: AtomicU32,
}

const UNKNOWN: u32 = u32::MAX;
const HOLDS: u32 = 0x100;

impl Default for Overload {
    fn default() -> Self {
        let figures = Resource::ALL.map(|_| Figure { value: AtomicU32::new(UNKNOWN), grade: AtomicU32::new(0) });
        Self { word: AtomicU32::new(0), figures }
    }
}

impl Overload {
    /// The grade in force. A load.
    #[inline]
    #[must_use]
    pub fn grade(&self) -> Grade {
        Grade::of(self.word.load(Relaxed) & 0xff)
    }

    /// Whether what the gateway is short of is what an idle connection holds: memory, or descriptors.
    #[must_use]
    pub fn is_of_holdings(&self) -> bool {
        self.word.load(Relaxed) & HOLDS != 0
    }

    /// What was last read of a resource, nothing if it cannot be read: thousandths of what there may be of memory and
    /// descriptors, microseconds of lag.
    #[must_use]
    pub fn value(&self, resource: Resource) -> Option<u32> {
        Some(self.figure(resource).value.load(Relaxed)).filter(|value| *value != UNKNOWN)
    }

    /// The grade that a resource alone is a reason for.
    #[must_use]
    pub fn grade_of(&self, resource: Resource) -> Grade {
        Grade::of(self.figure(resource).grade.load(Relaxed))
    }

    /// Notes what was read of a resource, and what it is a reason for. For the control thread alone.
    pub fn note(&self, resource: Resource, value: Option<u64>, grade: Grade) {
        let value = value.map_or(UNKNOWN, |value| u32::try_from(value).unwrap_or(UNKNOWN).min(UNKNOWN - 1));
        self.figure(resource).value.store(value, Relaxed);
        self.figure(resource).grade.store(grade as u32, Relaxed);
    }

    /// Puts in force what the resources together are a reason for, and says what. For the control thread alone.
    pub fn settle(&self) -> Grade {
        let grades = Resource::ALL.map(|resource| self.grade_of(resource));
        let grade = grades.into_iter().max().unwrap_or_default();
        let holds = self.grade_of(Resource::Memory).max(self.grade_of(Resource::Descriptors)) > Grade::Calm;
        self.word.store(grade as u32 | if holds { HOLDS } else { 0 }, Relaxed);
        grade
    }

    fn figure(&self, resource: Resource) -> &Figure {
        &self.figures[resource as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_in_force() {
        let overload = Overload::default();
        assert_eq!((overload.grade(), overload.value(Resource::Memory)), (Grade::Calm, None));
        overload.note(Resource::Lag, Some(300_000), Grade::Shed);
        assert_eq!((overload.settle(), overload.grade(), overload.is_of_holdings()), (Grade::Shed, Grade::Shed, false));
        overload.note(Resource::Memory, Some(850), Grade::Thrift);
        overload.note(Resource::Descriptors, Some(u64::MAX), Grade::Closed);
        assert_eq!((overload.settle(), overload.is_of_holdings()), (Grade::Closed, true));
        assert_eq!(overload.value(Resource::Memory), Some(850));
        assert!(overload.value(Resource::Descriptors) > Some(1_000_000));
        for resource in Resource::ALL {
            overload.note(resource, None, Grade::Calm);
        }
        assert_eq!((overload.settle(), overload.is_of_holdings()), (Grade::Calm, false));
        assert!(Grade::ALL.into_iter().enumerate().all(|(number, grade)| grade as usize == number));
    }
}
