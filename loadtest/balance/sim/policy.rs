//! What a policy is to the simulation: it picks, and is told what became of it.

use super::chance::Chance;
use super::server::Server;

/// The moment and the place of a decision.
pub struct Asked<'a> {
    /// Now, in microseconds.
    pub at: u64,
    /// The core that asks, counted through all gateways.
    pub core: usize,
    /// Chance, for the policy alone.
    pub chance: &'a Chance,
    /// The servers as they are: for the oracle alone.
    pub truth: &'a [Server],
}

/// An answer as it reaches a core.
#[derive(Clone, Copy)]
pub struct Answer {
    /// Now, in microseconds.
    pub at: u64,
    /// The core that asked.
    pub core: usize,
    /// Who answered.
    pub server: usize,
    /// When the request was sent.
    pub sent: u64,
    /// Since the request was sent.
    pub latency: u64,
    /// Whether it is a good one.
    pub ok: bool,
    /// What the server says of itself.
    pub report: Report,
}

/// What a server says of itself, for those policies whose servers are changed to say it.
#[derive(Clone, Copy, Default)]
pub struct Report {
    /// Requests that it holds.
    pub held: usize,
    /// What a request would take there, in microseconds.
    pub latency: f64,
}

/// A way to choose servers, for all cores of all gateways together: what they share is for it to say.
pub trait Policy {
    /// The server of a request.
    fn pick(&mut self, asked: &Asked) -> usize;
    /// A request has left.
    fn sent(&mut self, at: u64, core: usize, server: usize);
    /// Its answer has come.
    fn done(&mut self, answer: &Answer);
    /// The servers there are from now on. Called once before all else.
    fn members(&mut self, at: u64, members: &[usize]);
    /// What is to be done from time to time, first at 0; gives the time of the next turn, if one is wanted.
    fn turn(&mut self, _at: u64) -> Option<u64> {
        None
    }
    /// Whom to ask how they are, after a pick.
    fn probes(&mut self, _asked: &Asked) -> Vec<usize> {
        Vec::new()
    }
    /// The answer to that.
    fn probed(&mut self, _at: u64, _core: usize, _server: usize, _report: Report) {}
}
