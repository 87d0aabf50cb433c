//! When which endpoint is asked: one queue by time for all of them, and a bounded number of checks at once. It refuses to
//! know what a check is.
//!
//! Checks that are due are begun in batches, every [`BATCH`], so that ten thousand endpoints do not cost ten thousand
//! wake-ups. An endpoint whose last check took long has to be content with a part of the places: those that hang leave
//! the rest to those that answer.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::balance::board::Board;
use crate::balance::board::Health;
use crate::health::Found;
use crate::health::Last;
use crate::health::Plan;
use crate::health::Said;
use crate::health::Table;
use crate::health::Target;
use crate::health::Tell;
use crate::health::Transition;
use crate::health::course::Course;
use crate::health::knock;
use crate::health::knock::Knock;
use crate::health::probe;
use crate::health::probe::Kept;
use crate::health::probe::Verdict;
use crate::id::EndpointSlot;
use crate::rand::Rng;

/// Where results go.
pub(super) struct Outlet {
    pub(super) board: Arc<Board>,
    pub(super) table: watch::Sender<Table>,
    pub(super) tell: Tell,
    /// Connections that may be kept between checks.
    pub(super) kept_most: usize,
}

/// An endpoint that is checked.
struct Watch {
    target: Arc<Target>,
    course: Course,
    /// Whether its last check took long.
    slow: bool,
    running: bool,
    /// A connection that the last check has left open.
    kept: Option<Kept>,
    /// Which entry of the queue is its own; others are out of date.
    turn: u64,
}

/// A check that has ended.
struct Done {
    slot: EndpointSlot,
    birth: u64,
    slow: bool,
    took: Duration,
    verdict: Verdict,
    kept: Option<Kept>,
}

/// A place in the queue: when, whose turn, and who.
type Due = Reverse<(Instant, u64, EndpointSlot)>;

struct Schedule {
    outlet: Outlet,
    rng: Rng,
    watches: HashMap<EndpointSlot, Watch>,
    due: BinaryHeap<Due>,
    /// Before this, nothing that is due is begun.
    look: Instant,
    turns: u64,
    /// Due, and waiting for a place: those that are quick, and those that are slow.
    waiting: [VecDeque<EndpointSlot>; 2],
    /// Checks under way, likewise.
    running: [usize; 2],
    done: mpsc::Sender<Done>,
    /// Connections kept between checks; those of checks under way are not among them.
    kept: usize,
}

/// Checks what is wanted, until nobody wants anything any more.
pub(super) async fn run(mut wanted: watch::Receiver<Arc<Plan>>, outlet: Outlet) {
    let (done, mut results) = mpsc::channel(PLACES);
    let mut schedule = Schedule {
        outlet,
        rng: Rng::from_system(),
        watches: HashMap::new(),
        due: BinaryHeap::new(),
        look: Instant::now(),
        turns: 0,
        waiting: Default::default(),
        running: [0; 2],
        done,
        kept: 0,
    };
    let mut alarm = std::pin::pin!(tokio::time::sleep(IDLE));
    loop {
        let next = schedule.next();
        if alarm.deadline() != next {
            alarm.as_mut().reset(next);
        }
        tokio::select! {
            // What is wanted comes first: a result for what is wanted no more must not be written anywhere.
            biased;
            changed = wanted.changed() => {
                if changed.is_err() {
                    return;
                }
                let plan = wanted.borrow_and_update().clone();
                schedule.adopt(&plan);
            }
            Some(done) = results.recv() => {
                if wanted.has_changed().unwrap_or(false) {
                    let plan = wanted.borrow_and_update().clone();
                    schedule.adopt(&plan);
                }
                schedule.note(done);
            }
            () = alarm.as_mut() => {}
        }
        schedule.begin();
    }
}

impl Schedule {
    /// When there may be something to begin.
    fn next(&self) -> Instant {
        self.due.peek().map_or(self.look + IDLE, |Reverse((at, ..))| (*at).max(self.look))
    }

    fn adopt(&mut self, plan: &Plan) {
        let gone: Vec<_> = self.watches.keys().filter(|slot| !plan.contains_key(slot)).copied().collect();
        for slot in &gone {
            if let Some(watch) = self.watches.remove(slot) {
                self.kept -= usize::from(watch.kept.is_some());
            }
        }
        let fresh: Vec<_> = plan.iter().filter(|(slot, target)| self.is_news(**slot, target)).collect();
        let spread = SPREAD_EACH * u32::try_from(fresh.len()).unwrap_or(u32::MAX);
        let now = Instant::now();
        let mut begun = Vec::new();
        for (slot, target) in fresh {
            let known = self.watches.remove(slot);
            self.kept -= usize::from(known.as_ref().is_some_and(|known| known.kept.is_some()));
            let known = known.filter(|known| known.target.birth == target.birth);
            if known.is_none() {
                begun.push((*slot, Course::new(&target.settings).state()));
            }
            let course = known.as_ref().map_or_else(|| Course::new(&target.settings), |known| known.course);
            let running = known.as_ref().is_some_and(|known| known.running);
            let watch = Watch { target: target.clone(), course, slow: false, running, kept: None, turn: 0 };
            self.watches.insert(*slot, watch);
            if !running {
                let within = spread.max(SPREAD_LEAST).min(target.settings.interval);
                self.schedule(*slot, now + part(within, &self.rng));
            }
        }
        self.outlet.table.send_modify(|table| {
            for slot in &gone {
                table.remove(slot);
            }
            for (slot, state) in begun {
                let reason = "not checked yet".into();
                table.insert(slot, Found { state, since: SystemTime::now(), reason, last: None });
            }
        });
    }

    fn is_news(&self, slot: EndpointSlot, target: &Arc<Target>) -> bool {
        self.watches.get(&slot).is_none_or(|known| !Arc::ptr_eq(&known.target, target))
    }

    /// Puts an endpoint's next check into the queue.
    fn schedule(&mut self, slot: EndpointSlot, at: Instant) {
        self.turns += 1;
        if let Some(watch) = self.watches.get_mut(&slot) {
            watch.turn = self.turns;
            self.due.push(Reverse((at, self.turns, slot)));
        }
    }

    /// Begins what is due, as far as there are places.
    fn begin(&mut self) {
        let now = Instant::now();
        let looks = now >= self.look;
        if looks {
            self.look = now + BATCH;
        }
        while looks
            && let Some(Reverse((at, ..))) = self.due.peek()
            && *at <= now
            && let Some(Reverse((_, turn, slot))) = self.due.pop()
        {
            if let Some(watch) = self.watches.get(&slot).filter(|watch| watch.turn == turn && !watch.running) {
                self.waiting[usize::from(watch.slow)].push_back(slot);
            }
        }
        for (lane, places) in [(0, PLACES), (1, SLOW_PLACES)] {
            while self.running[lane] < places && self.running[0] + self.running[1] < PLACES {
                let Some(slot) = self.waiting[lane].pop_front() else { break };
                if let Some(done) = self.ask(slot, lane) {
                    self.note(done);
                }
            }
        }
    }

    /// Begins a check. What has come of it, if that is known at once.
    fn ask(&mut self, slot: EndpointSlot, lane: usize) -> Option<Done> {
        // It may have left, or begun anew and been asked, while it waited for a place.
        let watch = self.watches.get_mut(&slot).filter(|watch| !watch.running)?;
        watch.running = true;
        self.running[lane] += 1;
        let began = Instant::now();
        let (birth, slow) = (watch.target.birth, lane == 1);
        let done = move |verdict, kept| Done { slot, birth, slow, took: began.elapsed(), verdict, kept };
        let knock = match probe::knock(&watch.target) {
            Some(Knock::Settled(verdict)) => return Some(done(verdict, None)),
            Some(Knock::Waits(socket)) => Some(socket),
            None => None,
        };
        // Who answers on an old connection may have ceased to take new ones: now and then, and in doubt, that is looked at.
        let fresh = watch.course.in_doubt() || self.rng.below(FRESH) == 0;
        let kept = watch.kept.take();
        self.kept -= usize::from(kept.is_some());
        let (kept, keep) = (kept.filter(|_| !fresh), self.kept < self.outlet.kept_most);
        let (target, results) = (watch.target.clone(), self.done.clone());
        tokio::spawn(async move {
            let (verdict, kept) = match knock {
                Some(socket) => (knock::answer(socket, target.settings.timeout).await, None),
                None => probe::ask(&target, kept, keep).await,
            };
            // There is a place in the queue for each check under way.
            drop(results.try_send(done(verdict, kept)));
        });
        None
    }

    fn note(&mut self, done: Done) {
        let Done { slot, birth, slow, took, verdict, kept } = done;
        let lane = usize::from(slow);
        self.running[lane] = self.running[lane].saturating_sub(1);
        let Some(watch) = self.watches.get_mut(&slot).filter(|watch| watch.target.birth == birth) else { return };
        watch.running = false;
        watch.slow = took >= SLOW;
        watch.kept = kept.filter(|_| self.kept < self.outlet.kept_most);
        self.kept += usize::from(watch.kept.is_some());
        let settings = &watch.target.settings;
        let (good, said) = match verdict {
            Verdict::Good(said) => (Some(true), said),
            Verdict::Bad(words) => (Some(false), Said::Words(words)),
            Verdict::Void(words) => (None, Said::Words(words)),
        };
        let before = good.and_then(|good| watch.course.note(good, settings));
        let pause = watch.course.pause(settings, &self.rng);
        let (state, at) = (watch.course.state(), SystemTime::now());
        let change = before.map(|from| {
            let reason = reason(watch.course.row(), state, &said);
            self.outlet.board.standing(slot).set_health(state);
            Transition {
                upstream: watch.target.upstream,
                upstream_name: watch.target.upstream_name.clone(),
                endpoint: watch.target.label.clone(),
                from,
                to: state,
                reason,
            }
        });
        let last = Last { at, took, good, said };
        self.outlet.table.send_if_modified(|table| {
            match table.get_mut(&slot) {
                Some(found) => {
                    if let Some(change) = &change {
                        (found.state, found.since, found.reason) = (state, at, change.reason.as_str().into());
                    }
                    found.last = Some(last);
                }
                None => {
                    let reason = change.as_ref().map_or("", |change| change.reason.as_str()).into();
                    table.insert(slot, Found { state, since: at, reason, last: Some(last) });
                }
            }
            false // nobody waits for the table
        });
        self.schedule(slot, Instant::now() + pause);
        if let Some(change) = change {
            (self.outlet.tell)(change);
        }
    }
}

/// Why a state is what it has become.
fn reason(row: u32, state: Health, said: &Said) -> String {
    let verb = if state == Health::Up { "good" } else { "bad" };
    match row {
        1 => format!("a check was {verb}: {said}"),
        row => format!("{row} checks in a row were {verb}: {said}"),
    }
}

/// A random part of a duration.
fn part(whole: Duration, rng: &Rng) -> Duration {
    whole / 1024 * u32::try_from(rng.below(1024)).unwrap_or(0)
}

/// Checks at once: as many descriptors.
const PLACES: usize = 2048;
/// Checks at once of endpoints whose last check took [`SLOW`] or longer.
const SLOW_PLACES: usize = 1024;
/// From which time on a check took long.
const SLOW: Duration = Duration::from_millis(200);
/// One check in so many is made over a new connection, whatever is kept.
const FRESH: usize = 10;
/// Checks that fall due within this begin together.
const BATCH: Duration = Duration::from_millis(5);
/// First checks of many endpoints are spread over this for each of them, the interval at the most.
const SPREAD_EACH: Duration = Duration::from_micros(500);
/// First checks of few endpoints are spread over this.
const SPREAD_LEAST: Duration = Duration::from_millis(50);
/// When there is nothing to check, it is looked again after this.
const IDLE: Duration = Duration::from_hours(1);
