//! Who is compared: the product and its rivals, each by name.

use super::policy::Policy;
use super::product::Product;
use super::rivals::Ewma;
use super::rivals::Least;
use super::rivals::LeastTime;
use super::rivals::Oracle;
use super::rivals::Prequal;
use super::rivals::RoundRobin;
use super::rivals::Rule;
use super::rivals::Sharing;
use super::rivals::Spec;
use super::rivals::Way;
use super::scenario::Scenario;

/// One of them.
#[derive(Clone, Copy)]
pub struct Contender {
    /// Its name in tables and plots.
    pub name: &'static str,
    /// Makes it for a scenario's gateways and cores.
    pub make: fn(&Scenario, u64) -> Box<dyn Policy>,
}

/// The name of the product's policy.
pub const RINGWAY: &str = "ringway latency";
/// The name of the oracle.
pub const ORACLE: &str = "oracle";
/// The name of the rival that the product is to be better than.
pub const LEAST_TIME: &str = "nginx least_time";

fn shared(scenario: &Scenario) -> Sharing {
    Sharing::among(scenario.cores)
}

/// All, the oracle last.
pub fn all() -> Vec<Contender> {
    let contender = |name, make| Contender { name, make };
    vec![
        contender("round robin", |_, _| Box::new(RoundRobin::default())),
        contender("P2C least request, per core", |_, _| Box::new(Least::new(Way::Two, Sharing::none()))),
        contender("P2C least request, shared", |s, _| Box::new(Least::new(Way::Two, shared(s)))),
        contender("tower peak-EWMA, per core", |_, _| Box::new(Ewma::new(Rule::Tower, Sharing::none()))),
        contender("Finagle peak-EWMA, per core", |_, _| Box::new(Ewma::new(Rule::Finagle, Sharing::none()))),
        contender("tower peak-EWMA, shared", |s, _| Box::new(Ewma::new(Rule::Tower, shared(s)))),
        contender("HAProxy random(2), shared", |s, _| Box::new(Least::new(Way::HaproxyRandom, shared(s)))),
        contender("HAProxy leastconn, shared", |s, _| Box::new(Least::new(Way::LeastConn, shared(s)))),
        contender(LEAST_TIME, |s, _| Box::new(LeastTime::new(shared(s), false))),
        contender("Prequal, RIF", |_, _| Box::new(Prequal::new(false))),
        contender("Prequal, ideal server model", |_, _| Box::new(Prequal::new(true))),
        contender(RINGWAY, |s, seed| Box::new(Product::new(s.gateways, s.cores, s.gossip, seed))),
        contender("formula, shared exactly", |s, _| Box::new(Spec::new(shared(s)))),
        contender(ORACLE, |_, _| Box::new(Oracle::default())),
    ]
}
