//! A server as the published testbed has it: a few slots, a queue in order of arrival, a speed that noise, scripts and
//! pauses change. It refuses to know who sends.

use std::collections::VecDeque;

use super::chance::Chance;

/// What one request needs, in microseconds of a server of speed 1.
pub type Work = f64;

/// A place that serves.
pub struct Server {
    /// How fast it is by nature.
    pub base: f64,
    /// What a script makes of that.
    pub script: f64,
    /// What noise makes of that.
    pub noise: f64,
    /// Whether it is of the noisy kind.
    pub noisy: bool,
    /// Whether it takes part.
    pub member: bool,
    /// Percent of its requests that fail at once.
    pub failing: u64,
    /// How many it serves at a time.
    pub slots: usize,
    /// How many it serves now.
    pub busy: usize,
    /// Requests sent to it that have not come to it yet.
    pub on_the_way: usize,
    /// Requests that wait.
    pub queue: VecDeque<usize>,
    /// When the pause under way ends.
    pub paused_until: u64,
    /// The mean of the work, for those who may know it.
    pub mean_work: f64,
}

impl Server {
    /// A server at rest.
    pub fn new(base: f64, slots: usize, mean_work: f64) -> Self {
        Self {
            base,
            script: 1.0,
            noise: 1.0,
            noisy: false,
            member: true,
            failing: 0,
            slots,
            busy: 0,
            on_the_way: 0,
            queue: VecDeque::new(),
            paused_until: 0,
            mean_work,
        }
    }

    /// How fast it is now.
    pub fn speed(&self) -> f64 {
        self.base * self.script * self.noise
    }

    /// Requests it holds, served and waiting.
    pub fn held(&self) -> usize {
        self.busy + self.queue.len()
    }

    /// Begins a request: how long it takes from now on.
    pub fn begin(&mut self, at: u64, work: Work) -> u64 {
        self.busy += 1;
        let wait = self.paused_until.saturating_sub(at);
        wait + (work / self.speed()).round().max(1.0) as u64
    }

    /// Draws its noise anew, as the published testbed does; gives the time to the next draw.
    pub fn draw_noise(&mut self, chance: &Chance) -> u64 {
        self.noise = match (self.noisy, chance.below(2)) {
            (true, 0) => chance.between(0.3, 0.7),
            (true, _) => chance.between(0.9, 1.3),
            (false, _) => chance.between(1.2, 2.0),
        };
        chance.between(700_000.0, 1_300_000.0) as u64
    }

    /// Stops it for a while; gives the time to the next pause.
    pub fn pause(&mut self, at: u64, chance: &Chance) -> u64 {
        let length = chance.between(200_000.0, 800_000.0) as u64;
        self.paused_until = at + length;
        chance.between(4_000_000.0, 6_000_000.0) as u64
    }

    /// When a request sent now would be answered, in microseconds from now, as far as speed, pause and the number held
    /// tell.
    pub fn expected(&self, at: u64) -> f64 {
        let each = self.mean_work / self.speed();
        let ahead = (self.held() + self.on_the_way + 1).saturating_sub(self.slots) as f64;
        self.paused_until.saturating_sub(at) as f64 + each + each * ahead / self.slots as f64
    }
}
