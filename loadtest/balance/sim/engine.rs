//! The run: events in order of their time, and of their making where times are equal. Everything is in whole
//! microseconds, so that a seed gives the same run everywhere.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::chance::Chance;
use super::policy::Answer;
use super::policy::Asked;
use super::policy::Policy;
use super::policy::Report;
use super::scenario::Change;
use super::scenario::Scenario;
use super::server::Server;
use super::tally::Tally;
use super::tally::count;

/// The server whose share is followed over time.
const WATCHED: usize = 0;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive,
    Reach(usize),
    Finish(usize),
    Back(usize),
    Noise(usize),
    Pause(usize),
    Script(usize),
    Turn,
    Asked { core: usize, server: usize },
    Told { core: usize, server: usize, held: usize, latency: u64 },
}

#[derive(Clone, Copy)]
struct Request {
    core: usize,
    server: usize,
    sent: u64,
    work: f64,
    /// When it will have been served; 0: it is not being served.
    finish: u64,
    ok: bool,
    report: Report,
}

/// One run.
struct Run<'a> {
    scenario: &'a Scenario,
    policy: &'a mut dyn Policy,
    servers: Vec<Server>,
    requests: Vec<Request>,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    made: u64,
    at: u64,
    pace: f64,
    arrivals: Chance,
    works: Chance,
    noise: Chance,
    faults: Chance,
    choices: Chance,
    tally: Tally,
}

/// Runs a scenario with a seed.
pub fn run(scenario: &Scenario, seed: u64, policy: &mut dyn Policy) -> Tally {
    let servers = scenario.fleet.build(scenario.mean_work, &Chance::new(seed, 1));
    let pace = 1e6 / (scenario.capacity(&servers) * scenario.load);
    let tally = Tally { shares: vec![0; servers.len()], ..Tally::default() };
    let mut run = Run {
        scenario,
        policy,
        servers,
        requests: Vec::new(),
        events: BinaryHeap::new(),
        made: 0,
        at: 0,
        pace,
        arrivals: Chance::new(seed, 2),
        works: Chance::new(seed, 3),
        noise: Chance::new(seed, 4),
        faults: Chance::new(seed, 5),
        choices: Chance::new(seed, 6),
        tally,
    };
    run.prepare();
    while let Some(Reverse((at, _, event))) = run.events.pop() {
        run.at = at;
        run.happen(event);
    }
    run.tally.ended = run.at;
    run.tally.close();
    run.tally
}

impl Run<'_> {
    fn prepare(&mut self) {
        for server in 0..self.servers.len() {
            if self.scenario.fleet.noise {
                self.happen(Event::Noise(server));
            }
            if self.scenario.fleet.pauses {
                let first = self.noise.between(0.0, 5_000_000.0) as u64;
                self.plan(first, Event::Pause(server));
            }
        }
        for step in 0..self.scenario.script.len() {
            self.plan(self.scenario.script[step].at, Event::Script(step));
        }
        self.announce();
        self.plan(0, Event::Turn);
        for _ in 0..self.scenario.closed.map_or(1, |(in_flight, _)| in_flight) {
            self.plan(0, Event::Arrive);
        }
    }

    fn plan(&mut self, at: u64, event: Event) {
        self.made += 1;
        self.events.push(Reverse((at, self.made, event)));
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive => self.arrive(),
            Event::Reach(request) => self.reach(request),
            Event::Finish(request) => self.finish(request),
            Event::Back(request) => self.back(request),
            Event::Script(step) => self.script(step),
            Event::Noise(server) => {
                let next = self.servers[server].draw_noise(&self.noise);
                self.again(next, event);
            }
            Event::Pause(server) => {
                let next = self.servers[server].pause(self.at, &self.noise);
                self.again(next, event);
            }
            Event::Turn => {
                if let Some(next) = self.policy.turn(self.at).filter(|next| *next < self.scenario.end) {
                    self.plan(next, Event::Turn);
                }
            }
            Event::Asked { core, server } => {
                let Report { held, latency } = self.report(server);
                let told = Event::Told { core, server, held, latency: latency as u64 };
                self.plan(self.at + self.scenario.network, told);
            }
            Event::Told { core, server, held, latency } => {
                self.policy.probed(self.at, core, server, Report { held, latency: latency as f64 });
            }
        }
    }

    /// Repeats what goes on for as long as requests come.
    fn again(&mut self, next: u64, event: Event) {
        if self.at + next < self.scenario.end {
            self.plan(self.at + next, event);
        }
    }

    fn script(&mut self, step: usize) {
        let step = &self.scenario.script[step];
        for server in step.servers.0..step.servers.1 {
            match step.change {
                Change::Speed(times) => self.change_speed(server, times),
                Change::Fail(percent) => self.servers[server].failing = percent,
                Change::Join => self.servers[server].member = true,
            }
        }
        if step.change == Change::Join {
            self.announce();
        }
    }

    fn change_speed(&mut self, server: usize, times: f64) {
        let change = self.servers[server].script / times;
        self.servers[server].script = times;
        if self.scenario.sleeping {
            return;
        }
        for request in 0..self.requests.len() {
            if self.requests[request].server == server && self.requests[request].finish > self.at {
                let left = (self.requests[request].finish - self.at) as f64 * change;
                self.plan_finish(request, self.at + left.round() as u64);
            }
        }
    }

    fn plan_finish(&mut self, request: usize, at: u64) {
        self.requests[request].finish = at;
        self.plan(at, Event::Finish(request));
    }

    fn announce(&mut self) {
        let members: Vec<usize> = (0..self.servers.len()).filter(|n| self.servers[*n].member).collect();
        self.policy.members(self.at, &members);
    }

    fn core(&self) -> usize {
        let cores = self.scenario.gateways * self.scenario.cores;
        if !self.scenario.skewed {
            return self.arrivals.below(cores);
        }
        // Zipf, exponent 1.
        let sum: f64 = (1..=cores).map(|n| 1.0 / n as f64).sum();
        let mut left = self.arrivals.unit() * sum;
        for core in 0..cores {
            left -= 1.0 / (core + 1) as f64;
            if left <= 0.0 {
                return core;
            }
        }
        cores - 1
    }

    fn arrive(&mut self) {
        match self.scenario.closed {
            None => {
                let next = self.at + self.arrivals.exponential(self.pace).round() as u64;
                if next < self.scenario.end {
                    self.plan(next, Event::Arrive);
                }
            }
            Some((_, most)) if self.requests.len() >= most => return,
            Some(_) => {}
        }
        let core = self.core();
        let asked = Asked { at: self.at, core, chance: &self.choices, truth: &self.servers };
        let server = self.policy.pick(&asked);
        let probes = self.policy.probes(&asked);
        self.policy.sent(self.at, core, server);
        for server in probes {
            self.plan(self.at + self.scenario.network, Event::Asked { core, server });
        }
        let work = self.scenario.work(&self.works);
        let (sent, report) = (self.at, Report::default());
        self.requests.push(Request { core, server, sent, work, finish: 0, ok: true, report });
        self.servers[server].on_the_way += 1;
        self.tally.sent += 1;
        count(&mut self.tally.sent_over_time, self.at);
        if server == WATCHED {
            count(&mut self.tally.watched_over_time, self.at);
        }
        self.tally.shares[server] += u64::from(self.at >= self.scenario.warm_up);
        self.note(0, self.requests.len() - 1);
        self.plan(self.at + self.scenario.network, Event::Reach(self.requests.len() - 1));
    }

    fn reach(&mut self, request: usize) {
        let server = self.requests[request].server;
        self.servers[server].on_the_way -= 1;
        if self.servers[server].failing > self.faults.below(100) as u64 {
            self.requests[request].ok = false;
            self.plan(self.at + 100 + self.scenario.network, Event::Back(request));
            return;
        }
        if self.servers[server].busy < self.servers[server].slots {
            self.begin(request);
        } else {
            self.servers[server].queue.push_back(request);
        }
        self.tally.most_held = self.tally.most_held.max(self.servers[server].held());
    }

    fn begin(&mut self, request: usize) {
        let entry = &self.requests[request];
        let server = &mut self.servers[entry.server];
        let length = server.begin(self.at, entry.work);
        self.plan_finish(request, self.at + length);
    }

    fn finish(&mut self, request: usize) {
        if self.requests[request].finish != self.at {
            // Its server's speed has changed meanwhile.
            return;
        }
        self.requests[request].finish = 0;
        let entry = &self.requests[request];
        let server = &mut self.servers[entry.server];
        // As with a process that is stopped while its timers run: what would have been ready meanwhile is ready at the end.
        let until = server.paused_until;
        if until > self.at {
            self.plan_finish(request, until);
            return;
        }
        server.busy -= 1;
        let (next, place) = (server.queue.pop_front(), entry.server);
        if let Some(next) = next {
            self.begin(next);
        }
        self.requests[request].report = self.report(place);
        self.plan(self.at + self.scenario.network, Event::Back(request));
    }

    fn report(&self, server: usize) -> Report {
        let server = &self.servers[server];
        Report { held: server.held(), latency: server.expected(self.at) }
    }

    fn back(&mut self, request: usize) {
        let Request { core, server, sent, ok, report, .. } = self.requests[request];
        let latency = self.at - sent;
        self.policy.done(&Answer { at: self.at, core, server, sent, latency, ok, report });
        if sent >= self.scenario.warm_up {
            self.tally.latencies.push(latency);
        }
        if !ok {
            self.tally.failed += 1;
            count(&mut self.tally.failed_over_time, self.at);
        }
        self.note(1, request);
        if self.scenario.closed.is_some() {
            self.arrive();
        }
    }

    fn note(&mut self, kind: u64, request: usize) {
        let Request { core, server, ok, .. } = self.requests[request];
        for number in [self.at, kind, request as u64, core as u64, server as u64, u64::from(ok)] {
            self.tally.log.note(number);
        }
    }
}
