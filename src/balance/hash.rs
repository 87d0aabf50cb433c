//! Hashing: of keys and addresses to numbers that are the same in every process, and of those to endpoints.

/// A hash of bytes, the same everywhere and for ever: FNV-1a with a finish that spreads its bits.
#[must_use]
pub fn of(bytes: &[u8]) -> u64 {
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    mixed(hash)
}

/// The same number with its bits spread (the finish of SplitMix64).
#[inline]
#[must_use]
pub(super) fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Finds an endpoint for a key; built once, then only read.
#[derive(Debug)]
pub(super) enum Table {
    /// One place in a table, each with an endpoint.
    Maglev(Vec<u16>),
    /// Points on a circle, in their order: where, and whose.
    Ring(Vec<(u32, u16)>),
}

/// Places of a Maglev table: a prime.
const PLACES: usize = 65_537;
/// Points on the ring for each unit of weight.
const POINTS: u32 = 160;
/// Points of a ring, all together: with more, each unit of weight has fewer.
const POINTS_MOST: u64 = 1 << 20;

/// Who is in a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    /// Its place among the candidates.
    pub(super) place: u16,
    /// Its address, hashed.
    pub(super) id: u64,
    pub(super) weight: u32,
}

impl Table {
    /// A Maglev table (Eisenbud et al. 2016, §3.4). Each member walks the places in an order of its own, and takes the next
    /// free one whenever it is its turn, which comes in proportion to its weight.
    pub(super) fn maglev(members: &[Member]) -> Self {
        let mut members = members.to_vec();
        // The order of the file is to make no difference.
        members.sort_unstable_by_key(|member| member.id);
        let most = u64::from(members.iter().map(|member| member.weight).max().unwrap_or(1).max(1));
        let mut walks: Vec<_> = members.iter().map(|member| Walk::of(member.id)).collect();
        let mut credits = vec![0_u64; members.len()];
        let mut table = vec![u16::MAX; PLACES];
        let mut free = if members.is_empty() { 0 } else { PLACES };
        while free > 0 {
            for ((member, walk), credit) in members.iter().zip(&mut walks).zip(&mut credits) {
                *credit += u64::from(member.weight.max(1));
                if *credit < most || free == 0 {
                    continue;
                }
                *credit -= most;
                while table[walk.at] != u16::MAX {
                    walk.step();
                }
                table[walk.at] = member.place;
                free -= 1;
            }
        }
        Self::Maglev(table)
    }

    /// A ring: each member has points in proportion to its weight.
    pub(super) fn ring(members: &[Member]) -> Self {
        let weights: u64 = members.iter().map(|member| u64::from(member.weight)).sum();
        let each = u64::from(POINTS).min(POINTS_MOST / weights.max(1)).max(1);
        let mut points = Vec::new();
        for member in members {
            for point in 0..each * u64::from(member.weight) {
                let at = mixed(member.id ^ mixed(point)) >> 32;
                points.push((u32::try_from(at).unwrap_or(0), member.id, member.place));
            }
        }
        points.sort_unstable();
        Self::Ring(points.into_iter().map(|(at, _, place)| (at, place)).collect())
    }

    /// The endpoints for a key, the first one first; each that follows takes what the ones before it do not. One may come
    /// more than once, but not twice in a row.
    pub(super) fn walk(&self, key: u64) -> impl Iterator<Item = usize> {
        let start = match self {
            Self::Maglev(table) => usize::try_from(key % table.len().max(1) as u64).unwrap_or(0),
            Self::Ring(points) => points.partition_point(|(at, _)| u64::from(*at) < key >> 32),
        };
        let len = match self {
            Self::Maglev(table) => table.len(),
            Self::Ring(points) => points.len(),
        };
        let mut before = None;
        (0..len).filter_map(move |step| {
            let at = (start + step) % len;
            let place = match self {
                Self::Maglev(table) => table.get(at).copied(),
                Self::Ring(points) => points.get(at).map(|(_, place)| *place),
            };
            let place = place.filter(|place| before.replace(*place) != Some(*place))?;
            Some(usize::from(place))
        })
    }
}

/// The order in which a member wants the places.
#[derive(Debug)]
struct Walk {
    at: usize,
    skip: usize,
}

impl Walk {
    fn of(id: u64) -> Self {
        let below = |hash: u64, n: usize| usize::try_from(hash % n as u64).unwrap_or(0);
        Self { at: below(mixed(id ^ 0x6d61_676c), PLACES), skip: 1 + below(mixed(id ^ 0x6576), PLACES - 1) }
    }

    fn step(&mut self) {
        self.at += self.skip;
        if self.at >= PLACES {
            self.at -= PLACES;
        }
    }
}
