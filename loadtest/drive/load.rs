//! One run of load against a proxy: when requests are due, which connection takes them, what is counted. It refuses to
//! know what a request looks like.
//!
//! In an open loop a request's latency counts from the time it was due, so that a proxy that stalls is charged for
//! every request that had to wait, not only for the one it stalled on.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use crate::Ground;
use crate::cpu::Cpu;
use crate::exchange::{End, Place};
use crate::link::Tls;
use crate::plan::{Abort, LATENCY_NS_MAX, Measured, Plan, Report, Totals, keep};
use crate::sys::Ready;

/// The state of a run. Times are nanoseconds since its beginning.
pub struct Load<'a> {
    plan: &'a Plan,
    started: Instant,
    phase: Phase,
    /// The measured window's planned begin and end, and its true ones once they are passed.
    window: (u64, u64),
    cpu: (Cpu, Option<u64>),
    places: Vec<Place>,
    /// Places that wait for a request, longest first.
    idle: VecDeque<usize>,
    /// Places of the idle connections: those that have yet to begin, and how many have not had their answer.
    to_park: VecDeque<usize>,
    unparked: usize,
    /// Due times of requests that wait for a place.
    queue: VecDeque<u64>,
    /// Places that failed, and when: they pause before they try again.
    resting: VecDeque<(u64, usize)>,
    next_due: u64,
    random: u64,
    begun: u64,
    totals: Totals,
    measured: Measured,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The idle connections come.
    Parking,
    Warming,
    Measuring,
    Draining,
}

impl<'a> Load<'a> {
    /// # Errors
    /// The plan asks for a TLS that there is not.
    pub fn new(plan: &'a Plan) -> Result<Self, Box<dyn std::error::Error>> {
        let tls = Tls::new(plan)?;
        let tls = || if plan.resume { tls.clone().map(Tls::with_tickets) } else { tls.clone() };
        let begin = nanoseconds(plan.warmup);
        let end = if plan.requests.is_some() { u64::MAX } else { begin + nanoseconds(plan.seconds) };
        let (active, all) = (plan.connections as usize, plan.connections + plan.idle);
        let mut load = Self {
            plan,
            started: Instant::now(),
            phase: if plan.idle > 0 { Phase::Parking } else { Phase::Warming },
            window: (begin, end),
            cpu: (Cpu::read(&[]), None),
            places: (0..all).map(|place| Place::new(crate::KEY_LOAD | u64::from(place), tls())).collect(),
            idle: (0..active).collect(),
            to_park: (active..all as usize).collect(),
            unparked: plan.idle as usize,
            queue: VecDeque::new(),
            resting: VecDeque::new(),
            next_due: 0,
            random: plan.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            begun: 0,
            totals: Totals::default(),
            measured: Measured::new(),
        };
        load.next_due = load.distance();
        Ok(load)
    }

    /// Does the whole run.
    pub fn run(mut self, ground: &mut Ground) -> io::Result<Report> {
        let mut ready = Vec::new();
        if self.plan.rate.is_some() && !self.plan.new_connections && self.plan.abort.is_none() {
            for place in self.places.iter_mut().take(self.plan.connections as usize) {
                place.open(self.plan.to, &ground.epoll)?;
            }
        }
        while !self.is_over() {
            self.turn_phase();
            self.revive();
            if self.phase == Phase::Parking {
                self.park(ground)?;
            } else {
                self.begin_due(ground);
            }
            let origin = ground.serve_due();
            // The sooner of the two, if there is any.
            let timeout = self.timeout().into_iter().chain(origin).min();
            ground.epoll.wait(&mut ready, timeout)?;
            for event in ready.drain(..) {
                if event.key & crate::KEY_KIND == crate::KEY_LOAD {
                    self.turn(event, ground);
                } else {
                    ground.serve_origin(event);
                }
            }
        }
        self.report()
    }

    fn is_over(&self) -> bool {
        let busy = self.plan.connections as usize - self.idle.len() - self.resting.len();
        let quiet = busy == 0 && self.queue.is_empty();
        match self.plan.requests {
            Some(requests) => quiet && self.begun >= requests,
            None => {
                let late = self.now() > self.window.1.saturating_add(nanoseconds(self.plan.grace));
                self.phase == Phase::Draining && (quiet || late)
            }
        }
    }

    /// Has the idle connections make their requests, some at a time.
    ///
    /// # Errors
    /// They have not all come in their time: there is nothing to measure, and waiting on would be for ever.
    fn park(&mut self, ground: &mut Ground) -> io::Result<()> {
        if self.now() > PARKING_NS_MAX {
            let (waiting, all) = (self.unparked, self.plan.idle);
            let fault = format!(
                "{waiting} of {all} idle connections were not answered in {} s",
                PARKING_NS_MAX / 1_000_000_000
            );
            return Err(io::Error::new(io::ErrorKind::TimedOut, fault));
        }
        while self.unparked - self.to_park.len() < PARKING {
            let Some(place) = self.to_park.pop_front() else { break };
            self.begun += 1;
            let now = self.now();
            if let Some(end) = self.places[place].begin(self.plan, self.begun, now, (&ground.epoll, &ground.pattern)) {
                self.finish(place, end);
            }
        }
        Ok(())
    }

    fn turn_phase(&mut self) {
        let now = self.now();
        if self.phase == Phase::Parking && self.unparked == 0 {
            self.phase = Phase::Warming;
            // The clock of the run begins anew.
            self.started = Instant::now();
            return;
        }
        if self.phase == Phase::Warming && now >= self.window.0 {
            self.phase = Phase::Measuring;
            self.cpu.0 = Cpu::read(&self.plan.pids);
            let length = self.window.1 - self.window.0;
            self.window = (now, now.saturating_add(length));
        }
        if self.phase == Phase::Measuring && now >= self.window.1 {
            self.end_window(now);
        }
    }

    fn end_window(&mut self, now: u64) {
        self.phase = Phase::Draining;
        self.window.1 = now;
        if !self.plan.pids.is_empty() {
            self.cpu.1 = Some(Cpu::read(&self.plan.pids).since(&self.cpu.0));
        }
    }

    fn revive(&mut self) {
        while let Some(&(since, place)) = self.resting.front() {
            if self.now() < since + REST_NS {
                return;
            }
            self.resting.pop_front();
            self.idle.push_back(place);
        }
    }

    /// Begins what is due, on places that are idle.
    fn begin_due(&mut self, ground: &mut Ground) {
        let now = self.now();
        if self.plan.rate.is_some() {
            while self.next_due <= now && self.next_due < self.window.1 {
                if self.is_measured(self.next_due) {
                    self.measured.lag.saturating_record(now - self.next_due);
                }
                self.queue.push_back(self.next_due);
                self.next_due += self.distance();
            }
        }
        while let Some(due) = self.due(now) {
            let Some(place) = self.idle.pop_front() else { return };
            if self.plan.rate.is_some() {
                self.queue.pop_front();
            }
            self.begun += 1;
            let tools = (&ground.epoll, &ground.pattern);
            if let Some(end) = self.places[place].begin(self.plan, self.begun, due, tools) {
                self.finish(place, end);
            }
        }
    }

    /// When the next request that may begin now was due.
    fn due(&self, now: u64) -> Option<u64> {
        if self.plan.rate.is_some() {
            return self.queue.front().copied();
        }
        let wanted = self.plan.requests.is_none_or(|requests| self.begun < requests);
        (wanted && self.phase != Phase::Draining).then_some(now)
    }

    fn turn(&mut self, event: Ready, ground: &mut Ground) {
        let place = (event.key & u64::from(u32::MAX)) as usize;
        let Some(held) = self.places.get_mut(place) else { return };
        let tools = (&ground.epoll, &ground.pattern);
        let end = held.turn(event, self.plan, tools, &mut ground.scratch);
        match held.take_settled() {
            Some(true) => self.totals.handshakes_resumed += 1,
            Some(false) => self.totals.handshakes_full += 1,
            None => {}
        }
        match end {
            Some(end) if held.is_busy() => self.finish(place, end),
            // An idle place whose connection failed opens another one with its next request.
            Some(end) => drop(held.finish(end, self.plan)),
            None => {}
        }
    }

    /// Counts the end of an exchange and frees its place.
    fn finish(&mut self, place: usize, end: End) {
        let now = self.now();
        let Some(exchange) = self.places[place].finish(end, self.plan) else { return };
        let in_head = self.plan.abort == Some(Abort::Head);
        if exchange.begun {
            *(if in_head { &mut self.totals.heads_cut } else { &mut self.totals.heads_sent }) += 1;
        }
        match end {
            End::Answered(status) => *self.totals.answered.entry(status).or_default() += 1,
            End::Wrong => self.totals.wrong += 1,
            End::Aborted if in_head => {}
            End::Aborted => self.totals.aborted += 1,
            End::Truncated => self.totals.truncated += 1,
            End::Unanswered => self.totals.unanswered += 1,
            End::ConnectFailed => self.totals.connect_failed += 1,
            End::Unreadable => self.totals.unreadable += 1,
        }
        let good = matches!(end, End::Answered(..400) | End::Aborted);
        if self.is_measured(now) {
            *(if good { &mut self.measured.requests } else { &mut self.measured.errors }) += 1;
        }
        let counts_from = if self.plan.rate.is_some() { exchange.intended } else { now };
        if good && self.is_measured(counts_from) {
            self.measured.latency.saturating_record((now - exchange.intended).clamp(1, LATENCY_NS_MAX));
        }
        if place >= self.plan.connections as usize {
            self.unparked = self.unparked.saturating_sub(1);
        } else if matches!(end, End::ConnectFailed | End::Unanswered) {
            self.resting.push_back((now, place));
        } else {
            self.idle.push_back(place);
        }
    }

    /// Whether `at` lies in the window.
    fn is_measured(&self, at: u64) -> bool {
        matches!(self.phase, Phase::Measuring | Phase::Draining) && at >= self.window.0 && at < self.window.1
    }

    /// How long to sleep. In an open loop only when the next request is far: it must begin at its time.
    fn timeout(&self) -> Option<Duration> {
        let now = self.now();
        let phase_end = if self.phase == Phase::Measuring { self.window.1 } else { self.window.0 };
        let mut until = if self.phase == Phase::Draining { now + DRAIN_LOOK_NS } else { phase_end };
        if self.plan.rate.is_some() && matches!(self.phase, Phase::Warming | Phase::Measuring) {
            until = until.min(self.next_due.saturating_sub(SPIN_NS));
        }
        if let Some((since, _)) = self.resting.front() {
            until = until.min(since + REST_NS);
        }
        (until != u64::MAX).then(|| Duration::from_nanos(until.saturating_sub(now)))
    }

    fn report(mut self) -> io::Result<Report> {
        if self.phase != Phase::Draining {
            self.end_window(self.now());
        }
        let now = self.now();
        let parked = self.places.iter().skip(self.plan.connections as usize);
        self.totals.idle_lost = parked.filter(|place| !place.is_open()).count() as u64;
        let cut: Vec<(u64, bool)> = self.places.iter_mut().filter_map(Place::abandon).collect();
        let waiting = std::mem::take(&mut self.queue);
        for (intended, begun) in cut.into_iter().chain(waiting.into_iter().map(|due| (due, false))) {
            self.totals.unfinished += 1;
            let in_head = self.plan.abort == Some(Abort::Head);
            if begun {
                *(if in_head { &mut self.totals.heads_cut } else { &mut self.totals.heads_sent }) += 1;
            }
            if self.plan.rate.is_some() && self.is_measured(intended) {
                // At least that long: leaving them out would flatter the proxy that never answered.
                self.measured.latency.saturating_record((now - intended).clamp(1, LATENCY_NS_MAX));
                self.measured.errors += 1;
            }
        }
        let seconds = (self.window.1 - self.window.0) as f64 / 1e9;
        if let Some(path) = &self.plan.histogram {
            keep(&self.measured.latency, path)?;
        }
        Ok(self.measured.report(self.plan, seconds, self.cpu.1, self.totals))
    }

    /// Nanoseconds to the next request of a Poisson process of the planned rate.
    fn distance(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let uniform = ((self.random >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        self.plan.rate.map_or(u64::MAX, |rate| nanoseconds(-uniform.ln() / rate))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

fn nanoseconds(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e9) as u64
}

/// Idle connections that come at once.
const PARKING: usize = 64;
/// How long all of them may take.
const PARKING_NS_MAX: u64 = 60_000_000_000;
/// A place that failed waits that long.
const REST_NS: u64 = 10_000_000;
/// The last that much of the way to the next request is spent looking instead of sleeping.
const SPIN_NS: u64 = 100_000;
/// How often the end of a drain is looked for.
const DRAIN_LOOK_NS: u64 = 1_000_000;
