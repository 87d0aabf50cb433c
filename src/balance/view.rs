//! What one core sees of the endpoints of one upstream: a row of small numbers of its own, each refreshed from the board
//! when it is looked at and too old; and the lists of those that may be chosen, made anew when something
//! was said of one of them. Nothing here runs unless a request asks.

use crate::balance::Tried;
use crate::balance::board::Board;
use crate::balance::board::Fleet;
use crate::balance::board::Health;
use crate::balance::board::Load;
use crate::balance::board::Order;
use crate::balance::board::Row;
use crate::balance::choose::Drawn;
use crate::balance::choose::Least;
use crate::balance::choose::Looks;
use crate::balance::cost;
use crate::balance::cost::Facts;
use crate::balance::cost::Penalty;
use crate::balance::crew::Crew;
use crate::balance::crew::WHOLE;
use crate::balance::fold;
use crate::balance::plan::Plan;
use crate::id::CoreId;
use crate::id::EndpointSlot;
use crate::rand::Rng;

/// Where all endpoints have to be looked at, not only those that are chosen from, what is known of the other cores may be as old
/// as the rules say with so many cores times endpoints; with more of them it may be as much older.
const SUM_ENTRIES: u64 = 4096;

/// One endpoint, as this core sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    /// The latency to be expected, over the weight.
    pub(super) cost: f32,
    /// One over the weight.
    pub(super) even: f32,
    /// Requests that the other cores have in flight.
    pub(super) others: u32,
    slot: EndpointSlot,
    fresh_until: u64,
    /// This core's own last penalty, as the cost knows it.
    penalty: u64,
}

/// Endpoints of one priority.
#[derive(Debug, Default)]
pub(super) struct Level {
    priority: u8,
    /// Of 2^32 draws, those below this and not below that of the level before are its own.
    up_to: u64,
    /// Whether all are taken because too few are eligible.
    pub(super) panic: bool,
    /// Those that may be chosen, by place.
    pub(super) all: Vec<u32>,
    /// Those of them in the gateway's own zone, and the rest.
    near: Vec<u32>,
    far: Vec<u32>,
    /// The sums of the shares of `all`, `near` and `far`, from the first to each.
    sums: [Vec<u64>; 3],
    /// The sum of their weights.
    pub(super) weight: u64,
    /// Requests in flight at them, as of the last look at all.
    pub(super) in_flight: u64,
    /// Requests in flight, and weights, of `near` and `far`.
    zones: [(u64, u64); 2],
    crew: Crew,
}

/// What one core sees.
#[derive(Debug)]
pub(super) struct View {
    pub(super) seats: Vec<Seat>,
    /// The share of each, with its slow start, in thousandths of a weight.
    pub(super) shares: Vec<u32>,
    pub(super) levels: Vec<Level>,
    /// Whom a trial may bring back, and when.
    out: Vec<(u32, u64)>,
    next_trial: u64,
    seen: Option<u64>,
    changes: u64,
    period: u64,
    /// By how much older what is known may be of endpoints that are not chosen.
    patience: u64,
    sum_period: u64,
    /// When all were last looked at; only where that is needed.
    summed: Option<u64>,
    zoned: bool,
    median: u64,
    means: Vec<u64>,
    /// Looks ever at what the other cores have, for one choice among many.
    pub(super) stale: u64,
}

/// The place a choice is made for.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) plan: &'a Plan,
    pub(super) board: &'a Board,
    pub(super) core: CoreId,
    pub(super) now: u64,
}

/// Of a hundred requests, so many go to the other zones in any case.
const FAR_PERCENT: usize = 3;

impl View {
    pub(super) fn new(plan: &Plan, board: &Board) -> Self {
        let seat = |slot| Seat { cost: 1.0, even: 1.0, others: 0, slot, fresh_until: 0, penalty: 0 };
        let mut priorities: Vec<u8> = plan.candidates.iter().map(|candidate| candidate.priority).collect();
        priorities.sort_unstable();
        priorities.dedup();
        let entries = (plan.candidates.len() * board.rows().len()) as u64;
        let (period, rest) = plan.rules.ages_us(entries);
        let near = plan.candidates.iter().filter(|candidate| candidate.near).count();
        Self {
            seats: plan.candidates.iter().map(|candidate| seat(candidate.slot)).collect(),
            shares: vec![0; plan.candidates.len()],
            levels: priorities.into_iter().map(|priority| Level { priority, ..Level::default() }).collect(),
            out: Vec::new(),
            next_trial: u64::MAX,
            seen: None,
            changes: 0,
            period,
            patience: rest - period,
            sum_period: plan.rules.fresh_us * entries.div_ceil(SUM_ENTRIES).max(1),
            summed: None,
            zoned: near > 0 && near < plan.candidates.len(),
            median: 0,
            means: Vec::new(),
            stale: 0,
        }
    }

    /// Folds if it is time to, and takes in what is new.
    #[inline]
    pub(super) fn follow(&mut self, seen: Seen<'_>, fleet: &Fleet, rng: &Rng) {
        let Seen { plan, board, now, .. } = seen;
        if let Some(taken) = fleet.turn.take(now, fold::PERIOD_US.max(self.period)) {
            fold::fold(plan, board, fleet, (taken, now, rng), &mut self.means);
            fleet.turn.end(taken);
        }
        let changes = board.changes();
        let news = fleet.turn.news(self.seen.unwrap_or(0));
        if news.is_some() || changes != self.changes || self.seen.is_none() {
            self.seen = news.or(self.seen).or(Some(0));
            self.changes = changes;
            self.list(seen, fleet);
        }
    }

    /// Makes the lists of those that may be chosen.
    fn list(&mut self, seen: Seen<'_>, fleet: &Fleet) {
        let Seen { plan, board, now, .. } = seen;
        let window = if fleet.folded.one(fold::ALL_NEW) == 0 { plan.rules.slow_start_us } else { 0 };
        self.median = fleet.folded.one(fold::MEDIAN);
        self.out.clear();
        self.next_trial = u64::MAX;
        self.levels.iter_mut().for_each(Level::clear);
        for (place, candidate) in (0..).zip(&plan.candidates) {
            let standing = board.standing(candidate.slot);
            let Some(level) = self.levels.iter_mut().find(|level| level.priority == candidate.priority) else {
                continue;
            };
            let until = standing.folded.one(fold::OUT_UNTIL);
            if level.crew.count(standing) {
                level.all.push(place);
            } else if until > 0 && standing.order() == Order::Ready && standing.health() != Health::Down {
                self.out.push((place, until));
                self.next_trial = self.next_trial.min(until);
            }
        }
        self.spread(seen);
        for (place, candidate) in plan.candidates.iter().enumerate() {
            let standing = board.standing(candidate.slot);
            let weight = standing.weight().unwrap_or(candidate.weight).max(1);
            let part = match standing.folded.one(fold::SINCE) {
                0 | 1 => 1.0,
                since => cost::slow_start(now.saturating_sub(since), window),
            };
            let share = cost::float(u64::from(weight)) * part;
            self.shares[place] = thousandths(share);
            self.seats[place].even = 1.0 / share;
            // To be looked at before it is chosen. Not at once where there is patience: all cores would know all from the same
            // moment, shun the same endpoints for as long as they have patience, and then run to them together.
            self.seats[place].fresh_until = self.seats[place].fresh_until.min(now);
        }
        for level in &mut self.levels {
            level.split(plan, &self.shares);
        }
        self.summed = None;
    }

    /// How much each level takes, and whether there is panic.
    fn spread(&mut self, seen: Seen<'_>) {
        let Seen { plan, board, .. } = seen;
        let sum: u64 = self.levels.iter().map(|level| level.crew.capacity()).sum();
        // Those with too few, for which no other can make up, take all that an operator leaves them.
        for level in self.levels.iter_mut().filter(|level| level.crew.panics(sum, plan.rules.panic_percent)) {
            level.panic = true;
            let places = (0..).zip(&plan.candidates).filter(|(_, other)| other.priority == level.priority);
            let ready = places.filter(|(_, other)| board.standing(other.slot).order() == Order::Ready);
            level.all.clear();
            level.all.extend(ready.map(|(place, _): (u32, _)| place));
        }
        let mut before = 0;
        if sum == 0 {
            // Nobody has anything to say for any level: the first that has anybody takes all.
            let first = self.levels.iter().position(|level| !level.all.is_empty());
            for (at, level) in self.levels.iter_mut().enumerate() {
                level.up_to = if first.is_some_and(|first| at >= first) { WHOLE } else { 0 };
            }
            return;
        }
        for level in &mut self.levels {
            let part = level.crew.capacity();
            // Where all levels together are too little, each takes its part of what there is.
            let part = if sum < WHOLE { part * (WHOLE >> 8) / (sum >> 8).max(1) } else { part };
            before = (before + part).min(WHOLE);
            level.up_to = before;
        }
        // What rounding left over is the last one's that has anything.
        if let Some(last) = self.levels.iter().rposition(|level| level.crew.eligible > 0) {
            self.levels[last..].iter_mut().for_each(|level| level.up_to = WHOLE);
        }
    }

    /// The level that the next request belongs to.
    #[inline]
    pub(super) fn level(&self, rng: &Rng) -> usize {
        match self.levels.as_slice() {
            [] | [_] => 0,
            [first, ..] if first.up_to >= WHOLE => 0,
            levels => {
                let draw = rng.next() >> 32;
                levels.iter().position(|level| draw < level.up_to).unwrap_or(0)
            }
        }
    }

    /// Those of a level that the next request may go to.
    #[inline]
    pub(super) fn list_of(&self, level: usize, rng: &Rng) -> &[u32] {
        self.levels.get(level).map_or(&[], |level| level.list(self.zoned, rng))
    }

    /// The same, with the sums of their shares from the first to each.
    pub(super) fn weighed(&self, level: usize, rng: &Rng) -> (&[u32], &[u64]) {
        let Some(level) = self.levels.get(level) else { return (&[], &[]) };
        let list = level.list(self.zoned, rng);
        let sums = if std::ptr::eq(list, level.near.as_slice()) {
            &level.sums[1]
        } else if std::ptr::eq(list, level.far.as_slice()) {
            &level.sums[2]
        } else {
            &level.sums[0]
        };
        (list, sums)
    }

    /// Whether the policy has to know the sums: where zones are told apart, or loads are bounded.
    #[inline]
    pub(super) fn sum(&mut self, seen: Seen<'_>, bounded: bool) {
        if !(self.zoned || bounded) {
            return;
        }
        if self.summed.is_some_and(|summed| seen.now < summed + self.sum_period) {
            return;
        }
        self.summed = Some(seen.now);
        let row = seen.board.row(seen.core);
        let View { seats, shares, levels, .. } = self;
        for level in levels {
            level.in_flight = 0;
            level.zones = [(0, 0); 2];
            for place in &level.all {
                let place = *place as usize;
                let Some(seat) = seats.get_mut(place) else { continue };
                let all = seen.board.rows().iter().filter(|other| !std::ptr::eq(*other, row));
                let loads = all.filter_map(|other| other.peek(seat.slot));
                seat.others = loads.map(Load::in_flight).sum();
                let in_flight = u64::from(seat.others) + u64::from(row.load(seat.slot).in_flight());
                level.in_flight += in_flight;
                let near = seen.plan.candidates.get(place).is_some_and(|candidate| candidate.near);
                let zone = &mut level.zones[usize::from(!near)];
                zone.0 += in_flight;
                zone.1 += u64::from(shares[place]);
            }
        }
    }

    /// The one of a level that costs least.
    #[inline]
    pub(super) fn least(
        &mut self,
        seen: Seen<'_>,
        (level, tried): (usize, &Tried),
        rng: &Rng,
        cost: impl Fn(&Seat, f32) -> f32,
    ) -> Option<usize> {
        self.sum(seen, false);
        let row = seen.board.row(seen.core);
        let zoned = self.zoned;
        let Self { seats, levels, period, patience, median, stale: stale_ever, .. } = self;
        let list = levels.get(level)?.list(zoned, rng);
        let mut drawn = Drawn::default();
        let looks = Looks::draw(list, tried, rng, &mut drawn);
        let at =
            |seat: &Seat, own: u32| cost(seat, cost::float(u64::from(own.wrapping_add(seat.others).wrapping_add(1))));
        // What is at hand first, by a loop without a call; then the rest.
        let (mut least, mut stale) = (Least::NOTHING, 0_u32);
        let rested = seen.now.saturating_sub(*patience);
        for (look, place) in looks.places().iter().enumerate() {
            let seat = seats.get_mut(*place as usize)?;
            match row.peek(seat.slot).filter(|load| rested < seat.fresh_until && load.penalty.get() == seat.penalty) {
                Some(load) => least = looks.found(look, at(seat, load.in_flight()), least),
                None => stale |= 1 << look,
            }
        }
        *stale_ever += u64::from(stale.count_ones());
        while stale != 0 {
            let look = stale.trailing_zeros() as usize;
            stale &= stale - 1;
            if let Some(place) = looks.places().get(look) {
                let seat = seats.get_mut(*place as usize)?;
                let load = row.load(seat.slot);
                refresh(seat, seen, (row, load), (*period, *median));
                least = looks.found(look, at(seat, load.in_flight()), least);
            }
        }
        // None is chosen on an old word: it has got too much meanwhile, or is the least in truth.
        while let Some(place) = looks.least(least).filter(|_| *patience > 0) {
            let seat = seats.get_mut(place)?;
            if seen.now < seat.fresh_until || *period == 0 {
                break;
            }
            *stale_ever += 1;
            refresh(seat, seen, (row, row.load(seat.slot)), (*period, *median));
            least = looks.places().iter().enumerate().fold(Least::NOTHING, |least, (look, place)| {
                let seat = seats.get(*place as usize);
                seat.map_or(least, |seat| looks.found(look, at(seat, row.load(seat.slot).in_flight()), least))
            });
        }
        // Where all sixteen had been tried, any that was not is better than none.
        looks.least(least).or_else(|| list.iter().map(|place| *place as usize).find(|place| !tried.has(*place)))
    }

    /// Whether an endpoint may be chosen on a level.
    #[inline]
    pub(super) fn is_listed(&self, level: usize, place: usize) -> bool {
        let place = u32::try_from(place).unwrap_or(u32::MAX);
        self.levels.get(level).is_some_and(|level| level.all.binary_search(&place).is_ok())
    }

    /// Whether an endpoint may take one more: it has fewer than `percent` hundredths of its fair share of what the level has
    /// in flight, this one included, and one in any case. 0: there is no bound.
    pub(super) fn has_room(&mut self, seen: Seen<'_>, level: usize, (place, percent): (usize, u64)) -> bool {
        if percent == 0 {
            return true;
        }
        let row = seen.board.row(seen.core);
        let Some(share) = self.shares.get(place).copied() else { return false };
        let Some((all, weight)) = self.levels.get(level).map(|level| (level.in_flight, level.weight)) else {
            return false;
        };
        let Some((seat, own)) = self.look(seen, row, place) else { return false };
        let in_flight = u64::from(seat.others) + u64::from(own);
        let most = ((all + 1) * percent * u64::from(share)).div_ceil(100 * weight.max(1)).max(1);
        in_flight < most
    }

    /// An endpoint whose time out is over, if this core is the one of all that may try it.
    #[inline]
    pub(super) fn trial(&self, seen: Seen<'_>) -> Option<usize> {
        if seen.now < self.next_trial {
            return None;
        }
        let due = self.out.iter().filter(|(_, until)| seen.now >= *until);
        let mut places = due.filter_map(|(place, _)| {
            let slot = self.seats.get(*place as usize)?.slot;
            seen.board.standing(slot).claim_trial(seen.core, seen.now).then_some(*place as usize)
        });
        places.next()
    }

    /// A seat with its numbers fresh, and what this core has in flight there.
    #[inline]
    pub(super) fn look<'a>(&'a mut self, seen: Seen<'_>, row: &Row, place: usize) -> Option<(&'a Seat, u32)> {
        let seat = self.seats.get_mut(place)?;
        let load = row.load(seat.slot);
        if seen.now >= seat.fresh_until || load.penalty.get() != seat.penalty {
            refresh(seat, seen, (row, load), (self.period, self.median));
        }
        Some((seat, load.in_flight()))
    }
}

/// Takes in what the board says of an endpoint now.
#[cold]
#[inline(never)]
fn refresh(seat: &mut Seat, seen: Seen<'_>, (row, load): (&Row, &Load), (period, median): (u64, u64)) {
    let Seen { plan, board, now, .. } = seen;
    let words = board.standing(seat.slot).folded.read::<{ fold::READ }>();
    // What was given before it came back is forgotten.
    let cleared = words.map_or(0, |(words, _)| words[fold::CLEARED_AT]);
    let mut sum = Sum { cleared, ..Sum::default() };
    for other in board.rows().iter().filter(|other| !std::ptr::eq(*other, row)) {
        other.peek(seat.slot).into_iter().for_each(|load| sum.add(load, now));
    }
    seat.others = sum.in_flight;
    sum.add(load, now);
    seat.fresh_until = now + period;
    seat.penalty = load.penalty.get();
    // Between two turns: what was known before will do for a moment more.
    let Some((words, _)) = words else { return };
    let mean = fold::mean_us(words[fold::MEAN]);
    let reported = words[fold::REPORTED];
    // A report stands for the mean, but no further from it than a clip.
    let mean = match (plan.rules.reports && reported > 0, mean) {
        (false, mean) => mean,
        (true, 0) => reported,
        (true, mean) => reported.clamp(mean / cost::CLIP, mean.saturating_mul(cost::CLIP)),
    };
    let (penalty, penalty_at) = sum.worst;
    let (waiting, sent) = (sum.waiting, sum.sent);
    let facts = Facts { mean, told: words[fold::TOLD], median, waiting, sent, penalty, penalty_at };
    seat.cost = cost::expected(&facts, now) * seat.even;
}

/// What cores have at an endpoint, added up.
#[derive(Debug, Default)]
struct Sum {
    in_flight: u32,
    waiting: u32,
    sent: u64,
    /// The penalty of which most is left, when it was given, and how much that is.
    worst: (u64, u64),
    left: f32,
    cleared: u64,
}

impl Sum {
    #[inline]
    fn add(&mut self, load: &Load, now: u64) {
        let (in_flight, waiting) = load.both();
        self.in_flight = self.in_flight.wrapping_add(in_flight);
        self.waiting = self.waiting.wrapping_add(waiting);
        self.sent = self.sent.wrapping_add(load.sent_us.get());
        let word = load.penalty.get();
        if word == 0 {
            return;
        }
        let (penalty, at) = Penalty::read(word);
        let left = cost::float(penalty) * cost::decay(now.saturating_sub(at), cost::PENALTY_TAU_US);
        // The word is up to 16 µs behind.
        if at + 16 > self.cleared && left > self.left {
            (self.worst, self.left) = ((penalty, at), left);
        }
    }
}

fn thousandths(share: f32) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive, and saturating")]
    ((share * 1000.0) as u32).max(1)
}

impl Level {
    fn clear(&mut self) {
        self.panic = false;
        self.crew = Crew::default();
        for list in [&mut self.all, &mut self.near, &mut self.far] {
            list.clear();
        }
        self.sums.iter_mut().for_each(Vec::clear);
    }

    fn split(&mut self, plan: &Plan, shares: &[u32]) {
        for place in &self.all {
            let near = plan.candidates.get(*place as usize).is_some_and(|candidate| candidate.near);
            if near { &mut self.near } else { &mut self.far }.push(*place);
        }
        for (list, sums) in [&self.all, &self.near, &self.far].into_iter().zip(&mut self.sums) {
            let mut sum = 0;
            sums.extend(list.iter().map(|place| {
                sum += u64::from(shares.get(*place as usize).copied().unwrap_or(1));
                sum
            }));
        }
        self.weight = self.sums[0].last().copied().unwrap_or(0);
    }

    /// Those that the next request may go to: the own zone's, if that is not too busy.
    #[inline]
    fn list(&self, zoned: bool, rng: &Rng) -> &[u32] {
        if !zoned || self.near.is_empty() || self.far.is_empty() {
            return &self.all;
        }
        if rng.below(100) < FAR_PERCENT {
            return &self.far;
        }
        let [(near, near_weight), (far, far_weight)] = self.zones;
        // near / near_weight <= 1.1 * far / far_weight
        if near * far_weight * 10 <= far * near_weight * 11 { &self.near } else { &self.all }
    }
}
