//! How many lines of other cores' rows a request reads. Where requests go, and how many looks were stale, is the product's
//! own; at which endpoints it looked is drawn here again by the same rules (16 of all, the oldest first and the one that was
//! chosen, a time to be fresh, none chosen on what was known before a fold), so that each line can be followed. It refuses to know
//! time but the simulated.

use ringway::balance::fold::PERIOD_US;
use ringway::balance::plan::Rules;
use ringway::rand::Rng;

use crate::turns::Cores;
use crate::turns::Turn;

/// Endpoints looked at for one choice.
const LOOKS: usize = 16;
/// A beat of the turn's clock, in microseconds.
const BEAT_SHIFT: u32 = 10;

/// Means of a request.
#[derive(Clone, Copy)]
pub struct Reads {
    /// Looks at endpoints of which what was known was too old.
    pub stale: f64,
    /// Lines of other cores' rows that these read.
    pub lines: f64,
    /// Those of them that were written since the core's last look.
    pub changed: f64,
    /// The same, of folds: one core's in some milliseconds, spread over the requests of all.
    pub folds: f64,
    /// Times that the core wrote a line of its own that another had looked at since it last did.
    pub spoilt: f64,
}

impl Reads {
    /// Counts so many rounds of so many cores, after some that are not counted.
    pub fn counted(cores: u32, endpoints: u32, rules: &Rules, rounds: u64) -> Self {
        let mut sim = Cores::new(cores, endpoints, rules.clone());
        let mut lines = Lines::new(cores as usize, endpoints as usize, rules);
        (0..rounds.min(1024)).for_each(|_| sim.round(|turn| lines.follow(turn)));
        lines.counts = [0; 5];
        (0..rounds).for_each(|_| sim.round(|turn| lines.follow(turn)));
        let requests = (rounds * u64::from(cores)) as f64;
        let [stale, lines, changed, folds, spoilt] = lines.counts.map(|count| count as f64 / requests);
        Self { stale, lines, changed, folds, spoilt }
    }
}

/// Every line of every row, and who has seen what of it.
struct Lines {
    endpoints: usize,
    /// How old what is known may be of who is chosen, and of the rest.
    ages: (u64, u64),
    /// By core and endpoint: the turn in which the line was last written.
    written: Vec<u64>,
    /// The same: whether another has looked at it since.
    looked: Vec<bool>,
    /// By reader, writer and endpoint: the turn of the last look.
    seen: Vec<u64>,
    /// By core and endpoint: as of when it is known; of before a fold it is too old to be chosen.
    known: Vec<u64>,
    /// By core: looks of the product that were not followed yet.
    owed: Vec<u64>,
    /// By core: the last fold that it knows.
    folds: Vec<u64>,
    fold: u64,
    folded: u64,
    turns: u64,
    rng: Rng,
    counts: [u64; 5],
}

impl Lines {
    fn new(cores: usize, endpoints: usize, rules: &Rules) -> Self {
        Self {
            endpoints,
            ages: rules.ages_us((cores * endpoints) as u64),
            written: vec![0; cores * endpoints],
            looked: vec![false; cores * endpoints],
            seen: vec![0; cores * cores * endpoints],
            known: vec![0; cores * endpoints],
            owed: vec![0; cores],
            folds: vec![0; cores],
            fold: 0,
            folded: 0,
            turns: 0,
            rng: Rng::seeded(11),
            counts: [0; 5],
        }
    }

    fn follow(&mut self, turn: Turn) {
        self.turns += 1;
        if let Some(place) = turn.answered {
            self.write(turn.core, place);
        }
        self.fold(turn);
        if std::mem::replace(&mut self.folds[turn.core], self.fold) != self.fold {
            let aged = turn.now - self.ages.0;
            let known = &mut self.known[turn.core * self.endpoints..][..self.endpoints];
            known.iter_mut().for_each(|known| *known = (*known).min(aged));
        }
        self.owed[turn.core] += turn.looks;
        let mut drawn = [0; LOOKS];
        let drawn = draw(&mut drawn, self.endpoints, &self.rng);
        let (chosen, rest) = self.ages;
        drawn.iter().for_each(|place| self.look(turn, *place, rest));
        self.look(turn, turn.went, chosen);
        // The rest of the looks: at those that seemed to be the least, and were not.
        drawn.iter().for_each(|place| self.look(turn, *place, chosen));
        self.write(turn.core, turn.went);
    }

    /// A look that is too old is followed, if the product has made so many.
    fn look(&mut self, turn: Turn, place: usize, age: u64) {
        let known = &mut self.known[turn.core * self.endpoints + place];
        if turn.now < *known + age || self.owed[turn.core] == 0 {
            return;
        }
        *known = turn.now;
        self.owed[turn.core] -= 1;
        let (lines, changed) = self.read(turn.core, place);
        self.counts[0] += 1;
        self.counts[1] += lines;
        self.counts[2] += changed;
    }

    fn fold(&mut self, turn: Turn) {
        let passed = ((turn.now >> BEAT_SHIFT) - (self.folded >> BEAT_SHIFT)) << BEAT_SHIFT;
        if passed < PERIOD_US.max(self.ages.0) {
            return;
        }
        self.folded = turn.now;
        self.fold += 1;
        for place in 0..self.endpoints {
            self.counts[3] += self.read(turn.core, place).1;
        }
    }

    /// A core looks at all others' lines of an endpoint: how many these are, and how many of them have changed.
    fn read(&mut self, core: usize, place: usize) -> (u64, u64) {
        let cores = self.folds.len();
        let mut changed = 0;
        for other in (0..cores).filter(|other| *other != core) {
            let line = other * self.endpoints + place;
            let seen = &mut self.seen[(core * cores + other) * self.endpoints + place];
            changed += u64::from(self.written[line] > *seen);
            *seen = self.turns;
            self.looked[line] = true;
        }
        (cores as u64 - 1, changed)
    }

    fn write(&mut self, core: usize, place: usize) {
        let line = core * self.endpoints + place;
        self.written[line] = self.turns;
        self.counts[4] += u64::from(std::mem::replace(&mut self.looked[line], false));
    }
}

/// The endpoints that one choice looks at: all, or sixteen of them.
fn draw<'a>(drawn: &'a mut [usize; LOOKS], endpoints: usize, rng: &Rng) -> &'a [usize] {
    if endpoints <= LOOKS {
        drawn.iter_mut().enumerate().for_each(|(place, look)| *look = place);
        return &drawn[..endpoints];
    }
    for count in 0..LOOKS {
        let last = endpoints - LOOKS + count;
        let place = rng.below(last + 1);
        drawn[count] = if drawn[..count].contains(&place) { last } else { place };
    }
    drawn
}
