//! The one door through which the gateway is tested: a real process ([`Gateway`]), scripted services behind it
//! ([`Origin`]), and a client that says exactly the bytes it is told to say ([`Raw`]).
//!
//! Nothing here hangs: every wait has a deadline ([`PATIENCE`]) after which the test fails and says what it waited for.
//! Nothing here depends on a time being short. Every port is chosen by the kernel.
//!
//! ```text
//! let orders = Origin::named("orders");
//! let gateway = Gateway::before(&[&orders]);
//! let response = get(gateway.http(), "/orders/1");
//! assert_eq!((response.status, response.text()), (200, "orders"));
//! gateway.wait_log(|line| line.ended() == "ok");
//! ```

mod acme;
mod events;
mod forms;
mod gate;
mod gateway;
mod inside;
mod log;
mod looks;
mod loops;
mod message;
mod metrics;
mod origin;
mod pebble;
mod process;
mod raw;
pub mod rings;
mod scratch;
mod tests;
mod tls;

use std::time::Duration;
use std::time::Instant;

pub use acme::Acme;
pub use events::Events;
pub use gate::Gate;
pub use gateway::Gateway;
pub use gateway::Signal;
pub use gateway::ask;
pub use gateway::run;
pub use gateway::run_on;
pub use gateway::run_under;
pub use gateway::simple;
pub use inside::Inside;
pub use inside::Watched;
pub use message::Broken;
pub use message::Incoming;
pub use message::Request;
pub use message::Response;
pub use metrics::Metrics;
pub use origin::Origin;
pub use origin::ok;
pub use pebble::Pebble;
pub use process::Endpoint;
pub use process::Load;
pub use process::Mood;
pub use process::serve;
pub use raw::Raw;
pub use raw::get;
pub use rings::Rings;
pub use scratch::Scratch;
pub use tls::Authority;
pub use tls::Client;
pub use tls::Issued;
pub use tls::SecureOrigin;
pub use tls::look;
pub use tls::program;

/// The longest that anything is waited for. Long, because it only matters when something is broken.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Asks again and again until the condition holds; for what has no event to wait for, such as metrics.
#[track_caller]
pub fn eventually(what: &str, condition: impl FnMut() -> bool) {
    within(PATIENCE, what, condition);
}

/// The same for what is a lot of work, on a machine that may have other things to do.
#[track_caller]
pub fn in_the_end(what: &str, condition: impl FnMut() -> bool) {
    within(PATIENCE * 5, what, condition);
}

#[track_caller]
fn within(patience: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(1);
    while !condition() {
        assert!(begun.elapsed() < patience, "waited {patience:?} in vain: {what}");
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

/// `n` bytes that differ from place to place, so that a hole or a swap is seen.
pub fn pattern(n: usize) -> Vec<u8> {
    (0..n).map(|at| (at / 251 + at % 251) as u8).collect()
}

/// The addresses of these origins as a TOML list.
pub fn addresses(origins: &[Origin]) -> String {
    let list: Vec<String> = origins.iter().map(|origin| format!("\"{}\"", origin.address())).collect();
    format!("[{}]", list.join(", "))
}
