//! nginx's `least_time` (1.31) with a shared zone: the whole list is looked at under a lock, and the least product of a slow
//! mean per request, in steps of 20 ms, and the connections wins; among equals round robin. Only good answers count.
//! With `max_fails=1` and the statuses named in `proxy_next_upstream`, one failure takes a server out for ten seconds.

use super::super::policy::Answer;
use super::super::policy::Asked;
use super::super::policy::Policy;
use super::Sharing;
use super::reach;

/// `least_time`.
pub struct LeastTime {
    sharing: Sharing,
    fails: bool,
    members: Vec<usize>,
    tables: Vec<Vec<Peer>>,
    turns: u64,
}

#[derive(Clone, Copy, Default)]
struct Peer {
    connections: u64,
    /// The mean in milliseconds.
    time: f64,
    /// When it was last counted, or halved, in milliseconds.
    seen: u64,
    out_until: u64,
    turn: u64,
}

/// `fail_timeout`, in milliseconds.
const FAIL_TIMEOUT: u64 = 10_000;
/// The step, in milliseconds.
const STEP: u64 = 20;
/// The longest time that counts, in milliseconds.
const MOST: f64 = 5_000.0;

impl LeastTime {
    /// One that knows nothing; `fails`: with `max_fails=1`.
    pub fn new(sharing: Sharing, fails: bool) -> Self {
        Self { sharing, fails, members: Vec::new(), tables: Vec::new(), turns: 0 }
    }
}

impl Policy for LeastTime {
    fn pick(&mut self, asked: &Asked) -> usize {
        let now = asked.at / 1000;
        self.turns += 1;
        let table = reach(&mut self.tables, self.sharing.table(asked.core));
        let mut best = None;
        let all_out = self.members.iter().all(|server| reach(table, *server).out_until > now);
        for &server in &self.members {
            let peer = reach(table, server);
            if peer.out_until > now && !all_out {
                continue;
            }
            while now >= peer.seen + FAIL_TIMEOUT && peer.time >= 1.0 {
                peer.time /= 2.0;
                peer.seen += FAIL_TIMEOUT;
            }
            let steps = (peer.time.min(MOST) as u64).div_ceil(STEP).max(1);
            let key = (steps * (1 + peer.connections), peer.turn, server);
            if best.is_none_or(|best| key < best) {
                best = Some(key);
            }
        }
        let server = best.map_or(0, |(.., server)| server);
        reach(table, server).turn = self.turns;
        server
    }

    fn sent(&mut self, _at: u64, core: usize, server: usize) {
        reach(reach(&mut self.tables, self.sharing.table(core)), server).connections += 1;
    }

    fn done(&mut self, answer: &Answer) {
        let now = answer.at / 1000;
        let peer = reach(reach(&mut self.tables, self.sharing.table(answer.core)), answer.server);
        peer.connections -= 1;
        if answer.ok {
            let time = (now - answer.sent / 1000) as f64;
            peer.time = if peer.time == 0.0 { time } else { 0.95 * peer.time + 0.05 * time };
            peer.seen = now;
        } else if self.fails {
            peer.out_until = now + FAIL_TIMEOUT;
        }
    }

    fn members(&mut self, _at: u64, members: &[usize]) {
        self.members = members.to_vec();
    }
}
